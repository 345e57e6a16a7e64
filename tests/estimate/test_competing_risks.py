"""Competing risks against numbers printed by R's cmprsk, against explicit re-derivations, and by simulation."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import optimize, stats

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.survival import cox, log_rank
from equipoise.estimate.survival.competing_risks import cause_specific, cumulative_incidence, incidence_difference
from equipoise.estimate.survival.fine_gray import fine_gray
from equipoise.estimate.survival.gray import gray_test
from equipoise.estimate.survival.kaplan_meier import kaplan_meier
from equipoise.estimate.survival.kernels import competing_risks as kernel
from equipoise.estimate.survival.kernels import fine_gray as regression
from equipoise.types import Status

FIXTURE = json.loads((Path(__file__).parents[1] / "fixtures" / "competing_risks.json").read_text())
R = FIXTURE["expected"]


def printed() -> pl.DataFrame:
    """The data set of cmprsk's own test; see the fixture for its source."""
    return pl.DataFrame(FIXTURE["data"])


def spread(seed: int, n: int = 200, ties: bool = False) -> pl.DataFrame:
    """Two causes, a binary arm, a covariate, random censoring."""
    g = np.random.default_rng(seed)
    arm, x = g.integers(0, 2, n), g.normal(size=n)
    t1, t2 = g.exponential(20 * np.exp(-0.5 * arm - 0.3 * x)), g.exponential(30 * np.exp(0.2 * arm))
    lost = g.uniform(5, 60, n)
    time = np.minimum(np.minimum(t1, t2), lost)
    cause = np.where(lost <= time, 0, np.where(t1 <= t2, 1, 2))
    return pl.DataFrame({"T": np.ceil(time / 4) * 4 if ties else time, "C": cause, "ARM": arm.astype(float), "X": x})


# ---- cumulative incidence ----


def test_reference_cuminc_printed_by_r() -> None:
    """R's cmprsk::cuminc, seven digits: estimates and Aalen's variances, everyone and three groups."""
    data = printed()
    curves = {c.group: c for c in cumulative_incidence(data, time="time", cause="cause", arm="group", variance="aalen")}
    (whole,) = cumulative_incidence(data, time="time", cause="cause", variance="aalen")
    for curve, key in ((whole, "all"), (curves[1], "group_a"), (curves[2], "group_b"), (curves[3], "group_c")):
        expected = R[f"incidence_{key}"]
        for k, cause in enumerate(curve.causes):
            own = [curve.at(t, cause)[:2] for t in expected["at"]]
            # beyond the last time R carries the curve on; here it is not known
            keep = [not math.isnan(f) for f, _ in own]
            assert sum(keep) >= 2
            own, est, var = (np.array(a)[keep] for a in (own, expected["est"][k], expected["var"][k]))
            np.testing.assert_allclose(own[:, 0], est, rtol=3e-7)
            np.testing.assert_allclose(own[:, 1] ** 2, var, rtol=1e-6)


def test_independent_incidence_by_hand() -> None:
    """Events: cause d at 3 and 8, p at 5, censored at 7 and 9: F_d is 1/5, then 1/5 + 0.6 / 2."""
    frame = pl.DataFrame({"T": [3, 5, 7, 8, 9], "HOW": ["d", "p", "none", "d", "none"]})
    (curve,) = cumulative_incidence(frame, time="T", cause="HOW", censored="none", scale="plain")
    np.testing.assert_allclose(curve.incidence[:, 0], [0.2, 0.2, 0.2, 0.5, 0.5])
    np.testing.assert_allclose(curve.incidence[:, 1], [0.0, 0.2, 0.2, 0.2, 0.2])
    # multinomial gradients: 3: (1 - 0.3 / 0.8), -0.3 / 0.8; 5: -0.3 / 0.6 * 0.8; 8: 0.6
    by_hand = (0.2 * 0.625**2 - 0.125**2) / 5 + (0.25 * 0.4**2 - 0.1**2) / 4 + (0.5 * 0.36 - 0.09) / 2
    assert curve.at(8, "d")[1] == pytest.approx(math.sqrt(by_hand), rel=1e-12)
    assert curve.at(8.5, "p")[4] == 1
    assert math.isnan(curve.at(10, "d")[0])
    assert curve.at(1, "d") == (0.0, 0.0, 0.0, 0.0, 5)
    assert curve.events.tolist() == [2, 1]


