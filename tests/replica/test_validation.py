"""How often a validation would be fooled: worlds do what they say, criteria count, the literature is the
landscape's."""

from __future__ import annotations

import math

import numpy as np
import pytest

from equipoise.appraise.landscape.designs import designs_of
from equipoise.errors import EstimationError, ScenarioError
from equipoise.records import load_record
from equipoise.replica.validation import EVERYTHING, SELECTED, effects, operating_characteristics
from equipoise.simulate import Simulator
from equipoise.simulate.als.worlds import TrialDesign, scenario_of, worlds
from equipoise.surrogate.criteria import CRITERIA, FISHER, PRENTICE, PROFILE, judged
from equipoise.surrogate.trials import Rows

LARGE = TrialDesign("large", 300, 300, 28.0)
BY_NAME = {w.name: w for w in worlds()}


def mean_effects(world: str, strength: float, gain: float = 0.0) -> np.ndarray:
    """Effects on the marker and on function, averaged over four trials of 600."""
    w = BY_NAME[world]
    scenario = scenario_of(LARGE, w, w.on_path > 0.0, strength, gain)
    return np.asarray(effects(Simulator.of(scenario, imbalance=False).block(3, 0, 4))[:, :2].mean(axis=0))


def test_simulation_worlds_do_what_they_say() -> None:
    """Standard errors of these means are about 0.01 (log marker) and 0.04 (points a month)."""
    none, strong = mean_effects("on the path", 0.0), mean_effects("on the path", 0.4)
    assert abs(none[0]) < 0.06
    assert abs(none[1]) < 0.2
    assert strong[0] < -0.5
    assert strong[1] > 0.12  # function follows, 8 weeks and the build-up of the drug behind
    engaged = mean_effects("engagement only", 0.4)
    assert engaged[0] < -0.5
    assert abs(engaged[1]) < 0.2
    other = mean_effects("prognostic only", 0.4, 3.0)
    assert abs(other[0]) < 0.06  # the marker is left alone
    assert other[1] > 0.2
    harmed = mean_effects("harm off the path", 0.4, -3.0)
    assert harmed[0] < -0.5
    assert harmed[1] < -0.2  # the paradox


def test_independent_effects_are_those_of_least_squares() -> None:
    w = BY_NAME["engagement only"]
    trials = Simulator.of(scenario_of(TrialDesign("a", 40, 40, 24.0), w, False, 0.3, 0.0), imbalance=False).block(
        1, 0, 2
    )
    made = effects(trials)
    marker, function = np.log(trials.outcomes["NFL"]), trials.outcomes["ALSFRS"]
    at = int(np.flatnonzero(trials.weeks == 16.0)[0])
    x = np.column_stack([np.ones(80), trials.arm[1], marker[1, :, 0], function[1, :, 0]])
    keep = np.isfinite(marker[1, :, at]) & np.isfinite(function[1, :, -1])
    beta = np.linalg.lstsq(x[keep], (marker[1, :, at] - marker[1, :, 0])[keep], rcond=None)[0]
    assert made[1, 0] == pytest.approx(beta[1])
    assert made[1, 2] > 0.0
    assert abs(made[1, 4]) < math.sqrt(made[1, 2] * made[1, 3])


def test_property_designs_come_from_records() -> None:
    (made,) = designs_of([load_record("valor")])
    assert (made.active, made.control, made.weeks, made.replica) == (72, 36, 28.0, "valor")
    assert designs_of([load_record("riluzole1994")]) == ()
    with pytest.raises(ScenarioError, match="patients over"):
        TrialDesign("x", 2, 40, 24.0)


def test_property_literatures_do_not_depend_on_threads() -> None:
    designs = [TrialDesign(str(i), 20, 20, 16.0) for i in range(5)]
    chosen = (BY_NAME["on the path"], BY_NAME["engagement only"])
    a, b = (operating_characteristics(designs, chosen, literatures=3, threads=n) for n in (1, 2))
    assert a.cells == b.cells
    assert {c.published for c in a.cells} == {EVERYTHING, SELECTED}
    assert len(a.cells) == 2 * 2 * len(CRITERIA)
    assert all(c.validated + c.rejected + c.cannot_tell == pytest.approx(1.0) for c in a.cells)
    assert a.table().height == len(a.cells)
    assert "Monte Carlo error" in a.summary()
    with pytest.raises(EstimationError):
        operating_characteristics([], chosen)
    with pytest.raises(EstimationError):
        operating_characteristics(designs, chosen, lost=2.0)


def literature(k: int, rho: float, error: float, seed: int = 1) -> tuple[Rows, np.ndarray]:
    rng = np.random.default_rng(seed)
    true = rng.multivariate_normal([0.0, 0.0], [[1.0, rho], [rho, 1.0]], k)
    seen = true + error * rng.normal(size=(k, 2))
    v = np.full(k, error**2)
    rows = Rows(tuple(map(str, range(k))), seen[:, 0].copy(), seen[:, 1].copy(), v, v.copy(), np.zeros(k))
    return rows, np.tile([0.001, 0.001, 0.6], (k, 1))


def test_property_criteria_know_a_surrogate_when_errors_are_small() -> None:
    rows, tests = literature(60, -0.98, 0.02)
    said = judged(rows, tests)
    assert set(said.values()) == {1}
    rows, tests = literature(60, 0.0, 0.02)
    said = judged(rows, tests)
    assert said[PROFILE] == said[FISHER] == -1
    assert said[PRENTICE] == 1  # which it cannot know: the individual level is not the trial level
    rows, tests = literature(4, -0.98, 0.02)
    assert all(said == 0 for name, said in judged(rows, tests).items() if name != PRENTICE)
    rows, tests = literature(60, 0.98, 0.02)  # less marker, worse function
    assert 1 not in {v for k, v in judged(rows, tests).items() if k != PRENTICE}
