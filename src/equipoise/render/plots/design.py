"""What a design study shows: success against weeks, success against its price, and a table of shares in colours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from equipoise.errors import DataError
from equipoise.render.plots.plot import PLAIN, Canvas, Plot, muted, q, text_width, ticks
from equipoise.render.plots.read import column, maybe, need, number, rows_of, unique
from equipoise.render.theme import DASHES, HEAT, HEAT_TEXT, INK, MUTED, SERIES, SHAPES

_ROW = 20.0


def _percent_axis() -> dict[str, Any]:
    return {"title": None, "values": [0, 20, 40, 60, 80, 100], "grid": True, "labelExpr": "datum.value + ' %'"}


def _legend(canvas: Canvas, names: Sequence[str], width: float, *, lines: bool = True) -> float:
    """Line, shape and name of each series above the plot; how much room they take."""
    rows: list[list[tuple[int, float]]] = [[]]
    across = 0.0
    for k, name in enumerate(names):
        need_width = 33 + text_width(name, 12, True) + 18
        if across + need_width > width + 18 and rows[-1]:
            rows.append([])
            across = 0.0
        rows[-1].append((k, across))
        across += need_width
    head = 14.0 + _ROW * len(rows)
    for line, row in enumerate(rows):
        y = -head + 8 + _ROW * line
        for k, x in row:
            colour, dash, shape = _style(k)
            if lines:
                canvas.rules([(x, y, x + 26, y)], colour, 1.8, dash)
            canvas.points([(x + 13, y)], colour, shape)
            canvas.words(x + 33, y, names[k], bold=True)
    return head


def _style(k: int) -> tuple[str, tuple[int, ...], str]:
    n = len(SERIES)
    return SERIES[k % n], DASHES[(k + k // n) % len(DASHES)], SHAPES[(k + k // n) % len(SHAPES)]


def success_curves(
    cells: Any,
    *,
    x: str = "weeks",
    by: str = "world",
    target: float | None = 0.8,
    unit: str = "weeks randomised",
    title: str | None = None,
    note: str | None = None,
    width: float = 520.0,
    height: float = 280.0,
) -> Plot:
    """Probability of success against a factor, one line for each world (or other ``by``), with Monte Carlo error.

    Parameters
    ----------
    cells : a frame with one row a point: ``x``, ``success`` and ``mc_error`` (shares), ``by``. target : a line.

    Raises
    ------
    DataError : no rows, a column that is missing, or two points of a line at one place.

    Examples
    --------
    >>> rows = [{"weeks": w, "world": "lag 8", "success": s, "mc_error": 0.01} for w, s in ((28, .31), (52, .62))]
    >>> print(success_curves(rows).description)
    lag 8: 31 % at 28, 62 % at 52 (weeks randomised). Target 80 %.
    """
    rows = rows_of(cells)
    need(rows, "cells")
    for name in (x, "success", by):
        column(rows, name, name)
    error = maybe(rows, "mc_error")
    names = [str(n) for n in unique(r[by] for r in rows)]
    lines: dict[str, list[dict[str, float]]] = {n: [] for n in names}
    for row in rows:
        at, share = number(row[x]), number(row["success"])
        if at is None or share is None:
            continue
        if any(p["x"] == at for p in lines[str(row[by])]):
            raise DataError(f"{row[by]}: two designs at {at:g}", hint="choose one level of every other factor")
        wide = 196.0 * (number(row[error]) or 0.0) if error else 0.0
        y = 100.0 * share
        lines[str(row[by])].append({"x": at, "y": y, "low": max(y - wide, 0.0), "high": min(y + wide, 100.0)})
    places = sorted({p["x"] for line in lines.values() for p in line})
    if not places:
        raise DataError("no cell has a share of success")
    low, high = places[0], places[-1]
    pad = 0.06 * (high - low) if high > low else 1.0
    xscale = {"domain": [low - pad, high + pad], "nice": False}
    yscale = {"domain": [0, 100], "nice": False}
    xaxis = {"title": None, "values": places, "grid": False, "domain": True, "domainColor": MUTED, "labelExpr": PLAIN}
    canvas = Canvas(width, height)
    if target is not None:
        at = height * (1.0 - target)
        canvas.rules([(0.0, at, width, at)], INK, 1.2, (2, 3))
    for k, name in enumerate(names):
        points = sorted(lines[name], key=lambda p: p["x"])
        colour, dash, shape = _style(k)
        encoding = {"x": q("x", xscale, xaxis), "y": q("y", yscale, _percent_axis())}
        canvas.layer(
            points,
            {"type": "rule", "color": colour, "strokeWidth": 1.2, "opacity": 0.6},
            x=q("x", xscale, xaxis),
            y=q("low", yscale, _percent_axis()),
            y2={"field": "high"},
        )
        canvas.layer(
            points, {"type": "line", "color": colour, "strokeWidth": 1.8, "strokeDash": list(dash)}, **encoding
        )
        canvas.layer(
            points,
            {"type": "point", "shape": shape, "filled": True, "size": 55, "color": colour, "opacity": 1},
            **encoding,
        )
    head = _legend(canvas, names, width)
    muted(canvas, width / 2, height + 36, unit, "center")
    foot = 50.0
    if note:
        muted(canvas, -34, height + foot + 6, note)
        foot += 22
    said = " ".join(
        f"{n}: "
        + ", ".join(f"{p['y']:.0f} % at {p['x']:g}" for p in sorted(lines[n], key=lambda p: p["x"]))
        + f" ({unit})."
        for n in names
    )
    if target is not None:
        said += f" Target {100 * target:g} %."
    table = [{by: n, x: p["x"], "success": p["y"] / 100} for n in names for p in lines[n]]
    return canvas.plot(title, said, table, (46, head, 18, foot), name="Probability of success")


def frontier(
    cells: Any,
    *,
    price: str = "patient_weeks",
    by: str = "primary",
    label: str | None = None,
    target: float | None = 0.8,
    unit: str = "patient-weeks under observation",
    title: str | None = None,
    note: str | None = None,
    width: float = 520.0,
    height: float = 300.0,
) -> Plot:
    """Designs by price and success; a line joins those that no cheaper design beats.

    Parameters
    ----------
    cells : a frame with one row a design: ``price``, ``success``, ``by`` (shape and colour) and ``label`` (for
    reading).

    Examples
    --------
    >>> rows = [{"patient_weeks": p, "success": s, "primary": "mmrm"} for p, s in ((3000, .3), (6000, .2), (9000, .7))]
    >>> print(frontier(rows).description)
    3 designs. No cheaper design beats: 30 % for 3000 (mmrm); 70 % for 9000 (mmrm).
    """
    rows = rows_of(cells)
    need(rows, "cells")
    for name in (price, "success", by):
        column(rows, name, name)
    points: list[dict[str, Any]] = []
    for row in rows:
        x, y = number(row[price]), number(row["success"])
        if x is not None and y is not None:
            points.append(
                {"x": x, "y": 100.0 * y, "by": str(row[by]), "label": str(row[label]) if label else str(row[by])}
            )
    if not points:
        raise DataError("no design has a price and a share of success")
    best: list[dict[str, Any]] = []
    for point in sorted(points, key=lambda p: (p["x"], -p["y"])):
        if not best or point["y"] > best[-1]["y"]:
            best.append(point)
    most = max(p["x"] for p in points)
    xscale, yscale = {"domain": [0, most * 1.05], "nice": False}, {"domain": [0, 100], "nice": False}
    xaxis = {
        "title": None,
        "values": ticks(0.0, most),
        "grid": False,
        "domain": True,
        "domainColor": MUTED,
        "format": ",.0f",
    }
    canvas = Canvas(width, height)
    if target is not None:
        at = height * (1.0 - target)
        canvas.rules([(0.0, at, width, at)], INK, 1.2, (2, 3))
    encoding = {"x": q("x", xscale, xaxis), "y": q("y", yscale, _percent_axis())}
    canvas.layer(best, {"type": "line", "interpolate": "step-after", "color": MUTED, "strokeWidth": 1.4}, **encoding)
    names = [str(n) for n in unique(p["by"] for p in points)]
    for k, name in enumerate(names):
        colour, _, shape = _style(k)
        own = [p for p in points if p["by"] == name]
        tips = [{"field": "label", "type": "nominal", "title": "design"}]
        canvas.layer(
            own,
            {"type": "point", "shape": shape, "filled": True, "size": 60, "color": colour, "opacity": 0.9},
            **encoding,
            tooltip=tips,
        )
    head = _legend(canvas, names, width, lines=False)
    muted(canvas, width / 2, height + 36, unit, "center")
    foot = 50.0
    if note:
        muted(canvas, -34, height + foot + 6, note)
        foot += 22
    told = "; ".join(f"{p['y']:.0f} % for {p['x']:.0f} ({p['label']})" for p in best)
    said = f"{len(points)} designs. No cheaper design beats: {told}."
    table = [{"design": p["label"], price: p["x"], "success": p["y"] / 100, "frontier": p in best} for p in points]
    return canvas.plot(title, said, table, (46, head, 18, foot), name="Success and its price")


def success_table(
    cells: Any,
    *,
    rows: str = "design",
    columns: str = "world",
    target: float = 0.8,
    title: str | None = None,
    note: str | None = None,
    cell_width: float = 92.0,
    ink: Callable[[float], int] | None = None,
) -> Plot:
    """Shares of success as a heat map: designs down, worlds across; the number stands in every cell.

    Examples
    --------
    >>> cells = [{"design": "28 weeks", "world": w, "success": s} for w, s in (("none", .03), ("lag 8", .4))]
    >>> print(success_table(cells).description)
    28 weeks: none 3 %, lag 8 40 %.
    """
    given = rows_of(cells)
    need(given, "cells")
    for name in (rows, columns, "success"):
        column(given, name, name)
    down = [str(n) for n in unique(r[rows] for r in given)]
    across = [str(n) for n in unique(r[columns] for r in given)]
    shares = {(str(r[rows]), str(r[columns])): number(r["success"]) for r in given}
    left = 12.0 + max(text_width(n) for n in down)
    high = 26.0
    canvas = Canvas(cell_width * len(across), high * len(down))
    shade = ink or (lambda s: 0 if s >= target else 1 if s >= 0.75 * target else 2 if s >= 0.5 * target else 3)
    for i, d in enumerate(down):
        canvas.words(-10, high * (i + 0.5), d, anchor="right")
        for j, a in enumerate(across):
            share = shares.get((d, a))
            if share is None:
                continue
            k = shade(share)
            canvas.boxes([(cell_width * j + 1, high * i + 1, cell_width * (j + 1) - 1, high * (i + 1) - 1)], HEAT[k])
            canvas.words(
                cell_width * (j + 0.5), high * (i + 0.5), f"{100 * share:.0f} %", anchor="center", colour=HEAT_TEXT[k]
            )
    wrapped = [_wrapped(a, cell_width - 8) for a in across]
    lines = max(len(w) for w in wrapped)
    for j, words in enumerate(wrapped):
        for k, word in enumerate(words):
            canvas.words(cell_width * (j + 0.5), -10 - 15 * (len(words) - 1 - k), word, anchor="center", size=11.5)
    foot = 10.0
    if note:
        muted(canvas, -left + 8, high * len(down) + 18, note)
        foot += 26
    said = " ".join(
        f"{d}: " + ", ".join(f"{a} {100 * s:.0f} %" for a in across if (s := shares.get((d, a))) is not None) + "."
        for d in down
    )
    table = [{rows: d, **{a: shares.get((d, a)) for a in across}} for d in down]
    return canvas.plot(title, said, table, (left, 14.0 + 15 * lines, 12, foot), name="Probability of success")


def _wrapped(text: str, width: float) -> list[str]:
    out = [""]
    for word in text.split():
        longer = f"{out[-1]} {word}".strip()
        if out[-1] and text_width(longer, 11.5) > width:
            out.append(word)
        else:
            out[-1] = longer
    return out
