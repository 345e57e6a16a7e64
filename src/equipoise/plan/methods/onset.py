"""Time to the first onset of an event in a plan: from records of events and the end of follow-up, then survival."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import polars as pl
from pydantic import Field

from equipoise.errors import DataError
from equipoise.plan.methods import survival
from equipoise.plan.methods.registry import Found, Method
from equipoise.plan.methods.survival import SurvivalSection
from equipoise.plan.parts import Section
from equipoise.plan.prepared import Prepared
from equipoise.plan.results import Block


class OnsetSection(Section):
    """The first record of each subject (ADAE), at ``time``; who has none is censored at ``follow_up``, of the subjects.

    Then Kaplan-Meier by arm, the ``test`` and the Cox model with ``strata`` and ``covariates``, as ``survival``. An
    event after ``follow_up`` is none.
    """

    ESTIMATES = "survival"

    method: Literal["onset"]
    time: str = "ASTDY"
    follow_up: str = "TRTDURD"
    strata: tuple[str, ...] = ()
    covariates: tuple[str, ...] = ()
    at: tuple[float, ...] = ()
    level: float = Field(default=0.95, gt=0, lt=1)
    test: Literal["log-rank", "max-combo"] | None = "log-rank"
    firth: bool = False
    unit: str = "days"


@dataclass(frozen=True)
class _Derived:
    """The records that were made, the analysis of them, and what is to be said."""

    context: Prepared
    section: SurvivalSection
    found: Found
    notes: tuple[str, ...]


def estimates(context: Prepared, section: OnsetSection) -> Found:
    """The numbers of ``survival`` of the time to the first record.

    Raises
    ------
    DataError : a variable is not there or no number.
    """
    frame, people, what = context.chosen(section.where), context.population, f"analysis {context.analysis.id}"
    context.need(frame, section.time, numeric=True)
    for name in (section.follow_up, *section.strata, *section.covariates):
        if name not in people.columns:
            raise DataError(f"{what}: subjects have no variable {name}", hint="see gather: and the variables of ADSL")
    if not people.schema[section.follow_up].is_numeric():
        raise DataError(f"{what}: {section.follow_up} is {people.schema[section.follow_up]}", hint="it is a time")
    first = (
        frame.drop_nulls(section.time)
        .group_by("USUBJID")
        .agg(pl.col(section.time).min().cast(pl.Float64).alias("__at__"))
    )
    end = pl.col(section.follow_up).cast(pl.Float64)
    made = people.join(first, on="USUBJID", how="left", maintain_order="left").with_columns(
        pl.when(pl.col("__at__") <= end).then(pl.col("__at__")).otherwise(end).alias("AVAL"),
        pl.when(pl.col("__at__") <= end).then(0.0).otherwise(1.0).alias("CNSR"),
    )
    early = made.filter(pl.col("AVAL") < 0.0).height
    made = made.with_columns(pl.when(pl.col("AVAL") < 0.0).then(0.0).otherwise(pl.col("AVAL")).alias("AVAL"))
    late = made.filter(pl.col("__at__") > end).height
    notes = [f"{early} first events before the start count at 0."] if early else []
    notes += (
        [f"{late} subjects have their first event after {section.follow_up}, where they are censored."] if late else []
    )
    undated = frame[section.time].null_count()
    notes += [f"{undated} events without {section.time} are left out."] if undated else []
    derived = replace(context, records=made)
    inner = SurvivalSection(
        method="survival",
        label=section.label or "Time to first onset",
        strata=section.strata,
        covariates=section.covariates,
        at=section.at,
        level=section.level,
        test=section.test,
        firth=section.firth,
        unit=section.unit,
        figure=section.figure,
        note=section.note,
    )
    found = survival.estimates(derived, inner)
    return Found(found.numbers, _Derived(derived, inner, found, tuple(notes)))


def lines(context: Prepared, section: OnsetSection, found: Found) -> Block:
    """The lines of ``survival`` of the time to the first record."""
    made: _Derived = found.parts
    block = survival.lines(made.context, made.section, made.found)
    told = f"first record at {section.time}, followed to {section.follow_up}; {block.description}"
    return replace(block, method="onset", variable=section.time, description=told, notes=(*block.notes, *made.notes))


METHODS = (
    Method(
        "onset", OnsetSection, estimates, lines, "Time to first onset", noted=True, by_line=True, tests=survival.TESTS
    ),
)
