"""Random-effects meta-analysis by quadrature: against R, against an integral of our own, and by simulation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import integrate, stats

from equipoise import NormalMixture, meta_analysis
from equipoise.errors import EstimationError

SCHOOLS = ([28, 8, -3, 7, -1, 1, 18, 12], [15, 10, 16, 11, 9, 11, 10, 18])
"""Rubin 1981; Gelman et al., Bayesian Data Analysis, table 5.2."""


def test_reference_the_joint_posterior_integrated_in_r() -> None:
    # R 4: integrate() over mu within integrate() over tau of prod(dnorm(y, mu, sqrt(s^2 + tau^2))) dnorm(mu, 0, 20)
    # 2 dnorm(tau, 0, 10)
    made = meta_analysis(*SCHOOLS, tau_scale=10, mean_prior=(0, 20))
    assert made.log_evidence == pytest.approx(-31.873604051, abs=2e-8)
    assert (made.mean.mean, made.mean.sd) == pytest.approx((7.452675810, 4.527124148), abs=5e-8)
    assert made.tau == pytest.approx(4.805978085, abs=5e-9)
    assert made.estimates[1].se == pytest.approx(3.719347273, abs=5e-9)
    assert made.predictive.sd == pytest.approx(math.hypot(4.527124148, math.hypot(4.805978085, 3.719347273)), abs=1e-7)
    assert (made.trials[0].mean, made.trials[0].sd) == pytest.approx((9.810350611, 6.944603733), abs=5e-8)
    flat = meta_analysis(*SCHOOLS, tau_scale=10)
    assert flat.log_evidence == pytest.approx(-27.859299791, abs=5e-9)
    assert flat.mean.mean == pytest.approx(7.859631493, abs=5e-8)


def test_reference_a_fixed_tau_is_metafors() -> None:
    # metafor 4, rma(yi, sei, tau2 = 25): estimate and its standard error; predict(): limits for a new trial
    y, s = (np.asarray(x, dtype=float) for x in SCHOOLS)
    made = meta_analysis(y, np.hypot(s, 5.0), tau_scale=1e-7)  # tau of 5 is put into the errors
    assert (made.mean.mean, made.mean.sd) == pytest.approx((7.850983234, 4.492096426), abs=1e-8)
    new = made.mean.widened(5.0)
    assert new.interval() == pytest.approx((-5.322968349, 21.024934817), abs=1e-6)


def test_independent_quantiles_of_a_new_trial() -> None:
    y, s = (np.asarray(x, dtype=float) for x in SCHOOLS)
    made = meta_analysis(y, s, tau_scale=10)

    def part(tau: float, x: float) -> tuple[float, float]:
        w = 1.0 / (s**2 + tau**2)
        m, v = (w @ y) / w.sum(), 1.0 / w.sum()
        like = math.exp(0.5 * (np.log(w).sum() + math.log(v) - w @ (y - m) ** 2)) * math.exp(-0.5 * (tau / 10) ** 2)
        return like, like * float(stats.norm.cdf(x, m, math.sqrt(v + tau**2)))

    def cdf(x: float) -> float:
        whole = integrate.quad(lambda t: part(t, x)[0], 0, 90, epsabs=0, epsrel=1e-11, limit=300)[0]
        return float(integrate.quad(lambda t: part(t, x)[1], 0, 90, epsabs=0, epsrel=1e-11, limit=300)[0] / whole)

    for q in (0.025, 0.5, 0.9):
        assert cdf(made.predictive.quantile(q)) == pytest.approx(q, abs=1e-9)


def test_simulation_intervals_cover_what_they_say() -> None:
    """Tau and mu from their priors: the interval for a new trial covers in its share of literatures."""
    rng = np.random.default_rng(11)
    n, inside, own = 1500, 0, 0
    for _ in range(n):
        tau, mu = abs(rng.normal(0, 0.5)), rng.normal(0, 1)
        s = rng.uniform(0.2, 0.6, 5)
        theta = rng.normal(mu, tau, 5)
        made = meta_analysis(rng.normal(theta, s), s, tau_scale=0.5, mean_prior=(0, 1))
        inside += 0.05 < made.predictive.above(rng.normal(mu, tau)) < 0.95
        own += 0.05 < made.trials[0].above(theta[0]) < 0.95
    for hits in (inside, own):
        assert hits / n == pytest.approx(0.9, abs=4 * math.sqrt(0.09 / n))


def test_property_a_robust_prior_gives_way() -> None:
    made = meta_analysis([1.0, 1.1, 0.9], [0.1, 0.1, 0.1], tau_scale=0.2)
    prior = made.robust(sd=3.0, share=0.2)
    assert prior.weights.sum() == pytest.approx(1.0)
    assert prior.mean == pytest.approx(made.predictive.mean)
    assert prior.updated(2.5, 0.3).mean > made.predictive.updated(2.5, 0.3).mean + 0.3
    agrees = prior.updated(1.0, 0.3)
    assert agrees.sd < 0.3
    # no share of it is the prior itself, all of it the vague one
    assert made.robust(sd=3.0, share=0.0).sd == pytest.approx(made.predictive.sd)
    assert made.robust(sd=3.0, share=1.0).sd == pytest.approx(3.0)


def test_independent_updates_of_a_mixture_are_bayes_theorem() -> None:
    belief = NormalMixture.of([0.7, 0.3], [0.0, 2.0], [0.5, 1.5])
    after = belief.updated(1.0, 0.8)
    x = np.linspace(-12, 14, 20001)
    step = x[1] - x[0]
    joint = np.array([belief.density(v) for v in x]) * stats.norm.pdf(1.0, x, 0.8)
    whole = joint.sum() * step
    assert belief.log_evidence(1.0, 0.8) == pytest.approx(math.log(whole), abs=1e-9)
    mean = (joint * x).sum() * step / whole
    assert after.mean == pytest.approx(mean, abs=1e-9)
    assert after.sd == pytest.approx(math.sqrt((joint * (x - mean) ** 2).sum() * step / whole), abs=1e-9)
    assert after.above(0.5) == pytest.approx(joint[x > 0.5].sum() * step / whole, abs=1e-3)
    assert 1.0 - belief.above(belief.quantile(0.1)) == pytest.approx(0.1, abs=1e-12)


def test_property_quantiles_of_draws_without_a_spread() -> None:
    draws = NormalMixture.of([0.5, 0.3, 0.2], [0.0, 1.0, 2.0], 0.0)
    assert [round(draws.quantile(q), 9) for q in (0.1, 0.6, 0.9)] == [0.0, 1.0, 2.0]
    assert NormalMixture.normal(3.0, 0.0).interval() == (3.0, 3.0)
    assert draws.above(0.5) == pytest.approx(0.5)


def test_property_levels_and_frames_are_those_of_every_result() -> None:
    made = meta_analysis(*SCHOOLS, tau_scale=10)
    narrow = made.at_level(0.5)[2]
    assert made.estimates[2].low < narrow.low < narrow.high < made.estimates[2].high
    assert made.to_frame()["term"].to_list() == ["mean over trials", "SD between trials (tau)", "a new trial"]
    assert made.tau_quantile(0.5) < made.tau_quantile(0.9)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"estimates": [1.0]}, "1 estimates and 2"),
        ({"ses": [1.0, 0.0]}, "standard error"),
        ({"tau_scale": 0.0}, "tau_scale"),
        ({"mean_prior": (0.0, 0.0)}, "mean_prior"),
        ({"names": ["a"]}, "names"),
        ({"estimates": [], "ses": []}, "no trial"),
    ],
)
def test_property_bad_input_is_refused(given: dict[str, Any], words: str) -> None:
    whole: dict[str, Any] = {"estimates": [1.0, 2.0], "ses": [1.0, 1.0], "tau_scale": 1.0, **given}
    with pytest.raises(EstimationError, match=words):
        meta_analysis(**whole)


def test_property_without_trials_the_prior_stays() -> None:
    made = meta_analysis([], [], tau_scale=0.5, mean_prior=(1.0, 2.0))
    assert (made.mean.mean, made.mean.sd) == pytest.approx((1.0, 2.0))
    assert made.predictive.sd == pytest.approx(math.hypot(2.0, 0.5), rel=1e-9)
    assert made.log_evidence == pytest.approx(0.0, abs=1e-12)
