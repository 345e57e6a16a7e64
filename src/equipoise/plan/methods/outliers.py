"""Values of potential clinical significance in a plan: subjects beyond a reference range, or by a stated rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import polars as pl
from pydantic import Field, model_validator

from equipoise.errors import DataError
from equipoise.estimate.result import Estimate
from equipoise.files import Frozen
from equipoise.plan.methods.arm_shares import FISHER, ArmShares, against_control
from equipoise.plan.methods.described import counted
from equipoise.plan.methods.estimates import percentage
from equipoise.plan.methods.registry import Found, Method, Place, Test
from equipoise.plan.parts import Where, condition
from equipoise.plan.prepared import AGAINST, DIFFERENCE, Prepared
from equipoise.plan.results import Block, Cell, Row, cell_of, share_of


class OutlierRule(Frozen):
    """When a record counts: conditions (``where``), and a value above or below so many times another variable.

    ``{label: Above 3 x ULN, above: {A1HI: 3}}``; ``{label: Below 90 mmHg, where: {AVAL: {lt: 90}}}``. All have to hold.
    """

    label: str
    where: Where = Field(default_factory=dict)
    above: dict[str, float] = Field(default_factory=dict)
    below: dict[str, float] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _something(self) -> OutlierRule:
        if not (self.where or self.above or self.below):
            raise ValueError(f"rule {self.label!r}: give where:, above: or below:")
        return self


_RANGE = (
    OutlierRule(label="Below the reference range", below={"A1LO": 1.0}),
    OutlierRule(label="Above the reference range", above={"A1HI": 1.0}),
)


class OutliersSection(ArmShares):
    """Subjects with at least one record that meets a rule, of those with a record that can tell.

    rules : without them the reference range (A1LO, A1HI). baseline : the records at baseline, which are not counted.
    emergent : leaves out who meets the rule there, and who has no baseline that can tell. test and difference : each
    other arm against control, as ``incidence``.
    """

    method: Literal["outliers"]
    value: str = "AVAL"
    rules: tuple[OutlierRule, ...] = Field(default=_RANGE, min_length=1)
    baseline: Where = Field(default_factory=lambda: {"ABLFL": "Y"})
    emergent: bool = False

    @model_validator(mode="after")
    def _once(self) -> OutliersSection:
        labels = [rule.label for rule in self.rules]
        if len(set(labels)) < len(labels):
            raise ValueError("two rules have one label")
        return self


def _meets(context: Prepared, section: OutliersSection, rule: OutlierRule, frame: pl.DataFrame) -> pl.DataFrame:
    """The records that can tell, each with whether it meets the rule (``__meets__``)."""
    what = f"analysis {context.analysis.id}, rule {rule.label!r}"
    limits = [*rule.above, *rule.below]
    for name in limits:
        if name not in frame.columns or not frame.schema[name].is_numeric():
            raise DataError(f"{what}: {name} is no number of {context.analysis.dataset}", hint="see above: and below:")
    known = frame.drop_nulls([section.value, *limits, *(v for v in rule.where if v in frame.columns)])
    met, value = condition(rule.where, known, what), pl.col(section.value)
    for name, times in rule.above.items():
        met = met & (value > times * pl.col(name))
    for name, times in rule.below.items():
        met = met & (value < times * pl.col(name))
    return known.with_columns(met.alias("__meets__"))


def _people(context: Prepared, frame: pl.DataFrame) -> dict[str, int]:
    return {c: context.of(frame, c)["USUBJID"].n_unique() for c in context.counted()}


def estimates(context: Prepared, section: OutliersSection) -> Found:
    """Subjects by rule and column, with their share of those who can tell; each other arm against control.

    Raises
    ------
    DataError : a variable is not there, or no number.
    """
    frame, what = context.chosen(section.where), f"analysis {context.analysis.id}"
    context.need(frame, section.value, numeric=True)
    first = condition(section.baseline, frame, what) if section.baseline else pl.lit(False)
    control, out, parts = context.plan.treatment.reference, dict[Place, Estimate](), []
    for rule in section.rules:
        ranked = _meets(context, section, rule, frame)
        after = ranked.filter(~first)
        if section.emergent:
            fine = ranked.filter(first).group_by("USUBJID").agg(pl.col("__meets__").any())
            after = after.join(fine.filter(~pl.col("__meets__")).select("USUBJID"), on="USUBJID", how="semi")
        own, below = _people(context, after.filter("__meets__")), _people(context, after)
        out |= counted("patients", own, below, section.value, rule.label)
        p, apart = against_control(context, section, own, below)
        for arm, value in p.items():
            place = Place("fisher", arm, variable=section.value, level=rule.label)
            out[place] = Estimate.of_test(f"{rule.label}, {arm}", FISHER, value, below[arm] + below[control])
        for arm, difference in apart.items():
            out[Place("risk_difference", arm, variable=section.value, level=rule.label)] = difference
        parts.append((rule.label, own, below, p, apart))
    return Found(out, parts)


def lines(context: Prepared, section: OutliersSection, found: Found) -> Block:
    """A line a rule: subjects of those who can tell."""
    rows = []
    for label, own, below, p, apart in found.parts:
        cells = {c: _of(own[c], below[c], section.decimals) for c in own}
        cells |= {f"{AGAINST}{arm}": cell_of(section.test_show, {"p": value}) for arm, value in p.items()}
        cells |= {f"{DIFFERENCE}{arm}": percentage(e) for arm, e in apart.items()}
        rows.append(Row(label, cells))
    control = context.plan.treatment.reference
    told = "subjects with a record beyond the limit / subjects with one that can tell (%), after baseline"
    told += ", of those not beyond it at baseline" if section.emergent else ""
    told += section.told(control)
    return Block(
        section.label or section.value,
        "outliers",
        context.analysis.dataset,
        section.value,
        tuple(rows),
        description=told,
        notes=(section.note,) if section.note else (),
    )


def _of(n: int, of: int, decimals: int) -> Cell:
    """``3/41 (  7.3%)``."""
    plain: Cell = share_of(n, of, decimals)
    number, _, rest = plain.text.partition(" ")
    shown: Mapping[str, str] = {**plain.shown, "denominator": str(of)}
    return Cell(f"{number}/{of}" + (f" {rest}" if rest else ""), plain.values, shown)


METHODS = (
    Method(
        "outliers",
        OutliersSection,
        estimates,
        lines,
        "Subjects with values beyond a limit",
        noted=True,
        by_line=True,
        tests=(Test("risk_difference", "less"), Test("fisher", None)),
    ),
)
