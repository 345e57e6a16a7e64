"""Tests on ranks for a block of trials: Wilcoxon, van Elteren, ANCOVA on ranks, Quade, stratified rank ANCOVA.

``group`` (trial, subject) holds the stratum code from 0, or -1 for a patient outside the analysis; ``active`` (trial,
subject) the arm. Every test returns ``difference``, ``se``, ``df`` (trial,) and ``status``, codes of
:class:`equipoise.types.Status`: ``NO_DATA`` (nobody), ``EMPTY_ARM`` (no stratum has both arms), ``NO_EVENTS``
(everybody tied), ``NO_VARIANCE`` (arm and covariates determine the scores). The equations are in
``docs/methods/joint-rank.md``.
"""

from __future__ import annotations

import numpy as np

from equipoise.estimate.missing.kernels.mi_ancova import generalised_inverse
from equipoise.estimate.ranks.kernels import rank as kernel
from equipoise.numerics.linalg import is_cancelled, is_rounding
from equipoise.numerics.status import EMPTY_ARM, NO_DATA, NO_EVENTS, NO_VARIANCE, OK, SINGULAR


def groups(shape, stratum=None, include=None):
    """(trial, subject) stratum codes from 0, -1 outside ``include``; and how many strata there are in the block."""
    code = np.zeros(shape, np.int64)
    n = 1
    if stratum is not None:
        levels, code = np.unique(np.asarray(stratum), return_inverse=True)
        code, n = code.reshape(shape).astype(np.int64), max(len(levels), 1)
    if include is not None:
        code = np.where(np.asarray(include, dtype=np.bool_), code, -1)
    return np.ascontiguousarray(code), n


def midranks(values, group, n_groups):
    """(trial, subject) midranks within the groups, 0 outside them."""
    rank = np.empty(group.shape)
    kernel.midranks(np.ascontiguousarray(values, dtype=np.float64), group, n_groups, rank)
    return rank


def sums(values, active, group, n_groups, *, fractional=False):
    """(trial, 6) as :func:`rank_sums`: sum of the active arm, expectation, variance ..."""
    out = np.empty((group.shape[0], 6))
    kernel.rank_sums(
        np.ascontiguousarray(values, dtype=np.float64),
        group,
        np.ascontiguousarray(active, dtype=np.bool_),
        n_groups,
        fractional,
        out,
    )
    return out


def _status(total, group):
    return np.select(
        [(group < 0).all(axis=1), total[:, 5] == 0.0, ~(total[:, 2] > 0.0)], [NO_DATA, EMPTY_ARM, NO_EVENTS], OK
    ).astype(np.int8)


def permutation(total, group, scale):
    """Test of a sum of :func:`sums` against its moments: the difference is what it exceeds expectation by, over
    ``scale``.
    """
    status = _status(total, group)
    with np.errstate(divide="ignore", invalid="ignore"):
        difference = np.where(status == OK, (total[:, 0] - total[:, 1]) / scale, np.nan)
        se = np.where(status == OK, np.sqrt(total[:, 2]) / scale, np.nan)
    return difference, se, np.full(len(status), np.inf), status


def wilcoxon(values, active, group, n_groups):
    """Rank-sum test, ranks within strata, strata unweighted; the difference in mean rank (Mantel-Haenszel weights)."""
    total = sums(midranks(values, group, n_groups), active, group, n_groups)
    return permutation(total, group, total[:, 3])


def van_elteren(values, active, group, n_groups):
    """Stratified rank-sum test, ranks over stratum size plus one (van Elteren 1960).

    The difference is the probability that a patient of the active arm outranks a control of the stratum, ties counting
    half, less one half; strata weigh ``n1 n0 / (n + 1)``.
    """
    total = sums(midranks(values, group, n_groups), active, group, n_groups, fractional=True)
    return permutation(total, group, total[:, 4])


def _regression(y, x, inside):
    """Residuals of ``y`` (trial, subject) on ``x`` (trial, subject, q) among ``inside``; and the rank (trial,)."""
    x = np.where(inside[:, :, None], x, 0.0)
    inverse, rank = generalised_inverse(np.einsum("tia,tib->tab", x, x))
    beta = np.einsum("tab,tib,ti->ta", inverse, x, np.where(inside, y, 0.0))
    residual = np.where(inside, y - np.einsum("tia,ta->ti", x, beta), 0.0)
    size = np.sqrt(np.square(np.where(inside, y, 0.0)).sum(axis=1))  # what the covariates determine leaves rounding
    residual[is_rounding(np.square(residual).sum(axis=1), 1.0, size)] = 0.0
    return residual, rank


