"""Proportional win-fractions regression over a block of trials (Mao & Wang 2021, Biometrics 77:1272).

The model: of two patients with covariates ``z_i`` and ``z_j``, the odds that ``i`` wins, given that one of them does,
are ``exp(beta'(z_i - z_j))``, whatever the time up to which they are compared. With ``r_ij`` 1 where the pair was
decided within the follow-up of both, ``w_ij`` 1 where ``i`` won and ``mu_ij`` the probability above, ``beta`` solves
(their weight ``h = 1``)

    U(beta) = sum_{i < j} (z_i - z_j) r_ij (w_ij - mu_ij) = 0.

``U`` is a U-statistic, so that patients and not pairs are independent: with ``psi_i = sum_j (z_i - z_j) r_ij (w_ij -
mu_ij)`` and the information ``A = sum_{i < j} r_ij mu_ij (1 - mu_ij) (z_i - z_j)(z_i - z_j)'``, the covariance of the
estimate is ``n / (n - p - 1) A^-1 (sum_i psi_i psi_i') A^-1``; the factor is that of the authors' package.

In strata (Wang & Mao 2022, Stat Med 41:5305) pairs of one stratum alone are compared, and its terms weigh
``1 / (n_h - 1)``, ``n_h`` its patients, so that a stratum counts as its patients and not as its pairs.

:func:`equipoise.estimate.ranks.kernels.win.count_pairs` and this module share the comparison of two patients.
"""

from __future__ import annotations

import math

import numpy as np

from equipoise.estimate.ranks.kernels.win import compare_pair
from equipoise.numerics.compiler import kernel
from equipoise.numerics.linalg import cholesky, solve_cholesky
from equipoise.numerics.status import BOUNDARY, NO_DATA, NO_EVENTS, NOT_CONVERGED, OK, SINGULAR

MAX_STEPS = 50
TOLERANCE = 1e-10
"""Largest Newton step, in standard errors as the information gives them, at which the estimate has been found."""

RUNAWAY = 40.0
"""A log odds this large of any decided pair means that the covariates separate the winners."""


@kernel
def compare_all(t, include, stratum, value, event, recurrent, kinds, margins, signs, result, layer):
    """Compare all patients of trial ``t`` that are of one stratum: ``result`` (subject, subject) 1 where the first
    wins, -1 or 0; ``layer`` (layer,) the pairs that each outcome decided. Other arguments as :func:`count_pairs`.
    """
    n = result.shape[0]
    layer[:] = 0
    for i in range(n):
        for j in range(i + 1):
            result[i, j] = 0
            result[j, i] = 0
            if i == j or not include[t, i] or not include[t, j] or stratum[t, i] != stratum[t, j]:
                continue
            s = compare_pair(t, i, j, value, event, recurrent, kinds, margins, signs)
            if s != 0:
                result[i, j] = 1 if s > 0 else -1
                result[j, i] = -result[i, j]
                layer[abs(s) - 1] += 1


@kernel
def fit_pairs(result, z, include, weight, beta, vcov):
    """Fit the model to one trial's pairs; returns the status. ``result`` (subject, subject), ``z`` (subject, p),
    ``weight`` (subject,) of the pairs of its stratum.

    ``beta`` (p,) and ``vcov`` (p, p) are filled in, NaN where the status is not 0.
    """
    n, p = z.shape
    beta[:] = math.nan
    vcov[:] = math.nan
    people = 0
    decided = 0
    for i in range(n):
        people += include[i]
        for j in range(i):
            decided += result[i, j] != 0
    if people == 0:
        return NO_DATA
    if decided == 0:
        return NO_EVENTS
    if people <= p + 1:
        return SINGULAR
    b = np.zeros(p)
    d = np.empty(p)
    score = np.empty(p)
    step = np.empty(p)
    information = np.empty((p, p))
    factor = np.zeros((p, p))
    psi = np.zeros((n, p))
    status = NOT_CONVERGED
    for iteration in range(MAX_STEPS + 1):
        score[:] = 0.0
        information[:] = 0.0
        psi[:] = 0.0
        largest = 0.0
        for i in range(n):
            for j in range(i):
                if result[i, j] == 0:
                    continue
                eta = 0.0
                for a in range(p):
                    d[a] = z[i, a] - z[j, a]
                    eta += d[a] * b[a]
                largest = max(largest, abs(eta))
                mu = 1.0 / (1.0 + math.exp(-eta))
                e = weight[i] * ((1.0 if result[i, j] > 0 else 0.0) - mu)
                v = weight[i] * mu * (1.0 - mu)
                for a in range(p):
                    psi[i, a] += e * d[a]
                    psi[j, a] += e * d[a]
                    score[a] += e * d[a]
                    for c in range(a + 1):
                        information[a, c] += v * d[a] * d[c]
        for a in range(p):
            for c in range(a):
                information[c, a] = information[a, c]
        if largest > RUNAWAY:
            return BOUNDARY
        if not cholesky(information, p, factor):
            return SINGULAR if iteration == 0 else BOUNDARY
        if status == OK:
            break
        for a in range(p):
            step[a] = score[a]
        solve_cholesky(factor, p, step)
        size = 0.0
        for a in range(p):
            b[a] += step[a]
            size += step[a] * score[a]
        # the squared step in the metric of the information; one more pass evaluates everything at the estimate
        if size < TOLERANCE * TOLERANCE:
            status = OK
    if status != OK:
        return status
    scale = people / (people - p - 1.0)
    vcov[:] = 0.0
    for i in range(n):
        for a in range(p):
            step[a] = psi[i, a]
        solve_cholesky(factor, p, step)
        for a in range(p):
            for c in range(p):
                vcov[a, c] += scale * step[a] * step[c]
    for a in range(p):
        beta[a] = b[a]
    return OK


