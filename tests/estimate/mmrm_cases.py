"""The reference cases of R's mmrm: how to run one here, and every number compared with its difference.

The references were made with R 4.2.2 and mmrm 0.3.18, polished with exact-Hessian Newton steps until the gradient was
below 1e-10 (tests/fixtures/mmrm.json: our own synthetic trial; EQUIPOISE_SHARED/reference/mmrm.json: public data sets).
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from equipoise.estimate.mmrm import MmrmFit, mmrm

FIXTURES = Path(__file__).parents[1] / "fixtures"
SHARED = Path(os.environ.get("EQUIPOISE_SHARED", Path(__file__).parents[3] / "shared"))

ESTIMATE_TOLERANCE = 1e-6
DF_TOLERANCE = 1e-4

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


@dataclass(frozen=True)
class Comparison:
    """One block of numbers: the largest difference, relative to max(|reference|, scale), and the entry it is in."""

    case: str
    method: str
    quantity: str
    ours: float
    reference: float
    difference: float
    tolerance: float

    @property
    def passed(self) -> bool:
        return bool(self.difference <= self.tolerance)


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


def block(case: str, method: str, quantity: str, ours: object, reference: object, tolerance: float,
          scale: float = 0.0) -> Comparison:  # fmt: skip
    a, b = np.asarray(ours, float).ravel(), np.asarray(reference, float).ravel()
    assert a.shape == b.shape, (case, method, quantity, a.shape, b.shape)
    assert not np.isnan(b).any(), (case, method, quantity)
    difference = np.abs(a - b) / np.maximum(np.abs(b), scale)
    difference = np.where(a == b, 0.0, difference)
    worst = int(np.argmax(np.where(np.isnan(difference), np.inf, difference)))
    return Comparison(case, method, quantity, a[worst], b[worst], difference[worst], tolerance)


def fit_case(case: dict, method: dict) -> MmrmFit:
    df = DF[method["df_method"]]
    if method["vcov_method"] == "Kenward-Roger-Linear":
        df = "kenward-roger-linear"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return mmrm(case["formula"], data(case["dataset"]), reml=case["reml"], df=df, vcov=VCOV[method["vcov_method"]],
                    weights=case["weights"])  # fmt: skip


def compare(case: dict, key: str) -> Iterator[Comparison]:
    """Every number of one method of a case."""
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
        yield block(name, key, "covariance", ours / np.outer(sd, sd), values / np.outer(sd, sd), rel, 0.01)
    table = fit.coefficients
    yield block(name, key, "coefficients", table["estimate"].to_numpy()[order] / se,
                np.asarray(case["beta"]["values"]) / se, rel, 1.0)  # fmt: skip
    yield block(name, key, "standard errors", table["se"].to_numpy()[order], se, rel)
    yield block(name, key, "degrees of freedom", table["df"].to_numpy()[order], method["coefficients"]["df"], tol)
    yield block(name, key, "vcov", fit.vcov[np.ix_(order, order)] / np.outer(se, se),
                np.asarray(method["vcov"]["values"]) / np.outer(se, se), rel, 1.0)  # fmt: skip
    target, visit = list(method["lsmeans"])[:2]
    for what, reference in (("LS means", method["lsmeans"]), ("contrasts", method["contrasts"])):
        if what == "LS means":
            got = fit.lsmeans(target, by=visit, weights=case["emmeans_weights"])
            label, value = target, "emmean"
        else:
            got = fit.contrasts(target, by=visit, weights=case["emmeans_weights"])
            label, value = "contrast", "estimate"
        rows = {(str(a), str(b)): i for i, (a, b) in enumerate(zip(got[label], got[visit], strict=True))}
        place = [rows[str(a), str(b)] for a, b in zip(reference[label], reference[visit], strict=True)]
        assert len(place) == len(got)
        errors = np.asarray(reference["SE"])
        yield block(name, key, what, got["estimate"].to_numpy()[place] / errors,
                    np.asarray(reference[value]) / errors, rel, 1.0)  # fmt: skip
        yield block(name, key, f"{what}: standard errors", got["se"].to_numpy()[place], errors, rel)
        yield block(name, key, f"{what}: degrees of freedom", got["df"].to_numpy()[place], reference["df"], tol)
        yield block(name, key, f"{what}: lower limits", got["lower"].to_numpy()[place] / errors,
                    np.asarray(reference["lower.CL"]) / errors, tol, 1.0)  # fmt: skip
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
