"""Power in closed form: against published sums and other programs' figures, and against simulation."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from scipy import integrate, stats

from equipoise.decision import (
    conditional_power,
    power_delayed_start,
    power_logrank,
    power_mmrm,
    power_slope,
    power_ttest,
    predictive_power,
    random_slope_covariance,
    share_of_slowing,
    visit_covariance,
)
from equipoise.errors import ScenarioError

TIMES = (0, 0.25, 0.5, 0.75, 1, 1.25, 1.5)
CLINIC = random_slope_covariance(TIMES, sd_intercept=55**0.5, sd_slope=24**0.5, correlation=0.8, sd_residual=10**0.5)


def test_reference_two_means() -> None:
    # noncentral t; R's power.t.test gives 63.76561 patients an arm for 80 %
    assert power_ttest(difference=0.5, sd=1, n=64).power == pytest.approx(0.801460, abs=5e-7)
    assert power_ttest(difference=0.5, sd=1, power=0.8).n[0] == pytest.approx(63.76561, abs=1e-5)


def test_reference_events() -> None:
    assert power_logrank(hazard_ratio=0.7, power=0.9).events == pytest.approx(330.378, abs=5e-4)
    assert power_logrank(hazard_ratio=0.7, power=0.9, ratio=2).events == pytest.approx(371.675, abs=5e-4)


def test_reference_slopes_of_diggle() -> None:
    # Diggle et al. 2002, p. 29: rows correlation 0.2, 0.5, 0.8, columns variance 100, 200, 300; one-sided 5 %, 80 %
    printed = [[313, 625, 938], [196, 391, 586], [79, 157, 235]]
    found = [
        [
            power_slope(
                difference=0.5,
                times=(0, 2, 5),
                covariance=visit_covariance((0, 2, 5), sd=variance**0.5, correlation=rho),
                power=0.8,
                sides=1,
            ).patients[0]
            for variance in (100, 200, 300)
        ]
        for rho in (0.2, 0.5, 0.8)
    ]
    assert found == printed


def test_reference_slopes_of_a_random_slope_model() -> None:
    asked: dict[str, Any] = {"difference": 1.5, "times": TIMES, "covariance": CLINIC, "power": 0.8}
    assert power_slope(**asked).n[0] == pytest.approx(207.3101, abs=5e-5)
    assert power_slope(**asked, common_baseline=True).n[0] == pytest.approx(135.4827, abs=5e-5)
    one = 24 + 10 / sum((t - 0.75) ** 2 for t in TIMES)  # variance of a patient's own least-squares slope
    assert power_slope(**asked).se ** 2 == pytest.approx(2 * one / power_slope(**asked).n[0])


def test_reference_repeated_measures_with_losses() -> None:
    # Lu, Luo & Chen 2008: compound symmetry 0.25, retention 1, 0.9, 0.8, 0.7
    V = visit_covariance(range(4), sd=1, correlation=0.25)
    asked: dict[str, Any] = {"covariance": V, "retention": (1, 0.9, 0.8, 0.7)}
    made = power_mmrm(difference=0.5, power=0.8, **asked)
    assert made.details["variance against complete data"] == pytest.approx(1.3854167, abs=5e-8)
    assert made.n[0] == pytest.approx(86.99, abs=5e-3)
    # 0.659514 is where the drift at 50 an arm is z(0.975) + z(0.8)
    drift = 0.659514 / power_mmrm(difference=0.659514, n=50, **asked).se
    assert drift == pytest.approx(stats.norm.ppf(0.975) + stats.norm.ppf(0.8), abs=1e-5)


@pytest.mark.parametrize(
    ("weeks", "lag", "times_as_many"),
    [(28, 4, 1.361), (28, 8, 1.960), (28, 13, 3.484), (52, 4, 1.174), (52, 8, 1.397), (52, 13, 1.778)],
)
def test_reference_patients_that_a_sharp_lag_costs(weeks: float, lag: float, times_as_many: float) -> None:
    share = share_of_slowing(weeks, lag)
    assert share == pytest.approx((weeks - lag) / weeks)
    assert 1 / share**2 == pytest.approx(times_as_many, abs=5e-4)
    V = visit_covariance((0, weeks), sd=5, correlation=0.6)
    sizes = [power_mmrm(difference=2 * s, covariance=V, power=0.8).n[0] for s in (1.0, share)]
    assert sizes[1] / sizes[0] == pytest.approx(1 / share**2)


def test_reference_share_after_a_chain_of_compartments() -> None:
    assert share_of_slowing(28, 13, stages=4) == pytest.approx(0.540147, abs=5e-7)
    assert share_of_slowing(52, 13, stages=4) == pytest.approx(0.750007, abs=5e-7)


def test_independent_share_is_an_integral() -> None:
    for stages, lag, weeks in ((1, 6.0, 10.0), (4, 20.0, 30.0), (9, 3.0, 52.0)):
        area, _ = integrate.quad(lambda u, k=stages, m=lag: stats.gamma.cdf(u, k, scale=m / k), 0, weeks)
        assert share_of_slowing(weeks, lag, stages=stages) == pytest.approx(area / weeks, rel=1e-9)


def test_reference_interim_power_at_half_the_information() -> None:
    # Spiegelhalter, Freedman & Blackburn 1986: flat prior 0.564094; current trend 0.590252
    from equipoise.decision import group_sequential

    design = group_sequential([0.5, 1.0], alpha=0.025, power=0.9)
    assert design is not None
    f, z, cut = 0.5, 1.5, stats.norm.ppf(0.975)
    flat = stats.norm.cdf((z / f**0.5 - cut) / ((1 - f) / f) ** 0.5)
    trend = stats.norm.cdf((z / f**0.5 - cut) / (1 - f) ** 0.5)
    assert (round(flat, 6), round(trend, 6)) == (0.564094, 0.590252)
    assert float(predictive_power(z, f, [1.0], [cut])) == pytest.approx(flat, abs=1e-9)
    assert float(conditional_power(z, f, [1.0], [cut])) == pytest.approx(trend, abs=1e-9)


def test_independent_event_shares() -> None:
    made = power_logrank(
        hazard_ratio=0.6, power=0.9, control_rate=0.02, accrual=30, follow_up=40, dropout_rate=0.005, ratio=2
    )

    def share(rate: float) -> float:
        def of(followed: float) -> float:
            return rate / (rate + 0.005) * (1 - math.exp(-(rate + 0.005) * followed))

        return float(integrate.quad(of, 40, 70)[0]) / 30

    assert made.details["event share, control"] == pytest.approx(share(0.02))
    assert made.details["event share, active"] == pytest.approx(share(0.012))
    assert made.n[0] * share(0.02) + made.n[1] * share(0.012) == pytest.approx(made.events)


def test_simulation_delayed_start() -> None:
    visits = tuple(range(0, 53, 4))
    V = random_slope_covariance(visits, sd_intercept=5, sd_slope=0.15, correlation=0.3, sd_residual=2)
    kept = np.linspace(1, 0.8, len(visits))
    truth: dict[str, Any] = {"decline": 0.25, "slowing": 0.3, "symptomatic": 0.5, "lag": 4.0}
    n, ratio, replicates = 250, 2.0, 4000
    made = power_delayed_start(
        **truth, visits=visits, period_end=28, covariance=V, n=n, ratio=ratio, retention=kept.tolist()
    )
    assert made.details["delta1"] == pytest.approx(0.5 + 0.25 * 0.3 * 24)
    assert made.details["delta2"] == pytest.approx(0.25 * 0.3 * (48 - 20))
    # generalised least squares on simulated trials with random losses: a free mean for every arm and visit
    rng = np.random.default_rng(3)
    L = np.linalg.cholesky(V)
    counts = {"delayed": n, "early": int(ratio * n)}
    last = np.append(kept[:-1] - kept[1:], kept[-1])
    hits = np.zeros(4)
    effects = np.array([made.details["delta1"], made.details["delta2"]])
    i, j = visits.index(28), len(visits) - 1
    for _ in range(replicates):
        delta, spread = np.zeros(2), np.zeros((2, 2))
        for sign, size in ((-1, counts["delayed"]), (1, counts["early"])):
            A, b = np.zeros_like(V), np.zeros(len(visits))
            for seen, many in enumerate(rng.multinomial(size, last), start=1):
                if many:
                    y = L[:seen, :seen] @ rng.standard_normal((seen, many))
                    W = np.linalg.inv(V[:seen, :seen])
                    A[:seen, :seen] += many * W
                    b[:seen] += W @ y.sum(axis=1)
            C = np.linalg.inv(A)
            delta += sign * (C @ b)[[i, j]]
            spread += C[np.ix_([i, j], [i, j])]
        delta += effects
        z1, z2 = delta / np.sqrt(np.diag(spread))
        c = np.array([-0.5, 1.0])
        z3 = c @ delta / math.sqrt(c @ spread @ c)
        met = np.array([z1 > stats.norm.ppf(0.975), z2 > stats.norm.ppf(0.975), z3 > stats.norm.ppf(0.95)])
        hits += [*met, met.all()]
    found = hits / replicates
    expected = [made.details["Q1"], made.details["Q2"], made.details["Q3"], made.power]
    for value, wanted in zip(found, expected, strict=True):
        assert abs(value - wanted) < 3.5 * math.sqrt(wanted * (1 - wanted) / replicates)


def test_property_relief_of_symptoms_answers_no() -> None:
    visits = (0, 14, 28, 52)
    V = visit_covariance(visits, sd=6, correlation=0.7)
    asked: dict[str, Any] = {"decline": 0.25, "symptomatic": 3.0, "visits": visits, "period_end": 28, "covariance": V}
    made = power_delayed_start(**asked, n=2000)
    assert made.details["Q1"] > 0.999
    assert made.details["Q2"] == pytest.approx(0.025)
    assert made.power < 0.025
    with pytest.raises(ScenarioError, match="no size gives the power"):
        power_delayed_start(**asked, power=0.8)


def test_property_size_and_power_are_inverse() -> None:
    V = visit_covariance((4, 8, 12), sd=(3, 4, 5), correlation=0.9, structure="ar1")
    for power in (0.5, 0.8, 0.95):
        for sides in (1, 2):
            asked: dict[str, Any] = {"difference": 1.0, "covariance": V, "ratio": 1.5, "sides": sides}
            size = power_mmrm(**asked, power=power).n[0]
            assert power_mmrm(**asked, n=size).power == pytest.approx(power, abs=2e-4)  # the far side of two
            test = power_ttest(difference=1.0, sd=4, ratio=1.5, sides=sides, power=power)
            assert test.power == pytest.approx(power, abs=1e-9)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: power_ttest(difference=1, sd=1), "neither given"),
        (lambda: power_ttest(difference=1, sd=1, n=5, power=0.8), "both given"),
        (lambda: power_ttest(difference=0, sd=1, power=0.8), "effect is 0"),
        (lambda: power_ttest(difference=1, sd=-1, n=5), "sd = -1"),
        (lambda: power_ttest(difference=1, sd=1, n=1), "no degree of freedom"),
        (lambda: power_logrank(hazard_ratio=1, power=0.8), "hazard_ratio is 1"),
        (lambda: power_logrank(hazard_ratio=0.5, power=0.8, accrual=3), "control_rate and follow_up"),
        (lambda: power_mmrm(difference=1, covariance=[[1, 2], [2, 1]], n=9), "positive definite"),
        (lambda: power_mmrm(difference=1, covariance=np.eye(2), n=9, retention=(1, 0)), "nobody is seen"),
        (lambda: power_mmrm(difference=1, covariance=np.eye(2), n=9, retention=(0.5, 1)), "retention"),
        (lambda: power_slope(difference=1, times=(0,), covariance=[[1]], n=9), "cannot be told"),
        (lambda: power_slope(difference=1, times=(2, 1), covariance=np.eye(2), n=9), "times"),
        (lambda: power_mmrm(difference=1, covariance=np.eye(2), n=9, alpha=2), "alpha = 2"),
        (lambda: power_mmrm(difference=math.nan, covariance=np.eye(2), power=0.8), "effect"),
        (lambda: visit_covariance((0, 1), sd=1, correlation=0.5, structure="un"), "structure"),
        (
            lambda: power_delayed_start(decline=1, slowing=0.5, visits=(0, 1), period_end=1, covariance=np.eye(2), n=9),
            "no visit before the last",
        ),
    ],
)
def test_property_what_cannot_be_is_refused(call: object, words: str) -> None:
    with pytest.raises(ScenarioError, match=words):
        call()  # type: ignore[operator]


def test_independent_the_command_gives_the_same() -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "equipoise", "power", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    options = "--difference 0.5 --times 1,2,3,4 --sd 1 --correlation 0.25 --retention 1,0.9,0.8,0.7 --power 0.8 --json"
    made = json.loads(run("mmrm", *options.split()).stdout)
    assert made["n"] == pytest.approx(86.99, abs=5e-3)
    refused = run("slope", "--difference", "1", "--times", "0,x", "--sd", "1", "--n", "5")
    assert refused.returncode == 2
    assert "--times" in refused.stderr
    assert "Traceback" not in refused.stderr
