"""The likelihood of a joint model as arrays, and its score by Fisher's identity.

Given the random effects b of a patient the marker is normal and the hazard log-linear:

    y ~ N(X beta + Z b, s2),   b ~ N(0, D),
    log h(t) = B(t)' psi + w' gamma + sum_k alpha_k (x_k(t)' beta + z_k(t)' b).

The integral over b is that of :mod:`equipoise.estimate.joint_model.kernels.integral`. The score is the expectation,
given the patient's data, of the score with b known (Louis 1982, JRSS B 44:226), and so comes from the same nodes.

A binary or ordinal marker has no residual: the logit of being in a higher category is the course, above thresholds of
which the first is 0 (:mod:`equipoise.estimate.joint_model.kernels.categories`).

Units are patients, and for a patient who came under observation late a second unit with ``sign`` -1: the probability of
being there at all, by which the likelihood is divided.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np

from equipoise.estimate.joint_model.kernels.categories import integrate_categories
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
class CategoryRows:
    """Rows of one binary or ordinal marker, sorted by unit; ``columns`` of b are this marker's.

    unit (row,), x (row, p), z (row, d), code (row,) the category from 0 of ``categories``. n (unit,), xx (unit, p, p)
    and zz (unit, d, d) are sums, as of a measured marker.
    """

    columns: slice
    unit: IntArray
    x: FloatArray
    z: FloatArray
    code: IntArray
    categories: int
    n: FloatArray
    xx: FloatArray
    zz: FloatArray

    def thresholds(self, widths: FloatArray) -> FloatArray:
        """(category + 1,) thresholds, the first inner one 0, from the logarithms of the steps between them."""
        steps = np.exp(np.clip(widths, -30.0, 30.0))
        return np.concatenate([[-np.inf, 0.0], np.cumsum(steps), [np.inf]])


Rows = MarkerSums | CategoryRows
Nodes = int | IntArray
"""Nodes a dimension of the random effects: of all units, or (unit,) of each."""
LOGISTIC = math.pi**2 / 3.0
"""The variance of the logistic distribution, beside which random effects of a category are small or large."""


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
    """Where the parameters stand: beta and log sigma of each marker, D (log-Cholesky, by rows), gamma, alpha, psi.

    scales : how many parameters follow the beta of each marker, where it is not one log sigma: of a category the
    logarithms of the steps between thresholds. zeros : (row, column) below the diagonal of D that are 0: the entry of L
    there is no parameter, but what the entries before it make it.
    """

    p: tuple[int, ...]
    d: int
    gamma: int
    alpha: int
    psi: int
    scales: tuple[int, ...] | None = None
    zeros: tuple[tuple[int, int], ...] = ()

    @cached_property
    def widths(self) -> tuple[int, ...]:
        return (1,) * len(self.p) if self.scales is None else self.scales

    @cached_property
    def size(self) -> int:
        return sum(self.p) + sum(self.widths) + self.d * (self.d + 1) // 2 + self.gamma + self.alpha + self.psi

    def beta(self, m: int) -> slice:
        start = sum(self.p[:m]) + sum(self.widths[:m])
        return slice(start, start + self.p[m])

    def log_sigma(self, m: int) -> int:
        return sum(self.p[: m + 1]) + sum(self.widths[:m])

    def steps(self, m: int) -> slice:
        """Logarithms of the steps between thresholds of a category."""
        return slice(self.beta(m).stop, self.beta(m).stop + self.widths[m])

    @cached_property
    def covariance(self) -> slice:
        start = sum(self.p) + sum(self.widths)
        return slice(start, start + self.d * (self.d + 1) // 2)

    @cached_property
    def gammas(self) -> slice:
        return slice(self.covariance.stop, self.covariance.stop + self.gamma)

    @cached_property
    def alphas(self) -> slice:
        return slice(self.gammas.stop, self.gammas.stop + self.alpha)

    @cached_property
    def psis(self) -> slice:
        return slice(self.alphas.stop, self.alphas.stop + self.psi)

    @cached_property
    def betas(self) -> IntArray:
        """Places of all beta, in the order of the columns of ``xf``."""
        return np.concatenate([np.arange(self.size)[self.beta(m)] for m in range(len(self.p))])

    @cached_property
    def lower(self) -> tuple[IntArray, IntArray]:
        """Rows and columns of the lower triangle of D."""
        return np.tril_indices(self.d)

    def factor(self, theta: FloatArray) -> FloatArray:
        """(d, d) lower factor L of D = L L'."""
        low = np.zeros((self.d, self.d))
        low[self.lower] = theta[self.covariance]
        on = np.arange(self.d)
        low[on, on] = np.exp(np.clip(low[on, on], -300.0, 300.0))
        for r, c in sorted(self.zeros):
            low[r, c] = -(low[r, :c] @ low[c, :c]) / low[c, c]
        return low

    def tied(self, low: FloatArray, by_low: FloatArray) -> FloatArray:
        """The derivatives (..., d, d) by L where entries follow from others: by those others alone."""
        for r, c in sorted(self.zeros, reverse=True):
            part = by_low[..., r, c] / low[c, c]
            by_low[..., r, :c] -= part[..., None] * low[c, :c]
            by_low[..., c, :c] -= part[..., None] * low[r, :c]
            by_low[..., c, c] -= part * low[r, c]
            by_low[..., r, c] = 0.0
        return by_low

    def unfactor(self, covariance: FloatArray) -> FloatArray:
        """The parameters of a covariance; where some are to be 0, of one that is near it and has them 0."""
        low = np.linalg.cholesky(covariance)
        if self.zeros:
            own = np.diag(np.diag(covariance))
            apart = covariance - own
            for r, c in self.zeros:
                apart[r, c] = apart[c, r] = 0.0
            share = 1.0
            while np.linalg.eigvalsh(own + share * apart)[0] < 0.05 * np.linalg.eigvalsh(own)[0]:
                share *= 0.7
            low = np.linalg.cholesky(own + share * apart)
        low[np.diag_indices(self.d)] = np.log(np.diag(low))
        return np.asarray(low[self.lower])


