"""Tables of the page: results, baseline, events, adverse events."""

from __future__ import annotations

import re
from collections.abc import Sequence

from equipoise.appraise import numbers, units
from equipoise.appraise.context import POINTS, Context, title_words
from equipoise.appraise.estimates import LABELS
from equipoise.document.document import Inlines, Row, Table, Text, quiet
from equipoise.document.text import joined, lower, short, upper
from equipoise.records.schema import BaselineRow, PValue, Result, Sourced, Value

DASH: Inlines = (Text("–"),)


def cell(ctx: Context, value: Value | None, floor: int = 0, sd_floor: int = 0, unit: str = "") -> Inlines:
    """A value with its spread, linked; a dash where there is none that may be shown. Read off a curve: ``≈``."""
    if value is None or not value.usable:
        return DASH
    text = numbers.spread(value, floor, sd_floor)
    if text == "not stated":
        return DASH
    text += unit
    return (ctx.writer.cite(f"≈{numbers.THIN}{text}" if value.confidence == "curve" else text, value),)


def p_cell(ctx: Context, ps: Sequence[PValue]) -> Inlines:
    """Every p-value with the test it came from."""
    parts = [(*ctx.p(p, exact=True), Text(" "), *ctx.test_label(p.method)) for p in ps if p.usable]
    return joined(parts, "; ") if parts else DASH


def data_of(ctx: Context, cut: str | None) -> Inlines:
    """``data of 16 January 2022``: the cut of the data behind a count or an estimate."""
    date = ctx.cut_date(cut)
    return ctx.writer.say("data of {d}", d=date) if date else ()


_COUNTED = re.compile(r",?\s*\bn\s*=\s*\d+(?:\s*,\s*\d+)*")
"""People by group that a registry's row repeats in its name."""


def result_label(ctx: Context, r: Result, *, outcome: bool = True, week: bool = True) -> Inlines:
    """Outcome, set, week, part of the set."""
    writer = ctx.writer
    out: list[Inlines] = []
    if outcome:
        out.append(writer.label(ctx.called(r.outcome)))
    out.append(writer.label(ctx.set_name(r.set)))
    if week and r.week is not None:
        out.append(ctx.week(r.week))
    method = ctx.findings.method(r.method)
    if r.role == "sensitivity" and method is not None and method.family == "reference_based":
        out.append(writer.quote(lower(method.label), method) or ())
    elif method is not None and method.adjusts_nfl:
        out.append(writer.words("adjusted for NfL"))
    if r.row and (row := writer.quote(_COUNTED.sub("", r.row), _beside(r))):
        out.append(row)
    if groups := ctx.of_groups(r):
        out.append(groups)
    if r.subset and (subset := writer.quote(r.subset, r)):
        out.append(subset)
    if r.week is None and (cut := data_of(ctx, r.cut)):
        out.append(cut)
    label: Inlines = ()
    for i, part in enumerate(out):
        label = (*label, *((Text(", "),) if i else ()), *part)
    return upper(_named(ctx, label))


def _named(ctx: Context, label: Inlines) -> Inlines:
    """The name of a row: that of a registry without links, since its numbers are words and its values lead on."""
    return quiet(label) if ctx.record.origin == "posted" else label


def _beside(r: Result) -> Sourced:
    """A value that stands in the row of a result; the result itself where none does."""
    held = (v for v in (*r.arms.values(), *r.groups.values(), *r.p) if v.usable and v.source is not None)
    return next(held, r)


def _shows(ctx: Context, r: Result) -> bool:
    """Whether a row would hold a number; a registry posts values of groups that are no arm of the comparison."""
    if ctx.record.origin != "posted" or len(ctx.record.arms) < 2:
        return True
    values = [r.arms.get(a.id) for a in ctx.findings.arms]
    told = any(v is not None and v.usable and numbers.spread(v) != "not stated" for v in values)
    return told or any(p.usable for p in r.p) or (r.contrast is not None and r.contrast.usable)


