"""The emulator, the tempered particles, the evidence and the importance weights, against answers that are known.

D2, D4, D5, D6 and D8: linear-Gaussian models in closed form, a quadratic, simulation-based calibration (Talts et al.
2018, arXiv:1804.06788), eight correlated points of one shift, and a number that nothing can match.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from equipoise.calibrate.posterior.emulator import Emulator
from equipoise.calibrate.posterior.likelihood import Observed, Statistic, effective_number
from equipoise.calibrate.posterior.mechanisms import sobol, unmatched, weighted_quantiles
from equipoise.calibrate.posterior.sampling import smoothed_weights, tempered
from equipoise.errors import DataError
from equipoise.plan.key import Key

X = np.stack([np.ones(4), np.arange(4.0)], axis=1)
Y = np.array([0.1, 1.2, 1.9, 3.2])
PRIOR = np.array([2.0, 1.0])  # standard deviations
BOX = 8 * PRIOR


def log_likelihood(x: np.ndarray, y: np.ndarray = Y, design: np.ndarray = X) -> np.ndarray:
    return stats.norm.logpdf(y, x @ design.T, 0.5).sum(axis=1)


def against_uniform(x: np.ndarray, sd: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The normal prior relative to the uniform one on the box."""
    return stats.norm.logpdf(x, 0, sd).sum(axis=1) + np.log(2 * box).sum()


def test_reference_linear_gaussian_posterior_and_evidence() -> None:
    """D2: mean, sd, correlation and both evidences in closed form."""
    made = tempered(
        log_likelihood, -BOX, BOX, particles=6000, seed=3, log_prior=lambda x: against_uniform(x, PRIOR, BOX)
    )
    assert made.draws.mean(axis=0) == pytest.approx([0.164454, 0.955318], abs=0.02)
    assert made.draws.std(axis=0) == pytest.approx([0.403412, 0.215396], rel=0.05)
    assert np.corrcoef(made.draws.T)[0, 1] == pytest.approx(-0.788582, abs=0.02)
    assert made.log_evidence == pytest.approx(-5.125351, abs=0.1)
    assert made.bridge == pytest.approx(-5.125351, abs=0.03)


def test_reference_evidence_without_an_intercept_and_the_bayes_factor() -> None:
    """D2: the smaller model; log Bayes factor -1.517853 against it."""
    sd, box = PRIOR[1:], BOX[1:]
    made = tempered(
        lambda x: log_likelihood(x, design=X[:, 1:]),
        -box,
        box,
        particles=6000,
        seed=4,
        log_prior=lambda x: against_uniform(x, sd, box),
    )
    assert made.bridge == pytest.approx(-3.607498, abs=0.03)
    assert made.log_evidence == pytest.approx(-3.607498, abs=0.1)
    assert -5.125351 - made.bridge == pytest.approx(-1.517853, abs=0.03)


def test_reference_emulator_meets_a_quadratic_exactly() -> None:
    """D4: and the mean over a Sobol design is that of the box to 1e-6 in expectation over many points."""
    low, high = np.array([-1.0, 0.0, 2.0]), np.array([1.0, 3.0, 2.5])
    x = sobol(low, high, 64, 1)

    def slow(t: np.ndarray) -> np.ndarray:
        a, b, c = t.T
        return np.stack([1 + a * b - 2 * c**2, a**2 + b - c], axis=1)

    made = Emulator.of(x, slow(x), low, high)
    new = np.random.default_rng(2).uniform(low, high, (500, 3))
    assert made(new) == pytest.approx(slow(new), abs=1e-8)
    many = sobol(low, high, 2**16, 5)
    a, b, c = 0.0, 1.5, 2.25
    mean = [1 + a * b - 2 * (c**2 + 0.5**2 / 12), 1 / 3 + b - c]
    assert made(many).mean(axis=0) == pytest.approx(mean, abs=1e-6)


def test_property_emulator_follows_what_a_quadratic_cannot_and_knows_its_error() -> None:
    low, high = np.full(2, -2.0), np.full(2, 2.0)
    x = sobol(low, high, 128, 1)

    def slow(t: np.ndarray) -> np.ndarray:
        return np.sin(2 * t[:, :1]) + np.cos(t[:, 1:])

    made = Emulator.of(x, slow(x), low, high)
    new = np.random.default_rng(2).uniform(low, high, (2000, 2))
    error = float(np.sqrt(np.mean((made(new) - slow(new)) ** 2)))
    assert error < 0.05
    assert 0.3 < error / float(made.error[0]) < 3
    with pytest.raises(DataError, match="for a quadratic of 6 terms"):
        Emulator.of(x[:6], slow(x[:6]), low, high)


