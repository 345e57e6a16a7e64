"""One comparison in subgroups, as a table and a forest plot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import polars as pl
from pydantic import Field, model_validator

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.formula import quoted
from equipoise.estimate.result import Estimate
from equipoise.plan.methods import effects
from equipoise.plan.methods.estimates import P, cell, finite, reasons, short, values_of
from equipoise.plan.methods.event_data import EVENT, event_data, left_out
from equipoise.plan.methods.registry import Found, Method, Place, Test
from equipoise.plan.ordering import levels_in_order
from equipoise.plan.parts import Section
from equipoise.plan.prepared import TEST, Prepared, others
from equipoise.plan.results import Block, Figure, Row, cell_of
from equipoise.types import Status

_RANK = "__rank__"


class SubgroupsSection(Section):
    """A comparison with control in everyone and in each level of the variables ``by`` (their labels in ``labels``).

    ``of``: ``difference`` of means by ANCOVA of ``variable`` (CHG) with ``covariates``; ``hazard ratio`` by Cox
    regression of ``time`` and ``censor``; or any effect of another method, its section written out, ``{method: binary,
    response: ...}``, of which ``quantity`` (default its first test) and ``visit`` (default the last) are shown. A line
    below each variable has the p-value of its interaction with the arm: of the model of all levels, or of another
    method's effects by Cochran's Q. For variables in ``ordered`` one more line tests a trend over their levels.
    ``interaction: all arms``: also over all arms at once, in a column of its own.
    """

    method: Literal["subgroups"]
    of: Literal["difference", "hazard ratio"] | dict[str, Any]
    quantity: str | None = None
    visit: str | None = None
    ordered: tuple[str, ...] = ()
    interaction: Literal["each arm", "all arms"] = "each arm"
    by: tuple[str, ...] = Field(min_length=1)
    labels: dict[str, str] = Field(default_factory=dict)
    variable: str = "CHG"
    time: str = "AVAL"
    censor: str = "CNSR"
    covariates: tuple[str, ...] = ()
    ties: Literal["efron", "breslow"] = "efron"
    level: float = Field(default=0.95, gt=0, lt=1)
    higher_better: bool | None = None
    axis: str | None = None

    def estimates(self) -> str | None:
        inner = self.inner()
        return inner.estimates() if inner is not None else "ancova" if self.of == "difference" else "survival"

    def inner(self) -> Section | None:
        """The section of another method whose effect is shown, where ``of`` has one."""
        return None if isinstance(self.of, str) else effects.section_of(self.of)

    def tests_arms(self) -> bool:
        return self.interaction == "all arms"

    @model_validator(mode="after")
    def _once(self) -> SubgroupsSection:
        if len(set(self.by)) < len(self.by):
            raise ValueError("by: a variable is listed twice")
        unknown = [name for name in self.ordered if name not in self.by]
        if unknown:
            raise ValueError(f"ordered: {unknown[0]} is not one of by")
        if self.inner() is None and (self.quantity is not None or self.visit is not None):
            raise ValueError("quantity and visit tell an effect of another method: write its section in of:")
        if self.inner() is not None and self.interaction == "all arms":
            raise ValueError("interaction: all arms is for difference and hazard ratio, which one model estimates")
        return self


def subgroups(context: Prepared, section: SubgroupsSection) -> Found:
    """The estimate in everyone and in each subgroup, and the test of each interaction, against control."""
    inner = section.inner()
    if inner is not None:
        return _of_method(context, section, inner)
    data = _data(context, section)
    control, arms = context.plan.treatment.reference, others(context)
    estimate = _difference if section.of == "difference" else _ratio
    groups: list[tuple[str | None, str | None, pl.DataFrame]] = [(None, None, data)]
    for name in section.by:
        levels = _levels(context, section, data, name)
        groups += [(name, _level(level), data.filter(pl.col(name) == level)) for level in levels]
    numbers: dict[Place, Estimate] = {}
    people: dict[Place, int] = {}
    for variable, level, group in groups:
        for arm in arms:
            part = group.filter(pl.col(context.treatment).is_in([control, arm]))
            place = Place(_quantity(section), arm, variable=variable, level=level)
            numbers[place], people[place] = estimate(context, section, part, arm), part.height
    for name in section.by:
        for a in arms:
            numbers[Place("interaction", a, variable=name)] = _interaction(context, section, data, name, [a])
            if name in section.ordered:
                made = _interaction(context, section, data, name, [a], trend=True)
                numbers[Place("interaction_trend", a, variable=name)] = made
        if section.interaction == "all arms":
            every = Place("interaction_all_arms", variable=name)
            numbers[every] = _interaction(context, section, data, name, arms)
            if name in section.ordered:
                every = Place("interaction_trend_all_arms", variable=name)
                numbers[every] = _interaction(context, section, data, name, arms, trend=True)
    return Found(numbers, _Shown(_quantity(section), people, section.of == "hazard ratio"))


@dataclass(frozen=True)
class _Shown:
    """What lines are written from: the quantity shown, patients by place, whether it is a ratio, how it is made."""

    quantity: str
    people: dict[Place, int]
    ratio: bool
    words: str = ""


def _quantity(section: SubgroupsSection) -> str:
    return "difference" if section.of == "difference" else "hazard_ratio"


def _of_method(context: Prepared, section: SubgroupsSection, inner: Section) -> Found:
    """The effect of another method in everyone and in each level, and Cochran's Q of its levels."""
    arms = others(context)
    whole = effects.Effects(context, inner, section.where, section.quantity, section.visit)
    numbers: dict[Place, Estimate] = {}
    for arm, made in whole.of(None, None).items():
        numbers[Place(whole.quantity, arm)] = made
    for name in section.by:
        by_arm: dict[str, list[Estimate]] = {a: [] for a in arms}
        for level in whole.levels(name):
            for arm, made in whole.of(name, level).items():
                numbers[Place(whole.quantity, arm, variable=name, level=_level(level))] = made
                by_arm[arm].append(made)
        for arm in arms:
            called = f"{arm} by {name}"
            numbers[Place("interaction", arm, variable=name)] = effects.heterogeneity(called, by_arm[arm])
            if name in section.ordered:
                numbers[Place("interaction_trend", arm, variable=name)] = effects.trend(called, by_arm[arm])
    people = {place: e.n for place, e in numbers.items() if place.quantity == whole.quantity}
    ratio = any(e.ratio for place, e in numbers.items() if place.quantity == whole.quantity)
    return Found(numbers, _Shown(whole.quantity, people, ratio, whole.words))


