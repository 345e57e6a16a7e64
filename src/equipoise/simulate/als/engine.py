"""Scenario to virtual trials, a block at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from equipoise.errors import ScenarioError
from equipoise.numerics.random import ADVERSE_EVENT
from equipoise.simulate.als import course
from equipoise.simulate.als.model import Admission, Mechanism, disease_arrays, population_arrays
from equipoise.simulate.als.names import (
    COVARIATES,
    FALLING,
    MAIN_OUTCOME,
    OUTCOMES,
    STATES,
    derived_baseline,
    event_times,
)
from equipoise.simulate.scenario import Scenario, load_scenario
from equipoise.trial import Trials
from equipoise.types import FloatArray

STEPS_PER_WEEK = 7


@dataclass(frozen=True, eq=False)
class Simulator:
    """A scenario under one mechanism, ready to simulate.

    With ``imbalance`` the arms differ in baseline ln NfL as they did in the trial; without, they are drawn alike,
    as in a fresh trial of the same design.
    """

    scenario: Scenario
    mechanism: Mechanism
    imbalance: bool
    population: course.PopulationArrays
    disease: course.DiseaseArrays
    effect: course.EffectArrays
    schedule: course.ScheduleArrays

    @classmethod
    def of(
        cls,
        scenario: Scenario,
        mechanism: Mechanism | str | None = None,
        *,
        imbalance: bool = True,
        steps_per_week: int = STEPS_PER_WEEK,
    ) -> Simulator:
        """Prepare ``scenario``; ``mechanism`` defaults to the scenario's own."""
        chosen = scenario.default_mechanism if mechanism is None else mechanism
        groups, disease, effect = scenario.under(chosen)
        protocol = scenario.protocol
        run_in = protocol.run_in
        return cls(
            scenario=scenario,
            mechanism=Mechanism(chosen),
            imbalance=imbalance,
            population=population_arrays(
                groups,
                protocol.groups,
                {name: scenario.admission.get(name, Admission()) for name in protocol.groups},
                protocol.shares,
                imbalance=imbalance,
                run_in=(run_in.weeks, run_in.least_fall, run_in.most_fall) if run_in else (0.0, -math.inf, math.inf),
                run_in_pace=disease.run_in_pace,
            ),
            disease=disease_arrays(disease, [groups[name] for name in protocol.groups]),
            effect=effect.arrays(),
            schedule=protocol.schedule(steps_per_week),
        )

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
            adverse_events=self._adverse_events(seed, first, arm),
        )

    def _adverse_events(self, seed: int, first: int, arm: np.ndarray) -> dict[str, np.ndarray]:
        events = self.scenario.adverse_events
        if not events:
            return {}
        rates = np.array([[rate.get(a, 0.0) for a in self.scenario.protocol.arms] for rate in events.values()])
        happened = np.empty((len(events), *arm.shape), dtype=np.bool_)
        for i in range(arm.shape[0]):
            draw = np.random.Generator(np.random.Philox(key=[seed, ADVERSE_EVENT], counter=[0, 0, 0, first + i]))
            happened[:, i] = draw.random((len(events), arm.shape[1])) < rates[:, arm[i]]
        return dict(zip(events, happened, strict=True))


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
    schedule = scenario.protocol.schedule(steps_per_week)._replace(weeks=when)
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


def simulate(
    scenario: Scenario | str,
    replicates: int,
    *,
    seed: int = 1,
    first: int = 0,
    mechanism: Mechanism | str | None = None,
    imbalance: bool = True,
) -> Trials:
    """``replicates`` virtual trials of ``scenario``, or of the shipped one of that name, in one batch.

    Raises
    ------
    ScenarioError
        If ``replicates`` is below 1 or the scenario cannot be simulated.
    """
    if replicates < 1:
        raise ScenarioError(f"{replicates} replicates", hint="ask for at least 1")
    scenario = load_scenario(scenario) if isinstance(scenario, str) else scenario
    return Simulator.of(scenario, mechanism, imbalance=imbalance).block(seed, first, replicates)
