"""The writer: sentences take their numbers from values, quotes link each of theirs."""

from __future__ import annotations

import pytest

from equipoise.appraise.writer import Writer
from equipoise.document.document import Cited, Name, Text, UncitedNumberError, plain
from equipoise.document.text import joined, lower, short, upper
from equipoise.records import Record
from equipoise.records.schema import Value


@pytest.fixture(scope="module")
def writer(valor: Record) -> Writer:
    return Writer(valor)


def test_templates_take_no_number(writer: Writer) -> None:
    with pytest.raises(UncitedNumberError):
        writer.say("a difference of 1.2 points")
    assert plain(writer.say("{o} at week 28", o="CSF total SOD1")) == "CSF total SOD1 at week 28"


def test_names_come_from_the_record(writer: Writer) -> None:
    runs = writer.words("NCT02623699 and SOD1 at week 28")
    assert [r.text for r in runs if isinstance(r, Name)] == ["NCT02623699", "SOD1", "week 28"]
    with pytest.raises(UncitedNumberError):
        writer.words("at week 29")
    with pytest.raises(UncitedNumberError):
        writer.words("SOD2")


def test_a_cited_number_carries_its_place_and_every_further_source(writer: Writer, valor: Record) -> None:
    run = writer.cite("108", valor.design.n_actual)
    places = {c.id: (c.source, c.place, c.confidence) for c in writer.citations()}
    assert [places[r] for r in run.refs] == [("EMA", "p.50", "seen"), ("FDA", "p.42", "seen")]


def test_recalled_values_are_refused(writer: Writer, valor: Record) -> None:
    recalled = [e.sourced for e in valor.index(recall=True).values() if e.sourced.confidence == "recall"]
    assert recalled
    for sourced in recalled:
        with pytest.raises(UncitedNumberError):
            writer.cite("x", sourced)
        assert writer.quote("62 %", sourced) is None


def test_a_quote_links_each_number_to_the_leaf_that_holds_it(writer: Writer) -> None:
    runs = writer.quote("from 1.2 (p = 0.60) to three", "alsfrs_f_w28.contrast", "alsfrs_f_w28.p.ancova_mi", "SEED")
    assert runs is not None
    cited = {r.text: r.refs for r in runs if isinstance(r, Cited)}
    assert set(cited) == {"1.2", "0.60", "three"}
    assert not any("SEED" in ref for ref in cited["1.2"])
    assert any("SEED" in ref for ref in cited["three"])


def test_a_week_in_a_quote_is_a_number_with_a_source(writer: Writer) -> None:
    runs = writer.quote("visible by week 8", "delay_nfl")
    assert runs is not None
    assert [r.text for r in runs if isinstance(r, Cited)] == ["8"]


def test_a_told_sentence_without_number_names_its_sources(writer: Writer) -> None:
    runs = writer.told("the arms separate", "delay_alsfrs", stop=".")
    assert runs is not None
    assert plain(runs) == "the arms separate. [FDA]"


def test_a_text_resting_on_recall_or_on_nothing_is_left_out(writer: Writer) -> None:
    assert writer.quote("25 days", "sod1_halflife_human") is None
    assert writer.quote("25 days", "no_such_block") is None


def test_every_statement_of_valor_can_be_told(writer: Writer, valor: Record) -> None:
    assert all(writer.statement(s) for s in valor.statements)


def test_compute_writes_the_command_that_repeats_it(writer: Writer) -> None:
    from equipoise.appraise import absolute_risk

    run = writer.compute(absolute_risk.share, 1, 4, show=lambda x: f"{x:.2f}", what="a share", method="division")
    command = next(c.command for c in writer.computations() if c.id == run.computation)
    assert run.text == "0.25"
    assert command == 'python -c "from equipoise.appraise.absolute_risk import share; print(share(1, 4))"'


def test_simulated_numbers_need_a_replica(writer: Writer) -> None:
    with pytest.raises(UncitedNumberError):
        writer.simulated("1.2")


def test_a_label_that_is_no_name_is_set_as_code(writer: Writer) -> None:
    assert plain(writer.say("arm {a}", a="20")) == "arm 20"
    assert not any(isinstance(r, Text) and "2" in r.text for r in writer.say("arm {a}", a="20"))


def test_an_unknown_source_is_refused(writer: Writer) -> None:
    with pytest.raises(UncitedNumberError, match="not in the record"):
        writer.cite("1", Value(value=1, source="NOWHERE", confidence="seen"))


@pytest.mark.parametrize(
    ("label", "inside"),
    [
        ("Placebo", "placebo"),
        ("ALSFRS-R total score", "ALSFRS-R total score"),
        ("CSF total SOD1", "CSF total SOD1"),
        ("Cox regression", "Cox regression"),
        ("F", "F"),
        ("Slow vital capacity", "slow vital capacity"),
    ],
)
def test_labels_inside_a_sentence(label: str, inside: str) -> None:
    assert lower(label) == inside


def test_small_helpers() -> None:
    assert short("Faster-progressing (mITT)") == "Faster-progressing"
    assert plain(upper((Text("word"),))) == "Word"
    parts = [(Text("a"),), (Text("b"),), (Text("c"),)]
    assert plain(joined(parts)) == "a, b and c"
    assert plain(joined(parts, "; ")) == "a; b; c"
