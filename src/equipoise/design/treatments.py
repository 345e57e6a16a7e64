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
    for others. dose : instead of that arm's. enters, leaves : months of the calendar between which patients are
    recruited to it; patients : until it has so many.
    """

    like: str | None = None
    dose: Annotated[float, Field(gt=0)] | None = None
    enters: Annotated[float, Field(ge=0)] = 0.0
    leaves: Annotated[float, Field(gt=0)] | None = None
    patients: Annotated[int, Field(ge=2)] | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
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
        if first.dose is not None:
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
            out[arm] = given.like or base.arms[0 if k == 0 else 1]
            if out[arm] not in base.arms:
                raise ScenarioError(
                    f"treatments.{name}.arms.{arm}.like: there is no arm {out[arm]!r}",
                    hint=f"arms are {', '.join(base.arms)}",
                )
        return out

    def dosing(self, base: Protocol, given: Dosing | Intake, name: str) -> Dosing | Intake:
        """The dosing of these arms, from that of the scenario's arms."""
        like = self.liken(base, name)
        active = [arm for arm in self.arms if like[arm] != base.arms[0]]
        if isinstance(given, Intake):
            doses: dict[str, float] | None = None
            if given.doses is not None or any(a.dose is not None for a in self.arms.values()):
                own = given.doses or {}
                doses = {arm: self.arms[arm].dose or own.get(like[arm], 1.0) for arm in self.arms if arm in active}
                control = next(iter(self.arms))
                if like[control] in given.extension:  # control takes the drug in the extension
                    doses[control] = own.get(like[control], max(doses.values()))
            return given.model_copy(
                update={
                    "randomised": tuple(a for a in self.arms if like[a] in given.randomised),
                    "extension": tuple(a for a in self.arms if like[a] in given.extension),
                    "doses": doses,
                }
            )
        taken = {a: self.arms[a].dose or given.of(like[a]) for a in self.arms}
        fallback = max(taken.values())
        return Dosing(
            dose={a: dose or fallback for a, dose in taken.items()},
            randomised={a: given.randomised[like[a]] for a in self.arms if like[a] in given.randomised},
            extension={a: given.extension[like[a]] for a in self.arms if like[a] in given.extension},
        )
