"""Restricted (or full) maximum likelihood for repeated measures, by Newton-type scoring on pattern statistics.

Model: y_i = X_i beta + e_i with Var(e_i) = the rows and columns of Sigma(theta) observed for subject i. Notation:
A_k = V_k^-1 of pattern k (zero at visits not observed), Phi = (sum X' A X)^-1, r = y - X beta,
R_k = sum r r', H_k = sum X Phi X' over the subjects of pattern k, E_e = d Sigma / d (element e).

    dl / ds_e            = 1/2 sum_k tr(E_e A_k (R_k + H_k - n_k V_k) A_k)                     (H_k absent for ML)
    - d2l / ds_e ds_f    = sum_k tr(E_e A_k E_f A_k (R_k + H_k - n_k V_k / 2) A_k)
                           - 1/2 tr(Phi P_e Phi P_f) - v_e' Phi v_f,
    P_e = sum X' A E_e A X,   v_e = sum X' A E_e A r

(Harville 1977, JASA 72:320; Jennrich & Schluchter 1986, Biometrics 42:805). Steps use a cheap approximation: the trace
of the last line is replaced by its expectation under complete data, which halves H_k; it is exact there, and needs no
P_e. Where those who leave differ from those who stay, v_e' Phi v_f is as large as the first line, and steps without it
are many; it is left out where it leaves no positive definite matrix. The exact matrix is formed at the optimum, gives
the last step, and is the information behind Satterthwaite and Kenward-Roger inference. Parameters are mapped from
elements to theta by the chain rule (mmrm_covariance).
"""

from __future__ import annotations

import math

import numpy as np

from equipoise.estimate.linear.kernels.mmrm_covariance import (
    INTERCEPT,
    SLOPE,
    covariance,
    curvature,
    jacobian,
    n_parameters,
)
from equipoise.estimate.linear.kernels.mmrm_derivatives import derivative_products, score_products
from equipoise.estimate.linear.kernels.mmrm_design import cross_products, response_products, second_moments
from equipoise.estimate.linear.kernels.mmrm_start import start_covariance, start_parameters
from equipoise.numerics.compiler import inner, kernel
from equipoise.numerics.linalg import cholesky, newton_step, solve_cholesky
from equipoise.numerics.status import NOT_CONVERGED, OK, SINGULAR

LOGLIK, DECREMENT, GRADIENT, ITERATIONS, MIN_EIGEN = range(5)
N_INFO = 5


@inner
def _invert_patterns(sigma, obs, nobs, group, inverse, logdet, chol, sub):
    """``inverse`` (pattern, visit, visit) of the observed blocks, zero elsewhere; False if one is singular."""
    n_patterns, m = obs.shape
    column = np.empty(m)
    for k in range(n_patterns):
        n = nobs[k]
        g = group[k]
        for i in range(n):
            for j in range(n):
                sub[i, j] = sigma[g, obs[k, i], obs[k, j]]
        if not cholesky(sub, n, chol):
            return False
        t = 0.0
        for i in range(n):
            t += 2.0 * math.log(chol[i, i])
        logdet[k] = t
        for a in range(m):
            for b in range(m):
                inverse[k, a, b] = 0.0
        for j in range(n):
            for i in range(n):
                column[i] = 0.0
            column[j] = 1.0
            solve_cholesky(chol, n, column)
            for i in range(n):
                inverse[k, obs[k, i], obs[k, j]] = column[i]
        for i in range(n):
            for j in range(i):
                t = 0.5 * (inverse[k, obs[k, i], obs[k, j]] + inverse[k, obs[k, j], obs[k, i]])
                inverse[k, obs[k, i], obs[k, j]] = t
                inverse[k, obs[k, j], obs[k, i]] = t
    return True


@inner
def _evaluate(
    data, by_row, structure, reml, theta, coords, n_groups, sigma, inverse, logdet, scratch, gram, chol, rhs, beta
):
    """Log-likelihood at ``theta`` (without constants); -inf where it does not exist. Fills beta and Cholesky(X'AX)."""
    obs, nobs, count, group = data[1], data[2], data[3], data[4]
    n_patterns, m = obs.shape
    nt = n_parameters(structure, m)
    p = beta.shape[0]
    for g in range(n_groups):
        covariance(structure, m, theta[g * nt : (g + 1) * nt], coords, sigma[g], scratch[0])
        for a in range(m):
            if not math.isfinite(sigma[g, a, a]):
                return -np.inf
        if not cholesky(sigma[g], m, scratch[1]):
            return -np.inf
    if not _invert_patterns(sigma, obs, nobs, group, inverse, logdet, scratch[0], scratch[1]):
        return -np.inf
    cross_products(data, by_row, inverse, gram)
    total = response_products(data, by_row, inverse, rhs)
    if not cholesky(gram, p, chol):
        return -np.inf
    for c in range(p):
        beta[c] = rhs[c]
    solve_cholesky(chol, p, beta)
    ll = 0.0
    for k in range(n_patterns):
        ll += count[k] * logdet[k]
    ll += total
    for c in range(p):
        ll -= rhs[c] * beta[c]
        if reml:
            ll += 2.0 * math.log(chol[c, c])
    return -0.5 * ll


