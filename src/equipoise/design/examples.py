"""Single virtual trials of a study worth looking at: a typical one, a near miss, a misleading one; each replayed."""

from __future__ import annotations

import html
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from equipoise.design.study import Design, DesignStudy
from equipoise.errors import ScenarioError
from equipoise.files import write_text
from equipoise.types import BoolArray, FloatArray

if TYPE_CHECKING:
    from equipoise.design.result import Cell, DesignResult

TYPICAL, NEAR_MISS, MISLEADING = "typical", "near-miss", "misleading"


@dataclass(frozen=True)
class Example:
    """One replicate of a cell: why it was chosen, its number, its p-value and, where there is one, its estimate."""

    kind: str
    replicate: int
    p: float
    estimate: float | None


def examples_of(
    p: FloatArray, estimate: FloatArray | None, success: BoolArray, *, no_effect: bool, sign: int = 1
) -> tuple[Example, ...]:
    """The examples that a cell offers, of arrays (replicate,).

    Typical: the estimate (or, without one, the p-value) in the middle. Near miss: of the trials that did not succeed,
    the one with the smallest p-value. Misleading: without an effect, the success with the smallest p-value; with one,
    the trial that speaks most against the drug.

    Examples
    --------
    >>> p, e = np.array([0.01, 0.2, 0.06]), np.array([3.0, -1.0, 1.5])
    >>> [(x.kind, x.replicate) for x in examples_of(p, e, p < 0.05, no_effect=False)]
    [('typical', 2), ('near-miss', 2), ('misleading', 1)]
    """
    found: dict[str, int] = {}
    usable = np.isfinite(p) if estimate is None else np.isfinite(p) & np.isfinite(estimate)
    if not usable.any():
        return ()
    by = p if estimate is None else sign * estimate
    middle = float(np.median(by[usable]))
    found[TYPICAL] = _least(np.abs(by - middle), usable)
    favours = usable if estimate is None else usable & (sign * estimate > 0.0)
    if (favours & ~success).any():
        found[NEAR_MISS] = _least(p, favours & ~success)
    if no_effect and (success & usable).any():
        found[MISLEADING] = _least(p, success & usable)
    elif not no_effect:
        found[MISLEADING] = _least(-p if estimate is None else by, usable)
    return tuple(
        Example(kind, k, float(p[k]), None if estimate is None else float(estimate[k])) for kind, k in found.items()
    )


def _least(values: FloatArray, where: BoolArray) -> int:
    return int(np.argmin(np.where(where, values, np.inf)))


