"""From a fitted Cox model to residuals, hazards, predicted survival, the test of proportional hazards, concordance.

Therneau & Grambsch 2000, Modeling Survival Data, chapters 4 to 7; definitions and defaults are those of R's survival.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from equipoise.errors import EstimationError
from equipoise.estimate.survival.kernels import cox_path as kernel
from equipoise.estimate.survival.kernels.cox import by_stratum_and_time
from equipoise.types import BoolArray, FloatArray, IntArray

RESIDUALS = ("martingale", "deviance", "score", "dfbeta", "schoenfeld", "scaled schoenfeld")
TRANSFORMS = ("km", "identity", "log", "rank")


@dataclass(frozen=True, eq=False)
class CoxData:
    """The rows of a Cox model: arrays (row,), and covariates (row, p). entry, weight and cluster may be None."""

    time: FloatArray
    event: BoolArray
    x: FloatArray
    stratum: IntArray
    stratum_labels: tuple[str, ...]
    entry: FloatArray | None
    weight: FloatArray | None
    cluster: IntArray | None
    row: IntArray

    @property
    def n(self) -> int:
        return len(self.time)


@dataclass(frozen=True, eq=False)
class Path:
    """The event times of a model at ``beta``, by stratum and time.

    time, stratum, weight : (time,), weight the sum of those of its events. hazard : (time,) for x at ``centre``; own :
    (time,) the same for one of the tied events; spread : (time,) its variance. mean : (time, p) of the covariates less
    ``centre`` over the risk set; drift, own_drift : (time, p) hazard times mean. information : (time, p, p).
    """

    data: CoxData
    beta: FloatArray
    centre: FloatArray
    time: FloatArray
    stratum: IntArray
    weight: FloatArray
    hazard: FloatArray
    own: FloatArray
    spread: FloatArray
    mean: FloatArray
    drift: FloatArray
    own_drift: FloatArray
    information: FloatArray

    @property
    def risk(self) -> FloatArray:
        """(row,) hazard relative to that at ``centre``."""
        return np.asarray(np.exp((self.data.x - self.centre) @ self.beta), dtype=np.float64)

    def index(self) -> IntArray:
        """(row,) the event time of every event, -1 for the other rows."""
        found = np.full(self.data.n, -1, np.int64)
        for s in np.unique(self.stratum):
            here = np.flatnonzero(self.stratum == s)
            rows = np.flatnonzero((self.data.stratum == s) & self.data.event)
            found[rows] = here[np.searchsorted(self.time[here], self.data.time[rows])]
        return found

    def accumulated(self, values: FloatArray) -> FloatArray:
        """(row, k) the sum of ``values`` (time, k) over the event times at which a row was at risk."""
        out = np.zeros((self.data.n, values.shape[1]))
        for s in np.unique(self.stratum):
            here = self.stratum == s
            total = np.vstack([np.zeros(values.shape[1]), np.cumsum(values[here], axis=0)])
            rows = np.flatnonzero(self.data.stratum == s)
            out[rows] = total[np.searchsorted(self.time[here], self.data.time[rows], side="right")]
            if self.data.entry is not None:
                out[rows] -= total[np.searchsorted(self.time[here], self.data.entry[rows], side="right")]
        return out


def order_of(data: CoxData) -> tuple[IntArray, IntArray]:
    """Rows by stratum and time, and the positions in that order by stratum and entry (empty without late entry)."""
    _, order, _, late = by_stratum_and_time(
        data.time[None],
        np.ones((1, data.n), np.bool_),
        data.stratum[None],
        None if data.entry is None else data.entry[None],
    )
    place = np.empty(data.n, np.int64)
    place[order[0]] = np.arange(data.n)
    return order[0], place[late[0]] if data.entry is not None else np.zeros(0, np.int64)


def path(data: CoxData, beta: FloatArray, ties: str) -> Path:
    """The event times of ``data`` at ``beta``."""
    order, late = order_of(data)
    none = np.zeros(0)
    centre = data.x.mean(axis=0)
    scale = data.x.std(axis=0)
    scale = np.where(scale > 0.0, scale, 1.0)
    z = np.ascontiguousarray(((data.x - centre) / scale)[order])
    k, p = int(data.event.sum()), data.x.shape[1]
    hazard, mean, drift = np.empty((k, 3)), np.empty((k, p)), np.empty((k, 2, p))
    information, at = np.empty((k, p, p)), np.empty((k, 3))
    stratum = data.stratum[order]
    found = kernel.event_times(
        data.time[order],
        none if data.entry is None else data.entry[order],
        data.event[order],
        stratum,
        none if data.weight is None else data.weight[order],
        late,
        z,
        beta * scale,
        ties == "efron",
        hazard,
        mean,
        drift,
        information,
        at,
    )
    back = slice(found - 1, None, -1) if found else slice(0, 0)
    first = at[back, 0].astype(np.int64)
    return Path(
        data,
        beta,
        centre,
        data.time[order][first],
        stratum[first],
        at[back, 2],
        hazard[back, 0],
        hazard[back, 1],
        hazard[back, 2],
        mean[back] * scale,
        drift[back, 0] * scale,
        drift[back, 1] * scale,
        information[back] * np.outer(scale, scale),
    )


def martingale(made: Path) -> FloatArray:
    """(row,) events less events expected."""
    index = made.index()
    expected = made.accumulated(made.hazard[:, None])[:, 0]
    hit = index >= 0
    expected[hit] -= (made.hazard - made.own)[index[hit]]
    return made.data.event - made.risk * expected


def deviance(made: Path) -> FloatArray:
    """(row,) martingale residuals made symmetric (Therneau, Grambsch & Fleming 1990)."""
    m = martingale(made)
    d = made.data.event.astype(np.float64)
    return np.asarray(np.sign(m) * np.sqrt(np.maximum(-2.0 * (m + special.xlogy(d, d - m)), 0.0)), dtype=np.float64)


def score(made: Path) -> FloatArray:
    """(row, p) contributions of the rows to the score (Lin & Wei 1989), without their case weights."""
    index = made.index()
    hit = index >= 0
    x = made.data.x - made.centre
    hazard = made.accumulated(made.hazard[:, None])
    drift = made.accumulated(made.drift)
    hazard[hit] -= (made.hazard - made.own)[index[hit], None]
    drift[hit] -= (made.drift - made.own_drift)[index[hit]]
    out = -made.risk[:, None] * (x * hazard - drift)
    out[hit] += x[hit] - made.mean[index[hit]]
    return np.asarray(out, dtype=np.float64)


def schoenfeld(made: Path) -> tuple[IntArray, FloatArray]:
    """Rows with events, by stratum and time, and (event, p) their covariates less the mean over the risk set."""
    rows = np.flatnonzero(made.data.event)
    rows = rows[np.lexsort((made.data.time[rows], made.data.stratum[rows]))]
    return rows, made.data.x[rows] - made.centre - made.mean[made.index()[rows]]


def clustered(data: CoxData, rows: FloatArray) -> FloatArray:
    """Weighted rows summed within clusters."""
    if data.weight is not None:
        rows = rows * data.weight[:, None]
    if data.cluster is None:
        return rows
    out = np.zeros((int(data.cluster.max()) + 1, rows.shape[1]))
    np.add.at(out, data.cluster, rows)
    return out


def robust_covariance(made: Path, naive: FloatArray) -> FloatArray:
    """Lin & Wei's (1989) sandwich, or the infinitesimal jackknife with clusters left out in turn."""
    change = clustered(made.data, score(made) @ naive)
    return np.asarray(change.T @ change, dtype=np.float64)


