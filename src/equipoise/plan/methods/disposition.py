"""Who left the trial, when and why: counts by reason, and the two arms mirrored over time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import polars as pl
from pydantic import Field

from equipoise.files import Frozen
from equipoise.plan.methods.described import counted, sizes
from equipoise.plan.methods.registry import Found, Method
from equipoise.plan.methods.win import one_each
from equipoise.plan.parts import Section, Where, condition
from equipoise.plan.prepared import Prepared, others
from equipoise.plan.results import Block, Figure, Row, share_of


class Reason(Frozen):
    """A reason of leaving, and the conditions under which it was one."""

    label: str
    where: Where


class DispositionSection(Section):
    """Subjects who left by reason; ``reasons`` with conditions, or the values of the variable ``reason``.

    ``time``: when they left, in ``unit``. ``times``: ends of the periods of the figure. The first reason that holds
    counts; who has none stayed.
    """

    method: Literal["disposition"]
    time: str
    reasons: tuple[Reason, ...] | None = None
    reason: str = "DCSREAS"
    times: tuple[float, ...] | None = None
    unit: str = "weeks"
    decimals: int = Field(default=1, ge=0, le=4)


@dataclass(frozen=True)
class _Left:
    """Every subject with the reason of leaving (``__why__``, null: stayed); reasons in order; counts by column."""

    frame: pl.DataFrame
    order: tuple[str, ...]
    stayed: Mapping[str, int]
    left: Mapping[str, int]
    by_reason: Mapping[str, Mapping[str, int]]


def estimates(context: Prepared, section: DispositionSection) -> Found:
    """Subjects who stayed, and those who left by reason."""
    frame = context.chosen(section.where)
    one_each(context, frame)
    context.need(frame, section.time, numeric=True)
    if section.reasons is None:
        context.need(frame, section.reason)
        why = pl.col(section.reason).cast(pl.String)
    else:
        what = f"analysis {context.analysis.id}"
        why = pl.coalesce(
            [pl.when(condition(r.where, frame, what)).then(pl.lit(r.label)) for r in section.reasons]
        ).cast(pl.String)
    frame = frame.with_columns(why.alias("__why__"))
    found = frame["__why__"].drop_nulls()
    order = (
        [r.label for r in section.reasons] if section.reasons else found.value_counts(sort=True)["__why__"].to_list()
    )

    def count(part: pl.DataFrame) -> dict[str, int]:
        return {c: context.of(part, c).height for c in context.counted()}

    why_left = pl.col("__why__")
    made = _Left(
        frame,
        tuple(order),
        count(frame.filter(why_left.is_null())),
        count(frame.filter(why_left.is_not_null())),
        {label: count(frame.filter(why_left == label)) for label in order},
    )
    size = sizes(context)
    numbers = {**counted("stayed", made.stayed, size), **counted("left", made.left, size)}
    for label, counts in made.by_reason.items():
        numbers |= counted("left", counts, size, section.reason, label)
    return Found(numbers, made)


def lines(context: Prepared, section: DispositionSection, found: Found) -> Block:
    """Subjects who stayed, and those who left by reason."""
    made: _Left = found.parts
    size, frame = sizes(context), made.frame
    rows = []
    for indent, each in enumerate(({"Stayed": made.stayed, "Left": made.left}, made.by_reason)):
        for label, counts in each.items():
            cells = {c: share_of(n, size[c], section.decimals) for c, n in counts.items()}
            rows.append(Row(label, cells, indent=indent))
    figures = []
    control, labels = context.plan.treatment.reference, context.plan.treatment.labels
    if section.figure and frame["__why__"].null_count() < frame.height:
        for arm in others(context):
            both = frame.filter(pl.col(context.treatment).is_in([control, arm]))
            people = tuple(
                {
                    "arm": labels.get(r[context.treatment], r[context.treatment]),
                    "time": r[section.time],
                    "reason": r["__why__"],
                }
                for r in both.iter_rows(named=True)
            )
            options = {
                "arms": [labels.get(a, a) for a in (control, arm)],
                "unit": section.unit,
                "times": list(section.times) if section.times else None,
            }
            figures.append(Figure("dropout", section.label or "Who left, and why", people, options))
    return Block(
        section.label or "Disposition",
        "disposition",
        context.analysis.dataset,
        section.time,
        tuple(rows),
        description="number and percentage",
        notes=(section.note,) if section.note else (),
        figures=tuple(figures),
    )


METHODS = (Method("disposition", DispositionSection, estimates, lines, "Disposition by reason", by_line=True),)
