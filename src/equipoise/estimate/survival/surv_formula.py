"""The left-hand side of a survival formula: ``Surv(time, event) ~ ...`` and ``Surv(start, stop, event) ~ ...``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np

from equipoise.errors import EstimationError
from equipoise.estimate.left_out import LeftOut, Sieve
from equipoise.estimate.panel import codes_of, events_of, kept_rows, read_frame, refuse, require, tied_times, times_of
from equipoise.types import BoolArray, FloatArray, IntArray

HINT = (
    "write Surv(time, event) ~ terms + strata(column), Surv(AVAL, 1 - CNSR) for an ADaM censoring flag, "
    "or Surv(start, stop, event) for late entry"
)
_SURV = re.compile(r"^\s*Surv\(((?:[^()`]|`[^`]*`)*)\)\s*~(.*)$", re.DOTALL)
_COLUMN = re.compile(r"^(1\s*-\s*)?(?:`([^`]+)`|([\w.]+))$")
_SPECIAL = {name: re.compile(rf"\+?\s*\b{name}\(([^()]*)\)") for name in ("strata", "cluster")}


@dataclass(frozen=True, eq=False)
class SurvData:
    """The rows that have a time, an event indicator and their strata, and the right-hand side without its strata.

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
    right: str
    row: IntArray
    left_out: LeftOut
    frame: nw.DataFrame[Any]
    everything: nw.DataFrame[Any]
    time_name: str


def _column(text: str, formula: str, flag: bool) -> tuple[str, bool]:
    match = _COLUMN.match(text.strip())
    if match is None or (match.group(1) and not flag):
        raise EstimationError(f"cannot read the formula {formula!r}", hint=HINT)
    return match.group(2) or match.group(3), bool(match.group(1))


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


def read_surv(formula: str, data: Any) -> SurvData:
    """Read the response and the strata of ``formula`` from a data frame.

    Rows without a time, an event indicator or a stratum take no part. Times that differ by rounding alone are tied.

    Raises
    ------
    EstimationError : the formula cannot be read. DataError : a column is absent, a time is negative or infinite, an
    entry is not before its time, an indicator is neither 0 nor 1; with the row.
    """
    match = _SURV.match(formula) if isinstance(formula, str) else None
    if match is None:
        raise EstimationError(f"cannot read the formula {formula!r}", hint=HINT)
    parts, right = match.group(1).split(","), match.group(2)
    if len(parts) not in (2, 3):
        raise EstimationError(f"cannot read the formula {formula!r}", hint=HINT)
    named = [_column(part, formula, part is parts[-1]) for part in parts]
    special = {}
    for kind, pattern in _SPECIAL.items():
        special[kind] = tuple(s.strip().strip("`") for found in pattern.findall(right) for s in found.split(","))
        right = pattern.sub("", right)
    right = right.strip().lstrip("+").strip() or "1"
    frame = read_frame(data)
    (time_name, _), (event_name, flipped) = named[-2], named[-1]
    entry_name = named[0][0] if len(named) == 3 else None
    require(frame, [*(name for name, _ in named), *special["strata"], *special["cluster"]])
    time = times_of(frame, time_name)
    flag = events_of(frame, None if flipped else event_name, event_name if flipped else None)
    sieve = Sieve(len(frame))
    sieve.need(~np.isnan(time), f"without {time_name}")
    sieve.need(~np.isnan(flag), f"without {event_name}")
    entry = times_of(frame, entry_name) if entry_name else None
    if entry is not None:
        refuse(entry >= time, f"{entry_name!r} is not before {time_name!r}", "a row is at risk in (start, stop]")
        sieve.need(~np.isnan(entry), f"without {entry_name}")
    code, called = combined(frame, special["strata"])
    sieve.need(code >= 0, f"without {' or '.join(special['strata'])}")
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
        special["strata"],
        called,
        special["cluster"],
        right,
        np.flatnonzero(known),
        sieve.left_out,
        frame if known.all() else kept_rows(frame, known),
        frame,
        time_name,
    )
