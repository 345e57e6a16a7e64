"""From a design and a world to a scenario, and the numbers that one virtual trial gives to a study."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from pydantic import ValidationError

from equipoise.design.minimisation import MinimisedSimulator
from equipoise.design.rules import Condition
from equipoise.design.study import Conduct, DesignStudy, filled
from equipoise.design.worlds import DrawnSimulator, Draws, World
from equipoise.errors import ScenarioError
from equipoise.files import Frozen
from equipoise.plan.deciding import deciding
from equipoise.plan.key import Key
from equipoise.plan.scenario_plan import AnalysisPlan
from equipoise.run.study import measured, study_key
from equipoise.simulate import Scenario, Simulator
from equipoise.simulate.protocol import Dosing, Extension, Intake, Protocol
from equipoise.simulate.scenario import describe_problems
from equipoise.trial.seen import compared
from equipoise.types import FloatArray

RESOURCES = ("patient_weeks", "control_weeks", "deaths")
"""What is counted of every virtual trial beside its analyses: weeks under observation, of them without active drug."""


def protocol_for(base: Protocol, study: DesignStudy, conduct: Conduct, patients: int | None = None) -> Protocol:
    """The base protocol with the length, size, groups, arms and extension of a design.

    Doses go on at the last interval of the base; what the base gives from the extension on is given from the new one.
    patients : virtual ones, where the trial may need more than are planned.

    Raises
    ------
    ScenarioError : the base has no such group, or the protocol is impossible.
    """
    own = study.enrichments[conduct.enrichment]
    who = tuple(own.shares or own.groups or base.groups)
    unknown = [g for g in who if g not in base.groups]
    if unknown:
        raise ScenarioError(
            f"enrichments.{conduct.enrichment}: no group {unknown[0]!r}", hint=f"groups are {', '.join(base.groups)}"
        )
    arms = study.treatments.get(conduct.treatments)
    names = base.arms if arms is None else tuple(arms.arms)
    ratio = base.ratio if arms is None else (1,) * len(names)
    given = conduct.ratio or (None if arms is None else arms.ratio)
    if given is not None:
        ratio = tuple(int(part) for part in given.split(":"))
        if len(ratio) != len(names):
            raise ScenarioError(
                f"factors.ratio: {given} for {len(names)} arms, {', '.join(names)}", hint="give one number an arm"
            )
    weeks, end = conduct.weeks, conduct.end
    visits = sorted({0.0, *(v for v in study.visits if v < end), weeks, end})
    extension = None
    if conduct.extension > 0.0:
        entry, masked = (base.extension.entry, base.extension.masked) if base.extension else (1.0, True)
        extension = Extension(end=end, entry=entry, masked=masked)
    parts: dict[str, float] = {g: (own.shares or base.groups)[g] for g in who}
    dosing = _dosing(base, weeks, end)
    changed = {
        "groups": _shared(patients or conduct.patients, parts),
        "arms": names,
        "ratio": ratio,
        "visits": visits,
        "period_end": weeks,
        "dosing": dosing if arms is None else arms.dosing(base, dosing, conduct.treatments),
        "extension": extension,
        "follow_up": None,
    }
    try:
        return Protocol.model_validate({**dict(base), **changed})
    except ValidationError as error:
        raise ScenarioError(f"{conduct.patients} patients, {weeks:g} weeks: {describe_problems(error)}") from None


def _shared(patients: int, groups: dict[str, float]) -> dict[str, int]:
    """Patients shared out among groups in proportion, by largest remainders."""
    total = sum(groups.values())
    exact = {g: patients * n / total for g, n in groups.items()}
    out = {g: max(1, math.floor(x)) for g, x in exact.items()}
    for g in sorted(exact, key=lambda g: exact[g] - math.floor(exact[g]), reverse=True)[: patients - sum(out.values())]:
        out[g] += 1
    return out


def _dosing(base: Protocol, weeks: float, end: float) -> Dosing | Intake:
    given = base.dosing
    if isinstance(given, Intake):
        active = given.extension or base.arms
        return given.model_copy(update={"extension": tuple(active) if end > weeks else ()})
    randomised = {arm: _going_on(doses, 0.0, 0.0, weeks) for arm, doses in given.randomised.items()}
    extension = {}
    if end > weeks:
        for arm in base.arms:
            shifted = tuple(w - base.period_end + weeks for w in given.extension.get(arm, ()))
            if not shifted and arm in randomised:
                shifted = (weeks,)
            if not shifted:  # the base never switches control: it begins as active did
                shifted = tuple(w + weeks for w in next(iter(given.randomised.values()), ()))
            extension[arm] = _going_on(shifted, weeks, weeks, end)
    return Dosing(dose=given.dose, randomised=randomised, extension=extension)


def _going_on(doses: Sequence[float], first: float, low: float, high: float) -> tuple[float, ...]:
    """Doses from ``low`` to before ``high``, at the last interval where they would end too soon."""
    if not doses:
        return ()
    gap = doses[-1] - doses[-2] if len(doses) > 1 else 4.0
    out = [w for w in doses if low <= w < high]
    at = doses[-1] + gap
    while at < high:
        out.append(at)
        at += gap
    return tuple(out)


def plan_for(study: DesignStudy, conduct: Conduct) -> AnalysisPlan:
    """The analyses of a design.

    Raises
    ------
    ScenarioError : an analysis is malformed, or does not do what the intercurrent events say.
    """
    analyses = [filled(a, conduct) for a in study.analyses if _asked(study, conduct, str(a.get("id")))]
    try:
        plan = _first_test(AnalysisPlan.model_validate({"analyses": analyses}))
        events = study.intercurrent_events
        if events:
            offered = plan.offered()
            events = tuple(e for e in events if e.analysis in offered)
        return AnalysisPlan.model_validate({**dict(plan), "intercurrent_events": events}) if events else plan
    except ValidationError as error:
        raise ScenarioError(f"study {study.name}: {describe_problems(error)}") from None


def _first_test(plan: AnalysisPlan) -> AnalysisPlan:
    """The plan with the first test of its first analysis as its order: a study has rules of its own."""
    first = plan.analysis(plan.analyses[0].id)
    return AnalysisPlan.model_validate({**dict(plan), "order": (f"{first.id}.{first.tests[0]}",)})


def _asked(study: DesignStudy, conduct: Conduct, analysis: str) -> bool:
    """Whether a condition of this conduct's primaries, or the rule where there is an extension, reads an analysis."""
    primaries = [study.primaries[p] for p in study.factors.primary]
    wanted = [c for p in primaries if conduct.extension > 0.0 or not p.needs_extension for c in p.conditions]
    wanted += study.rule if conduct.extension > 0.0 else ()
    adaptation = study.adaptations.get(conduct.adaptation)
    if adaptation is not None and any(g.test.partition(".")[0] == analysis for g in adaptation.gates):
        return True
    return any(((c.test or "").partition(".")[0] or c.analysis) == analysis for c in wanted)


