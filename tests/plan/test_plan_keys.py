"""Numbers of a plan by key: those of the estimators, all that is printed, and what other analyses take up."""

from __future__ import annotations

import math
from pathlib import Path

import polars as pl
import pytest
from test_plan_methods import DEATH, block, events, trial

from equipoise.estimate.result import Estimate
from equipoise.plan.analysis_plan import dump_plan, parse_plan
from equipoise.plan.block import estimates
from equipoise.plan.carry_out import analyse
from equipoise.plan.key import Key
from equipoise.plan.methods import REGISTRY
from equipoise.plan.results import Block
from equipoise.trial.adam import AdamStudy

TIMES = {"dataset": "ADTTE", "parameter": "DTHPV"}
ADSL = {"dataset": "ADSL", "parameter": None}
SECTIONS: dict[str, tuple[str, dict[str, str | None]]] = {
    "survival": ("{method: survival, at: [8, 12], proportional_hazards: true}", TIMES),
    "rmst": ("{method: rmst, tau: 12}", TIMES),
    "landmark": ("{method: landmark, at: [8, 12]}", TIMES),
    "competing_risks": ("{method: competing_risks, of: death, at: [12]}", TIMES),
    "deterioration": ("{method: deterioration, threshold: 4, at: [8], died: {time: DTHWK, where: {DTHCN: 0}}}", {}),
    "rpsft": ("{method: rpsft, on: ONWK, recensor: false}", TIMES),
    "summary": ("{method: summary, variable: ENDWK, test: kruskal-wallis}", ADSL),
    "categories": ("{method: categories, variable: AGEGR1, test: fisher, show_n: true}", ADSL),
    "incidence": ("{method: incidence, variable: EVNTDESC, at_least: 0}", TIMES),
    "disposition": ("{method: disposition, time: LASTWK, reasons: [{label: Died, where: {DTHCN: 0}}]}", ADSL),
}


@pytest.fixture(scope="module")
def study() -> AdamStudy:
    return trial()


@pytest.fixture(scope="module")
def blocks(study: AdamStudy) -> dict[str, Block]:
    return {name: block(study, section, **options) for name, (section, options) in SECTIONS.items()}


def number(found: Block, quantity: str, **place: str) -> Estimate:
    return found.numbers[Key(quantity, analysis="A1", **place)]


# -- the numbers are those of the direct calls, and all that is printed ---------------------------------------------


def test_independent_numbers_by_key(study: AdamStudy, blocks: dict[str, Block]) -> None:
    from equipoise.estimate.survival import cox, log_rank
    from equipoise.estimate.survival.competing_risks import cumulative_incidence
    from equipoise.estimate.survival.kaplan_meier import kaplan_meier

    frame = events(study)
    found, fit = blocks["survival"], cox("Surv(AVAL, EV) ~ TRT01P", frame)
    assert number(found, "hazard_ratio", arm="Drug") == fit.hazard_ratio("TRT01P")
    test = log_rank("Surv(AVAL, EV) ~ TRT01P", frame)
    assert number(found, "log_rank").p == pytest.approx(test.p, rel=1e-9)
    assert number(found, "log_rank").estimate == pytest.approx(test.observed[1] - test.expected[1])
    curve = {str(c.group): c for c in kaplan_meier(frame, arm="TRT01P", time="AVAL", event="EV")}["Drug"]
    at = number(found, "survival", arm="Drug", visit="8")
    assert (at.estimate, at.se, at.low, at.high) == pytest.approx(curve.at(8.0)[:4])
    assert math.isnan(at.p)
    drug = frame.filter(pl.col("TRT01P") == "Drug")
    assert number(found, "patients", arm="Drug").estimate == drug.height
    assert number(found, "events", arm="Drug").estimate == drug["EV"].sum()
    assert number(found, "events_share", arm="Drug").estimate == pytest.approx(drug["EV"].mean())

    causes = cumulative_incidence(frame, arm="TRT01P", time="AVAL", cause="EVNTDESC", censored="censored")
    placebo = next(c for c in causes if str(c.group) == "Placebo")
    place = {"arm": "Placebo", "variable": "EVNTDESC", "level": "death"}
    assert number(blocks["competing_risks"], "incidence", visit="12", **place).estimate == pytest.approx(
        placebo.at(12.0, "death")[0]
    )
    assert (
        number(blocks["competing_risks"], "events", **place).estimate == placebo.events[placebo.causes.index("death")]
    )

    adsl = study["ADSL"].frame.filter(pl.col("TRT01P") == "Drug")
    old = number(blocks["categories"], "patients", arm="Drug", variable="AGEGR1", level="<65")
    assert (old.estimate, old.n) == (adsl.filter(pl.col("AGEGR1") == "<65").height, adsl.height)
    assert number(blocks["summary"], "mean", arm="Drug", variable="ENDWK").estimate == adsl["ENDWK"].mean()
    left = number(blocks["disposition"], "left", arm="Drug", variable="DCSREAS", level="Died")
    assert left.estimate == number(blocks["disposition"], "left", arm="Drug").estimate


