"""The reference cases of R's rbmi on the antidepressant trial (172 patients, visits 4 to 7): how to run one here, and
every number compared.

Deterministic methods (conditional mean, jackknife) agree to rounding; the others within Monte Carlo error, of both
sides.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import polars as pl

import parity
from equipoise.estimate.missing import (
    Ancova,
    ApproxBayes,
    Bayes,
    Bmlmi,
    ConditionalMean,
    Draws,
    MiAnalysis,
    imputation_draws,
)
from equipoise.estimate.result import Estimate
from parity import MONTE_CARLO, Comparison, Section, block

WEEKS = (4, 5, 6, 7)
COLUMNS = {
    "value": "CHANGE",
    "subject": "PATIENT",
    "visit": "VISIT",
    "arm": "THERAPY",
    "control": "PLACEBO",
    "covariates": ("BASVAL",),
}
STRATEGIES = ("MAR", "JR", "CR", "CIR")
TIGHT, DEFAULT = "antidep_us_jackknife_tight", "antidep_us_jackknife_default"
RUBIN = {"antidep_us_bayes_4000": Bayes(4000), "antidep_us_approxbayes_1000": ApproxBayes(1000)}
BOOTSTRAP = "antidep_us_bmlmi_B200_D2"
ANALYSIS = Ancova(("BASVAL",))


@cache
def reference() -> dict[str, Any]:
    found: dict[str, Any] = parity.reference("rbmi")["cases"] | parity.reference("rbmi_bayes")["cases"]
    return found


@cache
def trial() -> tuple[pl.DataFrame, pl.DataFrame]:
    """The data, and the event of everyone who left: the first visit missed (one intermittent gap is no event)."""
    data = pl.read_csv(
        parity.data_file("antidepressant_data.csv"),
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


def drawn(method: Any, strategy: str = "JR", seed: int = 0) -> Draws:
    return imputation_draws(*trial(), strategy=strategy, method=method, seed=seed, **COLUMNS)


def found(fit: MiAnalysis, parameter: str) -> Estimate:
    """Our estimate of a parameter of rbmi: trt_7, lsm_ref_7, lsm_alt_7."""
    kind, *rest = parameter.split("_")
    week = float(rest[-1])
    return fit.difference(week) if kind == "trt" else fit.mean({"ref": "PLACEBO", "alt": "DRUG"}[rest[0]], week)


@cache
def jackknife() -> Draws:
    return drawn(ConditionalMean())


# ---- the deterministic method ----


@cache
def _analysed(strategy: str) -> MiAnalysis:
    return jackknife().impute(strategy).analyse(ANALYSIS)


@cache
def compare_conditional_mean(strategy: str) -> tuple[Comparison, ...]:
    """Every imputed value, the 173 estimates and every pooled number; R's fits were brought to the optimum."""
    return tuple(_conditional_mean(strategy))


def _conditional_mean(strategy: str) -> Iterator[Comparison]:
    case = reference()[TIGHT]["strategies"][strategy]
    fit = _analysed(strategy)
    frame = fit.completed.to_frame().with_columns(pl.col("VISIT").cast(pl.Int64).cast(pl.String))
    ours = {(p, v): x for p, v, x in frame.select("PATIENT", "VISIT", "CHANGE").rows()}
    theirs = case["conditional_mean_imputed"]
    imputed = [ours[key] for key in zip(theirs["subject"], theirs["visit"], strict=True)]
    yield block(TIGHT, strategy, "imputed values", imputed, theirs["value"], 1e-9, 1.0)
    last = next(j for j, q in enumerate(fit.quantities) if q.kind == "difference" and q.week == 7)
    each = case["estimates"]
    yield block(TIGHT, strategy, "differences, all and each patient left out", fit.samples[:, last], each["est"], 1e-9)
    yield block(TIGHT, strategy, "their standard errors", fit.errors[:, last], each["se"], 1e-9)
    yield block(TIGHT, strategy, "degrees of freedom, all patients", fit.df[0, last], each["df"], 0.0)
    yield from _pooled(TIGHT, strategy, fit, 1e-8)


