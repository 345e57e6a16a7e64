"""The same quantity through different doors, and what must not matter: row order, labels, the unit of time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import special, stats

from equipoise.estimate.delayed_start import delayed_start, delayed_start_batch
from equipoise.estimate.linear.mmrm import mmrm
from equipoise.estimate.missing import (
    Ancova,
    Bayes,
    ConditionalMean,
    conditional_mean_batch,
    imputation_draws,
    mi_analysis,
    mi_ancova,
)
from equipoise.estimate.ranks.joint_rank import cafs, joint_rank
from equipoise.estimate.ranks.kernels import win as win_kernel
from equipoise.estimate.ranks.win import Binary, Time, Value, win_statistics
from equipoise.estimate.ranks.win_regression import win_regression
from equipoise.estimate.result import Estimate
from equipoise.estimate.survival import cox, log_rank, max_combo
from equipoise.estimate.survival.competing_risks import incidence_difference
from equipoise.estimate.survival.fine_gray import fine_gray
from equipoise.estimate.survival.gray import gray_test
from equipoise.estimate.survival.kaplan_meier import kaplan_meier
from equipoise.estimate.survival.kernels import competing_risks as causes_kernel
from equipoise.estimate.survival.kernels import cox as cox_kernel
from equipoise.estimate.survival.kernels import fine_gray as fine_gray_kernel
from equipoise.estimate.survival.kernels import log_rank as survival_kernel
from equipoise.estimate.survival.kernels import max_combo as max_combo_kernel
from equipoise.estimate.survival.kernels import rmst as rmst_kernel
from equipoise.estimate.survival.landmark import landmark
from equipoise.estimate.survival.rmst import rmst
from equipoise.estimate.survival.switching import psi_of_trials, rpsftm

LONG: dict[str, Any] = {"value": "CHG", "subject": "ID", "visit": "WEEK", "arm": "ARM", "control": "p"}


def people(n: int = 60, seed: int = 1, *, ties: bool = False) -> pl.DataFrame:
    g = np.random.default_rng(seed)
    time = g.exponential(12.0, n) + 0.01
    time = np.minimum(np.ceil(time) if ties else time, 24.0)
    cause = np.where((time < 24.0) & (g.uniform(size=n) < 0.8), g.integers(1, 3, n), 0)
    arm = np.where(np.arange(n) % 2 == 0, "p", "a")
    return pl.DataFrame(
        {
            "ID": [f"S{i:03d}" for i in range(n)],
            "T": time,
            "E": (cause > 0).astype(int),
            "HOW": cause,
            "ARM": arm,
            "SITE": np.where(g.uniform(size=n) < 0.5, "x", "y"),
            "AGE": g.normal(60.0, 9.0, n),
            "CHG": np.round(g.normal(-5.0, 3.0, n)),
            "YES": g.integers(0, 2, n),
            "ON": np.where(arm == "a", time, time * (g.uniform(size=n) < 0.4) * 0.6),
        }
    )


def panel(n: int = 40, seed: int = 2, *, gaps: bool = False) -> pl.DataFrame:
    g = np.random.default_rng(seed)
    base, own = g.normal(38.0, 5.0, n), g.normal(0.0, 2.0, n)
    made = []
    for i in range(n):
        for w in (4.0, 8.0, 12.0):
            value = -0.5 * w + own[i] + 0.15 * w * (i % 2) + g.normal()
            lost = gaps and ((w == 12.0 and i % 6 == 0) or (w == 8.0 and i % 13 == 0))
            made.append((f"S{i:03d}", w, "pa"[i % 2], "xy"[(i // 2) % 2], base[i], None if lost else value))
    return pl.DataFrame(made, schema=["ID", "WEEK", "ARM", "SITE", "BASE", "CHG"], orient="row")


def alive(data: pl.DataFrame) -> pl.DataFrame:
    return data.select("ID").unique(maintain_order=True).with_columns(AVAL=pl.lit(12.0), CNSR=pl.lit(1))


def close(a: Estimate, b: Estimate, rtol: float = 1e-10) -> None:
    assert a.status is b.status
    assert a.estimable
    for key in ("estimate", "se", "p"):
        np.testing.assert_allclose(getattr(a, key), getattr(b, key), rtol=rtol, atol=1e-14, err_msg=key)


# one quantity, two doors


@pytest.mark.parametrize("ties", [False, True])
def test_independent_restricted_means_and_landmarks_are_read_off_the_curves(ties: bool) -> None:
    data = people(ties=ties)
    curves = {k.group: k for k in kaplan_meier(data, time="T", event="E", arm="ARM")}
    made = rmst(data, time="T", event="E", arm="ARM", control="p", tau=15.0)
    for arm in made.arms:
        mean, se = curves[arm.arm].mean(15.0)
        np.testing.assert_allclose((arm.mean, arm.se), (mean, se), rtol=1e-10)
    (found,) = landmark(data, time="T", event="E", arm="ARM", control="p", at=9.0).points
    for arm in found.arms:
        s, se, low, high, risk = curves[arm.arm].at(9.0)
        np.testing.assert_allclose(
            (arm.survival, arm.se, arm.low, arm.high, arm.at_risk), (s, se, low, high, risk), rtol=1e-12
        )
    p, a = found.arms
    np.testing.assert_allclose(found.comparison.estimate, a.survival - p.survival, rtol=1e-12)
    np.testing.assert_allclose(found.comparison.se, math.hypot(a.se, p.se), rtol=1e-10)


def test_independent_one_cause_differs_as_survival_does() -> None:
    data = people(ties=True)
    (incidence,) = incidence_difference(data, time="T", cause="E", of=1, at=9.0, arm="ARM", control="p")
    (point,) = landmark(data, time="T", event="E", arm="ARM", control="p", at=9.0).points
    np.testing.assert_allclose(incidence.estimate, -point.comparison.estimate, rtol=1e-12)
    np.testing.assert_allclose(incidence.se, point.comparison.se, rtol=1e-10)


@pytest.mark.parametrize("strata", ["", " + strata(SITE)"])
def test_independent_score_test_of_exact_ties_is_the_log_rank_test(strata: str) -> None:
    """With ties the log-rank test is the score test of the discrete-time likelihood (Cox 1972)."""
    data = people(ties=True)
    test = log_rank(f"Surv(T, E) ~ ARM{strata}", data)
    np.testing.assert_allclose(
        cox(f"Surv(T, E) ~ ARM{strata}", data, ties="exact").score_test[0], test.chi_square, rtol=1e-8
    )
    single = max_combo(f"Surv(T, E) ~ ARM{strata}", data, weights=[(0.0, 0.0)])
    np.testing.assert_allclose((single.z[0] ** 2, single.p), (test.chi_square, test.p), rtol=1e-5)


def test_independent_gray_without_censoring_or_other_causes() -> None:
    """Everybody has the one event: the score is that of the log-rank test, also where one arm ends before the other."""
    data = people().with_columns(E=pl.lit(1), T=pl.when(pl.col("ARM") == "a").then(pl.col("T") / 3).otherwise("T"))
    for strata in ("", "SITE"):
        rank = log_rank("Surv(T, E) ~ ARM" + (" + strata(SITE)" if strata else ""), data)
        gray = gray_test(data, time="T", cause="E", of=1, arm="ARM", strata=strata or ())
        assert gray.status == 0
        np.testing.assert_allclose(gray.score, rank.observed - rank.expected, rtol=1e-9)
        assert 0.0 < gray.p < 1.0


def test_independent_wins_of_one_yes_or_no() -> None:
    """Win ratio p1 (1 - p0) / (p0 (1 - p1)): the odds ratio; net benefit p1 - p0."""
    data = people(80)
    made = win_statistics(data, [Binary("YES")], arm="ARM", control="p")
    share = dict(data.group_by("ARM").agg(pl.col("YES").mean()).iter_rows())
    p1, p0 = share["a"], share["p"]
    np.testing.assert_allclose(made.win_ratio.estimate, p1 * (1 - p0) / (p0 * (1 - p1)), rtol=1e-12)
    np.testing.assert_allclose(made.net_benefit.estimate, p1 - p0, rtol=1e-12)
    tied = p1 * p0 + (1 - p1) * (1 - p0)
    won = p1 * (1 - p0) + tied / 2
    np.testing.assert_allclose(made.win_odds.estimate, won / (1 - won), rtol=1e-12)


def test_independent_nobody_missing_nobody_dead() -> None:
    """CAFS, the joint rank test, Wilcoxon's test and multiple imputation are then plain analyses of the last visit."""
    data, deaths = panel(), alive(panel())
    made = cafs(data, deaths, up_to=12, covariates=[], **LONG)
    joint = joint_rank(data, deaths, at=12, covariates=[], method="wilcoxon", **LONG)
    np.testing.assert_allclose(joint.difference.p, made.wilcoxon.p, rtol=1e-10)
    last = data.filter(pl.col("WEEK") == 12.0)
    score = {k: v["CHG"].to_numpy() for (k,), v in last.group_by("ARM")}
    plain = stats.mannwhitneyu(score["a"], score["p"], use_continuity=False, method="asymptotic")
    np.testing.assert_allclose(made.wilcoxon.p, plain.pvalue, rtol=1e-10)
    np.testing.assert_allclose(made.wins, plain.statistic, rtol=1e-12)
    wins = win_statistics(last, [Value("CHG")], arm="ARM", control="p")
    close(made.win_ratio, wins.win_ratio)
    close(made.net_benefit, wins.net_benefit)
    imputed = mi_ancova(data, n_imputations=3, **LONG).difference(12)
    reference = mi_analysis(data, method=Bayes(n_imputations=3, burn_in=5), analysis=Ancova(weeks=12), **LONG)
    close(imputed, reference.difference(12), rtol=1e-9)
    x = np.column_stack([np.ones(40), last["BASE"].to_numpy(), (last["ARM"] == "a").to_numpy()])
    beta, rss, *_ = np.linalg.lstsq(x, last["CHG"].to_numpy(), rcond=None)
    se = math.sqrt(rss[0] / 37 * np.linalg.inv(x.T @ x)[2, 2])
    np.testing.assert_allclose((imputed.estimate, imputed.se, imputed.df), (beta[2], se, 37), rtol=1e-9)


