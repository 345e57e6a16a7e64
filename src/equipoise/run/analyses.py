"""The analysis plan carried out on a block of virtual trials."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from scipy import special

from equipoise.kernels import repeated, survival
from equipoise.protocol import AnalysisPlan, Repeated, TimeToEvent
from equipoise.trial import EVENT_NONE, Trials
from equipoise.types import BoolArray, CodeArray, FloatArray, Status


@dataclass(frozen=True, eq=False)
class RepeatedResult:
    """A repeated analysis of every trial of a block.

    visits : (trial, visit, stat) as :data:`equipoise.kernels.repeated.N_STATS`, post-baseline visits only.
    ranks : (trial, stat) the joint rank test, NaN where the plan asks for none.
    """

    weeks: FloatArray
    visits: FloatArray
    ranks: FloatArray
    status: CodeArray
    rank_status: CodeArray

    def at(self, week: float) -> int:
        return int(np.flatnonzero(np.isclose(self.weeks, week))[0])


@dataclass(frozen=True, eq=False)
class TimeToEventResult:
    """Log-rank and Cox of every trial of a block; NaN where not estimable, the status codes say why."""

    ln_hazard_ratio: FloatArray
    se: FloatArray
    p_cox: FloatArray
    p_log_rank: FloatArray
    cox_status: CodeArray
    log_rank_status: CodeArray


Results = dict[str, RepeatedResult | TimeToEventResult]


def _columns(trials: Trials, names: tuple[str, ...], outcome: str, log: bool) -> FloatArray:
    ones = np.ones(trials.arm.shape)
    parts = [ones, trials.arm.astype(np.float64)]
    for name in names:
        values = trials.baseline(outcome if name == "BASE" else name)
        parts.append(np.log(values) if name == "BASE" and log else values)
    return np.stack(parts, axis=-1)


def change_from_baseline(trials: Trials, outcome: str, week: float, *, log: bool) -> tuple[FloatArray, FloatArray]:
    """Weeks and (trial, subject, visit) changes, or log ratios, at the post-baseline visits up to ``week``."""
    values = trials.outcomes[outcome]
    if log:
        values = np.log(values)
    last = trials.visit_index(week)
    return trials.weeks[1 : last + 1], values[:, :, 1 : last + 1] - values[:, :, :1]


def repeated_analysis(trials: Trials, analysis: Repeated, *, imputations: int) -> RepeatedResult:
    """ANCOVA after multiple imputation (and the joint rank test) on every trial of the block.

    The random numbers of the imputation follow from the analysis's id, so that leaving other analyses out of the
    plan changes nothing here.
    """
    weeks, y = change_from_baseline(trials, analysis.variable, analysis.week, log=analysis.log)
    rank = analysis.joint_rank
    death_week = np.where(trials.death & (trials.death_week <= analysis.week), trials.death_week, np.inf)
    visits, ranks, status, rank_status, _ = repeated.mi_ancova(
        y,
        trials.members(analysis.set),
        _columns(trials, analysis.impute_with, analysis.variable, analysis.log),
        _columns(trials, analysis.covariates, analysis.variable, analysis.log),
        death_week=death_week,
        rank_week=analysis.week if rank else float("nan"),
        rank_visit=len(weeks) - 1 if rank else -1,
        n_imputations=imputations,
        seed=trials.seed,
        first_replicate=trials.first_replicate,
        unit=zlib.crc32(analysis.id.encode()),
    )
    return RepeatedResult(weeks, visits[:, 0], ranks[:, 0], status[:, 0], rank_status[:, 0])


def time_to_event_data(trials: Trials, analysis: TimeToEvent) -> tuple[FloatArray, BoolArray, BoolArray]:
    """(trial, subject) times, event indicators up to the analysis week, and membership of the analysis set."""
    if analysis.event == "death":
        time, happened = trials.death_week, trials.death
    else:
        time, happened = trials.event_week, trials.event != EVENT_NONE
    happened = happened & (time <= analysis.week)
    return np.minimum(time, analysis.week), happened, trials.members(analysis.set)


def time_to_event_analysis(trials: Trials, analysis: TimeToEvent) -> TimeToEventResult:
    """Log-rank, stratified by riluzole or edaravone use, and Cox regression, on every trial of the block."""
    time, event, members = time_to_event_data(trials, analysis)
    observed, expected, variance, log_rank_status = survival.log_rank(
        time, event, trials.arm, include=members, stratum=trials.baseline("RILEDAFL")
    )
    columns = [trials.arm.astype(np.float64)] + [trials.baseline(name) for name in analysis.covariates]
    beta, covariance, _, _, _, cox_status = survival.cox(time, event, np.stack(columns, axis=-1), include=members)
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = (observed[:, 1] - expected[:, 1]) ** 2 / variance[:, 1, 1]
        se = np.sqrt(covariance[:, 0, 0])
        p_cox = special.chdtrc(1.0, (beta[:, 0] / se) ** 2)
    return TimeToEventResult(
        ln_hazard_ratio=beta[:, 0],
        se=se,
        p_cox=p_cox,
        p_log_rank=np.where(log_rank_status == Status.OK, special.chdtrc(1.0, statistic), np.nan),
        cox_status=cox_status,
        log_rank_status=log_rank_status,
    )


def analyse(trials: Trials, plan: AnalysisPlan) -> Results:
    """Every analysis of ``plan`` on every trial of the block, by analysis id."""
    results: Results = {}
    for analysis in plan.analyses:
        if isinstance(analysis, Repeated):
            results[analysis.id] = repeated_analysis(trials, analysis, imputations=plan.imputations)
        else:
            results[analysis.id] = time_to_event_analysis(trials, analysis)
    return results
