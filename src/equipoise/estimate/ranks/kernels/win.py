"""Win statistics: every patient of one arm compared with every patient of the other, over a block of trials.

A hierarchy of layers decides a pair: the first layer that gives a winner, later layers only where all before it tie
(Finkelstein & Schoenfeld 1999; Buyse 2010; Pocock et al. 2012). Kinds of layer:

``VALUE``  the larger value wins if it is larger by more than the margin (binary outcomes: 0 and 1, margin 0).
``TIME``   the patient without the event wins, if followed for more than the margin past the other's event.
``COUNT``  fewer events up to the shorter of the two follow-ups wins (Mao, Kim & Li 2022). ``FIRST``, ``LAST``: the
           later first or last event up to then wins, none being later than any.

A missing value decides nothing in its layer. The share of pairs won ``w`` and lost ``l`` are two-sample U-statistics;
with ``w_i`` and ``l_i`` the shares that patient ``i`` wins and loses against the other arm, or that the other arm wins
and loses against the patient, their covariance sums ``(w_i - w, l_i - l)(w_i - w, l_i - l)' / n_arm^2`` over all
patients (Bebu & Lachin 2016). If the arms do not differ, the difference ``w - l`` has mean 0 and its variance follows
from the products over different pairs of one patient (Dong et al. 2016). Strata are combined by weights that sum to 1
(Dong et al. 2018).

Where all layers but the first order the patients totally, wins and losses are counted by sorting and a Fenwick tree in
``O(n log n)``: with the first layer's ``A_i = #{j: d_j, t_j + m < t_i}`` and ``B_i = d_i #{j: t_j > t_i + m}``, patient
``i`` wins ``A_i`` pairs there and, of the pairs left, those of lower key:
``#{k_j < k_i} - #{k_j < k_i, j in A_i} - #{k_j < k_i, j in B_i}``. Otherwise all pairs are visited.
"""

from __future__ import annotations

import math

import numpy as np

from equipoise.numerics.compiler import inner, kernel
from equipoise.numerics.status import BOUNDARY, EMPTY_ARM, NO_DATA, NO_EVENTS, OK, SINGULAR

VALUE, TIME, COUNT, FIRST, LAST = range(5)


WEIGHTS = ("mantel-haenszel", "size", "pairs", "equal")

_FAST_FROM = 24  # patients from which sorting beats visiting all pairs


@inner
def _recurrent(kind, events, t, i, end):
    """Number of events up to ``end``, or the time of the first or last of them (infinite where there is none)."""
    n = 0
    last = math.inf
    while n < events.shape[2] and events[t, i, n] <= end:
        last = events[t, i, n]
        n += 1
    if kind == COUNT:
        return -float(n)
    if n == 0:
        return math.inf
    return events[t, i, 0] if kind == FIRST else last


@inner
def compare_pair(t, i, j, value, event, recurrent, kinds, margins, signs):
    """Patient ``i`` against ``j``: ``k + 1`` where ``i`` wins in layer ``k``, ``-k - 1`` where ``j`` does, 0: a tie."""
    for k in range(kinds.shape[0]):
        a = value[t, i, k]
        b = value[t, j, k]
        if math.isnan(a) or math.isnan(b):
            continue
        kind = kinds[k]
        margin = margins[k]
        if kind == TIME:
            if event[t, j, k] and a > b + margin:
                return signs[k] * (k + 1)
            if event[t, i, k] and b > a + margin:
                return -signs[k] * (k + 1)
            continue
        if kind > TIME:
            end = min(a, b)
            a = _recurrent(kind, recurrent, t, i, end)
            b = _recurrent(kind, recurrent, t, j, end)
        if a > b + margin:
            return signs[k] * (k + 1)
        if b > a + margin:
            return -signs[k] * (k + 1)
    return 0


