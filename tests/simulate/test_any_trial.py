"""Trials unlike VALOR: a run-in, effects on the hazard that may wane, crossover, long follow-up, parts left out."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from equipoise.errors import DataError, ScenarioError
from equipoise.simulate import Hypothesis, Scenario, load_scenario, shipped_scenarios, simulate, typical_course
from equipoise.simulate.als import course
from equipoise.simulate.mechanism import Mechanism
from equipoise.simulate.scenario import parse_scenario
from equipoise.trial import Trials
from equipoise.trial.adam import from_trial, write_adam
from equipoise.types import WEEKS_PER_MONTH


def survival_only(hazard: float = 0.01, **change: Any) -> Scenario:
    """A trial of survival alone, two sites of onset, life known to week 100."""
    import yaml

    data: dict[str, Any] = {
        "name": "bare",
        "record": "bare",
        "default_mechanism": "none",
        "protocol": {
            "arms": ["placebo", "drug"],
            "ratio": [1, 1],
            "groups": {"BULB": 100, "LIMB": 100},
            "strata": [],
            "visits": [0, 100],
            "period_end": 100,
            "dosing": {"regimen": "daily", "randomised": ["drug"]},
            "follow_up": {"first": 100, "last": 100},
        },
        "outcomes": {},
        "groups": {"BULB": {"bulbar": 1.0, "ln_hazard": 0.7}, "LIMB": {"bulbar": 0.0}},
        "disease": {
            "ke0": 50.0,
            "event_hazard": hazard,
            "event_death_share": 1.0,
            "withdrawal_hazard": 0.0,
            "missed_visit": 0.0,
        },
        "mechanisms": {
            "none": {"effect": {"mechanism": "none"}},
            "survival": {"effect": {"mechanism": "survival", "hazard_ratio": 0.5}},
            "waning": {"effect": {"mechanism": "waning", "hazard_ratio": 0.3, "half_life": 20}},
        },
        "plan": {
            "analyses": [
                {"kind": "time_to_event", "id": "death", "event": "death", "set": "ITT", "week": 100, "covariates": []}
            ],
            "order": ["death.log_rank"],
        },
    }
    for path, value in change.items():
        at = data
        *keys, last = path.split("__")
        for key in keys:
            at = at[key]
        at[last] = value
    return parse_scenario(yaml.safe_dump(data), "bare")


def cumulative_hazard(trials: Trials, arm: int, group: str, week: float) -> tuple[float, float]:
    """-ln of the share without the event at ``week`` (nobody is censored before), and its standard error."""
    who = trials.members(group) & (trials.arm == arm)
    alive = np.mean(trials.events["death_or_tracheostomy"].week[who] > week)
    return -math.log(alive), math.sqrt((1 - alive) / (alive * who.sum()))


@pytest.fixture(scope="module")
def batches() -> dict[str, Trials]:
    scenario = survival_only()
    return {m: simulate(scenario, 100, seed=4, mechanism=m) for m in ("none", "survival", "waning")}


@pytest.mark.parametrize("week", [25.0, 60.0, 99.0])
def test_independent_hazards_are_the_ones_asked_for(batches: dict[str, Trials], week: float) -> None:
    """Constant hazard, hazard ratio, and a ratio whose logarithm halves every 20 weeks: against the integrals."""
    t = np.linspace(0, week, 20001)
    built_up = 1 - np.exp(-50 * t)  # X' = 50 (1 - X)
    waning = np.exp(math.log(0.3) * built_up * 2 ** (-t / 20))
    constant = np.exp(math.log(0.5) * built_up)
    drug = {
        "none": np.trapezoid(np.ones_like(t), t),
        "survival": np.trapezoid(constant, t),
        "waning": np.trapezoid(waning, t),
    }
    for mechanism, exposed in drug.items():
        for group, factor in (("BULB", math.exp(0.7)), ("LIMB", 1.0)):
            for arm, time in ((0, week), (1, exposed)):
                found, error = cumulative_hazard(batches[mechanism], arm, group, week)
                assert abs(found - 0.01 * factor * time) < 4.5 * error


def test_property_a_trial_of_survival_alone_has_no_outcomes(batches: dict[str, Trials]) -> None:
    trials = batches["none"]
    assert dict(trials.outcomes) == {}
    assert list(trials.covariates) == ["BULBFL"]
    one = trials[0]
    assert one.visits.height == 0
    assert {"PARAMCD", "AVAL"} <= set(one.visits.columns)
    with pytest.raises(DataError, match="no baseline variable 'LNNFLBL'"):
        trials.baseline("LNNFLBL")
    with pytest.raises(DataError, match="unknown event 'hospitalisation'"):
        trials.times_to("hospitalisation")


def test_independent_shape_and_frailty() -> None:
    """Weibull: the cumulative hazard is that of the constant one at week 52; frailty: a mixture over its normal."""
    shaped = simulate(survival_only(disease__event_shape=1.7), 60, seed=2)
    found, error = cumulative_hazard(shaped, 0, "LIMB", 30.0)
    assert abs(found - 0.01 * 52 * (30 / 52) ** 1.7) < 4.5 * error
    frail = simulate(survival_only(disease__frailty_sd=1.2), 60, seed=2)
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    alive = np.average(np.exp(-0.01 * 80 * np.exp(1.2 * nodes)), weights=weights)
    found, error = cumulative_hazard(frail, 0, "LIMB", 80.0)
    assert abs(math.exp(-found) - alive) < 4.5 * error * alive


def test_independent_bulbar_onset_has_its_own_hazard_and_stratum() -> None:
    scenario = survival_only(
        protocol__groups={"ALL": 200},
        protocol__strata=["BULBFL"],
        groups={"ALL": {"bulbar": 0.3}},
        disease__event_bulbar=0.9,
    )
    trials = simulate(scenario, 60, seed=8)
    bulbar = trials.covariates["BULBFL"] == 1
    assert bulbar.mean() == pytest.approx(0.3, abs=4 * math.sqrt(0.21 / bulbar.size))
    for i in range(len(trials)):  # blocks of two within each site
        for here in (bulbar[i], ~bulbar[i]):
            assert abs(int((trials.arm[i][here] == 1).sum()) - int((trials.arm[i][here] == 0).sum())) <= 1
    for who, hazard in ((bulbar, 0.01 * math.exp(0.9)), (~bulbar, 0.01)):
        alive = np.mean(trials.events["death_or_tracheostomy"].week[who] > 50)
        assert abs(alive - math.exp(-50 * hazard)) < 4.5 * math.sqrt(alive * (1 - alive) / who.sum())


def test_property_run_in_admits_by_the_observed_fall() -> None:
    scenario = load_scenario("edaravone2017")
    trials = simulate(scenario, 60, seed=3)
    before, at_entry = trials.covariates["FRSPRE"], trials.outcomes["ALSFRS"][:, :, 0]
    fall = before - at_entry
    np.testing.assert_array_equal(fall, trials.covariates["RUNINCHG"])
    assert set(np.unique(fall)) == {1.0, 2.0, 3.0, 4.0}
    months = trials.covariates["ONSETMO"]
    assert months.max() <= 24 + 12 / WEEKS_PER_MONTH  # two years at entry into the run-in
    np.testing.assert_allclose(trials.covariates["PRESLOPE"], (48 - at_entry) / months)


def test_property_run_in_selects_the_middle_of_the_rates() -> None:
    """With little noise, who loses 1-4 points in 12 weeks has a rate between the two; without a run-in rates spread."""
    scenario = load_scenario("edaravone2017")
    quiet = {
        name: group.model_copy(update={"function_noise": 0.01, "root_rate_sd": 0.8})
        for name, group in scenario.groups.items()
    }
    disease = scenario.disease.model_copy(update={"run_in_pace": 1.0, "withdrawal_hazard": 0.0})
    selected = scenario.model_copy(update={"groups": quiet, "disease": disease, "mechanisms": common(scenario)})
    open_door = selected.model_copy(
        update={"protocol": scenario.protocol.model_copy(update={"run_in": None}), "groups": quiet}
    )

    def losses(s: Scenario) -> np.ndarray:
        trials = simulate(s, 20, seed=3, mechanism="none")
        score = trials.outcomes["ALSFRS"]
        loss = score[:, :, 0] - score[:, :, 6]
        return loss[~np.isnan(loss)] / 2  # per 12 weeks

    inside, outside = losses(selected), losses(open_door)
    # rounding to whole points moves an observed fall by less than one point
    assert inside.min() >= -0.5
    assert inside.max() <= 5.5
    assert outside.max() > 8
    assert outside.std() > 1.5 * inside.std()


def test_property_crossover_begins_with_the_extension() -> None:
    scenario = load_scenario("centaur")
    trials = simulate(scenario, 40, seed=9, mechanism="slowing")
    crossed = trials.crossover_week
    assert crossed is not None
    np.testing.assert_array_equal(np.isfinite(crossed), trials.entered_extension)
    assert set(np.unique(crossed[np.isfinite(crossed)])) == {24.0}


def test_independent_typical_course_of_an_intake() -> None:
    """Exposure builds up at ke0, and a placebo patient's loss slows from the crossover on."""
    scenario = load_scenario("edaravone2017")
    weight = scenario.mechanisms[Mechanism.SLOWING].effect.weight
    ke0 = scenario.disease.ke0
    active, control = (
        typical_course(scenario, "ALL", arm, mechanism="slowing", rate=1.3) for arm in ("edaravone", "placebo")
    )
    weeks = active["weeks"]
    exposed = weeks - (1 - np.exp(-ke0 * weeks)) / ke0  # integral of 1 - exp(-ke0 t)
    np.testing.assert_allclose(active["LOSS"], 1.3 / WEEKS_PER_MONTH * (weeks - weight * exposed), atol=2e-3)
    np.testing.assert_allclose(control["LOSS"][weeks <= 24], 1.3 / WEEKS_PER_MONTH * weeks[weeks <= 24], rtol=1e-12)
    late = control["LOSS"][48] - control["LOSS"][30]
    assert late == pytest.approx(1.3 / WEEKS_PER_MONTH * 18 * (1 - weight), rel=1e-4)


