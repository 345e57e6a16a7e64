"""Which numbers a test of the plan yields: its p-value, and the estimate whose sign says whom it favours."""

from __future__ import annotations

from typing import NamedTuple, cast

from equipoise.plan.measure import Kind, Measure
from equipoise.plan.scenario_plan import AnalysisPlan, OutcomeAnalysis, TimeToEvent


class Deciding(NamedTuple):
    """A test: its p-value, the estimate it tests, and the sign of an estimate that favours the active arm.

    For outcomes of which less is better the sign is the other one; that the plan does not know.
    """

    p: Measure
    estimate: Measure
    sign: int


def deciding(plan: AnalysisPlan, name: str) -> Deciding:
    """The numbers of a test named as in ``plan.order``, ``ANALYSIS.TEST``."""
    key, _, test = name.partition(".")
    return of_test(plan.analysis(key), test)


def of_test(analysis: OutcomeAnalysis | TimeToEvent, test: str) -> Deciding:
    """The numbers of one of the tests of an analysis."""
    key = analysis.id
    p = cast(Kind, f"p_{test}")
    match test:
        case "joint_rank":
            return Deciding(Measure(p, analysis=key), Measure("rank_difference", analysis=key), 1)
        case "slope":
            return Deciding(Measure(p, analysis=key), Measure("slope_difference", analysis=key), 1)
        case "log_rank":
            return Deciding(Measure(p, analysis=key), Measure("events_spared", analysis=key), 1)
        case "wilcoxon":
            return Deciding(Measure(p, analysis=key), Measure("events_spared_wilcoxon", analysis=key), 1)
        case "cox":
            return Deciding(Measure(p, analysis=key), Measure("contrast", analysis=key), -1)
    at = analysis.week
    return Deciding(Measure(p, analysis=key, week=at), Measure("contrast", analysis=key, week=at), 1)
