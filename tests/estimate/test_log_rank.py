"""Log-rank tests and their combination against R's survdiff, permutations and brute force."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import polars as pl
import pytest
import survival_cases
from scipy import special, stats

import parity
from equipoise.errors import DataError, EstimationError
from equipoise.estimate.survival.cox import cox
from equipoise.estimate.survival.kernels import log_rank as kernel
from equipoise.estimate.survival.kernels import max_combo as batch
from equipoise.estimate.survival.log_rank import COMBINATION, log_rank, max_combo
from equipoise.numerics.normal import tail_of_largest
from equipoise.types import Status


@pytest.mark.parametrize("case", survival_cases.LOG_RANK)
def test_reference_survdiff(case: str) -> None:
    """R survival 3.5-3: events observed and expected (by stratum too), covariance, chi-square, p; relative 1e-9."""
    parity.check(survival_cases.compare_log_rank(case), at_least=7)
    found = survival_cases.cases("survdiff")[case]
    test = log_rank(found["formula"], survival_cases.data(case), rho=found["rho"])
    if len(test.groups) == 2:
        assert test.z**2 == pytest.approx(test.chi_square, rel=1e-12)


def random_trial(n: int = 60, seed: int = 0) -> pl.DataFrame:
    g = np.random.default_rng(seed)
    arm = np.arange(n) % 2
    time = np.ceil(g.exponential(9 * np.where(arm == 1, 1.6, 1.0)))
    return pl.DataFrame(
        {"T": time, "E": (g.random(n) < 0.75).astype(int), "ARM": np.where(arm, "b", "a"), "S": g.integers(0, 2, n)}
    )


def brute(data: pl.DataFrame, rho: float, gamma: float) -> tuple[float, float]:
    """Score of the second group and its variance, written out."""
    t, e, arm, s = (data[c].to_numpy() for c in ("T", "E", "ARM", "S"))
    score, variance = 0.0, 0.0
    for h in np.unique(s):
        own, survival = s == h, 1.0
        for u in np.unique(t[own & (e == 1)]):
            risk = own & (t >= u)
            tied = risk & (t == u) & (e == 1)
            n, n1, d = risk.sum(), (risk & (arm == "b")).sum(), tied.sum()
            w = survival**rho * (1 - survival) ** gamma
            score += w * ((tied & (arm == "b")).sum() - d * n1 / n)
            k = np.arange(max(0, d - (n - n1)), min(d, n1) + 1)
            chance = special.comb(n1, k) * special.comb(n - n1, d - k) / special.comb(n, d)
            variance += w * w * ((chance * k**2).sum() - (chance * k).sum() ** 2)
            survival *= 1 - d / n
    return score, variance


@pytest.mark.parametrize(("rho", "gamma"), [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (0.5, 2.0)])
def test_independent_fleming_harrington_weights(rho: float, gamma: float) -> None:
    data = random_trial()
    test = log_rank("Surv(T, E) ~ ARM + strata(S)", data, rho=rho, gamma=gamma)
    score, variance = brute(data, rho, gamma)
    assert test.observed[1] - test.expected[1] == pytest.approx(score, rel=1e-10)
    assert test.variance[1, 1] == pytest.approx(variance, rel=1e-10)
    assert test.estimate().p == pytest.approx(test.p, rel=1e-10)
    combined = max_combo("Surv(T, E) ~ ARM + strata(S)", data, weights=[(rho, gamma)])
    assert (combined.z[0], combined.p) == pytest.approx((test.z, test.p), rel=1e-10)


def test_independent_two_groups_of_many_give_the_same_chi_square() -> None:
    """Three groups, weighted: the quadratic form over any two of them."""
    g = np.random.default_rng(4)
    data = random_trial(90).with_columns(ARM=pl.Series(g.choice(list("abc"), 90)))
    test = log_rank("Surv(T, E) ~ ARM", data, gamma=1.0)
    u, v = test.observed - test.expected, test.variance
    for use in ([0, 1], [0, 2], [1, 2]):
        assert u[use] @ np.linalg.solve(v[np.ix_(use, use)], u[use]) == pytest.approx(test.chi_square, rel=1e-10)
    assert test.df == 2
    assert test.p == pytest.approx(special.chdtrc(2, test.chi_square))


def test_independent_correlations_are_those_of_permutations() -> None:
    """20,000 permutations of the arms of one data set: correlations within four standard errors of the permuted ones
    (0.02 for the least correlated pair), and the p-value of the largest within four of its own plus 0.01, the normal
    law being that of large trials.
    """
    data = random_trial(120, seed=6)
    test = max_combo("Surv(T, E) ~ ARM", data)
    g = np.random.default_rng(7)
    r = 20_000
    arm = g.permuted(np.broadcast_to((data["ARM"].to_numpy() == "b").astype(np.int64), (r, 120)), axis=1)
    shape = (r, 120)
    score, variance, _ = kernel.combination(
        np.broadcast_to(data["T"].to_numpy(), shape), np.broadcast_to(data["E"].to_numpy(), shape), arm, COMBINATION
    )
    sd = np.sqrt(np.diagonal(variance, axis1=1, axis2=2))
    z, correlation = score / sd, variance / (sd[:, :, None] * sd[:, None, :])
    largest = np.abs(z).max(axis=1)
    np.testing.assert_allclose(np.corrcoef(z.T), correlation.mean(axis=0), atol=0.02)
    np.testing.assert_allclose(test.correlation, correlation.mean(axis=0), atol=0.1)
    np.testing.assert_allclose(z.std(axis=0), 1.0, atol=0.03)
    share = float((largest >= test.statistic - 1e-9).mean())
    assert abs(test.p - share) < 4 * math.sqrt(test.p / r) + 0.01


@pytest.mark.parametrize("both", [True, False])
@pytest.mark.parametrize("n", [2, 3, 4])
def test_independent_tail_of_the_largest(n: int, both: bool) -> None:
    """Against SciPy's multivariate normal integral, absolute 3e-6, and known cases."""
    g = np.random.default_rng(n)
    a = g.normal(size=(n, n + 1)) + 1.5
    c = a @ a.T
    c /= np.sqrt(np.outer(np.diag(c), np.diag(c)))
    for z in (0.5, 2.0):
        p, error = tail_of_largest(z, c, both, 1e-5)
        box = {"lower_limit": np.full(n, -z if both else -np.inf), "abseps": 1e-7, "releps": 1e-7, "maxpts": 400_000}
        inside = stats.multivariate_normal.cdf(np.full(n, z), np.zeros(n), c, **box)
        assert p == pytest.approx(1.0 - inside, abs=1e-5)
        assert error < 2e-5


