"""A design study carried out: virtual trials of every conduct in every world, read once for each primary analysis."""

from __future__ import annotations

import hashlib
import json
import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from equipoise import __version__
from equipoise.design.result import Cell, DesignResult, share_error
from equipoise.design.study import Conduct, Design, DesignStudy, World, load_study
from equipoise.design.trials import RESOURCES, Asked, CellMaker, asked_by, scenario_for
from equipoise.errors import OutputError, ScenarioError
from equipoise.files import write_text
from equipoise.files.reading import reason
from equipoise.plan.key import Key
from equipoise.run.executors import Executor, Task, Threads
from equipoise.run.store import Part, Store
from equipoise.run.study import grow, program, read_parts
from equipoise.simulate import Scenario, Simulator, load_scenario
from equipoise.types import WEEKS_PER_MONTH, BoolArray, FloatArray

UNDISTURBED = 100
"""Pairs of trials, with the drug and without, from which the true effect is taken."""

TRIALS = "trials"
"""The folder of a study in which the numbers of its virtual trials lie, one folder a cell."""

MORE = 4
"""How many times as many replicates a cell near the target gets at a time."""


@dataclass(frozen=True)
class _Prepared:
    conduct: Conduct
    world: str
    maker: CellMaker
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
) -> DesignResult:
    """Judge every design of a study in every world.

    Parameters
    ----------
    study : a :class:`DesignStudy`, a shipped one by name (``next-als``), or a file.
    replicates : virtual trials a cell; default the study's. 1,000 to explore, 10,000 to decide, 100,000 to claim a type
    I error. up_to : go on, in steps, up to so many in cells within two Monte Carlo errors of the target. seed : default
    the study's; replicate r has the same patients in every design. executor : where the work is done
    (:func:`equipoise.run.executors.executor_named`); default threads. out : a folder to keep the trials' numbers in,
    and to go on from. progress : called with what is being done, how much is done, and of how much.

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
    prepared = prepare(chosen, base)
    hands = executor or Threads()
    told = progress or (lambda what, done, total: None)
    if out is None:
        with tempfile.TemporaryDirectory(prefix="equipoise-design-") as folder:
            return _carried_out(chosen, base, prepared, n, up_to, hands, Path(folder), told)
    _claim(out, chosen, n)
    return _carried_out(chosen, base, prepared, n, up_to, hands, out, told)


def prepare(study: DesignStudy, base: Scenario) -> list[_Prepared]:
    """The simulators of a study, one a conduct and world, and where their answers stand; nothing is simulated."""
    out = []
    conducts: dict[Conduct, list[str]] = {}
    for one in study.designs():
        conducts.setdefault(one.conduct, []).append(one.primary)
    for conduct, primaries in conducts.items():
        for name, world in study.worlds.items():
            scenario = scenario_for(base, study, conduct, world, name)
            active = scenario.protocol.arms[1]

            def asked(
                conditions: Any, scenario: Scenario = scenario, conduct: Conduct = conduct, active: str = active
            ) -> Any:
                return tuple(asked_by(c, scenario, conduct, active) for c in conditions)

            wanted = {p: asked(study.primaries[p].all) for p in primaries}
            rule = asked(study.rule) if conduct.extension > 0.0 else ()
            keys: dict[Key, None] = {}
            for condition in (*(c for cs in wanted.values() for c in cs), *rule):
                keys |= dict.fromkeys(k for k in (condition.p, condition.estimate, condition.se) if k is not None)
            simulator = Simulator.of(scenario, world.mechanism, imbalance=study.imbalance)
            maker = CellMaker(simulator, tuple(keys), study.seed)
            out.append(_Prepared(conduct, name, maker, wanted, rule))
    return out


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
) -> DesignResult:
    truths = _true_effects(study, base, prepared, told)
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
            cells = _cells(study, base, p, *parts[k], truths)
            near = any(abs(c.success - study.target) < 2.0 * c.mc_error for c in cells if not c.no_effect)
            open_still += [k] if near else []
        if not open_still:
            break
        made(open_still, n)
    cells = [c for k, p in enumerate(prepared) for c in _cells(study, base, p, *parts[k], truths)]
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
) -> list[Cell]:
    """The cells of a conduct in a world: one for each primary."""
    maker = prepared.maker
    columns = {name: k for k, name in enumerate(maker.columns)}
    table = read_parts(parts, range(len(columns)), replicates)

    def values(name: str) -> FloatArray:
        return np.asarray(table[:, columns[name]])

    def met(asked: Asked) -> tuple[BoolArray, BoolArray]:
        p = values(asked.p.id)
        found = np.isfinite(p)
        yes = found & (np.where(found, p, 1.0) < asked.alpha)
        if asked.sign and asked.estimate is not None:
            yes &= asked.sign * np.nan_to_num(values(asked.estimate.id)) > 0.0
        return yes, ~found

    world = study.worlds[prepared.world]
    weeks, off, deaths = (float(values(name).mean()) for name in RESOURCES)
    named = _named(prepared, met, world) if prepared.rule else None
    out = []
    for primary, conditions in prepared.asked.items():
        success, failed = np.ones(replicates, np.bool_), np.zeros(replicates, np.bool_)
        for condition in conditions:
            yes, lost = met(condition)
            success &= yes
            failed |= lost
        share = float(success.mean())
        first = conditions[0]
        truth = truths.get(_truth_key(prepared.conduct, prepared.world, first))
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
            )
        )
    return out


def _named(prepared: _Prepared, met: Callable[[Asked], tuple[BoolArray, BoolArray]], world: World) -> float:
    """Share of trials that the three questions name rightly."""
    first, second, third = (met(c)[0] for c in prepared.rule)
    modifying = first & second & third
    said = {"disease-modifying": modifying, "symptomatic": first & ~modifying, "none": ~first}
    return float(said[world.kind].mean())


def _estimates(asked: Asked, values: Callable[[str], FloatArray], truth: float | None) -> dict[str, float | None]:
    names = ("effect", "true_effect", "bias", "bias_error", "sd", "mean_se", "coverage")
    nothing: dict[str, float | None] = dict.fromkeys(names)
    if asked.estimate is None or asked.se is None:
        return nothing
    estimate, se = values(asked.estimate.id), values(asked.se.id)
    seen = np.isfinite(estimate) & np.isfinite(se)
    if seen.sum() < 2:
        return nothing
    estimate, se = estimate[seen], se[seen]
    sd = float(estimate.std(ddof=1))
    out = {**nothing, "effect": float(estimate.mean()), "sd": sd, "mean_se": float(se.mean())}
    if truth is not None:
        from scipy.special import ndtri

        inside = np.abs(estimate - truth) <= float(ndtri(0.975)) * se
        out |= {
            "true_effect": truth,
            "bias": float(estimate.mean()) - truth,
            "bias_error": sd / math.sqrt(len(estimate)),
            "coverage": float(inside.mean()),
        }
    return out


def _months(study: DesignStudy, base: Scenario, conduct: Conduct) -> float:
    groups = base.protocol.groups
    who = study.enrichments[conduct.enrichment].groups or tuple(groups)
    rate = study.recruited_a_month * sum(groups[g] for g in who) / sum(groups.values())
    return conduct.patients / rate + conduct.end / WEEKS_PER_MONTH


# -- the true effect -----------------------------------------------------------------------------------------------


def _truth_key(conduct: Conduct, world: str, asked: Asked) -> tuple[Any, ...]:
    analysis = None if asked.estimate is None else asked.estimate.analysis
    return conduct.weeks, conduct.enrichment, world, analysis


def _true_effects(
    study: DesignStudy, base: Scenario, prepared: list[_Prepared], told: Callable[[str, int, int], None]
) -> dict[tuple[Any, ...], float]:
    """What the drug does to the outcome of those on it at the end of the randomised period, nobody leaving.

    The same virtual patients are followed with the drug and without: nothing but the drug differs, so that a hundred
    pairs of trials tell the effect to a few hundredths of a point. Only outcomes that are analysed as they are have
    one.
    """
    if not study.undisturbed:
        return {}
    out: dict[tuple[Any, ...], float] = {}
    for done, p in enumerate(prepared):
        told("true effects", done, len(prepared))
        scenario = p.maker.simulator.scenario
        for conditions in p.asked.values():
            key = _truth_key(p.conduct, p.world, conditions[0])
            if conditions[0].se is None or key in out or key[-1] is None:
                continue
            analysis = scenario.plan.analysis(str(key[-1]))
            variable, log = getattr(analysis, "variable", None), getattr(analysis, "log", False)
            if variable is None or log:
                continue
            out[key] = _true_effect(study, base, p, str(variable), str(analysis.set))
    return out


def _true_effect(study: DesignStudy, base: Scenario, p: _Prepared, variable: str, who: str) -> float:
    world = study.worlds[p.world]
    quiet = world.model_copy(update={"disease": {**world.disease, **study.undisturbed}})
    drug = scenario_for(base, study, p.conduct, quiet, p.world)
    hypothesis = next(iter(drug.mechanisms.values()))
    none = type(hypothesis.effect).model_validate({"mechanism": "none"})
    without = drug.model_copy(
        update={
            "mechanisms": {none.mechanism: hypothesis.model_copy(update={"effect": none})},
            "default_mechanism": none.mechanism,
        }
    )
    values = []
    for scenario in (drug, without):
        trials = Simulator.of(scenario, imbalance=False).block(study.seed, 0, UNDISTURBED)
        at = trials.visit_index(p.conduct.weeks)
        inside = trials.members(who) & (trials.arm == 1)
        values.append(np.where(inside, trials.outcomes[variable][:, :, at], np.nan))
    return float(np.nanmean(values[0] - values[1]))
