"""Shift tables in a plan: what became of each baseline category, by arm."""

from __future__ import annotations

from typing import Literal

import numpy as np
import polars as pl
from pydantic import Field

from equipoise.errors import DataError
from equipoise.estimate.categorical.cmh import statistic
from equipoise.estimate.result import Estimate
from equipoise.plan.methods.described import counted
from equipoise.plan.methods.registry import Found, Method, Place, Test
from equipoise.plan.ordering import levels_in_order
from equipoise.plan.parts import Section
from equipoise.plan.prepared import TEST, Prepared
from equipoise.plan.results import Block, Row, cell_of, share_of
from equipoise.types import Status

_CMH = "Cochran-Mantel-Haenszel, stratified by the baseline category"


class ShiftSection(Section):
    """Subjects by the category at ``baseline`` (BNRIND) and at the record (``variable``, ANRIND), by arm.

    levels : the categories in their order. visit : a variable of the records; a table for every visit, else one record
    a subject. Percentages are of the subjects of the arm with that baseline. test : whether the arms differ in what
    became of a baseline category, by Cochran, Mantel and Haenszel's general association.
    """

    method: Literal["shift"]
    variable: str = "ANRIND"
    baseline: str = "BNRIND"
    levels: tuple[str, ...] | None = None
    visit: str | None = None
    test: Literal["cmh"] | None = None
    decimals: int = Field(default=1, ge=0, le=4)


def _named(level: object) -> str:
    """A category as it is written: 1 for 1.0."""
    return f"{level:g}" if isinstance(level, float) else str(level)


def _as_text(values: pl.Series) -> pl.Series:
    return pl.Series(values.name, [_named(v) for v in values], dtype=pl.String)


def estimates(context: Prepared, section: ShiftSection) -> Found:
    """Subjects by visit, baseline category and category, and the tests over all arms.

    Raises
    ------
    DataError : a variable is not there, a subject has two records, or ``levels`` lacks one that occurs.
    """
    frame = context.chosen(section.where)
    what = f"analysis {context.analysis.id}"
    for name in ("USUBJID", section.variable, section.baseline, section.visit):
        if name is not None:
            context.need(frame, name)
    known = frame.drop_nulls([section.variable, section.baseline])
    keys = ["USUBJID", *([section.visit] if section.visit else [])]
    doubled = known.filter(pl.struct(keys).is_duplicated())
    if doubled.height:
        hint = "choose one by where:, or name visit:" if section.visit is None else "see where: in the plan"
        raise DataError(f"{what}: {doubled['USUBJID'][0]} has more than one record", hint=hint)
    there = [_named(v) for name in (section.baseline, section.variable) for v in levels_in_order(known, name)]
    order = list(section.levels or dict.fromkeys(there))
    absent = [v for v in there if v not in order]
    if absent:
        raise DataError(f"{what}: levels lacks {absent[0]!r}", hint="list all: " + ", ".join(dict.fromkeys(there)))
    known = known.with_columns(
        _as_text(known[section.variable]).alias("__to__"), _as_text(known[section.baseline]).alias("__from__")
    )
    visits = levels_in_order(known, section.visit) if section.visit else [None]
    out: dict[Place, Estimate] = {}
    parts = []
    for visit in visits:
        here = known if visit is None else known.filter(pl.col(str(section.visit)) == visit)
        label = None if visit is None else f"{visit:g}" if isinstance(visit, float) else str(visit)
        cells = []
        for was in order:
            group = here.filter(pl.col("__from__") == was)
            below = {c: context.of(group, c).height for c in context.counted()}
            for now in order:
                own = {c: context.of(group.filter(pl.col("__to__") == now), c).height for c in context.counted()}
                made = counted("patients", own, below, section.variable, f"{was} to {now}")
                out |= {p._replace(visit=label): e for p, e in made.items()}
                cells.append((was, now, own, below))
        test = None
        if section.test:
            shape = np.array([[[own[a] for w, n, own, _ in cells if w == was] for a in context.arms] for was in order])
            q, df = statistic(
                shape.astype(np.float64), "general", np.arange(float(len(context.arms))), np.arange(float(len(order)))
            )
            from scipy import special

            p = float(special.chdtrc(df, q)) if df else float("nan")
            test = Estimate.of_test(
                "all arms",
                f"{_CMH}, {df} df",
                p,
                int(shape.sum()),
                statistic=q,
                df=float(df),
                detail=None if df else "not estimable: nothing varies between the arms",
                status=Status.OK if df else Status.SINGULAR,
            )
            out[Place("cmh", visit=label, variable=section.variable)] = test
        parts.append((label, cells, test))
    lost = frame.height - known.height
    return Found(out, (order, parts, lost))


def lines(context: Prepared, section: ShiftSection, found: Found) -> Block:
    """For each visit and baseline category, where its subjects went."""
    order, parts, lost = found.parts
    rows: list[Row] = []
    for label, cells, test in parts:
        deep = 0 if label is None else 1
        if label is not None:
            rows.append(Row(label, {}))
        for was in order:
            own = [c for c in cells if c[0] == was]
            below = own[0][3]
            if not any(below.values()):
                continue
            head = {c: cell_of("{n}", {"n": float(n)}) for c, n in below.items()}
            if test is not None:
                head[TEST] = cell_of("{p:p4}", {"p": test.p if test.estimable else None})
                test = None
            rows.append(Row(f"Baseline {was}, n", head, indent=deep))
            rows += [
                Row(now, {c: share_of(k, below[c], section.decimals) for c, k in counts.items()}, indent=deep + 1)
                for _, now, counts, _ in own
            ]
    told = f"{section.baseline} to {section.variable}; percentages of subjects with that baseline"
    return Block(
        section.label or f"Shift of {section.variable}",
        "shift",
        context.analysis.dataset,
        section.variable,
        tuple(rows),
        description=told + (f"; p-value: {_CMH}" if section.test else ""),
        notes=(
            *((section.note,) if section.note else ()),
            *((f"{lost} records without a category or a baseline are left out.",) if lost else ()),
        ),
    )


METHODS = (
    Method("shift", ShiftSection, estimates, lines, "Shift from baseline", by_line=True, tests=(Test("cmh", None),)),
)