@lru_cache(maxsize=32)
def rule(k: int) -> tuple[FloatArray, FloatArray]:
    """Nodes (ascending) and log weights of Gauss-Hermite quadrature."""
    x, w = np.polynomial.hermite.hermgauss(k)
    return np.ascontiguousarray(x), np.log(w)


@dataclass(frozen=True, eq=False)
class _Solved:
    """Integrals and expectations at some parameters, and what the score needs beside them.

    residual : of each measured marker its variance, and by unit squares and z-sums of its residuals without b.
    mean_risk, mean_event : by form, the course without b at nodes and at events.
    """

    ll: FloatArray
    eb: FloatArray
    ebb: FloatArray
    eh: FloatArray
    ehb: FloatArray
    by_row: tuple[FloatArray, ...]
    low: FloatArray
    inverse: FloatArray
    prior: FloatArray
    alpha: FloatArray
    betas: FloatArray
    residual: dict[int, tuple[float, FloatArray, FloatArray]]
    mean_risk: list[FloatArray]
    mean_event: list[FloatArray]


@dataclass(eq=False)
class JointLikelihood:
    """Everything that the likelihood needs of the data; ``mode`` (unit, d) is where the last search ended.

    patient (unit,) and sign (unit,) : as in the module's docstring. ``calls`` counts evaluations. penalty : how often
    half the logarithm of the determinant of D is added, which keeps it off the boundary.
    """

    layout: Layout
    markers: tuple[Rows, ...]
    risk: Points
    events: Points
    patient: IntArray
    sign: FloatArray
    n_patients: int
    mode: FloatArray = field(init=False)
    first: IntArray = field(init=False)
    categories: Categories | None = field(init=False)
    calls: int = 0
    penalty: float = 0.0

    def __post_init__(self) -> None:
        n = len(self.patient)
        self.mode = np.zeros((n, self.layout.d))
        self.first = np.searchsorted(self.risk.unit, np.arange(n + 1)).astype(np.int64)
        self.categories = Categories.of(self.markers, n, self.layout)

    def _sum(self, values: FloatArray) -> FloatArray:
        """(unit, ...) sums over the nodes of units."""
        n = len(self.patient)
        out = np.zeros((n, *values.shape[1:]))
        if len(values):
            there = self.first[1:] > self.first[:-1]
            out[there] = np.add.reduceat(values, self.first[:-1][there], axis=0)
        return out

    def _solved(self, theta: FloatArray, k: Nodes) -> _Solved:
        """The integrals at ``theta``, and what they were made of."""
        self.calls += 1
        lay = self.layout
        n, d = len(self.patient), lay.d
        a, c, constant = np.zeros((n, d, d)), np.zeros((n, d)), np.zeros(n)
        residual: dict[int, tuple[float, FloatArray, FloatArray]] = {}
        for m, sums in enumerate(self.markers):
            if isinstance(sums, CategoryRows):
                continue
            beta, s2 = theta[lay.beta(m)], math.exp(2.0 * min(theta[lay.log_sigma(m)], 300.0))
            zr = sums.zy - sums.zx @ beta
            a[:, sums.columns, sums.columns] += sums.zz / s2
            c[:, sums.columns] += zr / s2
            rr = sums.yy - 2.0 * (sums.xy @ beta) + (sums.xx @ beta) @ beta
            constant -= 0.5 * (sums.n * math.log(2.0 * math.pi * s2) + rr / s2)
            residual[m] = s2, rr, zr
        low = lay.factor(theta)
        inverse = np.asarray(np.linalg.solve(low, np.eye(d)), np.float64)
        prior = inverse.T @ inverse
        constant -= 0.5 * d * math.log(2.0 * math.pi) + float(np.log(np.diag(low)).sum())
        phi = np.concatenate([theta[lay.gammas], theta[lay.psis]])
        alpha, betas = theta[lay.alphas], theta[lay.betas]
        events = self.events
        mean_risk = [np.einsum("jp,p->j", form, betas) for form in self.risk.xf]
        mean_event = [form @ betas for form in events.xf]
        e0 = np.einsum("jm,m->j", self.risk.g, phi) + self.risk.weight
        at_event = events.g @ phi
        ze, z_event = np.zeros((len(e0), d)), np.zeros((len(at_event), d))
        for f in range(lay.alpha):
            e0 += alpha[f] * mean_risk[f]
            at_event += alpha[f] * mean_event[f]
            ze += alpha[f] * self.risk.zf[f]
            z_event += alpha[f] * events.zf[f]
        np.add.at(c, events.unit, z_event)
        np.add.at(constant, events.unit, at_event)
        e0 = np.minimum(e0, 650.0)
        ll, eb, ebb, eh, ehb, by_row = integrals(
            a, c, self.first, e0, ze, prior, self.mode, k, theta, lay, self.categories
        )
        ll = np.asarray((ll + constant) * self.sign, np.float64)
        if self.penalty:
            ll += (self.sign > 0.0) * (self.penalty * float(np.log(np.diag(low)).sum()) / self.n_patients)
        self.eb, self.ebb, self.eh = eb, ebb, eh
        return _Solved(ll, eb, ebb, eh, ehb, by_row, low, inverse, prior, alpha, betas, residual, mean_risk, mean_event)

    def evaluate(self, theta: FloatArray, k: Nodes, *, scores: bool = True) -> tuple[FloatArray, FloatArray]:
        """(patient,) log-likelihoods, NaN where there is none, and (patient, parameter) scores.

        k : nodes a dimension of the random effects, of all units or of each.
        """
        lay, at = self.layout, self._solved(theta, k)
        n, d = len(self.patient), lay.d
        if not scores:
            return self._by_patient(at.ll), np.empty((0, 0))
        eb, ebb, eh = at.eb, at.ebb, at.eh
        out = np.zeros((n, lay.size))
        if self.categories is not None:
            self.categories.add_scores(theta, lay, at.by_row, out)
        for m, (s2, rr, zr) in at.residual.items():
            sums, beta = self.measured(m), theta[lay.beta(m)]
            b, bb = eb[:, sums.columns], ebb[:, sums.columns, sums.columns]
            out[:, lay.beta(m)] = (sums.xy - sums.xx @ beta - np.einsum("ndp,nd->np", sums.zx, b)) / s2
            q = rr - 2.0 * (zr * b).sum(axis=1) + np.einsum("nrs,nrs->n", sums.zz, bb)
            out[:, lay.log_sigma(m)] = -sums.n + q / s2
        # d/dL of -log|L| - b' (L L')^-1 b / 2: (D^-1 E[bb'] - I) D^-1 L, below the diagonal
        by_low = lay.tied(at.low, at.prior @ (ebb @ (at.prior @ at.low)) - at.inverse.T)
        by_low[:, np.arange(d), np.arange(d)] *= np.diag(at.low)
        rows, columns = lay.lower
        out[:, lay.covariance] = by_low[:, rows, columns]
        if self.penalty:
            out[:, lay.covariance] += (self.sign > 0.0)[:, None] * (rows == columns) * (self.penalty / self.n_patients)
        by_phi = -self._sum(eh[:, None] * self.risk.g)
        np.add.at(by_phi, self.events.unit, self.events.g)
        out[:, lay.gammas], out[:, lay.psis] = by_phi[:, : lay.gamma], by_phi[:, lay.gamma :]
        for f in range(lay.alpha):
            by_beta = -self._sum(eh[:, None] * self.risk.xf[f])
            np.add.at(by_beta, self.events.unit, self.events.xf[f])
            out[:, lay.betas] += at.alpha[f] * by_beta
            own = -self._sum(eh * at.mean_risk[f] + (at.ehb * self.risk.zf[f]).sum(axis=1))
            seen = at.mean_event[f] + (self.events.zf[f] * eb[self.events.unit]).sum(axis=1)
            np.add.at(own, self.events.unit, seen)
            out[:, lay.alphas.start + f] = own
        return self._by_patient(at.ll), self._by_patient(out * self.sign[:, None])

    def gradient(self, theta: FloatArray, k: Nodes) -> FloatArray:
        """(parameter,) the score of all patients together, without that of each."""
        if self.categories is not None:
            return np.asarray(self.evaluate(theta, k)[1].sum(axis=0))
        lay, at = self.layout, self._solved(theta, k)
        eb, ebb, eh, ehb = at.eb, at.ebb, at.eh, at.ehb
        if self.n_patients < len(self.sign):
            by_node = self.sign[self.risk.unit]
            eh, ehb = eh * by_node, ehb * by_node[:, None]
        out = np.empty(lay.size)
        for m, (s2, rr, zr) in at.residual.items():
            sums, beta = self.measured(m), theta[lay.beta(m)]
            b, bb = eb[:, sums.columns], ebb[:, sums.columns, sums.columns]
            fitted = np.tensordot(sums.zx, b, axes=((0, 1), (0, 1)))
            out[lay.beta(m)] = (sums.xy.sum(axis=0) - sums.xx.sum(axis=0) @ beta - fitted) / s2
            q = float(rr.sum()) - 2.0 * float(np.vdot(zr, b)) + float((sums.zz * bb).sum())
            out[lay.log_sigma(m)] = -float(sums.n.sum()) + q / s2
        total = np.tensordot(self.sign, ebb, axes=1)
        by_low = lay.tied(at.low, at.prior @ total @ at.prior @ at.low - float(self.sign.sum()) * at.inverse.T)
        on = np.arange(lay.d)
        by_low[on, on] = by_low[on, on] * at.low[on, on] + self.penalty
        out[lay.covariance] = by_low[lay.lower]
        # einsum and not a product: of so long and narrow arrays BLAS spends more on its threads than on the sums
        by_phi = self.events.g.sum(axis=0) - np.einsum("j,jm->m", eh, self.risk.g)
        out[lay.gammas], out[lay.psis] = by_phi[: lay.gamma], by_phi[lay.gamma :]
        for f in range(lay.alpha):
            out[lay.betas] += at.alpha[f] * (self.events.xf[f].sum(axis=0) - np.einsum("j,jp->p", eh, self.risk.xf[f]))
            own = float(at.mean_event[f].sum()) + float(np.vdot(self.events.zf[f], eb[self.events.unit]))
            out[lay.alphas.start + f] = (
                own - float(np.einsum("j,j", eh, at.mean_risk[f])) - float(np.einsum("jr,jr", ehb, self.risk.zf[f]))
            )
        return out

    def measured(self, m: int) -> MarkerSums:
        """The sums of a marker that is no category."""
        sums = self.markers[m]
        if not isinstance(sums, MarkerSums):
            raise TypeError(f"marker {m} is a category")
        return sums

    def _by_patient(self, values: FloatArray) -> FloatArray:
        if len(values) == self.n_patients:
            return values
        out = np.zeros((self.n_patients, *values.shape[1:]))
        np.add.at(out, self.patient, values)
        return out

    def value(self, theta: FloatArray, k: Nodes) -> float:
        """The log-likelihood."""
        return float(self.evaluate(theta, k, scores=False)[0].sum())


