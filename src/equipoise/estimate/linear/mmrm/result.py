"""The fitted model: what a statistician asks of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
from scipy.special import fdtrc

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.diagnostics import Diagnostics
from equipoise.estimate.formula import CovarianceTerm, Design, ModelFormula, sum_coded
from equipoise.estimate.frames import values_of
from equipoise.estimate.influence import Influence
from equipoise.estimate.left_out import LeftOut
from equipoise.estimate.linear.fitted import LinearFit
from equipoise.estimate.linear.mmrm import kenward_roger, satterthwaite
from equipoise.estimate.linear.mmrm.engine import Fitted, Rows
from equipoise.estimate.linear.mmrm.places import in_the_plane
from equipoise.estimate.linear.mmrm.sandwich import KINDS, Sandwich, sandwich
from equipoise.types import REASONS, BoolArray, FloatArray, IntArray, Status

REFERENCES = {
    "mmrm": "Mallinckrodt et al. 2008, Drug Inf J 42:303-319",
    "kenward-roger": "Kenward & Roger 1997, Biometrics 53:983-997",
    "kenward-roger-linear": "Kenward & Roger 1997, Biometrics 53:983-997, without second derivatives",
    "satterthwaite": "Fai & Cornelius 1996, J Stat Comput Simul 54:363-378",
    "between-within": "Pinheiro & Bates 2000, Mixed-Effects Models in S and S-PLUS, p. 91",
    "residual": "observations less the rank of the design",
}


@dataclass(eq=False)
class MmrmFit(LinearFit):
    """A fitted mixed model for repeated measures.

    Attributes
    ----------
    formula : the formula as given; ``term`` is the covariance term that was used.
    structure : the covariance structure used (the first of the ladder that converged); ``attempts`` says what became
        of each.
    reml, df_method, vcov_method : how it was fitted and how inference is done.
    beta : (p,) coefficients, NaN where aliased; ``names`` (p,) the columns of the design.
    vcov : (p, p) covariance of the coefficients by ``vcov_method``, NaN where aliased.
    covariance : (visit, visit) fitted covariance of one subject, or a dict of them by group; ``visits`` names its rows.
    loglik, aic, bic : restricted log-likelihood under REML; both criteria count covariance parameters under REML and
        BIC takes the number of subjects, as R's mmrm does.
    converged, gradient_norm, steps : whether the optimum was reached, the largest derivative of the log-likelihood
        there, and the scoring steps it took.
    n_obs, n_subjects : records and subjects analysed. left_out : rows that take no part, with ``reasons``.
    reason : what became of the fit, in words.
    """

    formula: str
    model: ModelFormula = field(repr=False)
    term: CovarianceTerm
    reml: bool
    df_method: str
    vcov_method: str
    design: Design = field(repr=False)
    rows: Rows = field(repr=False)
    optimum: Fitted = field(repr=False)
    kept: IntArray = field(repr=False)
    response: FloatArray = field(repr=False)
    visits: tuple[Any, ...]
    groups: tuple[Any, ...] | None
    subjects: tuple[Any, ...] = field(repr=False)
    attempts: tuple[tuple[str, str], ...] = ()
    messages: tuple[str, ...] = ()
    left_out: LeftOut = field(default_factory=LeftOut)
    unknown: dict[int, BoolArray] = field(default_factory=dict, repr=False)

    # --- what was fitted ------------------------------------------------------------------------------------------

    @property
    def structure(self) -> str:
        return self.optimum.structure

    @property
    def names(self) -> tuple[str, ...]:
        return self.design.names

    @property
    def converged(self) -> bool:
        return self.optimum.status is Status.OK

    @property
    def status(self) -> Status:
        return self.optimum.status

    @property
    def reason(self) -> str:
        if self.converged:
            return REASONS[Status.OK]
        tried = dict.fromkeys(what for _, what in self.attempts)
        if len(tried) == 1:
            return f"not estimable: {next(iter(tried))}"
        return "not estimable: " + "; ".join(f"{s}: {w}" for s, w in self.attempts)

    @property
    def gradient_norm(self) -> float:
        return self.optimum.gradient_norm

    @property
    def steps(self) -> int:
        return self.optimum.steps

    @property
    def loglik(self) -> float:
        return self.optimum.loglik

    @property
    def n_obs(self) -> int:
        return len(self.response)

    @property
    def n_subjects(self) -> int:
        return self.rows.n_subjects

    @property
    def n_parameters(self) -> int:
        """Covariance parameters: what AIC and BIC count."""
        return len(self.optimum.theta)

    @property
    def aic(self) -> float:
        return -2.0 * self.loglik + 2.0 * self.n_parameters

    @property
    def bic(self) -> float:
        return -2.0 * self.loglik + math.log(self.n_subjects) * self.n_parameters

    @cached_property
    def beta(self) -> FloatArray:
        out = np.full(len(self.names), np.nan)
        out[self.kept] = self.optimum.beta
        return out

    @property
    def covariance(self) -> FloatArray | dict[Any, FloatArray]:
        if self.groups is None:
            return self._known(self.optimum.block(np.arange(len(self.visits)), 0), 0)
        return {g: self._known(self.optimum.sigma[i].copy(), i) for i, g in enumerate(self.groups)}

    def _known(self, sigma: FloatArray, group: int) -> FloatArray:
        """``sigma`` without the elements that the data hold nothing on."""
        if group in self.unknown:
            low = np.tril_indices(len(sigma))
            for a, b, lost in zip(*low, self.unknown[group], strict=True):
                if lost:
                    sigma[a, b] = sigma[b, a] = np.nan
        return sigma

    @cached_property
    def _factor(self) -> FloatArray:
        """Lower Cholesky factor of the information of the covariance parameters, NaN where it is not definite."""
        try:
            return np.asarray(np.linalg.cholesky(self.optimum.information), np.float64)
        except np.linalg.LinAlgError:
            return np.full_like(self.optimum.information, np.nan)

    @cached_property
    def _w(self) -> FloatArray:
        """Covariance of the covariance parameters: the inverse information."""
        if not np.isfinite(self._factor).all():
            return self._factor
        try:
            return np.asarray(np.linalg.inv(self.optimum.information), np.float64)
        except np.linalg.LinAlgError:  # definite by a hair
            return np.full_like(self.optimum.information, np.nan)

    @cached_property
    def _phi(self) -> FloatArray:
        return self.optimum.linv.T @ self.optimum.linv

    @cached_property
    def _weighted_rows(self) -> tuple[FloatArray, FloatArray]:
        x = self.design.matrix()[:, self.kept]
        if self.rows.weights is None:
            return x, self.response
        root = np.sqrt(self.rows.weights)
        return x * root[:, None], self.response * root

    @cached_property
    def _sandwich(self) -> Sandwich:
        x, y = self._weighted_rows
        return sandwich(
            self.vcov_method, self.optimum, x, y, self.rows.subject, self.rows.visit, self.rows.subject_group
        )

    @cached_property
    def _vcov(self) -> FloatArray:
        if not self.converged:
            return np.full_like(self._phi, np.nan)
        if self.vcov_method in KINDS:
            return self._sandwich.vcov
        if self.vcov_method in ("kenward-roger", "kenward-roger-linear"):
            adjusted = kenward_roger.adjust(self.optimum, self._w, self.vcov_method == "kenward-roger")
            return np.full_like(self._phi, np.nan) if adjusted is None else adjusted
        return self._phi

    @property
    def vcov(self) -> FloatArray:
        p = len(self.names)
        if len(self.kept) == p:
            return self._vcov.copy()
        out = np.full((p, p), np.nan)
        out[np.ix_(self.kept, self.kept)] = self._vcov
        return out

    # --- linear functions of the coefficients ---------------------------------------------------------------------

    @cached_property
    def _coefficient_df(self) -> FloatArray:
        x = self.design.matrix()[:, self.kept]
        first = np.full(self.n_subjects, -1, np.int64)
        first[self.rows.subject[::-1]] = np.arange(self.n_obs - 1, -1, -1)
        between = (x == x[first[self.rows.subject]]).all(axis=0)
        intercept = np.array([i for i, j in enumerate(self.kept) if self.names[j] == "(Intercept)"], np.int64)
        return satterthwaite.between_within(between, intercept, self.n_obs, self.n_subjects)

    def _df(self, contrasts: FloatArray) -> FloatArray:
        """Degrees of freedom of rows of contrasts in the columns kept."""
        if not self.converged:
            return np.full(len(contrasts), np.nan)
        if self.df_method == "residual":
            return np.full(len(contrasts), float(self.n_obs - len(self.kept)))
        if self.df_method == "between-within":
            return satterthwaite.minimum_df(contrasts, self._coefficient_df)
        if self.vcov_method in KINDS:
            return self._sandwich.df(contrasts)
        if not np.isfinite(self._factor).all():
            return np.full(len(contrasts), np.nan)
        return satterthwaite.model_table(self.optimum.linv, self.optimum.packed, self._factor, contrasts)[1]

    def state_of(self, estimable: bool, se: float) -> tuple[Status, str | None]:
        """Status and reason of one linear function."""
        if not estimable:
            return Status.ALIASED, f"not estimable: it needs {', '.join(self.aliased)} (aliased, or never observed)"
        if not self.converged:
            return self.status, self.reason
        if se == 0.0:
            return Status.NO_VARIANCE, "not estimable: the model fixes it, without a variance"
        if not se > 0.0:
            return Status.SINGULAR, f"not estimable: its {self.vcov_method} variance is not positive"
        return Status.OK, None

    def _estimated(self) -> tuple[FloatArray, FloatArray]:
        return self.optimum.beta, self._vcov

    def _degrees(self, rows: FloatArray) -> FloatArray:
        return self._df(rows)

    @property
    def words(self) -> tuple[str, tuple[str, ...]]:
        """The estimator, and its references."""
        estimator = f"MMRM, {self.structure} covariance, {self.df_method}"
        return estimator, (REFERENCES["mmrm"], REFERENCES[self.df_method])

    @property
    def n_patients(self) -> int:
        return self.n_subjects

    def _share(self) -> FloatArray:
        per_subject = np.bincount(self.rows.subject, minlength=self.n_subjects)
        return np.asarray(1.0 / per_subject[self.rows.subject])

    def _places(self) -> dict[str, list[Any]]:
        return {
            self.term.subject: [self.subjects[s] for s in self.rows.subject],
            self.term.visit: [self.visits[v] for v in self.rows.visit],
        }

    def _variances(self, frame: nw.DataFrame[Any] | None) -> FloatArray:
        if frame is None:
            visit, group = self.rows.visit, self.rows.subject_group[self.rows.subject]
            weights = self.rows.weights
        else:
            visit = self._visits_of(frame)
            group, weights = np.zeros(len(visit), np.int64), None
            if self.groups is not None:
                raise EstimationError(
                    "a prediction interval for new data under a covariance a group",
                    hint="ask for interval='confidence'",
                )
        known: dict[tuple[int, int], float] = {}
        for v, g in zip(visit.tolist(), group.tolist(), strict=True):
            if (v, g) not in known:
                known[v, g] = float(self.optimum.block(np.array([v]), g)[0, 0])
        out = np.array([known[v, g] for v, g in zip(visit.tolist(), group.tolist(), strict=True)])
        return out if weights is None else out / weights

    def _visits_of(self, frame: nw.DataFrame[Any]) -> IntArray:
        """Codes of the visits of new rows."""
        if self.term.coordinates:
            frame, _ = in_the_plane(frame, self.term)
        if self.term.visit not in frame.columns:
            raise DataError(f"no column {self.term.visit!r} in the new data", hint="a prediction needs the visit")
        found = values_of(frame.get_column(self.term.visit))
        places = {v: i for i, v in enumerate(self.visits)}
        unknown = [v for v in found if v not in places]
        if unknown:
            raise DataError(
                f"{self.term.visit!r} is {unknown[0]!r} in the new data",
                hint="visits are " + ", ".join(map(str, self.visits)),
            )
        return np.array([places[v] for v in found], np.int64)

    def _draw(self, generator: np.random.Generator) -> FloatArray:
        out = generator.standard_normal(self.n_obs)
        root = np.ones(self.n_obs) if self.rows.weights is None else np.sqrt(self.rows.weights)
        factors: dict[tuple[Any, ...], FloatArray] = {}
        for block in self._blocks():
            g = int(self.rows.subject_group[self.rows.subject[block[0]]])
            key = (g, *self.rows.visit[block].tolist())
            if key not in factors:
                factors[key] = np.asarray(np.linalg.cholesky(self.optimum.block(self.rows.visit[block], g)), np.float64)
            out[block] = factors[key] @ out[block] / root[block]
        return out

    def _blocks(self) -> list[IntArray]:
        """The rows of every subject, in the order of visits."""
        visit, subject = self.rows.visit, self.rows.subject
        order = np.lexsort((visit, subject))
        starts = np.flatnonzero(np.r_[True, np.diff(subject[order]) != 0])
        return list(np.split(order, starts[1:]))

    def fitted(self) -> Any:
        """The fitted mean of every record analysed, with subject and visit, as a frame."""
        return self.fitted_values()

    def _rows_of(self, terms: Any) -> FloatArray:
        p = len(self.names)
        if isinstance(terms, np.ndarray):
            rows = np.atleast_2d(np.asarray(terms, dtype=np.float64))
            if rows.shape[1] != p:
                raise EstimationError(
                    f"contrasts have {rows.shape[1]} columns", hint=f"the model has {p}: see fit.names"
                )
            return rows
        picked: list[int] = []
        known = {t.name: t for t in self.design.terms}
        by_parts = {frozenset(t.name.split(":")): t for t in self.design.terms}
        for name in [terms] if isinstance(terms, str) else list(terms):
            term = known.get(name) or by_parts.get(frozenset(name.split(":")))
            if term is not None:
                picked.extend(range(term.columns.start, term.columns.stop))
            elif name in self.names:
                picked.append(self.names.index(name))
            else:
                raise EstimationError(f"no term or coefficient {name!r}", hint="terms are " + ", ".join(known))
        return np.eye(p)[sorted(set(picked))]

    def _joint(self, rows: FloatArray) -> tuple[float, float, float, float]:
        """(numerator df, denominator df, F, p) of contrasts in the columns kept."""
        if not self.converged:
            return (float(len(rows)), math.nan, math.nan, math.nan)
        if self.vcov_method in ("kenward-roger", "kenward-roger-linear"):
            return kenward_roger.joint_test(
                rows, self.optimum.beta, self._vcov, self.optimum.linv, self.optimum.packed, self._w
            )
        if self.df_method in ("between-within", "residual"):
            q, _, f, _ = satterthwaite.joint_test(rows, self.optimum.beta, self._vcov, lambda r: np.full(len(r), 1e9))
            den = float(self._df(rows).min())
            return (q, den, f, float(fdtrc(q, den, f)))
        return satterthwaite.joint_test(rows, self.optimum.beta, self._vcov, self._df)

    def test(self, terms: str | Sequence[str] | FloatArray) -> Any:
        """F test that the coefficients of ``terms`` are all zero (one test for all of them together).

        ``terms``: names of terms (``"TRT01P:AVISIT"``), of coefficients, or a matrix of contrasts (row, p). Returns a
        frame with one row: terms, num_df, den_df, f, p. Aliased coefficients are left out.
        """
        rows = self._rows_of(terms)
        if len(self.kept) < len(self.names):
            rows = rows[np.abs(rows @ self._null_space).max(axis=1) < 1e-8]
        rows = rows[:, self.kept]
        if not len(rows):
            raise EstimationError("nothing to test: the coefficients asked for are aliased", hint="see fit.aliased")
        result = self._joint(rows)
        label = "contrasts" if isinstance(terms, np.ndarray) else terms if isinstance(terms, str) else ", ".join(terms)
        return self._native(
            {"terms": [label], "num_df": [result[0]], "den_df": [result[1]], "f": [result[2]], "p": [result[3]]}
        )

    @cached_property
    def _type_three(self) -> FloatArray:
        """(p, p) coefficients under sum-to-zero coding, as functions of ours."""
        x, other = self.design.matrix(), sum_coded(self.design)
        change = np.linalg.lstsq(other, x, rcond=None)[0]
        if np.abs(other @ change - x).max() > 1e-8 * (1.0 + np.abs(x).max()):
            raise EstimationError(
                "the model is not hierarchical, so Type III tests are not defined",
                hint="add the lower-order terms, or test coefficients with fit.test()",
            )
        return np.where(np.abs(change) < 1e-10, 0.0, change)

    def anova(self) -> Any:
        """Type III F test of every term (SAS ``Type 3 Tests``; R ``car::Anova(type = 3)`` with sum-to-zero contrasts).

        The effect of a factor is averaged, equally, over the levels of the factors it interacts with, at zero of the
        covariates it interacts with. Returns a frame: terms, num_df, den_df, f, p.
        """
        if self.aliased:
            raise EstimationError("Type III tests need a design of full rank", hint="see fit.aliased")
        tables = [(t.name, self._joint(self._type_three[t.columns])) for t in self.design.terms if t.factors]
        table: dict[str, list[Any]] = {"terms": [name for name, _ in tables]}
        for i, column in enumerate(("num_df", "den_df", "f", "p")):
            table[column] = [result[i] for _, result in tables]
        return self._native(table)

    def residuals(self, kind: str = "response") -> Any:
        """Residuals of every record analysed, with subject and visit, in the order of the data.

        ``response``: observed minus fitted mean. ``pearson``: divided by the fitted standard deviation. ``normalized``:
        the residuals of a subject times the inverse Cholesky factor of their covariance, in the order of visits.
        """
        r = self.response - self._means()
        root = np.ones(self.n_obs) if self.rows.weights is None else np.sqrt(self.rows.weights)
        if kind == "pearson":
            r = r / np.sqrt(self._variances(None))
        elif kind in ("normalized", "normalised"):
            out = np.empty(self.n_obs)
            for block in self._blocks():
                group = int(self.rows.subject_group[self.rows.subject[block[0]]])
                v = self.optimum.block(self.rows.visit[block], group)
                out[block] = np.linalg.solve(np.linalg.cholesky(v), (r * root)[block])
            r = out
        elif kind != "response":
            raise EstimationError(f"unknown kind of residuals {kind!r}", hint="choose response, pearson or normalized")
        return self._native({**self._places(), "residual": r.tolist()})

    def influence(self, *, refit: bool = False) -> Influence:
        """What every subject does to the coefficients: leverage, Cook's distance, dfbetas; left out in turn.

        With the covariance held at its estimate (Christensen, Pearson & Johnson 1992; SAS ``INFLUENCE(EFFECT=)``), or
        with ``refit`` of models fitted again without the subject, which takes a fit a subject. By the covariance of
        the model, whatever ``vcov_method``.

        Raises :class:`EstimationError` where the model was not fitted.
        """
        from equipoise.estimate.linear.mmrm.leave_out import subject_influence

        return subject_influence(self, refit)

    def diagnostics(self, kind: str = "normalized") -> Diagnostics:
        """Residuals of every record with its fitted mean and visit, what a normal Q-Q plot needs, and the influence of
        subjects; ``kind`` as in :meth:`residuals`. Of a random-slope model, the random effects too.
        """
        table = nw.from_native(self.residuals(kind))
        extra = {
            "visit": self._places()[self.term.visit],
            "fitted": self._whole_means().tolist(),
            "residual": table["residual"].to_list(),
        }
        effects: dict[str, FloatArray] = {}
        if hasattr(self, "random_effects"):
            frame = nw.from_native(self.random_effects)
            effects = {name: frame[name].to_numpy() for name in frame.columns if name != self.term.subject}
        return Diagnostics(
            self.words[0],
            f"{kind} residual",
            self.term.subject,
            {"unit": self._places()[self.term.subject], **extra},
            self.influence(),
            effects=effects,
            backend=self._backend(),
        )

    def summary(self) -> str:
        """The fit as people print it."""
        from equipoise.estimate.linear.mmrm.summary import render

        return render(self)