@kernel
def count_pairs(
    rows, active, stratum, value, event, recurrent, kinds, margins, signs, same_arm, wins, losses, score, layer
):
    """Wins and losses of every patient against the other arm of the stratum, visiting all pairs.

    rows : (trial,) patients that count, sorted by stratum and arm; active : (trial, subject) arm; value, event :
    (trial, subject, layer); recurrent : (trial, subject, event) sorted times, infinite where there is none; kinds,
    margins, signs : (layer,). Filled in: wins, losses (trial, subject); score (trial, subject) wins minus losses
    against all of the stratum, where ``same_arm``; layer (trial, layer, 2) pairs that active won and lost in each.
    """
    for t in range(rows.shape[0]):
        lo = 0
        while lo < rows[t]:
            hi = lo
            middle = lo
            while hi < rows[t] and stratum[t, hi] == stratum[t, lo]:
                if not active[t, hi]:
                    middle += 1
                hi += 1
            for i in range(lo, hi):
                for j in range(lo, i if same_arm else min(i, middle)):
                    across = i >= middle and j < middle
                    if not across and not same_arm:
                        break
                    s = compare_pair(t, i, j, value, event, recurrent, kinds, margins, signs)
                    if s == 0:
                        continue
                    if s > 0:
                        score[t, i] += 1.0
                        score[t, j] -= 1.0
                        if across:
                            wins[t, i] += 1.0
                            losses[t, j] += 1.0
                            layer[t, s - 1, 0] += 1.0
                    else:
                        score[t, i] -= 1.0
                        score[t, j] += 1.0
                        if across:
                            losses[t, i] += 1.0
                            wins[t, j] += 1.0
                            layer[t, -s - 1, 1] += 1.0
            lo = hi


@inner
def _add(tree, at):
    at += 1
    while at < tree.shape[0]:
        tree[at] += 1
        at += at & -at


@inner
def _below(tree, at):
    """How many were added below ``at``."""
    total = 0
    while at > 0:
        total += tree[at]
        at -= at & -at
    return total


@inner
def _count_block(lo, hi, order, time, event, margin, key, keys, arm_asked, arm_against, arm, tree, wins, losses):
    """Add to wins and losses of the patients of ``arm_asked`` those against ``arm_against`` (2: everyone).

    order : of the block ``lo .. hi`` by time; key : dense ranks below ``keys``.
    """
    for k in range(keys + 1):
        tree[k] = 0
    n = 0
    for j in range(lo, hi):
        if arm_against == 2 or arm[j] == arm_against:
            _add(tree, key[j])
            n += 1
    for i in range(lo, hi):
        if arm_asked == 2 or arm[i] == arm_asked:
            wins[i] += _below(tree, key[i])
            losses[i] += n - _below(tree, key[i] + 1)
    # pairs decided by the event of the opponent
    for k in range(keys + 1):
        tree[k] = 0
    n = 0
    at = lo
    for q in range(lo, hi):
        i = order[q]
        while at < hi and time[i] > time[order[at]] + margin:
            j = order[at]
            if event[j] and (arm_against == 2 or arm[j] == arm_against):
                _add(tree, key[j])
                n += 1
            at += 1
        if arm_asked == 2 or arm[i] == arm_asked:
            wins[i] += n - _below(tree, key[i])
            losses[i] -= n - _below(tree, key[i] + 1)
    # pairs decided by the patient's own event
    for k in range(keys + 1):
        tree[k] = 0
    n = 0
    at = hi - 1
    for q in range(hi - 1, lo - 1, -1):
        i = order[q]
        while at >= lo and time[order[at]] > time[i] + margin:
            j = order[at]
            if arm_against == 2 or arm[j] == arm_against:
                _add(tree, key[j])
                n += 1
            at -= 1
        if event[i] and (arm_asked == 2 or arm[i] == arm_asked):
            wins[i] -= _below(tree, key[i])
            losses[i] += _below(tree, key[i] + 1)


@kernel
def count_sorted(rows, active, stratum, time, event, margin, key, order, same_arm, wins, losses, score):
    """What :func:`count_pairs` counts, for one ``TIME``-like layer followed by a total order.

    time, event, key : (trial, subject), keys are ranks from 0; order : (trial, subject) positions by stratum and time.
    A ``VALUE`` layer is one in which everybody has the event.
    """
    n = time.shape[1]
    tree = np.zeros(n + 2, np.int64)
    other_wins = np.zeros(n)
    other_losses = np.zeros(n)
    for t in range(rows.shape[0]):
        lo = 0
        while lo < rows[t]:
            hi = lo
            keys = 0
            while hi < rows[t] and stratum[t, hi] == stratum[t, lo]:
                keys = max(keys, key[t, hi] + 1)
                hi += 1
            for asked in range(2):
                _count_block(
                    lo,
                    hi,
                    order[t],
                    time[t],
                    event[t],
                    margin,
                    key[t],
                    keys,
                    asked,
                    1 - asked,
                    active[t],
                    tree,
                    wins[t],
                    losses[t],
                )
            if same_arm:
                for i in range(lo, hi):
                    other_wins[i] = 0.0
                    other_losses[i] = 0.0
                _count_block(
                    lo,
                    hi,
                    order[t],
                    time[t],
                    event[t],
                    margin,
                    key[t],
                    keys,
                    2,
                    2,
                    active[t],
                    tree,
                    other_wins,
                    other_losses,
                )
                for i in range(lo, hi):
                    score[t, i] = other_wins[i] - other_losses[i]
            lo = hi


