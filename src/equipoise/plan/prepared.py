"""What every method of a plan works on: one analysis made ready, its population, records and columns."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import polars as pl

from equipoise.errors import DataError, EstimationError, NoVisitError, at
from equipoise.plan.parts import Gather, Where, condition
from equipoise.plan.results import Column, Table
from equipoise.trial.adam import AdamStudy

if TYPE_CHECKING:
    from equipoise.plan.analysis_plan import Analysis, Plan
TOTAL, TEST, AGAINST, DIFFERENCE = "Total", "All arms", "p: ", "d: "


class Group(NamedTuple):
    """One of several groups of the records of an analysis: how its numbers' keys and its lines name it."""

    key: str
    label: str


@dataclass(frozen=True)
class Prepared:
    """One analysis made ready: its population, its records (with the population's variables joined on) and columns.

    ``records`` holds the records of the population that the analysis' parameter and conditions choose; ``treatment``
    is the arm variable in it. ``done`` holds the tables of the analyses that its sections refer to, by id. ``plan``
    has the treatment of this analysis. ``group``: of which group of records it is, where the analysis has several
    (:mod:`equipoise.plan.groups`). For a section that compares other pairs, ``only`` is the arm that is compared,
    ``plan_control`` the plan's own control.
    """

    plan: Plan
    analysis: Analysis
    study: AdamStudy
    population: pl.DataFrame
    records: pl.DataFrame
    columns: tuple[Column, ...]
    notes: tuple[str, ...]
    done: Mapping[str, Table] = field(default_factory=dict)
    group: Group | None = None
    only: str | None = None
    plan_control: str | None = None

    def comparing(self, arm: str | None, versus: str | None) -> Prepared:
        """The same for a section that compares ``arm`` (None: every other) with ``versus`` (None: control)."""
        treatment = self.plan.treatment
        if arm is None and versus in (None, treatment.reference):
            return self
        if arm == (versus or treatment.reference):
            raise DataError(f"analysis {self.analysis.id}: arm {arm} is compared with itself", hint="see versus:")
        other = treatment.model_copy(update={"control": versus or treatment.reference})
        plan = self.plan.model_copy(update={"treatment": other})
        return replace(self, plan=plan, only=arm, plan_control=self.own_control)

    @property
    def own_control(self) -> str:
        """The control of the plan, whatever a section compares with."""
        return self.plan_control or self.plan.treatment.reference

    @property
    def treatment(self) -> str:
        return self.plan.treatment.variable

    @property
    def arms(self) -> tuple[str, ...]:
        return self.plan.treatment.arms

    def chosen(self, where: Where) -> pl.DataFrame:
        """The records that a section's own conditions leave."""
        return self.records.filter(condition(where, self.records, f"analysis {self.analysis.id}"))

    def of(self, frame: pl.DataFrame, column: str) -> pl.DataFrame:
        """The part of a frame that belongs to a column (an arm, arms pooled beside them, or all)."""
        if column in self.plan.treatment.beside:
            return frame.filter(pl.col(self.treatment).is_in(list(self.plan.treatment.beside[column])))
        return frame if column == TOTAL else frame.filter(pl.col(self.treatment) == column)

    def counted(self) -> list[str]:
        """The columns in which subjects are counted."""
        return [c.name for c in self.columns if c.n is not None]

    def need(self, frame: pl.DataFrame, variable: str, *, numeric: bool = False) -> None:
        """Raise :class:`DataError` where a variable is missing from the records, or is not a number."""
        what = f"analysis {self.analysis.id}"
        if variable not in frame.columns:
            raise DataError(
                f"{what}: there is no variable {variable} in {self.analysis.dataset}",
                hint="there are " + ", ".join(frame.columns[:60]),
            )
        if numeric and not frame.schema[variable].is_numeric():
            raise DataError(f"{what}: {variable} is {frame.schema[variable]}", hint="this method is for numbers")


