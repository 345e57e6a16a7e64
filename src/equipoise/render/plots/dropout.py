"""Who left, when and why: the two arms mirrored, time running down the middle."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from equipoise.errors import DataError
from equipoise.render.plots.plot import Canvas, Plot, muted, text_width, ticks, time_ticks
from equipoise.render.plots.read import column, need, number, rows_of, unique
from equipoise.render.theme import GRID, MUTED, PAPER, SERIES

_BAR = 19.0
_GUTTER = 58.0
REASONS = (SERIES[2], SERIES[3], SERIES[5], SERIES[4], MUTED)
"""Colours of reasons: none of an arm's."""
OTHER = "other reasons"


def dropout(
    patients: Any,
    *,
    arm: str = "arm",
    time: str = "time",
    reason: str = "reason",
    arms: Sequence[Any] | None = None,
    labels: Mapping[Any, str] | None = None,
    times: Sequence[float] | None = None,
    unit: str = "weeks",
    cumulative: bool = True,
    title: str | None = None,
    note: str | None = None,
    width: float = 560.0,
) -> Plot:
    """Discontinuations by reason over time, the arms mirrored left and right.

    Parameters
    ----------
    patients : a frame with one row a patient: ``arm``; ``time`` of leaving, missing (or any) for those who stayed;
        ``reason`` of leaving, missing or empty for those who stayed.
    arms : two of the levels of ``arm``, left then right; default those that are there, in order.
    times : ends of the periods counted; default ticks that suit ``unit``.
    cumulative : share who have left by each time; otherwise in each period.

    Raises
    ------
    DataError : other than two arms, a reason without a time, or nobody left.

    Examples
    --------
    >>> rows = [{"arm": a, "time": t, "reason": r} for a, t, r in (("placebo", 5, "death"), ("placebo", None, None),
    ...         ("drug", 9, "adverse event"), ("drug", 20, "death"), ("drug", None, None), ("drug", None, None))]
    >>> print(dropout(rows, times=[8, 16, 24]).description)
    By week 24: placebo 1 of 2 left (50 %): death 1; drug 2 of 4 left (50 %): death 1, adverse event 1.
    """
    rows = rows_of(patients)
    need(rows, "patients")
    for name in (arm, time, reason):
        column(rows, name, name)
    found = unique(r[arm] for r in rows if r[arm] is not None)
    both = list(arms) if arms is not None else found
    if len(both) != 2 or any(a not in found for a in both):
        known = ", ".join(map(str, found))
        raise DataError(f"{len(both)} arms to mirror ({', '.join(map(str, both))})", hint=f"name two of: {known}")
    gone: dict[Any, list[tuple[float, str]]] = {a: [] for a in both}
    for r in rows:
        why = r[reason]
        if r[arm] not in both or why is None or why != why or not str(why).strip():
            continue
        when = number(r[time])
        if when is None or when < 0.0:
            raise DataError(f"a patient of {r[arm]} left ({why}) at no known time", hint=f"see {time!r}")
        gone[r[arm]].append((when, str(why)))
    if not any(gone.values()):
        raise DataError("nobody left: there is nothing to draw", hint=f"see {reason!r}")
    size = {a: sum(r[arm] == a for r in rows) for a in both}
    last = max(t for left in gone.values() for t, _ in left)
    periods = sorted(times) if times is not None else _periods(last, unit)
    if periods[-1] < last:
        periods = [*periods, last]
    reasons = _reasons(gone)
    counts = {
        a: [_count(gone[a], periods[i - 1] if i else -1.0, t, reasons, cumulative) for i, t in enumerate(periods)]
        for a in both
    }
    called = [str((labels or {}).get(a, a)) for a in both]
    plot = _Mirror(width, periods, reasons, cumulative)
    return plot.draw(both, called, counts, size, unit, title, note)


def _periods(last: float, unit: str) -> list[float]:
    marks = time_ticks(last, unit, 9)
    out = [m for m in marks if m > 0.0]
    if not out or out[-1] < last:
        out.append(float(math.ceil(last)))
    return out


def _reasons(gone: Mapping[Any, Sequence[tuple[float, str]]]) -> dict[str, int]:
    """Reason -> its place among the colours, the commonest first; those beyond the colours share the last."""
    total = Counter(why for left in gone.values() for _, why in left)
    order = sorted(total, key=lambda w: (-total[w], w))
    most = len(REASONS)
    return {why: min(i, most - 1) for i, why in enumerate(order)}


def _count(
    left: Sequence[tuple[float, str]], after: float, until: float, reasons: Mapping[str, int], cumulative: bool
) -> list[int]:
    out = [0] * (max(reasons.values()) + 1)
    for when, why in left:
        if when <= until and (cumulative or when > after):
            out[reasons[why]] += 1
    return out


