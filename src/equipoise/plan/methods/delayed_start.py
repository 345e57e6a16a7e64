"""Early against delayed start in a plan: the three questions, in one model, in slopes or on imputed data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from equipoise.estimate.result import Estimate
from equipoise.plan.compiled import AnyForm, DelayedStart, Lowered
from equipoise.plan.key import Key
from equipoise.plan.methods import forms
from equipoise.plan.methods.estimates import DIFFERENCE, against, counts, finite, forest, reasons
from equipoise.plan.methods.registry import Found, Kernel, Method, Names, Place, Test
from equipoise.plan.outcome_arrays import change_from_baseline, columns
from equipoise.plan.parts import Section
from equipoise.plan.prepared import Prepared, compared, without_records
from equipoise.plan.results import Block, Figure, Row, cell_of
from equipoise.plan.trial_estimates import TrialEstimates

if TYPE_CHECKING:
    from equipoise.plan.analysis_plan import Analysis
    from equipoise.trial import Trials

_LABELS = {
    "delta1": "Difference at the end of period 1",
    "delta2": "Difference at the end of period 2",
    "change": "Change of the difference",
    "preserved": "Difference kept beyond the fraction",
    "slope1": "Difference of slopes, period 1",
    "slope2": "Difference of slopes, period 2",
}

_PLACES = {
    "delta1": ("difference", "period 1"),
    "delta2": ("difference", "period 2"),
    "change": ("change_of_difference", None),
    "preserved": ("difference_preserved", None),
    "slope1": ("slope_difference", "period 1"),
    "slope2": ("slope_difference", "period 2"),
}
"""Estimate of the estimator -> its quantity and the period that stands as its visit."""


class DelayedStartSection(Section):
    """The three questions of a delayed start; the arms are as randomised, the control starts late.

    ``form``: ``one model`` of both periods (Liu-Seifert), or ``slopes`` (ADAGIO; needs a ``margin``). ``third``:
    ``preserved`` (more than ``fraction`` of the first difference is kept), ``difference`` or ``slope`` (not inferior by
    ``margin``). ``strategy``: what is assumed of those not seen in period 2: MAR, JR, CR, CIR or LMCF.
    ``windows``: first and last week of the slopes of each period. Higher values are better.
    """

    ESTIMATES = "delayed_start"

    method: Literal["delayed_start"]
    period_end: float = Field(gt=0)
    week: float = Field(gt=0)
    form: Literal["one model", "slopes"] = "one model"
    value: str = "CHG"
    visit: str = "AVISITN"
    covariates: tuple[str, ...] = ("BASE",)
    third: Literal["preserved", "difference", "slope"] = "preserved"
    fraction: float = Field(default=0.5, gt=0, le=1)
    margin: float | None = Field(default=None, ge=0)
    windows: tuple[tuple[float, float], tuple[float, float]] | None = None
    alpha: float = Field(default=0.025, gt=0, lt=0.5)
    alpha_third: float = Field(default=0.05, gt=0, lt=0.5)
    strategy: Literal["MAR", "JR", "CR", "CIR", "LMCF"] = "MAR"
    constrained: bool = False
    structure: str = "us"
    fallback: tuple[str, ...] = ()
    df: Literal["kenward-roger", "kenward-roger-linear", "satterthwaite"] = "kenward-roger-linear"
    seed: int = Field(default=0, ge=0)
    level: float = Field(default=0.95, gt=0, lt=1)

    @model_validator(mode="after")
    def _consistent(self) -> DelayedStartSection:
        if self.week <= self.period_end:
            raise ValueError("week lies after period_end")
        if self.form == "slopes" and self.margin is None:
            raise ValueError("form: slopes needs the margin of its third question")
        if self.windows is not None and self.form != "slopes":
            raise ValueError("windows are for form: slopes")
        if self.form == "slopes" and (self.strategy != "MAR" or self.constrained):
            raise ValueError("form: slopes takes strategy MAR, and no constrained baseline")
        return self


def _place(name: str, arm: str) -> Place:
    quantity, period = _PLACES[name]
    return Place(quantity, arm, period)


def delayed_start(context: Prepared, section: DelayedStartSection) -> Found:
    """Patients followed, the estimates, and each question with its one-sided p-value.

    A question stands as ``question`` with its number, ``Q1``, as the visit; a period as ``period 1`` or ``period 2``.
    """
    from equipoise.estimate.delayed_start import delayed_start as one_model
    from equipoise.estimate.delayed_start import delayed_start_slopes as slopes

    frame = context.chosen(section.where)
    for name in (section.value, section.visit):
        context.need(frame, name, numeric=True)
    for name in (*section.covariates, "USUBJID"):
        context.need(frame, name)
    common: dict[str, Any] = {
        "period_end": section.period_end,
        "at": section.week,
        "value": section.value,
        "visit": section.visit,
        "arm": context.treatment,
        "control": context.plan.treatment.reference,
        "covariates": section.covariates,
        "alpha": section.alpha,
        "alpha_third": section.alpha_third,
        "structure": section.structure,
        "fallback": section.fallback,
        "df": section.df,
        "level": section.level,
    }
    if section.form == "slopes":
        one, two = section.windows or (None, None)
        own: dict[str, Any] = {"margin": section.margin, "first_window": one, "second_window": two}
    else:
        own = {
            "third": section.third,
            "fraction": section.fraction,
            "margin": section.margin,
            "strategy": section.strategy,
            "constrained": section.constrained,
            "seed": section.seed,
        }
    fit = slopes if section.form == "slopes" else one_model
    made = compared(context, frame, lambda data: fit(data, **common, **own))
    control = context.plan.treatment.reference
    numbers: dict[Place, Estimate] = {}
    for arm, m in made.items():
        for stage, (late, early) in m.followed.items():
            for whom, n in ((control, late), (arm, early)):
                numbers.setdefault(Place("patients", whom, stage), Estimate.of_count(f"{whom} {stage}", n, n))
        for name, estimate in m.named.items():
            numbers[_place(name, arm)] = estimate
        for q in m.questions:
            numbers[Place("question", arm, q.key)] = Estimate.of_test(
                q.asks,
                q.estimate.estimator,
                q.p,
                q.estimate.n,
                df=q.estimate.df,
                sided=1,
                detail=None if q.estimate.estimable else q.estimate.reason,
            )
    return Found(numbers, (made, frame))


def _lines(context: Prepared, section: DelayedStartSection, found: Found) -> Block:
    made, frame = found.parts
    first = next(iter(made.values()))
    control = context.plan.treatment.reference
    rows: list[Row] = []
    for stage in first.followed:
        people = {a: found.numbers[Place("patients", a, stage)] for a in (control, *made)}
        rows.append(counts(f"Patients {stage}", {a: int(e.estimate) for a, e in people.items()}))
    for name, estimate in first.named.items():
        label = f"{_LABELS[name]} ({100 * estimate.level:g}% CI)"
        form = DIFFERENCE if "slope" not in name else "{estimate:4} ({low:4}; {high:4})"
        rows.append(against(context, label, {a: found.numbers[_place(name, a)] for a in made}, form))
    for k, question in enumerate(first.questions):
        cells = {}
        for arm, m in made.items():
            q = m.questions[k]
            answer = "yes" if q.met else "not shown" if q.estimate.estimable else "cannot be said"
            told = answer if q.tested else f"{answer}, descriptive"
            p = found.numbers[Place("question", arm, q.key)].p
            cells[arm] = cell_of("{p:p4} " + told, {"p": finite(p), "sided": 1.0})
        rows.append(Row(f"{question.key}. {question.asks} One-sided p", cells, f"against {control}"))
    named = [(_LABELS[n], e) for m in made.values() for n, e in m.named.items()]
    labels = context.plan.treatment.labels
    active = next(iter(made))
    figures: tuple[Figure, ...] = ()
    if section.figure:
        figures = forest(
            [(f"{_LABELS[n]} ({100 * e.level:g} % CI)", e) for n, e in first.named.items() if "slope" not in n],
            caption=section.label or "Early against delayed start",
            ratio=False,
            axis=f"{section.value}, early minus delayed start",
            higher_better=True,
            names=(labels.get(control, control), labels.get(active, active)),
            interval="estimate (interval)",
        )
    form = (
        f"form of ADAGIO, margin {section.margin:g} a week" if section.form == "slopes" else "one model of both periods"
    )
    return Block(
        section.label or "Early against delayed start",
        "delayed_start",
        context.analysis.dataset,
        section.value,
        tuple(rows),
        description=(
            f"{form}; those not seen in period 2: {first.strategy}; covariates "
            f"{', '.join(section.covariates) or 'none'} by visit; questions in order, one-sided levels "
            f"{section.alpha:g}, {section.alpha:g} and {section.alpha_third:g}; against {control}"
        ),
        notes=(*((section.note,) if section.note else ()), *reasons(named), *without_records(context, frame)),
        figures=figures,
    )


# --- many trials ----------------------------------------------------------------------------------------------------


def form(analysis: Analysis, place: int) -> Lowered | None:
    """What the kernel does: one model of both periods, changes from baseline, nothing imputed."""
    section: Any = analysis.sections[place - 1]
    of = forms.of_outcome(analysis, after_baseline=True)
    read = (
        "period_end",
        "week",
        "covariates",
        "third",
        "fraction",
        "margin",
        "alpha",
        "alpha_third",
        "structure",
        "df",
    )
    if of is None or not forms.only(section, *read) or section.third == "slope" or section.week != of["week"]:
        return None
    how = {name: getattr(section, name) for name in ("period_end", "covariates", "third", "fraction", "margin", "df")}
    found = {"kind": "delayed_start", **of, **how, "structure": section.structure}
    return forms.lowered(analysis, found, {"delayed_start": place})


def block(trials: Trials, analysis: Analysis, found: Lowered) -> dict[Key, TrialEstimates]:
    """The differences and the three questions on every trial of a block; the slopes are told of single trials alone."""
    from equipoise.estimate.delayed_start import delayed_start_batch
    from equipoise.estimate.delayed_start.questions import Criteria

    asked, place = found.form, found.places["delayed_start"]
    assert isinstance(asked, DelayedStart)
    section: Any = analysis.sections[place - 1]
    weeks, y = change_from_baseline(trials, asked.variable, asked.week, log=False)
    covariates = columns(trials, asked.covariates, asked.variable, False)[:, :, 2:]
    made = delayed_start_batch(
        y,
        trials.arm,
        weeks,
        period_end=asked.period_end,
        at=asked.week,
        covariates=covariates,
        include=trials.members(asked.set),
        fraction=asked.fraction,
        structure=asked.structure,
        df=asked.df,
    )
    active = trials.arms[1]
    out: dict[Key, TrialEstimates] = {}

    def key(at: Place) -> Key:
        return Key(analysis=analysis.id, section=place, **at._asdict())

    for k, name in enumerate(made.names):
        if name in _PLACES and "slope" not in name:
            status = made.status[:, k].astype(np.int8)
            out[key(_place(name, active))] = TrialEstimates(*made.column(name), status, level=section.level)
    criteria = Criteria(
        alpha=section.alpha,
        alpha_third=section.alpha_third,
        third=asked.third,
        fraction=asked.fraction,
        margin=asked.margin,
    )
    for k, (name, margin) in enumerate(zip(criteria.asked, criteria.margins, strict=True), start=1):
        p, (value, _, df) = made.p(name, margin), made.column(name)
        nothing = np.full_like(value, np.nan)
        status = made.status[:, made.names.index(name)].astype(np.int8)
        out[key(Place("question", active, f"Q{k}"))] = TrialEstimates(nothing, nothing, df, status, p=p)
    return out


def written(asked: AnyForm) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A form as a section."""
    assert isinstance(asked, DelayedStart)
    section = {"method": "delayed_start", "period_end": asked.period_end, "week": asked.week, "df": asked.df}
    section |= {"covariates": list(asked.covariates), "third": asked.third, "fraction": asked.fraction}
    section |= {"structure": asked.structure, **({} if asked.margin is None else {"margin": asked.margin})}
    return {"where": {"AVISITN": {"gt": 0, "le": asked.week}}}, [section]


_TESTS = (
    Test("difference", "more"),
    Test("change_of_difference", "more"),
    Test("difference_preserved", "more"),
    Test("slope_difference", "more"),
    Test("question", "more"),
)
METHODS = (
    Method(
        "delayed_start",
        DelayedStartSection,
        delayed_start,
        _lines,
        "Early against delayed start",
        noted=True,
        by_line=True,
        tests=_TESTS,
        kernel=Kernel(form, block, lambda section: Names(), written),
    ),
)
