"""From a data frame to the columns of the design: levels, coding, and which columns factor into visit x subject.

Coding follows R: a categorical factor is coded by treatment contrasts (first level the reference) in a term if the
term without that factor is in the model too, and by one column a level if not. Levels of text columns are sorted;
pandas categoricals and polars enums keep their order. Column names are formulaic's:
``TRT01P[T.Active]:AVISIT[T.Week 8]``.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import narwhals.stable.v2 as nw
import numpy as np
import polars as pl

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.linear.mmrm.formula import FactorSpec, ModelFormula
from equipoise.estimate.panel import check_size, labels, ordered, values_of
from equipoise.types import BoolArray, FloatArray, IntArray


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

    def take(self, keep: BoolArray) -> Column:
        """The column at the rows kept, without levels that no longer occur."""
        values = self.values[keep]
        if self.levels is None:
            return Column(self.name, values, None)
        used = np.bincount(values, minlength=len(self.levels)) > 0
        if used.all():
            return Column(self.name, values, self.levels)
        renumber = np.cumsum(used) - 1
        return Column(self.name, renumber[values], tuple(lv for lv, u in zip(self.levels, used, strict=True) if u))


def _encode(values: Sequence[Any], levels: Sequence[Any] | None, name: str) -> tuple[IntArray, tuple[Any, ...]]:
    if levels is None:
        levels = ordered(set(values) - {None}, name)
        code: dict[Any, int] = {level: i for i, level in enumerate(levels)} | {None: -1}
        return np.fromiter(map(code.__getitem__, values), np.int64, len(values)), tuple(levels)
    seen = {level: i for i, level in enumerate(levels)}
    return np.fromiter((seen.get(v, -1) for v in values), np.int64, len(values)), tuple(levels)


def read_column(frame: nw.DataFrame[Any], name: str, categorical: bool = False) -> Column:
    """Column ``name`` of ``frame``; numbers stay numbers unless ``categorical``."""
    if name not in frame.columns:
        raise DataError(f"no column {name!r} in the data", hint="columns are " + ", ".join(frame.columns[:40]))
    series = frame.get_column(name)
    dtype = series.dtype
    if dtype.is_numeric():
        values = np.asarray(series.to_numpy(), dtype=np.float64)
        if not categorical:
            check_size(values, name)
            return Column(name, values, None)
        known = ~np.isnan(values)
        distinct, inverse = np.unique(values[known], return_inverse=True)
        codes = np.full(len(values), -1, np.int64)
        codes[known] = inverse
        return Column(name, codes, tuple(int(v) if float(v).is_integer() else float(v) for v in distinct))
    if dtype == nw.Enum or dtype == nw.Categorical:
        has_order = dtype == nw.Enum or nw.get_native_namespace(series).__name__ == "pandas"
        order = series.cat.get_categories().to_list() if has_order else None
        text = order is not None and len(order) > 0 and isinstance(order[0], str)
        codes, levels = _encode(values_of(series.cast(nw.String) if text else series), order, name)
        return Column(name, codes, levels)
    if dtype == nw.String or dtype == nw.Boolean or dtype == nw.Object:
        found = labels(frame, name)[0]
        if dtype == nw.Object and not categorical and not all(v is None or isinstance(v, str | bool) for v in found):
            kinds = ", ".join(sorted({type(v).__name__ for v in found if v is not None}))
            raise DataError(f"column {name!r} holds {kinds} as objects", hint="convert it to numbers or to text")
        codes, levels = _encode(found, None, name)
        return Column(name, codes, levels)
    if series.is_null().all():
        return Column(name, np.full(len(series), np.nan), None)
    raise DataError(f"column {name!r} is of type {dtype}", hint="use numbers, text or categories")


@dataclass
class Factor:
    """A factor of the formula with its values in the rows used.

    ``numeric`` (row, k) for numeric factors with ``k`` columns called ``labels``; else ``column`` holds codes.
    ``variables`` are the data columns it uses, and ``at_mean`` (k,) its value with each of them at its mean.
    """

    spec: FactorSpec
    variables: tuple[str, ...]
    column: Column | None = None
    numeric: FloatArray | None = None
    labels: tuple[str, ...] = ()
    model: Any = None
    codings: dict[bool, tuple[FloatArray, tuple[str, ...]]] = field(default_factory=dict)

    @property
    def categorical(self) -> bool:
        return self.column is not None

    def coding(self, full: bool) -> tuple[FloatArray, tuple[str, ...]]:
        """(level, k) coding of a categorical factor and the column names."""
        assert self.column is not None
        assert self.column.levels is not None
        n = len(self.column.levels)
        eye = np.eye(n)
        name = self.spec.expression
        if full:
            return eye, tuple(f"{name}[{lv}]" for lv in self.column.levels)
        return eye[:, 1:], tuple(f"{name}[T.{lv}]" for lv in self.column.levels[1:])


@dataclass
class Term:
    """A term of the formula: its factors, how each is coded, and its columns in the design."""

    name: str
    factors: tuple[Factor, ...]
    full: tuple[bool, ...]
    columns: slice
    names: tuple[str, ...]

    def blocks(self) -> list[FloatArray]:
        """Per factor (row, k) values in the rows used."""
        out = []
        for factor, full in zip(self.factors, self.full, strict=True):
            if factor.column is not None:
                out.append(factor.coding(full)[0][factor.column.values])
            else:
                assert factor.numeric is not None
                out.append(factor.numeric)
        return out


@dataclass
class Design:
    """The fixed part of the model on the rows used."""

    terms: tuple[Term, ...]
    names: tuple[str, ...]
    factors: dict[str, Factor]
    columns: dict[str, Column]
    n_rows: int
    keep: BoolArray
    frame: nw.DataFrame[Any] = field(repr=False)
    reduced: frozenset[frozenset[str]] = frozenset()
    first: dict[str, Any] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)

    def matrix(self) -> FloatArray:
        """The whole design (row, p)."""
        x = np.empty((self.n_rows, len(self.names)))
        for term in self.terms:
            x[:, term.columns] = products(term.blocks(), self.n_rows)
        return x


def sum_coded(design: Design) -> FloatArray:
    """The design with sum-to-zero contrasts in place of treatment contrasts; the same terms in the same columns."""
    x = np.empty((design.n_rows, len(design.names)))
    for term in design.terms:
        blocks = []
        for factor, full, block in zip(term.factors, term.full, term.blocks(), strict=True):
            if factor.column is not None and not full:
                k = len(factor.column.levels or ())
                blocks.append(np.vstack([np.eye(k - 1), -np.ones((1, k - 1))])[factor.column.codes])
            else:
                blocks.append(block)
        x[:, term.columns] = products(blocks, design.n_rows)
    return x


def products(blocks: list[FloatArray], n: int) -> FloatArray:
    """All products of one column from each block, the first block varying fastest."""
    out = np.ones((n, 1))
    for block in blocks:
        out = (block[:, :, None] * out[:, None, :]).reshape(n, -1)
    return out


def _expression_columns(expression: str, available: Sequence[str]) -> tuple[str, ...]:
    from formulaic.utils.variables import get_expression_variables

    names = {str(v).split(".")[0] for v in get_expression_variables(expression, {})}
    return tuple(c for c in available if c in names)


def _polars(columns: dict[str, Column], names: Sequence[str]) -> pl.DataFrame:
    data = {}
    for name in names:
        column = columns[name]
        if column.levels is None:
            data[name] = pl.Series(column.numbers)
        else:
            text = [str(level) for level in column.levels]
            data[name] = pl.Series([text[i] for i in column.codes], dtype=pl.Enum(text))
    return pl.DataFrame(data)


def _evaluate(
    spec: FactorSpec, columns: dict[str, Column], names: Sequence[str]
) -> tuple[FloatArray, tuple[str, ...], Any]:
    import formulaic

    try:
        matrix = formulaic.model_matrix(f"0 + {spec.expression}", _polars(columns, names), output="numpy")
    except Exception as error:
        raise EstimationError(
            f"cannot evaluate {spec.expression!r} in the formula: {error}", hint="compute it as a column of the data"
        ) from error
    values: FloatArray = np.asarray(matrix, dtype=np.float64)
    return values, tuple(str(c) for c in matrix.model_spec.column_names), matrix.model_spec


def evaluate_at(factor: Factor, values: dict[str, Any]) -> FloatArray:
    """(k,) columns of a numeric factor where its variables take ``values``."""
    if factor.model is None:
        return np.array([float(values[factor.variables[0]])])
    frame = pl.DataFrame({name: [value] for name, value in values.items()})
    row: FloatArray = np.asarray(factor.model.get_model_matrix(frame), np.float64).reshape(-1)
    return row


def _with_first(column: Column, level: Any) -> Column:
    """``column`` with ``level`` moved to the front of its levels."""
    levels = column.levels or ()
    if level not in levels:
        raise DataError(f"{column.name} has no level {level!r}", hint="levels are " + ", ".join(map(str, levels)))
    k = levels.index(level)
    rank = np.array([*(i + 1 if i < k else i for i in range(len(levels))), -1], np.int64)
    rank[k] = 0
    return Column(column.name, rank[column.codes], (level, *levels[:k], *levels[k + 1 :]))


def build(
    model: ModelFormula,
    frame: nw.DataFrame[Any],
    extra: dict[str, bool],
    reduced: frozenset[frozenset[str]] = frozenset(),
    first: dict[str, Any] | None = None,
) -> tuple[Design, FloatArray]:
    """Design and response on the rows where the response, every factor and ``extra`` columns are present.

    ``extra``: column name -> whether it must be taken as categorical (the visit, subject and group columns).
    ``reduced``: terms (sets of factors) coded by contrasts whatever else is in the model. ``first``: column name ->
    the level that comes first. Raises :class:`DataError` for columns that are absent or of a wrong type.
    """
    columns: dict[str, Column] = {}
    forced: dict[str, Column] = {}
    read: dict[str, Column] = {}

    def get(name: str, categorical: bool = False) -> Column:
        known = read.get(name)
        if known is None or (categorical and known.levels is None):
            known = read_column(frame, name, categorical)
            if first and name in first and known.levels is not None:
                known = _with_first(known, first[name])
            read.setdefault(name, known)
        return known

    used: dict[FactorSpec, tuple[str, ...]] = {}
    for spec in itertools.chain.from_iterable(model.terms):
        if spec in used:
            continue
        names = (spec.name,) if spec.name is not None else _expression_columns(spec.expression, frame.columns)
        if not names:
            raise EstimationError(f"{spec.expression!r} in the formula uses no column of the data",
                                  hint="columns are " + ", ".join(frame.columns[:40]))  # fmt: skip
        used[spec] = names
        for name in names:
            if spec.categorical:
                columns.setdefault(f"C({name})", get(name, True))
            else:
                columns.setdefault(name, get(name))
    response_names = [model.response.strip("`")] if model.response.strip("`") in frame.columns else list(
        _expression_columns(model.response, frame.columns))  # fmt: skip
    if not response_names:
        read_column(frame, model.response.strip("`"))
    responses = {name: get(name) for name in response_names}
    for name, categorical in extra.items():
        forced[name] = get(name, categorical)
    for name, column in responses.items():
        if column.levels is not None:
            raise DataError(f"the response {name!r} is not a number", hint="convert it before the analysis")
    keep = np.ones(len(frame), dtype=np.bool_)
    left_out: dict[str, int] = {}
    for column in itertools.chain(responses.values(), columns.values(), forced.values()):
        lost = int((keep & column.missing).sum())
        if lost:
            left_out[f"without {column.name}"] = left_out.get(f"without {column.name}", 0) + lost
        keep &= ~column.missing
    if not keep.any():
        raise DataError("no row has all of the columns the model uses",
                        hint="check " + ", ".join([*responses, *columns, *forced]))  # fmt: skip
    columns = {name: column.take(keep) for name, column in columns.items()}
    responses = {name: column.take(keep) for name, column in responses.items()}
    n = int(keep.sum())
    factors: dict[str, Factor] = {}
    for spec, names in used.items():
        factor = Factor(spec, names)
        key = f"C({spec.name})" if spec.categorical else spec.name
        if key is not None:
            column = columns[key]
            if column.levels is not None:
                factor.column = column
            else:
                factor.numeric, factor.labels = column.numbers[:, None], (spec.expression,)
        else:
            factor.numeric, factor.labels, factor.model = _evaluate(spec, columns, names)
        factors[spec.expression] = factor
    present = {frozenset(s.expression for s in term) for term in model.terms}
    order = {name: i for i, name in enumerate(factors)}
    terms: list[Term] = []
    all_names: list[str] = []
    for specs in model.terms:
        parts = tuple(factors[s.expression] for s in sorted(specs, key=lambda s: order[s.expression]))
        by_contrasts = frozenset(s.expression for s in specs) in reduced
        full = tuple(
            not by_contrasts
            and part.categorical
            and frozenset(p.spec.expression for p in parts if p is not part) not in present
            for part in parts
        )
        labels: list[tuple[str, ...]] = [("",)]
        for part, whole in zip(parts, full, strict=True):
            labels.append(part.coding(whole)[1] if part.categorical else part.labels)
        names = tuple(
            ":".join(reversed([c for c in combo if c])) or "(Intercept)"
            for combo in itertools.product(*reversed(labels))
        )
        start = len(all_names)
        all_names.extend(names)
        name = ":".join(p.spec.expression for p in parts) or "(Intercept)"
        terms.append(Term(name, parts, full, slice(start, len(all_names)), names))
    if model.response.strip("`") in responses:
        y = np.asarray(responses[model.response.strip("`")].values, dtype=np.float64)
    else:
        y = _evaluate(FactorSpec(model.response, None, False), responses, response_names)[0][:, 0]
        if not np.isfinite(y).all():
            raise DataError(f"the response {model.response!r} is not finite in every row", hint="check its values")
    for name, column in forced.items():
        columns[f"|{name}"] = column.take(keep)
    return Design(tuple(terms), tuple(all_names), factors, columns, n, keep, frame, reduced, dict(first or {}),
                  left_out), y  # fmt: skip
