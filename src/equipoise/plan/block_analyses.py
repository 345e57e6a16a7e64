"""The analysis plan carried out on a block of virtual trials."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from scipy import special

from equipoise.estimate.missing.kernels import mi_ancova as repeated
from equipoise.estimate.survival.kernels import log_rank as survival
from equipoise.estimate.survival.kernels.cox import cox
from equipoise.plan.compiled import Repeated, TimeToEvent
from equipoise.plan.longitudinal import OutcomeResult, change_from_baseline, columns, nothing, outcome_analysis
from equipoise.plan.scenario_plan import AnalysisPlan
from equipoise.trial import Trials
from equipoise.types import BoolArray, CodeArray, FloatArray, IntArray, Status

WILCOXON_RHO = 1.0
"""The power of the Kaplan-Meier estimate that weighs the events in the Wilcoxon test (Peto & Peto 1972)."""


@dataclass(frozen=True, eq=False)
class TimeToEventResult:
    """Log-rank, Wilcoxon and Cox of every trial of a block; NaN where not estimable, the status codes say why.

    ``observed_minus_expected`` (O - E) and its Wilcoxon twin are the (weighted) events observed less those expected
    on active.
    """

    ln_hazard_ratio: FloatArray
    se: FloatArray
    p_cox: FloatArray
    p_log_rank: FloatArray
    p_wilcoxon: FloatArray
    observed_minus_expected: FloatArray
    observed_minus_expected_wilcoxon: FloatArray
    cox_status: CodeArray
    log_rank_status: CodeArray


Results = dict[str, OutcomeResult | TimeToEventResult]


def repeated_analysis(trials: Trials, analysis: Repeated) -> OutcomeResult:
    """ANCOVA after multiple imputation (and the joint rank test) on every trial of the block.

    The random numbers of the imputation follow from the analysis's id, so that leaving other analyses out of the
    plan changes nothing here.
    """
    weeks, y = change_from_baseline(trials, analysis.variable, analysis.week, log=analysis.log)
    rank = analysis.joint_rank
    week, died = trials.times_to("death")
    death_week = np.where(died & (week <= analysis.week), week, np.inf)
    visits, ranks, status, rank_status, _ = repeated.mi_ancova(
        y,
        trials.members(analysis.set),
        columns(trials, analysis.impute_with, analysis.variable, analysis.log),
        columns(trials, analysis.covariates, analysis.variable, analysis.log),
        death_week=death_week,
        rank_week=analysis.week if rank else float("nan"),
        rank_visit=len(weeks) - 1 if rank else -1,
        n_imputations=analysis.imputations,
        burn_in=analysis.burn_in,
        seed=trials.seed,
        first_replicate=trials.first_replicate,
        unit=zlib.crc32(analysis.id.encode()),
    )
    return OutcomeResult(weeks, visits[:, 0], ranks[:, 0], nothing(len(trials)), status[:, 0], rank_status[:, 0])


def time_to_event_data(trials: Trials, analysis: TimeToEvent) -> tuple[FloatArray, BoolArray, BoolArray]:
    """(trial, subject) times, event indicators up to the analysis week, and membership of the analysis set."""
    time, happened = trials.times_to(analysis.event)
    happened = happened & (time <= analysis.week)
    return np.minimum(time, analysis.week), happened, trials.members(analysis.set)


def _strata(trials: Trials, names: tuple[str, ...]) -> IntArray | None:
    """(trial, subject) codes of the combinations of ``names``."""
    code: IntArray | None = None
    for name in names:
        levels, own = np.unique(trials.baseline(name), return_inverse=True)
        own = own.reshape(trials.arm.shape).astype(np.int64)
        code = own if code is None else code * len(levels) + own
    return code


def time_to_event_analysis(trials: Trials, analysis: TimeToEvent) -> TimeToEventResult:
    """Log-rank and Wilcoxon tests within strata, and Cox regression, on every trial of the block."""
    time, event, members = time_to_event_data(trials, analysis)
    strata = _strata(trials, analysis.strata)
    tests = []
    for rho in (0.0, WILCOXON_RHO):
        observed, expected, variance, status = survival.log_rank(
            time, event, trials.arm, include=members, stratum=strata, rho=rho
        )
        excess = observed[:, 1] - expected[:, 1]
        with np.errstate(divide="ignore", invalid="ignore"):
            p = special.chdtrc(1.0, excess**2 / variance[:, 1, 1])
        tests.append((np.where(status == Status.OK, p, np.nan), excess, status))
    (p_log_rank, excess, log_rank_status), (p_wilcoxon, weighted_excess, _) = tests
    parts = [trials.arm.astype(np.float64)] + [trials.baseline(name) for name in analysis.covariates]
    beta, covariance, _, _, _, cox_status = cox(time, event, np.stack(parts, axis=-1), include=members)
    with np.errstate(divide="ignore", invalid="ignore"):
        se = np.sqrt(covariance[:, 0, 0])
        p_cox = special.chdtrc(1.0, (beta[:, 0] / se) ** 2)
    return TimeToEventResult(
        ln_hazard_ratio=beta[:, 0],
        se=se,
        p_cox=p_cox,
        p_log_rank=p_log_rank,
        p_wilcoxon=p_wilcoxon,
        observed_minus_expected=excess,
        observed_minus_expected_wilcoxon=weighted_excess,
        cox_status=cox_status,
        log_rank_status=log_rank_status,
    )


def analyse(trials: Trials, plan: AnalysisPlan) -> Results:
    """Every analysis of ``plan`` that has a kernel, on every trial of the block, by analysis id."""
    results: Results = {}
    for analysis in plan.compiled:
        if isinstance(analysis, Repeated):
            results[analysis.id] = repeated_analysis(trials, analysis)
        elif isinstance(analysis, TimeToEvent):
            results[analysis.id] = time_to_event_analysis(trials, analysis)
        else:
            results[analysis.id] = outcome_analysis(trials, analysis)
    return results
