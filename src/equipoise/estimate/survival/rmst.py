"""Restricted mean survival time: the mean time free of the event within a horizon, arm by arm and compared.

Needs no proportional hazards and has a unit. Equations, defaults and sources in ``docs/methods/rmst.md``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from equipoise.errors import EstimationError
from equipoise.estimate.fit import Fit, number
from equipoise.estimate.left_out import LeftOut
from equipoise.estimate.result import Estimate, check_level, is_time
from equipoise.estimate.survival.asked import as_columns
from equipoise.estimate.survival.event_data import EventData, read_named
from equipoise.estimate.survival.kernels import rmst as kernel
from equipoise.numerics.linalg import is_cancelled, is_rounding
from equipoise.types import REASONS, FloatArray, Status

IRWIN = "Irwin 1949, J Hyg 47:188"
ROYSTON = "Royston & Parmar 2013, BMC Med Res Methodol 13:152"
UNO = "Uno et al. 2014, J Clin Oncol 32:2380"
TIAN = "Tian, Zhao & Wei 2014, Biostatistics 15:222"

_SCALES = {
    "difference": "difference in restricted mean",
    "ratio": "ratio of restricted means",
    "lost-ratio": "ratio of restricted mean times lost",
}


@dataclass(frozen=True)
class ArmMean:
    """Restricted mean of one arm: patients, events in the whole follow-up, mean, standard error and limits."""

    arm: Any
    n: int
    events: int
    mean: float
    se: float
    low: float
    high: float


@dataclass(frozen=True)
class MeanModel:
    """A regression of the restricted mean: terms, coefficients and their covariance (NaN where not estimable)."""

    names: tuple[str, ...]
    beta: FloatArray
    covariance: FloatArray


@dataclass(frozen=True, eq=False)
class RestrictedMeans(Fit):
    """Restricted means of a trial, active against control.

    tau : end of the horizon, in the unit of the times. arms : control and active, by Kaplan-Meier. difference, ratio :
    active minus and over control; lost_ratio : ratio of the times lost, ``tau`` minus the mean; adjusted for covariates
    where there are ``models``. left_out : rows that lack a value.
    """

    tau: float
    arms: tuple[ArmMean, ArmMean]
    difference: Estimate
    ratio: Estimate
    lost_ratio: Estimate
    models: Mapping[str, MeanModel]
    left_out: LeftOut
    backend: Any

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """Difference, ratio of means, ratio of times lost."""
        return (self.difference, self.ratio, self.lost_ratio)

    def _keys(self) -> Sequence[dict[str, Any]]:
        return [{"tau": self.tau, "scale": e.scale} for e in self.estimates]

    def _title(self) -> str:
        return (
            self.estimates[0].estimator[0].upper()
            + self.estimates[0].estimator[1:]
            + (f", up to {self.tau:g}" if math.isfinite(self.tau) else "")
        )

    def _drawn(self) -> Any:
        """The difference; the ratios are on another axis."""
        return (self.difference,)

    def _facts(self) -> Iterator[tuple[str, str]]:
        for a in self.arms:
            mean = "" if math.isnan(a.mean) else f", mean {number(a.mean)} ({number(a.low)} to {number(a.high)})"
            yield str(a.arm), f"{a.n} patients, {a.events} events{mean}"


def rmst(
    formula: Any = None,
    data: Any = None,
    *,
    time: str | None = None,
    event: str | None = None,
    censor: str | None = None,
    arm: str | None = None,
    control: Any = None,
    tau: float | None = None,
    covariates: str | Sequence[str] = (),
    level: float = 0.95,
    estimand: str | None = None,
) -> RestrictedMeans:
    """Compare restricted mean survival times of two arms.

    Parameters
    ----------
    formula : ``Surv(AVAL, 1 - CNSR) ~ TRT01P + AGE``, the arm first, then covariates; or leave it out, give the data
        first and name the columns.
    data : one row a patient; pandas, polars or pyarrow. Rows that lack a value take no part.
    time, event or censor : columns; ``event`` is 1 for an event, ``censor`` 0 (ADaM's CNSR). arm : TRT01P where it is
        not given.
    control : level of ``arm`` to compare with; default the first.
    tau : end of the horizon; default the largest at which both curves are known (the smaller of the last times, an arm
        whose curve reaches 0 being known for ever), as in R's survRM2.
    covariates : baseline columns to adjust for; the censoring is estimated by arm.

    Returns
    -------
    RestrictedMeans. Where follow-up of an arm ends before ``tau``, or nobody had an event before it, the estimates say
    so.

    Raises
    ------
    DataError, EstimationError : a column or an option cannot be used.

    Examples
    --------
    >>> import polars as pl
    >>> frame = pl.DataFrame({"T": [2, 5, 9, 9, 4, 8, 9, 9], "E": [1, 1, 0, 0, 1, 1, 0, 0], "ARM": list("ppppaaaa")})
    >>> made = rmst(frame, time="T", event="E", arm="ARM", control="p", tau=8)
    >>> [round(a.mean, 3) for a in made.arms], round(made.difference.estimate, 3)
    ([5.75, 7.0], 1.25)
    """
    check_level(level)
    if tau is not None and not is_time(tau):
        raise EstimationError(f"tau = {tau!r}", hint="give the end of the horizon, above 0, in the unit of the times")
    named = as_columns(
        formula, data, time=time, event=event, censor=censor, arm=arm, covariates=covariates, takes=["covariates"]
    )
    read, _ = read_named(named, control=control)
    until, mean, variance, _, _, horizon = kernel.curves(read.time[None], read.event[None], read.arm[None], tau=tau)
    end = float(until[0])
    status, detail = _state(read, end, horizon[0], variance[0])
    z = float(special.ndtri(0.5 + 0.5 * level))
    arms = []
    for g in range(2):
        known = read.sizes[g] > 0 and end <= horizon[0, g]
        m, se = (float(mean[0, g]), math.sqrt(variance[0, g])) if known else (math.nan, math.nan)
        arms.append(ArmMean(read.arms[g], int(read.sizes[g]), int(read.events[g]), m, se, m - z * se, m + z * se))
    name = f"{read.arms[1]} against {read.arms[0]}" + (f", up to {end:g}" if math.isfinite(end) else "")
    models: dict[str, MeanModel] = {}
    made = {}
    for link, scale in _SCALES.items():
        own, why = status, detail
        value = se = math.nan
        if status is Status.OK and not read.names:
            value, se, own, why = _plain(link, mean[0], variance[0], end, detail)
        elif status is Status.OK:
            model, own = _model(read, end, link)
            models[link] = model
            value, se = float(model.beta[1]), math.sqrt(model.covariance[1, 1]) if own is Status.OK else math.nan
            why = detail if own is Status.OK else _why(own)
            plain, said = _plain(link, mean[0], variance[0], end, None)[2:]
            if own is not Status.OK and plain is not Status.OK:
                own, why = plain, said
        made[link] = Estimate.from_t(
            name,
            "restricted mean survival time"
            + (
                f" adjusted for {', '.join(read.names)}, inverse probability of censoring weights" if read.names else ""
            ),
            value,
            se,
            math.inf,
            len(read.time),
            level=level,
            ratio=link != "difference",
            scale=scale,
            estimand=estimand,
            status=own,
            detail=why,
            references=(TIAN,) if read.names else (IRWIN, ROYSTON, UNO),
            term=scale,
            contrast=f"{read.arms[1]} {'-' if link == 'difference' else '/'} {read.arms[0]}",
        )
    return RestrictedMeans(
        end,
        (arms[0], arms[1]),
        made["difference"],
        made["ratio"],
        made["lost-ratio"],
        models,
        read.left_out,
        read.backend,
    )


def _state(read: EventData, tau: float, horizon: FloatArray, variance: FloatArray) -> tuple[Status, str | None]:
    """Whether the arms can be compared up to ``tau``, and what is to be said."""
    if not len(read.time):
        return Status.NO_DATA, "not estimable: no patient has a time, an indicator, an arm and the covariates"
    for g in range(2):
        if not read.sizes[g]:
            return Status.EMPTY_ARM, f"not estimable: no patients in arm {read.arms[g]}"
    for g in range(2):
        if tau > horizon[g]:
            return Status.NO_DATA, (
                f"not estimable: follow-up of arm {read.arms[g]} ends at {horizon[g]:g}, before tau = {tau:g}"
            )
    if tau <= 0.0:
        return Status.NO_DATA, "not estimable: an arm has no follow-up beyond time 0"
    early = np.bincount(read.arm[read.event & (read.time < tau)], minlength=2)
    if not early.any():
        return Status.NO_EVENTS, f"not estimable: no events before {tau:g} (events {read.counts()})"
    silent = [f"arm {read.arms[g]}" for g in range(2) if not variance[g] > 0.0]
    if len(silent) == 2:
        return Status.SINGULAR, "not estimable: the curves give no variance"
    if silent:
        return Status.OK, f"{silent[0]} adds nothing to the variance ({_silence(read, early)})"
    return Status.OK, None


def _silence(read: EventData, early: Any) -> str:
    return "no events before tau" if not early.all() else "its only event was that of its last patient"


def _plain(
    link: str, mean: FloatArray, variance: FloatArray, tau: float, detail: str | None
) -> tuple[float, float, Status, str | None]:
    if link == "difference":
        return float(mean[1] - mean[0]), math.sqrt(float(variance.sum())), Status.OK, detail
    size = mean if link == "ratio" else tau - mean
    if (size <= 1e-12 * tau).any():
        what = "restricted mean" if link == "ratio" else "time lost"
        return math.nan, math.nan, Status.BOUNDARY, f"not estimable: an arm has a {what} of 0"
    value = math.log(size[1] / size[0])
    return value, math.sqrt(float((variance / size**2).sum())), Status.OK, detail


def _model(read: EventData, tau: float, link: str) -> tuple[MeanModel, Status]:
    x = np.column_stack([read.arm.astype(np.float64), read.x])
    beta, covariance, status = kernel.regression(
        read.time[None], read.event[None], x[None], read.arm[None], tau, link=link
    )
    state = Status(int(status[0]))
    if state is Status.OK and _is_exact(covariance[0], x, np.minimum(read.time, tau) if link == "difference" else None):
        state, covariance = Status.NO_VARIANCE, np.full_like(covariance, np.nan)
    return MeanModel(("(Intercept)", f"arm[{read.arms[1]}]", *read.names), beta[0], covariance[0]), state


def _is_exact(covariance: FloatArray, x: FloatArray, y: FloatArray | None) -> bool:
    """Whether the variance of the arm's coefficient is rounding, beside the outcome or beside what other columns have.

    Covariates that determine the outcome of all who are compared between the arms leave it none.
    """
    spread = np.diagonal(covariance)[1:] * x.var(axis=0)
    size = 1.0 if y is None else math.sqrt(float(np.square(y).mean()))
    return bool(is_rounding(spread[0] * len(x), 1.0, size) or is_cancelled(spread[0], spread.max()))


def _why(status: Status) -> str:
    if status is Status.BOUNDARY:
        return "not estimable: the model of the mean has no finite estimate"
    if status is Status.SINGULAR:
        return "not estimable: a covariate does not vary or repeats others among those seen until tau"
    if status is Status.NO_VARIANCE:
        return "not estimable: arm and covariates determine the times, which leaves no variance"
    return REASONS[status]
