"""What takes time: jobs that are folders, done one after the other in the background, and gone on with after a restart.

A job is asked for by what it does (``request.json``), and its name is the hash of that: who asks for the same thing
again finds what is there. It runs in stages, each with more replicates, and each stage leaves ``result-N.json``. A
stage that many wait for goes before a later stage of another job, which stops for it and goes on afterwards from the
numbers it has kept.
"""

from __future__ import annotations

import contextlib
import heapq
import json
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from equipoise.errors import EquipoiseError, ScenarioError
from equipoise.files import write_text
from equipoise.studio.settings import named

Progress = Callable[[str, int, int], None]
Work = Callable[[Mapping[str, Any], int, Path, Progress], Mapping[str, Any]]
"""(request, replicates, folder, progress) -> what the pages show of it."""

FIRST = 200
"""Replicates of a first answer of a design, which leaves out true effects and the naming of mechanisms."""

STAGES = {"design": (FIRST, 1_000, 10_000), "replica": (500,), "analysis": (1,)}
"""Replicates of each stage, by the kind of job; a trial that was really run is one."""

_REQUEST, _STOPPED, _FAILED = "request.json", "stopped", "failed.json"


class _PutOff(BaseException):
    """The stage stops: it was cancelled, the studio closes, or an earlier stage of another job waits."""


@dataclass(frozen=True)
class State:
    """How far a job is. replicates : of the last stage that is finished, 0 before; goal : of the stage at work."""

    key: str
    kind: str
    status: str
    """``waiting``, ``running``, ``stopped``, ``failed`` or ``done``."""
    replicates: int
    goal: int
    share: float
    seconds_left: float | None
    what: str
    error: str | None = None
    stopping: bool = False
    """Asked to stop, while what cannot be left half done is finished."""

    @property
    def open(self) -> bool:
        """Whether it is still being worked on."""
        return self.status in ("waiting", "running")


