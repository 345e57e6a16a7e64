"""Decks and papers as files: PowerPoint, Word, PDF and slides in a browser."""

from __future__ import annotations

import builtins
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from equipoise.appraise import appraise, in_brief, in_slides
from equipoise.cli.main import app
from equipoise.document.charts import Curves, Forest, ForestPanel
from equipoise.document.document import Cited, Document, Figure, Fold, Name, Strong, Text, plain, walk
from equipoise.errors import OutputError, install
from equipoise.records import Record
from equipoise.render import render, to_bytes
from equipoise.render.page import pdf
from equipoise.render.page.office import pieces
from equipoise.render.page.pictures import pictures
from equipoise.render.page.references import References, parted, sources_of, without_keys
from equipoise.replica.replica import Replica

sys.path.insert(0, str(Path(__file__).parent))

from reading import Page

BROWSER = pdf.browser()
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def deck(valor: Record, replica: Replica) -> Document:
    return in_slides(valor, replica)


INSTALL = install("office")


def hide(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Make packages look as if they were not installed."""
    real: Callable[..., Any] = builtins.__import__
    for name in list(sys.modules):
        if name.split(".")[0] in names:
            monkeypatch.delitem(sys.modules, name)

    class Refuse:
        def find_spec(self, name: str, path: object = None, target: object = None) -> None:
            if name.split(".")[0] in names:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(sys, "meta_path", [Refuse(), *sys.meta_path])
    assert builtins.__import__ is real


# -- PowerPoint ----------------------------------------------------------------------------------------------------


def test_a_deck_is_a_powerpoint_file_with_notes_tables_and_charts(deck: Document) -> None:
    pptx = pytest.importorskip("pptx", reason=f"python-pptx is not installed: {INSTALL}")
    read = pptx.Presentation(BytesIO(to_bytes(deck, "pptx")))
    assert read.slide_width / read.slide_height == pytest.approx(16 / 9, abs=1e-3)
    slides = list(read.slides)
    assert [s.shapes.title.text for s in slides] == [plain(s.title) for s in deck.sections]
    notes = [s.notes_slide.notes_text_frame.text for s in slides]
    for section, told in zip(deck.sections, notes, strict=True):
        assert len(told.split()) > 20
        if any(isinstance(n, Cited) for n in walk(section)):
            assert "Sources:" in told
            assert sources_of(deck, section)[0] in told
    figures = [n.chart for n in walk(deck.sections) if isinstance(n, Figure)]
    drawn = [shape for s in slides for shape in s.shapes if shape.shape_type == 13 or shape.has_chart]
    assert len(drawn) == sum(len(chart.panels) for chart in figures)
    own = [shape for shape in drawn if shape.has_chart]
    assert len(own) == sum(len(chart.panels) for chart in figures if isinstance(chart, Forest | Curves)) > 0
    for shape in drawn:
        assert shape.has_chart or shape.image.blob.startswith(PNG)
        assert len(shape._element._nvXxPr.cNvPr.get("descr")) > 40  # said for those who cannot see it
    assert sum(getattr(shape, "has_table", False) for s in slides for shape in s.shapes) >= 4
    assert read.core_properties.title == plain(deck.title)


def test_the_charts_of_a_deck_hold_the_numbers_that_the_page_draws(deck: Document) -> None:
    """Each estimate with the ends of its interval, and each published point with its spread, can be edited."""
    pptx = pytest.importorskip("pptx", reason=f"python-pptx is not installed: {INSTALL}")
    read = pptx.Presentation(BytesIO(to_bytes(deck, "pptx")))
    charts = [shape.chart for s in read.slides for shape in s.shapes if shape.has_chart]
    panels = [p for n in walk(deck.sections) if isinstance(n, Figure) for p in n.chart.panels]
    assert len(charts) == len(panels)
    for chart, panel in zip(charts, panels, strict=True):
        bars = [b for s in chart.plots[0].series for b in error_bars(s)]
        if isinstance(panel, ForestPanel):
            wanted = [(i.estimate, i.low, i.high) for i in panel.intervals]
        else:
            wanted = [
                (v, low, high)
                for s in panel.series
                if s.kind == "published"
                for v, low, high in zip(s.values, s.low, s.high, strict=True)
            ]
        shown = [(v, v if low is None else low, v if high is None else high) for v, low, high in wanted]
        assert sorted(bars) == [pytest.approx(w) for w in sorted(shown)]
        for series in chart.plots[0].series:  # the order that ECMA-376 asks of the parts of a series
            tags = [child.tag.rpartition("}")[2] for child in series._element]
            order = ["idx", "order", "tx", "spPr", "marker", "dPt", "dLbls", "trendline", "errBars", "xVal", "yVal"]
            places = [order.index(t) for t in tags if t in order]
            assert places == sorted(places)


def error_bars(series: Any) -> list[tuple[float, float, float]]:
    """(estimate, low, high) of each point of a series that has error bars."""
    name = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
    found = series._element.find(f"{name}errBars")
    if found is None:
        return []
    across = found.find(f"{name}errDir").get("val") == "x"
    points = series._element.findall(f"{name}{'xVal' if across else 'yVal'}//{name}v")
    ends = [[float(v.text) for v in found.findall(f"{name}{side}//{name}v")] for side in ("minus", "plus")]
    return [
        (float(v.text), float(v.text) - low, float(v.text) + high) for v, low, high in zip(points, *ends, strict=True)
    ]


def test_nothing_leaves_a_slide(deck: Document) -> None:
    pptx = pytest.importorskip("pptx", reason=f"python-pptx is not installed: {INSTALL}")
    read = pptx.Presentation(BytesIO(to_bytes(deck, "pptx")))
    for slide in read.slides:
        boxes = sorted((s.top, s.top + s.height, s.left, s.left + s.width) for s in slide.shapes)
        for top, bottom, left, right in boxes:
            assert min(top, left) >= 0
            assert right <= read.slide_width
            assert bottom <= read.slide_height


def test_a_long_text_gets_smaller_letters(valor: Record) -> None:
    pptx = pytest.importorskip("pptx", reason=f"python-pptx is not installed: {INSTALL}")
    from dataclasses import replace

    from equipoise.document.document import Listing

    deck = in_slides(valor)

    def size(items: int) -> float:
        long = Listing(
            tuple((Text("Words that say something of a trial and go on for a while. " * 3),) for _ in range(items))
        )
        one = replace(deck, sections=(replace(deck.sections[1], blocks=(long,), notes=()),))
        read = pptx.Presentation(BytesIO(to_bytes(one, "pptx")))
        sizes = [
            r.font.size.pt
            for s in read.slides[0].shapes
            if s.has_text_frame
            for p in s.text_frame.paragraphs
            for r in p.runs
        ]
        return float(sizes[1])

    assert size(2) == 24
    assert 10 <= size(8) < size(2)


def test_a_heading_among_the_rows_of_a_table_stands_on_the_slide(valor: Record) -> None:
    pptx = pytest.importorskip("pptx", reason=f"python-pptx is not installed: {INSTALL}")
    from dataclasses import replace

    from equipoise.document.document import Inlines, Row, Table

    def said(*cells: str) -> tuple[Inlines, ...]:
        return tuple((Text(cell),) for cell in cells)

    rows = (
        Row(said("If the drug works, over all that was asked"), heading=True),
        Row(said("Met", "half")),
        Row(said("If it does nothing"), heading=True),
        Row(said("Met", "seldom")),
    )
    deck = in_slides(valor)
    table = Table("t", (), said("Question", "Share"), rows)
    one = replace(deck, sections=(replace(deck.sections[1], blocks=(table,)),))
    read = pptx.Presentation(BytesIO(to_bytes(one, "pptx")))
    (drawn,) = [s.table for s in read.slides[0].shapes if s.has_table]
    assert [row.cells[0].text for row in drawn.rows] == ["Question", *(plain(r.cells[0]) for r in rows)]
    assert [row.cells[0].is_merge_origin for row in drawn.rows] == [False, True, False, True, False]


# -- Word ----------------------------------------------------------------------------------------------------------


def test_the_appraisal_is_a_word_file_with_numbered_references(full_page: Document) -> None:
    docx = pytest.importorskip("docx", reason=f"python-docx is not installed: {INSTALL}")
    read = docx.Document(BytesIO(to_bytes(full_page, "docx")))
    headings = [p.text for p in read.paragraphs if p.style.name == "Heading 1"]
    assert headings == [*(plain(s.title) for s in full_page.sections), "Appendix", "References"]
    listed = [
        m[1] for p in read.paragraphs if (m := re.match(r"(\d+)\. \S", p.text)) and p.runs[0].font.size is not None
    ]
    text = "\n".join([p.text for p in read.paragraphs] + [c.text for t in read.tables for r in t.rows for c in r.cells])
    marks = {
        int(n)
        for runs in [p.runs for p in read.paragraphs]
        + [p.runs for t in read.tables for r in t.rows for c in r.cells for p in c.paragraphs]
        for run in runs
        if run.font.superscript
        for n in re.findall(r"\d+", run.text)
    }
    references = {int(n) for n in listed[-len(marks) :]}
    assert marks == references == set(range(1, len(marks) + 1))
    assert len(marks) > 50
    assert "[FDA, EMA" not in text  # keys of sources are numbers here
    panels = sum(
        len(n.chart.panels) for s in full_page.sections if s.id != "questions" for n in walk(s) if isinstance(n, Figure)
    )
    assert len(read.inline_shapes) == panels
    for shape in read.inline_shapes:
        assert len(shape._inline.docPr.get("descr")) > 40


def test_what_the_page_folds_away_is_the_appendix_of_the_paper(full_page: Document) -> None:
    docx = pytest.importorskip("docx", reason=f"python-docx is not installed: {INSTALL}")
    read = docx.Document(BytesIO(to_bytes(full_page, "docx")))
    titles = [p.text for p in read.paragraphs if p.style.name == "Heading 3"]
    folds = [
        n for s in full_page.sections if s.id != "questions" for b in s.blocks for n in walk(b) if isinstance(n, Fold)
    ]
    assert len(folds) > 10
    for fold in folds:
        assert plain(fold.title) in titles


def test_a_paper_for_one_reader_holds_the_questions(valor: Record) -> None:
    docx = pytest.importorskip("docx", reason=f"python-docx is not installed: {INSTALL}")
    read = docx.Document(BytesIO(to_bytes(appraise(valor, role="patient"), "docx")))
    text = "\n".join(p.text for p in read.paragraphs)
    assert "Did it work?" in text
    assert "equipoise questions" not in text


# -- what is missing -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("format", "module", "package"), [("pptx", "pptx", "python-pptx"), ("docx", "docx", "python-docx")]
)
def test_a_missing_package_is_named_with_its_command(
    format: str, module: str, package: str, deck: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide(monkeypatch, module)
    with pytest.raises(OutputError) as error:
        to_bytes(deck, format)
    assert package in error.value.message
    assert error.value.hint == INSTALL


def test_without_the_package_the_command_still_writes_the_slides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide(monkeypatch, "pptx", "docx")
    monkeypatch.chdir(tmp_path)
    run = CliRunner()
    result = run.invoke(app, ["appraise", "lacomblez1996", "--format", "slides", "--no-replica"])
    assert result.exit_code == 0, result.output
    assert INSTALL in result.output
    assert [p.name for p in tmp_path.iterdir()] == ["lacomblez1996-slides.html"]
    for arguments in (["--format", "slides", "--out", "x.pptx"], ["--format", "docx"]):
        result = run.invoke(app, ["appraise", "lacomblez1996", "--no-replica", *arguments])
        assert result.exit_code != 0
    assert [p.name for p in tmp_path.iterdir()] == ["lacomblez1996-slides.html"]


def test_without_a_browser_there_is_a_brief_and_a_word_on_the_pdf(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_: None)
    monkeypatch.chdir(tmp_path)
    run = CliRunner()
    result = run.invoke(app, ["appraise", "lacomblez1996", "--format", "brief"])
    assert result.exit_code == 0, result.output
    assert "Chromium" in result.output
    assert [p.name for p in tmp_path.iterdir()] == ["lacomblez1996-brief.html"]
    with pytest.raises(OutputError, match="Chromium"):
        pdf.to_pdf("<p>x</p>")


@pytest.mark.parametrize("failure", ["exit", "nothing"])
def test_a_browser_that_fails_is_told(failure: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "chromium"
    fake.write_text(f"#!/bin/sh\nexit {1 if failure == 'exit' else 0}\n")
    fake.chmod(0o755)
    monkeypatch.setattr(pdf, "browser", lambda: str(fake))
    with pytest.raises(OutputError, match="chromium") as error:
        pdf.to_pdf("<p>x</p>")
    assert "print it to PDF" in str(error.value.hint)


def test_a_name_that_the_format_does_not_know_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app, ["appraise", "valor", "-f", "slides", "--no-replica", "-o", str(tmp_path / "x.odp")]
    )
    assert result.exit_code != 0
    assert not list(tmp_path.iterdir())


# -- PDF -----------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on the path")
@pytest.mark.parametrize("name", ["valor", "riluzole1994", "healey_cnmau8"])
def test_a_brief_is_a_pdf_of_one_side(name: str) -> None:
    pypdf = pytest.importorskip("pypdf", reason="pypdf is not installed: pip install pypdf")
    read = pypdf.PdfReader(BytesIO(to_bytes(in_brief(name), "pdf")))
    assert len(read.pages) == 1
    assert "In brief" in read.pages[0].extract_text()


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on the path")
def test_a_deck_prints_one_slide_a_page(deck: Document) -> None:
    pypdf = pytest.importorskip("pypdf", reason="pypdf is not installed: pip install pypdf")
    read = pypdf.PdfReader(BytesIO(to_bytes(deck, "pdf")))
    assert len(read.pages) == len(deck.sections)
    box = read.pages[0].mediabox
    assert float(box.width) / float(box.height) == pytest.approx(16 / 9, rel=0.01)
    for page, section in zip(read.pages, deck.sections, strict=True):
        assert plain(section.title).split()[-1] in page.extract_text()


# -- slides in a browser -------------------------------------------------------------------------------------------


def test_slides_are_one_file_readable_without_script(deck: Document) -> None:
    html = render(deck)
    page = Page(html)
    slides = [e for e in page.all("section") if "slide" in e.attrs.get("class", "").split()]
    assert len(slides) == len(deck.sections)
    assert not any("hidden" in e.attrs for e in slides)
    assert len(page.all("h1")) == 1
    assert [e.text for e in page.all("h2")] == [plain(s.title) for s in deck.sections[1:]]
    assert not re.search(r'(?:src|href)="(?!#|https?://)', html)
    assert "http" not in re.sub(r'href="[^"]*"|xmlns="[^"]*"', "", html).split("<style>")[1].split("</style>")[0]
    assert len(page.all("details", class_="speaker")) == len(deck.sections)
    for key in ("ArrowRight", "ArrowLeft", "PageDown", "Home", "End", "Escape"):
        assert f'"{key}"' in html
    assert len(set(page.ids)) == len(page.ids)


TURN = """
window.addEventListener("load", function () {
  var press = function (key) {
    document.dispatchEvent(new KeyboardEvent("keydown", {key: key, bubbles: true, cancelable: true}));
  };
  var seen = [];
  var now = function () { seen.push(location.hash); };
  ["ArrowRight", "ArrowRight", "ArrowLeft", "End", "ArrowRight", "Home"].forEach(function (k) { press(k); now(); });
  document.getElementById("present").click();
  press("n");
  var slides = document.querySelectorAll("section.slide");
  var shown = Array.prototype.filter.call(slides, function (s) { return s.offsetHeight > 0; });
  var pre = document.createElement("pre");
  pre.id = "told";
  pre.textContent = JSON.stringify({seen: seen, shown: shown.length, notes: shown[0].querySelector("details").open});
  document.body.appendChild(pre);
});
"""


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on the path")
def test_the_keyboard_turns_the_slides(deck: Document, tmp_path: Path) -> None:
    import html as entities
    import json

    page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", render(deck))
    file = tmp_path / "deck.html"
    file.write_text(page.replace("</body>", f"<script>{TURN}</script></body>"), encoding="utf-8")
    quiet = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    command = [str(BROWSER), *quiet, "--virtual-time-budget=8000", "--dump-dom", profile, file.as_uri()]
    out = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False).stdout
    found = re.search(r'<pre id="told">(.*?)</pre>', out, re.DOTALL)
    assert found is not None
    told = json.loads(entities.unescape(found[1]))
    names = [f"#{s.id}" for s in deck.sections]
    assert told["seen"] == [names[1], names[2], names[1], names[-1], names[-1], names[0]]
    assert told["shown"] == 1
    assert told["notes"] is True


# -- pieces --------------------------------------------------------------------------------------------------------


def test_a_picture_stands_alone(full_page: Document) -> None:
    figure = next(n for n in walk(full_page.sections) if isinstance(n, Figure))
    drawn = pictures(figure)
    assert [p.title for p in drawn] == [p.title for p in figure.chart.panels]
    for picture in drawn:
        assert picture.png.startswith(PNG)
        wide = int.from_bytes(picture.png[16:20], "big")
        assert wide == pytest.approx(3 * picture.width, abs=2)


def test_keys_of_sources_come_apart_from_what_they_stand_for() -> None:
    runs = (Text("It fell ["), Cited("A, B", ("c-a", "c-b")), Text("] and rose ["), Cited("B", ("c-b",)), Text("]."))
    found = list(parted(runs, frozenset({"A", "B"})))
    assert found == [
        (Text("It fell"),),
        Cited("A, B", ("c-a", "c-b")),
        (Text(" and rose"),),
        Cited("B", ("c-b",)),
        (Text("."),),
    ]
    assert list(parted(runs, frozenset({"A"}))) == [runs]


def test_references_are_numbered_once_in_order(page: Document) -> None:
    cited = [n for n in walk(page.sections) if isinstance(n, Cited)][:200]
    references = References(page)
    first = [references.number(n) for n in cited]
    assert [references.number(n) for n in cited] == first
    assert sorted(set(first)) == list(range(1, len(set(first)) + 1))
    assert [n for n, _, _ in references.listed()] == list(range(1, len(set(first)) + 1))
    told = " ".join(
        plain(r) for r in [n.content for n in walk(without_keys(page, page.sections)) if hasattr(n, "content")]
    )
    assert "[FDA, EMA" not in told


def test_pieces_keep_what_is_strong_and_what_is_traced() -> None:
    number = Cited("4 of 72", ("c",))
    found = list(pieces((Strong((Text("Harm: "), number)), Name("NCT1"))))
    assert [(p.text, p.bold, p.run) for p in found] == [
        ("Harm: ", True, None),
        ("4 of 72", True, number),
        ("NCT1", False, None),
    ]
