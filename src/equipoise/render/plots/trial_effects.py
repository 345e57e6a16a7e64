"""Effects of trials on a surrogate and on the true endpoint: bubbles, the regression, its prediction band, the
threshold."""

from __future__ import annotations

import math
from typing import Any

from equipoise.errors import DataError
from equipoise.render.plots.plot import PLAIN, Canvas, Plot, muted, q, ticks, written
from equipoise.render.plots.read import column, maybe, need, number, rows_of
from equipoise.render.theme import ACCENT, ACTIVE, GRID, INK, MUTED

_POINTS = 60


def trial_effects(
    found: Any,
    *,
    line: Any = None,
    threshold: float | None = None,
    level: float = 0.95,
    x_label: str | None = None,
    y_label: str | None = None,
    title: str | None = None,
    width: float = 460.0,
    height: float = 340.0,
) -> Plot:
    """One bubble a trial, its size the precision of the effect on the true endpoint.

    Parameters
    ----------
    found : a result of :func:`surrogacy_trials` or :func:`surrogacy_units`, or a frame with ``surrogate``, ``true``
        and as far as there are ``label`` and ``weight``.
    line : a regression with ``interval(x, level)``, ``intercept`` and ``slope``; default the result's. threshold :
        drawn as a line down; default the result's, where one exists.

    Examples
    --------
    >>> rows = [{"label": "A", "surrogate": -0.2, "true": -0.1}, {"label": "B", "surrogate": 0.1, "true": 0.0}]
    >>> print(trial_effects(rows).description)
    Effect on the true endpoint against effect on the surrogate, 2 trials. A: -0.2, -0.1; B: 0.1, 0.
    """
    rows, own, names = _read(found)
    line = own if line is None else line
    if threshold is None and hasattr(found, "verdict") and hasattr(found, "threshold") and own is not None:
        threshold = _threshold(found)
    x_label = x_label or (f"effect on {names[0]}" if names else "effect on the surrogate")
    y_label = y_label or (f"effect on {names[1]}" if names else "effect on the true endpoint")
    xs, ys = [r["x"] for r in rows], [r["y"] for r in rows]
    low, high = min(0.0, *xs, threshold if threshold is not None else 0.0), max(0.0, *xs, threshold or 0.0)
    pad = 0.08 * (high - low or 1.0)
    low, high = low - pad, high + pad
    band = []
    if line is not None:
        for i in range(_POINTS + 1):
            x = low + (high - low) * i / _POINTS
            a, b = line.interval(x, level)
            band.append({"x": x, "y": line.intercept + line.slope * x, "low": a, "high": b})
    reach = max(abs(v) for v in (*ys, 1e-12)) * 1.3
    bottom, top = min(0.0, *ys) - 0.25 * reach, max(0.0, *ys) + 0.25 * reach
    band = [{**p, "low": min(max(p["low"], bottom), top), "high": min(max(p["high"], bottom), top)} for p in band]
    sx, sy = {"domain": [low, high], "nice": False}, {"domain": [bottom, top], "nice": False, "clamp": True}
    shown = {"title": None, "grid": False, "domain": True, "domainColor": MUTED, "tickColor": MUTED, "labelExpr": PLAIN}
    xa, ya = {**shown, "values": ticks(low, high, 6)}, {**shown, "values": ticks(bottom, top, 6)}
    canvas = Canvas(width, height)
    canvas.layer(
        band,
        {"type": "area", "color": GRID, "opacity": 0.6},
        x=q("x", sx, xa),
        y=q("low", sy, ya),
        y2={"field": "high"},
    )
    ends = [{"x": low, "y": 0.0}, {"x": high, "y": 0.0}]
    canvas.layer(ends, {"type": "line", "color": MUTED, "strokeWidth": 1.2}, x=q("x", sx, xa), y=q("y", sy, ya))
    ends = [{"x": 0.0, "y": bottom, "g": 1}, {"x": 0.0, "y": top, "g": 1}]
    canvas.layer(
        ends,
        {"type": "line", "color": MUTED, "strokeWidth": 1.2},
        x=q("x", sx, xa),
        y=q("y", sy, ya),
        order=_order("y"),
    )
    inside = [p for p in band if bottom <= p["y"] <= top]
    canvas.layer(inside, {"type": "line", "color": ACTIVE, "strokeWidth": 1.8}, x=q("x", sx, xa), y=q("y", sy, ya))
    if threshold is not None:
        ends = [{"x": threshold, "y": bottom}, {"x": threshold, "y": top}]
        canvas.layer(
            ends,
            {"type": "line", "color": ACCENT, "strokeWidth": 1.6, "strokeDash": [5, 3]},
            x=q("x", sx, xa),
            y=q("y", sy, ya),
            order=_order("y"),
        )
        canvas.words(width * (threshold - low) / (high - low) + 4, 10, "threshold", colour=ACCENT, size=11.0)
    most = max((r["weight"] for r in rows if r["weight"]), default=1.0)
    for r in rows:
        size = 60.0 if not r["weight"] else max(18.0, 420.0 * r["weight"] / most)
        canvas.layer(
            [{"x": r["x"], "y": r["y"], "label": r["label"]}],
            {"type": "point", "shape": "circle", "filled": True, "size": size, "color": INK, "opacity": 0.65},
            x=q("x", sx, xa),
            y=q("y", sy, ya),
            tooltip=[{"field": "label"}, {"field": "x"}, {"field": "y"}],
        )
    muted(canvas, width / 2, height + 36, x_label, "center")
    muted(canvas, -44, -12, y_label)
    said = "; ".join(f"{r['label']}: {r['x']:.3g}, {r['y']:.3g}" for r in rows[:40])
    words = f"{y_label[:1].upper()}{y_label[1:]} against {x_label}, {len(rows)} trials. {said}."
    if line is not None:
        words += f" The line has slope {written(line.slope)}; the band is its {100 * level:g} % prediction interval."
    if threshold is not None:
        words += f" Threshold at {written(threshold)}."
    table = [{"trial": r["label"], x_label: r["x"], y_label: r["y"]} for r in rows]
    return canvas.plot(title, words, table, (64, 30, 16, 54), name="Effects of trials")


