"""How fast the estimators of survival, function and survival together, and imputation are: one core, warm.

    python benchmarks/estimators.py [--quick]

CPU time of one thread, the least of several runs. R's figures (survival 3.5-3, rbmi 1.5.2 with R 4.2.2, 2 cores of an
AMD EPYC, one thread, medians) stand beside ours where there is one; the quotient means something only on a machine
like that. "Batched" is the door of the simulation, for a block of trials; "door" is a data frame to a result.
"""

# ruff: noqa: E402  (threads are set before NumPy is imported)

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import argparse
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from equipoise.estimate.missing import ApproxBayes, ConditionalMean, mi_analysis, reference_mi_batch
from equipoise.estimate.missing.kernels import imputation as imputation_kernel
from equipoise.estimate.missing.kernels import mi_ancova as repeated
from equipoise.estimate.ranks.joint_rank_cafs import cafs_batch
from equipoise.estimate.ranks.kernels import rank as rank_kernel
from equipoise.estimate.ranks.kernels import win as win_kernel
from equipoise.estimate.survival import cox, log_rank
from equipoise.estimate.survival.kaplan_meier import kaplan_meier
from equipoise.estimate.survival.kernels import cox as cox_kernel
from equipoise.estimate.survival.kernels import log_rank as survival
from equipoise.estimate.survival.rmst import rmst


@dataclass(frozen=True)
class Line:
    """One figure: what was done, how long it takes (ms), what was aimed at and what R takes, where known (ms)."""

    what: str
    ms: float
    target: float | None = None
    r: float | None = None

    def __str__(self) -> str:
        goal = "" if self.target is None else f"{'met' if self.ms <= self.target else 'MISSED'} (under {self.target:g})"
        beside = (
            ""
            if self.r is None
            else f"R {self.r:g} ms, {self.r / self.ms:,.{0 if self.r > 10 * self.ms else 1}f} times"
        )
        return f"{self.what:<66}{self.ms:>10.4f} ms  {goal:<22}{beside}"


def best(call: Callable[[], object], repeats: int) -> float:
    """Least CPU milliseconds of some runs, after one to warm up."""
    call()
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        taken.append(time.process_time() - start)
    return 1e3 * min(taken)


