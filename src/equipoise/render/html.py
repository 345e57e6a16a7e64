"""The document as one self-contained HTML file.

Nothing is loaded from anywhere: the style sheet, the script and the charts are inside, and the page's own content
security policy forbids the rest, down to any script but ours. Everything that comes from a document is escaped by
Jinja; addresses other than http(s) and links within the page are set as plain text.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from equipoise.appraise.document import (
    Bar,
    Citation,
    Cited,
    Code,
    Computed,
    Curves,
    Document,
    Emphasis,
    Figure,
    Inline,
    Inlines,
    Name,
    Row,
    Section,
    Source,
    Strong,
    Table,
    Text,
    plain,
)  # fmt: skip
from equipoise.render.bars import bar_svg

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


def to_html(document: Document) -> str:
    """The page as HTML, one file that needs nothing else."""
    script = _asset("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    environment = _environment().overlay()
    environment.filters = {**environment.filters, **_filters(document)}
    html = environment.get_template("page.html.j2").render(
        doc=document,
        policy=policy,
        css=_markup(_asset("page.css")),
        script=_markup(script),
        sources=_by_source(document),
    )
    return _tidy(html)


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
        if isinstance(r, Cited):
            return Markup('<a class="n" href="#{}" title="{}">{}</a>').format(r.refs[0], whence(r), r.text)
        if isinstance(r, Computed):
            return Markup('<a class="k" href="#{}" title="{}">{}</a>').format(r.computation, whence(r), r.text)
        if isinstance(r, Code):
            return Markup("<code>{}</code>").format(r.text)
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
        from equipoise.render.charts import svgs

        panels = svgs(figure.chart, figure.id, plain(figure.title), plain(figure.description))
        return [(title, _markup(svg)) for title, svg in panels]

    def readers(section: Section) -> list[tuple[str, str]]:
        return [(s.reader, READERS.get(s.reader, s.reader)) for s in section.sections if s.reader]

    return {
        "runs": runs,
        "kind": lambda node: type(node).__name__,
        "plain": plain,
        "start": lambda text: text[:1].upper() + text[1:].rstrip("."),
        "whence": whence,
        "drawn": drawn,
        "readers": readers,
        "taught": lambda s: len(readers(s)) > 1 and any(c.reader in (*READERS, *TAUGHT) for c in s.sections),
        "groups": _groups,
        "has_bands": lambda c: isinstance(c, Curves) and any(s.kind == "simulated" for p in c.panels for s in p.series),
        "safe_url": safe_url,
    }


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
    return files("equipoise.render").joinpath("templates", name).read_text(encoding="utf-8")


def _markup(text: str) -> Markup:
    from markupsafe import Markup

    return Markup(text)


def _tidy(html: str) -> str:
    return re.sub(r"\n\s*\n+", "\n", html).strip() + "\n"
