"""Two periods, two sequences: the crossover of Grizzle (1965) by t-tests (Hills & Armitage 1979).

With y1 and y2 the values at the end of the two periods, d = y1 - y2 and s = y1 + y2, in sequence A (active first) and B
(control first):

    treatment   (mean d in A - mean d in B) / 2
    period      (mean d in A + mean d in B) / 2      period 1 less period 2
    carry-over  mean s in A - mean s in B            what period 1 leaves in period 2, active less control

each with the pooled variance and t on n_A + n_B - 2 degrees of freedom. A test of carry-over has little power, and
choosing an analysis by it biases the other (Freeman 1989): it is told, and decides nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from equipoise.types import BoolArray, CodeArray, FloatArray, Status

REFERENCES = ("Grizzle 1965, Biometrics 21:467", "Hills & Armitage 1979, Br J Clin Pharmacol 8:7")


class Crossover(NamedTuple):
    """Arrays (trial, 3) of treatment, period and carry-over; df (trial,); counts (trial, 2) of B and A; status."""

    estimate: FloatArray
    se: FloatArray
    df: FloatArray
    counts: FloatArray
    status: CodeArray


def crossover(first: FloatArray, second: FloatArray, active_first: BoolArray, who: BoolArray) -> Crossover:
    """The three comparisons of many trials at once, in who was seen in both periods.

    first, second : (trial, subject) values at the end of the periods, less those at their beginning where wanted; NaN
    where missing. active_first, who : (trial, subject).

    >>> made = crossover(np.array([[6., 8, 7, 3, 5, 4]]), np.array([[4., 5, 6, 6, 7, 8]]),
    ...     np.array([[True] * 3 + [False] * 3]), np.ones((1, 6), bool))
    >>> made.estimate.round(3).tolist(), made.df.tolist()
    ([[2.5, -0.5, 1.0]], [4.0])
    """
    seen = who & np.isfinite(first) & np.isfinite(second)
    parts = (seen & ~active_first, seen & active_first)
    counts = np.stack([p.sum(axis=1) for p in parts], axis=1).astype(np.float64)
    df = counts.sum(axis=1) - 2.0
    means, squares = [], []
    with np.errstate(invalid="ignore", divide="ignore"):
        for values in (first - second, first + second):
            own = [np.where(p, values, 0.0).sum(axis=1) / p.sum(axis=1) for p in parts]
            means.append(own)
            squares.append(
                sum(np.where(p, (values - m[:, None]) ** 2, 0.0).sum(axis=1) for p, m in zip(parts, own, strict=True))
            )
        (d_b, d_a), (s_b, s_a) = means
        estimate = np.stack([(d_a - d_b) / 2.0, (d_a + d_b) / 2.0, s_a - s_b], axis=1)
        spread = 1.0 / counts[:, 0] + 1.0 / counts[:, 1]
        of_d, of_s = (np.sqrt(q / df * spread) for q in squares)
    se = np.stack([of_d / 2.0, of_d / 2.0, of_s], axis=1)
    status = np.where((counts < 1.0).any(axis=1), int(Status.EMPTY_ARM), int(Status.OK))
    status = np.where((status == 0) & (df < 1.0), int(Status.NO_DATA), status)
    status = np.where((status == 0) & ~(se > 0.0).all(axis=1), int(Status.NO_VARIANCE), status).astype(np.int8)
    bad = status != 0
    estimate[bad], se[bad] = np.nan, np.nan
    return Crossover(estimate, se, np.where(bad, np.nan, df), counts, status)
