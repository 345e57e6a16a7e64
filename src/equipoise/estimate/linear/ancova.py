"""Analysis of covariance: least squares on one row a patient, with least-squares means and contrasts.

    y = X beta + e,  e ~ N(0, sigma^2 / w)

Equations, and what R and SAS call things, in ``docs/methods/ancova.md``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
from scipy import linalg, special

from equipoise.errors import DataError, EstimationError
from equipoise.estimate import influence
from equipoise.estimate.diagnostics import Diagnostics, row_names
from equipoise.estimate.fit import number
from equipoise.estimate.formula import Design, ModelFormula, Term, build, parse, sum_coded
from equipoise.estimate.frames import kept_rows, read_frame, values_of
from equipoise.estimate.influence import Influence
from equipoise.estimate.left_out import LeftOut
from equipoise.estimate.linear.fitted import LinearFit
from equipoise.numerics.linalg import is_rounding
from equipoise.types import REASONS, FloatArray, IntArray, Status

#: A leverage within this of 1 is 1: the patient determines a coefficient alone.
LEVERAGE = 1e-10

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
class AncovaFit(LinearFit):
    """A fitted analysis of covariance.

    names, kept : every column of the design, and the indices of those not aliased with earlier ones.
    beta, vcov : coefficients and their covariance, NaN where aliased. sigma : residual standard deviation.
    df : residual degrees of freedom. n : patients analysed. loglik : at the maximum-likelihood variance.
    status : ``NO_VARIANCE`` where the model fits the outcome exactly, so that no variance is left to judge anything by;
        ``reason`` says so, and there are no standard errors. left_out : rows that take no part, with
        their ``reasons``.
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
    errors: FloatArray = field(repr=False)
    unscaled: FloatArray = field(repr=False)
    size: float = field(repr=False)
    status: Status = Status.OK
    left_out: LeftOut = field(default_factory=LeftOut)

    @property
    def n(self) -> int:
        return len(self.response)

    @property
    def r2(self) -> float:
        """Share of the (weighted) variance about the mean that is explained."""
        w = np.ones(self.n) if self.weights is None else self.weights
        mean = np.average(self.response, weights=w)
        if is_rounding(float((w * (self.response - mean) ** 2).sum()), self.n, self.size):
            return math.nan
        return 1.0 - float((w * self.errors**2).sum() / (w * (self.response - mean) ** 2).sum())

    def _estimated(self) -> tuple[FloatArray, FloatArray]:
        return self.beta[self.kept], self.vcov[np.ix_(self.kept, self.kept)]

    def _degrees(self, rows: FloatArray) -> FloatArray:
        return np.full(len(rows), float(self.df))

    def _errors(self, rows: FloatArray, variance: FloatArray) -> FloatArray:
        # a robust variance to which nobody with a residual adds
        unit = np.einsum("ra,ab,rb->r", rows, self.unscaled, rows)
        with np.errstate(invalid="ignore"):
            return np.asarray(np.sqrt(np.where(is_rounding(variance, unit, self.size), np.nan, variance)))

    def state_of(self, estimable: bool, se: float) -> tuple[Status, str | None]:
        """Status and reason of a linear function."""
        if not estimable:
            lost = f"it needs {', '.join(self.aliased)}, which earlier terms determine (aliased)"
            return Status.ALIASED, f"not estimable: {lost}"
        if self.status is not Status.OK:
            return self.status, self.reason
        if not se > 0.0:
            why = f"no patient with a residual adds to the {self.vcov_method} variance"
            return Status.NO_VARIANCE, f"not estimable: {why}"
        return Status.OK, None

    @property
    def words(self) -> tuple[str, tuple[str, ...]]:
        """The estimator, and its references."""
        references = [REFERENCES["ancova"], REFERENCES["means"]]
        if self.vcov_method == "model":
            return "ANCOVA", tuple(references)
        return f"ANCOVA, {self.vcov_method} covariance", (*references, REFERENCES[self.vcov_method])

    @property
    def n_patients(self) -> int:
        return self.n

    def _share(self) -> FloatArray:
        return np.ones(self.n)

    def _places(self) -> dict[str, list[Any]]:
        return {"row": (np.flatnonzero(self.design.keep) + 1).tolist()}

    def _variances(self, frame: nw.DataFrame[Any] | None) -> FloatArray:
        rows = self.n if frame is None else len(frame)
        out = np.full(rows, self.sigma**2)
        return out if frame is not None or self.weights is None else out / self.weights

    def _draw(self, generator: np.random.Generator) -> FloatArray:
        return np.asarray(generator.standard_normal(self.n) * np.sqrt(self._variances(None)))

    @property
    def reason(self) -> str:
        """What became of the fit, in words."""
        if self.status is Status.OK:
            return REASONS[self.status]
        return f"not estimable: {_no_variance(self.response, self.weights, self.size)}"

    def lsmeans(self, specs: str | Sequence[str], by: str | Sequence[str] | None = None, **options: Any) -> Any:
        """As :meth:`equipoise.estimate.linear.fitted.LinearFit.lsmeans`, without counterfactual means."""
        if options.get("weights") == "counterfactual":
            raise EstimationError("counterfactual means are not offered by ancova", hint="use mmrm, or 'proportional'")
        return super().lsmeans(specs, by, **options)

    def fitted(self) -> Any:
        """The fitted mean of every row analysed, as a frame: ``row`` of the data, from 1, and ``fitted``."""
        return self.fitted_values()

    def residuals(self, kind: str = "response") -> Any:
        """Residuals of every row analysed, as a frame: ``row`` of the data, from 1, and ``residual``.

        ``response``: observed minus fitted. ``pearson``: divided by the residual standard deviation (of the row, where
        rows are weighted). ``normalized``: also by the root of 1 - leverage (R ``rstandard``); NaN where that is 0.
        ``studentized``: by the standard deviation without the row (R ``rstudent``).

        Raises :class:`EstimationError` for another kind.
        """
        r = self.errors
        if kind == "pearson":
            r = r / np.sqrt(self._variances(None))
        elif kind in ("normalized", "normalised"):
            with np.errstate(divide="ignore", invalid="ignore"):
                left = np.where(self.hat > 1.0 - LEVERAGE, np.nan, 1.0 - self.hat)
                r = r / np.sqrt(self._variances(None) * left)
        elif kind in ("studentized", "studentised"):
            r = influence.least_squares(*self._weighted(), self.df)[2]
        elif kind != "response":
            raise EstimationError(
                f"unknown kind of residuals {kind!r}", hint="choose response, pearson, normalized or studentized"
            )
        return self._native({**self._places(), "residual": r.tolist()})

    def _weighted(self) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Weighted rows of the design and residuals, leverages, and the inverse of X'X."""
        root = np.ones(self.n) if self.weights is None else np.sqrt(self.weights)
        return self.design.matrix()[:, self.kept] * root[:, None], self.errors * root, self.hat, self.unscaled

    def influence(self, *, refit: bool = False) -> Influence:
        """What every row does to the coefficients: leverage, Cook's distance, dfbetas; exact (Belsley, Kuh & Welsch
        1980; R ``influence.measures``), by the covariance of the model, whatever ``vcov``. ``refit`` changes
        nothing: this is what fits without the row give.

        Raises :class:`EstimationError` where no residual variance is left.
        """
        if self.status is not Status.OK:
            raise EstimationError(f"no influence: {self.reason}", hint="see .status before asking for it")
        change, sigma, _ = influence.least_squares(*self._weighted(), self.df)
        return influence.made(
            self.words[0],
            influence.EXACT,
            row_names(self.design, self._places()["row"]),
            [self.names[j] for j in self.kept],
            change,
            np.asarray(np.linalg.inv(self.unscaled) / self.sigma**2, np.float64),
            (influence.BELSLEY,),
            leverage=self.hat,
            se=sigma[:, None] * np.sqrt(np.diag(self.unscaled)),
            backend=self._backend(),
        )

    def diagnostics(self, kind: str = "studentized") -> Diagnostics:
        """Residuals of every row with its fitted mean, what a normal Q-Q plot needs, and the influence of rows.

        ``kind`` as in :meth:`residuals`.
        """
        residual = nw.from_native(self.residuals(kind))["residual"].to_list()
        unit, units = row_names(self.design, self._places()["row"])
        rows = {"unit": list(units), "fitted": self._whole_means().tolist(), "residual": residual}
        return Diagnostics(self.words[0], f"{kind} residual", unit, rows, self.influence(), backend=self._backend())

    def _title(self) -> str:
        return "Analysis of covariance"

    def _facts(self) -> Iterable[tuple[str, str]]:
        yield "Formula", self.formula
        yield "Data", f"{self.n} patients, {len(self.kept)} coefficients"
        yield "Covariance", self.vcov_method
        if self.status is Status.OK:
            yield "Residual", f"standard deviation {number(self.sigma)} on {self.df} df, R2 {number(self.r2)}"

    def test(self, terms: str | Sequence[str] | FloatArray) -> Any:
        """F test that the coefficients of ``terms`` are all zero, with the covariance of the fit.

        ``terms``: names of terms or of coefficients, or a matrix of contrasts (row, p). Returns a frame of one row:
        terms, num_df, den_df, f, p. Aliased coefficients are left out.
        """
        if isinstance(terms, np.ndarray):
            rows, label = np.atleast_2d(np.asarray(terms, dtype=np.float64)), "contrasts"
        else:
            wanted = [terms] if isinstance(terms, str) else list(terms)
            rows, label = np.concatenate([self._rows_of(name) for name in wanted]), ", ".join(wanted)
        return self._f_table([label], [self._wald(rows)])

    def anova(self, type: int = 3) -> Any:
        """F test of every term, by Type I (in order), II (marginal) or III sums of squares, as SAS and R name them.

        I: each term after those before it (R ``anova``). II: each term after all that do not contain it (R
        ``car::Anova``). III: with sum-to-zero contrasts, each term after all others (SAS ``Type III``); the only one
        that takes a robust covariance. Returns a frame: terms, num_df, den_df, f, p, and sum_sq for I and II.

        Raises
        ------
        EstimationError : another type; Type III of an aliased or non-hierarchical model; I or II with a robust
            covariance, where sums of squares mean nothing.
        """
        if type not in (1, 2, 3):
            raise EstimationError(f"type = {type!r}", hint="choose 1, 2 or 3")
        tested = [t for t in self.design.terms if t.factors]
        names = [t.name for t in tested]
        if type == 3:
            if self.aliased:
                raise EstimationError("Type III tests need a design of full rank", hint="see fit.aliased")
            x, other = self.design.matrix(), sum_coded(self.design)
            change: FloatArray = np.asarray(np.linalg.lstsq(other, x, rcond=None)[0], dtype=np.float64)
            if np.abs(other @ change - x).max() > 1e-8 * (1.0 + np.abs(x).max()):
                raise EstimationError(
                    "the model is not hierarchical, so Type III tests are not defined",
                    hint="add the lower-order terms, or test coefficients with fit.test()",
                )
            return self._f_table(names, [self._wald(change[t.columns]) for t in tested])
        if self.vcov_method != "model":
            raise EstimationError(
                f"sums of squares do not go with {self.vcov_method}", hint="use type=3, or vcov='model'"
            )
        results, squares = [], []
        for k, term in enumerate(tested):
            own = {f.spec.expression for f in term.factors}
            if type == 1:
                others = tested[:k]
            else:
                others = [t for t in tested if t is not term and not own < {f.spec.expression for f in t.factors}]
            without, rank_without = self._rss(others)
            having, rank_having = self._rss([*others, term])
            df = rank_having - rank_without
            squares.append(without - having)
            f = (without - having) / df / self.sigma**2 if df and self.status is Status.OK else math.nan
            results.append((float(df), float(self.df), f, float(special.fdtrc(df, self.df, f)) if f == f else math.nan))
        return self._f_table(names, results, sum_sq=squares)

    def _rows_of(self, name: str) -> FloatArray:
        eye = np.eye(len(self.names))
        for term in self.design.terms:
            if term.name == name and term.factors:
                return eye[term.columns]
        if name in self.names:
            return eye[[self.names.index(name)]]
        raise EstimationError(
            f"no term or coefficient {name!r}", hint="terms: " + ", ".join(t.name for t in self.design.terms)
        )

    def _wald(self, rows: FloatArray) -> tuple[float, float, float, float]:
        """Numerator and denominator df, F and p of joint contrasts; aliased ones are left out."""
        if self.aliased:
            rows = rows[np.abs(rows @ self._null_space).max(axis=1) < 1e-8]
        rows = rows[:, self.kept]
        rank = int(np.linalg.matrix_rank(rows)) if len(rows) else 0
        if rank == 0:
            raise EstimationError("nothing to test: the coefficients asked for are aliased", hint="see fit.aliased")
        estimate = rows @ self.beta[self.kept]
        spread = rows @ self.vcov[np.ix_(self.kept, self.kept)] @ rows.T
        if self.status is not Status.OK:
            return float(rank), math.nan, math.nan, math.nan
        f = float(estimate @ np.linalg.pinv(spread, hermitian=True) @ estimate) / rank
        return float(rank), float(self.df), f, float(special.fdtrc(rank, self.df, f))

    def _rss(self, terms: Sequence[Term]) -> tuple[float, int]:
        """Weighted residual sum of squares and rank of the model with the intercept (if any) and ``terms``."""
        whole = self.design.matrix()
        intercept = [whole[:, t.columns] for t in self.design.terms if not t.factors]
        blocks = [*intercept, *(whole[:, t.columns] for t in terms)]
        root = np.ones(self.n) if self.weights is None else np.sqrt(self.weights)
        if not blocks:
            return float(((self.response * root) ** 2).sum()), 0
        x = np.concatenate(blocks, axis=1) * root[:, None]
        kept = _independent(x)
        q, _ = np.linalg.qr(x[:, kept])
        y = self.response * root
        return float((y @ y) - ((q.T @ y) ** 2).sum()), len(kept)

    def _f_table(self, names: list[str], results: list[tuple[float, float, float, float]], **more: list[float]) -> Any:
        columns = zip(("num_df", "den_df", "f", "p"), zip(*results, strict=True), strict=True)
        return self._native({"terms": names, **more, **{k: list(v) for k, v in columns}})


