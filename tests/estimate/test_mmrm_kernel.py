"""The repeated-measures kernels: derivatives of the covariances, closed-form optima, hard shapes."""

from __future__ import annotations

import numpy as np
import pytest

from equipoise.estimate.linear.kernels.mmrm_covariance import covariance, curvature, jacobian, n_parameters, second_sum
from equipoise.estimate.linear.mmrm import fit_batch
from equipoise.estimate.linear.mmrm.covariance import CODES

COORDS = np.array([0.0, 1.0, 2.5, 4.0])


@pytest.mark.parametrize("name", list(CODES))
def test_independent_derivatives_by_differences(name: str) -> None:
    structure, m = CODES[name], 4
    rng = np.random.default_rng(list(CODES).index(name))
    k = n_parameters(structure, m)
    theta = 0.4 * rng.normal(size=k)
    g = rng.normal(size=(m, m))
    g = g + g.T

    def sigma(t: np.ndarray) -> np.ndarray:
        out, work = np.empty((m, m)), np.empty((m, m))
        covariance(structure, m, t, COORDS, out, work)
        return out

    at = sigma(theta)
    np.testing.assert_allclose(at, at.T)
    ne = m * (m + 1) // 2
    jac, jn, ji = np.empty((ne, k)), np.empty(ne, np.int64), np.empty((ne, k), np.int64)
    jacobian(structure, m, theta, COORDS, at, jac, jn, ji)
    lower = np.tril_indices(m)
    h = 1e-5
    numeric = np.array([(sigma(theta + h * e) - sigma(theta - h * e))[lower] / (2 * h) for e in np.eye(k)]).T
    np.testing.assert_allclose(jac, numeric, atol=1e-8)
    for e in range(ne):
        np.testing.assert_array_equal(np.sort(ji[e, : jn[e]]), np.flatnonzero(jac[e]))
    out = np.empty((k, k))
    curvature(structure, m, theta, COORDS, at, g, out)
    h = 1e-4
    steps = h * np.eye(k)

    def f(t: np.ndarray) -> float:
        return float((g * sigma(t)).sum())

    second = [
        [(f(theta + a + b) - f(theta + a - b) - f(theta - a + b) + f(theta - a - b)) / (4 * h * h) for a in steps]
        for b in steps
    ]
    np.testing.assert_allclose(out, second, atol=2e-6)
    if name not in ("slope", "intercept"):
        w = rng.normal(size=(k, k))
        w = w + w.T
        total = np.empty((m, m))
        second_sum(structure, m, theta, COORDS, at, w, total)
        assert (w * out).sum() == pytest.approx((g * total).sum(), rel=1e-10)


def test_independent_complete_data_have_a_closed_form() -> None:
    """Complete and fully crossed: Sigma is the residual cross-product over n - q, df n - q, exactly."""
    rng = np.random.default_rng(1)
    n, m, q = 25, 5, 3
    w = np.column_stack([np.ones(n), rng.normal(size=n), np.arange(n) % 2])
    y = rng.normal(size=(n, m)).cumsum(axis=1)
    contrasts = np.zeros((1, m, q))
    contrasts[0, -1, 2] = 1.0
    fit = fit_batch(y[None], w[None], contrasts)
    beta = np.linalg.lstsq(w, y, rcond=None)[0]
    residual = y - w @ beta
    np.testing.assert_allclose(fit.covariance[0, 0], residual.T @ residual / (n - q), rtol=1e-10)
    np.testing.assert_allclose(fit.beta[0], beta.T, rtol=1e-9, atol=1e-11)
    assert fit.df[0, 0] == pytest.approx(n - q, rel=1e-9)
    assert fit.steps[0] <= 2


@pytest.mark.parametrize("structure", ["us", "ar1", "toeph"])
def test_property_large_trials_converge(structure: str) -> None:
    """450 subjects, 12 visits, AR(1), dropout: a shape that stops general-purpose optimisers."""
    rng = np.random.default_rng(410)
    r, n, m = 4, 450, 12
    index = np.arange(m)
    root = np.linalg.cholesky(9.0 * 0.8 ** np.abs(np.subtract.outer(index, index)))
    arm = np.tile(np.arange(n) % 2, (r, 1)).astype(float)
    y = rng.normal(size=(r, n, m)) @ root.T + 0.1 * arm[..., None] * index
    y[1::2][index[None, None, :] >= rng.geometric(0.04, (r // 2, n))[..., None]] = np.nan
    y[rng.uniform(size=y.shape) < 0.02] = np.nan
    contrasts = np.zeros((1, m, 2))
    contrasts[0, -1, 1] = 1.0
    fit = fit_batch(y, np.stack([np.ones_like(arm), arm], axis=-1), contrasts, structure=structure)
    assert fit.converged.all()
    assert fit.steps.max() <= 15


def test_property_few_steps_where_those_who_leave_differ() -> None:
    """Random slopes, and those who fall fast leave: the coefficients follow the covariance, and every step knows it."""
    rng = np.random.default_rng(76)
    r, n, m = 4, 120, 8
    arm = np.tile(np.arange(n) % 2, (r, 1)).astype(float)
    course = rng.normal(-1.0, 0.8, size=(r, n, 1)) * np.arange(m) + rng.normal(size=(r, n, m))
    gone = np.cumsum(course < -6.0, axis=2) > 1
    y = np.where(gone | (rng.uniform(size=course.shape) < 0.05), np.nan, course)
    assert 0.3 < np.isnan(y[:, :, -1]).mean() < 0.6
    contrasts = np.zeros((1, m, 2))
    contrasts[0, -1, 1] = 1.0
    fit = fit_batch(y, np.stack([np.ones_like(arm), arm], axis=-1), contrasts)
    assert fit.converged.all()
    assert fit.steps.max() <= 8


def test_property_results_do_not_depend_on_the_batch() -> None:
    rng = np.random.default_rng(3)
    y = rng.normal(size=(5, 30, 4))
    y[rng.uniform(size=y.shape) < 0.1] = np.nan
    w = np.ones((5, 30, 1))
    contrasts = np.eye(4).reshape(4, 4, 1)
    whole = fit_batch(y, w, contrasts, df="kenward-roger")
    for i in range(5):
        one = fit_batch(y[i : i + 1], w[i : i + 1], contrasts, df="kenward-roger")
        for name in ("estimate", "se", "df", "loglik", "covariance"):
            np.testing.assert_array_equal(getattr(one, name)[0], getattr(whole, name)[i])
