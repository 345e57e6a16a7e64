"""Replicates of a scenario with its analyses: blocks of trials over threads, kept on disk, resumable.

What is kept of a replicate is one row of measures, written to a memory-mapped file as each block is done, so memory
does not grow with the number of replicates, and a study that was interrupted goes on where it stopped. The file is
keyed by everything that decides the numbers: scenario, mechanism, plan, measures, seed and version.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from equipoise import __version__
from equipoise.errors import OutputError, ScenarioError
from equipoise.plan.block_analyses import analyse
from equipoise.plan.key import Key
from equipoise.plan.read_keys import read
from equipoise.simulate.engine import Simulator
from equipoise.types import FloatArray

BLOCK = 20
"""Replicates a block: small enough for the cache and for a lively progress bar."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Study:
    """The measures of many replicates of one scenario.

    Use as a context manager, or :meth:`close` it, when the values were kept in a temporary folder.
    """

    measures: tuple[Key, ...]
    replicates: int
    folder: Path
    temporary: bool

    def _values(self) -> np.memmap[tuple[int, int], np.dtype[np.float64]]:
        return np.lib.format.open_memmap(self.folder / "values.npy", mode="r")

    def values(self, measure: Key) -> FloatArray:
        """(replicate,) values of one measure; NaN where a replicate has none."""
        return np.array(self._values()[: self.replicates, self.measures.index(measure)])

    def columns(self) -> Iterator[tuple[Key, FloatArray]]:
        """Each measure with its (replicate,) values, one column in memory at a time."""
        values = self._values()
        for k, measure in enumerate(self.measures):
            yield measure, np.array(values[: self.replicates, k])

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
    """What decides the numbers of a study, as a short hash."""
    parts = [
        __version__,
        simulator.scenario.digest(),
        simulator.mechanism.value,
        str(simulator.imbalance),
        str(simulator.schedule.steps_per_week),
        str(seed),
        *(m.id for m in measures),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def run_study(
    simulator: Simulator,
    measures: Sequence[Key],
    replicates: int,
    *,
    seed: int = 1,
    threads: int | None = None,
    store: Path | None = None,
    progress: Progress | None = None,
) -> Study:
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
        If ``store`` cannot be written.
    """
    if replicates < 1:
        raise ScenarioError(f"{replicates} replicates", hint="ask for at least 1, e.g. --replicates 2000")
    measures = tuple(measures)
    folder, temporary = _open(store, study_key(simulator, measures, seed), replicates, len(measures))
    values = np.lib.format.open_memmap(folder / "values.npy", mode="r+")
    done = np.lib.format.open_memmap(folder / "done.npy", mode="r+")
    study = Study(measures, replicates, folder, temporary)
    starts = [s for s in range(0, replicates, BLOCK) if not done[s : min(s + BLOCK, replicates)].all()]
    finished = int(done[:replicates].sum())
    stop = threading.Event()

    def block(first: int) -> tuple[int, FloatArray]:
        if stop.is_set():
            return first, np.empty((0, len(measures)))
        trials = simulator.block(seed, first, min(BLOCK, replicates - first))
        return first, read(trials, analyse(trials, simulator.scenario.plan), measures)

    if progress is not None:
        progress(finished, replicates)
    pool = ThreadPoolExecutor(threads or threads_available())
    try:
        pending: set[Future[tuple[int, FloatArray]]] = {pool.submit(block, s) for s in starts}
        while pending:
            ready, pending = wait(pending, timeout=0.2, return_when=FIRST_COMPLETED)
            for future in ready:
                first, rows = future.result()
                fresh = int((~done[first : first + len(rows)]).sum())
                values[first : first + len(rows)] = rows
                done[first : first + len(rows)] = True
                finished += fresh
                if progress is not None:
                    progress(finished, replicates)
    except BaseException:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)
        values.flush()
        done.flush()
        study.close()
        raise
    pool.shutdown()
    values.flush()
    done.flush()
    return study


def _open(store: Path | None, key: str, replicates: int, n_measures: int) -> tuple[Path, bool]:
    """The folder of the study with room for ``replicates`` rows, what was done before kept."""
    try:
        if store is None:
            folder = Path(tempfile.mkdtemp(prefix="equipoise-"))
        else:
            folder = store / key
            folder.mkdir(parents=True, exist_ok=True)
        have = 0
        path, flags = folder / "values.npy", folder / "done.npy"
        if path.exists() and flags.exists():
            try:
                old, old_done = np.load(path, mmap_mode="r"), np.load(flags, mmap_mode="r")
            except ValueError:
                old = old_done = np.empty(0)
            if old.ndim != 2 or old.shape[1] != n_measures or len(old) != len(old_done):
                raise OutputError(
                    f"{folder}: the study kept there is damaged", hint="remove that folder, then run again"
                )
            have = len(old)
            if have >= replicates:
                return folder, store is None
        fresh = np.lib.format.open_memmap(
            folder / "values.new.npy", mode="w+", dtype=np.float64, shape=(replicates, n_measures)
        )
        fresh_done = np.lib.format.open_memmap(folder / "done.new.npy", mode="w+", dtype=np.bool_, shape=(replicates,))
        if have:
            fresh[:have], fresh_done[:have] = old, old_done
        fresh.flush()
        fresh_done.flush()
        del fresh, fresh_done
        os.replace(folder / "values.new.npy", path)
        os.replace(folder / "done.new.npy", flags)
        (folder / "study.json").write_text(json.dumps({"key": key, "version": __version__}), encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"{store or tempfile.gettempdir()}: cannot be written ({error.strerror or error})",
            hint="choose a folder you may write to, e.g. --store runs",
        ) from None
    return folder, store is None
