"""Coverage and type I error of the repeated-measures model by simulation, through the batched door.

The truth is an AR(1)-like heteroscedastic covariance, four visits, a baseline covariate, and dropout at random (it
depends on the outcome before). The last visit's treatment effect is zero for type I error, 1 for coverage.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from equipoise.estimate.linear.mmrm import fit_batch
from equipoise.estimate.linear.slope import slope_batch

pytestmark = pytest.mark.slow


def simulated(trials: int, n: int, effect: float, seed: int, m: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    index = np.arange(m)
    scale = 1.0 + 0.25 * index
    sigma = 0.7 ** np.abs(np.subtract.outer(index, index)) * np.outer(scale, scale)
    arm = np.tile(np.arange(n) % 2, (trials, 1)).astype(float)
    base = rng.normal(size=(trials, n))
    y = rng.normal(size=(trials, n, m)) @ np.linalg.cholesky(sigma).T + 0.4 * base[..., None]
    y += arm[..., None] * effect * index / (m - 1)
    out = np.zeros((trials, n), bool)
    for v in range(1, m):
        # those who did badly at the visit before leave more often
        out |= rng.uniform(size=out.shape) < 0.05 + 0.10 * (y[..., v - 1] < -0.5)
        y[..., v][out] = np.nan
    return y, np.stack([np.ones_like(base), base, arm], axis=-1)


def last_visit(m: int) -> np.ndarray:
    contrast = np.zeros((1, m, 3))
    contrast[0, -1, 2] = 1.0
    return contrast


@pytest.mark.parametrize("df", ["satterthwaite", "kenward-roger", "kenward-roger-linear"])
@pytest.mark.parametrize("n", [30, 60, 108])
def test_simulation_type_one_error_and_coverage(n: int, df: str) -> None:
    trials = 8000
    for effect, seed in ((0.0, 1), (1.0, 2)):
        y, w = simulated(trials, n, effect, seed)
        fit = fit_batch(y, w, last_visit(4), df=df)
        assert fit.converged.mean() > 0.995
        good = fit.converged
        estimate, se, dof = (a[good, 0] for a in (fit.estimate, fit.se, fit.df))
        covered = np.abs(estimate - effect) <= stats.t.ppf(0.975, dof) * se
        error = np.sqrt(0.05 * 0.95 / good.sum())
        missed = 1.0 - covered.mean()
        if df == "kenward-roger" and n == 30:
            # In mmrm's parametrisation the second-derivative term shrinks the standard errors of an unstructured
            # covariance: about 6 % in trials this small, here as in R (docs/methods/mmrm.md). Without it, nominal.
            assert 0.05 < missed < 0.075
        else:
            assert abs(missed - 0.05) < 4 * error + 0.004, (missed, error)
        assert abs(estimate.mean() - effect) < 4.5 * estimate.std() / np.sqrt(good.sum())
        if effect == 0.0:
            np.testing.assert_allclose((fit.p[good, 0] < 0.05).mean(), 1.0 - covered.mean(), atol=1e-12)


def test_simulation_kenward_roger_is_nearer_than_normal_theory() -> None:
    y, w = simulated(8000, 30, 0.0, 5)
    fit = fit_batch(y, w, last_visit(4), df="kenward-roger-linear")
    plain = fit_batch(y, w, last_visit(4), df="satterthwaite")
    good = fit.converged & plain.converged
    normal = (np.abs(plain.estimate / plain.se)[good, 0] > stats.norm.ppf(0.975)).mean()
    adjusted = (fit.p[good, 0] < 0.05).mean()
    error = np.sqrt(0.05 * 0.95 / good.sum())
    assert normal > 0.05 + 4 * error
    assert abs(adjusted - 0.05) < 4 * error


@pytest.mark.parametrize("df", ["satterthwaite", "kenward-roger"])
def test_simulation_slope_type_one_error(df: str) -> None:
    rng = np.random.default_rng(3)
    trials, n = 4000, 40
    times = np.arange(7.0)
    arm = np.tile(np.arange(n) % 2, (trials, 1)).astype(float)
    b = rng.normal(size=(trials, n, 2)) * [3.0, 0.6]
    y = 38 + b[..., :1] + (b[..., 1:] - 1.0) * times + rng.normal(size=(trials, n, 7))
    last = rng.geometric(0.08, (trials, n))
    y[np.arange(7)[None, None, :] > np.maximum(last, 2)[..., None]] = np.nan
    contrast = np.zeros((1, 2, 2))
    contrast[0, 1, 1] = 1.0
    fit = slope_batch(y, np.stack([np.ones_like(arm), arm], axis=-1), times, contrast, df=df)
    good = fit.converged
    assert good.mean() > 0.98
    rate = (fit.p[good, 0] < 0.05).mean()
    assert abs(rate - 0.05) < 4 * np.sqrt(0.05 * 0.95 / good.sum())
