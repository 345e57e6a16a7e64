"""The progression model: known answers, moments in closed form, hazards, dropout; the same bits however it is run."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from progression_cases import DELAYED, plain
from scipy.integrate import quad
from scipy.stats import gamma

from equipoise.errors import ScenarioError
from equipoise.plan.block import analyse, estimates, study_of
from equipoise.plan.key import Key
from equipoise.run import run_study
from equipoise.simulate import Scenario, Simulator, load_scenario, scenario_text, simulate, typical_course
from equipoise.simulate.progression.courses import Exponential, Linear, Spline
from equipoise.simulate.progression.engine import moments
from equipoise.simulate.progression.model import Effect
from equipoise.simulate.progression.tables import Taken, saved
from equipoise.simulate.scenario import parse_scenario
from equipoise.trial import Trials
from equipoise.trial.adam import from_trial, write_adam
from equipoise.types import WEEKS_PER_MONTH

START = Taken(0.0, math.inf, 1.0)
ALWAYS = {"disease__dropout": None}


def score(trials: Trials, arm: int) -> np.ndarray:
    """(patient, visit) values of an arm over all trials."""
    values: np.ndarray = trials.outcomes[trials.main_outcome or ""]
    return values[trials.arm == arm]


# --- the algebra of a lag (known answers A6 and A7 of the design studies) ---------------------------------------------


@pytest.mark.parametrize(
    ("end", "lag", "times"),
    [(28, 4, 1.361), (28, 8, 1.960), (28, 13, 3.484), (52, 4, 1.174), (52, 8, 1.397), (52, 13, 1.778)],
)
def test_reference_a_sharp_lag_keeps_its_share(end: float, lag: float, times: float) -> None:
    """A slope benefit after a lag L, read at T, is (T - L) / T of that without one; n grows by the inverse square."""
    weeks = np.arange(0.0, end + 1)
    course = Linear(form="linear", rate=1.0)
    with_lag = saved(course, weeks, START, Effect(mechanism="lagged", slowing=0.4, lag=lag))[-1]
    without = saved(course, weeks, START, Effect(mechanism="slowing", slowing=0.4))[-1]
    assert with_lag / without == pytest.approx((end - lag) / end, rel=1e-12)
    assert (without / with_lag) ** 2 == pytest.approx(times, abs=5e-4)


@pytest.mark.parametrize(("end", "share"), [(28, 0.540147), (52, 0.750007)])
def test_reference_a_lag_of_four_stages(end: float, share: float) -> None:
    weeks = np.arange(0.0, end + 1)
    effect = Effect(mechanism="lagged", slowing=1.0, lag=13, stages=4)
    assert saved(None, weeks, START, effect)[-1] / end == pytest.approx(share, abs=5e-7)


@pytest.mark.parametrize(
    "course",
    [
        Linear(form="linear", rate=0.8),
        Exponential(form="exponential", rate=1.1, half_life=30),
        Exponential(form="exponential", rate=0.4, doubling=40),
        Spline(form="spline", weeks=(0, 9, 26, 40), points=(0, 1, 5, 6)),
    ],
    ids=["linear", "levelling", "accelerating", "spline"],
)
@pytest.mark.parametrize("stages", [0, 3])
@pytest.mark.parametrize(("start", "stop"), [(0.0, math.inf), (28.0, math.inf), (0.0, 28.0)])
def test_independent_what_is_saved_is_the_integral(course: Any, stages: int, start: float, stop: float) -> None:
    """Against adaptive quadrature of pace times what has come through the lag, for every course and both starts."""
    effect = Effect(mechanism="lagged", slowing=0.7, lag=6, stages=stages)
    weeks = np.arange(0.0, 53.0)
    found = saved(course, weeks, Taken(start, stop, 0.5), effect)

    def through(t: float, since: float) -> float:
        if not math.isfinite(since) or t <= since:
            return 0.0
        return float(gamma.cdf(t - since, stages, scale=6 / stages)) if stages else float(t - since > 6)

    def pace(t: float) -> float:
        return float(course.pace(np.array([t]))[0]) * (through(t, start) - through(t, stop))

    for week in (4, 20, 30, 52):
        breaks = [p for p in (start, stop, start + 6, stop + 6, 9, 26, 40) if 0 < p < week]
        exact = quad(pace, 0, week, points=breaks or None, limit=200)[0]
        assert found[week] == pytest.approx(0.35 * exact, abs=2e-6)


def test_independent_courses_are_what_they_say() -> None:
    weeks = np.array([0.0, 10.0, 20.0])
    assert Linear(form="linear", rate=2.0).loss(weeks)[2] == pytest.approx(2 * 20 / WEEKS_PER_MONTH)
    halving = Exponential(form="exponential", rate=2.0, half_life=10)
    assert halving.pace(weeks) * WEEKS_PER_MONTH == pytest.approx([2.0, 1.0, 0.5])
    assert Exponential(form="exponential", rate=2.0, doubling=10).pace(weeks)[2] * WEEKS_PER_MONTH == pytest.approx(8)
    for course in (halving, Spline(form="spline", weeks=(0, 8, 15), points=(0, 3, 4))):
        step = np.array([6.999, 7.001])
        assert np.diff(course.loss(step))[0] / 0.002 == pytest.approx(course.pace(np.array([7.0]))[0], rel=1e-5)
    spline = Spline(form="spline", weeks=(0, 8, 15), points=(0, 3, 4))
    assert spline.loss(np.array([0.0, 8.0, 15.0])) == pytest.approx([0, 3, 4])
    # natural: no curvature at the ends, and straight beyond the last knot
    beyond = spline.loss(np.array([15.0, 16.0, 17.0, 18.0]))
    assert np.diff(beyond, 2) == pytest.approx([0, 0], abs=1e-12)


def test_property_slowing_is_decline_at_the_slower_time() -> None:
    """A11: with linear decline a slowing by b is the untreated course at (1 - b) t; b T is the time saved."""
    scenario = plain(mechanisms__slowing={"effect": {"mechanism": "slowing", "slowing": 0.2}})
    drug = typical_course(scenario, "ALL", "drug", mechanism="slowing", weeks=[0, 7, 28])
    control = typical_course(scenario, "ALL", "placebo", mechanism="slowing", weeks=[0, 7, 28])
    assert drug["LEVEL"][2] == pytest.approx(40 - 0.8 * 28 / WEEKS_PER_MONTH, rel=1e-12)
    assert drug["SAVED"][2] / control["LOSS"][2] == pytest.approx(0.2, rel=1e-12)


# --- moments ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mechanism", ["none", "symptomatic", "slowing", "lagged", "harm"])
@pytest.mark.parametrize("change", [{}, {"disease__outcome__direction": "lower_better"}], ids=["higher", "lower"])
def test_simulation_moments_are_those_in_closed_form(mechanism: str, change: dict[str, Any]) -> None:
    """Mean and covariance of the values over 40,000 patients, within 5 Monte Carlo errors of every entry."""
    scenario = plain(**DELAYED, **change)
    trials = simulate(scenario, 400, seed=3, mechanism=mechanism)
    for a, arm in enumerate(scenario.protocol.arms):
        y = score(trials, a)
        exact = moments(scenario, "ALL", arm, mechanism=mechanism)
        n = len(y)
        error = np.sqrt(np.diag(exact.covariance) / n)
        assert np.all(np.abs(y.mean(axis=0) - exact.mean) < 5 * error)
        s = exact.covariance
        spread = np.sqrt((np.outer(np.diag(s), np.diag(s)) + s**2) / n)
        assert np.all(np.abs(np.cov(y.T) - s) < 5 * spread)


@pytest.mark.parametrize("residual", [{"sd": 2.0, "correlation": 0.5}, {"sd": 2.0, "correlation": 0.5, "weeks": 2}])
def test_simulation_residual_correlation(residual: dict[str, Any]) -> None:
    """Without random effects what is left is the residual: AR(1) over the visits, or continuous in time."""
    group = {"mean": 40, "sd": 0, "course": {"form": "linear", "rate": 1.0}}
    y = score(simulate(plain(disease__residual=residual, groups__ALL=group), 400, seed=5), 0)
    visits = np.array([0, 4, 8, 16, 28])
    lag = (
        np.abs(np.subtract.outer(visits, visits)) / 2
        if "weeks" in residual
        else np.abs(np.subtract.outer(np.arange(5), np.arange(5)))
    )
    assert np.abs(np.corrcoef(y.T) - 0.5**lag).max() < 5 / math.sqrt(len(y))


def test_simulation_factors_move_level_rate_and_hazard() -> None:
    factors = {"E4FL": {"share": 0.4, "level": -3.0, "rate": 0.5}, "SEXFL": {"share": 0.5}}
    scenario = plain(groups__ALL__factors=factors, protocol__strata=["E4FL"])
    trials = simulate(scenario, 300, seed=8)
    assert scenario.covariates == ("E4FL", "SEXFL")
    has, y = trials.covariates["E4FL"], trials.outcomes["SCORE"]
    assert abs(has.mean() - 0.4) < 5 * math.sqrt(0.24 / has.size)
    level = y[:, :, 0][has == 1].mean() - y[:, :, 0][has == 0].mean()
    loss = (y[:, :, -1] - y[:, :, 0])[has == 1].mean() - (y[:, :, -1] - y[:, :, 0])[has == 0].mean()
    assert abs(level + 3.0) < 0.3
    assert abs(loss + 0.5 * 28 / WEEKS_PER_MONTH) < 0.3
    # stratified: in each stratum the arms are never further apart than half a block
    for one in (0, 1):
        inside = has == one
        assert np.abs((inside & (trials.arm == 0)).sum(axis=1) - (inside & (trials.arm == 1)).sum(axis=1)).max() <= 1
    exact = moments(scenario, "ALL", "placebo")
    mine = score(trials, 0)
    assert np.all(np.abs(mine.mean(axis=0) - exact.mean) < 5 * np.sqrt(np.diag(exact.covariance) / len(mine)))


def test_property_values_lie_on_the_grid_and_in_the_range() -> None:
    outcome = {"direction": "lower_better", "low": 0, "high": 42, "grid": 0.5}
    y = simulate(plain(disease__outcome=outcome), 20, seed=1).outcomes["SCORE"]
    assert y.min() >= 0
    assert y.max() == 42
    assert np.array_equal(y * 2, np.rint(y * 2))
    assert len(np.unique(y)) > 20


def test_property_admission_is_of_the_observed_value() -> None:
    y = simulate(plain(admission={"ALL": {"low": 38, "high": 45}}), 20, seed=1).outcomes["SCORE"][:, :, 0]
    assert y.min() >= 38
    assert y.max() <= 45
    with pytest.raises(ScenarioError, match="hardly any patient"):
        simulate(plain(admission={"ALL": {"low": 200}}), 1)


def test_simulation_run_in() -> None:
    """Everybody let through: the moments of what is lost in it. A bound on it enriches for those who lose faster."""
    group = {"mean": 40, "sd": 5, "course": {"form": "linear", "rate": 1.0}, "rate_sd": 0.6}
    wide = {"weeks": 12, "least_fall": -1000, "most_fall": 1000}
    trials = simulate(plain(groups__ALL=group, protocol__run_in=wide), 200, seed=3)
    fall = trials.covariates["RUNINCHG"].ravel()
    variance = (0.6 * 12 / WEEKS_PER_MONTH) ** 2 + 2 * 4 * (1 - 0.6**3)
    assert abs(fall.mean() - 12 / WEEKS_PER_MONTH) < 5 * math.sqrt(variance / fall.size)
    assert abs(fall.var() - variance) < 5 * variance * math.sqrt(2 / fall.size)
    y = trials.outcomes["SCORE"][:, :, 0].ravel()
    assert trials.covariates["PRERUNIN"].ravel() - y == pytest.approx(fall)
    assert abs(y.mean() - 40) < 5 * math.sqrt(29 / y.size)
    # who is let in: the regression of later loss on the fall, at its truncated mean
    fast = simulate(plain(groups__ALL=group, protocol__run_in={**wide, "least_fall": 4}), 200, seed=3)
    assert fast.covariates["RUNINCHG"].min() >= 4
    placebo = fast.arm == 0
    lost = fast.outcomes["SCORE"][placebo][:, 0] - fast.outcomes["SCORE"][placebo][:, -1]
    k = 0.6 ** np.array([12 / 4, 28 / 4, 40 / 4])
    residuals = 4 * (k[0] - 1 - k[2] + k[1])  # Cov(e0 - e28, e(-12) - e0)
    slope = ((0.6 / WEEKS_PER_MONTH) ** 2 * 12 * 28 + residuals) / variance
    expected = 28 / WEEKS_PER_MONTH + slope * (fast.covariates["RUNINCHG"].mean() - 12 / WEEKS_PER_MONTH)
    assert abs(lost.mean() - expected) < 5 * lost.std() / math.sqrt(lost.size)


# --- marker, event, dropout -------------------------------------------------------------------------------------------

MARKER = {
    "outcomes": {"SCORE": "OUTCOME", "NFL": "MARKER"},
    "disease__marker": {"residual": {"sd": 0.2}, "drift": 0.02, "ratio": 0.5, "onset": 6},
    "groups__ALL__marker": {"mean": 2.0, "sd": 0.5, "rate_corr": 0.4, "level_corr": -0.2},
}


def test_simulation_marker() -> None:
    """Drift, the drug's ratio at its time constant, and correlation with level and rate; the outcome keeps its bits."""
    with_marker, without = simulate(plain(**MARKER), 300, seed=2), simulate(plain(), 300, seed=2)
    np.testing.assert_array_equal(with_marker.outcomes["SCORE"], without.outcomes["SCORE"])
    ln = np.log(with_marker.outcomes["NFL"])
    for arm, drug in ((0, 0.0), (1, math.log(0.5) * -math.expm1(-28 / 6))):
        mine = ln[with_marker.arm == arm]
        moved = mine[:, -1] - mine[:, 0]
        assert abs(moved.mean() - drug - 0.02 * 28 / WEEKS_PER_MONTH) < 5 * moved.std() / math.sqrt(len(moved))
    assert np.array_equal(with_marker.derived["LNNFLBL"], ln[:, :, 0])
    base = ln[:, :, 0].ravel()
    assert abs(base.std() - math.hypot(0.5, 0.2)) < 0.02
    y = with_marker.outcomes["SCORE"].reshape(-1, 5)
    expected = -0.2 * 0.5 * 5 / (math.hypot(0.5, 0.2) * math.hypot(5, 2))
    assert abs(np.corrcoef(base, y[:, 0])[0, 1] - expected) < 5 / math.sqrt(len(base))
    placebo = with_marker.arm.ravel() == 0
    change = (y[:, -1] - y[:, 0])[placebo]
    assert np.corrcoef(base[placebo], change)[0, 1] < -0.1


