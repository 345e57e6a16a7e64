"""Accrual over the calendar: how patients come in, month by month, and in which order.

The order and the waiting times of replicate r depend on ``(seed, r)`` alone, so that every design of a study meets the
same arrivals.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from equipoise.errors import ScenarioError
from equipoise.files import Frozen, PlaceError
from equipoise.trial import Trials
from equipoise.types import WEEKS_PER_MONTH, BoolArray, FloatArray, IntArray

ARRIVALS = 7
"""The purpose of the streams of random numbers, beside those of :mod:`equipoise.numerics.random`."""

_FAR = 1200.0  # months


class Accrual(Frozen):
    """How patients come in.

    rates : [month, patients a month from then on], the first at month 0. ramp : months in which the first rate is
    reached, on a straight line from nothing. arrivals : ``random`` (a Poisson process) or ``even``.
    """

    rates: tuple[tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(gt=0)]], ...] = Field(min_length=1)
    ramp: Annotated[float, Field(ge=0)] = 0.0
    arrivals: Literal["random", "even"] = "random"

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        months = [month for month, _ in self.rates]
        if months[0] != 0:
            raise PlaceError(f"the first rate is that of month {months[0]:g}, not of month 0", "rates", 0)
        for k, (a, b) in enumerate(pairwise(months), start=1):
            if b <= a:
                raise PlaceError(f"month {b:g} follows month {a:g}; months must rise", "rates", k)
        if len(months) > 1 and self.ramp > months[1]:
            raise PlaceError(f"{self.ramp:g} months, but the rate changes at month {months[1]:g}", "ramp")
        return self

    @classmethod
    def steady(cls, a_month: float) -> Accrual:
        """The same rate all along."""
        return cls(rates=((0.0, a_month),))

    @cached_property
    def expected(self) -> tuple[FloatArray, FloatArray]:
        """(knot,) weeks and patients expected by then; straight lines between them."""
        months, counts = [0.0], [0.0]
        ramp = np.linspace(0.0, self.ramp, 41)[1:] if self.ramp > 0.0 else np.zeros(0)
        first = self.rates[0][1]
        for month in ramp:
            months.append(float(month))
            counts.append(first * float(month) ** 2 / (2.0 * self.ramp))
        for k, (_, rate) in enumerate(self.rates):
            until = self.rates[k + 1][0] if k + 1 < len(self.rates) else _FAR
            if until > months[-1]:
                counts.append(counts[-1] + rate * (until - months[-1]))
                months.append(until)
        return np.array(months) * WEEKS_PER_MONTH, np.array(counts)

    def months_for(self, patients: float) -> float:
        """Months in which so many patients are expected to have come.

        >>> Accrual(rates=((0, 10),)).months_for(60), Accrual(rates=((0, 10),), ramp=6).months_for(60)
        (6.0, 9.0)
        """
        weeks, counts = self.expected
        return round(float(np.interp(patients, counts, weeks)) / WEEKS_PER_MONTH, 9)

    def gaps(self, seed: int, first: int, trials: int, subjects: int) -> FloatArray:
        """(trial, subject) waiting times in units of one patient expected."""
        if self.arrivals == "even":
            return np.ones((trials, subjects))
        return np.stack([_stream(seed, first + i, 0).exponential(size=subjects) for i in range(trials)])


def _stream(seed: int, replicate: int, unit: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=[seed, ARRIVALS], counter=[0, 0, unit, replicate]))


def arriving(trials: Trials) -> IntArray:
    """(trial, subject) the subjects in the order in which they come.

    Groups are mixed at random; within a group the order is that of allocation, so that whoever has come by any time
    was randomised in whole blocks but the last.
    """
    out = np.empty(trials.arm.shape, np.int64)
    for i in range(len(trials)):
        u = _stream(trials.seed, trials.first_replicate + i, 1).random(trials.n_subjects)
        for g in range(len(trials.sets)):
            mine = np.flatnonzero(trials.group[i] == g)
            u[mine] = np.sort(u[mine])
        out[i] = np.argsort(u, kind="stable")
    return out


@dataclass(eq=False)
class Enrolment:
    """Who has been enrolled in each trial of a block, and when, under the decisions taken so far.

    entry : (trial, subject) weeks since the first site opened, infinite for who is not enrolled. Decisions change what
    comes after them: :meth:`close` an arm, :meth:`shut` a group, :meth:`limit` the number of patients.
    """

    trials: Trials
    accrual: Accrual
    patients: int
    opens: FloatArray
    caps: IntArray
    closes: FloatArray
    shut_at: FloatArray
    changes: list[FloatArray]
    limits: list[IntArray]
    entry: FloatArray
    _gaps: FloatArray = field(init=False, repr=False)
    _order: IntArray = field(init=False, repr=False)

    @classmethod
    def of(
        cls,
        trials: Trials,
        accrual: Accrual,
        patients: int,
        opens: FloatArray | None = None,
        closes: FloatArray | None = None,
        caps: IntArray | None = None,
    ) -> Enrolment:
        """Enrolment as planned: so many patients; opens, closes (arm,) weeks, caps (arm,) patients of an arm at most.

        Raises
        ------
        ScenarioError : the virtual patients do not suffice.
        """
        n, arms, sets = len(trials), len(trials.arms), len(trials.sets)
        made = cls(
            trials,
            accrual,
            patients,
            np.zeros(arms) if opens is None else opens,
            np.full(arms, 1 << 40, np.int64) if caps is None else caps,
            np.full((n, arms), np.inf) if closes is None else np.tile(closes, (n, 1)),
            np.full((n, sets), np.inf),
            [np.zeros(n)],
            [np.full(n, patients, np.int64)],
            np.empty(trials.arm.shape),
        )
        made._gaps = accrual.gaps(trials.seed, trials.first_replicate, n, trials.n_subjects)
        made._order = arriving(trials)
        made.enrol()
        return made

    def enrol(self) -> None:
        """Bring ``entry`` up to what was decided."""
        from equipoise.design.kernels.enrol import enrol

        weeks, counts = self.accrual.expected
        enough = enrol(
            self._gaps,
            self._order,
            self.trials.arm,
            self.trials.group,
            weeks,
            counts,
            self.opens,
            self.closes,
            self.shut_at,
            self.caps,
            np.stack(self.changes, axis=1),
            np.stack(self.limits, axis=1),
            self.entry,
        )
        if not enough:
            raise ScenarioError(
                f"{self.trials.n_subjects} virtual patients a trial do not suffice for what was decided",
                hint="lower 'most' of reestimate, or the patients of the design",
            )

    def close(self, week: FloatArray, arms: BoolArray) -> None:
        """No patient of an arm (trial, arm) from a week (trial,) on."""
        self.closes = np.where(arms, np.minimum(self.closes, week[:, None]), self.closes)

    def shut(self, week: FloatArray, groups: BoolArray) -> None:
        """No patient of a group (trial, group) from a week (trial,) on."""
        self.shut_at = np.where(groups, np.minimum(self.shut_at, week[:, None]), self.shut_at)

    def limit(self, week: FloatArray, patients: IntArray) -> None:
        """From a week (trial,) on at most so many patients (trial,); an infinite week changes nothing."""
        self.changes.append(week)
        self.limits.append(patients)

    def counted(self, week: FloatArray) -> IntArray:
        """(trial,) patients enrolled by a week."""
        return np.asarray((np.isfinite(self.entry) & (self.entry <= week[:, None])).sum(axis=1))
