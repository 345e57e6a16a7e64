"""Log-rank tests over a block of trials: weighted, stratified, and several weights at once.

Mantel 1966; Peto & Peto 1972; stratified by summing over strata. At each event time with ``d`` events among ``n`` at
risk, group ``g`` is expected ``d n_g / n`` of them, with hypergeometric covariance
``d (n - d) / (n - 1) (n_g / n) (delta_gh - n_h / n)``. Weights ``S(t-)^rho (1 - S(t-))^gamma`` with the pooled
Kaplan-Meier estimate of the stratum: ``gamma`` 0 is the G-rho family (Harrington & Fleming 1982), both free that of
Fleming & Harrington (1991). Tests of the same data with weights ``v`` and ``w`` have covariance ``sum v w`` times the
hypergeometric variance (Tarone 1981; Lee 1996).
"""

from __future__ import annotations

import numpy as np

from equipoise.numerics.compiler import kernel
from equipoise.numerics.status import EMPTY_ARM, NO_DATA, NO_EVENTS, OK, SINGULAR


@kernel
def log_rank_sorted(rows, time, event, group, stratum, rho, gamma, observed, expected, variance):
    """Log-rank sums of trials sorted by stratum and time.

    rows : (trial,) how many of the sorted subjects count; time, event, group, stratum : (trial, subject). Filled in:
    ``observed`` and ``expected`` (trial, group) weighted events, ``variance`` (trial, group, group).
    """
    n_groups = observed.shape[1]
    at_risk = np.empty(n_groups)
    for t in range(time.shape[0]):
        i = 0
        while i < rows[t]:
            # one stratum: lo .. hi
            for g in range(n_groups):
                at_risk[g] = 0.0
            hi = i
            n = 0.0
            while hi < rows[t] and stratum[t, hi] == stratum[t, i]:
                at_risk[group[t, hi]] += 1.0
                n += 1.0
                hi += 1
            survival = 1.0
            while i < hi:
                first = i
                d = 0.0
                while i < hi and time[t, i] == time[t, first]:
                    d += event[t, i]
                    i += 1
                if d > 0.0:
                    w = survival**rho * (1.0 - survival) ** gamma
                    spread = w * w * d * (n - d) / (n - 1.0) if n > 1.0 else 0.0
                    for j in range(first, i):
                        observed[t, group[t, j]] += w * event[t, j]
                    for g in range(n_groups):
                        share = at_risk[g] / n
                        expected[t, g] += w * d * share
                        variance[t, g, g] += spread * share
                        for k in range(n_groups):
                            variance[t, g, k] -= spread * share * at_risk[k] / n
                    survival *= (n - d) / n
                for j in range(first, i):
                    at_risk[group[t, j]] -= 1.0
                n -= i - first


@kernel
def combination_sorted(rows, time, event, active, stratum, rho, gamma, score, variance):
    """Several weighted log-rank tests of two groups at once, of trials sorted by stratum and time.

    active : (trial, subject) whether in the second group; rho, gamma : (weight,). Filled in: ``score`` (trial, weight)
    events of the second group less those expected, ``variance`` (trial, weight, weight).
    """
    n_weights = len(rho)
    w = np.empty(n_weights)
    for t in range(time.shape[0]):
        i = 0
        while i < rows[t]:
            hi = i
            n = 0.0
            n1 = 0.0
            while hi < rows[t] and stratum[t, hi] == stratum[t, i]:
                n1 += active[t, hi]
                n += 1.0
                hi += 1
            survival = 1.0
            while i < hi:
                first = i
                d = 0.0
                d1 = 0.0
                left = 0.0
                while i < hi and time[t, i] == time[t, first]:
                    d += event[t, i]
                    d1 += event[t, i] and active[t, i]
                    left += active[t, i]
                    i += 1
                if d > 0.0:
                    share = n1 / n
                    spread = d * (n - d) / (n - 1.0) * share * (1.0 - share) if n > 1.0 else 0.0
                    for k in range(n_weights):
                        w[k] = survival ** rho[k] * (1.0 - survival) ** gamma[k]
                        score[t, k] += w[k] * (d1 - d * share)
                        for m in range(k + 1):
                            variance[t, k, m] += w[k] * w[m] * spread
                            if m < k:
                                variance[t, m, k] = variance[t, k, m]
                    survival *= (n - d) / n
                n -= i - first
                n1 -= left


