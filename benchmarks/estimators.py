"""How fast the estimators of survival, function and survival together, and imputation are: one core, warm.

    python benchmarks/estimators.py [--quick]

CPU time of one thread. R runs beside on the same data, in the same call, where Rscript and the package are there, and
the ratio is printed with its spread; where they are not, it says so. "Batched" is the door of the simulation, for a
block of trials; "door" is a data frame to a result.
"""

import argparse
from collections.abc import Iterator

from measure import Line, beside, measure, r_beside, show, where  # isort: skip  (threads, before NumPy)

import numpy as np
import polars as pl

from equipoise.estimate.missing import ApproxBayes, ConditionalMean, mi_analysis, reference_mi_batch
from equipoise.estimate.missing.kernels import imputation as imputation_kernel
from equipoise.estimate.missing.kernels import mi_ancova as repeated
from equipoise.estimate.ranks.joint_rank_cafs import cafs_batch
from equipoise.estimate.ranks.kernels import rank as rank_kernel
from equipoise.estimate.ranks.kernels import rank_tests
from equipoise.estimate.ranks.kernels import win as win_kernel
from equipoise.estimate.survival import cox, log_rank
from equipoise.estimate.survival.kaplan_meier import kaplan_meier
from equipoise.estimate.survival.kernels import cox as cox_kernel
from equipoise.estimate.survival.kernels import log_rank as survival
from equipoise.estimate.survival.rmst import rmst


