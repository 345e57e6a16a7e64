"""Generalised linear models of one answer a patient, on arrays: logistic, Poisson and negative binomial regression.

Maximum likelihood by Fisher's scoring with step halving, and for the logistic one Firth's penalised likelihood (1993).
Equations and sources in ``docs/methods/logistic.md`` and ``docs/methods/counts.md``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy import optimize, special

from equipoise.types import FloatArray, Status

FAMILIES = ("gaussian", "binomial", "poisson", "negative-binomial")
_EDGE = 1e-9
"""A fitted share, or mean count, this near to its bound means that the likelihood rises for ever."""


@dataclass(frozen=True, eq=False)
class Problem:
    """A model and its data: x (row, p), y and offset (row,), family; ``theta`` of the negative binomial."""

    x: FloatArray
    y: FloatArray
    offset: FloatArray
    family: str
    theta: float = math.inf
    firth: bool = False

    def mean(self, beta: FloatArray) -> FloatArray:
        """(row,) fitted means."""
        return inverse(self.family, self.x @ beta + self.offset)

    def weight(self, mu: FloatArray) -> FloatArray:
        """(row,) weights of Fisher's information."""
        return slope(self.family, mu) ** 2 / variance(self.family, mu, self.theta)

    def information(self, beta: FloatArray) -> FloatArray:
        """(p, p) Fisher's information."""
        return (self.x * self.weight(self.mean(beta))[:, None]).T @ self.x

    def loglik(self, beta: FloatArray) -> float:
        """The log-likelihood, with Firth's penalty where it is asked for."""
        eta = self.x @ beta + self.offset
        if self.family == "binomial":
            value = float((self.y * eta - np.logaddexp(0.0, eta)).sum())
        else:
            mu = np.exp(np.minimum(eta, 700.0))
            if self.family == "poisson" or math.isinf(self.theta):
                value = float((special.xlogy(self.y, mu) - mu - special.gammaln(self.y + 1.0)).sum())
            else:
                t = self.theta
                value = float(
                    (
                        special.gammaln(t + self.y)
                        - special.gammaln(t)
                        - special.gammaln(self.y + 1.0)
                        + t * np.log(t / (t + mu))
                        + special.xlogy(self.y, mu / (t + mu))
                    ).sum()
                )
        if self.firth:
            sign, log = np.linalg.slogdet(self.information(beta))
            value += 0.5 * float(log) if sign > 0.0 else -math.inf
        return value

    def score(self, beta: FloatArray) -> FloatArray:
        """(p,) derivative of the log-likelihood, with Firth's penalty that of the penalised one."""
        mu = self.mean(beta)
        each = (self.y - mu) * slope(self.family, mu) / variance(self.family, mu, self.theta)
        if self.firth:
            w = self.weight(mu)
            root = self.x * np.sqrt(w)[:, None]
            hat = np.einsum("ia,ab,ib->i", root, np.linalg.pinv(root.T @ root), root)
            each = each + hat * (0.5 - mu)
        return np.asarray(self.x.T @ each)


def inverse(family: str, eta: FloatArray) -> FloatArray:
    """The mean at a linear predictor, by the family's own link."""
    if family == "binomial":
        return np.asarray(special.expit(eta))
    return np.asarray(eta if family == "gaussian" else np.exp(np.clip(eta, -700.0, 700.0)))


def slope(family: str, mu: FloatArray) -> FloatArray:
    """The derivative of the mean by the linear predictor."""
    if family == "binomial":
        return mu * (1.0 - mu)
    return np.ones_like(mu) if family == "gaussian" else mu


def variance(family: str, mu: FloatArray, theta: float = math.inf) -> FloatArray:
    """The variance at a mean, but for the dispersion."""
    if family == "binomial":
        return np.maximum(mu * (1.0 - mu), 1e-300)
    if family == "gaussian":
        return np.ones_like(mu)
    return np.maximum(mu, 1e-300) if math.isinf(theta) else np.maximum(mu + mu * mu / theta, 1e-300)


