"""Threads, processes and a real local Dask cluster give the same bits, also when workers and schedulers die."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from equipoise.errors import OutputError, ScenarioError
from equipoise.plan.key import Key
from equipoise.run import run_study
from equipoise.run.executors import Dask, Executor, Processes, Threads, executor_named
from equipoise.simulate import Scenario, Simulator

MEASURES = (
    Key("contrast", analysis="dthpv_itt_w28"),
    Key("p_log_rank", analysis="dthpv_itt_w28"),
    Key("event_share", variable="left", set="ITT", week=28),
)


@pytest.fixture(scope="module")
def simulator(valor: Scenario) -> Simulator:
    return Simulator.of(valor.with_plan(valor.plan.only("dthpv_itt_w28")))


def values(simulator: Simulator, replicates: int, **options: Any) -> np.ndarray:
    with run_study(simulator, MEASURES, replicates, seed=3, **options) as study:
        return np.stack([v for _, v in study.columns()], axis=1)


@pytest.fixture(scope="module")
def right(simulator: Simulator) -> np.ndarray:
    return values(simulator, 300, threads=1)


def test_property_processes_give_the_bits_of_one_thread(
    simulator: Simulator, right: np.ndarray, tmp_path: Path
) -> None:
    np.testing.assert_array_equal(values(simulator, 300, executor=Processes(2)), right)
    np.testing.assert_array_equal(values(simulator, 120, executor=Processes(2), store=tmp_path), right[:120])
    np.testing.assert_array_equal(values(simulator, 300, executor=Threads(2), store=tmp_path), right)


def test_property_parts_of_any_size_fit_together(
    simulator: Simulator, right: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seconds, replicates in ((1e-9, 50), (0.05, 130), (10.0, 300)):
        monkeypatch.setattr("equipoise.run.study.PART_SECONDS", seconds)
        np.testing.assert_array_equal(values(simulator, replicates, store=tmp_path), right[:replicates])
    names = sorted(tmp_path.rglob("part-*.parquet"))
    for lost in names[1::3]:
        lost.unlink()
    np.testing.assert_array_equal(values(simulator, 300, store=tmp_path), right)


def test_property_a_worker_process_that_dies_is_told(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("equipoise.run.study.PART_SECONDS", 1e-9)  # many small parts
    hands = Processes(2)

    def kill(done: int, total: int) -> None:
        if done >= 40:
            for process in list((hands._pool._processes or {}).values()):
                process.kill()

    with pytest.raises(OutputError, match="a worker process ended"):
        values(simulator, 2000, executor=hands, store=tmp_path, progress=kill)
    np.testing.assert_array_equal(values(simulator, 60, store=tmp_path), values(simulator, 60))


def test_property_what_is_no_executor_is_refused() -> None:
    with pytest.raises(ScenarioError, match="executor 'slurm'"):
        executor_named("slurm")
    with pytest.raises(ScenarioError, match="0 workers"):
        executor_named("threads", 0)


class Cluster:
    """A scheduler and two workers, each a process of its own that can be killed."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / f"scheduler-{random.randrange(10**9)}.json"
        self.logs = (folder / "cluster.log").open("wb")
        self.scheduler = self._start("scheduler", "--port", "0", "--host", "127.0.0.1", "--no-dashboard")
        self.workers = [self.worker() for _ in range(2)]

    def _start(self, what: str, *options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "distributed.cli.dask_" + what, "--scheduler-file", str(self.file), *options]
        paths = os.pathsep.join(p for p in sys.path if p)
        return subprocess.Popen(command, stdout=self.logs, stderr=self.logs, env={**os.environ, "PYTHONPATH": paths})

    def worker(self) -> subprocess.Popen[bytes]:
        return self._start("worker", "--nthreads", "1", "--no-nanny", "--no-dashboard", "--death-timeout", "120")

    def connected(self) -> Executor:
        import json

        client_of: Any = pytest.importorskip("distributed").Client
        end = time.monotonic() + 120
        while not self.file.exists() or not self.file.read_text():
            assert time.monotonic() < end, "no scheduler"
            time.sleep(0.1)
        address = json.loads(self.file.read_text())["address"]
        with client_of(address, timeout=60, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=120)
        return Dask(address)

    def close(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()
        self.logs.close()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    pytest.importorskip("distributed", reason="the extra [cluster] is not installed")
    made = Cluster(tmp_path)
    yield made
    made.close()


def test_property_a_cluster_gives_the_bits_of_one_thread_though_a_worker_dies(
    simulator: Simulator, right: np.ndarray, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("equipoise.run.study.PART_SECONDS", 1e-9)  # many small parts
    killed: list[int] = []

    def progress(done: int, total: int) -> None:
        if done >= 40 and not killed:
            killed.append(done)
            cluster.workers[0].kill()

    found = values(simulator, 300, executor=cluster.connected(), store=tmp_path / "store", progress=progress)
    assert killed
    np.testing.assert_array_equal(found, right)


def test_property_a_lost_scheduler_is_told_and_the_study_goes_on_elsewhere(
    simulator: Simulator, right: np.ndarray, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("equipoise.run.study.PART_SECONDS", 1e-9)
    with pytest.raises(ScenarioError, match="a folder that all can see"):
        values(simulator, 20, executor=cluster.connected())

    def progress(done: int, total: int) -> None:
        if done >= 40:
            cluster.scheduler.kill()

    with pytest.raises(OutputError, match="the scheduler is gone"):
        values(simulator, 300, executor=cluster.connected(), store=tmp_path / "store", progress=progress)
    seen: list[int] = []
    resumed = values(simulator, 300, store=tmp_path / "store", progress=lambda done, total: seen.append(done))
    assert seen[0] >= 40
    np.testing.assert_array_equal(resumed, right)
