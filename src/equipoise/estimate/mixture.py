"""Mixtures of normal distributions: what a belief about one number is, when its spread is itself uncertain."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import optimize, special

from equipoise.errors import EstimationError
from equipoise.types import FloatArray


@dataclass(frozen=True, eq=False)
class NormalMixture:
    """Weights (component,) that add up to 1, means and standard deviations (component,).

    Examples
    --------
    >>> belief = NormalMixture.normal(0.0, 2.0).mixed(NormalMixture.normal(1.0, 1.0), 0.25)
    >>> round(belief.mean, 3), round(belief.above(0.0), 4)
    (0.25, 0.5853)
    >>> round(belief.updated(2.0, 1.0).mean, 4)
    1.562
    """

    weights: FloatArray
    means: FloatArray
    sds: FloatArray

    @classmethod
    def of(cls, weights: Any, means: Any, sds: Any) -> NormalMixture:
        """A mixture with its weights made to add up to 1; components of weight 0 are left out."""
        w, m, s = np.broadcast_arrays(*(np.atleast_1d(np.asarray(x, dtype=np.float64)) for x in (weights, means, sds)))
        if not (np.isfinite(w).all() and (w >= 0.0).all() and w.sum() > 0.0):
            raise EstimationError(f"weights {w.tolist()[:5]}", hint="give weights of 0 or more, not all 0")
        if not (np.isfinite(m).all() and np.isfinite(s).all() and (s >= 0.0).all()):
            raise EstimationError("a component is not normal", hint="means are finite, standard deviations 0 or more")
        kept = w > 0.0
        return cls(w[kept] / w.sum(), m[kept].copy(), s[kept].copy())

    @classmethod
    def normal(cls, mean: float, sd: float) -> NormalMixture:
        """One normal distribution."""
        return cls.of(1.0, mean, sd)

    @property
    def mean(self) -> float:
        """Of the mixture."""
        return float(self.weights @ self.means)

    @property
    def sd(self) -> float:
        """Standard deviation of the mixture."""
        return math.sqrt(float(self.weights @ (self.sds**2 + (self.means - self.mean) ** 2)))

    def above(self, x: float) -> float:
        """Probability of a value above ``x``."""
        return float(self.weights @ special.ndtr(self._z(x)))

    def _z(self, x: float) -> FloatArray:
        with np.errstate(divide="ignore", invalid="ignore"):
            z = (self.means - x) / self.sds
        return np.where(self.sds > 0.0, z, np.where(self.means > x, np.inf, -np.inf))

    def density(self, x: float) -> float:
        """At ``x``; every component must have a spread."""
        z = self._z(x)
        return float(self.weights @ (np.exp(-0.5 * z * z) / self.sds)) / math.sqrt(2.0 * math.pi)

    def quantile(self, q: float) -> float:
        """The value below which a share ``q`` lies."""
        if not 0.0 < q < 1.0:
            raise EstimationError(f"quantile {q!r}", hint="give a share between 0 and 1")
        far = 40.0 * np.maximum(self.sds, 1e-300)
        low, high = float((self.means - far).min()), float((self.means + far).max())
        if 1.0 - self.above(low) >= q:  # draws without a spread: a point that holds that much
            return low
        if 1.0 - self.above(high) <= q:
            return high
        return float(optimize.brentq(lambda x: 1.0 - self.above(x) - q, low, high, xtol=1e-13, rtol=1e-13))

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """The central interval of a probability ``level``."""
        return self.quantile((1.0 - level) / 2.0), self.quantile((1.0 + level) / 2.0)

    def widened(self, sd: float) -> NormalMixture:
        """The value plus an independent normal error of this standard deviation."""
        return NormalMixture(self.weights, self.means, np.hypot(self.sds, sd))

    def mixed(self, other: NormalMixture, share: float) -> NormalMixture:
        """This mixture with a ``share`` of another: a robust prior has one of a vague component."""
        if not 0.0 <= share <= 1.0:
            raise EstimationError(f"share {share!r}", hint="give one from 0 to 1")
        parts = (self.weights * (1.0 - share), other.weights * share)
        return NormalMixture.of(
            np.concatenate(parts), np.concatenate([self.means, other.means]), np.concatenate([self.sds, other.sds])
        )

    def log_evidence(self, estimate: float, se: float) -> float:
        """Log density of an estimate with a normal error about the value."""
        return float(special.logsumexp(self._log_parts(estimate, se)))

    def _log_parts(self, estimate: float, se: float) -> FloatArray:
        spread = np.hypot(self.sds, se)
        z = (estimate - self.means) / spread
        return np.asarray(np.log(self.weights) - np.log(spread) - 0.5 * math.log(2.0 * math.pi) - 0.5 * z * z)

    def updated(self, estimate: float, se: float) -> NormalMixture:
        """The belief after an estimate of the value with a normal error: a mixture again, exactly."""
        if not (math.isfinite(estimate) and math.isfinite(se) and se > 0.0):
            raise EstimationError(f"estimate {estimate!r} with se {se!r}", hint="give finite numbers, the se above 0")
        log = self._log_parts(estimate, se)
        variance = self.sds**2
        share = variance / (variance + se * se)
        means = self.means + share * (estimate - self.means)
        return NormalMixture.of(np.exp(log - log.max()), means, np.sqrt(share) * se)
