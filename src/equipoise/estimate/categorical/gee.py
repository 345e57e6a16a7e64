"""Generalised estimating equations of repeated answers, with covariances that are right for few patients.

Liang & Zeger (1986). Equations and sources in ``docs/methods/gee.md``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.categorical import glm
from equipoise.estimate.categorical.glm import Problem
from equipoise.estimate.columns import codes_of
from equipoise.estimate.fit import Fit, number
from equipoise.estimate.formula import build, quoted, read, with_intercept
from equipoise.estimate.frames import read_frame, require
from equipoise.estimate.left_out import LeftOut
from equipoise.estimate.result import Estimate, check_level
from equipoise.types import FloatArray, IntArray, Status

LIANG = "Liang & Zeger 1986, Biometrika 73:13"
FAMILIES = ("gaussian", "binomial", "poisson")
CORRELATIONS = ("independence", "exchangeable", "ar1", "unstructured")
CORRECTIONS = {
    "robust": LIANG,
    "model": LIANG,
    "kauermann-carroll": "Kauermann & Carroll 2001, J Am Stat Assoc 96:1387",
    "mancl-derouen": "Mancl & DeRouen 2001, Biometrics 57:126",
    "fay-graubard": "Fay & Graubard 2001, Biometrics 57:1198",
}
_SCALE = {"gaussian": "difference", "binomial": "odds ratio", "poisson": "rate ratio"}
MOST_OF_FAY = 0.75
"""Fay and Graubard's bound on a leverage."""


@dataclass(frozen=True, eq=False)
class GeeFit(Fit):
    """Fitted generalised estimating equations.

    names, beta, vcov : coefficients and their covariance by ``correction``; ``covariances`` holds every one. alpha :
    (visit, visit) working correlation. phi : dispersion. df : of t tests, infinite for normal theory.
    """

    formula: str
    family: str
    correlation: str
    correction: str
    names: tuple[str, ...]
    beta: FloatArray
    covariances: dict[str, FloatArray]
    alpha: FloatArray
    phi: float
    df: float
    n: int
    n_subjects: int
    status: Status
    detail: str | None
    level: float
    estimand: str | None
    left_out: LeftOut
    backend: Any

    @property
    def vcov(self) -> FloatArray:
        return self.covariances[self.correction]

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """The coefficients but the intercept's; of answers of yes or no and counts their exponents."""
        return self.at_level(self.level)

    def at_level(self, level: float) -> tuple[Estimate, ...]:
        """The estimates with intervals of coverage ``level``."""
        check_level(level)
        out = []
        for j, name in enumerate(self.names):
            if name == "(Intercept)":
                continue
            variance = float(self.vcov[j, j])
            out.append(
                Estimate.from_t(
                    name,
                    f"GEE, {self.correlation}, {self.correction}",
                    float(self.beta[j]),
                    math.sqrt(variance) if variance > 0.0 else math.nan,
                    self.df,
                    self.n_subjects,
                    level=level,
                    ratio=self.family != "gaussian",
                    scale=_SCALE[self.family],
                    estimand=self.estimand,
                    status=self.status,
                    detail=self.detail,
                    references=(LIANG, CORRECTIONS[self.correction]),
                    term=name,
                )
            )
        return tuple(out)

    def coefficient(self, name: str) -> Estimate:
        """The estimate of one coefficient by its name, or of the only one of a factor of two levels by the factor's.

        Raises :class:`EstimationError` for a name that is none.
        """
        found = [e for e in self.estimates if e.term == name or (e.term.startswith(f"{name}[") and ":" not in e.term)]
        if len(found) != 1:
            raise EstimationError(f"no coefficient {name!r}", hint="there are " + ", ".join(self.names[1:]))
        return found[0]

    def _title(self) -> str:
        return f"Generalised estimating equations, {self.family}"

    def _facts(self) -> Iterator[tuple[str, str]]:
        yield "Formula", self.formula
        yield "Data", f"{self.n_subjects} patients, {self.n} records"
        if self.status is Status.OK:
            first = f", {number(float(self.alpha[0, 1]))} between neighbours" if len(self.alpha) > 1 else ""
            yield "Correlation", self.correlation + ("" if self.correlation == "independence" else first)
            yield "Dispersion", number(self.phi)


