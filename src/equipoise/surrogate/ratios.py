"""Intervals of a ratio of two estimates, of a correlation, and of an explained share of a likelihood."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special, stats

from equipoise.estimate.result import Estimate
from equipoise.types import FloatArray, Status

FIELLER = "Fieller 1954, J R Stat Soc B 16:175"
FISHER = "Fisher 1921, Metron 1:3"
KENT = "Kent 1983, Biometrika 70:163"


@dataclass(frozen=True)
class RatioSet:
    """Fieller's set of a ratio: ``inside`` (from low to high), ``outside`` (all but what lies between them),
    ``all``."""

    kind: str
    low: float
    high: float

    def to_sentence(self) -> str:
        """The set in words."""
        if self.kind == "inside":
            return f"{self.low:.3g} to {self.high:.3g}"
        return (
            "every value" if self.kind == "all" else f"all values but those between {self.low:.3g} and {self.high:.3g}"
        )


def fieller(top: float, bottom: float, cov: FloatArray, z: float) -> RatioSet:
    """Fieller's confidence set of ``top / bottom``, whose joint covariance is ``cov`` (2, 2), at ``z`` standard
    errors."""
    a = bottom**2 - z * z * cov[1, 1]
    b = top * bottom - z * z * cov[0, 1]
    c = top**2 - z * z * cov[0, 0]
    root = b * b - a * c
    if a <= 0.0 and root <= 0.0:
        return RatioSet("all", -math.inf, math.inf)
    ends = (
        sorted(((b - math.sqrt(max(root, 0.0))) / a, (b + math.sqrt(max(root, 0.0))) / a)) if a != 0.0 else [0.0, 0.0]
    )
    if a > 0.0:
        return RatioSet("inside", ends[0], ends[1])
    return RatioSet("outside", ends[0], ends[1])


def ratio_se(top: float, bottom: float, cov: FloatArray) -> float:
    """Standard error of ``top / bottom`` by the delta method."""
    slope = np.array([1.0 / bottom, -top / bottom**2])
    return math.sqrt(max(float(slope @ cov @ slope), 0.0))


def of_correlation(
    name: str, estimator: str, r: float, n: int, level: float, *, lost: int = 3, term: str = ""
) -> Estimate:
    """A correlation of ``n`` units with Fisher's interval; the test is of no correlation.

    ``se`` is ``sqrt((1 - r^2) / (n - lost + 1))``, as R's Surrogate prints it.
    """
    why = None
    if n <= lost or not math.isfinite(r):
        why = Status.NOT_IDENTIFIED, f"{n} units are too few for an interval of a correlation"
    elif abs(r) >= 1.0 - 1e-12:
        why = Status.BOUNDARY, "the correlation is 1 in absolute value: the two are one and the same here"
    if why is not None:
        return Estimate.not_made(name, estimator, n, *why, estimate=r, level=level, scale="correlation", term=term)
    z = float(special.ndtri(0.5 + 0.5 * level)) / math.sqrt(n - lost)
    at = math.atanh(r)
    statistic = at * math.sqrt(n - lost)
    return Estimate(
        name,
        estimator,
        r,
        math.sqrt((1.0 - r * r) / (n - lost + 1)),
        math.inf,
        math.tanh(at - z),
        math.tanh(at + z),
        2.0 * float(special.ndtr(-abs(statistic))),
        n,
        level=level,
        scale="correlation",
        statistic=statistic,
        references=(FISHER,),
        term=term,
    )


def explained(g2: float, df: int, information: int, level: float) -> tuple[float, float, float, float]:
    """``1 - exp(-G2 / n)``, the ends of its interval, and the p-value of the likelihood-ratio test.

    The interval turns the test of the noncentral chi-square of G2 over (Kent 1983).
    """
    g2 = max(g2, 0.0)
    tail = 0.5 * (1.0 - level)

    def noncentral(share: float) -> float:
        """The noncentrality at which ``share`` of the draws lie below G2."""
        if float(stats.chi2.cdf(g2, df)) <= share:
            return 0.0
        top = max(4.0 * g2, 40.0) + 40.0
        found = optimize.brentq(lambda nc: float(stats.ncx2.cdf(g2, df, nc)) - share, 1e-12, top, xtol=1e-10)
        return float(found)

    ends = [1.0 - math.exp(-noncentral(s) / information) for s in (1.0 - tail, tail)]
    return 1.0 - math.exp(-g2 / information), ends[0], ends[1], float(stats.chi2.sf(g2, df))