def _lines(context: Prepared, section: SubgroupsSection, found: Found) -> Block:
    control, arms = context.plan.treatment.reference, others(context)
    parts: _Shown = found.parts
    people = parts.people
    rows: list[Row] = []
    notes: list[str] = [section.note] if section.note else []
    drawn: dict[str, list[dict[str, Any]]] = {a: [] for a in arms}

    def line(label: str, variable: str | None, level: str | None, kind: str = "") -> None:
        places = {a: Place(parts.quantity, a, variable=variable, level=level) for a in arms}
        for arm, place in places.items():
            made, n = found.numbers[place], people[place]
            notes.extend(reasons([(label, made)]))
            numbers = {k: v for k, v in values_of(made).items() if k in ("estimate", "low", "high")}
            drawn[arm].append(
                {
                    "label": label,
                    "kind": kind,
                    "n": str(n),
                    "weight": None if kind else float(n),
                    "reason": "" if made.estimable else short(made.reason),
                    **numbers,
                }
            )
        cells = {a: cell(found.numbers[place]) for a, place in places.items()}
        rows.append(Row(label, cells, f"against {control}", 0 if kind else 1))

    line("All", None, None, "summary")
    for name in section.by:
        called = section.labels.get(name, name)
        rows.append(Row(called, {}))
        for arm in drawn:
            drawn[arm].append({"label": called, "kind": "heading"})
        for level in dict.fromkeys(str(p.level) for p in people if p.variable == name):
            line(level, name, level)
        for quantity, said in (("interaction", "interaction"), ("interaction_trend", "trend over the levels")):
            tests = {a: found.numbers.get(Place(quantity, a, variable=name)) for a in arms}
            cells = {a: cell_of(P, {"p": finite(e.p)}) for a, e in tests.items() if e is not None}
            every = found.numbers.get(Place(f"{quantity}_all_arms", variable=name))
            if every is not None:
                cells[TEST] = cell_of(P, {"p": finite(every.p)})
            if cells:
                rows.append(Row(f"p-value ({said})", cells, f"against {control}", 1))
    ratio = parts.ratio
    model = parts.words or (
        f"Cox model with {section.ties.capitalize()}'s ties"
        if ratio
        else f"analysis of covariance of {section.variable}"
    )
    figures = _figures(context, section, drawn, ratio, parts.quantity if parts.words else "") if section.figure else ()
    needed = () if parts.words else _needed(section)
    return Block(
        section.label or "Subgroups",
        "subgroups",
        context.analysis.dataset,
        None if parts.words else section.time if ratio else section.variable,
        tuple(rows),
        description=(
            f"{parts.quantity.replace('_', ' ')} against {control} ({100 * section.level:g}% CI) by {model}"
            + (f", covariates {', '.join(section.covariates)}" if section.covariates else "")
        ),
        notes=(
            *dict.fromkeys(notes),
            *(left_out(context, section.where, *needed, *section.by, *section.covariates) if needed else ()),
        ),
        figures=figures,
    )


