"""Derivatives of a repeated-measures fit's sums by the elements of its covariance, in the frame of the estimates."""

from __future__ import annotations

import numpy as np

from equipoise.estimate.linear.kernels.mmrm_design import left_product, visit_means
from equipoise.numerics.compiler import inner


@inner
def transform_pack(linv, upper, work, half, column, packed):
    """``packed`` (row,): the lower triangle of Linv work Linv', off-diagonal entries times sqrt(2); upper = Linv'."""
    p = linv.shape[0]
    root2 = 1.4142135623730951
    r = 0
    for i in range(p):
        for c in range(p):
            half[c] = 0.0
            column[c] = 0.0
        # longer rows than needed: loops of one length run faster; four at a time, for the same reason
        stop = min(p, i - i % 16 + 16)
        whole = (i + 1) - (i + 1) % 4
        for j in range(0, whole, 4):
            v0, v1, v2, v3 = linv[i, j], linv[i, j + 1], linv[i, j + 2], linv[i, j + 3]
            w0, w1, w2, w3 = work[j], work[j + 1], work[j + 2], work[j + 3]
            for c in range(p):
                half[c] += (v0 * w0[c] + v1 * w1[c]) + (v2 * w2[c] + v3 * w3[c])
        for j in range(whole, i + 1):
            v = linv[i, j]
            for c in range(p):
                half[c] += v * work[j, c]
        for j in range(0, whole, 4):
            v0, v1, v2, v3 = half[j], half[j + 1], half[j + 2], half[j + 3]
            w0, w1, w2, w3 = upper[j], upper[j + 1], upper[j + 2], upper[j + 3]
            for c in range(stop):
                column[c] += (v0 * w0[c] + v1 * w1[c]) + (v2 * w2[c] + v3 * w3[c])
        for j in range(whole, i + 1):
            v = half[j]
            for c in range(stop):
                column[c] += v * upper[j, c]
        for c in range(i):
            packed[r] = root2 * column[c]
            r += 1
        packed[r] = column[i]
        r += 1


