"""At an interim look: conditional and predictive power, and the estimate at the end, corrected for the looks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from equipoise.decision.recursion import checked_information, exit_probabilities, start
from equipoise.errors import ScenarioError
from equipoise.types import FloatArray

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)


@dataclass(frozen=True, eq=False)
class _Future:
    """What follows a look: increments of information and the boundaries, given the score so far."""

    gain: FloatArray
    upper: FloatArray
    lower: FloatArray | None

    def power(self, theta: float) -> float:
        return float(exit_probabilities(self.gain, self.upper, self.lower, theta)[0].sum())


def _future(
    z: float,
    information: float,
    future: Sequence[float] | FloatArray,
    upper: Sequence[float] | FloatArray,
    lower: Sequence[float] | FloatArray | None,
) -> _Future:
    if not (math.isfinite(z) and math.isfinite(information) and information > 0.0):
        raise ScenarioError(
            f"Z = {z!r} at information {information!r}", hint="give the statistic and the information of the look"
        )
    info = checked_information([information, *np.asarray(future, dtype=np.float64)])
    if info.size == 1:
        raise ScenarioError("no look follows", hint="give the information of the looks to come")
    score, gain = z * math.sqrt(information), info[1:] - information

    def shifted(bounds: Sequence[float] | FloatArray) -> FloatArray:
        b = np.asarray(bounds, dtype=np.float64)
        if b.shape != gain.shape:
            raise ScenarioError(f"{b.size} boundaries for {gain.size} looks to come", hint="give one a look")
        return np.asarray((b * np.sqrt(info[1:]) - score) / np.sqrt(gain), dtype=np.float64)

    return _Future(gain, shifted(upper), None if lower is None else shifted(lower))


def conditional_power(
    z: float,
    information: float,
    future: Sequence[float] | FloatArray,
    upper: Sequence[float] | FloatArray,
    *,
    lower: Sequence[float] | FloatArray | None = None,
    effect: float | None = None,
) -> float:
    """Probability of crossing the upper boundary at a look to come, given ``Z = z`` now.

    Parameters
    ----------
    z, information : at the look. future, upper, lower : (look to come,) information and boundaries; without ``lower``
    futility boundaries are ignored. effect : the effect assumed from now on, on the scale whose inverse variance
    ``information`` is; 0 gives the conditional error, None the estimate so far, ``z / sqrt(information)``.

    Examples
    --------
    One look to come, at twice the information, at the effect seen so far:

    >>> round(conditional_power(1.5, 50, [100], [1.96]), 4)
    0.5902
    """
    theta = z / math.sqrt(information) if effect is None and information > 0.0 else float(effect or 0.0)
    return _future(z, information, future, upper, lower).power(theta)


def predictive_power(
    z: float,
    information: float,
    future: Sequence[float] | FloatArray,
    upper: Sequence[float] | FloatArray,
    *,
    lower: Sequence[float] | FloatArray | None = None,
    prior: tuple[float, float] | None = None,
) -> float:
    """Conditional power averaged over what is known of the effect now.

    prior : mean and standard deviation of a normal prior for the effect; None for a flat one. Other parameters as
    :func:`conditional_power`.

    Examples
    --------
    >>> round(predictive_power(1.5, 50, [100], [1.96]), 4)
    0.5641
    """
    ahead = _future(z, information, future, upper, lower)
    precision, weighted = information, z * math.sqrt(information)
    if prior is not None:
        mean, sd = prior
        if not (math.isfinite(mean) and 0.0 < sd < math.inf):
            raise ScenarioError(f"prior {prior!r}", hint="give a mean and a positive standard deviation")
        precision, weighted = precision + sd**-2, weighted + mean / sd**2
    centre, spread = weighted / precision, 1.0 / math.sqrt(precision)
    total = 0.0
    for panel in range(-2, 2):  # from -9 to 9 posterior standard deviations
        for node, weight in zip(_NODES, _WEIGHTS, strict=True):
            u = 4.5 * (panel + 0.5 * (node + 1.0))
            total += 2.25 * weight * math.exp(-0.5 * u * u) * ahead.power(centre + spread * u)
    return float(total / math.sqrt(2.0 * math.pi))


@dataclass(frozen=True)
class StagewiseEstimate:
    """The estimate at the end of a group sequential trial, stage-wise ordering.

    estimate : median unbiased. low, high : equal-tailed interval at ``level``. p : one-sided P value. naive : the
    estimate that ignores the looks.
    """

    estimate: float
    low: float
    high: float
    p: float
    naive: float
    level: float


def stagewise_estimate(
    information: Sequence[float] | FloatArray,
    upper: Sequence[float] | FloatArray,
    z: float,
    *,
    lower: Sequence[float] | FloatArray | None = None,
    level: float = 0.95,
) -> StagewiseEstimate:
    """Effect, interval and P value of a trial that stopped at the last of these looks with ``Z = z``.

    Results are ordered by look first: crossing the upper boundary earlier is stronger evidence than crossing it later,
    and at one look the larger Z is (Tsiatis, Rosner & Mehta 1984; Jennison & Turnbull 2000, section 8.4).

    Parameters
    ----------
    information, upper, lower : (look,) of the looks held; the boundaries of the last are not used. ``lower`` only where
    the futility boundaries bound the trial. z : at the last look.

    Examples
    --------
    >>> made = stagewise_estimate([50, 100], [2.963, 1.969], 2.1)
    >>> round(made.p, 4), round(made.naive, 4), round(made.estimate, 4)
    (0.0185, 0.21, 0.2094)
    """
    info = checked_information(information)
    b = np.asarray(upper, dtype=np.float64)
    a = np.full(info.size, -np.inf) if lower is None else np.asarray(lower, dtype=np.float64)
    if not math.isfinite(z):
        raise ScenarioError(f"Z = {z!r}", hint="give the statistic of the last look")
    if b.shape != info.shape or a.shape != info.shape or not 0.0 < level < 1.0:
        raise ScenarioError(
            f"{info.size} looks, {b.size} upper and {a.size} lower boundaries, level {level:g}",
            hint="give one boundary a look, and a level between 0 and 1",
        )

    def tail(theta: float) -> float:
        going, total = start(theta), 0.0
        for k in range(info.size - 1):
            total += going.above(info[k], b[k])
            going = going.after(info[k], a[k], b[k], info[k + 1])
        return total + going.above(info[-1], z)

    def solve(target: float) -> float:
        from scipy import optimize  # here, not above: slow to load

        def function(theta: float) -> float:
            return tail(theta) - target

        unit = 1.0 / math.sqrt(info[0])
        low = high = z / math.sqrt(info[-1])
        while function(low) > 0.0:
            low -= 2.0 * unit
        while function(high) < 0.0:
            high += 2.0 * unit
        return float(optimize.brentq(function, low, high, xtol=1e-12 * unit, rtol=1e-12)) if high > low else low

    out = 0.5 * (1.0 - level)
    return StagewiseEstimate(solve(0.5), solve(out), solve(1.0 - out), tail(0.0), z / math.sqrt(info[-1]), level)


def information_from_events(events: float | FloatArray, ratio: tuple[float, float] = (1.0, 1.0)) -> FloatArray:
    """Information on a log hazard ratio near 1 in ``events`` events: ``events p (1 - p)`` with the share ``p`` of
    patients on active (Schoenfeld 1981, Biometrika 68:316). ``ratio`` is control to active.
    """
    d = np.asarray(events, dtype=np.float64)
    return d * _share(ratio)


def events_from_information(information: float | FloatArray, ratio: tuple[float, float] = (1.0, 1.0)) -> FloatArray:
    """Events needed for an information on the log hazard ratio; not rounded."""
    return np.asarray(information, dtype=np.float64) / _share(ratio)


def _share(ratio: tuple[float, float]) -> float:
    control, active = ratio
    if not (control > 0.0 and active > 0.0):
        raise ScenarioError(f"ratio {ratio!r}", hint="give two positive numbers, control and active")
    return control * active / (control + active) ** 2


def information_from_se(se: float | FloatArray) -> FloatArray:
    """Information of an estimate with standard error ``se``: its inverse variance."""
    s = np.asarray(se, dtype=np.float64)
    if not (s > 0.0).all():
        raise ScenarioError("a standard error is not positive", hint="information is the inverse variance")
    return s**-2.0


def information_from_visits(seen: Sequence[Sequence[float]] | FloatArray, covariance: FloatArray) -> float:
    """Information on the difference between two arms at the last visit of a repeated-measures analysis.

    Patients who have not reached the last visit add what their earlier visits tell through the correlation.

    Parameters
    ----------
    seen : (arm, visit) patients of each arm whose last visit so far is this one (not cumulative); those before the
    first visit do not count. covariance : (visit, visit) of one patient's outcomes given the covariates.

    Notes
    -----
    Generalised least squares with a free mean for every arm and visit: an arm's information matrix is the sum over
    patterns of ``n S' (S V S')^-1 S``; the variance of the last mean is the last entry of its inverse. Covariances are
    taken as known (Wittes et al. 2004 give the effect of estimating them: small).
    """
    counts = np.asarray(seen, dtype=np.float64)
    v = np.asarray(covariance, dtype=np.float64)
    if counts.ndim != 2 or counts.shape[0] != 2 or v.shape != (counts.shape[1], counts.shape[1]):
        raise ScenarioError(
            f"counts of shape {counts.shape} with a covariance of shape {v.shape}",
            hint="counts are (2 arms, visits), the covariance (visits, visits)",
        )
    if not (counts >= 0.0).all() or not np.isfinite(counts).all():
        raise ScenarioError("a count of patients is negative or missing", hint="give patients by last visit")
    if not np.allclose(v, v.T) or not (np.linalg.eigvalsh(v) > 0.0).all():
        raise ScenarioError("the covariance is not positive definite", hint="give variances and covariances of visits")
    if (counts[:, -1] == 0.0).any():
        return 0.0
    variance = 0.0
    for arm in counts:
        matrix = np.zeros_like(v)
        for last, n in enumerate(arm, start=1):
            matrix[:last, :last] += n * np.linalg.inv(v[:last, :last])
        variance += float(np.linalg.inv(matrix)[-1, -1])
    return 1.0 / variance
