"""One answer of yes or no a patient, by a rule over the records, as every method of such answers reads it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import polars as pl
from pydantic import Field, field_validator

from equipoise.errors import DataError
from equipoise.plan.parts import Section, Where, condition
from equipoise.plan.prepared import Prepared, in_order

RESPONSE = "RESPONSE__"
"""The column that is 1 for a response and 0 for none."""


class ResponseSection(Section):
    """``response``: the conditions under which a record is a response, ``{CHG: {ge: -3}}``, written as ``where``.

    A patient whose record lacks a variable of the conditions, or who has no record, is ``left out`` or counts as
    ``no response``, as ``missing`` says.
    """

    response: Where
    missing: Literal["left out", "no response"] = "left out"
    level: float = Field(default=0.95, gt=0, lt=1)

    @field_validator("response")
    @classmethod
    def _response(cls, response: Where) -> Where:
        if not response:
            raise ValueError("response needs a condition, such as {CHG: {ge: -3}}")
        return response

    def does(self) -> dict[str, str]:
        """What ``missing`` does to who left or died, unless ``handles`` says more."""
        own = "fixed" if self.missing == "no response" else "absent"
        return {**({"withdrawal": own} if self.estimand is not None else {}), **self.handles}


def one_record(context: Prepared, where: Where, needed: Sequence[str], more: Sequence[str] = ()) -> pl.DataFrame:
    """One row a patient of the population, in its order: arm, ``needed`` of the records, ``more`` of either.

    Who has no record has nothing in ``needed``.

    Raises
    ------
    DataError : a variable is not there, or a patient has more than one record.
    """
    frame = context.chosen(where)
    for name in ("USUBJID", *needed):
        context.need(frame, name)
    for name in more:
        if name not in context.population.columns:
            context.need(frame, name)
    doubled = frame.filter(pl.col("USUBJID").is_duplicated())
    if doubled.height:
        raise DataError(
            f"analysis {context.analysis.id}: {doubled['USUBJID'][0]} has more than one record",
            hint="choose one by where:, such as {AVISITN: 28}",
        )
    own = dict.fromkeys(["USUBJID", context.treatment, *(n for n in more if n in context.population.columns)])
    rest = [n for n in dict.fromkeys([*needed, *more]) if n not in own]
    people = context.population.select(list(own))
    joined = people.join(frame.select("USUBJID", *rest), on="USUBJID", how="left", maintain_order="left")
    return in_order(context, joined)


def answered(context: Prepared, section: Any, more: Sequence[str] = ()) -> pl.DataFrame:
    """One row a patient of the population: arm, ``more``, and :data:`RESPONSE`, missing where nothing tells.

    Raises :class:`DataError` as :func:`one_record` does.
    """
    data = one_record(context, section.where, list(section.response), more)
    return flagged(data, section.response, section.missing, f"analysis {context.analysis.id}")


def flagged(data: pl.DataFrame, response: Where, missing: str, what: str) -> pl.DataFrame:
    """``data`` with the column :data:`RESPONSE` of the conditions ``response``."""
    known = pl.all_horizontal([pl.col(name).is_not_null() for name in response])
    flag = pl.when(known).then(condition(response, data, what).cast(pl.Float64))
    return data.with_columns((flag.otherwise(0.0) if missing == "no response" else flag).alias(RESPONSE))


def said(response: Where) -> str:
    """The conditions in words.

    >>> said({"CHG": {"ge": -3}, "ONTRTFL": "Y"})
    'CHG >= -3 and ONTRTFL is Y'
    """
    signs = {"gt": ">", "ge": ">=", "lt": "<", "le": "<=", "eq": "is", "ne": "is not", "not": "is not", "in": "in"}
    parts = []
    for name, wanted in response.items():
        tests = wanted if isinstance(wanted, dict) else {"in": wanted} if isinstance(wanted, list) else {"eq": wanted}
        for sign, value in tests.items():
            shown = ", ".join(map(str, value)) if isinstance(value, list) else value
            parts.append(f"{name} {signs[sign]} {shown}")
    return " and ".join(parts)


def unknown(context: Prepared, data: pl.DataFrame, missing: str) -> tuple[str, ...]:
    """The note on patients whose answer is not known, or was taken as no; none where all are."""
    n = data[RESPONSE].null_count()
    if not n:
        return ()
    return (f"{n} of {data.height} subjects without an answer are left out.",) if missing == "left out" else ()
