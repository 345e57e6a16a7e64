"""The report of a design study as a Word file."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from equipoise.design.report import parts_of
from equipoise.design.result import DesignResult
from equipoise.errors import needed


def report_docx(made: DesignResult) -> bytes:
    """The report as a Word file: headings, tables that repeat their heads, drawings with their words.

    Raises
    ------
    OutputError : the package python-docx is not installed.
    """
    docx, shared, section = (needed("office", "a Word file", m) for m in ("docx", "docx.shared", "docx.enum.section"))
    paper = docx.Document()
    paper.core_properties.title = f"{made.study.name}: design study"
    paper.core_properties.author = f"equipoise {made.version}"
    page = paper.sections[0]
    page.orientation = section.WD_ORIENT.LANDSCAPE
    page.page_width, page.page_height = shared.Mm(297), shared.Mm(210)
    page.left_margin = page.right_margin = shared.Mm(18)
    paper.add_heading(made.study.name, level=0)
    for part in parts_of(made):
        if not (part.said or part.rows or part.plots):
            continue
        paper.add_heading(part.title, level=1)
        for line in part.said:
            paper.add_paragraph(line)
        if part.rows:
            _table(paper, part.columns, part.rows, shared)
        for _, plot in part.plots:
            paper.add_picture(io.BytesIO(plot.png()), width=shared.Mm(165))
            shape = paper.inline_shapes[-1]
            shape._inline.docPr.set("descr", plot.description)
            paper.add_paragraph(plot.description, style="Caption")
    out = io.BytesIO()
    paper.save(out)
    return out.getvalue()


def _table(paper: Any, columns: Sequence[str], rows: Sequence[Sequence[str]], shared: Any) -> None:
    table = paper.add_table(rows=1, cols=len(columns), style="Light Grid Accent 1")
    for cell, text in zip(table.rows[0].cells, columns, strict=True):
        _cell(cell, text, shared, bold=True)
    head = table.rows[0]._tr.get_or_add_trPr()
    head.append(head.makeelement("{http://schemas.openxmlformats.org/wordprocessingml/2006/main}tblHeader", {}))
    for row in rows:
        for cell, text in zip(table.add_row().cells, row, strict=True):
            _cell(cell, text, shared)


def _cell(cell: Any, text: str, shared: Any, *, bold: bool = False) -> None:
    run = cell.paragraphs[0].add_run(text)
    run.bold = bold
    run.font.size = shared.Pt(8)
