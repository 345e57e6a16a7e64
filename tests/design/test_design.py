"""Design studies: designs as data, the same bits wherever they are carried out, errors that are what they say."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from equipoise.design import DesignResult, DesignStudy, design, load_study, parse_study
from equipoise.design.carry_out import prepare
from equipoise.design.report import drawings, parts_of, report_html, report_markdown
from equipoise.design.status import status
from equipoise.design.study import Conduct, filled, starter
from equipoise.design.trials import protocol_for
from equipoise.errors import EstimationError, OutputError, ScenarioError
from equipoise.library import shipped
from equipoise.run.executors import Processes, Threads
from equipoise.simulate import Scenario, load_scenario
from equipoise.simulate.protocol import Dosing


def small(**changes: Any) -> DesignStudy:
    """Two lengths, one size, two analyses, two worlds, no extension."""
    study = load_study("next-als")
    factors = {
        "weeks": [12, 28],
        "patients": [60],
        "extension": [0.0],
        "enrichment": ["all"],
        "primary": ["mmrm", "joint_rank"],
    }
    worlds = {w: study.worlds[w].model_dump() for w in ("none", "lag0")}
    return study.with_(**{"factors": factors, "worlds": worlds, "rule": [], **changes})


@pytest.fixture(scope="module")
def made() -> DesignResult:
    return design(small(), replicates=120, executor=Threads(1))


def same(a: DesignResult, b: DesignResult) -> None:
    assert [c.row() for c in a.cells] == [c.row() for c in b.cells]
    for one, other in zip(a.cells, b.cells, strict=True):
        np.testing.assert_array_equal(one.successes, other.successes)


def test_property_the_shipped_study_asks_what_the_page_asks() -> None:
    study = load_study("next-als")
    assert set(study.factors.weeks) == {28, 40, 52, 76}
    assert {w.lag for w in study.worlds.values() if w.lag is not None} == {0, 4, 8, 13, 26}
    prepared = prepare(study, load_scenario(study.base))
    assert len(prepared) == 16 * len(study.worlds)
    assert len(list(study.designs())) == 64


@pytest.mark.parametrize("scenario", [n for n in shipped("scenario") if load_scenario(n).outcomes])
def test_property_a_starter_can_be_carried_out(scenario: str) -> None:
    study = parse_study(starter(scenario))
    assert prepare(study, load_scenario(scenario))


def test_property_a_starter_gives_numbers() -> None:
    study = parse_study(starter("centaur"))
    factors = {**study.factors.model_dump(), "weeks": study.factors.weeks[:1], "patients": study.factors.patients[:1]}
    found = design(study.with_(factors=factors), replicates=10)
    assert all(c.failures == 0 for c in found.cells)


def test_property_more_weeks_move_doses_visits_and_extension(valor: Scenario) -> None:
    study = load_study("next-als")
    base = valor.protocol
    conduct = Conduct(weeks=52, patients=217, ratio="1:1", extension=24, enrichment="all")
    protocol = protocol_for(base, study, conduct)
    assert protocol.n == 217
    assert protocol.ratio == (1, 1)
    assert protocol.period_end == 52
    assert protocol.visits[-1] == 76
    assert 52 in protocol.visits
    dosing, own = protocol.dosing, base.dosing
    assert isinstance(dosing, Dosing)
    assert isinstance(own, Dosing)
    assert dosing.randomised["tofersen"][:8] == own.randomised["tofersen"]
    assert dosing.randomised["tofersen"][-1] == 48
    assert dosing.extension["placebo"][:4] == (52, 54, 56, 60)  # loading as at week 28 of the base
    assert dosing.extension["tofersen"][0] == 52
    assert max(w for doses in dosing.extension.values() for w in doses) < 76
    same_as_base = protocol_for(
        base, study, Conduct(weeks=28, patients=108, ratio=None, extension=24, enrichment="all")
    )
    assert same_as_base.groups == base.groups
    assert same_as_base.dosing == base.dosing


def test_property_some_of_the_combinations_can_be_named() -> None:
    chosen = small(only=[{"weeks": 12, "primary": "mmrm"}, {"weeks": 28, "primary": "joint_rank"}])
    assert [(d.weeks, d.primary) for d in chosen.designs()] == [(12, "mmrm"), (28, "joint_rank")]
    with pytest.raises(ScenarioError, match=r"only\[1\]: .lenght. is no factor"):
        parse_study(yaml.safe_dump({**load_study("next-als").model_dump(mode="json"), "only": [{"lenght": 28}]}))
    with pytest.raises(ValueError, match="no combination of the factors"):
        small(only=[{"weeks": 13}])


def test_property_placeholders() -> None:
    conduct = Conduct(weeks=28, patients=9, ratio=None, extension=24.5, enrichment="all")
    given = {"a": "{weeks}", "b": ["{end}", "Week {weeks}"], "c": "{other}", "d": 3}
    assert filled(given, conduct) == {"a": 28, "b": [52.5, "Week 28"], "c": "{other}", "d": 3}


def test_property_the_same_bits_wherever(made: DesignResult, tmp_path: Path) -> None:
    same(design(small(), replicates=120, executor=Threads(2)), made)
    same(design(small(), replicates=120, executor=Processes(2), out=tmp_path), made)
    grown = design(small(), replicates=160, executor=Threads(2), out=tmp_path)
    for cell, before in zip(grown.cells, made.cells, strict=True):
        assert cell.replicates == 160
        np.testing.assert_array_equal(cell.successes[:120], before.successes)
    same(grown, design(small(), replicates=160))


def test_simulation_without_an_effect_the_test_errs_as_often_as_it_says(made: DesignResult) -> None:
    found = design(small(worlds={"none": small().worlds["none"].model_dump()}), replicates=600)
    for cell in found.cells:
        # two-sided 5 %, in favour of active only
        assert abs(cell.success - 0.025) < 3.5 * math.sqrt(0.025 * 0.975 / cell.replicates)
        if cell.design.primary == "mmrm":
            assert cell.true_effect == 0.0
            assert cell.bias is not None
            assert cell.bias_error is not None
            assert cell.coverage is not None
            assert abs(cell.bias) < 3.5 * cell.bias_error
            assert abs(cell.coverage - 0.95) < 3.5 * math.sqrt(0.95 * 0.05 / cell.replicates)
    with pytest.raises(EstimationError, match="too few to claim"):
        found.type_one_error(found.cells[0])
    assert set(found.to_frame()["reads_as"]) == {"error rate, explored"}


def test_independent_a_difference_pairs_the_replicates(made: DesignResult) -> None:
    long = made.one("lag0", weeks=28, primary="mmrm")
    short = made.one("lag0", weeks=12, primary="mmrm")
    found = made.difference(long, short)
    pairs = long.successes.astype(float) - short.successes
    assert found.difference == pytest.approx(long.success - short.success)
    assert found.mc_error == pytest.approx(pairs.std(ddof=1) / math.sqrt(120))
    apart = math.sqrt(long.mc_error**2 + short.mc_error**2)
    assert found.mc_error < 1.05 * apart
    with pytest.raises(EstimationError, match="two worlds"):
        made.difference(long, made.one("none", weeks=28, primary="mmrm"))


def test_property_true_effects_grow_with_time_and_shrink_with_the_lag() -> None:
    study = small()
    worlds = {w: load_study("next-als").worlds[w].model_dump() for w in ("lag0", "lag13")}
    factors = {**study.factors.model_dump(), "primary": ["mmrm"]}
    found = design(study.with_(worlds=worlds, factors=factors), replicates=20)
    effect = {(c.world, c.design.weeks): c.true_effect for c in found.cells}
    assert effect["lag0", 28.0] > effect["lag0", 12.0] > 0.0  # type: ignore[operator]
    assert effect["lag13", 28.0] < effect["lag0", 28.0]  # type: ignore[operator]


def test_property_more_replicates_go_where_the_answer_is_open(made: DesignResult) -> None:
    target = made.one("lag0", weeks=28, primary="mmrm").success
    factors = {**small().factors.model_dump(), "primary": ["mmrm"]}
    found = design(small(factors=factors, target=target), replicates=120, up_to=240)
    assert found.one("lag0", weeks=28).replicates == 240
    assert found.one("none", weeks=28).replicates == 120


def test_property_the_search_finds_the_smallest(made: DesignResult) -> None:
    assert made.smallest("lag0", target=0.9999) is None
    cheap = made.smallest("lag0", target=0.01)
    assert cheap is not None
    assert cheap.design.weeks == 12
    dear = made.smallest("lag0", target=0.01, cost=lambda c: -c.patient_weeks)
    assert dear is not None
    assert dear.design.weeks == 28
    front = made.frontier("lag0")
    assert [c.success for c in front] == sorted(c.success for c in front)
    mean = made.averaged()
    assert len(mean) == 4


def test_property_the_report_holds_every_cell_and_stands_alone(made: DesignResult) -> None:
    page, text = report_html(made), report_markdown(made)
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "<script" not in page
    titles = [p.title for p in parts_of(made)]
    assert titles[0] == "Answer"
    for cell in made.cells:
        assert cell.design.label in page
        assert f"{100 * cell.success:.1f} ± {100 * cell.mc_error:.1f} %" in text
    assert {"all", "price-lag0"} <= set(drawings(made))
    again = json.loads(made.to_json())
    assert len(again["cells"]) == len(made.cells)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"factors": {"weeks": [28], "patients": [60], "primary": ["cox"]}}, "none of primaries"),
        ({"factors": {"weeks": [28], "patients": [60], "primary": ["mmrm"], "dose": [1]}}, "dose"),
        ({"factors": {"weeks": [], "patients": [60], "primary": ["mmrm"]}}, "weeks"),
        ({"factors": {"weeks": [28, 28], "patients": [60], "primary": ["mmrm"]}}, "stands twice"),
        ({"factors": {"weeks": [28], "patients": [60], "primary": ["delayed_start"]}}, "no design is left"),
        ({"factors": {"weeks": [28], "patients": [60], "primary": ["mmrm"], "ratio": ["one"]}}, "no ratio"),
        ({"visits": [4, 2]}, "must rise"),
        ({"analyses": [{"id": "other"}]}, "is no analysis"),
        ({"factors": {"weeks": [28], "patients": [], "primary": ["mmrm"]}}, "an empty list; expected 1 or more"),
        ({"worlds": {}}, "an empty mapping; expected 1 or more entries"),
        (
            {"intercurrent_events": [{"event": "death", "analysis": "joint_rnk", "strategy": "composite"}]},
            "did you mean 'joint_rank'",
        ),
    ],
)
def test_property_a_bad_study_is_refused_where_it_is_wrong(change: dict[str, Any], words: str) -> None:
    import yaml

    data = {**load_study("next-als").model_dump(mode="json", exclude_none=True), **change}
    with pytest.raises(ScenarioError, match=words) as told:
        parse_study(yaml.safe_dump(data, sort_keys=False), "study.yaml")
    assert "line " in told.value.message


def test_property_what_the_scenario_has_not_is_refused() -> None:
    study = small()
    for change, words in (
        ({"worlds": {"x": {"label": "x", "mechanism": "waning", "kind": "none"}}}, "no mechanism 'waning'"),
        ({"worlds": {"x": {"label": "x", "mechanism": "none", "kind": "none", "disease": {"mass": 1.0}}}}, "worlds.x"),
        ({"enrichments": {"all": {"label": "all", "groups": ["Z"]}}}, "no group 'Z'"),
        (
            {"intercurrent_events": [{"event": "death", "analysis": "joint_rank", "strategy": "hypothetical"}]},
            "is not what",
        ),
        (
            {"intercurrent_events": [{"event": "death", "analysis": "log_rank", "strategy": "composite"}]},
            "item 1: death in the log_rank: no analysis that is read offers 'log_rank'",
        ),
    ):
        with pytest.raises(ScenarioError, match=words):
            design(study.with_(**change), replicates=2)
    with pytest.raises(ScenarioError, match="1 replicates"):
        design(study, replicates=1)
    with pytest.raises(ScenarioError, match="no design study called"):
        load_study("nothing")


def test_property_two_studies_do_not_share_a_folder(tmp_path: Path) -> None:
    study = small(factors={**small().factors.model_dump(), "weeks": [12], "primary": ["mmrm"]})
    design(study, replicates=20, out=tmp_path)
    with pytest.raises(OutputError, match="another design study"):
        design(study.with_(seed=2), replicates=20, out=tmp_path)
    design(study, replicates=40, out=tmp_path)
    found = status(tmp_path)
    assert (found.cells, found.asked, found.done) == (2, 40, 80)
    assert "finished" in str(found)
    (tmp_path / "design.json").write_text("{}")
    with pytest.raises(OutputError, match="another design study"):
        design(study, replicates=20, out=tmp_path)
    with pytest.raises(ScenarioError, match="is not what a design study writes"):
        status(tmp_path)
    with pytest.raises(ScenarioError, match="no design study was begun"):
        status(tmp_path / "nowhere")


def test_property_killed_and_interrupted_studies_go_on_to_the_same_table(tmp_path: Path) -> None:
    import yaml

    study = small(factors={**small().factors.model_dump(), "weeks": [12], "primary": ["mmrm"]})
    file, out = tmp_path / "study.yaml", tmp_path / "out"
    file.write_text(yaml.safe_dump(study.model_dump(mode="json", exclude_none=True), sort_keys=False))
    command = [sys.executable, "-m", "equipoise", "design", str(file), "-n", "400", "--out", str(out), "--quiet"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    for number in (signal.SIGKILL, signal.SIGINT):
        before = len(list(out.rglob("part-*.parquet")))
        process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
        end = time.monotonic() + 120
        while process.poll() is None and len(list(out.rglob("part-*.parquet"))) < before + 2:
            assert time.monotonic() < end
            time.sleep(0.02)
        process.send_signal(number)
        process.communicate(timeout=120)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    fresh = design(study, replicates=400)
    assert (out / "cells.csv").read_text() == fresh.to_frame().write_csv()
    assert (out / "result.json").read_text() == fresh.to_json()
    assert "<svg" in (out / "report.html").read_text()
