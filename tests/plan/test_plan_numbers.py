"""Every method of a plan gives numbers under keys; tables print those numbers; many trials give those of each."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from equipoise.estimate.result import Estimate
from equipoise.plan.analysis_plan import Plan, parse_plan
from equipoise.plan.block import NUMBERS, BlockEstimates, block, estimates, study_of
from equipoise.plan.carry_out import analyse
from equipoise.plan.key import Key
from equipoise.plan.methods import REGISTRY
from equipoise.plan.prepared import AGAINST
from equipoise.plan.results import Cell, Results
from equipoise.render.tables.tables import write_results
from equipoise.simulate import Scenario, simulate
from equipoise.trial import Trials
from equipoise.types import Status

DEATH = "DTHWK: {dataset: ADTTE, parameter: DEATH}, DTHCN: {dataset: ADTTE, parameter: DEATH, variable: CNSR}"
LAST = "LAST: {dataset: ADEFF, parameter: ALSFRS, variable: CHG, where: {AVISITN: 28}}"

PLAN = f"""
study: VALOR, virtual
treatment: {{arms: [placebo, tofersen], control: placebo}}
populations: {{ITT: {{label: All randomised, where: {{ITTFL: Y}}}}}}
analyses:
  - id: who
    title: Who took part
    population: ITT
    gather: {{{DEATH}, {LAST}}}
    sections:
      - {{method: summary, variable: ONSETMO, test: anova}}
      - {{method: categories, variable: GROUP, test: fisher}}
      - {{method: disposition, time: LASTWK, reasons: [{{label: Died, where: {{DTHCN: 0}}}}]}}
      - {{method: win, hierarchy: [{{time: DTHWK, censor: DTHCN}}, {{value: LAST}}]}}
      - {{method: win_regression, covariates: [ONSETMO], hierarchy: [{{time: DTHWK, censor: DTHCN}}, {{value: LAST}}]}}
  - id: events
    title: Adverse events
    population: ITT
    dataset: ADAE
    sections: [{{method: incidence}}]
  - id: visits
    title: Function
    population: ITT
    dataset: ADEFF
    parameter: ALSFRS
    where: {{AVISITN: [4, 12, 28]}}
    gather: {{{DEATH}}}
    sections:
      - {{method: mmrm, formula: "CHG ~ TRT01P * AVISIT + BASE * AVISIT", covariance: [cs], visits: [Week 12, Week 28]}}
      - method: ancova
        formula: CHG ~ TRT01P * GROUP + BASE
        where: {{AVISITN: 28}}
        rows:
          - {{label: Mean, show: "{{estimate:2}} ({{se:2}})"}}
          - {{label: Difference, show: "{{estimate:2}} ({{low:2}}; {{high:2}})", versus: placebo}}
          - {{label: The other way, show: "{{estimate:2}} {{t:2}}", arm: placebo, versus: tofersen}}
          - {{label: Interaction, show: "{{p:p4}}", term: "TRT01P:GROUP"}}
          - {{label: Baseline, show: "{{estimate:3}} {{p:p4}}", term: BASE}}
      - {{method: mi_ancova, imputations: 2, burn_in: 2, weeks: [12, 28]}}
      - {{method: mi, imputations: 2, weeks: [28], tipping: {{active: [0, -4]}}}}
      - {{method: joint_rank, week: 28, time: DTHWK, censor: DTHCN, imputations: 2, burn_in: 2}}
      - {{method: cafs, week: 28, time: DTHWK, censor: DTHCN, strata: [GROUP]}}
      - {{method: subgroups, of: difference, by: [GROUP], covariates: [BASE], where: {{AVISITN: 28}}}}
      - {{method: binary, response: {{CHG: {{ge: -6}}}}, strata: [GROUP], margin: 0.1, where: {{AVISITN: 28}}}}
      - {{method: shift, variable: RILFL, baseline: GROUP, where: {{AVISITN: 28}}}}
      - {{method: logistic, response: {{CHG: {{ge: -6}}}}, covariates: [BASE], marginal: true, where: {{AVISITN: 28}}}}
      - {{method: proportional_odds, value: AVAL, covariates: [GROUP], where: {{AVISITN: 28}}}}
      - {{method: gee, response: {{CHG: {{ge: -6}}}}, covariates: [BASE], visits: [Week 12, Week 28]}}
      - {{method: cmh, variable: RILFL, strata: [GROUP], where: {{AVISITN: 28}}}}
      - {{method: deterioration, threshold: 6, died: {{time: DTHWK, where: {{DTHCN: 0}}}}}}
      - {{method: carried_forward, covariates: [BASE], weeks: [12, 28]}}
      - {{method: surrogate, surrogate: BASE, endpoint: CHG, where: {{AVISITN: 28}}, least: 0}}
      - {{method: joint_model, time: DTHWK, censor: DTHCN, knots: 1, per: 4.348, at: [28]}}
      - {{method: disease_rate_ratio, time: DTHWK, censor: DTHCN, knots: 1}}
      - {{method: surrogate_trials, surrogate: BASE, endpoint: CHG, unit: GROUP, where: {{AVISITN: 28}}}}
  - id: baseline
    title: Function, baseline too
    population: ITT
    dataset: ADEFF
    parameter: ALSFRS
    where: {{AVISITN: [0, 4, 12, 28]}}
    sections:
      - {{method: slope, per: 4.348, at: [28]}}
      - {{method: clda, formula: AVAL ~ 1, baseline: Week 0, covariance: [cs], visits: [Week 28]}}
      - {{method: delayed_start, period_end: 12, week: 28, structure: cs}}
      - {{method: crossover, first: 12, second: 28, baselines: [0, 12]}}
  - id: times
    title: Death or ventilation
    population: ITT
    dataset: ADTTE
    parameter: DTHPV
    sections:
      - {{method: survival, at: [28]}}
      - {{method: rmst, tau: 28}}
      - {{method: count_regression, event: {{CNSR: 0}}, exposure: AVAL, model: poisson}}
      - {{method: rates, event: {{CNSR: 0}}, exposure: AVAL, unit: weeks}}
      - {{method: onset, time: AVAL, follow_up: LASTWK, unit: weeks, where: {{CNSR: 0}}}}
      - {{method: recurrent, time: AVAL, follow_up: LASTWK, at: [12], where: {{CNSR: 0}}}}
      - {{method: landmark, at: [28]}}
      - {{method: competing_risks, of: death, at: [28]}}
      - {{method: rpsft, on: ONWK, recensor: false}}
      - {{method: subgroups, of: hazard ratio, by: [GROUP]}}
  - id: values
    title: Values by visit, beyond limits
    population: ITT
    dataset: ADEFF
    parameters: [ALSFRS]
    where: {{AVISITN: [0, 4, 12, 28]}}
    sections:
      - {{method: by_visit}}
      - {{method: outliers, rules: [{{label: L, where: {{AVAL: {{lt: 30}}}}}}], baseline: {{AVISITN: 0}}, test: fisher}}
  - id: listed
    title: A listing
    population: ITT
    dataset: ADEFF
    parameter: ALSFRS
    sections: [{{method: listing, show: [USUBJID, AVISITN, AVAL], where: {{AVISITN: 28}}}}]
  - id: look
    title: A look
    population: ITT
    sections: [{{method: group_sequential, of: visits, visit: Week 28, planned: [0.5, 1], efficacy: obrien-fleming}}]
  - id: claims
    title: What may be claimed
    population: ITT
    sections:
      - method: multiplicity
        procedure: holm
        hypotheses: {{function: {{of: visits, visit: Week 28}}, survival: {{of: times}}}}
