"""The order in which a person would list names: by the numbers in them, so that Week 2 comes before Week 10."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_BELOW, _ABOVE = (
    re.compile(r"^\s*(<|\u2264|up to|under|below)", re.IGNORECASE),
    re.compile(r"^\s*(>|\u2265|over|above)", re.IGNORECASE),
)

_SHAPE = str.maketrans(dict.fromkeys("0123456789", "0"))

COMPANIONS = {"AVISIT": "AVISITN", "VISIT": "VISITNUM", "ATPT": "ATPTN", "APERIODC": "APERIOD"}
"""ADaM's names of times and their numbers. The levels of such a name come in the order of its numbers."""

LISTED = 200
"""With more levels than this a column holds names of subjects and the like, which nobody lists: sorted as text."""


def natural(name: Any) -> tuple[Any, ...]:
    """A key to sort by: words before numbers, numbers by size, ``<65`` before ``65-80`` before ``>80``.

    >>> sorted(["Week 10", "Week 2", "Week 12"], key=natural)
    ['Week 2', 'Week 10', 'Week 12']
    >>> sorted([">80", "65-80", "<65"], key=natural)
    ['<65', '65-80', '>80']
    """
    if isinstance(name, int | float) and not isinstance(name, bool):
        return ("", ((float(name), 0),), "")
    text = str(name)
    sign = -1 if _BELOW.search(text) else 1 if _ABOVE.search(text) else 0
    bare = _ABOVE.sub("", _BELOW.sub("", text)).lstrip(" =")
    words = _NUMBER.sub("#", bare).lower()
    first = words.split("#")[0]
    return (first, tuple((float(n), sign) for n in _NUMBER.findall(bare)), words, text)


def in_natural_order(names: Iterable[Any]) -> list[Any]:
    """Names in the order of :func:`natural`."""
    return sorted(names, key=natural)


def text_in_order(levels: Iterable[str]) -> list[str]:
    """Levels of text: by the numbers in them where there are numbers, else sorted.

    >>> text_in_order({"Week 10", "Week 2"}), text_in_order({"b", "A", "a"})
    (['Week 2', 'Week 10'], ['A', 'a', 'b'])
    """
    found = sorted(levels)
    if len(found) > LISTED or len({level.translate(_SHAPE) for level in found}) == 1:  # P001, P002: as text is sorted
        return found
    if not any(_NUMBER.search(level) for level in found):
        return found
    return sorted(found, key=natural)
