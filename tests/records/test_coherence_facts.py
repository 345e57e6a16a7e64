"""Notes grouped by the fact they tell, and how much there was to check."""

from __future__ import annotations

import pytest

from equipoise.records import coherence_notes, list_records, load_record
from equipoise.records.coherence import checked, coherence_facts


def test_the_notes_on_valor_are_a_handful_of_facts() -> None:
    notes = coherence_notes(load_record("valor"))
    facts = coherence_facts(notes)
    assert len(notes) > 25
    assert len(facts) <= 5
    assert {f.kind for f in facts} >= {"p_and_interval", "not_prespecified", "after_failed_gatekeeper"}


@pytest.mark.parametrize("name", [info.name for info in list_records()])
def test_property_grouping_loses_no_note(name: str) -> None:
    notes = coherence_notes(load_record(name))
    assert sorted(n.id for f in coherence_facts(notes) for n in f.notes) == sorted(n.id for n in notes)


def test_a_record_with_nothing_to_hold_against_anything_says_so() -> None:
    """PHOENIX is a P value alone: it agrees with nothing, because nothing stands beside it."""
    assert checked(load_record("phoenix")).total == 0
    assert checked(load_record("valor")).p_values > 20
