"""Time to event: log-rank tests and Cox regression, with R's formulas.

``Surv(AVAL, EVENT) ~ TRT01P + ONSETMO + strata(RILFL)``; for an ADaM censoring flag write ``Surv(AVAL, 1 - CNSR)``.
Where there are no events, or events in one arm only, that is the result: an estimate with a status and a reason, not
a number. Equations and sources in ``docs/methods/survival.md``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
from scipy import special

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.mmrm.design import build
from equipoise.estimate.mmrm.formula import parse
from equipoise.estimate.panel import labels, numbers, read_frame, require
from equipoise.estimate.result import Estimate
from equipoise.kernels import cox as cox_kernel
from equipoise.kernels import survival as kernel
from equipoise.types import REASONS, BoolArray, FloatArray, IntArray, Status

COX = "Cox 1972, J R Stat Soc B 34:187"
TIES = {"efron": "Efron 1977, J Am Stat Assoc 72:557", "breslow": "Breslow 1974, Biometrics 30:89"}
MANTEL = "Mantel 1966, Cancer Chemother Rep 50:163"
PETO = "Peto & Peto 1972, J R Stat Soc A 135:185"
HARRINGTON = "Harrington & Fleming 1982, Biometrika 69:553"

_SURV = re.compile(r"^\s*Surv\(\s*`?([\w.]+)`?\s*,\s*(1\s*-\s*)?`?([\w.]+)`?\s*\)\s*~(.*)$", re.DOTALL)
_STRATA = re.compile(r"\+?\s*\bstrata\(([^()]*)\)")
_HINT = "write Surv(time, event) ~ terms + strata(column), or Surv(AVAL, 1 - CNSR) for an ADaM censoring flag"


@dataclass(frozen=True, eq=False)
class _Data:
    time: FloatArray
    event: BoolArray
    stratum: IntArray
    strata: tuple[str, ...]
    right: str
    frame: nw.DataFrame[Any]


def _read(formula: str, data: Any) -> _Data:
    """Times, events and strata of the rows that have them, and the right-hand side without its strata."""
    match = _SURV.match(formula)
    if match is None:
        raise EstimationError(f"cannot read the formula {formula!r}", hint=_HINT)
    time_name, flipped, event_name, right = match.group(1), match.group(2), match.group(3), match.group(4)
    strata = tuple(s.strip().strip("`") for part in _STRATA.findall(right) for s in part.split(","))
    right = _STRATA.sub("", right).strip().lstrip("+").strip() or "1"
    frame = read_frame(data)
    require(frame, [time_name, event_name, *strata])
    time, flag = numbers(frame, time_name), numbers(frame, event_name)
    known = ~np.isnan(time) & ~np.isnan(flag)
    codes = [labels(frame, name) for name in strata]
    for values, _ in codes:
        known &= np.array([v is not None for v in values])
    if not known.any():
        raise DataError("no row has a time, an event indicator and its strata", hint="check the columns")
    if not np.isin(flag[known], (0.0, 1.0)).all():
        raise DataError(
            f"{event_name!r} holds values other than 0 and 1", hint="code an event as 1 (or True) and censoring as 0"
        )
    if (time[known] < 0.0).any():
        raise DataError(f"{time_name!r} holds negative times", hint="times count from randomisation or first dose")
    stratum = np.zeros(len(time), np.int64)
    for values, levels in codes:
        index = {level: i for i, level in enumerate(levels)}
        stratum = stratum * len(levels) + np.array([index.get(v, 0) for v in values], np.int64)
    event = (flag[known] == 0.0) if flipped else (flag[known] == 1.0)
    return _Data(time[known], event, stratum[known], strata, right, frame.filter(known.tolist()))


@dataclass(frozen=True, eq=False)
class LogRank:
    """A log-rank test.

    groups : levels; n, observed, expected : (group,) patients, (weighted) events and events expected if the hazards
    were equal; variance : (group, group) of observed minus expected. chi_square on df. status says whether it exists.
    """

    groups: tuple[Any, ...]
    n: IntArray
    observed: FloatArray
    expected: FloatArray
    variance: FloatArray
    chi_square: float
    df: int
    p: float
    rho: float
    strata: tuple[str, ...]
    status: Status

    def estimate(self, *, level: float = 0.95, estimand: str | None = None) -> Estimate:
        """For two groups: events observed minus expected in the second, with the p-value of the test."""
        if len(self.groups) != 2:
            raise EstimationError(f"{len(self.groups)} groups have no single difference", hint="use chi_square and p")
        reason = REASONS[self.status]
        if self.status is Status.SINGULAR:
            reason = "not estimable: no event while both groups were at risk"
        counts = ", ".join(f"{int(o)}/{m} {g}" for o, m, g in zip(self.observed, self.n, self.groups, strict=True))
        by = f" stratified by {', '.join(self.strata)}" if self.strata else ""
        return Estimate.from_t(
            f"{self.groups[1]} against {self.groups[0]}",
            f"log-rank test{by}",
            float(self.observed[1] - self.expected[1]),
            math.sqrt(max(float(self.variance[1, 1]), 0.0)),
            math.inf,
            int(self.n.sum()),
            level=level,
            scale="events observed minus expected",
            estimand=estimand,
            status=self.status,
            detail=None if self.status is Status.OK else f"{reason} (events {counts})",
            references=(MANTEL, PETO) if self.rho == 0.0 else (PETO, HARRINGTON),
        )


def log_rank(formula: str, data: Any, *, rho: float = 0.0) -> LogRank:
    """Log-rank test of the groups on the right-hand side, within strata.

    Parameters
    ----------
    formula : ``Surv(AVAL, 1 - CNSR) ~ TRT01P + strata(RILFL)``; one grouping column.
    data : one row a patient; pandas, polars or pyarrow.
    rho : 0 for the log-rank test, 1 for the weights ``S(t-)`` of Peto and Peto (G-rho family).

    Raises
    ------
    EstimationError, DataError : the formula or a column cannot be used.

    Examples
    --------
    >>> import polars as pl
    >>> frame = pl.DataFrame({"T": [3, 5, 7, 2, 8, 9], "E": [1, 1, 0, 1, 0, 1], "ARM": list("aaabbb")})
    >>> test = log_rank("Surv(T, E) ~ ARM", frame)
    >>> round(test.chi_square, 4), test.df
    (0.2162, 1)
    """
    read = _read(formula, data)
    name = read.right.strip("`")
    if name not in read.frame.columns:
        raise EstimationError(f"the log-rank test compares the levels of one column, not {read.right!r}", hint=_HINT)
    values, levels = labels(read.frame, name)
    if len(levels) < 2:
        raise DataError(f"{name!r} has one level only", hint="there is nothing to compare")
    index = {level: i for i, level in enumerate(levels)}
    keep = np.array([v is not None for v in values])
    code = np.array([index.get(v, 0) for v in values], np.int64)
    observed, expected, variance, status = kernel.log_rank(
        read.time[None], read.event[None], code[None], include=keep[None], stratum=read.stratum[None], rho=rho,
        n_groups=len(levels),
    )  # fmt: skip
    o, e, v = observed[0], expected[0], variance[0]
    informative = np.flatnonzero(np.diag(v) > 0.0)
    chi_square, p, df = math.nan, math.nan, max(len(informative) - 1, 0)
    made = Status(int(status[0]))
    if df == 0 and made is Status.OK:
        made = Status.SINGULAR
    if made is Status.OK:
        use = informative[1:]
        chi_square = float((o - e)[use] @ np.linalg.solve(v[np.ix_(use, use)], (o - e)[use]))
        p = float(special.chdtrc(df, chi_square))
    counts = np.bincount(code[keep], minlength=len(levels))
    return LogRank(tuple(levels), counts, o, e, v, chi_square, df, p, rho, read.strata, made)


@dataclass(frozen=True, eq=False)
class CoxFit:
    """A Cox regression.

    names : terms; beta, vcov : log hazard ratios and covariance, NaN where ``status`` is not OK. loglik : at zero and
    at the estimate. score : score test at zero. n, events : patients and events; events_by : level -> (events, n) of
    the treatment, where there is one.
    """

    formula: str
    names: tuple[str, ...]
    beta: FloatArray
    vcov: FloatArray
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

    @property
    def reason(self) -> str:
        """What became of the fit, in words, with the events behind it."""
        if self.status is Status.OK:
            return REASONS[self.status]
        counts = ", ".join(f"{e}/{m} {label}" for label, (e, m) in self.events_by.items())
        return f"{REASONS[self.status]} (events {counts or f'{self.events}/{self.n}'})"

    @property
    def likelihood_ratio(self) -> tuple[float, int, float]:
        """Likelihood-ratio chi-square against no effects, its df and p-value."""
        df = int((np.diag(self.vcov) > 0.0).sum()) if self.status is Status.OK else 0
        chi_square = 2.0 * (self.loglik[1] - self.loglik[0])
        return chi_square, df, float(special.chdtrc(df, chi_square)) if df else math.nan

    def estimates(self, *, level: float = 0.95, estimand: str | None = None) -> tuple[Estimate, ...]:
        """Hazard ratio of every term: Wald interval and p-value."""
        by = f", strata {', '.join(self.strata)}" if self.strata else ""
        out = []
        for i, name in enumerate(self.names):
            status, detail = self.status, None if self.status is Status.OK else self.reason
            se = math.sqrt(float(self.vcov[i, i])) if status is Status.OK else math.nan
            if status is Status.OK and se == 0.0:
                status, detail = Status.SINGULAR, "not estimable: a linear combination of earlier terms"
            out.append(
                Estimate.from_t(
                    name,
                    f"Cox regression, {self.ties.capitalize()}'s ties{by}",
                    float(self.beta[i]),
                    se,
                    math.inf,
                    self.n,
                    level=level,
                    ratio=True,
                    scale="hazard ratio",
                    estimand=estimand,
                    status=status,
                    detail=detail,
                    references=(COX, TIES[self.ties]),
                )
            )
        return tuple(out)

    def hazard_ratio(self, term: str, *, level: float = 0.95, estimand: str | None = None) -> Estimate:
        """Hazard ratio of one term, by its name or by the name of its column if that has a single term."""
        hits = [i for i, n in enumerate(self.names) if n == term or n.split("[")[0] == term]
        if len(hits) != 1:
            raise EstimationError(f"{len(hits)} terms are called {term!r}", hint="terms are " + ", ".join(self.names))
        return self.estimates(level=level, estimand=estimand)[hits[0]]

    def to_frame(self, *, level: float = 0.95) -> Any:
        """One row a term, as a frame of the kind that came in: log hazard ratio, then ``Estimate.to_table``."""
        rows = [
            {"term": made.name, "log_hazard_ratio": float(b), **made.to_table()}
            for b, made in zip(self.beta, self.estimates(level=level), strict=True)
        ]
        table = {key: [row[key] for row in rows] for key in rows[0]}
        return nw.from_dict(table, backend=nw.get_native_namespace(self.frame)).to_native()


def cox(formula: str, data: Any, *, ties: str = "efron") -> CoxFit:
    """Cox proportional-hazards regression.

    Parameters
    ----------
    formula : ``Surv(AVAL, 1 - CNSR) ~ TRT01P + ONSETMO + strata(RILFL)``. Text columns and categories are factors
        (treatment contrasts, first level the reference).
    data : one row a patient; pandas, polars or pyarrow. Rows that lack a column take no part.
    ties : ``efron`` or ``breslow``.

    Returns
    -------
    CoxFit. Where there are no events, events at one level of a two-level factor only, or an infinite estimate, its
    status says so and its estimates are NaN with a reason.

    Raises
    ------
    EstimationError, DataError : the formula or a column cannot be used.

    Examples
    --------
    >>> import polars as pl
    >>> frame = pl.DataFrame({"T": [3, 5, 7, 2, 8, 9], "E": [0, 0, 0, 1, 0, 1], "ARM": list("aaabbb")})
    >>> print(cox("Surv(T, E) ~ ARM", frame).estimates()[0].to_sentence())
    ARM[T.b]: not estimable: all events in one arm (events 0/3 a, 2/3 b) (Cox regression, Efron's ties, n = 6).
    """
    if ties not in TIES:
        raise EstimationError(f"unknown ties {ties!r}", hint="choose one of " + ", ".join(TIES))
    read = _read(formula, data)
    if read.right == "1":
        raise EstimationError("the formula has no terms", hint=_HINT)
    row = nw.new_series("__row__", list(range(len(read.time))), nw.Float64,
                        backend=nw.get_native_namespace(read.frame))  # fmt: skip
    design, index = build(parse(f"__row__ ~ {read.right}", needs_covariance=False), read.frame.with_columns(row), {})
    keep = index.astype(np.int64)
    columns = [i for i, name in enumerate(design.names) if name != "(Intercept)"]
    names = tuple(design.names[i] for i in columns)
    x = design.matrix()[:, columns]
    time, event, stratum = read.time[keep], read.event[keep], read.stratum[keep]
    events_by: dict[str, tuple[int, int]] = {}
    arm = -1
    for term in design.terms:
        factor = term.factors[0] if len(term.factors) == 1 else None
        if factor is not None and factor.column is not None and len(factor.column.levels or ()) == 2:
            code = factor.column.values
            own = {str(v): (int(event[code == k].sum()), int((code == k).sum()))
                   for k, v in enumerate(factor.column.levels or ())}  # fmt: skip
            if arm < 0 or (event.any() and 0 in [e for e, _ in own.values()]):
                arm, events_by = columns.index(term.columns.stop - 1), own
                if event.any() and 0 in [e for e, _ in own.values()]:
                    break
    beta, vcov, loglik, score, iterations, status = cox_kernel.cox(
        time[None], event[None], x[None], stratum=stratum[None], ties=ties, arm=arm
    )
    return CoxFit(
        formula,
        names,
        beta[0],
        vcov[0],
        (float(loglik[0, 0]), float(loglik[0, 1])),
        float(score[0]),
        int(iterations[0]),
        ties,
        read.strata,
        len(time),
        int(event.sum()),
        events_by,
        Status(int(status[0])),
        design.frame,
    )
