"""How often 95 % intervals of the trial level hold the truth, in literatures whose truth is known.

``python tests/surrogate/surrogacy_coverage.py 1000`` prints the table of docs/methods/surrogacy.md.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator

import numpy as np

from equipoise.surrogate.ratios import of_correlation
from equipoise.surrogate.trials import Rows, least_squares_line, leave_out, of_rows

MEAN, ERROR = (0.5, 0.2), 0.4
INTERVALS = (
    "correlation, profile likelihood",
    "slope, bivariate model",
    "slope, Daniels & Hughes",
    "slope, Knapp-Hartung",
    "mean effect on the surrogate",
    "mean effect on the true endpoint",
    "prediction, bivariate model",
    "prediction, Daniels & Hughes",
    "prediction, Knapp-Hartung",
    "left one out",
    "correlation, Fisher, not corrected",
    "R squared, delta method, not corrected",
)


def literature(rng: np.random.Generator, trials: int, rho: float, se: tuple[float, float], r: float = 0.0) -> Rows:
    """Effects with standard deviation 1 between trials, and their errors."""
    true = rng.multivariate_normal(MEAN, [[1.0, rho], [rho, 1.0]], trials)
    vs, vt = np.full(trials, se[0] ** 2), np.full(trials, se[1] ** 2)
    c = r * np.sqrt(vs * vt)
    error = np.stack([rng.multivariate_normal([0, 0], [[a, b], [b, d]]) for a, b, d in zip(vs, c, vt, strict=True)])
    seen = true + error
    return Rows(tuple(map(str, range(trials))), seen[:, 0].copy(), seen[:, 1].copy(), vs, vt, c)


def held(rng: np.random.Generator, trials: int, rho: float) -> Iterator[bool | None]:
    """Whether each of ``INTERVALS`` of one literature holds the truth; None where there is none.

    Predictions are of the true effect of a new trial, whose effect on the surrogate is known without error.
    """
    rows = literature(rng, trials, rho, (ERROR, ERROR))
    found = of_rows(rows, "S", "T", known=True)
    low, high = found.interval
    yield low <= rho <= high
    named = {e.term: e for e in found.estimates}
    for term in ("slope", "slope (posterior)", "slope (uncorrected)"):
        e = named[term]
        yield e.low <= rho <= e.high if e.estimable else None
    for what, mean in zip(("S", "T"), MEAN, strict=True):
        e = named[f"mean effect on {what}"]
        yield e.low <= mean <= e.high if e.estimable else None
    s, t = rng.multivariate_normal(MEAN, [[1.0, rho], [rho, 1.0]])
    for line in (found.corrected_line, found.posteriors[0], found.line):
        if line is None:
            yield None
            continue
        ends = line.predict(s)[1:] if hasattr(line, "predict") else line.interval(s, 0.95)
        yield ends[0] <= t <= ends[1]
    yield leave_out(rows, 0, True, 0.95).covered
    _, slope, r2 = least_squares_line(rows.s, rows.t, np.ones(trials))
    fisher = of_correlation("r", "", math.copysign(math.sqrt(r2), slope), trials, 0.95)
    yield fisher.low <= rho <= fisher.high
    half = 1.96 * math.sqrt(4.0 * r2 * (1.0 - r2) ** 2 / (trials - 3))
    yield max(r2 - half, 0.0) <= rho * rho <= min(r2 + half, 1.0)


def coverage(trials: int, rho: float, repeats: int, seed: int) -> dict[str, tuple[float, float]]:
    """Interval -> the share of literatures that have it in which it holds the truth, and the share that have none."""
    rng = np.random.default_rng(seed)
    table = [list(held(rng, trials, rho)) for _ in range(repeats)]
    out = {}
    for k, name in enumerate(INTERVALS):
        seen = [row[k] for row in table if row[k] is not None]
        out[name] = sum(map(bool, seen)) / max(len(seen), 1), 1.0 - len(seen) / repeats
    return out


if __name__ == "__main__":
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 250
    sizes = (5, 10, 20, 40)
    found = {k: coverage(k, 0.8, repeats, k) for k in sizes}
    print("| interval | " + " | ".join(f"{k} trials" for k in sizes) + " |")
    print("| --- |" + " ---: |" * len(sizes))
    for name in INTERVALS:
        cells = []
        for k in sizes:
            share, none = found[k][name]
            error = math.sqrt(share * (1.0 - share) / (repeats * (1.0 - none) or 1))
            cells.append(f"{share:.2f} ({error:.3f})" + (f", none in {100 * none:.0f} %" if none > 0.005 else ""))
        print(f"| {name} | " + " | ".join(cells) + " |")
