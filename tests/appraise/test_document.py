"""The document model: no number without a source, no link that leads nowhere."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.document.document import (
    Citation,
    Cited,
    Code,
    Computation,
    Computed,
    Document,
    DocumentError,
    Link,
    Name,
    Paragraph,
    Section,
    Source,
    Table,
    Text,
    UncitedNumberError,
    bare_number,
    check,
    from_dict,
    plain,
    to_dict,
    walk,
)


def document(*content: object, **changes: object) -> Document:
    parts: dict[str, object] = {
        "title": (Text("A page"),),
        "subtitle": (),
        "record": "tiny",
        "version": "0",
        "audience": None,
        "sections": (Section("one", (Text("One"),), (Paragraph(content),)),),  # type: ignore[arg-type]
        "sources": (Source("P", "The paper"),),
        "citations": (Citation("c-P", "P", "p.1", "seen"),),
        "computations": (Computation("k-1", "a sum", "arithmetic", "python -c 'print(1)'"),),
        "names": ("SOD1",),
    }
    return Document(**{**parts, **changes})  # type: ignore[arg-type]


@given(st.text(), st.characters(whitelist_categories=("Nd", "Nl", "No")), st.text())
def test_property_text_refuses_every_digit(before: str, digit: str, after: str) -> None:
    with pytest.raises(UncitedNumberError):
        Text(before + digit + after)


@pytest.mark.parametrize("words", ["about three months", "Twenty-eight weeks", "a dozen", "hundreds of people", "½ of"])
def test_text_refuses_number_words(words: str) -> None:
    with pytest.raises(UncitedNumberError):
        Text(words)


@pytest.mark.parametrize("words", ["one of them", "two-sided", "oftentimes", "the tenor", "sixthly, no", "", "weight"])
def test_text_takes_words(words: str) -> None:
    assert Text(words).text == words
    assert bare_number(words) is None


@pytest.mark.parametrize("text", ["1.2", "28", "−3.2 (5)", "95 %"])
def test_a_bare_number_is_no_name(text: str) -> None:
    with pytest.raises(UncitedNumberError):
        Name(text)


def test_a_name_has_to_be_registered() -> None:
    assert document(Name("SOD1"))
    with pytest.raises(UncitedNumberError, match="not a registered name"):
        document(Name("1.2 points"))
    with pytest.raises(UncitedNumberError):
        document(names=("28",))


def test_cited_and_computed_need_where_they_are_from() -> None:
    assert document(Cited("1.2", ("c-P",)), Computed("3", "k-1"))
    with pytest.raises(UncitedNumberError):
        Cited("1.2", ())
    with pytest.raises(UncitedNumberError):
        Computed("3", "")
    with pytest.raises(DocumentError, match="cites"):
        document(Cited("1.2", ("c-Q",)))
    with pytest.raises(DocumentError, match="rests on"):
        document(Computed("3", "k-2"))


def test_a_recalled_number_is_never_cited() -> None:
    with pytest.raises(UncitedNumberError, match="recalled"):
        Citation("c-P", "P", None, "recall")


def test_links_and_sources_lead_somewhere() -> None:
    assert document(Link((Text("up"),), "#one"), Link((Text("away"),), "https://example.org/"), Code("1 + 1"))
    with pytest.raises(DocumentError, match="does not exist"):
        document(Link((Text("up"),), "#two"))
    with pytest.raises(DocumentError, match="not listed"):
        document(citations=(Citation("c-Q", "Q", None, "seen"),))


def test_ids_are_unique_and_fit_for_anchors() -> None:
    section = Section("one", (Text("One"),), ())
    with pytest.raises(DocumentError, match="used twice"):
        document(sections=(section, section))
    with pytest.raises(DocumentError, match="anchor"):
        document(sections=(Section('x" onclick="', (Text("One"),), ()),))


def test_a_table_row_fits_its_columns() -> None:
    from equipoise.document.document import Row

    with pytest.raises(DocumentError, match="a row of 2 cells under 1"):
        Table("t", (), ((Text("a"),),), (Row(((Text("x"),), (Text("y"),))),))


def test_documents_are_immutable() -> None:
    page = document()
    with pytest.raises(FrozenInstanceError):
        page.record = "other"  # type: ignore[misc]
    with pytest.raises(KeyError):
        page.section("nowhere")
    assert page.section("one").id == "one"


def test_plain_data_and_back() -> None:
    page = document(Text("words "), Cited("1.2", ("c-P",)), Computed("3", "k-1"), Name("SOD1"))
    assert from_dict(to_dict(page)) == page
    assert plain(page.title) == "A page"
    assert replace(page, version="1") != page


@pytest.mark.parametrize("data", [{"is": "Nothing"}, {}, {"is": "Text"}, {"is": "Section", "id": "x"}])
def test_foreign_data_are_refused(data: dict[str, str]) -> None:
    with pytest.raises(DocumentError):
        from_dict(data)


def test_plain_data_cannot_smuggle_a_number_in() -> None:
    data = to_dict(document(Text("words")))
    data["sections"][0]["blocks"][0]["content"][0]["text"] = "1.2 words"
    with pytest.raises(UncitedNumberError):
        from_dict(data)


def test_property_walk_reaches_every_run(full_page: Document) -> None:
    runs = [n for n in walk(full_page) if isinstance(n, Text | Name | Cited | Computed | Code)]
    assert len(runs) > 1000
    check(full_page)
