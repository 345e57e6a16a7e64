"""Time to confirmed deterioration in a plan: derived from visits by a stated rule, then read as a time to event."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import polars as pl
from pydantic import Field, model_validator

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.result import Estimate
from equipoise.files import Frozen
from equipoise.plan.methods import competing, survival
from equipoise.plan.methods.competing import CompetingRisksSection
from equipoise.plan.methods.described import counted, sizes
from equipoise.plan.methods.registry import Found, Method, Place
from equipoise.plan.methods.survival import SurvivalSection
from equipoise.plan.parts import Section, Where, condition
from equipoise.plan.prepared import Prepared
from equipoise.plan.results import Block, Row, share_of


class Died(Frozen):
    """The time of death, a variable of the subjects, of those for whom the conditions hold."""

    time: str
    where: Where = Field(default_factory=dict)


class DeteriorationSection(Section):
    """Deterioration by ``threshold`` from baseline, its confirmation, and what death does; then Kaplan-Meier and Cox.

    The rule is that of :class:`DeteriorationRule`, by the same names. ``died``: who
    died, and when. With ``death: competing`` the incidence of deterioration is estimated, death competing.
    """

    method: Literal["deterioration"]
    threshold: float = Field(gt=0)
    relative: bool = False
    worse: Literal["lower", "higher"] = "lower"
    confirm: Literal["next", "any", "sustained", "none"] = "next"
    min_gap: float = Field(default=0.0, ge=0)
    max_gap: float | None = None
    unconfirmed: Literal["censor", "event"] = "censor"
    date: Literal["onset", "confirmation"] = "onset"
    death: Literal["event", "competing", "censor"] = "event"
    death_confirms: bool = True
    max_missed: float | None = None
    up_to: float | None = None
    died: Died | None = None
    value: str = "CHG"
    visit: str = "AVISITN"
    base: str = "BASE"
    strata: tuple[str, ...] = ()
    covariates: tuple[str, ...] = ()
    at: tuple[float, ...] = ()
    test: Literal["log-rank"] | None = "log-rank"
    level: float = Field(default=0.95, gt=0, lt=1)
    unit: str = "weeks"

    def estimates(self) -> str | None:
        return "competing_risks" if self.death == "competing" else "deterioration"

    def does(self) -> dict[str, str]:
        done = {"event": "counted", "competing": "competing", "censor": "censored"}[self.death]
        return {**({"death": done} if self.died else {}), **super().does()}

    @model_validator(mode="after")
    def _consistent(self) -> DeteriorationSection:
        if self.death == "competing" and self.died is None:
            raise ValueError("death: competing needs died:, the time of death and who died")
        return self


@dataclass(frozen=True)
class _Derived:
    """The derived records, the rule in words, and the analysis of the time to event that follows."""

    records: pl.DataFrame
    rule: str
    context: Prepared
    section: SurvivalSection | CompetingRisksSection
    found: Found


def estimates(context: Prepared, section: DeteriorationSection) -> Found:
    """Who deteriorated and who died first, by arm, then the time to event of the derived records."""
    from equipoise.estimate.survival.deterioration import DeteriorationRule
    from equipoise.estimate.survival.deterioration import deterioration as derive

    frame = context.chosen(section.where)
    for name in (section.value, section.visit, *((section.base,) if section.relative else ())):
        context.need(frame, name, numeric=True)
    for name in (*section.strata, *section.covariates, "USUBJID"):
        context.need(frame, name)
    frame = frame.with_columns(_death(context, section, frame).alias("__death__"))
    rule = DeteriorationRule(
        threshold=section.threshold,
        relative=section.relative,
        worse=section.worse,
        confirm=section.confirm,
        min_gap=section.min_gap,
        max_gap=math.inf if section.max_gap is None else section.max_gap,
        unconfirmed=section.unconfirmed,
        date=section.date,
        death=section.death,
        death_confirms=section.death_confirms,
        max_missed=math.inf if section.max_missed is None else section.max_missed,
        up_to=math.inf if section.up_to is None else section.up_to,
    )
    keep = list(dict.fromkeys([context.treatment, *section.strata, *section.covariates]))
    try:
        made: pl.DataFrame = derive(
            frame,
            rule,
            visit=section.visit,
            value=section.value,
            base=section.base if section.relative else None,
            death="__death__",
            keep=keep,
            unit=section.unit.rstrip("s"),
        ).patients
    except DataError as error:
        raise EstimationError(error.message, hint=error.hint) from None
    words = {0: "censored", 1: "deterioration", 2: "death"}
    made = made.with_columns(pl.col("CAUSE").replace_strict(words, default=None, return_dtype=pl.String).alias("HOW"))
    derived = replace(context, records=made)
    common: dict[str, Any] = {
        "label": section.label or "Time to confirmed deterioration",
        "level": section.level,
        "at": section.at,
        "unit": section.unit,
        "covariates": section.covariates,
        "figure": section.figure,
    }
    inner: SurvivalSection | CompetingRisksSection
    if section.death == "competing":
        inner = CompetingRisksSection(method="competing_risks", cause="HOW", of="deterioration", **common)
        found = competing.estimates(derived, inner)
    else:
        inner = SurvivalSection(method="survival", strata=section.strata, test=section.test, **common)
        found = survival.estimates(derived, inner)
    size = sizes(context)
    numbers: dict[Place, Estimate] = {}
    for cause, quantity in ((1, "deteriorated"), (2, "died_first")):
        numbers |= counted(quantity, _counts(context, made.filter(pl.col("CAUSE") == cause)), size)
    return Found(
        {**numbers, **found.numbers}, _Derived(made, rule.to_sentence(section.unit.rstrip("s")), derived, inner, found)
    )


def lines(context: Prepared, section: DeteriorationSection, found: Found) -> Block:
    """Reasons by arm, then the time to event of the derived records."""
    made: _Derived = found.parts
    if isinstance(made.section, CompetingRisksSection):
        block = competing.lines(made.context, made.section, made.found)
    else:
        block = survival.lines(made.context, made.section, made.found)
    return replace(
        block,
        method="deterioration",
        variable=section.value,
        rows=(*_reasons(context, made.records), *block.rows),
        description=f"{made.rule} {block.description}",
        notes=(*((section.note,) if section.note else ()), *block.notes, *_left_out(made.records)),
        details={**block.details, "rule": made.rule},
    )


def _death(context: Prepared, section: DeteriorationSection, frame: pl.DataFrame) -> pl.Expr:
    if section.died is None:
        return pl.lit(None, dtype=pl.Float64)
    what = f"analysis {context.analysis.id}, died"
    if section.died.time not in frame.columns or not frame.schema[section.died.time].is_numeric():
        raise DataError(f"{what}: subjects have no number {section.died.time}", hint="see gather: and ADSL")
    return pl.when(condition(section.died.where, frame, what)).then(pl.col(section.died.time).cast(pl.Float64))


def _counts(context: Prepared, part: pl.DataFrame) -> dict[str, int]:
    return {c: context.of(part, c).height for c in context.counted()}


def _reasons(context: Prepared, made: pl.DataFrame) -> list[Row]:
    """Deteriorations and deaths by arm."""
    size = sizes(context)
    rows = []
    for cause, label in ((1, "Deteriorated, n (%)"), (2, "Died first, n (%)")):
        part = made.filter(pl.col("CAUSE") == cause)
        if cause == 1 or part.height:
            rows.append(Row(label, {c: share_of(n, size[c]) for c, n in _counts(context, part).items()}))
    return rows


def _left_out(made: pl.DataFrame) -> tuple[str, ...]:
    n = made.filter(pl.col("AVAL").is_null()).height
    return (f"{n} subjects have no usable baseline and are left out.",) if n else ()


METHODS = (
    Method(
        "deterioration",
        DeteriorationSection,
        estimates,
        lines,
        "Time to confirmed deterioration",
        noted=True,
        by_line=True,
        tests=(*survival.TESTS, *competing.TESTS),
    ),
)
