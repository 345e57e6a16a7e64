"""The document as one self-contained HTML file.

Nothing is loaded from anywhere: the style sheet, the script and the charts are inside, and the page's own content
security policy forbids the rest, down to any script but ours. Everything that comes from a document is escaped by
Jinja; addresses other than http(s) and links within the page are set as plain text.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import fields, is_dataclass, replace
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from equipoise.document.document import (
    Bar,
    Citation,
    Cited,
    Code,
    Computed,
    Curves,
    Document,
    Drawing,
    Emphasis,
    Figure,
    Inline,
    Inlines,
    Name,
    Question,
    Row,
    Section,
    Source,
    Strong,
    Table,
    Text,
    linked_once,
    plain,
    quiet,
    walk,
)
from equipoise.document.readers import LEVELS, READERS, SPECIALTIES, STAGES
from equipoise.document.text import short
from equipoise.render.page.bars import bar_svg
from equipoise.render.page.references import sources_of, without_keys
from equipoise.render.theme import css_variables

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


def to_html(document: Document) -> str:
    """The page as HTML, one file that needs nothing else; a deck of slides as one that can be presented."""
    deck = document.kind == "slides"
    scripts, styles = (("deck.js",), ("page.css", "deck.css")) if deck else (("page.js", "questions.js"), ("page.css",))
    script = _tidy("".join(map(_asset, scripts)))  # as it will stand in the page, for its digest
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    rests = {section.id: sources_of(document, section) for section in document.sections} if deck else {}
    return _rendered(
        document,
        "deck.html.j2" if deck else "page.html.j2",
        hosted=False,
        # no list of sources follows a deck, so that its numbers lead nowhere; its notes name what they rest on
        doc=_unlinked(document) if deck else linked_once(document),
        policy=policy,
        css=_markup((_colours() if _holds_drawings(document) else "") + "".join(map(_asset, styles))),
        script=_markup(script),
        rests=rests,
    )


def to_body(document: Document) -> str:
    """The page without its frame, for a page that holds it: masthead, contents, sections, sources, computed numbers.

    It wants the style sheet and the scripts of :func:`page_assets`, and has no policy of its own.
    """
    return _rendered(document, "body.html.j2", hosted=True, doc=linked_once(document))


def to_sections(document: Document) -> str:
    """Its sections alone, their numbers without links, for a page that shows a part of it."""
    return _rendered(document, "sections.html.j2", doc=_unlinked(document))


def page_assets() -> dict[str, str]:
    """The style sheet and the scripts of a page, by name: ``page.css``, ``page.js``."""
    return {"page.css": _colours() + _asset("page.css"), "page.js": _tidy(_asset("page.js") + _asset("questions.js"))}


def _rendered(document: Document, template: str, **context: Any) -> str:
    environment = _environment().overlay()
    environment.filters = {**environment.filters, **_filters(document)}
    return _tidy(environment.get_template(template).render(sources=_by_source(document), **context))


def _unlinked(document: Document) -> Document:
    """The document with every number quiet: traced, and no link."""

    def still(node: Any) -> Any:
        if isinstance(node, tuple):
            return tuple(map(still, node))
        if isinstance(node, Cited | Computed):
            return replace(node, quiet=True)
        if is_dataclass(node) and not isinstance(node, type):
            return replace(node, **{f.name: still(getattr(node, f.name)) for f in fields(node)})
        return node

    return replace(document, sections=still(without_keys(document, document.sections)))


def safe_url(target: str | None) -> str | None:
    """The address if it is http(s) or leads within the page, else None."""
    if not target:
        return None
    if target.startswith("#"):
        return target
    try:
        parts = urlsplit(target.strip())
    except ValueError:
        return None
    return target.strip() if parts.scheme in ("http", "https") and parts.netloc else None


def _colours() -> str:
    """The colours that a ready drawing may have, in light and dark; the style sheet has those of charts."""
    dark = f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {css_variables('dark')} }} }}"
    return f":root {{ {css_variables('light')} }}\n{dark}\n"


def _holds_drawings(document: Document) -> bool:
    return any(isinstance(node, Drawing) for node in walk(document.sections))


def _has(chart: object, kind: str) -> bool:
    """Whether a chart has curves of a kind: published points or simulated bands."""
    return isinstance(chart, Curves) and any(s.kind == kind for p in chart.panels for s in p.series)


def _filters(document: Document) -> dict[str, Any]:
    from markupsafe import Markup, escape

    citations = {c.id: c for c in document.citations}
    computations = {c.id: c for c in document.computations}

    def whence(run: Cited | Computed) -> str:
        if isinstance(run, Computed):
            return f"Computed: {computations[run.computation].what}"
        return "; ".join(_where(citations[ref]) for ref in run.refs)

    def runs(content: Inlines) -> Markup:
        return Markup("".join(map(run, content)))

    def run(r: Inline) -> str:
        if isinstance(r, Text | Name):
            return escape(r.text)
        if isinstance(r, Cited | Computed) and r.quiet:
            to = r.refs[0] if isinstance(r, Cited) else r.computation
            return Markup('<span data-to="{}" title="{}">{}</span>').format(to, whence(r), r.text)
        if isinstance(r, Cited):
            return Markup('<a class="n" href="#{}" title="{}">{}</a>').format(r.refs[0], whence(r), r.text)
        if isinstance(r, Computed):
            return Markup('<a class="k" href="#{}" title="{}">{}</a>').format(r.computation, whence(r), r.text)
        if isinstance(r, Code):
            lines = Markup(' class="lines"') if "\n" in r.text else ""  # a file is kept line by line
            return Markup("<code{}>{}</code>").format(lines, r.text)
        if isinstance(r, Strong):
            return Markup("<strong>{}</strong>").format(runs(r.content))
        if isinstance(r, Emphasis):
            return Markup("<em>{}</em>").format(runs(r.content))
        if isinstance(r, Bar):
            return _markup(bar_svg(r))
        url = safe_url(r.target)
        if url is None:
            return runs(r.content)
        away = "" if url.startswith("#") else Markup(' rel="noopener noreferrer"')
        return Markup('<a href="{}"{}>{}</a>').format(url, away, runs(r.content))

    def drawn(figure: Figure) -> list[tuple[str, Markup]]:
        from equipoise.render.page.charts import svgs

        panels = svgs(figure.chart, figure.id, plain(figure.title), plain(figure.description))
        return [(title, _markup(svg)) for title, svg in panels]

    ranks = _ranks(document)
    return {
        "runs": runs,
        "kind": lambda node: type(node).__name__,
        "plain": plain,
        "start": lambda text: text[:1].upper() + text[1:].rstrip("."),
        "whence": whence,
        "drawn": drawn,
        "facets": facets,
        "about": about,
        "rank": lambda question: ranks[question.id],
        "groups": _groups,
        "stacks": stacks,
        "short": short,
        "quiet": quiet,
        "questions": lambda section: [n for n in walk(section) if isinstance(n, Question)],
        "readers": readers,
        "has_points": lambda c: _has(c, "published"),
        "has_bands": lambda c: _has(c, "simulated"),
        "safe_url": safe_url,
    }


def facets(section: Section) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """What a reader can choose among in a section of questions: (key, label, options); empty without a choice.

    Options are (key, name), in the order of :mod:`equipoise.document.readers`, and only those that occur.
    """
    parts = [s for s in section.sections if s.reader in READERS]
    if not parts:
        return []
    questions = [n for n in walk(section) if isinstance(n, Question)]
    found: dict[str, set[str | None]] = {
        "role": {s.reader for s in parts},
        "specialty": {s for q in questions for s in q.specialties},
        "stage": {q.stage for q in questions},
        "level": {q.level for q in questions},
    }
    names: dict[str, tuple[str, dict[str, str]]] = {
        "role": ("Reader", READERS),
        "specialty": ("Specialty", SPECIALTIES),
        "stage": ("Stage", STAGES),
        "level": ("Level", LEVELS),
    }
    out = []
    for key, (label, known) in names.items():
        options = [(k, name) for k, name in known.items() if k in found[key]]
        if len(options) > 1:
            out.append((key, label, options))
    return out


def stacks(table: Table) -> bool:
    """Whether the rows become blocks on a narrow screen: those of tables with words to read beside their first column.

    Tables of numbers alone are moved sideways instead, which keeps a column comparable.
    """
    return len(table.columns) > 2 and not all(table.numeric[1:] or (False,))


def readers(document: Document) -> list[tuple[str, str, str]]:
    """(id, reader, title) of the parts that are written for one reader."""
    found = [s for s in walk(document.sections) if isinstance(s, Section) and s.reader in READERS]
    return [(s.id, str(s.reader), plain(s.title)) for s in found]


def about(question: Question) -> str:
    """``Basic, first look. For: medical student, resident``: what stands beside a question."""
    parts = [LEVELS.get(question.level or "", ""), STAGES.get(question.stage or "", "").lower()]
    out = ", ".join(p for p in parts if p)
    who = [READERS[r] if r == "phd" else READERS[r].lower() for r in question.roles if r in READERS]
    return f"{out}. For: {', '.join(who)}" if len(who) > 1 else out


def _ranks(document: Document) -> dict[str, int]:
    """By which the page puts questions back in order: their usual places, or if a part has another order, that."""
    parts = [
        [n for n in s.blocks if isinstance(n, Question)] for s in walk(document.sections) if isinstance(s, Section)
    ]
    flat = [q for part in parts for q in part]
    if all(part == sorted(part, key=place) for part in parts):
        return {q.id: place(q) for q in flat}
    return {q.id: i for i, q in enumerate(flat)}


def place(question: Question) -> int:
    """The usual place of a question among others: by stage, by level, as in the bank."""
    stages, levels = list(STAGES), list(LEVELS)
    stage = stages.index(question.stage) if question.stage in STAGES else 0
    level = levels.index(question.level) if question.level in LEVELS else 0
    return 10_000 * stage + 1_000 * level + question.position


def _where(citation: Citation) -> str:
    place = f" {citation.place}" if citation.place else ""
    note = f" – {citation.note}" if citation.note else ""
    return f"{citation.source}{place} ({citation.confidence}){note}"


def _by_source(document: Document) -> list[tuple[Source, list[Citation]]]:
    return [(s, [c for c in document.citations if c.source == s.key]) for s in document.sources]


def _groups(table: Table) -> list[list[Row]]:
    """Rows split before each heading, so that every group has a body of its own."""
    out: list[list[Row]] = [[]]
    for row in table.rows:
        if row.heading and out[-1]:
            out.append([])
        out[-1].append(row)
    return out


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    return Environment(
        loader=FunctionLoader(_asset), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


@cache
def _asset(name: str) -> str:
    return files("equipoise.render.page").joinpath("templates", name).read_text(encoding="utf-8")


def _markup(text: str) -> Markup:
    from markupsafe import Markup

    return Markup(text)


def _tidy(html: str) -> str:
    return re.sub(r"\n\s*\n+", "\n", html).strip() + "\n"
