"""The results: a forest plot, the published curves over the simulated bands, and every analysis in tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from equipoise.appraise import numbers
from equipoise.appraise.context import POINTS, Context
from equipoise.appraise.findings import usable
from equipoise.appraise.tables import cell, contrast_cell, events_table, result_label, results_table
from equipoise.document.document import (
    Block,
    CurvePanel,
    Curves,
    Figure,
    Fold,
    Forest,
    ForestPanel,
    Inlines,
    Interval,
    Paragraph,
    Row,
    Section,
    Series,
    Table,
    Text,
)
from equipoise.document.text import joined, lower, short, upper
from equipoise.records.schema import Curve, Result, Value
from equipoise.replica.replica import Band


def build(ctx: Context) -> Section:
    """Figures first, then the table of the randomised period; what came after it and beside it is folded away."""
    writer = ctx.writer
    blocks: list[Block] = []
    forest = forest_figure(ctx)
    if forest is not None:
        blocks.append(forest)
    if curves := curves_figure(ctx, "randomised"):
        blocks.append(curves)
    after = curves_figure(ctx, "early_delayed")
    order = {o.id: (o.test_order or 99, i) for i, o in enumerate(ctx.record.outcomes)}
    shown = sorted(
        (r for r in ctx.record.results if r.usable or usable(r.contrast) or any(v.usable for v in r.arms.values())),
        key=lambda r: (r.comparison != "randomised", float(r.week) if r.week is not None else 1e9, order[r.outcome]),
    )
    sequence = {o.id for o in ctx.record.outcomes if o.test_order or o.role == "primary"}
    first = [r for r in shown if r.role == "main" and r.comparison == "randomised"]
    main = [r for r in first if r.outcome in sequence] or first
    beside = [r for r in first if r not in main]
    later = [r for r in shown if r.role == "main" and r.comparison != "randomised"]
    rest = [r for r in shown if r.role != "main"]
    parts = (
        (
            "t-results",
            "randomised",
            writer.words("The randomised period" if ctx.record.design.randomised else "The results"),
            main,
            False,
        ),
        (
            "t-beside",
            "exploratory",
            writer.words("Outcomes outside the sequence of tests" if ctx.sequence else "The other outcomes"),
            beside,
            True,
        ),
        ("t-later", "after-switch", writer.words("After the switch: early against delayed start"), later, True),
        ("t-other", "sensitivity", writer.words("Sensitivity analyses and subgroups"), rest, True),
    )
    for id, fold, title, results, folded in parts:
        if not results:
            continue
        caption = writer.say(
            "{t}. Values as published; a contrast is {v}, and each P value stands with its own test.",
            t=title,
            v=_against(ctx, results),
        )
        shown_in: list[Block] = [results_table(ctx, id, caption, results)]
        if id == "t-later" and after is not None:
            shown_in, after = [after, *shown_in], None
        # where the forest plot shows the same contrasts, the table is there to look things up
        blocks.extend([Fold(fold, title, tuple(shown_in))] if folded or forest is not None else shown_in)
    if after is not None:
        blocks.append(Fold("after-switch", writer.words("After the switch: early against delayed start"), (after,)))
    events = events_table(ctx)
    if events is not None:
        blocks.append(Fold("events", writer.words("Events and withdrawals"), (events,)))
    if not blocks:
        blocks.append(Paragraph(writer.words("The record holds no results.")))
    return Section("results", writer.words("Results"), tuple(blocks))


def _against(ctx: Context, results: Sequence[Result]) -> Inlines:
    """What a contrast of these results sets against what."""
    arms = ctx.say("{active} against {control}")
    if len(ctx.findings.arms) > 2:
        arms = (*arms, *ctx.writer.words(" unless the row names another arm"))
    if any(ctx.of_groups(r) for r in results):
        arms = (*arms, *ctx.writer.words(", or of the groups that the row names, as the registry gives it"))
    late = {r.comparison == "early_delayed" for r in results}
    if late == {True}:
        return ctx.writer.words("early against delayed start")
    return (
        (*arms, *ctx.writer.words(", after the switch early against delayed start")) if late == {True, False} else arms
    )


_MOST = 9
"""Lines of one forest panel; a longer one keeps the primary week and the week of the main later comparison."""


# -- forest --------------------------------------------------------------------------------------------------------


def forest_figure(ctx: Context) -> Figure | None:
    """Main contrasts by outcome: differences in a panel each, ratios of markers together, hazard ratios together."""
    writer, f = ctx.writer, ctx.findings
    chosen = [
        r
        for r in ctx.record.results
        if r.role == "main" and usable(r.contrast) and (_bounded(r) or ctx.formal(r)) and f.of_arms(r)
    ]
    sequence = {o.id for o in ctx.record.outcomes if o.test_order or o.role == "primary"}
    chosen = [r for r in chosen if r.outcome in sequence] or chosen
    if not chosen:
        return None
    groups: dict[tuple[str, str, str], list[Result]] = {}  # an axis has one unit
    for r in chosen:
        assert r.contrast is not None
        unit = ctx.unit(ctx.record.outcome(r.outcome), r) if r.contrast.kind == "difference" else ""
        groups.setdefault((r.outcome, r.contrast.kind, unit), []).append(r)
    order = {o.id: (o.role != "primary", o.test_order or 99, i) for i, o in enumerate(ctx.record.outcomes)}
    panels, rows = [], []
    for results in sorted(groups.values(), key=lambda g: min(order[r.outcome] for r in g)):
        results.sort(key=lambda r: (order[r.outcome], float(r.week or 1e9), _place(ctx, r)))
        if len(results) > _MOST:
            weeks = {f.week, *(r.week for r in f.later_pair() if r is not None)}
            results = ([r for r in results if r.week in weeks] or results)[:_MOST]
        first = results[0]
        assert first.contrast is not None
        outcome = ctx.record.outcome(first.outcome)
        kind = first.contrast.kind
        axis_unit = outcome.unit
        gap = ctx.gap_unit(outcome, first).strip()
        if first.measure == "rate_of_change" or (ctx.record.origin == "posted" and gap == POINTS):
            axis_unit = gap
        title = ctx.called(outcome.id)
        if axis_unit and sum(o == outcome.id and k == kind for o, k, _ in groups) > 1:
            title = f"{title}, {axis_unit}"
        up = kind != "hazard_ratio" and outcome.direction == "higher_better"
        known = outcome.direction != "not_stated"
        means = any(r.measure in ("geometric_mean_ratio", "geometric_mean") for r in results)
        panels.append(
            ForestPanel(
                title=title,
                axis={
                    "difference": f"difference, {axis_unit}" if axis_unit else "difference",
                    "ratio": "ratio of geometric means" if means else "ratio",
                    "hazard_ratio": "hazard ratio",
                }[kind],
                null=first.contrast.null,
                log=kind != "difference",
                better_low=f"favours {ctx.control if up else ctx.active}" if known else "",
                better_high=f"favours {ctx.active if up else ctx.control}" if known else "",
                intervals=tuple(_interval(ctx, r) for r in results),
            )
        )
        rows.append(Row((writer.label(title),), heading=True))
        rows.extend(
            Row((result_label(ctx, r, outcome=False), contrast_cell(ctx, r), writer.words(ctx.status(r))))
            for r in results
            if r.contrast is not None
        )
    usual = all(not numbers.level(r.contrast) for r in chosen if r.contrast is not None)
    intervals = "95 % intervals" if usual else "95 % intervals unless another level is named"
    table = Table(
        "t-forest",
        ctx.say("Contrasts, {active} against {control}, with {i}.", i=writer.words(intervals)),
        writer.heads("Analysis", "Contrast (95 % interval)", "Standing"),
        tuple(rows),
        (False, True, False),
    )
    caption = writer.words(
        f"Squares and the diamond are estimates, lines are {intervals}; an arrow means that the interval goes on. "
        "The vertical line is no effect."
    )
    if f.met is False and f.test is not None and f.test.status == "formal" and len(chosen) > 1:
        formal = [r for r in chosen if ctx.formal(r)]
        caption = (
            *caption,
            *writer.words(
                " Only the primary analysis was a formal test; nothing else here can confirm anything."
                if len(formal) < 2
                else " Formal tests are marked as such in the table; nothing else here can confirm anything."
            ),
        )
    if any(
        r.week is not None and f.week is not None and r.week > f.week and r.comparison == "early_delayed"
        for r in chosen
    ):
        caption = (*caption, *writer.words(" Later weeks compare early with delayed start."))
    description = writer.say(
        "Forest plot. {p} The analyses follow by outcome, set and week; the table below holds the same numbers.",
        p=_forest_words(ctx),
    )
    return Figure(
        "fig-forest",
        writer.words("The main contrasts with their intervals"),
        description,
        Forest(tuple(panels)),
        caption,
        table,
    )


def _forest_words(ctx: Context) -> Inlines:
    f, writer = ctx.findings, ctx.writer
    if f.contrast is None:
        return ()
    side = f.favourable(f.primary) if f.primary is not None else None
    null, value = f.contrast.null, f.contrast.value
    beside = "at no effect" if value == null else "above no effect" if (value or 0.0) > null else "below no effect"
    where = {True: "on the side of {a}", False: "on the side of {c}", None: beside}[side]
    crosses = ", and its interval crosses no effect" if ctx.includes_null(f.contrast) else ""
    return writer.say("The primary estimate lies " + where + crosses + ".", a=ctx.active, c=ctx.control)


def _bounded(r: Result) -> bool:
    return r.contrast is not None and r.contrast.low is not None and r.contrast.high is not None


def _place(ctx: Context, r: Result) -> tuple[bool, int, bool]:
    sets = [s.id for s in ctx.record.sets]
    return (r.set != ctx.findings.set, sets.index(r.set) if r.set in sets else 99, ctx.findings.planned(r) is False)


def _interval(ctx: Context, r: Result) -> Interval:
    assert r.contrast is not None
    assert r.contrast.value is not None
    c = r.contrast
    label = ctx.set_name(r.set) if not ctx.is_all(r.set) else "all randomised"
    if r.week is not None:
        label = f"{label}, {ctx.record.when(r.week)}"
    elif r.cut is not None:
        year = next((cut.date[:4] for cut in ctx.record.cuts if cut.id == r.cut), "")
        label = f"{label}, {year}" if year else label
    if _adjusted(ctx, r.method):
        label = f"{label}, adj. NfL"
    return Interval(
        _clip(label[:1].upper() + label[1:], 40),
        numbers.contrast(c),
        float(c.value or 0.0),
        None if c.low is None else float(c.low),
        None if c.high is None else float(c.high),
        ctx.tone(r),
    )


def _adjusted(ctx: Context, method: str | None) -> bool:
    """Whether a method adjusts for the marker."""
    found = None if method is None else ctx.findings.method(method)
    return found is not None and found.adjusts_nfl


def _clip(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1].rstrip(" ,") + "…"


# -- curves --------------------------------------------------------------------------------------------------------


def curves_figure(ctx: Context, comparison: str) -> Figure | None:
    """Published values over time with their spread, over the replica's bands where there are any."""
    writer, f = ctx.writer, ctx.findings
    pairs: dict[tuple[str, str], dict[str, Curve]] = {}
    for curve in ctx.record.curves:
        if curve.comparison == comparison and curve.measure != "survival" and curve.usable and len(curve.weeks) > 1:
            pairs.setdefault((curve.outcome, curve.set), {}).setdefault(curve.arm, curve)
    arms = (f.active, f.control)
    panels: list[CurvePanel] = []
    drawn: list[tuple[str, str, dict[str, Curve]]] = []
    simulated = False
    for (outcome_id, set_id), curves in pairs.items():
        outcome = ctx.record.outcome(outcome_id)
        series: list[Series] = []
        ratio = False
        for arm in arms:
            role: Literal["active", "control"] = "active" if arm.id == f.active.id else "control"
            own = curves.get(arm.id)
            if own is None:
                continue
            ratio = own.measure == "geometric_mean_ratio"
            points = [p for p in own.points() if p.confidence not in (None, "recall")]
            low = [p.value - p.se if p.se is not None else p.low for p in points]
            high = [p.value + p.se if p.se is not None else p.high for p in points]
            series.append(
                Series(
                    arm.label,
                    "published",
                    role,
                    tuple(p.week for p in points),
                    tuple(p.value for p in points),
                    tuple(low),
                    tuple(high),
                )
            )
            band = band_of(ctx, own)
            if band is not None:
                simulated = True
                series.append(Series(arm.label, "simulated", role, band.weeks, band.mean, band.low, band.high))
        if not series:
            continue
        title = f"{short(outcome.label)}, {ctx.set_name(set_id)}"
        if all(_adjusted(ctx, c.method) for c in curves.values()):
            title += ", adjusted for NfL"
        axis = "ratio to baseline" if ratio else f"change, {outcome.unit}" if outcome.unit else "change"
        panels.append(CurvePanel(title, axis, 1.0 if ratio else 0.0, ratio, tuple(series)))
        drawn.append((title, axis, curves))
    if not panels:
        return None
    rows: list[Row] = []
    for title, axis, curves in drawn:
        rows.append(Row((writer.label(f"{title}: {axis}"),), heading=True))
        rows.extend(_curve_rows(ctx, curves, simulated))
    late = comparison != "randomised"
    spread = "points with one standard error, or with the 95 % interval where only that was printed"
    caption = writer.words(f"Published values: {spread}. ")
    if any(c.confidence == "curve" for curves in pairs.values() for c in curves.values()):
        caption = (*caption, *writer.words("Most were read off plots and are approximate. "))
    if simulated and ctx.replica is not None:
        caption = (
            *caption,
            *writer.say(
                "Lines and bands: mean and 95 % range of {n} simulated trials, in which a single real trial should "
                "almost always lie if the rebuilt trial is right.",
                n=writer.simulated(f"{ctx.replica.replicates:,}"),
            ),
        )
        if late and f.week is not None:
            more = " Nothing after {w} entered the fit, so that the later points are a check."
        else:
            more = " The replica was fitted to these points: that they agree shows that it can describe them, no more."
        caption = (*caption, *writer.say(more, w=ctx.week(f.week)))
    elif not late and ctx.replica is None:
        caption = (*caption, *writer.words("Without the replica there are no simulated bands."))
    columns = [writer.words("Week")]
    for arm in arms:
        name = short(arm.delayed_label or arm.label) if late else arm.label
        columns.append(writer.label(name))
        if simulated:
            columns.append(writer.say("{a}, simulated", a=name))
    id = "fig-later" if late else "fig-curves"
    drawn_values = writer.words("The values drawn after the switch, by week." if late else "The values drawn, by week.")
    table = Table(f"t-{id}", drawn_values, tuple(columns), tuple(rows), (False, *(True for _ in columns[1:])))
    if late:
        heading = writer.words("After the switch: early and delayed start")
    elif simulated:
        heading = writer.words("The published curves over the simulated bands")
    else:
        heading = writer.words("The published curves")
    description = writer.say(
        "Line charts by week, one panel for each outcome and set, {a} and {c} in each. {w}",
        a=lower(short(f.active.delayed_label or f.active.label)) if late else ctx.active,
        c=lower(short(f.control.delayed_label or f.control.label)) if late else ctx.control,
        w=_curve_words(ctx, panels),
    )
    names = (f.active.delayed_label or f.active.label, f.control.delayed_label or f.control.label)
    if not late:
        names = (f.active.label, f.control.label)
    return Figure(id, heading, description, Curves(tuple(panels), *names), caption, table)


