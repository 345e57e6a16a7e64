"""The descriptive methods of a plan: summary statistics and categories."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from pydantic import Field, model_validator

from equipoise.estimate.categorical.exact import DRAWN, fisher_freeman_halton, fisher_monte_carlo
from equipoise.estimate.result import Estimate
from equipoise.files import Frozen
from equipoise.plan.methods.described import arm_of, counted, described, sizes
from equipoise.plan.methods.registry import Found, Method, Place
from equipoise.plan.ordering import levels_in_order
from equipoise.plan.parts import Section, Show, Where, condition, known_statistics
from equipoise.plan.prepared import TEST, Prepared
from equipoise.plan.results import Block, Cell, Row, cell_of, share_of
from equipoise.types import FloatArray

_SUMMARY = (
    Show(label="n", show="{n}"),
    Show(label="Mean (SD)", show="{mean:1} ({sd:2})"),
    Show(label="Median", show="{median:1}"),
    Show(label="Min; max", show="{min:1}; {max:1}"),
)


DESCRIBED = ("n", "missing", "mean", "sd", "se", "median", "q1", "q3", "min", "max")


class SummarySection(Section):
    """Summary statistics of a numeric variable: n, missing, mean, sd, se, median, q1, q3, min, max."""

    method: Literal["summary"]
    variable: str
    statistics: tuple[Show, ...] = _SUMMARY
    test: Literal["anova", "kruskal-wallis"] | None = None
    test_show: str = "{p:p4}"

    @model_validator(mode="after")
    def _statistics(self) -> SummarySection:
        known_statistics(self.statistics, DESCRIBED)
        known_statistics([Show(label="test_show", show=self.test_show)], ("p", "statistic"))
        return self


class Level(Frozen):
    """A level of a categorical block: its label, and the conditions under which a record belongs to it."""

    label: str
    where: Where


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


_TESTS = {
    "anova": "one-way analysis of variance",
    "kruskal-wallis": "Kruskal-Wallis test",
    "chi-square": "Pearson's chi-square test",
    "fisher": "Fisher's exact test",
}


def _tested(test: str, found: Mapping[str, float | None], n: int, why: str | None = None) -> Estimate:
    """The p-value of a test over the arms, or why there is none."""
    p, statistic, df = (math.nan if (v := found.get(name)) is None else v for name in ("p", "statistic", "df"))
    return Estimate.of_test("all arms", _TESTS[test], p, n, statistic=statistic, df=df, detail=why)


@dataclass(frozen=True)
class _Summary:
    """Statistics by column, and the test over the arms."""

    found: Mapping[str, Mapping[str, float | None]]
    test: Mapping[str, float | None] | None


def summary_estimates(context: Prepared, section: SummarySection) -> Found:
    """Summary statistics of a numeric variable by column, with a test over the arms."""
    frame = context.chosen(section.where)
    context.need(frame, section.variable, numeric=True)
    found, out = {}, {}
    for column in context.counted():
        part = context.of(frame, column)
        found[column] = describe(numbers(part, section.variable), part.height)
        for name, value in found[column].items():
            out[Place(name, arm_of(column), variable=section.variable)] = described(
                f"{name} of {section.variable}, {column}",
                "description",
                [math.nan if value is None else value],
                int(found[column]["n"] or 0),
                scale=name,
            )
    test = None
    if section.test:
        groups = [numbers(context.of(frame, arm), section.variable) for arm in context.arms]
        test = _compare_means(groups, section.test)
        out[Place(section.test.replace("-", "_"), variable=section.variable)] = _tested(
            section.test, test, sum(map(len, groups))
        )
    return Found(out, _Summary(found, test))


def summary_lines(context: Prepared, section: SummarySection, found: Found) -> Block:
    """Summary statistics by column, one line each as the plan says."""
    made: _Summary = found.parts
    rows = []
    for number, line in enumerate(section.statistics):
        cells = {c: cell_of(line.show, s) for c, s in made.found.items()}
        if number == 0 and made.test is not None:
            cells[TEST] = cell_of(section.test_show, made.test)
        rows.append(Row(line.label, cells))
    return Block(
        section.label or section.variable,
        "summary",
        context.analysis.dataset,
        section.variable,
        tuple(rows),
        description=f"summary statistics{'; p-value: ' + _TESTS[section.test] if section.test else ''}",
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
        return [
            Level(label=label, where={variable: _as_held(frame, variable, value)})
            for value, label in section.levels.items()
        ]
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


@dataclass(frozen=True)
class _Categories:
    """Subjects by column: with the variable, by level, and those that percentages are of; the test, and why not."""

    known: Mapping[str, int]
    below: Mapping[str, int]
    levels: tuple[tuple[str, Mapping[str, int]], ...]
    test: Mapping[str, float | None] | None
    why: str | None


def categories_estimates(context: Prepared, section: CategoriesSection) -> Found:
    """Subjects by level and column: count and percentage, with Pearson's chi-square (uncorrected) or Fisher's test."""
    frame = context.chosen(section.where)
    what = f"analysis {context.analysis.id}"
    if section.variable is not None:
        context.need(frame, section.variable)
    known = frame.filter(pl.col(section.variable).is_not_null()) if section.variable is not None else frame
    seen = _by_column(context, known)
    below = seen if section.denominator == "observed" else sizes(context)
    levels = tuple(
        (level.label, _by_column(context, frame.filter(condition(level.where, frame, what))))
        for level in _levels(section, frame)
    )
    out = {
        Place("patients", arm_of(c), variable=section.variable): Estimate.of_count(f"patients, {c}", n, n)
        for c, n in seen.items()
    }
    for label, found in levels:
        out |= counted("patients", found, below, section.variable, label)
    test, why = None, None
    if section.test and (levels or section.show_n):
        cells = [[found[arm] for arm in context.arms] for _, found in levels]
        table = np.array(cells, dtype=np.float64).reshape(len(levels), len(context.arms))
        test, why = _compare_counts(table, section.test)
        name = section.test.replace("-", "_")
        out[Place(name, variable=section.variable)] = _tested(section.test, test, int(table.sum()), why)
    return Found(out, _Categories(seen, below, levels, test, why))


def categories_lines(context: Prepared, section: CategoriesSection, found: Found) -> Block:
    """Subjects by level and column: count and percentage."""
    made: _Categories = found.parts
    rows = []
    if section.show_n:
        rows.append(Row("n", {c: Cell(str(n), {"n": float(n)}, {"n": str(n)}) for c, n in made.known.items()}))
    for label, counts in made.levels:
        rows.append(Row(label, {c: share_of(n, made.below[c], section.decimals) for c, n in counts.items()}))
    if made.test is not None:
        rows[0] = Row(rows[0].label, {**rows[0].cells, TEST: cell_of(section.test_show, made.test)})
    return Block(
        section.label or section.variable or "",
        "categories",
        context.analysis.dataset,
        section.variable,
        tuple(rows),
        description=f"number and percentage{'; p-value: ' + _TESTS[section.test] if section.test else ''}",
        notes=(*((section.note,) if section.note else ()), *((made.why,) if made.why else ())),
    )


def _by_column(context: Prepared, frame: pl.DataFrame) -> dict[str, int]:
    return {c: _subjects(context.of(frame, c)) for c in context.counted()}


def _subjects(frame: pl.DataFrame) -> int:
    return frame["USUBJID"].n_unique() if frame.height else 0


def _compare_counts(table: FloatArray, test: str) -> tuple[dict[str, float | None], str | None]:
    """The test of a table of counts, and what is to be said of it: why there is none, or how it was made."""
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
        p, se = fisher_monte_carlo(table.astype(np.int64))
        size = f"{table.shape[0]} by {table.shape[1]} with {table.sum():.0f} subjects"
        return {"p": p}, (
            f"The table ({size}) is too large to count: Fisher's p-value from {DRAWN:,} tables drawn with its margins "
            f"(standard error {se:.2g})."
        )
    return {"p": p}, None


METHODS = (
    Method("summary", SummarySection, summary_estimates, summary_lines, "Summary statistics by group"),
    Method(
        "categories",
        CategoriesSection,
        categories_estimates,
        categories_lines,
        "Count and percentage by group",
        by_line=True,
    ),
)
