"""The reference cases of R's survival and survRM2: how to run one here, every number compared with its difference."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

import parity
from equipoise.estimate.survival import cox_path
from equipoise.estimate.survival.cox import cox
from equipoise.estimate.survival.cox_fit import CoxFit
from equipoise.estimate.survival.kaplan_meier import SCALES, kaplan_meier
from equipoise.estimate.survival.landmark import landmark
from equipoise.estimate.survival.log_rank import log_rank
from equipoise.estimate.survival.rmst import RestrictedMeans, rmst
from parity import Comparison, Section, block

COX = (
    "lung_efron",
    "lung_breslow",
    "lung_exact",
    "lung_strata_sex",
    "lung_cluster_inst",
    "lung_robust",
    "veteran_efron",
    "veteran_breslow_strata",
    "colon_death_efron",
    "colon_both_cluster_id_strata_etype",
    "bladder2_counting_process",
    "pbc_trial_only",
)
CURVES = ("lung_all", "lung_sex", "veteran_trt", "colon_death_rx")
LOG_RANK = ("lung_sex", "lung_sex_rho1", "lung_sex_strata_ecog", "veteran_celltype", "colon_death_rx")
MEANS = ("lung_sex_tau730", "veteran_trt_default_tau", "pbc_trial_tau10y")
ADJUSTED = "lung_sex_adjusted_tau730"
RTOL = 1e-7


def cases(kind: str) -> dict[str, Any]:
    found: dict[str, Any] = parity.reference("survival")[kind]
    return found


def data(case: str) -> pd.DataFrame:
    """The data of a case, with the levels and subsets of the R script."""
    name = case.split("_")[0]
    rows = pd.read_csv(parity.data_file(f"{name}.csv"))
    if name == "lung":
        rows["status"] -= 1
        return rows[rows["inst"].notna()] if "cluster" in case else rows
    if name == "colon":
        rows["rx"] = pd.Categorical(rows["rx"], ["Obs", "Lev", "Lev+5FU"])
        return rows[rows["etype"] == 2].copy() if "death" in case else rows
    if name == "veteran":
        rows["celltype"] = pd.Categorical(rows["celltype"], ["squamous", "smallcell", "adeno", "large"])
    if name == "pbc":
        rows = rows[rows["trt"].notna()].copy()
        rows["dead"] = (rows["status"] == 2).astype(int)
    return rows


# ---- Cox regression ----


@cache
def fitted(case: str) -> CoxFit:
    found = cases("coxph")[case]
    robust = True if case == "lung_robust" else None
    return cox(found["formula"], data(case), ties=found["ties"], cluster=found.get("cluster"), robust=robust)


@cache
def compare_cox(case: str) -> tuple[Comparison, ...]:
    """Coefficients, covariances, intervals, likelihoods, the four tests, criteria, concordance; relative 1e-7."""
    return tuple(_cox(case))


def _cox(case: str) -> Iterator[Comparison]:
    found, fit = cases("coxph")[case], fitted(case)
    made = fit.estimates
    yield block(case, "", "rows and events", [fit.n, fit.events], [found["n"], found["nevent"]], 0.0)
    for quantity, ours, reference in (
        ("coefficients", fit.beta, found["coef"]),
        ("standard errors, model", np.sqrt(np.diag(fit.naive)), found["se"]),
        ("covariance", fit.vcov, found["vcov"]),
        ("covariance, model", fit.naive, found["naive_vcov"]),
        ("z", [math.log(e.estimate) / e.se for e in made], found["z"]),
        ("p-values", [e.p for e in made], found["p"]),
        ("hazard ratios and limits", [[e.estimate, e.low, e.high] for e in made], found["hr_ci"]),
        ("log-likelihoods", fit.loglik, found["loglik"]),
        ("likelihood-ratio test", fit.likelihood_ratio, found["lrt"]),
        ("score test", fit.score_test, found["score"]),
        ("robust score test", fit.robust_score_test if found["robust_score"] else None, found["robust_score"]),
        ("Wald test: df and p-value", fit.wald[1:], found["wald"][1:]),
        ("concordance and its error", fit.concordance, found["concordance"]),
        ("AIC and BIC", (fit.aic, fit.bic), (found["AIC"], found["BIC"])),
    ):
        if reference is not None:
            yield block(case, "", quantity, ours, reference, RTOL)
    wald = round(fit.wald[0], 2)
    yield block(case, "", "Wald chi-square, two decimals", wald, found["wald"][0], 0.0)


@cache
def compare_residuals(case: str) -> tuple[Comparison, ...]:
    """Five kinds of residuals (the first rows, as the reference holds them) and the baseline hazard; relative 1e-7."""
    return tuple(_residuals(case))


def _residuals(case: str) -> Iterator[Comparison]:
    found, fit = cases("coxph")[case], fitted(case)
    for kind, rows in (("martingale", 20), ("deviance", 20), ("score", 10), ("schoenfeld", 10), ("dfbeta", 10)):
        key = f"{kind}_first10" if kind in ("schoenfeld", "dfbeta") else f"{kind}_residuals_first{rows}"
        ours = fit.residuals(kind)[:rows]
        yield block(case, "", f"{kind} residuals, first {rows}", ours, found[key], RTOL)
    baseline, theirs = fit.baseline(), found["baseline_cumhaz"]
    for column in ("time", "hazard"):
        yield block(case, "", f"baseline hazard: {column}", baseline[column], theirs[column], RTOL)


@cache
def compare_proportionality(case: str) -> tuple[Comparison, ...]:
    """cox.zph by term and together: chi-square, df, p-value; relative 1e-7."""
    found, fit = cases("coxph")[case]["zph"], fitted(case)
    out = []
    for transform in cox_path.TRANSFORMS:
        made = fit.proportionality(transform)
        ours = [*made.tests, made.overall]
        out.append(block(case, "", f"proportional hazards, {transform}", ours, found[transform], RTOL))
    return tuple(out)


@cache
def compare_predictions(case: str) -> tuple[Comparison, ...]:
    """Survival of two patients after a Cox regression, with its standard errors; relative 1e-7."""
    fit, expected = fitted(case), cases("coxph")[case]["predicted_survival"]
    made = fit.predict(pd.DataFrame(expected["newdata"]))
    wide = {c: made[c].to_numpy().reshape(2, -1) for c in ("time", "survival", "se")}
    return (
        block(case, "", "predicted survival: times", wide["time"], [expected["time"]] * 2, RTOL),
        block(case, "", "predicted survival", wide["survival"].T, expected["surv"], RTOL),
        block(case, "", "predicted survival: standard errors", wide["se"].T, expected["std_err"], RTOL),
    )


# ---- Kaplan-Meier ----


def rebuilt(case: str) -> tuple[pl.DataFrame, list[str]]:
    """One row a patient, from the events and censorings that survfit lists at every time."""
    found = cases("survfit")[case]
    time = np.array(found["time"], dtype=float)
    cuts = [0, *(np.flatnonzero(np.diff(time) < 0) + 1).tolist(), len(time)]
    names = list(found.get("strata", ["all"]))
    rows = []
    for name, first, last in zip(names, cuts, cuts[1:], strict=False):
        for i in range(first, last):
            rows += [(name, time[i], 1)] * int(found["n_event"][i]) + [(name, time[i], 0)] * int(found["n_censor"][i])
    return pl.DataFrame(rows, schema=["G", "T", "E"], orient="row"), names


@cache
def compare_curve(case: str, scale: str) -> tuple[Comparison, ...]:
    """The curve, its errors, limits on one scale, and quantiles with their limits."""
    found = cases("survfit")[case]
    frame, names = rebuilt(case)
    curves = {c.group: c for c in kaplan_meier(frame, time="T", event="E", arm="G", scale=scale)}
    ordered = [curves[name] for name in names]
    join = lambda what: np.concatenate([getattr(c, what) for c in ordered])  # noqa: E731
    inner = join("survival") > 0
    spread = np.array(found["std_err_of_log_surv"], dtype=float)
    quantiles: dict[str, list[list[float]]] = {"ours": [], "theirs": []}
    for g, curve in enumerate(ordered):
        for j, p in enumerate((0.25, 0.5, 0.75)):
            quantiles["ours"].append(list(curve.quantile(p)))
            values = [found["quantiles"][scale][part]["values"] for part in ("quantile", "lower", "upper")]
            quantiles["theirs"].append([v[g][j] if isinstance(v[g], list) else v[j] for v in values])
    limits = found["ci"][scale]
    return (
        block(case, scale, "numbers at risk", join("at_risk"), found["n_risk"], 0.0),
        block(case, scale, "survival", join("survival"), found["surv"], 1e-12, 1e-3),
        block(case, scale, "standard errors of log survival", join("se_log")[inner], spread[inner], 1e-10),
        block(case, scale, "lower limits", join("low"), limits["lower"], 1e-9, missing=True),
        block(case, scale, "upper limits", join("high"), limits["upper"], 1e-9, missing=True),
        block(case, scale, "quartiles and limits", quantiles["ours"], quantiles["theirs"], 1e-7, missing=True),
    )


@cache
def compare_hazards(case: str) -> tuple[Comparison, ...]:
    """Nelson-Aalen, Fleming and Harrington's curve, restricted means up to the last time of all groups, medians with
    plain limits, survival at given times: relative 1e-10.
    """
    found = cases("survfit")[case]
    frame, names = rebuilt(case)
    curves = {c.group: c for c in kaplan_meier(frame, time="T", event="E", arm="G", scale="plain")}
    other = kaplan_meier(frame, time="T", event="E", arm="G", estimator="fleming-harrington")
    tied = {c.group: c for c in other}
    join = lambda own, what: np.concatenate([getattr(own[name], what) for name in names])  # noqa: E731
    end = float(frame["T"].max())  # type: ignore[arg-type]
    table = [
        (c.n, c.n, c.at_risk[0], c.events, *c.mean(end), *c.quantile(0.5)) for c in (curves[name] for name in names)
    ]
    at = found["at_times"]
    points = [curves[g].at(t) for g, t in zip(at["strata"] or ["all"] * len(at["time"]), at["time"], strict=True)]
    tol, fleming = 1e-10, found["fleming_harrington"]
    return (
        block(case, "", "events at each time", join(curves, "events_at"), found["n_event"], 0.0),
        block(case, "", "censored at each time", join(curves, "censored_at"), found["n_censor"], 0.0),
        block(case, "", "cumulative hazard", join(curves, "hazard"), found["cumhaz"], tol),
        block(case, "", "cumulative hazard: standard errors", join(curves, "se_hazard"), found["std_chaz"], tol),
        block(case, "", "Fleming-Harrington: survival", join(tied, "survival"), fleming["surv"], tol),
        block(case, "", "Fleming-Harrington: hazard", join(tied, "hazard"), fleming["cumhaz"], tol),
        block(
            case,
            "",
            "restricted mean and its error, median and limits, counts",
            table,
            found["summary_table"],
            tol,
            missing=True,
        ),
        block(case, "", "survival at five times", [p[0] for p in points], at["surv"], tol),
        block(case, "", "survival at five times: standard errors", [p[1] for p in points], at["std_err"], tol),
        block(case, "", "at risk at five times", [p[4] for p in points], at["n_risk"], 0.0),
    )


@cache
def compare_landmarks() -> tuple[Comparison, ...]:
    """Differences and log-log ratios at four times, formed from the survival and errors of R's summary(survfit)."""
    case, times = "veteran_trt", [30, 90, 180, 365]
    table = cases("survfit")[case]["at_times"]
    s, se = (np.array(table[k], dtype=float).reshape(2, 4) for k in ("surv", "std_err"))
    assert table["time"] == times * 2
    rows = data(case)
    made = landmark(rows, time="time", event="status", arm="trt", at=times)
    ratio = landmark(rows, time="time", event="status", arm="trt", at=times, scale="log-log")
    spread = np.sqrt(((se / (s * np.log(s))) ** 2).sum(axis=0))
    out = [block(case, "", "at risk, control", [p.arms[0].at_risk for p in made.points], table["n_risk"][:4], 0.0)]
    for what, ours, theirs in (
        ("difference", [e.estimate for e in made.estimates], s[1] - s[0]),
        ("difference: standard errors", [e.se for e in made.estimates], np.hypot(se[0], se[1])),
        ("ratio of log survival", [e.estimate for e in ratio.estimates], np.log(s[1]) / np.log(s[0])),
        ("ratio of log survival: errors of its log", [e.se for e in ratio.estimates], spread),
    ):
        out.append(block(case, "", what, ours, theirs, 1e-10))
    return tuple(out)


