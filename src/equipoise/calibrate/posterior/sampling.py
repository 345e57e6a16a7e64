"""Draws and evidence from a log likelihood over a box: tempered sequential Monte Carlo, bridge sampling, PSIS.

The evidence is found twice, by two methods that share nothing but the likelihood: from the increments of the tempered
particles (Del Moral, Doucet & Jasra 2006), and by bridge sampling from a normal proposal (Meng & Wong 1996).

References: Del Moral P, Doucet A, Jasra A 2006, J R Stat Soc B 68:411. Meng X-L, Wong WH 1996, Stat Sin 6:831.
Vehtari A et al. 2024, J Mach Learn Res 25:72 (Pareto smoothed importance sampling). Zhang J, Stephens MA 2009,
Technometrics 51:316 (the fit of the tail).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from equipoise.errors import DataError
from equipoise.types import FloatArray

LogDensity = Callable[[FloatArray], FloatArray]
"""(point, parameter) -> (point,) log density."""

PARETO_GOOD = 0.7
"""Above this shape of the tail of the importance weights, their mean is not to be relied on (Vehtari et al. 2024)."""

AGREE = 0.2
"""Two methods of finding a log evidence that lie further apart have not found it."""

_MOVES = 12  # Metropolis steps after each temperature


@dataclass(frozen=True, eq=False)
class Drawn:
    """Draws of the posterior, all of one weight, and the log evidence.

    draws : (draw, parameter). log_evidence : of the tempered particles, ``bridge`` the same by bridge sampling.
    steps : temperatures. acceptance : of the moves at the last one.
    """

    draws: FloatArray
    log_evidence: float
    bridge: float
    steps: int
    acceptance: float


def tempered(
    log_likelihood: LogDensity,
    low: FloatArray,
    high: FloatArray,
    *,
    particles: int = 2000,
    seed: int = 1,
    log_prior: LogDensity | None = None,
) -> Drawn:
    """Particles carried from the uniform distribution on the box to the posterior, by temperatures.

    Parameters
    ----------
    low, high : (parameter,) the box; the prior is uniform on it, times ``log_prior`` where given, a normalised log
        density relative to the uniform one.
    particles : how many. The next temperature halves their effective number.
    seed : of the particles.

    Raises
    ------
    DataError : the likelihood is zero, or not a number, everywhere in the box.

    Examples
    --------
    >>> def normal(x):
    ...     return -0.5 * (x[:, 0] / 0.1) ** 2 - math.log(0.1 * math.sqrt(2 * math.pi))
    >>> made = tempered(normal, np.array([-2.0]), np.array([2.0]), particles=500)
    >>> abs(made.log_evidence + math.log(4)) < 0.2, abs(made.bridge + math.log(4)) < 0.05
    (True, True)
    """
    rng = np.random.default_rng(seed)
    d = len(low)

    def target(x: FloatArray) -> FloatArray:
        out = log_likelihood(x) + (0.0 if log_prior is None else log_prior(x))
        inside = ((x >= low) & (x <= high)).all(axis=1)
        return np.where(inside & np.isfinite(out), out, -np.inf)

    x = rng.uniform(low, high, (particles, d))
    value = target(x)
    if not np.isfinite(value).any():
        raise DataError("the likelihood is zero everywhere in the box", hint="widen the box, or the discrepancy")
    temperature, log_evidence, steps, accepted = 0.0, 0.0, 0, 1.0
    while temperature < 1.0:
        step = _next(value, temperature)
        lw = step * value
        log_evidence += float(logsumexp(lw) - math.log(particles))
        w = np.exp(lw - logsumexp(lw))
        temperature += step
        chosen = _systematic(w, rng)
        x, value = x[chosen], value[chosen]
        cov = np.cov(x.T).reshape(d, d) + 1e-12 * np.diag((high - low) ** 2)
        root = np.linalg.cholesky(cov)
        scale = 2.38 / math.sqrt(d)
        for move in range(_MOVES):
            own = scale * (0.3 if move % 3 == 2 else 1.0)  # small steps too, where the posterior is no ellipse
            proposed = x + own * rng.standard_normal((particles, d)) @ root.T
            there = target(proposed)
            with np.errstate(invalid="ignore"):
                go = np.log(rng.uniform(size=particles)) < temperature * (there - value)
            x[go], value[go] = proposed[go], there[go]
            accepted = float(go.mean())
        steps += 1
    bridge = _bridge(target, x, low, high, rng)
    return Drawn(x, log_evidence, bridge, steps, accepted)


def _next(value: FloatArray, temperature: float) -> float:
    """The step of temperature that leaves half of the particles effective; the rest where that is more."""
    left = 1.0 - temperature

    def effective(step: float) -> float:
        lw = step * value
        return math.exp(2 * float(logsumexp(lw)) - float(logsumexp(2 * lw)))

    if effective(left) >= 0.5 * len(value):
        return left
    low, high = 0.0, left
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if effective(middle) >= 0.5 * len(value) else (low, middle)
    return max(low, 1e-10)


def _systematic(w: FloatArray, rng: np.random.Generator) -> np.ndarray:
    at = (rng.uniform() + np.arange(len(w))) / len(w)
    return np.minimum(np.searchsorted(np.cumsum(w), at), len(w) - 1)


def _bridge(
    target: LogDensity, draws: FloatArray, low: FloatArray, high: FloatArray, rng: np.random.Generator
) -> float:
    """Log evidence by the bridge of Meng & Wong (their optimal one, by iteration), from a normal fitted to half."""
    half = draws[::2]
    rest = draws[1::2]
    d = draws.shape[1]
    cov = np.cov(half.T).reshape(d, d) + 1e-12 * np.diag((high - low) ** 2)
    proposal = multivariate_normal(half.mean(axis=0), cov)
    made = np.atleast_2d(proposal.rvs(size=len(rest), random_state=rng)).reshape(len(rest), d)
    volume = float(np.log(high - low).sum())
    own = target(rest) - volume - proposal.logpdf(rest)
    other = target(made) - volume - proposal.logpdf(made)
    found = float(np.median(own))
    for _ in range(500):
        top = logsumexp(other - np.logaddexp(other, found))
        bottom = logsumexp(-np.logaddexp(own, found))
        new = float(top - bottom)
        if abs(new - found) < 1e-10:
            break
        found = new
    return found


@dataclass(frozen=True, eq=False)
class Weights:
    """Importance weights that add to one, smoothed in the tail; the tail's shape and the effective number."""

    weights: FloatArray
    pareto_k: float
    effective: float

    @property
    def reliable(self) -> bool:
        return self.pareto_k < PARETO_GOOD