@inner
def _summed_pairs(inverse, gram, group, g, pair, out):
    """``out`` (covariate pair, element, element) = sum over the patterns of group ``g`` of A_x A_y w_c w_d."""
    n_patterns, m = inverse.shape[0], inverse.shape[1]
    q = gram.shape[1]
    ne = out.shape[1]
    packed = np.empty((n_patterns, ne))
    for k in range(n_patterns):
        for a in range(m):
            for b in range(a + 1):
                packed[k, pair[a, b]] = inverse[k, a, b] if group[k] == g else 0.0
    out[:] = 0.0
    for c in range(q):
        for d in range(c + 1):
            for x in range(ne):
                row = out[c * (c + 1) // 2 + d, x]
                for k in range(n_patterns):
                    v = packed[k, x] * gram[k, c, d]
                    if v != 0.0:
                        for y in range(min(ne, x - x % 16 + 16)):  # symmetric: what is longer than x is not read
                            row[y] += v * packed[k, y]
            for x in range(ne):
                for y in range(x):
                    out[c * (c + 1) // 2 + d, y, x] = out[c * (c + 1) // 2 + d, x, y]


@inner
def score_products(data, by_row, inverse, beta, linv, out):
    """Derivatives of X' V^-1 r by the elements of the covariance matrices: row e of ``out`` (element, p) is
    Linv (sum X' V^-1 E_e V^-1 r), E_e and the order of the elements as in :func:`derivative_products`.
    """
    _kron, obs, nobs, count, group, gram, cross, _s, f, phi, u, x, y, first = data
    n_patterns, m = obs.shape
    p = beta.shape[0]
    ne = m * (m + 1) // 2
    total = out.shape[0]
    v = np.zeros((total, p))
    if by_row is None:
        q = gram.shape[1]
        nf = m if f.shape[0] == 0 else f.shape[1]
        gamma = np.empty((m, q))
        visit_means(f, phi, u, beta, m, q, gamma)
        left = np.empty((nf, m))
        z = np.empty(m * q)
        r = np.empty(q)
        # (profile, visit, visit * covariate): sums over patterns of f' A and A r w'
        sums = np.empty((nf, m, m * q))
        for g in range(total // ne):
            sums[:] = 0.0
            for k in range(n_patterns):
                if group[k] != g:
                    continue
                left_product(f, inverse[k], left)
                z[:] = 0.0
                for i in range(nobs[k]):
                    b = obs[k, i]
                    for c in range(q):
                        t = cross[k, c, b]
                        for e in range(q):
                            t -= gram[k, c, e] * gamma[b, e]
                        r[c] = t
                    for j in range(nobs[k]):
                        a = obs[k, j]
                        for c in range(q):
                            z[a * q + c] += inverse[k, a, b] * r[c]
                for c in range(nf):
                    for i in range(nobs[k]):
                        t = left[c, obs[k, i]]
                        row = sums[c, obs[k, i]]
                        for s in range(m * q):
                            row[s] += t * z[s]
            for a in range(m):
                for b in range(a + 1):
                    e = g * ne + a * (a + 1) // 2 + b
                    scale = 0.5 if a == b else 1.0
                    for c in range(p):
                        v[e, c] = scale * (sums[phi[c], a, b * q + u[c]] + sums[phi[c], b, a * q + u[c]])
    else:
        ax = np.empty((m, p))
        ar = np.empty(m)
        for k in range(n_patterns):
            n = nobs[k]
            for s in range(int(count[k])):
                _weighted_rows(obs[k], n, inverse[k], x, y, first[k] + s * n, beta, ax, ar)
                for i in range(n):
                    for j in range(i + 1):
                        e = group[k] * ne + obs[k, i] * (obs[k, i] + 1) // 2 + obs[k, j]
                        scale = 0.5 if i == j else 1.0
                        for c in range(p):
                            v[e, c] += scale * (ax[i, c] * ar[j] + ax[j, c] * ar[i])
    upper = np.ascontiguousarray(linv.T)
    out[:] = 0.0
    for e in range(total):
        row = out[e]
        for j in range(p):
            t = v[e, j]
            for i in range(p):
                row[i] += t * upper[j, i]


@inner
def _weighted_rows(obs, n, inverse, x, y, row, beta, ax, ar):
    """``ax`` (visit, p) = V^-1 X and ``ar`` (visit,) = V^-1 (y - X beta) of the subject whose first row is ``row``."""
    p = beta.shape[0]
    for i in range(n):
        for c in range(p):
            ax[i, c] = 0.0
        ar[i] = 0.0
        for j in range(n):
            t = inverse[obs[i], obs[j]]
            res = y[row + j]
            for c in range(p):
                ax[i, c] += t * x[row + j, c]
                res -= x[row + j, c] * beta[c]
            ar[i] += t * res


@inner
def derivative_products(data, by_row, inverse, beta, linv, out):
    """Derivatives of X' V^-1 X by the elements of the covariance matrices, in the frame of Linv.

    With E_e the (symmetric) derivative of Sigma by its element e, row e of ``out`` (element, p (p + 1) / 2) is the
    packed lower triangle of Linv (sum X' V^-1 E_e V^-1 X) Linv'. Elements of group g start at g m (m + 1) / 2.
    """
    _kron, obs, nobs, count, group, gram, _c, _s, f, phi, u, x, y, first = data
    n_patterns, m = obs.shape
    p = beta.shape[0]
    ne = m * (m + 1) // 2
    total = out.shape[0]
    work = np.empty((p, p))
    upper = np.ascontiguousarray(linv.T)
    half = np.empty(p)
    column = np.empty(p)
    if by_row is None:
        q = gram.shape[1]
        nf = m if f.shape[0] == 0 else f.shape[1]
        if f.shape[0] == 0:
            # the profiles are the visits: the sums over patterns are of products of two elements of A, for all e alike
            pair = np.empty((m, m), np.int64)
            for a in range(m):
                for b in range(a + 1):
                    pair[a, b] = a * (a + 1) // 2 + b
                    pair[b, a] = pair[a, b]
            sums = np.empty((q * (q + 1) // 2, ne, ne))
            for g in range(total // ne):
                _summed_pairs(inverse, gram, group, g, pair, sums)
                for a in range(m):
                    for b in range(a + 1):
                        e = g * ne + pair[a, b]
                        scale = 0.5 if a == b else 1.0
                        for c in range(p):
                            pa, pb = pair[a, phi[c]], pair[b, phi[c]]
                            for d in range(c + 1):
                                hi, lo = max(u[c], u[d]), min(u[c], u[d])
                                at = sums[hi * (hi + 1) // 2 + lo]
                                t = scale * (at[pa, pair[b, phi[d]]] + at[pb, pair[a, phi[d]]])
                                work[c, d] = t
                                work[d, c] = t
                        transform_pack(linv, upper, work, half, column, out[e])
        else:
            # column form of f' A and of the Gram matrices: (pattern, visit, p) and (pattern, p, p)
            left = np.empty((nf, m))
            lines = np.empty((n_patterns, m, p))
            grams = np.empty((n_patterns, p, p))
            for k in range(n_patterns):
                left_product(f, inverse[k], left)
                for a in range(m):
                    for c in range(p):
                        lines[k, a, c] = left[phi[c], a]
                for c in range(p):
                    for d in range(p):
                        grams[k, c, d] = gram[k, u[c], u[d]]
            for e in range(total):
                g = e // ne
                el = e - g * ne
                a = 0
                while (a + 1) * (a + 2) // 2 <= el:
                    a += 1
                b = el - a * (a + 1) // 2
                scale = 0.5 if a == b else 1.0
                for c in range(p):
                    for d in range(p):
                        work[c, d] = 0.0
                for k in range(n_patterns):
                    if group[k] != g or inverse[k, a, a] == 0.0 or inverse[k, b, b] == 0.0:
                        continue
                    la = lines[k, a]
                    lb = lines[k, b]
                    gk = grams[k]
                    for c in range(p):
                        s = scale * la[c]
                        t = scale * lb[c]
                        if s != 0.0 or t != 0.0:
                            for d in range(p):
                                work[c, d] += (s * lb[d] + t * la[d]) * gk[c, d]
                transform_pack(linv, upper, work, half, column, out[e])
    else:
        full = np.zeros((total, p, p))
        ax = np.empty((m, p))
        ar = np.empty(m)
        for k in range(n_patterns):
            n = nobs[k]
            for s in range(int(count[k])):
                _weighted_rows(obs[k], n, inverse[k], x, y, first[k] + s * n, beta, ax, ar)
                for i in range(n):
                    for j in range(i + 1):
                        e = group[k] * ne + obs[k, i] * (obs[k, i] + 1) // 2 + obs[k, j]
                        scale = 0.5 if i == j else 1.0
                        for c in range(p):
                            t = scale * ax[i, c]
                            s2 = scale * ax[j, c]
                            for d in range(p):
                                full[e, c, d] += t * ax[j, d] + s2 * ax[i, d]
        for e in range(total):
            for c in range(p):
                for d in range(p):
                    work[c, d] = full[e, c, d]
            transform_pack(linv, upper, work, half, column, out[e])