def _levels(context: Prepared, section: SubgroupsSection, data: pl.DataFrame, name: str) -> list[Any]:
    """The levels that are in the data, in the order that all records of the section give them."""
    present = set(data[name].drop_nulls().cast(pl.String).to_list())
    levels = levels_in_order(context.chosen(section.where), name)
    return [level for level in levels if str(level) in present or _level(level) in present]


def _level(level: Any) -> str:
    return f"{level:g}" if isinstance(level, float) else str(level)


def _needed(section: SubgroupsSection) -> tuple[str, ...]:
    return (section.time, section.censor) if section.of == "hazard ratio" else (section.variable,)


def _data(context: Prepared, section: SubgroupsSection) -> pl.DataFrame:
    more = (*section.by, *section.covariates)
    if section.of == "hazard ratio":
        return event_data(context, section.where, section.time, section.censor, more)
    frame = context.chosen(section.where)
    context.need(frame, section.variable, numeric=True)
    for name in (*more, "USUBJID"):
        context.need(frame, name)
    doubled = frame.filter(pl.col("USUBJID").is_duplicated())
    if doubled.height:
        raise DataError(
            f"analysis {context.analysis.id}: {doubled['USUBJID'][0]} has more than one record",
            hint="choose one visit by where:",
        )
    names = dict.fromkeys([context.treatment, section.variable, *more])
    return frame.select(list(names)).drop_nulls()


def _arms(context: Prepared, part: pl.DataFrame, arm: str) -> pl.DataFrame:
    control = context.plan.treatment.reference
    present = [a for a in (control, arm) if bool((part[context.treatment].cast(pl.String) == a).any())]
    return part.with_columns(pl.col(context.treatment).cast(pl.String).cast(pl.Enum(present or [control])))


def _none(section: SubgroupsSection, n: int, why: str) -> Estimate:
    said = f"not estimable: {why}"
    return Estimate.not_made(str(section.of), str(section.of), n, Status.EMPTY_ARM, said, level=section.level)


def _difference(context: Prepared, section: SubgroupsSection, part: pl.DataFrame, arm: str) -> Estimate:
    from equipoise.estimate.linear.ancova import ancova

    data = _arms(context, part, arm)
    if data[context.treatment].n_unique() < 2:
        return _none(section, data.height, "an arm has no patients")
    own = [c for c in section.covariates if data[c].n_unique() > 1]
    formula = f"{quoted(section.variable)} ~ " + " + ".join(map(quoted, [context.treatment, *own]))
    try:
        fit = ancova(formula, data)
        made = fit.contrasts(context.treatment, against=context.plan.treatment.reference, level=section.level)
    except (DataError, EstimationError) as error:
        return _none(section, data.height, error.message)
    (found,) = made.estimates
    if not found.estimable:
        return _none(section, data.height, "no degrees of freedom are left")
    return Estimate.from_t(arm, "ANCOVA", found.estimate, found.se, found.df, data.height, level=section.level)


def _ratio(context: Prepared, section: SubgroupsSection, part: pl.DataFrame, arm: str) -> Estimate:
    from equipoise.estimate.survival import cox

    data = _arms(context, part, arm)
    if data[context.treatment].n_unique() < 2:
        return _none(section, data.height, "an arm has no patients")
    own = [c for c in section.covariates if data[c].n_unique() > 1]
    formula = f"Surv({quoted(section.time)}, {EVENT}) ~ " + " + ".join(map(quoted, [context.treatment, *own]))
    try:
        return cox(formula, data, ties=section.ties).hazard_ratio(context.treatment, level=section.level)
    except (DataError, EstimationError) as error:
        return _none(section, data.height, error.message)