@kernel
def summarise(rows, active, stratum, wins, losses, score, counts, moments, test):
    """Sums of each stratum from the counts of its patients.

    counts : (trial, stratum, 4) patients of control and active, pairs that active won and lost. moments : (trial,
    stratum, 4) variance of the share won, of the share lost, their covariance, and the variance of their difference if
    the arms do not differ (NaN with one patient in an arm). test : (trial, stratum, 2) Finkelstein-Schoenfeld statistic
    and its permutation variance.
    """
    for t in range(rows.shape[0]):
        lo = 0
        h = 0
        while lo < rows[t]:
            hi = lo
            n0 = 0.0
            n1 = 0.0
            won = 0.0
            lost = 0.0
            total = 0.0
            squares = 0.0
            while hi < rows[t] and stratum[t, hi] == stratum[t, lo]:
                squares += score[t, hi] * score[t, hi]
                if active[t, hi]:
                    n1 += 1.0
                    won += wins[t, hi]
                    lost += losses[t, hi]
                    total += score[t, hi]
                else:
                    n0 += 1.0
                hi += 1
            counts[t, h, 0], counts[t, h, 1], counts[t, h, 2], counts[t, h, 3] = n0, n1, won, lost
            n = n0 + n1
            if n0 > 0.0 and n1 > 0.0:
                test[t, h, 0] = total
                test[t, h, 1] = n0 * n1 / (n * (n - 1.0)) * squares
                share_won = won / (n0 * n1)
                share_lost = lost / (n0 * n1)
                rows_1 = -(won + lost)
                rows_0 = rows_1
                for i in range(lo, hi):
                    net = wins[t, i] - losses[t, i]
                    if active[t, i]:
                        rows_1 += net * net
                        a = (wins[t, i] / n0 - share_won) / n1
                        b = (losses[t, i] / n0 - share_lost) / n1
                    else:
                        rows_0 += net * net
                        a = (losses[t, i] / n1 - share_won) / n0
                        b = (wins[t, i] / n1 - share_lost) / n0
                    moments[t, h, 0] += a * a
                    moments[t, h, 1] += b * b
                    moments[t, h, 2] += a * b
                if n0 > 1.0 and n1 > 1.0:
                    moments[t, h, 3] = (rows_1 / (n0 - 1.0) / n1 + rows_0 / (n1 - 1.0) / n0) / (n0 * n1)
                else:
                    moments[t, h, 3] = np.nan
            lo = hi
            h += 1


def _ranks(keys, group):
    """(trial, subject) dense ranks from 0 of the tuples ``keys`` (layer, trial, subject), within each group."""
    order = np.lexsort((*keys[::-1], group), axis=-1)
    new = np.zeros(group.shape, np.bool_)
    restart = np.zeros(group.shape, np.bool_)
    for source, flag in [*((k, new) for k in keys), (group, restart)]:
        ordered = np.take_along_axis(source, order, axis=1)
        flag[:, 1:] |= ordered[:, 1:] != ordered[:, :-1]
    restart[:, 0] = True
    running = np.cumsum(new | restart, axis=1)
    start = np.maximum.accumulate(np.where(restart, running, 0), axis=1)
    ranks = np.empty(group.shape, np.int64)
    np.put_along_axis(ranks, order, running - start, axis=1)
    return ranks


def _total_order(kind, value, event, member, margin, sign):
    """(trial, subject) key by which a layer orders all patients, or None where it does not."""
    if margin > 0.0 or kind > TIME or np.isnan(value[member]).any():
        return None
    if kind == VALUE:
        return sign * value
    if (event | ~member).all():
        return sign * value
    deaths = np.where(member & event, value, -np.inf).max(axis=1)
    followed = np.where(member & ~event, value, np.inf).min(axis=1)
    if (followed > deaths).all():  # censored only after the last event: all of them tie, above every event
        return sign * np.where(event, value, np.inf)
    return None


