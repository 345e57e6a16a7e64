"""A design study carried out: virtual trials of every conduct in every world, read once for each primary analysis."""

from __future__ import annotations

import hashlib
import json
import math
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from equipoise import __version__
from equipoise.design.calendar_trials import CalendarMaker
from equipoise.design.examples import examples_of
from equipoise.design.looks import calendar_maker, seen_of
from equipoise.design.result import Cell, DesignResult, share_error
from equipoise.design.rules import Condition, Found, Rule, rule_of, succeeded
from equipoise.design.study import Conduct, Design, DesignStudy, load_study
from equipoise.design.trials import RESOURCES, Asked, CellMaker, asked_by, pair, scenario_for, simulator_for
from equipoise.design.truth import true_effects, truth_key
from equipoise.design.worlds import World
from equipoise.errors import OutputError, ScenarioError
from equipoise.files import write_text
from equipoise.files.reading import reason
from equipoise.plan.key import Key
from equipoise.run.executors import Executor, Task, Threads
from equipoise.run.store import Part, Store
from equipoise.run.study import column_reader, grow, program, read_parts
from equipoise.simulate import Scenario, load_scenario
from equipoise.types import WEEKS_PER_MONTH, BoolArray, FloatArray

TRIALS = "trials"
"""The folder of a study in which the numbers of its virtual trials lie, one folder a cell."""

MORE = 4
"""How many times as many replicates a cell near the target gets at a time."""


@dataclass(frozen=True)
class _Prepared:
    conduct: Conduct
    world: str
    maker: CellMaker | CalendarMaker
    asked: dict[str, tuple[Asked, ...]]  # primary -> its conditions
    rule: tuple[Asked, ...]


def design(
    study: DesignStudy | str | Path,
    *,
    replicates: int | None = None,
    up_to: int | None = None,
    seed: int | None = None,
    executor: Executor | None = None,
    out: Path | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    rules: Mapping[str, Rule] | None = None,
    code: bool = False,
) -> DesignResult:
    """Judge every design of a study in every world.

    Parameters
    ----------
    study : a :class:`DesignStudy`, a shipped one by name (``next-als``), or a file.
    replicates : virtual trials a cell; default the study's. 1,000 to explore, 10,000 to decide, 100,000 to claim a type
    I error. up_to : go on, in steps, up to so many in cells within two Monte Carlo errors of the target. seed : default
    the study's; replicate r has the same patients in every design. executor : where the work is done
    (:func:`equipoise.run.executors.executor_named`); default threads. out : a folder to keep the trials' numbers in,
    and to go on from. progress : called with what is being done, how much is done, and of how much. rules : functions
    in place of those that primaries name, by the primary. code : whether functions that primaries name are run.

    Raises
    ------
    ScenarioError : the study asks for what the scenario cannot be. OutputError : the folder cannot be written, or
    belongs to another study.

    Examples
    --------
    >>> from equipoise.design import load_study
    >>> study = load_study("next-als")
    >>> small = study.with_(
    ...     factors={**study.factors.model_dump(), "weeks": [28, 52], "patients": [108], "enrichment": ["all"],
    ...              "extension": [0.0], "primary": ["ancova"]},
    ...     worlds={"lag13": study.worlds["lag13"]})
    >>> result = design(small, replicates=60)
    >>> short, long = result.cells
    >>> long.success > short.success
    True
    """
    chosen = study if isinstance(study, DesignStudy) else load_study(study)
    if seed is not None:
        chosen = chosen.with_(seed=seed)
    n = chosen.replicates if replicates is None else replicates
    if n < 2:
        raise ScenarioError(f"{n} replicates", hint="ask for at least 2, e.g. --replicates 1000")
    base = load_scenario(chosen.base)
    own = {
        name: rule
        for name in dict.fromkeys(d.primary for d in chosen.designs())
        if (rule := rule_of(chosen.primaries[name], name, rules or {}, code)) is not None
    }
    prepared = prepare(chosen, base)
    hands = executor or Threads()
    told = progress or (lambda what, done, total: None)
    if out is None:
        with tempfile.TemporaryDirectory(prefix="equipoise-design-") as folder:
            return _carried_out(chosen, base, prepared, n, up_to, hands, Path(folder), told, own)
    _claim(out, chosen, n)
    return _carried_out(chosen, base, prepared, n, up_to, hands, out, told, own)


