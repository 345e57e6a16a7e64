"""Each kind of analysis on a block of virtual trials against the door for one trial, on the same data."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from equipoise.estimate.linear.ancova import ancova
from equipoise.estimate.linear.clda import clda
from equipoise.estimate.linear.mmrm import mmrm
from equipoise.estimate.linear.slope import slope
from equipoise.estimate.survival import cox, log_rank
from equipoise.estimate.survival.kaplan_meier import kaplan_meier
from equipoise.estimate.survival.kernels import kaplan_meier as kernel
from equipoise.plan.block import analyse
from equipoise.plan.compiled import CarriedForward, MixedModel, Slopes, TimeToEvent
from equipoise.plan.key import Key
from equipoise.plan.read_keys import own_key, read
from equipoise.plan.scenario_plan import AnalysisPlan
from equipoise.simulate import Scenario, Simulator
from equipoise.trial import Trials
from equipoise.types import WEEKS_PER_MONTH

PLAN = AnalysisPlan(
    imputations=2,
    analyses=(
        CarriedForward(id="locf", variable="ALSFRS", set="ITT", week=28, covariates=("BASE", "PRESLOPE")),
        CarriedForward(id="locf_part", variable="ALSFRS", set="F", week=28, observed_to=12),
        MixedModel(id="mmrm", variable="ALSFRS", set="ITT", week=12, covariates=("BASE",)),
        MixedModel(id="clda", variable="ALSFRS", set="ITT", week=12, constrained=True),
        Slopes(id="slopes", variable="ALSFRS", set="ITT", week=28, covariates=("PRESLOPE",)),
        TimeToEvent(
            id="dthpv",
            event="death_or_ventilation",
            set="ITT",
            week=52,
            covariates=("PRESLOPE",),
            strata=("RILFL", "EDAFL"),
        ),
    ),
    order=("slopes.slope", "locf.ancova", "mmrm.mmrm", "dthpv.wilcoxon"),
)


@pytest.fixture(scope="module")
def trials(valor: Scenario) -> Trials:
    frequent = valor.disease.model_copy(update={"event_hazard": 0.01, "missed_visit": 0.1})
    bare = {m: h.model_copy(update={"disease": {}}) for m, h in valor.mechanisms.items()}
    scenario = valor.model_copy(update={"disease": frequent, "mechanisms": bare})
    return Simulator.of(scenario).block(3, 0, 2)


@pytest.fixture(scope="module")
def results(trials: Trials) -> Any:
    return analyse(trials, PLAN)


def rows(trials: Trials, week: float, *, i: int = 1) -> pl.DataFrame:
    """Trial ``i``: one row a patient and visit seen, with covariates and the baseline."""
    t = trials[i]
    long = t.visits.filter((pl.col("PARAMCD") == "ALSFRS") & (pl.col("AVISITN") <= week))
    keep = t.subjects.select("USUBJID", "GROUP", "PRESLOPE", "RILFL", "EDAFL")
    return long.join(keep, on="USUBJID").with_columns(
        VISIT=pl.col("AVISITN").cast(pl.Int64).cast(pl.String).str.zfill(2), MONTH=pl.col("AVISITN") / WEEKS_PER_MONTH
    )


def stats(results: Any, key: str, week: float | None) -> np.ndarray:
    """Estimate, standard error and df of control, active and difference, in the second trial."""
    names = ("arm_mean", "contrast") if week is not None else ("arm_slope", "slope_difference")
    found = {a.id: (a, form) for a, form in PLAN.lowered()}[key]
    arms = ("placebo", "tofersen")
    wanted = [Key(names[0], analysis=key, arm=arm, week=week) for arm in arms] + [
        Key(names[1], analysis=key, week=week)
    ]
    made = [results[own_key(*found, one, arms)[0]] for one in wanted]
    return np.array([getattr(e, name)[1] for e in made for name in ("value", "se", "df")])


def contrast(frame: Any, what: str, **where: Any) -> tuple[float, float, float]:
    for name, value in where.items():
        frame = frame.filter(pl.col(name) == value)
    row = frame.row(0, named=True)
    return row[what], row["se"], row["df"]


def test_independent_carried_forward_is_the_ancova_of_the_last_value(trials: Trials, results: Any) -> None:
    for week in (8.0, 28.0):
        last = (
            rows(trials, week).filter(pl.col("AVISITN") > 0).sort("AVISITN").group_by("USUBJID").last().sort("USUBJID")
        )
        fit = ancova("CHG ~ TRT01P + BASE + PRESLOPE", last)
        made = stats(results, "locf", week)
        means = {r["TRT01P"]: r for r in fit.lsmeans("TRT01P").to_frame().iter_rows(named=True)}
        for arm, (at, se) in zip(trials.arms, ((0, 1), (3, 4)), strict=True):
            np.testing.assert_allclose(made[[at, se]], [means[arm]["estimate"], means[arm]["se"]], rtol=1e-10)
        assert made[8] == fit.df
        np.testing.assert_allclose(
            made[6], means[trials.arms[1]]["estimate"] - means[trials.arms[0]]["estimate"], rtol=1e-9
        )


def test_independent_who_left_early_takes_no_part(trials: Trials, results: Any) -> None:
    seen = rows(trials, 28).filter((pl.col("GROUP") == "F") & (pl.col("AVISITN") > 0))
    stayed = seen.filter(pl.col("AVISITN") >= 12).get_column("USUBJID").unique()
    assert 0 < len(stayed) < seen.get_column("USUBJID").n_unique()
    last = seen.filter(pl.col("USUBJID").is_in(stayed.to_list())).sort("AVISITN").group_by("USUBJID").last()
    fit = ancova("CHG ~ TRT01P", last)
    made = stats(results, "locf_part", 28)
    means = fit.lsmeans("TRT01P").to_frame().sort("TRT01P").get_column("estimate").to_numpy()
    np.testing.assert_allclose([made[0], made[3]], means, rtol=1e-10)


def test_independent_mmrm_of_a_block_is_the_mmrm_of_one_trial(trials: Trials, results: Any) -> None:
    data = rows(trials, 12).filter(pl.col("AVISITN") > 0)
    fit = mmrm("CHG ~ TRT01P * VISIT + BASE * VISIT + us(VISIT | USUBJID)", data, df="kenward-roger-linear")
    made = stats(results, "mmrm", 12)
    low, high = (
        fit.lsmeans("TRT01P", by="VISIT")
        .to_frame()
        .filter(pl.col("VISIT") == "12")
        .sort("TRT01P")
        .iter_rows(named=True)
    )
    means = [low["estimate"], low["se"], high["estimate"], high["se"]]
    np.testing.assert_allclose(made[[0, 1, 3, 4]], means, rtol=1e-5)
    found = fit.contrasts("TRT01P", by="VISIT").to_frame().filter(pl.col("VISIT") == "12").row(0, named=True)
    np.testing.assert_allclose(abs(made[6]), abs(found["estimate"]), rtol=1e-5)
    np.testing.assert_allclose(made[[7, 8]], [found["se"], found["df"]], rtol=1e-5)


def test_independent_constrained_model_of_a_block_is_that_of_one_trial(trials: Trials, results: Any) -> None:
    fit = clda("AVAL ~ us(VISIT | USUBJID)", rows(trials, 12), arm="TRT01P", baseline="00")
    for week in (2.0, 12.0):
        made = stats(results, "clda", week)
        by = (
            fit.contrasts("TRT01P", by="VISIT").to_frame().filter(pl.col("VISIT") == f"{week:02.0f}").row(0, named=True)
        )
        np.testing.assert_allclose(abs(made[6]), abs(by["estimate"]), rtol=1e-5)
        np.testing.assert_allclose(made[[7, 8]], [by["se"], by["df"]], rtol=1e-5)
        means = fit.lsmeans("TRT01P", by="VISIT").to_frame().sort("VISIT", "TRT01P")
        levels = means.get_column("estimate").to_numpy().reshape(-1, 2)
        row = list(means.get_column("VISIT").unique().sort()).index(f"{week:02.0f}")
        np.testing.assert_allclose(made[[0, 3]], levels[row] - levels[0, 0], rtol=1e-4)


def test_independent_slopes_of_a_block_are_those_of_one_trial(trials: Trials, results: Any) -> None:
    data = rows(trials, 28)
    centred = data.with_columns(PRESLOPE=pl.col("PRESLOPE") - data.get_column("PRESLOPE").mean())
    active = centred.with_columns(ON=(pl.col("TRT01P") == trials.arms[1]).cast(pl.Float64))
    fit = slope("AVAL ~ MONTH + PRESLOPE + MONTH:PRESLOPE + MONTH:ON + (MONTH | USUBJID)", active)
    table = {r["term"]: r for r in fit.coefficients.iter_rows(named=True)}
    made = stats(results, "slopes", None)
    mine, control = table["MONTH:ON"], table["MONTH"]
    np.testing.assert_allclose(made[[6, 7, 8]], [mine["estimate"], mine["se"], mine["df"]], rtol=1e-5)
    np.testing.assert_allclose(made[[0, 1]], [control["estimate"], control["se"]], rtol=1e-5)
    level = stats(results, "slopes", 28)
    month = 28 / WEEKS_PER_MONTH
    np.testing.assert_allclose(level[6], made[6] * month, rtol=1e-9)
    np.testing.assert_allclose(level[0], table["(Intercept)"]["estimate"] + control["estimate"] * month, rtol=1e-6)


def test_independent_tests_of_times_are_those_of_one_trial(trials: Trials, results: Any) -> None:
    t = trials[1]
    data = t.events.filter(pl.col("PARAMCD") == "DTHPV").join(
        t.subjects.select("USUBJID", "PRESLOPE", "RILFL", "EDAFL"), on="USUBJID"
    )
    quantities = ["p_log_rank", "observed_minus_expected", "p_wilcoxon", "observed_minus_expected_wilcoxon", "contrast"]
    made = read(trials, [Key(q, analysis="dthpv") for q in quantities], PLAN, results).T
    for rho, p, excess in ((0.0, *made[:2]), (1.0, *made[2:4])):
        test = log_rank("Surv(AVAL, 1 - CNSR) ~ TRT01P + strata(RILFL, EDAFL)", data, rho=rho)
        assert test.groups[1] == trials.arms[1]
        np.testing.assert_allclose(p[1], test.p, rtol=1e-10)
        np.testing.assert_allclose(excess[1], test.observed[1] - test.expected[1], rtol=1e-10)
    fit = cox("Surv(AVAL, 1 - CNSR) ~ TRT01P + PRESLOPE", data)
    np.testing.assert_allclose(made[4, 1], fit.beta[0], rtol=1e-8)


def test_independent_kaplan_meier_of_a_block_is_that_of_one_trial(trials: Trials) -> None:
    t = trials[1]
    data = t.events.filter(pl.col("PARAMCD") == "DTHPV").with_columns(EVENT=1 - pl.col("CNSR"))
    for curve in kaplan_meier(data, time="AVAL", event="EVENT", arm="TRT01P"):
        keys = [
            Key("survival", variable="death_or_ventilation", set="ITT", arm=curve.group, week=w) for w in (0.5, 30, 52)
        ] + [
            Key("median_survival", variable="death_or_ventilation", statistic=u, set="ITT", arm=curve.group)
            for u in ("weeks", "days")
        ]
        made = read(trials, keys)[1]
        np.testing.assert_allclose(made[:3], [curve.at(w)[0] for w in (0.5, 30.0, 52.0)], rtol=1e-12)
        median = curve.quantile(0.5)[0]
        expected = np.inf if np.isnan(median) else median
        np.testing.assert_allclose(made[3:], [expected, 7 * expected])


def test_property_kaplan_meier_by_hand() -> None:
    """Ties, an event and a censoring at one time, a flat stretch at one half, and nobody."""
    time = np.array([[3.0, 5.0, 5.0, 7.0, 9.0, 9.0], [1.0, 2.0, 3.0, 4.0, 0.0, 0.0], [1.0] * 6])
    event = np.array([[1, 1, 0, 0, 1, 1], [1, 1, 0, 1, 0, 0], [1] * 6], dtype=bool)
    include = np.array([[1] * 6, [1, 1, 1, 1, 0, 0], [0] * 6], dtype=bool)
    made = kernel.survival_at(time, event, include, [2.9, 3.0, 5.0, 8.0, 9.0, 10.0])
    np.testing.assert_allclose(made[0], [1, 5 / 6, 4 / 6, 4 / 6, 0, 0])
    np.testing.assert_allclose(made[1], [0.5, 0.5, 0, 0, 0, 0])
    assert np.isnan(made[2]).all()
    found = kernel.quantile(time, event, include)
    np.testing.assert_allclose(found[:2], [9.0, 3.0])  # flat at one half from 2 to 4
    assert np.isnan(found[2])
    assert np.isinf(kernel.quantile(time[:1], np.zeros((1, 6), bool), include[:1])[0])
    assert np.isnan(kernel.survival_at(time[:1], np.zeros((1, 6), bool), include[:1], [10.0])[0, 0])


def test_independent_what_was_seen_is_averaged(trials: Trials) -> None:
    score = trials.outcomes["ALSFRS"][1]
    at = trials.visit_index(16)
    change, arm = score[:, at] - score[:, 0], trials.arm[1]
    wanted = [
        Key("observed_change", variable="ALSFRS", statistic="sd", set="ITT", arm=trials.arms[1], week=16),
        Key("observed_change", variable="ALSFRS", statistic="mean", set="ITT", week=16),
        Key("observed_level", variable="ALSFRS", statistic="mean", set="ITT", arm=trials.arms[0], week=16),
    ]
    made = read(trials, wanted)[1]
    means = [np.nanmean(change[arm == a]) for a in (0, 1)]
    expected = [np.nanstd(change[arm == 1], ddof=1), means[1] - means[0], np.nanmean(score[arm == 0, at])]
    np.testing.assert_allclose(made, expected, rtol=1e-12)


def test_property_measures_of_the_new_kinds_are_read(trials: Trials, results: Any) -> None:
    wanted = [
        Key("arm_slope", analysis="slopes", arm=trials.arms[1]),
        Key("slope_difference", analysis="slopes"),
        Key("p_slope", analysis="slopes"),
        Key("p_mmrm", analysis="mmrm", week=12),
        Key("p_ancova", analysis="locf", week=28),
        Key("contrast", analysis="locf"),
        Key("p_wilcoxon", analysis="dthpv"),
    ]
    made = read(trials, wanted, PLAN, results)
    assert np.isfinite(made).all()
    assert ((made[:, [2, 3, 4, 6]] > 0) & (made[:, [2, 3, 4, 6]] < 1)).all()
    np.testing.assert_array_equal(
        made[:, 5], results[Key("difference", analysis="locf", arm="tofersen", visit="Week 28")].value
    )


@pytest.mark.parametrize(
    ("analysis", "words"),
    [
        ({"kind": "mmrm", "constrained": True, "covariates": ["BASE"]}, "leave BASE out"),
        ({"kind": "slopes", "covariates": ["BASE"]}, "leave BASE out"),
        ({"kind": "slopes", "covariates": ["pre slope"]}, "covariates"),
    ],
)
def test_property_impossible_analyses_are_refused(analysis: dict[str, Any], words: str) -> None:
    one = {"id": "a", "variable": "ALSFRS", "set": "ITT", "week": 28, **analysis}
    with pytest.raises(ValidationError, match=words):
        AnalysisPlan.model_validate({"analyses": [one], "order": []})


def test_property_the_order_names_tests_on_offer() -> None:
    plan = PLAN.model_dump()
    with pytest.raises(ValidationError, match="analysis 'locf' offers ancova"):
        AnalysisPlan.model_validate({**plan, "order": ["locf.slope"]})
