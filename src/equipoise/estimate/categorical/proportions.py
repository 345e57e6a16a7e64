"""Two shares compared: difference, ratio and odds ratio, in strata, with limits of five kinds and a margin.

Equations, defaults and sources in ``docs/methods/binary.md``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special, stats

from equipoise.errors import EstimationError
from equipoise.estimate.categorical import two_by_two as counts
from equipoise.estimate.categorical.answers import asked, read_answers
from equipoise.estimate.categorical.two_by_two import MEASURES, Counts, Exact, Measure
from equipoise.estimate.fit import MadeAgain, number
from equipoise.estimate.left_out import LeftOut, of_one_arm
from equipoise.estimate.result import Estimate, check_level
from equipoise.types import FloatArray, Status

INTERVALS = ("miettinen-nurminen", "newcombe", "wald", "exact")
WEIGHTS = ("mantel-haenszel", "size")
SCALES: dict[str, str] = {
    "difference": "difference in proportions",
    "ratio": "ratio of proportions",
    "odds_ratio": "odds ratio",
}
NEWCOMBE, MN = "Newcombe 1998, Stat Med 17:873", "Miettinen & Nurminen 1985, Stat Med 4:213"
REFERENCES = {
    "wald": ("Fleiss, Levin & Paik 2003, Statistical Methods for Rates and Proportions",),
    "newcombe": (NEWCOMBE, "Yan & Su 2010, Stat Biopharm Res 2:381"),
    "miettinen-nurminen": (MN,),
    "exact": ("Chan & Zhang 1999, Biometrics 55:1202",),
}
_SAID = {"wald": "Wald", "newcombe": "Newcombe", "miettinen-nurminen": "Miettinen-Nurminen", "exact": "exact"}


@dataclass(frozen=True)
class ArmShare:
    """Responders of one arm: patients, responders, share, and its limits by Wilson (exact: Clopper & Pearson)."""

    arm: Any
    n: int
    responders: int
    share: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Proportions(MadeAgain):
    """Shares of responders of two arms, compared.

    arms : control and active. difference, ratio, odds_ratio : active against control, in strata their common values.
    non_inferiority : the one-sided test against the margin, None where none was given. strata_left_out : strata with
    one arm. left_out : rows that lack a value.
    """

    arms: tuple[ArmShare, ArmShare]
    difference: Estimate
    ratio: Estimate
    odds_ratio: Estimate
    non_inferiority: Estimate | None
    interval: str
    level: float
    strata_left_out: tuple[str, ...]
    left_out: LeftOut
    backend: Any
    _again: Any

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """Difference, ratio, odds ratio, and the test of non-inferiority where there is a margin."""
        made = (self.difference, self.ratio, self.odds_ratio)
        return made if self.non_inferiority is None else (*made, self.non_inferiority)

    def _keys(self) -> Sequence[dict[str, Any]]:
        return [{"scale": e.scale} for e in self.estimates]

    def _title(self) -> str:
        return "Proportions compared"

    def _drawn(self) -> Any:
        """The difference; the ratios are on another axis."""
        return (self.difference,)

    def _facts(self) -> Iterator[tuple[str, str]]:
        for a in self.arms:
            yield (
                str(a.arm),
                f"{a.responders} of {a.n}"
                + (f", share {number(a.share)} ({number(a.low)} to {number(a.high)})" if a.n else ""),
            )


def proportions(
    formula: Any = None,
    data: Any = None,
    *,
    response: str | None = None,
    arm: str | None = None,
    control: Any = None,
    strata: str | Sequence[str] = (),
    interval: str = "miettinen-nurminen",
    weights: str = "mantel-haenszel",
    margin: float | None = None,
    margin_of: Measure = "difference",
    higher_better: bool = True,
    level: float = 0.95,
    estimand: str | None = None,
) -> Proportions:
    """Compare the shares of responders of two arms.

    Parameters
    ----------
    formula : ``RESP ~ TRT01P + strata(SITE)``; or leave it out, give the data first and name the columns.
    data : one row a patient; pandas, polars or pyarrow. Rows that lack a value take no part.
    response : a column of 1 and 0, or of truth values. arm : TRT01P where it is not given.
    control : level of ``arm`` to compare with; default the first. strata : columns.
    interval : of the estimates, and the test that goes with it. ``miettinen-nurminen``: the score with the variance
        under the null. ``newcombe``: of the difference, by Wilson's limits (ratios: Wald). ``wald``: from the standard
        error. ``exact``: difference by Chan & Zhang, odds ratio conditional on the margins (ratio: Miettinen &
        Nurminen); without strata.
    weights : of the strata in the difference, ``mantel-haenszel`` (n1 n0 / n) or ``size``; ratios are Mantel &
        Haenszel's.
    margin, margin_of : the largest loss that is accepted, above 0 for a difference (0.1: ten percentage points), the
        value itself for a ratio (0.8, or 1.25 where ``higher_better`` is False); gives a one-sided test.

    Returns
    -------
    Proportions. Where an arm is empty, or nobody or everybody responds, the estimates say what is not there.

    Raises
    ------
    DataError, EstimationError : a column or an option cannot be used.

    Examples
    --------
    >>> import polars as pl
    >>> answers = [1] * 56 + [0] * 14 + [1] * 48 + [0] * 32
    >>> frame = pl.DataFrame({"RESP": answers, "ARM": ["b"] * 70 + ["a"] * 80})
    >>> made = proportions("RESP ~ ARM", frame, margin=0.05)
    >>> print(made.difference.to_sentence())
    b - a: difference in proportions 0.2 (95 % CI 0.0528 to 0.338), P = 0.0083 (Miettinen-Nurminen, n = 150).
    >>> round(made.odds_ratio.estimate, 3), made.non_inferiority.sided
    (2.667, 1)
    """
    check_level(level)
    for given, known, what in ((interval, INTERVALS, "interval"), (weights, WEIGHTS, "weights")):
        if given not in known:
            raise EstimationError(f"unknown {what} {given!r}", hint="choose one of " + ", ".join(known))
    null = null_of(margin, margin_of, higher_better)
    data, response, arm, names = asked(formula, data, response, arm, strata)
    if interval == "exact" and names:
        raise EstimationError("exact limits in strata", hint="use miettinen-nurminen, newcombe or wald")
    read = read_answers(data, response, arm, names, control=control)
    table = read.table()
    both = (table.sum(axis=2) > 0.0).all(axis=1)
    single = {read.strata[h] or "the trial": int(table[h].sum()) for h in np.flatnonzero(~both)} if names else {}
    kept = table[both] if names else table
    whole = Counts(*(kept[:, g, k] for g in (1, 0) for k in (0, 1)))
    whole = Counts(whole.n1, whole.x1 + whole.n1, whole.n0, whole.x0 + whole.n0)

    def again(asked_level: float) -> Proportions:
        share = []
        for g in range(2):
            n, x = int(table[:, g].sum()), int(table[:, g, 1].sum())
            if interval == "exact":
                low, high = counts.clopper_pearson(np.array(float(x)), np.array(float(n)), asked_level)
            else:
                low, high = counts.wilson(np.array(float(x)), np.array(float(n)), counts.quantile(asked_level))
            value = (x / n, float(low), float(high)) if n else (math.nan,) * 3
            share.append(ArmShare(read.arms[g], n, x, *value))
        made = compare(
            whole,
            (str(read.arms[0]), str(read.arms[1])),
            interval=interval,
            weights=weights,
            level=asked_level,
            null=null,
            margin_of=margin_of,
            higher_better=higher_better,
            strata=names,
            estimand=estimand,
        )
        return Proportions(
            (share[0], share[1]),
            made["difference"],
            made["ratio"],
            made["odds_ratio"],
            made.get("non_inferiority"),
            interval,
            asked_level,
            tuple(single),
            read.left_out.and_then(of_one_arm(single)),
            read.backend,
            again,
        )

    return again(level)


def null_of(margin: float | None, of: str, higher_better: bool) -> float | None:
    """The value of ``of`` that a margin makes the null; raises :class:`EstimationError` for one that is none.

    >>> null_of(0.1, "difference", True), null_of(1.25, "ratio", False)
    (-0.1, 1.25)
    """
    if of not in MEASURES:
        raise EstimationError(f"a margin of {of!r}", hint="choose one of " + ", ".join(MEASURES))
    if margin is None:
        return None
    if of == "difference":
        if not 0.0 < margin < 1.0:
            raise EstimationError(f"a margin of {margin!r}", hint="give the largest loss accepted, such as 0.1")
        return -margin if higher_better else margin
    if not (0.0 < margin < 1.0 if higher_better else 1.0 < margin < math.inf):
        raise EstimationError(
            f"a margin of {margin!r} for a ratio",
            hint="below 1, such as 0.8, where high is good; above 1, such as 1.25, where low is good",
        )
    return float(margin)


def compare(
    c: Counts,
    arms: tuple[str, str],
    *,
    interval: str,
    weights: str,
    level: float,
    null: float | None = None,
    margin_of: Measure = "difference",
    higher_better: bool = True,
    strata: Sequence[str] = (),
    estimand: str | None = None,
) -> dict[str, Estimate]:
    """The estimates of counts (stratum,) by name: the measures, and ``non_inferiority`` where there is a ``null``."""
    n = int(c.n1.sum() + c.n0.sum())
    by = f", stratified by {', '.join(strata)} ({weights} weights)" if strata else ""
    empty = next((arms[g] for g, m in ((0, c.n0), (1, c.n1)) if not m.sum() > 0.0), None)
    w = c.weights if weights == "mantel-haenszel" else c.sizes
    size = weights == "size"
    exact = _exact(c, interval) if empty is None and n else None
    out: dict[str, Estimate] = {}
    for measure in MEASURES:
        name = f"{arms[1]} {'-' if measure == 'difference' else '/'} {arms[0]}"
        how = _how(interval, measure)
        common: dict[str, Any] = {
            "name": name,
            "estimator": ("Mantel-Haenszel, " if strata and measure != "difference" else "") + _SAID[how] + by,
            "n": n,
            "level": level,
            "scale": SCALES[measure],
            "estimand": estimand,
            "references": REFERENCES[how],
            "ratio": measure != "difference",
            "term": SCALES[measure],
            "contrast": name,
        }
        out[measure] = _estimate(c, measure, how, w, size, empty, exact, common)
    if null is not None:
        out["non_inferiority"] = _margin(c, arms, interval, null, margin_of, higher_better, w, size, exact, empty, n)
    return out


def _how(interval: str, measure: str) -> str:
    """How the interval of a measure is made, where the one asked for is another measure's."""
    if interval == "newcombe" and measure != "difference":
        return "wald"
    return "miettinen-nurminen" if interval == "exact" and measure == "ratio" else interval


