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
def _left(f, d, out):
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
    _left(f, d, left)
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
            _left(f, d[k], left)
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
def _visit_means(f, phi, u, beta, m, q, gamma):
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
        _visit_means(f, phi, u, beta, m, q, gamma)
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
        # whole rows, although half would do: loops of one length run faster; four at a time, for the same reason
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
            for c in range(p):
                column[c] += (v0 * w0[c] + v1 * w1[c]) + (v2 * w2[c] + v3 * w3[c])
        for j in range(whole, i + 1):
            v = half[j]
            for c in range(p):
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
                        for y in range(ne):
                            row[y] += v * packed[k, y]


@inner
def derivative_products(data, by_row, inverse, beta, linv, out):
    """Derivatives of X' V^-1 X and X' V^-1 r by the elements of the covariance matrices, in the frame of Linv.

    With E_e the (symmetric) derivative of Sigma by its element e, row e of ``out`` (element, p (p + 1) / 2 + p) holds
    the packed lower triangle of Linv (sum X' V^-1 E_e V^-1 X) Linv', and then Linv (sum X' V^-1 E_e V^-1 r).
    Elements of group g start at g m (m + 1) / 2.
    """
    _kron, obs, nobs, count, group, gram, cross, _s, f, phi, u, x, y, first = data
    n_patterns, m = obs.shape
    p = beta.shape[0]
    ne = m * (m + 1) // 2
    total = out.shape[0]
    triangle = p * (p + 1) // 2
    work = np.empty((p, p))
    upper = np.ascontiguousarray(linv.T)
    half = np.empty(p)
    column = np.empty(p)
    v = np.zeros((total, p))
    if by_row is None:
        q = gram.shape[1]
        nf = m if f.shape[0] == 0 else f.shape[1]
        gamma = np.empty((m, q))
        _visit_means(f, phi, u, beta, m, q, gamma)
        left = np.zeros((n_patterns, nf, m))
        z = np.zeros((n_patterns, m, q))
        r = np.empty(q)
        for k in range(n_patterns):
            _left(f, inverse[k], left[k])
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
                        z[k, a, c] += inverse[k, a, b] * r[c]
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
                        for k in range(n_patterns):
                            if group[k] == g and inverse[k, a, a] != 0.0 and inverse[k, b, b] != 0.0:
                                for c in range(p):
                                    t = inverse[k, a, phi[c]] * z[k, b, u[c]] + inverse[k, b, phi[c]] * z[k, a, u[c]]
                                    v[e, c] += scale * t
                        transform_pack(linv, upper, work, half, column, out[e])
        else:
            # column form of left and of the Gram matrices: (pattern, visit, p) and (pattern, p, p)
            lines = np.empty((n_patterns, m, p))
            grams = np.empty((n_patterns, p, p))
            for k in range(n_patterns):
                for a in range(m):
                    for c in range(p):
                        lines[k, a, c] = left[k, phi[c], a]
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
                            v[e, c] += s * z[k, b, u[c]] + t * z[k, a, u[c]]
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
                row = first[k] + s * n
                for i in range(n):
                    for c in range(p):
                        ax[i, c] = 0.0
                    ar[i] = 0.0
                    for j in range(n):
                        t = inverse[k, obs[k, i], obs[k, j]]
                        res = y[row + j]
                        for c in range(p):
                            ax[i, c] += t * x[row + j, c]
                            res -= x[row + j, c] * beta[c]
                        ar[i] += t * res
                for i in range(n):
                    for j in range(i + 1):
                        e = group[k] * ne + obs[k, i] * (obs[k, i] + 1) // 2 + obs[k, j]
                        scale = 0.5 if i == j else 1.0
                        for c in range(p):
                            t = scale * ax[i, c]
                            s2 = scale * ax[j, c]
                            v[e, c] += t * ar[j] + s2 * ar[i]
                            for d in range(p):
                                full[e, c, d] += t * ax[j, d] + s2 * ax[i, d]
        for e in range(total):
            for c in range(p):
                for d in range(p):
                    work[c, d] = full[e, c, d]
            transform_pack(linv, upper, work, half, column, out[e])
    for e in range(total):
        for i in range(p):
            t = 0.0
            for j in range(i + 1):
                t += linv[i, j] * v[e, j]
            out[e, triangle + i] = t
