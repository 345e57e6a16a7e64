"""The reference cases of R's mmrm: how to run one here, and every number compared with its difference.

The references were made with R 4.2.2 and mmrm 0.3.18, polished with exact-Hessian Newton steps until the gradient was
below 1e-10 (tests/fixtures/mmrm.json: our own synthetic trial; EQUIPOISE_SHARED/reference/mmrm.json: public data sets).
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from equipoise.estimate.linear.mmrm import MmrmFit, mmrm
from parity import SHARED, Comparison, block

FIXTURES = Path(__file__).parents[1] / "fixtures"

ESTIMATE_TOLERANCE = 1e-8
DF_TOLERANCE = 1e-6

DF = {
    "Satterthwaite": "satterthwaite",
    "Kenward-Roger": "kenward-roger",
    "Residual": "residual",
    "Between-Within": "between-within",
}
VCOV = {
    "Asymptotic": None,
    "Kenward-Roger": None,
    "Kenward-Roger-Linear": None,
    "Empirical": "empirical",
    "Empirical-Jackknife": "empirical-jackknife",
    "Empirical-Bias-Reduced": "empirical-bias-reduced",
}


@lru_cache(maxsize=2)
def cases(source: str) -> dict[str, dict]:
    """Reference cases of ``fixtures`` or ``shared``; empty where the file is absent."""
    path = FIXTURES / "mmrm.json" if source == "fixtures" else SHARED / "reference" / "mmrm.json"
    return json.loads(path.read_text())["cases"] if path.exists() else {}


@lru_cache(maxsize=8)
def data(name: str) -> pd.DataFrame:
    """The data of a case, with the level order of the R scripts."""
    if name == "trial":
        d = pd.read_csv(FIXTURES / "trial_visits.csv")
        d = d[d["AVISITN"] > 0].copy()
        d["TRT01P"] = pd.Categorical(d["TRT01P"], ["Placebo", "Active"])
        d["DLOGNFL"] = d["LOGNFL"] - d["LOGNFLBL"]
        return d
    d = pd.read_csv(SHARED / "data" / f"{name}.csv")
    if name == "fev_data":
        d["SEX"] = pd.Categorical(d["SEX"], ["Male", "Female"])
    if name == "antidepressant_data":
        d["VISIT"] = d["VISIT"].astype(str)
        d["THERAPY"] = pd.Categorical(d["THERAPY"], ["PLACEBO", "DRUG"])
    return d


def r_name(name: str) -> frozenset[str]:
    """A column name, ours or R's, as the set of its factors."""
    plain = name.replace("[T.", "").replace("[", "").replace("]", "")
    return frozenset(plain.split(":"))


def fit_case(case: dict, method: dict) -> MmrmFit:
    df = DF[method["df_method"]]
    if method["vcov_method"] == "Kenward-Roger-Linear":
        df = "kenward-roger-linear"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return mmrm(
            case["formula"],
            data(case["dataset"]),
            reml=case["reml"],
            df=df,
            vcov=VCOV[method["vcov_method"]],
            weights=case["weights"],
        )


@cache
def compare(source: str, name: str, key: str) -> tuple[Comparison, ...]:
    """Every number of one method of a case."""
    return tuple(_compare(cases(source)[name], key))


