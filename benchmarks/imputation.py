"""How long imputation takes, one core, warm.

    python benchmarks/imputation.py

A block of 40 trials of 108 patients and 8 visits with 20 imputations each, under missing at random and by jump to
reference, with and without intermittent gaps, ANCOVA at every visit and pooling included; and for one trial of 172
patients and 4 visits (the shape of the antidepressant trial of R's rbmi) every method end to end, from data frame to
pooled estimate.
"""

from __future__ import annotations

from measure import measure  # isort: skip  (threads, before NumPy)

import numpy as np
import polars as pl

from equipoise.estimate.missing import (
    ApproxBayes,
    Bayes,
    Bmlmi,
    ConditionalMean,
    Mmrm,
    imputation_draws,
    mi_analysis,
    reference_mi_batch,
    tipping_point,
)


def block(trials: int, n: int, visits: int, values: float, gaps: float):
    g = np.random.default_rng(1)
    shape, week = (trials, n), np.arange(1, visits + 1)
    arm = np.broadcast_to((np.arange(n) % 3 != 0).astype(float), shape)
    base, other = g.normal(37, 6, shape), g.normal(0, 1, shape)
    y = g.normal(-1, 0.8, shape)[..., None] * week + g.normal(0, 1.5, (*shape, visits))
    stay = g.random((*shape, visits)) >= values
    stay[..., 0] = True
    here = np.logical_and.accumulate(stay, axis=-1)
    ice = here.sum(axis=-1)
    y = np.where(here & (g.random(y.shape) >= gaps), y, np.nan)
    return y, np.stack([np.ones(shape), arm, base, other], -1), ice


def main() -> None:
    for gaps in (0.0, 0.02, 0.05):
        y, w, ice = block(40, 108, 8, 0.03, gaps)
        for strategy in ("MAR", "JR"):
            taken = measure(lambda y=y, w=w, ice=ice, s=strategy: reference_mi_batch(y, w, ice, s), 5).each(40)
            print(
                f"108 patients x 8 visits, 20 imputations, {strategy}, {100 * np.isnan(y).mean():.0f} % missing, "
                f"{100 * gaps:.0f} % gaps: {taken} a trial"
            )
    y, w, ice = (a[0] for a in block(1, 172, 4, 0.1, 0.0))
    data = pl.DataFrame(
        {
            "USUBJID": np.repeat(np.arange(172), 4),
            "AVISITN": np.tile(np.arange(1, 5), 172),
            "TRT01P": np.repeat(np.where(w[:, 1] == 1, "b", "a"), 4),
            "BASE": np.repeat(w[:, 2], 4),
            "CHG": y.ravel(),
        }
    ).with_columns(pl.col("CHG").fill_nan(None))
    left = np.flatnonzero(ice < 4)
    events = pl.DataFrame({"USUBJID": left, "AVISITN": ice[left] + 1})
    for method in (
        ConditionalMean(),
        ConditionalMean("bootstrap", 200),
        ApproxBayes(100),
        Bayes(100),
        Bayes(4000, thin=5),
        Bmlmi(200, 2),
    ):
        taken = measure(lambda m=method: mi_analysis(data, events, strategy="JR", method=m).estimates, 3)
        print(f"172 patients x 4 visits, jump to reference, {method}: {taken}")
    completed = imputation_draws(data, events, strategy="JR", method=Bayes(100)).impute()
    print(f"the same, MMRM of 100 data sets: {measure(lambda: completed.analyse(Mmrm()), 3)}")
    deltas = np.arange(0.0, -10.0, -1.0)
    taken = measure(lambda: tipping_point(completed, deltas=deltas, control_deltas=np.arange(-4.0, 5.0)), 1)
    print(f"the same, tipping point on a grid of 10 by 9 with 9 bisections: {taken}")


if __name__ == "__main__":
    main()
