"""Is a marker a surrogate, over many trials? Summary rows in, the trial-level picture out.

A row is a trial: its effects on the surrogate and on the true endpoint, their standard errors, and the correlation of
their errors within the trial where it is known. Equations and sources in ``docs/methods/surrogacy.md``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from scipy import special

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.columns import numbers
from equipoise.estimate.fit import Fit
from equipoise.estimate.frames import read_frame, require, values_of
from equipoise.estimate.left_out import NOBODY, LeftOut, Sieve
from equipoise.estimate.result import Estimate, check_level
from equipoise.surrogate.daniels import DANIELS, Classes, Posterior, Prior, pooled_classes, posterior
from equipoise.surrogate.kernels import bivariate as kernel
from equipoise.surrogate.threshold import BURZYKOWSKI, Line, Threshold, threshold_of
from equipoise.surrogate.verdict import IQWIG, LEAST_TRIALS, Verdict, judge
from equipoise.types import FloatArray, Status

HOUWELINGEN = "van Houwelingen, Arends & Stijnen 2002, Stat Med 21:589"
KNAPP = "Knapp & Hartung 2003, Stat Med 22:2693"
EDGE = 1.0 - 1e-3
"""A correlation beyond it, in absolute value, lies on the edge of what is possible."""
WITHIN = (-0.8, -0.4, 0.0, 0.4, 0.8)
"""Within-trial correlations that are gone through where it is not known."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Summary rows (trial,): effects and variances on surrogate and true endpoint, covariance of their errors."""

    names: tuple[str, ...]
    s: FloatArray
    t: FloatArray
    vs: FloatArray
    vt: FloatArray
    c: FloatArray

    def __len__(self) -> int:
        return len(self.s)

    def without(self, k: int) -> Rows:
        """The rows but one."""
        keep = np.arange(len(self)) != k
        names = tuple(n for i, n in enumerate(self.names) if i != k)
        return Rows(names, *(np.ascontiguousarray(v[keep]) for v in self.arrays))

    def correlated(self, r: float) -> Rows:
        """The same rows with a within-trial correlation of ``r``."""
        return Rows(self.names, self.s, self.t, self.vs, self.vt, r * np.sqrt(self.vs * self.vt))

    @property
    def arrays(self) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
        return self.s, self.t, self.vs, self.vt, self.c


@dataclass(frozen=True, eq=False)
class Bivariate:
    """A bivariate random-effects fit: means and their covariance (surrogate, true), standard deviations between trials,
    their correlation, the log likelihood; NaN where ``status`` is neither OK nor BOUNDARY.
    """

    mean: FloatArray
    cov: FloatArray
    sd: tuple[float, float]
    rho: float
    loglik: float
    reml: bool
    status: Status
    detail: str | None = None

    @property
    def slope(self) -> float:
        """Of the true effects on the true endpoint on those on the surrogate."""
        return self.rho * self.sd[1] / self.sd[0] if self.sd[0] > 0.0 else math.nan

    @property
    def intercept(self) -> float:
        return float(self.mean[1] - self.slope * self.mean[0])


def fit_rows(rows: Rows, reml: bool = True) -> Bivariate:
    """The bivariate random-effects model of rows, with a status and a reason where it cannot be told."""
    nan = math.nan
    none = np.full(2, nan), np.full((2, 2), nan), (nan, nan), nan, nan, reml
    k = len(rows)
    if k == 0:
        return Bivariate(*none, Status.NO_DATA, "no trial has both effects with their standard errors")
    if k < 3:
        word = "one trial" if k == 1 else "two trials"
        return Bivariate(*none, Status.NOT_IDENTIFIED, f"{word}: a correlation of effects takes three or more")
    for value, what in ((rows.s, "surrogate"), (rows.t, "true endpoint")):
        if np.ptp(value) <= 1e-12 * max(1.0, float(np.abs(value).max())):
            return Bivariate(*none, Status.NO_VARIANCE, f"all effects on the {what} are equal")
    out, mean, cov = np.empty(4), np.empty(2), np.empty((2, 2))
    kernel.fit_bivariate(*rows.arrays, reml, out, mean, cov)
    sd_s, sd_t, rho, loglik = (float(v) for v in out)
    if not loglik > -1e299:
        return Bivariate(*none, Status.NOT_CONVERGED, "the likelihood has no maximum")
    typical = math.sqrt(float(rows.vs.mean())), math.sqrt(float(rows.vt.mean()))
    if math.isnan(rho) or sd_s < 1e-3 * typical[0] or sd_t < 1e-3 * typical[1]:
        flat = "surrogate" if sd_s < 1e-3 * typical[0] or (math.isnan(rho) and sd_s <= sd_t) else "true endpoint"
        why = (
            f"no spread of true effects on the {flat} beyond their standard errors: their correlation is not identified"
        )
        return Bivariate(mean, cov, (sd_s, sd_t), nan, loglik, reml, Status.NOT_IDENTIFIED, why)
    if abs(rho) > EDGE:
        why = f"the likelihood is largest at a correlation of {math.copysign(1, rho):.0f}, the edge of what is possible"
        return Bivariate(mean, cov, (sd_s, sd_t), rho, loglik, reml, Status.BOUNDARY, why)
    return Bivariate(mean, cov, (sd_s, sd_t), rho, loglik, reml, Status.OK)


