"""Interim looks and multiple testing in a plan: the numbers of the direct calls; what refers to nothing is named."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import special
from test_plan_methods import DEATH, events, long, trial, value

from equipoise.decision import (
    Graph,
    HaybittlePeto,
    HwangShihDeCani,
    InverseNormal,
    conditional_power,
    group_sequential,
    predictive_power,
    serial_gatekeeping,
    stage_statistics,
    stagewise_estimate,
)
from equipoise.errors import DataError, ScenarioError
from equipoise.plan.analysis_plan import Plan, dump_plan, parse_plan
from equipoise.plan.carry_out import analyse
from equipoise.plan.results import Block
from equipoise.render.tables.figures import drawn
from equipoise.trial.adam import AdamStudy, from_frame

MODEL = "CHG ~ TRT01P * AVISIT + BASE"


@pytest.fixture(scope="module")
def study() -> AdamStudy:
    return trial(n=120)


def plan(section: str, *, arms: str = "[Placebo, Drug]") -> Plan:
    """The section in an analysis that stands before those that it refers to."""
    return parse_plan(f"""
study: T
treatment: {{arms: {arms}}}
populations: {{ITT: {{label: All, where: {{ITTFL: Y}}}}}}
analyses:
  - {{id: look, title: A look, population: ITT, sections: [{section}]}}
  - id: score
    title: Function
    population: ITT
    dataset: ADEFF
    parameter: TOT
    gather: {{{DEATH}}}
    sections:
      - {{method: mmrm, formula: {MODEL}, covariance: [cs], visits: [Week 8, Week 16], figure: false}}
      - {{method: delayed_start, period_end: 8, week: 16, structure: cs, figure: false}}
      - {{method: summary, variable: CHG}}
  - id: times
    title: Survival
    population: ITT
    dataset: ADTTE
    parameter: DTHPV
    sections: [{{method: survival, figure: false}}]
