"""Random intercept and slope against nlme, lme4, lmerTest and pbkrtest, and against its own fast form."""

from __future__ import annotations

import json

import mmrm_cases
import numpy as np
import pandas as pd
import pytest
from categorical_cases import data, reference

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.linear.mmrm.fit import MmrmWarning
from equipoise.estimate.linear.slope import slope, slope_batch


def _lme() -> dict[str, dict]:
    path = mmrm_cases.SHARED / "reference" / "lme.json"
    return json.loads(path.read_text())["cases"] if path.exists() else {}


def _data(name: str) -> pd.DataFrame:
    d = pd.read_csv(mmrm_cases.SHARED / "data" / f"{name}.csv")
    if name == "Orthodont":
        d["Sex"] = pd.Categorical(d["Sex"], ["Male", "Female"])
    return d


@pytest.mark.parametrize("name", list(_lme()) or [pytest.param("", marks=pytest.mark.skip("no reference/lme.json"))])
def test_reference_lme(name: str) -> None:
    """nlme and lme4 agree with each other to about 1e-7 (shared/reference/README.md); so do we with the nearer one."""
    case = _lme()[name]
    fit = slope(case["formula"], _data(case["dataset"]), reml=case["reml"], df="satterthwaite")
    assert fit.converged
    assert fit.gradient_norm < 1e-6
    lme4 = case["lme4"]
    index = {mmrm_cases.r_name(n): i for i, n in enumerate(fit.names)}
    order = [index[mmrm_cases.r_name(n)] for n in lme4["fixef"]["names"]]
    assert fit.loglik == pytest.approx(lme4["logLik"], abs=2e-8)
    assert fit.loglik >= lme4["logLik"] - 1e-9
    assert fit.loglik >= case["nlme"]["logLik"] - 1e-9
    np.testing.assert_allclose(fit.beta[order], lme4["fixef"]["values"], rtol=1e-6)
    se = np.sqrt(np.diag(np.array(lme4["vcov"]["values"])))
    np.testing.assert_allclose(
        fit.vcov[np.ix_(order, order)] / np.outer(se, se),
        np.array(lme4["vcov"]["values"]) / np.outer(se, se),
        atol=1e-6,
    )
    np.testing.assert_allclose(np.sqrt(fit.residual_variance), lme4["sigma"], rtol=1e-6)
    d = lme4["varcorr"]["vcov"][:-1]
    d = np.array([[d[0]]]) if len(d) == 1 else np.array([[d[0], d[2]], [d[2], d[1]]])
    sd = np.sqrt(np.diag(d))
    np.testing.assert_allclose(fit.random_covariance / np.outer(sd, sd), d / np.outer(sd, sd), atol=1e-6)
    sat = np.array(lme4["satterthwaite"]["values"])
    table = fit.coefficients
    np.testing.assert_allclose(table["df"].to_numpy()[order], sat[:, 2], rtol=1e-4)
    np.testing.assert_allclose(table["p"].to_numpy()[order], sat[:, 4], rtol=1e-4, atol=1e-12)
    ranef = fit.random_effects
    rows = {str(s): i for i, s in enumerate(ranef.iloc[:, 0])}
    mine = ranef.iloc[[rows[r] for r in lme4["ranef"]["rows"]], 1:].to_numpy()
    theirs = np.array(lme4["ranef"]["values"])
    np.testing.assert_allclose(mine, theirs, atol=2e-5 * np.abs(theirs).max())
    if case["reml"]:
        kr = slope(case["formula"], _data(case["dataset"]), df="kenward-roger")
        reference = np.array(lme4["kenward_roger"]["values"])
        table = kr.coefficients
        np.testing.assert_allclose(table["se"].to_numpy()[order], reference[:, 1], rtol=1e-6)
        np.testing.assert_allclose(table["df"].to_numpy()[order], reference[:, 2], rtol=1e-4)
        adjusted = np.array(lme4["kenward_roger_vcov"]["values"])
        np.testing.assert_allclose(
            kr.vcov[np.ix_(order, order)] / np.outer(se, se), adjusted / np.outer(se, se), atol=1e-6
        )


def test_reference_random_slope_of_the_fixture_trial() -> None:
    d = mmrm_cases.data("trial")
    reference = json.loads((mmrm_cases.FIXTURES / "trial_other.json").read_text())["random_slope"]
    d = d.assign(MONTH=d["AVISITN"] / 4.348)
    fit = slope("AVAL ~ TRT01P * MONTH + (MONTH | USUBJID)", d)
    phi = fit.optimum.linv.T @ fit.optimum.linv
    assert fit.loglik == pytest.approx(reference["logLik"], abs=1e-7)
    np.testing.assert_allclose(fit.beta, reference["beta"]["values"], rtol=1e-6)
    se = np.sqrt(np.diag(np.array(reference["vcov"]["values"])))
    np.testing.assert_allclose(
        phi / np.outer(se, se), np.array(reference["vcov"]["values"]) / np.outer(se, se), atol=1e-5
    )
    np.testing.assert_allclose(np.sqrt(fit.residual_variance), reference["sigma"], rtol=1e-5)
    np.testing.assert_allclose(np.sqrt(np.diag(fit.random_covariance)), reference["random_sd"], rtol=1e-5)


