"""Endpoints of a patient, and the regressions of them that the criteria of one trial are made of.

Every kind of endpoint has one regression, with its coefficients, their covariance under the model, their influence
functions (so that two regressions of the same patients have a joint covariance) and its log likelihood: least squares
for a measured value, logistic for yes or no, proportional odds for ordered categories, Cox for a time to an event.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
from scipy import special

from equipoise.errors import EstimationError
from equipoise.estimate.columns import codes_of, numbers
from equipoise.estimate.frames import require
from equipoise.estimate.indicators import events_of, flags_of, times_of
from equipoise.estimate.left_out import Sieve
from equipoise.estimate.ranks.win import Binary, Time, Value
from equipoise.estimate.survival import cox_path
from equipoise.estimate.survival.cox_path import CoxData
from equipoise.estimate.survival.kernels import cox as cox_kernel
from equipoise.types import BoolArray, FloatArray, IntArray, Status


@dataclass(frozen=True)
class Ordinal:
    """Ordered categories: numbers, or an enum or ordered category whose order is used."""

    column: str


Endpoint = Value | Binary | Ordinal | Time
KINDS = {Value: "continuous", Binary: "binary", Ordinal: "ordinal", Time: "time to event"}


def as_endpoint(given: Any, what: str) -> Endpoint:
    """``given`` as an endpoint: a column name is a measured value.

    Raises :class:`EstimationError` for anything else.
    """
    if isinstance(given, str):
        return Value(given)
    if isinstance(given, (Value, Binary, Ordinal, Time)):
        return given
    raise EstimationError(
        f"{what} = {given!r} is no endpoint",
        hint='give a column, or Value("A"), Binary("B"), Ordinal("C"), Time("D", ...)',
    )


@dataclass(frozen=True, eq=False)
class Measured:
    """An endpoint of every patient (patient,): values (codes from 0 of categories, times), events of a time."""

    endpoint: Endpoint
    value: FloatArray
    event: BoolArray | None = None
    levels: tuple[Any, ...] = ()

    @property
    def kind(self) -> str:
        return KINDS[type(self.endpoint)]

    @property
    def name(self) -> str:
        return self.endpoint.column

    def of(self, rows: BoolArray | IntArray) -> Measured:
        """The endpoint of some patients."""
        return Measured(self.endpoint, self.value[rows], None if self.event is None else self.event[rows], self.levels)

    def columns(self) -> FloatArray:
        """(patient, k) the endpoint as covariates: its value, or indicators of all its categories but the first."""
        if self.kind == "ordinal":
            codes = self.value.astype(np.int64)
            return np.eye(len(self.levels))[codes][:, 1:]
        return self.value[:, None]


def read_endpoint(frame: nw.DataFrame[Any], endpoint: Endpoint, sieve: Sieve) -> Measured:
    """The values of an endpoint; patients without one are counted in ``sieve``.

    Raises :class:`DataError` for a column that is absent or of the wrong kind.
    """
    require(frame, [endpoint.column])
    event: BoolArray | None = None
    levels: tuple[Any, ...] = ()
    if isinstance(endpoint, Value):
        value = numbers(frame, endpoint.column)
    elif isinstance(endpoint, Binary):
        value = flags_of(frame, endpoint.column)
    elif isinstance(endpoint, Ordinal):
        codes, found = codes_of(frame, endpoint.column)
        value, levels = np.where(codes < 0, np.nan, codes).astype(np.float64), tuple(found)
    else:
        value = times_of(frame, endpoint.column)
        flag = events_of(frame, endpoint.event, endpoint.censor)
        value = np.where(np.isnan(flag), np.nan, value)
        event = flag == 1.0
    sieve.need(~np.isnan(value), f"without {endpoint.column}")
    return Measured(endpoint, value, event, levels)


@dataclass(frozen=True, eq=False)
class Regression:
    """A regression of an endpoint: of the covariates' coefficients (p,) only, without intercepts.

    vcov : under the model. influence : (patient, p), whose cross products over two regressions are their joint
    covariance. loglik : at the estimate. df : of the residuals, infinite for likelihood methods. information :
    patients, or events of a time to an event. fitted, sigma : of least squares only.
    """

    beta: FloatArray
    vcov: FloatArray
    influence: FloatArray
    loglik: float
    df: float
    information: int
    status: Status = Status.OK
    detail: str | None = None
    residuals: FloatArray | None = None
    coefficients: FloatArray | None = None
    whole: FloatArray | None = None


def _failed(p: int, n: int, status: Status, detail: str) -> Regression:
    nan = np.full(p, np.nan)
    return Regression(nan, np.full((p, p), np.nan), np.full((n, p), np.nan), math.nan, math.nan, n, status, detail)


def regress(outcome: Measured, x: FloatArray, during: tuple[FloatArray, BoolArray] | None = None) -> Regression:
    """The regression of ``outcome`` on ``x`` (patient, p).

    during : for a time to an event, a further covariate that turns from 0 to 1 at a time (patient,) for whom it
    happened (patient,): its coefficient comes last.
    """
    if outcome.kind == "time to event":
        return _cox(outcome, x, during)
    if during is not None:
        raise EstimationError(
            "a time to an event as surrogate of an endpoint that is none",
            hint="name a time to an event as true endpoint, or whether it happened by a visit as Binary surrogate",
        )
    if outcome.kind == "continuous":
        return least_squares(outcome.value, x)
    return _cumulative(outcome, x)


def least_squares(y: FloatArray, x: FloatArray) -> Regression:
    """Ordinary least squares with an intercept."""
    n, p = x.shape
    design = np.column_stack([np.ones(n), x])
    gram = design.T @ design
    if n <= p + 1 or np.linalg.matrix_rank(design) < p + 1:
        return _failed(p, n, Status.SINGULAR, "the covariates cannot be told apart in these patients")
    inverse: FloatArray = np.asarray(np.linalg.inv(gram), np.float64)
    beta: FloatArray = np.asarray(np.linalg.lstsq(design, y, rcond=None)[0], np.float64)
    residuals = y - design @ beta
    rss, df = float(residuals @ residuals), n - p - 1
    if rss <= 1e-22 * max(float(y @ y), 1e-300):
        return _failed(p, n, Status.NO_VARIANCE, "no variance is left in the outcome")
    influence = (design * residuals[:, None]) @ inverse
    loglik = -0.5 * n * (math.log(2.0 * math.pi * rss / n) + 1.0)
    whole = rss / df * inverse
    return Regression(
        beta[1:],
        whole[1:, 1:],
        influence[:, 1:],
        loglik,
        float(df),
        n,
        residuals=residuals,
        coefficients=beta,
        whole=influence,
    )


def _cumulative(outcome: Measured, x: FloatArray) -> Regression:
    """Proportional odds by Newton's method (McCullagh 1980); two categories are logistic regression.

    The coefficients are log odds ratios of a higher category.
    """
    codes = outcome.value.astype(np.int64)
    n, p = x.shape
    used = np.unique(codes)
    m = len(used) - 1
    if m < 1:
        return _failed(p, n, Status.NO_VARIANCE, f"all patients have the same {outcome.name}")
    codes = np.searchsorted(used, codes)
    share = np.array([(codes >= k).mean() for k in range(1, m + 1)])
    theta = np.concatenate([np.log(share / (1.0 - share)), np.zeros(p)])
    centre = x.mean(axis=0)
    z = x - centre
    above = np.zeros(
        (n, m + p)
    )  # P(Y >= k) = expit(theta_k + x b); the likelihood of a category is a difference of two
    below = np.zeros((n, m + p))
    rows = np.arange(n)
    has_low, has_high = codes > 0, codes < m
    above[rows[has_low], codes[has_low] - 1] = 1.0
    below[rows[has_high], codes[has_high]] = 1.0
    above[has_low, m:] = z[has_low]
    below[has_high, m:] = z[has_high]

    def at(t: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        up = np.where(has_low, special.expit(above @ t), 1.0)
        lo = np.where(has_high, special.expit(below @ t), 0.0)
        share = up - lo
        if (share <= 0.0).any():
            return -math.inf, np.empty(0), np.empty(0)
        du, dl = up * (1.0 - up) * has_low, lo * (1.0 - lo) * has_high
        gradient = (above * du[:, None] - below * dl[:, None]) / share[:, None]
        second = (above.T * (du * (1.0 - 2.0 * up) / share)) @ above - (
            below.T * (dl * (1.0 - 2.0 * lo) / share)
        ) @ below
        return float(np.log(share).sum()), gradient, gradient.T @ gradient - second

    value, score, information = at(theta)
    for _ in range(60):
        try:
            step = np.linalg.solve(information, score.sum(axis=0))
        except np.linalg.LinAlgError:
            return _failed(p, n, Status.SINGULAR, "the covariates cannot be told apart in these patients")
        size = 1.0
        while True:
            new, s, i = at(theta + size * step)
            if new >= value - 1e-12 or size < 1e-8:
                break
            size *= 0.5
        theta = theta + size * step
        done = abs(new - value) < 1e-12 * (1.0 + abs(new))
        value, score, information = new, s, i
        if done:
            break
    else:
        return _failed(
            p, n, Status.NOT_CONVERGED, "the likelihood has no maximum (a covariate separates the categories)"
        )
    if not np.isfinite(theta).all() or np.abs(theta[m:] * x.std(axis=0)).max(initial=0.0) > 15.0:
        return _failed(p, n, Status.BOUNDARY, "a covariate separates the categories: the odds ratio is infinite")
    vcov: FloatArray = np.asarray(np.linalg.inv(information), np.float64)
    influence = score @ vcov
    return Regression(
        theta[m:], vcov[m:, m:], influence[:, m:], value, math.inf, n, coefficients=theta, whole=influence
    )


def _cox(outcome: Measured, x: FloatArray, during: tuple[FloatArray, BoolArray] | None) -> Regression:
    """Cox regression (Efron's ties); a covariate that turns on splits its patients' follow-up (counting process)."""
    n = len(outcome.value)
    time = outcome.value
    event = np.zeros(n, np.bool_) if outcome.event is None else outcome.event
    patient, entry = np.arange(n), None
    columns = x
    if during is not None:
        when, happened = during
        split = happened & (when < time)
        early = happened & (when <= 0.0)
        split &= ~early
        patient = np.concatenate([np.arange(n), np.flatnonzero(split)])
        entry = np.concatenate([np.zeros(n), when[split]])
        on = np.concatenate([(early & (when < time)).astype(float), np.ones(int(split.sum()))])
        stop = np.concatenate([np.where(split, when, time), time[split]])
        event = np.concatenate([event & ~split, event[split]])
        time = stop
        columns = np.column_stack([x[patient], on])
        keep = time > entry
        patient, entry, time, event, columns = patient[keep], entry[keep], time[keep], event[keep], columns[keep]
    p = columns.shape[1]
    happened_in = int(event.sum())
    if happened_in == 0:
        return _failed(p, n, Status.NO_EVENTS, f"nobody has the event of {outcome.name}")
    block: dict[str, Any] = {"entry": None if entry is None else entry[None]}
    made = cox_kernel.fit(time[None], event[None], np.ascontiguousarray(columns)[None], arm=-1, **block)
    status = Status(int(made.status[0]))
    if status is not Status.OK:
        words = {
            Status.BOUNDARY: "a hazard ratio is infinite: all events at one value of a covariate",
            Status.SINGULAR: "the covariates cannot be told apart in these patients",
        }
        return _failed(p, n, status, words.get(status, "the Cox regression cannot be fitted"))
    beta, vcov = made.beta[0], made.covariance[0]
    if not (np.diag(vcov) > 0.0).all():
        return _failed(p, n, Status.ALIASED, "a covariate cannot be told apart from the others")
    data = CoxData(
        time,
        event,
        np.ascontiguousarray(columns),
        np.zeros(len(time), np.int64),
        ("",),
        entry,
        None,
        None,
        np.arange(len(time)),
    )
    dfbeta = cox_path.score(cox_path.path(data, beta, "efron")) @ vcov
    influence = np.zeros((n, p))
    np.add.at(influence, patient, dfbeta)
    return Regression(beta, vcov, influence, float(made.loglik[0, 1]), math.inf, happened_in, whole=influence)
