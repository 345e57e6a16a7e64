"""Survival over time: the published shares over the simulated Kaplan-Meier curves."""

from __future__ import annotations

import math

from equipoise.appraise import numbers
from equipoise.appraise.context import Context
from equipoise.appraise.sections.replica.words import known
from equipoise.document.document import CurvePanel, Curves, Figure, Inlines, Row, Series, Table, Text
from equipoise.document.text import lower, short, upper
from equipoise.records.schema import Sourced
from equipoise.replica.replica import Replica, ReplicaRow


def survival_figure(ctx: Context, replica: Replica) -> Figure | None:
    """One panel a set and end point, both arms in each; None where the replica has no such curves."""
    writer, f = ctx.writer, ctx.findings
    bands = [b for b in replica.bands if b.event is not None and b.weeks]
    if not bands:
        return None
    panels: list[CurvePanel] = []
    rows: list[Row] = []
    for outcome, group in dict.fromkeys((b.outcome, b.analysis_set) for b in bands):
        label = next((short(o.label) for o in ctx.record.outcomes if o.id == outcome), outcome)
        title = f"Free of {lower(label)}, {ctx.set_name(_published_set(ctx, replica, outcome, group))}"
        series: list[Series] = []
        found: list[Row] = []
        for arm in (f.active, f.control):
            role = "active" if arm.id == f.active.id else "control"
            band = next((b for b in bands if (b.outcome, b.analysis_set, b.arm) == (outcome, group, arm.id)), None)
            points = sorted(_points(replica, outcome, group, arm.id), key=lambda r: r.week or 0.0)
            if points:
                values = [100 * _free(r) for r in points]
                half = [100 * (r.published_se or 0.0) for r in points]
                low = tuple(max(v - h, 0.0) for v, h in zip(values, half, strict=True))
                high = tuple(min(v + h, 100.0) for v, h in zip(values, half, strict=True))
                weeks = tuple(float(r.week or 0.0) for r in points)
                series.append(Series(arm.label, "published", role, weeks, tuple(values), low, high))  # type: ignore[arg-type]
            if band is None:
                continue
            curve = tuple(tuple(100 * x for x in line) for line in (band.mean, band.low, band.high))
            series.append(Series(arm.label, "simulated", role, band.weeks, *curve))  # type: ignore[arg-type]
            found += [_row(ctx, arm.label, r) for r in points]
        panels.append(CurvePanel(title, "%", 100.0, False, tuple(series)))
        rows += [Row((writer.label(title),), heading=True), *found] if found else []
    columns = writer.heads("Arm and week", "Published", "Simulated, with 95 % range of one trial")
    caption = writer.words(
        "The published shares drawn, free of the event by the week, and the same shares of the simulated trials."
    )
    table = Table("t-survival", caption, columns, tuple(rows), (False, True, True))
    description = ctx.say("Line charts by week, one panel for each end point and set, {active} and {control} in each.")
    note = writer.say(
        "Lines and bands: mean and 95 % range of the Kaplan-Meier curves of {n} simulated trials. Points: published "
        "shares with one standard error; where they are shares of everyone at the end of a follow-up that differed "
        "from patient to patient, they need not lie on a curve.",
        n=writer.simulated(f"{replica.replicates:,}"),
    )
    heading = writer.words("Survival: the published shares over the simulated curves")
    return Figure(
        "fig-survival", heading, description, Curves(tuple(panels), f.active.label, f.control.label), note, table
    )


def _published_set(ctx: Context, replica: Replica, outcome: str, group: str) -> str:
    """The analysis set of the published shares, which may be simulated in everyone."""
    rows = [r for a in ctx.record.arms for r in _points(replica, outcome, group, a.id)]
    sets = {group if (found := known(ctx, r.result)) is None else found.set for r in rows}
    return sets.pop() if len(sets) == 1 else group


def _points(replica: Replica, outcome: str, group: str, arm: str) -> list[ReplicaRow]:
    return [
        r
        for r in replica.rows
        if (r.outcome, r.analysis_set, r.arm, r.scale) == (outcome, group, arm, "percent") and r.week is not None
    ]


def _free(r: ReplicaRow) -> float:
    """The published share without the event, from the share with it or without it."""
    return r.published if r.key.quantity == "survival" else 1 - r.published


def _row(ctx: Context, arm: str, r: ReplicaRow) -> Row:
    writer = ctx.writer
    ends = (r.simulated, r.simulated_low, r.simulated_high)
    mean, low, high = ends if r.key.quantity == "survival" else (1 - ends[0], 1 - ends[2], 1 - ends[1])
    published: Inlines = (Text("–"),)
    if r.confidence != "recall" and r.source in ctx.record.sources:
        confidence = r.confidence if r.key.quantity == "survival" else "derived"
        sourced = Sourced(source=r.source, place=r.place or None, confidence=confidence)  # type: ignore[arg-type]
        published = (writer.cite(numbers.percent(_free(r)), sourced),)
    simulated: Inlines = (Text("–"),)
    if math.isfinite(mean):
        text = f"{numbers.percent(mean)} ({numbers.percent(low)} to {numbers.percent(high)})"
        simulated = (writer.simulated(text),)
    assert r.week is not None
    return Row((upper(writer.label(f"{arm}, {ctx.record.when(r.week)}")), published, simulated))
