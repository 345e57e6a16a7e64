"""The baseline hazard, and the nodes of time at which the cumulative hazard is summed.

The logarithm of every baseline is linear in its parameters, ``log h0(t) = B(t)' psi``: piecewise constant with knots at
quantiles of the times of events (Friedman 1982), Weibull (1 and log t), or a cubic B-spline. The cumulative hazard is
summed by Gauss-Legendre quadrature within each interval between knots; of a linear course it is then exact to about
1e-10 of its value. Where a Weibull hazard has a root at 0, nodes of the first interval are those of t = u^3.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import BSpline

from equipoise.errors import EstimationError
from equipoise.types import BoolArray, FloatArray, IntArray

KINDS = ("piecewise", "weibull", "bspline")


@dataclass(frozen=True, eq=False)
class Baseline:
    """A baseline hazard: ``kind``, inner ``knots`` (k,), and ``top``, the last time that is seen."""

    kind: str
    knots: FloatArray
    top: float

    @property
    def width(self) -> int:
        return 2 if self.kind == "weibull" else len(self.knots) + (1 if self.kind == "piecewise" else 4)

    @property
    def names(self) -> tuple[str, ...]:
        if self.kind == "weibull":
            return ("log rate", "shape - 1")
        if self.kind == "piecewise":
            ends = ["0", *(f"{k:.4g}" for k in self.knots), "inf"]
            return tuple(f"log hazard ({a}, {b}]" for a, b in itertools.pairwise(ends))
        return tuple(f"log hazard B{k + 1}" for k in range(self.width))

    def basis(self, time: FloatArray) -> FloatArray:
        """(row, width) B(t)."""
        if self.kind == "weibull":
            return np.column_stack([np.ones_like(time), np.log(np.maximum(time, 1e-300))])
        if self.kind == "piecewise":
            return np.asarray(np.eye(self.width)[np.searchsorted(self.knots, time, side="left")])
        full = np.concatenate([[0.0] * 4, self.knots, [self.top] * 4])
        inside = np.clip(time, 0.0, self.top)
        return np.asarray(BSpline.design_matrix(inside, full, 3).toarray())


def baseline_of(
    kind: str, time: FloatArray, event: BoolArray, stratum: IntArray, knots: int | Sequence[float] | None, top: float
) -> Baseline:
    """The baseline hazard of events at ``time[event]``; ``knots``: how many inner ones, or where they are.

    Where knots are not given, there is an event in every interval of every stratum that has an event.

    Raises :class:`EstimationError` for an unknown kind and for knots that are not increasing times above 0.
    """
    if kind not in KINDS:
        raise EstimationError(f"unknown baseline hazard {kind!r}", hint="choose one of " + ", ".join(KINDS))
    if kind == "weibull":
        return Baseline(kind, np.zeros(0), top)
    if knots is None or isinstance(knots, int):
        asked = (6 if kind == "piecewise" else 1) if knots is None else knots
        own = time[event]
        if knots is None:  # no more intervals than the events can tell of: five events each
            asked = min(asked, max(len(own) // 5 - 1, 0))
        at = np.quantile(own, np.linspace(0.0, 1.0, asked + 2)[1:-1]) if len(own) and asked > 0 else np.zeros(0)
        at = np.unique(at)
        if kind == "piecewise":
            for s in np.unique(stratum[event]):
                at = with_events(at, own[stratum[event] == s])
        return Baseline(kind, at, top)
    at = np.asarray(knots, np.float64)
    if at.ndim != 1 or not np.isfinite(at).all() or (at <= 0.0).any() or (np.diff(at) <= 0.0).any():
        raise EstimationError(f"knots {knots!r}", hint="give increasing times above 0, in the unit of the data")
    return Baseline(kind, at[at < top], top)


def with_events(knots: FloatArray, own: FloatArray) -> FloatArray:
    """The knots without those that would leave an interval without an event."""
    counts = np.bincount(np.searchsorted(knots, own, side="left"), minlength=len(knots) + 1)
    kept, held = [], 0
    for k, knot in enumerate(knots):
        held += int(counts[k])
        if held and counts[k + 1 :].any():
            kept.append(knot)
            held = 0
    return np.array(kept)


def nodes(
    begin: FloatArray, end: FloatArray, breaks: FloatArray, points: int, graded: bool
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Nodes of time of units at risk in (begin, end]: the unit (node,), the time (node,) and the log weight (node,).

    breaks (k,) : where the integrand may bend. graded : the first interval from 0 takes nodes of t = u^3.
    """
    x, w = np.polynomial.legendre.leggauss(points)
    edges = np.concatenate([[0.0], np.unique(breaks[breaks > 0.0]), [np.inf]])
    low = np.maximum(begin[:, None], edges[None, :-1])
    high = np.minimum(end[:, None], edges[None, 1:])
    unit, panel = np.nonzero(high > low)
    a, b = low[unit, panel][:, None], high[unit, panel][:, None]
    u = 0.5 * (1.0 + x)
    at, weight = a + (b - a) * u, 0.5 * (b - a) * w
    if graded:
        first = (a == 0.0).ravel()
        at[first] = b[first] * u**3
        weight[first] = 1.5 * b[first] * u**2 * w
    return np.repeat(unit, points), at.ravel(), np.log(weight.ravel())
