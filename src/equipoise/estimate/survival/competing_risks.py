"""Competing risks: cumulative incidence, Gray's test, cause-specific Cox and Fine-Gray regression.

One column says how follow-up ended: 0 (or another ``censored`` value) for censoring, else the cause, as a number or in
words. Equations, defaults of R and sources in ``docs/methods/competing-risks.md``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
from scipy import special

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.fit import Fit
from equipoise.estimate.formula import ModelFormula, quoted
from equipoise.estimate.left_out import NOBODY, LeftOut, Sieve
from equipoise.estimate.panel import codes_of, read_frame, require
from equipoise.estimate.result import Estimate, check_level, times_at
from equipoise.estimate.survival import CoxFit, cox
from equipoise.estimate.survival.event_data import read_arms, read_terms, read_times
from equipoise.estimate.survival.kaplan_meier import SCALES, _limits
from equipoise.estimate.survival.kernels import competing_risks as kernel
from equipoise.estimate.survival.kernels import fine_gray as regression
from equipoise.estimate.survival.log_rank import between
from equipoise.estimate.survival.surv_formula import combined, surv_model
from equipoise.types import REASONS, BoolArray, FloatArray, IntArray, Status

AALEN_JOHANSEN = "Aalen & Johansen 1978, Scand J Stat 5:141"
SOURCES = {"greenwood": "Gaynor et al. 1993, J Am Stat Assoc 88:400", "aalen": "Aalen 1978, Ann Stat 6:534"}
GRAY = "Gray 1988, Ann Stat 16:1141"
FINE_GRAY = "Fine & Gray 1999, J Am Stat Assoc 94:496"

_COLUMN = r"(?:`([^`]+)`|([\w.]+))"
_WHY = {
    Status.BOUNDARY: "not estimable: the likelihood rises for ever as a coefficient grows",
    Status.SINGULAR: "not estimable: a term does not vary, or is a linear combination of others",
}
_HINT = "write Surv(time, cause) ~ terms, cause a column with the cause of each event"


@dataclass(frozen=True, eq=False)
class _Causes:
    """(row,) times (NaN where time or cause is missing) and codes: 0 censored, 1 .. for ``labels``."""

    time: FloatArray
    code: IntArray
    labels: tuple[Any, ...]
    sieve: Sieve

    @property
    def known(self) -> BoolArray:
        """(row,) which take part, as far as has been asked."""
        return self.sieve.keep

    def of(self, cause: Any) -> IntArray:
        """Codes with ``cause`` first: 0 censored, 1 that cause, 2 any other.

        A cause that nobody had is no mistake, but one in words where causes are numbers (or the reverse) is.
        """
        if self.labels and isinstance(cause, str) != isinstance(self.labels[0], str):
            raise DataError(f"no cause {cause!r}", hint="causes are " + ", ".join(map(repr, self.labels)))
        wanted = self.labels.index(cause) + 1 if cause in self.labels else -1
        return np.where(self.code == 0, 0, np.where(self.code == wanted, 1, 2))


def _read(frame: nw.DataFrame[Any], time: str, cause: str, censored: Any) -> _Causes:
    require(frame, [time, cause])
    times = read_times(frame, time)
    own, levels = codes_of(frame, cause)
    found = tuple(level for level in levels if level != censored)
    if isinstance(censored, str) != any(isinstance(level, str) for level in levels) and levels:
        raise DataError(
            f"censoring is {censored!r} but {cause!r} holds {', '.join(map(repr, levels[:6]))}",
            hint="say censored=... which value of the cause means that follow-up ended without an event",
        )
    index = {level: i + 1 for i, level in enumerate(found)} | {censored: 0}
    code = np.array([*(index[level] for level in levels), 0], np.int64)[own]
    sieve = Sieve(len(frame))
    sieve.need(~np.isnan(times), f"without {time}")
    sieve.need(own >= 0, f"without {cause}")
    return _Causes(times, code, found, sieve)


@dataclass(frozen=True, eq=False)
class CumulativeIncidence(Fit):
    """The curves of one group, one a cause.

    group : its level (None where everyone is one group). n : patients. causes : labels; events : (cause,). time,
    at_risk, survival : (time,) at every distinct time of an event or censoring; survival is that without any event.
    events_at, incidence, se, low, high : (time, cause), limits at ``level`` on ``scale``.
    """

    group: Any
    n: int
    causes: tuple[Any, ...]
    events: IntArray
    time: FloatArray
    at_risk: IntArray
    survival: FloatArray
    events_at: IntArray
    incidence: FloatArray
    se: FloatArray
    low: FloatArray
    high: FloatArray
    level: float
    scale: str
    left_out: LeftOut = NOBODY

    def _told(self) -> Iterator[str]:
        who = "everyone" if self.group is None else str(self.group)
        for k, cause in enumerate(self.causes):
            last = f"{100.0 * self.incidence[-1, k]:.3g} % by {self.time[-1]:g}"
            yield f"Cumulative incidence of {cause}, {who}: {self.events[k]} of {self.n}, {last}."

    def at(self, time: float, cause: Any) -> tuple[float, float, float, float, int]:
        """Incidence of ``cause`` by ``time``, its standard error and limits, and how many are at risk just before.

        NaN beyond the last time under observation, unless everyone has had an event by then.
        """
        if cause not in self.causes:
            raise EstimationError(f"no cause {cause!r}", hint="causes are " + ", ".join(map(str, self.causes)))
        if not time >= 0.0:
            raise EstimationError(f"incidence at time {time!r}", hint="times count from 0")
        k = self.causes.index(cause)
        before = int(np.searchsorted(self.time, time))
        risk = int(self.at_risk[before]) if before < len(self.time) else 0
        i = int(np.searchsorted(self.time, time, side="right")) - 1
        if i < 0:
            return 0.0, 0.0, 0.0, 0.0, risk
        if time > self.time[-1] and self.survival[-1] > 0.0:
            return math.nan, math.nan, math.nan, math.nan, risk
        return (*(float(a[i, k]) for a in (self.incidence, self.se, self.low, self.high)), risk)  # type: ignore[return-value]


def cumulative_incidence(
    data: Any,
    *,
    time: str,
    cause: str,
    censored: Any = 0,
    by: str | None = None,
    level: float = 0.95,
    scale: str = "log-log",
    variance: str = "greenwood",
) -> tuple[CumulativeIncidence, ...]:
    """Aalen-Johansen curves of every cause, one set a level of ``by``.

    Parameters
    ----------
    data : one row a patient; pandas, polars or pyarrow. Rows that lack time, cause or group take no part.
    cause : column with the cause of the event; ``censored`` is its value where there was none.
    scale : on which intervals are symmetric: ``log-log``, ``plain``, ``log``, ``logit`` or ``arcsin``.
    variance : ``greenwood`` (as R's survfit of several states) or ``aalen`` (as R's cmprsk::cuminc).

    Raises
    ------
    DataError, EstimationError : a column or an option cannot be used.

    Examples
    --------
    >>> import polars as pl
    >>> frame = pl.DataFrame({"T": [3, 5, 7, 8, 9], "HOW": ["death", "PAV", "none", "death", "none"]})
    >>> curve, = cumulative_incidence(frame, time="T", cause="HOW", censored="none")
    >>> curve.causes, [round(v, 3) for v in curve.at(8, "death")[:2]]
    (('PAV', 'death'), [0.5, 0.255])
    """
    check_level(level)
    if scale not in SCALES:
        raise EstimationError(f"unknown scale {scale!r}", hint="choose one of " + ", ".join(SCALES))
    _check_variance(variance, kernel.VARIANCES)
    frame = read_frame(data)
    read = _read(frame, time, cause, censored)
    if by is None:
        groups: list[tuple[Any, BoolArray]] = [(None, read.known)]
    else:
        require(frame, [by])
        group, levels = codes_of(frame, by)
        read.sieve.need(group >= 0, f"without {by}")
        groups = [(g, read.known & (group == i)) for i, g in enumerate(levels)]
    z = float(special.ndtri(0.5 + 0.5 * level))
    made = []
    for label, mine in groups:
        if not mine.any():
            continue
        own, code = read.time[mine], read.code[mine]
        distinct, place = np.unique(own, return_inverse=True)
        k = max(len(read.labels), 1)
        f, v, s, _ = kernel.incidence(own[None], code[None], at=distinct, n_causes=k, variance=variance)
        f, se = f[0, 0].T[:, : len(read.labels)], np.sqrt(v[0, 0].T[:, : len(read.labels)])
        d = np.stack([np.bincount(place[code == j + 1], minlength=len(distinct)) for j in range(k)], axis=1)
        d = d[:, : len(read.labels)]
        gone = np.bincount(place, minlength=len(distinct))
        with np.errstate(divide="ignore", invalid="ignore"):
            low, high = _limits(f, np.where(f > 0.0, se / np.where(f > 0.0, f, 1.0), 0.0), z, scale)
        low, high = np.where(f == 0.0, 0.0, low), np.where(f == 0.0, 0.0, high)
        risk = np.cumsum(gone[::-1])[::-1]
        made.append(
            CumulativeIncidence(
                group=label,
                n=len(own),
                causes=read.labels,
                events=d.sum(axis=0),
                time=distinct,
                at_risk=risk,
                survival=s[0, 0],
                events_at=d,
                incidence=f,
                se=se,
                low=low,
                high=high,
                level=level,
                scale=scale,
                left_out=read.sieve.left_out,
            )
        )
    return tuple(made)


def _check_variance(variance: str, known: Sequence[str]) -> None:
    if variance not in known:
        raise EstimationError(f"unknown variance {variance!r}", hint="choose one of " + ", ".join(known))


def incidence_difference(
    data: Any,
    *,
    time: str,
    cause: str,
    of: Any,
    at: float | Sequence[float],
    censored: Any = 0,
    arm: str = "TRT01P",
    control: Any = None,
    variance: str = "greenwood",
    level: float = 0.95,
    estimand: str | None = None,
) -> IncidenceDifferences:
    """Difference in cumulative incidence of cause ``of``, active minus control, at each time of ``at``.

    at : one or more times above 0. Other arguments as in :func:`cumulative_incidence`. Where follow-up of an arm does
    not reach a time, or nobody had the event by then, the estimate says so. Aalen & Johansen 1978, Scand J Stat 5:141.

    Raises
    ------
    DataError, EstimationError : a column or an option cannot be used, or there are not two arms.
    """
    check_level(level)
    _check_variance(variance, kernel.VARIANCES)
    times = np.array(times_at(at, "incidence"))
    frame = read_frame(data)
    read = _read(frame, time, cause, censored)
    group, arms = read_arms(frame, arm, control)
    read.sieve.need(group >= 0, f"without {arm}")
    mine = read.known
    f, v, _, horizon = kernel.incidence(
        read.time[mine][None], read.of(of)[mine][None], group=group[mine][None], at=times, n_causes=2, n_groups=2,
        variance=variance,
    )  # fmt: skip
    sizes = np.bincount(group[mine], minlength=2)
    out = []
    for k, when in enumerate(times):
        status, detail = Status.OK, None
        se = math.sqrt(float(v[0, :, 0, k].sum())) if (sizes > 0).all() else math.nan
        if not (sizes > 0).all():
            status, detail = Status.EMPTY_ARM, f"not estimable: no patients in arm {arms[int(np.argmin(sizes))]}"
        elif (horizon[0] < when).any():
            g = int(np.argmin(horizon[0]))
            status = Status.NO_DATA
            detail = f"not estimable: follow-up of arm {arms[g]} ends at {horizon[0, g]:g}, before {when:g}"
        elif not f[0, :, 0, k].any():
            status, detail = Status.NO_EVENTS, f"not estimable: nobody had {of} by {when:g}"
        elif not se > 0.0:
            status, detail = Status.SINGULAR, f"not estimable: the curves give no variance at {when:g}"
        elif not v[0, :, 0, k].all():
            detail = f"arm {arms[int(np.argmin(v[0, :, 0, k]))]} adds nothing to the variance"
        out.append(
            Estimate.from_t(
                f"{arms[1]} against {arms[0]}, {of} by {when:g}",
                f"cumulative incidence (Aalen-Johansen, {variance} variance)",
                float(f[0, 1, 0, k] - f[0, 0, 0, k]),
                se,
                math.inf,
                int(mine.sum()),
                level=level,
                scale="difference in incidence",
                estimand=estimand,
                status=status,
                detail=detail,
                references=(AALEN_JOHANSEN, SOURCES[variance]),
            )
        )
    made = IncidenceDifferences(out)
    made.left_out = read.sieve.left_out
    return made


class IncidenceDifferences(tuple[Estimate, ...], Fit):
    """The differences, one a time, with the rows ``left_out``."""

    left_out: LeftOut = NOBODY

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """The difference at each time."""
        return tuple(self)


@dataclass(frozen=True, eq=False)
class GrayTest(Fit):
    """Gray's test of one cause.

    groups : levels; n, events : (group,) patients and events of the cause. score : (group,) observed minus expected
    events; variance : (group, group). chi_square on df. strata : columns.
    """

    of: Any
    groups: tuple[Any, ...]
    n: IntArray
    events: IntArray
    score: FloatArray
    variance: FloatArray
    chi_square: float
    df: int
    p: float
    rho: float
    strata: tuple[str, ...]
    status: Status
    left_out: LeftOut = NOBODY

    def _told(self) -> Iterator[str]:
        if self.status is not Status.OK:
            yield f"Gray's test of {self.of}: {self.reason}."
            return
        p = "P < 0.0001" if self.p < 1e-4 else f"P = {self.p:.4f}"
        yield f"Gray's test of {self.of}: chi-square {self.chi_square:.4g} on {self.df} df, {p}."
        counts = ", ".join(f"{e}/{n} {g}" for e, n, g in zip(self.events, self.n, self.groups, strict=True))
        yield f"Events {counts}."

    @property
    def reason(self) -> str:
        """What became of the test, with the events behind it."""
        if self.status is Status.OK:
            return REASONS[self.status]
        counts = ", ".join(f"{e}/{n} {g}" for e, n, g in zip(self.events, self.n, self.groups, strict=True))
        why = {
            Status.SINGULAR: "not estimable: no event while two groups could be compared"
            if np.isfinite(self.variance).all()
            else "not estimable: the groups are at risk at such different times that their pooled incidence exceeds 1",
            Status.EMPTY_ARM: "not estimable: fewer than two groups have patients",
        }
        return f"{why.get(self.status, REASONS[self.status])} ({self.of}: events {counts})"

    def estimate(self, *, level: float = 0.95, estimand: str | None = None) -> Estimate:
        """For two groups: events observed minus expected in the second, with the p-value of the test."""
        if len(self.groups) != 2:
            raise EstimationError(f"{len(self.groups)} groups have no single difference", hint="use chi_square and p")
        return Estimate.from_t(
            f"{self.groups[1]} against {self.groups[0]}, {self.of}",
            "Gray's test" + (f" stratified by {', '.join(self.strata)}" if self.strata else ""),
            float(self.score[1]),
            math.sqrt(max(float(self.variance[1, 1]), 0.0)),
            math.inf,
            int(self.n.sum()),
            level=level,
            scale="events observed minus expected",
            estimand=estimand,
            status=self.status,
            detail=None if self.status is Status.OK else self.reason,
            references=(GRAY,),
        )


def gray_test(
    data: Any,
    *,
    time: str,
    cause: str,
    of: Any,
    by: str,
    censored: Any = 0,
    strata: str | Sequence[str] = (),
    rho: float = 0.0,
) -> GrayTest:
    """Gray's test that the cumulative incidence of cause ``of`` is the same at all levels of ``by``, within strata.

    rho : weight ``(1 - F(t-))^rho``, 0 or more; 0 weighs all times alike. Other arguments as in
    :func:`cumulative_incidence`. Gray 1988, Ann Stat 16:1141.

    Raises
    ------
    DataError, EstimationError : a column or an option cannot be used, or there are fewer than two groups.

    Examples
    --------
    >>> import polars as pl
    >>> frame = pl.DataFrame({"T": [3, 5, 7, 2, 8, 9], "HOW": [1, 2, 0, 1, 0, 1], "ARM": list("aaabbb")})
    >>> test = gray_test(frame, time="T", cause="HOW", of=1, by="ARM")
    >>> test.df, 0 < test.p < 1
    (1, True)
    """
    if not (isinstance(rho, int | float) and 0.0 <= rho < math.inf):
        raise EstimationError(f"rho = {rho!r}", hint="give a weight of 0 or more")
    frame = read_frame(data)
    read = _read(frame, time, cause, censored)
    names = (strata,) if isinstance(strata, str) else tuple(strata)
    require(frame, [by, *names])
    own, levels = codes_of(frame, by)
    if len(levels) < 2:
        raise DataError(f"{by!r} has fewer than two levels", hint="there is nothing to compare")
    stratum, _ = combined(frame, names)
    read.sieve.need(stratum >= 0, f"without {' or '.join(names)}")
    read.sieve.need(own >= 0, f"without {by}")
    mine = read.known
    group = own[mine]
    code = read.of(of)[mine]
    score, variance, status = kernel.gray(
        read.time[mine][None], code[None], group[None], stratum=stratum[mine][None], rho=rho, n_groups=len(levels)
    )
    made = Status(int(status[0]))
    u, v = score[0], variance[0]
    finite = np.isfinite(v).all()
    seen = np.diag(v) > 1e-12
    chi_square, df, p = between(u, np.where(np.outer(seen, seen), v, 0.0)) if finite else (math.nan, 0, math.nan)
    if made in (Status.OK, Status.SINGULAR, Status.EMPTY_ARM) and (code == 1).any():
        made = Status.OK if df else (made if made is not Status.OK else Status.SINGULAR)
    if made is not Status.OK:
        chi_square, df, p = math.nan, 0, math.nan
    n, events = (np.bincount(g, minlength=len(levels)) for g in (group, group[code == 1]))
    return GrayTest(
        of, tuple(levels), n, events, u, v, chi_square, df, p, float(rho), names, made, read.sieve.left_out
    )  # fmt: skip


def _split(formula: Any) -> tuple[str, str, ModelFormula]:
    """The columns of time and cause, and the model."""
    model = surv_model(formula)
    assert model.survival is not None
    if len(model.survival.columns) != 2 or model.survival.censoring:
        raise EstimationError(f"cannot read the formula {formula!r}", hint=_HINT)
    time, cause = model.survival.columns
    return time, cause, model


def cause_specific(formula: str, data: Any, *, of: Any, censored: Any = 0, ties: str = "efron") -> CoxFit:
    """Cox regression of the hazard of cause ``of``; other causes end follow-up as censoring does.

    formula : ``Surv(AVAL, CAUSE) ~ TRT01P + strata(RILFL)``. The hazard ratio is one of rates among those still
    event-free, not of risks: read it beside the cumulative incidence. See :func:`equipoise.estimate.survival.cox`.

    Raises
    ------
    DataError, EstimationError : the formula or a column cannot be used.

    Examples
    --------
    >>> import polars as pl
    >>> frame = pl.DataFrame({"T": [3, 5, 7, 2, 8, 9], "HOW": [1, 2, 0, 1, 0, 1], "ARM": list("aaabbb")})
    >>> fit = cause_specific("Surv(T, HOW) ~ ARM", frame, of=1)
    >>> fit.events
    3
    """
    time, cause, model = _split(formula)
    frame = read_frame(data)
    read = _read(frame, time, cause, censored)
    flag = [float(c) if k else None for c, k in zip(read.of(of) == 1, read.known, strict=True)]
    own = nw.new_series("EVENT_OF_CAUSE", flag, nw.Float64, backend=nw.get_native_namespace(frame))
    fit = cox(f"Surv({quoted(time)}, EVENT_OF_CAUSE) ~ {model.right}", frame.with_columns(own).to_native(), ties=ties)
    why = {w.replace("EVENT_OF_CAUSE", cause): n for w, n in fit.left_out.reasons.items()}
    return replace(fit, formula=formula, left_out=LeftOut(why))


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
        """The ratio of every term, with 95 % intervals."""
        return self.at_level(0.95)

    def at_level(self, level: float, *, estimand: str | None = None) -> tuple[Estimate, ...]:
        """Subdistribution hazard ratio of every term: Wald interval and p-value."""
        ok = self.status is Status.OK
        return tuple(
            Estimate.from_t(
                name,
                f"Fine-Gray regression of {self.of}, {self.variance} variance",
                float(self.beta[i]),
                math.sqrt(float(self.vcov[i, i])) if ok else math.nan,
                math.inf,
                self.n,
                level=level,
                ratio=True,
                scale="subdistribution hazard ratio",
                estimand=estimand,
                status=self.status,
                detail=None if ok else self.reason,
                references=(FINE_GRAY,),
            )
            for i, name in enumerate(self.names)
        )

    def hazard_ratio(self, term: str, *, level: float = 0.95, estimand: str | None = None) -> Estimate:
        """Subdistribution hazard ratio of one term, by its name or that of its column if that has a single term."""
        hits = [i for i, n in enumerate(self.names) if n == term or n.split("[")[0] == term]
        if len(hits) != 1:
            raise EstimationError(f"{len(hits)} terms are called {term!r}", hint="terms are " + ", ".join(self.names))
        return self.at_level(level, estimand=estimand)[hits[0]]

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

    def to_frame(self, *, level: float = 0.95) -> Any:  # type: ignore[override]
        """One row a term, as a frame of the kind that came in: log hazard ratio, then ``Estimate.to_table``."""
        rows = [
            {"term": made.name, "log_hazard_ratio": float(b), **made.to_table()}
            for b, made in zip(self.beta, self.at_level(level), strict=True)
        ]
        table = {key: [row[key] for row in rows] for key in rows[0]}
        return nw.from_dict(table, backend=self.backend).to_native()


def fine_gray(
    formula: str,
    data: Any,
    *,
    of: Any,
    censored: Any = 0,
    censoring_by: str | Sequence[str] = (),
    variance: str = "fine-gray",
) -> FineGrayFit:
    """Fine-Gray regression of the cumulative incidence of cause ``of``.

    Parameters
    ----------
    formula : ``Surv(AVAL, CAUSE) ~ TRT01P + ONSETMO``. Text columns and categories are factors.
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
    _check_variance(variance, tuple(regression.ROBUST))
    time, cause, model = _split(formula)
    model.refuse(cluster="leave it out: the variance is already robust")
    if model.strata or not any(model.terms):
        raise EstimationError(
            "strata() in a Fine-Gray regression" if model.strata else "the formula has no terms",
            hint="give covariates; strata of the censoring distribution go into censoring_by",
        )
    frame = read_frame(data)
    read = _read(frame, time, cause, censored)
    x, names, factors, absent = read_terms(frame, [term for term in model.terms if term])
    by = (censoring_by,) if isinstance(censoring_by, str) else tuple(censoring_by)
    require(frame, by)
    stratum, _ = combined(frame, by)
    read.sieve.need(stratum >= 0, f"without {' or '.join(by)}")
    read.sieve.need(~np.asarray(np.isnan(x).any(axis=1), np.bool_), "without a term of the formula")
    mine = read.known
    code = read.of(of)[mine]
    _, strata = np.unique(stratum[mine], return_inverse=True)
    arm, events_by = -1, {}
    for factor in factors:
        own = {
            str(v): (int((factor.code[mine][code == 1] == k).sum()), int((factor.code[mine] == k).sum()))
            for k, v in enumerate(factor.levels)
        }
        empty = (code == 1).any() and 0 in [e for e, _ in own.values()]
        if arm < 0 or empty:
            arm, events_by = factor.column, own
        if empty:
            break
    beta, vcov, loglik, score, (times, steps), _, status = regression.fine_gray(
        read.time[mine][None], code[None], x[mine][None], censoring_group=strata[None], arm=arm, variance=variance
    )
    state, detail = Status(int(status[0])), None
    if absent and state is not Status.NO_DATA:
        state, detail = Status.EMPTY_ARM, f"not estimable: an arm has no patients (everyone has {', '.join(absent)})"
        beta, vcov = np.full_like(beta, np.nan), np.full_like(vcov, np.nan)
    jump = steps[0] > 0.0 if state is Status.OK else np.zeros(len(times[0]), np.bool_)
    return FineGrayFit(
        formula, of, names, beta[0], vcov[0], (float(loglik[0, 0]), float(loglik[0, 1])), float(score[0]), variance,
        int(mine.sum()), int((code == 1).sum()), int((code == 2).sum()), events_by, state,
        (times[0][jump], steps[0][jump]), nw.get_native_namespace(frame), detail,
        read.sieve.left_out,
    )  # fmt: skip
