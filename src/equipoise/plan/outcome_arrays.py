"""A measured outcome of a block of trials as the arrays that kernels take, and what models of it have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from equipoise.types import FloatArray

if TYPE_CHECKING:
    from equipoise.estimate.linear.mmrm.batch import BatchFit
    from equipoise.trial import Trials


def columns(trials: Trials, names: tuple[str, ...], outcome: str, log: bool) -> FloatArray:
    """(trial, subject, 2 + names) ones, the arm, then covariates; ``BASE`` is the outcome's own baseline."""
    parts = [np.ones(trials.arm.shape), trials.arm.astype(np.float64)]
    for name in names:
        values = trials.baseline(outcome if name == "BASE" else name)
        parts.append(np.log(values) if name == "BASE" and log else values)
    return np.stack(parts, axis=-1)


def change_from_baseline(trials: Trials, outcome: str, week: float, *, log: bool) -> tuple[FloatArray, FloatArray]:
    """Weeks and (trial, subject, visit) changes, or log ratios, at the post-baseline visits up to ``week``."""
    values = levels(trials, outcome, week, log=log)
    return trials.weeks[1 : values.shape[2]], values[:, :, 1:] - values[:, :, :1]


def levels(trials: Trials, outcome: str, week: float, *, log: bool) -> FloatArray:
    """(trial, subject, visit) values, or their logarithms, from baseline to ``week``."""
    values = trials.outcomes[outcome][:, :, : trials.visit_index(week) + 1]
    return np.log(values) if log else values


def centred(x: FloatArray, count: FloatArray) -> FloatArray:
    """Covariates less their mean over the records, so that coefficients of the ones are LS means."""
    x = x.copy()
    total = count.sum(axis=1)[:, None, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        x[:, :, 2:] -= (x[:, :, 2:] * count[:, :, None]).sum(axis=1, keepdims=True) / total
    return x


def by_profile(fit: BatchFit, profiles: int) -> FloatArray:
    """(trial, profile, 9) estimate, se and df of control, active and difference, as :func:`of_arms` ordered them."""
    table = np.stack([fit.estimate, fit.se, fit.df], axis=-1)
    return np.asarray(table.reshape(len(fit.status), profiles, 9))


def of_arms(weights: FloatArray, q: int) -> FloatArray:
    """(3 profile, profile weights, q) contrasts control, active, difference, for each row of ``weights``."""
    rows = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    out = np.zeros((len(weights), 3, weights.shape[1], q))
    out[:, :, :, :2] = weights[:, None, :, None] * rows[None, :, None, :]
    return out.reshape(-1, weights.shape[1], q)
