"""The integral over the random effects where a marker is a category, and Laplace's approximation of any.

To the integrand of :mod:`.integral` come rows of binary and ordinal markers, with the logit of being above a threshold
linear in b (cumulative logit; McCullagh 1980, JRSS B 42:109):

    P(y = k) = F(hi_k - x - z' b) - F(lo_k - x - z' b),   F the logistic distribution.

They too are log-concave. With one node a dimension the integral is Laplace's: with the mode m of the integrand and the
negative H of its second derivatives there, value + d log(2 pi) / 2 - log|H| / 2. Its derivative along any function A of
b that is added to the exponent is (fully exponential Laplace; Tierney, Kass & Kadane 1989, JASA 84:710)

    A + tr(H^-1 A'') / 2 + A' H^-1 t / 2,   t_r = tr(H^-1 dH/db_r) with the sign of the third derivatives,

so that what is given back as expectations makes the score the exact derivative of the approximation.
"""

from __future__ import annotations

import math

import numpy as np

from equipoise.estimate.joint_model.kernels.integral import LARGEST, STEPS
from equipoise.numerics.compiler import inner, kernel
from equipoise.numerics.linalg import newton_step


@inner
def _softplus(x):
    if x > 0.0:
        return x + math.log1p(math.exp(-x))
    return math.log1p(math.exp(x))


@inner
def _sigmoid(x):
    if x >= 0.0:
        return 1.0 / (1.0 + math.exp(-x))
    e = math.exp(x)
    return e / (1.0 + e)


@inner
def _log_share(low, high, x):
    """log(F(high - x) - F(low - x))."""
    if low == -np.inf:
        return -_softplus(x - high)
    if high == np.inf:
        return -_softplus(low - x)
    return low - x + math.log(math.expm1(high - low)) - _softplus(high - x) - _softplus(low - x)


@inner
def _by_threshold(low, high, x):
    """Derivatives of the log share by its upper and by its lower threshold."""
    if low == -np.inf:
        return _sigmoid(x - high), 0.0
    if high == np.inf:
        return 0.0, -_sigmoid(low - x)
    apart = -math.expm1(low - high)
    a, b = _softplus(high - x), _softplus(low - x)
    return math.exp(b - a) / apart, -math.exp(a - b + low - high) / apart


@inner
def _height(a, c, e0, ze, low, high, r0, rz, lo, hi, first, last, d, b):
    """The logarithm of the integrand at ``b``; -inf where a hazard overflows."""
    out = 0.0
    for r in range(d):
        t = 0.0
        for s in range(d):
            t += a[r, s] * b[s]
        out += b[r] * (c[r] - 0.5 * t)
    for j in range(low, high):
        x = e0[j]
        for r in range(d):
            x += ze[j, r] * b[r]
        if x > 700.0:
            return -np.inf
        out -= math.exp(x)
    for j in range(first, last):
        x = r0[j]
        for r in range(d):
            x += rz[j, r] * b[r]
        out += _log_share(lo[j], hi[j], x)
    return out


@inner
def _summit(a, c, e0, ze, low, high, r0, rz, lo, hi, first, last, d, b, curvature, chol, step, trial):
    """Newton's method to the mode from ``b`` (in place), with the Cholesky factor of the curvature there."""
    value = _height(a, c, e0, ze, low, high, r0, rz, lo, hi, first, last, d, b)
    if not value > -np.inf:
        b[:] = 0.0
        value = _height(a, c, e0, ze, low, high, r0, rz, lo, hi, first, last, d, b)
    for _ in range(STEPS):
        for r in range(d):
            t = c[r]
            for s in range(d):
                t -= a[r, s] * b[s]
                curvature[r, s] = a[r, s]
            step[r] = t
        for j in range(low, high):
            x = e0[j]
            for r in range(d):
                x += ze[j, r] * b[r]
            h = math.exp(min(x, 700.0))
            for r in range(d):
                hz = h * ze[j, r]
                step[r] -= hz
                for s in range(r + 1):
                    curvature[r, s] += hz * ze[j, s]
        for j in range(first, last):
            x = r0[j]
            for r in range(d):
                x += rz[j, r] * b[r]
            above, below = _sigmoid(hi[j] - x), _sigmoid(lo[j] - x)
            slope = above + below - 1.0
            bend = above * (1.0 - above) + below * (1.0 - below)
            for r in range(d):
                step[r] += slope * rz[j, r]
                for s in range(r + 1):
                    curvature[r, s] += bend * rz[j, r] * rz[j, s]
        decrement = newton_step(curvature, step, d, chol, trial)
        if not decrement > 1e-15:
            return decrement == decrement
        for r in range(d):
            step[r] = trial[r]
        size = 1.0
        moved = False
        new = value
        for _ in range(40):
            for r in range(d):
                trial[r] = b[r] + size * step[r]
            new = _height(a, c, e0, ze, low, high, r0, rz, lo, hi, first, last, d, trial)
            if new >= value + 1e-4 * size * decrement or (decrement < 1e-6 and new > -np.inf):
                moved = True
                break
            size *= 0.5
        if not moved:
            return decrement < 1e-9
        value = new
        for r in range(d):
            b[r] = trial[r]
    return False


