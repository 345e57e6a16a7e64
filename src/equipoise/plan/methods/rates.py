"""Exposure-adjusted incidence in a plan: events over the time under observation, compared without a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import polars as pl
from pydantic import Field

from equipoise.estimate.categorical.counts import Rates, rates
from equipoise.estimate.result import Estimate
from equipoise.plan.methods.counting import COUNT, EXPOSURE, CountSection, counted_events, said_events
from equipoise.plan.methods.described import described
from equipoise.plan.methods.estimates import P, against, by_arm, reasons
from equipoise.plan.methods.registry import Found, Method, Place, Test
from equipoise.plan.methods.regressed import count_row
from equipoise.plan.parts import ComparedSection
from equipoise.plan.prepared import Prepared, compared
from equipoise.plan.results import Block


class RatesSection(CountSection, ComparedSection):
    """Rates by arm, their differences and ratios against control, or of another pair by ``arm`` and ``versus``.

    per : the exposure that rates are given for, in ``unit``. interval : ``exact`` or ``wald``.
    """

    ESTIMATES = "rates"

    method: Literal["rates"]
    per: float = Field(default=100.0, gt=0)
    unit: str = "units of exposure"
    interval: Literal["exact", "wald"] = "exact"
    decimals: int = Field(default=2, ge=0, le=6)


def estimates(context: Prepared, section: RatesSection) -> Found:
    """Events, exposure and rate of each arm, difference and ratio of each other arm against control.

    Raises
    ------
    DataError : a variable is not there or no number.
    """
    data = counted_events(context, section)
    made: Mapping[str, Rates] = compared(
        context,
        data,
        lambda part: rates(
            part,
            events=COUNT,
            exposure=EXPOSURE,
            arm=context.treatment,
            control=context.plan.treatment.reference,
            per=section.per,
            interval=section.interval,
            level=section.level,
        ),
    )
    first = next(iter(made.values()))
    arms = {context.plan.treatment.reference: first.arms[0], **{a: m.arms[1] for a, m in made.items()}}
    out: dict[Place, Estimate] = {}
    for a, r in arms.items():
        out[Place("patients", a)] = Estimate.of_count(f"patients, {a}", r.n, r.n)
        out[Place("events", a)] = Estimate.of_count(f"events, {a}", r.events, r.n)
        out[Place("exposure", a)] = Estimate.of_count(f"exposure, {a}", r.exposure, r.n)
        values = (r.rate, float("nan"), r.low, r.high)
        out[Place("rate", a)] = described(f"rate, {a}", "exact", values, r.n, level=section.level, scale="rate")
    out |= {Place("rate_ratio", a): m.ratio for a, m in made.items()}
    out |= {Place("rate_difference", a): m.difference for a, m in made.items()}
    lost = data.filter(pl.any_horizontal(pl.col(COUNT, EXPOSURE).is_null())).height
    return Found(out, (f"{lost} of {data.height} subjects lack a value or exposure and are left out.",) if lost else ())


def lines(context: Prepared, section: RatesSection, found: Found) -> Block:
    """Events and exposure by arm, rates, differences and ratios against control."""
    percent, d = f"{100 * section.level:g}%", section.decimals
    shown = f"{{estimate:{d}}} ({{low:{d}}}; {{high:{d}}})"
    rows = [
        count_row("Events", {a: e.estimate for a, e in found.by_arm("events").items()}),
        count_row("Exposure", {a: round(e.estimate, 1) for a, e in found.by_arm("exposure").items()}),
        by_arm(f"Rate per {section.per:g} {section.unit} ({percent} CI)", found.by_arm("rate"), shown),
    ]
    named: list[tuple[str, Estimate]] = []
    for quantity, label in (("rate_difference", "Difference in rates"), ("rate_ratio", "Rate ratio")):
        each = found.by_arm(quantity)
        rows.append(against(context, f"{label} ({percent} CI)", each, shown))
        rows.append(against(context, f"p-value ({label.lower()})", each, P))
        named += [(label, e) for e in each.values()]
    return Block(
        section.label or "Exposure-adjusted incidence",
        "rates",
        context.analysis.dataset,
        section.value or next(iter(section.event or {}), None),
        tuple(rows),
        description=f"{said_events(section)} over exposure ({section.exposure}); {section.interval} limits; against "
        f"{context.plan.treatment.reference}",
        notes=(*((section.note,) if section.note else ()), *reasons(named), *found.parts),
    )


METHODS = (
    Method(
        "rates",
        RatesSection,
        estimates,
        lines,
        "Exposure-adjusted incidence",
        noted=True,
        by_line=True,
        tests=(Test("rate_ratio", "less"), Test("rate_difference", "less")),
    ),
)
