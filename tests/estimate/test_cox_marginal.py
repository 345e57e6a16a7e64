"""Cox regression with ties by all their orders (SAS's TIES=EXACT): against the sum over orders itself."""

from __future__ import annotations

import itertools
import math

import numpy as np
import polars as pl
import pytest
from scipy import optimize

from equipoise import cox
from equipoise.errors import EstimationError
from equipoise.estimate.survival.cox_marginal import integral
from equipoise.types import Status


def over_orders(w: np.ndarray, rest: float) -> float:
    """The sum over all orders of tied events of the product of w over the sum at risk."""
    total = 0.0
    for order in itertools.permutations(w):
        risk, part = rest + float(np.sum(w)), 1.0
        for one in order:
            part *= one / risk
            risk -= one
        total += part
    return total


@pytest.mark.parametrize("d", [1, 2, 4, 6])
@pytest.mark.parametrize("rest", [0.01, 1.0, 300.0])
def test_independent_integral_is_the_sum_over_orders(d: int, rest: float) -> None:
    w = np.exp(np.random.default_rng(d).normal(size=d))
    value, gradient, hessian = integral(w / rest)
    assert value == pytest.approx(math.log(over_orders(w, rest)), rel=1e-12, abs=1e-12)

    def log(shift: np.ndarray) -> float:
        return math.log(over_orders(w * np.exp(shift), rest))

    h = 1e-4
    eye = np.eye(d) * h
    for i in range(d):
        assert gradient[i] == pytest.approx((log(eye[i]) - log(-eye[i])) / (2 * h), abs=1e-6)
        for j in range(d):
            second = (log(eye[i] + eye[j]) - log(eye[i] - eye[j]) - log(eye[j] - eye[i]) + log(-eye[i] - eye[j])) / (
                4 * h * h
            )
            assert hessian[i, j] == pytest.approx(second, abs=1e-5)


def trial(late: bool, strata: bool) -> pl.DataFrame:
    g = np.random.default_rng(11)
    n = 40
    arm = np.arange(n) % 2
    time = np.ceil(g.exponential(5, n) * np.exp(0.4 * arm)) + 1
    return pl.DataFrame(
        {
            "T": time,
            "E": (g.random(n) < 0.8).astype(int),
            "ARM": np.where(arm == 1, "drug", "control"),
            "AGE": g.normal(60, 8, n),
            "START": np.minimum(g.integers(0, 3, n), time - 1) if late else np.zeros(n),
            "S": (np.arange(n) // 20) if strata else np.zeros(n, int),
        }
    )


@pytest.mark.parametrize(("late", "strata"), [(False, False), (True, False), (False, True)])
def test_independent_fit_maximises_the_sum_over_orders(late: bool, strata: bool) -> None:
    data = trial(late, strata)
    x = np.column_stack([(data["ARM"] == "drug").to_numpy().astype(float), data["AGE"].to_numpy() - 60.0])
    time, event, start, stratum = (data[c].to_numpy() for c in ("T", "E", "START", "S"))

    def loss(beta: np.ndarray) -> float:
        w, total = np.exp(x @ beta), 0.0
        for s in np.unique(stratum):
            for t in np.unique(time[(event == 1) & (stratum == s)]):
                risk = (time >= t) & (stratum == s) & ((start < t) | (not late))
                tied = risk & (event == 1) & (time == t)
                total += math.log(over_orders(w[tied], float(w[risk & ~tied].sum())))
        return -total

    left = "Surv(START, T, E)" if late else "Surv(T, E)"
    fit = cox(f"{left} ~ ARM + AGE{' + strata(S)' if strata else ''}", data, ties="marginal")
    best = optimize.minimize(loss, fit.beta + 0.01, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-13})
    np.testing.assert_allclose(fit.beta, best.x, rtol=1e-6, atol=1e-7)
    assert fit.loglik[1] == pytest.approx(-best.fun, rel=1e-12)
    assert fit.loglik[0] == pytest.approx(-loss(np.zeros(2)), rel=1e-12)
    h = np.array([1e-3, 1e-4])
    second = np.empty((2, 2))
    for i in range(2):
        for j in range(2):
            a, b = np.eye(2)[i] * h, np.eye(2)[j] * h
            values = [loss(fit.beta + p) for p in (a + b, a - b, b - a, -a - b)]
            second[i, j] = (values[0] - values[1] - values[2] + values[3]) / (4 * h[i] * h[j])
    np.testing.assert_allclose(np.linalg.inv(second), fit.vcov, rtol=1e-4, atol=1e-8)
    efron = cox(f"{left} ~ ARM + AGE{' + strata(S)' if strata else ''}", data)
    assert np.abs(fit.beta - efron.beta).max() < 0.2 * np.sqrt(np.diag(efron.vcov)).max()
    assert not np.allclose(fit.beta, efron.beta, rtol=1e-6)
    assert fit.hazard_ratio("ARM").estimable
    assert "ties by all their orders" in str(fit)


def test_property_without_ties_it_is_the_partial_likelihood() -> None:
    data = trial(False, False).with_columns(T=pl.col("T") + pl.int_range(40) / 1000)
    one, other = (cox("Surv(T, E) ~ ARM + AGE", data, ties=t) for t in ("marginal", "efron"))
    np.testing.assert_allclose(one.beta, other.beta, rtol=1e-9)
    np.testing.assert_allclose(one.vcov, other.vcov, rtol=1e-8)
    assert one.loglik == pytest.approx(other.loglik, rel=1e-10)
    assert one.score == pytest.approx(other.score, rel=1e-9)


def test_property_what_cannot_be_is_said() -> None:
    data = trial(False, False)
    only = data.with_columns(E=pl.when(pl.col("ARM") == "drug").then(0).otherwise("E"))
    assert cox("Surv(T, E) ~ ARM", only, ties="marginal").status is Status.ONE_ARM_EVENTS
    twice = cox("Surv(T, E) ~ AGE + I(2 * AGE)", data, ties="marginal")
    assert twice.status is Status.OK
    assert twice.df == 1
    with pytest.raises(EstimationError, match="ties by all their orders"):
        cox("Surv(T, E) ~ ARM", data, ties="marginal").residuals()
    with pytest.raises(EstimationError, match="exact ties"):
        cox("Surv(T, E) ~ ARM", data, ties="marginal", robust=True)
