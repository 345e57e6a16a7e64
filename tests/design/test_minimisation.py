"""Minimisation: the same patients, balanced traits, and the toss of a coin as its limit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plain_study import study

from equipoise.design import DesignStudy, design
from equipoise.design.carry_out import prepare
from equipoise.design.minimisation import minimised
from equipoise.errors import ScenarioError
from equipoise.run.executors import Threads
from equipoise.simulate import load_scenario
from equipoise.trial import Trials


def block(own: DesignStudy, trials: int = 40) -> Trials:
    return prepare(own, load_scenario(own.base))[0].maker.simulator.block(own.seed, 0, trials)


def apart(trials: Trials) -> np.ndarray:
    """(trial, group) difference of the numbers of patients in the arms."""
    return np.stack(
        [
            np.abs(
                ((trials.arm == 0) & (trials.group == g)).sum(axis=1)
                - ((trials.arm == 1) & (trials.group == g)).sum(axis=1)
            )
            for g in range(len(trials.sets))
        ],
        axis=1,
    )


def test_property_the_patients_are_the_same_and_the_traits_balanced(tmp_path: Path) -> None:
    rule = {"method": "minimisation", "by": ["group"]}
    blocks, sure, likely, coin = (
        block(study(tmp_path, allocation=a, factors={"patients": [60]}))
        for a in (None, {**rule, "p": 1.0}, {**rule, "p": 0.8}, {**rule, "p": 0.5})
    )
    np.testing.assert_array_equal(sure.group, blocks.group)
    np.testing.assert_array_equal(sure.outcomes["SCORE"][:, :, 0], blocks.outcomes["SCORE"][:, :, 0])
    # in the same arm a patient has the same course, whatever allocated him to it
    like = sure.arm == blocks.arm
    assert 0.3 < like.mean() < 0.7
    np.testing.assert_array_equal(sure.outcomes["SCORE"][like], blocks.outcomes["SCORE"][like])
    assert apart(sure).max() <= 1
    means = [apart(t).mean() for t in (sure, likely, coin)]
    assert means[0] < means[1] < means[2]
    # a coin: binomial, mean absolute difference of 30 tosses about 4.4
    assert means[2] == pytest.approx(4.4, abs=1.2)


def test_independent_scores_by_hand() -> None:
    # two traits, three arms, p = 1: the third patient shares trait 1 with the first and trait 2 with the second
    levels = [np.array([[0, 1, 0, 0]]), np.array([[0, 1, 1, 0]])]
    draws = np.zeros((1, 4, 2))
    made = minimised(levels, np.arange(4)[None], 3, 1.0, draws)[0].tolist()
    # 1st: all alike, the first arm. 2nd: nobody is like him, the first arm. 3rd: both traits have one in arm 0
    # 4th: trait 1 has one in arms 0 and 1, trait 2 one in arm 0: arm 2 is the best
    assert made == [0, 0, 1, 2]
    other = minimised(levels, np.arange(4)[None], 3, 0.5, np.full((1, 4, 2), 0.6))[0].tolist()
    assert other != made


def test_simulation_the_level_is_kept(tmp_path: Path) -> None:
    own = study(tmp_path, allocation={"method": "minimisation", "by": ["group"], "p": 0.8}, factors={"patients": [80]})
    made = {c.world: c for c in design(own, replicates=800, executor=Threads(1)).cells}
    assert abs(made["none"].success - 0.025) <= 4 * (0.025 * 0.975 / 800) ** 0.5
    assert made["lifts"].success > 0.3
    assert made["lifts"].true_effect == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"allocation": {"method": "minimisation", "by": ["AGE"]}}, "allocation.by: 'AGE' is no trait"),
        (
            {"allocation": {"method": "minimisation", "by": ["group"]}, "factors": {"ratio": ["1:2"]}},
            "unequal size (1:2)",
        ),
        ({"allocation": {"method": "minimisation", "by": ["group"]}, "imbalance": True}, "leave imbalance out"),
        ({"allocation": {"method": "minimisation", "by": []}}, "allocation.by"),
        ({"allocation": {"method": "minimisation", "by": ["group"], "p": 1.5}}, "allocation.p"),
    ],
)
def test_property_bad_allocations_are_refused_by_name(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    def made() -> Any:
        own = study(tmp_path, **changes)
        return prepare(own, load_scenario(own.base))

    with pytest.raises(ScenarioError) as caught:
        made()
    assert words in str(caught.value)
