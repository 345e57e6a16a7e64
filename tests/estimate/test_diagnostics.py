"""Residuals, influence and normal quantiles of fits: against R's stats, survival, nlme and lme4."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from equipoise import ancova, count_regression, cox, logistic, mmrm, slope
from equipoise.errors import EstimationError

REFERENCE = Path(__file__).parent.parent / "reference"
R: dict[str, Any] = json.loads((REFERENCE / "diagnostics.json").read_text())
FIFTH = slice(None, None, 5)
WHO = [0, 6, 59]


def near(found: Any, wanted: Any, rel: float = 1e-6) -> None:
    np.testing.assert_allclose(np.asarray(found, np.float64), np.asarray(wanted, np.float64), rtol=rel, atol=1e-9)


@pytest.fixture(scope="module")
def patients() -> pl.DataFrame:
    return pl.read_csv(REFERENCE / "patients.csv")


@pytest.fixture(scope="module")
def visits() -> pl.DataFrame:
    read = pl.read_csv(REFERENCE / "three_arms.csv").drop_nulls(["CHG"])
    arms = pl.col("TRT01P").cast(pl.Enum(["placebo", "low", "high"]))
    return read.select(ID="USUBJID", ARM=arms, X="BASE", T=pl.col("AVISITN") / 4, VALUE="CHG").sort("ID", "T")


def test_reference_least_squares(patients: pl.DataFrame) -> None:
    fit = ancova("BASE ~ ARM + SITE + WEEKS", patients, weights="WEEKS")
    own, wanted = fit.influence(), R["lm"]
    for name, found in (("hat", own.leverage), ("cook", own.cook), ("dfbeta", own.dfbeta), ("dfbetas", own.dfbetas)):
        near(found[FIFTH], wanted[name])
    near(fit.residuals("normalized")["residual"][FIFTH], wanted["rstandard"])
    near(fit.residuals("studentized")["residual"][FIFTH], wanted["rstudent"])
    told = fit.diagnostics()
    near(told.qq()["normal"][FIFTH], wanted["normal"])
    assert told.straightness() == pytest.approx(wanted["straightness"], rel=1e-6)
    # leaving a row out is what it says
    gone = ancova("BASE ~ ARM + SITE + WEEKS", patients[1:], weights="WEEKS")
    near(fit.beta - gone.beta, own.dfbeta[0])
    assert own.how == "exact"
    near(fit.influence(refit=True).cook, own.cook)
    assert own.largest(1)[0][1] == own.cook.max()


@pytest.mark.parametrize(
    ("name", "fit"),
    [
        ("logistic", lambda d: logistic("RESP ~ ARM + BASE + SITE", d)),
        ("poisson", lambda d: count_regression("EVENTS ~ ARM + BASE", d, exposure="WEEKS", model="poisson")),
    ],
)
def test_reference_generalised_linear_models(patients: pl.DataFrame, name: str, fit: Any) -> None:
    made, wanted = fit(patients), R[name]
    for kind, key in (("pearson", "pearson"), ("deviance", "deviance"), ("standardized", "rstandard")):
        near(made.residuals(kind)["residual"][FIFTH], wanted[key])
    own = made.influence()
    near(own.leverage[FIFTH], wanted["hat"])
    near(own.cook[FIFTH], wanted["cook"])
    near(own.dfbeta[FIFTH], wanted["dfbeta"])
    near(made.influence(refit=True).dfbeta[WHO], wanted["refit"])
    with pytest.raises(EstimationError, match="no normal distribution"):
        made.diagnostics().qq()


def test_reference_dispersed_counts(patients: pl.DataFrame) -> None:
    quasi = count_regression("EVENTS ~ ARM + BASE", patients, exposure="WEEKS", model="quasi-poisson")
    near(quasi.influence().cook[FIFTH], R["quasi"]["cook"])
    near(quasi.residuals("standardized")["residual"][FIFTH], R["quasi"]["rstandard"])
    nb = count_regression("EVENTS ~ ARM + BASE", patients, exposure="WEEKS", model="negative-binomial")
    for kind in ("deviance", "pearson"):
        near(nb.residuals(kind)["residual"][FIFTH], R["negative_binomial"][kind])
    near(nb.influence().leverage[FIFTH], R["negative_binomial"]["hat"])
    near(nb.influence().cook[FIFTH], R["negative_binomial"]["cook"])


def test_reference_cox(patients: pl.DataFrame) -> None:
    fit = cox("Surv(WEEKS, RESP) ~ ARM + BASE + strata(SITE)", patients)
    own, wanted = fit.influence(), R["cox"]
    near(own.dfbeta[FIFTH], wanted["dfbeta"])
    near(own.dfbetas[FIFTH], wanted["dfbetas"])
    near(own.cook[FIFTH], wanted["cook"])
    near(fit.influence(refit=True).dfbeta[WHO], wanted["refit"])
    near(fit.diagnostics().to_frame()["residual"][FIFTH], wanted["deviance"])


def test_reference_cox_of_clusters() -> None:
    data = pl.read_csv(REFERENCE / "recurrences.csv")
    fit = cox("Surv(START, STOP, EVENT) ~ ARM + X + cluster(ID)", data)
    own, wanted = fit.influence(), R["clusters"]
    assert own.unit == "ID"
    assert list(own.units) == sorted(data["ID"].unique())
    near(own.dfbeta, wanted["dfbeta"])
    near(own.cook, wanted["cook"])
    near(fit.influence(refit=True).dfbeta[[0, 3, 8]], wanted["refit"])


def test_reference_hazards_over_time(patients: pl.DataFrame) -> None:
    told = cox("Surv(WEEKS, RESP) ~ ARM + BASE", patients).diagnostics()
    found, wanted = told.drift("BASE"), R["drift"]
    for name in ("time", "residual", "mean", "low", "high"):
        near(found[name], wanted[name])
    with pytest.raises(EstimationError, match="no coefficient 'X'"):
        told.drift("X")


@pytest.mark.parametrize(
    ("name", "fit"),
    [
        ("slope", lambda d: slope("VALUE ~ ARM * T + X + (T | ID)", d, df="satterthwaite")),
        pytest.param("csh", lambda d: mmrm("VALUE ~ ARM * C(T) + X + csh(T | ID)", d), marks=pytest.mark.slow),
    ],
)
def test_reference_mixed_models(visits: pl.DataFrame, name: str, fit: Any) -> None:
    made, wanted = fit(visits), R[name]
    own = made.influence()
    near(own.leverage, wanted["leverage"])
    near(own.cook, wanted["cook"])
    near(own.dfbeta, wanted["dfbeta"])
    near(own.dfbetas, wanted["dfbetas"])
    again = made.influence(refit=True)
    at = [own.units.index(who) for who in wanted["who"]]
    near(again.dfbeta[at], wanted["refit"])
    assert own.how == "the covariance held"
    assert again.how == "refitted"


def test_reference_random_effects(visits: pl.DataFrame) -> None:
    told = slope("VALUE ~ ARM * T + X + (T | ID)", visits, df="satterthwaite").diagnostics()
    for name, wanted in zip(("intercept", "T"), R["slope"]["qq"], strict=True):
        near(told.qq(name)["normal"], wanted["normal"])
        near(told.qq(name)["value"], wanted["value"])
        assert f"Q-Q of random {name}" in str(told)
    with pytest.raises(EstimationError, match="no random effect 'NOPE'"):
        told.qq("NOPE")


def test_independent_one_subject_left_out_of_an_unstructured_model(visits: pl.DataFrame) -> None:
    data = visits.with_columns(W=1.0 + pl.int_range(pl.len()) % 3)
    fit = mmrm("VALUE ~ ARM + X + us(T | ID)", data, weights="W")
    again = fit.influence(refit=True)
    for who in (0, 7):
        gone = mmrm("VALUE ~ ARM + X + us(T | ID)", data.filter(pl.col("ID") != fit.subjects[who]), weights="W")
        near(fit.beta - gone.beta, again.dfbeta[who], 1e-6)
    # held and refitted are near each other, and not the same
    held = fit.influence()
    assert 0.8 < np.corrcoef(held.cook, again.cook)[0, 1] < 1.0
    assert held.leverage.sum() == pytest.approx(len(fit.kept), rel=1e-9)


def test_property_a_unit_that_determines_a_coefficient_has_no_influence_number(patients: pl.DataFrame) -> None:
    alone = patients.with_columns(ONLY=(pl.col("ID") == "P003").cast(int))
    fit = ancova("BASE ~ ARM + ONLY", alone)
    own = fit.influence()
    assert np.flatnonzero(np.isnan(own.cook)).tolist() == [3]
    assert "without 4 a coefficient is not estimable" in str(own)
    assert own.to_frame().columns == ["row", "leverage", "cook", *(f"dfbetas {n}" for n in fit.names)]
    counts = count_regression("EVENTS ~ ARM + ONLY", alone, model="poisson").influence(refit=True)
    assert np.flatnonzero(np.isnan(counts.cook)).tolist() == [3]


def test_property_what_cannot_be_asked_is_refused(patients: pl.DataFrame) -> None:
    with pytest.raises(EstimationError, match="one step with Firth's penalty"):
        logistic("RESP ~ ARM", patients, firth=True).influence()
    assert np.isfinite(logistic("RESP ~ ARM", patients[:20], firth=True).influence(refit=True).cook).all()
    with pytest.raises(EstimationError, match="influence with Firth's penalty"):
        cox("Surv(WEEKS, RESP) ~ ARM", patients, firth=True).influence()
    with pytest.raises(EstimationError, match="no influence with exact ties"):
        cox("Surv(WEEKS, RESP) ~ ARM", patients, ties="exact").influence()
    with pytest.raises(EstimationError, match="unknown kind of residuals 'nope'"):
        logistic("RESP ~ ARM", patients).residuals("nope")
    with pytest.raises(EstimationError, match="no plot 'nope'"):
        logistic("RESP ~ ARM", patients).diagnostics().plot("nope")
    with pytest.raises(EstimationError, match="no hazards in"):
        logistic("RESP ~ ARM", patients).diagnostics().drift()


def test_property_rows_are_named_by_their_subjects(patients: pl.DataFrame) -> None:
    named = patients.rename({"ID": "USUBJID"})
    assert ancova("BASE ~ ARM", named).influence().units[:2] == ("P000", "P001")
    told = ancova("BASE ~ ARM", named).diagnostics()
    assert "USUBJID P" in str(told)
    assert "Largest Cook's distances (exact): P" in str(told)
