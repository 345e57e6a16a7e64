"""Certainty: the sums, the judgements as a file, and what the page makes of them."""

from __future__ import annotations

import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from equipoise.appraise import appraise
from equipoise.appraise.certainty import form, load_judgements, parse_judgements, shipped_judgements, shipped_text
from equipoise.appraise.certainty import testing as genetic
from equipoise.appraise.certainty.rating import (
    LEVELS,
    certainty,
    important_difference,
    imprecision,
    information_ratio,
    lowest,
    overall_bias,
    recommendation,
    risk_under_hazard_ratio,
)
from equipoise.appraise.sections.checklists import CONSORT
from equipoise.document.document import Computed, Table, plain, walk
from equipoise.errors import DataError, RecordError
from equipoise.records import list_records, load_record

FAVOURING = {
    "balance": "favours the intervention",
    "values": "little variability",
    "acceptability": "yes",
    "feasibility": "probably yes",
}


# -- sums ----------------------------------------------------------------------------------------------------------


def test_independent_information_is_that_of_a_trial_with_eighty_per_cent_power() -> None:
    # a normal trial that finds T with 80 % power at 5 % two-sided has SE = T / (1.959964 + 0.841621)
    se = 1.5 / (1.959964 + 0.841621)
    assert information_ratio(2 - 1.959964 * se, 2 + 1.959964 * se, 1.5) == pytest.approx(1.0, rel=1e-5)
    # twice the people, half the variance, twice the information
    half = se / math.sqrt(2)
    assert information_ratio(-1.959964 * half, 1.959964 * half, 1.5) == pytest.approx(2.0, rel=1e-5)


@pytest.mark.parametrize(
    ("estimate", "low", "high", "threshold", "target", "concern"),
    [
        (1.2, -3.2, 5.5, 1.6, "little or no effect", "very serious"),  # VALOR, week 28: both thresholds inside
        (2.49, 0.99, 3.98, 1.5, "important benefit", "serious"),  # edaravone: one inside
        (3.0, 2.0, 4.0, 1.5, "important benefit", "none"),
        (0.1, -0.9, 1.1, 2.0, "little or no effect", "none"),  # narrow enough to say that nothing important is there
        (-3.0, -4.0, -2.0, 1.5, "important harm", "none"),
        (4.0, 1.6, 6.4, 1.5, "important benefit", "very serious"),  # a large effect of few people
        (0.5, -0.1, 1.1, None, "any effect", "serious"),
        (0.5, 0.1, 0.9, None, "any effect", "none"),
    ],
)
def test_imprecision_follows_the_thresholds(
    estimate: float, low: float, high: float, threshold: float | None, target: str, concern: str
) -> None:
    found = imprecision(estimate, low, high, threshold)
    assert (found.target, found.concern) == (target, concern)


@given(st.floats(-5, 5), st.floats(0.05, 4), st.floats(0.1, 3))
def test_property_imprecision_has_no_favourite_side(estimate: float, half: float, threshold: float) -> None:
    one = imprecision(estimate, estimate - half, estimate + half, threshold)
    other = imprecision(-estimate, -estimate - half, -estimate + half, threshold)
    assert one.concern == other.concern
    assert (one.crosses_benefit, one.crosses_harm) == (other.crosses_harm, other.crosses_benefit)


@given(st.floats(-3, 3), st.floats(0.05, 3), st.floats(1.01, 3), st.floats(0.1, 3))
def test_property_a_wider_interval_crosses_no_fewer_thresholds(
    estimate: float, half: float, times: float, threshold: float
) -> None:
    narrow = imprecision(estimate, estimate - half, estimate + half, threshold)
    wide = imprecision(estimate, estimate - times * half, estimate + times * half, threshold)
    assert wide.crosses_benefit >= narrow.crosses_benefit
    assert wide.crosses_harm >= narrow.crosses_harm
    assert (wide.information or 0) < (narrow.information or 0)


def test_impossible_intervals_and_thresholds_are_refused() -> None:
    for arguments in ((5.0, 0.0, 1.0, 1.0), (0.5, 1.0, 0.0, 1.0), (0.5, 0.0, 1.0, 0.0), (0.5, 0.0, 1.0, -2.0)):
        with pytest.raises(DataError):
            imprecision(*arguments)


