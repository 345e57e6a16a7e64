"""The result of a Cox regression: hazard ratios, tests, residuals, curves."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
from scipy import special

from equipoise.errors import EstimationError
from equipoise.estimate.diagnostics import Diagnostics, row_names
from equipoise.estimate.fit import Fit, aligned, notes_of, number, p_value
from equipoise.estimate.formula import Design, Factor, products, renewed
from equipoise.estimate.frames import read_frame
from equipoise.estimate.influence import CAIN_LANGE, ONE_STEP, REFIT, Influence, refitted
from equipoise.estimate.influence import made as influence_made
from equipoise.estimate.left_out import NOBODY, LeftOut
from equipoise.estimate.result import Estimate, check_level, times_at
from equipoise.estimate.survival import cox_marginal, cox_path
from equipoise.estimate.survival.cox_path import CoxData, Path
from equipoise.estimate.survival.kernels import cox as cox_kernel
from equipoise.estimate.survival.kernels import cox_firth
from equipoise.types import REASONS, BoolArray, FloatArray, IntArray, Status

COX = "Cox 1972, J R Stat Soc B 34:187"
TIES = {
    "efron": "Efron 1977, J Am Stat Assoc 72:557",
    "breslow": "Breslow 1974, Biometrics 30:89",
    "exact": "Gail, Lubin & Rubinstein 1981, Biometrika 68:703",
    "marginal": cox_marginal.KALBFLEISCH,
}
_TIES = {
    "efron": "Efron's ties",
    "breslow": "Breslow's ties",
    "exact": "exact ties",
    "marginal": "ties by all their orders",
}
LIN_WEI = "Lin & Wei 1989, J Am Stat Assoc 84:1074"
FIRTH = ("Firth 1993, Biometrika 80:27", "Heinze & Schemper 2001, Biometrics 57:114")
GRAMBSCH = "Grambsch & Therneau 1994, Biometrika 81:515"

Test = tuple[float, int, float]


@dataclass(frozen=True)
class Proportionality(Fit):
    """Tests of proportional hazards: chi-square, df and p-value by term, and of all terms together.

    transform : of time, against which the coefficients might move. n : rows of the model. backend : data-frame library.
    """

    transform: str
    terms: tuple[str, ...]
    tests: tuple[Test, ...]
    overall: Test
    n: int = 0
    backend: Any = None
    references: tuple[str, ...] = (GRAMBSCH,)

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """The test of every term, then that of all together."""
        rows = [*zip(self.terms, self.tests, strict=True), ("all", self.overall)]
        return tuple(
            Estimate.of_test(
                name,
                f"test of proportional hazards (time: {self.transform})",
                p,
                self.n,
                statistic=chi_square,
                df=float(df),
            )
            for name, (chi_square, df, p) in rows
        )

    def _title(self) -> str:
        return f"Test of proportional hazards (time: {self.transform})"

    def _notes(self) -> Iterator[str]:
        yield self.to_sentence()

    def to_sentence(self) -> str:
        """The result as a person would say it."""
        chi_square, df, p = self.overall
        if math.isnan(p):
            return "Proportional hazards: not testable, the event times say nothing about how the effects move."
        return f"Proportional hazards: chi-square {chi_square:.3g} on {df} df, P = {p:.4f} (time: {self.transform})."


@dataclass(frozen=True, eq=False)
class CoxFit(Fit):
    """A Cox regression.

    names : terms; beta, vcov : log hazard ratios and covariance, NaN where ``status`` is not OK; vcov is the robust one
    where ``robust``, naive always the inverse information. loglik : at zero and at the estimate (with Firth's penalty
    where ``firth``). score : score test at zero, without penalty. n, events : rows and events; events_by : level ->
    (events, n) of the treatment, where there is one. left_out : rows that take no part. term_columns :
    term -> its columns. data : the rows used.
    """

    formula: str
    names: tuple[str, ...]
    beta: FloatArray
    vcov: FloatArray
    naive: FloatArray
    loglik: tuple[float, float]
    score: float
    iterations: int
    ties: str
    strata: tuple[str, ...]
    n: int
    events: int
    events_by: Mapping[str, tuple[int, int]]
    status: Status
    frame: nw.DataFrame[Any]
    data: CoxData
    term_columns: Mapping[str, list[int]]
    robust: bool = False
    firth: bool = False
    cluster: tuple[str, ...] = ()
    left_out: LeftOut = NOBODY
    detail: str | None = None
    design: Design | None = field(default=None, repr=False)
    level: float = 0.95
    estimand: str | None = None

    @property
    def reason(self) -> str:
        """What became of the fit, in words, with the events behind it."""
        if self.status is Status.OK:
            return REASONS[self.status]
        counts = ", ".join(f"{e}/{m} {label}" for label, (e, m) in self.events_by.items())
        return f"{self.detail or REASONS[self.status]} (events {counts or f'{self.events}/{self.n}'})"

    @property
    def df(self) -> int:
        """Coefficients that are not aliased with others."""
        return int((np.diag(self.naive) > 0.0).sum()) if self.status is Status.OK else 0

    @property
    def likelihood_ratio(self) -> Test:
        """Likelihood-ratio chi-square against no effects, its df and p-value; penalised likelihoods with ``firth``."""
        chi_square = 2.0 * (self.loglik[1] - self.loglik[0])
        return chi_square, self.df, float(special.chdtrc(self.df, chi_square)) if self.df else math.nan

    @property
    def wald(self) -> Test:
        """Wald's chi-square of all effects, its df and p-value; with the robust covariance where there is one."""
        if self.status is not Status.OK:
            return math.nan, 0, math.nan
        return cox_path.quadratic(self.beta, self.vcov)

    @property
    def score_test(self) -> Test:
        """Score test of all effects: without ties and with an arm alone it is the log-rank test."""
        return self.score, self.df, float(special.chdtrc(self.df, self.score)) if self.df else math.nan

    @cached_property
    def robust_score_test(self) -> Test:
        """Score test with the variance of the score between rows, or between clusters."""
        self._need("the robust score test")
        return cox_path.robust_score(cox_path.path(self.data, np.zeros(len(self.names)), self.ties))

    @property
    def aic(self) -> float:
        """Akaike's criterion, from the partial likelihood."""
        return 2.0 * self.df - 2.0 * self.loglik[1]

    @property
    def bic(self) -> float:
        """Schwarz's criterion, from the partial likelihood and the number of events."""
        return self.df * math.log(self.events) - 2.0 * self.loglik[1] if self.events else math.nan

    @cached_property
    def concordance(self) -> tuple[float, float]:
        """Harrell's concordance within strata and its standard error (clusters, where given, taken together)."""
        self._need("concordance", exact=True)
        return cox_path.concordance(self.data, self.data.x @ self.beta)

    @cached_property
    def path(self) -> Path:
        """The event times of the model: hazards, means of covariates, information."""
        self._need("residuals and hazards")
        return cox_path.path(self.data, self.beta, self.ties)

    def _need(self, what: str, exact: bool = False) -> None:
        if self.status is not Status.OK:
            raise EstimationError(f"no {what}: {self.reason}", hint="see .status before asking for it")
        if self.ties in ("exact", "marginal") and not exact:
            raise EstimationError(f"no {what} with {_TIES[self.ties]}", hint="fit with Efron's ties")

    def residuals(self, kind: str = "martingale") -> FloatArray:
        """Residuals of the rows ``data.row``: ``martingale``, ``deviance`` (row,), ``score``, ``dfbeta`` (row, p); or
        ``schoenfeld``, ``scaled schoenfeld`` (event, p) of the rows with events, by stratum and time.

        A dfbeta is the approximate change of the coefficients when the row is left out. Scaled Schoenfeld residuals
        are events times covariance times residuals, plus the coefficients (Grambsch & Therneau 1994). Residuals of a
        penalised fit are those of the partial likelihood at the penalised estimate.
        """
        if kind == "martingale":
            return cox_path.martingale(self.path)
        if kind == "deviance":
            return cox_path.deviance(self.path)
        if kind == "score":
            return cox_path.score(self.path)
        if kind == "dfbeta":
            return np.asarray(cox_path.score(self.path) @ self.naive, dtype=np.float64)
        if kind in ("schoenfeld", "scaled schoenfeld"):
            _, out = cox_path.schoenfeld(self.path)
            if kind == "schoenfeld":
                return out
            return np.asarray(self.beta + self.events * (out @ self.naive), dtype=np.float64)
        raise EstimationError(f"unknown residuals {kind!r}", hint="choose " + ", ".join(cox_path.RESIDUALS))

    def influence(self, *, refit: bool = False) -> Influence:
        """What every row, or every cluster of rows, does to the coefficients: Cook's distance and dfbetas.

        By one step from the estimate (Cain & Lange 1984: R's ``dfbeta``, summed over ``cluster``), or with ``refit``
        from fits without the unit. By the inverse information, whether or not ``robust``. With case weights a unit is
        left out with all its weight.

        Raises :class:`EstimationError` where the model was not fitted, with exact ties, and with Firth's penalty.
        """
        self._need("influence")
        if self.firth:
            raise EstimationError("influence with Firth's penalty", hint="fit without it")
        rows, code = self.data, self.data.cluster
        code = np.arange(rows.n) if code is None else code
        used = np.flatnonzero(np.diag(self.naive) > 0.0)
        change = cox_path.clustered(rows, self.residuals("dfbeta"))
        if refit:
            change = refitted(self.beta, int(code.max()) + 1, lambda i: self._without(code != i))
        return influence_made(
            self._words[0],
            REFIT if refit else ONE_STEP,
            self._units(code),
            [self.names[j] for j in used],
            change[:, used],
            np.asarray(np.linalg.inv(self.naive[np.ix_(used, used)]), np.float64),
            (CAIN_LANGE,),
            backend=self._backend(),
        )

    def _units(self, code: IntArray) -> tuple[str, Sequence[Any]]:
        """What names the units that are left out: the clusters, else subjects or rows."""
        assert self.design is not None
        if not self.cluster:
            return row_names(self.design, (self.data.row + 1).tolist())
        frame = self.design.frame.filter(self.design.keep.tolist())
        first = np.unique(code, return_index=True)[1]
        columns = [frame[name].to_list() for name in self.cluster]
        return ", ".join(self.cluster), [", ".join(str(c[i]) for c in columns) for i in first]

    def _without(self, keep: BoolArray) -> FloatArray | None:
        """The coefficients of the rows kept; None where there are none."""
        d = self.data
        optional = {"entry": d.entry, "stratum": d.stratum, "weight": d.weight}
        block = {k: None if v is None else v[keep][None] for k, v in optional.items()}
        made = cox_kernel.fit(
            d.time[keep][None], d.event[keep][None], d.x[keep][None], ties=self.ties, arm=-1, start=self.beta[None],
            max_iterations=50, **block,
        )  # fmt: skip
        beta: FloatArray = made.beta[0]
        return beta if Status(int(made.status[0])) is Status.OK else None

    def diagnostics(self, kind: str = "deviance") -> Diagnostics:
        """Residuals of every row with its linear predictor, the test of proportional hazards, and the influence of
        rows or clusters; ``kind`` ``deviance`` or ``martingale``. They follow no normal distribution: no Q-Q plot.
        """
        if kind not in ("deviance", "martingale"):
            raise EstimationError(f"diagnostics of {kind!r} residuals", hint="choose deviance or martingale")
        self._need("diagnostics")
        assert self.design is not None
        unit, units = row_names(self.design, (self.data.row + 1).tolist())
        at = (self.data.x - self.data.x.mean(axis=0)) @ self.beta
        rows = {"unit": list(units), "fitted": at.tolist(), "residual": self.residuals(kind).tolist()}
        times, scaled = self.data.time[self.data.event], self.residuals("scaled schoenfeld")
        order = np.lexsort((times, self.data.stratum[self.data.event]))
        return Diagnostics(
            self._words[0],
            f"{kind} residual",
            unit,
            rows,
            None if self.firth else self.influence(),
            fitted="linear predictor",
            normal=False,
            proportional=self.proportionality(),
            scaled=(times[order], scaled, self.names, self.beta),
            backend=self._backend(),
        )

    def proportionality(self, transform: str = "km") -> Proportionality:
        """Test of proportional hazards of every term and of all (``cox.zph`` of R's survival from version 3).

        transform : of time: ``km`` (one less the Kaplan-Meier estimate of everyone), ``identity``, ``log``, ``rank``.
        """
        terms = tuple(self.term_columns)
        *tests, overall = cox_path.proportionality(self.path, transform, [self.term_columns[t] for t in terms])
        return Proportionality(transform, terms, tuple(tests), overall, self.n, self._backend())

    def baseline(self) -> Any:
        """Cumulative hazard at covariates zero: a frame of ``stratum``, ``time``, ``hazard`` at every distinct time."""
        made = self.path
        table: dict[str, list[Any]] = {"stratum": [], "time": [], "hazard": []}
        shift = _exp(-float(made.centre @ self.beta), "the hazard at covariates zero")
        for s, label in enumerate(self.data.stratum_labels):
            here = made.stratum == s
            times = np.unique(self.data.time[self.data.stratum == s])
            total = np.concatenate([[0.0], np.cumsum(made.hazard[here])])
            table["stratum"] += [label] * len(times)
            table["time"] += times.tolist()
            table["hazard"] += (shift * total[np.searchsorted(made.time[here], times, side="right")]).tolist()
        return self._frame(table)

    def predict(
        self, new: Any, *, kind: str = "survival", at: float | Sequence[float] | None = None, level: float | None = None
    ) -> Any:
        """Survival, or risk, of patients with the covariates of ``new``, a frame with the columns of the formula.

        kind : ``survival``, or ``risk``: the hazard as a multiple of that of a patient whose covariates are the means
        of the data. at : times of survival; default every distinct time of the stratum. level : coverage of the limits,
        default that of the fit.

        Returns a frame of ``patient`` (row of ``new``, from 0), then ``risk``; or ``stratum``, ``time``, ``survival``;
        then ``se`` of the logarithm, ``low`` and ``high``, symmetric on the log scale. In survival the error of the
        hazard and of the coefficients both count (Tsiatis 1981; Link 1984); beyond the last time of a stratum it is
        missing. Every patient has a curve in each stratum.

        Raises :class:`EstimationError` where the fit failed or an option means nothing, :class:`DataError` for a column
        or level of ``new`` that is not there.

        Examples
        --------
        >>> import polars as pl
        >>> from equipoise import cox
        >>> frame = pl.DataFrame({"T": [3, 5, 7, 2, 8, 9], "E": [1, 1, 0, 1, 1, 0], "ARM": list("aaabbb")})
        >>> fit = cox("Surv(T, E) ~ ARM", frame)
        >>> new = pl.DataFrame({"ARM": ["a", "b"]})
        >>> [round(s, 3) for s in fit.predict(new, at=5)["survival"]]
        [0.462, 0.644]
        >>> [round(r, 3) for r in fit.predict(new, kind="risk")["risk"]]
        [1.326, 0.754]
        """
        if kind not in ("survival", "risk"):
            raise EstimationError(f"unknown kind {kind!r}", hint="choose survival or risk")
        level = self.level if level is None else level
        check_level(level)
        wanted = None if at is None else np.array(times_at(at, "survival"))
        made, x = self.path, self._covariates(new)
        z = float(special.ndtri(0.5 + 0.5 * level))
        if kind == "risk":
            return self._risk(x - made.centre, z)
        names = ("patient", "stratum", "time", "survival", "se", "low", "high")
        table: dict[str, list[Any]] = {name: [] for name in names}
        for i, row in enumerate(x - made.centre):
            risk = _exp(float(row @ self.beta), f"the hazard of row {i + 1} of the new data")
            for s, label in enumerate(self.data.stratum_labels):
                here = made.stratum == s
                times = np.unique(self.data.time[self.data.stratum == s])
                last = float(times[-1]) if len(times) else 0.0
                times = times if wanted is None else wanted
                at_event = np.searchsorted(made.time[here], times, side="right")
                total = np.concatenate([[0.0], np.cumsum(made.hazard[here])])[at_event]
                error = np.concatenate([[0.0], np.cumsum(made.spread[here])])[at_event]
                drift = np.vstack([np.zeros(len(row)), np.cumsum(made.drift[here], axis=0)])[at_event]
                away = row * total[:, None] - drift
                se = risk * np.sqrt(error + np.einsum("ta,ab,tb->t", away, self.vcov, away))
                hazard = risk * total
                columns = (np.exp(-hazard), se, np.exp(-hazard - z * se), np.minimum(np.exp(-hazard + z * se), 1.0))
                table["patient"] += [i] * len(times)
                table["stratum"] += [label] * len(times)
                table["time"] += times.tolist()
                for name, column in zip(names[3:], columns, strict=True):
                    table[name] += np.where(times > last, np.nan, column).tolist()
        return self._frame(table)

    def _risk(self, away: FloatArray, z: float) -> Any:
        """Hazards relative to that at the means of the covariates, with limits."""
        log = away @ self.beta
        se = np.sqrt(np.einsum("ia,ab,ib->i", away, self.vcov, away))
        risk, low, high = (
            [_exp(float(v), f"the hazard of row {i + 1} of the new data") for i, v in enumerate(values)]
            for values in (log, log - z * se, log + z * se)
        )
        table = {"patient": list(range(len(risk))), "risk": risk, "se": se.tolist(), "low": low, "high": high}
        return self._frame(table)

    def _covariates(self, new: Any) -> FloatArray:
        """(row, p) the design of ``new``."""
        assert self.design is not None
        frame = read_frame(new)
        blocks: dict[str, Factor] = {}
        for name, factor in self.design.factors.items():
            blocks[name] = renewed(factor, frame)
        columns = []
        for term in self.design.terms:
            made = replace(term, factors=tuple(blocks[f.spec.expression] for f in term.factors))
            if term.name != "(Intercept)":
                columns.append(products(made.blocks(), len(frame)))
        return np.hstack(columns)

    def _backend(self) -> Any:
        return nw.get_native_namespace(self.frame)

    def _title(self) -> str:
        return self._words[0]

    def _facts(self) -> Iterator[tuple[str, str]]:
        yield "formula", self.formula
        by = ", ".join(f"{e}/{m} {label}" for label, (e, m) in self.events_by.items())
        yield "rows", f"{self.n}, {self.events} events" + (f" ({by})" if by else "")
        if self.status is not Status.OK:
            return
        tests = {"likelihood ratio": self.likelihood_ratio, "Wald": self.wald, "score": self.score_test}
        if self.robust:
            tests["robust score"] = self.robust_score_test
        for name, (chi_square, df, p) in tests.items():
            yield name, f"chi-square {number(chi_square)} on {df} df, p {p_value(p)}"
        c, se = self.concordance
        if not math.isnan(c):
            yield "concordance", f"{c:.3f} (se {se:.3f})"

    def _table(self) -> tuple[list[str], list[list[str]]]:
        """Hazard ratios as in R's summary: term, ratio, interval, log ratio, its standard error, z and p."""
        interval = f"{100 * self.level:g} % CI"
        head = ["", "hazard ratio", interval, "log", "se(log)", "z", "p"]
        body = []
        for b, one in zip(self.beta, self.estimates, strict=True):
            limits = f"{number(one.low)} to {number(one.high)}" if one.estimable else ""
            log = number(float(b)) if one.estimable else ""
            body.append(
                [one.name, number(one.estimate), limits, log, number(one.se), number(one.statistic), p_value(one.p)]
            )
        return head, body

    def _told(self) -> Iterator[str]:
        facts = list(self._facts())
        width = max(len(what) for what, _ in facts)
        yield self._title()
        yield from (f"{what:<{width}}  {value}" for what, value in facts)
        yield ""
        yield from aligned(*self._table())
        notes = list(notes_of(self.estimates))
        if notes:
            yield ""
            yield from notes

    @property
    def _words(self) -> tuple[str, tuple[str, ...]]:
        by = f", strata {', '.join(self.strata)}" if self.strata else ""
        by += f", clusters {', '.join(self.cluster)}" if self.cluster else ", robust variance" if self.robust else ""
        kind = "Cox regression with Firth's penalty" if self.firth else "Cox regression"
        references = (COX, TIES[self.ties], *(FIRTH if self.firth else ()), *((LIN_WEI,) if self.robust else ()))
        return f"{kind}, {_TIES[self.ties]}{by}", references

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """The hazard ratio of every term, at the level of the fit."""
        return self.at_level(self.level)

    def at_level(self, level: float, *, estimand: str | None = None) -> tuple[Estimate, ...]:
        """Hazard ratio of every term: Wald interval and p-value; with ``firth``, those of the profile of the penalised
        likelihood.
        """
        return tuple(self._estimate(i, level, estimand) for i in range(len(self.names)))

    def _estimate(self, i: int, level: float, estimand: str | None) -> Estimate:
        term, contrast = self._compared.get(self.names[i], (self.names[i], ""))
        status, detail = self.status, None if self.status is Status.OK else self.reason
        se = math.sqrt(float(self.vcov[i, i])) if status is Status.OK else math.nan
        if status is Status.OK and se == 0.0:
            status = Status.SINGULAR
            detail = "not estimable: constant among patients at risk, or a linear combination of earlier terms"
        estimator, references = self._words
        beta = float(self.beta[i])
        made = Estimate.from_t(
            self.names[i],
            estimator,
            beta,
            se,
            math.inf,
            self.n,
            level=level,
            ratio=True,
            scale="hazard ratio",
            estimand=estimand or self.estimand,
            status=status,
            detail=detail,
            references=references,
            term=term,
            contrast=contrast,
        )
        if not self.firth or status is not Status.OK:
            return made
        low, high, p = self._profile(i, level)
        return replace(
            made,
            low=math.exp(low),
            high=math.exp(high) if high < 709.0 else math.inf,
            p=p,
            statistic=math.copysign(-float(special.ndtri(0.5 * p)), beta),
        )

    @cached_property
    def _compared(self) -> dict[str, tuple[str, str]]:
        """Coefficient of a factor -> its column, and the level that is compared with the reference."""
        out = {}
        for term in self.design.terms if self.design is not None else ():
            column = term.factors[0].column if len(term.factors) == 1 else None
            levels = () if column is None else tuple(column.levels or ())
            for name in term.names:
                for level in levels[1:]:
                    if name == f"{term.name}[T.{level}]":
                        out[name] = (term.name, f"{level} / {levels[0]}")
        return out

    def _profile(self, i: int, level: float) -> tuple[float, float, float]:
        """Limits of coefficient ``i`` and its p-value, where twice the penalised log likelihood, maximised over the
        others, has dropped by the chi-square quantile.
        """
        data, drop = self.data, float(special.chdtri(1, 1.0 - level))
        start = self.beta[None].copy()
        known: dict[float, float] = {}

        def deviance(b: float) -> float:
            if b not in known:
                start[0, i] = b
                _, _, loglik, _, status = cox_firth.firth(
                    data.time[None],
                    data.event[None],
                    data.x[None],
                    entry=None if data.entry is None else data.entry[None],
                    stratum=data.stratum[None],
                    ties=self.ties,
                    start=start,
                    held=i,
                )
                known[b] = 2.0 * (self.loglik[1] - float(loglik[0, 1])) if status[0] == Status.OK else math.nan
            return known[b]

        beta, se = float(self.beta[i]), math.sqrt(float(self.naive[i, i]))
        limits = []
        for sign in (-1.0, 1.0):
            reach, inner = math.sqrt(drop) * se, 0.0
            for _ in range(60):
                value = deviance(beta + sign * reach)
                if math.isnan(value) or value > drop:
                    break
                inner, reach = reach, 1.5 * reach
            if not value > drop:
                limits.append(sign * math.inf)
                continue
            from scipy import optimize

            found = optimize.brentq(lambda r, s=sign: deviance(beta + s * r) - drop, inner, reach, xtol=1e-10 * se)
            limits.append(beta + sign * float(found))
        return limits[0], limits[1], float(special.chdtrc(1, max(deviance(0.0), 0.0)))

    def hazard_ratio(self, term: str, *, level: float | None = None, estimand: str | None = None) -> Estimate:
        """Hazard ratio of one term, by its name or by the name of its column if that has a single term; at ``level``,
        by default that of the fit.
        """
        hits = [i for i, n in enumerate(self.names) if n == term or n.split("[")[0] == term]
        if len(hits) != 1:
            raise EstimationError(f"{len(hits)} terms are called {term!r}", hint="terms are " + ", ".join(self.names))
        return self._estimate(hits[0], self.level if level is None else level, estimand)


def _exp(value: float, what: str) -> float:
    """The exponential; raises :class:`EstimationError` where it is no number that a computer holds."""
    if not value < 700.0:
        raise EstimationError(
            f"{what} is too far from the data (its logarithm is {value:g} above theirs)",
            hint="count covariates from a value that patients have, and fill in missing ones",
        )
    return math.exp(value)
