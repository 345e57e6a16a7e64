"""Adverse events in a plan: subjects by class and term, by severity or relation, with events and risk differences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import polars as pl
from pydantic import Field, model_validator

from equipoise.errors import DataError
from equipoise.estimate.result import Estimate
from equipoise.plan.methods.arm_shares import FISHER, ArmShares, against_control
from equipoise.plan.methods.described import arm_of, counted, sizes
from equipoise.plan.methods.estimates import percentage
from equipoise.plan.methods.registry import Found, Method, Place, Test
from equipoise.plan.ordering import levels_in_order
from equipoise.plan.prepared import AGAINST, DIFFERENCE, Prepared
from equipoise.plan.results import Block, Cell, Row, cell_of, share_of


class IncidenceSection(ArmShares):
    """Subjects with at least one event by term (ADAE), the commonest first, those below ``at_least`` % left out.

    within : the class that a term belongs to (AEBODSYS), whose subjects stand above its terms. by : a variable of the
    records (AESEV, AEREL) of which every subject has the last that occurs, in the order of ``levels``: the worst
    severity. events : the number of events beside the subjects. difference : limits of the difference in risk of each
    other arm against control. order : of classes and terms.
    """

    method: Literal["incidence"]
    variable: str = "AEDECOD"
    within: str | None = None
    by: str | None = None
    levels: tuple[str, ...] | None = None
    events: bool = False
    any_label: str | None = "Any adverse event"
    at_least: float = Field(default=5.0, ge=0, le=100)
    order: Literal["frequency", "alphabetical"] = "frequency"
    test: Literal["fisher"] | None = "fisher"

    @model_validator(mode="after")
    def _statistics(self) -> IncidenceSection:
        if self.within is not None and self.within == self.variable:
            raise ValueError(f"within and variable are the same, {self.within}")
        if self.levels is not None and self.by is None:
            raise ValueError("levels: needs by:, the variable whose levels they are")
        return self


@dataclass(frozen=True)
class _Term:
    """One line: subjects and events by column, Fisher's p-value and the difference in risk of each other arm."""

    label: str
    variable: str
    level: str | None
    counts: Mapping[str, int]
    events: Mapping[str, int]
    p: Mapping[str, float]
    differences: Mapping[str, Estimate]
    indent: int


def estimates(context: Prepared, section: IncidenceSection) -> Found:
    """Subjects with at least one event, by class, term and severity; each other arm against control.

    Raises
    ------
    DataError : a variable is not there, or ``levels`` lacks one that occurs.
    """
    frame = context.chosen(section.where)
    for name in (section.variable, section.within, section.by):
        if name is not None:
            context.need(frame, name)
    size = sizes(context)
    known = frame.filter(pl.col(section.variable).is_not_null())
    made: list[_Term] = []
    if section.any_label:
        made += _with_levels(context, section, section.any_label, section.variable, None, frame, 0)
    if section.within is None:
        made += _terms(context, section, known, 1, "")
    else:
        for name in _ordered(context, section, known, section.within):
            inside = known.filter(pl.col(section.within) == name)
            terms = _terms(context, section, inside, 2, name)
            if terms:
                made += _with_levels(context, section, str(name), section.within, str(name), inside, 1)
                made += terms
    out: dict[Place, Estimate] = {}
    for one in made:
        out |= counted("patients", one.counts, size, one.variable, one.level)
        for column, n in one.events.items():
            place = Place("events", arm_of(column), variable=one.variable, level=one.level)
            out[place] = Estimate.of_count(f"events, {one.label}, {column}", n, size[column])
        for arm, p in one.p.items():
            n = size[arm] + size[context.plan.treatment.reference]
            place = Place("fisher", arm, variable=one.variable, level=one.level)
            out[place] = Estimate.of_test(f"{one.label}, {arm}", FISHER, p, n)
        for arm, e in one.differences.items():
            out[Place("risk_difference", arm, variable=one.variable, level=one.level)] = e
    return Found(out, tuple(made))


def _ordered(context: Prepared, section: IncidenceSection, frame: pl.DataFrame, variable: str) -> list[str]:
    """The values of a variable in the order of the section; those that are rare in every arm are left out later."""
    arms = pl.col(context.treatment).is_in(list(context.arms))
    people = frame.filter(arms).drop_nulls(variable).unique(["USUBJID", variable]).group_by(variable).len("__n__")
    found = people.sort(["__n__", variable], descending=[True, False])[variable].to_list()
    return sorted(found) if section.order == "alphabetical" else found


