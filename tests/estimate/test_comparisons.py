"""Contrasts of LS means by name and by matrix, adjusted together: against R's emmeans and mvtnorm."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from equipoise import ancova, mmrm
from equipoise.errors import DataError, EstimationError
from equipoise.estimate.linear.adjust import adjusted
from equipoise.estimate.linear.ancova import AncovaFit


def doses() -> pl.DataFrame:
    """A small trial of four arms of unequal size, made by a rule."""
    rows = []
    for i in range(46):
        arm = ("P", "L", "M", "H")[0 if i % 7 < 3 else 1 + i % 3]
        base = 30 + (i * 13) % 17
        rows.append((arm, float(base), 0.4 * base + {"P": 0, "L": 1.5, "M": 2, "H": 4}[arm] + ((i * 37) % 23 - 11) / 3))
    frame = pl.DataFrame(rows, schema=["ARM", "BASE", "Y"], orient="row")
    return frame.with_columns(pl.col("ARM").cast(pl.Enum(["P", "L", "M", "H"])))


@pytest.fixture(scope="module")
def fit() -> AncovaFit:
    return ancova("Y ~ BASE + ARM", doses())


# R 4, emmeans: summary(contrast(emmeans(lm(Y ~ BASE + ARM), "ARM"), method, adjust = ...)); "mvt" by mvtnorm::pmvt with
# abseps 1e-8 (what multcomp's single-step test computes).
R: dict[tuple[str, str], list[float]] = {
    ("pairwise", "none"): [0.012252887, 0.0090913704, 0.84597914, 8.528924e-05, 0.11884453, 0.18101977],
    ("pairwise", "holm"): [0.049011548, 0.045456852, 0.84597914, 0.00051173544, 0.35653359, 0.36203953],
    ("pairwise", "bonferroni"): [0.073517322, 0.054548223, 1, 0.00051173544, 0.71306718, 1],
    ("pairwise", "sidak"): [0.071301779, 0.053323354, 0.99998665, 0.00051162634, 0.53192521, 0.69825469],
    ("pairwise", "tukey"): [0.05704077, 0.043326767, 0.99730973, 0.00047902291, 0.3937817, 0.53059859],
    ("pairwise", "mvt"): [0.05602718, 0.042542258, 0.9972609, 0.00047123359, 0.38972994, 0.52644788],
    ("dunnett", "none"): [0.012252887, 0.0090913704, 8.528924e-05],
    ("dunnett", "holm"): [0.018182741, 0.018182741, 0.00025586772],
    ("dunnett", "dunnett"): [0.034944501, 0.02610169, 0.00025405931],
    ("trend", "none"): [0.00017308062, 0.57294139, 0.31713746],
    ("trend", "mvt"): [0.00051714661, 0.91661846, 0.6682414],
    ("sequential", "mvt"): [0.032981285, 0.99419373, 0.39678664],
    ("effects", "none"): [5.6480368e-05, 0.87989516, 0.64350706, 0.0087702992],
    ("effects", "sidak"): [0.00022590233, 0.99979191, 0.98384884, 0.03462238],
}


@pytest.mark.parametrize(("method", "adjust"), list(R))
def test_reference_adjusted_p_values_equal_r(fit: AncovaFit, method: str, adjust: str) -> None:
    made = fit.contrasts("ARM", method=method, adjust=adjust).to_frame()
    np.testing.assert_allclose(made["p"].to_numpy(), R[method, adjust], atol=2e-6, rtol=1e-4 * (adjust == "mvt"))


def test_reference_estimates_and_limits_equal_r(fit: AncovaFit) -> None:
    """emmeans: trt.vs.ctrl without adjustment, and the Tukey limits of all pairs."""
    made = fit.contrasts("ARM", method="trt.vs.ctrl").to_frame()
    np.testing.assert_allclose(made["estimate"], [2.403150829, 2.621848823, 4.188746243], rtol=1e-9)
    np.testing.assert_allclose(made["se"], [0.9169939956, 0.9574073478, 0.9606355460], rtol=1e-9)
    np.testing.assert_allclose(made["low"], [0.5512438851, 0.6883254583, 2.2487034004], rtol=1e-9)
    tukey = fit.contrasts("ARM", method="pairwise", adjust="tukey").to_frame()
    expected = [-0.05221031523, 0.05827609246, -2.77688257740, 1.61652962613, -1.21577632516, -1.51632188363]
    np.testing.assert_allclose(tukey["low"], expected, atol=1e-6)


def test_reference_dunnett_at_equal_correlation() -> None:
    """mvtnorm::pmvt(-2.3, 2.3, df = 17, corr = 0.5), four comparisons: 0.105868."""
    correlation = np.full((4, 4), 0.5) + 0.5 * np.eye(4)
    p, _ = adjusted("dunnett", np.full(4, 2.3), np.full(4, 17.0), correlation, 0.95, 5)
    np.testing.assert_allclose(p, 0.105868, atol=1e-6)


@pytest.mark.parametrize("adjust", ["bonferroni", "sidak", "tukey", "mvt"])
def test_property_limits_and_p_values_are_of_one_distribution(fit: AncovaFit, adjust: str) -> None:
    """At a level of 1 - p an interval ends at 0."""
    made = fit.contrasts("ARM", adjust=adjust)
    one = made.estimates[4]
    again = made.at_level(1.0 - one.p)[4]
    assert min(abs(again.low), abs(again.high)) == pytest.approx(0.0, abs=2e-3 * one.se)


def test_property_names_matrices_and_mappings_are_the_same_contrasts(fit: AncovaFit) -> None:
    by_name = fit.contrasts("ARM", method="dunnett").to_frame()
    matrix = np.array([[-1, 1, 0, 0], [-1, 0, 1, 0], [-1, 0, 0, 1]])
    mapped: dict[str, Any] = {"one": {"P": -1, "L": 1}, "two": [-1, 0, 1, 0], "three": {"H": 1, "P": -1}}
    for other in (fit.contrasts("ARM", method=matrix), fit.contrasts("ARM", method=mapped)):
        np.testing.assert_allclose(other.to_frame()["estimate"], by_name["estimate"])
    assert fit.contrasts("ARM", method=matrix).contrasts == ("L - P", "M - P", "H - P")


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda f: f.contrasts("ARM", method="tukey"), "no comparison"),
        (lambda f: f.contrasts("ARM", adjust="scheffe"), "adjust = 'scheffe'"),
        (lambda f: f.contrasts("ARM", method="dunnett", adjust="tukey"), "all pairs"),
        (lambda f: f.contrasts("ARM", method=[[1, -1]]), "shape"),
        (lambda f: f.contrasts("ARM", method={"x": {"Q": 1}}), "'Q' is not a level"),
        (lambda f: f.contrasts("ARM", against="Q"), "'Q' is not a level"),
        (lambda f: f.lsmeans("ARM", at={"BSAE": 30}), "BSAE"),
        (lambda f: f.predict(interval="tolerance"), "interval"),
        (lambda f: f.residuals("deviance"), "deviance"),
        (lambda f: f.simulate(0), "n = 0"),
    ],
)
def test_property_what_does_not_exist_is_refused(fit: AncovaFit, ask: Any, words: str) -> None:
    with pytest.raises(EstimationError, match=words):
        ask(fit)


def test_independent_predictions_residuals_and_draws(fit: AncovaFit) -> None:
    data = doses()
    seen = fit.predict()
    np.testing.assert_allclose(seen["estimate"] + fit.residuals()["residual"], data["Y"], rtol=1e-10)
    np.testing.assert_allclose(fit.predict(data)["se"], seen["se"], rtol=1e-12)
    np.testing.assert_allclose(fit.fitted()["fitted"], seen["estimate"])
    new = pl.DataFrame({"ARM": ["H"], "BASE": [float(data["BASE"].mean() or 0.0)]})
    mean = fit.lsmeans("ARM").to_frame().row(3, named=True)
    made = fit.predict(new).row(0, named=True)
    assert made["estimate"] == pytest.approx(mean["estimate"]) and made["low"] == pytest.approx(mean["low"])  # noqa: PT018
    wide = fit.predict(new, interval="prediction").row(0, named=True)
    assert wide["se"] == pytest.approx(np.hypot(made["se"], fit.sigma))
    with pytest.raises(DataError, match="'X' in the new data"):
        fit.predict(pl.DataFrame({"ARM": ["X"], "BASE": [1.0]}))
    draws = fit.simulate(400, seed=3)
    assert draws.equals(fit.simulate(400, seed=3))
    spread = (draws.drop("row").to_numpy() - fit.fitted()["fitted"].to_numpy()[:, None]).std()
    assert spread == pytest.approx(fit.sigma, rel=0.03)


def test_independent_repeated_measures_predict_and_draw_with_their_covariance() -> None:
    rows = [(f"S{i}", v, "ab"[i % 2], (i * 7 + v * 5) % 11 + v) for i in range(40) for v in (1, 2, 3)]
    data = pl.DataFrame(rows, schema=["ID", "VISIT", "ARM", "Y"], orient="row")
    fit = mmrm("Y ~ ARM * C(VISIT) + us(VISIT | ID)", data)
    np.testing.assert_allclose(fit.predict(data.head(3))["estimate"], fit.fitted()["fitted"][:3])
    draws = fit.simulate(300, seed=1).drop("ID", "VISIT").to_numpy() - fit.fitted()["fitted"].to_numpy()[:, None]
    cube = draws.reshape(40, 3, 300).transpose(1, 0, 2).reshape(3, -1)
    np.testing.assert_allclose(np.cov(cube), fit.covariance, atol=0.05 * np.abs(fit.covariance).max())
    wide = fit.predict(interval="prediction")["se"].to_numpy() ** 2 - fit.predict()["se"].to_numpy() ** 2
    np.testing.assert_allclose(wide[:3], np.diag(fit.covariance))
