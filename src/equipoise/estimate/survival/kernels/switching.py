"""Counterfactual untreated times and their log-rank statistics, for treatment switching.

Under the rank-preserving structural failure time model (Robins & Tsiatis 1991, Commun Stat Theory Methods 20:2609) a
patient off treatment for ``off`` and on it for ``on`` would have had the event, untreated, at

    U(psi) = off + exp(psi m) on,

``m`` 1 or a modifier of the patient's. Censoring at C then depends on U through treatment, so times are censored anew
at ``C*(psi) = min(C, exp(psi m) C)`` (White et al. 1999, Stat Med 18:2617). At the true psi, U does not depend on the
arm.
"""

from __future__ import annotations

import math

import numpy as np

from equipoise.numerics.compiler import kernel


def untreated(psi, time, event, on, censor, recensor, modifier):
    """Untreated times and events at ``psi``, a number; all arrays (subject,); recensor : who is censored anew."""
    factor = np.exp(psi * modifier)
    u = time - on + on * factor
    limit = np.where(recensor, np.minimum(censor, censor * factor), np.inf)
    return np.minimum(u, limit), event & (u <= limit)


@kernel
def statistics(psi, time, event, arm, on, censor, recensor, modifier, stratum, rho, z):
    """Two-arm log-rank statistics of the untreated times at every ``psi``, into ``z``.

    psi, z : (k,). time, on, censor, modifier : (subject,); event, recensor : (subject,) booleans; arm : (subject,) 0 or
    1; stratum : (subject,) codes. rho : weight ``S(t-)^rho``. z is (observed - expected) / sd of events in arm 1, NaN
    where there is no event with both arms at risk.
    """
    n = time.shape[0]
    order = np.arange(n)
    u = np.empty(n)
    hit = np.empty(n, np.bool_)
    for k in range(psi.shape[0]):
        for i in range(n):
            factor = math.exp(psi[k] * modifier[i])
            u[i] = time[i] - on[i] + on[i] * factor
            hit[i] = event[i]
            if recensor[i]:
                limit = min(censor[i], censor[i] * factor)
                if limit < u[i]:
                    u[i] = limit
                    hit[i] = False
        # Shell's sort by stratum and time, quick from the order of the psi before
        gap = 1
        while gap < n // 3:
            gap = 3 * gap + 1
        while gap > 0:
            for i in range(gap, n):
                own = order[i]
                j = i
                while j >= gap:
                    other = order[j - gap]
                    if stratum[other] < stratum[own] or (stratum[other] == stratum[own] and u[other] <= u[own]):
                        break
                    order[j] = other
                    j -= gap
                order[j] = own
            gap //= 3
        difference = 0.0
        variance = 0.0
        i = 0
        while i < n:
            here = stratum[order[i]]
            hi = i
            at_risk = 0.0
            while hi < n and stratum[order[hi]] == here:
                at_risk += arm[order[hi]]
                hi += 1
            survival = 1.0
            while i < hi:
                now = u[order[i]]
                m = float(hi - i)
                d = 0.0
                in_arm = 0.0
                gone = 0.0
                while i < hi and (u[order[i]] == now or math.isnan(now)):
                    d += hit[order[i]]
                    in_arm += hit[order[i]] * arm[order[i]]
                    gone += arm[order[i]]
                    i += 1
                if d > 0.0:
                    w = survival**rho
                    share = at_risk / m
                    difference += w * (in_arm - d * share)
                    if m > 1.0:
                        variance += w * w * d * (m - d) / (m - 1.0) * share * (1.0 - share)
                    survival *= (m - d) / m
                at_risk -= gone
        z[k] = difference / math.sqrt(variance) if variance > 0.0 else np.nan
