"""What a study leaves behind: stored results with their key, single trials replayed, the report as Word; memory, a full
disk, a folder to be read only.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from equipoise.design import DesignResult, DesignStudy, design, load_study, stored
from equipoise.design.examples import MISLEADING, NEAR_MISS, TYPICAL, chosen, command_of, design_named, replay
from equipoise.design.report import parts_of
from equipoise.errors import OutputError, ScenarioError
from equipoise.run.executors import Threads
from equipoise.simulate import Scenario, Simulator

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}


def small(**changes: Any) -> DesignStudy:
    """Two lengths, one size, one analysis, two worlds, no extension."""
    study = load_study("next-als")
    factors = {"weeks": [12, 28], "patients": [60], "extension": [0.0], "enrichment": ["all"], "primary": ["mmrm"]}
    worlds = {w: study.worlds[w].model_dump() for w in ("none", "lag0")}
    return study.with_(**{"factors": factors, "worlds": worlds, "rule": [], **changes})


@pytest.fixture(scope="module")
def made() -> DesignResult:
    return design(small(), replicates=60, executor=Threads(1))


# -- stored results ------------------------------------------------------------------------------------------------


def test_property_what_is_stored_is_what_was_found(made: DesignResult, tmp_path: Path) -> None:
    file = tmp_path / "study.json"
    stored.store(made, file)
    again = json.loads(file.read_text())
    assert again["key"] == stored.key_of(made.study)
    rows = [dict(zip(again["columns"], row, strict=True)) for row in again["cells"]]
    for row, cell in zip(rows, made.cells, strict=True):
        assert (row["world"], row["weeks"], row["patients"]) == (cell.world, cell.design.weeks, cell.design.patients)
        assert row["success"] == pytest.approx(cell.success, abs=1e-6)
        assert stored._unpacked(row["bits"])[: cell.replicates] == cell.successes.tolist()


def test_property_the_shipped_results_are_of_the_shipped_study() -> None:
    """Where this fails, the study, its scenario or its disease has changed: make the results again, as HINT says.

    HINT: equipoise design next-als --store src/equipoise/library/next_als/study.json
    """
    assert stored.is_current("next-als")
    study, own = load_study("next-als"), stored.stored("next-als")
    assert len(own["cells"]) == len(list(study.designs())) * len(study.worlds)
    assert {c["replicates"] for c in own["cells"]} == {own["replicates"]}
    for cell in own["cells"]:
        met = stored._unpacked(cell["bits"])[: cell["replicates"]]
        assert sum(met) / len(met) == pytest.approx(cell["success"], abs=1e-6)


@pytest.mark.parametrize(("weeks", "world"), [(28, "lag0"), (52, "lag13")])
def test_independent_stored_results_are_simulated_again(weeks: float, world: str) -> None:
    """The first replicates of a stored cell, one by one: a change of the programs that moves them is noticed."""
    study, n = load_study("next-als"), 20
    only = [{"weeks": weeks, "patients": 108, "enrichment": "all"}]
    again = design(study.with_(only=only, worlds={world: study.worlds[world].model_dump()}), replicates=n)
    for cell in again.cells:
        levels = {"weeks": weeks, "patients": 108, "enrichment": "all", "primary": cell.design.primary}
        (kept,) = stored.cells("next-als", world, **levels)
        assert stored._unpacked(kept["bits"])[:n] == cell.successes.tolist(), levels


def test_independent_a_gap_is_that_of_shared_replicates() -> None:
    short = {"weeks": 28, "patients": 108, "enrichment": "all", "primary": "ancova"}
    long = {**short, "weeks": 76}
    found = stored.gap("next-als", "lag8", long, short)
    one, two = stored.cell("next-als", "lag8", **long), stored.cell("next-als", "lag8", **short)
    assert found["difference"] == pytest.approx(one["success"] - two["success"], abs=1e-6)
    assert found["mc_error"] < np.hypot(one["mc_error"], two["mc_error"]) + 1e-9
    with pytest.raises(ScenarioError, match="stored cells"):
        stored.cell("next-als", "lag8", weeks=28)
    with pytest.raises(ScenarioError, match="no results of a study"):
        stored.stored("next-nothing")


# -- single trials -------------------------------------------------------------------------------------------------


def test_property_examples_are_what_they_are_called(made: DesignResult) -> None:
    found = {e.kind: (c, e) for c, e in chosen(made)}
    assert {TYPICAL, MISLEADING} <= set(found)
    for kind, (cell, example) in found.items():
        assert (cell.world == "none") or kind != MISLEADING
        assert cell.successes[example.replicate] == (example.p < 0.05 and (example.estimate or 0.0) > 0.0)
        if kind == NEAR_MISS:
            assert example.p >= 0.05
        assert f"--replay {example.replicate} " in command_of(made.study, cell, example)
    titles = [p.title for p in parts_of(made)]
    assert "Example trials" in titles
    assert any(t.startswith("Sensitivity") for t in titles)


def test_independent_a_replayed_trial_is_the_one_that_was_judged(made: DesignResult, tmp_path: Path) -> None:
    cell = made.one("lag0", weeks=28)
    example = next(e for e in cell.examples if e.kind == TYPICAL)
    written = replay(made.study, cell.design, "lag0", example.replicate, tmp_path)
    assert {"adsl.xpt", "adeff.xpt", "adtte.xpt", "plan.yaml", "tables.html", "trial.html"} <= {p.name for p in written}
    results = json.loads((tmp_path / "results" / "results.json").read_text())
    assert f"{example.estimate:.6f}"[:6] in json.dumps(results)  # the same repeated-measures fit, from the files
    page = (tmp_path / "trial.html").read_text()
    assert "<svg" in page
    assert "<script" not in page


def test_property_a_design_is_named_by_its_levels() -> None:
    study = small()
    assert design_named(study, "weeks=28").weeks == 28
    for text, words in (("weeks", "is not factor=level"), ("length=3", "no factor"), ("weeks=29", "no such design")):
        with pytest.raises(ScenarioError, match=words):
            design_named(study, text)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("next-als", "--replay", "1", "--world", "moon", "--out", "x"), "no such world"),
        (("next-als", "--replay", "1", "--world", "none"), "writes a folder"),
        (("next-als", "--world", "none"), "go with"),
        (("next-als", "--stored", "--world", "moon"), "no stored cell"),
        (("next-nothing", "--stored"), "no results of a study"),
    ],
)
def test_property_the_command_refuses_kindly(arguments: tuple[str, ...], words: str, tmp_path: Path) -> None:
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_property_stored_results_are_printed_without_simulation(tmp_path: Path) -> None:
    done = run("next-als", "--stored", "--world", "lag13", "--design", "patients=108,primary=mmrm", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()[1:]
    assert len(lines) == 8
    assert all("lag13" in line and "108 patients" in line and "mmrm" in line for line in lines)


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "equipoise", "design", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, env=ENVIRONMENT)


def test_property_the_report_is_a_word_file_too(made: DesignResult, tmp_path: Path) -> None:
    docx = pytest.importorskip("docx")
    from equipoise.design.report_word import report_docx

    file = tmp_path / "report.docx"
    file.write_bytes(report_docx(made))
    read = docx.Document(str(file))
    headings = [p.text for p in read.paragraphs if p.style.name.startswith("Heading")]
    assert headings == [p.title for p in parts_of(made) if p.said or p.rows or p.plots]
    assert len(read.tables) == sum(bool(p.rows) for p in parts_of(made))
    assert len(read.inline_shapes) == sum(len(p.plots) for p in parts_of(made))
    assert all(shape._inline.docPr.get("descr") for shape in read.inline_shapes)


# -- the engine ----------------------------------------------------------------------------------------------------


def test_property_what_nobody_reads_changes_nothing(valor: Scenario) -> None:
    alone = valor.model_copy(update={"outcomes": {"ALSFRS": "ALSFRS"}})
    whole, part = (Simulator.of(s).block(3, 5, 4) for s in (valor, alone))
    np.testing.assert_array_equal(whole.outcomes["ALSFRS"], part.outcomes["ALSFRS"])
    np.testing.assert_array_equal(whole.last_week, part.last_week)
    assert set(part.outcomes) == {"ALSFRS"}


def test_independent_larger_steps_err_as_little_as_is_said(valor: Scenario) -> None:
    fine, coarse = (Simulator.of(valor, "lagged", steps_per_week=k).block(1, 0, 20) for k in (28, 2))
    for name, same in (("ALSFRS", 0.998), ("NFL", 0.0)):
        one, two = fine.outcomes[name], coarse.outcomes[name]
        both = np.isfinite(one) & np.isfinite(two)
        assert both.sum() > 0.99 * np.isfinite(one).sum()
        assert (one == two)[both].mean() >= same
        if name == "NFL":
            assert abs((np.log(two) - np.log(one))[both].mean()) < 0.0012
        else:
            assert abs((two - one)[both].mean()) < 0.003


def test_property_an_engine_without_such_an_option_says_so() -> None:
    with pytest.raises(ScenarioError, match="no option 'speed'"):
        design(small(engine={"speed": 2}), replicates=2)


# -- what a machine does to a study ---------------------------------------------------------------------------------


def test_property_a_folder_to_be_read_only_is_told(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        (tmp_path / "out").write_text("a file where a folder should be")
    else:
        (tmp_path / "out").mkdir(mode=0o555)
    with pytest.raises(OutputError) as told:
        design(small(), replicates=2, out=tmp_path / "out")
    assert str(tmp_path / "out") in told.value.message
    assert told.value.hint


def test_property_a_full_disk_is_told_and_nothing_is_lost(tmp_path: Path, made: DesignResult) -> None:
    out = tmp_path / "out"
    design(small(), replicates=20, out=out)
    before = sorted(p.name for p in out.rglob("part-*.parquet"))
    script = (
        "import sys, errno, os, resource\n"
        "from pathlib import Path\n"
        "import equipoise.run.store as store\n"
        "from equipoise.errors import EquipoiseError, OutputError\n"
        "def full(path, raw, durable=True): raise OutputError(f'{path}: cannot be written (No space left on device)')\n"
        "store.write_bytes = full\n"
        "sys.path.insert(0, sys.argv[2])\n"
        "from test_stored import small\n"
        "from equipoise.design import design\n"
        "try: design(small(), replicates=60, out=Path(sys.argv[1]))\n"
        "except EquipoiseError as error: print(error.message); print(error.hint)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(out), str(Path(__file__).parent)],
        capture_output=True,
        text=True,
        check=False,
        env=ENVIRONMENT,
    )
    assert "No space left on device" in done.stdout, done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(p.name for p in out.rglob("part-*.parquet")) == before
    after = design(small(), replicates=60, out=out)
    assert [c.row() for c in after.cells] == [c.row() for c in made.cells]


@pytest.mark.slow
def test_property_ten_kills_at_any_moment_lose_nothing(tmp_path: Path) -> None:
    study = small()
    file, out = tmp_path / "study.yaml", tmp_path / "out"
    file.write_text(yaml.safe_dump(study.model_dump(mode="json", exclude_none=True), sort_keys=False))
    command = [sys.executable, "-m", "equipoise", "design", str(file), "-n", "2000", "--out", str(out), "--quiet"]
    chance = random.Random(5)
    for _ in range(10):
        begun = len(list(out.rglob("part-*.parquet")))
        process = subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE)
        end = time.monotonic() + 120
        while process.poll() is None and len(list(out.rglob("part-*.parquet"))) <= begun:
            assert time.monotonic() < end
            time.sleep(0.02)
        time.sleep(chance.uniform(0.0, 0.5))
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=120)
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (out / "cells.csv").read_text() == design(study, replicates=2000).to_frame().write_csv()


_MANY = """
import resource, sys
import numpy as np
from equipoise.design import trials
from equipoise.run.executors import Threads
sys.path.insert(0, sys.argv[2])
from test_stored import small
from equipoise.design import design
def quick(self, first, rows):
    place = np.arange(first, first + rows, dtype=float)[:, None]
    return (np.sin(place * 12.9898 + np.arange(len(self.columns))) + 1.0) / 2.0
