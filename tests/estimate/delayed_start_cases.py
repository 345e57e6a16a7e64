"""The reference cases of a delayed start in one repeated-measures model: R's mmrm and emmeans, every number."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import narwhals.stable.v2 as nw
import polars as pl

import parity
from equipoise.estimate.delayed_start import DelayedStart, delayed_start
from parity import Comparison, Section, block

NAMES = {
    "delta1": "delta1",
    "delta2": "delta2",
    "delta2_minus_delta1": "change",
    "delta2_minus_0.5_delta1": "preserved",
    "delayed_period_slope_difference": "slope2",
}
COLUMNS = {"visit": "WEEK", "arm": "ARM", "control": "DELAYED", "period_end": 36.0, "at": 72.0}
SLOPE_WEEKS = [48.0, 54.0, 60.0, 66.0, 72.0]
DF = {"us_krlinear": "kenward-roger-linear", "us_satterthwaite": "satterthwaite"}


def cases() -> dict[str, Any]:
    found: dict[str, Any] = parity.reference("delayed_start")["cases"]
    return found


@cache
def simulated() -> pl.DataFrame:
    return pl.read_csv(parity.data_file("sim_delayed_start.csv"), null_values="NA")


@cache
def run(case: str, level: float) -> DelayedStart:
    return delayed_start(
        simulated(), **COLUMNS, df=DF[case], slope_weeks=SLOPE_WEEKS, level=level, alpha_third=(1 - level) / 2
    )


@cache
def compare(case: str) -> tuple[Comparison, ...]:
    """Every value of mmrm and emmeans: contrasts with both intervals, LS means, covariance, log-likelihood.

    Relative 1e-7 (estimates, errors, limits), 1e-5 (degrees of freedom, P values), absolute 1e-8 (log-likelihood): the
    tolerances of the reference's own README.
    """
    return tuple(_compare(case))


def _compare(case: str) -> Iterator[Comparison]:
    expected = cases()[case]
    assert (expected["p1_end"], expected["p2_end"], expected["slope_weeks"]) == (36, 72, SLOPE_WEEKS)
    for level, key in ((0.95, "contrasts_ci95"), (0.90, "contrasts_ci90")):
        made, table = run(case, level), expected[key]
        rows = [made.named[NAMES[name]] for name in table["contrast"]]
        name = f"{100 * level:.0f} %"
        for what, ours, column, tolerance in (
            ("contrasts", [e.estimate for e in rows], "estimate", 1e-7),
            ("contrasts: standard errors", [e.se for e in rows], "SE", 1e-7),
            ("contrasts: lower limits", [e.low for e in rows], "lower.CL", 1e-7),
            ("contrasts: upper limits", [e.high for e in rows], "upper.CL", 1e-7),
            ("contrasts: t", [e.estimate / e.se for e in rows], "t.ratio", 1e-7),
            ("contrasts: degrees of freedom", [e.df for e in rows], "df", 1e-5),
            ("contrasts: p-values", [e.p for e in rows], "p.value", 1e-5),
        ):
            yield block(case, name, what, ours, table[column], tolerance)
    fit = run(case, 0.90).fit
    assert fit is not None
    yield block(case, "", "log-likelihood", fit.loglik, expected["logLik"], 1e-8, scale=1.0, unit="absolute")
    yield block(case, "", "covariance", fit.covariance, expected["covariance"], 1e-6)
    means = nw.from_native(fit.lsmeans("ARM:WEEK").to_frame())
    theirs = expected["lsmeans"]
    assert [a.upper() for a in means["ARM"].to_list()] == theirs["ARM"]
    assert [str(w) for w in means["WEEK"].to_list()] == theirs["VISIT"]
    for what, ours, name, tolerance in (
        ("LS means", "estimate", "emmean", 1e-7),
        ("LS means: standard errors", "se", "SE", 1e-7),
        ("LS means: degrees of freedom", "df", "df", 1e-5),
        ("LS means: lower limits", "low", "lower.CL", 1e-6),
        ("LS means: upper limits", "high", "upper.CL", 1e-6),
    ):
        yield block(case, "", what, means[ours].to_numpy(), theirs[name], tolerance)


def public_page() -> str:
    """The page docs/parity/delayed-start.md."""
    sections = tuple(
        Section(title, f"`{cases()[case]['formula']}`, {cases()[case]['df_method']} degrees of freedom.", compare(case))
        for case, title in (("us_krlinear", "Kenward-Roger, linear"), ("us_satterthwaite", "Satterthwaite"))
    )
    prose = f"""
Every case of the reference, made with {parity.versions("delayed_start")}: the three questions of a delayed-start trial
as contrasts of one repeated-measures model over both periods, on a simulated trial of our own (300 patients, change of
start at week 36, end at week 72). No R package asks the questions themselves: the reference forms the contrasts with
emmeans. mmrm's fit was polished to a gradient below 1e-10, its own optimiser stopping early. The 90 % limits are those
of the one-sided 5 % test of non-inferiority.

Not compared, the reference having none of it: the slope form of ADAGIO, ANCOVA with multiple imputation, and the batch
of trials, which are checked against our other estimators and by simulation (`tests/estimate/test_delayed_start.py`).
"""
    return parity.page("delayed-start", "Delayed start: our numbers beside R's", prose, sections)
