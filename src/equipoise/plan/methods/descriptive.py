"""The descriptive methods of a plan: summary statistics, categories, incidence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import polars as pl
from pydantic import Field, field_validator, model_validator

from equipoise.files import Frozen
from equipoise.plan.methods.exact import fisher_freeman_halton
from equipoise.plan.methods.registry import entry
from equipoise.plan.ordering import levels_in_order
from equipoise.plan.parts import Section, Show, Where, check_where, condition, known_statistics
from equipoise.plan.prepared import AGAINST, TEST, Context
from equipoise.plan.results import Block, Cell, Row, cell_of, share_of
from equipoise.types import FloatArray

_SUMMARY = (
    Show(label="n", show="{n}"),
    Show(label="Mean (SD)", show="{mean:1} ({sd:2})"),
    Show(label="Median", show="{median:1}"),
    Show(label="Min; max", show="{min:1}; {max:1}"),
)


_DESCRIBED = ("n", "missing", "mean", "sd", "se", "median", "q1", "q3", "min", "max")


class SummarySection(Section):
    """Summary statistics of a numeric variable: n, missing, mean, sd, se, median, q1, q3, min, max."""

    method: Literal["summary"]
    variable: str
    statistics: tuple[Show, ...] = _SUMMARY
    test: Literal["anova", "kruskal-wallis"] | None = None
    test_show: str = "{p:p4}"

    @model_validator(mode="after")
    def _statistics(self) -> SummarySection:
        known_statistics(self.statistics, _DESCRIBED)
        known_statistics([Show(label="test_show", show=self.test_show)], ("p", "statistic"))
        return self


class Level(Frozen):
    """A level of a categorical block: its label, and the conditions under which a record belongs to it."""

    label: str
    where: Where

    _where = field_validator("where")(check_where)


class CategoriesSection(Section):
    """Counts and percentages of levels. ``denominator``: the subjects of the column, or those with the variable."""

    method: Literal["categories"]
    variable: str | None = None
    levels: tuple[Level, ...] | dict[int | float | str, str] | None = None
    show_n: bool = False
    denominator: Literal["population", "observed"] = "population"
    decimals: int = Field(default=0, ge=0, le=4)
    test: Literal["chi-square", "fisher"] | None = None
    test_show: str = "{p:p4}"

    @model_validator(mode="after")
    def _complete(self) -> CategoriesSection:
        if self.variable is None and not isinstance(self.levels, tuple):
            raise ValueError("categories need a variable, or levels with conditions")
        known_statistics([Show(label="test_show", show=self.test_show)], ("p", "statistic", "df"))
        return self


class IncidenceSection(Section):
    """Subjects with at least one event by term (ADAE), the commonest first, those below ``at_least`` % left out."""

    method: Literal["incidence"]
    variable: str = "AEDECOD"
    any_label: str | None = "Any adverse event"
    at_least: float = Field(default=5.0, ge=0, le=100)
    decimals: int = Field(default=1, ge=0, le=4)
    test: Literal["fisher"] | None = "fisher"
    test_show: str = "{p:p4}"

    @model_validator(mode="after")
    def _statistics(self) -> IncidenceSection:
        known_statistics([Show(label="test_show", show=self.test_show)], ("p",))
        return self

    def tests_arms(self) -> bool:
        return False

    def tests_each(self) -> bool:
        return self.test is not None


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
    from scipy import stats

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
        return [Level(label=label, where={variable: _as_held(frame, variable, value)})
                for value, label in section.levels.items()]  # fmt: skip
    found = levels_in_order(frame, variable)
    return [Level(label=f"{v:g}" if isinstance(v, float) else str(v), where={variable: v}) for v in found]


def _as_held(frame: pl.DataFrame, variable: str, value: int | float | str) -> int | float | str:
    """A level that a plan names, as a number where the variable is one (``1``, ``"1"`` and ``1.0`` are one level)."""
    if frame.schema[variable].is_numeric() and isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


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
    rows, why = [], None
    if section.show_n:
        shown = {c: _subjects(context.of(known, c)) for c in context.counted()}
        rows.append(Row("n", {c: Cell(str(n), {"n": float(n)}, {"n": str(n)}) for c, n in shown.items()}))
    table = []
    for level, part in zip(levels, members, strict=True):
        counts = {c: _subjects(context.of(part, c)) for c in context.counted()}
        table.append([counts[arm] for arm in context.arms])
        rows.append(Row(level.label, {c: share_of(n, below[c], section.decimals) for c, n in counts.items()}))
    if section.test and rows:
        compared, why = _compare_counts(np.array(table, dtype=np.float64), section.test)
        tested = cell_of(section.test_show, compared)
        rows[0] = Row(rows[0].label, {**rows[0].cells, TEST: tested})
    said = {"chi-square": "Pearson's chi-square test", "fisher": "Fisher's exact test"}
    return Block(
        section.label or section.variable or "",
        "categories",
        context.analysis.dataset,
        section.variable,
        tuple(rows),
        description=f"number and percentage{'; p-value: ' + said[section.test] if section.test else ''}",
        notes=(*((section.note,) if section.note else ()), *((why,) if why else ())),
    )


def _subjects(frame: pl.DataFrame) -> int:
    return frame["USUBJID"].n_unique() if frame.height else 0


def _compare_counts(table: FloatArray, test: str) -> tuple[dict[str, float | None], str | None]:
    """The test of a table of counts, and why there is none."""
    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
    from scipy import stats

    if table.shape[0] < 2 or table.shape[1] < 2:
        return {"p": None}, "No test: the table has one level, or one arm, with subjects."
    if test == "chi-square":
        found = stats.chi2_contingency(table, correction=False)
        return {"p": float(found.pvalue), "statistic": float(found.statistic), "df": float(found.dof)}, None
    if table.shape == (2, 2):
        return {"p": float(stats.fisher_exact(table.astype(np.int64)).pvalue)}, None
    p = fisher_freeman_halton(table.astype(np.int64))
    if p is None:
        size = f"{table.shape[0]} by {table.shape[1]} with {table.sum():.0f} subjects"
        return {"p": None}, f"No exact test: the table ({size}) is too large to count; test: chi-square is there."
    return {"p": p}, None


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
    from scipy import stats

    counts = {c: _subjects(context.of(part, c)) for c in context.counted()}
    cells = {c: share_of(n, size[c], section.decimals) for c, n in counts.items()}
    if section.test:
        for arm in context.arms:
            if arm != control:
                table = np.array([[counts[a], size[a] - counts[a]] for a in (arm, control)])
                cells[f"{AGAINST}{arm}"] = cell_of(section.test_show, {"p": float(stats.fisher_exact(table).pvalue)})
    return Row(label, cells, indent=indent)


METHODS = (
    entry("summary", SummarySection, summary, "Summary statistics by group"),
    entry("categories", CategoriesSection, categories, "Count and percentage by group", by_line=True),
    entry("incidence", IncidenceSection, incidence, "Subjects with at least one event by group", by_line=True),
)
