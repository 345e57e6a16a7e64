"""Replicates of a scenario with its analyses: parts made wherever there are hands, kept on disk, resumable.

What is kept of a replicate is one row of measures; see :mod:`equipoise.run.store`. Memory does not grow with the number
of replicates, and a study that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import platform
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, cached_property
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from equipoise import __version__
from equipoise.errors import ScenarioError
from equipoise.plan.block import analyse
from equipoise.plan.block import block as sections_of
from equipoise.plan.key import Key
from equipoise.plan.read_keys import read
from equipoise.run.executors import BLOCK, Executor, Made, Task, Threads
from equipoise.run.store import Part, Store, read_part
from equipoise.simulate import Scenario, Simulator
from equipoise.trial import Trials
from equipoise.types import FloatArray

PART_SECONDS = 5.0
"""How long the making of a part should take: less and the disk is busy with small files, more and a kill costs much."""

LARGEST_PART = 100_000
"""Replicates."""

IN_MEMORY = 8_000_000
"""Numbers of a study that are held in memory at a time, at most: 64 MB."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class SimulationStudy:
    """The measures of many replicates of one scenario.

    Use as a context manager, or :meth:`close` it, when the values were kept in a temporary folder.
    """

    measures: tuple[Key, ...]
    replicates: int
    folder: Path
    temporary: bool
    parts: tuple[Part, ...]
    """In order; they cover every replicate."""

    def values(self, measure: Key) -> FloatArray:
        """(replicate,) values of one measure; NaN where a replicate has none."""
        k = self.measures.index(measure)
        return self._whole[:, k].copy() if self._small else self._read([k])[:, 0]

    def columns(self) -> Iterator[tuple[Key, FloatArray]]:
        """Each measure with its (replicate,) values; at most 64 MB of them are in memory at a time."""
        at_once = max(1, IN_MEMORY // self.replicates)
        for first in range(0, len(self.measures), at_once):
            some = range(first, min(first + at_once, len(self.measures)))
            table = self._read(some)
            for column, k in enumerate(some):
                yield self.measures[k], table[:, column].copy()

    @property
    def _small(self) -> bool:
        return self.replicates * len(self.measures) <= IN_MEMORY

    @cached_property
    def _whole(self) -> FloatArray:
        """(replicate, measure) values of all measures, read once: a part holds them all."""
        return self._read(range(len(self.measures)))

    def _read(self, columns: Sequence[int]) -> FloatArray:
        """(replicate, column) values of some measures."""
        return read_parts(self.parts, columns, self.replicates)

    def close(self) -> None:
        """Remove the temporary folder, if the values were kept in one."""
        if self.temporary:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def study_key(simulator: Simulator, measures: Sequence[Key], seed: int, counted: Sequence[str] = ()) -> str:
    """What decides the numbers of a study, as a short hash: scenario, mechanism, plan, measures, seed and programs.

    counted : what is counted of every trial beside the measures.
    """
    parts = [
        program(),
        simulator.scenario.digest(),
        simulator.mechanism.value,
        str(simulator.imbalance),
        *simulator.settings(),
        str(seed),
        str(BLOCK),
        *(m.id for m in measures),
        *counted,
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


@cache
def program() -> str:
    """A hash of all the code that makes the numbers, so that a store never mixes those of two versions of it."""
    rooms = ("calibrate", "decision", "design", "estimate", "numerics", "plan", "run", "simulate", "trial")
    folder = files("equipoise")
    digest = hashlib.sha256(f"{__version__} {platform.machine()}".encode())
    for name in ("numpy", "scipy", "numba"):
        digest.update(f"{name} {version(name)}".encode())
    for room in rooms:
        for name, text in sorted(_sources(folder / room, room)):
            digest.update(name.encode() + b"\0" + text)
    return digest.hexdigest()


def _sources(folder: Traversable, name: str) -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir() if folder.is_dir() else ():
        if entry.is_dir():
            yield from _sources(entry, f"{name}/{entry.name}")
        elif entry.name.endswith(".py"):
            yield f"{name}/{entry.name}", entry.read_bytes()


def measured(trials: Trials, scenario: Scenario, measures: Sequence[Key]) -> FloatArray:
    """(trial, measure): by kernels, and trial by trial what keys of sections ask for beyond them."""
    asked = [replace(m, statistic=None) for m in measures if m.of_section]
    own = {str(m.analysis) for m in asked}
    sections = sections_of(trials, scenario.whole_plan(), own, asked) if asked else None
    others = [str(m.analysis) for m in measures if m.analysis is not None and not m.of_section]
    plan = scenario.plan if not asked else scenario.plan.only(*others)
    return read(trials, measures, plan, analyse(trials, plan), sections)


@dataclass(frozen=True)
class _Measured:
    """What makes the rows of a study: simulate, analyse, read."""

    simulator: Simulator
    measures: tuple[Key, ...]
    seed: int

    def __call__(self, first: int, rows: int) -> FloatArray:
        return measured(self.simulator.block(self.seed, first, rows), self.simulator.scenario, self.measures)


def run_study(
    simulator: Simulator,
    measures: Sequence[Key],
    replicates: int,
    *,
    seed: int = 1,
    threads: int | None = None,
    executor: Executor | None = None,
    store: Path | None = None,
    progress: Progress | None = None,
) -> SimulationStudy:
    """Simulate and analyse ``replicates`` trials and read ``measures`` off each.

    Parameters
    ----------
    simulator : a scenario under one mechanism; its plan says what is analysed.
    replicates : at least 1.
    seed : replicate r depends on ``(seed, r)`` alone, whatever the executor and the number of its workers.
    threads : of this process; default one a processor. executor : where the work is done instead
    (:func:`equipoise.run.executors.executor_named`).
    store : a folder to keep the values in, and to resume from; None for a temporary one.
    progress : called with replicates done and replicates asked for.

    Raises
    ------
    ScenarioError
        If ``replicates`` is below 1.
    OutputError
        If ``store`` cannot be written: a full disk is one reason. What was done before is kept.
    """
    if replicates < 1:
        raise ScenarioError(f"{replicates} replicates", hint="ask for at least 1, e.g. --replicates 2000")
    measures = tuple(measures)
    key = study_key(simulator, measures, seed)
    kept = Store.open(store, key, [m.id for m in measures])
    task = Task(_Measured(simulator, measures, seed), kept, program())
    parts = grow([task], replicates, executor or Threads(threads), progress)[0]
    return SimulationStudy(measures, replicates, kept.folder, kept.temporary, parts)


def grow(
    tasks: Sequence[Task], replicates: int, hands: Executor, progress: Progress | None = None
) -> list[tuple[Part, ...]]:
    """The parts of each study that cover all its replicates: those that are kept, and the rest made.

    The studies share the hands: what is left of all of them is handed out in turn, in parts that take about
    ``PART_SECONDS``. ``progress`` is told replicates of all studies together.

    Raises
    ------
    OutputError : a part cannot be written, or the hands are gone. What was done is kept.
    """
    total = replicates * len(tasks)
    parts: list[list[Part]] = []
    finished, within = 0, 0  # replicates in parts, and those made in parts that are still at work
    begun, stop = False, True

    def tick(made: int) -> None:
        nonlocal within
        within += made

    def tell() -> None:
        if progress is not None:
            progress(min(finished + within, total), total)

    try:
        parts = [task.store.covering(replicates) for task in tasks]
        left = deque((k, first, end) for k, found in enumerate(parts) for first, end in gaps(found, replicates))
        undone = sum(end - first for _, first, end in left)
        finished = total - undone
        tell()
        if left:
            for k in {k for k, _, _ in left}:
                tasks[k].store.check_writable()
            begun = True
            hands.begin(tasks, tick)
        pending: dict[Future[Made | None], tuple[int, int]] = {}
        rates: dict[int, float] = {}  # seconds a replicate
        while left or pending:
            while left and len(pending) < 2 * hands.workers:
                k, first, end = left.popleft()
                rows = min(_rows(rates.get(k), undone, hands.workers), end - first)
                undone -= rows
                if first + rows < end:
                    left.appendleft((k, first + rows, end))
                with _told(hands):
                    pending[hands.submit(k, first, rows)] = (k, rows)
            ready, _ = wait(pending, timeout=0.2, return_when=FIRST_COMPLETED)
            for future in ready:
                k, rows = pending.pop(future)
                with _told(hands):
                    made = future.result()
                if made is None:
                    continue
                parts[k].append(made.part)
                finished += rows
                within = max(within - rows, 0)
                if made.seconds > 0.0:
                    rates[k] = made.seconds / rows
            tell()
            lost = None if ready else hands.lost()
            if lost is not None:
                raise lost
        stop = False
    except BaseException:
        if begun:
            hands.finish(stop=True)
        for task in tasks:
            task.store.close()
        raise
    if begun:
        hands.finish(stop=stop)
    return [_in_order(found, replicates) for found in parts]


@contextmanager
def _told(hands: Executor) -> Iterator[None]:
    """Errors for which the hands are to blame, as they tell them."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        trouble = hands.trouble(error)
        if trouble is not None:
            raise trouble from error
        raise


def _rows(rate: float | None, left: int, workers: int) -> int:
    """Replicates of the next part: as many as take ``PART_SECONDS``, one block where that is not known yet."""
    if rate is None:
        return BLOCK
    wanted = min(
        PART_SECONDS / rate, LARGEST_PART, left / (2 * workers)
    )  # the last ones small, so that none waits long
    return max(1, int(wanted / BLOCK)) * BLOCK


def gaps(parts: Sequence[Part], replicates: int) -> list[tuple[int, int]]:
    """Runs of replicates (first, end) that no part holds."""
    out, at = [], 0
    for part in sorted(parts):
        if part.first > at:
            out.append((at, min(part.first, replicates)))
        at = max(at, part.end)
    if at < replicates:
        out.append((at, replicates))
    return out


def _in_order(parts: Sequence[Part], replicates: int) -> tuple[Part, ...]:
    """Parts that cover each replicate, with none that adds nothing."""
    out, at = [], 0
    for part in sorted(parts, key=lambda p: (p.first, -p.rows)):
        if part.end > at and at < replicates:
            out.append(part)
            at = part.end
    return tuple(out)


def read_parts(parts: Sequence[Part], columns: Sequence[int], replicates: int) -> FloatArray:
    """(replicate, column) values of some columns of parts that cover all replicates."""
    out = np.empty((replicates, len(columns)))
    at = 0
    for part in parts:
        end = min(part.end, replicates)
        out[at:end] = read_part(part.path, columns)[at - part.first : end - part.first]
        at = end
    return out


def column_reader(parts: Sequence[Part], columns: Sequence[str], replicates: int) -> Callable[[str], FloatArray]:
    """A function that gives the (replicate,) values of a column by its name.

    A small study is read once; of a large one a column at a time, so that memory does not grow with its columns.
    """
    place = {name: k for k, name in enumerate(columns)}
    if replicates * len(columns) > IN_MEMORY:
        return lambda name: read_parts(parts, [place[name]], replicates)[:, 0]
    table = read_parts(parts, range(len(columns)), replicates)
    return lambda name: np.asarray(table[:, place[name]])
