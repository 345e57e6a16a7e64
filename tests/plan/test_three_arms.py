"""A plan of three arms with a named control: one imputation model of all, pairs by name, on ADaM, CSV and virtual."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from test_plan_methods import DEATH, LAST, block, plan, trial

from equipoise import ConditionalMean, cafs, joint_rank, landmark, mi_analysis, mi_ancova, rmst, win_statistics
from equipoise.errors import ScenarioError
from equipoise.estimate.missing import Ancova
from equipoise.estimate.ranks.win import Time, Value
from equipoise.estimate.result import Estimate
from equipoise.plan.analysis_plan import parse_plan
from equipoise.plan.block import block as of_trials
from equipoise.plan.carry_out import analyse
from equipoise.plan.key import Key
from equipoise.plan.results import Block
from equipoise.render.tables.tables import to_text
from equipoise.simulate import load_scenario, simulate
from equipoise.trial.adam import AdamStudy, read_adam

ARMS = ("Placebo", "Low", "High")
THREE: dict[str, Any] = {"arms": "[Placebo, Low, High]"}
SHARED = Path(os.environ.get("EQUIPOISE_SHARED", Path(__file__).parents[2].parent / "shared"))


@pytest.fixture(scope="module")
def study() -> AdamStudy:
    return trial(ARMS, n=120)


def number(found: Block, quantity: str, arm: str, **place: Any) -> Estimate:
    return found.numbers[Key(quantity, analysis="A1", section=1, arm=arm, **place)]


def long(study: AdamStudy) -> pl.DataFrame:
    people = study["ADSL"].frame.select("USUBJID", "TRT01P", "LASTWK")
    joined = study["ADEFF"].frame.join(people, on="USUBJID", maintain_order="left")
    return joined.with_columns(pl.col("TRT01P").cast(pl.Enum(ARMS)))


def deaths(study: AdamStudy) -> pl.DataFrame:
    ends = study["ADTTE"].frame.filter(pl.col("PARAMCD") == "DEATH")
    return ends.join(study["ADSL"].frame.select("USUBJID", "TRT01P"), on="USUBJID", maintain_order="left")


def same(one: Estimate, other: Estimate) -> None:
    assert one.estimable
    for name in ("estimate", "se", "low", "high", "p"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-9), name


def test_independent_imputation_models_all_arms(study: AdamStudy) -> None:
    data = long(study)
    found = block(study, "{method: mi_ancova, imputations: 4, seed: 3}", **THREE)
    direct = mi_ancova(data, control="Placebo", n_imputations=4, seed=3)
    for arm in ARMS[1:]:
        same(number(found, "difference", arm, visit="Week 16"), direct.difference(16, arm=arm))
    same(number(found, "lsmean", "Placebo", visit="Week 16"), direct.mean("Placebo", 16))
    events = "events: [{event: stopping treatment, time: LASTWK, where: {LASTWK: {lt: 16}}, strategy: J2R}]"
    made = block(study, f"{{method: mi, imputation: conditional mean, {events}}}", **THREE)
    ice = data.unique("USUBJID").filter(pl.col("LASTWK") < 16)
    ice = ice.select("USUBJID", AVISITN=pl.col("LASTWK") + 1e-6)
    options: dict[str, Any] = {"strategy": "JR", "method": ConditionalMean(), "analysis": Ancova()}
    jumped = mi_analysis(data, ice, control="Placebo", **options)
    for arm in ARMS[1:]:
        same(number(made, "difference", arm, visit="Week 16"), jumped.difference(16, arm=arm))
    # against the low dose, those who stopped still jump to placebo
    other = block(study, f"{{method: mi, imputation: conditional mean, versus: Low, {events}}}", **THREE)
    assert "reference Placebo" in (other.description or "")
    same(
        number(other, "difference", "High", visit="Week 16", versus="Low"), jumped.difference(arm="High", versus="Low")
    )
    same(number(other, "lsmean", "High", visit="Week 16"), jumped.mean("High"))
    turned = number(other, "difference", "Placebo", visit="Week 16", versus="Low")
    assert turned.estimate == pytest.approx(-jumped.difference(arm="Low").estimate, rel=1e-9)


def test_independent_tipping_points_by_arm(study: AdamStudy) -> None:
    section = "{method: mi, imputations: 4, tipping: {active: [0, -4, -8]}}"
    found = block(study, section, **THREE)
    assert {k.arm for k in found.numbers if k.quantity == "tipping_point"} == {"Low", "High"}
    assert sum(f.kind == "tipping_point" for f in found.figures) == 2


def test_independent_pairs_of_other_methods(study: AdamStudy) -> None:
    """Each arm against control, and a pair by name, are those of the two arms alone (ranks: imputed with all arms)."""
    data, ends = long(study), deaths(study)

    def two(frame: pl.DataFrame, versus: str, arm: str) -> pl.DataFrame:
        return frame.filter(pl.col("TRT01P").cast(pl.String).is_in([versus, arm]))

    for arm, versus in (("Low", "Placebo"), ("High", "Placebo"), ("High", "Low")):
        against = None if versus == "Placebo" else versus
        asked = "" if against is None else f", arm: {arm}, versus: {versus}"
        place: dict[str, Any] = {"versus": against}
        times: dict[str, Any] = {"time": "AVAL", "censor": "CNSR", "control": versus}
        survival: dict[str, Any] = {"dataset": "ADTTE", "parameter": "DEATH", **THREE}
        found = block(study, f"{{method: rmst, tau: 12{asked}}}", **survival)
        alone = rmst(data=two(ends, versus, arm), arm="TRT01P", tau=12, **times)
        same(number(found, "rmst_difference", arm, **place), alone.difference)
        same(number(found, "rmst_ratio", arm, **place), alone.ratio)
        assert number(found, "events", versus).estimate == alone.arms[0].events
        found = block(study, f"{{method: landmark, at: [8]{asked}}}", **survival)
        shares = landmark(data=two(ends, versus, arm), at=8, arm="TRT01P", **times)
        same(number(found, "survival_difference", arm, visit="8", **place), shares.points[0].comparison)
        times = {"time": "AVAL", "censor": "CNSR", "control": versus}
        ranked = f"{{method: cafs, week: 16, time: DTHWK, censor: DTHCN{asked}}}"
        direct = cafs(two(data, versus, arm), ends, up_to=16, **times)
        same(number(block(study, ranked, **THREE), "wilcoxon", arm, **place), direct.wilcoxon)
        ranked = f"{{method: joint_rank, week: 16, time: DTHWK, censor: DTHCN, imputations: 3{asked}}}"
        joint = joint_rank(data, ends, at=16, active=arm, n_imputations=3, **times)
        same(number(block(study, ranked, **THREE), "rank_difference", arm, **place), joint.difference)
        hierarchy = "hierarchy: [{time: DTHWK, censor: DTHCN}, {value: LAST}]"
        options = {"dataset": "ADSL", "parameter": None, "gather": f"{DEATH}, {LAST}", **THREE}
        last = data.filter(pl.col("AVISITN") == 16).select("USUBJID", "CHG")
        people = ends.join(last, on="USUBJID", how="left", maintain_order="left")
        won = win_statistics(two(people, versus, arm), [Time("AVAL", censor="CNSR"), Value("CHG")], control=versus)
        made = block(study, f"{{method: win, {hierarchy}{asked}}}", **options)
        same(number(made, "win_ratio", arm, **place), won.win_ratio)
        assert number(made, "pairs_won", arm, **place).estimate == won.wins
        if against:
            assert {k.versus for k in made.numbers} == {"Low"}
            assert all(row.contrast in (None, "against Low") for row in made.rows)
    assert "against Low" in to_text(analyse(study, plan(f"{{method: win, {hierarchy}{asked}}}", **options)))


def test_property_unknown_and_equal_arms_are_refused(study: AdamStudy) -> None:
    with pytest.raises(ScenarioError, match="unknown arm 'Mid'; arms are Placebo, Low, High"):
        plan("{method: rmst, versus: Mid}", dataset="ADTTE", parameter="DEATH", **THREE)
    with pytest.raises(ScenarioError, match="arm and versus are the same, Low"):
        plan("{method: rmst, arm: Low, versus: Low}", dataset="ADTTE", parameter="DEATH", **THREE)
    lonely = block(study, "{method: mi_ancova, imputations: 2}", arms="[Placebo, Low, High]", more="where: {SEX: M}")
    assert lonely.rows
    nobody = analyse(
        study, plan("{method: mi_ancova, imputations: 2}", more="where: {TRT01P: [Placebo, Low]}", **THREE)
    )
    assert "arm High has no records" in nobody.tables[0].blocks[0].notes[0]


def test_property_a_pair_is_no_test_of_control(study: AdamStudy) -> None:
    """Other analyses take up tests against control; one that compares another pair says so."""
    text = plan("{method: rmst, tau: 12, versus: Low}", dataset="ADTTE", parameter="DEATH", **THREE)
    data = text.model_dump(exclude_defaults=True)
    data["analyses"] = [
        *data["analyses"],
        {
            "id": "B",
            "title": "Both",
            "population": "ITT",
            "dataset": "ADSL",
            "sections": [{"method": "multiplicity", "procedure": "holm", "hypotheses": {"one": {"of": "A1"}}}],
        },
    ]
    import yaml

    made = analyse(study, parse_plan(yaml.safe_dump(data)))
    assert "compares with another arm than Placebo" in made.tables[1].blocks[0].notes[0]


SCENARIO = """
name: three
default_mechanism: symptomatic
protocol:
  arms: [placebo, low, high]
  ratio: [1, 1, 1]
  groups: {A: 90}
  strata: []
  visits: [0, 4, 12]
  period_end: 12
  dosing: {regimen: daily, randomised: [low, high], doses: {low: 1, high: 3}}
