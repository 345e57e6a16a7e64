"""What fits of generalised linear models have in common: coefficients as ratios, effects standardised over patients.

Standardised (marginal) effects: what the means would be had everybody been in each arm (``docs/methods/logistic.md``).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.categorical import glm
from equipoise.estimate.categorical.glm import Maximum, Problem
from equipoise.estimate.diagnostics import Diagnostics, row_names
from equipoise.estimate.fit import Fit, number
from equipoise.estimate.formula import Design, build, read, with_intercept
from equipoise.estimate.frames import read_frame
from equipoise.estimate.influence import ONE_STEP, PREGIBON, REFIT, Influence, refitted
from equipoise.estimate.influence import made as influence_made
from equipoise.estimate.left_out import LeftOut
from equipoise.estimate.result import Estimate, check_level
from equipoise.types import REASONS, FloatArray, Status

GE = "Ge, Durham, Meyer, Xie & Thomas 2011, Drug Inf J 45:481"
YE = "Ye, Bannick, Yi & Shao 2023, Stat Theory Relat Fields 7:159"
VARIANCES = ("ge", "ye")


@dataclass(frozen=True, eq=False)
class Regression(Fit):
    """A fitted generalised linear model.

    names, beta, vcov : coefficients, the intercept first, and their covariance. family, kind : of the model, and what
    the exponent of a coefficient is (odds ratio, rate ratio). loglik : at the maximum (penalised with ``firth``).
    dispersion : Pearson's chi-square over its degrees of freedom. theta : of a negative binomial.
    """

    formula: str
    title: str
    kind: str
    names: tuple[str, ...]
    beta: FloatArray
    vcov: FloatArray
    loglik: float
    dispersion: float
    n: int
    events: float
    status: Status
    detail: str | None
    interval: str
    level: float
    theta: float
    theta_se: float
    left_out: LeftOut
    backend: Any
    estimand: str | None
    problem: Problem = field(repr=False)
    best: Maximum = field(repr=False)
    design: Design = field(repr=False)
    kept: tuple[int, ...] = field(repr=False)
    notes: tuple[str, ...] = ()
    references: tuple[str, ...] = ()

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """The exponents of the coefficients but the intercept's."""
        return self._at(self.level)

    def at_level(self, level: float) -> tuple[Estimate, ...]:
        """The estimates with intervals of coverage ``level``."""
        check_level(level)
        return self._at(level)

    def _at(self, level: float) -> tuple[Estimate, ...]:
        return tuple(self._ratio(j, level) for j, name in enumerate(self.names) if name != "(Intercept)")

    def _ratio(self, j: int, level: float) -> Estimate:
        name = self.names[j]
        value, se = float(self.beta[j]), math.sqrt(self.vcov[j, j]) if self.status is Status.OK else math.nan
        common: dict[str, Any] = {
            "level": level,
            "ratio": True,
            "scale": self.kind,
            "estimand": self.estimand,
            "references": self.references,
            "term": name,
        }
        if self.status is not Status.OK or self.interval == "wald":
            return Estimate.from_t(
                name, self.title, value, se, math.inf, self.n, status=self.status, detail=self.detail, **common
            )
        low, high, p = glm.profile_limits(self.problem, self.best, j, level)
        z = math.copysign(math.sqrt(max(2.0 * (self.best.loglik - self._without(j)), 0.0)), value)
        return Estimate(
            name,
            f"{self.title}, profile likelihood",
            math.exp(value),
            se,
            math.inf,
            math.exp(low),
            math.exp(high) if high < 700.0 else math.inf,
            p,
            self.n,
            form="inverted",
            statistic=z,
            **common,
        )

    def _without(self, j: int) -> float:
        start = self.best.beta.copy()
        start[j] = 0.0
        return glm.fit(self.problem, fixed=j, at=0.0, start=start).loglik

    def coefficient(self, name: str) -> Estimate:
        """The estimate of one coefficient by its name, or of the only one of a factor of two levels by the factor's.

        Raises :class:`EstimationError` for a name that is none.
        """
        found = [e for e in self.estimates if e.term == name or e.term.startswith(f"{name}[")]
        if len(found) != 1:
            raise EstimationError(f"no coefficient {name!r}", hint="there are " + ", ".join(self.names[1:]))
        return found[0]

    def marginal(self, arm: str, control: Any = None, *, variance: str = "ge", level: float | None = None) -> Marginal:
        """Means had everybody been in each arm, with the covariates as they are, and their comparison with control.

        Parameters
        ----------
        arm : a factor of the model. control : its level to compare with; default the first.
        variance : ``ge`` (Ge et al. 2011: the delta method, covariates taken as given) or ``ye`` (Ye et al. 2023:
            robust, covariates a sample, the model need not hold; of arms assigned at random).

        Raises
        ------
        EstimationError : ``arm`` is no factor of the model, or an option is unknown.
        """
        return _marginal(self, arm, control, variance, self.level if level is None else level)

    def residuals(self, kind: str = "deviance") -> Any:
        """Residuals of every row analysed, as a frame: what names the row, and ``residual``.

        ``response``: observed minus fitted. ``pearson``: over the standard deviation at the fitted mean. ``deviance``:
        the signed root of the row's part of the deviance. ``standardized``: deviance residuals over the root of the
        dispersion (1 but in a quasi-likelihood) and of 1 - leverage (R ``rstandard``).

        Raises :class:`EstimationError` for another kind, and where the model was not fitted.
        """
        unit, units = self._named_rows()
        return self._frame({unit: list(units), "residual": self._residuals(kind).tolist()})

    def _named_rows(self) -> tuple[str, Sequence[Any]]:
        """What names the rows analysed, and their names."""
        return row_names(self.design, (np.flatnonzero(self.design.keep) + 1).tolist())

    def _residuals(self, kind: str) -> FloatArray:
        if self.status is not Status.OK:
            raise EstimationError(f"no residuals: {self.detail}", hint="see .status before asking for them")
        problem, mu = self.problem, self.problem.mean(self.beta)
        if kind == "response":
            return problem.y - mu
        if kind == "pearson":
            return (problem.y - mu) / np.sqrt(glm.variance(problem.family, mu, self.theta))
        if kind not in ("deviance", "standardized", "standardised"):
            raise EstimationError(
                f"unknown kind of residuals {kind!r}", hint="choose response, pearson, deviance or standardized"
            )
        made_ = np.sign(problem.y - mu) * np.sqrt(glm.deviances(problem.family, problem.y, mu, self.theta))
        return made_ if kind == "deviance" else made_ / np.sqrt(self._spread * (1.0 - self._leverage()))

    @property
    def _spread(self) -> float:
        """The dispersion that variances are multiplied by: 1 but in a quasi-likelihood."""
        return self.dispersion if "quasi" in self.title else 1.0

    def _leverage(self) -> FloatArray:
        """(row,) leverage: the diagonal of W^1/2 X (X'WX)^-1 X' W^1/2."""
        problem = replace(self.problem, theta=self.theta)
        root = problem.x * np.sqrt(problem.weight(problem.mean(self.beta)))[:, None]
        inverse = np.linalg.inv(problem.information(self.beta))
        return np.asarray(np.einsum("ia,ab,ib->i", root, inverse, root))

    def influence(self, *, refit: bool = False) -> Influence:
        """What every row does to the coefficients: leverage, Cook's distance, dfbetas.

        By one step of Fisher's scoring from the estimate (Pregibon 1981; R's ``cooks.distance`` and ``hatvalues``), or
        with ``refit`` from fits without the row. By the covariance of the model, whatever ``vcov``. With Firth's
        penalty by refits alone.

        Raises :class:`EstimationError` where the model was not fitted, or without ``refit`` with Firth's penalty.
        """
        if self.status is not Status.OK:
            raise EstimationError(f"no influence: {self.detail}", hint="see .status before asking for it")
        problem = replace(self.problem, theta=self.theta)
        if problem.firth and not refit:
            raise EstimationError("influence by one step with Firth's penalty", hint="ask for refit=True")
        mu, hat, information = problem.mean(self.beta), self._leverage(), problem.information(self.beta)
        if refit:
            change = refitted(self.beta, self.n, self._left_out)
        else:
            left = np.where(hat > 1.0 - 1e-10, np.nan, 1.0 - hat)
            each = (problem.y - mu) * glm.slope(problem.family, mu) / glm.variance(problem.family, mu, problem.theta)
            change = (problem.x @ np.linalg.inv(information)) * (each / left)[:, None]
        return influence_made(
            self.title,
            REFIT if refit else ONE_STEP,
            self._named_rows(),
            self.names,
            change,
            information / self._spread,
            (PREGIBON,),
            leverage=hat,
            backend=self._backend(),
        )

    def _left_out(self, i: int) -> FloatArray | None:
        """The coefficients without row ``i``; None where there are none."""
        keep = np.arange(self.n) != i
        own = replace(self.problem, x=self.problem.x[keep], y=self.problem.y[keep], offset=self.problem.offset[keep])
        if np.linalg.matrix_rank(own.x) < own.x.shape[1]:
            return None
        best = glm.negative_binomial(own) if math.isfinite(self.theta) else glm.fit(own, start=self.beta)
        return best.beta if best.status is Status.OK else None

    def diagnostics(self, kind: str = "standardized") -> Diagnostics:
        """Residuals of every row with its linear predictor, and the influence of rows; ``kind`` as in
        :meth:`residuals`. Residuals of answers and counts follow no normal distribution, so that there is no Q-Q plot.
        """
        unit, units = self._named_rows()
        residual = self._residuals(kind)
        at = self.problem.x @ self.beta + self.problem.offset
        rows = {"unit": list(units), "fitted": at.tolist(), "residual": residual.tolist()}
        own = self.influence(refit=self.problem.firth)
        return Diagnostics(
            self.title,
            f"{kind} residual",
            unit,
            rows,
            own,
            fitted="linear predictor",
            normal=False,
            backend=self._backend(),
        )

    def _title(self) -> str:
        return self.title[0].upper() + self.title[1:]

    def _facts(self) -> Iterator[tuple[str, str]]:
        yield "Formula", self.formula
        yield "Data", f"{self.n} patients, {self.events:g} {'responders' if self.kind == 'odds ratio' else 'events'}"
        if self.status is Status.OK:
            yield "Log-likelihood", number(self.loglik, 6)
        if self.kind == "rate ratio" and self.status is Status.OK:
            yield "Dispersion", f"{number(self.dispersion)} (Pearson's chi-square over its degrees of freedom)"
        if math.isfinite(self.theta):
            yield "Theta", f"{number(self.theta)} (std. error {number(self.theta_se)}); variance mu + mu^2 / theta"

    def _notes(self) -> Iterator[str]:
        return iter(self.notes)


