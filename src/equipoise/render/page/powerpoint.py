"""A deck as a PowerPoint file: titles, lists, tables and notes as such, so that all of it can be edited; forest plots
and curves as its own charts, other figures as pictures, all with their words as alternative text."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

from equipoise.document.charts import Curves, Densities, Drawing, Forest
from equipoise.document.document import (
    Block,
    Cards,
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
    plain,
)
from equipoise.errors import needed
from equipoise.render.page.native import add_charts
from equipoise.render.page.office import pieces
from equipoise.render.page.pictures import described, pictures
from equipoise.render.page.references import sources_of, without_keys

WIDTH, HEIGHT = 13.333, 7.5
"""Inches of a slide, 16 to 9."""
_LEFT, _TOP, _FOOT = 0.6, 1.35, 6.95
_ACROSS = WIDTH - 2 * _LEFT
_INK, _MUTED, _LINK = "1C2427", "566064", "0B6B70"
_TONES = {
    "plain": ("FFFFFF", _INK),
    "good": ("EEF3F1", "1F6B3A"),
    "bad": ("FBEEE6", "9A3412"),
    "open": ("F6F5F1", _INK),
    "info": ("EEF3F1", _INK),
    "caution": ("FBEEE6", _INK),
    "key": ("EEF3F1", _INK),
    "illustration": ("FFFFFF", _INK),
}
_BODY = 24.0
"""Points of the letters at most; they shrink until a slide holds its blocks."""
_SMALLEST = 10.0


def to_pptx(document: Document) -> bytes:
    """The deck as a .pptx file, 16 to 9, each slide with its speaker's notes and the sources below them.

    Raises :class:`OutputError` where python-pptx is not installed; the message names the command that installs it.
    """
    needed("office", "a PowerPoint file", "pptx")
    return _Deck(document).made()


class _Deck:
    """Writes the slides from top to bottom; letters shrink until the blocks of a slide fit on it."""

    def __init__(self, document: Document) -> None:
        import pptx
        from pptx.util import Inches

        self.document = document
        self.slides = pptx.Presentation()
        self.slides.slide_width, self.slides.slide_height = Inches(WIDTH), Inches(HEIGHT)
        properties = self.slides.core_properties
        properties.title = plain(document.title)
        properties.author = f"Equipoise {document.version}"
        properties.subject = f"An appraisal of {document.record}, for a journal club"
        properties.language = document.lang

    def made(self) -> bytes:
        """The file."""
        for i, section in enumerate(self.document.sections, 1):
            self._slide(section, i)
        out = BytesIO()
        self.slides.save(out)
        return out.getvalue()

    # -- one slide --------------------------------------------------------------------------------------------------

    def _slide(self, section: Section, place: int) -> None:
        slide = self.slides.slides.add_slide(self.slides.slide_layouts[5])  # title only
        title = slide.shapes.title
        self._put(title, _LEFT, 0.35, _ACROSS, 0.85)
        title.text_frame.word_wrap = True
        long = len(plain(section.title)) > 60
        self._lines(title.text_frame, [section.title], 24.0 if long else 32.0, bold=True, serif=True, middle=True)
        self._rule(slide, 1.22)
        blocks = without_keys(self.document, section.blocks)
        size = _BODY
        while size > _SMALLEST and _TOP + sum(self._height(b, size) for b in blocks) > _FOOT - 0.15:
            size -= 0.5
        top = _TOP
        if section.id == self.document.sections[0].id:
            top += max(0.0, (_FOOT - _TOP - sum(self._height(b, size) for b in blocks)) / 3)
        for block in blocks:
            top += self._block(slide, block, top, size)
        foot = self._box(slide, _LEFT, 7.02, _ACROSS, 0.32)
        told = f"{self.document.record}   {place} of {len(self.document.sections)}"
        self._plain(foot, [told], 10.0, colour=_MUTED)
        slide.notes_slide.notes_text_frame.text = "\n".join(self._notes(section))

    def _notes(self, section: Section) -> list[str]:
        told = [line for block in section.notes for line in lines(without_keys(self.document, block))]
        rests = sources_of(self.document, section)
        return [*told, *(["", "Sources:"] if rests else []), *(f"- {line}" for line in rests)]

    # -- blocks: how high they are at a size of letters, and what is drawn ------------------------------------------

    def _height(self, block: Block, size: float) -> float:
        if isinstance(block, Paragraph):
            return _text_height(plain(block.content), _ACROSS, size * (1.35 if block.lead else 1.0)) + 0.12
        if isinstance(block, Listing):
            return sum(_text_height(plain(i), _ACROSS - 0.4, size) + 0.09 for i in block.items) + 0.1
        if isinstance(block, Stats):
            return max(self._stat_height(s, size, len(block.items)) for s in block.items) + 0.2 if block.items else 0
        if isinstance(block, Facts):
            said = [(plain(term), plain(told)) for term, told in block.items]
            wide = _ACROSS - 2.6
            return sum(max(_text_height(b, wide, size), _text_height(a, 2.2, size)) + 0.14 for a, b in said) + 0.1
        if isinstance(block, Table):
            across, high = self._columns(block), 0.0
            for heading, cells in ((False, block.columns), *((r.heading, r.cells) for r in block.rows)):
                widths = [_ACROSS] if heading else across
                told = zip(cells, widths, strict=False)
                high += max(_text_height(plain(c), w - 0.2, size * 0.86) for c, w in told) + 0.12
            return high
        if isinstance(block, Note):
            inner = sum(self._height(b, size * 0.92) for b in block.blocks)
            return inner + _text_height(plain(block.title), _ACROSS, size) + 0.35
        if isinstance(block, Cards):
            return 4.6
        if isinstance(block, Figure):
            return _FOOT - _TOP
        return 0.0

    def _block(self, slide: Any, block: Block, top: float, size: float) -> float:
        height = self._height(block, size)
        if isinstance(block, Paragraph):
            box = self._box(slide, _LEFT, top, _ACROSS, height)
            self._lines(box, [block.content], size * (1.35 if block.lead else 1.0))
        elif isinstance(block, Listing):
            box = self._box(slide, _LEFT, top, _ACROSS, height)
            self._list(box, block, size)
        elif isinstance(block, Stats):
            self._stats(slide, block, top, size, height - 0.2)
        elif isinstance(block, Facts):
            self._facts(slide, block, top, size, height)
        elif isinstance(block, Table):
            self._table(slide, block, top, size)
        elif isinstance(block, Note):
            box = self._panel(slide, _LEFT, top, _ACROSS, height - 0.1, block.tone)
            self._lines(box, [block.title], size, bold=True)
            for inner in block.blocks:
                if isinstance(inner, Listing):
                    self._list(box, inner, size * 0.92, more=True)
                elif isinstance(inner, Paragraph):
                    self._lines(box, [inner.content], size * 0.92, more=True)
        elif isinstance(block, Cards):
            self._cards(slide, block, top, size)
        elif isinstance(block, Figure):
            self._figure(slide, block, top)
        return height

    def _stat_height(self, stat: Any, size: float, n: int) -> float:
        wide = _ACROSS / n - 0.4
        small = _text_height(plain(stat.label), wide, size * 0.75) + _text_height(plain(stat.remark), wide, size * 0.75)
        return small + _text_height(plain(stat.value), wide, size * 1.4) + 0.3

    def _stats(self, slide: Any, block: Stats, top: float, size: float, height: float) -> None:
        wide = _ACROSS / max(len(block.items), 1)
        for i, stat in enumerate(block.items):
            box = self._panel(slide, _LEFT + i * wide, top, wide - 0.12, height, stat.tone)
            self._lines(box, [stat.label], size * 0.75, colour=_MUTED)
            self._lines(box, [stat.value], size * 1.4, bold=True, colour=_TONES[stat.tone][1], serif=True, more=True)
            if stat.remark:
                self._lines(box, [stat.remark], size * 0.75, colour=_MUTED, more=True)

    def _facts(self, slide: Any, block: Facts, top: float, size: float, height: float) -> None:
        from pptx.util import Inches

        if not block.items:
            return
        place = [Inches(x) for x in (_LEFT, top, _ACROSS, height - 0.1)]
        table = slide.shapes.add_table(len(block.items), 2, *place).table
        self._bare(table, header=False)
        table.columns[0].width, table.columns[1].width = Inches(2.4), Inches(_ACROSS - 2.4)
        for row, (term, said) in zip(table.rows, block.items, strict=True):
            self._cell(row.cells[0], term, size, bold=True)
            self._cell(row.cells[1], said, size)

    def _columns(self, table: Table) -> list[float]:
        """Widths of columns in inches, by the longest cell of each, none too narrow."""
        longest = [
            max(len(plain(column)) * 0.8, *(len(plain(r.cells[i])) for r in table.rows if not r.heading), 8)
            for i, column in enumerate(table.columns)
        ]
        weights = [min(float(n), 60.0) for n in longest]
        return [_ACROSS * w / sum(weights) for w in weights]

    def _table(self, slide: Any, block: Table, top: float, size: float) -> None:
        from pptx.util import Inches

        place = [Inches(x) for x in (_LEFT, top, _ACROSS, 0.3 * (len(block.rows) + 1))]
        shape = slide.shapes.add_table(len(block.rows) + 1, len(block.columns), *place)
        shape.name = plain(block.caption)[:100] or "Table"
        table = shape.table
        self._bare(table, header=True)
        for column, width in zip(table.columns, self._columns(block), strict=True):
            column.width = Inches(width)
        for cell, runs in zip(table.rows[0].cells, block.columns, strict=True):
            self._cell(cell, runs, size * 0.86, bold=True)
        for row, given in zip(list(table.rows)[1:], block.rows, strict=True):
            if given.heading:
                row.cells[0].merge(row.cells[len(block.columns) - 1])
                self._cell(row.cells[0], given.cells[0], size * 0.86, bold=True)
                continue
            for cell, runs in zip(row.cells, given.cells, strict=True):
                self._cell(cell, runs, size * 0.86)

    def _cards(self, slide: Any, block: Cards, top: float, size: float) -> None:
        n = max(len(block.items), 1)
        wide = _ACROSS / n
        for i, card in enumerate(block.items):
            letters = size * 0.8
            told = [card.title, card.verdict, *(runs for fact in card.facts for runs in fact)]
            while letters > 8 and sum(_text_height(plain(t), wide - 0.5, letters) + 0.05 for t in told) > 4.3:
                letters -= 0.5
            box = self._panel(slide, _LEFT + i * wide, top, wide - 0.15, 4.5, "plain")
            self._lines(box, [card.title], letters * 1.1, bold=True, serif=True)
            if card.verdict:
                colour = _TONES[card.tone][1]
                self._lines(box, [card.verdict], letters, bold=True, colour=colour, more=True)
            for term, said in card.facts:
                self._lines(box, [term], letters * 0.9, colour=_MUTED, more=True)
                self._lines(box, [said], letters, more=True)

    def _figure(self, slide: Any, figure: Figure, top: float) -> None:
        from pptx.util import Inches

        gap = 0.3
        if isinstance(figure.chart, Forest | Curves):
            told = described(figure)
            wide = (_ACROSS - gap * (len(told) - 1)) / max(len(told), 1)
            self._legend(slide, figure, top)
            lefts = [_LEFT + i * (wide + gap) for i in range(len(told))]
            for left, (title, _) in zip(lefts, told, strict=True):
                self._lines(self._box(slide, left, top + 0.32, wide, 0.35), [figure_title(title)], 13.0, bold=True)
            places = [(left, top + 0.72, wide, _FOOT - top - 0.75) for left in lefts]
            for shape, (title, words) in zip(add_charts(slide, figure.chart, places), told, strict=True):
                shape.name = title
                shape._element._nvXxPr.cNvPr.set("descr", words)
            return
        drawn = pictures(figure)
        wide = (_ACROSS - gap * (len(drawn) - 1)) / max(len(drawn), 1)
        room = _FOOT - top - 0.75
        most = wide if isinstance(figure.chart, Drawing) else min(wide, 5.4)
        scale = min(most / max(p.width for p in drawn), room / max(p.height for p in drawn))
        self._legend(slide, figure, top)
        for i, picture in enumerate(drawn):
            left = _LEFT + i * (wide + gap)
            self._lines(self._box(slide, left, top + 0.32, wide, 0.35), [figure_title(picture.title)], 13.0, bold=True)
            size = (Inches(picture.width * scale), Inches(picture.height * scale))
            shape = slide.shapes.add_picture(BytesIO(picture.png), Inches(left), Inches(top + 0.72), *size)
            shape.name = picture.title or plain(figure.title)
            shape._element._nvXxPr.cNvPr.set("descr", picture.words)

    def _legend(self, slide: Any, figure: Figure, top: float) -> None:
        said = legend(figure).replace("Lines and bands: simulated.", "Lines: simulated; dashed: 95 % of single trials.")
        self._plain(self._box(slide, _LEFT, top, _ACROSS, 0.3), [said], 12.0, colour=_MUTED)

    # -- shapes and letters -----------------------------------------------------------------------------------------

    @staticmethod
    def _put(shape: Any, left: float, top: float, width: float, height: float) -> None:
        from pptx.util import Inches

        shape.left, shape.top, shape.width, shape.height = (Inches(x) for x in (left, top, width, height))

    def _box(self, slide: Any, left: float, top: float, width: float, height: float) -> Any:
        from pptx.util import Inches

        frame = slide.shapes.add_textbox(*(Inches(x) for x in (left, top, width, height))).text_frame
        frame.word_wrap = True
        frame.margin_left = frame.margin_right = frame.margin_top = frame.margin_bottom = 0
        return frame

    def _panel(self, slide: Any, left: float, top: float, width: float, height: float, tone: str) -> Any:
        from pptx.dml.color import RGBColor
        from pptx.enum.dml import MSO_LINE_DASH_STYLE
        from pptx.enum.shapes import MSO_SHAPE
        from pptx.enum.text import MSO_ANCHOR
        from pptx.util import Inches, Pt

        place = [Inches(x) for x in (left, top, width, height)]
        shape = slide.shapes.add_shape(MSO_SHAPE.RECTANGLE, *place)
        shape.fill.solid()
        shape.fill.fore_color.rgb = RGBColor.from_string(_TONES[tone][0])
        shape.line.color.rgb = RGBColor.from_string("D9D8D1")
        shape.line.width = Pt(1)
        if tone == "illustration":
            shape.line.dash_style = MSO_LINE_DASH_STYLE.DASH
        shape.shadow.inherit = False
        frame = shape.text_frame
        frame.word_wrap = True
        frame.vertical_anchor = MSO_ANCHOR.TOP
        frame.margin_left = frame.margin_right = Inches(0.16)
        frame.margin_top = frame.margin_bottom = Inches(0.09)
        return frame

    @staticmethod
    def _rule(slide: Any, top: float) -> None:
        from pptx.dml.color import RGBColor
        from pptx.enum.shapes import MSO_CONNECTOR
        from pptx.util import Inches, Pt

        ends = [Inches(x) for x in (_LEFT, top, WIDTH - _LEFT, top)]
        line = slide.shapes.add_connector(MSO_CONNECTOR.STRAIGHT, *ends)
        line.line.color.rgb = RGBColor.from_string(_LINK)
        line.line.width = Pt(2.5)

    @staticmethod
    def _bare(table: Any, *, header: bool) -> None:
        """A table of lines between rows alone: PowerPoint's own `Light Style 1`, without bands."""
        table.first_row, table.horz_banding = header, False
        style = table._tbl.tblPr.find("{http://schemas.openxmlformats.org/drawingml/2006/main}tableStyleId")
        if style is not None:
            style.text = "{9D7B030F-B1BA-407E-804F-0B05F660EEB4}"

    def _cell(self, cell: Any, runs: Inlines, size: float, *, bold: bool = False) -> None:
        from pptx.util import Inches

        cell.margin_left = cell.margin_right = Inches(0.1)
        cell.margin_top = cell.margin_bottom = Inches(0.04)
        self._lines(cell.text_frame, [runs], size, bold=bold)

    def _list(self, frame: Any, block: Listing, size: float, *, more: bool = False) -> None:
        from pptx.util import Inches, Pt

        for i, item in enumerate(block.items, 1):
            self._lines(frame, [item], size, more=more or i > 1)
            paragraph = frame.paragraphs[-1]
            paragraph.space_after = Pt(size * 0.3)
            properties = paragraph._p.get_or_add_pPr()
            properties.set("marL", str(int(Inches(0.35))))
            properties.set("indent", str(-int(Inches(0.35))))
            kind, name, value = ("buAutoNum", "type", "arabicPeriod") if block.ordered else ("buChar", "char", "•")
            space = "http://schemas.openxmlformats.org/drawingml/2006/main"
            bullet = properties.makeelement(f"{{{space}}}{kind}", {name: value})
            properties.append(bullet)

    def _lines(
        self,
        frame: Any,
        content: Sequence[Inlines],
        size: float,
        *,
        bold: bool = False,
        colour: str = _INK,
        serif: bool = False,
        more: bool = False,
        middle: bool = False,
    ) -> None:
        """Each of ``content`` as a paragraph; ``more`` adds to what stands there."""
        from pptx.dml.color import RGBColor
        from pptx.enum.text import MSO_ANCHOR, PP_ALIGN
        from pptx.util import Pt

        if middle:
            frame.vertical_anchor = MSO_ANCHOR.MIDDLE
        for i, runs in enumerate(content):
            paragraph = frame.add_paragraph() if more or i else frame.paragraphs[0]
            paragraph.alignment = PP_ALIGN.LEFT
            for piece in pieces(runs):
                run = paragraph.add_run()
                run.text = piece.text
                font = run.font
                font.size, font.bold, font.italic = Pt(round(size * 2) / 2), bold or piece.bold, piece.italic
                font.color.rgb = RGBColor.from_string(colour)
                font.name = "Consolas" if piece.code else "Georgia" if serif else "Calibri"

    def _plain(self, frame: Any, content: Sequence[str], size: float, *, colour: str = _INK) -> None:
        from pptx.dml.color import RGBColor
        from pptx.util import Pt

        for i, text in enumerate(content):
            paragraph = frame.add_paragraph() if i else frame.paragraphs[0]
            run = paragraph.add_run()
            run.text, run.font.size = text, Pt(size)
            run.font.color.rgb = RGBColor.from_string(colour)


