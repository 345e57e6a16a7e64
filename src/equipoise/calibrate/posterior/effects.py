"""What each draw of a posterior says the drug did to a published result: a belief about the effect, in its unit.

``python -m equipoise.calibrate.posterior.effects TRIAL RESULT --draws FILE --store FILE`` writes a row a draw, as
``equipoise winners-curse`` reads it: ``mechanism``, ``weight`` and ``effect``, a benefit. Of function it is the
difference of the arms in points a month, in a large cohort; of survival minus the logarithm of the ratio of cumulative
hazards, -ln(1 - F), from the shares with the event. Without an effect of the drug it is 0 by construction.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import polars as pl

from equipoise.calibrate.cohort import Predictor, cohort
from equipoise.calibrate.fitting import with_parameters
from equipoise.calibrate.plan import FitPlan, Free, load_plan
from equipoise.calibrate.targets import targets
from equipoise.errors import ScenarioError
from equipoise.files.writing import write_text
from equipoise.plan.key import Key
from equipoise.records import load_record
from equipoise.records.schema import Record
from equipoise.simulate import Mechanism, Scenario, load_scenario
from equipoise.types import WEEKS_PER_MONTH, FloatArray


def effect_keys(record: Record, scenario: Scenario, plan: FitPlan, result: str) -> tuple[Key, ...]:
    """The numbers of a trial that an effect on a result is read from: one of a difference, two of shares with an event.

    Raises
    ------
    ScenarioError : the result is neither a difference of arms nor a count of people at a week.
    """
    found = targets(record, scenario, plan)
    own = [t.key for t in found if t.result == result and t.key.quantity in ("contrast", "slope_difference")]
    if own:
        return (own[0],)
    published = record.result(result)
    shares = {
        t.key.arm: t.key
        for t in found
        if t.key.quantity == "event_share"
        and (t.key.set, t.key.week) == (published.set, published.week)
        and t.key.arm in published.arms
    }
    active = next((a.id for a in record.arms if a.role == "active" and a.id in shares), None)
    control = next((a.id for a in record.arms if a.role == "control" and a.id in shares), None)
    if active is None or control is None:
        raise ScenarioError(
            f"the replica of {record.id} has no effect on the result {result!r}",
            hint="name a difference between arms, or those with an event at a week, that its fit plan reads",
        )
    return shares[active], shares[control]


def as_effect(keys: Sequence[Key], values: FloatArray, week: float) -> FloatArray:
    """(...,) benefit from (..., key) values of :func:`effect_keys`; ``week`` that of the result.

    >>> alive = Key("event_share", variable="death", arm="a", week=52)
    >>> round(float(as_effect((alive, alive), np.array([0.2, 0.4]), 52.0)), 3)
    0.828
    """
    if len(keys) == 2:
        hazard = -np.log1p(-np.clip(values, 1e-12, 1 - 1e-12))
        return np.asarray(np.log(hazard[..., 1]) - np.log(hazard[..., 0]))
    months = 1.0 if keys[0].quantity == "slope_difference" else week / WEEKS_PER_MONTH
    return np.asarray(values[..., 0] / months)


def effect_draws(
    record: Record,
    scenario: Scenario,
    draws: pl.DataFrame,
    result: str,
    *,
    plan: FitPlan | None = None,
    block: str | None = None,
    copies: int = 100,
    seed: int = 20260101,
) -> pl.DataFrame:
    """The effect on a published result at each draw of a posterior.

    Parameters
    ----------
    draws : columns ``mechanism``, ``weight`` and one a parameter, as ``equipoise posterior`` writes them. result : of
    the record. plan, block : as the posterior was found with. copies : of the trial in the cohort that an effect is
    read off, with the same random numbers at every draw.

    Returns
    -------
    Columns ``mechanism``, ``weight``, ``effect``: benefits, points a month or minus a log ratio of cumulative hazards.

    Raises
    ------
    ScenarioError : the draws lack a parameter of their mechanism, or the result has no effect in the replica.
    """
    plan = load_plan(record.id) if plan is None else plan
    own = plan.blocks[block or plan.effect_block]
    keys = effect_keys(record, scenario, plan, result)
    week = float(record.result(result).week or 0.0)
    early = week <= scenario.protocol.period_end
    parts = []
    for value in draws["mechanism"].unique(maintain_order=True):
        mechanism, rows = Mechanism(value), draws.filter(pl.col("mechanism") == value)
        effect = np.zeros(len(rows))
        if mechanism is not Mechanism.NONE:
            free = (*own.free, *plan.effects.get(mechanism, ()))
            theta = _parameters(scenario, free, rows)

            def one(at: FloatArray, mechanism: Mechanism = mechanism, free: Sequence[Free] = free) -> FloatArray:
                moved = with_parameters(scenario, mechanism, free, at)
                people = cohort(moved, mechanism, copies, seed, dropout=own.dropout, randomised_only=early)
                return Predictor(moved, people)(keys)

            with ThreadPoolExecutor() as pool:
                effect = as_effect(keys, np.stack(list(pool.map(one, theta))), week)
        parts.append(rows.select("mechanism", "weight").with_columns(pl.Series("effect", effect)))
    return pl.concat(parts)


def _parameters(scenario: Scenario, free: Sequence[Free], rows: pl.DataFrame) -> FloatArray:
    """(draw, parameter) of a mechanism; a place for every group stands in the column of the first."""
    first = next(iter(scenario.protocol.groups))
    columns = [f.place.replace("*", first) for f in free]
    missing = [c for c in columns if c not in rows.columns]
    if missing:
        raise ScenarioError(f"the draws have no column {missing[0]!r}", hint="take draws of 'equipoise posterior'")
    return rows.select(columns).to_numpy()


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the effects of a file of draws."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("trial")
    parser.add_argument("result")
    parser.add_argument("--draws", type=Path, required=True, help="as 'equipoise posterior' writes them, .csv")
    parser.add_argument("--store", type=Path, required=True, help="a .csv file, as the library keeps it")
    given = parser.parse_args(arguments)
    draws = pl.read_csv(given.draws, infer_schema_length=None)
    made = effect_draws(load_record(given.trial), load_scenario(given.trial), draws, given.result)
    write_text(given.store, made.with_columns(pl.col(pl.Float64).round_sig_figs(6)).write_csv())


if __name__ == "__main__":
    main()