@kernel
def fit_block(include, stratum, weight, value, event, recurrent, kinds, margins, signs, z, beta, vcov, layers, status):
    """Compare and fit every trial of a block. beta (trial, p), vcov (trial, p, p), layers (trial, layer), status."""
    result = np.empty((include.shape[1], include.shape[1]), np.int8)
    for t in range(include.shape[0]):
        compare_all(t, include, stratum, value, event, recurrent, kinds, margins, signs, result, layers[t])
        status[t] = fit_pairs(result, z[t], include[t], weight[t], beta[t], vcov[t])


def win_regression(
    value, covariates, *, kinds, event=None, margins=None, signs=None, include=None, recurrent=None, stratum=None
):
    """Proportional win-fractions regression of every trial of a block.

    Parameters
    ----------
    value, kinds, event, margins, signs, include, recurrent : as in :func:`equipoise.estimate.ranks.kernels.win.count`.
    covariates : (trial, subject, p); a patient with a missing covariate takes no part.
    stratum : (trial, subject) codes; pairs are compared within, weighted by 1 / (patients - 1). None: one stratum.

    Returns
    -------
    beta : (trial, p) log win ratios a unit. vcov : (trial, p, p). layers : (trial, layer) pairs each outcome decided.
    n : (trial,) patients. status : (trial,) ``NO_DATA``, ``NO_EVENTS`` (all pairs tied), ``SINGULAR`` (covariates that
    determine each other, or more of them than patients), ``BOUNDARY`` (the covariates separate winners from losers).
    """
    value = np.ascontiguousarray(value, dtype=np.float64)
    z = np.ascontiguousarray(covariates, dtype=np.float64)
    n_trials, n, n_layers = value.shape
    p = z.shape[2]
    inside = np.ones((n_trials, n), np.bool_) if include is None else np.asarray(include, dtype=np.bool_)
    inside = np.ascontiguousarray(inside & ~np.isnan(z).any(axis=2))
    z = np.where(inside[:, :, None], z, 0.0)
    # centring changes nothing but the size of the numbers
    z -= z.sum(axis=1, keepdims=True) / np.maximum(inside.sum(axis=1), 1)[:, None, None]
    times = np.full((n_trials, n, 0), np.inf) if recurrent is None else recurrent
    code = np.zeros((n_trials, n), np.int64) if stratum is None else np.ascontiguousarray(stratum, dtype=np.int64)
    weight = np.ones((n_trials, n))
    if stratum is not None:
        for t in range(n_trials):
            size = np.bincount(code[t][inside[t]], minlength=int(code[t].max(initial=0)) + 1)
            weight[t] = 1.0 / np.maximum(size[code[t]] - 1, 1)
    beta, vcov = np.empty((n_trials, p)), np.empty((n_trials, p, p))
    layers, status = np.zeros((n_trials, n_layers), np.int64), np.zeros(n_trials, np.int8)
    fit_block(
        inside,
        code,
        weight,
        value,
        np.ones(value.shape, np.bool_) if event is None else np.ascontiguousarray(event, dtype=np.bool_),
        np.ascontiguousarray(times, dtype=np.float64),
        np.ascontiguousarray(kinds, dtype=np.int64),
        np.zeros(n_layers) if margins is None else np.ascontiguousarray(margins, dtype=np.float64),
        np.ones(n_layers, np.int64) if signs is None else np.ascontiguousarray(signs, dtype=np.int64),
        z,
        beta,
        vcov,
        layers,
        status,
    )
    return beta, vcov, layers, inside.sum(axis=1), status