outcomes: {SCORE: OUTCOME}
groups:
  A: {mean: 50, sd: 4, course: {form: linear, rate: 0.5}}
disease: {model: progression, outcome: {direction: higher_better}, residual: {sd: 5}}
mechanisms:
  symptomatic: {effect: {mechanism: symptomatic, gain: 3, by_dose: {1: 0.2, 3: 1.0}}}
plan:
  treatment: {arms: [placebo, low, high]}
  analyses:
  - {id: A1, population: ITT, dataset: ADEFF, parameter: SCORE, where: {AVISITN: {le: 12}},
     sections: [{method: mi_ancova, imputations: 3}, {method: mi, imputation: conditional mean, versus: low}]}
  - {id: w, population: ITT, dataset: ADEFF, parameter: SCORE, where: {AVISITN: {le: 12}},
     sections: [{method: carried_forward, covariates: []}]}
  - id: W
    population: ITT
    gather: {LAST: {dataset: ADEFF, parameter: SCORE, variable: CHG, where: {AVISITN: 12}}}
    sections: [{method: win, hierarchy: [{value: LAST}]}]
  order: [w.ancova]
"""


def test_independent_virtual_trials_of_three_arms(tmp_path: Path) -> None:
    file = tmp_path / "three.yaml"
    file.write_text(SCENARIO, encoding="utf-8")
    scenario = load_scenario(str(file))
    trials = simulate(scenario, 3, seed=2)
    whole = scenario.plan.complete("three", trials.arms, trials.sets)
    made = of_trials(trials, whole)
    high = Key("difference", analysis="A1", section=1, arm="high", visit="Week 12")
    pair = Key("difference", analysis="A1", section=2, arm="high", visit="Week 12", versus="low")
    for key in (high, pair, Key("win_ratio", analysis="W", section=1, arm="low")):
        assert np.isfinite(made.column(key)).all()
        assert (made.column(key, "se") > 0).all()


@pytest.mark.skipif(not (SHARED / "data/cdiscpilot01/adam").is_dir(), reason="shared/data/cdiscpilot01 is not here")
def test_reference_pilot_of_three_arms_and_its_csv(tmp_path: Path) -> None:
    """CDISCPILOT01: where nothing is missing, imputation is the ANCOVA of all arms; CSV gives what XPT gives."""
    text = """
