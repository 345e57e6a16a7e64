"""The ANCOVA door against R's lm, emmeans and sandwich."""

from __future__ import annotations

import json
import os
from pathlib import Path

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
import polars as pl
import pytest

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.linear.ancova import AncovaFit, ancova

FIXTURES = Path(__file__).parents[1] / "fixtures"
SHARED = Path(os.environ.get("EQUIPOISE_SHARED", Path(__file__).parents[3] / "shared"))
needs_shared = pytest.mark.skipif(not (SHARED / "reference" / "ancova.json").exists(), reason="no shared references")


def week28(kind: str):
    visits = pd.read_csv(FIXTURES / "trial_visits.csv")
    data = visits[visits.AVISITN == 28].copy()
    data["TRT01P"] = pd.Categorical(data["TRT01P"], ["Placebo", "Active"])
    if kind == "pandas":
        return data
    data = pl.from_pandas(data).with_columns(pl.col("TRT01P").cast(pl.Enum(["Placebo", "Active"])))
    return data if kind == "polars" else data.to_arrow()


def column(frame, name):
    return nw.from_native(frame, eager_only=True).get_column(name).to_numpy()


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_reference_week_28_equals_r_lm_and_emmeans(kind: str) -> None:
    """R 4.2.2 lm and emmeans 1.8.4.1 on the project's own trial, relative 1e-8."""
    expected = json.loads((FIXTURES / "trial_other.json").read_text())["ancova_week28"]
    fit = ancova("CHG ~ BASE + ONSETMO + RILFL + TRT01P", week28(kind))
    assert fit.df == expected["df"]
    np.testing.assert_allclose(fit.beta, expected["beta"]["values"], rtol=1e-8)
    np.testing.assert_allclose(fit.vcov, expected["vcov"]["values"], rtol=1e-8)
    np.testing.assert_allclose(fit.sigma, expected["sigma"], rtol=1e-8)
    means = fit.lsmeans("TRT01P").to_frame()
    for ours, theirs in (("estimate", "emmean"), ("se", "SE"), ("low", "lower.CL"), ("high", "upper.CL")):
        np.testing.assert_allclose(column(means, ours), expected["lsmeans"][theirs], rtol=1e-8)
    difference = fit.contrasts("TRT01P", against="Placebo").estimates[0]
    contrast = expected["contrast"]
    for ours, theirs in (
        ("estimate", "estimate"),
        ("se", "SE"),
        ("low", "lower.CL"),
        ("high", "upper.CL"),
        ("p", "p.value"),
    ):
        np.testing.assert_allclose(getattr(difference, ours), contrast[theirs][0], rtol=1e-8)
    assert difference.n == 80
    assert "ANCOVA, n = 80" in difference.to_sentence()


CASES = {
    "antidep_v7": ("antidepressant_data", "VISIT", 7, "THERAPY"),
    "antidep_v7_strata": ("antidepressant_data", "VISIT", 7, "THERAPY"),
    "antidep_v4": ("antidepressant_data", "VISIT", 4, "THERAPY"),
    "fev_v4": ("fev_data", "AVISIT", "VIS4", "ARMCD"),
    "fev_v4_weighted": ("fev_data", "AVISIT", "VIS4", "ARMCD"),
}


def load_case(case: str, vcov: str = "model") -> AncovaFit:
    """The fit of one case of the reference file, factors in R's order."""
    expected = json.loads((SHARED / "reference" / "ancova.json").read_text())["cases"][case]
    file, visit, value, arm = CASES[case]
    data = pd.read_csv(SHARED / "data" / f"{file}.csv")
    data = data[data[visit] == value].copy()
    if arm == "THERAPY":
        data["THERAPY"] = pd.Categorical(data["THERAPY"], ["PLACEBO", "DRUG"])
        data["POOLINV"] = pd.Categorical(
            data["POOLINV"].astype(str), [str(v) for v in sorted(data["POOLINV"].unique())]
        )
    elif "RACE" in data:
        data["RACE"] = pd.Categorical(data["RACE"], ["Asian", "Black or African American", "White"])
        data["SEX"] = pd.Categorical(data["SEX"], ["Male", "Female"])
    return ancova(expected["formula"], data, weights=expected["weights"], vcov=vcov)


