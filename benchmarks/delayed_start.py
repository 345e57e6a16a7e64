"""How often each criterion of a delayed-start trial is met, under each mechanism of the scenario of VALOR.

    python benchmarks/delayed_start.py [--trials 4000] [--scale 1 4] [--seed 20260101] [--margin 0.02]

Every trial is a fresh one of VALOR's design (arms alike at baseline), analysed with everyone randomised by one
repeated-measures model over both periods (baseline score and ln NfL as covariates, unstructured, Satterthwaite), by
the slope form, and by ANCOVA on imputed data at the end. ``--scale`` multiplies the numbers of patients. Rates in per
cent with their Monte Carlo error; the mean differences say what there was to find.
"""

import argparse
import math
import time

import measure  # noqa: F401  # isort: skip  (threads, before NumPy)

import numpy as np

from equipoise.estimate.delayed_start import delayed_start_batch, delayed_start_slopes_batch
from equipoise.estimate.delayed_start.questions import Criteria
from equipoise.estimate.missing.kernels import mi_ancova as repeated
from equipoise.simulate import Scenario, Simulator, load_scenario

PERIOD_END, WEEK, BLOCK = 28.0, 52.0, 50
MECHANISMS = ("none", "symptomatic", "slowing", "lagged")
COLUMNS = ("Q1", "Q2", "Q3", "all three", "slopes: Q1", "Q3", "all three", "ANCOVA + MI")


def larger(scenario: Scenario, scale: int) -> Scenario:
    """The scenario with ``scale`` times as many patients."""
    groups = {name: scale * size for name, size in scenario.protocol.groups.items()}
    return scenario.model_copy(update={"protocol": scenario.protocol.model_copy(update={"groups": groups})})


def rates(
    scenario: Scenario, mechanism: str, trials: int, seed: int, margin: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(column,) share of trials that met each criterion; mean delta1 and delta2; seconds a trial of each analysis."""
    simulator = Simulator.of(scenario, mechanism, imbalance=False)
    slope_criteria = Criteria(third="slope", first="slope", margin=margin)
    met, deltas, spent = [], [], np.zeros(4)
    for first in range(0, trials, BLOCK):
        clock = [time.perf_counter()]
        made = simulator.block(seed, first, min(BLOCK, trials - first))
        clock.append(time.perf_counter())
        score = made.outcomes["ALSFRS"]
        last = made.visit_index(WEEK)
        y, weeks = score[:, :, 1 : last + 1] - score[:, :, :1], made.weeks[1 : last + 1]
        x = np.stack([score[:, :, 0], made.baseline("LNNFLBL")], axis=-1)
        options = {"period_end": PERIOD_END, "week": WEEK, "covariates": x}
        one = delayed_start_batch(y, made.arm, weeks, **options)
        clock.append(time.perf_counter())
        slopes = delayed_start_slopes_batch(
            y, made.arm, weeks, first_window=(12.0, PERIOD_END), second_window=(PERIOD_END, WEEK), **options
        )
        clock.append(time.perf_counter())
        design = np.concatenate([np.ones((*made.arm.shape, 1)), made.arm[:, :, None], x], axis=2)
        visits, *_ = repeated.mi_ancova(
            y, made.members("ITT"), design, design, seed=made.seed, first_replicate=made.first_replicate
        )
        clock.append(time.perf_counter())
        final = visits[:, 0, -1, repeated.DIFFERENCE : repeated.DIFFERENCE + 3].T
        better = (repeated.p_value(*final) < 0.05) & (final[0] > 0.0)
        a, b = one.met(Criteria()), slopes.met(slope_criteria)
        met.append(np.column_stack([a, a.all(axis=1), b[:, 0], b[:, 2], b.all(axis=1), better]))
        deltas.append(np.stack([one.column("delta1")[0], one.column("delta2")[0]], axis=1))
        spent += np.diff(clock)
    return np.concatenate(met).mean(axis=0), np.nanmean(np.concatenate(deltas), axis=0), spent / trials


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=4000)
    parser.add_argument("--scale", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--seed", type=int, default=20260101)
    parser.add_argument("--margin", type=float, default=0.02, help="of the slope form, points a week")
    parser.add_argument("--mechanisms", nargs="+", default=list(MECHANISMS))
    asked = parser.parse_args()
    scenario = load_scenario("valor")
    print(
        f"scenario valor, digest {scenario.digest()}; {asked.trials} trials each, seed {asked.seed}; "
        f"largest Monte Carlo error {50 / math.sqrt(asked.trials):.2f} points"
    )
    print("| mechanism | patients | delta1 | delta2 | " + " | ".join(COLUMNS) + " |")
    print("| --- " * (4 + len(COLUMNS)) + "|")
    times = []
    for scale in asked.scale:
        own = larger(scenario, scale)
        for mechanism in asked.mechanisms:
            share, delta, spent = rates(own, mechanism, asked.trials, asked.seed, asked.margin)
            error = np.sqrt(share * (1.0 - share) / asked.trials)
            cells = [f"{100 * s:.1f} ({100 * e:.1f})" for s, e in zip(share, error, strict=True)]
            print(
                f"| {mechanism} | {own.protocol.n} | {delta[0]:.2f} | {delta[1]:.2f} | " + " | ".join(cells) + " |",
                flush=True,
            )
            times.append((own.protocol.n, spent))
    for n in sorted({n for n, _ in times}):
        mean = 1e3 * np.mean([s for m, s in times if m == n], axis=0)
        print(
            f"{n} patients, ms a trial: simulation {mean[0]:.1f}, mixed model {mean[1]:.1f}, "
            f"slope form {mean[2]:.1f}, ANCOVA + MI {mean[3]:.1f}"
        )


if __name__ == "__main__":
    main()
