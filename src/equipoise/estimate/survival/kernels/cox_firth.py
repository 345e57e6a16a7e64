"""Cox regression with Firth's penalty over a block of trials: finite estimates where an arm has no events.

The log partial likelihood is penalised by half the log determinant of the information (Firth 1993, Biometrika 80:27;
Heinze & Schemper 2001, Biometrics 57:114),

    l*(b) = l(b) + log det I(b) / 2,      dl*/db_r = U_r + trace(I^-1 dI/db_r) / 2.

The derivative of the information is the sum over events of the third central moments of the covariates in the risk
set, with weights ``exp(x'b)``; tied events by Efron or Breslow as in :mod:`kernels.cox`. Newton's method with
the second derivative by differences of this score (the information alone is half of it where there is one event, and
then goes back and forth for ever), steps no longer than three standard deviations, halved while they lower ``l*``.
"""

from __future__ import annotations

import math

import numpy as np

from equipoise.estimate.survival.kernels.cox import by_stratum_and_time, gather, standardise, sweep
from equipoise.numerics.compiler import inner, kernel
from equipoise.numerics.status import NO_DATA, NO_EVENTS, NOT_CONVERGED, OK, SINGULAR


@inner
def _evaluate(rows, p, time, entry, event, stratum, late, efron, z, w, beta, sums, mean, gradient, info, third):
    """Log partial likelihood at ``beta`` with its gradient, information and the third derivatives (p, p, p).

    ``sums`` (2, 1 + p + p^2 + p^3) : 1, x, xx' and xx'x over the risk set and over the tied events; of the symmetric
    ones only ``c <= b <= a`` is kept.
    """
    q2, q3 = 1 + p, 1 + p + p * p
    truncated = entry.shape[0] > 0
    loglik = 0.0
    gradient[:] = 0.0
    info[:] = 0.0
    third[:] = 0.0
    i = rows - 1
    out = rows - 1
    while i >= 0:
        here = stratum[i]
        members = 0
        sums[0, :] = 0.0
        while i >= 0 and stratum[i] == here:
            now = time[i]
            last = i
            tied = 0
            while i >= 0 and time[i] == now and stratum[i] == here:
                eta = 0.0
                for a in range(p):
                    eta += beta[a] * z[i, a]
                w[i] = math.exp(eta)
                if event[i]:
                    tied += 1
                    loglik += eta
                    for a in range(p):
                        gradient[a] += z[i, a]
                i -= 1
            _add(i + 1, last + 1, False, p, event, z, w, 1.0, sums[0])
            members += last - i
            if tied == 0:
                continue
            if truncated:
                while out >= 0 and stratum[late[out]] > here:
                    out -= 1
                while out >= 0 and stratum[late[out]] == here and entry[late[out]] >= now:
                    _add(late[out], late[out] + 1, False, p, event, z, w, -1.0, sums[0])
                    out -= 1
                    members -= 1
                    if members == 0:
                        sums[0, :] = 0.0
            sums[1, :] = 0.0
            if efron and tied > 1:
                _add(i + 1, last + 1, True, p, event, z, w, 1.0, sums[1])
            for k in range(tied):
                f = k / tied if efron else 0.0
                inverse = 1.0 / (sums[0, 0] - f * sums[1, 0])
                loglik += math.log(inverse)
                for a in range(p):
                    mean[a] = (sums[0, 1 + a] - f * sums[1, 1 + a]) * inverse
                    gradient[a] -= mean[a]
                for a in range(p):
                    for b in range(a + 1):
                        m = q2 + a * p + b
                        ab = (sums[0, m] - f * sums[1, m]) * inverse
                        info[a, b] += ab - mean[a] * mean[b]
                        for c in range(b + 1):
                            m3 = q3 + (a * p + b) * p + c
                            ac = (sums[0, q2 + a * p + c] - f * sums[1, q2 + a * p + c]) * inverse
                            bc = (sums[0, q2 + b * p + c] - f * sums[1, q2 + b * p + c]) * inverse
                            third[a, b, c] += (
                                (sums[0, m3] - f * sums[1, m3]) * inverse
                                - mean[a] * bc
                                - mean[b] * ac
                                - mean[c] * ab
                                + 2.0 * mean[a] * mean[b] * mean[c]
                            )
    for a in range(p):
        for b in range(a + 1):
            info[b, a] = info[a, b]
            for c in range(b + 1):
                v = third[a, b, c]
                third[a, c, b] = third[b, a, c] = third[b, c, a] = third[c, a, b] = third[c, b, a] = v
    return loglik


