"""Proportional win-fractions regression against WR, a logistic regression of pairs, and by simulation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest
import rank_win_cases

import parity
from equipoise.errors import DataError, EstimationError
from equipoise.estimate.ranks.kernels import win_regression as kernel
from equipoise.estimate.ranks.win import Recurrent, Time, Value, win_statistics
from equipoise.estimate.ranks.win_regression import win_regression
from equipoise.types import Status


def test_reference_pwreg() -> None:
    """WR 1.0: coefficients and covariance at relative 1e-9 on the pairs as WR decides them (`wr_pairs`).

    On the published rule, which the door follows, 0.22 % of the pairs differ, all of them deaths after the end of the
    other's follow-up, and coefficients by less than 5 % of a standard error.
    """
    parity.check(rank_win_cases.compare_regression(), at_least=6)
    fit, patients = rank_win_cases.regression(), rank_win_cases.non_ischemic()
    assert (fit.n, fit.covariates) == (451, tuple(rank_win_cases.COVARIATES))
    ours, layers = rank_win_cases.published_pairs()
    assert layers == list(fit.layers.values())
    differ = np.triu(ours != rank_win_cases.wr_pairs(), 1)
    assert differ.any()
    for i, j in np.argwhere(differ):
        one, other = patients.iloc[i], patients.iloc[j]
        dead, alive = (one, other) if one.D else (other, one)
        assert dead.D
        assert not alive.D
        assert dead["T"] > alive["T"]
        assert one.DH == other.DH
        assert one.DH == 0 or one.H == other.H


def trial(g: np.random.Generator, n: int, beta: float = 0.7) -> pd.DataFrame:
    """Two exponential times whose hazards share a covariate effect, so that win ratios are exp(beta) a unit at all
    times.
    """
    arm, x = g.integers(0, 2, n), g.normal(size=n)
    rate = np.exp(-beta * arm - 0.3 * x)
    death, end = g.exponential(1.0, n) / rate, np.minimum(g.exponential(3.0, n), 2.0)
    return pd.DataFrame(
        {
            "T": np.minimum(death, end),
            "D": (death <= end).astype(int),
            "ARM": arm,
            "X": x,
            "G": g.choice(list("abc"), n),
            "Y": np.round(g.normal(size=n), 1),
        }
    )


def test_independent_logistic_regression_of_pairs() -> None:
    """Decided pairs by loops, logistic regression without intercept by plain Newton, sandwich by sums over patients."""
    d = trial(np.random.default_rng(0), 70)
    fit = win_regression(d, [Time("T", event="D"), Value("Y")], ["ARM", "X", "G"])
    assert fit.covariates == ("ARM", "X", "G[b]", "G[c]")
    z = np.c_[d.ARM, d.X, d.G == "b", d.G == "c"].astype(float)
    pairs = []
    for i in range(70):
        for j in range(i):
            a, b = d.iloc[i], d.iloc[j]
            s = 0
            if b.D and a["T"] > b["T"]:
                s = 1
            elif a.D and b["T"] > a["T"]:
                s = -1
            else:
                s = np.sign(a.Y - b.Y)
            if s:
                pairs.append((i, j, s > 0))
    i, j, w = (np.array(x) for x in zip(*pairs, strict=True))
    u, beta = z[i] - z[j], np.zeros(4)
    for _ in range(20):
        mu = 1 / (1 + np.exp(-u @ beta))
        bread = (u * (mu * (1 - mu))[:, None]).T @ u
        beta = beta + np.linalg.solve(bread, u.T @ (w - mu))
    psi = np.zeros((70, 4))
    np.add.at(psi, i, u * (w - mu)[:, None])
    np.add.at(psi, j, u * (w - mu)[:, None])
    vcov = np.linalg.inv(bread) @ (psi.T @ psi) @ np.linalg.inv(bread) * 70 / (70 - 4 - 1)
    np.testing.assert_allclose(fit.beta, beta, rtol=1e-9)
    np.testing.assert_allclose(fit.vcov, vcov, rtol=1e-9)
    assert fit.decided == len(pairs)
    assert fit.decided + fit.tied == 70 * 69 // 2
    assert sum(fit.layers.values()) == fit.decided
    statistic, df, p = fit.test(["G[b]", "G[c]"])
    assert (df, statistic) == (2, pytest.approx(beta[2:] @ np.linalg.solve(vcov[2:, 2:], beta[2:]), rel=1e-9))
    assert 0 < p < 1
    assert fit["X"].estimate == pytest.approx(np.exp(beta[1]))


def test_independent_the_arm_alone_gives_the_two_sample_win_ratio() -> None:
    """With the arm as the only covariate beta is the log of wins over losses; the variances agree for large n."""
    d = trial(np.random.default_rng(1), 300)
    hierarchy = [Time("T", event="D"), Value("Y")]
    fit = win_regression(d, hierarchy, ["ARM"])
    two = win_statistics(d, hierarchy, arm="ARM", control=0)
    assert fit["ARM"].estimate == pytest.approx(two.win_ratio.estimate, rel=1e-9)
    # (p = 1: psi of a patient sums over the other arm alone, as Bebu & Lachin's does)
    assert fit["ARM"].se == pytest.approx(two.win_ratio.se * np.sqrt(300 / 298), rel=1e-9)


def test_property_batches_do_not_mix_and_frames_are_equal() -> None:
    g = np.random.default_rng(2)
    value, z = g.normal(size=(5, 30, 2)), g.normal(size=(5, 30, 2))
    event = g.random(value.shape) < 0.7
    include = np.arange(30) < np.array([30, 20, 25, 12, 28])[:, None]
    whole = kernel.win_regression(value, z, kinds=[1, 0], event=event, include=include)
    for t in range(5):
        m = include[t].sum()
        one = kernel.win_regression(value[t : t + 1, :m], z[t : t + 1, :m], kinds=[1, 0], event=event[t : t + 1, :m])
        np.testing.assert_allclose(whole[0][t], one[0][0], rtol=1e-12)
        np.testing.assert_allclose(whole[1][t], one[1][0], rtol=1e-9)
    d = trial(g, 40)
    fit = win_regression(d, [Time("T", event="D")], ["ARM", "X"])
    again = win_regression(pl.from_pandas(d), [Time("T", event="D")], ["ARM", "X"])
    assert fit.estimates == again.estimates
    assert isinstance(again.to_frame(), pl.DataFrame)
    missing = d.assign(X=d.X.where(d.index != 3))
    assert win_regression(missing, [Time("T", event="D")], ["ARM", "X"]).n == 39


def test_property_what_cannot_be_estimated_says_why() -> None:
    g = np.random.default_rng(3)
    d = trial(g, 30)

    def status(data, covariates=("ARM", "X")):
        fit = win_regression(data, [Value("Y")], list(covariates))
        assert not any(e.estimable for e in fit.estimates)
        assert np.isnan(fit.test()[2])
        return fit.status, fit.estimates[0].reason

    assert status(d.assign(Y=1.0)) == (Status.NO_EVENTS, "not estimable: every pair is tied")
    assert status(d.assign(X=d.ARM * 2.0))[0] is Status.SINGULAR
    assert status(d.head(3))[0] is Status.SINGULAR
    assert status(d.assign(X=d.Y), ["X"])[0] is Status.BOUNDARY
    assert status(d.assign(Y=np.nan))[0] is Status.NO_DATA
    with pytest.raises(EstimationError, match="without covariates"):
        win_regression(d, [Value("Y")], [])
    with pytest.raises(EstimationError, match="without outcomes"):
        win_regression(d, [], ["ARM"])
    with pytest.raises(EstimationError, match="level"):
        win_regression(d, [Value("Y")], ["ARM"], level=1.5)
    with pytest.raises(DataError, match="'NOPE'"):
        win_regression(d, [Value("Y")], ["NOPE"])
    with pytest.raises(DataError, match="after its follow-up"):
        win_regression(d.assign(E=9.0), [Recurrent("T", ("E",))], ["ARM"])
    with pytest.raises(EstimationError, match="no covariate 'NOPE'"):
        win_regression(d, [Value("Y")], ["ARM"])["NOPE"]


def coverage(trials: int, n: int, seed: int) -> np.ndarray:
    """Share of 95 % intervals that hold the truth: a log win ratio of 0.7 for the arm and 0.3 for X."""
    g = np.random.default_rng(seed)
    arm, x = g.integers(0, 2, (trials, n)), g.normal(size=(trials, n))
    death = g.exponential(1.0, (trials, n)) * np.exp(0.7 * arm + 0.3 * x)
    end = np.minimum(g.exponential(3.0, (trials, n)), 2.0)
    beta, vcov, _, _, status = kernel.win_regression(
        np.minimum(death, end)[..., None], np.stack([arm, x], axis=-1), kinds=[1], event=(death <= end)[..., None]
    )
    assert (status == 0).all()
    z = (beta - [0.7, 0.3]) / np.sqrt(np.diagonal(vcov, axis1=1, axis2=2))
    return (np.abs(z) < 1.959964).mean(axis=0)


def test_simulation_coverage_quickly() -> None:
    """500 trials of 108 patients: Monte Carlo error of 95 % is 1.0 %."""
    assert np.abs(coverage(500, 108, 4) - 0.95).max() < 4 * 0.01


@pytest.mark.slow
def test_simulation_coverage() -> None:
    """10,000 trials of 108 patients: Monte Carlo error of 95 % is 0.22 %; intervals may be a little short at this
    size.
    """
    made = coverage(10_000, 108, 5)
    print(made)
    assert (made > 0.95 - 0.01).all()
    assert (made < 0.95 + 4 * 0.0022).all()


def test_independent_strata_are_weighted_pairs_of_their_own() -> None:
    """The estimating equation solved, and its covariance, pair by pair in numpy; one stratum is none."""
    frame = trial(np.random.default_rng(12), 90)
    layers = [Time("T", event="D"), Value("Y")]
    fit = win_regression(frame, layers, ["ARM", "X"], strata="G")
    z, n = frame[["ARM", "X"]].to_numpy(float), len(frame)
    t, d, y, g = (frame[c].to_numpy() for c in ("T", "D", "Y", "G"))
    size = frame.groupby("G")["G"].transform("size").to_numpy()
    pairs = []
    for i in range(n):
        for j in range(i):
            if g[i] != g[j]:
                continue
            lost, won = d[i] and t[i] < t[j], d[j] and t[j] < t[i]
            sign = int(won) - int(lost) or int(np.sign(y[i] - y[j]))
            if sign:
                pairs.append((i, j, sign > 0, 1.0 / (size[i] - 1)))
    beta = np.zeros(2)
    for _ in range(30):
        score, information, psi = np.zeros(2), np.zeros((2, 2)), np.zeros((n, 2))
        for i, j, won, w in pairs:
            diff = z[i] - z[j]
            mu = 1.0 / (1.0 + np.exp(-diff @ beta))
            term = w * (won - mu) * diff
            score += term
            psi[i] += term
            psi[j] += term
            information += w * mu * (1.0 - mu) * np.outer(diff, diff)
        beta = beta + np.linalg.solve(information, score)
    a = np.linalg.inv(information)
    assert fit.decided == len(pairs)
    np.testing.assert_allclose(fit.beta, beta, rtol=1e-13)
    np.testing.assert_allclose(fit.vcov, n / (n - 3) * a @ (psi.T @ psi) @ a, rtol=1e-12)
    alone = win_regression(frame.assign(ONE="a"), layers, ["ARM", "X"], strata="ONE")
    plain = win_regression(frame, layers, ["ARM", "X"])
    np.testing.assert_allclose(alone.beta, plain.beta, rtol=1e-9)
    np.testing.assert_allclose(alone.vcov, plain.vcov, rtol=1e-9)
    assert alone.tied == plain.tied


def test_independent_two_arms_in_strata_are_wins_over_losses_weighted_by_size() -> None:
    """The arm alone: exp(beta) is wins over losses, those of a stratum of n patients weighted by 1 / (n - 1)."""
    frame = trial(np.random.default_rng(5), 60)
    fit = win_regression(frame, [Time("T", event="D"), Value("Y")], ["ARM"], strata="G")
    t, d, y, g, arm = (frame[c].to_numpy() for c in ("T", "D", "Y", "G", "ARM"))
    won = lost = 0.0
    for i in np.flatnonzero(arm == 1):
        for j in np.flatnonzero((arm == 0) & (g == g[i])):
            better = int(d[j] and t[j] < t[i]) - int(d[i] and t[i] < t[j]) or np.sign(y[i] - y[j])
            weight = 1.0 / ((g == g[i]).sum() - 1)
            won, lost = won + weight * (better > 0), lost + weight * (better < 0)
    assert len(set(g)) > 1
    assert fit.beta[0] == pytest.approx(np.log(won / lost), abs=1e-14)
