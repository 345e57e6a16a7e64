"""Likelihoods of trial-level models on summary rows, and how they are made largest.

Rows are effects on surrogate and true endpoint with their within-trial covariance: arrays (trial,) ``s``, ``t``,
``vs``, ``vt``, ``c``. Bivariate random effects: van Houwelingen, Arends & Stijnen 2002, Stat Med 21:589; restricted
likelihood as their section 4. The between-trial covariance is L L' with L = [[a, 0], [b, d]], order (surrogate,
true): all three are free, and a correlation of 1 in absolute value is ``d = 0``, an inner point.
"""

from __future__ import annotations

import math

import numpy as np

from equipoise.numerics.compiler import inner, kernel

_LOG_2PI = math.log(2.0 * math.pi)


@inner
def _given(s, t, vs, vt, c, pss, pst, ptt, reml, mean, cov):
    """Log likelihood at a between-trial covariance; the means (2,) and their covariance (2, 2) are written."""
    a11, a12, a22 = 0.0, 0.0, 0.0
    b1, b2 = 0.0, 0.0
    quad, ld = 0.0, 0.0
    n = len(s)
    for i in range(n):
        v11 = vs[i] + pss
        v12 = c[i] + pst
        v22 = vt[i] + ptt
        det = v11 * v22 - v12 * v12
        if not det > 1e-14 * v11 * v22:
            return -1e300
        w11, w12, w22 = v22 / det, -v12 / det, v11 / det
        a11 += w11
        a12 += w12
        a22 += w22
        x, y = w11 * s[i] + w12 * t[i], w12 * s[i] + w22 * t[i]
        b1 += x
        b2 += y
        quad += s[i] * x + t[i] * y
        ld += math.log(det)
    d = a11 * a22 - a12 * a12
    if not d > 0.0:
        return -1e300
    mean[0] = (a22 * b1 - a12 * b2) / d
    mean[1] = (a11 * b2 - a12 * b1) / d
    cov[0, 0], cov[1, 1] = a22 / d, a11 / d
    cov[0, 1] = -a12 / d
    cov[1, 0] = cov[0, 1]
    rest = quad - mean[0] * b1 - mean[1] * b2
    value = -0.5 * (ld + rest + 2.0 * n * _LOG_2PI)
    if reml:
        value += -0.5 * math.log(d) + _LOG_2PI
    return value


@inner
def _overall(s, t, vs, vt, ps, pt, rho, reml, mean, cov):
    """As :func:`_given`, for Riley's model: one correlation of the effects as observed, within and between trials."""
    n = len(s)
    value, b = 0.0, np.zeros(2)
    a11, a12, a22, quad, ld = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(n):
        v11, v22 = vs[i] + ps, vt[i] + pt
        v12 = rho * math.sqrt(v11 * v22)
        det = v11 * v22 * (1.0 - rho * rho)
        if not det > 1e-14 * v11 * v22:
            return -1e300
        w11, w12, w22 = v22 / det, -v12 / det, v11 / det
        a11 += w11
        a12 += w12
        a22 += w22
        x, y = w11 * s[i] + w12 * t[i], w12 * s[i] + w22 * t[i]
        b[0] += x
        b[1] += y
        quad += s[i] * x + t[i] * y
        ld += math.log(det)
    d = a11 * a22 - a12 * a12
    if not d > 0.0:
        return -1e300
    mean[0], mean[1] = (a22 * b[0] - a12 * b[1]) / d, (a11 * b[1] - a12 * b[0]) / d
    cov[0, 0], cov[1, 1], cov[0, 1] = a22 / d, a11 / d, -a12 / d
    cov[1, 0] = cov[0, 1]
    value = -0.5 * (ld + quad - mean[0] * b[0] - mean[1] * b[1] + 2.0 * n * _LOG_2PI)
    if reml:
        value += -0.5 * math.log(d) + _LOG_2PI
    return value


