"""Studies: the same numbers whatever the threads, resumable, and readable measure by measure."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from equipoise.errors import OutputError, ScenarioError
from equipoise.plan.block import analyse
from equipoise.plan.key import Key
from equipoise.plan.read_keys import read
from equipoise.run import run_study
from equipoise.run.store import DamagedPart
from equipoise.simulate import Scenario, Simulator

MEASURES = (
    Key("contrast", analysis="alsfrs_f_w28", week=28),
    Key("p_joint_rank", analysis="alsfrs_f_w28"),
    Key("contrast", analysis="dthpv_itt_w28"),
    Key("p_log_rank", analysis="dthpv_itt_w28"),
    Key("baseline", variable="NFL", statistic="geometric_mean", set="F", arm="placebo"),
    Key("event_share", variable="left", set="ITT", week=28),
    Key("correlation", variable="NFL", statistic="spearman", set="ITT", arm="placebo", week=28),
    Key("slope", variable="ALSFRS", set="F", arm="placebo", week=28),
)


@pytest.fixture(scope="module")
def simulator(valor: Scenario) -> Simulator:
    return Simulator.of(valor.with_plan(valor.plan.only("alsfrs_f_w28", "dthpv_itt_w28")))


def values(simulator: Simulator, replicates: int, **options: object) -> np.ndarray:
    with run_study(simulator, MEASURES, replicates, **options) as study:  # type: ignore[arg-type]
        return np.stack([v for _, v in study.columns()], axis=1)


def test_property_threads_and_order_change_nothing(simulator: Simulator) -> None:
    one = values(simulator, 45, seed=5, threads=1)
    three = values(simulator, 45, seed=5, threads=3)
    np.testing.assert_array_equal(one, three)
    assert not np.isnan(one[:, 0]).any()


def test_property_more_replicates_keep_the_first(simulator: Simulator) -> None:
    np.testing.assert_array_equal(values(simulator, 23, seed=5), values(simulator, 45, seed=5)[:23])


def test_property_other_analyses_do_not_matter(valor: Scenario, simulator: Simulator) -> None:
    whole = Simulator.of(valor.with_plan(valor.plan.only("alsfrs_f_w28", "svc_f_w28", "dthpv_itt_w28")))
    np.testing.assert_array_equal(values(simulator, 8, seed=2), values(whole, 8, seed=2))


def test_property_interrupted_study_goes_on(simulator: Simulator, tmp_path: Path) -> None:
    seen: list[int] = []

    def stop(done: int, total: int) -> None:
        seen.append(done)
        if done >= 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_study(simulator, MEASURES, 60, seed=5, threads=1, store=tmp_path, progress=stop)
    assert max(seen) < 60
    first: list[int] = []
    with run_study(
        simulator, MEASURES, 60, seed=5, store=tmp_path, progress=lambda done, total: first.append(done)
    ) as study:
        resumed = np.stack([v for _, v in study.columns()], axis=1)
    assert first[0] >= 20
    np.testing.assert_array_equal(resumed, values(simulator, 60, seed=5))


def test_property_store_must_be_writable(simulator: Simulator, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(OutputError, match="cannot be written"):
        run_study(simulator, MEASURES, 2, store=blocked)


@pytest.mark.parametrize("harm", ["flipped", "empty", "cut"])
def test_property_a_damaged_part_is_told_set_aside_and_made_again(
    simulator: Simulator, tmp_path: Path, harm: str
) -> None:
    with run_study(simulator, MEASURES, 25, seed=5, store=tmp_path) as study:
        part = study.parts[1].path
    raw = bytearray(part.read_bytes())
    raw[40] ^= 1
    part.write_bytes({"flipped": bytes(raw), "empty": b"", "cut": bytes(raw[:100])}[harm])
    with pytest.warns(DamagedPart, match="is empty" if harm == "empty" else "is damaged"):
        again = values(simulator, 25, seed=5, store=tmp_path)
    assert part.with_name(part.name + ".damaged").exists()
    np.testing.assert_array_equal(again, values(simulator, 25, seed=5))


def test_property_a_store_that_grows_keeps_what_it_has(simulator: Simulator, tmp_path: Path) -> None:
    values(simulator, 45, seed=5, store=tmp_path)
    seen: list[int] = []
    grown = values(simulator, 70, seed=5, store=tmp_path, progress=lambda done, total: seen.append(done))
    assert seen[0] == 45
    np.testing.assert_array_equal(grown, values(simulator, 70, seed=5))
    np.testing.assert_array_equal(values(simulator, 23, seed=5, store=tmp_path), grown[:23])


_CHILD = """
import os, sys, threading
import errno
import os
import subprocess
import sys
from pathlib import Path
import numpy as np
from equipoise.run import run_study
from equipoise.run.store import DamagedPart
from equipoise.simulate import Simulator, load_scenario
from test_study import MEASURES
scenario = load_scenario("valor")
simulator = Simulator.of(scenario.with_plan(scenario.plan.only("alsfrs_f_w28", "dthpv_itt_w28")))
kill = int(sys.argv[3])
def progress(done, total):
    if kill and done >= kill:
        os.kill(os.getpid(), 9)
