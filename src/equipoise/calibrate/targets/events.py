"""Targets about events: counts by a week, Kaplan-Meier shares and medians, hazard ratios, items, adverse events."""

from __future__ import annotations

import math
from collections.abc import Iterator

from equipoise.calibrate.plan import EndpointRule, FitPlan
from equipoise.calibrate.targets.target import (
    SIMULATED_EVENTS,
    Target,
    arm_n,
    fit_sets,
    point_se,
    share,
    simulated_set,
    where,
)
from equipoise.plan.compiled import TimeToEvent
from equipoise.plan.key import Key
from equipoise.records.schema import Record, Result, Value
from equipoise.simulate.scenario import Scenario

_SPANS = ("days", "weeks", "months")


def event_targets(record: Record, scenario: Scenario, plan: FitPlan) -> Iterator[Target]:
    """Counts of the record's events by a week."""
    for row in record.events:
        rule = plan.endpoints.get(row.endpoint)
        if rule is None or row.week is None or row.week > scenario.protocol.last_week:
            continue
        for group, by_arm in row.values.items():
            simulated = simulated_set(plan, group)
            for arm, value in by_arm.items():
                if arm not in scenario.protocol.arms or value.value is None or not value.usable:
                    continue
                total = value.total or arm_n(record, group, arm)
                measure = Key(rule.kind, variable=rule.event, set=simulated, arm=arm, week=row.week)
                block = _block(rule, scenario, simulated, arm)
                count = float(value.value)
                yield share(
                    measure,
                    row.label,
                    row.endpoint,
                    value,
                    count,
                    int(total),
                    row.id,
                    block,
                    restates=_restates(rule, arm),
                )


def _restates(rule: EndpointRule, arm: str | None) -> bool:
    return rule.restates and (rule.arms is None or arm in rule.arms)


def _block(rule: EndpointRule, scenario: Scenario, group: str, arm: str) -> str | None:
    fitted = group in fit_sets(scenario) and (rule.arms is None or arm in rule.arms)
    return rule.block if fitted else None


def time_targets(record: Record, scenario: Scenario, plan: FitPlan, result: Result) -> Iterator[Target]:
    """Shares free of the event, medians, hazard ratio and P values of one time-to-event result."""
    rule = plan.endpoints[result.outcome]
    if rule.kind != "event_share":
        return
    group = simulated_set(plan, result.set)
    if result.role == "main" or result.week is not None:
        yield from _arms(record, scenario, result, rule, group)
    analysis = _analysis(record, scenario, result, rule.event, group)
    if analysis is None:
        return
    label = record.outcome(result.outcome).label
    c = result.contrast
    if c is not None and c.value is not None and c.kind == "hazard_ratio":
        se = point_se(float(c.value), c.se, c.low, c.high, True)
        yield Target(
            key=Key("contrast", analysis=analysis.id),
            quantity=f"{label}, hazard ratio",
            subject=label,
            outcome=result.outcome,
            method=result.method,
            unit="",
            scale="hazard_ratio",
            value=math.log(c.value),
            low=c.low,
            high=c.high,
            se=se,
            ln=True,
            result=result.id,
            where=where(c),
            restates=_restates(rule, None),
        )
    for p in result.p:
        test = plan.tests.get(p.method)
        if test not in ("p_log_rank", "p_wilcoxon", "p_cox") or p.value is None or p.relation != "=":
            continue
        yield Target(
            key=Key(test, analysis=analysis.id),
            quantity=f"{label}, P value",
            unit="",
            scale="p",
            value=float(p.value),
            outcome=result.outcome,
            method=p.method,
            result=result.id,
            where=where(p),
            restates=_restates(rule, None),
        )


def _analysis(record: Record, scenario: Scenario, result: Result, event: str, group: str) -> TimeToEvent | None:
    """The plan's time-to-event analysis of a result; one without a week is that of the whole follow-up."""
    follow_up = scenario.protocol.follow_up
    week = result.week if result.week is not None else follow_up.last if follow_up else None
    for analysis in scenario.plan.compiled:
        if (
            isinstance(analysis, TimeToEvent)
            and (analysis.event, analysis.set, analysis.week) == (event, group, week)
            and bool(scenario.package.marker.covariates & set(analysis.covariates))
            == record.method(result.method).adjusts_nfl
        ):
            return analysis
    return None