def count(
    value,
    active,
    *,
    kinds,
    event=None,
    margins=None,
    signs=None,
    include=None,
    stratum=None,
    recurrent=None,
    scores=True,
    method="auto",
):
    """Compare all pairs of every trial of a block: (trial,) patients; counts, moments, layers and test by stratum.

    Parameters
    ----------
    value : (trial, subject, layer) outcomes; times for ``TIME``, end of follow-up for ``COUNT``, ``FIRST``, ``LAST``.
    active : (trial, subject) arm. kinds : (layer,) codes ``VALUE``, ``TIME``, ``COUNT``, ``FIRST``, ``LAST``. event :
    (trial, subject, layer) whether the event of a ``TIME`` layer happened. margins : (layer,) 0 or more. signs :
    (layer,) 1, or -1 where the smaller value or the earlier event wins. include : (trial, subject) analysis set.
    stratum : (trial, subject) integer codes; only pairs within a stratum are compared. recurrent : (trial, subject,
    event) sorted event times, infinite where there is none. scores : whether the test of Finkelstein and Schoenfeld is
    wanted, which compares patients of the same arm too. method : ``sorted``, ``pairs`` or ``auto``.

    Returns
    -------
    rows (trial,); counts, moments (trial, stratum, 4) as :func:`summarise` fills them in, strata in the order of their
    codes; layers (trial, layer, 2) pairs won and lost in each; test (trial, 2) summed over strata.
    """
    value = np.asarray(value, dtype=np.float64)
    n_trials, n, n_layers = value.shape
    kinds = np.ascontiguousarray(kinds, dtype=np.int64)
    margins = np.zeros(n_layers) if margins is None else np.ascontiguousarray(margins, dtype=np.float64)
    signs = np.ones(n_layers, np.int64) if signs is None else np.ascontiguousarray(signs, dtype=np.int64)
    event = np.ones(value.shape, np.bool_) if event is None else np.asarray(event, dtype=np.bool_)
    active = np.asarray(active).astype(np.bool_)
    include = np.ones(active.shape, np.bool_) if include is None else np.asarray(include, dtype=np.bool_)
    times = np.full((n_trials, n, 0), np.inf) if recurrent is None else np.asarray(recurrent, dtype=np.float64)
    code = np.zeros(active.shape, np.int64) if stratum is None else np.asarray(stratum).astype(np.int64)
    code = np.where(include, code, np.iinfo(np.int64).max)
    order = np.lexsort((active, code), axis=-1)
    value, event, times = (
        np.ascontiguousarray(np.take_along_axis(a, order[:, :, None], axis=1)) for a in (value, event, times)
    )
    active, code = (np.ascontiguousarray(np.take_along_axis(a, order, axis=1)) for a in (active, code))
    rows = include.sum(axis=1)
    member = np.arange(n) < rows[:, None]
    group = np.where(member, _ranks([code], np.zeros_like(code)), n)
    n_strata = int(group[member].max(initial=0)) + 1

    wins, losses, score = np.zeros((3, n_trials, n))
    layers = np.zeros((n_trials, n_layers, 2))
    reduced = None
    if method == "sorted" or (method == "auto" and n >= _FAST_FROM):
        reduced = _reduce(value, event, member, kinds, margins, signs)
        if reduced is None and method == "sorted":
            raise ValueError("this hierarchy is not one that sorting can count")
    if reduced is None:
        count_pairs(
            rows, active, group, value, event, times, kinds, margins, signs, scores, wins, losses, score, layers
        )
    else:
        time, own, margin, flip, keys = reduced
        by_time = np.lexsort((time, group), axis=-1)
        before = np.zeros((n_trials, 2))
        for k in range(n_layers):
            used = keys[: k + 1] if k < len(keys) else keys
            rank = _ranks(used, group) if used else np.zeros(group.shape, np.int64)
            last = k == n_layers - 1
            for a in (wins, losses):
                a[:] = 0.0
            count_sorted(rows, active, group, time, own, margin, rank, by_time, scores and last, wins, losses, score)
            won = np.stack([(a * (active & member)).sum(axis=1) for a in (wins, losses)], axis=1)
            layers[:, k] = won - before
            before = won
        if flip:
            wins, losses, score, layers = losses, wins, -score, layers[:, :, ::-1].copy()

    counts = np.zeros((n_trials, n_strata, 4))
    moments = np.zeros((n_trials, n_strata, 4))
    test = np.zeros((n_trials, n_strata, 2))
    summarise(rows, active, group, wins, losses, score, counts, moments, test)
    return rows, counts, moments, layers, np.where(scores, test.sum(axis=1), np.nan)