options = {"seed": 5, "threads": 1, "store": Path(sys.argv[1]), "progress": progress}
with run_study(simulator, MEASURES, int(sys.argv[2]), **options) as s:
    np.save(sys.argv[4], np.stack([v for _, v in s.columns()], axis=1))
"""


def child(store: Path, replicates: int, kill: int, out: Path) -> subprocess.Popen[bytes]:
    paths = [str(Path(__file__).parent), *sys.path]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in paths if p)}
    given = [str(store), str(replicates), str(kill), str(out)]
    return subprocess.Popen([sys.executable, "-c", _CHILD, *given], env=environment)


def test_property_two_processes_grow_one_store(simulator: Simulator, tmp_path: Path) -> None:
    store = tmp_path / "store"
    both = [child(store, 60, 0, tmp_path / "a.npy"), child(store, 90, 0, tmp_path / "b.npy")]
    assert [process.wait(300) for process in both] == [0, 0]
    right = values(simulator, 90, seed=5)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), right[:60])
    np.testing.assert_array_equal(np.load(tmp_path / "b.npy"), right)


def test_property_a_killed_study_goes_on_to_the_same_bits(simulator: Simulator, tmp_path: Path) -> None:
    store = tmp_path / "store"
    assert child(store, 90, 40, tmp_path / "a.npy").wait(300) == -9
    seen: list[int] = []
    resumed = values(simulator, 90, seed=5, store=store, progress=lambda done, total: seen.append(done))
    assert seen[0] >= 40
    np.testing.assert_array_equal(resumed, values(simulator, 90, seed=5))


def test_property_a_folder_to_be_read_only_is_told_before_the_work(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with run_study(simulator, MEASURES, 20, seed=5, store=tmp_path):
        pass

    def refused(*_: object, **__: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("equipoise.files.writing._temporary", refused)  # root may write anywhere
    assert len(values(simulator, 20, seed=5, store=tmp_path)) == 20  # nothing to write: it can be read
    with pytest.raises(OutputError, match="permission denied"):
        run_study(simulator, MEASURES, 40, seed=5, store=tmp_path)


def test_property_a_full_disk_is_told_and_what_was_done_is_kept(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("equipoise.files.writing.os.fsync", full)
    with pytest.raises(OutputError, match="the disk is full"):
        run_study(simulator, MEASURES, 40, seed=5, store=tmp_path)
    assert not list(tmp_path.rglob("*.parquet"))
    assert not list(tmp_path.rglob(".equipoise-*"))


def test_property_no_replicates_is_refused(simulator: Simulator) -> None:
    with pytest.raises(ScenarioError, match="0 replicates"):
        run_study(simulator, MEASURES, 0)


def test_independent_measures_by_hand(simulator: Simulator) -> None:
    trials = simulator.block(9, 0, 3)
    table = read(trials, MEASURES, simulator.scenario.plan, analyse(trials, simulator.scenario.plan))
    i = 1
    who = (trials.group[i] == 0) & (trials.arm[i] == 0)
    nfl = trials.outcomes["NFL"][i, who, 0]
    assert table[i, 4] == pytest.approx(np.log(nfl).mean())
    assert table[i, 5] == pytest.approx(np.mean(trials.last_week[i] < 28))
    score = trials.outcomes["ALSFRS"][i][:, :9]
    slopes = []
    for row in score[who]:
        seen = ~np.isnan(row)
        if seen.sum() > 1:
            slopes.append(np.polyfit(trials.weeks[:9][seen] / (30.4375 / 7), row[seen], 1)[0])
    assert table[i, 7] == pytest.approx(np.mean(slopes))


def test_property_unknown_measure_is_refused(simulator: Simulator) -> None:
    trials = simulator.block(1, 0, 1)
    with pytest.raises(ScenarioError, match="no analysis 'svc_f_w28'"):
        read(trials, [Key("contrast", analysis="svc_f_w28")], simulator.scenario.plan, {})


def test_property_parts_are_read_once_for_all_measures(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    from equipoise.run import study as module

    asked = []
    real = module.read_parts
    monkeypatch.setattr(
        module, "read_parts", lambda parts, columns, n: asked.append(columns) or real(parts, columns, n)
    )
    with run_study(simulator, MEASURES, 23, seed=5) as done:
        each = [done.values(m) for m in MEASURES]
        assert len(asked) == 1
        monkeypatch.setattr(module, "IN_MEMORY", 10)  # too little for all of them: measure by measure
        apart = [done.values(m) for m in MEASURES]
    np.testing.assert_array_equal(np.array(each), np.array(apart))
    assert len(asked) == 1 + len(MEASURES)
