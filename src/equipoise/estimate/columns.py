"""One column of a data frame: numbers, categories and their levels, two arms, covariates as columns of a design."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np

from equipoise.errors import DataError
from equipoise.estimate.frames import require, values_of
from equipoise.estimate.ordering import text_in_order
from equipoise.types import BoolArray, FloatArray, IntArray

LARGEST = 1e100
"""Numbers beyond it are refused: sums of their squares and cross products would overflow."""


def ordered(found: set[Any], name: str) -> list[Any]:
    """Levels sorted, text by the numbers in it (:func:`equipoise.estimate.ordering.text_in_order`); raises
    :class:`DataError` where a column mixes kinds that have no order.
    """
    try:
        return text_in_order(found) if all(isinstance(v, str) for v in found) else sorted(found)
    except TypeError as error:
        kinds = ", ".join(sorted({type(v).__name__ for v in found}))
        raise DataError(f"column {name!r} mixes {kinds}", hint="make all values of one kind") from error


def numbers(frame: nw.DataFrame[Any], name: str) -> FloatArray:
    """Column ``name`` as float64, missing values as NaN. A column without any value has no type to object to.

    Raises :class:`DataError` for what is no number, is infinite, or beyond :data:`LARGEST`.
    """
    series = frame.get_column(name)
    if series.dtype.is_numeric():
        values = np.array(series.to_numpy(), dtype=np.float64)
    else:
        found = values_of(series)
        if series.dtype != nw.Boolean and any(v is not None for v in found):
            what = f"column {name!r} is not a number but {series.dtype}"
            raise DataError(what, hint="convert it before the analysis")
        values = np.array([np.nan if v is None else float(v) for v in found], dtype=np.float64)
    check_size(values, name)
    return values


def check_size(values: FloatArray, name: str) -> None:
    """Raise :class:`DataError` where a column holds infinity or numbers too large to compute with."""
    with np.errstate(invalid="ignore"):
        bad = np.abs(values) > LARGEST
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        if np.isinf(values[row]):
            raise DataError(f"column {name!r} is infinite in row {row + 1}", hint="mend it or make it missing")
        raise DataError(
            f"column {name!r} is {values[row]:g} in row {row + 1}, too large to compute with",
            hint="mend it, or give the column in a larger unit",
        )


def _gone(value: Any) -> bool:
    """Whether ``value`` means missing: None, NaN, NaT or NA."""
    if value is None:
        return True
    try:
        return bool(value != value)
    except TypeError:  # pandas' NA has no truth value
        return True


def codes_of(frame: nw.DataFrame[Any], name: str) -> tuple[IntArray, list[Any]]:
    """(row,) codes of a column taken as categories, -1 where missing, and its levels, as :func:`labels` gives them.

    Raises :class:`DataError` as :func:`labels` does.
    """
    series = frame.get_column(name)
    values = series.to_list()
    try:
        found = set(values)
    except TypeError as error:
        raise DataError(
            f"column {name!r} holds {series.dtype}, which are no categories", hint="use numbers, text or categories"
        ) from error
    gone = [v for v in found if _gone(v)]
    levels = _ordered_levels(series, found.difference(gone), name)
    code: dict[Any, int] = dict.fromkeys(gone, -1)
    code.update((level, i) for i, level in enumerate(levels))
    return np.fromiter(map(code.__getitem__, values), np.int64, len(values)), levels


def present(frame: nw.DataFrame[Any], name: str) -> BoolArray:
    """(row,) where column ``name`` has a value."""
    series = frame.get_column(name)
    if series.dtype.is_numeric():
        values = series.to_numpy()
        if values.dtype.kind in "iufb":
            return np.asarray(values == values, np.bool_)
    return codes_of(frame, name)[0] >= 0


def _ordered_levels(series: nw.Series[Any], found: set[Any], name: str) -> list[Any]:
    """The levels ``found`` in the order of an enum or a category where there is one, sorted otherwise."""
    order: list[Any] = []
    dtype = series.dtype
    if isinstance(dtype, nw.Enum):
        order = list(dtype.categories)
    elif dtype in (nw.Categorical, nw.Enum):
        native = series.to_native()
        if hasattr(native, "cat") and hasattr(native.cat, "categories"):
            order = list(native.cat.categories)
    if not found <= set(order):
        order = ordered(found, name)
    return [level for level in order if level in found]


def labels(frame: nw.DataFrame[Any], name: str) -> tuple[list[Any], list[Any]]:
    """Values of a column taken as categories, and its levels in order: the order of an enum or an ordered or plain
    pandas category where there is one, sorted otherwise. Missing values are None.

    Raises :class:`DataError` for lists and other values that are no categories, or have no order among each other.
    """
    series = frame.get_column(name)
    values = values_of(series)
    try:
        found = set(values) - {None}
    except TypeError as error:
        raise DataError(
            f"column {name!r} holds {series.dtype}, which are no categories", hint="use numbers, text or categories"
        ) from error
    return values, _ordered_levels(series, found, name)


def two_arms(frame: nw.DataFrame[Any], name: str, control: Any = None) -> tuple[list[Any], tuple[Any, Any]]:
    """(row,) arms, None where missing, and the two labels, control (default the first) first.

    Raises :class:`DataError` unless there are two, ``control`` among them.
    """
    require(frame, [name])
    values, levels = labels(frame, name)
    return values, two_levels(levels, name, len(values), control)


def arms_of(
    frame: nw.DataFrame[Any], name: str, control: Any = None, *, several: bool = False
) -> tuple[list[Any], tuple[Any, ...]]:
    """(row,) arms, None where missing, and their labels, control (default the first) first: two, or with ``several``
    two or more.

    Raises :class:`DataError` where there are fewer, more than are meant, or ``control`` is not among them.
    """
    require(frame, [name])
    values, levels = labels(frame, name)
    if several and len(levels) > 2:
        if 2 * len(levels) > len(values):
            raise DataError(
                f"{name!r} has {len(levels)} levels in {len(values)} patients",
                hint="this analysis compares two arms or more, each of two patients at least: name the column of arms",
            )
        return values, tuple(_control_first(levels, name, control))
    return values, two_levels(levels, name, len(values), control)


def _control_first(levels: list[Any], name: str, control: Any) -> list[Any]:
    if control is None:
        return levels
    if control not in levels:
        raise DataError(f"{control!r} is not a level of {name!r}", hint="levels are " + ", ".join(map(str, levels)))
    return [control, *[level for level in levels if level != control]]


def two_levels(levels: list[Any], name: str, rows: int, control: Any = None) -> tuple[Any, Any]:
    """The two ``levels`` of column ``name``, control (default the first) first; raises as :func:`two_arms` does."""
    if not levels:
        raise DataError(f"{name!r} has no values in {rows} rows", hint="this analysis compares two arms")
    levels = _control_first(levels, name, control)
    if len(levels) != 2:
        more = ", or let pairwise() compare each arm with control" if len(levels) > 2 else ""
        raise DataError(
            f"{name!r} has {len(levels)} level{'s' if len(levels) > 1 else ''} ({', '.join(map(str, levels))})",
            hint=f"this analysis compares two arms: filter the rows{more}",
        )
    return levels[0], levels[1]


def coded(frame: nw.DataFrame[Any], names: Sequence[str]) -> tuple[FloatArray, tuple[str, ...], BoolArray]:
    """(row, column) covariates, NaN where missing, what they are called, and which are of one category alone.

    Numbers and truth values enter as they are, categories as indicators of all levels but the first; a category with
    one level is a column of zeros, a column without values one of NaN.
    """
    require(frame, names)
    out: list[FloatArray] = []
    called: list[str] = []
    alone: list[bool] = []
    for name in names:
        dtype = frame.get_column(name).dtype
        if dtype.is_numeric() or dtype == nw.Boolean:
            made = [(numbers(frame, name), name, False)]
        elif dtype.is_temporal():
            raise DataError(
                f"column {name!r} is of type {dtype}, no covariate", hint="make a number of it, such as days or years"
            )
        else:
            values, levels = labels(frame, name)
            made = [
                (np.array([np.nan if v is None else float(v == level) for v in values]), f"{name}[{level}]", False)
                for level in levels[1:]
            ]
            if len(levels) < 2:
                made = [(np.array([np.nan if v is None else 0.0 for v in values]), name, len(levels) == 1)]
        for column, label, single in made:
            out.append(column)
            called.append(label)
            alone.append(single)
    return np.column_stack(out) if out else np.zeros((len(frame), 0)), tuple(called), np.array(alone, np.bool_)