class Jobs:
    """The jobs of a workspace, and the one thread that does them."""

    def __init__(self, folder: Path, work: Mapping[str, Work]) -> None:
        self.folder = folder
        self._work = work
        self._lock = threading.Condition()
        self._queue: list[tuple[int, int, str]] = []  # (stage, order, key)
        self._order = 0
        self._current: tuple[str, int] | None = None
        self._progress: tuple[str, int, int, float] = ("", 0, 1, 0.0)
        self._cancelled: set[str] = set()
        self._closing = False
        self._thread: threading.Thread | None = None

    # -- asking

    def ask(self, kind: str, request: Mapping[str, Any]) -> str:
        """The key of the job that does this, begun where it was not yet; one that was stopped stays so."""
        text = _asked(kind, request)
        key = named(text)
        folder = self.folder / key
        if not (folder / _REQUEST).exists():
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_text(folder / _REQUEST, text + "\n")
        if not self._put_by(key):
            self._queue_up(key)
        return key

    def found(self, kind: str, request: Mapping[str, Any]) -> str | None:
        """The key of the job that does this if it was ever asked for; nothing is begun."""
        key = named(_asked(kind, request))
        return key if (self.folder / key / _REQUEST).is_file() else None

    def resume(self, key: str) -> None:
        """Go on with a job that was stopped or that failed."""
        self.request(key)
        for name in (_STOPPED, _FAILED):
            with contextlib.suppress(FileNotFoundError):
                (self.folder / key / name).unlink()
        with self._lock:
            self._cancelled.discard(key)
        self._queue_up(key)

    def stop(self, key: str) -> None:
        """Stop a job; what it has done stays."""
        self.request(key)
        write_text(self.folder / key / _STOPPED, "")
        with self._lock:
            self._cancelled.add(key)
            self._queue = [q for q in self._queue if q[2] != key]
            heapq.heapify(self._queue)

    def request(self, key: str) -> dict[str, Any]:
        """What a job was asked to do.

        Raises
        ------
        ScenarioError : there is no such job.
        """
        path = self.folder / key / _REQUEST
        if not key.isalnum() or not path.is_file():
            raise ScenarioError(f"no job is called {key[:40]!r}", hint="start again from the form")
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            found = None
        if not isinstance(found, dict) or found.get("kind") not in STAGES:
            raise ScenarioError(f"what job {key} was asked to do cannot be read", hint="start again from the form")
        return found

    def result(self, key: str) -> dict[str, Any] | None:
        """What the last finished stage found; None before the first."""
        done = self.finished(key)
        if not done:
            return None
        found: dict[str, Any] = json.loads((self.folder / key / f"result-{done}.json").read_text(encoding="utf-8"))
        return found

    def finished(self, key: str) -> int:
        """Replicates of the last finished stage, 0 before the first; its result is not read."""
        return self._done(key, self.request(key)["kind"])

    def state(self, key: str) -> State:
        """How far a job is."""
        kind = self.request(key)["kind"]
        done = self._done(key, kind)
        stages = STAGES[kind]
        goal = next((n for n in stages if n > done), stages[-1])
        with self._lock:
            running = self._current is not None and self._current[0] == key
            waiting = any(q[2] == key for q in self._queue)
            stopping = key in self._cancelled
            what, made, total, since = self._progress
        failed = self.folder / key / _FAILED
        error = json.loads(failed.read_text(encoding="utf-8"))["error"] if failed.exists() else None
        status = "done" if done == stages[-1] else "stopped"
        if status == "done":
            running = False
        elif error:
            status = "failed"
        elif running:
            status = "running"
        elif waiting:
            status = "waiting"
        share = made / total if running and total else 0.0
        left = None
        if running and share > 0.02:
            left = (time.monotonic() - since) * (1.0 - share) / share
        return State(key, kind, status, done, goal, share, left, what if running else "", error, running and stopping)

    def wait(self, key: str, seconds: float, replicates: int = 1) -> State:
        """The state of a job once a stage of so many replicates is done, or it has stopped, or time is up."""
        end = time.monotonic() + seconds
        while True:
            state = self.state(key)
            if not state.open or state.replicates >= replicates or time.monotonic() >= end:
                return state
            time.sleep(0.02)

    # -- doing

    def start(self, before: Callable[[], None] | None = None) -> None:
        """Begin to work; jobs that an earlier server left unfinished are taken up again. before : done first."""
        for path in sorted(self.folder.iterdir()) if self.folder.is_dir() else []:
            if (path / _REQUEST).is_file() and not self._put_by(path.name):
                with contextlib.suppress(EquipoiseError):  # what cannot be read is no job
                    self._queue_up(path.name)
        self._thread = threading.Thread(target=self._run, args=(before,), name="studio-jobs", daemon=True)
        self._thread.start()

    def close(self) -> bool:
        """Stop working; jobs at work go on at the next start. Whether the thread has ended: a compiler cannot be told
        to stop."""
        with self._lock:
            self._closing = True
            self._lock.notify_all()
        if self._thread is not None:
            self._thread.join(timeout=10.0)
        return self._thread is None or not self._thread.is_alive()

    def _queue_up(self, key: str) -> None:
        kind = self.request(key)["kind"]
        done = self._done(key, kind)
        stage = next((k for k, n in enumerate(STAGES[kind]) if n > done), None)
        if stage is None:
            return
        with self._lock:
            at_work = self._current is not None and self._current[0] == key
            if not at_work and all(q[2] != key for q in self._queue):
                self._order += 1
                heapq.heappush(self._queue, (stage, self._order, key))
                self._lock.notify_all()

    def _put_by(self, key: str) -> bool:
        """Whether it was stopped or has failed."""
        return (self.folder / key / _STOPPED).exists() or (self.folder / key / _FAILED).exists()

    def _done(self, key: str, kind: str) -> int:
        finished = [n for n in STAGES[kind] if (self.folder / key / f"result-{n}.json").is_file()]
        return finished[-1] if finished else 0

    def _run(self, before: Callable[[], None] | None) -> None:
        if before is not None:
            with contextlib.suppress(Exception):  # a warm-up that fails costs the first reader time, no more
                before()
        while True:
            with self._lock:
                while not self._queue and not self._closing:
                    self._lock.wait()
                if self._closing:
                    return
                stage, _, key = heapq.heappop(self._queue)
                self._current = (key, stage)
                self._cancelled.discard(key)
                self._progress = ("", 0, 1, time.monotonic())
            again = True
            try:
                self._stage(key)
            except _PutOff:
                pass
            except Exception as error:
                again = False
                with contextlib.suppress(Exception):  # a full disk fails one job, and not all that come after it
                    self._fail(key, error)
            with self._lock:  # at no time neither at work nor waiting
                self._current = None
                if again and not self._closing and not self._put_by(key):
                    with contextlib.suppress(Exception):  # its folder is gone
                        self._queue_up(key)

    def _stage(self, key: str) -> None:
        asked = self.request(key)
        kind = str(asked["kind"])
        done = self._done(key, kind)
        goal = next(n for n in STAGES[kind] if n > done)

        def told(what: str, made: int, total: int) -> None:
            with self._lock:
                old = self._progress
                self._progress = (what, made, total, time.monotonic() if what != old[0] else old[3])
                first = self._queue[0][0] if self._queue else None
                stage = self._current[1] if self._current else 0
                put_off = self._closing or key in self._cancelled or (first is not None and first < stage)
            if put_off:
                raise _PutOff

        shown = self._work[kind](asked, goal, self.folder / key, told)
        write_text(self.folder / key / f"result-{goal}.json", json.dumps(shown, allow_nan=False) + "\n")

    def _fail(self, key: str, error: Exception) -> None:
        if isinstance(error, EquipoiseError):
            said = error.message + (f" ({error.hint})" if error.hint else "")
        else:
            said = f"a fault of the program: {type(error).__name__}: {error}"
            write_text(self.folder / key / "fault.txt", traceback.format_exc())
        write_text(self.folder / key / _FAILED, json.dumps({"error": said}) + "\n")


def _asked(kind: str, request: Mapping[str, Any]) -> str:
    return json.dumps({"kind": kind, **request}, indent=1)
