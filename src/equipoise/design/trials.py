"""From a design and a world to a scenario, and the numbers that one virtual trial gives to a study."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from pydantic import ValidationError

from equipoise.design.study import Condition, Conduct, DesignStudy, World, filled
from equipoise.errors import ScenarioError
from equipoise.files import Frozen
from equipoise.plan.deciding import deciding
from equipoise.plan.key import Key
from equipoise.plan.scenario_plan import AnalysisPlan
from equipoise.run.study import measured, study_key
from equipoise.simulate import Scenario, Simulator
from equipoise.simulate.protocol import Dosing, Extension, Intake, Protocol
from equipoise.simulate.scenario import describe_problems
from equipoise.types import FloatArray

RESOURCES = ("patient_weeks", "control_weeks", "deaths")
"""What is counted of every virtual trial beside its analyses: weeks under observation, of them without active drug."""


def protocol_for(base: Protocol, study: DesignStudy, conduct: Conduct) -> Protocol:
    """The base protocol with the length, size, groups and extension of a design.

    Doses go on at the last interval of the base; what the base gives from the extension on is given from the new one.

    Raises
    ------
    ScenarioError : the base has no such group, or the protocol is impossible.
    """
    who = study.enrichments[conduct.enrichment].groups or tuple(base.groups)
    unknown = [g for g in who if g not in base.groups]
    if unknown:
        raise ScenarioError(
            f"enrichments.{conduct.enrichment}: no group {unknown[0]!r}", hint=f"groups are {', '.join(base.groups)}"
        )
    ratio = base.ratio if conduct.ratio is None else tuple(int(part) for part in conduct.ratio.split(":"))
    weeks, end = conduct.weeks, conduct.end
    visits = sorted({0.0, *(v for v in study.visits if v < end), weeks, end})
    extension = None
    if conduct.extension > 0.0:
        entry, masked = (base.extension.entry, base.extension.masked) if base.extension else (1.0, True)
        extension = Extension(end=end, entry=entry, masked=masked)
    changed = {
        "groups": _shared(conduct.patients, {g: base.groups[g] for g in who}),
        "ratio": ratio,
        "visits": visits,
        "period_end": weeks,
        "dosing": _dosing(base, weeks, end),
        "extension": extension,
        "follow_up": None,
    }
    try:
        return Protocol.model_validate({**dict(base), **changed})
    except ValidationError as error:
        raise ScenarioError(f"{conduct.patients} patients, {weeks:g} weeks: {describe_problems(error)}") from None


def _shared(patients: int, groups: dict[str, int]) -> dict[str, int]:
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
    given = {
        "analyses": [filled(a, conduct) for a in study.analyses if _asked(study, conduct, str(a.get("id")))],
        "intercurrent_events": [filled(e, conduct) for e in study.intercurrent_events],
    }
    try:
        plan = AnalysisPlan.model_validate(given)
        first = plan.analysis(plan.analyses[0].id)
        return AnalysisPlan.model_validate({**dict(plan), "order": (f"{first.id}.{first.tests[0]}",)})
    except ValidationError as error:
        raise ScenarioError(f"study {study.name}: {describe_problems(error)}") from None


def _asked(study: DesignStudy, conduct: Conduct, analysis: str) -> bool:
    """Whether a condition of this conduct's primaries, or the rule where there is an extension, reads an analysis."""
    primaries = [study.primaries[p] for p in study.factors.primary]
    wanted = [c for p in primaries if conduct.extension > 0.0 or not p.needs_extension for c in p.all]
    wanted += study.rule if conduct.extension > 0.0 else ()
    return any(((c.test or "").partition(".")[0] or c.analysis) == analysis for c in wanted)


class Asked(Frozen):
    """The keys that answer one condition. sign : of an estimate that favours active, 0 where that is not asked."""

    p: Key
    estimate: Key | None
    se: Key | None
    sign: int
    alpha: float


def asked_by(condition: Condition, scenario: Scenario, conduct: Conduct, active: str) -> Asked:
    """Where the answer to a condition stands; which sign favours active, the disease knows."""
    if condition.test is not None:
        found = deciding(scenario.plan, condition.test)
        spread = None
        if found.estimate.quantity == "contrast" and not found.estimate.of_section:
            spread = Key("contrast_se", analysis=found.estimate.analysis, week=found.estimate.week)
        better = scenario.favours(condition.test) or found.sign
        sign = better if condition.favours == "active" else 0
        return Asked(p=found.p, estimate=found.estimate, se=spread, sign=sign, alpha=condition.alpha)
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

    return Asked(p=key("p"), estimate=key("estimate"), se=key("se"), sign=0, alpha=condition.alpha)


@dataclass(frozen=True)
class CellMaker:
    """The numbers of the virtual trials of one conduct in one world: keys of the plan, then :data:`RESOURCES`."""

    simulator: Simulator
    keys: tuple[Key, ...]
    seed: int

    def __call__(self, first: int, rows: int) -> FloatArray:
        """(replicate, number) of replicates ``first`` on."""
        trials = self.simulator.block(self.seed, first, rows)
        values = measured(trials, self.simulator, self.keys)
        crossed = trials.crossover_week
        weeks = trials.last_week
        died = trials.times_to("death")[1]
        control = trials.arm == 0
        off = np.where(control, weeks if crossed is None else np.minimum(weeks, crossed), 0.0)
        counted = np.stack([weeks.sum(axis=1), off.sum(axis=1), died.sum(axis=1)], axis=1)
        return np.concatenate([values, counted.astype(np.float64)], axis=1)

    @property
    def columns(self) -> tuple[str, ...]:
        return (*(k.id for k in self.keys), *RESOURCES)

    @cached_property
    def key(self) -> str:
        """What decides the numbers, as a short hash: the name of their folder."""
        return study_key(self.simulator, self.keys, self.seed, counted=RESOURCES)


def scenario_for(base: Scenario, study: DesignStudy, conduct: Conduct, world: World, name: str) -> Scenario:
    """The scenario of a design in a world.

    Raises
    ------
    ScenarioError : the world names a number that the disease has not, or one out of its range.
    """
    protocol = protocol_for(base.protocol, study, conduct)
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
        g: {**own["groups"].get(g, {}), **world.groups.get(g, {})} for g in {*own["groups"], *world.groups}
    }
    data |= {
        "name": f"{study.name}",
        "protocol": protocol,
        "plan": plan_for(study, conduct),
        "external": (),
        "mechanisms": {world.mechanism: own},
        "default_mechanism": world.mechanism,
        "adverse_events": {},
        "admission": {g: a for g, a in base.admission.items() if g in protocol.groups},
        "fit": {},
    }
    try:
        return Scenario.model_validate(data)
    except ValidationError as error:
        raise ScenarioError(f"worlds.{name}: {describe_problems(error)}") from None
