"""Variables of subjects made from several records, and variables of records from two others, against polars by hand."""

from __future__ import annotations

import polars as pl
import pytest
from test_plan_methods import trial

from equipoise.errors import DataError, ScenarioError
from equipoise.plan.analysis_plan import dump_plan, parse_plan
from equipoise.plan.carry_out import analyse
from equipoise.plan.prepared import prepare
from equipoise.trial.adam import AdamStudy

PLAN = """
study: T
treatment: {{arms: [Placebo, Drug]}}
populations: {{ITT: {{label: All, where: {{ITTFL: Y}}}}}}
{shared}
analyses:
- id: a
  population: ITT
  dataset: ADSL
  gather: {{{own}}}
  sections:
  - {{method: summary, variable: {name}}}
"""
SOURCE = "dataset: ADEFF, parameter: TOT"
CASES = {
    "mean": ("variable: CHG, where: {AVISITN: [8, 12]}, take: mean", pl.col("CHG").mean()),
    "min": ("variable: CHG, where: {AVISITN: [8, 12]}, take: min", pl.col("CHG").min()),
    "last": ("variable: CHG, where: {AVISITN: [8, 12]}, take: last", pl.col("CHG").last()),
    "first": ("variable: AVISITN, where: {AVISITN: [8, 12]}, take: first", pl.col("AVISITN").first()),
    "count": ("where: {AVISITN: [8, 12]}, take: count", pl.len().cast(pl.Float64)),
    "any": (
        "where: {AVISITN: [8, 12]}, take: any, rule: {CHG: {ge: -4}}",
        (pl.col("CHG") >= -4).any().cast(pl.Float64),
    ),
}


@pytest.fixture(scope="module")
def study() -> AdamStudy:
    return trial()


def plan(own: str = "", shared: str = "", name: str = "NEW") -> str:
    return PLAN.format(own=own, shared=shared, name=name)


@pytest.mark.parametrize("take", list(CASES))
@pytest.mark.parametrize("place", ["analysis", "plan"])
def test_independent_one_value_of_several_records(study: AdamStudy, take: str, place: str) -> None:
    how, by_hand = CASES[take]
    one = f"NEW: {{{SOURCE}, {how}}}"
    made = parse_plan(plan(one) if place == "analysis" else plan(shared=f"gather: {{{one}}}"))
    found = prepare(study, made, made.analyses[0]).population.select("USUBJID", "NEW")
    seen = study["ADEFF"].frame.filter(pl.col("AVISITN").is_in([8.0, 12.0])).sort("AVISITN", maintain_order=True)
    wanted = seen.group_by("USUBJID").agg(by_hand.alias("W"))
    both = found.join(wanted, on="USUBJID", how="left")
    if take == "count":
        both = both.with_columns(pl.col("W").fill_null(0.0))
        assert both["NEW"].min() == 0.0
    assert both["NEW"].null_count() == both["W"].null_count()
    assert both.drop_nulls()["NEW"].to_list() == pytest.approx(both.drop_nulls()["W"].to_list())
    assert both["NEW"].n_unique() > 1
    assert parse_plan(dump_plan(made)) == made
    assert analyse(study, made).tables[0].blocks[0].rows


def test_property_variables_of_the_plan_that_nobody_names_are_not_made(study: AdamStudy) -> None:
    made = parse_plan(plan(shared="gather: {OTHER: {dataset: ADXX, take: count}}", name="ENDWK"))
    assert "OTHER" not in prepare(study, made, made.analyses[0]).population.columns


def test_independent_functions_of_two_variables(study: AdamStudy) -> None:
    text = """
study: T
treatment: {arms: [Placebo, Drug]}
populations: {ITT: {label: All}}
analyses:
- id: a
  population: ITT
  dataset: ADEFF
  parameter: TOT
  where: {AVISITN: 8}
  derive: {PCHG: {percent_change: [AVAL, BASE]}, D: {difference: [AVAL, BASE]}, R: {ratio: [AVAL, BASE]}}
  sections: [{method: summary, variable: PCHG}]
"""
    made = parse_plan(text)
    records = prepare(study, made, made.analyses[0]).records
    assert records["D"].to_list() == pytest.approx(records["CHG"].to_list())
    assert records["PCHG"].to_list() == pytest.approx((100 * records["CHG"] / records["BASE"]).to_list())
    assert records["R"].to_list() == pytest.approx((records["AVAL"] / records["BASE"]).to_list())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (plan("NEW: {dataset: ADEFF, take: any}"), "go together"),
        (plan("NEW: {dataset: ADEFF, take: most}"), "take"),
        (
            plan(f"NEW: {{{SOURCE}, take: mean}}", f"gather: {{NEW: {{{SOURCE}, take: mean}}}}"),
            "one of the plan already",
        ),
        (plan(shared=f"gather: {{CHG: {{{SOURCE}, take: mean}}}}"), "choose another"),
        (plan().replace("gather: {}", "derive: {P: {ratio: AVAL}}"), "of two variables"),
        (plan().replace("gather: {}", "derive: {P: {log: [AVAL, BASE]}}"), "of one variable"),
    ],
)
def test_property_what_cannot_be_is_refused(text: str, message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        parse_plan(text)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("variable: CHG", "more than one record"),
        ("variable: AVISIT, take: mean", "is String"),
        ("variable: CHG, take: first, by: ADT", "no variable ADT"),
        ("variable: NOPE, take: mean", "no variable NOPE"),
        ("take: any, rule: {NOPE: 1}", "no variable NOPE"),
    ],
)
def test_property_what_the_data_lack_is_named(study: AdamStudy, how: str, message: str) -> None:
    made = parse_plan(plan(f"NEW: {{{SOURCE}, {how}}}"))
    with pytest.raises(DataError, match=message):
        prepare(study, made, made.analyses[0])
