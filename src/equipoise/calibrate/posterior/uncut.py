"""What holding the earlier blocks leaves out: standard deviations with them held, and with one of them free.

``python -m equipoise.calibrate.posterior.uncut TRIAL MECHANISM --free BLOCK`` takes the linear posterior at the fit.
With ``D`` the slope of the statistics in the parameters and ``S`` their covariance, the posterior has the covariance
``(D' S^-1 D + P)^-1``, ``P`` the inverse variances of the uniform priors. Held: the statistics and parameters of the
block of the effect alone. Free: those of both blocks together, whose statistics share their patients.

References: Plummer M 2015, Stat Comput 25:37 (what a cut is).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from equipoise.calibrate.plan import FitPlan, load_plan
from equipoise.calibrate.posterior.likelihood import adjustments_of, observed, statistics_of
from equipoise.calibrate.posterior.mechanisms import Model, fitted_values
from equipoise.calibrate.targets import targets
from equipoise.errors import ScenarioError
from equipoise.records import load_record
from equipoise.records.schema import Record
from equipoise.simulate import Mechanism, Scenario, load_scenario
from equipoise.types import FloatArray

_STEP = 0.05  # of the prior's width, to each side


@dataclass(frozen=True)
class Uncut:
    """One parameter: its posterior standard deviation with the earlier block ``held``, and with it ``free``."""

    place: str
    held: float
    free: float

    @property
    def wider(self) -> float:
        """How many times as wide the interval is without the cut."""
        return self.free / self.held


def linear_covariance(slope: FloatArray, covariance: FloatArray, width: FloatArray) -> FloatArray:
    """(parameter, parameter) of the linear posterior; ``slope`` (statistic, parameter), ``width`` of uniform priors.

    >>> found = linear_covariance(np.array([[2.0]]), np.array([[1.0]]), np.array([1e6]))
    >>> round(float(found[0, 0]), 6)  # an observation of twice the parameter, error 1
    0.25
    """
    information = slope.T @ np.linalg.solve(covariance, slope) + np.diag(12.0 / width**2)
    return np.asarray(np.linalg.inv(information))


def uncut(
    record: Record,
    scenario: Scenario,
    mechanism: Mechanism | str,
    *,
    free: str,
    plan: FitPlan | None = None,
    copies: int = 60,
    replicates: int = 600,
    seed: int = 20260101,
) -> tuple[Uncut, ...]:
    """The parameters of the block of the effect, with the block ``free`` held and free.

    Raises
    ------
    ScenarioError : no such block, or a statistic of either that the replica cannot give.
    """
    plan = load_plan(record.id) if plan is None else plan
    name = plan.effect_block
    if free not in plan.blocks or free == name:
        raise ScenarioError(
            f"no block {free!r} beside {name!r}", hint=f"there are {', '.join(b for b in plan.blocks if b != name)}"
        )
    mechanism = Mechanism(mechanism)
    found = targets(record, scenario, plan)
    outcome = next(iter(scenario.outcomes), "")
    own = (*statistics_of(found, name), *adjustments_of(found, outcome, scenario.package.marker.outcome))
    dropout = plan.blocks[name].dropout
    seen = observed(
        scenario,
        mechanism,
        (*own, *statistics_of(found, free)),
        dropout=dropout,
        later=False,
        replicates=replicates,
        copies=copies,
        seed=seed,
    )
    first = (*plan.blocks[name].free, *plan.effects.get(mechanism, ()))
    parameters = (*first, *plan.blocks[free].free)
    model = Model(scenario, mechanism, parameters, seen, copies, seed, dropout, False)
    start = fitted_values(scenario, mechanism, parameters)
    width = model.high - model.low
    slope = np.empty((len(seen.statistics), len(start)))
    for k in range(len(start)):
        up, down = start.copy(), start.copy()
        up[k] = min(start[k] + _STEP * width[k], model.high[k])
        down[k] = max(start[k] - _STEP * width[k], model.low[k])
        slope[:, k] = (model.predicted(up) - model.predicted(down)) / (up[k] - down[k])
    labels = {s.label for s in own}
    mine = np.array([s.label in labels for s in seen.statistics])
    n = len(first)
    held = linear_covariance(slope[mine, :n], seen.covariance[np.ix_(mine, mine)], width[:n])
    both = linear_covariance(slope, seen.covariance, width)
    sd = zip(first, np.sqrt(np.diag(held)), np.sqrt(np.diag(both)[:n]), strict=True)
    return tuple(Uncut(f.place, float(a), float(b)) for f, a, b in sd)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a line a parameter."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("trial")
    parser.add_argument("mechanism")
    parser.add_argument("--free", default="biomarker", help="the earlier block that is let free")
    given = parser.parse_args(arguments)
    print(f"{'':32}{'held':>10}{'free':>10}{'wider':>8}")
    for u in uncut(load_record(given.trial), load_scenario(given.trial), given.mechanism, free=given.free):
        print(f"{u.place:32}{u.held:10.4g}{u.free:10.4g}{u.wider:8.2f}")


if __name__ == "__main__":
    main()
