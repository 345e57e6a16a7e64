"""Every sentence that tells a published fact has a reference beside it.

Whatever a record or its judgements say in words - statements, items, traps, decisions, results of related trials -
rests on sources that the record names. Where the page shows such a text, the paragraph, list item or table cell that
holds it also holds a citation of one of those sources.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import pytest

from equipoise.appraise import appraise
from equipoise.appraise.certainty import load_judgements
from equipoise.appraise.landscape import landscape
from equipoise.document.document import Bar, Cited, Computed, Document, Row, Text, plain, walk
from equipoise.records import Record, list_records, load_record
from equipoise.records.schema import Sourced

NAMES = ("riluzole1994", "centaur", "edaravone2017", "valor", "phoenix", "healey_pridopidine", "mirocals", "adore")
LEAST = 30
"""Shorter texts are labels ("double-blind"), which the facts around them source."""


def told(record: Record) -> Iterator[str]:
    """The texts of a record that state a fact."""
    yield from (s.text for s in record.statements)
    yield from (t.text for t in record.traps)
    yield from (i.text for i in record.items if i.text and i.usable)
    yield from (r.text for r in record.regulatory if r.text and r.usable)
    for trial in record.related:
        yield from (fact.text for fact in (trial.result, *trial.after) if fact.usable)
    judged = load_judgements(record)
    if judged is not None:
        for node in walk_model(judged):
            if getattr(node, "refs", ()) and isinstance(getattr(node, "reason", None), str):
                yield node.reason


def walk_model(node: Any) -> Iterator[Any]:
    yield node
    if hasattr(type(node), "model_fields"):
        for name in type(node).model_fields:
            yield from walk_model(getattr(node, name))
    elif isinstance(node, dict):
        for child in node.values():
            yield from walk_model(child)
    elif isinstance(node, tuple):
        for child in node:
            yield from walk_model(child)


def runs(node: Any) -> Iterator[tuple[Any, ...]]:
    """Each paragraph, list item, cell, remark: a tuple of inline runs."""
    if isinstance(node, tuple) and node and all(is_inline(child) for child in node):
        yield node
    elif isinstance(node, tuple):
        for child in node:
            yield from runs(child)
    elif is_dataclass(node) and not isinstance(node, type):
        for f in fields(node):
            yield from runs(getattr(node, f.name))


def is_inline(node: Any) -> bool:
    return (is_dataclass(node) and not isinstance(node, type) and isinstance(getattr(node, "text", None), str)) or (
        type(node).__name__ in ("Strong", "Emphasis", "Link") or isinstance(node, Bar)
    )


def flat(text: str) -> str:
    return re.sub(r"\W+", " ", text).lower().strip()


def unsourced(page: Document, texts: set[str]) -> list[str]:
    """Runs that hold one of the texts and no citation."""
    out = []
    for run in runs((page.subtitle, page.sections)):
        said = flat(plain(run))
        if len(said) >= LEAST and not any(isinstance(n, Cited) for n in walk(run)):
            out += [said for text in texts if text in said]
    return out


@pytest.mark.parametrize("name", NAMES)
def test_every_sentence_about_a_published_fact_has_a_reference(name: str) -> None:
    record = load_record(name)
    page = appraise(record)
    texts = {flat(text) for text in told(record) if len(flat(text)) >= LEAST}
    assert unsourced(page, texts) == []
    # the walk did meet such sentences, each with its citation
    met = [run for run in runs(page.sections) if any(text in flat(plain(run)) for text in texts)]
    assert met or not texts


@pytest.mark.parametrize("name", NAMES)
def test_a_citation_names_a_source_that_the_statement_rests_on(name: str) -> None:
    record = load_record(name)
    page = appraise(record)
    place = {c.id: c.source for c in page.citations}
    index, blocks = record.index(recall=True), record.blocks()
    for statement in record.statements:
        allowed: set[str] = set()
        for ref in statement.refs:
            below = [e.sourced for key, e in index.items() if key == ref or key.startswith(f"{ref}.")]
            block = blocks.get(ref)
            below += [block] if isinstance(block, Sourced) else []
            allowed |= {key for s in below for key, _ in s.citations} | {ref}
            allowed |= {str(getattr(block, "source", "")), str(getattr(block, "id", ""))}
        for run in runs(page.sections):
            if flat(statement.text) == flat(re.sub(r"\[[^\]]*\]", "", plain(run))):
                cited = {place[r] for n in walk(run) if isinstance(n, Cited) for r in n.refs}
                assert cited & allowed, (statement.id, cited, allowed)


def test_every_effect_of_the_landscape_has_a_reference() -> None:
    records = [info.record for info in list_records() if info.record is not None]
    page = landscape("als", records)
    for node in walk(page.sections):
        if isinstance(node, Row) and any(isinstance(n, Bar) for n in walk(node)):
            assert any(isinstance(n, Cited | Computed) for n in walk(node)), plain(node.cells[0])


def test_the_walker_notices_a_sentence_without_a_reference() -> None:
    page = appraise(load_record("centaur"))
    said = "A larger trial of the same drug did not find the effect again"
    bare = (Text(said),)
    section = page.sections[0]
    from dataclasses import replace

    from equipoise.document.document import Paragraph

    spoiled = replace(page, sections=(replace(section, blocks=(*section.blocks, Paragraph(bare))), *page.sections[1:]))
    assert unsourced(spoiled, {flat(said)})
    assert not unsourced(page, {flat(said)})
