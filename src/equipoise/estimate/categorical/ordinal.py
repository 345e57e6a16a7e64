"""Proportional odds: one odds ratio for every cut of an ordered answer (McCullagh 1980), and the test of it.

Equations and sources in ``docs/methods/logistic.md``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
from scipy import special

from equipoise.errors import EstimationError
from equipoise.estimate.categorical.glm import independent
from equipoise.estimate.columns import codes_of
from equipoise.estimate.fit import Fit, number
from equipoise.estimate.formula import build, read, with_intercept
from equipoise.estimate.frames import read_frame, require
from equipoise.estimate.left_out import LeftOut
from equipoise.estimate.result import Estimate, check_level
from equipoise.types import REASONS, BoolArray, FloatArray, IntArray, Status

MCCULLAGH = "McCullagh 1980, J R Stat Soc B 42:109"


@dataclass(frozen=True, eq=False)
class OrdinalFit(Fit):
    """A fitted proportional odds model, ``log odds(answer > cut) = x beta - cut``.

    names, beta, vcov : coefficients and their covariance; above 0: higher answers. cuts : (answers - 1,) and
    ``cuts_se``. answers : in their order. proportional : the score test that every cut has the same coefficients.
    """

    formula: str
    names: tuple[str, ...]
    beta: FloatArray
    vcov: FloatArray
    cuts: FloatArray
    cuts_se: FloatArray
    answers: tuple[Any, ...]
    counts: tuple[int, ...]
    proportional: Estimate
    loglik: float
    n: int
    status: Status
    detail: str | None
    level: float
    estimand: str | None
    left_out: LeftOut
    backend: Any

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """The odds ratios of an answer above any cut."""
        return self.at_level(self.level)

    def at_level(self, level: float) -> tuple[Estimate, ...]:
        """The estimates with intervals of coverage ``level``."""
        check_level(level)
        ok = self.status is Status.OK
        return tuple(
            Estimate.from_t(
                name,
                "proportional odds",
                float(self.beta[j]),
                math.sqrt(self.vcov[j, j]) if ok else math.nan,
                math.inf,
                self.n,
                level=level,
                ratio=True,
                scale="odds ratio",
                estimand=self.estimand,
                status=self.status,
                detail=self.detail,
                references=(MCCULLAGH,),
                term=name,
            )
            for j, name in enumerate(self.names)
        )

    def coefficient(self, name: str) -> Estimate:
        """The estimate of one coefficient by its name, or of the only one of a factor of two levels by the factor's.

        Raises :class:`EstimationError` for a name that is none.
        """
        found = [e for e in self.estimates if e.term == name or e.term.startswith(f"{name}[")]
        if len(found) != 1:
            raise EstimationError(f"no coefficient {name!r}", hint="there are " + ", ".join(self.names))
        return found[0]

    def _title(self) -> str:
        return "Proportional odds"

    def _facts(self) -> Iterator[tuple[str, str]]:
        yield "Formula", self.formula
        yield "Answers", ", ".join(f"{a}: {n}" for a, n in zip(self.answers, self.counts, strict=True))
        if self.status is Status.OK:
            yield "Log-likelihood", number(self.loglik, 6)
        if self.proportional.estimable:
            p = self.proportional
            yield "The same for every cut", f"chi-square {number(p.statistic)}, {p.df:g} df, P = {p.p:.4f}"


def proportional_odds(formula: Any, data: Any, *, level: float = 0.95, estimand: str | None = None) -> OrdinalFit:
    """Regression of an ordered answer with one odds ratio for every cut.

    Parameters
    ----------
    formula : ``GRADE ~ TRT01P + BASE``; the response is a column of numbers or of categories in their order;
        ``offset(...)`` is understood.
    data : one row a patient; pandas, polars or pyarrow. Rows that lack a column take no part.

    Returns
    -------
    OrdinalFit, whose ``estimates`` are odds ratios of an answer above any cut; of two answers logistic regression's.

    Raises
    ------
    DataError, EstimationError : the formula or a column cannot be used, or there is one answer.

    Examples
    --------
    >>> import polars as pl
    >>> frame = pl.DataFrame({"G": [1, 1, 2, 2, 3, 1, 2, 3, 3, 3, 2, 1], "ARM": list("aaaaaabbbbbb")})
    >>> one = proportional_odds("G ~ ARM", frame).coefficient("ARM")
    >>> [round(v, 3) for v in (one.estimate, one.se, one.p)]
    [5.0, 1.155, 0.163]
    """
    check_level(level)
    model = read(formula)
    refused = "a model of ordered answers takes one answer a patient"
    model.refuse(covariance=refused, random=refused, cluster=refused, strata=refused)
    name = model.target.name if model.target is not None else None
    if name is None:
        raise EstimationError(f"cannot read the response of {formula!r}", hint="write GRADE ~ TRT01P + BASE, say")
    frame = read_frame(data)
    require(frame, [name])
    code, answers = codes_of(frame, name)
    known = frame.filter((code >= 0).tolist()) if len(frame) else frame
    right = replace(model.without_response(), terms=with_intercept(model.terms))
    design, _ = build(right, known, {})
    y = code[code >= 0][design.keep]
    used = np.unique(y)
    if len(used) < 2:
        raise EstimationError(f"{name!r} has one answer", hint="there is nothing to compare")
    y = np.searchsorted(used, y).astype(np.int64)
    x = design.matrix()
    kept = independent(x)
    columns = [j for j in range(1, x.shape[1]) if j in kept]
    lost = [design.names[j] for j in range(1, x.shape[1]) if j not in kept]
    if lost:
        raise EstimationError(f"{', '.join(lost)}: determined by earlier terms", hint="leave the term out")
    names = tuple(design.names[j] for j in columns)
    x = x[:, columns]
    left = LeftOut({f"without {name}": int((code < 0).sum())}).and_then(design.left_out)
    offset = np.zeros(len(y)) if design.offset is None else design.offset
    par, information, loglik, status = fit(x, y, len(used), offset)
    p = x.shape[1]
    detail = None
    if status is Status.BOUNDARY:
        detail = "not estimable: the likelihood rises for ever as a coefficient grows (an arm with one answer alone)"
    elif status is not Status.OK:
        detail = f"not estimable: {REASONS[status].removeprefix('not estimable: ')}"
    covariance = np.full((len(par), len(par)), np.nan)
    if status is Status.OK:
        covariance = np.asarray(np.linalg.inv(information), np.float64)
    test, df = (
        score_test(x, y, len(used), par, offset) if status is Status.OK and len(used) > 2 and p else (math.nan, 0)
    )
    return OrdinalFit(
        str(formula),
        names,
        par[:p],
        covariance[:p, :p],
        par[p:],
        np.sqrt(np.diag(covariance)[p:]),
        tuple(answers[int(k)] for k in used),
        tuple(int(v) for v in np.bincount(y)),
        Estimate.of_test(
            "the same odds ratio for every cut",
            f"score test, {df} df",
            float(special.chdtrc(df, test)) if df else math.nan,
            len(y),
            statistic=test,
            df=float(df),
            detail=None if df else "not estimable: two answers have one cut",
            status=Status.OK if df else Status.NO_DATA,
        ),
        loglik,
        len(y),
        status,
        detail,
        level,
        estimand,
        left,
        nw.get_native_namespace(frame),
    )


def _edges(eta: FloatArray, y: IntArray) -> tuple[FloatArray, FloatArray, BoolArray, BoolArray]:
    """Cumulative shares below and above each answer, of linear predictors (row, cut), and whether they are inside."""
    k = eta.shape[1]
    rows = np.arange(len(y))
    upper, lower = np.minimum(y, k - 1), np.maximum(y - 1, 0)
    inside_up, inside_low = y < k, y > 0
    up = np.where(inside_up, special.expit(eta[rows, upper]), 1.0)
    low = np.where(inside_low, special.expit(eta[rows, lower]), 0.0)
    return up, low, inside_up, inside_low


def _predictor(par: FloatArray, x: FloatArray, offset: FloatArray | float) -> FloatArray:
    """(row, cut) linear predictors of an answer at or below each cut."""
    p = x.shape[1]
    return np.asarray(par[p:][None] - (x @ par[:p] + offset)[:, None])


def _loglik(par: FloatArray, x: FloatArray, y: IntArray, offset: FloatArray | float) -> float:
    cuts = par[x.shape[1] :]
    if (np.diff(cuts) <= 0.0).any():
        return -math.inf
    up, low, _, _ = _edges(_predictor(par, x, offset), y)
    with np.errstate(divide="ignore"):
        return float(np.log(up - low).sum())


def fit(
    x: FloatArray, y: IntArray, answers: int, offset: FloatArray | float = 0.0
) -> tuple[FloatArray, FloatArray, float, Status]:
    """Coefficients then cuts, the observed information, the log-likelihood, and its status; by Newton's steps."""
    p, k = x.shape[1], answers - 1
    share = np.cumsum(np.bincount(y, minlength=answers))[:-1] / len(y)
    par = np.concatenate([np.zeros(p), special.logit(share)])
    value, status = _loglik(par, x, y, offset), Status.NOT_CONVERGED
    hessian = np.eye(p + k)
    for _ in range(100):
        gradient, hessian = _derivatives(par, x, y, offset)
        try:
            step = np.linalg.solve(hessian, gradient)
        except np.linalg.LinAlgError:
            status = Status.SINGULAR
            break
        size = 1.0
        for _ in range(40):
            tried = _loglik(par + size * step, x, y, offset)
            if tried >= value - 1e-12 * (1.0 + abs(value)):
                break
            size *= 0.5
        par, value = par + size * step, tried
        if float(np.abs(size * step).max()) <= 1e-11 * (1.0 + float(np.abs(par).max())):
            status = Status.OK
            break
        if float(np.abs(x @ par[:p]).max(initial=0.0)) > 35.0:
            break
    if p and float(np.abs(x @ par[:p]).max(initial=0.0)) > 20.0 and np.ptp(x @ par[:p]) > 20.0:
        status = Status.BOUNDARY
    _, hessian = _derivatives(par, x, y, offset)
    return par, hessian, value, status


