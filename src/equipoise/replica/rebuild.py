"""Rebuilding a published trial: the main study, the side studies that answer questions, and the table."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from equipoise import __version__
from equipoise.calibrate.plan import FitPlan, load_plan
from equipoise.calibrate.targets import Target, targets
from equipoise.decision.fixed_order import closed_sequence_rejections
from equipoise.errors import ScenarioError
from equipoise.estimate.result import Estimate
from equipoise.plan.block import estimates, study_of
from equipoise.plan.compiled import AnyForm, DelayedStart, Slopes, TimeToEvent, TrialByTrial
from equipoise.plan.deciding import Deciding, by_kernel, deciding
from equipoise.plan.key import Key
from equipoise.plan.scenario_plan import AnalysisPlan
from equipoise.records import load_record
from equipoise.records.schema import Record
from equipoise.replica.answers import (
    Asked,
    acts_on_function,
    formal_answers,
    met,
    null_answer,
    primary_answers,
    proportion,
    test_answers,
)
from equipoise.replica.external import elsewhere_answer, elsewhere_measures, elsewhere_note, elsewhere_targets
from equipoise.replica.replica import Band, MechanismRow, Replica, ReplicaRow
from equipoise.replica.rows import between, error_of_mean, row_of
from equipoise.run.operating import LOOKED_AT
from equipoise.run.study import SimulationStudy, run_study
from equipoise.simulate import Simulator
from equipoise.simulate.external import ExternalTrial
from equipoise.simulate.mechanism import Mechanism
from equipoise.simulate.scenario import Scenario, load_scenario
from equipoise.types import FloatArray

LONG_TRIAL_WEEKS = 52.0
SURVIVAL_STEP = 4.0
"""Weeks between the points of a drawn survival curve."""

Progress = Callable[[str, int, int], None]
"""Called with what is running, replicates done and replicates asked for, over all studies together."""


@dataclass(frozen=True)
class _Side:
    """A side study: a question that needs another mechanism, design or allocation."""

    name: str
    simulator: Simulator
    measures: tuple[Key, ...]


def replicate(
    record: Record | str,
    scenario: Scenario | str | None = None,
    *,
    mechanism: Mechanism | str | None = None,
    replicates: int = 2000,
    seed: int = 1,
    threads: int | None = None,
    store: Path | None = None,
    progress: Progress | None = None,
    command: str | None = None,
    plan: FitPlan | None = None,
) -> Replica:
    """Rebuild ``record`` from ``scenario`` and hold the two against each other.

    Parameters
    ----------
    record, scenario : what was published, and what is simulated, or their names; default the record's own scenario.
    mechanism : how the drug acts in the main study; default the scenario's own.
    replicates : of the main study and of each side study.
    seed, threads, store : as in :func:`equipoise.run.run_study`.
    progress : called throughout.
    command : the command that repeats this, as printed on the page.
    plan : which published numbers are compared and what was fitted; default the fit plan of the record.

    Raises
    ------
    ScenarioError
        If ``replicates`` is below 1 or the mechanism is unknown.
    """
    started = time.perf_counter()
    record = load_record(record) if isinstance(record, str) else record
    scenario = record.id if scenario is None else scenario
    scenario = load_scenario(scenario) if isinstance(scenario, str) else scenario
    if scenario.record != record.id:
        what = "no record" if scenario.record is None else f"the record {scenario.record!r}, not {record.id!r}"
        raise ScenarioError(
            f"scenario {scenario.name!r} rebuilds {what}",
            hint="give the scenario of that trial, or set 'record' in the scenario file",
        )
    chosen = Mechanism(scenario.default_mechanism if mechanism is None else _mechanism(scenario, mechanism))
    fitted = load_plan(record.id) if plan is None else plan
    found = targets(record, scenario, fitted)
    found = (*found, *_differences(scenario, found))
    analyses = scenario.plan
    curves = _survival_curves(scenario, found)
    tests = _tests_compared(analyses)
    deciders = _deciders(scenario, chosen, seed, (*analyses.order, *tests))
    wanted = [
        *(t.key for t in found),
        *_band_measures(scenario),
        *(m for ms in curves.values() for m in ms),
        *(m for d in deciders.values() for m in (d.p, d.estimate)),
    ]
    measures = tuple(dict.fromkeys(wanted))
    sides = _sides(record, scenario, chosen, found, deciders[analyses.primary])
    total = replicates * (1 + len(sides))
    command = command or f"equipoise replicate {record.id} --replicates {replicates} --seed {seed}" + (
        "" if chosen is scenario.default_mechanism else f" --mechanism {chosen.value}"
    )

    def reporter(name: str, before: int) -> Callable[[int, int], None] | None:
        return None if progress is None else lambda done, _: progress(name, before + done, total)

    def study(name: str, simulator: Simulator, wanted: Sequence[Key], k: int) -> SimulationStudy:
        report = reporter(name, k * replicates)
        return run_study(simulator, wanted, replicates, seed=seed, threads=threads, store=store, progress=report)

    with study(f"rebuilding {record.id}", Simulator.of(scenario, chosen), measures, 0) as main:
        rows = tuple(row_of(record, t, main.values(t.key)) for t in found)
        drawn = (*_bands(scenario, main), *(_survival_band(main, of, ms) for of, ms in curves.items()))
        primary_here = _met(main.values, deciders[analyses.primary], analyses.alpha)
        own = {m: main.values(m) for m in _check_measures(record, scenario, found)}
        shifts = _shifts(scenario, main, found)
        formal = _formal(scenario, main, deciders)
        by_test = {name: _met(main.values, deciders[name], analyses.alpha) for name in tests}
    side_values: dict[str, dict[Key, FloatArray]] = {}
    for k, side in enumerate(sides, start=1):
        with study(side.name, side.simulator, side.measures, k) as done:
            side_values[side.name] = {m: done.values(m) for m in side.measures}
    checks: list[MechanismRow] = []
    for m in scenario.mechanisms:
        values = own if m is chosen else side_values.get(f"under {m.value}", {})
        checks += _mechanism_rows(record, scenario, m, found, values, replicates)

    def side_met(name: str, of: AnalysisPlan) -> FloatArray | None:
        values = side_values.get(name)
        decider = deciders.get(of.primary) or deciding(of, of.primary)
        return None if values is None else _met(lambda m: values[m], decider, of.alpha)

    longer = prolonged(scenario)
    ask = Asked(record, scenario, chosen, replicates, command)
    unlike = _unlike(scenario)
    answers = primary_answers(
        ask,
        as_it_happened=primary_here if unlike else None,
        works=side_met(f"a fresh trial, {chosen.value}", analyses) if unlike else primary_here,
        nothing=primary_here
        if chosen is Mechanism.NONE and not unlike
        else side_met(f"a fresh trial, {Mechanism.NONE.value}", analyses),
        weeks=None if longer is None else longer.protocol.period_end,
        longer_works=None if longer is None else side_met(f"longer, {chosen.value}", longer.plan),
        longer_nothing=None if longer is None else side_met(f"longer, {Mechanism.NONE.value}", longer.plan),
    )
    by_id = {t.id: t for t in found}
    answers += [null_answer(ask, row, by_id[row.id]) for row in checks if row.mechanism == Mechanism.NONE.value]
    answers += test_answers(ask, by_test)
    for other in scenario.external:
        there = elsewhere_targets(record, other)
        here = side_values[_there(other, chosen)]
        rows += tuple(row_of(record, t, here[t.key]) for t in there)
        answers.append(elsewhere_answer(ask, other, here, works=True))
        for m in scenario.mechanisms:
            values = side_values[_there(other, m)]
            first = [t for t in there[:1] if t.scale != "p"]
            checks += _mechanism_rows(record, scenario, m, first, values, replicates)
            if m is Mechanism.NONE and m is not chosen:
                answers.append(elsewhere_answer(ask, other, values, works=False))
    imbalanced = any(a.kind == "as it happened" for a in answers)
    answers += formal_answers(ask, formal, published_sets(record, found), imbalanced=imbalanced)
    return Replica(
        record=record.id,
        scenario=scenario.name,
        mechanism=chosen.value,
        seed=seed,
        replicates=replicates,
        imputations=analyses.imputations if analyses.imputes else 0,
        version=__version__,
        command=command,
        seconds=time.perf_counter() - started,
        rows=rows,
        answers=tuple(answers),
        bands=drawn,
        mechanisms=tuple(checks),
        notes=(*_notes(scenario, chosen, fitted), *map(elsewhere_note, scenario.external), *shifts),
        on_function=acts_on_function(scenario),
        tally=_tally(rows),
        effect=_effect(scenario, chosen),
        assumed=_assumed(scenario, chosen, fitted),
    )


def _mechanism(scenario: Scenario, name: Mechanism | str) -> Mechanism:
    scenario.under(name)  # raises with the list of what there is
    return Mechanism(name)


def _unlike(scenario: Scenario) -> bool:
    """Whether the arms are rebuilt as unlike at baseline as they happened to be."""
    return scenario.package.unlike(list(scenario.groups.values()))


# -- which measures ----------------------------------------------------------------------------------------------


def _band_measures(scenario: Scenario) -> list[Key]:
    """Means of every visit of every planned analysis of change, for the simulated bands of the charts."""
    return [
        Key("arm_mean", analysis=a.id, arm=arm, week=week)
        for a in scenario.plan.compiled
        if not isinstance(a, (TimeToEvent, Slopes, DelayedStart))
        for arm in scenario.protocol.arms
        for week in scenario.protocol.visits
        if 0 < week <= a.week
    ]


class _Curve(NamedTuple):
    """Whose survival: the outcome of the record, the event, the set and the arm."""

    outcome: str
    event: str
    set: str
    arm: str


def _survival_curves(scenario: Scenario, found: Sequence[Target]) -> dict[_Curve, list[Key]]:
    """Kaplan-Meier shares over time, where life was followed beyond the visits, for every set with a published one."""
    if scenario.protocol.follow_up is None:
        return {}
    weeks = [*np.arange(0.0, scenario.protocol.last_week, SURVIVAL_STEP), scenario.protocol.last_week]
    out = {}
    for t in found:
        m = t.key
        if (
            m.quantity in ("event_share", "survival", "median_survival")
            and m.arm is not None
            and m.variable not in ("left", "entered")
        ):
            curve = _Curve(t.outcome, str(m.variable), m.set or "ITT", m.arm)
            out[curve] = [
                Key("survival", variable=curve.event, set=curve.set, arm=curve.arm, week=float(w)) for w in weeks
            ]
    return out


def _survival_band(study: SimulationStudy, of: _Curve, measures: Sequence[Key]) -> Band:
    stats = []
    for m in measures:
        v = study.values(m)
        v = v[~np.isnan(v)]
        # at the end few trials still follow anyone
        if len(v) >= 0.5 * study.replicates:
            stats.append((m.week or 0.0, float(v.mean()), *between(v, (0.025, 0.975))))
    columns = list(zip(*stats, strict=True)) if stats else [(), (), (), ()]
    weeks, mean, low, high = (tuple(float(x) for x in c) for c in columns)
    return Band(of.outcome, f"survival:{of.event}", of.set, of.arm, weeks, mean, low, high, of.event)


def _differences(scenario: Scenario, found: Sequence[Target]) -> list[Target]:
    """In a trial of events alone: the difference of the arms' shares, by arithmetic, with its standard error."""
    if scenario.outcomes:
        return []
    control, active = scenario.protocol.arms
    by_place = {(t.key.variable, t.key.set, t.key.week, t.key.arm): t for t in found if t.key.quantity == "event_share"}
    out = []
    for (variable, of, week, arm), t in by_place.items():
        other = by_place.get((variable, of, week, control))
        if arm != active or other is None or t.se is None or other.se is None:
            continue
        out.append(
            replace(
                t,
                key=Key("event_share", variable=variable, statistic="difference", set=of, week=week),
                quantity=f"{t.quantity}, difference between the arms in percentage points",
                subject=t.quantity,
                value=t.value - other.value,
                se=math.hypot(t.se, other.se),
                fit_se=None,
                block=None,
                where=t.where._replace(confidence="derived"),
                use="check" if t.use == "check" else "restated",
            )
        )
    return out


