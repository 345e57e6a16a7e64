"""Tables of an analysis plan as a Word file, one a page: headings that repeat, numbers on their decimal points."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from equipoise.errors import needed
from equipoise.plan.results import Results, Table
from equipoise.render.tables.content import lines_of, notes_of, pages_of, shares_of_width, titles_of

_ACROSS = 9.5
"""Inches between the margins of a letter page on its side."""


def to_word(results: Results) -> bytes:
    """Every table on pages of its own, as a .docx file.

    Raises :class:`OutputError` where python-docx is not installed; the message names the command that installs it.
    """
    needed("office", "a Word file", "docx")
    import docx
    from docx.enum.section import WD_ORIENT
    from docx.shared import Inches, Pt

    paper = docx.Document()
    section = paper.sections[0]
    section.orientation = WD_ORIENT.LANDSCAPE
    section.page_width, section.page_height = Inches(11), Inches(8.5)
    for side in ("left_margin", "right_margin", "top_margin", "bottom_margin"):
        setattr(section, side, Inches(0.75))
    paper.core_properties.title = results.study
    normal = paper.styles["Normal"]
    normal.font.name, normal.font.size = "Times New Roman", Pt(9)
    normal.paragraph_format.space_after = Pt(0)
    pages = [page for table in results.tables for page in pages_of(table)]
    for number, (group, table) in enumerate(pages):
        _write(paper, table, group, broken=number > 0)
    out = BytesIO()
    paper.save(out)
    return out.getvalue()


def _write(paper: Any, table: Table, group: str, *, broken: bool) -> None:
    from docx.shared import Inches, Pt

    title, people = titles_of(table)
    heading = paper.add_heading(title, level=2)
    heading.paragraph_format.page_break_before = broken
    for text in (people, *((group,) if group else ())):
        paper.add_paragraph(text).paragraph_format.keep_with_next = True
    made = paper.add_table(rows=0, cols=1 + len(table.columns))
    made.autofit = False
    widths = [Inches(_ACROSS * share) for share in shares_of_width(table)]
    head = _row(made, widths, repeat=True)
    for cell, column in zip(head[1:], table.columns, strict=True):
        _put(cell, column.label + (f"\n(N={column.n})" if column.n is not None else ""), centred=True, bold=True)
    _ruled(head, "top", "bottom")
    shown: str | None = None
    last = head
    for block, row in lines_of(table):
        if block and block != shown:
            cells = _row(made, widths)
            _put(cells[0].merge(cells[-1]), block, bold=True)
        shown = block
        last = _row(made, widths)
        _put(last[0], row.label, indent=1 + row.indent)
        for cell, column, width in zip(last[1:], table.columns, widths[1:], strict=True):
            text = row.cells[column.name].text if column.name in row.cells else ""
            _put(cell, text, decimal=None if column.text else int(width * 0.45))
    _ruled(last, "bottom")
    for note in notes_of(table):
        told = paper.add_paragraph()
        told.add_run(note).font.size = Pt(8)


def _row(made: Any, widths: list[Any], *, repeat: bool = False) -> list[Any]:
    """A further row, which no page breaks; with ``repeat`` it stands on every page of the table."""
    from docx.oxml import OxmlElement

    row = made.add_row()
    about = row._tr.get_or_add_trPr()
    about.append(OxmlElement("w:cantSplit"))
    if repeat:
        about.append(OxmlElement("w:tblHeader"))
    for cell, width in zip(row.cells, widths, strict=True):
        cell.width = width
    return list(row.cells)


def _put(
    cell: Any, text: str, *, bold: bool = False, centred: bool = False, indent: int = 0, decimal: int | None = None
) -> None:
    from docx.enum.text import WD_ALIGN_PARAGRAPH, WD_TAB_ALIGNMENT
    from docx.shared import Emu, Inches

    paragraph = cell.paragraphs[0]
    paragraph.add_run(text).bold = bold
    if centred:
        paragraph.alignment = WD_ALIGN_PARAGRAPH.CENTER
    if indent:
        paragraph.paragraph_format.left_indent = Inches(0.12 * indent)
    if decimal is not None:
        paragraph.paragraph_format.tab_stops.add_tab_stop(Emu(decimal), WD_TAB_ALIGNMENT.DECIMAL)


def _ruled(cells: list[Any], *sides: str) -> None:
    """Lines at ``sides`` of cells."""
    from docx.oxml import OxmlElement
    from docx.oxml.ns import qn

    for cell in cells:
        about = cell._tc.get_or_add_tcPr()
        borders = OxmlElement("w:tcBorders")
        for side in sides:
            line = OxmlElement(f"w:{side}")
            line.set(qn("w:val"), "single")
            line.set(qn("w:sz"), "6")
            borders.append(line)
        about.append(borders)
