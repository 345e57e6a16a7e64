"""The fitted model: what a statistician asks of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
from scipy.special import fdtrc, stdtr, stdtrit

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.formula import CovarianceTerm, Design, ModelFormula, build, sum_coded
from equipoise.estimate.left_out import LeftOut
from equipoise.estimate.linear.mmrm import kenward_roger, satterthwaite
from equipoise.estimate.linear.mmrm.engine import Fitted, Rows
from equipoise.estimate.linear.mmrm.lsmeans import Grid, grid
from equipoise.estimate.linear.mmrm.sandwich import KINDS, Sandwich, sandwich
from equipoise.estimate.result import Estimate, check_level
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
class MmrmFit:
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
    fitted: Fitted = field(repr=False)
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
        return self.fitted.structure

    @property
    def names(self) -> tuple[str, ...]:
        return self.design.names

    @property
    def aliased(self) -> tuple[str, ...]:
        """Columns of the design that depend on the ones before them, left out as R does."""
        out = np.ones(len(self.names), dtype=np.bool_)
        out[self.kept] = False
        return tuple(n for n, o in zip(self.names, out, strict=True) if o)

    @property
    def converged(self) -> bool:
        return self.fitted.status is Status.OK

    @property
    def status(self) -> Status:
        return self.fitted.status

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
        return self.fitted.gradient_norm

    @property
    def steps(self) -> int:
        return self.fitted.steps

    @property
    def loglik(self) -> float:
        return self.fitted.loglik

    @property
    def n_obs(self) -> int:
        return len(self.response)

    @property
    def n_subjects(self) -> int:
        return self.rows.n_subjects

    @property
    def n_parameters(self) -> int:
        """Covariance parameters: what AIC and BIC count."""
        return len(self.fitted.theta)

    @property
    def aic(self) -> float:
        return -2.0 * self.loglik + 2.0 * self.n_parameters

    @property
    def bic(self) -> float:
        return -2.0 * self.loglik + math.log(self.n_subjects) * self.n_parameters

    @cached_property
    def beta(self) -> FloatArray:
        out = np.full(len(self.names), np.nan)
        out[self.kept] = self.fitted.beta
        return out

    @property
    def covariance(self) -> FloatArray | dict[Any, FloatArray]:
        if self.groups is None:
            return self._known(self.fitted.block(np.arange(len(self.visits)), 0), 0)
        return {g: self._known(self.fitted.sigma[i].copy(), i) for i, g in enumerate(self.groups)}

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
            return np.asarray(np.linalg.cholesky(self.fitted.information), np.float64)
        except np.linalg.LinAlgError:
            return np.full_like(self.fitted.information, np.nan)

    @cached_property
    def _w(self) -> FloatArray:
        """Covariance of the covariance parameters: the inverse information."""
        if not np.isfinite(self._factor).all():
            return self._factor
        try:
            return np.asarray(np.linalg.inv(self.fitted.information), np.float64)
        except np.linalg.LinAlgError:  # definite by a hair
            return np.full_like(self.fitted.information, np.nan)

    @cached_property
    def _phi(self) -> FloatArray:
        return self.fitted.linv.T @ self.fitted.linv

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
            self.vcov_method, self.fitted, x, y, self.rows.subject, self.rows.visit, self.rows.subject_group
        )

    @cached_property
    def _vcov(self) -> FloatArray:
        if not self.converged:
            return np.full_like(self._phi, np.nan)
        if self.vcov_method in KINDS:
            return self._sandwich.vcov
        if self.vcov_method in ("kenward-roger", "kenward-roger-linear"):
            adjusted = kenward_roger.adjust(self.fitted, self._w, self.vcov_method == "kenward-roger")
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
        return satterthwaite.model_table(self.fitted.linv, self.fitted.packed, self._factor, contrasts)[1]

    @cached_property
    def _null_space(self) -> FloatArray:
        """(p, aliased) directions of the coefficients the data say nothing about."""
        x = self.design.matrix()
        lost = np.setdiff1d(np.arange(x.shape[1]), self.kept)
        out = np.zeros((x.shape[1], len(lost)))
        out[self.kept] = np.linalg.lstsq(x[:, self.kept], x[:, lost], rcond=None)[0]
        out[lost, np.arange(len(lost))] = -1.0
        return out

    def _estimable(self, rows: FloatArray) -> BoolArray:
        if len(self.kept) == len(self.names):
            return np.ones(len(rows), dtype=np.bool_)
        limit = 1e-8 * (1.0 + np.abs(rows).max(axis=1, initial=0.0))
        return np.asarray(np.abs(rows @ self._null_space).max(axis=1) < limit)

    def _state(self, estimable: bool, se: float) -> tuple[Status, str | None]:
        """Status and reason of one linear function."""
        if not estimable:
            return Status.ALIASED, f"not estimable: it needs {', '.join(self.aliased)} (aliased, or never observed)"
        if not self.converged:
            return self.status, self.reason
        if not se > 0.0:
            return Status.SINGULAR, f"not estimable: its {self.vcov_method} variance is not positive"
        return Status.OK, None

    def _linear(self, rows: FloatArray, level: float, spread: FloatArray | None = None) -> dict[str, list[float]]:
        """Estimate, se, df, t, p and interval of every row (row, p) in all columns of the design."""
        check_level(level)
        estimable = self._estimable(rows)
        used = rows[:, self.kept]
        estimate = used @ self.fitted.beta
        variance = np.einsum("ra,ab,rb->r", used, self._vcov, used)
        if spread is not None:
            variance = variance + spread
        df = self._df(used)
        with np.errstate(divide="ignore", invalid="ignore"):
            se = np.sqrt(variance)  # NaN where a Kenward-Roger variance came out negative
            t = estimate / se
        p = 2.0 * stdtr(df, -np.abs(t))
        half = stdtrit(df, 0.5 + 0.5 * level) * se
        table = {"estimate": estimate, "se": se, "df": df, "t": t, "p": p, "lower": estimate - half,
                 "upper": estimate + half}  # fmt: skip
        return {k: np.where(estimable, v, np.nan).tolist() for k, v in table.items()}

    def _native(self, table: Mapping[str, Sequence[Any]]) -> Any:
        backend = nw.get_native_namespace(self.design.frame)
        return nw.from_dict(dict(table), backend=backend).to_native()

    @property
    def coefficients(self) -> Any:
        """Term, estimate, se, df, t, p and 95 % interval of every coefficient, as a frame of the kind that came in."""
        rows = np.eye(len(self.names))
        table = self._linear(rows, 0.95)
        if self.aliased:
            lost = [n in set(self.aliased) for n in self.names]
            table = {k: [math.nan if a else x for a, x in zip(lost, v, strict=True)] for k, v in table.items()}
        return self._native({"term": list(self.names), **table})

    def _names_of(self, specs: str | Sequence[str] | None) -> list[str]:
        if specs is None:
            return []
        return [s.strip() for s in specs.split(":")] if isinstance(specs, str) else list(specs)

    @cached_property
    def _observed_design(self) -> Design:
        """The design on all records with complete covariates, whether or not the response was observed."""
        model = self.model.without_response()
        design, _ = build(model, self.design.frame, {}, self.design.reduced, self.design.first)
        if design.names != self.names:
            raise DataError("records without a response have levels of a factor that analysed records lack",
                            hint="drop those records, or use weights='proportional'")  # fmt: skip
        return design

    def _grid(self, specs: str | Sequence[str], by: str | Sequence[str] | None, weights: str,
              at: Mapping[str, Any] | None) -> tuple[Grid, list[str], list[str]]:  # fmt: skip
        first, second = self._names_of(specs), self._names_of(by)
        key = (tuple(first), tuple(second), weights, tuple(sorted((at or {}).items())))
        cache: dict[Any, Grid] = self.__dict__.setdefault("_grids", {})
        if key not in cache:
            per_subject = np.bincount(self.rows.subject, minlength=self.n_subjects)
            share = 1.0 / per_subject[self.rows.subject]
            cache[key] = grid(self.design, first + second, weights, at or {}, share, np.nan_to_num(self.beta),
                              self._observed_design if weights == "observed" else None)  # fmt: skip
        return cache[key], first, second

    def lsmeans(self, specs: str | Sequence[str], by: str | Sequence[str] | None = None, *, weights: str = "equal",
                at: Mapping[str, Any] | None = None, level: float = 0.95) -> Any:  # fmt: skip
        """Least-squares means for every combination of the levels of ``specs`` (and ``by``).

        ``weights``: ``equal``, ``proportional``, ``observed`` (SAS ``OM``) or ``counterfactual``
        (:mod:`mmrm.lsmeans`). ``at`` fixes covariates elsewhere than at their mean. A mean that is
        not estimable is NaN. Returns a frame: the levels, estimate, se, df, t, p, lower, upper.
        """
        made, _, _ = self._grid(specs, by, weights, at)
        spread = None if made.spread is None else np.diag(made.spread)
        return self._native({**made.labels, **self._linear(made.rows, level, spread)})

    def _pairs(
        self,
        specs: str | Sequence[str],
        by: str | Sequence[str] | None,
        weights: str,
        at: Mapping[str, Any] | None,
        against: Any,
    ) -> tuple[dict[str, list[Any]], FloatArray, FloatArray | None]:
        made, first, second = self._grid(specs, by, weights, at)
        n = len(made.rows)
        cells: dict[tuple[Any, ...], list[int]] = {}
        for i in range(n):
            cells.setdefault(tuple(made.labels[b][i] for b in second), []).append(i)
        text = [" ".join(str(made.labels[f][i]) for f in first) for i in range(n)]
        labels: dict[str, list[Any]] = {"contrast": [], **{b: [] for b in second}}
        out = []
        for cell, members in cells.items():
            if against is not None and str(against) not in {text[i] for i in members}:
                raise EstimationError(f"{against!r} is not a level of {', '.join(first)}",
                                      hint="levels are " + ", ".join(dict.fromkeys(text)))  # fmt: skip
            for hi in range(len(members)):
                for lo in range(len(members)):
                    a, b = members[hi], members[lo]
                    if (lo < hi) if against is None else (text[b] == str(against) and a != b):
                        row = np.zeros(n)
                        row[a], row[b] = 1.0, -1.0
                        out.append(row)
                        labels["contrast"].append(f"{text[a]} - {text[b]}")
                        for name, value in zip(second, cell, strict=True):
                            labels[name].append(value)
        combine = np.array(out).reshape(len(out), n)
        spread = None if made.spread is None else np.einsum("ra,ab,rb->r", combine, made.spread, combine)
        return labels, combine @ made.rows, spread

    def contrasts(self, specs: str | Sequence[str] | Mapping[str, Mapping[str, float]],
                  by: str | Sequence[str] | None = None, *, against: Any = None, weights: str = "equal",
                  at: Mapping[str, Any] | None = None, level: float = 0.95) -> Any:  # fmt: skip
        """Differences of least-squares means within each level of ``by``: every level minus every earlier one.

        ``against`` a level: all others minus it. ``specs`` may instead be your own contrasts of coefficients,
        ``{"name": {"term": weight, ...}, ...}``. Returns a frame: contrast, ``by``, estimate, se, df, t, p, lower and
        upper.
        """
        if isinstance(specs, Mapping):
            rows = np.zeros((len(specs), len(self.names)))
            for i, weights_of in enumerate(specs.values()):
                for term, value in weights_of.items():
                    if term not in self.names:
                        raise EstimationError(f"no coefficient {term!r}", hint="see fit.names")
                    rows[i, self.names.index(term)] = value
            return self._native({"contrast": list(specs), **self._linear(rows, level)})
        labels, rows, spread = self._pairs(specs, by, weights, at, against)
        return self._native({**labels, **self._linear(rows, level, spread)})

    def estimates(self, specs: str, by: str | None = None, *, against: Any = None, weights: str = "equal",
                  level: float = 0.95, estimand: str | None = None) -> tuple[Estimate, ...]:  # fmt: skip
        """The contrasts of :meth:`contrasts` as :class:`equipoise.estimate.Estimate` objects."""
        labels, rows, spread = self._pairs(specs, by, weights, None, against)
        table = self._linear(rows, level, spread)
        estimable = self._estimable(rows)
        second = self._names_of(by)
        estimator = f"MMRM, {self.structure} covariance, {self.df_method}"
        references = (REFERENCES["mmrm"], REFERENCES[self.df_method])
        out = []
        for i in range(len(rows)):
            place = ", ".join(f"{labels[b][i]}" for b in second)
            status, detail = self._state(bool(estimable[i]), table["se"][i])
            out.append(Estimate(
                name=labels["contrast"][i] + (f" at {place}" if place else ""), estimator=estimator,
                estimate=table["estimate"][i], se=table["se"][i], df=table["df"][i], low=table["lower"][i],
                high=table["upper"][i], p=table["p"][i], n=self.n_subjects, level=level, estimand=estimand,
                status=status, detail=detail, references=references, statistic=table["t"][i]))  # fmt: skip
        return tuple(out)

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
            return kenward_roger.joint_test(rows, self.fitted.beta, self._vcov, self.fitted.linv, self.fitted.packed,
                                              self._w)  # fmt: skip
        if self.df_method in ("between-within", "residual"):
            q, _, f, _ = satterthwaite.joint_test(rows, self.fitted.beta, self._vcov, lambda r: np.full(len(r), 1e9))
            den = float(self._df(rows).min())
            return (q, den, f, float(fdtrc(q, den, f)))
        return satterthwaite.joint_test(rows, self.fitted.beta, self._vcov, self._df)

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
        return self._native({"terms": [label], "num_df": [result[0]], "den_df": [result[1]], "f": [result[2]],
                             "p": [result[3]]})  # fmt: skip

    @cached_property
    def _type_three(self) -> FloatArray:
        """(p, p) coefficients under sum-to-zero coding, as functions of ours."""
        x, other = self.design.matrix(), sum_coded(self.design)
        change = np.linalg.lstsq(other, x, rcond=None)[0]
        if np.abs(other @ change - x).max() > 1e-8 * (1.0 + np.abs(x).max()):
            raise EstimationError("the model is not hierarchical, so Type III tests are not defined",
                                  hint="add the lower-order terms, or test coefficients with fit.test()")  # fmt: skip
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
        x = self.design.matrix()[:, self.kept]
        r = self.response - x @ self.fitted.beta
        visit, subject = self.rows.visit, self.rows.subject
        root = np.ones(self.n_obs) if self.rows.weights is None else np.sqrt(self.rows.weights)
        group = self.rows.subject_group[subject]
        if kind == "pearson":
            one = np.array([self.fitted.block(np.array([v]), int(g))[0, 0] for v, g in zip(visit, group, strict=True)])
            r = r * root / np.sqrt(one)
        elif kind == "normalized":
            order = np.lexsort((visit, subject))
            starts = np.flatnonzero(np.r_[True, np.diff(subject[order]) != 0])
            out = np.empty(self.n_obs)
            for block in np.split(order, starts[1:]):
                v = self.fitted.block(visit[block], int(group[block[0]]))
                out[block] = np.linalg.solve(np.linalg.cholesky(v), (r * root)[block])
            r = out
        elif kind != "response":
            raise EstimationError(f"unknown kind of residuals {kind!r}", hint="choose response, pearson or normalized")
        return self._native({
            self.term.subject: [self.subjects[s] for s in subject], self.term.visit: [self.visits[v] for v in visit],
            "residual": r.tolist()})  # fmt: skip

    def summary(self) -> str:
        """The fit as people print it."""
        from equipoise.estimate.linear.mmrm.summary import render

        return render(self)

    def __str__(self) -> str:
        return self.summary()
