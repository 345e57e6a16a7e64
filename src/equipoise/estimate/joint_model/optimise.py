"""To the maximum of the likelihood: a start, steps by summed squares of scores, then Newton's steps.

1. The marker alone by EM, the hazard given predicted random effects by Newton's method.
2. Steps by the outer product of the scores (Berndt, Hall, Hall & Hausman 1974) on few nodes of quadrature.
3. Newton's steps with the observed information (differences of the score) on more and more nodes, until the
   log-likelihood no longer moves with their number. More are taken of those patients alone whose integrals still move.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from equipoise.estimate.joint_model.likelihood import (
    LOGISTIC,
    CategoryRows,
    JointLikelihood,
    Layout,
    Nodes,
    Points,
    Rows,
)
from equipoise.types import BoolArray, FloatArray, IntArray, Status

LADDER = {1: (9, 15, 31, 63), 2: (7, 15, 31, 45), 3: (5, 9, 15, 21), 4: (3, 5, 7)}
"""Nodes a dimension, by the number of random effects; beyond four effects one, which is Laplace's approximation."""
MOST_NODES = 20_000
"""The largest grid of nodes on which the error of Laplace's approximation is measured."""
FLAT = 1e-6
"""A random effect whose own share of its variance is smaller lies on the boundary."""


@dataclass(frozen=True, eq=False)
class Optimum:
    """Where the search ended: ``information`` observed, of the free parameters; ``scores`` (patient, parameter).

    gradient : the largest score in absolute value; distance : how far the maximum is, in standard errors. quadrature :
    how much the log-likelihood moves from each patient's nodes a dimension, at most ``points``, to about twice as many.
    flat : on the boundary, the random effect with the smallest share of a variance of its own.
    """

    theta: FloatArray = field(repr=False)
    loglik: float
    information: FloatArray = field(repr=False)
    scores: FloatArray = field(repr=False)
    free: BoolArray = field(repr=False)
    status: Status
    reason: str
    gradient: float
    distance: float
    points: int
    quadrature: float
    calls: int
    flat: int | None = None


def _finer(k: IntArray, d: int, steps: tuple[int, ...]) -> IntArray:
    """(patient,) the next number of nodes on the ladder; beyond its end about twice as many."""
    beyond = 2 * steps[-1] + 1 if d <= 3 else steps[-1] + 2
    return np.asarray(np.append(steps, beyond))[np.searchsorted(steps, k, side="right")]


def _moving(change: FloatArray, tolerance: float) -> BoolArray:
    """(patient,) whose integrals need more nodes: all but the most whose changes together stay below half of it."""
    size = np.where(np.isfinite(change), np.abs(change), np.inf)
    order = np.argsort(size, kind="stable")
    out = np.empty(len(size), np.bool_)
    out[order] = np.cumsum(size[order]) > 0.5 * tolerance
    return out


def ladder_of(d: int) -> tuple[int, ...]:
    return LADDER.get(d, (1,))


def residual_variance(rows: Rows, theta: FloatArray, lay: Layout, m: int) -> float:
    """The residual variance of a marker; of a category that of the logistic distribution."""
    return LOGISTIC if isinstance(rows, CategoryRows) else math.exp(2.0 * theta[lay.log_sigma(m)])


