"""What a drug may do in this disease, as scenarios: on the path of the marker, beside it, against it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

from equipoise.errors import ScenarioError
from equipoise.plan.compiled import AnyForm, CarriedForward, MixedModel, Repeated, Slopes
from equipoise.plan.scenario_plan import AnalysisPlan
from equipoise.simulate.mechanism import Mechanism
from equipoise.simulate.protocol import Dosing
from equipoise.simulate.scenario import Scenario, load_scenario

MARKER, FUNCTION = "NFL", "ALSFRS"
GENERIC = "centaur"
"""The scenario whose patients and visits stand for a trial without a replica of its function."""
DONOR = ("valor", "F")
"""The scenario, and its group, whose neurofilament and path from target to neurofilament a scenario without gets."""
PROGNOSTIC = 0.5
"""Correlation of ln neurofilament with the root of the rate of loss in a scenario that gets the donor's marker; 0.50
to 0.53 with progression was seen in VITALITY-ALS."""
BY_MOUTH, INTRATHECAL = "by mouth", "intrathecal"
ROUTES = (BY_MOUTH, INTRATHECAL)
"""How a drug is given: every day at a steady level from the first weeks, or as the donor's, which builds up."""
ANALYSES = ("slope", "mmrm", "mi_ancova", "carried_forward")
"""Analyses of function that a trial may have planned; of a replica it is that of its own plan."""
STRENGTHS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
"""Shares of the target's production that drugs switch off, each as likely: neurofilament falls by none to about 80
%."""
GAINS = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)
"""Points that drugs add by another path than the marker's, each as likely."""


@dataclass(frozen=True)
class TrialDesign:
    """A trial of a landscape: patients by arm and weeks.

    replica : the scenario that rebuilds it, with its patients, visits and planned analysis. analysis : of function,
    one of ``ANALYSES``, for a trial without. assumed : whether no analysis of function was read, and ``analysis``
    stands in. route : one of ``ROUTES``.
    """

    name: str
    active: int
    control: int
    weeks: float
    replica: str | None = None
    analysis: str = "slope"
    route: str = BY_MOUTH
    assumed: bool = False

    def __post_init__(self) -> None:
        if min(self.active, self.control) < 4 or not 4.0 <= self.weeks <= 260.0:
            raise ScenarioError(
                f"{self.name}: {self.active} and {self.control} patients over {self.weeks:g} weeks",
                hint="four or more patients an arm, 4 to 260 weeks",
            )
        for value, known, what in ((self.analysis, ANALYSES, "analysis"), (self.route, ROUTES, "route")):
            if value not in known:
                raise ScenarioError(f"{self.name}: {what} {value!r}", hint="choose one of " + ", ".join(known))

    def to_sentence(self) -> str:
        """How it is simulated, in words."""
        how = f"its replica, {planned(_shipped(self.replica)).id}" if self.replica else f"generic, {self.analysis}"
        if self.assumed:
            how += " (assumed)"
        return f"{self.name}: {self.active} and {self.control} patients, {self.weeks:g} weeks, drug {self.route}, {how}"


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


@cache
def _shipped(name: str) -> Scenario:
    """A shipped scenario, read once: thousands are made of a few."""
    return load_scenario(name)


def planned(scenario: Scenario) -> AnyForm:
    """The analysis of function, of everyone, that a scenario's plan prespecified first.

    Raises
    ------
    ScenarioError : it has none that kernels carry out.
    """
    for form in scenario.plan.compiled:
        if (
            isinstance(form, Repeated | CarriedForward | MixedModel | Slopes)
            and form.variable == FUNCTION
            and form.set == "ITT"
            and form.prespecified
            and form.week <= scenario.protocol.period_end
            and form.tests != ("joint_rank",)
        ):
            return form
    raise ScenarioError(f"scenario {scenario.name!r} plans no analysis of function of everyone", hint="choose another")


def _form(analysis: str, week: float) -> AnyForm:
    """The analysis of function of a trial without a replica."""
    about: dict[str, Any] = {"id": "function", "set": "ITT", "week": week, "variable": FUNCTION}
    if analysis == "mmrm":
        return MixedModel(**about, covariates=("BASE",), structure="ar1h")
    if analysis == "mi_ancova":
        return Repeated(**about, covariates=("BASE",), impute_with=("BASE",))
    if analysis == "carried_forward":
        return CarriedForward(**about, covariates=("BASE",))
    return Slopes(**about)


