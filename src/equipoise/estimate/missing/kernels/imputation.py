"""Proper multiple imputation of repeated measures under multivariate normality, for one trial inside a batch.

The joint distribution of the visits given the fully observed predictors is written as a sequence of regressions,
visit ``v`` on the predictors and on the visits before it: the factorisation under which a monotone pattern (dropout)
needs no iteration (Rubin 1987, section 5.4; Schafer 1997, section 6.5). With the prior ``p(beta_v, sigma2_v)``
proportional to ``1 / sigma2_v``, independently over visits,

    sigma2_v | data        ~  RSS_v / chi2(n_v - k_v)
    beta_v | sigma2_v, data ~  N(beta_hat_v, sigma2_v (Z'Z)^-1).

Intermittent gaps are filled first by *monotone data augmentation* (Schafer 1997, section 6.5.4; Li 1988): the I-step
draws only the cells that break the monotone pattern, jointly within a patient, from their normal distribution given
everything else observed on that patient; the P-step draws the regressions from the posterior above. Because only the
gaps, not the dropout, are augmented, the chain forgets its start at a rate of about the share of information that the
gaps took away (a few per cent a cycle), so a few cycles do what hundreds do when everything missing is augmented.
Every imputation has a chain and a random stream of its own; all start from the same point, the fixed point of a few
cycles without noise (conditional means and least squares).

Small samples. Visit ``v`` must keep at least three residual degrees of freedom: while it has ``n <= k + 2`` observed
values, its earliest visits are dropped as predictors, then predictors from the last one down to the intercept; with
three observed values or fewer the visit is left out of the model and is reported as not estimable. Columns that are
linear combinations of those before them get coefficient zero. What was dropped is counted. Outcomes that determine
each other exactly are outside the model: chains that run away are counted too, and their trial has no estimate.

Three kernels run one after another over a block of trials: :func:`arrange` lays the trials out, :func:`impute` draws,
and an analysis kernel reads the imputed cells. ``rows`` are the patients of the analysis set ordered by last observed
visit, the latest first, so that those still there at model visit ``v`` are the first ``at[v]`` rows.
"""

from __future__ import annotations

import math

import numpy as np

from equipoise.numerics.compiler import inner, kernel
from equipoise.numerics.random import IMPUTATION, STREAM_WORDS, chi_square, normal, restart_stream

ALIAS_TOLERANCE = 1e-10
"""A column whose residual sum of squares on the columns before it is below this share of its own is aliased."""

START_CYCLES = 4
"""Noise-free cycles from the next observed value carried backwards to the common start of the chains."""

STREAMS_PER_UNIT = 1 << 20
"""Imputation ``k`` of analysis ``unit`` draws from the stream ``unit * STREAMS_PER_UNIT + k``."""

BURN_IN = 3
"""Default number of I/P cycles before each imputation, where there are gaps."""

ROWS, VISITS, GAP_ROWS, CELLS, DROPPED, BROKEN = 0, 1, 2, 3, 4, 5
N_COUNTS = 6
"""Positions in ``counts``: rows, visits in the model, rows with gaps, missing cells, predictors dropped, and imputed
values that are not finite or beyond ``RUNAWAY`` times the largest deviation observed."""

RUNAWAY = 1e6
"""Draws this far out mean that the chain ran away, as it may where visits determine each other exactly."""