def _exact(c: Counts, interval: str) -> Exact | None:
    if interval != "exact":
        return None
    n1, n0 = int(c.n1[0]), int(c.n0[0])
    if (n1 + 1) * (n0 + 1) > Exact.LARGEST:
        raise EstimationError(
            f"exact limits of {n1} against {n0} patients", hint="with so many use miettinen-nurminen or newcombe"
        )
    return Exact(int(c.x1[0]), n1, int(c.x0[0]), n0)


def _estimate(
    c: Counts,
    measure: Measure,
    how: str,
    w: FloatArray,
    size: bool,
    empty: str | None,
    exact: Exact | None,
    common: dict[str, Any],
) -> Estimate:
    nan = math.nan

    def no(status: Status, why: str) -> Estimate:
        told = {k: v for k, v in common.items() if k not in ("name", "estimator")}
        return Estimate(
            common["name"],
            common["estimator"],
            estimate=nan,
            se=nan,
            df=nan,
            low=nan,
            high=nan,
            p=nan,
            status=status,
            detail=f"not estimable: {why}",
            **told,
        )

    if empty is not None:
        return no(Status.EMPTY_ARM if common["n"] else Status.NO_DATA, f"no patients in arm {empty}")
    value, se = float(counts.estimate(c, measure, w)), float(counts.error(c, measure, w, size=size))
    if not math.isfinite(value):
        nobody = not (c.x1.sum() + c.x0.sum()) > 0.0
        return no(
            Status.NO_EVENTS if nobody else Status.ONE_ARM_EVENTS,
            "nobody responds"
            if nobody
            else "the ratio has no finite value (an arm without responders, or of them alone)",
        )
    if how == "wald":
        at = value if measure == "difference" else math.log(value) if value > 0.0 else -math.inf
        if not math.isfinite(at):
            return no(Status.ONE_ARM_EVENTS, "the logarithm of a ratio of 0 does not exist")
        told = {k: v for k, v in common.items() if k not in ("name", "estimator", "n")}
        return Estimate.from_t(common["name"], common["estimator"], at, se, math.inf, common["n"], **told)
    null = 0.0 if measure == "difference" else 1.0
    z = float(counts.score(c, measure, null, w))
    p = 2.0 * float(special.ndtr(-abs(z)))
    if exact is not None and measure == "difference":
        low, high = exact.limits(common["level"])
        p = min(1.0, 2.0 * min(exact.p(0.0, greater=True), exact.p(0.0, greater=False)))
    elif exact is not None and measure == "odds_ratio":
        table = np.array([[c.x1[0], c.n1[0] - c.x1[0]], [c.x0[0], c.n0[0] - c.x0[0]]]).astype(np.int64)
        conditional = stats.contingency.odds_ratio(table, kind="conditional")
        ends = conditional.confidence_interval(common["level"])
        value, low, high = float(conditional.statistic), float(ends.low), float(ends.high)
        p = float(stats.fisher_exact(table).pvalue)
    else:
        if how == "newcombe":  # the test of Cochran, which limits by Wilson's are made for
            z *= math.sqrt(_uncorrected(c, w))
            p = 2.0 * float(special.ndtr(-abs(z)))
        ends_ = counts.limits(c, measure, how, common["level"], w, size=size)
        low, high = float(ends_[0]), float(ends_[1])
    told = {k: v for k, v in common.items() if k not in ("name", "estimator")}
    return Estimate(
        common["name"],
        common["estimator"],
        estimate=value,
        se=se if math.isfinite(se) and se > 0.0 else nan,
        df=math.inf,
        low=low,
        high=high,
        p=p,
        form="inverted",
        statistic=z,
        **told,
    )


