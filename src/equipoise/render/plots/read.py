"""What the plots are given - frames, results of estimators, mappings - as plain rows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from equipoise.errors import DataError

Row = dict[str, Any]

ALIASES: dict[str, tuple[str, ...]] = {
    "low": ("low", "lower", "lower_ci", "conf_low", "lower.CL", "LCL"),
    "high": ("high", "upper", "upper_ci", "conf_high", "upper.CL", "UCL"),
    "estimate": ("estimate", "emmean", "est"),
    "label": ("label", "name", "term", "contrast", "model", "subgroup", "study"),
    "survival": ("survival", "surv", "estimate"),
    "incidence": ("incidence", "cif", "estimate"),
    "at_risk": ("at_risk", "n_risk", "n.risk"),
    "censored": ("censored", "censored_at", "n_censor", "n.censor"),
    "p": ("p", "p_value", "pvalue"),
}
"""Names under which a column is looked for where none is given."""


def rows_of(data: Any) -> list[Row]:
    """Rows of a frame (pandas, polars, pyarrow), of an object with ``to_frame``, or mappings as they are."""
    if isinstance(data, Mapping):
        lengths = {len(v) for v in data.values() if isinstance(v, Sequence) and not isinstance(v, str)}
        if len(lengths) != 1:
            raise DataError("a mapping whose columns differ in length", hint="bring a data frame, or a list of rows")
        return [{k: v[i] for k, v in data.items()} for i in range(lengths.pop())]
    if isinstance(data, Sequence) and not isinstance(data, str | bytes):
        if not all(isinstance(one, Mapping) for one in data):
            raise DataError("a list of things that are no rows", hint="bring a data frame, or a list of mappings")
        return [dict(one) for one in data]
    import narwhals.stable.v2 as nw

    if hasattr(data, "to_frame") and not hasattr(data, "columns"):
        data = data.to_frame()
    try:
        frame = nw.from_native(data, eager_only=True)
    except TypeError as error:
        raise DataError(
            f"{type(data).__name__} cannot be drawn", hint="bring a result, a data frame, or a list of mappings"
        ) from error
    return [dict(r) for r in frame.iter_rows(named=True)]


def maybe(rows: Sequence[Row], name: str, given: str | None = None) -> str | None:
    """The column that holds ``name``: the one given, or the first of its aliases that is there, or None.

    Raises
    ------
    DataError : the one given is not there; what is there is named.
    """
    there = list(rows[0]) if rows else []
    if given is not None:
        if given not in there:
            raise DataError(f"no column {given!r}", hint="columns are " + ", ".join(there[:40]))
        return given
    return next((alias for alias in ALIASES.get(name, (name,)) if alias in there), None)


def column(rows: Sequence[Row], name: str, given: str | None = None) -> str:
    """:func:`maybe`, where there has to be one; raises :class:`DataError` otherwise."""
    found = maybe(rows, name, given)
    if found is None:
        raise DataError(f"no column {name!r}", hint="columns are " + ", ".join((list(rows[0]) if rows else [])[:40]))
    return found


def number(value: Any) -> float | None:
    """A finite number, or None for one that is missing."""
    if value is None or isinstance(value, str):
        return None
    x = float(value)
    return x if math.isfinite(x) else None


def need(rows: Sequence[Any], what: str) -> None:
    """Raise :class:`DataError` where there is nothing to draw."""
    if not rows:
        raise DataError(f"nothing to draw: no {what}", hint="the data are empty")


def unique(values: Iterable[Any]) -> list[Any]:
    """Distinct values in order of appearance."""
    return list(dict.fromkeys(values))