def start(model: JointLikelihood, steps: int = 25) -> FloatArray:
    """The marker alone by EM, then the hazard given what it predicts of the random effects."""
    lay = model.layout
    theta = np.zeros(lay.size)
    n = len(model.patient)
    real = model.sign > 0.0
    eb, ebb = np.zeros((n, lay.d)), np.zeros((n, lay.d, lay.d))
    covariance = np.zeros((lay.d, lay.d))
    for m, sums in enumerate(model.markers):
        mean = np.diag(sums.zz.sum(axis=0)) / max(sums.n.sum(), 1.0)
        if isinstance(sums, CategoryRows):
            covariance[sums.columns, sums.columns] = np.diag(LOGISTIC / np.maximum(mean, 1e-300) / len(mean))
            _start_category(theta, lay, m, sums)
            continue
        xx = sums.xx.sum(axis=0)
        beta = np.linalg.lstsq(xx, sums.xy.sum(axis=0), rcond=None)[0]
        rr = float((sums.yy.sum() - beta @ sums.xy.sum(axis=0)) / max(sums.n.sum(), 1.0))
        theta[lay.beta(m)] = beta
        theta[lay.log_sigma(m)] = 0.5 * math.log(max(rr, 1e-300) / 2.0)
        covariance[sums.columns, sums.columns] = np.diag(rr / 2.0 / np.maximum(mean, 1e-300) / len(mean))
    for _ in range(steps):
        if not np.linalg.cond(covariance) < 1e12:  # on the boundary: what was reached last will do to begin with
            covariance = np.diag(np.diag(covariance)) + 1e-8 * np.eye(lay.d) * max(float(np.trace(covariance)), 1e-8)
            break
        prior = np.linalg.inv(covariance)
        a, c = np.tile(prior, (n, 1, 1)), np.zeros((n, lay.d))
        for m, sums in enumerate(model.markers):
            if isinstance(sums, CategoryRows):
                continue
            s2 = math.exp(2.0 * theta[lay.log_sigma(m)])
            a[:, sums.columns, sums.columns] += sums.zz / s2
            c[:, sums.columns] += (sums.zy - sums.zx @ theta[lay.beta(m)]) / s2
        inverse = np.linalg.inv(a)
        eb = np.einsum("nrs,ns->nr", inverse, c)
        ebb = inverse + eb[:, :, None] * eb[:, None, :]
        covariance = ebb[real].mean(axis=0)
        for m, sums in enumerate(model.markers):
            if isinstance(sums, CategoryRows):
                continue
            b, bb = eb[:, sums.columns], ebb[:, sums.columns, sums.columns]
            rest = sums.xy.sum(axis=0) - np.einsum("ndp,nd->p", sums.zx, b)
            beta = np.linalg.lstsq(sums.xx.sum(axis=0), rest, rcond=None)[0]
            rr = sums.yy - 2.0 * (sums.xy @ beta) + np.einsum("npq,p,q->n", sums.xx, beta, beta)
            q = rr - 2.0 * ((sums.zy - sums.zx @ beta) * b).sum(axis=1) + np.einsum("nrs,nrs->n", sums.zz, bb)
            theta[lay.beta(m)] = beta
            theta[lay.log_sigma(m)] = 0.5 * math.log(max(float(q.sum() / sums.n.sum()), 1e-300))
    theta[lay.covariance] = lay.unfactor(covariance + 1e-9 * max(float(np.trace(covariance)), 1e-300) * np.eye(lay.d))
    model.mode[:] = eb
    if model.categories is not None:
        eb = _without_hazard(model, theta)
    _start_hazard(model, theta, eb)
    return theta


def _start_category(theta: FloatArray, lay: Layout, m: int, rows: CategoryRows) -> None:
    """Thresholds as often passed as in the data, and a logistic regression of passing the first, blind to patients."""
    shares = np.cumsum(np.bincount(rows.code, minlength=rows.categories) + 0.5)[:-1] / (
        len(rows.code) + 0.5 * rows.categories
    )
    cuts = np.log(shares / (1.0 - shares))
    theta[lay.steps(m)] = np.log(np.diff(cuts))
    beta, y = np.zeros(lay.p[m]), (rows.code > 0).astype(np.float64)
    for _ in range(12):
        share = 1.0 / (1.0 + np.exp(-np.clip(rows.x @ beta, -30.0, 30.0)))
        weight = np.maximum(share * (1.0 - share), 1e-6)
        bend = (rows.x * weight[:, None]).T @ rows.x
        step = np.linalg.lstsq(bend + 1e-8 * np.diag(np.diag(bend)), rows.x.T @ (y - share), rcond=None)[0]
        beta += step * min(1.0, 3.0 / max(float(np.abs(rows.x @ step).max()), 1e-300))
    theta[lay.beta(m)] = beta


