"""What a batch of virtual trials must look like, whatever the parameters."""

from __future__ import annotations

import numpy as np
import pytest
import yaml

from equipoise.errors import DataError, ScenarioError
from equipoise.records import load_record
from equipoise.simulate import Scenario, Simulator, load_scenario, scenario_text, simulate
from equipoise.simulate.protocol import Protocol
from equipoise.simulate.scenario import parse_scenario
from equipoise.trial import Trials


@pytest.fixture(scope="module")
def trials(valor: Scenario) -> Trials:
    return simulate(valor, 40, seed=3)


def test_property_allocation_is_two_to_one_in_every_stratum(valor: Scenario) -> None:
    trials = simulate(valor, 40, seed=3, imbalance=False)
    for i in range(len(trials)):
        for group in range(2):
            for ril in (0, 1):
                for eda in (0, 1):
                    stratum = (
                        (trials.group[i] == group)
                        & (trials.covariates["RILFL"][i] == ril)
                        & (trials.covariates["EDAFL"][i] == eda)
                    )
                    n, active = stratum.sum(), (trials.arm[i][stratum] == 1).sum()
                    # complete blocks of three hold two active each; an open block at most two more or less
                    assert 2 * (n // 3) <= active <= 2 * (n // 3) + min(n % 3, 2)


def test_property_admission_rules_hold(trials: Trials) -> None:
    slope, listed = trials.covariates["PRESLOPE"], trials.covariates["LISTEDFL"] == 1
    fast = trials.members("F")
    assert (slope[fast & listed] >= 0.2).all()
    assert (slope[fast & ~listed] >= 0.9).all()
    assert (slope[~fast] < 0.9).all()
    np.testing.assert_allclose(slope, (48 - trials.outcomes["ALSFRS"][:, :, 0]) / trials.covariates["ONSETMO"])


def test_property_scores_are_whole_points_in_range(trials: Trials) -> None:
    score = trials.outcomes["ALSFRS"]
    seen = score[~np.isnan(score)]
    assert (seen == np.rint(seen)).all()
    assert seen.min() >= 0
    assert seen.max() <= 48


def test_property_nothing_is_observed_after_leaving(trials: Trials) -> None:
    for values in trials.outcomes.values():
        assert not np.isnan(values[:, :, 0]).any()
        for v, week in enumerate(trials.weeks):
            assert np.isnan(values[:, :, v][trials.last_week < week]).all()


def test_property_events_are_consistent(trials: Trials) -> None:
    death_week, died = trials.times_to("death")
    first = trials.events["death_or_ventilation"]
    assert {first.words[int(code)] for code in np.unique(first.code[died])} == {"death"}
    np.testing.assert_array_equal(death_week[died], trials.last_week[died])
    assert (first.week[first.happened] <= trials.last_week[first.happened]).all()
    late = trials.last_week > 28
    assert trials.entered_extension[late].all()


def test_property_one_trial_as_frames(trials: Trials) -> None:
    trial = trials[5]
    assert trial.subjects.height == trials.n_subjects
    assert trial.subjects["USUBJID"].n_unique() == trials.n_subjects
    score = trials.outcomes["ALSFRS"][5]
    rows = trial.visits.filter(trial.visits["PARAMCD"] == "ALSFRS")
    assert rows.height == (~np.isnan(score)).sum()
    np.testing.assert_allclose(rows["CHG"].to_numpy(), rows["AVAL"].to_numpy() - rows["BASE"].to_numpy())
    assert set(trial.events["PARAMCD"]) == {"DTHPV", "DEATH"}
    with pytest.raises(IndexError):
        trials[40]


def test_property_unknown_set_or_week_is_refused(trials: Trials) -> None:
    with pytest.raises(DataError, match="unknown analysis set 'X'"):
        trials.members("X")
    with pytest.raises(DataError, match="no visit at week 27"):
        trials.visit_index(27)


def test_property_no_replicates_is_refused(valor: Scenario) -> None:
    with pytest.raises(ScenarioError, match="0 replicates"):
        simulate(valor, 0)


def test_property_arms_rebuilt_as_they_happened_have_the_published_sizes_and_difference():
    """Sizes by arm and the ratio of the arms' geometric means of NfL are facts of the trial (FDA p.42, EMA p.59)."""
    scenario = load_scenario("valor")
    as_it_was = Simulator.of(scenario, "none", imbalance=True).block(5, 0, 400)
    fresh = Simulator.of(scenario, "none", imbalance=False).block(5, 0, 20)
    for group, counts in scenario.protocol.as_randomised.items():
        here = as_it_was.members(group)
        for arm, count in enumerate(counts):
            assert set((here & (as_it_was.arm == arm)).sum(axis=1)) == {count}
    assert len(set((fresh.members("F") & (fresh.arm == 0)).sum(axis=1))) > 1
    ln = np.log(as_it_was.baseline("NFL"))
    record = load_record("valor")
    for group in (*scenario.protocol.groups, "ITT"):
        here = as_it_was.members(group)
        seen = ln[here & (as_it_was.arm == 1)].mean() - ln[here & (as_it_was.arm == 0)].mean()
        published = [
            record.baseline_value("NFL", set=group, arm=a, statistic="geometric_mean").value
            for a in scenario.protocol.arms
        ]
        error = ln[here].std() * np.sqrt(4.5 / here.sum())  # two arms, one to two
        assert abs(seen - np.log(published[1] / published[0])) < 3 * error + 0.02, group


def test_property_vital_capacity_and_the_rate_of_loss_go_together_as_far_as_is_asked():
    """A patient's root of the rate falls by the coefficient for every 10 points; without it the numbers stay."""
    scenario = load_scenario("valor")

    def told(value: float):
        groups = {k: g.model_copy(update={"root_rate_svc": value}) for k, g in scenario.groups.items()}
        own = scenario.model_copy(update={"groups": groups, "mechanisms": {}, "default_mechanism": None})
        own = own.model_copy(
            update={"mechanisms": {"none": scenario.mechanisms["none"].model_copy(update={"groups": {}})}}
        )
        trials = Simulator.of(own, "none", imbalance=False).block(3, 0, 60)
        last = trials.outcomes["ALSFRS"][:, :, trials.visit_index(28.0)] - trials.baseline("ALSFRS")
        keep = ~np.isnan(last)
        return float(np.corrcoef(last[keep], trials.baseline("SVC")[keep])[0, 1])

    less, none, more = told(-0.1), told(0.0), told(0.1)
    assert abs(none) < 0.1
    assert less > none + 0.05
    assert more < none - 0.05


@pytest.mark.parametrize(
    ("counts", "problem"),
    [
        ({"F": [20, 39]}, "does not share 60 patients among 2 arms"),
        ({"F": [60]}, "give one count an arm"),
        ({"X": [1, 2]}, "no such group"),
    ],
)
def test_property_sizes_that_do_not_add_up_are_refused(counts, problem):
    data = yaml.safe_load(scenario_text(load_scenario("valor")))
    data["protocol"]["as_randomised"] = counts
    with pytest.raises(ScenarioError, match=problem):
        parse_scenario(yaml.safe_dump(data), "mine.yaml")


def test_property_a_trial_of_other_arms_or_sizes_forgets_how_the_published_one_was_randomised() -> None:
    protocol = load_scenario("valor").protocol
    other = Protocol.model_validate({**dict(protocol), "groups": {"F": 30, "S": 48}})
    assert protocol.blocks(as_it_happened=True) == ((21, 39), (15, 33))
    assert other.blocks(as_it_happened=True) == ((1, 2), (15, 33))
    assert protocol.blocks(as_it_happened=False) == ((1, 2), (1, 2))
