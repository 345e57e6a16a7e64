"""Many trials of one design at once: the likelihood of the door, built from (trial, subject, visit) blocks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from equipoise.errors import EstimationError
from equipoise.estimate.joint_model.hazard import Baseline, baseline_of, nodes
from equipoise.estimate.joint_model.likelihood import JointLikelihood, Layout, MarkerSums, Points
from equipoise.estimate.joint_model.optimise import Optimum, covariance_of, failed, maximise, start
from equipoise.estimate.joint_model.rate_ratio import maximise_ratio, ratio_likelihood
from equipoise.types import BoolArray, FloatArray, IntArray, Status, TrialSubjectVisit

QUANTITIES = ("slope_difference", "log_hazard_ratio", "association")
"""What a joint model of a block estimates, in the order of the columns of its arrays."""


@dataclass(frozen=True, eq=False)
class JointBatch:
    """Joint models of a block of trials.

    estimate, se (trial, quantity) of :data:`QUANTITIES`; covariance (trial,) of the difference of slopes with the log
    hazard ratio; loglik; joint_p (trial,) the p-value of the joint test on 2 df; status (trial,). NaN for none.
    """

    estimate: FloatArray
    se: FloatArray
    covariance: FloatArray
    loglik: FloatArray
    joint_p: FloatArray
    status: IntArray

    @property
    def p(self) -> FloatArray:
        """(trial, quantity) two-sided p-values."""
        return np.asarray(2.0 * stats.norm.sf(np.abs(self.estimate / self.se)))


@dataclass(frozen=True, eq=False)
class RatioBatch:
    """Disease rate ratios of a block: ``estimate`` of the logarithm, ``se``, ``loglik`` and ``status`` (trial,)."""

    estimate: FloatArray
    se: FloatArray
    loglik: FloatArray
    status: IntArray

    @property
    def p(self) -> FloatArray:
        """(trial,) two-sided p-values."""
        return np.asarray(2.0 * stats.norm.sf(np.abs(self.estimate / self.se)))


def _checked(
    y: TrialSubjectVisit, times: npt.ArrayLike, arm: npt.ArrayLike, end: FloatArray, event: npt.ArrayLike
) -> tuple[FloatArray, FloatArray, IntArray, FloatArray, BoolArray]:
    y, t = np.asarray(y, np.float64), np.asarray(times, np.float64)
    if y.ndim != 3 or t.shape != y.shape[2:]:
        raise EstimationError(
            f"y of shape {y.shape} and {t.shape} times do not fit", hint="give (trial, subject, visit) and (visit,)"
        )
    a = np.broadcast_to(np.asarray(arm, np.int64), y.shape[:2])
    end, happened = np.asarray(end, np.float64), np.asarray(event, np.bool_)
    if end.shape != y.shape[:2] or happened.shape != y.shape[:2]:
        raise EstimationError(
            f"end of shape {end.shape}, event of shape {happened.shape}", hint="give (trial, subject) for both"
        )
    return y, t, a, end, happened


def one_trial(
    y: FloatArray,
    times: FloatArray,
    arm: IntArray,
    end: FloatArray,
    event: BoolArray,
    *,
    by_arm: bool,
    shared_baseline: bool,
    association: bool,
    intervals: int,
    points: int,
) -> JointLikelihood | tuple[Status, str]:
    """The likelihood of one trial, or why there is none.

    y (subject, visit), arm (subject,) 0, 1 or -1 for who takes no part, end and event (subject,). by_arm : whether the
    course has the arm.
    """
    seen = np.isfinite(y)
    there = (arm >= 0) & seen.any(axis=1) & np.isfinite(end) & (end > 0.0)
    y, seen, a = np.where(seen, y, 0.0)[there], seen[there], arm[there].astype(np.float64)
    end, event = end[there], event[there]
    n = len(a)
    if not n:
        return Status.NO_DATA, "not estimable: nobody has a value and a time"
    if a.min() == a.max():
        return Status.EMPTY_ARM, "not estimable: an arm has no patients"
    if not event.any():
        return Status.NO_EVENTS, "not estimable: no events"
    if by_arm and not ((event & (a == 1.0)).any() and (event & (a == 0.0)).any()):
        return Status.ONE_ARM_EVENTS, "not estimable: all events in one arm"
    if not (seen.sum(axis=1) > 1).any():
        return Status.NOT_IDENTIFIED, "not estimable: no patient has two values"
    base = baseline_of("piecewise", end, event, np.zeros(n, np.int64), intervals - 1, float(end.max()))
    if int(event.sum()) < base.width + int(by_arm) + int(association):
        return Status.NOT_IDENTIFIED, f"not estimable: {int(event.sum())} events for the hazard"
    profile = np.column_stack([np.ones_like(times), times])
    zz = np.einsum("nv,vr,vs->nrs", seen.astype(np.float64), profile, profile)
    zy = y @ profile
    keep = [0, 1, *([2] if not shared_baseline else []), 3] if by_arm else [0, 1]
    kron = np.column_stack([np.ones(n), a])
    # columns 1, t, A, A t
    xy = (kron[:, :, None] * zy[:, None, :]).reshape(n, 4)[:, keep]
    zx = (zz[:, :, None, :] * kron[:, None, :, None]).reshape(n, 2, 4)[:, :, keep]
    both = kron[:, :, None, None, None] * kron[:, None, None, :, None] * zz[:, None, :, None, :]
    xx = both.reshape(n, 4, 4)[:, keep][:, :, keep]
    sums = MarkerSums(slice(0, 2), seen.sum(axis=1).astype(np.float64), (y * y).sum(axis=1), xy, zy, xx, zx, zz)
    layout = Layout((len(keep),), 2, 1, int(association), base.width)
    unit, at, weight = nodes(np.zeros(n), end, base.knots, points, False)
    own = np.flatnonzero(event)
    return JointLikelihood(
        layout,
        (sums,),
        _points(unit, at, weight, a, base, keep, association),
        _points(own, end[own], np.zeros(len(own)), a, base, keep, association),
        np.arange(n),
        np.ones(n),
        n,
    )


def _points(
    unit: IntArray, time: FloatArray, weight: FloatArray, a: FloatArray, base: Baseline, keep: list[int], linked: bool
) -> Points:
    arm = a[unit]
    whole = np.column_stack([np.ones_like(time), time, arm, arm * time])
    forms = 1 if linked else 0
    xf, zf = np.zeros((forms, len(time), len(keep))), np.zeros((forms, len(time), 2))
    if linked:
        xf[0], zf[0] = whole[:, keep], whole[:, :2]
    return Points(unit, time, np.column_stack([arm, base.basis(time)]), xf, zf, weight)


def joint_model_batch(
    y: TrialSubjectVisit,
    times: npt.ArrayLike,
    arm: npt.ArrayLike,
    end: FloatArray,
    event: npt.ArrayLike,
    *,
    intervals: int = 5,
    association: bool = True,
    shared_baseline: bool = False,
    test: str = "wald",
    points: int = 3,
    steps: tuple[int, ...] = (5, 9, 15),
) -> JointBatch:
    """Joint models of a block of trials of two arms: a straight course, and a hazard that depends on its value.

    Parameters
    ----------
    y : (trial, subject, visit), NaN where missing. times : (visit,). arm : (trial, subject) or (subject,), 0 control, 1
        active, -1 for who takes no part. end, event : (trial, subject), the last time and whether it is an event.
    intervals : of the piecewise constant baseline, fewer where one would have no event. association : whether the
        hazard depends on the value. shared_baseline : arms have one mean at time 0.
    test : of the joint null hypothesis, ``wald`` or ``likelihood ratio`` (a second fit).
    points : nodes of time an interval. steps : nodes a random effect, from few to many: more are taken where the
        log-likelihood moves by more than 1e-4.

    Returns
    -------
    JointBatch; never raises for a trial, ``status`` says what became of it.

    Examples
    --------
    >>> import numpy as np
    >>> g = np.random.default_rng(4)
    >>> t = np.arange(0.0, 57.0, 8.0)
    >>> arm = np.arange(108) % 2
    >>> slope = -0.3 + 0.15 * arm + 0.1 * g.normal(size=(3, 108))
    >>> level = 38.0 + 4.0 * g.normal(size=(3, 108))
    >>> y = level[..., None] + slope[..., None] * t + 2.0 * g.normal(size=(3, 108, 8))
    >>> end = np.minimum(g.exponential(150.0, size=(3, 108)), 56.0)
    >>> made = joint_model_batch(np.where(t <= end[..., None], y, np.nan), t, arm, end, end < 56.0)
    >>> made.status.tolist(), bool((abs(made.estimate[:, 0] - 0.15) < 4 * made.se[:, 0]).all())
    ([0, 0, 0], True)
    """
    if test not in ("wald", "likelihood ratio"):
        raise EstimationError(f"unknown test {test!r}", hint="choose wald or likelihood ratio")
    y, t, a, end, happened = _checked(y, times, arm, end, event)
    r = len(y)
    estimate, se = np.full((r, 3), math.nan), np.full((r, 3), math.nan)
    covariance, loglik, joint_p = (np.full(r, math.nan) for _ in range(3))
    status = np.empty(r, np.int64)
    for i in range(r):
        made = one_trial(
            y[i], t, a[i], end[i], happened[i],
            by_arm=True, shared_baseline=shared_baseline, association=association, intervals=intervals, points=points,
        )  # fmt: skip
        if isinstance(made, tuple):
            status[i] = int(made[0])
            continue
        lay = made.layout
        best = maximise(made, start(made, 15), tolerance=1e-4, steps=steps)
        status[i] = int(best.status)
        if best.status is not Status.OK:
            continue
        vcov = covariance_of(best, False)
        at = [lay.p[0] - 1, lay.gammas.start, *range(lay.alphas.start, lay.alphas.stop)]
        estimate[i, : len(at)], se[i, : len(at)] = best.theta[at], np.sqrt(np.diag(vcov)[at])
        covariance[i], loglik[i] = vcov[at[0], at[1]], best.loglik
        two = np.ix_(at[:2], at[:2])
        if test == "wald":
            statistic = float(best.theta[at[:2]] @ np.linalg.solve(vcov[two], best.theta[at[:2]]))
        else:
            free = np.ones(lay.size, np.bool_)
            free[at[:2]] = False
            null = maximise(made, np.where(free, best.theta, 0.0), free=free, tolerance=1e-4, steps=steps)
            statistic = 2.0 * (best.loglik - null.loglik) if null.status is Status.OK else math.nan
        joint_p[i] = stats.chi2.sf(max(statistic, 0.0), 2) if math.isfinite(statistic) else math.nan
    return JointBatch(estimate, se, covariance, loglik, joint_p, status)


def rate_ratio_batch(
    y: TrialSubjectVisit,
    times: npt.ArrayLike,
    arm: npt.ArrayLike,
    end: FloatArray,
    event: npt.ArrayLike,
    *,
    intervals: int = 5,
    points: int = 3,
    rates: str = "mean",
) -> RatioBatch:
    """Disease rate ratios of a block of trials of two arms; arguments as of :func:`joint_model_batch`.

    rates : as of :func:`equipoise.estimate.joint_model.rate_ratio.disease_rate_ratio`.

    Never raises for a trial: ``status`` says what became of it.
    """
    y, t, a, end, happened = _checked(y, times, arm, end, event)
    r = len(y)
    estimate, se, loglik = (np.full(r, math.nan) for _ in range(3))
    status = np.empty(r, np.int64)
    for i in range(r):
        made = one_trial(
            y[i], t, a[i], end[i], happened[i],
            by_arm=False, shared_baseline=True, association=False, intervals=intervals, points=points,
        )  # fmt: skip
        best = failed(1, *made) if isinstance(made, tuple) else _ratio(made, rates)
        status[i] = int(best.status)
        if best.status is Status.OK and not isinstance(made, tuple):
            j = made.layout.gammas.start
            estimate[i], loglik[i] = best.theta[j], best.loglik
            se[i] = math.sqrt(covariance_of(best, False)[j, j])
    return RatioBatch(estimate, se, loglik, status)


def _ratio(plain: JointLikelihood, rates: str) -> Optimum:
    begin = start(plain, 15)
    active = np.zeros(plain.n_patients)
    first = plain.risk.unit
    active[first] = plain.risk.g[:, 0]
    time = np.array([False, True])
    model = ratio_likelihood(plain, active, time, time & (rates == "patients"))
    j = plain.layout.gammas.start
    begin[j] = np.clip(begin[j], -1.0, 1.0)
    return maximise_ratio(model, np.append(begin, 0.0), apart=False)