_MEASURES = {"responders": "share who improved", "percent_change": "change from baseline, as a percentage"}
"""What the arms' values are where they are not the outcome's usual ones."""

_SUMMARIES = {
    "median": "median",
    "rate_of_change": "rate of change",
    "adjusted_mean": "adjusted mean",
    "adjusted_mean_change": "adjusted mean change from baseline",
    "mean_change": "mean change from baseline",
    "rank_only": "by ranks",
    "time_to_event": "people with the event",
}
"""What the arms' values are, said where one outcome is told in more than one way at the same time."""


def _summary(ctx: Context, r: Result, several: bool) -> str:
    """How the arms' values sum people up, with the unit of the values where it is not the outcome's; else nothing."""
    outcome = ctx.record.outcome(r.outcome)
    if r.measure in _MEASURES:
        return "share of people" if r.measure == "responders" and outcome.scale == "count" else _MEASURES[r.measure]
    if r.measure == "time_to_event" and ctx.record.origin == "written" and (timed := _timed(r)):
        return timed
    if r.measure not in _SUMMARIES or not (several or r.measure == "median"):
        return _head_unit(ctx, r)
    said = _SUMMARIES[r.measure]
    if r.measure == "median" and said in outcome.label.lower():
        said = ""
    own = {v.unit for v in r.arms.values() if v.usable and v.unit}
    unit = own.pop() if len(own) == 1 else ""
    unit = _head_unit(ctx, r) or units.said(unit, outcome.label)
    return ", ".join(w for w in (said, unit) if w)


def _head_unit(ctx: Context, r: Result) -> str:
    """The unit of the values of a result, for the head of its rows; none where every value brings its own sign."""
    if all(v.total or v.percent is not None for v in r.arms.values()) and r.arms:
        return ""
    unit = ctx.unit(ctx.record.outcome(r.outcome), r).strip()
    return "" if unit == "%" and _percent_signs(r) else unit


def _percent_signs(r: Result) -> bool:
    return r.measure in (*_MEASURES, "percent")


def _timed(r: Result) -> str:
    """What the arms' values beside a hazard ratio are: shares with the event, or times in a unit of their own."""
    own = {v.unit for v in r.arms.values() if v.usable and v.value is not None and v.unit and not v.total}
    if len(own) != 1:
        return ""
    (unit,) = own
    if unit == "%":
        return "people with the event, %"
    return f"median, {unit}" if "median" in (r.note or "") else unit


def arm_columns(ctx: Context, results: Sequence[Result]) -> tuple[Inlines, ...]:
    """(control, active) heads of columns: delayed and early start where all results are after the switch."""
    writer, f = ctx.writer, ctx.findings
    late = {r.comparison == "early_delayed" for r in results}
    if late == {True}:
        return tuple(writer.label(short(a.delayed_label or a.label)) for a in f.arms)
    if late == {True, False}:
        pairs = ((a.label, lower(short(a.delayed_label or a.label))) for a in f.arms)
        return tuple(writer.say("{a}, or {b}", a=a, b=b) for a, b in pairs)
    return tuple(writer.label(a.label) for a in f.arms)


