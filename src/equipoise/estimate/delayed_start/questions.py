"""The three questions of a delayed-start trial, their contrasts and the order in which they are asked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real

import numpy as np
from scipy import special

from equipoise.errors import DataError, EstimationError, NoVisitError
from equipoise.estimate.result import Estimate
from equipoise.types import BoolArray, FloatArray

LIU_SEIFERT = "Liu-Seifert et al. 2015, PLoS ONE 10:e0119632"
ADAGIO = "Olanow et al. 2009, N Engl J Med 361:1268"

DELTA1, DELTA2, CHANGE, PRESERVED, SLOPE1, SLOPE2 = "delta1", "delta2", "change", "preserved", "slope1", "slope2"
THIRD = ("preserved", "difference", "slope")


@dataclass(frozen=True)
class Question:
    """One question: is ``estimate`` above minus ``margin``, at one-sided level ``alpha``?

    asks : the question in words. tested : whether the questions before were all answered yes. p : one-sided.
    """

    key: str
    asks: str
    estimate: Estimate
    margin: float
    alpha: float
    tested: bool

    @property
    def p(self) -> float:
        """One-sided p-value; NaN where the estimate is not there, as its reason says."""
        return float(one_sided(self.estimate.estimate, self.estimate.se, self.estimate.df, self.margin))

    @property
    def met(self) -> bool:
        """Whether this criterion holds by itself; False where it cannot be estimated."""
        return bool(self.p < self.alpha)

    def to_sentence(self) -> str:
        """The question and its answer in words."""
        if not self.estimate.estimable:
            return f"{self.key}. {self.asks} Cannot be said: {self.estimate.reason}."
        answer = "yes" if self.met else "not shown"
        if not self.tested:
            answer += " (descriptive: an earlier question was not answered yes)"
        p = "P < 0.0001" if self.p < 1e-4 else f"P = {self.p:.4f}"
        return (
            f"{self.key}. {self.asks} {answer[0].upper()}{answer[1:]}: {self.estimate.estimate:.3g} "
            f"({100 * self.estimate.level:g} % CI {self.estimate.low:.3g} to {self.estimate.high:.3g}), "
            f"one-sided {p} against {self.alpha:g}."
        )


def one_sided(
    estimate: float | FloatArray, se: float | FloatArray, df: float | FloatArray, margin: float
) -> FloatArray:
    """One-sided p-value that a quantity exceeds minus ``margin``; elementwise."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(special.stdtr(df, -(np.asarray(estimate) + margin) / np.asarray(se)))


def in_order(questions: Sequence[tuple[str, str, Estimate, float, float]]) -> tuple[Question, ...]:
    """Questions from (key, words, estimate, margin, alpha), each tested only if all before were answered yes."""
    made: list[Question] = []
    for key, asks, estimate, margin, alpha in questions:
        made.append(Question(key, asks, estimate, margin, alpha, all(q.met for q in made)))
    return tuple(made)