def _pooled(case: str, strategy: str, fit: MiAnalysis, tolerance: float | None) -> Iterator[Comparison]:
    table = reference()[case]["strategies"][strategy]["pooled"]
    made = [found(fit, parameter) for parameter in table["parameter"]]
    for what, name, key in (
        ("estimates", "estimate", "est"),
        ("standard errors", "se", "se"),
        ("lower limits", "low", "lci"),
        ("upper limits", "high", "uci"),
        ("p-values", "p", "pval"),
    ):
        yield block(case, strategy, f"pooled {what}", [getattr(e, name) for e in made], table[key], tolerance)


@cache
def compare_default(strategy: str) -> tuple[Comparison, ...]:
    """What rbmi prints by default, its fits stopped early: shown only."""
    return tuple(_pooled(DEFAULT, strategy, _analysed(strategy), None))


@cache
def compare_model() -> tuple[Comparison, ...]:
    """Coefficients and covariance matrix of the fit to everyone.

    Ours are intercept (at the mean of BASVAL), effect and slope of each visit; R's those of visit 4 and differences.
    """
    theirs, samples = reference()[TIGHT]["imputation_model_fit_sample1"], jackknife().samples
    mean = trial()[0].unique("PATIENT")["BASVAL"].mean()
    b = np.array(theirs["beta"])
    by_visit = [b[0] + np.append(0.0, b[2:5]), b[1] + np.append(0.0, b[9:12]), b[5] + np.append(0.0, b[6:9])]
    ours = samples.beta[0]
    mine = [ours[:, 0] - mean * ours[:, 2], ours[:, 1], ours[:, 2]]
    model = "imputation model"
    return (
        block(TIGHT, model, "intercepts, effects, slopes of the visits", mine, by_visit, 1e-9),
        *(
            block(TIGHT, model, f"covariance, {arm}", samples.sigma[0, 0], theirs["sigma"][arm], 1e-9)
            for arm in ("DRUG", "PLACEBO")
        ),
    )


# ---- Monte Carlo methods ----


@cache
def compare_rubin(case: str) -> tuple[Comparison, ...]:
    """As many imputations as R took. With M of them and variance B between: the pooled estimate has Monte Carlo error
    sqrt(B / M) on each side, and B itself sqrt(2 / (M - 1)) relative; bands are four of the two sides together.
    """
    method = RUBIN[case]
    draws, m, out = drawn(method), method.n_imputations, []
    for strategy, theirs in reference()[case]["strategies"].items():
        # nobody was seen after an event: under MAR the model is the same under every strategy
        completed = draws.impute("HYPOTHETICAL" if strategy == "MAR" else strategy)
        fit = completed.analyse(ANALYSIS, no_missing="formula")
        names = [q.name for q in fit.quantities]
        table = theirs["pooled"]
        made = [found(fit, parameter) for parameter in table["parameter"]]
        place = [names.index(e.name) for e in made]
        between = fit.samples[:, place].var(axis=0, ddof=1)
        error = np.sqrt(2 * between / m) + 1e-12 / 4
        spread = np.sqrt(2) * np.sqrt(2 / (m - 1)) * between + 1e-9 / 4
        spread += np.sqrt(2 * (fit.errors[:, place] ** 2).var(axis=0) / m)
        ours = [e.estimate for e in made]
        out.append(block(case, strategy, "pooled estimates", ours, table["est"], 4.0, scale=error, unit=MONTE_CARLO))
        ours = [e.se**2 for e in made]
        out.append(
            block(case, strategy, "pooled variances", ours, np.square(table["se"]), 4.0, scale=spread, unit=MONTE_CARLO)
        )
    return tuple(out)


@cache
def compare_bootstrap() -> tuple[Comparison, ...]:
    """R took 200 bootstrap samples, we 1,000; each mean has Monte Carlo error se / sqrt(B), each se about
    se / sqrt(2 (B - 1)). Bands: four of both sides.
    """
    draws, out = drawn(Bmlmi(1000, 2)), []
    for strategy, theirs in reference()[BOOTSTRAP]["strategies"].items():
        fit = draws.impute("HYPOTHETICAL" if strategy == "MAR" else strategy).analyse(ANALYSIS)
        table = theirs["pooled"]
        made = [found(fit, parameter) for parameter in table["parameter"]]
        se = np.array([e.se for e in made])
        for what, ours, key, error in (
            ("pooled estimates", [e.estimate for e in made], "est", se * np.sqrt(1 / 200 + 1 / 1000)),
            ("pooled standard errors", se, "se", se * np.sqrt(1 / 398 + 1 / 1998)),
        ):
            out.append(block(BOOTSTRAP, strategy, what, ours, table[key], 4.0, scale=error, unit=MONTE_CARLO))
    return tuple(out)


