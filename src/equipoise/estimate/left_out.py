"""Who took no part in an analysis, and why: counted while a data frame is read, carried by every result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from equipoise.types import BoolArray


class LeftOut(int):
    """How many rows take no part: a whole number that also knows the ``reasons``, each with its count.

    A row that lacks several things counts once, under the first of them.

    Examples
    --------
    >>> left_out = LeftOut({"without AVAL": 2, "without SITE": 1})
    >>> left_out + 0, left_out.to_sentence()
    (3, '3 rows left out: 2 without AVAL, 1 without SITE.')
    """

    reasons: Mapping[str, int]

    def __new__(cls, reasons: Mapping[str, int] | None = None) -> LeftOut:
        kept = {why: int(count) for why, count in (reasons or {}).items() if count}
        made = super().__new__(cls, sum(kept.values()))
        made.reasons = kept
        return made

    def __getnewargs__(self) -> tuple[Any, ...]:
        return (dict(self.reasons),)

    def __copy__(self) -> LeftOut:
        return self

    def __deepcopy__(self, memo: Any) -> LeftOut:
        return self

    def and_then(self, more: Mapping[str, int]) -> LeftOut:
        """These and ``more``, reason by reason."""
        both = dict(self.reasons)
        for why, count in more.items():
            both[why] = both.get(why, 0) + int(count)
        return LeftOut(both)

    def to_sentence(self, row: str = "row") -> str:
        """How many, and why; ``row`` is what one is called."""
        if not self:
            return f"No {row} was left out."
        said = ", ".join(f"{count} {why}" for why, count in self.reasons.items())
        return f"{int(self)} {row}{'s' if self > 1 else ''} left out: {said}."


NOBODY = LeftOut()
"""Nobody was left out."""


class Sieve:
    """Which rows take part: ``keep`` (row,), narrowed by one need after another, each loss counted."""

    def __init__(self, rows: int) -> None:
        self.keep: BoolArray = np.ones(rows, np.bool_)
        self._lost: dict[str, int] = {}

    def need(self, there: BoolArray, why: str) -> None:
        """Keep the rows where ``there`` (row,) holds; the others are lost because of ``why``."""
        if there.all():
            return
        lost = int((self.keep & ~there).sum())
        if lost:
            self._lost[why] = self._lost.get(why, 0) + lost
            self.keep &= there

    @property
    def left_out(self) -> LeftOut:
        return LeftOut(self._lost)


def of_one_arm(strata: Mapping[str, int]) -> dict[str, int]:
    """The reason why patients of a stratum with one arm take no part: stratum -> patients, in words."""
    return {f"in a stratum of one arm ({name})": count for name, count in strata.items()}
