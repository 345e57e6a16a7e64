"""Records of a time to an event, as every method of such times reads them."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from equipoise.errors import DataError
from equipoise.estimate.frames import read_frame
from equipoise.estimate.indicators import events_of
from equipoise.estimate.left_out import Sieve
from equipoise.plan.parts import Where
from equipoise.plan.prepared import Prepared, in_order

EVENT = "EVENT__"
"""The column that is 1 for an event."""


def event_data(
    context: Prepared,
    where: Where,
    time: str,
    censor: str,
    more: Sequence[str] = (),
    *,
    numeric: bool = True,
    start: str | None = None,
) -> pl.DataFrame:
    """One complete record a patient: arm in the plan's order, time, censoring, ``more``, and 1 for an event.

    With ``start`` there may be several, each an interval (start, time], and who the patient is stays with them.

    Raises
    ------
    DataError : a variable is not there or no number, a patient has more than one record, or intervals overlap.
    """
    frame = context.chosen(where)
    if start is not None:
        context.need(frame, start, numeric=True)
        more = (*more, "USUBJID", start)
    context.need(frame, time, numeric=True)
    context.need(frame, censor, numeric=numeric)
    for name in (*more, "USUBJID"):
        context.need(frame, name)
    doubled = frame.filter(pl.col("USUBJID").is_duplicated())
    if doubled.height and start is None:
        raise DataError(
            f"analysis {context.analysis.id}: {doubled['USUBJID'][0]} has more than one record",
            hint="see where: in the plan; survival takes several with start:",
        )
    names = [context.treatment, time, censor, *more, "USUBJID"]
    data = in_order(context, frame.select(list(dict.fromkeys(names))).drop_nulls())
    if not numeric:
        return data
    flag = events_of(read_frame(data), None, censor)
    data = data.with_columns(pl.Series(EVENT, flag == 1.0).cast(pl.Int64))
    if start is not None:
        _intervals(context, data, start, time)
    return data


def _intervals(context: Prepared, data: pl.DataFrame, start: str, time: str) -> None:
    """Raise :class:`DataError` where intervals of a patient overlap, or an event is not the end of the last."""
    what = f"analysis {context.analysis.id}"
    ordered = data.sort("USUBJID", start, maintain_order=True)
    empty = ordered.filter(pl.col(start) >= pl.col(time))
    if empty.height:
        raise DataError(f"{what}: {empty['USUBJID'][0]}: {start} is not before {time}", hint="see its records")
    before = ordered.select(
        "USUBJID",
        start,
        pl.col(time).shift(1).over("USUBJID").alias("__end__"),
        pl.col(EVENT).shift(1).over("USUBJID").alias("__event__"),
    )
    over = before.filter(pl.col(start) < pl.col("__end__"))
    if over.height:
        raise DataError(f"{what}: intervals of {over['USUBJID'][0]} overlap", hint=f"see {start} and {time}")
    after = before.filter(pl.col("__event__") == 1)
    if after.height:
        raise DataError(
            f"{what}: {after['USUBJID'][0]} is followed after an event", hint="one event a patient, in the last record"
        )


def left_out(context: Prepared, where: Where, *names: str) -> tuple[str, ...]:
    """The note on the records that lack one of ``names`` and take no part; none where all have all."""
    frame = context.chosen(where)
    sieve = Sieve(frame.height)
    for name in names:
        if name in frame.columns:
            sieve.need(frame[name].is_not_null().to_numpy(), f"without {name}")
    return (sieve.left_out.to_sentence("record"),) if sieve.left_out else ()


def unit_of(context: Prepared, given: str | None) -> str:
    """The unit of the times: as given, or as AVALU says, or just times."""
    if given is not None or "AVALU" not in context.records.columns:
        return given or "time"
    found = context.records["AVALU"].drop_nulls().unique().to_list()
    return str(found[0]).lower() if len(found) == 1 else "time"
