"""One trial, patient by patient: a line each, side by side by arm, with how observation ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from equipoise.errors import DataError
from equipoise.render.plots.plot import Canvas, Plot, muted, pixels, q, time_ticks
from equipoise.render.theme import ACCENT, MUTED, SERIES

_GAP = 46.0


def patients(
    rows: Sequence[Mapping[str, Any]],
    *,
    title: str | None = None,
    unit: str = "weeks",
    label: str = "Value",
    width: float = 300.0,
    height: float = 240.0,
) -> Plot:
    """A line a patient, a panel an arm. A cross marks a death, a ring one who left early.

    Parameters
    ----------
    rows : one mapping a patient: ``arm``, ``weeks`` and ``values`` (of equal length), ``last_week``, ``died``.

    Raises
    ------
    DataError : no patients, or none with a value.

    Examples
    --------
    >>> one = {"patient": 1, "arm": "placebo", "weeks": [0, 4], "values": [40, 38], "last_week": 4, "died": True}
    >>> print(patients([one]).description)
    placebo: 1 patient, 1 died, 0 left early.
    """
    seen = [r for r in rows if r["values"]]
    if not seen:
        raise DataError("no patient has a value", hint="see the trial")
    arms = list(dict.fromkeys(str(r["arm"]) for r in rows))
    end = max(float(w) for r in seen for w in r["weeks"])
    numbers = [float(v) for r in seen for v in r["values"]]
    low, high = min(numbers), max(numbers)
    pad = 0.05 * (high - low) if high > low else 1.0
    panel = (width * 2 + _GAP - _GAP * (len(arms) - 1)) / len(arms)
    whole = panel * len(arms) + _GAP * (len(arms) - 1)
    canvas = Canvas(whole, height)
    yscale = {"domain": [low - pad, high + pad], "nice": False}
    yaxis = {"title": None, "grid": True}
    said = []
    for k, arm in enumerate(arms):
        left = k * (panel + _GAP)

        def across(week: float, left: float = left) -> float:
            return left + panel * week / max(end, 1.0)

        own = [r for r in rows if str(r["arm"]) == arm]
        points = [
            {"x": across(float(w)), "y": float(v), "who": i}
            for i, r in enumerate(own)
            for w, v in zip(r["weeks"], r["values"], strict=True)
        ]
        colour = SERIES[k % len(SERIES)]
        canvas.layer(
            points,
            {"type": "line", "color": colour, "strokeWidth": 1, "opacity": 0.45},
            x=pixels("x"),
            y=q("y", yscale, yaxis),
            detail={"field": "who"},
        )
        canvas.rules([(left, height, left + panel, height)], MUTED)
        for week in time_ticks(end, unit, 6):
            canvas.rules([(across(week), height, across(week), height + 4)], MUTED)
            canvas.words(across(week), height + 14, f"{week:g}", anchor="center", size=11.0)
        ends = [r for r in own if r["values"]]
        died = [r for r in ends if r["died"]]
        gone = [r for r in ends if not r["died"] and float(r["last_week"]) < end - 0.5]
        for some, shape, ink in ((died, "cross", ACCENT), (gone, "circle", MUTED)):
            canvas.layer(
                [{"x": across(float(r["weeks"][-1])), "y": float(r["values"][-1])} for r in some],
                {"type": "point", "shape": shape, "filled": shape == "cross", "size": 34, "color": ink, "opacity": 1},
                x=pixels("x"),
                y=q("y", yscale, yaxis),
            )
        canvas.words(left, -14, f"{arm} ({len(own)})", bold=True, colour=colour)
        word = "patient" if len(own) == 1 else "patients"
        n_died, n_gone = sum(bool(r["died"]) for r in own), len(gone)
        said.append(f"{arm}: {len(own)} {word}, {n_died} died, {n_gone} left early.")
    muted(canvas, whole / 2, height + 36, f"{unit}; cross: died, ring: left early", "center")
    table = [
        {"patient": r.get("patient"), "arm": r["arm"], "last week": r["last_week"], "died": bool(r["died"])}
        for r in rows
    ]
    return canvas.plot(title, " ".join(said), table, (46, 34, 18, 50), name=label)
