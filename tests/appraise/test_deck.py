"""The deck: eight to ten slides of every record, each number with its source in the notes."""

from __future__ import annotations

from functools import cache

import pytest
from synthetic_replica import synthetic_replica
from test_every_number import Held, led
from test_every_record import SHIPPED

from equipoise.appraise import in_slides
from equipoise.document.document import (
    Cited,
    Computed,
    Document,
    Figure,
    Link,
    Listing,
    Question,
    Section,
    Stats,
    Table,
    plain,
    walk,
)
from equipoise.records import Record, load_record
from equipoise.replica.replica import Replica


@cache
def deck_of(name: str) -> Document:
    return in_slides(load_record(name))


def ids(deck: Document) -> list[str]:
    return [s.id.removeprefix("slide-") for s in deck.sections]


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_record_has_a_deck(name: str) -> None:
    deck = deck_of(name)
    assert deck.kind == "slides"
    assert 8 <= len(deck.sections) <= 10
    assert ids(deck)[0] == "title"
    assert ids(deck)[-1] == "discussion"
    assert all(isinstance(s, Section) and s.blocks and not s.sections for s in deck.sections)
    assert not any(n.target.startswith("#") for n in walk(deck.sections) if isinstance(n, Link))


def test_one_group_alone_has_a_deck_too(tiny: Record) -> None:
    alone = tiny.model_copy(update={"arms": tiny.arms[:1]})
    deck = in_slides(alone)
    assert 8 <= len(deck.sections) <= 10
    assert "compared with nobody" in plain(deck.sections[0].blocks[-1].content)  # type: ignore[union-attr]


def test_a_deck_holds_the_figures_the_harm_and_the_questions(valor: Record, replica: Replica) -> None:
    deck = in_slides(valor, replica)
    assert ids(deck) == [
        "title",
        "question",
        "conduct",
        "result",
        "contrasts",
        "curves",
        "harm",
        "replica",
        "trust",
        "discussion",
    ]
    figures = [n for n in walk(deck.sections) if isinstance(n, Figure)]
    assert len(figures) == 2
    assert all(1 <= len(f.chart.panels) <= 3 for f in figures)
    stats = next(n for n in walk(deck.section("slide-result")) if isinstance(n, Stats))
    assert plain(stats.items[0].value) == "Missed"
    harms = next(n for n in walk(deck.section("slide-harm")) if isinstance(n, Table))
    assert any(plain(row.cells[0]) == "Serious neurologic event" for row in harms.rows)
    assert len(harms.rows) <= 7
    asked = next(n for n in walk(deck.section("slide-discussion").blocks) if isinstance(n, Listing))
    assert 4 <= len(asked.items) <= 6
    assert not any(isinstance(n, Question) for n in walk(deck.sections))


def test_without_a_replica_other_trials_take_its_place() -> None:
    assert "replica" not in ids(deck_of("valor"))
    assert "related" in ids(deck_of("valor"))


def test_a_deck_with_a_replica_of_another_trial_is_refused(replica: Replica) -> None:
    from equipoise.errors import RecordError

    with pytest.raises(RecordError, match="valor"):
        in_slides("centaur", replica)


def test_each_question_has_its_answer_in_the_notes(valor: Record) -> None:
    slide = deck_of("valor").section("slide-discussion")
    asked = next(n for n in slide.blocks if isinstance(n, Listing))
    notes = " ".join(plain(n.content) for n in walk(slide.notes) if hasattr(n, "content"))
    for item in asked.items:
        assert plain(item) in notes
    assert len(notes.split()) > 30 * len(asked.items)


@pytest.mark.parametrize("name", ["valor", "centaur"])
def test_every_number_of_a_deck_leads_to_its_source_or_command(name: str) -> None:
    record = load_record(name)
    assert led(deck_of(name), {"": Held(record)}) >= 20
    with_replica = in_slides(record, synthetic_replica(record))
    nodes = list(walk((with_replica.title, with_replica.subtitle, with_replica.sections)))
    refs = {ref for n in nodes if isinstance(n, Cited) for ref in n.refs}
    assert {c.id for c in with_replica.citations if c.source != "JUDGEMENTS"} == refs
    assert {c.id for c in with_replica.computations} == {n.computation for n in nodes if isinstance(n, Computed)}
