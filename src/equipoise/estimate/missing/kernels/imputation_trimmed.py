"""Difference of trimmed means under permutation of the arms and under resampling of patients."""

from __future__ import annotations

import math

import numpy as np

from equipoise.estimate.missing.kernels.imputation_strategy import resample
from equipoise.numerics.compiler import kernel
from equipoise.numerics.random import RESAMPLE, STREAM_WORDS, restart_stream, uniform

PERMUTATION_UNIT, BOOTSTRAP_UNIT = 1 << 43, 1 << 44


@kernel
def trimmed_difference(value, arm, fraction):
    """Active minus control in the mean of the best values of each arm; NaN where a missing one would have to count.

    value : (subject,) the higher the better, NaN worst of all. ``fraction`` of each arm, rounded up, is left out at the
    bottom; negative: the larger share of missing values of the two arms.
    """
    n = value.shape[0]
    size = np.zeros(2, np.int64)
    lost = np.zeros(2, np.int64)
    for i in range(n):
        size[arm[i]] += 1
        if math.isnan(value[i]):
            lost[arm[i]] += 1
    if size[0] == 0 or size[1] == 0:
        return np.nan
    share = fraction
    if fraction < 0.0:
        share = max(lost[0] / size[0], lost[1] / size[1])
    out = 0.0
    for a in range(2):
        cut = np.int64(math.ceil(share * size[a] - 1e-9))
        if cut < lost[a] or cut >= size[a]:
            return np.nan
        seen = np.empty(size[a] - lost[a])
        k = 0
        for i in range(n):
            if arm[i] == a and not math.isnan(value[i]):
                seen[k] = value[i]
                k += 1
        seen.sort()
        total = 0.0
        for i in range(cut - lost[a], k):
            total += seen[i]
        mean = total / (size[a] - cut)
        out += mean if a == 1 else -mean
    return out


@kernel
def trimmed_replicates(value, arm, fraction, seed, permuted, resampled):
    """Fill ``permuted`` and ``resampled`` with the difference under random arms, and of bootstrap samples by arm."""
    n = value.shape[0]
    stream = np.zeros(STREAM_WORDS, np.uint64)
    label = arm.copy()
    for b in range(permuted.shape[0]):
        restart_stream(stream, seed, 0, RESAMPLE, PERMUTATION_UNIT + b)
        for i in range(n):
            label[i] = arm[i]
        for i in range(n - 1, 0, -1):
            j = min(np.int64(uniform(stream) * (i + 1)), i)
            label[i], label[j] = label[j], label[i]
        permuted[b] = trimmed_difference(value, label, fraction)
    rows = np.empty(n, np.int64)
    drawn = np.empty(n)
    for b in range(resampled.shape[0]):
        resample(arm, 2, seed, 0, RESAMPLE, BOOTSTRAP_UNIT + b, rows)
        for i in range(n):
            drawn[i] = value[rows[i]]
        resampled[b] = trimmed_difference(drawn, arm, fraction)
