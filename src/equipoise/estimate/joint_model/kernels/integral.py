"""The integral over the random effects of one patient, and the expectations that the score needs.

Of patient i the integrand is, up to what does not depend on b,

    exp(c' b - b' (A + P) b / 2 - sum_j exp(e_j + z_j' b)),

where A (d, d) and c (d) come from the patient's marker and from the hazard at the event, P is the inverse of the
covariance of the random effects, and the sum over the nodes j of time is the cumulative hazard. The integrand is
log-concave. It is integrated by adaptive Gauss-Hermite quadrature (Liu & Pierce 1994, Biometrika 81:624) about its
mode, scaled by its curvature there. On the product grid the hazard of a node factors over the dimensions, so that a
node costs d K exponentials and not K^d.
"""

from __future__ import annotations

import math

import numpy as np

from equipoise.numerics.compiler import inner, kernel
from equipoise.numerics.linalg import newton_step

STEPS = 60
"""Newton steps to the mode."""
LARGEST = 200.0
"""Bound of the exponents of hazards, so that no overflow meets a weight of zero."""


@inner
def _mode(a, c, e0, ze, low, high, d, b, curvature, chol, step, trial):
    """Newton's method to the mode from ``b`` (in place), with the Cholesky factor of the curvature there.

    The value comes with the slope of the next step, so that a step that is good costs one pass over the hazards.
    """
    before, expected, size = -np.inf, 0.0, 1.0
    for r in range(d):
        trial[r] = b[r]
    for _ in range(STEPS):
        value = 0.0
        for r in range(d):
            t = 0.0
            for s in range(d):
                t += a[r, s] * trial[s]
                curvature[r, s] = a[r, s]
            value += trial[r] * (c[r] - 0.5 * t)
            step[r] = c[r] - t
        for j in range(low, high):
            x = e0[j]
            for r in range(d):
                x += ze[j, r] * trial[r]
            if x > 700.0:
                value = -np.inf
                break
            h = math.exp(x)
            value -= h
            for r in range(d):
                hz = h * ze[j, r]
                step[r] -= hz
                for s in range(r + 1):
                    curvature[r, s] += hz * ze[j, s]
        if before == -np.inf and not value > -np.inf:  # a start that overflows: from 0 instead
            same = True
            for r in range(d):
                same = same and b[r] == 0.0
                b[r] = 0.0
                trial[r] = 0.0
            if same:
                return False
            continue
        if not value >= before + 1e-4 * size * expected and not (expected < 1e-6 and value > -np.inf):
            # too far: half way back
            size *= 0.5
            if size < 1e-12 or value != value:
                return False
            for r in range(d):
                trial[r] = 0.5 * (trial[r] + b[r])
            continue
        for r in range(d):
            b[r] = trial[r]
        expected = newton_step(curvature, step, d, chol, trial)
        if not expected > 1e-13:
            return expected == expected
        before, size = value, 1.0
        for r in range(d):
            trial[r] = b[r] + trial[r]
    return False


@inner
def _leading(tensor, size, k, weights, out):
    """Contract the leading axis of ``tensor`` (k x size / k) with ``weights`` (k,) into ``out``."""
    rest = size // k
    for v in range(rest):
        out[v] = 0.0
    for u in range(k):
        w = weights[u]
        base = u * rest
        for v in range(rest):
            out[v] += w * tensor[base + v]
    return rest


