"""Rates of change in a plan: a random intercept and slope for every subject, slopes compared between arms."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl
from pydantic import Field

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.formula import quoted
from equipoise.estimate.result import Estimate
from equipoise.plan.compiled import AnyForm, Lowered, Slopes
from equipoise.plan.key import Key
from equipoise.plan.methods import forms
from equipoise.plan.methods.diagnosed import diagnosed
from equipoise.plan.methods.estimates import DIFFERENCE, P, against, by_arm, counts, from_row
from equipoise.plan.methods.registry import Found, Kernel, Method, Names, Place, Test
from equipoise.plan.outcome_arrays import by_profile, centred, columns, levels
from equipoise.plan.outcome_arrays import of_arms as contrasts_of_arms
from equipoise.plan.parts import Section
from equipoise.plan.prepared import Prepared, in_order
from equipoise.plan.results import Block
from equipoise.plan.trial_estimates import TrialEstimates, of_arms
from equipoise.types import WEEKS_PER_MONTH, BoolArray, Status

if TYPE_CHECKING:
    from equipoise.estimate.linear.mmrm.batch import BatchFit
    from equipoise.plan.analysis_plan import Analysis
    from equipoise.trial import Trials

TIME = "TIME__"
"""The time in the unit of the slopes."""


class SlopeSection(Section):
    """Slopes of ``value`` on ``time`` by arm and their differences, with a random intercept and slope.

    ``per``: units of ``time`` in a unit of the slope (4.348 for months of a time in weeks), which is called ``unit``.
    ``shared_baseline``: arms have one mean at time 0, as randomisation makes them; ``random: intercept`` has no random
    slope. Where the variance of the slopes is estimated as zero, a random intercept alone is fitted and said.
    ``covariates_by_time``: covariates that may change the slope too. ``at``: times at which means are compared.
    ``diagnostics``: figures of residuals, normal quantiles of them and of the random effects, and influence.
    """

    ESTIMATES = "slope"

    method: Literal["slope"]
    value: str = "AVAL"
    time: str = "AVISITN"
    per: float = Field(default=1.0, gt=0)
    unit: str | None = None
    covariates: tuple[str, ...] = ()
    covariates_by_time: tuple[str, ...] = ()
    shared_baseline: bool = False
    random: Literal["slope", "intercept"] = "slope"
    at: tuple[float, ...] = ()
    df: Literal["satterthwaite", "kenward-roger", "kenward-roger-linear"] = "kenward-roger-linear"
    reml: bool = True
    level: float = Field(default=0.95, gt=0, lt=1)
    decimals: int = Field(default=3, ge=0, le=8)
    diagnostics: bool = False


def _fitted(context: Prepared, section: SlopeSection) -> tuple[Any, pl.DataFrame, str, tuple[str, ...]]:
    """The model, its records, its formula, and what the estimator said."""
    from equipoise.estimate.linear.slope import slope as fit_slope

    frame = context.chosen(section.where)
    for name in (section.value, section.time):
        context.need(frame, name, numeric=True)
    names = [*section.covariates, *section.covariates_by_time]
    for name in (*names, "USUBJID"):
        context.need(frame, name)
    if section.time in names or context.treatment in names:
        raise DataError(f"analysis {context.analysis.id}: time and arm are no covariates", hint="leave them out")
    data = frame.select(list(dict.fromkeys(["USUBJID", context.treatment, section.value, section.time, *names])))
    data = in_order(context, data.drop_nulls().with_columns((pl.col(section.time) / section.per).alias(TIME)))
    if not data.height or data[context.treatment].n_unique() < 2:
        raise EstimationError("fewer than two arms have complete records")
    arm = quoted(context.treatment)
    terms = [f"{arm}:{TIME}" if section.shared_baseline else arm, TIME, *map(quoted, dict.fromkeys(names))]
    terms += ([] if section.shared_baseline else [f"{arm}:{TIME}"]) + [
        f"{quoted(c)}:{TIME}" for c in section.covariates_by_time
    ]
    fixed = f"{quoted(section.value)} ~ " + " + ".join(terms)
    by = TIME if section.random == "slope" else "1"
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            fit = fit_slope(f"{fixed} + ({by} | USUBJID)", data, df=section.df, reml=section.reml)
        except DataError as error:
            raise EstimationError(error.message, hint=error.hint) from None
    heard = tuple(dict.fromkeys(str(w.message) for w in said if issubclass(w.category, UserWarning)))
    if not fit.converged:
        raise EstimationError("; ".join(heard) or "the model did not converge")
    return fit, data, fixed, heard


def _coefficient(fit: Any, arm: str, one: str) -> str:
    """The coefficient of the difference of slopes, in whichever order its parts stand."""
    wanted = {f"{arm}[T.{one}]", TIME}
    name: str = next(n for n in fit.names if set(n.split(":")) == wanted)
    return name


def slope(context: Prepared, section: SlopeSection) -> Found:
    """Slopes by arm at mean covariates, their differences against control, and differences of means ``at`` times.

    Raises
    ------
    DataError : a variable is not there, or is no number.
    """
    fit, data, fixed, heard = _fitted(context, section)
    arm, control = context.treatment, context.plan.treatment.reference
    present = [a for a in context.arms if (data[arm] == a).any()]
    active = [a for a in present if a != control]
    if control not in present:
        raise EstimationError("the control arm has no complete records")
    mean = _mean_slope(fit, section, data)
    asked: dict[Place, dict[str, float]] = {Place("slope", control): mean}
    for a in active:
        name = _coefficient(fit, arm, a)
        asked |= {Place("slope", a): {**mean, name: 1.0}, Place("slope_difference", a): {name: 1.0}}
        for t in section.at:
            first = {} if section.shared_baseline else {f"{arm}[T.{a}]": 1.0}
            asked[Place("difference", a, f"{t:g}")] = {**first, name: t / section.per}
    table = fit.contrasts({str(k): weights for k, weights in enumerate(asked.values())}, level=section.level).to_frame()
    measured = data.group_by(arm).agg(pl.col("USUBJID").n_unique().alias("n"))
    people = {str(r[0]): int(r[1]) for r in measured.iter_rows()}
    numbers = {Place("patients", a): Estimate.of_count(f"patients, {a}", people[a], people[a]) for a in present}
    estimator = f"random {fit.structure} model, {section.df} degrees of freedom"
    for place, row in zip(asked, table.iter_rows(named=True), strict=True):
        whom = place.arm if place.quantity == "slope" else f"{place.arm} - {control}"
        numbers[place] = from_row(
            row,
            name=f"{whom} at {place.visit}" if place.visit else f"slope, {whom}",
            estimator=estimator,
            n=people[str(place.arm)] if place.quantity == "slope" else fit.n_subjects,
            level=section.level,
            scale="slope" if place.quantity == "slope" else "difference",
        )
    return Found(numbers, (fit, fixed, heard))


def _lines(context: Prepared, section: SlopeSection, found: Found) -> Block:
    fit, fixed, heard = found.parts
    percent, d = f"{100 * section.level:g}%", section.decimals
    interval = f"{{estimate:{d}}} ({{low:{d}}}; {{high:{d}}})"
    unit = f" a {section.unit}" if section.unit else ""

    difference = found.by_arm("slope_difference")
    rows = [
        counts("Subjects", {a: int(e.estimate) for a, e in found.by_arm("patients").items()}),
        by_arm(f"Slope{unit} (SE)", found.by_arm("slope"), f"{{estimate:{d}}} ({{se:{d}}})"),
        against(context, f"Difference of slopes{unit} ({percent} CI)", difference, interval),
        against(context, "p-value", difference, P),
    ]
    for t in section.at:
        there = found.by_arm("difference", f"{t:g}")
        rows.append(against(context, f"Difference at {t:g} ({percent} CI)", there, DIFFERENCE))
        rows.append(against(context, f"p-value at {t:g}", there, P))
    kind = "a random intercept" if fit.structure == "intercept" else "random intercept and slope"
    method = "restricted maximum likelihood" if section.reml else "maximum likelihood"
    made = Block(
        section.label or "Slopes",
        "slope",
        context.analysis.dataset,
        section.value,
        tuple(rows),
        description=(
            f"{method}, {fixed.replace(TIME, section.time)}, {kind} for every subject, {section.df} "
            f"degrees of freedom; {fit.n_subjects} subjects, {fit.n_obs} records; "
            f"-2 log-likelihood {-2.0 * fit.loglik:.4f}"
            + (f"; slopes a {section.unit}" if section.unit else "")
            + (f" ({section.per:g} units of {section.time})" if section.per != 1.0 else "")
        ),
        notes=(*((section.note,) if section.note else ()), *(h.replace(TIME, section.time) for h in heard)),
        details={
            "records": fit.n_obs,
            "subjects": fit.n_subjects,
            "structure": fit.structure,
            "attempts": [list(a) for a in fit.attempts],
            "minus_2_log_likelihood": -2.0 * fit.loglik,
            "residual_variance": fit.residual_variance,
        },
    )
    return diagnosed(made, fit, section.diagnostics)


def _mean_slope(fit: Any, section: SlopeSection, data: pl.DataFrame) -> dict[str, float]:
    """The control arm's slope at the mean of the covariates that change it: records count once each."""
    out = {TIME: 1.0}
    for name in fit.names:
        parts = name.split(":")
        if len(parts) != 2 or TIME not in parts:
            continue
        other = parts[0] if parts[1] == TIME else parts[1]
        variable, _, level = other.partition("[T.")
        if variable in section.covariates_by_time:
            column = data[variable]
            out[name] = float((column.cast(pl.String) == level[:-1]).mean() if level else column.mean())
    return out


