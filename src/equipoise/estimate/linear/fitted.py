"""What fitted linear models have in common: LS means, contrasts, tests, predictions, residuals, simulated responses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
from scipy.special import stdtr, stdtrit

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.fit import Fit
from equipoise.estimate.formula import Design, ModelFormula, build
from equipoise.estimate.frames import read_frame
from equipoise.estimate.linear.adjust import check_adjust
from equipoise.estimate.linear.comparisons import Weights, comparisons
from equipoise.estimate.linear.functions import LinearFunctions
from equipoise.estimate.linear.lsmeans import Grid, grid
from equipoise.estimate.result import Estimate, check_level
from equipoise.types import BoolArray, FloatArray, IntArray, Status

INTERVALS = ("confidence", "prediction")


class LinearFit(Fit):
    """A fitted linear model: ANCOVA, repeated measures, random slopes.

    A subclass brings ``design``, ``kept`` (the columns not aliased), ``model`` (the formula read), ``response`` (row,),
    less an offset where there is one, and the methods that begin with an underscore and raise
    :class:`NotImplementedError` here.
    """

    design: Design
    model: ModelFormula
    kept: IntArray
    response: FloatArray

    # --- what a subclass brings -----------------------------------------------------------------------------------

    def _estimated(self) -> tuple[FloatArray, FloatArray]:
        """Coefficients of the columns kept, and their covariance."""
        raise NotImplementedError

    def _degrees(self, rows: FloatArray) -> FloatArray:
        """Degrees of freedom of functions (row, kept)."""
        raise NotImplementedError

    def _errors(self, rows: FloatArray, variance: FloatArray) -> FloatArray:
        """Standard errors of functions (row, kept) with ``variance``; NaN where rounding is all there is."""
        with np.errstate(invalid="ignore"):
            return np.asarray(np.sqrt(variance))

    def state_of(self, estimable: bool, se: float) -> tuple[Status, str | None]:
        """Status and reason of a linear function."""
        raise NotImplementedError

    @property
    def words(self) -> tuple[str, tuple[str, ...]]:
        """The estimator, and its references."""
        raise NotImplementedError

    @property
    def n_patients(self) -> int:
        """Patients analysed."""
        raise NotImplementedError

    def _share(self) -> FloatArray:
        """(row,) weights with which every patient counts once."""
        raise NotImplementedError

    def _places(self) -> dict[str, list[Any]]:
        """Columns that name the rows analysed."""
        raise NotImplementedError

    def _variances(self, frame: nw.DataFrame[Any] | None) -> FloatArray:
        """(row,) residual variance of the rows analysed, or of those of ``frame``."""
        raise NotImplementedError

    def _draw(self, generator: np.random.Generator) -> FloatArray:
        """(row,) one draw of the residuals of the rows analysed."""
        raise NotImplementedError

    # --- linear functions -----------------------------------------------------------------------------------------

    @property
    def aliased(self) -> tuple[str, ...]:
        """Columns of the design that depend on the ones before them, left out as R does."""
        lost = set(range(len(self.design.names))) - set(self.kept.tolist())
        return tuple(self.design.names[i] for i in sorted(lost))

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
        if len(self.kept) == len(self.design.names):
            return np.ones(len(rows), dtype=np.bool_)
        limit = 1e-8 * (1.0 + np.abs(rows).max(axis=1, initial=0.0))
        return np.asarray(np.abs(rows @ self._null_space).max(axis=1) < limit)

    def functions(self, rows: FloatArray, spread: FloatArray | None = None) -> tuple[dict[str, FloatArray], FloatArray]:
        """Estimate, se, df, statistic and whether estimable of functions (row, p); and their covariance (row, row)."""
        beta, vcov = self._estimated()
        used = rows[:, self.kept]
        covariance = used @ vcov @ used.T
        if spread is not None:
            covariance = covariance + spread
        estimate = used @ beta
        se = self._errors(used, np.diag(covariance).copy())
        there = self._estimable(rows)
        df = np.where(np.isnan(se), np.nan, self._degrees(used)) if len(used) else np.empty(0)
        with np.errstate(divide="ignore", invalid="ignore"):
            statistic = estimate / se
        made: dict[str, Any] = {"estimate": estimate, "se": se, "df": df, "statistic": statistic}
        if not there.all():
            made = {k: np.where(there, v, np.nan) for k, v in made.items()}
        return made | {"estimable": there}, covariance

    def linear(self, rows: FloatArray, level: float = 0.95, spread: FloatArray | None = None) -> dict[str, list[float]]:
        """Estimate, se, df, statistic, p, low and high of linear functions (row, p) of all columns of the design.

        NaN where a function is not estimable. Without the covariance of one with another, so that many rows are quick.
        """
        check_level(level)
        rows = np.atleast_2d(np.asarray(rows, dtype=np.float64))
        beta, vcov = self._estimated()
        used = rows[:, self.kept]
        variance = np.einsum("ra,ab,rb->r", used, vcov, used)
        if spread is not None:
            variance = variance + spread
        estimate, se = used @ beta, self._errors(used, variance)
        df = np.where(np.isnan(se), np.nan, self._degrees(used)) if len(used) else np.empty(0)
        with np.errstate(divide="ignore", invalid="ignore"):
            statistic = estimate / se
        half = stdtrit(df, 0.5 + 0.5 * level) * se
        table = {
            "estimate": estimate,
            "se": se,
            "df": df,
            "statistic": statistic,
            "p": 2.0 * stdtr(df, -np.abs(statistic)),
            "low": estimate - half,
            "high": estimate + half,
        }
        there = self._estimable(rows)
        return {k: np.where(there, v, np.nan).tolist() for k, v in table.items()}

    def _native(self, table: Mapping[str, Sequence[Any]]) -> Any:
        return nw.from_dict(dict(table), backend=self._backend()).to_native()

    def _backend(self) -> Any:
        return self.design.frame.implementation

    # --- coefficients ---------------------------------------------------------------------------------------------

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """The coefficients, with 95 % intervals; for means and their contrasts see ``lsmeans`` and ``contrasts``."""
        return self.at_level(0.95)

    def at_level(self, level: float) -> tuple[Estimate, ...]:
        """The coefficients with intervals of coverage ``level``."""
        check_level(level)
        names, scale = self.design.names, "coefficient"
        each = np.eye(len(names))
        table, there = self.linear(each, level), self._estimable(each).tolist()
        lost, (estimator, references), people = set(self.aliased), self.words, self.n_patients
        out = []
        for name, own, value, se, df, statistic, p, low, high in zip(names, there, *table.values(), strict=True):
            if name in lost:
                why = "not estimable: earlier columns of the design determine it (aliased)"
                out.append(
                    Estimate.not_made(name, estimator, people, Status.ALIASED, why, level=level, scale=scale, term=name)
                )
                continue
            status, detail = self.state_of(own, se)
            out.append(
                Estimate(
                    name,
                    estimator,
                    value,
                    se,
                    df,
                    low,
                    high,
                    p,
                    people,
                    level,
                    scale,
                    status=status,
                    detail=detail,
                    references=references,
                    statistic=statistic,
                    term=name,
                )
            )
        return tuple(out)

    @property
    def coefficients(self) -> Any:
        """The coefficients as a frame of the kind that came in; the same as ``to_frame()``."""
        return self.to_frame()

    # --- means and contrasts --------------------------------------------------------------------------------------

    def _names_of(self, specs: str | Sequence[str] | None) -> list[str]:
        if specs is None:
            return []
        return [s.strip() for s in specs.split(":")] if isinstance(specs, str) else list(specs)

    @cached_property
    def _observed_design(self) -> Design:
        """The design on all records with complete covariates, whether or not the response was observed."""
        model = self.model.without_response()
        design, _ = build(model, self.design.frame, {}, self.design.reduced, self.design.first)
        if design.names != self.design.names:
            raise DataError(
                "records without a response have levels of a factor that analysed records lack",
                hint="drop those records, or use weights='proportional'",
            )
        return design

    def _grid(
        self, specs: str | Sequence[str], by: str | Sequence[str] | None, weights: str, at: Mapping[str, Any] | None
    ) -> tuple[Grid, list[str], list[str]]:
        first, second = self._names_of(specs), self._names_of(by)
        key = (tuple(first), tuple(second), weights, tuple(sorted((at or {}).items())))
        cache: dict[Any, Grid] = self.__dict__.setdefault("_grids", {})
        if key not in cache:
            beta = np.zeros(len(self.design.names))
            beta[self.kept] = np.nan_to_num(self._estimated()[0])
            cache[key] = grid(
                self.design,
                first + second,
                weights,
                at or {},
                self._share(),
                beta,
                self._observed_design if weights == "observed" else None,
            )
        return cache[key], first, second

    def lsmeans(
        self,
        specs: str | Sequence[str],
        by: str | Sequence[str] | None = None,
        *,
        weights: str = "equal",
        at: Mapping[str, Any] | None = None,
        level: float = 0.95,
        ratio: bool = False,
        estimand: str | None = None,
    ) -> LinearFunctions:
        """Least-squares means for every combination of the levels of ``specs`` (and ``by``).

        ``weights``: other factors count ``equal`` (SAS LSMEANS), ``proportional`` to the analysed records (emmeans), as
        in all ``observed`` records with complete covariates (SAS OM), or ``counterfactual``
        (:mod:`equipoise.estimate.linear.lsmeans`). Numeric covariates are at their mean, or at the value given in
        ``at``. A mean that is not estimable says why. ``ratio``: the response was a logarithm, give geometric means.

        Raises :class:`EstimationError` for a factor, or a name in ``at``, that the model does not have.
        """
        check_level(level)
        made, first, second = self._grid(specs, by, weights, at)
        names = [*first, *second]
        keys = tuple({f: made.labels[f][i] for f in names} for i in range(len(made.rows)))
        shown = tuple(", ".join(str(v) for v in key.values()) for key in keys)
        return LinearFunctions(
            self,
            ":".join(names),
            shown,
            ("",) * len(shown),
            keys,
            made.rows,
            made.spread,
            level,
            ratio=ratio,
            scale="geometric mean" if ratio else "mean",
            estimand=estimand,
            shift=made.shift,
        )

    def contrasts(
        self,
        specs: str | Sequence[str] | Mapping[str, Mapping[str, float]],
        by: str | Sequence[str] | None = None,
        *,
        method: str | Weights | None = None,
        against: Any = None,
        adjust: str = "none",
        weights: str = "equal",
        at: Mapping[str, Any] | None = None,
        level: float = 0.95,
        ratio: bool = False,
        estimand: str | None = None,
    ) -> LinearFunctions:
        """Contrasts of least-squares means within each level of ``by``.

        Parameters
        ----------
        specs : the factor whose means are compared; or your own contrasts of coefficients, ``{"name": {"term": weight,
            ...}, ...}``.
        method : which means are compared: ``pairwise`` (every level minus every earlier one; the default), ``dunnett``
            (R: ``trt.vs.ctrl``; all others minus ``against``; the default where that is given), ``trend`` (orthogonal
            polynomials), ``sequential``, ``effects``; or weights, ``{"name": [w, ...]}``, ``{"name": {level: w}}`` or a
            matrix (contrast, level).
        against : the level with which the others are compared; default the first.
        adjust : p-values and intervals adjusted for all contrasts of one level of ``by``: ``none``, ``holm``,
            ``bonferroni``, ``sidak``, ``tukey`` (all pairs), ``dunnett`` or ``mvt`` (the joint distribution of the t
            statistics, exact). See :mod:`equipoise.estimate.linear.adjust`.
        weights, at : as in :meth:`lsmeans`. ratio : the response was a logarithm; give ratios of geometric means.

        Raises
        ------
        EstimationError : a factor, level, method or adjustment that does not exist; ``tukey`` for what is not all
            pairs.
        """
        check_level(level)
        check_adjust(adjust)
        scale = "ratio" if ratio else "difference"
        if isinstance(specs, Mapping):
            rows = np.zeros((len(specs), len(self.design.names)))
            for i, weights_of in enumerate(specs.values()):
                for term, value in weights_of.items():
                    if term not in self.design.names:
                        raise EstimationError(
                            f"no coefficient {term!r}", hint="coefficients: " + ", ".join(self.design.names)
                        )
                    rows[i, self.design.names.index(term)] = value
            if adjust == "tukey":
                raise EstimationError("adjust='tukey' for your own contrasts", hint="use adjust='mvt'")
            own = tuple(map(str, specs))
            return LinearFunctions(
                self,
                "coefficients",
                own,
                own,
                ({},) * len(own),
                rows,
                None,
                level,
                adjust,
                scale=scale,
                ratio=ratio,
                estimand=estimand,
            )
        made, first, second = self._grid(specs, by, weights, at)
        chosen = method if method is not None else "pairwise" if against is None else "dunnett"
        return self._compared(made, first, second, chosen, against, adjust, level, ratio, scale, estimand)

    def _compared(
        self,
        made: Grid,
        first: Sequence[str],
        second: Sequence[str],
        chosen: str | Weights,
        against: Any,
        adjust: str,
        level: float,
        ratio: bool,
        scale: str,
        estimand: str | None,
        over: str = "",
    ) -> LinearFunctions:
        """Contrasts of the rows of a grid within each level of ``second``."""
        n = len(made.rows)
        cells: dict[tuple[Any, ...], list[int]] = {}
        for i in range(n):
            cells.setdefault(tuple(made.labels[b][i] for b in second), []).append(i)
        text = [" ".join(str(made.labels[f][i]) for f in first) for i in range(n)]
        if adjust == "tukey" and chosen != "pairwise":
            raise EstimationError("adjust='tukey' is for all pairs", hint="use method='pairwise', or adjust='mvt'")
        out: list[FloatArray] = []
        labels: list[str] = []
        names: list[str] = []
        keys: list[Mapping[str, Any]] = []
        family: list[int] = []
        means = 2
        for number, (cell, members) in enumerate(cells.items()):
            means = len(members)
            called, combine = comparisons(chosen, [text[i] for i in members], against)
            place = ", ".join(map(str, cell))
            for label, row in zip(called, combine, strict=True):
                whole = np.zeros(n)
                whole[members] = row
                out.append(whole)
                label = label.replace(" - ", " / ") if ratio else label
                labels.append(label)
                names.append(label + (f" at {place}" if place else ""))
                keys.append(dict(zip(second, cell, strict=True)))
                family.append(number)
        combine = np.array(out).reshape(len(out), n)
        spread = None if made.spread is None else combine @ made.spread @ combine.T
        return LinearFunctions(
            self,
            ":".join(first),
            tuple(names),
            tuple(labels),
            tuple(keys),
            combine @ made.rows,
            spread,
            level,
            adjust,
            tuple(family),
            means,
            ratio,
            scale,
            estimand,
            over,
            None if made.shift is None else combine @ made.shift,
        )

    def trends(
        self,
        specs: str | Sequence[str],
        variable: str,
        by: str | Sequence[str] | None = None,
        *,
        method: str | Weights | None = None,
        against: Any = None,
        adjust: str = "none",
        weights: str = "equal",
        at: Mapping[str, Any] | None = None,
        level: float = 0.95,
        estimand: str | None = None,
    ) -> LinearFunctions:
        """Slopes of the mean response over a number, by the levels of ``specs`` (and ``by``); or contrasts of slopes.

        R: ``emtrends(fit, specs, var = variable)``, and ``pairs()`` of it. What :meth:`lsmeans` averages over or holds,
        slopes do too. Of a course that is not straight (``poly``, ``log``, ``ns``) it is the slope where ``variable``
        is at its mean, or at the value in ``at``, by central differences exact for polynomials up to degree four.

        Parameters
        ----------
        variable : a number of the model; slopes are per unit of it.
        method, against, adjust : as in :meth:`contrasts`; with ``method`` or ``against`` slopes are compared.

        Raises
        ------
        EstimationError : a factor or number that the model does not have; ``weights="counterfactual"``.

        Examples
        --------
        >>> import polars as pl
        >>> from equipoise import ancova
        >>> rows = [(a, float(x), x * (1.0 + (a == "b")) + (x * 7 % 3)) for a in "ab" for x in range(8)]
        >>> fit = ancova("Y ~ ARM * X", pl.DataFrame(rows, schema=["ARM", "X", "Y"], orient="row"))
        >>> [round(e.estimate, 3) for e in fit.trends("ARM", "X").estimates]
        [1.036, 2.036]
        >>> round(fit.trends("ARM", "X", against="a").estimates[0].estimate, 3)
        1.0
        """
        check_level(level)
        check_adjust(adjust)
        numbers = {k: c for k, c in self.design.columns.items() if c.levels is None and not k.startswith("|")}
        if variable not in numbers:
            raise EstimationError(f"{variable!r} is no number of the model", hint="numbers are " + ", ".join(numbers))
        if weights == "counterfactual":
            raise EstimationError("slopes with weights='counterfactual'", hint="use equal, proportional or observed")
        values = np.asarray(numbers[variable].values, dtype=np.float64)
        fixed = dict(at or {})
        centre, h = float(fixed.get(variable, values.mean())), 1e-3 * float(np.ptp(values))
        if not h > 0.0:
            raise EstimationError(f"{variable!r} does not vary", hint="a slope needs two values of it at least")
        grids = [self._grid(specs, by, weights, {**fixed, variable: centre + k * h}) for k in (-2, -1, 1, 2)]
        (made, first, second), ends = grids[0], [g[0].rows for g in grids]
        rows = (8.0 * (ends[2] - ends[1]) - (ends[3] - ends[0])) / (12.0 * h)
        moved = [g[0].shift for g in grids]
        shift = None
        if all(s is not None for s in moved):
            a, b, c, d = (np.asarray(s, np.float64) for s in moved)
            shift = (8.0 * (c - b) - (d - a)) / (12.0 * h)
        slopes = Grid(made.labels, np.where(np.abs(rows) < 1e-10, 0.0, rows), shift=shift)
        if method is not None or against is not None:
            chosen = method if method is not None else "dunnett"
            scale = "difference of slopes"
            return self._compared(
                slopes, first, second, chosen, against, adjust, level, False, scale, estimand, variable
            )
        names = [*first, *second]
        keys = tuple({f: made.labels[f][i] for f in names} for i in range(len(rows)))
        shown = tuple(", ".join(str(v) for v in key.values()) for key in keys)
        return LinearFunctions(
            self,
            ":".join(names),
            shown,
            ("",) * len(shown),
            keys,
            slopes.rows,
            None,
            level,
            scale="slope",
            estimand=estimand,
            over=variable,
            shift=slopes.shift,
        )

    # --- rows: predictions, residuals, simulated responses ----------------------------------------------------------

    def predict(self, new_data: Any = None, *, level: float = 0.95, interval: str = "confidence") -> Any:
        """The mean of the response for the rows of ``new_data``, with standard errors and limits.

        Parameters
        ----------
        new_data : a frame with the columns of the fixed part of the model; default the rows analysed.
        interval : ``confidence`` of the mean, or ``prediction`` of one new response (the residual variance is added;
            its degrees of freedom are those of the mean).

        Returns
        -------
        A frame of the kind that came in, a row each: estimate, se, df, low, high. NaN where the row asks for a
        coefficient that the data say nothing about.

        Raises
        ------
        DataError : a column is absent, or has a value or level that the model does not know.
        """
        check_level(level)
        if interval not in INTERVALS:
            raise EstimationError(f"interval = {interval!r}", hint="choose confidence or prediction")
        frame = None if new_data is None else read_frame(new_data)
        x = self.design.matrix() if frame is None else self.design.matrix_of(frame)
        table = self.linear(x, level)
        estimate, se, df = (np.array(table[k]) for k in ("estimate", "se", "df"))
        if self.design.offset is not None:
            estimate = estimate + (self.design.offset if frame is None else self.design.offset_of(frame))
        if interval == "prediction":
            se = np.sqrt(se**2 + self._variances(frame))
        half = stdtrit(df, 0.5 + 0.5 * level) * se
        return self._native(
            {
                "estimate": estimate.tolist(),
                "se": se.tolist(),
                "df": df.tolist(),
                "low": (estimate - half).tolist(),
                "high": (estimate + half).tolist(),
            }
        )

    def _means(self) -> FloatArray:
        """(row,) fitted means of the rows analysed, less an offset where there is one."""
        beta, _ = self._estimated()
        made: FloatArray = self.design.matrix()[:, self.kept] @ beta
        return made

    def _whole_means(self) -> FloatArray:
        """(row,) fitted means of the rows analysed, with the offset."""
        made = self._means()
        return made if self.design.offset is None else made + self.design.offset

    @property
    def observed(self) -> FloatArray:
        """(row,) the response as it was observed, with the offset."""
        return self.response if self.design.offset is None else self.response + self.design.offset

    def fitted_values(self) -> Any:
        """The fitted mean of every row analysed, as a frame: what names the row, and ``fitted``."""
        return self._native({**self._places(), "fitted": self._whole_means().tolist()})

    def simulate(self, n: int = 1, *, seed: int = 0) -> Any:
        """New responses of the rows analysed, drawn from the fitted model.

        Parameters
        ----------
        n : how many data sets. seed : with it, draws are the same anywhere; data set i depends on (seed, i) alone.

        Returns
        -------
        A frame of the kind that came in: what names the row, then a column a data set, ``sim_1`` to ``sim_n``.
        """
        for name, value, least in (("n", n, 1), ("seed", seed, 0)):
            if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
                raise EstimationError(f"{name} = {value!r}", hint=f"give a whole number from {least} on")
        means = self._whole_means()
        if not np.isfinite(means).all() or not np.isfinite(self._variances(None)).all():
            raise EstimationError("nothing to draw from: the model was not fitted", hint="see .reason")
        table: dict[str, list[Any]] = self._places()
        for i in range(n):
            generator = np.random.Generator(np.random.Philox(key=(int(seed) << 64) + i))
            table[f"sim_{i + 1}"] = (means + self._draw(generator)).tolist()
        return self._native(table)