def _without_hazard(model: JointLikelihood, theta: FloatArray) -> FloatArray:
    """(unit, d) random effects given the markers alone, whose covariance a few steps of EM find."""
    lay = model.layout
    quiet = theta.copy()
    quiet[lay.gammas.start :] = 0.0
    quiet[lay.psis] = -30.0
    real = model.sign > 0.0
    for _ in range(6):
        ll, _ = model.evaluate(quiet, 1)
        found = model.ebb[real]
        if not (np.isfinite(ll).all() and np.isfinite(found).all()):
            break
        covariance = found.mean(axis=0)
        covariance += 1e-6 * np.diag(np.diag(covariance))
        try:
            quiet[lay.covariance] = lay.unfactor(covariance)
        except np.linalg.LinAlgError:  # means to first order need no covariance: what there is will do to begin with
            break
    theta[lay.covariance] = quiet[lay.covariance]
    return model.mode.copy()


def _start_hazard(model: JointLikelihood, theta: FloatArray, eb: FloatArray) -> None:
    lay = model.layout
    k = lay.gamma + lay.psi + lay.alpha
    if not k or not len(model.events.unit):
        return
    betas = theta[lay.betas]

    def columns(p: Points) -> FloatArray:
        forms = [p.xf[f] @ betas + (p.zf[f] * eb[p.unit]).sum(axis=1) for f in range(lay.alpha)]
        return np.column_stack([p.g, *forms])

    x, seen = columns(model.risk), columns(model.events).sum(axis=0)
    weight = np.exp(model.risk.weight) * model.sign[model.risk.unit]
    scale = np.sqrt((np.abs(weight)[:, None] * x**2).sum(axis=0) / max(np.abs(weight).sum(), 1e-300))
    scale[scale == 0.0] = 1.0
    x, seen = x / scale, seen / scale
    # begin at the constant hazard that the events have, as near as the baseline can say it
    rate = math.log(len(model.events.unit) / max(weight.sum(), 1e-300))
    psi = np.zeros(k)
    psi[lay.gamma : lay.gamma + lay.psi] = np.linalg.lstsq(
        x[:, lay.gamma : lay.gamma + lay.psi], np.full(len(x), rate), rcond=None
    )[0]

    def value(at: FloatArray) -> float:
        return float(seen @ at - (weight * np.exp(np.minimum(x @ at, 600.0))).sum())

    now = value(psi)
    for _ in range(50):
        h = weight * np.exp(np.minimum(x @ psi, 600.0))
        gradient = seen - h @ x
        curvature = (x * h[:, None]).T @ x
        curvature += 1e-6 * np.diag(np.diag(curvature)) + 1e-10 * np.eye(k)
        step = np.linalg.solve(curvature, gradient)
        gain = float(gradient @ step)
        if not gain > 1e-6:
            break
        size = 1.0
        while size > 1e-6 and not value(psi + size * step) >= now:
            size *= 0.5
        psi = psi + size * step
        now = value(psi)
    psi = psi / scale
    theta[lay.gammas] = psi[: lay.gamma]
    theta[lay.psis] = psi[lay.gamma : lay.gamma + lay.psi]
    theta[lay.alphas] = psi[lay.gamma + lay.psi :]


def information(
    model: JointLikelihood, theta: FloatArray, k: Nodes, free: BoolArray, scale: FloatArray, base: FloatArray
) -> FloatArray:
    """The observed information of the free parameters: differences of the score, which is ``base`` at theta.

    scale (free,) : about the standard errors. Steps of 1e-4 of them leave a relative error of about 1e-5.
    """
    at = np.flatnonzero(free)
    out = np.empty((len(at), len(at)))
    h = 1e-4 * scale
    for row, j in enumerate(at):
        there = theta.copy()
        there[j] += h[row]
        out[row] = (base[at] - model.gradient(there, k)[at]) / h[row]
    return np.asarray(0.5 * (out + out.T))


