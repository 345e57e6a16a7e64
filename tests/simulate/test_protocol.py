"""Impossible designs and plans are refused, each with its reason."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from equipoise.plan.scenario_plan import AnalysisPlan
from equipoise.simulate import Scenario
from equipoise.simulate.protocol import Protocol


def protocol(valor: Scenario, **change: Any) -> Protocol:
    return Protocol.model_validate({**valor.protocol.model_dump(), **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ratio": (0, 2)}, "ratio: 0:2 leaves an arm empty"),
        ({"visits": (0, 4, 2, 28)}, "visits: week 2 follows week 4"),
        ({"visits": (2, 28)}, "the first visit is week 0"),
        ({"groups": {"F": 60, "S": 0}}, "groups.S: 0 patients"),
        ({"groups": {}}, "at least one recruitment group"),
        ({"period_end": 27}, "no visit at week 27"),
        ({"visits": (0, 28, 60)}, "week 60 lies after the end of the trial"),
        ({"visits": (0, 1.23, 28)}, "not a whole number of days"),
        ({"dosing": {"dose": 100, "randomised": {"aspirin": [0]}}}, "dosing.randomised.aspirin: unknown arm"),
        ({"dosing": {"dose": 100, "randomised": {"tofersen": [4, 0]}}}, "dosing weeks must increase"),
        ({"dosing": {"dose": 100, "randomised": {"tofersen": [30]}}}, "week 30 lies outside that period"),
        ({"dosing": {"dose": 0, "randomised": {}}}, r"\bdose\b"),
    ],
)
def test_property_impossible_designs_are_refused(valor: Scenario, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        protocol(valor, **change)


def test_property_prolonged_trial_keeps_arms_apart(valor: Scenario) -> None:
    longer = valor.protocol.prolonged(52)
    assert longer.period_end == 52
    assert longer.extension is None
    assert "placebo" not in longer.dosing.randomised
    assert longer.dosing.randomised["tofersen"][-1] == 48


@pytest.mark.parametrize(
    ("order", "message"),
    [
        (("nothing.ancova",), "names no analysis"),
        (("hhd_f_w28.joint_rank",), "offers ancova"),
        (("dthpv_f_w28.ancova",), "offers log_rank"),
    ],
)
def test_property_contradictory_plans_are_refused(valor: Scenario, order: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        AnalysisPlan.model_validate({**valor.plan.model_dump(), "order": order})


def test_property_plan_names_an_analysis_once(valor: Scenario) -> None:
    first = valor.plan.analyses[0]
    with pytest.raises(ValidationError, match="used twice"):
        AnalysisPlan.model_validate({**valor.plan.model_dump(), "analyses": [first, first]})
