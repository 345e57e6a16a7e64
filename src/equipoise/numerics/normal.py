"""The largest of several correlated standard normal statistics: its tail probability.

With ``A_k`` the event that ``Z_k`` is the first statistic beyond ``z``,

    P(max Z > z) = sum over k of P(Z_k > z, Z_j <= z for all j < k),

and likewise for ``max |Z|``. Every term starts with the exact tail of ``Z_k``, so that small probabilities keep their
relative accuracy. The rest of a term is integrated by sequential conditioning (Genz 1992, J Comput Graph Stat 1:141)
over a rank-one lattice with square roots of primes, a baker's transformation and eight fixed shifts (Richtmyer 1951;
Genz & Bretz 2009, Computation of Multivariate Normal and t Probabilities, section 4.2). The points are fixed: the same
statistics give the same bits. A statistic that is a linear combination of others (as the log-rank statistic is of those
weighted by S and by 1 - S) adds its limits to those of the last statistic that it depends on (Genz & Kwong 2000).
"""

from __future__ import annotations

import math

import numpy as np

from equipoise.numerics.compiler import inner, kernel
from equipoise.numerics.random import normal_quantile

_SHIFTS = 8
_MOST = 1 << 16
_GENERATOR = np.sqrt(np.array([2.0, 3.0, 5.0, 7.0, 11.0, 13.0, 17.0, 19.0, 23.0, 29.0, 31.0, 37.0, 41.0, 43.0, 47.0]))
LARGEST = len(_GENERATOR)


@inner
def _phi(x):
    return 0.5 * math.erfc(-x * 0.7071067811865476)


@inner
def _between(a, b):
    """Normal probability of ``a .. b``, taken in the tail where it is accurate."""
    if b <= a:
        return 0.0
    return _phi(-a) - _phi(-b) if a > 0.0 else _phi(b) - _phi(a)


@inner
def _point(z, both, k, chol, last, u, y):
    """Integrand of term ``k`` at ``u`` (k,), as a share of the tail of ``Z_k``.

    last : (k + 1,) for a row that depends on others the last that it depends on, for the other rows themselves.
    """
    y[0] = -normal_quantile(u[0] * _phi(-z))
    value = 1.0
    end = k
    while last[end] != end:
        end -= 1
    for j in range(1, k + 1):
        if last[j] != j:
            y[j] = 0.0
            continue
        low, high = -math.inf, math.inf
        for d in range(j, k + 1):
            if last[d] == j:
                m = 0.0
                for i in range(j):
                    m += chol[d, i] * y[i]
                one = (z - m) / chol[d, j]
                two = (-z - m) / chol[d, j] if both else -math.copysign(math.inf, chol[d, j])
                high = min(high, max(one, two))
                low = max(low, min(one, two))
        share = _between(low, high)
        if share <= 0.0:
            return 0.0
        value *= share
        if j < end:
            y[j] = normal_quantile(min(max(_phi(low) + u[j] * share, 1e-300), 1.0 - 1.2e-16))
    return value


@kernel
def tail_of_largest(z, correlation, both, tolerance):
    """``P(max Z > z)``, or ``P(max |Z| > z)`` where ``both``, and three standard errors of its integration.

    correlation : (k, k), singular or not. Points are added until the error is below ``tolerance`` of the probability,
    or there are eight times 65,536 of them.
    """
    n = correlation.shape[0]
    if both and z <= 0.0:
        return 1.0, 0.0
    tail = _phi(-z) * (2.0 if both else 1.0)
    total = tail
    square = 0.0
    chol = np.empty((n, n))
    u = np.empty(n)
    y = np.empty(n)
    means = np.empty(_SHIFTS)
    place = np.empty(n, np.int64)
    last = np.empty(n, np.int64)
    for k in range(1, n):
        place[0] = k
        for j in range(k):
            place[j + 1] = j
        for i in range(k + 1):
            for j in range(i + 1):
                s = correlation[place[i], place[j]]
                for m in range(j):
                    s -= chol[i, m] * chol[j, m]
                if i == j:
                    chol[i, i] = math.sqrt(s) if s > 1e-12 else 0.0
                else:
                    chol[i, j] = s / chol[j, j] if chol[j, j] > 0.0 else 0.0
        never = False
        for i in range(k + 1):
            last[i] = i
            if chol[i, i] == 0.0:
                last[i] = 0
                for j in range(i):
                    if abs(chol[i, j]) > 1e-7:
                        last[i] = j
                never = never or (last[i] == 0 and (both or chol[i, 0] > 0.0))  # the same statistic as Z_k
        if never:
            continue
        points = 64
        done = 0
        for c in range(_SHIFTS):
            means[c] = 0.0
        while True:
            for c in range(_SHIFTS):
                for i in range(done, points):
                    for j in range(k):
                        f = (i + 1) * _GENERATOR[j] + (c + 0.5) / _SHIFTS * _GENERATOR[(j + 3) % LARGEST] * (j + 1)
                        f -= math.floor(f)
                        f = abs(2.0 * f - 1.0)
                        u[j] = min(max(f, 1e-16), 1.0 - 1e-16)
                    means[c] += _point(z, both, k, chol, last, u, y)
            done = points
            mean = 0.0
            for c in range(_SHIFTS):
                mean += means[c] / points
            mean /= _SHIFTS
            spread = 0.0
            for c in range(_SHIFTS):
                spread += (means[c] / points - mean) ** 2
            error = 3.0 * math.sqrt(spread / (_SHIFTS * (_SHIFTS - 1)))
            if error * tail <= tolerance * total or points >= _MOST:
                break
            points *= 2
        total += tail * mean
        square += (tail * error) ** 2
    return min(total, 1.0), math.sqrt(square)
