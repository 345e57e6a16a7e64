"""Results of times to an event, ranks and decisions: one way to ask, one shape of answer."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import equipoise as eq
from equipoise.decision.fixed_order import ClosedSequence
from equipoise.errors import EquipoiseError, EstimationError
from equipoise.estimate.fit import COLUMNS, Fit

_G = np.random.default_rng(7)
_N = 80
PATIENTS = pl.DataFrame(
    {
        "T": _G.exponential(10.0, _N).round(1) + 0.1,
        "E": (_G.random(_N) < 0.7).astype(int),
        "ARM": _G.choice(["a", "b"], _N),
        "AGE": _G.normal(60.0, 9.0, _N).round(),
        "SITE": _G.choice(["x", "y"], _N),
        "HOW": _G.integers(0, 3, _N),
        "ON": np.zeros(_N),
        "ID": [f"P{i}" for i in range(_N)],
    }
).with_columns(CNSR=1 - pl.col("E"), START=pl.col("T") * 0.1, ON=pl.col("T") * (pl.col("ARM") == "b"))
VISITS = pl.concat(
    [
        PATIENTS.select("ID", "ARM", "SITE", "AGE").with_columns(
            WEEK=pl.lit(float(w)), CHG=pl.Series(_G.normal(-w / 10.0, 2.0, _N).round(2))
        )
        for w in (4, 8)
    ]
)
NAMES: dict[str, Any] = {"subject": "ID", "visit": "WEEK", "arm": "ARM", "covariates": ["AGE"]}
LONG: dict[str, Any] = {**NAMES, "time": "T", "censor": None, "event": "E"}
NAMED = {"time": "T", "event": "E", "arm": "ARM"}
HOW = {"time": "T", "cause": "HOW", "arm": "ARM"}
HIERARCHY = [eq.Time("T", event="E"), eq.Value("AGE")]

BOTH_WAYS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "kaplan_meier": (lambda f: eq.kaplan_meier("Surv(T, E) ~ ARM", f), lambda f: eq.kaplan_meier(f, **NAMED)),
    "kaplan_meier, entry": (
        lambda f: eq.kaplan_meier("Surv(START, T, 1 - CNSR) ~ 1", f),
        lambda f: eq.kaplan_meier(f, time="T", censor="CNSR", entry="START"),
    ),
    "log_rank": (
        lambda f: eq.log_rank("Surv(T, E) ~ ARM + strata(SITE)", f),
        lambda f: eq.log_rank(f, **NAMED, strata="SITE"),
    ),
    "max_combo": (lambda f: eq.max_combo("Surv(T, 1 - CNSR) ~ ARM", f), lambda f: eq.max_combo(f, **NAMED)),
    "cox": (
        lambda f: eq.cox("Surv(START, T, E) ~ ARM + AGE + strata(SITE)", f),
        lambda f: eq.cox(f, **NAMED, entry="START", covariates=["AGE"], strata=["SITE"]),
    ),
    "rmst": (
        lambda f: eq.rmst("Surv(T, E) ~ ARM + AGE", f, tau=9.0),
        lambda f: eq.rmst(f, **NAMED, covariates="AGE", tau=9.0),
    ),
    "landmark": (
        lambda f: eq.landmark("Surv(T, 1 - CNSR) ~ ARM + strata(SITE)", f, at=[4.0, 8.0]),
        lambda f: eq.landmark(data=f, **NAMED, strata="SITE", at=[4.0, 8.0]),
    ),
    "cumulative_incidence": (
        lambda f: eq.cumulative_incidence("Surv(T, HOW) ~ ARM", f),
        lambda f: eq.cumulative_incidence(f, **HOW),
    ),
    "incidence_difference": (
        lambda f: eq.incidence_difference("Surv(T, HOW) ~ ARM", f, of=1, at=[4.0, 8.0]),
        lambda f: eq.incidence_difference(f, **HOW, of=1, at=[4.0, 8.0]),
    ),
    "gray_test": (
        lambda f: eq.gray_test("Surv(T, HOW) ~ ARM + strata(SITE)", f, of=1),
        lambda f: eq.gray_test(f, **HOW, of=1, strata=["SITE"]),
    ),
    "cause_specific": (
        lambda f: eq.cause_specific("Surv(T, HOW) ~ ARM + AGE + strata(SITE)", f, of=1),
        lambda f: eq.cause_specific(f, **HOW, of=1, covariates=["AGE"], strata="SITE"),
    ),
    "fine_gray": (
        lambda f: eq.fine_gray("Surv(T, HOW) ~ ARM + AGE", f, of=1),
        lambda f: eq.fine_gray(f, **HOW, of=1, covariates=["AGE"]),
    ),
    "rpsftm": (
        lambda f: eq.rpsftm("Surv(T, E) ~ ARM", f, on="ON", recensor=False, points=21),
        lambda f: eq.rpsftm(f, **NAMED, on="ON", recensor=False, points=21),
    ),
}
RESULTS: dict[str, Callable[[], Any]] = {
    **{name: (lambda made=pair[0]: made(PATIENTS)) for name, pair in BOTH_WAYS.items()},
    "recurrent": lambda: eq.recurrent(
        "Surv(START, T, E) ~ ARM", PATIENTS.with_columns(START=pl.col("T") * 0.5), subject="ID", at=5
    ),
    "proportionality": lambda: eq.cox("Surv(T, E) ~ ARM", PATIENTS).proportionality(),
    "joint_rank": lambda: eq.joint_rank(VISITS, PATIENTS, at=8, n_imputations=2, burn_in=2, **LONG),
    "cafs": lambda: eq.cafs(VISITS, PATIENTS, up_to=8, **LONG),
    "win_statistics": lambda: eq.win_statistics(PATIENTS, HIERARCHY, arm="ARM", strata="SITE"),
    "win_regression": lambda: eq.win_regression(PATIENTS, HIERARCHY, ["ARM", "AGE"]),
    "closed_sequence": lambda: eq.closed_sequence([eq.log_rank(PATIENTS, **NAMED).estimates[0], ("second", 0.2)]),
    "Graph": lambda: eq.Graph.holm(["x", "y"]).test({"x": 0.01, "y": 0.2}),
    "serial_gatekeeping": lambda: eq.serial_gatekeeping([{"x": 0.01}, {"y": 0.2}]),
}


#: What is public under these headings and gives no result: the words of a question, not answers.
NO_RESULT = {
    "deterioration",
    "DeteriorationRule",
    "Time",
    "Value",
    "Binary",
    "HaybittlePeto",
    "HwangShihDeCani",
    "OBrienFlemingSpending",
    "PocockSpending",
    "PowerSpending",
    "WangTsiatis",
    "FixedFutility",
    "conditional_power",
    "predictive_power",
    "InverseNormal",
}


@pytest.mark.parametrize("heading", ["Times to an event", "Ranks and wins", "Decisions"])
def test_property_no_public_result_is_forgotten(heading: str) -> None:
    held = {*RESULTS, *NO_RESULT, "group_sequential"}  # a design has looks for estimates: see the test of decisions
    assert not set(eq.SURFACE[heading]) - held


@pytest.mark.parametrize("name", RESULTS)
def test_property_every_result_keeps_the_contract(name: str) -> None:
    made = RESULTS[name]()
    assert isinstance(made, Fit)
    assert isinstance(made.estimates, tuple)
    assert made.estimates
    frame = made.to_frame()
    assert tuple(frame.columns[-len(COLUMNS) :]) == COLUMNS
    assert len(frame) == len(made.estimates)
    assert frame["term"].null_count() == 0
    for told in (str(made), made.summary()):
        assert "array(" not in told
        assert max(map(len, told.splitlines())) < 200
    assert 2 < len(str(made).splitlines()) < 40
    assert "\n" not in repr(made)
    assert "array(" not in repr(made)
    assert made._repr_html_().startswith(("<table>", "<pre>"))
    assert list(made.confint().columns)[-2:] == ["low", "high"]
    if name != "rpsftm":  # its limits come from inverting a test: level= of the function
        pairs = zip(made.at_level(0.5), made.at_level(0.99), strict=True)
        assert all(w.low <= n.low and n.high <= w.high for n, w in pairs if n.estimable and n.form != "p_only")
    if all(e.form == "p_only" for e in made.estimates):
        with pytest.raises(EstimationError, match="nothing to draw"):
            made.plot()
    else:
        assert made.plot().description


@pytest.mark.parametrize("name", BOTH_WAYS)
def test_property_a_formula_and_names_of_columns_say_the_same(name: str) -> None:
    formula, named = BOTH_WAYS[name]
    for frame in (PATIENTS, PATIENTS.to_pandas()):
        one, other = formula(frame).to_frame(), named(frame).to_frame()
        assert type(one) is type(frame)
        one, other = (pl.from_pandas(f) if isinstance(f, pd.DataFrame) else f for f in (one, other))
        assert one.equals(other, null_equal=True), (one, other)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: eq.rmst("Surv(T, E) ~ ARM", PATIENTS, time="T"), "a formula and time="),
        (lambda: eq.cox("Surv(T, E) ~ ARM", PATIENTS, strata=["SITE"]), "a formula and strata="),
        (lambda: eq.kaplan_meier(PATIENTS), "neither a formula nor time="),
        (lambda: eq.log_rank(PATIENTS, time="T", arm="ARM"), "give either event or censor"),
        (lambda: eq.cox("Surv(T, E) ~ ARM"), "no data"),
        (lambda: eq.gray_test(PATIENTS, time="T", of=1), "no cause="),
        (lambda: eq.fine_gray(PATIENTS, time="T", of=1), "no cause="),
        (lambda: eq.rmst("Surv(T, E) ~ ARM + strata(SITE)", PATIENTS), "takes no strata|strata in"),
        (lambda: eq.landmark("Surv(T, E) ~ ARM + AGE", PATIENTS, at=4), "2 terms"),
        (lambda: eq.landmark("Surv(START, T, E) ~ ARM", PATIENTS, at=4), "late entry"),
        (lambda: eq.rmst("Surv(T, E) ~ log(AGE)", PATIENTS), "is no column"),
        (lambda: eq.rmst("Surv(T, E) ~ 1", PATIENTS), "no arm"),
        (lambda: eq.cumulative_incidence("Surv(T, 1 - HOW) ~ ARM", PATIENTS), "cannot read the formula"),
        (lambda: eq.kaplan_meier(PATIENTS, **NAMED)["c"], "no curve of 'c'"),
    ],
)
def test_property_what_was_asked_for_is_named(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(EquipoiseError, match=words) as found:
        call()
    assert found.value.hint


def test_independent_curves_of_groups() -> None:
    curves = eq.kaplan_meier("Surv(T, E) ~ ARM", PATIENTS)
    assert curves.groups == ("a", "b")
    assert [c.group for c in curves] == ["a", "b"]
    assert curves["b"] is curves[1]
    assert len(curves) == 2
    apart = eq.kaplan_meier(PATIENTS.filter(ARM="b"), time="T", event="E")[0]
    assert apart.survival.tolist() == curves["b"].survival.tolist()
    asked = curves.predict(at=[5.0, 1e6])
    assert asked["survival"][2] == apart.at(5.0)[0]
    assert asked["at_risk"][2] == int((PATIENTS.filter(ARM="b")["T"] >= 5.0).sum())
    assert asked.columns == ["group", "time", "at_risk", "survival", "se", "low", "high"]
    wide = curves.at_level(0.99)
    assert wide[0].low < curves.estimates[0].low < curves.estimates[0].estimate < curves.estimates[0].high
    again = eq.kaplan_meier(PATIENTS, **NAMED, level=0.99).estimates
    assert [(e.low, e.high) for e in wide] == [(e.low, e.high) for e in again]
    incidence = eq.cumulative_incidence("Surv(T, HOW) ~ ARM", PATIENTS)
    at = incidence.predict(at=5.0)
    assert at.height == 4
    assert at["incidence"][3] == incidence["b"].at(5.0, 2)[0]
    assert incidence.at_level(0.9)[0].low == eq.cumulative_incidence(PATIENTS, **HOW, level=0.9).estimates[0].low


def test_independent_cox_predicts() -> None:
    fit = eq.cox("Surv(T, E) ~ ARM + AGE", PATIENTS)
    new = pl.DataFrame({"ARM": ["a", "b"], "AGE": [50.0, 70.0]})
    x = np.array([[0.0, 50.0], [1.0, 70.0]])
    away = x - np.array([(PATIENTS["ARM"] == "b").mean(), PATIENTS["AGE"].mean()])
    risk = fit.predict(new, kind="risk")
    np.testing.assert_allclose(risk["risk"], np.exp(away @ fit.beta), rtol=1e-12)
    se = [math.sqrt(a @ fit.vcov @ a) for a in away]
    np.testing.assert_allclose(risk["se"], se, rtol=1e-12)
    np.testing.assert_allclose(risk["low"], np.exp(away @ fit.beta - 1.959963984540054 * np.array(se)), rtol=1e-12)
    baseline = fit.baseline()
    hazard = baseline.filter(pl.col("time") <= 5.0)["hazard"][-1]
    some = fit.predict(new, at=[5.0, 1e6])
    np.testing.assert_allclose(some["survival"].to_list()[::2], np.exp(-hazard * np.exp(x @ fit.beta)), rtol=1e-10)
    assert math.isnan(some["survival"][1])
    every = fit.predict(new)
    assert every.filter((pl.col("patient") == 0) & (pl.col("time") <= 5.0))["survival"][-1] == some["survival"][0]
    assert fit.predict(new, at=5.0, level=0.5)["low"][0] > some["low"][0]
    with pytest.raises(EstimationError, match="unknown kind"):
        fit.predict(new, kind="odds")


def test_independent_cox_prints_what_r_prints() -> None:
    fit = eq.cox(
        "Surv(T, E) ~ ARM + AGE", PATIENTS.with_columns(AGE=pl.when(pl.col("ID") == "P3").then(None).otherwise("AGE"))
    )
    told = str(fit)
    assert len(told) < 1200
    for words in (
        f"{fit.n}, {fit.events} events",
        "likelihood ratio",
        "Wald",
        "score",
        "concordance",
        "hazard ratio",
        "95 % CI",
        "ARM[T.b]",
        "1 row left out: 1 without AGE",
    ):
        assert words in told
    assert f"{fit.likelihood_ratio[2]:.4f}" in told
    wide = eq.cox("Surv(T, E) ~ ARM", PATIENTS, level=0.9)
    assert "90 % CI" in str(wide)
    assert wide.estimates == wide.at_level(0.9)
    assert fit.estimates[0].to_row()["contrast"] == "b / a"


def test_property_decisions_are_results() -> None:
    made = eq.closed_sequence([("first", 0.01), ("second", None), ("third", 0.001)])
    assert isinstance(made, ClosedSequence)
    assert made["third"].verdict == "nominal"
    assert made[0].name == "first"
    assert made.significant == ("first",)
    assert made.to_frame()["verdict"].to_list() == ["significant", "not significant", "nominal"]
    assert made.to_frame()["status"].to_list() == ["ok", "no_data", "ok"]
    with pytest.raises(EstimationError, match="no test 'x'"):
        made["x"]
    graph = eq.Graph.holm(["x", "y"]).test({"x": 0.01, "y": 0.2})
    assert graph.to_frame()["rejected"].to_list() == [True, False]
    assert graph.to_frame()["p"].to_list() == [graph.adjusted["x"], graph.adjusted["y"]]
    design = eq.group_sequential([0.5, 1.0], futility=eq.HwangShihDeCani(-2.0))
    assert design.to_frame()["upper_z"].to_list() == design.upper.tolist()
    assert "look 2" in str(design)
    assert f"{design.upper[0]:.3f}" in str(design)
    assert "efficacy from 2.96" in design.plot().description
    assert design._repr_html_().startswith("<pre>")
