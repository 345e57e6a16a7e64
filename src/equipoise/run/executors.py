"""Where parts of a study are made: threads of this process, processes, or the workers of a Dask scheduler.

One protocol: a part is asked for by its first replicate and its number of rows, and comes back as the place of a file
in the store. What a part holds depends on the study and its replicates alone, so that every executor gives the same
bits. Nothing here keeps a queue: the store makes work resumable, and what was lost is asked for again.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from equipoise.errors import EquipoiseError, OutputError, ScenarioError, needed
from equipoise.run.store import Part, Store
from equipoise.types import FloatArray

BLOCK = 20
"""Replicates made at a time: small enough for the cache, and for Ctrl-C to be answered soon."""


_KEPT = "what was done is kept; run the same command again"


class Maker(Protocol):
    """What makes the numbers of a study; picklable."""

    def __call__(self, first: int, rows: int) -> FloatArray:
        """(replicate, measure) values of replicates ``first`` on."""
        ...


class Made(NamedTuple):
    """A part, and the seconds that its making took (0 where another process had made it)."""

    part: Part
    seconds: float


@dataclass(frozen=True)
class Task:
    """All that a worker needs: what makes the numbers, the store, and the code that both sides must share."""

    make: Maker
    store: Store
    program: str

    def part(self, first: int, rows: int, going_on: Callable[[int], bool] | None = None) -> Made | None:
        """Make and keep a part; None where ``going_on``, asked after each block, said no."""
        there = self.store.covers(first, rows)
        if there is not None:
            return Made(there, 0.0)
        start = time.monotonic()
        blocks = []
        for at in range(first, first + rows, BLOCK):
            n = min(BLOCK, first + rows - at)
            blocks.append(self.make(at, n))
            if going_on is not None and not going_on(n):
                return None
        return Made(self.store.write(first, np.concatenate(blocks)), time.monotonic() - start)


class Executor(Protocol):
    """Where parts are made."""

    workers: int

    def begin(self, tasks: Sequence[Task], tick: Callable[[int], None]) -> None:
        """Take studies on; ``tick`` may be called with replicates made within parts still at work."""
        ...

    def submit(self, task: int, first: int, rows: int) -> Future[Made | None]:
        """Ask for a part of one of the studies."""
        ...

    def trouble(self, error: BaseException) -> EquipoiseError | None:
        """What an error of a future means where the workers are to blame; None where the study is."""
        ...

    def lost(self) -> EquipoiseError | None:
        """Whether nothing will come back any more, as an error; None while there is hope."""
        ...

    def finish(self, *, stop: bool) -> None:
        """The study is over, or with ``stop`` given up: what waits is dropped, what is at work ends soon."""
        ...


def threads_available() -> int:
    """Threads to use: the processors this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Threads:
    """Threads of this process: the kernels let go of the interpreter."""

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or threads_available()

    def begin(self, tasks: Sequence[Task], tick: Callable[[int], None]) -> None:
        self._tasks, self._tick = tasks, tick
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(self.workers)

    def submit(self, task: int, first: int, rows: int) -> Future[Made | None]:
        return self._pool.submit(self._tasks[task].part, first, rows, self._going_on)

    def _going_on(self, made: int) -> bool:
        self._tick(made)
        return not self._stop.is_set()

    def trouble(self, error: BaseException) -> EquipoiseError | None:
        return None

    def lost(self) -> EquipoiseError | None:
        return None

    def finish(self, *, stop: bool) -> None:
        if stop:
            self._stop.set()
        self._pool.shutdown(wait=True, cancel_futures=stop)


class Processes:
    """Processes of this machine: for methods that are done trial by trial, whose Python threads cannot share."""

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or threads_available()

    def begin(self, tasks: Sequence[Task], tick: Callable[[int], None]) -> None:
        self._pool = ProcessPoolExecutor(
            self.workers, mp_context=multiprocessing.get_context("spawn"), initializer=_begin, initargs=(tuple(tasks),)
        )

    def submit(self, task: int, first: int, rows: int) -> Future[Made | None]:
        return self._pool.submit(_part, task, first, rows)

    def trouble(self, error: BaseException) -> EquipoiseError | None:
        if isinstance(error, BrokenProcessPool):
            return OutputError(
                "a worker process ended without a word, for want of memory or by a signal",
                hint=f"{_KEPT}, with fewer --workers if memory was short",
            )
        return None

    def lost(self) -> EquipoiseError | None:
        return None

    def finish(self, *, stop: bool) -> None:
        if stop:
            for process in list((self._pool._processes or {}).values()):
                process.terminate()
        self._pool.shutdown(wait=True, cancel_futures=stop)


_TASKS: tuple[Task, ...] = ()