@pytest.mark.parametrize("name", SECTIONS)
def test_property_every_number_that_is_printed_has_a_key(blocks: dict[str, Block], name: str) -> None:
    found = blocks[name]
    numbers = [e.estimate for e in found.numbers.values()] + [e.p for e in found.numbers.values()]
    kept = {f"{scale * v:.9g}" for v in numbers if not math.isnan(v) for scale in (1.0, 100.0)}
    printed = 0
    for row in found.rows:
        for cell in row.cells.values():
            for key in ("estimate", "n", "median", "mean", "p"):
                if key in cell.shown and (value := cell.values[key]) is not None:
                    assert f"{value:.9g}" in kept, (row.label, key)
                    printed += 1
    assert printed > 3


# -- what other analyses take up -----------------------------------------------------------------------------------


def test_property_every_method_lends_tests_that_it_has(blocks: dict[str, Block]) -> None:
    for name, found in blocks.items():
        there = {key.quantity for key in found.numbers}
        tests = REGISTRY[name].tests
        assert not tests or there & {t.quantity for t in tests}, name
        for key, estimate in found.numbers.items():
            if any(t.quantity == key.quantity for t in tests):
                assert estimate.form != "description", key


def test_every_test_that_may_be_taken_up_is_told_in_the_documentation() -> None:
    text = (Path(__file__).parents[2] / "docs" / "adam.md").read_text()
    table = text[text.index("quantities that may be taken up") :].split("\n\n")[0]
    lent = {t.quantity for method in REGISTRY.values() for t in method.tests}
    assert lent == {q for q in lent if f"`{q}`" in table}


def test_every_quantity_is_told_in_the_documentation(blocks: dict[str, Block], study: AdamStudy) -> None:
    text = (Path(__file__).parents[2] / "docs" / "adam.md").read_text()
    table = text[text.index("| method | quantities |") :].split("\n\n")[0]
    made = parse_plan(LOOKS.format(look="{method: group_sequential, of: times, planned: [9, 99]}", death=DEATH))
    there = {key.quantity for found in blocks.values() for key in found.numbers}
    there |= {key.quantity for key in analyse(study, made).numbers}
    assert {q for q in there if f"`{q}`" not in table and f"`{q.removesuffix('_share')}`" not in table} == set()


LOOKS = """
study: T
treatment: {{arms: [Placebo, Drug]}}
populations: {{ITT: {{label: All, where: {{ITTFL: Y}}}}}}
analyses:
  - {{id: look, title: A look, population: ITT, sections: [{look}]}}
  - {{id: claim, title: Claims, population: ITT, sections: [
      {{method: multiplicity, procedure: holm, hypotheses: {{deaths: {{of: times}}, score: {{of: score}}}}}}]}}
  - id: score
    title: Function
    population: ITT
    dataset: ADEFF
    parameter: TOT
    gather: {{{death}}}
    sections:
      - {{method: mmrm, formula: CHG ~ TRT01P * AVISIT + BASE, covariance: [cs], visits: [Week 16], figure: false}}
      - {{method: cafs, time: DTHWK, censor: DTHCN, week: 16}}
  - id: wins
    title: Wins
    population: ITT
    gather: {{{death}, LAST: {{dataset: ADEFF, parameter: TOT, variable: CHG, where: {{AVISITN: 16}}}}}}
    sections: [{{method: win, hierarchy: [{{time: DTHWK, censor: DTHCN}}, {{value: LAST}}], figure: false}}]
  - id: times
    title: Survival
    population: ITT
    dataset: ADTTE
    parameter: DTHPV
    sections:
      - {{method: survival, figure: false}}
      - {{method: rmst, tau: 12}}
      - {{method: landmark, at: [8, 12]}}
      - {{method: competing_risks, of: death}}
      - {{method: rpsft, on: ONWK, recensor: false, figure: false}}
      - {{method: subgroups, of: hazard ratio, by: [SEX], figure: false}}
"""