def scenario_of(design: TrialDesign, world: World, on_path: bool, strength: float, gain: float) -> Scenario:
    """The scenario of one trial under a world, for a drug of a strength: its protocol at the design's size and
    length, its plan reduced to the analysis of function."""
    base = _shipped(design.replica or GENERIC)
    protocol = base.protocol
    ratio: tuple[int, ...]
    if design.replica is None:
        only = next(iter(protocol.groups))
        groups = {only: design.active + design.control}
        step = math.gcd(design.active, design.control)
        ratio, end = (design.control // step, design.active // step), design.weeks
        visits = tuple(sorted({*(float(w) for w in range(0, int(end), 4 if end <= 52.0 else 8)), min(16.0, end), end}))
    else:
        groups, ratio, end = dict(protocol.groups), (protocol.ratio[0], protocol.ratio[1]), protocol.period_end
        visits = tuple(w for w in protocol.visits if w <= end)
    arm = protocol.arms[-1]
    share = strength if world.engaged or on_path else 0.0
    donor = _shipped(DONOR[0])
    grown = MARKER not in base.outcomes
    kept = {name: _group(base, name, donor if grown else None, share) for name in groups}
    disease = _disease(base, donor, design.route) if grown else base.disease
    changed = {
        "groups": groups,
        "ratio": ratio,
        "visits": visits,
        "period_end": end,
        "dosing": _dosing(design.route, arm, end, disease, donor),
        "extension": None,
        "follow_up": None,
        "strata": protocol.strata if design.replica else (),
    }
    protocol = type(protocol).model_validate({**dict(protocol), **changed})
    mechanism = Mechanism.LAGGED if on_path and world.lag else Mechanism.SLOWING if on_path else Mechanism.SYMPTOMATIC
    start = next(iter(base.mechanisms.values()))
    effect = type(start.effect)(
        mechanism=mechanism,
        **({"weight": 1.0, **({"lag": world.lag} if world.lag else {})} if on_path else {"gain": gain}),
    )
    form = planned(base) if design.replica else _form(design.analysis, end)
    plan = (
        base.plan.only(form.id)
        if design.replica
        else AnalysisPlan.model_validate({"analyses": [form], "order": [f"{form.id}.{form.tests[0]}"]})
    )
    return base.model_copy(
        update={
            "protocol": protocol,
            "outcomes": {FUNCTION: base.outcomes[FUNCTION], MARKER: donor.outcomes[MARKER]},
            "groups": kept,
            "disease": disease,
            "admission": {g: a for g, a in base.admission.items() if g in groups},
            "mechanisms": {mechanism: type(start)(effect=effect)},
            "default_mechanism": mechanism,
            "adverse_events": {},
            "external": (),
            "plan": plan,
        }
    )


# not its correlation with time since onset: who is admitted by that would then decline otherwise than was fitted
_OF_MARKER = ("ln_nfl_mean", "ln_nfl_sd", "nfl_drift", "nfl_wander", "injury_delay", "injury_exponent")
_OF_TARGET = (
    *("volume", "volume_sd", "elimination", "elimination_sd", "ec50", "kout"),
    *("injury_exponent_sd", "nfl_loss", "nfl_noise"),
)


def _group(base: Scenario, name: str, donor: Scenario | None, share: float) -> Any:
    """A group whose drug switches off ``share`` of the target; with the donor's marker where one is given, which then
    tells part of the rate of loss that was random."""
    own = base.groups[name]
    if donor is None:
        return own.model_copy(update={"emax": share})
    given = donor.groups[DONOR[1]]
    sd = float(own.root_rate_sd or 0.0)
    parts = {"root_rate_nfl": PROGNOSTIC * sd, "root_rate_sd": math.sqrt(1.0 - PROGNOSTIC**2) * sd, "emax": share}
    return own.model_copy(update={**{k: getattr(given, k) for k in _OF_MARKER}, **parts})


def _disease(base: Scenario, donor: Scenario, route: str) -> Any:
    """The disease with the donor's path from target to marker; by mouth the drug comes and goes at the pace of the
    scenario's own."""
    given = {k: getattr(donor.disease, k) for k in _OF_TARGET}
    own = {"elimination": base.disease.ke0} if route == BY_MOUTH else {"ke0": donor.disease.ke0}
    return base.disease.model_copy(update={**given, **own})


def _dosing(route: str, arm: str, end: float, disease: Any, donor: Scenario) -> Dosing:
    """The donor's doses, or one a day with the same level in the long run."""
    dosing = donor.protocol.dosing
    dose = dosing.of(donor.protocol.arms[-1]) if isinstance(dosing, Dosing) else 100.0
    if route == INTRATHECAL:
        return Dosing(dose=dose, randomised={arm: tuple(float(w) for w in (0, 2, *range(4, int(end), 4)) if w < end)})
    daily = dose / (4.0 * donor.disease.elimination) * disease.elimination / 7.0
    return Dosing(dose=daily, randomised={arm: tuple(d / 7.0 for d in range(round(end * 7.0)))})