@pytest.mark.parametrize("shape", [1.0, 1.6])
def test_simulation_event_hazard(shape: float) -> None:
    """Constant and Weibull: the cumulative hazard at the end, its drug's ratio, within 4.5 Monte Carlo errors."""
    event = {"hazard": 0.01, "shape": shape}
    effect = {"effect": {"mechanism": "survival", "hazard_ratio": 0.4}}
    scenario = plain(disease__event=event, mechanisms__survival=effect)
    trials = simulate(scenario, 200, seed=6, mechanism="survival")
    week, died = trials.times_to("death")
    whole = 0.01 * 52 * (28 / 52) ** shape
    for arm, ratio in ((0, 1.0), (1, 0.4)):
        mine = died[trials.arm == arm]
        share = 1 - math.exp(-whole * ratio)
        assert abs(mine.mean() - share) < 4.5 * math.sqrt(share * (1 - share) / mine.size)
    early = (week <= 14)[trials.arm == 0] & died[trials.arm == 0]
    half = 1 - math.exp(-0.01 * 52 * (14 / 52) ** shape)
    assert abs(early.mean() - half) < 4.5 * math.sqrt(half * (1 - half) / early.size)
    # nobody is seen after death
    y = trials.outcomes["SCORE"]
    assert np.isnan(y[:, :, -1][died]).all()
    assert np.array_equal(trials.last_week[died], week[died])


