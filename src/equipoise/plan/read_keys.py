"""Reading measures off a block of trials and their analyses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from equipoise.errors import ScenarioError
from equipoise.estimate.survival.kernels import kaplan_meier
from equipoise.plan.analysis_plan import Analysis
from equipoise.plan.block import BlockEstimates
from equipoise.plan.compiled import Lowered, TimeToEvent
from equipoise.plan.key import Key
from equipoise.plan.methods import REGISTRY
from equipoise.plan.scenario_plan import AnalysisPlan
from equipoise.plan.trial_estimates import TrialEstimates
from equipoise.trial import Trials
from equipoise.types import DAYS_PER_WEEK, WEEKS_PER_MONTH, BoolArray, FloatArray, Status

WEEKS_PER_UNIT = {"days": 1.0 / DAYS_PER_WEEK, "weeks": 1.0, "months": WEEKS_PER_MONTH}


def read(
    trials: Trials,
    measures: Sequence[Key],
    plan: AnalysisPlan | None = None,
    results: Mapping[Key, TrialEstimates] | None = None,
    sections: BlockEstimates | None = None,
) -> FloatArray:
    """(trial, measure) values; NaN where a trial has none. Ratios are on the natural log scale.

    plan, results : what was analysed, and what :func:`equipoise.plan.block.analyse` found.
    sections : the numbers of sections of the plan (:func:`equipoise.plan.block.block`), where measures ask for some; a
    ratio among them is a ratio, its standard error that of the logarithm.
    """
    curves = _survival(trials, measures)
    forms = {} if plan is None else {analysis.id: (analysis, found) for analysis, found in plan.lowered()}

    def one(m: Key) -> FloatArray:
        if m in curves:
            return curves[m]
        if m.of_section:
            return _of_section(trials, sections, m)
        if m.analysis is None:
            return _of_trial(trials, m)
        if m.analysis not in forms:
            raise ScenarioError(f"measure {m.id}: the plan has no analysis {m.analysis!r} that a kernel carries out")
        key, number = own_key(*forms[m.analysis], m, trials.arms)
        return (results or {})[key].number(number)

    return np.stack([one(m) for m in measures], axis=1)


_OF_TIMES = {
    "contrast": ("cox", "hazard_ratio"),
    "p_cox": ("cox", "hazard_ratio"),
    "p_log_rank": ("log_rank", "log_rank"),
    "p_wilcoxon": ("wilcoxon", "fleming_harrington"),
    "observed_minus_expected": ("log_rank", "log_rank"),
    "observed_minus_expected_wilcoxon": ("wilcoxon", "fleming_harrington"),
}
"""Quantity of a key -> the test of times, and the quantity under which its block gives it."""


_OF_SLOPES = {"arm_slope": "slope", "slope_difference": "slope_difference", "p_slope": "slope_difference"}


def own_key(analysis: Analysis, found: Lowered, m: Key, arms: Sequence[str]) -> tuple[Key, str]:
    """A key as records and targets write it -> the key under which the method's block gives it, and what of it.

    Raises
    ------
    ScenarioError : the analysis has no such number.
    """
    number = "p" if m.quantity.startswith("p_") else "se" if m.quantity.endswith("_se") else "value"
    kind, form = m.quantity.removesuffix("_se"), found.form
    arm: str | None = arms[1]
    visit: str | None = None
    if isinstance(form, TimeToEvent):
        test, quantity = _OF_TIMES.get(kind, ("", ""))
        arm = arm if test == "cox" else None
    elif kind in ("p_joint_rank", "rank_difference"):
        test, quantity = "joint_rank", "rank_difference"
    else:
        test = next((t for t in form.tests if t != "joint_rank"), "")
        arm = m.arm if kind in ("arm_mean", "arm_slope") else arm
        quantity = _OF_SLOPES.get(kind, "")
    if test not in found.places:
        raise ScenarioError(
            f"measure {m.id}: analysis {form.id!r} has no such number; its tests are {', '.join(form.tests)}"
        )
    if not quantity:
        section = analysis.sections[found.places[test] - 1]
        kernel = REGISTRY[section.kind].kernel
        assert kernel is not None
        names = kernel.names(section)
        quantity = names.mean if kind == "arm_mean" else names.difference
        visit = names.visit.format(form.week if m.week is None else m.week)
    return Key(quantity, analysis=form.id, section=found.places[test], arm=arm, visit=visit), number


def _of_section(trials: Trials, sections: BlockEstimates | None, m: Key) -> FloatArray:
    """A number of a section; a trial in which it is not estimable has none."""
    number, key = m.statistic or "estimate", replace(m, statistic=None)
    if sections is None or key not in sections.keys:
        lost = float(Status.NO_DATA) if number == "status" else np.nan
        return np.full(len(trials), lost)
    return sections.column(key, number).astype(np.float64)


def _survival(trials: Trials, measures: Sequence[Key]) -> dict[Key, FloatArray]:
    """Kaplan-Meier shares, the curve of each event, set and arm made once for all its weeks."""
    grouped: dict[tuple[str, str | None, str | None], list[Key]] = {}
    for m in measures:
        if m.quantity == "survival":
            grouped.setdefault((str(m.variable), m.set, m.arm), []).append(m)
    out: dict[Key, FloatArray] = {}
    for (event, _, _), ms in grouped.items():
        time, happened = trials.times_to(event)
        table = kaplan_meier.survival_at(time, happened, _who(trials, ms[0]), [float(m.week or 0) for m in ms])
        out.update({m: np.asarray(table[:, k]) for k, m in enumerate(ms)})
    return out


def _of_trial(trials: Trials, m: Key) -> FloatArray:
    """What is described of a trial itself, without an analysis."""
    who = _who(trials, m)
    match m.quantity:
        case "baseline":
            return _baseline(trials, who, m)
        case "event_share":
            happened = _happened(trials, str(m.variable), float(m.week or 0))
            if m.statistic == "difference":
                control, active = (_share(happened, who & (trials.arm == a)) for a in (0, 1))
                return active - control
            return _share(happened, who)
        case "median_survival":
            time, event = trials.times_to(str(m.variable))
            return np.asarray(kaplan_meier.quantile(time, event, who) / WEEKS_PER_UNIT[m.statistic or "weeks"])
        case "observed_change" | "observed_level":
            return _observed(trials, m)
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
    raise ScenarioError(f"measure {m.id}: {m.quantity!r} needs an analysis")


def _who(trials: Trials, m: Key) -> BoolArray:
    who = trials.members(m.set or "ITT")
    return who if m.arm is None else who & (trials.arm == trials.arms.index(m.arm))


def _masked_mean(values: FloatArray, who: BoolArray) -> FloatArray:
    use = who & ~np.isnan(values)
    count = use.sum(axis=1)
    total = np.where(use, values, 0.0).sum(axis=1)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan))


def _masked_sd(values: FloatArray, who: BoolArray) -> FloatArray:
    use = who & ~np.isnan(values)
    count = use.sum(axis=1)
    squares = np.where(use, (values - _masked_mean(values, who)[:, None]) ** 2, 0.0).sum(axis=1)
    return np.asarray(np.where(count > 1, np.sqrt(squares / np.maximum(count - 1, 1)), np.nan))


def _observed(trials: Trials, m: Key) -> FloatArray:
    """What was seen at a week, no model: mean or SD in an arm, or active less control of the means."""
    values = trials.outcomes[str(m.variable)]
    seen = values[:, :, trials.visit_index(float(m.week or 0))]
    if m.quantity == "observed_change":
        seen = seen - values[:, :, 0]
    if m.arm is None:
        members = trials.members(m.set or "ITT")
        control, active = (_masked_mean(seen, members & (trials.arm == a)) for a in (0, 1))
        return active - control
    who = _who(trials, m)
    return _masked_sd(seen, who) if m.statistic == "sd" else _masked_mean(seen, who)


def _share(happened: BoolArray, who: BoolArray) -> FloatArray:
    return _masked_mean(happened.astype(np.float64), who)


def _baseline(trials: Trials, who: BoolArray, m: Key) -> FloatArray:
    values = trials.published_baseline(str(m.variable))
    if m.statistic == "geometric_mean":
        return _masked_mean(np.log(values), who)
    if m.statistic == "log_sd":
        values = np.log(values)
    if m.statistic == "mean":
        return _masked_mean(values, who)
    if m.statistic in ("sd", "log_sd"):
        return _masked_sd(values, who)
    if m.statistic == "median":
        return np.asarray(np.nanmedian(np.where(who, values, np.nan), axis=1))
    raise ScenarioError(f"measure {m.id}: unknown statistic {m.statistic!r}")


def _happened(trials: Trials, event: str, week: float) -> BoolArray:
    if event == "left":
        return np.asarray(trials.last_week < week)
    if event == "entered":
        return trials.entered_extension
    time, happened = trials.times_to(event)
    return np.asarray(happened & (time <= week))


def _change(trials: Trials, week: float) -> FloatArray:
    score = trials.function
    return np.asarray(score[:, :, trials.visit_index(week)] - score[:, :, 0])


def _midranks(x: FloatArray) -> FloatArray:
    """Ranks from 1, equal values sharing their mean; SciPy's ``rankdata`` takes a quarter of a second to load."""
    _, place, count = np.unique(x, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(count) - 0.5 * (count - 1))[place])


def _correlation(trials: Trials, who: BoolArray, m: Key) -> FloatArray:
    x = trials.published_baseline(str(m.variable))
    y = _change(trials, float(m.week or 0))
    out = np.full(len(trials), np.nan)
    for i in range(len(trials)):
        use = who[i] & ~np.isnan(y[i])
        a, b = x[i, use], y[i, use]
        if use.sum() < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
            continue
        if m.statistic == "spearman":
            a, b = _midranks(a), _midranks(b)
        out[i] = np.corrcoef(a, b)[0, 1]
    return out


def _slopes(trials: Trials, week: float) -> FloatArray:
    """(trial, subject) least-squares slope of the main outcome on time up to ``week``, points per month."""
    last = trials.visit_index(week)
    t = trials.weeks[: last + 1] / WEEKS_PER_MONTH
    y = trials.function[:, :, : last + 1]
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