@dataclass(frozen=True, eq=False)
class Marginal(Fit):
    """Standardised means of the arms and their comparisons with control.

    arms : control first. means : of the arms, each an :class:`Estimate`. differences, ratios, odds_ratios : of every
    other arm; odds ratios of shares alone. covariance : (arm, arm) of the means.
    """

    arms: tuple[Any, ...]
    means: tuple[Estimate, ...]
    differences: tuple[Estimate, ...]
    ratios: tuple[Estimate, ...]
    odds_ratios: tuple[Estimate, ...]
    covariance: FloatArray
    title: str
    backend: Any

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """Means, differences, ratios, and odds ratios of shares."""
        return (*self.means, *self.differences, *self.ratios, *self.odds_ratios)

    def _title(self) -> str:
        return self.title

    def _keys(self) -> Sequence[dict[str, Any]]:
        return [{"scale": e.scale} for e in self.estimates]

    def _drawn(self) -> Any:
        """The differences; ratios are on another axis."""
        return self.differences


def _marginal(fit: Regression, arm: str, control: Any, how: str, level: float) -> Marginal:
    check_level(level)
    if how not in VARIANCES:
        raise EstimationError(f"unknown variance {how!r}", hint="choose one of " + ", ".join(VARIANCES))
    factor = next((f for f in fit.design.factors.values() if f.column is not None and f.variables == (arm,)), None)
    if factor is None or factor.column is None:
        known = [f.variables[0] for f in fit.design.factors.values() if f.column is not None]
        raise EstimationError(f"{arm!r} is no factor of the model", hint="there are " + ", ".join(known or ["none"]))
    levels = list(factor.column.levels or ())
    if control is not None:
        if control not in levels:
            raise EstimationError(
                f"{control!r} is no level of {arm!r}", hint="levels are " + ", ".join(map(str, levels))
            )
        levels = [control, *(v for v in levels if v != control)]
    native = [list(factor.column.levels or ()).index(v) for v in levels]
    mu, gradient = [], []
    frame = fit.design.frame.filter(fit.design.keep.tolist())
    codes = np.asarray(factor.column.codes)
    for label in levels:
        own = frame.with_columns(_constant(frame, arm, label))
        x = fit.design.matrix_of(own)[:, list(fit.kept)]
        offset = np.zeros(len(x)) if fit.kind == "rate ratio" else fit.problem.offset  # rates: of one unit of exposure
        mean = glm.inverse(fit.problem.family, x @ fit.beta + offset)
        mu.append(mean)
        gradient.append((glm.slope(fit.problem.family, mean)[:, None] * x).mean(axis=0))
    means, jacobian = np.array([m.mean() for m in mu]), np.array(gradient)
    status, detail = fit.status, fit.detail
    covariance = jacobian @ fit.vcov @ jacobian.T
    if how == "ye" and status is Status.OK:
        if fit.kind == "rate ratio":
            raise EstimationError("variance='ye' of rates", hint="use vcov='HC0' and variance='ge'")
        covariance = _ye(fit.problem.y, np.array(mu), codes, native)
    share = fit.kind == "odds ratio"
    title = "Standardised " + ("shares" if share else "rates")
    told = f"{fit.title}, standardised ({'Ge' if how == 'ge' else 'Ye'})"
    common: dict[str, Any] = {
        "level": level,
        "estimand": fit.estimand,
        "status": status,
        "detail": detail,
        "references": (GE,) if how == "ge" else (YE,),
    }
    z: dict[str, list[Estimate]] = {"mean": [], "difference": [], "ratio": [], "odds_ratio": []}
    for g, label in enumerate(levels):
        what = "proportion" if share else "rate"
        z["mean"].append(
            Estimate.from_t(
                f"{what}, {label}",
                told,
                means[g],
                math.sqrt(covariance[g, g]),
                math.inf,
                fit.n,
                scale=what,
                term=what,
                **common,
            )
        )
    for g in range(1, len(levels)):
        a, b = means[g], means[0]
        pairs = {
            "difference": (a - b, np.array([1.0, -1.0])),
            "ratio": (math.log(a / b), np.array([1 / a, -1 / b])),
            "odds_ratio": (math.log(a / (1 - a) * (1 - b) / b), np.array([1 / (a * (1 - a)), -1 / (b * (1 - b))]))
            if share
            else None,
        }
        two = covariance[np.ix_([g, 0], [g, 0])]
        for kind, pair in pairs.items():
            if pair is None:
                continue
            scale = {
                "difference": "difference in proportions" if share else "difference in rates",
                "ratio": "ratio of proportions" if share else "rate ratio",
                "odds_ratio": "odds ratio",
            }[kind]
            name = f"{levels[g]} {'-' if kind == 'difference' else '/'} {levels[0]}"
            z[kind].append(
                Estimate.from_t(
                    name,
                    told,
                    pair[0],
                    math.sqrt(float(pair[1] @ two @ pair[1])),
                    math.inf,
                    fit.n,
                    ratio=kind != "difference",
                    scale=scale,
                    term=scale,
                    contrast=name,
                    **common,
                )
            )
    return Marginal(
        tuple(levels),
        tuple(z["mean"]),
        tuple(z["difference"]),
        tuple(z["ratio"]),
        tuple(z["odds_ratio"]),
        covariance,
        title,
        fit.backend,
    )


