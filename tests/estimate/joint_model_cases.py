"""The reference cases of joint models: R's exact likelihood, run here, every number compared with its difference."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import polars as pl

import parity
from equipoise.estimate.joint_model import JointModelFit, joint_model
from parity import Comparison, Section, block

CASES = ("aids_piecewise", "pbc2_piecewise")
#: The reference takes its standard errors from 9 fixed nodes. Of pbc2 that is not enough for one of them, the standard
#: deviation of the random slopes: with 25 nodes the same rule gives ours (test_independent_standard_errors_of_pbc2).
COARSE = {"pbc2_piecewise": ("log L22",)}


def reference(case: str) -> dict[str, Any]:
    found: dict[str, Any] = parity.reference("joint_model_exact")["cases"][case]
    return found


@cache
def data(name: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Marker and events of ``aids`` or ``pbc2``."""
    long, people = (
        pl.read_csv(parity.data_file(f"{name}{tail}.csv"), null_values="NA", infer_schema_length=None)
        for tail in ("", "_id")
    )
    if name == "pbc2":
        drug = pl.col("drug").cast(pl.Enum(["placebo", "D-penicil"]))
        flags = ((pl.col("status") == "dead").cast(int)).alias("dead")
        gone = ((pl.col("status") != "alive").cast(int)).alias("gone")
        return long.with_columns(drug), people.with_columns(drug, flags, gone)
    return long, people


MARKER = {
    "aids": "CD4 ~ obstime + obstime:drug + (obstime | patient)",
    "pbc2": "log(serBilir) ~ year * drug + (year | id)",
}
EVENTS = {"aids": "Surv(Time, death) ~ drug", "pbc2": "Surv(years, dead) ~ drug + age"}


@cache
def fitted(case: str) -> JointModelFit:
    name = case.split("_")[0]
    return joint_model(MARKER[name], EVENTS[name], *data(name), knots=reference(case)["knots"])


def comparisons(case: str) -> Iterator[Comparison]:
    wanted, fit = reference(case), fitted(case)
    loglik = wanted["logLik_45_nodes"]
    yield block(case, "exact", "log-likelihood, absolute", fit.loglik, loglik, 1e-6, unit="1", scale=1.0)
    se = np.array(wanted["se"])
    ours = np.asarray(fit.theta)
    yield block(case, "exact", "parameters, in SE", ours, wanted["parameters"], 1e-4, unit="SE", scale=se)
    fine = np.array([name not in COARSE.get(case, ()) for name in fit.names])
    yield block(case, "exact", "standard errors", fit.se[fine], se[fine], 1e-3)
    if not fine.all():
        yield block(case, "exact", "standard error of log L22 (9 nodes in R)", fit.se[~fine], se[~fine], None)


def public_page() -> str:
    """The page docs/parity/joint-models.md."""
    sections = (
        Section(
            "The exact likelihood",
            """Data sets `aids` and `pbc2` of R's JM: a random intercept and slope, a hazard that depends on the
            current value, seven intervals. The reference is an implementation of the likelihood in R that uses nothing
            of JM's fitting; its quadrature is a fixed rule about the mean of the random effects given the marker, ours
            is about the mode given all data. Log-likelihoods are compared with the reference's 45 nodes. Its standard
            errors come from 9 nodes: of `pbc2` that leaves the one of the random slopes' deviation 0.2 % away, which 25
            nodes of the same rule put right (a test).""",
            tuple(c for name in CASES for c in comparisons(name)),
        ),
        Section(
            "R's JM and JMbayes2",
            """Not targets: JM stops short of the optimum, and JMbayes2 is Bayesian. In our standard errors, or in its
            posterior standard deviations.""",
            tuple(others()),
        ),
    )
    prose = f"""
Every case of the reference, made with {parity.versions("joint_model_exact")}: random intercept and slope, the current
value in the hazard, a piecewise constant baseline.

Not in the reference, and checked by identities, brute-force sums over random effects and simulation
(`tests/estimate/test_joint_model.py`): slope, area, lag and random effects in the hazard, late entry, strata, competing
risks, Weibull and spline baselines, prediction, the disease rate ratio.
"""
    return parity.page("joint-models", "Joint models: our numbers beside R's", prose, sections)


def others() -> Iterator[Comparison]:
    """The association of other packages, for show."""
    for name in ("aids", "pbc2"):
        fit = fitted(f"{name}_piecewise")
        j = fit.place("value")
        jm = parity.reference("joint_model")["cases"][f"{name}_piecewise_fine"]["alpha"]
        yield block(name, "JM, fine", "association, in SE", fit.theta[j], jm, None, unit="SE", scale=fit.se[j])
        row = parity.reference("joint_model_bayes")["cases"][name]["survival"]["values"][-1]
        yield block(name, "JMbayes2", "association, in SD", fit.theta[j], row[0], None, unit="SD", scale=row[1])
