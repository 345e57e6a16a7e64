"""The influence of every subject on a mixed model: with the covariance held, or fitted again without the subject."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from equipoise.errors import EstimationError
from equipoise.estimate import influence
from equipoise.estimate.influence import Influence
from equipoise.estimate.linear.mmrm.engine import Rows, prepare_rows, run, run_times
from equipoise.types import FloatArray, IntArray, Status

if TYPE_CHECKING:
    from equipoise.estimate.linear.mmrm.result import MmrmFit


def subject_influence(fit: MmrmFit, refit: bool) -> Influence:
    """The influence of every subject on the coefficients kept; Cook's distance and dfbetas by the model's covariance.

    Raises :class:`EstimationError` where the model was not fitted.
    """
    if fit.status is not Status.OK:
        raise EstimationError(f"no influence: {fit.reason}", hint="see .status before asking for it")
    optimum, (x, y) = fit.optimum, fit._weighted_rows
    precision = np.asarray(np.linalg.inv(fit._phi), np.float64)
    left = y - x @ optimum.beta
    every, blocks = fit._blocks(), []
    for rows in every:
        group = int(fit.rows.subject_group[fit.rows.subject[rows[0]]])
        low = np.linalg.cholesky(optimum.block(fit.rows.visit[rows], group))
        blocks.append((np.linalg.solve(low, x[rows]), np.linalg.solve(low, left[rows])))
    change, leverage = influence.held(blocks, precision)
    if refit:
        change = influence.refitted(optimum.beta, len(every), lambda i: _without(fit, every[i]))
    return influence.made(
        fit.words[0],
        influence.REFIT if refit else influence.HELD,
        (fit.term.subject, fit.subjects),
        [fit.names[j] for j in fit.kept],
        change,
        precision,
        (influence.CHRISTENSEN,),
        leverage=leverage,
        backend=fit._backend(),
    )


def _without(fit: MmrmFit, lost: IntArray) -> FloatArray | None:
    """The coefficients of the fit without the rows ``lost``, all those of one subject; None where there is none."""
    keep = np.ones(fit.n_obs, np.bool_)
    keep[lost] = False
    gone = int(fit.rows.subject[lost[0]])
    subject = fit.rows.subject[keep]
    rows = Rows(
        subject - (subject > gone),
        fit.rows.visit[keep],
        np.delete(fit.rows.subject_group, gone),
        fit.n_subjects - 1,
        fit.rows.n_visits,
        fit.rows.n_groups,
        None if fit.rows.weights is None else fit.rows.weights[keep],
    )
    x, y, optimum = fit.design.matrix()[keep][:, fit.kept], fit.response[keep], fit.optimum
    if optimum.own_times is not None:
        found, kept = run_times(x, y, rows, optimum.coords, optimum.structure, fit.reml, False)
    else:
        prepared = prepare_rows(x, y, rows)
        found, kept = run(prepared, optimum.structure, fit.reml, optimum.coords, optimum.n_groups), prepared.kept
    return found.beta if found.status is Status.OK and len(kept) == len(fit.kept) else None