# --- many trials ----------------------------------------------------------------------------------------------------


def form(analysis: Analysis, place: int) -> Lowered | None:
    """What the kernel does of a section: slopes per month, all covariates by time."""
    section: Any = analysis.sections[place - 1]
    log = section.value == "LAVAL" and analysis.derive.get("LAVAL") == {"log": "AVAL"}
    of = forms.of_outcome(analysis)
    if of is None or not (log or section.value == "AVAL") or abs(section.per - WEEKS_PER_MONTH) > 1e-9:
        return None
    if not forms.only(section, "value", "per", "covariates_by_time", "shared_baseline", "df"):
        return None
    how = {"covariates": section.covariates_by_time, "shared_baseline": section.shared_baseline, "df": section.df}
    return forms.lowered(analysis, {"kind": "slopes", **of, **how, "log": log}, {"slope": place})


def block(trials: Trials, analysis: Analysis, found: Lowered) -> dict[Key, TrialEstimates]:
    """Random intercept and slope on every trial of a block; where the slopes do not vary, a random intercept.

    Besides the slopes there are the means at every visit, and their differences.
    """
    from equipoise.estimate.linear.mmrm.batch import fit_batch

    asked, place = found.form, found.places["slope"]
    assert isinstance(asked, Slopes)
    section: Any = analysis.sections[place - 1]
    y = levels(trials, asked.variable, asked.week, log=asked.log)
    y = np.where(trials.members(asked.set)[:, :, None], y, np.nan)
    x = columns(trials, asked.covariates, asked.variable, asked.log)
    seen = ~np.isnan(y)
    x = centred(x, seen.sum(axis=2).astype(np.float64))
    weeks = trials.weeks[: y.shape[2]]
    months = weeks / WEEKS_PER_MONTH
    profiles = np.column_stack([np.ones_like(months), months])
    active = np.ones((2, x.shape[2]), np.bool_)
    active[0, 1] = not asked.shared_baseline
    contrasts = contrasts_of_arms(np.concatenate([[[0.0, 1.0]], profiles[1:]]), x.shape[2])

    def fitted(who: BoolArray, structure: str) -> BatchFit:
        return fit_batch(
            y[who],
            x[who],
            contrasts,
            structure=structure,
            df=asked.df,
            times=months,
            profiles=profiles,
            active=active,
            tolerance=1e-14,
        )

    fit = fitted(np.ones(len(trials), np.bool_), "slope")
    stats, status = by_profile(fit, len(weeks)), fit.status.astype(np.int8)
    flat = status == int(Status.BOUNDARY)
    if flat.any():
        again = fitted(flat, "intercept")
        stats[flat], status[flat] = by_profile(again, len(weeks)), again.status.astype(np.int8)
    key = Key("", analysis=analysis.id, section=place)
    out = of_arms(trials, stats[:, 0], status, key, ("slope", "slope_difference"), level=section.level)
    for v, week in enumerate(weeks[1:], start=1):
        out |= of_arms(trials, stats[:, v], status, replace(key, visit=f"{week:g}"), NAMES, level=section.level)
    for a, arm in enumerate(trials.arms):
        n = (seen.any(axis=2) & (trials.arm == a)).sum(axis=1)
        out[replace(key, quantity="patients", arm=arm)] = TrialEstimates.of_count(n)
    return out


NAMES = Names(visit="{:g}")
"""The means at a visit, and their differences."""


def written(asked: AnyForm) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A form as a section."""
    assert isinstance(asked, Slopes)
    head: dict[str, Any] = {"derive": {"LAVAL": {"log": "AVAL"}}} if asked.log else {}
    section = {
        "method": "slope",
        **({"value": "LAVAL"} if asked.log else {}),
        "per": WEEKS_PER_MONTH,
        "unit": "month",
        "covariates_by_time": list(asked.covariates),
        "df": asked.df,
        "shared_baseline": asked.shared_baseline,
    }
    return head, [section]


METHODS = (
    Method(
        "slope",
        SlopeSection,
        slope,
        _lines,
        "Random-slope model",
        noted=True,
        by_line=True,
        tests=(Test("slope_difference", "more"), Test("difference", "more")),
        kernel=Kernel(form, block, lambda section: NAMES, written),
    ),
)
