"""Covariance structures of the repeated-measures model: values, first and second derivatives.

Every structure maps unconstrained parameters ``theta`` to the covariance ``Sigma`` (visit, visit) of one subject
seen at all visits. The parametrisations are those of the R package mmrm (version 0.3, vignette "Covariance
structures"), because plain Kenward-Roger depends on them (its second-derivative term):

========================= ===============================================================================
structure                 parameters
========================= ===============================================================================
``US``                    log s_a (visit); l_ab, b < a, row by row: Sigma = D L L' D, D = diag(s), L unit
``CS``, ``CSH``           log sd (one, or one a visit); x: rho = -a + (1 + a) / (1 + exp(-x)), a = 1/(T-1)
``AR1``, ``AR1H``         log sd; x: rho = x / sqrt(1 + x^2), correlation rho^|a-b|
``TOEP``, ``TOEPH``       log sd; x_1 ... x_(T-1), one correlation a lag
``AD``, ``ADH``           log sd; x_1 ... x_(T-1), correlation the product of those between a and b
``SP_EXP``                log variance; x: rho = 1 / (1 + exp(-x)), correlation rho^distance (of times, or of places in
                          the plane as complex numbers)
``SLOPE``                 l11, l21, l22, log sd: Z D Z' + sd^2 I, Z = (1, time), D = L L'
``INTERCEPT``             l11, log sd: l11^2 + sd^2 on the diagonal, l11^2 off it
========================= ===============================================================================

``Sigma``'s distinct elements (a, b), b <= a, are numbered a (a + 1) / 2 + b. ``jac[e, t]`` is the derivative of
element e with respect to parameter t.
"""

from __future__ import annotations

import math

import numpy as np

from equipoise.numerics.compiler import inner, kernel

CS, CSH, AR1, AR1H, TOEP, TOEPH, AD, ADH, SP_EXP, SLOPE, INTERCEPT = range(1, 12)
US = None
"""Numba leaves out what ``structure is None`` decides, and so a first unstructured fit compiles no other structure."""


@kernel
def n_parameters(structure, m):
    """Number of parameters of ``structure`` for ``m`` visits (one group)."""
    if structure is None:
        return m * (m + 1) // 2
    if structure in (CS, AR1, SP_EXP, INTERCEPT):
        return 2
    if structure in (CSH, AR1H):
        return m + 1
    if structure in (TOEP, AD):
        return m
    if structure == SLOPE:
        return 4
    return 2 * m - 1


@inner
def n_scales(structure, m):
    """Number of leading parameters that are log scales, of a structure other than ``US``."""
    if structure in (CSH, AR1H, TOEPH, ADH):
        return m
    return 1


@inner
def _link(structure, m, x):
    """One correlation parameter to (rho, rho', rho'')."""
    if structure in (CS, CSH):
        a = 1.0 / (m - 1.0) if m > 1 else 1.0
        s = 1.0 / (1.0 + math.exp(-x))
        d = s * (1.0 - s)
        return (1.0 + a) * s - a, (1.0 + a) * d, (1.0 + a) * d * (1.0 - 2.0 * s)
    if structure == SP_EXP:
        s = 1.0 / (1.0 + math.exp(-x))
        d = s * (1.0 - s)
        return s, d, d * (1.0 - 2.0 * s)
    q = 1.0 + x * x
    root = math.sqrt(q)
    return x / root, 1.0 / (q * root), -3.0 * x / (q * q * root)


@inner
def unlink(structure, m, rho):
    """The parameter whose correlation is ``rho``, kept away from the bounds."""
    if structure in (CS, CSH):
        a = 1.0 / (m - 1.0) if m > 1 else 1.0
        s = min(max((rho + a) / (1.0 + a), 0.01), 0.99)
        return math.log(s / (1.0 - s))
    if structure == SP_EXP:
        s = min(max(rho, 0.01), 0.99)
        return math.log(s / (1.0 - s))
    r = min(max(rho, -0.97), 0.97)
    return r / math.sqrt(1.0 - r * r)


@inner
def _power(base, expo):
    """``base ** expo`` for a base that may be negative when ``expo`` is whole; 0 ** 0 = 1."""
    if expo == 0.0:
        return 1.0
    if base > 0.0:
        return base**expo
    if base == 0.0:
        return 0.0
    whole = round(expo)
    r = (-base) ** expo
    return -r if int(whole) % 2 != 0 else r


@inner
def lag_power(structure, m, x, d):
    """rho^d and its first two derivatives in x."""
    rho, r1, r2 = _link(structure, m, x)
    v = _power(rho, d)
    if d == 0.0:
        return 1.0, 0.0, 0.0
    first = d * _power(rho, d - 1.0)
    second = 0.0 if d == 1.0 else d * (d - 1.0) * _power(rho, d - 2.0)
    return v, first * r1, second * r1 * r1 + first * r2


