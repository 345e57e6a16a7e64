"""Replicates of a scenario with its analyses: blocks of trials over threads, kept on disk, resumable.

What is kept of a replicate is one row of measures; see :mod:`equipoise.run.store`. Memory does not grow with the number
of replicates, and a study that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from equipoise import __version__
from equipoise.errors import ScenarioError
from equipoise.plan.block import block as sections_of
from equipoise.plan.block_analyses import analyse
from equipoise.plan.key import Key
from equipoise.plan.read_keys import read
from equipoise.run.store import Store, read_part
from equipoise.simulate import Simulator
from equipoise.trial import Trials
from equipoise.types import FloatArray

BLOCK = 20
"""Replicates a block: small enough for the cache and for a lively progress bar."""

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
    parts: tuple[Path, ...]
    """One file a block, in order."""

    def values(self, measure: Key) -> FloatArray:
        """(replicate,) values of one measure; NaN where a replicate has none."""
        return self._read([self.measures.index(measure)])[:, 0]

    def columns(self) -> Iterator[tuple[Key, FloatArray]]:
        """Each measure with its (replicate,) values; at most 64 MB of them are in memory at a time."""
        at_once = max(1, 8_000_000 // self.replicates)
        for first in range(0, len(self.measures), at_once):
            some = range(first, min(first + at_once, len(self.measures)))
            table = self._read(some)
            for column, k in enumerate(some):
                yield self.measures[k], table[:, column].copy()

    def _read(self, columns: Sequence[int]) -> FloatArray:
        """(replicate, column) values of some measures."""
        out = np.empty((self.replicates, len(columns)))
        for number, part in enumerate(self.parts):
            first = number * BLOCK
            rows = min(BLOCK, self.replicates - first)
            out[first : first + rows] = read_part(part, columns)[:rows]
        return out

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


def threads_available() -> int:
    """Threads to use: the processors this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def study_key(simulator: Simulator, measures: Sequence[Key], seed: int) -> str:
    """What decides the numbers of a study, as a short hash: scenario, mechanism, plan, measures, seed and programs."""
    parts = [
        __version__,
        _program(),
        *(f"{name} {version(name)}" for name in ("numpy", "scipy", "numba")),
        platform.machine(),
        simulator.scenario.digest(),
        simulator.mechanism.value,
        str(simulator.imbalance),
        str(simulator.schedule.steps_per_week),
        str(seed),
        str(BLOCK),
        *(m.id for m in measures),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


@cache
def _program() -> str:
    """A hash of the code that makes the numbers, so that a store never mixes those of two versions of it."""
    rooms = ("calibrate", "decision", "estimate", "numerics", "plan", "run", "simulate", "trial")
    folder = files("equipoise")
    digest = hashlib.sha256()
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


def _read(trials: Trials, simulator: Simulator, measures: Sequence[Key]) -> FloatArray:
    """(trial, measure): compiled analyses at once, sections of the plan that keys ask for trial by trial."""
    scenario = simulator.scenario
    asked = {str(m.analysis) for m in measures if m.of_section}
    sections = sections_of(trials, scenario.whole_plan(), asked) if asked else None
    others = [str(m.analysis) for m in measures if m.analysis is not None and not m.of_section]
    plan = scenario.plan if not asked else scenario.plan.only(*others)
    return read(trials, analyse(trials, plan), measures, sections)


def run_study(
    simulator: Simulator,
    measures: Sequence[Key],
    replicates: int,
    *,
    seed: int = 1,
    threads: int | None = None,
    store: Path | None = None,
    progress: Progress | None = None,
) -> SimulationStudy:
    """Simulate and analyse ``replicates`` trials and read ``measures`` off each.

    Parameters
    ----------
    simulator : a scenario under one mechanism; its plan says what is analysed.
    replicates : at least 1.
    seed : replicate r depends on ``(seed, r)`` alone, whatever the number of threads.
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
    blocks = -(-replicates // BLOCK)
    wanted = [min(BLOCK, replicates - n * BLOCK) for n in range(blocks)]
    kept = Store.open(store, key, [m.id for m in measures])
    stop = threading.Event()

    def block(number: int) -> tuple[int, Path | None]:
        if stop.is_set():
            return number, None
        made = kept.find(number, wanted[number])  # another process may have been here meanwhile
        if made is None:
            trials = simulator.block(seed, number * BLOCK, wanted[number])
            made = kept.write(number, _read(trials, simulator, measures))
        return number, made

    pool = ThreadPoolExecutor(threads or threads_available())
    try:
        parts = kept.sound(wanted)
        finished = sum(wanted[number] for number in parts)
        if len(parts) < blocks:
            kept.check_writable()
        if progress is not None:
            progress(finished, replicates)
        pending: set[Future[tuple[int, Path | None]]] = {pool.submit(block, n) for n in range(blocks) if n not in parts}
        while pending:
            ready, pending = wait(pending, timeout=0.2, return_when=FIRST_COMPLETED)
            for future in ready:
                number, part = future.result()
                if part is not None:
                    parts[number] = part
                    finished += wanted[number]
                if progress is not None:
                    progress(finished, replicates)
    except BaseException:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)
        kept.close()
        raise
    pool.shutdown()
    return SimulationStudy(measures, replicates, kept.folder, kept.temporary, tuple(parts[n] for n in range(blocks)))
