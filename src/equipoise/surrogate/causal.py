"""The individual causal association: how well a patient's effect on the marker foretells his effect on the outcome.

Nobody is seen under both treatments, so that four of the six correlations of (T0, T1, S0, S1) are not identified. The
association is told for all completions that are possible: a range, never a number (Alonso et al. 2015, Biometrics
71:15).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize, special

from equipoise.errors import EstimationError
from equipoise.numerics.random import RESAMPLE, normal, open_stream, uniform
from equipoise.types import FloatArray

ALONSO15 = "Alonso et al. 2015, Biometrics 71:15"
ALONSO16 = "Alonso et al. 2016, Stat Med 35:3025"


def causal_correlation(
    t0s0: float,
    t1s1: float,
    t0t1: npt.ArrayLike,
    t0s1: npt.ArrayLike,
    t1s0: npt.ArrayLike,
    s0s1: npt.ArrayLike,
    variances: Sequence[float] = (1.0, 1.0, 1.0, 1.0),
) -> FloatArray:
    """The correlation of the effects ``T1 - T0`` and ``S1 - S0`` (Alonso et al. 2015, equation 4).

    variances : of T0, T1, S0, S1. The unidentified correlations may be arrays. NaN where an effect has no variance.

    Examples
    --------
    >>> rho = causal_correlation(0.9597334, 0.9644139, -0.9, -0.9, -0.9, -0.9, (544.3285, 550.6597, 180.6831, 180.9433))
    >>> round(float(rho), 8), round(float(rho) ** 2, 8)
    (0.98004258, 0.96048346)
    """
    a, b, c, d = (math.sqrt(v) for v in variances)
    x, y, u, v = (np.asarray(k, dtype=np.float64) for k in (t0t1, t0s1, t1s0, s0s1))
    top = c * a * t0s0 + d * b * t1s1 - a * d * y - b * c * u
    with np.errstate(invalid="ignore", divide="ignore"):
        square = (a * a + b * b - 2.0 * a * b * x) * (c * c + d * d - 2.0 * c * d * v)
        return np.asarray(top / np.sqrt(square), dtype=np.float64)


def information_share(rho: npt.ArrayLike, *, order: float = 1.0, df: float = math.inf) -> FloatArray:
    """The individual causal association of effects that correlate by ``rho``, ``1 - exp(-2 I)``.

    order : of Renyi's information I; 1 is Shannon's, for which the association of normal effects is ``rho ** 2``. df :
    of multivariate t effects (Shannon's information alone).

    Raises :class:`EstimationError` for an order or degrees of freedom that are not above 0, or both at once.

    Examples
    --------
    >>> [round(float(information_share(0.98004258, order=q)), 6) for q in (0.1, 1.25, 2.0)]
    [0.789605, 0.969151, 0.998438]
    >>> round(float(information_share(0.98004258, df=3)), 6)
    0.963697
    """
    if not order > 0.0 or not df > 0.0 or (order != 1.0 and math.isfinite(df)):
        raise EstimationError(
            f"order {order!r}, df {df!r}", hint="above 0; an order other than 1 is for normal effects"
        )
    r2 = np.asarray(rho, dtype=np.float64) ** 2
    if math.isfinite(df):
        more = (
            2.0 * (0.5 * math.log(df / (2.0 * math.pi)) + special.betaln(0.5, 0.5 * df))
            - (2.0 + df) / df
            + (1.0 + df) * (special.digamma(0.5 * (df + 1.0)) - special.digamma(0.5 * df))
        )
        return np.asarray(1.0 - (1.0 - r2) * math.exp(-2.0 * more), dtype=np.float64)
    if order == 1.0:
        return r2
    rest = 1.0 - order
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(1.0 - (1.0 - r2) * (1.0 - (rest * rest) * r2) ** (-1.0 / rest), dtype=np.float64)


@dataclass(frozen=True)
class CausalAssociation:
    """The individual causal association over all possible completions.

    low, high : its least and largest value over all of them. mean : over those of ``values``, which are evenly spread
    over a grid (measured values) or drawn evenly from the polytope of completions (yes or no). completions : how many.
    kind : continuous or binary. restriction : what was assumed besides.
    """

    kind: str
    low: float
    high: float
    mean: float
    completions: int
    values: FloatArray
    restriction: str = "none"
    references: tuple[str, ...] = (ALONSO15, ALONSO16)

    def to_sentence(self) -> str:
        """The range in words."""
        if not self.completions:
            return "Individual causal association: no completion is possible under what was assumed."
        more = "" if self.restriction == "none" else f", assuming {self.restriction}"
        return (
            f"Individual causal association: anywhere from {self.low:.3g} to {self.high:.3g} over what the data leave "
            f"open{more}."
        )


def causal_association(
    *,
    t0s0: float | None = None,
    t1s1: float | None = None,
    variances: Sequence[float] = (1.0, 1.0, 1.0, 1.0),
    binary: Sequence[npt.ArrayLike] | None = None,
    monotone: bool = False,
    step: float = 0.1,
    draws: int = 500,
    seed: int = 0,
) -> CausalAssociation:
    """The range of the individual causal association over everything that one trial leaves open.

    Parameters
    ----------
    t0s0, t1s1 : correlations of true endpoint and surrogate in the control and the active arm. variances : of T0, T1,
        S0, S1.
    binary : in their place, for two endpoints of yes or no: counts (or shares) of (S, T) = 00, 01, 10, 11 in the
        control and in the active arm.
    monotone : of measured values, that no unidentified correlation is negative; of yes or no, that the treatment turns
        nobody's yes into a no, on either endpoint.
    step : of the grid of correlations. draws, seed : from the polytope of yes or no.

    Raises :class:`EstimationError` for correlations that are none, and where neither or both kinds are given.

    Examples
    --------
    >>> found = causal_association(t0s0=0.9597334, t1s1=0.9644139, variances=(544.3285, 550.6597, 180.6831, 180.9433))
    >>> found.completions, round(found.mean, 4)
    (343, 0.9169)
    """
    if (binary is None) == (t0s0 is None or t1s1 is None):
        raise EstimationError("give t0s0 and t1s1, or binary", hint="correlations of measured values, or counts")
    if binary is not None:
        return _binary(binary, monotone, draws, seed)
    a, b = float(t0s0 or 0.0), float(t1s1 or 0.0)
    if not (abs(a) < 1.0 and abs(b) < 1.0) or len(variances) != 4 or min(variances) <= 0.0:
        raise EstimationError(
            f"correlations {t0s0!r}, {t1s1!r} and variances {tuple(variances)!r}",
            hint="correlations between -1 and 1, four variances above 0",
        )
    return _continuous(a, b, tuple(variances), monotone, step)


def _matrices(t0s0: float, t1s1: float, others: FloatArray) -> FloatArray:
    """(completion, 4, 4) correlation matrices of T0, T1, S0, S1; others : (completion, 4) T0T1, T0S1, T1S0, S0S1."""
    m = np.empty((len(others), 4, 4))
    m[:] = np.eye(4)
    for k, (i, j) in enumerate(((0, 1), (0, 3), (1, 2), (2, 3))):
        m[:, i, j] = m[:, j, i] = others[:, k]
    m[:, 0, 2] = m[:, 2, 0] = t0s0
    m[:, 1, 3] = m[:, 3, 1] = t1s1
    return m


def _continuous(a: float, b: float, variances: Sequence[float], monotone: bool, step: float) -> CausalAssociation:
    axis = np.arange(0.0 if monotone else -1.0, 1.0 + step / 2.0, step).round(10)
    others = np.stack(np.meshgrid(axis, axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 4)
    # quick 3 x 3 minors first: most of the grid falls there
    x, y, u, v = others.T
    keep = (1 + 2 * a * x * u - a * a - x * x - u * u > 0) & (1 + 2 * b * x * y - b * b - x * x - y * y > 0)
    keep &= (1 + 2 * a * y * v - a * a - y * y - v * v > 0) & (1 + 2 * b * u * v - b * b - u * u - v * v > 0)
    keep[keep] = np.linalg.eigvalsh(_matrices(a, b, others[keep]))[:, 0] > 0.0
    values = causal_correlation(a, b, x[keep], y[keep], u[keep], v[keep], variances) ** 2 if keep.any() else np.empty(0)

    def completed(free: FloatArray) -> FloatArray:
        """T0T1, T0S1, T1S0, S0S1 from partial correlations along the vine S0 - T0 - T1 - S1: each is free in (-1,
        1)."""
        x, p, q, r = (float(k) for k in np.tanh(free) * (1.0 - 1e-7))
        u = a * x + p * math.sqrt((1 - a * a) * (1 - x * x))  # T1S0 by S0T1 given T0
        y = b * x + q * math.sqrt((1 - b * b) * (1 - x * x))  # T0S1 by T0S1 given T1
        # S0S1 given T0 and T1
        inner = np.array([[1.0, x], [x, 1.0]])
        left, right = np.linalg.solve(inner, np.array([a, u])), np.array([y, b])
        vs = float(1.0 - np.array([a, u]) @ left)
        vt = float(1.0 - right @ np.linalg.solve(inner, right))
        return np.array([x, y, u, right @ left + r * math.sqrt(max(vs, 0.0) * max(vt, 0.0))])

    def goal(free: FloatArray, sign: float) -> float:
        o = completed(free)
        found = float(causal_correlation(a, b, o[0], o[1], o[2], o[3], variances)) ** 2
        miss = float(np.minimum(o, 0.0) @ np.minimum(o, 0.0)) if monotone else 0.0
        return sign * (found if math.isfinite(found) else 0.0) + 100.0 * miss

    low, high = (float(values.min()), float(values.max())) if len(values) else (math.inf, -math.inf)
    for start in ((0.0, 0.0, 0.0, 0.0), (1.0, 0.5, 0.5, 0.5), (-1.0, -0.5, -0.5, -0.5), (0.5, 1.0, -1.0, 0.3)):
        for sign in (1.0, -1.0):
            made = optimize.minimize(
                goal, np.array(start), args=(sign,), method="Nelder-Mead", options={"maxiter": 4000}
            )
            o = completed(made.x)
            if monotone and o.min() < -1e-6:
                continue
            found = float(causal_correlation(a, b, o[0], o[1], o[2], o[3], variances)) ** 2
            if math.isfinite(found):
                low, high = min(low, found), max(high, found)
    if not math.isfinite(low):
        return CausalAssociation("continuous", math.nan, math.nan, math.nan, 0, values, "no negative correlations")
    return CausalAssociation(
        "continuous",
        max(low, 0.0),
        min(high, 1.0),
        float(values.mean()) if len(values) else math.nan,
        len(values),
        values,
        "no negative correlations" if monotone else "none",
    )


def _entropy(p: FloatArray) -> float:
    p = p[p > 0.0]
    return float(-(p * np.log(p)).sum())


def _share_of_information(p: FloatArray) -> float:
    """Information of the effects on S over the smaller of the two entropies; p : (2, 2, 2, 2) over S0, T0, S1, T1."""
    joint = np.zeros((3, 3))
    for s0 in (0, 1):
        for t0 in (0, 1):
            for s1 in (0, 1):
                for t1 in (0, 1):
                    joint[s1 - s0 + 1, t1 - t0 + 1] += p[s0, t0, s1, t1]
    on_s, on_t = _entropy(joint.sum(axis=1)), _entropy(joint.sum(axis=0))
    least = min(on_s, on_t)
    return (on_s + on_t - _entropy(joint.ravel())) / least if least > 1e-12 else math.nan


def _binary(binary: Sequence[npt.ArrayLike], monotone: bool, draws: int, seed: int) -> CausalAssociation:
    """Draws spread evenly over the polytope of the sixteen probabilities that the two arms leave open (hit and run)."""
    tables = [np.asarray(b, dtype=np.float64).ravel() for b in binary]
    if len(tables) != 2 or any(t.shape != (4,) or t.min() < 0.0 or not t.sum() > 0.0 for t in tables):
        raise EstimationError("binary is no pair of counts", hint="counts of (S, T) = 00, 01, 10, 11 in each arm")
    control, active = (t / t.sum() for t in tables)
    cells = [(s0, t0, s1, t1) for s0 in (0, 1) for t0 in (0, 1) for s1 in (0, 1) for t1 in (0, 1)]
    allowed = np.array([not monotone or (s1 >= s0 and t1 >= t0) for s0, t0, s1, t1 in cells])
    rows = [[float(2 * c[0] + c[1] == k) for c in cells] for k in range(4)]
    rows += [[float(2 * c[2] + c[3] == k) for c in cells] for k in range(4)]
    equal = np.array(rows)[:, allowed]
    right = np.concatenate([control, active])
    m = int(allowed.sum())
    restriction = "that the treatment turns nobody's yes into a no" if monotone else "none"
    # the inside point that is furthest from its walls
    found = optimize.linprog(
        np.append(np.zeros(m), -1.0),
        A_ub=np.column_stack([-np.eye(m), np.ones(m)]),
        b_ub=np.zeros(m),
        A_eq=np.column_stack([equal, np.zeros(8)]),
        b_eq=right,
        bounds=[(0, None)] * m + [(None, None)],
    )
    if found.status != 0 or found.x[-1] < -1e-12:
        return CausalAssociation("binary", math.nan, math.nan, math.nan, 0, np.empty(0), restriction)
    at = np.maximum(found.x[:m], 0.0)
    _, size, vt = np.linalg.svd(equal)
    null = vt[int((size > 1e-10).sum()) :]
    stream = open_stream(seed, 0, RESAMPLE, 0)
    values: list[float] = []
    whole = np.zeros(16)
    for i in range(5 * draws if len(null) else 1):
        if len(null):
            direction = np.array([normal(stream) for _ in range(len(null))]) @ null
            with np.errstate(divide="ignore", invalid="ignore"):
                ends = -at / direction
            up = ends[direction < -1e-14].min(initial=math.inf)
            down = ends[direction > 1e-14].max(initial=-math.inf)
            if math.isfinite(up) and math.isfinite(down):
                at = np.maximum(at + (down + (up - down) * uniform(stream)) * direction, 0.0)
        if i % 5 == 0:
            whole[allowed] = at
            values.append(_share_of_information(whole.reshape(2, 2, 2, 2)))
    kept = np.array([v for v in values if math.isfinite(v)])
    if not len(kept):
        return CausalAssociation("binary", math.nan, math.nan, math.nan, 0, kept, restriction)
    return CausalAssociation(
        "binary", float(kept.min()), float(kept.max()), float(kept.mean()), len(kept), kept, restriction
    )
