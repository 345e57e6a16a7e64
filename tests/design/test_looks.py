"""Designs with looks: against exact operating characteristics, the level kept whatever is adapted, errors by name."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plain_study import SD, study
from scipy import stats

from equipoise.decision import group_sequential
from equipoise.design import design, load_study
from equipoise.design.accrual import Accrual, Enrolment, arriving
from equipoise.design.carry_out import prepare
from equipoise.design.report import drawings, parts_of, report_markdown
from equipoise.design.result import Cell
from equipoise.errors import ScenarioError
from equipoise.estimate.linear.crossover import crossover
from equipoise.run.executors import Processes, Threads
from equipoise.simulate import load_scenario, simulate, typical_course
from equipoise.simulate.progression.courses import Linear
from equipoise.simulate.progression.model import Effect
from equipoise.simulate.progression.tables import Taken, saved

INVERSE: dict[str, Any] = {"combination": "inverse-normal"}
HALF: dict[str, Any] = {"label": "at a half", "looks": [{"share": 0.5}]}
DOSES: dict[str, Any] = {
    "label": "three doses",
    "arms": {"placebo": {}, "low": {"dose": 1}, "mid": {"dose": 2}, "high": {"dose": 3}},
}


def cells(folder: Path, adaptation: dict[str, Any], replicates: int, **more: Any) -> dict[str, Cell]:
    """World -> the cell of a study with one adaptation."""
    factors = {"adaptation": ["it"], **more.pop("factors", {})}
    own = study(folder, adaptations={"it": {**HALF, **adaptation}}, factors=factors, **more)
    return {c.world: c for c in design(own, replicates=replicates, executor=Threads(1)).cells}


def within(found: float, expected: float, n: int, errors: float = 4.0) -> None:
    assert abs(found - expected) <= errors * math.sqrt(expected * (1 - expected) / n) + 1e-9, (found, expected)


def test_simulation_stopping_is_that_of_the_recursive_integral(tmp_path: Path) -> None:
    n, size = 3000, 200
    made = cells(tmp_path, {"futility": {"fixed": [0.5]}}, n)
    from equipoise.decision import FixedFutility

    exact = group_sequential([0.5, 1.0], futility=FixedFutility((0.5,)))
    for world, effect in (("none", 0.0), ("lifts", 3.0)):
        up, down = exact.exit_probabilities(effect / (SD * math.sqrt(4 / size)))
        seen = made[world].seen
        assert seen is not None
        # Z is made of a t-test's P value, whose power is a little below that of the normal: a point is allowed for
        for k in range(2):
            assert abs(seen.looks[k].efficacy - up[k]) <= 4 * math.sqrt(up[k] * (1 - up[k]) / n) + 0.01
        within(seen.looks[0].futility, float(down[0]), n)
        assert seen.patients < 200
        assert seen.looks[0].month < seen.looks[1].month
        assert seen.looks[0].information == pytest.approx(0.5)
    none = made["none"]
    assert none.seen is not None
    within(none.seen.regardless, 0.025, n)  # non-binding: the level holds where futility is ignored
    assert none.success < none.seen.regardless
    lifts = made["lifts"]
    assert lifts.seen is not None
    # stopped early the estimate is too large; that is what the bias is for
    assert lifts.true_effect == pytest.approx(3.0)
    early = lifts.seen.looks[0]
    assert early.efficacy > 0.1
    assert lifts.seen.bias_stopped is not None
    assert none.months < 200 / 10 + 12 / 4.35


def test_simulation_inverse_normal_is_the_fixed_weights_test_where_nothing_adapts(tmp_path: Path) -> None:
    factors = {"adaptation": ["plain", "joined", "parts"]}
    one = study(
        tmp_path,
        adaptations={
            "plain": HALF,
            "joined": {**HALF, **INVERSE, "stages": "increments"},
            "parts": {**HALF, **INVERSE},
        },
        factors=factors,
    )
    made = {(c.world, c.design.adaptation): c for c in design(one, replicates=600, executor=Threads(1)).cells}
    for world in ("none", "lifts"):
        plain = made[world, "plain"].successes
        for name, apart in (("joined", 0.01), ("parts", 0.02)):
            assert (plain != made[world, name].successes).mean() <= apart


@pytest.mark.parametrize(
    "adaptation",
    [
        {**INVERSE, "reestimate": {"power": 0.9, "most": 3}},
        {**INVERSE, "reestimate": {"power": 0.8, "effect": 3, "most": 2, "zone": [0.2, 0.8]}},
        {**INVERSE, "enrich": {"groups": ["B"], "full_below": 1.0}},
        {"efficacy": "pocock", "information": "counted", "looks": [{"month": 14}], "fractions": [0.5]},
        {"information": "variance", "maximum": 1.0, "data": "all"},
        {"looks": [{"share": 0.3}, {"share": 0.6}], "efficacy": {"hwang-shih-decani": -4}, "decision_weeks": 4},
    ],
)
def test_simulation_the_level_is_kept(tmp_path: Path, adaptation: dict[str, Any]) -> None:
    n = 2000
    made = cells(tmp_path, adaptation, n, factors={"patients": [100]})
    none, lifts = made["none"], made["lifts"]
    assert none.failures == 0
    within(none.success, 0.025, n)
    assert lifts.success > 0.4
    if "reestimate" in adaptation:
        assert lifts.seen is not None
        assert 100 < lifts.seen.patients <= 100 * adaptation["reestimate"]["most"]


def test_simulation_the_best_dose_goes_on_and_the_level_is_kept(tmp_path: Path) -> None:
    n = 1500
    more: dict[str, Any] = {"treatments": {"doses": DOSES}, "factors": {"treatments": ["doses"]}}
    made = cells(tmp_path, {**INVERSE, "select": {"keep": 1}}, n, **more)
    none, lifts = made["none"], made["lifts"]
    assert none.success <= 0.025 + 4 * math.sqrt(0.025 / n)
    assert lifts.seen is not None
    assert none.seen is not None
    kept = {name: share for name, _, share in lifts.seen.arms}
    assert sum(kept.values()) >= 1.0  # those that stopped early have dropped none
    assert kept["high"] > kept["mid"] > kept["low"]
    rejected = {name: share for name, share, _ in lifts.seen.arms}
    assert rejected["high"] > 0.3 > rejected["low"]
    # who comes after the look goes to control and one dose: the same patients in all
    assert lifts.seen.looks[1].enrolled == pytest.approx(200)
    # and more power than without dropping
    fixed = design(study(tmp_path, **more), replicates=n, executor=Threads(1))
    plain = {c.world: c for c in fixed.cells}
    assert lifts.success > plain["lifts"].success + 0.02
    within(plain["none"].success, 0.025, n)


def test_simulation_futility_on_the_marker(tmp_path: Path) -> None:
    gate = {"test": "m.ancova", "p_above": 0.2, "better": "lower"}
    made = cells(tmp_path, {"gates": [gate]}, 400)
    assert made["none"].seen is not None
    assert made["lifts"].seen is not None
    within(made["none"].seen.looks[0].gate, 0.8, 400)
    assert made["lifts"].seen.looks[0].gate == 0.0
    assert made["none"].seen.regardless > made["none"].success
    turned = cells(tmp_path, {"gates": [{**gate, "better": "higher"}]}, 100)
    assert turned["lifts"].seen is not None
    assert turned["lifts"].seen.looks[0].gate > 0.5


def test_simulation_a_platform_has_concurrent_controls_alone(tmp_path: Path) -> None:
    arms = {"placebo": {}, "first": {"patients": 60}, "later": {"enters": 8, "patients": 60}}
    platform = {"label": "platform", "separate": True, "arms": arms}
    own = study(tmp_path, treatments={"p": platform}, factors={"treatments": ["p"], "patients": [220]})
    maker = next(p.maker for p in prepare(own, load_scenario(own.base)))
    trials = maker.simulator.block(own.seed, 0, 20)
    made = Enrolment.of(
        trials,
        maker.accrual,  # type: ignore[union-attr]
        220,
        np.array([0.0, 0.0, 8 * 4.348]),
        caps=np.array([10**6, 60, 60]),
    )
    for i in range(20):
        in_trial = np.isfinite(made.entry[i])
        assert in_trial.sum() == 220
        for arm in (1, 2):
            mine = made.entry[i, in_trial & (trials.arm[i] == arm)]
            assert len(mine) <= 60
            assert mine.min() >= (0.0, 8 * 4.348)[arm - 1]
        # once the first arm is full, and before, one control for each patient of each open arm
        control = made.entry[i, in_trial & (trials.arm[i] == 0)]
        before = (control < 8 * 4.348).sum()
        first = (made.entry[i, in_trial & (trials.arm[i] == 1)] < 8 * 4.348).sum()
        assert abs(int(before) - int(first)) <= 4
    result = {c.world: c for c in design(own, replicates=600, executor=Threads(1)).cells}
    assert result["none"].seen is not None
    for _, rejected, _ in result["none"].seen.arms:
        within(rejected, 0.025, 600)


def test_independent_arrivals_follow_the_rates(tmp_path: Path) -> None:
    accrual = Accrual(rates=((0, 4), (6, 12)), ramp=3)
    # 6 in the ramp, 12 until month 6, then 12 a month
    assert accrual.months_for(6) == pytest.approx(3.0)
    assert accrual.months_for(18) == pytest.approx(6.0)
    assert accrual.months_for(30) == pytest.approx(7.0)
    trials = simulate("valor", 200, seed=3)
    made = Enrolment.of(trials, accrual, 100)
    months = made.entry / 4.348214
    counts = [(months <= m).sum(axis=1).mean() for m in (3, 6, 7)]
    assert counts == pytest.approx([6, 18, 30], abs=1.0)
    order = arriving(trials)
    for i in range(3):
        assert sorted(order[i]) == list(range(trials.n_subjects))
        for g in range(len(trials.sets)):
            assert (np.diff(order[i][trials.group[i][order[i]] == g]) > 0).all()
    even = Enrolment.of(trials, Accrual(rates=((0, 10),), arrivals="even"), 50)
    assert np.nanmax(np.where(np.isfinite(even.entry[0]), even.entry[0], np.nan)) / 4.348214 == pytest.approx(
        5, abs=0.01
    )


def test_property_the_same_bits_by_threads_and_processes(tmp_path: Path) -> None:
    own = study(tmp_path, adaptations={"it": {**HALF, **INVERSE, "reestimate": {}}}, factors={"adaptation": ["it"]})
    one, other = (design(own, replicates=60, executor=e) for e in (Threads(1), Processes(2)))
    assert [c.row() for c in one.cells] == [c.row() for c in other.cells]


BAD: list[tuple[dict[str, Any], str]] = [
    ({"reestimate": {}}, "adaptations.it.reestimate: changes the trial by what was seen"),
    ({"select": {}}, "adaptations.it.select: changes the trial by what was seen"),
    ({"enrich": {"groups": ["B"], "full_below": 0}}, "adaptations.it.enrich: changes the trial"),
    ({**INVERSE, "reestimate": {"at": 2}}, "adaptations.it.reestimate.at: there is no look 2"),
    ({**INVERSE, "reestimate": {"least": 2, "most": 1.5}}, "adaptations.it.reestimate.most"),
    ({**INVERSE, "information": "counted"}, "adaptations.it.information"),
    ({"looks": [{"month": 3}]}, "adaptations.it: give the share of information"),
    ({"looks": [{"share": 0.6}, {"share": 0.4}]}, "adaptations.it.looks: the information of the looks must rise"),
    ({"looks": [{"share": 0.6, "month": 3}]}, "a look is held at one of share, enrolled, events or month"),
    ({"efficacy": "none"}, "efficacy: 'none' is no rule"),
    ({"gates": [{"test": "m.ancova", "p_above": 0.2, "at": [2]}]}, "adaptations.it.gates[1].at: there is no look 2"),
    ({"gates": [{"test": "x.ancova", "p_above": 0.2}]}, "adaptations.it.gates[1].test: 'x.ancova' is no test"),
]


@pytest.mark.parametrize(("adaptation", "words"), BAD)
def test_property_a_bad_adaptation_is_refused_by_name(tmp_path: Path, adaptation: dict[str, Any], words: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        study(tmp_path, adaptations={"it": {**HALF, **adaptation}}, factors={"adaptation": ["it"]})
    assert words in str(caught.value)


def test_property_what_does_not_fit_the_trial_is_refused(tmp_path: Path) -> None:
    def refused(words: str, **changes: Any) -> None:
        own = study(tmp_path, **changes)
        with pytest.raises(ScenarioError) as caught:
            prepare(own, load_scenario(own.base))
        assert words in str(caught.value)

    doses = {"treatments": {"doses": DOSES}}
    looks = {"adaptation": ["it"], "treatments": ["doses"]}
    refused("combination: inverse-normal", adaptations={"it": HALF}, factors=looks, **doses)
    refused("one active arm", adaptations={"it": {**HALF, **INVERSE, "select": {}}}, factors={"adaptation": ["it"]})
    refused(
        "no group 'Z'",
        adaptations={"it": {**HALF, **INVERSE, "enrich": {"groups": ["Z"], "full_below": 1}}},
        factors={"adaptation": ["it"]},
    )
    refused(
        "gates[1].better",
        adaptations={"it": {**HALF, "gates": [{"test": "m.ancova", "p_above": 0.2}]}},
        factors={"adaptation": ["it"]},
    )
    refused("no active arm 'none'", primaries={"anova": {"label": "a", "all": [{"test": "w.ancova", "arm": "none"}]}})
    refused("one number an arm", factors={"treatments": ["doses"], "ratio": ["1:2"]}, **doses)
    with pytest.raises(ScenarioError, match="give recruited_a_month"):
        study(tmp_path, recruited_a_month=3)
    with pytest.raises(ScenarioError, match="'there' is none of adaptations: fixed"):
        study(tmp_path, factors={"adaptation": ["there"]})
    with pytest.raises(ScenarioError, match="month 4 follows month 6"):
        study(tmp_path, accrual={"rates": [[0, 1], [6, 2], [4, 3]]})
    with pytest.raises(ScenarioError, match="one number an arm"):
        study(tmp_path, treatments={"doses": {**DOSES, "ratio": "1:1"}})


def test_property_the_shipped_study_of_adaptation_is_possible() -> None:
    own = load_study("adaptive-alzheimer")
    labels = [p.maker.adaptation.label for p in prepare(own, load_scenario(own.base)) if hasattr(p.maker, "adaptation")]
    assert len(labels) == 2 * 3


def test_independent_periods_on_and_off_add_up(tmp_path: Path) -> None:
    # a crossover with a washout, and a withdrawal: what a lift and a slowing leave, in closed form
    arms = {
        "first": {"on": [[0, 4]], "dose": 3},
        "second": {"on": [[8, 12]], "dose": 3},
        "always": {"on": [[0, 12]], "dose": 3},
        "stopped": {"on": [[0, 6]], "dose": 3},
    }
    worlds = {"lift": {"label": "l", "mechanism": "symptomatic", "effect": {"gain": 3, "onset": 2}}}
    own = study(tmp_path, treatments={"p": {"label": "p", "arms": arms}}, factors={"treatments": ["p"]}, worlds=worlds)
    scenario = prepare(own, load_scenario(own.base))[0].maker.simulator.scenario

    def gain(arm: str, week: float) -> float:
        return float(typical_course(scenario, "A", arm, weeks=[0.0, week])["GAIN"][-1])

    def built(weeks: float) -> float:
        return 3 * (1 - math.exp(-weeks / 2))

    assert gain("first", 4) == pytest.approx(built(4))
    assert gain("first", 12) == pytest.approx(built(12) - built(8))  # what is carried over
    assert gain("second", 8) == 0.0
    assert gain("second", 12) == pytest.approx(built(4))
    assert gain("always", 12) == pytest.approx(built(12))
    assert gain("stopped", 12) == pytest.approx(built(12) - built(6))
    with pytest.raises(ScenarioError, match=r"treatments.p.arms.first.on\[2\]: weeks 3 to 6 do not follow week 4"):
        study(tmp_path, treatments={"p": {"label": "p", "arms": {**arms, "first": {"on": [[0, 4], [3, 6]]}}}})


def test_independent_what_periods_save_stays_saved() -> None:
    effect = Effect(mechanism="slowing", slowing=0.5)
    weeks = np.arange(0.0, 25.0)
    line = Linear(form="linear", rate=1.0)
    parts = [saved(line, weeks, Taken(a, b, 1.0), effect) for a, b in ((0, 6), (12, 18))]
    expected = 0.5 * line.loss(np.minimum(weeks, 6) + np.clip(weeks - 12, 0, 6))
    np.testing.assert_allclose(sum(parts), expected, atol=1e-12)


SLOW: dict[str, Any] = {"rates": [[0, 0.2]], "arrivals": "even"}
"""So slow that nobody is under way at a look: a trial as other programs simulate it, without a calendar."""

# rpact 3.3.4, getDesignInverseNormal(kMax = 2, alpha = 0.025, typeOfDesign = "asOF", informationRates = c(0.5, 1)):
# getSimulationMeans(des, groups = 2, alternative = c(0, 3), stDev = sqrt(50), plannedSubjects = c(50, 100),
# minNumberOfSubjectsPerStage = c(NA, 50), maxNumberOfSubjectsPerStage = c(NA, 250), conditionalPower = 0.9,
# thetaH1 = 3, normalApproximation = FALSE), 20,000 iterations; and getSimulationMultiArmMeans(des, activeArms = 3,
# effectMatrix = c(0.6, 1.8, 3), stDev = sqrt(50), plannedSubjects = c(25, 75), intersectionTest = "Dunnett",
# typeOfSelection = "best"), 20,000 iterations. The new size rests on a known SD there, on the SE seen here.
RESIZED = {"none": (0.0243, 282.5), "lifts": (0.8702, 199.1)}
SELECTED = (0.5611, {"low": 0.06895, "mid": 0.25125, "high": 0.67925})


def test_reference_resizing_has_the_characteristics_of_rpact(tmp_path: Path) -> None:
    n = 1200
    resize = {**INVERSE, "reestimate": {"power": 0.9, "effect": 3, "most": 3}}
    made = cells(tmp_path, resize, n, factors={"patients": [100]}, accrual=SLOW)
    for world, (power, patients) in RESIZED.items():
        seen = made[world].seen
        assert seen is not None
        assert abs(made[world].success - power) <= 4 * math.sqrt(power * (1 - power) / n) + 0.01
        assert seen.patients == pytest.approx(patients, rel=0.05)


def test_reference_selection_has_the_characteristics_of_rpact(tmp_path: Path) -> None:
    n = 1200
    more: dict[str, Any] = {"treatments": {"doses": DOSES}, "factors": {"treatments": ["doses"]}, "accrual": SLOW}
    lifts = cells(tmp_path, {**INVERSE, "select": {}}, n, **more)["lifts"]
    power, kept = SELECTED
    within(lifts.success, power, n)
    assert lifts.seen is not None
    for name, _, share in lifts.seen.arms:
        within(share, kept[name], n)


def test_property_the_cheapest_design_is_sought_by_the_stated_cost(tmp_path: Path) -> None:
    factors = {"patients": [160, 240], "adaptation": ["fixed", "it"]}
    adaptations = {"it": {**HALF, "efficacy": "pocock"}}

    def best(cost: dict[str, float] | None) -> Cell:
        own = study(tmp_path, factors=factors, adaptations=adaptations, target=0.6, cost=cost)
        made = design(own, replicates=300, executor=Threads(1))
        found = made.smallest("lifts")
        assert found is not None
        assert ("cost" in made.to_frame().columns) == (cost is not None)
        if cost is not None:
            reach = [c for c in made.of("lifts") if c.success - c.mc_error >= 0.6]
            assert made.cost(found) == min(made.cost(c) for c in reach)
        return found

    assert best(None).design.patients == 160
    cheap = best({"month": 1.0})
    assert cheap.design.adaptation == "it"  # what stops early takes fewer months
    with pytest.raises(ScenarioError, match="cost: give patient, patient_week or month"):
        study(tmp_path, cost={})


def test_simulation_a_crossover_keeps_its_level_and_needs_few_patients(tmp_path: Path) -> None:
    # residuals alone differ between patients here, so that a crossover has the variance of one change for each
    arms = {"BA": {"on": [[12, 24]], "dose": 3}, "AB": {"on": [[0, 12]], "dose": 3}}
    section = {"method": "crossover", "first": 12, "second": 24}
    cross = {"id": "c", "population": "ITT", "dataset": "ADEFF", "parameter": "SCORE", "sections": [section]}
    own = study(
        tmp_path,
        treatments={"two": {"label": "crossover", "arms": arms}},
        factors={"treatments": ["two"], "weeks": [24], "patients": [40], "primary": ["c"]},
        visits=[4, 12, 24],
        primaries={"c": {"label": "c", "all": [{"analysis": "c", "quantity": "treatment", "favours": "either"}]}},
        analyses=[cross],
        undisturbed={},
    )
    n = 1000
    made = {c.world: c for c in design(own, replicates=n, executor=Threads(1)).cells}
    within(made["none"].success, 0.05, n)
    # the lift builds up at once and ends at once (onset 0): 3 points, SE sqrt(50) / (2 sqrt(10)), t with 38 df
    assert made["lifts"].effect == pytest.approx(3.0, abs=4 * 1.118 / math.sqrt(n))
    assert made["lifts"].sd == pytest.approx(math.sqrt(50) / (2 * math.sqrt(10)), rel=0.1)
    within(made["lifts"].success, 0.745, n)
    assert made["lifts"].failures == 0


def test_independent_crossover_is_two_t_tests() -> None:
    rng = np.random.default_rng(3)
    first, second = rng.normal(size=(2, 5, 31))
    second[:, 4] = np.nan
    active_first = np.arange(31) % 3 == 0
    made = crossover(first, second, np.tile(active_first, (5, 1)), np.ones((5, 31), np.bool_))
    for i in range(5):
        seen = np.isfinite(second[i])
        for k, values in ((0, first[i] - second[i]), (2, first[i] + second[i])):
            test = stats.ttest_ind(values[seen & active_first], values[seen & ~active_first])
            assert made.estimate[i, k] / made.se[i, k] == pytest.approx(test.statistic)
            assert made.df[i] == 28
    lost = crossover(first, second, np.ones((5, 31), np.bool_), np.ones((5, 31), np.bool_))
    assert (lost.status != 0).all()
    assert np.isnan(lost.estimate).all()


def test_property_the_report_tells_of_looks(tmp_path: Path) -> None:
    own = study(tmp_path, adaptations={"it": HALF}, factors={"adaptation": ["fixed", "it"], "weeks": [4, 12]})
    made = design(own, replicates=40, executor=Threads(1))
    parts = {p.title: p for p in parts_of(made)}
    looks = parts["Looks"]
    assert [(row[1], row[2]) for row in looks.rows[:4]] == [
        ("nothing", "1"),
        ("nothing", "end"),
        ("lifts", "1"),
        ("lifts", "end"),
    ]
    assert all(len(row) == len(looks.columns) for row in looks.rows)
    assert ("looks", "fixed: none; it: at a half") in parts["Designs"].rows
    assert "at a half" in report_markdown(made)
    # curves over weeks do not mix designs with and without looks
    assert len([name for name in drawings(made) if name.startswith("weeks-")]) == 2
    plain = design(study(tmp_path), replicates=20, executor=Threads(1))
    assert "Looks" not in {p.title for p in parts_of(plain)}
