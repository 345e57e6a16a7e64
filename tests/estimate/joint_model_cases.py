"""The reference cases of joint models: R's exact likelihood, run here, every number compared with its difference."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import polars as pl

import parity
from equipoise.estimate.joint_model import JointModelFit, joint_model
from parity import Comparison, block

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
