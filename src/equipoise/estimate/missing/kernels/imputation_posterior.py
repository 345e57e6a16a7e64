"""Draws from the posterior of a repeated-measures model with unstructured covariance, by Gibbs sampling.

Model and notation of :mod:`kernels.mmrm`: visits of a patient in covariance group ``g`` are normal with mean
``X beta`` and covariance ``Sigma_g``; missing visits are missing at random. Priors: ``beta`` flat; ``Sigma_g`` inverse
Wishart with ``nu`` degrees of freedom and scale ``S_g``, or, with ``nu = 0`` and ``S_g = 0``, Jeffreys'
``|Sigma|^-(m + 1)/2``. One cycle:

    beta | Sigma, observed            ~ N(GLS estimate, (sum X' V^-1 X)^-1)
    missing | beta, Sigma, observed   ~ normal regressions, patient by patient
    Sigma_g | beta, completed         ~ inverse Wishart(nu + n_g, S_g + sum r r')

The first two are a joint draw of ``beta`` and the missing visits, so that the chain forgets at the rate of the
information on ``Sigma`` alone that is missing (Tanner & Wong 1987, JASA 82:528; Schafer 1997, section 5.4).
"""

from __future__ import annotations

import math

import numpy as np

from equipoise.estimate.linear.kernels.mmrm_design import cross_products, response_products
from equipoise.numerics.compiler import kernel
from equipoise.numerics.linalg import cholesky, solve_cholesky, solve_lower_transposed
from equipoise.numerics.random import IMPUTATION, STREAM_WORDS, chi_square, normal, restart_stream

POSTERIOR_UNIT = 1 << 41
"""The chain of analysis ``unit`` draws from the stream ``POSTERIOR_UNIT + unit`` of the purpose imputation."""


@kernel
def inverse_wishart(stream, scale, df, m, work, out):
    """A draw with ``df`` degrees of freedom (more than m - 1) and ``scale`` (m, m); False if that is singular.

    Bartlett 1933: with ``scale`` = C C' and A lower triangular, A_ii^2 chi-square on df - i, A_ij standard normal, the
    draw is M M' for M A' = C.
    """
    chol, a, rows = work[0], work[1], work[2]
    if not cholesky(scale, m, chol):
        return False
    for i in range(m):
        for j in range(i):
            a[i, j] = normal(stream)
        a[i, i] = math.sqrt(chi_square(stream, df - i))
    for i in range(m):
        for j in range(m):
            s = chol[i, j] if j <= i else 0.0
            for c in range(j):
                s -= rows[i, c] * a[j, c]
            rows[i, j] = s / a[j, j]
    for i in range(m):
        for j in range(i + 1):
            s = 0.0
            for c in range(m):
                s += rows[i, c] * rows[j, c]
            out[i, j] = s
            out[j, i] = s
    return True


