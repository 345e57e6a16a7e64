"""Assurance and the value of information in closed form: a normal estimate, and a normal belief about its effect.

Power asks how often a trial succeeds if the effect is known; assurance averages that over what is believed of the
effect (O'Hagan, Stevens & Campbell 2005, Pharm Stat 4:187). It cannot exceed the probability that the drug works at
all, so that no size of trial brings it to 1. What a trial is worth is what it changes in the decision after it
(Raiffa & Schlaifer 1961; Ades, Lu & Claxton 2004, Med Decis Making 24:207).

Simulated designs have the same, averaged over mechanisms and draws: :meth:`equipoise.design.DesignResult.assurance`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import polars as pl
from scipy import special

from equipoise.decision.power import above, upper_nodes
from equipoise.errors import ScenarioError


@dataclass(frozen=True)
class Assurance:
    """How likely a trial is to succeed, averaged over a belief, and what success then means.

    assurance : success, averaged. power : success if the effect is the mean of the belief. bound : that the effect is
    above the threshold, which is as high as the assurance of ever larger trials comes (with the threshold at no
    effect). The four parts add up to 1: ``works`` means an effect above the threshold, ``shown`` a successful trial.
    """

    mean: float
    sd: float
    se: float
    alpha: float
    threshold: float
    assurance: float
    power: float
    bound: float
    works_and_shown: float
    works_and_missed: float
    nothing_and_shown: float
    nothing_and_not_shown: float

    @property
    def works_if_shown(self) -> float:
        """That the drug works, after a success; NaN where no success can be."""
        return self.works_and_shown / self.assurance if self.assurance > 0.0 else math.nan

    def row(self) -> dict[str, Any]:
        """As a row of a table."""
        return {**self.__dict__, "works_if_shown": self.works_if_shown}

    def to_frame(self) -> pl.DataFrame:
        """One row."""
        return pl.DataFrame([self.row()])

    def to_sentence(self) -> str:
        """The answer in words."""
        return (
            f"assurance {100 * self.assurance:.1f} % (power at the mean {100 * self.power:.1f} %; at most "
            f"{100 * self.bound:.1f} %, the probability that the effect is above {self.threshold:g})"
        )

    def __str__(self) -> str:
        parts = (
            ("works and shown", self.works_and_shown),
            ("works and missed", self.works_and_missed),
            ("does nothing and shown", self.nothing_and_shown),
            ("does nothing and not shown", self.nothing_and_not_shown),
        )
        return self.to_sentence() + "".join(f"\n  {name}: {100 * p:.1f} %" for name, p in parts)


def assurance(*, mean: float, sd: float, se: float, alpha: float = 0.025, threshold: float = 0.0) -> Assurance:
    """The probability that a trial succeeds, averaged over a normal belief about the effect (O'Hagan et al. 2005).

    With a belief ``N(mean, sd^2)`` and an estimate of standard error ``se`` it is
    ``Phi((mean - z se) / sqrt(sd^2 + se^2))``, ``z`` the quantile of ``1 - alpha``. The parts of it are one integral
    over the belief.

    Parameters
    ----------
    mean, sd : of the belief about the effect, better when larger; ``sd`` 0 for certainty. se : of the trial's estimate,
    in the same units. alpha : one-sided level. threshold : an effect above it counts as working.

    Raises
    ------
    ScenarioError : a number out of its range.

    Examples
    --------
    >>> made = assurance(mean=2.2, sd=1.5, se=1)
    >>> print(made)
    assurance 55.3 % (power at the mean 59.5 %; at most 92.9 %, the probability that the effect is above 0)
      works and shown: 55.2 %
      works and missed: 37.6 %
      does nothing and shown: 0.1 %
      does nothing and not shown: 7.1 %
    """
    above(0.0, se=se)
    above(-1e-300, sd=sd)
    _finite(mean=mean, threshold=threshold)
    if not 0.0 < alpha < 1.0:
        raise ScenarioError(f"alpha = {alpha:g}", hint="give a one-sided level between 0 and 1, e.g. 0.025")
    cut = float(special.ndtri(1.0 - alpha)) * se
    whole = float(special.ndtr((mean - cut) / math.hypot(sd, se)))
    power = float(special.ndtr((mean - cut) / se))
    if sd == 0.0:
        bound = float(mean > threshold)
        shown = power * bound
    else:
        bound = float(special.ndtr((mean - threshold) / sd))
        z, weight = upper_nodes((threshold - mean) / sd)
        shown = float(weight @ special.ndtr((mean + sd * z - cut) / se))
    # of the parts that are small, none may fall below 0 by rounding
    missed, false = max(bound - shown, 0.0), max(whole - shown, 0.0)
    left = max(1.0 - bound - false, 0.0)
    return Assurance(mean, sd, se, alpha, threshold, whole, power, bound, shown, missed, false, left)


@dataclass(frozen=True)
class ValueOfInformation:
    """What knowing more is worth before a decision whose gain is the effect above a threshold.

    now : the gain of the best decision on the belief alone. evpi : the expected value of perfect information, what
    certainty would add. evsi : what a trial of standard error ``se`` would add; None where none was named. All in units
    of the effect, for each one to whom the decision applies.
    """

    mean: float
    sd: float
    threshold: float
    now: float
    evpi: float
    se: float | None = None
    evsi: float | None = None

    def row(self) -> dict[str, Any]:
        """As a row of a table."""
        return dict(self.__dict__)

    def to_frame(self) -> pl.DataFrame:
        """One row."""
        return pl.DataFrame([self.row()])

    def to_sentence(self) -> str:
        """The answer in words."""
        sample = (
            ""
            if self.evsi is None
            else f"; a trial with standard error {self.se:g} adds {self.evsi:.6g}, "
            f"{100 * (self.evsi / self.evpi if self.evpi > 0.0 else 1.0):.0f} % of that"
        )
        act = "give it" if self.mean > self.threshold else "do not give it"
        return f"deciding now ({act}) gains {self.now:.6g}; certainty adds {self.evpi:.6g}{sample}"

    def __str__(self) -> str:
        return self.to_sentence()


def value_of_information(
    *, mean: float, sd: float, se: float | None = None, threshold: float = 0.0
) -> ValueOfInformation:
    """Expected value of perfect and of sample information: give the drug (gain: effect minus threshold), or not (0).

    With ``u = (mean - threshold) / s`` the expected gain of deciding when the mean of the belief has spread ``s`` is
    ``s (phi(u) + u Phi(u))`` (unit normal loss, Raiffa & Schlaifer 1961); ``s = sd`` for certainty, and
    ``sd^2 / sqrt(sd^2 + se^2)``, the spread of the mean after a trial, for a trial.

    Parameters
    ----------
    mean, sd : of the belief about the effect, better when larger. se : of a trial's estimate. threshold : the effect
    from which on giving the drug is worth its burden.

    Raises
    ------
    ScenarioError : a number out of its range.

    Examples
    --------
    >>> made = value_of_information(mean=1, sd=2, se=1)
    >>> round(made.evpi, 6), round(made.evsi, 6)
    (0.395593, 0.322342)
    """
    above(-1e-300, sd=sd)
    _finite(mean=mean, threshold=threshold)
    if se is not None:
        above(0.0, se=se)
    gain = mean - threshold
    now = max(gain, 0.0)
    sample = None if se is None else max(_gain(gain, sd * sd / math.hypot(sd, se)) - now, 0.0)
    return ValueOfInformation(mean, sd, threshold, now, max(_gain(gain, sd) - now, 0.0), se, sample)


def _gain(above: float, spread: float) -> float:
    """The mean of the larger of 0 and a normal value."""
    if spread == 0.0:
        return max(above, 0.0)
    u = above / spread
    return spread * (math.exp(-0.5 * u * u) / math.sqrt(2.0 * math.pi) + u * float(special.ndtr(u)))


def _finite(**values: float) -> None:
    for name, value in values.items():
        if not math.isfinite(value):
            raise ScenarioError(f"{name} = {value:g}", hint="give a finite number")
