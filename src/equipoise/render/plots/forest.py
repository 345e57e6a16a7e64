"""Forest plots: estimates with their intervals, weights, columns of text, and a line at no effect."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from equipoise.errors import DataError
from equipoise.estimate.fit import Fit
from equipoise.render.plots.plot import PLAIN, Canvas, Plot, log_ticks, muted, q, text_width, ticks, written
from equipoise.render.plots.read import Row, column, maybe, need, number, rows_of
from equipoise.render.theme import ACCENT, GRID, INK, MUTED

_LINE = 24.0
_GAP = 16.0


@dataclass(frozen=True)
class _Item:
    label: str
    estimate: float | None
    low: float | None
    high: float | None
    weight: float | None
    kind: str
    texts: tuple[str, ...]
    shown: str
    reason: str


def _is_estimate(value: object) -> bool:
    if not isinstance(value, Fit):
        return False
    from equipoise.estimate.result import Estimate  # only now: drawing a frame needs no numerical library

    return isinstance(value, Estimate)


def forest(
    estimates: Any,
    *,
    null: float | None = None,
    null_words: str = "No effect",
    log: bool | None = None,
    axis: str | None = None,
    better_low: str | None = None,
    better_high: str | None = None,
    columns: Sequence[str] | Mapping[str, str] = (),
    digits: int = 2,
    limits: tuple[float, float] | None = None,
    interval: str | None = None,
    title: str | None = None,
    width: float = 300.0,
    label: str | None = None,
    heading: str = "",
) -> Plot:
    """Estimates and their intervals, one a line, against a line of no effect.

    Parameters
    ----------
    estimates : results of estimators (:class:`equipoise.estimate.result.Estimate`), or a frame with ``label``,
        ``estimate``, ``low``, ``high`` and, as far as there are: ``weight`` (the area of the square), ``kind``
        (``heading`` for a line of words, ``summary`` for a diamond, ``primary`` for an accented line), ``reason`` (why
        there is no estimate). Rows without an estimate say why.
    null : no effect; default 1 for ratios, else 0. null_words : what the line stands for, in the description.
    log : a logarithmic axis; default for ratios.
    axis : words under the axis. better_low, better_high : words for its two directions.
    columns : further columns of the frame to write between label and axis: names, or name -> heading.
    digits : decimals of the written estimate. limits : ends of the axis; an interval beyond ends in an arrow.
    interval : heading of the written interval, default ``estimate (95 % CI)``. heading : of the labels.

    Examples
    --------
    >>> rows = [{"label": "All", "estimate": 0.8, "low": 0.6, "high": 1.1}]
    >>> print(forest(rows, log=True, axis="hazard ratio").description)
    hazard ratio. All: 0.80 (0.60 to 1.10). No effect is at 1.
    """
    items, ratio, names, level = _read(estimates, columns, label, digits, log)
    log = ratio if log is None else log
    null = (1.0 if log else 0.0) if null is None else null
    numbers = [v for i in items for v in (i.estimate, i.low, i.high) if v is not None and math.isfinite(v)]
    if log and (null <= 0.0 or any(v <= 0.0 for v in numbers)):
        raise DataError("a logarithmic axis with numbers that are not positive", hint="log=False, or see the numbers")
    low, high, marks = _axis(numbers, null, log, limits)
    scale: dict[str, Any] = {"type": "log" if log else "linear", "domain": [low, high], "nice": False}
    shown = {
        "title": None,
        "values": marks,
        "grid": False,
        "domain": True,
        "domainColor": MUTED,
        "tickColor": MUTED,
        "labelExpr": PLAIN,
        "labelFlush": False,
    }
    height = _LINE * len(items) + 6
    canvas = Canvas(width, height)
    _stripes(canvas, items, marks, scale, shown, null)
    _draw(canvas, items, scale, shown, low, high, log)
    left, right = _texts(canvas, items, names, heading, interval or f"estimate ({level} CI)")
    foot = 34.0
    if axis:
        muted(canvas, width / 2, height + 36, axis, "center")
        foot = 50.0
    if better_low or better_high:
        at = width * _share(null, low, high, log)
        if better_low:
            muted(
                canvas,
                max(at - 10, text_width(better_low, 11.5) + 14 - left),
                height + foot + 4,
                f"\N{LEFTWARDS ARROW} {better_low}",
                "right",
            )
        if better_high:
            muted(canvas, at + 10, height + foot + 4, f"{better_high} \N{RIGHTWARDS ARROW}")
        foot += 18
    said = [f"{i.label}: {i.shown or i.reason}" for i in items if i.kind != "heading"]
    words = (f"{axis}. " if axis else "") + "; ".join(said) + f". {null_words} is at {null:g}."
    table = [
        {
            "label": i.label,
            "estimate": i.estimate,
            "low": i.low,
            "high": i.high,
            "weight": i.weight,
            **dict(zip(names, i.texts, strict=True)),
        }
        for i in items
        if i.kind != "heading"
    ]
    return canvas.plot(title, words, table, (left, 32, right, foot + 6), name="Forest plot")


def _read(
    data: Any, columns: Sequence[str] | Mapping[str, str], label: str | None, digits: int, log: bool | None
) -> tuple[list[_Item], bool, tuple[str, ...], str]:
    if isinstance(data, Fit):
        data = data.estimates
    if isinstance(data, Sequence) and not isinstance(data, str) and data and all(map(_is_estimate, data)):
        scales = {"ratio" in e.scale or "odds" in e.scale for e in data if e.estimable}
        if len(scales) > 1 and log is None:
            raise DataError("ratios and differences on one axis", hint="draw them apart, or say log=False")
        level = f"{100 * data[0].level:g} %"
        ratio = scales == {True}
        rows: list[Row] = [
            {
                "label": e.name,
                "estimate": e.estimate,
                "low": e.low,
                "high": e.high,
                "p": e.p,
                "n": e.n,
                "reason": "" if e.estimable else e.reason,
            }
            for e in data
        ]
    else:
        rows, level, ratio = rows_of(data), "95 %", bool(log)
    need(rows, "estimates")
    keys = {k for r in rows for k in r}
    rows = [{k: r.get(k) for k in keys} | r for r in rows]
    called, value = column(rows, "label", label), column(rows, "estimate")
    first, last = maybe(rows, "low"), maybe(rows, "high")
    named = dict(columns) if isinstance(columns, Mapping) else {c: c for c in columns}
    for name in named:
        column(rows, name, name)
    items = []
    for r in rows:
        estimate, low, high = (number(r[c]) if c else None for c in (value, first, last))
        kind = str(r.get("kind") or ("heading" if estimate is None and not r.get("reason") and low is None else ""))
        if low is not None and high is not None and low > high:
            raise DataError(f"{r[called]!r}: the interval is from {low:g} to {high:g}", hint="low before high")
        shown = ""
        if estimate is not None:
            shown = _decimals(estimate, digits)
            if low is not None and high is not None:
                shown += f" ({_decimals(low, digits)} to {_decimals(high, digits)})"
        texts = tuple(_text(r.get(name)) if kind != "heading" else "" for name in named)
        weight = number(r.get("weight"))
        if weight is not None and weight < 0.0:
            raise DataError(f"{r[called]!r}: weight {weight:g}", hint="weights are 0 or more")
        items.append(
            _Item(
                str(r[called]), estimate, low, high, weight, kind, texts, shown, str(r.get("reason") or "not estimable")
            )
        )
    if not any(i.estimate is not None for i in items):
        reasons = "; ".join(f"{i.label}: {i.reason}" for i in items if i.kind != "heading")
        raise DataError(f"no estimate to draw ({reasons})", hint="a table says it better")
    return items, ratio, tuple(named.values()), level


def _decimals(value: float, digits: int) -> str:
    text = f"{abs(value):.{digits}f}"
    if value != 0 and float(text) == 0:
        return ("<" if value > 0 else ">\N{MINUS SIGN}") + f"{10.0**-digits:.{digits}f}"
    return ("\N{MINUS SIGN}" if value < 0 and float(text) != 0 else "") + text


def _text(value: Any) -> str:
    if isinstance(value, float):
        return written(value) if math.isfinite(value) else ""
    return "" if value is None else str(value)


def _axis(
    numbers: Sequence[float], null: float, log: bool, limits: tuple[float, float] | None
) -> tuple[float, float, list[float]]:
    low, high = limits or (min(*numbers, null), max(*numbers, null))
    if limits and not (low < high and (low > 0 or not log)):
        raise DataError(f"limits {limits!r}", hint="give the lower end, then the higher; above 0 on a log axis")
    if log:
        if not limits:
            low, high = max(min(low, null / 1.25), null / 32.0), min(max(high, null * 1.25), null * 32.0)
            low, high = low / 1.06, high * 1.06
        return low, high, log_ticks(low, high, null)
    if not limits:
        pad = 0.05 * (high - low or 1.0)
        low, high = low - pad, high + pad
    return low, high, ticks(low, high, 6)


def _share(value: float, low: float, high: float, log: bool) -> float:
    if log:
        return math.log(value / low) / math.log(high / low)
    return (value - low) / (high - low)


def _y(i: int) -> float:
    return _LINE * (i + 0.5) + 2


def _stripes(
    canvas: Canvas,
    items: Sequence[_Item],
    marks: Sequence[float],
    scale: Mapping[str, Any],
    axis: Mapping[str, Any],
    null: float,
) -> None:
    at = q("x", scale, axis)
    canvas.layer([{"x": m} for m in marks if m != null], {"type": "rule", "color": GRID, "strokeWidth": 1}, x=at)
    canvas.layer([{"x": null}], {"type": "rule", "color": MUTED, "strokeWidth": 1.3}, x=at)


def _draw(
    canvas: Canvas,
    items: Sequence[_Item],
    scale: Mapping[str, Any],
    axis: Mapping[str, Any],
    low: float,
    high: float,
    log: bool,
) -> None:
    weights = [i.weight for i in items if i.weight is not None]
    most = max(weights) if weights else 0.0

    def inside(v: float) -> float:
        return min(max(v, low), high)

    y = {"field": "y", "type": "quantitative", "scale": None, "axis": None}
    for n, item in enumerate(items):
        if item.estimate is None:
            continue
        colour = ACCENT if item.kind in ("primary", "summary") else INK
        a = item.estimate if item.low is None else item.low
        b = item.estimate if item.high is None else item.high
        if item.kind == "summary" and item.low is not None and item.high is not None:
            around = [
                (inside(a), _y(n)),
                (inside(item.estimate), _y(n) - 7),
                (inside(b), _y(n)),
                (inside(item.estimate), _y(n) + 7),
                (inside(a), _y(n)),
            ]
            canvas.layer(
                [{"x": px, "y": py, "k": k} for k, (px, py) in enumerate(around)],
                {"type": "line", "color": colour, "fill": colour, "strokeWidth": 1, "interpolate": "linear"},
                x=q("x", scale, axis),
                y=y,
                order={"field": "k", "type": "quantitative"},
            )
            continue
        if b > low and a < high:
            canvas.layer(
                [{"x": inside(a), "x2": inside(b), "y": _y(n)}],
                {"type": "rule", "color": colour, "strokeWidth": 1.6},
                x=q("x", scale, axis),
                x2={"field": "x2"},
                y=y,
            )
        for beyond, end, shape in ((b > high, high, "triangle-right"), (a < low, low, "triangle-left")):
            if beyond:
                canvas.layer(
                    [{"x": end, "y": _y(n)}],
                    {"type": "point", "shape": shape, "filled": True, "size": 46, "color": colour, "opacity": 1},
                    x=q("x", scale, axis),
                    y=y,
                )
        if low <= item.estimate <= high:
            size = 62.0 if item.weight is None or not most else max(14.0, 170.0 * item.weight / most)
            shape = "diamond" if item.kind == "primary" else "square"
            canvas.layer(
                [{"x": item.estimate, "y": _y(n), "label": item.label, "shown": item.shown}],
                {
                    "type": "point",
                    "shape": shape,
                    "filled": True,
                    "color": colour,
                    "opacity": 1,
                    "size": size * (1.7 if shape == "diamond" else 1.0),
                },
                x=q("x", scale, axis),
                y=y,
                tooltip=[{"field": "label"}, {"field": "shown"}],
            )


def _texts(
    canvas: Canvas, items: Sequence[_Item], names: Sequence[str], heading: str, interval: str
) -> tuple[float, float]:
    """Labels and columns of text left of the axis, the written estimate right of it; returns both margins."""
    strong = [i.kind in ("heading", "summary", "primary") for i in items]
    widths = [
        max(text_width(name, 11.5), *(text_width(i.texts[k], 12, s) for i, s in zip(items, strong, strict=True)))
        for k, name in enumerate(names)
    ]
    indent = 12.0 if any(i.kind == "heading" for i in items) else 0.0
    wide = [text_width(i.label, 12, bold) + indent for i, bold in zip(items, strong, strict=True)]
    labels = max(text_width(heading, 11.5), *wide)
    left = labels + sum(w + _GAP for w in widths) + _GAP + 8
    x = -left + 8
    if heading:
        muted(canvas, x, -14, heading)
    for n, (item, bold) in enumerate(zip(items, strong, strict=True)):
        canvas.words(x + (indent if item.kind not in ("heading", "summary") else 0), _y(n), item.label, bold=bold)
    x += labels + _GAP
    for k, (name, w) in enumerate(zip(names, widths, strict=True)):
        muted(canvas, x + w, -14, name, "right")
        for n, (item, bold) in enumerate(zip(items, strong, strict=True)):
            if item.texts[k]:
                canvas.words(x + w, _y(n), item.texts[k], anchor="right", bold=bold)
        x += w + _GAP
    edge = canvas.width + _GAP
    muted(canvas, edge, -14, interval)
    right = text_width(interval, 11.5)
    for n, (item, bold) in enumerate(zip(items, strong, strict=True)):
        if item.kind == "heading":
            continue
        if item.shown:
            canvas.words(edge, _y(n), item.shown, bold=bold)
        else:
            muted(canvas, edge, _y(n), item.reason)
        right = max(right, text_width(item.shown or item.reason, 12, bold))
    ends = [(8.0 - left, -2.0, edge + right, -2.0)]
    canvas.rules(ends, GRID)
    return left, right + _GAP + 8