def test_simulation_event_follows_the_value() -> None:
    """ln hazard by the current value of people alike: the share is that of the integral."""
    group = {"mean": 40, "sd": 0, "course": {"form": "linear", "rate": 2.0}}
    event = {"parameter": "FALL", "name": "first fall", "hazard": 0.004, "per_point": 0.15, "reference": 40}
    trials = simulate(plain(groups__ALL=group, disease__event=event), 200, seed=6)
    _, fell = trials.times_to("first_fall")
    whole = quad(lambda t: 0.004 * math.exp(0.15 * 2.0 * t / WEEKS_PER_MONTH), 0, 28)[0]
    share = 1 - math.exp(-whole)
    assert abs(fell.mean() - share) < 4.5 * math.sqrt(share * (1 - share) / fell.size)
    # it is not fatal: everybody is seen to the end
    assert not np.isnan(trials.outcomes["SCORE"]).any()
    assert not trials.times_to("death")[1].any()
    assert set(trials[0].events["PARAMCD"]) == {"DEATH", "FALL"}


def test_simulation_events_after_leaving_are_followed_without_drug() -> None:
    """Followed to week 52: who left is still counted, and from leaving on the drug does not act."""
    change = {
        "disease__event": {"hazard": 0.02},
        "disease__dropout": {"hazard": 5.0},
        "mechanisms__survival": {"effect": {"mechanism": "survival", "hazard_ratio": 0.01}},
        "protocol__follow_up": {"first": 52, "last": 52},
    }
    trials = simulate(plain(**change), 100, seed=4, mechanism="survival")
    _, died = trials.times_to("death")
    share = 1 - math.exp(-0.02 * 52)
    drug = died[trials.arm == 1]
    # all but the first week or so is without drug
    assert abs(drug.mean() - share) < 4.5 * math.sqrt(share * (1 - share) / drug.size) + 0.02
    assert trials.last_week.max() < 28