def prepare(study: DesignStudy, base: Scenario) -> list[_Prepared]:
    """The simulators of a study, one a conduct and world, and where their answers stand; nothing is simulated.

    Designs with looks, or with arms that come and go, have one each.
    """
    out = []
    conducts: dict[Conduct, list[str]] = {}
    own: list[Design] = []
    for one in study.designs():
        if study.by_calendar(one):
            own.append(one)
        else:
            conducts.setdefault(one.conduct, []).append(one.primary)
    for conduct, primaries in conducts.items():
        for name, world in study.worlds.items():
            out.append(_at_once(study, base, conduct, primaries, name, world))
    for one in own:
        for name, world in study.worlds.items():
            made = calendar_maker(study, base, one, world, name)
            out.append(_Prepared(one.conduct, name, made, {one.primary: ()}, ()))
    if study.intercurrent_events:
        _check_events(study, out)
    return out


def _check_events(study: DesignStudy, prepared: list[_Prepared]) -> None:
    """Every intercurrent event is of a test that an analysis of some design offers."""
    offered = {test for p in prepared for test in p.maker.simulator.scenario.plan.offered()}
    for k, event in enumerate(study.intercurrent_events, start=1):
        if event.analysis not in offered:
            raise ScenarioError(
                f"intercurrent_events, item {k}: {event.event} in the {event.analysis}: no analysis that is read "
                f"offers {event.analysis!r}",
                hint=f"they offer {', '.join(sorted(offered))}",
            )


def _at_once(
    study: DesignStudy, base: Scenario, conduct: Conduct, primaries: list[str], name: str, world: World
) -> _Prepared:
    """The trials of a conduct that end when the last patient has been seen, whatever they show."""
    scenario = scenario_for(base, study, conduct, world, name, only_read=True)
    arms = scenario.protocol.arms
    pairs = {arm: pair(scenario, arm) for arm in arms[1:]}

    def asked(condition: Condition, place: str) -> Asked:
        arm = condition.arm or arms[1]
        if arm not in pairs:
            raise ScenarioError(f"{place}: no active arm {arm!r}", hint=f"active arms are {', '.join(pairs)}")
        if condition.arm is None and len(pairs) > 1:
            raise ScenarioError(
                f"{place}: several arms are compared with control", hint=f"write arm: one of {', '.join(pairs)}"
            )
        return asked_by(condition, pairs[arm], conduct, arm, arm if len(pairs) > 1 else None)

    wanted = {
        p: tuple(
            asked(c, ".".join(["primaries", p, *(str(x + 1 if isinstance(x, int) else x) for x in place)]))
            for place, c in zip(study.primaries[p].places(), study.primaries[p].conditions, strict=True)
        )
        for p in primaries
    }
    rule = tuple(asked(c, f"rule[{k}]") for k, c in enumerate(study.rule, 1)) if conduct.extension > 0.0 else ()
    keys: dict[str | None, dict[Key, None]] = {}
    for condition in (*(c for cs in wanted.values() for c in cs), *rule):
        found = dict.fromkeys(k for k in (condition.p, condition.estimate, condition.se) if k is not None)
        keys.setdefault(condition.arm, {}).update(found)
    simulator = simulator_for(study, scenario, world.draws)
    if len(pairs) == 1:
        maker = CellMaker(simulator, tuple(keys.get(None, ())), study.seed)
    else:
        read = tuple((arms.index(arm), pairs[arm], tuple(k)) for arm, k in keys.items() if arm is not None)
        maker = CellMaker(simulator, (), study.seed, read)
    return _Prepared(conduct, name, maker, wanted, rule)


def _claim(out: Path, study: DesignStudy, replicates: int) -> None:
    """Two studies do not share a folder: ``design.json`` says which one is at home."""
    own = out / "design.json"
    key = hashlib.sha256(study.deciding().encode()).hexdigest()
    try:
        out.mkdir(parents=True, exist_ok=True)
        there = json.loads(own.read_text(encoding="utf-8")) if own.exists() else None
        other = there is not None and there.get("key") != key
    except OSError as error:
        raise OutputError(f"{out}: cannot be used ({reason(error)})", hint="name a folder: --out runs") from None
    except (ValueError, AttributeError):
        other = True
    if other:
        raise OutputError(
            f"{out}: holds another design study, or an earlier text of this one",
            hint="name another folder with --out, or remove this one",
        )
    said = {"key": key, "replicates": replicates, "study": study.model_dump(mode="json", exclude_none=True)}
    write_text(own, json.dumps(said, indent=1) + "\n")


