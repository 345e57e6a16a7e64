"""Targets about measured outcomes: curves, and results of the analyses of the plan."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from equipoise.calibrate.plan import FitPlan
from equipoise.calibrate.targets.target import Target, arm_n, fit_sets, point_se, simulated_set, where
from equipoise.plan.compiled import DelayedStart, OutcomeForm, TimeToEvent
from equipoise.plan.key import Key, Quantity
from equipoise.records.schema import Record, Result, Value
from equipoise.simulate.scenario import Scenario

_KIND_OF_TEST = {"p_joint_rank": "repeated", "p_mmrm": "mmrm", "p_slope": "slopes"}


def _analysis(
    scenario: Scenario, kind: str, outcome: str, group: str, week: float, *, adjusted: bool, late: bool
) -> OutcomeForm | None:
    """The plan's analysis of an outcome in a set that covers ``week``: planned, or adjusted for the marker."""
    end, marker = scenario.protocol.period_end, scenario.package.marker
    for analysis in scenario.plan.compiled:
        if (
            not isinstance(analysis, TimeToEvent | DelayedStart)
            and analysis.kind == kind
            and (analysis.variable, analysis.set) == (outcome, group)
            and (analysis.week > end) == late
            and week <= analysis.week
            and bool(marker.covariates & set(analysis.covariates)) == (adjusted and outcome != marker.outcome)
        ):
            return analysis
    return None


@dataclass(frozen=True)
class _Rules:
    """Which block a number of one result or curve is fitted in."""

    scenario: Scenario
    plan: FitPlan
    outcome: str
    method: str
    group: str
    fitted: bool

    def block(self, kind: Quantity, arm: str | None) -> str | None:
        if not self.fitted or self.group not in fit_sets(self.scenario):
            return None
        for rule in self.plan.outcomes:
            if (
                rule.outcome == self.outcome
                and (rule.methods is None or self.method in rule.methods)
                and (rule.kinds is None or kind in rule.kinds)
                and (rule.arms is None or arm in rule.arms)
            ):
                return rule.block
        return None

    def restates(self, arm: str | None) -> bool:
        """Whether this outcome is fitted in that arm (None: in both), so that other numbers say the same again."""
        return any(r.outcome == self.outcome and (r.arms is None or arm in r.arms) for r in self.plan.outcomes)


def curve_targets(record: Record, scenario: Scenario, plan: FitPlan) -> Iterator[Target]:
    """Every point of every curve that an analysis of the plan covers."""
    for curve in record.curves:
        if (
            curve.measure not in ("adjusted_mean_change", "geometric_mean_ratio")
            or curve.arm not in scenario.protocol.arms
        ):
            continue
        late = curve.comparison == "early_delayed"
        adjusted = (scenario.package.marker.outcome or " ").lower() in curve.method
        ln = curve.measure == "geometric_mean_ratio"
        label = record.outcome(curve.outcome).label
        group = simulated_set(plan, curve.set)
        rules = _Rules(scenario, plan, curve.outcome, curve.method, group, fitted=not (adjusted or late))
        typical = [s for p in curve.points() if (s := point_se(p.value, p.se, p.low, p.high, ln)) is not None]
        for point in curve.points():
            if point.week == 0 or point.week not in scenario.protocol.visits:
                continue
            kind = plan.methods.get(curve.method, "repeated")
            analysis = _analysis(scenario, kind, curve.outcome, group, point.week, adjusted=adjusted, late=late)
            if analysis is None:
                continue
            se = point_se(point.value, point.se, point.low, point.high, ln)
            yield Target(
                key=Key("arm_mean", analysis=analysis.id, arm=curve.arm, week=point.week),
                quantity=f"{label}, " + ("ratio to baseline" if ln else "change"),
                outcome=curve.outcome,
                method=curve.method,
                unit="" if ln else (record.outcome(curve.outcome).unit or ""),
                scale="gmr" if ln else "mean",
                value=math.log(point.value) if ln else point.value,
                low=point.low,
                high=point.high,
                se=se,
                fit_se=se if se is not None else (typical[0] if typical else None),
                ln=ln,
                where=where(point),
                result=curve.id,
                block=rules.block("arm_mean", curve.arm),
                restates=rules.restates(curve.arm),
            )


