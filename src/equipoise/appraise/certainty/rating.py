"""The sums behind a certainty rating: imprecision from an interval, risk of bias over its domains, the level that is
left, the strength of a recommendation. Each is a plain function that a command can repeat.

Sources: G. Guyatt et al., Core GRADE 2, BMJ 2025;389:e081904 (the target of the rating and the thresholds for
imprecision); L. Zeng et al., GRADE guidance 34, J Clin Epidemiol 2022;150:216-224 (crossing two thresholds; the optimal
information size where none is crossed); J. A. C. Sterne et al., RoB 2, BMJ 2019;366:l4898 (five domains, judged for
one result); G. Guyatt et al., GRADE guidelines 6, J Clin Epidemiol 2011;64:1283-1293 (information size).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

from equipoise.appraise.absolute_risk import se_from_interval
from equipoise.errors import DataError

Level = Literal["high", "moderate", "low", "very low"]
LEVELS: tuple[Level, ...] = ("very low", "low", "moderate", "high")
Concern = Literal["none", "serious", "very serious"]
STEPS: Mapping[str, int] = {"none": 0, "serious": 1, "very serious": 2}
Bias = Literal["low", "some concerns", "high"]
Strength = Literal["strong", "conditional", "none"]


@dataclass(frozen=True, slots=True)
class Imprecision:
    """How precise an estimate is, given a threshold of importance.

    ``target``: what the certainty is about - an ``important benefit``, an ``important harm``, ``little or no effect``
    (where the estimate lies within the thresholds) or ``any effect`` (no threshold given). ``information`` is the
    information at hand over that of a trial that finds the threshold with 80 % power at the two-sided 5 % level; None
    without a threshold.
    """

    target: Literal["important benefit", "important harm", "little or no effect", "any effect"]
    includes_null: bool
    crosses_benefit: bool
    crosses_harm: bool
    information: float | None
    concern: Concern


def imprecision(
    estimate: float, low: float, high: float, threshold: float | None = None, level: float = 0.95
) -> Imprecision:
    """Rate the imprecision of an estimate on a scale where 0 is no effect and positive favours the treatment.

    With a ``threshold`` T > 0 (the smallest effect that matters): one step down for each of T and -T that lies within
    the interval; where neither does but the information is below what T asks for, one step, two below half of it.
    Without: one step down if the interval includes 0.

    Raises
    ------
    DataError : an interval that does not hold its estimate, a threshold that is not positive.
    """
    if not (low <= estimate <= high and low < high):
        raise DataError(
            f"the interval {low:g} to {high:g} does not hold the estimate {estimate:g}",
            hint="give estimate, lower and upper limit on a scale where positive favours the treatment",
        )
    null = low <= 0.0 <= high
    if threshold is None:
        return Imprecision("any effect", null, False, False, None, "serious" if null else "none")
    if not threshold > 0:
        raise DataError(f"a threshold of {threshold:g} is no smallest important effect", hint="give a positive number")
    benefit, harm = low < threshold < high, low < -threshold < high
    information = information_ratio(low, high, threshold, level)
    steps = int(benefit) + int(harm)
    if steps == 0 and information < 1:
        steps = 2 if information < 0.5 else 1
    target: Literal["important benefit", "important harm", "little or no effect"] = (
        "important benefit"
        if estimate >= threshold
        else "important harm"
        if estimate <= -threshold
        else "little or no effect"
    )
    return Imprecision(target, null, benefit, harm, information, ("none", "serious", "very serious")[steps])


def information_ratio(low: float, high: float, threshold: float, level: float = 0.95) -> float:
    """Information at hand over that of a trial with 80 % power (two-sided 5 %) to find ``threshold``."""
    normal = NormalDist()
    wanted = abs(threshold) / (normal.inv_cdf(0.975) + normal.inv_cdf(0.8))
    return (wanted / se_from_interval(low, high, level)) ** 2


def important_difference(share: float, change: float) -> float:
    """The difference that slows a loss of ``change`` by ``share``."""
    return share * abs(change)


def log_threshold(ratio: float) -> float:
    """A ratio that matters as a distance from no effect on the log scale."""
    return abs(math.log(ratio))


def overall_bias(domains: Iterable[Bias]) -> Bias:
    """RoB 2 over its domains: high if one is high, some concerns if one raises some, else low.

    Several domains with some concerns may also amount to high; that step is a judgement and is left to the judge.
    """
    found = set(domains)
    return "high" if "high" in found else "some concerns" if "some concerns" in found else "low"


BIAS_STEP: Mapping[Bias, Concern] = {"low": "none", "some concerns": "serious", "high": "serious"}
"""The one rule of these pages: whatever RoB 2 does not call low takes one step; two are never taken for bias alone."""

SIZES = ("trivial", "small", "moderate", "large")
"""Sizes of desirable and undesirable effects that can be compared."""


Size = Literal["trivial", "small", "moderate", "large"]


def size(multiple: float) -> Size:
    """The size of an effect by how many times it is the smallest effect that matters, the same rule for every trial.

    Below one trivial, from one small, from two moderate, from four large; on the log scale for ratios.

    >>> size(0.7), size(1.8), size(2.5)
    ('trivial', 'small', 'moderate')
    """
    return "trivial" if multiple < 1 else "small" if multiple < 2 else "moderate" if multiple < 4 else "large"


def times_threshold(estimate: float, threshold: float) -> float:
    """An effect as a multiple of the smallest one that matters, both on the scale of :func:`imprecision`."""
    return estimate / threshold


def balances(desirable: str, undesirable: str) -> frozenset[str]:
    """The balances that stated sizes leave open: the larger side is favoured, equal sizes favour one side at most
    probably, and sizes that cannot be compared (``varies``, ``unknown``) never without a "probably".

    >>> sorted(balances("small", "moderate"))
    ['favours the comparison', 'neither', 'probably favours the comparison', 'unknown', 'varies']
    """
    open_ = {"neither", "varies", "unknown"}
    hedged = {"probably favours the intervention", "probably favours the comparison"}
    if desirable not in SIZES or undesirable not in SIZES or desirable == undesirable:
        return frozenset(open_ | hedged)
    side = "intervention" if SIZES.index(desirable) > SIZES.index(undesirable) else "comparison"
    return frozenset(open_ | {f"favours the {side}", f"probably favours the {side}"})


def certainty(start: Literal["high", "low"], concerns: Iterable[Concern]) -> Level:
    """The level left when every concern has taken its steps from where the design starts."""
    steps = sum(STEPS[c] for c in concerns)
    return LEVELS[max(0, LEVELS.index(start) - steps)]


def lowest(levels: Iterable[Level]) -> Level | None:
    """The lowest of the levels (GRADE: the certainty over all critical outcomes); None of nothing."""
    return min(levels, key=LEVELS.index, default=None)


def risk_under_hazard_ratio(control_risk: float, hazard_ratio: float) -> float:
    """The risk with treatment if hazards are proportional: 1 - (1 - risk) ** HR, as a fraction."""
    if not 0 <= control_risk <= 1:
        raise DataError(f"{control_risk:g} is no risk", hint="give a fraction between 0 and 1")
    return float(1.0 - (1.0 - control_risk) ** hazard_ratio)


@dataclass(frozen=True, slots=True)
class Recommendation:
    """Direction and strength, and the judgements that keep it from being strong."""

    direction: Literal["for", "against", "neither"]
    strength: Strength
    held_back: tuple[str, ...]


_LEANS = {
    "favours the intervention": "for",
    "probably favours the intervention": "for",
    "favours the comparison": "against",
    "probably favours the comparison": "against",
}


def recommendation(level: Level | None, judgements: Mapping[str, str]) -> Recommendation:
    """Direction and strength from stated judgements, by a rule that anyone can repeat.

    The direction is that of the balance. It is strong only if the certainty is moderate or high, the balance is not
    hedged with "probably", values are not said to vary in a way that matters, and what is recommended is acceptable and
    feasible (at least probably): the intervention, where the direction is for it; to go without it always is. All else
    makes it conditional. Without a direction there is none.
    """
    balance = judgements.get("balance", "unknown")
    direction = _LEANS.get(balance)
    if direction is None:
        return Recommendation("neither", "none", ("balance",))
    held = []
    if level not in ("moderate", "high"):
        held.append("certainty")
    if balance.startswith("probably"):
        held.append("balance")
    if judgements.get("values") in ("important variability", "possibly important variability", None):
        held.append("values")
    if direction == "for":
        held += [k for k in ("acceptability", "feasibility") if judgements.get(k) not in ("yes", "probably yes")]
    return Recommendation("for" if direction == "for" else "against", "conditional" if held else "strong", tuple(held))
