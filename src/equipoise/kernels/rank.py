"""Joint ranks of death and function.

Every patient is compared with every other and gets +1, 0 or -1; the score is the sum. In the rule of VALOR and of
most joint rank tests on imputed data, a patient who died ranks below every survivor, deaths rank by survival time, and
survivors by change from baseline: the comparison is then a total preorder and the scores follow from one sort,
``score = (number below) - (number above) = 2 midrank - (n + 1)``.

In the combined assessment of function and survival (CAFS; Berry et al. 2013, after Finkelstein & Schoenfeld 1999),
survivors are compared at the last visit that both were seen, which is not transitive: all pairs are visited.
"""

from __future__ import annotations

import math

from numba import njit

_OPTIONS = {"nogil": True, "cache": True, "error_model": "numpy", "no_cfunc_wrapper": True}


@njit(**_OPTIONS)
def insertion_sort(key, order, stop):
    """Sort ``order[:stop]`` by ``key[order]``, stably, in place: for short or nearly sorted stretches."""
    for i in range(1, stop):
        o = order[i]
        j = i
        while j > 0 and key[order[j - 1]] > key[o]:
            order[j] = order[j - 1]
            j -= 1
        order[j] = o


@njit(**_OPTIONS)
def merge(key, order, middle, stop, out):
    """Sort ``order[:stop]`` by ``key`` into ``out``, given that ``order[:middle]`` is sorted and the rest short."""
    for i in range(middle + 1, stop):
        o = order[i]
        j = i
        while j > middle and key[order[j - 1]] > key[o]:
            order[j] = order[j - 1]
            j -= 1
        order[j] = o
    a = 0
    b = middle
    for k in range(stop):
        if b >= stop or (a < middle and key[order[a]] <= key[order[b]]):
            out[k] = order[a]
            a += 1
        else:
            out[k] = order[b]
            b += 1


@njit(**_OPTIONS)
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


@njit(**_OPTIONS)
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
