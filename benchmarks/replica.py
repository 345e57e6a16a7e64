"""Replicates per second of VALOR with all its analyses, where the time goes, the memory taken, and the whole page.

    python benchmarks/replica.py [--replicates 2000]

Targets: 2,000 replicates with 20 imputations in 30 s on two cores, warm; memory under 1 GiB whatever their number;
`equipoise appraise valor` under 30 s with nothing compiled before.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from measure import Spread, measure  # isort: skip  (threads, before NumPy)

from equipoise.calibrate import targets
from equipoise.plan.block import analyse
from equipoise.plan.read_keys import read
from equipoise.records import load_record
from equipoise.run import run_study
from equipoise.run.executors import BLOCK, threads_available
from equipoise.simulate import Simulator, load_scenario


def each(call: Callable[[], object]) -> Spread:
    """Time of one replicate of a block."""
    return measure(call, 3).each(BLOCK)


def peak_memory() -> float:
    """MiB this process has held at most."""
    peak: int = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def page(cache: str) -> float:
    """Seconds of `equipoise appraise valor`, its compiled code kept in the folder ``cache``."""
    command = [sys.executable, "-m", "equipoise", "appraise", "valor", "--quiet", "--out", str(Path(cache) / "v.html")]
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "NUMBA_CACHE_DIR": cache})
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicates", type=int, default=2000)
    replicates = parser.parse_args().replicates

    scenario = load_scenario("valor")
    keys = [t.key for t in targets(load_record("valor"), scenario)]
    simulator = Simulator.of(scenario)
    start = time.perf_counter()
    with run_study(simulator, keys, 2):
        pass
    print(f"first two replicates, compiling or from the cache    {time.perf_counter() - start:8.1f} s")

    threads = threads_available()
    with run_study(simulator, keys, max(2, replicates // 10), threads=threads):
        pass
    before = peak_memory()
    start = time.perf_counter()
    with run_study(simulator, keys, replicates, threads=threads):
        pass
    seconds = time.perf_counter() - start
    print(f"{replicates} replicates, all analyses, {threads} threads".ljust(53) + f"{seconds:8.1f} s")
    print("replicates per second and core".ljust(53) + f"{replicates / seconds / threads:8.1f}")
    print(f"peak memory after {max(2, replicates // 10)} replicates".ljust(53) + f"{before:8.0f} MiB")
    print(f"peak memory after {replicates} replicates".ljust(53) + f"{peak_memory():8.0f} MiB")

    print(f"\nwhere the time of one replicate goes, one thread, blocks of {BLOCK}:")
    trials = simulator.block(1, 0, BLOCK)
    print("  simulation".ljust(53) + f"{each(lambda: simulator.block(1, 0, BLOCK))}")
    total = 0.0
    for analysis in scenario.plan.analyses:
        plan = scenario.plan.only(analysis.id)
        taken = each(lambda plan=plan: analyse(trials, plan))  # type: ignore[misc]
        total += taken.middle
        print(f"  {analysis.id}".ljust(53) + f"{taken}")
    results = analyse(trials, scenario.plan)
    print("  all analyses".ljust(53) + f"{total:8.2f} ms")
    print("  reading the keys".ljust(53) + f"{each(lambda: read(trials, keys, scenario.plan, results))}")

    with tempfile.TemporaryDirectory() as cache:
        print("\nequipoise appraise valor, nothing compiled before".ljust(54) + f"{page(cache):8.1f} s")
        print("equipoise appraise valor, compiled before".ljust(53) + f"{page(cache):8.1f} s")


if __name__ == "__main__":
    main()
