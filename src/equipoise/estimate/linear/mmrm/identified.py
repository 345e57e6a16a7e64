"""What the data can tell of a covariance, before it is fitted: visits without residual variance, pairs never seen.

The restricted likelihood depends on Sigma only through M V M, M = I - X (X'X)^- X'. With E_e the derivative of V by
element e of Sigma, the elements are identified where the M E_e M are linearly independent, that is where

    G_ef = tr(M E_e M E_f)

is of full rank (M = I for full maximum likelihood). Directions without information are the null vectors of G; they do
not depend on Sigma.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from equipoise.estimate.linear.kernels.mmrm_covariance import covariance, jacobian
from equipoise.estimate.linear.kernels.mmrm_start import start_parameters
from equipoise.estimate.linear.mmrm.covariance import CODES, n_covariance_parameters
from equipoise.estimate.linear.mmrm.engine import Rows, independent_columns
from equipoise.numerics.linalg import is_rounding
from equipoise.types import FloatArray, IntArray

#: Structures with a variance of its own at every visit.
HETEROGENEOUS = ("us", "csh", "ar1h", "toeph", "adh")
NOTHING = 1e-9
MOST = 20_000_000
#: Residuals this much larger than the numbers they are left of are no rounding, whatever way they are found.
PLAIN = 1e-6


@dataclass(frozen=True)
class Residuals:
    """Least squares before any covariance: residuals (row,), and the size of the numbers they are left of (row,)."""

    y: FloatArray
    residual: FloatArray
    size: FloatArray

    def exact(self, rows: Any = slice(None)) -> bool:
        """Whether nothing but rounding is left in ``rows``."""
        r, size = self.residual[rows], self.size[rows]
        return bool(is_rounding(float(r @ r), float(len(r)), float(np.sqrt(np.mean(size**2)))))

    def why(self, rows: Any = slice(None)) -> str:
        """What leaves nothing in ``rows``."""
        if np.ptp(self.y[rows]) <= 1e-11 * np.abs(self.y[rows]).max(initial=0.0):
            return "the outcome does not vary"
        return "the model fits the outcome exactly"


def least_squares(x: FloatArray, y: FloatArray) -> Residuals:
    """Residuals of ``y`` (row,) on ``x`` (row, p)."""
    x = x[:, independent_columns(x)]
    beta = np.asarray(np.linalg.lstsq(x, y, rcond=None)[0], np.float64)
    return Residuals(y, y - x @ beta, np.abs(y) + np.abs(x * beta).sum(axis=1))


def columns_at(x: FloatArray, rows: Rows) -> list[IntArray]:
    """Of every visit, the columns of ``x`` (row, p) that are not zero throughout."""
    return [np.flatnonzero((x[rows.visit == v] != 0.0).any(axis=0)) for v in range(rows.n_visits)]


def plainly_varies(x: FloatArray, y: FloatArray, rows: Rows, served: Sequence[IntArray]) -> bool:
    """Whether residuals are left at every visit, well above rounding; False is no answer.

    Least squares of one visit alone, on the columns ``served`` there, leaves no more at that visit than the model of
    all visits does. So where each of these small fits leaves something, :func:`least_squares` would find no exact fit,
    and :func:`silent_visits` no visit.
    """
    for v, columns in enumerate(served):
        here = np.flatnonzero(rows.visit == v)
        if len(here) <= len(columns):
            return False
        own, seen = x[np.ix_(here, columns)], y[here]
        beta = np.linalg.lstsq(own, seen, rcond=None)[0]
        r = seen - own @ beta
        size = np.abs(seen) + np.abs(own) @ np.abs(beta)
        if not float(r @ r) > PLAIN**2 * float(size @ size):
            return False
    return True


def silent_visits(x: FloatArray, found: Residuals, rows: Rows, visits: Sequence[Any], name: str) -> dict[int, str]:
    """Visit code -> why no residual is left there; only visits whose coefficients serve no other visit."""
    out: dict[int, str] = {}
    whole = np.linalg.matrix_rank(x)
    for v in range(rows.n_visits):
        here = rows.visit == v
        if not here.any() or not found.exact(here):
            continue
        own = int(np.linalg.matrix_rank(x[here]))
        if own + int(np.linalg.matrix_rank(x[~here])) != whole:
            continue
        why = found.why(here)
        if why != "the outcome does not vary" and own >= int(here.sum()):
            why = f"there are {int(here.sum())} subjects for {own} coefficients"
        out[v] = f"{why} at {called(visits[v], name)}"
    return out


def called(visit: Any, name: str) -> str:
    """A visit in a sentence: its name, or the name of the column before a number."""
    return visit if isinstance(visit, str) else f"{name} {visit}"


def together(rows: Rows, group: int) -> IntArray:
    """(visit, visit) subjects of a group seen at both."""
    seen = np.zeros((rows.n_subjects, rows.n_visits), np.int64)
    seen[rows.subject, rows.visit] = 1
    seen = seen[rows.subject_group == group]
    return np.asarray(seen.T @ seen, np.int64)


def unidentified(
    x: FloatArray, rows: Rows, reml: bool, group: int, served: Sequence[IntArray] | None = None
) -> FloatArray:
    """(element, k) directions of the elements of a group's covariance (lower triangle by rows) without information.

    ``served`` : :func:`columns_at`, if they are known; no visit has more coefficients than that.
    """
    m = rows.n_visits
    pairs = [(a, b) for a in range(m) for b in range(a + 1)]
    both = together(rows, group)
    if served is not None and both.min() > max(len(columns) for columns in served) + 1:
        return np.zeros((len(pairs), 0))
    none = np.array([both[a, b] == 0 for a, b in pairs])
    few = max(int(np.linalg.matrix_rank(x[rows.visit == v])) for v in range(m)) + 1
    n, p = x.shape
    if not reml or both.min() > few or len(pairs) * n * p > MOST:
        return np.asarray(np.eye(len(pairs))[:, none], np.float64)
    q, _ = np.linalg.qr(x[:, independent_columns(x)])
    at = np.full((rows.n_subjects, m), -1, np.int64)
    at[rows.subject, rows.visit] = np.arange(n)
    at[rows.subject_group != group] = -1
    gram = np.zeros((len(pairs), len(pairs)))
    moved = np.zeros((len(pairs), *q.shape))
    for e, (a, b) in enumerate(pairs):
        who = at[(at[:, a] >= 0) & (at[:, b] >= 0)]
        moved[e, who[:, a]] += q[who[:, b]]
        if a != b:
            moved[e, who[:, b]] += q[who[:, a]]
        gram[e, e] = (1.0 if a == b else 2.0) * len(who)
    size = np.sqrt(np.maximum(np.diag(gram), 1.0))
    flat = moved.reshape(len(pairs), -1)
    inner = np.einsum("np,enr->epr", q, moved).reshape(len(pairs), -1)
    gram += inner @ inner.T - 2.0 * flat @ flat.T
    values, vectors = np.linalg.eigh(gram / np.outer(size, size))
    null = vectors[:, values < NOTHING] / size[:, None]
    return np.asarray(null, np.float64)


def in_words(null: FloatArray, rows: Rows, group: int, visits: Sequence[Any], name: str) -> str:
    """Which parts of the covariance the data hold nothing on, and why."""
    both = together(rows, group)
    if not (both - np.diag(np.diag(both))).any():
        return "no subject was seen twice"
    pairs = [(a, b) for a in range(rows.n_visits) for b in range(a + 1)]
    touched = np.abs(null).max(axis=1) > 1e-6 * np.abs(null).max()
    visits = [called(v, name) for v in visits]
    alone = [
        f"{visits[a]} (as many coefficients as subjects)"
        for (a, b), t in zip(pairs, touched, strict=True)
        if t and a == b
    ]
    never = [f"{visits[b]} and {visits[a]}" for (a, b), t in zip(pairs, touched, strict=True) if t and not both[a, b]]
    few = [
        f"{visits[b]} and {visits[a]}" for (a, b), t in zip(pairs, touched, strict=True) if t and a != b and both[a, b]
    ]
    parts = []
    if never:
        parts.append(f"no subject was seen at both {'; '.join(never[:4])}" + (" ..." if len(never) > 4 else ""))
    if alone:
        parts.append(f"no residual is left at {'; '.join(alone[:4])}")
    if few and not alone:
        parts.append(f"too few subjects were seen at both {'; '.join(few[:4])}" + (" ..." if len(few) > 4 else ""))
    return ", and ".join(parts)


def may_fit(structure: str, nulls: Sequence[FloatArray], m: int, coords: FloatArray) -> bool:
    """Whether ``structure`` can be fitted although the data hold nothing on the directions ``nulls`` of the elements.

    Unstructured: where no variance is among them. Others: where no parameter moves Sigma along them alone, asked at a
    correlation of 0.3.
    """
    if structure == "us":
        own = [a * (a + 1) // 2 + a for a in range(m)]
        return all(np.abs(null[own]).max(initial=0.0) <= 1e-6 * np.abs(null).max(initial=0.0) for null in nulls)
    code, ne = CODES[structure], m * (m + 1) // 2
    nt = n_covariance_parameters(structure, m)
    theta, sigma = np.zeros(nt), 0.3 + 0.7 * np.eye(m)
    start_parameters(code, m, sigma, coords, theta)
    work = np.empty((m, m))
    covariance(code, m, theta, coords, sigma, work)
    jac, jn, ji = np.zeros((ne, nt)), np.zeros(ne, np.int64), np.zeros((ne, nt), np.int64)
    jacobian(code, m, theta, coords, sigma, jac, jn, ji)
    dense = np.zeros((ne, nt))
    for e in range(ne):
        dense[e, ji[e, : jn[e]]] = jac[e, ji[e, : jn[e]]]
    for null in nulls:
        if null.shape[1]:
            basis, _ = np.linalg.qr(null)
            left = dense - basis @ (basis.T @ dense)
            size = np.linalg.norm(dense, axis=0)
            if np.linalg.matrix_rank(left / np.where(size > 0.0, size, 1.0), tol=1e-8) < nt:
                return False
    return True
