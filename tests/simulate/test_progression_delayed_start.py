"""The delayed start outside ALS: a slowing keeps its difference, a symptomatic effect loses it (Liu-Seifert 2015)."""

from __future__ import annotations

import math

import numpy as np
import pytest
from progression_cases import DELAYED, plain
from typer.testing import CliRunner

from equipoise.cli.main import app
from equipoise.estimate.delayed_start.batch import DelayedStartBatch, delayed_start_batch
from equipoise.plan.block import analyse
from equipoise.plan.key import Key
from equipoise.plan.scenario_plan import parse_scenario_plan
from equipoise.run import operating_characteristics
from equipoise.simulate import Scenario, Simulator, load_scenario
from equipoise.simulate.progression.engine import moments

N = 4000
"""Trials: the standard error of 2.5 % is a quarter of a point."""


def questions(
    scenario: Scenario, mechanism: str, n: int, period: float, end: float, *, fraction: float = 0.5, sign: float = 1.0
) -> DelayedStartBatch:
    """The three questions of many trials, higher made better."""
    simulator = Simulator.of(scenario, mechanism)
    parts = []
    for first in range(0, n, 200):
        trials = simulator.block(17, first, min(200, n - first))
        y = trials.function
        change = sign * (y[:, :, 1:] - y[:, :, :1])
        parts.append(
            delayed_start_batch(
                change,
                trials.arm,
                trials.weeks[1:],
                period_end=period,
                at=end,
                covariates=y[:, :, :1],
                fraction=fraction,
                df="kenward-roger-linear",
            )
        )
    tables = (np.concatenate([getattr(p, name) for p in parts]) for name in ("estimate", "se", "df", "status"))
    return DelayedStartBatch(parts[0].names, *tables)


def test_independent_differences_of_early_and_delayed_start() -> None:
    """In closed form: a slowing keeps its gap for good, a symptomatic gain is caught up, a lag widens the gap first."""
    scenario = plain(**DELAYED)

    def gap(mechanism: str) -> np.ndarray:
        early, late = (moments(scenario, "ALL", arm, mechanism=mechanism).mean for arm in ("drug", "placebo"))
        made: np.ndarray = early - late
        return made

    weeks = np.array(scenario.protocol.visits)
    slowing = gap("slowing")
    assert slowing[weeks >= 28] == pytest.approx(slowing[weeks == 28][0], rel=1e-12)
    symptomatic = gap("symptomatic")
    assert symptomatic[weeks == 28] == pytest.approx(2 * -math.expm1(-7.0))
    caught = 2 * (math.exp(-24 / 4) - math.exp(-52 / 4))
    assert symptomatic[weeks == 52] == pytest.approx(caught, rel=1e-9)
    lagged = gap("lagged")
    assert lagged[weeks == 52] / lagged[weeks == 28] == pytest.approx(28 / (28 - 8), rel=1e-9)
    assert gap("none") == pytest.approx(0)
    assert (gap("harm")[1:] < 0).all()


def test_simulation_type_one_error_of_the_rule() -> None:
    """Under a symptomatic effect Q2 is at its null: 2.5 % within 4 Monte Carlo errors; all three no oftener."""
    made = questions(plain(**DELAYED), "symptomatic", N, 28, 52)
    assert (made.status == 0).all()
    met = made.met()
    error = math.sqrt(0.025 * 0.975 / N)
    assert abs(met[:, 1].mean() - 0.025) < 4 * error
    assert met.all(axis=1).mean() < 0.025 + 4 * error
    # the first question, which a symptomatic effect answers with yes, has power; the third is far from its null
    assert met[:, 0].mean() > 0.5
    assert met[:, 2].mean() < 0.05


def test_simulation_type_one_error_of_an_analysis() -> None:
    """A9: in the world `none`, dropout by the last value, the planned MMRM is significant in 5 %."""
    scenario = plain(disease__dropout={"hazard": 0.01, "per_point": 0.05})
    simulator, hits = Simulator.of(scenario, "none"), []
    for first in range(0, N, 200):
        made = analyse(simulator.block(23, first, 200), scenario.plan)
        hits.append(made[Key("difference", analysis="end", arm="drug", visit="Week 28")].number("p") < 0.05)
    rate = np.concatenate(hits).mean()
    assert abs(rate - 0.05) < 4 * math.sqrt(0.05 * 0.95 / N)


def test_simulation_the_third_question_at_its_null() -> None:
    """With the whole first difference as the margin, a slowing (which keeps just that) is at the null of Q3: 5 %."""
    made = questions(plain(**DELAYED), "slowing", N, 28, 52, fraction=1.0)
    met = made.met()
    assert abs(met[:, 2].mean() - 0.05) < 4 * math.sqrt(0.05 * 0.95 / N)
    kept = questions(plain(**DELAYED), "slowing", 400, 28, 52)
    assert kept.met()[:, 2].mean() > met[:, 2].mean()


