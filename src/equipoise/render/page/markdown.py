"""The document as Markdown: numbers are reference links, defined at the end by source address or by command."""

from __future__ import annotations

import base64
import re

from equipoise.document.document import (
    Block,
    Cards,
    Citation,
    Cited,
    Code,
    Computed,
    Document,
    Drawing,
    Emphasis,
    Facts,
    Figure,
    Filter,
    Fold,
    Inlines,
    Link,
    Listing,
    Name,
    Note,
    Paragraph,
    Question,
    Section,
    Source,
    Stats,
    Strong,
    Table,
    Text,
    linked_once,
    plain,
    walk,
)
from equipoise.document.readers import READERS
from equipoise.render.page.charts import svgs
from equipoise.render.page.html import about, safe_url

_SPECIAL = re.compile(r"([\\`*_\[\]<>|~#&$])")


def to_markdown(document: Document, *, answers_last: bool = False) -> str:
    """The page as Markdown (GitHub's flavour: tables). Charts become the tables of their numbers, drawings
    that are ready pictures beside theirs.

    ``answers_last`` writes the questions alone, numbered, and their answers after them, to test oneself with.
    """
    document = linked_once(document)
    out = [f"# {_runs(document.title)}", _runs(document.subtitle)]
    if answers_last:
        out.extend(_quiz(document))
    else:
        for section in document.sections:
            out.extend(_section(section, 2))
    out.append("## Sources")
    by_source: dict[str, list[Citation]] = {}
    for citation in document.citations:
        by_source.setdefault(citation.source, []).append(citation)
    out.append("\n".join(_source(s, by_source.get(s.key, [])) for s in document.sources) or "None.")
    out.append("## Computed numbers")
    commands = [f"- {_escape(c.what)}. {_escape(c.method)}. {_code(c.command)}" for c in document.computations]
    out.append("\n".join(commands) or "None.")
    of = "the records of the field" if document.kind == "landscape" else "the record"
    out.append(f"Made by Equipoise {_escape(document.version)} from {of} {_code(document.record)}.")
    addresses = {s.key: safe_url(s.address) for s in document.sources}
    links = []
    for c in document.citations:
        place = f" {c.place}" if c.place else ""
        links.append(_definition(c.id, addresses.get(c.source) or "#sources", f"{c.source}{place} ({c.confidence})"))
    links.extend(_definition(c.id, "#computed-numbers", c.command) for c in document.computations)
    out.append("\n".join(links))
    return "\n\n".join(part for part in out if part) + "\n"


def _quiz(document: Document) -> list[str]:
    asked = [n for n in walk(document.sections) if isinstance(n, Question)]
    lines = [f"{i}. {_runs(q.question)} *({_escape(about(q))})*" for i, q in enumerate(asked, 1)]
    out = ["## Questions", "\n".join(lines) or "None.", "## Answers"]
    for i, q in enumerate(asked, 1):
        out.append(f"### {i}. {_runs(q.question)}")
        for block in q.answer:
            out.extend(_block(block))
    return out


def _section(section: Section, level: int) -> list[str]:
    title = _runs(section.title)
    if section.reader and section.reader in READERS:
        title = f"For the {READERS[section.reader] if section.reader == 'phd' else READERS[section.reader].lower()}"
    out = [f"{'#' * level} {title}"]
    for block in section.blocks:
        out.extend(_block(block))
    for child in section.sections:
        out.extend(_section(child, level + 1))
    return out


