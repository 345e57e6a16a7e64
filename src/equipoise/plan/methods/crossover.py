"""Two periods, two sequences: the crossover, in a plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl
from pydantic import Field

from equipoise.errors import EstimationError
from equipoise.estimate.result import Estimate
from equipoise.plan.key import Key
from equipoise.plan.methods.estimates import P, against, reasons
from equipoise.plan.methods.registry import Found, Method, Place
from equipoise.plan.parts import Section
from equipoise.plan.prepared import Prepared, compared
from equipoise.plan.results import Block, Row
from equipoise.plan.trial_estimates import TrialEstimates
from equipoise.types import Status

if TYPE_CHECKING:
    from equipoise.plan.analysis_plan import Analysis
    from equipoise.trial import Trials

NUMBERS = {"treatment": "Active less control", "period": "Period 1 less period 2", "carry_over": "Carry-over"}


class CrossoverSection(Section):
    """Two periods that end at the visits ``first`` and ``second``: treatment, period and carry-over.

    The control arm is the sequence that has control first, the other the one that has active first. ``baselines``: the
    visits at which the periods begin, whose values are taken off. ``value``: what is measured; ``visit``: its number.
    """

    method: Literal["crossover"]
    first: float = Field(gt=0)
    second: float = Field(gt=0)
    baselines: tuple[float, float] | None = None
    value: str = "AVAL"
    visit: str = "AVISITN"
    level: float = Field(default=0.95, gt=0, lt=1)


def estimates(context: Prepared, section: CrossoverSection) -> Found:
    """Treatment, period and carry-over of each pair of sequences."""
    from equipoise.estimate.linear.crossover import REFERENCES, crossover

    frame = context.chosen(section.where)
    control = context.plan.treatment.reference

    def fit(data: pl.DataFrame) -> dict[str, Estimate]:
        weeks = [section.first, section.second, *(section.baselines or ())]
        wide = data.filter(pl.col(section.visit).is_in(weeks)).pivot(
            section.visit, index=["USUBJID", context.treatment], values=section.value, aggregate_function="first"
        )
        columns = {float(c): c for c in wide.columns[2:]}
        missing = [w for w in weeks if float(w) not in columns]
        if missing:
            raise EstimationError(f"nobody was seen at {section.visit} {missing[0]:g}")
        seen = [wide[columns[float(w)]].cast(pl.Float64).fill_null(np.nan).to_numpy()[None] for w in weeks]
        begun = seen[2:] or [np.zeros_like(seen[0])] * 2
        sequence = (wide[context.treatment].cast(pl.String) != control).to_numpy()[None]
        made = crossover(seen[0] - begun[0], seen[1] - begun[1], sequence, np.ones_like(sequence))
        return {
            name: Estimate.from_t(
                label,
                "t-test of within-patient differences" if name != "carry_over" else "t-test of within-patient sums",
                float(made.estimate[0, k]),
                float(made.se[0, k]),
                float(made.df[0]),
                int(made.counts[0].sum()),
                level=section.level,
                scale="difference",
                status=Status(int(made.status[0])),
                references=REFERENCES,
            )
            for k, (name, label) in enumerate(NUMBERS.items())
        }

    made = compared(context, frame, fit)
    return Found({Place(name, arm): own[name] for name in NUMBERS for arm, own in made.items()})


def lines(context: Prepared, section: CrossoverSection, found: Found) -> Block:
    """The three comparisons, each with its interval and P value."""
    percent = f"{100 * section.level:g}%"
    rows: list[Row] = []
    for name, label in NUMBERS.items():
        each = found.by_arm(name)
        rows.append(against(context, f"{label} ({percent} CI)", each, "{estimate:2} ({low:2}; {high:2})"))
        rows.append(against(context, f"p-value ({label.lower()})", each, P))
    less = ", less the values at their beginning" if section.baselines else ""
    return Block(
        section.label or "Crossover",
        "crossover",
        context.analysis.dataset,
        section.value,
        tuple(rows),
        description=(
            f"{section.value} at the end of the periods (visits {section.first:g} and {section.second:g}){less}; "
            "who was seen in both. Carry-over is told, and decides nothing"
        ),
        notes=(
            *((section.note,) if section.note else ()),
            *reasons((label, e) for name, label in NUMBERS.items() for e in found.by_arm(name).values()),
        ),
    )


def block(trials: Trials, analysis: Analysis, place: int) -> Mapping[Key, TrialEstimates] | None:
    """The same of every trial of a block; None where more is asked for than arrays hold."""
    from equipoise.estimate.linear.crossover import crossover

    section: Any = analysis.sections[place - 1]
    values = trials.outcomes.get(str(analysis.parameter))
    weeks = [section.first, section.second, *(section.baselines or ())]
    known = [np.flatnonzero(np.isclose(trials.weeks, w)) for w in weeks]
    plain = (
        section.value == "AVAL"
        and section.visit == "AVISITN"
        and not (section.where or {"AVAL", "AVISITN"} & set(analysis.derive))
    )
    chosen = set(analysis.where) <= {"AVISITN"} and _all_chosen(analysis.where.get("AVISITN"), weeks)
    there = values is not None and analysis.dataset.upper() == "ADEFF" and all(len(k) for k in known)
    if not (plain and chosen and there) or analysis.population not in (*trials.sets, "ITT"):
        return None
    assert values is not None
    seen = [values[:, :, int(k[0])] for k in known]
    begun = seen[2:] or [np.zeros_like(seen[0])] * 2
    made = crossover(seen[0] - begun[0], seen[1] - begun[1], trials.arm == 1, trials.members(analysis.population))
    return {
        Key(name, analysis=analysis.id, section=place, arm=trials.arms[1]): TrialEstimates(
            made.estimate[:, k], made.se[:, k], made.df, made.status, level=section.level
        )
        for k, name in enumerate(NUMBERS)
    }


def _all_chosen(condition: Any, weeks: list[float]) -> bool:
    """Whether a condition on the visit, as a plan writes it, lets these weeks through."""
    if condition is None:
        return True
    if isinstance(condition, dict):
        tests = {
            "le": lambda w, v: w <= v,
            "lt": lambda w, v: w < v,
            "ge": lambda w, v: w >= v,
            "gt": lambda w, v: w > v,
        }
        return set(condition) <= set(tests) and all(tests[k](w, v) for k, v in condition.items() for w in weeks)
    return isinstance(condition, list | tuple) and all(any(np.isclose(w, c) for c in condition) for w in weeks)


METHODS = (Method("crossover", CrossoverSection, estimates, lines, "Crossover", noted=True, block=block),)
