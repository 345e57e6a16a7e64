"""Joint models in a plan: the numbers of the door, in tables and on virtual trials."""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl
import pytest

from equipoise import disease_rate_ratio, joint_model
from equipoise.plan.analysis_plan import parse_plan
from equipoise.plan.carry_out import analyse
from equipoise.trial.adam import AdamStudy, from_frame

sys.path.insert(0, str(Path(__file__).parents[1] / "estimate"))
from test_joint_model import simulated

PLAN = """
study: TOY
treatment: {{variable: TRT01P, arms: [p, d], control: p}}
populations: {{all: {{label: Everyone}}}}
analyses:
- id: both
  title: Function and survival
  population: all
  dataset: ADEFF
  parameter: TOT
  gather:
    DTHWK: {{dataset: ADTTE, parameter: DEATH}}
    DTHCN: {{dataset: ADTTE, parameter: DEATH, variable: CNSR}}
  sections:
  - {section}
"""


def study(long: pl.DataFrame, people: pl.DataFrame) -> AdamStudy:
    who = people.select(USUBJID="id", TRT01P="arm")
    frames = {
        "ADSL": who,
        "ADEFF": long.select(USUBJID="id", TRT01P="arm", PARAMCD=pl.lit("TOT"), AVAL="y", AVISITN="week"),
        "ADTTE": people.select(
            USUBJID="id", TRT01P="arm", PARAMCD=pl.lit("DEATH"), AVAL="time", CNSR=1 - pl.col("event")
        ),
    }
    return AdamStudy({name: from_frame(frame, name) for name, frame in frames.items()})


def run(section: str, data: tuple[pl.DataFrame, pl.DataFrame]) -> tuple[dict[str, float], str]:
    results = analyse(study(*data), parse_plan(PLAN.format(section=section)))
    numbers = {k.quantity: e.estimate if e.form != "p_only" else e.p for k, e in results.numbers.items()}
    return numbers, " ".join(results.tables[0].blocks[0].notes)


def test_independent_a_plan_gives_the_numbers_of_the_door() -> None:
    long, people = simulated(120)
    numbers, _ = run("{method: joint_model, time: DTHWK, censor: DTHCN, knots: 3, per: 4.0, at: [30]}", (long, people))
    kind = pl.Enum(["p", "d"])
    long, people = (frame.with_columns(pl.col("arm").cast(kind)) for frame in (long, people))
    fit = joint_model("y ~ week * arm + (week | id)", "Surv(time, event) ~ arm", long, people, knots=3)
    assert numbers["slope_difference"] == pytest.approx(fit.slope_difference(per=4.0).estimate, rel=1e-6)
    assert numbers["direct_hazard_ratio"] == pytest.approx(fit.direct_effect().estimate, rel=1e-6)
    assert numbers["joint_test"] == pytest.approx(fit.joint_test().p, rel=1e-4)
    assert numbers["total_effect"] == pytest.approx(fit.total_effect(30.0).estimates[2].estimate, rel=1e-5)
    numbers, _ = run("{method: disease_rate_ratio, time: DTHWK, censor: DTHCN, knots: 3}", (long, people))
    ratio = disease_rate_ratio("y ~ week + (week | id)", "Surv(time, event) ~ arm", long, people, knots=3)
    assert numbers["rate_ratio"] == pytest.approx(ratio.ratio.estimate, rel=1e-6)
    assert numbers["homogeneity"] == pytest.approx(ratio.homogeneity().p, rel=1e-4)


def test_property_a_plan_says_why_there_is_none() -> None:
    long, people = simulated(40)
    numbers, notes = run(
        "{method: joint_model, time: DTHWK, censor: DTHCN}", (long, people.with_columns(event=pl.lit(0)))
    )
    assert numbers["slope_difference"] != numbers["slope_difference"]
    assert "no events" in notes