def brute_incidence(time: np.ndarray, cause: np.ndarray, weight: np.ndarray, at: float) -> float:
    s, f = 1.0, 0.0
    for t in np.unique(time[(cause > 0) & (time <= at)]):
        n = weight[time >= t].sum()
        f += s * weight[(time == t) & (cause == 1)].sum() / n
        s *= 1.0 - weight[(time == t) & (cause > 0)].sum() / n
    return f


def test_independent_greenwood_is_the_infinitesimal_jackknife() -> None:
    """Sum of squared derivatives of the incidence by each patient's weight (what R's survfit reports), heavy ties."""
    data = spread(1, 80, ties=True)
    time, cause = data["T"].to_numpy(), data["C"].to_numpy()
    at = [8.0, 20.0, 40.0]
    f, v, *_ = kernel.incidence(time[None], cause[None], at=at)
    one = np.ones(80)
    for k, t in enumerate(at):
        assert f[0, 0, 0, k] == pytest.approx(brute_incidence(time, cause, one, t), rel=1e-12)
        slopes = []
        for i in range(80):
            e = np.zeros(80)
            e[i] = 1e-5
            slopes.append((brute_incidence(time, cause, one + e, t) - brute_incidence(time, cause, one - e, t)) / 2e-5)
        assert v[0, 0, 0, k] == pytest.approx(float(np.square(slopes).sum()), rel=1e-6)


def test_independent_one_cause_is_kaplan_meier_log_rank_and_cox() -> None:
    """With one cause: 1 - S and Greenwood; Gray's score is the log-rank score; Fine-Gray is Cox with Breslow's ties."""
    data = spread(2, 150, ties=True).with_columns(C=pl.when(pl.col("C") == 2).then(1).otherwise("C"))
    for scale in ("plain", "log-log"):
        (km,) = kaplan_meier(data, time="T", event="C", scale=scale)
        (aj,) = cumulative_incidence(data, time="T", cause="C", scale=scale)
        np.testing.assert_allclose(aj.incidence[:, 0], 1 - km.survival, rtol=1e-10)
        inner = km.survival > 0
        np.testing.assert_allclose(aj.se[inner, 0], km.survival[inner] * km.se_log[inner], rtol=1e-8)
        if scale == "plain":
            np.testing.assert_allclose(aj.low[inner, 0], 1 - km.high[inner], rtol=1e-8, atol=1e-12)
    rank = log_rank("Surv(T, C) ~ ARM", data)
    gray = gray_test(data, time="T", cause="C", of=1, arm="ARM")
    np.testing.assert_allclose(gray.score, rank.observed - rank.expected, rtol=1e-10)
    assert gray.variance[0, 0] == pytest.approx(rank.variance[0, 0], rel=0.05)  # another correction for ties
    fit = fine_gray("Surv(T, C) ~ ARM + X", data, of=1, variance="model")
    like = cox("Surv(T, C) ~ ARM + X", data, ties="breslow")
    np.testing.assert_allclose(fit.beta, like.beta, rtol=1e-8)
    np.testing.assert_allclose(fit.vcov, like.vcov, rtol=1e-8)
    np.testing.assert_allclose(fit.loglik, like.loglik, rtol=1e-12)
    np.testing.assert_allclose(fit.score, like.score, rtol=1e-8)


def test_property_incidences_and_survival_add_to_one() -> None:
    data = spread(3, 300, ties=True)
    for curve in cumulative_incidence(data, time="T", cause="C", arm="ARM"):
        np.testing.assert_allclose(curve.incidence.sum(axis=1) + curve.survival, 1.0, rtol=1e-12)
        assert (np.diff(curve.incidence, axis=0) >= 0).all()
        assert (curve.low <= curve.incidence + 1e-12).all()
        assert (curve.high >= curve.incidence - 1e-12).all()
    # variances do not blow up: they stay below the binomial's without censoring
    g = np.random.default_rng(8)
    time, cause = g.exponential(size=(1, 50)), g.integers(1, 3, (1, 50))
    f, v, s, horizon = kernel.incidence(time, cause, at=[0.5, 1.0, 99.0])
    np.testing.assert_allclose(v[0, 0, 0], f[0, 0, 0] * (1 - f[0, 0, 0]) / 50, rtol=1e-9)
    assert s[0, 0, 2] == 0.0
    assert np.isinf(horizon[0, 0])