def _solved(matrix: FloatArray, gradient: FloatArray) -> tuple[FloatArray, FloatArray]:
    """A step uphill whatever the signs of the curvature, and the eigenvalues of the scaled curvature.

    Raises :class:`numpy.linalg.LinAlgError` for a curvature or gradient that is no number.
    """
    if not (np.isfinite(matrix).all() and np.isfinite(gradient).all()):
        raise np.linalg.LinAlgError("not finite")
    size = np.sqrt(np.maximum(np.abs(np.diag(matrix)), 1e-300))
    values, vectors = np.linalg.eigh(matrix / size / size[:, None])
    least = 1e-9 * max(float(values.max()), 1e-300)
    step = vectors @ ((vectors.T @ (gradient / size)) / np.maximum(np.abs(values), least)) / size
    return step, values


def maximise(
    model: JointLikelihood,
    begin: FloatArray,
    *,
    free: BoolArray | None = None,
    tolerance: float = 1e-7,
    steps: tuple[int, ...] | None = None,
    limit: int = 60,
) -> Optimum:
    """The maximum over the free parameters, from ``begin``; never raises for data.

    tolerance : how far the log-likelihood may move with more nodes.
    steps : nodes a dimension, from few to many; by default :data:`LADDER`.
    """
    free = np.ones(model.layout.size, np.bool_) if free is None else free
    try:
        return _searched(model, begin, free, tolerance, steps, limit)
    except np.linalg.LinAlgError:  # a curvature that is no number: the search has left where the likelihood is one
        why = "the search left the parameters for which the likelihood can be computed"
        return failed(model.layout.size, Status.NOT_CONVERGED, why, free)


