"""The block of a method: where its kernel covers a section, the numbers are those of a loop over the trials."""

from __future__ import annotations

import textwrap

import numpy as np
import pytest

from equipoise.plan.block import BlockEstimates, block, estimates, study_of
from equipoise.plan.lowering import lower
from equipoise.plan.methods import REGISTRY
from equipoise.plan.scenario_plan import parse_scenario_plan
from equipoise.simulate import Scenario, Simulator

OUTCOME = """
analyses:
- id: a
  population: F
  dataset: ADEFF
  parameter: {parameter}
  where: {{AVISITN: {where}}}
  derive: {{LBASE: {{log: BASE}}}}
  gather: {{DTHWK: {{dataset: ADTTE, parameter: DEATH}}, DTHCN: {{dataset: ADTTE, parameter: DEATH, variable: CNSR}}}}
  sections: [{section}]
"""
TIMES = """
analyses:
- {{id: a, population: ITT, dataset: ADTTE, parameter: DTHPV, sections: [{section}]}}
"""
SECTIONS = {
    "carried_forward": (
        "ALSFRS",
        "{le: 12}",
        "{method: carried_forward, covariates: [BASE], weeks: [4, 12], level: 0.9}",
    ),
    "carried_forward, ratios": (
        "NFL",
        "{le: 12}",
        "{method: carried_forward, value: AVAL, log: true, covariates: [LBASE]}",
    ),
    "mmrm": ("ALSFRS", "{gt: 0, le: 8}", "{method: mmrm, formula: CHG ~ TRT01P * AVISIT + BASE * AVISIT}"),
    "mmrm, ratios": (
        "NFL",
        "{gt: 0, le: 8}",
        "{method: mmrm, formula: 'log(AVAL / BASE) ~ TRT01P * AVISIT', exponentiate: true, covariance: [cs]}",
    ),
    "clda": ("ALSFRS", "{le: 8}", "{method: clda, formula: AVAL ~ 1, baseline: Week 0}"),
    "slope": ("ALSFRS", "{le: 28}", "{method: slope, per: 4.348214285714286, shared_baseline: true, at: [12, 28]}"),
    "mi_ancova": ("ALSFRS", "{le: 12}", "{method: mi_ancova, covariates: [BASE], imputations: 2, weeks: [8, 12]}"),
    "joint_rank": (
        "ALSFRS",
        "{le: 12}",
        "{method: joint_rank, week: 12, time: DTHWK, censor: DTHCN, covariates: [BASE], imputations: 2}",
    ),
    "survival": ("", "", "{method: survival, up_to: 28, covariates: [PRESLOPE]}"),
    "survival, weighted": (
        "",
        "",
        "{method: survival, up_to: 28, strata: [RILFL]}, "
        "{method: survival, up_to: 28, strata: [RILFL], test: fleming-harrington, rho: 1}",
    ),
}
_TOLD = {"median", "events_share", "censored_share"}
WINS = """
analyses:
- id: a
  population: {population}
  gather:
    DTHWK: {{dataset: ADTTE, parameter: DTHPV}}
    DTHCN: {{dataset: ADTTE, parameter: DTHPV, variable: CNSR}}
    LAST: {{dataset: ADEFF, parameter: ALSFRS, variable: CHG, where: {{AVISITN: 28}}}}
    NFLW: {{dataset: ADEFF, parameter: NFL, where: {{AVISITN: 12}}}}
  sections: [{section}]
"""
WITHOUT_FORM = {
    "ancova": OUTCOME.format(
        parameter="ALSFRS", where="28", section="{method: ancova, formula: CHG ~ TRT01P + BASE + NFLBL + RILFL}"
    ),
    "binary": OUTCOME.format(parameter="ALSFRS", where="28", section="{method: binary, response: {CHG: {ge: -3}}}"),
    "binary, margin": OUTCOME.format(
        parameter="ALSFRS",
        where="28",
        section="{method: binary, response: {AVAL: {ge: 36}}, interval: newcombe, missing: no response, margin: 0.1}",
    ),
    "binary, wald": OUTCOME.format(
        parameter="ALSFRS",
        where="12",
        section="{method: binary, response: {CHG: {ge: 2}}, interval: wald, margin: 0.8, margin_of: ratio}",
    ),
    "crossover": OUTCOME.format(
        parameter="ALSFRS", where="{le: 28}", section="{method: crossover, first: 12, second: 28, baselines: [0, 12]}"
    ),
    "win": WINS.format(
        population="F",
        section="{method: win, hierarchy: [{time: DTHWK, censor: DTHCN}, {value: LAST, margin: 1}, "
        "{value: NFLW, lower_better: true}]}",
    ),
    "win, null": WINS.format(population="ITT", section="{method: win, hierarchy: [{value: LAST}], variance: 'null'}"),
}
"""Sections of methods whose block takes the section as it is."""