def test_levels_go_down_step_by_step_and_stop_at_the_bottom() -> None:
    assert certainty("high", []) == "high"
    assert certainty("high", ["serious"]) == "moderate"
    assert certainty("high", ["serious", "very serious"]) == "very low"
    assert certainty("low", ["very serious", "very serious"]) == "very low"
    assert lowest(["high", "low", "moderate"]) == "low"
    assert lowest([]) is None


def test_overall_bias_is_that_of_the_worst_domain() -> None:
    assert overall_bias(["low"] * 5) == "low"
    assert overall_bias(["low", "some concerns"]) == "some concerns"
    assert overall_bias(["some concerns", "high", "low"]) == "high"


def test_a_recommendation_is_strong_only_where_nothing_holds_it_back() -> None:
    assert recommendation("high", FAVOURING).strength == "strong"
    for level in ("low", "very low", None):
        found = recommendation(level, FAVOURING)  # type: ignore[arg-type]
        assert (found.strength, found.held_back) == ("conditional", ("certainty",))
    hedged = {**FAVOURING, "balance": "probably favours the comparison", "feasibility": "no"}
    found = recommendation("high", hedged)
    assert (found.direction, found.strength, found.held_back) == ("against", "conditional", ("balance",))
    assert recommendation("high", {**FAVOURING, "balance": "neither"}).strength == "none"


def test_independent_small_sums() -> None:
    assert important_difference(0.2, -8.14) == pytest.approx(1.628)
    # proportional hazards: survival 0.56 to the power of 0.83
    assert risk_under_hazard_ratio(0.44, 0.83) == pytest.approx(1 - 0.56**0.83)
    # per 10,000 patients: 510 familial, 12 % of them 61.2; 9,490 sporadic, 2 % of them 189.8
    assert genetic.testing_yield(0.051, 0.12, 0.02) == pytest.approx((61.2 + 189.8) / 10_000)
    assert genetic.number_to_test(0.051, 0.12, 0.02) == pytest.approx(10_000 / 251.0)
    assert genetic.missed_by_family_history(0.051, 0.12, 0.02) == pytest.approx(189.8 / 251.0)
    with pytest.raises(DataError):
        genetic.testing_yield(5.1, 0.12, 0.02)
    with pytest.raises(DataError):
        genetic.number_to_test(0.1, 0.0, 0.0)


# -- the file ------------------------------------------------------------------------------------------------------


def test_the_four_seed_trials_are_judged() -> None:
    assert set(shipped_judgements()) >= {"valor", "riluzole1994", "edaravone2017", "centaur"}


@pytest.mark.parametrize("name", shipped_judgements())
def test_shipped_judgements_fit_their_record_and_are_shown(name: str) -> None:
    record = load_record(name)
    judged = load_judgements(record)
    assert judged is not None
    page = appraise(record)
    text = "\n".join(plain(c) for t in walk(page) if isinstance(t, Table) for r in t.rows for c in r.cells)
    for outcome in judged.outcomes:
        assert outcome.label in text
    assert judged.decision is not None
    assert "None" not in text


@pytest.mark.parametrize("name", [i.name for i in list_records()])
def test_a_form_suggests_nothing_and_is_refused_until_it_is_answered(name: str) -> None:
    record = load_record(name)
    text = form(record)
    for word in ("judgement: low", "judgement: yes", "concern: none", "concern: serious"):
        assert word not in text
    with pytest.raises(RecordError, match="still to judge") as raised:
        parse_judgements(text, "form")
    assert "nothing is judged by default" in (raised.value.hint or "")


def test_an_answered_form_is_taken() -> None:
    record = load_record("phoenix")
    data = yaml.safe_load(form(record))
    data["judged_by"] = "a reader"
    for item in data.get("risk_of_bias", []):
        for domain in item["domains"].values():
            domain.update(judgement="low", reason="said so")
    data["decision"]["question"] = "Should it be given?"
    answers = {
        "problem": "yes",
        "desirable": "small",
        "undesirable": "moderate",
        "values": "little variability",
        "balance": "favours the comparison",
        "resources": "unknown",
        "cost_effectiveness": "no studies read",
        "equity": "unknown",
        "acceptability": "yes",
        "feasibility": "yes",
    }
    for key, criterion in data["decision"]["criteria"].items():
        criterion.update(judgement=answers[key], reason="so we think")
    judged = parse_judgements(yaml.safe_dump(data), "answered").against(record, "answered")
    page = appraise(record, judgements=judged)
    assert "against it" in "\n".join(plain(n.title) for n in walk(page.section("decision")) if hasattr(n, "tone"))


