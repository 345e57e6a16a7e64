"""The effect of a treatment split into what goes through the surrogate and what does not.

Natural direct and indirect effects (Robins & Greenland 1992, Epidemiology 3:143; Pearl 2001) by the mediation formula
(Imai, Keele & Tingley 2010, Psychol Methods 15:309): ``E[T(z, S(z'))]``, the model of T given arm and S averaged over
the model of S in arm z'. Randomisation does not identify it: nothing but the arm and the covariates given may be a
common cause of S and T.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import special

from equipoise.estimate.result import Estimate
from equipoise.surrogate.endpoints import Measured, Regression, regress
from equipoise.types import REASONS, FloatArray, Status

IMAI = "Imai, Keele & Tingley 2010, Psychol Methods 15:309"
VANDERWEELE = "VanderWeele & Ding 2017, Ann Intern Med 167:268"
KEELE = "Imai, Keele & Yamamoto 2010, Stat Sci 25:51"


def e_value(ratio: float) -> float:
    """The E-value of a risk ratio: how strongly, as a ratio, an unseen cause would have to go with both to explain it.

    VanderWeele & Ding 2017. 1 for a ratio of 1.

    >>> round(e_value(0.5), 4), round(e_value(2.0), 4)
    (3.4142, 3.4142)
    """
    r = max(ratio, 1.0 / ratio)
    return r + math.sqrt(r * (r - 1.0))


@dataclass(frozen=True)
class Mediation:
    """Natural direct and indirect effects and their sum, with what they assume and what would explain them away.

    e_value, e_value_limit : of the indirect effect and of the end of its interval that is nearer to none, on the
    approximate scale of risk ratios (of a measured value, ``exp(0.91 d)``, d in standard deviations within arms).
    zero_at : the correlation of the errors of the two models at which the indirect effect is none (measured values).
    """

    direct: Estimate
    indirect: Estimate
    total: Estimate
    e_value: float = math.nan
    e_value_limit: float = math.nan
    zero_at: float = math.nan

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        return (self.direct, self.indirect, self.total)

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What the split rests on, in sentences; nothing where there is none."""
        if not self.indirect.estimable:
            return ()
        return (
            "The split into direct and indirect assumes that nothing but the arm and the covariates given is a "
            "common cause "
            "of surrogate and true endpoint, and that the treatment causes no such thing; randomisation does "
            "not give that.",
        )

    @property
    def sensitivity(self) -> str:
        """What would explain the indirect effect away, in a sentence."""
        if not self.indirect.estimable:
            return f"Mediation: {self.indirect.reason}."
        said = (
            f"An unseen common cause that goes with both by a risk ratio of {self.e_value:.3g} would explain "
            f"the indirect "
            f"effect away; {self.e_value_limit:.3g} would move its interval to none (E-values)."
        )
        if math.isfinite(self.zero_at):
            said += f" It is none where the errors of the two models correlate by {self.zero_at:.3g}."
        return said


def _none(why: str, status: Status, n: int, level: float) -> Mediation:
    def made(name: str) -> Estimate:
        return Estimate.not_made(name, "mediation formula", n, status, why, level=level, term=name)

    return Mediation(made("natural direct effect"), made("natural indirect effect"), made("total effect"))