@kernel
def integrate_categories(
    a, c, first, e0, ze, prior, begin, r0, rz, lo, hi, gx, lgw, mode, ll, eb, ebb, eh, ehb, slope, upper, lower
):
    """Integrals and expectations of all patients; the number of patients whose mode was not found.

    As :func:`.integral.integrate`, and begin (n + 1,) where a patient's rows of categories begin, r0 (row,) and
    rz (row, d) their logits, lo and hi (row,) their thresholds. One node a dimension: Laplace. In place also slope,
    upper and lower (row,): the expected derivatives of the log-likelihood of a row by its logit and by its thresholds.
    """
    n, d = c.shape
    k = len(gx)
    size = k**d
    q, curvature, chol = np.empty((d, d)), np.empty((d, d)), np.zeros((d, d))
    m, inverse, at, step, trial = np.empty((d, d)), np.empty((d, d)), np.empty(d), np.empty(d), np.empty(d)
    b = np.empty(d)
    weight = np.empty(size)
    lost = 0
    for i in range(n):
        low, high, start, stop = first[i], first[i + 1], begin[i], begin[i + 1]
        for r in range(d):
            for s in range(d):
                q[r, s] = a[i, r, s] + prior[r, s]
        top = mode[i]
        if not _summit(q, c[i], e0, ze, low, high, r0, rz, lo, hi, start, stop, d, top, curvature, chol, step, trial):
            lost += 1
            ll[i] = np.nan
            top[:] = 0.0
            eb[i] = np.nan
            ebb[i] = np.nan
            eh[low:high] = np.nan
            ehb[low:high] = np.nan
            slope[start:stop] = np.nan
            upper[start:stop] = np.nan
            lower[start:stop] = np.nan
            continue
        # m = C^-T of the Cholesky factor C of the curvature: its inverse is m m'
        logdet = 0.0
        for r in range(d):
            for s in range(d):
                at[s] = 0.0
            at[r] = 1.0
            for s in range(d - 1, -1, -1):
                t = at[s]
                for v in range(s + 1, d):
                    t -= chol[v, s] * at[v]
                at[s] = t / chol[s, s]
            for s in range(d):
                m[s, r] = at[s]
            logdet += math.log(chol[r, r])
        value = _height(q, c[i], e0, ze, low, high, r0, rz, lo, hi, start, stop, d, top)
        if k == 1:
            ll[i] = value + 0.5 * d * math.log(2.0 * math.pi) - logdet
            for r in range(d):
                step[r] = 0.0
                for s in range(d):
                    t = 0.0
                    for v in range(d):
                        t += m[r, v] * m[s, v]
                    inverse[r, s] = t
            for j in range(low, high):
                x = e0[j]
                t = 0.0
                for r in range(d):
                    x += ze[j, r] * top[r]
                    for s in range(d):
                        t += ze[j, r] * inverse[r, s] * ze[j, s]
                h = math.exp(min(x, LARGEST))
                for r in range(d):
                    step[r] -= h * t * ze[j, r]
            for j in range(start, stop):
                x = r0[j]
                t = 0.0
                for r in range(d):
                    x += rz[j, r] * top[r]
                    for s in range(d):
                        t += rz[j, r] * inverse[r, s] * rz[j, s]
                above, below = _sigmoid(hi[j] - x), _sigmoid(lo[j] - x)
                third = above * (1.0 - above) * (1.0 - 2.0 * above) + below * (1.0 - below) * (1.0 - 2.0 * below)
                for r in range(d):
                    step[r] += third * t * rz[j, r]
            for r in range(d):  # how far the mean lies from the mode
                t = 0.0
                for s in range(d):
                    t += inverse[r, s] * step[s]
                at[r] = 0.5 * t
            for r in range(d):
                eb[i, r] = top[r] + at[r]
                for s in range(d):
                    ebb[i, r, s] = top[r] * top[s] + inverse[r, s] + top[r] * at[s] + top[s] * at[r]
            for j in range(low, high):
                x = e0[j]
                for r in range(d):
                    x += ze[j, r] * top[r]
                    t = 0.0
                    for s in range(d):
                        t += inverse[r, s] * ze[j, s]
                    trial[r] = t
                h = math.exp(min(x, LARGEST))
                t = 1.0
                for r in range(d):
                    t += ze[j, r] * (0.5 * trial[r] + at[r])
                eh[j] = h * t
                for r in range(d):
                    ehb[j, r] = h * (top[r] * t + trial[r] + at[r])
            for j in range(start, stop):
                x = r0[j]
                spread = 0.0
                shift = 0.0
                for r in range(d):
                    x += rz[j, r] * top[r]
                    shift += rz[j, r] * at[r]
                    for s in range(d):
                        spread += rz[j, r] * inverse[r, s] * rz[j, s]
                above, below = _sigmoid(hi[j] - x), _sigmoid(lo[j] - x)
                fa, fb = above * (1.0 - above), below * (1.0 - below)
                ta, tb = fa * (1.0 - 2.0 * above), fb * (1.0 - 2.0 * below)
                slope[j] = above + below - 1.0 + 0.5 * (ta + tb) * spread - (fa + fb) * shift
                u, w = _by_threshold(lo[j], hi[j], x)
                upper[j] = u - 0.5 * ta * spread + fa * shift
                lower[j] = w - 0.5 * tb * spread + fb * shift
            continue
        root = math.sqrt(2.0)
        largest = -np.inf
        for p in range(size):
            rest = p
            t = 0.0
            for r in range(d):
                b[r] = top[r]
            for r in range(d - 1, -1, -1):
                g = gx[rest % k]
                t += g * g + lgw[rest % k]
                rest //= k
                for s in range(d):
                    b[s] += root * m[s, r] * g
            t += _height(q, c[i], e0, ze, low, high, r0, rz, lo, hi, start, stop, d, b)
            weight[p] = t
            largest = max(largest, t)
        total = 0.0
        for p in range(size):
            weight[p] = math.exp(weight[p] - largest)
            total += weight[p]
        ll[i] = largest + math.log(total) + 0.5 * d * math.log(2.0) - logdet
        eb[i] = 0.0
        ebb[i] = 0.0
        eh[low:high] = 0.0
        ehb[low:high] = 0.0
        slope[start:stop] = 0.0
        upper[start:stop] = 0.0
        lower[start:stop] = 0.0
        for p in range(size):
            f = weight[p] / total
            if f < 1e-18:
                continue
            rest = p
            for r in range(d):
                b[r] = top[r]
            for r in range(d - 1, -1, -1):
                g = gx[rest % k]
                rest //= k
                for s in range(d):
                    b[s] += root * m[s, r] * g
            for r in range(d):
                eb[i, r] += f * b[r]
                for s in range(d):
                    ebb[i, r, s] += f * b[r] * b[s]
            for j in range(low, high):
                x = e0[j]
                for r in range(d):
                    x += ze[j, r] * b[r]
                h = f * math.exp(min(x, LARGEST))
                eh[j] += h
                for r in range(d):
                    ehb[j, r] += h * b[r]
            for j in range(start, stop):
                x = r0[j]
                for r in range(d):
                    x += rz[j, r] * b[r]
                slope[j] += f * (_sigmoid(hi[j] - x) + _sigmoid(lo[j] - x) - 1.0)
                u, w = _by_threshold(lo[j], hi[j], x)
                upper[j] += f * u
                lower[j] += f * w
    return lost