def arms_of(study: AdamStudy, plan: Plan) -> pl.DataFrame:
    """ADSL, in which the arms of the plan are.

    Raises
    ------
    DataError : there is no ADSL, no treatment variable in it, or nobody in an arm.
    """
    adsl = study["ADSL"].frame
    variable = plan.treatment.variable
    if variable not in adsl.columns:
        missing = DataError(f"there is no treatment variable {variable} in ADSL", hint="see treatment: in the plan")
        raise at(missing, plan.place("treatment", "variable"))
    if adsl[variable].dtype != pl.String:
        kind = DataError(
            f"the treatment variable {variable} is {adsl[variable].dtype}", hint="name the one with the names of arms"
        )
        raise at(kind, plan.place("treatment", "variable"))
    adsl = _pooled(adsl, plan)
    absent = [arm for arm in plan.treatment.arms if not bool((adsl[variable] == arm).any())]
    if absent:
        known = ", ".join(repr(v) for v in adsl[variable].drop_nulls().unique(maintain_order=True).to_list())
        nobody = DataError(f"no subject is in arm {absent[0]!r}", hint=f"{variable} in ADSL is one of {known}")
        raise at(nobody, plan.place("treatment", "arms", plan.treatment.arms.index(absent[0])))
    return adsl


def _pooled(frame: pl.DataFrame, plan: Plan) -> pl.DataFrame:
    """A frame whose treatment variable names pooled arms as the plan does."""
    variable, pooled = plan.treatment.variable, plan.treatment.pooled
    if not pooled or variable not in frame.columns:
        return frame
    return frame.with_columns(pl.col(variable).replace(pooled))


def _with_levels(frame: pl.DataFrame, plan: Plan, what: str) -> pl.DataFrame:
    """A frame whose variables have the levels that the plan names, in their order."""
    for name, levels in plan.levels.items():
        if name not in frame.columns or isinstance(frame.schema[name], pl.Enum):
            continue
        text = frame[name] if frame.schema[name] == pl.String else _as_text(frame[name])
        absent = text.drop_nulls().filter(~text.drop_nulls().is_in(list(levels)))
        if absent.len():
            known = ", ".join(sorted(text.drop_nulls().unique().to_list())[:40])
            raise DataError(f"{what}: levels of {name} lack {absent[0]!r}", hint=f"list all: {known}")
        frame = frame.with_columns(text.cast(pl.Enum(list(levels))).alias(name))
    return frame


def _as_text(values: pl.Series) -> pl.Series:
    """Numbers as a plan would write them: 2 for 2.0."""
    return pl.Series(values.name, [None if v is None else f"{v:g}" if isinstance(v, float) else str(v) for v in values])


def prepare(study: AdamStudy, plan: Plan, analysis: Analysis, done: Mapping[str, Table] | None = None) -> Prepared:
    """Population, records and columns of one analysis; ``done``: the tables made before it, by id.

    Raises
    ------
    DataError : a data set, variable or parameter that is not there, or a population without subjects.
    """
    what = f"analysis {analysis.id}"
    if analysis.treatment is not None:
        plan = plan.model_copy(update={"treatment": plan.treatment_of(analysis)})
    adsl = _with_levels(arms_of(study, plan), plan, "ADSL")
    variable, arms = plan.treatment.variable, plan.treatment.arms
    inside = condition(plan.populations[analysis.population].where, adsl, f"population {analysis.population}")
    population = adsl.filter(inside)
    others = population.filter(~pl.col(variable).is_in(list(arms)).fill_null(False)).height
    population = population.filter(pl.col(variable).is_in(list(arms)).fill_null(False))
    notes = (f"{others} subjects in no arm of the plan are left out",) if others else ()
    if not population.height:
        raise DataError(f"{what}: population {analysis.population} has no subjects", hint="see its conditions")
    population = _gathered(study, plan, analysis, population, what)
    records = _records(study, plan, analysis, population, what)
    columns = [
        Column(arm, plan.treatment.labels.get(arm, arm), int((population[variable] == arm).sum())) for arm in arms
    ]
    for name, members in plan.treatment.beside.items():
        size = int(population[variable].is_in(list(members)).sum())
        columns.append(Column(name, plan.treatment.labels.get(name, name), size))
    if analysis.total:
        columns.append(Column(TOTAL, TOTAL, population.height))
    if any(s.tests_arms() for s in analysis.sections):
        columns.append(Column(TEST, "p-value", None))
    active = [arm for arm in arms if arm != plan.treatment.reference]
    if any(s.differs_each() for s in analysis.sections):
        columns += [
            Column(f"{DIFFERENCE}{a}", f"Difference {a}" if len(active) > 1 else "Difference", None) for a in active
        ]
    if any(s.tests_each() for s in analysis.sections):
        columns += [Column(f"{AGAINST}{a}", f"p-value {a}" if len(active) > 1 else "p-value", None) for a in active]
    shown = analysis.sections[0].columns() or tuple(columns)
    return Prepared(plan, analysis, study, population, records, shown, notes, done or {})


