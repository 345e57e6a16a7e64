"""Data of one repeated-measures trial as sufficient statistics, and the sums over subjects a fit needs.

Subjects observed at the same visits (and in the same covariance group) form a *pattern*; the likelihood needs a
subject only through its pattern. Two forms of the design, ``kron`` = True or False:

*Kronecker.* Column c of subject i's design at visit a is ``f[a, phi[c]] * w[i, u[c]]``: a profile over visits times
a covariate that is constant within the subject. A pattern is then summed up by

    gram (pattern, q, q) = sum w w',   cross (pattern, q, visit) = sum w y',   square (pattern, visit, visit) = sum y y'

so that the cost of a fit does not depend on the number of subjects. ``f`` of shape (0, 0) stands for the identity.

*General.* Rows ``x`` (row, p), ``y`` (row,) sorted by pattern, then subject, then visit; ``first[k]`` is the first row
of pattern k. Used for covariates that change within a subject and for weighted rows.

``data`` is the tuple ``(kron, obs, nobs, count, group, gram, cross, square, f, phi, u, x, y, first)``; arrays of the
form that is not in use have length 0. ``obs[k, :nobs[k]]`` are the visits of pattern k, ``count[k]`` its subjects.
The functions below are told the form by ``by_row`` as well, None for Kronecker and True for general: Numba leaves out
what ``by_row is None`` decides, so that a first fit compiles its own form alone.
Responses are residuals of an ordinary least-squares fit, so that large means cost no digits.
"""

from __future__ import annotations

import numpy as np

from equipoise.numerics.compiler import inner


def form(data):
    """``by_row`` of a data tuple."""
    return None if data[0] else True


@inner
def find_patterns(present, group, pattern, masks, pattern_group):
    """Number the patterns of ``present`` (subject, visit) within ``group`` (subject,); returns how many.

    ``pattern[i]`` is -1 for a subject without data. ``masks`` and ``pattern_group`` need room for every subject.
    """
    n, m = present.shape
    found = 0
    for i in range(n):
        any_seen = False
        for a in range(m):
            if present[i, a]:
                any_seen = True
        pattern[i] = -1
        if not any_seen:
            continue
        for k in range(found):
            same = pattern_group[k] == group[i]
            if same:
                for a in range(m):
                    if masks[k, a] != present[i, a]:
                        same = False
                        break
            if same:
                pattern[i] = k
                break
        if pattern[i] < 0:
            for a in range(m):
                masks[found, a] = present[i, a]
            pattern_group[found] = group[i]
            pattern[i] = found
            found += 1
    return found


@inner
def accumulate(w, y, pattern, obs, nobs, gamma, gram, cross, square):
    """Add up the statistics of ``y - w gamma'``: ``w`` (subject, q), ``y`` (subject, visit), ``gamma`` (visit, q)."""
    n, q = w.shape
    m = y.shape[1]
    gram[:] = 0.0
    cross[:] = 0.0
    square[:] = 0.0
    r = np.zeros(m)
    for i in range(n):
        k = pattern[i]
        if k < 0:
            continue
        for o in range(nobs[k]):
            a = obs[k, o]
            t = y[i, a]
            for c in range(q):
                t -= w[i, c] * gamma[a, c]
            r[a] = t
        for c in range(q):
            v = w[i, c]
            for d in range(q):
                gram[k, c, d] += v * w[i, d]
            for o in range(nobs[k]):
                a = obs[k, o]
                cross[k, c, a] += v * r[a]
        for o in range(nobs[k]):
            a = obs[k, o]
            for o2 in range(o + 1):
                b = obs[k, o2]
                square[k, a, b] += r[a] * r[b]
    for k in range(nobs.shape[0]):
        for o in range(nobs[k]):
            a = obs[k, o]
            for o2 in range(o):
                b = obs[k, o2]
                square[k, b, a] = square[k, a, b]


@inner
def left_product(f, d, out):
    """``out`` (profile, visit) = f' d."""
    m = d.shape[0]
    if f.shape[0] == 0:
        for a in range(m):
            for b in range(m):
                out[a, b] = d[a, b]
        return
    nf = f.shape[1]
    for c in range(nf):
        for b in range(m):
            out[c, b] = 0.0
        for a in range(m):
            v = f[a, c]
            if v != 0.0:
                for b in range(m):
                    out[c, b] += v * d[a, b]


