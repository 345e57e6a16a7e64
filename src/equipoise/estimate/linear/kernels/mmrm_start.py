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
def start_covariance(data, n_groups, sigma):
    """Sequential regressions of each visit on the earlier ones: exact REML for complete unstructured data.

    For visit j the subjects seen at all of visits 0..j are used (else only the visit before, else none); residual
    variances are divided by n - q, q covariates. ``sigma`` (group, m, m) is positive definite by construction.
    """
    kron, obs, nobs, count, group = data[0], data[1], data[2], data[3], data[4]
    gram, cross, square = data[5], data[6], data[7]
    n_patterns, m = obs.shape
    q = gram.shape[1] if kron else 0
    size = q + m
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
                    if group[k] != pooled and attempt < 3:
                        continue
                    seen = 0
                    for i in range(nobs[k]):
                        if low <= obs[k, i] <= j:
                            seen += 1
                    if seen != back + 1:
                        continue
                    n += count[k]
                    yy += square[k, j, j]
                    for i in range(q):
                        rhs[i] += cross[k, i, j]
                        for c in range(q):
                            normal[i, c] += gram[k, i, c]
                        for c in range(back):
                            normal[i, q + c] += cross[k, i, low + c]
                            normal[q + c, i] += cross[k, i, low + c]
                    for i in range(back):
                        rhs[q + i] += square[k, low + i, j]
                        for c in range(back):
                            normal[q + i, q + c] += square[k, low + i, low + c]
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
