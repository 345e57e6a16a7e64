"""Fine-Gray regression of the cumulative incidence of one cause among competing ones.

Equations, defaults of R and sources in ``docs/methods/competing-risks.md``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
from scipy import special

from equipoise.errors import EstimationError
from equipoise.estimate.fit import Fit, number, p_value
from equipoise.estimate.frames import read_frame, require
from equipoise.estimate.left_out import NOBODY, LeftOut
from equipoise.estimate.result import Estimate, check_level
from equipoise.estimate.survival.asked import as_formula, tuple_of
from equipoise.estimate.survival.causes import check_variance, read_causes, split_formula
from equipoise.estimate.survival.event_data import read_terms
from equipoise.estimate.survival.kernels import fine_gray as regression
from equipoise.estimate.survival.surv_formula import combined
from equipoise.types import REASONS, FloatArray, Status

FINE_GRAY = "Fine & Gray 1999, J Am Stat Assoc 94:496"
_WHY = {
    Status.BOUNDARY: "not estimable: the likelihood rises for ever as a coefficient grows",
    Status.SINGULAR: "not estimable: a term does not vary, or is a linear combination of others",
}


@dataclass(frozen=True, eq=False)
class FineGrayFit(Fit):
    """A Fine-Gray regression.

    names : terms; beta, vcov : log subdistribution hazard ratios and covariance, NaN where ``status`` is not OK.
    loglik : pseudo log likelihood at zero and at the estimate. score : its score test at zero. n, events, competing :
    patients, events of the cause, events of others. events_by : level -> (events, n) of a two-level factor. detail :
    what stood in the way, where a plain word for the status would not tell.
    """

    formula: str
    of: Any
    names: tuple[str, ...]
    beta: FloatArray
    vcov: FloatArray
    loglik: tuple[float, float]
    score: float
    variance: str
    n: int
    events: int
    competing: int
    events_by: Mapping[str, tuple[int, int]]
    status: Status
    jumps: tuple[FloatArray, FloatArray]
    backend: Any
    detail: str | None = None
    left_out: LeftOut = NOBODY
    level: float = 0.95
    estimand: str | None = None

    @property
    def reason(self) -> str:
        """What became of the fit, in words, with the events behind it."""
        if self.status is Status.OK:
            return REASONS[self.status]
        counts = ", ".join(f"{e}/{m} {label}" for label, (e, m) in self.events_by.items())
        why = self.detail or _WHY.get(self.status, REASONS[self.status])
        return f"{why} ({self.of}: events {counts or f'{self.events}/{self.n}'})"

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """The ratio of every term, at the level of the fit."""
        return self.at_level(self.level)

    def _title(self) -> str:
        return f"Fine-Gray regression of {self.of}, {self.variance} variance"

    def _facts(self) -> Iterator[tuple[str, str]]:
        yield "formula", self.formula
        by = ", ".join(f"{e}/{m} {label}" for label, (e, m) in self.events_by.items())
        had = f"{self.events} events of {self.of}" + (f" ({by})" if by else "")
        yield "rows", f"{self.n}, {had}, {self.competing} of others"
        if self.status is Status.OK:
            df = len(self.names)
            p = float(special.chdtrc(df, self.score))
            yield "score", f"chi-square {number(self.score)} on {df} df, p {p_value(p)}"

    def at_level(self, level: float, *, estimand: str | None = None) -> tuple[Estimate, ...]:
        """Subdistribution hazard ratio of every term: Wald interval and p-value."""
        ok = self.status is Status.OK
        return tuple(
            Estimate.from_t(
                name,
                self._title(),
                float(self.beta[i]),
                math.sqrt(float(self.vcov[i, i])) if ok else math.nan,
                math.inf,
                self.n,
                level=level,
                ratio=True,
                scale="subdistribution hazard ratio",
                estimand=estimand or self.estimand,
                status=self.status,
                detail=None if ok else self.reason,
                references=(FINE_GRAY,),
            )
            for i, name in enumerate(self.names)
        )

    def hazard_ratio(self, term: str, *, level: float | None = None, estimand: str | None = None) -> Estimate:
        """Subdistribution hazard ratio of one term, by its name or that of its column if that has a single term; at
        ``level``, by default that of the fit.
        """
        hits = [i for i, n in enumerate(self.names) if n == term or n.split("[")[0] == term]
        if len(hits) != 1:
            raise EstimationError(f"{len(hits)} terms are called {term!r}", hint="terms are " + ", ".join(self.names))
        return self.at_level(self.level if level is None else level, estimand=estimand)[hits[0]]

    def incidence(self, x: Sequence[float], at: float | Sequence[float]) -> FloatArray:
        """Predicted cumulative incidence at times ``at`` of a patient with covariates ``x``, in the order of ``names``.

        ``1 - exp(-H(t) exp(x'b))`` with Breslow's H.

        Raises :class:`EstimationError` where the fit failed, or covariates at zero are so far from anyone's that the
        hazard there is no number a computer holds.
        """
        if self.status is not Status.OK:
            raise EstimationError(f"no incidence: {self.reason}", hint="see .status before asking for it")
        profile = np.asarray(x, dtype=np.float64)
        if profile.shape != (len(self.names),):
            raise EstimationError(f"{profile.size} covariates", hint="give " + ", ".join(self.names))
        time, step = self.jumps
        total = np.concatenate([[0.0], np.cumsum(step)])
        if not 0.0 < total[-1] < math.inf:
            raise EstimationError(
                "covariates at zero are too far from the data", hint="count them from a value that patients have"
            )
        hazard = total[np.searchsorted(time, np.atleast_1d(np.asarray(at, dtype=np.float64)), side="right")]
        risk: FloatArray = -np.expm1(-hazard * math.exp(float(profile @ self.beta)))
        return risk


def fine_gray(
    formula: Any = None,
    data: Any = None,
    *,
    of: Any,
    time: str | None = None,
    cause: str | None = None,
    arm: str | None = None,
    covariates: str | Sequence[str] = (),
    censored: Any = 0,
    censoring_by: str | Sequence[str] = (),
    variance: str = "fine-gray",
    level: float = 0.95,
    estimand: str | None = None,
) -> FineGrayFit:
    """Fine-Gray regression of the cumulative incidence of cause ``of``.

    Parameters
    ----------
    formula : ``Surv(AVAL, CAUSE) ~ TRT01P + ONSETMO``. Text columns and categories are factors.
        Or leave it out, give the data first and name the columns: time, cause, arm, covariates.
    censoring_by : columns within whose combinations the censoring distribution is estimated; default everyone together.
    variance : ``fine-gray`` (as R's cmprsk::crr), ``robust`` (weights taken as known) or ``model``.

    Returns
    -------
    FineGrayFit. Where there are no events of the cause, events at one level of a two-level factor only, or an infinite
    estimate, its status says so and its estimates are NaN with a reason.

    Raises
    ------
    DataError, EstimationError : the formula or a column cannot be used.

    Examples
    --------
    >>> import polars as pl
    >>> frame = pl.DataFrame({"T": [3, 5, 7, 2, 8, 9], "HOW": [1, 2, 0, 1, 0, 1], "ARM": list("aaabbb")})
    >>> made = fine_gray("Surv(T, HOW) ~ ARM", frame, of=1).hazard_ratio("ARM")
    >>> made.scale, made.n
    ('subdistribution hazard ratio', 6)
    """
    check_level(level)
    check_variance(variance, tuple(regression.ROBUST))
    if not isinstance(formula, str) and data is None and cause is None:
        raise EstimationError("no cause=", hint="name the column that says how follow-up ended")
    formula, data = as_formula(
        formula, data, time=time, cause=cause, arm=arm, covariates=covariates, default_arm=not covariates
    )
    time, cause, model = split_formula(formula)
    model.refuse(cluster="leave it out: the variance is already robust")
    if model.strata or not any(model.terms):
        raise EstimationError(
            "strata() in a Fine-Gray regression" if model.strata else "the formula has no terms",
            hint="give covariates; strata of the censoring distribution go into censoring_by",
        )
    frame = read_frame(data)
    read = read_causes(frame, time, cause, censored)
    x, names, factors, absent = read_terms(frame, [term for term in model.terms if term])
    by = tuple_of(censoring_by)
    require(frame, by)
    stratum, _ = combined(frame, by)
    read.sieve.need(stratum >= 0, f"without {' or '.join(by)}")
    read.sieve.need(~np.asarray(np.isnan(x).any(axis=1), np.bool_), "without a term of the formula")
    mine = read.known
    code = read.of(of)[mine]
    _, strata = np.unique(stratum[mine], return_inverse=True)
    two_level, events_by = -1, {}
    for factor in factors:
        own = {
            str(v): (int((factor.code[mine][code == 1] == k).sum()), int((factor.code[mine] == k).sum()))
            for k, v in enumerate(factor.levels)
        }
        empty = (code == 1).any() and 0 in [e for e, _ in own.values()]
        if two_level < 0 or empty:
            two_level, events_by = factor.column, own
        if empty:
            break
    beta, vcov, loglik, score, (times, steps), _, status = regression.fine_gray(
        read.time[mine][None], code[None], x[mine][None], censoring_group=strata[None], arm=two_level, variance=variance
    )
    state, detail = Status(int(status[0])), None
    if absent and state is not Status.NO_DATA:
        state, detail = Status.EMPTY_ARM, f"not estimable: an arm has no patients (everyone has {', '.join(absent)})"
        beta, vcov = np.full_like(beta, np.nan), np.full_like(vcov, np.nan)
    jump = steps[0] > 0.0 if state is Status.OK else np.zeros(len(times[0]), np.bool_)
    return FineGrayFit(
        formula,
        of,
        names,
        beta[0],
        vcov[0],
        (float(loglik[0, 0]), float(loglik[0, 1])),
        float(score[0]),
        variance,
        int(mine.sum()),
        int((code == 1).sum()),
        int((code == 2).sum()),
        events_by,
        state,
        (times[0][jump], steps[0][jump]),
        nw.get_native_namespace(frame),
        detail,
        read.sieve.left_out,
        level,
        estimand,
    )
