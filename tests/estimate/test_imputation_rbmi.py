"""Reference-based imputation against R's rbmi on the antidepressant trial (172 patients, visits 4 to 7).

Deterministic methods (conditional mean, jackknife) agree to rounding; the others within Monte Carlo error, of both
sides, which each test states.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from equipoise.estimate.imputation import (
    Ancova,
    ApproxBayes,
    Bayes,
    Bmlmi,
    ConditionalMean,
    Draws,
    MiAnalysis,
    imputation_draws,
)
from equipoise.estimate.imputation.delta import lag_scale

WEEKS = (4, 5, 6, 7)
COLUMNS = {
    "value": "CHANGE",
    "subject": "PATIENT",
    "visit": "VISIT",
    "treatment": "THERAPY",
    "control": "PLACEBO",
    "covariates": ("BASVAL",),
}


@pytest.fixture(scope="module")
def trial(request) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The data, and the event of everyone who left: the first visit missed (one intermittent gap is no event)."""
    shared: Path = request.getfixturevalue("shared")
    data = pl.read_csv(
        shared / "data" / "antidepressant_data.csv",
        null_values="NA",
        schema_overrides={"PATIENT": pl.String, "CHANGE": pl.Float64, "BASVAL": pl.Float64},
    )
    seen = data.drop_nulls("CHANGE").group_by("PATIENT", maintain_order=True).agg("VISIT")
    events = []
    for patient, visits in seen.rows():
        missed = [v for v in WEEKS if v not in visits]
        if missed and patient != "3618":
            events.append((patient, missed[0]))
    return data, pl.DataFrame(events, schema=["PATIENT", "VISIT"], orient="row")


@pytest.fixture(scope="module")
def reference(request) -> dict[str, Any]:
    folder: Path = request.getfixturevalue("shared") / "reference"
    cases = json.loads((folder / "rbmi.json").read_text())["cases"]
    return cases | json.loads((folder / "rbmi_bayes.json").read_text())["cases"]


def drawn(trial, method, strategy: str = "JR", seed: int = 0) -> Draws:
    return imputation_draws(*trial, strategy=strategy, method=method, seed=seed, **COLUMNS)


def found(fit: MiAnalysis, parameter: str):
    kind, *rest = parameter.split("_")
    week = float(rest[-1])
    return fit.difference(week) if kind == "trt" else fit.mean({"ref": "PLACEBO", "alt": "DRUG"}[rest[0]], week)


@pytest.fixture(scope="module")
def jackknife(trial) -> Draws:
    return drawn(trial, ConditionalMean())


@pytest.mark.parametrize("strategy", ["MAR", "JR", "CR", "CIR"])
def test_reference_conditional_mean_with_jackknife_equals_rbmi(trial, reference, jackknife, strategy) -> None:
    """Every imputed value, the 173 estimates and every pooled number; R's fits were brought to the optimum."""
    case = reference["antidep_us_jackknife_tight"]["strategies"][strategy]
    completed = jackknife.impute(strategy)
    frame = completed.to_frame().with_columns(pl.col("VISIT").cast(pl.Int64).cast(pl.String))
    ours = {(p, v): x for p, v, x in frame.select("PATIENT", "VISIT", "CHANGE").rows()}
    theirs = case["conditional_mean_imputed"]
    imputed = [ours[key] for key in zip(theirs["subject"], theirs["visit"], strict=True)]
    np.testing.assert_allclose(imputed, theirs["value"], rtol=1e-9, atol=1e-9)
    fit = completed.analyse(Ancova(("BASVAL",)))
    last = next(j for j, q in enumerate(fit.quantities) if q.kind == "difference" and q.week == 7)
    np.testing.assert_allclose(fit.samples[:, last], case["estimates"]["est"], rtol=1e-9)
    np.testing.assert_allclose(fit.errors[:, last], case["estimates"]["se"], rtol=1e-9)
    table = case["pooled"]
    for i, parameter in enumerate(table["parameter"]):
        made = found(fit, parameter)
        for name, key in (("estimate", "est"), ("se", "se"), ("low", "lci"), ("high", "uci"), ("p", "pval")):
            assert getattr(made, name) == pytest.approx(table[key][i], rel=1e-8), (parameter, name)


def test_reference_imputation_model_equals_rbmi(reference, jackknife) -> None:
    """The covariance matrix of the fit to everyone."""
    theirs = reference["antidep_us_jackknife_tight"]["imputation_model_fit_sample1"]["sigma"]["DRUG"]["values"]
    np.testing.assert_allclose(jackknife.samples.sigma[0, 0], theirs, rtol=1e-9)