def test_property_follow_up_goes_beyond_the_visits() -> None:
    scenario = load_scenario("centaur")
    trials = simulate(scenario, 60, seed=5)
    assert trials.events["death_or_tracheostomy"].week.max() <= 152
    assert trials.last_week.max() <= 24
    censored = ~trials.events["death_or_tracheostomy"].happened
    end = trials.events["death_or_tracheostomy"].week[censored]
    assert end.min() >= 24
    assert (trials.events["death_or_tracheostomy"].week[trials.events["death_or_tracheostomy"].happened] > 24).any()
    # drawn evenly over the range, so before any death half of it lies below the middle
    known = simulate(scenario_without_events(scenario), 30, seed=5).events["death_or_tracheostomy"].week.ravel()
    assert np.mean(known) == pytest.approx(88, abs=4 * 37 / math.sqrt(known.size))
    week, happened = trials.times_to("key_event")
    stay = trials.events["hospitalisation"]
    first = trials.events["death_or_tracheostomy"]
    np.testing.assert_array_equal(happened, first.happened | stay.happened)
    assert (week <= trials.events["death_or_tracheostomy"].week).all()
    assert (stay.week <= trials.events["death_or_tracheostomy"].week).all()


def scenario_without_events(scenario: Scenario) -> Scenario:
    disease = scenario.disease.model_copy(update={"event_hazard": 0.0, "hospital_hazard": 0.0})
    return scenario.model_copy(update={"disease": disease, "mechanisms": common(scenario)})