def deviances(family: str, y: FloatArray, mu: FloatArray, theta: float = math.inf) -> FloatArray:
    """(row,) parts of the deviance: twice the log-likelihood lost to a mean that is the observation itself."""
    if family == "gaussian":
        return np.asarray((y - mu) ** 2)
    if family == "binomial":
        part = special.xlogy(y, y / mu) + special.xlogy(1.0 - y, (1.0 - y) / (1.0 - mu))
    elif math.isinf(theta):
        part = special.xlogy(y, y / mu) - (y - mu)
    else:
        part = special.xlogy(y, y / mu) - (y + theta) * np.log((y + theta) / (mu + theta))
    return np.asarray(np.maximum(2.0 * part, 0.0))


@dataclass(frozen=True, eq=False)
class Maximum:
    """Where a likelihood is greatest: beta, covariance, log-likelihood, status; theta of negative binomials."""

    beta: FloatArray
    covariance: FloatArray
    loglik: float
    status: Status
    iterations: int
    theta: float = math.inf
    theta_se: float = math.nan


def fit(problem: Problem, *, fixed: int | None = None, at: float = 0.0, start: FloatArray | None = None) -> Maximum:
    """The maximum of the likelihood; ``fixed``: a coefficient held at ``at``."""
    p = problem.x.shape[1]
    free = np.array([j for j in range(p) if j != fixed], np.int64)
    beta = np.zeros(p) if start is None else start.copy()
    if start is None and problem.family in ("poisson", "negative-binomial"):
        ones = np.flatnonzero((problem.x == 1.0).all(axis=0))
        if len(ones) and problem.y.sum() > 0.0:
            beta[ones[0]] = math.log(problem.y.sum() / np.exp(problem.offset).sum())
    if fixed is not None:
        beta[fixed] = at
    value = problem.loglik(beta)
    status, k = Status.NOT_CONVERGED, 0
    while k < 100:
        k += 1
        gradient = problem.score(beta)[free]
        information = problem.information(beta)[np.ix_(free, free)]
        try:
            step = np.linalg.solve(information, gradient) if len(free) else np.zeros(0)
        except np.linalg.LinAlgError:
            status = Status.SINGULAR
            break
        size = 1.0 if not problem.firth else min(1.0, 5.0 / max(float(np.abs(step).max(initial=0.0)), 1e-300))
        for _ in range(40):
            new = beta.copy()
            new[free] += size * step
            tried = problem.loglik(new)
            if tried >= value - 1e-10 * (1.0 + abs(value)):
                break
            size *= 0.5
        beta, last, value = new, value, tried
        small = float(np.abs(size * step).max(initial=0.0)) <= 1e-11 * (1.0 + float(np.abs(beta).max(initial=0.0)))
        if small or (abs(value - last) <= 1e-14 * (1.0 + abs(value)) and float(np.abs(step).max(initial=0.0)) < 1e-8):
            status = Status.OK
            break
    mu = problem.mean(beta)
    near = mu.min(initial=1.0) < _EDGE or (problem.family == "binomial" and mu.max(initial=0.0) > 1.0 - _EDGE)
    if not problem.firth and fixed is None and near:
        status = Status.BOUNDARY
    try:
        covariance = np.linalg.inv(problem.information(beta))
    except np.linalg.LinAlgError:
        covariance, status = np.full((p, p), np.nan), Status.SINGULAR if status is Status.OK else status
    return Maximum(beta, np.asarray(covariance, np.float64), value, status, k, problem.theta)


