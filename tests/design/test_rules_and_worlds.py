"""Success by several tests, go and no-go, a function of one's own; worlds from grids and from files of draws."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from plain_study import study

from equipoise.design import DesignResult, design, load_study
from equipoise.design.rules import Found
from equipoise.design.worlds import Draws
from equipoise.errors import ScenarioError
from equipoise.run.executors import Processes, Threads

FUNCTION = {"test": "w.ancova"}
MARKER = {"test": "m.ancova", "favours": "either"}
BOTH: dict[str, Any] = {"score": FUNCTION, "mark": MARKER}


def judged(folder: Path, primaries: dict[str, Any], replicates: int = 400, **more: Any) -> DesignResult:
    own = study(folder, primaries=primaries, factors={"primary": list(primaries), "patients": [120]}, **more)
    return design(own, replicates=replicates, executor=Threads(1))


def successes(made: DesignResult, world: str = "lifts") -> dict[str, np.ndarray]:
    return {c.design.primary: c.successes for c in made.cells if c.world == world}


def test_independent_orders_and_graphs_are_those_of_single_tests(tmp_path: Path) -> None:
    chain = {"weights": {"mark": 1.0, "score": 0.0}, "transitions": {"mark": {"score": 1.0}}}
    made = judged(
        tmp_path,
        {
            "score": {"label": "score", "all": [FUNCTION]},
            "half": {"label": "score at half the level", "all": [{**FUNCTION, "alpha": 0.025}]},
            "mark": {"label": "marker", "all": [MARKER]},
            "both": {"label": "both", "all": [FUNCTION, MARKER]},
            "order": {"label": "in order", "tests": BOTH, "order": ["mark", "score"], "success": ["score"]},
            "back": {"label": "the other order", "tests": BOTH, "order": ["score", "mark"], "success": "all"},
            "chain": {"label": "the same as a graph", "tests": BOTH, "graph": chain, "success": ["score"]},
            "holm": {"label": "Holm, any", "tests": BOTH, "graph": "holm"},
            "every": {"label": "Holm, all", "tests": BOTH, "graph": "holm", "success": "all"},
        },
    )
    for world in ("none", "lifts"):
        got = successes(made, world)
        np.testing.assert_array_equal(got["order"], got["both"])
        np.testing.assert_array_equal(got["back"], got["both"])
        np.testing.assert_array_equal(got["chain"], got["order"])
        np.testing.assert_array_equal(got["every"], got["both"] & got["holm"])
        assert (got["holm"] >= got["half"]).all()
    assert successes(made)["mark"].mean() > 0.95


def test_independent_go_and_no_go_by_thresholds(tmp_path: Path) -> None:
    go = {"test": "w.ancova", "alpha": None, "at_least": 3.0}
    made = judged(
        tmp_path,
        {
            "go": {"label": "go", "all": [go], "stop": [{"test": "m.ancova", "alpha": None, "at_least": 0.0}]},
            "sure": {"label": "80 % sure of 1", "all": [{**go, "at_least": 1.0, "level": 0.6}]},
            "plain": {"label": "the test itself", "all": [{**go, "at_least": 0.0, "level": 0.95}]},
            "test": {"label": "ANOVA", "all": [FUNCTION]},
        },
        replicates=600,
    )
    found = {(c.world, c.design.primary): c for c in made.cells}
    se = math.sqrt(50 * 4 / 120)
    assert found["lifts", "go"].success == pytest.approx(0.5, abs=0.08)
    # power of a lower limit of 80 % above 1: P(Z > 0.8416 - 2 / se)
    from scipy.stats import norm

    assert found["lifts", "sure"].success == pytest.approx(norm.sf(0.8416 - 2 / se), abs=0.06)
    # the interval's limit above 0 is the test, but for t against normal
    assert (found["lifts", "plain"].successes != found["lifts", "test"].successes).mean() < 0.02
    # the marker falls where the drug works, and its estimate is no better than 0 then
    assert found["lifts", "go"].no_go == 0.0
    assert found["none", "go"].no_go == pytest.approx(0.5, abs=0.09)
    assert "no_go" in found["none", "go"].row()
    assert "no_go" not in found["none", "test"].row()


def test_property_a_function_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_rules.py").write_text(
        "def decide(found):\n    return (found['score'].p < 0.05) & (found['score'].favour > 0)\n"
        "def wrong(found):\n    return found['other']\n"
        "def short(found):\n    return True\n"
    )
    monkeypatch.chdir(tmp_path)

    def primary(name: str) -> dict[str, Any]:
        return {"it": {"label": "own", "tests": BOTH, "function": name}, "t": {"label": "t", "all": [FUNCTION]}}

    def run(name: str, **more: Any) -> DesignResult:
        own = study(tmp_path, primaries=primary(name), factors={"primary": ["it", "t"], "patients": [100]})
        return design(own, replicates=40, executor=Threads(1), **more)

    got = successes(run("my_rules:decide", code=True))
    np.testing.assert_array_equal(got["it"], got["t"])

    def given(found: Mapping[str, Found]) -> np.ndarray:
        assert set(found) == {"score", "mark"}
        return np.asarray(found["score"].favour > 0)

    assert successes(run("any.where:it", rules={"it": given}))["it"].mean() > 0.9
    for name, more, words in (
        ("my_rules:decide", {}, "primaries.it.function: my_rules:decide is Python code, and is not run"),
        ("my_rules:absent", {"code": True}, "my_rules has no absent"),
        ("absent_rules:decide", {"code": True}, "absent_rules cannot be imported"),
        ("my_rules:wrong", {"code": True}, "my_rules:wrong failed: KeyError: 'other'"),
        ("my_rules:short", {"code": True}, "my_rules:short returned bool of shape ()"),
    ):
        with pytest.raises(ScenarioError) as caught:
            run(name, **more)
        assert words in str(caught.value)


@pytest.mark.parametrize(
    ("primary", "words"),
    [
        ({"all": [FUNCTION], "tests": BOTH}, "primaries.it.all: give conditions that must all hold"),
        ({"tests": BOTH}, "primaries.it.tests: need one rule, graph, order or function; found none"),
        ({"tests": BOTH, "graph": "holm", "order": ["score"]}, "found graph, order"),
        ({"tests": BOTH, "order": ["score", "other"]}, "primaries.it.order: 'other' is none of tests: score, mark"),
        ({"tests": BOTH, "order": ["score", "score"]}, "primaries.it.order: a test stands twice"),
        ({"tests": BOTH, "graph": {"weights": {"score": 1.0}}}, "primaries.it.graph: 'mark' has no weight"),
        ({"tests": BOTH, "graph": {"weights": {"score": 1.0, "mark": 1.0}}}, "at most 1 together"),
        ({"all": [FUNCTION], "graph": "holm"}, "primaries.it.graph: is a rule for tests"),
        ({"all": [{**FUNCTION, "alpha": None}]}, "primaries.it.all[1].alpha: without a level"),
        ({"tests": {"a": {"test": "x.y"}}, "order": ["a"]}, "primaries.it.tests.a: 'x' is no analysis"),
    ],
)
def test_property_a_bad_rule_is_refused_by_name(tmp_path: Path, primary: dict[str, Any], words: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        study(tmp_path, primaries={"it": {"label": "it", **primary}}, factors={"primary": ["it"]})
    assert words in str(caught.value)


def test_property_a_grid_is_a_world_each(tmp_path: Path) -> None:
    grid = {"effect.gain": [1, 3], "disease.residual.sd": [4, 5, 6]}
    own = study(tmp_path, worlds={"w": {"label": "lift", "mechanism": "symptomatic", "weight": 3.0, "grid": grid}})
    assert list(own.worlds)[:2] == ["w-gain-1-sd-4", "w-gain-1-sd-5"]
    world = own.worlds["w-gain-3-sd-6"]
    assert (world.effect, world.disease) == ({"gain": 3}, {"residual": {"sd": 6}})
    assert (world.kind, world.weight, world.label) == ("symptomatic", 0.5, "lift, gain 3, sd 6")
    made = design(own, replicates=200, executor=Threads(1))
    share = {c.world: c.success for c in made.cells}
    assert share["w-gain-3-sd-4"] > share["w-gain-3-sd-6"] > share["w-gain-1-sd-6"]
    mean = made.averaged()["success"][0]
    assert mean == pytest.approx(np.mean(list(share.values())))
    both = study(tmp_path, worlds={"m": {"label": "m", "grid": {"mechanism": ["none", "symptomatic"]}}})
    assert [w.kind for w in both.worlds.values()] == ["none", "symptomatic"]
    for bad, words in (
        ({"gain": [1]}, "worlds.w.grid.gain: a path is mechanism"),
        ({"effect.gain": 3}, "worlds.w.grid.effect.gain: give a list of values"),
        ({}, "worlds.w.grid: is path -> values"),
    ):
        with pytest.raises(ScenarioError) as caught:
            study(tmp_path, worlds={"w": {"label": "l", "mechanism": "symptomatic", "grid": bad}})
        assert words in str(caught.value)


def drawn(folder: Path, **columns: Any) -> str:
    path = folder / "draws.parquet"
    pl.DataFrame(columns).write_parquet(path)
    return str(path)


def test_simulation_draws_from_a_file_are_averaged_over(tmp_path: Path) -> None:
    n = 900
    file = drawn(tmp_path, **{"effect.gain": [0.0, 6.0], "weight": [1.0, 3.0], "note": ["a", "b"]})
    worlds = {
        "drawn": {"label": "d", "mechanism": "symptomatic", "draws": {"file": file, "weights": "weight"}},
        "zero": {"label": "0", "mechanism": "symptomatic", "effect": {"gain": 0}},
        "six": {"label": "6", "mechanism": "symptomatic", "effect": {"gain": 6}},
    }
    own = study(tmp_path, worlds=worlds, factors={"patients": [80, 120]})
    made = design(own, replicates=n, executor=Threads(1))
    cells = {(c.world, c.design.patients): c for c in made.cells}
    draws = own.worlds["drawn"].draws
    assert draws is not None
    row = np.array([draws.row(own.seed, r) for r in range(n)])
    assert row.mean() == pytest.approx(0.75, abs=4 * math.sqrt(0.75 * 0.25 / n))
    for size in (80, 120):
        # each replicate is that of its own draw, to the bit, and designs share the draws
        expected = np.where(row == 1, cells["six", size].successes, cells["zero", size].successes)
        np.testing.assert_array_equal(cells["drawn", size].successes, expected)
    assert cells["drawn", 80].true_effect == pytest.approx(6 * row[:100].mean(), abs=1e-9)
    again = design(
        own.with_(factors={**own.factors.model_dump(), "patients": [80]}), replicates=40, executor=Processes(2)
    )
    np.testing.assert_array_equal(again.one("drawn").successes, cells["drawn", 80].successes[:40])


def test_property_draws_of_several_mechanisms_are_split(tmp_path: Path) -> None:
    file = drawn(tmp_path, mechanism=["none", "symptomatic", "symptomatic"], gain=[0.5, 2.0, 4.0], w=[2.0, 1.0, 1.0])
    spec = {"file": file, "weights": "w", "columns": {"gain": "effect.gain"}}
    with pytest.raises(ScenarioError, match="cannot be simulated"):
        design(study(tmp_path, worlds={"p": {"label": "posterior", "draws": spec}}), replicates=4)
    own = study(tmp_path, worlds={"p": {"label": "posterior", "draws": {**spec, "columns": {"gain": "groups.A.sd"}}}})
    assert list(own.worlds) == ["p-none", "p-symptomatic"]
    assert [w.weight for w in own.worlds.values()] == [0.5, 0.5]
    assert own.worlds["p-none"].no_effect
    split = own.worlds["p-symptomatic"].draws
    assert split is not None
    assert len(split.values) == 2
    # of a mechanism that has no such parameter the column is empty
    file = drawn(
        tmp_path, mechanism=["none", "symptomatic"], **{"effect.gain": [None, 3.0], "disease.residual.sd": [5.0, 4.0]}
    )
    made = design(study(tmp_path, worlds={"p": {"label": "posterior", "draws": {"file": file}}}), replicates=20)
    assert [c.world for c in made.cells] == ["p-none", "p-symptomatic"]


def test_property_draws_lie_beside_the_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn(tmp_path, **{"effect.gain": [1.0, 2.0]})
    own = study(tmp_path, worlds={"p": {"label": "p", "mechanism": "symptomatic"}}).model_dump(
        mode="json", exclude_none=True
    )
    own["worlds"]["p"]["draws"] = {"file": "draws.parquet"}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(own))
    monkeypatch.chdir("/")
    draws = load_study(tmp_path / "study.yaml").worlds["p"].draws
    assert draws is not None
    assert draws.values.tolist() == [[1.0], [2.0]]


def test_property_bad_draws_are_refused_by_name(tmp_path: Path) -> None:
    def refused(words: str, **draws: Any) -> None:
        with pytest.raises(ScenarioError) as caught:
            study(tmp_path, worlds={"p": {"label": "p", "mechanism": "symptomatic", "draws": draws}})
        assert words in str(caught.value)

    file = drawn(tmp_path, **{"effect.gain": [1.0, math.nan]})
    refused("worlds.p.draws.file: " + file + " holds values that are missing", file=file)
    file = drawn(tmp_path, gain=[1.0])
    refused("no column of", file=file)
    refused("has no column 'lag'", file=file, columns={"lag": "effect.lag"})
    refused("draws are a .parquet or .csv file", file=str(tmp_path / "plain.yaml"))
    refused("cannot be read", file=str(tmp_path / "absent.csv"))
    file = drawn(tmp_path, **{"effect.gain": [1.0], "w": [0.0]})
    refused("weights are 0 or more, and not all 0", file=file, weights="w")
    good = Draws(file=file)
    drawn(tmp_path, **{"effect.gain": [2.0]})
    refused("has changed since the study was begun", file=file, digest=good.digest)
    own = study(
        tmp_path,
        worlds={
            "p": {"label": "p", "mechanism": "symptomatic", "draws": {"file": drawn(tmp_path, **{"effect.gan": [1.0]})}}
        },
    )
    with pytest.raises(ScenarioError, match="row 1 cannot be simulated"):
        design(own, replicates=4)
