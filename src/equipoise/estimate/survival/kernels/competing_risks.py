"""Competing risks over a block of trials: cumulative incidence and Gray's test.

**Cumulative incidence** of cause k (Aalen & Johansen 1978): F(t) is the sum of ``S(u-) d_k / n`` over times u <= t.
With ``q = S(u-) / S(u)``, an event of cause j at u moves F(t) by ``g_j = S(u-) [j = k] - (F(t) - F(u)) q`` per unit of
its hazard. Two variances:

- ``greenwood``: the d_j of one time are multinomial, ``(1/n) (sum l_j g_j^2 - (sum l_j g_j)^2)`` with ``l_j = d_j / n``
  (Gaynor et al. 1993; Greenwood's formula where there is one cause; the infinitesimal jackknife of R's ``survfit``);
- ``aalen``: independent counting processes, ``sum d_j g_j^2 / n^2`` with ``d_j (n - d_j) / (n - 1)`` for tied ``d_j``,
  causes other than k taken as one (Aalen 1978; R's ``cmprsk::cuminc``).

**Gray's test** (Gray 1988, Ann Stat 16:1141): in group r with risk set Y, left limits of survival S and incidence F1,
``R = Y (1 - F1) / S`` and ``h = Y / S``; with pooled ``dF0 = d1 / sum h`` and weights ``L = (1 - F0)^rho`` the score is
``sum L (d1_r - d1 R_r / sum R)``. With ``a_rk = L h_r ([r = k] - h_k / sum h)`` and ``C_rk(u)`` the sum after u of
``a_rk dF0 / (1 - F0)``, events in group k at u add the squares of

    cause 1:  a_rk + (1 - (1 - F0) / S_k) C_rk   times  S_k dF0 / Y_k,
    others:   (1 - F0) / S_k C_rk                times  S_k^2 d_k / Y_k^2,

with the corrections for ties above.
"""

from __future__ import annotations

import numpy as np

from equipoise.estimate.survival.kernels.log_rank import sorted_by_time
from equipoise.numerics.compiler import kernel
from equipoise.numerics.status import EMPTY_ARM, NO_DATA, NO_EVENTS, OK, SINGULAR

VARIANCES = ("greenwood", "aalen")


@kernel
def incidence_sorted(rows, time, cause, group, at, aalen, incidence, variance, survival, horizon):
    """Cumulative incidence of trials sorted by group and time.

    rows : (trial,); time, cause (0 censored, 1 .. n_causes), group : (trial, subject); at : (k,) times in order. Filled
    in: ``incidence`` and ``variance`` (trial, group, cause, k), ``survival`` (trial, group, k), ``horizon`` (trial,
    group) the last time, infinite where nobody is left.
    """
    n_causes = incidence.shape[2]
    d = np.empty(n_causes)
    f = np.empty(n_causes)
    # the variance is v0 - 2 F(t) v1 + F(t)^2 v2
    v = np.empty((n_causes, 3))
    for t in range(time.shape[0]):
        i = 0
        while i < rows[t]:
            g = group[t, i]
            hi = i
            while hi < rows[t] and group[t, hi] == g:
                hi += 1
            s = 1.0
            f[:] = 0.0
            v[:, :] = 0.0
            k = 0
            while i <= hi:
                now = time[t, i] if i < hi else np.inf
                while k < at.shape[0] and (at[k] < now or i == hi):
                    survival[t, g, k] = s
                    for c in range(n_causes):
                        incidence[t, g, c, k] = f[c]
                        variance[t, g, c, k] = max(v[c, 0] - 2.0 * f[c] * v[c, 1] + f[c] * f[c] * v[c, 2], 0.0)
                    k += 1
                if i == hi:
                    break
                n = float(hi - i)
                d[:] = 0.0
                while i < hi and time[t, i] == now:
                    if cause[t, i] > 0:
                        d[cause[t, i] - 1] += 1.0
                    i += 1
                total = d.sum()
                if total == 0.0:
                    continue
                after = s * (n - total) / n if total < n else 0.0
                q = s / after if after > 0.0 else 0.0
                for c in range(n_causes):
                    f[c] += s * d[c] / n
                    other = total - d[c]
                    own_slope = s + f[c] * q
                    other_slope = f[c] * q
                    if aalen:
                        w = d[c] / (n * n) * ((n - d[c]) / (n - 1.0) if d[c] > 1.0 else 1.0)
                        x = other / (n * n) * ((n - other) / (n - 1.0) if other > 1.0 else 1.0)
                        v[c, 0] += w * own_slope * own_slope + x * other_slope * other_slope
                        v[c, 1] += (w * own_slope + x * other_slope) * q
                        v[c, 2] += (w + x) * q * q
                    else:
                        w = d[c] / n
                        x = other / n
                        mean = w * own_slope + x * other_slope
                        v[c, 0] += (w * own_slope * own_slope + x * other_slope * other_slope - mean * mean) / n
                        v[c, 1] += mean * (1.0 - w - x) * q / n
                        v[c, 2] += (w + x) * (1.0 - w - x) * q * q / n
                s = after
            horizon[t, g] = time[t, hi - 1] if s > 0.0 else np.inf
            i = hi