def _simulated(seed: int, n: int = 40, d22: float = 0.2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    times = np.array([0.0, 1.0, 2.0, 3.5, 6.0])
    arm = np.repeat([0.0, 1.0], n // 2)
    b = rng.normal(size=(n, 2)) * [2.0, np.sqrt(d22)]
    y = 40 + b[:, :1] + (-1.0 + 0.3 * arm[:, None] + b[:, 1:]) * times + rng.normal(size=(n, 5))
    y[rng.uniform(size=y.shape) < 0.1] = np.nan
    return y, arm, times


@pytest.mark.parametrize("df", ["satterthwaite", "kenward-roger"])
def test_independent_two_kernels_agree(df: str) -> None:
    """The pattern kernel (batches) and the subject-by-subject kernel (one trial) give the same fit."""
    y, arm, times = _simulated(1)
    n, m = y.shape
    frame = pd.DataFrame(
        {
            "ID": np.repeat([f"S{i:03d}" for i in range(n)], m),
            "T": np.tile(times, n),
            "ARM": np.repeat(np.where(arm > 0, "b", "a"), m),
            "Y": y.ravel(),
        }
    )
    one = slope("Y ~ ARM * T + (T | ID)", frame, df=df).coefficients
    w = np.stack([np.ones(n), arm], axis=1)
    contrasts = np.eye(4).reshape(4, 2, 2)
    many = slope_batch(y[None], w[None], times, contrasts, df=df)
    assert many.converged.all()
    # order here: intercept, ARM, T, ARM:T
    for column, got in (("estimate", many.estimate), ("se", many.se), ("df", many.df)):
        np.testing.assert_allclose(got[0], one[column].to_numpy(), rtol=1e-7)


def test_property_time_unit_scales_the_slope() -> None:
    y, arm, times = _simulated(2)
    n, m = y.shape
    frame = pd.DataFrame(
        {"ID": np.repeat(np.arange(n), m), "T": np.tile(times, n), "ARM": np.repeat(arm, m), "Y": y.ravel()}
    )
    a = slope("Y ~ ARM * T + (T | ID)", frame)
    b = slope("Y ~ ARM * T + (T | ID)", frame.assign(T=frame["T"] * 30.4375))
    scale = np.array([1.0, 1.0, 30.4375, 30.4375])
    np.testing.assert_allclose(b.beta * scale, a.beta, rtol=1e-7)
    np.testing.assert_allclose(b.coefficients["df"], a.coefficients["df"], rtol=1e-6)
    np.testing.assert_allclose(b.coefficients["se"] * scale, a.coefficients["se"], rtol=1e-7)


def test_property_no_variance_of_slopes_falls_back() -> None:
    rng = np.random.default_rng(8)
    n, m = 12, 6
    # residuals made negatively related to time within subjects leave no room for a slope variance
    e = rng.normal(size=(n, m))
    t = np.arange(m, dtype=float)
    e -= np.outer((e - e.mean(1, keepdims=True)) @ (t - t.mean()) / ((t - t.mean()) ** 2).sum(), t - t.mean())
    y = 10 + 3 * rng.normal(size=(n, 1)) + e
    frame = pd.DataFrame({"ID": np.repeat(np.arange(n), m), "T": np.tile(t, n), "Y": y.ravel()})
    with pytest.warns(MmrmWarning, match="random intercept alone"):
        fit = slope("Y ~ T + (T | ID)", frame)
    assert fit.structure == "intercept"
    assert fit.converged
    with pytest.warns(MmrmWarning, match="estimated as zero"):
        stuck = slope("Y ~ T + (T | ID)", frame, fallback=())
    assert not stuck.converged
    assert np.isnan(stuck.coefficients["se"]).all()


def test_property_errors_say_what_is_wrong() -> None:
    frame = pd.DataFrame({"ID": ["a", "b"], "T": ["x", "y"], "Y": [1.0, 2.0]})
    with pytest.raises(EstimationError, match="0 random parts"):
        slope("Y ~ T", frame)
    with pytest.raises(DataError, match="is text"):
        slope("Y ~ 1 + (T | ID)", frame)


def test_reference_aic_counts_the_fixed_part_under_maximum_likelihood() -> None:
    """nlme's lme counts coefficients, variances and covariances; under REML likelihoods of other fixed parts differ."""
    wanted, formula = reference("slope"), "VALUE ~ ARM * VISIT + (1 | ID)"
    fit = slope(formula, data("visits"), reml=False, df="satterthwaite")
    assert fit.loglik == pytest.approx(wanted["loglik"], rel=1e-9)
    assert (fit.n_parameters, fit.aic) == (wanted["parameters"], pytest.approx(wanted["aic"], rel=1e-9))
    assert "counting 6 parameters" in fit.summary()
    assert slope(formula, data("visits")).n_parameters == 2
