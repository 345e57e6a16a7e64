"""Degenerate data in the linear estimators: a reason in place of a number made of rounding."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pandas as pd
import pytest

from equipoise import ancova, joint_rank, mi_ancova, mmrm
from equipoise.errors import DataError, EstimationError
from equipoise.numerics.linalg import is_cancelled, is_rounding
from equipoise.types import Status

RNG = np.random.default_rng(3)
PEOPLE = pd.DataFrame(
    {
        "USUBJID": [f"S{i:02d}" for i in range(40)],
        "TRT01P": np.where(np.arange(40) % 2, "drug", "pbo"),
        "BASE": RNG.normal(30.0, 5.0, 40).round(1),
        "AVISITN": 8.0,
    }
)
ALIVE = pd.DataFrame({"USUBJID": PEOPLE.USUBJID, "AVAL": 100.0, "CNSR": 1})


def test_independent_rounding_is_told_from_variance() -> None:
    assert is_rounding(0.0, 10.0, 0.0)
    assert is_rounding(1e-30, 10.0, 1.0)
    assert not is_rounding(1e-18, 10.0, 1.0)
    assert not is_rounding(math.nan, 10.0, 1.0)
    assert is_rounding(np.array([0.0, 1.0]), 2.0, 1.0).tolist() == [True, False]
    assert is_cancelled(1e-14, 1.0)
    assert not is_cancelled(1e-10, 1.0)


@pytest.mark.parametrize("value", [0.0, 7.0, 0.1, -1e-9, 3e7])
@pytest.mark.parametrize("vcov", ["model", "HC0", "HC1", "HC2", "HC3"])
def test_independent_ancova_of_a_constant_outcome_has_no_test(value: float, vcov: str) -> None:
    fit = ancova("CHG ~ BASE + TRT01P", PEOPLE.assign(CHG=value), vcov=vcov)
    found = fit.contrasts("TRT01P").estimates[0]
    assert found.status is Status.NO_VARIANCE
    assert "the outcome does not vary" in found.reason
    assert math.isnan(found.p)
    assert math.isnan(found.se)
    assert fit.contrasts("TRT01P").to_frame()["p"].isna().all()
    assert math.isnan(fit.r2)
    assert fit.anova(3)["p"].isna().all()


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_property_exact_fit_at_any_scale_and_small_noise_is_kept(scale: float) -> None:
    exact = PEOPLE.assign(CHG=scale * (0.1 * PEOPLE.BASE + 3.3 * (PEOPLE.TRT01P == "drug")))
    found = ancova("CHG ~ BASE + TRT01P", exact).contrasts("TRT01P").estimates[0]
    assert found.status is Status.NO_VARIANCE
    assert "fits the outcome exactly" in found.reason
    noise = np.random.default_rng(1).normal(0.0, 1e-7, 40)
    fit = ancova("CHG ~ BASE + TRT01P", exact.assign(CHG=exact.CHG + scale * noise))
    assert fit.status is Status.OK
    assert fit.sigma == pytest.approx(scale * 1e-7, rel=0.5)


def test_independent_aliased_arm_has_a_status_and_no_p() -> None:
    data = pd.DataFrame({"Y": [1.0, 4, 2, 6, 3, 5.5], "SITE": list("sssttt"), "A": list("aaappp")})
    found = ancova("Y ~ SITE + A", data).contrasts("A").estimates[0]
    assert found.status is Status.ALIASED
    assert "A[T.p]" in found.reason
    assert math.isnan(found.p)


def test_independent_one_arm_gives_an_empty_table() -> None:
    one = PEOPLE.assign(TRT01P="drug", CHG=RNG.normal(size=40))
    fit = ancova("CHG ~ BASE + TRT01P", one)
    assert len(fit.contrasts("TRT01P").to_frame()) == 0
    assert fit.contrasts("TRT01P").estimates == ()
    assert len(fit.lsmeans("TRT01P").to_frame()) == 1


def test_independent_two_columns_of_one_name_are_named() -> None:
    with pytest.raises(DataError, match="'BASE'"):
        ancova("CHG ~ BASE", pd.concat([PEOPLE.assign(CHG=1.0), PEOPLE[["BASE"]]], axis=1))


def test_property_leverage_one_is_one_rule() -> None:
    """A patient alone in a level: HC2 and HC3 do not exist whatever the rounding; HC0 and HC1 do."""
    for seed in range(60):
        g = np.random.default_rng(seed)
        data = pd.DataFrame(
            {
                "Y": g.normal(0, 3, 20).round(1),
                "A": ["a", "p"] * 10,
                "BASE": g.normal(40, 5, 20).round(1),
                "SITE": ["s1"] * 8 + ["s2"] * 11 + ["s3"],
            }
        )
        for vcov in ("HC2", "HC3"):
            with pytest.raises(EstimationError, match="row 20"):
                ancova("Y ~ A + BASE + SITE", data, vcov=vcov)
        robust = ancova("Y ~ A + BASE + SITE", data, vcov="HC0").coefficients
        assert robust["p"].notna().all()


def test_independent_robust_variance_that_nobody_adds_to_is_none() -> None:
    data = pd.DataFrame({"Y": [1.0, 1.0, 1.0, 4.0, 5.0, 7.5], "A": list("aaabbb")})
    fit = ancova("Y ~ A", data, vcov="HC0")
    means = fit.lsmeans("A").to_frame()
    assert math.isnan(means["se"][0])
    assert means["se"][1] == pytest.approx(math.sqrt(np.var([4.0, 5.0, 7.5]) / 3))


def test_independent_rows_left_out_are_counted_with_their_reason() -> None:
    data = PEOPLE.assign(CHG=RNG.normal(size=40), W=1.0)
    data.loc[:4, "CHG"] = np.nan
    data.loc[3:6, "BASE"] = np.nan
    data.loc[39, "W"] = np.nan
    fit = ancova("CHG ~ BASE + TRT01P", data, weights="W")
    assert fit.n == 32
    assert fit.left_out == 8
    assert fit.left_out.reasons == {"without W": 1, "without CHG": 5, "without BASE": 2}


@pytest.mark.parametrize("method", ["ancova", "wilcoxon", "van-elteren", "quade", "rank-ancova"])
def test_independent_joint_rank_of_equal_patients_is_not_estimable(method: str) -> None:
    data = PEOPLE.assign(CHG=0.0)
    options = {"at": 8, "n_imputations": 2, "burn_in": 1, "method": method}
    found = joint_rank(data, ALIVE, covariates=["BASE"], **options).difference
    assert found.status is not Status.OK
    assert math.isnan(found.p)
    assert "tied" in found.reason


def test_independent_imputed_ancova_of_a_constant_or_exact_outcome_has_no_test() -> None:
    for change in (7.0, 0.1 * PEOPLE.BASE, np.where(PEOPLE.TRT01P == "drug", 1.0, 2.0)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = mi_ancova(PEOPLE.assign(CHG=change), covariates=["BASE"], n_imputations=2).difference(8)
        assert found.status is Status.NO_VARIANCE, found
        assert math.isnan(found.p)


def test_independent_mmrm_of_one_visit_is_an_ancova_by_default() -> None:
    g = np.random.default_rng(20)
    data = PEOPLE.head(30).assign(CHG=0.4 * PEOPLE.BASE[:30] + g.normal(0, 5, 30), AVISIT="Week 8")
    exact = ancova("CHG ~ BASE + TRT01P", data).contrasts("TRT01P").to_frame()
    found = mmrm("CHG ~ BASE + TRT01P + us(AVISIT | USUBJID)", data).contrasts("TRT01P").to_frame()
    for column in ("estimate", "se", "df", "p"):
        np.testing.assert_allclose(found[column], exact[column], rtol=1e-9)
    r = mmrm("CHG ~ BASE + TRT01P + us(AVISIT | USUBJID)", data, df="kenward-roger").contrasts("TRT01P").to_frame()
    np.testing.assert_allclose(r["se"], exact["se"] * math.sqrt(1 - 1 / 27), rtol=1e-9)