study: CDISCPILOT01
treatment: {arms: [Placebo, Xanomeline Low Dose, Xanomeline High Dose], control: Placebo}
populations: {EFF: {label: Efficacy, where: {EFFFL: Y, ITTFL: Y}}}
analyses:
- id: A1
  population: EFF
  dataset: ADADAS
  parameter: ACTOT
  where: {ANL01FL: Y, AVISITN: [8, 16, 24]}
  sections:
  - {method: mi_ancova, imputations: 3}
  - {method: mi, imputations: 3, arm: Xanomeline High Dose, versus: Xanomeline Low Dose}
- id: A2
  population: EFF
  dataset: ADADAS
  parameter: ACTOT
  where: {ANL01FL: Y, AVISITN: 24}
  sections:
  - method: ancova
    formula: CHG ~ TRT01P + BASE
    rows:
    - {label: d, show: "{estimate:4} {se:4} {p:p4}", versus: Placebo}
    - {label: e, show: "{estimate:4} {se:4} {p:p4}", arm: Xanomeline High Dose, versus: Xanomeline Low Dose}
"""
    study = read_adam(SHARED / "data/cdiscpilot01/adam", needed=["ADSL", "ADADAS"])
    for name in ("ADSL", "ADADAS"):
        study[name].frame.write_csv(tmp_path / f"{name.lower()}.csv")
    for source in (study, read_adam(tmp_path)):
        made = analyse(source, parse_plan(text), strict=True)
        by, low, high = made.numbers, "Xanomeline Low Dose", "Xanomeline High Dose"
        for arm in (low, high):
            same(
                by[Key("difference", analysis="A1", section=1, arm=arm, visit="Week 24")],
                by[Key("difference", analysis="A2", section=1, arm=arm)],
            )
        same(
            by[Key("difference", analysis="A1", section=2, arm=high, visit="Week 24", versus=low)],
            by[Key("difference", analysis="A2", section=1, arm=high, versus=low)],
        )


def test_independent_pairs_of_answers_and_events(study: AdamStudy) -> None:
    """Shares, rates and repeated events of a pair by name are those of the two arms alone."""
    pair = ", arm: High, versus: Low"
    last = "{method: binary, response: {CHG: {ge: -3}}, where: {AVISITN: 16}, strata: [SEX], compare_by: cmh"
    two = {"arms": "[Low, High]"}
    hits = "{method: rates, event: {CHG: {le: -3}}, where: {AVISITN: 16}, exposure: LASTWK"
    repeated = "{method: recurrent, time: AVISITN, follow_up: LASTWK, where: {CHG: {lt: 0}}, at: [12]"
    for section, quantities in (
        (last, ("risk_difference", "odds_ratio", "cmh")),
        (hits, ("rate_ratio", "rate_difference")),
        (repeated, ("rate_ratio",)),
    ):
        found = block(study, f"{section}{pair}}}", **THREE)
        alone = block(study, f"{section}}}", **two)
        for quantity in quantities:
            one, other = (
                next(e for k, e in made.numbers.items() if (k.quantity, k.arm, k.versus) == (quantity, "High", versus))
                for made, versus in ((found, "Low"), (alone, None))
            )
            assert one.p == pytest.approx(other.p, rel=1e-12), quantity
            assert np.isclose(one.estimate, other.estimate, rtol=1e-12, equal_nan=True), quantity
        assert not any(k.arm == "Placebo" for k in found.numbers)
