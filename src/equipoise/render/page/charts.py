"""Charts as inline SVG: Vega-Lite specifications drawn by vl-convert, then made to follow the page's theme.

Every panel is drawn at the width of a phone and the page lays panels out in a grid, so that a chart reads the same on
a phone and on a desk. Colours are written as marks that are replaced by CSS variables (light, dark and print follow
from the style sheet); fonts are the page's. Each SVG carries a title and a description; what Vega adds for screen
readers is taken out, since the page puts the same numbers into a table beside the chart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from equipoise.document.document import (
    Chart,
    CurvePanel,
    Curves,
    DensityPanel,
    DotPanel,
    Dots,
    Drawing,
    Forest,
    ForestPanel,
    Series,
)
from equipoise.render.theme import ACCENT, ACTIVE, CONFIG, CONTROL, GRID, INK, MUTED, PAPER, ZONE, Theme, Words, themed
from equipoise.render.vega import to_svg

WIDTH = 330
Panel = ForestPanel | CurvePanel | DotPanel | DensityPanel


@dataclass(frozen=True, slots=True)
class _Drawing:
    """A Vega-Lite specification with fixed margins (left, top, right, bottom) and the words to set on it."""

    spec: dict[str, Any]
    margin: tuple[float, float, float, float]
    words: tuple[Words, ...]


def svgs(chart: Chart, id: str, title: str, description: str, theme: Theme = "page") -> tuple[tuple[str, str], ...]:
    """(panel title, SVG) for each panel of a chart. ``id`` prefixes the ids inside; texts are escaped. ``theme``: that
    of the page by its style sheet, or plain light or dark colours for a picture that stands alone.

    Each panel is described by what it shows itself; the description of the whole figure goes with the first one alone,
    so that nobody has to hear it once for every panel. A drawing that is ready is one panel, under the figure's title.
    """
    if isinstance(chart, Drawing):
        return (("", themed(chart.svg, f"{id}-1", title, description, theme=theme)),)
    out = []
    panels: tuple[Panel, ...] = chart.panels
    for i, panel in enumerate(panels):
        name = f"{title}: {panel.title}" if len(chart.panels) > 1 else title
        said = _said(chart, panel)
        said = f"{description} {said}" if i == 0 else said
        out.append((panel.title, _draw(_drawing(chart, panel), f"{id}-{i + 1}", name, said, theme)))
    return tuple(out)


def _said(chart: Chart, panel: Panel) -> str:
    """What a panel shows, in words for those who cannot see it."""
    if isinstance(panel, ForestPanel):
        parts = [f"{i.label}: {i.shown}" for i in panel.intervals]
        return f"{panel.title}, {panel.axis}. " + "; ".join(parts) + f". No effect is at {panel.null:g}."
    if isinstance(panel, DotPanel):
        return f"{panel.title}. " + "; ".join(f"{d.label}: {_plain(d.z, '+.1f')}" for d in panel.dots) + "."
    if isinstance(panel, DensityPanel):
        return (
            f"{panel.title}, {panel.axis}: median {_plain(panel.median)}, 95 % interval {_plain(panel.low)} to "
            f"{_plain(panel.high)}."
        )
    assert isinstance(chart, Curves)
    names = {"active": chart.active, "control": chart.control}
    parts = [
        f"{names[s.arm]}, {s.kind}: {_plain(s.values[0])} at week {s.weeks[0]:g}"
        + (f", {_plain(s.values[-1])} at week {s.weeks[-1]:g}" if len(s.values) > 1 else "")
        for s in panel.series
        if s.values
    ]
    return f"{panel.title}, {panel.axis}. " + "; ".join(parts) + "."


def _plain(x: float, form: str = ".3g") -> str:
    return format(x, form).replace("-", "\N{MINUS SIGN}")


def _drawing(chart: Chart, panel: Panel) -> _Drawing:
    if isinstance(chart, Forest) and isinstance(panel, ForestPanel):
        return _forest(panel)
    if isinstance(chart, Curves) and isinstance(panel, CurvePanel):
        return _curves(panel)
    if isinstance(chart, Dots) and isinstance(panel, DotPanel):
        return _dots(panel)
    if isinstance(panel, DensityPanel):
        return _density(panel)
    raise TypeError(f"{type(chart).__name__} cannot be drawn")


def _drawn(
    width: float,
    height: float,
    margin: tuple[float, float, float, float],
    layers: list[dict[str, Any]],
    words: list[Words],
) -> _Drawing:
    left, top, right, bottom = margin
    spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "width": width,
        "height": height,
        "autosize": {"type": "none"},
        "padding": {"left": left, "top": top, "right": right, "bottom": bottom},
        "config": CONFIG,
        "layer": layers,
    }
    return _Drawing(spec, margin, tuple(words))


def _layer(values: Sequence[dict[str, Any]], mark: dict[str, Any], **encoding: Any) -> dict[str, Any]:
    return {"data": {"values": list(values)}, "mark": mark, "encoding": encoding}


def _behind_words(places: Sequence[float], y: dict[str, Any]) -> dict[str, Any]:
    """Paper behind the words of each row, so that no line of the grid runs through them."""
    return _layer(
        [{"top": at - 13, "end": at + 8} for at in places],
        {"type": "rect", "color": PAPER, "opacity": 1},
        x={"value": -2},
        x2={"value": WIDTH + 2},
        y=_q("top", scale=y["scale"], axis=None),
        y2={"field": "end"},
    )


def _clamp(x: float, low: float, high: float) -> float:
    return min(max(x, low), high)


def _q(field: str, **rest: Any) -> dict[str, Any]:
    return {"field": field, "type": "quantitative", **rest}


# -- forest --------------------------------------------------------------------------------------------------------

_ROW = 42.0
_NICE_LOG = (0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 10.0, 20.0)


def _log_domain(low: float, high: float, null: float) -> tuple[float, float, list[float]]:
    low, high = max(min(low, null / 1.25), 0.1), min(max(high, null * 1.25), 10.0)
    domain = (low / 1.06, high * 1.06)
    ratio = math.log(domain[1] / domain[0])
    step = ratio / 6
    ticks: list[float] = [null]
    for t in sorted(_NICE_LOG, key=lambda v: (abs(math.log2(v)) % 1 > 1e-9, abs(math.log(v)))):
        if domain[0] <= t <= domain[1] and all(abs(math.log(t / u)) >= step for u in ticks):
            ticks.append(t)
    return (*domain, sorted(ticks))


def _forest(panel: ForestPanel) -> _Drawing:
    lows = [iv.estimate if iv.low is None else iv.low for iv in panel.intervals]
    highs = [iv.estimate if iv.high is None else iv.high for iv in panel.intervals]
    axis: dict[str, Any] = {"title": None, "grid": True, "orient": "bottom", "tickCount": 5}
    if panel.log:
        low, high, ticks = _log_domain(min(lows), max(highs), panel.null)
        axis["values"] = ticks
        axis["format"] = "~g"
        scale: dict[str, Any] = {"type": "log", "domain": [low, high], "nice": False}
    else:
        low, high = min(*lows, panel.null), max(*highs, panel.null)
        pad = 0.04 * (high - low or 1.0)
        low, high = low - pad, high + pad
        scale = {"domain": [low, high], "nice": False}
    n = len(panel.intervals)
    height = n * _ROW
    rows: list[dict[str, Any]] = []
    for i, iv in enumerate(panel.intervals):
        lo = iv.estimate if iv.low is None else iv.low
        hi = iv.estimate if iv.high is None else iv.high
        rows.append(
            {
                "label": iv.label,
                "shown": iv.shown,
                "y": i * _ROW + 30,
                "text": i * _ROW + 13,
                "x": _clamp(iv.estimate, low, high),
                "low": _clamp(lo, low, high),
                "high": _clamp(hi, low, high),
                "tone": iv.tone,
                "more": hi > high,
                "less": lo < low,
            }
        )
    y = _q("y", scale={"domain": [0, height], "range": [0, height]}, axis=None)
    x = _q("x", scale=scale, axis=axis)
    strong = [r for r in rows if r["tone"] == "primary"]
    plain = [r for r in rows if r["tone"] != "primary"]
    hollow = [r for r in plain if r["tone"] == "post_hoc"]
    filled = [r for r in plain if r["tone"] != "post_hoc"]
    layers = [
        _layer([{"x": panel.null}], {"type": "rule", "color": MUTED, "strokeWidth": 1.2}, x=x),
        _behind_words([r["text"] for r in rows], y),
        _layer(
            rows, {"type": "rule", "color": INK, "strokeWidth": 1.6}, x=_q("low", axis=axis), x2={"field": "high"}, y=y
        ),
    ]
    for subset, mark in (
        (filled, {"type": "point", "shape": "square", "filled": True, "size": 58, "color": INK, "opacity": 1}),
        (
            hollow,
            {
                "type": "point",
                "shape": "square",
                "filled": True,
                "size": 52,
                "fill": PAPER,
                "stroke": INK,
                "strokeWidth": 1.6,
                "opacity": 1,
            },
        ),
        (strong, {"type": "point", "shape": "diamond", "filled": True, "size": 130, "color": ACCENT, "opacity": 1}),
    ):
        if subset:
            layers.append(_layer(subset, mark, x=x, y=y))
    for flag, shape, field in (("more", "triangle-right", "high"), ("less", "triangle-left", "low")):
        cut = [r for r in rows if r[flag]]
        if cut:
            mark = {"type": "point", "shape": shape, "filled": True, "size": 46, "color": INK, "opacity": 1}
            layers.append(_layer(cut, mark, x=_q(field, axis=axis), y=y))
    words = [Words(WIDTH / 2, height + 35, panel.axis, "middle", MUTED, size=11.5)]
    if panel.better_low:
        words.append(Words(0, height + 53, f"← {panel.better_low}", colour=MUTED, size=11.5))
    if panel.better_high:
        words.append(Words(WIDTH, height + 53, f"{panel.better_high} →", "end", MUTED, size=11.5))
    for row in rows:
        bold = row["tone"] == "primary"
        words.append(Words(0, row["text"], row["label"], bold=bold))
        words.append(Words(WIDTH, row["text"], row["shown"], "end", bold=bold))
    return _drawn(WIDTH, height, (3, 2, 7, 64), layers, words)


# -- curves --------------------------------------------------------------------------------------------------------


def _curves(panel: CurvePanel) -> _Drawing:
    numbers = [v for s in panel.series for v in (*s.values, *s.low, *s.high) if v is not None]
    low, high = panel.span or (min(*numbers, panel.null), max(*numbers, panel.null))
    axis: dict[str, Any] = {"title": None, "grid": True, "tickCount": 5}
    if panel.log:
        lo, hi, ticks = _log_domain(low, high, panel.null)
        scale: dict[str, Any] = {"type": "log", "domain": [lo, hi], "nice": False}
        axis["values"], axis["format"] = ticks, "~g"
    else:
        pad = 0.05 * (high - low or 1.0)
        scale = {"domain": [low - pad, high + pad], "nice": False}
    last = max(w for s in panel.series for w in s.weeks)
    step = 4 if last <= 32 else 13 if last <= 60 else 26
    weeks = [float(w) for w in range(0, int(last) + 1, step)]
    xaxis = {
        "title": None,
        "values": weeks,
        "grid": False,
        "format": "d",
        "tickColor": GRID,
        "domain": True,
        "domainColor": GRID,
    }
    x = _q("week", scale={"domain": [-0.02 * last, last * 1.02], "nice": False}, axis=xaxis)
    y = _q("value", scale=scale, axis=axis)
    layers: list[dict[str, Any]] = [
        _layer([{"value": panel.null}], {"type": "rule", "color": MUTED, "strokeWidth": 1, "strokeDash": [2, 3]}, y=y)
    ]
    for s in panel.series:
        if s.kind == "simulated":
            colour = ACTIVE if s.arm == "active" else CONTROL
            rows = _rows(s, 0.0)
            band = {"type": "area", "color": colour, "opacity": 0.16, "interpolate": "monotone"}
            layers.append(_layer(rows, band, x=x, y=_q("low", scale=scale, axis=axis), y2={"field": "high"}))
            dash = [1, 0] if s.arm == "active" else [5, 3]
            line = {"type": "line", "color": colour, "strokeWidth": 1.6, "interpolate": "monotone", "strokeDash": dash}
            layers.append(_layer(rows, line, x=x, y=y))
    simulated = any(s.kind == "simulated" for s in panel.series)
    for s in panel.series:
        if s.kind == "published":
            colour = ACTIVE if s.arm == "active" else CONTROL
            rows = _rows(s, (0.006 if s.arm == "active" else -0.006) * last)
            if not simulated and len(rows) > 1:
                dash = [1, 0] if s.arm == "active" else [5, 3]
                line = {"type": "line", "color": colour, "strokeWidth": 1.2, "strokeDash": dash, "opacity": 0.7}
                layers.append(_layer(rows, line, x=x, y=y))
            barred = [r for r in rows if r["low"] is not None and r["high"] is not None]
            if barred:
                rule = {"type": "rule", "color": colour, "strokeWidth": 1.4}
                layers.append(_layer(barred, rule, x=x, y=_q("low", scale=scale, axis=axis), y2={"field": "high"}))
            shape = "circle" if s.arm == "active" else "square"
            point = {
                "type": "point",
                "shape": shape,
                "filled": True,
                "size": 42,
                "color": colour,
                "opacity": 1,
                "stroke": PAPER,
                "strokeWidth": 0.8,
            }
            layers.append(_layer(rows, point, x=x, y=y))
    width, height = WIDTH - 38.0, 206.0
    words = [
        Words(-36.0, -11.0, f"{panel.axis}, logarithmic" if panel.log else panel.axis, "start", MUTED, size=11.5),
        Words(width / 2, height + 32, "weeks", "middle", MUTED, size=11.5),
    ]
    return _drawn(width, height, (38, 22, 8, 40), layers, words)


def _rows(s: Series, shift: float) -> list[dict[str, Any]]:
    return [
        {"week": w + shift, "value": v, "low": lo, "high": hi}
        for w, v, lo, hi in zip(s.weeks, s.values, s.low, s.high, strict=True)
    ]


# -- dots ----------------------------------------------------------------------------------------------------------

_DOT_ROW = 34.0
_REACH = 6.0


def _dots(panel: DotPanel) -> _Drawing:
    height = len(panel.dots) * _DOT_ROW
    reach = min(_REACH, max(2.5, *(abs(v) * 1.05 for d in panel.dots for v in (d.low, d.high, d.z))))
    rows = [
        {
            "y": i * _DOT_ROW + 24,
            "z": _clamp(d.z, -reach, reach),
            "low": _clamp(d.low, -reach, reach),
            "high": _clamp(d.high, -reach, reach),
            "fit": d.used_in_fit,
        }
        for i, d in enumerate(panel.dots)
    ]
    fixed = {"domain": [0, height], "range": [0, height]}
    y = _q("y", scale=fixed, axis=None)
    axis = {"title": None, "grid": True, "tickCount": 5, "format": "~g"}
    scale = {"domain": [-reach, reach], "nice": False}
    x = _q("z", scale=scale, axis=axis)
    zone = {"type": "rect", "color": ZONE, "opacity": 1}
    layers = [
        _layer([{"z": -1, "to": 1}], zone, x=x, x2={"field": "to"}, y={"value": 0}, y2={"value": height}),
        _layer([{"z": 0}], {"type": "rule", "color": MUTED, "strokeWidth": 1.2}, x=x),
        _behind_words([i * _DOT_ROW + 11 for i in range(len(panel.dots))], y),
        _layer(
            rows,
            {"type": "rule", "color": INK, "strokeWidth": 1.4},
            x=_q("low", scale=scale, axis=axis),
            x2={"field": "high"},
            y=y,
        ),
    ]
    fitted, held = [r for r in rows if r["fit"]], [r for r in rows if not r["fit"]]
    if fitted:
        mark = {"type": "point", "shape": "circle", "filled": True, "size": 60, "color": INK, "opacity": 1}
        layers.append(_layer(fitted, mark, x=x, y=y))
    if held:
        mark = {
            "type": "point",
            "shape": "diamond",
            "filled": True,
            "size": 80,
            "fill": PAPER,
            "stroke": ACCENT,
            "strokeWidth": 1.8,
            "opacity": 1,
        }
        layers.append(_layer(held, mark, x=x, y=y))
    foot = "published standard errors from the published value"
    words = [Words(WIDTH / 2, height + 35, foot, "middle", MUTED, size=11.5)]
    words += [Words(0, i * _DOT_ROW + 11, d.label) for i, d in enumerate(panel.dots)]
    return _drawn(WIDTH, height, (3, 2, 7, 46), layers, words)


# -- densities -----------------------------------------------------------------------------------------------------


def _density(panel: DensityPanel) -> _Drawing:
    """The density after as an area, its 95 % interval darker; the one before as a dashed line."""
    width, height, top = float(WIDTH), 96.0, 1.08 * max(*panel.height, panel.flat)
    axis = {"title": None, "grid": True, "tickCount": 5, "format": "~f"}
    x = _q("at", scale={"domain": [panel.at[0], panel.at[-1]], "nice": False}, axis=axis)
    fixed = {"domain": [0, top], "nice": False}
    y = _q("height", scale=fixed, axis=None)
    rows = [{"at": a, "height": h, "floor": 0} for a, h in zip(panel.at, panel.height, strict=True)]
    inside = [r for r in rows if panel.low <= r["at"] <= panel.high]
    area = {"type": "area", "color": ACTIVE, "interpolate": "monotone"}
    flat = [{"at": panel.at[k], "height": panel.flat} for k in (0, -1)]
    layers = [
        _layer(rows, {**area, "opacity": 0.16}, x=x, y=y, y2={"field": "floor"}),
        _layer(inside, {**area, "opacity": 0.34}, x=x, y=y, y2={"field": "floor"}),
        _layer(rows, {"type": "line", "color": ACTIVE, "strokeWidth": 1.6, "interpolate": "monotone"}, x=x, y=y),
        _layer(flat, {"type": "line", "color": CONTROL, "strokeWidth": 1.4, "strokeDash": [5, 3]}, x=x, y=y),
    ]
    if panel.null is not None:
        layers.append(
            _layer(
                [{"at": panel.null}], {"type": "rule", "color": MUTED, "strokeWidth": 1.2, "strokeDash": [2, 3]}, x=x
            )
        )
    at = _clamp(panel.median, panel.at[0], panel.at[-1])
    layers.append(_layer([{"at": at}], {"type": "rule", "color": INK, "strokeWidth": 2}, x=x))
    words = [Words(width / 2, height + 35, panel.axis, "middle", MUTED, size=11.5)]
    return _drawn(width, height, (8, 4, 12, 46), layers, words)


# -- drawing -------------------------------------------------------------------------------------------------------


def _draw(drawing: _Drawing, id: str, title: str, description: str, theme: Theme = "page") -> str:
    return themed(to_svg(drawing.spec), id, title, description, drawing.words, drawing.margin[:2], theme)