class Asked(Frozen):
    """The keys that answer one condition.

    sign : of an estimate that favours active, 0 where that is not asked; better : the same where it is known. arm :
    compared with control, where there are several.
    """

    p: Key
    estimate: Key | None
    se: Key | None
    sign: int
    condition: Condition
    better: int
    arm: str | None = None

    def column(self, key: Key) -> str:
        """The name of a number in the table of trials."""
        return column(key, self.arm)


def asked_by(
    condition: Condition, scenario: Scenario, conduct: Conduct, active: str, several: str | None = None
) -> Asked:
    """Where the answer to a condition stands; which sign favours active, the disease knows.

    scenario : of two arms. several : the arm compared with control, where the trial has more.
    """
    if condition.test is not None:
        found = deciding(scenario.plan, condition.test)
        spread = None
        if found.estimate.quantity == "contrast" and not found.estimate.of_section:
            spread = Key("contrast_se", analysis=found.estimate.analysis, week=found.estimate.week)
        better = scenario.favours(condition.test) or found.sign
        sign = better if condition.favours == "active" else 0
        return Asked(
            p=found.p, estimate=found.estimate, se=spread, sign=sign, condition=condition, better=better, arm=several
        )
    visit = None if condition.visit is None else str(filled(condition.visit, conduct))

    def key(statistic: str) -> Key:
        return Key(
            str(condition.quantity),
            analysis=condition.analysis,
            statistic=statistic,
            arm=active,
            section=condition.section,
            visit=visit,
        )

    return Asked(p=key("p"), estimate=key("estimate"), se=key("se"), sign=0, condition=condition, better=1, arm=several)


