"""Reference-based imputation of many trials at once: the doors of the simulation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from equipoise.errors import EstimationError
from equipoise.estimate.missing.analyses import least_squares
from equipoise.estimate.missing.events import strategy_named
from equipoise.estimate.missing.kernels import mi_ancova as repeated
from equipoise.estimate.missing.kernels.imputation_reference import reference_imputation
from equipoise.estimate.missing.methods import ConditionalMean, Method
from equipoise.estimate.missing.model import coefficients
from equipoise.estimate.missing.samples import ImputationModel, draw
from equipoise.types import BoolArray, CodeArray, FloatArray, IntArray, Status, TrialSubjectVisit


@dataclass(frozen=True, eq=False)
class BatchAnalysis:
    """(trial, visit) difference of active and control, its standard error, degrees of freedom and status."""

    estimate: FloatArray
    se: FloatArray
    df: FloatArray
    status: CodeArray

    @property
    def p(self) -> FloatArray:
        """(trial, visit) two-sided p-values."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(repeated.p_value(self.estimate, self.se, self.df), dtype=np.float64)

    def limits(self, level: float = 0.95) -> tuple[FloatArray, FloatArray]:
        """(trial, visit) confidence limits."""
        half = repeated.half_width(self.se, self.df, level)
        return self.estimate - half, self.estimate + half


def _codes(strategy: str | npt.ArrayLike, shape: tuple[int, ...]) -> IntArray:
    if isinstance(strategy, str):
        chosen = strategy_named(strategy)
        if chosen.name in ("HYPOTHETICAL", "COMPOSITE"):
            raise EstimationError(
                f"{chosen.name} is no strategy of the batch", hint="set the values after the event before you call"
            )
        return np.full(shape, chosen.code, np.int64)
    return np.broadcast_to(np.asarray(strategy, dtype=np.int64), shape).copy()


def _checked(
    y: TrialSubjectVisit, predictors: FloatArray, ice: npt.ArrayLike, include: npt.ArrayLike | None
) -> tuple[FloatArray, FloatArray, IntArray, BoolArray]:
    y, w = np.asarray(y, dtype=np.float64), np.asarray(predictors, dtype=np.float64)
    first = np.asarray(ice, dtype=np.int64)
    inside = np.ones(y.shape[:2], np.bool_) if include is None else np.asarray(include, dtype=np.bool_)
    if y.ndim != 3 or w.ndim != 3 or w.shape[:2] != y.shape[:2] or first.shape != y.shape[:2] or w.shape[2] < 2:
        raise EstimationError(
            f"y of shape {y.shape}, predictors {w.shape} and ice {first.shape} do not fit",
            hint="give (trial, subject, visit), (trial, subject, q) with columns of ones and of the arm first, and "
            "(trial, subject)",
        )
    return y, w, first, inside


def reference_mi_batch(
    y: TrialSubjectVisit,
    predictors: FloatArray,
    ice: npt.ArrayLike,
    strategy: str | npt.ArrayLike = "JR",
    *,
    include: npt.ArrayLike | None = None,
    reference: int = 0,
    delta: FloatArray | None = None,
    n_imputations: int = 20,
    burn_in: int = 3,
    seed: int = 0,
    first_replicate: int = 0,
    unit: int = 0,
) -> BatchAnalysis:
    """Bayesian reference-based multiple imputation and ANCOVA at every visit, pooled by Rubin's rules.

    Parameters
    ----------
    y : (trial, subject, visit) change from baseline, NaN where missing. What was observed after an event is kept, but
        the imputation model does not see it.
    predictors : (trial, subject, q) of imputation and ANCOVA: ones, arm (1 active, 0 control), covariates.
    ice : (trial, subject) index of the first visit affected by the event, the number of visits for none.
    strategy : a name, or (trial, subject) codes of :mod:`equipoise.estimate.missing.kernels.imputation_strategy`.
    reference : the arm copied. delta : (trial, subject, visit) added to imputed values.
    seed, first_replicate, unit : as :func:`mi_ancova`; nothing depends on the block.

    Raises
    ------
    EstimationError : arrays that do not fit each other, or a strategy that is none of the batch; never for a trial,
        whose status says what became of it.
    """
    y, w, first, inside = _checked(y, predictors, ice, include)
    made = reference_imputation(
        y,
        inside,
        w,
        first,
        _codes(strategy, first.shape),
        reference=float(reference),
        delta=delta,
        n_imputations=n_imputations,
        burn_in=burn_in,
        seed=seed,
        first_replicate=first_replicate,
        unit=unit,
    )
    visits, _, status, _, _ = repeated.ancova_imputed(made, w)
    at = repeated.DIFFERENCE
    return BatchAnalysis(
        visits[:, 0, :, at], visits[:, 0, :, at + 1], visits[:, 0, :, at + 2], status[:, 0].astype(np.int8)
    )


