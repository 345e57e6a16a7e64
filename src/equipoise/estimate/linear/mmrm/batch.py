"""Many trials of one design at once: the simulation door of the same kernel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from equipoise.errors import EstimationError
from equipoise.estimate.linear.kernels.mmrm import ITERATIONS, LOGLIK, N_INFO
from equipoise.estimate.linear.kernels.mmrm_inference import (
    KENWARD_ROGER,
    KENWARD_ROGER_LINEAR,
    SATTERTHWAITE,
    fit_many,
)
from equipoise.estimate.linear.mmrm.covariance import CODES
from equipoise.types import BoolArray, FloatArray, IntArray, Status, TrialSubjectVisit

_METHODS = {
    "satterthwaite": SATTERTHWAITE,
    "kenward-roger": KENWARD_ROGER,
    "kenward-roger-linear": KENWARD_ROGER_LINEAR,
}


@dataclass(frozen=True, eq=False)
class BatchFit:
    """Fits of a batch: ``estimate``, ``se``, ``df`` (trial, contrast), ``beta`` (trial, visit, covariate),
    ``covariance`` (trial, group, visit, visit), ``loglik``, ``steps`` and ``status`` (trial,). NaN where not estimated.
    """

    estimate: FloatArray
    se: FloatArray
    df: FloatArray
    beta: FloatArray
    covariance: FloatArray
    loglik: FloatArray
    steps: FloatArray
    status: IntArray

    @property
    def converged(self) -> BoolArray:
        return np.asarray(self.status == int(Status.OK))

    @property
    def p(self) -> FloatArray:
        """(trial, contrast) two-sided p-values."""
        from scipy.special import stdtr

        return np.asarray(2.0 * stdtr(self.df, -np.abs(self.estimate / self.se)))


def fit_batch(
    y: TrialSubjectVisit,
    covariates: FloatArray,
    contrasts: FloatArray,
    *,
    structure: str = "us",
    reml: bool = True,
    df: str = "satterthwaite",
    group: npt.ArrayLike | None = None,
    times: npt.ArrayLike | None = None,
    profiles: FloatArray | None = None,
    active: npt.ArrayLike | None = None,
    tolerance: float = 1e-10,
    max_steps: int = 100,
) -> BatchFit:
    """Fit every trial of a batch; never raises for a trial, ``status`` says what became of it.

    Every covariate has its own coefficient at every visit (the visit-by-everything model of an MMRM), unless
    ``profiles`` says otherwise.

    Parameters
    ----------
    y : (trial, subject, visit) responses, NaN where missing.
    covariates : (trial, subject, q) with a column of ones for the intercept; a subject with NaN takes no part.
    contrasts : (contrast, visit, q) weights of the coefficients.
    structure, reml, df : as in :func:`mmrm`; ``df`` of ``satterthwaite``, ``kenward-roger`` or
        ``kenward-roger-linear``.
    group : (trial, subject) codes from 0 for a covariance of its own a group.
    times : (visit,) for ``sp_exp`` and ``slope``; default 0, 1, 2 ...
    tolerance : the squared distance to the optimum, in standard errors of the covariance parameters, at which the last,
        exact Newton step is taken; what is left after it is about the square of that.
    profiles : (visit, k): every covariate has a coefficient for each of these profiles over the visits instead of one a
        visit; ``contrasts`` is then (contrast, k, q) and ``beta`` (trial, k, q).
    active : (visit or profile, q) whether the coefficient is in the model; the others are zero. The constrained
        longitudinal model leaves out the arm at baseline.
    """
    y = np.ascontiguousarray(y, dtype=np.float64)
    w = np.ascontiguousarray(covariates, dtype=np.float64)
    if y.ndim != 3 or w.ndim != 3 or w.shape[:2] != y.shape[:2]:
        raise EstimationError(
            f"y of shape {y.shape} and covariates of shape {w.shape} do not fit",
            hint="give (trial, subject, visit) and (trial, subject, q)",
        )
    if structure not in CODES or df not in _METHODS:
        raise EstimationError(
            f"structure {structure!r} with df {df!r} cannot be fitted in a batch", hint=f"df: {', '.join(_METHODS)}"
        )
    r, n, m = y.shape
    q = w.shape[2]
    f = np.empty((0, 0)) if profiles is None else np.ascontiguousarray(profiles, dtype=np.float64)
    if profiles is not None and (f.ndim != 2 or len(f) != m):
        raise EstimationError(f"profiles of shape {f.shape} for {m} visits", hint="give (visit, profile)")
    nf = m if profiles is None else f.shape[1]
    c = np.asarray(contrasts, dtype=np.float64)
    if c.shape[1:] != (nf, q):
        raise EstimationError(f"contrasts of shape {c.shape}", hint=f"give (contrast, {nf}, {q})")
    c = np.ascontiguousarray(c.reshape(-1, nf * q))
    k = len(c)
    groups = np.zeros((r, n), np.int64) if group is None else np.ascontiguousarray(group, dtype=np.int64)
    n_groups = int(groups.max()) + 1 if groups.size else 1
    coords = np.arange(m, dtype=np.float64) if times is None else np.asarray(times, dtype=np.float64)
    phi, u = np.repeat(np.arange(nf, dtype=np.int64), q), np.tile(np.arange(q, dtype=np.int64), nf)
    used = np.ones(nf * q, np.bool_) if active is None else np.asarray(active, dtype=np.bool_).ravel()
    if used.shape != phi.shape:
        raise EstimationError(f"active of {used.size} entries", hint=f"give ({nf}, {q})")
    phi, u, c = phi[used], u[used], np.ascontiguousarray(c[:, used])
    estimate, variance, dof = np.empty((r, k)), np.empty((r, k)), np.empty((r, k))
    sigma, beta, info = np.full((r, n_groups, m, m), np.nan), np.full((r, len(phi)), np.nan), np.empty((r, N_INFO))
    status = np.empty(r, np.int64)
    # random effects: Kenward-Roger takes the expected information, as for one trial (estimate/slope.py)
    expected = structure in ("slope", "intercept") and df != "satterthwaite"
    fit_many(
        w,
        y,
        groups,
        n_groups,
        f,
        phi,
        u,
        CODES[structure],
        reml,
        expected,
        coords,
        _METHODS[df],
        c,
        tolerance,
        max_steps,
        estimate,
        variance,
        dof,
        sigma,
        beta,
        info,
        status,
    )
    failed = status != int(Status.OK)
    beta[failed] = np.nan
    every = np.zeros((r, nf * q))
    every[:, used] = beta
    return BatchFit(
        estimate, np.sqrt(variance), dof, every.reshape(r, nf, q), sigma, info[:, LOGLIK], info[:, ITERATIONS], status
    )
