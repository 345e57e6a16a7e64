"""How fast the progression model is: simulating a trial, and one MMRM on it, trials a second of one core.

    python benchmarks/progression.py [--quick]

108 patients at baseline and 8 visits after it, dropout by the last value, one MMRM of the change (unstructured,
Kenward-Roger without second derivatives); then with a marker, an event and an extension, and the 1,795 patients of the
shipped scenario. CPU time of one thread, warm. Aim: 1,200 trials a second, simulation and MMRM together
(0.83 ms).
"""

import sys
from collections.abc import Iterator

from measure import Line, measure, show, where  # isort: skip  (threads, before NumPy)

from equipoise.plan.block import analyse
from equipoise.simulate import Scenario, Simulator, load_scenario
from equipoise.simulate.scenario import parse_scenario

AIM = 1200.0

PLAIN = """
name: plain
default_mechanism: slowing
protocol:
  arms: [placebo, drug]
  ratio: [1, 1]
  groups: {ALL: 108}
  strata: []
  visits: [0, 4, 8, 12, 16, 20, 24, 28, 32]
  period_end: 32
  dosing: {regimen: daily, randomised: [drug]}
outcomes: {SCORE: OUTCOME}
groups: {ALL: {mean: 40, sd: 5, course: {form: linear, rate: 1}, rate_sd: 0.5, rate_corr: 0.2}}
disease:
  model: progression
  outcome: {direction: higher_better, low: 0, high: 60, grid: 1}
  residual: {sd: 2, correlation: 0.3, weeks: 4}
  dropout: {hazard: 0.004, per_point: 0.03}
mechanisms: {slowing: {effect: {mechanism: slowing, slowing: 0.4}}}
plan:
  analyses:
  - id: end
    population: ITT
    dataset: ADEFF
    parameter: SCORE
    where: {AVISITN: {gt: 0, le: 32}}
    sections:
    - {method: mmrm, formula: CHG ~ TRT01P * AVISIT + BASE * AVISIT, covariance: [us], df: kenward-roger-linear}
  order: [end.mmrm]
"""

FULL = (
    PLAIN.replace("name: plain", "name: full")
    .replace("{SCORE: OUTCOME}", "{SCORE: OUTCOME, MARK: MARKER}")
    .replace("rate_corr: 0.2}", "rate_corr: 0.2, marker: {mean: 3, sd: 0.6, rate_corr: 0.4}}")
    .replace(
        "  dropout:",
        "  marker: {residual: {sd: 0.2}, ratio: 0.5, onset: 8}\n"
        "  event: {hazard: 0.002, per_point: 0.08, reference: 40}\n  dropout:",
    )
    .replace("28, 32]", "28, 32, 40, 52, 64]")
    .replace(
        "randomised: [drug]}", "randomised: [drug], extension: [placebo, drug]}\n  extension: {end: 64, entry: 0.9}"
    )
)


def lines(scenario: Scenario, trials: int, blocks: int, target: float | None = None) -> Iterator[Line]:
    """Simulation, analysis and both, milliseconds a trial; ``target`` of both together."""
    simulator = Simulator.of(scenario)
    plan = scenario.plan.only(scenario.plan.analyses[0].id)
    made = simulator.block(1, 0, trials)

    def both() -> None:
        for b in range(blocks):
            analyse(simulator.block(1, b * trials, trials), plan)

    def simulation() -> None:
        for b in range(blocks):
            simulator.block(1, b * trials, trials)

    def analysis() -> None:
        for _ in range(blocks):
            analyse(made, plan)

    head = f"{scenario.name}, {scenario.protocol.n} patients, {len(scenario.protocol.visits) - 1} visits: "
    yield Line(head + "simulation, a trial", measure(simulation).each(trials * blocks))
    yield Line(head + "one MMRM", measure(analysis).each(trials * blocks))
    yield Line(head + "together", measure(both).each(trials * blocks), target)


def main() -> None:
    """Print every figure beside its target."""
    blocks = 1 if "--quick" in sys.argv else 5
    print(where())
    show(
        [
            lines(parse_scenario(PLAIN, "benchmark"), 100, blocks, 1000 / AIM),
            lines(parse_scenario(FULL, "benchmark"), 100, blocks),
            lines(load_scenario("clarity_ad"), 10, blocks),
        ]
    )


if __name__ == "__main__":
    main()
