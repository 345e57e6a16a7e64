"""Reading measures off a block of trials and their analyses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata

from equipoise.errors import ScenarioError
from equipoise.kernels import repeated
from equipoise.protocol import Measure
from equipoise.run.analyses import RepeatedResult, Results, TimeToEventResult
from equipoise.trial import EVENT_NONE, Trials
from equipoise.types import WEEKS_PER_MONTH, BoolArray, FloatArray


def read(trials: Trials, results: Results, measures: Sequence[Measure]) -> FloatArray:
    """(trial, measure) values; NaN where a trial has none. Ratios are on the natural log scale."""
    return np.stack([_one(trials, results, m) for m in measures], axis=1)


def _one(trials: Trials, results: Results, m: Measure) -> FloatArray:
    if m.analysis is not None:
        if m.analysis not in results:
            raise ScenarioError(f"measure {m.id}: the plan has no analysis {m.analysis!r}")
        result = results[m.analysis]
        return _of_repeated(trials, result, m) if isinstance(result, RepeatedResult) else _of_times(result, m)
    who = _who(trials, m)
    match m.kind:
        case "baseline":
            return _baseline(trials, who, m)
        case "event_share":
            return _share(_happened(trials, str(m.variable), float(m.week or 0)), who)
        case "adverse_event_share":
            return _share(trials.adverse_events[str(m.variable)], who)
        case "observed_share":
            v = trials.visit_index(float(m.week or 0))
            return _share(~np.isnan(trials.outcomes[str(m.variable)][:, :, v]), who)
        case "no_loss_share":
            # of everyone, as it was published: who was not observed counts as a loss
            return _share(_change(trials, float(m.week or 0)) >= 0, who)
        case "correlation":
            return _correlation(trials, who, m)
        case "slope":
            return _masked_mean(_slopes(trials, float(m.week or 0)), who)
    raise ScenarioError(f"measure {m.id}: {m.kind!r} needs an analysis")


def _of_repeated(trials: Trials, result: RepeatedResult, m: Measure) -> FloatArray:
    if m.kind in ("p_joint_rank", "rank_difference"):
        table = result.ranks
    else:
        table = result.visits[:, result.at(float(m.week if m.week is not None else result.weeks[-1]))]
    if m.kind in ("p_ancova", "p_joint_rank"):
        p = repeated.p_value(
            table[:, repeated.DIFFERENCE], table[:, repeated.DIFFERENCE_SE], table[:, repeated.DIFFERENCE_DF]
        )
        return np.asarray(p, dtype=np.float64)
    active = m.arm == trials.arms[1]
    column = {
        "arm_mean": repeated.ACTIVE if active else repeated.CONTROL,
        "arm_se": repeated.ACTIVE_SE if active else repeated.CONTROL_SE,
        "contrast": repeated.DIFFERENCE,
        "rank_difference": repeated.DIFFERENCE,
        "contrast_se": repeated.DIFFERENCE_SE,
    }[m.kind]
    return np.asarray(table[:, column], dtype=np.float64)


def _of_times(result: TimeToEventResult, m: Measure) -> FloatArray:
    return {
        "contrast": result.ln_hazard_ratio,
        "contrast_se": result.se,
        "p_cox": result.p_cox,
        "p_log_rank": result.p_log_rank,
    }[m.kind]


def _who(trials: Trials, m: Measure) -> BoolArray:
    who = trials.members(m.set or "ITT")
    return who if m.arm is None else who & (trials.arm == trials.arms.index(m.arm))


def _masked_mean(values: FloatArray, who: BoolArray) -> FloatArray:
    use = who & ~np.isnan(values)
    count = use.sum(axis=1)
    total = np.where(use, values, 0.0).sum(axis=1)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan))


def _share(happened: BoolArray, who: BoolArray) -> FloatArray:
    return _masked_mean(happened.astype(np.float64), who)


def _baseline(trials: Trials, who: BoolArray, m: Measure) -> FloatArray:
    values = trials.published_baseline(str(m.variable))
    if m.statistic == "geometric_mean":
        return _masked_mean(np.log(values), who)
    if m.statistic == "log_sd":
        values = np.log(values)
    mean = _masked_mean(values, who)
    if m.statistic == "mean":
        return mean
    if m.statistic in ("sd", "log_sd"):
        count = who.sum(axis=1)
        squares = np.where(who, (values - mean[:, None]) ** 2, 0.0).sum(axis=1)
        return np.asarray(np.sqrt(squares / np.maximum(count - 1, 1)))
    if m.statistic == "median":
        return np.asarray(np.nanmedian(np.where(who, values, np.nan), axis=1))
    raise ScenarioError(f"measure {m.id}: unknown statistic {m.statistic!r}")


def _happened(trials: Trials, event: str, week: float) -> BoolArray:
    if event == "death":
        return np.asarray(trials.death & (trials.death_week <= week))
    if event == "death_or_ventilation":
        return np.asarray((trials.event != EVENT_NONE) & (trials.event_week <= week))
    if event == "left":
        return np.asarray(trials.last_week < week)
    if event == "entered":
        return trials.entered_extension
    raise ScenarioError(f"unknown event {event!r}", hint="choose death, death_or_ventilation, left or entered")


def _change(trials: Trials, week: float) -> FloatArray:
    score = trials.outcomes["ALSFRS"]
    return np.asarray(score[:, :, trials.visit_index(week)] - score[:, :, 0])


def _correlation(trials: Trials, who: BoolArray, m: Measure) -> FloatArray:
    x = trials.published_baseline(str(m.variable))
    y = _change(trials, float(m.week or 0))
    out = np.full(len(trials), np.nan)
    for i in range(len(trials)):
        use = who[i] & ~np.isnan(y[i])
        a, b = x[i, use], y[i, use]
        if use.sum() < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
            continue
        if m.statistic == "spearman":
            a, b = rankdata(a), rankdata(b)
        out[i] = np.corrcoef(a, b)[0, 1]
    return out


def _slopes(trials: Trials, week: float) -> FloatArray:
    """(trial, subject) least-squares slope of ALSFRS-R on time up to ``week``, points per month."""
    last = trials.visit_index(week)
    t = trials.weeks[: last + 1] / WEEKS_PER_MONTH
    y = trials.outcomes["ALSFRS"][:, :, : last + 1]
    seen = ~np.isnan(y)
    n = seen.sum(axis=2)
    t_mean = (seen * t).sum(axis=2) / n
    y0 = np.where(seen, y, 0.0)
    y_mean = y0.sum(axis=2) / n
    d = np.where(seen, t - t_mean[:, :, None], 0.0)
    sxx = (d * d).sum(axis=2)
    sxy = (d * (y0 - y_mean[:, :, None])).sum(axis=2)
    slope: FloatArray = np.where(sxx > 0, sxy / np.where(sxx > 0, sxx, 1.0), np.nan)
    return slope