@pytest.mark.slow
def test_simulation_based_calibration_of_the_tempered_particles() -> None:
    """D5: 1,000 truths from the prior; where each lies among its posterior's draws is uniform (chi-square P > 0.01)."""
    rng = np.random.default_rng(20261129)
    ranks = []
    for run in range(1000):
        truth = rng.normal(0, PRIOR)
        y = X @ truth + rng.normal(0, 0.5, 4)
        # the box holds all but one in a million of the posterior: prior precision and data in closed form
        precision = np.diag(1 / PRIOR**2) + X.T @ X / 0.25
        centre = np.linalg.solve(precision, X.T @ y / 0.25)
        reach = 5 * np.sqrt(np.diag(np.linalg.inv(precision)))
        made = tempered(
            lambda x, y=y: log_likelihood(x, y) + stats.norm.logpdf(x, 0, PRIOR).sum(axis=1),
            centre - reach,
            centre + reach,
            particles=200,
            seed=run,
        )
        ranks.append((made.draws[::2] < truth).mean(axis=0))  # every other: resampled twins stand side by side
    for k in range(2):
        counts = np.histogram([r[k] for r in ranks], bins=10, range=(0, 1.0000001))[0]
        assert stats.chisquare(counts).pvalue > 0.01


def test_reference_eight_correlated_points_are_fewer() -> None:
    """D6: posterior sd 0.854850 of a common shift with the covariance, 0.353553 without."""
    r = 0.9 ** np.abs(np.subtract.outer(np.arange(8), np.arange(8)))
    assert 1 / math.sqrt(effective_number(r)) == pytest.approx(0.854850, abs=1e-6)
    assert 1 / math.sqrt(effective_number(np.eye(8))) == pytest.approx(0.353553, abs=1e-6)
    assert effective_number(4 * r) == pytest.approx(effective_number(r))


def test_property_a_number_that_nothing_can_match_is_named_and_does_not_bend_the_rest() -> None:
    """D8: one of 41 moved by 6 standard errors."""
    rng = np.random.default_rng(5)
    a = rng.normal(size=(41, 3))
    truth = np.array([0.3, -0.2, 0.5])
    y = a @ truth
    y[17] += 6
    seen = Observed(
        tuple(Statistic(f"s{k}", ((Key("baseline", variable=f"v{k}"), 1.0),), float(v)) for k, v in enumerate(y)),
        np.eye(41),
        np.eye(41),
        np.zeros(41),
        1000,
    )
    points = sobol(truth - 2, truth + 2, 512, 1)
    found = unmatched(seen, points @ a.T)
    assert list(found) == ["s17"]
    assert found["s17"] < -3
    y[17] -= 6
    sound = Observed(seen.statistics[:17] + seen.statistics[18:], np.eye(40), np.eye(40), np.zeros(40), 1000)
    assert unmatched(sound, points @ np.delete(a, 17, axis=0).T) == {}


def test_property_importance_weights_tell_a_good_proposal_from_a_bad_one() -> None:
    rng = np.random.default_rng(8)
    near = rng.normal(0, 1.2, 2000)
    found = smoothed_weights(stats.norm.logpdf(near) - stats.norm.logpdf(near, 0, 1.2))
    assert found.reliable
    assert found.effective > 1500
    assert float(found.weights @ near**2) == pytest.approx(1.0, abs=0.1)
    far = rng.normal(0, 0.3, 2000)
    assert not smoothed_weights(stats.norm.logpdf(far) - stats.norm.logpdf(far, 0, 0.3)).reliable


def test_property_weighted_quantiles_are_those_of_repeated_draws() -> None:
    values = np.array([1.0, 2.0, 3.0, 10.0])
    twice = np.array([1, 1, 2, 2, 3, 3, 10, 10.0])
    assert weighted_quantiles(values, np.full(4, 0.25), (0.5,))[0] == pytest.approx(float(np.median(twice)))
    with pytest.raises(DataError, match="zero everywhere"):
        tempered(lambda x: np.full(len(x), -np.inf), np.zeros(1), np.ones(1), particles=50)
