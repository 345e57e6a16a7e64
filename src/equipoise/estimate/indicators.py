"""Times, flags and events in the columns of a data frame: the one reading of an indicator, and ties by rounding."""

from __future__ import annotations

from typing import Any

import narwhals.stable.v2 as nw
import numpy as np

from equipoise.errors import EstimationError
from equipoise.estimate.columns import numbers
from equipoise.estimate.frames import refuse, require
from equipoise.types import BoolArray, FloatArray


def times_of(frame: nw.DataFrame[Any], name: str) -> FloatArray:
    """Column ``name`` as times, missing ones NaN; raises :class:`DataError` for a negative one."""
    values = numbers(frame, name)
    refuse(values < 0.0, f"{name!r} is negative", "times count from randomisation or first dose")
    return values


def flags_of(frame: nw.DataFrame[Any], name: str, where: BoolArray | None = None) -> FloatArray:
    """Column ``name`` as 0 and 1, missing ones NaN; raises :class:`DataError` for anything else (in the rows
    ``where``).
    """
    values = numbers(frame, name)
    bad = ~np.isnan(values) & (values != 0.0) & (values != 1.0)
    refuse(
        bad if where is None else bad & where,
        f"{name!r} holds values other than 0 and 1",
        "code yes or an event as 1 (or True), no or censoring as 0",
    )
    return values


_EVENT_HINTS = (
    "code yes or an event as 1 (or True), no or censoring as 0",
    "as in ADaM, 0 is an event and 1, 2 ... are reasons of censoring",
)


def read_flags(values: FloatArray, censor: bool) -> tuple[FloatArray, BoolArray, str]:
    """The one reading of an indicator (row,): 1 for an event, 0 for censoring, NaN where missing; which rows cannot be
    read; and how to mend them.

    An event indicator is 1 or 0. A censoring flag (``censor``) is that of ADaM: 0 for an event and any whole number
    above it, a reason of censoring, for no event.
    """
    missing = np.isnan(values)
    if censor:
        flag = (values == 0.0).astype(np.float64)
        bad = ~missing & ((values < 0.0) | (values != np.floor(values)))
    else:
        flag = (values == 1.0).astype(np.float64)
        bad = ~missing & (values != 0.0) & (values != 1.0)
    flag[missing] = np.nan
    return flag, bad, _EVENT_HINTS[censor]


def one_indicator(event: str | None, censor: str | None, what: str = "") -> str:
    """The column that says who had the event; raises :class:`EstimationError` unless one of the two is named."""
    if (event is None) == (censor is None):
        raise EstimationError(
            what + "give either event or censor",
            hint="censor names a column with 0 for an event, as in ADaM, event one with 1",
        )
    return event or censor or ""


def events_of(
    frame: nw.DataFrame[Any], event: str | None, censor: str | None, where: BoolArray | None = None
) -> FloatArray:
    """1 for an event, 0 for censoring, NaN for unknown, from column ``event`` or column ``censor``, of which one is
    named (see :func:`read_flags`).

    Raises
    ------
    DataError : no such column, or (in the rows ``where``) it holds something else. EstimationError : both or neither
    are named.
    """
    name = one_indicator(event, censor)
    require(frame, [name])
    flag, bad, hint = read_flags(numbers(frame, name), censor is not None)
    what = f"{name!r} is not a censoring flag" if censor else f"{name!r} holds values other than 0 and 1"
    refuse(bad if where is None else bad & where, what, hint)
    return flag


def tied_times(*times: FloatArray) -> tuple[FloatArray, ...]:
    """``times`` with those made equal that differ by rounding alone: by less than 1.5e-8, absolutely or relative to
    the mean time, as R's ``aeqSurv`` does.
    """
    distinct = np.unique(np.concatenate(times))
    distinct = distinct[~np.isnan(distinct)]
    if len(distinct) < 2:
        return times
    tolerance = np.sqrt(np.finfo(np.float64).eps)
    near = np.diff(distinct) <= tolerance * max(1.0, float(np.mean(np.abs(distinct))))
    if not near.any():
        return times
    kept = distinct[np.concatenate([[True], ~near])]
    return tuple(np.where(np.isnan(t), t, kept[np.searchsorted(kept, t, side="right") - 1]) for t in times)