def chosen(made: DesignResult) -> tuple[tuple[Cell, Example], ...]:
    """The three trials of a study: typical and near miss where the drug works, misleading where it does not.

    They are of the smallest design that reaches the target in the middle one of the worlds in which the drug works, or
    of the one that comes nearest.
    """
    working = [name for name, w in made.study.worlds.items() if not w.no_effect and made.of(name)]
    idle = [name for name, w in made.study.worlds.items() if w.no_effect and made.of(name)]
    if not working:
        return ()
    world = working[len(working) // 2]
    cell = made.smallest(world) or max(made.of(world), key=lambda c: c.success)
    out = [(cell, e) for e in cell.examples if e.kind != MISLEADING]
    twin = next((c for name in idle for c in made.of(name) if c.design == cell.design), cell)
    odd = [(twin, e) for e in twin.examples if e.kind == MISLEADING]
    return (*out, *(odd or [(cell, e) for e in cell.examples if e.kind == MISLEADING]))


def told(example: Example, made: DesignResult, cell: Cell) -> str:
    """One sentence on an example."""
    world = made.study.worlds[cell.world].label
    words = {
        TYPICAL: f"a typical trial if the truth is: {world}",
        NEAR_MISS: f"a near miss if the truth is: {world}",
        MISLEADING: f"a misleading trial, if the truth is: {world}",
    }
    said = "" if example.estimate is None else f", estimate {example.estimate:.2f}"
    return f"{words[example.kind]} (replicate {example.replicate}: p = {example.p:.3g}{said})"


def command_of(study: DesignStudy, cell: Cell, example: Example) -> str:
    """The command that replays an example."""
    levels = ",".join(f"{k}={_plain(v)}" for k, v in cell.design.levels().items() if v is not None)
    return (
        f"equipoise design {study.name} --replay {example.replicate} --world {cell.world} --design {levels} "
        f"--out {example.kind}"
    )


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def design_named(study: DesignStudy, text: str) -> Design:
    """The one design of a study with these levels, ``weeks=52,patients=216``; a factor may be left out.

    Raises
    ------
    ScenarioError : it is malformed, or names none or several designs.
    """
    wanted: dict[str, str] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, equals, value = part.partition("=")
        if not equals:
            raise ScenarioError(f"--design: {part!r} is not factor=level", hint="e.g. weeks=52,patients=216")
        wanted[name.strip()] = value.strip()
    designs = list(study.designs())
    known = list(designs[0].levels())
    for name in wanted:
        if name not in known:
            raise ScenarioError(f"--design: no factor {name!r}", hint=f"factors are {', '.join(known)}")
    found = [d for d in designs if all(_plain(d.levels().get(k)) == v for k, v in wanted.items())]
    if not found:
        raise ScenarioError(f"--design {text}: the study has no such design", hint="levels as in factors of the study")
    return found[0]


def replay(study: DesignStudy, design: Design, world: str, replicate: int, out: Path) -> list[Path]:
    """Write one virtual trial: ADaM data sets, its plan, its tables, and ``trial.html`` with every patient's course.

    The trial has the outcomes of its scenario, those that the study does not read too.

    Raises
    ------
    ScenarioError : there is no such world. OutputError : the folder cannot be written.
    """
    from equipoise.design.course import patients, simulated
    from equipoise.design.trials import scenario_for
    from equipoise.plan.analysis_plan import dump_plan, read_plan
    from equipoise.plan.carry_out import analyse
    from equipoise.render.plots import patients as drawn
    from equipoise.render.tables.tables import to_text, write_results
    from equipoise.simulate import load_scenario
    from equipoise.trial.adam import from_trial, read_adam, write_adam

    batch = simulated(study, design, world, replicate, 1)
    adam = out / "adam"
    written = list(write_adam(from_trial(batch[0]), adam))
    scenario = scenario_for(load_scenario(study.base), study, design.conduct, study.worlds[world], world)
    plan = adam / "plan.yaml"
    write_text(plan, dump_plan(scenario.whole_plan()))
    asked = read_plan(plan)
    results = analyse(read_adam(adam, needed=asked.needs()), asked, command=f"equipoise analyse {plan} --data {adam}")
    written += [plan, *write_results(results, out / "results")]
    label = f"{design.label}: {study.worlds[world].label}, replicate {replicate}"
    plot = drawn(patients(study, design, world, replicate), title="Every patient")
    page = out / "trial.html"
    write_text(page, _page(label, plot.svg(id="patients"), to_text(results, 110), str(plan), str(adam)))
    return [*written, page]


_STYLE = """
:root { color-scheme: light dark; } svg { max-width: 100%; height: auto; background: #fff; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 60rem; padding: 1rem; }
pre { overflow-x: auto; font-size: 0.8rem; }
"""


def _page(label: str, drawing: str, tables: str, plan: str, data: str) -> str:
    e = html.escape
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{e(label)}</title>'
        f"<style>{_STYLE}</style></head><body><main>\n"
        f"<h1>One virtual trial</h1><p>{e(label)}.</p><p>Nobody lived this trial: it was drawn from a model. "
        "Imputations are drawn anew here: an estimate after imputation differs a little from that in the study.</p>\n"
        f'<figure>{drawing}</figure>\n<h2>Its analyses</h2>\n<div role="region" tabindex="0" aria-label="Analyses">'
        f"<pre>{e(tables)}</pre></div>\n"
        f"<p>Data sets: <code>{e(data)}</code>. Again: <code>equipoise analyse {e(plan)} --data {e(data)}</code></p>\n"
        "</main></body></html>\n"
    )
