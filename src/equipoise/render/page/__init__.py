"""Documents as HTML, Markdown, JSON and cards."""

from __future__ import annotations

from equipoise.document.document import Document
from equipoise.errors import OutputError
from equipoise.render.page.cards import to_anki, to_data
from equipoise.render.page.html import to_html
from equipoise.render.page.json import from_json, to_json
from equipoise.render.page.markdown import to_markdown

__all__ = ["FORMATS", "from_json", "render", "to_anki", "to_data", "to_html", "to_json", "to_markdown"]

FORMATS = {"html": to_html, "md": to_markdown, "json": to_json}
"""What a document can be written as, by the name of the format."""


def render(document: Document, format: str = "html") -> str:
    """The document in one of :data:`FORMATS`; raises :class:`OutputError` for any other."""
    if format not in FORMATS:
        raise OutputError(f"there is no format {format!r}", hint="formats are: " + ", ".join(FORMATS))
    return FORMATS[format](document)
