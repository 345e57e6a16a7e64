"""Predictions of patients: the risk of an event after a landmark, with its interval."""

from __future__ import annotations

from typing import Any

from equipoise.errors import DataError
from equipoise.render.plots.plot import PLAIN, Canvas, Plot, muted, q, ticks, time_ticks
from equipoise.render.theme import GRID, MUTED, SERIES


def prediction(
    predicted: Any, *, unit: str = "weeks", title: str | None = None, width: float = 460.0, height: float = 220.0
) -> Plot:
    """The risk of each patient over time after the landmark.

    Parameters
    ----------
    predicted : what ``predict`` of a joint model gives back, of at most six patients.
    unit : of time.

    Raises
    ------
    DataError : no patient, or more than can be told apart.

    Examples
    --------
    >>> import numpy as np
    >>> from equipoise.estimate.joint_model.predict import Prediction
    >>> one = np.array([[0.1, 0.3]])
    >>> made = Prediction("id", ("P1",), 4.0, np.array([8.0, 12.0]), one, one / 2, one * 2, {}, {}, {}, 0.95, {})
    >>> print(prediction(made).description)
    Risk after week 4. P1: 10 % by 8, 30 % by 12 (95 % CI 15 to 60 %).
    """
    patients = [str(p) for p in predicted.patients]
    if not patients:
        raise DataError("no patient to draw", hint="see the prediction")
    if len(patients) > len(SERIES):
        raise DataError(f"{len(patients)} patients", hint=f"at most {len(SERIES)} can be told apart: predict fewer")
    landmark, times = float(predicted.landmark), [float(t) for t in predicted.at]
    rows: list[dict[str, Any]] = []
    for i, patient in enumerate(patients):
        rows.append({"patient": patient, "series": i, "x": landmark, "y": 0.0, "low": 0.0, "high": 0.0})
        for k, t in enumerate(times):
            at, low, high = (100.0 * float(v[i, k]) for v in (predicted.risk, predicted.low, predicted.high))
            rows.append({"patient": patient, "series": i, "x": t, "y": at, "low": low, "high": high})
    intervals = all(r["low"] == r["low"] for r in rows)
    top = max(r["high"] if intervals else r["y"] for r in rows)
    marks = ticks(0.0, max(top, 1.0), 6)
    x: dict[str, Any] = {"domain": [landmark, times[-1]], "nice": False}
    y: dict[str, Any] = {"domain": [0.0, max(top, marks[-1])], "nice": False}
    shown = [m for m in time_ticks(times[-1], unit) if m >= landmark]
    plain = {"title": None, "grid": False, "labelExpr": PLAIN, "domain": True, "domainColor": MUTED, "tickColor": MUTED}
    xaxis, yaxis = {**plain, "values": shown}, {**plain, "values": marks, "grid": True, "gridColor": GRID}
    canvas = Canvas(width, height)
    for i in range(len(patients)):
        own = [r for r in rows if r["series"] == i]
        if intervals:
            canvas.layer(
                own,
                {"type": "area", "color": SERIES[i], "opacity": 0.15},
                x=q("x", x, xaxis),
                y=q("low", y, yaxis),
                y2={"field": "high"},
            )
        canvas.layer(
            own, {"type": "line", "color": SERIES[i], "strokeWidth": 2}, x=q("x", x, xaxis), y=q("y", y, yaxis)
        )
    line = 0.0
    for i, patient in enumerate(patients):
        canvas.words(width + 8, 8 + line, patient, colour=SERIES[i], bold=True, size=11.5)
        line += 17.0
    muted(canvas, 0, -10, "risk, %")
    muted(canvas, width / 2, height + 38, unit, "center")
    said = f"Risk after {unit.removesuffix('s')} {landmark:g}. " + " ".join(
        _said(patient, [r for r in rows if r["series"] == i][1:], intervals, predicted.level)
        for i, patient in enumerate(patients)
    )
    table = [{k: r[k] for k in ("patient", "x", "y", "low", "high")} for r in rows]
    return canvas.plot(title, said, table, (46.0, 24.0, 90.0, 52.0), name="Predicted risk")


def _said(patient: str, rows: list[dict[str, Any]], intervals: bool, level: float) -> str:
    """The risks of a patient in words, with the interval of the last."""
    told = ", ".join(f"{r['y']:.0f} % by {r['x']:g}" for r in rows)
    last = rows[-1]
    interval = f" ({100 * level:g} % CI {last['low']:.0f} to {last['high']:.0f} %)" if intervals else ""
    return f"{patient}: {told}{interval}."
