"""Reference-based imputation: missing visits drawn from, or set to the mean of, a patient's own distribution.

The distribution of a patient's visits (mean vector and covariance matrix) is put together from those of the own arm
(``T``) and of the reference arm (``R``), the patient's own covariates in both, by the strategy for the patient's
intercurrent event (Carpenter, Roger & Kenward 2013, J Biopharm Stat 23:1352). With the visits before the event called
1, those from it on 2, and ``last`` the last before it:

====  ====================================================  =====================================================
MAR   own arm throughout
JR    jump to reference: mean T1, R2                        covariance as below
CR    copy reference: R throughout
CIR   copy increments in reference: T1, T_last + R2 - R_last  covariance as below
LMCF  last mean carried forward: T1, T_last                 covariance of the own arm
====  ====================================================  =====================================================

Where the arms differ in covariance, JR and CIR keep T's before the event and R's regression of the visits after it
on those before: ``S11 = T11``, ``S21 = R21 R11^-1 T11``, ``S22 = R22 - R21 R11^-1 (R11 - T11) R11^-1 R12``.

What is missing follows its normal distribution given everything observed on the patient, observed visits after the
event included.
"""

from __future__ import annotations

import math

import numpy as np

from equipoise.numerics.compiler import inner, kernel
from equipoise.numerics.linalg import cholesky, solve_cholesky
from equipoise.numerics.random import IMPUTATION, STREAM_WORDS, normal, restart_stream, uniform

MAR, JR, CR, CIR, LMCF = range(5)


@inner
def jump_covariance(own, ref, k, m, scratch, coefficient, out):
    """Covariance of JR and CIR (see the module) with ``k`` visits before the event; False if ``ref`` is singular."""
    if not cholesky(ref, k, scratch[0]):
        return False
    column = scratch[1, 0]
    for i in range(k, m):
        for j in range(k):
            column[j] = ref[i, j]
        solve_cholesky(scratch[0], k, column)
        for j in range(k):
            coefficient[i, j] = column[j]
    for i in range(m):
        for j in range(i + 1):
            if i < k:
                s = own[i, j]
            elif j < k:
                s = 0.0
                for c in range(k):
                    s += coefficient[i, c] * own[c, j]
            else:
                s = ref[i, j]
                for c in range(k):
                    for d in range(k):
                        s -= coefficient[i, c] * (ref[c, d] - own[c, d]) * coefficient[j, d]
            out[i, j] = s
            out[j, i] = s
    return True


@inner
def impute_row(y, m, own_mean, ref_mean, own, ref, same, strategy, ice, noise, stream, mean, work, order, filled):
    """Fill the missing (NaN) visits of one patient; returns whether that could be done.

    ``own_mean``, ``own`` and ``ref_mean``, ``ref``: of the patient under each arm; ``same``: whether both covariances
    are one. ``ice``: first visit affected, ``m`` for none. ``noise`` False gives the conditional mean. ``work`` (4, m,
    m), ``mean`` (m,) and ``order`` (m,) are scratch. One normal draw a missing visit, in order of visit.
    """
    n_seen = 0
    for v in range(m):
        filled[v] = y[v]
        if not math.isnan(y[v]):
            order[n_seen] = v
            n_seen += 1
    if n_seen == m:
        return True
    n = n_seen
    for v in range(m):
        if math.isnan(y[v]):
            order[n] = v
            n += 1
    code = MAR if ice >= m else strategy
    from_ref = code == CR or (ice == 0 and code in (JR, CIR))
    for v in range(m):
        mean[v] = ref_mean[v] if from_ref else own_mean[v]
        if not from_ref and v >= ice and ice > 0:
            if code == JR:
                mean[v] = ref_mean[v]
            elif code == CIR:
                mean[v] = own_mean[ice - 1] + ref_mean[v] - ref_mean[ice - 1]
            elif code == LMCF:
                mean[v] = own_mean[ice - 1]
    sigma = ref if from_ref else own
    if not same and not from_ref and code in (JR, CIR):
        if not jump_covariance(own, ref, ice, m, work[:2], work[2], work[3]):
            return False
        sigma = work[3]
    # one factor of the visits, those observed first: L_ss whitens them, L_ms carries them over, L_mm is the noise
    for i in range(m):
        for j in range(i + 1):
            work[0, i, j] = sigma[order[i], order[j]]
    if not cholesky(work[0], m, work[1]):
        return False
    white = work[2, 0]
    for i in range(m):
        v = order[i]
        s = 0.0
        if i < n_seen:
            s = y[v] - mean[v]
            for c in range(i):
                s -= work[1, i, c] * white[c]
            white[i] = s / work[1, i, i]
        else:
            if noise:
                white[i] = normal(stream)
            else:
                white[i] = 0.0
            for c in range(i + 1):
                s += work[1, i, c] * white[c]
            filled[v] = mean[v] + s
    return True