def smoothed_weights(log_ratio: FloatArray) -> Weights:
    """Pareto smoothed importance weights from log ratios of target to proposal (Vehtari et al. 2024).

    >>> found = smoothed_weights(np.zeros(100))
    >>> found.effective, found.reliable
    (100.0, True)
    """
    n = len(log_ratio)
    lw = np.where(np.isfinite(log_ratio), log_ratio, -np.inf)
    if not np.isfinite(lw).any():
        raise DataError("no importance weight is finite", hint="the proposal misses the posterior altogether")
    lw = lw - lw.max()
    w = np.exp(lw)
    m = math.ceil(min(0.2 * n, 3 * math.sqrt(n)))
    order = np.argsort(w, kind="stable")
    tail = order[-m:]
    cut = float(w[order[-m - 1]]) if n > m else 0.0
    shape = -math.inf
    excess = w[tail] - cut
    if n > m >= 5 and float(excess.max()) > 1e-12:
        shape, scale = _pareto(np.maximum(excess, 1e-300))
        p = (np.arange(1, m + 1) - 0.5) / m
        quantile = scale * np.expm1(-shape * np.log1p(-p)) / shape if abs(shape) > 1e-8 else -scale * np.log1p(-p)
        w[tail] = np.minimum(cut + quantile, 1.0)
    w = w / w.sum()
    return Weights(w, shape, float(1.0 / (w**2).sum()))


def _pareto(excess: FloatArray) -> tuple[float, float]:
    """Shape and scale of the generalised Pareto of Zhang & Stephens 2009, with the weak prior of Vehtari et al."""
    x = np.sort(excess)
    n = len(x)
    m = 30 + int(math.sqrt(n))
    quartile = x[int(n / 4 + 0.5) - 1]
    b = 1 / x[-1] + (1 - np.sqrt(m / (np.arange(1, m + 1) - 0.5))) / (3 * quartile)
    k = np.log1p(-b[:, None] * x).mean(axis=1)
    log_lik = n * (np.log(-b / k) - k - 1)
    weight = 1 / np.exp(log_lik - log_lik[:, None]).sum(axis=1)
    theta = float((b * weight).sum() / weight.sum())
    shape = float(np.log1p(-theta * x).mean())
    scale = -shape / theta
    return (n * shape + 10 * 0.5) / (n + 10), scale
