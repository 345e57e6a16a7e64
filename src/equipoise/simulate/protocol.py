"""The design of a trial as data: arms, ratio, groups, strata, visits, dosing, extension."""

from __future__ import annotations

from typing import Annotated, Any, Self

import numpy as np
from pydantic import Field, model_validator

from equipoise.files import Frozen
from equipoise.simulate.diseases import STRATA, schedule_arrays

Weeks = tuple[float, ...]


class Dosing(Frozen):
    """Dose (mg) and dosing weeks per arm; an arm that is not named gets no drug in that period."""

    dose: Annotated[float, Field(gt=0)]
    randomised: dict[str, Weeks]
    extension: dict[str, Weeks] = Field(default_factory=dict)


class Intake(Frozen):
    """A drug taken throughout: by mouth every day, or in cycles whose pauses are short beside what is asked.

    Which arms take it in the randomised period, and which from the extension on. ``regimen`` says in words what was
    reduced to this.
    """

    regimen: str
    randomised: tuple[str, ...]
    extension: tuple[str, ...] = ()


class RunIn(Frozen):
    """Observation before randomisation: who lost too little or too much of the score is not randomised."""

    weeks: Annotated[float, Field(gt=0)]
    least_fall: float = Field(description="observed fall of function over the run-in, points")
    most_fall: float

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.least_fall > self.most_fall:
            raise ValueError(f"least_fall {self.least_fall:g} exceeds most_fall {self.most_fall:g}")
        return self


class FollowUp(Frozen):
    """Events are known beyond the visits, also of those who left.

    To a week drawn for each patient between ``first`` and ``last``: patients come in over time, and the data are cut
    at one date.
    """

    first: Annotated[float, Field(gt=0)]
    last: Annotated[float, Field(gt=0)]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.first > self.last:
            raise ValueError(f"first: week {self.first:g} lies after the last, {self.last:g}")
        return self


class Extension(Frozen):
    """What follows the randomised period. Active drug there for an arm that had none is a crossover."""

    end: float = Field(description="weeks from first dose")
    entry: Annotated[float, Field(ge=0, le=1)] = Field(
        description="probability of going on, of those still under observation"
    )
    masked: bool = Field(default=True, description="whether the first allocation stays hidden; not simulated")


