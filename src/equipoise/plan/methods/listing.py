"""Listings in a plan: records as they are, chosen, ordered, in the columns that are asked for."""

from __future__ import annotations

import datetime as dt
from typing import Any, Literal

import polars as pl
from pydantic import Field, field_validator

from equipoise.errors import DataError
from equipoise.estimate.result import Estimate
from equipoise.plan.methods.registry import Found, Method, Place
from equipoise.plan.parts import Section
from equipoise.plan.prepared import Prepared
from equipoise.plan.results import Block, Cell, Column, Row, rounded


class ListingSection(Section):
    """Records of any data set, one a line.

    show : variables in their order, or each with its heading, ``{USUBJID: Subject, AEDECOD: Event}``; the first
    heads the line. order : variables to sort by, ``-ASTDY`` for the last first. decimals : of numbers that are not
    whole. Subjects are those of the population, in all arms of the plan.
    """

    method: Literal["listing"]
    show: tuple[str, ...] | dict[str, str] = Field(min_length=2)
    order: tuple[str, ...] = ("USUBJID",)
    decimals: int | None = Field(default=None, ge=0, le=10)

    READS_ALL = True

    @field_validator("show")
    @classmethod
    def _once(cls, show: tuple[str, ...] | dict[str, str]) -> tuple[str, ...] | dict[str, str]:
        if len(set(show)) < len(show):
            raise ValueError("a variable is listed twice")
        return show

    @property
    def headings(self) -> dict[str, str]:
        """Variable -> heading."""
        return dict(self.show) if isinstance(self.show, dict) else {name: name for name in self.show}

    def columns(self) -> tuple[Column, ...]:
        """A column a variable, after the first."""
        return tuple(Column(name, label, None, text=True) for name, label in list(self.headings.items())[1:])


def estimates(context: Prepared, section: ListingSection) -> Found:
    """How many records and subjects there are; the records in their order are what is written.

    Raises
    ------
    DataError : a variable is not there.
    """
    frame = context.chosen(section.where)
    by = [name.removeprefix("-") for name in section.order]
    for name in (*section.headings, *by):
        if name not in frame.columns:
            raise DataError(
                f"analysis {context.analysis.id}: there is no variable {name} in {context.analysis.dataset}",
                hint="there are " + ", ".join(frame.columns[:60]),
            )
    down = [name.startswith("-") for name in section.order]
    people = frame["USUBJID"].n_unique()
    numbers = {
        Place("records"): Estimate.of_count("records", frame.height, people),
        Place("patients"): Estimate.of_count("patients", people, people),
    }
    return Found(numbers, frame.sort(by, descending=down, nulls_last=True, maintain_order=True) if by else frame)


def lines(context: Prepared, section: ListingSection, found: Found) -> Block:
    """A line a record."""
    frame: pl.DataFrame = found.parts
    first, *rest = section.headings
    rows = tuple(
        Row(
            _written(row[first], section.decimals), {name: Cell(_written(row[name], section.decimals)) for name in rest}
        )
        for row in frame.select(list(section.headings)).iter_rows(named=True)
    )
    told = f"{frame.height} records of {frame['USUBJID'].n_unique()} subjects"
    nothing = () if rows else ("No record is to be listed.",)
    return Block(
        section.label or section.headings[first],
        "listing",
        context.analysis.dataset,
        None,
        rows,
        description=told,
        notes=(
            *nothing,
            f"{told}, in the order of {', '.join(section.order)}." if section.order else f"{told}.",
            *((section.note,) if section.note else ()),
        ),
    )


def _written(value: Any, decimals: int | None) -> str:
    """A value as a listing shows it; missing is empty."""
    if value is None:
        return ""
    if isinstance(value, float):
        if value == round(value):
            return f"{value:.0f}"
        return f"{value:.10g}" if decimals is None else rounded(value, decimals)
    return value.isoformat() if isinstance(value, dt.date | dt.datetime | dt.time) else str(value)


METHODS = (Method("listing", ListingSection, estimates, lines, "Listing of records", by_line=True),)
