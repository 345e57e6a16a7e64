"""Analyses of a measured outcome without imputation, on a block of virtual trials: LOCF, MMRM, random slopes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from equipoise.estimate.linear.mmrm.batch import BatchFit, fit_batch
from equipoise.estimate.missing.kernels import mi_ancova as repeated
from equipoise.plan.compiled import CarriedForward, MixedModel, OutcomeForm, Slopes
from equipoise.trial import Trials
from equipoise.types import WEEKS_PER_MONTH, BoolArray, CodeArray, FloatArray, Status


@dataclass(frozen=True, eq=False)
class OutcomeResult:
    """An analysis of an outcome of every trial of a block.

    visits : (trial, visit, stat) as :data:`N_STATS`, post-baseline visits only: means of
        the arms and their difference.
    ranks : (trial, stat) the joint rank test, NaN where the plan asks for none.
    slopes : (trial, stat) the same of the slopes per month of a slope model, NaN of the others.
    status : (trial, visit); rank_status : (trial,).
    """

    weeks: FloatArray
    visits: FloatArray
    ranks: FloatArray
    slopes: FloatArray
    status: CodeArray
    rank_status: CodeArray

    def at(self, week: float) -> int:
        return int(np.flatnonzero(np.isclose(self.weeks, week))[0])


def nothing(n_trials: int) -> FloatArray:
    """(trial, stat) of a test that was not asked for."""
    return np.full((n_trials, repeated.N_STATS), np.nan)


def columns(trials: Trials, names: tuple[str, ...], outcome: str, log: bool) -> FloatArray:
    """(trial, subject, 2 + names) ones, the arm, then covariates; ``BASE`` is the outcome's own baseline."""
    parts = [np.ones(trials.arm.shape), trials.arm.astype(np.float64)]
    for name in names:
        values = trials.baseline(outcome if name == "BASE" else name)
        parts.append(np.log(values) if name == "BASE" and log else values)
    return np.stack(parts, axis=-1)


def change_from_baseline(trials: Trials, outcome: str, week: float, *, log: bool) -> tuple[FloatArray, FloatArray]:
    """Weeks and (trial, subject, visit) changes, or log ratios, at the post-baseline visits up to ``week``."""
    values = levels(trials, outcome, week, log=log)
    return trials.weeks[1 : values.shape[2]], values[:, :, 1:] - values[:, :, :1]


def levels(trials: Trials, outcome: str, week: float, *, log: bool) -> FloatArray:
    """(trial, subject, visit) values, or their logarithms, from baseline to ``week``."""
    values = trials.outcomes[outcome][:, :, : trials.visit_index(week) + 1]
    return np.log(values) if log else values


def carried_forward(trials: Trials, analysis: CarriedForward) -> OutcomeResult:
    """Least squares at every visit on the last value seen after baseline, on every trial of the block."""
    weeks, y = change_from_baseline(trials, analysis.variable, analysis.week, log=analysis.log)
    seen = ~np.isnan(y)
    who = trials.members(analysis.set) & (seen & (weeks >= analysis.observed_to)).any(axis=2)
    x = columns(trials, analysis.covariates, analysis.variable, analysis.log)
    last = np.maximum.accumulate(np.where(seen, np.arange(len(weeks)), -1), axis=2)
    filled = np.take_along_axis(y, np.maximum(last, 0), axis=2)
    filled[last < 0] = np.nan
    visits = np.full((len(trials), len(weeks), repeated.N_STATS), np.nan)
    status = np.full((len(trials), len(weeks)), int(Status.NO_DATA), np.int8)
    for v in range(len(weeks)):
        one = filled[:, :, v : v + 1]
        # nothing is missing, so that nothing is imputed
        found, _, code, _, _ = repeated.mi_ancova(one, who & (last[:, :, v] >= 0), x[:, :, :1], x, n_imputations=2)
        visits[:, v], status[:, v] = found[:, 0, 0], code[:, 0, 0]
    return OutcomeResult(
        weeks, visits, nothing(len(trials)), nothing(len(trials)), status, np.zeros(len(trials), np.int8)
    )