def results_table(ctx: Context, id: str, caption: Inlines, results: Sequence[Result]) -> Table:
    """Results grouped by outcome and time.

    Where nothing was compared, with the values of other groups that the entry posts, such as all its people together,
    and without contrasts.
    """
    writer = ctx.writer
    compared = ctx.findings.compared
    others = not compared and any(v.usable for r in results for v in r.groups.values())
    tested = compared or any(p.usable for r in results for p in r.p)
    mixed = len({r.comparison for r in results}) > 1
    rows: list[Row] = []
    told_of = [r for r in results if _shows(ctx, r)] if compared else list(results)
    if len(told_of) < len(results):
        more = " Values of groups other than these are in the record and not shown here."
        caption, results = (*caption, *writer.words(more)), told_of
    told: dict[tuple[object, ...], set[str]] = {}
    for r in results:
        told.setdefault((r.outcome, r.week, r.comparison), set()).add(r.measure)
    group = None
    for r in results:
        outcome = ctx.record.outcome(r.outcome)
        summary = _summary(ctx, r, len(told[r.outcome, r.week, r.comparison]) > 1)
        key = (r.outcome, r.week, r.comparison, summary)
        if key != group:
            group = key
            name = title_words(outcome.label) if ctx.record.origin == "posted" else outcome.label
            writer.register(name)
            head = [upper(writer.label(name))]
            if r.week is not None:
                head.append(ctx.week(r.week, detail=True))
            if summary:
                head.append(writer.label(summary))
            if mixed and r.comparison == "early_delayed":
                head.append(writer.words("early against delayed start"))
            rows.append(Row((joined(head, ", "),), heading=True))
        values = [r.arms.get(a.id) for a in ctx.findings.arms]
        usual = _floors([v for v in values if v is not None and v.usable])
        floor = max(usual[0], 2 if r.measure == "geometric_mean_ratio" else 0)
        label = result_label(ctx, r, outcome=False, week=False)
        rows.append(
            Row(
                (
                    label,
                    *(cell(ctx, v, floor, usual[1], _sign(r, v)) for v in values),
                    *((_of_others(ctx, r),) if others else ()),
                    *((contrast_cell(ctx, r),) if compared else ()),
                    *((p_cell(ctx, r.p),) if tested else ()),
                    *((writer.words(ctx.status(r)),) if compared else ()),
                )
            )
        )
    heads = arm_columns(ctx, results)
    columns = (
        writer.words("Analysis"),
        *heads,
        *((writer.words("Others, as the entry names them"),) if others else ()),
        *((writer.words("Contrast (95 % interval)"),) if compared else ()),
        *((writer.words("P and its test" if compared else "P within a group, and its test"),) if tested else ()),
        *((writer.words("Standing"),) if compared else ()),
    )
    numeric = (False, *(True for _ in heads), *((True,) if compared else ()))
    return Table(id, caption, columns, tuple(rows), (*numeric, *(False for _ in columns[len(numeric) :])))


def contrast_cell(ctx: Context, r: Result) -> Inlines:
    """A contrast in a table; of a registry with its kind, and where it is a gap between percentages with its unit."""
    if r.contrast is None or not r.contrast.usable:
        return DASH
    shown = ctx.contrast(r.contrast, exact=True)
    kind = LABELS[r.contrast.kind]
    if ctx.record.origin != "posted" or shown == DASH:
        return shown
    points = r.contrast.kind == "difference" and ctx.gap_unit(ctx.record.outcome(r.outcome), r).strip() == POINTS
    return (*ctx.writer.words(kind), *shown, *ctx.writer.words(f" {POINTS}" if points else ""))


def _of_others(ctx: Context, r: Result) -> Inlines:
    """The values of groups that are no column, each after its name."""
    shown = [(ctx.writer.label(ctx.group_label(g)), cell(ctx, v)) for g, v in r.groups.items()]
    told = [ctx.writer.say("{g}: {v}", g=g, v=v) for g, v in shown if v != DASH]
    return joined(told, "; ") if told else DASH


_STATISTICS = {
    "mean_sd": "mean (SD)",
    "mean": "mean",
    "mean_se": "mean (SE)",
    "median_range": "median (range)",
    "median": "median",
    "geometric_mean": "geometric mean",
    "range": "range",
    "iqr": "quartiles",
    "n_percent": "n",
    "log_sd": "SD of the logarithm",
    "median_iqr": "median (quartiles)",
    "other": "",
}