def _shared(plan: Plan, analysis: Analysis) -> dict[str, Gather]:
    """The variables of the plan's own ``gather`` that an analysis names."""
    if not plan.gather:
        return {}
    said = set(re.findall(r"[A-Za-z_][A-Za-z0-9_.]*", analysis.model_dump_json()))
    return {name: source for name, source in plan.gather.items() if name in said}


def _taken(source: Gather, frame: pl.DataFrame, name: str, what: str) -> pl.DataFrame:
    """One row a subject of the records: USUBJID and ``name``."""
    if source.take == "only":
        one = frame.select("USUBJID", pl.col(source.variable).alias(name)).drop_nulls()
        doubled = one.filter(pl.col("USUBJID").is_duplicated())
        if doubled.height:
            raise DataError(
                f"{what}: {doubled['USUBJID'][0]} has more than one record in {source.dataset}",
                hint="choose one by parameter: and where:, or say which to take: first, last, mean, max ...",
            )
        return one
    value = pl.col(source.variable)
    if source.rule is not None:
        known = frame.drop_nulls([v for v in source.rule if v in frame.columns])
        met = known.with_columns(condition(source.rule, known, what).alias(name))
        return met.group_by("USUBJID", maintain_order=True).agg(pl.col(name).any().cast(pl.Float64))
    if source.take == "count":
        return frame.group_by("USUBJID", maintain_order=True).agg(pl.len().cast(pl.Float64).alias(name))
    if source.take in ("first", "last"):
        if source.by not in frame.columns:
            raise DataError(f"{what}: there is no variable {source.by} in {source.dataset}", hint="see by:")
        ordered = frame.drop_nulls([source.variable, source.by]).sort(source.by, maintain_order=True)
        way = value.first() if source.take == "first" else value.last()
        return ordered.group_by("USUBJID", maintain_order=True).agg(way.alias(name))
    if not frame.schema[source.variable].is_numeric():
        kind = frame.schema[source.variable]
        raise DataError(
            f"{what}: {source.variable} is {kind}", hint=f"{source.take} is of numbers; first and last of all"
        )
    ways = {"mean": value.mean(), "median": value.median(), "min": value.min(), "max": value.max(), "sum": value.sum()}
    known = frame.drop_nulls(source.variable)
    return known.group_by("USUBJID", maintain_order=True).agg(ways[source.take].cast(pl.Float64).alias(name))


