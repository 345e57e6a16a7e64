"""Pictures of a fit from the side of the data: residuals, normal quantiles, influence, proportional hazards."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist, StatisticsError, correlation, quantiles
from typing import Any

from equipoise.errors import DataError
from equipoise.render.plots.plot import PLAIN, Canvas, Plot, muted, q, ticks, written
from equipoise.render.plots.read import Row, column, maybe, need, number, rows_of, unique
from equipoise.render.theme import ACCENT, GRID, INK, MUTED, SERIES

_PLAIN = {"title": None, "grid": False, "labelExpr": PLAIN, "domain": True, "domainColor": MUTED, "tickColor": MUTED}
_POINT = {"type": "point", "filled": True, "size": 16, "opacity": 0.45, "color": SERIES[1]}
_MARGIN = (52.0, 24.0, 16.0, 52.0)
_PARTS = 10


def _axes(xs: Sequence[float], ys: Sequence[float]) -> tuple[dict[str, Any], dict[str, Any], tuple[float, float]]:
    """Encodings of both axes, a little wider than the values, and the ends of the first."""
    ends = []
    for values in (xs, ys):
        low, high = min(values), max(values)
        pad = 0.04 * (high - low) or 0.5
        ends.append((low - pad, high + pad))
    (left, right), (low, high) = ends
    across = q("x", {"domain": [left, right], "nice": False, "zero": False}, {**_PLAIN, "values": ticks(left, right)})
    up = q(
        "y",
        {"domain": [low, high], "nice": False, "zero": False},
        {**_PLAIN, "values": ticks(low, high, 6), "grid": True, "gridColor": GRID},
    )
    return across, up, (left, right)


def residuals(
    fit: Any,
    *,
    against: str = "fitted",
    kind: str | None = None,
    x_title: str | None = None,
    y_title: str | None = None,
    title: str | None = None,
    width: float = 460.0,
    height: float = 260.0,
) -> Plot:
    """Residuals of a fit against its fitted means, or at every visit, with their mean.

    Parameters
    ----------
    fit : a fit or what its ``diagnostics`` gives, or a frame with a row a residual: ``residual`` and the column
        ``against``. against : ``fitted`` (the linear predictor of a Cox or generalised linear model), ``visit``, or
        another column of a frame. kind : of residuals, as the fit's ``residuals`` names them.

    Raises
    ------
    DataError : a column is not there, or there is no residual.

    Examples
    --------
    >>> rows = [{"fitted": float(i % 7), "residual": (i * 5 % 11 - 5) / 3} for i in range(40)]
    >>> print(residuals(rows).description)
    40 residuals against the fitted mean, from −1.67 to 1.67; their mean is farthest from 0 at 2, 0.28.
    """
    told = _told(fit, kind)
    rows = rows_of(told)
    need(rows, "residuals")
    value, place = column(rows, "residual"), column(rows, against)
    unit = maybe(rows, "unit") or next(iter(rows[0]))
    x_name = str(x_title or (getattr(told, "fitted", "fitted mean") if against == "fitted" else against))
    y_name = str(y_title or getattr(told, "kind", "residual"))
    timed = all(number(r[place]) is not None for r in rows)
    names = sorted(unique(r[place] for r in rows)) if timed else unique(r[place] for r in rows)
    at = {v: float(v) if timed else float(k + 1) for k, v in enumerate(names)}
    points: list[Row] = [
        {"x": at[r[place]], "y": found, "unit": str(r[unit])} for r in rows if (found := number(r[value])) is not None
    ]
    need(points, "residuals")
    x, y, ends = _axes([p["x"] for p in points], [*(p["y"] for p in points), 0.0])
    canvas = Canvas(width, height)
    if not timed:
        x["axis"] = {**x["axis"], "labels": False, "values": list(at.values())}
        for name, where in at.items():
            px = width * (where - ends[0]) / (ends[1] - ends[0])
            muted(canvas, px, height + 14, str(name), "center")
    elif against != "fitted" and len(at) <= _PARTS:
        x["axis"] = {**x["axis"], "values": list(at.values())}
    line = [{"x": ends[0], "y": 0.0}, {"x": ends[1], "y": 0.0}]
    canvas.layer(line, {"type": "line", "color": MUTED, "strokeDash": [3, 3]}, x=x, y=y)
    canvas.layer(points, _POINT, x=x, y=y, tooltip=[{"field": "unit"}, {"field": "x"}, {"field": "y"}])
    means = _means(points)
    canvas.layer(means, {"type": "line", "color": INK, "strokeWidth": 2, "point": {"size": 20, "color": INK}}, x=x, y=y)
    muted(canvas, 0, -10, y_name)
    muted(canvas, width / 2, height + 38, x_name, "center")
    worst = max(means, key=lambda m: abs(m["y"]))
    place_of = written(worst["x"]) if timed else next(str(n) for n, v in at.items() if v == worst["x"])
    values = [p["y"] for p in points]
    words = (
        f"{len(points)} {y_name}s against the {x_name}, from {written(min(values))} to {written(max(values))}; "
        f"their mean is farthest from 0 at {place_of}, {written(worst['y'], 2)}."
    )
    return canvas.plot(title, words, [dict(p) for p in points], _MARGIN, name="Residuals")


def _told(fit: Any, kind: str | None) -> Any:
    """The diagnostics of a fit; a frame, or diagnostics, as they are."""
    if not hasattr(fit, "diagnostics"):
        return fit
    return fit.diagnostics() if kind is None else fit.diagnostics(kind)


def _means(points: Sequence[Row]) -> list[Row]:
    """Mean of the residuals at every place, or in each tenth of them where there are many."""
    places = sorted({p["x"] for p in points})
    if len(places) <= 2 * _PARTS and len(points) >= 2 * len(places):
        parts = [[p for p in points if p["x"] == at] for at in places]
    else:
        ordered = sorted(points, key=lambda p: (p["x"], p["y"]))
        n, k = len(ordered), min(_PARTS, max(1, len(ordered) // 4))
        parts = [ordered[n * i // k : n * (i + 1) // k] for i in range(k)]
    return [{"x": sum(p["x"] for p in part) / len(part), "y": sum(p["y"] for p in part) / len(part)} for part in parts]


def qq(
    fit: Any,
    *,
    of: str = "residuals",
    kind: str | None = None,
    y_title: str | None = None,
    title: str | None = None,
    width: float = 320.0,
    height: float = 300.0,
) -> Plot:
    """Ordered values against normal quantiles, with the line through their quartiles: R's ``qqnorm`` and ``qqline``.

    Parameters
    ----------
    fit : a fit or what its ``diagnostics`` gives, or a frame with ``normal`` and ``value``. of : ``residuals``, or a
        random effect (``intercept``, or the time) of a random-slope model. kind : of residuals.

    Raises
    ------
    DataError : a column is not there, or there are fewer than three values. EstimationError : what follows no normal
        distribution even where the model holds.

    Examples
    --------
    >>> rows = [{"normal": z, "value": 2 * z + 1} for z in (-1.2, -0.5, 0.0, 0.5, 1.2)]
    >>> print(qq(rows).description)
    5 ordered values against normal quantiles, from −1.4 to 3.4; squared correlation 1.
    """
    told = _told(fit, kind)
    rows = rows_of(told.qq(of) if hasattr(told, "qq") else told)
    a, b = column(rows, "normal"), column(rows, "value")
    unit = next((name for name in rows[0] if name not in (a, b)), None)
    points: list[Row] = [{"x": float(r[a]), "y": float(r[b]), "unit": str(r[unit]) if unit else ""} for r in rows]
    if len(points) < 3:
        raise DataError(f"{len(points)} values", hint="a Q-Q plot needs three at least")
    y_name = str(y_title or (getattr(told, "kind", "value") if of == "residuals" else f"random {of}"))
    xs, ys = [p["x"] for p in points], sorted(p["y"] for p in points)
    x, y, ends = _axes(xs, ys)
    canvas = Canvas(width, height)
    lower, _, upper = quantiles(ys, n=4, method="inclusive")  # R's default, type 7
    slope = (upper - lower) / (2.0 * NormalDist().inv_cdf(0.75))
    middle = 0.5 * (lower + upper)
    line = [{"x": e, "y": middle + slope * e} for e in ends]
    canvas.layer(line, {"type": "line", "color": INK, "strokeWidth": 1.5, "clip": True}, x=x, y=y)
    canvas.layer(points, {**_POINT, "opacity": 0.7}, x=x, y=y, tooltip=[{"field": "unit"}, {"field": "y"}])
    muted(canvas, 0, -10, y_name)
    muted(canvas, width / 2, height + 38, "normal quantile", "center")
    words = (
        f"{len(points)} ordered {y_name}s against normal quantiles, from {written(ys[0])} to {written(ys[-1])}; "
        f"squared correlation {written(_correlation(points) ** 2)}."
    )
    return canvas.plot(title, words, [dict(p) for p in points], _MARGIN, name="Normal quantiles")


def _correlation(points: Sequence[Row]) -> float:
    """NaN where the values are all the same."""
    try:
        return correlation([p["x"] for p in points], [p["y"] for p in points])
    except StatisticsError:
        return math.nan


def influence(
    fit: Any,
    *,
    refit: bool = False,
    most: int = 5,
    title: str | None = None,
    width: float = 520.0,
    height: float = 220.0,
) -> Plot:
    """Cook's distance of every patient, in the order of the data; the largest are named.

    Parameters
    ----------
    fit : a fit or what its ``influence`` or ``diagnostics`` gives, or a frame with ``cook`` and, first, what names the
        unit. refit : of a fit, the patients left out by fitting again. most : how many are named. The dashed line is at
        4 / n, a mark for a second look and no test.

    Raises
    ------
    DataError : there is no ``cook``, or none that is a number.

    Examples
    --------
    >>> rows = [{"USUBJID": f"S{i}", "cook": 0.9 if i == 7 else 0.01 * (i % 5)} for i in range(30)]
    >>> print(influence(rows, most=1).description)
    Cook's distance of 30 units; largest S7 (0.9); 1 above 4 / n = 0.133.
    """
    if hasattr(fit, "influence"):
        fit = fit.influence(refit=True) if refit else fit.influence()
    elif hasattr(fit, "own"):
        if fit.own is None:
            raise DataError(f"no influence in {fit.model}", hint="it is not made for this fit")
        fit = fit.own
    rows = rows_of(fit)
    need(rows, "units")
    cook, unit = column(rows, "cook"), next(iter(rows[0]))
    points: list[Row] = [
        {"x": float(k), "y": d, "unit": str(r[unit])}
        for k, r in enumerate(rows, 1)
        if (d := number(r[cook])) is not None
    ]
    need(points, "Cook's distances")
    mark = 4.0 / len(rows)
    x, y, ends = _axes([p["x"] for p in points], [0.0, *(p["y"] for p in points), mark])
    x["axis"] = None
    y["scale"] = {**y["scale"], "domain": [0.0, y["scale"]["domain"][1]]}
    y["axis"] = {**y["axis"], "values": [t for t in y["axis"]["values"] if t >= 0.0]}
    canvas = Canvas(width, height)
    stems = [{**p, "y2": 0.0} for p in points]
    canvas.layer(stems, {"type": "rule", "color": MUTED, "opacity": 0.6}, x=x, y=y, y2={"field": "y2"})
    canvas.layer(points, {**_POINT, "opacity": 0.9}, x=x, y=y, tooltip=[{"field": "unit"}, {"field": "y"}])
    line = [{"x": e, "y": mark} for e in ends]
    canvas.layer(line, {"type": "line", "color": ACCENT, "strokeDash": [5, 3]}, x=x, y=y)
    top = y["scale"]["domain"][1]
    named = sorted(points, key=lambda p: -p["y"])[:most]
    step, up = width / (ends[1] - ends[0]), height / top  # pixels to a unit
    for p in named:
        px = step * (p["x"] - ends[0])
        close = any(0.0 < (o["x"] - p["x"]) * step < 50.0 and abs(o["y"] - p["y"]) * up < 12.0 for o in named)
        anchor = "right" if px > 0.8 * width or close else "left"
        shift = -5 if anchor == "right" else 5
        canvas.words(px + shift, height * (1.0 - p["y"] / top), p["unit"], anchor=anchor, size=10.5)
    muted(canvas, 0, -10, "Cook's distance")
    muted(canvas, width / 2, height + 20, f"{unit}, in the order of the data", "center")
    said = ", ".join(f"{p['unit']} ({written(p['y'], 2)})" for p in named)
    above = sum(p["y"] > mark for p in points)
    words = f"Cook's distance of {len(points)} units; largest {said}; {above} above 4 / n = {written(mark)}."
    return canvas.plot(title, words, [{unit: p["unit"], "cook": p["y"]} for p in points], _MARGIN, name="Influence")


def proportional_hazards(
    fit: Any,
    *,
    term: str | None = None,
    beta: float | None = None,
    unit: str = "weeks",
    y_title: str | None = None,
    title: str | None = None,
    width: float = 460.0,
    height: float = 260.0,
) -> Plot:
    """How a coefficient of a Cox model moves over time: scaled Schoenfeld residuals with their mean and its limits.

    Parameters
    ----------
    fit : a Cox model or what its ``diagnostics`` gives, or a frame with ``time``, ``residual`` and, as far as there
        are, ``mean``, ``low``, ``high``. term : a coefficient, default the first. beta : the coefficient, drawn as the
        level that the mean keeps where hazards are proportional; default that of the fit. unit : of time.

    Raises
    ------
    DataError : a column is not there. EstimationError : the fit is no Cox model, or has no such coefficient.

    Examples
    --------
    >>> rows = [{"time": float(t), "residual": (t * 7 % 5 - 2) / 2} for t in range(1, 11)]
    >>> print(proportional_hazards(rows, beta=0.1).description)
    10 scaled Schoenfeld residuals over weeks, from −1 to 1, about a log hazard ratio of 0.1.
    """
    told, said = _told(fit, None), ""
    if hasattr(told, "drift"):
        names = told.scaled[2] if told.scaled is not None else ()
        term = term or (names[0] if names else None)
        rows = rows_of(told.drift(term))
        beta = float(told.scaled[3][names.index(term)]) if beta is None else beta
        said = " " + told.proportional.to_sentence()
        y_title = y_title or f"log hazard ratio of {term}"
    else:
        rows = rows_of(told)
    need(rows, "events")
    time, value = column(rows, "time"), column(rows, "residual")
    points: list[Row] = [{"x": float(r[time]), "y": float(r[value])} for r in rows]
    mean, low, high = (maybe(rows, name) for name in ("mean", "low", "high"))
    smooth = sorted(
        ({"x": float(r[time]), "y": r[mean], "low": r[low], "high": r[high]} for r in rows)
        if mean and low and high
        else (),
        key=lambda p: p["x"],
    )
    values = [p["y"] for p in points]
    x, y, ends = _axes([p["x"] for p in points], [*values, *(p[k] for p in smooth for k in ("low", "high"))])
    canvas = Canvas(width, height)
    canvas.layer(
        smooth, {"type": "area", "color": GRID, "opacity": 0.7}, x=x, y={**y, "field": "low"}, y2={"field": "high"}
    )
    if beta is not None:
        line = [{"x": e, "y": beta} for e in ends]
        canvas.layer(line, {"type": "line", "color": ACCENT, "strokeDash": [5, 3]}, x=x, y=y)
    canvas.layer(points, _POINT, x=x, y=y)
    canvas.layer(smooth, {"type": "line", "color": INK, "strokeWidth": 2}, x=x, y=y)
    muted(canvas, 0, -10, y_title or "log hazard ratio")
    muted(canvas, width / 2, height + 38, unit, "center")
    words = (
        f"{len(points)} scaled Schoenfeld residuals over {unit}, from {written(min(values))} to {written(max(values))}"
    )
    words += f", about a log hazard ratio of {written(beta)}" if beta is not None else ""
    return canvas.plot(title, words + "." + said, [dict(p) for p in points], _MARGIN, name="Proportional hazards")
