"""Hostile words in a record or a replica stay words, whatever the page is written as."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from markdown_it import MarkdownIt
from reading import Page

from equipoise.appraise import appraise
from equipoise.document.document import Document
from equipoise.records import Record
from equipoise.render import to_html, to_json, to_markdown
from equipoise.replica.replica import Replica

EVIL = (
    "<script>alert('x')</script><img src=x onerror=alert(1)>\"' onmouseover=alert(2) x=\"</svg></style>]]>"
    "{{ 7*7 }} | # *"
)
LINK = "javascript:alert(document.domain)"
# places where words are names of things that other places refer to
FIXED = {
    "id",
    "outcome",
    "set",
    "method",
    "arm",
    "source",
    "refs",
    "cut",
    "paramcd",
    "primary_result",
    "also",
    "endpoint",
}


def poisoned(node: Any, key: str = "") -> Any:
    if isinstance(node, dict):
        return {k: (v if k in FIXED else poisoned(v, k)) for k, v in node.items()}
    if isinstance(node, list):
        return [poisoned(v, key) for v in node]
    if key in ("address", "url"):
        return LINK
    words = {
        "title",
        "label",
        "condition",
        "text",
        "term",
        "name",
        "drug",
        "journal",
        "authority",
        "decision",
        "acronym",
        "place",
        "note",
        "what",
        "unit",
        "definition",
        "description",
        "subset",
        "reading",
        "who",
        "registry",
        "route",
        "delayed_label",
        "summary",
        "detail",
        "number",
        "variable",
        "imputation",
    }
    if isinstance(node, str) and key in words:
        return f"{node} {EVIL}"
    return node


@pytest.fixture(scope="module")
def evil(valor: Record, replica: Replica) -> Document:
    record = Record.model_validate(poisoned(valor.model_dump(mode="json", exclude_defaults=True)))
    command = f"equipoise `replicate` {EVIL}"
    bad = replace(
        replica,
        scenario=EVIL,
        mechanism=EVIL,
        command=command,
        notes=(EVIL,),
        answers=tuple(replace(a, question=EVIL, sentence=EVIL, command=command) for a in replica.answers),
        rows=tuple(replace(r, quantity=EVIL, arm=EVIL, unit=EVIL) for r in replica.rows),
    )
    return appraise(record, bad)


def test_html_holds_the_words_and_nothing_runs(evil: Document) -> None:
    html = to_html(evil)
    page = Page(html)
    assert len(page.all("script")) == 1
    assert "alert(" not in page.all("script")[0].text
    for element in page.elements:
        assert element.tag not in ("img", "iframe", "object", "embed", "link", "base", "form"), element.tag
        assert not [name for name in element.attrs if name.startswith("on")], element.attrs
        for name in ("href", "src", "xlink:href"):
            assert "javascript" not in element.attrs.get(name, "").lower()
    assert "{{ 7*7 }}" in page.all("h1")[0].text
    assert page.all("h1")[0].text.count("<script>") >= 1
    assert len(page.all("style")) == 1
    titles = [t.text for t in page.all("title") if t.inside("svg")]
    assert any("<script>" in t for t in titles)


def test_markdown_holds_the_words_and_nothing_runs(evil: Document) -> None:
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(to_markdown(evil))
    page = Page(html)
    for element in page.elements:
        assert element.tag not in ("script", "img", "iframe", "style", "svg"), element.tag
        assert not [name for name in element.attrs if name.startswith("on")], element.attrs
        assert "javascript" not in element.attrs.get("href", "").lower()
    assert "<script>alert" in page.all("h1")[0].text


def test_json_holds_the_words(evil: Document) -> None:
    assert EVIL in json.dumps(json.loads(to_json(evil)), ensure_ascii=False).replace('\\"', '"')
