"""The batched log-rank and Cox kernels against R, brute force and known properties."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from scipy import optimize, stats

from equipoise.estimate.survival.kernels import cox as cx
from equipoise.estimate.survival.kernels import log_rank as sv
from equipoise.types import Status

FIXTURES = Path(__file__).parents[1] / "fixtures"
R = json.loads((FIXTURES / "trial_other.json").read_text())


@pytest.fixture(scope="module")
def trial():
    with (FIXTURES / "trial_subjects.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    column = {k: np.array([float(r[k]) for r in rows])[None] for k in ("TTEWK", "EVENT", "ONSETMO")}
    column["arm"] = np.array([[r["TRT01P"] == "Active" for r in rows]]).astype(float)
    column["RILFL"] = np.array([[r["RILFL"] == "Y" for r in rows]]).astype(float)
    return column


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_reference_cox_equals_r_coxph(trial, ties: str) -> None:
    """R survival 3.5.3 coxph, eps 1e-13; relative 1e-8."""
    x = np.stack([trial["arm"], trial["ONSETMO"], trial["RILFL"]], -1)
    beta, cov, loglik, score, _, status = cx.cox(trial["TTEWK"], trial["EVENT"], x, ties=ties)
    expected = R[f"cox_{ties}"]
    assert status[0] == Status.OK
    np.testing.assert_allclose(beta[0], expected["coef"]["values"], rtol=1e-8)
    np.testing.assert_allclose(cov[0], expected["vcov"]["values"], rtol=1e-8)
    np.testing.assert_allclose(loglik[0], expected["loglik"], rtol=1e-10)
    np.testing.assert_allclose(score[0], expected["score"][0], rtol=1e-8)


def test_reference_stratified_cox_equals_r_coxph(trial) -> None:
    x = np.stack([trial["arm"], trial["ONSETMO"]], -1)
    beta, cov, loglik, score, _, _ = cx.cox(trial["TTEWK"], trial["EVENT"], x, stratum=trial["RILFL"])
    expected = R["cox_stratified"]
    np.testing.assert_allclose(beta[0], expected["coef"]["values"], rtol=1e-8)
    np.testing.assert_allclose(cov[0], expected["vcov"]["values"], rtol=1e-8)
    np.testing.assert_allclose(loglik[0], expected["loglik"], rtol=1e-10)
    np.testing.assert_allclose(score[0], expected["score"][0], rtol=1e-8)


@pytest.mark.parametrize("by", [None, "RILFL"])
def test_reference_log_rank_equals_r_survdiff(trial, by: str | None) -> None:
    o, e, v, status = sv.log_rank(
        trial["TTEWK"], trial["EVENT"], trial["arm"], stratum=None if by is None else trial[by]
    )
    expected = R["logrank" if by is None else "logrank_stratified_by_riluzole"]["chisq"]
    assert status[0] == Status.OK
    np.testing.assert_allclose((o - e)[0, 1] ** 2 / v[0, 1, 1], expected, rtol=1e-10)


def test_reference_log_rank_by_hand() -> None:
    """Times 1, 2, 2+, 3, 4 | 2, 3, 5+ (control | active), worked on paper with ties.

    t=1: d=1, n=8, n1=3: E 3/8, V 3/8 5/8.  t=2: d=2, n=7, n1=3: E 6/7, V 2 (5/6) (3/7)(4/7).
    t=3: d=2, n=4, n1=2: E 1, V 2 (2/3) (1/2)(1/2).  t=4: d=1, n=2, n1=1: E 1/2, V 1/4.
    """
    time = np.array([[1, 2, 2, 3, 4, 2, 3, 5.0]])
    event = np.array([[1, 1, 0, 1, 1, 1, 1, 0.0]])
    arm = np.array([[0, 0, 0, 0, 0, 1, 1, 1.0]])
    o, e, v, _ = sv.log_rank(time, event, arm)
    assert o[0].tolist() == [4, 2]
    assert e[0, 1] == pytest.approx(3 / 8 + 6 / 7 + 1 + 1 / 2, rel=1e-14)
    assert v[0, 1, 1] == pytest.approx(15 / 64 + 2 * 5 / 6 * 12 / 49 + 1 / 3 + 1 / 4, rel=1e-14)
    assert v[0, 0, 1] == pytest.approx(-v[0, 1, 1], rel=1e-14)


def random_block(n_trials=3, n=50, seed=0, ties=True):
    g = np.random.default_rng(seed)
    x = np.stack([(np.arange(n) % 3 != 0) * np.ones((n_trials, n)), *g.normal(size=(2, n_trials, n))], -1)
    time = g.exponential(np.exp(-0.5 * x[..., 0] - 0.3 * x[..., 1]))
    if ties:
        time = np.ceil(time * 8)
    return time, g.random((n_trials, n)) < 0.6, x, g.integers(0, 2, (n_trials, n))


def partial_likelihood(beta, time, event, x, stratum, efron):
    total = 0.0
    for s in np.unique(stratum):
        k = stratum == s
        t, e, eta = time[k], event[k], x[k] @ beta
        for u in np.unique(t[e]):
            tied = (t == u) & e
            d = tied.sum()
            risk, own = np.exp(eta[t >= u]).sum(), np.exp(eta[tied]).sum()
            total += eta[tied].sum() - sum(np.log(risk - (j / d if efron else 0) * own) for j in range(d))
    return total


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_independent_cox_maximises_the_partial_likelihood(ties: str) -> None:
    time, event, x, stratum = random_block()
    include = np.random.default_rng(9).random(time.shape) < 0.8
    beta, cov, loglik, _, _, status = cx.cox(time, event, x, include=include, stratum=stratum, ties=ties)
    assert not status.any()
    for t in range(3):
        k = include[t]

        def minus(b, t=t, k=k):
            return -partial_likelihood(b, time[t][k], event[t][k], x[t][k], stratum[t][k], ties == "efron")

        assert -minus(beta[t]) == pytest.approx(loglik[t, 1], rel=1e-12)
        assert -minus(np.zeros(3)) == pytest.approx(loglik[t, 0], rel=1e-12)
        best = optimize.minimize(minus, beta[t] + 0.1, method="BFGS", options={"gtol": 1e-8})
        np.testing.assert_allclose(beta[t], best.x, atol=1e-5)
        h = 1e-4
        unit = np.eye(3) * h
        hessian = np.array(
            [
                [
                    (minus(beta[t] + a + b) - minus(beta[t] + a - b) - minus(beta[t] - a + b) + minus(beta[t] - a - b))
                    / (4 * h * h)
                    for b in unit
                ]
                for a in unit
            ]
        )
        np.testing.assert_allclose(cov[t], np.linalg.inv(hessian), rtol=1e-4, atol=1e-6)


def test_property_score_test_without_ties_is_the_log_rank_test() -> None:
    time, event, x, stratum = random_block(ties=False)
    o, e, v, _ = sv.log_rank(time, event, x[..., 0], stratum=stratum)
    score = cx.cox(time, event, x[..., :1], stratum=stratum)[3]
    np.testing.assert_allclose((o - e)[:, 1] ** 2 / v[:, 1, 1], score, rtol=1e-10)


def test_property_order_of_subjects_and_units_do_not_matter() -> None:
    time, event, x, stratum = random_block()
    a = cx.cox(time, event, x, stratum=stratum)
    order = np.random.default_rng(0).permutation(time.shape[1])
    b = cx.cox(
        7 * time[:, order], event[:, order], x[:, order] * [1, 10, 0.1] + 5, stratum=9 - stratum[:, order], arm=-1
    )
    np.testing.assert_allclose(a[0], b[0] * [1, 10, 0.1], rtol=1e-9)
    np.testing.assert_allclose(a[2], b[2], rtol=1e-10)
    np.testing.assert_allclose(a[3], b[3], rtol=1e-9)


def test_property_not_estimable_is_a_result() -> None:
    g = np.random.default_rng(1)
    n = 30
    arm = (np.arange(n) % 2).astype(float)
    time = g.exponential(size=(6, n))
    event = g.random((6, n)) < 0.4
    x = np.stack([np.broadcast_to(arm, (6, n)), g.normal(size=(6, n))], -1)
    include = np.ones((6, n), bool)
    event[0] = False
    event[1] = event[1] & (arm == 1)
    include[2] = arm == 0
    include[3] = False
    x[4, :, 1] = event[4]  # every event has the higher covariate: infinite coefficient
    x[5, 3, 1] = np.nan
    beta, cov, _, _, iterations, status = cx.cox(time, event, x, include=include)
    assert status.tolist() == [
        Status.NO_EVENTS,
        Status.ONE_ARM_EVENTS,
        Status.EMPTY_ARM,
        Status.NO_DATA,
        Status.BOUNDARY,
        Status.NO_DATA,
    ]
    assert np.isnan(beta).all()
    assert np.isnan(cov).all()
    assert iterations.max() < 40
    _, _, v, status = sv.log_rank(time, event, x[..., 0], include=include)
    assert status.tolist() == [Status.NO_EVENTS, Status.OK, Status.EMPTY_ARM, Status.NO_DATA, Status.OK, Status.OK]
    assert v[1, 1, 1] > 0
    strata = sv.log_rank(time, event, x[..., 0], stratum=x[..., 0])[3]
    assert strata[1] == Status.SINGULAR  # no stratum holds both arms
    assert cx.cox(time, event, x, stratum=x[..., 0])[5][4] == Status.SINGULAR


def test_property_aliased_covariate_changes_nothing() -> None:
    time, event, x, _ = random_block()
    a = cx.cox(time, event, x)
    more = np.concatenate([x, x[..., 1:2] * 2 + x[..., :1], np.ones((*x.shape[:2], 1))], -1)
    b = cx.cox(time, event, more)
    assert not b[5].any()
    np.testing.assert_allclose(b[0][:, :3], a[0], rtol=1e-9)
    assert (b[0][:, 3:] == 0).all()


def test_property_strong_effects_converge() -> None:
    """A hazard ratio of about e^5 with events in both arms is finite and found."""
    g = np.random.default_rng(2)
    arm = np.repeat([0.0, 1.0], 200)
    time = g.exponential(np.exp(-5 * arm))
    beta, cov, *_, status = cx.cox(time[None], np.ones((1, 400)), arm[None, :, None])
    assert status[0] == Status.OK
    assert abs(beta[0, 0] - 5) < 4 * np.sqrt(cov[0, 0, 0])


@pytest.mark.slow
def test_simulation_type_i_error_of_log_rank_and_cox() -> None:
    """10,000 null trials of 90 (2:1), 35 % events, three strata of unequal hazard; Monte Carlo SE of 5 % is 0.22 %.

    Both tests are asymptotic: the acceptance band is 5 % +- 4 Monte Carlo SE and, for Cox (Wald), 0.3 % for the
    small-sample error.
    """
    g = np.random.default_rng(3)
    r, n = 10_000, 90
    arm = np.broadcast_to((np.arange(n) % 3 != 0).astype(float), (r, n))
    stratum = g.integers(0, 3, (r, n))
    time = g.exponential(1 / (0.01 * (1 + stratum)), (r, n))
    event = time < 28
    time = np.minimum(time, 28)
    o, e, v, status = sv.log_rank(time, event, arm, stratum=stratum)
    assert not status.any()
    p = stats.chi2.sf((o - e)[:, 1] ** 2 / v[:, 1, 1], 1)
    assert abs((p < 0.05).mean() - 0.05) < 4 * 0.0022
    beta, cov, *_, status = cx.cox(time, event, np.stack([arm, g.normal(size=(r, n))], -1), stratum=stratum)
    assert not status.any()
    p = stats.chi2.sf(beta[:, 0] ** 2 / cov[:, 0, 0], 1)
    assert abs((p < 0.05).mean() - 0.05) < 4 * 0.0022 + 0.003
