"""How often a validation would be fooled: worlds do what they say, criteria count, the literature is the
landscape's."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from equipoise.appraise.landscape.designs import designs_of, not_designed
from equipoise.errors import EstimationError, ScenarioError
from equipoise.records import load_record
from equipoise.replica.validation import EVERYTHING, SELECTED, by_plan, effects, operating_characteristics
from equipoise.simulate import Simulator, load_scenario
from equipoise.simulate.als.worlds import TrialDesign, planned, scenario_of, worlds
from equipoise.surrogate import surrogacy
from equipoise.surrogate.criteria import ASSOCIATION, CRITERIA, DANIELS, FISHER, PRENTICE, PROFILE, PROPORTION, judged
from equipoise.surrogate.trials import Rows

LARGE = TrialDesign("large", 300, 300, 28.0)
INDIVIDUAL = (PRENTICE, ASSOCIATION, PROPORTION)
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
    assert (made.active, made.control, made.weeks, made.replica, made.route) == (72, 36, 28.0, "valor", "intrathecal")
    assert "alsfrs_itt_w28" in made.to_sentence()
    assert designs_of([load_record("riluzole1994")]) == ()
    (centaur,) = designs_of([load_record("centaur")])
    assert (centaur.replica, centaur.route) == ("centaur", "by mouth")
    (courage,) = designs_of([load_record("courage_als")], every=True)
    assert (courage.replica, courage.analysis, courage.assumed) == (None, "mmrm", False)
    (riluzole,) = designs_of([load_record("riluzole1994")], every=True)  # its replica is of events alone
    assert (riluzole.replica, riluzole.weeks, riluzole.assumed) == (None, 91.0, True)
    (edaravone,) = designs_of([load_record("edaravone2017")], every=True)
    assert planned(load_scenario("edaravone2017")).kind == "carried_forward"
    assert edaravone.replica == "edaravone2017"
    assert not_designed([load_record("tudca_als")]) == {
        "TUDCA-ALS": "no sizes of an active and a control arm in what was read"
    }
    assert not_designed([load_record("riluzole1994")]) == {}
    with pytest.raises(ScenarioError, match="analysis 'anova'"):
        TrialDesign("x", 40, 40, 24.0, analysis="anova")
    with pytest.raises(ScenarioError, match="route"):
        TrialDesign("x", 40, 40, 24.0, route="skin")
    with pytest.raises(ScenarioError, match="patients over"):
        TrialDesign("x", 2, 40, 24.0)


DESIGNS = [
    TrialDesign("VALOR", 72, 36, 28.0, "valor", route="intrathecal"),
    TrialDesign("CENTAUR", 89, 48, 24.0, "centaur"),
    TrialDesign("MCI186-19", 69, 68, 24.0, "edaravone2017"),
    TrialDesign("a", 60, 30, 24.0, analysis="mmrm"),
    TrialDesign("b", 60, 30, 24.0, analysis="carried_forward", route="intrathecal"),
    TrialDesign("c", 60, 30, 30.0, analysis="mi_ancova"),
]


@pytest.mark.parametrize("design", DESIGNS, ids=lambda d: d.name)
def test_property_each_trial_keeps_its_patients_and_its_analysis(design: TrialDesign) -> None:
    """A replica has its own visits and analysis, and the marker where it measured none; the effect on function is the
    number that its plan gives."""
    scenario = scenario_of(design, BY_NAME["engagement only"], False, 0.4, 0.0)
    simulator = Simulator.of(scenario, imbalance=False)
    trials = simulator.block(4, 0, 2)
    arms = np.array([(trials.arm == k).sum(axis=1) for k in (0, 1)])
    if design.replica is None:
        assert arms.T.tolist() == [[design.control, design.active]] * 2
    else:
        assert trials.arm.shape[1] == load_scenario(design.replica).protocol.n
        assert scenario.plan.analyses[0].id == planned(load_scenario(design.replica)).id
    function = by_plan(simulator, trials)
    made = effects(trials, function=function)
    assert np.isfinite(made[:, :8]).all()
    assert made[:, 1] == pytest.approx(function[:, 0])
    assert made[:, 3] == pytest.approx(function[:, 1] ** 2)
    assert (made[:, 0] < -0.2).all()  # the drug moves the marker, however it is given
    by_analysis = effects(trials)
    assert made[:, 4] / np.sqrt(made[:, 2] * made[:, 3]) == pytest.approx(
        by_analysis[:, 4] / np.sqrt(by_analysis[:, 2] * by_analysis[:, 3])
    )


def test_property_a_marker_that_is_given_is_prognostic_and_leaves_the_course_alone() -> None:
    world = BY_NAME["engagement only"]
    scenario = scenario_of(TrialDesign("x", 400, 400, 24.0), world, False, 0.0, 0.0)
    trials = Simulator.of(scenario, imbalance=False).block(2, 0, 2)
    own = Simulator.of(
        scenario_of(TrialDesign("x", 400, 400, 24.0), world, False, 0.0, 0.0).model_copy(
            update={"groups": dict(load_scenario("centaur").groups), "outcomes": {"ALSFRS": "ALSFRS"}}
        ),
        imbalance=False,
    ).block(2, 0, 2)
    falls = [(t.outcomes["ALSFRS"][:, :, -1] - t.outcomes["ALSFRS"][:, :, 0]).ravel() for t in (trials, own)]
    assert np.nanmean(falls[0]) == pytest.approx(np.nanmean(falls[1]), abs=0.5)  # 4 standard errors
    assert np.nanstd(falls[0]) == pytest.approx(np.nanstd(falls[1]), rel=0.1)
    before = np.log(trials.outcomes["NFL"][:, :, 0]).ravel()
    seen = np.isfinite(falls[0])
    assert -0.6 < np.corrcoef(before[seen], falls[0][seen])[0, 1] < -0.3  # 0.5 with the rate, less the noise


def test_independent_individual_criteria_are_those_of_one_trial() -> None:
    """Prentice's tests and Fieller's limits of the proportion explained, beside :func:`equipoise.surrogacy`."""
    design = TrialDesign("x", 400, 400, 48.0)
    trials = Simulator.of(scenario_of(design, BY_NAME["on the path"], True, 0.5, 0.0), imbalance=False).block(5, 0, 1)
    made = effects(trials)[0]
    marker, function = np.log(trials.outcomes["NFL"][0]), trials.outcomes["ALSFRS"][0]
    at = int(np.flatnonzero(trials.weeks == 16.0)[0])
    frame = pl.DataFrame(
        {
            "ARM": (trials.arm[0] > 0).astype(float),
            "S0": marker[:, 0],
            "T0": function[:, 0],
            "S": marker[:, at] - marker[:, 0],
            "T": function[:, -1] - function[:, 0],
        }
    ).filter(pl.all_horizontal(pl.all().is_finite()))
    found = surrogacy(
        frame, surrogate="S", true="T", arm="ARM", control=0.0, covariates=["S0", "T0"], mediation=False, causal=False
    )
    tests = [c.test for c in found.prentice]
    assert made[5] == pytest.approx(tests[0].p, rel=1e-6)
    assert made[7] == pytest.approx(tests[3].p, rel=0.02)  # one degree of freedom fewer
    assert found.proportion_fieller is not None
    assert made[8:10] == pytest.approx([found.proportion_fieller.low, found.proportion_fieller.high], rel=1e-5)


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
    return rows, np.tile([0.001, 0.001, 0.6, 0.7, 1.2], (k, 1))


def test_property_criteria_know_a_surrogate_when_errors_are_small() -> None:
    rows, tests = literature(60, -0.98, 0.02)
    said = judged(rows, tests)
    assert set(said.values()) == {1}
    rows, tests = literature(60, 0.0, 0.02)
    said = judged(rows, tests)
    assert said[PROFILE] == said[FISHER] == -1
    assert said[PRENTICE] == 1  # which it cannot know: the individual level is not the trial level
    rows, tests = literature(4, -0.98, 0.02)
    assert all(said == 0 for name, said in judged(rows, tests).items() if name not in INDIVIDUAL)
    rows, tests = literature(60, 0.98, 0.02)  # less marker, worse function
    assert 1 not in {v for k, v in judged(rows, tests).items() if k not in INDIVIDUAL}


def test_property_criteria_of_the_individual_level_follow_a_majority() -> None:
    rows, tests = literature(9, -0.98, 0.02)
    tests[:5] = [0.001, 0.2, 0.001, 0.1, 0.3]
    said = judged(rows, tests)
    assert (said[PRENTICE], said[ASSOCIATION], said[PROPORTION]) == (-1, 0, -1)
    tests[:, 3:] = math.nan  # refused: the effect on function is too weak
    assert judged(rows, tests)[PROPORTION] == 0


def test_property_an_effect_without_the_marker_contradicts_daniels_and_hughes() -> None:
    rows, tests = literature(40, -0.98, 0.02)
    assert judged(rows, tests)[DANIELS] == 1
    moved = Rows(rows.names, rows.s, rows.t + 2.0, rows.vs, rows.vt, rows.c)
    assert judged(moved, tests)[DANIELS] == -1
