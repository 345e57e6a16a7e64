"""The brief: one printed side, the same as the first screen of the page, as a document of its own."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

from equipoise.appraise.build import draft, finish
from equipoise.appraise.certainty import Judgements
from equipoise.appraise.sections import brief
from equipoise.appraise.sections.certainty import FILE
from equipoise.document.document import Cited, Computed, Document, Link, walk
from equipoise.records import load_record
from equipoise.records.schema import Record
from equipoise.replica.replica import Replica


def in_brief(record: Record | str, replica: Replica | None = None, *, judgements: Judgements | None = None) -> Document:
    """The brief of a published trial, a record or its name: verdict, two numbers, harm, certainty, caveats, citation.

    It tells what was published, and with a ``replica`` in one sentence what the rebuilt trial says; it runs no
    simulation. ``judgements`` replaces those that come with the package.
    Raises :class:`RecordError` for a name that is not known.

    >>> [section.id for section in in_brief("valor").sections]
    ['brief']
    """
    ctx = draft(load_record(record) if isinstance(record, str) else record, replica, judgements=judgements)
    section = standing_alone(brief.build(ctx, alone=True))
    return register_cut(finish(ctx, (section,), kind="brief"))


def register_cut(document: Document) -> Document:
    """The register without what only the page cites: ratings and statements are read whole before they are told.

    The file of judgements stays, on which the certainty rests.
    """
    nodes = list(walk((document.title, document.subtitle, document.sections)))
    refs = {ref for node in nodes if isinstance(node, Cited) for ref in node.refs}
    used = {node.computation for node in nodes if isinstance(node, Computed)}
    citations = tuple(c for c in document.citations if c.id in refs or c.source == FILE)
    keys = {c.source for c in citations}
    return replace(
        document,
        citations=citations,
        sources=tuple(s for s in document.sources if s.key in keys),
        computations=tuple(c for c in document.computations if c.id in used),
    )


def standing_alone(node: Any) -> Any:
    """The blocks without the links that lead to other sections of the page; their words stay."""
    if isinstance(node, tuple):
        out: list[Any] = []
        for child in node:
            inner = isinstance(child, Link) and child.target.startswith("#")
            out.extend(child.content if inner else (standing_alone(child),))
        return tuple(out)
    if is_dataclass(node) and not isinstance(node, type):
        return replace(node, **{f.name: standing_alone(getattr(node, f.name)) for f in fields(node)})
    return node