def _centred(x: FloatArray, count: FloatArray) -> FloatArray:
    """Covariates less their mean over the records, so that coefficients of the ones are LS means."""
    x = x.copy()
    total = count.sum(axis=1)[:, None, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        x[:, :, 2:] -= (x[:, :, 2:] * count[:, :, None]).sum(axis=1, keepdims=True) / total
    return x


def _stats(fit: BatchFit, profiles: int) -> FloatArray:
    """(trial, profile, stat) from contrasts in the order control, active, difference of each profile."""
    table = np.stack([fit.estimate, fit.se, fit.df], axis=-1)
    return np.asarray(table.reshape(len(fit.status), profiles, repeated.N_STATS))


def _arms(weights: FloatArray, q: int) -> FloatArray:
    """(3 profile, profile weights, q) contrasts control, active, difference, for each row of ``weights``."""
    rows = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    out = np.zeros((len(weights), 3, weights.shape[1], q))
    out[:, :, :, :2] = weights[:, None, :, None] * rows[None, :, None, :]
    return out.reshape(-1, weights.shape[1], q)


def mixed_model(trials: Trials, analysis: MixedModel) -> OutcomeResult:
    """MMRM, or the constrained model, on every trial of the block."""
    weeks, y = change_from_baseline(trials, analysis.variable, analysis.week, log=analysis.log)
    if analysis.constrained:
        y = levels(trials, analysis.variable, analysis.week, log=analysis.log)
    y = np.where(trials.members(analysis.set)[:, :, None], y, np.nan)
    x = columns(trials, analysis.covariates, analysis.variable, analysis.log)
    x = _centred(x, (~np.isnan(y)).sum(axis=2).astype(np.float64))
    n_visits, q = y.shape[2], x.shape[2]
    at = np.eye(n_visits)
    active = np.ones((n_visits, q), np.bool_)
    if analysis.constrained:
        active[0, 1] = False
        # as a change from the common baseline
        at = at[1:] - at[:1]
    fit = fit_batch(y, x, _arms(at, q), structure=analysis.structure, df=analysis.df, active=active)
    code = fit.status.astype(np.int8)
    status = np.broadcast_to(code[:, None], (len(trials), len(weeks))).copy()
    return OutcomeResult(
        weeks, _stats(fit, len(weeks)), nothing(len(trials)), nothing(len(trials)), status, np.zeros_like(code)
    )


def slope_model(trials: Trials, analysis: Slopes) -> OutcomeResult:
    """Random intercept and slope on every trial of the block; where the slopes do not vary, a random intercept."""
    y = levels(trials, analysis.variable, analysis.week, log=analysis.log)
    y = np.where(trials.members(analysis.set)[:, :, None], y, np.nan)
    x = columns(trials, analysis.covariates, analysis.variable, analysis.log)
    x = _centred(x, (~np.isnan(y)).sum(axis=2).astype(np.float64))
    weeks = trials.weeks[: y.shape[2]]
    months = weeks / WEEKS_PER_MONTH
    profiles = np.column_stack([np.ones_like(months), months])
    active = np.ones((2, x.shape[2]), np.bool_)
    active[0, 1] = not analysis.shared_baseline
    contrasts = _arms(np.concatenate([[[0.0, 1.0]], profiles[1:]]), x.shape[2])

    def fitted(who: BoolArray, structure: str) -> BatchFit:
        return fit_batch(
            y[who],
            x[who],
            contrasts,
            structure=structure,
            df=analysis.df,
            times=months,
            profiles=profiles,
            active=active,
            tolerance=1e-14,
        )

    fit = fitted(np.ones(len(trials), np.bool_), "slope")
    stats, status = _stats(fit, len(weeks)), fit.status.astype(np.int8)
    flat = status == int(Status.BOUNDARY)
    if flat.any():
        again = fitted(flat, "intercept")
        stats[flat], status[flat] = _stats(again, len(weeks)), again.status.astype(np.int8)
    whole = np.broadcast_to(status[:, None], (len(trials), len(weeks) - 1)).copy()
    return OutcomeResult(weeks[1:], stats[:, 1:], nothing(len(trials)), stats[:, 0], whole, np.zeros_like(status))


def outcome_analysis(trials: Trials, analysis: OutcomeForm) -> OutcomeResult:
    """The analyses of this module, by kind."""
    if isinstance(analysis, CarriedForward):
        return carried_forward(trials, analysis)
    if isinstance(analysis, MixedModel):
        return mixed_model(trials, analysis)
    assert isinstance(analysis, Slopes)
    return slope_model(trials, analysis)
