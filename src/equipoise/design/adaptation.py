"""What a trial may do before its end, as data: looks, futility, dropping arms, a new size, enrichment.

A design that changes the trial by what has been seen needs the inverse-normal combination test; one without it is
refused.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, ValidationError, model_validator

from equipoise.decision import ClosedCombination, GroupSequentialDesign, InverseNormal
from equipoise.decision.closed_combination import Intersection
from equipoise.files import Frozen, PlaceError
from equipoise.plan.methods.monitoring import GroupSequentialSection

Share = Annotated[float, Field(gt=0, lt=1)]

CHANGES = ("reestimate", "select", "enrich")
"""What changes the trial, beyond stopping it."""


class LookAt(Frozen):
    """When a look is held; one of four.

    share : when this part of the patients planned has reached the visit of the primary test. enrolled : when this part
    has come in. events : when so many of its events have happened. month : of the calendar, from the first site's
    opening.
    """

    share: Share | None = None
    enrolled: Share | None = None
    events: Annotated[int, Field(ge=1)] | None = None
    month: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        given = [k for k, v in self if v is not None]
        if len(given) != 1:
            found = ", ".join(given) or "none of them"
            raise ValueError(f"a look is held at one of share, enrolled, events or month; found {found}")
        return self

    @property
    def kind(self) -> str:
        """Which of the four."""
        return next(k for k, v in self if v is not None)

    @property
    def value(self) -> float:
        """How much of it."""
        return float(next(v for _, v in self if v is not None))


class Gate(Frozen):
    """Futility on another test, such as the marker: stop, or drop the arm, unless it moves.

    test : ``ANALYSIS.TEST``. at : looks, from 1. p_above : stop where its one-sided p-value is above. better : which
    way it moves when the drug works, where the disease does not know.
    """

    test: str
    better: Literal["higher", "lower"] | None = None
    at: tuple[Annotated[int, Field(ge=1)], ...] = (1,)
    p_above: Share


class Reestimate(Frozen):
    """A new number of patients at a look, the last before the end.

    power : the conditional power wanted. effect : assumed from now on, ``seen`` or a number in the unit of the test's
    estimate (ln hazard ratio, points), in favour of active. least, most : limits, in multiples of the patients planned.
    zone : only where conditional power as planned lies between these.
    """

    at: Annotated[int, Field(ge=1)] = 1
    power: Share = 0.9
    effect: Literal["seen"] | float = "seen"
    least: Annotated[float, Field(ge=1)] = 1.0
    most: Annotated[float, Field(ge=1)] = 2.0
    zone: tuple[Share, Share] | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.most < self.least:
            raise PlaceError(f"{self.most:g} lies below least, {self.least:g}", "most")
        if self.zone is not None and self.zone[0] >= self.zone[1]:
            raise PlaceError("the first conditional power lies below the second", "zone")
        if self.effect != "seen" and not float(self.effect) > 0:
            raise PlaceError(f"{self.effect:g}: give 'seen', or a number above 0 in favour of active", "effect")
        return self


class Select(Frozen):
    """Arms that go on after a look: the ``keep`` with the largest Z, of those with a Z of at least ``floor``."""

    at: Annotated[int, Field(ge=1)] = 1
    keep: Annotated[int, Field(ge=1)] = 1
    floor: float | None = None


class Enrich(Frozen):
    """After a look only ``groups`` are recruited, where everyone together looks too weak and they do not.

    full_below : Z of everyone below which recruitment is narrowed. groups_above : and Z of the groups above which.
    """

    groups: tuple[str, ...] = Field(min_length=1)
    at: Annotated[int, Field(ge=1)] = 1
    full_below: float
    groups_above: float = 0.0


class Adaptation(Frozen):
    """Looks and what may follow from them. Tests are one-sided in favour of active, at ``alpha``.

    looks : before the end. fractions : of information at the looks, where not all are given as shares.
    efficacy, futility, binding, efficacy_at, futility_at : as in the method ``group_sequential`` of a plan.
    information : what boundaries go by: ``planned`` fractions, ``counted`` patients who have reached the visit (or
    events) of ``maximum`` (default the patients planned), or ``variance``, the inverse squared standard error, of
    ``maximum``. data : who is analysed at a look, ``reached`` (the visit) or ``all`` who have come in; default
    ``reached``, and all for times to events. decision_weeks : from a look to the end of recruitment that it decides.
    gates : futility on other tests. combination, intersection : see :mod:`equipoise.decision.closed_combination`.
    stages : each from its own ``patients``, or from ``increments`` of one test (default for times to events). stop :
    a trial of several arms stops for ``any`` or for ``all`` of those that are left.
    """

    label: str
    looks: tuple[LookAt, ...] = ()
    fractions: tuple[Share, ...] | None = None
    alpha: Share = 0.025
    efficacy: str | dict[str, Any] = "obrien-fleming"
    futility: str | dict[str, Any] | None = None
    binding: bool = False
    efficacy_at: tuple[bool, ...] | None = None
    futility_at: tuple[bool, ...] | None = None
    information: Literal["planned", "counted", "variance"] = "planned"
    maximum: Annotated[float, Field(gt=0)] | None = None
    data: Literal["reached", "all"] | None = None
    decision_weeks: Annotated[float, Field(ge=0)] = 0.0
    gates: tuple[Gate, ...] = ()
    combination: Literal["inverse-normal"] | None = None
    intersection: Intersection | None = None
    stages: Literal["patients", "increments"] | None = None
    stop: Literal["any", "all"] = "any"
    reestimate: Reestimate | None = None
    select: Select | None = None
    enrich: Enrich | None = None

    @model_validator(mode="after")
    def _possible(self) -> Self:
        n = len(self.looks)
        for name in CHANGES:
            given = getattr(self, name)
            if given is None:
                continue
            if self.combination is None:
                raise PlaceError(
                    "changes the trial by what was seen, and an ordinary test at its end would not keep its level; "
                    "write combination: inverse-normal",
                    name,
                )
            if given.at > n:
                raise PlaceError(f"there is no look {given.at}; there are {n}", name, "at")
        if self.reestimate is not None and self.reestimate.at != n:
            raise PlaceError("the size is set at the last look before the end", "reestimate", "at")
        if self.enrich is not None and self.select is not None:
            raise PlaceError("either groups or arms are selected, not both", "enrich")
        for k, gate in enumerate(self.gates):
            late = [at for at in gate.at if at > n]
            if late:
                raise PlaceError(f"there is no look {late[0]}; there are {n}", "gates", k, "at")
        if self.combination is not None and self.information != "planned":
            raise PlaceError("a combination test has the weights planned, whatever was seen", "information")
        if self.information == "variance" and self.maximum is None:
            raise PlaceError("by variance needs the full information planned (maximum)", "information")
        if self.fractions is not None and len(self.fractions) != n:
            raise PlaceError(f"{len(self.fractions)} for {n} looks; give one a look", "fractions")
        if self.fractions is None and any(look.kind != "share" for look in self.looks):
            raise PlaceError("give the share of information that each look is planned to have", "fractions")
        if list(self.planned) != sorted(set(self.planned)):
            raise PlaceError(
                "the information of the looks must rise", "looks" if self.fractions is None else "fractions"
            )
        try:
            self.design()
        except ValidationError as error:
            where = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
            raise ValueError(where) from None
        return self

    @property
    def planned(self) -> tuple[float, ...]:
        """Information fractions at the looks and the end."""
        return (*(self.fractions or tuple(look.value for look in self.looks)), 1.0)

    @property
    def changes(self) -> bool:
        """Whether it may change the trial, beyond stopping it."""
        return any(getattr(self, name) is not None for name in CHANGES)

    def design(self) -> GroupSequentialDesign:
        """The boundaries as planned."""
        return GroupSequentialSection.model_validate(
            {
                "method": "group_sequential",
                "of": "primary",
                "fractions": self.planned,
                "maximum": 1.0,
                **{
                    k: getattr(self, k)
                    for k in ("alpha", "efficacy", "futility", "binding", "efficacy_at", "futility_at")
                },
            }
        ).design()

    def closed(self, hypotheses: int) -> ClosedCombination:
        """The closed test of so many hypotheses, at these boundaries."""
        made = self.design()
        default: Intersection = "simes" if self.enrich is not None else "dunnett"
        return ClosedCombination(
            InverseNormal.of_design(np.array(self.planned), made.upper), hypotheses, self.intersection or default
        )
