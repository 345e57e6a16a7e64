"""Analysis of covariance: least squares on one row a patient, with least-squares means and contrasts.

    y = X beta + e,  e ~ N(0, sigma^2 / w)

Equations, and what R and SAS call things, in ``docs/methods/ancova.md``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
from scipy import linalg, special

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.mmrm.design import Design, build
from equipoise.estimate.mmrm.formula import ModelFormula, parse
from equipoise.estimate.mmrm.lsmeans import Grid, grid
from equipoise.estimate.result import Estimate
from equipoise.types import FloatArray, IntArray

VCOV = ("model", "HC0", "HC1", "HC2", "HC3")
REFERENCES = {
    "ancova": "Fisher 1932, Statistical Methods for Research Workers, 4th ed., section 49.1",
    "means": "Searle, Speed & Milliken 1980, Am Stat 34:216",
    "HC0": "White 1980, Econometrica 48:817",
    "HC1": "MacKinnon & White 1985, J Econometrics 29:305",
    "HC2": "MacKinnon & White 1985, J Econometrics 29:305",
    "HC3": "MacKinnon & White 1985, J Econometrics 29:305",
}


@dataclass(eq=False)
class AncovaFit:
    """A fitted analysis of covariance.

    names, kept : every column of the design, and the indices of those not aliased with earlier ones.
    beta, vcov : coefficients and their covariance, NaN where aliased. sigma : residual standard deviation.
    df : residual degrees of freedom. n : patients analysed. loglik : at the maximum-likelihood variance.
    """

    formula: str
    model: ModelFormula
    design: Design
    response: FloatArray
    weights: FloatArray | None
    vcov_method: str
    names: tuple[str, ...]
    kept: IntArray
    beta: FloatArray
    vcov: FloatArray
    sigma: float
    df: int
    loglik: float
    hat: FloatArray = field(repr=False)
    residuals: FloatArray = field(repr=False)

    @property
    def n(self) -> int:
        return len(self.response)

    @property
    def aliased(self) -> tuple[str, ...]:
        """Columns that are linear combinations of earlier ones: no coefficient."""
        lost = set(range(len(self.names))) - set(self.kept.tolist())
        return tuple(self.names[i] for i in sorted(lost))

    @property
    def r2(self) -> float:
        """Share of the (weighted) variance about the mean that is explained."""
        w = np.ones(self.n) if self.weights is None else self.weights
        mean = np.average(self.response, weights=w)
        return 1.0 - float((w * self.residuals**2).sum() / (w * (self.response - mean) ** 2).sum())

    @cached_property
    def _null_space(self) -> FloatArray:
        x = self.design.matrix()
        lost = np.setdiff1d(np.arange(x.shape[1]), self.kept)
        out = np.zeros((x.shape[1], len(lost)))
        out[self.kept] = np.linalg.lstsq(x[:, self.kept], x[:, lost], rcond=None)[0]
        out[lost, np.arange(len(lost))] = -1.0
        return out

    def linear(self, rows: FloatArray, level: float = 0.95) -> dict[str, list[float]]:
        """Estimate, se, df, t, p and interval of linear functions (row, column) of all columns of the design.

        NaN where a function is not estimable.
        """
        if not 0.0 < level < 1.0:
            raise EstimationError(f"level = {level!r}", hint="give a confidence level between 0 and 1, such as 0.95")
        rows = np.atleast_2d(np.asarray(rows, dtype=np.float64))
        estimable = np.ones(len(rows), dtype=np.bool_)
        if self.aliased:
            estimable = np.abs(rows @ self._null_space).max(axis=1) < 1e-8 * (1.0 + np.abs(rows).max(axis=1))
        used = rows[:, self.kept]
        estimate = used @ self.beta[self.kept]
        se = np.sqrt(np.einsum("ra,ab,rb->r", used, self.vcov[np.ix_(self.kept, self.kept)], used))
        with np.errstate(divide="ignore", invalid="ignore"):
            t = estimate / se
        half = special.stdtrit(self.df, 0.5 + 0.5 * level) * se
        table = {
            "estimate": estimate,
            "se": se,
            "df": np.full(len(rows), float(self.df)),
            "t": t,
            "p": 2.0 * special.stdtr(self.df, -np.abs(t)),
            "lower": estimate - half,
            "upper": estimate + half,
        }
        return {k: np.where(estimable, v, np.nan).tolist() for k, v in table.items()}

    def _native(self, table: Mapping[str, Sequence[Any]]) -> Any:
        return nw.from_dict(dict(table), backend=nw.get_native_namespace(self.design.frame)).to_native()

    @property
    def coefficients(self) -> Any:
        """Term, estimate, se, df, t, p and 95 % interval of every coefficient, as a frame of the kind that came in."""
        table = self.linear(np.eye(len(self.names)))
        lost = [n in set(self.aliased) for n in self.names]
        table = {k: [math.nan if a else x for a, x in zip(lost, v, strict=True)] for k, v in table.items()}
        return self._native({"term": list(self.names), **table})

    @cached_property
    def _observed_design(self) -> Design:
        frame = self.design.frame.with_columns(nw.lit(0.0).alias("__response__"))
        design, _ = build(ModelFormula(self.model.text, "__response__", self.model.terms, None), frame, {})
        if design.names != self.names:
            raise DataError(
                "records without a response have levels of a factor that analysed records lack",
                hint="drop those records, or use weights='proportional'",
            )
        return design

    def _grid(self, specs: str | Sequence[str], weights: str, at: Mapping[str, Any] | None) -> tuple[Grid, list[str]]:
        names = [s.strip() for s in specs.split(":")] if isinstance(specs, str) else list(specs)
        if weights == "counterfactual":
            raise EstimationError("counterfactual means are not offered by ancova", hint="use mmrm, or 'proportional'")
        observed = self._observed_design if weights == "observed" else None
        made = grid(self.design, names, weights, at or {}, np.ones(self.n), np.nan_to_num(self.beta), observed)
        return made, names

    def lsmeans(
        self,
        specs: str | Sequence[str],
        *,
        weights: str = "equal",
        at: Mapping[str, Any] | None = None,
        level: float = 0.95,
    ) -> Any:
        """Least-squares means for every combination of the levels of ``specs``.

        ``weights``: other factors count ``equal`` (SAS LSMEANS), ``proportional`` to the analysed records (emmeans) or
        as in all ``observed`` records with complete covariates (SAS OM). Numeric covariates are at their mean, or at
        the value given in ``at``. Returns a frame: the levels, estimate, se, df, t, p, lower, upper.
        """
        made, _ = self._grid(specs, weights, at)
        return self._native({**made.labels, **self.linear(made.rows, level)})

    def _pairs(
        self, specs: str | Sequence[str], weights: str, at: Mapping[str, Any] | None, against: Any
    ) -> tuple[list[str], FloatArray]:
        made, names = self._grid(specs, weights, at)
        text = [" ".join(str(made.labels[f][i]) for f in names) for i in range(len(made.rows))]
        if against is not None and str(against) not in text:
            raise EstimationError(
                f"{against!r} is not a level of {', '.join(names)}", hint="levels are " + ", ".join(text)
            )
        pairs = [
            (a, b)
            for a in range(len(text))
            for b in range(len(text))
            if ((b < a) if against is None else (text[b] == str(against) and a != b))
        ]
        rows = np.array([made.rows[a] - made.rows[b] for a, b in pairs]).reshape(len(pairs), -1)
        return [f"{text[a]} - {text[b]}" for a, b in pairs], rows

    def contrasts(
        self,
        specs: str | Sequence[str] | Mapping[str, Mapping[str, float]],
        *,
        against: Any = None,
        weights: str = "equal",
        at: Mapping[str, Any] | None = None,
        level: float = 0.95,
    ) -> Any:
        """Differences of least-squares means: every level minus every earlier one, or all others minus ``against``.

        ``specs`` may instead be your own contrasts of coefficients, ``{"name": {"term": weight, ...}, ...}``. Returns
        a frame: contrast, estimate, se, df, t, p, lower, upper.
        """
        if isinstance(specs, Mapping):
            rows = np.zeros((len(specs), len(self.names)))
            for i, weights_of in enumerate(specs.values()):
                for term, value in weights_of.items():
                    if term not in self.names:
                        raise EstimationError(f"no coefficient {term!r}", hint="coefficients: " + ", ".join(self.names))
                    rows[i, self.names.index(term)] = value
            labels = list(specs)
        else:
            labels, rows = self._pairs(specs, weights, at, against)
        return self._native({"contrast": labels, **self.linear(rows, level)})

    def estimates(
        self,
        specs: str,
        *,
        against: Any = None,
        weights: str = "equal",
        level: float = 0.95,
        ratio: bool = False,
        estimand: str | None = None,
    ) -> tuple[Estimate, ...]:
        """The contrasts of :meth:`contrasts` as :class:`equipoise.estimate.Estimate` objects.

        ``ratio``: the response was a logarithm; give ratios of geometric means.
        """
        labels, rows = self._pairs(specs, weights, None, against)
        table = self.linear(rows, level)
        references = [REFERENCES["ancova"], REFERENCES["means"]]
        if self.vcov_method != "model":
            references.append(REFERENCES[self.vcov_method])
        return tuple(
            Estimate.from_t(
                label.replace(" - ", " / ") if ratio else label,
                "ANCOVA" if self.vcov_method == "model" else f"ANCOVA, {self.vcov_method} covariance",
                table["estimate"][i],
                table["se"][i],
                float(self.df),
                self.n,
                level=level,
                ratio=ratio,
                estimand=estimand,
                references=tuple(references),
            )
            for i, label in enumerate(labels)
        )


def _independent(x: FloatArray) -> IntArray:
    """Columns not linear combinations of earlier ones (R's rule: in order, tolerance 1e-7 of the column's norm)."""
    kept: list[int] = []
    basis = np.zeros((x.shape[0], 0))
    for j in range(x.shape[1]):
        v = x[:, j]
        rest = v - basis @ (basis.T @ v)
        rest -= basis @ (basis.T @ rest)
        norm = np.linalg.norm(rest)
        if norm > 1e-7 * np.linalg.norm(v):
            kept.append(j)
            basis = np.column_stack([basis, rest / norm])
    return np.array(kept, dtype=np.int64)


def ancova(formula: str, data: Any, *, weights: str | None = None, vcov: str = "model") -> AncovaFit:
    """Fit an analysis of covariance by least squares.

    Parameters
    ----------
    formula : ``CHG ~ BASE + RILFL + TRT01P``, as in R. Text columns and categories are factors (treatment contrasts,
        first level the reference), ``C(x)`` makes a factor of a number, and ``log(x)`` and the like are evaluated.
    data : one row a patient; pandas, polars or pyarrow. Rows that lack the response or a covariate take no part.
    weights : name of a column of positive weights; the variance of a row is divided by its weight.
    vcov : ``model``, or a covariance robust to unequal variances: ``HC0`` (White 1980), ``HC1``, ``HC2`` or ``HC3``
        (MacKinnon & White 1985). Intervals use Student's t on the residual degrees of freedom throughout.

    Returns
    -------
    AncovaFit

    Raises
    ------
    EstimationError : the formula or the options cannot be used, or nothing is left to estimate the variance from.
    DataError : a column is absent or of the wrong type.

    Examples
    --------
    >>> import polars as pl
    >>> change, base = [-6.0, -4.0, -5.0, -1.0, -3.0, -2.0], [30, 35, 40, 33, 36, 41]
    >>> data = pl.DataFrame({"CHG": change, "BASE": base, "ARM": list("aaabbb")})
    >>> fit = ancova("CHG ~ BASE + ARM", data)
    >>> print(fit.estimates("ARM")[0].to_sentence())
    b - a: difference 2.96 (95 % CI -0.0968 to 6.02), P = 0.0541 (ANCOVA, n = 6).
    """
    if vcov not in VCOV:
        raise EstimationError(f"unknown vcov {vcov!r}", hint="choose one of " + ", ".join(VCOV))
    model = parse(formula, needs_covariance=False)
    if model.covariance is not None:
        raise EstimationError("ancova takes no covariance term", hint="use mmrm for repeated measures")
    try:
        frame = nw.from_native(data, eager_only=True)
    except TypeError as error:
        raise DataError(f"{type(data).__name__} is not a data frame", hint="bring pandas, polars or pyarrow") from error
    w = None
    if weights is not None:
        if weights not in frame.columns:
            raise DataError(
                f"no column {weights!r} for the weights", hint="columns are " + ", ".join(frame.columns[:40])
            )
        present = ~frame.get_column(weights).is_null()
        frame = frame.filter(present)
    design, y = build(model, frame, {})
    if weights is not None:
        w = np.asarray(frame.get_column(weights).to_numpy(), dtype=np.float64)[design.keep]
        if not (np.isfinite(w).all() and (w > 0.0).all()):
            raise DataError("weights must be positive and finite", hint="drop rows of weight 0 or without a weight")
    x = design.matrix()
    root = np.ones(len(y)) if w is None else np.sqrt(w)
    kept = _independent(x * root[:, None])
    df = len(y) - len(kept)
    if len(kept) == 0 or df < 1:
        raise EstimationError(
            f"{len(y)} patients cannot estimate {len(kept)} coefficients and a variance", hint="simplify the formula"
        )
    q, r = np.linalg.qr(x[:, kept] * root[:, None])
    beta = linalg.solve_triangular(r, q.T @ (y * root))
    residuals = y - x[:, kept] @ beta
    rss = float((w * residuals**2).sum()) if w is not None else float((residuals**2).sum())
    inverse = linalg.solve_triangular(r, np.eye(len(kept)))
    hat = (q * q).sum(axis=1)
    if vcov == "model":
        covariance = rss / df * (inverse @ inverse.T)
    else:
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = {
                "HC0": np.ones(len(y)),
                "HC1": np.full(len(y), len(y) / df),
                "HC2": 1.0 / (1.0 - hat),
                "HC3": 1.0 / (1.0 - hat) ** 2,
            }[vcov]
        if not np.isfinite(scale).all():
            raise EstimationError(
                f"{vcov} does not exist: a patient determines a coefficient alone (leverage 1)",
                hint="use vcov='model' or 'HC1'",
            )
        half = inverse @ (q * (residuals * root * np.sqrt(scale))[:, None]).T
        covariance = half @ half.T
    full_beta = np.full(x.shape[1], np.nan)
    full_beta[kept] = beta
    full = np.full((x.shape[1], x.shape[1]), np.nan)
    full[np.ix_(kept, kept)] = covariance
    n = len(y)
    loglik = 0.5 * (
        (0.0 if w is None else float(np.log(w).sum())) - n * (math.log(2 * math.pi) + 1 + math.log(rss / n))
    )
    return AncovaFit(
        formula,
        model,
        design,
        y,
        w,
        vcov,
        design.names,
        kept,
        full_beta,
        full,
        math.sqrt(rss / df),
        df,
        loglik,
        hat,
        residuals,
    )
