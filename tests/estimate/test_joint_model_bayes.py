"""The posterior of the disease rate ratio: where numpyro is installed."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from test_joint_model import EVENTS, simulated

from equipoise.errors import EstimationError
from equipoise.estimate.joint_model import RateRatioFit, disease_rate_ratio
from equipoise.estimate.joint_model.bayes import log_likelihood, sampler_packages

INSTALLED = importlib.util.find_spec("numpyro") is not None
with_numpyro = pytest.mark.skipif(not INSTALLED, reason="numpyro is not installed: pip install 'equipoise[bayes]'")


def fitted(rates: str = "mean") -> RateRatioFit:
    long, people = simulated(150, effect=0.1)
    return disease_rate_ratio("y ~ week + (week | id)", EVENTS, long, people, knots=2, rates=rates)


@with_numpyro
@pytest.mark.parametrize("rates", ["mean", "patients"])
def test_independent_likelihood_is_that_of_the_fit(rates: str) -> None:
    """Two implementations of one likelihood, away from the maximum too."""
    fit = fitted(rates)
    jax, _ = sampler_packages()
    value = log_likelihood(fit.likelihood, jax)
    g = np.random.default_rng(1)
    for _ in range(3):
        theta = fit.theta + 2.0 * fit.vcov.diagonal() ** 0.5 * g.normal(size=len(fit.theta))
        theta[-1] = 0.0
        assert float(value(theta[:-1])) == pytest.approx(fit.likelihood.value(theta, 2), abs=1e-7)


@with_numpyro
def test_property_a_wide_prior_gives_back_the_likelihood_and_a_narrow_one_shrinks() -> None:
    fit = fitted()
    j = fit.setup.layout.gammas.start
    mode, se = fit.theta[j], fit.vcov[j, j] ** 0.5
    wide = fit.posterior(prior_sd=20.0, chains=2)
    assert wide.rhat < 1.01
    assert wide.divergences == 0
    assert abs(np.median(wide.log_ratio) - mode) < 0.15 * se
    assert wide.log_ratio.std() == pytest.approx(se, rel=0.15)
    assert wide.probability_below() == pytest.approx(fit.probability_below(), abs=0.03)
    narrow = fit.posterior(prior_sd=se, chains=2)
    assert np.median(narrow.log_ratio) == pytest.approx(0.5 * mode, abs=0.15 * se)
    assert narrow.log_ratio.std() == pytest.approx(se / 2.0**0.5, rel=0.15)
    assert "probability of a ratio below 1" in str(narrow)
    assert len(narrow.to_frame()) == 1


@pytest.mark.skipif(INSTALLED, reason="numpyro is installed")
def test_property_without_numpyro_the_error_says_how_to_get_it() -> None:
    with pytest.raises(EstimationError, match="needs the package jax") as raised:
        fitted().posterior()
    assert "equipoise[bayes]" in str(raised.value.hint)


def test_property_priors_that_are_none_are_refused() -> None:
    with pytest.raises(EstimationError, match="prior_sd"):
        fitted().posterior(prior_sd=0.0)