class _Mirror:
    def __init__(self, width: float, periods: Sequence[float], reasons: Mapping[str, int], cumulative: bool) -> None:
        self.periods, self.cumulative = periods, cumulative
        self.side = (width - _GUTTER) / 2
        self.canvas = Canvas(width, _BAR * len(periods) + 4)
        places: dict[int, list[str]] = {}
        for why, place in reasons.items():
            places.setdefault(place, []).append(why)
        self.names = [w[0] if len(w) == 1 else OTHER for _, w in sorted(places.items())]

    def draw(
        self,
        both: Sequence[Any],
        called: Sequence[str],
        counts: Mapping[Any, list[list[int]]],
        size: Mapping[Any, int],
        unit: str,
        title: str | None,
        note: str | None,
    ) -> Plot:
        canvas, side, height = self.canvas, self.side, self.canvas.height
        most = max(100.0 * sum(row) / size[a] for a in both for row in counts[a])
        marks = ticks(0.0, most, 5)
        if marks[-1] < most:
            marks.append(2 * marks[-1] - marks[-2] if len(marks) > 1 else most)
        scale = (side - 26.0) / marks[-1]
        inner = (side, side + _GUTTER)
        for sign, edge in ((-1, inner[0]), (1, inner[1])):
            for m in marks:
                canvas.rules([(edge + sign * m * scale, 0, edge + sign * m * scale, height)], MUTED if m == 0 else GRID)
                muted(canvas, edge + sign * m * scale, height + 13, f"{m:g}", "center")
        boxes: dict[int, list[tuple[float, float, float, float]]] = {}
        numbers: list[tuple[float, float, str, str]] = []
        for a, sign, edge in ((both[0], -1, inner[0]), (both[1], 1, inner[1])):
            for i, row in enumerate(counts[a]):
                at, top = edge, _BAR * i + 4
                for place, k in enumerate(row):
                    if k:
                        to = at + sign * 100.0 * k / size[a] * scale
                        boxes.setdefault(place, []).append((min(at, to) + 0.5, top, max(at, to) - 0.5, top + _BAR - 5))
                        at = to
                if sum(row):
                    numbers.append(
                        (at + sign * 5, top + (_BAR - 5) / 2, str(sum(row)), "right" if sign < 0 else "left")
                    )
        for place, where in sorted(boxes.items()):
            canvas.boxes(where, REASONS[place])
        wide = [text_width(text, 11.5) + 2 for _, _, text, _ in numbers]
        canvas.boxes(
            [
                (x - w, y - 7, x + 1, y + 7) if anchor == "right" else (x - 1, y - 7, x + w, y + 7)
                for w, (x, y, _, anchor) in zip(wide, numbers, strict=True)
            ],
            PAPER,
        )
        for x, y, text, anchor in numbers:
            muted(canvas, x, y, text, anchor)
        for i, t in enumerate(self.periods):
            canvas.words(side + _GUTTER / 2, _BAR * i + 4 + (_BAR - 5) / 2, f"{t:g}", anchor="center", size=11.5)
        muted(canvas, side + _GUTTER / 2, -10, unit, "center")
        for a, label, x, anchor in ((both[0], called[0], inner[0], "right"), (both[1], called[1], inner[1], "left")):
            canvas.words(x, -10, f"{label} (n = {size[a]})", anchor=anchor, bold=True)
        what = "left by then, % of the arm" if self.cumulative else "left in the period, % of the arm"
        muted(canvas, canvas.width / 2, height + 32, what, "center")
        head, foot = 24.0, self._legend(both, counts, height + 56) - height
        if note:
            muted(canvas, 0, height + foot + 10, note)
            foot += 22
        return canvas.plot(
            title,
            self._said(both, called, counts, size, unit) + (f" {note}" if note else ""),
            self._table(both, counts),
            (18, head, 18, foot + 2),
            name="Discontinuations by reason",
        )

    def _total(self, row: Sequence[Sequence[int]]) -> list[int]:
        return list(row[-1]) if self.cumulative else [sum(k) for k in zip(*row, strict=True)]

    def _legend(self, both: Sequence[Any], counts: Mapping[Any, list[list[int]]], top: float) -> float:
        """Reasons with their numbers left and right, as many a line as fit; returns where it ends."""
        totals = [self._total(counts[a]) for a in both]
        x, y = 0.0, top
        for place, name in enumerate(self.names):
            text = f"{name} ({totals[0][place]} | {totals[1][place]})"
            wide = 20 + text_width(text, 11.5) + 14
            if x and x + wide > self.canvas.width:
                x, y = 0.0, y + 18
            self.canvas.boxes([(x, y - 6, x + 13, y + 6)], REASONS[place])
            self.canvas.words(x + 19, y, text, size=11.5)
            x += wide
        return y + 12

    def _said(
        self,
        both: Sequence[Any],
        called: Sequence[str],
        counts: Mapping[Any, list[list[int]]],
        size: Mapping[Any, int],
        unit: str,
    ) -> str:
        parts = []
        for a, label in zip(both, called, strict=True):
            total = self._total(counts[a])
            why = ", ".join(f"{n} {k}" for n, k in zip(self.names, total, strict=True) if k)
            left = sum(total)
            share = f"{label} {left} of {size[a]} left ({100 * left / size[a]:.0f} %)"
            parts.append(share + (f": {why}" if why else ""))
        return f"By {unit.rstrip('s')} {self.periods[-1]:g}: " + "; ".join(parts) + "."

    def _table(self, both: Sequence[Any], counts: Mapping[Any, list[list[int]]]) -> list[dict[str, Any]]:
        return [
            {"arm": str(a), "time": t, "reason": name, "n": row[place]}
            for a in both
            for t, row in zip(self.periods, counts[a], strict=True)
            for place, name in enumerate(self.names)
        ]
