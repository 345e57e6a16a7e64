"""Questions of a document as cards: an Anki deck (tab-separated text) and plain data.

The deck is a text file that Anki imports (*File, Import*): header lines name the separator, the deck, the note type and
the columns; every field is quoted. The first column is a lasting id, so that importing a newer deck updates the cards
instead of doubling them. Sources stand on the back, numbered where they are used.
"""

from __future__ import annotations

import csv
import io
import json
import re
from html import escape
from typing import Any

from equipoise.document.document import (
    Block,
    Cards,
    Cited,
    Code,
    Computed,
    Document,
    Emphasis,
    Facts,
    Fold,
    Inlines,
    Link,
    Listing,
    Name,
    Note,
    Paragraph,
    Question,
    Stats,
    Strong,
    Table,
    Text,
    plain,
    walk,
)
from equipoise.render.page.html import about

COLUMNS = ("guid", "Front", "Back", "tags")
"""Columns of the deck, in order."""


def questions(document: Document) -> list[Question]:
    """Every question of a document, once, in reading order."""
    found = {n.id: n for n in walk(document.sections) if isinstance(n, Question)}
    return list(found.values())


def to_anki(document: Document) -> str:
    """The questions as a deck in text that Anki imports; the answers are HTML with every text escaped."""
    name = re.sub(r"[^\w. -]+", " ", document.record).strip() or "trial"
    out = io.StringIO()
    for line in (
        "#separator:tab",
        "#html:true",
        f"#deck:Equipoise::{name}",
        "#notetype:Basic",
        "#columns:" + "\t".join(COLUMNS),
        "#guid column:1",
        "#tags column:4",
    ):
        out.write(line + "\n")
    rows = csv.writer(out, delimiter="\t", quoting=csv.QUOTE_ALL, lineterminator="\n")
    for q in questions(document):
        tags = ["equipoise", name.replace(" ", "_"), *q.roles, *q.specialties, q.stage or "", q.level or ""]
        rows.writerow(
            _one_line(cell)
            for cell in (
                f"equipoise-{document.record}-{q.id}",
                f"<p>{_Card(document).runs(q.question)}</p><p><small>{escape(about(q))}</small></p>",
                _Card(document).back(q),
                " ".join(t for t in tags if t),
            )
        )
    return out.getvalue()


def _one_line(cell: str) -> str:
    return re.sub(r"\s+", " ", cell).strip()


class _Card:
    """Writes one side of a card, and numbers the sources as they come."""

    def __init__(self, document: Document) -> None:
        self._citations = {c.id: c for c in document.citations}
        self._sources = {s.key: s for s in document.sources}
        self._computations = {c.id: c for c in document.computations}
        self._used: dict[str, int] = {}

    def back(self, question: Question) -> str:
        """The answer, then its sources and commands as a numbered list."""
        body = "".join(map(self.block, question.answer))
        if not self._used:
            return body
        items = "".join(f"<li>{text}</li>" for text in self._used)
        return f"{body}<hr><small><ol>{items}</ol></small>"

    def runs(self, content: Inlines) -> str:
        """Inline runs as HTML; a number is followed by the mark of its source."""
        return "".join(map(self._run, content))

    def _run(self, run: Any) -> str:
        if isinstance(run, Text | Name):
            return escape(run.text)
        if isinstance(run, Code):
            return f"<code>{escape(run.text)}</code>"
        if isinstance(run, Strong):
            return f"<b>{self.runs(run.content)}</b>"
        if isinstance(run, Emphasis):
            return f"<i>{self.runs(run.content)}</i>"
        if isinstance(run, Link):
            return self.runs(run.content)
        if isinstance(run, Cited):
            return f"{escape(run.text)}<sup>{self._mark(self._where(run.refs[0]))}</sup>"
        if isinstance(run, Computed):
            return f"{escape(run.text)}<sup>{self._mark(self._how(run.computation))}</sup>"
        raise TypeError(f"{type(run).__name__} is no inline run")

    def _mark(self, text: str) -> int:
        return self._used.setdefault(text, len(self._used) + 1)

    def _where(self, ref: str) -> str:
        citation = self._citations[ref]
        place = f", {citation.place}" if citation.place else ""
        return f"{escape(self._sources[citation.source].title)}{escape(place)} ({escape(citation.confidence)})"

    def _how(self, id: str) -> str:
        computation = self._computations[id]
        return f"Computed: {escape(computation.what)}. <code>{escape(computation.command)}</code>"

    def block(self, block: Block) -> str:
        """A block as HTML that a card can show."""
        if isinstance(block, Paragraph):
            return f"<p>{self.runs(block.content)}</p>"
        if isinstance(block, Listing):
            tag = "ol" if block.ordered else "ul"
            return f"<{tag}>{''.join(f'<li>{self.runs(item)}</li>' for item in block.items)}</{tag}>"
        if isinstance(block, Facts):
            return "".join(f"<p><b>{self.runs(term)}:</b> {self.runs(said)}</p>" for term, said in block.items)
        if isinstance(block, Cards):
            return "".join(
                f"<p><b>{self.runs(card.title)}</b></p>{self.block(Facts(card.facts))}" for card in block.items
            )
        if isinstance(block, Stats):
            return "".join(f"<p>{self.runs(s.label)}: <b>{self.runs(s.value)}</b></p>" for s in block.items)
        if isinstance(block, Table):
            heads = "".join(f"<th>{self.runs(c)}</th>" for c in block.columns)
            rows = "".join(f"<tr>{''.join(f'<td>{self.runs(c)}</td>' for c in row.cells)}</tr>" for row in block.rows)
            return f"<table><caption>{self.runs(block.caption)}</caption><tr>{heads}</tr>{rows}</table>"
        if isinstance(block, Note | Fold):
            return f"<p><b>{self.runs(block.title)}</b></p>{''.join(map(self.block, block.blocks))}"
        return ""