def test_independent_tail_of_the_largest_in_closed_form() -> None:
    two = 1.0 + float(True)
    for k, both in ((2, True), (3, False)):
        one = stats.norm.sf(2.5) * (two if both else 1.0)
        assert tail_of_largest(2.5, np.eye(k), both, 1e-6)[0] == pytest.approx(1 - (1 - one) ** k, rel=1e-5)
    same = np.ones((3, 3))
    assert tail_of_largest(2.0, same, True, 1e-6) == pytest.approx((2 * stats.norm.sf(2.0), 0.0))
    assert tail_of_largest(2.0, np.array([[1.0, -1.0], [-1.0, 1.0]]), False, 1e-6)[0] == pytest.approx(
        2 * stats.norm.sf(2.0), rel=1e-6
    )
    far = tail_of_largest(12.0, np.eye(2), True, 1e-6)[0]
    assert far == pytest.approx(4 * stats.norm.sf(12.0), rel=1e-8)  # no cancellation far out
    # a third that is the scaled sum of two independent ones: P by a double integral
    s = math.sqrt(0.5)
    c = np.array([[1, 0, s], [0, 1, s], [s, s, 1]])
    x, dx = np.linspace(-1.5, 1.5, 20_001, retstep=True)
    inner = stats.norm.cdf(np.minimum(1.5, 1.5 / s - x)) - stats.norm.cdf(np.maximum(-1.5, -1.5 / s - x))
    area = stats.norm.pdf(x) * inner
    inside = float((area.sum() - 0.5 * (area[0] + area[-1])) * dx)
    for order in ([0, 1, 2], [2, 0, 1], [0, 2, 1]):
        assert tail_of_largest(1.5, np.ascontiguousarray(c[np.ix_(order, order)]), True, 1e-5)[0] == pytest.approx(
            1 - inside, rel=3e-5
        )