def incidence(time, cause, *, at, group=None, include=None, n_causes=None, n_groups=1, variance="greenwood"):
    """Cumulative incidence by the Aalen-Johansen estimator.

    Parameters
    ----------
    time, cause : (trial, subject) times, and 0 for censoring or the cause 1 .. n_causes. group, include : (trial,
    subject) codes 0 .. n_groups - 1, analysis set. at : (k,) times. variance : ``greenwood`` or ``aalen``.

    Returns
    -------
    incidence, variance : (trial, group, cause, k). survival : (trial, group, k) without any event. horizon : (trial,
    group) time up to which the curves are known (infinite if nobody is left event-free); they are continued beyond it.
    NaN for a group without patients.
    """
    cause = np.asarray(cause).astype(np.int64)
    group = np.zeros(cause.shape, np.int64) if group is None else group
    n_causes = int(n_causes or max(int(cause.max(initial=0)), 1))
    rows, time, group, cause = sorted_by_time(time, include, group, cause)
    at = np.asarray(at, dtype=np.float64)
    order = np.argsort(at)
    back = np.argsort(order)
    shape = (len(rows), n_groups)
    out, spread = (np.full((*shape, n_causes, len(at)), np.nan) for _ in range(2))
    survival, horizon = np.full((*shape, len(at)), np.nan), np.full(shape, np.nan)
    incidence_sorted(
        rows, time, cause, group, np.ascontiguousarray(at[order]), variance == "aalen", out, spread, survival, horizon
    )
    return out[..., back], spread[..., back], survival[..., back], horizon


