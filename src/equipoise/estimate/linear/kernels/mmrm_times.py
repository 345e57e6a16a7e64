"""Repeated measures at times of each subject's own: random intercept and slope, random intercept, spatial exponential.

The likelihood and its derivatives are those of ``mmrm.py``, summed subject by subject in the few parameters of
these structures (Harville 1977, JASA 72:320; Lindstrom & Bates 1988, JASA 83:1014). Random-effects structures are
differentiated in their natural parameters N = (D11, D21, D22, s2) or (D11, s2), in which V is linear; steps are taken
in theta (mmrm_covariance), where D stays positive semidefinite. Rows are sorted by subject: subject i has rows
``first[i] : first[i + 1]`` of ``x`` (row, p), ``y`` and ``times`` (row,).
"""

from __future__ import annotations

import math

import numpy as np

from equipoise.estimate.linear.kernels.mmrm import (
    DECREMENT,
    GRADIENT,
    ITERATIONS,
    LOGLIK,
    MIN_EIGEN,
    add_gram,
    inverse_factor,
    outer_inverse,
)
from equipoise.estimate.linear.kernels.mmrm_covariance import (
    INTERCEPT,
    SLOPE,
    SP_EXP,
    covariance,
    lag_power,
    natural_jacobian,
)
from equipoise.estimate.linear.kernels.mmrm_derivatives import transform_pack
from equipoise.numerics.compiler import inner, kernel
from equipoise.numerics.linalg import cholesky, solve_cholesky
from equipoise.numerics.status import BOUNDARY, NOT_CONVERGED, OK, SINGULAR


@inner
def _derivatives(structure, theta, t, n, dv, d2v):
    """``dv`` (parameter, n, n) and, for ``SP_EXP``, ``d2v`` (parameter, parameter, n, n) of one subject's V."""
    if structure == SP_EXP:
        var = math.exp(theta[0])
        for a in range(n):
            for b in range(n):
                c, c1, c2 = lag_power(structure, n, theta[1], abs(t[a] - t[b]))
                dv[0, a, b] = var * c
                dv[1, a, b] = var * c1
                d2v[0, 0, a, b] = var * c
                d2v[0, 1, a, b] = var * c1
                d2v[1, 0, a, b] = var * c1
                d2v[1, 1, a, b] = var * c2
        return
    last = 3 if structure == SLOPE else 1
    for a in range(n):
        for b in range(n):
            dv[0, a, b] = 1.0
            if structure == SLOPE:
                dv[1, a, b] = (t[a] + t[b]).real
                dv[2, a, b] = (t[a] * t[b]).real
            dv[last, a, b] = 1.0 if a == b else 0.0


@inner
def _inverse(structure, theta, t, n, v, chol, work, a):
    """Inverse of one subject's V into ``a``; returns log det V, NaN if singular."""
    covariance(structure, n, theta, t, v, work)
    if not cholesky(v, n, chol):
        return np.nan
    logdet = 0.0
    for i in range(n):
        logdet += 2.0 * math.log(chol[i, i])
        for j in range(n):
            work[i, j] = 1.0 if i == j else 0.0
    for i in range(n):
        solve_cholesky(chol, n, work[i])
        for j in range(n):
            a[i, j] = work[i, j]
    return logdet


@inner
def _evaluate_times(structure, reml, theta, x, y, times, first, room, gram, chol, rhs, beta):
    """Log-likelihood without constants; -inf where it does not exist."""
    p = beta.shape[0]
    v, lower, work, a = room[0], room[1], room[2], room[3]
    gram[:] = 0.0
    rhs[:] = 0.0
    total = 0.0
    row = np.empty(p)
    for i in range(first.shape[0] - 1):
        lo = first[i]
        n = first[i + 1] - lo
        logdet = _inverse(structure, theta, times[lo : lo + n], n, v, lower, work, a)
        if not math.isfinite(logdet):
            return -np.inf
        total += logdet
        for j in range(n):
            for c in range(p):
                row[c] = 0.0
            ay = 0.0
            for k in range(n):
                w = a[j, k]
                ay += w * y[lo + k]
                for c in range(p):
                    row[c] += w * x[lo + k, c]
            total += ay * y[lo + j]
            for c in range(p):
                w = x[lo + j, c]
                rhs[c] += w * ay
                for d in range(p):
                    gram[c, d] += w * row[d]
    if not cholesky(gram, p, chol):
        return -np.inf
    for c in range(p):
        beta[c] = rhs[c]
    solve_cholesky(chol, p, beta)
    for c in range(p):
        total -= rhs[c] * beta[c]
        if reml:
            total += 2.0 * math.log(chol[c, c])
    return -0.5 * total


