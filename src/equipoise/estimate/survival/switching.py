"""Treatment switching: the rank-preserving structural failure time model of Robins and Tsiatis.

If placebo patients go on to active treatment, survival by randomised arm compares early with late treatment. The model
asks by how much treatment stretches the time spent on it: untreated time is ``off + exp(psi) on``, and psi is where
untreated times, compared by randomised arm with a rank test, do not differ. Equations, defaults of R's rpsftm and
sources in ``docs/methods/switching.md``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
from scipy import special

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.fit import Fit
from equipoise.estimate.left_out import LeftOut
from equipoise.estimate.result import Estimate, check_level, is_time
from equipoise.estimate.survival.asked import as_columns
from equipoise.estimate.survival.event_data import EventData, read_named
from equipoise.estimate.survival.kernels import cox as cox_kernel
from equipoise.estimate.survival.kernels import switching as kernel
from equipoise.types import BoolArray, CodeArray, FloatArray, IntArray, Status

ROBINS = "Robins & Tsiatis 1991, Commun Stat Theory Methods 20:2609"
WHITE = "White et al. 1999, Stat Med 18:2617"
KORHONEN = "Korhonen, Laird & Palmgren 1999, Stat Med 18:1869"
TESTS = {"log-rank": 0.0, "wilcoxon": 1.0, "cox": 0.0}
_STEPS = 34  # halvings of a step of the grid
_ROUNDING = 1e-6  # times that differ by less, relatively, are equal: single precision
_Statistic = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True)
class Search:
    """Where the test statistic says that untreated times do not differ.

    psi : NaN unless ``status`` is OK, ``detail`` says why. low, high : the psi not rejected, by the hull of their set;
    infinite where it goes beyond the range searched. roots : every crossing of 0. grid, z : what was evaluated.
    at_zero : the statistic at psi = 0, that of the randomised arms as they are.
    """

    psi: float
    low: float
    high: float
    roots: tuple[float, ...]
    status: Status
    detail: str | None
    grid: FloatArray
    z: FloatArray
    at_zero: float


def search(statistic: _Statistic, grid: FloatArray, *, level: float = 0.95, tolerance: float = 0.1) -> Search:
    """Solve ``statistic(psi) = 0`` and invert the test over ``grid``.

    statistic : (k,) psi to (k,) standard normal statistics, NaN where the test does not exist. A rank statistic is a
    step function that need not fall everywhere: crossings of 0 within ``tolerance`` of each other count as one, at
    their midpoint; further apart they are several answers, and none is given.
    """
    z = statistic(grid)
    at_zero = float(statistic(np.zeros(1))[0])
    critical = float(special.ndtri(0.5 + 0.5 * level))
    known = ~np.isnan(z)
    if not known.any():
        return Search(
            math.nan,
            math.nan,
            math.nan,
            (),
            Status.NO_EVENTS,
            "not estimable: no psi leaves an event while both arms are at risk",
            grid,
            z,
            at_zero,
        )
    inside = known & (np.abs(np.where(known, z, np.inf)) <= critical)
    crossing = np.flatnonzero(known[:-1] & known[1:] & ((z[:-1] > 0.0) != (z[1:] > 0.0)))
    edges = np.flatnonzero(known[:-1] & known[1:] & (inside[:-1] != inside[1:]))
    first = edges[:1] if len(edges) and not inside[np.flatnonzero(known)[0]] else edges[:0]
    last = edges[-1:] if len(edges) and not inside[np.flatnonzero(known)[-1]] else edges[:0]
    start = np.concatenate([crossing, first, last]).astype(np.int64)
    a, b = grid[start], grid[start + 1]
    of_root = np.arange(len(start)) < len(crossing)

    def side(values: FloatArray) -> BoolArray:
        rejected: BoolArray = ~(np.abs(values) <= critical)
        return np.where(of_root, values > 0.0, rejected)

    left = side(z[start])
    for _ in range(_STEPS if len(start) else 0):
        middle = 0.5 * (a + b)
        same = side(statistic(middle)) == left
        a, b = np.where(same, middle, a), np.where(same, b, middle)
    found = 0.5 * (a + b)
    roots = tuple(float(r) for r in found[: len(crossing)])
    low = float(found[len(crossing)]) if len(first) else -math.inf
    high = float(found[-1]) if len(last) else math.inf
    if not inside.any():  # the statistic jumps across the whole acceptance region, or never comes near it
        low, high = (roots[0], roots[-1]) if roots else (math.nan, math.nan)
    ends = f"{grid[0]:g} and {grid[-1]:g}"
    notes = []
    if not roots:
        shown = z[known]
        why = (
            f"not estimable: no psi between {ends} balances the arms "
            f"(the statistic goes from {shown[0]:.3g} to {shown[-1]:.3g})"
        )
        return Search(math.nan, low, high, roots, Status.BOUNDARY, why, grid, z, at_zero)
    if roots[-1] - roots[0] > tolerance or len(roots) % 2 == 0:
        why = "not estimable: the statistic is 0 at several psi: " + ", ".join(f"{r:.4g}" for r in roots)
        return Search(math.nan, low, high, roots, Status.NOT_CONVERGED, why, grid, z, at_zero)
    if len(roots) > 1:
        notes.append(f"the statistic crosses 0 {len(roots)} times between {roots[0]:.4g} and {roots[-1]:.4g}: midpoint")
    if math.isinf(low) or math.isinf(high):
        which = (
            "lower and upper limits"
            if math.isinf(low) and math.isinf(high)
            else ("the lower limit" if math.isinf(low) else "the upper limit")
        )
        notes.append(f"{which} not found between {ends}")
    if len(edges) > 2:
        notes.append("the psi not rejected have gaps: their hull is given")
    if not known.all():
        notes.append("the test does not exist at some psi")
    detail = "; ".join(notes) if notes else None
    return Search(0.5 * (roots[0] + roots[-1]), low, high, roots, Status.OK, detail, grid, z, at_zero)


def _grid(low: float, high: float, points: int) -> FloatArray:
    if not (math.isfinite(low) and math.isfinite(high) and low < high and points >= 3):
        raise EstimationError(
            f"psi searched between {low!r} and {high!r} at {points} points", hint="low < high, 3 or more points"
        )
    return np.linspace(low, high, points)


def _rank_statistic(
    time: FloatArray,
    event: BoolArray,
    arm: IntArray,
    on: FloatArray,
    censor: FloatArray,
    recensor: BoolArray,
    modifier: FloatArray,
    stratum: IntArray,
    rho: float,
) -> _Statistic:
    def statistic(psi: FloatArray) -> FloatArray:
        z = np.empty(len(psi))
        kernel.statistics(
            np.ascontiguousarray(psi), time, event, arm, on, censor, recensor, modifier, stratum, float(rho), z
        )
        return z

    return statistic


def spared(on: FloatArray, time: FloatArray, arm: IntArray) -> BoolArray:
    """(subject,) who need not be censored anew: an arm all on treatment all the time (active), or never (control)."""
    full = bool((on[arm == 1] >= time[arm == 1]).all())
    none = bool((on[arm == 0] <= 0.0).all())
    return np.asarray(((arm == 1) & full) | ((arm == 0) & none), dtype=np.bool_)


@dataclass(frozen=True, eq=False)
class SwitchingBlock:
    """g-estimation over a block of trials: psi, low, high (trial,), NaN where ``status`` is not OK; at_zero (trial,)
    the statistic of the arms as randomised.
    """

    psi: FloatArray
    low: FloatArray
    high: FloatArray
    at_zero: FloatArray
    status: CodeArray


def psi_of_trials(
    time: Any,
    event: Any,
    arm: Any,
    on: Any,
    *,
    censor: Any = None,
    include: Any = None,
    stratum: Any = None,
    rho: float = 0.0,
    autoswitch: bool = True,
    psi: tuple[float, float] = (-2.0, 2.0),
    points: int = 81,
    level: float = 0.95,
    tolerance: float = 0.1,
) -> SwitchingBlock:
    """Estimate psi in every trial of a block by the log-rank test (``rho`` 0) or Peto and Peto's (1).

    time, event, arm, on, censor, include, stratum : (trial, subject); on : time on active treatment; censor : time at
    which follow-up would have ended, None for no recensoring. Patients with a NaN among them take no part. Others as in
    :func:`rpsftm`. Robins & Tsiatis 1991, Commun Stat Theory Methods 20:2609.

    Raises
    ------
    EstimationError : ``psi`` and ``points`` make no grid; never for a trial, whose status says what became of it.
    """
    grid = _grid(*psi, points)
    time, on = np.asarray(time, dtype=np.float64), np.asarray(on, dtype=np.float64)
    event, arm = np.asarray(event).astype(np.bool_), np.asarray(arm).astype(np.int64)
    known = np.isfinite(time) & np.isfinite(on) & (~np.isnan(np.asarray(0.0 if censor is None else censor, np.float64)))
    found = []
    for t in range(len(time)):
        mine = known[t] if include is None else known[t] & np.asarray(include[t], dtype=np.bool_)
        own, hit, group, used = (np.ascontiguousarray(a[t][mine]) for a in (time, event, arm, on))
        n = len(own)
        again = np.zeros(n, np.bool_) if censor is None else np.ones(n, np.bool_)
        if autoswitch:
            again &= ~spared(used, own, group)
        limit = np.full(n, np.inf) if censor is None else np.ascontiguousarray(np.asarray(censor, np.float64)[t][mine])
        code = np.zeros(n, np.int64) if stratum is None else np.asarray(stratum)[t][mine].astype(np.int64)
        statistic = _rank_statistic(own, hit, group, used, limit, again, np.ones(n), code, rho)
        found.append(search(statistic, grid, level=level, tolerance=tolerance))
    return SwitchingBlock(
        np.array([f.psi for f in found]),
        np.array([f.low if f.status is Status.OK else math.nan for f in found]),
        np.array([f.high if f.status is Status.OK else math.nan for f in found]),
        np.array([f.at_zero for f in found]),
        np.array([int(f.status) for f in found], np.int8),
    )


@dataclass(frozen=True, eq=False)
class SwitchingFit(Fit):
    """A rank-preserving structural failure time model.

    psi : log of the factor by which time on treatment counts as untreated time (below 0: treatment stretches life);
    time_ratio : exp(-psi), years on treatment per untreated year. hazard_ratio : Cox, active as observed against
    control had nobody switched. The p-values of all three are that of the arms as randomised. search : the statistic
    over psi. switched, stopped : control patients ever, active patients not always on active treatment. recensored :
    (control, active) whether an arm was censored anew.
    """

    arms: tuple[Any, Any]
    n: int
    events: tuple[int, int]
    switched: int
    stopped: int
    recensored: tuple[bool, bool]
    psi: Estimate
    time_ratio: Estimate
    hazard_ratio: Estimate
    search: Search
    left_out: LeftOut
    _parts: tuple[Any, ...]
    backend: Any

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """psi, time ratio, hazard ratio."""
        return (self.psi, self.time_ratio, self.hazard_ratio)

    def _keys(self) -> Sequence[dict[str, Any]]:
        return [{"scale": e.scale} for e in self.estimates]

    def _title(self) -> str:
        return self.psi.estimator[0].upper() + self.psi.estimator[1:]

    def _facts(self) -> Iterator[tuple[str, str]]:
        yield "patients", f"{self.n}, events {self.events[0]} {self.arms[0]}, {self.events[1]} {self.arms[1]}"
        yield "departed", f"{self.switched} of {self.arms[0]} switched, {self.stopped} of {self.arms[1]} stopped"
        again = [str(a) for a, r in zip(self.arms, self.recensored, strict=True) if r]
        yield "censored anew", ", ".join(again) or "nobody"

    def _drawn(self) -> Any:
        """The two ratios: psi is the logarithm of one, and an end that is open cannot be drawn."""
        return (self.time_ratio, self.hazard_ratio)

    def untreated(self, psi: float | None = None) -> Any:
        """Row (from 0), arm, untreated time and event of every patient, at ``psi`` or at its estimate, as a frame."""
        value = self.psi.estimate if psi is None else float(psi)
        if math.isnan(value):
            raise EstimationError("psi is not estimable", hint=f"give a value; {self.psi.reason}")
        rows, arm, *parts = self._parts
        time, event = kernel.untreated(value, *parts)
        table = {
            "ROW": rows.tolist(),
            "ARM": [self.arms[g] for g in arm],
            "UNTREATED": time.tolist(),
            "EVENT": event.astype(int).tolist(),
        }
        return nw.from_dict(table, backend=self.backend).to_native()


def rpsftm(
    formula: Any = None,
    data: Any = None,
    *,
    time: str | None = None,
    event: str | None = None,
    censor: str | None = None,
    arm: str | None = None,
    control: Any = None,
    share: str | None = None,
    on: str | None = None,
    censor_time: str | float | None = None,
    recensor: bool = True,
    autoswitch: bool = True,
    test: str = "log-rank",
    strata: str | Sequence[str] = (),
    covariates: str | Sequence[str] = (),
    modifier: str | None = None,
    psi: tuple[float, float] = (-2.0, 2.0),
    points: int = 201,
    tolerance: float = 0.1,
    level: float = 0.95,
    estimand: str | None = None,
) -> SwitchingFit:
    """Estimate the effect of treatment actually taken on survival, with patients compared as randomised.

    Parameters
    ----------
    formula : ``Surv(AVAL, 1 - CNSR) ~ TRT01P + AGE + strata(RILFL)``, the arm first, then covariates; or leave it out,
        give the data first and name the columns.
    data : one row a patient; pandas, polars or pyarrow. Rows that lack a value take no part.
    time, event or censor, arm, control : as in :func:`equipoise.estimate.survival.rmst.rmst`.
    share or on : column with the share of ``time`` spent on active treatment (0 to 1), or with that time itself.
    censor_time : column, or one number, of the time at which follow-up would have ended whatever happened (the
        administrative end of the study), for everybody. Needed to recensor.
    recensor : censor anew at ``min(C, C exp(psi))``; without it censoring may carry information and bias psi.
    autoswitch : leave an arm alone in which nobody departed from the treatment of its arm.
    test : ``log-rank``, ``wilcoxon`` (Peto and Peto's weights) or ``cox`` (Wald, with ``covariates``). All within
        ``strata``.
    modifier : column by which psi is multiplied, patient by patient.
    psi, points : range and number of values at which the test is first evaluated. tolerance : crossings of 0 no further
        apart count as one.

    Returns
    -------
    SwitchingFit. Where no psi or several balance the arms, its estimates say so.

    Raises
    ------
    DataError, EstimationError : a column or an option cannot be used.

    Examples
    --------
    >>> import polars as pl
    >>> frame = pl.DataFrame({"T": [3, 5, 8, 9, 4, 9, 10, 7], "E": [1, 1, 1, 0, 1, 1, 0, 1], "ARM": list("ppppaaaa"),
    ...                       "ON": [0, 0, 4, 5, 4, 9, 10, 7]})
    >>> fit = rpsftm(frame, time="T", event="E", arm="ARM", control="p", on="ON", censor_time=12.0)
    >>> fit.switched, fit.psi.estimate < 0
    (2, True)
    """
    check_level(level)
    if test not in TESTS:
        raise EstimationError(f"unknown test {test!r}", hint="choose one of " + ", ".join(TESTS))
    named = as_columns(
        formula,
        data,
        time=time,
        event=event,
        censor=censor,
        arm=arm,
        covariates=covariates,
        strata=strata,
        takes=["covariates", "strata"],
    )
    if named.covariates and test != "cox":
        raise EstimationError(f"covariates in the {test} test", hint='use test="cox", or strata')
    if (share is None) == (on is None):
        raise EstimationError("give either share or on", hint="the share of time, or the time, on active treatment")
    if recensor and censor_time is None:
        raise EstimationError(
            "no censor_time to recensor at",
            hint="name the column with everybody's end of follow-up, or say recensor=False and accept its bias",
        )
    if not (censor_time is None or isinstance(censor_time, str) or is_time(censor_time)):
        raise EstimationError(f"censor_time = {censor_time!r}", hint="name a column, or give the end of follow-up")
    if not tolerance >= 0.0:
        raise EstimationError(f"tolerance = {tolerance!r}", hint="give 0 or more, on the scale of psi")
    grid = _grid(*psi, points)
    read, given = read_named(
        named, control=control, numeric=[c for c in (share, on, modifier, censor_time) if isinstance(c, str)]
    )
    used, end, factor = _exposure(read, given, share, on, censor_time, modifier)
    again = np.full(len(read.time), recensor and censor_time is not None)
    if autoswitch:
        again &= ~spared(used, read.time, read.arm)
    parts = (read.time, read.event, used, end, again, factor)
    statistic = (
        _cox_statistic(read, parts)
        if test == "cox"
        else _rank_statistic(read.time, read.event, read.arm, used, end, again, factor, read.stratum, TESTS[test])
    )
    problem = _problem(read, used)
    found = search(statistic, grid, level=level, tolerance=tolerance)
    status, detail = (found.status, found.detail) if problem is None else problem
    return SwitchingFit(
        read.arms,
        len(read.time),
        (int(read.events[0]), int(read.events[1])),
        int((used[read.arm == 0] > 0.0).sum()),
        int((used[read.arm == 1] < read.time[read.arm == 1]).sum()),
        (bool(again[read.arm == 0].any()), bool(again[read.arm == 1].any())),
        *_estimates(read, parts, found, status, detail, test, level, estimand),
        found,
        read.left_out,
        (read.rows, read.arm, *parts),
        read.backend,
    )


def _exposure(
    read: EventData,
    given: dict[str, FloatArray],
    share: str | None,
    on: str | None,
    censor_time: str | float | None,
    modifier: str | None,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(subject,) time on treatment, end of follow-up (infinite where not given) and modifier of psi."""
    if share is not None:
        part = given[share]
        if ((part < 0.0) | (part > 1.0)).any():
            row = int(read.rows[np.flatnonzero((part < 0.0) | (part > 1.0))[0]]) + 1
            what = f"{share!r} is not between 0 and 1 (row {row})"
            raise DataError(what, hint="the share of the time spent on active treatment")
        used = part * read.time
    else:
        used = given[on or ""]
        wrong = (used < 0.0) | (used > read.time * (1.0 + _ROUNDING) + 1e-12)
        if wrong.any():
            row = int(read.rows[np.flatnonzero(wrong)[0]]) + 1
            what = f"{on!r} is negative or longer than the time (row {row})"
            raise DataError(what, hint="time on active treatment up to then")
        used = np.minimum(used, read.time)
    if isinstance(censor_time, str):
        end = given[censor_time]
    else:
        end = np.full(len(read.time), np.inf if censor_time is None else float(censor_time))
    early = end < read.time * (1.0 - _ROUNDING)
    if early.any():
        row = int(read.rows[np.flatnonzero(early)[0]]) + 1
        raise DataError(
            f"{int(early.sum())} patients are followed beyond their censoring time (the first in row {row})",
            hint="censor_time is the end of follow-up planned for everyone, at or after the observed time",
        )
    return (
        np.ascontiguousarray(used),
        np.ascontiguousarray(np.maximum(end, read.time)),
        given[modifier] if modifier else np.ones(len(read.time)),
    )


def _cox_statistic(read: EventData, parts: tuple[Any, ...]) -> _Statistic:
    x = np.column_stack([read.arm.astype(np.float64), read.x])

    def statistic(psi: FloatArray) -> FloatArray:
        moved = [kernel.untreated(float(p), *parts) for p in psi]
        beta, covariance, *_, status = cox_kernel.cox(
            np.array([m[0] for m in moved]),
            np.array([m[1] for m in moved]),
            np.broadcast_to(x, (len(psi), *x.shape)).copy(),
            stratum=np.broadcast_to(read.stratum, (len(psi), len(x))),
        )
        z: FloatArray = np.where(status == Status.OK, beta[:, 0] / np.sqrt(covariance[:, 0, 0]), np.nan)
        return z

    return statistic


def _problem(read: EventData, used: FloatArray) -> tuple[Status, str] | None:
    """What stands in the way before anything is searched for."""
    if not len(read.time):
        return Status.NO_DATA, "not estimable: no patient has a time, an indicator, an arm and a treatment"
    for g in range(2):
        if not read.sizes[g]:
            return Status.EMPTY_ARM, f"not estimable: no patients in arm {read.arms[g]}"
    if not read.event.any():
        return Status.NO_EVENTS, f"not estimable: no events (events {read.counts()})"
    if not (used > 0.0).any():
        return Status.SINGULAR, "not estimable: nobody took active treatment"
    return None


def _estimates(
    read: EventData,
    parts: tuple[Any, ...],
    found: Search,
    status: Status,
    detail: str | None,
    test: str,
    level: float,
    estimand: str | None,
) -> tuple[Estimate, Estimate, Estimate]:
    ok = status is Status.OK
    z = found.at_zero
    p = 2.0 * float(special.ndtr(-abs(z))) if not math.isnan(z) else math.nan
    critical = float(special.ndtri(0.5 + 0.5 * level))
    name = f"{read.arms[1]} against {read.arms[0]}, switching accounted for"
    contrast = f"{read.arms[1]} / {read.arms[0]}"
    low, high = (found.low, found.high) if ok else (math.nan, math.nan)
    value = found.psi if ok else math.nan

    def inverted(scale: str, estimate: float, lower: float, upper: float) -> Estimate:
        return Estimate(
            name,
            f"rank-preserving structural failure time model, {test} test",
            estimate,
            (high - low) / (2.0 * critical) if ok and math.isfinite(high - low) else math.nan,
            math.inf if ok else math.nan,
            lower,
            upper,
            p if ok else math.nan,
            len(read.time),
            level=level,
            scale=scale,
            estimand=estimand,
            status=status,
            detail=detail,
            references=(ROBINS, WHITE),
            ratio=scale != "psi",
            form="inverted",
            statistic=z if ok else math.nan,
            term=scale,
            contrast=contrast,
        )

    psi = inverted("psi", value, low, high)
    ratio = inverted("ratio of survival times", math.exp(-value), math.exp(-high), math.exp(-low))
    log_ratio, own, why = math.nan, status, detail
    if ok:
        moved, event = kernel.untreated(value, *parts)
        treated = read.arm == 1
        beta, *_, fit = cox_kernel.cox(
            np.where(treated, read.time, moved)[None],
            np.where(treated, read.event, event)[None],
            np.column_stack([read.arm.astype(np.float64), read.x])[None],
            stratum=read.stratum[None],
        )
        own = Status(int(fit[0]))
        log_ratio = float(beta[0, 0])
        if own is not Status.OK:
            why = "not estimable: the hazard ratio against untreated control has no finite estimate"
        elif not abs(z) > 1e-8:
            own, why = (
                Status.SINGULAR,
                "not estimable: the randomised arms do not differ, which gives no standard error",
            )
    hazard = Estimate.from_t(
        name,
        f"Cox regression against control had nobody switched (psi by the {test} test), p-value as randomised",
        log_ratio,
        abs(log_ratio / z) if own is Status.OK else math.nan,
        math.inf,
        len(read.time),
        level=level,
        ratio=True,
        scale="hazard ratio",
        estimand=estimand,
        status=own,
        detail=why,
        references=(ROBINS, KORHONEN),
        term="hazard ratio",
        contrast=contrast,
    )
    return psi, ratio, hazard
