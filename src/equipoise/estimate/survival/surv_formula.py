"""The left-hand side of a survival formula: ``Surv(time, event) ~ ...`` and ``Surv(start, stop, event) ~ ...``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np

from equipoise.estimate.columns import codes_of
from equipoise.estimate.formula import FormulaError, ModelFormula, read
from equipoise.estimate.formula.terms import SURV_HINT
from equipoise.estimate.frames import kept_rows, read_frame, refuse, require
from equipoise.estimate.indicators import events_of, tied_times, times_of
from equipoise.estimate.left_out import LeftOut, Sieve
from equipoise.types import BoolArray, FloatArray, IntArray

HINT = SURV_HINT


@dataclass(frozen=True, eq=False)
class SurvData:
    """The rows that have a time, an event indicator and their strata, and the terms of the right-hand side.

    time, event, stratum : (row,); entry : (row,) or None where everyone is under observation from the start.
    stratum : codes into ``stratum_labels``. cluster : the columns of ``cluster(...)``. row : (row,) where they stand in
    the frame that came in; left_out : how many rows take no part, and why. frame : these rows.
    """

    entry: FloatArray | None
    time: FloatArray
    event: BoolArray
    stratum: IntArray
    strata: tuple[str, ...]
    stratum_labels: tuple[str, ...]
    cluster: tuple[str, ...]
    model: ModelFormula
    row: IntArray
    left_out: LeftOut
    frame: nw.DataFrame[Any]
    everything: nw.DataFrame[Any]


def combined(frame: nw.DataFrame[Any], names: Sequence[str]) -> tuple[IntArray, tuple[str, ...]]:
    """(row,) codes of the combinations of the columns ``names`` that occur, -1 where one is missing, and what they
    are called.
    """
    code, known, called = np.zeros(len(frame), np.int64), np.ones(len(frame), np.bool_), [""]
    for name in names:
        own, levels = codes_of(frame, name)
        known &= own >= 0
        code = code * max(len(levels), 1) + np.maximum(own, 0)
        called = [f"{c}, {name}={level}" if c else f"{name}={level}" for c in called for level in levels]
    if not names:
        return code, ("",) if len(frame) else ()
    used, again = np.unique(code[known], return_inverse=True)
    code[known] = again
    return np.where(known, code, -1), tuple(called[u] for u in used)


def surv_model(formula: Any) -> ModelFormula:
    """Read a formula with a ``Surv(...)`` on the left; what a model of hazards does not take is refused.

    Raises :class:`EstimationError` with the place and how to mend it.
    """
    model = read(formula)
    if model.survival is None:
        raise FormulaError("the left-hand side is not Surv(...)", model.text, 0, hint=HINT)
    model.refuse(
        covariance="cluster(USUBJID) gives a variance that is robust to rows of one patient",
        random="frailty is not offered; cluster(USUBJID) gives a variance that is robust to rows of one patient",
        offset="offsets are not taken by analyses of times to an event; put the column among the terms",
    )
    return model


def read_surv(formula: str, data: Any) -> SurvData:
    """Read the response and the strata of ``formula`` from a data frame.

    Rows without a time, an event indicator or a stratum take no part. Times that differ by rounding alone are tied.

    Raises
    ------
    EstimationError : the formula cannot be read. DataError : a column is absent, a time is negative or infinite, an
    entry is not before its time, an indicator is neither 0 nor 1; with the row.
    """
    model = surv_model(formula)
    assert model.survival is not None
    named, flipped = model.survival.columns, model.survival.censoring
    frame = read_frame(data)
    time_name, event_name = named[-2], named[-1]
    entry_name = named[0] if len(named) == 3 else None
    require(frame, [*named, *model.strata, *model.cluster])
    time = times_of(frame, time_name)
    flag = events_of(frame, None if flipped else event_name, event_name if flipped else None)
    sieve = Sieve(len(frame))
    sieve.need(~np.isnan(time), f"without {time_name}")
    sieve.need(~np.isnan(flag), f"without {event_name}")
    entry = times_of(frame, entry_name) if entry_name else None
    if entry is not None:
        refuse(entry >= time, f"{entry_name!r} is not before {time_name!r}", "a row is at risk in (start, stop]")
        sieve.need(~np.isnan(entry), f"without {entry_name}")
    code, called = combined(frame, model.strata)
    sieve.need(code >= 0, f"without {' or '.join(model.strata)}")
    known = sieve.keep
    if known.any():
        if entry is None:
            (time,) = tied_times(time)
        else:
            entry, time = tied_times(entry, time)
            refuse(entry >= time, f"{entry_name!r} and {time_name!r} differ by rounding alone", "mend or leave it out")
    event = flag == 1.0
    return SurvData(
        None if entry is None else entry[known],
        time[known],
        event[known],
        code[known],
        model.strata,
        called,
        model.cluster,
        model,
        np.flatnonzero(known),
        sieve.left_out,
        frame if known.all() else kept_rows(frame, known),
        frame,
    )