def rho_limits(rows: Rows, fit: Bivariate, level: float) -> tuple[float, float]:
    """Ends of the profile-likelihood interval of the between-trial correlation; -1 and 1 where the walls are
    reached."""
    if fit.status is Status.NOT_IDENTIFIED and fit.loglik == fit.loglik:
        return -1.0, 1.0
    if fit.status not in (Status.OK, Status.BOUNDARY):
        return math.nan, math.nan
    out = np.empty(2)
    drop = 0.5 * float(special.chdtri(1, 1.0 - level))
    kernel.profile_limits(*rows.arrays, fit.reml, fit.loglik, fit.rho, np.array(fit.sd), drop, out)
    return float(out[0]), float(out[1])


@dataclass(frozen=True)
class LeftOneOut:
    """One trial predicted from the others: its effect on the true endpoint as observed, as predicted, and the interval
    in which it was to be expected, its own error included. covered, same_sign : what came of it.
    """

    trial: str
    observed: float
    predicted: float
    low: float
    high: float
    correlation: float
    reason: str | None = None

    @property
    def covered(self) -> bool | None:
        return None if self.reason else self.low <= self.observed <= self.high

    @property
    def same_sign(self) -> bool | None:
        return None if self.reason else (self.observed > 0.0) == (self.predicted > 0.0)