"""


@pytest.fixture(scope="module")
def trials(valor: Scenario) -> Trials:
    """Two virtual trials, with the weeks on active treatment: from week 28 on in the control arm."""
    made = simulate(valor, 2, seed=10)
    (followed,) = (e.week for e in made.events.values() if e.parameter == "DTHPV")
    on = np.where(made.arm == 1, followed, np.maximum(0.0, followed - 28.0))
    return replace(made, covariates={**made.covariates, "ONWK": on})


@pytest.fixture(scope="module")
def plan() -> Plan:
    made: Plan = parse_plan(PLAN)
    return made


@pytest.fixture(scope="module")
def results(trials: Trials, plan: Plan) -> Results:
    return analyse(study_of(trials, 0), plan)


def test_property_the_plan_has_every_method_and_each_is_carried_out(plan: Plan, results: Results) -> None:
    assert {s.kind for a in plan.analyses for s in a.sections} == set(REGISTRY)
    assert [(b.method, b.notes) for t in results.tables for b in t.blocks if not b.rows] == []


@pytest.mark.parametrize("method", sorted(REGISTRY))
def test_property_every_method_gives_numbers(results: Results, method: str) -> None:
    found = [block for table in results.tables for block in table.blocks if block.method == method]
    for one in found:
        assert one.numbers, method
        assert any(e.status is Status.OK for e in one.numbers.values()), method
        assert len({key.id for key in one.numbers}) == len(one.numbers), "keys have names of their own"


SHOWN = ("estimate", "se", "df", "low", "high", "p", "t")


def behind(cell: Cell) -> dict[str, float | None]:
    """The numbers of an estimate or a test that a cell shows, in full."""
    return {name: cell.values[name] for name in cell.shown if name in SHOWN}


def same(one: float | None, other: float) -> bool:
    return one == other or (one is None and not math.isfinite(other))


def fits(estimate: Estimate, shown: dict[str, float | None]) -> bool:
    """Whether an estimate is what a cell shows, to the last digit; a share may be shown as a percentage."""
    found = {n: estimate.statistic if n == "t" else getattr(estimate, n) for n in shown}
    return any(
        all(same(v, times * found[n]) for n, v in shown.items())
        for times in ((1.0, 100.0) if estimate.form == "description" else (1.0,))
    )


def test_independent_each_cell_shows_a_number_that_has_a_key(results: Results) -> None:
    looked_at = 0
    for table in results.tables:
        for found in table.blocks:
            for row in found.rows:
                for column, cell in row.cells.items():
                    shown = behind(cell)
                    if not shown:
                        continue
                    looked_at += 1
                    where = (None, column.removeprefix(AGAINST))  # an arm, or a look
                    named = {k: e for k, e in found.numbers.items() if k.arm in where or k.visit == column}
                    assert any(fits(e, shown) for e in named.values()), (
                        table.id,
                        found.method,
                        row.label,
                        column,
                        shown,
                    )
    assert looked_at > 60


def test_independent_a_key_is_an_address(results: Results) -> None:
    numbers = results.numbers
    key = Key("difference", analysis="visits", section=1, arm="tofersen", visit="Week 28")
    cell = results.tables[2].blocks[0].rows[-2].cells["tofersen"]
    assert numbers[key].se == cell.values["se"]
    other = Key("difference", analysis="visits", section=2, arm="placebo", versus="tofersen")
    mine = Key("difference", analysis="visits", section=2, arm="tofersen")
    assert numbers[other].estimate == -numbers[mine].estimate
    term = numbers[Key("term_test", analysis="visits", section=2, variable="TRT01P:GROUP")]
    assert (term.form, term.estimable) == ("p_only", True)
    assert "F test on 1 and" in term.estimator
    group = Key("difference", analysis="visits", section=7, arm="tofersen", variable="GROUP", level="F")
    assert group in numbers
    assert numbers[group].n < numbers[Key("difference", analysis="visits", section=7, arm="tofersen")].n
    question = numbers[Key("question", analysis="baseline", section=3, arm="tofersen", visit="Q1")]
    first = numbers[Key("difference", analysis="baseline", section=3, arm="tofersen", visit="period 1")]
    assert question.sided == 1
    assert question.p == pytest.approx(first.p / 2 if first.estimate > 0 else 1 - first.p / 2, rel=1e-12)


def test_independent_the_frame_has_every_number_and_so_has_the_file(results: Results, tmp_path: Path) -> None:
    frame = results.to_frame()
    assert frame["key"].to_list() == [key.id for key in results.numbers]
    assert frame.columns[:9] == [
        "key",
        "analysis",
        "section",
        "quantity",
        "arm",
        "versus",
        "visit",
        "variable",
        "level",
    ]
    for name in NUMBERS:
        assert all(
            same(a, getattr(e, name)) or (math.isinf(getattr(e, name)) and a == getattr(e, name))
            for a, e in zip(frame[name], results.numbers.values(), strict=True)
        )
    assert frame["status"].to_list() == [e.status.name.lower() for e in results.numbers.values()]
    written = {p.name: p for p in write_results(results, tmp_path)}
    with written["results.csv"].open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["key"] for row in rows] == frame["key"].to_list()
    again = [float(row["estimate"]) if row["estimate"] else None for row in rows]
    assert again == frame["estimate"].to_list(), "to the last digit"
    bare = Results("S", "T", (), {})
    assert bare.to_frame().columns == frame.columns
    assert bare.to_frame().schema == frame.schema
    assert isinstance(frame, pl.DataFrame)


def test_independent_a_block_has_the_numbers_of_its_trials(trials: Trials, plan: Plan, results: Results) -> None:
    made = block(trials, plan)
    assert isinstance(made, BlockEstimates)
    assert len(made) == len(trials)
    for i in range(len(trials)):
        alone = results.numbers if i == 0 else estimates(study_of(trials, i), plan)
        assert set(alone) <= set(made.keys)
        for k, key in enumerate(made.keys):
            if key not in alone:
                assert made.status[i, k] == int(Status.NO_DATA)
                continue
            assert made.status[i, k] == int(alone[key].status)
            for name in NUMBERS:
                np.testing.assert_array_equal(made.column(key, name)[i], getattr(alone[key], name), err_msg=key.id)