def common(scenario: Scenario) -> dict[Mechanism, Hypothesis]:
    """Its mechanisms with the common natural history in place of their own."""
    return {m: h.model_copy(update={"disease": {}, "groups": {}}) for m, h in scenario.mechanisms.items()}


def test_independent_withdrawal_grows_with_what_was_lost() -> None:
    """Everyone loses 1 point a month: the cumulative withdrawal hazard is the integral of h exp(slope loss / 10)."""
    scenario = load_scenario("edaravone2017")
    same = {
        name: group.model_copy(update={"root_rate_mean": 1.0, "root_rate_sd": 0.0})
        for name, group in scenario.groups.items()
    }
    disease = scenario.disease.model_copy(
        update={"withdrawal_hazard": 0.01, "withdrawal_slope": 3.0, "run_in_pace": 0.6, "missed_visit": 0.0}
    )
    bare = common(scenario)
    trials = simulate(
        scenario.model_copy(update={"groups": same, "disease": disease, "mechanisms": bare}),
        60,
        seed=6,
        mechanism="none",
    )
    t = np.linspace(0, 20, 2001)
    expected = math.exp(-np.trapezoid(0.01 * np.exp(0.3 * t / WEEKS_PER_MONTH), t))
    staying = np.mean(trials.last_week > 20)
    assert abs(staying - expected) < 4 * math.sqrt(expected * (1 - expected) / trials.arm.size) + 0.002
    assert trials.last_week[trials.entered_extension].min() == 48  # nobody leaves in the open part


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"outcomes": {"ALSFRS": "ALSFRS"}}, "function is measured .ALSFRS. but not described"),
        ({"outcomes": {"X": "KINGS"}}, "'KINGS' is none of"),
        ({"groups__LIMB": {"function_mean": 40.0}}, "function: function_sd, function_noise"),
        ({"disease__volume": 2.0}, "target: elimination, ec50, kout, nfl_loss is missing beside volume"),
        ({"mechanisms__slowing": {"effect": {"mechanism": "slowing", "weight": 0.3}}}, "acts on function"),
        ({"mechanisms__none": {"effect": {"mechanism": "none", "hazard_ratio": 0.5}}}, "has no hazard ratio"),
        ({"mechanisms__waning": {"effect": {"mechanism": "waning", "hazard_ratio": 0.5}}}, "needs a half-life"),
        (
            {"mechanisms__survival": {"effect": {"mechanism": "survival", "hazard_ratio": 0.5, "half_life": 9}}},
            "only the waning",
        ),
        ({"protocol__dosing": {"dose": 10, "randomised": {"drug": [0]}}}, "one without it as an intake"),
        ({"protocol__dosing": {"regimen": "x", "randomised": ["aspirin"]}}, "unknown arm 'aspirin'"),
        ({"protocol__dosing": {"regimen": "x", "randomised": ["drug"], "extension": ["placebo"]}}, "no extension"),
        ({"protocol__follow_up": {"first": 50, "last": 120}}, "must not lie before period_end"),
        ({"protocol__follow_up": {"first": 130, "last": 120}}, "lies after the last"),
        ({"protocol__run_in": {"weeks": 12, "least_fall": 1, "most_fall": 4}}, "a run-in needs the function"),
        ({"protocol__run_in": {"weeks": 12, "least_fall": 5, "most_fall": 4}}, "exceeds most_fall"),
        ({"admission": {"X": {}}}, "recruits no group 'X'"),
    ],
)
def test_property_contradictory_scenarios_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        survival_only(**change)


