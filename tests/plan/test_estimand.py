"""Estimands: what each method does at each event, and which plans are refused, with which reason."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest
from pydantic import ValidationError

from equipoise.plan.estimand import (
    METHODS,
    PROCEDURES,
    STRATEGIES,
    SUMMARIES,
    Estimand,
    carried_out,
    contradictions,
    kind_of,
)
from equipoise.plan.scenario_plan import AnalysisPlan
from equipoise.simulate import Scenario


def estimand(summary: str = "difference in means", **events: str) -> Estimand:
    given: dict[str, Any] = {k.replace("_", " "): v for k, v in events.items()}
    return Estimand(
        treatment="drug against placebo",
        population="ITT",
        variable="change in ALSFRS-R at week 28",
        intercurrent_events=given,
        summary=summary,  # type: ignore[arg-type]
    )


def test_every_procedure_and_summary_of_the_table_is_known() -> None:
    for name, method in METHODS.items():
        for kind in ("death", "withdrawal", "other"):
            assert method.at(kind), name  # type: ignore[arg-type]
            assert set(method.at(kind)) <= set(PROCEDURES), name  # type: ignore[arg-type]
        assert set(method.summaries) <= set(SUMMARIES)
    assert {s for p in PROCEDURES.values() for s in p.strategies} <= set(STRATEGIES)
    used = {p for m in METHODS.values() for k in (m.death, m.withdrawal, m.other) for p in k}
    assert used <= set(PROCEDURES)


@pytest.mark.parametrize(
    ("asked", "method", "reason"),
    [
        # what VALOR's estimate did: the test counts death, the estimate imputes past it
        (estimand(death="composite"), "mi_ancova", "death: .* says composite, but mi_ancova imputes the values after"),
        (estimand(death="composite"), "mmrm", "as if these were missing at random, which is hypothetical"),
        (estimand(death="while alive"), "mi_ancova", "says while alive, but mi_ancova imputes"),
        (estimand(death="treatment policy"), "mmrm", "after it there are no values to analyse"),
        (estimand(death="treatment policy"), "ancova", "after it there are no values to analyse"),
        (estimand("hazard ratio"), "mmrm", "summary: .* says hazard ratio, but mmrm analyses values of a measurement"),
        (estimand("difference in means"), "survival", "analyses times to an event and gives a hazard ratio"),
        (estimand("hazard ratio", death="hypothetical"), "joint_rank", "ranks it below every patient"),
        (estimand("win ratio", death="principal stratum"), "win", "compares everyone in its population"),
        (estimand(withdrawal="treatment policy"), "mi_ancova", "withdrawal: .* which is hypothetical"),
        (estimand(rescue="composite"), "mmrm", "rescue: the estimand says composite"),
    ],
)
def test_a_contradiction_is_named(asked: Estimand, method: str, reason: str) -> None:
    assert re.search(reason, " ".join(contradictions(asked, method)))


@pytest.mark.parametrize(
    ("asked", "method"),
    [
        (estimand(death="hypothetical", withdrawal="hypothetical", rescue="treatment policy"), "mi_ancova"),
        (estimand(stopping_treatment="hypothetical"), "mmrm"),
        (estimand("difference in mean ranks", death="composite", withdrawal="hypothetical"), "joint_rank"),
        (estimand("difference in mean ranks", death="composite", withdrawal="while on treatment"), "cafs"),
        (estimand("hazard ratio", death="composite", ventilation="composite"), "cox"),
        (estimand("difference in cumulative incidence", death="while alive"), "competing_risks"),
        (estimand("ratio of survival times", crossover="hypothetical"), "rpsft"),
    ],
)
def test_what_agrees_is_let_through(asked: Estimand, method: str) -> None:
    assert contradictions(asked, method) == ()


def test_what_the_plan_has_a_method_do_is_what_is_checked() -> None:
    asked = estimand(death="composite", stopping_treatment="treatment policy")
    does = {"death": "fixed", "stopping treatment": "reference"}
    assert contradictions(asked, "mi", does=does) == ()
    (wrong,) = contradictions(asked, "mi", does={**does, "stopping treatment": "dropped"})
    assert "says treatment policy, but mi leaves the values after it out" in wrong
    (silent,) = contradictions(estimand(death="composite"), "mi", does=does)
    assert "stopping treatment: mi imputes the values after it like" in silent
    assert "does not say how it is handled" in silent


def test_a_strategy_carried_out_in_the_data_is_not_held_against_the_method() -> None:
    given = {"death": {"strategy": "composite", "in_data": True, "reason": "a score of 0 is assigned"}}
    asked = estimand().model_copy(
        update={
            "intercurrent_events": Estimand.model_validate(
                {**estimand().model_dump(), "intercurrent_events": given}
            ).intercurrent_events
        }
    )
    assert contradictions(asked, "mmrm") == ()


def test_property_what_a_method_does_never_contradicts_it() -> None:
    """The strategy a method is said to carry out passes its own check; any other at that event does not."""
    for name, event in itertools.product(METHODS, ("death", "withdrawal", "rescue")):
        done = carried_out(name, event)
        if done is None:
            continue
        summary = METHODS[name].summaries[0]
        assert contradictions(estimand(summary, **{event: done}), name) == (), (name, event)
        allowed = {s for p in METHODS[name].at(kind_of(event)) for s in PROCEDURES[p].strategies}
        for other in set(STRATEGIES) - allowed:
            assert contradictions(estimand(summary, **{event: other}), name), (name, event, other)


def test_events_are_told_by_name_and_written_once() -> None:
    assert [kind_of(e) for e in ("Death", "loss to follow-up", "tracheostomy")] == ["death", "withdrawal", "other"]
    with pytest.raises(ValidationError, match="more than one strategy"):
        Estimand.model_validate(
            {
                **estimand().model_dump(),
                "intercurrent_events": [
                    {"event": "Death", "strategy": "composite"},
                    {"event": "death ", "strategy": "hypothetical"},
                ],
            }
        )
    said = estimand(death="composite").sentence()
    assert said == (
        "difference in means of change in ALSFRS-R at week 28, drug against placebo, in ITT; death: composite"
    )


# -- plans of scenarios --------------------------------------------------------------------------------------------


def test_the_test_and_the_estimate_of_valor_answer_different_questions(valor: Scenario) -> None:
    plan = valor.plan
    test, estimate = plan.estimand("alsfrs_f_w28.joint_rank"), plan.estimand("alsfrs_f_w28.ancova")
    assert test.strategy("death") == "composite"
    assert estimate.strategy("death") == "hypothetical"
    assert test.strategy("ventilation") == estimate.strategy("ventilation") == "treatment policy"
    asked = estimate.model_copy(update={"intercurrent_events": test.intercurrent_events})
    (wrong,) = contradictions(asked, "mi_ancova")
    assert wrong.startswith("death: the estimand says composite, but mi_ancova imputes the values after it")
    times = plan.estimand(next(o for o in plan.order if o.endswith("log_rank")))
    assert times.strategy("death") == times.strategy("ventilation") == "composite"
    assert plan.estimand("nfl_f_w28.ancova").summary == "ratio of geometric means"
    with pytest.raises(ValueError, match="names no test"):
        plan.estimand("alsfrs_f_w28.log_rank")


def test_every_test_of_the_shipped_plan_has_its_estimand(valor: Scenario) -> None:
    for analysis in valor.plan.compiled:
        for test in analysis.tests:
            made = valor.plan.estimand(f"{analysis.id}.{test}", "tofersen against placebo")
            assert made.population == analysis.set
            assert made.intercurrent_events


def stated(valor: Scenario, **changes: Any) -> AnalysisPlan:
    base = valor.plan.estimand("alsfrs_f_w28.ancova").model_dump()
    raw = valor.plan.model_dump()
    return AnalysisPlan.model_validate({**raw, "estimands": [{**base, "of": "alsfrs_f_w28.ancova", **changes}]})


def test_a_plan_that_contradicts_its_estimand_is_refused(valor: Scenario) -> None:
    plan = stated(valor, label="primary")
    assert plan.estimand("alsfrs_f_w28.ancova").label == "primary"
    assert plan.only("nfl_f_w28").estimands == ()
    for changes, reason in (
        ({"intercurrent_events": {"death": "composite"}}, "death: the estimand says composite"),
        ({"summary": "hazard ratio"}, "analyses values of a measurement"),
        ({"population": "ITT"}, "population 'ITT', analysed in 'F'"),
        ({"of": "alsfrs_f_w28.cox"}, "names no test of this plan"),
    ):
        with pytest.raises(ValidationError, match=reason):
            stated(valor, **changes)


def test_a_declared_strategy_that_is_not_carried_out_is_refused(valor: Scenario) -> None:
    raw = valor.plan.model_dump()
    for event, analysis, strategy in (
        ("death", "ancova", "composite"),
        ("death", "joint_rank", "hypothetical"),
        ("ventilation", "ancova", "composite"),
        ("death", "log_rank", "hypothetical"),
    ):
        wrong = [{"event": event, "analysis": analysis, "strategy": strategy}]
        with pytest.raises(ValidationError, match=f"{event} in the {analysis}: '{strategy}' is not what"):
            AnalysisPlan.model_validate({**raw, "intercurrent_events": wrong})


def test_the_page_says_that_test_and_estimate_part_at_death() -> None:
    """VALOR's test counts death, its printed difference imputes past it; a trial of one analysis says nothing of it."""
    from equipoise.appraise import appraise
    from equipoise.records import load_record
    from equipoise.render import to_markdown

    said = to_markdown(appraise(load_record("valor")))
    assert (
        "part at death: the first is composite, the second hypothetical, since it imputes the values after it" in said
    )
    assert "part at death" not in to_markdown(appraise(load_record("riluzole1994")))
