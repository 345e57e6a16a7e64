"""Difference of trimmed means, with everyone who has no outcome counted among the worst."""

from __future__ import annotations

from typing import Any

import numpy as np

from equipoise.errors import EstimationError
from equipoise.estimate.missing.events import read_events
from equipoise.estimate.missing.kernels.imputation_trimmed import trimmed_difference, trimmed_replicates
from equipoise.estimate.panel import read_panel
from equipoise.estimate.result import Estimate
from equipoise.types import Status

PERMUTT = "Permutt & Li 2017, Pharm Stat 16:20"


def trimmed_mean(
    data: Any,
    ice: Any = None,
    *,
    at: float,
    fraction: float | None = None,
    value: str = "CHG",
    subject: str = "USUBJID",
    visit: str = "AVISITN",
    arm: str = "TRT01P",
    control: Any = None,
    ice_visit: str | None = None,
    higher_better: bool = True,
    n_permutations: int = 2000,
    n_samples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
    estimand: str | None = None,
) -> Estimate:
    """Compare the best of each arm ``at`` a week, leaving out the same fraction at the bottom of both.

    A composite strategy that needs no value for those lost: whoever died, stopped or was not seen has the worst
    outcome, and is trimmed away with the worst of the others (Permutt & Li 2017). p by permutation of the arms,
    standard error and limits (normal) by the bootstrap within arms, trimming anew each time; samples in which more
    than ``fraction`` of an arm is lost are left out.

    Parameters
    ----------
    data : long frame, every randomised patient at least once. ice : patients (and first visit affected, up to ``at``)
        who count as lost though they were seen.
    fraction : share left out of each arm, rounded up; default the larger share of lost patients of the two arms.

    Raises
    ------
    DataError, EstimationError : a column, a patient or an option cannot be used.
    """
    if fraction is not None and not 0.0 <= fraction < 1.0:
        raise EstimationError(f"fraction = {fraction!r}", hint="give the share to leave out, from 0 to below 1")
    if n_permutations < 99 or n_samples < 99:
        raise EstimationError(
            f"{n_permutations} permutations and {n_samples} bootstrap samples", hint="give 99 or more of each"
        )
    panel = read_panel(data, value=value, subject=subject, visit=visit, arm=arm, control=control)
    column = panel.at(at)
    events = read_events(panel, ice, subject, ice_visit or visit, "CR")
    y = np.where(events.ice <= column, np.nan, panel.y[:, column])
    of_arm = panel.arm.astype(np.int64)
    best = y if higher_better else -y
    cut = -1.0 if fraction is None else float(fraction)
    shares = [float(np.isnan(y[of_arm == a]).mean()) for a in (0, 1)]
    name = f"{panel.arms[1]} - {panel.arms[0]} at week {at:g}"
    label = f"trimmed means ({100 * (max(shares) if fraction is None else fraction):.3g} % trimmed)"
    made = trimmed_difference(best, of_arm, cut)
    options: dict[str, Any] = {
        "level": level,
        "scale": "difference of trimmed means",
        "estimand": estimand,
        "references": (PERMUTT,),
    }
    if np.isnan(made):
        detail = (
            f"not estimable: {100 * shares[0]:.3g} % of {panel.arms[0]} and {100 * shares[1]:.3g} % of {panel.arms[1]} "
            "have no outcome, more than is trimmed, or nothing is left"
        )
        return Estimate.from_t(name, label, 0.0, 0.0, 0.0, panel.n, status=Status.NO_DATA, detail=detail, **options)
    permuted, resampled = np.empty(n_permutations), np.empty(n_samples)
    trimmed_replicates(best, of_arm, cut, seed, permuted, resampled)
    permuted, resampled = permuted[np.isfinite(permuted)], resampled[np.isfinite(resampled)]
    if len(permuted) < 0.5 * n_permutations or len(resampled) < 0.5 * n_samples:
        detail = "not estimable: with this fraction most samples would have to count patients without an outcome"
        return Estimate.from_t(name, label, 0.0, 0.0, 0.0, panel.n, status=Status.NO_DATA, detail=detail, **options)
    sign = 1.0 if higher_better else -1.0
    found = Estimate.from_t(name, label, sign * made, float(resampled.std(ddof=1)), np.inf, panel.n, **options)
    p = (1 + int((np.abs(permuted) >= abs(made) - 1e-12).sum())) / (len(permuted) + 1)
    return Estimate(
        found.name,
        found.estimator,
        found.estimate,
        found.se,
        found.df,
        found.low,
        found.high,
        p,
        found.n,
        level,
        found.scale,
        estimand,
        references=found.references,
        statistic=found.statistic,
    )