def _constant(frame: nw.DataFrame[Any], name: str, value: Any) -> nw.Series[Any]:
    """Column ``name`` with ``value`` in every row."""
    return nw.new_series(name, [value] * len(frame), backend=nw.get_native_namespace(frame))


def _ye(y: FloatArray, mu: FloatArray, codes: Any, order: Sequence[int]) -> FloatArray:
    """(arm, arm) covariance of standardised means (Ye et al. 2023); mu (arm, subject)."""
    k, n = len(order), len(y)

    def cov(a: FloatArray, b: FloatArray) -> float:
        return float(((a - a.mean()) * (b - b.mean())).sum() / (len(a) - 1))

    out = np.zeros((k, k))
    for i, g in enumerate(order):
        here = codes == g
        out[i, i] = (
            cov(y[here] - mu[i][here], y[here] - mu[i][here]) / here.mean()
            + 2 * cov(y[here], mu[i][here])
            - cov(mu[i], mu[i])
        )
        for j, h in enumerate(order):
            there = codes == h
            if j != i:
                out[i, j] = cov(y[here], mu[j][here]) + cov(y[there], mu[i][there]) - cov(mu[i], mu[j])
    return out / n


@dataclass(frozen=True, eq=False)
class Read:
    """A formula and its data as arrays: x (row, p) of the columns ``kept``, y and offset (row,), their names."""

    text: str
    design: Design
    x: FloatArray
    y: FloatArray
    offset: FloatArray
    names: tuple[str, ...]
    kept: tuple[int, ...]
    left_out: LeftOut
    backend: Any