def test_property_a_run_in_that_nobody_passes_is_refused() -> None:
    scenario = load_scenario("edaravone2017")
    run_in = scenario.protocol.run_in
    assert run_in is not None
    hard = run_in.model_copy(update={"least_fall": 40.0, "most_fall": 41.0})
    closed = scenario.model_copy(update={"protocol": scenario.protocol.model_copy(update={"run_in": hard})})
    with pytest.raises(ScenarioError, match="hardly any patient"):
        simulate(closed, 1)


@pytest.mark.parametrize("name", [name for name in shipped_scenarios() if load_scenario(name).record is not None])
def test_property_every_shipped_scenario_can_be_written_as_adam(name: str, tmp_path: Path) -> None:
    trial = simulate(load_scenario(name), 1, seed=3)[0]
    more = {"centaur": {"HOSP", "KEYEVT", "DTHTR"}, "riluzole1994": {"DTHTR"}}
    assert set(trial.events["PARAMCD"]) == {"DTHPV", "DEATH"} | more.get(name, set())
    assert trial.events.height == trial.subjects.height * trial.events["PARAMCD"].n_unique()
    written = write_adam(from_trial(trial), tmp_path)
    assert {"adsl.xpt", "adtte.xpt"} <= {path.name for path in written}


def test_property_codes_of_the_kernel_are_distinct() -> None:
    assert len({course.NONE, course.SYMPTOMATIC, course.SLOWING, course.LAGGED, course.SURVIVAL, course.WANING}) == 6
