"""Treatment switching in a plan: the rank-preserving structural failure time model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from equipoise.estimate.result import Estimate
from equipoise.plan.methods.estimates import P, against, counts, forest, reasons
from equipoise.plan.methods.event_data import event_data, left_out
from equipoise.plan.methods.registry import Found, Method, Place, Test
from equipoise.plan.parts import Section
from equipoise.plan.prepared import Prepared, compared
from equipoise.plan.results import Block, Figure, Row

if TYPE_CHECKING:
    from equipoise.estimate.survival.switching import SwitchingFit


class RpsftSection(Section):
    """Survival had nobody in the control arm taken active treatment, with the arms compared as randomised.

    ``on``: variable with the time on active treatment, or ``share`` with its share of ``time``. ``censor_time``: the
    time at which follow-up would have ended whatever happened, a variable or a number; needed to recensor.
    """

    method: Literal["rpsft"]
    time: str = "AVAL"
    censor: str = "CNSR"
    on: str | None = None
    share: str | None = None
    censor_time: str | float | None = None
    recensor: bool = True
    test: Literal["log-rank", "wilcoxon", "cox"] = "log-rank"
    strata: tuple[str, ...] = ()
    covariates: tuple[str, ...] = ()
    psi: tuple[float, float] = (-2.0, 2.0)
    level: float = Field(default=0.95, gt=0, lt=1)

    ESTIMATES = "rpsft"

    @model_validator(mode="after")
    def _complete(self) -> RpsftSection:
        if (self.on is None) == (self.share is None):
            raise ValueError("give on: (time on active treatment) or share: (its share of the time)")
        if self.recensor and self.censor_time is None:
            raise ValueError("recensoring needs censor_time:; say recensor: false to go without, which is biased")
        if self.covariates and self.test != "cox":
            raise ValueError("covariates go with test: cox; otherwise use strata")
        return self

    def does(self) -> dict[str, str]:
        return {"crossover": "untreated", **super().does()}


def _from_data(section: RpsftSection) -> list[str]:
    """The variables that are needed besides time, censoring, strata and covariates."""
    return [v for v in (section.on, section.share, section.censor_time) if isinstance(v, str)]


def estimates(context: Prepared, section: RpsftSection) -> Found:
    """Who switched, and the ratios of times and of hazards with switching accounted for."""
    from equipoise.estimate.survival.switching import rpsftm

    data = event_data(
        context,
        section.where,
        section.time,
        section.censor,
        (*_from_data(section), *section.strata, *section.covariates),
    )
    control = context.plan.treatment.reference
    made = compared(
        context,
        data,
        lambda part: rpsftm(
            part,
            time=section.time,
            censor=section.censor,
            arm=context.treatment,
            control=control,
            on=section.on,
            share=section.share,
            censor_time=section.censor_time,
            recensor=section.recensor,
            test=section.test,
            strata=section.strata,
            covariates=section.covariates,
            psi=section.psi,
            level=section.level,
        ),
    )
    first = next(iter(made.values()))
    numbers = {Place("switched", control): Estimate.of_count(f"ever on active, {control}", first.switched, first.n)}
    for arm, m in made.items():
        numbers |= {
            Place("not_always_on_treatment", arm): Estimate.of_count(f"not always on active, {arm}", m.stopped, m.n),
            Place("psi", arm): m.psi,
            Place("time_ratio", arm): m.time_ratio,
            Place("hazard_ratio", arm): m.hazard_ratio,
        }
    return Found(numbers, made)


def lines(context: Prepared, section: RpsftSection, found: Found) -> Block:
    """Who switched, and the ratios of times and of hazards with switching accounted for."""
    made: Mapping[str, SwitchingFit] = found.parts
    control, percent = context.plan.treatment.reference, f"{100 * section.level:g}%"
    first = next(iter(made.values()))
    rows: list[Row] = [
        counts("Control patients ever on active", {control: first.switched}),
        counts("Active patients not always on active", {arm: m.stopped for arm, m in made.items()}),
        against(context, f"Ratio of survival times ({percent} CI)", {a: m.time_ratio for a, m in made.items()}),
        against(
            context,
            f"Hazard ratio, switching accounted for ({percent} CI)",
            {a: m.hazard_ratio for a, m in made.items()},
        ),
        against(context, "p-value (as randomised)", {a: m.psi for a, m in made.items()}, P),
    ]
    named = [
        (label, e)
        for m in made.values()
        for label, e in (("Ratio of survival times", m.time_ratio), ("Hazard ratio", m.hazard_ratio))
    ]
    labels, active = context.plan.treatment.labels, next(iter(made))
    figures: tuple[Figure, ...] = ()
    if section.figure and len(made) == 1:
        figures = forest(
            [("Hazard ratio, switching accounted for", first.hazard_ratio)],
            caption=section.label or "Switching",
            ratio=True,
            axis="hazard ratio",
            higher_better=False,
            names=(labels.get(control, control), labels.get(active, active)),
        )
    return Block(
        section.label or "Switching accounted for",
        "rpsft",
        context.analysis.dataset,
        section.time,
        tuple(rows),
        description=(
            f"rank-preserving structural failure time model, {section.test} test"
            + (f", strata {', '.join(section.strata)}" if section.strata else "")
            + (f", covariates {', '.join(section.covariates)}" if section.covariates else "")
            + f"; {'recensored' if section.recensor else 'not recensored'}; against {control}"
        ),
        notes=(
            *((section.note,) if section.note else ()),
            *reasons(named),
            *left_out(
                context,
                section.where,
                section.time,
                section.censor,
                *_from_data(section),
                *section.strata,
                *section.covariates,
            ),
        ),
        figures=figures,
    )


METHODS = (
    Method(
        "rpsft",
        RpsftSection,
        estimates,
        lines,
        "Rank-preserving structural failure time model",
        noted=True,
        by_line=True,
        tests=(Test("hazard_ratio", "less"), Test("time_ratio", "more")),
    ),
)