@inner
def _both(f, d, left, out):
    """``left`` = f' d and ``out`` (profile, profile) = f' d f."""
    left_product(f, d, left)
    m = d.shape[0]
    if f.shape[0] == 0:
        for a in range(m):
            for b in range(m):
                out[a, b] = d[a, b]
        return
    nf = f.shape[1]
    for c in range(nf):
        for e in range(nf):
            out[c, e] = 0.0
        for a in range(m):
            v = left[c, a]
            if v != 0.0:
                for e in range(nf):
                    out[c, e] += v * f[a, e]


@inner
def _gather(tensor, phi, u, out):
    """``out[c, d] = tensor[phi[c], u[c], phi[d], u[d]]``; ``tensor`` (profile, profile, q, q), upper blocks filled."""
    p = phi.shape[0]
    for c in range(p):
        fc = phi[c]
        uc = u[c]
        for d in range(p):
            fd = phi[d]
            if fc <= fd:
                out[c, d] = tensor[fc, fd, uc, u[d]]
            else:
                out[c, d] = tensor[fd, fc, u[d], uc]


@inner
def cross_products(data, by_row, d, out):
    """``out`` (p, p) = sum over subjects of X' D X with ``d`` (pattern, visit, visit), zero at visits not observed."""
    _kron, obs, nobs, count, _g, gram, _c, _s, f, phi, u, x, _y, first = data
    n_patterns, m = obs.shape
    p = out.shape[0]
    if by_row is None:
        q = gram.shape[1]
        nf = m if f.shape[0] == 0 else f.shape[1]
        tensor = np.zeros((nf, nf, q, q))
        left = np.empty((nf, m))
        block = np.empty((nf, nf))
        for k in range(n_patterns):
            _both(f, d[k], left, block)
            for a in range(nf):
                for b in range(a, nf):
                    v = block[a, b]
                    if v != 0.0:
                        for c in range(q):
                            for e in range(q):
                                tensor[a, b, c, e] += v * gram[k, c, e]
        _gather(tensor, phi, u, out)
        return
    for c in range(p):
        for e in range(p):
            out[c, e] = 0.0
    t = np.empty(p)
    for k in range(n_patterns):
        n = nobs[k]
        for s in range(int(count[k])):
            row = first[k] + s * n
            for i in range(n):
                for e in range(p):
                    t[e] = 0.0
                for j in range(n):
                    v = d[k, obs[k, i], obs[k, j]]
                    for e in range(p):
                        t[e] += v * x[row + j, e]
                for c in range(p):
                    v = x[row + i, c]
                    if v != 0.0:
                        for e in range(c, p):
                            out[c, e] += v * t[e]
    for c in range(p):
        for e in range(c):
            out[c, e] = out[e, c]


@inner
def response_products(data, by_row, d, out):
    """``out`` (p,) = sum X' D y; returns sum y' D y."""
    _kron, obs, nobs, count, _g, gram, cross, square, f, phi, u, x, y, first = data
    n_patterns, m = obs.shape
    p = out.shape[0]
    for c in range(p):
        out[c] = 0.0
    total = 0.0
    if by_row is None:
        q = gram.shape[1]
        nf = m if f.shape[0] == 0 else f.shape[1]
        left = np.empty((nf, m))
        acc = np.zeros((nf, q))
        for k in range(n_patterns):
            left_product(f, d[k], left)
            for a in range(nf):
                for b in range(m):
                    v = left[a, b]
                    if v != 0.0:
                        for c in range(q):
                            acc[a, c] += v * cross[k, c, b]
            for a in range(m):
                for b in range(m):
                    total += d[k, a, b] * square[k, a, b]
        for c in range(p):
            out[c] = acc[phi[c], u[c]]
        return total
    for k in range(n_patterns):
        n = nobs[k]
        for s in range(int(count[k])):
            row = first[k] + s * n
            for i in range(n):
                t = 0.0
                for j in range(n):
                    t += d[k, obs[k, i], obs[k, j]] * y[row + j]
                total += t * y[row + i]
                for c in range(p):
                    out[c] += x[row + i, c] * t
    return total


