"""What a joint model would have found where the planned test looked: power of both, on the same virtual trials.

``python -m equipoise.replica.function_and_survival valor --replicates 400`` prints the table, and with ``--store FILE``
keeps it: the library's copy is what the trial's page reads.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from equipoise.errors import ScenarioError
from equipoise.estimate.fit import aligned
from equipoise.estimate.joint_model.batch import joint_model_batch, rate_ratio_batch
from equipoise.files.writing import write_text
from equipoise.plan import end_points
from equipoise.plan.deciding import deciding
from equipoise.replica.rebuild import prolonged
from equipoise.run import run_study
from equipoise.simulate import Mechanism, Scenario, Simulator, load_scenario
from equipoise.types import FloatArray

BLOCK = 50
"""Trials simulated at a time."""


@dataclass(frozen=True)
class PowerRow:
    """Of one test under one mechanism: the share of all trials in which it is significant, and in which it can be had.

    error : the Monte Carlo standard error of ``significant``. events : mean number in a trial.
    """

    mechanism: str
    week: float
    test: str
    significant: float
    error: float
    estimable: float
    events: float


@dataclass(frozen=True)
class FunctionAndSurvival:
    """Power of the planned test, of joint models and of the disease rate ratio, by mechanism and week."""

    scenario: str
    replicates: int
    seed: int
    alpha: float
    event: str
    rows: tuple[PowerRow, ...]
    made_from: str = ""
    """What the scenario was (:func:`key_of`), so that a stored table of an older one is known for what it is."""

    def __str__(self) -> str:
        head = ["mechanism", "week", "test", "significant", "MC error", "estimable", "events a trial"]
        body = [
            [
                row.mechanism,
                f"{row.week:g}",
                row.test,
                f"{100 * row.significant:.1f} %",
                f"{100 * row.error:.1f}",
                f"{100 * row.estimable:.0f} %",
                f"{row.events:.1f}",
            ]
            for row in self.rows
        ]
        told = f"{self.scenario}: {self.replicates} trials a line, seed {self.seed}, alpha {self.alpha:g}, {self.event}"
        return "\n".join([told, "", *aligned(head, body)])


def function_and_survival(
    scenario: Scenario | str,
    *,
    replicates: int = 200,
    seed: int = 1,
    event: str | None = None,
    mechanisms: Sequence[str] | None = None,
) -> FunctionAndSurvival:
    """How often the planned primary test, a joint model and a disease rate ratio would be significant.

    Fresh trials of the scenario (arms alike at baseline), as planned and randomised for 52 weeks, in the analysis set
    of the primary analysis. The joint model is a straight course and a hazard that depends on its value, tested jointly
    on 2 df; a trial in which a test cannot be had counts as not significant.

    Parameters
    ----------
    event : the end point in time, by default the one that counts most kinds of event.

    Raises
    ------
    ScenarioError : the primary analysis has no week.
    """
    scenario = load_scenario(scenario) if isinstance(scenario, str) else scenario
    longer = prolonged(scenario)
    planned = scenario.plan.analysis(scenario.plan.primary.partition(".")[0])
    if getattr(planned, "week", None) is None:
        raise ScenarioError(
            "the primary analysis has no week", hint="it is a time to an event: there is no course to model"
        )
    worlds = [scenario.with_plan(scenario.plan.only(planned.id)), *([longer] if longer is not None else [])]
    chosen = [m for m in scenario.mechanisms if mechanisms is None or m.value in mechanisms]
    rows: list[PowerRow] = []
    named = event
    for mechanism in chosen:
        for world in worlds:
            named, made = _compare(world, mechanism, replicates, seed, event)
            rows += made
    return FunctionAndSurvival(
        scenario.name, replicates, seed, scenario.plan.alpha, str(named), tuple(rows), key_of(scenario)
    )


def key_of(scenario: Scenario) -> str:
    """All that a scenario says and that decides its virtual trials, as a short hash; fields at their default do not."""
    return hashlib.sha256(json.dumps(scenario.said(), sort_keys=True).encode()).hexdigest()[:16]


def _compare(
    world: Scenario, mechanism: Mechanism, replicates: int, seed: int, event: str | None
) -> tuple[str, list[PowerRow]]:
    analysis = world.plan.analysis(world.plan.primary.partition(".")[0])
    week, alpha = float(getattr(analysis, "week", math.nan)), world.plan.alpha
    simulator = Simulator.of(world, mechanism, imbalance=False)
    decider = deciding(world.plan, world.plan.primary)
    with run_study(simulator, [decider.p], replicates, seed=seed) as study:
        p_planned = study.values(decider.p)
    tests: dict[str, list[FloatArray]] = {"joint model, 2 df": [], "its slopes alone": [], "disease rate ratio": []}
    events = 0.0
    name = ""
    for first in range(0, replicates, BLOCK):
        trials = simulator.block(seed, first, min(BLOCK, replicates - first))
        name = event or max(trials.events, key=lambda e: len(end_points.counted(e)))
        when, happened = trials.times_to(name)
        members = trials.members(str(getattr(analysis, "set", "ITT")))
        visits = trials.weeks <= week
        end = np.minimum(when, week)
        happened = happened & (when <= week)
        arm = np.where(members, trials.arm.astype(np.int64), -1)
        y = trials.function[:, :, visits]
        events += float((happened & members).sum())
        joint = joint_model_batch(y, trials.weeks[visits], arm, end, happened, shared_baseline=True)
        ratio = rate_ratio_batch(y, trials.weeks[visits], arm, end, happened)
        tests["joint model, 2 df"].append(joint.joint_p)
        tests["its slopes alone"].append(joint.p[:, 0])
        tests["disease rate ratio"].append(ratio.p)
    found = {f"planned ({world.plan.primary.partition('.')[2]})": p_planned}
    found |= {test: np.concatenate(parts) for test, parts in tests.items()}
    rows = []
    for test, p in found.items():
        share = float((np.nan_to_num(p, nan=1.0) < alpha).mean())
        error = math.sqrt(max(share * (1.0 - share), 1e-12) / len(p))
        rows.append(
            PowerRow(mechanism.value, week, test, share, error, float(np.isfinite(p).mean()), events / replicates)
        )
    return name, rows


def main(arguments: Sequence[str] | None = None) -> None:
    """The table on standard output."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("scenario")
    parser.add_argument("--replicates", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mechanism", action="append")
    parser.add_argument("--store", type=Path, help="a file of the table, as the library keeps it")
    given = parser.parse_args(arguments)
    made = function_and_survival(
        given.scenario, replicates=given.replicates, seed=given.seed, mechanisms=given.mechanism
    )
    print(made)
    if given.store is not None:
        write_text(given.store, json.dumps(asdict(made), indent=1) + "\n")


if __name__ == "__main__":
    main()
