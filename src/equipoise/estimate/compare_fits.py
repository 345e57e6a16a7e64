"""Fits of the same data compared: likelihood ratio tests of nested fits, AIC and BIC by one stated convention."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import special

from equipoise.errors import EstimationError
from equipoise.estimate.categorical.regression import Regression
from equipoise.estimate.fit import Fit, number
from equipoise.estimate.linear.ancova import AncovaFit
from equipoise.estimate.linear.mmrm.result import MmrmFit
from equipoise.estimate.result import Estimate
from equipoise.estimate.survival.cox_fit import CoxFit
from equipoise.types import FloatArray, Status

STRAM = "Stram & Lee 1994, Biometrics 50:1171"
_WITHIN = {
    "cs": ("csh", "toep"),
    "ar1": ("ar1h", "toep", "ad"),
    "csh": ("toeph",),
    "toep": ("toeph",),
    "ar1h": ("toeph", "adh"),
    "ad": ("adh",),
    "toeph": ("us",),
    "adh": ("us",),
    "sp_exp": (),
    "intercept": ("slope", "cs"),
    "slope": ("us",),
}
"""Structure of the covariance -> the structures that it is a case of, one step up (at common visits)."""


@dataclass(frozen=True)
class Criteria:
    """One fit: what it is called, its log likelihood, how many parameters count, and AIC and BIC by that count.

    units : what BIC counts, patients of a mixed model, else rows, or events of a Cox model.
    """

    name: str
    loglik: float
    parameters: int
    units: int

    @property
    def aic(self) -> float:
        """-2 log likelihood and twice the parameters."""
        return -2.0 * self.loglik + 2.0 * self.parameters

    @property
    def bic(self) -> float:
        """-2 log likelihood and the parameters times the logarithm of ``units``."""
        return -2.0 * self.loglik + math.log(self.units) * self.parameters


@dataclass(frozen=True)
class _Read:
    """A fit as the comparison needs it. x : (row, column) of the fixed part; seen : what must be the same data."""

    kind: str
    criteria: Criteria
    x: FloatArray
    seen: FloatArray
    structure: str = ""
    reml: bool = False
    status: Status = Status.OK


@dataclass(frozen=True, eq=False)
class FitComparison(Fit):
    """Fits of the same data, in the order given.

    criteria : of each fit. estimates : the likelihood ratio test of each fit against the one before. convention : what
    AIC and BIC count.
    """

    criteria: tuple[Criteria, ...]
    estimates: tuple[Estimate, ...]
    convention: str
    backend: Any

    @property
    def best(self) -> str:
        """The name of the fit with the smallest AIC."""
        return min(self.criteria, key=lambda c: c.aic).name

    def table(self) -> Any:
        """One row a fit: name, log likelihood, parameters that count, AIC, BIC, difference in AIC from the best."""
        least = min(c.aic for c in self.criteria)
        return self._frame(
            {
                "fit": [c.name for c in self.criteria],
                "loglik": [c.loglik for c in self.criteria],
                "parameters": [c.parameters for c in self.criteria],
                "aic": [c.aic for c in self.criteria],
                "bic": [c.bic for c in self.criteria],
                "aic_above_best": [c.aic - least for c in self.criteria],
            }
        )

    def _title(self) -> str:
        return "Fits compared"

    def _facts(self) -> Iterator[tuple[str, str]]:
        for c in self.criteria:
            said = f"log likelihood {number(c.loglik, 7)}, {c.parameters} parameters"
            yield c.name, f"{said}, AIC {number(c.aic, 6)}, BIC {number(c.bic, 6)}"

    def _notes(self) -> Iterator[str]:
        yield f"AIC and BIC count {self.convention}."


def compare_fits(*fits: Any, names: Sequence[str] | None = None) -> FitComparison:
    """Compare fits of the same data: AIC, BIC, and the likelihood ratio test of each against the one before.

    Convention. Under maximum likelihood all parameters count: coefficients, variances and covariances (as R's ``AIC``
    of ``lm``, ``lme``, ``glm``, and SAS). Under restricted likelihood only variances and covariances do (as SAS and
    R's mmrm), and only fits with the same fixed part are compared, as others have other data behind their likelihoods.
    A Cox model counts its coefficients, and events as its size. So ``aic`` of an :func:`equipoise.mmrm` by maximum
    likelihood, which counts covariance parameters as R's mmrm does, may differ from what stands here.

    Parameters
    ----------
    fits : two or more results of ``ancova``, of ``mmrm``, ``clda`` and ``slope``, of ``cox``, or of ``logistic`` and
        ``count_regression``; smaller ones first. names : what to call them, default their formulas or structures.

    Returns
    -------
    FitComparison. Where a fit is not a case of the next, or did not converge, the test says so. Where the smaller has a
    variance at zero (a random intercept against intercept and slope) the p-value of the chi-square distribution is too
    large, as the test says.

    Raises
    ------
    EstimationError : fewer than two fits, fits of different kinds, of different data, or by restricted likelihood with
        different fixed parts.

    Examples
    --------
    >>> import polars as pl
    >>> from equipoise import ancova, compare_fits
    >>> rows = [(a, float(x), x * (1.0 + (a == "b")) + (x * 7 % 3)) for a in "ab" for x in range(8)]
    >>> data = pl.DataFrame(rows, schema=["ARM", "X", "Y"], orient="row")
    >>> made = compare_fits(ancova("Y ~ X", data), ancova("Y ~ ARM * X", data))
    >>> made.best, round(made.estimates[0].statistic, 2), [c.parameters for c in made.criteria]
    ('Y ~ ARM * X', 33.78, [3, 5])
    """
    if len(fits) < 2:
        raise EstimationError(f"{len(fits)} fit{'s' if len(fits) != 1 else ''}", hint="give two or more to compare")
    read = [_read(one) for one in fits]
    called = _named(fits, read, names)
    read = [_called(one, name) for one, name in zip(read, called, strict=True)]
    first = read[0]
    for one in read[1:]:
        if one.kind != first.kind or one.reml != first.reml:
            how = [f"{r.kind}{' by restricted likelihood' if r.reml else ''}" for r in (first, one)]
            raise EstimationError(f"a fit of {how[0]} and one of {how[1]}", hint="compare fits of one kind")
        if one.seen.shape != first.seen.shape or not np.allclose(one.seen, first.seen, rtol=1e-12, equal_nan=True):
            raise EstimationError(
                f"{called[0]} and {one.criteria.name} are of different rows or responses",
                hint="fit them to the same rows: leave out those that lack a column of any",
            )
        if first.reml and (first.x.shape != one.x.shape or not np.allclose(first.x, one.x)):
            raise EstimationError(
                "restricted likelihoods of different fixed parts", hint="fit them with reml=False to compare them"
            )
    tests = tuple(_test(a, b) for a, b in itertools.pairwise(read))
    counted = {
        "a linear model": "coefficients and the residual variance",
        "a mixed model": "variances and covariances alone (restricted likelihood)"
        if first.reml
        else "coefficients, variances and covariances (maximum likelihood)",
        "a Cox model": "coefficients; BIC takes the number of events",
    }.get(first.kind, "coefficients, and the dispersion where there is one")
    return FitComparison(tuple(r.criteria for r in read), tests, counted, fits[0]._backend())


def _read(fit: Any) -> _Read:
    if isinstance(fit, MmrmFit):
        fixed, inner = len(fit.kept), len(fit.optimum.theta)
        count = inner + (0 if fit.reml else fixed)
        criteria = Criteria("", fit.loglik, count, fit.n_subjects)
        x = fit.design.matrix()[:, fit.kept]
        return _Read("a mixed model", criteria, x, fit.observed, fit.structure, fit.reml, fit.status)
    if isinstance(fit, AncovaFit):
        criteria = Criteria("", fit.loglik, len(fit.kept) + 1, fit.n)
        return _Read("a linear model", criteria, fit.design.matrix()[:, fit.kept], fit.observed, "", False, fit.status)
    if isinstance(fit, CoxFit):
        rows = fit.data
        criteria = Criteria("", fit.loglik[1], fit.df, max(fit.events, 1))
        seen = np.column_stack([rows.time, rows.event, rows.stratum])
        return _Read("a Cox model", criteria, rows.x, seen, fit.ties, False, fit.status)
    if isinstance(fit, Regression):
        return _regression(fit)
    raise EstimationError(
        f"{type(fit).__name__} is no fit that can be compared",
        hint="give results of ancova, mmrm, clda, slope, cox, logistic or count_regression",
    )


def _regression(fit: Regression) -> _Read:
    problem = fit.problem
    if problem.firth or "quasi" in fit.title:
        what = "a penalised likelihood" if problem.firth else "a quasi-likelihood"
        raise EstimationError(f"{fit.title}: {what}", hint="compare fits by their likelihoods")
    criteria = Criteria("", fit.loglik, len(fit.kept) + (1 if math.isfinite(fit.theta) else 0), fit.n)
    seen = np.column_stack([problem.y, np.broadcast_to(problem.offset, problem.y.shape)])
    family = "a model of counts" if problem.family != "binomial" else "a logistic model"
    return _Read(family, criteria, problem.x, seen, "theta" if math.isfinite(fit.theta) else "", False, fit.status)


def _named(fits: Sequence[Any], read: Sequence[_Read], names: Sequence[str] | None) -> list[str]:
    """What the fits are called: as given, by their formulas, or these and their structures where formulas are alike."""
    if names is not None:
        if len(names) != len(fits) or len(set(names)) < len(names):
            raise EstimationError(f"{len(names)} names for {len(fits)} fits", hint="give each fit a name of its own")
        return [str(name) for name in names]
    called = [str(one.formula) for one in fits]
    if len(set(called)) < len(called):
        called = [f"{name}, {r.structure}" if r.structure else name for name, r in zip(called, read, strict=True)]
    return called if len(set(called)) == len(called) else [f"{k}: {name}" for k, name in enumerate(called, start=1)]


def _called(read: _Read, name: str) -> _Read:
    return replace(read, criteria=replace(read.criteria, name=name))


def _within(small: str, large: str) -> bool:
    """Whether a structure is a case of another, or the same."""
    return small == large or any(_within(one, large) for one in _WITHIN.get(small, ()))


def _test(small: _Read, large: _Read) -> Estimate:
    """The likelihood ratio test of two fits."""
    a, b = small.criteria, large.criteria
    name, df = f"{b.name} against {a.name}", b.parameters - a.parameters
    nan, why, detail = math.nan, "", None
    if small.status is not Status.OK or large.status is not Status.OK:
        lost = a.name if small.status is not Status.OK else b.name
        why = f"{lost} was not fitted"
    elif not _spans(large.x, small.x) or (
        small.kind == "a mixed model" and not _within(small.structure, large.structure)
    ):
        why = f"{a.name} is no case of {b.name}; compare their AIC"
    elif df < 1:
        why = f"{b.name} has no parameter more than {a.name}"
    if why:
        none = Estimate.of_test(name, "likelihood ratio test", nan, a.units)
        return replace(none, status=Status.NOT_IDENTIFIED, detail=f"not estimable: {why}")
    statistic = max(2.0 * (b.loglik - a.loglik), 0.0)
    if (small.structure, large.structure) == ("intercept", "slope") or large.structure == "theta" != small.structure:
        detail = "a variance of zero is at the edge of what it can be, so that P is too large"
    told = f"likelihood ratio test on {df} df"
    made = Estimate.of_test(
        name, told, float(special.chdtrc(df, statistic)), a.units, statistic=statistic, df=float(df), detail=detail
    )
    return replace(made, references=(STRAM,)) if detail else made


def _spans(large: FloatArray, small: FloatArray) -> bool:
    """Whether the columns of ``small`` are combinations of those of ``large``."""
    found, *_ = np.linalg.lstsq(large, small, rcond=None)
    rest = np.abs(small - large @ found).max(axis=0, initial=0.0)
    return bool((rest <= 1e-8 * (1.0 + np.abs(small).max(axis=0, initial=0.0))).all())
