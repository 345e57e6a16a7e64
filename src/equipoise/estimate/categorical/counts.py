"""Counts and rates: Poisson and negative binomial regression with exposure, and rates an exposure of two arms."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
from scipy import special

from equipoise.errors import EstimationError
from equipoise.estimate.categorical import glm
from equipoise.estimate.categorical.answers import ARM
from equipoise.estimate.categorical.glm import Problem
from equipoise.estimate.categorical.logistic import VCOV
from equipoise.estimate.categorical.regression import Regression, made, read_model
from equipoise.estimate.columns import codes_of, numbers, two_levels
from equipoise.estimate.fit import MadeAgain, number
from equipoise.estimate.frames import read_frame, refuse, require
from equipoise.estimate.left_out import LeftOut, Sieve
from equipoise.estimate.result import Estimate, check_level
from equipoise.types import Status

MODELS = ("poisson", "quasi-poisson", "negative-binomial")
DEAN = "Dean & Lawless 1989, J Am Stat Assoc 84:467"
LAWLESS = "Lawless 1987, Can J Stat 15:209"


def count_regression(
    formula: Any,
    data: Any,
    *,
    model: str = "negative-binomial",
    exposure: str | None = None,
    interval: str = "wald",
    vcov: str = "model",
    level: float = 0.95,
    estimand: str | None = None,
) -> Regression:
    """Regression of counts, or of rates where there is an exposure.

    Parameters
    ----------
    formula : ``EVENTS ~ TRT01P + BASE + offset(log(YEARS))``; data : one row a patient.
    model : ``negative-binomial`` (variance mu + mu^2 / theta, theta estimated), ``poisson``, or ``quasi-poisson``
        (Poisson's, standard errors times the root of Pearson's dispersion).
    exposure : a column of times under observation, in place of ``offset(log(...))``.
    interval : ``wald`` or ``profile``. vcov : ``model``, or HC0 to HC3.

    Returns
    -------
    Regression, whose ``estimates`` are rate ratios, and whose ``marginal`` gives standardised rates. A Poisson fit says
    where counts vary more than it assumes (Dean & Lawless's score test).

    Raises
    ------
    DataError, EstimationError : the formula, a column or an option cannot be used.

    Examples
    --------
    >>> import polars as pl
    >>> frame = pl.DataFrame({"N": [0, 3, 1, 6, 0, 2, 9, 1, 0, 4], "T": [1.0, 2, 1, 2, 1, 2, 3, 1, 1, 2]})
    >>> frame = frame.with_columns(ARM=pl.Series(list("ababababab")))
    >>> fit = count_regression("N ~ ARM", frame, exposure="T")
    >>> one = fit.coefficient("ARM")
    >>> [round(v, 3) for v in (one.estimate, one.se, fit.theta)]
    [1.434, 0.512, 5.503]
    """
    check_level(level)
    for given, known, what in (
        (model, MODELS, "model"),
        (interval, ("wald", "profile"), "interval"),
        (vcov, VCOV, "vcov"),
    ):
        if given not in known:
            raise EstimationError(f"unknown {what} {given!r}", hint="choose one of " + ", ".join(known))
    if interval == "profile" and (vcov != "model" or model == "quasi-poisson"):
        raise EstimationError(f"profile limits with {vcov if vcov != 'model' else model}", hint="use interval='wald'")
    read = read_model(formula, data, kind="count", exposure=exposure)
    problem = Problem(read.x, read.y, read.offset, "poisson")
    notes: tuple[str, ...] = ()
    scale = 1.0
    if model == "negative-binomial":
        problem = replace(problem, family="negative-binomial")
        best = glm.negative_binomial(problem)
        problem = replace(problem, theta=best.theta)
        if best.status is Status.OK and math.isinf(best.theta):
            notes = ("The counts vary no more than Poisson's: theta is infinite, and the fit is Poisson's.",)
    else:
        best = glm.fit(problem)
        mu = problem.mean(best.beta)
        df = len(read.y) - len(read.kept)
        over = float(((read.y - mu) ** 2 / np.maximum(mu, 1e-300)).sum())
        score = float(((read.y - mu) ** 2 - read.y).sum()) / math.sqrt(2.0 * float((mu * mu).sum()))
        if model == "quasi-poisson":
            scale = over / df
        elif best.status is Status.OK and vcov == "model":
            p = float(special.ndtr(-score))
            if p < 0.05:
                notes = (
                    f"The counts vary {number(over / df, 3)} times as much as Poisson's (P "
                    f"{'< 0.0001' if p < 1e-4 else f'= {p:.4f}'}), so that its intervals are too short: use "
                    "negative-binomial, quasi-poisson or vcov='HC0'.",
                )
    title = f"{model.replace('-', ' ') if model != 'quasi-poisson' else 'quasi-Poisson'} regression".replace(
        "poisson", "Poisson"
    )
    return made(
        read,
        problem,
        best,
        title=title + (f", {vcov} covariance" if vcov != "model" else ""),
        kind="rate ratio",
        vcov=vcov,
        interval=interval,
        level=level,
        estimand=estimand,
        scale=scale,
        notes=notes,
        references=(LAWLESS,) if model == "negative-binomial" else (DEAN,) if model == "poisson" else (),
    )


# -- two rates ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ArmRate:
    """Events and exposure of one arm, their rate (times ``per``), with exact limits (Garwood 1936)."""

    arm: Any
    n: int
    events: float
    exposure: float
    rate: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Rates(MadeAgain):
    """Rates of two arms, compared: events over exposure, per ``per`` units of it.

    arms : control and active. difference, ratio : active against control.
    """

    arms: tuple[ArmRate, ArmRate]
    difference: Estimate
    ratio: Estimate
    per: float
    left_out: LeftOut
    backend: Any
    _again: Any

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """Difference and ratio of the rates."""
        return (self.difference, self.ratio)

    def _title(self) -> str:
        return "Exposure-adjusted incidence"

    def _keys(self) -> Sequence[dict[str, Any]]:
        return [{"scale": e.scale} for e in self.estimates]

    def _drawn(self) -> Any:
        """The ratio; the difference is on another axis."""
        return (self.ratio,)

    def _facts(self) -> Iterator[tuple[str, str]]:
        for a in self.arms:
            limits = f" ({number(a.low)} to {number(a.high)})" if a.exposure else ""
            yield (
                str(a.arm),
                f"{a.n} patients, {a.events:g} events in {number(a.exposure)}: rate {number(a.rate)}{limits}",
            )


def rates(
    data: Any,
    *,
    events: str,
    exposure: str,
    arm: str | None = None,
    control: Any = None,
    per: float = 1.0,
    interval: str = "exact",
    level: float = 0.95,
    estimand: str | None = None,
) -> Rates:
    """Compare incidence rates of two arms: events over the time under observation.

    Parameters
    ----------
    data : one row a patient; rows that lack a value take no part.
    events : a column of counts; of first events 0 and 1, with ``exposure`` up to them. exposure : times, not
        below 0.
    per : the exposure that rates are given for, such as 100 patient-years.
    interval : of the ratio ``exact`` (conditional binomial) or ``wald`` (of its logarithm). The difference has score
        limits (Miettinen & Nurminen 1985), with ``wald`` Wald's.

    Raises
    ------
    DataError, EstimationError : a column or an option cannot be used.

    Examples
    --------
    >>> import polars as pl
    >>> frame = pl.DataFrame({"N": [1, 0, 2, 1, 3, 0], "T": [10.0, 12, 9, 11, 10, 8], "ARM": list("aabbba")})
    >>> made = rates(frame, events="N", exposure="T", arm="ARM", per=100)
    >>> [round(a.rate, 2) for a in made.arms], round(made.ratio.estimate, 3), round(made.ratio.p, 4)
    ([3.33, 20.0], 6.0, 0.125)
    """
    check_level(level)
    if interval not in ("exact", "wald"):
        raise EstimationError(f"unknown interval {interval!r}", hint="choose exact or wald")
    if not per > 0.0:
        raise EstimationError(f"per = {per!r}", hint="give the exposure that rates are for, such as 100")
    arm = arm or ARM
    frame = read_frame(data)
    require(frame, [events, exposure, arm])
    code, levels = codes_of(frame, arm)
    ordered = two_levels(levels, arm, len(code), control)
    group = np.array([*(ordered.index(a) for a in levels), -1], np.int64)[code]
    count, time = numbers(frame, events), numbers(frame, exposure)
    refuse((count < 0.0) | (count != np.floor(count)) & ~np.isnan(count), f"{events!r} is no count", "0, 1, 2 ...")
    refuse(time < 0.0, f"{exposure!r} is negative", "exposure is a time under observation")
    sieve = Sieve(len(frame))
    for there, name in ((~np.isnan(count), events), (~np.isnan(time), exposure), (group >= 0, arm)):
        sieve.need(there, f"without {name}")
    keep = sieve.keep
    group, count, time = group[keep], count[keep], time[keep]

    def again(asked: float) -> Rates:
        arms = []
        for g in range(2):
            own = group == g
            e, t = float(count[own].sum()), float(time[own].sum())
            low, high = _garwood(e, asked)
            with np.errstate(divide="ignore", invalid="ignore"):
                each = [float(np.divide(v, t)) * per for v in (e, low, high)]
            arms.append(ArmRate(ordered[g], int(own.sum()), e, t, each[0], each[1], each[2]))
        made_ = compare_rates(arms[1], arms[0], per, interval, asked, estimand)
        return Rates((arms[0], arms[1]), *made_, per, sieve.left_out, nw.get_native_namespace(frame), again)

    return again(level)


def _garwood(events: float, level: float) -> tuple[float, float]:
    a = 0.5 - 0.5 * level
    low = float(special.gammaincinv(events, a)) if events > 0.0 else 0.0
    return low, float(special.gammainccinv(events + 1.0, a))


def compare_rates(
    a: ArmRate, b: ArmRate, per: float, interval: str, level: float, estimand: str | None = None
) -> tuple[Estimate, Estimate]:
    """Difference and ratio of the rates of ``a`` and of ``b``, control."""
    n, nan = a.n + b.n, math.nan
    z = float(special.ndtri(0.5 + 0.5 * level))
    names = [f"{a.arm} {sign} {b.arm}" for sign in "-/"]
    common: dict[str, Any] = {"level": level, "estimand": estimand}
    scales = ("difference in rates", "rate ratio")
    if not (a.exposure > 0.0 and b.exposure > 0.0):
        empty = (b if not b.exposure > 0.0 else a).arm
        status, why = Status.EMPTY_ARM, f"not estimable: no exposure in arm {empty}"
    elif not a.events + b.events > 0.0:
        status, why = Status.NO_EVENTS, "not estimable: no events"
    else:
        status, why = Status.OK, None
    if status is not Status.OK:
        return tuple(  # type: ignore[return-value]
            Estimate.from_t(
                m,
                interval,
                nan,
                nan,
                nan,
                n,
                ratio=k == 1,
                scale=s,
                term=s,
                contrast=m,
                status=status,
                detail=why,
                **common,
            )
            for k, (m, s) in enumerate(zip(names, scales, strict=True))
        )
    value = (a.events / a.exposure - b.events / b.exposure) * per
    se = math.sqrt(a.events / a.exposure**2 + b.events / b.exposure**2) * per
    told = {"scale": scales[0], "term": scales[0], "contrast": names[0], **common}
    if interval == "wald":
        difference = Estimate.from_t(names[0], "Wald", value, se, math.inf, n, **told)
    else:
        ends = [_score_limit(a, b, q) * per for q in (z, -z)]
        at0 = _score_rate(a, b, 0.0)
        p = 2.0 * float(special.ndtr(-abs(at0)))
        difference = Estimate(
            names[0],
            "score",
            value,
            se,
            math.inf,
            ends[0],
            ends[1],
            p,
            n,
            form="inverted",
            statistic=at0,
            references=("Miettinen & Nurminen 1985, Stat Med 4:213",),
            **told,
        )
    told = {"scale": scales[1], "term": scales[1], "contrast": names[1], **common}
    if not b.events > 0.0 or (interval == "wald" and not a.events > 0.0):
        ratio = Estimate.from_t(
            names[1],
            interval,
            nan,
            nan,
            nan,
            n,
            ratio=True,
            status=Status.ONE_ARM_EVENTS,
            detail="not estimable: all events in one arm",
            **told,
        )
        return difference, ratio
    log = math.log(a.events / a.exposure * b.exposure / b.events) if a.events > 0.0 else -math.inf
    error = math.sqrt(1 / a.events + 1 / b.events) if a.events > 0.0 else nan
    if interval == "wald":
        return difference, Estimate.from_t(names[1], "Wald", log, error, math.inf, n, ratio=True, **told)
    from scipy import stats

    from equipoise.estimate.categorical.two_by_two import clopper_pearson

    total, share = a.events + b.events, a.exposure / (a.exposure + b.exposure)
    low, high = (float(v) for v in clopper_pearson(np.array(a.events), np.array(total), level))
    ends = [v / (1.0 - v) * b.exposure / a.exposure if v < 1.0 else math.inf for v in (low, high)]
    p = float(stats.binomtest(int(a.events), int(total), share).pvalue)
    return difference, Estimate(
        names[1],
        "exact, conditional on the events",
        math.exp(log),
        error,
        math.inf,
        ends[0],
        ends[1],
        p,
        n,
        ratio=True,
        form="inverted",
        statistic=log / error if a.events > 0.0 else -math.inf,
        **told,
    )


def _score_rate(a: ArmRate, b: ArmRate, null: float) -> float:
    """The score statistic that the rates differ by ``null`` (per unit of exposure)."""
    t, d = a.exposure + b.exposure, null
    # the rate of control of greatest likelihood: t r^2 - (x - t d ... ) r - x0 d = 0
    k = a.events + b.events - t * d
    r0 = (k + math.sqrt(max(k * k + 4.0 * t * b.events * d, 0.0))) / (2.0 * t)
    r0 = max(r0, -d, 0.0)
    v = (r0 + d) / a.exposure + r0 / b.exposure
    top = a.events / a.exposure - b.events / b.exposure - d
    return top / math.sqrt(v) if v > 0.0 else math.copysign(math.inf, top)


def _score_limit(a: ArmRate, b: ArmRate, target: float) -> float:
    from scipy import optimize

    value = a.events / a.exposure - b.events / b.exposure
    step = (
        math.copysign((math.sqrt(a.events + 1.0) / a.exposure + math.sqrt(b.events + 1.0) / b.exposure), target) * -1.0
    )
    far = value + step
    for _ in range(60):
        if (_score_rate(a, b, far) - target) * target > 0.0:
            break
        far = value + 2.0 * (far - value)
    near = value
    return float(
        optimize.brentq(lambda d: _score_rate(a, b, d) - target, min(near, far), max(near, far), xtol=1e-14, rtol=1e-13)
    )