@kernel
def gray_sorted(rows, time, cause, group, stratum, rho, score, variance):
    """Gray's scores of trials sorted by stratum and time; cause 1 is compared, causes above 1 compete.

    Filled in: ``score`` (trial, group) and ``variance`` (trial, group, group), sums over strata.
    """
    m = score.shape[1]
    risk = np.empty(m)
    s, s_after = np.empty(m), np.empty(m)
    f, f_after = np.empty(m), np.empty(m)
    d1, d2 = np.empty(m), np.empty(m)
    a = np.empty((m, m))
    c = np.empty((m, m))
    total = np.empty((m, m))
    e = np.empty(m)
    for t in range(time.shape[0]):
        start = 0
        while start < rows[t]:
            hi = start
            while hi < rows[t] and stratum[t, hi] == stratum[t, start]:
                hi += 1
            for again in range(2):  # first the scores and all of C, then the variance
                risk[:] = 0.0
                for i in range(start, hi):
                    risk[group[t, i]] += 1.0
                s[:] = 1.0
                f[:] = 0.0
                pooled = 0.0
                c[:, :] = 0.0
                i = start
                while i < hi:
                    first = i
                    d1[:] = 0.0
                    d2[:] = 0.0
                    n1 = 0.0
                    n2 = 0.0
                    while i < hi and time[t, i] == time[t, first]:
                        if cause[t, i] == 1:
                            d1[group[t, i]] += 1.0
                            n1 += 1.0
                        elif cause[t, i] > 1:
                            d2[group[t, i]] += 1.0
                            n2 += 1.0
                        i += 1
                    at_risk = 0
                    for g in range(m):
                        if risk[g] > 0.0:
                            at_risk += 1
                    if n1 + n2 > 0.0 and at_risk > 1:  # a group alone at risk is compared with nobody
                        sum_h = 0.0
                        sum_r = 0.0
                        for g in range(m):
                            s_after[g] = s[g]
                            f_after[g] = f[g]
                            if risk[g] > 0.0:
                                s_after[g] = s[g] * (risk[g] - d1[g] - d2[g]) / risk[g]
                                f_after[g] = f[g] + s[g] * d1[g] / risk[g]
                                sum_h += risk[g] / s[g]
                                sum_r += risk[g] * (1.0 - f[g]) / s[g]
                        if pooled >= 1.0:
                            variance[t, :, :] = np.nan
                        now = pooled + n1 / sum_h
                        weight = (1.0 - pooled) ** rho
                        for g in range(m):
                            for k in range(m):
                                a[g, k] = 0.0
                                if risk[g] > 0.0 and risk[k] > 0.0:
                                    h = risk[g] / s[g]
                                    a[g, k] = weight * h * ((1.0 if g == k else 0.0) - risk[k] / s[k] / sum_h)
                                    c[g, k] += a[g, k] * n1 / (sum_h * (1.0 - pooled))
                        if again == 0:
                            for g in range(m):
                                if risk[g] > 0.0:
                                    share = risk[g] * (1.0 - f[g]) / s[g] / sum_r
                                    score[t, g] += weight * (d1[g] - n1 * share)
                        else:
                            for k in range(m):
                                if risk[k] <= 0.0:
                                    continue
                                if n1 > 0.0:
                                    slope = 1.0 - (1.0 - now) / s_after[k] if s_after[k] > 0.0 else 1.0
                                    tie = 1.0 - (n1 - 1.0) / (sum_h * s[k] - 1.0) if n1 > 1.0 else 1.0
                                    w = tie * s[k] * n1 / (sum_h * risk[k])
                                    for g in range(m):
                                        e[g] = a[g, k] + slope * (total[g, k] - c[g, k])
                                    for g in range(m):
                                        for j in range(m):
                                            variance[t, g, j] += w * e[g] * e[j]
                                if d2[k] > 0.0 and s_after[k] > 0.0:
                                    slope = (1.0 - now) / s_after[k]
                                    tie = 1.0 - (d2[k] - 1.0) / (risk[k] - 1.0) if d2[k] > 1.0 else 1.0
                                    w = tie * s[k] * s[k] * d2[k] / (risk[k] * risk[k]) * slope * slope
                                    for g in range(m):
                                        e[g] = total[g, k] - c[g, k]
                                    for g in range(m):
                                        for j in range(m):
                                            variance[t, g, j] += w * e[g] * e[j]
                        pooled = now
                        for g in range(m):
                            s[g] = s_after[g]
                            f[g] = f_after[g]
                    for j in range(first, i):
                        risk[group[t, j]] -= 1.0
                for g in range(m):
                    for k in range(m):
                        total[g, k] = c[g, k]
            start = hi


def gray(time, cause, group, *, include=None, stratum=None, rho=0.0, n_groups=2):
    """Gray's tests that the cumulative incidence of cause 1 is the same in all groups.

    Parameters
    ----------
    time, cause : (trial, subject) times and causes (0 censored, 1 of interest, above 1 competing). group, stratum,
    include : (trial, subject). rho : weight ``(1 - F0(t-))^rho``.

    Returns
    -------
    score : (trial, group) summing to 0; variance : (trial, group, group); status : (trial,) ``NO_EVENTS``,
    ``EMPTY_ARM``, ``SINGULAR`` or ``NO_DATA``.
    """
    cause, group = np.asarray(cause).astype(np.int64), np.asarray(group).astype(np.int64)
    rows, time, stratum, cause, group = sorted_by_time(time, include, stratum, cause, group)
    score = np.zeros((len(rows), n_groups))
    variance = np.zeros((len(rows), n_groups, n_groups))
    gray_sorted(rows, time, cause, group, stratum, float(rho), score, variance)
    member = np.arange(time.shape[1]) < rows[:, None]
    sizes = np.stack([((group == g) & member).sum(axis=1) for g in range(n_groups)], axis=1)
    status = np.select(
        [rows == 0, (sizes == 0).any(axis=1), ~((cause == 1) & member).any(axis=1), ~(variance[:, 0, 0] > 0.0)],
        [NO_DATA, EMPTY_ARM, NO_EVENTS, SINGULAR],
        OK,
    )
    return score, variance, status.astype(np.int8)
