"""One disease rate ratio for function and survival, by likelihood.

    y_ij = b_0i + x_i' beta_0 + (r_i x_i' beta_1 + b_1i) t_ij + e_ij,
    h_i(t) = h0(t) r_i exp(w_i' gamma),   r_i = DRR^A_i

The disease of active patients runs at DRR times its rate: both the mean slope of function and the hazard are multiplied
by it. With ``rates="patients"`` every patient's own slope is, r_i (x_i' beta_1 + b_1i): more power where that is true,
but then how much slopes differ within arms tells of the ratio too, and where they have longer tails than the normal the
standard error is too small. It is the idea of the HEALEY platform trial (Quintana et al. 2023, Ann Neurol 94:547),
whose model is Bayesian and shares controls between regimens; here it is fitted by likelihood. Whether one ratio does
for both is tested against a ratio each.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy import stats

from equipoise.errors import EstimationError
from equipoise.estimate.joint_model.bayes import RatePosterior, posterior
from equipoise.estimate.joint_model.likelihood import CategoryRows, JointLikelihood, Layout, MarkerSums, Nodes
from equipoise.estimate.joint_model.maximised import Maximised
from equipoise.estimate.joint_model.model import check_data
from equipoise.estimate.joint_model.optimise import Optimum, covariance_of, failed, maximise, start
from equipoise.estimate.joint_model.setup import Setup, set_up
from equipoise.estimate.result import Estimate, check_level
from equipoise.types import BoolArray, FloatArray, Status

ESTIMATOR = "shared disease rate ratio, maximum likelihood"
RUNAWAY = math.log(100.0)
"""A ratio beyond 100, or below 1 / 100, is none: the likelihood rises to where one arm has no disease at all."""
REFERENCES = ("Quintana M, Saville BR, Vestrucci M, et al. Annals of Neurology 2023;94:547-560",)


@dataclass(frozen=True, eq=False)
class RatioLayout(Layout):
    """A layout with a further parameter at the end: how much the log ratio of function is above that of the hazard."""

    @cached_property
    def size(self) -> int:
        return super().size + 1


@dataclass(eq=False)
class RatioLikelihood(JointLikelihood):
    """The likelihood in which gamma of the arm also scales time in the course of active patients.

    active (unit,) : of whom the slope is scaled. by_time, z_by_time : columns of x and z that are multiples of time.
    """

    active: FloatArray = field(kw_only=True)
    by_time: BoolArray = field(kw_only=True)
    z_by_time: BoolArray = field(kw_only=True)
    plain: MarkerSums = field(kw_only=True)

    def evaluate(self, theta: FloatArray, k: Nodes, *, scores: bool = True) -> tuple[FloatArray, FloatArray]:
        """As the joint model's; without association two nodes are exact, whatever ``k``."""
        lay = self.layout
        log_ratio = float(theta[lay.gammas.start] + theta[-1])
        ratio = np.exp(np.clip(log_ratio, -20.0, 20.0) * self.active)
        sums, u = self.plain, np.where(self.by_time, 1.0, 0.0)
        sx = np.where(self.by_time, ratio[:, None], 1.0)
        sz = np.where(self.z_by_time, ratio[:, None], 1.0)
        scaled = MarkerSums(
            sums.columns,
            sums.n,
            sums.yy,
            sums.xy * sx,
            sums.zy * sz,
            sums.xx * sx[:, :, None] * sx[:, None, :],
            sums.zx * sz[:, :, None] * sx[:, None, :],
            sums.zz * sz[:, :, None] * sz[:, None, :],
        )
        self.markers = (scaled,)
        ll, out = super().evaluate(theta, 2, scores=scores)
        if not scores:
            return ll, out
        beta, s2 = theta[lay.beta(0)], math.exp(2.0 * theta[lay.log_sigma(0)])
        eb, ebb = self.eb, self.ebb
        own, moved = beta * u, eb * self.z_by_time
        by_ratio = scaled.xy @ own + (scaled.zy * moved).sum(axis=1)
        by_ratio -= np.einsum("npq,p,q->n", scaled.xx, beta, own) + ((scaled.zx @ beta) * moved).sum(axis=1)
        by_ratio -= (eb * (scaled.zx @ own)).sum(axis=1)
        by_ratio -= np.einsum("nrs,nrs,s->n", scaled.zz, ebb, self.z_by_time.astype(np.float64))
        by_ratio *= self.active / s2
        out[:, lay.gammas.start] += self._by_patient(by_ratio)
        out[:, -1] = self._by_patient(by_ratio)
        return ll, out

    def gradient(self, theta: FloatArray, k: Nodes) -> FloatArray:
        return np.asarray(self.evaluate(theta, k)[1].sum(axis=0))