def figure_title(text: str) -> Inlines:
    """A panel's title as a run; its digits are those of the record's own labels."""
    from equipoise.document.document import Code, Name, Text, bare_number

    if not bare_number(text):
        return (Text(text),)
    return (Name(text),) if any(c.isalpha() for c in text) else (Code(text),)


def legend(figure: Figure) -> str:
    """What the marks of a figure mean, in words, for where the page's own legend is not drawn."""
    if isinstance(figure.chart, Forest):
        return "Diamond: primary analysis. Filled: planned, or not stated. Hollow: not pre-specified."
    if isinstance(figure.chart, Curves):
        told = f"Circles: {figure.chart.active}. Squares: {figure.chart.control}."
        simulated = any(s.kind == "simulated" for p in figure.chart.panels for s in p.series)
        return f"{told} Lines and bands: simulated." if simulated else told
    if isinstance(figure.chart, Densities):
        return "Area: after the published numbers, the 95 % interval darker. Line: median. Dashed: before."
    if isinstance(figure.chart, Drawing):
        return ""  # what its marks mean stands in it
    return "Filled: used in the fit. Hollow: not used in the fit. Shaded: within one published standard error."


def lines(block: Block) -> list[str]:
    """A block as lines of plain words, for notes."""
    if isinstance(block, Paragraph):
        return [plain(block.content)]
    if isinstance(block, Listing):
        return [f"{f'{i}.' if block.ordered else '-'} {plain(item)}" for i, item in enumerate(block.items, 1)]
    if isinstance(block, Facts):
        return [f"{plain(term)}: {plain(said)}" for term, said in block.items]
    if isinstance(block, Stats):
        return [f"{plain(s.label)}: {plain(s.value)} {plain(s.remark)}".rstrip() for s in block.items]
    if isinstance(block, Table):
        rows = (block.columns, *(row.cells for row in block.rows))
        return [plain(block.caption), *(" | ".join(plain(c) for c in cells) for cells in rows)]
    if isinstance(block, Note | Fold):
        return [plain(block.title), *(line for b in block.blocks for line in lines(b))]
    if isinstance(block, Cards):
        return [line for card in block.items for line in (plain(card.title), *lines(Facts(card.facts)))]
    if isinstance(block, Question):
        return [plain(block.question), *(line for b in block.answer for line in lines(b))]
    return []


def _text_height(text: str, width: float, size: float) -> float:
    """About how high a text is, in inches: letters are half as wide as high, lines a fifth higher than letters."""
    per_line = max(1.0, width * 72 / (size * 0.48))
    rows = sum(max(1, -(-len(part) // int(per_line))) for part in text.split("\n")) if text else 0
    return rows * size * 1.2 / 72
