"""From a long data frame and a frame of intercurrent events to the arrays of the imputation model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.linear.mmrm.engine import independent_columns
from equipoise.estimate.missing.events import Composite, Events, analysis_view, model_view, reference_of
from equipoise.estimate.missing.samples import ImputationModel
from equipoise.estimate.panel import Panel
from equipoise.types import BoolArray, FloatArray, IntArray

STRUCTURES = ("us", "cs", "csh", "ar1", "ar1h", "toep", "toeph", "ad", "adh")


def coefficients(n_visits: int, by_visit: BoolArray) -> tuple[FloatArray, IntArray, IntArray]:
    """Profiles over visits, and the profile and covariate of each coefficient (``ImputationModel.profiles, phi, u``).

    ``by_visit`` (q,): a covariate has a coefficient at each visit, else one for all visits.
    """
    phi: list[int] = []
    u: list[int] = []
    for v in range(n_visits):
        for c in np.flatnonzero(by_visit):
            phi.append(v)
            u.append(int(c))
    common = np.flatnonzero(~by_visit)
    profiles = np.empty((0, 0))
    if len(common):
        profiles = np.column_stack([np.eye(n_visits), np.ones(n_visits)])
        phi.extend([n_visits] * len(common))
        u.extend(int(c) for c in common)
    return profiles, np.array(phi, np.int64), np.array(u, np.int64)


def build_model(
    panel: Panel,
    events: Events,
    *,
    covariates: Sequence[str],
    by_visit: bool | Sequence[str],
    reference: Any,
    same_covariance: bool,
    structure: str,
    reml: bool,
    composite: Composite | None,
    strata: Sequence[str],
) -> ImputationModel:
    """Arrange one trial; raises :class:`DataError` where an arm has no data at a visit."""
    if structure not in STRUCTURES:
        raise EstimationError(f"unknown covariance structure {structure!r}", hint="one of " + ", ".join(STRUCTURES))
    model_y = model_view(panel, events)
    y, fixed = analysis_view(panel, events, composite)
    seen = np.isfinite(model_y)
    for a, arm in enumerate(panel.arms):
        empty = np.flatnonzero(~seen[panel.arm == a].any(axis=0))
        if len(empty):
            weeks = ", ".join(f"{panel.weeks[v]:g}" for v in empty)
            after = np.isfinite(panel.y[panel.arm == a][:, empty]).any()
            raise DataError(
                f"arm {arm!r} has no data that the imputation model may use at week {weeks}",
                hint="only data after intercurrent events are there; use the strategy MAR for some, or leave the visit "
                "out with up_to"
                if after
                else "leave that visit out, with up_to or by dropping its rows",
            )
    columns, names = panel.columns(covariates)
    varying = np.ones(columns.shape[1], np.bool_)
    if by_visit is not True:
        wanted = () if by_visit is False else tuple(by_visit)
        for name in wanted:
            if name not in covariates:
                raise EstimationError(f"by_visit names {name!r}", hint="covariates are " + ", ".join(covariates))
        varying = np.array([n in wanted or n.split("[")[0] in wanted for n in names], dtype=np.bool_)
    means = columns.mean(axis=0) if len(columns) else np.zeros(0)
    n_arms = len(panel.arms)
    w = np.column_stack([np.ones(panel.n), panel.indicators, columns - means])
    known = seen.any(axis=1)
    kept = independent_columns(w[known])
    if not set(range(1, n_arms)) <= set(map(int, kept)):
        raise DataError("one arm has no data at all", hint="imputation needs data of every arm")
    w = np.ascontiguousarray(w[:, kept])
    flags = np.concatenate([np.ones(n_arms, np.bool_), varying])[kept]
    for v, week in enumerate(panel.weeks):
        rows = w[seen[:, v]][:, flags]
        if len(independent_columns(rows)) < rows.shape[1]:
            raise DataError(
                f"the covariates cannot be told apart in the {len(rows)} patients seen at week {week:g}",
                hint="leave out a covariate or that visit, or give covariates one coefficient for all visits "
                "with by_visit",
            )
    profiles, phi, u = coefficients(len(panel.weeks), flags)
    arm = panel.arm.astype(np.int64)
    ref = reference_of(panel, reference)[arm]
    w_ref = w.copy()
    w_ref[:, 1:n_arms] = ref[:, None] == np.arange(1, n_arms)
    stratum = arm
    if strata:
        extra, _ = panel.columns(strata)
        _, stratum = np.unique(np.column_stack([arm, extra]), axis=0, return_inverse=True)
    one = np.zeros(panel.n, np.int64)
    return ImputationModel(
        model_y,
        y,
        fixed,
        w,
        w_ref,
        profiles,
        phi,
        u,
        one if same_covariance else arm,
        one if same_covariance else ref,
        1 if same_covariance else n_arms,
        events.ice,
        events.codes,
        np.ascontiguousarray(stratum.ravel(), dtype=np.int64),
        structure,
        reml,
        bool(np.isinf(fixed).any()),
    )