def sorted_by_time(time, include, stratum, *others):
    """Gather the included subjects of each trial, by stratum and time; returns ``rows, time, stratum, *others``."""
    time = np.asarray(time, dtype=np.float64)
    include = np.ones(time.shape, np.bool_) if include is None else np.asarray(include, dtype=np.bool_)
    include = include & ~np.isnan(time)
    code = np.zeros(time.shape, np.int64) if stratum is None else np.asarray(stratum).astype(np.int64)
    code = np.where(include, code, np.iinfo(np.int64).max)
    order = np.lexsort((time, code), axis=-1)
    gathered = [np.ascontiguousarray(np.take_along_axis(a, order, axis=1)) for a in (time, code)]
    for other in others:
        index = order.reshape(order.shape + (1,) * (other.ndim - 2))
        gathered.append(np.ascontiguousarray(np.take_along_axis(other, index, axis=1)))
    return include.sum(axis=1), *gathered


def log_rank(time, event, group, *, include=None, stratum=None, rho=0.0, gamma=0.0, n_groups=2):
    """Log-rank tests of a block of trials.

    Parameters
    ----------
    time : (trial, subject) weeks to event or censoring; event : (trial, subject) whether it happened.
    group : (trial, subject) codes 0 .. n_groups - 1 (arm: 0 control, 1 active). include, stratum : (trial, subject)
    analysis set and integer stratum codes. rho, gamma : weight ``S(t-)^rho (1 - S(t-))^gamma``.

    Returns
    -------
    observed, expected : (trial, group) events; variance : (trial, group, group) of their difference;
    status : (trial,) ``NO_EVENTS``, ``EMPTY_ARM`` or ``SINGULAR`` (no stratum has both arms at risk at an event).
    With events in one arm only the test still exists.
    """
    rows, time, stratum, event, group = sorted_by_time(
        time, include, stratum, np.asarray(event).astype(np.bool_), np.asarray(group).astype(np.int64)
    )
    n_trials = len(rows)
    observed = np.zeros((n_trials, n_groups))
    expected = np.zeros((n_trials, n_groups))
    variance = np.zeros((n_trials, n_groups, n_groups))
    log_rank_sorted(rows, time, event, group, stratum, float(rho), float(gamma), observed, expected, variance)
    member = np.arange(time.shape[1]) < rows[:, None]
    sizes = np.stack([((group == g) & member).sum(axis=1) for g in range(n_groups)], axis=1)
    status = np.select(
        [rows == 0, (sizes == 0).any(axis=1), ~(event & member).any(axis=1), (variance[:, 0, 0] <= 0.0)],
        [NO_DATA, EMPTY_ARM, NO_EVENTS, SINGULAR],
        OK,
    )
    return observed, expected, variance, status.astype(np.int8)


def combination(time, event, group, weights, *, include=None, stratum=None):
    """Weighted log-rank tests of two groups, several weights at once, on a block of trials.

    Parameters
    ----------
    time, event, group, include, stratum : as in :func:`log_rank`, two groups. weights : (weight, 2) ``rho`` and
    ``gamma`` of each test.

    Returns
    -------
    score : (trial, weight) events of the second group less those expected; variance : (trial, weight, weight) their
    covariance; status : (trial,) as in :func:`log_rank`, ``SINGULAR`` also where a weight leaves nothing to test.
    """
    weights = np.asarray(weights, dtype=np.float64).reshape(-1, 2)
    rows, time, stratum, event, active = sorted_by_time(
        time, include, stratum, np.asarray(event).astype(np.bool_), np.asarray(group).astype(np.int64) == 1
    )
    score = np.zeros((len(rows), len(weights)))
    variance = np.zeros((len(rows), len(weights), len(weights)))
    rho, gamma = np.ascontiguousarray(weights[:, 0]), np.ascontiguousarray(weights[:, 1])
    combination_sorted(rows, time, event, active, stratum, rho, gamma, score, variance)
    member = np.arange(time.shape[1]) < rows[:, None]
    second = (active & member).sum(axis=1)
    flat = (np.diagonal(variance, axis1=1, axis2=2) <= 0.0).any(axis=1)
    status = np.select(
        [rows == 0, (second == 0) | (second == rows), ~(event & member).any(axis=1), flat],
        [NO_DATA, EMPTY_ARM, NO_EVENTS, SINGULAR],
        OK,
    )
    return score, variance, status.astype(np.int8)