def _derivatives(
    par: FloatArray, x: FloatArray, y: IntArray, offset: FloatArray | float
) -> tuple[FloatArray, FloatArray]:
    """The score, and minus the second derivatives."""
    p, k = x.shape[1], len(par) - x.shape[1]
    up, low, has_up, has_low = _edges(_predictor(par, x, offset), y)
    share = np.maximum(up - low, 1e-300)
    rows = np.arange(len(y))
    # derivatives of the two edges by the parameters: the cut, and minus the covariates
    d_up, d_low = np.zeros((len(y), p + k)), np.zeros((len(y), p + k))
    d_up[:, :p], d_low[:, :p] = -x, -x
    d_up[rows[has_up], p + y[has_up]] = 1.0
    d_low[rows[has_low], p + y[has_low] - 1] = 1.0
    f_up, f_low = up * (1 - up), low * (1 - low)
    first = (d_up * f_up[:, None] - d_low * f_low[:, None]) / share[:, None]
    bend_up, bend_low = f_up * (1 - 2 * up) / share, f_low * (1 - 2 * low) / share
    second = (d_up * bend_up[:, None]).T @ d_up - (d_low * bend_low[:, None]).T @ d_low - first.T @ first
    return first.sum(axis=0), -second


def score_test(
    x: FloatArray, y: IntArray, answers: int, par: FloatArray, offset: FloatArray | float
) -> tuple[float, int]:
    """Chi-square and df that every cut has the same coefficients, at the common ones, Fisher's information (SAS)."""
    p, k = x.shape[1], answers - 1
    common = special.expit(_predictor(par, x, offset))
    cumulative = np.concatenate([np.zeros((len(y), 1)), common, np.ones((len(y), 1))], axis=1)
    share = np.diff(cumulative, axis=1)
    density = common * (1 - common)
    size = p * k + k
    # derivative of each cumulative share by its own coefficients and cut
    edges = np.zeros((len(y), answers + 1, size))
    for c in range(k):
        edges[:, c + 1, c * p : (c + 1) * p] = -x * density[:, c, None]
        edges[:, c + 1, p * k + c] = density[:, c]
    d = np.diff(edges, axis=1)
    score = (d[np.arange(len(y)), y] / share[np.arange(len(y)), y][:, None]).sum(axis=0)
    information = np.einsum("iak,ial,ia->kl", d, d, 1.0 / share)
    try:
        return float(score @ np.linalg.solve(information, score)), p * (k - 1)
    except np.linalg.LinAlgError:
        return math.nan, 0