def gee(
    formula: Any,
    data: Any,
    *,
    subject: str = "USUBJID",
    visit: str | None = None,
    family: str = "binomial",
    correlation: str = "exchangeable",
    vcov: str = "robust",
    df: str = "normal",
    exposure: str | None = None,
    level: float = 0.95,
    estimand: str | None = None,
) -> GeeFit:
    """Generalised estimating equations of repeated answers.

    Parameters
    ----------
    formula : ``RESP ~ TRT01P * AVISIT``; data : one row a patient and visit; rows that lack a column take no part.
    subject, visit : columns; the visit is needed for ``ar1`` and ``unstructured``.
    family : ``binomial`` (logit), ``poisson`` (log), ``gaussian`` (identity). exposure : of counts, times.
    correlation : ``independence``, ``exchangeable``, ``ar1`` (by the place of the visit), ``unstructured``.
    vcov : ``robust`` (the sandwich), ``kauermann-carroll``, ``mancl-derouen``, ``fay-graubard``, or ``model``.
    df : ``normal``, or ``between`` for t on patients less coefficients, which with few patients goes with a corrected
        covariance.

    Returns
    -------
    GeeFit.

    Raises
    ------
    DataError, EstimationError : the formula, a column or an option cannot be used.

    Examples
    --------
    >>> import polars as pl
    >>> rows = [(i, v, "ab"[i % 2], int((i * 7 + v * 5) % 11 > 4 + i % 3)) for i in range(12) for v in (1, 2, 3)]
    >>> frame = pl.DataFrame(rows, schema=["ID", "V", "ARM", "Y"], orient="row")
    >>> fit = gee("Y ~ ARM", frame, subject="ID", correlation="independence", vcov="mancl-derouen")
    >>> one = fit.coefficient("ARM")
    >>> one.estimable and one.se > gee("Y ~ ARM", frame, subject="ID", correlation="independence").coefficient("ARM").se
    True
    """
    check_level(level)
    options = (
        (family, FAMILIES, "family"),
        (correlation, CORRELATIONS, "correlation"),
        (vcov, tuple(CORRECTIONS), "vcov"),
    )
    for given, known, what in (*options, (df, ("normal", "between"), "df")):
        if given not in known:
            raise EstimationError(f"unknown {what} {given!r}", hint="choose one of " + ", ".join(known))
    if correlation in ("ar1", "unstructured") and visit is None:
        raise EstimationError(f"correlation {correlation} without visits", hint='name their column: visit="AVISITN"')
    text = f"{formula} + offset(log({quoted(exposure)}))" if exposure is not None else formula
    model = read(text)
    model.refuse(
        covariance="subject=, visit= and correlation= say it",
        random="a marginal model has no random part; correlation= says how records of a patient go together",
        cluster="subject= names the patients",
        strata="put the column among the terms",
    )
    if model.target is None:
        raise EstimationError("the formula has no response", hint="write RESP ~ TRT01P + BASE, say")
    frame = read_frame(data)
    require(frame, [subject, *([visit] if visit else [])])
    if not any(len(t) == 0 for t in model.terms):
        model = replace(model, terms=with_intercept(model.terms))
    design, y = build(model, frame, {subject: True, **({visit: True} if visit else {})})
    wrong = {"binomial": (y != 0.0) & (y != 1.0), "poisson": (y < 0.0) | (y != np.floor(y)), "gaussian": y != y}[family]
    if wrong.any():
        row = int(np.flatnonzero(design.keep)[np.flatnonzero(wrong)[0]])
        raise DataError(
            f"row {row + 1}: the response is {y[np.flatnonzero(wrong)[0]]:g}",
            hint="it is to be " + ("0 or 1" if family == "binomial" else "a count"),
        )
    x = design.matrix()
    lost = [design.names[j] for j in range(x.shape[1]) if j not in glm.independent(x)]
    if lost:
        raise EstimationError(f"{', '.join(lost)}: determined by earlier terms", hint="leave the term out")
    who = codes_of(frame, subject)[0][design.keep]
    who = np.unique(who, return_inverse=True)[1]
    when = codes_of(frame, visit)[0][design.keep] if visit else _place(who)
    when = np.unique(when, return_inverse=True)[1]
    seen = who * (int(when.max(initial=0)) + 1) + when
    if len(np.unique(seen)) < len(seen):
        raise DataError("a patient has two records at one visit", hint="choose one, or name the column of visits")
    offset = np.zeros(len(y)) if design.offset is None else design.offset
    made = _fit(Problem(x, y, offset, family), who, when, correlation)
    subjects = int(who.max(initial=-1)) + 1
    own_df = float(subjects - x.shape[1]) if df == "between" else math.inf
    if own_df <= 0.0:
        raise EstimationError(
            f"{subjects} patients cannot estimate {x.shape[1]} coefficients", hint="simplify the formula"
        )
    return GeeFit(
        str(formula),
        family,
        correlation,
        vcov,
        design.names,
        made.beta,
        made.covariances,
        made.alpha,
        made.phi,
        own_df,
        len(y),
        subjects,
        made.status,
        made.detail,
        level,
        estimand,
        LeftOut(design.left_out),
        nw.get_native_namespace(frame),
    )