@pytest.mark.parametrize(
    ("method", "case"),
    [(Bayes(4000), "antidep_us_bayes_4000"), (ApproxBayes(1000), "antidep_us_approxbayes_1000")],
    ids=["bayes", "approximate-bayes"],
)
def test_reference_rubin_methods_agree_with_rbmi_within_monte_carlo_error(trial, reference, method, case) -> None:
    """As many imputations as R took. With M of them and variance B between: the pooled estimate has Monte Carlo error
    sqrt(B / M) on each side, and B itself sqrt(2 / (M - 1)) relative; bands are four of the two sides together.
    """
    draws = drawn(trial, method)
    for strategy, theirs in reference[case]["strategies"].items():
        if strategy == "MAR":  # nobody was seen after an event: the model is the same under every strategy
            fit = draws.impute("HYPOTHETICAL").analyse(Ancova(("BASVAL",)), no_missing="formula")
        else:
            fit = draws.impute(strategy).analyse(Ancova(("BASVAL",)), no_missing="formula")
        m = method.n_imputations
        names = [q.name for q in fit.quantities]
        table = theirs["pooled"]
        for i, parameter in enumerate(table["parameter"]):
            made = found(fit, parameter)
            between = fit.samples[:, names.index(made.name)].var(ddof=1)
            assert abs(made.estimate - table["est"][i]) <= 4 * np.sqrt(2 * between / m) + 1e-12, parameter
            within = 1e-9 + 4 * np.sqrt(2) * np.sqrt(2 / (m - 1)) * between
            within += 4 * np.sqrt(2 * (fit.errors[:, names.index(made.name)] ** 2).var() / m)
            assert abs(made.se**2 - table["se"][i] ** 2) <= within, parameter


def test_reference_bootstrapped_mi_agrees_with_rbmi_within_monte_carlo_error(trial, reference) -> None:
    """R took 200 bootstrap samples, we 1,000; each mean has Monte Carlo error se / sqrt(B), each se about
    se / sqrt(2 (B - 1)). Bands: four of both sides.
    """
    draws = drawn(trial, Bmlmi(1000, 2))
    for strategy, theirs in reference["antidep_us_bmlmi_B200_D2"]["strategies"].items():
        fit = draws.impute("HYPOTHETICAL" if strategy == "MAR" else strategy).analyse(Ancova(("BASVAL",)))
        table = theirs["pooled"]
        for i, parameter in enumerate(table["parameter"]):
            made = found(fit, parameter)
            error = made.se * np.sqrt(1 / 200 + 1 / 1000)
            assert abs(made.estimate - table["est"][i]) < 4 * error, parameter
            assert abs(made.se - table["se"][i]) < 4 * made.se * np.sqrt(1 / 398 + 1 / 1998), parameter


def test_reference_degrees_of_freedom_where_nothing_was_imputed(trial, reference) -> None:
    """Everyone was seen at visit 4. R reports Barnard & Rubin's formula there, nu (nu + 1) / (nu + 3) = 167.03 with nu
    = 169; we keep nu unless asked for the formula.
    """
    table = reference["antidep_us_approxbayes_1000"]["strategies"]["JR"]["pooled"]
    i = table["parameter"].index("trt_4")
    completed = drawn(trial, ApproxBayes(2)).impute()
    as_r = completed.analyse(Ancova(("BASVAL",)), no_missing="formula").difference(4)
    ours = completed.analyse(Ancova(("BASVAL",))).difference(4)
    assert as_r.df == pytest.approx(169 * 170 / 172, rel=1e-12)
    assert (as_r.low, as_r.high, as_r.p) == pytest.approx(
        (table["lci"][i], table["uci"][i], table["pval"][i]), rel=1e-9
    )
    assert ours.df == 169
    assert (ours.estimate, ours.se) == (as_r.estimate, as_r.se)


@pytest.mark.parametrize(
    ("delta", "lag", "first", "expected"),
    [
        ((5, 6, 7, 8), (1, 2, 3, 4), 1, (0, 6, 20, 44)),
        ((5, 6, 7, 8), (1, 2, 3, 4), 2, (0, 0, 7, 23)),
        ((5, 5, 5, 5), (1, 0, 0, 0), 0, (5, 5, 5, 5)),
        ((0, 4, 1, 3), (3, 3, 3, 3), 2, (0, 0, 3, 12)),
        ((5, 6, 7, 8), (1, 2, 3, 4), 4, (0, 0, 0, 0)),
    ],
)
def test_reference_lagged_deltas_are_those_of_the_documentation_of_rbmi(delta, lag, first, expected) -> None:
    after = (np.arange(4) >= first)[None]
    np.testing.assert_array_equal(lag_scale(after, delta, lag)[0], expected)