def combine(rows, counts, moments, weights="mantel-haenszel"):
    """Strata combined by weights: shares, covariance, null_variance and status as :func:`win_statistics` returns them.

    rows : (trial,) patients; counts, moments : (trial, stratum, 4) of :func:`summarise`.
    """
    n0, n1, won, lost = np.moveaxis(counts, 2, 0)
    pairs = n0 * n1
    weight = {
        "mantel-haenszel": pairs / np.maximum(n0 + n1, 1.0),
        "size": n0 + n1,
        "pairs": pairs,
        "equal": np.ones_like(pairs),
    }[weights]
    weight = np.where(pairs > 0.0, weight, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        weight = weight / weight.sum(axis=1, keepdims=True)
    share = np.stack([won, lost], axis=2) / np.maximum(pairs, 1.0)[:, :, None]
    shares = (weight[:, :, None] * share).sum(axis=1)
    v = (weight[:, :, None] ** 2 * np.where(weight[:, :, None] > 0.0, moments, 0.0)).sum(axis=1)
    covariance = _square(v)
    total_won, total_lost, total_pairs = won.sum(axis=1), lost.sum(axis=1), pairs.sum(axis=1)
    both = pairs > 0.0
    lonely = (np.where(both, n0, 0.0).sum(axis=1) == both.sum(axis=1)) | (
        np.where(both, n1, 0.0).sum(axis=1) == both.sum(axis=1)
    )
    status = np.select(
        [
            rows == 0,
            total_pairs == 0.0,
            total_won + total_lost == 0.0,
            (total_won == total_pairs) | (total_lost == total_pairs),
            lonely,
        ],
        [NO_DATA, EMPTY_ARM, NO_EVENTS, BOUNDARY, SINGULAR],
        OK,
    )
    covariance[status != OK] = np.nan
    return shares, covariance, v[:, 3], status.astype(np.int8)


def _square(v):
    """(..., 2, 2) covariance of the shares won and lost from (..., 3 or more) their variances and covariance."""
    return np.stack([np.stack([v[..., 0], v[..., 2]], -1), np.stack([v[..., 2], v[..., 1]], -1)], axis=-2)


def from_counts(rows, active, wins, losses):
    """Shares, covariance, null_variance and status of trials whose pairs were compared elsewhere, without strata.

    rows : (trial,) patients that count, the first ones; active, wins, losses : (trial, subject) arm, and patients of
    the other arm that each did better and worse than.
    """
    counts, moments, test = np.zeros((len(rows), 1, 4)), np.zeros((len(rows), 1, 4)), np.zeros((len(rows), 1, 2))
    nothing = np.zeros(active.shape)
    summarise(rows, active, np.zeros(active.shape, np.int64), wins, losses, nothing, counts, moments, test)
    return combine(rows, counts, moments)


def win_statistics(value, active, *, weights="mantel-haenszel", **options):
    """Win statistics of a block of trials.

    Parameters
    ----------
    value, active, options : as in :func:`count`. weights : of the strata: ``mantel-haenszel`` ``n1 n0 / n``, ``size``
    ``n``, ``pairs`` ``n1 n0``, ``equal``.

    Returns
    -------
    shares : (trial, 2) of pairs won and lost by active, weighted over strata; covariance : (trial, 2, 2) of them.
    null_variance : (trial,) of their difference if the arms do not differ. strata : (trial, stratum, 4) patients of
    control and active, pairs won and lost. layers : (trial, layer, 2) pairs won and lost in each layer. test : (trial,
    2) Finkelstein-Schoenfeld statistic and variance. status : (trial,) ``NO_DATA``, ``EMPTY_ARM`` (no stratum has both
    arms), ``NO_EVENTS`` (all pairs tied), ``BOUNDARY`` (active won, or lost, every pair), ``SINGULAR`` (an arm of one
    patient in every stratum: no variance). Shares are NaN for the first two, the covariance for all of them. A stratum
    of one arm takes no part.
    """
    rows, counts, moments, layers, test = count(value, active, **options)
    shares, covariance, null, status = combine(rows, counts, moments, weights)
    return shares, covariance, null, counts, layers, test, status


def inverse_variance(counts, moments, *, null=False):
    """Strata combined on the scale of each statistic, with weights inverse to its variance in the stratum.

    counts, moments : (trial, stratum, 4) of :func:`count`; null : the variance if the arms do not differ. Returns
    (trial, 3) log win ratio, log win odds and net benefit, (trial, 3) their standard errors, and (trial, stratum, 3)
    which strata took part: those in which the statistic and its variance exist.
    """
    n_trials, n_strata, _ = counts.shape
    flat = counts.reshape(-1, 1, 4)
    shares, covariance, null_variance, _ = combine(flat[:, 0, 0] + flat[:, 0, 1], flat, moments.reshape(-1, 1, 4))
    values, errors = ratios(shares, covariance, null_variance if null else None)
    values, errors = values.reshape(n_trials, n_strata, 3), errors.reshape(n_trials, n_strata, 3)
    used = np.isfinite(values) & np.isfinite(errors)
    weight = np.where(used, 1.0 / np.where(used, errors, 1.0) ** 2, 0.0)
    total = weight.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        pooled = np.where(total > 0.0, (weight * np.where(used, values, 0.0)).sum(axis=1) / total, np.nan)
        return pooled, np.where(total > 0.0, 1.0 / np.sqrt(total), np.nan), used


def ratios(shares, covariance, null_variance=None):
    """(trial, 3) log win ratio, log win odds and net benefit, and (trial, 3) their standard errors.

    shares, covariance : as :func:`win_statistics` returns them; the delta method. null_variance : (trial,) to take the
    variance of the net benefit under equality of the arms instead, and that of the ratios at their value of 1. A ratio
    of 0 or infinity, and everything that has no variance, is NaN.
    """
    won, lost = shares[:, 0], shares[:, 1]
    net = won - lost
    v = covariance
    with np.errstate(divide="ignore", invalid="ignore"):
        both = (won > 0.0) & (lost > 0.0)
        log_ratio = np.where(both, np.log(won / lost), np.nan)
        log_odds = np.where(np.abs(net) < 1.0, np.log1p(net) - np.log1p(-net), np.nan)
        if null_variance is None:
            spread = v[:, 0, 0] + v[:, 1, 1] - 2.0 * v[:, 0, 1]
            ratio = v[:, 0, 0] / won**2 + v[:, 1, 1] / lost**2 - 2.0 * v[:, 0, 1] / (won * lost)
            odds = spread * (2.0 / ((1.0 - net) * (1.0 + net))) ** 2
        else:
            spread = np.where(np.isnan(v[:, 0, 0]), np.nan, null_variance)
            ratio = spread / (0.5 * (won + lost)) ** 2
            odds = 4.0 * spread
        variances = np.stack([np.where(both, ratio, np.nan), odds, spread], axis=1)
        return np.stack([log_ratio, log_odds, net], axis=1), np.sqrt(np.where(variances > 0.0, variances, np.nan))


def _reduce(value, event, member, kinds, margins, signs):
    """The hierarchy as one ``TIME``-like layer and a list of keys that order the rest; None where it is not one.

    Returns ``time, event, margin, flip, keys``; with ``flip`` wins and losses change places. Patients that do not count
    are left as they are.
    """
    first, rest = value[:, :, 0], []
    if kinds[0] > TIME or np.isnan(first[member]).any():
        return None
    flip = signs[0] < 0 and kinds[0] == TIME
    for k in range(1, kinds.shape[0]):
        key = _total_order(kinds[k], value[:, :, k], event[:, :, k], member, margins[k], signs[k])
        if key is None:
            return None
        rest.append(np.where(member, -key if flip else key, 0.0))
    own = np.ones(first.shape, np.bool_) if kinds[0] == VALUE else event[:, :, 0]
    time = signs[0] * first if kinds[0] == VALUE else first
    return (
        np.ascontiguousarray(np.where(member, time, 0.0)),
        np.ascontiguousarray(own),
        float(margins[0]),
        flip,
        # the first entry of keys belongs to the first layer, which needs none
        [np.zeros_like(first), *rest] if rest else [],
    )