@kernel
def arrange(y, include, predictors, counts, visit, who, last, at, seen, z, centre, n_fixed, first, cell):
    """Lay trials out for imputation.

    y : (trial, subject, visit) with NaN where missing; include : (trial, subject); predictors : (trial, subject, q).

    Filled in, all with a leading trial axis:
    counts : (N_COUNTS,); visit : original index of each visit in the model (four or more observed values); who :
    subject of each row; last : its last observed model visit or -1; at : rows with ``last >= v``; seen : (row, visit);
    z : (row, q + visit) centred predictors, then centred outcomes; centre : what was taken off each column of ``z``;
    n_fixed, first : the predictors of visit ``v`` are the first ``n_fixed[v]`` columns and the visits from
    ``first[v]``; cell : (cell, 2) row and model visit of each missing value, row by row, in order of visit.
    """
    n_trials, n, n_visits = y.shape
    q = predictors.shape[2]
    observed = np.empty(n_visits, np.int64)
    last_of = np.empty(n, np.int64)
    for t in range(n_trials):
        m = 0
        for v in range(n_visits):
            count = 0
            total = 0.0
            for i in range(n):
                if include[t, i] and not math.isnan(y[t, i, v]):
                    count += 1
                    total += y[t, i, v]
            if count > 3:
                visit[t, m] = v
                observed[m] = count
                centre[t, q + m] = total / count
                m += 1
        # last observed visit of each subject; -2 outside the set
        for v in range(m + 1):
            at[t, v] = 0
        rows = 0
        for i in range(n):
            last_of[i] = -2
            if include[t, i]:
                rows += 1
                last_of[i] = -1
                for v in range(m):
                    if not math.isnan(y[t, i, visit[t, v]]):
                        last_of[i] = v
                for v in range(last_of[i] + 1):
                    at[t, v] += 1
        r = 0
        for step in range(m + 1):
            for i in range(n):
                if last_of[i] == m - 1 - step:
                    who[t, r] = i
                    last[t, r] = last_of[i]
                    r += 1
        for a in range(q):
            total = 0.0
            for r in range(rows):
                total += predictors[t, who[t, r], a]
            centre[t, a] = total / rows if a > 0 else 0.0
        n_cells = 0
        gap_rows = 0
        for r in range(rows):
            i = who[t, r]
            for a in range(q):
                z[t, r, a] = predictors[t, i, a] - centre[t, a]
            carry = 0.0
            for step in range(m):
                v = m - 1 - step
                value = y[t, i, visit[t, v]]
                seen[t, r, v] = not math.isnan(value)
                if seen[t, r, v]:
                    carry = value - centre[t, q + v]
                z[t, r, q + v] = carry
            gaps = 0
            for v in range(m):
                if not seen[t, r, v]:
                    cell[t, n_cells, 0] = r
                    cell[t, n_cells, 1] = v
                    n_cells += 1
                    if v < last[t, r]:
                        gaps = 1
            gap_rows += gaps
        dropped = 0
        for v in range(m):
            k = q
            f = 0
            while f < v and observed[v] <= k + (v - f) + 2:
                f += 1
            while k > 1 and observed[v] <= k + (v - f) + 2:
                k -= 1
            n_fixed[t, v] = k
            first[t, v] = f
            dropped += f + (q - k)
        counts[t, ROWS] = rows
        counts[t, VISITS] = m
        counts[t, GAP_ROWS] = gap_rows
        counts[t, CELLS] = n_cells
        counts[t, DROPPED] = dropped


@inner
def _noise(stream, noisy, m, df, chi2, n_normals, normals):
    """Random numbers of one step: chi-squares on ``df`` and standard normals; without noise, ``df`` and zeros."""
    for v in range(m):
        chi2[v] = chi_square(stream, float(df[v])) if noisy else float(df[v])
    for j in range(n_normals):
        normals[j] = normal(stream) if noisy else 0.0


@inner
def _products(t, m, q, at, last, seen, z, base, gap_row):
    """Cross-products at each visit of the rows still there, those with gaps excepted; lists the rows with gaps."""
    n_gap = np.int64(0)
    for a in range(q + m):
        for b in range(a + 1):
            base[m, a, b] = 0.0
    r = 0
    for step in range(m):
        v = m - 1 - step
        while r < at[t, v]:
            has_gap = False
            for w in range(v):
                if not seen[t, r, w]:
                    has_gap = True
            if has_gap:
                gap_row[n_gap] = r
                n_gap += 1
            else:
                for a in range(q + v + 1):
                    for b in range(a + 1):
                        base[m, a, b] += z[t, r, a] * z[t, r, b]
            r += 1
        for a in range(q + v + 1):
            for b in range(a + 1):
                base[v, a, b] = base[m, a, b]
    return n_gap