# ---- log-rank ----


@cache
def compare_log_rank(case: str) -> tuple[Comparison, ...]:
    """survdiff: events observed and expected (by stratum too), covariance, chi-square, df, p-value; relative 1e-9."""
    found = cases("survdiff")[case]
    test = log_rank(found["formula"], data(case), rho=found["rho"])
    out = [block(case, "", "patients", test.n, list(found["n"].values()), 0.0)]
    for what, made, by, key in (
        ("observed", test.observed, test.observed_by, "obs"),
        ("expected", test.expected, test.expected_by, "exp"),
    ):
        theirs = found[key]
        if isinstance(theirs, dict):
            out.append(block(case, "", f"{what}, by stratum", by, theirs, 1e-9))
            theirs = np.sum(theirs["values"], axis=1)
        else:
            out.append(block(case, "", f"{what}, one stratum", by[:, 0], theirs, 1e-9))
        out.append(block(case, "", what, made, theirs, 1e-9))
    out.append(block(case, "", "covariance", test.variance, found["var"], 1e-9))
    tested = [found[k] for k in ("chisq", "df", "p")]
    out.append(block(case, "", "chi-square, df, p-value", (test.chi_square, test.df, test.p), tested, 1e-9))
    return tuple(out)


# ---- restricted means ----