def test_simulation_dropout_by_rate_and_last_value() -> None:
    flat = simulate(plain(disease__dropout={"hazard": 0.02}), 200, seed=9)
    gone = flat.last_week < 28
    share = 1 - math.exp(-0.02 * 28)
    assert abs(gone.mean() - share) < 4.5 * math.sqrt(share * (1 - share) / gone.size)
    assert np.array_equal(np.isnan(flat.outcomes["SCORE"][:, :, -1]), gone)
    by_value = simulate(plain(disease__dropout={"hazard": 0.02, "per_point": 0.2}), 200, seed=9)
    y = by_value.outcomes["SCORE"]
    seen = ~np.isnan(y[:, :, 3]) & (by_value.last_week >= 16)
    left = by_value.last_week < 28
    lost = y[:, :, 0] - y[:, :, 3]
    worse = left[seen & (lost > 5)].mean()
    better = left[seen & (lost < 2)].mean()
    assert worse > better + 0.1
    # between the last two visits the hazard is exp(0.2 lost), whoever the patient is
    expected = 1 - np.exp(-0.02 * np.exp(0.2 * lost[seen]) * 12)
    assert abs(left[seen].mean() - expected.mean()) < 4.5 * math.sqrt(0.25 / seen.sum())


def test_simulation_missed_visits() -> None:
    y = simulate(plain(disease__missed_visit=0.1), 100, seed=1).outcomes["SCORE"]
    assert not np.isnan(y[:, :, 0]).any()
    assert abs(np.isnan(y[:, :, 1:]).mean() - 0.1) < 0.005