@inner
def _factor(t, m, q, at, n_fixed, first, base, extra, gap_row, n_gap, last, z, chol, df):
    """Factor every visit's regression, the rows with gaps added as they stand in ``z``.

    ``chol[v]`` holds, row by row, the Cholesky factor of the cross-products of the predictors with *reciprocal*
    diagonal (0 where aliased); its last row is the response: ``L^-1 Z'y`` and, on the diagonal, the residual sum of
    squares. ``df[v]`` are its degrees of freedom.
    """
    for a in range(q + m):
        for b in range(a + 1):
            extra[a, b] = 0.0
    g = 0
    for step in range(m):
        v = m - 1 - step
        while g < n_gap and last[t, gap_row[g]] >= v:
            r = gap_row[g]
            for a in range(q + v + 1):
                for b in range(a + 1):
                    extra[a, b] += z[t, r, a] * z[t, r, b]
            g += 1
        nf = n_fixed[t, v]
        skip = q + first[t, v] - nf
        k = nf + v - first[t, v]
        df[v] = at[t, v]
        for i in range(k + 1):
            ci = i if i < nf else i + skip
            for j in range(i + 1):
                cj = j if j < nf else j + skip
                s = base[v, ci, cj] + extra[ci, cj]
                d = s
                for c in range(j):
                    s -= chol[v, i, c] * chol[v, j, c]
                if j < i:
                    chol[v, i, j] = s * chol[v, j, j]
                elif i == k:
                    chol[v, i, i] = s if s > 0.0 else 0.0
                elif d > 0.0 and s > ALIAS_TOLERANCE * d:
                    chol[v, i, i] = 1.0 / math.sqrt(s)
                    df[v] -= 1
                else:
                    chol[v, i, i] = 0.0


@inner
def _parameters(t, m, n_fixed, first, chol, chi2, normals, beta, sigma2):
    """P-step: every visit's regression from its posterior, given its random numbers."""
    used = 0
    for v in range(m):
        k = n_fixed[t, v] + v - first[t, v]
        sigma2[v] = chol[v, k, k] / chi2[v]
        scale = math.sqrt(sigma2[v])
        for j in range(k - 1, -1, -1):
            s = chol[v, k, j] + scale * normals[used]
            used += 1
            for i in range(j + 1, k):
                s -= chol[v, i, j] * beta[v, i]
            beta[v, j] = s * chol[v, j, j]


@inner
def _prediction(t, v, r, q, n_fixed, first, beta, z):
    """Mean of visit ``v`` in row ``r`` given the predictors and the visits before."""
    k = n_fixed[t, v]
    f = first[t, v]
    s = 0.0
    for a in range(k):
        s += beta[v, a] * z[t, r, a]
    for w in range(f, v):
        s += beta[v, k + w - f] * z[t, r, q + w]
    return s


@inner
def _fill_gaps(t, q, n_fixed, first, gap_row, n_gap, last, seen, beta, sigma2, normals, used, z, gap, c, h, p):
    """I-step: draw the gaps of each row, jointly, given the rest of the row up to its last observed visit.

    With ``y_v = mu_v + sum_w b_vw y_w + e_v`` the gaps ``u`` have precision ``sum_v c_v c_v' / sigma2_v`` and linear
    term ``- sum_v c_v e_v / sigma2_v``, where ``c_v`` are their coefficients in ``e_v`` and ``e_v`` is taken at u = 0.
    """
    for g in range(n_gap):
        r = gap_row[g]
        n = 0
        for v in range(last[t, r]):
            if not seen[t, r, v]:
                gap[n] = v
                z[t, r, q + v] = 0.0
                h[n] = 0.0
                for b in range(n + 1):
                    p[n, b] = 0.0
                n += 1
        for v in range(gap[0], last[t, r] + 1):
            e = z[t, r, q + v] - _prediction(t, v, r, q, n_fixed, first, beta, z)
            w = 1.0 / (sigma2[v] + 1e-100)
            f = first[t, v]
            for a in range(n):
                u = gap[a]
                c[a] = 0.0
                if u == v:
                    c[a] = 1.0
                elif u < v and u >= f:
                    c[a] = -beta[v, n_fixed[t, v] + u - f]
                h[a] -= c[a] * e * w
                for b in range(a + 1):
                    p[a, b] += c[a] * c[b] * w
        # Cholesky of the precision in place, then mean + L'^-1 noise
        for i in range(n):
            for j in range(i + 1):
                s = p[i, j]
                floor = 1e-14 * s
                for b in range(j):
                    s -= p[i, b] * p[j, b]
                if i != j:
                    p[i, j] = s / p[j, j]
                else:
                    p[i, i] = math.sqrt(s if s > floor else floor)
            s = h[i]
            for b in range(i):
                s -= p[i, b] * h[b]
            h[i] = s / p[i, i]
        for i in range(n - 1, -1, -1):
            s = h[i] + normals[used]
            used += 1
            for b in range(i + 1, n):
                s -= p[b, i] * h[b]
            h[i] = s / p[i, i]
            z[t, r, q + gap[i]] = h[i]


