"""Generalised estimating equations in a plan: repeated answers of yes or no, counts or measurements."""

from __future__ import annotations

from typing import Literal

import polars as pl
from pydantic import Field, model_validator

from equipoise.errors import DataError
from equipoise.estimate.categorical.gee import GeeFit
from equipoise.estimate.categorical.gee import gee as fit_equations
from equipoise.estimate.formula import quoted
from equipoise.estimate.result import Estimate
from equipoise.plan.methods.answers import flagged, said
from equipoise.plan.methods.estimates import P, against, reasons
from equipoise.plan.methods.registry import Found, Method, Place, Test
from equipoise.plan.methods.regressed import Parts, count_row, fitted
from equipoise.plan.parts import Section, Where
from equipoise.plan.prepared import Prepared, in_order
from equipoise.plan.results import Block, Row

_Y, _VISIT = "RESPONSE__", "VISIT__"
_QUANTITY = {"binomial": "odds_ratio", "poisson": "rate_ratio", "gaussian": "difference"}
_LABEL = {"binomial": "Odds ratio", "poisson": "Rate ratio", "gaussian": "Difference"}


class GeeSection(Section):
    """Arm by visit and ``covariates``, each other arm against control at every visit, in one model of all arms.

    response : conditions under which a record is a response; or ``value`` with ``family`` poisson or gaussian. visits :
    those shown, default all. correlation, vcov, df : as in :func:`equipoise.gee`.
    """

    ESTIMATES = "gee"

    method: Literal["gee"]
    response: Where | None = None
    value: str | None = None
    family: Literal["binomial", "poisson", "gaussian"] = "binomial"
    visit: str = "AVISIT"
    order: str = "AVISITN"
    visits: tuple[str, ...] | None = None
    covariates: tuple[str, ...] = ()
    correlation: Literal["independence", "exchangeable", "ar1", "unstructured"] = "exchangeable"
    vcov: Literal["robust", "model", "kauermann-carroll", "mancl-derouen", "fay-graubard"] = "robust"
    df: Literal["normal", "between"] = "normal"
    level: float = Field(default=0.95, gt=0, lt=1)

    @model_validator(mode="after")
    def _one_response(self) -> GeeSection:
        if (self.response is None) == (self.value is None):
            raise ValueError("give response, the conditions of yes, or value, a number")
        if self.response is not None and self.family != "binomial":
            raise ValueError(f"response is of yes or no: family {self.family} goes with value")
        return self


def estimates(context: Prepared, section: GeeSection) -> Found:
    """Patients by arm and each other arm against control at every visit.

    Raises
    ------
    DataError : a variable is not there, a visit is not there, or a patient has two records at one.
    """
    frame = context.chosen(section.where)
    what = f"analysis {context.analysis.id}"
    for name in ("USUBJID", section.visit, section.order, *section.covariates, *(section.response or {})):
        context.need(frame, name)
    if section.response is not None:
        frame = flagged(frame, section.response, "left out", what)
    else:
        context.need(frame, str(section.value), numeric=True)
        frame = frame.with_columns(pl.col(str(section.value)).cast(pl.Float64).alias(_Y))
    order = frame.drop_nulls([section.visit, section.order]).sort(section.order)[section.visit].cast(pl.String)
    visits = order.unique(maintain_order=True).to_list()
    absent = [v for v in section.visits or () if v not in visits]
    if absent:
        raise DataError(f"{what}: no visit {absent[0]!r}", hint="visits are " + ", ".join(visits))
    needed = [_Y, section.visit, *section.covariates]
    data = in_order(context, frame.drop_nulls([context.treatment, *needed]))
    data = data.with_columns(pl.col(section.visit).cast(pl.String).cast(pl.Enum(visits)).alias(_VISIT))
    doubled = data.filter(pl.struct("USUBJID", _VISIT).is_duplicated())
    if doubled.height:
        raise DataError(f"{what}: {doubled['USUBJID'][0]} has two records at {doubled[_VISIT][0]}", hint="see where:")
    arm, several = quoted(context.treatment), len(visits) > 1
    terms = [*([_VISIT, f"{_VISIT}:{arm}"] if several else [arm]), *map(quoted, section.covariates)]
    fit: GeeFit = fitted(
        context,
        data,
        needed,
        lambda part: fit_equations(
            f"{_Y} ~ " + " + ".join(terms),
            part,
            subject="USUBJID",
            visit=_VISIT,
            family=section.family,
            correlation=section.correlation,
            vcov=section.vcov,
            df=section.df,
            level=section.level,
        ),
    )
    people = data.unique(["USUBJID"])
    size = {a: people.filter(pl.col(context.treatment) == a).height for a in context.arms}
    out = {Place("patients", a): Estimate.of_count(f"patients, {a}", n, n) for a, n in size.items()}
    quantity, by_term = _QUANTITY[section.family], {e.term: e for e in fit.estimates}
    for visit in visits:
        for other in (a for a in context.arms if a != context.plan.treatment.reference):
            own = f"{arm}[T.{other}]"
            found = by_term.get(f"{_VISIT}[{visit}]:{own}") or by_term.get(own)
            if found is not None:
                out[Place(quantity, other, visit)] = found
    for name in section.covariates:
        for term, e in by_term.items():
            if term == quoted(name) or term.startswith(f"{quoted(name)}["):
                out[Place(quantity, variable=term)] = e
    return Found(out, Parts(fit, size, {}, (), visits))


def lines(context: Prepared, section: GeeSection, found: Found) -> Block:
    """Each other arm against control at every visit shown."""
    parts: Parts = found.parts
    fit: GeeFit = parts.fit
    percent, quantity, label = f"{100 * section.level:g}%", _QUANTITY[section.family], _LABEL[section.family]
    rows: list[Row] = [count_row("n", parts.patients)]
    named: list[tuple[str, Estimate]] = []
    for visit in section.visits or parts.more:
        each = found.by_arm(quantity, visit)
        rows.append(
            against(context, f"{visit}: {label.lower()} ({percent} CI)", each, "{estimate:2} ({low:2}; {high:2})")
        )
        rows.append(against(context, f"{visit}: p-value", each, P))
        named += [(f"{a} at {visit}", e) for a, e in each.items()]
    covariates = f", {', '.join(section.covariates)}" if section.covariates else ""
    told = f"response: {said(section.response)}" if section.response else str(section.value)
    return Block(
        section.label or "Estimating equations",
        "gee",
        context.analysis.dataset,
        section.value or next(iter(section.response or {}), None),
        tuple(rows),
        description=f"generalised estimating equations, {section.family}, {told}; arm by visit{covariates}; "
        f"correlation {section.correlation}, covariance {section.vcov}; {fit.n_subjects} subjects, {fit.n} records; "
        f"against {context.plan.treatment.reference}",
        notes=(*((section.note,) if section.note else ()), *reasons(named)),
    )


METHODS = (
    Method(
        "gee",
        GeeSection,
        estimates,
        lines,
        "Generalised estimating equations",
        noted=True,
        by_line=True,
        tests=(Test("odds_ratio", "more"), Test("rate_ratio", "less"), Test("difference", "more")),
    ),
)
