"""How fast the repeated-measures model is, beside R's mmrm 0.3.18 on a machine of the same kind.

    python benchmarks/mmrm.py [--quick]

R's figures were measured with R 4.2.2 on 2 cores of an AMD EPYC, one thread (medians; simulated the same way). Ours are
medians of repeated runs in one thread, warm; the data frames are polars. A ratio is R's time over ours: it means
something only on a machine like that one.
"""

# ruff: noqa: E402  (threads are set before NumPy is imported)

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import argparse
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import polars as pl

from equipoise.estimate.formula import build, parse
from equipoise.estimate.linear.mmrm import fit_batch, mmrm
from equipoise.estimate.linear.mmrm.engine import Rows, prepare, run

FORMULA = "y ~ base * visit + arm * visit + us(visit | id)"
FIRST_CALL = """
import time
start = time.perf_counter()
import polars as pl
from equipoise.estimate.linear.mmrm import mmrm
rows = [(f"S{i}", f"V{v}", "ab"[i % 2], (i * 7 + v * 5) % 11 + v, (i * 3) % 10) for i in range(40) for v in (1, 2, 3)]
data = pl.DataFrame(rows, schema=["id", "visit", "arm", "y", "base"], orient="row")
fit = mmrm("y ~ base * visit + arm * visit + us(visit | id)", data)
fit.lsmeans("arm", by="visit")
print(time.perf_counter() - start)
"""


def simulate(n: int, m: int, seed: int, drop: float = 0.03) -> pl.DataFrame:
    """``n`` subjects in two arms, ``m`` visits, autoregressive outcome, monotone dropout: sim() of the R script."""
    rng = np.random.default_rng(seed)
    index = np.arange(m)
    scale = np.linspace(1.0, 1.5, m)
    sigma = 4.0 * 0.7 ** np.abs(np.subtract.outer(index, index)) * np.outer(scale, scale)
    arm = np.arange(n) % 2
    base = rng.normal(size=n)
    y = rng.normal(size=(n, m)) @ np.linalg.cholesky(sigma).T + 0.5 * base[:, None] + 0.1 * arm[:, None] * (index + 1)
    seen = index[None, :] < rng.geometric(drop, n)[:, None]
    i, v = np.nonzero(seen)
    return pl.DataFrame(
        {
            "id": [f"P{k:05d}" for k in i],
            "visit": [f"V{k + 1:02d}" for k in v],
            "arm": np.where(arm[i] == 1, "TRT", "PBO"),
            "base": base[i],
            "y": y[i, v],
        }
    )