def test_property_without_events_every_strategy_is_missing_at_random() -> None:
    data = panel(gaps=True)
    draws = imputation_draws(data, method=Bayes(n_imputations=4, burn_in=10), seed=3, **LONG)
    nobody = pl.DataFrame({"ID": [], "WEEK": []}, schema={"ID": pl.String, "WEEK": pl.Float64})
    plain = draws.impute().analyse(Ancova(weeks=12)).difference(12)
    for strategy in ("J2R", "CR", "CIR"):
        same = imputation_draws(
            data, nobody, strategy=strategy, method=Bayes(n_imputations=4, burn_in=10), seed=3, **LONG
        )
        assert same.impute().analyse(Ancova(weeks=12)).difference(12) == plain


def test_independent_first_question_is_the_contrast_of_a_mixed_model() -> None:
    data = panel(60, gaps=True)
    made = delayed_start(data, period_end=8, at=12, df="satterthwaite", **LONG)
    frame = data.with_columns(pl.col("ARM").cast(pl.Enum(["p", "a"])), V=pl.col("WEEK").cast(pl.Int64))
    fit = mmrm("CHG ~ BASE * C(V) + ARM * C(V) + us(V | ID)", frame, df="satterthwaite")
    table = pl.DataFrame(fit.contrasts({"q1": {"ARM[T.a]": 1.0, "C(V)[T.8]:ARM[T.a]": 1.0}}).to_frame())
    (row,) = table.to_dicts()
    one = made.named["delta1"]
    np.testing.assert_allclose((one.estimate, one.se, one.df), (row["estimate"], row["se"], row["df"]), rtol=1e-5)


