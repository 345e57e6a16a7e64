"""Survival of two arms compared at chosen times: Kaplan-Meier with Greenwood's variance.

    plain:    S1(t) - S0(t),                         variance  S1^2 g1 + S0^2 g0
    log-log:  log(-log S1(t)) - log(-log S0(t)),     variance  g1 / (log S1)^2 + g0 / (log S0)^2

with ``g`` Greenwood's variance of log S. The exponential of the second is the ratio of cumulative hazards up to ``t``.
Klein et al. 2007 (Stat Med 26:4505) compare these and other scales. See ``docs/methods/rmst.md``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from equipoise.errors import EstimationError
from equipoise.estimate.fit import Fit, number
from equipoise.estimate.left_out import LeftOut, of_one_arm
from equipoise.estimate.result import Estimate, check_level, times_at
from equipoise.estimate.survival.asked import as_columns
from equipoise.estimate.survival.event_data import EventData, read_named
from equipoise.estimate.survival.kaplan_meier import KaplanMeier, curve_of
from equipoise.estimate.survival.kernels import rmst as kernel
from equipoise.types import FloatArray, Status

KLEIN = "Klein et al. 2007, Stat Med 26:4505"
GREENWOOD = "Greenwood 1926, Reports on Public Health and Medical Subjects 33"
SCALES = ("plain", "log-log")
WEIGHTS = ("size", "mantel-haenszel", "inverse-variance")


@dataclass(frozen=True)
class ArmSurvival:
    """Survival of one arm at a landmark: patients at risk just before it, estimate, standard error, log-log limits."""

    arm: Any
    at_risk: int
    survival: float
    se: float
    low: float
    high: float


@dataclass(frozen=True)
class Landmark:
    """One time: survival of control and active (all strata together), and their comparison."""

    time: float
    arms: tuple[ArmSurvival, ArmSurvival]
    comparison: Estimate


@dataclass(frozen=True, eq=False)
class Landmarks(Fit):
    """The comparisons at all times asked for. strata_left_out : strata with patients of one arm only, which
    take no part. left_out : rows that take no part, those of such strata among them, by reason."""

    points: tuple[Landmark, ...]
    strata_left_out: tuple[str, ...]
    left_out: LeftOut
    backend: Any

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """The comparison at each time."""
        return tuple(p.comparison for p in self.points)

    def _keys(self) -> Sequence[dict[str, Any]]:
        return [
            {"time": p.time, "survival_control": p.arms[0].survival, "survival_active": p.arms[1].survival}
            for p in self.points
        ]

    def _facts(self) -> Iterator[tuple[str, str]]:
        for p in self.points:
            for a in p.arms:
                if not math.isnan(a.survival):
                    limits = f" ({number(a.low)} to {number(a.high)})" if not math.isnan(a.low) else ""
                    yield f"{a.arm} at {p.time:g}", f"{number(a.survival)}{limits}, {a.at_risk} at risk"


def landmark(
    formula: Any = None,
    data: Any = None,
    *,
    at: float | Sequence[float],
    time: str | None = None,
    event: str | None = None,
    censor: str | None = None,
    arm: str | None = None,
    control: Any = None,
    strata: str | Sequence[str] = (),
    weights: str = "size",
    scale: str = "plain",
    level: float = 0.95,
    estimand: str | None = None,
) -> Landmarks:
    """Compare survival of two arms at given times.

    Parameters
    ----------
    formula : ``Surv(AVAL, 1 - CNSR) ~ TRT01P + strata(RILFL)``; or leave it out, give the data first and name the
        columns.
    data : one row a patient; pandas, polars or pyarrow. Rows that lack a value take no part.
    at : one or more times, above 0. time, event or censor, arm, control : as in :func:`rmst`.
    strata : columns; comparisons within strata are averaged with ``weights``: ``size`` (patients), ``mantel-haenszel``
        (n1 n0 / n) or ``inverse-variance``.
    scale : ``plain`` (difference in survival) or ``log-log`` (ratio of cumulative hazards).

    Returns
    -------
    Landmarks. At a time that an arm's follow-up does not reach, or at which the scale does not exist (log-log where
    survival is 0 or 1), the comparison says so.

    Raises
    ------
    DataError, EstimationError : a column or an option cannot be used.

    Examples
    --------
    >>> import polars as pl
    >>> frame = pl.DataFrame({"T": [2, 5, 9, 9, 4, 8, 9, 9], "E": [1, 1, 0, 0, 1, 0, 0, 0], "ARM": list("ppppaaaa")})
    >>> found, = landmark(frame, time="T", event="E", arm="ARM", control="p", at=6).points
    >>> [a.survival for a in found.arms], found.comparison.estimate
    ([0.5, 0.75], 0.25)
    """
    check_level(level)
    if scale not in SCALES:
        raise EstimationError(f"unknown scale {scale!r}", hint="choose one of " + ", ".join(SCALES))
    if weights not in WEIGHTS:
        raise EstimationError(f"unknown weights {weights!r}", hint="choose one of " + ", ".join(WEIGHTS))
    times = times_at(at, "landmarks")
    named = as_columns(formula, data, time=time, event=event, censor=censor, arm=arm, strata=strata, takes=["strata"])
    read, _ = read_named(named, control=control)
    names = named.strata
    used, left_out = _used(read)
    code = 2 * np.searchsorted(used, read.stratum) + read.arm
    kept = np.isin(read.stratum, used)
    n_groups = 2 * max(len(used), 1)
    _, _, _, survival, greenwood, horizon = kernel.curves(
        read.time[None],
        read.event[None],
        np.where(kept, code, 0)[None],
        tau=1.0,
        at=times,
        include=kept[None],
        n_groups=n_groups,
    )
    sizes = np.bincount(code[kept], minlength=n_groups).reshape(-1, 2).astype(np.float64)
    whole = [
        curve_of(read.arms[g], read.time[read.arm == g], read.event[read.arm == g], level, "log-log")
        if read.sizes[g]
        else None
        for g in range(2)
    ]
    by = f", stratified by {', '.join(names)} ({weights} weights)" if names else ""
    points = []
    for k, when in enumerate(times):
        status, detail, value, se = _compare(
            read,
            when,
            sizes,
            survival[0, :, k].reshape(-1, 2),
            greenwood[0, :, k].reshape(-1, 2),
            horizon[0].reshape(-1, 2),
            scale,
            weights,
            [read.strata[int(h)] for h in used],
        )
        points.append(
            Landmark(
                when,
                (_arm(read.arms[0], whole[0], when), _arm(read.arms[1], whole[1], when)),
                Estimate.from_t(
                    f"{read.arms[1]} against {read.arms[0]}, at {when:g}",
                    "Kaplan-Meier survival at a landmark" + by,
                    value,
                    se,
                    math.inf,
                    int(kept.sum()),
                    level=level,
                    ratio=scale == "log-log",
                    scale="difference in survival" if scale == "plain" else "ratio of cumulative hazards",
                    estimand=estimand,
                    status=status,
                    detail=detail,
                    references=(GREENWOOD, KLEIN),
                    term="survival" if scale == "plain" else "cumulative hazard",
                    contrast=f"{read.arms[1]} {'-' if scale == 'plain' else '/'} {read.arms[0]}",
                ),
            )
        )
    return Landmarks(
        tuple(points),
        tuple(left_out.values()),
        read.left_out.and_then(of_one_arm({name: int((read.stratum == h).sum()) for h, name in left_out.items()})),
        read.backend,
    )


def _used(read: EventData) -> tuple[Any, dict[int, str]]:
    """Codes of the strata with both arms, and codes and labels of those without."""
    present = np.unique(read.stratum)
    both = [h for h in present if len(np.unique(read.arm[read.stratum == h])) == 2]
    return np.array(both, np.int64), {int(h): read.strata[int(h)] or "the trial" for h in present if h not in both}


def _arm(label: Any, curve: KaplanMeier | None, when: float) -> ArmSurvival:
    if curve is None:
        return ArmSurvival(label, 0, math.nan, math.nan, math.nan, math.nan)
    s, se, low, high, risk = curve.at(when)
    return ArmSurvival(label, risk, s, se, low, high)


def _compare(
    read: EventData,
    when: float,
    sizes: FloatArray,
    survival: FloatArray,
    greenwood: FloatArray,
    horizon: FloatArray,
    scale: str,
    weights: str,
    called: list[str],
) -> tuple[Status, str | None, float, float]:
    """Status, what is to be said, estimate and standard error at one time; arrays are (stratum, arm)."""

    def no(status: Status, why: str) -> tuple[Status, str | None, float, float]:
        return status, "not estimable: " + why, math.nan, math.nan

    if not len(read.time):
        return no(Status.NO_DATA, "no patient has a time, an indicator, an arm and the strata")
    for g in range(2):
        if not read.sizes[g]:
            return no(Status.EMPTY_ARM, f"no patients in arm {read.arms[g]}")
    if not called:
        return no(Status.EMPTY_ARM, "no stratum has patients of both arms")
    where = [f" of stratum {c}" if c else "" for c in called]
    for h, g in np.argwhere(horizon < when):
        return no(
            Status.NO_DATA, f"follow-up of arm {read.arms[g]}{where[h]} ends at {horizon[h, g]:g}, before {when:g}"
        )
    if scale == "plain":
        difference = survival[:, 1] - survival[:, 0]
        variance = np.where(survival > 0.0, survival**2 * np.where(survival > 0.0, greenwood, 0.0), 0.0).sum(axis=1)
    else:
        for h, g in np.argwhere((survival <= 0.0) | (survival >= 1.0)):
            what = "no events" if survival[h, g] >= 1.0 else "no survivors"
            return no(
                Status.BOUNDARY, f"{what} by {when:g} in arm {read.arms[g]}{where[h]}, where log(-log S) is infinite"
            )
        log = np.log(survival)
        difference = np.log(log[:, 1] / log[:, 0])
        variance = (greenwood / log**2).sum(axis=1)
    if not (variance > 0.0).any():
        early = int((read.event & (read.time <= when)).sum())
        if not early:
            return no(Status.NO_EVENTS, f"no events by {when:g} (events {read.counts()})")
        return no(Status.SINGULAR, f"all or none have had the event by {when:g}, which gives no variance")
    if weights == "inverse-variance":
        if not (variance > 0.0).all():
            return no(Status.SINGULAR, f"a stratum without variance at {when:g} has no inverse-variance weight")
        w = 1.0 / variance
    else:
        w = sizes.sum(axis=1) if weights == "size" else sizes.prod(axis=1) / sizes.sum(axis=1)
    w = w / w.sum()
    detail = None
    still = [
        f"arm {read.arms[g]}{where[h]}"
        for h, g in np.argwhere((survival >= 1.0) | (survival <= 0.0))
        if len(called) == 1
    ]
    if still:
        detail = f"{still[0]} adds nothing to the variance (survival 0 or 1 at {when:g})"
    return Status.OK, detail, float((w * difference).sum()), math.sqrt(float((w * w * variance).sum()))
