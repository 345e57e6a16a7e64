"""The jobs whose kernels are compiled ahead, small, and what each compiles when the cache is empty."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
from numba.core import event
from numba.core.dispatcher import Dispatcher

from equipoise.numerics import first_use


def replicate() -> None:
    """One virtual VALOR, analysed: what `equipoise appraise valor` runs thousands of times."""
    from equipoise.plan.block import analyse
    from equipoise.simulate import Simulator, load_scenario

    simulator = Simulator.of(load_scenario("valor"))
    analyse(simulator.block(1, 0, 2), simulator.scenario.plan)


def design() -> None:
    """One virtual trial of `equipoise design next-als`, judged by each of its primaries."""
    from equipoise.design import design as carry_out
    from equipoise.design import load_study
    from equipoise.run.executors import Threads

    study = load_study("next-als")
    factors = {**study.factors.model_dump(), "weeks": [28], "patients": [108], "enrichment": ["all"]}
    one = study.with_(factors=factors, worlds={"lag0": study.worlds["lag0"]})
    carry_out(one, replicates=2, executor=Threads(1))


def mmrm() -> None:
    """A mixed model of four visits, everything by default."""
    from equipoise import mmrm as fit

    rng = np.random.default_rng(1)
    n, visits = 40, 4
    arm, base = rng.integers(0, 2, n), rng.normal(size=n)
    frame = pl.DataFrame(
        {
            "USUBJID": np.repeat([f"S{i}" for i in range(n)], visits),
            "AVISIT": np.tile([f"W{i}" for i in range(visits)], n),
            "TRT01P": np.repeat(np.array(["P", "D"])[arm], visits),
            "BASE": np.repeat(base, visits),
            "CHG": rng.normal(size=n * visits) + np.repeat(base, visits),
        }
    )
    fit("CHG ~ BASE * AVISIT + TRT01P * AVISIT + us(AVISIT | USUBJID)", frame).lsmeans("TRT01P", by="AVISIT").to_frame()


def imputation() -> None:
    """Jump to reference in a small trial with gaps, analysed by ancova and, with values left missing, by mmrm."""
    from equipoise.estimate.missing import Ancova, Bayes, Mmrm, imputation_draws

    rng = np.random.default_rng(2)
    rows, n = [], 30
    for i in range(n):
        base, last = float(rng.normal()), int(rng.integers(1, 4)) if i < 10 else 3
        rows += [
            (f"S{i:02d}", 4.0 * v, "PD"[i % 2], base, float(rng.normal()) if v <= last and (v, i) != (1, 29) else None)
            for v in (1, 2, 3)
        ]
    frame = pl.DataFrame(rows, schema=["USUBJID", "AVISITN", "TRT01P", "BASE", "CHG"], orient="row")
    left = [f"S{i:02d}" for i in range(10) if frame.filter(pl.col("USUBJID") == f"S{i:02d}")["CHG"][2] is None]
    ice = pl.DataFrame({"USUBJID": left, "AVISITN": 12.0, "STRATEGY": "JR"})
    method = Bayes(n_imputations=2, burn_in=2, thin=1)
    completed = imputation_draws(frame, ice, method=method, control="P").impute()
    completed.analyse(Ancova())
    completed.analyse(Mmrm())


JOBS: dict[str, Callable[[], None]] = {"replicate": replicate, "design": design, "mmrm": mmrm, "imputation": imputation}


class _Listener(event.Listener):  # type: ignore[misc]
    def __init__(self) -> None:
        self.open: list[list[float]] = []
        self.seen: list[tuple[Any, Any, float]] = []

    def on_start(self, event: Any) -> None:
        self.open.append([time.thread_time(), 0.0])

    def on_end(self, event: Any) -> None:
        start, inside = self.open.pop()
        spent = time.thread_time() - start
        if self.open:
            self.open[-1][1] += spent
        self.seen.append((event.data["dispatcher"], event.data["args"], spent - inside))


def recorded(job: Callable[[], None]) -> list[first_use.Item]:
    """What the job compiles, callees first; run it where the cache is empty."""
    listener = _Listener()
    with event.install_listener("numba:compile", listener):
        job()
    items: list[first_use.Item] = []
    places: dict[Any, list[int]] = {}
    for dispatcher, arguments, seconds in listener.seen:
        function = dispatcher.py_func
        if not function.__module__.startswith("equipoise."):
            continue
        called = [function.__globals__.get(name) for name in function.__code__.co_names]
        needs = sorted({i for c in called if isinstance(c, Dispatcher) for i in places.get(c, ())})
        places.setdefault(dispatcher, []).append(len(items))
        name = f"{function.__module__}:{function.__qualname__}"
        items.append(first_use.Item(name, [first_use.encode(t) for t in arguments], needs, round(seconds, 2)))
    return items