def _carried_out(
    study: DesignStudy,
    base: Scenario,
    prepared: list[_Prepared],
    replicates: int,
    up_to: int | None,
    hands: Executor,
    folder: Path,
    told: Callable[[str, int, int], None],
    rules: Mapping[str, Rule],
) -> DesignResult:
    truths = true_effects(study, base, prepared, told)
    tasks = [Task(p.maker, Store.open(folder / TRIALS, p.maker.key, p.maker.columns), program()) for p in prepared]
    told("simulating", 0, replicates * len(tasks))
    parts: dict[int, tuple[int, tuple[Part, ...]]] = {}

    def made(which: list[int], n: int) -> None:
        grown = grow([tasks[k] for k in which], n, hands, lambda done, total: told(f"{n} replicates", done, total))
        parts.update({k: (n, g) for k, g in zip(which, grown, strict=True)})

    made(list(range(len(tasks))), replicates)
    n = replicates
    while up_to is not None and n < up_to:
        n = min(up_to, n * MORE)
        open_still = []
        for k, p in enumerate(prepared):
            cells = _cells(study, base, p, *parts[k], truths, rules)
            near = any(abs(c.success - study.target) < 2.0 * c.mc_error for c in cells if not c.no_effect)
            open_still += [k] if near else []
        if not open_still:
            break
        made(open_still, n)
    cells = [c for k, p in enumerate(prepared) for c in _cells(study, base, p, *parts[k], truths, rules)]
    order = {d: i for i, d in enumerate(study.designs())}
    worlds = list(study.worlds)
    cells.sort(key=lambda c: (order[c.design], worlds.index(c.world)))
    return DesignResult(study, tuple(cells), __version__)


def _cells(
    study: DesignStudy,
    base: Scenario,
    prepared: _Prepared,
    replicates: int,
    parts: tuple[Part, ...],
    truths: dict[tuple[Any, ...], float],
    rules: Mapping[str, Rule],
) -> list[Cell]:
    """The cells of a conduct in a world: one for each primary."""
    maker = prepared.maker
    if isinstance(maker, CalendarMaker):
        return [_cell_of_looks(study, prepared, maker, replicates, parts, truths)]
    values = column_reader(parts, maker.columns, replicates)

    def found(asked: Asked) -> Found:
        nothing = np.full(replicates, np.nan)
        estimate = nothing if asked.estimate is None else values(asked.column(asked.estimate))
        se = nothing if asked.se is None else values(asked.column(asked.se))
        return Found(values(asked.column(asked.p)), estimate, asked.better * estimate, se)

    def met(asked: Asked) -> BoolArray:
        return found(asked).met(asked.condition, asked.sign != 0)[0]

    world = study.worlds[prepared.world]
    weeks, off, deaths = (float(values(name).mean()) for name in RESOURCES)
    named = _named(prepared, met, world) if prepared.rule else None
    out = []
    for primary, conditions in prepared.asked.items():
        success, failed, stop = succeeded(
            study.primaries[primary],
            [found(c) for c in conditions],
            [c.sign != 0 for c in conditions],
            primary,
            rules.get(primary),
        )
        share = float(success.mean())
        first = conditions[0]
        named_by = None if first.estimate is None else first.estimate.analysis
        arms = maker.simulator.scenario.protocol.arms
        truth = truths.get(truth_key(prepared.conduct, prepared.world, named_by, first.arm or arms[1]))
        out.append(
            Cell(
                design=Design(**prepared.conduct.model_dump(), primary=primary),
                world=prepared.world,
                replicates=replicates,
                success=share,
                mc_error=share_error(share, replicates),
                failures=int(failed.sum()),
                no_effect=world.no_effect,
                **_estimates(first, values, truth),
                named_rightly=named,
                patient_weeks=weeks,
                control_weeks=off,
                deaths=deaths,
                months=_months(study, base, prepared.conduct),
                successes=success,
                no_go=stop,
                examples=examples_of(
                    values(first.column(first.p)),
                    None if first.estimate is None else values(first.column(first.estimate)),
                    success,
                    no_effect=world.no_effect,
                    sign=first.better or 1,
                ),
                numbers=_numbers([found(c) for c in (*conditions, *prepared.rule)]),
            )
        )
    return out