def negative_binomial(problem: Problem) -> Maximum:
    """Coefficients and theta (variance mu + mu^2 / theta) together; the covariance is that given theta (MASS).

    Where counts vary no more than Poisson's, theta is infinite and the fit Poisson's.
    """
    poisson = fit(replace(problem, theta=math.inf))
    if poisson.status is not Status.OK:
        return poisson
    mu, y = problem.mean(poisson.beta), problem.y
    if float((((y - mu) ** 2 - y) / mu).sum()) <= 0.0 and float(((y - mu) ** 2 - y).sum()) <= 0.0:
        return replace(poisson, theta=math.inf)

    def profile(log: float) -> float:
        return -fit(replace(problem, theta=math.exp(log)), start=poisson.beta).loglik

    found = optimize.minimize_scalar(profile, bounds=(-8.0, 14.0), method="bounded", options={"xatol": 1e-6})
    if found.x > 13.9:
        return replace(poisson, theta=math.inf)
    theta, beta = math.exp(float(found.x)), poisson.beta
    made = poisson
    for _ in range(200):  # theta to rounding, given the coefficients, and these given theta
        made = fit(replace(problem, theta=theta), start=beta)
        beta = made.beta
        mu = problem.mean(beta)
        gradient = float(
            (
                special.digamma(theta + y)
                - special.digamma(theta)
                + math.log(theta)
                + 1.0
                - np.log(theta + mu)
                - (y + theta) / (mu + theta)
            ).sum()
        )
        curvature = float(
            (
                special.polygamma(1, theta + y)
                - special.polygamma(1, theta)
                + 1.0 / theta
                - 2.0 / (mu + theta)
                + (y + theta) / (mu + theta) ** 2
            ).sum()
        )
        if not curvature < 0.0:
            break
        step = -gradient / curvature
        theta = theta + step if theta + step > 0.0 else theta / 2.0
        if abs(step) <= 1e-11 * theta:
            break
    made = fit(replace(problem, theta=theta), start=beta)
    return replace(made, theta=theta, theta_se=math.sqrt(-1.0 / curvature) if curvature < 0.0 else math.nan)


def profile_limits(problem: Problem, best: Maximum, j: int, level: float) -> tuple[float, float, float]:
    """Limits of coefficient ``j`` where twice the loss of log-likelihood is the quantile of chi-square, and the p-value
    of the likelihood ratio that it is 0. A side on which the likelihood never falls so far is infinite."""
    cut = float(special.chdtri(1.0, 1.0 - level)) / 2.0
    se = math.sqrt(best.covariance[j, j])

    def loss(value: float) -> float:
        start = best.beta.copy()
        start[j] = value
        return best.loglik - fit(problem, fixed=j, at=value, start=start).loglik

    ends = []
    for side in (-1.0, 1.0):
        near, far = best.beta[j], best.beta[j] + side * 2.0 * se
        for _ in range(12):
            if loss(far) > cut:
                break
            near, far = far, best.beta[j] + 2.0 * (far - best.beta[j])
            if abs(far) > 60.0:
                break
        if loss(far) <= cut:
            ends.append(side * math.inf)
            continue
        root = optimize.brentq(lambda v: loss(v) - cut, near, far, xtol=1e-11, rtol=1e-12)
        ends.append(float(root))
    ratio = 2.0 * loss(0.0)
    return ends[0], ends[1], float(special.chdtrc(1.0, max(ratio, 0.0)))


def sandwich(problem: Problem, beta: FloatArray, kind: str) -> FloatArray:
    """The covariance that is robust to the variance assumed: HC0, HC1, HC2 or HC3."""
    mu = problem.mean(beta)
    w = problem.weight(mu)
    bread = np.linalg.inv((problem.x * w[:, None]).T @ problem.x)
    each = (problem.y - mu) * slope(problem.family, mu) / variance(problem.family, mu, problem.theta)
    root = problem.x * np.sqrt(w)[:, None]
    hat = np.minimum(np.einsum("ia,ab,ib->i", root, bread, root), 1.0 - 1e-12)
    n, p = problem.x.shape
    scale = {"HC0": 1.0, "HC1": n / max(n - p, 1), "HC2": 1.0 / (1.0 - hat), "HC3": 1.0 / (1.0 - hat) ** 2}[kind]
    half = problem.x * (each * np.sqrt(scale))[:, None]
    return np.asarray(bread @ (half.T @ half) @ bread)


def independent(x: FloatArray) -> list[int]:
    """The columns that no earlier ones determine."""
    kept: list[int] = []
    basis = np.zeros((len(x), 0))
    for j in range(x.shape[1]):
        column = x[:, j]
        rest = column - basis @ (basis.T @ column)
        rest = rest - basis @ (basis.T @ rest)
        size = float(np.linalg.norm(column))
        if size > 0.0 and float(np.linalg.norm(rest)) > 1e-9 * size:
            kept.append(j)
            basis = np.column_stack([basis, rest / np.linalg.norm(rest)])
    return kept