# --- arms and doses ---------------------------------------------------------------------------------------------------

DOSES = {
    "protocol__arms": ["placebo", "low", "high"],
    "protocol__ratio": [1, 1, 2],
    "protocol__dosing": {"regimen": "daily", "randomised": ["low", "high"], "doses": {"low": 10, "high": 30}},
}


@pytest.mark.parametrize(
    ("by_dose", "shares"), [({"by_dose": {10: 0.3, 30: 1.0}}, (0.3, 1.0)), ({"ed50": 10}, (0.5, 0.75))]
)
def test_simulation_several_arms_by_dose(by_dose: dict[str, Any], shares: tuple[float, float]) -> None:
    effect = {"effect": {"mechanism": "slowing", "slowing": 0.5, **by_dose}}
    scenario = plain(**DOSES, mechanisms__slowing=effect)
    trials = simulate(scenario, 200, seed=2, mechanism="slowing")
    assert [(trials.arm == a).sum(axis=1).tolist()[0] for a in (0, 1, 2)] == [25, 25, 50]
    loss = 28 / WEEKS_PER_MONTH
    for a, share in enumerate((0.0, *shares)):
        y = score(trials, a)
        moved = y[:, -1] - y[:, 0]
        assert abs(moved.mean() + loss * (1 - 0.5 * share)) < 5 * moved.std() / math.sqrt(len(moved))
    # three arms: no kernel that compares two, and every method trial by trial
    assert scenario.plan.compiled == ()
    found = estimates(study_of(trials, 0), scenario.whole_plan(), strict=True)
    assert {k.arm for k in found if k.quantity == "difference"} == {"low", "high"}


