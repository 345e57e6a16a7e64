"""What designs promise under a belief: four parts of one, a bar a design."""

from __future__ import annotations

from typing import Any

from equipoise.errors import DataError
from equipoise.render.plots.plot import Canvas, Plot, muted, text_width
from equipoise.render.plots.read import column, need, number, rows_of
from equipoise.render.theme import HEAT, HEAT_TEXT, INK

PARTS = {
    "works_and_shown": ("works and shown", 0),
    "works_and_missed": ("works and missed", 2),
    "nothing_and_shown": ("does nothing and shown", 5),
    "nothing_and_not_shown": ("does nothing and not shown", 3),
}
_HIGH, _ROW = 28.0, 20.0


def assurance_parts(
    designs: Any, *, label: str = "design", title: str | None = None, note: str | None = None, width: float = 460.0
) -> Plot:
    """The four parts of the assurance of each design, side by side: they add up to 1.

    Parameters
    ----------
    designs : a frame with one row a design: ``label``, and shares ``works_and_shown``, ``works_and_missed``,
        ``nothing_and_shown``, ``nothing_and_not_shown``. A line marks the bound of the assurance, the share in which
        the drug works.

    Raises
    ------
    DataError : no rows, a column that is missing, or shares that do not add up to 1.

    Examples
    --------
    >>> row = {"design": "52 weeks", "works_and_shown": .3, "works_and_missed": .2, "nothing_and_shown": .01,
    ...        "nothing_and_not_shown": .49}
    >>> print(assurance_parts([row]).description)
    52 weeks: works and shown 30 %, works and missed 20 %, does nothing and shown 1 %, does nothing and not shown 49 %.
    """
    rows = rows_of(designs)
    need(rows, "designs")
    for name in (label, *PARTS):
        column(rows, name, name)
    names = [str(r[label]) for r in rows]
    canvas = Canvas(width, _HIGH * len(rows))
    told = []
    for i, row in enumerate(rows):
        shares = [number(row[name]) for name in PARTS]
        if any(s is None or s < -1e-9 for s in shares) or abs(sum(s or 0.0 for s in shares) - 1.0) > 1e-6:
            raise DataError(f"{names[i]}: the four parts do not add up to 1", hint="give the rows of made.assurance()")
        canvas.words(-10, _HIGH * (i + 0.5), names[i], anchor="right")
        at = 0.0
        for share, (_, k) in zip(shares, PARTS.values(), strict=True):
            wide = width * (share or 0.0)
            if wide > 0.0:
                canvas.boxes([(at, _HIGH * i + 3, at + wide, _HIGH * (i + 1) - 3)], HEAT[k])
            said = f"{100 * (share or 0.0):.0f} %"
            if wide > text_width(said, 11.5) + 6:
                canvas.words(at + wide / 2, _HIGH * (i + 0.5), said, anchor="center", size=11.5, colour=HEAT_TEXT[k])
            at += wide
        bound = width * ((shares[0] or 0.0) + (shares[1] or 0.0))
        canvas.rules([(bound, _HIGH * i, bound, _HIGH * (i + 1))], INK, 1.6)
        told.append(
            f"{names[i]}: "
            + ", ".join(
                f"{words} {100 * (s or 0.0):.0f} %" for s, (words, _) in zip(shares, PARTS.values(), strict=True)
            )
            + "."
        )
    head = _legend(canvas, width)
    foot = 12.0
    if note:
        muted(canvas, 0, _HIGH * len(rows) + 18, note)
        foot += 26
    left = 14.0 + max(text_width(n) for n in names)
    table = [{label: n, **{p: r[p] for p in PARTS}} for n, r in zip(names, rows, strict=True)]
    return canvas.plot(title, " ".join(told), table, (left, head, 18, foot), name="Assurance and its parts")


def _legend(canvas: Canvas, width: float) -> float:
    """Box and words of each part above the bars, in their order; how much room they take."""
    places: list[tuple[str, int, float, int]] = []
    across, line = 0.0, 0
    for words, k in PARTS.values():
        room = 20.0 + text_width(words, 12) + 18
        if across + room > width + 18 and across > 0.0:
            across, line = 0.0, line + 1
        places.append((words, k, across, line))
        across += room
    head = 12.0 + _ROW * (line + 1)
    for words, k, x, n in places:
        y = -head + 10 + _ROW * n
        canvas.boxes([(x, y - 6, x + 14, y + 6)], HEAT[k])
        canvas.words(x + 20, y, words, size=12)
    return head
