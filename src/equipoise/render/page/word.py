"""A document as a Word file: headings, tables and figures as such, numbered references at the end.

The text is what the page shows; what the page folds away follows as an appendix, under the headings of its sections.
Questions and answers come along only where the page was made for one reader; else a line says how to get them.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

from equipoise.document.document import (
    Block,
    Cards,
    Cited,
    Document,
    Facts,
    Figure,
    Fold,
    Inlines,
    Listing,
    Note,
    Paragraph,
    Question,
    Section,
    Stats,
    Table,
    linked_once,
    plain,
)
from equipoise.errors import needed
from equipoise.render.page.html import safe_url
from equipoise.render.page.office import pieces
from equipoise.render.page.pictures import pictures
from equipoise.render.page.powerpoint import legend
from equipoise.render.page.references import References

_MUTED, _LINK = "566064", "0B6B70"
_FILLS = {"bad": "FBEEE6", "caution": "FBEEE6", "good": "EEF3F1", "info": "EEF3F1", "key": "EEF3F1"}
_ACROSS = 6.5
"""Inches between the margins."""
_DOWN = 8.0
"""Inches that a picture may be high, with its caption on the same page."""


def to_docx(document: Document) -> bytes:
    """The document as a .docx file.

    Raises :class:`OutputError` where python-docx is not installed; the message names the command that installs it.
    """
    needed("office", "a Word file", "docx")
    return _Paper(document).made()


class _Paper:
    """Writes the file from top to bottom and numbers references as they come."""

    def __init__(self, document: Document) -> None:
        import docx
        from docx.shared import Inches, Pt

        self.document = linked_once(document)
        self.references = References(document)
        self.folded: list[tuple[str, Fold]] = []
        self.tables = self.figures = 0
        self.paper = docx.Document()
        page = self.paper.sections[0]
        page.left_margin = page.right_margin = page.top_margin = page.bottom_margin = Inches(1)
        page.page_width, page.page_height = Inches(8.27), Inches(11.69)
        normal = self.paper.styles["Normal"]
        normal.font.name, normal.font.size = "Calibri", Pt(10.5)
        properties = self.paper.core_properties
        properties.title, properties.author = plain(document.title), f"Equipoise {document.version}"
        properties.language = document.lang

    def made(self) -> bytes:
        """The file."""
        self._heading(self.document.title, 0)
        self._paragraph(self.document.subtitle, style="Subtitle")
        for section in self.document.sections:
            self._section(section, 1)
        self._appendix()
        self._references()
        out = BytesIO()
        self.paper.save(out)
        return out.getvalue()

    # -- parts ------------------------------------------------------------------------------------------------------

    def _section(self, section: Section, level: int) -> None:
        self._heading(section.title, level)
        if section.id == "questions" and self.document.audience is None:
            self._paragraph((), text="Questions and answers for each reader, as a file of their own: ")
            self._run(self.paper.paragraphs[-1], f"equipoise questions {self.document.record}", code=True)
            return
        for block in section.blocks:
            if isinstance(block, Fold):
                self.folded.append((plain(section.title), block))
                self._paragraph((), text=f"Appendix: {plain(block.title)}.", colour=_MUTED)
            else:
                self._block(block, level)
        for child in section.sections:
            self._section(child, level + 1)

    def _appendix(self) -> None:
        if not self.folded:
            return
        self.paper.add_page_break()
        self._heading((), 1, text="Appendix")
        under = ""
        for title, fold in self.folded:
            if title != under:
                self._heading((), 2, text=title)
                under = title
            self._heading(fold.title, 3)
            for block in fold.blocks:
                self._block(block, 3)

    def _references(self) -> None:
        self._heading((), 1, text="References")
        for n, text, address in self.references.listed():
            paragraph = self.paper.add_paragraph()
            self._run(paragraph, f"{n}. {text}", size=9.0)
            if (url := safe_url(address)) is not None:
                self._run(paragraph, " ", size=9.0)
                self._link(paragraph, url)
        made = f"Made by Equipoise {self.document.version} from the record {self.document.record}. "
        self._paragraph((), text=f"{made}An appraisal of published evidence; not medical advice.", colour=_MUTED)

    # -- blocks -----------------------------------------------------------------------------------------------------

    def _block(self, block: Block, level: int) -> None:
        if isinstance(block, Paragraph):
            self._paragraph(block.content, size=12.5 if block.lead else None)
        elif isinstance(block, Listing):
            self._list(block)
        elif isinstance(block, Facts):
            self._grid([((term, True), (said, False)) for term, said in block.items], (1.6, _ACROSS - 1.6))
        elif isinstance(block, Stats):
            self._stats(block)
        elif isinstance(block, Table):
            self._table(block)
        elif isinstance(block, Figure):
            self._figure(block)
        elif isinstance(block, Note):
            self._note(block, level)
        elif isinstance(block, Question):
            self._paragraph(block.question, bold=True)
            for inner in block.answer:
                self._block(inner, level)
        elif isinstance(block, Cards):
            for card in block.items:
                self._heading(card.title, min(level + 1, 9))
                if card.verdict:
                    self._paragraph(card.verdict, bold=True)
                self._block(Facts(card.facts), level)
        elif isinstance(block, Fold):
            self._paragraph(block.title, bold=True)
            for inner in block.blocks:
                self._block(inner, level)

    def _list(self, block: Listing) -> None:
        """A list; a numbered one begins at one, whatever list came before it."""
        for i, item in enumerate(block.items, 1):
            paragraph = self.paper.add_paragraph(style=None if block.ordered else "List Bullet")
            if block.ordered:
                from docx.shared import Inches

                paragraph.paragraph_format.left_indent = Inches(0.25)
                paragraph.paragraph_format.first_line_indent = Inches(-0.25)
                self._run(paragraph, f"{i}.  ")
            self._runs(paragraph, item)

    def _note(self, block: Note, level: int) -> None:
        grid = self.paper.add_table(rows=1, cols=1)
        grid.style = "Table Grid"
        cell = grid.rows[0].cells[0]
        self._fill(cell, _FILLS.get(block.tone, "FFFFFF"))
        self._runs(cell.paragraphs[0], block.title, bold=True)
        for inner in block.blocks:
            if isinstance(inner, Paragraph):
                self._runs(cell.add_paragraph(), inner.content)
            elif isinstance(inner, Listing):
                for i, item in enumerate(inner.items, 1):
                    paragraph = cell.add_paragraph()
                    self._run(paragraph, f"{i}.  " if inner.ordered else "•  ")
                    self._runs(paragraph, item)
        self.paper.add_paragraph()
        for inner in block.blocks:
            if isinstance(inner, Fold):
                self.folded.append((plain(block.title), inner))
            elif not isinstance(inner, Paragraph | Listing):
                self._block(inner, level)

    def _stats(self, block: Stats) -> None:
        if not block.items:
            return
        grid = self.paper.add_table(rows=1, cols=len(block.items))
        grid.style = "Table Grid"
        for cell, stat in zip(grid.rows[0].cells, block.items, strict=True):
            self._fill(cell, _FILLS.get(stat.tone, "FFFFFF"))
            self._runs(cell.paragraphs[0], stat.label, size=8.5)
            self._runs(cell.add_paragraph(), stat.value, bold=True, size=14.0)
            if stat.remark:
                self._runs(cell.add_paragraph(), stat.remark, size=8.5)
        self.paper.add_paragraph()

    def _table(self, block: Table) -> None:
        self.tables += 1
        self._caption(f"Table {self.tables}. ", block.caption)
        grid = self.paper.add_table(rows=1, cols=len(block.columns))
        grid.style = "Table Grid"
        head = grid.rows[0]
        self._repeat(head)
        for cell, runs in zip(head.cells, block.columns, strict=True):
            self._fill(cell, "EEF3F1")
            self._runs(cell.paragraphs[0], runs, bold=True, size=8.5)
        for row in block.rows:
            cells = grid.add_row().cells
            if row.heading:
                merged = cells[0].merge(cells[-1])
                self._runs(merged.paragraphs[0], row.cells[0], bold=True, size=8.5)
                continue
            for cell, runs in zip(cells, row.cells, strict=True):
                self._runs(cell.paragraphs[0], runs, size=8.5)
        self.paper.add_paragraph()

    def _grid(self, rows: Sequence[Sequence[tuple[Inlines, bool]]], widths: Sequence[float]) -> None:
        from docx.shared import Inches

        if not rows:
            return
        grid = self.paper.add_table(rows=0, cols=len(widths))
        grid.autofit = False
        for row in rows:
            for cell, (runs, bold), width in zip(grid.add_row().cells, row, widths, strict=True):
                cell.width = Inches(width)
                self._runs(cell.paragraphs[0], runs, bold=bold)
        self.paper.add_paragraph()

    def _figure(self, figure: Figure) -> None:
        from docx.shared import Inches

        self.figures += 1
        drawn = pictures(figure)
        per_row = min(2, len(drawn)) or 1
        grid = self.paper.add_table(rows=0, cols=per_row)
        for i, picture in enumerate(drawn):
            if i % per_row == 0:
                cells = grid.add_row().cells
            paragraph = cells[i % per_row].paragraphs[0]
            if picture.title:
                self._run(paragraph, picture.title, bold=True, size=9.0)
                paragraph.add_run().add_break()
            width = min(_ACROSS / per_row - 0.2, picture.width / 96, _DOWN * picture.width / picture.height)
            shape = paragraph.add_run().add_picture(BytesIO(picture.png), width=Inches(width))
            shape._inline.docPr.set("descr", picture.words)
            shape._inline.docPr.set("title", picture.title or plain(figure.title))
        if meaning := legend(figure):
            self._paragraph((), text=meaning, size=8.5, colour=_MUTED)
        self._caption(f"Figure {self.figures}. ", (*figure.title, *figure.caption), joint=len(figure.title))
        self.folded.append(("Figures", Fold(f"{figure.id}-numbers", figure.title, (figure.table,))))

    def _caption(self, lead: str, runs: Inlines, joint: int = 0) -> None:
        """A caption; ``joint`` is after how many runs a full stop parts its title from the rest."""
        paragraph = self.paper.add_paragraph(style="Caption")
        self._run(paragraph, lead, bold=True)
        self._runs(paragraph, runs[:joint] if joint else runs)
        if joint:
            self._run(paragraph, ". ")
            self._runs(paragraph, runs[joint:])

    # -- letters ----------------------------------------------------------------------------------------------------

    def _heading(self, runs: Inlines, level: int, *, text: str = "") -> None:
        self.paper.add_heading(text or plain(runs), level)

    def _paragraph(
        self,
        runs: Inlines,
        *,
        text: str = "",
        style: str | None = None,
        size: float | None = None,
        bold: bool = False,
        colour: str | None = None,
    ) -> None:
        paragraph = self.paper.add_paragraph(style=style)
        if text:
            self._run(paragraph, text, size=size, bold=bold, colour=colour)
        self._runs(paragraph, runs, size=size, bold=bold)

    def _runs(self, paragraph: Any, runs: Inlines, *, size: float | None = None, bold: bool = False) -> None:
        """Runs of a line. A number that the page links is followed by the number of its reference, in brackets and set
        high; the keys of sources that follow a text on the page are their numbers here."""
        for part in self.references.parted(runs):
            if isinstance(part, Cited):  # the keys of the sources of what stands before it
                self._mark(paragraph, self.references.numbers(part), size)
                continue
            for piece in pieces(part):
                made = self._run(paragraph, piece.text, bold=bold or piece.bold, italic=piece.italic, size=size)
                if piece.code:
                    made.font.name = "Consolas"
                if piece.run is not None and not piece.run.quiet:
                    self._mark(paragraph, [self.references.number(piece.run)], size)

    def _mark(self, paragraph: Any, numbers: list[int], size: float | None) -> None:
        mark = self._run(paragraph, f"[{', '.join(map(str, numbers))}]", size=size)
        mark.font.superscript = True

    def _run(
        self,
        paragraph: Any,
        text: str,
        *,
        bold: bool = False,
        italic: bool = False,
        code: bool = False,
        size: float | None = None,
        colour: str | None = None,
    ) -> Any:
        from docx.shared import Pt, RGBColor

        run = paragraph.add_run(text)
        run.bold, run.italic = bold or None, italic or None
        if code:
            run.font.name = "Consolas"
        if size is not None:
            run.font.size = Pt(size)
        if colour is not None:
            run.font.color.rgb = RGBColor.from_string(colour)
        return run

    def _link(self, paragraph: Any, url: str) -> None:
        from docx.opc.constants import RELATIONSHIP_TYPE
        from docx.oxml import OxmlElement
        from docx.oxml.ns import qn

        link = OxmlElement("w:hyperlink")
        link.set(qn("r:id"), paragraph.part.relate_to(url, RELATIONSHIP_TYPE.HYPERLINK, is_external=True))
        run = self._run(paragraph, url, size=9.0, colour=_LINK)
        run.font.underline = True
        link.append(run._r)
        paragraph._p.append(link)

    @staticmethod
    def _fill(cell: Any, colour: str) -> None:
        from docx.oxml import OxmlElement
        from docx.oxml.ns import qn

        shade = OxmlElement("w:shd")
        for name, value in (("w:val", "clear"), ("w:color", "auto"), ("w:fill", colour)):
            shade.set(qn(name), value)
        cell._tc.get_or_add_tcPr().append(shade)

    @staticmethod
    def _repeat(row: Any) -> None:
        """The head of a table stands again on each page that the table reaches."""
        from docx.oxml import OxmlElement
        from docx.oxml.ns import qn

        mark = OxmlElement("w:tblHeader")
        mark.set(qn("w:val"), "true")
        row._tr.get_or_add_trPr().append(mark)