def _place(who: IntArray) -> IntArray:
    """(row,) how many records of the patient stand before."""
    seen: dict[int, int] = {}
    out = np.empty(len(who), np.int64)
    for i, one in enumerate(who.tolist()):
        out[i] = seen.get(one, 0)
        seen[one] = int(out[i]) + 1
    return out


@dataclass(frozen=True, eq=False)
class _Made:
    beta: FloatArray
    covariances: dict[str, FloatArray]
    alpha: FloatArray
    phi: float
    status: Status
    detail: str | None


def working(e: FloatArray, correlation: str) -> tuple[FloatArray, float]:
    """(visit, visit) working correlation and the dispersion, from (subject, visit) Pearson residuals, NaN where unseen.

    Moments over all pairs that were seen, without taking off coefficients, as R's geepack.
    """
    there = ~np.isnan(e)
    filled = np.where(there, e, 0.0)
    v = e.shape[1]
    phi = float((filled**2).sum() / there.sum())
    out = np.eye(v)
    if correlation == "independence" or v < 2:
        return out, phi
    sums, pairs = filled.T @ filled, there.astype(np.float64).T @ there
    upper = np.triu_indices(v, 1)
    if correlation == "exchangeable":
        total = pairs[upper].sum()
        rho = float(sums[upper].sum() / total / phi) if total else 0.0
        out = np.full((v, v), rho)
    elif correlation == "ar1":
        near = (np.arange(v - 1), np.arange(1, v))
        total = pairs[near].sum()
        rho = float(sums[near].sum() / total / phi) if total else 0.0
        out = rho ** np.abs(np.subtract.outer(np.arange(v), np.arange(v))).astype(np.float64)
    else:
        with np.errstate(divide="ignore", invalid="ignore"):
            out = np.where(pairs > 0, sums / pairs / phi, 0.0)
    np.fill_diagonal(out, 1.0)
    return out, phi


