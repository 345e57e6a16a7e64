"""The imputation model of one trial in arrays: fitted to all patients, to samples of them, and drawn from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from equipoise.errors import EstimationError
from equipoise.estimate.linear.kernels.mmrm_inference import prepare_kronecker
from equipoise.estimate.linear.mmrm.engine import Fitted, Prepared, run
from equipoise.estimate.missing.kernels.imputation_posterior import posterior
from equipoise.estimate.missing.kernels.imputation_strategy import impute_samples, resample
from equipoise.estimate.missing.methods import ApproxBayes, Bayes, Bmlmi, ConditionalMean, Method
from equipoise.numerics.random import RESAMPLE
from equipoise.types import REASONS, BoolArray, FloatArray, IntArray, Status

SAMPLE_UNIT = 1 << 42
"""Sample ``s`` is imputed from the stream (seed, replicate, imputation, SAMPLE_UNIT + s)."""

MAX_CELLS = 1 << 22
"""Values of completed data sets held at a time."""


@dataclass(frozen=True, eq=False)
class ImputationModel:
    """What the imputation model knows of one trial.

    model_y : (subject, visit) responses that the model is fitted to, NaN where it does not see any. y : those that the
    completed data sets keep, NaN where to be imputed. fixed : values put in after imputation (composite strategies),
    NaN elsewhere. w, w_ref : (subject, q) covariates under the own and the reference arm: a column of ones, one for
    each arm but control, then the others. profiles : (visit, profile) or empty; phi, u : profile (or visit) and
    covariate of each coefficient. group, ref_group : (subject,) covariance group. ice, strategy : (subject,). stratum :
    (subject,) within which to resample.
    """

    model_y: FloatArray
    y: FloatArray
    fixed: FloatArray
    w: FloatArray
    w_ref: FloatArray
    profiles: FloatArray
    phi: IntArray
    u: IntArray
    group: IntArray
    ref_group: IntArray
    n_groups: int
    ice: IntArray
    strategy: IntArray
    stratum: IntArray
    structure: str = "us"
    reml: bool = True
    worst: bool = False

    @property
    def n(self) -> int:
        return len(self.y)

    @property
    def n_visits(self) -> int:
        return int(self.y.shape[1])

    @cached_property
    def present(self) -> BoolArray:
        return np.asarray(np.isfinite(self.model_y), dtype=np.bool_)

    @cached_property
    def filled(self) -> FloatArray:
        """``model_y`` with zeros for NaN, as the kernel wants it."""
        return np.where(self.present, self.model_y, 0.0)

    def expand(self, beta: FloatArray) -> FloatArray:
        """(visit, q) effect of each covariate at each visit from the coefficients."""
        out = np.zeros((self.n_visits, self.w.shape[1]))
        for j, value in enumerate(beta):
            if self.profiles.size:
                out[:, self.u[j]] += self.profiles[:, self.phi[j]] * value
            else:
                out[self.phi[j], self.u[j]] += value
        return out

    def fit(self, rows: IntArray | None = None) -> tuple[Fitted | None, Prepared | None]:
        """Fit to the patients ``rows`` (with repeats), default all; None where the design is singular."""
        if rows is None:
            parts = (self.w, self.filled, self.present, self.group)
        else:
            parts = (self.w[rows], self.filled[rows], self.present[rows], self.group[rows])
        ok, _, offset, *data = prepare_kronecker(*parts, self.profiles, self.phi, self.u)
        if not ok:
            return None, None
        prepared = Prepared(tuple(data), np.arange(len(self.phi), dtype=np.int64), offset, True, self.n_visits, 0.0)
        coords = np.arange(self.n_visits, dtype=np.float64)
        fitted = run(prepared, self.structure, self.reml, coords, self.n_groups)
        if fitted.status is Status.OK and not fitted.smallest_pivot > 1e-10:
            fitted.status = Status.NOT_CONVERGED
        return fitted, prepared


@dataclass(frozen=True, eq=False)
class Samples:
    """Parameters of the imputation model and the patients of every sample.

    beta : (draw, visit, q), sigma : (draw, group, visit, visit). parameters : (sample,) the draw each uses. who :
    (sample, row) patients, of which the first ``n_rows`` (sample,) count. noise : imputed values are drawn, else
    conditional means. failed : bootstrap samples whose fit failed and that were drawn anew. loglik : of the fit to all.
    """

    model: ImputationModel
    method: Method
    beta: FloatArray
    sigma: FloatArray
    parameters: IntArray
    who: IntArray
    n_rows: IntArray
    noise: bool
    seed: int
    replicate: int
    failed: int
    loglik: float

    @property
    def n_samples(self) -> int:
        return len(self.parameters)

    @property
    def block_size(self) -> int:
        """Samples completed at a time."""
        return max(1, MAX_CELLS // max(1, int(self.who.shape[1]) * self.model.n_visits))

    def member(self, start: int, stop: int) -> BoolArray:
        """(sample, row) which rows of ``who`` count."""
        return np.asarray(np.arange(self.who.shape[1]) < self.n_rows[start:stop, None], dtype=np.bool_)

    def complete(self, start: int, stop: int) -> FloatArray:
        """(sample, row, visit) completed data of samples ``start`` to ``stop``; zeros in rows that do not count."""
        model = self.model
        out = np.zeros((stop - start, self.who.shape[1], model.n_visits))
        who = np.ascontiguousarray(self.who[start:stop])
        failed = impute_samples(
            model.y,
            model.w,
            model.w_ref,
            model.group,
            model.ref_group,
            model.ice,
            model.strategy,
            self.beta,
            self.sigma,
            self.parameters[start:stop].copy(),
            who,
            self.n_rows[start:stop].copy(),
            self.noise,
            self.seed,
            self.replicate,
            SAMPLE_UNIT + start,
            out,
        )
        if failed:
            raise EstimationError(
                "a draw of the covariance matrix is singular, so that visits cannot be imputed",
                hint="leave out visits that few attended, or take a covariance structure with fewer parameters",
            )
        if np.isfinite(model.fixed).any() or model.worst:
            fixed = model.fixed[who]
            if model.worst:
                marked = np.isinf(fixed)
                others = np.where(marked | ~self.member(start, stop)[:, :, None], np.inf, out)
                fixed = np.where(marked, others.min(axis=1, keepdims=True), fixed)
            out = np.where(np.isnan(fixed) | ~self.member(start, stop)[:, :, None], out, fixed)
        return out


def failure(fitted: Fitted | None) -> str:
    """Why a fit of the imputation model cannot be used."""
    return REASONS[Status.SINGULAR if fitted is None else fitted.status]


def _bootstrap(
    model: ImputationModel, wanted: int, threshold: float, seed: int, replicate: int
) -> tuple[list[IntArray], list[FloatArray], list[FloatArray], int]:
    """Samples of patients within strata, coefficients and covariances of each, and how many fits failed."""
    rows: list[IntArray] = []
    betas: list[FloatArray] = []
    sigmas: list[FloatArray] = []
    failed, unit = 0, 0
    n_strata = int(model.stratum.max()) + 1
    while len(rows) < wanted:
        drawn = np.empty(model.n, np.int64)
        resample(model.stratum, n_strata, seed, replicate, RESAMPLE, unit, drawn)
        unit += 1
        fitted, _ = model.fit(drawn)
        if fitted is None or fitted.status is not Status.OK:
            failed += 1
            if failed > math.ceil(threshold * wanted):
                raise EstimationError(
                    f"the imputation model failed in {failed} of {unit} bootstrap samples ({failure(fitted)})",
                    hint="raise threshold, or take a covariance structure with fewer parameters, such as toeph",
                )
            continue
        rows.append(drawn)
        betas.append(model.expand(fitted.beta))
        sigmas.append(fitted.sigma)
    return rows, betas, sigmas, failed


def draw(model: ImputationModel, method: Method, *, seed: int = 0, replicate: int = 0) -> Samples:
    """Fit the imputation model and draw its parameters, or refit it to samples, as ``method`` says.

    Raises :class:`EstimationError` where the model cannot be fitted.
    """
    fitted, prepared = model.fit()
    if fitted is None or prepared is None or fitted.status is not Status.OK:
        raise EstimationError(
            f"the imputation model cannot be fitted: {failure(fitted)}",
            hint="leave out visits that few attended or covariates, or take a covariance structure with fewer "
            "parameters, such as toeph",
        )
    everyone = np.arange(model.n, dtype=np.int64)
    full_beta, full_sigma = model.expand(fitted.beta), fitted.sigma.copy()

    def samples(
        beta: list[FloatArray] | FloatArray,
        sigma: list[FloatArray] | FloatArray,
        rows: list[IntArray] | None,
        noise: bool,
        failed: int = 0,
        each: int = 1,
    ) -> Samples:
        count = len(beta) * each
        if rows is None:
            who = np.broadcast_to(everyone, (count, model.n))
            n_rows = np.full(count, model.n)
        else:
            n_rows = np.repeat([len(r) for r in rows], each)
            who = np.zeros((count, int(n_rows.max())), np.int64)
            for s in range(count):
                who[s, : n_rows[s]] = rows[s // each]
        return Samples(
            model,
            method,
            np.ascontiguousarray(beta),
            np.ascontiguousarray(sigma),
            np.repeat(np.arange(len(beta)), each),
            who,
            n_rows,
            noise,
            seed,
            replicate,
            failed,
            fitted.loglik,
        )

    if isinstance(method, Bayes):
        m = model.n_visits
        beta = np.empty((method.n_imputations, m, model.w.shape[1]))
        sigma = np.empty((method.n_imputations, model.n_groups, m, m))
        informed = method.prior == "inverse-wishart"
        made = posterior(
            prepared.data,
            prepared.offset,
            model.w,
            model.filled,
            model.present,
            model.group,
            model.n_groups,
            m + 2.0 if informed else 0.0,
            full_sigma.copy() if informed else np.zeros_like(full_sigma),
            full_sigma.copy(),
            method.burn_in,
            method.thin,
            seed,
            replicate,
            0,
            beta,
            sigma,
        )
        if made < method.n_imputations:
            raise EstimationError(
                "the posterior of the covariance matrix runs into a singular one",
                hint="there are too few patients for an unstructured covariance with this prior",
            )
        return samples(beta, sigma, None, True)
    if isinstance(method, ConditionalMean) and method.resample == "jackknife":
        rows, betas, sigmas = [everyone], [full_beta], [full_sigma]
        for i in range(model.n):
            left = np.delete(everyone, i)
            fit, _ = model.fit(left)
            if fit is None or fit.status is not Status.OK:
                raise EstimationError(
                    f"the imputation model cannot be fitted without patient number {i + 1}: {failure(fit)}",
                    hint="use resample='bootstrap', or leave out visits that few attended",
                )
            rows.append(left)
            betas.append(model.expand(fit.beta))
            sigmas.append(fit.sigma)
        return samples(betas, sigmas, rows, False)
    if isinstance(method, ApproxBayes):
        _, betas, sigmas, failed = _bootstrap(model, method.n_imputations, method.threshold, seed, replicate)
        return samples(betas, sigmas, None, True, failed)
    rows, betas, sigmas, failed = _bootstrap(model, method.n_samples, method.threshold, seed, replicate)
    if isinstance(method, ConditionalMean):
        return samples([full_beta, *betas], [full_sigma, *sigmas], [everyone, *rows], False, failed)
    assert isinstance(method, Bmlmi)
    return samples(betas, sigmas, rows, True, failed, method.n_each)