@inner
def correlations(structure, m, x, coords, r, dr, d2r, derivatives):
    """Correlation matrix ``r`` (m, m); with ``derivatives`` also ``dr`` (nc, m, m) and ``d2r`` (nc, nc, m, m)."""
    nc = x.shape[0]
    for a in range(m):
        r[a, a] = 1.0
    if derivatives:
        dr[:nc] = 0.0
        d2r[:nc, :nc] = 0.0
    for a in range(m):
        for b in range(a):
            v = 0.0
            if structure in (CS, CSH):
                v, d1, d2 = _link(structure, m, x[0])
                if derivatives:
                    dr[0, a, b] = d1
                    d2r[0, 0, a, b] = d2
            elif structure in (AR1, AR1H, SP_EXP):
                lag = abs(coords[a] - coords[b]) if structure == SP_EXP else float(a - b)
                v, d1, d2 = lag_power(structure, m, x[0], lag)
                if derivatives:
                    dr[0, a, b] = d1
                    d2r[0, 0, a, b] = d2
            elif structure in (TOEP, TOEPH):
                k = a - b - 1
                v, d1, d2 = _link(structure, m, x[k])
                if derivatives:
                    dr[k, a, b] = d1
                    d2r[k, k, a, b] = d2
            else:
                v = 1.0
                for k in range(b, a):
                    v *= _link(structure, m, x[k])[0]
                if derivatives:
                    for k in range(b, a):
                        rest = 1.0
                        for j in range(b, a):
                            if j != k:
                                rest *= _link(structure, m, x[j])[0]
                        _rho, d1, d2 = _link(structure, m, x[k])
                        dr[k, a, b] = rest * d1
                        d2r[k, k, a, b] = rest * d2
                        for l in range(b, k):  # noqa: E741
                            rest = d1 * _link(structure, m, x[l])[1]
                            for j in range(b, a):
                                if j != k and j != l:
                                    rest *= _link(structure, m, x[j])[0]
                            d2r[k, l, a, b] = rest
                            d2r[l, k, a, b] = rest
            r[a, b] = v
            r[b, a] = v
    if derivatives:
        for k in range(nc):
            for a in range(m):
                for b in range(a):
                    dr[k, b, a] = dr[k, a, b]
            for l in range(nc):  # noqa: E741
                for a in range(m):
                    for b in range(a):
                        d2r[k, l, b, a] = d2r[k, l, a, b]


@inner
def _random_basis(structure, coords, a, b, out):
    """Coefficients of element (a, b) on the natural parameters: D11, D21, D22, sd^2."""
    same = 1.0 if a == b else 0.0
    if structure == SLOPE:
        out[0] = 1.0
        out[1] = (coords[a] + coords[b]).real
        out[2] = (coords[a] * coords[b]).real
        out[3] = same
    else:
        out[0] = 1.0
        out[1] = same


@inner
def natural_jacobian(structure, theta, out):
    """d natural / d theta of a random-effects structure: (D11, D21, D22, sd^2) or (D11, sd^2)."""
    nt = theta.shape[0]
    for i in range(nt):
        for j in range(nt):
            out[i, j] = 0.0
    out[0, 0] = 2.0 * theta[0]
    if structure == SLOPE:
        out[1, 0] = theta[1]
        out[1, 1] = theta[0]
        out[2, 1] = 2.0 * theta[1]
        out[2, 2] = 2.0 * theta[2]
    out[nt - 1, nt - 1] = 2.0 * math.exp(2.0 * theta[nt - 1])


@kernel
def natural(structure, theta, out):
    """Natural parameters of a random-effects structure."""
    nt = theta.shape[0]
    out[0] = theta[0] * theta[0]
    if structure == SLOPE:
        out[1] = theta[0] * theta[1]
        out[2] = theta[1] * theta[1] + theta[2] * theta[2]
    out[nt - 1] = math.exp(2.0 * theta[nt - 1])