def test_property_the_same_arm_by_itself() -> None:
    """A second active arm at no dose of effect does not change what an arm is."""
    alone = moments(plain(), "ALL", "drug", mechanism="slowing").mean
    effect = {"effect": {"mechanism": "slowing", "slowing": 0.5, "by_dose": {10: 0.0, 30: 1.0}}}
    among = plain(**DOSES, mechanisms__slowing=effect)
    assert moments(among, "ALL", "high", mechanism="slowing").mean == pytest.approx(alone, rel=1e-14)
    assert moments(among, "ALL", "low", mechanism="slowing").mean == pytest.approx(
        moments(plain(), "ALL", "placebo").mean, rel=1e-14
    )


# --- the same bits ----------------------------------------------------------------------------------------------------

FULL = {
    **DELAYED,
    **MARKER,
    "disease__event": {"hazard": 0.004, "per_point": 0.05, "reference": 40},
    "disease__dropout": {"hazard": 0.005, "per_point": 0.03},
    "disease__missed_visit": 0.03,
    "groups__ALL__factors": {"E4FL": {"share": 0.4, "ln_hazard": 0.3}},
    "protocol__strata": ["E4FL"],
    "protocol__extension": {"end": 52, "entry": 0.9},
}


def tables_of(trials: Trials) -> list[np.ndarray]:
    week, died = trials.times_to("death")
    return [*trials.outcomes.values(), *trials.covariates.values(), trials.arm, week, died, trials.last_week]


@pytest.mark.parametrize("size", [1, 7, 30])
def test_property_blocks_and_threads_change_no_bit(size: int) -> None:
    simulator = Simulator.of(plain(**FULL), "lagged")
    whole = tables_of(simulator.block(11, 0, 30))
    starts = range(0, 30, size)
    with ThreadPoolExecutor(2) as pool:
        parts = list(pool.map(lambda first: simulator.block(11, first, min(size, 30 - first)), starts))
    for k, table in enumerate(whole):
        np.testing.assert_array_equal(np.concatenate([tables_of(p)[k] for p in parts]), table)


