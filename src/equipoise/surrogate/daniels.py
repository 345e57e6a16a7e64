"""Daniels & Hughes' model of true effects, integrated exactly by quadrature; partial pooling over classes of drugs.

Daniels & Hughes 1997, Stat Med 16:1965: the true effect on the true endpoint, given that on the surrogate, is normal
about a line; the true effects on the surrogate have flat priors. Then ``T - a - b S`` is normal with variance
``vT + tau^2 + b^2 vS - 2 b cov``. Intercept and slope have flat priors, tau a half-normal or a uniform one. Classes:
Papanikos et al. 2020, Stat Med 39:1103.

Flat priors do not draw the seen effects in: the slope is drawn towards none by their reliability, and with many
trials its interval does not cover (0.85 in place of 0.95 with 40 trials of reliability 0.86: docs/methods).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import optimize, special

from equipoise.errors import EstimationError
from equipoise.surrogate.kernels import bivariate as kernel
from equipoise.types import BoolArray, FloatArray

DANIELS = "Daniels & Hughes 1997, Stat Med 16:1965"
PAPANIKOS = "Papanikos et al. 2020, Stat Med 39:1103"

_SLOPES, _TAUS = 401, 80


@dataclass(frozen=True)
class Prior:
    """The prior of tau, the spread about the line on the scale of the true endpoint's effects.

    kind : ``half-normal`` with ``scale``, or ``uniform`` from 0 to ``scale``.
    """

    kind: str = "half-normal"
    scale: float = 0.5

    def __post_init__(self) -> None:
        if self.kind not in ("half-normal", "uniform") or not (math.isfinite(self.scale) and self.scale > 0.0):
            raise EstimationError(f"{self!r}", hint="Prior('half-normal', 0.5) or Prior('uniform', 2.0)")

    def log_density(self, tau: FloatArray) -> FloatArray:
        """(tau,) up to nothing: the density is proper."""
        if self.kind == "uniform":
            return np.where(tau <= self.scale, -math.log(self.scale), -np.inf)
        return np.asarray(0.5 * math.log(2.0 / math.pi) - math.log(self.scale) - 0.5 * (tau / self.scale) ** 2)


@dataclass(frozen=True, eq=False)
class Posterior:
    """The posterior on a grid: slopes (slope,), taus (tau,), weight (slope, tau) summing to 1, and of the intercept its
    mean and variance (slope, tau).
    """

    prior: Prior
    slopes: FloatArray
    taus: FloatArray
    weight: FloatArray
    centre: FloatArray
    spread: FloatArray
    trials: int

    @property
    def slope(self) -> tuple[float, float]:
        """Mean and standard deviation of the slope; the latter NaN below five trials, where it is infinite."""
        w = self.weight.sum(axis=1)
        mean = float(w @ self.slopes)
        return mean, math.sqrt(float(w @ (self.slopes - mean) ** 2)) if self.trials >= 5 else math.nan

    def slope_quantile(self, q: float) -> float:
        """A quantile of the slope."""
        return _quantile(self.slopes, self.weight.sum(axis=1), q)

    def tau_quantile(self, q: float) -> float:
        """A quantile of tau."""
        return _quantile(self.taus, self.weight.sum(axis=0), q)

    @property
    def intercept(self) -> tuple[float, float]:
        """Mean and standard deviation of the intercept."""
        mean = float((self.weight * self.centre).sum())
        return mean, math.sqrt(float((self.weight * (self.spread + (self.centre - mean) ** 2)).sum()))

    def _parts(self, surrogate: float, se: float, true_se: float = 0.0) -> tuple[FloatArray, FloatArray]:
        mean = self.centre + self.slopes[:, None] * surrogate
        sd = np.sqrt(self.spread + self.taus**2 + (self.slopes[:, None] * se) ** 2 + true_se**2)
        return mean, sd

    def below(self, surrogate: float, at: float = 0.0, *, se: float = 0.0, true_se: float = 0.0) -> float:
        """Probability that the effect on the true endpoint of a new trial lies below ``at``.

        surrogate, se : its effect on the surrogate and the standard error of that (0: known). true_se : of its
        effect on the true endpoint, for the effect as it would be estimated.
        """
        mean, sd = self._parts(surrogate, se, true_se)
        return float((self.weight * special.ndtr((at - mean) / sd)).sum())

    def predict(
        self, surrogate: float, *, level: float = 0.95, se: float = 0.0, true_se: float = 0.0
    ) -> tuple[float, float, float]:
        """Mean and interval of the effect on the true endpoint of a new trial."""
        mean, sd = self._parts(surrogate, se, true_se)
        centre = float((self.weight * mean).sum())
        wide = math.sqrt(float((self.weight * (sd**2 + (mean - centre) ** 2)).sum()))
        ends = []
        for q in (0.5 - 0.5 * level, 0.5 + 0.5 * level):
            low, high = centre - 4.0 * wide, centre + 4.0 * wide
            while self.below(surrogate, low, se=se, true_se=true_se) > q:
                low -= 8.0 * wide
            while self.below(surrogate, high, se=se, true_se=true_se) < q:
                high += 8.0 * wide
            ends.append(
                float(
                    optimize.brentq(
                        lambda x, q=q: self.below(surrogate, x, se=se, true_se=true_se) - q, low, high, xtol=1e-10
                    )
                )
            )
        return centre, ends[0], ends[1]


def _quantile(points: FloatArray, weight: FloatArray, q: float) -> float:
    steps = np.cumsum(weight) - 0.5 * weight
    return float(np.interp(q, steps, points))


def slopes_grid(centre: float, scale: float, points: int = _SLOPES) -> tuple[FloatArray, FloatArray]:
    """Slopes about ``centre`` and their weights: even in the angle whose tangent they are, so that heavy tails are
    met."""
    angle = (np.arange(points) + 0.5) / points * math.pi - 0.5 * math.pi
    return centre + scale * np.tan(angle), scale / np.cos(angle) ** 2 * math.pi / points


@cache
def _legendre(points: int) -> tuple[FloatArray, FloatArray]:
    x, w = np.polynomial.legendre.leggauss(points)
    return x, w


def _taus(scale: float, prior: Prior, points: int = _TAUS) -> tuple[FloatArray, FloatArray]:
    top = math.atan(prior.scale / scale) if prior.kind == "uniform" else 0.5 * math.pi
    x, w = _legendre(points)
    angle = 0.5 * top * (x + 1.0)
    return scale * np.tan(angle), scale / np.cos(angle) ** 2 * 0.5 * top * w


def _start(s: FloatArray, t: FloatArray, vs: FloatArray, vt: FloatArray, c: FloatArray) -> tuple[float, float, float]:
    """Where the slope lies, how far it spreads, and the size of tau."""
    out, cov = np.empty(4), np.empty((2, 2))
    kernel.meta_regression(s, t, vt, out, cov)
    scale = math.sqrt(cov[1, 1]) if math.isfinite(cov[1, 1]) and cov[1, 1] > 0.0 else float(t.std() / s.std())
    centre, tau = float(out[1]), math.sqrt(max(float(out[2]), 0.0))
    if len(s) >= 4:
        kernel.fit_daniels(s, t, vs, vt, c, out)
        centre = 0.5 * (centre + float(out[1]))
        scale = max(scale, 0.5 * abs(float(out[1]) - centre))
    return centre, 1.5 * scale, max(tau, 0.5 * math.sqrt(float(np.median(vt))))


def posterior(
    s: FloatArray,
    t: FloatArray,
    vs: FloatArray,
    vt: FloatArray,
    c: FloatArray,
    prior: Prior | None = None,
    *,
    points: tuple[int, int] = (_SLOPES, _TAUS),
) -> Posterior:
    """The posterior of intercept, slope and tau from summary rows (trial,): effects, variances, within-trial
    covariances. points : of the slope and of tau, fewer where many literatures are gone through.

    Raises :class:`EstimationError` for fewer than three trials, whose posterior is improper.
    """
    prior = prior or Prior()
    if len(s) < 3:
        raise EstimationError(
            f"{len(s)} trials", hint="with flat priors the slope has a posterior from three trials on"
        )
    centre, scale, size = _start(s, t, vs, vt, c)
    slopes, ws = slopes_grid(centre, scale, points[0])
    taus, wt = _taus(size, prior, points[1])
    shape = (len(slopes), len(taus))
    density, middle, spread = np.empty(shape), np.empty(shape), np.empty(shape)
    kernel.daniels_grid(s, t, vs, vt, c, slopes, taus, density, middle, spread)
    density += prior.log_density(taus)
    weight = np.exp(density - density.max()) * ws[:, None] * wt
    return Posterior(prior, slopes, taus, weight / weight.sum(), middle, spread, len(s))


@dataclass(frozen=True, eq=False)
class ClassSlope:
    """The slope of one class of drugs: alone and pooled with the others, each a mean and the ends of a 95 %
    interval."""

    name: str
    trials: int
    alone: tuple[float, float, float] | None
    pooled: tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Classes:
    """Slopes of several classes, drawn towards each other as far as they agree.

    common : mean and 95 % interval of the mean of slopes. spread : median and 95 % interval of their standard deviation
    between classes.
    """

    classes: tuple[ClassSlope, ...]
    common: tuple[float, float, float]
    spread: tuple[float, float, float]
    share_exchangeable: float

    def to_sentence(self) -> str:
        """The common slope and its spread."""
        a, b = self.common, self.spread
        return (
            f"Common slope over {len(self.classes)} classes {a[0]:.3g} ({a[1]:.3g} to {a[2]:.3g}); standard deviation "
            f"between classes {b[0]:.3g} ({b[1]:.3g} to {b[2]:.3g})."
        )


def _told(points: FloatArray, weight: FloatArray) -> tuple[float, float, float]:
    return float(weight @ points), _quantile(points, weight, 0.025), _quantile(points, weight, 0.975)


def pooled_classes(
    s: FloatArray,
    t: FloatArray,
    vs: FloatArray,
    vt: FloatArray,
    c: FloatArray,
    classes: Sequence[object],
    *,
    prior: Prior | None = None,
    between: float | None = None,
    exchangeable: float = 1.0,
) -> Classes:
    """Slopes by class with partial pooling (Papanikos et al. 2020): each class has an intercept, a slope and a tau.

    between : scale of the half-normal prior of the standard deviation of slopes between classes; default the size of
    the slope over all trials. exchangeable : prior probability that a class' slope belongs with the others (1: full
    exchangeability; less: partial, else its prior is flat over ten times that range).

    Raises :class:`EstimationError` for fewer than two classes, or an option out of range.
    """
    prior = prior or Prior()
    names = list(dict.fromkeys(classes))
    if len(names) < 2 or len(s) < 3:
        raise EstimationError(f"{len(names)} class(es), {len(s)} trials", hint="partial pooling needs two classes")
    if not 0.0 < exchangeable <= 1.0:
        raise EstimationError(f"exchangeable = {exchangeable!r}", hint="give a probability above 0, at most 1")
    member: list[BoolArray] = [np.array([k == name for k in classes], np.bool_) for name in names]
    centre, scale, size = _start(s, t, vs, vt, c)
    between = between if between is not None else max(abs(centre), scale)
    if not between > 0.0:
        raise EstimationError(f"between = {between!r}", hint="give a scale above 0")
    points, ws = slopes_grid(centre, max(scale, between), 241)
    taus, wt = _taus(size, prior)
    density, middle, spread = (np.empty((len(points), len(taus))) for _ in range(3))
    likelihoods = []
    for rows in member:
        pick = [np.ascontiguousarray(v[rows]) for v in (s, t, vs, vt, c)]
        kernel.daniels_grid(*pick, points, taus, density, middle, spread)
        whole = density + prior.log_density(taus)
        top = whole.max()
        likelihoods.append((np.exp(whole - top) * wt).sum(axis=1))  # of the slope, over intercept and tau
    nodes, weights = np.polynomial.legendre.leggauss(24)
    angle = 0.25 * math.pi * (nodes + 1.0)
    xis = between * np.tan(angle) * 0.999 + 1e-3 * between
    xi_weight = between / np.cos(angle) ** 2 * weights * np.exp(-0.5 * (xis / between) ** 2)
    wide = math.exp(-0.0) / (20.0 * between)
    joint = np.zeros((len(points), len(xis)))  # of the common slope and the spread
    kernels = []
    for j, xi in enumerate(xis):
        gap = (points[:, None] - points[None, :]) / xi  # class slope, common slope
        near = np.exp(-0.5 * gap**2) / (xi * math.sqrt(2.0 * math.pi)) * exchangeable
        near += (1.0 - exchangeable) * wide * (np.abs(points[:, None] - points[None, :]) < 10.0 * between)
        marginal = [(like * ws) @ near for like in likelihoods]
        kernels.append((near, marginal))
        joint[:, j] = ws * xi_weight[j] * np.prod(marginal, axis=0)
    joint /= joint.sum()
    made = []
    for k, name in enumerate(names):
        post = np.zeros(len(points))
        for j, (near, marginal) in enumerate(kernels):
            ratio = np.where(marginal[k] > 0.0, joint[:, j] / np.where(marginal[k] > 0.0, marginal[k], 1.0), 0.0)
            post += likelihoods[k] * ws * (near @ ratio)
        post /= post.sum()
        own = likelihoods[k] * ws
        alone = _told(points, own / own.sum()) if member[k].sum() >= 3 else None
        made.append(ClassSlope(str(name), int(member[k].sum()), alone, _told(points, post)))
    spread_of = joint.sum(axis=0)
    order = np.argsort(xis)
    told = tuple(_quantile(xis[order], spread_of[order], q) for q in (0.5, 0.025, 0.975))
    return Classes(tuple(made), _told(points, joint.sum(axis=1)), (told[0], told[1], told[2]), exchangeable)
