"""Tipping-point analysis: how much worse imputed values must be before the conclusion changes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from equipoise.errors import EstimationError
from equipoise.estimate.fit import Fit
from equipoise.estimate.missing.analyses import Analysis, Ancova
from equipoise.estimate.missing.completed import Completed
from equipoise.estimate.missing.delta import lag_scale
from equipoise.estimate.result import Estimate
from equipoise.types import FloatArray

YAN = "Yan, Lee & Li 2009, J Biopharm Stat 19:1085"
SHAPES = ("constant", "cumulative")
APPLIES = ("missing", "after event")
BISECTIONS = 60


@dataclass(frozen=True)
class Tip:
    """Where p crosses alpha for one delta of control: ``delta`` added to active, or None with ``reason``."""

    control: float
    delta: float | None
    estimate: Estimate | None
    reason: str


@dataclass(frozen=True, eq=False)
class TippingPoint(Fit):
    """Results over a grid of deltas, and the boundary between significant and not.

    control, active : the deltas tried. cells : one estimate a pair, control by
    active. boundary : one a delta of control. arm : the one that was shifted.
    """

    completed: Completed
    control: FloatArray
    active: FloatArray
    cells: tuple[tuple[Estimate, ...], ...]
    boundary: tuple[Tip, ...]
    alpha: float
    arm: Any = None
    references = (YAN,)
    picture = "tipping_point"

    def table(self, field: str) -> FloatArray:
        """(control, active) of ``estimate``, ``se``, ``low``, ``high`` or ``p``: what a heat map shows."""
        return np.array([[getattr(e, field) for e in row] for row in self.cells], dtype=np.float64)

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """The difference at every pair of deltas, those of active varying fastest."""
        return tuple(one for row in self.cells for one in row)

    def _keys(self) -> Sequence[Mapping[str, Any]]:
        return [{"delta_control": float(c), "delta_active": float(a)} for c in self.control for a in self.active]

    def _backend(self) -> Any:
        return self.completed.panel.backend

    def _title(self) -> str:
        return self.to_sentence()

    def _drawn(self) -> Any:
        return self.to_frame()

    def boundary_frame(self) -> Any:
        """The boundary: delta_control, delta_active (missing where there is none), p there, and the reason."""
        return self._frame(
            {
                "delta_control": [t.control for t in self.boundary],
                "delta_active": [t.delta for t in self.boundary],
                "p": [None if t.estimate is None else t.estimate.p for t in self.boundary],
                "reason": [t.reason for t in self.boundary],
            }
        )

    def to_sentence(self) -> str:
        """The first line of the boundary as a person would say it."""
        tip = self.boundary[0]
        active = self.completed.panel.arms[1] if self.arm is None else self.arm
        if tip.delta is None:
            return f"No tipping point: {tip.reason}."
        also = f" (and those of control by {tip.control:g})" if tip.control else ""
        return f"The result turns where imputed values of {active} are shifted by {tip.delta:.3g}{also}."


def _shape(completed: Completed, shape: Any, applies: str) -> FloatArray:
    """(subject, visit) what a delta of 1 adds."""
    n_visits = len(completed.panel.weeks)
    after = np.arange(n_visits) >= completed.draws.events.ice[:, None]
    missing = completed.missing
    if applies not in APPLIES:
        raise EstimationError(f"applies = {applies!r}", hint="choose one of " + ", ".join(map(repr, APPLIES)))
    where = missing & after if applies == "after event" else missing
    if isinstance(shape, str):
        if shape not in SHAPES:
            raise EstimationError(
                f"shape {shape!r}", hint="constant, cumulative, or one number a visit since the event"
            )
        if shape == "constant":
            return where.astype(np.float64)
        lag = np.ones(n_visits)
    else:
        lag = np.asarray(shape, dtype=np.float64)
    # without an event, counting starts at the first visit that was missed
    since = after if applies == "after event" else np.maximum.accumulate(missing, axis=1)
    return np.where(where, lag_scale(since, np.ones(n_visits), lag), 0.0)


def tipping_point(
    completed: Completed,
    analysis: Analysis | None = None,
    *,
    deltas: Sequence[float],
    control_deltas: Sequence[float] = (0.0,),
    at: float | None = None,
    shape: str | Sequence[float] = "constant",
    applies: str = "missing",
    alpha: float = 0.05,
    level: float = 0.95,
    arm: Any = None,
) -> TippingPoint:
    """Shift imputed values arm by arm over a grid, and find by bisection where p crosses ``alpha``.

    Parameters
    ----------
    completed : data sets as :meth:`Draws.impute` makes them; the same draws serve all deltas.
    analysis : default ANCOVA with BASE; its difference ``at`` a week (default the last) is what may turn.
    deltas : added to imputed values of the active arm, in increasing or decreasing order. control_deltas : the same for
        control; more than one gives the two-arm grid of a heat map.
    shape : ``constant``; ``cumulative``, one more delta at each visit since the first; or a list, the increment of each
        visit since the first (``lag`` of :func:`equipoise.estimate.missing.delta.lag_scale`).
    applies : to all ``missing`` values that were imputed, or to those ``after event`` only.
    arm : the arm that is shifted and compared with control, where there are several; the others stay as imputed.

    Returns
    -------
    TippingPoint. Where p does not cross within the grid, the boundary says so.

    Raises
    ------
    EstimationError : deltas that are not finite or not in order, an unknown shape, or no ``alpha``. DataError : no such
    visit, or the analysis cannot be done.

    References
    ----------
    Yan, Lee & Li 2009, J Biopharm Stat 19:1085.
    """
    active = np.atleast_1d(np.asarray(deltas, dtype=np.float64))
    control = np.atleast_1d(np.asarray(control_deltas, dtype=np.float64))
    for name, values in (("deltas", active), ("control_deltas", control)):
        if values.ndim != 1 or not values.size or not np.isfinite(values).all():
            raise EstimationError(f"{name} {values!r}", hint="give a list of finite numbers")
        step = np.diff(values)
        if not ((step > 0).all() or (step < 0).all()):
            raise EstimationError(f"{name} are not in order", hint="sort them, each once")
    if not 0.0 < alpha < 1.0:
        raise EstimationError(f"alpha = {alpha!r}", hint="give a two-sided level such as 0.05")
    panel = completed.panel
    week = float(panel.weeks[-1] if at is None else panel.weeks[panel.at(at)])
    chosen: Analysis = Ancova(weeks=week) if analysis is None else analysis
    unit = _shape(completed, shape, applies)
    which, _ = panel.place_of(arm)
    active_ones, controls = (np.asarray(panel.arm == k, dtype=np.float64)[:, None] for k in (which, 0))
    name = panel.arms[which]

    def at_deltas(c: float, a: float) -> Estimate:
        made = completed.analyse(chosen, delta=unit * (active_ones * a + controls * c), level=level)
        return made.difference(week, arm=name)

    rows: list[tuple[Estimate, ...]] = []
    tips: list[Tip] = []
    for c in control.tolist():
        row = tuple(at_deltas(c, a) for a in active.tolist())
        rows.append(row)
        tips.append(_boundary(c, active, row, alpha, at_deltas))
    return TippingPoint(completed, control, active, tuple(rows), tuple(tips), alpha, name)


def _boundary(c: float, active: FloatArray, row: tuple[Estimate, ...], alpha: float, at_deltas: Any) -> Tip:
    """The crossing nearest to no adjustment, refined by bisection."""
    p = np.array([e.p for e in row])
    if np.isnan(p).any():
        j = int(np.flatnonzero(np.isnan(p))[0])
        return Tip(c, None, None, f"{row[j].reason} at delta {active[j]:g}")
    below = p < alpha
    crossings = np.flatnonzero(below[1:] != below[:-1])
    if not len(crossings):
        side = "significant" if below[0] else "not significant"
        return Tip(c, None, None, f"{side} at every delta from {active[0]:g} to {active[-1]:g}")
    near = np.minimum(np.abs(active[crossings]), np.abs(active[crossings + 1]))
    j = int(crossings[int(np.argmin(near))])
    low, high, inside = float(active[j]), float(active[j + 1]), bool(below[j])
    made = row[j]
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        if middle in (low, high) or abs(high - low) <= 1e-9 * max(1.0, abs(low), abs(high)):
            break
        made = at_deltas(c, middle)
        if math.isnan(made.p):
            return Tip(c, None, None, f"{made.reason} at delta {middle:g}")
        if (made.p < alpha) == inside:
            low = middle
        else:
            high = middle
    more = f"; {len(crossings)} crossings in the grid, the one nearest to 0" if len(crossings) > 1 else ""
    return Tip(c, 0.5 * (low + high), made, f"p crosses {alpha:g}{more}")