def outcome_targets(record: Record, scenario: Scenario, plan: FitPlan, result: Result) -> Iterator[Target]:
    """Arms, contrast, its standard error and P values of one result."""
    if result.week not in scenario.protocol.visits or result.role != "main" or result.subset is not None:
        return
    if result.measure in ("mean_change", "mean"):
        yield from _observed(record, scenario, plan, result)
        return
    kind = plan.methods.get(result.method)
    late = result.comparison == "early_delayed"
    adjusted = record.method(result.method).adjusts_nfl
    group = simulated_set(plan, result.set)
    ask = {"adjusted": adjusted, "late": late}
    analysis = None if kind is None else _analysis(scenario, kind, result.outcome, group, result.week, **ask)
    rules = _Rules(scenario, plan, result.outcome, result.method, group, fitted=not (adjusted or late))
    if analysis is not None:
        yield from _estimates(record, rules, result, analysis)
    elif kind is None:
        return
    for p in result.p:
        test = plan.tests.get(p.method)
        if test == "p_ancova" and p.method != result.method:
            continue
        if p.relation != "=":
            continue  # "P < 0.0001" is a bound, no value to compare with
        if test is None or p.value is None:
            continue
        own = _KIND_OF_TEST.get(test, kind)
        of = analysis
        if analysis is None or own != analysis.kind:
            of = _analysis(scenario, str(own), result.outcome, group, result.week, **ask)
        if of is None or (test == "p_joint_rank" and not getattr(of, "joint_rank", False)):
            continue
        yield Target(
            key=Key(test, analysis=of.id, week=result.week if test == "p_ancova" else None),
            quantity=f"{record.outcome(result.outcome).label}, P value",
            unit="",
            scale="p",
            value=float(p.value),
            outcome=result.outcome,
            method=p.method,
            result=result.id,
            where=where(p),
            restates=rules.restates(None),
        )


def _observed(record: Record, scenario: Scenario, plan: FitPlan, result: Result) -> Iterator[Target]:
    """Means and SDs of what was seen, without a model."""
    kind: Quantity = "observed_change" if result.measure == "mean_change" else "observed_level"
    outcome = record.outcome(result.outcome)
    word = "observed change" if kind == "observed_change" else "observed mean"
    group = simulated_set(plan, result.set)
    rules = _Rules(scenario, plan, result.outcome, result.method, group, fitted=True)

    def target(value: float, se: float | None, sourced: Value, arm: str | None, sd: bool = False) -> Target:
        return Target(
            key=Key(
                kind, variable=result.outcome, statistic="sd" if sd else None, set=group, arm=arm, week=result.week
            ),
            quantity=f"{outcome.label}, {word}"
            + (", SD" if sd else ", difference between the arms" if not arm else ""),
            subject=f"{outcome.label}, {word}",
            unit=outcome.unit or "",
            scale="mean" if arm else "difference",
            value=value,
            se=se,
            fit_se=se,
            block=rules.block(kind, arm),
            restates=rules.restates(arm),
            outcome=result.outcome,
            method=result.method,
            result=result.id,
            where=where(sourced),
        )

    squares = []
    for arm, value in result.arms.items():
        if arm not in scenario.protocol.arms or value.value is None:
            continue
        n = value.n or arm_n(record, result.set, arm)
        se = value.se if value.se is not None else None if value.sd is None else float(value.sd) / math.sqrt(n)
        squares.append(None if se is None else se**2)
        yield target(float(value.value), se, value, arm)
        if value.sd is not None:
            yield target(float(value.sd), float(value.sd) / math.sqrt(2 * (n - 1)), value, arm, sd=True)
    contrast = result.contrast
    if contrast is not None and contrast.value is not None and contrast.kind == "difference":
        both = None if len(squares) != 2 or None in squares else math.sqrt(sum(s for s in squares if s is not None))
        se = point_se(float(contrast.value), contrast.se, contrast.low, contrast.high, False)
        yield target(float(contrast.value), both if se is None else se, contrast, None)