def _order(field: str) -> dict[str, Any]:
    return {"field": field, "type": "quantitative"}


def _read(found: Any) -> tuple[list[dict[str, Any]], Any, tuple[str, str] | None]:
    if hasattr(found, "stage_one"):
        one = found.stage_one
        rows = [
            {"label": n, "x": float(x), "y": float(y), "weight": float(w)}
            for n, x, y, w in zip(one.names, one.effect_s, one.effect_t, one.sizes, strict=True)
            if math.isfinite(x) and math.isfinite(y)
        ]
        need(rows, "units with both effects")
        return rows, found.line, (found.surrogate, found.true)
    if hasattr(found, "rows") and hasattr(found.rows, "vt"):
        rows = [
            {"label": n, "x": float(x), "y": float(y), "weight": 1.0 / math.sqrt(float(v))}
            for n, x, y, v in zip(found.rows.names, found.rows.s, found.rows.t, found.rows.vt, strict=True)
        ]
        need(rows, "trials with both effects")
        return rows, found.line, (found.surrogate, found.true)
    frame = rows_of(found)
    need(frame, "trials")
    x, y, w, name = column(frame, "surrogate"), column(frame, "true"), maybe(frame, "weight"), maybe(frame, "label")
    rows = []
    for k, r in enumerate(frame, start=1):
        a, b = number(r[x]), number(r[y])
        if a is None or b is None:
            raise DataError(f"row {k}: an effect is missing", hint="leave the trial out, and say so")
        rows.append({"label": str(r[name]) if name else str(k), "x": a, "y": b, "weight": number(r[w]) if w else None})
    return rows, None, None


def _threshold(found: Any) -> float | None:
    made = found.threshold()
    if isinstance(made, tuple):
        there = [v for v in made if math.isfinite(v)]
    else:
        there = [t.value for t in (made.get("regression"),) if t is not None and t.exists]
    return float(there[0]) if there else None