def _deciders(scenario: Scenario, mechanism: Mechanism, seed: int, names: Sequence[str]) -> dict[str, Deciding]:
    """Tests by name; those that no kernel carries out are found on the first trials, by which they are done one by one.

    Raises
    ------
    ScenarioError : one of them has no number with a direction in any of these trials.
    """
    plan = scenario.plan
    single = {name.partition(".")[0] for name in names if not by_kernel(plan, name)}
    numbers: dict[Key, Estimate] = {}
    if single:
        trials = Simulator.of(scenario, mechanism).block(seed, 0, LOOKED_AT)
        for i in range(len(trials)):
            numbers = {**estimates(study_of(trials, i), scenario.whole_plan(), single, strict=True), **numbers}
    return {name: deciding(plan, name, numbers) for name in dict.fromkeys(names)}


def _met(values: Callable[[Key], FloatArray], decider: Deciding, alpha: float) -> FloatArray:
    return met(values(decider.p), decider.favour(values(decider.estimate)), alpha)


def _tests_compared(plan: AnalysisPlan) -> list[str]:
    """The tests that could have decided a primary end point in time: all, at every week it was analysed."""
    primary = plan.analysis(plan.primary.partition(".")[0])
    if not isinstance(primary, TimeToEvent):
        return []
    return [
        f"{a.id}.{test}"
        for a in plan.compiled
        if isinstance(a, TimeToEvent) and (a.event, a.set) == (primary.event, primary.set)
        for test in a.tests
        if test != "cox"
    ]


