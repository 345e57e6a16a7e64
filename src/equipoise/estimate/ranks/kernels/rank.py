"""Joint ranks of death and function.

Every patient is compared with every other and gets +1, 0 or -1; the score is the sum. In the rule of VALOR and of
most joint rank tests on imputed data, a patient who died ranks below every survivor, deaths rank by survival time, and
survivors by change from baseline: the comparison is then a total preorder and the scores follow from one sort,
``score = (number below) - (number above) = 2 midrank - (n + 1)``.

In the combined assessment of function and survival (CAFS; Berry et al. 2013, after Finkelstein & Schoenfeld 1999),
survivors are compared at the last visit that both were seen, which is not transitive. It is so visit by visit, though:
whoever was last seen at visit ``v`` meets at that visit everyone seen then or later, so that one sort a visit counts
the pairs of all patients without gaps. Only patients with gaps, and deaths after the end of the other's follow-up,
are compared pair by pair.
"""

from __future__ import annotations

import math

import numpy as np

from equipoise.numerics.compiler import inner, kernel

_RUN = 16  # shorter stretches are sorted by insertion
_DIRECT = 24  # comparing so many patients with everyone costs about as much as one sort of everyone


@kernel
def sort_order(key, order, stop, spare):
    """Sort ``order[:stop]`` by ``key[order]``, stably, in place: merges of runs of 16. ``spare`` is scratch."""
    for low in range(0, stop, _RUN):
        for i in range(low + 1, min(low + _RUN, stop)):
            o = order[i]
            j = i
            while j > low and key[order[j - 1]] > key[o]:
                order[j] = order[j - 1]
                j -= 1
            order[j] = o
    width = _RUN
    while width < stop:
        for low in range(0, stop - width, 2 * width):
            middle = low + width
            high = min(middle + width, stop)
            if key[order[middle - 1]] <= key[order[middle]]:
                continue
            for k in range(low, middle):
                spare[k] = order[k]
            a = low
            b = middle
            k = low
            while a < middle:
                if b < high and key[order[b]] < key[spare[a]]:
                    order[k] = order[b]
                    b += 1
                else:
                    order[k] = spare[a]
                    a += 1
                k += 1
        width *= 2


@inner
def merge(key, order, middle, stop, out):
    """Sort ``order[:stop]`` by ``key`` into ``out``, given that ``order[:middle]`` is sorted."""
    sort_order(key, order[middle:stop], stop - middle, out)
    a = 0
    b = middle
    for k in range(stop):
        if b >= stop or (a < middle and key[order[a]] <= key[order[b]]):
            out[k] = order[a]
            a += 1
        else:
            out[k] = order[b]
            b += 1


@inner
def score_sorted(key, order, stop, offset, score):
    """Scores of ``order[:stop]``, sorted by ``key``: number below minus number above, plus ``offset``."""
    i = 0
    while i < stop:
        j = i + 1
        while j < stop and key[order[j]] == key[order[i]]:
            j += 1
        for k in range(i, j):
            score[order[k]] = float(i - (stop - j) + offset)
        i = j


@kernel
def cafs_scores(change, death, follow_up, score, rank_of_pair):
    """Pairwise scores of one trial by the CAFS rule.

    change : (subject, visit) change from baseline, NaN where not seen, visits up to the horizon;
    death : (subject,) died within the horizon; follow_up : (subject,) week of death or last follow-up, at most the
    horizon. ``score`` (subject,) is filled with the sums; ``rank_of_pair`` (subject, subject) with +1/0/-1, or is of
    size 0 where not wanted.

    Both died: the later death wins. One died: the other wins if followed to that time or beyond, otherwise the pair is
    compared on function. None died, or undecided: change at the last visit at which both were seen; none such: tie.
    """
    n, n_visits = change.shape
    keep = rank_of_pair.size > 0
    for i in range(n):
        score[i] = 0.0
    for i in range(n):
        for j in range(i):
            s = 0.0
            decided = True
            if death[i] and death[j]:
                if follow_up[i] > follow_up[j]:
                    s = 1.0
                elif follow_up[i] < follow_up[j]:
                    s = -1.0
            elif death[i] and follow_up[j] >= follow_up[i]:
                s = -1.0
            elif death[j] and follow_up[i] >= follow_up[j]:
                s = 1.0
            else:
                decided = False
            if not decided:
                for step in range(n_visits):
                    v = n_visits - 1 - step
                    if not math.isnan(change[i, v]) and not math.isnan(change[j, v]):
                        if change[i, v] > change[j, v]:
                            s = 1.0
                        elif change[i, v] < change[j, v]:
                            s = -1.0
                        break
            score[i] += s
            score[j] -= s
            if keep:
                rank_of_pair[i, j] = s
                rank_of_pair[j, i] = -s