def inverse_of(v: FloatArray) -> tuple[FloatArray, int]:
    """Generalised inverse of a covariance matrix and its rank, whatever the units of its rows."""
    d = np.sqrt(np.maximum(np.diag(v), 0.0))
    unit = np.where(d > 0.0, 1.0 / np.where(d > 0.0, d, 1.0), 0.0)
    scaled = v * np.outer(unit, unit)
    rank = int(np.linalg.matrix_rank(scaled, tol=1e-10, hermitian=True)) if v.size else 0
    return np.linalg.pinv(scaled, rcond=1e-10, hermitian=True) * np.outer(unit, unit), rank


def quadratic(u: FloatArray, v: FloatArray) -> tuple[float, int, float]:
    """Chi-square of ``u`` with covariance ``v``, its df and its p-value (NaN where there is no df)."""
    inverse, df = inverse_of(v)
    if not df:
        return math.nan, 0, math.nan
    chi_square = float(u @ inverse @ u)
    return chi_square, df, float(special.chdtrc(df, chi_square))


def robust_score(at_zero: Path) -> tuple[float, int, float]:
    """Score test at zero with the variance of the score taken between clusters: chi-square, df and p-value."""
    rows = clustered(at_zero.data, score(at_zero))
    return quadratic(rows.sum(axis=0), rows.T @ rows)


