"""Laboratory values and vital signs in a plan: each visit's value and change from baseline, by arm."""

from __future__ import annotations

import math
from typing import Literal

import polars as pl
from pydantic import Field, model_validator

from equipoise.errors import DataError, NoVisitError
from equipoise.estimate.result import Estimate
from equipoise.plan.methods.described import arm_of, described
from equipoise.plan.methods.descriptive import DESCRIBED, describe, numbers
from equipoise.plan.methods.registry import Found, Method, Place
from equipoise.plan.ordering import levels_in_order
from equipoise.plan.parts import Section, Show, known_statistics
from equipoise.plan.prepared import Prepared
from equipoise.plan.results import Block, Row, cell_of

_VALUE = (
    Show(label="n", show="{n}"),
    Show(label="Mean (SD)", show="{mean:1} ({sd:2})"),
    Show(label="Median", show="{median:1}"),
    Show(label="Min; max", show="{min:1}; {max:1}"),
)


class ByVisitSection(Section):
    """Statistics of a ``value`` at every ``visit`` of the records, and of its ``change`` where there is one.

    visits : those that are shown, in this order; None for all. change : None for the value alone. Each subject has one
    record a visit.
    """

    method: Literal["by_visit"]
    value: str = "AVAL"
    change: str | None = "CHG"
    visit: str = "AVISIT"
    visits: tuple[str, ...] | None = Field(default=None, min_length=1)
    statistics: tuple[Show, ...] = _VALUE
    change_statistics: tuple[Show, ...] | None = None
    change_label: str = "Change from baseline"

    @model_validator(mode="after")
    def _known(self) -> ByVisitSection:
        known_statistics([*self.statistics, *(self.change_statistics or ())], DESCRIBED)
        return self


def estimates(context: Prepared, section: ByVisitSection) -> Found:
    """Every statistic by visit, variable and column.

    Raises
    ------
    DataError : a variable is not there, or a subject has two records at a visit. NoVisitError : a visit is not there.
    """
    frame, what = context.chosen(section.where), f"analysis {context.analysis.id}"
    context.need(frame, section.visit)
    variables = [section.value, *([section.change] if section.change is not None else [])]
    for name in variables:
        context.need(frame, name, numeric=True)
    frame = frame.drop_nulls(section.visit)
    there = [str(v) if not isinstance(v, float) else f"{v:g}" for v in levels_in_order(frame, section.visit)]
    absent = [v for v in section.visits or () if v not in there]
    if absent:
        raise NoVisitError(f"{what}: there is no visit {absent[0]!r}", hint="there are " + ", ".join(there))
    named = pl.col(section.visit).cast(pl.String)
    if frame.schema[section.visit].is_float():
        named = pl.col(section.visit).map_elements(lambda v: f"{v:g}", return_dtype=pl.String)
    frame = frame.with_columns(named.alias("__visit__"))
    wanted = list(section.visits or there)
    doubled = frame.filter(pl.col("__visit__").is_in(wanted) & pl.struct(["USUBJID", "__visit__"]).is_duplicated())
    if doubled.height:
        row = doubled.row(0, named=True)
        raise DataError(
            f"{what}: {row['USUBJID']} has more than one record at {row['__visit__']}",
            hint="choose one by where: (ANL01FL: Y, ATPTN ...), or make groups of them with by:",
        )
    out: dict[Place, Estimate] = {}
    parts = []
    for visit in wanted:
        here, shown = frame.filter(pl.col("__visit__") == visit), {}
        for name in variables:
            found = {}
            for column in context.counted():
                part = context.of(here, column)
                found[column] = describe(numbers(part, name), part.height)
                for statistic, value in found[column].items():
                    out[Place(statistic, arm_of(column), visit, name)] = described(
                        f"{statistic} of {name} at {visit}, {column}",
                        "description",
                        [math.nan if value is None else value],
                        int(found[column]["n"] or 0),
                        scale=statistic,
                    )
            shown[name] = found
        parts.append((visit, shown))
    return Found(out, parts)


def lines(context: Prepared, section: ByVisitSection, found: Found) -> Block:
    """For each visit the statistics of the value, then those of the change, but at baseline."""
    rows: list[Row] = []
    for visit, shown in found.parts:
        rows.append(Row(visit, {}))
        rows += [
            Row(line.label, {c: cell_of(line.show, s) for c, s in shown[section.value].items()}, indent=1)
            for line in section.statistics
        ]
        change = shown.get(section.change, {})
        if not any(s["n"] and (s["min"], s["max"]) != (0.0, 0.0) for s in change.values()):  # none yet, at baseline
            continue
        rows += [
            Row(
                f"{section.change_label}: {line.label}", {c: cell_of(line.show, s) for c, s in change.items()}, indent=1
            )
            for line in section.change_statistics or section.statistics
        ]
    return Block(
        section.label or section.value,
        "by_visit",
        context.analysis.dataset,
        section.value,
        tuple(rows),
        description=f"{section.value} by {section.visit}"
        + (f", and {section.change}" if section.change is not None else ""),
        notes=(section.note,) if section.note else (),
    )


METHODS = (Method("by_visit", ByVisitSection, estimates, lines, "Value and change by visit", by_line=True),)
