"""The arms of a design: any number of them and of doses, with one control, entering and leaving by the calendar."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from equipoise.errors import ScenarioError
from equipoise.files import Frozen, PlaceError
from equipoise.simulate.protocol import Dosing, Intake, Protocol

_RATIO = re.compile(r"[1-9]\d?(:[1-9]\d?)+")


def checked_ratio(ratio: str) -> str:
    """A ratio such as ``1:2`` or ``2:1:1``, control first; raises ``ValueError`` for what is none."""
    if not _RATIO.fullmatch(ratio):
        raise ValueError(
            f"{ratio!r} is no ratio; write control:active, such as '1:2', or a number an arm: '2:1:1', in quotes"
        )
    return ratio


class ArmOf(Frozen):
    """One arm.

    like : the arm of the scenario whose dosing it has; default its control for the first arm, and its first active arm
    for others. dose : instead of that arm's. on : the weeks [from, to) in which it takes the drug, for a crossover or a
    randomised withdrawal. enters, leaves : months of the calendar between which patients are
    recruited to it; patients : until it has so many.
    """

    like: str | None = None
    dose: Annotated[float, Field(gt=0)] | None = None
    on: tuple[tuple[float, float], ...] | None = None
    enters: Annotated[float, Field(ge=0)] = 0.0
    leaves: Annotated[float, Field(gt=0)] | None = None
    patients: Annotated[int, Field(ge=2)] | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        before = 0.0
        for k, (first, last) in enumerate(self.on or ()):
            if not before <= first < last:
                raise PlaceError(f"weeks {first:g} to {last:g} do not follow week {before:g}", "on", k)
            before = last
        if self.leaves is not None and self.leaves <= self.enters:
            raise PlaceError(
                f"month {self.leaves:g} does not lie after the arm enters, month {self.enters:g}", "leaves"
            )
        return self

    @property
    def by_calendar(self) -> bool:
        """Whether it is not open to patients all the time."""
        return self.enters > 0.0 or self.leaves is not None or self.patients is not None


class Treatments(Frozen):
    """Arms, the control first. ratio : patients a block, in their order; default as many of each.

    concurrent : an arm is compared with those controls alone who could have been given it. separate : each arm is
    tested at the full level, as platforms do; otherwise in a closed test.
    """

    label: str
    arms: dict[str, ArmOf] = Field(min_length=2)
    ratio: str | None = None
    concurrent: bool = True
    separate: bool = False

    @field_validator("ratio")
    @classmethod
    def _ratio(cls, ratio: str | None) -> str | None:
        return None if ratio is None else checked_ratio(ratio)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        n = len(self.arms)
        if self.ratio is not None and self.ratio.count(":") + 1 != n:
            raise PlaceError(f"{self.ratio} for {n} arms; give one number an arm, control first", "ratio")
        control, first = next(iter(self.arms.items()))
        if first.by_calendar:
            raise PlaceError("the control is shared, and open all the time", "arms", control)
        if first.dose is not None and not first.on:
            raise PlaceError("the control has no dose; name the control first", "arms", control, "dose")
        return self

    @property
    def by_calendar(self) -> bool:
        """Whether arms enter or leave."""
        return any(arm.by_calendar for arm in self.arms.values())

    def liken(self, base: Protocol, name: str) -> dict[str, str]:
        """Arm -> the arm of a scenario whose dosing it has.

        Raises
        ------
        ScenarioError : the scenario has no such arm.
        """
        out = {}
        for k, (arm, given) in enumerate(self.arms.items()):
            out[arm] = given.like or base.arms[0 if k == 0 and not given.on else 1]
            if out[arm] not in base.arms:
                raise ScenarioError(
                    f"treatments.{name}.arms.{arm}.like: there is no arm {out[arm]!r}",
                    hint=f"arms are {', '.join(base.arms)}",
                )
        return out

    def dosing(self, base: Protocol, given: Dosing | Intake, name: str) -> Dosing | Intake:
        """The dosing of these arms, from that of the scenario's arms."""
        like = self.liken(base, name)
        own = {a: arm.on for a, arm in self.arms.items() if arm.on is not None}
        if isinstance(given, Intake):
            made = given.model_copy(
                update={
                    "randomised": tuple(a for a in self.arms if like[a] in given.randomised and a not in own),
                    "extension": tuple(a for a in self.arms if like[a] in given.extension and a not in own),
                    "periods": own,
                    "doses": None,
                }
            )
            if given.doses is None and all(a.dose is None for a in self.arms.values()):
                return made
            doses = {a: self.arms[a].dose or (given.doses or {}).get(like[a]) for a in made.takers}
            known = [d for d in doses.values() if d is not None]
            if not known:
                raise ScenarioError(f"treatments.{name}.arms: no arm that takes the drug has a dose")
            # control that goes over to the drug takes the highest dose, where nothing else is said
            return made.model_copy(update={"doses": {a: d or max(known) for a, d in doses.items()}})
        taken = {a: self.arms[a].dose or given.of(like[a]) for a in self.arms}
        fallback = max(taken.values())

        def weeks(period: dict[str, tuple[float, ...]]) -> dict[str, tuple[float, ...]]:
            every = {a: period[like[a]] for a in self.arms if like[a] in period}
            return {
                a: doses if a not in own else tuple(w for w in doses if any(f <= w < t for f, t in own[a]))
                for a, doses in every.items()
            }

        return Dosing(
            dose={a: dose or fallback for a, dose in taken.items()},
            randomised=weeks(given.randomised),
            extension=weeks(given.extension),
        )
