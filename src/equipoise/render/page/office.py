"""What the writers of Word and PowerPoint files share: runs of a line as plain pieces."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from equipoise.document.document import Bar, Cited, Code, Computed, Emphasis, Inlines, Link, Strong


@dataclass(frozen=True, slots=True)
class Piece:
    """Letters of one look; ``run`` is the figure they are, if they are one that is traced."""

    text: str
    bold: bool = False
    italic: bool = False
    code: bool = False
    run: Cited | Computed | None = None


def pieces(content: Inlines, *, bold: bool = False, italic: bool = False) -> Iterator[Piece]:
    """Inline runs as pieces, in order; links become their words, bars are left out."""
    for run in content:
        if isinstance(run, Strong):
            yield from pieces(run.content, bold=True, italic=italic)
        elif isinstance(run, Emphasis):
            yield from pieces(run.content, bold=bold, italic=True)
        elif isinstance(run, Link):
            yield from pieces(run.content, bold=bold, italic=italic)
        elif isinstance(run, Cited | Computed):
            yield Piece(run.text, bold, italic, run=run)
        elif isinstance(run, Code):
            yield Piece(run.text, bold, italic, code=True)
        elif not isinstance(run, Bar):
            yield Piece(run.text, bold, italic)