def batch(trials: int, n: int = 108, m: int = 8, seed: int = 1, holes: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """``trials`` simulated trials: 2:1, ``m`` visits, 3 % dropout a visit, ``holes`` intermittent missingness."""
    rng = np.random.default_rng(seed)
    index = np.arange(m)
    root = np.linalg.cholesky(4.0 * 0.8 ** np.abs(np.subtract.outer(index, index)))
    arm = np.tile(np.repeat([1.0, 1.0, 0.0], n // 3), (trials, 1))
    base = rng.normal(38.0, 5.0, (trials, n))
    y = rng.normal(size=(trials, n, m)) @ root.T + arm[..., None] * 0.1 * (index + 1) - 0.02 * base[..., None]
    y[index[None, None, :] >= rng.geometric(0.03, (trials, n))[..., None]] = np.nan
    if holes:
        y[rng.uniform(size=y.shape) < holes] = np.nan
    return y, np.stack([np.ones_like(base), base, arm], axis=-1)


def median(call: Callable[[], object], repeats: int) -> float:
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def line(what: str, seconds: float, target: str = "", r: float | None = None) -> None:
    ratio = f"{r / seconds:8.0f} x R" if r else ""
    print(f"{what:58s} {seconds * 1e3:10.2f} ms   {target:14s} {ratio}")


def single(n: int, m: int, repeats: int, seed: int, r: dict[str, float], targets: dict[str, str]) -> None:
    data = simulate(n, m, seed)

    def fitted(df: str) -> Callable[[], object]:
        return lambda: mmrm(FORMULA, data, df=df)

    def means(df: str) -> Callable[[], object]:
        def call() -> object:
            fit = mmrm(FORMULA, data, df=df)
            return fit.lsmeans("arm", by="visit"), fit.contrasts("arm", by="visit"), fit.coefficients

        return call

    print(f"\nOne trial from a data frame: n = {n}, {m} visits, {len(data)} rows, unstructured")
    line("fit", median(fitted("satterthwaite"), repeats), "", r["fit"])
    for df in ("satterthwaite", "kenward-roger"):
        line(f"fit, coefficients, LS means, contrasts, {df}", median(means(df), repeats), targets.get(df, ""), r[df])
    model = parse(FORMULA)
    import narwhals.stable.v2 as nw

    frame = nw.from_native(data, eager_only=True)
    extra = {"visit": True, "id": True}
    design, y = build(model, frame, extra)
    who, when = design.columns["|id"], design.columns["|visit"]
    rows = Rows(who.codes, when.codes, np.zeros(n, np.int64), n, m, 1, None)
    prepared = prepare(design, y, rows)
    coords = np.arange(m, dtype=float)
    fit = mmrm(FORMULA, data)

    def adjust() -> object:
        fit.__dict__.pop("_vcov", None)
        return fit._vcov

    def lsmeans() -> object:
        fit.__dict__.pop("_grids", None)
        return fit.lsmeans("arm", by="visit")

    print("  where it goes:")
    line("    data frame to design", median(lambda: build(model, frame, extra), repeats))
    line("    sufficient statistics", median(lambda: prepare(design, y, rows), repeats))
    line(
        f"    optimum and information ({fit.steps} steps)",
        median(lambda: run(prepared, "us", True, coords, 1), repeats),
    )
    line("    Kenward-Roger covariance", median(adjust, repeats))
    line("    LS means", median(lsmeans, repeats))
    line("    coefficient table", median(lambda: fit.coefficients, repeats))


def many(trials: int) -> None:
    print("\nMany trials at once, one core: n = 108, 8 visits, unstructured, one contrast")
    for holes, what in ((0.0, "monotone dropout"), (0.03, "dropout and 3 % intermittent holes")):
        y, w = batch(trials, holes=holes)
        contrast = np.zeros((1, 8, 3))
        contrast[0, 7, 2] = 1.0
        for df, target, r in (("satterthwaite", 2000, 3.63), ("kenward-roger", 500, 0.86)):
            seconds = median(lambda df=df, y=y, w=w, c=contrast: fit_batch(y, w, c, df=df), 5)
            rate = trials / seconds
            fit = fit_batch(y, w, contrast, df=df)
            print(f"{df + ', ' + what:58s} {rate:10.0f} a second  target {target:5d}   {rate / r:8.0f} x R"
                  f"   ({int((~fit.converged).sum())} not converged, {fit.steps.mean():.1f} steps)")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer repeats")
    quick = parser.parse_args().quick
    print(f"Python {platform.python_version()}, NumPy {np.__version__}, {platform.machine()}, {os.cpu_count()} cores")
    single(200, 4, 20 if quick else 200, 1, {"fit": 0.07297, "satterthwaite": 0.09297, "kenward-roger": 0.12575},
           {"satterthwaite": "target 5 ms", "kenward-roger": "target 5 ms"})  # fmt: skip
    single(1000, 10, 5 if quick else 20, 2, {"fit": 5.64246, "satterthwaite": 5.73788, "kenward-roger": 36.7552},
           {"kenward-roger": "target 100 ms"})  # fmt: skip
    many(200 if quick else 1000)
    print("\nFirst call in a new process, compile cache warm")
    times = []
    for _ in range(3 if quick else 5):
        done = subprocess.run([sys.executable, "-c", FIRST_CALL], check=True, capture_output=True, text=True)
        times.append(float(done.stdout))
    line("imports, fit with Kenward-Roger, LS means", statistics.median(times), "target 3000 ms")


if __name__ == "__main__":
    main()