def ratio_likelihood(
    model: JointLikelihood, active: FloatArray, by_time: BoolArray, z_by_time: BoolArray
) -> RatioLikelihood:
    """The likelihood with a shared ratio, from that of a model without association whose first gamma is the arm."""
    lay = model.layout
    plain = model.markers[0]
    if isinstance(plain, CategoryRows):
        raise EstimationError("a ratio of rates of a category", hint="the disease rate ratio is of a measured marker")
    return RatioLikelihood(
        RatioLayout(lay.p, lay.d, lay.gamma, lay.alpha, lay.psi),
        model.markers,
        model.risk,
        model.events,
        model.patient,
        model.sign,
        model.n_patients,
        active=active[model.patient],
        by_time=by_time,
        z_by_time=z_by_time,
        plain=plain,
    )


def maximise_ratio(model: RatioLikelihood, begin: FloatArray, *, apart: bool) -> Optimum:
    """The maximum with one ratio, or with one each for function and hazard."""
    free = np.ones(model.layout.size, np.bool_)
    free[-1] = apart
    found = maximise(model, begin, free=free, tolerance=math.inf)
    survival = float(found.theta[model.layout.gammas.start])
    ended = found.status in (Status.OK, Status.NOT_CONVERGED)
    if ended and max(abs(survival), abs(survival + float(found.theta[-1]))) > RUNAWAY:
        why = (
            f"not estimable: the ratio runs off (it was at {math.exp(survival):.3g}): nearly all events are in one arm"
        )
        return replace(found, status=Status.BOUNDARY, reason=why)
    return found


