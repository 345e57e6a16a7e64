"""Markdown: the same headings, every number a link that resolves."""

from __future__ import annotations

import re

import pytest
from markdown_it import MarkdownIt
from reading import Page

from equipoise.appraise import appraise
from equipoise.document.document import Cited, Computed, Document, Section, Table, linked_once, plain, walk
from equipoise.records import Record
from equipoise.render import to_markdown


@pytest.fixture(scope="module")
def text(full_page: Document) -> str:
    return to_markdown(full_page)


@pytest.fixture(scope="module")
def read(text: str) -> Page:
    return Page(MarkdownIt("commonmark", {"html": False}).enable("table").render(text))


def test_the_headings_are_those_of_the_document(read: Page, full_page: Document) -> None:
    found = [e.text for e in read.elements if e.tag == "h2"]
    assert found == [plain(s.title) for s in full_page.sections] + ["Sources", "Computed numbers"]
    parts = [s for section in full_page.sections for s in walk(section.sections) if isinstance(s, Section)]
    assert any(s.reader for s in parts)
    assert len([e for e in read.elements if e.tag == "h3"]) == len(parts)


def test_every_number_is_a_link_that_resolves(read: Page, text: str, full_page: Document) -> None:
    page = linked_once(full_page)  # what repeats a link beside it, and words that are numbers, are plain
    parts = (page.title, page.subtitle, page.sections)
    numbers = [n for n in walk(parts) if isinstance(n, Cited | Computed) and not n.quiet]
    figures = sum(1 for n in walk(full_page) if type(n).__name__ == "Figure")
    assert figures
    links = [a for a in read.all("a") if a.attrs.get("title")]
    # the descriptions of figures are for the ear and are left out of the text
    spoken = [n for f in walk(page) if type(f).__name__ == "Figure" for n in walk(f.description)]
    assert len(links) == len(numbers) - sum(isinstance(n, Cited | Computed) and not n.quiet for n in spoken)
    assert not re.search(r"\]\[(c|k)-", read.elements[0].text)
    assert "][" not in "".join(e.text for e in read.elements if e.tag in ("p", "li", "td"))


def test_tables_survive(read: Page, full_page: Document) -> None:
    tables = [n for n in walk(full_page) if isinstance(n, Table)]
    assert len(read.all("table")) == len(tables)
    rows = sum(len(t.rows) + 1 for t in tables)
    assert len(read.all("tr")) == rows


def test_a_record_without_results_can_be_written(tiny: Record) -> None:
    text = to_markdown(appraise(tiny))
    assert text.startswith("# A tiny trial\n")
    assert text.endswith("\n")