@inner
def _differentiate(structure, reml, expected, theta, x, y, times, first, room, beta, linv, phi, gradient, info, packed):
    """Gradient and information in natural parameters (theta for ``SP_EXP``); ``packed`` as in ``mmrm.py``."""
    p = beta.shape[0]
    nt = theta.shape[0]
    v, lower, work, a = room[0], room[1], room[2], room[3]
    size = v.shape[0]
    dv = np.empty((nt, size, size))
    d2v = np.empty((nt, nt, size, size))
    ad = np.empty((nt, size, size))
    ax = np.empty((size, p))
    ar = np.empty(size)
    r = np.empty(size)
    s = np.empty((size, size))
    da = np.empty((nt, size))
    pt = np.zeros((nt, p, p))
    vt = np.zeros((nt, p))
    for t in range(nt):
        gradient[t] = 0.0
        for u in range(nt):
            info[t, u] = 0.0
    tmp = np.empty(p)
    for i in range(first.shape[0] - 1):
        lo = first[i]
        n = first[i + 1] - lo
        _inverse(structure, theta, times[lo : lo + n], n, v, lower, work, a)
        _derivatives(structure, theta, times[lo : lo + n], n, dv, d2v)
        for j in range(n):
            r[j] = y[lo + j]
            for c in range(p):
                r[j] -= x[lo + j, c] * beta[c]
        for j in range(n):
            ar[j] = 0.0
            for c in range(p):
                ax[j, c] = 0.0
            for k in range(n):
                w = a[j, k]
                ar[j] += w * r[k]
                for c in range(p):
                    ax[j, c] += w * x[lo + k, c]
        # s = (A r)(A r)' + A X Phi X' A, the second part for REML only
        for j in range(n):
            for c in range(p):
                tmp[c] = 0.0
                for d in range(p):
                    tmp[c] += phi[c, d] * ax[j, d]
            for k in range(n):
                w = 0.0
                if reml:
                    for c in range(p):
                        w += tmp[c] * ax[k, c]
                work[j, k] = w
                s[j, k] = ar[j] * ar[k] + w
        for t in range(nt):
            for j in range(n):
                w = 0.0
                for k in range(n):
                    w += dv[t, j, k] * ar[k]
                    gradient[t] += 0.5 * (s[j, k] - a[j, k]) * dv[t, j, k]
                da[t, j] = w
                for c in range(p):
                    tmp[c] = 0.0
                for k in range(n):
                    for c in range(p):
                        tmp[c] += dv[t, j, k] * ax[k, c]
                for c in range(p):
                    w2 = ax[j, c]
                    vt[t, c] += w2 * w
                    for d in range(p):
                        pt[t, c, d] += w2 * tmp[d]
                for k in range(n):
                    w = 0.0
                    for m in range(n):
                        w += a[j, m] * dv[t, m, k]
                    ad[t, j, k] = w
        for t in range(nt):
            for u in range(t + 1):
                # tr(A V_t A V_u) and tr(V_t A V_u S), S the whole of s or its second part
                plain = 0.0
                sand = 0.0
                for j in range(n):
                    for k in range(n):
                        plain += ad[t, j, k] * ad[u, k, j]
                for j in range(n):
                    for k in range(n):
                        w = 0.0
                        for m in range(n):
                            w += dv[t, j, m] * ad[u, m, k]
                        sand += w * (work[k, j] if expected else s[k, j])
                value = 0.5 * plain - sand if expected else sand - 0.5 * plain
                if structure == SP_EXP and not expected:
                    for j in range(n):
                        for k in range(n):
                            value += 0.5 * d2v[t, u, j, k] * (a[j, k] - s[j, k])
                info[t, u] += value
    for t in range(nt):
        for u in range(t):
            info[u, t] = info[t, u]
    upper = np.ascontiguousarray(linv.T)
    half = np.empty(p)
    column = np.empty(p)
    rows = packed.shape[0]
    turn = np.empty((nt, rows))
    vth = np.empty((p, nt))
    for t in range(nt):
        transform_pack(linv, upper, pt[t], half, column, turn[t])
        for q in range(rows):
            packed[q, t] = turn[t, q]
        for c in range(p):
            w = 0.0
            for d in range(c + 1):
                w += linv[c, d] * vt[t, d]
            vth[c, t] = w
    if reml:
        add_gram(packed, 0.5 if expected else -0.5, info)
    if not expected:
        add_gram(vth, -1.0, info)


