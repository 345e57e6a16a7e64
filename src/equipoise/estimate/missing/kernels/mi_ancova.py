"""Multiple imputation, ANCOVA at every visit and the joint rank test over a block of trials.

One call imputes each trial's repeated measures (:mod:`kernels.imputation`), runs an ANCOVA at every visit
and the joint rank test at one visit for one or more design matrices on the same imputed data, and pools by Rubin's
rules. Cross-products of what was observed are formed once a trial; an imputation adds only its imputed cells.

ANCOVA: ordinary least squares; covariates are centred at their mean over the analysis set, so that the intercept is
the LS mean of the control arm at the observed covariate means. A covariate that is a linear combination of the columns
before it is dropped (coefficient zero), as R's ``lm`` does.

Pooling (Rubin 1987, section 3.3), over ``M`` imputations with mean estimate ``Q``, mean squared standard error ``W``
and variance ``B`` of the estimates: ``T = W + (1 + 1/M) B``. Degrees of freedom after Barnard & Rubin (1999): with
``gamma = (1 + 1/M) B / T`` and complete-data df ``v``,

    1/df = gamma^2 / (M - 1) + 1 / ((v + 1) / (v + 3) v (1 - gamma)).

Where nothing was imputed (``B = 0``) the complete-data analysis stands as it is, with ``df = v``.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import special

from equipoise.estimate.missing.kernels import imputation as imp
from equipoise.estimate.ranks.kernels.rank import merge, score_sorted, sort_order
from equipoise.numerics.compiler import inner, kernel
from equipoise.numerics.linalg import is_cancelled, is_rounding
from equipoise.numerics.status import EMPTY_ARM, NO_DATA, NO_VARIANCE, NOT_CONVERGED, OK, SINGULAR

CONTROL, CONTROL_SE, CONTROL_DF = 0, 1, 2
ACTIVE, ACTIVE_SE, ACTIVE_DF = 3, 4, 5
DIFFERENCE, DIFFERENCE_SE, DIFFERENCE_DF = 6, 7, 8
N_STATS = 9
"""Positions in the last axis of the ANCOVA results; for the joint rank test, the same for mean scores."""


def generalised_inverse(a):
    """Generalised inverse of cross-products (..., p, p) and their rank (...,).

    Gauss-Jordan sweeps without pivoting (Goodnight 1979): a column aliased with those before it gets zeros.
    """
    a = a.copy()
    own = np.diagonal(a, axis1=-2, axis2=-1).copy()
    rank = np.zeros(a.shape[:-2], np.int64)
    for k in range(a.shape[-1]):
        d = a[..., k, k]
        keep = (d > 0.0) & (d > imp.ALIAS_TOLERANCE * own[..., k])
        pivot = np.where(keep, 1.0 / np.where(keep, d, 1.0), 0.0)
        rank += keep
        row = a[..., k, :] * pivot[..., None]
        column = a[..., :, k].copy()
        a -= column[..., :, None] * row[..., None, :]
        a[..., k, :] = row
        a[..., :, k] = -column * pivot[..., None]
        a[..., k, k] = pivot
    return a, rank


@inner
def _accumulate(t, d, v, out, k, p, inverse, xty, yty, df, mean, m2, within):
    """Fit one ANCOVA from its cross-products and add imputation ``k`` (from 0) to the running moments."""
    intercept = 0.0
    arm = 0.0
    rss = yty[v]
    for a in range(p):
        s = 0.0
        for b in range(p):
            s += inverse[t, d, a, b] * xty[v, d * p + b]
        rss -= s * xty[v, d * p + a]
        if a == 0:
            intercept = s
        elif a == 1:
            arm = s
    if k == 0:
        within[t, d, out] = 0.0
    if not is_cancelled(rss, yty[v]):
        within[t, d, out] += rss / df
    for j in range(3):
        value = intercept * (j < 2) + arm * (j > 0)
        delta = value - mean[t, d, out, j]
        mean[t, d, out, j] += delta / (k + 1)
        m2[t, d, out, j] += delta * (value - mean[t, d, out, j])


@kernel
def analyse(counts, visit, seen, z, cell, values, x, inverse, df, death_week, rank_week, rank_visit, mean, m2, within):
    """ANCOVA at every visit and on the joint rank scores, for every imputation of arranged and imputed trials.

    x : (trial, row, design * p) the designs side by side; inverse : (trial, design, p, p); df : (trial, design), not
    positive where nothing can be estimated; death_week : (trial, row). Filled in, with axes (trial, design,
    visit + 1), the last place being the joint rank test: ``mean`` and ``m2`` (3,) mean and sum of squared deviations
    over imputations of the LS means of control and active and of their difference, and ``within`` the summed residual
    variance (left as it was where nothing could be estimated).
    """
    n_trials, n, n_visits = seen.shape
    q = z.shape[2] - n_visits
    p = inverse.shape[3]
    width = x.shape[2]
    xty_seen = np.empty((n_visits + 1, width))
    xty = np.empty((n_visits + 1, width))
    yty_seen = np.empty(n_visits + 1)
    yty = np.empty(n_visits + 1)
    key = np.empty(n)
    dead = np.empty(n, np.bool_)
    order = np.empty(n, np.int64)
    merged = np.empty(n, np.int64)
    score = np.empty(n)
    for t in range(n_trials):
        rows = counts[t, imp.ROWS]
        m = counts[t, imp.VISITS]
        n_cells = counts[t, imp.CELLS]
        # what is observed enters once
        at_rank = -1
        for v in range(m + 1):
            if v < m and visit[t, v] == rank_visit:
                at_rank = v
            yty_seen[v] = 0.0
            for a in range(width):
                xty_seen[v, a] = 0.0
        for r in range(rows):
            for v in range(m):
                if seen[t, r, v]:
                    value = z[t, r, q + v]
                    yty_seen[v] += value * value
                    for a in range(width):
                        xty_seen[v, a] += x[t, r, a] * value
        # deaths below everyone, in order of time; observed survivors sorted once
        n_dead = np.int64(0)
        n_sorted = np.int64(0)
        if at_rank >= 0:
            for r in range(rows):
                dead[r] = death_week[t, r] <= rank_week
                key[r] = death_week[t, r] if dead[r] else z[t, r, q + at_rank]
                n_dead += dead[r]
            for part in range(2):
                stop = np.int64(0)
                for r in range(rows):
                    if (dead[r] and part == 0) or (part == 1 and not dead[r] and seen[t, r, at_rank]):
                        order[stop] = r
                        stop += 1
                sort_order(key, order, stop, merged)
                if part == 0:
                    score_sorted(key, order, stop, n_dead - rows, score)
                n_sorted = stop

        for k in range(values.shape[1] if n_cells > 0 else 1):
            for v in range(m):
                yty[v] = yty_seen[v]
                for a in range(width):
                    xty[v, a] = xty_seen[v, a]
            stop = n_sorted
            for i in range(n_cells):
                r = cell[t, i, 0]
                v = cell[t, i, 1]
                value = values[t, k, i]
                yty[v] += value * value
                for a in range(width):
                    xty[v, a] += x[t, r, a] * value
                if v == at_rank and not dead[r]:
                    key[r] = value
                    order[stop] = r
                    stop += 1
            if at_rank >= 0:
                merge(key, order, n_sorted, stop, merged)
                score_sorted(key, merged, stop, n_dead, score)
                yty[m] = 0.0
                for a in range(width):
                    xty[m, a] = 0.0
                for r in range(rows):
                    yty[m] += score[r] * score[r]
                    for a in range(width):
                        xty[m, a] += x[t, r, a] * score[r]
            for d in range(inverse.shape[1]):
                if df[t, d] > 0.0:
                    for v in range(m + 1 if at_rank >= 0 else m):
                        out = visit[t, v] if v < m else n_visits
                        _accumulate(t, d, v, out, k, p, inverse, xty, yty, df[t, d], mean, m2, within)


def pool(m2, within, n, df):
    """Rubin's rules with Barnard-Rubin degrees of freedom; elementwise, returns ``(se, df)``.

    m2 : sum of squared deviations of ``n`` estimates from their mean; within : mean squared standard error; df :
    complete-data degrees of freedom (infinite allowed).
    """
    n = np.asarray(n, dtype=np.float64)
    df = np.asarray(df, dtype=np.float64)
    between = (1.0 + 1.0 / n) * m2 / np.maximum(n - 1.0, 1.0)
    total = within + between
    with np.errstate(divide="ignore", invalid="ignore"):
        share = between / total
        finite = np.where(np.isinf(df), 1.0, df)
        observed = np.where(np.isinf(df), np.inf, (finite + 1.0) / (finite + 3.0) * finite * (1.0 - share))
        pooled = 1.0 / (share * share / np.maximum(n - 1.0, 1.0) + 1.0 / observed)
    return np.sqrt(total), np.where(between > 0.0, pooled, df)


def mi_ancova(
    y,
    include,
    predictors,
    designs,
    *,
    n_columns=None,
    death_week=None,
    rank_week=math.nan,
    rank_visit=-1,
    n_imputations=20,
    burn_in=imp.BURN_IN,
    seed=0,
    first_replicate=0,
    unit=0,
):
    """Impute, analyse by ANCOVA at every visit and by the joint rank test at one, and pool; for a block of trials.

    Parameters
    ----------
    y : (trial, subject, visit) outcome at the post-baseline visits, as the change (or log ratio) from baseline; NaN
        where missing.
    include : (trial, subject) the analysis set.
    predictors : (trial, subject, q) fully observed predictors of the imputation model; column 0 is 1.
    designs : (trial, subject, p), or (design, trial, subject, p) for several designs on the same imputed data:
        column 0 is 1, column 1 the arm (1 active, 0 control), then covariates.
    n_columns : (design,) how many columns of each design count; default all.
    death_week : (trial, subject) week of death, infinite for survivors; only used by the joint rank test.
    rank_week, rank_visit : deaths up to ``rank_week`` rank below survivors, who rank by ``y`` at ``rank_visit``
        (index); ``rank_visit`` -1 for no joint rank test.
    n_imputations : at least 2. ``burn_in``: I/P cycles before each imputation where there are intermittent gaps.
    seed, first_replicate, unit : trial ``i`` is replicate ``first_replicate + i``; ``unit`` names the analysis, so
        that two analyses of one trial do not share random numbers.

    Returns
    -------
    visits : (trial, design, visit, N_STATS) LS mean of control, its standard error and df, the same for active and
        for active minus control; NaN where not estimable.
    ranks : (trial, design, N_STATS) the same for mean joint rank scores.
    status : (trial, design, visit) and rank_status : (trial, design) codes of :class:`equipoise.types.Status`.
        A predictor that is NaN within the analysis set makes its trial ``NO_DATA``, a covariate its design, an arm
        with nobody seen its visit; a chain
        that ran away (visits that determine each other exactly) makes its trial ``NOT_CONVERGED``.
    dropped : (trial,) predictors left out of imputation regressions for want of data, over all visits.
    """
    imputed = imp.multiple_imputation(
        y,
        include,
        predictors,
        n_imputations=n_imputations,
        burn_in=burn_in,
        seed=seed,
        first_replicate=first_replicate,
        unit=unit,
    )
    return ancova_imputed(
        imputed, designs, n_columns=n_columns, death_week=death_week, rank_week=rank_week, rank_visit=rank_visit
    )


def ancova_imputed(imputed, designs, *, n_columns=None, death_week=None, rank_week=math.nan, rank_visit=-1):
    """The analysis half of :func:`mi_ancova`, on what :func:`multiple_imputation` gave."""
    counts, visit, who, seen, z, centre, cell, values = imputed
    n_trials, n, n_visits = seen.shape
    q = z.shape[2] - n_visits
    designs = np.asarray(designs, dtype=np.float64)
    if designs.ndim == 3:
        designs = designs[None]
    x = np.take_along_axis(np.moveaxis(designs, 0, 2), who[:, :, None, None], axis=1)  # (trial, row, design, p)
    if n_columns is not None:
        x[:, :, np.arange(x.shape[3]) >= np.asarray(n_columns)[:, None]] = 0.0
    rows = counts[:, imp.ROWS]
    x[np.arange(n) >= rows[:, None]] = 0.0
    broken = np.isnan(x).any(axis=(1, 3))
    n_active = x[..., 1].sum(axis=1)
    x[..., 2:] -= x[..., 2:].sum(axis=1, keepdims=True) / np.maximum(rows, 1)[:, None, None, None]
    x[np.arange(n) >= rows[:, None]] = 0.0
    columns = np.moveaxis(x, 1, 3)  # (trial, design, p, row)
    inverse, rank = generalised_inverse(columns @ np.moveaxis(columns, 2, 3))
    df = (rows[:, None] - rank).astype(np.float64)
    code = np.select(
        [
            broken | (df <= 0.0),
            (n_active == 0.0) | (n_active == rows[:, None]),
            inverse[..., 1, 1] <= 0.0,
            np.broadcast_to(counts[:, imp.BROKEN, None] > 0, df.shape),
        ],
        [NO_DATA, EMPTY_ARM, SINGULAR, NOT_CONVERGED],
        OK,
    )
    df[code != OK] = 0.0
    factors = np.stack(
        [inverse[..., 0, 0], inverse[..., 0, 0] + 2.0 * inverse[..., 0, 1] + inverse[..., 1, 1], inverse[..., 1, 1]],
        axis=-1,
    )
    death = np.full((n_trials, n), np.inf)
    if death_week is not None:
        death = np.take_along_axis(np.asarray(death_week, dtype=np.float64), who, axis=1)
    n_designs = code.shape[1]
    mean = np.zeros((n_trials, n_designs, n_visits + 1, 3))
    m2 = np.zeros((n_trials, n_designs, n_visits + 1, 3))
    within = np.full((n_trials, n_designs, n_visits + 1), np.nan)
    analyse(
        counts,
        visit,
        seen,
        z,
        cell,
        values,
        x.reshape(n_trials, n, -1),
        inverse,
        df,
        death,
        float(rank_week),
        int(rank_visit),
        mean,
        m2,
        within,
    )
    draws = np.where(counts[:, imp.CELLS] > 0, values.shape[1], 1)[:, None, None, None]
    se, pooled_df = pool(m2, within[..., None] / draws * factors[:, :, None, :], draws, df[:, :, None, None])
    for t in range(n_trials):  # outcomes were centred by visit; ``visit`` names the visits in the model
        m = counts[t, imp.VISITS]
        mean[t, :, visit[t, :m], :2] += centre[t, q : q + m, None, None]
    out = np.stack([mean, se, pooled_df], axis=-1).reshape(n_trials, n_designs, n_visits + 1, N_STATS)
    lost = np.isnan(within) | _unseen(counts, visit, seen, x[..., 1], death <= rank_week, rank_visit)
    size = np.zeros((n_trials, 1, n_visits + 1))
    for t in range(n_trials):
        m = counts[t, imp.VISITS]
        size[t, 0, visit[t, :m]] = np.abs(centre[t, q : q + m])
    exact = is_rounding(within * df[:, :, None] / draws[..., 0], np.maximum(rows, 1)[:, None, None], size)
    out[lost | exact] = np.nan
    code = np.broadcast_to(code[:, :, None], lost.shape)
    status = np.select([(code == OK) & lost, (code == OK) & exact], [NO_DATA, NO_VARIANCE], code).astype(np.int8)
    return out[:, :, :-1], out[:, :, -1], status[:, :, :-1], status[:, :, -1], counts[:, imp.DROPPED]


def _unseen(counts, visit, seen, arm, dead, rank_visit):
    """(trial, design, visit + 1) where an arm has nobody seen, so that no data tell its mean; the last place is the
    joint rank test, for which an arm that died out needs nobody.

    arm : (trial, row, design) 1 for active; dead : (trial, row) before the joint rank test.
    """
    n_trials, n, n_visits = seen.shape
    lost = np.zeros((n_trials, arm.shape[2], n_visits + 1), np.bool_)
    inside = np.arange(n) < counts[:, imp.ROWS, None]
    for a in (0.0, 1.0):
        mine = (arm == a) & inside[:, :, None]
        there = np.einsum("trd,trv->tdv", mine.astype(np.int64), seen.astype(np.int64)) > 0
        empty = ~there & mine.any(axis=1)[:, :, None] & (np.arange(n_visits) < counts[:, imp.VISITS, None])[:, None]
        alive = (mine & ~dead[:, :, None]).any(axis=1)
        t, d, v = np.nonzero(empty)
        lost[t, d, visit[t, v]] = True
        at = (visit[t, v] == rank_visit) & alive[t, d]
        lost[t[at], d[at], n_visits] = True
    return lost


def p_value(estimate, se, df):
    """Two-sided p-value of Student's t; infinite ``df`` is the normal distribution. Elementwise."""
    t = np.abs(np.asarray(estimate) / np.asarray(se))
    return 2.0 * special.stdtr(df, -t)


def half_width(se, df, level=0.95):
    """Half the width of a ``level`` confidence interval: Student quantile times standard error. Elementwise."""
    return special.stdtrit(df, 0.5 + 0.5 * level) * np.asarray(se)
