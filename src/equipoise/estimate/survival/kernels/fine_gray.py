"""Fine and Gray's regression of the subdistribution hazard over a block of trials.

Fine & Gray 1999 (J Am Stat Assoc 94:496): Cox's partial likelihood for cause 1 (Breslow's ties) in which a patient
with another event at T stays at risk at t > T with weight ``G(t-) / G(T-)``, G the Kaplan-Meier estimate of the
censoring distribution. The weight is a product, so that risk-set sums need one pass over patients and not one per pair.
"""

from __future__ import annotations

import math

import numpy as np

from equipoise.estimate.survival.kernels.cox import standing
from equipoise.estimate.survival.kernels.log_rank import sorted_by_time
from equipoise.numerics.compiler import inner, kernel
from equipoise.numerics.linalg import cholesky, solve_cholesky
from equipoise.numerics.status import BOUNDARY, NOT_CONVERGED, OK, SINGULAR

ROBUST = {"fine-gray": 2, "robust": 1, "model": 0}


@inner
def _risk_sums(t, rows, p, time, cause, censoring, free, z, beta, sums, weight, now, stay):
    """Weighted sums of 1, x and x x' over the risk set of every distinct time of cause 1, latest first.

    ``sums`` (n_times, q) packed lower triangles of ``(1, x)(1, x)'``; ``weight`` (subject,) is set to ``exp(x'b)``.
    Returns how many times there are.
    """
    q = sums.shape[1]
    m = 0
    for e in range(q):
        now[e] = 0.0
    i = rows - 1
    while i >= 0:
        last = i
        hit = False
        while i >= 0 and time[t, i] == time[t, last]:
            eta = 0.0
            for a in range(p):
                eta += beta[a] * z[t, i, a + 1]
            w = math.exp(eta)
            weight[i] = w
            hit = hit or cause[t, i] == 1
            e = 0
            for a in range(p + 1):
                for b in range(a + 1):
                    now[e] += w * z[t, i, a] * z[t, i, b]
                    e += 1
            i -= 1
        if hit:
            for e in range(q):
                sums[m, e] = now[e]
            m += 1
    # patients with another event before, forwards in time
    n_groups = free.shape[0]
    for g in range(n_groups):
        for e in range(q):
            stay[g, e] = 0.0
    i = 0
    j = m - 1
    while i < rows and j >= 0:
        first = i
        hit = False
        while i < rows and time[t, i] == time[t, first]:
            hit = hit or cause[t, i] == 1
            i += 1
        if hit:
            for g in range(n_groups):
                for e in range(q):
                    sums[j, e] += free[g, first] * stay[g, e]
            j -= 1
        for k in range(first, i):
            if cause[t, k] > 1:
                g = censoring[t, k]
                w = weight[k] / free[g, k]
                e = 0
                for a in range(p + 1):
                    for b in range(a + 1):
                        stay[g, e] += w * z[t, k, a] * z[t, k, b]
                        e += 1
    return m


