"""Scenario to virtual trials, a block at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from equipoise.errors import ScenarioError
from equipoise.simulate.als import course
from equipoise.simulate.als.model import Admission, disease_arrays, population_arrays
from equipoise.simulate.als.names import (
    COVARIATES,
    FALLING,
    MAIN_OUTCOME,
    OUTCOMES,
    STATES,
    derived_baseline,
    event_times,
    schedule_of,
)
from equipoise.simulate.mechanism import Mechanism
from equipoise.simulate.scenario import Scenario
from equipoise.simulate.simulator import Simulator
from equipoise.trial import Trials
from equipoise.types import FloatArray

STEPS_PER_WEEK = 7


@dataclass(frozen=True, eq=False)
class AlsSimulator(Simulator):
    """A scenario of ALS under one mechanism; with ``imbalance`` the arms differ in baseline ln NfL as they did."""

    population: course.PopulationArrays
    disease: course.DiseaseArrays
    effect: course.EffectArrays
    schedule: course.ScheduleArrays

    @classmethod
    def prepared(
        cls,
        scenario: Scenario,
        mechanism: Mechanism,
        *,
        imbalance: bool,
        steps_per_week: int = STEPS_PER_WEEK,
        **options: Any,
    ) -> Self:
        """Population, disease, effect and schedule as the kernel takes them."""
        if options:
            raise ScenarioError(f"the disease 'als' has no option {next(iter(options))!r}", hint="steps_per_week")
        groups, disease, effect = scenario.under(mechanism)
        protocol = scenario.protocol
        run_in = protocol.run_in
        return cls(
            scenario=scenario,
            mechanism=mechanism,
            imbalance=imbalance,
            population=population_arrays(
                groups,
                protocol.groups,
                {name: scenario.admission.get(name, Admission()) for name in protocol.groups},
                protocol.blocks(as_it_happened=imbalance),
                imbalance=imbalance,
                run_in=(run_in.weeks, run_in.least_fall, run_in.most_fall) if run_in else (0.0, -math.inf, math.inf),
                run_in_pace=disease.run_in_pace,
            ),
            disease=disease_arrays(disease, [groups[name] for name in protocol.groups]),
            effect=effect.arrays(),
            schedule=schedule_of(protocol, steps_per_week, scenario.outcomes.values(), as_it_happened=imbalance),
        )

    def settings(self) -> tuple[str, ...]:
        """The steps that a week is divided into."""
        return (str(self.schedule.steps_per_week),)

    def block(self, seed: int, first: int, n_trials: int) -> Trials:
        """Replicates ``first`` to ``first + n_trials - 1`` of the scenario.

        What replicate r holds depends on ``(seed, r)`` alone, not on the block it is made in.
        """
        protocol = self.scenario.protocol
        n, visits = protocol.n, len(protocol.visits)
        out = np.empty((n_trials, course.N_OUTCOMES, n, visits))
        cov = np.empty((n_trials, course.N_COVARIATES, n))
        arm = np.empty((n_trials, n), dtype=np.int8)
        group = np.empty((n_trials, n), dtype=np.int8)
        times = np.empty((n_trials, course.N_TIMES, n))
        met = course.simulate_block(
            seed,
            first,
            n_trials,
            self.population,
            self.disease,
            self.effect,
            self.schedule,
            out,
            cov,
            arm,
            group,
            times,
        )
        if not met:
            raise ScenarioError(
                f"scenario {self.scenario.name!r}: hardly any patient drawn meets the admission rule",
                hint="compare 'admission' with the baseline means and SDs of 'groups'",
            )
        covariates = {name: cov[:, COVARIATES[name]] for name in self.scenario.covariates}
        outcomes = {name: out[:, OUTCOMES[channel]] for name, channel in self.scenario.outcomes.items()}
        return Trials(
            arms=protocol.arms,
            sets=tuple(protocol.groups),
            weeks=self.schedule.weeks,
            seed=seed,
            first_replicate=first,
            arm=arm,
            group=group,
            covariates=covariates,
            outcomes=outcomes,
            events=event_times(times, hospital=self.disease.hospital_hazard > 0, named=self.scenario.end_points),
            last_week=times[:, 4],
            entered_extension=times[:, 5] > 0.5,
            derived=derived_baseline(outcomes, covariates),
            falling=FALLING,
            main_outcome=MAIN_OUTCOME,
            crossover_week=times[:, 8],
            adverse_events=self.adverse_events(seed, first, arm),
        )


def typical_course(
    scenario: Scenario,
    group: str,
    arm: str,
    *,
    mechanism: Mechanism | str | None = None,
    weeks: Sequence[float] | None = None,
    baseline: float = 40.0,
    rate: float = 1.0,
    steps_per_week: int = STEPS_PER_WEEK,
) -> dict[str, FloatArray]:
    """The true states over time of the typical patient: no variation between patients, no events, no withdrawal.

    Parameters
    ----------
    group, arm : recruitment group and arm, by name.
    weeks : when; whole days, increasing from 0. Default: every week to the last visit.
    baseline, rate : true ALSFRS-R at week 0 (points) and natural rate of loss (points per month).

    Returns
    -------
    dict
        ``weeks`` and, at each of them, ``CSF`` and ``BIOPHASE`` (ng/mL), ``SOD1``, ``INJURY``, ``NFL`` and
        ``LAGGED_INJURY`` (ratios to untreated), ``LOSS`` (points lost) and ``FUNCTION`` (points).
    """
    groups, disease, effect = scenario.under(scenario.default_mechanism if mechanism is None else mechanism)
    still = {"volume_sd", "elimination_sd", "injury_exponent_sd", "event_hazard", "withdrawal_hazard", "missed_visit"}
    disease = disease.model_copy(update=dict.fromkeys(still, 0.0))
    names = list(scenario.protocol.groups)
    when = np.arange(scenario.protocol.visits[-1] + 1.0) if weeks is None else np.asarray(weeks, dtype=np.float64)
    schedule = schedule_of(scenario.protocol, steps_per_week)._replace(weeks=when)
    if scenario.protocol.extension is not None:
        schedule = schedule._replace(extension_entry=1.0)
    state = np.array([baseline, rate, 100.0, 0.0, 0.0, 0.0, baseline])
    path = course.trace(
        0,
        names.index(group),
        scenario.protocol.arms.index(arm),
        state,
        disease_arrays(disease, [groups[n] for n in names]),
        effect.arrays(),
        schedule,
    )
    return {"weeks": when, **{name: path[:, k] for name, k in STATES.items()}}
