"""Scenarios speak the language of plans: the old kinds are read into it, and kernels find their forms in it again."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from equipoise.errors import ScenarioError
from equipoise.plan.analysis_plan import Analysis, Plan, dump_plan, parse_plan
from equipoise.plan.compiled import AnyForm, CarriedForward, MixedModel, Repeated, Slopes, TimeToEvent, TrialByTrial
from equipoise.plan.estimand import Estimand
from equipoise.plan.lowering import lower, modern, written
from equipoise.plan.scenario_plan import AnalysisPlan
from equipoise.simulate import Scenario, load_scenario, shipped_scenarios
from equipoise.simulate.scenario import parse_scenario, scenario_text

OF: dict[str, Any] = {"id": "a", "set": "ITT", "variable": "ALSFRS", "week": 24.0}
TIME: dict[str, Any] = {"id": "t", "set": "F", "event": "key_event", "week": 52.0}
FORMS: list[AnyForm] = [
    Repeated(**OF, covariates=("BASE", "PRESLOPE"), impute_with=("BASE",), joint_rank=True, imputations=7),
    Repeated(**OF, covariates=("BASE", "NFLBL"), impute_with=("NFLBL", "BASE"), log=True, burn_in=9),
    Repeated(**OF, covariates=(), impute_with=()),
    Repeated(**OF, covariates=("BASE",), impute_with=("BASE", "AGE"), joint_rank=True, log=True),
    Repeated(**OF, covariates=("BASE",), impute_with=(), joint_rank=True, ancova=False),
    Repeated(**OF, covariates=("BASE",), impute_with=("BASE",), joint_rank=True, ancova=False, log=True),
    CarriedForward(**OF, prespecified=False),
    CarriedForward(**OF, covariates=("BASE", "AGE"), log=True, observed_to=12.0),
    MixedModel(**OF, covariates=("BASE", "AGE"), structure="ar1h", df="kenward-roger"),
    MixedModel(**OF, covariates=("BASE",), log=True),
    MixedModel(**OF, constrained=True, df="satterthwaite"),
    MixedModel(**OF, constrained=True, log=True),
    MixedModel(**OF, constrained=True, covariates=("AGE", "PRESLOPE")),
    Slopes(**OF, covariates=("PRESLOPE",), shared_baseline=False),
    Slopes(**OF, log=True, df="kenward-roger"),
    TimeToEvent(**TIME),
    TimeToEvent(**TIME, covariates=("AGE",), strata=("BULBFL", "RILFL")),
    TimeToEvent(**{**TIME, "event": "death_or_tracheostomy"}, covariates=("AGE",), offers=("log_rank", "cox")),
    TimeToEvent(**{**TIME, "event": "death"}, strata=("RILFL",), offers=("log_rank",)),
]


@pytest.mark.parametrize("form", FORMS, ids=lambda f: f.kind)
def test_property_a_form_is_found_in_what_is_written_of_it(form: AnyForm) -> None:
    found = lower(Analysis.model_validate(written(form)))
    assert found is not None
    assert found.form == form
    old = modern(form.model_dump(mode="json"))
    assert Analysis.model_validate(old) == Analysis.model_validate(written(form))


@pytest.mark.parametrize("name", [name for name in shipped_scenarios() if load_scenario(name).record is not None])
def test_property_a_shipped_scenario_is_compiled_and_reads_back(name: str) -> None:
    scenario = load_scenario(name)
    assert [f.id for f in scenario.plan.compiled] == [a.id for a in scenario.plan.analyses]
    assert parse_scenario(scenario_text(scenario), "written") == scenario
    whole = scenario.whole_plan()
    assert whole.treatment.arms == scenario.protocol.arms
    assert set(whole.populations) == {"ITT", *scenario.protocol.groups}
    assert whole.order == scenario.plan.order


def _changed(**section: Any) -> Analysis:
    made = written(FORMS[0])
    made["sections"][0] = {**made["sections"][0], **section}
    return Analysis.model_validate(made)


@pytest.mark.parametrize(
    "section",
    [{"seed": 3}, {"covariates": ["LBASE"]}, {"where": {"SEX": "F"}}, {"value": "AVAL"}, {"visit": "VISITNUM"}],
    ids=str,
)
def test_property_a_section_that_asks_for_more_is_left_to_single_trials(section: dict[str, Any]) -> None:
    assert lower(_changed(**section)) is None


def test_property_how_a_section_looks_changes_no_form() -> None:
    found = lower(_changed(label="As planned", figure=False, weeks=[12, 24], note="see the protocol", level=0.9))
    assert found is not None
    assert found.form == FORMS[0]
    assert found.sections == {1, 2}


def test_property_the_imputations_of_an_old_plan_are_those_of_its_analyses() -> None:
    raw = {
        "imputations": 5,
        "order": ["a.ancova"],
        "analyses": [{"kind": "repeated", **OF, "covariates": [], "impute_with": []}],
    }
    plan = AnalysisPlan.model_validate(raw)
    assert plan.imputations == 5
    assert plan.imputes
    assert plan.analyses[0].sections[0].imputations == 5  # type: ignore[attr-defined]


def test_property_an_order_may_name_methods_or_tests(valor: Scenario) -> None:
    win = {
        "id": "win",
        "population": "F",
        "parameter": "ALSFRS",
        "dataset": "ADEFF",
        "sections": [{"method": "ancova", "formula": "CHG ~ TRT01P"}],
        "where": {"AVISITN": 28},
    }
    data = valor.plan.model_dump()
    order = ["alsfrs_f_w28.mi_ancova", "alsfrs_f_w28.joint_rank", "win.ancova"]
    plan = AnalysisPlan.model_validate({**data, "analyses": [*data["analyses"], win], "order": order})
    assert plan.order == ("alsfrs_f_w28.ancova", "alsfrs_f_w28.joint_rank", "win.ancova")
    other = plan.analysis("win")
    assert isinstance(other, TrialByTrial)
    assert (other.set, other.subject) == ("F", "ALSFRS")
    assert other.id not in {f.id for f in plan.compiled}
    with pytest.raises(ValidationError, match="analysis 'win' offers ancova"):
        AnalysisPlan.model_validate({**data, "analyses": [win], "order": ["win.log_rank"]})


def test_property_a_plan_is_held_against_the_trial(valor: Scenario) -> None:
    arms, groups = valor.protocol.arms, tuple(valor.protocol.groups)
    other = AnalysisPlan.model_validate({**valor.plan.model_dump(), "treatment": {"arms": ["A", "B"]}})
    with pytest.raises(ScenarioError, match="the plan is about the arms A, B; the trial has placebo, tofersen"):
        other.complete("valor", arms, groups)
    moved = valor.plan.analyses[0].model_copy(update={"population": "PP"})
    with pytest.raises(ScenarioError, match="unknown population 'PP'"):
        valor.plan.model_copy(update={"analyses": (moved,)}).complete("valor", arms, groups)
    assert isinstance(valor.whole_plan(), Plan)


def test_property_what_a_scenario_states_of_events_stands_in_the_plan_that_is_written_out(valor: Scenario) -> None:
    """Strategies by test become the estimand of each section; the file reads back, and a contradiction is refused."""
    whole = parse_plan(dump_plan(valor.whole_plan()))
    for analysis in whole.analyses:
        asked = {s.kind: s.estimand for s in analysis.sections}
        for kind, death in (("mi_ancova", "hypothetical"), ("joint_rank", "composite")):
            if kind in asked:
                estimand = asked[kind]
                assert isinstance(estimand, Estimand)
                assert estimand.strategy("death") == death
                assert estimand.strategy("ventilation") == "treatment policy"
                assert estimand.population == analysis.population
                assert estimand.treatment == "tofersen against placebo"
    found = lower(next(a for a in whole.analyses if a.id == "alsfrs_f_w28"))
    assert found is not None
    assert found.form == valor.plan.analysis("alsfrs_f_w28")
    wrong = dump_plan(valor.whole_plan()).replace("strategy: composite", "strategy: hypothetical")
    with pytest.raises(ScenarioError, match="death: the estimand says hypothetical, but"):
        parse_plan(wrong)


def test_property_a_stated_estimand_is_the_one_that_is_written(valor: Scenario) -> None:
    own = valor.plan.estimand("alsfrs_f_w28.joint_rank", "tofersen against placebo").model_copy(update={"label": "E1"})
    data = {**valor.plan.model_dump(), "estimands": [{"of": "alsfrs_f_w28.joint_rank", **own.model_dump()}]}
    scenario = valor.with_plan(AnalysisPlan.model_validate(data))
    sections = {s.kind: s.estimand for s in scenario.whole_plan().analyses[0].sections}
    assert sections["joint_rank"] == own
