"""Which numbers a test of the plan yields: its p-value, and the estimate whose sign says whom it favours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple, cast

import numpy as np

from equipoise.errors import ScenarioError
from equipoise.estimate.result import Estimate
from equipoise.plan.compiled import AnyForm
from equipoise.plan.key import Key, Quantity
from equipoise.plan.methods import REGISTRY
from equipoise.plan.scenario_plan import AnalysisPlan
from equipoise.plan.tests_in_order import picked
from equipoise.types import FloatArray


class Deciding(NamedTuple):
    """A test: its p-value, the estimate it tests, and the sign of an estimate that favours the active arm.

    For outcomes of which less is better the sign is the other one; that the plan does not know. none : the estimate
    without an effect.
    """

    p: Key
    estimate: Key
    sign: int
    none: float = 0.0

    def favour(self, estimate: FloatArray) -> FloatArray:
        """Positive where an estimate favours the active arm."""
        return self.sign * (np.asarray(estimate) - self.none)


def deciding(plan: AnalysisPlan, name: str, numbers: Mapping[Key, Estimate] | None = None) -> Deciding:
    """The numbers of a test named as in ``plan.order``, ``ANALYSIS.TEST``.

    numbers : those of one trial (:func:`equipoise.plan.block.estimates`), in which a test is looked for that no kernel
    carries out.

    Raises
    ------
    ScenarioError : no kernel carries the test out, and it is not among ``numbers``, or has no direction.
    """
    key, _, test = name.partition(".")
    if by_kernel(plan, name) and test != "delayed_start":  # whose three questions are no single test
        found = plan.analysis(key)
        return of_test(cast(AnyForm, found), test)
    analysis = next(a for a in plan.analyses if a.id == key)
    where = picked(analysis, test) or {}
    place = int(where.get("section", 1))
    there = [
        k
        for k in numbers or ()
        if (k.analysis, k.section) == (key, place) and (k.variable, k.level, k.versus) == (None, None, None)
    ]
    for offered in REGISTRY[analysis.sections[place - 1].kind].tests:
        mine = [k for k in there if k.quantity == offered.quantity]
        if not mine or offered.favours is None:
            continue
        at = next((k for k in mine if k.visit == where.get("visit")), mine[-1])
        sign = 1 if offered.favours == "more" else -1
        none = (numbers or {})[at].null
        return Deciding(replace(at, statistic="p"), replace(at, statistic="estimate"), sign, none)
    raise ScenarioError(
        f"{name}: the first trials have no test with a direction there, by which a replica could decide",
        hint="equipoise replicate NAME --plan FILE shows what numbers there are",
    )


def by_kernel(plan: AnalysisPlan, name: str) -> bool:
    """Whether a kernel carries out the test ``ANALYSIS.TEST``."""
    key, _, test = name.partition(".")
    return any(analysis.id == key and test in found.places for analysis, found in plan.lowered())


def of_test(analysis: AnyForm, test: str) -> Deciding:
    """The numbers of one of the tests of an analysis that a kernel carries out."""
    key = analysis.id
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
