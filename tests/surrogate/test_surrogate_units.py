"""Two stages and copulas: the reference, degenerate units."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
import surrogacy_cases as cases

import parity
from equipoise.errors import DataError, EstimationError
from equipoise.estimate.ranks.win import Binary, Time
from equipoise.surrogate import surrogacy_copula, surrogacy_units
from equipoise.surrogate.copula import kendall, weibull
from equipoise.types import Status


@pytest.mark.parametrize("name", cases.TWO_STAGE)
def test_reference_two_stage(name: str) -> None:
    parity.check(list(cases.compare_two_stage(name)), 10)


def test_reference_mixed() -> None:
    parity.check(list(cases.compare_mixed()), 5)


def test_reference_ovarian_c15() -> None:
    parity.check(list(cases.compare_ovarian()), 6)


@pytest.mark.parametrize("family", ["clayton", "plackett"])
def test_reference_copula(family: str) -> None:
    parity.check(list(cases.compare_copula(family)), 4)


def test_reference_c12_ovarian_plackett() -> None:
    """Surrogate's own test file: centres of three or more an arm; its tolerance there is 0.01."""
    found = cases.ovarian_plackett()
    assert len(found.rows) == 39
    parity.check(list(cases.compare_published("c12")), 2)
    assert found.kendall_tau.status is Status.OK
    assert found.spearman_rho.low < found.spearman_rho.estimate < found.spearman_rho.high


def test_reference_c13_prostate_hougaard_is_a_surrogate_that_fails() -> None:
    """PSA and survival: nothing is told by the trial level, whatever the patients' association."""
    found = cases.prostate_hougaard()
    assert len(found.rows) == 17
    parity.check(list(cases.compare_published("c13")), 2)
    low, high = found.trials.interval
    assert (low, high) == (-1.0, 1.0)
    assert found.trials.verdict.correlation_95 == "unclear"


def patients(rng: np.random.Generator, units: int = 6, n: int = 40) -> pl.DataFrame:
    unit, z = np.repeat(np.arange(units), n), np.tile([0.0, 1.0], units * n // 2)
    s = z * rng.normal(1.0, 0.7, units)[unit] + rng.normal(size=units * n)
    return pl.DataFrame({"SITE": unit, "ARM": z, "S": s, "T": s + rng.normal(size=units * n)})


def test_property_a_centre_with_one_arm_is_counted() -> None:
    frame = patients(np.random.default_rng(1))
    one = frame.with_columns(pl.when(pl.col("SITE") == 3).then(1.0).otherwise(pl.col("ARM")).alias("ARM"))
    found = surrogacy_units(one, surrogate="S", true="T", unit="SITE", arm="ARM")
    assert found.left_out.reasons == {"in a SITE with one arm": 40}
    assert len(found.stage_one.names) == 5


def test_property_one_unit_cannot_tell() -> None:
    frame = patients(np.random.default_rng(2)).filter(pl.col("SITE") == 0)
    found = surrogacy_units(frame, surrogate="S", true="T", unit="SITE", arm="ARM")
    assert found.r2_trial.status is Status.NOT_IDENTIFIED
    assert found.verdict.startswith("Cannot be told from 1 unit")
    assert found.r2_individual.estimable


@pytest.mark.parametrize("effects", ["fixed", "mixed"])
def test_property_no_variance(effects: str) -> None:
    frame = patients(np.random.default_rng(3)).with_columns(pl.lit(2.0).alias("T"))
    found = surrogacy_units(frame, surrogate="S", true="T", unit="SITE", arm="ARM", effects=effects)
    assert found.verdict == "Cannot be told from 6 units: all effects on the true endpoint are equal."
    assert found.r2_trial.status is Status.NO_VARIANCE
    assert found.r2_individual.status is Status.NOT_IDENTIFIED
    found.summary()


def test_property_binary_endpoints_have_effects_by_unit() -> None:
    frame = patients(np.random.default_rng(4), 8, 120).with_columns((pl.col("T") > 0.5).cast(pl.Int8).alias("R"))
    found = surrogacy_units(frame, surrogate="S", true=Binary("R"), unit="SITE", arm="ARM")
    assert found.trials is not None
    assert len(found.trials.rows) == 8
    assert (found.trials.rows.c > 0.0).all()


def test_property_options_are_refused() -> None:
    frame = patients(np.random.default_rng(5))
    for bad in ({"model": "fuller"}, {"effects": "random"}, {"ties": "exact"}):
        with pytest.raises(EstimationError):
            surrogacy_units(frame, surrogate="S", true="T", unit="SITE", arm="ARM", **bad)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="no column"):
        surrogacy_units(frame, surrogate="S", true="T", unit="PLACE", arm="ARM")