def means_data(case: str) -> pd.DataFrame:
    """T, E, ARM (1 active) and covariates of a case of survRM2."""
    rows = pd.read_csv(parity.data_file(f"{case.split('_')[0]}.csv"))
    if case.startswith("lung"):
        rows["T"], rows["E"], rows["ARM"] = rows["time"], rows["status"] == 2, (rows["sex"] == 2).astype(int)
        rows["ecog"] = rows["ph.ecog"]
        if "adjusted" in case:
            rows = rows[rows["ecog"].notna()]
    elif case.startswith("veteran"):
        rows["T"], rows["E"], rows["ARM"] = rows["time"], rows["status"] == 1, (rows["trt"] == 2).astype(int)
    else:
        rows = rows[rows["trt"].notna()].copy()
        rows["T"], rows["E"], rows["ARM"] = rows["time"] / 365.25, rows["status"] == 2, (rows["trt"] == 1).astype(int)
    return rows


@cache
def means(case: str) -> RestrictedMeans:
    tau = None if "default" in case else cases("rmst")[case]["tau"]
    covariates = ["age", "ecog"] if case == ADJUSTED else []
    return rmst(means_data(case), time="T", event="E", arm="ARM", tau=tau, covariates=covariates)


@cache
def compare_means(case: str) -> tuple[Comparison, ...]:
    """survRM2: means and times lost by arm, difference and ratios; relative 1e-9, adjusted 1e-7."""
    found, made = cases("rmst")[case], means(case)
    out = [block(case, "", "horizon", made.tau, found["tau"], 0.0)]
    got = [[e.estimate, e.low, e.high, e.p] for e in made.estimates]
    what = "difference, ratio, ratio of times lost: estimates, limits, p-values"
    if case == ADJUSTED:
        out.append(block(case, "", what, got, found["adjusted"], 1e-7))
        for link, name, key in (
            ("difference", "model of the mean", "difference_model"),
            ("ratio", "model of its log", "ratio_model"),
            ("lost-ratio", "model of the log of the time lost", "rmtl_ratio_model"),
        ):
            model, expected = made.models[link], np.array(found[key]["values"], dtype=float)
            se = np.sqrt(np.diag(model.covariance))
            out.append(block(case, name, "coefficients", model.beta, expected[:, 0], 1e-7))
            out.append(block(case, name, "standard errors", se, expected[:, 1], 1e-7))
            out.append(block(case, name, "z", model.beta / se, expected[:, 2], 1e-7))
        return tuple(out)
    for own, name in zip(made.arms, ("arm0", "arm1"), strict=True):
        ours = [own.mean, own.se, own.low, own.high]
        lost = [made.tau - own.mean, own.se, made.tau - own.high, made.tau - own.low]
        out.append(block(case, name, "mean, error, limits", ours, list(found["rmst"][name].values()), 1e-9))
        out.append(block(case, name, "time lost, error, limits", lost, list(found["rmtl"][name].values()), 1e-9))
        out.append(block(case, name, "variance", own.se**2, found["var"][name], 1e-9))
    out.append(block(case, "", what, got, found["unadjusted"], 1e-9))
    return tuple(out)


