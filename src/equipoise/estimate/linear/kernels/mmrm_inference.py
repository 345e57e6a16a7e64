"""Degrees of freedom and adjusted covariances from a fitted repeated-measures model, and many trials at once.

Satterthwaite: df = 2 (c' Phi c)^2 / (g' W g), g_t = d(c' Phi c) / d theta_t = c' Phi P_t Phi c, W the inverse observed
information (Fai & Cornelius 1996). Kenward & Roger (1997, Biometrics 53:983):

    Phi_A = Phi + 2 Phi { sum_tu W_tu (Q_tu - P_t Phi P_u - R_tu / 4) } Phi,
    Q_tu = sum X' A (dV/dt) A (dV/du) A X,   R_tu = sum X' A (d2V/dt du) A X.

R is left out for Kenward-Roger-Linear, which does not depend on how the covariance is parametrised.
"""

from __future__ import annotations

import math

import numpy as np

from equipoise.estimate.linear.kernels.mmrm import MIN_EIGEN, N_INFO, fit
from equipoise.estimate.linear.kernels.mmrm_covariance import jacobian, n_parameters, second_sum
from equipoise.estimate.linear.kernels.mmrm_design import accumulate, cross_products, find_patterns, response_products
from equipoise.numerics.compiler import inlined, inner, kernel
from equipoise.numerics.linalg import cholesky, is_rounding, solve_cholesky, solve_lower
from equipoise.numerics.status import NO_DATA, NO_VARIANCE, NOT_CONVERGED, OK, SINGULAR

SATTERTHWAITE, KENWARD_ROGER, KENWARD_ROGER_LINEAR = 0, 1, 2

#: A visit of which the visits before leave no more than this share of its variance: a singular covariance.
SINGULAR_PIVOT = 1e-10


@inner
def invert_factored(factor, out):
    """Inverse of a symmetric positive definite matrix from its lower Cholesky factor."""
    n = factor.shape[0]
    column = np.empty(n)
    for j in range(n):
        for i in range(n):
            column[i] = 0.0
        column[j] = 1.0
        solve_cholesky(factor, n, column)
        for i in range(n):
            out[i, j] = column[i]
    for i in range(n):
        for j in range(i):
            t = 0.5 * (out[i, j] + out[j, i])
            out[i, j] = t
            out[j, i] = t


@inner
def contrast_variance(linv, packed, factor, c, gradient, work):
    """(c' Phi c, g' W g) of one contrast; ``factor`` (t, t) is the Cholesky factor of W^-1, the last two scratch."""
    p = linv.shape[0]
    nt = factor.shape[0]
    for i in range(p):
        t = 0.0
        for j in range(i + 1):
            t += linv[i, j] * c[j]
        work[i] = t
    var = 0.0
    for t in range(nt):
        gradient[t] = 0.0
    root2 = 1.4142135623730951
    r = 0
    for i in range(p):
        var += work[i] * work[i]
        for j in range(i + 1):
            v = work[i] * work[j] * (root2 if j < i else 1.0)
            if v != 0.0:
                for t in range(nt):
                    gradient[t] += v * packed[r, t]
            r += 1
    quad = 0.0
    solve_lower(factor, nt, gradient)
    for t in range(nt):
        quad += gradient[t] * gradient[t]
    return var, quad


@kernel
def contrast_table(linv, packed, factor, contrasts, variance, df):
    """Model-based variance and Satterthwaite degrees of freedom of every row of ``contrasts`` (row, p).

    ``factor`` (t, t) is the lower Cholesky factor of the information.
    """
    gradient = np.empty(factor.shape[0])
    work = np.empty(linv.shape[0])
    for i in range(contrasts.shape[0]):
        var, quad = contrast_variance(linv, packed, factor, contrasts[i], gradient, work)
        variance[i] = var
        df[i] = 2.0 * var * var / quad if quad > 0.0 else np.inf


