"""What a critical reader of VALOR found, as facts: adjusted curves, names of sets, examples and related trials."""

from __future__ import annotations

import re

import pytest

from equipoise.appraise import appraise
from equipoise.document.document import Cards, Curves, Document, Figure, Question, Section, plain, walk
from equipoise.records import load_record
from equipoise.records.coherence import coherence_notes
from equipoise.render import render


@pytest.fixture(scope="module")
def valor_page() -> Document:
    return appraise(load_record("valor"))


def test_curves_of_an_adjusted_analysis_say_so_and_others_do_not(valor_page: Document) -> None:
    record = load_record("valor")
    adjusts = {m.id for m in record.methods if m.adjusts_nfl}
    wanted = {(c.outcome, c.set) for c in record.curves if c.method in adjusts}
    assert wanted
    panels = [
        p
        for n in walk(valor_page.sections)
        if isinstance(n, Figure) and isinstance(n.chart, Curves)
        for p in n.chart.panels
    ]
    said = [p.title for p in panels if "adjusted for NfL" in p.title]
    assert len(said) == len(wanted)
    assert all("intention to treat" in title for title in said)


def test_notes_of_coherence_name_sets_and_arms_and_not_their_keys() -> None:
    record = load_record("valor")
    for note in coherence_notes(record):
        for text in (note.what, note.explained or ""):
            assert not re.search(r", (?:F|S|ITT)\b|mg\d+_", text), text


def test_the_example_of_a_note_that_changes_a_verdict_is_one(valor_page: Document) -> None:
    asked = next(n for n in walk(valor_page.sections) if isinstance(n, Question) and n.id == "q-coherent")
    text = " ".join(plain(b.content) for b in asked.answer if hasattr(b, "content"))
    p, implied = re.search(r"p = ([\d.]+) comes from.*implies about ([\d.]+)", text).groups()  # type: ignore[union-attr]
    assert "would change a verdict" in text
    assert (float(p) < 0.05) != (float(implied.rstrip(".")) < 0.05)


def test_the_phase_before_is_told_with_dose_and_comparator(valor_page: Document) -> None:
    cards = [c for n in walk(valor_page.section("related")) if isinstance(n, Cards) for c in n.items]
    early = next(c for c in cards if "phase 1-2" in plain(c.title))
    facts = {plain(term): plain(said) for term, said in early.facts}
    assert "100 mg" in facts["Drug and dose"]
    assert "lacebo" in facts["Comparator"]
    assert all(plain(said) != "Control" for c in cards for term, said in c.facts if plain(term) == "Comparator")


def test_strata_are_things_and_every_reader_is_named(valor_page: Document) -> None:
    text = render(valor_page, "md")
    assert "tratified by met" not in text
    questions = next(s for s in valor_page.sections if isinstance(s, Section) and s.id == "questions")
    told = plain(questions.summary)
    for reader in questions.sections:
        assert plain(reader.title).lower() in told.lower()


def test_no_risk_difference_of_an_event_is_told_more_than_twice_in_prose(valor_page: Document) -> None:
    significance = " ".join(
        plain(b.content) for b in valor_page.section("significance").blocks if hasattr(b, "content")
    )
    assert "percentage points" not in significance  # counted under safety, and linked there