def test_property_sides_and_order_of_weights() -> None:
    data = random_trial(160, seed=2)
    both = max_combo("Surv(T, E) ~ ARM", data)
    benefit = max_combo("Surv(T, E) ~ ARM", data, alternative="benefit")
    harm = max_combo("Surv(T, E) ~ ARM", data, alternative="harm")
    assert both.z.max() < 0
    assert benefit.statistic == both.statistic
    assert benefit.p < both.p < 2.0 * benefit.p + 1e-6
    assert harm.p > 0.5
    assert max(both.p_each.min(), 0) <= both.p <= both.p_each.sum()
    turned = max_combo("Surv(T, E) ~ ARM", data, weights=COMBINATION[::-1])
    assert turned.p == pytest.approx(both.p, rel=5e-5)
    assert turned.best == both.best
    twice = max_combo("Surv(T, E) ~ ARM", data, weights=[*COMBINATION, *COMBINATION])
    assert twice.p == pytest.approx(both.p, rel=5e-5)
    swapped = max_combo("Surv(T, E) ~ ARM", data.with_columns(ARM=pl.col("ARM").replace({"a": "b", "b": "a"})))
    np.testing.assert_allclose(swapped.z, -both.z, rtol=1e-10)
    assert "from weights" in both.to_sentence()


def test_property_batch_and_door_agree() -> None:
    data = random_trial(50, seed=9)
    t, e, s = (data[c].to_numpy()[None] for c in ("T", "E", "S"))
    arm = (data["ARM"].to_numpy() == "b").astype(int)[None]
    door = max_combo("Surv(T, E) ~ ARM + strata(S)", data, alternative="benefit")
    z, correlation, largest, p, status = batch.max_combo(t, e, arm, COMBINATION, stratum=s, alternative="benefit")
    assert status[0] == Status.OK
    np.testing.assert_array_equal(z[0], door.z)
    np.testing.assert_array_equal(correlation[0], door.correlation)
    assert (largest[0], p[0]) == pytest.approx((door.statistic, door.p), rel=2e-3)


def test_property_nothing_to_test_is_said_in_words() -> None:
    data = random_trial(20)
    for changed, status in (
        (data.with_columns(E=pl.lit(0)), Status.NO_EVENTS),
        (data.with_columns(ARM=pl.lit("a")), Status.EMPTY_ARM),
        (data.with_columns(T=pl.lit(None)), Status.NO_DATA),
        (data.with_columns(S=pl.col("ARM")), Status.SINGULAR),
        (data.with_columns(T=pl.lit(5.0), S=pl.lit(0)), Status.SINGULAR),  # all tied: S(t-) is 1, (0, 1) weighs nothing
    ):
        combined = max_combo("Surv(T, E) ~ ARM + strata(S)", changed)
        assert combined.status is status
        assert math.isnan(combined.p)
        assert "not estimable" in combined.to_sentence()
        single = log_rank("Surv(T, E) ~ ARM + strata(S)", changed, gamma=1.0)
        assert single.status is status
        assert "not estimable" in single.reason
        assert single.estimate().reason == single.reason


