"""Offsets in models: against R's lm, emmeans and polr, and against the response less the offset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from equipoise import ancova, compare_fits, cox, mmrm, proportional_odds, slope
from equipoise.errors import EstimationError

REFERENCE = Path(__file__).parent.parent / "reference"
R: dict[str, Any] = json.loads((REFERENCE / "offset.json").read_text())


@pytest.fixture(scope="module")
def patients() -> pl.DataFrame:
    return pl.read_csv(REFERENCE / "patients.csv")


def near(found: Any, wanted: Any) -> None:
    np.testing.assert_allclose(np.asarray(found, np.float64), np.asarray(wanted, np.float64), rtol=1e-6)


def test_reference_least_squares(patients: pl.DataFrame) -> None:
    fit, wanted = ancova("BASE ~ ARM + SITE + EVENTS + offset(log(WEEKS))", patients), R["lm"]
    near(fit.beta, wanted["beta"])
    near([e.se for e in fit.estimates], wanted["se"])
    near(fit.loglik, wanted["loglik"])
    near(fit.fitted()["fitted"][:5], wanted["fitted"])
    near(fit.residuals()["residual"][:5], wanted["residual"])
    means = fit.lsmeans("ARM")
    near([e.estimate for e in means.estimates], wanted["means"])
    near([e.se for e in means.estimates], wanted["se_means"])
    assert means.estimates[0].statistic == pytest.approx(wanted["means"][0] / wanted["se_means"][0], rel=1e-6)
    moved = np.log(10.0) - np.log(patients["WEEKS"].to_numpy()).mean()  # everybody at ten weeks
    near([e.estimate for e in fit.lsmeans("ARM", at={"WEEKS": 10}).estimates], np.array(wanted["means"]) + moved)
    near(fit.contrasts("ARM").estimates[0].estimate, wanted["difference"])
    new = fit.predict(patients[:3], interval="prediction")
    near(new["estimate"], wanted["predicted"])
    near(new["low"], wanted["low"])
    near(fit.predict()["estimate"][:3], wanted["predicted"])
    slopes = ancova("BASE ~ ARM * WEEKS + offset(2 * WEEKS)", patients).trends("ARM", "WEEKS")
    plain = ancova("BASE ~ ARM * WEEKS", patients).trends("ARM", "WEEKS")
    near([e.estimate for e in slopes.estimates], [e.estimate for e in plain.estimates])
    weighed = fit.contrasts("ARM", method={"mean": [0.5, 0.5]}).estimates[0]
    near(weighed.estimate, np.mean(wanted["means"]))


def test_reference_ordered_answers(patients: pl.DataFrame) -> None:
    fit, wanted = proportional_odds("GRADE ~ ARM + BASE + offset(WEEKS / 50)", patients), R["polr"]
    near(fit.beta, wanted["beta"])
    near(np.sqrt(np.diag(fit.vcov)), wanted["se"])
    near(fit.loglik, wanted["loglik"])


def test_independent_mixed_models_fit_the_response_less_the_offset() -> None:
    data = pl.read_csv(REFERENCE / "visits.csv").with_columns(
        O=0.3 * pl.col("X") + 1.0, V=pl.col("VISIT").cast(pl.String)
    )
    less = data.with_columns(VALUE=pl.col("VALUE") - pl.col("O"))
    for fit, formula in ((mmrm, "VALUE ~ ARM + V{} + cs(V | ID)"), (slope, "VALUE ~ ARM * VISIT{} + (1 | ID)")):
        one, other = fit(formula.format(" + offset(O)"), data), fit(formula.format(""), less)
        near(one.beta, other.beta)
        near(one.vcov, other.vcov)
        near(one.fitted()["fitted"], other.fitted()["fitted"] + data["O"])
        near(one.diagnostics().to_frame()["residual"], other.diagnostics().to_frame()["residual"])
        near(
            [e.estimate for e in one.lsmeans("ARM").estimates],
            [e.estimate + data["O"].to_numpy().mean() for e in other.lsmeans("ARM").estimates],
        )
    near(one.simulate(seed=2)["sim_1"], other.simulate(seed=2)["sim_1"] + data["O"])


def test_property_fits_with_and_without_an_offset_are_of_the_same_data(patients: pl.DataFrame) -> None:
    fits = [ancova(f"BASE ~ ARM{more}", patients) for more in (" + offset(WEEKS / 100)", " + WEEKS")]
    assert [c.loglik for c in compare_fits(*fits).criteria] == [f.loglik for f in fits]


def test_property_offsets_that_cannot_be_taken_are_refused(patients: pl.DataFrame) -> None:
    with pytest.raises(EstimationError, match=r"offset\(\) has no place"):
        cox("Surv(WEEKS, RESP) ~ ARM + offset(BASE)", patients)
    with pytest.raises(EstimationError, match="counterfactual means of a model with an offset"):
        mmrm("VALUE ~ ARM + V + offset(X) + cs(V | ID)", _visits()).lsmeans("ARM", weights="counterfactual")


def _visits() -> pl.DataFrame:
    return pl.read_csv(REFERENCE / "visits.csv").with_columns(V=pl.col("VISIT").cast(pl.String))