@inner
def _value(kind, x, rho, s, t, vs, vt, c, reml, mean, cov):
    """kind 0: x = (a, b, d) of L. kind 1: x = the two standard deviations between trials, at correlation ``rho``.
    kind 2: x = (intercept, slope, tau) of Daniels & Hughes. kind 3: x = (sd, sd, atanh of the correlation) of Riley.
    """
    if kind == 0:
        return _given(s, t, vs, vt, c, x[0] * x[0], x[0] * x[1], x[1] * x[1] + x[2] * x[2], reml, mean, cov)
    if kind == 1:
        return _given(s, t, vs, vt, c, x[0] * x[0], rho * abs(x[0] * x[1]), x[1] * x[1], reml, mean, cov)
    if kind == 2:
        value = 0.0
        for i in range(len(s)):
            v = vt[i] + x[2] * x[2] + x[1] * x[1] * vs[i] - 2.0 * x[1] * c[i]
            r = t[i] - x[0] - x[1] * s[i]
            value += -0.5 * (_LOG_2PI + math.log(v) + r * r / v)
        return value
    if kind == 3:
        return _overall(s, t, vs, vt, x[0] * x[0], x[1] * x[1], math.tanh(x[2]), reml, mean, cov)
    return -1e300


@inner
def _climb(kind, x, step, rho, s, t, vs, vt, c, reml, mean, cov, simplex, height):
    """Nelder & Mead's simplex from ``x`` (p,), which becomes the best point; the largest value is returned."""
    p = len(x)
    for k in range(p + 1):
        for j in range(p):
            simplex[k, j] = x[j] + (step[j] if k == j + 1 else 0.0)
        height[k] = -_value(kind, simplex[k], rho, s, t, vs, vt, c, reml, mean, cov)
    centre, trial, further = np.empty(p), np.empty(p), np.empty(p)
    for _ in range(1500):
        best, worst, second = 0, 0, 0
        for k in range(1, p + 1):
            if height[k] < height[best]:
                best = k
            if height[k] > height[worst]:
                worst = k
        second = best
        for k in range(p + 1):
            if k != worst and height[k] > height[second]:
                second = k
        size = 0.0
        for j in range(p):
            size = max(size, abs(simplex[worst, j] - simplex[best, j]) / (1e-3 * abs(step[j]) + abs(simplex[best, j])))
        if height[worst] - height[best] <= 1e-12 * (1.0 + abs(height[best])) and size < 1e-7:
            break
        for j in range(p):
            centre[j] = 0.0
            for k in range(p + 1):
                if k != worst:
                    centre[j] += simplex[k, j] / p
            trial[j] = 2.0 * centre[j] - simplex[worst, j]
        f = -_value(kind, trial, rho, s, t, vs, vt, c, reml, mean, cov)
        if f < height[best]:
            for j in range(p):
                further[j] = 3.0 * centre[j] - 2.0 * simplex[worst, j]
            g = -_value(kind, further, rho, s, t, vs, vt, c, reml, mean, cov)
            if g < f:
                simplex[worst, :] = further
                height[worst] = g
            else:
                simplex[worst, :] = trial
                height[worst] = f
        elif f < height[second]:
            simplex[worst, :] = trial
            height[worst] = f
        else:
            if f < height[worst]:
                for j in range(p):
                    further[j] = 0.5 * (centre[j] + trial[j])
            else:
                for j in range(p):
                    further[j] = 0.5 * (centre[j] + simplex[worst, j])
            g = -_value(kind, further, rho, s, t, vs, vt, c, reml, mean, cov)
            if g < min(f, height[worst]):
                simplex[worst, :] = further
                height[worst] = g
            else:
                for k in range(p + 1):
                    if k != best:
                        for j in range(p):
                            simplex[k, j] = 0.5 * (simplex[k, j] + simplex[best, j])
                        height[k] = -_value(kind, simplex[k], rho, s, t, vs, vt, c, reml, mean, cov)
    best = 0
    for k in range(1, p + 1):
        if height[k] < height[best]:
            best = k
    for j in range(p):
        x[j] = simplex[best, j]
    return -height[best]


