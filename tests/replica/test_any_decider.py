"""A replica may decide by the test of any method, also of one that is done trial by trial."""

from __future__ import annotations

import numpy as np
import pytest

from equipoise import load_record, load_scenario, replicate
from equipoise.errors import ScenarioError
from equipoise.plan.block import estimates, study_of
from equipoise.plan.deciding import deciding
from equipoise.plan.scenario_plan import AnalysisPlan
from equipoise.simulate import Scenario, Simulator

DECIDERS = {
    "ancova": {
        "id": "last",
        "population": "F",
        "dataset": "ADEFF",
        "parameter": "ALSFRS",
        "where": {"AVISITN": 28},
        "sections": [{"method": "ancova", "formula": "CHG ~ TRT01P + BASE"}],
    },
    "rmst": {
        "id": "last",
        "population": "ITT",
        "dataset": "ADTTE",
        "parameter": "DTHPV",
        "sections": [{"method": "rmst", "tau": 28}],
    },
    "win": {
        "id": "last",
        "population": "F",
        "dataset": "ADSL",
        "gather": {
            "DTHWK": {"dataset": "ADTTE", "parameter": "DEATH"},
            "DTHCN": {"dataset": "ADTTE", "parameter": "DEATH", "variable": "CNSR"},
            "SCORE": {"dataset": "ADEFF", "parameter": "ALSFRS", "variable": "CHG", "where": {"AVISITN": 28}},
        },
        "sections": [{"method": "win", "hierarchy": [{"time": "DTHWK", "censor": "DTHCN"}, {"value": "SCORE"}]}],
    },
}


def _decided_by(test: str) -> Scenario:
    scenario = load_scenario("valor")
    data = scenario.plan.model_dump()
    order = [f"last.{test}", *data["order"]]
    plan = AnalysisPlan.model_validate({**data, "analyses": [*data["analyses"], DECIDERS[test]], "order": order})
    return scenario.with_plan(plan)


@pytest.mark.parametrize("test", list(DECIDERS))
def test_independent_a_looped_test_decides(test: str) -> None:
    scenario, n = _decided_by(test), 6
    made = replicate(load_record("valor"), scenario, replicates=n, seed=3)
    found = {a.id: a.probability for a in made.answers}
    trials = Simulator.of(scenario).block(3, 0, n)
    numbers = [estimates(study_of(trials, i), scenario.whole_plan(), {"last"}) for i in range(n)]
    decider = deciding(scenario.plan, scenario.plan.primary, numbers[0])
    one = [next(v for k, v in each.items() if k.quantity == decider.p.quantity) for each in numbers]
    estimate, p = np.array([e.estimate for e in one]), np.array([e.p for e in one])
    assert found["primary_as_it_happened"] == np.mean((p < 0.05) & (estimate > one[0].null))
    assert found[f"formal:last.{test}"] == np.mean(p < 0.05)
    assert 0 <= found["primary_if_nothing"] <= 1


def test_property_a_decider_that_is_not_there_is_named() -> None:
    scenario = _decided_by("ancova")
    with pytest.raises(ScenarioError, match=r"last\.ancova: the first trials have no test"):
        deciding(scenario.plan, "last.ancova", {})
