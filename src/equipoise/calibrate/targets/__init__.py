"""The published numbers a scenario is fitted to and checked against, each with its measure and its standard error.

Which number is fitted in which block is said by the fit plan (:mod:`equipoise.calibrate.plan`). A target of a block is
used in the fit; one without a block is held as a check and never enters it. Everything after the randomised period is
a check, whatever the plan says.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from equipoise.calibrate.plan import FitPlan, load_plan
from equipoise.calibrate.targets.baseline import baseline_targets, share_targets
from equipoise.calibrate.targets.events import adverse_event_targets, event_targets, item_targets, time_targets
from equipoise.calibrate.targets.outcomes import curve_targets, outcome_targets
from equipoise.calibrate.targets.target import SET_BLOCKS, SIMULATED_EVENTS, Target, Use, Where
from equipoise.errors import RecordError
from equipoise.records.schema import Record
from equipoise.simulate.scenario import Scenario

__all__ = ["SET_BLOCKS", "SIMULATED_EVENTS", "Target", "Use", "Where", "targets"]


def targets(record: Record, scenario: Scenario, plan: FitPlan | None = None) -> tuple[Target, ...]:
    """Every published number of ``record`` that ``scenario`` can speak to, those used in the fit first.

    Raises
    ------
    RecordError
        If the record holds nothing to fit to.
    ScenarioError
        If no ``plan`` is given and the record has none.
    """
    plan = load_plan(record.id) if plan is None else plan
    end = scenario.protocol.period_end
    found = [
        _judged(t, _use(t, scenario, end))
        for t in _all(record, scenario, plan)
        if t.where.confidence != "recall" and (t.key.set is None or t.key.set in {*scenario.protocol.groups, "ITT"})
    ]
    unique = {t.id: t for t in reversed(found)}
    ordered = [t for t in found if unique[t.id] is t]
    if not any(t.used for t in ordered):
        raise RecordError(f"record {record.id!r} holds no number that scenario {scenario.name!r} could be fitted to")
    return tuple(sorted(ordered, key=lambda t: not t.used))


def _judged(t: Target, use: Use) -> Target:
    return replace(t, use=use, block=t.block if use in ("fit", "set") else None)


def _use(t: Target, scenario: Scenario, end: float) -> Use:
    week = t.key.week
    if week is None and t.key.analysis is not None:
        week = scenario.plan.analysis(t.key.analysis).week
    late = t.key.quantity == "median_survival" or (week is not None and week > end)
    if late:
        return "check"
    if t.block is not None:
        return "set" if t.block in SET_BLOCKS else "fit"
    return "restated" if t.restates else "check"


def _all(record: Record, scenario: Scenario, plan: FitPlan) -> Iterator[Target]:
    yield from baseline_targets(record, scenario, plan)
    yield from curve_targets(record, scenario, plan)
    for result in record.results:
        if result.outcome in plan.endpoints:
            yield from time_targets(record, scenario, plan, result)
        elif result.outcome in scenario.outcomes:
            yield from outcome_targets(record, scenario, plan, result)
    yield from event_targets(record, scenario, plan)
    yield from item_targets(record, scenario, plan)
    yield from share_targets(record, scenario, plan)
    yield from adverse_event_targets(record, scenario)
