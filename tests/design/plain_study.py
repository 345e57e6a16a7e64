"""A plain disease for known answers: one score, normal, whose change has variance 2 x 25; two groups; a marker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from equipoise.design import DesignStudy, parse_study

SCENARIO = """
name: plain
default_mechanism: symptomatic
protocol:
  arms: [placebo, drug]
  ratio: [1, 1]
  groups: {A: 60, B: 60}
  strata: []
  visits: [0, 4, 12]
  period_end: 12
  dosing: {regimen: daily, randomised: [drug], doses: {drug: 3}}
outcomes: {SCORE: OUTCOME, MARK: MARKER}
groups:
  A: {mean: 50, sd: 4, course: {form: linear, rate: 0.5}, marker: {mean: 3, sd: 0.1}}
  B: {mean: 50, sd: 4, course: {form: linear, rate: 0.5}, marker: {mean: 3, sd: 0.1}}
disease:
  model: progression
  outcome: {direction: higher_better}
  residual: {sd: 5}
  marker: {residual: {sd: 0.2}, ratio: 0.7, onset: 2}
mechanisms:
  none: {effect: {mechanism: none}}
  symptomatic: {effect: {mechanism: symptomatic, gain: 3, by_dose: {1: 0.2, 2: 0.6, 3: 1.0}}}
plan:
  analyses:
  - {id: w, population: ITT, dataset: ADEFF, parameter: SCORE, where: {AVISITN: {le: 12}},
     sections: [{method: carried_forward, covariates: []}]}
  order: [w.ancova]
"""

STUDY = """
name: plain
question: Does it stop when it should?
base: FILE
replicates: 1000
seed: 4
accrual: {rates: [[0, 10]], ramp: 3}
visits: [4, 12]
factors: {weeks: [12], patients: [200], primary: [anova]}
primaries: {anova: {label: ANOVA, all: [{test: w.ancova}]}}
worlds:
  none: {label: nothing, mechanism: none, kind: none, no_effect: true, disease: {marker: {ratio: 1}}}
  lifts: {label: lifts, mechanism: symptomatic, kind: symptomatic}
undisturbed: {missed_visit: 0.0}
analyses:
- {id: w, population: ITT, dataset: ADEFF, parameter: SCORE, where: {AVISITN: {le: "{weeks}"}},
   sections: [{method: carried_forward, covariates: []}]}
- {id: m, population: ITT, dataset: ADEFF, parameter: MARK, where: {AVISITN: {le: 4}},
   derive: {LN: {log: AVAL}}, sections: [{method: carried_forward, covariates: []}]}
"""

SD = 50**0.5
"""Of a change."""


def study(folder: Path, **changes: Any) -> DesignStudy:
    """The study with other parts; factors are merged."""
    file = folder / "plain.yaml"
    file.write_text(SCENARIO, encoding="utf-8")
    data = yaml.safe_load(STUDY)
    data["base"] = str(file)
    data["factors"] |= changes.pop("factors", {})
    return parse_study(yaml.safe_dump({**data, **changes}, sort_keys=False))
