"""Who left the trial, when and why: counts by reason, and the two arms mirrored over time."""

from __future__ import annotations

from typing import Literal

import polars as pl
from pydantic import Field, field_validator

from equipoise.files import Frozen
from equipoise.plan.methods.registry import entry
from equipoise.plan.methods.win import one_each
from equipoise.plan.parts import Section, Where, check_where, condition
from equipoise.plan.prepared import Context, others
from equipoise.plan.results import Block, Figure, Row, share_of


class Reason(Frozen):
    """A reason of leaving, and the conditions under which it was one."""

    label: str
    where: Where

    _where = field_validator("where")(check_where)


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


def disposition(context: Context, section: DispositionSection) -> Block:
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
    size = {c.name: c.n or 0 for c in context.columns if c.n is not None}
    found = frame["__why__"].drop_nulls()
    order = (
        [r.label for r in section.reasons] if section.reasons else found.value_counts(sort=True)["__why__"].to_list()
    )

    def count(part: pl.DataFrame, label: str) -> Row:
        return Row(label, {c: share_of(context.of(part, c).height, size[c], section.decimals)
                           for c in context.counted()}, indent=int(label in order))  # fmt: skip

    left = frame.filter(pl.col("__why__").is_not_null())
    rows = [count(frame.filter(pl.col("__why__").is_null()), "Stayed"), count(left, "Left")]
    rows += [count(left.filter(pl.col("__why__") == label), label) for label in order]
    figures = []
    control, labels = context.plan.treatment.reference, context.plan.treatment.labels
    if section.figure and left.height:
        for arm in others(context):
            both = frame.filter(pl.col(context.treatment).is_in([control, arm]))
            people = tuple(
                {"arm": labels.get(r[context.treatment], r[context.treatment]), "time": r[section.time],
                 "reason": r["__why__"]}
                for r in both.iter_rows(named=True)
            )  # fmt: skip
            options = {"arms": [labels.get(a, a) for a in (control, arm)], "unit": section.unit,
                       "times": list(section.times) if section.times else None}  # fmt: skip
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


METHODS = (entry("disposition", DispositionSection, disposition, "Disposition by reason", by_line=True),)
