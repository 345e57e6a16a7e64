"""The batched Cox kernels: blocks against single trials, Firth's penalty, and what cannot be estimated."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from equipoise.estimate.survival.kernels import cox as cx
from equipoise.estimate.survival.kernels.cox_firth import firth
from equipoise.types import Status


def block(n_trials: int = 4, n: int = 40, seed: int = 0) -> dict[str, Any]:
    g = np.random.default_rng(seed)
    arm = np.broadcast_to((np.arange(n) % 2).astype(float), (n_trials, n))
    x = np.stack([arm, g.normal(size=(n_trials, n))], -1)
    entry = np.floor(g.uniform(0, 3, (n_trials, n)))
    time = entry + np.ceil(g.exponential(8 * np.exp(-0.5 * arm), (n_trials, n)))
    return {
        "time": time,
        "event": g.random((n_trials, n)) < 0.6,
        "x": x,
        "entry": entry,
        "stratum": g.integers(-1, 2, (n_trials, n)),
        "weight": g.uniform(0.2, 3.0, (n_trials, n)),
        "include": g.random((n_trials, n)) < 0.8,
    }


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_property_a_block_is_its_trials_one_by_one(late: bool, weighted: bool) -> None:
    made = block()
    keys = ["stratum", *(["entry"] if late else []), *(["weight"] if weighted else [])]
    together = cx.fit(made["time"], made["event"], made["x"], include=made["include"], **{k: made[k] for k in keys})
    assert not together.status.any()
    for t in range(4):
        k = made["include"][t]
        alone = cx.fit(
            *(made[name][t, k][None] for name in ("time", "event", "x")),
            **{name: made[name][t, k][None] for name in keys},
        )
        for a, b in zip(together, alone, strict=True):
            np.testing.assert_allclose(a[t], b[0], rtol=1e-12, atol=1e-15)


def test_property_where_newton_starts_does_not_matter() -> None:
    made = block()
    arrays = made["time"], made["event"], made["x"]
    a = cx.fit(*arrays, entry=made["entry"])
    b = cx.fit(*arrays, entry=made["entry"], start=a.beta + 0.3)
    np.testing.assert_allclose(a.beta, b.beta, rtol=1e-8)
    np.testing.assert_allclose(a.loglik[:, 1], b.loglik[:, 1], rtol=1e-12)
    assert (b.loglik[:, 0] < a.loglik[:, 1]).all()


def test_property_late_entry_of_all_at_the_start_is_none() -> None:
    made = block()
    arrays = made["time"], made["event"], made["x"]
    a = cx.fit(*arrays, stratum=made["stratum"])
    b = cx.fit(*arrays, stratum=made["stratum"], entry=np.zeros_like(made["time"]))
    np.testing.assert_allclose(a.beta, b.beta, rtol=1e-10)
    np.testing.assert_allclose(a.covariance, b.covariance, rtol=1e-9)


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_independent_firth_solves_its_equation(ties: str, late: bool) -> None:
    """The slope of l + log det I / 2, with l and I of the kernel without penalty, vanishes at the estimate."""
    made = block(seed=2)
    arrays = made["time"], made["event"], made["x"]
    options = {"stratum": made["stratum"], "ties": ties, "include": made["include"]}
    if late:
        options["entry"] = made["entry"]
    beta, covariance, loglik, _, status = firth(*arrays, **options)
    assert not status.any()

    def penalised(b: Any) -> Any:
        at = cx.fit(*arrays, arm=-1, start=b, max_iterations=0, **options)
        return at.loglik[:, 0], at

    # the information from second differences of the log likelihood of the other kernel
    h = 1e-3

    def information(b: Any) -> Any:
        out = np.empty((4, 2, 2))
        for i, u in enumerate(np.eye(2) * h):
            for j, v in enumerate(np.eye(2) * h):
                out[:, i, j] = -(
                    penalised(b + u + v)[0]
                    - penalised(b + u - v)[0]
                    - penalised(b - u + v)[0]
                    + penalised(b - u - v)[0]
                ) / (4 * h * h)
        return out

    np.testing.assert_allclose(np.linalg.inv(information(beta)), covariance, rtol=1e-4, atol=1e-6)
    value = penalised(beta)[0] + 0.5 * np.linalg.slogdet(information(beta))[1]
    np.testing.assert_allclose(loglik[:, 1], value, rtol=1e-6)
    for u in np.eye(2) * 0.05:
        for sign in (-1, 1):
            away = beta + sign * u
            assert (penalised(away)[0] + 0.5 * np.linalg.slogdet(information(away))[1] < value).all()


def test_property_firth_of_a_held_coefficient_lies_below() -> None:
    made = block(seed=3)
    arrays = made["time"], made["event"], made["x"]
    beta, _, best, *_ = firth(*arrays)
    held = beta.copy()
    held[:, 0] += 0.4
    other, _, below, _, status = firth(*arrays, start=held, held=0)
    assert not status.any()
    np.testing.assert_allclose(other[:, 0], held[:, 0], rtol=1e-12)
    assert (below[:, 1] < best[:, 1]).all()
    again = firth(*arrays, start=beta, held=0)
    np.testing.assert_allclose(again[0], beta, rtol=1e-6)


def test_property_firth_statuses() -> None:
    made = block(6, seed=4)
    time, event, x = made["time"], made["event"].copy(), made["x"].copy()
    include = np.ones(time.shape, bool)
    event[0] = False
    event[1] &= x[1, :, 0] == 1  # the other arm has no events: estimable
    include[2] = False
    x[3, :, 1] = 2.0 * x[3, :, 0] - 1.0
    x[4, :, 1] = time[4] == time[4].min()  # varies only before the first event
    event[4] &= time[4] > time[4].min()
    beta, covariance, loglik, _, status = firth(time, event, x, include=include)
    assert status.tolist() == [Status.NO_EVENTS, Status.OK, Status.NO_DATA, Status.SINGULAR, Status.SINGULAR, Status.OK]
    failed = status != Status.OK
    assert np.isnan(beta[failed]).all()
    assert np.isfinite(beta[~failed]).all()
    assert np.isfinite(covariance[~failed]).all()
    assert np.isnan(loglik[failed]).all()
    assert beta[1, 0] > 1.0


def test_property_a_covariate_that_varies_outside_risk_sets_only_is_aliased() -> None:
    made = block()
    time, event, x = made["time"], made["event"].copy(), made["x"].copy()
    x[:, :, 1] = time == time.min(axis=1, keepdims=True)
    event &= time > time.min(axis=1, keepdims=True)
    fits = cx.fit(time, event, x)
    assert not fits.status.any()
    assert (fits.beta[:, 1] == 0).all()
    assert (fits.covariance[:, 1, 1] == 0).all()
    np.testing.assert_allclose(fits.beta[:, 0], cx.fit(time, event, x[:, :, :1]).beta[:, 0], rtol=1e-9)


def test_property_tiny_trials_end_in_a_number_or_a_reason() -> None:
    """3,000 trials of 6 and 12 patients with three covariates of any scale, few events: never OK with a NaN."""
    g = np.random.default_rng(5)
    for n in (6, 12):
        r = 1500
        time = np.ceil(g.exponential(5, (r, n)))
        entry = np.maximum(time - np.ceil(g.exponential(6, (r, n))), 0)
        event = g.random((r, n)) < g.uniform(0.05, 0.9, (r, 1))
        scale = 10.0 ** g.integers(-3, 4, (r, 1))
        x = np.stack([g.integers(0, 2, (r, n)) * 1.0, g.normal(size=(r, n)) * scale, g.random((r, n)) < 0.2], -1)
        for options in ({}, {"entry": entry}, {"entry": entry, "ties": "exact"}):
            fits = cx.fit(time, event, x, arm=-1, **options)
            ok = fits.status == Status.OK
            assert ok.sum() > 100
            assert np.isfinite(fits.beta[ok]).all()
            assert np.isfinite(fits.covariance[ok]).all()
            assert np.isfinite(fits.loglik[ok]).all()
            assert (np.diagonal(fits.covariance[ok], axis1=1, axis2=2) >= 0).all()
            assert np.isnan(fits.beta[~ok]).all()
        beta, covariance, loglik, _, status = firth(time, event, x)
        ok = status == Status.OK
        assert ok.sum() > (status == Status.NOT_CONVERGED).sum() * 20
        for values in (beta, covariance, loglik):
            assert np.isfinite(values[ok]).all()
            assert np.isnan(values[~ok]).all()


def test_property_drift_tells_which_coefficient_runs_away() -> None:
    made = block(1)
    x = made["x"].copy()
    x[0, :, 1] = made["event"][0]
    fits = cx.fit(made["time"], made["event"], x)
    assert fits.status[0] == Status.BOUNDARY
    assert fits.drift[0, 1] > 1e-2 > fits.drift[0, 0]
    assert math.isnan(fits.beta[0, 0])
