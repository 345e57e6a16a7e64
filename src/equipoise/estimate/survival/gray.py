"""Gray's test of the cumulative incidence of one cause among competing ones.

Equations, defaults of R and sources in ``docs/methods/competing-risks.md``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.columns import codes_of
from equipoise.estimate.fit import Fit, p_value
from equipoise.estimate.frames import read_frame, require
from equipoise.estimate.left_out import NOBODY, LeftOut
from equipoise.estimate.result import Estimate
from equipoise.estimate.survival.asked import as_columns
from equipoise.estimate.survival.causes import read_causes
from equipoise.estimate.survival.kernels import competing_risks as kernel
from equipoise.estimate.survival.log_rank import between
from equipoise.estimate.survival.surv_formula import combined
from equipoise.types import REASONS, FloatArray, IntArray, Status

GRAY = "Gray 1988, Ann Stat 16:1141"


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
    backend: Any = None

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """For two groups events observed minus expected; else the test alone."""
        if len(self.groups) == 2:
            return (self.estimate(),)
        ok = self.status is Status.OK
        return (
            Estimate.of_test(
                f"all groups, {self.of}",
                self._title(),
                self.p,
                int(self.n.sum()),
                statistic=self.chi_square,
                df=float(self.df),
                detail=None if ok else self.reason,
                status=self.status,
            ),
        )

    def _title(self) -> str:
        return "Gray's test" + (f" stratified by {', '.join(self.strata)}" if self.strata else "")

    def _facts(self) -> Iterator[tuple[str, str]]:
        yield "cause", str(self.of)
        yield "events", ", ".join(f"{e}/{n} {g}" for e, n, g in zip(self.events, self.n, self.groups, strict=True))
        if self.status is Status.OK:
            yield "test", f"chi-square {self.chi_square:.4g} on {self.df} df, P {p_value(self.p)}"

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
            self._title(),
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
            term=f"incidence of {self.of}",
            contrast=f"{self.groups[1]} - {self.groups[0]}",
        )


def gray_test(
    formula: Any = None,
    data: Any = None,
    *,
    of: Any,
    time: str | None = None,
    cause: str | None = None,
    arm: str | None = None,
    censored: Any = 0,
    strata: str | Sequence[str] = (),
    rho: float = 0.0,
) -> GrayTest:
    """Gray's test that the cumulative incidence of cause ``of`` is the same at all levels of ``arm``, within strata.

    formula : ``Surv(AVAL, CAUSE) ~ TRT01P + strata(RILFL)``, or leave it out and name the columns (``arm`` is TRT01P
    where it is not given). rho : weight ``(1 - F(t-))^rho``, 0 or more; 0 weighs all times alike. Other arguments as in
    :func:`cumulative_incidence`. Gray 1988, Ann Stat 16:1141.

    Raises
    ------
    DataError, EstimationError : a column or an option cannot be used, or there are fewer than two groups.

    Examples
    --------
    >>> import polars as pl
    >>> frame = pl.DataFrame({"T": [3, 5, 7, 2, 8, 9], "HOW": [1, 2, 0, 1, 0, 1], "ARM": list("aaabbb")})
    >>> test = gray_test(frame, time="T", cause="HOW", of=1, arm="ARM")
    >>> test.df, 0 < test.p < 1
    (1, True)
    """
    if not (isinstance(rho, int | float) and 0.0 <= rho < math.inf):
        raise EstimationError(f"rho = {rho!r}", hint="give a weight of 0 or more")
    named = as_columns(formula, data, time=time, cause=cause, arm=arm, strata=strata, causes=True, takes=["strata"])
    frame, names, group_column = read_frame(named.data), named.strata, str(named.arm)
    read = read_causes(frame, named.time, str(named.cause), censored)
    require(frame, [group_column, *names])
    own, levels = codes_of(frame, group_column)
    if len(levels) < 2:
        raise DataError(f"{group_column!r} has fewer than two levels", hint="there is nothing to compare")
    stratum, _ = combined(frame, names)
    read.sieve.need(stratum >= 0, f"without {' or '.join(names)}")
    read.sieve.need(own >= 0, f"without {group_column}")
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
        of,
        tuple(levels),
        n,
        events,
        u,
        v,
        chi_square,
        df,
        p,
        float(rho),
        names,
        made,
        read.sieve.left_out,
        nw.get_native_namespace(frame),
    )
