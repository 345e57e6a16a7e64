"""The three questions of a delayed-start trial, on every trial of a block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from equipoise.estimate.delayed_start.questions import DELTA2, SLOPE1, SLOPE2, Criteria, decide, one_sided, weights
from equipoise.estimate.linear.mmrm.batch import BatchFit, fit_batch
from equipoise.types import BoolArray, FloatArray, IntArray, Status, TrialSubjectVisit


@dataclass(frozen=True, eq=False)
class DelayedStartBatch:
    """Quantities of every trial: ``estimate``, ``se``, ``df`` (trial, quantity), NaN where ``status`` is not 0.

    names : of the quantities, as in :class:`equipoise.estimate.delayed_start.DelayedStartTest`.
    """

    names: tuple[str, ...]
    estimate: FloatArray
    se: FloatArray
    df: FloatArray
    status: IntArray

    def column(self, name: str) -> tuple[FloatArray, FloatArray, FloatArray]:
        """(trial,) estimate, se and df of a quantity."""
        k = self.names.index(name)
        return self.estimate[:, k], self.se[:, k], self.df[:, k]

    def p(self, name: str, margin: float = 0.0) -> FloatArray:
        """(trial,) one-sided p-value that a quantity exceeds minus ``margin``."""
        return one_sided(*self.column(name), margin)

    def met(self, criteria: Criteria | None = None) -> BoolArray:
        """(trial, 3) whether Q1, Q2 and Q3 are each met by themselves; False where not estimated.

        All three together, ``met.all(axis=1)``, are the claim of disease modification: testing in order, each at its
        own level, keeps every one of the three errors.
        """
        chosen = criteria or Criteria()
        table = {name: self.column(name) for name in chosen.asked}
        estimate, se, df = ({name: column[i] for name, column in table.items()} for i in range(3))
        return decide(estimate, se, df, chosen)


def arm_columns(
    y: TrialSubjectVisit, arm: npt.ArrayLike, covariates: FloatArray | None, include: npt.ArrayLike | None
) -> FloatArray:
    """(trial, subject, q) ones, arm and centred covariates; NaN for those who take no part."""
    shape = y.shape[:2]
    x = np.zeros((*shape, 0)) if covariates is None else np.asarray(covariates, dtype=np.float64)
    inside = np.broadcast_to(np.bool_(True) if include is None else np.asarray(include, dtype=np.bool_), shape)
    count = np.maximum(inside.sum(axis=1), 1)[:, None, None]
    x = x - np.where(inside[:, :, None], x, 0.0).sum(axis=1, keepdims=True) / count
    made = np.concatenate([np.ones((*shape, 1)), np.broadcast_to(arm, shape)[:, :, None], x], axis=2, dtype=np.float64)
    made[~inside] = np.nan
    return made


def delayed_start_batch(
    y: TrialSubjectVisit,
    arm: npt.ArrayLike,
    weeks: npt.ArrayLike,
    *,
    period_end: float,
    at: float,
    covariates: FloatArray | None = None,
    include: npt.ArrayLike | None = None,
    fraction: float = 0.5,
    slope_weeks: Sequence[float] | None = None,
    first_slope_weeks: Sequence[float] | None = None,
    structure: str = "us",
    df: str = "satterthwaite",
) -> DelayedStartBatch:
    """One repeated-measures model over both periods on every trial; never raises for a trial.

    Parameters
    ----------
    y : (trial, subject, visit) change from baseline, higher better, NaN where missing. arm : (trial, subject) 1 for
    the early
        start. weeks : (visit,). covariates : (trial, subject, q), with a coefficient at every visit. include : (trial,
        subject) the analysis set.
    period_end, at, fraction, slope_weeks, first_slope_weeks : as in
        :func:`equipoise.estimate.delayed_start.delayed_start`.
    structure, df : as in :func:`equipoise.estimate.linear.mmrm.fit_batch`.

    Returns
    -------
    DelayedStartBatch with ``delta1``, ``delta2``, ``change``, ``preserved`` and the slopes. Its
    ``met(Criteria(...))`` answers the questions; ``fraction`` is that of the batch.

    Raises
    ------
    DataError, EstimationError : weeks without a visit; never for a trial, whose status says what became of it.
    """
    y = np.asarray(y, dtype=np.float64)
    when = np.asarray(weeks, dtype=np.float64)
    keep = when <= at + 1e-9
    wanted = weights(
        when[keep],
        period_end=period_end,
        week=at,
        fraction=fraction,
        slope_weeks=slope_weeks,
        first_slope_weeks=first_slope_weeks,
    )
    x = arm_columns(y, arm, covariates, include)
    contrasts = np.zeros((len(wanted), int(keep.sum()), x.shape[2]))
    contrasts[:, :, 1] = np.array(list(wanted.values()))
    fit = fit_batch(y[:, :, keep], x, contrasts, structure=structure, df=df)
    return _batch(tuple(wanted), [fit])


def _batch(names: tuple[str, ...], fits: Sequence[BatchFit]) -> DelayedStartBatch:
    estimate, se, df = (np.concatenate([getattr(f, key) for f in fits], axis=1) for key in ("estimate", "se", "df"))
    status = np.concatenate([np.repeat(f.status[:, None], f.estimate.shape[1], axis=1) for f in fits], axis=1)
    lost = (status != int(Status.OK)) | ~np.isfinite(se)
    status = np.where(lost & (status == int(Status.OK)), int(Status.SINGULAR), status)
    for table in (estimate, se, df):
        table[lost] = np.nan
    return DelayedStartBatch(names, estimate, se, df, status)


def delayed_start_slopes_batch(
    y: TrialSubjectVisit,
    arm: npt.ArrayLike,
    weeks: npt.ArrayLike,
    *,
    period_end: float,
    at: float,
    first_window: tuple[float, float] | None = None,
    second_window: tuple[float, float] | None = None,
    covariates: FloatArray | None = None,
    include: npt.ArrayLike | None = None,
    structure: str = "us",
    df: str = "satterthwaite",
) -> DelayedStartBatch:
    """The slope form of ADAGIO on every trial: ``slope1``, ``delta2`` and ``slope2``; never raises for a trial.

    Arguments as :func:`delayed_start_batch` and :func:`equipoise.estimate.delayed_start.delayed_start_slopes`; ask
    ``met(Criteria(third="slope", first="slope", margin=...))``.
    """
    y = np.asarray(y, dtype=np.float64)
    when = np.asarray(weeks, dtype=np.float64)
    one = (0.0, period_end) if first_window is None else first_window
    two = (float(np.nextafter(period_end, np.inf)), at) if second_window is None else second_window
    x = arm_columns(y, arm, covariates, include)
    both = delayed_start_batch(
        y, arm, when, period_end=period_end, at=at, covariates=covariates, include=include, structure=structure, df=df
    )
    estimate, se, df2 = both.column(DELTA2)
    first, second = (window_slopes(y, x, when, window, df) for window in (one, two))
    middle = both.status[:, both.names.index(DELTA2)]
    return DelayedStartBatch(
        (SLOPE1, DELTA2, SLOPE2),
        np.stack([first[0], estimate, second[0]], axis=1),
        np.stack([first[1], se, second[1]], axis=1),
        np.stack([first[2], df2, second[2]], axis=1),
        np.stack([first[3], middle, second[3]], axis=1),
    )


def window_slopes(
    y: FloatArray, x: FloatArray, weeks: FloatArray, window: tuple[float, float], df: str
) -> tuple[FloatArray, FloatArray, FloatArray, IntArray, BoolArray]:
    """(trial,) difference of slopes over a window, its se and df, status, and whether intercepts alone were random.

    A random intercept and slope for every patient, at the restricted maximum even where it makes the two perfectly
    correlated; intercepts alone where that does not converge or the window has two visits. Time counts from the
    middle of the window: the model is the same about any origin, the fit is steadier.
    """
    inside = (weeks >= window[0] - 1e-9) & (weeks <= window[1] + 1e-9)
    t = weeks[inside] - weeks[inside].mean()
    profiles = np.column_stack([np.ones_like(t), t])
    q = x.shape[2]
    active = np.ones((2, q), np.bool_)
    active[1, 2:] = False
    contrasts = np.zeros((1, 2, q))
    contrasts[0, 1, 1] = 1.0

    def fit(rows: BoolArray, structure: str) -> BatchFit:
        return fit_batch(
            y[rows][:, :, inside],
            x[rows],
            contrasts,
            structure=structure,
            df=df,
            times=t,
            profiles=profiles,
            active=active,
            tolerance=1e-14,
        )

    everyone = np.ones(len(y), np.bool_)
    made = fit(everyone, "slope" if inside.sum() > 2 else "intercept")
    status = made.status.copy()
    out = [table[:, 0].copy() for table in (made.estimate, made.se, made.df)]
    plain = np.full(len(y), bool(inside.sum() == 2))
    again = (status != int(Status.OK)) & ~plain
    if again.any():
        other = fit(again, "intercept")
        status[again] = other.status
        plain |= again
        for table, new in zip(out, (other.estimate, other.se, other.df), strict=True):
            table[again] = new[:, 0]
    lost = (status != int(Status.OK)) | ~np.isfinite(out[1])
    status = np.where(lost & (status == int(Status.OK)), int(Status.SINGULAR), status)
    for table in out:
        table[lost] = np.nan
    return out[0], out[1], out[2], status, plain
