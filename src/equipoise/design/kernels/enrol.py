"""Patients come in one after the other: who is enrolled, and in which week of the calendar."""

from __future__ import annotations

import math

import numpy as np

from equipoise.numerics.compiler import inner, kernel


@inner
def _when(total, times, counts):
    """Week at which so many patients are expected to have come (counts at times; straight between, and after)."""
    n = times.shape[0]
    k = 0
    while k < n - 2 and counts[k + 1] < total:
        k += 1
    rise = counts[k + 1] - counts[k]
    return times[k] + (total - counts[k]) * (times[k + 1] - times[k]) / rise if rise > 0.0 else times[k + 1]


@inner
def _count(week, times, counts):
    """Patients expected to have come by a week."""
    n = times.shape[0]
    k = 0
    while k < n - 2 and times[k + 1] < week:
        k += 1
    return counts[k] + (week - times[k]) * (counts[k + 1] - counts[k]) / (times[k + 1] - times[k])


@kernel
def enrol(gaps, order, arm, group, times, counts, opens, closes, shut, caps, changes, limits, entry):
    """Fill ``entry`` (trial, subject), weeks since the first site opened; infinite for who is not enrolled.

    gaps (trial, subject) unit waiting times; order (trial, subject) the subjects as they come; times, counts: weeks
    and patients expected by then. opens (arm,), closes (trial, arm): weeks between which an arm is recruited to - a
    patient allocated to another is allocated anew, and takes no time. shut (trial, group): week after which a group is
    not taken any more; such a patient takes the time to come. caps (arm,): patients of an arm at most. changes, limits
    (trial, change): from which week on how many patients are the limit; nobody is asked while it is reached, until the
    next change. Returns 1 where the subjects of every trial sufficed, else 0.
    """
    enough = 1
    n_trials, n = order.shape
    n_arms = opens.shape[0]
    had = np.zeros(n_arms, np.int64)
    for i in range(n_trials):
        for j in range(n):
            entry[i, j] = np.inf
        had[:] = 0
        total, enrolled, change = 0.0, 0, 0
        at, k = 0, 0  # the next subject; the next gap
        week = -1.0
        n_changes = changes.shape[1]
        while at < n:
            if week < 0.0:
                total += gaps[i, k % n]
                k += 1
                week = _when(total, times, counts)
            while change < n_changes - 1 and changes[i, change + 1] <= week:
                change += 1
            if enrolled >= limits[i, change]:
                following = change + 1
                while following < n_changes and not (
                    changes[i, following] < math.inf and limits[i, following] > enrolled
                ):
                    following += 1
                if following >= n_changes:
                    break
                total = _count(changes[i, following], times, counts)
                change = following
                week = -1.0
                continue
            j = order[i, at]
            a = arm[i, j]
            at += 1
            if not (opens[a] <= week < closes[i, a]) or had[a] >= caps[a]:
                some = False
                for b in range(n_arms):
                    some = some or (week < closes[i, b] and had[b] < caps[b])
                if not some:
                    break
                continue
            if week < shut[i, group[i, j]]:
                entry[i, j] = week
                enrolled += 1
                had[a] += 1
            week = -1.0
        if at >= n:
            last = limits[i, change]
            if enrolled < last:
                enough = 0
    return enough
