"""Negative binomial and Poisson regression of numbers of events in a plan."""

from __future__ import annotations

from typing import Literal

import polars as pl
from pydantic import model_validator

from equipoise.estimate.categorical.counts import count_regression
from equipoise.estimate.categorical.regression import Regression
from equipoise.estimate.result import Estimate
from equipoise.plan.methods.counting import COUNT, EXPOSURE, CountSection, counted_events, said_events
from equipoise.plan.methods.diagnosed import diagnosed
from equipoise.plan.methods.estimates import against, by_arm, reasons
from equipoise.plan.methods.registry import Found, Method, Place, Test
from equipoise.plan.methods.regressed import Parts, count_row, drawn, fitted, formula_of, ratio_lines, ratios
from equipoise.plan.methods.regressed import by_arm as sum_by_arm
from equipoise.plan.prepared import Prepared
from equipoise.plan.results import Block


class CountRegressionSection(CountSection):
    """Rate ratios of numbers of events, one ``model`` of all arms with ``covariates``, and standardised rates.

    model : ``negative-binomial``, ``poisson`` or ``quasi-poisson``. per : the exposure that rates are given for.
    diagnostics : figures of the residuals and of the influence of each subject.
    """

    ESTIMATES = "count_regression"

    method: Literal["count_regression"]
    model: Literal["negative-binomial", "poisson", "quasi-poisson"] = "negative-binomial"
    covariates: tuple[str, ...] = ()
    interval: Literal["wald", "profile"] = "wald"
    vcov: Literal["model", "HC0", "HC1", "HC2", "HC3"] = "model"
    higher_better: bool = False
    diagnostics: bool = False

    @model_validator(mode="after")
    def _together(self) -> CountRegressionSection:
        if self.interval == "profile" and (self.vcov != "model" or self.model == "quasi-poisson"):
            raise ValueError("interval: profile goes with neither a robust vcov nor quasi-poisson")
        return self


def estimates(context: Prepared, section: CountRegressionSection) -> Found:
    """Patients, events and exposure by arm, rate ratios, standardised rates and their differences.

    Raises
    ------
    DataError : a variable is not there or no number.
    """
    data = counted_events(context, section, section.covariates)
    needed = [COUNT, EXPOSURE, *section.covariates]
    known = data.drop_nulls([context.treatment, *needed]).filter(pl.col(EXPOSURE) > 0.0)
    fit: Regression = fitted(
        context,
        known,
        needed,
        lambda part: count_regression(
            formula_of(context, COUNT, section.covariates),
            part,
            model=section.model,
            exposure=EXPOSURE,
            interval=section.interval,
            vcov=section.vcov,
            level=section.level,
        ),
    )
    size = {a: int(n) for a, n in sum_by_arm(context, known, pl.len()).items()}
    events = sum_by_arm(context, known, pl.col(COUNT).sum())
    time = sum_by_arm(context, known, pl.col(EXPOSURE).sum())
    out = {Place("patients", a): Estimate.of_count(f"patients, {a}", n, n) for a, n in size.items()}
    out |= {Place("events", a): Estimate.of_count(f"events, {a}", n, size[a]) for a, n in events.items()}
    if section.exposure is not None:
        out |= {Place("exposure", a): Estimate.of_count(f"exposure, {a}", t, size[a]) for a, t in time.items()}
    out |= ratios(context, fit.estimates, "rate_ratio")
    made = fit.marginal(context.treatment, level=section.level)
    out |= {Place("rate", str(a)): e for a, e in zip(made.arms, made.means, strict=True)}
    out |= {Place("rate_difference", str(a)): e for a, e in zip(made.arms[1:], made.differences, strict=True)}
    lost = data.height - known.height
    notes = (f"{lost} of {data.height} subjects lack a value or exposure and are left out.",) if lost else ()
    return Found(out, Parts(fit, size, events, notes, time))


def lines(context: Prepared, section: CountRegressionSection, found: Found) -> Block:
    """Events and exposure by arm, rates, rate ratios against control."""
    parts: Parts = found.parts
    fit: Regression = parts.fit
    percent = f"{100 * section.level:g}%"
    rows = [count_row("n", parts.patients), count_row("Events", parts.counts)]
    if section.exposure is not None:
        rows.append(count_row("Exposure", {a: round(t, 1) for a, t in parts.more.items()}))
    rows.append(by_arm(f"Rate ({percent} CI)", found.by_arm("rate"), "{estimate:3} ({low:3}; {high:3})"))
    each = found.by_arm("rate_difference")
    rows.append(against(context, f"Difference in rates ({percent} CI)", each, "{estimate:3} ({low:3}; {high:3})"))
    rows += ratio_lines(context, found.numbers, "rate_ratio", "Rate ratio", section.level)
    named = [(str(p.arm or p.variable), e) for p, e in found.numbers.items() if p.quantity in ("rate_ratio", "rate")]
    covariates = f", adjusted for {', '.join(section.covariates)}" if section.covariates else ""
    exposure = f", log {section.exposure} as offset" if section.exposure else ""
    made = Block(
        section.label or "Rates of events",
        "count_regression",
        context.analysis.dataset,
        section.value or next(iter(section.event or {}), None),
        tuple(rows),
        description=f"{fit.title} of {said_events(section)}{exposure}{covariates}; against "
        f"{context.plan.treatment.reference}",
        notes=(*((section.note,) if section.note else ()), *reasons(named), *fit.notes, *parts.notes),
        details={"dispersion": fit.dispersion, "theta": fit.theta if fit.theta < 1e300 else None},
        figures=drawn(context, found.numbers, "rate_ratio", "Rate ratio", section.higher_better)
        if section.figure
        else (),
    )
    return diagnosed(made, fit, section.diagnostics)


METHODS = (
    Method(
        "count_regression",
        CountRegressionSection,
        estimates,
        lines,
        "Regression of counts",
        noted=True,
        by_line=True,
        tests=(Test("rate_ratio", "less"), Test("rate_difference", "less")),
    ),
)
