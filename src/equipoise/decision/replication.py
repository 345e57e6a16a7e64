"""What a second trial will show, after a first one that looked good: the winner's curse.

A trial is followed by a second one when it looked good, and one that looked good is more often lucky than unlucky. Its
estimate, taken as the truth, predicts too much. Four readings of one estimate ``y`` with standard error ``s``, each
with the success it predicts for a second trial of standard error ``t`` (one-sided test, quantile ``z``):

- **as it stands**: the effect is ``y``; success ``Phi(y / t - z)``;
- **with its error**: the effect is ``N(y, s^2)``; success ``Phi((y - z t) / sqrt(s^2 + t^2))`` (Goodman 1992, Stat Med
  11:875; O'Hagan et al. 2005);
- **as selected**: the likelihood given that ``Y > c``, ``phi((y - m) / s) / Phi((m - c) / s)``; its maximum (Zhong &
  Prentice 2008, Biostatistics 9:621) solves ``m + s h((c - m) / s) = y`` with the hazard ``h`` of the normal
  distribution. It falls without limit as ``y`` comes near ``c``, and is not taken below no effect;
- **sceptically**: the effect has a prior, that of effects in the field, and Bayes' theorem does the rest. If the prior
  is right nothing more is to be done about selection: given ``y`` the effect does not depend on why one looks (Dawid
  1994; Senn 2008, Stat Med 27:5309). A simulation in the tests shows it.

All effects are benefits: positive in favour of the drug.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import optimize, special

from equipoise.decision.power import above, upper_nodes
from equipoise.errors import ScenarioError
from equipoise.estimate.mixture import NormalMixture

BY_DRAWS = "by draws"
"""The reading of a belief that is given as draws, beside the four."""
READINGS = ("as it stands", "with its error", "as selected", "sceptically")
"""Their names, in the order in which they are given."""
AS_IT_STANDS, WITH_ITS_ERROR, AS_SELECTED, SCEPTICALLY = READINGS


@dataclass(frozen=True, eq=False)
class Reading:
    """One reading of a first trial: what the effect is, and what a second trial will show.

    name : of the reading. effect : the belief about the effect. success : of the second trial. second : the belief
    about its estimate.
    """

    name: str
    effect: NormalMixture
    success: float
    second: NormalMixture

    def row(self, level: float = 0.95) -> dict[str, Any]:
        """As a row of a table."""
        low, high = self.effect.interval(level)
        first, last = self.second.interval(level)
        return {
            "reading": self.name,
            "effect": self.effect.mean,
            "low": low,
            "high": high,
            "works": self.effect.above(0.0),
            "success": self.success,
            "second_low": first,
            "second_high": last,
        }


def readings(
    estimate: float,
    se: float,
    *,
    next_se: float,
    prior: NormalMixture,
    alpha: float = 0.025,
    selected_above: float | None = None,
) -> tuple[Reading, ...]:
    """Four readings of a first trial's estimate, each with the second trial that it predicts.

    Parameters
    ----------
    estimate, se : of the first trial, a benefit. next_se : of the second one. prior : of effects in the field, without
    this drug. alpha : one-sided level of the second trial's test. selected_above : the first trial was followed up
    because its estimate lay above this; default the edge of significance. Where it does not, the reading as selected is
    left out.

    Raises
    ------
    ScenarioError : a number out of its range.

    Examples
    --------
    >>> prior = NormalMixture.normal(0.0, 0.2)
    >>> for reading in readings(0.42, 0.2, next_se=0.09, prior=prior):
    ...     print(f"{reading.name}: effect {reading.effect.mean:.2f}, success {100 * reading.success:.0f} %")
    as it stands: effect 0.42, success 100 %
    with its error: effect 0.42, success 87 %
    as selected: effect 0.00, success 3 %
    sceptically: effect 0.21, success 58 %
    """
    above(0.0, se=se, next_se=next_se)
    if not math.isfinite(estimate):
        raise ScenarioError(f"estimate = {estimate:g}", hint="give a finite number, positive in favour of the drug")
    if not 0.0 < alpha < 1.0:
        raise ScenarioError(f"alpha = {alpha:g}", hint="give a one-sided level between 0 and 1, e.g. 0.025")
    z = float(special.ndtri(1.0 - alpha))
    cut = z * se if selected_above is None else selected_above
    beliefs = [
        (AS_IT_STANDS, NormalMixture.normal(estimate, 0.0)),
        (WITH_ITS_ERROR, NormalMixture.normal(estimate, se)),
    ]
    if estimate > cut:
        beliefs.append((AS_SELECTED, NormalMixture.normal(max(conditional_estimate(estimate, se, cut), 0.0), 0.0)))
    beliefs.append((SCEPTICALLY, prior.updated(estimate, se)))
    return tuple(reading_of(name, effect, next_se=next_se, alpha=alpha) for name, effect in beliefs)


def reading_of(name: str, effect: NormalMixture, *, next_se: float, alpha: float = 0.025) -> Reading:
    """A reading by any belief about the effect, for instance draws of a posterior (components without a spread)."""
    above(0.0, next_se=next_se)
    second = effect.widened(next_se)
    return Reading(name, effect, second.above(float(special.ndtri(1.0 - alpha)) * next_se), second)


def conditional_estimate(estimate: float, se: float, cut: float) -> float:
    """The effect under which an estimate above ``cut`` is most likely this one (Zhong & Prentice 2008).

    Raises
    ------
    ScenarioError : the estimate is not above ``cut``.

    Examples
    --------
    >>> round(conditional_estimate(3.0, 1.0, 1.96), 3), round(conditional_estimate(6.0, 1.0, 1.96), 3)
    (2.522, 6.0)
    """
    above(0.0, se=se)
    if not estimate > cut:
        raise ScenarioError(f"estimate {estimate:g} is not above {cut:g}", hint="it was not selected by this rule")

    def gap(m: float) -> float:
        a = (cut - m) / se
        # hazard of the normal distribution; log tails keep it where the tail is far out
        hazard = math.exp(-0.5 * a * a - 0.5 * math.log(2.0 * math.pi) - float(special.log_ndtr(-a)))
        return m + se * hazard - estimate

    low = estimate - se
    while gap(low) > 0.0:
        low = estimate - 2.0 * (estimate - low)
        if estimate - low > 1e6 * se:
            return -math.inf
    return float(optimize.brentq(gap, low, estimate, xtol=1e-12 * se))


@dataclass(frozen=True)
class Selection:
    """First trials of one size under a prior of effects: those that look good, and their second trials.

    share : of first trials that are selected. estimate, effect : their mean estimate and mean true effect. works : of
    them, the share whose effect is above 0. second_success : of their second trials, the share that succeeds.
    """

    share: float
    estimate: float
    effect: float
    works: float
    second_success: float

    @property
    def removed(self) -> float:
        """The part of the mean estimate of those selected that is not there."""
        return 1.0 - self.effect / self.estimate if self.estimate > 0.0 else math.nan


def selection(
    prior: NormalMixture, se: float, *, next_se: float, alpha: float = 0.025, selected_above: float | None = None
) -> Selection:
    """How much of what looks good is there, by the prior of effects alone: truncated normal means, and one integral.

    Examples
    --------
    >>> made = selection(NormalMixture.normal(0.0, 0.2), 0.2, next_se=0.09)
    >>> round(made.share, 3), round(made.removed, 3), round(made.second_success, 3)
    (0.083, 0.5, 0.681)
    """
    above(0.0, se=se, next_se=next_se)
    z = float(special.ndtri(1.0 - alpha))
    cut = z * se if selected_above is None else selected_above
    w, m, v = prior.weights, prior.means, prior.sds**2
    spread = np.sqrt(v + se * se)
    a = (cut - m) / spread
    p = special.ndtr(-a)
    height = np.exp(-0.5 * a * a) / math.sqrt(2.0 * math.pi)
    share = float(w @ p)
    if share <= 0.0:
        raise ScenarioError("no first trial is selected under this prior", hint="lower the bar, or see the prior")
    works = success = 0.0
    for k in range(len(w)):
        x, weight = upper_nodes(float(a[k]))
        y = m[k] + spread[k] * x
        pull = v[k] / spread[k] ** 2
        centre = m[k] + pull * (y - m[k])
        left = math.sqrt(pull) * se
        works += float(w[k] * (weight @ (special.ndtr(centre / left) if left > 0.0 else (centre > 0.0))))
        success += float(w[k] * (weight @ special.ndtr((centre - z * next_se) / math.hypot(left, next_se))))
    return Selection(
        share=share,
        estimate=float(w @ (m * p + spread * height)) / share,
        effect=float(w @ (m * p + v / spread * height)) / share,
        works=works / share,
        second_success=success / share,
    )
