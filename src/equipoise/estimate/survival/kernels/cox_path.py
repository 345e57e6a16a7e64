"""What a Cox model leaves at every event time, and its concordance: the material of residuals and diagnostics.

At an event time with risk-set sum ``S`` of ``w = exp(x'b)`` and sum ``D`` over its ``d`` tied events, Efron's
approximation works with ``d`` sums ``S_k = S - (k / d) D``, each with its own weighted mean ``m_k`` of the covariates;
Breslow's with ``S`` alone. A patient at risk without the event has hazard ``sum_k 1 / S_k`` times its ``w``; one of
the tied events counts in ``S_k`` by the share ``1 - k / d`` (Therneau & Grambsch 2000, Modeling Survival Data, section
3.3 and appendix).
"""

from __future__ import annotations

import math

import numpy as np

from equipoise.numerics.compiler import kernel


@kernel
def event_times(time, entry, event, stratum, weight, late, z, beta, efron, hazard, mean, drift, information, at):
    """The event times of one data set sorted by stratum and time, in that order; returns how many there are.

    entry, weight, late : as in :func:`cox_block`, one trial. Filled in, per event time:
    ``hazard`` (time, 3) the hazard, the same for one of the tied events, and its variance; ``mean`` (time, p) the mean
    of the covariates, averaged over ``k``; ``drift`` (time, 2, p) the sum of hazard times mean, and the same for a tied
    event; ``information`` (time, p, p); ``at`` (time, 3) the position of its first row, of the row after its last, and
    the sum of the weights of its events.
    """
    n, p = z.shape
    truncated = entry.shape[0] > 0
    weighted = weight.shape[0] > 0
    w = np.empty(n)
    s1, d1, m1 = np.empty(p), np.empty(p), np.empty(p)
    s2, d2 = np.empty((p, p)), np.empty((p, p))
    found = 0
    i = n - 1
    out = n - 1
    while i >= 0:
        here = stratum[i]
        members = 0
        s0 = 0.0
        s1[:] = 0.0
        s2[:] = 0.0
        while i >= 0 and stratum[i] == here:
            now = time[i]
            last = i
            tied = 0
            heavy = 0.0
            d0 = 0.0
            d1[:] = 0.0
            d2[:] = 0.0
            while i >= 0 and time[i] == now and stratum[i] == here:
                eta = 0.0
                for a in range(p):
                    eta += beta[a] * z[i, a]
                u = math.exp(eta)
                if weighted:
                    u *= weight[i]
                w[i] = u
                s0 += u
                for a in range(p):
                    s1[a] += u * z[i, a]
                    for b in range(a + 1):
                        s2[a, b] += u * z[i, a] * z[i, b]
                if event[i]:
                    tied += 1
                    heavy += weight[i] if weighted else 1.0
                    d0 += u
                    for a in range(p):
                        d1[a] += u * z[i, a]
                        for b in range(a + 1):
                            d2[a, b] += u * z[i, a] * z[i, b]
                i -= 1
            members += last - i
            if tied == 0:
                continue
            if truncated:
                while out >= 0 and stratum[late[out]] > here:
                    out -= 1
                while out >= 0 and stratum[late[out]] == here and entry[late[out]] >= now:
                    j = late[out]
                    out -= 1
                    members -= 1
                    keep = 0.0 if members == 0 else 1.0
                    s0 = keep * (s0 - w[j])
                    for a in range(p):
                        s1[a] = keep * (s1[a] - w[j] * z[j, a])
                        for b in range(a + 1):
                            s2[a, b] = keep * (s2[a, b] - w[j] * z[j, a] * z[j, b])
            each = heavy / tied
            for m in range(3):
                hazard[found, m] = 0.0
            for a in range(p):
                mean[found, a] = 0.0
                drift[found, 0, a] = 0.0
                drift[found, 1, a] = 0.0
                for b in range(p):
                    information[found, a, b] = 0.0
            for k in range(tied):
                f = k / tied if efron else 0.0
                inverse = 1.0 / (s0 - f * d0)
                hazard[found, 0] += each * inverse
                hazard[found, 1] += each * inverse * (1.0 - f)
                hazard[found, 2] += each * inverse * inverse
                for a in range(p):
                    m1[a] = (s1[a] - f * d1[a]) * inverse
                    mean[found, a] += m1[a] / tied
                    drift[found, 0, a] += each * inverse * m1[a]
                    drift[found, 1, a] += each * inverse * m1[a] * (1.0 - f)
                    for b in range(a + 1):
                        information[found, a, b] += each * ((s2[a, b] - f * d2[a, b]) * inverse - m1[a] * m1[b])
            for a in range(p):
                for b in range(a):
                    information[found, b, a] = information[found, a, b]
            at[found, 0] = i + 1
            at[found, 1] = last + 1
            at[found, 2] = heavy
            found += 1
    return found


@kernel
def concordance(time, entry, event, stratum, weight, score, own):
    """Concordant, discordant and tied pairs of one data set sorted by stratum and time, weighted.

    A pair counts where one has the event while the other is at risk and stays so, or is censored then: it is
    concordant if the higher ``score`` has the event. ``own`` (row, 3) is filled with the pairs that each row is in.
    """
    n = len(time)
    truncated = entry.shape[0] > 0
    weighted = weight.shape[0] > 0
    total = np.zeros(3)
    for i in range(n):
        if not event[i]:
            continue
        j = i
        while j > 0 and time[j - 1] == time[i] and stratum[j - 1] == stratum[i]:
            j -= 1
        while j < n and stratum[j] == stratum[i]:
            later = time[j] > time[i] or not event[j]
            if later and (not truncated or entry[j] < time[i]):
                v = weight[i] * weight[j] if weighted else 1.0
                kind = 0 if score[i] > score[j] else (1 if score[i] < score[j] else 2)
                total[kind] += v
                own[i, kind] += v
                own[j, kind] += v
            j += 1
    return total