# ---- the page ----


def public_page() -> str:
    """The page docs/parity/survival.md."""
    regressions = [c for c in COX if c != "lung_exact"]
    sections = (
        Section(
            "Cox regression",
            "coxph, eps 1e-13. R prints Wald's chi-square with two decimals, and holds no more: ours is compared after "
            "the same rounding; its p-value in R is exact.",
            tuple(x for c in COX for x in compare_cox(c)),
        ),
        Section(
            "Cox regression: residuals and hazards",
            "The reference holds the first rows of the residuals only. Exact ties have no such results in R.",
            tuple(x for c in regressions for x in compare_residuals(c)),
        ),
        Section(
            "Cox regression: proportional hazards",
            "cox.zph, four transforms of time: chi-square, df and p-value of every term and of all together.",
            tuple(x for c in regressions for x in compare_proportionality(c)),
        ),
        Section(
            "Cox regression: predicted survival",
            "survfit.coxph for two patients; the reference has these two cases.",
            tuple(x for c in ("lung_efron", "lung_breslow") for x in compare_predictions(c)),
        ),
        Section(
            "Kaplan-Meier",
            "survfit, five scales of the limits. The data are rebuilt from the events and censorings that it lists. "
            "Where the curve is at 0 R's error of log survival is infinite, and is not compared; limits and quartiles "
            "that R does not have are missing here too.",
            tuple(x for c in CURVES for s in SCALES for x in compare_curve(c, s)),
        ),
        Section("Hazards, means, medians", "", tuple(x for c in CURVES for x in compare_hazards(c))),
        Section(
            "Landmarks",
            "R has no function for these: differences and ratios were formed from the survival and standard errors "
            "that its summary(survfit) gives.",
            compare_landmarks(),
        ),
        Section(
            "Log-rank tests",
            "survdiff. It has Fleming and Harrington's rho only: weights with gamma, and max-combo, are checked by "
            "brute force and permutation (`tests/estimate/test_log_rank.py`).",
            tuple(x for c in LOG_RANK for x in compare_log_rank(c)),
        ),
        Section(
            "Restricted mean survival time",
            "survRM2. Of the adjusted models coefficients, errors and z are compared, and everything of the arm (first "
            "row); p-values of the other terms are not, survRM2 computing 1 - Phi(z), which is exactly 0 for its "
            "intercepts.",
            tuple(x for c in (*MEANS, ADJUSTED) for x in compare_means(c)),
        ),
    )
    prose = f"""
Every case of the reference, made with {parity.versions("survival")}: Cox regression, Kaplan-Meier curves, log-rank
tests, restricted means. All data are those of R's survival package.

Not compared: numbers of iterations; weighted curves, Firth's penalty, competing risks and rank-preserving
structural failure times, of which this reference has none. Competing risks are held against numbers that R's cmprsk
printed in its own tests, to the digits printed (`tests/estimate/test_competing_risks.py`); the others against brute
force and simulation (`tests/estimate/test_cox.py`, `tests/estimate/test_switching.py`).
"""
    return parity.page("survival", "Survival: our numbers beside R's", prose, sections)