def test_property_what_the_test_does_not_take_is_named() -> None:
    data = random_trial().with_columns(START=pl.col("T") - 0.5)
    with pytest.raises(EstimationError, match="seen from the start"):
        max_combo("Surv(START, T, E) ~ ARM", data)
    with pytest.raises(EstimationError, match="takes no clusters"):
        log_rank("Surv(T, E) ~ ARM + cluster(S)", data)
    with pytest.raises(EstimationError, match="levels of one column"):
        log_rank("Surv(T, E) ~ ARM + S", data)
    with pytest.raises(EstimationError, match="rho = -1"):
        log_rank("Surv(T, E) ~ ARM", data, rho=-1)
    with pytest.raises(EstimationError, match="weights"):
        max_combo("Surv(T, E) ~ ARM", data, weights=[])
    with pytest.raises(EstimationError, match="unknown alternative"):
        max_combo("Surv(T, E) ~ ARM", data, alternative="greater")
    with pytest.raises(DataError, match="3 levels"):
        max_combo("Surv(T, E) ~ G", data.with_columns(G=pl.int_range(60) % 3))


@pytest.mark.slow
def test_simulation_type_i_error_and_power_of_max_combo() -> None:
    """10,000 null trials of 100, 60 % events: two-sided 5 % within four Monte Carlo SE (0.22 %). Against a hazard ratio
    of 0.35 that begins late, it rejects more often than the log-rank test.
    """
    g = np.random.default_rng(11)
    r, n = 10_000, 100
    arm = np.broadcast_to(np.arange(n) % 2, (r, n))
    time = g.exponential(30.0, (r, n))
    end = g.uniform(10.0, 60.0, (r, n))
    _, _, _, p, status = batch.max_combo(np.minimum(time, end), time < end, arm, COMBINATION)
    assert not status.any()
    assert abs((p < 0.05).mean() - 0.05) < 4 * 0.0022
    late = np.where((arm == 1) & (time > 10), 10 + (time - 10) / 0.35, time)[:2000]
    seen, limit = np.minimum(late, end[:2000]), late < end[:2000]
    z, _, _, p, _ = batch.max_combo(seen, limit, arm[:2000], COMBINATION)
    assert (p < 0.05).mean() > (np.abs(z[:, 0]) > 1.96).mean() + 0.05


@pytest.mark.parametrize("strata", ["", " + strata(S)"])
def test_independent_late_entry_is_the_exact_score_of_cox(strata: str) -> None:
    """Observed less expected over hypergeometric variances, ties included, within strata."""
    g = np.random.default_rng(8)
    entry = g.integers(0, 4, 60)
    data = pd.DataFrame(
        {"START": entry, "T": entry + g.integers(1, 8, 60), "E": g.integers(0, 2, 60), "ARM": g.integers(0, 2, 60)}
    ).assign(S=np.arange(60) % 3)
    chi_square, df, _ = cox(f"Surv(START, T, E) ~ ARM{strata}", data, ties="exact").score_test
    made = log_rank(f"Surv(START, T, E) ~ ARM{strata}", data)
    assert (made.chi_square, made.df) == (pytest.approx(chi_square, rel=1e-10), df)
    named = log_rank(data, time="T", event="E", entry="START", arm="ARM", strata="S" if strata else ())
    assert named.chi_square == made.chi_square
    assert made.observed.sum() == pytest.approx(made.expected.sum())


@pytest.mark.parametrize(("rho", "gamma"), [(0.0, 0.0), (1.0, 0.0), (0.5, 1.0)])
def test_property_entry_at_the_start_is_no_late_entry(rho: float, gamma: float) -> None:
    data = random_trial().with_columns(START=pl.lit(0.0), G=pl.int_range(60) % 3)
    late = log_rank("Surv(START, T, E) ~ G + strata(S)", data, rho=rho, gamma=gamma)
    plain = log_rank("Surv(T, E) ~ G + strata(S)", data, rho=rho, gamma=gamma)
    assert late.chi_square == pytest.approx(plain.chi_square, rel=1e-10)
    np.testing.assert_allclose(late.expected, plain.expected, rtol=1e-10)
