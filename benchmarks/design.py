"""How fast designs are judged: the engines, the repeated-measures model, a whole replicate, a study, and where it goes.

    python benchmarks/design.py [--quick]

CPU time of one thread, warm. Aims: a generic progression trial with one MMRM of 108 patients and 8 visits, 1,200 a
second (0.83 ms); the ALS engine 1 ms for 108 patients over 52 weeks, with the steps of `next-als`; MMRM with
intermittent holes 1,200 a second; a whole replicate of VALOR (all its analyses, 20 imputations) 100 a second on two
cores (20 ms); `equipoise design next-als` at explore size 5 minutes on two cores (5.3 ms a trial, compiling aside). R
fits the same model to one of the trials, where Rscript has the packages.
"""

import sys
from collections.abc import Iterator

from measure import Line, Spread, beside, measure, r_beside, show, where  # isort: skip  (threads, before NumPy)

import numpy as np
import polars as pl

from equipoise.calibrate import targets
from equipoise.design import load_study
from equipoise.design.carry_out import prepare
from equipoise.estimate.linear.mmrm import fit_batch
from equipoise.plan.block import analyse
from equipoise.plan.read_keys import read
from equipoise.records import load_record
from equipoise.simulate import Simulator, load_scenario
from equipoise.simulate.scenario import parse_scenario
from mmrm import GLS, R_MMRM, batch
from progression import PLAIN, lines

AIM = 1000 / 1200


def engine(trials: int) -> Iterator[Line]:
    """The ALS engine, milliseconds for 108 patients over 52 weeks."""
    whole = load_scenario("valor")
    read_alone = whole.model_copy(update={"outcomes": {"ALSFRS": "ALSFRS"}})
    for scenario, outcomes in ((whole, "all outcomes"), (read_alone, "ALSFRS-R alone")):
        for steps in (7, 2):
            simulator = Simulator.of(scenario, steps_per_week=steps)
            taken = measure(lambda s=simulator: s.block(1, 0, trials), 5).each(trials)
            aim = 1.0 if steps == 2 else None
            yield Line(f"ALS engine, 108 patients, 52 weeks, {outcomes}, {steps} steps a week", taken, aim)


def repeated(trials: int, runs: int = 3) -> Iterator[Line]:
    """One MMRM of 108 patients and 8 visits, with and without holes; R on one of the trials."""
    for holes, what in ((0.0, "monotone dropout"), (0.03, "3 % intermittent holes")):
        y, w = batch(trials, holes=holes)
        contrast = np.zeros((1, 8, 3))
        contrast[0, 7, 2] = 1.0
        data = _frame(y[0], w[0])
        set_up = "d$v <- as.integer(d$visit); d$visit <- factor(d$visit); d$id <- factor(d$id)"
        mmrm = r_beside(["mmrm", "emmeans"], set_up, {"fit": R_MMRM["fit"]}, {"d": data}, runs)
        gls = r_beside(["nlme"], set_up, {"fit": GLS}, {"d": data}, runs)
        taken = measure(lambda y=y, w=w, c=contrast: fit_batch(y, w, c), 5).each(trials)
        yield Line(f"MMRM, 108 x 8, {what} (beside it mmrm)", taken, AIM, beside(mmrm, "fit"))
        yield Line("  the same (beside it nlme::gls)", taken, None, beside(gls, "fit"))


def _frame(y: np.ndarray, w: np.ndarray) -> pl.DataFrame:
    i, v = np.nonzero(np.isfinite(y))
    return pl.DataFrame(
        {
            "id": [f"P{k:04d}" for k in i],
            "visit": [f"V{k + 1:02d}" for k in v],
            "arm": np.where(w[i, 2] > 0.5, "TRT", "PBO"),
            "base": w[i, 1],
            "y": y[i, v],
        }
    )


def replicate(trials: int) -> Iterator[Line]:
    """A whole replicate of VALOR, and where its time goes."""
    scenario = load_scenario("valor")
    simulator = Simulator.of(scenario)
    keys = [t.key for t in targets(load_record("valor"), scenario)]
    made = simulator.block(1, 0, trials)
    found = analyse(made, scenario.plan)

    def whole() -> None:
        block = simulator.block(1, 0, trials)
        read(block, keys, scenario.plan, analyse(block, scenario.plan))

    yield Line(f"VALOR, a replicate with {len(scenario.plan.analyses)} analyses", measure(whole, 3).each(trials), 20.0)
    yield Line("  of it: simulation", measure(lambda: simulator.block(1, 0, trials), 3).each(trials))
    yield Line("  of it: analyses", measure(lambda: analyse(made, scenario.plan), 3).each(trials))
    yield Line("  of it: reading the numbers", measure(lambda: read(made, keys, scenario.plan, found), 3).each(trials))


def study(trials: int) -> Iterator[Line]:
    """The shipped study: a trial of each length and size, and where the time of the mean one goes."""
    chosen = load_study("next-als")
    cells = [p for p in prepare(chosen, load_scenario(chosen.base)) if p.world == "lag8"]
    whole, simulation, parts = [], [], {}
    for p in cells:
        simulator = p.maker.simulator
        whole.append(measure(lambda p=p: p.maker(0, trials), 3).each(trials))
        simulation.append(measure(lambda s=simulator: s.block(1, 0, trials), 3).each(trials))
        made, plan = simulator.block(1, 0, trials), simulator.scenario.plan
        for analysis in plan.analyses:
            alone = plan.only(analysis.id)
            taken = measure(lambda m=made, a=alone: analyse(m, a), 3).each(trials)
            parts.setdefault(analysis.id, []).append(taken)
        c = p.conduct
        yield Line(f"next-als, {c.weeks:g} + {c.extension:g} weeks, {c.patients} patients, {c.enrichment}", whole[-1])
    count = len(cells) * len(chosen.worlds) * chosen.replicates

    def mean(spreads: list[Spread]) -> Spread:
        return Spread(tuple(float(np.mean(run)) for run in zip(*(s.runs for s in spreads), strict=True)))

    yield Line(f"next-als, mean of a trial ({count:,} at explore size)", mean(whole), 600e3 / count)
    yield Line("  of it: simulation", mean(simulation))
    for name, spreads in parts.items():
        yield Line(f"  of it: {name}", mean(spreads))


def main() -> None:
    """Print every figure beside its target."""
    quick = "--quick" in sys.argv
    print(where())
    few, many = (20, 100) if quick else (50, 500)
    parts = [
        lines(parse_scenario(PLAIN, "benchmark"), 100, 1 if quick else 5, AIM),
        engine(few),
        repeated(many, 1 if quick else 3),
        replicate(20),
        study(20),
    ]
    show(parts)


if __name__ == "__main__":
    main()