def test_independent_difference_is_of_the_curves() -> None:
    data = spread(4, 200)
    c = {c.group: c for c in cumulative_incidence(data, time="T", cause="C", arm="ARM", variance="aalen")}
    made = incidence_difference(data, time="T", cause="C", of=1, arm="ARM", at=[6, 24], variance="aalen")
    for e, t in zip(made, (6, 24), strict=True):
        a, b = c[1.0].at(t, 1), c[0.0].at(t, 1)
        assert e.estimate == pytest.approx(a[0] - b[0])
        assert e.se == pytest.approx(math.hypot(a[1], b[1]))


# ---- Gray's test ----


def test_reference_gray_printed_by_r() -> None:
    """R's cmprsk::cuminc with strata, three groups and two; seven digits."""
    data = printed()

    def tests(frame: pl.DataFrame, time: str = "time") -> list[Any]:
        return [gray_test(frame, time=time, cause="cause", of=k, arm="group", strata="stratum") for k in (1, 2)]

    cases = [
        ("gray_stratified", tests(data), 2),
        ("gray_stratified_time2", tests(data, "time2"), 2),
        ("gray_without_b", tests(data.filter(pl.col("group") != 2)), 1),
        ("gray_first_80_without_3", tests(data[[i for i in range(80) if i not in (4, 9, 49)]]), 2),
    ]
    for key, made, df in cases:
        np.testing.assert_allclose([t.chi_square for t in made], R[key]["stat"], rtol=5e-7)
        np.testing.assert_allclose([t.p for t in made], R[key]["p"], rtol=1e-6)
        assert [t.df for t in made] == [df, df]


def test_property_gray_does_not_depend_on_labels_or_order() -> None:
    data = spread(5, 120, ties=True).with_columns(G=pl.Series(np.arange(120) % 3), S=pl.Series(np.arange(120) % 2))
    one = gray_test(data, time="T", cause="C", of=1, arm="G", strata="S")
    other = gray_test(
        data[::-1].with_columns(G=pl.col("G").replace_strict({0: "c", 1: "a", 2: "b"}), T=pl.col("T") * 7),
        time="T",
        cause="C",
        of=1,
        arm="G",
        strata=["S"],
    )
    assert other.chi_square == pytest.approx(one.chi_square, rel=1e-10)
    assert one.score.sum() == pytest.approx(0.0, abs=1e-10)
    assert np.linalg.matrix_rank(one.variance, tol=1e-9) == 2
    two = gray_test(data, time="T", cause="C", of=2, arm="S")
    assert two.estimate().p == pytest.approx(two.p, rel=1e-10)


# ---- Fine-Gray ----