def test_property_a_block_of_one_trial_is_the_door() -> None:
    data = people(ties=True)
    time, event = data["T"].to_numpy()[None], data["E"].to_numpy()[None].astype(bool)
    arm = (data["ARM"] == "a").to_numpy().astype(np.int64)[None]
    x = np.stack([arm.astype(float), data["AGE"].to_numpy()[None]], axis=2)
    two = data.with_columns(pl.col("ARM").cast(pl.Enum(["p", "a"])))
    same = {"rtol": 1e-10}
    np.testing.assert_allclose(cox("Surv(T, E) ~ ARM + AGE", two).beta, cox_kernel.fit(time, event, x).beta[0], **same)
    observed, expected, variance, _ = survival_kernel.log_rank(time, event, arm)
    rank = log_rank("Surv(T, E) ~ ARM", two)
    np.testing.assert_allclose(rank.z, (observed - expected)[0, 1] / math.sqrt(variance[0, 1, 1]), **same)
    z, *_ = max_combo_kernel.max_combo(time, event, arm, ((0.0, 0.0), (0.0, 1.0)))
    np.testing.assert_allclose(max_combo("Surv(T, E) ~ ARM", two, weights=[(0, 0), (0, 1)]).z, z[0], **same)
    _, mean, *_ = rmst_kernel.curves(time, event, arm, tau=15.0)
    made = rmst(two, time="T", event="E", arm="ARM", tau=15.0)
    np.testing.assert_allclose([a.mean for a in made.arms], mean[0], **same)
    cause = data["HOW"].to_numpy()[None]
    score, *_ = causes_kernel.gray(time, cause, arm)
    np.testing.assert_allclose(gray_test(two, time="T", cause="HOW", of=1, arm="ARM").score, score[0], **same)
    beta, *_ = fine_gray_kernel.fine_gray(time, cause, x)
    np.testing.assert_allclose(fine_gray("Surv(T, HOW) ~ ARM + AGE", two, of=1).beta, beta[0], **same)
    on = data["ON"].to_numpy()[None]
    block = psi_of_trials(time, event, arm, on, censor=np.full(time.shape, 30.0), points=41)
    door = rpsftm(two, time="T", event="E", arm="ARM", on="ON", censor_time=30.0, points=41)
    np.testing.assert_allclose(door.search.psi, block.psi[0], rtol=1e-9)
    value = np.stack([time, data["CHG"].to_numpy()[None]], axis=2)
    shares, covariance, *_ = win_kernel.win_statistics(
        value,
        arm == 1,
        kinds=np.array([win_kernel.TIME, win_kernel.VALUE]),
        event=np.stack([event, np.ones_like(event)], axis=2),
    )
    ratios, errors = win_kernel.ratios(shares, covariance, None)
    wins = win_statistics(two, [Time("T", event="E"), Value("CHG")], arm="ARM", control="p")
    np.testing.assert_allclose((math.log(wins.win_ratio.estimate), wins.win_ratio.se), (ratios[0, 0], errors[0, 0]))


