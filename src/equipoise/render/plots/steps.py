"""Curves in steps: Kaplan-Meier and cumulative incidence, with numbers at risk, limits and marks of censoring."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from equipoise.errors import DataError
from equipoise.render.plots.plot import PLAIN, Canvas, Plot, muted, q, text_width, ticks, time_ticks, written
from equipoise.render.plots.read import column, maybe, need, number, rows_of, unique
from equipoise.render.theme import DASHES, GRID, MUTED, SERIES

_ROW = 18.0


@dataclass(frozen=True)
class _Steps:
    """One curve: its value from each time on, with limits (None: not estimable), and who was under observation.

    risk : (time, at risk just before it), sorted. censored : times. median : (estimate, low, high), None for not
    reached. count : at risk just before any time. words : of the legend, in place of those made here.
    """

    label: str
    start: float
    time: tuple[float, ...]
    value: tuple[float, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]
    risk: tuple[tuple[float, int], ...]
    censored: tuple[float, ...]
    n: int | None
    events: int | None
    median: tuple[float | None, float | None, float | None] | None = None
    count: Callable[[float], int] | None = None
    words: str | None = None

    def at(self, time: float) -> float | None:
        """The value at a time; None beyond the end of a curve that has not come to its end."""
        if time > self.time[-1] and self.value[-1] not in (0.0, 1.0):
            return None
        before = [v for t, v in zip(self.time, self.value, strict=True) if t <= time]
        return before[-1] if before else self.start

    def at_risk(self, time: float) -> int:
        if self.count is not None:
            return self.count(time)
        i = bisect_left([t for t, _ in self.risk], time)
        return self.risk[i][1] if i < len(self.risk) else 0


def kaplan_meier(
    curves: Any,
    *,
    unit: str = "weeks",
    title: str | None = None,
    y_title: str = "event-free, %",
    labels: Mapping[Any, str] | None = None,
    limits: bool = True,
    censoring: bool = True,
    at_risk: bool = True,
    medians: bool = True,
    times: Sequence[float] | None = None,
    until: float | None = None,
    legend: Mapping[Any, str] | None = None,
    from_percent: float = 0.0,
    note: str | None = None,
    width: float = 560.0,
    height: float = 270.0,
    group: str | None = None,
    time: str = "time",
) -> Plot:
    """Kaplan-Meier curves with pointwise limits, marks of censoring and numbers at risk.

    Parameters
    ----------
    curves : what :func:`kaplan_meier` gives (one curve or several); or a frame with a
        row at every time of a curve: ``time``, ``survival`` (0 to 1), and as far as there are ``low``, ``high``,
        ``at_risk``, ``censored`` (how many, at that time) and ``group``.
    unit : of the times; ticks suit weeks, months and days. labels : level -> how it is called.
    times : where the numbers at risk stand, default the ticks. until : the last time that is shown.
    from_percent : where the vertical axis begins; an axis that does not begin at 0 is said in words.
    legend : level -> words beside its name; curves of an estimator say events and median by themselves.
    note : a line below, such as the log-rank test.

    Examples
    --------
    >>> import polars as pl
    >>> from equipoise.estimate.survival.kaplan_meier import kaplan_meier as estimate
    >>> frame = pl.DataFrame({"T": [3, 5, 7, 8, 9], "E": [1, 1, 0, 1, 1]})
    >>> print(kaplan_meier(estimate(frame, time="T", event="E")).description)
    5 patients, 4 events; event-free 80 % at week 4, 30 % at week 8; median 8 weeks.
    """
    found = _curves_in(curves)
    if found:
        read = [_of_curve(c, labels) for c in found]
    else:
        read = _of_frame(curves, labels, group, time, "survival", 1.0, legend)
    return _draw(
        read,
        unit=unit,
        title=title,
        y_title=y_title,
        limits=limits,
        censoring=censoring,
        at_risk=at_risk,
        medians=medians,
        times=times,
        until=until,
        bottom=from_percent,
        note=note,
        width=width,
        height=height,
        falling=True,
    )


def cumulative_incidence(
    curves: Any,
    *,
    unit: str = "weeks",
    title: str | None = None,
    y_title: str = "had the event, %",
    labels: Mapping[Any, str] | None = None,
    limits: bool = True,
    censoring: bool = False,
    at_risk: bool = True,
    times: Sequence[float] | None = None,
    until: float | None = None,
    causes: Sequence[Any] | None = None,
    legend: Mapping[Any, str] | None = None,
    top_percent: float | None = None,
    note: str | None = None,
    width: float = 560.0,
    height: float = 270.0,
    group: str | None = None,
    time: str = "time",
) -> Plot:
    """Cumulative incidence in steps, of one event among competing ones or as the complement of Kaplan-Meier.

    Parameters
    ----------
    curves : what :func:`cumulative_incidence` gives, Kaplan-Meier curves (their
        complement is drawn), or a frame as for :func:`kaplan_meier` with a column ``incidence``.
    causes : which causes are drawn; default all.
    top_percent : where the vertical axis ends; default above the highest limit.
    The rest as in :func:`kaplan_meier`.
    """
    found = _curves_in(curves)
    if found and all(hasattr(c, "causes") for c in found):
        read = [one for c in found for one in _of_causes(c, causes, labels)]
        need(read, "cause of that name")
    elif found:
        read = [_of_curve(c, labels, incidence=True) for c in found]
    else:
        read = _of_frame(curves, labels, group, time, "incidence", 0.0, legend)
    return _draw(
        read,
        unit=unit,
        title=title,
        y_title=y_title,
        limits=limits,
        censoring=censoring,
        at_risk=at_risk,
        medians=False,
        times=times,
        until=until,
        bottom=0.0,
        note=note,
        width=width,
        height=height,
        falling=False,
        top=top_percent,
    )


def _curves_in(given: Any) -> list[Any]:
    """The curves of an estimator, one or several; none where it is something else (a frame)."""
    if hasattr(given, "at_risk") and not hasattr(given, "columns"):
        return [given]
    found = list(given) if isinstance(given, Sequence) and not isinstance(given, str) else []
    return found if all(hasattr(c, "at_risk") for c in found) else []


def _of_curve(curve: Any, labels: Mapping[Any, str] | None, *, incidence: bool = False) -> _Steps:
    """A curve of an estimator: ``group``, ``time``, ``at_risk``, ``low``, ``high`` and survival or incidence."""
    complement = incidence and not hasattr(curve, "incidence")
    values = curve.survival if complement or not incidence else curve.incidence

    def flip(x: float) -> float:
        return 1.0 - x if complement else x

    low, high = (curve.high, curve.low) if complement else (curve.low, curve.high)
    counts = getattr(curve, "censored_at", None)
    known = [getattr(curve, name, None) for name in ("group", "cause")]
    said = [str((labels or {}).get(k, k)) for k in known if k is not None]
    median = None
    if not incidence and hasattr(curve, "quantile"):
        estimate, first, last = (number(x) for x in curve.quantile(0.5))
        median = (estimate, first, last)
    return _Steps(
        ", ".join(said),
        0.0 if incidence else 1.0,
        tuple(map(float, curve.time)),
        tuple(flip(float(v)) for v in values),
        tuple(None if number(v) is None else flip(float(v)) for v in low),
        tuple(None if number(v) is None else flip(float(v)) for v in high),
        tuple((float(t), int(n)) for t, n in zip(curve.time, curve.at_risk, strict=True)),
        () if counts is None else tuple(float(t) for t, c in zip(curve.time, counts, strict=True) if c > 0),
        int(curve.n),
        int(curve.events),
        median,
        (lambda t: int(curve.at(t)[4])) if hasattr(curve, "at") else None,
    )


def _of_causes(curve: Any, causes: Sequence[Any] | None, labels: Mapping[Any, str] | None) -> list[_Steps]:
    """A curve a cause of :class:`equipoise.estimate.survival.competing_risks.CumulativeIncidence`."""
    out = []
    for k, cause in enumerate(curve.causes):
        if causes is not None and cause not in causes:
            continue
        said = [] if curve.group is None else [str((labels or {}).get(curve.group, curve.group))]
        if len(causes or curve.causes) > 1:
            said.append(str((labels or {}).get(cause, cause)))
        low, high = (tuple(number(v) for v in limits[:, k]) for limits in (curve.low, curve.high))
        out.append(
            _Steps(
                ", ".join(said),
                0.0,
                tuple(map(float, curve.time)),
                tuple(float(v) for v in curve.incidence[:, k]),
                low,
                high,
                tuple((float(t), int(n)) for t, n in zip(curve.time, curve.at_risk, strict=True)),
                (),
                int(curve.n),
                int(curve.events[k]),
            )
        )
    return out


def _of_frame(
    data: Any,
    labels: Mapping[Any, str] | None,
    group: str | None,
    time: str,
    value: str,
    start: float,
    legend: Mapping[Any, str] | None,
) -> list[_Steps]:
    rows = rows_of(data)
    need(rows, "curves")
    given = maybe(rows, "group", group)
    at, y = column(rows, "time", time), column(rows, value)
    lows, highs = maybe(rows, "low"), maybe(rows, "high")
    risks, gone = maybe(rows, "at_risk"), maybe(rows, "censored")
    out = []
    for level in unique(r[given] for r in rows) if given else [None]:
        own = sorted((r for r in rows if given is None or r[given] == level), key=lambda r: float(r[at]))
        points = [r for r in own if number(r[y]) is not None]
        if not points:
            raise DataError(f"the curve {level!r} has no values", hint="see its rows")
        if any(not -1e-9 <= float(r[y]) <= 1.0 + 1e-9 for r in points):
            raise DataError(f"{y!r} is beyond 0 and 1", hint="give shares, not percentages")
        out.append(
            _Steps(
                "" if level is None else str((labels or {}).get(level, level)),
                start,
                tuple(float(r[at]) for r in points),
                tuple(float(r[y]) for r in points),
                tuple(number(r[lows]) if lows else None for r in points),
                tuple(number(r[highs]) if highs else None for r in points),
                tuple((float(r[at]), int(r[risks])) for r in own if number(r[risks]) is not None) if risks else (),
                tuple(float(r[at]) for r in own if number(r[gone]) not in (None, 0.0)) if gone else (),
                int(own[0][risks]) if risks and number(own[0][risks]) is not None else None,
                None,
                words=(legend or {}).get(level),
            )
        )
    return out


def _points(curve: _Steps, last: float) -> list[dict[str, Any]]:
    """The curve from its start to its end (or to ``last``), in percent."""
    out: list[dict[str, Any]] = [
        {"x": 0.0, "y": 100.0 * curve.start, "low": 100.0 * curve.start, "high": 100.0 * curve.start}
    ]
    for t, v, low, high in zip(curve.time, curve.value, curve.low, curve.high, strict=True):
        if t > last:
            out.append({**out[-1], "x": last})
            break
        out.append(
            {
                "x": t,
                "y": 100.0 * v,
                "low": None if low is None else 100.0 * low,
                "high": None if high is None else 100.0 * high,
            }
        )
    return out


def _band(points: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The part of a curve that has limits; it ends where they do."""
    out: list[dict[str, Any]] = []
    for point in points:
        if point["low"] is None or point["high"] is None:
            if out:
                out.append({**out[-1], "x": point["x"]})
            break
        out.append(point)
    return out


