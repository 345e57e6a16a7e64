"""Designs with looks: the maker of their trials, and what the looks of many trials come to."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from equipoise.design.adaptation import Adaptation, Gate
from equipoise.design.calendar_trials import EFFICACY, FUTILITY, GATE, CalendarMaker, Reading, Window
from equipoise.design.rules import Condition
from equipoise.design.study import FIXED, Design, DesignStudy
from equipoise.design.trials import asked_by, pair, scenario_for, simulator_for
from equipoise.design.worlds import World
from equipoise.errors import ScenarioError
from equipoise.plan.key import Key
from equipoise.simulate import Scenario
from equipoise.simulate.scenario import DIFFERENCES
from equipoise.types import WEEKS_PER_MONTH, FloatArray

MOST = 20_000
"""Virtual patients of a trial, at most."""

SPARE = 1.1
"""How many times as many patients are simulated as a trial may enrol: blocks and groups do not come out even."""


@dataclass(frozen=True)
class LookSeen:
    """One look, or the end (the last): of all trials, the shares that stopped there, and means of those that held it.

    efficacy, futility, gate : shares that stopped there for each; held : share that came so far. z, information (share
    of full), month, enrolled : means. mc_error : Monte Carlo error of the share that stopped there.
    """

    efficacy: float
    futility: float
    gate: float
    held: float
    mc_error: float
    z: float
    information: float
    month: float
    enrolled: float


@dataclass(frozen=True)
class Seen:
    """The looks of a design in a world.

    regardless : share of trials that reject if they go on past futility and gates (the error that a non-binding rule
    leaves). patients, patients_sd, months_sd : over trials. arms : of each hypothesis its name, the share rejected and
    the share that was not dropped. bias_stopped, bias_went_on : of the estimate, in trials that stopped early and in
    others.
    """

    looks: tuple[LookSeen, ...]
    regardless: float
    regardless_error: float
    patients: float
    patients_sd: float
    months_sd: float
    arms: tuple[tuple[str, float, float], ...]
    bias_stopped: float | None
    bias_went_on: float | None

    def row(self) -> dict[str, Any]:
        """As further columns of a table."""
        out: dict[str, Any] = {
            "expected_patients": self.patients,
            "regardless_of_futility": self.regardless,
            "bias_stopped": self.bias_stopped,
            "bias_went_on": self.bias_went_on,
        }
        for k, look in enumerate(self.looks, start=1):
            out |= {f"look{k}_{name}": value for name, value in asdict(look).items()}
        if len(self.arms) > 1:
            for name, rejected, kept in self.arms:
                out |= {f"{name}: success": rejected, f"{name}: kept": kept}
        return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in out.items()}


def calendar_maker(study: DesignStudy, base: Scenario, design: Design, world: World, name: str) -> CalendarMaker:
    """What makes the trials of a design with looks, or with arms that come and go, in a world.

    Raises
    ------
    ScenarioError : the design is impossible, or not all that it may do keeps its level.
    """
    place = f"adaptations.{design.adaptation}"
    adaptation = study.adaptations.get(design.adaptation) or Adaptation(label="no looks")
    arms = study.treatments.get(design.treatments)
    names = base.protocol.arms if arms is None else tuple(arms.arms)
    ratio = _ratio(study, base, design, len(names))
    several = len(names) > 2
    if several and adaptation.looks and adaptation.combination is None and not (arms is not None and arms.separate):
        raise ScenarioError(
            f"{place}: looks at {len(names) - 1} arms that share a control need a closed test through the stages",
            hint="write combination: inverse-normal, or separate: true (treatments) to test each at the full level",
        )
    if adaptation.select is not None and not several:
        raise ScenarioError(f"{place}.select: there is one active arm only", hint="name treatments with several")
    narrowed: tuple[int, ...] = ()
    groups = tuple(study.enrichments[design.enrichment].shares or study.enrichments[design.enrichment].groups or ())
    groups = groups or tuple(base.protocol.groups)
    if adaptation.enrich is not None:
        for group in adaptation.enrich.groups:
            if group not in groups:
                raise ScenarioError(
                    f"{place}.enrich.groups: no group {group!r} is recruited", hint=f"groups are {', '.join(groups)}"
                )
        narrowed = tuple(groups.index(g) for g in adaptation.enrich.groups)
        if len(narrowed) == len(groups):
            raise ScenarioError(f"{place}.enrich.groups: names every group", hint="leave some out")
    needed = _needed(study, base, design, adaptation, ratio, groups)
    scenario = scenario_for(base, study, design.conduct, world, name, needed)
    two = pair(scenario, scenario.protocol.arms[1])
    condition = study.primaries[design.primary].conditions[0]
    if len(study.primaries[design.primary].conditions) > 1 or condition.test is None:
        raise ScenarioError(
            f"primaries.{design.primary}.all: a design with looks, or with arms that come and go, has one condition, "
            "a test",
            hint="write all: [{test: ANALYSIS.TEST}]",
        )
    test = _reading(condition.test, two, design)
    if test.event is not None and adaptation.information == "counted" and adaptation.maximum is None:
        raise ScenarioError(
            f"{place}.maximum: events are counted, and nothing says of how many", hint="write maximum: 200"
        )
    windows: tuple[Window, ...] = ()
    if arms is not None and arms.by_calendar:
        windows = tuple(
            Window(
                a.enters * WEEKS_PER_MONTH,
                math.inf if a.leaves is None else a.leaves * WEEKS_PER_MONTH,
                a.patients or 0,
            )
            for a in arms.arms.values()
        )
    level = adaptation
    if design.adaptation == FIXED:
        level = adaptation.model_copy(update={"alpha": (condition.alpha or 0.05) / 2.0})
    return CalendarMaker(
        simulator=simulator_for(study, scenario, world.draws),
        seed=study.seed,
        adaptation=level,
        accrual=study.accruing(design, base.protocol.groups),
        patients=design.patients,
        end=design.end,
        test=test,
        gates=tuple(_gate(gate, two, design, f"{place}.gates[{k}]") for k, gate in enumerate(adaptation.gates, 1)),
        windows=windows,
        narrowed=narrowed,
        concurrent=arms is None or arms.concurrent,
        separate=arms is not None and arms.separate,
    )


def _reading(test: str, two: Scenario, design: Design) -> Reading:
    asked = asked_by(Condition(test=test), two, design, two.protocol.arms[1])
    assert asked.estimate is not None  # a test has one
    return Reading.of(two, asked.p, asked.estimate, _spread(asked.estimate, asked.se), asked.sign)


def _gate(gate: Gate, two: Scenario, design: Design, place: str) -> Reading:
    made = _reading(gate.test, two, design)
    if gate.better is not None:
        return replace(made, sign=1 if gate.better == "higher" else -1)
    if gate.test.partition(".")[2] in DIFFERENCES and not two.favours(gate.test):
        raise ScenarioError(
            f"{place}.better: nothing says which way {gate.test} moves when the drug works",
            hint="write better: lower, or better: higher",
        )
    return made


def _spread(estimate: Key, se: Key | None) -> Key | None:
    if se is not None or estimate.quantity != "slope_difference":
        return se
    return Key("slope_difference_se", analysis=estimate.analysis)


def _ratio(study: DesignStudy, base: Scenario, design: Design, arms: int) -> tuple[int, ...]:
    own = study.treatments.get(design.treatments)
    given = design.ratio or (None if own is None else own.ratio)
    if given is not None:
        return tuple(int(part) for part in given.split(":"))
    return base.protocol.ratio if own is None else (1,) * arms


def _needed(
    study: DesignStudy, base: Scenario, design: Design, adaptation: Adaptation, ratio: tuple[int, ...], groups: Any
) -> int:
    """Virtual patients that a trial may need: what is enrolled, and those allocated to arms that are closed."""
    most = design.patients * (adaptation.reestimate.most if adaptation.reestimate is not None else 1.0)
    arms = study.treatments.get(design.treatments)
    if adaptation.select is not None or adaptation.gates or (arms is not None and arms.by_calendar):
        most *= sum(ratio) / (ratio[0] + min(ratio[1:]))
    if adaptation.enrich is not None:
        sizes = study.enrichments[design.enrichment].shares or base.protocol.groups
        total = sum(sizes[g] for g in groups)
        most *= total / sum(sizes[g] for g in adaptation.enrich.groups)
    changes = most > design.patients
    needed = math.ceil(most * SPARE) + 4 * sum(ratio) if changes else design.patients
    if needed > MOST:
        raise ScenarioError(
            f"{design.label}: may need {needed} virtual patients a trial, of {MOST} at most",
            hint="lower 'most' of reestimate, or the patients of the design",
        )
    return needed


def seen_of(maker: CalendarMaker, values: dict[str, FloatArray], truth: FloatArray | None) -> Seen:
    """The looks of all trials, from the table of their numbers; truth (replicate,) of the effect estimated."""
    stage, reason = values["stage"], values["reason"]
    n = len(stage)
    looks = []
    for k in range(1, len(maker.adaptation.looks) + 2):
        held = (stage >= k) & ~np.isnan(values[f"month@{k}"])
        here = stage == k
        shares = [float((here & (reason == r)).mean()) for r in (EFFICACY, FUTILITY, GATE)]
        stopped = float(here.mean())
        means = [_mean(values[f"{what}@{k}"][held]) for what in ("z", "information", "month", "enrolled")]
        looks.append(
            LookSeen(
                efficacy=shares[0],
                futility=shares[1],
                gate=shares[2],
                held=float(held.mean()),
                mc_error=_error(stopped, n),
                z=means[0],
                information=means[1],
                month=means[2],
                enrolled=means[3],
            )
        )
    arms = maker.simulator.scenario.protocol.arms
    named = []
    for h, (arm, narrow) in enumerate(maker.hypotheses, start=1):
        rejected, kept = values[f"rejected_at@{h}"] > 0, values[f"kept@{h}"] > 0.5
        named.append((arms[arm] + (" (enriched)" if narrow else ""), float(rejected.mean()), float(kept.mean())))
    early = stage <= len(maker.adaptation.looks)
    off = None if truth is None else values["estimate"] - truth
    regardless = float((values["regardless"] > 0.5).mean())
    return Seen(
        looks=tuple(looks),
        regardless=regardless,
        regardless_error=_error(regardless, n),
        patients=float(values["patients"].mean()),
        patients_sd=float(values["patients"].std(ddof=1)),
        months_sd=float(values["months"].std(ddof=1)),
        arms=tuple(named),
        bias_stopped=None if off is None or not early.any() else _mean(off[early]),
        bias_went_on=None if off is None or early.all() else _mean(off[~early]),
    )


def _mean(values: FloatArray) -> float:
    seen = values[np.isfinite(values)]
    return float(seen.mean()) if len(seen) else math.nan


def _error(share: float, n: int) -> float:
    return math.sqrt(max(share * (1.0 - share), 0.25 / n) / n)