@inner
def _function(change, i, j, v):
    """1 where ``i`` did better than ``j`` at the last visit up to ``v`` at which both were seen, -1 worse, 0 tied."""
    while v >= 0:
        a = change[i, v]
        b = change[j, v]
        if a > b:
            return 1
        if a < b:
            return -1
        if a == b:
            return 0
        v -= 1
    return 0


@inner
def _pair(change, last, arm, i, j, wins, losses):
    """Compare ``i`` and ``j`` on function and count the result for both."""
    s = _function(change, i, j, min(last[i], last[j]))
    if s > 0:
        wins[i, arm[j]] += 1.0
        losses[j, arm[i]] += 1.0
    elif s < 0:
        losses[i, arm[j]] += 1.0
        wins[j, arm[i]] += 1.0


@inner
def _groups(key, order, stop, arm, asked, wins, losses):
    """Count, for ``order[:stop]`` sorted by ``key``, whom each did better and worse than.

    Those ``asked`` meet everyone; the others meet only those ``asked``. (Both flags by patient.)
    """
    total = np.zeros((2, 2))
    for k in range(stop):
        i = order[k]
        total[0, arm[i]] += 1.0
        if asked[i]:
            total[1, arm[i]] += 1.0
    below = np.zeros((2, 2))
    own = np.zeros((2, 2))
    i = 0
    while i < stop:
        j = i
        own[:] = 0.0
        while j < stop and key[order[j]] == key[order[i]]:
            own[0, arm[order[j]]] += 1.0
            if asked[order[j]]:
                own[1, arm[order[j]]] += 1.0
            j += 1
        for k in range(i, j):
            who = order[k]
            other = 0 if asked[who] else 1
            for a in range(2):
                wins[who, a] += below[other, a]
                losses[who, a] += total[other, a] - below[other, a] - own[other, a]
        below += own
        i = j


@kernel
def cafs_counts(change, death, follow_up, active, include, wins, losses):
    """Whom each patient did better and worse than by the CAFS rule of :func:`cafs_scores`, for a block of trials.

    change : (trial, subject, visit), NaN where not seen; death, follow_up, active, include : (trial, subject). ``wins``
    and ``losses`` (trial, subject, 2) are filled with numbers of patients of the control and of the active arm; the
    score is the sum of the former less the sum of the latter. ``O(n log n)`` a visit without gaps; a patient with
    gaps, or a death after the end of others' follow-up, takes ``O(n)`` more.
    """
    n_trials, n, n_visits = change.shape
    last = np.empty(n, np.int64)
    arm = np.empty(n, np.int64)
    gap = np.empty(n, np.bool_)
    asked = np.empty(n, np.bool_)
    alive = np.empty(n, np.int64)
    dead = np.empty(n, np.int64)
    order = np.empty(n, np.int64)
    spare = np.empty(n, np.int64)
    key = np.empty(n)
    for t in range(n_trials):
        seen_at = change[t]
        end = follow_up[t]
        won = wins[t]
        lost = losses[t]
        n_alive = 0
        n_dead = 0
        n_gaps = 0
        for i in range(n):
            won[i, 0] = won[i, 1] = lost[i, 0] = lost[i, 1] = 0.0
            asked[i] = True
            arm[i] = 1 if active[t, i] else 0
            if not include[t, i]:
                continue
            last[i] = -1
            seen = 0
            for v in range(n_visits):
                if not math.isnan(seen_at[i, v]):
                    last[i] = v
                    seen += 1
            gap[i] = seen <= last[i]
            if death[t, i]:
                dead[n_dead] = i
                n_dead += 1
            else:
                alive[n_alive] = i
                n_alive += 1
                n_gaps += gap[i]
        # deaths among themselves: the later wins
        for k in range(n_dead):
            order[k] = dead[k]
        sort_order(end, order, n_dead, spare)
        _groups(end, order, n_dead, arm, asked, won, lost)
        # a death against those followed to that time or beyond; against the others on function
        for k in range(n_dead):
            i = dead[k]
            for m in range(n_alive):
                j = alive[m]
                if end[j] >= end[i]:
                    lost[i, arm[j]] += 1.0
                    won[j, arm[i]] += 1.0
                else:
                    _pair(seen_at, last, arm, i, j, won, lost)
        # survivors with gaps against every survivor
        if n_gaps > 0:
            for k in range(n_alive):
                if gap[alive[k]]:
                    for m in range(n_alive):
                        if m < k or not gap[alive[m]]:
                            _pair(seen_at, last, arm, alive[k], alive[m], won, lost)
        # survivors without gaps: those last seen at each visit against those seen then or later
        for v in range(n_visits):
            stop = 0
            n_asked = 0
            for k in range(n_alive):
                i = alive[k]
                if gap[i] or last[i] < v:
                    continue
                asked[i] = last[i] == v
                key[i] = seen_at[i, v]
                order[stop] = i
                stop += 1
                n_asked += asked[i]
            if n_asked == 0:
                continue
            if n_asked <= _DIRECT:
                for k in range(stop):
                    i = order[k]
                    if not asked[i]:
                        continue
                    for m in range(stop):
                        j = order[m]
                        if j < i or not asked[j]:
                            if key[i] > key[j]:
                                won[i, arm[j]] += 1.0
                                lost[j, arm[i]] += 1.0
                            elif key[i] < key[j]:
                                lost[i, arm[j]] += 1.0
                                won[j, arm[i]] += 1.0
            else:
                sort_order(key, order, stop, spare)
                _groups(key, order, stop, arm, asked, won, lost)


