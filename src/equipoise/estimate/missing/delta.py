"""Delta adjustment: what is added to imputed values to ask how bad they would have to be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.columns import numbers
from equipoise.estimate.frames import read_frame, require, values_of
from equipoise.estimate.missing.events import STRATEGIES, Events
from equipoise.estimate.panel import Panel
from equipoise.types import BoolArray, FloatArray


def lag_scale(after: BoolArray, delta: npt.ArrayLike, lag: npt.ArrayLike) -> FloatArray:
    """(subject, visit) running sums of ``delta`` times ``lag``, counted from the first visit ``after`` the event.

    delta : (visit,) one a visit of the trial. lag : (visit,) one a visit since the event. A patient whose event
    affects visits e, e+1, ... has at visit v the sum of ``delta[k] * lag[k - e]`` over k from e to v.
    """
    d, g = np.asarray(delta, dtype=np.float64), np.asarray(lag, dtype=np.float64)
    n_visits = after.shape[1]
    if d.shape != (n_visits,) or g.shape != (n_visits,):
        raise EstimationError(
            f"delta of {d.size} and lag of {g.size} values for {n_visits} visits", hint="give one of each a visit"
        )
    out = np.zeros(after.shape)
    for first in range(n_visits):
        rows = after[:, first] & ~after[:, :first].any(axis=1)
        out[rows, first:] = np.cumsum(d[first:] * g[: n_visits - first])
    return out


def template_columns(
    panel: Panel,
    events: Events,
    missing: BoolArray,
    delta: Sequence[float] | None,
    lag: Sequence[float] | None,
    missing_only: bool,
) -> tuple[FloatArray, BoolArray, BoolArray]:
    """(subject, visit) delta, whether the visit is after the event, and whether it would be missing at random."""
    after = np.arange(len(panel.weeks)) >= events.ice[:, None]
    plain = np.array([STRATEGIES[s].name == "MAR" for s in events.names])
    made = np.zeros(after.shape)
    if delta is not None or lag is not None:
        n = len(panel.weeks)
        made = lag_scale(after, np.ones(n) if delta is None else delta, np.eye(n)[0] if lag is None else lag)
        if missing_only:
            made[~missing] = 0.0
    return made, after, ~after | plain[:, None]


def read_delta(panel: Panel, delta: Any, subject: str, visit: str, column: str = "delta") -> FloatArray:
    """(subject, visit) from an array of that shape or a long frame with ``subject``, ``visit`` and ``column``."""
    if isinstance(delta, np.ndarray):
        if delta.shape != panel.y.shape or not np.isfinite(delta).all():
            raise EstimationError(
                f"delta of shape {delta.shape}", hint=f"give finite numbers of shape {panel.y.shape} (patient, visit)"
            )
        return delta.astype(np.float64)
    frame = read_frame(delta)
    require(frame, [subject, visit, column])
    values, weeks = numbers(frame, column), numbers(frame, visit)
    index = {s: i for i, s in enumerate(panel.subjects)}
    out = np.zeros(panel.y.shape)
    seen = np.zeros(panel.y.shape, np.bool_)
    for row, who in enumerate(values_of(frame.get_column(subject))):
        if who not in index:
            raise DataError(f"a delta for patient {who!r}, who is not in the data", hint="match the patients' names")
        v = panel.at(float(weeks[row]))
        if seen[index[who], v] or np.isnan(values[row]):
            raise DataError(
                f"patient {who!r} has {'no number' if np.isnan(values[row]) else 'two deltas'} at week {weeks[row]:g}",
                hint="give one number a patient and visit",
            )
        seen[index[who], v] = True
        out[index[who], v] = values[row]
    return out