@kernel
def adjusted_covariance(data, by_row, structure, theta, coords, n_groups, sigma, inverse, linv, packed, w, second, out):
    """Kenward-Roger's Phi_A (p, p); ``second``: with the second-derivative term R (None, which compiles
    less, or False: without). False if W is not usable.
    """
    obs, nobs, group = data[1], data[2], data[4]
    n_patterns, m = obs.shape
    p = linv.shape[0]
    nt = n_parameters(structure, m)
    total = n_groups * nt
    ne = m * (m + 1) // 2
    d = np.zeros((n_patterns, m, m))
    jac = np.empty((ne, nt))
    jn = np.empty(ne, np.int64)
    ji = np.empty((ne, nt), np.int64)
    ws = np.empty((ne, ne))
    half = np.empty((ne, nt))
    curve = np.zeros((m, m))
    wg = np.empty((nt, nt))
    b = np.empty((m, m))
    ab = np.empty((m, m))
    full = np.empty((m, m, m, m))
    for g in range(n_groups):
        th = theta[g * nt : (g + 1) * nt]
        jacobian(structure, m, th, coords, sigma[g], jac, jn, ji)
        for t in range(nt):
            for s in range(nt):
                wg[t, s] = w[g * nt + t, g * nt + s]
        for e in range(ne):
            for t in range(nt):
                half[e, t] = 0.0
            for s in range(jn[e]):
                v = jac[e, ji[e, s]]
                for t in range(nt):
                    half[e, t] += v * wg[ji[e, s], t]
        for e in range(ne):
            for f in range(ne):
                t = 0.0
                for s in range(jn[f]):
                    t += half[e, ji[f, s]] * jac[f, ji[f, s]]
                ws[e, f] = t
        for a in range(m):
            for c in range(m):
                e = max(a, c) * (max(a, c) + 1) // 2 + min(a, c)
                for a2 in range(m):
                    for c2 in range(m):
                        f = max(a2, c2) * (max(a2, c2) + 1) // 2 + min(a2, c2)
                        full[a, a2, c, c2] = ws[e, f]
        if second is not None and second:
            second_sum(structure, m, th, coords, sigma[g], wg, curve)
        for k in range(n_patterns):
            if group[k] != g:
                continue
            n = nobs[k]
            # b[a, d] = sum_{c, c'} W[(a, c), (c', d)] A[c, c']
            for i in range(n):
                a = obs[k, i]
                for j in range(i + 1):
                    e = obs[k, j]
                    t = 0.0
                    for i2 in range(n):
                        c = obs[k, i2]
                        for j2 in range(n):
                            t += full[a, e, c, obs[k, j2]] * inverse[k, c, obs[k, j2]]
                    if second is not None and second:
                        t -= 0.25 * curve[a, e]
                    b[a, e] = t
                    b[e, a] = t
            for i in range(n):
                a = obs[k, i]
                for j in range(n):
                    t = 0.0
                    for l in range(n):  # noqa: E741
                        t += inverse[k, a, obs[k, l]] * b[obs[k, l], obs[k, j]]
                    ab[a, obs[k, j]] = t
            for i in range(n):
                a = obs[k, i]
                for j in range(i + 1):
                    e = obs[k, j]
                    t = 0.0
                    for l in range(n):  # noqa: E741
                        t += ab[a, obs[k, l]] * inverse[k, obs[k, l], e]
                    d[k, a, e] = t
                    d[k, e, a] = t
    middle = np.empty((p, p))
    cross_products(data, by_row, d, middle)
    frame = np.zeros((p, p))
    tmp = np.zeros((p, p))
    for i in range(p):
        for j in range(i + 1):
            v = linv[i, j]
            if v != 0.0:
                for c in range(p):
                    tmp[i, c] += v * middle[j, c]
    for i in range(p):
        for j in range(i + 1):
            t = 0.0
            for c in range(j + 1):
                t += tmp[i, c] * linv[j, c]
            frame[i, j] = t
            frame[j, i] = t
    # minus sum_u M_u^2, M_u = sum_t U_tu P_t, W = U U'
    chol = np.empty((total, total))
    if not cholesky(w, total, chol):
        return False
    rows = packed.shape[0]
    mixed = np.zeros((total, rows))
    for t in range(total):
        for u in range(t + 1):
            v = chol[t, u]
            if v != 0.0:
                for r in range(rows):
                    mixed[u, r] += v * packed[r, t]
    inv_root2 = 1.0 / 1.4142135623730951
    for u in range(total):
        r = 0
        for i in range(p):
            for j in range(i):
                v = mixed[u, r] * inv_root2
                middle[i, j] = v
                middle[j, i] = v
                r += 1
            middle[i, i] = mixed[u, r]
            r += 1
        for i in range(p):
            for c in range(p):
                v = middle[i, c]
                if v != 0.0:
                    for j in range(i + 1):
                        frame[i, j] -= v * middle[c, j]
    for i in range(p):
        for j in range(i):
            frame[j, i] = frame[i, j]
    # out = Linv' (I + 2 frame) Linv
    for i in range(p):
        for j in range(p):
            middle[i, j] = 2.0 * frame[i, j] + (1.0 if i == j else 0.0)
            tmp[i, j] = 0.0
            out[i, j] = 0.0
    for i in range(p):
        for j in range(p):
            v = middle[i, j]
            if v != 0.0:
                for c in range(j + 1):
                    tmp[i, c] += v * linv[j, c]
    for k in range(p):
        for i in range(k + 1):
            v = linv[k, i]
            if v != 0.0:
                for j in range(p):
                    out[i, j] += v * tmp[k, j]
    return True