def _block(block: Block) -> list[str]:
    if isinstance(block, Paragraph):
        return [_runs(block.content)]
    if isinstance(block, Listing):
        return [
            "\n".join(f"{f'{i}.' if block.ordered else '-'} {_runs(item)}" for i, item in enumerate(block.items, 1))
        ]
    if isinstance(block, Facts):
        return ["\n".join(f"- **{_runs(term)}:** {_runs(said)}" for term, said in block.items)]
    if isinstance(block, Stats):
        lines = []
        for s in block.items:
            remark = f" ({_runs(s.remark)})" if s.remark else ""
            lines.append(f"- {_runs(s.label)}: **{_runs(s.value)}**{remark}")
        return ["\n".join(lines)]
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Figure):
        return [f"**{_runs(block.title)}**", *_picture(block), _runs(block.caption), *_table(block.table)]
    if isinstance(block, Note):
        inner = [f"**{_runs(block.title)}**"]
        for child in block.blocks:
            inner.extend(_block(child))
        return ["\n>\n".join("\n".join(f"> {line}" for line in part.split("\n")) for part in inner)]
    if isinstance(block, Question):
        kind = f" *({_escape(about(block))})*" if block.roles else ""
        out = [f"**Question.** {_runs(block.question)}{kind}", "*Answer.*"]
        for child in block.answer:
            out.extend(_block(child))
        return out
    if isinstance(block, Cards):
        out = []
        for card in block.items:
            verdict = f" – {_runs(card.verdict)}" if card.verdict else ""
            out.append(f"**{_runs(card.title)}**{verdict}")
            out.append("\n".join(f"- **{_runs(term)}:** {_runs(said)}" for term, said in card.facts))
        return out
    if isinstance(block, Filter):
        return []  # a file cannot be filtered; its rows are all there
    if isinstance(block, Fold):
        out = [f"**{_runs(block.title)}**"]
        for child in block.blocks:
            out.extend(_block(child))
        return out
    raise TypeError(f"{type(block).__name__} is no block")


def _picture(figure: Figure) -> list[str]:
    """A drawing that is ready as a picture inside the file; charts are the tables of their numbers."""
    if not isinstance(figure.chart, Drawing):
        return []
    ((_, svg),) = svgs(figure.chart, figure.id, plain(figure.title), plain(figure.description), "light")
    held = base64.b64encode(svg.encode()).decode()
    return [f"![{_escape(plain(figure.description))}](data:image/svg+xml;base64,{held})"]


def _table(table: Table) -> list[str]:
    rule = ["---:" if table.numeric and table.numeric[i] else "---" for i in range(len(table.columns))]
    lines = [_line([_runs(c) for c in table.columns]), _line(rule)]
    for row in table.rows:
        cells = [_runs(c) for c in row.cells]
        if row.heading:
            cells = [f"**{cells[0]}**", *("" for _ in table.columns[1:])]
        lines.append(_line(cells))
    return [_runs(table.caption), "\n".join(lines)]


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(c.replace("\n", " ") for c in cells) + " |"


def _source(source: Source, citations: list[Citation]) -> str:
    url = safe_url(source.address)
    title = f"[{_escape(source.title)}](<{url.replace('>', '%3E')}>)" if url else _escape(source.title)
    tail = "".join(f" {_escape(part)}." for part in (source.what, source.note) if part)
    places = "; ".join(f"{_escape(c.place or 'as a whole')} ({c.confidence})" for c in citations)
    return f"- **{_escape(source.key)}** {title}.{tail} Cited: {places}."


def _runs(content: Inlines) -> str:
    out = []
    for run in content:
        if isinstance(run, Text | Name) or (isinstance(run, Cited | Computed) and run.quiet):
            out.append(_escape(run.text))
        elif isinstance(run, Cited):
            out.append(f"[{_escape(run.text)}][{run.refs[0]}]")
        elif isinstance(run, Computed):
            out.append(f"[{_escape(run.text)}][{run.computation}]")
        elif isinstance(run, Code):
            out.append(_code(run.text))
        elif isinstance(run, Strong):
            out.append(f"**{_runs(run.content)}**")
        elif isinstance(run, Emphasis):
            out.append(f"*{_runs(run.content)}*")
        elif isinstance(run, Link):
            url = safe_url(run.target)
            words = _runs(run.content)
            out.append(f"[{words}](<{url.replace('>', '%3E')}>)" if url else words)
    return "".join(out)


def _code(text: str) -> str:
    text = text.replace("\n", " ")
    fence = "`" * (max((len(m) for m in re.findall(r"`+", text)), default=0) + 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}".replace("|", "\\|")


def _escape(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", re.sub(r"\s*\n\s*", " ", text))


def _definition(label: str, target: str, title: str) -> str:
    safe = re.sub(r"\s+", " ", title).replace("\\", "\\\\").replace('"', '\\"').replace("<", "&lt;")
    return f'[{label}]: <{target.replace(">", "%3E").replace("<", "%3C")}> "{safe}"'
