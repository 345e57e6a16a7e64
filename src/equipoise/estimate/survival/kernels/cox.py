"""Cox regression over a block of trials.

Partial likelihood (Cox 1972) with tied events by Efron (1977), by Breslow (1974), or exactly as in discrete time (Cox
1972, section 6). An event time with ``d`` tied events, risk-set sum ``S`` and sum over the tied events ``D`` of
``w = exp(x'b)`` contributes

    sum of x'b  -  sum_{k < d} log(S - (k / d) D)      (Efron; k / d is 0 for Breslow)
    sum of x'b  -  log of the sum, over all sets of d patients at risk, of the product of their w      (exact)

the last by the recursion of Gail, Lubin & Rubinstein (1981) over the patients at risk. Rows may enter late: a row is
at risk in ``(entry, time]`` (Andersen & Gill 1982). Case weights multiply a row's terms; the ``k``-th of ``d`` tied
events then counts with their mean weight.

Newton's method on covariates centred and scaled to unit variance, a step halved while it lowers the likelihood.
Infinite estimates are told apart from slow convergence: under a monotone likelihood the log likelihood settles while
the steps do not shrink (Bryson & Johnson 1981; Heinze & Schemper 2001), which is reported as ``BOUNDARY``; where the
arm is the reason, as ``ONE_ARM_EVENTS``. Columns aliased with those before them get coefficient and variance zero.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from equipoise.numerics.compiler import inner, kernel
from equipoise.numerics.status import (
    BOUNDARY,
    EMPTY_ARM,
    NO_DATA,
    NO_EVENTS,
    NOT_CONVERGED,
    OK,
    ONE_ARM_EVENTS,
    SINGULAR,
)

TIES = {"breslow": 0, "efron": 1, "exact": 1}


@inner
def _exact_time(first, hi, tied, now, p, entry, z, w, gradient, information):
    """Exact term of one event time; the patients at risk are those of ``first .. hi`` who have entered.

    ``e[k]`` is the sum over sets of ``k`` of the patients so far of the products of their weights, with its first and
    second derivatives in ``e1`` and ``e2``. Weights are scaled so that the largest sum is below about ``exp(tied)``.
    """
    late = entry.shape[0] > 0
    packed = p * (p + 1) // 2
    total = 0.0
    for j in range(first, hi):
        if not late or entry[j] < now:
            total += w[j]
    scale = tied / total
    e = np.zeros(tied + 1)
    e1 = np.zeros((tied + 1, p))
    e2 = np.zeros((tied + 1, packed))
    e[0] = 1.0
    for j in range(first, hi):
        if late and entry[j] >= now:
            continue
        u = w[j] * scale
        for k in range(tied, 0, -1):
            m = 0
            for a in range(p):
                for b in range(a + 1):
                    e2[k, m] += u * (
                        e2[k - 1, m] + z[j, a] * e1[k - 1, b] + z[j, b] * e1[k - 1, a] + z[j, a] * z[j, b] * e[k - 1]
                    )
                    m += 1
            for a in range(p):
                e1[k, a] += u * (e1[k - 1, a] + z[j, a] * e[k - 1])
            e[k] += u * e[k - 1]
    inverse = 1.0 / e[tied]
    m = 0
    for a in range(p):
        gradient[a] -= e1[tied, a] * inverse
        for b in range(a + 1):
            information[m] += e2[tied, m] * inverse - e1[tied, a] * e1[tied, b] * inverse * inverse
            m += 1
    return math.log(e[tied]) - tied * math.log(scale)


@inner
def _evaluate(rows, p, time, entry, event, stratum, weight, late, ties, exact, z, w, beta, sums, gradient, information):
    """Log partial likelihood at ``beta`` of one trial's sorted rows; fills its gradient and (packed) information.

    entry and weight : (row,), or empty where nobody enters late or has a weight. late : (row,) rows in order of
    stratum and entry. ``exact``: True, or None where tied events are not counted exactly, so that Numba compiles
    nothing of it. ``sums`` (2, q) holds 1, x and the lower triangle of xx', weighted and summed over the risk set
    and over tied events. ``w`` (row,) is filled with the weights.
    """
    q = sums.shape[1]
    second = p + 1
    truncated = entry.shape[0] > 0
    weighted = weight.shape[0] > 0
    loglik = 0.0
    for a in range(p):
        gradient[a] = 0.0
    for m in range(q - second):
        information[m] = 0.0
    i = rows - 1
    out = rows - 1
    while i >= 0:
        here = stratum[i]
        hi = i + 1
        members = 0
        for m in range(q):
            sums[0, m] = 0.0
        while i >= 0 and stratum[i] == here:
            now = time[i]
            last = i
            tied = 0
            heavy = 0.0
            while i >= 0 and time[i] == now and stratum[i] == here:
                eta = 0.0
                for a in range(p):
                    eta += beta[a] * z[i, a]
                u = math.exp(eta)
                if weighted:
                    u *= weight[i]
                w[i] = u
                sums[0, 0] += u
                m = second
                for a in range(p):
                    ua = u * z[i, a]
                    sums[0, a + 1] += ua
                    for b in range(a + 1):
                        sums[0, m] += ua * z[i, b]
                        m += 1
                if event[i]:
                    tied += 1
                    v = weight[i] if weighted else 1.0
                    heavy += v
                    loglik += v * eta
                    for a in range(p):
                        gradient[a] += v * z[i, a]
                i -= 1
            if truncated:
                members += last - i
            if tied == 0 or heavy == 0.0:
                continue
            if truncated:
                while out >= 0 and stratum[late[out]] > here:
                    out -= 1
                while out >= 0 and stratum[late[out]] == here and entry[late[out]] >= now:
                    j = late[out]
                    out -= 1
                    members -= 1
                    if members == 0:  # nobody is left but those still to come: no rounding error either
                        for m in range(q):
                            sums[0, m] = 0.0
                    else:
                        sums[0, 0] -= w[j]
                        m = second
                        for a in range(p):
                            ua = w[j] * z[j, a]
                            sums[0, a + 1] -= ua
                            for b in range(a + 1):
                                sums[0, m] -= ua * z[j, b]
                                m += 1
            if exact is not None and tied > 1:
                loglik -= _exact_time(i + 1, hi, tied, now, p, entry, z, w, gradient, information)
            elif ties == 0 or tied == 1:
                inverse = 1.0 / sums[0, 0]
                loglik -= heavy * math.log(sums[0, 0])
                m = 0
                for a in range(p):
                    mean = sums[0, a + 1] * inverse
                    gradient[a] -= heavy * mean
                    for b in range(a + 1):
                        information[m] += heavy * inverse * (sums[0, second + m] - mean * sums[0, b + 1])
                        m += 1
            else:
                for m in range(q):
                    sums[1, m] = 0.0
                for j in range(i + 1, last + 1):
                    if event[j]:
                        u = w[j]
                        sums[1, 0] += u
                        m = second
                        for a in range(p):
                            ua = u * z[j, a]
                            sums[1, a + 1] += ua
                            for b in range(a + 1):
                                sums[1, m] += ua * z[j, b]
                                m += 1
                each = heavy / tied
                a0 = a1 = b0 = b1 = b2 = 0.0
                for k in range(tied):
                    f = k / tied
                    inverse = 1.0 / (sums[0, 0] - f * sums[1, 0])
                    loglik += each * math.log(inverse)
                    a0 += inverse
                    a1 += f * inverse
                    b0 += inverse * inverse
                    b1 += f * inverse * inverse
                    b2 += f * f * inverse * inverse
                m = 0
                for a in range(p):
                    sa = sums[0, a + 1]
                    da = sums[1, a + 1]
                    gradient[a] -= each * (a0 * sa - a1 * da)
                    for b in range(a + 1):
                        sb = sums[0, b + 1]
                        db = sums[1, b + 1]
                        information[m] += each * (
                            a0 * sums[0, second + m]
                            - a1 * sums[1, second + m]
                            - (b0 * sa * sb - b1 * (sa * db + da * sb) + b2 * da * db)
                        )
                        m += 1
    return loglik


@inner
def sweep(a, base, step):
    """Turn symmetric ``a`` (p, p) into its generalised inverse, later aliased columns set to zero; True where a pivot
    vanished in a column that ``step`` had moved. ``base`` (p,) : the diagonal that pivots are small against.
    """
    p = a.shape[0]
    flat = False
    for k in range(p):
        pivot = a[k, k]
        if pivot > 1e-10 * base[k]:
            pivot = 1.0 / pivot
        else:
            pivot = 0.0
            flat = flat or step[k] != 0.0
        for b in range(p):
            a[k, b] *= pivot
        for j in range(p):
            if j != k:
                f = a[j, k]
                for b in range(p):
                    a[j, b] -= f * a[k, b]
                a[j, k] = -f * pivot
        a[k, k] = pivot
    return flat


@inner
def standardise(rows, order, x, z, scale):
    """Gather one trial's covariates in ``order`` into ``z``, centred and divided by their standard deviation;
    ``scale`` (p,) is its inverse, zero for a column that does not vary.
    """
    for a in range(x.shape[1]):
        mean = 0.0
        for i in range(rows):
            mean += x[order[i], a]
        mean /= rows
        spread = 0.0
        for i in range(rows):
            c = x[order[i], a] - mean
            z[i, a] = c
            spread += c * c
        spread = math.sqrt(spread / rows)
        scale[a] = 1.0 / spread if spread > 1e-10 * abs(mean) else 0.0
        for i in range(rows):
            z[i, a] *= scale[a]


@inner
def gather(t, rows, order, time, entry, event, stratum, late, tm, en, ev, st, place, out):
    """Copy trial ``t`` in ``order`` into ``tm``, ``en``, ``ev`` and ``st``, and into ``out`` the places there of its
    rows by entry; returns how many events it has.
    """
    events = 0
    for i in range(rows):
        j = order[t, i]
        tm[i] = time[t, j]
        ev[i] = event[t, j]
        st[i] = stratum[t, j]
        events += ev[i]
    if len(en) > 0:
        for i in range(rows):
            en[i] = entry[t, order[t, i]]
            place[order[t, i]] = i
        for i in range(rows):
            out[i] = place[late[t, i]]
    return events


@kernel
def cox_block(
    rows,
    order,
    time,
    entry,
    event,
    stratum,
    weight,
    late,
    x,
    start,
    arm,
    ties,
    exact,
    max_iterations,
    beta,
    covariance,
    loglik,
    score,
    iterations,
    drift,
    status,
):
    """Cox regressions of the trials whose ``status`` is 0; the arguments are those of :func:`fit` in a fixed form.

    rows : (trial,) how many subjects of ``order`` (trial, subject), by stratum and time, count. entry, weight, late :
    (trial, subject), or (trial, 0) where nobody enters late or has a weight; late is the order by stratum and entry.
    start : (trial, p) where Newton's method starts. Filled in: everything from ``beta`` on.
    """
    n, p = x.shape[1], x.shape[2]
    tm, z, w = np.empty(n), np.empty((n, p)), np.empty(n)
    ev, st = np.empty(n, np.bool_), np.empty(n, np.int64)
    en, wt = np.empty(entry.shape[1]), np.empty(weight.shape[1])
    place, out = np.empty(entry.shape[1], np.int64), np.empty(entry.shape[1], np.int64)
    scale, base, now, step, gradient = np.empty(p), np.empty(p), np.empty(p), np.empty(p), np.empty(p)
    sums, packed, info = np.empty((2, 1 + p + p * (p + 1) // 2)), np.empty(p * (p + 1) // 2), np.empty((p, p))
    for t in range(x.shape[0]):
        if status[t] != OK:
            continue
        m = rows[t]
        events = gather(t, m, order, time, entry, event, stratum, late, tm, en, ev, st, place, out)
        for i in range(m if len(wt) > 0 else 0):
            wt[i] = weight[t, order[t, i]]
        standardise(m, order[t], x[t], z, scale)
        for a in range(p):
            beta[t, a] = start[t, a] / scale[a] if scale[a] > 0.0 else 0.0
            step[a] = 0.0
        best = 0.0
        status[t] = NOT_CONVERGED
        for iteration in range(max_iterations + 1):
            for a in range(p):
                now[a] = beta[t, a] + step[a]
            value = _evaluate(m, p, tm, en, ev, st, wt, out, ties, exact, z, w, now, sums, gradient, packed)
            iterations[t] = iteration
            if iteration > 0 and not value >= best - 1e-10 * abs(best):
                for a in range(p):
                    step[a] *= 0.5
                continue
            gain = value - best
            best = value
            loglik[t, 0 if iteration == 0 else 1] = value
            k = 0
            for a in range(p):
                for b in range(a + 1):
                    info[a, b] = packed[k]
                    info[b, a] = packed[k]
                    k += 1
                if iteration == 0:  # constant in every risk set, up to rounding: aliased for good
                    base[a] = info[a, a] if info[a, a] > 1e-12 * events else math.inf
            flat = sweep(info, base, step)
            largest = 0.0
            decrement = 0.0
            for a in range(p):
                drift[t, a] = abs(step[a])
                beta[t, a] = now[a]
                step[a] = 0.0
                for b in range(p):
                    covariance[t, a, b] = info[a, b] * scale[a] * scale[b]
                    step[a] += info[a, b] * gradient[b]
                decrement += step[a] * gradient[a]
                largest = max(largest, abs(step[a]))
            if not decrement < math.inf:
                largest = math.inf
            if iteration == 0:
                score[t] = decrement
                if arm >= 0 and info[arm, arm] == 0.0:
                    status[t] = SINGULAR
                    break
            settled = iteration > 3 and gain < 1e-9 * (1.0 + abs(best)) and largest > 1e-2
            if flat or settled or largest == math.inf:
                status[t] = BOUNDARY
                break
            if largest < 1e-8:
                status[t] = OK
                loglik[t, 1] = best
                for a in range(p):
                    beta[t, a] += step[a]
                break
        for a in range(p):
            beta[t, a] *= scale[a]


class Fits(NamedTuple):
    """Cox regressions of a block of trials, as :func:`fit` returns them."""

    beta: Any
    covariance: Any
    loglik: Any
    score: Any
    iterations: Any
    status: Any
    drift: Any


def by_stratum_and_time(time, include, stratum, entry=None):
    """Number of subjects that count, their order by stratum and time, and (where ``entry`` is given) by entry.

    Subjects without a time (or entry) do not count; they come last.
    """
    include = include & ~np.isnan(time)
    if entry is not None:
        include = include & ~np.isnan(entry)
    everyone = bool(include.all())
    if stratum is None:
        code = np.zeros(time.shape, np.int64)
        key = time if everyone else np.where(include, time, np.inf)
        order = np.argsort(key, axis=1, kind="stable") if everyone else np.lexsort((key, ~include), axis=-1)
    else:
        code = np.ascontiguousarray(stratum).astype(np.int64)
        outer = code if everyone else np.where(include, code, np.iinfo(np.int64).max)
        order = np.lexsort((time, outer), axis=-1)
    late = np.zeros((len(time), 0), np.int64)
    if entry is not None:
        late = np.lexsort((entry, np.where(include, code, np.iinfo(np.int64).max)), axis=-1)
    return include.sum(axis=1), order, code, late


def standing(rows, happened, active=None):
    """(trial,) whether a regression of event times can be tried: patients, both arms, events, events in both arms.

    rows : (trial,) patients; happened : (trial, subject) events among them; active : (trial, subject) 1 for patients of
    the active arm, 0 for all others, or None where there is no arm.
    """
    n_events = happened.sum(axis=1)
    conditions, reasons = [rows == 0, n_events == 0], [NO_DATA, NO_EVENTS]
    if active is not None:
        n_active, in_active = active.sum(axis=1), (active * happened).sum(axis=1)
        conditions.insert(1, (n_active == 0.0) | (n_active == rows))
        reasons.insert(1, EMPTY_ARM)
        conditions.append((in_active == 0.0) | (in_active == n_events))
        reasons.append(ONE_ARM_EVENTS)
    return np.select(conditions, reasons, OK)


def fit(
    time,
    event,
    x,
    *,
    entry=None,
    include=None,
    stratum=None,
    weight=None,
    ties="efron",
    arm=0,
    start=None,
    max_iterations=50,
):
    """Cox regressions of a block of trials, with late entry, weights and a starting point; see :func:`cox`.

    Parameters
    ----------
    entry : (trial, subject) when a subject comes under observation, before ``time``; None: all at the start.
    weight : (trial, subject) case weights, none negative. ties : also ``exact`` (without weights). start : (trial, p)
    coefficients where Newton's method starts, whose log likelihood and score test ``loglik[:, 0]`` and ``score`` are.

    Returns
    -------
    Fits : as :func:`cox`, and ``drift`` (trial, p), the last step taken in standard deviations of the covariate: it
    tells which coefficient runs away where the status is ``BOUNDARY``.
    """
    x = np.ascontiguousarray(x, dtype=np.float64)
    time = np.ascontiguousarray(time, dtype=np.float64)
    event = np.ascontiguousarray(event).astype(np.bool_)
    n_trials, _, p = x.shape
    include = np.ones(time.shape, np.bool_) if include is None else np.asarray(include, dtype=np.bool_)
    broken = (np.isnan(x).any(axis=2) & include).any(axis=1)
    include = include & ~broken[:, None] & ~np.isnan(time)
    none = np.zeros((n_trials, 0))
    entered = none if entry is None else np.ascontiguousarray(entry, dtype=np.float64)
    weights = none if weight is None else np.ascontiguousarray(weight, dtype=np.float64)
    rows, order, code, late = by_stratum_and_time(time, include, stratum, None if entry is None else entered)
    status = standing(rows, event & include, np.where(include, x[:, :, arm], 0.0) if arm >= 0 else None)
    begin = np.zeros((n_trials, p)) if start is None else np.ascontiguousarray(start, dtype=np.float64)
    made = Fits(
        np.full((n_trials, p), np.nan),
        np.full((n_trials, p, p), np.nan),
        np.full((n_trials, 2), np.nan),
        np.full(n_trials, np.nan),
        np.zeros(n_trials, np.int64),
        status,
        np.full((n_trials, p), np.nan),
    )
    cox_block(
        rows,
        order,
        time,
        entered,
        event,
        code,
        weights,
        late,
        x,
        begin,
        int(arm),
        TIES[ties],
        True if ties == "exact" else None,
        int(max_iterations),
        made.beta,
        made.covariance,
        made.loglik,
        made.score,
        made.iterations,
        made.drift,
        status,
    )
    failed = status != OK
    made.beta[failed] = np.nan
    made.covariance[failed] = np.nan
    return made._replace(status=status.astype(np.int8))


def cox(time, event, x, *, include=None, stratum=None, ties="efron", arm=0, max_iterations=50):
    """Cox regressions of a block of trials.

    Parameters
    ----------
    time : (trial, subject) weeks to event or censoring; event : (trial, subject) whether it happened. x : (trial,
    subject, p) covariates; column ``arm`` is the arm indicator (-1: none is). include, stratum : (trial, subject)
    analysis set and integer stratum codes. ties : ``efron`` or ``breslow``.

    Returns
    -------
    beta : (trial, p) log hazard ratios; covariance : (trial, p, p); loglik : (trial, 2) at zero and at ``beta``;
    score : (trial,) score test statistic at zero, p degrees of freedom less aliased columns; iterations : (trial,);
    status : (trial,) codes of :class:`equipoise.types.Status`. NaN where not ``OK``.
    """
    made = fit(time, event, x, include=include, stratum=stratum, ties=ties, arm=arm, max_iterations=max_iterations)
    return made[:6]