def baseline_table(ctx: Context, rows: Sequence[BaselineRow]) -> Table | None:
    """Baseline by set and arm; sets and rows without a value that may be shown are left out."""
    writer = ctx.writer
    shown = [
        r
        for r in rows
        if r.statistic != "log_sd" and any(v.usable for arms in r.values.values() for v in arms.values())
    ]
    sets = [s for s in ctx.record.sets if any(s.id in r.values for r in shown)]
    if not shown or not sets:
        return None
    arms = ctx.findings.arms
    columns: list[Inlines] = [writer.words("At baseline")]
    columns += [writer.say("{s}, {a}", s=short(s.label), a=lower(a.label)) for s in sets for a in arms]
    body = []
    for r in shown:
        held = [v for arms in r.values.values() for v in arms.values() if v.usable]
        label = (
            _named(ctx, writer.quote(r.label, held[0] if ctx.record.origin == "posted" else r) or ())
            if r.usable
            else ()
        )
        said = ", ".join(s for s in (_baseline_unit(r), _statistic(r)) if s)
        head = (*(label or writer.label(r.label)), *(writer.say(" ({s})", s=said) if said else ()))
        floors = _floors([v for values in r.values.values() for v in values.values() if v.usable])
        body.append(Row((head, *(cell(ctx, r.values.get(s.id, {}).get(a.id), *floors) for s in sets for a in arms))))
    return Table(
        "t-baseline",
        writer.words("Who took part, by analysis set and arm. A dash: not found in the sources that were read."),
        tuple(columns),
        tuple(body),
        (False, *(True for _ in columns[1:])),
    )


def _statistic(r: BaselineRow) -> str:
    """What a row's numbers are; ``%`` where a share is told without the people behind it."""
    values = [v for arms in r.values.values() for v in arms.values() if v.usable]
    if r.statistic == "n_percent" and values and all(v.value is None and v.percent is not None for v in values):
        return "%"
    return _STATISTICS[r.statistic]


def _baseline_unit(r: BaselineRow) -> str:
    """The unit of a row, in the words of a sentence; none of a count of people."""
    return "" if r.statistic == "n_percent" else units.said(r.unit, r.label)


def _sign(r: Result, value: Value | None) -> str:
    """The percent sign of a share; none after a count of people, which brings its own."""
    if value is None or value.value is None or value.total is not None or value.percent is not None:
        return ""
    return f"{numbers.THIN}%" if r.measure in (*_MEASURES, "percent") else ""


def _floors(values: Sequence[Value]) -> tuple[int, int]:
    """Decimals that most of a row is written with: of its values, and of their standard deviations or errors."""
    single = [numbers.decimals(v.value) for v in values if v.value is not None and not v.total]
    spreads = [numbers.decimals(x) for v in values for x in (v.sd, v.se) if x is not None]
    return _commonest(single), _commonest(spreads)


def _commonest(digits: Sequence[int]) -> int:
    return max(digits, key=lambda d: (digits.count(d), d), default=0)


def events_table(ctx: Context) -> Table | None:
    """Deaths, ventilation, withdrawals by set and arm."""
    writer = ctx.writer
    arms = ctx.findings.arms
    body = []
    for row in ctx.events:
        for set_id, values in row.values.items():
            cells = [values.get(a.id) for a in arms]
            if not any(v is not None and v.usable for v in cells):
                continue
            label = (writer.quote(row.label, row) if row.usable else None) or writer.label(row.label)
            head = (*label, *writer.say(", {s}", s=ctx.set_name(set_id)))
            if row.week is not None:
                head = (*head, *writer.say(", to {w}", w=ctx.week(row.week)))
            elif cut := data_of(ctx, row.cut):
                head = (*head, *writer.say(", {c}", c=cut))
            body.append(Row((head, *(cell(ctx, v) for v in cells))))
    if not body:
        return None
    columns = (writer.words("Event"), *(writer.label(a.label) for a in arms))
    caption = writer.words("Events and withdrawals, by analysis set and arm.")
    end = ctx.findings.week
    if ctx.goes_on and end is not None and any(row.week is None or row.week > end for row in ctx.record.events):
        said = " After {w} everyone could have {a}: the column {b} is then the delayed start."
        caption = (
            *caption,
            *writer.say(said, w=ctx.week(end), a=ctx.active, b=writer.label(ctx.findings.control.label)),
        )
    return Table("t-events", caption, columns, tuple(body), (False, *(True for _ in arms)))