@kernel
def impute(
    counts,
    last,
    at,
    seen,
    z,
    n_fixed,
    first,
    cell,
    burn_in,
    seed,
    first_replicate,
    unit,
    values,
    coefficients,
    variances,
):
    """Draw ``values`` (trial, imputation, cell): the missing values, centred as ``z`` is, of arranged trials.

    ``burn_in`` I/P cycles come before each imputation where there are intermittent gaps. Trial ``t`` is replicate
    ``first_replicate + t``. ``coefficients`` (trial, imputation, visit, q + visit) and ``variances`` (trial,
    imputation, visit) keep the regressions of every imputation, unless their second axis is empty.
    """
    n_trials, n, n_visits = seen.shape
    width = z.shape[2]
    q = width - n_visits
    stream = np.zeros(STREAM_WORDS, np.uint64)
    start = np.empty(n * n_visits)
    base = np.empty((n_visits + 1, width, width))
    extra = np.empty((width, width))
    chol = np.empty((n_visits, width, width))
    beta = np.empty((n_visits, width))
    sigma2 = np.empty(n_visits)
    chi2 = np.empty(n_visits)
    normals = np.empty(n_visits * (n + width))
    df = np.empty(n_visits, np.int64)
    gap_row = np.empty(n, np.int64)
    gap = np.empty(n_visits, np.int64)
    c = np.empty(n_visits)
    h = np.empty(n_visits)
    p = np.empty((n_visits, n_visits))
    for t in range(n_trials):
        m = counts[t, VISITS]
        n_cells = counts[t, CELLS]
        if n_cells == 0:
            continue
        n_gap = _products(t, m, q, at, last, seen, z, base, gap_row)
        n_coefficients = np.int64(0)
        for v in range(m):
            n_coefficients += n_fixed[t, v] + v - first[t, v]
        n_gap_cells = 0
        for i in range(n_cells):
            if cell[t, i, 1] < last[t, cell[t, i, 0]]:
                n_gap_cells += 1
        limit = 0.0
        for r in range(counts[t, ROWS]):
            for v in range(m):
                if seen[t, r, v] and abs(z[t, r, q + v]) > limit:
                    limit = abs(z[t, r, q + v])
        limit = RUNAWAY * limit + 1e-40  # a constant outcome has no deviation, only rounding
        # chain -1 runs without noise and leaves the common start
        cycles = burn_in + 1 if n_gap > 0 else 1
        for k in range(-1 if n_gap > 0 else 0, values.shape[1]):
            noisy = k >= 0
            restart_stream(stream, seed, first_replicate + t, IMPUTATION, unit * STREAMS_PER_UNIT + (k if noisy else 0))
            if noisy and n_gap > 0:
                for i in range(n_cells):
                    z[t, cell[t, i, 0], q + cell[t, i, 1]] = start[i]
            for cycle in range(cycles if noisy else START_CYCLES + 1):
                if n_gap > 0 or k == 0:
                    _factor(t, m, q, at, n_fixed, first, base, extra, gap_row, n_gap, last, z, chol, df)
                n_normals = n_coefficients + (n_cells - n_gap_cells if cycle == cycles - 1 else n_gap_cells)
                _noise(stream, noisy, m, df, chi2, n_normals, normals)
                _parameters(t, m, n_fixed, first, chol, chi2, normals, beta, sigma2)
                if cycle < cycles - 1 or not noisy:
                    _fill_gaps(
                        t,
                        q,
                        n_fixed,
                        first,
                        gap_row,
                        n_gap,
                        last,
                        seen,
                        beta,
                        sigma2,
                        normals,
                        n_coefficients,
                        z,
                        gap,
                        c,
                        h,
                        p,
                    )
            if noisy and coefficients.shape[1] > 0:
                for v in range(m):
                    variances[t, k, v] = sigma2[v]
                    for a in range(width):
                        coefficients[t, k, v, a] = beta[v, a]
            used = n_coefficients
            for i in range(n_cells):
                r = cell[t, i, 0]
                v = cell[t, i, 1]
                if not noisy:
                    start[i] = z[t, r, q + v]
                    continue
                if v > last[t, r]:
                    mean = _prediction(t, v, r, q, n_fixed, first, beta, z)
                    z[t, r, q + v] = mean + math.sqrt(sigma2[v]) * normals[used]
                    used += 1
                values[t, k, i] = z[t, r, q + v]
                if not abs(z[t, r, q + v]) <= limit:
                    counts[t, BROKEN] += 1