def _no_variance(y: FloatArray, weights: FloatArray | None, size: float) -> str:
    """Why no residual variance is left, in words."""
    w = np.ones(len(y)) if weights is None else weights
    if is_rounding(float((w * (y - np.average(y, weights=w)) ** 2).sum()), len(y), size):
        return "the outcome does not vary, which leaves no residual variance"
    return "the model fits the outcome exactly, which leaves no residual variance"


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
    AncovaFit. Where no residual variance is left, ``status`` and ``reason`` say so and there are no standard errors.

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
    >>> print(fit.contrasts("ARM").estimates[0].to_sentence())
    b - a: difference 2.96 (95 % CI -0.0968 to 6.02), P = 0.0541 (ANCOVA, n = 6).
    """
    if vcov not in VCOV:
        raise EstimationError(f"unknown vcov {vcov!r}", hint="choose one of " + ", ".join(VCOV))
    model = parse(formula, needs_covariance=False)
    model.refuse(covariance="use mmrm for repeated measures", random="use slope for a random part")
    frame = read_frame(data)
    left_out: dict[str, int] = {}
    w = None
    if weights is not None:
        if weights not in frame.columns:
            raise DataError(
                f"no column {weights!r} for the weights", hint="columns are " + ", ".join(frame.columns[:40])
            )
        present = [v is not None for v in values_of(frame.get_column(weights))]
        left_out |= {f"without {weights}": present.count(False)} if not all(present) else {}
        frame = kept_rows(frame, np.array(present, dtype=np.bool_))
    design, y = build(model, frame, {})
    y = design.less_offset(y)
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
    # the numbers that were subtracted to get the residuals
    parts = [y * root, *(x[:, kept] * beta * root[:, None]).T]
    size = float(sum(math.sqrt(float(part @ part) / len(y)) for part in parts))
    exact = bool(is_rounding(rss, len(y), size))
    if exact:
        covariance = np.full((len(kept), len(kept)), np.nan)
    elif vcov == "model":
        covariance = rss / df * (inverse @ inverse.T)
    else:
        alone = np.flatnonzero(hat > 1.0 - LEVERAGE)
        if alone.size and vcov in ("HC2", "HC3"):
            raise EstimationError(
                f"{vcov} does not exist: the patient of row {np.flatnonzero(design.keep)[alone[0]] + 1} determines a "
                "coefficient alone (leverage 1)",
                hint="use vcov='model' or 'HC1', or join the level that has one patient to another",
            )
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = {
                "HC0": np.ones(len(y)),
                "HC1": np.full(len(y), len(y) / df),
                "HC2": 1.0 / (1.0 - hat),
                "HC3": 1.0 / (1.0 - hat) ** 2,
            }[vcov]
        left = np.where(hat > 1.0 - LEVERAGE, 0.0, residuals)  # exactly 0 for one who determines a coefficient alone
        half = inverse @ (q * (left * root * np.sqrt(scale))[:, None]).T
        covariance = half @ half.T
    full_beta = np.full(x.shape[1], np.nan)
    full_beta[kept] = beta
    full = np.full((x.shape[1], x.shape[1]), np.nan)
    full[np.ix_(kept, kept)] = covariance
    n = len(y)
    loglik = (
        math.nan
        if exact
        else 0.5
        * ((0.0 if w is None else float(np.log(w).sum())) - n * (math.log(2 * math.pi) + 1 + math.log(rss / n)))
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
        math.nan if exact else math.sqrt(rss / df),
        df,
        loglik,
        hat,
        residuals,
        inverse @ inverse.T,
        size,
        Status.NO_VARIANCE if exact else Status.OK,
        LeftOut({**left_out, **design.left_out}),
    )
