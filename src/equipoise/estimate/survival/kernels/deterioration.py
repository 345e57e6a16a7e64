"""Time to confirmed deterioration from visits, over a block of trials: the rules, patient by patient."""

from __future__ import annotations

import math

import numpy as np

from equipoise.numerics.compiler import inner, kernel

CONFIRM = {"none": 0, "next": 1, "any": 2, "sustained": 3}
# what became of a patient
(
    CONFIRMED,  # deterioration, confirmed at a visit
    UNCONFIRMED,  # deterioration counted though no visit could confirm it
    BY_DEATH,  # deterioration confirmed by death
    DEATH,  # death first
    LAST_VISIT,  # censored: no deterioration
    PENDING,  # censored: a deterioration that no visit could confirm
    BEFORE_DEATH,  # censored at the last visit, death after it
    GAP,  # censored before a gap in the visits that ends in the event
    NO_VISIT,  # censored at 0
) = range(9)


@inner
def _confirmation(k, n, worse, when, confirm, min_gap, max_gap):
    """Whether the deterioration at visit ``k`` of ``n`` is confirmed: 1 and when, 0 refuted, -1 no visit could tell."""
    if confirm == 0:
        return 1, when[k]
    found = -1
    first = math.nan
    for j in range(k + 1, n):
        gap = when[j] - when[k]
        if confirm == 3 and not worse[j]:
            return 0, math.nan
        if gap < min_gap:
            continue
        if gap > max_gap:
            if confirm == 3:
                continue
            break
        if worse[j]:
            if found != 1:
                first = when[j]
            found = 1
            if confirm != 3:
                return 1, first
        elif confirm == 1:
            return 0, math.nan
        else:
            found = 0
    return found, first


@kernel
def deterioration_block(
    worsening,
    weeks,
    death,
    threshold,
    confirm,
    min_gap,
    max_gap,
    count_unconfirmed,
    at_confirmation,
    death_counts,
    death_confirms,
    max_missed,
    up_to,
    time,
    cause,
    reason,
    onset,
    confirmed,
):
    """Apply one rule to every patient; see :func:`deterioration`. weeks : (trial or 1, subject or 1, visit)."""
    n_visits = worsening.shape[2]
    worse = np.empty(n_visits, np.bool_)
    when = np.empty(n_visits)
    for t in range(worsening.shape[0]):
        for i in range(worsening.shape[1]):
            tw = t % weeks.shape[0]
            iw = i % weeks.shape[1]
            dead = death[t, i] if death[t, i] <= up_to else math.inf  # also where it is missing
            n = 0
            for v in range(n_visits):
                week = weeks[tw, iw, v]
                if week > 0.0 and week <= up_to and week <= dead and not math.isnan(worsening[t, i, v]):
                    worse[n] = worsening[t, i, v] >= threshold
                    when[n] = week
                    n += 1
            onset[t, i] = math.nan
            confirmed[t, i] = math.nan
            cause[t, i] = 0
            last = when[n - 1] if n > 0 else 0.0
            pending = math.nan
            done = False
            for k in range(n):
                if not worse[k]:
                    continue
                found, at = _confirmation(k, n, worse, when, confirm, min_gap, max_gap)
                what = CONFIRMED
                if found == -1:
                    # a visit that refutes by being good, too early to confirm, still speaks against it
                    clear = True
                    for j in range(k + 1, n):
                        clear = clear and worse[j]
                    if death_confirms and clear and dead < math.inf and dead - when[k] <= max_gap:
                        found, at, what = 1, dead, BY_DEATH
                    elif count_unconfirmed and clear:
                        found, at, what = 1, math.nan, UNCONFIRMED
                    elif math.isnan(pending) and clear:
                        pending = when[k]
                if found == 1:
                    onset[t, i] = when[k]
                    confirmed[t, i] = at
                    before = when[k - 1] if k > 0 else 0.0
                    if when[k] - before > max_missed:
                        time[t, i] = before
                        reason[t, i] = GAP
                    else:
                        time[t, i] = at if at_confirmation and not math.isnan(at) else when[k]
                        cause[t, i] = 1
                        reason[t, i] = what
                    done = True
                    break
            if done:
                continue
            onset[t, i] = pending
            time[t, i] = last
            if dead < math.inf:
                if not death_counts:
                    reason[t, i] = BEFORE_DEATH
                elif dead - last > max_missed:
                    reason[t, i] = GAP
                else:
                    time[t, i] = dead
                    cause[t, i] = 2
                    reason[t, i] = DEATH
            elif n == 0:
                reason[t, i] = NO_VISIT
            else:
                reason[t, i] = LAST_VISIT if math.isnan(pending) else PENDING


def deterioration(
    worsening,
    weeks,
    death=None,
    *,
    threshold,
    confirm="next",
    min_gap=0.0,
    max_gap=np.inf,
    count_unconfirmed=False,
    at_confirmation=False,
    death_counts=True,
    death_confirms=True,
    max_missed=np.inf,
    up_to=np.inf,
):
    """Time to confirmed deterioration of every patient of a block of trials.

    Parameters
    ----------
    worsening : (trial, subject, visit) change from baseline, positive for worse, NaN where missing. weeks : (visit,) or
    (subject, visit) or (trial, subject, visit), increasing; visits at 0 or before are not used. death : (trial,
    subject) time of death, NaN or infinite for none. Others as in
    :class:`equipoise.estimate.survival.deterioration.DeteriorationRule`.

    Returns
    -------
    time : (trial, subject). cause : 0 censored, 1 deterioration, 2 death. reason : codes of this module. onset,
    confirmed : when the deterioration counted (or pending) began and was confirmed, NaN where there is none.
    """
    worsening = np.ascontiguousarray(worsening, dtype=np.float64)
    weeks = np.asarray(weeks, dtype=np.float64)
    weeks = np.ascontiguousarray(weeks.reshape((1,) * (3 - weeks.ndim) + weeks.shape))
    shape = worsening.shape[:2]
    death = np.full(shape, np.inf) if death is None else np.ascontiguousarray(death, dtype=np.float64)
    time, onset, confirmed = np.empty(shape), np.empty(shape), np.empty(shape)
    cause, reason = np.empty(shape, np.int64), np.empty(shape, np.int64)
    deterioration_block(
        worsening,
        weeks,
        death,
        float(threshold),
        CONFIRM[confirm],
        float(min_gap),
        float(max_gap),
        bool(count_unconfirmed),
        bool(at_confirmation),
        bool(death_counts),
        bool(death_confirms),
        float(max_missed),
        float(up_to),
        time,
        cause,
        reason,
        onset,
        confirmed,
    )
    return time, cause, reason, onset, confirmed
