"""The tipping-point heat map: how far the missing may depart from what was assumed before the conclusion turns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from equipoise.errors import DataError
from equipoise.render.plots.plot import Canvas, Plot, muted, text_width, written
from equipoise.render.plots.read import Row, column, maybe, need, number, rows_of
from equipoise.render.theme import ACCENT, HEAT, HEAT_TEXT, INK

_CELL = 30.0


def tipping_point(
    grid: Any,
    *,
    active: str = "delta_active",
    control: str = "delta_control",
    p: str | None = None,
    estimate: str | None = None,
    alpha: float = 0.05,
    higher_better: bool = True,
    arms: tuple[str, str] = ("control", "active"),
    unit: str = "points",
    title: str | None = None,
    note: str | None = None,
    width: float = 460.0,
) -> Plot:
    """A cell for each pair of shifts of the imputed values, coloured by the p-value, with the boundary at ``alpha``.

    Parameters
    ----------
    grid : a frame with one row a pair of shifts: ``delta_active``, ``delta_control``, ``p`` and, where there is one,
        ``estimate`` (active minus control), by whose sign a difference against the active arm is told.
    p : two-sided. A cell without a p-value is left open. arms : control, active, as they are called.
    unit : of the shifts.

    Examples
    --------
    >>> rows = [{"delta_active": a, "delta_control": c, "p": 0.01 * 2 ** (c - a), "estimate": 3.0 + a - c}
    ...         for a in (0, -1, -2, -3) for c in (0, -1)]
    >>> print(tipping_point(rows).description)
    P is 0.01 without a shift. It is below 0.05 in 7 of 8 cells. With no shift in control, it stays below to a shift \