@kernel
def fine_gray_sorted(
    rows,
    time,
    cause,
    censoring,
    z,
    n_censoring,
    arm,
    robust,
    max_iterations,
    beta,
    covariance,
    loglik,
    score_test,
    baseline,
    iterations,
    status,
):
    """Fine-Gray regressions of trials sorted by time, where ``status`` is 0.

    z : (trial, subject, 1 + p) ones, then standardised covariates; censoring : (trial, subject) group whose censoring
    distribution holds; arm : the covariate that is the arm, or -1; robust : 0 inverse information, 1 sandwich with
    known weights, 2 Fine and Gray's, with estimated ones. Filled in: ``beta`` (trial, p), ``covariance``, ``loglik``
    (trial, 2), ``score_test`` (trial,), ``baseline`` (trial, subject) increments of the cumulative subdistribution
    hazard at the mean covariates, at the first patient of each time.
    """
    p = z.shape[2] - 1
    q = (p + 1) * (p + 2) // 2
    n_max = time.shape[1]
    sums, here, stay = np.empty((n_max, q)), np.empty(q), np.empty((n_censoring, q))
    weight = np.empty(n_max)
    free = np.empty((n_censoring, n_max))
    at_risk, lost, g_now = np.empty(n_censoring), np.empty(n_censoring), np.empty(n_censoring)
    so_far = np.empty(p + 1)
    ahead, stayed = np.empty((n_censoring, p + 1)), np.empty((n_censoring, p + 1))
    drift, jump = np.empty((n_censoring, p + 1)), np.empty((n_censoring, p + 1))
    later = np.empty((n_censoring, n_max, p + 1))
    now, step, gradient, column = np.empty(p), np.empty(p), np.empty(p), np.empty(p)
    info, chol, meat, bread = np.empty((p, p)), np.empty((p, p)), np.empty((p, p)), np.empty((p, p))
    influence = np.empty((n_max, p))
    for t in range(time.shape[0]):
        if status[t] != OK:
            continue
        n = rows[t]
        # censoring: left limits at every patient's time, in every group
        for g in range(n_censoring):
            at_risk[g] = 0.0
            g_now[g] = 1.0
        for i in range(n):
            at_risk[censoring[t, i]] += 1.0
        i = 0
        while i < n:
            first = i
            for g in range(n_censoring):
                lost[g] = 0.0
            while i < n and time[t, i] == time[t, first]:
                lost[censoring[t, i]] += cause[t, i] == 0
                for g in range(n_censoring):
                    free[g, i] = g_now[g] if at_risk[g] > 0.0 else 0.0
                i += 1
            for g in range(n_censoring):
                if lost[g] > 0.0:
                    g_now[g] *= (at_risk[g] - lost[g]) / at_risk[g]
            for j in range(first, i):
                at_risk[censoring[t, j]] -= 1.0
        for a in range(p):
            beta[t, a] = 0.0
            step[a] = 0.0
        best = 0.0
        m = 0
        status[t] = NOT_CONVERGED
        for iteration in range(max_iterations + 1):
            for a in range(p):
                now[a] = beta[t, a] + step[a]
            m = _risk_sums(t, n, p, time, cause, censoring, free, z, now, sums, weight, here, stay)
            value = 0.0
            for a in range(p):
                gradient[a] = 0.0
            for a in range(p):
                for b in range(p):
                    info[a, b] = 0.0
            i = n - 1
            j = 0
            while i >= 0:
                last = i
                d = 0
                while i >= 0 and time[t, i] == time[t, last]:
                    if cause[t, i] == 1:
                        d += 1
                        value += math.log(weight[i])
                        for a in range(p):
                            gradient[a] += z[t, i, a + 1]
                    i -= 1
                if d > 0:
                    value -= d * math.log(sums[j, 0])
                    for a in range(p):
                        mean = sums[j, (a + 1) * (a + 2) // 2] / sums[j, 0]
                        gradient[a] -= d * mean
                        for b in range(a + 1):
                            other = sums[j, (b + 1) * (b + 2) // 2] / sums[j, 0]
                            both = sums[j, (a + 1) * (a + 2) // 2 + b + 1] / sums[j, 0]
                            info[a, b] += d * (both - mean * other)
                    j += 1
            iterations[t] = iteration
            if iteration > 0 and not value >= best - 1e-10 * abs(best):
                for a in range(p):
                    step[a] *= 0.5
                continue
            gain = value - best
            best = value
            loglik[t, 0 if iteration == 0 else 1] = value
            for a in range(p):
                beta[t, a] = now[a]
                step[a] = gradient[a]
                for b in range(a):
                    info[b, a] = info[a, b]
            if not cholesky(info, p, chol):
                status[t] = SINGULAR if iteration == 0 else BOUNDARY
                break
            solve_cholesky(chol, p, step)
            largest = 0.0
            decrement = 0.0
            for a in range(p):
                largest = max(largest, abs(step[a]))
                decrement += step[a] * gradient[a]
            if iteration == 0:
                score_test[t] = decrement
            if iteration > 3 and gain < 1e-9 * (1.0 + abs(best)) and largest > 1e-2:
                status[t] = BOUNDARY
                break
            if largest < 1e-9:
                status[t] = OK
                loglik[t, 1] = best
                break
        if status[t] != OK:
            continue
        for a in range(p):
            for b in range(p):
                column[b] = 0.0
            column[a] = 1.0
            solve_cholesky(chol, p, column)
            for b in range(p):
                bread[b, a] = column[b]
                covariance[t, b, a] = column[b]
        # sums of the hazard, and of it times the mean covariates, over times of cause 1: up to each patient's time ...
        for a in range(p + 1):
            so_far[a] = 0.0
        i = 0
        j = m - 1
        while i < n:
            first = i
            d = 0
            while i < n and time[t, i] == time[t, first]:
                d += cause[t, i] == 1
                baseline[t, i] = 0.0
                i += 1
            if d > 0:
                hazard = d / sums[j, 0]
                baseline[t, first] = hazard
                for a in range(p + 1):
                    so_far[a] += hazard * sums[j, a * (a + 1) // 2] / sums[j, 0]
            for k in range(first, i):
                for a in range(p):
                    influence[k, a] = -weight[k] * (z[t, k, a + 1] * so_far[0] - so_far[a + 1])
                    if cause[t, k] == 1:
                        influence[k, a] += z[t, k, a + 1] - sums[j, (a + 1) * (a + 2) // 2] / sums[j, 0]
            if d > 0:
                j -= 1
        if robust == 0:
            continue
        # ... and from it on, with the weight of those who stay at risk after another event, by censoring group
        for g in range(n_censoring):
            for a in range(p + 1):
                ahead[g, a] = 0.0
                stayed[g, a] = 0.0
                drift[g, a] = 0.0
        i = n - 1
        j = 0
        while i >= 0:
            last = i
            d = 0
            while i >= 0 and time[t, i] == time[t, last]:
                d += cause[t, i] == 1
                if cause[t, i] > 1:
                    g = censoring[t, i]
                    for a in range(p):
                        left = z[t, i, a + 1] * ahead[g, 0] - ahead[g, a + 1]
                        influence[i, a] -= weight[i] / free[g, i] * left
                i -= 1
            if d > 0:
                for g in range(n_censoring):
                    for a in range(p + 1):
                        ahead[g, a] += free[g, last] * d * sums[j, a * (a + 1) // 2] / (sums[j, 0] * sums[j, 0])
                j += 1
            for g in range(n_censoring):
                for a in range(p + 1):
                    later[g, i + 1, a] = ahead[g, a]
        if robust == 2:
            # what estimating the censoring adds: a martingale of censoring, by group
            for i in range(n):
                at_risk[censoring[t, i]] += 1.0
            i = 0
            while i < n:
                first = i
                for g in range(n_censoring):
                    lost[g] = 0.0
                while i < n and time[t, i] == time[t, first]:
                    lost[censoring[t, i]] += cause[t, i] == 0
                    i += 1
                for g in range(n_censoring):
                    if lost[g] > 0.0:
                        for a in range(p):
                            total = stayed[g, a + 1] * later[g, first, 0] - stayed[g, 0] * later[g, first, a + 1]
                            jump[g, a] = total / at_risk[g]
                            drift[g, a] += jump[g, a] * lost[g] / at_risk[g]
                for k in range(first, i):
                    g = censoring[t, k]
                    for a in range(p):
                        influence[k, a] -= drift[g, a]
                        if cause[t, k] == 0:
                            influence[k, a] += jump[g, a]
                for k in range(first, i):
                    g = censoring[t, k]
                    at_risk[g] -= 1.0
                    if cause[t, k] > 1:
                        for a in range(p + 1):
                            stayed[g, a] += weight[k] / free[g, k] * z[t, k, a]
        for a in range(p):
            for b in range(p):
                meat[a, b] = 0.0
        for i in range(n):
            for a in range(p):
                for b in range(p):
                    meat[a, b] += influence[i, a] * influence[i, b]
        for a in range(p):
            for b in range(p):
                total = 0.0
                for c in range(p):
                    for e in range(p):
                        total += bread[a, c] * meat[c, e] * bread[e, b]
                covariance[t, a, b] = total


def fine_gray(time, cause, x, *, include=None, censoring_group=None, arm=0, variance="fine-gray", max_iterations=50):
    """Fine-Gray regressions of the subdistribution hazard of cause 1.

    Parameters
    ----------
    time, cause, include : (trial, subject), causes as in :func:`gray`. x : (trial, subject, p) covariates; column
    ``arm`` is the arm indicator (-1: none is). censoring_group : (trial, subject) codes within which the censoring
    distribution is estimated (0 beyond the last time of the group, as in R's crr); default everyone. variance :
    ``fine-gray`` (as R's ``cmprsk::crr``), ``robust`` (weights taken as known, as ``coxph`` on the rows of R's
    ``finegray`` gives) or ``model`` (inverse information).

    Returns
    -------
    beta : (trial, p); covariance : (trial, p, p); loglik : (trial, 2) at zero and at ``beta``; score : (trial,) test at
    zero; baseline : (time, increment) pairs as two (trial, subject) arrays, the subdistribution hazard at covariates 0;
    iterations, status : (trial,). NaN where not ``OK``.
    """
    x, cause = np.asarray(x, dtype=np.float64), np.asarray(cause).astype(np.int64)
    n_trials, _, p = x.shape
    group = np.zeros(cause.shape, np.int64) if censoring_group is None else np.asarray(censoring_group).astype(np.int64)
    include = np.ones(cause.shape, np.bool_) if include is None else np.asarray(include, dtype=np.bool_)
    include = include & ~np.isnan(x).any(axis=2)
    n_groups = int(group[include].max(initial=0)) + 1
    rows, time, _, cause, group, x = sorted_by_time(time, include, None, cause, group, x)
    member = np.arange(x.shape[1]) < rows[:, None]
    hit = (cause == 1) & member
    status = standing(rows, hit, np.where(member, x[:, :, arm], 0.0) if arm >= 0 else None).astype(np.int64)
    count = np.maximum(rows, 1)[:, None, None]
    x = np.where(member[:, :, None], x, 0.0)
    centre = x.sum(axis=1, keepdims=True) / count
    x = np.where(member[:, :, None], x - centre, 0.0)
    sd = np.sqrt((x * x).sum(axis=1, keepdims=True) / count)
    scale = np.where(sd > 1e-10 * np.abs(centre), 1.0 / np.where(sd > 0.0, sd, 1.0), 0.0)
    z = np.ascontiguousarray(np.concatenate([np.ones((*x.shape[:2], 1)), x * scale], axis=2))
    beta, covariance = np.full((n_trials, p), np.nan), np.full((n_trials, p, p), np.nan)
    loglik, score = np.full((n_trials, 2), np.nan), np.full(n_trials, np.nan)
    baseline = np.full(time.shape, np.nan)
    iterations = np.zeros(n_trials, np.int64)
    fine_gray_sorted(
        rows,
        time,
        cause,
        group,
        z,
        n_groups,
        int(arm),
        ROBUST[variance],
        int(max_iterations),
        beta,
        covariance,
        loglik,
        score,
        baseline,
        iterations,
        status,
    )
    beta *= scale[:, 0]
    covariance *= scale[:, 0, :, None] * scale
    failed = status != OK
    beta[failed], covariance[failed], loglik[failed], baseline[failed] = np.nan, np.nan, np.nan, np.nan
    with np.errstate(over="ignore", invalid="ignore"):  # covariates at zero may be far from anyone's
        baseline *= np.exp(-(beta * centre[:, 0]).sum(axis=1))[:, None]
    return beta, covariance, loglik, score, (time, baseline), iterations, status.astype(np.int8)