@kernel
def covariance(structure, m, theta, coords, sigma, work):
    """``sigma`` (m, m) at ``theta``; ``work`` (m, m) is scratch and keeps L of ``US``."""
    if structure is None:
        k = m
        for a in range(m):
            s = math.exp(theta[a])
            for b in range(a):
                work[a, b] = s * theta[k]
                work[b, a] = 0.0
                k += 1
            work[a, a] = s
        for a in range(m):
            for b in range(a + 1):
                t = 0.0
                for c in range(b + 1):
                    t += work[a, c] * work[b, c]
                sigma[a, b] = t
                sigma[b, a] = t
        return
    if structure in (SLOPE, INTERCEPT):
        nt = theta.shape[0]
        nat = np.empty(nt)
        basis = np.empty(nt)
        natural(structure, theta, nat)
        for a in range(m):
            for b in range(a + 1):
                _random_basis(structure, coords, a, b, basis)
                t = 0.0
                for j in range(nt):
                    t += basis[j] * nat[j]
                sigma[a, b] = t
                sigma[b, a] = t
        return
    ns = n_scales(structure, m)
    none = np.empty((0, 0, 0))
    none4 = np.empty((0, 0, 0, 0))
    correlations(structure, m, theta[ns:], coords, work, none, none4, False)
    for a in range(m):
        for b in range(a + 1):
            if ns == m and structure != SP_EXP and m > 1:
                s = math.exp(theta[a] + theta[b])
            elif structure == SP_EXP:
                s = math.exp(theta[0])
            else:
                s = math.exp(2.0 * theta[0])
            sigma[a, b] = s * work[a, b]
            sigma[b, a] = sigma[a, b]


@kernel
def jacobian(structure, m, theta, coords, sigma, jac, jn, ji):
    """``jac`` (e, t) at ``theta``, with the columns that are not zero in ``ji[e, :jn[e]]``."""
    ne = m * (m + 1) // 2
    nt = theta.shape[0]
    for e in range(ne):
        for t in range(nt):
            jac[e, t] = 0.0
    if structure is None:
        # sigma_ab = s_a s_b sum_c L_ac L_bc; the row of L_ac starts at m + a (a - 1) / 2
        for a in range(m):
            for b in range(a + 1):
                e = a * (a + 1) // 2 + b
                jac[e, a] += sigma[a, b]
                jac[e, b] += sigma[a, b]
                scale = math.exp(theta[a] + theta[b])
                ra = m + a * (a - 1) // 2
                rb = m + b * (b - 1) // 2
                for c in range(b + 1):
                    lbc = 1.0 if c == b else theta[rb + c]
                    lac = 1.0 if c == a else theta[ra + c]
                    if c < a:
                        jac[e, ra + c] += scale * lbc
                    if c < b:
                        jac[e, rb + c] += scale * lac
    elif structure in (SLOPE, INTERCEPT):
        basis = np.empty(nt)
        inner = np.empty((nt, nt))
        natural_jacobian(structure, theta, inner)
        for a in range(m):
            for b in range(a + 1):
                e = a * (a + 1) // 2 + b
                _random_basis(structure, coords, a, b, basis)
                for t in range(nt):
                    for j in range(nt):
                        jac[e, t] += basis[j] * inner[j, t]
    else:
        ns = n_scales(structure, m)
        nc = nt - ns
        r = np.empty((m, m))
        dr = np.empty((nc, m, m))
        d2r = np.empty((nc, nc, m, m))
        correlations(structure, m, theta[ns:], coords, r, dr, d2r, True)
        for a in range(m):
            for b in range(a + 1):
                e = a * (a + 1) // 2 + b
                if structure == SP_EXP:
                    jac[e, 0] = sigma[a, b]
                    scale = math.exp(theta[0])
                elif ns == m and m > 1:
                    jac[e, a] += sigma[a, b]
                    jac[e, b] += sigma[a, b]
                    scale = math.exp(theta[a] + theta[b])
                else:
                    jac[e, 0] = 2.0 * sigma[a, b]
                    scale = math.exp(2.0 * theta[0])
                for k in range(nc):
                    jac[e, ns + k] = scale * dr[k, a, b]
    for e in range(ne):
        n = 0
        for t in range(nt):
            if jac[e, t] != 0.0:
                ji[e, n] = t
                n += 1
        jn[e] = n


@inner
def _curvature_of_scales(m, sigma, g, out):
    """The part of :func:`curvature` that comes from one log scale a visit, added to ``out``."""
    for a in range(m):
        t = 0.0
        for b in range(m):
            v = g[a, b] * sigma[a, b]
            t += v
            out[a, b] += 2.0 * v
        out[a, a] += 2.0 * t