def events(trials: int, n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times, events and three covariates, the first of them the arm; about a third censored."""
    g = np.random.default_rng(seed)
    x = g.normal(size=(trials, n, 3))
    x[..., 0] = np.arange(n) % 2
    failure = g.exponential(size=(trials, n)) * np.exp(-(x @ np.array([-0.4, 0.3, -0.2])))
    censor = g.exponential(2.0, (trials, n))
    return np.minimum(failure, censor), failure <= censor, x


R_SURVIVAL = {
    "cox efron": "coxph(Surv(time, event) ~ arm + a + b, d{n})",
    "cox breslow": 'coxph(Surv(time, event) ~ arm + a + b, d{n}, ties = "breslow")',
    "curve": "survfit(Surv(time, event) ~ arm, d{n})",
    "test": "survdiff(Surv(time, event) ~ arm, d{n})",
}


def survival_lines(repeats: int, block: int) -> Iterator[Line]:
    frames = {}
    for n in (100, 10_000):
        t, e, z = events(1, n, 3)
        frames[n] = pl.DataFrame(
            {"time": t[0], "event": e[0].astype(int), "arm": z[0, :, 0], "a": z[0, :, 1], "b": z[0, :, 2]}
        )
    cases = {f"{name} {n}": call.format(n=n) for n in frames for name, call in R_SURVIVAL.items()}
    r = r_beside(["survival"], "", cases, {f"d{n}": frame for n, frame in frames.items()}, repeats)
    time_, event, x = events(block, 100, 1)
    for ties in ("efron", "breslow"):
        taken = measure(lambda ties=ties: cox_kernel.cox(time_, event, x, ties=ties), repeats).each(block)
        yield Line(f"Cox, 3 covariates, n = 100, {ties}, batched", taken, 0.05, beside(r, f"cox {ties} 100"))
    group = x[..., 0].astype(np.int64)
    taken = measure(lambda: survival.log_rank(time_, event, group), repeats).each(block)
    yield Line("log-rank, n = 100, batched", taken, r=beside(r, "test 100"))
    large = events(1, 10_000, 2)
    for ties in ("efron", "breslow"):
        taken = measure(lambda ties=ties: cox_kernel.cox(*large, ties=ties), repeats)
        yield Line(f"Cox, 3 covariates, n = 10,000, {ties}", taken, 3.0, beside(r, f"cox {ties} 10000"))
    for n, data in frames.items():
        door = measure(lambda d=data: cox("Surv(time, event) ~ arm + a + b", d).estimates, repeats)
        yield Line(f"Cox, 3 covariates, n = {n:,}, door", door, r=beside(r, f"cox efron {n}"))
        door = measure(lambda d=data: kaplan_meier(d, time="time", event="event", arm="arm"), repeats)
        yield Line(f"Kaplan-Meier of two arms, n = {n:,}, door", door, r=beside(r, f"curve {n}"))
        door = measure(lambda d=data: log_rank("Surv(time, event) ~ arm", d), repeats)
        yield Line(f"log-rank, n = {n:,}, door", door, r=beside(r, f"test {n}"))
        door = measure(lambda d=data: rmst(d, time="time", event="event", arm="arm", control=0.0, tau=1.0), repeats)
        yield Line(f"restricted mean survival, n = {n:,}, door", door)


def visits(trials: int, n: int, m: int, values: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Changes at visits with dropout, predictors (one, arm, baseline, another), last visit seen."""
    g = np.random.default_rng(seed)
    shape, week = (trials, n), np.arange(1, m + 1)
    arm = np.broadcast_to((np.arange(n) % 3 != 0).astype(float), shape)
    y = g.normal(-1, 0.8, shape)[..., None] * week + g.normal(0, 1.5, (*shape, m))
    stay = g.random((*shape, m)) >= values
    stay[..., 0] = True
    here = np.logical_and.accumulate(stay, axis=-1)
    base, other = g.normal(37, 6, shape), g.normal(0, 1, shape)
    return np.where(here, y, np.nan), np.stack([np.ones(shape), arm, base, other], -1), here.sum(axis=-1)


def rank_lines(repeats: int, block: int) -> Iterator[Line]:
    y, x, _ = visits(block, 108, 8, 0.03, 4)
    g = np.random.default_rng(5)
    inside = np.ones(y.shape[:2], np.bool_)
    dead = np.where(g.random(y.shape[:2]) < 0.08, g.uniform(4, 28, y.shape[:2]), np.inf)
    active = x[..., 1] == 1.0
    # those who died below everyone else, by time of death; ranks, then least squares on arm and covariates
    joint = np.where(np.isfinite(dead), dead - 1e6, np.nan_to_num(y[:, :, -1], nan=-500.0))
    group, n_groups = rank_tests.groups(y.shape[:2])

    def joint_rank() -> object:
        return rank_tests.ancova(rank_tests.midranks(joint, group, n_groups), active, group, x[..., 2:])

    yield Line("joint rank test (rank ANCOVA), n = 108, batched", measure(joint_rank, repeats).each(block), 0.05)
    changes = np.where(np.isfinite(dead)[..., None], np.nan, y)
    death, follow = np.isfinite(dead), np.minimum(dead, 28.0)
    wins, losses = np.zeros((*death.shape, 2)), np.zeros((*death.shape, 2))
    counted = measure(lambda: rank_kernel.cafs_counts(changes, death, follow, active, inside, wins, losses), repeats)
    yield Line("CAFS scores with gaps of follow-up, n = 108, batched", counted.each(block), 0.05)
    tested = measure(lambda: cafs_batch(changes, dead, death, active, up_to=28.0), repeats)
    yield Line("CAFS with its tests, n = 108, batched", tested.each(block))
    value = np.stack([follow, y[:, :, 0]], axis=-1)
    event = np.stack([death, np.ones_like(death)], axis=-1)
    kinds = np.array([win_kernel.TIME, win_kernel.VALUE])
    taken = measure(lambda: win_kernel.win_statistics(value, active, kinds=kinds, event=event), repeats)
    yield Line("win ratio, odds, net benefit: death, then function, n = 108, batched", taken.each(block))


R_RBMI = """
d$USUBJID <- factor(d$USUBJID); d$AVISITN <- factor(d$AVISITN); d$TRT01P <- factor(d$TRT01P)
ice$USUBJID <- factor(ice$USUBJID, levels(d$USUBJID)); ice$AVISITN <- factor(ice$AVISITN, levels(d$AVISITN))
ice$strategy <- "JR"
v <- set_vars(outcome = "CHG", visit = "AVISITN", subjid = "USUBJID", group = "TRT01P",
              covariates = c("BASE * AVISITN", "TRT01P * AVISITN"), strategy = "strategy")
a <- v; a$covariates <- "BASE"
run <- function(m) {
  set.seed(1)
  i <- impute(draws(d, ice, v, m, quiet = TRUE), references = c(a = "a", b = "a"))
  pool(analyse(i, ancova, vars = a))
}
"""


def imputation_lines(repeats: int, block: int) -> Iterator[Line]:
    y, x, last = visits(block, 108, 8, 0.03, 6)
    inside = np.ones(y.shape[:2], np.bool_)
    taken = measure(lambda: imputation_kernel.multiple_imputation(y, inside, x, n_imputations=20), repeats)
    yield Line("20 imputations under MAR, 108 patients x 8 visits, batched", taken.each(block), 2.0)
    taken = measure(lambda: repeated.mi_ancova(y, inside, x, x, n_imputations=20), repeats)
    yield Line("the same with ANCOVA at every visit and pooling", taken.each(block), 2.0)
    taken = measure(lambda: reference_mi_batch(y, x, last, "JR"), repeats)
    yield Line("20 imputations by jump to reference, ANCOVA and pooling", taken.each(block))
    y, x, last = (a[0] for a in visits(1, 172, 4, 0.1, 7))
    frame = pl.DataFrame(
        {
            "USUBJID": np.repeat(np.arange(172), 4),
            "AVISITN": np.tile(np.arange(1, 5), 172),
            "TRT01P": np.repeat(np.where(x[:, 1] == 1, "b", "a"), 4),
            "BASE": np.repeat(x[:, 2], 4),
            "CHG": y.ravel(),
        }
    ).with_columns(pl.col("CHG").fill_nan(None))
    left = np.flatnonzero(last < 4)
    ice = pl.DataFrame({"USUBJID": left, "AVISITN": last[left] + 1})
    ours = {
        "conditional mean, jackknife": ConditionalMean(),
        "conditional mean, 200 bootstraps": ConditionalMean("bootstrap", 200),
        "approximate Bayes, 100 draws": ApproxBayes(100),
    }
    r_methods = {
        "conditional mean, jackknife": 'method_condmean(type = "jackknife")',
        "conditional mean, 200 bootstraps": 'method_condmean(type = "bootstrap", n_samples = 200)',
        "approximate Bayes, 100 draws": "method_approxbayes(n_samples = 100)",
    }
    r = r_beside(["rbmi"], R_RBMI, {name: f"run({m})" for name, m in r_methods.items()}, {"d": frame, "ice": ice}, 1)
    for name, method in ours.items():
        taken = measure(lambda m=method: mi_analysis(frame, ice, strategy="JR", method=m).estimates, min(repeats, 3))
        target = 500.0 if name.endswith("jackknife") else None
        yield Line(f"jump to reference, 172 patients x 4 visits, {name}, door", taken, target, beside(r, name))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer trials and runs")
    repeats, block = (2, 50) if parser.parse_args().quick else (7, 400)
    print(where() + "\n")
    show(part(repeats, block) for part in (survival_lines, rank_lines, imputation_lines))


if __name__ == "__main__":
    main()