@inner
def _spreads(s, t, vs, vt):
    """Moment guesses of the standard deviations between trials, never 0, and the sign of their covariance."""
    n = len(s)
    ms, mt = s.mean(), t.mean()
    css, ctt, cst, ws, wt = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(n):
        css += (s[i] - ms) ** 2 / (n - 1)
        ctt += (t[i] - mt) ** 2 / (n - 1)
        cst += (s[i] - ms) * (t[i] - mt) / (n - 1)
        ws += vs[i] / n
        wt += vt[i] / n
    sd_s = math.sqrt(max(css - ws, 0.05 * max(css, ws)))
    sd_t = math.sqrt(max(ctt - wt, 0.05 * max(ctt, wt)))
    return sd_s, sd_t, (1.0 if cst >= 0.0 else -1.0)


@kernel
def fit_bivariate(s, t, vs, vt, c, reml, out, mean, cov):
    """The bivariate random-effects model: ``out`` gets the two standard deviations, the correlation, the log
    likelihood.

    mean : (2,) and cov : (2, 2) get the mean effects and their covariance, in the order surrogate, true endpoint.
    Scales are taken out before and put back. The highest of several climbs is taken, each begun again where it ended.
    """
    sd_s, sd_t, sign = _spreads(s, t, vs, vt)
    s1, t1, vs1, vt1, c1 = s / sd_s, t / sd_t, vs / sd_s**2, vt / sd_t**2, c / (sd_s * sd_t)
    simplex, height = np.empty((4, 3)), np.empty(4)
    best = -1e300
    x, kept, step = np.empty(3), np.empty(3), np.empty(3)
    for start in range(4):
        x[0] = 1.0 if start < 3 else 0.3
        x[1] = (sign * 0.7) if start == 0 else (-sign * 0.3 if start == 1 else sign * 1.0)
        x[2] = 0.6 if start != 2 else 0.05
        for _ in range(3):
            step[0], step[1], step[2] = 0.3, 0.3, 0.3
            value = _climb(0, x, step, 0.0, s1, t1, vs1, vt1, c1, reml, mean, cov, simplex, height)
        if value > best + 1e-12:
            best = value
            kept[:] = x
    n = len(s)
    value = _value(0, kept, 0.0, s1, t1, vs1, vt1, c1, reml, mean, cov)
    psi_s, psi_t = abs(kept[0]), math.sqrt(kept[1] ** 2 + kept[2] ** 2)
    out[0], out[1] = psi_s * sd_s, psi_t * sd_t
    sign_a = 1.0 if kept[0] >= 0.0 else -1.0
    out[2] = sign_a * kept[1] / psi_t if psi_t > 1e-6 and psi_s > 1e-6 else math.nan
    free = n - 1 if reml else n
    out[3] = value - free * (math.log(sd_s) + math.log(sd_t))
    mean[0] *= sd_s
    mean[1] *= sd_t
    cov[0, 0] *= sd_s * sd_s
    cov[1, 1] *= sd_t * sd_t
    cov[0, 1] *= sd_s * sd_t
    cov[1, 0] = cov[0, 1]


@kernel
def profile(rho, s, t, vs, vt, c, reml, begin):
    """The largest log likelihood at a correlation ``rho``; begin : (2,) standard deviations to start at."""
    sd_s, sd_t, _ = _spreads(s, t, vs, vt)
    s1, t1, vs1, vt1, c1 = s / sd_s, t / sd_t, vs / sd_s**2, vt / sd_t**2, c / (sd_s * sd_t)
    simplex, height = np.empty((3, 2)), np.empty(3)
    mean, cov = np.empty(2), np.empty((2, 2))
    x, step = np.empty(2), np.empty(2)
    best = -1e300
    for start in range(2):
        x[0] = max(begin[0] / sd_s, 0.05) if start == 0 else 0.4
        x[1] = max(begin[1] / sd_t, 0.05) if start == 0 else 0.4
        for _ in range(2):
            step[0], step[1] = 0.3, 0.3
            value = _climb(1, x, step, rho, s1, t1, vs1, vt1, c1, reml, mean, cov, simplex, height)
        best = max(best, value)
    n = len(s)
    free = n - 1 if reml else n
    return best - free * (math.log(sd_s) + math.log(sd_t))


