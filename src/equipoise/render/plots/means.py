"""Means over visits by arm, with intervals and the number of patients below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from equipoise.errors import DataError
from equipoise.render.plots.plot import PLAIN, Canvas, Plot, log_ticks, muted, q, text_width, ticks, time_ticks, written
from equipoise.render.plots.read import Row, column, maybe, need, number, rows_of, unique
from equipoise.render.theme import DASHES, GRID, MUTED, SERIES, SHAPES

_ROW = 18.0
_APART = 7.0


def ls_means(
    means: Any,
    *,
    arm: str | None = None,
    visit: str | None = None,
    estimate: str | None = None,
    low: str | None = None,
    high: str | None = None,
    n: str | None = "n",
    order: Sequence[Any] | None = None,
    labels: Mapping[Any, str] | None = None,
    unit: str = "weeks",
    y_title: str = "LS mean (95 % CI)",
    null: float | None = None,
    log: bool = False,
    start: float | None = None,
    better: str | None = None,
    band: bool = False,
    title: str | None = None,
    note: str | None = None,
    width: float = 560.0,
    height: float = 260.0,
) -> Plot:
    """Least-squares means over visits, one line an arm, with intervals and the numbers of patients below.

    Parameters
    ----------
    means : a fitted :func:`equipoise.estimate.linear.mmrm.mmrm` (say ``arm`` and ``visit``), the result of
        :func:`equipoise.estimate.missing.mi_ancova`, or a frame with a row an arm and visit: ``arm``, ``visit``,
        ``estimate``, ``low`` (or ``lower``), ``high`` (or ``upper``) and, where there is one, ``n``.
    arm, visit : columns, default ``arm`` and ``visit``. Visits that are numbers stand at their time, in ``unit``;
        others stand side by side in order of appearance, or in ``order``.
    order : arms in their order, control first; default that of appearance.
    null : a dotted line at no change. log : a logarithmic axis, for geometric means. start : where every arm begins at
        time 0 (0 for a change, 1 for a ratio to baseline). better : words for the direction that is better. band :
        limits as a band behind the line, for a range rather than an interval.

    Examples
    --------
    >>> rows = [{"arm": a, "visit": v, "estimate": -v * k, "low": -v * k - 1, "high": -v * k + 1, "n": 20}
    ...         for a, k in (("placebo", 0.3), ("drug", 0.2)) for v in (4, 8, 12)]
    >>> print(ls_means(rows, null=0).description)
    placebo: −1.2 at week 4, −3.6 (−4.6 to −2.6) at week 12; drug: −0.8 at week 4, −2.4 (−3.4 to −1.4) at week 12.
    """
    rows, arm, visit = _rows(means, arm, visit)
    need(rows, "means")
    arm, visit = column(rows, "arm", arm), column(rows, "visit", visit)
    value = column(rows, "estimate", estimate)
    first, last = maybe(rows, "low", low), maybe(rows, "high", high)
    size = n if n in rows[0] else None
    arms = [a for a in (order or unique(r[arm] for r in rows)) if any(r[arm] == a for r in rows)]
    if len(arms) > len(SERIES):
        raise DataError(f"{len(arms)} arms", hint=f"at most {len(SERIES)} can be told apart")
    visits = unique(r[visit] for r in rows)
    timed = all(isinstance(v, int | float) and not isinstance(v, bool) for v in visits)
    if timed:
        visits = sorted(visits)
    place = {v: float(v) if timed else float(i + 1) for i, v in enumerate(visits)}
    points: list[Row] = [
        {
            "arm": str(r[arm]),
            "x": place[r[visit]],
            "visit": _name(r[visit]),
            "y": number(r[value]),
            "low": number(r[first]) if first else None,
            "high": number(r[last]) if last else None,
            "n": number(r[size]) if size else None,
            "series": arms.index(r[arm]),
        }
        for r in rows
        if r[arm] in arms
    ]
    known = [p for p in points if p["y"] is not None]
    if not known:
        raise DataError("no mean is estimable", hint="see the fit")
    numbers = [v for p in known for v in (p["y"], p["low"], p["high"]) if v is not None]
    numbers += [v for v in (null, start) if v is not None]
    if log and min(numbers) <= 0.0:
        raise DataError("a logarithmic axis with means that are not positive", hint="log=False, or see the means")
    y, yaxis = _vertical(numbers, log, null)
    end = max(place.values())
    canvas = Canvas(width, height)
    lowest = 0.0 if timed else 0.4
    x: dict[str, Any] = {"domain": [lowest, end * 1.03 if timed else end + 0.6], "nice": False}
    marks = (
        (time_ticks(end, unit) if start is not None or len(visits) > 9 else visits)
        if timed
        else [place[v] for v in visits]
    )
    if timed and len(visits) <= 9:
        marks = [0.0, *visits] if start is not None else list(visits)
    xaxis: dict[str, Any] = {
        "title": None,
        "values": marks,
        "grid": False,
        "domain": True,
        "domainColor": MUTED,
        "tickColor": MUTED,
        "labelExpr": PLAIN,
        "labelFlush": False,
        "offset": 4,
    }
    if not timed:
        xaxis["labelExpr"] = f"{[str(v) for v in visits]!r}[datum.value - 1]"
        xaxis["labelLimit"] = width / max(len(visits), 1)
    if null is not None:
        canvas.layer(
            [{"y": null}],
            {"type": "rule", "color": MUTED, "strokeWidth": 1.1, "strokeDash": [2, 3]},
            y=q("y", y, yaxis),
        )
    for i in range(len(arms)):
        own = sorted((p for p in known if p["series"] == i), key=lambda p: float(p["x"]))
        _arm(canvas, own, i, len(arms), start if timed else None, x, xaxis, y, yaxis, band)
    called = [str((labels or {}).get(a, a)) for a in arms]
    head = _heading(canvas, called, y_title + (", logarithmic" if log else ""), better)
    foot = 26.0
    if timed:
        muted(canvas, width / 2, height + 38, unit, "center")
        foot = 48.0
    left = 46.0
    if size:
        left = max(left, *(text_width(c, 11.5) + 28 for c in called))
        level = height + foot + 12
        muted(canvas, -18, level, "n", "right")
        canvas.rules([(0, level + 9, width, level + 9)], GRID)
        span = x["domain"][1] - x["domain"][0]
        for i, label in enumerate(called):
            level += _ROW + (4 if i == 0 else 0)
            canvas.words(-18, level, label, anchor="right", colour=SERIES[i], size=11.5)
            for p in points:
                if p["series"] == i and p["n"] is not None:
                    canvas.words(width * (p["x"] - lowest) / span, level, f"{p['n']:g}", anchor="center", size=11.5)
        foot += 26 + _ROW * len(arms)
    if note:
        muted(canvas, 8 - left, height + foot + 10, note)
        foot += 22
    said = "; ".join(_said([p for p in known if p["series"] == i], c, unit, timed) for i, c in enumerate(called)) + "."
    table = [
        {"arm": p["arm"], "visit": p["visit"], "estimate": p["y"], "low": p["low"], "high": p["high"], "n": p["n"]}
        for p in points
    ]
    return canvas.plot(
        title, said + (f" {note}" if note else ""), table, (left, head, 18, foot + 4), name="Means over visits"
    )


def _name(visit: Any) -> str:
    return f"{visit:g}" if isinstance(visit, float) else str(visit)


def _rows(means: Any, arm: str | None, visit: str | None) -> tuple[list[Row], str | None, str | None]:
    """Rows of a fit, or of a frame; with the names of the columns of arm and visit."""
    if hasattr(means, "lsmeans"):
        if arm is None or visit is None:
            raise DataError("which columns are arm and visit?", hint='say arm="TRT01P", visit="AVISIT"')
        return rows_of(means.lsmeans(arm, by=visit).to_frame()), arm, visit
    if hasattr(means, "panel") and hasattr(means, "mean"):
        panel, out = means.panel, []
        for week_at, week in enumerate(panel.weeks):
            for k, one in enumerate(panel.arms):
                made = means.mean(one, float(week))
                seen = panel.y[panel.arm == float(k), week_at]
                out.append(
                    {
                        "arm": one,
                        "visit": float(week),
                        "estimate": made.estimate,
                        "low": made.low,
                        "high": made.high,
                        "n": int((seen == seen).sum()),
                    }
                )
        return out, "arm", "visit"
    return rows_of(means), arm, visit


def _vertical(numbers: Sequence[float], log: bool, null: float | None) -> tuple[dict[str, Any], dict[str, Any]]:
    low, high = min(numbers), max(numbers)
    if log:
        low, high = low / 1.05, high * 1.05
        marks = log_ticks(low, high, null or 1.0)
        return (
            {"type": "log", "domain": [low, high], "nice": False},
            {"title": None, "grid": True, "labelExpr": PLAIN, "values": marks},
        )
    pad = 0.06 * (high - low or 1.0)
    low, high = low - pad, high + pad
    return (
        {"domain": [low, high], "nice": False},
        {"title": None, "grid": True, "labelExpr": PLAIN, "values": ticks(low, high, 7)},
    )


def _arm(
    canvas: Canvas,
    own: Sequence[Mapping[str, Any]],
    i: int,
    arms: int,
    start: float | None,
    x: Mapping[str, Any],
    xaxis: Mapping[str, Any],
    y: Mapping[str, Any],
    yaxis: Mapping[str, Any],
    band: bool,
) -> None:
    span = x["domain"][1] - x["domain"][0]
    shift = 0.0 if band else (i - (arms - 1) / 2) * _APART * span / canvas.width
    rows = [{**p, "x": p["x"] + shift} for p in own]
    path = [{"x": 0.0, "y": start}, *rows] if start is not None else rows
    across, up = q("x", x, xaxis), q("y", y, yaxis)
    canvas.layer(
        path, {"type": "line", "color": SERIES[i], "strokeWidth": 1.6, "strokeDash": list(DASHES[i])}, x=across, y=up
    )
    limits = [r for r in rows if r["low"] is not None and r["high"] is not None]
    if band and start is not None:
        limits = [{"x": 0.0, "low": start, "high": start}, *limits]
    canvas.layer(
        limits,
        {"type": "area", "color": SERIES[i], "opacity": 0.15}
        if band
        else {"type": "rule", "color": SERIES[i], "strokeWidth": 1.4},
        x=across,
        y=q("low", y, yaxis),
        y2={"field": "high"},
    )
    tips = [{"field": "arm"}, {"field": "visit"}, {"field": "y", "type": "quantitative", "format": ".3~g"}]
    canvas.layer(
        rows,
        {"type": "point", "shape": SHAPES[i], "filled": True, "size": 52, "color": SERIES[i], "opacity": 1},
        x=across,
        y=up,
        tooltip=tips,
    )


def _heading(canvas: Canvas, called: Sequence[str], y_title: str, better: str | None) -> float:
    """The legend and the words of the vertical axis; returns the height of both."""
    x = 0.0
    for i, label in enumerate(called):
        canvas.rules([(x, -40, x + 26, -40)], SERIES[i], 1.6, DASHES[i])
        canvas.points([(x + 13, -40)], SERIES[i], SHAPES[i], 46)
        canvas.words(x + 33, -40, label, bold=True)
        x += 33 + text_width(label, 12, True) + 22
    muted(canvas, -40, -15, y_title)
    if better:
        muted(canvas, canvas.width, -15, better, "right")
    return 54.0


def _said(own: Sequence[Mapping[str, Any]], label: str, unit: str, timed: bool) -> str:
    if not own:
        return f"{label}: not estimable"

    def at(p: Mapping[str, Any], full: bool) -> str:
        when = f"{unit.rstrip('s')} {p['visit']}" if timed else str(p["visit"])
        limits = f" ({written(p['low'])} to {written(p['high'])})" if full and p["low"] is not None else ""
        return f"{written(p['y'])}{limits} at {when}"

    ends = [at(own[0], False)] if len(own) > 1 else []
    return f"{label}: " + ", ".join([*ends, at(own[-1], True)])
