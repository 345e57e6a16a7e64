"""Two arms, yes or no, in strata: estimates, limits and tests from counts alone, for many trials at once.

Arrays end in the axis of the strata: ``x1`` and ``n1`` (..., stratum) responders and patients of the active arm, ``x0``
and ``n0`` of control. Equations and sources in ``docs/methods/binary.md``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import special

from equipoise.types import FloatArray

Measure = Literal["difference", "ratio", "odds_ratio"]
MEASURES: tuple[Measure, ...] = ("difference", "ratio", "odds_ratio")
_WIDEST = 40.0
"""Logarithms of ratios are looked for between minus and plus this."""
_HALVINGS = 70


@dataclass(frozen=True, eq=False)
class Counts:
    """x1, n1, x0, n0 : (..., stratum) responders and patients, active and control."""

    x1: FloatArray
    n1: FloatArray
    x0: FloatArray
    n0: FloatArray

    @property
    def weights(self) -> FloatArray:
        """(..., stratum) Mantel-Haenszel weights n1 n0 / (n1 + n0), 0 where an arm is empty."""
        return _over(self.n1 * self.n0, self.n1 + self.n0)

    @property
    def sizes(self) -> FloatArray:
        """(..., stratum) patients, 0 where an arm is empty: weights of a standardisation to the patients seen."""
        return np.where((self.n1 > 0) & (self.n0 > 0), self.n1 + self.n0, 0.0)

    @property
    def shares(self) -> tuple[FloatArray, FloatArray]:
        """(..., stratum) the shares of responders, active and control; 0 in an empty arm."""
        return _over(self.x1, self.n1), _over(self.x0, self.n0)


def _over(a: FloatArray, b: FloatArray) -> FloatArray:
    """a / b, 0 where b is 0."""
    return np.divide(a, b, out=np.zeros(np.broadcast(a, b).shape), where=np.asarray(b) != 0.0)


def quantile(level: float) -> float:
    """The standard normal quantile of a two-sided interval."""
    return float(special.ndtri(0.5 + 0.5 * level))


def wilson(x: FloatArray, n: FloatArray, z: float | FloatArray) -> tuple[FloatArray, FloatArray]:
    """Limits of a share by Wilson's score (1927), without correction.

    >>> [round(float(v), 4) for v in wilson(np.array(15.0), np.array(148.0), 1.959963985)]
    [0.0624, 0.1605]
    """
    p = _over(x, n)
    z2 = np.square(z)
    half = z * np.sqrt(n * p * (1.0 - p) + z2 / 4.0)
    low, high = (_over(n * p + z2 / 2.0 + side * half, n + z2) for side in (-1.0, 1.0))
    return np.where(x == 0.0, 0.0, low), np.where(x == n, 1.0, high)


def clopper_pearson(x: FloatArray, n: FloatArray, level: float) -> tuple[FloatArray, FloatArray]:
    """Exact limits of a share (Clopper & Pearson 1934)."""
    a = 0.5 - 0.5 * level
    x, n = np.asarray(x, np.float64), np.asarray(n, np.float64)
    low = np.where(x > 0.0, special.betaincinv(np.maximum(x, 1.0), n - x + 1.0, a), 0.0)
    high = np.where(x < n, special.betaincinv(x + 1.0, np.maximum(n - x, 1.0), 1.0 - a), 1.0)
    return low, high


# -- the score statistic of Miettinen and Nurminen ---------------------------------------------------------------------


def _restricted_difference(c: Counts, null: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Shares of greatest likelihood whose difference is ``null``: the cubic of Farrington & Manning (1990), eq. A.1."""
    p1, p2 = c.shares
    theta = _over(c.n0, c.n1)
    a = 1.0 + theta
    b = -(1.0 + theta + p1 + theta * p2 + null * (theta + 2.0))
    k = null**2 + null * (2.0 * p1 + theta + 1.0) + p1 + theta * p2
    d = -p1 * null * (1.0 + null)
    v = b**3 / (3.0 * a) ** 3 - b * k / (6.0 * a**2) + d / (2.0 * a)
    u = np.where(v >= 0.0, 1.0, -1.0) * np.sqrt(np.maximum(b**2 / (3.0 * a) ** 2 - k / (3.0 * a), 0.0))
    w = (np.pi + np.arccos(np.clip(_over(v, u**3), -1.0, 1.0))) / 3.0
    r1 = np.clip(2.0 * u * np.cos(w) - b / (3.0 * a), np.maximum(0.0, null), np.minimum(1.0, 1.0 + null))
    return r1, r1 - null