@inner
def least_squares(data, normal, beta, gamma):
    """Ordinary least squares for the Kronecker form, as coefficients at each visit (visit, q); False if singular."""
    _kron, obs, nobs, _count, _group, gram, _cross, _square, f, phi, u, _x, _y, _first = data
    n_patterns, m = obs.shape
    p = beta.shape[0]
    ones = np.zeros((n_patterns, m, m))
    for k in range(n_patterns):
        for i in range(nobs[k]):
            ones[k, obs[k, i], obs[k, i]] = 1.0
    chol = np.empty((p, p))
    cross_products(data, None, ones, normal)
    response_products(data, None, ones, beta)
    if not cholesky(normal, p, chol):
        return False
    solve_cholesky(chol, p, beta)
    q = gram.shape[1]
    for a in range(m):
        for c in range(q):
            gamma[a, c] = 0.0
    for c in range(p):
        if f.shape[0] == 0:
            gamma[phi[c], u[c]] += beta[c]
        else:
            for a in range(m):
                gamma[a, u[c]] += f[a, phi[c]] * beta[c]
    return True


@kernel
def prepare_kronecker(w, y, present, group, f, phi, u):
    """Patterns and statistics of one trial, the response less its least-squares fit.

    ``w`` (subject, q), ``y`` and ``present`` (subject, visit), ``group`` (subject,). Returns (whether least squares
    worked, its normal matrix, its coefficients, then the items of the data tuple of mmrm_design).
    """
    n, m = y.shape
    q = w.shape[1]
    p = phi.shape[0]
    pattern = np.empty(n, np.int64)
    masks = np.empty((n, m), np.bool_)
    found = np.empty(n, np.int64)
    k = find_patterns(present, group, pattern, masks, found)
    obs = np.zeros((k, m), np.int64)
    nobs = np.zeros(k, np.int64)
    count = np.zeros(k)
    for j in range(k):
        for a in range(m):
            if masks[j, a]:
                obs[j, nobs[j]] = a
                nobs[j] += 1
    for i in range(n):
        if pattern[i] >= 0:
            count[pattern[i]] += 1.0
    gram = np.empty((k, q, q))
    cross = np.empty((k, q, m))
    square = np.empty((k, m, m))
    gamma = np.zeros((m, q))
    accumulate(w, y, pattern, obs, nobs, gamma, gram, cross, square)
    x = np.empty((0, 0))
    rows = np.empty(0)
    first = np.empty(0, np.int64)
    pattern_group = found[:k].copy()
    kron = k >= 0  # no literal: the functions that take ``data`` are compiled once
    data = (kron, obs, nobs, count, pattern_group, gram, cross, square, f, phi, u, x, rows, first)
    offset = np.zeros(p)
    normal = np.empty((p, p))
    ok = least_squares(data, normal, offset, gamma)
    if ok:
        accumulate(w, y, pattern, obs, nobs, gamma, gram, cross, square)
    return (ok, normal, offset, kron, obs, nobs, count, pattern_group, gram, cross, square, f, phi, u, x, rows, first)