@inner
def _add(first, end, events_only, p, event, z, w, sign, sums):
    q2, q3 = 1 + p, 1 + p + p * p
    for i in range(first, end):
        if events_only and not event[i]:
            continue
        u = sign * w[i]
        sums[0] += u
        for a in range(p):
            ua = u * z[i, a]
            sums[1 + a] += ua
            for b in range(a + 1):
                uab = ua * z[i, b]
                sums[q2 + a * p + b] += uab
                for c in range(b + 1):
                    sums[q3 + (a * p + b) * p + c] += uab * z[i, c]


@inner
def _log_det(a, work):
    """Log determinant of a symmetric matrix by Cholesky; NaN where it is not positive definite."""
    p = a.shape[0]
    total = 0.0
    for i in range(p):
        for j in range(i + 1):
            s = a[i, j]
            for k in range(j):
                s -= work[i, k] * work[j, k]
            if i == j:
                if not s > 1e-14 * a[i, i] or not s > 0.0:
                    return math.nan
                work[i, i] = math.sqrt(s)
                total += math.log(s)
            else:
                work[i, j] = s / work[j, j]
    return total


@inner
def _penalised(
    rows, p, time, entry, event, stratum, late, efron, z, w, beta, sums, mean, gradient, info, third, work, out
):
    """Penalised log likelihood at ``beta``, its gradient, and the inverse information in ``info``; ``out`` (2,) the log
    likelihood without and with the penalty.
    """
    out[0] = _evaluate(rows, p, time, entry, event, stratum, late, efron, z, w, beta, sums, mean, gradient, info, third)
    out[1] = out[0] + 0.5 * _log_det(info, work)
    for a in range(p):
        work[0, a] = info[a, a]
        work[1, a] = 0.0
    sweep(info, work[0], work[1])
    for r in range(p):
        s = 0.0
        for a in range(p):
            for b in range(p):
                s += info[a, b] * third[a, b, r]
        gradient[r] += 0.5 * s


@inner
def _solve(a, p, held, b, work):
    """Overwrite ``b`` with the solution of ``a x = b`` over the rows other than ``held``, whose entry becomes zero;
    False, ``b`` as it was, where that part of ``a`` is not positive definite.
    """
    for i in range(p):
        for j in range(i + 1):
            s = a[i, j] if i != held and j != held else (1.0 if i == j else 0.0)
            for k in range(j):
                s -= work[i, k] * work[j, k]
            if i == j:
                if not s > 0.0:
                    return False
                work[i, i] = math.sqrt(s)
            else:
                work[i, j] = s / work[j, j]
    for i in range(p):
        s = b[i] if i != held else 0.0
        for k in range(i):
            s -= work[i, k] * b[k]
        b[i] = s / work[i, i]
    for i in range(p - 1, -1, -1):
        s = b[i]
        for k in range(i + 1, p):
            s -= work[k, i] * b[k]
        b[i] = s / work[i, i]
    return True