def _gathered(study: AdamStudy, plan: Plan, analysis: Analysis, population: pl.DataFrame, what: str) -> pl.DataFrame:
    """The population with the values that ``gather`` brings from other data sets; missing where a subject has none."""
    for name, source in {**_shared(plan, analysis), **analysis.gather}.items():
        where = f"{what}: gather {name}"
        if name in population.columns:
            raise DataError(f"{where}: ADSL has a variable of that name", hint="choose another name")
        frame = study[source.dataset].frame
        given = {**({"PARAMCD": source.parameter} if source.parameter else {}), **source.where}
        frame = frame.filter(condition(given, frame, where))
        if source.take not in ("count", "any") and source.variable not in frame.columns:
            raise DataError(
                f"{where}: there is no variable {source.variable} in {source.dataset}",
                hint="there are " + ", ".join(frame.columns[:60]),
            )
        frame = _taken(source, frame, name, where)
        if not frame.height and source.take != "count":
            raise DataError(f"{where}: no record of {source.dataset} is chosen", hint="see parameter: and where:")
        population = population.join(frame, on="USUBJID", how="left", maintain_order="left")
        if source.take == "count":
            population = population.with_columns(pl.col(name).fill_null(0.0))
    return population


def _records(study: AdamStudy, plan: Plan, analysis: Analysis, population: pl.DataFrame, what: str) -> pl.DataFrame:
    if analysis.dataset.upper() == "ADSL":
        return _derived(population.filter(condition(analysis.where, population, what)), analysis, what)
    frame = study[analysis.dataset].frame
    several = analysis.parameters if isinstance(analysis.parameters, tuple) else ()
    wanted = several or ((analysis.parameter,) if analysis.parameter is not None else ())
    if (wanted or analysis.parameters) and "PARAMCD" not in frame.columns:
        raise DataError(f"{what}: {analysis.dataset} has no PARAMCD", hint="leave parameter: out of the plan")
    if wanted:
        absent = [one for one in wanted if not bool((frame["PARAMCD"] == one).any())]
        if absent:
            known = ", ".join(frame["PARAMCD"].drop_nulls().unique(maintain_order=True).to_list()[:40])
            raise DataError(f"{what}: no PARAMCD {absent[0]} in {analysis.dataset}", hint=f"there are {known}")
        frame = frame.filter(pl.col("PARAMCD").is_in(list(wanted)))
    elif (
        not (analysis.parameters or analysis.reads_all)
        and "PARAMCD" in frame.columns
        and frame["PARAMCD"].n_unique() > 1
    ):
        known = ", ".join(frame["PARAMCD"].drop_nulls().unique(maintain_order=True).to_list()[:40])
        raise DataError(f"{what}: which parameter of {analysis.dataset}?", hint=f"give parameter: one of {known}")
    more = [c for c in population.columns if c == "USUBJID" or c not in frame.columns]
    frame = _with_levels(_pooled(frame, plan), plan, analysis.dataset)
    joined = frame.join(population.select(more), on="USUBJID", how="inner", maintain_order="left")
    return _derived(joined.filter(condition(analysis.where, joined, what)), analysis, what)


_FUNCTIONS: dict[str, Callable[[pl.Expr], pl.Expr]] = {
    "log": lambda x: x.log(),
    "log2": lambda x: x.log(2.0),
    "log10": lambda x: x.log10(),
    "sqrt": lambda x: x.sqrt(),
    "negative": lambda x: -x,
}


def _of_two(frame: pl.DataFrame, name: str, function: str, of: tuple[str, str], what: str) -> pl.DataFrame:
    """The records with a function of two of their variables; missing where it has no value (a share of 0)."""
    for variable in of:
        if variable not in frame.columns or not frame.schema[variable].is_numeric():
            raise DataError(f"{what}: derive {name}: {variable} is no number", hint="see derive:")
    a, b = (pl.col(v).cast(pl.Float64) for v in of)
    over = pl.when(b != 0.0)
    made = {"difference": a - b, "ratio": over.then(a / b), "percent_change": over.then(100.0 * (a - b) / b)}
    return frame.with_columns(made[function].alias(name))