@kernel
def integrate(who, a, c, first, e0, ze, prior, gx, lgw, mode, ll, eb, ebb, eh, ehb):
    """Integrals and expectations of the patients ``who``; the number of them whose mode was not found.

    who (m,) places of patients, a (n, d, d), c (n, d), first (n + 1,) where a patient's nodes begin, e0 (node,) with
    the logarithm of the weight of the node, ze (node, d), prior (d, d), gx and lgw (K,) nodes (ascending) and log
    weights of Gauss-Hermite. In place: mode (n, d), from where the search starts; ll (n,), eb (n, d), ebb (n, d, d), eh
    (node,) the expected hazard of a node and ehb (node, d) its expected product with b.
    """
    d = c.shape[1]
    k = len(gx)
    size = k**d
    longest = 0
    for i in who:
        longest = max(longest, first[i + 1] - first[i])
    factors = np.empty((max(longest, 1), d, k))
    grid = np.empty((size, d))
    least = np.empty(size)
    for p in range(size):
        rest = p
        t = 0.0
        for r in range(d - 1, -1, -1):
            u = rest % k
            rest //= k
            grid[p, r] = gx[u]
            t += gx[u] * gx[u] + lgw[u]
        least[p] = t
    total = np.empty(size)
    weight = np.empty(size)
    one, two, three = np.empty(size), np.empty(size), np.empty(size)
    q, curvature, chol = np.empty((d, d)), np.empty((d, d)), np.zeros((d, d))
    m, rotated = np.empty((d, d)), np.empty((d, d))
    step, trial, lin, eg, at = np.empty(d), np.empty(d), np.empty(d), np.empty(d), np.empty(d)
    tilted = np.empty(k)
    eh_g = np.empty(d)
    root = math.sqrt(2.0)
    lost = 0
    for i in who:
        low, high = first[i], first[i + 1]
        for r in range(d):
            for s in range(d):
                q[r, s] = a[i, r, s] + prior[r, s]
        b = mode[i]
        if not _mode(q, c[i], e0, ze, low, high, d, b, curvature, chol, step, trial):
            lost += 1
            ll[i] = np.nan
            for r in range(d):
                b[r] = 0.0
                eb[i, r] = np.nan
                for s in range(d):
                    ebb[i, r, s] = np.nan
            for j in range(low, high):
                eh[j] = np.nan
                for r in range(d):
                    ehb[j, r] = np.nan
            continue
        # m = sqrt(2) C^-T, of the Cholesky factor C of the curvature: b = mode + m g
        logdet = 0.0
        for r in range(d):
            for s in range(d):
                at[s] = 0.0
            at[r] = root
            for s in range(d - 1, -1, -1):
                t = at[s]
                for v in range(s + 1, d):
                    t -= chol[v, s] * at[v]
                at[s] = t / chol[s, s]
            for s in range(d):
                m[s, r] = at[s]
            logdet += math.log(root / chol[r, r])
        constant = 0.0
        for r in range(d):
            t = c[i, r]
            for s in range(d):
                t -= q[r, s] * b[s]
            step[r] = t
            constant += 0.5 * b[r] * (c[i, r] + t)
        for r in range(d):
            lin[r] = 0.0
            for s in range(d):
                lin[r] += m[s, r] * step[s]
                t = 0.0
                for u in range(d):
                    t += q[s, u] * m[u, r]
                curvature[s, r] = t
        for r in range(d):
            for s in range(d):
                t = 0.0
                for u in range(d):
                    t += m[u, r] * curvature[u, s]
                rotated[r, s] = t
        for p in range(size):
            total[p] = 0.0
        for j in range(low, high):
            x = e0[j]
            for r in range(d):
                x += ze[j, r] * b[r]
                t = 0.0
                for s in range(d):
                    t += ze[j, s] * m[s, r]
                lin_r = min(max(t, -LARGEST), LARGEST)
                if k % 2:
                    factors[j - low, r, k // 2] = 1.0
                for u in range(k // 2):
                    up = math.exp(min(max(-lin_r * gx[u], -LARGEST), LARGEST))
                    factors[j - low, r, k - 1 - u] = up
                    factors[j - low, r, u] = 1.0 / up
            centre = math.exp(min(x, LARGEST))
            eh[j] = centre
            # the product of the factors, from the last dimension to the first
            for u in range(k):
                one[u] = centre * factors[j - low, d - 1, u]
            held = k
            for r in range(d - 2, -1, -1):
                if r == 0:
                    for u in range(k):
                        f = factors[j - low, 0, u]
                        base = u * held
                        for v in range(held):
                            total[base + v] += f * one[v]
                else:
                    for u in range(k):
                        f = factors[j - low, r, u]
                        base = u * held
                        for v in range(held):
                            two[base + v] = f * one[v]
                    for v in range(held * k):
                        one[v] = two[v]
                held *= k
            if d == 1:
                for v in range(k):
                    total[v] += one[v]
        largest = -np.inf
        for p in range(size):
            t = least[p] - total[p]
            for r in range(d):
                s_r = 0.0
                for s in range(d):
                    s_r += rotated[r, s] * grid[p, s]
                t += grid[p, r] * (lin[r] - 0.5 * s_r)
            weight[p] = t
            largest = max(largest, t)
        summed = 0.0
        for p in range(size):
            t = math.exp(weight[p] - largest)
            weight[p] = t
            summed += t
        ll[i] = constant + largest + math.log(summed) + logdet
        for r in range(d):
            eg[r] = 0.0
            for s in range(d):
                curvature[r, s] = 0.0
        for p in range(size):
            w = weight[p] / summed
            weight[p] = w
            for r in range(d):
                t = w * grid[p, r]
                eg[r] += t
                for s in range(r + 1):
                    curvature[r, s] += t * grid[p, s]
        for r in range(d):
            for s in range(r):
                curvature[s, r] = curvature[r, s]
        for r in range(d):
            t = 0.0
            for s in range(d):
                t += m[r, s] * eg[s]
                u_r = 0.0
                for v in range(d):
                    u_r += curvature[s, v] * m[r, v]
                rotated[s, r] = u_r
            at[r] = t
            eb[i, r] = b[r] + t
        for r in range(d):
            for s in range(d):
                t = 0.0
                for v in range(d):
                    t += m[r, v] * rotated[v, s]
                ebb[i, r, s] = t + b[r] * at[s] + at[r] * b[s] + b[r] * b[s]
        for j in range(low, high):
            # axis by axis from the first: the plain product, and that with g of the axis just met
            held = size
            source = weight
            for r in range(d):
                for u in range(k):
                    tilted[u] = factors[j - low, r, u] * gx[u]
                rest = _leading(source, held, k, tilted, two)
                for s in range(r + 1, d):
                    rest = _leading(two, rest, k, factors[j - low, s], three)
                    for v in range(rest):
                        two[v] = three[v]
                eh_g[r] = two[0]
                held = _leading(source, held, k, factors[j - low, r], three)
                for v in range(held):
                    one[v] = three[v]
                source = one
            centre = eh[j]
            expected = centre * one[0]
            eh[j] = expected
            for r in range(d):
                t = 0.0
                for s in range(d):
                    t += m[r, s] * eh_g[s]
                ehb[j, r] = expected * b[r] + centre * t
    return lost