def test_independent_weibull_of_exponential_times() -> None:
    """Shape held apart: with exponential times and one arm twice the hazard, within five standard errors."""
    rng = np.random.default_rng(6)
    z = np.tile([-0.5, 0.5], 2000)
    time = rng.exponential(size=4000) / (0.3 * np.exp(math.log(2.0) * z))
    par, status = weibull(time, np.ones(4000, bool), z)
    assert status is Status.OK
    assert par == pytest.approx([math.log(0.3), 0.0, math.log(2.0)], abs=0.16)


@pytest.mark.parametrize(("family", "theta"), [("clayton", 1.5), ("plackett", 8.0), ("hougaard", 0.5)])
def test_property_copula_derivatives_agree(family: str, theta: float) -> None:
    """The density of both events, by differences of the joint survival in both times."""
    from equipoise.surrogate.copula import FAMILIES
    from equipoise.surrogate.kernels.copula import trial_loglik

    which, par = FAMILIES.index(family), np.array([-0.5, 0.2, 0.3, -0.9, 0.1, -0.2])
    s, t, z, h = 1.3, 0.8, np.array([0.5]), 1e-4

    def joint(a: float, b: float, ds: bool, dt: bool) -> float:
        return math.exp(
            trial_loglik(which, theta, par, np.array([a]), np.array([ds]), np.array([b]), np.array([dt]), z, False)
        )

    first = -(joint(s + h, t, False, False) - joint(s - h, t, False, False)) / (2 * h)
    assert joint(s, t, True, False) == pytest.approx(first, rel=1e-6)
    second = -(joint(s, t + h, True, False) - joint(s, t - h, True, False)) / (2 * h)
    assert joint(s, t, True, True) == pytest.approx(second, rel=1e-6)


@pytest.mark.parametrize(("family", "theta"), [("clayton", 1.5), ("plackett", 8.0), ("hougaard", 0.5)])
def test_property_a_measured_margin_is_normal(family: str, theta: float) -> None:
    """Of a measured surrogate: what is seen of the time integrates to the normal density, and both to one."""
    from scipy import integrate, stats

    from equipoise.surrogate.copula import FAMILIES
    from equipoise.surrogate.kernels.copula import trial_loglik

    which, par, z = FAMILIES.index(family), np.array([0.4, 0.2, 0.3, -0.9, 0.1, -0.2]), np.array([0.5])

    def log_density(s: float, t: float, died: bool) -> float:
        return trial_loglik(
            which, theta, par, np.array([s]), np.array([True]), np.array([t]), np.array([died]), z, True
        )

    for s in (-1.0, 0.7, 3.0):
        marginal = stats.norm.logpdf(s, 0.4 + 0.15, math.exp(0.2))
        assert log_density(s, 1e-12, False) == pytest.approx(marginal, abs=1e-6)
        seen = integrate.quad(lambda t, s=s: math.exp(log_density(s, t, True)), 0.0, 2.0)[0]
        assert seen + math.exp(log_density(s, 2.0, False)) == pytest.approx(math.exp(marginal), rel=1e-5)
    assert math.isfinite(log_density(60.0, 1.0, True))  # far out, where the share above is too small to be held


