"""The Kaplan-Meier estimator by group, with pointwise intervals, quantiles and their intervals.

    S(t) = product over event times s <= t of (1 - d(s) / n(s))

Greenwood's variance of log S(t) is the sum of d / (n (n - d)) (Greenwood 1926; Kaplan & Meier 1958, J Am Stat Assoc
53:457). Or S(t) = exp(-H(t)) with the cumulative hazard of Nelson (1969) and Aalen (1978, Ann Stat 6:701), the sum of
d / n with variance the sum of d / n^2; or with that of Fleming & Harrington (1984, Commun Stat Theory Methods 13:2469),
who let d tied events come one after the other: 1 / n + 1 / (n - 1) + ... Patients may enter late: n(s) counts those who
entered before s. Where n(s) is small early on, the product can fall to 0 and stays there.

Intervals are symmetric on a scale: ``plain`` S, ``log`` S (R's default), ``log-log`` log(-log S) (SAS's),
``logit`` and ``arcsin`` (Borgan & Liestøl 1990, Scand J Stat 17:35). A quantile is the first time at which S, or its
limit, is at or below 1 - p; where S equals 1 - p over an interval, its middle (Brookmeyer & Crowley 1982, Biometrics
38:29; R's ``quantile.survfit``).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import narwhals.stable.v2 as nw
import numpy as np
from scipy import special

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.columns import codes_of
from equipoise.estimate.fit import Fit
from equipoise.estimate.frames import read_frame, refuse, require
from equipoise.estimate.indicators import events_of, tied_times, times_of
from equipoise.estimate.left_out import NOBODY, LeftOut, Sieve
from equipoise.estimate.result import Estimate, check_level, times_at
from equipoise.estimate.survival.asked import as_columns
from equipoise.estimate.survival.curves import Curves
from equipoise.types import BoolArray, FloatArray, IntArray, Status

ESTIMATORS = ("kaplan-meier", "nelson-aalen", "fleming-harrington")
SOURCES = {
    "kaplan-meier": "Kaplan & Meier 1958, J Am Stat Assoc 53:457",
    "nelson-aalen": "Aalen 1978, Ann Stat 6:701",
    "fleming-harrington": "Fleming & Harrington 1984, Commun Stat Theory Methods 13:2469",
}
BROOKMEYER = "Brookmeyer & Crowley 1982, Biometrics 38:29"
SCALES = ("plain", "log", "log-log", "logit", "arcsin")
_TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False)
class KaplanMeier(Fit):
    """The curve of one group.

    group : its level (None where everyone is one group). n, events : patients and events.
    time, at_risk, events_at, censored_at, survival : (time,) at every distinct time of an event or censoring.
    se_log : (time,) standard error of log S; low, high : (time,) pointwise limits at ``level`` on ``scale``.
    hazard, se_hazard : (time,) cumulative hazard of ``estimator`` (Nelson and Aalen's beside Kaplan and Meier's S).
    entries : (n,) sorted times of entry, empty where everyone is seen from the start.
    left_out : rows of the frame, of any group, that take no part in any curve.
    """

    group: Any
    n: int
    events: int
    time: FloatArray
    at_risk: IntArray
    events_at: IntArray
    censored_at: IntArray
    survival: FloatArray
    se_log: FloatArray
    low: FloatArray
    high: FloatArray
    level: float
    scale: str
    hazard: FloatArray
    se_hazard: FloatArray
    estimator: str
    entries: FloatArray
    left_out: LeftOut = NOBODY
    backend: Any = None

    picture: ClassVar[str] = "kaplan_meier"

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """The median time."""
        return (self.time_by(),)

    def _keys(self) -> Sequence[dict[str, Any]]:
        return ({"group": self.group},)

    def at_level(self, level: float) -> tuple[Estimate, ...]:
        """The median time with limits of coverage ``level``."""
        check_level(level)
        z = float(special.ndtri(0.5 + 0.5 * level))
        low, high = limits_of(self.survival, self.se_log, z, self.scale)
        return replace(self, low=low, high=high, level=level).estimates

    def _title(self) -> str:
        return f"{self.estimator.title()} curve, {self.scale} limits"

    def _facts(self) -> Iterator[tuple[str, str]]:
        who = "everyone" if self.group is None else str(self.group)
        yield who, f"{self.events} of {self.n} had the event, followed to {self.time[-1]:g}"

    def _drawn(self) -> Any:
        return self

    def predict(self, at: float | Sequence[float] | None = None) -> Any:
        """Survival at each time of ``at`` (default every distinct time of an event or censoring), as a frame: group,
        time, at_risk, survival, se, low, high.

        Raises :class:`EstimationError` for times that are not above 0.
        """
        return KaplanMeierCurves((self,), self.left_out, self.backend).predict(at)

    def quantile(self, p: float = 0.5) -> tuple[float, float, float]:
        """Time by which a share ``p`` has had the event, with its limits; NaN where the curve does not get there."""
        if not 0.0 < p < 1.0:
            raise EstimationError(f"quantile {p!r}", hint="give a number between 0 and 1")
        return tuple(self._first(curve, 1.0 - p) for curve in (self.survival, self.low, self.high))  # type: ignore[return-value]

    def time_by(self, p: float = 0.5, *, estimand: str | None = None) -> Estimate:
        """Time by which a share ``p`` has had the event; a limit that the curve does not reach is infinite, and a
        curve that does not get there is a reason, not a number.
        """
        value, low, high = self.quantile(p)
        there = not math.isnan(value)
        detail = None
        if not there:
            floor = 100.0 * float(self.survival[-1])
            detail = f"not reached: {floor:.3g} % are without the event at {self.time[-1]:g}"
        elif math.isnan(low):
            detail = "no lower limit: the curve has no step between 1 and 0 to take one from"
        return Estimate(
            name=f"time by which {100 * p:g} % had the event" + ("" if self.group is None else f", {self.group}"),
            estimator=f"{self.estimator.title()} estimate, {self.scale} limits",
            estimate=value,
            se=math.nan,
            df=math.inf if there else math.nan,
            low=low,
            high=math.inf if there and math.isnan(high) else high,
            p=math.nan,
            n=self.n,
            level=self.level,
            scale="time",
            estimand=estimand,
            status=Status.OK if there else Status.NO_EVENTS if not self.events else Status.NO_DATA,
            detail=detail,
            references=(SOURCES[self.estimator], BROOKMEYER),
            form="description",
            term="median" if p == 0.5 else f"quantile {p:g}",
        )

    def mean(self, to: float | None = None) -> tuple[float, float]:
        """Area under the curve up to ``to`` (default the last time) and its standard error by Greenwood's formula.

        Beyond the last time under observation the curve is continued at its last value.
        """
        end = float(self.time[-1]) if to is None else float(to)
        if not end > 0.0:
            raise EstimationError(f"mean up to {end!r}", hint="give a time above 0")
        use = self.time < end
        edges = np.concatenate([[0.0], self.time[use], [end]])
        areas = np.diff(edges) * np.concatenate([[1.0], self.survival[use]])
        after = np.cumsum(areas[::-1])[::-1][1:]
        n, d = self.at_risk[use].astype(np.float64), self.events_at[use]
        left = np.where(n > d, n - d, np.inf)
        return float(areas.sum()), math.sqrt(float((after**2 * d / (n * left)).sum()))

    def _first(self, curve: FloatArray, target: float) -> float:
        drops = self.events_at > 0
        time, values = self.time[drops], curve[drops]
        below = np.flatnonzero(values < target + _TOLERANCE)
        if not len(below):
            return math.nan
        i = int(below[0])
        if abs(values[i] - target) < _TOLERANCE:
            later = np.flatnonzero(values[i:] < target - _TOLERANCE)
            if len(later):
                return float((time[i] + time[i + int(later[0])]) / 2.0)
            return float((time[i] + self.time[-1]) / 2.0)
        return float(time[i])

    def at(self, time: float) -> tuple[float, float, float, float, int]:
        """Survival at ``time``, its standard error and limits, and how many are at risk just before it.

        NaN beyond the last time under observation, unless everyone has had the event by then.
        """
        if time < 0.0 or math.isnan(time):
            raise EstimationError(f"survival at time {time!r}", hint="times count from 0")
        i = int(np.searchsorted(self.time, time, side="right")) - 1
        entered = int(np.searchsorted(self.entries, time)) if len(self.entries) else self.n
        risk = entered - int((self.events_at + self.censored_at)[: int(np.searchsorted(self.time, time))].sum())
        if i < 0:
            return 1.0, 0.0, 1.0, 1.0, risk
        s = float(self.survival[i])
        if time > self.time[-1] and s > 0.0:
            return math.nan, math.nan, math.nan, math.nan, risk
        se = s * float(self.se_log[i]) if s > 0.0 else 0.0
        return s, se, float(self.low[i]), float(self.high[i]), risk


class KaplanMeierCurves(Curves[KaplanMeier]):
    """Kaplan-Meier curves by group; the estimates are the median times."""

    picture: ClassVar[str] = "kaplan_meier"

    def _title(self) -> str:
        first = self.curves[0]
        return f"{first.estimator.title()} curves, {first.scale} limits"

    def predict(self, at: float | Sequence[float] | None = None) -> Any:
        """Survival of every group at each time of ``at`` (default every distinct time of an event or censoring), as a
        frame: group, time, at_risk, survival, se, low, high; missing beyond the end of a curve.

        Raises :class:`EstimationError` for times that are not above 0.
        """
        wanted = None if at is None else times_at(at, "survival")
        rows = [
            (c.group, float(t), *c.at(float(t))) for c in self.curves for t in (c.time if wanted is None else wanted)
        ]
        names = ("group", "time", "survival", "se", "low", "high", "at_risk")
        table = {name: [row[k] for row in rows] for k, name in enumerate(names)}
        order = ("group", "time", "at_risk", "survival", "se", "low", "high")
        return self._frame({name: table[name] for name in order})


def kaplan_meier(
    formula: Any = None,
    data: Any = None,
    *,
    time: str | None = None,
    event: str | None = None,
    censor: str | None = None,
    arm: str | None = None,
    entry: str | None = None,
    level: float = 0.95,
    scale: str = "log-log",
    estimator: str = "kaplan-meier",
) -> KaplanMeierCurves:
    """Kaplan-Meier curves, one a level of ``arm`` (in the order of a category, else sorted).

    Parameters
    ----------
    formula : ``Surv(AVAL, 1 - CNSR) ~ TRT01P``, or ``~ 1`` for everyone together; or leave it out, give the data first
        and name the columns.
    data : one row a patient; pandas, polars or pyarrow. Rows that lack time, event, group or entry take no part. A
        level without patients has no curve.
    time : column of times, none negative. event or censor : column that is 1 (or True) for an event and 0 for
        censoring, or ADaM's CNSR, 0 for an event and above it for censoring. arm : column of the groups; without it
        everyone is one. entry : column of times of coming under observation.
    scale : ``plain``, ``log``, ``log-log``, ``logit`` or ``arcsin``, on which intervals are symmetric.
    estimator : ``kaplan-meier``, or the exponential of the cumulative hazard of ``nelson-aalen`` or
        ``fleming-harrington``.

    Returns
    -------
    KaplanMeierCurves, also of a single group: ``curve, = kaplan_meier(...)``.

    Raises
    ------
    DataError : a column is not there or holds what it should not, or no row is left. EstimationError : an unknown
    scale, estimator or level, or a formula that is none.

    Examples
    --------
    >>> import polars as pl
    >>> frame = pl.DataFrame({"T": [3, 5, 7, 8, 9, 4], "E": [1, 1, 0, 1, 1, 1], "ARM": list("aaabbb")})
    >>> curve, = kaplan_meier(frame, time="T", event="E")
    >>> [round(float(s), 3) for s in curve.survival], curve.quantile(0.5)[0]
    ([0.833, 0.667, 0.5, 0.5, 0.25, 0.0], 6.5)
    >>> curves = kaplan_meier("Surv(T, E) ~ ARM", frame)
    >>> curves.groups, round(curves["b"].at(4)[0], 3)
    (('a', 'b'), 0.667)
    """
    named = as_columns(
        formula, data, time=time, event=event, censor=censor, arm=arm, entry=entry, default_arm=False, takes=["entry"]
    )
    data, time, event, censor, arm, entry = (named.data, named.time, named.event, named.censor, named.arm, named.entry)
    if scale not in SCALES:
        raise EstimationError(f"unknown scale {scale!r}", hint="choose one of " + ", ".join(SCALES))
    check_level(level)
    if estimator not in ESTIMATORS:
        raise EstimationError(f"unknown estimator {estimator!r}", hint="choose one of " + ", ".join(ESTIMATORS))
    frame = read_frame(data)
    require(frame, [time, *(name for name in (arm, entry) if name)])
    times, flags = times_of(frame, time), events_of(frame, event, censor)
    entries = times_of(frame, entry) if entry else None
    if entries is not None:
        refuse(
            entries >= times, f"{entry!r} is not before {time!r}", "a patient is at risk after entry, up to the time"
        )
    sieve = Sieve(len(frame))
    sieve.need(~np.isnan(times), f"without {time}")
    sieve.need(~np.isnan(flags), f"without {event or censor}")
    if entries is None:
        (times,) = tied_times(times)
    else:
        sieve.need(~np.isnan(entries), f"without {entry}")
        entries, times = tied_times(entries, times)
        refuse(
            sieve.keep & (entries >= times), f"{entry!r} and {time!r} differ by rounding alone", "mend or leave it out"
        )
    groups: list[tuple[Any, BoolArray]] = [(None, sieve.keep)]
    if arm is not None:
        code, levels = codes_of(frame, arm)
        sieve.need(code >= 0, f"without {arm}")
        groups = [(g, sieve.keep & (code == i)) for i, g in enumerate(levels)]
    if not sieve.keep.any():
        raise DataError(
            "no row has " + ", ".join(n for n in (time, event, censor, arm, entry) if n), hint="check the columns"
        )
    backend = nw.get_native_namespace(frame)
    curves = tuple(
        curve_of(
            g,
            times[m],
            flags[m] == 1.0,
            level,
            scale,
            None if entries is None else entries[m],
            estimator,
            sieve.left_out,
            backend,
        )
        for g, m in groups
        if m.any()
    )
    return KaplanMeierCurves(curves, sieve.left_out, backend)


def curve_of(
    group: Any,
    times: FloatArray,
    events: BoolArray,
    level: float,
    scale: str,
    entries: FloatArray | None = None,
    estimator: str = "kaplan-meier",
    left_out: LeftOut = NOBODY,
    backend: Any = None,
) -> KaplanMeier:
    """The curve of one group from (subject,) times, events and, where there is late entry, entries."""
    distinct, place = np.unique(times, return_inverse=True)
    d = np.bincount(place, weights=events, minlength=len(distinct)).astype(np.int64)
    c = np.bincount(place, weights=~events, minlength=len(distinct)).astype(np.int64)
    gone = np.concatenate([[0], np.cumsum(d + c)[:-1]]).astype(np.int64)
    entered = np.zeros(0) if entries is None else np.sort(entries)
    n = (len(times) if entries is None else np.searchsorted(entered, distinct).astype(np.int64)) - gone
    if estimator == "fleming-harrington":
        first = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, int(n.max()) + 1))])
        second = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, int(n.max()) + 1) ** 2.0)])
        steps, squares = first[n] - first[n - d], second[n] - second[n - d]
    else:
        steps, squares = d / n, d / n**2.0
    hazard, se_hazard = np.cumsum(steps), np.sqrt(np.cumsum(squares))
    if estimator == "kaplan-meier":
        survival = np.asarray(np.cumprod((n - d) / n), dtype=np.float64)
        with np.errstate(divide="ignore"):
            terms = np.where(d < n, d / (n * np.where(d < n, n - d, 1.0)), np.where(d > 0, np.inf, 0.0))
            se = np.asarray(np.sqrt(np.cumsum(terms)), dtype=np.float64)
    else:
        survival, se = np.exp(-hazard), se_hazard
    low, high = limits_of(survival, se, float(special.ndtri(0.5 + 0.5 * level)), scale)
    return KaplanMeier(
        group,
        len(times),
        int(d.sum()),
        distinct,
        n,
        d,
        c,
        survival,
        se,
        low,
        high,
        level,
        scale,
        hazard,
        se_hazard,
        estimator,
        entered,
        left_out,
        backend,
    )


def limits_of(s: FloatArray, se: FloatArray, z: float, scale: str) -> tuple[FloatArray, FloatArray]:
    """Pointwise limits; 1 before the first event, NaN where S is 0 (0 for both on the plain scale)."""
    inner = (s > 0.0) & (s < 1.0)
    x, e = np.where(inner, s, 0.5), np.where(inner, se, 0.0)
    if scale == "plain":
        low, high = np.maximum(x - z * e * x, 0.0), np.minimum(x + z * e * x, 1.0)
    elif scale == "log":
        low, high = x * np.exp(-z * e), np.minimum(x * np.exp(z * e), 1.0)
    elif scale == "log-log":
        half = z * e / np.log(x)
        with np.errstate(over="ignore"):  # exp(-inf) is 0
            low, high = np.exp(-np.exp(np.log(-np.log(x)) - half)), np.exp(-np.exp(np.log(-np.log(x)) + half))
    elif scale == "logit":
        half = z * e / (1.0 - x)
        centre = np.log(x / (1.0 - x))
        low, high = special.expit(centre - half), special.expit(centre + half)
    else:
        half = 0.5 * z * e * np.sqrt(x / (1.0 - x))
        centre = np.arcsin(np.sqrt(x))
        low = np.sin(np.maximum(centre - half, 0.0)) ** 2
        high = np.sin(np.minimum(centre + half, 0.5 * math.pi)) ** 2
    beyond = np.nan
    low = np.where(inner, low, np.where(s == 1.0, 1.0, beyond))
    high = np.where(inner, high, np.where(s == 1.0, 1.0, beyond))
    return low, high
