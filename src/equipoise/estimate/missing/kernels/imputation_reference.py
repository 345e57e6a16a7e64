"""Reference-based multiple imputation of a block of trials.

The parameters are those of :mod:`kernels.imputation`: posterior draws of every visit's regression on the
predictors and the visits before, fitted to what a patient showed before a non-random event. Written out, they are the
mean of each visit given the predictors and one covariance matrix:

    B_v = gamma_v + sum_w b_vw B_w,   S_vw = sum_u b_vu S_uw (w < v),   S_vv = sigma_v^2 + sum_u b_vu S_uv.

The reference arm's mean is the same with the arm changed in the predictors. Patients whose strategy is not MAR are then
imputed by :func:`impute_row`, given all that was observed on them; the others
keep the values drawn with the parameters. The result has the form that the analysis kernels take.
"""

from __future__ import annotations

import math

import numpy as np

from equipoise.estimate.missing.kernels import imputation as imp
from equipoise.estimate.missing.kernels.imputation_strategy import MAR, impute_row
from equipoise.numerics.compiler import kernel
from equipoise.numerics.random import IMPUTATION, STREAM_WORDS, restart_stream

OWN_STREAMS = imp.STREAMS_PER_UNIT // 2
"""Imputation ``k`` draws reference-based values from the stream ``OWN_STREAMS`` after that of its parameters."""


@kernel
def by_reference(
    counts,
    visit,
    who,
    z,
    centre,
    n_fixed,
    first,
    cell,
    coefficients,
    variances,
    y,
    arm_shift,
    ice,
    strategy,
    seed,
    first_replicate,
    unit,
    values,
):
    """Replace in ``values`` (trial, imputation, cell) those of patients whose strategy is not MAR.

    y : (trial, subject, visit) what the analysis keeps, NaN to be imputed. arm_shift : (trial, subject) arm of the
    reference less the own (predictor 1). ice : (trial, subject) first visit affected. Counts cells that cannot be
    imputed as broken.
    """
    n_trials = counts.shape[0]
    n_visits = visit.shape[1]
    q = z.shape[2] - n_visits
    mean = np.empty((n_visits, q))
    sigma = np.empty((n_visits, n_visits))
    row = np.empty(n_visits)
    own_mean = np.empty(n_visits)
    ref_mean = np.empty(n_visits)
    filled = np.empty(n_visits)
    scratch = np.empty(n_visits)
    order = np.empty(n_visits, np.int64)
    work = np.empty((4, n_visits, n_visits))
    stream = np.zeros(STREAM_WORDS, np.uint64)
    for t in range(n_trials):
        m = counts[t, imp.VISITS]
        n_cells = counts[t, imp.CELLS]
        other = False
        for i in range(n_cells):
            if strategy[t, who[t, cell[t, i, 0]]] != MAR:
                other = True
        if not other:
            continue
        for k in range(values.shape[1]):
            restart_stream(stream, seed, first_replicate + t, IMPUTATION, unit * imp.STREAMS_PER_UNIT + OWN_STREAMS + k)
            for v in range(m):
                nf = n_fixed[t, v]
                f = first[t, v]
                for a in range(q):
                    s = coefficients[t, k, v, a] if a < nf else 0.0
                    for c in range(f, v):
                        s += coefficients[t, k, v, nf + c - f] * mean[c, a]
                    mean[v, a] = s
                for b in range(v):
                    s = 0.0
                    for c in range(f, v):
                        s += coefficients[t, k, v, nf + c - f] * sigma[c, b]
                    sigma[v, b] = s
                    sigma[b, v] = s
                s = variances[t, k, v]
                for c in range(f, v):
                    s += coefficients[t, k, v, nf + c - f] * sigma[c, v]
                sigma[v, v] = s
            i = 0
            while i < n_cells:
                r = cell[t, i, 0]
                stop = i
                while stop < n_cells and cell[t, stop, 0] == r:
                    stop += 1
                p = who[t, r]
                if strategy[t, p] != MAR:
                    affected = m
                    for v in range(m):
                        row[v] = y[t, p, visit[t, v]]
                        s = centre[t, q + v]
                        for a in range(q):
                            s += mean[v, a] * z[t, r, a]
                        own_mean[v] = s
                        ref_mean[v] = s + arm_shift[t, p] * mean[v, 1]
                        if visit[t, v] >= ice[t, p] and affected == m:
                            affected = v
                    if not impute_row(
                        row,
                        m,
                        own_mean,
                        ref_mean,
                        sigma,
                        sigma,
                        True,
                        strategy[t, p],
                        affected,
                        True,
                        stream,
                        scratch,
                        work,
                        order,
                        filled,
                    ):
                        counts[t, imp.BROKEN] += 1
                    else:
                        for j in range(i, stop):
                            values[t, k, j] = filled[cell[t, j, 1]] - centre[t, q + cell[t, j, 1]]
                            if not math.isfinite(values[t, k, j]):
                                counts[t, imp.BROKEN] += 1
                i = stop


