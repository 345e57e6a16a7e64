"""The result of a joint model: what was estimated, how sure the search is of it, and what a trial asks of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from scipy import stats

from equipoise.errors import EstimationError
from equipoise.estimate.joint_model import diagnose, effects
from equipoise.estimate.joint_model.accuracy import Accuracy, accuracy
from equipoise.estimate.joint_model.effects import ESTIMATOR, REFERENCES
from equipoise.estimate.joint_model.likelihood import JointLikelihood
from equipoise.estimate.joint_model.maximised import Maximised
from equipoise.estimate.joint_model.optimise import Optimum, maximise
from equipoise.estimate.joint_model.predict import Prediction, predict
from equipoise.estimate.joint_model.setup import Setup
from equipoise.estimate.result import Estimate
from equipoise.types import FloatArray, Status


@dataclass(eq=False)
class JointModelFit(Maximised):
    """A fitted joint model.

    formula, events : what was asked. setup, likelihood : the data. optimum : where the search ended, with the largest
    score (``optimum.gradient``) and the error of the quadrature (``optimum.quadrature``). vcov (parameter, parameter) :
    of all ``names``; robust : whether it is the sandwich. arm : the column of the arm, None where there is none.
    """

    formula: tuple[str, ...]
    events: str
    setup: Setup
    likelihood: JointLikelihood = field(repr=False)
    optimum: Optimum
    vcov: FloatArray
    robust: bool
    arm: str | None
    level: float = 0.95
    estimand: str | None = None

    # --- numbers ------------------------------------------------------------------------------------------------------

    @property
    def names(self) -> tuple[str, ...]:
        return self.setup.names

    @property
    def aic(self) -> float:
        return -2.0 * self.loglik + 2.0 * int(self.optimum.free.sum())

    @property
    def bic(self) -> float:
        """By the number of patients."""
        return -2.0 * self.loglik + math.log(self.setup.n) * int(self.optimum.free.sum())

    @property
    def n_events(self) -> int:
        return int((self.setup.code > 0).sum())

    @property
    def se(self) -> FloatArray:
        """(parameter,) standard errors; 0 of a parameter that was held."""
        return np.asarray(np.sqrt(np.maximum(np.diag(self.vcov), 0.0)))

    @property
    def residual_sd(self) -> tuple[float, ...]:
        """Of each marker, about the patient's own course; NaN of a category."""
        lay = self.setup.layout
        return tuple(
            math.nan if one.categorical else float(np.exp(self.theta[lay.log_sigma(m)]))
            for m, one in enumerate(self.setup.markers)
        )

    @property
    def random_covariance(self) -> FloatArray:
        """(d, d) covariance D of the random effects."""
        low = self.setup.layout.factor(self.theta)
        return np.asarray(low @ low.T)

    @cached_property
    def _posterior(self) -> tuple[FloatArray, FloatArray]:
        self.likelihood.evaluate(self.theta, max(self.optimum.points, 9) if self.setup.d <= 3 else self.optimum.points)
        return self.likelihood.eb[: self.n].copy(), self.likelihood.ebb[: self.n].copy()

    @property
    def random_effects(self) -> Any:
        """Expected random effects of every patient given all data, and their standard deviations, as a frame."""
        if not self.converged:
            raise EstimationError(f"there are no random effects: {self.reason}", hint="see fit.status")
        mean, square = self._posterior
        sd = np.sqrt(np.maximum(square[:, range(self.setup.d), range(self.setup.d)] - mean**2, 0.0))
        table: dict[str, Any] = {self.setup.markers[0].subject: list(self.setup.patients)}
        for k, name in enumerate(self.random_names):
            table[name] = mean[:, k].tolist()
            table[f"SD of {name}"] = sd[:, k].tolist()
        return self._frame(table)

    def parameters(self) -> Any:
        """Every parameter with its standard error, those of the baseline hazard and of the covariances among them."""
        return self._frame({"parameter": list(self.names), "estimate": self.theta.tolist(), "se": self.se.tolist()})

    # --- estimates ----------------------------------------------------------------------------------------------------

    def place(self, name: str) -> int:
        """Where a parameter stands; raises :class:`EstimationError` for one that is not there."""
        if name not in self.names:
            raise EstimationError(f"no parameter {name!r}", hint="parameters are " + ", ".join(self.names))
        return self.names.index(name)

    def combination(
        self, name: str, weights: FloatArray, *, ratio: bool = False, scale: str | None = None, term: str = ""
    ) -> Estimate:
        """A linear combination of the parameters, with ``ratio`` its exponential."""
        value = float(weights @ self.theta)
        variance = float(weights @ self.vcov @ weights) if self.converged else math.nan
        return self._estimate(name, value, math.sqrt(max(variance, 0.0)), ratio=ratio, scale=scale, term=term)

    def _estimate(
        self, name: str, value: float, se: float, *, ratio: bool = False, scale: str | None = None, term: str = ""
    ) -> Estimate:
        status, detail = self.status, None
        if status is not Status.OK:
            detail = self.reason
        return Estimate.from_t(
            name,
            ESTIMATOR + (", robust" if self.robust else ""),
            value,
            se,
            math.inf,
            self.n,
            level=self.level,
            ratio=ratio,
            scale=scale,
            status=status,
            detail=detail,
            estimand=self.estimand,
            references=REFERENCES,
            term=term,
        )

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """Coefficients of the markers, hazard ratios of covariates given the course, and of the associations a unit."""
        lay = self.setup.layout
        made = []
        kinds = [*(("coefficient", int(j)) for j in lay.betas)]
        kinds += [("hazard ratio", j) for j in range(lay.gammas.start, lay.gammas.stop)]
        kinds += [("hazard ratio a unit", j) for j in range(lay.alphas.start, lay.alphas.stop)]
        for scale, j in kinds:
            if not self.optimum.free[j]:
                continue
            weights = np.zeros(lay.size)
            weights[j] = 1.0
            made.append(self.combination(self.names[j], weights, ratio=scale != "coefficient", scale=scale))
        return tuple(made)

    def _drawn(self) -> Any:
        ratios = tuple(one for one in self.estimates if one.ratio)
        return ratios or self.estimates

    # --- text ---------------------------------------------------------------------------------------------------------

    def _title(self) -> str:
        return "Joint model of a marker and times to an event, maximum likelihood"

    def _facts(self) -> Iterable[tuple[str, str]]:
        setup, best = self.setup, self.optimum
        for text in self.formula:
            yield "marker", text
        yield "events", self.events
        yield "hazard depends on", ", ".join(link.name for link in setup.links) or "nothing of the marker"
        head = [f"{c}: " if len(setup.causes) > 1 else "" for c in setup.causes]
        yield (
            "baseline hazard",
            "; ".join(
                h + b.kind + (f", {len(b.knots) + 1} intervals" if b.kind == "piecewise" else "")
                for h, b in zip(head, setup.baselines, strict=True)
            ),
        )
        rows = sum(int(s.n.sum()) for s in self.likelihood.markers)
        yield "patients", f"{self.n}, {rows} values, {self.n_events} events"
        if not self.converged:
            yield "status", self.reason
            return
        yield (
            "penalised log-likelihood" if self.likelihood.penalty else "log-likelihood",
            f"{self.loglik:.4f} (AIC {self.aic:.2f}, BIC {self.bic:.2f})",
        )
        yield (
            "search",
            (
                f"largest score {best.gradient:.1e}; "
                + (f"{best.points} nodes a random effect, " if best.points > 1 else "Laplace's approximation, ")
                + (
                    f"error of the quadrature {abs(best.quadrature):.1e}"
                    if math.isfinite(best.quadrature)
                    else "its error not measured"
                )
            ),
        )
        measured = [v for v in self.residual_sd if math.isfinite(v)]
        if measured:
            yield "residual SD", ", ".join(f"{v:.4g}" for v in measured)
        sd = np.sqrt(np.diag(self.random_covariance))
        yield "random effects", ", ".join(f"{n} SD {v:.4g}" for n, v in zip(self.random_names, sd, strict=True))
        if len(sd) == 2:
            yield "their correlation", f"{self.random_covariance[0, 1] / sd[0] / sd[1]:.3f}"

    def _notes(self) -> Iterable[str]:
        if self.converged:
            yield (
                "An association is no effect: it relates the hazard to the course of the marker in the model, "
                "not to the marker as measured."
            )

    # --- what a trial asks --------------------------------------------------------------------------------------------

    def slope_difference(
        self,
        *,
        per: float = 1.0,
        up_to: float | None = None,
        between: tuple[Any, Any] | None = None,
        marker: str | None = None,
    ) -> Estimate:
        """The difference of the mean slopes of two arms, ``per`` units of time: what treatment does to the course.

        up_to : of a curved course, the end of the time over which the slope is the mean one (default: the last value).
        between : control and active, where there are more than two arms.

        Raises :class:`EstimationError` where there is no arm, or the course does not depend on it.
        """
        return effects.slope_difference(self, per=per, up_to=up_to, between=between, marker=marker)

    def course_difference(
        self, at: Any, *, between: tuple[Any, Any] | None = None, marker: str | None = None
    ) -> effects.JointAnswer:
        """The difference of the mean courses of two arms at times, as if nobody died."""
        return effects.course_difference(self, at=at, between=between, marker=marker)

    def direct_effect(
        self, *, between: tuple[Any, Any] | None = None, cause: Any = None, at: float | None = None
    ) -> Estimate:
        """The hazard ratio of two arms at the same course of the marker; at : when, where the ratio changes with time.

        Raises :class:`EstimationError` where there is no arm, the hazard does not depend on it, or its ratio changes
        with time and no time is named.
        """
        return effects.direct_effect(self, between=between, cause=cause, at=at)

    def joint_test(self) -> Estimate:
        """The likelihood ratio test that treatment changes neither course nor hazard (2 df for two arms and a straight
        course; van Eijk et al. 2018).
        """
        return effects.joint_test(self)

    def total_effect(
        self, at: Any, *, between: tuple[Any, Any] | None = None, cause: Any = None, quantity: str | None = None
    ) -> effects.JointAnswer:
        """Survival in both arms at times, standardised over the patients (g-computation), the difference and its parts.

        cause : the cumulative incidence of that cause, under competing risks; quantity : ``survival`` or ``cumulative
        incidence``.
        """
        return effects.total_effect(self, at=at, between=between, cause=cause, quantity=quantity)

    def sensitivity(
        self,
        multiples: Sequence[float] = (0.0, 0.5, 1.0, 1.5, 2.0),
        *,
        association: str | None = None,
        between: tuple[Any, Any] | None = None,
    ) -> effects.JointAnswer:
        """The difference of slopes where dropout depends on the course more, or less, than was estimated.

        A joint model is a model of data missing not at random: the hazard depends on the course after the last value.
        multiples : of the estimated association at which it is held; 0 is missing at random.
        """
        return effects.sensitivity(self, multiples=multiples, name=association, between=between)

    # --- what is seen -------------------------------------------------------------------------------------------------

    def courses(self, *, marker: str | None = None, most: int = 60) -> dict[str, Any]:
        """Courses of up to ``most`` patients, taken by chance, until their end, where they end, and arms' mean courses.

        Rows of ``x`` and ``y``, for :func:`equipoise.plot.trajectories`.
        """
        return diagnose.courses(self, marker, most)

    def marker_residuals(self, marker: str | None = None) -> tuple[list[tuple[float, float]], str]:
        """The time and the residual of every value about the patient's own course, in residual SDs, and the marker."""
        return diagnose.marker_residuals(self, marker)

    def event_residuals(self) -> list[tuple[float, float]]:
        """Cox-Snell residuals of patients with events (expected cumulative hazards) and their own cumulative hazard."""
        return diagnose.event_residuals(self)

    # --- prediction ---------------------------------------------------------------------------------------------------

    def predict(
        self,
        data: Any,
        event_data: Any = None,
        *,
        landmark: float,
        at: Any,
        cause: Any = None,
        draws: int = 200,
        seed: int = 0,
        level: float | None = None,
    ) -> Prediction:
        """The risk of the event after ``landmark``, and the course, of patients alive then, given their values so far.

        data : rows of the marker, of which those up to ``landmark`` count; event_data : a row a patient with what the
        hazard needs, by default the first rows of ``data``. at : times. draws : of the parameters, for the intervals;
        0 for none.

        Raises :class:`DataError` for a patient without a value, and for columns or levels that the model does not know.
        """
        return predict(
            self,
            data,
            event_data,
            landmark=landmark,
            at=at,
            cause=cause,
            draws=draws,
            seed=seed,
            level=self.level if level is None else level,
        )

    def accuracy(
        self,
        landmark: float,
        horizon: float,
        *,
        cause: Any = None,
        weights: str = "ipcw",
        folds: int = 5,
        seed: int = 1,
        groups: int = 5,
    ) -> Accuracy:
        """How well the event by ``horizon`` is predicted at ``landmark``: AUC, Brier scores, calibration.

        folds : of the cross-validation; 1 uses the fit itself, which flatters. weights : ``ipcw`` (censoring by inverse
        probability) or ``model`` (by what the model predicts). groups : of predicted risk, for calibration.

        Raises :class:`EstimationError` where there are fewer than two cases or controls.
        """
        return accuracy(
            self,
            landmark=landmark,
            horizon=horizon,
            cause=cause,
            weights=weights,
            folds=folds,
            seed=seed,
            groups=groups,
        )

    # --- tests --------------------------------------------------------------------------------------------------------

    def refit(self, held: dict[str, float]) -> Optimum:
        """The maximum with parameters held at values, from where this fit ended.

        Raises :class:`EstimationError` for a parameter that is not there.
        """
        free, begin = self.optimum.free.copy(), self.theta.copy()
        for name, value in held.items():
            j = self.place(name)
            free[j], begin[j] = False, value
        return maximise(self.likelihood, begin, free=free)

    def likelihood_ratio_test(self, held: dict[str, float] | Sequence[str], name: str | None = None) -> Estimate:
        """The likelihood ratio test that the parameters have the values ``held`` (0 where they are only named)."""
        values = held if isinstance(held, dict) else dict.fromkeys(held, 0.0)
        label = name or "test of " + ", ".join(values)
        k = len(values)
        how = f"likelihood ratio on {k} df"
        if not self.converged:
            return Estimate.of_test(label, how, math.nan, self.n, status=self.status, detail=self.reason)
        null = self.refit(values)
        if null.status is not Status.OK:
            return Estimate.of_test(
                label, how, math.nan, self.n, status=null.status, detail=f"of the model without them: {null.reason}"
            )
        statistic = max(2.0 * (self.loglik - null.loglik), 0.0)
        return Estimate.of_test(label, how, float(stats.chi2.sf(statistic, k)), self.n, statistic=statistic)
