"""Absolute risks and the small sums of the page, each a plain function that a command can repeat.

Sources: R. G. Newcombe, Statistics in Medicine 1998;17:857-872 (Wilson score interval of one proportion) and
17:873-890 (interval of a difference, his method 10, without continuity correction); D. G. Altman, BMJ 1998;317:1309
(numbers needed to treat and their intervals).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

from equipoise.errors import DataError


@dataclass(frozen=True, slots=True)
class RiskDifference:
    """A difference of two proportions (first minus second) with its interval, as fractions."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class NumberNeeded:
    """One more event for every ``estimate`` people; (``low``, ``high``) by inverting the interval."""

    estimate: float
    low: float
    high: float


def wilson(events: int, total: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of ``events / total``, as fractions.

    Raises :class:`DataError` unless 0 <= events <= total, total > 0 and 0 < level < 1.
    """
    if not (0 <= events <= total and total > 0):
        raise DataError(f"{events} of {total} is no proportion", hint="give 0 <= events <= total and total > 0")
    if not 0 < level < 1:
        raise DataError(f"a level of {level} is no coverage", hint="give a level between 0 and 1, for instance 0.95")
    z = NormalDist().inv_cdf(0.5 + level / 2.0)
    p = events / total
    centre = 2 * total * p + z * z
    half = z * math.sqrt(z * z + 4 * total * p * (1 - p))
    below, above = (centre - half) / (2 * (total + z * z)), (centre + half) / (2 * (total + z * z))
    # the bounds at 0 and 1 are exact; rounding must not push them past
    return (0.0 if events == 0 else max(0.0, below)), (1.0 if events == total else min(1.0, above))


def risk_difference(events_1: int, total_1: int, events_2: int, total_2: int, level: float = 0.95) -> RiskDifference:
    """Risk in group 1 minus risk in group 2, with Newcombe's hybrid score interval (method 10)."""
    low_1, high_1 = wilson(events_1, total_1, level)
    low_2, high_2 = wilson(events_2, total_2, level)
    p_1, p_2 = events_1 / total_1, events_2 / total_2
    difference = p_1 - p_2
    return RiskDifference(
        difference,
        difference - math.hypot(p_1 - low_1, high_2 - p_2),
        difference + math.hypot(high_1 - p_1, p_2 - low_2),
    )


def number_needed(events_1: int, total_1: int, events_2: int, total_2: int) -> NumberNeeded | None:
    """People per additional event in group 1; None where the interval of the risk difference includes 0 (then the
    number and its interval would run through infinity) or the risk is lower in group 1."""
    rd = risk_difference(events_1, total_1, events_2, total_2)
    if rd.low <= 0:
        return None
    return NumberNeeded(1 / rd.estimate, 1 / rd.high, 1 / rd.low)


def share(events: int, total: int) -> float:
    """``events / total`` as a fraction."""
    return events / total


def rule_of_three(total: int, level: float = 0.95) -> float:
    """The risk that ``total`` people without a single event cannot exclude: exact upper bound, as a fraction."""
    return 1.0 - math.exp(math.log(1.0 - level) / total)


def standardised_gain(events_1: int, total_1: int, events_2: int, total_2: int) -> float:
    """People of group 1 with the event beyond what the risk of group 2 would give among as many."""
    return events_1 - events_2 * total_1 / total_2


def share_of_gain(part: tuple[int, int, int, int], rest: tuple[int, int, int, int]) -> float:
    """The share of the gain (see :func:`standardised_gain`) that one of two strata gives.

    >>> round(share_of_gain((11, 15, 6, 17), (46, 62, 39, 61)), 2)
    0.47
    """
    here = standardised_gain(*part)
    return here / (here + standardised_gain(*rest))


def interaction(difference_1: float, se_1: float, difference_2: float, se_2: float) -> float:
    """Two-sided P value of the difference between two independent estimates (Altman and Bland, BMJ 2003;326:219).

    >>> round(interaction(1.2, 2.22, 1.4, 1.28), 2)
    0.94
    """
    z = abs(difference_1 - difference_2) / math.hypot(se_1, se_2)
    return 2.0 * (1.0 - NormalDist().cdf(z))


def interaction_of_risks(part: tuple[int, int, int, int], rest: tuple[int, int, int, int]) -> float:
    """The same of two differences in risk, each of (events, total) in two groups; unpooled standard errors."""

    def estimate(a: int, n: int, c: int, m: int) -> tuple[float, float]:
        p, q = a / n, c / m
        return p - q, math.sqrt(p * (1 - p) / n + q * (1 - q) / m)

    return interaction(*estimate(*part), *estimate(*rest))


def false_alarms(alpha: float) -> float:
    """How often a two-sided test at level ``alpha`` rejects, on either side, where there is no effect."""
    return alpha


def false_alarms_in_favour(alpha: float) -> float:
    """How often it does so on the side that favours the treatment."""
    return alpha / 2.0


def within_errors(k: float) -> float:
    """How often a normal estimate falls within ``k`` standard errors of the truth."""
    return 2.0 * NormalDist().cdf(k) - 1.0


def percent_lower(ratio: float) -> float:
    """A ratio below 1 as the percentage by which it is lower: 0.33 gives 67."""
    return 100.0 * (1.0 - ratio)


def sd_from_se(se: float, n: int) -> float:
    """The standard deviation that a standard error of one arm's mean of ``n`` people implies."""
    return se * math.sqrt(n)


def detectable_difference(se: float, power: float = 0.8, alpha: float = 0.05) -> float:
    """The true difference that a two-sided test finds with the given power when its standard error is ``se``."""
    normal = NormalDist()
    return (normal.inv_cdf(1 - alpha / 2) + normal.inv_cdf(power)) * se


def power_at(difference: float, se: float, alpha: float = 0.05) -> float:
    """Power of a two-sided normal test at a true difference, given the standard error; both tails counted."""
    normal = NormalDist()
    z = normal.inv_cdf(1 - alpha / 2)
    shift = difference / se
    return normal.cdf(shift - z) + normal.cdf(-shift - z)


def power_of_means(difference: float, sd: float, n_1: float, n_2: float, alpha: float = 0.05) -> float:
    """Power of a two-sided normal test of two means that differ by ``difference``, ``sd`` the spread of one person.

    >>> round(power_of_means(3.09, 3.166, 40, 20), 2)
    0.95
    """
    return power_at(difference, sd * math.sqrt(1.0 / n_1 + 1.0 / n_2), alpha)


def over_weeks(rate: float, weeks: float) -> float:
    """A rate per month of 30.4375 days as the change over some weeks."""
    return rate * (weeks * 7.0 / 30.4375)


def people_needed(difference: float, se: float, people: float, power: float = 0.8, alpha: float = 0.05) -> float:
    """People that a trial of the same kind needs to find ``difference``, if ``people`` of them gave the error ``se``.

    The standard error shrinks with the root of the number of people, all else equal.

    >>> round(people_needed(1.1, 2.22, 60), -2)
    1900.0
    """
    return people * (detectable_difference(se, power, alpha) / difference) ** 2


def people_by_design(
    people: float, weeks: float, length: float, lag: float = 0.0, delayed_after: float | None = None
) -> float:
    """People that a trial of ``length`` weeks needs, if one of ``weeks`` needs ``people`` for a slowing from day one.

    Slopes that differ between people make the spread of a change grow with time, so that length alone changes nothing;
    a slowing that begins after a ``lag`` leaves ``length - lag`` weeks of it. Early against delayed start is left with
    the weeks by which one began before the other (``delayed_after``), whatever the lag.

    >>> round(people_by_design(100, 28, 28, 16)), round(people_by_design(100, 28, 52, 16))
    (544, 209)
    >>> round(people_by_design(100, 28, 52, 16, delayed_after=28))
    345
    """
    if weeks <= 0 or length <= 0 or not 0 <= lag < length:
        raise DataError(
            f"a lag of {lag:g} in {length:g} weeks leaves nothing to see", hint="give a lag within the trial"
        )
    return people * (length / ((length - lag) if delayed_after is None else delayed_after)) ** 2


def se_from_interval(low: float, high: float, level: float = 0.95) -> float:
    """The standard error a symmetric normal interval implies."""
    return (high - low) / (2.0 * NormalDist().inv_cdf(0.5 + level / 2.0))


def confidence_above(estimate: float, low: float, high: float, threshold: float, level: float = 0.95) -> float:
    """The share of trials that would give ``estimate`` or less, were the true difference ``threshold``.

    It is the share of the confidence distribution above the threshold, by a normal approximation from the interval; not
    a probability that the drug works.

    >>> round(confidence_above(1.2, -3.19, 5.53, 3.24), 2)
    0.18
    """
    return 1.0 - NormalDist(estimate, se_from_interval(low, high, level)).cdf(threshold)


def detectable_standardised(n_1: int, n_2: int, power: float = 0.8, alpha: float = 0.05) -> float:
    """The true difference of two means, in standard deviations, that groups of this size find with the given power."""
    return detectable_difference(math.sqrt(1.0 / n_1 + 1.0 / n_2), power, alpha)


def se_from_ratio(low: float, high: float, level: float = 0.95) -> float:
    """The standard error of the logarithm of a ratio that its interval implies."""
    return se_from_interval(math.log(low), math.log(high), level)


def smallest_significant(se: float, alpha: float = 0.05) -> float:
    """The smallest estimate that a two-sided normal test calls significant when its standard error is ``se``."""
    return NormalDist().inv_cdf(1 - alpha / 2) * se


def smallest_significant_ratio(low: float, high: float, alpha: float = 0.05) -> float:
    """The ratio below 1 nearest to it that would be called significant, given an interval of the same width."""
    return math.exp(-smallest_significant(se_from_ratio(low, high), alpha))


def surprise(p: float) -> float:
    """The surprise of a p-value in bits: as many tosses of a fair coin that all land heads (Shannon; Greenland,
    American Statistician 2019;73:106-114)."""
    return -math.log2(p)


def as_share_of(difference: float, change: float) -> float:
    """A difference as a share of the size of a change, as a fraction."""
    return difference / abs(change)


def per_month(change: float, weeks: float) -> float:
    """A change over some weeks as a rate per month of 30.4375 days."""
    return change / (weeks * 7.0 / 30.4375)


def expected_small(tests: int, alpha: float = 0.05) -> float:
    """How many of so many p-values fall below ``alpha`` on average where nothing has an effect."""
    return tests * alpha


@dataclass(frozen=True, slots=True)
class InHundred:
    """People with an event among ``of`` of them."""

    people: float
    of: int = 100


def in_hundred(events: float, total: float) -> InHundred:
    """``events`` of ``total`` as so many in a hundred."""
    return InHundred(100.0 * events / total)