def reference_imputation(
    y,
    include,
    predictors,
    ice,
    strategy,
    *,
    reference=0.0,
    delta=None,
    n_imputations=20,
    burn_in=imp.BURN_IN,
    seed=0,
    first_replicate=0,
    unit=0,
):
    """Arrange and impute a block of trials by strategy; the result as of ``imputation.multiple_imputation``.

    Parameters
    ----------
    y : (trial, subject, visit) outcome at the post-baseline visits; NaN where missing.
    include : (trial, subject) analysis set. predictors : (trial, subject, q) column 0 of ones, column 1 the arm (1
        active, 0 control).
    ice : (trial, subject) index of the first visit affected, the number of visits for none. strategy : (trial, subject)
        codes of :mod:`kernels.imputation_strategy`. What was observed from the event on under another
        strategy than MAR stays in the completed data, but the imputation model does not see it.
    reference : the arm that strategies copy, 0 or 1. delta : (trial, subject, visit) added to imputed values.
    seed, first_replicate, unit : as :func:`equipoise.estimate.missing.kernels.mi_ancova.mi_ancova`.
    """
    y = np.ascontiguousarray(y, dtype=np.float64)
    n_visits = y.shape[2]
    ice = np.ascontiguousarray(ice, dtype=np.int64)
    predictors = np.ascontiguousarray(predictors, dtype=np.float64)
    code = np.where(ice >= n_visits, MAR, np.asarray(strategy)).astype(np.int64)
    hidden = (np.arange(n_visits) >= ice[:, :, None]) & (code != MAR)[:, :, None]
    counts, visit, who, last, at, seen, z, centre, n_fixed, first, cell = imp.arranged(
        np.where(hidden, np.nan, y), include, predictors
    )
    n_trials = len(ice)
    most = cell.shape[1]
    values = np.zeros((n_trials, n_imputations, most))
    coefficients = np.zeros((n_trials, n_imputations, n_visits, z.shape[2]))
    variances = np.zeros((n_trials, n_imputations, n_visits))
    imp.impute(
        counts,
        last,
        at,
        seen,
        z,
        n_fixed,
        first,
        cell,
        int(burn_in),
        int(seed),
        int(first_replicate),
        int(unit),
        values,
        coefficients,
        variances,
    )
    arm_shift = np.ascontiguousarray(reference - predictors[:, :, 1])
    by_reference(
        counts,
        visit,
        who,
        z,
        centre,
        n_fixed,
        first,
        cell,
        coefficients,
        variances,
        y,
        arm_shift,
        ice,
        code,
        int(seed),
        int(first_replicate),
        int(unit),
        values,
    )
    q = z.shape[2] - n_visits
    trial = np.arange(n_trials)[:, None]
    subject = who[trial, cell[:, :, 0]]
    where = visit[trial, cell[:, :, 1]]
    kept = y[trial, subject, where]
    counted = np.arange(most) < counts[:, imp.CELLS, None]
    # what was observed but hidden from the model stays as it was
    stays = counted & np.isfinite(kept)
    if stays.any():
        own = kept - centre[trial, q + cell[:, :, 1]]
        values = np.where(stays[:, None, :], own[:, None, :], values)
    if delta is not None:
        shift = np.asarray(delta, dtype=np.float64)[trial, subject, where]
        values = values + np.where(counted & ~stays, shift, 0.0)[:, None, :]
    return counts, visit, who, seen, z, centre, cell, values
