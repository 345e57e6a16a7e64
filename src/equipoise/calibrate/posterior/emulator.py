"""A fast stand-in for a slow simulator: a quadratic in the parameters and a Gaussian process of what it leaves.

Each output is emulated on its own. The mean is a full quadratic by least squares; its residuals are given a Gaussian
process with a squared exponential kernel and a nugget, whose length and nugget have the greatest marginal likelihood
on a grid. The error that the emulator admits is that of leaving one design point out (Dubrule 1983).

References: Kennedy & O'Hagan 2001, J R Stat Soc B 63:425. Rasmussen & Williams 2006, *Gaussian Processes for Machine
Learning*, eq. 2.25, 2.30 and 5.12. Dubrule O 1983, Math Geol 15:687.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.spatial.distance import cdist

from equipoise.errors import DataError
from equipoise.types import FloatArray

_LENGTHS = (0.5, 1.0, 2.0, 4.0)  # of the kernel, in units of half the side of the design's box
_NUGGETS = (1e-6, 0.05, 0.3, 1.0)  # variance that the process leaves, as a share of its own


def quadratic(x: FloatArray) -> FloatArray:
    """(point, term): 1, the parameters, and all their products of two.

    >>> quadratic(np.array([[2.0, 3.0]])).tolist()
    [[1.0, 2.0, 3.0, 4.0, 6.0, 9.0]]
    """
    i, j = np.triu_indices(x.shape[1])
    return np.hstack([np.ones((len(x), 1)), x, x[:, i] * x[:, j]])


@dataclass(frozen=True, eq=False)
class Emulator:
    """The emulator of several outputs over a box. ``error`` (output,): root mean square error, one point left out."""

    low: FloatArray
    high: FloatArray
    beta: FloatArray  # (term, output)
    design: FloatArray  # (point, parameter), in the unit of the box
    weights: FloatArray  # (point, output): K^-1 of the residuals
    length: FloatArray  # (output,)
    error: FloatArray

    @classmethod
    def of(cls, x: FloatArray, y: FloatArray, low: FloatArray, high: FloatArray) -> Emulator:
        """Emulate ``y`` (point, output) of the design ``x`` (point, parameter) in the box from ``low`` to ``high``.

        Raises
        ------
        DataError : fewer points than a quadratic has terms, or a value that is not finite.

        >>> x = np.random.default_rng(1).uniform(-1, 1, (20, 2))
        >>> made = Emulator.of(x, (x[:, :1] - x[:, 1:]) ** 2, np.full(2, -1.0), np.full(2, 1.0))
        >>> np.round(made(np.array([[0.5, -0.25]])), 9).tolist()  # a quadratic is met exactly
        [[0.5625]]
        """
        u = _scaled(x, low, high)
        terms = quadratic(u)
        if len(x) <= terms.shape[1]:
            raise DataError(
                f"{len(x)} design points for a quadratic of {terms.shape[1]} terms in {x.shape[1]} parameters",
                hint=f"take at least {2 * terms.shape[1]}",
            )
        if not (np.isfinite(x).all() and np.isfinite(y).all()):
            raise DataError("a design point or its output is not finite", hint="leave it out, or narrow the box")
        beta, *_ = np.linalg.lstsq(terms, y, rcond=None)
        left = y - terms @ beta
        # what a quadratic leaves of a point's own residual: 1 - leverage
        leverage = np.einsum("ij,ji->i", terms, np.linalg.pinv(terms))
        apart = cdist(u, u, "sqeuclidean")
        best = np.full(y.shape[1], -np.inf)
        weights, length = np.zeros_like(y), np.ones(y.shape[1])
        out_of_sample = left / np.maximum(1.0 - leverage, 1e-3)[:, None]
        alone = np.sqrt(np.mean(out_of_sample**2, axis=0))
        error = alone.copy()
        for scale in _LENGTHS:
            near = np.exp(-0.5 * apart / (scale**2 * x.shape[1]))
            for nugget in _NUGGETS:
                k = near + nugget * np.eye(len(x)) + 1e-9 * np.eye(len(x))
                factor = cho_factor(k, lower=True)
                a = cho_solve(factor, left)
                inverse = np.diag(cho_solve(factor, np.eye(len(x))))[:, None]
                variance = np.maximum(np.mean(left * a, axis=0), 1e-300)  # profiled out of the likelihood
                log_lik = -0.5 * len(x) * np.log(variance) - np.log(np.diag(factor[0])).sum()
                loo = np.sqrt(np.mean((a / inverse) ** 2, axis=0)) * np.sqrt(
                    np.mean(1.0 / np.maximum(1.0 - leverage, 1e-3))
                )
                better = (log_lik > best) & (loo < alone)
                best[better], length[better], error[better] = log_lik[better], scale, loo[better]
                weights[:, better] = a[:, better]
        return cls(low, high, np.asarray(beta, dtype=np.float64), u, weights, length, error)

    def __call__(self, x: FloatArray) -> FloatArray:
        """(point, output) emulated at ``x`` (point, parameter)."""
        u = _scaled(x, self.low, self.high)
        out = quadratic(u) @ self.beta
        apart = cdist(u, self.design, "sqeuclidean") / u.shape[1]
        for scale in np.unique(self.length):
            mine = self.length == scale
            out[:, mine] += np.exp(-0.5 * apart / scale**2) @ self.weights[:, mine]
        return np.asarray(out)


def _scaled(x: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray:
    return np.asarray((x - 0.5 * (low + high)) / (0.5 * (high - low)))
