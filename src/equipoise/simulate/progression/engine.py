"""Scenario to virtual trials, a block at a time, under the progression model; and its moments in closed form."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from equipoise.errors import ScenarioError
from equipoise.simulate.mechanism import Mechanism
from equipoise.simulate.progression.kernels import course
from equipoise.simulate.progression.model import Admission, Disease, Effect, Group, Residual
from equipoise.simulate.progression.tables import tables
from equipoise.simulate.protocol import Intake
from equipoise.simulate.scenario import Scenario
from equipoise.simulate.simulator import Simulator
from equipoise.trial import EventTimes, Trials
from equipoise.types import WEEKS_PER_MONTH, FloatArray


def _spread(group: Group) -> FloatArray:
    """(3, 3) lower factor of the covariance of level, rate (per week) and ln marker, also where it is singular."""
    sd = np.array([group.sd, group.rate_sd / WEEKS_PER_MONTH, group.marker.sd if group.marker is not None else 0.0])
    c = group.correlation
    lower = np.zeros((3, 3))
    for a in range(3):
        for b in range(a + 1):
            rest = c[a, b] - lower[a, :b] @ lower[b, :b]
            if a == b:
                lower[a, a] = math.sqrt(max(rest, 0.0))
            elif lower[b, b] > 1e-12:
                lower[a, b] = rest / lower[b, b]
    spread: FloatArray = sd[:, None] * lower
    return spread


def people_arrays(scenario: Scenario, groups: dict[str, Group], residual: Residual) -> course.PeopleArrays:
    """The population as the kernel takes it."""
    run_in = scenario.protocol.run_in
    names = list(scenario.protocol.groups)
    gs = [groups[name] for name in names]
    admission = [scenario.admission.get(name, Admission()) for name in names]
    factors = list(gs[0].factors)

    def of_factor(name: str, times: float = 1.0) -> FloatArray:
        return np.array([[getattr(g.factors[f], name) * times for f in factors] for g in gs]).reshape(len(gs), -1)

    def column(values: list[float]) -> FloatArray:
        return np.array(values, dtype=np.float64)

    return course.PeopleArrays(
        size=np.array(list(scenario.protocol.groups.values()), dtype=np.int64),
        mean=column([g.mean for g in gs]),
        spread=np.array([_spread(g) for g in gs]),
        rate_sd=column([g.rate_sd / WEEKS_PER_MONTH for g in gs]),
        marker_mean=column([g.marker.mean if g.marker is not None else 0.0 for g in gs]),
        low=column([-math.inf if a.low is None else a.low for a in admission]),
        high=column([math.inf if a.high is None else a.high for a in admission]),
        factor_share=of_factor("share"),
        factor_level=of_factor("level"),
        factor_rate=of_factor("rate", 1.0 / WEEKS_PER_MONTH),
        factor_marker=of_factor("marker"),
        factor_hazard=of_factor("ln_hazard"),
        ln_hazard=column([g.ln_hazard for g in gs]),
        run_in=float(run_in.weeks) if run_in is not None else 0.0,
        run_in_keep=float(residual.keep(np.array([0.0, run_in.weeks]))[1]) if run_in is not None else 0.0,
        run_in_pace=column([float(g.course.pace(np.zeros(1))[0]) for g in gs]),
        fall_low=float(run_in.least_fall) if run_in is not None else -math.inf,
        fall_high=float(run_in.most_fall) if run_in is not None else math.inf,
    )


def course_arrays(
    scenario: Scenario, groups: dict[str, Group], disease: Disease, effect: Effect
) -> course.CourseArrays:
    """Disease, drug and protocol as the kernel takes them."""
    protocol = scenario.protocol
    table = tables(protocol, groups, disease, effect)
    visits = np.array(protocol.visits, dtype=np.float64)
    event, dropout, marker, outcome = disease.event, disease.dropout, disease.marker, disease.outcome
    extension, follow = protocol.extension, protocol.follow_up
    assert isinstance(protocol.dosing, Intake)  # checked with the scenario
    factors = list(next(iter(groups.values())).factors)
    return course.CourseArrays(
        way=outcome.way,
        lowest=-math.inf if outcome.low is None else float(outcome.low),
        highest=math.inf if outcome.high is None else float(outcome.high),
        grid=float(outcome.grid),
        residual_sd=float(disease.residual.sd),
        keep=disease.residual.keep(visits),
        marker_sd=float(marker.residual.sd) if marker is not None else 0.0,
        marker_keep=marker.residual.keep(visits) if marker is not None else np.zeros(len(visits)),
        marker_loss=float(marker.per_point) if marker is not None else 0.0,
        weeks=table.weeks,
        at_visit=np.searchsorted(table.weeks, visits).astype(np.int64),
        loss=table.loss,
        saved=table.saved,
        saved_time=table.saved_time,
        gain=table.gain,
        marker=table.marker,
        ln_hazard=table.ln_hazard,
        hazard=float(event.hazard) if event is not None else 0.0,
        shape=float(event.shape) if event is not None else 1.0,
        hazard_value=float(event.per_point) if event is not None else 0.0,
        hazard_reference=float(event.reference or 0.0) if event is not None else 0.0,
        fatal=int(event.is_fatal) if event is not None else 0,
        dropout=float(dropout.hazard) if dropout is not None else 0.0,
        dropout_value=float(dropout.per_point) if dropout is not None else 0.0,
        missed=float(disease.missed_visit),
        period_node=int(np.searchsorted(table.weeks, protocol.period_end)),
        entry=float(extension.entry) if extension is not None else 0.0,
        extension=int(extension is not None),
        crossover=np.array([int(a in protocol.dosing.extension) for a in protocol.arms], dtype=np.int64),
        follow_first=float(follow.first) if follow is not None else 0.0,
        follow_last=float(follow.last) if follow is not None else 0.0,
        block=np.array(protocol.ratio, dtype=np.int64),
        stratified=np.array([int(f in protocol.strata) for f in factors], dtype=np.int64),
    )


@dataclass(frozen=True, eq=False)
class ProgressionSimulator(Simulator):
    """A scenario of the progression model under one mechanism. Its arms are always drawn alike."""

    people: course.PeopleArrays
    course: course.CourseArrays
    disease: Disease

    @classmethod
    def prepared(cls, scenario: Scenario, mechanism: Mechanism, *, imbalance: bool, **options: Any) -> Self:
        """Population and tables as the kernel takes them."""
        if options:
            raise ScenarioError(f"the disease 'progression' has no option {next(iter(options))!r}", hint="leave it out")
        groups, disease, effect = scenario.under(mechanism)
        return cls(
            scenario=scenario,
            mechanism=mechanism,
            imbalance=imbalance,
            people=people_arrays(scenario, groups, disease.residual),
            course=course_arrays(scenario, groups, disease, effect),
            disease=disease,
        )

    def block(self, seed: int, first: int, n_trials: int) -> Trials:
        """Replicates ``first`` to ``first + n_trials - 1`` of the scenario."""
        scenario, protocol = self.scenario, self.scenario.protocol
        n, visits = protocol.n, np.array(protocol.visits, dtype=np.float64)
        names = {channel: name for name, channel in scenario.outcomes.items()}
        channels = course.N_CHANNELS if "MARKER" in names else 1
        out = np.empty((n_trials, channels, n, len(visits)))
        cov = np.empty((n_trials, len(self.course.stratified) + (2 if protocol.run_in is not None else 0), n))
        arm = np.empty((n_trials, n), dtype=np.int8)
        group = np.empty((n_trials, n), dtype=np.int8)
        times = np.empty((n_trials, course.N_TIMES, n))
        met = course.simulate_block(seed, first, n_trials, self.people, self.course, out, cov, arm, group, times)
        if not met:
            raise ScenarioError(
                f"scenario {scenario.name!r}: hardly any patient drawn meets the admission rule",
                hint="compare 'admission' with the mean and SD of 'groups'",
            )
        outcomes = {names["OUTCOME"]: out[:, course.OUTCOME]}
        derived = {}
        if "MARKER" in names:
            outcomes[names["MARKER"]] = out[:, course.MARKER]
            if len(names["MARKER"]) <= 4:
                derived[f"LN{names['MARKER']}BL"] = np.log(out[:, course.MARKER, :, 0])
        return Trials(
            arms=protocol.arms,
            sets=tuple(protocol.groups),
            weeks=visits,
            seed=seed,
            first_replicate=first,
            arm=arm,
            group=group,
            covariates={name: cov[:, f] for f, name in enumerate(scenario.covariates)},
            outcomes=outcomes,
            events=self._events(times),
            last_week=times[:, 2],
            entered_extension=times[:, 3] > 0.5,
            derived=derived,
            main_outcome=names["OUTCOME"],
            crossover_week=times[:, 4],
            adverse_events=self.adverse_events(seed, first, arm),
        )

    def _events(self, times: FloatArray) -> dict[str, EventTimes]:
        """The event, and death: that of the event where it is death, else that nobody died under observation."""
        happened, event = times[:, 1] > 0.5, self.disease.event
        words = ("censored", "death")
        if event is not None and event.parameter == "DEATH":
            return {"death": EventTimes(times[:, 0], happened, parameter="DEATH", words=words)}
        died = happened if event is not None and event.is_fatal else np.zeros_like(happened)
        out = {"death": EventTimes(np.where(died, times[:, 0], times[:, 2]), died, parameter="DEATH", words=words)}
        if event is not None:
            label = event.name or event.parameter
            out[event.key] = EventTimes(times[:, 0], happened, parameter=event.parameter, words=("censored", label))
        return out


def typical_course(
    scenario: Scenario,
    group: str,
    arm: str,
    *,
    mechanism: Mechanism | str | None = None,
    weeks: Sequence[float] | None = None,
    **own: Any,
) -> dict[str, FloatArray]:
    """The true course of the mean patient of a group and arm who goes on into the extension.

    Returns
    -------
    dict
        ``weeks`` and, at each, ``LEVEL`` (of the outcome), ``LOSS`` (points lost, those that the drug saved taken off),
        ``SAVED``, ``GAIN`` (points) and ``MARKER`` (ratio to week 0).
    """
    if own:
        raise ScenarioError(f"a typical course of 'progression' has no {next(iter(own))!r}", hint="leave it out")
    groups, disease, effect = scenario.under(scenario.default_mechanism if mechanism is None else mechanism)
    protocol = scenario.protocol
    when = np.arange(math.floor(protocol.visits[-1]) + 1.0) if weeks is None else np.asarray(weeks, dtype=np.float64)
    table = tables(protocol, groups, disease, effect, np.union1d(when, np.arange(math.floor(when[-1]) + 1.0)))
    at = np.searchsorted(table.weeks, when)
    g, a = list(protocol.groups).index(group), protocol.arms.index(arm)
    lost = (table.loss[g] - table.saved[g, a])[at]
    gain = table.gain[a][at]
    per_point = disease.marker.per_point if disease.marker is not None else 0.0
    return {
        "weeks": when,
        "LEVEL": groups[group].mean + disease.outcome.way * (lost - gain),
        "LOSS": lost,
        "SAVED": table.saved[g, a][at],
        "GAIN": gain,
        "MARKER": np.exp(table.marker[a][at] + per_point * lost),
    }


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean (visit,) and covariance (visit, visit) of the outcome at the visits (weeks)."""

    weeks: FloatArray
    mean: FloatArray
    covariance: FloatArray

    def change(self) -> Moments:
        """Of the change from baseline at the later visits."""
        lift = np.column_stack([-np.ones(len(self.weeks) - 1), np.eye(len(self.weeks) - 1)])
        return Moments(self.weeks[1:], lift @ self.mean, lift @ self.covariance @ lift.T)


