"""Which numbers a test of the plan yields: its p-value, and the estimate whose sign says whom it favours."""

from __future__ import annotations

from typing import NamedTuple, cast

from equipoise.errors import ScenarioError
from equipoise.plan.compiled import AnyForm, TrialByTrial
from equipoise.plan.key import Key, Quantity
from equipoise.plan.scenario_plan import AnalysisPlan


class Deciding(NamedTuple):
    """A test: its p-value, the estimate it tests, and the sign of an estimate that favours the active arm.

    For outcomes of which less is better the sign is the other one; that the plan does not know.
    """

    p: Key
    estimate: Key
    sign: int


def deciding(plan: AnalysisPlan, name: str) -> Deciding:
    """The numbers of a test named as in ``plan.order``, ``ANALYSIS.TEST``."""
    key, _, test = name.partition(".")
    return of_test(plan.analysis(key), test)


def of_test(analysis: AnyForm | TrialByTrial, test: str) -> Deciding:
    """The numbers of one of the tests of an analysis.

    Raises
    ------
    ScenarioError : the analysis is carried out trial by trial.
    """
    key = analysis.id
    if isinstance(analysis, TrialByTrial):
        raise ScenarioError(
            f"{key}.{test}: no kernel carries this analysis out, so that a replica cannot decide by it",
            hint="equipoise replicate NAME --plan FILE tells how often its test is significant",
        )
    p = cast(Quantity, f"p_{test}")
    match test:
        case "joint_rank":
            return Deciding(Key(p, analysis=key), Key("rank_difference", analysis=key), 1)
        case "slope":
            return Deciding(Key(p, analysis=key), Key("slope_difference", analysis=key), 1)
        case "log_rank":
            return Deciding(Key(p, analysis=key), Key("observed_minus_expected", analysis=key), -1)
        case "wilcoxon":
            return Deciding(Key(p, analysis=key), Key("observed_minus_expected_wilcoxon", analysis=key), -1)
        case "cox":
            return Deciding(Key(p, analysis=key), Key("contrast", analysis=key), -1)
    at = analysis.week
    return Deciding(Key(p, analysis=key, week=at), Key("contrast", analysis=key, week=at), 1)
