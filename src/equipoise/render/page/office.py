"""What the writers of Word and PowerPoint files share: the packages they need, and runs of a line as plain pieces."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from equipoise.document.document import Bar, Cited, Code, Computed, Emphasis, Inlines, Link, Strong
from equipoise.errors import OutputError

INSTALL = "pip install python-pptx python-docx"
"""The command that brings the packages; they are the extra ``office`` of this package."""


def needed(module: str, package: str, what: str, install: str = INSTALL) -> Any:
    """The module, or an :class:`OutputError` that names the command to install it."""
    try:
        return import_module(module)
    except ImportError:
        raise OutputError(f"{what} needs the package {package}, which is not installed", hint=install) from None


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
