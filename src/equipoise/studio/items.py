"""What of a page can be put into the report: its figures and tables."""

from __future__ import annotations

from equipoise.document.document import Document, Figure, Table, plain, walk


def items_of(made: Document) -> list[tuple[str, str, str]]:
    """(id, kind, title) of the figures and tables of a page."""
    out = []
    inside = set()
    for node in walk(made.sections):
        if isinstance(node, Figure):
            out.append((node.id, "figure", plain(node.title)))
            inside.add(node.table.id)
        elif isinstance(node, Table) and node.id not in inside:
            out.append((node.id, "table", plain(node.caption)))
    return out
