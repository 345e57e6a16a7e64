"""Random intercept and slope by REML: the rate of change of each arm, and their difference.

    y_ij = x_ij' beta + b_0i + b_1i t_ij + e_ij,   (b_0i, b_1i) ~ N(0, D),   e_ij ~ N(0, s2)

(Laird & Ware 1982, Biometrics 38:963). Times are each subject's own. Inference on the fixed effects: Kenward-Roger with
the expected information, as R's pbkrtest; Satterthwaite with the observed information, as R's lmerTest.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.formula import CovarianceTerm, build, parse
from equipoise.estimate.formula.terms import RANDOM_HINT
from equipoise.estimate.frames import read_frame
from equipoise.estimate.left_out import LeftOut
from equipoise.estimate.linear.mmrm.batch import BatchFit, fit_batch
from equipoise.estimate.linear.mmrm.engine import Fitted, Rows, run_times, unfitted_times
from equipoise.estimate.linear.mmrm.fit import MmrmWarning, check_methods, describe
from equipoise.estimate.linear.mmrm.identified import least_squares
from equipoise.estimate.linear.mmrm.result import MmrmFit
from equipoise.types import FloatArray, Status, TrialSubjectVisit


@dataclass(eq=False)
class SlopeFit(MmrmFit):
    """A fitted random-slope model; everything of :class:`MmrmFit`, and the random effects.

    AIC and BIC count the variances and covariances under REML, whose likelihood compares models with the same fixed
    part, and under ML the coefficients of the fixed part too, as SAS PROC MIXED and R's nlme and lme4 do.
    """

    @property
    def n_parameters(self) -> int:
        """What AIC and BIC count: variances and covariances, under ML the coefficients too."""
        return len(self.optimum.theta) + (0 if self.reml else len(self.kept))

    @property
    def random_covariance(self) -> FloatArray:
        """(2, 2) covariance D of random intercept and slope, or (1, 1) of the intercept."""
        theta = self.optimum.theta
        if self.structure == "intercept":
            return np.array([[theta[0] ** 2]])
        low = np.array([[theta[0], 0.0], [theta[1], theta[2]]])
        return np.asarray(low @ low.T)

    @property
    def residual_variance(self) -> float:
        """s2, the variance of a measurement about its subject's line."""
        return float(np.exp(2.0 * self.optimum.theta[-1]))

    @property
    def random_effects(self) -> Any:
        """Predicted deviation of every subject's intercept and slope (best linear unbiased), as a frame."""
        own = self.optimum.own_times
        assert own is not None
        d, s2 = self.random_covariance, self.residual_variance
        x = self.design.matrix()[:, self.kept]
        residual = self.response - x @ self.optimum.beta
        order = np.lexsort((self.rows.visit, self.rows.subject))
        out = np.empty((self.n_subjects, len(d)))
        for i in range(self.n_subjects):
            rows = slice(own.first[i], own.first[i + 1])
            z = np.column_stack([np.ones(rows.stop - rows.start), own.times[rows]])[:, : len(d)]
            v = z @ d @ z.T + s2 * np.eye(len(z))
            out[i] = d @ z.T @ np.linalg.solve(v, residual[order][rows])
        table = {self.term.subject: list(self.subjects), "intercept": out[:, 0].tolist()}
        if len(d) == 2:
            table[self.term.visit] = out[:, 1].tolist()
        return self._native(table)


