"""Max-combo tests over a block of trials: the largest of several weighted log-rank tests, with its p-value."""

from __future__ import annotations

import numpy as np

from equipoise.estimate.survival.kernels.log_rank import combination
from equipoise.numerics.compiler import kernel
from equipoise.numerics.normal import tail_of_largest
from equipoise.numerics.status import OK


@kernel
def tails(statistic, correlation, both, tolerance, status, p):
    """Fill ``p`` (trial,) with the tail probability of ``statistic`` (trial,) where ``status`` is 0."""
    for t in range(len(statistic)):
        if status[t] == OK:
            p[t] = tail_of_largest(statistic[t], correlation[t], both, tolerance)[0]


def max_combo(time, event, group, weights, *, include=None, stratum=None, alternative="two-sided", tolerance=1e-3):
    """Max-combo tests of two groups on a block of trials.

    Parameters
    ----------
    time, event, group, include, stratum, weights : as in :func:`combination`. alternative :
    ``two-sided``, ``benefit`` (fewer events in the second group) or ``harm``. tolerance : relative error of p-values.

    Returns
    -------
    z : (trial, weight) statistics, negative where the second group has fewer events; correlation : (trial, weight,
    weight); statistic : (trial,) the largest in the direction of ``alternative``; p : (trial,) its p-value; status :
    (trial,). NaN where not ``OK``.
    """
    score, variance, status = combination(time, event, group, weights, include=include, stratum=stratum)
    sd = np.sqrt(np.diagonal(variance, axis1=1, axis2=2))
    sd = np.where((status == OK)[:, None], sd, np.nan)
    z = score / sd
    correlation = np.clip(variance / (sd[:, :, None] * sd[:, None, :]), -1.0, 1.0)
    statistic = {"two-sided": np.abs(z), "benefit": -z, "harm": z}[alternative].max(axis=1)
    p = np.full(len(statistic), np.nan)
    tails(statistic, correlation, alternative == "two-sided", float(tolerance), status, p)
    return z, correlation, statistic, p, status
