"""Columns of a data frame as numbers, or as codes into levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import narwhals.stable.v2 as nw
import numpy as np

from equipoise.errors import DataError
from equipoise.estimate.columns import check_size, labels, ordered
from equipoise.estimate.formula.functions import nearest
from equipoise.estimate.frames import values_of
from equipoise.estimate.ordering import COMPANIONS
from equipoise.types import BoolArray, FloatArray, IntArray

SMALL = 1000
"""With so many rows or fewer a loop over the values is faster than the data-frame library."""


@dataclass
class Column:
    """A column of the data: ``values`` are numbers, or codes into ``levels`` (-1 missing) for a categorical one."""

    name: str
    values: FloatArray | IntArray
    levels: tuple[Any, ...] | None

    @property
    def missing(self) -> BoolArray:
        return np.isnan(self.values) if self.levels is None else self.values < 0

    @property
    def codes(self) -> IntArray:
        """(row,) codes of a categorical column."""
        return cast(IntArray, self.values)

    @property
    def numbers(self) -> FloatArray:
        """(row,) values of a numeric column."""
        return cast(FloatArray, self.values)

    def take(self, keep: BoolArray | None) -> Column:
        """The column at the rows kept (None: all of them), without levels that no longer occur."""
        values = self.values if keep is None else self.values[keep]
        if self.levels is None:
            return self if keep is None else Column(self.name, values, None)
        used = np.bincount(values, minlength=len(self.levels)) > 0
        if used.all():
            return self if keep is None else Column(self.name, values, self.levels)
        renumber = np.cumsum(used) - 1
        return Column(self.name, renumber[values], tuple(lv for lv, u in zip(self.levels, used, strict=True) if u))

    def starting_with(self, level: Any) -> Column:
        """The column with ``level`` moved to the front of its levels."""
        levels = self.levels or ()
        if level not in levels:
            raise DataError(f"{self.name} has no level {level!r}", hint="levels are " + ", ".join(map(str, levels)))
        k = levels.index(level)
        rank = np.array([*(i + 1 if i < k else i for i in range(len(levels))), -1], np.int64)
        rank[k] = 0
        return Column(self.name, rank[self.codes], (level, *levels[:k], *levels[k + 1 :]))


def no_column(name: str, known: Sequence[str]) -> DataError:
    """The error for a column that is not there: the nearest name, and the names there are."""
    more = f" and {len(known) - 40} more" if len(known) > 40 else ""
    hint = f"{nearest(name, known)}columns are {', '.join(known[:40])}{more}" if known else "the data have no columns"
    return DataError(f"no column {name!r} in the data", hint=hint)


def read_column(frame: nw.DataFrame[Any], name: str, categorical: bool = False) -> Column:
    """Column ``name`` of ``frame``; numbers stay numbers unless ``categorical``.

    Levels of text are in the order of the numbers in them (``Week 2`` before ``Week 10``), those of AVISIT and its kin
    in that of AVISITN where it is there; pandas categories and polars enums keep their order.

    Raises
    ------
    DataError : there is no such column (the nearest name is told), or it holds neither numbers, text nor categories.
    """
    try:
        series = frame.get_column(name)
    except Exception as error:
        known = frame.columns
        if name in known:
            raise
        raise no_column(name, known) from error
    dtype = series.dtype
    if dtype.is_numeric():
        values = np.asarray(series.to_numpy(), dtype=np.float64)
        if not categorical:
            check_size(values, name)
            return Column(name, values, None)
        known_rows = ~np.isnan(values)
        distinct, inverse = np.unique(values[known_rows], return_inverse=True)
        codes = np.full(len(values), -1, np.int64)
        codes[known_rows] = inverse
        return Column(name, codes, tuple(int(v) if float(v).is_integer() else float(v) for v in distinct))
    if dtype == nw.Enum or dtype == nw.Categorical:
        return _categories(series, name)
    if dtype == nw.String or dtype == nw.Boolean or dtype == nw.Object:
        return _by_companion(frame, _labels(frame, series, name, categorical))
    if series.is_null().all():
        return Column(name, np.full(len(series), np.nan), None)
    raise DataError(f"column {name!r} is of type {dtype}", hint="use numbers, text or categories")


def _categories(series: nw.Series[Any], name: str) -> Column:
    native, library = series.to_native(), nw.get_native_namespace(series).__name__
    if library == "pandas":
        return Column(name, np.asarray(native.cat.codes, np.int64), tuple(native.cat.categories.tolist()))
    if library == "polars" and series.dtype == nw.Enum:
        levels = native.dtype.categories.to_list()
        return Column(name, _physical(native), tuple(levels))
    order = series.cat.get_categories().to_list() if series.dtype == nw.Enum else None
    found = values_of(series.cast(nw.String)) if order and isinstance(order[0], str) else values_of(series)
    return Column(name, *_encode(found, order, name))


def _physical(native: Any) -> IntArray:
    """Codes of a polars enum, -1 where missing."""
    import polars as pl

    return cast(IntArray, native.to_physical().cast(pl.Int64).fill_null(-1).to_numpy())


def _labels(frame: nw.DataFrame[Any], series: nw.Series[Any], name: str, categorical: bool) -> Column:
    """Text, truth values and objects."""
    native, library = series.to_native(), nw.get_native_namespace(series).__name__
    if library == "polars" and series.dtype == nw.String:
        import polars as pl

        if len(native) <= SMALL:
            return Column(name, *_encode(native.to_list(), None, name))
        levels = ordered(set(native.unique().drop_nulls().to_list()), name)
        return Column(name, _physical(native.cast(pl.Enum(levels))), tuple(levels))
    if library == "pandas":
        pd: Any = nw.get_native_namespace(series)
        try:
            codes, uniques = pd.factorize(native)
        except TypeError:  # values without a hash: told below
            pass
        else:
            found = uniques.tolist()
            _check_kinds(found, series, name, categorical)
            levels = ordered(set(found), name)
            if found != levels:
                place = {level: i for i, level in enumerate(levels)}
                codes = np.array([*(place[v] for v in found), -1], np.int64)[codes]
            return Column(name, np.asarray(codes, np.int64), tuple(levels))
    values = labels(frame, name)[0]
    _check_kinds([v for v in values if v is not None], series, name, categorical)
    return Column(name, *_encode(values, None, name))


def _by_companion(frame: nw.DataFrame[Any], column: Column) -> Column:
    """A name of times in the order of its numbers (:data:`COMPANIONS`), where each name has one and no two share it."""
    twin = COMPANIONS.get(column.name)
    if twin is None or column.levels is None or twin not in frame.columns:
        return column
    series = frame.get_column(twin)
    if not series.dtype.is_numeric():
        return column
    at, codes = np.asarray(series.to_numpy(), dtype=np.float64), column.codes
    both = ~np.isnan(at) & (codes >= 0)
    pairs = np.unique(np.column_stack([codes[both].astype(np.float64), at[both]]), axis=0)
    n = len(column.levels)
    if len(pairs) != n or len(np.unique(pairs[:, 0])) != n or len(np.unique(pairs[:, 1])) != n:
        return column
    order = np.argsort(pairs[:, 1], kind="stable")
    rank = np.full(n + 1, -1, np.int64)
    rank[order] = np.arange(n)
    return Column(column.name, rank[codes], tuple(column.levels[k] for k in order))


def _check_kinds(found: Sequence[Any], series: nw.Series[Any], name: str, categorical: bool) -> None:
    if series.dtype == nw.Object and not categorical and not all(isinstance(v, str | bool) for v in found):
        kinds = ", ".join(sorted({type(v).__name__ for v in found}))
        raise DataError(f"column {name!r} holds {kinds} as objects", hint="convert it to numbers or to text")


def _encode(values: Sequence[Any], levels: Sequence[Any] | None, name: str) -> tuple[IntArray, tuple[Any, ...]]:
    if levels is None:
        levels = ordered(set(values) - {None}, name)
        seen: dict[Any, int] = {None: -1, **{level: i for i, level in enumerate(levels)}}
        return np.array([seen[v] for v in values], np.int64), tuple(levels)
    seen = {level: i for i, level in enumerate(levels)}
    return np.fromiter((seen.get(v, -1) for v in values), np.int64, len(values)), tuple(levels)
