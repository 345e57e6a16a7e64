"""Rebuilding a published trial: the main study, the side studies that answer questions, and the table."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from equipoise import __version__
from equipoise.appraise.replica import Answer, Band, MechanismRow, Replica, ReplicaRow
from equipoise.calibrate.targets import Target, targets
from equipoise.disease import Mechanism
from equipoise.errors import ScenarioError
from equipoise.estimate.multiplicity import closed_sequence_rejections
from equipoise.protocol import AnalysisPlan, Measure, Protocol, Repeated
from equipoise.records.schema import Record
from equipoise.run.study import Study, run_study
from equipoise.simulate.engine import Simulator
from equipoise.simulate.scenario import Scenario
from equipoise.types import FloatArray

LONG_TRIAL_WEEKS = 52.0

Progress = Callable[[str, int, int], None]
"""Called with what is running, replicates done and replicates asked for, over all studies together."""


@dataclass(frozen=True)
class _Side:
    """A side study: a question that needs another mechanism, design or allocation."""

    name: str
    simulator: Simulator
    measures: tuple[Measure, ...]


def replicate(
    record: Record,
    scenario: Scenario,
    *,
    mechanism: Mechanism | str | None = None,
    replicates: int = 2000,
    seed: int = 1,
    threads: int | None = None,
    store: Path | None = None,
    progress: Progress | None = None,
    command: str | None = None,
) -> Replica:
    """Rebuild ``record`` from ``scenario`` and hold the two against each other.

    Parameters
    ----------
    record, scenario : what was published, and what is simulated.
    mechanism : how the drug acts on function in the main study; default the scenario's own.
    replicates : of the main study and of each side study.
    seed, threads, store : as in :func:`equipoise.run.run_study`.
    progress : called throughout.
    command : the command that repeats this, as printed on the page.

    Raises
    ------
    ScenarioError
        If ``replicates`` is below 1 or the mechanism is unknown.
    """
    started = time.perf_counter()
    if scenario.record != record.id:
        raise ScenarioError(
            f"scenario {scenario.name!r} rebuilds the record {scenario.record!r}, not {record.id!r}",
            hint="give the scenario of that trial, or set 'record' in the scenario file",
        )
    chosen = Mechanism(scenario.default_mechanism if mechanism is None else _mechanism(scenario, mechanism))
    found = targets(record, scenario)
    bands = _band_measures(scenario)
    wanted = [*(t.measure for t in found), *bands, *_primary_measures(scenario.plan), *_order_measures(scenario.plan)]
    measures = tuple(dict.fromkeys(wanted))
    sides = _sides(scenario, chosen, found)
    total = replicates * (1 + len(sides))
    command = command or f"equipoise replicate {record.id} --replicates {replicates} --seed {seed}" + (
        "" if chosen is scenario.default_mechanism else f" --mechanism {chosen.value}"
    )

    def reporter(name: str, before: int) -> Callable[[int, int], None] | None:
        return None if progress is None else lambda done, _: progress(name, before + done, total)

    def study(name: str, simulator: Simulator, wanted: Sequence[Measure], k: int) -> Study:
        report = reporter(name, k * replicates)
        return run_study(simulator, wanted, replicates, seed=seed, threads=threads, store=store, progress=report)

    with study(f"rebuilding {record.id}", Simulator.of(scenario, chosen), measures, 0) as main:
        rows = tuple(_row(record, t, main.values(t.measure)) for t in found)
        drawn = tuple(_bands(scenario, main))
        primary_here = _share_met(main, scenario.plan)
        own = {m: main.values(m) for m in _check_measures(scenario, found)}
        shifts = _shifts(main, found)
        formal = _formal(scenario, main)
    answers: list[Answer] = []
    checks: list[MechanismRow] = []
    side_values: dict[str, dict[Measure, FloatArray]] = {}
    for k, side in enumerate(sides, start=1):
        with study(side.name, side.simulator, side.measures, k) as done:
            side_values[side.name] = {m: done.values(m) for m in side.measures}
    for other in scenario.mechanisms:
        values = own if other is chosen else side_values[f"under {other.value}"]
        checks += _mechanism_rows(scenario, other, found, values, replicates)
    answers += _answers(scenario, chosen, primary_here, side_values, replicates, command)
    answers += [_null_answer(row, command) for row in checks if row.mechanism == Mechanism.NONE.value]
    answers += _formal_answers(scenario, formal, replicates, command)
    return Replica(
        record=record.id,
        scenario=scenario.name,
        mechanism=chosen.value,
        seed=seed,
        replicates=replicates,
        imputations=scenario.plan.imputations,
        version=__version__,
        command=command,
        seconds=time.perf_counter() - started,
        rows=rows,
        answers=tuple(answers),
        bands=drawn,
        mechanisms=tuple(checks),
        notes=(*_notes(scenario, chosen, rows), *shifts),
    )


def _mechanism(scenario: Scenario, name: Mechanism | str) -> Mechanism:
    scenario.under(name)  # raises with the list of what there is
    return Mechanism(name)


# -- which measures ----------------------------------------------------------------------------------------------


def _band_measures(scenario: Scenario) -> list[Measure]:
    """LS means of every visit of every planned repeated analysis, for the simulated bands of the charts."""
    return [
        Measure("arm_mean", analysis=a.id, arm=arm, week=week)
        for a in scenario.plan.analyses
        if isinstance(a, Repeated)
        for arm in scenario.protocol.arms
        for week in scenario.protocol.visits
        if 0 < week <= a.week
    ]


def _primary_measures(plan: AnalysisPlan) -> tuple[Measure, Measure]:
    """The p-value of the primary test and the difference it tests: of mean rank scores, or of LS means."""
    key, _, test = plan.primary.partition(".")
    analysis = plan.analysis(key)
    if not isinstance(analysis, Repeated):
        raise ScenarioError(f"the primary analysis {key!r} is not a repeated-measures analysis")
    if test == "joint_rank":
        return Measure("p_joint_rank", analysis=key), Measure("rank_difference", analysis=key)
    return Measure("p_ancova", analysis=key), Measure("contrast", analysis=key, week=analysis.week)


def _check_measures(scenario: Scenario, found: Sequence[Target]) -> list[Measure]:
    """The contrasts on function that were held out of the fit."""
    out = []
    for t in found:
        if t.measure.kind == "contrast" and t.outcome == "ALSFRS" and not t.used and t.measure.analysis is not None:
            analysis = scenario.plan.analysis(t.measure.analysis)
            if isinstance(analysis, Repeated) and analysis.set == "ITT" and t.measure.week == analysis.week:
                out.append(t.measure)
    return out


def _sides(scenario: Scenario, chosen: Mechanism, found: Sequence[Target]) -> list[_Side]:
    checks = tuple(_check_measures(scenario, found))
    ids = {str(m.analysis) for m in checks}
    sides = [
        _Side(f"under {m.value}", Simulator.of(scenario.with_plan(scenario.plan.only(*ids)), m), checks)
        for m in scenario.mechanisms
        if m is not chosen and checks
    ]
    plan = scenario.plan
    primary = plan.analysis(plan.primary.partition(".")[0])
    fresh = scenario.with_plan(plan.only(primary.id))
    wanted = _primary_measures(plan)
    for m in (chosen, Mechanism.NONE):
        if m in scenario.mechanisms:
            sides.append(_Side(f"a fresh trial, {m.value}", Simulator.of(fresh, m, imbalance=False), wanted))
    longer = _prolonged(scenario)
    if longer is not None:
        wanted = _primary_measures(longer.plan)
        for m in (chosen, Mechanism.NONE):
            if m in scenario.mechanisms:
                sides.append(_Side(f"52 weeks, {m.value}", Simulator.of(longer, m, imbalance=False), wanted))
    return list({s.name: s for s in sides}.values())


def _prolonged(scenario: Scenario) -> Scenario | None:
    """The same trial randomised for 52 weeks, with the primary analysis moved to its end."""
    protocol: Protocol = scenario.protocol
    if LONG_TRIAL_WEEKS not in protocol.visits or protocol.period_end >= LONG_TRIAL_WEEKS:
        return None
    key, _, test = scenario.plan.primary.partition(".")
    primary = scenario.plan.analysis(key)
    if not isinstance(primary, Repeated):
        return None
    moved = primary.model_copy(update={"id": f"{key}_randomised_52", "week": LONG_TRIAL_WEEKS})
    plan = scenario.plan.model_copy(update={"analyses": (moved,), "order": (f"{moved.id}.{test}",)})
    return scenario.model_copy(update={"protocol": protocol.prolonged(LONG_TRIAL_WEEKS), "plan": plan})


# -- the table ---------------------------------------------------------------------------------------------------


def _row(record: Record, t: Target, values: FloatArray) -> ReplicaRow:
    use = values[~np.isnan(values)]
    n = len(use)
    show: Callable[[float], float] = math.exp if t.ln else float
    if n == 0:
        mean = low = high = error = position = math.nan
    else:
        mean = float(np.median(use) if t.scale == "p" else np.mean(use))
        low, high = (float(q) for q in np.quantile(use, [0.025, 0.975]))
        error = _error_of_median(use) if t.scale == "p" else _error_of_mean(use)
        position = float(np.mean(use < t.value) + 0.5 * np.mean(use == t.value))
    return ReplicaRow(
        id=t.id,
        quantity=t.quantity,
        outcome=t.outcome,
        analysis_set=_set_of(record, t),
        arm=t.measure.arm,
        week=t.measure.week,
        method=t.method,
        unit=t.unit,
        scale=t.scale,
        published=show(t.value),
        published_low=t.low,
        published_high=t.high,
        published_se=t.se,
        source=t.where.source,
        place=t.where.place,
        confidence=t.where.confidence,
        result=t.result,
        simulated=show(mean),
        simulated_low=show(low),
        simulated_high=show(high),
        mc_error=error * (show(mean) if t.ln else 1.0),
        n_estimable=n,
        used_in_fit=t.used,
        use=t.use,
        position=position,
        z=None if t.se is None or n == 0 else (mean - t.value) / t.se,
    )


def _error_of_mean(values: FloatArray) -> float:
    return float(np.std(values, ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan


def _error_of_median(values: FloatArray) -> float:
    """Half the distance between the order statistics one binomial standard error either side of the median."""
    step = 0.5 / math.sqrt(len(values))
    low, high = np.quantile(values, [max(0.5 - step, 0.0), min(0.5 + step, 1.0)])
    return float(high - low) / 2


def _set_of(record: Record, t: Target) -> str:
    if t.measure.set is not None:
        return t.measure.set
    sets = {r.id: r.set for r in record.results} | {c.id: c.set for c in record.curves}
    return sets.get(str(t.result), "ITT")


def _bands(scenario: Scenario, study: Study) -> list[Band]:
    out = []
    for a in scenario.plan.analyses:
        if not isinstance(a, Repeated):
            continue
        for arm in scenario.protocol.arms:
            weeks = [w for w in scenario.protocol.visits if 0 < w <= a.week]
            stats = []
            for week in weeks:
                v = study.values(Measure("arm_mean", analysis=a.id, arm=arm, week=week))
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


def _shifts(study: Study, found: Sequence[Target]) -> tuple[str, ...]:
    """How far adjusting for NfL moved a difference, published and simulated in the same trials: a sharp check."""
    contrasts = {t.measure.analysis: t for t in found if t.measure.kind == "contrast" and t.scale == "difference"}
    out = []
    for name, adjusted in contrasts.items():
        planned = contrasts.get(str(name).removesuffix("_nfl"))
        if not str(name).endswith("_nfl") or planned is None or planned.measure.week != adjusted.measure.week:
            continue
        moved = study.values(adjusted.measure) - study.values(planned.measure)
        moved = moved[~np.isnan(moved)]
        if not len(moved):
            continue
        low, high = np.quantile(moved, [0.025, 0.975])
        out.append(
            f"{adjusted.quantity}, week {adjusted.measure.week:g}: adjusting for baseline NfL moved it by "
            f"{adjusted.value - planned.value:+.1f} as published, and by {moved.mean():+.1f} on average in the replica "
            f"(95 % of single trials {low:+.1f} to {high:+.1f})."
        )
    return tuple(out)


def _formal(scenario: Scenario, study: Study) -> dict[str, FloatArray]:
    """For each step of the test order, in which replicates it was formally met: it and all before it significant."""
    p = np.stack([study.values(m) for m in _order_measures(scenario.plan)], axis=1)
    met = closed_sequence_rejections(p, scenario.plan.alpha)
    return {name: met[:, k].astype(np.float64) for k, name in enumerate(scenario.plan.order)}


def _order_measures(plan: AnalysisPlan) -> list[Measure]:
    out = []
    for name in plan.order:
        key, _, test = name.partition(".")
        week = plan.analysis(key).week if test == "ancova" else None
        out.append(Measure(f"p_{test}", analysis=key, week=week))  # type: ignore[arg-type]
    return out


def _formal_answers(scenario: Scenario, formal: dict[str, FloatArray], replicates: int, command: str) -> list[Answer]:
    """The test order carried out: after a failed step everything is nominal."""
    out = []
    for name, hits in formal.items():
        key, _, test = name.partition(".")
        analysis = scenario.plan.analysis(key)
        what = analysis.variable if isinstance(analysis, Repeated) else analysis.event.replace("_", " ")
        share, error = _proportion(hits)
        label = f"{what} in {analysis.set} ({test.replace('_', ' ')})"
        out.append(
            Answer(
                id=f"formal:{name}",
                question=f"How often would {label} and all tests before it in the order be significant?",
                probability=share,
                mc_error=error,
                replicates=replicates,
                sentence=f"In the planned order of tests, {label} would be formally significant "
                f"{_times(share, replicates)}; otherwise its P value is nominal.",
                command=command,
            )
        )
    return out


# -- answers in words --------------------------------------------------------------------------------------------


def _met(p: FloatArray, contrast: FloatArray, alpha: float) -> FloatArray:
    """Significant, and in favour of the drug; a trial whose test is not estimable did not meet its endpoint."""
    with np.errstate(invalid="ignore"):
        return ((p < alpha) & (contrast > 0)).astype(np.float64)


def _share_met(study: Study, plan: AnalysisPlan) -> FloatArray:
    p, contrast = _primary_measures(plan)
    return _met(study.values(p), study.values(contrast), plan.alpha)


def _proportion(hits: FloatArray) -> tuple[float, float]:
    share = float(hits.mean())
    return share, math.sqrt(max(share * (1 - share), 0.25 / len(hits)) / len(hits))


def _times(share: float, replicates: int) -> str:
    """A probability as a person would say it, no finer than the number of replicates allows."""
    if replicates < 1000:
        return f"in {round(share * replicates)} of {replicates} trials"
    if share < 0.005:
        return "almost never (fewer than 1 in 200)"
    if share > 0.995:
        return "almost always"
    return f"in {100 * share:.0f} of 100 trials" if share >= 0.095 else f"in {100 * share:.1f} of 100 trials"


_IN_WORDS = {
    Mechanism.NONE: "no effect on function",
    Mechanism.SYMPTOMATIC: "a lift that leaves the rate of loss as it was",
    Mechanism.SLOWING: "slower loss",
    Mechanism.LAGGED: "slower loss after a delay",
}


def _answers(
    scenario: Scenario,
    chosen: Mechanism,
    primary_here: FloatArray,
    sides: dict[str, dict[Measure, FloatArray]],
    replicates: int,
    command: str,
) -> list[Answer]:
    plan = scenario.plan
    weeks = scenario.protocol.period_end
    n = sum(scenario.protocol.groups.values())

    def met(name: str, wanted: AnalysisPlan) -> FloatArray:
        p, contrast = _primary_measures(wanted)
        return _met(sides[name][p], sides[name][contrast], plan.alpha)

    def answer(key: str, question: str, hits: FloatArray, sentence: str) -> Answer:
        share, error = _proportion(hits)
        return Answer(
            key, question, share, error, replicates, sentence.format(times=_times(share, replicates)), command
        )

    works = f"if the drug works as fitted ({_IN_WORDS[chosen]})"
    out = [
        answer(
            "primary_as_it_happened",
            f"How often would this trial, with the arms as unlike at baseline as they were, have met its primary "
            f"endpoint {works}?",
            primary_here,
            f"With the imbalance of baseline neurofilament that this trial happened to have, it would have met its "
            f"primary endpoint {{times}} {works}.",
        )
    ]
    if f"a fresh trial, {chosen.value}" in sides:
        out.append(
            answer(
                "primary_if_it_works",
                f"How often would a trial like this meet its primary endpoint {works}?",
                met(f"a fresh trial, {chosen.value}", plan),
                f"A fresh trial of the same design ({n} patients, {weeks:g} weeks) would meet its primary endpoint "
                f"{{times}} {works}.",
            )
        )
    if f"a fresh trial, {Mechanism.NONE.value}" in sides:
        out.append(
            answer(
                "primary_if_nothing",
                "How often would it meet its primary endpoint if the drug does nothing for function?",
                met(f"a fresh trial, {Mechanism.NONE.value}", plan),
                "If the drug does nothing for function, the same trial would meet its primary endpoint in the drug's "
                "favour {times}.",
            )
        )
    longer = _prolonged(scenario)
    if longer is not None:
        if f"52 weeks, {chosen.value}" in sides:
            out.append(
                answer(
                    "primary_52_weeks",
                    f"And if its randomised period ran 52 weeks, {works}?",
                    met(f"52 weeks, {chosen.value}", longer.plan),
                    f"A fresh trial of such patients, randomised for 52 weeks and with the primary analysis at the "
                    f"end, would meet its endpoint {{times}} {works}.",
                )
            )
        if f"52 weeks, {Mechanism.NONE.value}" in sides:
            out.append(
                answer(
                    "primary_52_weeks_if_nothing",
                    "And over 52 weeks if the drug does nothing for function?",
                    met(f"52 weeks, {Mechanism.NONE.value}", longer.plan),
                    "Over 52 weeks, a drug that does nothing for function would meet it in its favour {times}.",
                )
            )
    return out


def _mechanism_rows(
    scenario: Scenario,
    mechanism: Mechanism,
    found: Sequence[Target],
    values: dict[Measure, FloatArray],
    replicates: int,
) -> list[MechanismRow]:
    misfit = scenario.fit.get("sum_of_squared_z", {}).get(mechanism.value)
    within = scenario.fit.get("within_one_se", {}).get(mechanism.value)
    rows = []
    for t in found:
        if t.measure not in values:
            continue
        use = values[t.measure]
        use = use[~np.isnan(use)]
        if not len(use):
            continue
        share, share_error = _proportion((use >= t.value).astype(np.float64))
        low, high = np.quantile(use, [0.025, 0.975])
        rows.append(
            MechanismRow(
                mechanism=mechanism.value,
                misfit=misfit,
                n_targets=None if within is None else int(str(within).rpartition(" ")[2]),
                id=t.id,
                quantity=t.quantity,
                result=t.result,
                published=t.value,
                mean=float(use.mean()),
                low=float(low),
                high=float(high),
                mc_error=_error_of_mean(use),
                at_least=share,
                at_least_mc_error=share_error,
                replicates=replicates,
            )
        )
    return rows


def _null_answer(row: MechanismRow, command: str) -> Answer:
    week = row.id.rpartition(":w")[2]
    adjusted = ", adjusted for baseline neurofilament," if "_nfl" in row.id else ""
    return Answer(
        id=f"null:{row.id}",
        question=f"How often would a drug that does nothing for function show a difference at week {week}"
        f"{adjusted} at least as large as the published one?",
        probability=row.at_least,
        mc_error=row.at_least_mc_error,
        replicates=row.replicates,
        sentence=f"If the drug does nothing for function, the difference at week {week}{adjusted} is at least as "
        f"large as published {_times(row.at_least, row.replicates)}.",
        command=command,
    )


def _notes(scenario: Scenario, chosen: Mechanism, rows: Sequence[ReplicaRow]) -> tuple[str, ...]:
    used = [r for r in rows if r.use == "fit" and r.within_one_se is not None]
    checks = [r for r in rows if r.use == "check" and r.within_one_se is not None]
    profile = scenario.fit.get("lag_profile") or {}
    lag = scenario.mechanisms[Mechanism.LAGGED].effect.lag if Mechanism.LAGGED in scenario.mechanisms else None
    lags: tuple[str, ...] = ()
    if profile and lag is not None:
        each = "; ".join(f"{float(k):g} weeks {v:.1f}" for k, v in profile.items())
        lags = (
            f"How long function follows behind injury: the fit gives {lag:.1f} weeks. With the lag held fixed and all "
            f"else fitted anew, the misfit of the functional curves (sum of squared distances) is: {each}.",
        )
    return (
        f"{sum(bool(r.within_one_se) for r in used)} of {len(used)} rows used in the fit and "
        f"{sum(bool(r.within_one_se) for r in checks)} of {len(checks)} rows held as checks (after the randomised "
        "period) lie within one published standard error of what was published. Counts copied into the scenario and "
        "restatements of fitted numbers are in neither sum.",
        f"Mechanism in the main study: {chosen.value}. Natural history and effect were fitted to the randomised "
        f"period (to week {scenario.protocol.period_end:g}); nothing after it entered the fit.",
        *lags,
    )