@kernel
def impute_samples(
    y,
    w,
    w_ref,
    group,
    ref_group,
    ice,
    strategy,
    beta,
    sigma,
    parameters,
    who,
    n_rows,
    noise,
    seed,
    replicate,
    unit,
    out,
):
    """Complete every sample of one trial; returns how many patients of samples could not be completed.

    y : (subject, visit), NaN to be imputed. w, w_ref : (subject, q) covariates of the imputation model under the own
    and the reference arm. group, ref_group : (subject,) which covariance belongs to them. ice, strategy : (subject,).
    beta : (draw, visit, q), sigma : (draw, group, visit, visit). parameters : (sample,) the draw each sample uses.
    who : (sample, row) patients of each sample, of which the first ``n_rows`` count. ``noise`` False gives conditional
    means. Sample ``s`` draws from the stream (seed, replicate, imputation, unit + s). out : (sample, row, visit).
    """
    m = y.shape[1]
    q = w.shape[1]
    stream = np.zeros(STREAM_WORDS, np.uint64)
    own_mean = np.zeros(m)
    ref_mean = np.zeros(m)
    mean = np.empty(m)
    work = np.empty((4, m, m))
    order = np.empty(m, np.int64)
    incomplete = np.zeros(y.shape[0], np.bool_)
    for i in range(y.shape[0]):
        for v in range(m):
            if math.isnan(y[i, v]):
                incomplete[i] = True
    failed = 0
    for s in range(who.shape[0]):
        d = parameters[s]
        if noise:
            restart_stream(stream, seed, replicate, IMPUTATION, unit + s)
        for r in range(n_rows[s]):
            i = who[s, r]
            if not incomplete[i]:
                for v in range(m):
                    out[s, r, v] = y[i, v]
                continue
            for v in range(m):
                own_mean[v] = 0.0
                ref_mean[v] = 0.0
                for c in range(q):
                    own_mean[v] += beta[d, v, c] * w[i, c]
                    ref_mean[v] += beta[d, v, c] * w_ref[i, c]
            if not impute_row(
                y[i],
                m,
                own_mean,
                ref_mean,
                sigma[d, group[i]],
                sigma[d, ref_group[i]],
                group[i] == ref_group[i],
                strategy[i],
                ice[i],
                noise,
                stream,
                mean,
                work,
                order,
                out[s, r],
            ):
                failed += 1
    return failed


@kernel
def resample(stratum, n_strata, seed, replicate, purpose, unit, out):
    """Draw patients with replacement within strata: ``out`` (subject,) keeps each stratum's size and places."""
    n = stratum.shape[0]
    first = np.zeros(n_strata + 1, np.int64)
    for i in range(n):
        first[stratum[i] + 1] += 1
    for h in range(n_strata):
        first[h + 1] += first[h]
    place = first.copy()
    member = np.empty(n, np.int64)
    for i in range(n):
        member[place[stratum[i]]] = i
        place[stratum[i]] += 1
    stream = np.zeros(STREAM_WORDS, np.uint64)
    restart_stream(stream, seed, replicate, purpose, unit)
    for i in range(n):
        h = stratum[i]
        size = first[h + 1] - first[h]
        pick = min(np.int64(uniform(stream) * size), size - 1)
        out[i] = member[first[h] + pick]
