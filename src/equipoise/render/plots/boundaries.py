"""The boundaries of a group sequential test, with the path that Z took."""

from __future__ import annotations

from typing import Any

from equipoise.errors import DataError
from equipoise.render.plots.plot import PLAIN, Canvas, Plot, muted, q, text_width, ticks, written
from equipoise.render.plots.read import column, maybe, need, number, rows_of
from equipoise.render.theme import ACTIVE, CONTROL, GRID, INK, MUTED

_ROW = 18.0
_Point = dict[str, Any]


def boundaries(
    looks: Any,
    *,
    unit: str = "% of full information",
    upper: str = "efficacy",
    lower: str = "futility",
    z: str = "Z",
    title: str | None = None,
    note: str | None = None,
    width: float = 560.0,
    height: float = 270.0,
) -> Plot:
    """Boundaries for Z by look, and Z as far as it is known.

    Parameters
    ----------
    looks : a frame with one row a look: ``information``, ``upper`` and as far as there are ``lower``, ``z`` and
        ``look`` (its name). A look without a boundary is left open there.
    unit : of the information. upper, lower, z : what the boundaries and the statistic are called.

    Examples
    --------
    >>> rows = [{"information": 50, "upper": 2.963, "z": 1.4}, {"information": 100, "upper": 1.969, "z": None}]
    >>> print(boundaries(rows).description)
    Look 1 at 50 % of full information: Z 1.40, efficacy from 2.96. Look 2 at 100 % of full information: efficacy \
from 1.97.
    """
    rows = rows_of(looks)
    need(rows, "looks")
    at, up = column(rows, "information"), column(rows, "upper")
    names, low, path = maybe(rows, "look"), maybe(rows, "lower"), maybe(rows, "z")
    points: list[_Point] = []
    for k, row in enumerate(rows, start=1):
        place = number(row[at])
        if place is None or place <= 0.0 or (points and place <= points[-1]["x"]):
            raise DataError(f"look {k}: information {row[at]!r}", hint="information is positive and grows")
        points.append(
            {
                "x": place,
                "look": str(row[names]) if names and row[names] else f"Look {k}",
                "upper": number(row[up]),
                "lower": number(row[low]) if low else None,
                "z": number(row[path]) if path else None,
            }
        )
    shown = [v for p in points for v in (p["upper"], p["lower"], p["z"]) if v is not None]
    if not shown:
        raise DataError("looks without a boundary or a Z", hint="see upper and z")
    first, last = min(0.0, *shown), max(0.0, *shown)
    gap = 0.08 * max(last - first, 1.0)
    x = {"domain": [0.0, points[-1]["x"] * 1.04], "nice": False}
    y = {"domain": [first - gap, last + gap], "nice": False}
    xaxis = {
        "title": None,
        "values": ticks(0.0, points[-1]["x"]),
        "grid": False,
        "domain": True,
        "domainColor": MUTED,
        "tickColor": MUTED,
        "labelExpr": PLAIN,
        "labelFlush": False,
    }
    yaxis = {"title": None, "values": ticks(first - gap, last + gap, 7), "grid": True, "labelExpr": PLAIN}
    canvas = Canvas(width, height)
    zero = height * (last + gap) / (last - first + 2.0 * gap)
    canvas.rules([(0.0, zero, width, zero)], GRID, 1.6)
    series = (
        ("upper", f"{upper} boundary", ACTIVE, (1, 0), "circle"),
        ("lower", f"{lower} boundary", CONTROL, (5, 3), "square"),
        ("z", z, INK, (2, 2), "diamond"),
    )
    drawn = [s for s in series if any(p[s[0]] is not None for p in points)]
    for field, label, colour, dash, shape in drawn:
        known = [{"x": p["x"], "y": p[field], "look": p["look"]} for p in points if p[field] is not None]
        tips = [
            {"field": "look", "type": "nominal", "title": "look"},
            {"field": "y", "type": "quantitative", "title": label, "format": ".3f"},
        ]
        canvas.layer(
            known,
            {"type": "line", "color": colour, "strokeWidth": 1.8, "strokeDash": list(dash)},
            x=q("x", x, xaxis),
            y=q("y", y, yaxis),
        )
        canvas.layer(
            known,
            {"type": "point", "shape": shape, "filled": True, "size": 60, "color": colour, "opacity": 1},
            x=q("x", x, xaxis),
            y=q("y", y, yaxis),
            tooltip=tips,
        )
    head = 26.0 + _ROW
    across = 0.0
    for _, label, colour, dash, shape in drawn:
        canvas.rules([(across, -head + 8, across + 26, -head + 8)], colour, 1.8, dash)
        canvas.points([(across + 13, -head + 8)], colour, shape)
        canvas.words(across + 33, -head + 8, label, bold=True)
        across += 33 + text_width(label, 12, True) + 22
    muted(canvas, -36, -15, "Z")
    foot = 52.0
    muted(canvas, width / 2, height + 36, unit, "center")
    if note:
        muted(canvas, -34, height + foot + 8, note)
        foot += 22
    said = " ".join(_said(p, unit, upper, lower, z) for p in points) + (f" {note}." if note else "")
    table = [
        {"look": p["look"], "information": p["x"], "upper": p["upper"], "lower": p["lower"], "z": p["z"]}
        for p in points
    ]
    return canvas.plot(title, said, table, (42, head, 18, foot), name="Boundaries of a group sequential test")


def _said(point: _Point, unit: str, upper: str, lower: str, z: str) -> str:
    parts = []
    if point["z"] is not None:
        parts.append(f"{z} {point['z']:.2f}")
    if point["upper"] is not None:
        parts.append(f"{upper} from {point['upper']:.2f}")
    if point["lower"] is not None and point["lower"] != point["upper"]:
        parts.append(f"{lower} below {point['lower']:.2f}")
    told = ", ".join(parts).replace("-", "\N{MINUS SIGN}") or "no boundary"
    return f"{point['look']} at {written(point['x'])} {unit}: {told}."