@dataclass(frozen=True, eq=False)
class TrialSurrogacy(Fit):
    """Effects of many trials, and how well those on the surrogate foretell those on the true endpoint.

    rows : what entered. fit : the bivariate random-effects model. interval : of its correlation at ``level``, by
    profile likelihood. known : whether the within-trial correlation was given. posteriors : Daniels & Hughes' model
    under the prior asked for, half and twice its scale. ols, wls : the regressions that make no allowance for
    estimation error.
    """

    rows: Rows
    surrogate: str
    true: str
    fit: Bivariate
    interval: tuple[float, float]
    known: bool
    posteriors: tuple[Posterior, ...]
    ratio: bool
    level: float = 0.95
    classes: tuple[str, ...] = ()
    left_out: LeftOut = NOBODY
    backend: Any = field(default=None, repr=False)
    picture: ClassVar[str] = "trial_effects"

    @cached_property
    def line(self) -> Line | None:
        """The random-effects regression with Knapp & Hartung's variance (never below 1), errors of S not allowed
        for."""
        if len(self.rows) < 3 or self.fit.status in (Status.NO_VARIANCE, Status.NO_DATA):
            return None
        out, cov = np.empty(4), np.empty((2, 2))
        kernel.meta_regression(self.rows.s, self.rows.t, self.rows.vt, out, cov)
        scale = max(1.0, float(out[3]))
        return Line(
            float(out[0]),
            float(out[1]),
            cov * scale,
            max(float(out[2]), 0.0),
            float(len(self.rows) - 2),
            "random-effects regression, Knapp-Hartung variance; errors of the surrogate's effects not allowed for",
        )

    @cached_property
    def corrected_line(self) -> Line | None:
        """The regression of the bivariate model, its covariance by the delta method; None on the edge."""
        if self.fit.status is not Status.OK:
            return None
        return bivariate_line(self.rows, self.fit)

    @cached_property
    def uncorrected(self) -> dict[str, tuple[float, float, float]]:
        """Intercept, slope and R squared of least squares, plain (``ols``) and weighted by 1 / vT (``wls``).

        Not corrected for estimation error: with errors in the effects they say too little or too much.
        """
        if len(self.rows) < 3 or self.fit.status in (Status.NO_VARIANCE, Status.NO_DATA):
            return {}
        return {
            name: least_squares_line(self.rows.s, self.rows.t, w)
            for name, w in (("ols", np.ones(len(self.rows))), ("wls", 1.0 / self.rows.vt))
        }

    @cached_property
    def moments(self) -> tuple[float, bool]:
        """R squared by moments (covariance of effects less the mean sampling covariance), and whether it is possible.

        Values above 1 or from a negative variance are clipped to 0 to 1 and flagged.
        """
        if len(self.rows) < 3:
            return math.nan, False
        total = np.cov(np.vstack([self.rows.s, self.rows.t]))
        own = np.array([[self.rows.vs.mean(), self.rows.c.mean()], [self.rows.c.mean(), self.rows.vt.mean()]])
        b = total - own
        if b[0, 0] <= 0.0 or b[1, 1] <= 0.0:
            return math.nan, False
        r2 = float(b[0, 1] ** 2 / (b[0, 0] * b[1, 1]))
        return min(r2, 1.0), r2 <= 1.0

    @cached_property
    def riley(self) -> Bivariate | None:
        """The model with one correlation, of the effects as observed: it needs no within-trial correlation.

        Riley, Thompson & Abrams 2008, Biostatistics 9:172. Its correlation is not that of the true effects.
        """
        if len(self.rows) < 3 or self.fit.status in (Status.NO_VARIANCE, Status.NO_DATA):
            return None
        out, mean, cov = np.empty(4), np.empty(2), np.empty((2, 2))
        kernel.fit_riley(*self.rows.arrays[:4], self.fit.reml, out, mean, cov)
        edge = Status.BOUNDARY if abs(out[2]) > EDGE else Status.OK
        return Bivariate(
            mean,
            cov,
            (float(out[0]), float(out[1])),
            float(out[2]),
            float(out[3]),
            self.fit.reml,
            edge,
            "one correlation of the effects as observed",
        )

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """Mean effects, correlation, R squared, and the slope by three routes."""
        f, k, nan = self.fit, len(self.rows), math.nan
        model = f"bivariate random effects, {'REML' if f.reml else 'ML'}"
        out = []
        for i, what in enumerate((self.surrogate, self.true)):
            ok = f.status in (Status.OK, Status.BOUNDARY) or math.isfinite(f.mean[i])
            out.append(
                Estimate.from_t(
                    f"mean effect on {what}",
                    model,
                    float(f.mean[i]),
                    math.sqrt(f.cov[i, i]) if ok else nan,
                    math.inf,
                    k,
                    level=self.level,
                    scale="log ratio" if self.ratio and i else "difference",
                    status=Status.OK if ok else f.status,
                    detail=None if ok else f.detail,
                    references=(HOUWELINGEN,),
                    term=f"mean effect on {what}",
                )
            )
        low, high = self.interval
        squares = sorted((low * low, high * high))
        r2_low = 0.0 if low <= 0.0 <= high else squares[0]
        for name, value, ends in (
            ("between-trial correlation", f.rho, (low, high)),
            ("R squared, trial level", f.rho**2, (r2_low, squares[1])),
        ):
            detail = f.detail
            if f.status is Status.BOUNDARY:
                detail = f"{f.detail}; it cannot be told: correlations from {low:.2f} to {high:.2f} fit about as well"
            out.append(
                Estimate(
                    name,
                    f"{model}, profile likelihood",
                    nan if f.status is Status.BOUNDARY else value,
                    nan,
                    nan,
                    ends[0],
                    ends[1],
                    self._no_correlation,
                    k,
                    level=self.level,
                    scale="correlation" if "corr" in name else "share",
                    form="inverted",
                    status=f.status,
                    detail=detail,
                    references=(HOUWELINGEN,),
                    term=name,
                )
            )
        c = self.corrected_line
        out.append(
            Estimate.from_t(
                "slope",
                f"{model}, delta method",
                c.slope if c else nan,
                math.sqrt(c.cov[1, 1]) if c else nan,
                math.inf,
                k,
                level=self.level,
                scale="slope",
                status=Status.OK if c else f.status,
                detail=None if c else f.detail,
                references=(BURZYKOWSKI,),
                term="slope",
            )
        )
        line = self.line
        if line is not None:
            out.append(
                Estimate.from_t(
                    "slope, not corrected for errors of the surrogate's effects",
                    "REML regression, Knapp-Hartung",
                    line.slope,
                    math.sqrt(line.cov[1, 1]),
                    line.df,
                    k,
                    level=self.level,
                    scale="slope",
                    references=(KNAPP,),
                    term="slope (uncorrected)",
                )
            )
        for post in self.posteriors[:1]:
            mean, sd = post.slope
            tail = 0.5 - 0.5 * self.level
            out.append(
                Estimate(
                    "slope, Daniels & Hughes",
                    f"posterior by quadrature, tau {post.prior.kind} ({post.prior.scale:g})",
                    mean,
                    sd,
                    math.inf,
                    post.slope_quantile(tail),
                    post.slope_quantile(1.0 - tail),
                    nan,
                    k,
                    level=self.level,
                    scale="slope",
                    form="description",
                    references=(DANIELS,),
                    term="slope (posterior)",
                )
            )
        return tuple(out)

    def at_level(self, level: float) -> tuple[Estimate, ...]:
        """The estimates with intervals of coverage ``level``; the correlation's by profile likelihood anew."""
        check_level(level)
        return replace(self, interval=rho_limits(self.rows, self.fit, level), level=level).estimates

    @cached_property
    def _no_correlation(self) -> float:
        """P-value of the likelihood-ratio test of no correlation."""
        if self.fit.status not in (Status.OK, Status.BOUNDARY):
            return math.nan
        flat = kernel.profile(0.0, *self.rows.arrays, self.fit.reml, np.array(self.fit.sd))
        return float(special.chdtrc(1, max(2.0 * (self.fit.loglik - float(flat)), 0.0)))

    # --- what depends on what is not known ---------------------------------------------------------------------------

    def within(self, correlations: Sequence[float] = WITHIN) -> Any:
        """The results over within-trial correlations: a frame with one row each.

        Columns: within, rho, low, high, r2, slope (bivariate), slope_dh, status.
        """
        made: dict[str, list[Any]] = {
            k: [] for k in ("within", "rho", "low", "high", "r2", "slope", "slope_dh", "status")
        }
        for r in correlations:
            if not -1.0 < r < 1.0:
                raise EstimationError(f"within-trial correlation {r!r}", hint="give numbers between -1 and 1")
            rows = self.rows.correlated(r)
            fit = fit_rows(rows, self.fit.reml)
            low, high = rho_limits(rows, fit, self.level)
            dh = posterior(*rows.arrays, self.posteriors[0].prior).slope[0] if self.posteriors else math.nan
            for key, value in zip(
                made, (r, fit.rho, low, high, fit.rho**2, fit.slope, dh, fit.status.name.lower()), strict=True
            ):
                made[key].append(value)
        return self._frame(made)

    def priors(self) -> Any:
        """Slope and tau of Daniels & Hughes' model under half, once and twice the scale of the prior: a frame."""
        made: dict[str, list[Any]] = {k: [] for k in ("prior", "scale", "slope", "low", "high", "tau")}
        for post in self.posteriors:
            row = (
                post.prior.kind,
                post.prior.scale,
                post.slope[0],
                post.slope_quantile(0.025),
                post.slope_quantile(0.975),
                post.tau_quantile(0.5),
            )
            for key, value in zip(made, row, strict=True):
                made[key].append(value)
        return self._frame(made)

    # --- prediction --------------------------------------------------------------------------------------------------

    def threshold(
        self, *, surrogate_se: float = 0.0, true_se: float = 0.0, favours: str = "less", level: float | None = None
    ) -> Mapping[str, Threshold]:
        """The surrogate threshold effect, by route: ``regression``, ``bivariate``, ``daniels-hughes``.

        It is the smallest effect on the surrogate from which on the prediction interval of the effect on the true
        endpoint excludes none (Burzykowski & Buyse 2006).

        surrogate_se : of the next trial's effect on the surrogate, 0 for one without end. true_se : of its effect on
        the true endpoint, where the interval is to hold the effect as it will be estimated. favours : whether
        effects below (``less``) or above (``more``) none on the true endpoint are wanted.
        """
        level = self.level if level is None else level
        check_level(level)
        if favours not in ("less", "more"):
            raise EstimationError(f"favours = {favours!r}", hint="less or more")
        for name, value in (("surrogate_se", surrogate_se), ("true_se", true_se)):
            if not (math.isfinite(value) and value >= 0.0):
                raise EstimationError(f"{name} = {value!r}", hint="a standard error, 0 for a trial without end")
        made: dict[str, Threshold] = {}
        span = self._span
        for name, line in (("regression", self.line), ("bivariate", self.corrected_line)):
            if line is None:
                made[name] = Threshold(math.nan, level, favours, self.fit.detail or "there is no line")
                continue

            def ends(x: float, line: Line = line) -> tuple[float, float]:
                return line.interval(x, level, surrogate_se, true_se)

            made[name] = threshold_of(ends, line.slope, favours, level, span)
        if self.posteriors:
            post = self.posteriors[0]

            def wide(x: float) -> tuple[float, float]:
                return post.predict(x, level=level, se=surrogate_se, true_se=true_se)[1:]

            made["daniels-hughes"] = threshold_of(wide, post.slope[0], favours, level, span)
        return made

    @property
    def _span(self) -> tuple[float, float]:
        low, high = float(self.rows.s.min()), float(self.rows.s.max())
        reach = 3.0 * max(high - low, abs(low), abs(high), 1e-12)
        return min(low, 0.0) - reach, max(high, 0.0) + reach

    @cached_property
    def left_one_out(self) -> tuple[LeftOneOut, ...]:
        """Every trial predicted from the others by the bivariate model."""
        return tuple(leave_out(self.rows, k, self.fit.reml, self.level) for k in range(len(self.rows)))

    def left_one_out_frame(self) -> Any:
        """:attr:`left_one_out` as a frame, one row a trial."""
        keys = ("trial", "observed", "predicted", "low", "high", "covered", "same_sign", "correlation", "reason")
        return self._frame({k: [getattr(one, k) for one in self.left_one_out] for k in keys})

    def left_one_out_plot(self) -> Any:
        """:attr:`left_one_out` as a forest: the interval in which each trial was to be expected, beside what it
        showed."""
        import polars as pl

        from equipoise.drawing import drawing

        made = self.left_one_out
        rows: dict[str, list[Any]] = {
            "label": [one.trial for one in made],
            "estimate": [one.predicted for one in made],
            "low": [one.low for one in made],
            "high": [one.high for one in made],
            "reason": [one.reason for one in made],
            "seen": [
                f"{one.observed:.2f}".replace("-", "\N{MINUS SIGN}")
                + ("" if one.covered in (None, True) else " (outside)")
                for one in made
            ],
        }
        percent = f"{100 * self.level:g} %"
        return drawing("forest")(
            pl.DataFrame(rows, schema_overrides={"reason": pl.String}),
            axis=f"effect on {self.true}, predicted from the other trials",
            columns={"seen": "observed"},
            interval=f"predicted ({percent})",
            title="Every trial predicted from the others",
        )

    @cached_property
    def by_class(self) -> Classes | None:
        """Slopes by class with partial pooling; None without two classes."""
        if len(set(self.classes)) < 2 or len(self.rows) < 3 or not self.posteriors:
            return None
        return pooled_classes(*self.rows.arrays, self.classes, prior=self.posteriors[0].prior)

    @cached_property
    def verdict(self) -> Verdict:
        """What may be said, by IQWiG's rules."""
        k = len(self.rows)
        if k < LEAST_TRIALS or self.fit.status in (Status.NO_VARIANCE, Status.NOT_CONVERGED):
            return judge(k, (-1.0, 1.0), (-1.0, 1.0), "none", "none", True, self.fit.detail or "")
        both = [self._threshold_words(level) for level in (0.95, 0.80)]
        edge = self.fit.status is not Status.OK
        ends = [rho_limits(self.rows, self.fit, level) for level in (0.95, 0.80)]
        return judge(k, ends[0], ends[1], both[0], both[1], edge, self.fit.detail or "")

    def _threshold_words(self, level: float) -> str:
        found = (
            self.threshold(level=level, favours="less")["regression"],
            self.threshold(level=level, favours="more")["regression"],
        )
        there = [t for t in found if t.exists]
        if not there:
            return "no threshold exists"
        z = float(special.ndtri(0.5 + 0.5 * level))
        said = []
        for t in there:
            reach = (
                self.rows.s - z * np.sqrt(self.rows.vs)
                if t.beyond == "above"
                else self.rows.s + z * np.sqrt(self.rows.vs)
            )
            count = int((reach >= t.value).sum() if t.beyond == "above" else (reach <= t.value).sum())
            said.append(
                f"{t.value:.3g} for an effect {t.favours} than none ({count} of {len(self.rows)} trials lie beyond it)"
            )
        return "; ".join(said)

    # --- words -------------------------------------------------------------------------------------------------------

    def _title(self) -> str:
        return f"Is {self.surrogate} a surrogate of {self.true}? {len(self.rows)} trials"

    def _facts(self) -> Iterator[tuple[str, str]]:
        yield "trials", str(len(self.rows))
        yield "verdict", self.verdict.said
        if math.isfinite(self.fit.sd[0]):
            yield (
                "spread between trials",
                f"{self.fit.sd[0]:.4g} on {self.surrogate}, {self.fit.sd[1]:.4g} on {self.true}",
            )

    def _notes(self) -> Iterator[str]:
        if not self.known:
            yield (
                "The correlation of errors within trials is not known and was taken as 0; within() goes from "
                f"{WITHIN[0]:g} to {WITHIN[-1]:g}."
            )
        for name, (_, slope, r2) in self.uncorrected.items():
            yield f"{name.upper()}: slope {slope:.4g}, R squared {r2:.4g}, not corrected for estimation error."
        if len(self.posteriors) == 3:
            said = ", ".join(f"{p.slope[0]:.4g} (scale {p.prior.scale:g})" for p in self.posteriors)
            yield f"Slope of Daniels & Hughes' model by the scale of tau's prior: {said}."
        covered = [one.covered for one in self.left_one_out if one.covered is not None]
        if covered:
            yield f"Left out one by one, {sum(covered)} of {len(covered)} trials lay in their 95 % prediction interval."
        if self.by_class is not None:
            yield self.by_class.to_sentence()
        yield f"Verdicts follow {IQWIG}."

    def _drawn(self) -> Any:
        return self