def _arms(record: Record, scenario: Scenario, result: Result, rule: EndpointRule, group: str) -> Iterator[Target]:
    """What a result says of each arm: a count, a Kaplan-Meier percentage, or a median."""
    label = record.outcome(result.outcome).label
    late = result.comparison == "early_delayed"
    for arm, value in result.arms.items():
        if value.value is None or arm not in scenario.protocol.arms:
            continue
        number = float(value.value)
        block = None if late else _block(rule, scenario, group, arm)
        if value.unit in _SPANS:
            yield Target(
                key=Key("median_survival", variable=rule.event, statistic=value.unit, set=group, arm=arm),
                quantity=f"{label}, median",
                outcome=result.outcome,
                method=result.method,
                unit=value.unit,
                scale="median",
                value=number,
                se=value.se,
                low=value.low,
                high=value.high,
                result=result.id,
                where=where(value),
            )
        elif result.week is None or result.week > scenario.protocol.last_week:
            continue
        elif value.total and rule.complement:
            measure = Key("survival", variable=rule.event, set=group, arm=arm, week=result.week)
            yield share(
                measure,
                label,
                result.outcome,
                value,
                number,
                int(value.total),
                result.id,
                block,
                restates=_restates(rule, arm),
            )
        elif value.total and late and result.week in scenario.protocol.visits:
            measure = Key("event_share", variable=rule.event, set=group, arm=arm, week=result.week)
            yield share(measure, label, result.outcome, value, number, int(value.total), result.id, None)
        elif value.unit == "%":
            se = None if value.se is None else float(value.se) / 100
            yield Target(
                key=Key("survival", variable=rule.event, set=group, arm=arm, week=result.week),
                quantity=f"{label}, free of it",
                outcome=result.outcome,
                method=result.method,
                unit="share",
                scale="percent",
                value=1 - number / 100,
                se=se,
                fit_se=se,
                result=result.id,
                block=block if se is not None else None,
                restates=_restates(rule, arm),
                where=where(value),
            )


def item_targets(record: Record, scenario: Scenario, plan: FitPlan) -> Iterator[Target]:
    """Single numbers of the record's items; correlations and slopes are those of the control arm."""
    for rule in plan.items:
        item = next((i for i in record.items if i.id == rule.item), None)
        value = item.values.get(rule.key) if item is not None else None
        if value is None or not value.usable:
            continue
        if rule.kind in ("correlation", "slope"):
            arm: str | None = rule.arm or scenario.protocol.arms[0]
            week: float | None = rule.week or scenario.protocol.period_end
        else:
            arm, week = rule.arm, rule.week
        if value.percent is not None and value.value is None and value.n:
            measure = Key(rule.kind, variable=rule.variable, set=rule.set, arm=arm, week=week)
            count = value.n * float(value.percent) / 100
            yield share(measure, rule.quantity, rule.variable, value, count, int(value.n), rule.item, rule.block)
            continue
        if value.value is None:
            continue
        number, se = float(value.value), _item_se(value, rule.kind)
        correlation = rule.kind == "correlation"
        yield Target(
            key=Key(rule.kind, variable=rule.variable, statistic=rule.statistic, set=rule.set, arm=arm, week=week),
            quantity=f"ALSFRS-R: {rule.quantity}",
            outcome="ALSFRS",
            method="descriptive",
            unit="" if correlation else "points/month" if rule.kind == "slope" else value.unit or "",
            scale="correlation" if correlation else "mean",
            value=number,
            se=se,
            fit_se=rule.weight if se is None else se,
            result=rule.item,
            block=rule.block,
            where=where(value),
        )


def _item_se(value: Value, kind: str) -> float | None:
    if kind == "correlation":
        return (1 - float(value.value or 0) ** 2) / math.sqrt((value.n or 33) - 1)
    if value.se is None and value.sd is not None and value.n:
        return float(value.sd) / math.sqrt(value.n)
    return value.se


def adverse_event_targets(record: Record, scenario: Scenario) -> Iterator[Target]:
    """Patients with an adverse event, of those that virtual patients have."""
    for event in record.adverse_events:
        if event.category not in SIMULATED_EVENTS or event.id not in scenario.adverse_events:
            continue
        for arm, value in event.arms.items():
            if value.value is None or not value.total or arm not in scenario.protocol.arms:
                continue
            measure = Key("adverse_event_share", variable=event.id, set="ITT", arm=arm)
            count, total = float(value.value), int(value.total)
            yield share(measure, event.term, "AE", value, count, total, event.id, "adverse events")