def _draw(
    curves: list[_Steps],
    *,
    unit: str,
    title: str | None,
    y_title: str,
    limits: bool,
    censoring: bool,
    at_risk: bool,
    medians: bool,
    times: Sequence[float] | None,
    until: float | None,
    bottom: float,
    note: str | None,
    width: float,
    height: float,
    falling: bool,
    top: float | None = None,
) -> Plot:
    if len(curves) > len(SERIES):
        raise DataError(f"{len(curves)} curves", hint=f"at most {len(SERIES)} can be told apart")
    if not 0.0 <= bottom < 100.0:
        raise DataError(f"from_percent = {bottom!r}", hint="give where the axis begins, from 0 to below 100")
    last = max(t for c in curves for t in c.time) if until is None else float(until)
    if not last > 0.0:
        raise DataError(f"no time after 0 to draw (the last is {last:g})", hint="see the times and until")
    drawn = [_points(c, last) for c in curves]
    if top is None:
        top = 100.0
        if not falling:
            highest = max(v for pts in drawn for p in pts for v in (p["y"], p["high"] if limits else None) if v)
            top = min(100.0, max(10.0, highest))
            step = ticks(0.0, top, 6)[1]
            top = min(100.0, step * -(-top // step))
    marks = time_ticks(last, unit)
    x = {"domain": [0.0, last], "nice": False}
    y = {"domain": [bottom, top], "nice": False}
    xaxis = {
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
    yaxis = {"title": None, "values": ticks(bottom, top, 6), "grid": True, "labelExpr": PLAIN}
    canvas = Canvas(width, height)
    for i, points in enumerate(drawn):
        band = _band(points) if limits else []
        if len(band) > 1:
            canvas.layer(
                band,
                {"type": "area", "interpolate": "step-after", "color": SERIES[i], "opacity": 0.12, "clip": True},
                x=q("x", x, xaxis),
                y=q("low", y, yaxis),
                y2={"field": "high"},
            )
            for edge in ("low", "high"):
                canvas.layer(
                    band,
                    {
                        "type": "line",
                        "interpolate": "step-after",
                        "color": SERIES[i],
                        "strokeWidth": 0.7,
                        "opacity": 0.45,
                        "clip": True,
                    },
                    x=q("x", x, xaxis),
                    y=q(edge, y, yaxis),
                )
    for i, (curve, points) in enumerate(zip(curves, drawn, strict=True)):
        line = {
            "type": "line",
            "interpolate": "step-after",
            "color": SERIES[i],
            "strokeWidth": 1.8,
            "strokeDash": list(DASHES[i]) if len(curves) > 1 else [1, 0],
        }
        tips = [
            {"field": "x", "type": "quantitative", "title": unit},
            {"field": "y", "type": "quantitative", "title": y_title, "format": ".1f"},
        ]
        canvas.layer(
            [{**p, "y": max(p["y"], bottom)} for p in points],
            line,
            x=q("x", x, xaxis),
            y=q("y", y, yaxis),
            tooltip=tips,
        )
        if censoring:
            ends = [t for t in curve.censored if t <= last]
            canvas.layer(
                [{"x": t, "y": max(100.0 * (curve.at(t) or 0.0), bottom)} for t in ends],
                {"type": "tick", "orient": "vertical", "size": 9, "thickness": 1.1, "color": SERIES[i], "opacity": 1},
                x=q("x", x, xaxis),
                y=q("y", y, yaxis),
            )
    named = [c for c in curves if c.label]
    rows = [_legend(c, unit, medians) for c in curves]
    head = 26.0
    if named or any(rows):
        for i, (curve, text) in enumerate(zip(curves, rows, strict=True)):
            level = -head - _ROW * (len(curves) - i) + 3
            canvas.rules([(0, level, 26, level)], SERIES[i], 1.8, DASHES[i] if len(curves) > 1 else (1, 0))
            canvas.words(33, level, curve.label, bold=True)
            canvas.words(
                33 + (text_width(curve.label, 12, True) + 8 if curve.label else 0), level, text, colour=MUTED, size=11.5
            )
        head += _ROW * len(curves) + 6
    scale = f", axis from {bottom:g} %" if bottom else ""
    left = 42.0
    muted(canvas, -36, -17, y_title + scale)
    muted(canvas, width / 2, height + 38, unit, "center")
    foot = 48.0
    risk = [c for c in curves if c.risk]
    places = list(times) if times is not None else marks
    if at_risk and risk:
        left = max(left, *(text_width(c.label, 11.5) + 26 for c in risk), text_width("at risk", 11.5) + 26)
        first = height + foot + 12
        muted(canvas, -16, first, "at risk", "right")
        for i, curve in enumerate(risk):
            level = first + 4 + _ROW * (i + 1)
            colour = SERIES[curves.index(curve)]
            canvas.words(-16, level, curve.label or "all", anchor="right", colour=colour, size=11.5)
            for t in places:
                if 0.0 <= t <= last:
                    canvas.words(width * t / last, level, str(curve.at_risk(t)), anchor="center", size=11.5)
        canvas.rules([(0, first + 9, width, first + 9)], GRID)
        foot += 26 + _ROW * len(risk)
    if note:
        muted(canvas, -left + 8, height + foot + 10, note)
        foot += 22
    said = " ".join(_said(c, marks, unit, falling) for c in curves) + (f" {note}" if note else "")
    table = [
        {"group": c.label or None, "time": t, "value": c.at(t), "at_risk": c.at_risk(t) if c.risk else None}
        for c in curves
        for t in marks
    ]
    name = "Kaplan-Meier curves" if falling else "Cumulative incidence"
    return canvas.plot(title, said, table, (left, head, 18, foot + 4), name=name)


def _legend(curve: _Steps, unit: str, medians: bool) -> str:
    if curve.words is not None:
        return curve.words
    parts = []
    if curve.n is not None and curve.events is not None:
        parts.append(f"{curve.events} of {curve.n} had the event")
    if medians and curve.median is not None:
        estimate, low, high = curve.median
        limits = (
            f" ({written(low)} to {written(high)})"
            if low is not None and high is not None
            else (f" (from {written(low)})" if low is not None else "")
        )
        parts.append(f"median {written(estimate)} {unit}{limits}" if estimate is not None else "median not reached")
    return ", ".join(parts)


def _said(curve: _Steps, marks: Sequence[float], unit: str, falling: bool) -> str:
    """The curve in a sentence: how it began, and its value at two of the ticks."""
    who = f"{curve.label}: " if curve.label else ""
    parts = []
    if curve.n is not None:
        events = f", {curve.events} event{'s' if curve.events != 1 else ''}" if curve.events is not None else ""
        parts.append(f"{curve.n} patients{events}")
    within = [t for t in marks if t > 0 and curve.at(t) is not None] or [curve.time[-1]]
    one = unit.rstrip("s")
    told = [
        f"{100 * (curve.at(t) or 0.0):.0f} % at {one} {t:g}"
        for t in unique((within[(len(within) - 1) // 2], within[-1]))
    ]
    if told:
        parts.append(("event-free " if falling else "had the event: ") + ", ".join(told))
    if curve.words is not None:
        parts.append(curve.words)
    elif curve.median is not None:
        estimate = curve.median[0]
        parts.append(f"median {written(estimate)} {unit}" if estimate is not None else "median not reached")
    return who + "; ".join(parts) + "."