def _begin(tasks: tuple[Task, ...]) -> None:
    """In a worker process: Ctrl-C is the parent's to answer."""
    global _TASKS
    with contextlib.suppress(ValueError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    _TASKS = tasks


def _part(task: int, first: int, rows: int) -> Made | None:
    return _TASKS[task].part(first, rows)


class Dask:
    """The workers of a Dask scheduler, which may be on many machines; they and this one see one folder of the store.

    address : of a scheduler (``tcp://host:8786``). A worker that dies costs its parts, which others make again
    (``retries`` times). The scheduler's workers run the same version of this package, which is checked.
    """

    def __init__(self, address: str, *, retries: int = 5) -> None:
        self.address, self.retries = address, retries
        client = _client(address)
        self._client = client
        self.workers = sum(client.nthreads().values())
        if not self.workers:
            client.close()
            raise OutputError(f"{address}: the scheduler has no workers", hint=f"dask worker {address}")

    def begin(self, tasks: Sequence[Task], tick: Callable[[int], None]) -> None:
        if any(task.store.temporary for task in tasks):
            raise ScenarioError(
                "workers elsewhere need a folder that all can see", hint="give --out or --store a shared folder"
            )
        self._first = tasks[0]
        self._pool = self._client.get_executor(retries=self.retries, pure=False)
        self._sent = self._client.scatter(_Sent(tuple(tasks)), broadcast=True)
        self._warm()

    def _warm(self) -> None:
        """Let one worker of each machine compile before its neighbours read the cache: two writers harm each other."""
        hosts: dict[str, str] = {}
        for worker, about in self._client.scheduler_info(n_workers=-1)["workers"].items():
            hosts.setdefault(about.get("host", worker), worker)
        asked = [self._client.submit(_ready, self._sent, workers=[w], pure=False) for w in hosts.values()]
        for program, host, sees in self._client.gather(asked):
            if program != self._first.program:
                raise OutputError(
                    f"{host}: the worker runs another version of equipoise, or of numpy, scipy or numba",
                    hint="install the same versions on every machine",
                )
            if not sees:
                raise OutputError(
                    f"{host}: the worker does not see {self._first.store.folder}", hint="give a folder on a shared disk"
                )

    def submit(self, task: int, first: int, rows: int) -> Future[Made | None]:
        future: Future[Made | None] = self._pool.submit(_part_of, self._sent, task, first, rows)
        return future

    def trouble(self, error: BaseException) -> EquipoiseError | None:
        if type(error).__name__ == "KilledWorker":
            return OutputError("a part was lost with its workers again and again", hint=f"look at their logs; {_KEPT}")
        if isinstance(error, (CancelledError, OSError)) or type(error).__name__ == "FutureCancelledError":
            return self._gone()
        return None

    def _gone(self) -> OutputError:
        return OutputError(f"{self.address}: the scheduler is gone", hint=f"start it again; {_KEPT}")

    def lost(self) -> EquipoiseError | None:
        return None if self._client.status in ("running", "connecting") else self._gone()

    def finish(self, *, stop: bool) -> None:
        with contextlib.suppress(Exception):
            self._pool.shutdown(wait=False)
        with contextlib.suppress(Exception):
            self._client.close(timeout=5)


def _client(address: str) -> Any:
    distributed = needed("cluster", "a scheduler", error=ScenarioError)
    try:
        return distributed.Client(address, timeout=10, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise OutputError(
            f"{address}: no Dask scheduler answers ({type(error).__name__})", hint="start one: dask scheduler"
        ) from None


@dataclass(frozen=True)
class _Sent:
    """The tasks as they travel, once to each worker."""

    tasks: tuple[Task, ...]


def _ready(sent: _Sent) -> tuple[str, str, bool]:
    from equipoise.run.study import program

    one = sent.tasks[0]
    one.make(0, 1)
    return program(), socket.gethostname(), one.store.folder.is_dir()


def _part_of(sent: _Sent, task: int, first: int, rows: int) -> Made | None:
    return sent.tasks[task].part(first, rows)


def executor_named(name: str | None, workers: int | None = None) -> Executor:
    """``threads`` (default), ``processes``, or the address of a Dask scheduler.

    Raises
    ------
    ScenarioError : there is none of that name. OutputError : no scheduler answers there.
    """
    if workers is not None and workers < 1:
        raise ScenarioError(f"{workers} workers", hint="give at least 1")
    if name in (None, "threads"):
        return Threads(workers)
    if name == "processes":
        return Processes(workers)
    if "://" in str(name):
        return Dask(str(name))
    raise ScenarioError(
        f"executor {name!r}", hint="threads, processes, or the address of a scheduler (tcp://host:8786)"
    )
