"""Logistic regression in a plan, with standardised effects."""

from __future__ import annotations

from typing import Literal

import polars as pl
from pydantic import model_validator

from equipoise.estimate.categorical.logistic import logistic
from equipoise.estimate.categorical.regression import Marginal, Regression
from equipoise.estimate.result import Estimate
from equipoise.plan.methods.answers import RESPONSE, ResponseSection, answered, said, unknown
from equipoise.plan.methods.described import counted
from equipoise.plan.methods.diagnosed import diagnosed
from equipoise.plan.methods.estimates import P, against, reasons
from equipoise.plan.methods.estimates import by_arm as line_by_arm
from equipoise.plan.methods.registry import Found, Method, Place, Test
from equipoise.plan.methods.regressed import Parts, by_arm, drawn, fitted, formula_of, ratio_lines, ratios
from equipoise.plan.prepared import Prepared
from equipoise.plan.results import Block, Row, share_of

_MARGINAL = {
    "differences": ("standardised_difference", "Standardised difference"),
    "ratios": ("standardised_ratio", "Standardised ratio"),
    "odds_ratios": ("standardised_odds_ratio", "Standardised odds ratio"),
}


class LogisticSection(ResponseSection):
    """Logistic regression of a ``response`` on the arm and ``covariates``, one model of all arms.

    interval : ``wald`` or ``profile``. firth : penalised likelihood, with profile limits. vcov : HC0 to HC3.
    marginal : shares standardised over the patients and their comparisons, with the ``variance`` of ``ge`` or ``ye``.
    diagnostics : figures of the residuals and of the influence of each subject.
    """

    ESTIMATES = "logistic"

    method: Literal["logistic"]
    covariates: tuple[str, ...] = ()
    interval: Literal["wald", "profile"] | None = None
    firth: bool = False
    vcov: Literal["model", "HC0", "HC1", "HC2", "HC3"] = "model"
    marginal: bool = False
    variance: Literal["ge", "ye"] = "ge"
    higher_better: bool = True
    diagnostics: bool = False

    @model_validator(mode="after")
    def _together(self) -> LogisticSection:
        if self.vcov != "model" and (self.firth or self.interval == "profile"):
            raise ValueError(f"vcov: {self.vcov} goes with neither firth nor profile limits")
        return self


def estimates(context: Prepared, section: LogisticSection) -> Found:
    """Responders by arm, odds ratios, and standardised shares where they are asked for.

    Raises
    ------
    DataError : a variable is not there, or a patient has more than one record.
    """
    data = answered(context, section, section.covariates)
    needed = [RESPONSE, *section.covariates]
    fit: Regression = fitted(
        context,
        data,
        needed,
        lambda known: logistic(
            formula_of(context, RESPONSE, section.covariates),
            known,
            interval=section.interval,
            firth=section.firth,
            vcov=section.vcov,
            level=section.level,
        ),
    )
    known = data.drop_nulls([context.treatment, *needed])
    size = {a: int(n) for a, n in by_arm(context, known, pl.len()).items()}
    yes = {a: int(n) for a, n in by_arm(context, known, pl.col(RESPONSE).sum()).items()}
    out = {Place("patients", a): Estimate.of_count(f"patients, {a}", n, n) for a, n in size.items()}
    out |= counted("responders", yes, size)
    out |= ratios(context, fit.estimates, "odds_ratio")
    made: Marginal | None = None
    if section.marginal:
        made = fit.marginal(context.treatment, variance=section.variance, level=section.level)
        out |= {Place("standardised_share", str(a)): e for a, e in zip(made.arms, made.means, strict=True)}
        for name, (quantity, _) in _MARGINAL.items():
            out |= {Place(quantity, str(a)): e for a, e in zip(made.arms[1:], getattr(made, name), strict=True)}
    lost = data.height - known.height
    notes = unknown(context, data, section.missing)
    if lost and not notes:
        notes = (f"{lost} of {data.height} subjects lack a value and are left out.",)
    return Found(out, Parts(fit, size, yes, notes, made))


def lines(context: Prepared, section: LogisticSection, found: Found) -> Block:
    """Responders by arm, odds ratios against control, standardised shares and their comparisons."""
    parts: Parts = found.parts
    percent = f"{100 * section.level:g}%"
    rows = [Row("Responders", {a: share_of(int(parts.counts[a]), n, 1) for a, n in parts.patients.items()})]
    rows += ratio_lines(context, found.numbers, "odds_ratio", "Odds ratio", section.level)
    named = [(str(p.arm or p.variable), e) for p, e in found.numbers.items() if p.quantity == "odds_ratio"]
    if parts.more is not None:
        shown = "{estimate:3} ({low:3}; {high:3})"
        rows.append(line_by_arm(f"Standardised share ({percent} CI)", found.by_arm("standardised_share"), shown))
        for quantity, label in _MARGINAL.values():
            each = found.by_arm(quantity)
            rows.append(against(context, f"{label} ({percent} CI)", each, shown))
            rows.append(against(context, f"p-value ({label.lower()})", each, P))
            named += [(label, e) for e in each.values()]
    fit: Regression = parts.fit
    covariates = f", adjusted for {', '.join(section.covariates)}" if section.covariates else ""
    how = {"ge": "Ge et al. 2011", "ye": "Ye et al. 2023"}[section.variance]
    made = Block(
        section.label or "Logistic regression",
        "logistic",
        context.analysis.dataset,
        next(iter(section.response)),
        tuple(rows),
        description=f"{fit.title}, {fit.interval} limits, response: {said(section.response)}{covariates}; against "
        f"{context.plan.treatment.reference}"
        + (f"; standardised with the variance of {how}" if section.marginal else ""),
        notes=(*((section.note,) if section.note else ()), *reasons(named), *parts.notes),
        figures=drawn(context, found.numbers, "odds_ratio", "Odds ratio", section.higher_better)
        if section.figure
        else (),
    )
    return diagnosed(made, fit, section.diagnostics)


METHODS = (
    Method(
        "logistic",
        LogisticSection,
        estimates,
        lines,
        "Logistic regression",
        noted=True,
        by_line=True,
        tests=(
            Test("odds_ratio", "more"),
            Test("standardised_difference", "more"),
            Test("standardised_ratio", "more"),
            Test("standardised_odds_ratio", "more"),
        ),
    ),
)