@kernel
def curvature(structure, m, theta, coords, sigma, g, out):
    """``out[k, l] = sum_ab g[a, b] d2 Sigma[a, b] / d theta_k d theta_l`` for a symmetric ``g`` (m, m)."""
    nt = theta.shape[0]
    for k in range(nt):
        for l in range(nt):  # noqa: E741
            out[k, l] = 0.0
    if structure is None:
        _curvature_of_scales(m, sigma, g, out)
        low = np.zeros((m, m))
        h = np.empty((m, m))
        k = m
        for a in range(m):
            low[a, a] = 1.0
            for b in range(a):
                low[a, b] = theta[k]
                k += 1
        for a in range(m):
            for b in range(m):
                h[a, b] = g[a, b] * math.exp(theta[a] + theta[b])
        for r in range(m):
            row = m + r * (r - 1) // 2
            for c in range(r):
                t = 0.0
                for b in range(c, m):
                    t += h[r, b] * low[b, c]
                for a in range(m):
                    v = 2.0 * h[r, a] * low[a, c]
                    if a == r:
                        v += 2.0 * t
                    out[a, row + c] += v
                    out[row + c, a] += v
                for r2 in range(c + 1, m):
                    out[row + c, m + r2 * (r2 - 1) // 2 + c] += 2.0 * h[r, r2]
        return
    if structure in (SLOPE, INTERCEPT):
        basis = np.empty(nt)
        gn = np.zeros(nt)
        for a in range(m):
            for b in range(m):
                _random_basis(structure, coords, max(a, b), min(a, b), basis)
                for j in range(nt):
                    gn[j] += g[a, b] * basis[j]
        out[0, 0] = 2.0 * gn[0]
        if structure == SLOPE:
            out[0, 1] = gn[1]
            out[1, 0] = gn[1]
            out[1, 1] = 2.0 * gn[2]
            out[2, 2] = 2.0 * gn[2]
        out[nt - 1, nt - 1] = 4.0 * math.exp(2.0 * theta[nt - 1]) * gn[nt - 1]
        return
    ns = n_scales(structure, m)
    heterogeneous = ns == m and m > 1
    if heterogeneous:
        _curvature_of_scales(m, sigma, g, out)
    else:
        t = 0.0
        for a in range(m):
            for b in range(m):
                t += g[a, b] * sigma[a, b]
        out[0, 0] = t if structure == SP_EXP else 4.0 * t
    nc = nt - ns
    r = np.empty((m, m))
    dr = np.empty((nc, m, m))
    d2r = np.empty((nc, nc, m, m))
    correlations(structure, m, theta[ns:], coords, r, dr, d2r, True)
    for a in range(m):
        for b in range(m):
            if a == b:
                continue
            if heterogeneous:
                h = g[a, b] * math.exp(theta[a] + theta[b])
            elif structure == SP_EXP:
                h = g[a, b] * math.exp(theta[0])
            else:
                h = g[a, b] * math.exp(2.0 * theta[0])
            for k in range(nc):
                v = h * dr[k, a, b]
                if v != 0.0:
                    if heterogeneous:
                        out[a, ns + k] += 2.0 * v
                        out[ns + k, a] += 2.0 * v
                    else:
                        w = v if structure == SP_EXP else 2.0 * v
                        out[0, ns + k] += w
                        out[ns + k, 0] += w
                for l in range(nc):  # noqa: E741
                    out[ns + k, ns + l] += h * d2r[k, l, a, b]


@kernel
def second_sum(structure, m, theta, coords, sigma, w, out):
    """``out[a, b] = sum_kl w[k, l] d2 Sigma[a, b] / d theta_k d theta_l`` (m, m) for a symmetric ``w``.

    One call of :func:`curvature` an element: exact, used once per fit (the R term of Kenward & Roger 1997).
    Random-effects structures enter Kenward-Roger in their natural parameters, where the term is zero.
    """
    if structure is None:
        low = np.zeros((m, m))
        k = m
        for a in range(m):
            low[a, a] = 1.0
            for b in range(a):
                low[a, b] = theta[k]
                k += 1
        for a in range(m):
            ra = m + a * (a - 1) // 2
            for b in range(a + 1):
                rb = m + b * (b - 1) // 2
                t = sigma[a, b] * (w[a, a] + 2.0 * w[a, b] + w[b, b])
                u = 0.0
                for c in range(b + 1):
                    if c < a:
                        u += 2.0 * (w[a, ra + c] + w[b, ra + c]) * low[b, c]
                    if c < b:
                        u += 2.0 * (w[a, rb + c] + w[b, rb + c]) * low[a, c]
                        u += 2.0 * w[ra + c, rb + c]
                t += math.exp(theta[a] + theta[b]) * u
                out[a, b] = t
                out[b, a] = t
        return
    nt = theta.shape[0]
    if structure in (SLOPE, INTERCEPT):
        for a in range(m):
            for b in range(m):
                out[a, b] = 0.0
        return
    g = np.zeros((m, m))
    d2 = np.empty((nt, nt))
    for a in range(m):
        for b in range(a + 1):
            g[a, b] = 0.5
            g[b, a] = 0.5
            if a == b:
                g[a, a] = 1.0
            curvature(structure, m, theta, coords, sigma, g, d2)
            t = 0.0
            for k in range(nt):
                for l in range(nt):  # noqa: E741
                    t += w[k, l] * d2[k, l]
            out[a, b] = t
            out[b, a] = t
            g[a, b] = 0.0
            g[b, a] = 0.0