def _derived(frame: pl.DataFrame, analysis: Analysis, what: str) -> pl.DataFrame:
    """The records with the variables of ``derive``; a value without a logarithm is named."""
    for name, made in analysis.derive.items():
        ((function, variable),) = made.items()
        if not isinstance(variable, str):
            frame = _of_two(frame, name, function, variable, what)
            continue
        if variable not in frame.columns or not frame.schema[variable].is_numeric():
            raise DataError(f"{what}: derive {name}: {variable} is no number in {analysis.dataset}", hint="see derive:")
        allowed = {"sqrt": pl.col(variable) < 0, "negative": pl.lit(False)}
        low = frame.filter(allowed.get(function, pl.col(variable) <= 0))
        if low.height:
            row = low.row(0, named=True)
            raise DataError(
                f"{what}: derive {name}: {variable} of {row.get('USUBJID')} is {row[variable]:g}",
                hint=f"{function} needs positive numbers",
            )
        frame = frame.with_columns(_FUNCTIONS[function](pl.col(variable)).alias(name))
    return frame


def without_records(context: Prepared, frame: pl.DataFrame) -> tuple[str, ...]:
    """A note where subjects of the population have no record, for methods that are to count everyone randomised."""
    n = context.population.join(frame.select("USUBJID").unique(), on="USUBJID", how="anti").height
    if not n:
        return ()
    who = "1 subject has" if n == 1 else f"{n} subjects have"
    return (f"{who} no record here and cannot be counted; records of baseline (AVISITN 0) would bring them in.",)


def others(context: Prepared) -> list[str]:
    """The arms that are compared with control: all besides it, or the one that a section names."""
    return [a for a in context.arms if a != context.plan.treatment.reference and context.only in (None, a)]


T = TypeVar("T")


def compared(context: Prepared, frame: pl.DataFrame, fit: Callable[[pl.DataFrame], T]) -> dict[str, T]:
    """What ``fit`` makes of each other arm and control, by arm; arms are in order, control first.

    Raises :class:`EstimationError` for data that the method cannot use, so that the section says so in its place;
    a visit that is not there stays the mistake it is.
    """
    control, arm, out = context.plan.treatment.reference, context.treatment, {}
    if not others(context):
        raise EstimationError("the plan has one arm: there is nothing to compare it with")
    for one in others(context):
        data = frame.filter(pl.col(arm).is_in([control, one])).with_columns(pl.col(arm).cast(pl.Enum([control, one])))
        try:
            out[one] = fit(data)
        except NoVisitError:
            raise
        except DataError as error:
            raise EstimationError(error.message, hint=error.hint) from None
    return out


def together(context: Prepared, frame: pl.DataFrame, fit: Callable[[pl.DataFrame], T]) -> T:
    """What ``fit`` makes of all arms at once, control first, for methods that model several arms.

    Raises as :func:`compared` does.
    """
    if not others(context):
        raise EstimationError("the plan has one arm: there is nothing to compare it with")
    control, arm = context.plan.treatment.reference, context.treatment
    order = [control, *[a for a in context.arms if a != control]]
    data = frame.filter(pl.col(arm).is_in(order)).with_columns(pl.col(arm).cast(pl.Enum(order)))
    present = set(data[arm].unique().to_list())
    absent = [a for a in order if a not in present]
    if len(order) > 2 and absent:
        raise EstimationError(f"arm {', '.join(absent)} has no records", hint="leave it out of the arms of the plan")
    try:
        return fit(data)
    except NoVisitError:
        raise
    except DataError as error:
        raise EstimationError(error.message, hint=error.hint) from None


def in_order(context: Prepared, data: pl.DataFrame) -> pl.DataFrame:
    """The arm variable, where it is there, as a category: control first, then in the plan's order."""
    arm, control = context.treatment, context.plan.treatment.reference
    if arm not in data.columns:
        return data
    present = set(data[arm].unique().to_list())
    order = [control, *[a for a in context.arms if a != control]]
    return data.with_columns(pl.col(arm).cast(pl.Enum([a for a in order if a in present])))
