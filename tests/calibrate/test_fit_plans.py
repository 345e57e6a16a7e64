"""Fit plans and the scenarios fitted by them: what enters, what is held out, and that a stated misfit holds."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from equipoise.calibrate import fit, targets
from equipoise.calibrate.cohort import Predictor, cohort
from equipoise.calibrate.fitting import _Fitter, _misfits, with_parameters
from equipoise.calibrate.plan import FitPlan, fit_plans, load_plan
from equipoise.errors import ScenarioError
from equipoise.plan.key import Key
from equipoise.records import load_record
from equipoise.run import run_study
from equipoise.simulate import Simulator, load_scenario, shipped_scenarios
from equipoise.simulate.mechanism import Mechanism

OTHERS = [name for name in fit_plans() if name != "valor"]


def test_property_every_shipped_scenario_of_a_record_has_a_fit_plan() -> None:
    assert {"valor", "edaravone2017", "centaur"} <= set(fit_plans())
    rebuilt = [r for name in shipped_scenarios() if (r := load_scenario(name).record) is not None]
    assert len(rebuilt) >= 4
    for record in rebuilt:
        assert load_record(record).id in fit_plans()


@pytest.mark.parametrize("name", fit_plans())
def test_property_a_plan_names_what_its_scenario_has(name: str) -> None:
    plan, scenario = load_plan(name), load_scenario(name)
    assert set(plan.steps) - {"exposure", "shares", "imbalance"} <= set(plan.blocks)
    assert set(plan.effects) == set(scenario.mechanisms)
    assert sum(block.effect for block in plan.blocks.values()) == 1
    for block in plan.blocks.values():
        with_parameters(scenario, None, list(block.free), [min(max(f.low, 0.01), f.high) for f in block.free])
    fitted = {t.block for t in targets(load_record(name), scenario) if t.used}
    assert fitted == set(plan.blocks)


@pytest.mark.parametrize("name", OTHERS)
def test_property_nothing_recalled_or_late_is_fitted(name: str) -> None:
    record, scenario = load_record(name), load_scenario(name)
    found = targets(record, scenario)
    assert len({t.id for t in found}) == len(found)
    end = scenario.protocol.period_end
    for t in found:
        assert t.where.confidence != "recall"
        assert t.where.source
        if t.used:
            assert t.key.week is None or t.key.week <= end
            assert t.key.analysis is None or scenario.plan.analysis(t.key.analysis).week <= end
    recalled = {row.id for row in record.baseline if row.confidence == "recall"}
    assert not {t.result for t in found} & recalled


def test_property_centaur_holds_out_the_active_arm_beyond_function() -> None:
    found = {t.id: t for t in targets(load_record("centaur"), load_scenario("centaur"))}
    for key in ("arm_slope:svc_w24", "survival:hospitalisation:ITT", "survival:death_or_tracheostomy:ITT"):
        own = {k: t for k, t in found.items() if k.startswith(key)}
        placebo = next(t for k, t in own.items() if "placebo" in k)
        active = next(t for k, t in own.items() if "amx0035" in k)
        assert placebo.used
        assert active.use == "check"
    for key in ("contrast:svc_w24:w24", "contrast:hosp_w24", "contrast:death_ole", "contrast:key_ole"):
        assert found[key].use == "check"
    # printed as points lost, simulated as a slope
    assert found["baseline:PRESLOPE:mean:ITT:amx0035"].value == -0.96
    assert found["survival:hospitalisation:ITT:placebo:w24"].value == pytest.approx(0.703)
    assert found["median_survival:death:months:ITT:placebo"].value == 18.5


def test_property_edaravone_holds_out_the_open_part() -> None:
    found = {t.id: t for t in targets(load_record("edaravone2017"), load_scenario("edaravone2017"))}
    late = [t for t in found.values() if t.key.week == 48 or "w48" in (t.key.analysis or "")]
    assert len(late) >= 8
    assert {t.use for t in late} == {"check"}
    assert found["baseline:ONSETMO:mean:ITT:edaravone"].value == pytest.approx(12 * 1.13)
    # the sampling SD of a standard error on 134 - 2 degrees of freedom
    se = found["contrast_se:alsfrs_w24:w24"]
    assert se.fit_se == pytest.approx(se.value / math.sqrt(2 * 132))


@pytest.mark.parametrize("name", ["edaravone2017", "centaur"])
def test_property_the_misfit_a_scenario_states_is_the_one_it_has(name: str) -> None:
    """Computed afresh for the default mechanism, on the patients the fit judged it on."""
    record, scenario = load_record(name), load_scenario(name)
    said = scenario.fit
    fitter = _Fitter(record, scenario, said["cohort_trials"], said["seed"], None)
    assert sum(t.used for t in fitter.targets) == said["targets_used"]
    own = scenario.default_mechanism
    z = [m.z for m in _misfits(fitter, scenario, own) if m.z is not None]
    assert sum(v**2 for v in z) == pytest.approx(said["sum_of_squared_z"][own.value], abs=0.006)
    assert said["within_one_se"][own.value] == {"count": sum(abs(v) <= 1 for v in z), "of": len(z)}
    stated = said["sum_of_squared_z"]
    assert min(stated, key=stated.get) != "none"


def test_simulation_edaravones_second_half_tells_the_mechanisms_apart() -> None:
    """Means at week 48 of those who went on, which no fit saw: in published standard errors of each arm."""
    record, scenario = load_record("edaravone2017"), load_scenario("edaravone2017")
    late = [
        t
        for t in targets(record, scenario)
        if t.key.quantity == "observed_change" and t.key.week == 48 and t.key.arm and not t.key.statistic
    ]
    assert len(late) == 2
    off = {}
    for mechanism in scenario.mechanisms:
        people = cohort(scenario, mechanism, 60, 11, dropout=True, randomised_only=False)
        got = Predictor(scenario, people)([t.key for t in late])
        off[mechanism] = {str(t.key.arm): (v - t.value) / float(t.se or 1) for t, v in zip(late, got, strict=True)}
    slowing = off[Mechanism.SLOWING]
    assert abs(slowing["placebo"]) < 1  # the late starters end where they ended in the trial
    assert 1 < abs(slowing["edaravone"]) < 3  # the early starters somewhat lower: a gap, shown
    for other in (Mechanism.NONE, Mechanism.SYMPTOMATIC, Mechanism.LAGGED):
        assert abs(off[other]["edaravone"]) > abs(slowing["edaravone"]) + 1


def test_independent_large_cohort_equals_whole_trials_locf_and_slopes() -> None:
    """The cohort's predictions are the expectations of the analyses carried out trial by trial."""
    wanted = {
        "edaravone2017": [
            Key("arm_mean", analysis="alsfrs_w24", arm="placebo", week=24),
            Key("contrast", analysis="alsfrs_w24", week=24),
            Key("contrast_se", analysis="alsfrs_w24", week=24),
            Key("observed_change", variable="ALSFRS", set="ITT", arm="edaravone", week=24),
        ],
        "centaur": [
            Key("arm_slope", analysis="alsfrs_w24", arm="placebo"),
            Key("slope_difference", analysis="alsfrs_w24"),
            Key("arm_mean", analysis="alsfrs_w24", arm="amx0035", week=24),
            Key("contrast", analysis="alsfrs_w24", week=24),
        ],
    }
    for name, measures in wanted.items():
        scenario = load_scenario(name)
        plan = scenario.plan.only("alsfrs_w24")
        big = Predictor(scenario, cohort(scenario, Mechanism.SLOWING, 100, 5, dropout=name != "centaur"))(measures)
        with run_study(Simulator.of(scenario.with_plan(plan), Mechanism.SLOWING), measures, 100, seed=6) as study:
            whole = np.stack([v for _, v in study.columns()], axis=1)
        error = np.sqrt(2) * whole.std(axis=0, ddof=1) / np.sqrt(len(whole))
        assert (np.abs(whole.mean(axis=0) - big) < 4 * error + 1e-9).all(), (name, whole.mean(axis=0), big, error)