def _held_contrasts(scenario: Scenario, found: Sequence[Target]) -> list[Target]:
    """Comparisons of all randomised, at the end of their analysis, that were not fitted."""
    out = []
    for t in found:
        m = t.key
        if t.used or m.arm is not None:
            continue
        if m.analysis is not None:
            analysis = scenario.plan.analysis(m.analysis)
            at_end = m.week is None or m.week == analysis.week
            keep = m.quantity in ("contrast", "slope_difference") and analysis.set == "ITT" and at_end
        elif m.quantity == "event_share":
            keep = m.statistic == "difference" and m.set == "ITT" and t.use == "check"
        else:
            keep = m.quantity == "observed_change"
        if keep:
            out.append(t)
    return out


def _check_measures(record: Record, scenario: Scenario, found: Sequence[Target]) -> list[Key]:
    """The comparisons held out: of the primary outcome, or else whatever comes after the fitted period."""
    held = _held_contrasts(scenario, found)
    primary = {o.id for o in record.outcomes if o.role == "primary"}
    own = [t for t in held if t.outcome in primary]
    late = [t for t in held if t.use == "check" and _week(scenario, t) > scenario.protocol.period_end]
    chosen = own if any(t in late for t in own) else [*own, *late]
    return [t.key for t in chosen]