def looked(study: AdamStudy, of: str) -> Block:
    look = f"{{method: group_sequential, {of}, planned: [0.001, 1000000], figure: false}}"
    return analyse(study, parse_plan(LOOKS.format(look=look, death=DEATH)), strict=True).table("look").blocks[0]


@pytest.mark.parametrize(
    ("of", "where"),
    [
        ("of: times, quantity: hazard_ratio, information: variance", ("times", 1, "hazard_ratio", {}, True)),
        ("of: times, section: 2", ("times", 2, "rmst_difference", {}, False)),
        ("of: times, section: 2, quantity: rmst_lost_ratio", ("times", 2, "rmst_lost_ratio", {}, True)),
        ("of: times, section: 3, visit: '8'", ("times", 3, "survival_difference", {"visit": "8"}, False)),
        (
            "of: times, section: 4, quantity: cause_specific_hazard_ratio",
            ("times", 4, "cause_specific_hazard_ratio", {}, True),
        ),
        ("of: times, section: 5", ("times", 5, "hazard_ratio", {}, True)),
        (
            "of: times, section: 6, variable: SEX, level: F",
            ("times", 6, "hazard_ratio", {"variable": "SEX", "level": "F"}, True),
        ),
        ("of: score, section: 2", ("score", 2, "rank_difference", {}, False)),
        ("of: wins, quantity: net_benefit", ("wins", 1, "net_benefit", {}, False)),
    ],
)
def test_property_a_look_takes_the_number_with_the_key(
    study: AdamStudy, of: str, where: tuple[str, int, str, dict[str, str], bool]
) -> None:
    """Z has the p-value of the number, and favours the drug where the estimate does."""
    analysis, section, quantity, place, less = where
    results = analyse(
        study, parse_plan(LOOKS.format(look="{method: group_sequential, of: times, planned: [9, 99]}", death=DEATH))
    )
    meant = results.numbers[Key(quantity, analysis=analysis, section=section, arm="Drug", **place)]
    found = looked(study, of)
    z = found.numbers[Key("z", analysis="look", visit="Look 1")].estimate
    assert math.erfc(abs(z) / math.sqrt(2.0)) == pytest.approx(meant.p, rel=1e-6)
    assert (z > 0.0) == ((meant.estimate < meant.null) if less else (meant.estimate > meant.null))
    information = found.numbers[Key("information", analysis="look", visit="Look 1")].estimate
    assert information == pytest.approx(meant.se**-2.0, rel=1e-9) or analysis == "times"


def test_property_a_block_of_trials_holds_looks_and_claims_too(study: AdamStudy) -> None:
    made = parse_plan(LOOKS.format(look="{method: group_sequential, of: times, planned: [9, 99]}", death=DEATH))
    whole = analyse(study, parse_plan(dump_plan(made))).numbers
    alone = estimates(study, made)
    assert set(alone) == set(whole)
    for key in (Key("look", analysis="look", visit="Look 1"), Key("hypothesis", analysis="claim", variable="deaths")):
        assert alone[key].p == whole[key].p
        assert 0.0 <= alone[key].p <= 1.0
    rejected = alone[Key("rejected", analysis="claim", variable="deaths")].estimate
    assert rejected == float(alone[Key("adjusted_p", analysis="claim", variable="deaths")].estimate <= 0.05)
