"""Starting values of a repeated-measures fit: a covariance from sequential regressions, and its parameters."""

from __future__ import annotations

import math

import numpy as np

from equipoise.estimate.linear.kernels.mmrm_covariance import (
    AD,
    ADH,
    CS,
    CSH,
    INTERCEPT,
    SLOPE,
    SP_EXP,
    TOEP,
    TOEPH,
    covariance,
    n_scales,
    unlink,
)
from equipoise.numerics.compiler import inner, kernel
from equipoise.numerics.linalg import cholesky, solve_cholesky


@inner
def _with_holes_filled(moments, k, at, sol, q, low, back):
    """Pattern ``k`` gets what is expected at visit ``at``, given the covariates and ``back`` visits from ``low`` on."""
    size = moments.shape[1]
    j = q + at
    for step in range(1, size + 1):
        c = (j + step) % size  # the visit itself last: it takes up what the others have become
        t = 0.0
        for a in range(q):
            t += sol[a] * moments[k, a, c]
        for a in range(back):
            t += sol[q + a] * moments[k, q + low + a, c]
        moments[k, j, c] = t
        moments[k, c, j] = t


@inner
def start_covariance(data, n_groups, sigma):
    """Sequential regressions of each visit on the earlier ones: exact REML for complete unstructured data.

    At visit j all subjects are used that were seen then; a visit that one of them missed before is replaced by what is
    expected of it given those before it, which leaves the regression unbiased. Where too few are left only the visit
    before is used, else none. Residual variances are divided by n - q, q covariates. ``sigma`` (group, m, m) is
    positive definite by construction.
    """
    kron, obs, nobs, count, group = data[0], data[1], data[2], data[3], data[4]
    gram, cross, square = data[5], data[6], data[7]
    n_patterns, m = obs.shape
    q = gram.shape[1] if kron else 0
    size = q + m
    # sums of products of covariates and visits, (pattern, q + m, q + m)
    moments = np.zeros((n_patterns, size, size))
    seen = np.zeros((n_patterns, m), np.bool_)
    for k in range(n_patterns):
        for i in range(q):
            for c in range(q):
                moments[k, i, c] = gram[k, i, c]
        for i in range(nobs[k]):
            a = obs[k, i]
            seen[k, a] = True
            for c in range(q):
                moments[k, c, q + a] = cross[k, c, a]
                moments[k, q + a, c] = cross[k, c, a]
            for j in range(nobs[k]):
                moments[k, q + a, q + obs[k, j]] = square[k, a, obs[k, j]]
    normal = np.empty((size, size))
    chol = np.empty((size, size))
    rhs = np.empty(size)
    sol = np.empty(size)
    coef = np.zeros((m, m))
    resid = np.empty(m)
    for pooled in range(n_groups):
        spare = 1.0
        for j in range(m):
            done = False
            low, back = 0, 0
            for attempt in range(4):
                # the earlier visits used: all, the one before, none; last attempt: none, over all groups
                back = j if attempt == 0 else (min(j, 1) if attempt == 1 else 0)
                low = j - back
                dim = q + back
                for i in range(dim):
                    rhs[i] = 0.0
                    for c in range(dim):
                        normal[i, c] = 0.0
                n = 0.0
                yy = 0.0
                for k in range(n_patterns):
                    if not seen[k, j] or (group[k] != pooled and attempt < 3):
                        continue
                    n += count[k]
                    yy += moments[k, q + j, q + j]
                    for i in range(dim):
                        a = i if i < q else i + low
                        rhs[i] += moments[k, a, q + j]
                        for c in range(dim):
                            normal[i, c] += moments[k, a, c if c < q else c + low]
                if n < dim + 3 or not yy > 0.0:
                    continue
                if dim > 0:
                    if not cholesky(normal, dim, chol):
                        continue
                    for i in range(dim):
                        sol[i] = rhs[i]
                    solve_cholesky(chol, dim, sol)
                rss = yy
                for i in range(dim):
                    rss -= sol[i] * rhs[i]
                if not rss > 1e-8 * yy:
                    continue
                for c in range(j):
                    coef[j, c] = 0.0
                for c in range(back):
                    coef[j, low + c] = sol[q + c]
                resid[j] = rss / (n - q)
                spare = resid[j]
                done = True
                break
            if not done:
                for c in range(j):
                    coef[j, c] = 0.0
                resid[j] = spare
                for c in range(q):
                    sol[c] = 0.0
                back = 0
            for k in range(n_patterns):
                if group[k] == pooled and not seen[k, j] and obs[k, nobs[k] - 1] > j:
                    _with_holes_filled(moments, k, j, sol, q, low, back)
        for j in range(m):
            for b in range(j):
                t = 0.0
                for c in range(j):
                    t += coef[j, c] * sigma[pooled, c, b]
                sigma[pooled, j, b] = t
                sigma[pooled, b, j] = t
            t = resid[j]
            for c in range(j):
                t += coef[j, c] * sigma[pooled, j, c]
            sigma[pooled, j, j] = t


