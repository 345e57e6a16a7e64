"""JSON: the whole document, there and back."""

from __future__ import annotations

import json

import pytest

from equipoise.appraise import appraise
from equipoise.document.document import Document, DocumentError
from equipoise.errors import OutputError
from equipoise.records import Record
from equipoise.render import from_json, render, to_html, to_json, to_markdown


def test_round_trip(page: Document, full_page: Document, tiny: Record) -> None:
    for document in (page, full_page, appraise(tiny)):
        again = from_json(to_json(document))
        assert again == document
        assert to_json(again) == to_json(document)


def test_what_was_read_back_renders_the_same(full_page: Document) -> None:
    again = from_json(to_json(full_page))
    assert to_html(again) == to_html(full_page)
    assert to_markdown(again) == to_markdown(full_page)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"is": "Text", "text": "x"}', '{"is": "Document"}', "nonsense"])
def test_what_is_not_a_document_is_refused(text: str) -> None:
    with pytest.raises(DocumentError):
        from_json(text)


def test_an_edited_file_is_checked_again(page: Document) -> None:
    data = json.loads(to_json(page))
    data["citations"] = []
    with pytest.raises(DocumentError):
        from_json(json.dumps(data))


def test_formats_by_name(tiny: Record) -> None:
    document = appraise(tiny)
    assert render(document, "html") == to_html(document)
    assert render(document, "md") == to_markdown(document)
    assert render(document, "json") == to_json(document)
    with pytest.raises(OutputError, match="no format"):
        render(document, "docx")