@inner
def _to_theta(structure, theta, gradient, info, jac, g, h):
    """Gradient and information in theta from those in the natural parameters."""
    nt = theta.shape[0]
    if structure == SP_EXP:
        for t in range(nt):
            g[t] = gradient[t]
            for u in range(nt):
                h[t, u] = info[t, u]
        return
    natural_jacobian(structure, theta, jac)
    for t in range(nt):
        g[t] = 0.0
        for k in range(nt):
            g[t] += jac[k, t] * gradient[k]
        for u in range(nt):
            w = 0.0
            for k in range(nt):
                for j in range(nt):
                    w += jac[k, t] * info[k, j] * jac[j, u]
            h[t, u] = w
    h[0, 0] -= 2.0 * gradient[0]
    if structure == SLOPE:
        h[0, 1] -= gradient[1]
        h[1, 0] -= gradient[1]
        h[1, 1] -= 2.0 * gradient[2]
        h[2, 2] -= 2.0 * gradient[2]
    h[nt - 1, nt - 1] -= 4.0 * math.exp(2.0 * theta[nt - 1]) * gradient[nt - 1]


@kernel
def fit_times(
    structure,
    reml,
    expected,
    x,
    y,
    times,
    first,
    tolerance,
    max_steps,
    theta,
    beta,
    linv,
    packed,
    hessian,
    gradient,
    info,
):
    """Fit one data set from starting values in ``theta``; returns a status.

    ``packed`` and ``hessian`` (observed, or ``expected``) are in natural parameters (theta for ``SP_EXP``);
    ``gradient`` is in theta. ``BOUNDARY``: the covariance of the random effects is singular at the optimum.
    """
    p = beta.shape[0]
    nt = theta.shape[0]
    size = 1
    for i in range(first.shape[0] - 1):
        size = max(size, first[i + 1] - first[i])
    room = np.empty((4, size, size))
    gram = np.empty((p, p))
    chol = np.empty((p, p))
    rhs = np.empty(p)
    phi = np.empty((p, p))
    own = np.empty(nt)
    h = np.empty((nt, nt))
    jac = np.empty((nt, nt))
    factor = np.empty((nt, nt))
    step = np.empty(nt)
    trial = np.empty(nt)
    ll = _evaluate_times(structure, reml, theta, x, y, times, first, room, gram, chol, rhs, beta)
    info[ITERATIONS] = 0.0
    if not math.isfinite(ll):
        return SINGULAR
    status = NOT_CONVERGED
    for iteration in range(max_steps):
        info[ITERATIONS] = iteration + 1.0
        inverse_factor(chol, p, linv)
        outer_inverse(linv, p, phi)
        _differentiate(structure, reml, False, theta, x, y, times, first, room, beta, linv, phi, own, hessian, packed)
        _to_theta(structure, theta, own, hessian, jac, gradient, h)
        ridge = 0.0
        done = False
        for _attempt in range(40):
            for t in range(nt):
                h[t, t] += ridge * (abs(h[t, t]) + 1e-8)
            if cholesky(h, nt, factor):
                done = True
                break
            ridge = 0.5 if ridge == 0.0 else ridge * 2.0
        if not done:
            break
        for t in range(nt):
            step[t] = gradient[t]
        solve_cholesky(factor, nt, step)
        decrement = 0.0
        for t in range(nt):
            decrement += step[t] * gradient[t]
        info[DECREMENT] = decrement
        if not math.isfinite(decrement):
            break
        scale = 1.0
        # a scale parameter on the log scale moves by no more than a factor of 20 a step
        bound = abs(step[nt - 1]) if structure != SP_EXP else max(abs(step[0]), abs(step[1]))
        if bound > 3.0:
            scale = 3.0 / bound
        moved = False
        for _halving in range(50):
            for t in range(nt):
                trial[t] = theta[t] + scale * step[t]
            new = _evaluate_times(structure, reml, trial, x, y, times, first, room, gram, chol, rhs, beta)
            if math.isfinite(new) and (
                new >= ll + 1e-4 * scale * decrement or (decrement < 1e-6 and new >= ll - 1e-7 * (1.0 + abs(ll)))
            ):
                moved = True
                break
            scale *= 0.5
        if not moved:
            ll = _evaluate_times(structure, reml, theta, x, y, times, first, room, gram, chol, rhs, beta)
            break
        for t in range(nt):
            theta[t] = trial[t]
        ll = new
        if decrement < tolerance and ridge == 0.0:
            status = OK
            break
    inverse_factor(chol, p, linv)
    outer_inverse(linv, p, phi)
    _differentiate(structure, reml, expected, theta, x, y, times, first, room, beta, linv, phi, own, hessian, packed)
    _to_theta(structure, theta, own, hessian, jac, gradient, h)
    largest = 0.0
    for t in range(nt):
        largest = max(largest, abs(gradient[t]))
    info[LOGLIK] = ll
    info[GRADIENT] = largest
    info[MIN_EIGEN] = 1.0
    if structure == SLOPE:
        d22 = theta[1] * theta[1] + theta[2] * theta[2]
        if theta[2] * theta[2] <= 1e-8 * d22 or theta[0] * theta[0] <= 1e-10 * math.exp(2.0 * theta[3]):
            status = BOUNDARY
    elif structure == INTERCEPT and theta[0] * theta[0] <= 1e-10 * math.exp(2.0 * theta[1]):
        status = BOUNDARY
    return status