@dataclass(frozen=True)
class CellMaker:
    """The numbers of the virtual trials of one conduct in one world: keys of the plan, then :data:`RESOURCES`.

    pairs : for a trial of more than two arms, each arm compared with control (its index), the scenario of those two
    arms, and the keys that are read there.
    """

    simulator: Simulator
    keys: tuple[Key, ...]
    seed: int
    pairs: tuple[tuple[int, Scenario, tuple[Key, ...]], ...] = ()

    def __call__(self, first: int, rows: int) -> FloatArray:
        """(replicate, number) of replicates ``first`` on."""
        trials = self.simulator.block(self.seed, first, rows)
        if self.pairs:
            values = np.concatenate(
                [measured(compared(trials, arm), scenario, keys) for arm, scenario, keys in self.pairs], axis=1
            )
        else:
            values = measured(trials, self.simulator.scenario, self.keys)
        crossed = trials.crossover_week
        weeks = trials.last_week
        died = trials.times_to("death")[1]
        control = trials.arm == 0
        off = np.where(control, weeks if crossed is None else np.minimum(weeks, crossed), 0.0)
        counted = np.stack([weeks.sum(axis=1), off.sum(axis=1), died.sum(axis=1)], axis=1)
        return np.concatenate([values, counted.astype(np.float64)], axis=1)

    @property
    def columns(self) -> tuple[str, ...]:
        if not self.pairs:
            return (*(k.id for k in self.keys), *RESOURCES)
        arms = self.simulator.scenario.protocol.arms
        return (*(column(k, arms[a]) for a, _, keys in self.pairs for k in keys), *RESOURCES)

    @cached_property
    def key(self) -> str:
        """What decides the numbers, as a short hash: the name of their folder."""
        counted = RESOURCES if not self.pairs else self.columns
        return study_key(self.simulator, self.keys, self.seed, counted=counted)


def column(key: Key, arm: str | None) -> str:
    """The name of a number in the table of trials; ``arm`` where several are compared with control."""
    return key.id if arm is None else f"{key.id}@{arm}"


def pair(scenario: Scenario, arm: str) -> Scenario:
    """A scenario with the control and one other arm: the one in which a comparison of these two is read."""
    protocol = scenario.protocol
    both = (protocol.arms[0], arm)
    if both == protocol.arms:
        return scenario
    dosing = protocol.dosing
    if isinstance(dosing, Intake):
        doses = None if dosing.doses is None else {a: d for a, d in dosing.doses.items() if a in both}
        taken: Dosing | Intake = dosing.model_copy(
            update={
                "randomised": tuple(a for a in dosing.randomised if a in both),
                "extension": tuple(a for a in dosing.extension if a in both),
                "periods": {a: p for a, p in dosing.periods.items() if a in both},
                "doses": doses,
            }
        )
    else:
        periods = {k: {a: w for a, w in getattr(dosing, k).items() if a in both} for k in ("randomised", "extension")}
        taken = dosing.model_copy(update=periods)
    ratio = tuple(protocol.ratio[protocol.arms.index(a)] for a in both)
    own = protocol.model_copy(update={"arms": both, "ratio": ratio, "dosing": taken})
    plan = _first_test(AnalysisPlan.model_validate({**dict(scenario.plan), "treatment": None, "order": ()}))
    return Scenario.model_validate({**dict(scenario), "protocol": own, "plan": plan, "adverse_events": {}})