@pytest.mark.parametrize(("family", "theta"), [("clayton", 1.7), ("plackett", 6.0), ("hougaard", 0.6)])
def test_independent_rank_correlations_of_copulas(family: str, theta: float) -> None:
    """Of 4,000 pairs drawn by the conditional distribution; standard errors are about 0.011."""
    from scipy import optimize, stats

    from equipoise.surrogate.copula import spearman

    def given(u: float, v: float) -> float:
        if family == "clayton":
            return u ** (-theta - 1.0) * (u**-theta + v**-theta - 1.0) ** (-1.0 / theta - 1.0)
        if family == "plackett":
            q = 1.0 + (theta - 1.0) * (u + v)
            return 0.5 * (1.0 - (q - 2.0 * theta * v) / math.sqrt(q * q - 4.0 * theta * (theta - 1.0) * u * v))
        x, y = -math.log(u), -math.log(v)
        s = x ** (1.0 / theta) + y ** (1.0 / theta)
        return math.exp(-(s**theta)) * s ** (theta - 1.0) * x ** (1.0 / theta - 1.0) / u

    rng = np.random.default_rng(3)
    u, w = rng.uniform(1e-6, 1.0 - 1e-6, (2, 4000))
    v = [
        optimize.brentq(lambda x, a=a, b=b: given(a, x) - b, 1e-12, 1.0 - 1e-12) if given(a, 1.0 - 1e-12) > b else 1.0
        for a, b in zip(u, w, strict=True)
    ]
    assert spearman(family, theta) == pytest.approx(stats.spearmanr(u, v)[0], abs=0.04)
    assert kendall(family, theta) == pytest.approx(stats.kendalltau(u, v)[0], abs=0.04)


def test_property_measured_surrogates_are_checked() -> None:
    rng = np.random.default_rng(9)
    frame = pl.DataFrame(
        {
            "U": np.repeat([0, 1, 2], 40),
            "ARM": np.tile([0.0, 1.0], 60),
            "S": np.where(np.repeat([0, 1, 2], 40) == 1, 2.0, rng.normal(size=120)),
            "T": rng.exponential(size=120),
            "E": np.ones(120),
        }
    )
    found = surrogacy_copula(frame, surrogate="S", true=Time("T", event="E"), unit="U", arm="ARM", control=0.0)
    assert found.left_out.reasons == {"in a U without an estimate in both arms": 40}
    assert "normal and Weibull margins" in found.summary()
    with pytest.raises(EstimationError, match="true endpoint that is no time"):
        surrogacy_copula(frame, surrogate="S", true="T", unit="U", arm="ARM")  # type: ignore[arg-type]
    with pytest.raises(EstimationError, match="no measured value"):
        surrogacy_copula(frame, surrogate=Binary("E"), true=Time("T", event="E"), unit="U", arm="ARM")  # type: ignore[arg-type]


def test_property_copula_recovers_association() -> None:
    rng = np.random.default_rng(7)
    trial, z = np.repeat(np.arange(5), 200), np.tile([0.0, 1.0], 500)
    frailty = rng.gamma(0.5, 1.0, 1000)  # Clayton's theta 2, Kendall's tau 0.5
    times = {k: 0.5 * np.log1p(rng.exponential(size=1000) / frailty) for k in ("S", "T")}
    frame = pl.DataFrame({"U": trial, "ARM": z, **times, "E": np.ones(1000)})
    ends = {"surrogate": Time("S", event="E"), "true": Time("T", event="E")}
    found = surrogacy_copula(frame, **ends, unit="U", arm="ARM", control=0.0)
    assert found.kendall_tau.low < 0.5 < found.kendall_tau.high
    assert found.kendall_tau.estimate == pytest.approx(kendall("clayton", found.theta))