@kernel
def adjusted_times(structure, theta, x, times, first, linv, packed, w, second, out):
    """Kenward-Roger's Phi_A (p, p) as in mmrm_inference, the sums taken subject by subject; False if W is unusable.

    Random-effects structures are linear in their natural parameters, so R vanishes; ``second`` matters to ``SP_EXP``.
    """
    p = linv.shape[0]
    nt = theta.shape[0]
    size = 1
    for i in range(first.shape[0] - 1):
        size = max(size, first[i + 1] - first[i])
    room = np.empty((4, size, size))
    v, lower, work, a = room[0], room[1], room[2], room[3]
    dv = np.empty((nt, size, size))
    d2v = np.empty((nt, nt, size, size))
    mid = np.empty((size, size))
    ax = np.empty((size, p))
    middle = np.zeros((p, p))
    for i in range(first.shape[0] - 1):
        lo = first[i]
        n = first[i + 1] - lo
        _inverse(structure, theta, times[lo : lo + n], n, v, lower, work, a)
        _derivatives(structure, theta, times[lo : lo + n], n, dv, d2v)
        mid[:n, :n] = 0.0
        for u in range(nt):
            # sum_t W_tu V_t A V_u
            for j in range(n):
                for k in range(n):
                    s = 0.0
                    for t in range(nt):
                        s += w[t, u] * dv[t, j, k]
                    work[j, k] = s
            for j in range(n):
                for k in range(n):
                    s = 0.0
                    for m in range(n):
                        s += work[j, m] * a[m, k]
                    v[j, k] = s
            for j in range(n):
                for k in range(n):
                    for m in range(n):
                        mid[j, k] += v[j, m] * dv[u, m, k]
        if second and structure == SP_EXP:
            for t in range(nt):
                for u in range(nt):
                    for j in range(n):
                        for k in range(n):
                            mid[j, k] -= 0.25 * w[t, u] * d2v[t, u, j, k]
        for j in range(n):
            for c in range(p):
                ax[j, c] = 0.0
            for k in range(n):
                for c in range(p):
                    ax[j, c] += a[j, k] * x[lo + k, c]
        for j in range(n):
            for k in range(n):
                for c in range(p):
                    s = mid[j, k] * ax[j, c]
                    for d in range(p):
                        middle[c, d] += s * ax[k, d]
    frame = np.zeros((p, p))
    tmp = np.zeros((p, p))
    for i in range(p):
        for j in range(i + 1):
            for c in range(p):
                tmp[i, c] += linv[i, j] * middle[j, c]
    for i in range(p):
        for j in range(p):
            for c in range(j + 1):
                frame[i, j] += tmp[i, c] * linv[j, c]
    root = np.empty((nt, nt))
    if not cholesky(w, nt, root):
        return False
    inv_root2 = 1.0 / 1.4142135623730951
    for u in range(nt):
        q = 0
        for i in range(p):
            for j in range(i + 1):
                s = 0.0
                for t in range(u, nt):
                    s += root[t, u] * packed[q, t]
                if j < i:
                    s *= inv_root2
                middle[i, j] = s
                middle[j, i] = s
                q += 1
        for i in range(p):
            for c in range(p):
                for j in range(p):
                    frame[i, j] -= middle[i, c] * middle[c, j]
    for i in range(p):
        for j in range(p):
            middle[i, j] = 2.0 * frame[i, j] + (1.0 if i == j else 0.0)
            tmp[i, j] = 0.0
            out[i, j] = 0.0
    for i in range(p):
        for j in range(p):
            for c in range(j + 1):
                tmp[i, c] += middle[i, j] * linv[j, c]
    for k in range(p):
        for i in range(k + 1):
            for j in range(p):
                out[i, j] += linv[k, i] * tmp[k, j]
    return True
