"""The door: frames in and out, weightings, options, warnings and errors."""

from __future__ import annotations

import warnings

import mmrm_cases
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from equipoise.errors import DataError, EstimationError
from equipoise.estimate import Estimate
from equipoise.estimate.linear.mmrm import mmrm
from equipoise.estimate.linear.mmrm.fit import MmrmWarning
from equipoise.types import Status

FORMULA = "CHG ~ BASE * AVISIT + STRATUM + TRT01P * AVISIT + us(AVISIT | USUBJID)"


@pytest.fixture(scope="module")
def trial() -> pd.DataFrame:
    return mmrm_cases.data("trial")


def simulated(n: int = 60, m: int = 4, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    base = rng.normal(30, 5, n)
    arm = rng.permutation(np.arange(n) % 2)
    y = rng.normal(size=(n, m)).cumsum(axis=1) + 0.3 * arm[:, None] * np.arange(1, m + 1) + 0.1 * base[:, None]
    seen = rng.uniform(size=(n, m)) > 0.1
    i, v = np.nonzero(seen)
    arms = np.where(arm[i] == 1, "b", "a")
    return pd.DataFrame(
        {
            "ID": [f"S{k:03d}" for k in i],
            "VISIT": [f"W{k}" for k in v],
            "ARM": arms,
            "SEX": np.where(i % 3 == 0, "F", "M"),
            "BASE": base[i],
            "Y": y[i, v],
        }
    )


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow"])
def test_property_frames_come_back_in_kind(trial: pd.DataFrame, kind: str) -> None:
    columns = ["CHG", "BASE", "AVISIT", "STRATUM", "TRT01P", "USUBJID"]
    plain = trial[columns].astype({"TRT01P": str})
    data: object = plain
    if kind == "polars":
        data = pl.from_pandas(plain).with_columns(pl.col("TRT01P").cast(pl.Enum(["Placebo", "Active"])))
    elif kind == "pyarrow":
        data = pa.Table.from_pandas(plain)
    fit = mmrm(FORMULA, data)
    tables = [
        fit.coefficients,
        fit.lsmeans("TRT01P", by="AVISIT").to_frame(),
        fit.contrasts("TRT01P", by="AVISIT").to_frame(),
        fit.test("TRT01P:AVISIT"),
        fit.residuals(),
    ]
    for table in tables:
        assert type(table) is type(data)
    reference = mmrm_cases.cases("fixtures")["alsfrs_us_reml"]
    assert fit.loglik == pytest.approx(reference["logLik"], rel=1e-10)
    sign = 1.0 if kind == "polars" else -1.0  # text levels are sorted: Active - Placebo needs the enum's order
    estimates = np.asarray(tables[2]["estimate"].to_numpy() if kind != "pyarrow" else tables[2]["estimate"].to_pylist())
    expected = reference["results"]["Kenward-Roger | Kenward-Roger"]["contrasts"]["estimate"]
    np.testing.assert_allclose(sign * estimates, expected, rtol=1e-6)


def test_property_summary_says_what_was_done(trial: pd.DataFrame) -> None:
    fit = mmrm(FORMULA, trial)
    text = fit.summary()
    for piece in (
        FORMULA,
        "unstructured",
        "677 observations, 113 subjects, 7 visits",
        "REML",
        "kenward-roger",
        "converged",
        "AVISIT[T.Week 28]:TRT01P[T.Active]",
        "Covariance matrix",
        "-1344.8472",
    ):
        assert piece in text
    assert max(map(len, text.splitlines())) <= 120
    assert str(fit) == text


def test_property_estimates_are_the_contrasts(trial: pd.DataFrame) -> None:
    fit = mmrm(FORMULA, trial)
    table = fit.contrasts("TRT01P", by="AVISIT").to_frame()
    estimates = fit.contrasts("TRT01P", by="AVISIT", estimand="treatment policy").estimates
    assert all(isinstance(e, Estimate) and e.status is Status.OK for e in estimates)
    assert [e.estimate for e in estimates] == table["estimate"].tolist()
    assert estimates[-1].name == "Active - Placebo at Week 28"
    assert "Kenward" in " ".join(estimates[0].references)
    own = fit.contrasts({"last": {"TRT01P[T.Active]": 1, "AVISIT[T.Week 28]:TRT01P[T.Active]": 1}}).to_frame()
    assert own["estimate"][0] == pytest.approx(table["estimate"].iloc[-1], rel=1e-12)
    assert own["df"][0] == pytest.approx(table["df"].iloc[-1], rel=1e-9)


def test_independent_lsmeans_weightings_by_hand() -> None:
    d = simulated()
    d.loc[::17, "Y"] = np.nan
    fit = mmrm("Y ~ BASE * VISIT + SEX * ARM + ARM * VISIT + us(VISIT | ID)", d)
    used = d[d["Y"].notna()]
    beta = dict(zip(fit.names, fit.beta, strict=True))

    def predict(arm: str, visit: str, female: float, base: float) -> float:
        total = beta["(Intercept)"] + beta["BASE"] * base + beta["SEX[T.M]"] * (1 - female)
        if visit != "W0":
            total += beta[f"VISIT[T.{visit}]"] + beta[f"BASE:VISIT[T.{visit}]"] * base
        if arm == "b":
            total += beta["ARM[T.b]"] + beta["SEX[T.M]:ARM[T.b]"] * (1 - female)
            if visit != "W0":
                total += beta[f"VISIT[T.{visit}]:ARM[T.b]"]
        return total

    def got(weights: str) -> dict[tuple[str, str], float]:
        table = fit.lsmeans("ARM", by="VISIT", weights=weights).to_frame()
        return {(a, v): e for a, v, e in zip(table["ARM"], table["VISIT"], table["estimate"], strict=True)}

    per_subject = used.groupby("ID").first()
    for key, value in got("equal").items():
        assert value == pytest.approx(predict(*key, 0.5, used["BASE"].mean()), rel=1e-10)
    for key, value in got("proportional").items():
        assert value == pytest.approx(predict(*key, (used["SEX"] == "F").mean(), used["BASE"].mean()), rel=1e-10)
    for key, value in got("observed").items():
        assert value == pytest.approx(predict(*key, (d["SEX"] == "F").mean(), d["BASE"].mean()), rel=1e-10)
    for key, value in got("counterfactual").items():
        each = [predict(*key, float(s == "F"), b) for s, b in zip(per_subject["SEX"], per_subject["BASE"], strict=True)]
        assert value == pytest.approx(np.mean(each), rel=1e-10)
    # g-computation carries the sampling of the subjects on top of the model-based variance
    table = fit.lsmeans("ARM", by="VISIT", weights="counterfactual").to_frame()
    rows = fit._grid("ARM", "VISIT", "counterfactual", None)[0].rows
    model_based = np.sqrt(np.einsum("ra,ab,rb->r", rows, fit.vcov, rows))
    key = (table["ARM"][0], table["VISIT"][0])
    each = [predict(*key, float(s == "F"), b) for s, b in zip(per_subject["SEX"], per_subject["BASE"], strict=True)]
    extra = np.var(each) / (len(each) - 1)
    assert table["se"][0] == pytest.approx(np.sqrt(model_based[0] ** 2 + extra), rel=1e-10)


def test_property_lsmeans_at_and_levels() -> None:
    fit = mmrm("Y ~ BASE * VISIT + ARM * VISIT + cs(VISIT | ID)", simulated())
    at = fit.lsmeans("ARM", by="VISIT", at={"BASE": 0.0}).to_frame()
    assert at["estimate"][0] == pytest.approx(fit.beta[0], rel=1e-12)
    wide, narrow = (fit.contrasts("ARM", by="VISIT", level=level).to_frame() for level in (0.99, 0.5))
    assert (wide["low"] < narrow["low"]).all()
    one = fit.contrasts("VISIT", against="W0").to_frame()
    assert one["contrast"].tolist() == ["W1 - W0", "W2 - W0", "W3 - W0"]
    with pytest.raises(EstimationError, match="'W9' is not a level"):
        fit.contrasts("VISIT", against="W9").to_frame()
    with pytest.raises(EstimationError, match="'COUNTRY' is not a factor"):
        fit.lsmeans("COUNTRY").to_frame()
    with pytest.raises(EstimationError, match="level = 95"):
        fit.lsmeans("ARM", level=95).to_frame()


def test_property_functions_in_the_formula() -> None:
    d = simulated()
    by_hand = d.assign(LOGB=np.log(d["BASE"]))
    a = mmrm("Y ~ log(BASE) + ARM * VISIT + us(VISIT | ID)", d)
    b = mmrm("Y ~ LOGB + ARM * VISIT + us(VISIT | ID)", by_hand)
    assert a.loglik == pytest.approx(b.loglik, rel=1e-12)
    np.testing.assert_allclose(a.beta, b.beta, rtol=1e-8)
    mean = a.lsmeans("ARM", by="VISIT").to_frame()["estimate"][0]
    assert mean == pytest.approx(
        b.lsmeans("ARM", by="VISIT", at={"LOGB": np.log(d["BASE"].mean())}).to_frame()["estimate"][0], rel=1e-10
    )


def test_property_rank_deficiency_is_named_and_the_rest_fitted() -> None:
    d = simulated()
    d["TWIN"] = 2.0 * d["BASE"] + 3.0
    full = mmrm("Y ~ BASE + ARM * VISIT + us(VISIT | ID)", d)
    with pytest.warns(MmrmWarning, match="aliased: TWIN"):
        fit = mmrm("Y ~ BASE + TWIN + ARM * VISIT + us(VISIT | ID)", d)
    assert fit.aliased == ("TWIN",)
    assert fit.loglik == pytest.approx(full.loglik, rel=1e-12)
    table = fit.coefficients.set_index("term")
    assert np.isnan(table.loc["TWIN", "estimate"])
    assert "aliased" in fit.summary()
    np.testing.assert_allclose(
        fit.contrasts("ARM", by="VISIT").to_frame()["se"], full.contrasts("ARM", by="VISIT").to_frame()["se"], rtol=1e-9
    )
    # a cell without data cannot be estimated, and is not
    empty = d[~((d["ARM"] == "b") & (d["VISIT"] == "W2"))]
    with pytest.warns(MmrmWarning, match=r"ARM\[T.b\]:VISIT\[T.W2\]"):
        fit = mmrm("Y ~ ARM * VISIT + us(VISIT | ID)", empty)
    means = fit.lsmeans("ARM", by="VISIT").to_frame()
    lost = (means["ARM"] == "b") & (means["VISIT"] == "W2")
    assert np.isnan(means.loc[lost, "estimate"]).all()
    assert means.loc[~lost, "se"].notna().all()


def test_property_duplicate_visits_are_named() -> None:
    d = simulated()
    with pytest.raises(DataError, match="ID S003 has 2 rows at VISIT W"):
        mmrm("Y ~ ARM * VISIT + us(VISIT | ID)", pd.concat([d, d[d["ID"] == "S003"].head(1)]))


def test_property_ladder_is_climbed_and_reported() -> None:
    d = simulated(n=9, m=8, seed=3)
    formula = "Y ~ ARM + us(VISIT | ID)"
    with pytest.warns(MmrmWarning, match="us was not used"):
        fit = mmrm(formula, d, fallback=("adh", "cs"))
    assert fit.converged
    assert fit.structure == fit.attempts[-1][0]
    assert fit.structure in ("adh", "cs")
    assert fit.attempts[0][0] == "us"
    assert "tried us before" in fit.summary()
    with pytest.warns(MmrmWarning, match="Standard errors are not given"):
        failed = mmrm(formula, d)
    assert not failed.converged
    assert np.isnan(failed.coefficients["se"]).all()
    assert np.isnan(failed.contrasts("ARM").to_frame()["p"]).all()
    assert np.isnan(failed.test("ARM")["f"]).all()
    assert all(e.status is not Status.OK for e in failed.contrasts("ARM").estimates)


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow"])
def test_property_visits_come_in_the_order_of_their_numbers(kind: str) -> None:
    """Week 10, Week 2, Week 4 as text: by the numbers in the names, by AVISITN where it is there, or as a category."""
    d = simulated(m=3).rename(columns={"VISIT": "AVISIT"})
    d["AVISIT"] = d["AVISIT"].map({"W0": "Week 2", "W1": "Week 4", "W2": "Week 10"})
    frames = {"pandas": lambda f: f, "polars": pl.from_pandas, "pyarrow": pa.Table.from_pandas}
    brought = frames[kind]
    formula = "Y ~ ARM * AVISIT + ar1(AVISIT | ID)"
    fit = mmrm(formula, brought(d))
    assert fit.visits == ("Week 2", "Week 4", "Week 10")
    shown = pl.from_pandas(fit.contrasts("ARM", by="AVISIT").to_frame()) if kind == "pandas" else None
    assert shown is None or shown["AVISIT"].to_list() == ["Week 2", "Week 4", "Week 10"]
    assert fit.messages == ()
    category = d.assign(AVISIT=pd.Categorical(d["AVISIT"], ["Week 2", "Week 4", "Week 10"], ordered=True))
    assert fit.loglik == pytest.approx(mmrm(formula, category).loglik, abs=1e-9)
    numbered = d.assign(AVISITN=d["AVISIT"].map({"Week 2": 3.0, "Week 4": 2.0, "Week 10": 1.0}))
    assert mmrm(formula, brought(numbered)).visits == ("Week 10", "Week 4", "Week 2")
    shared = d.assign(AVISITN=1.0)  # one number for all names says nothing
    assert mmrm(formula, brought(shared)).visits == ("Week 2", "Week 4", "Week 10")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"df": "kr"}, EstimationError, "unknown df method 'kr'"),
        ({"reml": False}, EstimationError, "needs REML"),
        ({"vcov": "empirical"}, EstimationError, "does not go with"),
        ({"df": "satterthwaite", "vcov": "hc3"}, EstimationError, "unknown vcov 'hc3'"),
        ({"vcov": "model"}, EstimationError, "brings its own covariance"),
        ({"weights": "W"}, DataError, "no column 'W'"),
        ({"weights": [1.0]}, DataError, "1 weights for"),
        ({"fallback": ("un",)}, EstimationError, "cannot fall back to 'un'"),
    ],
)
def test_property_options_are_checked(options: dict, error: type, message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        mmrm("Y ~ ARM + us(VISIT | ID)", simulated(), **options)
    assert caught.value.hint


def test_property_data_are_checked() -> None:
    d = simulated()
    formula = "Y ~ ARM + us(VISIT | ID)"
    with pytest.raises(DataError, match="no column 'Z'"):
        mmrm("Y ~ Z + us(VISIT | ID)", d)
    with pytest.raises(DataError, match="is not a data frame"):
        mmrm(formula, [1, 2])
    with pytest.raises(DataError, match="not a number"):
        mmrm("ARM ~ Y + us(VISIT | ID)", d)
    with pytest.raises(DataError, match="no row has all"):
        mmrm(formula, d.assign(Y=np.nan))
    with pytest.raises(DataError, match="infinite in row 1"):
        mmrm(formula, d.assign(Y=np.inf))
    with pytest.raises(DataError, match="positive and finite"):
        mmrm(formula, d, weights=np.zeros(len(d)))
    with pytest.raises(EstimationError, match="ARM changes within"):
        mmrm("Y ~ 1 + us(VISIT | ARM / ID)", d.assign(ARM=np.where(np.arange(len(d)) % 2, "a", "b")))
    with pytest.raises(DataError, match="needs a number"):
        mmrm("Y ~ ARM + sp_exp(VISIT | ID)", d)
    with pytest.raises(DataError, match="one visit only"):
        mmrm("Y ~ ARM + cs(VISIT | ID)", d[d["VISIT"] == "W1"])


def test_independent_one_visit_is_least_squares() -> None:
    d = simulated().query("VISIT == 'W1'")
    fit = mmrm("Y ~ BASE + ARM + us(VISIT | ID)", d, df="kenward-roger-linear")
    x = np.column_stack([np.ones(len(d)), d["BASE"], d["ARM"] == "b"]).astype(float)
    beta, rss, *_ = np.linalg.lstsq(x, d["Y"].to_numpy(), rcond=None)
    np.testing.assert_allclose(fit.beta, beta, rtol=1e-9)
    s2 = rss[0] / (len(d) - 3)
    np.testing.assert_allclose(fit.coefficients["se"], np.sqrt(s2 * np.diag(np.linalg.inv(x.T @ x))), rtol=1e-8)
    np.testing.assert_allclose(fit.coefficients["df"], len(d) - 3, rtol=1e-8)


def test_independent_residuals() -> None:
    d = simulated()
    fit = mmrm("Y ~ BASE * VISIT + ARM * VISIT + us(VISIT | ID)", d)
    r = d["Y"].to_numpy() - fit.design.matrix() @ fit.beta
    np.testing.assert_allclose(fit.residuals()["residual"], r, rtol=1e-10)
    sd = np.sqrt(np.diag(fit.covariance))
    visit = d["VISIT"].str[1:].astype(int).to_numpy()
    np.testing.assert_allclose(fit.residuals("pearson")["residual"], r / sd[visit], rtol=1e-10)
    normal = fit.residuals("normalized")
    first = d["ID"] == "S000"
    block = fit.covariance[np.ix_(visit[first], visit[first])]
    white = normal.loc[first.to_numpy(), "residual"].to_numpy()
    np.testing.assert_allclose(np.linalg.cholesky(block) @ white, r[first], rtol=1e-9)
    with pytest.raises(EstimationError, match="unknown kind"):
        fit.residuals("deviance")


def test_property_nothing_is_said_when_all_is_well() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert mmrm("Y ~ ARM * VISIT + us(VISIT | ID)", simulated()).messages == ()


@pytest.mark.parametrize("df", ["satterthwaite", "kenward-roger-linear"])
def test_independent_type_three_is_the_test_under_sum_coding(df: str) -> None:
    d = simulated()
    fit = mmrm("Y ~ BASE * VISIT + SEX * ARM + ARM * VISIT + us(VISIT | ID)", d, df=df)
    table = fit.anova().set_index("terms")
    coded = d.assign(A=np.where(d["ARM"] == "a", 1.0, -1.0), S=np.where(d["SEX"] == "F", 1.0, -1.0))
    for k in range(3):
        coded[f"V{k}"] = (d["VISIT"] == f"W{k}").astype(float) - (d["VISIT"] == "W3").astype(float)
    v = ["V0", "V1", "V2"]
    pieces = ["BASE", *v, "S", "A", "S:A", *(f"BASE:{x}" for x in v), *(f"A:{x}" for x in v)]
    other = mmrm(f"Y ~ {' + '.join(pieces)} + us(VISIT | ID)", coded, df=df)
    groups = {
        "BASE": ["BASE"],
        "VISIT": v,
        "SEX": ["S"],
        "ARM": ["A"],
        "SEX:ARM": ["S:A"],
        "BASE:VISIT": [f"BASE:{x}" for x in v],
        "VISIT:ARM": [f"A:{x}" for x in v],
    }
    names = {frozenset(n.split(":")): n for n in other.names}
    assert set(table.index) == set(groups)
    for term, columns in groups.items():
        expected = other.test([names[frozenset(c.split(":"))] for c in columns])
        for column in ("num_df", "den_df", "f", "p"):
            assert table.loc[term, column] == pytest.approx(expected[column].iloc[0], rel=1e-6), (term, column)
    # the highest-order terms do not depend on the coding
    assert table.loc["VISIT:ARM", "f"] == pytest.approx(fit.test("ARM:VISIT")["f"].iloc[0], rel=1e-9)


def test_property_type_three_names_its_terms_and_needs_full_rank() -> None:
    d = simulated()
    fit = mmrm("Y ~ ARM + C(VISIT) + us(VISIT | ID)", d)
    assert fit.anova()["terms"].tolist() == ["ARM", "C(VISIT)"]
    with pytest.warns(MmrmWarning, match="aliased"):
        lost = mmrm("Y ~ ARM + BASE + TWIN + us(VISIT | ID)", d.assign(TWIN=2.0 * d["BASE"]))
    with pytest.raises(EstimationError, match="full rank"):
        lost.anova()


def test_property_visits_without_a_response_are_named(trial: pd.DataFrame) -> None:
    data = trial.copy()
    data.loc[data["AVISIT"] == "Week 08", "CHG"] = np.nan
    with pytest.warns(MmrmWarning, match="no record of AVISIT Week 08 can be analysed"):
        fit = mmrm("CHG ~ AVISIT + us(AVISIT | USUBJID)", data)
    assert "Week 08" not in [str(v) for v in fit.visits]