def events(trials: int, n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times, events and three covariates, the first of them the arm; about a third censored."""
    g = np.random.default_rng(seed)
    x = g.normal(size=(trials, n, 3))
    x[..., 0] = np.arange(n) % 2
    failure = g.exponential(size=(trials, n)) * np.exp(-(x @ np.array([-0.4, 0.3, -0.2])))
    censor = g.exponential(2.0, (trials, n))
    return np.minimum(failure, censor), failure <= censor, x


def survival_lines(repeats: int, block: int) -> Iterator[Line]:
    time_, event, x = events(block, 100, 1)
    for ties, r in (("efron", 1.18), ("breslow", 1.14)):
        taken = best(lambda ties=ties: cox_kernel.cox(time_, event, x, ties=ties), repeats) / block
        yield Line(f"Cox, 3 covariates, n = 100, {ties}, batched", taken, 0.05, r)
    group = x[..., 0].astype(np.int64)
    yield Line(
        "log-rank, n = 100, batched", best(lambda: survival.log_rank(time_, event, group), repeats) / block, r=0.53
    )
    large = events(1, 10_000, 2)
    for ties, r in (("efron", 20.47), ("breslow", 19.56)):
        taken = best(lambda ties=ties: cox_kernel.cox(*large, ties=ties), repeats)
        yield Line(f"Cox, 3 covariates, n = 10,000, {ties}", taken, 3.0, r)
    for n, fit, curve, test in ((100, 1.18, 0.61, 0.53), (10_000, 20.47, 6.05, 8.28)):
        t, e, z = events(1, n, 3)
        data = pl.DataFrame(
            {"time": t[0], "event": e[0].astype(int), "arm": z[0, :, 0], "a": z[0, :, 1], "b": z[0, :, 2]}
        )
        door = best(lambda d=data: cox("Surv(time, event) ~ arm + a + b", d).estimates, repeats)
        yield Line(f"Cox, 3 covariates, n = {n:,}, door", door, r=fit)
        door = best(lambda d=data: kaplan_meier(d, time="time", event="event", by="arm"), repeats)
        yield Line(f"Kaplan-Meier of two arms, n = {n:,}, door", door, r=curve)
        yield Line(
            f"log-rank, n = {n:,}, door", best(lambda d=data: log_rank("Surv(time, event) ~ arm", d), repeats), r=test
        )
        door = best(lambda d=data: rmst(d, time="time", event="event", arm="arm", control=0.0, tau=1.0), repeats)
        yield Line(f"restricted mean survival, n = {n:,}, door", door)


def visits(trials: int, n: int, m: int, leaves: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Changes at visits with dropout, predictors (one, arm, baseline, another), last visit seen."""
    g = np.random.default_rng(seed)
    shape, week = (trials, n), np.arange(1, m + 1)
    arm = np.broadcast_to((np.arange(n) % 3 != 0).astype(float), shape)
    y = g.normal(-1, 0.8, shape)[..., None] * week + g.normal(0, 1.5, (*shape, m))
    stay = g.random((*shape, m)) >= leaves
    stay[..., 0] = True
    here = np.logical_and.accumulate(stay, axis=-1)
    base, other = g.normal(37, 6, shape), g.normal(0, 1, shape)
    return np.where(here, y, np.nan), np.stack([np.ones(shape), arm, base, other], -1), here.sum(axis=-1)


def rank_lines(repeats: int, block: int) -> Iterator[Line]:
    y, x, _ = visits(block, 108, 8, 0.03, 4)
    g = np.random.default_rng(5)
    inside = np.ones(y.shape[:2], np.bool_)
    dead = np.where(g.random(y.shape[:2]) < 0.08, g.uniform(4, 28, y.shape[:2]), np.inf)
    m = 20
    options = {"n_imputations": m, "death_week": dead, "rank_week": 28.0}
    plain = best(lambda: repeated.mi_ancova(y, inside, x, x, **{**options, "rank_visit": -1}), repeats)
    ranked = best(lambda: repeated.mi_ancova(y, inside, x, x, **options, rank_visit=7), repeats)
    yield Line("joint rank test (rank ANCOVA), n = 108, a data set, batched", (ranked - plain) / block / m, 0.05)
    changes = np.where(np.isfinite(dead)[..., None], np.nan, y)
    death, follow = np.isfinite(dead), np.minimum(dead, 28.0)
    active = x[..., 1] == 1.0
    wins, losses = np.zeros((*death.shape, 2)), np.zeros((*death.shape, 2))
    counted = best(lambda: rank_kernel.cafs_counts(changes, death, follow, active, inside, wins, losses), repeats)
    yield Line("CAFS scores with gaps of follow-up, n = 108, batched", counted / block, 0.05)
    tested = best(lambda: cafs_batch(changes, dead, death, active, horizon=28.0), repeats)
    yield Line("CAFS with its tests, n = 108, batched", tested / block)
    value = np.stack([follow, y[:, :, 0]], axis=-1)
    event = np.stack([death, np.ones_like(death)], axis=-1)
    kinds = np.array([win_kernel.TIME, win_kernel.VALUE])
    taken = best(lambda: win_kernel.win_statistics(value, active, kinds=kinds, event=event), repeats)
    yield Line("win ratio, odds, net benefit: death, then function, n = 108, batched", taken / block)


def imputation_lines(repeats: int, block: int) -> Iterator[Line]:
    y, x, last = visits(block, 108, 8, 0.03, 6)
    inside = np.ones(y.shape[:2], np.bool_)
    taken = best(lambda: imputation_kernel.multiple_imputation(y, inside, x, n_imputations=20), repeats)
    yield Line("20 imputations under MAR, 108 patients x 8 visits, batched", taken / block, 2.0)
    taken = best(lambda: repeated.mi_ancova(y, inside, x, x, n_imputations=20), repeats)
    yield Line("the same with ANCOVA at every visit and pooling", taken / block, 2.0)
    taken = best(lambda: reference_mi_batch(y, x, last, "JR"), repeats)
    yield Line("20 imputations by jump to reference, ANCOVA and pooling", taken / block)
    y, x, last = (a[0] for a in visits(1, 172, 4, 0.1, 7))
    frame = pl.DataFrame(
        {
            "USUBJID": np.repeat(np.arange(172), 4), "AVISITN": np.tile(np.arange(1, 5), 172),
            "TRT01P": np.repeat(np.where(x[:, 1] == 1, "b", "a"), 4), "BASE": np.repeat(x[:, 2], 4), "CHG": y.ravel(),
        }
    ).with_columns(pl.col("CHG").fill_nan(None))  # fmt: skip
    left = np.flatnonzero(last < 4)
    ice = pl.DataFrame({"USUBJID": left, "AVISITN": last[left] + 1})
    for method, name, target, r in (
        (ConditionalMean(), "conditional mean, jackknife", 500.0, 12_900.0),
        (ConditionalMean("bootstrap", 200), "conditional mean, 200 bootstraps", None, 13_800.0),
        (ApproxBayes(100), "approximate Bayes, 100 draws", None, 7_100.0),
    ):
        taken = best(lambda m=method: mi_analysis(frame, ice, strategy="JR", method=m).estimates, min(repeats, 3))
        yield Line(f"jump to reference, 172 patients x 4 visits, {name}, door", taken, target, r)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer trials and runs")
    repeats, block = (2, 50) if parser.parse_args().quick else (7, 400)
    print(f"Python {platform.python_version()}, {platform.machine()}, one thread, CPU time, warm\n")
    lines: list[Line] = []
    for part in (survival_lines, rank_lines, imputation_lines):
        for line in part(repeats, block):
            print(line, flush=True)
            lines.append(line)
    missed = [line.what for line in lines if line.target is not None and line.ms > line.target]
    print(
        f"\n{sum(line.target is not None for line in lines)} targets, {len(missed)} missed"
        + "".join(f"\n  {m}" for m in missed)
    )


if __name__ == "__main__":
    main()
