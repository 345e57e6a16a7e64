"""Restricted mean survival time and Kaplan-Meier survival with Greenwood's variance, over a block of trials.

The restricted mean of an arm is the area under its Kaplan-Meier curve up to ``tau``; with ``A(t)`` the area between
``t`` and ``tau``, its variance is the sum of ``A(t)^2 d / (n (n - d))`` over event times (Irwin 1949; Klein &
Moeschberger 2003, section 4.5). Adjusted: regression of ``min(T, tau)`` (identity or logarithmic link), or of ``tau -
min(T, tau)``, on covariates. Patients whose ``min(T, tau)`` was seen are weighted by the inverse of the probability of
that, Kaplan-Meier's by arm; the variance counts these weights as estimated (Tian, Zhao & Wei 2014, Biostatistics
15:222).
"""

from __future__ import annotations

import math

import numpy as np

from equipoise.estimate.survival.kernels.log_rank import sorted_by_time
from equipoise.numerics.compiler import kernel
from equipoise.numerics.linalg import cholesky, solve_cholesky
from equipoise.numerics.status import BOUNDARY, NO_DATA, NOT_CONVERGED, OK, SINGULAR

LINKS = {"difference": 0, "ratio": 1, "lost-ratio": 2}


@kernel
def curves_sorted(rows, time, event, group, tau, at, mean, variance, survival, greenwood, horizon):
    """Kaplan-Meier summaries of trials sorted by group and time; events and censorings of one time may be in any order.

    rows : (trial,) subjects that count; time, event, group : (trial, subject); tau : (trial,); at : (k,) times in
    order. Filled in: ``mean`` and ``variance`` (trial, group) of the restricted mean; ``survival`` (trial, group, k)
    and ``greenwood``, the variance of its logarithm; ``horizon`` (trial, group) the last time, infinite where the
    curve is 0 there.
    """
    for t in range(time.shape[0]):
        i = 0
        while i < rows[t]:
            g = group[t, i]
            hi = i
            while hi < rows[t] and group[t, hi] == g:
                hi += 1
            total = 0.0
            # first pass: the area; second pass: its variance
            for again in range(2):
                s = 1.0
                before = 0.0
                area = 0.0
                spread = 0.0
                log_variance = 0.0
                k = 0
                j = i
                while j < hi:
                    now = time[t, j]
                    n = hi - j
                    d = 0
                    while j < hi and time[t, j] == now:
                        d += event[t, j]
                        j += 1
                    while again == 0 and k < at.shape[0] and at[k] < now:
                        survival[t, g, k] = s
                        greenwood[t, g, k] = log_variance
                        k += 1
                    if before < tau[t]:
                        until = min(now, tau[t])
                        area += s * (until - before)
                        before = until
                    if d > 0:
                        s *= (n - d) / n
                        step = d / (n * (n - d)) if d < n else 0.0
                        if now < tau[t]:
                            spread += (total - area) ** 2 * step
                        log_variance += step if d < n else np.inf
                if before < tau[t]:
                    area += s * (tau[t] - before)
                if again == 0:
                    total = area
                    mean[t, g] = area
                    horizon[t, g] = time[t, hi - 1] if s > 0.0 else np.inf
                    while k < at.shape[0]:
                        survival[t, g, k] = s
                        greenwood[t, g, k] = log_variance
                        k += 1
                else:
                    variance[t, g] = spread
            i = hi


def curves(time, event, group, *, tau=None, at=(), include=None, n_groups=2):
    """Restricted means and survival at given times, group by group.

    Parameters
    ----------
    time, event, group : (trial, subject) times, whether the event happened, codes 0 .. n_groups - 1. include :
    (trial, subject). tau : number or (trial,) end of the restricted mean; default the largest at which every curve is
    known. at : times at which survival is wanted.

    Returns
    -------
    tau : (trial,). mean, variance : (trial, group) of the restricted mean. survival, greenwood : (trial, group, k) and
    the variance of its logarithm. horizon : (trial, group) up to which the curve is known, infinite if it reaches 0.
    NaN for a group without patients. A curve is continued at its last value beyond its horizon: compare with it.
    """
    rows, time, group, event = sorted_by_time(time, include, group, np.asarray(event).astype(np.bool_))
    n_trials = len(rows)
    at = np.asarray(at, dtype=np.float64)
    order = np.argsort(at)
    shape = (n_trials, n_groups)
    mean, variance, horizon = (np.full(shape, np.nan) for _ in range(3))
    survival, greenwood = (np.full((*shape, len(at)), np.nan) for _ in range(2))
    if tau is None:
        curves_sorted(
            rows,
            time,
            event,
            group,
            np.zeros(n_trials),
            at[:0],
            mean,
            variance,
            survival[:, :, :0].copy(),
            greenwood[:, :, :0].copy(),
            horizon,
        )
        last = np.where(np.arange(time.shape[1]) < rows[:, None], time, -np.inf).max(axis=1, initial=-np.inf)
        common = np.where(np.isnan(horizon), np.inf, horizon).min(axis=1)
        tau = np.where(np.isinf(common), last, common)
    tau = np.ascontiguousarray(np.broadcast_to(np.asarray(tau, dtype=np.float64), (n_trials,)))
    curves_sorted(
        rows, time, event, group, tau, np.ascontiguousarray(at[order]), mean, variance, survival, greenwood, horizon
    )
    back = np.argsort(order)
    return tau, mean, variance, survival[:, :, back], greenwood[:, :, back], horizon