def read_model(formula: Any, data: Any, *, kind: str, exposure: str | None = None) -> Read:
    """The design of a formula with a response of 0 and 1 (``kind`` yes), of counts (``count``) or of any numbers
    (``number``); ``exposure`` is a column whose logarithm is an offset.

    Raises
    ------
    DataError, EstimationError : the formula cannot be read, or a column holds what it should not.
    """
    if exposure is not None:
        from equipoise.estimate.formula import quoted

        formula = f"{formula} + offset(log({quoted(exposure)}))" if isinstance(formula, str) else formula
    model = read(formula)
    model.refuse(
        covariance="use gee() for repeated answers",
        random="use gee() for repeated answers",
        cluster="use gee() for repeated answers",
        strata="put the column among the terms",
    )
    if model.target is None:
        raise EstimationError("the formula has no response", hint="write RESP ~ TRT01P + BASE, say")
    frame = read_frame(data)
    if exposure is not None:
        _positive(frame, exposure)
    name = model.target.name
    if name is not None and name in frame.columns and frame.get_column(name).dtype == nw.Boolean:
        frame = frame.with_columns(nw.col(name).cast(nw.Float64))
    if not any(len(t) == 0 for t in model.terms):
        model = replace(model, terms=with_intercept(model.terms))
    design, y = build(model, frame, {})
    bad = {
        "yes": (y != 0.0) & (y != 1.0),
        "count": (y < 0.0) | (y != np.floor(y)),
        "number": np.zeros(len(y), np.bool_),
    }[kind]
    if bad.any():
        row = int(np.flatnonzero(design.keep)[np.flatnonzero(bad)[0]])
        wanted = "0 or 1" if kind == "yes" else "a count"
        raise DataError(f"row {row + 1}: the response is {y[np.flatnonzero(bad)[0]]:g}", hint=f"it is to be {wanted}")
    x = design.matrix()
    kept = glm.independent(x)
    names = tuple(design.names[j] for j in kept)
    lost = [design.names[j] for j in range(x.shape[1]) if j not in kept]
    if lost:
        raise EstimationError(
            f"{', '.join(lost)}: determined by earlier terms", hint="leave the term out, or join levels that nobody has"
        )
    if len(y) <= len(kept):
        raise EstimationError(
            f"{len(y)} patients cannot estimate {len(kept)} coefficients", hint="simplify the formula"
        )
    offset = np.zeros(len(y)) if design.offset is None else design.offset
    return Read(
        str(formula),
        design,
        x[:, kept],
        y,
        offset,
        names,
        tuple(kept),
        LeftOut(design.left_out),
        nw.get_native_namespace(frame),
    )


