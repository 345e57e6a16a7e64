"""Degrees of freedom for one contrast and for several at once: Satterthwaite, between-within, residual.

One contrast: df = 2 (c' Phi c)^2 / (g' W g) (Satterthwaite 1946; Fai & Cornelius 1996). Several: the covariance of the
contrasts is rotated to independent ones, each with its own df nu_k; with E = sum nu_k / (nu_k - 2) the denominator df
is 2 E / (E - q), which gives the F statistic the mean of a weighted sum of squared t variates (Fai & Cornelius 1996;
R: lmerTest, mmrm).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import fdtrc

from equipoise.estimate.linear.kernels.mmrm_inference import contrast_table
from equipoise.types import FloatArray, IntArray


def model_table(
    linv: FloatArray, packed: FloatArray, factor: FloatArray, contrasts: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Model-based variance and Satterthwaite df of each row of ``contrasts`` (row, p).

    ``factor`` is the lower Cholesky factor of the information of the covariance parameters.
    """
    variance, df = np.empty(len(contrasts)), np.empty(len(contrasts))
    contrast_table(linv, packed, factor, np.ascontiguousarray(contrasts, dtype=np.float64), variance, df)
    return variance, df


def pool(nu: FloatArray) -> float:
    """Denominator df of an F statistic made of independent squared t statistics with ``nu`` df each."""
    if len(nu) == 1:
        return float(nu[0])
    if np.all(np.abs(np.diff(nu)) < np.sqrt(np.finfo(float).eps)):
        return float(nu.mean())
    if np.any(nu <= 2.0):
        return 2.0
    e = float((nu / (nu - 2.0)).sum())
    return 2.0 * e / (e - len(nu))


def joint_test(
    contrasts: FloatArray, beta: FloatArray, vcov: FloatArray, df_of: Callable[[FloatArray], FloatArray]
) -> tuple[float, float, float, float]:
    """(numerator df, denominator df, F, p) of all rows of ``contrasts`` (row, p) being zero.

    ``df_of`` gives the df of rows of contrasts. Rows that depend on the others count once.
    """
    middle = contrasts @ vcov @ contrasts.T
    values, vectors = np.linalg.eigh(0.5 * (middle + middle.T))
    good = values > 1e-10 * max(float(values.max()), 0.0)
    rotated = vectors[:, good].T @ contrasts
    t2 = (rotated @ beta) ** 2 / values[good]
    q = int(good.sum())
    f = float(t2.sum() / q)
    den = pool(df_of(rotated))
    return float(q), den, f, float(fdtrc(q, den, f)) if np.isfinite(den) else float("nan")


def between_within(between: np.ndarray, intercept: IntArray, n_obs: int, n_subjects: int) -> FloatArray:
    """Df of each coefficient: ``between`` marks columns constant within every subject.

    Between-subject columns get subjects - between columns - intercept, the others (the intercept with them)
    observations - subjects - within columns (SAS ``DDFM=BW``; Pinheiro & Bates 2000, p. 91).
    """
    is_between = between.copy()
    is_between[intercept] = False
    n_between = int(is_between.sum())
    n_within = len(between) - n_between - len(intercept)
    return np.where(is_between, float(n_subjects - n_between - len(intercept)), float(n_obs - n_subjects - n_within))


def minimum_df(contrasts: FloatArray, per_coefficient: FloatArray) -> FloatArray:
    """Df of contrasts by the between-within rule: the least df of the coefficients they involve."""
    used = np.abs(contrasts) > np.sqrt(np.finfo(float).eps)
    return np.array([per_coefficient[row].min() if row.any() else np.nan for row in used])