@dataclass(eq=False)
class RateRatioFit(Maximised):
    """A disease rate ratio; ``apart`` is the fit with a ratio each for function and survival."""

    formula: str
    events: str
    setup: Setup
    likelihood: RatioLikelihood = field(repr=False)
    optimum: Optimum
    apart: Optimum
    vcov: FloatArray = field(repr=False)
    arms: tuple[str, str]
    level: float = 0.95
    estimand: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Of the parameters; the first of the hazard is the logarithm of the ratio."""
        return (*self.setup.names, "log ratio of function above that of survival")

    @property
    def ratio(self) -> Estimate:
        """The disease rate ratio: below 1 the disease of active patients is slower."""
        j = self.setup.layout.gammas.start
        return self._one("disease rate ratio", self.theta[j], float(self.vcov[j, j]), self.optimum)

    def _one(self, name: str, value: float, variance: float, of: Optimum) -> Estimate:
        return Estimate.from_t(
            f"{name}, {self.arms[1]} / {self.arms[0]}",
            ESTIMATOR,
            float(value),
            math.sqrt(max(variance, 0.0)),
            math.inf,
            self.n,
            level=self.level,
            ratio=True,
            scale="disease rate ratio",
            status=of.status,
            detail=None if of.status is Status.OK else of.reason or None,
            estimand=self.estimand,
            references=REFERENCES,
            term=name,
            contrast=f"{self.arms[1]} / {self.arms[0]}",
        )

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """The shared ratio, and that of function and of survival alone."""
        j = self.setup.layout.gammas.start
        if self.apart.status is Status.OK:
            own = covariance_of(self.apart, False)
            at = np.zeros(len(self.theta))
            at[[j, -1]] = 1.0
            function = float(at @ self.apart.theta), float(at @ own @ at)
            survival = float(self.apart.theta[j]), float(own[j, j])
        else:
            function = survival = math.nan, math.nan
        return (
            self.ratio,
            self._one("of function alone", *function, self.apart),
            self._one("of survival alone", *survival, self.apart),
        )

    def homogeneity(self) -> Estimate:
        """The likelihood ratio test that one ratio does for function and survival."""
        name = "one ratio for function and survival"
        for of in (self.optimum, self.apart):
            if of.status is not Status.OK:
                return Estimate.of_test(
                    name, "likelihood ratio on 1 df", math.nan, self.n, status=of.status, detail=of.reason
                )
        value = max(2.0 * (self.apart.loglik - self.loglik), 0.0)
        return Estimate.of_test(
            name, "likelihood ratio on 1 df", float(stats.chi2.sf(value, 1)), self.n, statistic=value
        )

    def probability_below(self, ratio: float = 1.0) -> float:
        """The probability that the ratio is below ``ratio``: the posterior under a flat prior, taken as normal."""
        j = self.setup.layout.gammas.start
        return float(stats.norm.cdf((math.log(ratio) - self.theta[j]) / math.sqrt(self.vcov[j, j])))

    def posterior(
        self,
        *,
        prior_sd: float = 1.0,
        draws: int = 1000,
        warmup: int = 500,
        chains: int = 4,
        seed: int = 0,
        level: float | None = None,
    ) -> RatePosterior:
        """The posterior of the ratio under a normal prior of its logarithm, mean 0 and SD ``prior_sd``, by numpyro.

        Raises :class:`EstimationError` where numpyro is not installed, with the command that installs it.
        """
        return posterior(
            self,
            prior_sd=prior_sd,
            draws=draws,
            warmup=warmup,
            chains=chains,
            seed=seed,
            level=self.level if level is None else level,
        )

    def _title(self) -> str:
        return "Disease rate ratio, shared by function and survival"

    def _facts(self) -> Iterable[tuple[str, str]]:
        yield "marker", self.formula
        yield "events", self.events
        yield "patients", f"{self.n}, {int((self.setup.code > 0).sum())} events"
        if not self.converged:
            yield "status", self.reason
            return
        yield "log-likelihood", f"{self.loglik:.4f}; largest score {self.optimum.gradient:.1e}"
        test = self.homogeneity()
        if test.estimable:
            yield "one ratio for both", f"chi-square {test.statistic:.3f} on 1 df, p {test.p:.4f}"


def disease_rate_ratio(
    marker: str,
    events: str,
    data: Any,
    event_data: Any = None,
    *,
    knots: int | Sequence[float] | None = None,
    baseline: str = "piecewise",
    time: str | None = None,
    rates: str = "mean",
    robust: bool = False,
    level: float = 0.95,
    estimand: str | None = None,
) -> RateRatioFit:
    """One ratio by which treatment multiplies the slope of function and the hazard, by maximum likelihood.

    Parameters
    ----------
    marker : ``y ~ week + (week | id)``, without the arm: randomised arms begin alike, and the arm comes by the ratio.
        Covariates may change level and slope. Time enters as itself.
    events : ``Surv(time, event) ~ arm + covariates``, the arm first, of two values, the first level being control.
    rates : what the ratio multiplies, the ``mean`` slope, or each patient's own (``patients``), which also takes how
        much slopes differ within arms for a sign of the ratio. robust : the sandwich variance.
    data, event_data, knots, baseline, time : as in :func:`equipoise.estimate.joint_model.joint_model`.

    Returns
    -------
    RateRatioFit: the shared ratio, that of function and of survival alone, and ``homogeneity()``, whether one does.

    Raises
    ------
    EstimationError, DataError : a formula or a column cannot be used.

    Examples
    --------
    >>> import numpy as np, polars as pl
    >>> g = np.random.default_rng(1)
    >>> long, people = [], []
    >>> for i in range(200):
    ...     ratio, b = (1.0, 0.6)[i % 2], -0.4 + 0.15 * g.normal()
    ...     end = min(g.exponential(60.0 / ratio), 48.0)
    ...     people.append((i, end, float(end < 48.0), "cd"[i % 2]))
    ...     start = 38.0 + 4.0 * g.normal()
    ...     long += [(i, t, start + b * ratio * t + 2.0 * g.normal()) for t in range(0, int(end) + 1, 8)]
    >>> marker = pl.DataFrame(long, schema=["id", "week", "y"], orient="row")
    >>> events = pl.DataFrame(people, schema=["id", "time", "event", "arm"], orient="row")
    >>> fit = disease_rate_ratio("y ~ week + (week | id)", "Surv(time, event) ~ arm", marker, events)
    >>> 0.45 < fit.ratio.estimate < 0.75
    True
    """
    check_level(level)
    setup = set_up(
        marker,
        events,
        data,
        event_data,
        association=None,
        baseline=baseline,
        knots=knots,
        time=time,
        censored=None,
        points=None,
    )
    active, arms, column = _active(setup)
    if rates not in ("mean", "patients"):
        raise EstimationError(f"unknown rates {rates!r}", hint="choose mean or patients")
    by_time, z_by_time = _by_time(setup, column)
    if rates == "mean":
        z_by_time = np.zeros_like(z_by_time)
    model = ratio_likelihood(setup.likelihood(), active, by_time, z_by_time)
    wrong = check_data(setup, model, column, np.ones(model.layout.size, np.bool_), shared=True)
    if wrong is not None:
        lost = failed(model.layout.size, *wrong)
        return RateRatioFit(
            marker, events, setup, model, lost, lost, np.full((model.layout.size,) * 2, math.nan), arms, level, estimand
        )
    optimum = maximise_ratio(model, _begin(model), apart=False)
    alone = check_data(setup, model, column, np.ones(model.layout.size, np.bool_))
    if alone is not None:
        other = failed(model.layout.size, *alone)
    elif optimum.status is Status.OK:
        other = maximise_ratio(model, optimum.theta, apart=True)
    else:
        other = replace(optimum)
    return RateRatioFit(
        marker, events, setup, model, optimum, other, covariance_of(optimum, robust), arms, level, estimand
    )


def _begin(model: RatioLikelihood) -> FloatArray:
    model.markers = (model.plain,)
    theta = start(model)
    theta[model.layout.gammas.start] = np.clip(theta[model.layout.gammas.start], -1.0, 1.0)
    return theta


def _active(setup: Setup) -> tuple[FloatArray, tuple[str, str], str]:
    """(patient,) 1 for the active arm, how the arms are called, and the column."""
    terms = [t for t in setup.hazard.terms if t.name != "(Intercept)"]
    hint = "write Surv(time, event) ~ arm + ..., the arm first, of two values"
    if not terms or len(terms[0].factors) != 1:
        raise EstimationError("the hazard has no arm", hint=hint)
    factor = terms[0].factors[0]
    name = factor.variables[0]
    column = setup.hazard.columns[name]
    values = column.values if column.levels is not None else column.numbers
    found = np.unique(values)
    if len(terms[0].names) != 1 or len(found) > 2:
        raise EstimationError(f"{name!r} has {len(found)} values", hint=hint)
    labels = column.levels if column.levels is not None else [f"{v:g}" for v in found]
    first = np.unique(setup.row_of, return_index=True)[1]
    arms = (str(labels[0]), str(labels[-1]))
    return np.asarray((values[first] == found[-1]).astype(np.float64)), arms, name


def _by_time(setup: Setup, arm: str) -> tuple[BoolArray, BoolArray]:
    """Columns of the marker's designs that are multiples of time; raises where time enters otherwise."""
    marker = setup.markers[0]
    out = []
    for design in (marker.fixed, marker.random):
        columns = np.zeros(len(design.names), np.bool_)
        for term in design.terms:
            inside = [f for f in term.factors if marker.time_name in f.variables]
            if any(arm in f.variables for f in term.factors):
                raise EstimationError(
                    "the arm in the formula of the marker", hint="leave it out: the ratio is its effect"
                )
            if any(f.spec.name != marker.time_name for f in inside) or len(inside) > 1:
                raise EstimationError(
                    f"{term.name} in the formula of the marker",
                    hint="time enters as itself: the rate is what is scaled",
                )
            columns[term.columns] = bool(inside)
        out.append(columns)
    if not out[0].any():
        raise EstimationError("time is not in the formula of the marker", hint="write y ~ week + (week | id)")
    return out[0], out[1]
