"""P-values and limits of several linear functions at once, adjusted so that none of them errs too often.

``holm`` (Holm 1979, Scand J Stat 6:65), ``bonferroni`` and ``sidak`` (Sidak 1967, JASA 62:626) need p-values alone. The
others use the joint distribution of the t statistics: ``tukey`` the studentized range of all pairwise differences
(Tukey 1953; Kramer 1956, Biometrics 12:307, where variances differ), ``dunnett`` and ``mvt`` the multivariate t
distribution with the correlations of the estimates (Dunnett 1955, JASA 50:1096; Hothorn, Bretz & Westfall 2008,
Biometrical J 50:346). Two-sided throughout. The limits are those of the same distribution; with ``holm``, which has no
limits of its own, Bonferroni's.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy import special

from equipoise.errors import EstimationError
from equipoise.types import FloatArray

ADJUSTMENTS = ("none", "holm", "bonferroni", "sidak", "tukey", "dunnett", "mvt")
REFERENCES = {
    "holm": "Holm 1979, Scand J Stat 6:65",
    "bonferroni": "Dunn 1961, JASA 56:52",
    "sidak": "Sidak 1967, JASA 62:626",
    "tukey": "Kramer 1956, Biometrics 12:307",
    "dunnett": "Dunnett 1955, JASA 50:1096",
    "mvt": "Hothorn, Bretz & Westfall 2008, Biometrical J 50:346",
}
_ALIKE = 1e-9
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(96)
_BEYOND = 8.5
_BIG = 1e5


def check_adjust(adjust: str) -> None:
    """Raise :class:`EstimationError` for an adjustment that does not exist."""
    if adjust not in ADJUSTMENTS:
        raise EstimationError(f"adjust = {adjust!r}", hint="choose one of " + ", ".join(ADJUSTMENTS))


def adjusted(
    adjust: str, t: FloatArray, df: FloatArray, correlation: FloatArray, level: float, means: int
) -> tuple[FloatArray, FloatArray]:
    """Adjusted p-values, and the multiple of the standard error that gives the limits, of one family.

    Parameters
    ----------
    t, df : (function,) statistics and their degrees of freedom. correlation : (function, function) of the estimates.
    means : how many means ``tukey`` compares.

    Examples
    --------
    >>> import numpy as np
    >>> p, c = adjusted("dunnett", np.array([2.0, 2.5]), np.full(2, 20.0), np.array([[1, 0.5], [0.5, 1]]), 0.95, 3)
    >>> np.round(p, 4).tolist(), np.round(c, 2).tolist()
    ([0.1052, 0.0389], [2.38, 2.38])
    """
    k = len(t)
    raw = 2.0 * special.stdtr(df, -np.abs(t))
    alpha = 1.0 - level
    if adjust == "none" or k == 0:
        return raw, special.stdtrit(df, 1.0 - alpha / 2.0)
    if adjust == "holm":
        order = np.argsort(raw)
        stepped = np.minimum(np.maximum.accumulate((k - np.arange(k)) * raw[order]), 1.0)
        p = np.empty(k)
        p[order] = stepped
        return p, special.stdtrit(df, 1.0 - alpha / (2.0 * k))
    if adjust == "bonferroni":
        return np.minimum(k * raw, 1.0), special.stdtrit(df, 1.0 - alpha / (2.0 * k))
    if adjust == "sidak":
        each = -math.expm1(math.log1p(-alpha) / k)
        return -np.expm1(k * np.log1p(-raw)), special.stdtrit(df, 1.0 - each / 2.0)
    if adjust == "tukey":
        root = math.sqrt(2.0)
        p = np.array([_range(root * abs(a), means, v) for a, v in zip(t, df, strict=True)])
        ends = {v: _range_quantile(level, means, v) / root for v in dict.fromkeys(df.tolist())}
        return np.clip(p, 0.0, 1.0), np.array([ends[v] for v in df.tolist()])
    outside = {v: _outside(correlation, v) for v in dict.fromkeys(df.tolist())}
    p = np.array([outside[v](abs(a)) for a, v in zip(t, df.tolist(), strict=True)])
    ends = {}
    for v, tail in outside.items():
        low, high = (float(special.stdtrit(v, 1.0 - alpha / (2.0 * m))) for m in (1, k))
        if k == 1 or tail(low) <= alpha:
            ends[v] = low
        else:
            from scipy import optimize

            ends[v] = float(optimize.brentq(lambda c, f=tail: f(c) - alpha, low, high * 1.001, xtol=1e-10))
    return np.clip(p, 0.0, 1.0), np.array([ends[v] for v in df.tolist()])


def _range(q: float, means: int, df: float) -> float:
    """Chance that the studentized range of ``means`` exceeds ``q``."""
    from scipy import stats  # here, not above: it takes as long to load as all the rest of a first fit

    return float(stats.studentized_range.sf(q, means, min(df, _BIG)))


def _range_quantile(level: float, means: int, df: float) -> float:
    from scipy import stats

    return float(stats.studentized_range.ppf(level, means, min(df, _BIG)))


def _outside(correlation: FloatArray, df: float) -> Callable[[float], float]:
    """Chance that the largest of the absolute t statistics exceeds c, as a function of c."""
    factor = _one_factor(correlation)
    if factor is not None:
        return lambda c: 1.0 - _inside_by_factor(c, factor, df)
    values, vectors = np.linalg.eigh(0.5 * (correlation + correlation.T))
    used = values > 1e-10 * values[-1]
    rank = int(used.sum())
    reach = np.abs(_directions(rank) @ (vectors[:, used] * np.sqrt(values[used])).T).max(axis=1)

    def tail(c: float) -> float:
        if df >= _BIG:
            return float(special.chdtrc(rank, (c / reach) ** 2).mean())
        return float(special.fdtrc(rank, df, (c / reach) ** 2 / rank).mean())

    return tail


def _directions(rank: int) -> FloatArray:
    """(point, rank) directions spread evenly over the sphere: angles, or Sobol's points turned into directions.

    The statistics are a length, whose distribution is known, times the reach of a direction: the chance that the
    largest exceeds c is the mean over directions of the tail of F (Somerville 1997, J Stat Softw 2(5)).
    """
    if rank == 1:
        return np.ones((1, 1))
    if rank == 2:
        angle = (np.arange(2**14) + 0.5) * math.pi / 2**14
        return np.column_stack([np.cos(angle), np.sin(angle)])
    from scipy import stats

    points = special.ndtri(stats.qmc.Sobol(rank, scramble=True, seed=0).random_base2(17))
    made: FloatArray = points / np.linalg.norm(points, axis=1, keepdims=True)
    return made


def _one_factor(correlation: FloatArray) -> FloatArray | None:
    """(function,) loadings l with correlation l_i l_j off the diagonal, or None where there are none.

    Differences from one control are of this kind whatever the sizes of the arms, where arms are independent.
    """
    k = len(correlation)
    if k == 1:
        return np.zeros(1)
    r = correlation
    if k == 2:
        root = math.sqrt(abs(r[0, 1]))
        found = np.array([root, math.copysign(root, r[0, 1])])
    else:
        found = np.zeros(k)
        for i in range(k):
            others = [j for j in range(k) if j != i]
            pairs = [(j, m) for j in others for m in others if j < m and abs(r[j, m]) > 1e-12]
            if pairs:
                j, m = max(pairs, key=lambda p: abs(r[p]))
                square = r[i, j] * r[i, m] / r[j, m]
                if not 0.0 <= square <= 1.0 + _ALIKE:
                    return None
                found[i] = math.sqrt(square)
        first = int(np.argmax(np.abs(found)))
        found = np.where(r[first] < 0.0, -1.0, 1.0) * found
    product = np.outer(found, found)
    np.fill_diagonal(product, 1.0)
    alike = bool(np.abs(product - r).max() < 1e-8) and bool((np.abs(found) < 1.0 - 1e-9).all())
    return found if alike else None


def _inside_by_factor(c: float, loading: FloatArray, df: float) -> float:
    """Chance that all absolute t statistics are at most ``c``: an integral over the factor and the standard deviation.

    Dunnett 1955, equation 6, for loadings that differ.
    """
    z = _BEYOND * _NODES
    weight_z = _BEYOND * _WEIGHTS * np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
    if df >= _BIG:
        s, weight_s = np.ones(1), np.ones(1)
    else:
        low, high = (math.sqrt(v / df) for v in special.chdtri(df, [1.0 - 1e-14, 1e-14]))
        s = 0.5 * (high - low) * _NODES + 0.5 * (high + low)
        log_density = (
            (df - 1.0) * np.log(s)
            - 0.5 * df * s * s
            + 0.5 * df * math.log(df)
            - special.gammaln(0.5 * df)
            - (0.5 * df - 1.0) * math.log(2.0)
        )
        weight_s = 0.5 * (high - low) * _WEIGHTS * np.exp(log_density)
    rest = np.sqrt(1.0 - loading**2)
    chance = np.ones((len(s), len(z)))
    for a, b in zip(loading, rest, strict=True):
        middle = a * z[None, :]
        chance *= special.ndtr((c * s[:, None] - middle) / b) - special.ndtr((-c * s[:, None] - middle) / b)
    return float(weight_s @ chance @ weight_z)