@kernel
def start_parameters(structure, m, sigma, coords, theta):
    """Parameters of ``structure`` near the covariance ``sigma`` (m, m), which must be positive definite."""
    nt = theta.shape[0]
    chol = np.empty((m, m))
    work = np.empty((m, m))
    if structure is None:
        cholesky(sigma, m, chol)
        k = m
        for a in range(m):
            theta[a] = math.log(chol[a, a])
            for b in range(a):
                theta[k] = chol[a, b] / chol[a, a]
                k += 1
        return
    mean_var = 0.0
    for a in range(m):
        mean_var += sigma[a, a] / m
    if structure in (SLOPE, INTERCEPT):
        # variance within: half the mean square of neighbouring differences; the rest is between
        within = 0.0
        for a in range(1, m):
            within += 0.5 * (sigma[a, a] + sigma[a - 1, a - 1] - 2.0 * sigma[a, a - 1]) / (m - 1)
        within = min(max(within, 0.05 * mean_var), 0.9 * mean_var)
        theta[0] = math.sqrt(max(sigma[0, 0] - within, 0.1 * mean_var))
        theta[nt - 1] = 0.5 * math.log(within)
        if structure == SLOPE:
            span = max(abs(coords[m - 1] - coords[0]), 1e-8)
            theta[1] = 0.0
            theta[2] = math.sqrt(max(sigma[m - 1, m - 1] - sigma[0, 0], 0.1 * mean_var)) / span
        return
    ns = n_scales(structure, m)
    for a in range(m):
        if ns == m:
            theta[a] = 0.5 * math.log(sigma[a, a])
    if ns == 1:
        theta[0] = math.log(mean_var) if structure == SP_EXP else 0.5 * math.log(mean_var)
    nc = nt - ns
    for k in range(nc):
        total = 0.0
        n = 0.0
        for a in range(m):
            for b in range(a):
                lag = a - b
                if structure in (CS, CSH):
                    use = True
                elif structure in (TOEP, TOEPH):
                    use = lag == k + 1
                elif structure in (AD, ADH):
                    use = lag == 1 and b == k
                else:
                    use = lag == 1
                if use:
                    r = sigma[a, b] / math.sqrt(sigma[a, a] * sigma[b, b])
                    if structure == SP_EXP:
                        gap = abs(coords[a] - coords[b])
                        r = max(r, 0.02) ** (1.0 / gap) if gap > 0.0 else 0.5
                    total += r
                    n += 1.0
        theta[ns + k] = unlink(structure, m, total / n if n > 0.0 else 0.0)
    for _ in range(60):
        covariance(structure, m, theta, coords, work, chol)
        scratch = chol
        if cholesky(work, m, scratch):
            break
        for k in range(ns, nt):
            theta[k] *= 0.8