def _interaction(
    context: Prepared,
    section: SubgroupsSection,
    data: pl.DataFrame,
    name: str,
    arms: Sequence[str],
    trend: bool = False,
) -> Estimate:
    """The test of arms by subgroup: F test of ANCOVA, likelihood ratio of Cox.

    trend : the effect goes up or down by the number of the level, in their order; levels themselves stay free.
    """
    control, nan = context.plan.treatment.reference, math.nan
    part = data.filter(pl.col(context.treatment).is_in([control, *arms]))
    present = set(part[context.treatment].cast(pl.String).to_list())
    order = [a for a in (control, *arms) if a in present]
    part = part.with_columns(pl.col(context.treatment).cast(pl.String).cast(pl.Enum(order or [control])))
    ranks = {_level(level): float(k) for k, level in enumerate(_levels(context, section, data, name))}
    part = part.with_columns(pl.col(name).map_elements(_level, return_dtype=pl.String))
    part = part.with_columns(pl.col(name).replace_strict(ranks, return_dtype=pl.Float64).alias(_RANK))
    called, n = f"{' and '.join(arms)} by {name}", part.height
    if part[name].n_unique() < 2 or part[context.treatment].n_unique() < 2:
        why = "not estimable: one level of the subgroup or one arm alone has patients"
        return replace(Estimate.of_test(called, "interaction", nan, n), detail=why)
    more = "".join(f" + {quoted(c)}" for c in section.covariates if c != name and part[c].n_unique() > 1)
    treatment, group = quoted(context.treatment), quoted(name)
    by = quoted(_RANK) if trend else group
    more = f" + {group}{more}" if trend else more
    try:
        if section.of == "difference":
            from equipoise.estimate.linear.ancova import ancova

            fit = ancova(f"{quoted(section.variable)} ~ {treatment} * {by}{more}", part)
            found = fit.test(f"{treatment}:{by}")
            row = (found if isinstance(found, pl.DataFrame) else pl.DataFrame(found)).row(0, named=True)
            told = f"F test on {row['num_df']:g} and {row['den_df']:g} degrees of freedom"
            return Estimate.of_test(called, told, row["p"], n, statistic=row["f"], df=row["den_df"])
        from scipy import special

        from equipoise.estimate.survival import cox

        left = f"Surv({quoted(section.time)}, {EVENT}) ~ {treatment}"
        full = cox(f"{left} * {by}{more}", part, ties=section.ties)
        small = cox(f"{left} + {by}{more}", part, ties=section.ties)
    except (DataError, EstimationError) as error:
        return replace(Estimate.of_test(called, "interaction", nan, n), detail=f"not estimable: {error.message}")
    df = full.df - small.df
    if df < 1 or full.status is not Status.OK or small.status is not Status.OK:
        why = "not estimable: the models with and without the interaction cannot be compared"
        return replace(Estimate.of_test(called, "likelihood ratio test", nan, n), detail=why)
    chi2 = 2.0 * (full.loglik[1] - small.loglik[1])
    told = f"likelihood ratio test on {df} degree{'s' if df > 1 else ''} of freedom"
    return Estimate.of_test(called, told, float(special.chdtrc(df, chi2)), n, statistic=chi2, df=df)


def _figures(
    context: Prepared, section: SubgroupsSection, drawn: dict[str, list[dict[str, Any]]], ratio: bool, called: str
) -> tuple[Figure, ...]:
    labels = context.plan.treatment.labels
    control = labels.get(context.plan.treatment.reference, context.plan.treatment.reference)
    out = []
    for arm, rows in drawn.items():
        if not any(r.get("estimate") is not None for r in rows):
            continue
        active = labels.get(arm, arm)
        high = section.higher_better if section.higher_better is not None else (None if not ratio else False)
        ends = (None, None) if high is None else (control, active) if high else (active, control)
        options = {
            "interval": f"estimate ({100 * section.level:g} % CI)",
            "log": ratio,
            "columns": {"n": "n"},
            "heading": "Subgroup",
            "axis": section.axis
            or (
                f"{called.replace('_', ' ')}, {active} against {control}"
                if called
                else f"hazard ratio, {active} against {control}"
                if ratio
                else f"{section.variable}, {active} \N{MINUS SIGN} {control}"
            ),
            "better_low": ends[0] and f"favours {ends[0]}",
            "better_high": ends[1] and f"favours {ends[1]}",
        }
        out.append(Figure("forest", section.label or "Subgroups", tuple(rows), options))
    return tuple(out)


METHODS = (
    Method(
        "subgroups",
        SubgroupsSection,
        subgroups,
        _lines,
        "Comparison in subgroups",
        noted=True,
        by_line=True,
        tests=(
            Test("difference", "more"),
            Test("hazard_ratio", "less"),
            Test("interaction", None),
            Test("interaction_trend", None),
        ),
    ),
)