def test_a_changed_judgement_changes_the_recommendation() -> None:
    record = load_record("valor")
    text = shipped_text("valor")
    assert text is not None
    assert "a conditional recommendation for it" in _notes(appraise(record))
    changed = parse_judgements(text.replace("probably favours the intervention", "neither"), "changed")
    assert "no recommendation either way" in _notes(appraise(record, judgements=changed.against(record, "changed")))


def _notes(page: object) -> str:
    return "\n".join(plain(n.title) for n in walk(page) if type(n).__name__ == "Note")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("judgement: some concerns", "judgement: perhaps", "randomisation.judgement"),
        ("result: alsfrs_f_w28", "result: nothing_like_it", "nothing in the record is called nothing_like_it"),
        ("refs: [design.masking, deviations]", "refs: [no_such_block]", "no_such_block"),
        ("confidence: seen, n: 65", "confidence: recall, n: 65", "other than recall"),
        ("resources: {judgement: unknown", "resources: {judgement: cheap", "'cheap' is not one of"),
        ("record: valor", "record: centaur", "are on 'centaur', not on 'valor'"),
        ("      measurement:\n        judgement: low\n", "      measuring:\n        judgement: low\n", "measuring"),
        ("better: higher", "better: more", "better"),
        (
            "share: slowing_clinicians\n      reason",
            "value: 2\n      share: slowing_clinicians\n      reason",
            "either",
        ),
    ],
)
def test_mistakes_in_a_file_are_named(old: str, new: str, said: str) -> None:
    text = shipped_text("valor")
    assert text is not None
    assert old in text
    with pytest.raises(RecordError, match=said):
        parse_judgements(text.replace(old, new, 1), "mine.yaml").against(load_record("valor"), "mine.yaml")


def test_a_number_without_a_reference_is_refused() -> None:
    record = load_record("valor")
    text = (shipped_text("valor") or "").replace("other drugs slow it little", "fatal within 3 years")
    judged = parse_judgements(text, "mine.yaml").against(record, "mine.yaml")
    with pytest.raises(RecordError, match=r"decision\.problem"):
        appraise(record, judgements=judged)


def test_hostile_text_in_a_file_is_inert() -> None:
    from equipoise.render import render

    record = load_record("valor")
    evil = "<script>alert(document.cookie)</script>"
    text = (shipped_text("valor") or "").replace("as for the marker itself", evil)
    html = render(appraise(record, judgements=parse_judgements(text, "evil").against(record, "evil")))
    assert evil not in html
    assert "&lt;script&gt;alert" in html


# -- the page ------------------------------------------------------------------------------------------------------


def test_commands_behind_computed_ratings_give_the_numbers_shown() -> None:
    page = appraise(load_record("valor"))
    commands = {c.id: c.command for c in page.computations}
    shown = {
        run.text: commands[run.computation]
        for run in walk(page.section("certainty"))
        if isinstance(run, Computed) and "testing_yield" in commands[run.computation]
    }
    assert shown
    for text, command in shown.items():
        call = command.split("print(")[1].rsplit(")", 1)[0].rstrip(')"')
        value = eval(f"{call})", {"testing_yield": genetic.testing_yield})
        assert f"{100 * value:.1f}" in text


def test_consort_has_all_its_items_once() -> None:
    numbers = [item.number for items in CONSORT.values() for item in items]
    assert len(numbers) == len(set(numbers))
    assert {int("".join(c for c in n if c.isdigit())) for n in numbers} == set(range(1, 31))
    assert len(numbers) == 42


def test_levels_are_ordered() -> None:
    assert LEVELS == ("very low", "low", "moderate", "high")


def test_an_effect_of_a_cut_of_the_data_has_its_date_in_the_summary_of_findings() -> None:
    """EMA p.48: the cut behind VALOR's survival reaches to 16 January 2022; the other rows have their week."""
    made = appraise(load_record("valor"))
    rows = {n.id: n for n in walk(made) if isinstance(n, Table)}["t-sof"].rows
    (survival,) = [said for r in rows if "permanent ventilation" in (said := plain(r.cells[0]))]
    assert "data of 16 January 2022" in survival
    assert all("data of" not in plain(r.cells[0]) for r in rows if "week" in plain(r.cells[0]))