@inlined
def fit_kronecker(
    w,
    y,
    present,
    group,
    n_groups,
    f,
    phi,
    u,
    structure,
    reml,
    expected,
    coords,
    method,
    contrasts,
    tolerance,
    max_steps,
    estimate,
    variance,
    df,
    sigma,
    beta,
    info,
):
    """One trial from arrays: ``w`` (subject, q), ``y`` and ``present`` (subject, visit); returns a status.

    ``estimate``, ``variance``, ``df`` (contrast,) are filled for every row of ``contrasts`` (contrast, p).
    """
    m = y.shape[1]
    p = phi.shape[0]
    for i in range(contrasts.shape[0]):
        estimate[i] = np.nan
        variance[i] = np.nan
        df[i] = np.nan
    for i in range(N_INFO):
        info[i] = np.nan
    ok, _normal, offset, kron, obs, nobs, count, pattern_group, gram, cross, square, f, phi, u, x, rows, first = (
        prepare_kronecker(w, y, present, group, f, phi, u)
    )
    n_patterns = obs.shape[0]
    if n_patterns == 0:
        return NO_DATA
    if not ok:
        return SINGULAR
    rss = 0.0
    total = 0.0
    records = 0.0
    for k in range(n_patterns):
        for j in range(nobs[k]):
            rss += square[k, obs[k, j], obs[k, j]]
            records += count[k]
    for i in range(present.shape[0]):
        for a in range(m):
            if present[i, a]:
                total += y[i, a] * y[i, a]
    if is_rounding(rss, records, math.sqrt(total / max(records, 1.0))):
        return NO_VARIANCE
    data = (kron, obs, nobs, count, pattern_group, gram, cross, square, f, phi, u, x, rows, first)
    nt = n_parameters(structure, m) * n_groups
    theta = np.empty(nt)
    linv = np.empty((p, p))
    inverse = np.empty((n_patterns, m, m))
    packed = np.empty((p * (p + 1) // 2, nt))
    information = np.empty((nt, nt))
    gradient = np.empty(nt)
    status = fit(
        data,
        None,
        structure,
        reml,
        expected,
        coords,
        n_groups,
        False,
        tolerance,
        max_steps,
        theta,
        beta,
        linv,
        sigma,
        inverse,
        packed,
        information,
        gradient,
        info,
    )
    if status == OK and not info[MIN_EIGEN] > SINGULAR_PIVOT:
        status = NOT_CONVERGED
    if status != OK:
        return status
    for c in range(p):
        beta[c] += offset[c]
    factor = np.empty((nt, nt))
    if not cholesky(information, nt, factor):
        return SINGULAR
    contrast_table(linv, packed, factor, contrasts, variance, df)
    for i in range(contrasts.shape[0]):
        t = 0.0
        for c in range(p):
            t += contrasts[i, c] * beta[c]
        estimate[i] = t
    if method != SATTERTHWAITE:
        phi_a = np.empty((p, p))
        inverse_information = np.empty((nt, nt))
        invert_factored(factor, inverse_information)
        if not adjusted_covariance(
            data,
            None,
            structure,
            theta,
            coords,
            n_groups,
            sigma,
            inverse,
            linv,
            packed,
            inverse_information,
            method == KENWARD_ROGER,
            phi_a,
        ):
            return SINGULAR
        for i in range(contrasts.shape[0]):
            t = 0.0
            for c in range(p):
                v = 0.0
                for e in range(p):
                    v += phi_a[c, e] * contrasts[i, e]
                t += contrasts[i, c] * v
            variance[i] = t
    return status


@kernel
def fit_many(
    w,
    y,
    group,
    n_groups,
    f,
    phi,
    u,
    structure,
    reml,
    expected,
    coords,
    method,
    contrasts,
    tolerance,
    max_steps,
    estimate,
    variance,
    df,
    sigma,
    beta,
    info,
    status,
):
    """:func:`fit_kronecker` for every trial: ``w`` (trial, subject, q), ``y`` (trial, subject, visit), NaN missing.

    A subject with a covariate that is not finite takes no part. ``group`` (trial, subject).
    """
    n_trials, n, m = y.shape
    q = w.shape[2]
    present = np.empty((n, m), np.bool_)
    for r in range(n_trials):
        for i in range(n):
            usable = True
            for c in range(q):
                if not math.isfinite(w[r, i, c]):
                    usable = False
            for a in range(m):
                present[i, a] = usable and math.isfinite(y[r, i, a])
        status[r] = fit_kronecker(
            w[r],
            y[r],
            present,
            group[r],
            n_groups,
            f,
            phi,
            u,
            structure,
            reml,
            expected,
            coords,
            method,
            contrasts,
            tolerance,
            max_steps,
            estimate[r],
            variance[r],
            df[r],
            sigma[r],
            beta[r],
            info[r],
        )