NOT_AT_ONCE = {"survival": _TOLD, "survival, weighted": {*_TOLD, "hazard_ratio"}}
"""Numbers that no kernel gives: an analysis of which they are wanted is done trial by trial."""


@pytest.mark.parametrize("name", list(SECTIONS))
def test_independent_a_block_gives_what_a_loop_gives(
    valor: Scenario, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parameter, where, section = SECTIONS[name]
    form = OUTCOME if parameter else TIMES
    plan = parse_scenario_plan(textwrap.dedent(form.format(parameter=parameter, where=where, section=section)))
    whole_trial = name in ("mi_ancova", "joint_rank")  # other imputations: without any, all is the same
    still = {"missed_visit": 0.0 if whole_trial else 0.05, "withdrawal_hazard": 0.0, "event_death_share": 0.0}
    still["event_hazard"] = 0.0 if whole_trial else 0.01
    calm = valor.disease.model_copy(update=still)
    bare = {m: h.model_copy(update={"disease": {}}) for m, h in valor.mechanisms.items()}
    scenario = valor.model_copy(update={"disease": calm, "mechanisms": bare}).with_plan(plan)
    trials, whole = Simulator.of(scenario).block(4, 0, 2), scenario.whole_plan()
    loop = BlockEstimates.of([estimates(study_of(trials, i), whole, strict=True) for i in range(2)])
    keys = [k for k in loop.keys if k.quantity not in NOT_AT_ONCE.get(name, ())]
    assert len(keys) > 3

    def single(*_: object) -> None:
        raise AssertionError("done trial by trial")

    with monkeypatch.context() as only_kernels:
        only_kernels.setattr("equipoise.plan.block.study_of", single)
        made = block(trials, whole, keys=keys)
    for key in keys:
        for number in ("estimate", "se", "df", "p", "low", "high", "status"):
            said = f"{number} of {key.id}"
            np.testing.assert_allclose(
                made.column(key, number), loop.column(key, number), rtol=2e-6, atol=1e-9, err_msg=said
            )


@pytest.mark.parametrize("name", list(WITHOUT_FORM))
def test_independent_a_block_without_a_form_gives_what_a_loop_gives(
    valor: Scenario, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = valor.with_plan(parse_scenario_plan(WITHOUT_FORM[name]))
    trials, whole = Simulator.of(scenario).block(4, 0, 3), scenario.whole_plan()
    loop = BlockEstimates.of([estimates(study_of(trials, i), whole, strict=True) for i in range(3)])
    with monkeypatch.context() as only_kernels:
        only_kernels.setattr("equipoise.plan.block.study_of", None)
        made = block(trials, whole, keys=loop.keys)
    for key in loop.keys:
        for number in ("estimate", "se", "df", "p", "low", "high", "status"):
            told = f"{number} of {key.id}"
            np.testing.assert_allclose(made.column(key, number), loop.column(key, number), rtol=1e-8, err_msg=told)


def test_property_what_a_kernel_does_not_give_is_done_trial_by_trial(valor: Scenario) -> None:
    plan = parse_scenario_plan(TIMES.format(section="{method: survival, up_to: 28}"))
    scenario = valor.with_plan(plan)
    trials, whole = Simulator.of(scenario).block(4, 0, 2), scenario.whole_plan()
    loop = block(trials, whole)
    assert {"median", "log_rank"} <= {k.quantity for k in loop.keys}
    some = block(trials, whole, keys=[k for k in loop.keys if k.quantity in ("median", "log_rank")])
    np.testing.assert_array_equal(some.p, loop.p)


def test_property_every_method_with_a_kernel_is_tried_here() -> None:
    tried = {name.partition(",")[0] for name in SECTIONS} | {"delayed_start"}  # that one in test_block_and_single.py
    assert tried == {name for name, method in REGISTRY.items() if method.kernel is not None}
    without = {name.partition(",")[0] for name in WITHOUT_FORM}
    assert without == {name for name, method in REGISTRY.items() if method.block is not None}
    for parameter, where, section in SECTIONS.values():
        form = OUTCOME if parameter else TIMES
        plan = parse_scenario_plan(form.format(parameter=parameter, where=where, section=section))
        assert lower(plan.analyses[0]) is not None