def naive_fine_gray(
    time: np.ndarray, cause: np.ndarray, x: np.ndarray, terms: Any = None, group: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Fine & Gray 1999 by loops over pairs: coefficients by a generic optimiser, standard errors by their eq. 7 to 9.

    terms : function of time giving factors by which columns of x are multiplied (time-dependent effects).
    """
    n, p = x.shape
    group = np.zeros(n, int) if group is None else group
    terms = terms or (lambda t: np.ones(p))

    def free(g: int, t: float) -> float:
        own = group == g
        out = 1.0 if t <= time[own].max() else 0.0
        for u in np.unique(time[own & (cause == 0) & (time < t)]):
            out *= 1 - (own & (cause == 0) & (time == u)).sum() / (own & (time >= u)).sum()
        return out

    events = np.flatnonzero(cause == 1)
    w = np.zeros((n, len(events)))  # weight of patient i at the j-th event
    for j, e in enumerate(events):
        for i in range(n):
            if time[i] >= time[e]:
                w[i, j] = 1.0
            elif cause[i] > 1:
                w[i, j] = free(group[i], time[e]) / free(group[i], time[i])
    z = np.stack([x * terms(time[e]) for e in events], axis=1)  # (n, event, p)

    def loss(b: np.ndarray) -> float:
        eta = z @ b
        return -sum(eta[e, j] - math.log((w[:, j] * np.exp(eta[:, j])).sum()) for j, e in enumerate(events))

    beta = optimize.minimize(loss, np.zeros(p), method="BFGS", options={"gtol": 1e-9}).x
    for _ in range(4):  # polish by numerical derivatives
        grad = optimize.approx_fprime(beta, loss, 1e-7)
        hess = np.array(
            [
                (
                    optimize.approx_fprime(beta + 1e-4 * e, loss, 1e-7)
                    - optimize.approx_fprime(beta - 1e-4 * e, loss, 1e-7)
                )
                / 2e-4
                for e in np.eye(p)
            ]
        )
        beta = beta - np.linalg.solve(hess, grad)
    wr = w * np.exp(z @ beta)
    s0 = wr.sum(axis=0)
    mean = np.einsum("ij,ijk->jk", wr, z) / s0[:, None]
    omega = sum((wr[:, j] / s0[j] * (z[:, j] - mean[j]).T) @ (z[:, j] - mean[j]) for j in range(len(events)))
    eta = np.zeros((n, p))
    for j, e in enumerate(events):
        eta[e] += z[e, j] - mean[j]
        eta -= (wr[:, j] / s0[j])[:, None] * (z[:, j] - mean[j])
    psi = np.zeros((n, p))
    for g in np.unique(group):
        for u in np.unique(time[(group == g) & (cause == 0)]):
            past = (group == g) & (cause > 1) & (time < u)
            later = time[events] >= u
            q = np.einsum("ij,ijk->k", (wr / s0)[past][:, later], (z - mean)[past][:, later])
            risk = (group == g) & (time >= u)
            lost = (group == g) & (cause == 0) & (time == u)
            psi[lost] += q / risk.sum()
            psi[risk] -= q * lost.sum() / risk.sum() ** 2
    bread = np.linalg.inv(omega)
    return beta, bread @ (eta + psi).T @ (eta + psi) @ bread


def test_reference_crr_printed_by_r() -> None:
    """R's cmprsk::crr to the four digits it prints; and the loops of this file, with effects that depend on time."""
    data = printed()
    fit = fine_gray("Surv(time, cause) ~ x1 + x2 + x3", data, of=1)
    assert fit.n == 97
    np.testing.assert_allclose(fit.beta, R["crr"]["coef"], rtol=2e-4)
    np.testing.assert_allclose(np.sqrt(np.diag(fit.vcov)), R["crr"]["se"], rtol=2e-4)
    alone = fine_gray("Surv(time, cause) ~ x1", data, of=1)
    np.testing.assert_allclose([alone.beta[0], math.sqrt(alone.vcov[0, 0])], [-0.1753, 0.3540], rtol=3e-4)
    kept = data.drop_nulls()
    x = kept.select("x1", "x2", "x3", a=pl.col("x1"), b=pl.col("x1")).to_numpy().astype(float)
    time, cause = kept["time"].to_numpy(), kept["cause"].to_numpy()
    for key, of, lost, group in (
        ("crr_time_terms", 1, 0, None),
        ("crr_time_terms_by_x3", 1, 0, kept["x3"].to_numpy()),
        ("crr_time_terms_by_x3_cause_2", 2, 0, kept["x3"].to_numpy()),
        ("crr_time_terms_by_x3_censoring_2", 1, 2, kept["x3"].to_numpy()),
    ):
        code = np.where(cause == lost, 0, np.where(cause == of, 1, 2))
        beta, vcov = naive_fine_gray(time, code, x, lambda t: np.array([1, 1, 1, t, t * t]), group)
        np.testing.assert_allclose(beta, R[key]["coef"], rtol=3e-4)
        if group is None:  # with groups R's differ by up to 0.4 %, as docs/methods/competing-risks.md says
            np.testing.assert_allclose(np.sqrt(np.diag(vcov)), R[key]["se"], rtol=3e-4)


@pytest.mark.parametrize("ties", [False, True])
def test_independent_fine_gray_by_loops(ties: bool) -> None:
    """Coefficients and both parts of the variance, censoring in one group and in two."""
    data = spread(6, 70, ties)
    time, cause, x = data["T"].to_numpy(), data["C"].to_numpy(), data.select("ARM", "X").to_numpy()
    for by in ((), "ARM"):
        beta, vcov = naive_fine_gray(time, cause, x, group=None if by == () else x[:, 0].astype(int))
        fit = fine_gray("Surv(T, C) ~ ARM + X", data, of=1, censoring_by=by)
        np.testing.assert_allclose(fit.beta, beta, rtol=1e-5)
        np.testing.assert_allclose(fit.vcov, vcov, rtol=1e-4)


def test_independent_fine_gray_by_expanded_data() -> None:
    """Every competing event split at the times of cause 1 into weighted rows (Geskus 2011), generic optimiser."""
    data = spread(7, 90)
    time, cause, x = data["T"].to_numpy(), data["C"].to_numpy(), data.select("ARM", "X").to_numpy()
    censored = np.sort(time[cause == 0])
    free = lambda t: np.prod([1 - 1 / (time >= u).sum() for u in censored[censored < t]])  # noqa: E731
    cuts = np.sort(time[cause == 1])
    rows = []  # start, stop, event, weight, x
    for i in range(len(time)):
        rows.append((0.0, time[i], cause[i] == 1, 1.0, x[i]))
        if cause[i] == 2:
            later = cuts[cuts > time[i]]
            for a, b in zip([time[i], *later[:-1]], later, strict=False):
                rows.append((a, b, False, free(b) / free(time[i]), x[i]))
    start, stop, event, weight = (np.array([r[k] for r in rows], dtype=float) for k in range(4))
    xs = np.stack([r[4] for r in rows])

    def loss(b: np.ndarray) -> float:
        risk = weight * np.exp(xs @ b)
        return -sum(
            xs[k] @ b - math.log(risk[(start < stop[k]) & (stop >= stop[k])].sum()) for k in np.flatnonzero(event)
        )

    found = optimize.minimize(loss, np.zeros(2), method="BFGS", options={"gtol": 1e-7})
    fit = fine_gray("Surv(T, C) ~ ARM + X", data, of=1)
    np.testing.assert_allclose(fit.beta, found.x, rtol=1e-5)
    assert fit.loglik[1] == pytest.approx(-found.fun, rel=1e-10)


def test_independent_without_censoring_is_cox_with_competing_events_at_infinity() -> None:
    data = spread(9, 200).filter(pl.col("C") > 0)
    late = data.with_columns(T=pl.when(pl.col("C") == 2).then(1e6).otherwise("T"), E=(pl.col("C") == 1).cast(int))
    fit = fine_gray("Surv(T, C) ~ ARM + X", data, of=1, variance="model")
    like = cox("Surv(T, E) ~ ARM + X", late, ties="breslow")
    np.testing.assert_allclose(fit.beta, like.beta, rtol=1e-8)
    np.testing.assert_allclose(fit.vcov, like.vcov, rtol=1e-8)
    sandwich = fine_gray("Surv(T, C) ~ ARM + X", data, of=1, variance="robust").vcov
    np.testing.assert_allclose(fine_gray("Surv(T, C) ~ ARM + X", data, of=1).vcov, sandwich, rtol=1e-12)


def test_property_cause_specific_is_cox_on_the_cause() -> None:
    data = spread(10, 200).with_columns(HOW=pl.col("C").replace_strict({0: "alive", 1: "PAV", 2: "death"}))
    fit = cause_specific("Surv(T, HOW) ~ ARM + X", data, of="PAV", censored="alive")
    like = cox("Surv(T, E) ~ ARM + X", data.with_columns(E=(pl.col("C") == 1).cast(int)))
    np.testing.assert_array_equal(fit.beta, like.beta)
    (curve,) = cumulative_incidence(data.to_pandas(), time="T", cause="HOW", censored="alive")
    assert curve.causes == ("PAV", "death")


def test_property_predicted_incidence_is_the_baseline_at_zero() -> None:
    """With no covariate effect the predicted incidence follows the Aalen-Johansen curve."""
    data = spread(12, 2000)
    fit = fine_gray("Surv(T, C) ~ X", data, of=1)
    frame = fit.to_frame()
    assert isinstance(frame, pl.DataFrame)
    assert frame["term"].to_list() == ["X"]
    (curve,) = cumulative_incidence(data.with_columns(), time="T", cause="C")
    mean = np.mean([fit.incidence([v], 20.0)[0] for v in data["X"].to_list()])
    assert mean == pytest.approx(curve.at(20.0, 1)[0], abs=0.01)
    assert fit.incidence([0.0], [0.0, 5.0, 20.0])[0] == 0.0
    with pytest.raises(EstimationError, match="2 covariates"):
        fit.incidence([1.0, 2.0], 3.0)
    assert fit.hazard_ratio("X").estimate == pytest.approx(math.exp(fit.beta[0]))


def test_property_block_equals_single_trials() -> None:
    frames = [spread(s, 60, ties=True) for s in (20, 21, 22)]
    time, cause, arm = (np.stack([f[k].to_numpy() for f in frames]) for k in ("T", "C", "ARM"))
    x = np.stack([f.select("ARM", "X").to_numpy() for f in frames])
    include = np.ones((3, 60), bool)
    include[1, :10] = False
    b, v, *_ = regression.fine_gray(time, cause, x, include=include)
    _, w, _ = kernel.gray(time, cause, arm, include=include)
    f, *_ = kernel.incidence(time, cause, at=[10.0], include=include)
    for i in range(3):
        own = [a[i : i + 1, include[i]] for a in (time, cause, x, arm)]
        one = regression.fine_gray(*own[:3])
        np.testing.assert_allclose(b[i], one[0][0], rtol=1e-12)
        np.testing.assert_allclose(v[i], one[1][0], rtol=1e-10)
        np.testing.assert_allclose(w[i], kernel.gray(own[0], own[1], own[3])[1][0], rtol=1e-12)
        np.testing.assert_allclose(f[i], kernel.incidence(own[0], own[1], at=[10.0])[0][0], rtol=1e-12)


def test_property_not_estimable_is_said_in_words() -> None:
    data = pl.DataFrame({"T": [5, 6, 7, 8, 9, 9], "C": [0, 2, 0, 2, 0, 0], "ARM": list("pppaaa")})
    fit = fine_gray("Surv(T, C) ~ ARM", data, of=1)
    assert fit.status is Status.NO_EVENTS
    assert "no events (1: events 0/3 a, 0/3 p)" in fit.reason
    assert math.isnan(fit.estimates[0].estimate)
    test = gray_test(data, time="T", cause="C", of=1, arm="ARM")
    assert test.status is Status.NO_EVENTS
    assert "no events" in test.estimate().reason
    assert math.isnan(test.p)
    (difference,) = incidence_difference(data, time="T", cause="C", of=1, arm="ARM", at=6)
    assert difference.reason == "not estimable: nobody had 1 by 6"
    (late,) = incidence_difference(data, time="T", cause="C", of=2, arm="ARM", control="p", at=8)
    assert late.reason == "not estimable: follow-up of arm p ends at 7, before 8"
    (one_sided,) = incidence_difference(data, time="T", cause="C", of=2, arm="ARM", control="p", at=6)
    assert "arm a adds nothing to the variance" in one_sided.reason
    one = fine_gray("Surv(T, C) ~ ARM", data.with_columns(C=pl.Series([0, 1, 0, 2, 0, 0])), of=1)
    assert one.status is Status.ONE_ARM_EVENTS
    assert "0/3 a, 1/3 p" in one.reason
    twice = fine_gray(
        "Surv(T, C) ~ X + Y",
        data.with_columns(C=pl.Series([1, 2, 1, 1, 0, 1]), X=pl.col("T") % 3, Y=2 * (pl.col("T") % 3)),
        of=1,
    )
    assert twice.status is Status.SINGULAR
    none = cumulative_incidence(data.with_columns(C=pl.lit(0)), time="T", cause="C")[0]
    assert none.incidence.shape == (5, 0)
    assert none.causes == ()


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda d: cumulative_incidence(d, time="T", cause="NOPE"), DataError, "NOPE"),
        (lambda d: cumulative_incidence(d, time="NEG", cause="C"), DataError, "'NEG' is negative"),
        (lambda d: cumulative_incidence(d, time="T", cause="HOW"), DataError, "censoring is 0 but 'HOW' holds"),
        (lambda d: cumulative_incidence(d, time="T", cause="C", variance="x"), EstimationError, "unknown variance"),
        (lambda d: cumulative_incidence(d, time="T", cause="C", scale="x"), EstimationError, "unknown scale"),
        (lambda d: gray_test(d, time="T", cause="C", of=1, arm="ONE"), DataError, "fewer than two levels"),
        (lambda d: fine_gray("T ~ ARM", d, of=1), EstimationError, "cannot read"),
        (lambda d: fine_gray("Surv(T, C) ~ ARM + strata(ONE)", d, of=1), EstimationError, "censoring_by"),
        (lambda d: fine_gray("Surv(T, C) ~ 1", d, of=1), EstimationError, "no terms"),
        (lambda d: fine_gray("Surv(T, C) ~ NOPE", d, of=1), DataError, "NOPE"),
        (lambda d: incidence_difference(d, time="T", cause="C", of=1, at=-1, arm="ARM"), EstimationError, "above 0"),
    ],
)
def test_property_bad_input_is_named(call: Any, error: type[Exception], words: str) -> None:
    data = pd.DataFrame(
        {"T": [5, 6, 7], "NEG": [1, -1, 2], "C": [0, 1, 2], "HOW": list("abc"), "ARM": list("PPT"), "ONE": 1}
    )
    with pytest.raises(error, match=words):
        call(data)


