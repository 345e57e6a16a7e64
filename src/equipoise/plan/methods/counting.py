"""Numbers of events a patient and the time in which they were counted, as every method of counts reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl
from pydantic import Field, model_validator

from equipoise.errors import DataError
from equipoise.plan.methods.answers import flagged, one_record
from equipoise.plan.parts import Section, Where
from equipoise.plan.prepared import Prepared, in_order

COUNT, EXPOSURE = "COUNT__", "EXPOSURE__"


class CountSection(Section):
    """Events a patient: the records of the data set are counted, who has none having 0; or ``value`` holds the number,
    or ``event`` the conditions under which a patient's one record is an event, ``{CNSR: 0}``.

    exposure : the time under observation, a variable of the subjects (or of the one record). first : a variable of the
    records with the time of an event; then only whether, and up to when, there was none is counted.
    """

    value: str | None = None
    event: Where | None = None
    exposure: str | None = None
    first: str | None = None
    level: float = Field(default=0.95, gt=0, lt=1)

    @model_validator(mode="after")
    def _one_way(self) -> CountSection:
        given = [n for n in ("value", "event", "first") if getattr(self, n) is not None]
        if len(given) > 1:
            raise ValueError(f"{given[0]} and {given[1]} are two ways to count: give one")
        if self.first is not None and self.exposure is None:
            raise ValueError("first: needs exposure:, the end of follow-up of who has no event")
        return self


def counted_events(context: Prepared, section: Any, covariates: Sequence[str] = ()) -> pl.DataFrame:
    """One row a patient of the population: arm, ``covariates``, :data:`COUNT` and :data:`EXPOSURE` (1 without any).

    Raises
    ------
    DataError : a variable is not there or no number, or a patient has more than one record where one is needed.
    """
    what = f"analysis {context.analysis.id}"
    more = [*covariates, *([section.exposure] if section.exposure else [])]
    if section.value is not None or section.event is not None:
        needed = [section.value] if section.value is not None else list(section.event)
        if section.value is not None:
            context.need(context.records, section.value, numeric=True)
        data = one_record(context, section.where, needed, more)
        if section.value is not None:
            data = data.with_columns(pl.col(section.value).cast(pl.Float64).alias(COUNT))
        else:
            flags = flagged(data, section.event, "left out", what)
            data = flags.rename({"RESPONSE__": COUNT})
    else:
        frame = context.chosen(section.where)
        for name in more:
            if name not in context.population.columns:
                raise DataError(f"{what}: subjects have no variable {name}", hint="see gather: and ADSL")
        if section.first is not None:
            context.need(frame, section.first, numeric=True)
            times = frame.drop_nulls(section.first)
            own = times.group_by("USUBJID", maintain_order=True).agg(pl.col(section.first).min().alias("__first__"))
        else:
            own = frame.group_by("USUBJID", maintain_order=True).agg(pl.len().cast(pl.Float64).alias("__n__"))
        names = list(dict.fromkeys(["USUBJID", context.treatment, *more]))
        data = context.population.select(names).join(own, on="USUBJID", how="left", maintain_order="left")
        if section.first is not None:
            happened = pl.col("__first__").is_not_null() & (pl.col("__first__") <= pl.col(section.exposure))
            data = data.with_columns(
                happened.cast(pl.Float64).alias(COUNT),
                pl.when(happened).then(pl.col("__first__")).otherwise(pl.col(section.exposure)).alias(section.exposure),
            )
        else:
            data = data.with_columns(pl.col("__n__").fill_null(0.0).alias(COUNT))
        data = in_order(context, data)
    if section.exposure is None:
        return data.with_columns(pl.lit(1.0).alias(EXPOSURE))
    if not data.schema[section.exposure].is_numeric():
        raise DataError(f"{what}: {section.exposure} is {data.schema[section.exposure]}", hint="exposure is a number")
    return data.with_columns(pl.col(section.exposure).cast(pl.Float64).alias(EXPOSURE))


def said_events(section: CountSection) -> str:
    """What is counted, in words."""
    if section.value is not None:
        return section.value
    if section.event is not None:
        return "events"
    return "first events" if section.first is not None else "records"
