"""Tied events of continuous time counted exactly: the marginal likelihood that SAS PROC PHREG calls ``TIES=EXACT``.

Events tied in the record happened one after another, in an order that was not seen. The likelihood of a time with tied
events ``D`` and the others at risk ``R`` sums the partial likelihood over all orders of ``D`` (Kalbfleisch & Prentice
1973, Biometrika 60:267), which is the integral (DeLong, Guirguis & So 1994, Biometrika 81:607)

    int_0^inf  prod_{j in D} (1 - exp(-a_j t))  exp(-t) dt,   a_j = w_j / sum_{i in R} w_i,   w = exp(x'b).

It is computed by the double exponential rule, ``t = exp(s - exp(-s))`` at equal steps of ``s`` (Takahasi & Mori 1974),
to about 14 digits, and its derivatives under the integral.
"""

from __future__ import annotations

import numpy as np

from equipoise.estimate.survival.cox_path import CoxData
from equipoise.types import BoolArray, FloatArray, Status

KALBFLEISCH = "Kalbfleisch & Prentice 1973, Biometrika 60:267"
_S = np.arange(-5.0, 9.0, 1.0 / 32.0)
_T = np.exp(_S - np.exp(-_S))
_LOG_WEIGHT = _S - np.exp(-_S) + np.log1p(np.exp(-_S)) + np.log(1.0 / 32.0)
"""Nodes, and the logarithm of step times dt/ds."""


def integral(a: FloatArray) -> tuple[float, FloatArray, FloatArray]:
    """Logarithm of the integral above, its gradient and its Hessian by ``log a``; a : (event,) positive.

    >>> value, _, _ = integral(np.array([0.5]))
    >>> round(float(np.exp(value)), 12)  # a / (1 + a)
    0.333333333333
    """
    s = _T[:, None] * a
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        rest = -np.expm1(-s)
        phi = np.where(s > 700.0, 0.0, np.where(s > 0.0, s * np.exp(-s) / rest, 1.0))  # d log(1 - e^-s) / d log s
        log = np.log(rest).sum(axis=1) - _T + _LOG_WEIGHT
    log = np.where(np.isfinite(log), log, -np.inf)
    top = log.max()
    weight = np.exp(log - top)
    total = weight.sum()
    weight /= total
    mean = weight @ phi
    own = phi * (1.0 - s - phi)  # d phi / d log s
    hessian = (phi * weight[:, None]).T @ phi - np.outer(mean, mean) + np.diag(weight @ own)
    return float(top + np.log(total)), mean, hessian


def _sets(data: CoxData) -> list[tuple[BoolArray, BoolArray]]:
    """(row,) events at each event time, and the others at risk then."""
    out = []
    for s in np.unique(data.stratum):
        here = data.stratum == s
        for t in np.unique(data.time[here & data.event]):
            risk = here & (data.time >= t)
            if data.entry is not None:
                risk &= data.entry < t
            tied = risk & data.event & (data.time == t)
            out.append((tied, risk & ~tied))
    return out


def evaluate(
    sets: list[tuple[BoolArray, BoolArray]], x: FloatArray, beta: FloatArray
) -> tuple[float, FloatArray, FloatArray]:
    """Log likelihood at ``beta``, its gradient and the observed information."""
    eta = x @ beta
    loglik, gradient, information = 0.0, np.zeros(len(beta)), np.zeros((len(beta), len(beta)))
    for tied, others in sets:
        if not others.any():  # whoever is left happens: nothing is told
            continue
        largest = eta[others].max()
        w = np.exp(eta[others] - largest)
        share = w / w.sum()
        mean = share @ x[others]
        spread = (x[others] - mean).T @ (share[:, None] * (x[others] - mean))
        a = np.exp(np.clip(eta[tied] - largest - np.log(w.sum()), -690.0, 690.0))
        value, first, second = integral(a)
        z = x[tied] - mean
        loglik += value
        gradient += first @ z
        information -= z.T @ second @ z - first.sum() * spread
    return loglik, gradient, information


def fit(
    data: CoxData, start: FloatArray, used: BoolArray
) -> tuple[FloatArray, FloatArray, tuple[float, float], float, int, Status]:
    """Newton's method from ``start``: coefficients, covariance, log likelihood without effects and with them, score
    test, steps, status.

    used : (p,) coefficients that are not aliased with others; the rest stay 0.
    """
    sets, p = _sets(data), len(start)
    spread = data.x.std(axis=0)
    scale = np.where(used, 1.0 / np.where(spread > 0.0, spread, 1.0), 0.0)[used]
    x = (data.x[:, used] - data.x[:, used].mean(axis=0)) * scale
    zero, gradient, information = evaluate(sets, x, np.zeros(x.shape[1]))
    score = float(gradient @ np.linalg.pinv(information) @ gradient)
    beta = start[used] / scale
    value, gradient, information = evaluate(sets, x, beta)
    status, steps = Status.NOT_CONVERGED, 0
    while steps < 50:
        steps += 1
        try:
            step = np.linalg.solve(information, gradient)
        except np.linalg.LinAlgError:
            break
        for _ in range(30):
            made = evaluate(sets, x, beta + step)
            if made[0] >= value - 1e-10 * abs(value):
                break
            step = 0.5 * step
        beta, (value, gradient, information) = beta + step, made
        if np.abs(step).max() < 1e-9:
            status = Status.OK
            break
    whole, covariance = np.zeros(p), np.zeros((p, p))
    whole[used] = beta * scale
    if status is Status.OK:
        covariance[np.ix_(used, used)] = np.linalg.inv(information) * np.outer(scale, scale)
    return whole, covariance, (zero, value), score, steps, status
