"""The likelihood of a joint model as arrays, and its score by Fisher's identity.

Given the random effects b of a patient the marker is normal and the hazard log-linear:

    y ~ N(X beta + Z b, s2),   b ~ N(0, D),
    log h(t) = B(t)' psi + w' gamma + sum_k alpha_k (x_k(t)' beta + z_k(t)' b).

The integral over b is that of :mod:`equipoise.estimate.joint_model.kernels.integral`. The score is the expectation,
given the patient's data, of the score with b known (Louis 1982, JRSS B 44:226), and so comes from the same nodes.

Units are patients, and for a patient who came under observation late a second unit with ``sign`` -1: the probability of
being there at all, by which the likelihood is divided.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from equipoise.estimate.joint_model.kernels.integral import integrate
from equipoise.types import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class MarkerSums:
    """Sums of one marker over the rows of each unit; ``columns`` of b are this marker's.

    n (unit,), yy (unit,), xy (unit, p), zy (unit, d), xx (unit, p, p), zx (unit, d, p), zz (unit, d, d).
    """

    columns: slice
    n: FloatArray
    yy: FloatArray
    xy: FloatArray
    zy: FloatArray
    xx: FloatArray
    zx: FloatArray
    zz: FloatArray


@dataclass(frozen=True, eq=False)
class Points:
    """Points of time of units at which a hazard is taken: nodes of quadrature, or events.

    unit (row,), g (row, m) columns of gamma and psi, xf (form, row, p) and zf (form, row, d) rows of what the hazard
    depends on, weight (row,) the logarithm of the weight (0 of an event). Sorted by unit.
    """

    unit: IntArray
    time: FloatArray
    g: FloatArray
    xf: FloatArray
    zf: FloatArray
    weight: FloatArray


@dataclass(frozen=True, eq=False)
class Layout:
    """Where the parameters stand: beta and log sigma of each marker, D (log-Cholesky, by rows), gamma, alpha, psi."""

    p: tuple[int, ...]
    d: int
    gamma: int
    alpha: int
    psi: int

    @property
    def size(self) -> int:
        return sum(self.p) + len(self.p) + self.d * (self.d + 1) // 2 + self.gamma + self.alpha + self.psi

    def beta(self, m: int) -> slice:
        start = sum(self.p[:m]) + m
        return slice(start, start + self.p[m])

    def log_sigma(self, m: int) -> int:
        return sum(self.p[: m + 1]) + m

    @property
    def covariance(self) -> slice:
        start = sum(self.p) + len(self.p)
        return slice(start, start + self.d * (self.d + 1) // 2)

    @property
    def gammas(self) -> slice:
        return slice(self.covariance.stop, self.covariance.stop + self.gamma)

    @property
    def alphas(self) -> slice:
        return slice(self.gammas.stop, self.gammas.stop + self.alpha)

    @property
    def psis(self) -> slice:
        return slice(self.alphas.stop, self.alphas.stop + self.psi)

    @property
    def betas(self) -> IntArray:
        """Places of all beta, in the order of the columns of ``xf``."""
        return np.concatenate([np.arange(self.size)[self.beta(m)] for m in range(len(self.p))])

    def factor(self, theta: FloatArray) -> FloatArray:
        """(d, d) lower factor L of D = L L'."""
        low = np.zeros((self.d, self.d))
        low[np.tril_indices(self.d)] = theta[self.covariance]
        low[np.diag_indices(self.d)] = np.exp(np.clip(np.diag(low), -300.0, 300.0))
        return low

    def unfactor(self, covariance: FloatArray) -> FloatArray:
        """The parameters of a covariance."""
        low = np.linalg.cholesky(covariance)
        low[np.diag_indices(self.d)] = np.log(np.diag(low))
        return np.asarray(low[np.tril_indices(self.d)])


@lru_cache(maxsize=32)
def rule(k: int) -> tuple[FloatArray, FloatArray]:
    """Nodes (ascending) and log weights of Gauss-Hermite quadrature."""
    x, w = np.polynomial.hermite.hermgauss(k)
    return np.ascontiguousarray(x), np.log(w)