def _week(scenario: Scenario, t: Target) -> float:
    m = t.key
    if m.week is not None or m.analysis is None:
        return m.week or 0.0
    return scenario.plan.analysis(m.analysis).week or 0.0


def _sides(
    record: Record, scenario: Scenario, chosen: Mechanism, found: Sequence[Target], decider: Deciding
) -> list[_Side]:
    checks = tuple(_check_measures(record, scenario, found))
    ids = {str(m.analysis) for m in checks}
    sides = [
        _Side(f"under {m.value}", Simulator.of(scenario.with_plan(scenario.plan.only(*ids)), m), checks)
        for m in scenario.mechanisms
        if m is not chosen and checks
    ]
    plan = scenario.plan
    primary = plan.analysis(plan.primary.partition(".")[0])
    fresh = scenario.with_plan(plan.only(primary.id))
    wanted: tuple[Key, ...] = (decider.p, decider.estimate)
    for m in (chosen, Mechanism.NONE):
        # where the arms are alike, the main study is a fresh trial
        if m in scenario.mechanisms and (_unlike(scenario) or m is not chosen):
            sides.append(_Side(f"a fresh trial, {m.value}", Simulator.of(fresh, m, imbalance=False), wanted))
    longer = prolonged(scenario)
    if longer is not None:
        later = deciding(longer.plan, longer.plan.primary)
        wanted = (later.p, later.estimate)
        for m in (chosen, Mechanism.NONE):
            if m in scenario.mechanisms:
                sides.append(_Side(f"longer, {m.value}", Simulator.of(longer, m, imbalance=False), wanted))
    for other in scenario.external:
        abroad, wanted = scenario.at(other), elsewhere_measures(record, other)
        sides += [_Side(_there(other, m), Simulator.of(abroad, m, imbalance=False), wanted) for m in abroad.mechanisms]
    return list({s.name: s for s in sides}.values())


def _there(other: ExternalTrial, mechanism: Mechanism) -> str:
    return f"{other.id}, {mechanism.value}"


def prolonged(scenario: Scenario) -> Scenario | None:
    """The same trial randomised for 52 weeks, or to its last visit if earlier, with the primary analysis at its end."""
    protocol = scenario.protocol
    later = [v for v in protocol.visits if protocol.period_end < v <= LONG_TRIAL_WEEKS]
    key, _, test = scenario.plan.primary.partition(".")
    primary = scenario.plan.analysis(key)
    if not later or isinstance(primary, TimeToEvent | TrialByTrial) or test not in primary.tests:
        return None
    week = later[-1]
    moved = primary.model_copy(update={"id": f"{key}_randomised_{week:g}", "week": week})
    plan = AnalysisPlan.model_validate(
        {"alpha": scenario.plan.alpha, "analyses": [moved], "order": (f"{moved.id}.{test}",)}
    )
    return scenario.model_copy(update={"protocol": protocol.prolonged(week), "plan": plan})