class Protocol(Frozen):
    """A two-arm trial; arm 0 is the control. Weeks are counted from first dose."""

    arms: tuple[str, str]
    ratio: tuple[int, int] = Field(description="patients per permuted block: control, active")
    groups: dict[str, int] = Field(description="recruitment groups and their sizes")
    strata: tuple[str, ...] = Field(description="what randomisation is stratified by, besides the group")
    visits: Weeks
    period_end: Annotated[float, Field(gt=0)]
    dosing: Dosing | Intake
    extension: Extension | None = None
    run_in: RunIn | None = None
    follow_up: FollowUp | None = None

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if min(self.ratio) < 1:
            raise ValueError(
                f"ratio: {self.ratio[0]}:{self.ratio[1]} leaves an arm empty; give whole numbers of at least 1"
            )
        if not self.groups:
            raise ValueError("groups: a trial needs at least one recruitment group")
        for name, size in self.groups.items():
            if size < 1:
                raise ValueError(f"groups.{name}: {size} patients; a group needs at least 1")
        if len(self.visits) < 2 or self.visits[0] != 0:
            raise ValueError("visits: the first visit is week 0 and at least one more is needed")
        for a, b in zip(self.visits, self.visits[1:], strict=False):
            if b <= a:
                raise ValueError(f"visits: week {b:g} follows week {a:g}; weeks must increase")
        if self.period_end not in self.visits:
            raise ValueError(f"period_end: no visit at week {self.period_end:g}, where the randomised period ends")
        self._possible_dosing()
        last = self.extension.end if self.extension else self.period_end
        if self.visits[-1] > last:
            raise ValueError(f"visits: week {self.visits[-1]:g} lies after the end of the trial (week {last:g})")
        if self.extension and self.extension.end <= self.period_end:
            raise ValueError("extension.end: must lie after period_end")
        if "ITT" in self.groups:
            raise ValueError("groups.ITT: ITT means everyone; give the group another name")
        if any(s not in STRATA for s in self.strata):
            known = f"{', '.join(STRATA[:-1])} and {STRATA[-1]}"
            raise ValueError(f"strata: besides the group, randomisation can be stratified by {known}")
        if self.follow_up and self.follow_up.first < self.period_end:
            raise ValueError("follow_up.first: must not lie before period_end")
        for week in (*self.visits, self.period_end):
            if abs(week * 7 - round(week * 7)) > 1e-9:
                raise ValueError(f"visits: week {week:g} is not a whole number of days")
        return self

    def _possible_dosing(self) -> None:
        if isinstance(self.dosing, Intake):
            for period in ("randomised", "extension"):
                for arm in getattr(self.dosing, period):
                    if arm not in self.arms:
                        raise ValueError(f"dosing.{period}: unknown arm {arm!r}; arms are {', '.join(self.arms)}")
            if self.dosing.extension and self.extension is None:
                raise ValueError("dosing.extension: the protocol has no extension")
            return
        for period, doses in (("randomised", self.dosing.randomised), ("extension", self.dosing.extension)):
            for arm, weeks in doses.items():
                if arm not in self.arms:
                    raise ValueError(f"dosing.{period}.{arm}: unknown arm; arms are {', '.join(self.arms)}")
                if list(weeks) != sorted(set(weeks)):
                    raise ValueError(f"dosing.{period}.{arm}: dosing weeks must increase")
                low, high = (0.0, self.period_end) if period == "randomised" else (self.period_end, float("inf"))
                for week in weeks:
                    if abs(week * 7 - round(week * 7)) > 1e-9:
                        raise ValueError(f"dosing.{period}.{arm}: week {week:g} is not a whole number of days")
                    if not low <= week < high:
                        raise ValueError(f"dosing.{period}.{arm}: week {week:g} lies outside that period")

    @property
    def shares(self) -> tuple[float, float]:
        """Allocation shares of control and active."""
        total = sum(self.ratio)
        return self.ratio[0] / total, self.ratio[1] / total

    @property
    def n(self) -> int:
        return sum(self.groups.values())

    def prolonged(self, week: float) -> Protocol:
        """The same trial with a randomised period that runs to ``week``, the last visit by then, no extension.

        The active arm goes on with its extension doses; control stays on control.
        """
        visits = tuple(v for v in self.visits if v <= week)
        change = {"visits": visits, "period_end": week, "extension": None}
        if isinstance(self.dosing, Intake):
            taken = self.dosing.model_copy(update={"extension": ()})
            return Protocol(**{**self.model_dump(), **change, "dosing": taken, "follow_up": None})
        doses = {
            arm: tuple(
                w for w in (*self.dosing.randomised.get(arm, ()), *self.dosing.extension.get(arm, ())) if w < week
            )
            for arm in self.dosing.randomised
        }
        dosing = Dosing(dose=self.dosing.dose, randomised=doses)
        return Protocol(**{**self.model_dump(), **change, "dosing": dosing, "follow_up": None})

    @property
    def last_week(self) -> float:
        """The last week at which anything can be known of a patient."""
        return max(self.visits[-1], self.follow_up.last if self.follow_up else 0.0)

    def schedule(self, steps_per_week: int = 7) -> Any:
        """The schedule as the kernel takes it."""
        taken = np.zeros((len(self.arms), 2))
        per_arm: list[Weeks] = [()] * len(self.arms)
        dose = 0.0
        if isinstance(self.dosing, Intake):
            for a, arm in enumerate(self.arms):
                taken[a] = arm in self.dosing.randomised, arm in self.dosing.extension
        else:
            dose = float(self.dosing.dose)
            per_arm = [(*self.dosing.randomised.get(arm, ()), *self.dosing.extension.get(arm, ())) for arm in self.arms]
        width = max(1, *(len(p) for p in per_arm))
        dose_weeks = np.full((len(self.arms), width), -1.0)
        for a, weeks in enumerate(per_arm):
            # pad at the end with a week after the trial, so that due doses stay in order
            dose_weeks[a] = [*weeks, *([self.last_week + 1.0] * (width - len(weeks)))]
        return schedule_arrays(
            self.strata,
            weeks=np.array(self.visits, dtype=np.float64),
            dose=dose,
            dose_weeks=dose_weeks,
            taken=taken,
            period_end=float(self.period_end),
            follow_first=float(self.follow_up.first) if self.follow_up else 0.0,
            follow_last=float(self.follow_up.last) if self.follow_up else 0.0,
            extension_entry=float(self.extension.entry) if self.extension else 0.0,
            block=np.array(self.ratio, dtype=np.int64),
            steps_per_week=steps_per_week,
        )