def _terms(context: Prepared, section: IncidenceSection, frame: pl.DataFrame, indent: int, inside: str) -> list[_Term]:
    size, out = sizes(context), []
    twice = set()
    if section.within is not None:  # a term of two classes has the class in its key
        pairs = context.chosen(section.where).unique([section.within, section.variable])
        twice = set(pairs.filter(pl.col(section.variable).is_duplicated())[section.variable].to_list())
    for term in _ordered(context, section, frame, section.variable):
        part = frame.filter(pl.col(section.variable) == term)
        own = _subjects(context, part)
        share = max(100.0 * own[arm] / size[arm] if size[arm] else 0.0 for arm in context.arms)
        if share >= section.at_least:
            level = f"{inside}: {term}" if term in twice else str(term)
            out += _with_levels(context, section, str(term), section.variable, level, part, indent)
    return out


def _with_levels(
    context: Prepared,
    section: IncidenceSection,
    label: str,
    variable: str,
    level: str | None,
    part: pl.DataFrame,
    indent: int,
) -> list[_Term]:
    """The line of a term, and below it those of the levels of ``by``: each subject under the last that occurs."""
    out = [_term(context, section, label, variable, level, part, indent)]
    if section.by is None:
        return out
    there = levels_in_order(context.records, section.by)
    order = [str(v) for v in section.levels or there]
    absent = [v for v in there if str(v) not in order]
    if absent:
        raise DataError(
            f"analysis {context.analysis.id}: levels lacks {absent[0]!r} of {section.by}",
            hint="list all in their order: " + ", ".join(map(str, there)),
        )
    grade = pl.col(section.by).cast(pl.String).cast(pl.Enum(order))
    ranked = part.drop_nulls(section.by).with_columns(grade.alias("__grade__"))
    worst = ranked.sort("__grade__", maintain_order=True).group_by("USUBJID", maintain_order=True).last()
    for one in order:
        name = f"{level}: {one}" if level is not None else one
        own = worst.filter(pl.col("__grade__") == one)
        every = ranked.filter(pl.col("__grade__") == one)
        line = _term(context, section, one, variable, name, own, indent + 1, tested=False)
        events = {c: context.of(every, c).height for c in line.events}
        out.append(_Term(one, variable, name, line.counts, events, {}, {}, indent + 1))
    return out


def _subjects(context: Prepared, frame: pl.DataFrame) -> dict[str, int]:
    return {c: context.of(frame, c)["USUBJID"].n_unique() if frame.height else 0 for c in context.counted()}


def _term(
    context: Prepared,
    section: IncidenceSection,
    label: str,
    variable: str,
    level: str | None,
    part: pl.DataFrame,
    indent: int,
    *,
    tested: bool = True,
) -> _Term:
    counts, size = _subjects(context, part), sizes(context)
    events = {c: context.of(part, c).height for c in counts} if section.events else {}
    p, differences = against_control(context, section, counts, size) if tested else ({}, {})
    return _Term(label, variable, level, counts, events, p, differences, indent)


def lines(context: Prepared, section: IncidenceSection, found: Found) -> Block:
    """Subjects with at least one event, by class, term and severity."""
    size, rows = sizes(context), []
    for one in found.parts:
        cells = {c: _counted(n, size[c], one.events.get(c), section.decimals) for c, n in one.counts.items()}
        cells |= {f"{AGAINST}{arm}": cell_of(section.test_show, {"p": p}) for arm, p in one.p.items()}
        cells |= {f"{DIFFERENCE}{arm}": percentage(e) for arm, e in one.differences.items()}
        rows.append(Row(one.label, cells, indent=one.indent))
    control = context.plan.treatment.reference
    told = "subjects with at least one event" + (" [events]" if section.events else "")
    told += f", by {section.by}, each at the last of {', '.join(_order(context, section))}" if section.by else ""
    told += section.told(control)
    return Block(
        section.label or "Adverse events",
        "incidence",
        context.analysis.dataset,
        section.variable,
        tuple(rows),
        description=told,
        notes=(
            *((section.note,) if section.note else ()),
            *((f"Terms in fewer than {section.at_least:g}% of every arm are not shown.",) if section.at_least else ()),
        ),
    )


def _order(context: Prepared, section: IncidenceSection) -> list[str]:
    return [str(v) for v in section.levels or levels_in_order(context.records, str(section.by))]


def _counted(n: int, of: int, events: int | None, decimals: int) -> Cell:
    """Subjects with their percentage, and the events in brackets where they are counted."""
    plain = share_of(n, of, decimals)
    if events is None:
        return plain
    text = f"{plain.text} [{events}]"
    return Cell(text, {**plain.values, "events": float(events)}, {**plain.shown, "events": str(events)})


METHODS = (
    Method(
        "incidence",
        IncidenceSection,
        estimates,
        lines,
        "Subjects with at least one event by group",
        by_line=True,
        tests=(Test("risk_difference", "less"), Test("fisher", None)),
    ),
)