def _cell_of_looks(
    study: DesignStudy,
    prepared: _Prepared,
    maker: CalendarMaker,
    replicates: int,
    parts: tuple[Part, ...],
    truths: dict[tuple[Any, ...], float],
) -> Cell:
    """The cell of a design that goes by the calendar, in a world."""
    table = read_parts(parts, range(len(maker.columns)), replicates)
    values = {name: np.asarray(table[:, k]) for k, name in enumerate(maker.columns)}
    arms, world = maker.simulator.scenario.protocol.arms, study.worlds[prepared.world]
    primary = next(iter(prepared.asked))
    analysis = str(maker.test.p.analysis)
    true = [truths.get(truth_key(prepared.conduct, prepared.world, analysis, arm)) for arm in arms[1:]]
    chosen = values["chosen"].astype(np.int64)
    truth = None
    if all(t is not None for t in true):
        by_hypothesis = np.array([float(true[a - 1] or 0.0) for a, _ in maker.hypotheses])
        truth = by_hypothesis[chosen]
    success = values["success"] > 0.5
    share = float(success.mean())
    return Cell(
        design=Design(**prepared.conduct.model_dump(), primary=primary),
        world=prepared.world,
        replicates=replicates,
        success=share,
        mc_error=share_error(share, replicates),
        failures=int(values["failed"].sum()),
        no_effect=world.no_effect,
        **against(values["estimate"], values["se"], truth),
        named_rightly=None,
        patient_weeks=float(values["patient_weeks"].mean()),
        control_weeks=float(values["control_weeks"].mean()),
        deaths=float(values["deaths"].mean()),
        months=float(values["months"].mean()),
        successes=success,
        seen=seen_of(maker, values, truth),
        numbers=values["estimate"][:, None],
    )


def _numbers(found: list[Found]) -> FloatArray:
    """(replicate, number) what the conditions' tests estimate; the Z of every test where one of them estimates nothing.

    Never estimates beside Z: their ratio is the standard error, and worlds would be told apart by that.
    """
    from scipy.special import ndtri

    if all(np.isfinite(one.estimate).any() for one in found):
        return np.column_stack([one.estimate for one in found])

    def z(one: Found) -> FloatArray:
        p = np.clip(one.p, 1e-300, 1.0 - 1e-16)
        if np.isfinite(one.estimate).any():  # its test is two-sided
            return np.asarray(np.sign(one.estimate) * -ndtri(p / 2.0))
        return np.asarray(-ndtri(p))

    return np.column_stack([z(one) for one in found])


def _named(prepared: _Prepared, met: Callable[[Asked], BoolArray], world: World) -> float:
    """Share of trials that the three questions name rightly."""
    first, second, third = (met(c) for c in prepared.rule)
    modifying = first & second & third
    said = {"disease-modifying": modifying, "symptomatic": first & ~modifying, "none": ~first}
    return float(said[world.kind].mean())


def _estimates(asked: Asked, values: Callable[[str], FloatArray], truth: float | None) -> dict[str, Any]:
    if asked.estimate is None or asked.se is None:
        return against(np.zeros(0), np.zeros(0), None)
    estimate, se = values(asked.column(asked.estimate)), values(asked.column(asked.se))
    return against(estimate, se, None if truth is None else np.full(len(estimate), truth))


def against(estimate: FloatArray, se: FloatArray, truth: FloatArray | None) -> dict[str, Any]:
    """Estimates (replicate,) held against the true effect: means, bias, coverage."""
    names = ("effect", "true_effect", "bias", "bias_error", "sd", "mean_se", "coverage")
    nothing: dict[str, float | None] = dict.fromkeys(names)
    seen = np.isfinite(estimate) & np.isfinite(se)
    if seen.sum() < 2:
        return nothing
    estimate, se = estimate[seen], se[seen]
    sd = float(estimate.std(ddof=1))
    out = {**nothing, "effect": float(estimate.mean()), "sd": sd, "mean_se": float(se.mean())}
    if truth is not None:
        from scipy.special import ndtri

        true = truth[seen]
        inside = np.abs(estimate - true) <= float(ndtri(0.975)) * se
        spread = float((estimate - true).std(ddof=1))
        out |= {
            "true_effect": float(true.mean()),
            "bias": float(estimate.mean()) - float(true.mean()),
            "bias_error": spread / math.sqrt(len(estimate)),
            "coverage": float(inside.mean()),
        }
    return out


def _months(study: DesignStudy, base: Scenario, conduct: Conduct) -> float:
    groups = base.protocol.groups
    own = study.enrichments[conduct.enrichment]
    if study.accrual is not None:
        months = study.accruing(conduct, groups).months_for(conduct.patients)
    else:
        who = tuple(own.shares or own.groups or groups)
        rate = float(study.recruited_a_month or 1.0) * sum(groups[g] for g in who) / sum(groups.values())
        months = conduct.patients / (rate * own.admitted)
    return months + conduct.end / WEEKS_PER_MONTH