def test_property_a_block_of_one_long_trial_is_the_door() -> None:
    data = panel(60, gaps=True)
    y = data["CHG"].to_numpy().astype(float).reshape(1, 60, 3)
    arm = (np.arange(60) % 2)[None].astype(float)
    base = data["BASE"].to_numpy().reshape(1, 60, 3)[:, :, :1]
    door = delayed_start(data, period_end=8, at=12, df="satterthwaite", **LONG)
    block = delayed_start_batch(y, arm, [4.0, 8.0, 12.0], period_end=8, at=12, covariates=base)
    for name in ("delta1", "delta2", "preserved"):
        estimate, se, df = (a[0] for a in block.column(name))
        one = door.named[name]
        np.testing.assert_allclose((one.estimate, one.se, one.df), (estimate, se, df), rtol=1e-5)
    predictors = np.concatenate([np.ones((1, 60, 1)), arm[:, :, None], base], axis=2)
    many = conditional_mean_batch(y, predictors, np.full((1, 60), 3))
    one = mi_analysis(data, method=ConditionalMean(), **LONG).difference(12)
    np.testing.assert_allclose((one.estimate, one.se), (many.estimate[0, 2], many.se[0, 2]), rtol=1e-6)


# what must not matter


def everything(data: pl.DataFrame, control: str = "p", unit: float = 1.0) -> dict[str, Estimate]:
    """Differences and ratios, active against control; ``unit`` : how many of the present units of time make one."""
    order = [control, *(a for a in ("p", "a") if a != control)]
    frame = data.with_columns(pl.col("ARM").cast(pl.Enum(order)), T=pl.col("T") / unit, ON=pl.col("ON") / unit)
    one = {"time": "T", "event": "E", "arm": "ARM", "control": control}
    made = rmst(frame, tau=15.0 / unit, **one)
    switching = rpsftm(frame, on="ON", censor_time=30.0 / unit, points=41, **one)
    wins = win_statistics(frame, [Time("T", event="E"), Value("CHG")], arm="ARM", control=control, strata="SITE")
    return {
        "cox": cox("Surv(T, E) ~ ARM + AGE + strata(SITE)", frame).hazard_ratio("ARM"),
        "log-rank": log_rank("Surv(T, E) ~ ARM + strata(SITE)", frame).estimate(),
        "rmst": made.difference,
        "rmst ratio": made.ratio,
        "landmark": landmark(frame, at=9.0 / unit, strata="SITE", **one).estimates[0],
        "incidence": incidence_difference(
            frame, time="T", cause="HOW", of=1, at=9.0 / unit, arm="ARM", control=control
        )[0],
        "gray": gray_test(frame, time="T", cause="HOW", of=1, arm="ARM", strata="SITE").estimate(),
        "fine-gray": fine_gray("Surv(T, HOW) ~ ARM + AGE", frame, of=1).hazard_ratio("ARM"),
        "psi": switching.psi,
        "win ratio": wins.win_ratio,
        "net benefit": wins.net_benefit,
        "wins": wins.finkelstein_schoenfeld,
        "win regression": win_regression(frame, [Time("T", event="E"), Value("CHG")], ["ARM", "AGE"]).estimates[0],
    }


