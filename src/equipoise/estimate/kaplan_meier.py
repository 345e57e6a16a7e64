"""The Kaplan-Meier estimator by group, with pointwise intervals, quantiles and their intervals.

    S(t) = product over event times s <= t of (1 - d(s) / n(s))

Greenwood's variance of log S(t) is the sum of d / (n (n - d)) (Greenwood 1926; Kaplan & Meier 1958, J Am Stat Assoc
53:457). Intervals are symmetric on a scale: ``plain`` S, ``log`` S (R's default), ``log-log`` log(-log S) (SAS's),
``logit`` and ``arcsin`` (Borgan & Liestøl 1990, Scand J Stat 17:35). A quantile is the first time at which S, or its
limit, is at or below 1 - p; where S equals 1 - p over an interval, its middle (Brookmeyer & Crowley 1982, Biometrics
38:29; R's ``quantile.survfit``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
from scipy import special

from equipoise.errors import DataError, EstimationError
from equipoise.types import BoolArray, FloatArray, IntArray

SCALES = ("plain", "log", "log-log", "logit", "arcsin")
_TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False)
class KaplanMeier:
    """The curve of one group.

    group : its level (None where everyone is one group). n, events : patients and events.
    time, at_risk, events_at, censored_at, survival : (time,) at every distinct time of an event or censoring.
    se_log : (time,) standard error of log S; low, high : (time,) pointwise limits at ``level`` on ``scale``.
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

    def quantile(self, p: float = 0.5) -> tuple[float, float, float]:
        """Time by which a share ``p`` has had the event, with its limits; NaN where the curve does not get there."""
        if not 0.0 < p < 1.0:
            raise EstimationError(f"quantile {p!r}", hint="give a number between 0 and 1")
        return tuple(self._first(curve, 1.0 - p) for curve in (self.survival, self.low, self.high))  # type: ignore[return-value]

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
        risk = self.n - int((self.events_at + self.censored_at)[: int(np.searchsorted(self.time, time))].sum())
        if i < 0:
            return 1.0, 0.0, 1.0, 1.0, risk
        s = float(self.survival[i])
        if time > self.time[-1] and s > 0.0:
            return math.nan, math.nan, math.nan, math.nan, risk
        se = s * float(self.se_log[i]) if s > 0.0 else 0.0
        return s, se, float(self.low[i]), float(self.high[i]), risk


def kaplan_meier(
    data: Any, *, time: str, event: str, by: str | None = None, level: float = 0.95, scale: str = "log-log"
) -> tuple[KaplanMeier, ...]:
    """Kaplan-Meier curves, one a level of ``by`` (in the order of a category, else sorted).

    Parameters
    ----------
    data : one row a patient; pandas, polars or pyarrow. Rows that lack time, event or group take no part.
    time : column of times, none negative. event : column that is 1 (or True) for an event and 0 for censoring; for an
        ADaM censoring flag make one from ``CNSR == 0``.
    scale : ``plain``, ``log``, ``log-log``, ``logit`` or ``arcsin``, on which intervals are symmetric.

    Raises
    ------
    DataError : a column is not there or holds what it should not. EstimationError : an unknown scale or level.

    Examples
    --------
    >>> import polars as pl
    >>> frame = pl.DataFrame({"T": [3, 5, 7, 8, 9], "E": [1, 1, 0, 1, 1]})
    >>> curve, = kaplan_meier(frame, time="T", event="E")
    >>> [round(float(s), 3) for s in curve.survival], curve.quantile(0.5)[0]
    ([0.8, 0.6, 0.6, 0.3, 0.0], 8.0)
    """
    if scale not in SCALES:
        raise EstimationError(f"unknown scale {scale!r}", hint="choose one of " + ", ".join(SCALES))
    if not 0.0 < level < 1.0:
        raise EstimationError(f"level = {level!r}", hint="give a confidence level between 0 and 1, such as 0.95")
    try:
        frame = nw.from_native(data, eager_only=True)
    except TypeError as error:
        raise DataError(f"{type(data).__name__} is not a data frame", hint="bring pandas, polars or pyarrow") from error
    wanted = [time, event, *([by] if by else [])]
    for name in wanted:
        if name not in frame.columns:
            raise DataError(f"no column {name!r} in the data", hint="columns are " + ", ".join(frame.columns[:40]))
    frame = frame.select(wanted).drop_nulls()
    times, flags = _numbers(frame, time), _numbers(frame, event)
    known = ~np.isnan(times) & ~np.isnan(flags)
    if not np.isin(flags[known], (0.0, 1.0)).all():
        raise DataError(f"{event!r} holds values other than 0 and 1", hint="code an event as 1 and censoring as 0")
    if (times[known] < 0.0).any() or np.isinf(times[known]).any():
        raise DataError(
            f"{time!r} holds negative or infinite times", hint="times count from randomisation or first dose"
        )
    if by is None:
        groups: list[tuple[Any, BoolArray]] = [(None, known)]
    else:
        column = frame.get_column(by)
        text = np.array([str(v) for v in column.to_list()], dtype=object)
        groups = [(g, known & (text == str(g))) for g in _levels(column)]
    return tuple(_curve(g, times[m], flags[m] == 1.0, level, scale) for g, m in groups if m.any())


def _numbers(frame: nw.DataFrame[Any], name: str) -> FloatArray:
    series = frame.get_column(name)
    if not (series.dtype.is_numeric() or series.dtype == nw.Boolean):
        raise DataError(f"column {name!r} is {series.dtype}", hint="a number is needed")
    values: FloatArray = np.asarray(series.to_numpy(), dtype=np.float64)
    return values


def _levels(column: nw.Series[Any]) -> list[Any]:
    if column.dtype == nw.Enum or column.dtype == nw.Categorical:
        present = {str(v) for v in column.to_list()}
        return [v for v in column.cat.get_categories().to_list() if str(v) in present]
    return sorted(set(column.to_list()))


def _curve(group: Any, times: FloatArray, events: BoolArray, level: float, scale: str) -> KaplanMeier:
    distinct, place = np.unique(times, return_inverse=True)
    d = np.bincount(place, weights=events, minlength=len(distinct)).astype(np.int64)
    c = np.bincount(place, weights=~events, minlength=len(distinct)).astype(np.int64)
    n = len(times) - np.concatenate([[0], np.cumsum(d + c)[:-1]]).astype(np.int64)
    survival = np.asarray(np.cumprod((n - d) / n), dtype=np.float64)
    with np.errstate(divide="ignore"):
        steps = np.where(d < n, d / (n * np.where(d < n, n - d, 1.0)), np.where(d > 0, np.inf, 0.0))
        se = np.asarray(np.sqrt(np.cumsum(steps)), dtype=np.float64)
    low, high = _limits(survival, se, float(special.ndtri(0.5 + 0.5 * level)), scale)
    return KaplanMeier(group, len(times), int(d.sum()), distinct, n, d, c, survival, se, low, high, level, scale)


def _limits(s: FloatArray, se: FloatArray, z: float, scale: str) -> tuple[FloatArray, FloatArray]:
    """Pointwise limits; 1 before the first event, NaN where S is 0 (0 for both on the plain scale)."""
    inner = (s > 0.0) & (s < 1.0)
    x, e = np.where(inner, s, 0.5), np.where(inner, se, 0.0)
    if scale == "plain":
        low, high = np.maximum(x - z * e * x, 0.0), np.minimum(x + z * e * x, 1.0)
    elif scale == "log":
        low, high = x * np.exp(-z * e), np.minimum(x * np.exp(z * e), 1.0)
    elif scale == "log-log":
        half = z * e / np.log(x)
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
