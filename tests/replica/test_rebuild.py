"""The replica's arithmetic: scales, distances, directions, sentences; and its questions on a small study."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from equipoise.calibrate import targets
from equipoise.errors import ScenarioError
from equipoise.plan.deciding import deciding
from equipoise.plan.key import Key
from equipoise.records import load_record
from equipoise.replica import answers as replica_answers
from equipoise.replica import rebuild
from equipoise.replica import rows as replica_rows
from equipoise.replica.replica import Replica
from equipoise.simulate import Scenario, load_scenario


@pytest.fixture(scope="module")
def valor() -> Scenario:
    return load_scenario("valor")


@pytest.fixture(scope="module")
def replica(valor: Scenario) -> Replica:
    return rebuild.replicate(load_record("valor"), valor, replicates=8, seed=2)


def test_independent_ratios_are_compared_on_the_log_scale(valor: Scenario) -> None:
    record = load_record("valor")
    target = next(t for t in targets(record, valor) if t.id == "contrast:nfl_f_w28:w28")
    values = np.log(np.array([0.2, 0.3, 0.4, np.nan]))
    row = replica_rows.row_of(record, target, values)
    assert row.published == pytest.approx(0.33)
    assert row.simulated == pytest.approx((0.2 * 0.3 * 0.4) ** (1 / 3))
    se = (math.log(0.45) - math.log(0.25)) / (2 * 1.959964)
    assert row.z == pytest.approx((math.log(row.simulated) - math.log(0.33)) / se, rel=1e-6)
    assert row.n_estimable == 3
    assert row.position == pytest.approx(2 / 3)
    nothing = replica_rows.row_of(record, target, np.full(3, np.nan))
    assert nothing.n_estimable == 0
    assert math.isnan(nothing.simulated)
    assert nothing.z is None


def test_property_met_needs_significance_in_the_tests_own_direction() -> None:
    p = np.array([0.01, 0.01, 0.2, np.nan])
    difference = np.array([1.0, -1.0, 1.0, np.nan])
    np.testing.assert_array_equal(replica_answers.met(p, difference, 0.05), [1, 0, 0, 0])


def test_property_the_primary_is_judged_by_its_own_estimate(valor: Scenario) -> None:
    decider = deciding(valor.plan, valor.plan.primary)
    assert decider.p == Key("p_joint_rank", analysis="alsfrs_f_w28")
    assert decider.estimate == Key("rank_difference", analysis="alsfrs_f_w28")


@pytest.mark.parametrize(
    ("share", "replicates", "words"),
    [
        (0.0, 2000, "almost never"),
        (0.014, 2000, "in 1.4 of 100 repeats"),
        (0.22, 2000, "in 22 of 100 repeats"),
        (0.999, 2000, "almost always"),
        (0.0, 20, "in 0 of 20 repeats"),
    ],
)
def test_property_probabilities_in_words(share: float, replicates: int, words: str) -> None:
    assert replica_answers.times(share, replicates).startswith(words)


def test_property_a_longer_trial_keeps_placebo_on_placebo(valor: Scenario) -> None:
    longer = rebuild.prolonged(valor)
    assert longer is not None
    assert longer.protocol.period_end == 52
    assert longer.plan.primary == "alsfrs_f_w28_randomised_52.joint_rank"
    assert "placebo" not in longer.protocol.dosing.randomised


def test_property_round_trip_and_uses(replica: Replica) -> None:
    plain = replica.to_dict()
    assert Replica.from_dict(plain).to_dict() == plain
    uses = {r.use for r in replica.rows}
    assert uses == {"fit", "set", "restated", "check"}
    for row in replica.rows:
        assert row.used_in_fit == (row.use == "fit")
        if row.use == "check":
            assert (row.week or 99) > 28
    assert {r.id for r in replica.rows} >= {"contrast:dthpv_itt_w52_nfl", "contrast:alsfrs_itt_w52_nfl:w52"}


def test_property_every_question_is_answered(replica: Replica) -> None:
    ids = [a.id for a in replica.answers]
    assert len(ids) == len(set(ids))
    assert {"primary_as_it_happened", "primary_if_it_works", "primary_if_nothing", "primary_52_weeks"} <= set(ids)
    formal = [a.probability for a in replica.answers if a.kind == "formal"]
    assert len(formal) == 7
    assert all(a >= b for a, b in pairwise(formal))  # a later step needs all before it
    for answer in replica.answers:
        assert 0 <= answer.probability <= 1
        assert "{" not in answer.sentence


def test_a_formal_answer_is_of_the_set_that_the_trial_analysed() -> None:
    """MCI186-19 and CENTAUR are rebuilt of everyone, and published of fewer: FAS 68 and 66, mITT 87 and 48."""
    for name, key, of in (("edaravone2017", "alsfrs_w24", "FAS"), ("centaur", "alsfrs_w24", "MITT")):
        record, scenario = load_record(name), load_scenario(name)
        published = rebuild.published_sets(record, targets(record, scenario))
        assert published[key] == of
        ask = replica_answers.Asked(record, scenario, scenario.default_mechanism, 2, "")
        (answer,) = replica_answers.formal_answers(ask, {scenario.plan.primary: np.ones(2)}, published)
        assert f"in set {of} " in answer.question
        assert "everyone" not in answer.question + answer.sentence + str(answer.short)


def test_property_fields_say_what_a_part_is_about(replica: Replica) -> None:
    """Nothing has to be read from ids or sentences: kinds, keys and the end point of a band are fields."""
    assert {a.kind for a in replica.answers} == {
        "works",
        "nothing",
        "longer works",
        "longer nothing",
        "null",
        "formal",
        "as it happened",
    }
    assert all(a.short is not None and a.short in a.question for a in replica.answers if a.kind == "null")
    assert all(r.key.id == r.id and (r.key.arm, r.key.week) == (r.arm, r.week) for r in replica.rows)
    assert all(m.key.id == m.id for m in replica.mechanisms)
    assert {b.event for b in replica.bands} == {None}
    assert replica.on_function
    assert not any(replica.tally in note for note in replica.notes)
    adjusted = [n for n in replica.notes if "adjusting for baseline NfL moved it" in n]
    assert len(adjusted) == 5, "as many as differences published with and without NfL"


def test_property_scenario_and_record_must_belong_together(valor: Scenario) -> None:
    record = load_record("valor")
    with pytest.raises(ScenarioError, match="rebuilds the record 'other'"):
        rebuild.replicate(record, valor.model_copy(update={"record": "other"}), replicates=2)


def test_property_fresh_and_as_it_happened_have_the_same_prognosis(valor: Scenario) -> None:
    """The imbalance moves the arms apart; it must not make the patients as a whole worse."""
    from equipoise.simulate import Simulator

    undosed = valor.protocol.dosing.model_copy(update={"randomised": {}, "extension": {}})
    scenario = valor.model_copy(update={"protocol": valor.protocol.model_copy(update={"dosing": undosed})})
    means = []
    for imbalance in (True, False):
        trials = Simulator.of(scenario, "none", imbalance=imbalance).block(5, 0, 150)
        who = trials.members("F")
        nfl = np.log(trials.outcomes["NFL"][:, :, 0][who])
        onset = np.log(trials.covariates["ONSETMO"][who])
        means.append((nfl.mean(), onset.mean(), nfl.std() / np.sqrt(len(nfl)), onset.std() / np.sqrt(len(onset))))
    (a, b, sa, sb), (c, d, _, _) = means
    assert abs(a - c) < 4 * math.sqrt(2) * sa
    assert abs(b - d) < 4 * math.sqrt(2) * sb


def test_property_rows_survive_nothing_estimable(replica: Replica) -> None:
    row = replace(
        replica.rows[0], simulated=math.nan, simulated_low=math.nan, simulated_high=math.nan, position=math.nan
    )
    plain = replace(replica, rows=(row,)).to_dict()
    assert plain["rows"][0]["simulated"] is None
    assert math.isnan(Replica.from_dict(plain).rows[0].simulated)