@dataclass(frozen=True, eq=False)
class Categories:
    """The rows of all binary and ordinal markers of a likelihood, sorted by unit.

    unit (row,), marker (row,) which it is of, begin (unit + 1,), z (row, d) over all random effects; place (row,) the
    row in its marker.
    """

    markers: tuple[Rows, ...]
    unit: IntArray
    marker: IntArray
    place: IntArray
    begin: IntArray
    z: FloatArray

    @classmethod
    def of(cls, markers: tuple[Rows, ...], n: int, lay: Layout) -> Categories | None:
        """None where every marker is measured."""
        own = [(m, rows) for m, rows in enumerate(markers) if isinstance(rows, CategoryRows)]
        if not own:
            return None
        unit = np.concatenate([rows.unit for _, rows in own])
        marker = np.concatenate([np.full(len(rows.unit), m) for m, rows in own])
        place = np.concatenate([np.arange(len(rows.unit)) for _, rows in own])
        z = np.zeros((len(unit), lay.d))
        for m, rows in own:
            z[marker == m, rows.columns] = rows.z
        order = np.argsort(unit, kind="stable")
        begin = np.searchsorted(unit[order], np.arange(n + 1)).astype(np.int64)
        return cls(markers, unit[order], marker[order], place[order], begin, np.ascontiguousarray(z[order]))

    def _each(self) -> list[tuple[int, CategoryRows, IntArray, IntArray]]:
        """Of each marker: its number, its rows, their places here and in it."""
        found = []
        for m, rows in enumerate(self.markers):
            if isinstance(rows, CategoryRows):
                at = np.flatnonzero(self.marker == m)
                found.append((m, rows, at, self.place[at]))
        return found

    def logits(self, theta: FloatArray, lay: Layout) -> tuple[FloatArray, FloatArray, FloatArray]:
        """(row,) the logit without random effects, and the thresholds below and above the category."""
        r0, low, high = (np.empty(len(self.unit)) for _ in range(3))
        for m, rows, at, place in self._each():
            cuts = rows.thresholds(theta[lay.steps(m)])
            r0[at] = (rows.x @ theta[lay.beta(m)])[place]
            low[at], high[at] = cuts[rows.code[place]], cuts[rows.code[place] + 1]
        return r0, low, high

    def add_scores(self, theta: FloatArray, lay: Layout, by_row: tuple[FloatArray, ...], out: FloatArray) -> None:
        """Add the scores of beta and of the steps between thresholds to ``out`` (unit, parameter)."""
        slope, upper, lower = by_row
        for m, rows, at, place in self._each():
            part = np.zeros((len(out), lay.p[m]))
            np.add.at(part, self.unit[at], slope[at, None] * rows.x[place])
            out[:, lay.beta(m)] += part
            steps = np.exp(np.clip(theta[lay.steps(m)], -30.0, 30.0))
            code = rows.code[place]
            for j, step in enumerate(steps):  # the thresholds above the first step on
                moved = step * (
                    upper[at] * (code >= j + 1) * (code < rows.categories - 1) + lower[at] * (code >= j + 2)
                )
                out[:, lay.steps(m).start + j] += np.bincount(self.unit[at], weights=moved, minlength=len(out))