def _estimates(record: Record, rules: _Rules, result: Result, analysis: OutcomeForm) -> Iterator[Target]:
    """Arms and contrast of an analysis of the plan, with the standard error of the contrast."""
    outcome = record.outcome(result.outcome)
    ln = result.measure == "geometric_mean_ratio"
    slope = result.measure == "rate_of_change"
    arm_kind: Quantity = "arm_slope" if slope else "arm_mean"
    unit = "" if ln else f"{outcome.unit or ''}/month" if slope else (outcome.unit or "")
    word = "ratio to baseline" if ln else "change a month" if slope else "change"
    if result.measure == "adjusted_mean":
        word = "mean"
    for arm, value in result.arms.items():
        if arm not in rules.scenario.protocol.arms or value.value is None:
            continue
        se = point_se(float(value.value), value.se, value.low, value.high, ln)
        yield Target(
            key=Key(arm_kind, analysis=analysis.id, arm=arm, week=None if slope else result.week),
            quantity=f"{outcome.label}, {word}",
            unit=unit,
            scale="gmr" if ln else "mean",
            value=math.log(value.value) if ln else float(value.value),
            low=value.low,
            high=value.high,
            se=se,
            fit_se=se if se is not None else _borrowed_se(result, ln),
            block=rules.block(arm_kind, arm),
            restates=rules.restates(arm),
            outcome=result.outcome,
            method=result.method,
            result=result.id,
            ln=ln,
            where=where(value),
        )
        if slope and value.se is not None:
            yield Target(
                key=Key("arm_slope_se", analysis=analysis.id, arm=arm),
                quantity=f"{outcome.label}, standard error of the slope",
                unit=unit,
                scale="se",
                value=float(value.se),
                fit_se=float(value.se) / math.sqrt(2 * (arm_n(record, result.set, arm) - 1)),
                block=rules.block("arm_slope_se", arm),
                restates=rules.restates(arm),
                outcome=result.outcome,
                method=result.method,
                result=result.id,
                where=where(value),
            )
    contrast = result.contrast
    if contrast is None or contrast.value is None:
        return
    ln = contrast.kind != "difference"
    se = point_se(float(contrast.value), contrast.se, contrast.low, contrast.high, ln)
    kind: Quantity = "slope_difference" if slope else "contrast"
    what = "ratio of the arms" if ln else "difference between the arms"
    week = None if slope else result.week
    yield Target(
        key=Key(kind, analysis=analysis.id, week=week),
        quantity=f"{outcome.label}, " + (f"{word}, {what}" if slope else what),
        subject=f"{outcome.label}, {word}" if slope else outcome.label,
        unit=unit,
        scale="ratio" if ln else "difference",
        value=math.log(contrast.value) if ln else float(contrast.value),
        low=contrast.low,
        high=contrast.high,
        se=se,
        fit_se=se,
        block=rules.block(kind, None),
        restates=rules.restates(None),
        outcome=result.outcome,
        method=result.method,
        result=result.id,
        ln=ln,
        where=where(contrast),
    )
    if se is None:
        return
    # the sampling SD of a standard error on the degrees of freedom that the set leaves
    n = sum(arm_n(record, result.set, arm) for arm in rules.scenario.protocol.arms)
    df = n - 2 - len(analysis.covariates)
    se_kind: Quantity = "slope_difference_se" if slope else "contrast_se"
    yield Target(
        key=Key(se_kind, analysis=analysis.id, week=week),
        quantity=f"{outcome.label}, standard error of the " + ("difference in slopes" if slope else "difference"),
        unit="ln units" if ln else unit,
        scale="se",
        value=se,
        fit_se=se / math.sqrt(2 * df),
        block=rules.block(se_kind, None),
        restates=rules.restates(None),
        outcome=result.outcome,
        method=result.method,
        result=result.id,
        where=where(contrast),
    )


def _borrowed_se(result: Result, ln: bool) -> float | None:
    """For an arm printed without a standard error: the contrast's, shared out over two arms."""
    c = result.contrast
    if c is None or c.value is None:
        return None
    se = point_se(float(c.value), c.se, c.low, c.high, ln)
    return None if se is None else se * math.sqrt(0.5)