# ---- simulation ----


def subdistribution(seed: int, trials: int, n: int, beta: float, censor: float = 3.0) -> tuple[np.ndarray, ...]:
    """Fine & Gray's own design: F1(t | x) = 1 - (1 - p (1 - exp(-t)))^exp(x beta), p = 0.5; the rest has cause 2."""
    g = np.random.default_rng(seed)
    arm = np.broadcast_to((np.arange(n) % 2).astype(float), (trials, n))
    ratio = np.exp(beta * arm)
    first = g.random((trials, n)) < 1 - (1 - 0.5) ** ratio
    u = g.random((trials, n)) * (1 - (1 - 0.5) ** ratio)
    t1 = -np.log(1 - (1 - (1 - u) ** (1 / ratio)) / 0.5)
    t = np.where(first, t1, g.exponential(np.exp(-0.3 * arm)))
    lost = g.uniform(0.0, censor, (trials, n))
    return np.minimum(t, lost), np.where(lost <= t, 0, np.where(first, 1, 2)), arm


@pytest.mark.slow
def test_simulation_coverage_fine_gray_and_incidence() -> None:
    """4,000 trials of 200, log ratio -0.5: coverage of 95 % intervals within 3 Monte Carlo errors plus 0.7 %."""
    trials, beta = 4000, -0.5
    time, cause, arm = subdistribution(1, trials, 200, beta)
    error = 3 * math.sqrt(0.05 * 0.95 / trials) + 0.007
    b, v, *_, status = regression.fine_gray(time, cause, arm[:, :, None])
    assert (status == Status.OK).all()
    z = (b[:, 0] - beta) / np.sqrt(v[:, 0, 0])
    assert abs(np.mean(np.abs(z) < 1.959964) - 0.95) < error
    assert abs(b.mean() - beta) < 4 * b.std() / math.sqrt(trials) + 0.01
    for variance in kernel.VARIANCES:
        f, w, *_ = kernel.incidence(time, cause, group=arm, n_groups=2, at=[1.0], variance=variance)
        truth = 1 - (1 - 0.5 * (1 - math.exp(-1.0))) ** np.exp(beta * np.arange(2))
        own = (f[:, :, 0, 0] - truth) / np.sqrt(w[:, :, 0, 0])
        assert np.abs((np.abs(own) < 1.959964).mean(axis=0) - 0.95).max() < error
        np.testing.assert_allclose(w[:, :, 0, 0].mean(axis=0), f[:, :, 0, 0].var(axis=0), rtol=0.08)


@pytest.mark.slow
def test_simulation_size_of_gray_test() -> None:
    """10,000 null trials of 2 x 50 whose competing hazards differ: type I error 5 % within 4 errors plus 0.3 %."""
    trials = 10_000
    time, cause, arm = subdistribution(2, trials, 100, 0.0)
    u, v, status = kernel.gray(time, cause, arm)
    assert (status == Status.OK).all()
    p = stats.chi2.sf(u[:, 1] ** 2 / v[:, 1, 1], 1)
    assert abs((p < 0.05).mean() - 0.05) < 4 * math.sqrt(0.05 * 0.95 / trials) + 0.003