@pytest.mark.parametrize("ties", [False, True])
def test_property_row_order_does_not_matter(ties: bool) -> None:
    data = people(ties=ties)
    plain, shuffled = everything(data), everything(data.sample(fraction=1.0, shuffle=True, seed=4))
    for name, made in plain.items():
        close(shuffled[name], made, rtol=1e-8)


def test_property_arms_exchanged_turn_the_sign() -> None:
    data = people()
    plain, turned = everything(data), everything(data, control="a")
    for name, made in plain.items():
        if name == "psi":  # the model is about the treatment, not about the label of the arm
            continue
        other = turned[name]
        ratio = "ratio" in made.scale
        np.testing.assert_allclose(
            other.estimate, 1.0 / made.estimate if ratio else -made.estimate, rtol=1e-8, err_msg=name
        )
        np.testing.assert_allclose((other.se, other.p), (made.se, made.p), rtol=1e-7, err_msg=name)


@pytest.mark.parametrize("unit", [7.0, 365.25, 1e-3])
def test_property_the_unit_of_time_scales_times_alone(unit: float) -> None:
    data = people()
    plain, scaled = everything(data), everything(data, unit=unit)
    for name, made in plain.items():
        factor = 1.0 / unit if name == "rmst" else 1.0
        np.testing.assert_allclose(
            (scaled[name].estimate, scaled[name].se, scaled[name].p),
            (made.estimate * factor, made.se * factor, made.p),
            rtol=1e-7,
            err_msg=name,
        )


def test_property_long_doors_do_not_mind_order_or_unit_of_outcome() -> None:
    """Deterministic analyses are the same in any row order; a linear change of the outcome changes estimates so."""
    data = panel(gaps=True)
    deaths = alive(data).with_columns(
        AVAL=pl.when(pl.col("ID") == "S004").then(6.0).otherwise("AVAL"),
        CNSR=pl.when(pl.col("ID") == "S004").then(0).otherwise("CNSR"),
    )

    def made(d: pl.DataFrame) -> list[Estimate]:
        c = cafs(d, deaths, up_to=12, strata=["SITE"], **LONG)
        return [
            mi_analysis(d, method=ConditionalMean(), **LONG).difference(12),
            delayed_start(d, period_end=8, at=12, df="satterthwaite", **LONG).named["delta2"],
            c.ancova,
            c.van_elteren,
            c.win_ratio,
            c.finkelstein_schoenfeld,
        ]

    plain = made(data)
    for a, b in zip(made(data.sample(fraction=1.0, shuffle=True, seed=5)), plain, strict=True):
        close(a, b, rtol=1e-5)
    for a, b, times in zip(made(data.with_columns(CHG=10.0 * pl.col("CHG"))), plain, (10, 10, 1, 1, 1, 1), strict=True):
        np.testing.assert_allclose((a.estimate, a.se, a.p), (times * b.estimate, times * b.se, b.p), rtol=1e-5)


def test_independent_p_is_that_of_the_statistic() -> None:
    """Every normal-theory p-value is the two-sided tail of estimate over standard error, on the scale of the error."""
    for name, made in everything(people()).items():
        if name in ("psi", "win regression"):
            continue
        value = math.log(made.estimate) if "ratio" in made.scale else made.estimate
        np.testing.assert_allclose(made.p, 2 * special.ndtr(-abs(value) / made.se), rtol=1e-9, err_msg=name)
