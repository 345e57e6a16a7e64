"""What the drug truly does in a world: the same virtual patients with it and without, none of whom leaves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from equipoise.design.calendar_trials import CalendarMaker
from equipoise.design.study import Conduct, DesignStudy
from equipoise.design.trials import Asked, CellMaker, pair, scenario_for, simulator_for
from equipoise.design.worlds import Draws
from equipoise.simulate import Scenario
from equipoise.types import FloatArray

UNDISTURBED = 100
"""Pairs of trials, with the drug and without, from which the true effect is taken."""


class Prepared(Protocol):
    """A conduct in a world: what makes its trials, and the conditions of each primary."""

    @property
    def conduct(self) -> Conduct: ...
    @property
    def world(self) -> str: ...
    @property
    def maker(self) -> CellMaker | CalendarMaker: ...
    @property
    def asked(self) -> Mapping[str, tuple[Asked, ...]]: ...


def truth_key(conduct: Conduct, world: str, analysis: str | None, arm: str | None) -> tuple[Any, ...]:
    """What a true effect depends on: not the number of patients, nor what comes after the randomised period."""
    return conduct.weeks, conduct.enrichment, conduct.treatments, world, analysis, arm


def true_effects(
    study: DesignStudy, base: Scenario, prepared: Sequence[Prepared], told: Callable[[str, int, int], None]
) -> dict[tuple[Any, ...], float]:
    """By :func:`truth_key`, what the drug does to the outcome of those on it at the end of the randomised period.

    Nothing but the drug differs between a pair of trials, so that a hundred pairs tell the effect to a few hundredths
    of a point. Only outcomes that are analysed as they are have one. Patients are followed once for all analyses of an
    outcome, and without the drug once for all worlds that differ in the drug alone.
    """
    if not study.undisturbed:
        return {}
    out: dict[tuple[Any, ...], float] = {}
    seen: dict[tuple[Any, ...], FloatArray] = {}
    for done, p in enumerate(prepared):
        told("true effects", done, len(prepared))
        scenario = p.maker.simulator.scenario
        arms = scenario.protocol.arms
        if isinstance(p.maker, CalendarMaker):
            wanted = [(str(p.maker.test.p.analysis), arm) for arm in arms[1:]] if p.maker.test.se else []
        else:
            first = [conditions[0] for conditions in p.asked.values() if conditions[0].se is not None]
            wanted = [(str(c.se.analysis), c.arm or arms[1]) for c in first if c.se is not None]
        for analysis_id, arm in wanted:
            key = truth_key(p.conduct, p.world, analysis_id, arm)
            if key in out:
                continue
            analysis = pair(scenario, arm).plan.analysis(analysis_id)
            variable, log = getattr(analysis, "variable", None), getattr(analysis, "log", False)
            if variable is None or log:
                continue
            draws, read = study.worlds[p.world].draws, (str(variable), str(analysis.set), arms.index(arm))
            with_it, without_it = _with_and_without(study, base, p)
            if draws is not None:
                without_it = with_it  # the disease as drawn, and no effect
            drug = _at_the_end(with_it, study, p.conduct.weeks, read, seen, draws)
            without = _at_the_end(without_it, study, p.conduct.weeks, read, seen, draws, effect=draws is None)
            out[key] = float(np.nanmean(drug - without))
    return out


def _with_and_without(study: DesignStudy, base: Scenario, p: Prepared) -> tuple[Scenario, Scenario]:
    """A world in which nobody leaves, looked at once at the end of the randomised period: with its drug and without."""
    world = study.worlds[p.world]
    quiet = world.model_copy(update={"disease": {**world.disease, **study.undisturbed}})
    drug = scenario_for(base, study, p.conduct, quiet, p.world, only_read=True)
    drug = drug.model_copy(update={"protocol": drug.protocol.model_copy(update={"visits": (0.0, p.conduct.weeks)})})
    hypothesis = next(iter(drug.mechanisms.values()))
    none = type(hypothesis.effect).model_validate({"mechanism": "none"})
    without = drug.model_copy(
        update={
            "mechanisms": {none.mechanism: hypothesis.model_copy(update={"effect": none})},
            "default_mechanism": none.mechanism,
        }
    )
    return drug, without


def _at_the_end(
    scenario: Scenario,
    study: DesignStudy,
    week: float,
    read: tuple[str, str, int],
    seen: dict[tuple[Any, ...], FloatArray],
    draws: Draws | None,
    *,
    effect: bool = True,
) -> FloatArray:
    """(trial, subject) the outcome at a week of those of an analysis set who are in an arm (``read``), else NaN."""
    key = (scenario.digest(), read, None if draws is None else (draws.model_dump_json(), effect))
    if key not in seen:
        variable, who, arm = read
        trials = simulator_for(study, scenario, draws, effect=effect, still=study.undisturbed).block(
            study.seed, 0, UNDISTURBED
        )
        inside = trials.members(who) & (trials.arm == arm)
        seen[key] = np.where(inside, trials.outcomes[variable][:, :, trials.visit_index(week)], np.nan)
    return seen[key]