def _uncorrected(c: Counts, w: FloatArray) -> float:
    """The square of the score statistic without N / (N - 1), over that with it."""
    n = c.n1 + c.n0
    r = (c.x1 + c.x0) / n
    v = w**2 * r * (1 - r) * (1 / c.n1 + 1 / c.n0)
    top = float((v * np.where(n > 1, n / np.maximum(n - 1, 1), 0.0)).sum())
    return top / float(v.sum()) if v.sum() > 0.0 else 1.0


def _margin(
    c: Counts,
    arms: tuple[str, str],
    interval: str,
    null: float,
    of: Measure,
    higher_better: bool,
    w: FloatArray,
    size: bool,
    exact: Exact | None,
    empty: str | None,
    n: int,
) -> Estimate:
    """The one-sided test that the loss is the margin or more."""
    how = _how(interval, of)
    name = f"{arms[1]} not inferior to {arms[0]}, {SCALES[of]} {'above' if higher_better else 'below'} {null:g}"
    z = math.nan
    if empty is None:
        if how == "wald":
            value, se = float(counts.estimate(c, of, w)), float(counts.error(c, of, w, size=size))
            with np.errstate(divide="ignore", invalid="ignore"):
                top = value - null if of == "difference" else float(np.log(value)) - math.log(null)
                z = float(np.divide(top, se))
        else:
            z = float(counts.score(c, of, null, w))
    p = float(special.ndtr(-z if higher_better else z)) if not math.isnan(z) else math.nan
    if exact is not None and of == "difference":
        p = exact.p(null, greater=higher_better)
    return Estimate.of_test(
        name,
        f"{_SAID[how]} test of the margin",
        p,
        n,
        statistic=z,
        df=math.inf,
        sided=1,
        status=Status.OK if not math.isnan(p) else Status.SINGULAR,
    )
