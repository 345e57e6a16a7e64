"""Group sequential designs: boundaries, power, inflation, and the bounds at the information actually reached.

The alternative is on the right: ``Z`` large speaks for the active arm. The drift of a design is the mean of ``Z`` at
full information under the alternative; a fixed-sample test needs the drift ``z(1 - alpha) + z(1 - beta)`` and the
inflation factor is the squared ratio of the two: how much more information the design may need at most.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy import special

from equipoise.decision.recursion import REFERENCES as RECURSION
from equipoise.decision.recursion import Going, checked_information, exit_probabilities, start
from equipoise.decision.spending import (
    Efficacy,
    FixedFutility,
    Futility,
    HaybittlePeto,
    OBrienFlemingSpending,
    WangTsiatis,
)
from equipoise.errors import ScenarioError
from equipoise.estimate.fit import Fit, aligned, number
from equipoise.estimate.result import Estimate
from equipoise.types import BoolArray, FloatArray, IntArray

_LIMIT = 20.0  # no boundary lies further out than this


@dataclass(frozen=True, eq=False)
class Boundaries:
    """Boundaries for ``Z``, one a look.

    information : at each look. upper : efficacy, infinite where there is none. lower : futility (its mirror image for a
    two-sided test), minus infinity where there is none; equal to ``upper`` at a last look that decides. spent : error
    spent on efficacy up to each look, one side. nominal_p : one-sided P value that reaches the efficacy boundary.
    """

    information: FloatArray
    upper: FloatArray
    lower: FloatArray
    spent: FloatArray

    @property
    def nominal_p(self) -> FloatArray:
        """(look,) one-sided nominal significance levels."""
        return np.asarray(special.ndtr(-self.upper), dtype=np.float64)

    def decide(self, z: FloatArray) -> tuple[IntArray, IntArray]:
        """When and how trials stop, for one trial or many.

        Parameters
        ----------
        z : (..., look) statistics. Only the first of a trial's crossings counts; NaN (not estimable) crosses nothing.

        Returns
        -------
        look : (...) at which the trial stops, from 1; 0 where it goes on. side : (...) 1 for the upper boundary, -1 for
        the lower, 0 where it goes on.
        """
        statistic = np.asarray(z, dtype=np.float64)
        if statistic.shape[-1:] != self.upper.shape:
            raise ScenarioError(
                f"{statistic.shape[-1:]} statistics for {self.upper.size} looks", hint="give one a look"
            )
        side = np.where(statistic >= self.upper, 1, np.where(statistic < self.lower, -1, 0))
        first = (side != 0).argmax(axis=-1)
        chosen = np.take_along_axis(side, first[..., None], axis=-1)[..., 0]
        return np.where(chosen != 0, first + 1, 0).astype(np.int64), chosen.astype(np.int64)


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    from scipy import optimize  # here, not above: slow to load

    return float(optimize.brentq(function, low, high, xtol=1e-13, rtol=1e-14, maxiter=500))


def _upper(going: Going, information: float, error: float) -> float:
    """The boundary above which lies ``error``."""
    if going.above(information, _LIMIT) >= error or error <= 0.0:
        return math.inf
    if going.above(information, -_LIMIT) <= error:
        return -math.inf
    if going.information == 0.0 and going.theta == 0.0:
        return float(-special.ndtri(error))
    return _root(lambda z: going.above(information, z) / error - 1.0, -_LIMIT, _LIMIT)


def _lower(going: Going, information: float, error: float) -> float:
    """The boundary below which lies ``error``; infinite where less than that is left."""
    if error <= 0.0 or going.below(information, -_LIMIT) >= error:
        return -math.inf
    if going.below(information, _LIMIT) <= error:
        return math.inf
    return _root(lambda z: going.below(information, z) / error - 1.0, -_LIMIT, _LIMIT)


@dataclass(frozen=True)
class _Rules:
    alpha: float  # one side
    beta: float
    efficacy: Efficacy
    futility: Futility | None
    binding: bool
    two_sided: bool
    height: float  # of a Wang-Tsiatis boundary, NaN for others

    def interim(self, t: float, going: Going, information: float, used: float) -> float:
        """Efficacy boundary at an interim look at fraction ``t``."""
        rule = self.efficacy
        if isinstance(rule, HaybittlePeto):
            return rule.z
        if isinstance(rule, WangTsiatis):
            return float(self.height * t ** (rule.delta - 0.5))
        return _upper(going, information, float(rule.spent(np.array(t), self.alpha)) - used)

    def solve(
        self,
        info: FloatArray,
        fractions: FloatArray,
        theta: float,
        efficacy_at: BoolArray,
        futility_at: BoolArray,
        final: bool,
        planned: bool = True,
    ) -> tuple[Boundaries, float]:
        """Boundaries at the looks, and the power left over at a final look.

        Where futility meets efficacy at an interim look, a plan (``planned``) has more information than it needs; a
        trial that is under way stops there in any case.

        The second value is P(reach the last look, Z below its boundary) minus the error of the second kind still to be
        spent there: 0 for a design of the power wanted, negative for one of more. NaN without futility spending.
        """
        n = info.size
        upper, lower, spent = np.full(n, np.inf), np.full(n, -np.inf), np.zeros(n)
        null, alternative = start(0.0), start(theta)
        used = used_beta = 0.0
        excess = math.nan
        for k in range(n):
            last = final and k == n - 1
            if last:
                upper[k] = _upper(null, info[k], self.alpha - used)
                if self.alpha - used <= 1e-12 * self.alpha:
                    raise ScenarioError(
                        f"nothing of alpha = {self.alpha:g} is left for the last look: "
                        + (
                            f"the interim boundary {self.efficacy.z:g} already spends {used:.3g}"
                            if isinstance(self.efficacy, HaybittlePeto)
                            else "an interim look had reached full information"
                        ),
                        hint="raise the interim boundaries, or make the look at full information the last one",
                    )
            elif efficacy_at[k]:
                upper[k] = self.interim(float(fractions[k]), null, info[k], used)
            used += null.above(info[k], upper[k])
            spent[k] = used
            if self.two_sided:
                lower[k] = -upper[k]
            elif isinstance(self.futility, FixedFutility):
                lower[k] = upper[k] if last else self.futility.z[k] if futility_at[k] else -math.inf
            elif self.futility is not None:
                error = float(self.futility.spent(np.array(1.0 if last else fractions[k]), self.beta)) - used_beta
                if last:
                    excess = alternative.below(info[k], upper[k]) - error
                    lower[k] = upper[k]
                elif futility_at[k]:
                    lower[k] = _lower(alternative, info[k], error)
                if lower[k] >= upper[k] and not last:
                    if planned:
                        return Boundaries(info, upper, lower, spent), -1.0
                    lower[k] = upper[k]
                used_beta += alternative.below(info[k], lower[k])
            elif last:
                lower[k] = upper[k]
            if lower[k] > upper[k]:
                raise ScenarioError(
                    f"the futility boundary {lower[k]:.3g} of look {k + 1} lies above its efficacy boundary "
                    f"{upper[k]:.3g}",
                    hint="lower the futility boundary",
                )
            if k + 1 < n:
                stop_low = lower[k] if self.two_sided or self.binding else -math.inf
                null = null.after(info[k], stop_low, upper[k], info[k + 1])
                alternative = alternative.after(info[k], lower[k], upper[k], info[k + 1])
        return Boundaries(info, upper, lower, spent), excess


@dataclass(frozen=True, eq=False)
class GroupSequentialDesign(Fit):
    """A group sequential design on the scale of information fractions.

    fractions : (look,) of full information. alpha : error of the test (both sides together if ``sided`` is 2). power :
    at the alternative. boundaries : at the planned looks. drift : mean of Z at full information under the alternative;
    fixed_drift : that of the fixed-sample test. spending_time : (look,) shares of planned calendar time at which error
    is spent, None where it is spent on information.
    """

    fractions: FloatArray
    alpha: float
    power: float
    sided: int
    efficacy: Efficacy
    futility: Futility | None
    binding: bool
    efficacy_at: BoolArray
    futility_at: BoolArray
    boundaries: Boundaries
    drift: float
    fixed_drift: float
    rules: _Rules
    spending_time: FloatArray | None = None

    picture: ClassVar[str] = "boundaries"

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """None: a design estimates nothing."""
        return ()

    @property
    def upper(self) -> FloatArray:
        """(look,) efficacy boundaries for Z."""
        return self.boundaries.upper

    @property
    def lower(self) -> FloatArray:
        """(look,) futility boundaries for Z, or the mirror image of ``upper`` for a two-sided test."""
        return self.boundaries.lower

    @property
    def inflation(self) -> float:
        """Largest information over that of the fixed-sample test of the same power."""
        return (self.drift / self.fixed_drift) ** 2

    @property
    def references(self) -> tuple[str, ...]:
        """Sources of the boundaries and of the integration."""
        own = [self.efficacy.reference, *([self.futility.reference] if self.futility else [])]
        return (*dict.fromkeys(own), *RECURSION)

    def exit_probabilities(self, drift: float) -> tuple[FloatArray, FloatArray]:
        """(look,) probabilities of stopping at the upper and the lower boundary, if the mean of Z at full information
        is ``drift``: 0 for no effect, ``self.drift`` for the alternative. Boundaries are followed, binding or not.
        """
        stop = self.lower if self.sided == 2 or self.futility else np.full(self.upper.size, -np.inf)
        up, down = exit_probabilities(self.fractions, self.upper, stop, drift)
        return up, down

    def rejection_probability(self, drift: float) -> float:
        """Probability of rejecting for the active arm."""
        return float(self.exit_probabilities(drift)[0].sum())

    def type_one_error(self) -> float:
        """Probability of rejecting, for either side, without an effect; futility ignored unless binding."""
        stop = self.lower if self.sided == 2 or self.binding else np.full(self.upper.size, -np.inf)
        up, down = exit_probabilities(self.fractions, self.upper, stop)
        return float(up.sum() + (down.sum() if self.sided == 2 else 0.0))

    def expected_information(self, drift: float) -> float:
        """Expected information at the end of the trial, as a multiple of that of the fixed-sample test."""
        up, down = self.exit_probabilities(drift)
        stopping = (up + down)[:-1]
        left = 1.0 - stopping.sum()
        return float(self.inflation * (stopping @ self.fractions[:-1] + left * self.fractions[-1]))

    def information(self, effect: float) -> FloatArray:
        """(look,) information needed for the power at ``effect``: the inverse variance of its estimate."""
        if not (math.isfinite(effect) and effect != 0.0):
            raise ScenarioError(f"effect {effect!r}", hint="give the effect of the alternative, not 0")
        return self.fractions * (self.drift / effect) ** 2

    def at(
        self,
        information: Sequence[float] | FloatArray,
        maximum: float,
        *,
        final: bool | None = None,
        spending_time: Sequence[float] | FloatArray | None = None,
    ) -> Boundaries:
        """Boundaries at the information actually reached.

        Parameters
        ----------
        information : (look,) at the looks held so far, in the unit of ``maximum``, the planned full information.
        final : whether the last of these looks ends the trial; it then gets all error that is left, whether its
            information falls short of the plan or exceeds it. Default: it does where it reaches ``maximum``; of a
            design that spends on calendar time, where that time is over.
        spending_time : (look,) share of the planned calendar time that had passed at each look, for a design that
            spends on it. Correlations of the looks are those of the information, whatever it is.

        Futility boundaries keep the alternative that ``maximum`` was planned for. A look skips efficacy or futility as
        planned for the look of its number; looks beyond the plan have both.
        """
        info = checked_information(information)
        if not (math.isfinite(maximum) and maximum > 0.0):
            raise ScenarioError(f"maximum information {maximum!r}", hint="give the planned full information")
        if (spending_time is None) != (self.spending_time is None):
            what, mend = ("information", "leave out") if self.spending_time is None else ("calendar time", "give")
            raise ScenarioError(f"the design spends on {what}", hint=f"{mend} spending_time")
        passed = info / maximum if spending_time is None else _passed(spending_time, info.size)
        closing = bool(passed[-1] >= 1.0 - 1e-9) if final is None else final
        if isinstance(self.futility, FixedFutility) and info.size - closing > len(self.futility.z):
            raise ScenarioError(
                f"{info.size - closing} interim looks, futility boundaries for {len(self.futility.z)}",
                hint="fixed futility boundaries allow no looks beyond the plan",
            )
        wanted = np.ones((2, info.size), np.bool_)
        planned = min(info.size, self.fractions.size - 1)
        wanted[0, :planned] = self.efficacy_at[:planned]
        wanted[1, :planned] = self.futility_at[:planned]
        bounds, _ = self.rules.solve(info / maximum, passed, self.drift, wanted[0], wanted[1], closing, planned=False)
        return Boundaries(info, bounds.upper, bounds.lower, bounds.spent)

    def to_frame(self, *, level: float | None = None) -> Any:
        """One row a look, as a polars frame: fraction, boundaries, nominal P value, error spent, exit probabilities
        under both hypotheses. ``level`` has no meaning here: a design has no intervals.
        """
        rows = self._looks()
        return self._frame({key: [row[key] for row in rows] for key in rows[0]})

    def _looks(self) -> list[dict[str, Any]]:
        null, alternative = self.exit_probabilities(0.0), self.exit_probabilities(self.drift)
        return [
            {
                "look": k + 1,
                "fraction": float(self.fractions[k]),
                "upper_z": float(self.upper[k]),
                "lower_z": float(self.lower[k]),
                "nominal_p": float(self.boundaries.nominal_p[k]),
                "spent": float(self.boundaries.spent[k]),
                "efficacy_null": float(null[0][k]),
                "futility_null": float(null[1][k]),
                "efficacy_alternative": float(alternative[0][k]),
                "futility_alternative": float(alternative[1][k]),
            }
            for k in range(self.upper.size)
        ]

    def _title(self) -> str:
        kind = f"{'two' if self.sided == 2 else 'one'}-sided {100 * self.alpha:g} %"
        low = (
            f"; {'binding' if self.binding else 'non-binding'} futility: {self.futility.name}" if self.futility else ""
        )
        return f"Group sequential design, {self.efficacy.name}, {kind}{low}"

    def _told(self) -> Iterator[str]:
        yield self._title()
        yield f"power {100 * self.power:g} % with {self.inflation:.4f} times the information of one look"
        yield ""
        heads = {
            "fraction": "information",
            "upper_z": "efficacy Z",
            "lower_z": "futility Z",
            "nominal_p": "nominal p",
            "spent": "alpha spent",
            "efficacy_null": "P(stop), H0",
            "efficacy_alternative": "P(stop), H1",
        }
        if self.futility is None:
            heads["lower_z"] = "lower Z"
            if self.sided == 1:
                del heads["lower_z"]
        body = [
            (f"look {row['look']}", *("none" if math.isinf(row[key]) else number(row[key]) for key in heads))
            for row in self._looks()
        ]
        yield from aligned(("", *heads.values()), body)

    def _drawn(self) -> Any:
        futile = self.sided == 2 or self.futility is not None
        return [
            {
                "information": 100.0 * row["fraction"],
                "upper": row["upper_z"],
                "lower": row["lower_z"] if futile else None,
            }
            for row in self._looks()
        ]

    def __repr__(self) -> str:
        return f"<GroupSequentialDesign: {self.to_sentence().rstrip('.')}>"

    def to_sentence(self) -> str:
        """The design as a protocol would put it."""
        looks = ", ".join(f"{100 * t:.3g} %" for t in self.fractions)
        z = ", ".join("none" if math.isinf(b) else f"{b:.3f}" for b in self.upper)
        text = (
            f"{self.fractions.size} looks at {looks} of full information, {self.efficacy.name}, "
            f"{'two' if self.sided == 2 else 'one'}-sided {100 * self.alpha:g} %: Z boundaries {z}"
        )
        if self.futility is not None:
            kind = "binding" if self.binding else "non-binding"
            low = ", ".join("none" if math.isinf(a) else f"{a:.3f}" for a in self.lower[:-1])
            text += f"; {kind} futility ({self.futility.name}) {low}"
        return f"{text}; power {100 * self.power:g} % with {self.inflation:.4f} times the fixed-sample information."


def _flags(given: Sequence[bool] | None, n: int, what: str) -> BoolArray:
    if given is None:
        return np.ones(n, np.bool_)
    flags = np.asarray(given, dtype=np.bool_)
    if flags.shape != (n,) or not flags[-1]:
        raise ScenarioError(
            f"{what}: {list(given)!r} for {n} looks", hint="give one True or False a look; the last look always decides"
        )
    return flags


def _passed(spending_time: Sequence[float] | FloatArray, n: int) -> FloatArray:
    """(look,) shares of calendar time; raises :class:`ScenarioError` unless there is one a look, and they grow."""
    s = np.asarray(spending_time, dtype=np.float64)
    if s.shape != (n,) or not np.isfinite(s).all() or s[0] <= 0.0 or (np.diff(s) <= 0.0).any():
        raise ScenarioError(
            f"spending_time {list(np.atleast_1d(s))} for {n} looks",
            hint="give the share of the planned calendar time at each look, growing, such as [0.4, 1]",
        )
    return s


def group_sequential(
    fractions: Sequence[float] | FloatArray,
    *,
    alpha: float = 0.025,
    power: float = 0.9,
    sided: int = 1,
    efficacy: Efficacy | None = None,
    futility: Futility | None = None,
    binding: bool = False,
    efficacy_at: Sequence[bool] | None = None,
    futility_at: Sequence[bool] | None = None,
    spending_time: Sequence[float] | FloatArray | None = None,
) -> GroupSequentialDesign:
    """Design a group sequential test.

    Parameters
    ----------
    fractions : information at the looks as a part of full information, the last 1.
    alpha : error of the first kind; of both sides together where ``sided`` is 2 (symmetric boundaries).
    power : at the alternative, for crossing the upper boundary.
    efficacy : a spending function, or :class:`WangTsiatis` or :class:`HaybittlePeto`; default Lan-DeMets
        O'Brien-Fleming spending.
    futility : spending of ``1 - power`` on stopping for futility, or :class:`FixedFutility`; one-sided tests only.
        Non-binding boundaries leave the error of the first kind at ``alpha`` even when they are ignored; binding ones
        lower the efficacy boundaries, so that ignoring them breaks the test.
    efficacy_at, futility_at : whether each look may stop the trial for it; default every look.
    spending_time : share of the planned calendar time at each look, the last 1: error is then spent on it and not on
        information (Lan & DeMets 1989, Stat Med 8:1191), while the looks are as correlated as their information says.
        For spending functions.

    Raises
    ------
    ScenarioError : looks, error or boundaries are impossible.

    Examples
    --------
    >>> design = group_sequential([0.5, 1.0])
    >>> design.upper.round(3).tolist(), round(design.inflation, 4)
    ([2.963, 1.969], 1.0034)
    >>> group_sequential([0.5, 1.0], spending_time=[0.7, 1.0]).upper.round(3).tolist()
    [2.438, 2.034]
    """
    t = checked_information(fractions)
    if abs(t[-1] - 1.0) > 1e-9:
        raise ScenarioError(f"the last information fraction is {t[-1]:g}", hint="the last look has fraction 1")
    if sided not in (1, 2):
        raise ScenarioError(f"sided = {sided!r}", hint="1 or 2")
    if not 0.0 < alpha / sided < 0.5 or not alpha / sided < power < 1.0:
        raise ScenarioError(
            f"alpha = {alpha:g}, power = {power:g}",
            hint="alpha lies between 0 and 1/2 a side, power between alpha and 1",
        )
    if futility is not None and sided == 2:
        raise ScenarioError("a two-sided test with futility", hint="state the test one-sided, at half the level")
    if isinstance(futility, FixedFutility) and len(futility.z) != t.size - 1:
        raise ScenarioError(
            f"{len(futility.z)} futility boundaries for {t.size - 1} interim looks", hint="give one an interim look"
        )
    if binding and futility is None:
        raise ScenarioError("binding futility without futility boundaries", hint="give futility, or leave binding out")
    rule = OBrienFlemingSpending() if efficacy is None else efficacy
    passed = t if spending_time is None else _passed(spending_time, t.size)
    if spending_time is not None and abs(passed[-1] - 1.0) > 1e-9:
        raise ScenarioError(f"the last spending_time is {passed[-1]:g}", hint="at the last look all time has passed: 1")
    if spending_time is not None and isinstance(rule, WangTsiatis | HaybittlePeto):
        raise ScenarioError(f"{rule.name} on calendar time", hint="it spends by its shape: give a spending function")
    side, beta = alpha / sided, 1.0 - power
    at, low_at = _flags(efficacy_at, t.size, "efficacy_at"), _flags(futility_at, t.size, "futility_at")
    height = math.nan
    if isinstance(rule, WangTsiatis):
        shape = np.where(at, t ** (rule.delta - 0.5), np.inf)
        fixed_low = np.full(t.size, -np.inf)
        if binding and isinstance(futility, FixedFutility):
            fixed_low[:-1] = np.where(low_at[:-1], futility.z, -np.inf)
        elif binding:
            raise ScenarioError(
                f"{rule.name} with binding beta spending",
                hint="use an efficacy spending function, or make it non-binding",
            )

        def used(c: float) -> float:
            stop = -c * shape if sided == 2 else np.minimum(fixed_low, c * shape)
            return float(exit_probabilities(t, c * shape, stop)[0].sum()) / side - 1.0

        height = _root(used, 1e-3, _LIMIT)
    rules = _Rules(side, beta, rule, futility, binding, sided == 2, height)
    fixed = float(special.ndtri(1.0 - side) + special.ndtri(power))
    spends = futility is not None and not isinstance(futility, FixedFutility)

    def short(drift: float) -> float:
        """How far the design falls short of the power at this drift: positive, zero or negative."""
        bounds, excess = rules.solve(t, passed, drift, at, low_at, True)
        if spends:
            return excess
        stop = bounds.lower if futility or sided == 2 else np.full(t.size, -np.inf)
        return power - float(exit_probabilities(t, bounds.upper, stop, drift)[0].sum())

    low, high = 0.5 * fixed, 1.5 * fixed
    while short(low) <= 0.0 and low > 1e-3 * fixed:
        low *= 0.5
    while short(high) >= 0.0:
        high *= 1.5
        if high > 30.0 * fixed:
            raise ScenarioError(
                f"no information gives power {power:g} with these boundaries", hint="relax the futility boundaries"
            )
    drift = _root(short, low, high)
    bounds, excess = rules.solve(t, passed, drift, at, low_at, True)
    if spends and not abs(excess) < 1e-8:
        raise ScenarioError(
            "the futility boundary meets the efficacy boundary before the last look",
            hint="spend less of the error of the second kind early",
        )
    return GroupSequentialDesign(
        t,
        alpha,
        power,
        sided,
        rule,
        futility,
        binding,
        at,
        low_at,
        bounds,
        drift,
        fixed,
        rules,
        None if spending_time is None else passed,
    )
