"""What was published, with the covariance that it has: the likelihood of a mechanism's parameters.

Published numbers of one trial share its patients. Eight points of a curve are not eight observations; taken for such,
a common shift looks far surer than it is. So the covariance of the statistics is that which they have among simulated
trials at the fit, each analysed by the plan of the trial, with its imputation and its drop-out (Price et al. 2018,
J Comput Graph Stat 27:1, with one covariance for all parameters). To it are added the error of reading a curve, the
rounding of what is printed, the Monte Carlo error of the prediction, and a discrepancy: what no parameter of the model
would explain (Kennedy & O'Hagan 2001, J R Stat Soc B 63:425).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from equipoise.calibrate.cohort import Predictor, cohort
from equipoise.calibrate.targets import Target
from equipoise.errors import ScenarioError
from equipoise.plan.key import Key
from equipoise.run import run_study
from equipoise.simulate import Simulator
from equipoise.simulate.mechanism import Mechanism
from equipoise.simulate.scenario import Scenario
from equipoise.types import FloatArray

Progress = Callable[[str, int, int], None]

READING = 0.1
"""Error of a point read off a plotted curve of ALSFRS-R, points (the read-off of VALOR's curves, by pixel)."""

READING_LN = 0.02
"""The same of a ratio."""

DISCREPANCY = 0.5
"""Standard deviation of what the model does not explain, as a share of each statistic's own standard deviation."""


@dataclass(frozen=True)
class Statistic:
    """One published number as the likelihood takes it: a sum of keys, its value, its reading and rounding error."""

    label: str
    terms: tuple[tuple[Key, float], ...]
    value: float
    reading: float = 0.0
    curve: str | None = None
    """The curve that it is a point of, for the effective number of observations."""


def statistics_of(
    found: Sequence[Target], block: str, *, later: bool = False, outcome: str = ""
) -> tuple[Statistic, ...]:
    """The numbers of a block of the fit, without those that say again what others say.

    A difference of two arms whose means are both there is left out: it adds nothing but a singular covariance.
    Standard errors that were published are left out too: the covariance takes their place.

    Parameters
    ----------
    later : with the arms' means of ``outcome`` at the last week that was published, after the randomised period.
    """
    own = [t for t in found if t.block == block and t.used and not t.key.quantity.endswith("_se")]
    if later:
        weeks = [t.key.week for t in found if t.use == "check" and t.outcome == outcome and t.key.week is not None]
        last = max(weeks, default=None)
        after = [t for t in found if t.use == "check" and t.outcome == outcome and t.key.week == last]
        own += [t for t in after if t.key.quantity == "arm_mean"]
    means = {(t.key.analysis, t.key.week) for t in own if t.key.quantity == "arm_mean"}
    out = []
    for t in own:
        if t.key.quantity == "contrast" and (t.key.analysis, t.key.week) in means:
            continue
        read = t.where.confidence == "curve"
        error = (READING_LN if t.ln else READING) if read else _rounding(t)
        of = f"{t.key.analysis}, {t.key.arm}" if t.key.quantity == "arm_mean" and t.key.week is not None else None
        out.append(Statistic(t.id, ((t.key, 1.0),), t.value, error, of))
    return tuple(out)


def adjustments_of(found: Sequence[Target], outcome: str, marker: str | None) -> tuple[Statistic, ...]:
    """What adjusting for the marker at baseline did to the contrast of an outcome in the randomised period.

    Both contrasts come from the same patients, so their difference is known far better than either: it says how
    much of the arms' difference was one of prognosis.
    """
    if marker is None:
        return ()
    ending = f"_{marker.lower()}"
    contrasts = [t for t in found if t.key.quantity == "contrast" and t.use in ("restated", "fit")]
    by_id = {t.id: t for t in contrasts if t.outcome == outcome}
    out = []
    for t in by_id.values():
        name = t.key.analysis or ""
        plain = by_id.get(replace(t.key, analysis=name.removesuffix(ending)).id) if name.endswith(ending) else None
        if plain is not None:
            rounding = math.hypot(_rounding(t), _rounding(plain))
            out.append(
                Statistic(f"adjusting:{name}", ((t.key, 1.0), (plain.key, -1.0)), t.value - plain.value, rounding)
            )
    return tuple(out)


def _rounding(t: Target) -> float:
    """Standard deviation of rounding to the last digit printed; nothing for a count."""
    if t.scale == "percent" or t.ln:
        return 0.0
    text = f"{t.value:.10g}"
    digits = len(text.partition(".")[2])
    return float(10.0**-digits / math.sqrt(12))


def effective_number(covariance: FloatArray) -> float:
    """Independent observations that would tell a common shift as well as these: 1' R^-1 1, R their correlation.

    >>> r = 0.9 ** np.abs(np.subtract.outer(np.arange(8), np.arange(8)))
    >>> round(effective_number(r), 6)  # (n - (n - 2) rho) / (1 + rho) = 26 / 19
    1.368421
    """
    sd = np.sqrt(np.diag(covariance))
    one = np.ones(len(sd))
    return float(one @ np.linalg.solve(covariance / np.outer(sd, sd), one))


@dataclass(frozen=True, eq=False)
class Observed:
    """The published statistics of a block under one mechanism, and their covariance.

    sampling : covariance among simulated trials at the fit. covariance : with all errors added.
    shift : mean of the simulated statistics less what the large cohort gives at the fit: what imputation, drop-out
        and small numbers do to them. The prediction is the cohort's plus this.
    left_out : statistics that simulated trials or the cohort cannot give, each with the reason.
    """

    statistics: tuple[Statistic, ...]
    sampling: FloatArray
    covariance: FloatArray
    shift: FloatArray
    replicates: int
    left_out: tuple[str, ...] = ()

    @property
    def value(self) -> FloatArray:
        return np.array([s.value for s in self.statistics])

    @cached_property
    def root(self) -> FloatArray:
        """Lower Cholesky factor of the covariance."""
        return np.asarray(np.linalg.cholesky(self.covariance))

    def whitened(self, values: FloatArray) -> FloatArray:
        """(point, statistic) of standard deviations from what was published, uncorrelated with each other."""
        return np.asarray(np.linalg.solve(self.root, (values - self.value).T).T)

    def log_density(self, z: FloatArray, spread: FloatArray | float = 1.0) -> FloatArray:
        """(point,) log likelihood of whitened predictions ``z``; ``spread``: variance of each, of one known 1."""
        constant = len(self.root) * math.log(2 * math.pi) + 2 * float(np.log(np.diag(self.root)).sum())
        return np.asarray(-0.5 * (constant + (z**2 / spread + np.log(spread)).sum(axis=1)))

    @property
    def keys(self) -> tuple[Key, ...]:
        return keys_of(self.statistics)

    def combined(self, raw: FloatArray) -> FloatArray:
        """(..., statistic) of the numbers of :attr:`keys` (..., key)."""
        return raw @ combination(self.statistics).T

    def effective(self) -> dict[str, float]:
        """The effective number of observations of each curve, and of all: (sum of eigenvalues)^2 / sum of squares."""
        out = {}
        for name in dict.fromkeys(s.curve for s in self.statistics if s.curve is not None):
            mine = np.array([s.curve == name for s in self.statistics])
            if mine.sum() > 1:
                out[name] = effective_number(self.covariance[np.ix_(mine, mine)])
        sd = np.sqrt(np.diag(self.covariance))
        own = np.linalg.eigvalsh(self.covariance / np.outer(sd, sd))
        out["all"] = float(own.sum() ** 2 / (own**2).sum())
        return out


def keys_of(statistics: Sequence[Statistic]) -> tuple[Key, ...]:
    """Every key that the statistics need, once."""
    return tuple(dict.fromkeys(k for s in statistics for k, _ in s.terms))


def combination(statistics: Sequence[Statistic]) -> FloatArray:
    """(statistic, key): what each key adds to each statistic."""
    keys = keys_of(statistics)
    out = np.zeros((len(statistics), len(keys)))
    for row, s in zip(out, statistics, strict=True):
        for key, times in s.terms:
            row[keys.index(key)] += times
    return out


def observed(
    scenario: Scenario,
    mechanism: Mechanism,
    statistics: Sequence[Statistic],
    *,
    dropout: bool,
    later: bool,
    replicates: int,
    copies: int,
    seed: int,
    discrepancy: float = DISCREPANCY,
    store: Path | None = None,
    progress: Progress | None = None,
) -> Observed:
    """Simulate ``replicates`` trials at the fit and take the covariance of the statistics among them.

    Raises
    ------
    ScenarioError : fewer than twice as many replicates as statistics.
    """
    simulator = Simulator.of(scenario, mechanism)
    people = Predictor(scenario, cohort(scenario, mechanism, copies, seed, dropout=dropout, randomised_only=not later))
    kept, left_out = [], []
    for s in statistics:
        try:
            there = np.isfinite(people([k for k, _ in s.terms])).all()
        except ScenarioError as error:
            left_out.append(f"{s.label}: {error}")
            continue
        if there:
            kept.append(s)
        else:  # not everyone of the cohort is observed then
            left_out.append(f"{s.label}: the large cohort gives no value")
    if replicates < 2 * len(kept):
        raise ScenarioError(
            f"{replicates} replicates for the covariance of {len(kept)} statistics",
            hint=f"take at least {2 * len(kept)}, better 2000",
        )
    keys = keys_of(kept)
    told = None if progress is None else lambda n, of: progress(f"{mechanism.value}: covariance", n, of)
    with run_study(simulator, keys, replicates, seed=seed + 1, store=store, progress=told) as study:
        raw = np.stack([study.values(k) for k in keys], axis=1)
    values = raw @ combination(kept).T
    whole = np.isfinite(values).all(axis=1)
    if whole.sum() < 0.9 * len(values):
        left_out.append(f"{len(values) - int(whole.sum())} of {len(values)} simulated trials lack a statistic")
    values = values[whole]
    sampling = np.cov(values.T).reshape(len(kept), len(kept))
    variance = np.diag(sampling)
    extra = np.array([s.reading for s in kept]) ** 2 + discrepancy**2 * variance
    covariance = sampling * (1.0 + 1.0 / copies) + np.diag(extra)
    shift = values.mean(axis=0) - combination(kept) @ people(keys)
    return Observed(tuple(kept), sampling, covariance, shift, int(whole.sum()), tuple(left_out))