@inner
def visit_means(f, phi, u, beta, m, q, gamma):
    """``gamma`` (visit, q): coefficients of the covariates at each visit."""
    for a in range(m):
        for c in range(q):
            gamma[a, c] = 0.0
    for c in range(phi.shape[0]):
        if f.shape[0] == 0:
            gamma[phi[c], u[c]] += beta[c]
        else:
            for a in range(m):
                gamma[a, u[c]] += f[a, phi[c]] * beta[c]


@inner
def second_moments(data, by_row, beta, phi_matrix, rr, xpx):
    """Per pattern (pattern, visit, visit): ``rr`` = sum r r' with r = y - X beta, and ``xpx`` = sum X Phi X'."""
    _kron, obs, nobs, count, _g, gram, cross, square, f, phi, u, x, y, first = data
    n_patterns, m = obs.shape
    p = beta.shape[0]
    rr[:] = 0.0
    xpx[:] = 0.0
    if by_row is None:
        q = gram.shape[1]
        nf = m if f.shape[0] == 0 else f.shape[1]
        gamma = np.empty((m, q))
        visit_means(f, phi, u, beta, m, q, gamma)
        tensor = np.zeros((nf, nf, q, q))
        for c in range(p):
            for e in range(p):
                tensor[phi[c], phi[e], u[c], u[e]] += phi_matrix[c, e]
        z = np.empty((m, q))
        psi = np.empty((nf, nf))
        half = np.empty((nf, m))
        for k in range(n_patterns):
            n = nobs[k]
            for i in range(n):
                b = obs[k, i]
                for c in range(q):
                    t = cross[k, c, b]
                    for e in range(q):
                        t -= gram[k, c, e] * gamma[b, e]
                    z[b, c] = t
            for i in range(n):
                a = obs[k, i]
                for j in range(i + 1):
                    b = obs[k, j]
                    t = square[k, a, b]
                    for c in range(q):
                        t -= gamma[a, c] * cross[k, c, b] + z[a, c] * gamma[b, c]
                    rr[k, a, b] = t
                    rr[k, b, a] = t
            if f.shape[0] == 0:
                for i in range(n):
                    a = obs[k, i]
                    for j in range(i + 1):
                        b = obs[k, j]
                        t = 0.0
                        for c in range(q):
                            for e in range(q):
                                t += tensor[a, b, c, e] * gram[k, c, e]
                        xpx[k, a, b] = t
                        xpx[k, b, a] = t
            else:
                for a in range(nf):
                    for b in range(nf):
                        t = 0.0
                        for c in range(q):
                            for e in range(q):
                                t += tensor[a, b, c, e] * gram[k, c, e]
                        psi[a, b] = t
                for a in range(nf):
                    for i in range(n):
                        t = 0.0
                        for b in range(nf):
                            t += psi[a, b] * f[obs[k, i], b]
                        half[a, i] = t
                for i in range(n):
                    for j in range(i + 1):
                        t = 0.0
                        for a in range(nf):
                            t += f[obs[k, i], a] * half[a, j]
                        xpx[k, obs[k, i], obs[k, j]] = t
                        xpx[k, obs[k, j], obs[k, i]] = t
        return
    t = np.empty(p)
    r = np.empty(m)
    for k in range(n_patterns):
        n = nobs[k]
        for s in range(int(count[k])):
            row = first[k] + s * n
            for i in range(n):
                v = y[row + i]
                for c in range(p):
                    v -= x[row + i, c] * beta[c]
                r[i] = v
                for e in range(p):
                    t[e] = 0.0
                for c in range(p):
                    v = x[row + i, c]
                    if v != 0.0:
                        for e in range(p):
                            t[e] += v * phi_matrix[c, e]
                for j in range(i + 1):
                    v = 0.0
                    for e in range(p):
                        v += t[e] * x[row + j, e]
                    xpx[k, obs[k, i], obs[k, j]] += v
                    rr[k, obs[k, i], obs[k, j]] += r[i] * r[j]
        for i in range(n):
            for j in range(i):
                xpx[k, obs[k, j], obs[k, i]] = xpx[k, obs[k, i], obs[k, j]]
                rr[k, obs[k, j], obs[k, i]] = rr[k, obs[k, i], obs[k, j]]
