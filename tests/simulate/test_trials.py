"""What a batch of virtual trials must look like, whatever the parameters."""

from __future__ import annotations

import numpy as np
import pytest

from equipoise.errors import DataError, ScenarioError
from equipoise.simulate import Scenario, simulate
from equipoise.trial import Trials


@pytest.fixture(scope="module")
def trials(valor: Scenario) -> Trials:
    return simulate(valor, 40, seed=3)


def test_property_allocation_is_two_to_one_in_every_stratum(trials: Trials) -> None:
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