def scenario_for(
    base: Scenario,
    study: DesignStudy,
    conduct: Conduct,
    world: World,
    name: str,
    patients: int | None = None,
    *,
    only_read: bool = False,
) -> Scenario:
    """The scenario of a design in a world; ``patients`` as in :func:`protocol_for`.

    With ``only_read`` it measures no outcome that the study does not name.

    Raises
    ------
    ScenarioError : the world names a number that the disease has not, or one out of its range.
    """
    protocol = protocol_for(base.protocol, study, conduct, patients)
    data: dict[str, Any] = dict(base)
    mechanisms = {m.value: dict(h) for m, h in base.mechanisms.items()}
    if world.mechanism not in mechanisms:
        raise ScenarioError(
            f"worlds.{name}: {base.name} has no mechanism {world.mechanism!r}",
            hint=f"choose one of {', '.join(mechanisms)}",
        )
    own = mechanisms[world.mechanism]
    own["effect"] = {**own["effect"].model_dump(exclude_none=True), **world.effect}
    own["disease"] = {**own["disease"], **world.disease}
    own["groups"] = {
        g: {**own["groups"].get(g, {}), **world.groups.get(g, {})}
        for g in dict.fromkeys((*own["groups"], *world.groups))
    }
    data |= {
        "name": f"{study.name}",
        "protocol": protocol,
        "plan": plan_for(study, conduct),
        "external": (),
        "outcomes": _read_outcomes(base, study) if only_read else base.outcomes,
        "mechanisms": {world.mechanism: own},
        "default_mechanism": world.mechanism,
        "adverse_events": {},
        "admission": _admission(base, study, conduct, protocol),
        "fit": {},
    }
    try:
        return Scenario.model_validate(data)
    except ValidationError as error:
        raise ScenarioError(f"worlds.{name}: {describe_problems(error)}") from None


def _admission(base: Scenario, study: DesignStudy, conduct: Conduct, protocol: Protocol) -> dict[str, Any]:
    """Who is admitted to each group: as in the scenario, and what enrichment changes of it."""
    own = study.enrichments[conduct.enrichment].admission
    unknown = [g for g in own if g not in protocol.groups]
    if unknown:
        raise ScenarioError(
            f"enrichments.{conduct.enrichment}.admission: no group {unknown[0]!r}",
            hint=f"groups are {', '.join(protocol.groups)}",
        )
    out: dict[str, Any] = {}
    for group in protocol.groups:
        given = base.admission.get(group)
        if group in own:
            out[group] = {**({} if given is None else given.model_dump(exclude_unset=True)), **own[group]}
        elif given is not None:
            out[group] = given
    return out


def simulator_for(
    study: DesignStudy,
    scenario: Scenario,
    draws: Draws | None = None,
    *,
    effect: bool = True,
    still: Mapping[str, Any] | None = None,
) -> Simulator:
    """The engine of a scenario of the study, with the options that the study gives it.

    draws : parameters that differ from replicate to replicate; effect False: without the drug's, in those;
    still : numbers of the disease that no draw moves.

    Raises
    ------
    ScenarioError : what is drawn are no parameters of the scenario.
    """
    plain = Simulator.of(scenario, imbalance=study.imbalance, **study.engine)
    if study.allocation is not None:
        if draws is not None:
            raise ScenarioError(
                "allocation: minimisation of patients whose parameters are drawn is not offered",
                hint="leave allocation out, or the draws of the worlds",
            )
        return MinimisedSimulator.prepared(
            scenario, plain.mechanism, imbalance=study.imbalance, allocation=study.allocation, options=study.engine
        )
    if draws is None:
        return plain
    made = DrawnSimulator(scenario, plain.mechanism, study.imbalance, draws, effect, study.engine, still or {})
    made.settings()  # what is wrong with all draws is told before anything is simulated
    return made


def _read_outcomes(base: Scenario, study: DesignStudy) -> dict[str, str]:
    """The outcomes whose names stand anywhere in the study, alone or within that of what is made of them (LNNFLBL of
    NFL): nothing else is simulated. The numbers of an outcome do not depend on which others there are.
    """
    text = study.model_dump_json()
    return {name: channel for name, channel in base.outcomes.items() if name in text}