trials.CellMaker.__call__ = quick
made = design(small(undisturbed={}), replicates=int(sys.argv[1]), executor=Threads(1))
assert {c.replicates for c in made.cells} == {int(sys.argv[1])}
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_property_a_million_replicates_take_no_more_memory_than_ten_thousand() -> None:
    """Everything but the making of the numbers is real: parts, reading, cells."""
    peak = []
    for n in (10_000, 1_000_000):
        done = subprocess.run(
            [sys.executable, "-c", _MANY, str(n), str(Path(__file__).parent)],
            capture_output=True,
            text=True,
            check=False,
            env=ENVIRONMENT,
        )
        assert done.returncode == 0, done.stderr
        peak.append(int(done.stdout.split()[-1]))
    unit = 2**20 if sys.platform == "darwin" else 2**10
    assert (peak[1] - peak[0]) / unit < 150, peak
    assert peak[1] / unit < 500, peak


def test_property_a_study_has_one_key_in_every_process() -> None:
    """Names in a set come in another order in another process: what decides the numbers must not."""
    script = (
        "from equipoise.design import load_study\n"
        "from equipoise.design.carry_out import prepare\n"
        "from equipoise.simulate import load_scenario\n"
        "study = load_study('next-als')\n"
        "only = [{'weeks': 28, 'patients': 108, 'enrichment': 'all', 'primary': 'mmrm'}]\n"
        "print([p.maker.key for p in prepare(study.with_(only=only), load_scenario(study.base))])\n"
    )
    keys = set()
    for seed in ("0", "1", "2", "3"):
        environment = {**ENVIRONMENT, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=False, env=environment
        )
        assert done.returncode == 0, done.stderr
        keys.add(done.stdout)
    assert len(keys) == 1