def _searched(
    model: JointLikelihood,
    begin: FloatArray,
    free: BoolArray,
    tolerance: float,
    steps: tuple[int, ...] | None,
    limit: int,
) -> Optimum:
    calls = model.calls
    lay = model.layout
    at = np.flatnonzero(free)
    theta = begin.copy()
    steps = ladder_of(lay.d) if steps is None else steps
    own, k = np.full(model.n_patients, steps[0]), np.full(len(model.patient), steps[0])

    def full(step: FloatArray) -> FloatArray:
        out = np.zeros(lay.size)
        out[at] = step
        return out

    def value(where: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        ll, s = model.evaluate(where, k)
        return float(ll.sum()), s, ll

    now, scores, each = value(theta)
    if not math.isfinite(now):
        return _lost(
            model, theta, free, scores, Status.NOT_CONVERGED, "the likelihood is not finite at the start", calls
        )
    for _ in range(limit):
        outer = scores[:, at]
        gradient = outer.sum(axis=0)
        step, _ = _solved(outer.T @ outer, gradient)
        gain = float(gradient @ step)
        if gain < 0.5:
            break
        size = min(1.0, 3.0 / max(float(np.abs(step[_bounded(lay, at)]).max(initial=0.0)), 1e-300))
        while size > 1e-4:
            new, s, _ = value(theta + full(size * step))
            if math.isfinite(new) and new > now + 1e-4 * size * gain:
                break
            size *= 0.5
        if size <= 1e-4:
            break
        theta, now, scores = theta + full(size * step), new, s
        if _flat(model, theta):
            return _on_boundary(model, theta, free, now, scores, calls, int(own.max()))
    quadrature, info, distance = math.nan, np.empty((0, 0)), math.inf
    settled = False
    for rung in range(1, len(steps) + 2):
        goal = 1e-11 if settled else 1e-4
        now, scores, each = value(theta)
        fresh = False
        for _ in range(limit):
            gradient = scores[:, at].sum(axis=0)
            if not len(info):
                info = _curvature(model, theta, k, free, scores)
                fresh = True
            step, values = _solved(info, gradient)
            distance = float(gradient @ step)
            if distance < goal and values.min() > 0.0:
                break
            size = min(1.0, 2.0 / max(float(np.abs(step[_bounded(lay, at)]).max(initial=0.0)), 1e-300))
            new, s, there = value(theta + full(size * step))
            while size > 1e-3 and not (math.isfinite(new) and (new > now or distance < 1e-5)):
                size *= 0.5
                new, s, there = value(theta + full(size * step))
            if size <= 1e-3:
                if fresh:
                    break
                info = np.empty((0, 0))
                continue
            after = float(_solved(info, s[:, at].sum(axis=0))[0] @ s[:, at].sum(axis=0))
            theta, now, scores, each = theta + full(size * step), new, s, there
            if _flat(model, theta):
                return _on_boundary(model, theta, free, now, scores, calls, int(own.max()))
            if after > 0.1 * distance and after > goal:
                info = np.empty((0, 0))  # a curvature of its own pays where the old one crawls
            fresh = False
        if settled:
            break
        finer = _finer(own, lay.d, steps)
        moving = np.ones(len(own), np.bool_)
        if int(finer.max()) ** lay.d <= MOST_NODES:
            change = model.evaluate(theta, finer[model.patient], scores=False)[0] - each
            quadrature = float(change.sum())
            if model.categories is None:
                moving = _moving(change, tolerance)
        settled = rung >= len(steps) or abs(quadrature) < tolerance
        if not settled:
            own[moving] = np.maximum(finer, steps[rung])[moving]
            k = own[model.patient]
    gradient = scores[:, at].sum(axis=0)
    scale = 1.0 / np.sqrt(np.maximum(np.diag(info), 1e-300)) if len(info) else np.full(len(at), 1e-3)
    info = information(model, theta, k, free, scale, scores.sum(axis=0))
    step, values = _solved(info, gradient)
    distance = float(gradient @ step)
    status, reason = Status.OK, ""
    largest = float(np.abs(gradient).max(initial=0.0))
    if _flat(model, theta, _spread(info, values), at):
        return _on_boundary(model, theta, free, now, scores, calls, int(own.max()))
    if not math.isfinite(now) or not distance < 1e-6:
        status, reason = Status.NOT_CONVERGED, f"the search ended with a largest score of {largest:.2g}"
    elif values.min() < 1e-10:
        status, reason = Status.SINGULAR, "the information is singular: the data cannot tell some parameters apart"
    return Optimum(
        theta,
        now,
        info,
        scores,
        free,
        status,
        reason,
        largest,
        math.sqrt(max(distance, 0.0)),
        int(own.max()),
        quadrature,
        model.calls - calls,
    )


def _bounded(lay: Layout, at: IntArray) -> BoolArray:
    """Which free parameters are logarithms of standard deviations, whose steps are kept short."""
    own = lay.covariance
    diagonal = np.cumsum(np.arange(1, lay.d + 1)) - 1 + own.start
    scales = [np.arange(lay.size)[lay.steps(m)] for m in range(len(lay.p))]
    logs = np.concatenate([diagonal, *scales])
    return np.isin(at, logs)


def _curvature(model: JointLikelihood, theta: FloatArray, k: Nodes, free: BoolArray, scores: FloatArray) -> FloatArray:
    own = scores[:, free]
    scale = 1.0 / np.sqrt(np.maximum((own**2).sum(axis=0), 1e-12))
    return information(model, theta, k, free, scale, scores.sum(axis=0))


def _spread(info: FloatArray, values: FloatArray) -> FloatArray:
    """(free,) standard errors; infinite where the information is singular."""
    if not values.min() > 1e-12:
        return np.full(len(info), np.inf)
    return np.asarray(np.sqrt(np.abs(np.diag(np.linalg.inv(info)))))


def _flat(model: JointLikelihood, theta: FloatArray, se: FloatArray | None = None, at: IntArray | None = None) -> bool:
    """Whether the covariance of the random effects is singular, or a residual variance gone.

    With standard errors of the free parameters ``at``: also where the logarithm of a standard deviation is not known
    to within a factor of 100 and the deviation is next to nothing.
    """
    low = model.layout.factor(theta)
    if se is not None and at is not None:
        logs = np.flatnonzero(_bounded(model.layout, at))
        small = (np.diag(low) ** 2 < 1e-2 * (low**2).sum(axis=1)).any()
        for _, there, s2 in _parts(model, theta, low):
            small = small or bool((there < 1e-2 * s2).any())
        return bool(small and (se[logs] > 5.0).any())
    if (np.diag(low) ** 2 < FLAT * (low**2).sum(axis=1)).any():
        return True
    parts = _parts(model, theta, low)
    return any((there < FLAT * s2).any() or not s2 > 1e-9 * there.max() for _, there, s2 in parts)


def _parts(model: JointLikelihood, theta: FloatArray, low: FloatArray) -> Iterator[tuple[slice, FloatArray, float]]:
    """Of each marker: its random effects, the variance each adds to a value on average, and the residual variance."""
    whole = (low**2).sum(axis=1)
    for m, sums in enumerate(model.markers):
        there = whole[sums.columns] * np.diag(sums.zz.sum(axis=0)) / max(sums.n.sum(), 1.0)
        yield sums.columns, there, residual_variance(sums, theta, model.layout, m)


def _on_boundary(
    model: JointLikelihood, theta: FloatArray, free: BoolArray, now: float, scores: FloatArray, calls: int, k: int
) -> Optimum:
    low = model.layout.factor(theta)
    own = np.diag(low) ** 2 / np.maximum((low**2).sum(axis=1), 1e-300)
    for columns, there, s2 in _parts(model, theta, low):
        if not s2 > 1e-9 * there.max():
            why = "no residual variance is left"
            return _lost(model, theta, free, scores, Status.NO_VARIANCE, why, calls, now, k)
        own[columns] = np.minimum(own[columns], there / s2)
    why = "the covariance of the random effects is singular"
    lost = _lost(model, theta, free, scores, Status.BOUNDARY, why, calls, now, k)
    return replace(lost, flat=int(np.argmin(own)))


def failed(size: int, status: Status, reason: str, free: BoolArray | None = None) -> Optimum:
    """No search at all: why there is none."""
    free = np.ones(size, np.bool_) if free is None else free
    m = int(free.sum())
    nan = math.nan
    nothing = np.full((m, m), nan)
    return Optimum(np.full(size, nan), nan, nothing, np.zeros((0, size)), free, status, reason, nan, nan, 0, nan, 0)


def _lost(
    model: JointLikelihood,
    theta: FloatArray,
    free: BoolArray,
    scores: FloatArray,
    status: Status,
    reason: str,
    calls: int,
    loglik: float = math.nan,
    k: int = 0,
) -> Optimum:
    m = int(free.sum())
    gradient = float(np.abs(scores[:, free].sum(axis=0)).max(initial=0.0)) if len(scores) else math.nan
    return Optimum(
        theta,
        loglik,
        np.full((m, m), math.nan),
        scores,
        free,
        status,
        reason,
        gradient,
        math.nan,
        k,
        math.nan,
        model.calls - calls,
    )


def covariance_of(optimum: Optimum, robust: bool) -> FloatArray:
    """(parameter, parameter) covariance from the observed information, or the sandwich of it and the scores."""
    size = len(optimum.theta)
    out = np.zeros((size, size))
    at = np.flatnonzero(optimum.free)
    if optimum.status is not Status.OK:
        out[:] = math.nan
        return out
    inverse = np.linalg.inv(optimum.information)
    if robust:
        own = optimum.scores[:, at]
        inverse = inverse @ (own.T @ own) @ inverse
    out[np.ix_(at, at)] = 0.5 * (inverse + inverse.T)
    return out
