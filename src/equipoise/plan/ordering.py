"""The order in which a person would list names: by the numbers in them, so that Week 2 comes before Week 10."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import polars as pl

_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_FIRST = re.compile(r"screen|baseline|randomi[sz]ation|day 0*1$", re.IGNORECASE)
_BELOW, _ABOVE = (
    re.compile(r"^\s*(<|\u2264|up to|under|below)", re.IGNORECASE),
    re.compile(r"^\s*(>|\u2265|over|above)", re.IGNORECASE),
)


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


def levels_in_order(frame: pl.DataFrame, variable: str) -> list[Any]:
    """The levels of a variable: by its numeric twin (AGEGR1N of AGEGR1) where there is one, else in natural order."""
    twin = f"{variable}N"
    levels = frame[variable].drop_nulls().unique().to_list()
    if twin in frame.columns and frame.schema[twin].is_numeric():
        pairs = frame.select(variable, twin).drop_nulls().unique()
        if pairs[variable].n_unique() == pairs.height == len(levels):
            return list(pairs.sort(twin)[variable].to_list())
    return in_natural_order(levels)


def visits_in_order(frame: pl.DataFrame, visit: str, number: str) -> tuple[list[str], str | None]:
    """The visits that are in ``frame``, by ``number``; without one by their names, and then a note that says so."""
    named = frame.filter(pl.col(visit).is_not_null())
    present = named[visit].cast(pl.String).unique(maintain_order=True).to_list()
    if number in frame.columns and named[number].null_count() < named.height:
        ordered = named.sort(number, maintain_order=True, nulls_last=True)[visit].cast(pl.String)
        return ordered.unique(maintain_order=True).to_list(), None
    ordered_names = sorted(present, key=lambda v: (not _FIRST.search(v), *natural(v)))
    if len(present) < 2:
        return ordered_names, None
    listed = ", ".join(ordered_names)
    return ordered_names, f"{number} is not there: visits are taken in the order of their names, {listed}."