def _curve_words(ctx: Context, panels: Sequence[CurvePanel]) -> Inlines:
    parts = []
    for panel in panels:
        last = {s.arm: s.values[-1] for s in panel.series if s.kind == "published" and s.values}
        if len(last) == 2:
            side = "above" if last["active"] > last["control"] else "below"
            parts.append(ctx.writer.say("{t}: {a} ends " + side + " {c}", t=panel.title, a=ctx.active, c=ctx.control))
    return (*joined(parts, "; "), Text(".")) if parts else ()


def band_of(ctx: Context, curve: Curve) -> Band | None:
    """The simulated band that belongs to a published curve: the same outcome, set, arm and kind of analysis."""
    if ctx.replica is None:
        return None
    results = {r.id: r for r in ctx.record.results}
    rest = None
    for band in ctx.replica.bands:
        if (band.outcome, band.analysis_set, band.arm) != (curve.outcome, curve.set, curve.arm):
            continue
        known = results.get(band.analysis)
        if known is not None and (known.method, known.comparison) == (curve.method, curve.comparison):
            return band
        if known is None and curve.comparison == "randomised" and rest is None:
            rest = band
    return rest


def _curve_rows(ctx: Context, curves: dict[str, Curve], simulated: bool) -> list[Row]:
    index = ctx.writer.index
    out = []
    for week in sorted({float(w) for c in curves.values() for w in c.weeks}):
        cells: list[Inlines] = [upper(ctx.week(week))]
        for arm in (ctx.findings.active, ctx.findings.control):
            curve = curves.get(arm.id)
            entry = None if curve is None else index.get(f"{curve.id}.w{week:g}")
            floor = 2 if curve is not None and curve.measure == "geometric_mean_ratio" else 0
            sourced = None if entry is None else entry.sourced
            cells.append(cell(ctx, sourced if isinstance(sourced, Value) else None, floor))
            if simulated:
                cells.append(_band_cell(ctx, None if curve is None else band_of(ctx, curve), week, floor))
        out.append(Row(tuple(cells)))
    return out


def _band_cell(ctx: Context, band: Band | None, week: float, floor: int) -> Inlines:
    if band is None or week not in band.weeks:
        return (Text("–"),)
    i = band.weeks.index(week)
    digits = max(floor, 1)
    text = f"{numbers.number(band.mean[i], digits)} ({numbers.span(band.low[i], band.high[i], digits)})"
    return (ctx.writer.simulated(text),)
