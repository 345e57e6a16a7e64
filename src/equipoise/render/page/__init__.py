"""Documents as HTML, Markdown, JSON and cards; as Word, PowerPoint and PDF where what they need is installed."""

from __future__ import annotations

from collections.abc import Callable

from equipoise.document.document import Document
from equipoise.errors import OutputError
from equipoise.render.page.cards import to_anki, to_data
from equipoise.render.page.html import to_html
from equipoise.render.page.json import from_json, to_json
from equipoise.render.page.markdown import to_markdown
from equipoise.render.page.pdf import to_pdf
from equipoise.render.page.powerpoint import to_pptx
from equipoise.render.page.word import to_docx

__all__ = [
    "BINARY",
    "FORMATS",
    "from_json",
    "render",
    "to_anki",
    "to_bytes",
    "to_data",
    "to_docx",
    "to_html",
    "to_json",
    "to_markdown",
    "to_pdf",
    "to_pptx",
]

FORMATS = {"html": to_html, "md": to_markdown, "json": to_json}
"""What a document can be written as, by the name of the format."""
BINARY: dict[str, Callable[[Document], bytes]] = {
    "docx": to_docx,
    "pptx": to_pptx,
    "pdf": lambda document: to_pdf(to_html(document)),
}
"""Formats that are no text: Word and PowerPoint (the extra ``office``), and PDF (an installed Chromium or Chrome)."""


def render(document: Document, format: str = "html") -> str:
    """The document in one of :data:`FORMATS`; raises :class:`OutputError` for any other."""
    if format not in FORMATS:
        raise OutputError(f"there is no format {format!r}", hint="formats are: " + ", ".join(FORMATS))
    return FORMATS[format](document)


def to_bytes(document: Document, format: str = "html") -> bytes:
    """The document in one of :data:`FORMATS`, as UTF-8, or of :data:`BINARY`; raises :class:`OutputError` for any
    other, and where what a format needs is not installed."""
    if format in BINARY:
        return BINARY[format](document)
    return render(document, format).encode("utf-8", "backslashreplace")
