"""Log-rank and Cox regression over a block of trials.

Log-rank (Mantel 1966; Peto & Peto 1972; stratified by summing over strata): at each event time with ``d`` events among
``n`` at risk, group ``g`` is expected ``d n_g / n`` of them, with hypergeometric covariance
``d (n - d) / (n - 1) (n_g / n) (delta_gh - n_h / n)``. Weights ``S(t-)^rho`` with the pooled Kaplan-Meier estimate of
the stratum give the G-rho family (Harrington & Fleming 1982).

Cox (1972) partial likelihood with the approximation for ties of Efron (1977) or of Breslow (1974): an event time with
``d`` tied events, risk-set sums ``S`` and sums over the tied events ``D`` of ``w = exp(x'b)`` contributes

    sum of x'b  -  sum_{k < d} log(S - (k / d) D)      (Efron; k / d is 0 for Breslow).

Newton's method on covariates centred and scaled to unit variance, a step halved while it lowers the likelihood.
Infinite estimates are told apart from slow convergence: under a monotone likelihood the log likelihood settles while
the steps do not shrink (Bryson & Johnson 1981; Heinze & Schemper 2001), which is reported as ``BOUNDARY``; where the
arm is the reason, as ``ONE_ARM_EVENTS``. Columns aliased with those before them get coefficient and variance zero.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

_OPTIONS = {"nogil": True, "cache": True, "error_model": "numpy", "no_cfunc_wrapper": True}
_INNER = {"nogil": True, "error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}

_OK, _NOT_CONVERGED, _BOUNDARY, _NO_EVENTS, _ONE_ARM, _EMPTY_ARM, _SINGULAR, _NO_DATA = range(8)  # types.Status


@njit(**_OPTIONS)
def log_rank_sorted(rows, time, event, group, stratum, rho, observed, expected, variance):
    """Log-rank sums of trials sorted by stratum and time.

    rows : (trial,) how many of the sorted subjects count; time, event, group, stratum : (trial, subject). Filled in:
    ``observed`` and ``expected`` (trial, group) weighted events, ``variance`` (trial, group, group).
    """
    n_groups = observed.shape[1]
    at_risk = np.empty(n_groups)
    for t in range(time.shape[0]):
        i = 0
        while i < rows[t]:
            # one stratum: lo .. hi
            for g in range(n_groups):
                at_risk[g] = 0.0
            hi = i
            n = 0.0
            while hi < rows[t] and stratum[t, hi] == stratum[t, i]:
                at_risk[group[t, hi]] += 1.0
                n += 1.0
                hi += 1
            survival = 1.0
            while i < hi:
                first = i
                d = 0.0
                while i < hi and time[t, i] == time[t, first]:
                    d += event[t, i]
                    i += 1
                if d > 0.0:
                    w = survival**rho
                    spread = w * w * d * (n - d) / (n - 1.0) if n > 1.0 else 0.0
                    for j in range(first, i):
                        observed[t, group[t, j]] += w * event[t, j]
                    for g in range(n_groups):
                        share = at_risk[g] / n
                        expected[t, g] += w * d * share
                        variance[t, g, g] += spread * share
                        for k in range(n_groups):
                            variance[t, g, k] -= spread * share * at_risk[k] / n
                    survival *= (n - d) / n
                for j in range(first, i):
                    at_risk[group[t, j]] -= 1.0
                n -= i - first


@njit(**_INNER)
def _evaluate(t, rows, p, time, event, stratum, efron, z, beta, s, d, gradient, information):
    """Log partial likelihood at ``beta``; fills its gradient and information.

    ``s`` and ``d`` (p + 1, p + 1) hold the sums of ``w``, ``w x`` (row 0) and ``w x x'`` over the risk set and over
    the tied events.
    """
    loglik = 0.0
    for a in range(p):
        gradient[a] = 0.0
        for b in range(p):
            information[a, b] = 0.0
    for a in range(p + 1):
        for b in range(a + 1):
            s[a, b] = 0.0
    i = rows - 1
    while i >= 0:
        for a in range(p + 1):
            for b in range(a + 1):
                d[a, b] = 0.0
        now = time[t, i]
        here = stratum[t, i]
        tied = 0
        while i >= 0 and time[t, i] == now and stratum[t, i] == here:
            eta = 0.0
            for a in range(p):
                eta += beta[a] * z[t, i, a + 1]
            w = math.exp(eta)
            for a in range(p + 1):
                wa = w * z[t, i, a]
                for b in range(a + 1):
                    s[a, b] += wa * z[t, i, b]
                    if event[t, i]:
                        d[a, b] += wa * z[t, i, b]
            if event[t, i]:
                tied += 1
                loglik += eta
                for a in range(p):
                    gradient[a] += z[t, i, a + 1]
            i -= 1
        for k in range(tied):
            f = k / tied if efron else 0.0
            total = s[0, 0] - f * d[0, 0]
            loglik -= math.log(total)
            for a in range(p):
                mean = (s[a + 1, 0] - f * d[a + 1, 0]) / total
                gradient[a] -= mean
                for b in range(a + 1):
                    other = (s[b + 1, 0] - f * d[b + 1, 0]) / total
                    information[a, b] += (s[a + 1, b + 1] - f * d[a + 1, b + 1]) / total - mean * other
        if i >= 0 and stratum[t, i] != here:
            for a in range(p + 1):
                for b in range(a + 1):
                    s[a, b] = 0.0
    return loglik


@njit(**_OPTIONS)
def cox_sorted(
    rows, time, event, stratum, z, arm, efron, max_iterations, beta, inverse, loglik, score, iterations, status
):  # fmt: skip
    """Cox regressions of trials sorted by stratum and time, where ``status`` is 0.

    rows, time, event, stratum as in :func:`log_rank_sorted`; z : (trial, subject, 1 + p) ones, then standardised
    covariates; arm : the covariate that is the arm indicator, or -1. Filled in: ``beta`` (trial, p), ``inverse``
    (trial, p, p) the inverse information, ``loglik`` (trial, 2) at zero and at the estimate, ``score`` (trial,) the
    score test at zero, ``iterations``, ``status``.
    """
    p = z.shape[2] - 1
    base = np.empty(p)
    now = np.empty(p)
    step = np.empty(p)
    gradient = np.empty(p)
    s = np.empty((p + 1, p + 1))
    d = np.empty((p + 1, p + 1))
    info = np.empty((p, p))
    for t in range(z.shape[0]):
        if status[t] != _OK:
            continue
        for a in range(p):
            beta[t, a] = 0.0
            step[a] = 0.0
        best = 0.0
        status[t] = _NOT_CONVERGED
        for iteration in range(max_iterations + 1):
            for a in range(p):
                now[a] = beta[t, a] + step[a]
            value = _evaluate(t, rows[t], p, time, event, stratum, efron, z, now, s, d, gradient, info)
            iterations[t] = iteration
            if iteration > 0 and not value >= best - 1e-10 * abs(best):
                for a in range(p):
                    step[a] *= 0.5
                continue
            gain = value - best
            best = value
            loglik[t, 0 if iteration == 0 else 1] = value
            # Gauss-Jordan sweeps: the information becomes its generalised inverse
            flat = False
            for k in range(p):
                for a in range(k):
                    info[a, k] = info[k, a]
                if iteration == 0:
                    base[k] = info[k, k]
            for k in range(p):
                pivot = info[k, k]
                if pivot > 1e-10 * base[k]:
                    pivot = 1.0 / pivot
                else:
                    pivot = 0.0
                    flat = flat or step[k] != 0.0
                for b in range(p):
                    info[k, b] *= pivot
                for a in range(p):
                    if a != k:
                        f = info[a, k]
                        for b in range(p):
                            info[a, b] -= f * info[k, b]
                        info[a, k] = -f * pivot
                info[k, k] = pivot
            largest = 0.0
            decrement = 0.0
            for a in range(p):
                beta[t, a] = now[a]
                step[a] = 0.0
                for b in range(p):
                    inverse[t, a, b] = info[a, b]
                    step[a] += info[a, b] * gradient[b]
                decrement += step[a] * gradient[a]
                if abs(step[a]) > largest:
                    largest = abs(step[a])
            if iteration == 0:
                score[t] = decrement
                if arm >= 0 and info[arm, arm] == 0.0:
                    status[t] = _SINGULAR
                    break
            if flat or (iteration > 3 and gain < 1e-9 * (1.0 + abs(best)) and largest > 1e-2):
                status[t] = _BOUNDARY
                break
            if largest < 1e-8:
                status[t] = _OK
                loglik[t, 1] = best
                for a in range(p):
                    beta[t, a] += step[a]
                break


def _sorted(time, include, stratum, *others):
    """Gather the included subjects of each trial, by stratum and time; returns ``rows, time, stratum, *others``."""
    time = np.asarray(time, dtype=np.float64)
    include = np.ones(time.shape, np.bool_) if include is None else np.asarray(include, dtype=np.bool_)
    include = include & ~np.isnan(time)
    code = np.zeros(time.shape, np.int64) if stratum is None else np.asarray(stratum).astype(np.int64)
    code = np.where(include, code, np.iinfo(np.int64).max)
    order = np.lexsort((time, code), axis=-1)
    gathered = [np.ascontiguousarray(np.take_along_axis(a, order, axis=1)) for a in (time, code)]
    for other in others:
        index = order.reshape(order.shape + (1,) * (other.ndim - 2))
        gathered.append(np.ascontiguousarray(np.take_along_axis(other, index, axis=1)))
    return include.sum(axis=1), *gathered


def log_rank(time, event, group, *, include=None, stratum=None, rho=0.0, n_groups=2):
    """Log-rank tests of a block of trials.

    Parameters
    ----------
    time : (trial, subject) weeks to event or censoring; event : (trial, subject) whether it happened.
    group : (trial, subject) codes 0 .. n_groups - 1 (arm: 0 control, 1 active). include, stratum : (trial, subject)
    analysis set and integer stratum codes. rho : weight ``S(t-)^rho``.

    Returns
    -------
    observed, expected : (trial, group) events; variance : (trial, group, group) of their difference;
    status : (trial,) ``NO_EVENTS``, ``EMPTY_ARM`` or ``SINGULAR`` (no stratum has both arms at risk at an event).
    With events in one arm only the test still exists.
    """
    rows, time, stratum, event, group = _sorted(
        time, include, stratum, np.asarray(event).astype(np.bool_), np.asarray(group).astype(np.int64)
    )
    n_trials = len(rows)
    observed = np.zeros((n_trials, n_groups))
    expected = np.zeros((n_trials, n_groups))
    variance = np.zeros((n_trials, n_groups, n_groups))
    log_rank_sorted(rows, time, event, group, stratum, float(rho), observed, expected, variance)
    member = np.arange(time.shape[1]) < rows[:, None]
    sizes = np.stack([((group == g) & member).sum(axis=1) for g in range(n_groups)], axis=1)
    status = np.select(
        [rows == 0, (sizes == 0).any(axis=1), observed.sum(axis=1) == 0.0, (variance[:, 0, 0] <= 0.0)],
        [_NO_DATA, _EMPTY_ARM, _NO_EVENTS, _SINGULAR],
        _OK,
    )
    return observed, expected, variance, status.astype(np.int8)


def cox(time, event, x, *, include=None, stratum=None, ties="efron", arm=0, max_iterations=50):
    """Cox regressions of a block of trials.

    Parameters
    ----------
    time, event, include, stratum : (trial, subject) as in :func:`log_rank`. x : (trial, subject, p) covariates; column
    ``arm`` is the arm indicator (-1: none is). ties : ``efron`` or ``breslow``.

    Returns
    -------
    beta : (trial, p) log hazard ratios; covariance : (trial, p, p); loglik : (trial, 2) at zero and at ``beta``;
    score : (trial,) score test statistic at zero, p degrees of freedom less aliased columns; iterations : (trial,);
    status : (trial,) codes of :class:`equipoise.types.Status`. NaN where not ``OK``.
    """
    x = np.asarray(x, dtype=np.float64)
    include = np.ones(x.shape[:2], np.bool_) if include is None else np.asarray(include, dtype=np.bool_)
    broken = (np.isnan(x).any(axis=2) & include).any(axis=1)
    include = include & ~broken[:, None]
    rows, time, stratum, event, x = _sorted(time, include, stratum, np.asarray(event).astype(np.bool_), x)
    n_trials, p = len(rows), x.shape[2]
    member = np.arange(x.shape[1]) < rows[:, None]
    event &= member
    n_events = event.sum(axis=1)
    conditions, reasons = [rows == 0, n_events == 0], [_NO_DATA, _NO_EVENTS]
    if arm >= 0:
        active = np.where(member, x[:, :, arm], 0.0)
        n_active, in_active = active.sum(axis=1), (active * event).sum(axis=1)
        conditions.insert(1, (n_active == 0.0) | (n_active == rows))
        reasons.insert(1, _EMPTY_ARM)
        conditions.append((in_active == 0.0) | (in_active == n_events))
        reasons.append(_ONE_ARM)
    status = np.select(conditions, reasons, _OK)
    n = np.maximum(rows, 1)[:, None, None]
    x = np.where(member[:, :, None], x, 0.0)
    mean = x.sum(axis=1, keepdims=True) / n
    x = np.where(member[:, :, None], x - mean, 0.0)
    sd = np.sqrt((x * x).sum(axis=1, keepdims=True) / n)
    scale = np.where(sd > 1e-10 * np.abs(mean), 1.0 / np.where(sd > 0.0, sd, 1.0), 0.0)
    z = np.concatenate([np.ones((*x.shape[:2], 1)), x * scale], axis=2)
    beta = np.full((n_trials, p), np.nan)
    covariance = np.full((n_trials, p, p), np.nan)
    loglik = np.full((n_trials, 2), np.nan)
    score = np.full(n_trials, np.nan)
    iterations = np.zeros(n_trials, np.int64)
    cox_sorted(
        rows, time, event, stratum, z, int(arm), ties == "efron", int(max_iterations),
        beta, covariance, loglik, score, iterations, status,
    )  # fmt: skip
    beta *= scale[:, 0]
    covariance *= scale[:, 0, :, None] * scale
    failed = status != _OK
    beta[failed] = np.nan
    covariance[failed] = np.nan
    return beta, covariance, loglik, score, iterations, status.astype(np.int8)