def _restricted_ratio(c: Counts, null: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The same with the ratio of the shares ``null``."""
    a = (c.n1 + c.n0) * null
    b = -(c.n1 * null + c.x1 + c.n0 + c.x0 * null)
    x = c.x1 + c.x0
    p0 = _over(-b - np.sqrt(np.maximum(b * b - 4.0 * a * x, 0.0)), 2.0 * a)
    p0 = np.clip(p0, 0.0, np.minimum(1.0, 1.0 / null))
    return p0 * null, p0


def _restricted_odds(c: Counts, null: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The same with the odds ratio ``null``."""
    a = c.n0 * (null - 1.0)
    x = c.x1 + c.x0
    b = c.n1 * null + c.n0 - x * (null - 1.0)
    root = np.sqrt(np.maximum(b * b + 4.0 * a * x, 0.0))
    p0 = np.clip(_over(2.0 * x, b + root), 0.0, 1.0)  # the root that stays finite as the odds ratio nears 1
    return p0 * null / (1.0 + p0 * (null - 1.0)), p0


def score(c: Counts, measure: Measure, null: FloatArray | float, weights: FloatArray) -> FloatArray:
    """(...,) the stratified score statistic that ``measure`` is ``null``, above 0 where the estimate is above it.

    weights : (..., stratum). The variance is that under the null, times N / (N - 1) in each stratum.
    """
    at = np.asarray(null, np.float64)[..., None] * np.ones_like(c.n1)
    p1, p0 = c.shares
    n = c.n1 + c.n0
    there = (c.n1 > 0) & (c.n0 > 0) & (n > 1)
    inflate = _over(n, np.where(n > 1, n - 1.0, 0.0))
    if measure == "difference":
        r1, r0 = _restricted_difference(c, at)
        top = p1 - p0 - at
        variance = _over(r1 * (1 - r1), c.n1) + _over(r0 * (1 - r0), c.n0)
    elif measure == "ratio":
        r1, r0 = _restricted_ratio(c, at)
        top = p1 - at * p0
        variance = _over(r1 * (1 - r1), c.n1) + at**2 * _over(r0 * (1 - r0), c.n0)
    else:
        r1, r0 = _restricted_odds(c, at)
        v1, v0 = c.n1 * r1 * (1 - r1), c.n0 * r0 * (1 - r0)
        # the score of the log odds ratio, and its variance; the strata weigh by their information
        top = c.x1 - c.n1 * r1
        variance = _over(v1 * v0, v1 + v0)
        weights = np.ones_like(weights)
    total = np.where(there, weights * top, 0.0).sum(axis=-1)
    spread = np.where(there, weights**2 * variance * inflate, 0.0).sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(
            spread > 0.0, total / np.sqrt(spread), np.where(np.abs(total) < 1e-12, 0.0, np.copysign(np.inf, total))
        )


def _inverted(c: Counts, measure: Measure, level: float, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(...,) limits where the score statistic is plus and minus the quantile."""
    z = quantile(level)
    shape = c.n1.shape[:-1]
    if measure == "difference":
        back: Callable[[FloatArray], FloatArray] = lambda v: v  # noqa: E731
        ends = (-1.0, 1.0)
    else:
        back, ends = np.exp, (-_WIDEST, _WIDEST)
    out = []
    for target in (z, -z):
        low, high = np.full(shape, ends[0]), np.full(shape, ends[1])
        for _ in range(_HALVINGS):
            middle = 0.5 * (low + high)
            above = score(c, measure, back(middle), weights) > target
            low, high = np.where(above, middle, low), np.where(above, high, middle)
        found = back(0.5 * (low + high))
        if measure != "difference":
            found = np.where(found < np.exp(1.0 - _WIDEST), 0.0, np.where(found > np.exp(_WIDEST - 1.0), np.inf, found))
        out.append(found)
    return out[0], out[1]


# -- estimates ---------------------------------------------------------------------------------------------------------


def estimate(c: Counts, measure: Measure, weights: FloatArray) -> FloatArray:
    """(...,) the weighted difference; the ratio and the odds ratio of Mantel and Haenszel. NaN where there is none."""
    p1, p0 = c.shares
    n = c.n1 + c.n0
    with np.errstate(divide="ignore", invalid="ignore"):
        if measure == "difference":
            return np.asarray((weights * (p1 - p0)).sum(axis=-1) / weights.sum(axis=-1))
        if measure == "ratio":
            return np.asarray(_over(c.x1 * c.n0, n).sum(axis=-1) / _over(c.x0 * c.n1, n).sum(axis=-1))
        up, down = _over(c.x1 * (c.n0 - c.x0), n), _over((c.n1 - c.x1) * c.x0, n)
        return np.asarray(up.sum(axis=-1) / down.sum(axis=-1))


def error(c: Counts, measure: Measure, weights: FloatArray, *, size: bool = False) -> FloatArray:
    """(...,) standard error of the estimate, of a ratio of its logarithm.

    Difference: of one stratum the unpooled one, of several with Mantel-Haenszel weights that of Sato (1989), and of
    others (``size``) the sum of the strata. Ratio: Greenland & Robins (1985). Odds ratio: Robins, Breslow & Greenland
    (1986). Of one stratum these two are those of Katz and of Woolf.
    """
    p1, p0 = c.shares
    n = c.n1 + c.n0
    with np.errstate(divide="ignore", invalid="ignore"):
        if measure == "difference":
            if size or c.n1.shape[-1] == 1:
                v = _over(p1 * (1 - p1), c.n1) + _over(p0 * (1 - p0), c.n0)
                return np.asarray(np.sqrt((weights**2 * v).sum(axis=-1)) / weights.sum(axis=-1))
            d = estimate(c, "difference", weights)
            p = _over(c.n1**2 * c.x0 - c.n0**2 * c.x1 + 0.5 * c.n1 * c.n0 * (c.n0 - c.n1), n**2).sum(axis=-1)
            q = _over(c.x1 * (c.n0 - c.x0) + c.x0 * (c.n1 - c.x1), 2.0 * n).sum(axis=-1)
            return np.asarray(np.sqrt(d * p + q) / weights.sum(axis=-1))
        if measure == "ratio":
            top = _over(c.n1 * c.n0 * (c.x1 + c.x0) - c.x1 * c.x0 * n, n**2).sum(axis=-1)
            r, s = _over(c.x1 * c.n0, n).sum(axis=-1), _over(c.x0 * c.n1, n).sum(axis=-1)
            return np.asarray(np.sqrt(top / (r * s)))
        b, d = c.n1 - c.x1, c.n0 - c.x0
        r, s = _over(c.x1 * d, n), _over(b * c.x0, n)
        p, q = _over(c.x1 + d, n), _over(b + c.x0, n)
        R, S = r.sum(axis=-1), s.sum(axis=-1)
        v = (p * r).sum(axis=-1) / (2 * R**2) + (p * s + q * r).sum(axis=-1) / (2 * R * S)
        return np.asarray(np.sqrt(v + (q * s).sum(axis=-1) / (2 * S**2)))


def newcombe(c: Counts, level: float, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(...,) limits of the difference by Wilson's of the arms (Newcombe 1998, method 10), in strata Yan & Su 2010.

    >>> one = Counts(*(np.array([v]) for v in (56.0, 70.0, 48.0, 80.0)))
    >>> [round(float(v), 4) for v in newcombe(one, 0.95, one.weights)]
    [0.0524, 0.3339]
    """
    z = quantile(level)
    w = weights / weights.sum(axis=-1, keepdims=True)
    p1, p0 = c.shares
    d = (w * (p1 - p0)).sum(axis=-1)
    ends = []
    for x, n, p in ((c.x1, c.n1, p1), (c.x0, c.n0, p0)):
        v = _over(p * (1 - p), n)
        even = _over(np.ones_like(n), n)  # where nobody or everybody responds in every stratum
        v = np.where((v * w).sum(axis=-1, keepdims=True) > 0.0, v, even)
        own = z * np.sqrt((w**2 * v).sum(axis=-1)) / (w * np.sqrt(v)).sum(axis=-1)
        low, high = wilson(x, n, own[..., None])
        ends.append(((w * low).sum(axis=-1), (w * high).sum(axis=-1), _over(w**2, n).sum(axis=-1)))
    (l1, u1, k1), (l0, u0, k0) = ends
    below = z * np.sqrt(k1 * l1 * (1 - l1) + k0 * u0 * (1 - u0))
    above = z * np.sqrt(k1 * u1 * (1 - u1) + k0 * l0 * (1 - l0))
    return d - below, d + above


def limits(
    c: Counts, measure: Measure, how: str, level: float, weights: FloatArray, *, size: bool = False
) -> tuple[FloatArray, FloatArray]:
    """(...,) limits of ``measure`` by ``how``: wald, newcombe (of a difference) or miettinen-nurminen."""
    if how == "miettinen-nurminen":
        return _inverted(c, measure, level, weights)
    if how == "newcombe" and measure == "difference":
        return newcombe(c, level, weights)
    value, half = estimate(c, measure, weights), quantile(level) * error(c, measure, weights, size=size)
    if measure == "difference":
        return value - half, value + half
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.exp(np.log(value) - half), np.exp(np.log(value) + half)


# -- exact limits without conditioning ---------------------------------------------------------------------------------


class Exact:
    """Tests and limits of a difference of shares, exact over the unknown share (Chan & Zhang 1999).

    Tables are ordered by the score statistic at the difference asked about; the p-value is the greatest probability of
    the tables at least as extreme, over the share of control in 201 steps, then more finely about the greatest; limits
    invert the two one-sided tests.
    """

    LARGEST = 90_000
    """Tables (n1 + 1)(n0 + 1) up to which it is done."""
    STEPS = 200

    def __init__(self, x1: int, n1: int, x0: int, n0: int) -> None:
        self.x1, self.n1, self.x0, self.n0 = x1, n1, x0, n0
        i, j = (a.ravel().astype(np.float64) for a in np.meshgrid(np.arange(n1 + 1), np.arange(n0 + 1), indexing="ij"))
        self._tables = Counts(*(v[:, None] for v in (i, np.full(i.shape, float(n1)), j, np.full(i.shape, float(n0)))))
        self._choose = [
            special.gammaln(n + 1.0) - special.gammaln(k + 1.0) - special.gammaln(n - k + 1.0)
            for n, k in ((n1, np.arange(n1 + 1)), (n0, np.arange(n0 + 1)))
        ]

    def p(self, null: float, *, greater: bool) -> float:
        """One-sided p-value that the difference is ``null``, against a greater or a smaller one."""
        z = score(self._tables, "difference", np.full(len(self._tables.n1), null), np.ones_like(self._tables.n1))
        z = z.reshape(self.n1 + 1, self.n0 + 1)
        own = z[self.x1, self.x0]
        tail = (z >= own - 1e-9) if greater else (z <= own + 1e-9)
        p0 = np.linspace(max(0.0, -null), min(1.0, 1.0 - null), self.STEPS + 1)
        found = self._over(tail.astype(np.float64), p0, null)
        best = int(np.argmax(found))
        fine = np.linspace(p0[max(best - 1, 0)], p0[min(best + 1, self.STEPS)], 41)
        return float(min(1.0, max(found[best], self._over(tail.astype(np.float64), fine, null).max())))

    def _over(self, tail: FloatArray, p0: FloatArray, null: float) -> FloatArray:
        """(share,) probability of the tables of ``tail``."""
        parts = []
        for share, n, choose in ((p0 + null, self.n1, self._choose[0]), (p0, self.n0, self._choose[1])):
            k = np.arange(n + 1)
            share = np.clip(share, 0.0, 1.0)[:, None]
            parts.append(np.exp(choose + special.xlogy(k, share) + special.xlogy(n - k, 1.0 - share)))
        return np.asarray(((parts[0] @ tail) * parts[1]).sum(axis=1))

    def limits(self, level: float) -> tuple[float, float]:
        """Limits of the difference: the outermost values that no one-sided test at half of 1 - level refuses."""
        alpha = 0.5 - 0.5 * level
        return self._end(alpha, -1.0, greater=True), self._end(alpha, 1.0, greater=False)

    def _end(self, alpha: float, outermost: float, *, greater: bool) -> float:
        seen = self.x1 / self.n1 - self.x0 / self.n0
        if abs(seen - outermost) < 1e-12:
            return outermost
        kept, refused = seen, outermost
        for k in range(1, 26):  # from the outside in: the first value that is not refused
            at = outermost + (seen - outermost) * k / 25.0
            if self.p(at, greater=greater) > alpha:
                kept = at
                break
            refused = at
        for _ in range(28):
            middle = 0.5 * (kept + refused)
            if self.p(middle, greater=greater) > alpha:
                kept = middle
            else:
                refused = middle
        return 0.5 * (kept + refused)
