"""Proportional odds of an ordered answer in a plan."""

from __future__ import annotations

from typing import Literal

import polars as pl
from pydantic import Field

from equipoise.estimate.categorical.ordinal import OrdinalFit, proportional_odds
from equipoise.estimate.result import Estimate
from equipoise.plan.methods.answers import one_record
from equipoise.plan.methods.estimates import P, cell, reasons
from equipoise.plan.methods.registry import Found, Method, Place, Test
from equipoise.plan.methods.regressed import Parts, by_arm, count_row, drawn, fitted, formula_of, ratio_lines, ratios
from equipoise.plan.parts import Section
from equipoise.plan.prepared import TEST, Prepared
from equipoise.plan.results import Block, Row

_VALUE = "VALUE__"


class OrdinalSection(Section):
    """Odds ratios of a higher answer in ``value``, one for every cut, on the arm and ``covariates``.

    ``levels``: the answers in their order, where they are text; numbers have theirs.
    """

    ESTIMATES = "proportional_odds"

    method: Literal["proportional_odds"]
    value: str = "AVAL"
    levels: tuple[str, ...] | None = None
    covariates: tuple[str, ...] = ()
    higher_better: bool = True
    level: float = Field(default=0.95, gt=0, lt=1)

    def tests_arms(self) -> bool:
        """The test of proportional odds is over all arms."""
        return True


def estimates(context: Prepared, section: OrdinalSection) -> Found:
    """Patients by arm, odds ratios, and the test that they are the same for every cut.

    Raises
    ------
    DataError : a variable is not there, or a patient has more than one record.
    """
    data = one_record(context, section.where, [section.value], section.covariates)
    value = pl.col(section.value)
    if section.levels is not None:
        value = value.cast(pl.String).cast(pl.Enum(list(section.levels)), strict=False)
    data = data.with_columns(value.alias(_VALUE))
    needed = [_VALUE, *section.covariates]
    fit: OrdinalFit = fitted(
        context,
        data,
        needed,
        lambda known: proportional_odds(formula_of(context, _VALUE, section.covariates), known, level=section.level),
    )
    known = data.drop_nulls([context.treatment, *needed])
    size = {a: int(n) for a, n in by_arm(context, known, pl.len()).items()}
    out = {Place("patients", a): Estimate.of_count(f"patients, {a}", n, n) for a, n in size.items()}
    out |= ratios(context, fit.estimates, "odds_ratio")
    out[Place("proportional_odds")] = fit.proportional
    lost = data.height - known.height
    notes = (f"{lost} of {data.height} subjects lack a value and are left out.",) if lost else ()
    return Found(out, Parts(fit, size, {}, notes))


def lines(context: Prepared, section: OrdinalSection, found: Found) -> Block:
    """Patients, odds ratios against control, and the test of proportional odds."""
    parts: Parts = found.parts
    fit: OrdinalFit = parts.fit
    rows = [count_row("n", parts.patients)]
    rows += ratio_lines(context, found.numbers, "odds_ratio", "Odds ratio of a higher answer", section.level)
    if fit.proportional.estimable:
        rows.append(Row("The same for every cut (score test)", {TEST: cell(fit.proportional, P)}))
    named = [(str(p.arm or p.variable), e) for p, e in found.numbers.items() if p.quantity == "odds_ratio"]
    covariates = f", adjusted for {', '.join(section.covariates)}" if section.covariates else ""
    return Block(
        section.label or "Proportional odds",
        "proportional_odds",
        context.analysis.dataset,
        section.value,
        tuple(rows),
        description=f"proportional odds of {section.value}{covariates}; {_told(fit)}; against "
        f"{context.plan.treatment.reference}",
        notes=(*((section.note,) if section.note else ()), *reasons(named), *parts.notes),
        figures=drawn(context, found.numbers, "odds_ratio", "Odds ratio", section.higher_better)
        if section.figure
        else (),
    )


def _told(fit: OrdinalFit) -> str:
    """The answers, where there are few; otherwise how many."""
    if len(fit.answers) <= 8:
        return "answers " + ", ".join(f"{a:g}" if isinstance(a, float) else str(a) for a in fit.answers)
    return f"{len(fit.answers)} answers from {fit.answers[0]} to {fit.answers[-1]}"


METHODS = (
    Method(
        "proportional_odds",
        OrdinalSection,
        estimates,
        lines,
        "Proportional odds",
        noted=True,
        by_line=True,
        tests=(Test("odds_ratio", "more"),),
    ),
)