def _rank_columns(x, group, n_groups):
    """Midranks of every covariate (trial, subject, q) within the groups."""
    if x.shape[2] == 0:
        return x
    return np.stack([midranks(x[:, :, j], group, n_groups) for j in range(x.shape[2])], axis=2)


def ancova(values, active, group, covariates):
    """Least squares of ``values`` on the arm and covariates (trial, subject, q), Student's t; strata play no part."""
    inside = group >= 0
    n = inside.sum(axis=1)
    one = inside[:, :, None].astype(np.float64)
    arm = np.where(inside, active, False).astype(np.float64)
    x = np.where(inside[:, :, None], covariates, 0.0)
    x = np.where(inside[:, :, None], x - x.sum(axis=1, keepdims=True) / np.maximum(n, 1)[:, None, None], 0.0)
    # the arm last: its pivot is what the others leave of it
    columns = np.concatenate([one, x, arm[:, :, None]], axis=2)
    inverse, rank = generalised_inverse(np.einsum("tia,tib->tab", columns, columns))
    beta = np.einsum("tab,tib,ti->ta", inverse, columns, np.where(inside, values, 0.0))
    residual = np.where(inside, values - np.einsum("tia,ta->ti", columns, beta), 0.0)
    df = (n - rank).astype(np.float64)
    rss = (residual**2).sum(axis=1)
    count = arm.sum(axis=1)
    mean = np.where(inside, values, 0.0).sum(axis=1) / np.maximum(n, 1)
    spread = np.where(inside, (values - mean[:, None]) ** 2, 0.0).sum(axis=1)
    flat = is_rounding(spread, 1.0, np.sqrt(np.where(inside, np.square(values), 0.0).sum(axis=1)))
    status = np.select(
        [n == 0, (count == 0.0) | (count == n), inverse[:, -1, -1] <= 0.0, df <= 0.0, flat, is_cancelled(rss, spread)],
        [NO_DATA, EMPTY_ARM, SINGULAR, SINGULAR, NO_EVENTS, NO_VARIANCE],
        OK,
    ).astype(np.int8)
    lost = status != OK
    with np.errstate(divide="ignore", invalid="ignore"):
        se = np.sqrt(rss / df * inverse[:, -1, -1])
    return np.where(lost, np.nan, beta[:, -1]), np.where(lost, np.nan, se), np.where(lost, np.nan, df), status


def quade(values, active, group, covariates):
    """Rank analysis of covariance (Quade 1967): ranks of the values regressed on ranks of the covariates, arms left
    out; residuals compared by one-way ANOVA, here Student's t on ``n - 2`` degrees of freedom. Strata play no part.
    """
    whole = np.where(group >= 0, 0, -1)
    ranked = midranks(values, whole, 1)
    x = _rank_columns(covariates, whole, 1)
    residual, _ = _regression(ranked, np.concatenate([np.ones((*group.shape, 1)), x], axis=2), whole >= 0)
    return ancova(residual, active, whole, np.zeros((*group.shape, 0)))


def stratified_rank_ancova(values, active, group, n_groups, covariates):
    """Stratified rank analysis of covariance (Koch, Tangen, Jung & Amara 1998).

    Within each stratum ranks of values and covariates over size plus one; residuals of the former on the latter, arms
    left out; the sum of residuals over the active arm against its permutation variance, added over strata. Without
    covariates it is :func:`van_elteren`. The difference is that in mean residual, Mantel-Haenszel weights.
    """
    size = np.stack([(group == g).sum(axis=1) for g in range(n_groups)], axis=1)
    own = np.take_along_axis(size, np.maximum(group, 0), axis=1)[:, :, None] + 1.0
    y = midranks(values, group, n_groups) / own[:, :, 0]
    x = np.concatenate([np.ones((*group.shape, 1)), _rank_columns(covariates, group, n_groups) / own], axis=2)
    residual = np.zeros(group.shape)
    for g in range(n_groups):
        residual += _regression(y, x, group == g)[0]
    total = sums(residual, active, group, n_groups)
    return permutation(total, group, total[:, 3])