def arranged(y, include, predictors):
    """Arrays of :func:`arrange`, filled in: (counts, visit, who, last, at, seen, z, centre, n_fixed, first, cell)."""
    y = np.ascontiguousarray(y, dtype=np.float64)
    include = np.ascontiguousarray(include, dtype=np.bool_)
    predictors = np.ascontiguousarray(predictors, dtype=np.float64)
    n_trials, n, n_visits = y.shape
    q = predictors.shape[2]
    broken = (np.isnan(predictors).any(axis=2) & include).any(axis=1)
    if broken.any():
        include = include & ~broken[:, None]
    counts = np.zeros((n_trials, N_COUNTS), np.int64)
    visit = np.zeros((n_trials, n_visits), np.int64)
    who = np.zeros((n_trials, n), np.int64)
    last = np.zeros((n_trials, n), np.int64)
    at = np.zeros((n_trials, n_visits + 1), np.int64)
    seen = np.zeros((n_trials, n, n_visits), np.bool_)
    z = np.zeros((n_trials, n, q + n_visits))
    centre = np.zeros((n_trials, q + n_visits))
    n_fixed = np.zeros((n_trials, n_visits), np.int64)
    first = np.zeros((n_trials, n_visits), np.int64)
    most = max(int((np.isnan(y) & include[:, :, None]).sum(axis=(1, 2)).max(initial=0)), 1)
    cell = np.zeros((n_trials, most, 2), np.int64)
    arrange(y, include, predictors, counts, visit, who, last, at, seen, z, centre, n_fixed, first, cell)
    return counts, visit, who, last, at, seen, z, centre, n_fixed, first, cell


def multiple_imputation(
    y, include, predictors, *, n_imputations=20, burn_in=BURN_IN, seed=0, first_replicate=0, unit=0
):
    """Arrange and impute a block of trials; returns what the analysis kernels and :func:`complete` take.

    Arguments as :func:`mi_ancova`. Returns ``(counts, visit, who, seen, z, centre, cell,
    values)``, described in :func:`arrange` and :func:`impute`. A trial with a missing predictor has no rows.
    """
    counts, visit, who, last, at, seen, z, centre, n_fixed, first, cell = arranged(y, include, predictors)
    values = np.zeros((len(counts), n_imputations, cell.shape[1]))
    impute(
        counts,
        last,
        at,
        seen,
        z,
        n_fixed,
        first,
        cell,
        int(burn_in),
        int(seed),
        int(first_replicate),
        int(unit),
        values,
        np.zeros((0, 0, 0, 0)),
        np.zeros((0, 0, 0)),
    )
    return counts, visit, who, seen, z, centre, cell, values


def complete(y, counts, visit, who, seen, z, centre, cell, values):
    """The completed data sets, (trial, imputation, subject, visit): ``y`` with the imputed values put in.

    Values outside the analysis set, and at visits that could not be imputed, stay as they are.
    """
    q = z.shape[2] - seen.shape[2]
    completed = np.repeat(np.asarray(y, dtype=np.float64)[:, None], values.shape[1], axis=1)
    for t in range(len(completed)):
        n_cells = counts[t, CELLS]
        row, v = cell[t, :n_cells].T
        completed[t, :, who[t, row], visit[t, v]] = (values[t, :, :n_cells] + centre[t, q + v]).T
    return completed
