"""The pen: sentences take their numbers from leaves, quotes link each of theirs."""

from __future__ import annotations

import pytest

from equipoise.appraise.pen import Pen
from equipoise.document.document import Cited, Name, Text, UncitedNumberError, plain
from equipoise.document.text import joined, lower, short, upper
from equipoise.records import Record
from equipoise.records.schema import Value


@pytest.fixture(scope="module")
def pen(valor: Record) -> Pen:
    return Pen(valor)


def test_templates_take_no_number(pen: Pen) -> None:
    with pytest.raises(UncitedNumberError):
        pen.say("a difference of 1.2 points")
    assert plain(pen.say("{o} at week 28", o="CSF total SOD1")) == "CSF total SOD1 at week 28"


def test_names_come_from_the_record(pen: Pen) -> None:
    runs = pen.words("NCT02623699 and SOD1 at week 28")
    assert [r.text for r in runs if isinstance(r, Name)] == ["NCT02623699", "SOD1", "week 28"]
    with pytest.raises(UncitedNumberError):
        pen.words("at week 29")
    with pytest.raises(UncitedNumberError):
        pen.words("SOD2")


def test_a_cited_number_carries_its_place_and_every_further_source(pen: Pen, valor: Record) -> None:
    run = pen.cite("108", valor.design.n_actual)
    places = {c.id: (c.source, c.place, c.confidence) for c in pen.citations()}
    assert [places[r] for r in run.refs] == [("EMA", "p.50", "seen"), ("FDA", "p.42", "seen")]


def test_recalled_values_are_refused(pen: Pen, valor: Record) -> None:
    recalled = [e.leaf for e in valor.index(recall=True).values() if e.leaf.confidence == "recall"]
    assert recalled
    for leaf in recalled:
        with pytest.raises(UncitedNumberError):
            pen.cite("x", leaf)
        assert pen.quote("62 %", leaf) is None


def test_a_quote_links_each_number_to_the_leaf_that_holds_it(pen: Pen) -> None:
    runs = pen.quote("from 1.2 (p = 0.60) to three", "alsfrs_f_w28.contrast", "alsfrs_f_w28.p.ancova_mi", "SEED")
    assert runs is not None
    cited = {r.text: r.refs for r in runs if isinstance(r, Cited)}
    assert set(cited) == {"1.2", "0.60", "three"}
    assert not any("SEED" in ref for ref in cited["1.2"])
    assert any("SEED" in ref for ref in cited["three"])


def test_a_week_in_a_quote_is_a_number_with_a_source(pen: Pen) -> None:
    runs = pen.quote("visible by week 8", "delay_nfl")
    assert runs is not None
    assert [r.text for r in runs if isinstance(r, Cited)] == ["8"]


def test_a_told_sentence_without_number_names_its_sources(pen: Pen) -> None:
    runs = pen.told("the arms separate", "delay_alsfrs", stop=".")
    assert runs is not None
    assert plain(runs) == "the arms separate. [FDA]"


def test_a_text_resting_on_recall_or_on_nothing_is_left_out(pen: Pen) -> None:
    assert pen.quote("25 days", "sod1_halflife_human") is None
    assert pen.quote("25 days", "no_such_block") is None


def test_every_statement_of_valor_can_be_told(pen: Pen, valor: Record) -> None:
    assert all(pen.statement(s) for s in valor.statements)


def test_compute_writes_the_command_that_repeats_it(pen: Pen) -> None:
    from equipoise.appraise import risk

    run = pen.compute(risk.share, 1, 4, show=lambda x: f"{x:.2f}", what="a share", method="division")
    command = next(c.command for c in pen.computations() if c.id == run.computation)
    assert run.text == "0.25"
    assert command == 'python -c "from equipoise.appraise.risk import share; print(share(1, 4))"'


def test_simulated_numbers_need_a_replica(pen: Pen) -> None:
    with pytest.raises(UncitedNumberError):
        pen.simulated("1.2")


def test_a_label_that_is_no_name_is_set_as_code(pen: Pen) -> None:
    assert plain(pen.say("arm {a}", a="20")) == "arm 20"
    assert not any(isinstance(r, Text) and "2" in r.text for r in pen.say("arm {a}", a="20"))


def test_an_unknown_source_is_refused(pen: Pen) -> None:
    with pytest.raises(UncitedNumberError, match="not in the record"):
        pen.cite("1", Value(value=1, source="NOWHERE", confidence="seen"))


@pytest.mark.parametrize(
    ("label", "inside"),
    [("Placebo", "placebo"), ("ALSFRS-R total score", "ALSFRS-R total score"), ("CSF total SOD1", "CSF total SOD1"),
     ("Cox regression", "Cox regression"), ("F", "F"), ("Slow vital capacity", "slow vital capacity")],
)  # fmt: skip
def test_labels_inside_a_sentence(label: str, inside: str) -> None:
    assert lower(label) == inside


def test_small_helpers() -> None:
    assert short("Faster-progressing (mITT)") == "Faster-progressing"
    assert plain(upper((Text("word"),))) == "Word"
    parts = [(Text("a"),), (Text("b"),), (Text("c"),)]
    assert plain(joined(parts)) == "a, b and c"
    assert plain(joined(parts, "; ")) == "a; b; c"
