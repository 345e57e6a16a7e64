"""Operating characteristics of an analysis plan: what its numbers do over many virtual trials of a scenario."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from equipoise.errors import EstimationError, ScenarioError
from equipoise.plan.block import block, estimates, study_of
from equipoise.plan.key import Key
from equipoise.plan.scenario_plan import AnalysisPlan
from equipoise.run.study import Progress, run_study
from equipoise.simulate import Simulator
from equipoise.simulate.scenario import Scenario
from equipoise.types import FloatArray, Status

LOOKED_AT = 5
"""Trials in which the numbers of a plan are looked for before the study."""


@dataclass(frozen=True)
class Characteristics:
    """One number of a plan over the replicates.

    key : the number. replicates, failed : trials, and those in which it was not estimable. mean, sd : of the estimates,
    the second their empirical standard error; mean_se : mean of the standard errors that the trials gave (of the
    logarithm for a ratio). significant : share of all trials with p below alpha, whose failures are not significant;
    None where there is no test. mc_error_mean, mc_error_significant : Monte Carlo errors, sd / sqrt(n) and
    sqrt(share (1 - share) / n), not below that of half a trial.
    """

    key: Key
    replicates: int
    failed: int
    mean: float
    sd: float
    mean_se: float
    significant: float | None
    mc_error_mean: float
    mc_error_significant: float | None

    def row(self) -> dict[str, Any]:
        """As a row of a table."""
        key = self.key
        place = {n: getattr(key, n) for n in ("analysis", "section", "quantity", "arm", "visit", "variable", "level")}
        own = {n: getattr(self, n) for n in self.__dataclass_fields__ if n != "key"}
        return {**place, **own}


@dataclass(frozen=True)
class OperatingCharacteristics:
    """Every number of a plan over many virtual trials."""

    scenario: str
    mechanism: str
    replicates: int
    seed: int
    alpha: float
    numbers: tuple[Characteristics, ...]

    def to_frame(self) -> pl.DataFrame:
        """One row a number."""
        return pl.DataFrame([n.row() for n in self.numbers], infer_schema_length=None)

    def of(self, quantity: str, analysis: str | None = None, **place: Any) -> Characteristics:
        """The one number with that quantity, and ``analysis``, ``section``, ``arm`` or ``visit`` where several have it.

        Raises
        ------
        KeyError : there is none, or more than one.
        """
        wanted = {"quantity": quantity, **({"analysis": analysis} if analysis else {}), **place}
        found = [n for n in self.numbers if all(getattr(n.key, k) == v for k, v in wanted.items())]
        if len(found) != 1:
            raise KeyError(f"{len(found)} numbers are {wanted}; there are {', '.join(n.key.id for n in self.numbers)}")
        return found[0]

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as ``equipoise replicate --plan --json`` writes it."""
        rows = [{k: _finite(v) for k, v in n.row().items()} for n in self.numbers]
        head = {k: getattr(self, k) for k in ("scenario", "mechanism", "replicates", "seed", "alpha")}
        return {**head, "numbers": rows}


def plan_keys(simulator: Simulator, *, seed: int = 1, trials: int = LOOKED_AT, tested: bool = False) -> tuple[Key, ...]:
    """The keys of all numbers that the simulator's plan gives, as its first ``trials`` replicates have them.

    ``tested``: of those alone that have a p-value.

    Raises
    ------
    DataError, ScenarioError : the plan does not fit the trials. EstimationError : it gives no number in any of them.
    """
    plan, made = simulator.scenario.whole_plan(), simulator.block(seed, 0, trials)
    estimates(study_of(made, 0), plan, strict=True)
    found = block(made, plan)
    has_p = [bool(np.isfinite(found.p[:, k]).any()) for k in range(len(found.keys))]
    keys = tuple(key for k, key in enumerate(found.keys) if has_p[k] or not tested)
    if not keys:
        what = "no number with a p-value" if tested else "no number"
        raise EstimationError(f"the plan gives {what} in the first {trials} trials", hint="see docs/adam.md")
    return keys


