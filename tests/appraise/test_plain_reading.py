"""What a reader must not be left to guess: words explained, checks told from fits, chances put into words."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from equipoise.appraise import absolute_risk, appraise, numbers
from equipoise.document.document import Cited, Code, Computed, Document, Facts, Fold, Link, Name, Table, Text, walk
from equipoise.plan.key import Key
from equipoise.records import Record, load_record
from equipoise.records.schema import PValue, Value
from equipoise.replica.replica import Answer, AnswerKind, MechanismRow, Replica


def words(node: Any) -> str:
    text = "".join(n.text for n in walk(node) if isinstance(n, Text | Name | Cited | Computed | Code))
    return re.sub(r"\s", " ", text)


def tables(page: Document) -> dict[str, Table]:
    return {n.id: n for n in walk(page.sections) if isinstance(n, Table)}


def heads(table: Table) -> list[str]:
    return [words(row.cells[0]) for row in table.rows if row.heading]


def columns(table: Table) -> list[str]:
    return [words(c) for c in table.columns]


def rebuilt(replica: Replica, works: float, nothing: float, here: float = 0.03) -> Replica:
    """The made-up replica with answers on the primary endpoint and two mechanisms asked for four results."""

    def answer(id: str, kind: AnswerKind, p: float) -> Answer:
        return Answer(
            id, kind, f"How often, {id}?", p, 0.003, 2000, f"In {100 * p:.1f} of 100 trials.", replica.command
        )

    def row(mechanism: str, result: str, published: float, mean: float, at_least: float) -> MechanismRow:
        return MechanismRow(
            mechanism,
            60.0,
            188,
            f"contrast:{result}",
            result,
            result,
            published,
            mean,
            mean - 4.0,
            mean + 4.0,
            0.05,
            at_least,
            0.005,
            2000,
            Key("contrast", analysis=result),
        )

    return replace(
        replica,
        answers=(
            answer("primary_as_it_happened", "as it happened", here),
            answer("primary_if_it_works", "works", works),
            answer("primary_if_nothing", "nothing", nothing),
        ),
        mechanisms=(
            row("none", "alsfrs_itt_w28", 1.4, -1.0, 0.05),
            row("none", "alsfrs_itt_w52", 2.7, -2.0, 0.02),
            row("none", "alsfrs_itt_w52_nfl", 3.5, 0.1, 0.07),
            row("lagged", "alsfrs_itt_w28", 1.4, 0.5, 0.29),
            row("lagged", "alsfrs_itt_w52", 2.7, 0.8, 0.21),
            row("lagged", "alsfrs_itt_w52_nfl", 3.5, 2.9, 0.36),
        ),
    )


@pytest.fixture(scope="module")
def telling(valor: Record, replica: Replica) -> Document:
    return appraise(valor, rebuilt(replica, 0.22, 0.014))


# -- words ---------------------------------------------------------------------------------------------------------


def test_the_words_of_the_page_are_explained(page: Document) -> None:
    fold = next(n for n in walk(page.section("findings")) if isinstance(n, Fold) and n.id == "words")
    facts = next(b for b in fold.blocks if isinstance(b, Facts))
    terms = {words(term) for term, _ in facts.items}
    assert {"ALSFRS-R", "CSF", "P value", "Nominal", "Joint rank test", "Hazard ratio", "Surrogate"} <= terms
    assert "Monte Carlo error" not in terms, "a word of the replica on a page without one"


def test_words_that_a_record_does_not_use_are_not_explained(tiny: Record) -> None:
    text = words(appraise(tiny).section("findings"))
    assert "ALSFRS-R" not in text
    assert "Joint rank" not in text


def test_a_sentence_is_not_said_twice_to_one_reader(page: Document) -> None:
    for reader in ("for-medical_student", "for-attending"):
        part = next(s for s in page.section("questions").sections if s.id == reader)
        text = words(part)
        assert text.count("plasma neurofilament light chain was") <= 1
        assert text.count("Serious neurologic event:") <= 1


def test_a_criterion_of_one_set_names_the_set(page: Document) -> None:
    for section in ("design", "questions"):
        text = words(page.section(section))
        for share, which in (("65", "faster"), ("50", "slower")):
            assert re.search(rf"at least {share} % of predicted (\[[^]]+\] )?\(the {which}-progressing set\)", text)


def test_no_key_of_the_record_is_left_in_the_programme(page: Document) -> None:
    text = words(page.section("safety"))
    assert "raised intracranial pressure 4" in text
    for key in ("icp", "Myelitis radiculitis", "N 104", "Share 79.6", "fatal 0"):
        assert key not in text


# -- tables --------------------------------------------------------------------------------------------------------


def test_after_the_switch_the_arms_are_early_and_delayed(page: Document) -> None:
    later = tables(page)["t-later"]
    assert columns(later)[1:3] == ["Delayed start", "Early start"]
    assert "a contrast is early against delayed start" in words(later.caption)
    assert columns(tables(page)["t-results"])[1:3] == ["Placebo", "Tofersen"]
    assert "Early start" in columns(tables(page)["t-fig-later"])


def test_shares_are_not_taken_for_changes(page: Document) -> None:
    later = tables(page)["t-later"]
    assert any(h.endswith("week 104, share who improved") for h in heads(later))
    shown = [[words(c) for c in r.cells] for r in later.rows if not r.heading]
    assert any(r[1:3] == ["11.6 %", "19.5 %"] for r in shown)
    assert any(r[1:3] == ["−64 %", "−67 %"] for r in shown)


def test_lines_of_the_forest_can_be_told_apart(page: Document) -> None:
    forest = tables(page)["t-forest"]
    group, seen = "", set()
    for row in forest.rows:
        if row.heading:
            group = words(row.cells[0])
            continue
        key = (group, words(row.cells[0]))
        assert key not in seen
        seen.add(key)


def test_a_trailing_zero_is_not_lost() -> None:
    p = PValue.model_validate({"method": "x", "value": 0.9, "source": "P", "confidence": "seen"})
    assert numbers.p_value(p, exact=True).endswith("0.90")
    v = Value.model_validate({"value": -1.34, "range": [-8.3, -0.39], "source": "P", "confidence": "seen"})
    assert numbers.spread(v) == "−1.34 (−8.30 to −0.39)"
    whole = Value.model_validate({"value": 35.4, "sd": 6.4, "range": [24, 45], "source": "P", "confidence": "seen"})
    assert numbers.spread(whole, 1, 2) == "35.4 (SD 6.40) (24 to 45)"


# -- the replica ---------------------------------------------------------------------------------------------------


def test_what_the_chances_mean_is_said(telling: Document) -> None:
    text = words(telling.section("bottom-line"))
    assert "miss its endpoint in 78 of 100 repeats even if the drug works as fitted, and in 99 of 100" in text
    assert "the miss by itself says little about whether the drug works" in text
    text = words(telling.section("replica"))
    assert "the miss by itself" not in text  # said once, and linked
    assert any(n.target == "#bottom-line" for n in walk(telling.section("replica")) if isinstance(n, Link))
    assert "at the 5 % level gives about 2.5 % of trials in favour of a drug that does nothing" in text
    assert "1.4 %, is lower" in text
    assert "is not the chance of success against a benefit known beforehand" in text
    assert "the chance falls to 3.0 %" in text


@pytest.mark.parametrize(
    ("works", "nothing", "said"),
    [
        (0.22, 0.025, "as it should be"),
        (0.22, 0.06, "is higher: as rebuilt, the test is too easily passed"),
        (0.9, 0.025, "speaks against an effect of the fitted size"),
    ],
)
def test_the_words_follow_the_chances(valor: Record, replica: Replica, works: float, nothing: float, said: str) -> None:
    page = appraise(valor, rebuilt(replica, works, nothing))
    text = words((page.section("bottom-line"), page.section("replica")))
    assert said in text
    assert ("a miss was the likely result" in text) == (works < 0.5)


def test_results_of_the_fitted_period_are_no_check(telling: Document) -> None:
    each = heads(tables(telling)["t-mechanisms"])
    assert [h.endswith("kept out of the fit: a check") for h in each] == ["week 52" in h for h in each]
    assert [h.endswith("follows from the fit: no check") for h in each] == ["week 28" in h for h in each]
    assert "week 52" in each[0], "the checks come first"


def test_what_the_checks_show_and_do_not_show(telling: Document) -> None:
    text = words(telling.section("replica"))
    assert "in keeping with lagged; 21 % to 36 % of such trials" in text
    assert "With none it is 2.0 % to 7.0 %." in text
    assert re.search("With none what was found is more favourable than the range of single trials: .*week 52", text)
    assert "What it does not show: that the drug slows the disease. This is one trial" in text
    assert "the arms began with unequal neurofilament" in text


def test_each_check_is_judged_by_itself_and_another_trial_is_named(valor: Record, replica: Replica) -> None:
    """A mechanism may predict too little here and too much there: neither is told as the other."""
    told = rebuilt(replica, 0.22, 0.014)
    other = replace(
        replica.rows[0], id="external:second", quantity="Second trial", result=None, external=True, use="held_out"
    )
    lagged = [m for m in told.mechanisms if m.mechanism == "lagged"]
    late = replace(lagged[1], mechanism="none", published=2.7, low=-3.0, high=2.0, at_least=0.0)
    there = replace(
        late,
        id=other.id,
        quantity=other.quantity,
        result=None,
        published=0.6,
        low=1.4,
        high=4.0,
        at_least=1.0,
        held=True,
    )
    mechanisms = (late, there, replace(lagged[1], held=True), replace(there, mechanism="lagged"))
    text = words(appraise(valor, replace(told, rows=(*told.rows, other), mechanisms=mechanisms)).section("replica"))
    (more,) = re.findall(
        r"With ([^.]*?) what was found is more favourable than the range of single trials: ([^.]*)", text
    )
    (less,) = re.findall(
        r"With ([^.]*?) what was found is less favourable than the range of single trials: ([^.]*)", text
    )
    assert more[0] == "none"
    assert "week 52" in more[1]
    assert "Second trial" not in more[1]
    assert less == ("none and lagged", "Second trial")
    assert "This is one trial" not in text


def test_the_tally_keeps_checks_apart(valor: Record, replica: Replica) -> None:
    rows = tuple(
        replace(r, used_in_fit=False, use="restated") if r.used_in_fit and r.analysis_set != "F" else r
        for r in replica.rows
    )
    page = appraise(valor, replace(replica, rows=rows, tally="3 of 4 rows used in the fit and 1 of 2 held."))
    text = words(page.section("replica"))
    assert "so are no independent check" in text
    assert "Of those kept out of the fit, the real checks" in text
    assert "of a replica that was exactly right, about 68 % would" in text
    assert "rows used in the fit and" not in text, "the remark repeats the tally"
    used = {words(r.cells[2]) for r in tables(page)["t-dots"].rows if not r.heading}
    assert {"fit", "restated", "check"} == used


def test_the_table_of_quantities_speaks_words(valor: Record, replica: Replica) -> None:
    first = replica.rows[0]
    onset = replace(
        first,
        outcome="ONSETMO",
        quantity="Time since symptom onset, baseline median",
        arm="placebo",
        scale="baseline",
        week=None,
        result=None,
    )
    ae = replace(onset, outcome="AE", quantity="Headache", scale="percent")
    tiny_p = replace(
        first,
        outcome="NFL",
        quantity="Plasma neurofilament light chain, P value",
        scale="p",
        published=0.00004,
        published_low=None,
        published_high=None,
        simulated=0.0,
        simulated_low=0.0,
        simulated_high=0.0,
    )
    page = appraise(valor, replace(replica, rows=(*replica.rows, onset, ae, tiny_p)))
    table = tables(page)["t-replica"]
    text = " ".join(words(c) for r in table.rows for c in r.cells)
    assert "ONSETMO" not in text
    assert "The people and their course" in text
    assert "Headache" not in text
    assert "Rates of adverse events and other counts put in as published are left out here" in words(table.caption)
    assert "< 0.001" in text
    assert any(words(r.cells[0]).startswith("P value, ") for r in table.rows if not r.heading)


def test_the_sums_of_chance() -> None:
    assert absolute_risk.false_alarms_in_favour(0.05) == pytest.approx(0.025)
    assert absolute_risk.within_errors(1.0) == pytest.approx(0.6826894921370859)


def test_a_rate_is_not_told_as_a_change() -> None:
    page = appraise(load_record("centaur"))
    text = words(page.section("brief")) + words(page.section("findings"))
    assert "+0.42 points a month" in text
    assert "changed by −1.24 points a month with" in text
    assert "a difference of 0.42 (0.03 to 0.81) points a month" in text
