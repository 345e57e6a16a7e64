"""The order in which a person would list names: by the numbers in them, so that Week 2 comes before Week 10."""

from __future__ import annotations

import re
from typing import Any

import polars as pl

from equipoise.estimate.ordering import in_natural_order, natural

_FIRST = re.compile(r"screen|baseline|randomi[sz]ation|day 0*1$", re.IGNORECASE)


def levels_in_order(frame: pl.DataFrame, variable: str) -> list[Any]:
    """The levels of a variable: by its numeric twin (AGEGR1N of AGEGR1) where there is one, else in natural order."""
    twin = f"{variable}N"
    kind = frame.schema[variable]
    if isinstance(kind, pl.Enum):  # those that the plan lists, whether they occur or not
        return kind.categories.to_list()
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