def conditional_mean_batch(
    y: TrialSubjectVisit,
    predictors: FloatArray,
    ice: npt.ArrayLike,
    strategy: str | npt.ArrayLike = "JR",
    *,
    include: npt.ArrayLike | None = None,
    reference: int = 0,
    method: Method | None = None,
    structure: str = "us",
    seed: int = 0,
    first_replicate: int = 0,
) -> BatchAnalysis:
    """Conditional mean imputation and ANCOVA at every visit, with the jackknife (or bootstrap) standard error.

    Arguments as :func:`reference_mi_batch`; ``method`` a :class:`ConditionalMean`. A trial is refitted once a patient,
    about 0.3 ms each: where that is too long, :func:`reference_mi_batch` needs no refits. Wolbers et al. 2022, Pharm
    Stat 21:1246.

    Raises
    ------
    EstimationError : as :func:`reference_mi_batch`.
    """
    chosen = ConditionalMean() if method is None else method
    if not isinstance(chosen, ConditionalMean):
        raise EstimationError(f"{chosen!r} is no conditional mean", hint="give ConditionalMean(...)")
    y, w, first, inside = _checked(y, predictors, ice, include)
    codes = _codes(strategy, first.shape)
    n_trials, _, n_visits = y.shape
    profiles, phi, u = coefficients(n_visits, np.ones(w.shape[2], np.bool_))
    estimate, se = np.full((n_trials, n_visits), np.nan), np.full((n_trials, n_visits), np.nan)
    status = np.full((n_trials, n_visits), int(Status.NO_DATA), np.int8)
    for t in range(n_trials):
        rows = inside[t] & np.isfinite(w[t]).all(axis=1)
        own, mine, kept = w[t][rows], y[t][rows], first[t][rows]
        n = len(own)
        arm = own[:, 1]
        if n == 0 or not 0.0 < arm.sum() < n:
            status[t] = int(Status.EMPTY_ARM)
            continue
        code = np.where(kept >= n_visits, 0, codes[t][rows])
        hidden = (np.arange(n_visits) >= kept[:, None]) & (code != 0)[:, None]
        seen = np.where(hidden, np.nan, mine)
        if not (np.isfinite(seen[arm == 0.0]).any(axis=0) & np.isfinite(seen[arm == 1.0]).any(axis=0)).all():
            continue
        other = own.copy()
        other[:, 1] = reference
        none = np.zeros(n, np.int64)
        model = ImputationModel(
            seen,
            mine,
            np.full_like(mine, np.nan),
            np.ascontiguousarray(own),
            other,
            profiles,
            phi,
            u,
            none,
            none,
            1,
            kept,
            code,
            arm.astype(np.int64),
            structure,
        )
        try:
            samples = draw(model, chosen, seed=seed, replicate=first_replicate + t)
            completed = samples.complete(0, samples.n_samples)
        except EstimationError:
            status[t] = int(Status.NOT_CONVERGED)
            continue
        member = samples.member(0, samples.n_samples)
        values = least_squares(completed, arm, own[:, 2:], samples.who, member)[0][:, ::3]
        if not np.isfinite(values).all():
            continue
        resampled = values[1:]
        if chosen.resample == "jackknife":
            spread = (n - 1) / n * ((resampled - resampled.mean(axis=0)) ** 2).sum(axis=0)
        else:
            spread = resampled.var(axis=0, ddof=1)
        estimate[t], se[t], status[t] = values[0], np.sqrt(spread), int(Status.OK)
    return BatchAnalysis(estimate, se, np.where(np.isnan(estimate), np.nan, np.inf), status)