@dataclass(frozen=True)
class Criteria:
    """What is asked and how strictly.

    alpha : one-sided level of Q1 and Q2. alpha_third : one-sided level of Q3. third : ``preserved`` (``delta2 -
    fraction delta1 > 0``), ``difference`` (``delta2 - delta1 > -margin``) or ``slope`` (difference of slopes over
    period 2 above
    ``-margin``). margin : for the last two, in points or points a unit of time, 0 or more. first : what Q1 asks
    about, the ``difference`` at the end of period 1 or the ``slope`` over it.
    """

    alpha: float = 0.025
    alpha_third: float = 0.05
    third: str = "preserved"
    fraction: float = 0.5
    margin: float | None = None
    first: str = "difference"

    def __post_init__(self) -> None:
        for name, value in (("alpha", self.alpha), ("alpha_third", self.alpha_third)):
            if not 0.0 < value < 0.5:
                raise EstimationError(f"{name} = {value!r}", hint="give a one-sided level, such as 0.025")
        if self.first not in ("difference", "slope"):
            raise EstimationError(f"unknown first question {self.first!r}", hint="difference or slope")
        if self.third not in THIRD:
            raise EstimationError(f"unknown third question {self.third!r}", hint="choose one of " + ", ".join(THIRD))
        if not 0.0 < self.fraction <= 1.0:
            raise EstimationError(f"fraction = {self.fraction!r}", hint="the share of delta1 to be kept, such as 0.5")
        if self.third == "preserved":
            if self.margin is not None:
                raise EstimationError("a margin with third='preserved'", hint="its margin is the fraction of delta1")
        elif self.margin is None or not (math.isfinite(self.margin) and self.margin >= 0.0):
            raise EstimationError(
                f"third={self.third!r} with margin {self.margin!r}",
                hint="give the margin of non-inferiority, 0 or more",
            )

    @property
    def asked(self) -> tuple[str, str, str]:
        """The quantities behind Q1, Q2 and Q3."""
        first = SLOPE1 if self.first == "slope" else DELTA1
        return first, DELTA2, {"preserved": PRESERVED, "difference": CHANGE, "slope": SLOPE2}[self.third]

    @property
    def margins(self) -> tuple[float, float, float]:
        return 0.0, 0.0, self.margin or 0.0

    @property
    def alphas(self) -> tuple[float, float, float]:
        return self.alpha, self.alpha, self.alpha_third

    def level_of(self, name: str, level: float) -> float:
        """Coverage of the interval of a quantity: that of its one-sided test for what Q3 is about."""
        return 1.0 - 2.0 * self.alpha_third if name in (CHANGE, PRESERVED, SLOPE2) else level

    def words(self, first: str, second: str, unit: str) -> tuple[str, str, str]:
        """The questions in words; ``first`` and ``second`` name the ends of the periods."""
        third = {
            "preserved": f"Is more than {100 * self.fraction:g} % of the first difference kept at {second}?",
            "difference": f"Has the difference shrunk by less than {self.margin:g} points at {second}?"
            if self.margin is not None
            else "",
            "slope": f"Is the early arm's slope over period 2 less than {self.margin:g} {unit} worse?"
            if self.margin is not None
            else "",
        }[self.third]
        one = f"at {first}" if self.first == "difference" else "in slope over period 1"
        return f"Is the early start better {one}?", f"Is it better at {second}?", third


def weights(
    weeks: FloatArray,
    *,
    period_end: float,
    week: float,
    fraction: float,
    slope_weeks: Sequence[float] | None,
    first_slope_weeks: Sequence[float] | None,
) -> dict[str, FloatArray]:
    """(visit,) weights of the visits' differences for every quantity.

    A slope is the least-squares slope of the differences on time over its visits. Raises :class:`DataError` for weeks
    without a visit, or slopes over fewer than two.
    """

    def at(when: float) -> int:
        hit = np.flatnonzero(np.isclose(weeks, when))
        if hit.size == 0:
            raise NoVisitError(
                f"no visit at week {when:g}", hint="visits are at weeks " + ", ".join(f"{w:g}" for w in weeks)
            )
        return int(hit[0])

    def slope(chosen: Sequence[float]) -> FloatArray:
        places = [at(float(w)) for w in chosen]
        if len(set(places)) < 2:
            raise DataError("a slope over fewer than two visits", hint="name two visits of the period or more")
        t = weeks[places] - weeks[places].mean()
        out = np.zeros(len(weeks))
        out[places] = t / (t**2).sum()
        return out

    numbers = [isinstance(v, Real) and not np.isnan(float(v)) for v in (period_end, week)]
    if not all(numbers):
        raise EstimationError(
            f"period 1 ends at {period_end!r}, period 2 at {week!r}",
            hint="give numbers: visits are at weeks " + ", ".join(f"{w:g}" for w in weeks),
        )
    if not period_end < week:
        raise EstimationError(
            f"period 1 ends at week {period_end:g}, period 2 at week {week:g}", hint="the second must come later"
        )
    unit = np.eye(len(weeks))
    one, two = unit[at(period_end)], unit[at(week)]
    made = {DELTA1: one, DELTA2: two, CHANGE: two - one, PRESERVED: two - fraction * one}
    first = weeks[weeks <= period_end + 1e-9] if first_slope_weeks is None else np.asarray(first_slope_weeks)
    second = weeks[(weeks > period_end + 1e-9) & (weeks <= week + 1e-9)] if slope_weeks is None else slope_weeks
    for name, chosen, given in ((SLOPE1, first, first_slope_weeks), (SLOPE2, second, slope_weeks)):
        if given is not None or len(chosen) > 1:
            made[name] = slope([float(w) for w in chosen])
    return made


def decide(
    estimate: Mapping[str, FloatArray], se: Mapping[str, FloatArray], df: Mapping[str, FloatArray], criteria: Criteria
) -> BoolArray:
    """(trial, 3) whether Q1, Q2 and Q3 are each met by themselves; False where not estimated."""
    columns = [
        one_sided(estimate[name], se[name], df[name], margin) < alpha
        for name, margin, alpha in zip(criteria.asked, criteria.margins, criteria.alphas, strict=True)
    ]
    return np.stack(columns, axis=1)
