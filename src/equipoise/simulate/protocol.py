"""The design of a trial as data: arms, ratio, groups, strata, visits, dosing, extension."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from equipoise.files import Frozen

Weeks = tuple[float, ...]


Dose = Annotated[float, Field(gt=0)]


class Dosing(Frozen):
    """Dose (mg), one for all arms or one an arm, and dosing weeks per arm.

    An arm that is not named gets no drug in that period.
    """

    dose: Dose | dict[str, Dose]
    randomised: dict[str, Weeks]
    extension: dict[str, Weeks] = Field(default_factory=dict)

    def of(self, arm: str) -> float:
        """The dose of an arm, mg."""
        return float(self.dose.get(arm, 0.0)) if isinstance(self.dose, dict) else float(self.dose)


class Intake(Frozen):
    """A drug taken throughout: by mouth every day, or in cycles whose pauses are short beside what is asked.

    Which arms take it in the randomised period, and which from the extension on. ``regimen`` says in words what was
    reduced to this. ``doses``: the dose of each arm, in any unit, where arms take different ones. ``periods``: of arms
    that take it on and off, the weeks [from, to) instead - a crossover, or a randomised withdrawal.
    """

    regimen: str
    randomised: tuple[str, ...]
    extension: tuple[str, ...] = ()
    doses: dict[str, Dose] | None = None
    periods: dict[str, tuple[tuple[float, float], ...]] = Field(default_factory=dict)

    @property
    def takers(self) -> tuple[str, ...]:
        """The arms that take the drug at some time."""
        own = (arm for arm, weeks in self.periods.items() if weeks)
        return tuple(dict.fromkeys((*self.randomised, *self.extension, *own)))


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
    """Two arms or more that share a control, which is the first. Weeks are counted from first dose."""

    arms: tuple[str, ...] = Field(min_length=2)
    ratio: tuple[int, ...] = Field(description="patients per permuted block, in the order of the arms")
    groups: dict[str, int] = Field(description="recruitment groups and their sizes")
    as_randomised: dict[str, tuple[int, ...]] = Field(
        default={},
        description="patients by arm in each group, in the order of the arms, as the published trial happened to have "
        "them; held where the arms are rebuilt as they happened, and forgotten by a trial of other groups or arms",
    )
    strata: tuple[str, ...] = Field(description="what randomisation is stratified by, besides the group")
    visits: Weeks
    period_end: Annotated[float, Field(gt=0)]
    dosing: Dosing | Intake
    extension: Extension | None = None
    run_in: RunIn | None = None
    follow_up: FollowUp | None = None

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if len(set(self.arms)) < len(self.arms):
            raise ValueError("arms: an arm is listed twice")
        ratio = ":".join(map(str, self.ratio))
        if len(self.ratio) != len(self.arms):
            raise ValueError(f"ratio: {ratio} for {len(self.arms)} arms; give one whole number an arm")
        if min(self.ratio) < 1:
            raise ValueError(f"ratio: {ratio} leaves an arm empty; give whole numbers of at least 1")
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
            self._possible_periods(self.dosing)
            if self.dosing.extension and self.extension is None:
                raise ValueError("dosing.extension: the protocol has no extension")
            if self.dosing.doses is not None:
                self._dose_an_arm("doses", self.dosing.doses)
            return
        if isinstance(self.dosing.dose, dict):
            self._dose_an_arm("dose", self.dosing.dose)
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

    def _possible_periods(self, intake: Intake) -> None:
        for arm, periods in intake.periods.items():
            where = f"dosing.periods.{arm}"
            if arm not in self.arms:
                raise ValueError(f"{where}: unknown arm; arms are {', '.join(self.arms)}")
            if arm in (*intake.randomised, *intake.extension):
                raise ValueError(f"{where}: its periods say when it takes the drug; leave it out of the others")
            before = 0.0
            for first, last in periods:
                if not before <= first < last:
                    raise ValueError(f"{where}: weeks {first:g} to {last:g} do not follow week {before:g}")
                before = last

    def _dose_an_arm(self, key: str, doses: dict[str, float]) -> None:
        own = self.dosing.takers if isinstance(self.dosing, Intake) else ()
        for arm in own or (*self.dosing.randomised, *self.dosing.extension):
            if arm not in doses:
                raise ValueError(f"dosing.{key}: no dose for the arm {arm!r}, which takes the drug")
        for arm in doses:
            if arm not in self.arms:
                raise ValueError(f"dosing.{key}: unknown arm {arm!r}; arms are {', '.join(self.arms)}")

    @property
    def shares(self) -> tuple[float, ...]:
        """Allocation shares of the arms, control first."""
        total = sum(self.ratio)
        return tuple(r / total for r in self.ratio)

    def blocks(self, *, as_it_happened: bool) -> tuple[tuple[int, ...], ...]:
        """Patients per permuted block by arm, for each group; as it happened, one block holds the whole group."""
        return tuple((as_it_happened and self._counted(group)) or self.ratio for group in self.groups)

    def _counted(self, group: str) -> tuple[int, ...]:
        """The arms of a group as they were; none in a protocol of other arms or another size."""
        counts = self.as_randomised.get(group, ())
        return counts if len(counts) == len(self.arms) and sum(counts) == self.groups[group] else ()

    def check_as_randomised(self) -> None:
        """Raise ``ValueError`` where sizes that a file states are not those of its arms and groups."""
        for name, counts in self.as_randomised.items():
            if name not in self.groups:
                raise ValueError(f"as_randomised.{name}: no such group; groups are {', '.join(self.groups)}")
            if self._counted(name) != counts or min(counts) < 0:
                raise ValueError(
                    f"as_randomised.{name}: {list(counts)} does not share {self.groups[name]} patients among "
                    f"{len(self.arms)} arms; give one count an arm, in the order of the arms"
                )

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
