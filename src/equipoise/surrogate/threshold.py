"""The surrogate threshold effect: from which effect on the marker on an effect on the outcome may be expected.

Burzykowski & Buyse 2006, Pharm Stat 5:173.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

from equipoise.types import FloatArray

BURZYKOWSKI = "Burzykowski & Buyse 2006, Pharm Stat 5:173"


@dataclass(frozen=True, eq=False)
class Line:
    """A regression of effects: intercept, slope, their covariance (2, 2), the variance about the line, degrees of
    freedom.

    between : variance of the true effects on the surrogate and their covariance with those on the true endpoint, by
    which an effect that is known with error is drawn in; empty where errors are not allowed for.
    """

    intercept: float
    slope: float
    cov: FloatArray
    residual: float
    df: float
    how: str
    between: tuple[float, ...] = ()

    def interval(
        self, surrogate: float, level: float, surrogate_se: float = 0.0, true_se: float = 0.0
    ) -> tuple[float, float]:
        """The prediction interval of a new trial's effect on the true endpoint."""
        x = np.array([1.0, surrogate])
        variance = float(x @ self.cov @ x) + self.residual + true_se**2 + (self.slope * surrogate_se) ** 2
        half = float(special.stdtrit(self.df, 0.5 + 0.5 * level)) * math.sqrt(max(variance, 0.0))
        middle = self.intercept + self.slope * surrogate
        return middle - half, middle + half

    def confidence(self, surrogate: float, level: float) -> tuple[float, float]:
        """The interval of the line itself."""
        x = np.array([1.0, surrogate])
        half = float(special.stdtrit(self.df, 0.5 + 0.5 * level)) * math.sqrt(max(float(x @ self.cov @ x), 0.0))
        middle = self.intercept + self.slope * surrogate
        return middle - half, middle + half


@dataclass(frozen=True)
class Threshold:
    """A surrogate threshold effect, or the ``reason`` why there is none. ``favours``: the direction wanted on the true
    endpoint; ``beyond``: whether effects ``above`` or ``below`` the value foretell one.
    """

    value: float
    level: float
    favours: str
    reason: str | None = None
    beyond: str = "below"

    @property
    def exists(self) -> bool:
        return math.isfinite(self.value)

    def to_sentence(self) -> str:
        """The threshold in words."""
        if not self.exists:
            return f"No threshold for an effect {self.favours} than none at {100 * self.level:g} %: {self.reason}."
        return (
            f"Effects on the surrogate {self.beyond} {self.value:.3g} foretell an effect on the true endpoint "
            f"{self.favours} than none ({100 * self.level:g} % prediction)."
        )


def threshold_of(
    ends: Callable[[float], tuple[float, float]], slope: float, favours: str, level: float, span: tuple[float, float]
) -> Threshold:
    """Where the end of a prediction interval crosses none, looked for within ``span``.

    The interval that is meant is the one that begins at the crossing and goes on in the direction of the slope.
    """
    if not math.isfinite(slope) or slope == 0.0:
        return Threshold(math.nan, level, favours, "the line has no slope")
    up = (slope > 0.0) == (favours == "more")  # effects above the threshold foretell one

    def edge(x: float) -> float:
        low, high = ends(x)
        return low if favours == "more" else -high

    grid = np.linspace(span[0], span[1], 161)
    values = np.array([edge(x) for x in grid])
    wanted = values > 0.0
    beyond = "above" if up else "below"
    order = range(len(grid) - 1, 0, -1) if up else range(len(grid) - 1)
    if not wanted[-1 if up else 0]:
        return Threshold(
            math.nan, level, favours, "no effect within reach leads to a prediction that excludes none", beyond
        )
    for i in order:
        inside, outside = (i, i - 1) if up else (i, i + 1)
        if wanted[inside] and not wanted[outside]:
            x = float(
                optimize.brentq(edge, min(grid[inside], grid[outside]), max(grid[inside], grid[outside]), xtol=1e-12)
            )
            return Threshold(x, level, favours, None, beyond)
    return Threshold(
        math.nan, level, favours, "every effect within reach foretells one: the line does not pass by none", beyond
    )


def closed_threshold(line: Line, level: float, extra: float = 0.0) -> tuple[float, float]:
    """Roots of the lower and of the upper end of the interval about a line, in closed form: ``m(x) -/+ t sqrt(x'Vx +
    e)``.

    The larger root of the lower end where the slope is positive (the smaller where negative), and the opposite for the
    upper end; NaN where an end never crosses none.
    """
    q = float(special.stdtrit(line.df, 0.5 + 0.5 * level)) ** 2
    a, b, v = line.intercept, line.slope, line.cov
    c2, c1, c0 = b * b - q * v[1, 1], a * b - q * v[0, 1], a * a - q * (v[0, 0] + extra)
    root = c1 * c1 - c2 * c0
    if c2 <= 0.0 or root < 0.0:
        return math.nan, math.nan
    roots = sorted(((-c1 - math.sqrt(root)) / c2, (-c1 + math.sqrt(root)) / c2))
    return (roots[1], roots[0]) if b > 0.0 else (roots[0], roots[1])


__all__ = ["BURZYKOWSKI", "Line", "Threshold", "closed_threshold", "threshold_of"]
