"""Model and data to the columns of the design: coding of factors, names of columns, the matrix.

Coding follows R: a categorical factor is coded by contrasts (treatment against the first level, unless the formula says
otherwise) in a term if the term without that factor is in the model too, and by one column a level if not. Column names
are those of the Python library formulaic: ``TRT01P[T.Active]:AVISIT[T.Week 8]``.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.formula.columns import Column, read_column
from equipoise.estimate.formula.functions import State, evaluate
from equipoise.estimate.formula.terms import FactorSpec, ModelFormula, TermSpec
from equipoise.types import BoolArray, FloatArray

MOST_CELLS = 250_000_000
"""Numbers in a design (2 GB)."""


class NoCompleteRow(DataError):
    """No row has every column that the model uses."""


@dataclass
class Factor:
    """A factor of the formula with its values in the rows used.

    ``numeric`` (row, k) for numeric factors with ``k`` columns called ``labels``; else ``column`` holds codes.
    ``variables`` are the data columns it uses; ``state`` is what its functions learned from the data.
    """

    spec: FactorSpec
    variables: tuple[str, ...]
    column: Column | None = None
    numeric: FloatArray | None = None
    labels: tuple[str, ...] = ()
    text: str = field(default="", repr=False)
    state: State = field(default_factory=dict, repr=False)
    _codings: dict[bool, tuple[FloatArray, tuple[str, ...]]] = field(default_factory=dict, repr=False)

    @property
    def categorical(self) -> bool:
        return self.column is not None

    def coding(self, full: bool) -> tuple[FloatArray, tuple[str, ...]]:
        """(level, k) coding of a categorical factor and the column names."""
        made = self._codings.get(full)
        if made is None:
            assert self.column is not None
            assert self.column.levels is not None
            levels, name = self.column.levels, self.spec.expression
            if full:
                made = np.eye(len(levels)), tuple(f"{name}[{lv}]" for lv in levels)
            else:
                values, tails = self.spec.coding.contrasts(levels, name)
                made = values, tuple(f"{name}{tail}" for tail in tails)
            self._codings[full] = made
        return made

    def at(self, values: Mapping[str, Any]) -> FloatArray:
        """(k,) columns of a numeric factor where its variables take ``values``."""
        row: FloatArray = self.of({name: np.array([float(values[name])]) for name in self.variables})[0]
        return row

    def of(self, values: Mapping[str, FloatArray]) -> FloatArray:
        """(row, k) columns of a numeric factor where its variables take ``values`` (row,)."""
        if self.spec.node is None:
            return values[self.variables[0]][:, None]
        made = evaluate(self.spec.node, values, self.state, self.text)
        return made if made.ndim == 2 else made[:, None]


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
    """The fixed part of the model on the rows used; ``offset`` (row,) what is added with a coefficient of 1, if any."""

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
    offset: FloatArray | None = field(default=None, repr=False)
    offsets: tuple[Factor, ...] = field(default=(), repr=False)

    def less_offset(self, y: FloatArray) -> FloatArray:
        """(row,) a response without the offset, which is what a linear model with one fits."""
        return y if self.offset is None else y - self.offset

    def offset_of(self, frame: nw.DataFrame[Any]) -> FloatArray:
        """(row,) the offset of the rows of another frame; raises :class:`DataError` where they have none."""
        made = np.zeros(len(frame))
        for factor in self.offsets:
            values = renewed(factor, frame).numeric
            assert values is not None
            made += values[:, 0]
        return made

    def matrix(self) -> FloatArray:
        """The whole design (row, p)."""
        cells = self.n_rows * len(self.names)
        if cells > MOST_CELLS:
            raise EstimationError(
                f"the design has {len(self.names):,} columns on {self.n_rows:,} rows",
                hint="interact fewer levels, or name a column of numbers as such",
            )
        x = np.empty((self.n_rows, len(self.names)))
        for term in self.terms:
            _fill(x[:, term.columns], term.blocks())
        return x

    def matrix_of(self, frame: nw.DataFrame[Any]) -> FloatArray:
        """(row, p) the design of the rows of another frame; raises :class:`DataError` where they do not fit."""
        factors = {name: renewed(factor, frame) for name, factor in self.factors.items()}
        x = np.empty((len(frame), len(self.names)))
        for term in self.terms:
            own = replace(term, factors=tuple(factors[f.spec.expression] for f in term.factors))
            _fill(x[:, term.columns], own.blocks())
        return x


def renewed(factor: Factor, frame: nw.DataFrame[Any]) -> Factor:
    """``factor`` with the values that its columns have in ``frame``.

    Raises :class:`DataError` for a column that is not there, a value that is missing, or a level not in the
    model.
    """
    for name in factor.variables:
        if name not in frame.columns:
            raise DataError(f"no column {name!r} in the new data", hint="columns are " + ", ".join(frame.columns[:40]))
    if factor.column is not None:
        levels = factor.column.levels or ()
        column = read_column(frame, factor.variables[0], categorical=True)
        there = [None if c < 0 else (column.levels or ())[c] for c in column.codes]
        unknown = next((v for v in there if v not in levels), levels[0])
        if unknown not in levels:
            raise DataError(
                f"{factor.variables[0]!r} is {unknown!r} in the new data",
                hint="levels are " + ", ".join(map(str, levels)),
            )
        codes = np.array([levels.index(v) for v in there], np.int64)
        return replace(factor, column=replace(factor.column, values=codes))
    return replace(factor, numeric=factor.of({name: read_column(frame, name).numbers for name in factor.variables}))


def _fill(out: FloatArray, blocks: list[FloatArray]) -> None:
    """Into ``out`` (row, k) all products of one column from each block, the first block varying fastest."""
    if not blocks:
        out[:] = 1.0
    elif len(blocks) == 1:
        out[:] = blocks[0]
    else:
        out[:] = products(blocks, len(out))


def sum_coded(design: Design) -> FloatArray:
    """The design with sum-to-zero contrasts in place of others; the same terms in the same columns."""
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


class _Columns:
    """Columns of a frame as they are asked for, each read once."""

    def __init__(self, frame: nw.DataFrame[Any], first: Mapping[str, Any]) -> None:
        self.frame, self.first = frame, first
        self.read: dict[tuple[str, bool], Column] = {}

    def get(self, name: str, categorical: bool = False) -> Column:
        known = self.read.get((name, False))
        if known is not None and (not categorical or known.levels is not None):
            return known
        known = self.read.get((name, categorical))
        if known is None:
            known = read_column(self.frame, name, categorical)
            if known.levels is not None and name in self.first:
                known = known.starting_with(self.first[name])
            self.read[name, categorical] = known
        return known


def _evaluated(spec: FactorSpec, columns: Mapping[str, Column], keep: BoolArray | None, text: str) -> Factor:
    """The factor of an expression; raises :class:`DataError` where it is no finite number in some row."""
    for name in spec.variables:
        if columns[name].levels is not None:
            raise DataError(f"{spec.expression}: column {name!r} is not a number", hint="name a column of numbers")
    factor = Factor(spec, spec.variables, text=text)
    values = factor.of({name: columns[name].numbers for name in spec.variables})
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        k = int(np.flatnonzero(~finite)[0])
        row = k if keep is None else int(np.flatnonzero(keep)[k])
        there = ", ".join(f"{name} = {columns[name].numbers[k]:g}" for name in spec.variables)
        what = f"{spec.expression} is no finite number in row {row + 1} ({there})"
        raise DataError(what, hint="mend the value, leave the row out, or compute it as a column of the data")
    factor.numeric = values
    expression = spec.expression
    k = values.shape[1]
    multiple = k > 1 or (spec.node is not None and expression.startswith(("poly(", "ns(")))
    factor.labels = tuple(f"{expression}[{i + 1}]" for i in range(k)) if multiple else (expression,)
    return factor


def build(
    model: ModelFormula,
    frame: nw.DataFrame[Any],
    extra: Mapping[str, bool],
    reduced: frozenset[frozenset[str]] = frozenset(),
    first: Mapping[str, Any] | None = None,
) -> tuple[Design, FloatArray]:
    """Design and response on the rows where the response, every factor and ``extra`` columns are present.

    ``extra``: column name -> whether it must be taken as categorical (the visit, subject and group columns).
    ``reduced``: terms (sets of factors) coded by contrasts whatever else is in the model. ``first``: column name ->
    the level that comes first. The response of a model without one is (row,) NaN.

    Raises
    ------
    DataError : a column is absent or of a wrong type, a value is no finite number, or (:class:`NoCompleteRow`) no row
    has them all. EstimationError : a reference level of the formula does not occur.
    """
    source = _Columns(frame, first or {})
    columns: dict[str, Column] = {}
    specs = tuple(dict.fromkeys(itertools.chain.from_iterable(model.terms)))
    for spec in (*specs, *model.offsets):
        for name in spec.variables:
            columns.setdefault(f"C({name})" if spec.categorical else name, source.get(name, spec.categorical))
    responses = {name: source.get(name) for name in (model.target.variables if model.target else ())}
    forced = {name: source.get(name, categorical) for name, categorical in extra.items()}
    for name, column in responses.items():
        if column.levels is not None:
            raise DataError(f"the response {name!r} is not a number", hint="convert it before the analysis")
    everything = {id(c): c for c in itertools.chain(responses.values(), columns.values(), forced.values())}
    left_out: dict[str, int] = {}
    keep = np.ones(len(frame), dtype=np.bool_)
    for column in everything.values():
        missing = column.missing
        if missing.any():
            lost = int(np.count_nonzero(keep & missing))
            if lost:
                left_out[f"without {column.name}"] = left_out.get(f"without {column.name}", 0) + lost
            keep &= ~missing
    n = int(np.count_nonzero(keep))
    if not n:
        raise NoCompleteRow(
            "no row has all of the columns the model uses", hint="check " + ", ".join([*responses, *columns, *forced])
        )
    rows = None if n == len(keep) else keep
    columns = {name: column.take(rows) for name, column in columns.items()}
    responses = {name: column.take(rows) for name, column in responses.items()}
    factors = {spec.expression: _factor(spec, columns, rows, model.text) for spec in specs}
    terms, names = _terms(model.terms, factors, reduced)
    target = model.target
    if target is None:
        y = np.full(n, np.nan)
    elif target.name is not None:
        y = np.array(responses[target.name].numbers, dtype=np.float64)
    else:
        made = _evaluated(target, responses, rows, model.text).numeric
        assert made is not None
        y = made[:, 0]
    for name, column in forced.items():
        columns[f"|{name}"] = column.take(rows)
    design = Design(terms, names, factors, columns, n, keep, frame, reduced, dict(first or {}), left_out)
    if model.offsets:
        design.offsets = _offsets(model.offsets, columns, rows, model.text)
        design.offset = np.zeros(n)
        for factor in design.offsets:
            assert factor.numeric is not None
            design.offset += factor.numeric[:, 0]
    return design, y


def _factor(spec: FactorSpec, columns: Mapping[str, Column], rows: BoolArray | None, text: str) -> Factor:
    if spec.node is not None:
        return _evaluated(spec, columns, rows, text)
    factor = Factor(spec, spec.variables, text=text)
    column = columns[f"C({spec.name})" if spec.categorical else str(spec.name)]
    if column.levels is not None:
        factor.column = column
    else:
        factor.numeric, factor.labels = column.numbers[:, None], (spec.expression,)
    return factor


def _offsets(
    specs: Iterable[FactorSpec], columns: Mapping[str, Column], rows: BoolArray | None, text: str
) -> tuple[Factor, ...]:
    made = tuple(_factor(spec, columns, rows, text) for spec in specs)
    for factor in made:
        if factor.numeric is None or factor.numeric.shape[1] != 1:
            raise DataError(f"the offset {factor.spec.expression} is not a number", hint="name a column of numbers")
    return made


def _terms(
    wanted: tuple[TermSpec, ...], factors: Mapping[str, Factor], reduced: frozenset[frozenset[str]]
) -> tuple[tuple[Term, ...], tuple[str, ...]]:
    """The terms, each factor coded as R does, and the names of all columns."""
    keys = [frozenset(s.expression for s in specs) for specs in wanted]
    present = set(keys)
    order = {name: i for i, name in enumerate(factors)}
    terms: list[Term] = []
    every: list[str] = []
    for specs, key in zip(wanted, keys, strict=True):
        parts = tuple(factors[s.expression] for s in sorted(specs, key=lambda s: order[s.expression]))
        full = tuple(
            part.categorical and key not in reduced and key - {part.spec.expression} not in present for part in parts
        )
        labels = [part.coding(f)[1] if part.categorical else part.labels for part, f in zip(parts, full, strict=True)]
        size = int(np.prod([len(one) for one in labels], dtype=np.float64))
        if len(every) + size > MOST_CELLS // 1000:
            raise EstimationError(
                f"the design has more than {MOST_CELLS // 1000:,} columns",
                hint="interact fewer levels, or name a column of numbers as such",
            )
        if len(labels) == 1:
            names = labels[0]
        else:
            names = tuple(":".join(reversed(c)) for c in itertools.product(*reversed(labels)))
        names = names if parts else ("(Intercept)",)
        start = len(every)
        every.extend(names)
        name = ":".join(p.spec.expression for p in parts) or "(Intercept)"
        terms.append(Term(name, parts, full, slice(start, len(every)), names))
    return tuple(terms), tuple(every)
