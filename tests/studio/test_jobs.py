"""Jobs: one thing asked for twice is one job; stages, stopping, going on, and a server that ends in the middle."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from equipoise.errors import ScenarioError
from equipoise.studio.jobs import STAGES, Jobs, Progress

SMALL, MIDDLE, LARGE = STAGES["design"]


class Worker:
    """Work that counts, waits where it is told to, and fails for a name."""

    def __init__(self) -> None:
        self.done: list[tuple[str, int]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.hold = 0  # the stage that waits at the gate

    def __call__(self, request: Mapping[str, Any], n: int, folder: Path, progress: Progress) -> Mapping[str, Any]:
        name = str(request["name"])
        if name == "wrong":
            raise ScenarioError("this cannot be", hint="ask for something else")
        while n == self.hold and not self.gate.is_set():
            progress(f"{n}", 1, 2)
            time.sleep(0.005)
        progress(f"{n}", 2, 2)
        self.done.append((name, n))
        return {"name": name, "replicates": n}


@pytest.fixture
def worker() -> Worker:
    return Worker()


@pytest.fixture
def jobs(tmp_path: Path, worker: Worker) -> Iterator[Jobs]:
    made = Jobs(tmp_path, {"design": worker})
    made.start()
    yield made
    assert made.close()


def until(condition: Any) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def test_property_a_job_goes_through_its_stages_once(jobs: Jobs, worker: Worker) -> None:
    key = jobs.ask("design", {"name": "a"})
    assert jobs.ask("design", {"name": "a"}) == key
    assert jobs.wait(key, 30, LARGE).status == "done"
    assert worker.done == [("a", SMALL), ("a", MIDDLE), ("a", LARGE)]
    assert jobs.result(key) == {"name": "a", "replicates": LARGE}
    jobs.ask("design", {"name": "a"})
    time.sleep(0.05)
    assert len(worker.done) == 3, "what is there is not computed again"


def test_property_a_first_answer_goes_before_what_takes_long(jobs: Jobs, worker: Worker) -> None:
    worker.hold = LARGE
    worker.gate.clear()
    long = jobs.ask("design", {"name": "long"})
    until(lambda: jobs.state(long).replicates == MIDDLE and jobs.state(long).status == "running")
    short = jobs.ask("design", {"name": "short"})
    assert jobs.wait(short, 30).replicates >= SMALL
    assert ("long", LARGE) not in worker.done
    worker.gate.set()
    assert jobs.wait(long, 30, LARGE).status == "done"
    assert jobs.wait(short, 30, LARGE).status == "done"


def test_property_stopped_jobs_stay_stopped_and_go_on_when_told(jobs: Jobs, worker: Worker, tmp_path: Path) -> None:
    worker.hold = MIDDLE
    worker.gate.clear()
    key = jobs.ask("design", {"name": "a"})
    until(lambda: jobs.state(key).replicates == SMALL and jobs.state(key).status == "running")
    jobs.stop(key)
    until(lambda: jobs.state(key).status == "stopped")
    assert jobs.result(key) == {"name": "a", "replicates": SMALL}
    worker.gate.set()
    assert jobs.ask("design", {"name": "a"}) == key
    time.sleep(0.05)
    assert jobs.state(key).status == "stopped"
    jobs.resume(key)
    assert jobs.wait(key, 30, LARGE).status == "done"


def test_property_a_new_server_goes_on_where_the_old_one_ended(tmp_path: Path) -> None:
    first = Worker()
    first.hold = MIDDLE
    first.gate.clear()
    jobs = Jobs(tmp_path, {"design": first})
    jobs.start()
    key, other = jobs.ask("design", {"name": "a"}), jobs.ask("design", {"name": "b"})
    until(lambda: jobs.state(key).replicates == SMALL and jobs.state(other).replicates == SMALL)
    jobs.stop(other)
    assert jobs.close(), "a job at work is left at once when the studio closes"
    second = Worker()
    again = Jobs(tmp_path, {"design": second})
    again.start()
    assert again.wait(key, 30, LARGE).status == "done"
    assert second.done == [("a", MIDDLE), ("a", LARGE)], "the first stage is not done again, the stopped job not at all"
    assert again.close()


def test_property_what_fails_says_why_and_can_be_tried_again(jobs: Jobs, worker: Worker, tmp_path: Path) -> None:
    key = jobs.ask("design", {"name": "wrong"})
    until(lambda: jobs.state(key).status == "failed")
    assert jobs.state(key).error == "this cannot be (ask for something else)"
    assert json.loads((tmp_path / key / "failed.json").read_text()) == {"error": jobs.state(key).error}
    other = jobs.ask("design", {"name": "a"})
    assert jobs.wait(other, 30, LARGE).status == "done", "one failure does not end the others"


def test_property_a_stop_that_must_wait_says_so(tmp_path: Path) -> None:
    begun, gate = threading.Event(), threading.Event()

    def long(request: Mapping[str, Any], n: int, folder: Path, progress: Progress) -> Mapping[str, Any]:
        begun.set()
        assert gate.wait(60)
        progress("a section", 1, 2)
        return {}

    jobs = Jobs(tmp_path, {"analysis": long})
    jobs.start()
    key = jobs.ask("analysis", {"name": "a"})
    assert begun.wait(60)
    assert not jobs.state(key).stopping
    jobs.stop(key)
    assert jobs.state(key).stopping
    gate.set()
    until(lambda: jobs.state(key).status == "stopped")
    assert not jobs.state(key).stopping
    assert jobs.close()


@pytest.mark.parametrize("key", ["../etc", "nothing", ""])
def test_property_there_is_no_other_job(jobs: Jobs, key: str) -> None:
    with pytest.raises(ScenarioError, match="no job is called"):
        jobs.state(key)