def slope(
    formula: str,
    data: Any,
    *,
    reml: bool = True,
    df: str = "kenward-roger-linear",
    vcov: str | None = None,
    fallback: Sequence[str] = ("intercept",),
) -> SlopeFit:
    """Fit a model with a random intercept and slope (or intercept alone) for every subject.

    Parameters
    ----------
    formula : ``AVAL ~ TRT01P * MONTH + (MONTH | USUBJID)``; the difference of slopes is the coefficient of
        ``TRT01P:MONTH``, in points a unit of MONTH. ``(1 | USUBJID)`` has a random intercept only. The time is a
        number.
    data : one row a measurement; pandas, polars or pyarrow.
    reml, df, vcov : as in :func:`equipoise.estimate.linear.mmrm.mmrm`.
    fallback : ``("intercept",)`` refits with a random intercept alone where the variance of the slopes is estimated as
        zero or the fit does not converge; ``()`` does not.

    Raises
    ------
    EstimationError, DataError : as :func:`equipoise.estimate.linear.mmrm.mmrm`.

    Examples
    --------
    >>> import polars as pl
    >>> from equipoise.estimate.linear.slope import slope
    >>> rows = [(f"S{i}", t, "ab"[i % 2], 40.0 - t * (1 + i % 5) - (i * 7 % 11) + (i * t * 5 % 7) / 3)
    ...         for i in range(30) for t in range(5)]
    >>> fit = slope("Y ~ ARM * T + (T | ID)", pl.DataFrame(rows, schema=["ID", "T", "ARM", "Y"], orient="row"))
    >>> fit.converged, fit.structure
    (True, 'slope')
    """
    vcov_method = check_methods(df, vcov, reml)
    model = parse(formula, needs_covariance=False)
    model.refuse(covariance="use mmrm() for one")
    if model.random is None:
        raise EstimationError("the formula has 0 random parts", hint=RANDOM_HINT)
    if not model.random.simple:
        raise EstimationError("slope() fits a random intercept and one random slope", hint=RANDOM_HINT)
    time, subject = model.random.time or "1", model.random.subject
    unknown = [f for f in fallback if f != "intercept"]
    if unknown:
        raise EstimationError(f"cannot fall back to {unknown[0]!r}", hint="fallback is ('intercept',) or ()")
    frame = read_frame(data)
    extra = {subject: True} if time == "1" else {time: False, subject: True}
    design, y = build(model, frame, extra)
    y = design.less_offset(y)
    who = design.columns[f"|{subject}"]
    subjects = who.levels or ()
    if time == "1":
        coords, visit = np.zeros(1), np.zeros(len(y), np.int64)
    else:
        column = design.columns[f"|{time}"]
        if column.levels is not None:
            raise DataError(f"the time {time!r} is text", hint="use a number, such as ADY or months since baseline")
        coords, visit = np.unique(column.numbers, return_inverse=True)
    rows = Rows(
        who.codes, visit.astype(np.int64), np.zeros(len(subjects), np.int64), len(subjects), len(coords), 1, None
    )
    structures = ["intercept"] if time == "1" else list(dict.fromkeys(["slope", *fallback]))
    attempts: list[tuple[str, str]] = []
    best: Fitted | None = None
    kept = np.arange(0)
    found = least_squares(design.matrix(), y)
    twice = bool((np.bincount(rows.subject, minlength=rows.n_subjects) > 1).any())
    for structure in structures:
        if found.exact() or not twice:
            status = Status.NO_VARIANCE if found.exact() else Status.NOT_IDENTIFIED
            why = f"{found.why()}, which leaves no residual variance" if found.exact() else "no subject was seen twice"
            if best is None:
                best, kept = unfitted_times(design, y, rows, structure, coords, status)
            attempts.append((structure, why))
            continue
        fitted, kept = run_times(design.matrix(), y, rows, coords, structure, reml, df.startswith("kenward-roger"))
        what = describe(fitted)
        if fitted.status is Status.BOUNDARY:
            what = (
                f"the variance of the random {'slopes' if structure == 'slope' else 'intercepts'} is estimated as zero"
            )
        attempts.append((structure, what))
        if best is None or fitted.status is Status.OK:
            best = fitted
        if fitted.status is Status.OK:
            break
    assert best is not None
    term = CovarianceTerm(best.structure, time, subject)
    visits = tuple(float(c) for c in coords)
    fit = SlopeFit(
        formula,
        replace(model, covariance=term),
        term,
        reml,
        df,
        vcov_method,
        design,
        rows,
        best,
        kept,
        y,
        visits,
        None,
        subjects,
        tuple(attempts),
        (),
    )
    messages = []
    if fit.aliased:
        messages.append("the design is rank deficient; left out as aliased: " + ", ".join(fit.aliased))
    if not fit.converged:
        messages.append("not fitted: " + "; ".join(f"{s}: {w}" for s, w in attempts))
    elif len(attempts) > 1:
        messages.append(f"{attempts[0][1]}; fitted a random intercept alone")
    fit.left_out = LeftOut(design.left_out)
    fit.messages = tuple(messages)
    for message in messages:
        warnings.warn(message, MmrmWarning, stacklevel=2)
    return fit


def slope_batch(
    y: TrialSubjectVisit,
    covariates: FloatArray,
    times: npt.ArrayLike,
    contrasts: FloatArray,
    *,
    df: str = "satterthwaite",
    reml: bool = True,
    tolerance: float = 1e-14,
    max_steps: int = 100,
) -> BatchFit:
    """Random-slope fits of a batch of trials with common planned times; never raises for a trial.

    Parameters
    ----------
    y : (trial, subject, visit), NaN where missing.
    covariates : (trial, subject, q) with a column of ones; each has an intercept and a slope.
    times : (visit,) in the unit slopes are wanted in.
    contrasts : (contrast, 2, q): weights of the coefficients of intercepts (first) and slopes.

    Returns
    -------
    BatchFit with ``beta`` (trial, 2, q). A trial whose random-slope variance is zero has status ``BOUNDARY``.
    """
    t = np.asarray(times, dtype=np.float64)
    profiles = np.column_stack([np.ones_like(t), t])
    return fit_batch(
        y,
        covariates,
        contrasts,
        structure="slope",
        reml=reml,
        df=df,
        times=t,
        profiles=profiles,
        tolerance=tolerance,
        max_steps=max_steps,
    )