@kernel
def weights_sorted(rows, time, seen, group, weight):
    """Inverse probabilities of being seen, of trials sorted by group and time: fills ``weight`` (trial, subject).

    Kaplan-Meier's estimate of staying uncensored beyond the time itself, as in R's survRM2, or just before it where the
    former is 0. Censored patients weigh 0.
    """
    for t in range(time.shape[0]):
        i = 0
        while i < rows[t]:
            g = group[t, i]
            hi = i
            while hi < rows[t] and group[t, hi] == g:
                hi += 1
            free = 1.0
            while i < hi:
                first = i
                lost = 0
                while i < hi and time[t, i] == time[t, first]:
                    lost += not seen[t, i]
                    i += 1
                n = hi - first
                after = free * (n - lost) / n
                for j in range(first, i):
                    weight[t, j] = 1.0 / (after if after > 0.0 else free) if seen[t, j] else 0.0
                free = after


@kernel
def regression_sorted(rows, time, seen, group, weight, z, y, log_link, max_iterations, beta, covariance, status):
    """Weighted regressions of ``y`` on ``z``, of trials sorted by group and time, where ``status`` is 0.

    z : (trial, subject, p) with the intercept; y : (trial, subject) the response; weight : from
    :func:`weights_sorted`. Filled in: ``beta`` (trial, p), ``covariance`` (trial, p, p), ``status``.
    """
    p = z.shape[2]
    chol = np.empty((p, p))
    info = np.empty((p, p))
    bread = np.empty((p, p))
    meat = np.empty((p, p))
    step = np.empty(p)
    tail = np.empty(p)
    drift = np.empty(p)
    column = np.empty(p)
    score = np.empty((z.shape[1], p))
    for t in range(z.shape[0]):
        if status[t] != OK:
            continue
        for a in range(p):
            beta[t, a] = 0.0
        if log_link:
            total = 0.0
            count = 0.0
            for i in range(rows[t]):
                total += weight[t, i] * y[t, i]
                count += weight[t, i]
            if total <= 0.0:
                status[t] = BOUNDARY
                continue
            beta[t, 0] = math.log(total / count)
        status[t] = NOT_CONVERGED
        for _ in range(max_iterations):
            for a in range(p):
                step[a] = 0.0
                for b in range(a + 1):
                    info[a, b] = 0.0
                    bread[a, b] = 0.0
            for i in range(rows[t]):
                eta = 0.0
                for a in range(p):
                    eta += z[t, i, a] * beta[t, a]
                mu = math.exp(eta) if log_link else eta
                slope = mu if log_link else 1.0
                for a in range(p):
                    score[i, a] = weight[t, i] * z[t, i, a] * (y[t, i] - mu)
                    step[a] += score[i, a]
                    for b in range(a + 1):
                        information = slope * z[t, i, a] * z[t, i, b]
                        bread[a, b] += information
                        info[a, b] += weight[t, i] * information
            for a in range(p):
                for b in range(a):
                    info[b, a] = info[a, b]
                    bread[b, a] = bread[a, b]
            if not cholesky(info, p, chol):
                status[t] = SINGULAR
                break
            solve_cholesky(chol, p, step)
            largest = 0.0
            for a in range(p):
                beta[t, a] += step[a]
                largest = max(largest, abs(step[a]))
            if not largest < 1e8:
                status[t] = BOUNDARY
                break
            if largest < 1e-11 * (1.0 + abs(beta[t, 0])):
                status[t] = OK
                break
        if status[t] != OK:
            continue
        # each patient's influence: the score, and what the estimated weights add (a martingale of censoring)
        for a in range(p):
            for b in range(p):
                meat[a, b] = 0.0
        i = 0
        while i < rows[t]:
            g = group[t, i]
            hi = i
            for a in range(p):
                tail[a] = 0.0
                drift[a] = 0.0
            while hi < rows[t] and group[t, hi] == g:
                for a in range(p):
                    tail[a] += score[hi, a]
                hi += 1
            while i < hi:
                first = i
                lost = 0
                while i < hi and time[t, i] == time[t, first]:
                    lost += not seen[t, i]
                    i += 1
                n = hi - first
                for a in range(p):
                    drift[a] += tail[a] * lost / (n * n)
                for j in range(first, i):
                    for a in range(p):
                        column[a] = score[j, a] - drift[a]
                        if not seen[t, j]:
                            column[a] += tail[a] / n
                    for a in range(p):
                        for b in range(p):
                            meat[a, b] += column[a] * column[b]
                for j in range(first, i):
                    for a in range(p):
                        tail[a] -= score[j, a]
        if not cholesky(bread, p, chol):
            status[t] = SINGULAR
            continue
        for side in range(2):
            for b in range(p):
                for a in range(p):
                    column[a] = meat[a, b] if side == 0 else meat[b, a]
                solve_cholesky(chol, p, column)
                for a in range(p):
                    if side == 0:
                        meat[a, b] = column[a]
                    else:
                        covariance[t, a, b] = column[a]
            # side 0 left B^-1 M in ``meat``; side 1 solves its transpose


