"""What a design looks like while it runs: mean courses over virtual trials, and single trials patient by patient."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np

from equipoise.design.study import Design, DesignStudy
from equipoise.design.trials import scenario_for, simulator_for
from equipoise.errors import ScenarioError
from equipoise.simulate import load_scenario
from equipoise.trial import Trials


def simulated(study: DesignStudy, design: Design, world: str, first: int, trials: int) -> Trials:
    """Virtual trials ``first`` on of a design in a world: the same ones that the study judges.

    Raises
    ------
    ScenarioError : the study has no such world, or the scenario cannot be that design.
    """
    if world not in study.worlds:
        raise ScenarioError(f"no world {world!r}", hint="worlds are: " + ", ".join(study.worlds))
    scenario = scenario_for(_base(study.base), study, design.conduct, study.worlds[world], world)
    return simulator_for(study, scenario, study.worlds[world].draws).block(study.seed, first, trials)


def mean_course(
    study: DesignStudy, design: Design, world: str, *, trials: int = 100, outcome: str | None = None
) -> list[dict[str, Any]]:
    """Mean change from the first visit of each arm at each visit, over virtual trials, with their 95 % range.

    outcome : default the scenario's main one. Patients who left or died are not in the mean of a later visit.

    Returns
    -------
    list
        One row an arm and week: ``arm``, ``visit`` (weeks), ``estimate``, ``low``, ``high``, ``n`` (patients seen, on
        average).

    Examples
    --------
    >>> from equipoise.design import load_study
    >>> study = load_study("next-als")
    >>> rows = mean_course(study, next(study.designs()), "lag13", trials=20)
    >>> rows[0]["arm"], rows[0]["visit"], rows[0]["estimate"]
    ('placebo', 0.0, 0.0)
    """
    batch = simulated(study, design, world, 0, trials)
    values = batch.outcomes[outcome or batch.main_outcome or next(iter(batch.outcomes))]
    change = values - values[:, :, :1]
    rows = []
    for k, arm in enumerate(batch.arms):
        inside = np.where((batch.arm == k)[:, :, None], change, np.nan)
        seen = np.isfinite(inside).sum(axis=1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a visit at which nobody is left has no mean
            means = np.nanmean(inside, axis=1)
            middle = np.nanmean(means, axis=0)
            low, high = np.nanquantile(means, [0.025, 0.975], axis=0)
        for v, week in enumerate(batch.weeks):
            if np.isfinite(middle[v]):
                rows.append(
                    {
                        "arm": arm,
                        "visit": float(week),
                        "estimate": float(middle[v]),
                        "low": float(low[v]),
                        "high": float(high[v]),
                        "n": float(seen[:, v].mean()),
                    }
                )
    return rows


def patients(
    study: DesignStudy, design: Design, world: str, replicate: int, *, outcome: str | None = None
) -> list[dict[str, Any]]:
    """One virtual trial, patient by patient: each one's values, and how observation ended.

    Returns
    -------
    list
        One row a patient: ``patient``, ``arm``, ``group``, ``weeks`` and ``values`` (what was observed), ``last_week``,
        ``died``.
    """
    batch = simulated(study, design, world, replicate, 1)
    values = batch.outcomes[outcome or batch.main_outcome or next(iter(batch.outcomes))][0]
    died = batch.times_to("death")[1][0]
    out = []
    for i in range(batch.n_subjects):
        seen = np.isfinite(values[i])
        out.append(
            {
                "patient": i + 1,
                "arm": batch.arms[int(batch.arm[0, i])],
                "group": batch.sets[int(batch.group[0, i])],
                "weeks": [float(w) for w in batch.weeks[seen]],
                "values": [float(v) for v in values[i][seen]],
                "last_week": float(batch.last_week[0, i]),
                "died": bool(died[i]),
            }
        )
    return out


@cache
def _base(name: str) -> Any:
    return load_scenario(name)