def operating_characteristics(
    scenario: Scenario,
    plan: AnalysisPlan | None = None,
    *,
    mechanism: str | None = None,
    replicates: int = 500,
    seed: int = 1,
    alpha: float | None = None,
    imbalance: bool = False,
    tested: bool = False,
    keys: Sequence[Key] | None = None,
    threads: int | None = None,
    store: Path | None = None,
    progress: Progress | None = None,
) -> OperatingCharacteristics:
    """Carry a plan out on many virtual trials: every method of a plan, on the data sets that a real trial would bring.

    Parameters
    ----------
    plan : default the scenario's own.
    mechanism : how the drug acts; default the scenario's own. ``none`` gives type I errors.
    replicates, seed, threads, store, progress : as in :func:`equipoise.run.run_study`.
    alpha : of "significant", two-sided; default the plan's.
    imbalance : arms as unlike at baseline as they were in the trial, rather than freshly randomised.
    tested : only numbers with a p-value. keys : these numbers; default all of the plan.

    Raises
    ------
    ScenarioError, DataError : the plan does not fit the scenario or its trials.
    EstimationError : the plan gives no number in the first trials.

    Examples
    --------
    >>> from equipoise import load_scenario
    >>> from equipoise.plan.scenario_plan import parse_scenario_plan
    >>> plan = parse_scenario_plan('''
    ... analyses:
    ... - id: w12
    ...   population: ITT
    ...   dataset: ADEFF
    ...   parameter: ALSFRS
    ...   where: {AVISITN: 12}
    ...   sections: [{method: ancova, formula: CHG ~ TRT01P + BASE}]
    ... ''')
    >>> made = operating_characteristics(load_scenario("valor"), plan, replicates=10)
    >>> made.of("difference", arm="tofersen").failed
    0
    """
    if replicates < 2:
        raise ScenarioError(f"{replicates} replicates", hint="ask for at least 2, e.g. --replicates 500")
    own = scenario if plan is None else scenario.with_plan(plan)
    simulator = Simulator.of(own, mechanism, imbalance=imbalance)
    wanted = tuple(keys) if keys is not None else plan_keys(simulator, seed=seed, tested=tested)
    level = own.plan.alpha if alpha is None else alpha
    asked = [replace(k, statistic=s) for k in wanted for s in ("estimate", "se", "p", "status")]
    with run_study(simulator, asked, replicates, seed=seed, threads=threads, store=store, progress=progress) as study:
        values = dict(study.columns())
    return OperatingCharacteristics(
        scenario=own.name,
        mechanism=simulator.mechanism.value,
        replicates=replicates,
        seed=seed,
        alpha=level,
        numbers=tuple(_number(k, values, replicates, level) for k in wanted),
    )


def _number(key: Key, values: dict[Key, FloatArray], replicates: int, alpha: float) -> Characteristics:
    estimate, se, p, status = (values[replace(key, statistic=s)] for s in ("estimate", "se", "p", "status"))
    made = estimate[np.isfinite(estimate)]
    n = len(made)
    sd = float(made.std(ddof=1)) if n > 1 else math.nan
    tested = bool(np.isfinite(p).any())
    with np.errstate(invalid="ignore"):
        share = float((p < alpha).mean()) if tested else None
    errors = se[np.isfinite(se)]
    spread = 0.0 if share is None else max(share * (1.0 - share), 0.25 / replicates)
    return Characteristics(
        key=key,
        replicates=replicates,
        failed=int((status != int(Status.OK)).sum()),
        mean=float(made.mean()) if n else math.nan,
        sd=sd,
        mean_se=float(errors.mean()) if len(errors) else math.nan,
        significant=share,
        mc_error_mean=sd / math.sqrt(n) if n > 1 else math.nan,
        mc_error_significant=None if share is None else math.sqrt(spread / replicates),
    )


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