@kernel
def midranks(value, group, n_groups, rank):
    """(trial, subject) ranks from 1 within each group, ties sharing their mean; 0 where the group is -1."""
    n = value.shape[1]
    order = np.empty(n, np.int64)
    spare = np.empty(n, np.int64)
    start = np.empty(n_groups + 1, np.int64)
    for t in range(value.shape[0]):
        stop = 0
        start[:] = 0
        for i in range(n):
            rank[t, i] = 0.0
            if group[t, i] >= 0:
                order[stop] = i
                stop += 1
                start[group[t, i] + 1] += 1
        for g in range(n_groups):
            start[g + 1] += start[g]
        sort_order(value[t], order, stop, spare)
        for k in range(stop):
            g = group[t, order[k]]
            spare[start[g]] = order[k]
            start[g] += 1
        low = 0
        for g in range(n_groups):
            i = low
            while i < start[g]:
                j = i + 1
                while j < start[g] and value[t, spare[j]] == value[t, spare[i]]:
                    j += 1
                for k in range(i, j):
                    rank[t, spare[k]] = 0.5 * (i + j + 1 - 2 * low)
                i = j
            low = start[g]


@kernel
def rank_sums(value, group, active, n_groups, fractional, out):
    """Sum of ``value`` over the active arm, and its moments over all allocations within the groups.

    value, group, active : (trial, subject), group -1 for those left out; ``fractional`` divides the values of a group
    by its size plus one (van Elteren 1960). ``out`` (trial, 6): the sum over groups with both arms, its expectation
    and variance; the sums over these groups of ``w n1 n0 / n`` and of ``w n1 n0``, ``w`` being 1 or ``1 / (n + 1)``;
    and their number.
    """
    sums = np.empty((n_groups, 5))
    for t in range(value.shape[0]):
        sums[:] = 0.0
        for i in range(value.shape[1]):
            g = group[t, i]
            if g >= 0:
                y = value[t, i]
                sums[g, 0] += 1.0
                sums[g, 1] += y
                if active[t, i]:
                    sums[g, 2] += 1.0
                    sums[g, 3] += y
        for g in range(n_groups):
            if sums[g, 0] > 0.0:
                sums[g, 1] /= sums[g, 0]
        for i in range(value.shape[1]):
            g = group[t, i]
            if g >= 0:
                sums[g, 4] += (value[t, i] - sums[g, 1]) ** 2
        for k in range(6):
            out[t, k] = 0.0
        for g in range(n_groups):
            n = sums[g, 0]
            m = sums[g, 2]
            if m > 0.0 and m < n:
                w = 1.0 / (n + 1.0) if fractional else 1.0
                out[t, 0] += w * sums[g, 3]
                out[t, 1] += w * m * sums[g, 1]
                out[t, 2] += w * w * m * (n - m) / (n * (n - 1.0)) * sums[g, 4]
                out[t, 3] += w * m * (n - m) / n
                out[t, 4] += w * m * (n - m)
                out[t, 5] += 1.0