def test_property_a_study_has_the_same_bits_on_threads_and_when_resumed(tmp_path: Path) -> None:
    """A10: one thread, two, and a store that grows give the same p-values, bit by bit."""
    simulator = Simulator.of(plain(disease__dropout={"hazard": 0.01}), "slowing")
    at = Key("difference", analysis="end", arm="drug", visit="Week 28")
    keys = [at, replace(at, statistic="p")]
    with run_study(simulator, keys, 130, seed=3, threads=1) as one, run_study(simulator, keys, 130, seed=3) as two:
        for key in keys:
            np.testing.assert_array_equal(one.values(key), two.values(key))
        run_study(simulator, keys, 50, seed=3, store=tmp_path)
        with run_study(simulator, keys, 130, seed=3, store=tmp_path) as grown:
            np.testing.assert_array_equal(grown.values(keys[0]), one.values(keys[0]))


def test_property_another_size_keeps_the_first_patients() -> None:
    """Common random numbers: patient j of replicate r is the same person in a larger trial and under another drug."""
    small = simulate(plain(protocol__groups={"ALL": 60}), 3, seed=5)
    large = simulate(plain(protocol__groups={"ALL": 100}), 3, seed=5)
    np.testing.assert_array_equal(small.outcomes["SCORE"], large.outcomes["SCORE"][:, :60])
    slowed = simulate(plain(), 3, seed=5, mechanism="slowing")
    placebo = large.arm == 0
    np.testing.assert_array_equal(slowed.outcomes["SCORE"][placebo], large.outcomes["SCORE"][placebo])


def test_property_the_text_of_a_scenario_reads_back() -> None:
    for scenario in (plain(**FULL), plain(**DOSES), load_scenario("clarity_ad")):
        again = parse_scenario(scenario_text(scenario), "text")
        assert again == scenario
        assert again.digest() == scenario.digest()
        assert again.package.name == "progression"


def test_property_a_trial_is_written_as_adam(tmp_path: Path) -> None:
    trial = simulate(plain(**FULL), 1, seed=3)[0]
    assert {"E4FL", "SCOREBL", "NFLBL", "LNNFLBL"} <= set(trial.subjects.columns)
    assert {"adsl.xpt", "adeff.xpt", "adtte.xpt"} <= {p.name for p in write_adam(from_trial(trial), tmp_path)}


# --- overrides --------------------------------------------------------------------------------------------------------


def test_property_a_mechanism_may_bring_its_own_natural_history() -> None:
    own = {"effect": {"mechanism": "slowing", "slowing": 0.5}, "groups": {"ALL": {"course": {"rate": 2.0}}}}
    scenario = plain(mechanisms__slowing={**own, "disease": {"residual": {"sd": 1.0}}})
    groups, disease, _ = scenario.under("slowing")
    assert (groups["ALL"].course.rate, groups["ALL"].course.form, groups["ALL"].rate_sd) == (2.0, "linear", 0.6)
    assert (disease.residual.sd, disease.residual.correlation) == (1.0, 0.6)
    assert scenario.under("none")[1].residual.sd == 2.0


def test_independent_the_kernel_of_mmrm_and_the_door_agree(tmp_path: Path) -> None:
    """What the plan's kernel gives of a block is what the data-frame door gives of each trial."""
    scenario: Scenario = plain(disease__dropout={"hazard": 0.01})
    trials = simulate(scenario, 3, seed=4, mechanism="slowing")
    key = Key("difference", analysis="end", arm="drug", visit="Week 28")
    made = analyse(trials, scenario.plan)[key]
    for i in range(3):
        one = estimates(study_of(trials, i), scenario.whole_plan(), strict=True)[key]
        assert one.estimate == pytest.approx(made.value[i], rel=1e-8)
        assert one.se == pytest.approx(made.se[i], rel=1e-6)