@kernel
def firth_block(
    rows,
    order,
    time,
    entry,
    event,
    stratum,
    late,
    x,
    start,
    held,
    efron,
    max_iterations,
    beta,
    covariance,
    loglik,
    iterations,
    status,
):
    """Penalised Cox regressions of the trials whose ``status`` is 0; see :func:`firth`.

    held : the coefficient that stays at ``start``, or -1. Filled in: ``beta`` (trial, p), ``covariance`` (trial, p, p),
    ``loglik`` (trial, 2) without and with the penalty (that of the covariates as they are), and so on.
    """
    n, p = x.shape[1], x.shape[2]
    tm, z, w = np.empty(n), np.empty((n, p)), np.empty(n)
    ev, st = np.empty(n, np.bool_), np.empty(n, np.int64)
    en = np.empty(entry.shape[1])
    place, out = np.empty(entry.shape[1], np.int64), np.empty(entry.shape[1], np.int64)
    scale, now, step, gradient, other = np.empty(p), np.empty(p), np.empty(p), np.empty(p), np.empty(p)
    mean, info, work, third = np.empty(p), np.empty((p, p)), np.empty((max(p, 2), max(p, 2))), np.empty((p, p, p))
    hessian, spare, value, slope = np.empty((p, p)), np.empty((p, p)), np.empty(2), np.empty(p)
    sums = np.empty((2, 1 + p + p * p + p * p * p))
    h = 1e-5
    for t in range(x.shape[0]):
        if status[t] != OK:
            continue
        m = rows[t]
        events = gather(t, m, order, time, entry, event, stratum, late, tm, en, ev, st, place, out)
        standardise(m, order[t], x[t], z, scale)
        units = 0.0
        flat = False
        for a in range(p):
            flat = flat or scale[a] == 0.0
            beta[t, a] = start[t, a] / scale[a] if scale[a] > 0.0 else 0.0
            step[a] = 0.0
            units -= 2.0 * math.log(scale[a]) if scale[a] > 0.0 else 0.0
        status[t] = SINGULAR if flat else NOT_CONVERGED
        best = -math.inf
        for iteration in range(0 if flat else max_iterations + 1):
            for a in range(p):
                now[a] = beta[t, a] + step[a]
            iterations[t] = iteration
            done = False
            largest = 0.0
            for c in range(-1, p):  # at the new point (-1), then a little along every coefficient
                other[:] = now
                if c >= 0:
                    other[c] += h
                _penalised(m, p, tm, en, ev, st, out, efron, z, w, other, sums, mean, slope, info, third, work, value)
                if c >= 0:
                    for b in range(p):
                        hessian[c, b] = (gradient[b] - slope[b]) / h
                    continue
                gradient[:] = slope
                if iteration == 0:
                    done = math.isnan(value[1])
                    for a in range(p):  # constant in every risk set, up to rounding
                        done = done or (held < 0 and info[a, a] > 1e12 / events)
                    if done:
                        status[t] = SINGULAR
                        break
                if iteration > 0 and not value[1] >= best - 1e-12 * abs(best):
                    for a in range(p):
                        step[a] *= 0.5
                    largest = -1.0
                    break
                best = value[1]
                loglik[t, 0] = value[0]
                loglik[t, 1] = best + 0.5 * units
                for a in range(p):
                    beta[t, a] = now[a]
                    for b in range(p):
                        covariance[t, a, b] = info[a, b] * scale[a] * scale[b]
                # the step with the information alone: where it is tiny, so is the one by Newton
                for a in range(p):
                    step[a] = 0.0
                    for b in range(p):
                        v = info[a, b]
                        if held >= 0:
                            v -= info[a, held] * info[b, held] / info[held, held]
                            v = 0.0 if a == held or b == held else v
                        step[a] += v * gradient[b]
                    largest = max(largest, abs(step[a]))
                if largest < 1e-9:
                    status[t] = OK
                    done = True
                    break
            if done:
                break
            if largest < 0.0:
                continue
            for a in range(p):
                for b in range(a):
                    hessian[a, b] = 0.5 * (hessian[a, b] + hessian[b, a])
            if _solve(hessian, p, held, gradient, spare):
                largest = 0.0
                for a in range(p):
                    step[a] = gradient[a]
                    largest = max(largest, abs(step[a]))
            if largest > 3.0:
                for a in range(p):
                    step[a] *= 3.0 / largest
        for a in range(p):
            beta[t, a] *= scale[a]


def firth(
    time, event, x, *, entry=None, include=None, stratum=None, ties="efron", start=None, held=-1, max_iterations=500
):
    """Cox regressions with Firth's penalty on a block of trials.

    Parameters
    ----------
    time, event, x, entry, include, stratum : as in :func:`fit`. ties : ``efron`` or ``breslow``.
    start : (trial, p) where to begin. held : the coefficient kept at ``start``, the penalty still that of them all
    (for the profile of that coefficient); -1 for none.

    Returns
    -------
    beta : (trial, p); covariance : (trial, p, p) the inverse information at ``beta``; loglik : (trial, 2) without and
    with the penalty; iterations : (trial,); status : (trial,), ``SINGULAR`` where the information is. NaN where not
    ``OK``. All events in one arm is no obstacle.
    """
    x = np.ascontiguousarray(x, dtype=np.float64)
    time = np.ascontiguousarray(time, dtype=np.float64)
    event = np.ascontiguousarray(event).astype(np.bool_)
    n_trials, _, p = x.shape
    include = np.ones(time.shape, np.bool_) if include is None else np.asarray(include, dtype=np.bool_)
    broken = (np.isnan(x).any(axis=2) & include).any(axis=1)
    include = include & ~broken[:, None] & ~np.isnan(time)
    entered = np.zeros((n_trials, 0)) if entry is None else np.ascontiguousarray(entry, dtype=np.float64)
    rows, order, code, late = by_stratum_and_time(time, include, stratum, None if entry is None else entered)
    status = np.select([rows == 0, ~(event & include).any(axis=1)], [NO_DATA, NO_EVENTS], OK)
    begin = np.zeros((n_trials, p)) if start is None else np.ascontiguousarray(start, dtype=np.float64)
    beta = np.full((n_trials, p), np.nan)
    covariance = np.full((n_trials, p, p), np.nan)
    loglik = np.full((n_trials, 2), np.nan)
    iterations = np.zeros(n_trials, np.int64)
    firth_block(
        rows,
        order,
        time,
        entered,
        event,
        code,
        late,
        x,
        begin,
        int(held),
        ties == "efron",
        int(max_iterations),
        beta,
        covariance,
        loglik,
        iterations,
        status,
    )
    failed = status != OK
    beta[failed] = np.nan
    covariance[failed] = np.nan
    loglik[failed] = np.nan
    return beta, covariance, loglik, iterations, status.astype(np.int8)
