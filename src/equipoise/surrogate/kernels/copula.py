"""Log likelihood of one trial with two endpoints joined by a survival copula: a time to an event by a Weibull margin
with proportional hazards, a measured surrogate by a normal one.

Families: 0 Clayton (1978, Biometrika 65:141), 1 Plackett (1965, J Am Stat Assoc 60:516), 2 Hougaard (Gumbel; Hougaard
1986, Biometrika 73:671), as Burzykowski et al. 2001, J R Stat Soc C 50:405, use them.
"""

from __future__ import annotations

import math

from equipoise.numerics.compiler import inner, kernel


@inner
def _pair(family, theta, u, v, lu, lv, ds, dt):
    """Log of the copula, or of its derivatives by the margins whose event happened; lu, lv : logs of survival u, v."""
    if family == 0:
        top = max(-theta * lu, -theta * lv)  # taken out, so that far tails do not overflow
        c = -(top + math.log(math.exp(-theta * lu - top) + math.exp(-theta * lv - top) - math.exp(-top))) / theta
        if ds and dt:
            return math.log(1.0 + theta) + (1.0 + 2.0 * theta) * c - (1.0 + theta) * (lu + lv)
        if ds:
            return (1.0 + theta) * (c - lu)
        if dt:
            return (1.0 + theta) * (c - lv)
        return c
    if family == 1:
        if abs(theta - 1.0) < 1e-9:
            return (0.0 if ds else lu) + (0.0 if dt else lv)
        q = 1.0 + (theta - 1.0) * (u + v)
        r = q * q - 4.0 * theta * (theta - 1.0) * u * v
        root = math.sqrt(r)
        if ds and dt:
            return math.log(theta) - 1.5 * math.log(r) + math.log(q - 2.0 * (theta - 1.0) * u * v)
        if ds:
            return math.log(0.5 * (1.0 - (q - 2.0 * theta * v) / root))
        if dt:
            return math.log(0.5 * (1.0 - (q - 2.0 * theta * u) / root))
        return math.log((q - root) / (2.0 * (theta - 1.0)))
    x, y = -lu, -lv
    q = x ** (1.0 / theta) + y ** (1.0 / theta)
    c = -(q**theta)
    if ds and dt:
        return (
            (1.0 / theta - 1.0) * (math.log(x) + math.log(y))
            - lu
            - lv
            + c
            + (theta - 2.0) * math.log(q)
            + math.log(1.0 / theta - 1.0 + q**theta)
        )
    if ds:
        return (1.0 / theta - 1.0) * math.log(x) - lu + c + (theta - 1.0) * math.log(q)
    if dt:
        return (1.0 / theta - 1.0) * math.log(y) - lv + c + (theta - 1.0) * math.log(q)
    return c


@inner
def _ln_above(x):
    """Logarithm of the share of a standard normal variable that lies above x."""
    if x < 30.0:
        return math.log(0.5 * math.erfc(x / math.sqrt(2.0)))
    return -0.5 * x * x - math.log(x) - 0.5 * math.log(2.0 * math.pi)


@kernel
def trial_loglik(family, theta, par, ts, ds, tt, dt, z, measured):
    """One trial: par (6,) log scale, log shape and effect of the surrogate, then of the true endpoint.

    ts, tt : (patient,) times above 0; ds, dt : whether the events happened; z : (patient,) arm. The hazard of an
    endpoint is ``scale shape t^(shape - 1) exp(effect z)``. Of an event its density enters: of the margin, times
    what the copula adds. measured : ts are measured values instead, all of them seen (ds true), normal about
    ``par[0] + par[2] z`` with standard deviation ``exp(par[1])``.
    """
    value = 0.0
    rs, rt = math.exp(par[1]), math.exp(par[4])
    for i in range(len(z)):
        if measured:
            ls = (ts[i] - par[0] - par[2] * z[i]) / rs
            lu = _ln_above(ls)
        else:
            ls = math.log(ts[i])
            lu = -math.exp(par[0] + par[2] * z[i] + rs * ls)
        lt = math.log(tt[i])
        lv = -math.exp(par[3] + par[5] * z[i] + rt * lt)
        lu, lv = min(max(lu, -600.0), -1e-300), min(max(lv, -600.0), -1e-300)
        if measured:
            value += -0.5 * ls * ls - par[1] - 0.5 * math.log(2.0 * math.pi)
        elif ds[i]:
            value += par[0] + par[2] * z[i] + par[1] + (rs - 1.0) * ls + lu
        if dt[i]:
            value += par[3] + par[5] * z[i] + par[4] + (rt - 1.0) * lt + lv
        value += _pair(family, theta, math.exp(lu), math.exp(lv), lu, lv, ds[i], dt[i])
    return value