@kernel
def profile_limits(s, t, vs, vt, c, reml, top, at, begin, drop, out):
    """Ends of the profile-likelihood interval of the correlation: where it is ``drop`` below ``top``; -1 and 1 at
    most."""
    for side in range(2):
        wall = -1.0 if side == 0 else 1.0
        inside, outside = at, wall
        if top - profile(wall, s, t, vs, vt, c, reml, begin) <= drop:
            out[side] = wall
            continue
        for _ in range(34):
            middle = 0.5 * (inside + outside)
            if top - profile(middle, s, t, vs, vt, c, reml, begin) <= drop:
                inside = middle
            else:
                outside = middle
        out[side] = 0.5 * (inside + outside)


@kernel
def fit_daniels(s, t, vs, vt, c, out):
    """Daniels & Hughes' model with flat true effects, by maximum likelihood: intercept, slope, tau, log likelihood."""
    sd_s, sd_t, _ = _spreads(s, t, vs, vt)
    s1, t1, vs1, vt1, c1 = s / sd_s, t / sd_t, vs / sd_s**2, vt / sd_t**2, c / (sd_s * sd_t)
    simplex, height = np.empty((4, 3)), np.empty(4)
    mean, cov = np.empty(2), np.empty((2, 2))
    x, step, kept = np.empty(3), np.empty(3), np.empty(3)
    best = -1e300
    for start in range(6):
        x[0] = t1.mean()
        x[1] = (-1.0, 0.0, 1.0)[start % 3]
        x[2] = 0.5 if start < 3 else 0.02
        for _ in range(3):
            step[0], step[1], step[2] = 0.3, 0.3, 0.2
            value = _climb(2, x, step, 0.0, s1, t1, vs1, vt1, c1, False, mean, cov, simplex, height)
        if value > best:
            best = value
            kept[:] = x
    out[0], out[1], out[2] = kept[0] * sd_t, kept[1] * sd_t / sd_s, abs(kept[2]) * sd_t
    out[3] = best - len(s) * math.log(sd_t)


@kernel
def daniels_grid(s, t, vs, vt, c, slopes, taus, log_density, centre, spread):
    """Daniels & Hughes' posterior on a grid, the intercept integrated out under a flat prior.

    log_density, centre, spread : (slope, tau) get the log likelihood, and the mean and variance of the intercept.
    """
    n = len(s)
    for i in range(len(slopes)):
        b = slopes[i]
        for j in range(len(taus)):
            a, m, ld = 0.0, 0.0, 0.0
            for k in range(n):
                v = vt[k] + taus[j] ** 2 + b * b * vs[k] - 2.0 * b * c[k]
                a += 1.0 / v
                m += (t[k] - b * s[k]) / v
                ld += math.log(v)
            m /= a
            q = 0.0
            for k in range(n):
                v = vt[k] + taus[j] ** 2 + b * b * vs[k] - 2.0 * b * c[k]
                q += (t[k] - b * s[k] - m) ** 2 / v
            log_density[i, j] = -0.5 * (ld + q + math.log(a) + (n - 1) * _LOG_2PI)
            centre[i, j] = m
            spread[i, j] = 1.0 / a


@kernel
def meta_regression(s, t, vt, out, cov):
    """Random-effects regression of ``t`` on ``s`` by REML: out gets intercept, slope, tau squared, q; cov (2, 2)
    unscaled.

    q : the residual quadratic form over its degrees of freedom, by which Knapp & Hartung (2003, Stat Med 22:2693) scale
    the covariance. The errors of ``s`` are not taken into account.
    """
    n = len(s)
    ms = s.mean()
    total = 0.0
    mt = t.mean()
    for i in range(n):
        total += (t[i] - mt) ** 2 / (n - 1)
    best, at = -1e300, 0.0
    low, high = 0.0, 10.0 * total + 1e-300
    # a coarse grid, then golden section around its best point
    steps = 60
    for g in range(steps + 1):
        tau2 = high * (g / steps) ** 3
        value = _regression(s, t, vt, ms, tau2, out, cov)
        if value > best:
            best, at = value, float(g)
    low = high * (max(at - 1.0, 0.0) / steps) ** 3
    top = high * (min(at + 1.0, steps) / steps) ** 3
    ratio = 0.6180339887498949
    x1, x2 = top - ratio * (top - low), low + ratio * (top - low)
    f1, f2 = _regression(s, t, vt, ms, x1, out, cov), _regression(s, t, vt, ms, x2, out, cov)
    for _ in range(80):
        if f1 < f2:
            low, x1, f1 = x1, x2, f2
            x2 = low + ratio * (top - low)
            f2 = _regression(s, t, vt, ms, x2, out, cov)
        else:
            top, x2, f2 = x2, x1, f1
            x1 = top - ratio * (top - low)
            f1 = _regression(s, t, vt, ms, x1, out, cov)
    tau2 = 0.5 * (low + top)
    if _regression(s, t, vt, ms, 0.0, out, cov) >= _regression(s, t, vt, ms, tau2, out, cov):
        tau2 = 0.0
    _regression(s, t, vt, ms, tau2, out, cov)


