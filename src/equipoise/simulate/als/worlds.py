"""What a drug may do in this disease, as scenarios: on the path of the marker, beside it, against it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from equipoise.errors import ScenarioError
from equipoise.simulate.mechanism import Mechanism
from equipoise.simulate.protocol import Dosing
from equipoise.simulate.scenario import Scenario, load_scenario

MARKER, FUNCTION = "NFL", "ALSFRS"
GENERIC = ("valor", "F")
"""The scenario, and its group, that stand for a trial without a replica that has the marker: the faster-progressing
group."""
STRENGTHS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
"""Shares of the target's production that drugs switch off, each as likely: neurofilament falls by none to about 80
%."""
GAINS = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)
"""Points that drugs add by another path than the marker's, each as likely."""


@dataclass(frozen=True)
class TrialDesign:
    """A trial of a landscape: patients by arm and weeks. replica : the scenario that rebuilds it, with the marker."""

    name: str
    active: int
    control: int
    weeks: float
    replica: str | None = None

    def __post_init__(self) -> None:
        if min(self.active, self.control) < 4 or not 4.0 <= self.weeks <= 260.0:
            raise ScenarioError(
                f"{self.name}: {self.active} and {self.control} patients over {self.weeks:g} weeks",
                hint="four or more patients an arm, 4 to 260 weeks",
            )


@dataclass(frozen=True)
class World:
    """What drugs do. surrogate : whether effects on the marker tell effects on function there.

    on_path : the share of drugs that act on the marker and, through it, on function after ``lag`` weeks. The others, if
    ``engaged``, move the marker and not function. gains : points that a drug adds by another path, drawn for each drug,
    where it is not on the path.
    """

    name: str
    says: str
    surrogate: bool
    on_path: float = 0.0
    lag: float = 0.0
    engaged: bool = True
    gains: tuple[float, ...] = (0.0,)


def worlds(lag: float = 8.0) -> tuple[World, ...]:
    """The five worlds: on the causal path with a lag, target engagement only, prognostic only, a mixture over
    classes of drugs, and a harm off the path.

    >>> [w.name for w in worlds() if w.surrogate]
    ['on the path']
    """
    return (
        World("on the path", f"drugs act through the marker, function follows after {lag:g} weeks", True, 1.0, lag),
        World("engagement only", "drugs move the marker and not function", False),
        World(
            "prognostic only",
            "drugs leave the marker alone and move function by another path",
            False,
            engaged=False,
            gains=GAINS,
        ),
        World("mixture", "half of the drugs act through the marker, the others only move it", False, 0.5, lag),
        World(
            "harm off the path",
            "drugs move the marker and harm function by another path",
            False,
            gains=(-3.0, -2.0, -1.0),
        ),
    )


def scenario_of(design: TrialDesign, world: World, on_path: bool, strength: float, gain: float) -> Scenario:
    """The scenario of one trial under a world, for a drug of a strength: its protocol at the design's size and
    length."""
    base = load_scenario(design.replica or GENERIC[0])
    protocol = base.protocol
    ratio: tuple[int, ...]
    if design.replica is None:
        groups = {GENERIC[1]: design.active + design.control}
        step = math.gcd(design.active, design.control)
        ratio = (design.control // step, design.active // step)
    else:
        groups, ratio = dict(protocol.groups), (protocol.ratio[0], protocol.ratio[1])
    end = design.weeks if design.replica is None else protocol.period_end
    visits = tuple(sorted({*(float(w) for w in range(0, int(end), 4)), 16.0 if end > 16.0 else end, end}))
    arm = protocol.arms[-1]
    doses = tuple(float(w) for w in (0, 2, *range(4, int(end), 4)) if w < end)
    dosing = Dosing(dose=100.0, randomised={arm: doses})
    changed = {
        "groups": groups,
        "ratio": ratio,
        "visits": visits,
        "period_end": end,
        "dosing": dosing,
        "extension": None,
        "follow_up": None,
        "strata": protocol.strata if design.replica else (),
    }
    protocol = type(protocol).model_validate({**dict(protocol), **changed})
    share = strength if world.engaged or on_path else 0.0
    kept = {name: base.groups[name].model_copy(update={"emax": share}) for name in groups}
    mechanism = Mechanism.LAGGED if on_path and world.lag else Mechanism.SLOWING if on_path else Mechanism.SYMPTOMATIC
    start = base.mechanisms[Mechanism.LAGGED]
    effect = type(start.effect)(
        mechanism=mechanism,
        **({"weight": 1.0, **({"lag": world.lag} if world.lag else {})} if on_path else {"gain": gain}),
    )
    hypothesis = type(start)(effect=effect)
    admission = {g: a for g, a in base.admission.items() if g in groups}
    return base.model_copy(
        update={
            "protocol": protocol,
            "groups": kept,
            "admission": admission,
            "mechanisms": {mechanism: hypothesis},
            "default_mechanism": mechanism,
            "adverse_events": {},
            "external": (),
        }
    )
