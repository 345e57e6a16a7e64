"""Events that come again: Andersen and Gill's model, Lin, Wei, Yang and Ying's ratio, mean cumulative functions.

Equations and sources in ``docs/methods/recurrent.md``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import special

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.columns import codes_of, two_levels
from equipoise.estimate.fit import Fit, number
from equipoise.estimate.frames import kept_rows, require
from equipoise.estimate.result import Estimate, check_level, times_at
from equipoise.estimate.survival.cox import cox
from equipoise.estimate.survival.cox_fit import CoxFit
from equipoise.estimate.survival.surv_formula import read_surv
from equipoise.types import FloatArray, IntArray, Status

AG = "Andersen & Gill 1982, Ann Stat 10:1100"
LWYY = "Lin, Wei, Yang & Ying 2000, J R Stat Soc B 62:711"
LAWLESS = "Lawless & Nadeau 1995, Technometrics 37:158"


@dataclass(frozen=True, eq=False)
class MeanFunction:
    """The mean cumulative function of one arm: mean number of events a patient by ``time`` (step,).

    events, patients, exposure : of the arm. mean, se : (step,), the error robust (Lawless & Nadeau 1995).
    """

    arm: Any
    patients: int
    events: int
    exposure: float
    time: FloatArray
    mean: FloatArray
    se: FloatArray
    last: float

    def at(self, time: float) -> tuple[float, float]:
        """Mean and standard error by ``time``; NaN beyond the last follow-up."""
        if time > self.last:
            return math.nan, math.nan
        k = int(np.searchsorted(self.time, time, side="right")) - 1
        return (float(self.mean[k]), float(self.se[k])) if k >= 0 else (0.0, 0.0)


@dataclass(frozen=True, eq=False)
class Recurrent(Fit):
    """Repeated events of two arms.

    rate_ratio : with the robust variance (LWYY), which needs proportional means alone. andersen_gill : the same with
    the variance of independent increments. differences : of the mean cumulative functions at the times asked for.
    covariates : the other rate ratios, robust. arms : mean cumulative functions, control first. model : the Cox fit.
    """

    rate_ratio: Estimate
    andersen_gill: Estimate
    covariates: tuple[Estimate, ...]
    differences: tuple[Estimate, ...]
    arms: tuple[MeanFunction, MeanFunction]
    model: CoxFit
    at: tuple[float, ...]

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """The rate ratio robust and by model, those of covariates, and the differences."""
        return (self.rate_ratio, self.andersen_gill, *self.covariates, *self.differences)

    @property
    def left_out(self) -> Any:
        return self.model.left_out

    def _backend(self) -> Any:
        return self.model._backend()

    def _title(self) -> str:
        return "Repeated events"

    def _keys(self) -> Sequence[dict[str, Any]]:
        return [{"scale": e.scale} for e in self.estimates]

    def _drawn(self) -> Any:
        """The rate ratio."""
        return (self.rate_ratio,)

    def _facts(self) -> Iterator[tuple[str, str]]:
        for a in self.arms:
            yield str(a.arm), f"{a.patients} patients, {a.events} events in {number(a.exposure)}"


def recurrent(
    formula: Any,
    data: Any,
    *,
    subject: str = "USUBJID",
    at: float | Sequence[float] = (),
    control: Any = None,
    ties: str = "efron",
    level: float = 0.95,
    estimand: str | None = None,
) -> Recurrent:
    """Compare repeated events of two arms.

    Parameters
    ----------
    formula : ``Surv(START, STOP, EVENT) ~ TRT01P + BASE + strata(SITE)``, the arm first; a row for every interval
        ``(START, STOP]``, which ends with an event (1) or the end of follow-up (0).
    data : pandas, polars or pyarrow. Rows that lack a column take no part. subject : whose rows belong together.
    at : times of the mean cumulative functions. control : level of the arm; default the first.
    ties : as in :func:`equipoise.cox`.

    Returns
    -------
    Recurrent.

    Raises
    ------
    DataError, EstimationError : the formula or a column cannot be used, or intervals of a patient overlap.

    Examples
    --------
    >>> import polars as pl
    >>> rows = [("1", "a", 0, 3, 1), ("1", "a", 3, 8, 1), ("1", "a", 8, 10, 0), ("2", "a", 0, 5, 1)]
    >>> rows += [("2", "a", 5, 10, 0), ("3", "b", 0, 6, 1), ("3", "b", 6, 10, 0), ("4", "b", 0, 10, 0)]
    >>> frame = pl.DataFrame(rows, schema=["ID", "ARM", "START", "STOP", "EVENT"], orient="row")
    >>> made = recurrent("Surv(START, STOP, EVENT) ~ ARM", frame, subject="ID", at=9)
    >>> [round(a.at(9)[0], 2) for a in made.arms], round(made.rate_ratio.estimate, 3)
    ([1.5, 0.5], 0.333)
    """
    check_level(level)
    times = times_at(at, "mean cumulative functions") if not isinstance(at, Sequence) or len(at) else []
    read = read_surv(formula, data)
    if read.entry is None:
        raise EstimationError("a formula without intervals", hint="write Surv(START, STOP, EVENT) ~ TRT01P")
    if read.cluster:
        raise EstimationError("cluster() in the formula", hint="subject= names the patients")
    first = next((t for t in read.model.terms if t), None)
    arm = first[0].name if first is not None and len(first) == 1 else None
    if arm is None:
        raise EstimationError(f"no arm in {formula!r}", hint="put the column of the arm first on the right-hand side")
    require(read.frame, [subject, arm])
    who, group = codes_of(read.frame, subject)[0], codes_of(read.frame, arm)
    known = (who >= 0) & (group[0] >= 0)
    levels = two_levels(group[1], arm, len(who), control)
    code = np.array([*(levels.index(v) for v in group[1]), -1], np.int64)[group[0]]
    _no_overlap(read.entry, read.time, who, read.row)
    frame = kept_rows(read.frame, known)
    if control is not None:  # the reference of the model, too
        import narwhals.stable.v2 as nw

        names = [str(levels[c]) for c in code[known]]
        backend = nw.get_native_namespace(read.frame)
        kind = nw.Enum([str(v) for v in levels])
        frame = frame.with_columns(nw.new_series(arm, names, backend=backend).cast(kind))
    native = frame.to_native()
    plain = cox(formula, native, ties=ties, level=level, estimand=estimand)
    robust = cox(formula, native, ties=ties, cluster=subject, level=level, estimand=estimand)
    contrast = f"{levels[1]} / {levels[0]}"
    made: list[Estimate] = []
    for fit, how, source, said in (
        (robust, "Andersen-Gill, robust (LWYY)", LWYY, "robust"),
        (plain, "Andersen-Gill", AG, "by model"),
    ):
        for k, e in enumerate(fit.estimates):
            own = {"name": f"{contrast}, {said}", "contrast": contrast} if k == 0 else {}
            told = {"n": len(np.unique(who[known])), "estimator": how, "scale": "rate ratio", "references": (source,)}
            made.append(replace(e, **{**told, **own}))  # type: ignore[arg-type]
    half = len(robust.estimates)
    curves = []
    for g in range(2):
        own = known & (code == g)
        curves.append(_mean_function(levels[g], read.entry[own], read.time[own], read.event[own], who[own]))
    differences = tuple(_difference(curves[0], curves[1], t, level, estimand) for t in times)
    return Recurrent(
        made[0], made[half], tuple(made[1:half]), differences, (curves[0], curves[1]), robust, tuple(times)
    )


def _no_overlap(entry: FloatArray, time: FloatArray, who: IntArray, row: IntArray) -> None:
    order = np.lexsort((entry, who))
    same = who[order][1:] == who[order][:-1]
    over = same & (entry[order][1:] < time[order][:-1] - 1e-9)
    if over.any():
        at = int(row[order[int(np.flatnonzero(over)[0]) + 1]])
        raise DataError(
            f"row {at + 1}: its interval begins before another of the patient ends", hint="see the intervals"
        )


def _mean_function(arm: Any, entry: FloatArray, time: FloatArray, event: Any, who: IntArray) -> MeanFunction:
    """Events over patients at risk, summed over time; the variance from what every patient adds."""
    times = np.unique(time[event])
    at_risk = (entry[:, None] < times[None]) & (time[:, None] >= times[None])
    happened = (time[:, None] == times[None]) & event[:, None]
    people, index = np.unique(who, return_inverse=True)
    risk, own = np.zeros((len(people), len(times))), np.zeros((len(people), len(times)))
    np.add.at(risk, index, at_risk.astype(np.float64))
    np.add.at(own, index, happened.astype(np.float64))
    total = risk.sum(axis=0)
    step = own.sum(axis=0) / total if len(times) else np.zeros(0)
    influence = np.cumsum((own - risk * step) / total, axis=1) if len(times) else own
    return MeanFunction(
        arm,
        len(people),
        int(event.sum()),
        float((time - entry).sum()),
        times,
        np.cumsum(step),
        np.sqrt(np.square(influence).sum(axis=0)),
        float(time.max(initial=0.0)),
    )


def _difference(a: MeanFunction, b: MeanFunction, when: float, level: float, estimand: str | None) -> Estimate:
    (m0, s0), (m1, s1) = a.at(when), b.at(when)
    name = f"{b.arm} - {a.arm}, by {when:g}"
    short = next((c for c in (a, b) if when > c.last), None)
    status = Status.NO_DATA if short is not None else Status.OK
    if status is Status.OK and not s0 + s1 > 0.0:
        status = Status.NO_EVENTS
    return Estimate.from_t(
        name,
        "mean cumulative function",
        m1 - m0,
        math.hypot(s0, s1),
        math.inf,
        a.patients + b.patients,
        level=level,
        scale="difference in mean number of events",
        estimand=estimand,
        status=status,
        detail=f"not estimable: follow-up of arm {short.arm} ends at {short.last:g}, before {when:g}"
        if short
        else None,
        references=(LAWLESS,),
        term="mean number of events",
        contrast=f"{b.arm} - {a.arm}",
    )


def limits_of(mean: float, se: float, level: float) -> tuple[float, float]:
    """Limits of a mean number of events, on the scale of its logarithm; NaN where it is 0."""
    if not (mean > 0.0 and se > 0.0):
        return math.nan, math.nan
    half = float(special.ndtri(0.5 + 0.5 * level)) * se / mean
    return mean * math.exp(-half), mean * math.exp(half)


def intervals(
    starts: Sequence[float], ends: Sequence[float], events: Sequence[Sequence[float]]
) -> list[tuple[int, float, float, int]]:
    """(subject, start, stop, event) intervals of subjects followed from ``starts`` to ``ends`` with ``events`` at
    times; several at one time count once.

    >>> intervals([0.0], [10.0], [[4.0, 4.0, 7.0]])
    [(0, 0.0, 4.0, 1), (0, 4.0, 7.0, 1), (0, 7.0, 10.0, 0)]
    """
    out = []
    for i, (start, end, times) in enumerate(zip(starts, ends, events, strict=True)):
        now = start
        for t in sorted(set(times)):
            if start < t <= end:
                out.append((i, now, t, 1))
                now = t
        if now < end:
            out.append((i, now, end, 0))
    return out