def test_simulation_clarity_ad_has_its_published_numbers_and_tells_mechanisms_apart() -> None:
    """150 virtual trials of 1,795 patients: what the scenario was built from, and what the rule says of the truth."""
    scenario = load_scenario("clarity_ad")
    trials = Simulator.of(scenario).block(5, 0, 150)
    base = trials.function[:, :, 0]
    assert base.mean() == pytest.approx(2.89, abs=0.03)
    assert base.std() == pytest.approx(1.454, abs=0.03)
    assert trials.entered_extension.mean() == pytest.approx(1385 / 1795, abs=0.005)
    stats = analyse(trials, scenario.plan)
    placebo = stats[Key("lsmean", analysis="cdrsb_m18", arm="placebo", visit="Week 78")].value
    made = stats[Key("difference", analysis="cdrsb_m18", arm="lecanemab", visit="Week 78")]
    difference, se = made.value, made.se
    assert placebo.mean() == pytest.approx(1.66, abs=0.03)
    assert difference.mean() == pytest.approx(-0.45, abs=4 * 0.1122 / math.sqrt(150))
    # the published interval, -0.67 to -0.23, is 2 x 1.96 standard errors wide
    assert se.mean() == pytest.approx((0.67 - 0.23) / 2 / 1.96, rel=0.03)
    claimed = {
        m: questions(scenario, m, 80, 78, 156, sign=-1.0).met() for m in ("none", "symptomatic", "slowing", "lagged")
    }
    assert claimed["slowing"].all(axis=1).mean() > 0.3
    assert claimed["lagged"].all(axis=1).mean() > claimed["slowing"].all(axis=1).mean()
    for mechanism in ("none", "symptomatic"):
        assert claimed[mechanism].all(axis=1).mean() <= 0.025 + 4 * math.sqrt(0.025 / 80)
    assert claimed["symptomatic"][:, 0].mean() > 0.8


PLAN = """
analyses:
- id: delayed
  population: ITT
  dataset: ADEFF
  parameter: SCORE
  where: {AVISITN: {gt: 0, le: 52}}
  sections: [{method: delayed_start, period_end: 28, week: 52}]
- id: win
  population: ITT
  gather:
    DTHWK: {dataset: ADTTE, parameter: DEATH}
    DTHCN: {dataset: ADTTE, parameter: DEATH, variable: CNSR}
    LAST: {dataset: ADEFF, parameter: SCORE, variable: CHG, where: {AVISITN: 28}}
  sections:
  - method: win
    hierarchy: [{time: DTHWK, censor: DTHCN}, {value: LAST}]
- id: slope
  population: ITT
  dataset: ADEFF
  parameter: SCORE
  where: {AVISITN: {le: 28}}
  sections: [{method: slope, per: 4.348214285714286, unit: month}]
- id: mi
  population: ITT
  dataset: ADEFF
  parameter: SCORE
  where: {AVISITN: {le: 28}}
  sections: [{method: mi_ancova, impute_with: [BASE], imputations: 5}]
- id: death
  population: ITT
  dataset: ADTTE
  parameter: DEATH
  sections: [{method: survival, up_to: 28}]
- id: w28
  population: ITT
  dataset: ADEFF
  parameter: SCORE
  where: {AVISITN: 28}
  sections: [{method: ancova, formula: CHG ~ TRT01P + BASE}]
"""


def test_independent_methods_of_plans_run_on_it() -> None:
    """Delayed start, win ratio, slopes, imputation, log-rank and Cox, ANCOVA: every section gives its numbers."""
    scenario = plain(**DELAYED, disease__event={"hazard": 0.01}, disease__dropout={"hazard": 0.004})
    made = operating_characteristics(scenario, parse_scenario_plan(PLAN), mechanism="slowing", replicates=4, threads=2)
    assert {n.key.analysis for n in made.numbers} == {"delayed", "win", "slope", "mi", "death", "w28"}
    assert made.of("question", "delayed", visit="Q1").significant is not None
    assert made.of("win_ratio", "win").failed == 0
    compiled = scenario.with_plan(parse_scenario_plan(PLAN)).plan.compiled
    assert [f.id for f in compiled] == ["delayed", "slope", "mi", "death"]


def test_property_commands_take_a_scenario_without_a_record(tmp_path) -> None:
    plan = tmp_path / "short.yaml"
    plan.write_text(
        "analyses: [{id: m18, population: ITT, dataset: ADEFF, parameter: CDRSB, where: {AVISITN: 78}, "
        "sections: [{method: ancova, formula: CHG ~ TRT01P + BASE}]}]",
        encoding="utf-8",
    )
    out = tmp_path / "oc.json"
    run = ["replicate", "clarity_ad", "-n", "2", "-q"]
    done = CliRunner().invoke(app, [*run, "--plan", str(plan), "--json", str(out)], env={"COLUMNS": "160"})
    assert done.exit_code == 0, done.output
    assert "difference:m18:lecanemab" in done.output
    own = CliRunner().invoke(app, run, env={"COLUMNS": "160"})
    assert own.exit_code == 0, own.output
    assert "cdrsb_m18" in own.output
    assert "question:delayed_m36" in own.output
    folder = tmp_path / "adam"
    made = CliRunner().invoke(app, ["simulate", "clarity_ad", "--adam", str(folder), "-m", "symptomatic"])
    assert made.exit_code == 0, made.output
    results = CliRunner().invoke(
        app, ["analyse", str(folder / "plan.yaml"), "--data", str(folder), "--out", str(tmp_path / "r")]
    )
    assert results.exit_code == 0, results.output
    wrong = CliRunner().invoke(app, ["replicate", "valor", "--scenario", "clarity_ad", "-n", "2", "-q"])
    assert wrong.exit_code != 0 or "clarity_ad" in wrong.output