""")


def block(study: AdamStudy, section: str, **options: Any) -> Block:
    made: Block = analyse(study, plan(section, **options), strict=True).table("look").blocks[0]
    return made


def contrast(study: AdamStudy, visit: str = "Week 16") -> dict[str, float]:
    from equipoise.estimate.linear.mmrm import mmrm

    frame = long(study).with_columns(pl.col("AVISIT").cast(pl.Enum([f"Week {w}" for w in (4, 8, 12, 16)])))
    table = (
        mmrm(f"{MODEL} + cs(AVISIT | USUBJID)", frame).contrasts("TRT01P", by="AVISIT", against="Placebo").to_frame()
    )
    return dict(table.filter(pl.col("AVISIT") == visit).row(0, named=True))


def normal_value(p: float, estimate: float) -> float:
    return float(-math.copysign(1.0, estimate) * special.ndtri(p / 2))


# -- the numbers are those of the direct calls ---------------------------------------------------------------------

LOOK = (
    "method: group_sequential, of: score, visit: Week 16, looks: [{z: 0.8, information: 0.9}], effects: {planned: 1.5}"
)


def test_independent_look_by_information(study: AdamStudy) -> None:
    section = f"{{{LOOK}, planned: [1, 5, 12], futility: {{hwang-shih-decani: -2}}, prior: [1, 2]}}"
    found, own = block(study, section), contrast(study)
    z, information = normal_value(own["p"], own["estimate"]), own["se"] ** -2
    design = group_sequential([1 / 12, 5 / 12, 1.0], futility=HwangShihDeCani(-2.0))
    bounds = design.at([0.9, information, 12.0], 12.0, final=True)
    for k, name in enumerate(("Look 1", "Look 2", "Look 3")):
        assert value(found, "Boundary, efficacy", name, "boundary") == pytest.approx(bounds.upper[k], rel=1e-10)
        assert value(found, "Boundary, futility (not", name, "boundary") == pytest.approx(bounds.lower[k], rel=1e-10)
        assert value(found, "Alpha spent", name, "spent") == pytest.approx(bounds.spent[k], rel=1e-10)
        assert value(found, "Nominal level", name, "level") == pytest.approx(bounds.nominal_p[k], rel=1e-10)
    assert value(found, "Z", "Look 2", "z") == pytest.approx(z, rel=1e-9)
    assert value(found, "Information", "Look 2", "information") == pytest.approx(information, rel=1e-9)
    assert value(found, "One-sided p", "Look 2", "p") == pytest.approx(own["p"] / 2, rel=1e-9)
    arguments = (z, information, [12.0], bounds.upper[2:])
    assert value(found, "Conditional power, % (effect", "Look 2", "power") == pytest.approx(
        100 * conditional_power(*arguments), rel=1e-9
    )
    assert value(found, "Conditional power, % (planned, 1.5)", "Look 2", "power") == pytest.approx(
        100 * conditional_power(*arguments, effect=1.5), rel=1e-9
    )
    assert value(found, "Predictive power", "Look 2", "power") == pytest.approx(
        100 * predictive_power(*arguments, prior=(1.0, 2.0)), rel=1e-9
    )
    told = next(r for r in found.rows if r.label == "Decision").cells
    assert [c.text for c in told.values()] == ["go on", "go on", "planned"]


def test_independent_look_by_calendar_time(study: AdamStudy) -> None:
    """Error is spent on the months that have passed; what is to come keeps its planned months."""
    held = LOOK.replace("information: 0.9", "information: 0.9, time: 7")
    section = f"{{{held}, planned: [1, 5, 12], times: [6, 12, 20], time: 13}}"
    found, own = block(study, section), contrast(study)
    design = group_sequential([1 / 12, 5 / 12, 1.0], spending_time=[0.3, 0.6, 1.0])
    bounds = design.at([0.9, own["se"] ** -2, 12.0], 12.0, final=True, spending_time=[0.35, 0.65, 1.0])
    for k, name in enumerate(("Look 1", "Look 2", "Look 3")):
        assert value(found, "Boundary, efficacy", name, "boundary") == pytest.approx(bounds.upper[k], rel=1e-10)
        assert value(found, "Alpha spent", name, "spent") == pytest.approx(bounds.spent[k], rel=1e-10)
    over = block(study, f"{{{held}, planned: [1, 5, 12], times: [6, 12, 20], time: 21}}")
    assert over.details["final"]
    assert value(over, "Alpha spent", "Look 2", "spent") == pytest.approx(0.025, rel=1e-9)


def test_independent_look_by_events(study: AdamStudy) -> None:
    from equipoise.estimate.survival import cox, log_rank

    frame = events(study)
    n = int(frame["EV"].sum())
    section = (
        f"{{method: group_sequential, of: times, planned: [10, {n + 10}], efficacy: {{haybittle-peto: 3}}, "
        f"sided: 2, alpha: 0.05, effects: {{planned: 0.7}}, "
        "looks: [{z: 0.4, information: 8}], final: false}"
    )
    found = block(study, section)
    test = log_rank("Surv(AVAL, EV) ~ TRT01P", frame)
    z = -test.z  # fewer events than expected on the drug speak for it
    assert value(found, "Events", "Look 2", "information") == n
    assert value(found, "Z", "Look 2", "z") == pytest.approx(z, rel=1e-9)
    design = group_sequential([10 / (n + 10), 1.0], sided=2, alpha=0.05, efficacy=HaybittlePeto(3.0))
    bounds = design.at([8, n, n + 10], n + 10, final=True)
    # half of the patients on the drug: a quarter of the events is the information on the log hazard ratio
    power = conditional_power(
        z / 1.0, n, [n + 10], bounds.upper[2:], lower=bounds.lower[2:], effect=-math.log(0.7) * 0.5
    )
    assert value(found, "Conditional power, % (planned, 0.7)", "Look 2", "power") == pytest.approx(100 * power)
    by_cox = block(study, section.replace("of: times", "of: times, quantity: hazard_ratio"))
    ratio = cox("Surv(AVAL, EV) ~ TRT01P", frame).hazard_ratio("TRT01P")
    assert value(by_cox, "Z", "Look 2", "z") == pytest.approx(-math.log(ratio.estimate) / ratio.se, rel=1e-6)


def test_independent_combination_of_stages(study: AdamStudy) -> None:
    section = f"{{{LOOK}, planned: [1, 3, 6], combination: [0.2, 0.3, 0.5]}}"
    found, own = block(study, section), contrast(study)
    z, information = normal_value(own["p"], own["estimate"]), own["se"] ** -2
    test = InverseNormal.of_design(np.array([0.2, 0.5, 1.0]), group_sequential([0.2, 0.5, 1.0]).upper)
    combined = test.combine_z(stage_statistics([0.8, z], [0.9, information]))
    assert value(found, "Combined Z", "Look 2", "z") == pytest.approx(combined[1], rel=1e-9)
    assert value(found, "Boundary, efficacy", "Look 2", "boundary") == pytest.approx(test.upper[1], rel=1e-10)
    power = test.conditional_power(float(combined[1]), 2, 6.0 - information, 1.5)
    assert value(found, "Conditional power at the next look, % (planned", "Look 2", "power") == pytest.approx(
        100 * power, rel=1e-9
    )
    crossed = bool(combined[1] >= test.upper[1])
    told = next(r for r in found.rows if r.label == "Decision").cells["Look 2"].text
    assert told == ("stop: efficacy shown" if crossed else "go on")


def test_independent_estimate_at_the_last_look(study: AdamStudy) -> None:
    own = contrast(study)
    z, information = normal_value(own["p"], own["estimate"]), own["se"] ** -2
    section = (
        "{method: group_sequential, of: score, visit: Week 16, planned: [0.5, 1], looks: [{z: 1, information: 0.5}]}"
    )
    found = block(study, section)
    assert found.details["final"] is True
    bounds = group_sequential([0.5, 1.0]).at([0.5, information], 1.0, final=True)
    direct = stagewise_estimate([0.5, information], bounds.upper, z)
    assert value(found, "Effect, looks", "Look 2") == pytest.approx(direct.estimate, rel=1e-8)
    assert value(found, "Effect, looks", "Look 2", "low") == pytest.approx(direct.low, rel=1e-8)
    assert value(found, "One-sided p-value, looks", "Look 2", "p") == pytest.approx(direct.p, rel=1e-8)
    assert found.details["decision"] == ("efficacy shown" if z >= bounds.upper[1] else "not shown")
    assert not any("power" in r.label for r in found.rows)
    turned = block(study, section.replace("planned", "higher_better: false, planned"))
    assert value(turned, "Z", "Look 2", "z") == pytest.approx(-z, rel=1e-9)
    assert value(turned, "Effect, looks", "Look 2") > 0  # on the scale of the model, whatever is good


@pytest.mark.parametrize(
    ("futility", "text"),
    [
        ("futility: {fixed: [20]}, efficacy_at: [false, true]", "futility (not binding)"),
        ("futility: {fixed: [20]}, efficacy_at: [false, true], binding: true", "stop: futility"),
        ("futility: {fixed: [-5]}, efficacy: {haybittle-peto: 0.5}, alpha: 0.4, power: 0.999", "stop: efficacy shown"),
        (
            "sided: 2, efficacy: {haybittle-peto: 0.5}, alpha: 0.9, power: 0.999, higher_better: false",
            "stop: harm shown",
        ),
    ],
)
def test_decisions_are_told_in_words(study: AdamStudy, futility: str, text: str) -> None:
    found = block(study, f"{{method: group_sequential, of: score, visit: Week 16, planned: [2, 9], {futility}}}")
    assert found.details["decision"] == text


def test_independent_multiple_testing(study: AdamStudy) -> None:
    from equipoise.estimate.survival import log_rank

    p = {
        "late": contrast(study)["p"],
        "early": contrast(study, "Week 8")["p"],
        "survival": log_rank("Surv(AVAL, EV) ~ TRT01P", events(study)).p,
    }
    given = "hypotheses: {late: {of: score, visit: Week 16}, early: {of: score, visit: Week 8}, survival: {of: times}}"
    weights = {"late": 0.6, "early": 0.2, "survival": 0.2}
    passed = {"late": {"survival": 1.0}, "survival": {"early": 0.5, "late": 0.5}}
    names = list(p)
    shares = "weights: {late: 0.6, early: 0.2, survival: 0.2}"
    moves = "late: {survival: 1}, survival: {early: 0.5, late: 0.5}"
    cases = {
        f"procedure: graph, {shares}, transitions: {{{moves}}}": Graph.of(weights, passed).test(p, 0.05),
        "procedure: holm": Graph.holm(names).test(p, 0.05),
        "procedure: closed sequence, alpha: 0.1": Graph.fixed_sequence(names).test(p, 0.1),
        f"procedure: fallback, {shares}": Graph.fallback(names, list(weights.values())).test(p, 0.05),
        "procedure: parallel gatekeeping, families: [[late, early], [survival]]": Graph.parallel_gatekeeping(
            [["late", "early"], ["survival"]]
        ).test(p, 0.05),
        "procedure: serial gatekeeping, families: [[late, early], [survival]]": serial_gatekeeping(
            [{n: p[n] for n in ("late", "early")}, {"survival": p["survival"]}], 0.05
        ),
    }
    for text, direct in cases.items():
        found = block(study, f"{{method: multiplicity, {given}, {text}}}")
        for name in names:
            assert value(found, name, "p", "p") == pytest.approx(p[name], rel=1e-9), text
            assert value(found, name, "adjusted", "adjusted") == pytest.approx(direct.adjusted[name], rel=1e-9), text
            told = next(r for r in found.rows if r.label == name).cells["decision"].text
            assert (told == "rejected") is (name in direct.rejected), text
        assert direct.to_sentence() in found.notes


def test_one_sided_hypotheses_keep_their_direction(study: AdamStudy) -> None:
    p = contrast(study)["p"]
    given = "late: {of: score, visit: Week 16}, worse: {of: score, visit: Week 16, higher_better: false}"
    third = "last: {of: score, section: 2, quantity: question, visit: Q1}"
    found = block(study, f"{{method: multiplicity, sided: 1, alpha: 0.025, hypotheses: {{{given}, {third}}}}}")
    assert value(found, "late", "p", "p") == pytest.approx(p / 2, rel=1e-9)
    assert value(found, "worse", "p", "p") == pytest.approx(1 - p / 2, rel=1e-9)
    assert next(r for r in found.rows if r.label == "last").cells["decision"].text == "nominal, not tested"
    with pytest.raises(ScenarioError, match="its p-value is one-sided"):
        block(study, f"{{method: multiplicity, hypotheses: {{{third}}}}}")


# -- what cannot be done -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (f"{{{LOOK}}}", "give planned:"),
        (f"{{{LOOK}, planned: [1, 2], maximum: 3}}", "give planned:"),
        (f"{{{LOOK}, planned: [3, 2]}}", "information"),
        (f"{{{LOOK}, fractions: [0.5, 0.9], maximum: 3}}", "the last information fraction is 0.9"),
        (f"{{{LOOK}, planned: [1, 2], efficacy: early}}", "efficacy: 'early' is no rule"),
        (f"{{{LOOK}, planned: [1, 2], efficacy: {{pocock: 1}}}}", "pocock takes no number"),
        (f"{{{LOOK}, planned: [1, 2], futility: {{fixed: 1}}}}", "a Z for each interim look"),
        (f"{{{LOOK}, planned: [1, 2], binding: true}}", "binding futility without"),
        (f"{{{LOOK}, planned: [1, 2], combination: [0.5, 0.4]}}", "sum to 0.9"),
        (f"{{{LOOK}, planned: [1, 2], combination: [1]}}", "one weight a look"),
        (f"{{{LOOK}, planned: [1, 2], labels: [now]}}", "labels: one for each of the 2 looks"),
        (f"{{{LOOK}, planned: [1, 2], information: -1}}", "a positive number"),
        (f"{{{LOOK}, planned: [1, 2], times: [6, 12]}}", "say time: of this look"),
        (f"{{{LOOK}, planned: [1, 2], times: [6, 12, 18]}}", "times: one for each of the 2 looks"),
        (f"{{{LOOK}, planned: [1, 2], time: 6}}", "give times: of the looks"),
        ("{method: group_sequential, of: nobody, planned: [1, 2]}", "look: of: nobody: there is no such analysis"),
        ("{method: group_sequential, of: look, planned: [1, 2]}", "in a circle: look of look"),
        ("{method: group_sequential, of: score, section: 4, planned: [1, 2]}", "no section 4"),
        ("{method: group_sequential, of: score, arm: Other, planned: [1, 2]}", "unknown arm 'Other'"),
        (f"{{{LOOK}, planned: [1, 2]}}, {{method: summary, variable: AGE}}", "columns of its own"),
        ("{method: multiplicity, hypotheses: {a: {of: score}}, weights: {a: 1}}", "weights are for procedure: graph"),
        ("{method: multiplicity, procedure: graph, hypotheses: {a: {of: score}}}", "weights: one for each of a"),
        ("{method: multiplicity, procedure: serial gatekeeping, hypotheses: {a: {of: score}}}", "families: each of a"),
        ("{method: multiplicity, procedure: graph, hypotheses: {a: {of: score}}, weights: {a: 2}}", "weights"),
    ],
)
def test_plans_that_cannot_be_are_refused(section: str, message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        plan(section)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("{method: group_sequential, of: score, planned: [1, 2]}", "which visit"),
        ("{method: group_sequential, of: score, visit: Week 9, planned: [1, 2]}", "there is no visit 'Week 9'"),
        (
            "{method: group_sequential, of: score, quantity: hazard_ratio, planned: [1, 2]}",
            "no quantity 'hazard_ratio' with a p-value",
        ),
        ("{method: group_sequential, of: score, section: 3, planned: [1, 2]}", "summary has no p-value"),
        (
            "{method: group_sequential, of: score, visit: Week 16, information: events, planned: [1, 2]}",
            "events are counted in a survival section",
        ),
        ("{method: group_sequential, of: times, information: variance, planned: [1, 2]}", "has no standard error"),
        (
            "{method: group_sequential, of: score, visit: Week 16, planned: [1, 9], looks: [{z: 1, information: 8}]}",
            "follows 8",
        ),
        ("{method: group_sequential, of: times, planned: [30, 90], effects: {none: -1}}", "a ratio of -1"),
    ],
)
def test_looks_that_do_not_fit_the_results_are_named(study: AdamStudy, section: str, message: str) -> None:
    with pytest.raises((DataError, ScenarioError), match=message) as error:
        block(study, section)
    assert "analysis look" in str(error.value)


def test_circles_of_several_analyses_are_named() -> None:
    text = dump_plan(plan(f"{{{LOOK}, planned: [1, 2]}}")).replace("id: score", "id: middle")
    other = (
        "- {id: score, title: x, population: ITT, sections: [{method: multiplicity, hypotheses: {a: {of: look}}}]}\n"
    )
    with pytest.raises(ScenarioError, match=r"look of score of look|score of look of score"):
        parse_plan(text + other)


def test_several_arms_have_to_be_told_apart() -> None:
    study = trial(("Placebo", "Low", "High"), n=90)
    section = "{method: group_sequential, of: score, visit: Week 16, planned: [1, 9]}"
    arms = "[Placebo, Low, High]"
    made = plan(section, arms=arms)
    with pytest.raises(DataError, match="which arm"):
        analyse(study, made, strict=True)
    found = block(study, section.replace("planned", "arm: High, planned"), arms=arms)
    assert "High against Placebo" in found.description
    with pytest.raises(DataError, match="compares more than two arms"):
        block(study, "{method: group_sequential, of: times, planned: [1, 90]}", arms=arms)


def test_a_visit_that_is_shown_alone_may_be_named(study: AdamStudy) -> None:
    text = dump_plan(plan("{method: group_sequential, of: score, visit: Week 16, planned: [1, 9]}"))
    alone = text.replace("    - Week 8\n", "")
    assert alone != text
    one, other = (analyse(study, parse_plan(t)).table("look").blocks[0] for t in (text, alone))
    assert one.details == other.details
    with pytest.raises(DataError, match="there is no visit 'Week 8'"):
        analyse(study, parse_plan(alone.replace("visit: Week 16", "visit: Week 8")), strict=True)


def test_a_test_that_is_not_estimable_says_so(study: AdamStudy) -> None:
    nobody = study["ADTTE"].frame.with_columns(CNSR=pl.lit(1.0), EVNTDESC=pl.lit("censored"))
    silent = AdamStudy({**study.datasets, "ADTTE": from_frame(nobody, "ADTTE")})
    found = block(silent, "{method: group_sequential, of: times, planned: [10, 20]}")
    assert found.notes == ("Not estimable: the test of analysis times is not estimable.",)
    found = block(
        silent, "{method: multiplicity, procedure: holm, hypotheses: {a: {of: times}, b: {of: score, visit: Week 16}}}"
    )
    assert value(found, "a", "adjusted", "adjusted") == 1.0
    assert "a: no p-value, which counts as 1." in found.notes


def test_results_stand_in_the_order_of_the_plan_and_are_drawn(study: AdamStudy) -> None:
    made = plan(f"{{{LOOK}, planned: [1, 5, 12], labels: [week 12, week 28, week 52]}}")
    assert parse_plan(dump_plan(made)) == made
    results = analyse(study, made)
    assert [t.id for t in results.tables] == ["look", "score", "times"]
    assert [c.label for c in results.tables[0].columns][1] == "Look 2: week 28"
    (figure,) = drawn(results)
    assert figure.plot is not None
    assert figure.plot.description.endswith("Look 2: go on.")
    assert figure.plot.table[1]["z"] == value(results.tables[0].blocks[0], "Z", "Look 2", "z")