@dataclass(eq=False)
class JointLikelihood:
    """Everything that the likelihood needs of the data; ``mode`` (unit, d) is where the last search ended.

    patient (unit,) and sign (unit,) : as in the module's docstring. ``calls`` counts evaluations.
    """

    layout: Layout
    markers: tuple[MarkerSums, ...]
    risk: Points
    events: Points
    patient: IntArray
    sign: FloatArray
    n_patients: int
    mode: FloatArray = field(init=False)
    first: IntArray = field(init=False)
    calls: int = 0

    def __post_init__(self) -> None:
        n = len(self.patient)
        self.mode = np.zeros((n, self.layout.d))
        self.first = np.searchsorted(self.risk.unit, np.arange(n + 1)).astype(np.int64)

    def _sum(self, values: FloatArray) -> FloatArray:
        """(unit, ...) sums over the nodes of units."""
        n = len(self.patient)
        out = np.zeros((n, *values.shape[1:]))
        if len(values):
            there = self.first[1:] > self.first[:-1]
            out[there] = np.add.reduceat(values, self.first[:-1][there], axis=0)
        return out

    def evaluate(self, theta: FloatArray, k: int, *, scores: bool = True) -> tuple[FloatArray, FloatArray]:
        """(patient,) log-likelihoods, NaN where there is none, and (patient, parameter) scores.

        k : nodes a dimension of the random effects.
        """
        self.calls += 1
        lay = self.layout
        n, d = len(self.patient), lay.d
        a, c, constant = np.zeros((n, d, d)), np.zeros((n, d)), np.zeros(n)
        variances = []
        for m, sums in enumerate(self.markers):
            beta, s2 = theta[lay.beta(m)], math.exp(2.0 * min(theta[lay.log_sigma(m)], 300.0))
            variances.append(s2)
            a[:, sums.columns, sums.columns] += sums.zz / s2
            c[:, sums.columns] += (sums.zy - sums.zx @ beta) / s2
            rr = sums.yy - 2.0 * (sums.xy @ beta) + np.einsum("npq,p,q->n", sums.xx, beta, beta)
            constant -= 0.5 * (sums.n * math.log(2.0 * math.pi * s2) + rr / s2)
        low = lay.factor(theta)
        inverse = np.linalg.solve(low, np.eye(d))
        prior = inverse.T @ inverse
        constant -= 0.5 * d * math.log(2.0 * math.pi) + float(np.log(np.diag(low)).sum())
        phi = np.concatenate([theta[lay.gammas], theta[lay.psis]])
        alpha, betas = theta[lay.alphas], theta[lay.betas]
        at_risk = _effects(self.risk, alpha)
        at_event = _effects(self.events, alpha)
        e0 = self.risk.g @ phi + self.risk.weight + at_risk[0] @ betas
        np.add.at(c, self.events.unit, at_event[1])
        np.add.at(constant, self.events.unit, self.events.g @ phi + at_event[0] @ betas)
        e0 = np.minimum(e0, 650.0)
        gx, lgw = rule(k)
        ll, eb, ebb = np.empty(n), np.empty((n, d)), np.empty((n, d, d))
        eh, ehb = np.empty(len(e0)), np.empty((len(e0), d))
        integrate(a, c, self.first, e0, at_risk[1], prior, gx, lgw, self.mode, ll, eb, ebb, eh, ehb)
        ll = (ll + constant) * self.sign
        if not scores:
            return self._by_patient(ll), np.empty((0, 0))
        out = np.zeros((n, lay.size))
        for m, sums in enumerate(self.markers):
            beta, s2 = theta[lay.beta(m)], variances[m]
            b, bb = eb[:, sums.columns], ebb[:, sums.columns, sums.columns]
            out[:, lay.beta(m)] = (sums.xy - sums.xx @ beta - np.einsum("ndp,nd->np", sums.zx, b)) / s2
            rr = sums.yy - 2.0 * (sums.xy @ beta) + np.einsum("npq,p,q->n", sums.xx, beta, beta)
            q = rr - 2.0 * ((sums.zy - sums.zx @ beta) * b).sum(axis=1) + np.einsum("nrs,nrs->n", sums.zz, bb)
            out[:, lay.log_sigma(m)] = -sums.n + q / s2
        # d/dL of -log|L| - b' (L L')^-1 b / 2: (D^-1 E[bb'] - I) D^-1 L, below the diagonal
        by_low = prior @ (ebb @ (prior @ low)) - inverse.T
        by_low[:, np.arange(d), np.arange(d)] *= np.diag(low)
        rows, columns = np.tril_indices(d)
        out[:, lay.covariance] = by_low[:, rows, columns]
        by_phi = -self._sum(eh[:, None] * self.risk.g)
        np.add.at(by_phi, self.events.unit, self.events.g)
        out[:, lay.gammas], out[:, lay.psis] = by_phi[:, : lay.gamma], by_phi[:, lay.gamma :]
        by_beta = -self._sum(eh[:, None] * at_risk[0]) if lay.alpha else np.zeros((n, len(betas)))
        np.add.at(by_beta, self.events.unit, at_event[0])
        out[:, lay.betas] += by_beta
        for f in range(lay.alpha):
            mean = eh * (self.risk.xf[f] @ betas) + (ehb * self.risk.zf[f]).sum(axis=1)
            own = -self._sum(mean)
            seen = self.events.xf[f] @ betas + (self.events.zf[f] * eb[self.events.unit]).sum(axis=1)
            np.add.at(own, self.events.unit, seen)
            out[:, lay.alphas.start + f] = own
        self.eb, self.ebb, self.eh = eb, ebb, eh
        return self._by_patient(ll), self._by_patient(out * self.sign[:, None])

    def _by_patient(self, values: FloatArray) -> FloatArray:
        if len(values) == self.n_patients:
            return values
        out = np.zeros((self.n_patients, *values.shape[1:]))
        np.add.at(out, self.patient, values)
        return out

    def value(self, theta: FloatArray, k: int) -> float:
        """The log-likelihood."""
        return float(self.evaluate(theta, k, scores=False)[0].sum())


def _effects(points: Points, alpha: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Rows for beta (row, p) and b (row, d) of the log hazard."""
    if not len(alpha):
        return np.zeros(points.xf.shape[1:]), np.zeros(points.zf.shape[1:])
    x, z = alpha[0] * points.xf[0], alpha[0] * points.zf[0]  # sums, not BLAS: its threads cost more than they bring
    for f in range(1, len(alpha)):
        x += alpha[f] * points.xf[f]
        z += alpha[f] * points.zf[f]
    return x, z
