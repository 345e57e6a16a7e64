"""Every method of a plan has operating characteristics: a win ratio, an imputation by reference, an interim look."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from equipoise.cli.main import app
from equipoise.errors import DataError, EstimationError, ScenarioError
from equipoise.plan.analysis_plan import Plan, read_plan
from equipoise.plan.block import estimates, study_of
from equipoise.plan.carry_out import analyse
from equipoise.plan.key import Key
from equipoise.plan.scenario_plan import AnalysisPlan, parse_scenario_plan, read_scenario_plan
from equipoise.run import OperatingCharacteristics, operating_characteristics, run_study
from equipoise.run.operating import plan_keys
from equipoise.simulate import Scenario, Simulator

PLAN = Path(__file__).parent / "further_plan.yaml"
WIN = Key("win_ratio", analysis="win", arm="tofersen")


@pytest.fixture(scope="module")
def plan() -> AnalysisPlan:
    return read_scenario_plan(PLAN)


@pytest.fixture(scope="module")
def made(valor: Scenario, plan: AnalysisPlan) -> OperatingCharacteristics:
    return operating_characteristics(valor, plan, replicates=8, seed=3)


def test_independent_numbers_are_those_of_single_trials(
    valor: Scenario, plan: AnalysisPlan, made: OperatingCharacteristics
) -> None:
    own = valor.with_plan(plan)
    trials = Simulator.of(own, imbalance=False).block(3, 0, 8)
    single = [estimates(study_of(trials, i), own.whole_plan()) for i in range(8)]
    for quantity, analysis in (("win_ratio", "win"), ("difference", "j2r"), ("difference", "w28")):
        row = made.of(quantity, analysis, arm="tofersen")
        found = np.array([one[row.key].estimate for one in single])
        assert row.failed == 0
        assert row.mean == pytest.approx(found.mean(), rel=1e-12)
        assert row.sd == pytest.approx(found.std(ddof=1), rel=1e-12)
        assert row.mc_error_mean == pytest.approx(found.std(ddof=1) / math.sqrt(8), rel=1e-12)
        share = np.mean([one[row.key].p < 0.05 for one in single])
        assert row.significant == share
    assert any(n.failed < 8 for n in made.numbers if n.key.analysis == "look")


def test_property_a_study_takes_keys_of_sections(valor: Scenario, plan: AnalysisPlan) -> None:
    simulator = Simulator.of(valor.with_plan(plan), imbalance=False)
    died = Key("event_share", variable="death", set="F", week=28.0)
    asked = [WIN, Key("win_ratio", analysis="win", arm="tofersen", statistic="p"), died]
    with run_study(simulator, asked, 21, seed=3, threads=2) as two, run_study(simulator, asked, 21, seed=3) as one:
        for key in asked:
            np.testing.assert_array_equal(two.values(key), one.values(key))
        assert np.isfinite(two.values(WIN)).all()
        assert ((two.values(asked[1]) > 0) & (two.values(asked[1]) < 1)).all()


def test_property_an_unknown_number_has_no_values(valor: Scenario, plan: AnalysisPlan) -> None:
    with run_study(Simulator.of(valor.with_plan(plan)), [Key("loss_ratio", analysis="win")], 2) as study:
        assert np.isnan(study.values(study.measures[0])).all()


def test_property_keys_are_those_with_a_test_where_asked(valor: Scenario, plan: AnalysisPlan) -> None:
    simulator = Simulator.of(valor.with_plan(plan))
    every, tested = plan_keys(simulator, trials=2), plan_keys(simulator, trials=2, tested=True)
    assert set(tested) < set(every)
    assert WIN in tested


def test_property_mistakes_of_a_plan_are_told_before_the_study(valor: Scenario) -> None:
    def changed(text: str) -> AnalysisPlan:
        return parse_scenario_plan(
            "analyses: [{id: a, population: F, dataset: ADEFF, parameter: ALSFRS, where: {AVISITN: 28}, "
            f"sections: [{{method: ancova, formula: {text}}}]}}]"
        )

    with pytest.raises(DataError, match="there is no variable HEIGHT"):
        operating_characteristics(valor, changed("CHG ~ TRT01P + HEIGHT"), replicates=2)
    with pytest.raises(ScenarioError, match="1 replicates"):
        operating_characteristics(valor, changed("CHG ~ TRT01P"), replicates=1)
    alone = parse_scenario_plan("analyses: [{id: a, population: ITT, sections: [{method: summary, variable: AGE}]}]")
    with pytest.raises((EstimationError, DataError)):
        operating_characteristics(valor, alone, replicates=2, tested=True)


def test_property_the_command_prints_and_writes_the_table(tmp_path: Path) -> None:
    out = tmp_path / "oc.json"
    done = CliRunner().invoke(
        app,
        ["replicate", "valor", "--plan", str(PLAN), "-n", "4", "-q", "--json", str(out), "--seed", "3"],
        env={"COLUMNS": "160"},
    )
    assert done.exit_code == 0, done.output
    assert "win_ratio:win:tofersen" in done.output
    told = json.loads(out.read_text())
    assert (told["replicates"], told["mechanism"]) == (4, "lagged")
    assert {n["quantity"] for n in told["numbers"]} >= {"win_ratio", "difference"}


def test_property_a_written_trial_brings_its_plan(valor: Scenario, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["simulate", "valor", "--adam", str(tmp_path), "--seed", "2"])
    assert done.exit_code == 0, done.output
    plan = read_plan(tmp_path / "plan.yaml")
    assert plan == valor.whole_plan()
    some = [a for a in plan.analyses if a.id in ("alsfrs_f_w28", "nfl_f_w28", "svc_itt_w28_nfl", "dthpv_itt_w52_nfl")]
    order = ("alsfrs_f_w28.joint_rank", "nfl_f_w28.ancova")
    results = analyse(tmp_path, plan.model_copy(update={"analyses": tuple(some), "order": order}), strict=True)
    assert all(block.rows and block.failure is None for table in results.tables for block in table.blocks)
    last = results.tables[-1]
    assert (last.id, last.title) == ("order", "Tests in order")
    p = {r.label: r.cells["p"].values["p"] for r in last.blocks[0].rows}
    rank = (
        results.table("alsfrs_f_w28")
        .blocks[1]
        .numbers[Key("rank_difference", analysis="alsfrs_f_w28", section=2, arm="tofersen")]
    )
    assert p["alsfrs_f_w28.joint_rank"] == pytest.approx(rank.p)
    decided = {r.label: r.cells["decision"].text for r in last.blocks[0].rows}
    assert len(decided) == 2


def test_property_an_order_of_tests_that_are_not_there_is_refused(valor: Scenario) -> None:
    plan = valor.whole_plan()
    for order, words in ((("nothing.ancova",), "there are alsfrs_f_w28"), (("hhd_f_w28.win",), "has mi_ancova")):
        with pytest.raises(ValidationError, match=words):
            Plan.model_validate({**dict(plan), "order": order})
