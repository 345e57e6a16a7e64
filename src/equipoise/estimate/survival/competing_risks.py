"""Competing risks: cumulative incidence, its differences, and cause-specific Cox regression.

One column says how follow-up ended: 0 (or another ``censored`` value) for censoring, else the cause, as a number or in
words. Equations, defaults of R and sources in ``docs/methods/competing-risks.md``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import narwhals.stable.v2 as nw
import numpy as np
from scipy import special

from equipoise.errors import EstimationError
from equipoise.estimate.columns import codes_of
from equipoise.estimate.fit import Fit
from equipoise.estimate.formula import quoted
from equipoise.estimate.frames import read_frame, require
from equipoise.estimate.left_out import NOBODY, LeftOut
from equipoise.estimate.result import Estimate, check_level, times_at
from equipoise.estimate.survival import CoxFit, cox
from equipoise.estimate.survival.asked import as_columns, as_formula
from equipoise.estimate.survival.causes import check_variance, read_causes, split_formula
from equipoise.estimate.survival.curves import Curves
from equipoise.estimate.survival.event_data import read_arms
from equipoise.estimate.survival.kaplan_meier import SCALES, limits_of
from equipoise.estimate.survival.kernels import competing_risks as kernel
from equipoise.types import BoolArray, FloatArray, IntArray, Status

AALEN_JOHANSEN = "Aalen & Johansen 1978, Scand J Stat 5:141"
SOURCES = {"greenwood": "Gaynor et al. 1993, J Am Stat Assoc 88:400", "aalen": "Aalen 1978, Ann Stat 6:534"}


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
    variance: str = "greenwood"
    left_out: LeftOut = NOBODY
    backend: Any = None

    picture: ClassVar[str] = "cumulative_incidence"

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """The incidence of every cause at the end of follow-up."""
        end = float(self.time[-1])
        nan = math.nan
        who = "" if self.group is None else f", {self.group}"
        made = []
        for cause in self.causes:
            value, se, low, high, _ = self.at(end, cause)
            made.append(
                Estimate(
                    f"{_label(cause)} by {end:g}{who}",
                    f"Aalen-Johansen estimate, {self.variance} variance",
                    value,
                    se,
                    math.inf,
                    low,
                    high,
                    nan,
                    self.n,
                    level=self.level,
                    scale="cumulative incidence",
                    references=(AALEN_JOHANSEN, SOURCES[self.variance]),
                    form="description",
                    term=_label(cause),
                )
            )
        return tuple(made)

    def at_level(self, level: float) -> tuple[Estimate, ...]:
        """The incidences with limits of coverage ``level``."""
        check_level(level)
        low, high = _limits(self.incidence, self.se, level, self.scale)
        return replace(self, low=low, high=high, level=level).estimates

    def _keys(self) -> Sequence[dict[str, Any]]:
        return [{"group": self.group} for _ in self.causes]

    def _title(self) -> str:
        return f"Cumulative incidence (Aalen-Johansen), {self.variance} variance, {self.scale} limits"

    def _facts(self) -> Iterator[tuple[str, str]]:
        had = ", ".join(f"{e} {c}" for e, c in zip(self.events, self.causes, strict=True))
        yield "everyone" if self.group is None else str(self.group), f"{self.n} patients: {had or 'no event'}"

    def _drawn(self) -> Any:
        return self

    def predict(self, at: float | Sequence[float] | None = None) -> Any:
        """Incidence of every cause at each time of ``at`` (default every distinct time), as a frame: group, cause,
        time, at_risk, incidence, se, low, high.

        Raises :class:`EstimationError` for times that are not above 0.
        """
        return IncidenceCurves((self,), self.left_out, self.backend).predict(at)

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


def _label(cause: Any) -> str:
    """A cause in words; whole numbers alike whatever column they come from."""
    return f"{cause:g}" if isinstance(cause, float) else str(cause)


class IncidenceCurves(Curves[CumulativeIncidence]):
    """Curves of incidence by group; the estimates are those of every cause at the end of follow-up."""

    picture: ClassVar[str] = "cumulative_incidence"

    def _title(self) -> str:
        return self.curves[0]._title() if self.curves else "Cumulative incidence: nobody has a time and a cause"

    def predict(self, at: float | Sequence[float] | None = None) -> Any:
        """Incidence of every cause in every group at each time of ``at`` (default every distinct time), as a frame:
        group, cause, time, at_risk, incidence, se, low, high; missing beyond the end of follow-up.

        Raises :class:`EstimationError` for times that are not above 0.
        """
        wanted = None if at is None else times_at(at, "incidence")
        rows = [
            (c.group, cause, float(t), *c.at(float(t), cause))
            for c in self.curves
            for cause in c.causes
            for t in (c.time if wanted is None else wanted)
        ]
        names = ("group", "cause", "time", "incidence", "se", "low", "high", "at_risk")
        return self._frame({name: [row[k] for row in rows] for k, name in enumerate(names)})


def cumulative_incidence(
    formula: Any = None,
    data: Any = None,
    *,
    time: str | None = None,
    cause: str | None = None,
    censored: Any = 0,
    arm: str | None = None,
    level: float = 0.95,
    scale: str = "log-log",
    variance: str = "greenwood",
) -> IncidenceCurves:
    """Aalen-Johansen curves of every cause, one set a level of ``arm``.

    Parameters
    ----------
    formula : ``Surv(AVAL, CAUSE) ~ TRT01P``, or ``~ 1`` for everyone together; or leave it out, give the data first
        and name the columns.
    data : one row a patient; pandas, polars or pyarrow. Rows that lack time, cause or group take no part.
    cause : column with the cause of the event; ``censored`` is its value where there was none. arm : column of the
        groups; without it everyone is one.
    scale : on which intervals are symmetric: ``log-log``, ``plain``, ``log``, ``logit`` or ``arcsin``.
    variance : ``greenwood`` (as R's survfit of several states) or ``aalen`` (as R's cmprsk::cuminc).

    Returns
    -------
    IncidenceCurves, also of a single group: ``curve, = cumulative_incidence(...)``.

    Raises
    ------
    DataError, EstimationError : the formula, a column or an option cannot be used.

    Examples
    --------
    >>> import polars as pl
    >>> frame = pl.DataFrame({"T": [3, 5, 7, 8, 9], "HOW": ["death", "PAV", "none", "death", "none"]})
    >>> curve, = cumulative_incidence(frame, time="T", cause="HOW", censored="none")
    >>> curve.causes, [round(v, 3) for v in curve.at(8, "death")[:2]]
    (('PAV', 'death'), [0.5, 0.255])
    """
    named = as_columns(formula, data, time=time, cause=cause, arm=arm, causes=True, default_arm=False)
    check_level(level)
    if scale not in SCALES:
        raise EstimationError(f"unknown scale {scale!r}", hint="choose one of " + ", ".join(SCALES))
    check_variance(variance, kernel.VARIANCES)
    frame = read_frame(named.data)
    read = read_causes(frame, named.time, str(named.cause), censored)
    if named.arm is None:
        groups: list[tuple[Any, BoolArray]] = [(None, read.known)]
    else:
        require(frame, [named.arm])
        group, levels = codes_of(frame, named.arm)
        read.sieve.need(group >= 0, f"without {named.arm}")
        groups = [(g, read.known & (group == i)) for i, g in enumerate(levels)]
    backend = nw.get_native_namespace(frame)
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
        low, high = _limits(f, se, level, scale)
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
                variance=variance,
                left_out=read.sieve.left_out,
                backend=backend,
            )
        )
    return IncidenceCurves(tuple(made), read.sieve.left_out, backend)


def _limits(f: FloatArray, se: FloatArray, level: float, scale: str) -> tuple[FloatArray, FloatArray]:
    """Pointwise limits of an incidence, 0 where it is 0."""
    z = float(special.ndtri(0.5 + 0.5 * level))
    with np.errstate(divide="ignore", invalid="ignore"):
        low, high = limits_of(f, np.where(f > 0.0, se / np.where(f > 0.0, f, 1.0), 0.0), z, scale)
    return np.where(f == 0.0, 0.0, low), np.where(f == 0.0, 0.0, high)


@dataclass(frozen=True, eq=False)
class IncidenceDifferences(Fit, Sequence[Estimate]):
    """Differences in cumulative incidence, one a time; goes through them in order.

    of : the cause. times : asked for. arms : control, active. estimates : active minus control at each time.
    """

    of: Any
    times: tuple[float, ...]
    arms: tuple[Any, Any]
    estimates: tuple[Estimate, ...]
    left_out: LeftOut = NOBODY
    backend: Any = None

    def __len__(self) -> int:
        return len(self.estimates)

    def __iter__(self) -> Iterator[Estimate]:
        return iter(self.estimates)

    def __getitem__(self, place: Any) -> Any:
        """The difference at one of the times, by place."""
        return self.estimates[place]

    def _keys(self) -> Sequence[dict[str, Any]]:
        return [{"time": t} for t in self.times]


def incidence_difference(
    formula: Any = None,
    data: Any = None,
    *,
    of: Any,
    at: float | Sequence[float],
    time: str | None = None,
    cause: str | None = None,
    censored: Any = 0,
    arm: str | None = None,
    control: Any = None,
    variance: str = "greenwood",
    level: float = 0.95,
    estimand: str | None = None,
) -> IncidenceDifferences:
    """Difference in cumulative incidence of cause ``of``, active minus control, at each time of ``at``.

    at : one or more times above 0. arm : column of the two arms (default TRT01P), control : the level to compare with.
    Other arguments as in :func:`cumulative_incidence`. Where follow-up of an arm does not reach a time, or nobody had
    the event by then, the estimate says so. Aalen & Johansen 1978, Scand J Stat 5:141.

    Raises
    ------
    DataError, EstimationError : a column or an option cannot be used, or there are not two arms.

    Examples
    --------
    >>> import polars as pl
    >>> frame = pl.DataFrame({"T": [3, 5, 7, 2, 8, 9], "HOW": [1, 2, 0, 1, 0, 1], "ARM": list("aaabbb")})
    >>> made = incidence_difference("Surv(T, HOW) ~ ARM", frame, of=1, at=[4, 6])
    >>> [round(e.estimate, 3) for e in made]
    [0.0, 0.0]
    """
    check_level(level)
    check_variance(variance, kernel.VARIANCES)
    times = np.array(times_at(at, "incidence"))
    named = as_columns(formula, data, time=time, cause=cause, arm=arm, causes=True)
    frame = read_frame(named.data)
    read = read_causes(frame, named.time, str(named.cause), censored)
    group, arms = read_arms(frame, str(named.arm), control)
    read.sieve.need(group >= 0, f"without {named.arm}")
    mine = read.known
    f, v, _, horizon = kernel.incidence(
        read.time[mine][None],
        read.of(of)[mine][None],
        group=group[mine][None],
        at=times,
        n_causes=2,
        n_groups=2,
        variance=variance,
    )
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
                term=f"incidence of {of}",
                contrast=f"{arms[1]} - {arms[0]}",
            )
        )
    return IncidenceDifferences(
        of, tuple(map(float, times)), arms, tuple(out), read.sieve.left_out, nw.get_native_namespace(frame)
    )


def cause_specific(
    formula: Any = None,
    data: Any = None,
    *,
    of: Any,
    censored: Any = 0,
    ties: str = "efron",
    time: str | None = None,
    cause: str | None = None,
    arm: str | None = None,
    covariates: str | Sequence[str] = (),
    strata: str | Sequence[str] = (),
    level: float = 0.95,
) -> CoxFit:
    """Cox regression of the hazard of cause ``of``; other causes end follow-up as censoring does.

    formula : ``Surv(AVAL, CAUSE) ~ TRT01P + strata(RILFL)``, or leave it out and name the columns. The hazard ratio is
    one of rates among those still event-free, not of risks: read it beside the cumulative incidence. See
    :func:`equipoise.estimate.survival.cox`.

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
    if not isinstance(formula, str) and data is None and cause is None:
        raise EstimationError("no cause=", hint="name the column that says how follow-up ended")
    formula, data = as_formula(formula, data, time=time, cause=cause, arm=arm, covariates=covariates, strata=strata)
    time, cause, model = split_formula(formula)
    frame = read_frame(data)
    read = read_causes(frame, time, cause, censored)
    flag = [float(c) if k else None for c, k in zip(read.of(of) == 1, read.known, strict=True)]
    own = nw.new_series("EVENT_OF_CAUSE", flag, nw.Float64, backend=nw.get_native_namespace(frame))
    fit = cox(
        f"Surv({quoted(time)}, EVENT_OF_CAUSE) ~ {model.right}",
        frame.with_columns(own).to_native(),
        ties=ties,
        level=level,
    )
    why = {w.replace("EVENT_OF_CAUSE", cause): n for w, n in fit.left_out.reasons.items()}
    return replace(fit, formula=formula, left_out=LeftOut(why))