def mediate(s: Measured, t: Measured, z: FloatArray, extra: FloatArray, contrast: str, level: float) -> Mediation:
    """Natural effects of arm (patient,) on ``t`` through ``s``; extra : (patient, k) covariates of both models.

    The model of the true endpoint has the product of arm and surrogate. Effects are differences of means (measured
    values) or of risks (yes or no); standard errors by the delta method from the joint covariance of the two models.
    """
    n = len(z)
    if s.kind not in ("continuous", "binary") or t.kind not in ("continuous", "binary"):
        why = f"natural effects are told for measured values and for yes or no, not for {s.kind} and {t.kind}"
        return _none(why, Status.NOT_IDENTIFIED, n, level)
    one = regress(s, np.column_stack([z, extra]))
    two = regress(t, np.column_stack([z, s.value, z * s.value, extra]))
    for fit in (one, two):
        if fit.status is not Status.OK:
            return _none(fit.detail or REASONS[fit.status], fit.status, n, level)
    a, th = np.asarray(one.coefficients, np.float64), np.asarray(two.coefficients, np.float64)
    centre_s = _centre(s, np.column_stack([z, extra]))
    centre_t = _centre(t, np.column_stack([z, s.value, z * s.value, extra]))
    noise = one.residuals.std() if one.residuals is not None else 0.0
    nodes, weights = np.polynomial.hermite_e.hermegauss(15)
    weights = weights / weights.sum()

    def mean(alpha: FloatArray, theta: FloatArray, arm: float, arm_of_s: float) -> float:
        at = np.column_stack([np.full(n, arm_of_s), extra])
        lin = alpha[0] + (at - centre_s) @ alpha[1:]
        spread: list[tuple[FloatArray, FloatArray]]
        if s.kind == "continuous":
            spread = [(np.full(n, w), lin + noise * x) for x, w in zip(nodes, weights, strict=True)]
            if t.kind == "continuous":
                spread = [(np.ones(n), lin)]
        else:
            p = special.expit(lin)
            spread = [(1.0 - p, np.zeros(n)), (p, np.ones(n))]
        total = np.zeros(n)
        for w, value in spread:
            x = np.column_stack([np.full(n, arm), value, arm * value, extra])
            out = theta[0] + (x - centre_t) @ theta[1:]
            total += w * (special.expit(out) if t.kind == "binary" else out)
        return float(total.mean())

    def split(alpha: FloatArray, theta: FloatArray) -> FloatArray:
        m11, m10, m00 = (mean(alpha, theta, i, j) for i, j in ((1.0, 1.0), (1.0, 0.0), (0.0, 0.0)))
        return np.array([m10 - m00, m11 - m10, m11 - m00])

    value = split(a, th)
    slope = np.column_stack([_gradient(lambda x: split(x, th), a), _gradient(lambda x: split(a, x), th)])
    influence = np.column_stack([one.whole, two.whole]) @ slope.T  # type: ignore[list-item]
    se = np.sqrt((influence**2).sum(axis=0))
    scale = "difference" if t.kind == "continuous" else "risk difference"
    made = [
        Estimate.from_t(
            name,
            "mediation formula, delta method",
            float(v),
            float(e),
            math.inf,
            n,
            level=level,
            scale=scale,
            references=(IMAI,),
            term=name,
            contrast=contrast,
        )
        for name, v, e in zip(
            ("natural direct effect", "natural indirect effect", "total effect"), value, se, strict=True
        )
    ]
    if not made[1].estimable:
        return Mediation(made[0], made[1], made[2])
    ratio, limit = _ratios(made[1], made[2], t, z, mean(a, th, 1.0, 0.0))
    zero = math.nan
    if s.kind == t.kind == "continuous" and one.residuals is not None:
        reduced = regress(t, np.column_stack([z, extra]))
        if reduced.residuals is not None:
            zero = float(np.corrcoef(one.residuals, reduced.residuals)[0, 1])  # Imai, Keele & Yamamoto 2010, theorem 4
    return Mediation(made[0], made[1], made[2], e_value(ratio), limit, zero)


def _ratios(indirect: Estimate, total: Estimate, t: Measured, z: FloatArray, base: float) -> tuple[float, float]:
    """The indirect effect as an approximate risk ratio, and the E-value of the limit nearer to none."""
    del total
    if t.kind == "continuous":
        sd = math.sqrt(0.5 * sum(float(t.value[z == g].var(ddof=1)) for g in (0.0, 1.0)))

        def ratio(d: float) -> float:
            return math.exp(0.91 * d / sd)
    else:

        def ratio(d: float) -> float:
            return max(base + d, 1e-6) / max(base, 1e-6)

    crosses = indirect.low <= 0.0 <= indirect.high
    near = 0.0 if crosses else min((indirect.low, indirect.high), key=abs)
    return ratio(indirect.estimate), e_value(ratio(near))


def _centre(outcome: Measured, x: FloatArray) -> FloatArray:
    """What the covariates of a model were centred at: likelihood models centre theirs."""
    return np.zeros(x.shape[1]) if outcome.kind == "continuous" else x.mean(axis=0)


def _gradient(f: Callable[[FloatArray], FloatArray], at: FloatArray) -> FloatArray:
    """(value, parameter) derivatives by central differences."""
    out = []
    for k in range(len(at)):
        h = 1e-5 * max(1.0, abs(float(at[k])))
        up, down = at.copy(), at.copy()
        up[k] += h
        down[k] -= h
        out.append((f(up) - f(down)) / (2.0 * h))
    return np.array(out).T


__all__ = ["Mediation", "Regression", "e_value", "mediate"]
