"""The survival doors against R's coxph and survdiff, and their not-estimable results."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.survival import cox, log_rank
from equipoise.types import Status

FIXTURES = Path(__file__).parents[1] / "fixtures"
R = json.loads((FIXTURES / "trial_other.json").read_text())


def subjects():
    data = pl.read_csv(FIXTURES / "trial_subjects.csv")
    return data.with_columns(pl.col("TRT01P").cast(pl.Enum(["Placebo", "Active"])))


@pytest.mark.parametrize("kind", ["polars", "pandas"])
@pytest.mark.parametrize(
    ("key", "formula", "ties"),
    [
        ("cox_efron", "Surv(TTEWK, EVENT) ~ TRT01P + ONSETMO + RILFL", "efron"),
        ("cox_breslow", "Surv(TTEWK, EVENT) ~ TRT01P + ONSETMO + RILFL", "breslow"),
        ("cox_stratified", "Surv(TTEWK, EVENT) ~ TRT01P + ONSETMO + strata(RILFL)", "efron"),
    ],
)
def test_reference_cox_equals_r_on_own_trial(kind: str, key: str, formula: str, ties: str) -> None:
    data = subjects()
    fit = cox(formula, data if kind == "polars" else data.to_pandas(), ties=ties)
    np.testing.assert_allclose(fit.beta, R[key]["coef"]["values"], rtol=1e-8)
    np.testing.assert_allclose(fit.vcov, R[key]["vcov"]["values"], rtol=1e-8)
    np.testing.assert_allclose(fit.loglik, R[key]["loglik"], rtol=1e-10)
    np.testing.assert_allclose(fit.likelihood_ratio, R[key]["lr"], rtol=1e-8)
    np.testing.assert_allclose(fit.score, R[key]["score"][0], rtol=1e-8)
    np.testing.assert_allclose([e.p for e in fit.estimates], R[key]["p"], rtol=1e-8)
    ratio = fit.hazard_ratio("TRT01P")
    assert ratio.estimate == pytest.approx(math.exp(fit.beta[0]))
    assert "hazard ratio 0.7" in ratio.to_sentence()
    assert type(fit.to_frame()).__module__.split(".")[0] == kind


def test_reference_log_rank_equals_r_on_own_trial() -> None:
    data = subjects().with_columns(CNSR=1 - pl.col("EVENT"))
    np.testing.assert_allclose(
        log_rank("Surv(TTEWK, EVENT) ~ TRT01P", data).chi_square, R["logrank"]["chisq"], rtol=1e-10
    )
    test = log_rank("Surv(TTEWK, 1 - CNSR) ~ TRT01P + strata(RILFL)", data)
    np.testing.assert_allclose(test.chi_square, R["logrank_stratified_by_riluzole"]["chisq"], rtol=1e-10)
    made = test.estimate()
    assert made.p == pytest.approx(test.p, rel=1e-10)
    assert made.estimator == "log-rank test stratified by RILFL"


def test_property_not_estimable_is_said_in_words() -> None:
    data = pl.DataFrame({"T": [15, 16, 17, 8, 9, 10], "E": [0] * 6, "ARM": list("PPPTTT"), "X": [1, 2, 4, 1, 3, 2]})
    none = cox("Surv(T, E) ~ ARM + X", data)
    assert none.status is Status.NO_EVENTS
    assert none.reason == "not estimable: no events (events 0/3 P, 0/3 T)"
    test = log_rank("Surv(T, E) ~ ARM", data)
    assert test.status is Status.NO_EVENTS
    assert math.isnan(test.p)
    assert "no events (events 0/3 P, 0/3 T)" in test.estimate().to_sentence()
    one = data.with_columns(E=pl.Series([0, 0, 0, 1, 0, 1]))
    fit = cox("Surv(T, E) ~ ARM", one)
    assert fit.status is Status.ONE_ARM_EVENTS
    assert all(math.isnan(v) for v in (fit.hazard_ratio("ARM").estimate, fit.hazard_ratio("ARM").p))
    assert log_rank("Surv(T, E) ~ ARM", one).status is Status.OK  # the test exists all the same
    separated = cox("Surv(T, E) ~ X", one.with_columns(X=pl.col("E") * 1.0))
    assert separated.status is Status.BOUNDARY
    apart = log_rank("Surv(T, E) ~ ARM + strata(ARM)", one)
    assert apart.status is Status.SINGULAR
    assert "no event while both groups were at risk" in apart.estimate().reason
    twice = cox("Surv(T, E) ~ X + Y", one.with_columns(Y=2.0 * pl.col("X"), E=pl.Series([1, 0, 1, 1, 0, 1])))
    assert twice.estimates[0].estimable
    assert "linear combination" in twice.estimates[1].reason
    lone = log_rank("Surv(T, E) ~ ARM", one.filter(pl.col("ARM") == "P"))
    assert lone.status is Status.EMPTY_ARM
    assert lone.estimate().reason == "not estimable: an arm has no patients (events 0/3 P)"
    nobody = log_rank("Surv(T, E) ~ ARM", one.with_columns(T=pl.lit(None)))
    assert nobody.status is Status.NO_DATA
    assert nobody.reason == "not estimable: no observed values (nobody)"


@pytest.mark.parametrize(
    ("formula", "error", "words"),
    [
        ("T ~ ARM", EstimationError, "cannot read the formula"),
        ("Surv(T, NOPE) ~ ARM", DataError, "NOPE"),
        ("Surv(T, ARM) ~ ARM", DataError, "'ARM' is not a number"),
        ("Surv(T, T) ~ ARM", DataError, "other than 0 and 1"),
        ("Surv(E, E) ~ ARM + strata(Z)", DataError, "'Z'"),
        ("Surv(T, E) ~ strata(ARM)", EstimationError, "no terms|levels of one column"),
    ],
)
def test_property_bad_input_is_named(formula, error, words) -> None:
    data = pd.DataFrame({"T": [5, 6, 7, 8], "E": [0, 1, 1, 0], "ARM": list("PPTT")})
    with pytest.raises(error, match=words):
        cox(formula, data)
    with pytest.raises(error, match=words):
        log_rank(formula, data)