def _compare(case: dict, key: str) -> Iterator[Comparison]:
    method = case["results"][key]
    fit = fit_case(case, method)
    name = case["id"]
    rel, tol = ESTIMATE_TOLERANCE, DF_TOLERANCE
    assert fit.converged
    index = {r_name(n): i for i, n in enumerate(fit.names)}
    order = [index[r_name(n)] for n in case["beta"]["names"]]
    assert sorted(order) == list(range(len(fit.names)))
    se = np.asarray(method["coefficients"]["se"])
    yield block(name, key, "observations", [fit.n_obs, fit.n_subjects], [case["n_obs"], case["n_subjects"]], 0.0)
    yield block(name, key, "log-likelihood", fit.loglik, case["logLik"], 1e-9)
    yield block(name, key, "AIC", fit.aic, case["AIC"], 1e-9)
    yield block(name, key, "BIC", fit.bic, case["BIC"], 1e-9)
    covariance = case["covariance"]
    ours = fit.covariance
    if isinstance(ours, dict):
        for group, matrix in ours.items():
            yield block(name, key, f"covariance, {group}", matrix, covariance[str(group)]["values"], rel)
    elif "sp_exp" in case["formula"]:
        yield block(name, key, "covariance", ours[:2, :2], covariance["values"], rel)
    else:
        values = np.asarray(covariance["values"])
        sd = np.sqrt(np.diag(values))
        yield block(name, key, "covariance", ours, values, rel, 0.01 * np.outer(sd, sd))
    table = fit.coefficients
    yield block(name, key, "coefficients", table["estimate"].to_numpy()[order], case["beta"]["values"], rel, se)
    yield block(name, key, "standard errors", table["se"].to_numpy()[order], se, rel)
    yield block(name, key, "degrees of freedom", table["df"].to_numpy()[order], method["coefficients"]["df"], tol)
    vcov = fit.vcov[np.ix_(order, order)]
    yield block(name, key, "vcov", vcov, method["vcov"]["values"], rel, np.outer(se, se))
    target, visit = list(method["lsmeans"])[:2]
    for what, reference in (("LS means", method["lsmeans"]), ("contrasts", method["contrasts"])):
        if what == "LS means":
            got = fit.lsmeans(target, by=visit, weights=case["emmeans_weights"]).to_frame()
            label, value = target, "emmean"
        else:
            got = fit.contrasts(target, by=visit, weights=case["emmeans_weights"]).to_frame()
            label, value = "contrast", "estimate"
        rows = {(str(a), str(b)): i for i, (a, b) in enumerate(zip(got[label], got[visit], strict=True))}
        place = [rows[str(a), str(b)] for a, b in zip(reference[label], reference[visit], strict=True)]
        assert len(place) == len(got)
        errors = np.asarray(reference["SE"])
        yield block(name, key, what, got["estimate"].to_numpy()[place], reference[value], rel, errors)
        yield block(name, key, f"{what}: standard errors", got["se"].to_numpy()[place], errors, rel)
        yield block(name, key, f"{what}: degrees of freedom", got["df"].to_numpy()[place], reference["df"], tol)
        lower = got["low"].to_numpy()[place]
        yield block(name, key, f"{what}: lower limits", lower, reference["lower.CL"], tol, errors)
        if what == "contrasts":
            yield block(name, key, "contrasts: p-values", got["p"].to_numpy()[place], reference["p.value"], tol, 1e-12)
    for which, test in method["joint_tests"].items():
        got = fit.test([_own_name(fit, index, t) for t in test["terms"]])
        yield block(name, key, f"F test {which}", got["f"], test["F"], rel)
        yield block(name, key, f"F test {which}: numerator df", got["num_df"], test["num_df"], 0.0)
        yield block(name, key, f"F test {which}: denominator df", got["den_df"], test["denom_df"], tol)
        yield block(name, key, f"F test {which}: p-value", got["p"], test["p"], tol, 1e-12)


def _own_name(fit: MmrmFit, index: dict[frozenset[str], int], name: str) -> str:
    return fit.names[index[r_name(name)]]


HEADER = """# MMRM: our numbers beside R's

Every reference case of the mixed model for repeated measures, made with R 4.2.2 and mmrm 0.3.18. mmrm's own optimiser
stops early (up to 2e-4 from the optimum in a coefficient), so the reference fits were polished with exact-Hessian
Newton steps to a gradient below 1e-10 before every number was taken. One row a block of numbers (all coefficients,
say); it shows the entry with the largest difference, relative to the reference or, for numbers that may be near zero,
to their standard error (for covariances: 1 % of the product of the standard deviations).

Cases on `trial` use the synthetic trial in `tests/fixtures`; `fev_data` and `bcva_data` are artificial data of R's
mmrm, `antidepressant_data` is the public example of R's rbmi.

This page is written by `python tests/parity_pages.py mmrm` and checked by `tests/test_parity_pages.py`.
"""


def public_page() -> str:
    """The page docs/parity/mmrm.md."""
    lines = [HEADER]
    n = worst = 0
    body: list[str] = []
    for source in ("fixtures", "shared"):
        for name, case in cases(source).items():
            what = f"`{case['formula']}`, {'REML' if case['reml'] else 'ML'}, data `{case['dataset']}`"
            if case["weights"]:
                what += f", weights `{case['weights']}`"
            if case["emmeans_weights"] != "equal":
                what += f", LS means weighted `{case['emmeans_weights']}`"
            body += ["", f"## {name}", "", what, "", "| method | quantity | here | R | difference | tolerance |"]
            body.append("|---|---|---:|---:|---:|---:|")
            for key in case["results"]:
                for c in compare(source, name, key):
                    n += 1
                    worst = max(worst, c.difference)
                    method = c.method.replace(" | ", ", ")
                    body.append(
                        f"| {method} | {c.quantity} | {c.ours:.10g} | {c.reference:.10g} | {c.difference:.1e} "
                        f"| {c.tolerance:.0e} |"
                    )
    lines.append(f"{n} blocks of numbers; the largest difference of all is {worst:.1e}.")
    return "\n".join(lines + body) + "\n"
