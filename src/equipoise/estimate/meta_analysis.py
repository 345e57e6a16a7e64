"""Random-effects meta-analysis of published estimates, exactly: normal, normal, a half-normal spread.

Estimates ``y_i`` with standard errors ``s_i`` of values ``theta_i`` that are themselves normal about ``mu`` with
standard deviation ``tau``:

    y_i ~ N(theta_i, s_i^2),   theta_i ~ N(mu, tau^2),   tau ~ half-normal(scale),   mu ~ flat or N(m, d^2).

Given tau all else is normal, and tau is integrated by Gauss-Legendre panels; posteriors of ``mu``, of each ``theta_i``
and of a new one are mixtures of normals, a component a node. The last is the **meta-analytic predictive prior** of the
value in a new trial (Neuenschwander et al. 2010, Clin Trials 7:5); with a share of a vague component it is robust: data
that contradict it take over (Schmidli et al. 2014, Biometrics 70:1023).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from equipoise.errors import EstimationError
from equipoise.estimate.fit import Fit
from equipoise.estimate.mixture import NormalMixture
from equipoise.estimate.result import Estimate
from equipoise.types import FloatArray

ESTIMATOR = "random-effects meta-analysis, half-normal tau"
_NODES, _GROWTH, _TAIL = 16, 1.4, 9.0


@dataclass(frozen=True, eq=False)
class MetaAnalysis(Fit):
    """The posterior of a random-effects meta-analysis.

    names : of the trials. values, ses : (trial,) as given. taus, tau_weights : (node,) the posterior of tau. mean :
    of ``mu``. predictive : of the value in a new trial, the meta-analytic predictive prior. trials : of each trial's
    own value. log_evidence : log density of the estimates (with a flat ``mu`` up to a constant).
    """

    names: tuple[str, ...]
    values: FloatArray
    ses: FloatArray
    tau_scale: float
    taus: FloatArray
    tau_weights: FloatArray
    mean: NormalMixture
    predictive: NormalMixture
    trials: tuple[NormalMixture, ...]
    log_evidence: float
    level: float = 0.95

    def tau_quantile(self, q: float) -> float:
        """A quantile of tau: between nodes, linear in the distribution function."""
        total = np.concatenate([[0.0], np.cumsum(self.tau_weights) - 0.5 * self.tau_weights, [1.0]])
        return float(np.interp(q, total, np.concatenate([[0.0], self.taus, [self.taus[-1]]])))

    @property
    def tau(self) -> float:
        """The posterior mean of the spread between trials."""
        return float(self.tau_weights @ self.taus)

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """The mean over trials, the spread between them, and the value in a new trial."""
        tail = (1.0 - self.level) / 2.0
        spread = math.sqrt(float(self.tau_weights @ (self.taus - self.tau) ** 2))
        ends = (self.tau_quantile(tail), self.tau_quantile(1.0 - tail))
        rows = (
            ("mean over trials", self.mean.mean, self.mean.sd, self.mean.interval(self.level)),
            ("SD between trials (tau)", self.tau, spread, ends),
            ("a new trial", self.predictive.mean, self.predictive.sd, self.predictive.interval(self.level)),
        )
        return tuple(
            Estimate(
                name=name,
                estimator=ESTIMATOR,
                estimate=value,
                se=se,
                df=math.inf,
                low=low,
                high=high,
                p=math.nan,
                n=len(self.names),
                level=self.level,
                form="description",
            )
            for name, value, se, (low, high) in rows
        )

    def at_level(self, level: float) -> tuple[Estimate, ...]:
        """The estimates with posterior intervals of probability ``level``."""
        from dataclasses import replace

        if not 0.0 < level < 1.0:
            raise EstimationError(f"level = {level!r}", hint="give a coverage between 0 and 1, e.g. 0.95")
        return replace(self, level=level).estimates

    def robust(self, *, sd: float, share: float = 0.2, mean: float | None = None) -> NormalMixture:
        """The predictive prior with a ``share`` of a vague normal component.

        sd : of the vague component, for instance that of one patient's value. mean : its centre; default that of the
        predictive prior.
        """
        if not (math.isfinite(sd) and sd > 0.0):
            raise EstimationError(f"sd {sd!r}", hint="give the SD of the vague component, above 0")
        centre = self.predictive.mean if mean is None else mean
        return self.predictive.mixed(NormalMixture.normal(centre, sd), share)

    def _facts(self) -> tuple[tuple[str, str], ...]:
        return (("trials", str(len(self.names))), ("prior of tau", f"half-normal, scale {self.tau_scale:g}"))


def meta_analysis(
    estimates: Sequence[float],
    ses: Sequence[float],
    *,
    tau_scale: float,
    mean_prior: tuple[float, float] | None = None,
    names: Sequence[str] | None = None,
    level: float = 0.95,
) -> MetaAnalysis:
    """The mean over trials, their spread, and the value in a new trial, from published estimates.

    Parameters
    ----------
    estimates, ses : (trial,) with their standard errors, all on one scale (ratios as logarithms). tau_scale : of the
    half-normal prior of the spread between trials, in the same units. mean_prior : mean and SD of a normal prior of the
    mean over trials; default a flat one. names : of the trials. level : of the intervals.

    Raises
    ------
    EstimationError : no trial (or none and a flat prior), a standard error that is not above 0, numbers that do not
    match.

    Examples
    --------
    >>> made = meta_analysis([28, 8, -3, 7, -1, 1, 18, 12], [15, 10, 16, 11, 9, 11, 10, 18], tau_scale=10)
    >>> print(made)
    random-effects meta-analysis, half-normal tau
    trials        8
    prior of tau  half-normal, scale 10
    <BLANKLINE>
                             estimate  std. error          95 % CI  n
    mean over trials            7.860       4.673  -1.270 to 17.12  8
    SD between trials (tau)     4.844       3.748  0.1885 to 13.99  8
    a new trial                 7.860       7.704  -7.716 to 23.82  8
    """
    y, s = (np.atleast_1d(np.asarray(x, dtype=np.float64)) for x in (estimates, ses))
    if y.ndim != 1 or y.shape != s.shape:
        raise EstimationError(f"{y.size} estimates and {s.size} standard errors", hint="give one of each a trial")
    if not (np.isfinite(y).all() and np.isfinite(s).all() and (s > 0.0).all()):
        raise EstimationError("an estimate is not finite, or a standard error not above 0", hint="leave that trial out")
    if not (math.isfinite(tau_scale) and tau_scale > 0.0):
        raise EstimationError(f"tau_scale {tau_scale!r}", hint="give the scale of the half-normal prior, above 0")
    if mean_prior is not None and not (math.isfinite(mean_prior[0]) and 0.0 < mean_prior[1] < math.inf):
        raise EstimationError(
            f"mean_prior {mean_prior!r}", hint="give a mean and an SD above 0, or None for a flat one"
        )
    if not len(y) and mean_prior is None:
        raise EstimationError("no trial", hint="give one, or a prior of the mean")
    called = tuple(names) if names is not None else tuple(f"trial {k + 1}" for k in range(len(y)))
    if len(called) != len(y):
        raise EstimationError(f"{len(called)} names for {len(y)} trials", hint="give one a trial")
    taus, nodes = _panels(tau_scale, float(s.min()) if len(s) else tau_scale)
    w = 1.0 / (s[None, :] ** 2 + taus[:, None] ** 2)  # (node, trial)
    centre, precision = (0.0, 0.0) if mean_prior is None else (mean_prior[0], mean_prior[1] ** -2)
    whole = w.sum(axis=1) + precision
    mean = ((w * y).sum(axis=1) + precision * centre) / whole
    misfit = (w * (y - mean[:, None]) ** 2).sum(axis=1) + precision * (mean - centre) ** 2
    log = 0.5 * (np.log(w).sum(axis=1) - len(y) * math.log(2.0 * math.pi) - np.log(whole) - misfit)
    log += 0.5 * math.log(2.0 * math.pi) if mean_prior is None else -math.log(mean_prior[1])
    log += 0.5 * math.log(2.0 / math.pi) - math.log(tau_scale) - 0.5 * (taus / tau_scale) ** 2 + np.log(nodes)
    top = float(log.max())
    weight = np.exp(log - top)
    evidence = top + math.log(weight.sum())
    weight /= weight.sum()
    spread = np.sqrt(1.0 / whole)
    own = []
    for k in range(len(y)):
        # theta given tau and mu is normal about a mean that is linear in mu, and mu given tau is normal
        pull = taus**2 * w[:, k]
        own.append(
            NormalMixture.of(
                weight, pull * y[k] + (1.0 - pull) * mean, np.sqrt(pull * s[k] ** 2 + ((1.0 - pull) * spread) ** 2)
            )
        )
    return MetaAnalysis(
        names=called,
        values=y,
        ses=s,
        tau_scale=tau_scale,
        taus=taus,
        tau_weights=weight,
        mean=NormalMixture.of(weight, mean, spread),
        predictive=NormalMixture.of(weight, mean, np.hypot(spread, taus)),
        trials=tuple(own),
        log_evidence=evidence,
        level=level,
    )


def _panels(scale: float, smallest: float) -> tuple[FloatArray, FloatArray]:
    """(node,) taus and weights of an integral from 0 to where a half-normal prior has nothing left."""
    end = _TAIL * scale
    edges = [0.0, min(1e-2 * smallest, 1e-2 * scale)]
    while edges[-1] < end:
        edges.append(min(edges[-1] * _GROWTH, end))
    x, w = np.polynomial.legendre.leggauss(_NODES)
    low, half = np.array(edges[:-1]), np.diff(edges) / 2.0
    return (low[:, None] + half[:, None] * (1.0 + x)).ravel(), (half[:, None] * w).ravel()