def transformed(data: CoxData, made: Path, transform: str) -> FloatArray:
    """(time,) ``transform`` of the event times of ``made``: one less the left-continuous Kaplan-Meier estimate of
    everyone, the time, its logarithm, or its mean rank among the times of all rows, censored ones too.
    """
    if transform == "identity":
        return made.time
    if transform == "log":
        if (made.time <= 0.0).any():
            raise EstimationError("an event at time 0 has no logarithm", hint="choose another transform")
        return np.log(made.time)
    if transform == "rank":
        times, tied = np.unique(data.time, return_counts=True)
        rank = np.cumsum(tied) - 0.5 * (tied - 1)
        return np.asarray(rank[np.searchsorted(times, made.time)], dtype=np.float64)
    if transform != "km":
        raise EstimationError(f"unknown transform {transform!r}", hint="choose one of " + ", ".join(TRANSFORMS))
    weight = np.ones(data.n) if data.weight is None else data.weight
    times = np.unique(data.time[data.event])
    place = np.searchsorted(times, data.time[data.event])
    d = np.bincount(place, weights=weight[data.event], minlength=len(times))
    n = _at_risk(data.time, weight, times, "left")
    if data.entry is not None:
        n -= _at_risk(data.entry, weight, times, "left")
    survival = np.concatenate([[1.0], np.cumprod(1.0 - d / n)[:-1]])
    return np.asarray(1.0 - survival[np.searchsorted(times, made.time)], dtype=np.float64)


def _at_risk(values: FloatArray, weight: FloatArray, times: FloatArray, side: Any) -> FloatArray:
    """(time,) sum of the weights of ``values`` at or above each of ``times``."""
    order = np.argsort(values, kind="stable")
    total = np.concatenate([np.cumsum(weight[order][::-1])[::-1], [0.0]])
    return np.asarray(total[np.searchsorted(values[order], times, side=side)], dtype=np.float64)


def proportionality(made: Path, transform: str, groups: list[list[int]]) -> list[tuple[float, int, float]]:
    """Score tests of ``beta(t) = beta + theta g(t)``, ``theta`` being zero, for each group of columns and for all.

    Grambsch & Therneau (1994) with the exact information of the model with both x and x g(t), as in version 3 of R's
    survival: chi-square, df and p-value of each.
    """
    g = transformed(made.data, made, transform)
    g = g - float(np.average(g, weights=np.maximum(made.weight, 1e-300)))
    index = made.index()
    rows = np.flatnonzero(index >= 0)
    weight = np.ones(len(rows)) if made.data.weight is None else made.data.weight[rows]
    residual = (made.data.x[rows] - made.centre - made.mean[index[rows]]) * weight[:, None]
    u = (residual * g[index[rows], None]).sum(axis=0)
    plain, once, twice = (np.einsum("t,tab->ab", f, made.information) for f in (np.ones_like(g), g, g * g))
    inverse, _ = inverse_of(plain)
    out = []
    every = sorted(c for group in groups for c in group)
    for columns in [*groups, every]:
        v = twice[np.ix_(columns, columns)] - once[columns] @ inverse @ once[:, columns]
        out.append(quadratic(u[columns], v))
    return out


def concordance(data: CoxData, linear: FloatArray) -> tuple[float, float]:
    """Harrell's concordance of ``linear`` within strata, ties in it counting half, and its standard error by the
    infinitesimal jackknife (clusters left out together).
    """
    order, _ = order_of(data)
    none = np.zeros(0)
    weight = none if data.weight is None else data.weight[order]
    own = np.zeros((data.n, 3))
    total = kernel.concordance(
        data.time[order],
        none if data.entry is None else data.entry[order],
        data.event[order],
        data.stratum[order],
        weight,
        linear[order],
        own,
    )
    pairs = float(total.sum())
    if pairs == 0.0:
        return math.nan, math.nan
    c = float(total[0] + 0.5 * total[2]) / pairs
    change = np.empty(data.n)
    change[order] = (own[:, 0] + 0.5 * own[:, 2] - c * own.sum(axis=1)) / pairs
    if data.cluster is not None:
        change = np.asarray(np.bincount(data.cluster, weights=change), dtype=np.float64)
    return c, math.sqrt(float((change * change).sum()))