def to_data(document: Document) -> str:
    """The questions as JSON: id, readers, stage, level, question, answer as plain lines, and where numbers are from.

    Each number says whether it is ``cited`` (source, address, place, confidence) or ``computed`` (command).
    """
    citations = {c.id: c for c in document.citations}
    computations = {c.id: c for c in document.computations}
    sources = {s.key: s for s in document.sources}

    def number(run: Cited | Computed) -> dict[str, Any]:
        if isinstance(run, Computed):
            c = computations[run.computation]
            return {"text": run.text, "kind": "computed", "what": c.what, "method": c.method, "command": c.command}
        places = [
            {
                "source": citations[ref].source,
                "title": sources[citations[ref].source].title,
                "address": sources[citations[ref].source].address,
                "place": citations[ref].place,
                "confidence": citations[ref].confidence,
            }
            for ref in run.refs
        ]
        return {"text": run.text, "kind": "cited", "sources": places}

    data = {
        "record": document.record,
        "title": plain(document.title),
        "version": document.version,
        "questions": [
            {
                "id": q.id.removeprefix("q-"),
                "roles": list(q.roles),
                "specialties": list(q.specialties),
                "stage": q.stage,
                "level": q.level,
                "question": plain(q.question),
                "answer": [line for b in q.answer for line in _lines(b)],
                "numbers": [number(n) for n in walk(q.answer) if isinstance(n, Cited | Computed)],
            }
            for q in questions(document)
        ],
    }
    return json.dumps(data, ensure_ascii=False, indent=1) + "\n"


def _lines(block: Block) -> list[str]:
    """A block as lines of plain words."""
    if isinstance(block, Paragraph):
        return [plain(block.content)]
    if isinstance(block, Listing):
        return [plain(item) for item in block.items]
    if isinstance(block, Facts):
        return [f"{plain(term)}: {plain(said)}" for term, said in block.items]
    if isinstance(block, Cards):
        return [line for card in block.items for line in (plain(card.title), *_lines(Facts(card.facts)))]
    if isinstance(block, Stats):
        return [f"{plain(s.label)}: {plain(s.value)}" for s in block.items]
    if isinstance(block, Table):
        rows = (block.columns, *(row.cells for row in block.rows))
        return [plain(block.caption), *(" | ".join(plain(c) for c in cells) for cells in rows)]
    if isinstance(block, Note | Fold):
        return [plain(block.title), *(line for b in block.blocks for line in _lines(b))]
    return []