@inner
def inverse_factor(chol, p, linv):
    """``linv`` = inverse of the lower triangular ``chol``."""
    for i in range(p):
        for j in range(p):
            linv[i, j] = 0.0
    for i in range(p):
        d = 1.0 / chol[i, i]
        for j in range(i):
            v = chol[i, j]
            if v != 0.0:
                for c in range(j + 1):
                    linv[i, c] -= v * linv[j, c]
        for c in range(i):
            linv[i, c] *= d
        linv[i, i] = d


@inner
def outer_inverse(linv, p, out):
    """``out`` = linv' linv."""
    for i in range(p):
        for j in range(p):
            out[i, j] = 0.0
    for k in range(p):
        for i in range(k + 1):
            v = linv[k, i]
            if v != 0.0:
                for j in range(k + 1):
                    out[i, j] += v * linv[k, j]


@inner
def _sandwich(a, b, obs, n, half, out):
    """``out`` = a b a over the observed visits (symmetric)."""
    for i in range(n):
        for j in range(n):
            half[i, j] = 0.0
        for l in range(n):  # noqa: E741
            v = a[obs[i], obs[l]]
            for j in range(n):
                half[i, j] += v * b[obs[l], obs[j]]
    for i in range(n):
        for j in range(i + 1):
            t = 0.0
            for l in range(n):  # noqa: E741
                t += half[i, l] * a[obs[l], obs[j]]
            out[obs[i], obs[j]] = t
            out[obs[j], obs[i]] = t


