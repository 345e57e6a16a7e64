"""Power and sample size in closed form: two means, two slopes, repeated measures, log-rank.

Every function takes the effect and either the size of the trial (its power is returned) or the power wanted (its size
is returned). ``n`` is always the number of patients in the control arm; the active arm has ``ratio * n``. The test of
:func:`power_ttest` is the t test itself; the others are Wald tests of a normal estimate whose variance is the expected
one. Trials of a few dozen patients have a little less power than that: simulate those.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl
from scipy import special

from equipoise.errors import ScenarioError
from equipoise.types import FloatArray

_MOST = 1e9
"""Patients: no trial is larger."""


@dataclass(frozen=True)
class Power:
    """The size and the power of a two-arm trial.

    test : its name. effect : what is to be shown, in its own units (log hazard ratio for the log-rank test).
    n : (control, active) patients that the sums ask for, as real numbers; ``patients`` rounds each up. power : that the
    test succeeds. se : standard error of the estimate at ``n``. alpha, sides : of the test. events : needed for it, for
    a time to an event. details : further numbers of the same sum.
    """

    test: str
    effect: float
    n: tuple[float, float]
    power: float
    se: float
    alpha: float
    sides: int
    events: float | None = None
    details: dict[str, float] = field(default_factory=dict)

    @property
    def patients(self) -> tuple[int, int]:
        """(control, active) whole patients."""
        control, active = (math.ceil(x - 1e-9) if math.isfinite(x) else 0 for x in self.n)
        return control, active

    @property
    def total(self) -> int:
        """All patients."""
        return sum(self.patients)

    def row(self) -> dict[str, Any]:
        """As a row of a table."""
        control, active = self.patients
        head = {"test": self.test, "effect": self.effect, "control": control, "active": active, "total": self.total}
        tail = {"power": self.power, "se": self.se, "alpha": self.alpha, "sides": self.sides}
        events = {} if self.events is None else {"events": self.events}
        return {**head, "n": self.n[0], **events, **tail, **self.details}

    def to_frame(self) -> pl.DataFrame:
        """One row."""
        return pl.DataFrame([self.row()])

    def to_sentence(self) -> str:
        """The answer in words."""
        control, active = self.patients
        events = "" if self.events is None else f"{_short(self.events)} events; "
        size = f"{control} + {active} patients: " if self.total else ""
        test = f"{self.test}, {'two' if self.sides == 2 else 'one'}-sided {_short(100 * self.alpha)} %"
        return f"{events}{size}power {100 * self.power:.1f} % for an effect of {_short(self.effect)} ({test})"

    def __str__(self) -> str:
        more = "".join(f"\n  {name}: {_short(value)}" for name, value in self.details.items())
        return self.to_sentence() + more


def _short(value: float) -> str:
    return f"{value:.6g}"


def power_ttest(
    *,
    difference: float,
    sd: float,
    n: float | None = None,
    power: float | None = None,
    ratio: float = 1.0,
    alpha: float = 0.05,
    sides: int = 2,
) -> Power:
    """Two means by the t test with equal variances, exactly: noncentral t (Cohen 1988, section 2).

    Parameters
    ----------
    difference : of the means, in the units of ``sd``. sd : within an arm. n : control patients, or power : wanted.
    ratio : active patients for each control patient. alpha : level. sides : 1 or 2.

    Raises
    ------
    ScenarioError : not one of ``n`` and ``power``, or a number out of its range.

    Examples
    --------
    >>> print(power_ttest(difference=0.5, sd=1, n=64))
    64 + 64 patients: power 80.1 % for an effect of 0.5 (t test, two-sided 5 %)
    """
    from scipy import stats  # here, not above: slow to load

    _check(n, power, ratio, alpha, sides)
    above(0.0, sd=sd)

    def at(size: float) -> float:
        df = size * (1.0 + ratio) - 2.0
        shift = abs(difference) / sd / math.sqrt(1.0 / size + 1.0 / (ratio * size))
        cut = float(stats.t.isf(alpha / sides, df))
        other = float(stats.nct.cdf(-cut, df, shift)) if sides == 2 else 0.0
        return float(stats.nct.sf(cut, df, shift)) + (0.0 if math.isnan(other) else other)

    smallest = 3.0 / (1.0 + ratio)
    if n is not None and n < smallest:
        raise ScenarioError(f"n = {n:g}: no degree of freedom is left", hint="give more patients")
    size = _size(at, power, smallest, difference) if n is None else float(n)
    se = sd * math.sqrt(1.0 / size + 1.0 / (ratio * size))
    return Power("t test", difference, (size, ratio * size), at(size), se, alpha, sides)


def _wald(effect: float, se: float, alpha: float, sides: int) -> float:
    """Power of a normal estimate."""
    cut, shift = float(special.ndtri(1.0 - alpha / sides)), abs(effect) / se
    return float(special.ndtr(shift - cut) + (special.ndtr(-shift - cut) if sides == 2 else 0.0))


def _solved(
    test: str, effect: float, unit: float, n: float | None, power: float | None, ratio: float, alpha: float, sides: int
) -> Power:
    """A Wald test whose variance is ``unit / n``."""
    size = n if n is not None else unit * _drift(power, alpha, sides) ** 2 / _not_zero(effect) ** 2
    se = math.sqrt(unit / size)
    return Power(test, effect, (size, ratio * size), _wald(effect, se, alpha, sides), se, alpha, sides)


def _drift(power: float | None, alpha: float, sides: int) -> float:
    """The mean of Z that a power needs; the wrong side of a two-sided test counts for nothing, as usual."""
    return float(special.ndtri(1.0 - alpha / sides) + special.ndtri(power))


def power_logrank(
    *,
    hazard_ratio: float,
    events: float | None = None,
    power: float | None = None,
    ratio: float = 1.0,
    alpha: float = 0.05,
    sides: int = 2,
    control_rate: float | None = None,
    accrual: float = 0.0,
    follow_up: float | None = None,
    dropout_rate: float = 0.0,
) -> Power:
    """Log-rank or Cox test under proportional hazards (Schoenfeld 1981): ``d = z^2 / (log(HR)^2 p (1 - p))`` events.

    Parameters
    ----------
    hazard_ratio : active over control, not 1. events : of both arms, or power : wanted.
    control_rate, accrual, follow_up, dropout_rate : for the number of patients: exponential hazard on control, weeks
    (or any unit) of uniform accrual, follow-up of the last patient, exponential loss; without them only events are
    given.

    Raises
    ------
    ScenarioError : not one of ``events`` and ``power``, or a number out of its range.

    Examples
    --------
    >>> round(power_logrank(hazard_ratio=0.7, power=0.9).events, 3)
    330.378
    >>> power_logrank(hazard_ratio=0.7, power=0.9, control_rate=0.02, accrual=52, follow_up=52).patients
    (230, 230)
    """
    _check(events, power, ratio, alpha, sides, what="events")
    above(0.0, hazard_ratio=hazard_ratio)
    effect, share = math.log(hazard_ratio), ratio / (1.0 + ratio)
    unit = 1.0 / (share * (1.0 - share))
    if events is None:
        events = unit * _drift(power, alpha, sides) ** 2 / _not_zero(effect, "hazard_ratio is 1") ** 2
    se = math.sqrt(unit / events)
    n, details = (0.0, 0.0), {}
    if control_rate is not None and follow_up is not None:
        above(0.0, control_rate=control_rate, follow_up=follow_up)
        above(-1e-300, accrual=accrual, dropout_rate=dropout_rate)
        control, active = (
            _has_event(h, accrual, follow_up, dropout_rate) for h in (control_rate, control_rate * hazard_ratio)
        )
        size = events / (control + ratio * active)
        n, details = (size, ratio * size), {"event share, control": control, "event share, active": active}
    elif control_rate is not None or follow_up is not None or accrual or dropout_rate:
        raise ScenarioError(
            "the number of patients needs both control_rate and follow_up",
            hint="give both, or neither for events alone",
        )
    return Power("log-rank test", effect, n, _wald(effect, se, alpha, sides), se, alpha, sides, events, details)


def _has_event(rate: float, accrual: float, follow_up: float, loss: float) -> float:
    """Probability of the event while followed: uniform accrual, exponential event and loss (Lachin & Foulkes 1986)."""
    total = rate + loss
    left = math.exp(-total * follow_up)
    if accrual > 0.0:
        left *= -math.expm1(-total * accrual) / (total * accrual)
    return rate / total * (1.0 - left)


def random_slope_covariance(
    times: Sequence[float], *, sd_intercept: float, sd_slope: float, correlation: float = 0.0, sd_residual: float
) -> FloatArray:
    """(visit, visit) covariance of a random intercept and slope with independent residuals (Laird & Ware 1982).

    Examples
    --------
    >>> random_slope_covariance([0, 1], sd_intercept=2, sd_slope=1, sd_residual=1).tolist()
    [[5.0, 4.0], [4.0, 6.0]]
    """
    above(-1e-300, sd_intercept=sd_intercept, sd_slope=sd_slope)
    above(0.0, sd_residual=sd_residual)
    if not -1.0 <= correlation <= 1.0:
        raise ScenarioError(f"correlation {correlation:g}", hint="give one from -1 to 1")
    t = _times(times)
    design = np.column_stack([np.ones_like(t), t])
    cross = correlation * sd_intercept * sd_slope
    between = np.array([[sd_intercept**2, cross], [cross, sd_slope**2]])
    return np.asarray(design @ between @ design.T + sd_residual**2 * np.eye(len(t)))


def visit_covariance(
    times: Sequence[float], *, sd: float | Sequence[float], correlation: float, structure: str = "cs"
) -> FloatArray:
    """(visit, visit) covariance from SDs and one correlation.

    structure : ``cs``, the correlation alike for all pairs, or ``ar1``, to the power of the time between two visits.

    Examples
    --------
    >>> visit_covariance([0, 1, 2], sd=2, correlation=0.5, structure="ar1").tolist()
    [[4.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 4.0]]
    """
    t = _times(times)
    spread = (
        np.broadcast_to(np.asarray(sd, dtype=np.float64), t.shape) if np.ndim(sd) == 0 else np.asarray(sd, np.float64)
    )
    if spread.shape != t.shape or not (np.isfinite(spread).all() and (spread > 0.0).all()):
        raise ScenarioError(f"sd {sd}", hint="give one number above 0, or one a visit")
    if not 0.0 <= correlation < 1.0:
        raise ScenarioError(f"correlation {correlation:g}", hint="give one from 0 to below 1")
    if structure == "ar1":
        R = correlation ** np.abs(t[:, None] - t[None, :])
    elif structure == "cs":
        R = np.full((len(t),) * 2, correlation)
        np.fill_diagonal(R, 1.0)
    else:
        raise ScenarioError(f"structure {structure!r}", hint="choose cs or ar1")
    return np.asarray(R * spread[:, None] * spread[None, :])


def power_slope(
    *,
    difference: float,
    times: Sequence[float],
    covariance: Any,
    n: float | None = None,
    power: float | None = None,
    ratio: float = 1.0,
    alpha: float = 0.05,
    sides: int = 2,
    common_baseline: bool = False,
    retention: Sequence[float] | None = None,
) -> Power:
    """Two slopes of a linear mixed model, by its expected information (Diggle et al. 2002, p. 29; Lu, Luo & Chen 2008).

    Parameters
    ----------
    difference : of the slopes, per unit of ``times``. times : of the visits, in order.
    covariance : (visit, visit) of one patient, see :func:`random_slope_covariance`.
    common_baseline : one intercept for both arms (a constrained model, Liang & Zeger 2000), which needs fewer patients.
    retention : share of patients still seen at each visit, falling from 1; default all.

    Raises
    ------
    ScenarioError : not one of ``n`` and ``power``; sizes that do not match; a covariance that is not positive definite.

    Examples
    --------
    >>> V = random_slope_covariance([0, .25, .5, .75, 1, 1.25, 1.5],
    ...     sd_intercept=55**.5, sd_slope=24**.5, correlation=.8, sd_residual=10**.5)
    >>> times = [0, .25, .5, .75, 1, 1.25, 1.5]
    >>> round(power_slope(difference=1.5, times=times, covariance=V, power=0.8).n[0], 4)
    207.3101
    >>> round(power_slope(difference=1.5, times=times, covariance=V, power=0.8, common_baseline=True).n[0], 4)
    135.4827
    """
    _check(n, power, ratio, alpha, sides)
    t = _times(times)
    V = _covariance(covariance, len(t))
    kept = _retention(retention, len(t))
    both = np.zeros((4, 4))  # intercept, slope, their differences
    for active, weight in ((0.0, 1.0), (1.0, ratio)):
        columns = np.column_stack([np.ones_like(t), t, active * np.ones_like(t), active * t])
        both += weight * _information(columns, V, kept)
    used = [0, 1, 3] if common_baseline else [0, 1, 2, 3]
    information = both[np.ix_(used, used)]
    if np.linalg.matrix_rank(information) < len(used):
        raise ScenarioError(
            "the slope cannot be told from these visits", hint="give two visits or more that are attended"
        )
    unit = float(np.linalg.inv(information)[-1, -1])
    return _solved("difference in slopes", difference, unit, n, power, ratio, alpha, sides)


def _information(columns: FloatArray, V: FloatArray, kept: FloatArray) -> FloatArray:
    """Expected information of one patient: monotone loss, those last seen at each visit in turn."""
    out = np.zeros((columns.shape[1],) * 2)
    last = np.append(kept[:-1] - kept[1:], kept[-1])
    for seen, share in enumerate(last, start=1):
        if share > 0.0:
            X = columns[:seen]
            out += share * (X.T @ np.linalg.solve(V[:seen, :seen], X))
    return out


def power_mmrm(
    *,
    difference: float,
    covariance: Any,
    n: float | None = None,
    power: float | None = None,
    ratio: float = 1.0,
    alpha: float = 0.05,
    sides: int = 2,
    retention: Sequence[float] | None = None,
    retention_active: Sequence[float] | None = None,
) -> Power:
    """Two means at the last visit by a mixed model for repeated measures, with losses (Lu, Luo & Chen 2008, eq. 5).

    Parameters
    ----------
    difference : at the last visit. covariance : (visit, visit) of the outcome within an arm, in visit order;
    for changes analysed with the baseline as covariate, that of the changes given the baseline.
    retention : share of control patients still seen at each visit, from 1 falling; default all.
    retention_active : the same for the active arm; default as control.

    Raises
    ------
    ScenarioError : not one of ``n`` and ``power``; sizes that do not match; nobody left at the last visit.

    Examples
    --------
    >>> import numpy as np
    >>> V = np.full((4, 4), 0.25) + 0.75 * np.eye(4)
    >>> kept = (1, .9, .8, .7)
    >>> round(power_mmrm(difference=0.5, covariance=V, power=0.8, retention=kept).n[0], 2)
    86.99
    """
    _check(n, power, ratio, alpha, sides)
    V = _covariance(covariance, np.atleast_2d(np.asarray(covariance, dtype=np.float64)).shape[0])
    control = _retention(retention, len(V))
    active = control if retention_active is None else _retention(retention_active, len(V))
    factors = [_of_last(kept, V) for kept in (control, active)]
    unit = factors[0] + factors[1] / ratio
    made = _solved("MMRM at the last visit", difference, unit, n, power, ratio, alpha, sides)
    complete = float(V[-1, -1])
    return replace(made, details={"variance against complete data": unit / (complete * (1.0 + 1.0 / ratio))})


def _of_last(kept: FloatArray, V: FloatArray) -> float:
    """Variance of the last mean of an arm, for one patient."""
    if not kept[-1] > 0.0:
        raise ScenarioError("nobody is seen at the last visit", hint="retention must end above 0")
    return float(np.linalg.inv(_information(np.eye(len(V)), V, kept))[-1, -1])


def share_of_slowing(weeks: float, lag: float = 0.0, stages: int | None = None) -> float:
    """The share of a slowing's full benefit that is there after ``weeks`` of treatment, when it begins after a lag.

    The benefit grows with the time under full effect. A sharp lag gives ``(weeks - lag) / weeks``; a chain of
    ``stages`` compartments of mean ``lag`` gives the mean of the distribution function of an Erlang time over the
    weeks.

    Examples
    --------
    >>> round(share_of_slowing(28, 8), 6), round(share_of_slowing(28, 13, stages=4), 6)
    (0.714286, 0.540147)
    """
    above(0.0, weeks=weeks)
    above(-1e-300, lag=lag)
    if lag == 0.0:
        return 1.0
    if stages is None:
        return max(0.0, weeks - lag) / weeks
    if stages < 1:
        raise ScenarioError(f"stages = {stages}", hint="give a whole number of at least 1")
    scale = lag / stages  # integral of the distribution function: t F_k(t) - mean F_{k+1}(t)
    whole = weeks * special.gammainc(stages, weeks / scale) - lag * special.gammainc(stages + 1, weeks / scale)
    return float(whole / weeks)


def power_delayed_start(
    *,
    decline: float,
    slowing: float = 0.0,
    symptomatic: float = 0.0,
    lag: float = 0.0,
    stages: int | None = None,
    visits: Sequence[float],
    period_end: float,
    covariance: Any,
    n: float | None = None,
    power: float | None = None,
    ratio: float = 1.0,
    alpha: float = 0.025,
    alpha_third: float = 0.05,
    fraction: float = 0.5,
    retention: Sequence[float] | None = None,
) -> Power:
    """Early against delayed start: the three questions of Liu-Seifert et al. (2015), each and all together.

    Early starters are on active from time 0, delayed ones from ``period_end``. The mean difference early minus delayed
    is ``symptomatic`` plus what slowing has saved at the end of period 1 (``delta1``), and at the last visit what early
    starters saved more (``delta2``): the relief of symptoms has gone by then, since both arms have it. Questions: is
    ``delta1`` above 0, is ``delta2``, is ``delta2 - fraction delta1``. Estimates are those of a repeated-measures model
    with a free mean for every arm and visit; their joint distribution is normal with the expected covariance.

    Parameters
    ----------
    decline : points lost on control per unit of time (positive). slowing : share of it that active saves.
    symptomatic : points of relief, full from the first visit on. lag, stages : as in :func:`share_of_slowing`.
    visits : in the unit of time; ``period_end`` is one of them, the end is the last. covariance : (visit, visit).
    n : patients on delayed start, or power : of all three questions. alpha : one-sided, of the first two questions;
    alpha_third : of the third. retention : share seen at each visit, from 1 falling.

    Raises
    ------
    ScenarioError : not one of ``n`` and ``power``; ``period_end`` is no visit; no size gives the power.

    Examples
    --------
    >>> V = random_slope_covariance(range(0, 53, 4), sd_intercept=5, sd_slope=0.15, sd_residual=2)
    >>> truth = {"decline": 0.25, "slowing": 0.3}
    >>> made = power_delayed_start(**truth, visits=range(0, 53, 4), period_end=28, covariance=V, n=400)
    >>> round(made.details["Q1"], 3), round(made.details["Q2"], 3), round(made.details["Q3"], 3), round(made.power, 3)
    (0.992, 0.88, 0.726, 0.726)
    """
    _check(n, power, ratio, alpha, 1)
    above(-1e-300, decline=decline, slowing=abs(slowing))
    t = _times(list(visits))
    V = _covariance(covariance, len(t))
    kept = _retention(retention, len(t))
    found = np.flatnonzero(np.abs(t - period_end) < 1e-9)
    if not len(found) or found[0] == len(t) - 1 or period_end <= 0.0:
        raise ScenarioError(
            f"period_end {period_end:g} is no visit before the last", hint=f"visits are at {t.tolist()}"
        )
    if not kept[-1] > 0.0:
        raise ScenarioError("nobody is seen at the last visit", hint="retention must end above 0")

    def saved(weeks: float) -> float:
        return decline * slowing * weeks * share_of_slowing(weeks, lag, stages)

    delta1 = symptomatic + saved(period_end)
    delta2 = saved(t[-1]) - saved(t[-1] - period_end)
    both = [found[0], len(t) - 1]
    of_means = np.linalg.inv(_information(np.eye(len(t)), V, kept))[np.ix_(both, both)] * (1.0 + 1.0 / ratio)
    contrast = np.array([[1.0, 0.0], [0.0, 1.0], [-fraction, 1.0]])
    effects = contrast @ np.array([delta1, delta2])
    unit = contrast @ of_means @ contrast.T
    spread = np.sqrt(np.diag(unit))
    cuts = special.ndtri(1.0 - np.array([alpha, alpha, alpha_third]))

    def each(size: float) -> FloatArray:
        return np.asarray(special.ndtr(effects / spread * math.sqrt(size) - cuts))

    def all_three(size: float) -> float:
        # (Z1, Z2) decide Z3: integrate over Z1 the chance that Z2 is above both its limits, exactly one dimension
        shift = effects / spread * math.sqrt(size)
        rho = float(unit[0, 1] / spread[0] / spread[1])
        z, w = upper_nodes(cuts[0] - shift[0])
        first = (z + shift[0]) * spread[0]
        least = np.maximum(cuts[1] * spread[1], cuts[2] * spread[2] + fraction * first) / spread[1] - shift[1]
        return float(np.sum(w * special.ndtr((rho * z - least) / math.sqrt(1.0 - rho * rho))))

    if n is None:
        if effects.min() <= 0.0:
            words = "the third question is answered no" if effects[:2].min() > 0.0 else "an effect is not above 0"
            raise ScenarioError(
                f"under this truth {words}: no size gives the power", hint="change the truth or ask for n"
            )
        n = _size(all_three, power, 1e-3, 1.0)
    answers = each(n)
    details = {"Q1": float(answers[0]), "Q2": float(answers[1]), "Q3": float(answers[2])}
    details |= {"delta1": float(delta1), "delta2": float(delta2), "delta2 - fraction delta1": float(effects[2])}
    se = float(spread[1] / math.sqrt(n))
    return Power(
        "delayed start, all three questions", float(delta2), (n, ratio * n), all_three(n), se, alpha, 1, None, details
    )


def upper_nodes(low: float) -> tuple[FloatArray, FloatArray]:
    """Nodes and weights of the standard normal distribution above ``low``, in panels of half a unit."""
    high = 9.0
    low = min(max(low, -9.0), high)
    edges = np.linspace(low, high, 2 + int(2 * (high - low)))
    x, weight = np.polynomial.legendre.leggauss(16)
    half = np.diff(edges)[:, None] / 2.0
    z = (edges[:-1, None] + half * (1.0 + x)).ravel()
    return z, (half * weight).ravel() * np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)


def _check(n: float | None, power: float | None, ratio: float, alpha: float, sides: int, what: str = "n") -> None:
    if (n is None) == (power is None):
        given = "both" if n is not None else "neither"
        raise ScenarioError(
            f"{what} and power: {given} given", hint=f"give one: {what} for the power, power for {what}"
        )
    if n is not None:
        above(0.0, **{what: n})
    if sides not in (1, 2):
        raise ScenarioError(f"sides = {sides}", hint="give 1 or 2")
    above(0.0, ratio=ratio)
    if not 0.0 < alpha < 1.0:
        raise ScenarioError(f"alpha = {alpha:g}", hint="give a level between 0 and 1, e.g. 0.05")
    if power is not None and not alpha / sides < power < 1.0:
        raise ScenarioError(f"power = {power:g}", hint=f"give one above {alpha / sides:g} and below 1, e.g. 0.8")


def above(limit: float, **values: float) -> None:
    for name, value in values.items():
        if not (math.isfinite(value) and value > limit):
            least = "above 0" if limit == 0.0 else "of at least 0"
            raise ScenarioError(f"{name} = {value:g}", hint=f"give a finite number {least}")


def _not_zero(effect: float, said: str = "the effect is 0") -> float:
    if effect == 0.0 or not math.isfinite(effect):
        raise ScenarioError(f"{said}: no size gives the power", hint="give the effect that the trial should show")
    return effect


def _size(power_at: Any, wanted: float | None, smallest: float, effect: float) -> float:
    from scipy import optimize  # here, not above: slow to load

    _not_zero(effect)
    low, high = smallest, 4.0
    if power_at(low) >= wanted:
        return low
    while power_at(high) < wanted:
        low, high = high, 2.0 * high
        if high > _MOST:
            raise ScenarioError("more than a thousand million patients", hint="the effect is too small for its SD")
    return float(optimize.brentq(lambda m: power_at(m) - wanted, low, high, xtol=1e-10))


def _times(times: Sequence[float]) -> FloatArray:
    t = np.asarray(times, dtype=np.float64)
    if t.ndim != 1 or len(t) < 1 or not np.isfinite(t).all() or (np.diff(t) <= 0).any():
        raise ScenarioError(f"times {list(times)}", hint="give the visits in rising order, e.g. [0, 4, 8, 12]")
    return t


def _covariance(covariance: Any, visits: int) -> FloatArray:
    V = np.atleast_2d(np.asarray(covariance, dtype=np.float64))
    if V.shape != (visits, visits):
        raise ScenarioError(f"a covariance of {V.shape} for {visits} visits", hint="give one row and column a visit")
    if not np.isfinite(V).all() or not np.allclose(V, V.T) or np.linalg.eigvalsh(V)[0] <= 0.0:
        raise ScenarioError("the covariance is not symmetric and positive definite", hint="check SDs and correlations")
    return V


def _retention(retention: Sequence[float] | None, visits: int) -> FloatArray:
    kept = np.ones(visits) if retention is None else np.asarray(retention, dtype=np.float64)
    if kept.shape != (visits,):
        raise ScenarioError(f"{kept.size} shares of retention for {visits} visits", hint="give one a visit")
    if not np.isfinite(kept).all() or kept[0] > 1.0 or kept.min() < 0.0 or (np.diff(kept) > 0).any():
        raise ScenarioError(f"retention {kept.tolist()}", hint="give shares that fall from at most 1, e.g. 1 0.9 0.8")
    return kept