def _positive(frame: nw.DataFrame[Any], name: str) -> None:
    from equipoise.estimate.columns import numbers
    from equipoise.estimate.frames import refuse, require

    require(frame, [name])
    values = numbers(frame, name)
    refuse(values <= 0.0, f"{name!r} is not above 0", "exposure is a time under observation; leave out who has none")


def made(
    read_: Read,
    problem: Problem,
    best: Maximum,
    *,
    title: str,
    kind: str,
    vcov: str,
    interval: str,
    level: float,
    estimand: str | None,
    scale: float = 1.0,
    notes: tuple[str, ...] = (),
    references: tuple[str, ...] = (),
) -> Regression:
    """The result of a fit."""
    status, detail = best.status, None
    if status is Status.BOUNDARY:
        sizes = np.abs(best.beta) * read_.x.std(axis=0)
        away = [n for n, s in zip(read_.names, sizes, strict=True) if s > 3.0 and n != "(Intercept)"] or list(
            read_.names
        )
        detail = f"not estimable: the likelihood rises for ever as the coefficient of {', '.join(away[:3])} grows"
        detail += "; firth=True has a finite estimate" if kind == "odds ratio" else ""
    elif status is not Status.OK:
        detail = f"not estimable: {REASONS[status].removeprefix('not estimable: ')}"
    covariance = best.covariance * scale
    if status is Status.OK and vcov != "model":
        covariance = glm.sandwich(problem, best.beta, vcov)
    mu = problem.mean(best.beta)
    df = len(read_.y) - len(read_.kept)
    pearson = (
        float(((read_.y - mu) ** 2 / glm.variance(problem.family, mu, best.theta)).sum() / df) if df > 0 else math.nan
    )
    return Regression(
        read_.text,
        title,
        kind,
        read_.names,
        best.beta,
        covariance if status is Status.OK else np.full_like(best.covariance, np.nan),
        best.loglik,
        pearson,
        len(read_.y),
        float(read_.y.sum()),
        status,
        detail,
        interval,
        level,
        best.theta,
        best.theta_se,
        read_.left_out,
        read_.backend,
        estimand,
        problem,
        best,
        read_.design,
        read_.kept,
        notes,
        references,
    )
