"""A further method at work: on ADaM data, in a table and a figure, in a study; run in a process of its own."""

from __future__ import annotations

import math

import numpy as np
import toy_method

from equipoise.plan import methods

methods.REGISTRY.update({m.name: m for m in toy_method.METHODS})  # as a module of the folder is put there

from equipoise import load_scenario, simulate  # noqa: E402
from equipoise.plan.carry_out import analyse  # noqa: E402
from equipoise.plan.key import Key  # noqa: E402
from equipoise.plan.scenario_plan import parse_scenario_plan  # noqa: E402
from equipoise.render.tables.figures import drawn  # noqa: E402
from equipoise.render.tables.tables import to_text  # noqa: E402
from equipoise.run import operating_characteristics, run_study  # noqa: E402
from equipoise.simulate import Simulator  # noqa: E402
from equipoise.trial.adam import AdamStudy, from_trial  # noqa: E402

PLAN = """
order: [toy.toy_mean]
analyses:
- id: toy
  population: F
  dataset: ADEFF
  parameter: ALSFRS
  where: {AVISITN: 28}
  sections: [{method: toy_mean, value: CHG}]
"""
valor = load_scenario("valor")
scenario = valor.with_plan(parse_scenario_plan(PLAN))

# ADaM data, a table, a figure
trials = simulate(scenario, 1, seed=5, imbalance=False)
results = analyse(AdamStudy({d.name: d for d in from_trial(trials[0])}), scenario.whole_plan(), strict=True)
change = trials.outcomes["ALSFRS"][0, :, trials.visit_index(28)] - trials.outcomes["ALSFRS"][0, :, 0]
mine = [change[(trials.arm[0] == a) & trials.members("F")[0]] for a in (0, 1)]
mine = [x[~np.isnan(x)] for x in mine]
cell = results.tables[0].cell("Means", "Difference (95% CI)", "tofersen")
assert math.isclose(cell.values["estimate"], mine[1].mean() - mine[0].mean(), rel_tol=1e-12)
assert "Difference (95% CI)" in to_text(results)
assert results.tables[-1].title == "Tests in order"
(figure,) = drawn(results)
assert figure.plot is not None, figure.reason

# a scenario: a study of several replicates, and what the method does over them
key = Key("difference", analysis="toy", arm="tofersen")
with run_study(Simulator.of(scenario, imbalance=False), [key], 7, seed=5) as study:
    values = study.values(key)
assert math.isclose(values[0], cell.values["estimate"], rel_tol=1e-12)
made = operating_characteristics(valor, scenario.plan, replicates=7, seed=5).of("difference")
assert math.isclose(made.mean, values.mean(), rel_tol=1e-12)
assert made.failed == 0
assert scenario.plan.primary == "toy.toy_mean"
print("all of it works")