def _fit(problem: Problem, who: IntArray, when: IntArray, correlation: str) -> _Made:
    subjects, visits = int(who.max(initial=-1)) + 1, int(when.max(initial=0)) + 1
    p = problem.x.shape[1]
    nothing = {name: np.full((p, p), np.nan) for name in CORRECTIONS}
    start = glm.fit(problem) if problem.family != "gaussian" else None
    if start is not None and start.status is not Status.OK:
        why = "not estimable: the answers of a group are all alike, so that a coefficient has no finite estimate"
        return _Made(start.beta, nothing, np.eye(visits), math.nan, start.status, why)
    if start is not None:
        beta = start.beta
    else:
        beta = np.asarray(np.linalg.lstsq(problem.x, problem.y - problem.offset, rcond=None)[0], np.float64)
    rows = [np.flatnonzero(who == i) for i in range(subjects)]
    rows = [r[np.argsort(when[r], kind="stable")] for r in rows]
    alpha, phi, status = np.eye(visits), 1.0, Status.NOT_CONVERGED
    for _ in range(200):
        mu = problem.mean(beta)
        e = np.full((subjects, visits), np.nan)
        e[who, when] = (problem.y - mu) / np.sqrt(glm.variance(problem.family, mu))
        alpha, phi = working(e, correlation)
        if not phi > 0.0:
            return _Made(
                beta, nothing, alpha, phi, Status.NO_VARIANCE, "not estimable: the model fits the answers exactly"
            )
        parts = _parts(problem, mu, rows, when, alpha)
        if parts is None:
            why = f"not estimable: the {correlation} working correlation is no correlation (not positive definite)"
            return _Made(beta, nothing, alpha, phi, Status.BOUNDARY, why)
        information = sum((d.T @ v for d, v, _ in parts), np.zeros((p, p)))
        score = sum((v.T @ r for _, v, r in parts), np.zeros(p))
        try:
            step = np.linalg.solve(information, score)
        except np.linalg.LinAlgError:  # the steps ran away until every answer was certain
            break
        beta = beta + step
        if float(np.abs(step).max()) <= 1e-11 * (1.0 + float(np.abs(beta).max())):
            status = Status.OK
            break
    if status is not Status.OK or not np.isfinite(beta).all():
        status = Status.NOT_CONVERGED
        return _Made(beta, nothing, alpha, phi, status, "not estimable: the estimating equations did not converge")
    mu = problem.mean(beta)
    parts = _parts(problem, mu, rows, when, alpha)
    assert parts is not None
    return _Made(beta, covariances(parts, phi), alpha, phi, status, None)


_Parts = list[tuple[FloatArray, FloatArray, FloatArray]]


def _parts(problem: Problem, mu: FloatArray, rows: list[IntArray], when: IntArray, alpha: FloatArray) -> _Parts | None:
    """Of each patient the derivative D (visit, p), V^-1 D, and the residuals; None where alpha is no correlation."""
    slope = glm.slope(problem.family, mu)
    root = np.sqrt(glm.variance(problem.family, mu))
    out = []
    for r in rows:
        d = problem.x[r] * slope[r][:, None]
        own = alpha[np.ix_(when[r], when[r])]
        try:
            low = np.linalg.cholesky(own)
        except np.linalg.LinAlgError:
            return None
        half = np.linalg.solve(low, np.column_stack([d, problem.y[r] - mu[r]]) / root[r][:, None])
        back = np.linalg.solve(low.T, half) / root[r][:, None]
        out.append((d, back[:, :-1], problem.y[r] - mu[r]))
    return out


def covariances(parts: _Parts, phi: float) -> dict[str, FloatArray]:
    """Every covariance of the coefficients by name."""
    p = parts[0][0].shape[1]
    information = sum((d.T @ v for d, v, _ in parts), np.zeros((p, p)))
    bread = np.linalg.inv(information)
    meat = {name: np.zeros((p, p)) for name in CORRECTIONS if name != "model"}
    for d, v, r in parts:
        leverage = d @ bread @ v.T
        eye = np.eye(len(r))
        scores = {
            "robust": v.T @ r,
            "mancl-derouen": v.T @ np.linalg.solve(eye - leverage, r),
            "kauermann-carroll": v.T @ _inverse_root(eye - leverage) @ r,
        }
        own = np.minimum(np.diag(d.T @ v @ bread), MOST_OF_FAY)
        scores["fay-graubard"] = (v.T @ r) / np.sqrt(1.0 - own)
        for name, u in scores.items():
            meat[name] += np.outer(u, u)
    out = {name: bread @ m @ bread for name, m in meat.items()}
    return {**out, "model": bread * phi}


def _inverse_root(a: FloatArray) -> FloatArray:
    """The inverse of the square root of a matrix with positive eigenvalues."""
    values, vectors = np.linalg.eig(a)
    made = vectors @ np.diag(1.0 / np.sqrt(values.astype(np.complex128))) @ np.linalg.inv(vectors)
    return np.asarray(made.real, np.float64)