# -- the table ---------------------------------------------------------------------------------------------------


def _bands(scenario: Scenario, study: SimulationStudy) -> list[Band]:
    out = []
    for a in scenario.plan.compiled:
        if isinstance(a, (TimeToEvent, Slopes, DelayedStart)):
            continue
        for arm in scenario.protocol.arms:
            weeks = [w for w in scenario.protocol.visits if 0 < w <= a.week]
            stats = []
            for week in weeks:
                v = study.values(Key("arm_mean", analysis=a.id, arm=arm, week=week))
                v = v[~np.isnan(v)]
                if len(v):
                    stats.append((week, float(v.mean()), *(float(q) for q in np.quantile(v, [0.025, 0.975]))))
            show: Callable[[float], float] = math.exp if a.log else float
            out.append(
                Band(
                    outcome=a.variable,
                    analysis=a.id,
                    analysis_set=a.set,
                    arm=arm,
                    weeks=tuple(s[0] for s in stats),
                    mean=tuple(show(s[1]) for s in stats),
                    low=tuple(show(s[2]) for s in stats),
                    high=tuple(show(s[3]) for s in stats),
                )
            )
    return out


def _adjusts_for_marker(scenario: Scenario, analysis: AnyForm | TrialByTrial) -> bool:
    """Whether the baseline of the marker is a covariate of an analysis of another outcome."""
    return not scenario.package.marker.covariates.isdisjoint(getattr(analysis, "covariates", ()))


def _shifts(scenario: Scenario, study: SimulationStudy, found: Sequence[Target]) -> tuple[str, ...]:
    """How far adjusting for the marker moved a difference, published and simulated in the same trials."""
    marker = scenario.package.marker.short
    places: dict[tuple[object, ...], dict[bool, Target]] = {}
    for t in found:
        if t.key.quantity == "contrast" and t.scale == "difference":
            analysis = scenario.plan.analysis(str(t.key.analysis))
            place = (t.outcome, analysis.set, t.key.week)
            places.setdefault(place, {})[_adjusts_for_marker(scenario, analysis)] = t
    out = []
    for pair in places.values():
        if len(pair) < 2:
            continue
        planned, adjusted = pair[False], pair[True]
        moved = study.values(adjusted.key) - study.values(planned.key)
        moved = moved[~np.isnan(moved)]
        if not len(moved):
            continue
        digits = 2 if abs(adjusted.value) < 1.0 else 1
        low, high = np.quantile(moved, [0.025, 0.975])
        out.append(
            f"{adjusted.quantity}, week {adjusted.key.week:g}: adjusting for baseline {marker} moved it by "
            f"{adjusted.value - planned.value:+.{digits}f} as published, and by {moved.mean():+.{digits}f} on average "
            f"in the replica (95 % of single trials {low:+.{digits}f} to {high:+.{digits}f})."
        )
    return tuple(out)


def published_sets(record: Record, found: Sequence[Target]) -> dict[str, str]:
    """The set that each analysis of the plan counts in print: that of the published comparison held against it."""
    sets = {r.id: r.set for r in record.results}
    return {
        t.key.analysis: sets[t.result]
        for t in found
        if t.key.analysis is not None and t.key.arm is None and t.result in sets
    }


def _formal(scenario: Scenario, study: SimulationStudy, deciders: Mapping[str, Deciding]) -> dict[str, FloatArray]:
    """For each step of the test order, in which replicates it was formally met: it and all before it significant."""
    plan = scenario.plan
    p = np.stack([study.values(deciders[name].p) for name in plan.order], axis=1)
    met = closed_sequence_rejections(p, plan.alpha)
    return {name: met[:, k].astype(np.float64) for k, name in enumerate(plan.order)}


# -- mechanisms --------------------------------------------------------------------------------------------------


def _sense(record: Record, t: Target) -> int:
    """The sign of a contrast that favours the active arm."""
    if t.key.quantity == "event_share" or t.scale == "hazard_ratio":
        return -1
    outcome = next((o for o in record.outcomes if o.id == t.outcome), None)
    return -1 if outcome is not None and outcome.direction == "lower_better" else 1