@needs_shared
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("vcov", ["model", "HC0", "HC1", "HC2", "HC3"])
def test_reference_equals_r_on_other_trials(case: str, vcov: str) -> None:
    """R lm, emmeans (equal and proportional weights) and sandwich-type covariances, relative 1e-8."""
    expected = json.loads((SHARED / "reference" / "ancova.json").read_text())["cases"][case]
    fit = load_case(case, vcov)
    names = expected["coefficients"]["rows"]
    values = np.array(expected["coefficients"]["values"])
    assert len(names) == len(fit.names)
    order = [fit.names.index(_ours(n, fit.names)) for n in names]
    np.testing.assert_allclose(fit.beta[order], values[:, 0], rtol=1e-8)
    matrix = expected["vcov"] if vcov == "model" else expected["hc"][vcov]
    reference = np.array(matrix["values"])
    scale = np.sqrt(np.outer(np.diag(reference), np.diag(reference)))
    assert np.abs((fit.vcov[np.ix_(order, order)] - reference) / scale).max() < 1e-8
    if vcov != "model":
        return
    np.testing.assert_allclose(fit.sigma, expected["sigma"], rtol=1e-8)
    np.testing.assert_allclose(fit.loglik, expected["logLik"], rtol=1e-8)
    np.testing.assert_allclose(fit.r2, expected["r2"], rtol=1e-8)
    for weights in ("equal", "proportional"):
        arm = CASES[case][-1]
        means = fit.lsmeans(arm, weights=weights).to_frame()
        np.testing.assert_allclose(
            column(means, "estimate"), expected["emmeans"][weights]["lsmeans"]["emmean"], rtol=1e-8
        )
        np.testing.assert_allclose(column(means, "se"), expected["emmeans"][weights]["lsmeans"]["SE"], rtol=1e-8)
        contrast = fit.contrasts(arm, weights=weights).to_frame()
        for ours, theirs in (("estimate", "estimate"), ("se", "SE"), ("p", "p.value"), ("low", "lower.CL")):
            expected_value = expected["emmeans"][weights]["contrasts"][theirs]
            np.testing.assert_allclose(column(contrast, ours), expected_value, rtol=1e-8)


def _ours(name: str, names: tuple[str, ...]) -> str:
    """R's ``RILFLY`` is our ``RILFL[T.Y]``."""
    for n in names:
        if n.replace("[T.", "").replace("]", "") == name:
            return n
    raise AssertionError(name)


def test_property_aliased_column_is_left_out_and_means_stay_estimable() -> None:
    data = week28("pandas")
    data["TWICE"] = 2 * data["BASE"]
    fit = ancova("CHG ~ BASE + TWICE + TRT01P", data)
    plain = ancova("CHG ~ BASE + TRT01P", data)
    assert fit.aliased == ("TWICE",)
    np.testing.assert_allclose(
        column(fit.lsmeans("TRT01P").to_frame(), "estimate"), column(plain.lsmeans("TRT01P").to_frame(), "estimate")
    )
    assert np.isnan(column(fit.coefficients, "estimate")[fit.names.index("TWICE")])


def test_property_log_response_gives_ratios() -> None:
    data = week28("pandas")
    data["RATIO"] = np.exp(data["CHG"] / 10)
    log = ancova("log(RATIO) ~ BASE + TRT01P", data).contrasts("TRT01P").estimates[0]
    ratio = ancova("log(RATIO) ~ BASE + TRT01P", data).contrasts("TRT01P", ratio=True).estimates[0]
    assert ratio.name == "Active / Placebo"
    assert ratio.estimate == pytest.approx(np.exp(log.estimate))
    assert (ratio.low, ratio.high) == pytest.approx((np.exp(log.low), np.exp(log.high)))
    assert ratio.p == log.p


def test_property_frames_come_back_as_they_came() -> None:
    for kind, module in (("pandas", "pandas"), ("polars", "polars"), ("pyarrow", "pyarrow")):
        fit = ancova("CHG ~ BASE + TRT01P", week28(kind))
        assert type(fit.coefficients).__module__.split(".")[0] == module


@pytest.mark.parametrize(
    ("formula", "options", "error", "words"),
    [
        ("CHG ~ BASE + NOPE", {}, DataError, "NOPE"),
        ("CHG ~ BASE + us(AVISITN | USUBJID)", {}, EstimationError, "mmrm"),
        ("TRT01P ~ BASE", {}, DataError, "not a number"),
        ("CHG ~ BASE", {"vcov": "HC9"}, EstimationError, "HC9"),
        ("CHG ~ BASE", {"weights": "W"}, DataError, "'W'"),
        ("CHG ~ BASE + C(USUBJID)", {}, EstimationError, "80 patients"),
    ],
)
def test_property_bad_input_is_named(formula, options, error, words) -> None:
    with pytest.raises(error, match=words):
        ancova(formula, week28("pandas"), **options)
    with pytest.raises(DataError, match="not a data frame"):
        ancova("CHG ~ BASE", [1, 2])
