"""How the benchmarks measure: runs long enough to time, their spread, a target, and R beside in the same call.

Import this before NumPy: it keeps the libraries of linear algebra to one thread.
"""

# ruff: noqa: E402  (threads are set before NumPy is imported)

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import platform
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SHORTEST = 0.02
"""Seconds a run lasts at least: what is quicker is repeated within the run."""


@dataclass(frozen=True)
class Spread:
    """Milliseconds of some runs; every one above zero, or it was not measured."""

    runs: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.runs or min(self.runs) <= 0.0:
            raise ValueError(f"not a measurement: {self.runs} ms")

    @property
    def least(self) -> float:
        """The quickest run."""
        return min(self.runs)

    @property
    def middle(self) -> float:
        """The median run."""
        return statistics.median(self.runs)

    @property
    def most(self) -> float:
        """The slowest run."""
        return max(self.runs)

    def each(self, of: float) -> Spread:
        """The time of one, where a run did so many."""
        return Spread(tuple(t / of for t in self.runs))

    def over(self, other: Spread) -> tuple[float, float, float]:
        """How many times ``other`` this takes: of the medians, and the least and most of any two runs."""
        return self.least / other.most, self.middle / other.middle, self.most / other.least

    def __str__(self) -> str:
        return f"{self.middle:.4g} ({self.least:.4g} to {self.most:.4g}) ms"


def measure(call: Callable[[], object], runs: int = 7, clock: Callable[[], float] = time.process_time) -> Spread:
    """CPU time of a call, after one to warm up; quick calls are repeated within a run until it lasts 20 ms."""
    call()
    times = 1
    while True:
        start = clock()
        for _ in range(times):
            call()
        taken = clock() - start
        if taken >= SHORTEST:
            break
        times = max(2 * times, int(times * 1.2 * SHORTEST / taken) if taken > 0.0 else 0)
    out = []
    for _ in range(runs):
        start = clock()
        for _ in range(times):
            call()
        out.append(1e3 * (clock() - start) / times)
    return Spread(tuple(out))


_TIMED = """
options(warn = -1)
for (.p in strsplit("{packages}", " ")[[1]]) suppressPackageStartupMessages(library(.p, character.only = TRUE))
.cpu <- function() sum(proc.time()[1:2])
.timed <- function(name, call) {{
  call()
  n <- 1
  repeat {{
    start <- .cpu(); for (i in seq_len(n)) call(); taken <- .cpu() - start
    if (taken >= 0.2) break  # R's clock ticks in milliseconds
    n <- max(2 * n, ceiling(n * 0.24 / max(taken, 0.01)))
  }}
  for (r in seq_len({runs})) {{
    start <- .cpu(); for (i in seq_len(n)) call()
    cat("timed", name, 1000 * (.cpu() - start) / n, "\\n", sep = "\\t")
  }}
}}
"""


def r_beside(
    packages: Sequence[str], setup: str, cases: Mapping[str, str], data: Mapping[str, Any], runs: int = 7
) -> dict[str, Spread] | str:
    """CPU time of R expressions on the same data, now, on this machine; or why there is none.

    packages : R packages the expressions need. setup : R code run once, after the data are read. cases : name of a
    figure -> expression. data : name of an R data frame -> polars frame.
    """
    program = shutil.which("Rscript")
    if program is None:
        return "no R beside: Rscript is not here (Debian: r-base-core)"
    absent = [p for p in packages if subprocess.run([program, "-e", f"library({p})"], capture_output=True).returncode]
    if absent:
        return f"no R beside: package {', '.join(absent)} is not here"
    with tempfile.TemporaryDirectory() as folder:
        lines = [_TIMED.format(packages=" ".join(packages), runs=runs)]
        for name, frame in data.items():
            frame.write_csv(Path(folder) / f"{name}.csv")
            lines.append(f'{name} <- read.csv("{folder}/{name}.csv", stringsAsFactors = TRUE)')
        lines.append(setup)
        lines += [f'.timed("{name}", function() {{ {call} }})' for name, call in cases.items()]
        script = Path(folder) / "timed.R"
        script.write_text("\n".join(lines))
        done = subprocess.run([program, "--vanilla", str(script)], capture_output=True, text=True)
    if done.returncode:
        return "no R beside: " + (done.stderr.strip().splitlines() or ["R failed"])[-1]
    taken: dict[str, list[float]] = {name: [] for name in cases}
    for line in done.stdout.splitlines():
        if line.startswith("timed\t"):
            _, name, ms, *_ = line.split("\t")
            taken[name].append(float(ms))
    return {name: Spread(tuple(ms)) for name, ms in taken.items()}


@dataclass(frozen=True)
class Line:
    """One figure: what was done, how long it takes, what was aimed at (ms), and R's time, or why there is none."""

    what: str
    ours: Spread
    target: float | None = None
    r: Spread | str | None = None

    @property
    def missed(self) -> bool:
        """Whether the median is above the target."""
        return self.target is not None and self.ours.middle > self.target

    def __str__(self) -> str:
        goal = "" if self.target is None else f"{'MISSED' if self.missed else 'met'} (under {self.target:g})"
        beside = "" if self.r is None else self.r
        if isinstance(self.r, Spread):
            low, middle, high = self.r.over(self.ours)
            beside = f"R {self.r}: {middle:.3g} times ({low:.3g} to {high:.3g})"
        return f"{self.what:<66}{self.ours!s:>34}  {goal:<20}{beside}".rstrip()


def beside(times: dict[str, Spread] | str, name: str) -> Spread | str:
    """R's time of one figure, or why there is none."""
    return times if isinstance(times, str) else times[name]


def where() -> str:
    """What the figures were measured on."""
    return f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores; CPU time, warm: " + (
        "median (least to most) of the runs"
    )


def show(parts: Iterable[Iterable[Line]]) -> None:
    """Print every line as it comes, then how many targets were missed."""
    lines = []
    for part in parts:
        for line in part:
            print(line, flush=True)
            lines.append(line)
    missed = [line.what for line in lines if line.missed]
    asked = sum(line.target is not None for line in lines)
    print(f"\n{asked} targets, {len(missed)} missed" + "".join(f"\n  {what}" for what in missed))