def integrals(
    a: FloatArray,
    c: FloatArray,
    first: IntArray,
    e0: FloatArray,
    ze: FloatArray,
    prior: FloatArray,
    mode: FloatArray,
    k: Nodes,
    theta: FloatArray,
    lay: Layout,
    categories: Categories | None,
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray, tuple[FloatArray, ...]]:
    """The integrals of all units and their expectations, by ``k`` nodes a random effect; with one, Laplace's.

    With categories one number of nodes does for all units. Arguments as of
    :func:`equipoise.estimate.joint_model.kernels.integral.integrate`. Gives back ll, eb, ebb, eh, ehb, and by row of
    the categories the expected derivatives by the logit and by the thresholds.
    """
    n, d = c.shape
    ll, eb, ebb = np.empty(n), np.empty((n, d)), np.empty((n, d, d))
    eh, ehb = np.empty(len(e0)), np.empty((len(e0), d))
    own = np.broadcast_to(k, n)
    most = int(own.max(initial=1))
    if categories is None and most > 1:
        for nodes in np.unique(own):
            who = np.flatnonzero(own == nodes)
            integrate(who, a, c, first, e0, ze, prior, *rule(int(nodes)), mode, ll, eb, ebb, eh, ehb)
        return ll, eb, ebb, eh, ehb, ()
    gx, lgw = rule(most)
    if categories is None:
        begin, z = np.zeros(n + 1, np.int64), np.zeros((0, d))
        r0 = low = high = np.zeros(0)
    else:
        begin, z = categories.begin, categories.z
        r0, low, high = categories.logits(theta, lay)
    by_row = tuple(np.empty(len(r0)) for _ in range(3))
    integrate_categories(
        a, c, first, e0, ze, prior, begin, r0, z, low, high, gx, lgw, mode, ll, eb, ebb, eh, ehb, *by_row
    )
    return ll, eb, ebb, eh, ehb, by_row