of −2 in active and not at −3.
    """
    rows = rows_of(grid)
    need(rows, "grid of shifts")
    for name in (active, control):
        column(rows, name, name)
    column(rows, "p", p)
    if not 0.0 < alpha < 1.0:
        raise DataError(f"alpha = {alpha!r}", hint="give a level such as 0.05")
    cells = _cells(rows, active, control, column(rows, "p", p), maybe(rows, "estimate", estimate))
    across, down = _order({a for a, _ in cells}), _order({c for _, c in cells})
    w = width / len(across)
    height = _CELL * len(down)
    canvas = Canvas(width, height)
    sign = 1.0 if higher_better else -1.0
    tone = {k: _tone(v[0], v[1], alpha, sign) for k, v in cells.items()}
    groups: dict[int, list[tuple[float, float, float, float]]] = {}
    at = {a: i for i, a in enumerate(across)}
    level = {c: i for i, c in enumerate(down)}
    for (a, c), colour in tone.items():
        if colour is not None:
            x, y = at[a] * w, level[c] * _CELL
            groups.setdefault(colour, []).append((x, y, x + w, y + _CELL))
    for colour, boxes in sorted(groups.items()):
        canvas.boxes(boxes, HEAT[colour])
    fits = text_width("0.000", 11) + 4 <= w
    for (a, c), (value, _) in cells.items():
        x, y, colour = (at[a] + 0.5) * w, (level[c] + 0.5) * _CELL, tone[a, c]
        if colour is None:
            muted(canvas, x, y, "\N{EN DASH}", "center")
        elif fits:
            canvas.words(x, y, _p(value), anchor="center", colour=HEAT_TEXT[colour], size=11.0)
    canvas.rules(_boundary(cells, across, down, w, alpha, sign), INK, 2.4)
    if (0.0, 0.0) in cells:
        x, y = at[0.0] * w, level[0.0] * _CELL
        box = ((x + 2, y + 2), (x + w - 2, y + 2), (x + w - 2, y + _CELL - 2), (x + 2, y + _CELL - 2))
        canvas.rules([(*box[k], *box[(k + 1) % 4]) for k in range(4)], ACCENT, 1.6)
    for a in across:
        muted(canvas, (at[a] + 0.5) * w, height + 13, _shift(a), "center")
    for c in down:
        muted(canvas, -8, (level[c] + 0.5) * _CELL, _shift(c), "right")
    muted(canvas, width / 2, height + 34, f"shift of imputed values, {arms[1]}, {unit}", "center")
    muted(canvas, -40, -14, f"shift of imputed values, {arms[0]}, {unit}")
    foot = _legend(canvas, sorted(groups), alpha, height + 60, arms, (0.0, 0.0) in cells) - height
    if note:
        muted(canvas, -40, height + foot + 10, note)
        foot += 22
    table = [{"delta_active": a, "delta_control": c, "p": v, "estimate": e} for (a, c), (v, e) in cells.items()]
    return canvas.plot(
        title,
        _said(cells, across, alpha, sign, arms) + (f" {note}" if note else ""),
        table,
        (52, 30, 18, foot + 2),
        name="Tipping-point analysis",
    )


_Cells = dict[tuple[float, float], tuple[float | None, float | None]]


def _order(shifts: set[float]) -> list[float]:
    """Shifts from none to the furthest."""
    return sorted(shifts, reverse=min(shifts) < 0.0)


def _cells(rows: Sequence[Row], active: str, control: str, p: str, estimate: str | None) -> _Cells:
    out: _Cells = {}
    for r in rows:
        a, c = number(r[active]), number(r[control])
        if a is None or c is None:
            raise DataError("a row without its shifts", hint=f"see {active!r} and {control!r}")
        if (a, c) in out:
            raise DataError(f"two rows for the shifts {a:g} and {c:g}", hint="one row a pair")
        value = number(r[p])
        if value is not None and not 0.0 <= value <= 1.0:
            raise DataError(f"p = {value:g} at the shifts {a:g} and {c:g}", hint="p-values lie between 0 and 1")
        out[a, c] = (value, number(r[estimate]) if estimate else None)
    return out


def _holds(value: float | None, estimate: float | None, alpha: float, sign: float) -> bool:
    """Whether a cell shows a difference in favour of the active arm (or any, where no estimate says which way)."""
    return value is not None and value < alpha and (estimate is None or sign * estimate > 0.0)


def _tone(value: float | None, estimate: float | None, alpha: float, sign: float) -> int | None:
    if value is None:
        return None
    if value < alpha:
        if not _holds(value, estimate, alpha, sign):
            return 6
        return 0 if value < alpha / 50 else 1 if value < alpha / 5 else 2
    return 3 if value < 2 * alpha else 4 if value < max(0.5, 2 * alpha) else 5


def _boundary(
    cells: _Cells, across: Sequence[float], down: Sequence[float], w: float, alpha: float, sign: float
) -> list[tuple[float, float, float, float]]:
    """Edges between cells that hold and cells that do not."""
    held = {k: _holds(*v, alpha, sign) for k, v in cells.items()}
    lines = []
    for i, a in enumerate(across):
        for j, c in enumerate(down):
            if (a, c) not in held:
                continue
            if i + 1 < len(across) and held.get((across[i + 1], c), held[a, c]) != held[a, c]:
                lines.append(((i + 1) * w, j * _CELL, (i + 1) * w, (j + 1) * _CELL))
            if j + 1 < len(down) and held.get((a, down[j + 1]), held[a, c]) != held[a, c]:
                lines.append((i * w, (j + 1) * _CELL, (i + 1) * w, (j + 1) * _CELL))
    return lines


def _p(value: float | None) -> str:
    if value is None:
        return ""
    return "<0.001" if value < 0.001 else f"{value:.3f}" if value < 0.0995 else f"{value:.2f}"


def _shift(value: float) -> str:
    return written(value, 4).replace("\N{MINUS SIGN}0", "0") if value == 0 else written(value, 4)


def _legend(
    canvas: Canvas, tones: Sequence[int], alpha: float, top: float, arms: tuple[str, str], marked: bool
) -> float:
    middle = max(0.5, 2 * alpha)
    names = [
        f"P < {alpha / 50:g}",
        f"< {alpha / 5:g}",
        f"< {alpha:g}",
        f"{alpha:g} to {2 * alpha:g}",
        f"{2 * alpha:g} to {middle:g}",
        f"P \N{GREATER-THAN OR EQUAL TO} {middle:g}",
        f"P < {alpha:g} in favour of {arms[0]}",
    ]
    x, y = -40.0, top
    for tone in tones:
        wide = 20 + text_width(names[tone], 11.5) + 12
        if x > -40 and x + wide > canvas.width:
            x, y = -40.0, y + 18
        canvas.boxes([(x, y - 6, x + 13, y + 6)], HEAT[tone])
        canvas.words(x + 18, y, names[tone], size=11.5)
        x += wide
    y += 20
    canvas.rules([(-40, y, -27, y)], INK, 2.4)
    canvas.words(-22, y, f"boundary at P = {alpha:g}", size=11.5)
    if marked:
        x = -22 + text_width(f"boundary at P = {alpha:g}", 11.5) + 20
        canvas.rules(
            [
                (x, y - 6, x + 13, y - 6),
                (x + 13, y - 6, x + 13, y + 6),
                (x + 13, y + 6, x, y + 6),
                (x, y + 6, x, y - 6),
            ],
            ACCENT,
            1.6,
        )
        canvas.words(x + 19, y, "as assumed, no shift", size=11.5)
    return y + 12


def _said(cells: _Cells, across: Sequence[float], alpha: float, sign: float, arms: tuple[str, str]) -> str:
    held = {k: _holds(*v, alpha, sign) for k, v in cells.items()}
    parts = []
    if (0.0, 0.0) in cells:
        parts.append(f"P is {written(cells[0.0, 0.0][0])} without a shift.")
    parts.append(f"It is below {alpha:g} in {sum(held.values())} of {len(cells)} cells.")
    row = [a for a in sorted(across, reverse=sign > 0) if (a, 0.0) in held and sign * a <= 0.0]
    if row and held[row[0], 0.0]:
        lost = next((k for k, a in enumerate(row) if not held[a, 0.0]), None)
        kept = _shift(row[-1] if lost is None else row[lost - 1])
        turn = "" if lost is None else f" and not at {_shift(row[lost])}"
        parts.append(f"With no shift in {arms[0]}, it stays below to a shift of {kept} in {arms[1]}{turn}.")
    return " ".join(parts)
