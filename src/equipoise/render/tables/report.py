"""Tables and figures of an analysis plan as sections of a document, each number resting on the command."""

from __future__ import annotations

from equipoise.document.document import Block, Computation, Document, Note, Paragraph, Section, Text
from equipoise.plan.results import Results, Table
from equipoise.render.page.ready import Ready
from equipoise.render.tables.content import lines_of, notes_of, titles_of
from equipoise.render.tables.figures import Drawn, drawn


def to_document(results: Results, version: str, figures: tuple[Drawn, ...] | None = None) -> Document:
    """The results as a document: a section an analysis (``table-ID``) and one a figure, with what the data were.

    version : of this package, as a document states it.
    """
    ready = Ready("analysis")
    figures = drawn(results) if figures is None else figures
    sections = []
    for table in results.tables:
        sections.append(_section(ready, table))
        for figure in figures:
            if figure.table == table.id and figure.plot is not None:
                plot = figure.plot
                made = ready.figure(figure.name, figure.caption, plot.description, plot.shapes(), plot.table)
                sections.append(Section(f"{figure.name}-part", ready.words(figure.caption), (made,)))
    files = ", ".join(f"{name} (SHA-256 {digest})" for name, digest in results.sources.items())
    computation = Computation(
        "analysis",
        f"analysis plan {results.study}",
        f"carried out on {files or 'the data'}",
        results.command or "equipoise analyse plan.yaml --data FOLDER",
    )
    return Document(
        title=ready.words(results.study or "Analysis"),
        subtitle=ready.words(results.title or "Tables and figures of an analysis plan"),
        record=results.study or "an analysis",
        version=version,
        audience=None,
        sections=tuple(sections),
        sources=(),
        citations=(),
        computations=(computation,),
        names=tuple(dict.fromkeys(ready.names)),
        kind="brief",
    )


def _section(ready: Ready, table: Table) -> Section:
    title, people = titles_of(table)
    heads = ["Statistic", *(c.label + (f" (N={c.n})" if c.n is not None else "") for c in table.columns)]
    lines: list[list[str]] = []
    shown: str | None = None
    for block, row in lines_of(table):
        if block and block != shown:
            lines.append([block])
        shown = block
        cells = [row.cells[c.name].text if c.name in row.cells else "" for c in table.columns]
        lines.append(["\u2003" * row.indent + row.label, *cells])
    numeric = (False, *(True for _ in table.columns))
    made = ready.grid(f"table-{table.id}-grid", f"{title}. {people}", heads, lines, numeric)
    blocks: list[Block] = [made]
    if notes := notes_of(table):
        blocks.append(Note("info", (Text("Notes"),), tuple(Paragraph(ready.said(note)) for note in notes)))
    return Section(f"table-{table.id}", ready.words(title), tuple(blocks))
