"""Slopes by arm, and fits compared: against R's emmeans, nlme and stats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from equipoise import ancova, compare_fits, count_regression, cox, logistic, mmrm, slope
from equipoise.errors import EstimationError
from equipoise.types import Status

REFERENCE = Path(__file__).parent.parent / "reference"
R: dict[str, Any] = json.loads((REFERENCE / "trends.json").read_text())
ARMS = ["placebo", "low", "high"]


@pytest.fixture(scope="module")
def data() -> pl.DataFrame:
    read = pl.read_csv(REFERENCE / "three_arms.csv").drop_nulls(["CHG"])
    return read.select(
        ID="USUBJID", ARM=pl.col("TRT01P").cast(pl.Enum(ARMS)), X="BASE", T=pl.col("AVISITN") / 4, VALUE="CHG"
    )


def same(found: Any, wanted: dict[str, list[float]], rel: float = 1e-6) -> None:
    for name, values in wanted.items():
        made = [getattr(e, name) for e in found.estimates]
        np.testing.assert_allclose(made, values, rtol=rel, atol=1e-9, err_msg=name)


def test_reference_slopes_by_arm(data: pl.DataFrame) -> None:
    fit = ancova("VALUE ~ ARM * T + X", data)
    same(fit.trends("ARM", "T"), R["lm"]["slopes"])
    same(fit.trends("ARM", "T", method="pairwise"), R["lm"]["pairs"])
    same(fit.trends("ARM", "T", weights="proportional"), R["lm"]["proportional"])
    tukey = fit.trends("ARM", "T", method="pairwise", adjust="tukey")
    np.testing.assert_allclose([e.p for e in tukey.estimates], R["tukey"], rtol=1e-5)
    against = fit.trends("ARM", "T", against="low")
    assert against.contrasts == ("placebo - low", "high - low")
    assert against.estimates[1].estimate == pytest.approx(R["lm"]["pairs"]["estimate"][2], rel=1e-6)
    # the slopes are the coefficients
    assert fit.trends("ARM", "T").estimates[0].estimate == pytest.approx(
        fit.beta[list(fit.names).index("T")], rel=1e-10
    )
    assert "Slopes over T by ARM" in str(fit.trends("ARM", "T"))
    assert "Contrasts of slopes over T by ARM" in str(against)


def test_reference_slopes_of_a_curve(data: pl.DataFrame) -> None:
    fit = ancova("VALUE ~ ARM * (T + I(T^2)) + X", data)
    same(fit.trends("ARM", "T"), R["quadratic"]["mean"])
    same(fit.trends("ARM", "T", at={"T": 3}), R["quadratic"]["at3"])
    cubic = ancova("VALUE ~ ARM * poly(T, 2) + X", data)
    same(cubic.trends("ARM", "T", at={"T": 3}), R["quadratic"]["at3"])


def test_reference_slopes_of_random_slopes(data: pl.DataFrame) -> None:
    fit = slope("VALUE ~ ARM * T + X + (T | ID)", data, df="satterthwaite")
    wanted = R["lmer"]
    same(fit.trends("ARM", "T"), {name: wanted[name] for name in ("estimate", "se")})
    same(fit.trends("ARM", "T"), {"df": wanted["df"]}, 1e-5)
    repeated = mmrm("VALUE ~ ARM * X + V + us(V | ID)", data.with_columns(V=pl.col("T").cast(pl.String)))
    made = repeated.trends("ARM", "X")
    rows = repeated.linear(made.rows)
    assert [e.estimate for e in made.estimates] == rows["estimate"]
    assert all(1 < e.df < 80 for e in made.estimates)
    by = ancova("VALUE ~ ARM * S * T", data.with_columns(S=pl.col("ID").str.slice(-1).is_in(["1", "2", "3"])))
    assert len(by.trends("ARM", "T", by="S", against="placebo").estimates) == 4


def test_property_slopes_that_cannot_be_are_refused(data: pl.DataFrame) -> None:
    fit = ancova("VALUE ~ ARM * T + X", data)
    with pytest.raises(EstimationError, match="'ARM' is no number of the model"):
        fit.trends("ARM", "ARM")
    with pytest.raises(EstimationError, match="'NOPE' is no number"):
        fit.trends("ARM", "NOPE")
    with pytest.raises(EstimationError, match="counterfactual"):
        fit.trends("ARM", "T", weights="counterfactual")
    with pytest.raises(EstimationError, match="does not vary"):
        ancova("VALUE ~ ARM + ONE", data.with_columns(ONE=1.0)).trends("ARM", "ONE")


def test_reference_mixed_models_by_maximum_likelihood(data: pl.DataFrame) -> None:
    fits = [slope(f"VALUE ~ {f} + X + (1 | ID)", data, reml=False, df="satterthwaite") for f in ("T", "ARM * T")]
    made = compare_fits(*fits)
    for k, criteria in enumerate(made.criteria):
        assert criteria.loglik == pytest.approx(R["ml"]["loglik"][k], abs=1e-6)
        assert criteria.aic == pytest.approx(R["ml"]["aic"][k], abs=1e-6)
        assert criteria.parameters == R["ml"]["parameters"][k]
        assert fits[k].aic == pytest.approx(criteria.aic, abs=1e-9)  # slope counts the same
    assert made.estimates[0].statistic == pytest.approx(R["ml"]["ratio"], rel=1e-6)
    assert made.estimates[0].p == pytest.approx(R["ml"]["p"], rel=1e-6)
    assert made.estimates[0].df == 4
    assert "coefficients, variances and covariances" in str(made)
    assert made.table()["aic_above_best"].min() == 0.0
    assert made.best == fits[1].formula


def test_reference_restricted_likelihoods(data: pl.DataFrame) -> None:
    small, large = (slope(f"VALUE ~ ARM * T + ({t} | ID)", data, df="satterthwaite") for t in ("1", "T"))
    made = compare_fits(small, large, names=["intercept", "slope"])
    assert [c.loglik for c in made.criteria] == pytest.approx(R["reml"]["loglik"], abs=1e-6)
    assert made.estimates[0].statistic == pytest.approx(R["reml"]["ratio"], rel=1e-6)
    assert made.estimates[0].p == pytest.approx(R["reml"]["p"], rel=1e-6)
    assert "P is too large" in str(made)
    assert [c.parameters for c in made.criteria] == [2, 4]
    repeated = [mmrm(f"VALUE ~ ARM * T + {s}(T | ID)", data) for s in ("ar1", "cs", "toep", "us")]
    ladder = compare_fits(*repeated)
    assert ladder.estimates[0].status is Status.NOT_IDENTIFIED  # ar1 is no case of cs
    assert "no case of" in ladder.estimates[0].reason
    assert ladder.estimates[1].statistic == pytest.approx(2 * (repeated[2].loglik - repeated[1].loglik), rel=1e-9)
    assert ladder.criteria[1].loglik == pytest.approx(compare_fits(small, repeated[1]).criteria[0].loglik, abs=1e-6)
    other = mmrm("VALUE ~ ARM + T + us(T | ID)", data)
    with pytest.raises(EstimationError, match="different fixed parts"):
        compare_fits(repeated[3], other)


def test_reference_linear_models(data: pl.DataFrame) -> None:
    made = compare_fits(ancova("VALUE ~ T", data), ancova("VALUE ~ T + ARM + X", data))
    for name in ("loglik", "aic", "bic"):
        assert [getattr(c, name) for c in made.criteria] == pytest.approx(R["ls"][name], rel=1e-9)
    turned = compare_fits(ancova("VALUE ~ T + ARM + X", data), ancova("VALUE ~ T", data))
    assert not turned.estimates[0].estimable or np.isnan(turned.estimates[0].p)


def test_independent_other_likelihoods(data: pl.DataFrame) -> None:
    last = data.filter(pl.col("T") == 3).with_columns(
        YES=(pl.col("VALUE") > -2).cast(int), N=pl.col("VALUE").abs().floor(), E=1, TIME=pl.col("VALUE").abs() + 1
    )
    pairs: list[tuple[Any, Any, int]] = [
        (lambda f: cox(f"Surv(TIME, E) ~ {f}", last), lambda fit: fit.loglik[1], 0),
        (lambda f: logistic(f"YES ~ {f}", last), lambda fit: fit.loglik, 1),
        (lambda f: count_regression(f"N ~ {f}", last, model="poisson"), lambda fit: fit.loglik, 1),
    ]
    for make, likelihood, more in pairs:
        small, large = make("X"), make("X + ARM")
        made = compare_fits(small, large)
        statistic = 2 * (likelihood(large) - likelihood(small))
        assert made.estimates[0].statistic == pytest.approx(statistic, rel=1e-12)
        assert made.estimates[0].p == pytest.approx(stats.chi2.sf(statistic, 2), rel=1e-9)
        assert [c.parameters for c in made.criteria] == [1 + more, 3 + more]
    whole = cox("Surv(TIME, E) ~ X", last)
    assert whole.aic == pytest.approx(compare_fits(whole, cox("Surv(TIME, E) ~ X + ARM", last)).criteria[0].aic)


def test_property_fits_of_other_data_are_refused(data: pl.DataFrame) -> None:
    fit = ancova("VALUE ~ T", data)
    with pytest.raises(EstimationError, match="different rows"):
        compare_fits(fit, ancova("VALUE ~ T + ARM", data.head(100)))
    with pytest.raises(EstimationError, match="compare fits of one kind"):
        compare_fits(fit, mmrm("VALUE ~ T + cs(T | ID)", data, reml=False, df="satterthwaite"))
    with pytest.raises(EstimationError, match="1 fit"):
        compare_fits(fit)
    with pytest.raises(EstimationError, match="is no fit that can be compared"):
        compare_fits(fit, fit.lsmeans)
