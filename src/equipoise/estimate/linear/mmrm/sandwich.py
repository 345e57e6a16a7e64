"""Empirical (sandwich) covariances of the coefficients and their degrees of freedom.

With whitened rows X~_i = L_i^-1 X_i and residuals r~_i (V_i = L_i L_i'), H_i = X~_i Phi X~_i' and

    vcov = Phi ( sum_i X~_i' A_i r~_i r~_i' A_i X~_i ) Phi:

``empirical`` A = I (CR0, Liang & Zeger 1986), ``empirical-bias-reduced`` A = (I - H_i)^-1/2 (CR2, Bell & McCaffrey
2002) and ``empirical-jackknife`` A = (I - H_i)^-1 (CR3). Degrees of freedom of a contrast c (Bell & McCaffrey 2002;
Pustejovsky & Tipton 2018), with the fitted covariance as working model and G_ij = p_i' p_j,

    p_i = (I - H)_i' A_i X~_i Phi c,    df = (sum_i G_ii)^2 / sum_ij G_ij^2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from equipoise.types import FloatArray

if TYPE_CHECKING:
    from equipoise.estimate.linear.mmrm.engine import Fitted
KINDS = ("empirical", "empirical-bias-reduced", "empirical-jackknife")


@dataclass
class Sandwich:
    """``vcov`` (p, p), and what the degrees of freedom need: ``left`` (subject, p, p) = X~_i' A_i A_i' X~_i etc."""

    vcov: FloatArray
    phi: FloatArray
    own: FloatArray
    across: FloatArray

    def df(self, contrasts: FloatArray) -> FloatArray:
        """Bell-McCaffrey degrees of freedom of each row of ``contrasts`` (row, p)."""
        out = np.empty(len(contrasts))
        for k, c in enumerate(contrasts):
            d = self.phi @ c
            diagonal = np.einsum("a,iab,b->i", d, self.own, d)
            h = self.across @ d
            g = -(h @ self.phi @ h.T)
            g[np.diag_indices_from(g)] += diagonal
            out[k] = np.trace(g) ** 2 / float(np.sum(g * g))
        return out


def sandwich(kind: str, fitted: Fitted, x: FloatArray, y: FloatArray, subject: Any, visit: Any, group: Any) -> Sandwich:
    """The sandwich of ``kind`` from rows ``x`` (row, p) and ``y`` (already weighted), all rows of a subject in V_i."""
    p = x.shape[1]
    phi = fitted.linv.T @ fitted.linv
    residual = y - x @ fitted.beta
    order = np.lexsort((visit, subject))
    subject, visit, x, residual = subject[order], visit[order], x[order], residual[order]
    starts = np.flatnonzero(np.r_[True, subject[1:] != subject[:-1]])
    sizes = np.diff(np.r_[starts, len(subject)])
    n = len(starts)
    meat = np.zeros((p, p))
    own, across = np.empty((n, p, p)), np.empty((n, p, p))
    for i in range(n):
        rows = slice(starts[i], starts[i] + sizes[i])
        v = fitted.block(visit[rows], int(group[subject[starts[i]]]))
        chol = np.linalg.cholesky(v)
        white = np.linalg.solve(chol, np.column_stack([x[rows], residual[rows]]))
        xt, r = white[:, :p], white[:, p]
        a = np.eye(sizes[i])
        if kind != "empirical":
            values, vectors = np.linalg.eigh(a - xt @ phi @ xt.T)
            good = values > 1e-10
            power = -0.5 if kind == "empirical-bias-reduced" else -1.0
            a = (vectors[:, good] * values[good] ** power) @ vectors[:, good].T
        ax = a @ xt
        score = ax.T @ r
        meat += np.outer(score, score)
        own[i] = ax.T @ ax
        across[i] = xt.T @ ax
    return Sandwich(phi @ meat @ phi, phi, own, across)