def least_squares_line(s: FloatArray, t: FloatArray, w: FloatArray) -> tuple[float, float, float]:
    """Intercept, slope and R squared of weighted least squares; weights (trial,)."""
    ms, mt = float(w @ s / w.sum()), float(w @ t / w.sum())
    sxx, sxy, syy = float(w @ (s - ms) ** 2), float(w @ ((s - ms) * (t - mt))), float(w @ (t - mt) ** 2)
    if sxx <= 0.0 or syy <= 0.0:
        return math.nan, math.nan, math.nan
    return mt - sxy / sxx * ms, sxy / sxx, sxy * sxy / (sxx * syy)


def bivariate_line(rows: Rows, fit: Bivariate) -> Line | None:
    """The regression within a bivariate fit, and its covariance by the delta method (Burzykowski & Buyse 2006)."""
    a, r = fit.sd[0], fit.rho
    at = np.array([a, r * fit.sd[1], fit.sd[1] * math.sqrt(max(1.0 - r * r, 0.0))])
    mean, cov = np.empty(2), np.empty((2, 2))

    def value(x: FloatArray) -> float:
        return float(
            kernel.likelihood(x[0] ** 2, x[0] * x[1], x[1] ** 2 + x[2] ** 2, *rows.arrays, fit.reml, mean, cov)
        )

    h = 1e-4 * np.array([a, fit.sd[1], fit.sd[1]])
    hessian = np.empty((3, 3))
    for i in range(3):
        for j in range(3):
            total = 0.0
            for p, q, sign in ((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)):
                x = at.copy()
                x[i] += p * h[i]
                x[j] += q * h[j]
                total += sign * value(x)
            hessian[i, j] = total / (4.0 * h[i] * h[j])
    if not (np.linalg.eigvalsh(-hessian) > 0.0).all():
        return None
    par = np.linalg.inv(-hessian)
    to_psi = np.array([[2 * at[0], 0, 0], [at[1], at[0], 0], [0, 2 * at[1], 2 * at[2]]])  # ss, st, tt
    psi = to_psi @ par @ to_psi.T
    ss, st, tt = at[0] ** 2, at[0] * at[1], at[1] ** 2 + at[2] ** 2
    slope = st / ss
    whole = np.zeros((4, 4))
    whole[:2, :2], whole[2:, 2:] = fit.cov, psi[:2, :2]
    move = np.array(
        [[-slope, 1.0, float(fit.mean[0]) * st / ss**2, -float(fit.mean[0]) / ss], [0.0, 0.0, -st / ss**2, 1.0 / ss]]
    )
    return Line(
        fit.intercept,
        slope,
        move @ whole @ move.T,
        max(tt - st * st / ss, 0.0),
        math.inf,
        "bivariate random effects, delta method",
        (ss, st),
    )


