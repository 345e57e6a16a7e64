"""Assurance and the value of information: known answers, independent sums, simulation."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from equipoise.decision import assurance, power_ttest, value_of_information
from equipoise.errors import ScenarioError


@pytest.mark.parametrize(
    ("belief", "expected"),
    [((2.2, 1.5, 1.0), (0.552962, 0.594849, 0.928767)), ((1.0, 1.0, 0.5), (0.507143, 0.515968, 0.841345))],
)
def test_reference_assurance(belief: tuple[float, float, float], expected: tuple[float, float, float]) -> None:
    mean, sd, se = belief
    made = assurance(mean=mean, sd=sd, se=se)
    assert (made.assurance, made.power, made.bound) == pytest.approx(expected, abs=5e-7)


def test_reference_value_of_information() -> None:
    made = value_of_information(mean=1, sd=2, se=1)
    assert (made.evpi, made.evsi) == pytest.approx((0.395593, 0.322342), abs=5e-7)


@pytest.mark.parametrize("threshold", [-0.4, 0.0, 0.7])
def test_independent_the_parts_are_a_bivariate_normal_probability(threshold: float) -> None:
    mean, sd, se, alpha = 0.6, 0.9, 0.4, 0.025
    made = assurance(mean=mean, sd=sd, se=se, alpha=alpha, threshold=threshold)
    cut = stats.norm.isf(alpha) * se
    both = stats.multivariate_normal([mean, mean], [[sd**2, sd**2], [sd**2, sd**2 + se**2]])
    low = both.cdf([threshold, cut])
    assert made.nothing_and_not_shown == pytest.approx(low, abs=1e-6)
    assert made.works_and_shown == pytest.approx(
        1.0 - stats.norm.cdf(threshold, mean, sd) - stats.norm.cdf(cut, mean, math.hypot(sd, se)) + low, abs=1e-6
    )
    parts = made.works_and_shown + made.works_and_missed + made.nothing_and_shown + made.nothing_and_not_shown
    assert parts == pytest.approx(1.0, abs=1e-12)
    assert made.works_and_shown + made.nothing_and_shown == pytest.approx(made.assurance, abs=1e-12)


def test_property_assurance_rises_to_its_bound_and_certainty_is_power() -> None:
    sizes = [assurance(mean=0.5, sd=0.5, se=se).assurance for se in (1.0, 0.3, 0.1, 1e-4)]
    bound = assurance(mean=0.5, sd=0.5, se=1.0).bound
    assert sizes == sorted(sizes)
    assert sizes[-1] == pytest.approx(bound, abs=1e-3)
    assert max(sizes) < bound
    sure = assurance(mean=0.5, sd=0.0, se=0.2)
    assert sure.assurance == sure.power == sure.works_and_shown
    n = 5000  # a t test with so many degrees of freedom is a normal one
    ttest = power_ttest(difference=0.05, sd=1, n=n, alpha=0.025, sides=1)
    assert assurance(mean=0.05, sd=0.0, se=ttest.se).power == pytest.approx(ttest.power, abs=2e-4)


def test_simulation_of_beliefs_trials_and_decisions() -> None:
    rng = np.random.default_rng(5)
    mean, sd, se, c, n = 0.4, 0.7, 0.5, 0.2, 400_000
    effect = rng.normal(mean, sd, n)
    estimate = rng.normal(effect, se)
    shown = estimate > stats.norm.isf(0.025) * se
    made = assurance(mean=mean, sd=sd, se=se)
    error = 0.5 / math.sqrt(n)
    assert made.assurance == pytest.approx(shown.mean(), abs=4 * error)
    assert made.nothing_and_shown == pytest.approx((shown & (effect <= 0)).mean(), abs=4 * error)
    assert made.works_and_missed == pytest.approx((~shown & (effect > 0)).mean(), abs=4 * error)
    worth = value_of_information(mean=mean, sd=sd, se=se, threshold=c)
    after = (mean / sd**2 + estimate / se**2) / (1 / sd**2 + 1 / se**2)
    now = max(mean - c, 0.0)
    assert worth.evpi == pytest.approx(np.maximum(effect - c, 0.0).mean() - now, abs=4 * sd / math.sqrt(n))
    assert worth.evsi == pytest.approx(np.where(after > c, effect - c, 0.0).mean() - now, abs=4 * sd / math.sqrt(n))
    assert worth.evsi is not None
    assert 0.0 < worth.evsi < worth.evpi


@pytest.mark.parametrize(
    "given", [{"sd": -1.0}, {"se": 0.0}, {"alpha": 1.0}, {"mean": math.nan}, {"threshold": math.inf}]
)
def test_property_numbers_out_of_range_are_refused(given: dict[str, float]) -> None:
    name = next(iter(given))
    with pytest.raises(ScenarioError, match=name):
        assurance(**{"mean": 1.0, "sd": 1.0, "se": 1.0, **given})


def test_independent_the_command_line_says_the_same() -> None:
    def said(*words: str) -> dict[str, float]:
        command = [sys.executable, "-m", "equipoise", "power", *words, "--json"]
        found: dict[str, float] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        return found

    made = said("assurance", "--mean", "2.2", "--sd", "1.5", "--se", "1")
    assert made["assurance"] == pytest.approx(assurance(mean=2.2, sd=1.5, se=1).assurance)
    worth = said("value-of-information", "--mean", "1", "--sd", "2", "--se", "1")
    assert worth["evsi"] == pytest.approx(0.322342, abs=5e-7)
