"""Every shipped scenario is rebuilt and told on a page; what a replica of events alone says, and does not say."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from equipoise.appraise import appraise
from equipoise.appraise.findings import read
from equipoise.calibrate.plan import load_plan
from equipoise.errors import ScenarioError
from equipoise.plan.block import analyse
from equipoise.plan.compiled import TimeToEvent
from equipoise.plan.deciding import deciding
from equipoise.plan.key import Key
from equipoise.plan.read_keys import read as read_measures
from equipoise.plan.scenario_plan import AnalysisPlan
from equipoise.records import load_record
from equipoise.render import render
from equipoise.replica import rebuild
from equipoise.replica.external import elsewhere_targets
from equipoise.replica.replica import Replica
from equipoise.simulate import Simulator, load_scenario, shipped_scenarios

REBUILT = [name for name in shipped_scenarios() if load_scenario(name).record is not None]


@cache
def rebuilt(name: str) -> Replica:
    scenario = load_scenario(name)
    return rebuild.replicate(load_record(scenario.record), scenario, replicates=4, seed=3)


def replica_section(text: str) -> str:
    """What a page says of the replica, and no more."""
    return text[text.index("## What the replica says") + 3 :].split("\n## ")[0]


@pytest.mark.parametrize("name", REBUILT)
def test_property_every_scenario_is_rebuilt_and_told(name: str) -> None:
    replica = rebuilt(name)
    assert {"fit", "check"} <= {r.use for r in replica.rows}
    assert len({r.id for r in replica.rows}) == len(replica.rows)
    ids = [a.id for a in replica.answers]
    assert len(set(ids)) == len(ids)
    assert {"primary_if_it_works", "primary_if_nothing"} <= set(ids)
    for answer in replica.answers:
        assert "{" not in answer.sentence + answer.question
    assert all(r.confidence != "recall" for r in replica.rows)
    plain = json.loads(json.dumps(replica.to_dict(), allow_nan=False))
    back = Replica.from_dict(plain)
    assert back.to_dict() == replica.to_dict()
    assert [r.simulated for r in back.rows if r.scale == "median"] == [
        r.simulated for r in replica.rows if r.scale == "median"
    ]
    text = render(appraise(load_record(replica.record), back), "md")
    told = replica_section(text)
    assert not {"nan", "inf", "None", "False"} & set(told.replace("[", " ").replace("]", " ").split())


@pytest.mark.parametrize("name", REBUILT)
def test_property_what_a_trial_lacks_is_not_spoken_of(name: str) -> None:
    record, scenario = load_record(load_scenario(name).record), load_scenario(name)
    text = render(appraise(record, rebuilt(name)), "md")
    told = replica_section(text).lower()
    for held in load_plan(name).held:  # what is named as not simulated
        told = told.replace(held.lower(), "")
    if "NFL" not in scenario.outcomes:
        assert "neurofilament" not in told
        assert "nfl" not in told
    if not scenario.plan.imputes:
        assert "imputations" not in told
    if not scenario.outcomes:
        assert "for function" not in told
    if record.extension is None:
        assert "after the switch" not in told


def test_property_the_mechanism_table_holds_every_mechanism() -> None:
    for name in REBUILT:
        scenario, replica = load_scenario(name), rebuilt(name)
        by_row: dict[str, set[str]] = {}
        for row in replica.mechanisms:
            by_row.setdefault(row.id, set()).add(row.mechanism)
        assert by_row
        assert set(map(frozenset, by_row.values())) == {frozenset(m.value for m in scenario.mechanisms)}, name


def test_property_riluzole_is_disputed_and_both_tests_are_shown() -> None:
    record = load_record("riluzole1994")
    findings = read(record)
    assert findings.met is None
    assert sorted(p.value for p in findings.disputed) == [0.046, 0.12]
    text = render(appraise(record), "md")
    assert "Primary endpoint: **Disputed**" in text
    top = text[: text.index("## Key findings")].replace("\N{NO-BREAK SPACE}", " ")
    assert "P = 0.046" in top
    assert "P = 0.12" in top
    agreed = record.model_copy(
        update={
            "results": tuple(
                r.model_copy(update={"p": tuple(p for p in r.p if p.value != 0.046)}) if r.id == "surv_itt_end" else r
                for r in record.results
            )
        }
    )
    assert read(agreed).met is False
    assert read(agreed).disputed == ()


def test_property_riluzole_is_fitted_to_twelve_months_alone() -> None:
    for row in rebuilt("riluzole1994").rows:
        assert (row.use == "fit") == (row.week == 52 and row.arm is not None and row.analysis_set in ("BULB", "LIMB"))
        if row.week != 52:
            assert row.use == "check"


def test_property_riluzole_tells_which_test_would_have_called_it() -> None:
    replica = rebuilt("riluzole1994")
    share = {a.id: a.probability for a in replica.answers}
    both = share["test:surv_end.wilcoxon"] - share["tests_differ:surv_end.wilcoxon"]
    assert both == pytest.approx(share["test:surv_end.log_rank"] - share["tests_differ:surv_end.log_rank"])
    assert share["tests_differ:surv_w52.then"] <= share["test:surv_w52.log_rank"]
    assert share["test:surv_end.log_rank"] == share["primary_if_it_works"]


def test_independent_differences_of_shares_by_hand() -> None:
    scenario = load_scenario("riluzole1994")
    trials = Simulator.of(scenario).block(1, 0, 2)
    measure = Key("event_share", variable="death_or_tracheostomy", statistic="difference", set="BULB", week=52)
    made = read_measures(trials, [measure])[:, 0]
    for i in range(2):
        bulbar = trials.group[i] == trials.sets.index("BULB")
        first = trials.events["death_or_tracheostomy"]
        had = first.happened[i] & (first.week[i] <= 52)
        shares = [had[bulbar & (trials.arm[i] == a)].mean() for a in (0, 1)]
        assert made[i] == pytest.approx(shares[1] - shares[0])
    row = next(r for r in rebuilt("riluzole1994").rows if r.id == measure.id)
    assert row.published == pytest.approx(4 / 15 - 11 / 17)
    se = [math.sqrt((k + 0.5) / (n + 1) * (1 - (k + 0.5) / (n + 1)) / n) for k, n in ((4, 15), (11, 17))]
    assert row.published_se == pytest.approx(math.hypot(*se))
    assert row.confidence == "derived"


def test_independent_another_trial_is_foretold_from_its_own_numbers() -> None:
    record, scenario = load_record("riluzole1994"), load_scenario("riluzole1994")
    (other,) = scenario.external
    found = {t.id: t for t in elsewhere_targets(record, other)}
    first = next(iter(found.values()))
    assert first.value == pytest.approx((1 - 134 / 236) - (1 - 122 / 242))
    assert found["p_log_rank:lacomblez_w78"].value == 0.076
    abroad = scenario.at(other)
    assert abroad.protocol.n == 478
    assert abroad.mechanisms == scenario.mechanisms
    trials = Simulator.of(abroad).block(1, 0, 1)
    assert trials.events["death_or_tracheostomy"].week.max() <= 78
    for bad, words in (
        ({"item": "nowhere"}, "no item or related trial 'nowhere'"),
        ({"p": {"log_rank": "no"}}, "'no'"),
    ):
        with pytest.raises(ScenarioError, match=words):
            elsewhere_targets(record, other.model_copy(update=bad))
    with pytest.raises(ScenarioError, match="lacomblez1996_100"):
        scenario.at(other.model_copy(update={"protocol": {"groups": {"NOBODY": 10}}}))


def test_property_a_trial_of_ones_own_needs_no_place_in_the_package() -> None:
    record = load_record("riluzole1994").model_copy(update={"id": "mine"})
    scenario = load_scenario("riluzole1994").model_copy(update={"record": "mine", "external": ()})
    with pytest.raises(ScenarioError, match="no fit plan for the record 'mine'"):
        rebuild.replicate(record, scenario, replicates=2)
    plan = load_plan("riluzole1994").model_copy(update={"held": ()})
    replica = rebuild.replicate(record, scenario, replicates=2, plan=plan)
    assert replica.record == "mine"
    assert not any("Kept out of the fit" in note for note in replica.notes)


def test_property_a_median_that_is_not_reached_is_said_so() -> None:
    replica = rebuilt("riluzole1994")
    row = next(r for r in replica.rows if r.scale == "median")
    unreached = replace(row, simulated=math.inf, simulated_high=math.inf, n_estimable=4)
    text = render(appraise(load_record("riluzole1994"), replace(replica, rows=(unreached,))), "md")
    assert "not reached" in text


@pytest.mark.parametrize("test", ["log_rank", "wilcoxon", "cox"])
def test_property_each_test_favours_the_arm_with_fewer_events(test: str) -> None:
    scenario = load_scenario("riluzole1994")
    plan = AnalysisPlan(
        analyses=(TimeToEvent(id="s", event="death_or_tracheostomy", set="ITT", week=91),), order=(f"s.{test}",)
    )
    trials = Simulator.of(scenario.with_plan(plan), "survival").block(1, 0, 8)
    d = deciding(plan, plan.primary)
    p, estimate = read_measures(trials, [d.p, d.estimate], plan, analyse(trials, plan)).T
    first = trials.events["death_or_tracheostomy"]
    happened = first.happened & (first.week <= 91)
    fewer = [happened[i][trials.arm[i] == 1].mean() < happened[i][trials.arm[i] == 0].mean() for i in range(8)]
    assert sum(fewer) >= 6
    strong = p < 0.2
    np.testing.assert_array_equal((d.sign * estimate > 0)[strong], np.array(fewer)[strong])


def test_property_a_page_without_a_replica_waits_for_no_compiler() -> None:
    code = (
        "import sys; from equipoise.appraise import appraise; from equipoise.records import load_record; "
        "from equipoise.render import render; render(appraise(load_record('riluzole1994')), 'html'); "
        "sys.exit(int('numba' in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
