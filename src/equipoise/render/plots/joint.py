"""Pictures of a joint model: courses of patients with their events, residuals, and what an effect is made of."""

from __future__ import annotations

from typing import Any

from equipoise.errors import DataError
from equipoise.render.plots.plot import PLAIN, Canvas, Plot, muted, q, ticks, time_ticks, written
from equipoise.render.theme import DASHES, GRID, INK, MUTED, SERIES

_PLAIN = {"title": None, "grid": False, "labelExpr": PLAIN, "domain": True, "domainColor": MUTED, "tickColor": MUTED}


def _axes(x: tuple[float, float], y: tuple[float, float], at: list[float]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Encodings of a time axis with marks ``at`` and of a value axis with a grid."""
    marks = ticks(y[0], y[1], 6)
    low, high = min(y[0], marks[0]), max(y[1], marks[-1])
    across = q("x", {"domain": list(x), "nice": False}, {**_PLAIN, "values": at})
    up = q(
        "y", {"domain": [low, high], "nice": False, "zero": False},
        {**_PLAIN, "values": marks, "grid": True, "gridColor": GRID},
    )  # fmt: skip
    return across, up


def trajectories(
    fit: Any,
    *,
    marker: str | None = None,
    most: int = 60,
    unit: str = "weeks",
    title: str | None = None,
    width: float = 520.0,
    height: float = 280.0,
) -> Plot:
    """Courses of patients until they end, with a cross where an event ended them, and the mean course of each arm.

    Parameters
    ----------
    fit : a joint model. marker : which one, of several. most : patients that are drawn, by chance. unit : of time.

    Raises
    ------
    DataError : the model has no fit.

    Examples
    --------
    >>> from types import SimpleNamespace as Made
    >>> told = {
    ...     "marker": "ALSFRS", "means": [{"arm": "drug", "x": x, "y": 38.0 - 0.2 * x} for x in (0.0, 52.0)],
    ...     "patients": [{"patient": "P1", "arm": "drug", "x": x, "y": 37.0 - 0.5 * x} for x in (0.0, 20.0)],
    ...     "ends": [{"patient": "P1", "arm": "drug", "x": 20.0, "y": 27.0, "event": True}],
    ... }
    >>> fit = Made(converged=True, courses=lambda marker, most: told)  # as joint_model gives it
    >>> print(trajectories(fit).description)
    ALSFRS over weeks. drug: mean 38 at 0, 27.6 at 52; 1 of 1 drawn had the event.
    """
    if not fit.converged:
        raise DataError(f"no course to draw: {fit.reason}", hint="see fit.status")
    told = fit.courses(marker=marker, most=most)
    arms = list(dict.fromkeys(row["arm"] for row in told["means"]))
    colour = {arm: SERIES[k % len(SERIES)] for k, arm in enumerate(arms)}
    every = [*told["patients"], *told["means"]]
    top = max(row["x"] for row in every)
    span = min(row["y"] for row in every), max(row["y"] for row in every)
    x, y = _axes((0.0, top), span, time_ticks(top, unit))
    canvas = Canvas(width, height)
    for arm in arms:
        own = [row for row in told["patients"] if row["arm"] == arm]
        canvas.layer(
            own, {"type": "line", "color": colour[arm], "strokeWidth": 0.8, "opacity": 0.35},
            x=x, y=y, detail={"field": "patient", "type": "nominal"},
        )  # fmt: skip
        ends = [row for row in told["ends"] if row["arm"] == arm and row["event"]]
        if ends:
            canvas.layer(
                ends,
                {"type": "point", "shape": "cross", "angle": 45, "filled": True, "size": 36, "color": colour[arm]},
                x=x, y=y,
            )  # fmt: skip
    for k, arm in enumerate(arms):
        mean = [row for row in told["means"] if row["arm"] == arm]
        canvas.layer(
            mean, {"type": "line", "color": colour[arm], "strokeWidth": 3, "strokeDash": DASHES[k % len(DASHES)]},
            x=x, y=y,
        )  # fmt: skip
        canvas.words(width + 8, 8 + 17.0 * k, str(arm), colour=colour[arm], bold=True, size=11.5)
    canvas.words(width + 8, 14 + 17.0 * len(arms), "× event", colour=MUTED, size=11.0)
    muted(canvas, 0, -10, told["marker"])
    muted(canvas, width / 2, height + 38, unit, "center")
    said = []
    for arm in arms:
        mean = [row for row in told["means"] if row["arm"] == arm]
        events = sum(row["event"] for row in told["ends"] if row["arm"] == arm)
        n = sum(row["arm"] == arm for row in told["ends"])
        said.append(
            f"{arm}: mean {written(mean[0]['y'])} at 0, {written(mean[-1]['y'])} at {mean[-1]['x']:g}; "
            f"{events} of {n} drawn had the event"
        )
    table = [{key: row[key] for key in ("patient", "arm", "x", "y", "event")} for row in told["ends"]]
    words = f"{told['marker']} over {unit}. " + "; ".join(said) + "."
    return canvas.plot(title, words, table, (46.0, 24.0, 110.0, 52.0), name="Courses of patients")


def joint_residuals(
    fit: Any,
    *,
    kind: str = "marker",
    marker: str | None = None,
    unit: str = "weeks",
    title: str | None = None,
    width: float = 460.0,
    height: float = 240.0,
) -> Plot:
    """Residuals of a joint model: of the marker over time, or of the events.

    kind : ``marker``: values less the patient's own course, in residual standard deviations, with their mean at each
    visit, or in each tenth of time where visits are many. ``events``: the cumulative hazard of Cox-Snell residuals,
    which is the straight line where the model is right.

    Raises :class:`DataError` where the model has no fit, or for an unknown kind.

    >>> from types import SimpleNamespace as Made
    >>> fit = Made(converged=True, event_residuals=lambda: [(0.2, 0.25), (0.9, 0.8)])  # as joint_model gives it
    >>> print(joint_residuals(fit, kind="events").description[:58])
    Cumulative hazard of 2 Cox-Snell residuals with events aga
    """
    if not fit.converged:
        raise DataError(f"no residual to draw: {fit.reason}", hint="see fit.status")
    if kind not in ("marker", "events"):
        raise DataError(f"unknown kind {kind!r}", hint="choose marker or events")
    canvas = Canvas(width, height)
    if kind == "marker":
        points, name = fit.marker_residuals(marker)
        rows = [{"x": t, "y": r} for t, r in points]
        top = max(row["x"] for row in rows)
        edge = max(3.0, *(abs(row["y"]) for row in rows))
        x, y = _axes((0.0, max(top, 1e-9)), (-edge, edge), time_ticks(max(top, 1.0), unit))
        canvas.layer(rows, {"type": "point", "filled": True, "size": 10, "opacity": 0.35, "color": SERIES[0]}, x=x, y=y)
        ordered = sorted(rows, key=lambda row: row["x"])
        visits = sorted({row["x"] for row in rows})
        if len(visits) <= 20:
            parts = [[row for row in rows if row["x"] == t] for t in visits]
        else:
            parts = [ordered[len(ordered) * k // 10 : len(ordered) * (k + 1) // 10] for k in range(10)]
        means = [
            {"x": sum(r["x"] for r in part) / len(part), "y": sum(r["y"] for r in part) / len(part)}
            for part in parts
            if part
        ]
        canvas.layer(means, {"type": "line", "color": INK, "strokeWidth": 2}, x=x, y=y)
        for level in (-1.96, 0.0, 1.96):
            line = [{"x": 0.0, "y": level}, {"x": top, "y": level}]
            canvas.layer(line, {"type": "line", "color": MUTED, "strokeDash": [3, 3]}, x=x, y=y)
        outside = sum(abs(row["y"]) > 1.96 for row in rows) / len(rows)
        worst = max(means, key=lambda row: abs(row["y"]))
        said = (
            f"{len(rows)} residuals of {name} over {unit}, in residual standard deviations: {100 * outside:.1f} % "
            f"beyond 1.96; their mean is farthest from 0 at {worst['x']:.3g}, {written(worst['y'], 2)}."
        )
        muted(canvas, 0, -10, f"residual of {name}, in SD")
        muted(canvas, width / 2, height + 38, unit, "center")
        table = [dict(row) for row in means]
        return canvas.plot(title, said, table, (46.0, 24.0, 16.0, 52.0), name="Residuals of the marker")
    steps = [{"x": r, "y": h} for r, h in fit.event_residuals()]
    top = max(row["x"] for row in steps)
    x, y = _axes((0.0, top), (0.0, max(top, *(row["y"] for row in steps))), ticks(0.0, top, 6))
    line = [{"x": 0.0, "y": 0.0}, {"x": top, "y": top}]
    canvas.layer(line, {"type": "line", "color": MUTED, "strokeDash": [3, 3]}, x=x, y=y)
    drawn = [{"x": 0.0, "y": 0.0}, *steps]
    canvas.layer(drawn, {"type": "line", "interpolate": "step-after", "color": SERIES[0], "strokeWidth": 2}, x=x, y=y)
    gap = max(steps, key=lambda row: abs(row["y"] - row["x"]))
    said = (
        f"Cumulative hazard of {len(steps)} Cox-Snell residuals with events against themselves: the largest distance "
        f"from the line is {written(gap['y'] - gap['x'], 2)} at {gap['x']:.3g}."
    )
    muted(canvas, 0, -10, "their cumulative hazard")
    muted(canvas, width / 2, height + 38, "expected cumulative hazard at the end of follow-up", "center")
    return canvas.plot(title, said, steps, (46.0, 24.0, 16.0, 52.0), name="Residuals of the events")


def effect_parts(
    answer: Any, *, unit: str = "weeks", title: str | None = None, width: float = 460.0, height: float = 240.0
) -> Plot:
    """A total effect over time, and its parts: direct, and through the course of the marker.

    answer : what ``total_effect`` of a joint model gives at two or more times.

    Raises :class:`DataError` for fewer times, and where there is nothing to draw.

    >>> from types import SimpleNamespace as Made
    >>> names, values = ("total", "direct", "through the course"), (0.04, 0.01, 0.03, 0.1, 0.02, 0.08)
    >>> keys = [{"effect": e, "time": t} for t in (26, 52) for e in names]
    >>> ones = [Made(estimate=v, low=v - 0.05, high=v + 0.05, estimable=True) for v in values]
    >>> answer = Made(question="Effect on survival", keys=keys, estimates=ones)  # as total_effect gives it
    >>> print(effect_parts(answer).description.rpartition(", ")[2])
    through the course +8.0 (+3.0 to +13.0).
    """
    names = ("total", "direct", "through the course")
    rows: list[dict[str, Any]] = []
    for key, one in zip(answer.keys, answer.estimates, strict=True):
        if key.get("effect") in names and one.estimable:
            rows.append(
                {"part": key["effect"], "x": float(key["time"]), "y": 100.0 * one.estimate,
                 "low": 100.0 * one.low, "high": 100.0 * one.high}
            )  # fmt: skip
    times = sorted({row["x"] for row in rows})
    if len(times) < 2:
        raise DataError(f"the effect at {len(times)} times", hint="ask for two or more: total_effect([13, 26, 39, 52])")
    span = min(0.0, *(row["low"] for row in rows)), max(0.0, *(row["high"] for row in rows))
    x, y = _axes((times[0], times[-1]), span, [t for t in time_ticks(times[-1], unit) if t >= times[0]])
    low = {**y, "field": "low"}
    canvas = Canvas(width, height)
    zero = [{"x": times[0], "y": 0.0}, {"x": times[-1], "y": 0.0}]
    canvas.layer(zero, {"type": "line", "color": MUTED, "strokeDash": [3, 3]}, x=x, y=y)
    said = []
    for k, part in enumerate(names):
        own = [row for row in rows if row["part"] == part]
        canvas.layer(own, {"type": "area", "color": SERIES[k], "opacity": 0.12}, x=x, y=low, y2={"field": "high"})
        canvas.layer(
            own,
            {"type": "line", "color": SERIES[k], "strokeWidth": 2.5, "strokeDash": DASHES[k % len(DASHES)]},
            x=x,
            y=y,
        )
        canvas.words(width + 8, 8 + 17.0 * k, part, colour=SERIES[k], bold=True, size=11.5)
        last = own[-1]
        numbers = f"{last['y']:+.1f} ({last['low']:+.1f} to {last['high']:+.1f})"
        said.append(f"{part} {numbers.replace('-', '−')}")
    muted(canvas, 0, -10, "difference, percentage points")
    muted(canvas, width / 2, height + 38, unit, "center")
    words = (
        f"{answer.question}: at {unit.removesuffix('s')} {times[-1]:g}, in percentage points, " + ", ".join(said) + "."
    )
    return canvas.plot(title, words, rows, (46.0, 24.0, 130.0, 52.0), name="Parts of an effect")
