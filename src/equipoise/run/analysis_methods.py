"""The descriptive methods of a plan: summary statistics, categories, incidence; and what every method works on."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy import stats

from equipoise.errors import DataError
from equipoise.run.analysis_plan import (
    Analysis,
    CategoriesSection,
    IncidenceSection,
    Level,
    Plan,
    SummarySection,
    Where,
    condition,
)
from equipoise.run.analysis_results import Block, Cell, Column, Row, cell_of, share_of
from equipoise.trial.adam import Study
from equipoise.types import FloatArray

TOTAL, TEST, AGAINST = "Total", "All arms", "p: "


@dataclass(frozen=True)
class Context:
    """One analysis made ready: its population, its records (with the population's variables joined on) and columns.

    ``records`` holds the records of the population that the analysis' parameter and conditions choose; ``treatment``
    is the arm variable in it.
    """

    plan: Plan
    analysis: Analysis
    population: pl.DataFrame
    records: pl.DataFrame
    columns: tuple[Column, ...]
    notes: tuple[str, ...]

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
        """The part of a frame that belongs to a column (an arm, or all)."""
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


def prepare(study: Study, plan: Plan, analysis: Analysis) -> Context:
    """Population, records and columns of one analysis.

    Raises
    ------
    DataError : a data set, variable or parameter that is not there, or a population without subjects.
    """
    what = f"analysis {analysis.id}"
    adsl = study["ADSL"].frame
    variable, arms = plan.treatment.variable, plan.treatment.arms
    if variable not in adsl.columns:
        raise DataError(f"there is no treatment variable {variable} in ADSL", hint="see treatment: in the plan")
    absent = [arm for arm in arms if not bool((adsl[variable] == arm).any())]
    if absent:
        known = ", ".join(repr(v) for v in adsl[variable].drop_nulls().unique(maintain_order=True).to_list())
        raise DataError(f"no subject is in arm {absent[0]!r}", hint=f"{variable} in ADSL is one of {known}")
    inside = condition(plan.populations[analysis.population].where, adsl, f"population {analysis.population}")
    population = adsl.filter(inside)
    others = population.filter(~pl.col(variable).is_in(list(arms)).fill_null(False)).height
    population = population.filter(pl.col(variable).is_in(list(arms)).fill_null(False))
    notes = (f"{others} subjects in no arm of the plan are left out",) if others else ()
    if not population.height:
        raise DataError(f"{what}: population {analysis.population} has no subjects", hint="see its conditions")
    records = _records(study, analysis, population, what)
    columns = [
        Column(arm, plan.treatment.labels.get(arm, arm), int((population[variable] == arm).sum())) for arm in arms
    ]
    if analysis.total:
        columns.append(Column(TOTAL, TOTAL, population.height))
    tested = [s.method for s in analysis.sections if getattr(s, "test", None)]
    if any(method != "incidence" for method in tested):
        columns.append(Column(TEST, "p-value", None))
    if "incidence" in tested:
        active = [arm for arm in arms if arm != plan.treatment.reference]
        columns += [Column(f"{AGAINST}{a}", f"p-value {a}" if len(active) > 1 else "p-value", None) for a in active]
    return Context(plan, analysis, population, records, tuple(columns), notes)


def _records(study: Study, analysis: Analysis, population: pl.DataFrame, what: str) -> pl.DataFrame:
    if analysis.dataset.upper() == "ADSL":
        return _derived(population.filter(condition(analysis.where, population, what)), analysis, what)
    frame = study[analysis.dataset].frame
    if analysis.parameter is not None:
        if "PARAMCD" not in frame.columns:
            raise DataError(f"{what}: {analysis.dataset} has no PARAMCD", hint="leave parameter: out of the plan")
        chosen = frame.filter(pl.col("PARAMCD") == analysis.parameter)
        if not chosen.height:
            known = ", ".join(frame["PARAMCD"].drop_nulls().unique(maintain_order=True).to_list()[:40])
            raise DataError(f"{what}: no PARAMCD {analysis.parameter} in {analysis.dataset}", hint=f"there are {known}")
        frame = chosen
    elif "PARAMCD" in frame.columns and frame["PARAMCD"].n_unique() > 1:
        known = ", ".join(frame["PARAMCD"].drop_nulls().unique(maintain_order=True).to_list()[:40])
        raise DataError(f"{what}: which parameter of {analysis.dataset}?", hint=f"give parameter: one of {known}")
    more = [c for c in population.columns if c == "USUBJID" or c not in frame.columns]
    joined = frame.join(population.select(more), on="USUBJID", how="inner", maintain_order="left")
    return _derived(joined.filter(condition(analysis.where, joined, what)), analysis, what)


_FUNCTIONS: dict[str, Callable[[pl.Expr], pl.Expr]] = {
    "log": lambda x: x.log(),
    "log2": lambda x: x.log(2.0),
    "log10": lambda x: x.log10(),
    "sqrt": lambda x: x.sqrt(),
}


def _derived(frame: pl.DataFrame, analysis: Analysis, what: str) -> pl.DataFrame:
    """The records with the variables of ``derive``; a value without a logarithm is named."""
    for name, made in analysis.derive.items():
        ((function, variable),) = made.items()
        if variable not in frame.columns or not frame.schema[variable].is_numeric():
            raise DataError(f"{what}: derive {name}: {variable} is no number in {analysis.dataset}", hint="see derive:")
        low = frame.filter(pl.col(variable) < 0 if function == "sqrt" else pl.col(variable) <= 0)
        if low.height:
            row = low.row(0, named=True)
            raise DataError(
                f"{what}: derive {name}: {variable} of {row.get('USUBJID')} is {row[variable]:g}",
                hint=f"{function} needs positive numbers",
            )
        frame = frame.with_columns(_FUNCTIONS[function](pl.col(variable)).alias(name))
    return frame


def numbers(frame: pl.DataFrame, variable: str) -> FloatArray:
    """The values of a variable that are there."""
    return frame[variable].drop_nulls().cast(pl.Float64).to_numpy()


def describe(values: FloatArray, rows: int) -> dict[str, float | None]:
    """n, missing, mean, sd, se, median, q1, q3, min and max; quartiles by averaging (SAS PCTLDEF=5, R type 2)."""
    n = len(values)
    out: dict[str, float | None] = {"n": float(n), "missing": float(rows - n)}
    out |= dict.fromkeys(("mean", "sd", "se", "median", "q1", "q3", "min", "max"))
    if n:
        q1, median, q3 = np.quantile(values, [0.25, 0.5, 0.75], method="averaged_inverted_cdf")
        out |= {"mean": math.fsum(values) / n, "median": float(median), "q1": float(q1), "q3": float(q3)}
        out |= {"min": float(values.min()), "max": float(values.max())}
    if n > 1:
        sd = float(np.std(values, ddof=1))
        out |= {"sd": sd, "se": sd / math.sqrt(n)}
    return out


def summary(context: Context, section: SummarySection) -> Block:
    """Summary statistics of a numeric variable by column, with a test over the arms."""
    frame = context.chosen(section.where)
    context.need(frame, section.variable, numeric=True)
    found = {}
    for column in context.counted():
        part = context.of(frame, column)
        found[column] = describe(numbers(part, section.variable), part.height)
    rows = []
    for number, line in enumerate(section.statistics):
        cells = {c: cell_of(line.show, s) for c, s in found.items()}
        if number == 0 and section.test:
            groups = [numbers(context.of(frame, arm), section.variable) for arm in context.arms]
            cells[TEST] = cell_of(section.test_show, _compare_means(groups, section.test))
        rows.append(Row(line.label, cells))
    said = {"anova": "one-way analysis of variance", "kruskal-wallis": "Kruskal-Wallis test"}
    return Block(
        section.label or section.variable,
        "summary",
        context.analysis.dataset,
        section.variable,
        tuple(rows),
        description=f"summary statistics{'; p-value: ' + said[section.test] if section.test else ''}",
        notes=(section.note,) if section.note else (),
    )


def _compare_means(groups: Sequence[FloatArray], test: str) -> dict[str, float | None]:
    groups = [g for g in groups if len(g)]
    enough = len(groups) > 1 and sum(len(g) for g in groups) > len(groups)
    if not enough or all(np.ptp(g) == 0 for g in groups):
        return {"p": None}
    result = stats.f_oneway(*groups) if test == "anova" else stats.kruskal(*groups)
    return {"p": float(result.pvalue), "statistic": float(result.statistic)}


def _levels(section: CategoriesSection, frame: pl.DataFrame) -> list[Level]:
    if isinstance(section.levels, tuple):
        return list(section.levels)
    variable = str(section.variable)
    if section.levels is not None:
        return [Level(label=label, where={variable: value}) for value, label in section.levels.items()]
    found = frame[variable].drop_nulls().unique().sort().to_list()
    return [Level(label=str(v), where={variable: v}) for v in found]


def categories(context: Context, section: CategoriesSection) -> Block:
    """Subjects by level and column: count and percentage, with Pearson's chi-square (uncorrected) or Fisher's test."""
    frame = context.chosen(section.where)
    what = f"analysis {context.analysis.id}"
    if section.variable is not None:
        context.need(frame, section.variable)
    levels = _levels(section, frame)
    members = [frame.filter(condition(level.where, frame, what)) for level in levels]
    known = frame.filter(pl.col(section.variable).is_not_null()) if section.variable is not None else frame
    size = {c.name: c.n or 0 for c in context.columns if c.n is not None}
    below = {
        c: _subjects(context.of(known, c)) if section.denominator == "observed" else size[c] for c in context.counted()
    }
    rows = []
    if section.show_n:
        shown = {c: _subjects(context.of(known, c)) for c in context.counted()}
        rows.append(Row("n", {c: Cell(str(n), {"n": float(n)}, {"n": str(n)}) for c, n in shown.items()}))
    table = []
    for level, part in zip(levels, members, strict=True):
        counts = {c: _subjects(context.of(part, c)) for c in context.counted()}
        table.append([counts[arm] for arm in context.arms])
        rows.append(Row(level.label, {c: share_of(n, below[c], section.decimals) for c, n in counts.items()}))
    if section.test and rows:
        tested = cell_of(section.test_show, _compare_counts(np.array(table, dtype=np.float64), section.test))
        rows[0] = Row(rows[0].label, {**rows[0].cells, TEST: tested})
    said = {"chi-square": "Pearson's chi-square test", "fisher": "Fisher's exact test"}
    return Block(
        section.label or section.variable or "",
        "categories",
        context.analysis.dataset,
        section.variable,
        tuple(rows),
        description=f"number and percentage{'; p-value: ' + said[section.test] if section.test else ''}",
        notes=(section.note,) if section.note else (),
    )


def _subjects(frame: pl.DataFrame) -> int:
    return frame["USUBJID"].n_unique() if frame.height else 0


def _compare_counts(table: FloatArray, test: str) -> dict[str, float | None]:
    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
    if table.shape[0] < 2 or table.shape[1] < 2:
        return {"p": None}
    if test == "chi-square":
        found = stats.chi2_contingency(table, correction=False)
        return {"p": float(found.pvalue), "statistic": float(found.statistic), "df": float(found.dof)}
    if table.shape != (2, 2):
        return {"p": None}  # exact tests of larger tables are not offered: see the notes of the block
    return {"p": float(stats.fisher_exact(table.astype(np.int64)).pvalue)}


def incidence(context: Context, section: IncidenceSection) -> Block:
    """Subjects with at least one event, by term; p-values of each other arm against control by Fisher's test."""
    frame = context.chosen(section.where)
    context.need(frame, section.variable)
    control, size = context.plan.treatment.reference, {c.name: c.n or 0 for c in context.columns if c.n is not None}
    terms = frame[section.variable].drop_nulls().unique(maintain_order=True).to_list()
    per_term = frame.filter(pl.col(section.variable).is_not_null()).unique(["USUBJID", section.variable])
    counted = {
        key[0]: {arm: int((part[context.treatment] == arm).sum()) for arm in context.arms}
        for key, part in per_term.partition_by(section.variable, as_dict=True).items()
    }
    kept = []
    for term in terms:
        share = max(100.0 * counted[term][arm] / size[arm] if size[arm] else 0.0 for arm in context.arms)
        if share >= section.at_least:
            kept.append(term)
    kept.sort(key=lambda t: (-sum(counted[t].values()), t))
    rows = []
    if section.any_label:
        rows.append(_term_row(context, section, section.any_label, frame, control, size, 0))
    for term in kept:
        part = per_term.filter(pl.col(section.variable) == term)
        rows.append(_term_row(context, section, str(term), part, control, size, 1))
    return Block(
        section.label or "Adverse events",
        "incidence",
        context.analysis.dataset,
        section.variable,
        tuple(rows),
        description="subjects with at least one event"
        + (f"; p-values: against {control}, Fisher's exact test" if section.test else ""),
        notes=(f"Terms in fewer than {section.at_least:g}% of every arm are not shown.",) if section.at_least else (),
    )


def _term_row(
    context: Context,
    section: IncidenceSection,
    label: str,
    part: pl.DataFrame,
    control: str,
    size: dict[str, int],
    indent: int,
) -> Row:
    counts = {c: _subjects(context.of(part, c)) for c in context.counted()}
    cells = {c: share_of(n, size[c], section.decimals) for c, n in counts.items()}
    if section.test:
        for arm in context.arms:
            if arm != control:
                table = np.array([[counts[a], size[a] - counts[a]] for a in (arm, control)])
                cells[f"{AGAINST}{arm}"] = cell_of(section.test_show, {"p": float(stats.fisher_exact(table).pvalue)})
    return Row(label, cells, indent=indent)
