"""Repeated events in a plan: the rate ratio of Lin, Wei, Yang and Ying, and mean cumulative functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import polars as pl
from pydantic import Field

from equipoise.errors import DataError
from equipoise.estimate.formula import quoted
from equipoise.estimate.result import Estimate
from equipoise.estimate.survival.recurrent import Recurrent, intervals, limits_of
from equipoise.estimate.survival.recurrent import recurrent as compare
from equipoise.plan.methods.described import described
from equipoise.plan.methods.estimates import P, against, by_arm, reasons
from equipoise.plan.methods.registry import Found, Method, Place, Test
from equipoise.plan.methods.regressed import count_row
from equipoise.plan.parts import ComparedSection
from equipoise.plan.prepared import Prepared, compared, in_order
from equipoise.plan.results import Block


class RecurrentSection(ComparedSection):
    """Every record of the data set is an event at ``time``; subjects are followed from ``start`` to ``follow_up``.

    follow_up : a variable of the subjects, or by ``gather``. covariates, strata : theirs, too. at : times of the mean
    cumulative functions. Who has no record has no event.
    """

    ESTIMATES = "recurrent"

    method: Literal["recurrent"]
    time: str
    follow_up: str
    start: float = 0.0
    covariates: tuple[str, ...] = ()
    strata: tuple[str, ...] = ()
    at: tuple[float, ...] = ()
    ties: Literal["efron", "breslow"] = "efron"
    level: float = Field(default=0.95, gt=0, lt=1)


@dataclass(frozen=True)
class _Parts:
    made: Mapping[str, Recurrent]
    notes: tuple[str, ...]


def _rows(context: Prepared, section: RecurrentSection) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """A row for every interval of every subject, and what is to be said of events that do not count."""
    frame, people = context.chosen(section.where), context.population
    what = f"analysis {context.analysis.id}"
    context.need(frame, section.time, numeric=True)
    for name in (section.follow_up, *section.covariates, *section.strata):
        if name not in people.columns:
            raise DataError(f"{what}: subjects have no variable {name}", hint="see gather: and the variables of ADSL")
    if not people.schema[section.follow_up].is_numeric():
        raise DataError(f"{what}: {section.follow_up} is {people.schema[section.follow_up]}", hint="it is a time")
    known = people.drop_nulls(section.follow_up)
    times = {
        key[0]: part[section.time].cast(pl.Float64).to_list()
        for key, part in frame.drop_nulls(section.time).partition_by("USUBJID", as_dict=True).items()
    }
    ids, ends = known["USUBJID"].to_list(), known[section.follow_up].cast(pl.Float64).to_list()
    made = intervals([section.start] * len(ids), ends, [times.get(i, []) for i in ids])
    total, counted = sum(len(t) for t in times.values()), sum(e for *_, e in made)
    notes = [f"{people.height - known.height} subjects without {section.follow_up} are left out."]
    notes = notes if people.height > known.height else []
    missing = frame[section.time].null_count()
    if missing:
        notes.append(f"{missing} events without {section.time} are left out.")
    if total > counted:
        notes.append(
            f"{total - counted} events before the start, after the end of follow-up, or at one time are not counted."
        )
    rows = pl.DataFrame(
        [(ids[i], a, b, e) for i, a, b, e in made], schema=["USUBJID", "START__", "STOP__", "EVENT__"], orient="row"
    )
    names = list(dict.fromkeys(["USUBJID", context.treatment, *section.covariates, *section.strata]))
    return in_order(context, rows.join(known.select(names), on="USUBJID", how="left", maintain_order="left")), tuple(
        notes
    )


def estimates(context: Prepared, section: RecurrentSection) -> Found:
    """Events and exposure by arm, rate ratios robust and by model, mean numbers of events and their differences.

    Raises
    ------
    DataError : a variable is not there or no number.
    """
    data, notes = _rows(context, section)
    terms = [
        quoted(context.treatment),
        *map(quoted, section.covariates),
        *(f"strata({quoted(s)})" for s in section.strata),
    ]
    formula = "Surv(START__, STOP__, EVENT__) ~ " + " + ".join(terms)
    made: Mapping[str, Recurrent] = compared(
        context,
        data,
        lambda part: compare(formula, part, subject="USUBJID", at=section.at, ties=section.ties, level=section.level),
    )
    first = next(iter(made.values()))
    arms = {context.plan.treatment.reference: first.arms[0], **{a: m.arms[1] for a, m in made.items()}}
    out: dict[Place, Estimate] = {}
    for a, curve in arms.items():
        out[Place("patients", a)] = Estimate.of_count(f"patients, {a}", curve.patients, curve.patients)
        out[Place("events", a)] = Estimate.of_count(f"events, {a}", curve.events, curve.patients)
        out[Place("exposure", a)] = Estimate.of_count(f"exposure, {a}", curve.exposure, curve.patients)
        for t in section.at:
            mean, se = curve.at(t)
            values = (mean, se, *limits_of(mean, se, section.level))
            out[Place("mean_events", a, f"{t:g}")] = described(
                f"mean number of events by {t:g}, {a}",
                "mean cumulative function",
                values,
                curve.patients,
                level=section.level,
                scale="mean number of events",
            )
    out |= {Place("rate_ratio", a): m.rate_ratio for a, m in made.items()}
    out |= {Place("rate_ratio_by_model", a): m.andersen_gill for a, m in made.items()}
    for e in next(iter(made.values())).covariates:
        out[Place("rate_ratio", variable=e.term)] = e
    for k, t in enumerate(section.at):
        out |= {Place("mean_events_difference", a, f"{t:g}"): m.differences[k] for a, m in made.items()}
    return Found(out, _Parts(made, notes))


def lines(context: Prepared, section: RecurrentSection, found: Found) -> Block:
    """Events by arm, mean numbers at the times, rate ratios against control."""
    percent = f"{100 * section.level:g}%"
    shown = "{estimate:2} ({low:2}; {high:2})"
    rows = [
        count_row("n", {a: e.estimate for a, e in found.by_arm("patients").items()}),
        count_row("Events", {a: e.estimate for a, e in found.by_arm("events").items()}),
        count_row("Exposure", {a: round(e.estimate, 1) for a, e in found.by_arm("exposure").items()}),
    ]
    named: list[tuple[str, Estimate]] = []
    for t in section.at:
        rows.append(
            by_arm(f"Mean number of events by {t:g} ({percent} CI)", found.by_arm("mean_events", f"{t:g}"), shown)
        )
        each = found.by_arm("mean_events_difference", f"{t:g}")
        rows.append(against(context, f"Difference by {t:g} ({percent} CI)", each, shown))
        rows.append(against(context, f"p-value by {t:g}", each, P))
        named += [(f"by {t:g}", e) for e in each.values()]
    for quantity, label in (("rate_ratio", "Rate ratio, robust"), ("rate_ratio_by_model", "Rate ratio, by model")):
        each = found.by_arm(quantity)
        rows.append(against(context, f"{label} ({percent} CI)", each, shown))
        rows.append(against(context, f"p-value ({label.lower()})", each, P))
        named += [(label, e) for e in each.values()]
    adjusted = f", adjusted for {', '.join(section.covariates)}" if section.covariates else ""
    by = f", stratified by {', '.join(section.strata)}" if section.strata else ""
    return Block(
        section.label or "Repeated events",
        "recurrent",
        context.analysis.dataset,
        section.time,
        tuple(rows),
        description=f"Andersen-Gill model{adjusted}{by}, robust variance of Lin, Wei, Yang and Ying; against "
        f"{context.plan.treatment.reference}",
        notes=(*((section.note,) if section.note else ()), *reasons(named), *found.parts.notes),
    )


METHODS = (
    Method(
        "recurrent",
        RecurrentSection,
        estimates,
        lines,
        "Repeated events",
        noted=True,
        by_line=True,
        tests=(Test("rate_ratio", "less"), Test("rate_ratio_by_model", "less"), Test("mean_events_difference", "less")),
    ),
)
