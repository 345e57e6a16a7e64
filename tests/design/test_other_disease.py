"""A design study of a trial outside ALS: written as data, less is better, worlds reach parts of parts."""

from __future__ import annotations

from pathlib import Path

import pytest

from equipoise.design import design, parse_study
from equipoise.design.carry_out import prepare
from equipoise.simulate import load_scenario

SCENARIO = """
name: decline
default_mechanism: slowing
protocol:
  arms: [placebo, drug]
  ratio: [1, 1]
  groups: {ALL: 80}
  strata: []
  visits: [0, 12, 24]
  period_end: 24
  dosing: {regimen: daily, randomised: [drug], extension: [placebo, drug]}
  extension: {end: 48, entry: 1.0}
outcomes: {SCORE: OUTCOME}
groups: {ALL: {mean: 20, sd: 4, course: {form: linear, rate: 1.0}, rate_sd: 0.3}}
disease:
  model: progression
  outcome: {direction: lower_better, low: 0, high: 85, grid: 1}
  residual: {sd: 2}
  dropout: {hazard: 0.004}
mechanisms:
  none: {effect: {mechanism: none}}
  slowing: {effect: {mechanism: slowing, slowing: 0.5}}
plan:
  analyses:
  - {id: w, population: ITT, dataset: ADEFF, parameter: SCORE, where: {AVISITN: {gt: 0, le: 24}},
     sections: [{method: mmrm, formula: CHG ~ TRT01P * AVISIT + BASE * AVISIT}]}
  order: [w.mmrm]
"""

STUDY = """
name: other
question: Does it work outside ALS?
base: FILE
replicates: 150
recruited_a_month: 10
visits: [12, 24, 36, 48]
factors: {weeks: [24, 48], patients: [80], extension: [0], enrichment: [all], primary: [mmrm]}
primaries: {mmrm: {label: MMRM, all: [{test: w.mmrm}]}}
worlds:
  none: {label: nothing, mechanism: none, kind: none, no_effect: true}
  slowing: {label: slowing, mechanism: slowing, kind: disease-modifying}
  steady:
    label: slowing of a disease without variation
    mechanism: slowing
    kind: disease-modifying
    disease: {residual: {sd: 0.2}}
    groups: {ALL: {rate_sd: 0}}
undisturbed: {dropout: null}
analyses:
- {id: w, population: ITT, dataset: ADEFF, parameter: SCORE, where: {AVISITN: {gt: 0, le: "{weeks}"}},
   sections: [{method: mmrm, formula: CHG ~ TRT01P * AVISIT + BASE * AVISIT, df: satterthwaite}]}
"""


def test_simulation_designs_of_an_outcome_of_which_less_is_better(tmp_path: Path) -> None:
    (tmp_path / "decline.yaml").write_text(SCENARIO, encoding="utf-8")
    study = parse_study(STUDY.replace("FILE", str(tmp_path / "decline.yaml")))
    made = design(study)
    cells = {(c.world, c.design.conduct.weeks): c for c in made.cells}
    # a slowing lowers the score: that is a success, and more of one when the trial is longer
    assert cells["slowing", 48].success > cells["slowing", 24].success > 0.2
    assert cells["steady", 24].success == 1
    for weeks in (24, 48):
        assert cells["none", weeks].success <= 0.025 + 4 * (0.025 / 150) ** 0.5
    # half a point a month less
    assert cells["slowing", 24].true_effect == pytest.approx(-0.5 * 24 / 4.348, abs=0.1)
    assert cells["slowing", 24].failures == 0


def test_property_prepared_cells_are_of_the_disease(tmp_path: Path) -> None:
    (tmp_path / "decline.yaml").write_text(SCENARIO, encoding="utf-8")
    study = parse_study(STUDY.replace("FILE", str(tmp_path / "decline.yaml")))
    prepared = prepare(study, load_scenario(study.base))
    assert {p.maker.simulator.scenario.package.name for p in prepared} == {"progression"}
    assert {a.sign for p in prepared for asked in p.asked.values() for a in asked} == {-1}