def regression(time, event, x, group, tau, *, link="difference", include=None, max_iterations=50):
    """Regressions of the restricted mean on covariates.

    Parameters
    ----------
    time, event, include : (trial, subject). x : (trial, subject, p) covariates without an intercept, the arm among
    them. group : (trial, subject) codes within which the censoring is estimated (the arm). tau : number or (trial,).
    link : ``difference`` (mean of min(T, tau), identity), ``ratio`` (the same, logarithm) or ``lost-ratio`` (mean of
    tau - min(T, tau), logarithm).

    Returns
    -------
    beta : (trial, 1 + p), the intercept first; covariance : (trial, 1 + p, 1 + p); status : (trial,) codes of
    :class:`equipoise.types.Status`. NaN where not ``OK``.
    """
    time, x = np.asarray(time, dtype=np.float64), np.asarray(x, dtype=np.float64)
    tau = np.broadcast_to(np.asarray(tau, dtype=np.float64), (len(time),))[:, None]
    seen = np.asarray(event).astype(np.bool_) | (time >= tau)
    include = np.ones(time.shape, np.bool_) if include is None else np.asarray(include, dtype=np.bool_)
    include = include & ~np.isnan(x).any(axis=2)
    rows, time, group, seen, x = sorted_by_time(np.minimum(time, tau), include, group, seen, x)
    n_trials, n_subjects, p = x.shape
    member = np.arange(n_subjects) < rows[:, None]
    count = np.maximum(rows, 1)[:, None, None]
    x = np.where(member[:, :, None], x, 0.0)
    centre = x.sum(axis=1, keepdims=True) / count
    x = np.where(member[:, :, None], x - centre, 0.0)
    sd = np.sqrt((x * x).sum(axis=1, keepdims=True) / count)
    scale = np.where(sd > 1e-10 * np.abs(centre), 1.0 / np.where(sd > 0.0, sd, 1.0), 0.0)
    z = np.ascontiguousarray(np.concatenate([np.where(member, 1.0, 0.0)[:, :, None], x * scale], axis=2))
    weight = np.zeros(time.shape)
    weights_sorted(rows, time, seen, group, weight)
    y = np.ascontiguousarray(np.where(member, tau - time if link == "lost-ratio" else time, 0.0))
    beta = np.full((n_trials, p + 1), np.nan)
    covariance = np.full((n_trials, p + 1, p + 1), np.nan)
    status = np.where(rows == 0, NO_DATA, OK).astype(np.int64)
    regression_sorted(
        rows, time, seen, group, weight, z, y, link != "difference", int(max_iterations), beta, covariance, status
    )
    # back from centred and scaled covariates
    turn = np.zeros((n_trials, p + 1, p + 1))
    turn[:, 0, 0] = 1.0
    turn[:, np.arange(1, p + 1), np.arange(1, p + 1)] = scale[:, 0]
    turn[:, 0, 1:] = -(centre * scale)[:, 0]
    beta = np.einsum("tab,tb->ta", turn, beta)
    covariance = np.einsum("tab,tbc,tdc->tad", turn, covariance, turn)
    failed = status != OK
    beta[failed] = np.nan
    covariance[failed] = np.nan
    return beta, covariance, status.astype(np.int8)
