"""One trial's times to an event, two arms, strata and covariates: from a data frame to arrays.

Shared by the doors that compare two arms (restricted means, landmarks, cumulative incidence, treatment switching).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np

from equipoise.estimate.columns import codes_of, numbers, two_levels
from equipoise.estimate.formula import FactorSpec, ModelFormula, build, with_intercept
from equipoise.estimate.formula.terms import TermSpec
from equipoise.estimate.frames import read_frame, require
from equipoise.estimate.indicators import events_of, tied_times, times_of
from equipoise.estimate.left_out import LeftOut, Sieve
from equipoise.estimate.survival.asked import Named
from equipoise.estimate.survival.surv_formula import combined
from equipoise.types import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class EventData:
    """The patients who have a time, an indicator, an arm, their strata and their covariates.

    time, event, arm : (subject,) time, whether the event happened, 0 control or 1 active. arms : labels, control
    first. stratum : (subject,) codes into ``strata``. x : (subject, covariate). rows : (subject,) their rows in the
    frame that came in; left_out : how many rows take no part, and why. backend : the data-frame library that came in.
    """

    time: FloatArray
    event: BoolArray
    arm: IntArray
    arms: tuple[Any, Any]
    stratum: IntArray
    strata: tuple[str, ...]
    x: FloatArray
    names: tuple[str, ...]
    rows: IntArray
    left_out: LeftOut
    backend: Any

    @property
    def sizes(self) -> IntArray:
        """(2,) patients an arm."""
        return np.bincount(self.arm, minlength=2)

    @property
    def events(self) -> IntArray:
        """(2,) events an arm."""
        return np.bincount(self.arm[self.event], minlength=2)

    def counts(self) -> str:
        """Events of patients, arm by arm, in words."""
        return ", ".join(f"{e}/{n} {a}" for e, n, a in zip(self.events, self.sizes, self.arms, strict=True))


@dataclass(frozen=True, eq=False)
class TwoLevels:
    """A factor of two levels: its column among the covariates, (row,) codes (-1 where missing) and the levels."""

    column: int
    code: IntArray
    levels: tuple[Any, ...]


def read_times(frame: nw.DataFrame[Any], name: str) -> FloatArray:
    """Column ``name`` as times, missing ones NaN, those that differ by rounding alone tied.

    Raises :class:`DataError` for a negative one.
    """
    return tied_times(times_of(frame, name))[0]


def read_arms(frame: nw.DataFrame[Any], name: str, control: Any) -> tuple[IntArray, tuple[Any, Any]]:
    """(row,) 0 for control, 1 for active, -1 where missing, and the two labels, control first."""
    require(frame, [name])
    code, found = codes_of(frame, name)
    levels = two_levels(found, name, len(code), control)
    index = np.array([*(int(level == levels[1]) for level in found), -1], np.int64)
    return index[code], levels


def read_terms(
    frame: nw.DataFrame[Any], terms: Sequence[TermSpec]
) -> tuple[FloatArray, tuple[str, ...], list[TwoLevels], tuple[str, ...]]:
    """(row, column) covariates of the terms of a formula, NaN where a row lacks one; their names; the factors
    of two levels among them; and those of one level, which have a column of zeros. Text columns and categories are
    factors, the first level the reference.
    """
    design, _ = build(ModelFormula("", None, with_intercept(terms)), frame, {})
    rows = np.flatnonzero(design.keep)
    made = design.matrix()
    columns: list[FloatArray] = []
    names: list[str] = []
    pairs: list[TwoLevels] = []
    single: list[str] = []
    for term in design.terms:
        if term.name == "(Intercept)":
            continue
        factor = term.factors[0].column if len(term.factors) == 1 else None
        levels = () if factor is None else tuple(factor.levels or ())
        columns += [made[:, i] for i in range(term.columns.start, term.columns.stop)]
        names += term.names
        if len(levels) == 1:
            columns.append(np.zeros(len(rows)))
            names.append(term.name)
            single.append(f"{term.name} {levels[0]}")
        if factor is not None and len(levels) == 2:
            code = np.full(len(frame), -1, np.int64)
            code[rows] = factor.values
            pairs.append(TwoLevels(len(names) - 1, code, levels))
    x = np.full((len(frame), len(columns)), np.nan)
    if columns:
        x[rows] = np.column_stack(columns)
    return x, tuple(names), pairs, tuple(single)


def read_covariates(frame: nw.DataFrame[Any], names: Sequence[str]) -> tuple[FloatArray, tuple[str, ...]]:
    """The same for columns named one by one."""
    require(frame, names)
    if not names:
        return np.zeros((len(frame), 0)), ()
    x, called, *_ = read_terms(frame, [(FactorSpec.of_column(n),) for n in dict.fromkeys(names)])
    return x, called


def read_named(
    named: Named, *, control: Any = None, numeric: Sequence[str] = ()
) -> tuple[EventData, dict[str, FloatArray]]:
    """:func:`read_events` of the columns that were asked for."""
    return read_events(
        named.data,
        time=named.time,
        event=named.event,
        censor=named.censor,
        arm=str(named.arm),
        control=control,
        strata=named.strata,
        covariates=named.covariates,
        numeric=numeric,
    )


def read_events(
    data: Any,
    *,
    time: str,
    event: str | None,
    censor: str | None,
    arm: str,
    control: Any = None,
    strata: str | Sequence[str] = (),
    covariates: str | Sequence[str] = (),
    numeric: Sequence[str] = (),
) -> tuple[EventData, dict[str, FloatArray]]:
    """Read one row a patient; rows that lack a value of any named column take no part.

    Also returned: the columns ``numeric`` of these patients.

    Raises
    ------
    DataError, EstimationError : a column is absent or holds what it should not, or there are not two arms.
    """
    frame = read_frame(data)
    require(frame, [time])
    times, flag = read_times(frame, time), events_of(frame, event, censor)
    group, arms = read_arms(frame, arm, control)
    names_of_strata = (strata,) if isinstance(strata, str) else tuple(strata)
    require(frame, names_of_strata)
    stratum, called = combined(frame, names_of_strata)
    named = (covariates,) if isinstance(covariates, str) else tuple(covariates)
    x, names = read_covariates(frame, named)
    sieve = Sieve(len(frame))
    sieve.need(~np.isnan(times), f"without {time}")
    sieve.need(~np.isnan(flag), f"without {event or censor}")
    sieve.need(group >= 0, f"without {arm}")
    sieve.need(stratum >= 0, f"without {' or '.join(names_of_strata)}")
    sieve.need(~np.asarray(np.isnan(x).any(axis=1), np.bool_), f"without {' or '.join(named)}")
    require(frame, numeric)
    others = {name: numbers(frame, name) for name in numeric}
    for name, values in others.items():
        sieve.need(~np.isnan(values), f"without {name}")
    known = sieve.keep
    read = EventData(
        times[known],
        flag[known] == 1.0,
        group[known],
        arms,
        stratum[known],
        called,
        np.ascontiguousarray(x[known]),
        names,
        np.flatnonzero(known),
        sieve.left_out,
        nw.get_native_namespace(frame),
    )
    return read, {name: values[known] for name, values in others.items()}