@cache
def where_nothing_was_imputed() -> tuple[Estimate, Estimate]:
    """The difference at visit 4, where everyone was seen: with the degrees of freedom of R's formula, and with ours."""
    completed = drawn(ApproxBayes(2)).impute()
    as_r = completed.analyse(ANALYSIS, no_missing="formula").difference(4)
    return as_r, completed.analyse(ANALYSIS).difference(4)


@cache
def compare_where_nothing_was_imputed() -> tuple[Comparison, ...]:
    case = "antidep_us_approxbayes_1000"
    table = reference()[case]["strategies"]["JR"]["pooled"]
    i = table["parameter"].index("trt_4")
    as_r, ours = where_nothing_was_imputed()
    theirs = [table[k][i] for k in ("lci", "uci", "pval")]
    what = "visit 4: limits and p-value"
    return (
        block(case, "R's formula", what, (as_r.low, as_r.high, as_r.p), theirs, 1e-9),
        block(case, "our default", what, (ours.low, ours.high, ours.p), theirs, None),
    )


# ---- the page ----


def public_page() -> str:
    """The page docs/parity/imputation.md."""
    sections = (
        Section(
            "Conditional mean with jackknife",
            """Deterministic: every imputed value, the difference at the last visit for all patients and with each
            patient left out, and every pooled number. rbmi's fits were brought to the optimum (exact-Hessian Newton
            steps), since its optimiser stops early. Imputed values are relative to themselves or 1, whichever is
            larger.""",
            tuple(c for s in STRATEGIES for c in compare_conditional_mean(s)) + compare_model(),
        ),
        Section(
            "The same as rbmi prints it",
            """With its default stopping rule rbmi's own numbers are this far from those of its optimum, and so from
            ours: shown, and held to nothing.""",
            tuple(c for s in STRATEGIES for c in compare_default(s)),
        ),
        Section(
            "Bayesian and approximate Bayesian imputation",
            """Monte Carlo on both sides, with as many imputations on each (4,000 and 1,000), other random numbers and,
            for Bayes, another sampler than Stan. Differences are in Monte Carlo errors of the two sides together:
            sqrt(2 B / M) for an estimate from M imputations with variance B between, and for a variance the like of its
            two parts. The band of four is for all numbers of a block at once. Limits and p-values follow from these,
            and are not compared.""",
            tuple(c for case in RUBIN for c in compare_rubin(case)),
        ),
        Section(
            "Bootstrapped multiple imputation",
            """Monte Carlo on both sides, 200 bootstrap samples in R and 1,000 here. The reference has MAR and jump to
            reference.""",
            compare_bootstrap(),
        ),
        Section(
            "Degrees of freedom where nothing was imputed",
            """At visit 4 everyone was seen. R reports Barnard and Rubin's formula there, nu (nu + 1) / (nu + 3); we
            keep nu, that of the analysis itself, unless asked for the formula with `no_missing="formula"`. The second
            row shows what that choice makes of the limits and the p-value.""",
            compare_where_nothing_was_imputed(),
        ),
    )
    prose = f"""
Every case of the references, made with {parity.versions("rbmi")}; Bayesian imputation with
{parity.versions("rbmi_bayes")}. The data are the public antidepressant trial of rbmi, 172 patients, visits 4 to 7,
unstructured covariance, ANCOVA of each visit. Strategies: MAR, jump to reference (JR), copy reference (CR), copy
increments in reference (CIR).

Not compared: tipping points, `HYPOTHETICAL` after an event, `COMPOSITE` and the percentile bootstrap, of which the
reference has none.
"""
    return parity.page("imputation", "Multiple imputation: our numbers beside rbmi's", prose, sections)