@inner
def _pack(obs, n, a, out):
    """``out`` (element,) = the observed elements of a symmetric matrix, zero elsewhere."""
    out[:] = 0.0
    for i in range(n):
        for j in range(i + 1):
            out[obs[i] * (obs[i] + 1) // 2 + obs[j]] = a[obs[i], obs[j]]


@inner
def _sum_of_traces(m, a, b, out):
    """``out`` (element, element) = sum_k tr(E_e A_k E_f B_k) (upper triangle), from packed ``a``, ``b`` (k, element).

    Every trace is a sum of four products of an element of A with one of B, whose sums over k are one matrix product.
    """
    ne = a.shape[1]
    products = np.zeros((ne, ne))
    for e in range(ne):
        row = products[e]
        for k in range(a.shape[0]):
            v = a[k, e]
            if v != 0.0:
                for f in range(ne):
                    row[f] += v * b[k, f]
    pair = np.empty((m, m), np.int64)
    for i in range(m):
        for j in range(i + 1):
            pair[i, j] = i * (i + 1) // 2 + j
            pair[j, i] = pair[i, j]
    for i in range(m):
        for j in range(i + 1):
            e = pair[i, j]
            # elements with equal visits are counted twice by the four terms
            scale = 0.5 if i == j else 1.0
            for c in range(i, m):
                jc, ic = products[pair[j, c]], products[pair[i, c]]
                for d in range(j if c == i else 0, c + 1):
                    t = jc[pair[i, d]] + ic[pair[j, d]] + products[pair[j, d], pair[i, c]]
                    t += products[pair[i, d], pair[j, c]]
                    out[e, pair[c, d]] = scale * t if d < c else 0.5 * scale * t


@inner
def _to_parameters(full, jac, jn, ji, work, out):
    """``out`` (t, t) = jac' full jac for a symmetric ``full`` given by its upper triangle."""
    ne, nt = jac.shape
    for e in range(ne):
        for f in range(e):
            full[e, f] = full[f, e]
    turned = np.zeros((nt, ne))  # rows along which the sums run, so that a loop reads what lies side by side
    for f in range(ne):
        for s in range(jn[f]):
            t = ji[f, s]
            v = jac[f, t]
            row, line = turned[t], full[f]
            for e in range(ne):
                row[e] += line[e] * v
    for e in range(ne):
        for t in range(nt):
            work[e, t] = turned[t, e]
    for t in range(nt):
        for s in range(nt):
            out[t, s] = 0.0
    for e in range(ne):
        for s in range(jn[e]):
            t = ji[e, s]
            v = jac[e, t]
            for c in range(nt):
                out[t, c] += v * work[e, c]


@inner
def _score(data, model, theta, work, gradient):
    """Gradient in theta; ``d`` of ``work`` becomes A (R + H) A - n A and ``gs`` the gradient in Sigma."""
    structure, reml, coords, n_groups = model
    sigma, inverse, rr, xpx, d, gs, jac, jn, ji, _element = work
    half = np.empty((inverse.shape[1], inverse.shape[1]))
    obs, nobs, count, group = data[1], data[2], data[3], data[4]
    n_patterns, m = obs.shape
    nt = n_parameters(structure, m)
    gs[:] = 0.0
    total = np.empty((m, m))
    for k in range(n_patterns):
        n = nobs[k]
        for i in range(n):
            for j in range(n):
                a = obs[k, i]
                b = obs[k, j]
                total[a, b] = rr[k, a, b] + (xpx[k, a, b] if reml else 0.0)
        _sandwich(inverse[k], total, obs[k], n, half, d[k])
        for i in range(n):
            for j in range(n):
                a = obs[k, i]
                b = obs[k, j]
                d[k, a, b] -= count[k] * inverse[k, a, b]
                gs[group[k], a, b] += 0.5 * d[k, a, b]
    for t in range(gradient.shape[0]):
        gradient[t] = 0.0
    for g in range(n_groups):
        jacobian(structure, m, theta[g * nt : (g + 1) * nt], coords, sigma[g], jac[g], jn[g], ji[g])
        for a in range(m):
            for b in range(a + 1):
                e = a * (a + 1) // 2 + b
                v = gs[g, a, b] if a == b else 2.0 * gs[g, a, b]
                for s in range(jn[g, e]):
                    t = ji[g, e, s]
                    gradient[g * nt + t] += v * jac[g, e, t]


@inner
def _information(data, model, kind, theta, work, out):
    """Negative Hessian in theta without the terms in P_e and v_e.

    ``kind``: 0 the expected information of maximum likelihood (always positive definite), 1 and 4 the approximation of
    the module docstring, 2 the exact first line, 3 the expected information of REML without its last term.
    """
    structure, reml, coords, n_groups = model
    sigma, inverse, rr, xpx, d, gs, jac, jn, ji, element = work
    obs, nobs, count, group = data[1], data[2], data[3], data[4]
    n_patterns, m = obs.shape
    nt = n_parameters(structure, m)
    ne = m * (m + 1) // 2
    approximate = kind == 1 or kind == 4
    b = np.zeros((m, m))
    half = np.empty((m, m))
    weight = np.empty((m, m))
    wide = np.empty((ne, nt))
    small = np.empty((nt, nt))
    curve = np.empty((nt, nt))
    for t in range(out.shape[0]):
        for s in range(out.shape[0]):
            out[t, s] = 0.0
    packed_a = np.empty((n_patterns, ne))
    packed_b = np.empty((n_patterns, ne))
    for g in range(n_groups):
        used = 0
        for k in range(n_patterns):
            if group[k] != g:
                continue
            n = nobs[k]
            for i in range(n):
                for j in range(n):
                    a = obs[k, i]
                    c = obs[k, j]
                    weight[a, c] = rr[k, a, c] + 0.5 * xpx[k, a, c] if approximate else xpx[k, a, c]
            if reml and (approximate or kind == 3):
                _sandwich(inverse[k], weight, obs[k], n, half, b)
            for i in range(n):
                for j in range(n):
                    a = obs[k, i]
                    c = obs[k, j]
                    v = count[k] * inverse[k, a, c]
                    if kind == 0 or (kind == 3 and not reml):
                        b[a, c] = 0.5 * v
                    elif kind == 2 or (approximate and not reml):
                        b[a, c] = d[k, a, c] + 0.5 * v
                    elif approximate:
                        b[a, c] -= 0.5 * v
                    else:
                        b[a, c] = 0.5 * v - b[a, c]
            _pack(obs[k], n, inverse[k], packed_a[used])
            _pack(obs[k], n, b, packed_b[used])
            used += 1
        _sum_of_traces(m, packed_a[:used], packed_b[:used], element)
        _to_parameters(element, jac[g], jn[g], ji[g], wide, small)
        if approximate or kind == 2:
            curvature(structure, m, theta[g * nt : (g + 1) * nt], coords, sigma[g], gs[g], curve)
            for t in range(nt):
                for s in range(nt):
                    small[t, s] -= curve[t, s]
        for t in range(nt):
            for s in range(nt):
                out[g * nt + t, g * nt + s] = small[t, s]


@inner
def _elements_to_parameters(elements, jac, jn, ji, n_groups, work, out):
    """``out`` (row, t) = the transpose of ``elements`` (element, row) times the Jacobians; ``work`` (t, row)."""
    rows = elements.shape[1]
    ne, nt = jac.shape[1], jac.shape[2]
    for t in range(n_groups * nt):
        for r in range(rows):
            work[t, r] = 0.0
    for g in range(n_groups):
        for e in range(ne):
            for s in range(jn[g, e]):
                t = ji[g, e, s]
                v = jac[g, e, t]
                for r in range(rows):
                    work[g * nt + t, r] += v * elements[g * ne + e, r]
    for t in range(n_groups * nt):
        for r in range(rows):
            out[r, t] = work[t, r]


@inner
def add_gram(rows, scale, out):
    """``out`` += scale * rows' rows (symmetric). Four rows at a time: a sum is loaded and stored once for them; and
    longer than the lower triangle, as loops of whole vectors run faster.
    """
    n, nt = rows.shape
    whole = n - n % 4
    for r in range(0, whole, 4):
        r0, r1, r2, r3 = rows[r], rows[r + 1], rows[r + 2], rows[r + 3]
        for t in range(nt):
            v0, v1, v2, v3 = scale * r0[t], scale * r1[t], scale * r2[t], scale * r3[t]
            line = out[t]
            for s in range(min(nt, t - t % 16 + 16)):
                line[s] += (v0 * r0[s] + v1 * r1[s]) + (v2 * r2[s] + v3 * r3[s])
    for r in range(whole, n):
        for t in range(nt):
            v = scale * rows[r, t]
            for s in range(t + 1):
                out[t, s] += v * rows[r, s]
    for t in range(nt):
        for s in range(t):
            out[s, t] = out[t, s]


@inner
def _whole_information(data, by_row, model, kind, theta, work, beta, linv, packed, out):
    """:func:`_information` with all its terms for ``kind`` 2 (observed) and 3 (expected), which fills ``packed``, and
    with that in v_e for ``kind`` 4.
    """
    _information(data, model, kind, theta, work, out)
    if kind < 2:
        return
    reml, n_groups = model[1], model[3]
    jac, jn, ji = work[6], work[7], work[8]
    p = beta.shape[0]
    rows, total = packed.shape
    ne = jac.shape[1]
    if kind != 3:  # - v' Phi v
        scores = np.empty((n_groups * ne, p))
        score_products(data, by_row, work[1], beta, linv, scores)
        turned = np.empty((total, p))
        own = np.empty((p, total))
        _elements_to_parameters(scores, jac, jn, ji, n_groups, turned, own)
        add_gram(own, -1.0, out)
    if kind == 4:
        return
    raw = np.empty((n_groups * ne, rows))
    derivative_products(data, by_row, work[1], beta, linv, raw)
    turn = np.empty((total, rows))
    _elements_to_parameters(raw, jac, jn, ji, n_groups, turn, packed)
    if reml:  # - 1/2 tr(Phi P Phi P), or + in the expected information
        add_gram(packed, 0.5 if kind == 3 else -0.5, out)


@kernel
def fit(
    data,
    by_row,
    structure,
    reml,
    expected,
    coords,
    n_groups,
    start,
    tolerance,
    max_steps,
    theta,
    beta,
    linv,
    sigma,
    inverse,
    packed,
    information,
    gradient,
    info,
):
    """Fit one trial; returns a status.

    ``data`` and ``by_row``: of mmrm_design; ``structure``: of mmrm_covariance.
    ``start``: whether ``theta`` holds starting values. ``tolerance`` is on the Newton decrement, the squared length of
    a step in standard errors of theta, before the last (exact) step. On return ``theta`` (group * t,), ``beta`` (p,),
    ``linv`` (p, p) with Phi = linv' linv, ``sigma`` (group, m, m), ``inverse`` (pattern, m, m), ``packed``
    (p (p + 1) / 2, group * t) the derivatives of X'V^-1X by theta in the frame of linv (sign reversed), ``information``
    (t, t) the observed (or ``expected``) information, ``gradient``, and ``info``: log-likelihood without constants,
    last decrement, largest gradient, steps, smallest share of a visit's variance left by the visits before it.
    """
    n_patterns, m = data[1].shape
    p = beta.shape[0]
    nt = n_parameters(structure, m)
    total = n_groups * nt
    ne = m * (m + 1) // 2
    model = (structure, reml, coords, n_groups)
    logdet = np.empty(n_patterns)
    scratch = np.empty((2, m, m))
    gram = np.empty((p, p))
    chol = np.empty((p, p))
    rhs = np.empty(p)
    phi = np.empty((p, p))
    rr = np.empty((n_patterns, m, m))
    xpx = np.empty((n_patterns, m, m))
    work = (
        sigma,
        inverse,
        rr,
        xpx,
        np.zeros((n_patterns, m, m)),
        np.empty((n_groups, m, m)),
        np.empty((n_groups, ne, nt)),
        np.empty((n_groups, ne), np.int64),
        np.empty((n_groups, ne, nt), np.int64),
        np.empty((ne, ne)),
    )
    factor = np.empty((total, total))
    step = np.empty(total)
    trial = np.empty(total)
    for i in range(N_INFO):
        info[i] = np.nan
    if not start:
        start_covariance(data, n_groups, sigma)
        for g in range(n_groups):
            start_parameters(structure, m, sigma[g], coords, theta[g * nt : (g + 1) * nt])
    ll = -np.inf
    status = NOT_CONVERGED
    slow = 0
    previous = np.inf
    scale = 0.0
    decrement = 0.0
    fresh = False
    info[ITERATIONS] = 0.0
    for t in range(total):
        step[t] = 0.0
        trial[t] = theta[t]
    for iteration in range(max_steps + 1):
        # the first pass evaluates the start, the others move along the step
        moved = False
        for _halving in range(40):
            for t in range(total):
                trial[t] = theta[t] + scale * step[t]
            new = _evaluate(
                data,
                by_row,
                structure,
                reml,
                trial,
                coords,
                n_groups,
                sigma,
                inverse,
                logdet,
                scratch,
                gram,
                chol,
                rhs,
                beta,
            )
            small = decrement < 1e-6 and new >= ll - 1e-7 * (1.0 + abs(ll))
            if math.isfinite(new) and (iteration == 0 or small or new >= ll + 1e-4 * scale * decrement):
                moved = True
                break
            if iteration == 0:
                return SINGULAR
            scale *= 0.5
        if moved:
            for t in range(total):
                theta[t] = trial[t]
            ll = new
            if decrement > 0.3 * previous:
                slow += 1
            if iteration > 0:
                previous = decrement
        elif slow >= 6:
            break
        else:
            slow += 3
            _evaluate(
                data,
                by_row,
                structure,
                reml,
                theta,
                coords,
                n_groups,
                sigma,
                inverse,
                logdet,
                scratch,
                gram,
                chol,
                rhs,
                beta,
            )
        inverse_factor(chol, p, linv)
        outer_inverse(linv, p, phi)
        second_moments(data, by_row, beta, phi, rr, xpx)
        _score(data, model, theta, work, gradient)
        if status == OK or iteration == max_steps:
            break
        info[ITERATIONS] = iteration + 1.0
        kind = 2 if slow >= 3 or iteration > 25 else 4
        ridge = False
        while True:
            _whole_information(data, by_row, model, kind, theta, work, beta, linv, packed, information)
            if ridge:
                for t in range(total):
                    information[t, t] = 1.1 * information[t, t] + 1e-8
            decrement = newton_step(information, gradient, information.shape[0], factor, step)
            if (kind == 1 or kind == 4) and decrement < tolerance:
                kind = 2
            elif decrement >= 0.0 or ridge:
                break
            elif kind > 0:
                # not concave here; the expected information of maximum likelihood always is, up to rounding
                kind = 1 if kind == 4 else 0
            else:
                ridge = True
        fresh = kind == 2
        if not decrement >= 0.0:
            break
        if fresh and decrement < tolerance:
            status = OK
            if decrement < 1e-24:
                info[DECREMENT] = decrement
                break
        info[DECREMENT] = decrement
        largest = 0.0
        for t in range(total):
            largest = max(largest, abs(step[t]))
        random = structure is not None and structure in (SLOPE, INTERCEPT)
        scale = 1.0 if largest <= 3.0 or random else 3.0 / largest
    if expected or not fresh:
        _whole_information(data, by_row, model, 3 if expected else 2, theta, work, beta, linv, packed, information)
    info[LOGLIK] = ll
    largest = 0.0
    for t in range(total):
        largest = max(largest, abs(gradient[t]))
    info[GRADIENT] = largest
    smallest = np.inf
    for g in range(n_groups):
        if not cholesky(sigma[g], m, scratch[0]):
            return SINGULAR if status == OK else status
        for a in range(m):
            smallest = min(smallest, scratch[0, a, a] ** 2 / sigma[g, a, a])
    info[MIN_EIGEN] = smallest
    return status