@kernel
def posterior(
    data,
    offset,
    w,
    y,
    present,
    group,
    n_groups,
    prior_df,
    prior_scale,
    sigma,
    burn_in,
    thin,
    seed,
    replicate,
    unit,
    beta_out,
    sigma_out,
):
    """Fill ``beta_out`` (draw, visit, q) and ``sigma_out`` (draw, group, visit, visit); returns how many were drawn.

    data, offset : as :func:`prepare_kronecker` gives them. w : (subject, q), y and
    present : (subject, visit), group : (subject,). prior_scale : (group, visit, visit). sigma : (group, visit, visit)
    the start of the chain, overwritten. ``burn_in`` cycles are not kept, then one in ``thin``.
    """
    obs, nobs, group_of, f, phi, u = data[1], data[2], data[4], data[8], data[9], data[10]
    n_patterns, m = obs.shape
    n, q = w.shape
    p = phi.shape[0]
    stream = np.zeros(STREAM_WORDS, np.uint64)
    restart_stream(stream, seed, replicate, IMPUTATION, POSTERIOR_UNIT + unit)
    # which pattern a subject belongs to
    pattern = np.full(n, -1, np.int64)
    members = np.zeros(n_groups)
    for i in range(n):
        for k in range(n_patterns):
            if group_of[k] != group[i]:
                continue
            seen = 0
            for j in range(nobs[k]):
                if present[i, obs[k, j]]:
                    seen += 1
            total = 0
            for v in range(m):
                if present[i, v]:
                    total += 1
            if seen == nobs[k] and total == nobs[k]:
                pattern[i] = k
                members[group[i]] += 1.0
                break
    order = np.empty((n_patterns, m), np.int64)
    for k in range(n_patterns):
        for j in range(nobs[k]):
            order[k, j] = obs[k, j]
        c = nobs[k]
        for v in range(m):
            seen = 0
            for j in range(nobs[k]):
                if obs[k, j] == v:
                    seen = 1
            if seen == 0:
                order[k, c] = v
                c += 1
    factor = np.empty((n_patterns, m, m))
    inverse = np.zeros((n_patterns, m, m))
    work = np.empty((3, m, m))
    gram = np.empty((p, p))
    chol = np.empty((p, p))
    rhs = np.empty(p)
    step = np.empty(p)
    gamma = np.empty((m, q))
    residual = np.empty(m)
    white = np.empty(m)
    scale = np.empty((n_groups, m, m))
    for cycle in range(burn_in + thin * beta_out.shape[0]):
        for k in range(n_patterns):
            for i in range(m):
                for j in range(i + 1):
                    work[0, i, j] = sigma[group_of[k], order[k, i], order[k, j]]
            if not cholesky(work[0], m, factor[k]):
                return max(0, (cycle - burn_in) // thin)
            for j in range(nobs[k]):
                for i in range(nobs[k]):
                    white[i] = 1.0 if i == j else 0.0
                solve_cholesky(factor[k], nobs[k], white)
                for i in range(nobs[k]):
                    inverse[k, obs[k, i], obs[k, j]] = white[i]
        cross_products(data, None, inverse, gram)
        response_products(data, None, inverse, rhs)
        if not cholesky(gram, p, chol):
            return max(0, (cycle - burn_in) // thin)
        solve_cholesky(chol, p, rhs)
        for c in range(p):
            step[c] = normal(stream)
        solve_lower_transposed(chol, p, step)
        for a in range(m):
            for c in range(q):
                gamma[a, c] = 0.0
        for c in range(p):
            value = offset[c] + rhs[c] + step[c]
            if f.shape[0] == 0:
                gamma[phi[c], u[c]] += value
            else:
                for a in range(m):
                    gamma[a, u[c]] += f[a, phi[c]] * value
        if cycle >= burn_in and (cycle - burn_in) % thin == thin - 1:
            d = (cycle - burn_in) // thin
            for a in range(m):
                for c in range(q):
                    beta_out[d, a, c] = gamma[a, c]
            for g in range(n_groups):
                for a in range(m):
                    for b in range(m):
                        sigma_out[d, g, a, b] = sigma[g, a, b]
        for g in range(n_groups):
            for a in range(m):
                for b in range(m):
                    scale[g, a, b] = prior_scale[g, a, b]
        for i in range(n):
            k = pattern[i]
            if k < 0:
                continue
            for j in range(m):
                v = order[k, j]
                if j < nobs[k]:
                    s = y[i, v]
                    for c in range(q):
                        s -= gamma[v, c] * w[i, c]
                    residual[v] = s
                    for c in range(j):
                        s -= factor[k, j, c] * white[c]
                    white[j] = s / factor[k, j, j]
                else:
                    white[j] = normal(stream)
                    s = 0.0
                    for c in range(j + 1):
                        s += factor[k, j, c] * white[c]
                    residual[v] = s
            g = group[i]
            for a in range(m):
                for b in range(a + 1):
                    scale[g, a, b] += residual[a] * residual[b]
        for g in range(n_groups):
            for a in range(m):
                for b in range(a):
                    scale[g, b, a] = scale[g, a, b]
            if not inverse_wishart(stream, scale[g], prior_df + members[g], m, work, sigma[g]):
                return max(0, (cycle + 1 - burn_in) // thin)
    return beta_out.shape[0]
