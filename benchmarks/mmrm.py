"""How fast the repeated-measures model is, with R beside: mmrm and nlme, in the same call, on the same data.

    python benchmarks/mmrm.py [--quick]

CPU time of one thread, warm; the data frames are polars. A ratio is R's time over ours, with its spread; where Rscript
or a package is not here, it says so. nlme's model is the same (`gls`, unstructured), its degrees of freedom are not.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable

from measure import Line, Spread, beside, measure, r_beside, where  # isort: skip  (threads, before NumPy)

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
fit.lsmeans("arm", by="visit").to_frame()
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


GLS = (
    "gls(y ~ base * visit + arm * visit, d, correlation = corSymm(form = ~ v | id), "
    "weights = varIdent(form = ~ 1 | visit))"
)
R_NLME = {"fit": GLS, "means": f'emmeans({GLS}, ~ arm | visit, mode = "df.error")'}
_SATTERTHWAITE, _KENWARD_ROGER = (
    f'mmrm(y ~ base * visit + arm * visit + us(visit | id), d, method = "{df}")'
    for df in ("Satterthwaite", "Kenward-Roger")
)
R_MMRM = {
    "fit": _SATTERTHWAITE,
    "satterthwaite": f"emmeans({_SATTERTHWAITE}, ~ arm | visit)",
    "kenward-roger": f"emmeans({_KENWARD_ROGER}, ~ arm | visit)",
}


def line(what: str, taken: Spread, target: float | None = None, *r: Spread | str) -> None:
    """Print one figure; with more than one from R, each on a line of its own."""
    print(Line(what, taken, target, r[0] if r else None), flush=True)
    for more in r[1:]:
        print(Line("", taken, None, more), flush=True)


def single(n: int, m: int, repeats: int, seed: int, targets: dict[str, float], nlme: bool) -> None:
    data = simulate(n, m, seed)
    set_up = "d$v <- as.integer(d$visit); d$visit <- factor(d$visit); d$id <- factor(d$id)"
    r = r_beside(["mmrm", "emmeans"], set_up, R_MMRM, {"d": data}, min(repeats, 3))
    gls: dict[str, Spread] | str = "no nlme beside: a gls of this size takes many minutes"
    if nlme:
        gls = r_beside(["nlme", "emmeans"], set_up, R_NLME, {"d": data}, 3)

    def fitted(df: str) -> Callable[[], object]:
        return lambda: mmrm(FORMULA, data, df=df)

    def means(df: str) -> Callable[[], object]:
        def call() -> object:
            fit = mmrm(FORMULA, data, df=df)
            return (
                fit.lsmeans("arm", by="visit").to_frame(),
                fit.contrasts("arm", by="visit").to_frame(),
                fit.coefficients,
            )

        return call

    print(f"\nOne trial from a data frame: n = {n}, {m} visits, {len(data)} rows, unstructured")
    line("fit", measure(fitted("satterthwaite"), repeats), None, beside(r, "fit"), beside(gls, "fit"))
    for df in ("satterthwaite", "kenward-roger"):
        rs = (beside(r, df), beside(gls, "means"))
        line(f"fit, coefficients, LS means, contrasts, {df}", measure(means(df), repeats), targets.get(df), *rs)
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
        return fit.lsmeans("arm", by="visit").to_frame()

    print("  where it goes:")
    line("    data frame to design", measure(lambda: build(model, frame, extra), repeats))
    line("    sufficient statistics", measure(lambda: prepare(design, y, rows), repeats))
    line(
        f"    optimum and information ({fit.steps} steps)",
        measure(lambda: run(prepared, "us", True, coords, 1), repeats),
    )
    line("    Kenward-Roger covariance", measure(adjust, repeats))
    line("    LS means", measure(lsmeans, repeats))
    line("    coefficient table", measure(lambda: fit.coefficients, repeats))


def many(trials: int) -> None:
    print("\nMany trials at once, one core: n = 108, 8 visits, unstructured, one contrast")
    for holes, what in ((0.0, "monotone dropout"), (0.03, "dropout and 3 % intermittent holes")):
        y, w = batch(trials, holes=holes)
        contrast = np.zeros((1, 8, 3))
        contrast[0, 7, 2] = 1.0
        for df, target in (("satterthwaite", 0.5), ("kenward-roger", 2.0)):
            taken = measure(lambda df=df, y=y, w=w, c=contrast: fit_batch(y, w, c, df=df), 5).each(trials)
            fit = fit_batch(y, w, contrast, df=df)
            said = f"{int((~fit.converged).sum())} not converged, {fit.steps.mean():.1f} steps"
            line(f"{df}, {what}", taken, target, f"{1e3 / taken.middle:,.0f} a second ({said})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer repeats")
    quick = parser.parse_args().quick
    print(where())
    both = {"satterthwaite": 5.0, "kenward-roger": 5.0}
    single(200, 4, 5 if quick else 20, 1, both, nlme=True)
    single(1000, 10, 3 if quick else 10, 2, {"kenward-roger": 100.0}, nlme=False)
    many(200 if quick else 1000)
    print("\nFirst call in a new process, compile cache warm")
    times = []
    for _ in range(3 if quick else 5):
        done = subprocess.run([sys.executable, "-c", FIRST_CALL], check=True, capture_output=True, text=True)
        times.append(1e3 * float(done.stdout))
    line("imports, fit with Kenward-Roger, LS means (elapsed)", Spread(tuple(times)), 3000.0)


if __name__ == "__main__":
    main()