def moments(scenario: Scenario, group: str, arm: str, *, mechanism: Mechanism | str | None = None) -> Moments:
    """Mean and covariance of the observed outcome in closed form, before it is rounded, bounded, admitted or missing.

    With level B, rate s and residual e, y = B + way (f - A) + way s (t - T) - way G + e, so that the covariance is
    z Cov(B, s) z' + R with rows z = (1, way (t - T)); a binary factor adds its own variance. See the methods page.

    Examples
    --------
    >>> from equipoise import load_scenario
    >>> made = moments(load_scenario("clarity_ad"), "ALL", "placebo")
    >>> float(made.change().mean[-1]) > 0
    True
    """
    groups, disease, effect = scenario.under(scenario.default_mechanism if mechanism is None else mechanism)
    protocol, own = scenario.protocol, groups[group]
    visits = np.array(protocol.visits, dtype=np.float64)
    table = tables(protocol, groups, disease, effect)
    at = np.searchsorted(table.weeks, visits)
    g, a = list(protocol.groups).index(group), protocol.arms.index(arm)
    way = disease.outcome.way
    z = np.column_stack([np.ones_like(visits), way * (visits - table.saved_time[a][at])])
    spread = _spread(own)[:2, :2]
    mean = own.mean + way * (table.loss[g] - table.saved[g, a] - table.gain[a])[at]
    covariance = z @ spread @ spread.T @ z.T + disease.residual.covariance(visits)
    for factor in own.factors.values():
        effect_of = z @ np.array([factor.level, factor.rate / WEEKS_PER_MONTH])
        mean = mean + factor.share * effect_of
        covariance = covariance + factor.share * (1.0 - factor.share) * np.outer(effect_of, effect_of)
    return Moments(visits, mean, covariance)
