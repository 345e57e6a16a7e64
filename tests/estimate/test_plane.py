"""A covariance that falls with the distance in the plane, sp_exp(X, Y | subject): against nlme, and with one axis."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from equipoise import clda, mmrm
from equipoise.errors import DataError, EquipoiseError, EstimationError

REFERENCE = Path(__file__).parent.parent / "reference"
R: dict[str, Any] = json.loads((REFERENCE / "plane.json").read_text())
FORMULA = "CHG ~ ARM * T + BASE + sp_exp(T, W | ID)"


@pytest.fixture(scope="module")
def data() -> pl.DataFrame:
    read = pl.read_csv(REFERENCE / "three_arms.csv").drop_nulls(["CHG"])
    arms = pl.col("TRT01P").cast(pl.Enum(["placebo", "low", "high"]))
    made = read.select("BASE", "CHG", ID="USUBJID", ARM=arms, T=pl.col("AVISITN") / 4)
    return made.with_columns(W=(pl.int_range(made.height) * 7) % 11 / 5)


@pytest.mark.parametrize("method", ["REML", "ML"])
def test_reference_distance_in_the_plane(data: pl.DataFrame, method: str) -> None:
    wanted = R[method]
    fit = mmrm(FORMULA, data, reml=method == "REML", df="satterthwaite")
    assert fit.converged
    assert fit.loglik == pytest.approx(wanted["loglik"], abs=1e-8)
    assert fit.loglik >= wanted["loglik"] - 1e-9
    order = [0, 1, 2, 3, 4, 5, 6]
    np.testing.assert_allclose(fit.beta[order], wanted["beta"], atol=1e-6)
    log_variance, x = fit.optimum.theta
    assert math.exp(log_variance) == pytest.approx(wanted["variance"], rel=1e-5)
    assert 1 / (1 + math.exp(-x)) == pytest.approx(wanted["rho"], abs=2e-6)
    # gls of nlme divides by N - p for the variance of its coefficients under both
    scale = 1.0 if method == "REML" else fit.n_obs / (fit.n_obs - len(fit.beta))
    np.testing.assert_allclose(np.diag(fit.vcov)[order] * scale, wanted["vcov"], rtol=1e-5)
    assert str(fit.term) == "sp_exp(T, W | ID)"


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "df", [pytest.param("satterthwaite", marks=SLOW), "kenward-roger", pytest.param("kenward-roger-linear", marks=SLOW)]
)
@pytest.mark.parametrize("own", [False, True])
def test_independent_one_axis_is_the_distance_of_times(data: pl.DataFrame, df: str, own: bool) -> None:
    """Where the second coordinate does not vary the fit is that of times, at few common times and at one's own."""
    flat = data.with_columns(W=pl.lit(3.0))
    if own:
        flat = flat.with_columns(T=pl.col("T") + (pl.int_range(flat.height) * 13) % 29 / 100)
    plane, times = (mmrm(f"CHG ~ ARM * T + BASE + sp_exp({c} | ID)", flat, df=df) for c in ("T, W", "T"))
    np.testing.assert_allclose(plane.beta, times.beta, rtol=1e-8)
    np.testing.assert_allclose(plane.vcov, times.vcov, rtol=1e-6)
    assert plane.loglik == pytest.approx(times.loglik, abs=1e-9)
    np.testing.assert_allclose(plane.to_frame()["df"], times.to_frame()["df"], rtol=1e-5)


def test_property_rows_without_a_place_and_new_places(data: pl.DataFrame) -> None:
    some = data.with_columns(W=pl.when(pl.int_range(data.height) < 4).then(None).otherwise("W"))
    fit = mmrm(FORMULA, some, df="satterthwaite")
    assert fit.n_obs == data.height - 4
    assert fit.left_out == 4
    slopes = fit.trends("ARM", "T")
    assert len(slopes.estimates) == 3
    assert np.isfinite(fit.residuals("normalized")["residual"].to_numpy()).all()


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        ("CHG ~ ARM + us(T, W | ID)", "cannot read the covariance term"),
        ("CHG ~ ARM + sp_exp(T, W, BASE | ID)", "cannot read the covariance term"),
        ("CHG ~ ARM + sp_exp(T, W)", "cannot read the covariance term"),
        ("CHG ~ ARM + sp_exp(T, 2 | ID)", "cannot read the covariance term"),
        ("CHG ~ ARM + sp_exp(T, ARM | ID)", "not a number"),
        ("CHG ~ ARM + sp_exp(T, NOPE | ID)", "NOPE"),
    ],
)
def test_property_other_places_are_refused(data: pl.DataFrame, formula: str, words: str) -> None:
    with pytest.raises(EquipoiseError, match=words):
        mmrm(formula, data)


def test_property_one_place_twice_and_no_visits(data: pl.DataFrame) -> None:
    with pytest.raises(DataError, match="more than once within a subject"):
        mmrm(FORMULA, data.with_columns(T=1.0, W=1.0))
    with pytest.raises(EstimationError, match="needs visits, not times"):
        clda("CHG ~ sp_exp(T, W | ID)", data, arm="ARM", baseline="1")