def test_independent_slope_prediction_has_the_standard_error_of_whole_trials() -> None:
    """Without dropout, where the closed form is exact."""
    scenario = load_scenario("centaur")
    still = scenario.disease.model_copy(
        update={"withdrawal_hazard": 0.0, "missed_visit": 0.0, "event_hazard": 0.0, "hospital_hazard": 0.0}
    )
    own = {m: h.model_copy(update={"disease": {}}) for m, h in scenario.mechanisms.items()}
    scenario = scenario.model_copy(update={"disease": still, "mechanisms": own})
    scenario = scenario.with_plan(scenario.plan.only("alsfrs_w24"))
    measures = [
        Key("slope_difference_se", analysis="alsfrs_w24"),
        Key("arm_slope_se", analysis="alsfrs_w24", arm="placebo"),
        Key("contrast_se", analysis="alsfrs_w24", week=24),
    ]
    big = Predictor(scenario, cohort(scenario, Mechanism.SLOWING, 100, 5, dropout=False))(measures)
    with run_study(Simulator.of(scenario, Mechanism.SLOWING), measures, 60, seed=6) as study:
        whole = np.stack([v for _, v in study.columns()], axis=1).mean(axis=0)
    np.testing.assert_allclose(big, whole, rtol=0.02)


@pytest.mark.slow
def test_property_a_fit_does_not_depend_on_what_the_scenario_held() -> None:
    record, scenario = load_record("centaur"), load_scenario("centaur")
    other = {
        name: group.model_copy(update={"root_rate_mean": 0.3, "function_mean": 44.0, "svc_per_point": 0.5})
        for name, group in scenario.groups.items()
    }
    disease = scenario.disease.model_copy(update={"event_hazard": 0.01, "hospital_hazard": 0.09})
    bare = {m: h.model_copy(update={"groups": {}, "disease": {}}) for m, h in scenario.mechanisms.items()}
    changed = scenario.model_copy(update={"groups": other, "disease": disease, "mechanisms": bare})
    first, second = (fit(record, s, trials=10).scenario for s in (scenario, changed))
    assert first == second


def test_property_plans_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="no fit plan for the record 'nothing'"):
        load_plan("nothing")
    bad = tmp_path / "plan.yaml"
    bad.write_text("steps: [x]\nblocks: {x: {free: [{place: a}]}}\neffects: {magic: []}\n")
    with pytest.raises(ScenarioError, match=r"line 2, column \d+: blocks\.x\.free\[1\]: found no 'start'"):
        load_plan(str(bad))
    bad.write_text("a: [")
    with pytest.raises(ScenarioError, match="cannot be read"):
        load_plan(str(bad))
    whole = load_plan("centaur")
    assert FitPlan.model_validate(whole.model_dump(mode="json", by_alias=True)) == whole