def _mechanism_rows(
    record: Record,
    scenario: Scenario,
    mechanism: Mechanism,
    found: Sequence[Target],
    values: dict[Key, FloatArray],
    replicates: int,
) -> list[MechanismRow]:
    misfit = scenario.fit.get("sum_of_squared_z", {}).get(mechanism.value)
    within = scenario.fit.get("within_one_se", {}).get(mechanism.value)
    rows = []
    for t in found:
        if t.key not in values:
            continue
        use = values[t.key]
        use = use[~np.isnan(use)]
        if not len(use):
            continue
        sense = _sense(record, t)
        share, share_error = proportion((sense * use >= sense * t.value).astype(np.float64))
        low, high = np.quantile(use, [0.025, 0.975])
        show: Callable[[float], float] = math.exp if t.ln else float
        mean = float(use.mean())
        rows.append(
            MechanismRow(
                mechanism=mechanism.value,
                misfit=misfit,
                n_targets=None if within is None else int(within["of"]),
                id=t.id,
                quantity=t.quantity,
                result=t.result,
                published=show(t.value),
                mean=show(mean),
                low=show(float(low)),
                high=show(float(high)),
                mc_error=error_of_mean(use) * (show(mean) if t.ln else 1.0),
                at_least=share,
                at_least_mc_error=share_error,
                replicates=replicates,
                key=t.key,
                scale=t.scale,
                held=t.use == "check",
            )
        )
    return rows


def _tally(rows: Sequence[ReplicaRow]) -> str:
    """How many of the published numbers the replica meets."""
    used = [r for r in rows if r.use == "fit" and r.within_one_se is not None]
    checks = [r for r in rows if r.use == "check" and r.within_one_se is not None]
    return (
        f"{sum(bool(r.within_one_se) for r in used)} of {len(used)} rows used in the fit and "
        f"{sum(bool(r.within_one_se) for r in checks)} of {len(checks)} rows held as checks lie within one published "
        "standard error of what was published. Counts copied into the scenario and restatements of fitted numbers are "
        "in neither sum."
    )


def _effect(scenario: Scenario, chosen: Mechanism) -> dict[str, float]:
    """What the drug does under a mechanism, by the names of the scenario; what is at its default does nothing."""
    effect = scenario.mechanisms[chosen].effect
    said = effect.model_dump(exclude_defaults=True)
    return {name: float(value) for name, value in said.items() if isinstance(value, int | float)}


def _assumed(scenario: Scenario, chosen: Mechanism, fitted: FitPlan) -> tuple[str, ...]:
    """The parts of that effect that no fit has set."""
    free = {each.place.removeprefix("effect.") for each in fitted.effects.get(chosen, ())}
    return tuple(name for name in _effect(scenario, chosen) if name not in free)


def _notes(scenario: Scenario, chosen: Mechanism, fitted: FitPlan) -> tuple[str, ...]:
    profile = scenario.fit.get("lag_profile") or {}
    lag = scenario.mechanisms[Mechanism.LAGGED].effect.lag if Mechanism.LAGGED in scenario.mechanisms else None
    lags: tuple[str, ...] = ()
    if profile and lag is not None:
        each = "; ".join(f"{float(k):g} weeks {v:.1f}" for k, v in profile.items())
        lags = (
            f"How long function follows behind injury: {lag:.1f} weeks fits best. With the lag held fixed and all else "
            f"fitted anew, the misfit of the functional curves (sum of squared distances) is: {each}. A lag "
            "with nearly the same misfit is about as good; the middle of all, weighed by fit, need not be the best.",
        )
        if "weight" in _assumed(scenario, Mechanism.LAGGED, fitted):
            share = 100 * _effect(scenario, Mechanism.LAGGED)["weight"]
            reach = "all of the loss of function follows" if share == 100 else f"{share:g} % of the loss follows"
            lags = (
                f"That {reach} the injury is assumed, not fitted: from one effect the numbers cannot tell both how "
                "much of the loss the drug reaches and how late.",
                *lags,
            )
    kept = f" Kept out of the fit: {'; '.join(fitted.held)}." if fitted.held else ""
    return (
        f"Mechanism in the main study: {chosen.value}. Natural history and effect were fitted to what was published up "
        f"to week {scenario.protocol.period_end:g}.{kept}",
        *lags,
        *(f"{how[:1].upper()}{how[1:]}." for name, how in scenario.provenance.items() if name in _TOLD),
    )


_TOLD = ("effect.half_life",)
"""Parameters that no number fitted can tell, whose origin a reader should see."""