def leave_out(rows: Rows, k: int, reml: bool, level: float) -> LeftOneOut:
    """Trial ``k`` predicted from the others: its observed effect on the true endpoint given that on the surrogate."""
    rest = rows.without(k)
    fit = fit_rows(rest, reml)
    name, seen = rows.names[k], float(rows.t[k])
    if fit.status not in (Status.OK, Status.BOUNDARY):
        return LeftOneOut(name, seen, math.nan, math.nan, math.nan, math.nan, fit.detail)
    ss, st, tt = fit.sd[0] ** 2, fit.rho * fit.sd[0] * fit.sd[1], fit.sd[1] ** 2
    b = (st + rows.c[k]) / (ss + rows.vs[k])
    mean = float(fit.mean[1] + b * (rows.s[k] - fit.mean[0]))
    away = np.array([-b, 1.0])
    variance = tt + rows.vt[k] - b * (st + rows.c[k]) + float(away @ fit.cov @ away)
    half = float(special.stdtrit(max(len(rest) - 2, 1), 0.5 + 0.5 * level)) * math.sqrt(max(variance, 0.0))
    return LeftOneOut(name, seen, mean, mean - half, mean + half, fit.rho)


def surrogacy_trials(
    data: Any,
    *,
    surrogate: str = "surrogate",
    surrogate_se: str = "surrogate_se",
    true: str = "true",
    true_se: str = "true_se",
    within: float | str | None = None,
    trial: str | None = None,
    drug_class: str | None = None,
    method: str = "reml",
    prior: Prior | None = None,
    ratio: bool = False,
    level: float = 0.95,
) -> TrialSurrogacy:
    """The trial-level picture of a surrogate from summary rows.

    Parameters
    ----------
    data : one row a trial (or comparison); pandas, polars or pyarrow.
    surrogate, surrogate_se, true, true_se : columns of the effects and their standard errors; ratios as logarithms.
        Rows that lack one, or have a standard error of 0, take no part and are counted.
    within : the correlation of the two effects' errors within a trial, a number for all or a column; None where it
        is not known: then 0 is taken, the result says so, and ``within()`` goes through what it might be.
    trial : column of names. drug_class : column of classes of drugs, whose slopes are drawn towards each other.
    method : ``reml`` or ``ml``. prior : of tau in Daniels & Hughes' model; default half-normal with scale 0.5 where
        ``ratio`` (the effects on the true endpoint are log ratios), else with the standard deviation of those effects.

    Returns
    -------
    TrialSurrogacy. With fewer than five trials its verdict is that it cannot be told.

    Notes
    -----
    By simulation (docs/methods/surrogacy.md) the interval of the correlation covers with 5 to 40 trials. That of the
    slope by Daniels & Hughes or Knapp & Hartung does not with many trials whose effects on the surrogate have errors
    (0.85 with 40 of reliability 0.86); those of the mean effects, and of predictions by the bivariate model, do not
    with five (0.89, 0.90).

    Raises
    ------
    DataError : a column is absent or no number, a standard error is negative, a correlation is none.
    EstimationError : an option means nothing.

    References
    ----------
    van Houwelingen et al. 2002; Daniels & Hughes 1997; Burzykowski & Buyse 2006; IQWiG 2011.

    Examples
    --------
    >>> import polars as pl
    >>> effects = {"s": [-0.5, -0.1, -0.3, 0.0], "t": [-0.4, 0.0, -0.2, 0.1]}
    >>> rows = pl.DataFrame({**effects, "s_se": [0.1] * 4, "t_se": [0.1] * 4})
    >>> found = surrogacy_trials(rows, surrogate="s", surrogate_se="s_se", true="t", true_se="t_se")
    >>> found.verdict.said[:31], found.fit.status.name
    ('Cannot be told from 4 trials wi', 'BOUNDARY')
    """
    check_level(level)
    if method not in ("reml", "ml"):
        raise EstimationError(f"method = {method!r}", hint="reml or ml")
    frame = read_frame(data)
    columns = [surrogate, surrogate_se, true, true_se]
    require(frame, [*columns, *([within] if isinstance(within, str) else []), *([trial] if trial else [])])
    s, es, t, et = (numbers(frame, c) for c in columns)
    sieve = Sieve(len(frame))
    for value, name in zip((s, es, t, et), columns, strict=True):
        sieve.need(~np.isnan(value), f"without {name}")
    for value, name in ((es, surrogate_se), (et, true_se)):
        bad = np.flatnonzero(value < 0.0)
        if len(bad):
            raise DataError(f"row {bad[0] + 1}: {name!r} is {value[bad[0]]:g}", hint="a standard error is above 0")
        sieve.need(~(value == 0.0), f"with a standard error of 0 ({name})")
    if within is None:
        r = np.zeros(len(frame))
    elif isinstance(within, str):
        r = numbers(frame, within)
        sieve.need(~np.isnan(r), f"without {within}")
    else:
        r = np.full(len(frame), float(within))
    if (np.abs(r[~np.isnan(r)]) >= 1.0).any():
        raise DataError("a within-trial correlation of 1 or beyond", hint="give numbers between -1 and 1")
    keep = sieve.keep
    names = [str(v) for v in values_of(frame.get_column(trial))] if trial else [str(i + 1) for i in range(len(frame))]
    named: list[Any] = []
    if drug_class is not None:
        require(frame, [drug_class])
        named = values_of(frame.get_column(drug_class))
        sieve.need(np.array([v is not None for v in named], np.bool_), f"without {drug_class}")
        keep = sieve.keep
    rows = Rows(
        tuple(n for n, k in zip(names, keep, strict=True) if k),
        s[keep],
        t[keep],
        es[keep] ** 2,
        et[keep] ** 2,
        (r * es * et)[keep],
    )
    classes = tuple(str(v) for v, k in zip(named, keep, strict=True) if k) if named else ()
    return of_rows(
        rows,
        surrogate,
        true,
        known=within is not None,
        reml=method == "reml",
        prior=prior,
        ratio=ratio,
        level=level,
        classes=classes,
        left_out=sieve.left_out,
        backend=frame.implementation,
    )


def of_rows(
    rows: Rows,
    surrogate: str,
    true: str,
    *,
    known: bool,
    reml: bool = True,
    prior: Prior | None = None,
    ratio: bool = False,
    level: float = 0.95,
    classes: tuple[str, ...] = (),
    left_out: LeftOut = NOBODY,
    backend: Any = None,
) -> TrialSurrogacy:
    """:func:`surrogacy_trials` of :class:`Rows`."""
    fit = fit_rows(rows, reml)
    interval = rho_limits(rows, fit, level)
    posteriors: tuple[Posterior, ...] = ()
    if len(rows) >= 3 and fit.status not in (Status.NO_VARIANCE, Status.NO_DATA):
        first = prior or Prior("half-normal", 0.5 if ratio else float(rows.t.std(ddof=1)))
        posteriors = tuple(posterior(*rows.arrays, Prior(first.kind, first.scale * times)) for times in (1.0, 0.5, 2.0))
    return TrialSurrogacy(
        rows, surrogate, true, fit, interval, known, posteriors, ratio, level, classes, left_out, backend
    )