@inner
def _regression(s, t, vt, ms, tau2, out, cov):
    w0, w1, w2, y0, y1, ld, yy = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    n = len(s)
    for i in range(n):
        w = 1.0 / (vt[i] + tau2)
        x = s[i] - ms
        w0 += w
        w1 += w * x
        w2 += w * x * x
        y0 += w * t[i]
        y1 += w * x * t[i]
        ld -= math.log(w)
    d = w0 * w2 - w1 * w1
    if not d > 1e-14 * w0 * w2:
        return -1e300
    a, b = (w2 * y0 - w1 * y1) / d, (w0 * y1 - w1 * y0) / d
    for i in range(n):
        yy += (t[i] - a - b * (s[i] - ms)) ** 2 / (vt[i] + tau2)
    out[0], out[1], out[2], out[3] = a - b * ms, b, tau2, yy / (n - 2)
    v00, v01, v11 = w2 / d, -w1 / d, w0 / d
    cov[0, 0] = v00 - 2.0 * ms * v01 + ms * ms * v11
    cov[0, 1] = v01 - ms * v11
    cov[1, 0] = cov[0, 1]
    cov[1, 1] = v11
    return -0.5 * (ld + yy + math.log(d))


@kernel
def fit_riley(s, t, vs, vt, reml, out, mean, cov):
    """Riley, Thompson & Abrams' model (2008, Biostatistics 9:172): out gets two standard deviations, the
    correlation, the log likelihood; mean (2,) and its covariance cov (2, 2).
    """
    sd_s, sd_t, sign = _spreads(s, t, vs, vt)
    s1, t1, vs1, vt1 = s / sd_s, t / sd_t, vs / sd_s**2, vt / sd_t**2
    simplex, height = np.empty((4, 3)), np.empty(4)
    x, kept, step = np.empty(3), np.empty(3), np.empty(3)
    best = -1e300
    for start in range(3):
        x[0], x[1], x[2] = (
            (1.0, 1.0, sign * 0.5) if start == 0 else ((0.4, 0.4, sign * 1.2) if start == 1 else (1.0, 0.5, 0.0))
        )
        for _ in range(4):
            step[0], step[1], step[2] = 0.3, 0.3, 0.3
            value = _climb(3, x, step, 0.0, s1, t1, vs1, vt1, s1, reml, mean, cov, simplex, height)
        if value > best:
            best = value
            kept[:] = x
    value = _value(3, kept, 0.0, s1, t1, vs1, vt1, s1, reml, mean, cov)
    n = len(s)
    out[0], out[1], out[2] = abs(kept[0]) * sd_s, abs(kept[1]) * sd_t, math.tanh(kept[2])
    out[3] = value - (n - 1 if reml else n) * (math.log(sd_s) + math.log(sd_t))
    mean[0] *= sd_s
    mean[1] *= sd_t
    cov[0, 0] *= sd_s * sd_s
    cov[1, 1] *= sd_t * sd_t
    cov[0, 1] *= sd_s * sd_t
    cov[1, 0] = cov[0, 1]


@kernel
def likelihood(pss, pst, ptt, s, t, vs, vt, c, reml, mean, cov):
    """The log likelihood at a between-trial covariance; mean (2,) and its covariance cov (2, 2) are written."""
    return _given(s, t, vs, vt, c, pss, pst, ptt, reml, mean, cov)
