"""How long a page is: words in sight, printed sides, and how often it writes one number out."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from io import BytesIO
from pathlib import Path

import pytest

from equipoise.appraise import appraise, numbers
from equipoise.document.document import Document, plain, walk
from equipoise.records import load_record
from equipoise.records.schema import Record
from equipoise.render import render

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "appraise"))

from reading import Page, visible
from synthetic_replica import synthetic_replica

BROWSER = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
NAMES = ["valor", "riluzole1994", "edaravone2017", "centaur"]
WORDS, SIDES, TIMES = 6000, 20, 3
"""The most words in sight, printed sides, and times that one contrast with its interval is written out."""


def page_of(name: str) -> Document:
    record = load_record(name)
    return appraise(record, synthetic_replica(record))


@pytest.mark.parametrize("sections", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_the_words_in_sight_are_few(name: str, sections: bool) -> None:
    words = visible(render(page_of(name)), sections=sections).split()
    assert len(words) <= WORDS
    if not sections:  # what is open at first is a tenth of it: the brief, the bottom line and the key findings
        assert len(words) <= WORDS / 2


def test_a_reader_sees_what_is_open_and_no_more() -> None:
    part = '<details class="part{0}"{1}><summary><h2>T</h2><span class="gist">gist</span></summary>body {2}</details>'
    fold = '<details class="fold"><summary>more</summary>folded</details>'
    closed = f"<section id='a'>{part.format('', '', fold)}</section>"
    assert visible(closed) == "T gist"
    assert visible(closed, sections=True) == "T body more"
    assert visible(closed.replace("'a'", "'sources'"), sections=True) == "T gist"
    assert visible(f"<section>{part.format('', ' open', fold)}</section>") == "T body more"
    assert visible("<p>in sight<script>no</script> <b hidden>no</b></p>") == "in sight"


def test_property_nothing_is_lost_by_folding(full_page: Document) -> None:
    """Every word of the document stands in the page, closed or not."""
    html = render(full_page)
    text = " ".join(Page(html).all("body")[0].text.split())
    for section in full_page.sections:
        for node in walk(section):
            for field in ("content", "caption"):
                runs = getattr(node, field, ())
                if isinstance(runs, tuple) and runs and (said := " ".join(plain(runs).split())):
                    assert said in text


@pytest.mark.parametrize("name", NAMES)
def test_no_contrast_is_written_out_more_than_three_times(name: str) -> None:
    record = load_record(name)
    text = visible(render(page_of(name)), sections=True)
    contrasts = [r.contrast for r in record.results if r.contrast is not None and r.contrast.usable]
    shown = {numbers.contrast(c) for c in contrasts if c.low is not None and c.high is not None}
    seen = Counter({each: text.count(each) for each in shown})
    assert sum(seen.values()) > 0 or not shown
    assert {each: n for each, n in seen.items() if n > TIMES} == {}


def test_the_primary_contrast_of_valor_is_written_out_at_most_three_times(valor: Record, full_page: Document) -> None:
    text = visible(render(full_page), sections=True)
    primary = text.count("1.2 (−3.2 to 5.5)")
    brief = len(re.findall(r"\+1\.2 points 95 % interval −3\.2 to 5\.5", text.replace("\u202f", " ")))
    assert brief == 1
    assert 1 <= primary + brief <= TIMES


def test_every_section_says_what_is_in_it(full_page: Document) -> None:
    first, *rest = full_page.sections
    assert first.id == "brief"
    assert not first.summary  # it cannot be closed
    for section in rest:
        assert 10 <= len(plain(section.summary)) <= 300, section.id
    assert [s.id for s in rest if s.open] == ["bottom-line", "findings"]
    gists = Page(render(full_page)).all("span", class_="gist")
    assert len(gists) > len(rest)
    for gist in gists:  # the line opens the section: it holds no link of its own
        assert not any(child.tag == "a" for child in gist.children)


@pytest.mark.parametrize("name", ["tofersen_phase12", "healey_cnmau8", "alspire"])
def test_pages_without_a_replica_can_be_closed_too(name: str) -> None:
    page = appraise(load_record(name))
    assert all(section.summary for section in page.sections[1:])
    assert len(visible(render(page)).split()) <= WORDS / 2


@pytest.mark.parametrize("role", ["resident", "phd"])
def test_a_page_for_one_reader_has_their_questions_open(valor: Record, role: str) -> None:
    page = appraise(valor, role=role)
    asked = page.section("questions")
    assert asked.open
    assert [s.open for s in asked.sections] == [True]


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on the path")
@pytest.mark.parametrize("name", ["valor", "centaur"])
def test_it_prints_on_few_sides(name: str, tmp_path: Path) -> None:
    pypdf = pytest.importorskip("pypdf", reason="pypdf is not installed: pip install pypdf")
    file, out = tmp_path / "page.html", tmp_path / "page.pdf"
    file.write_text(render(page_of(name)), encoding="utf-8")
    quiet = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    command = [str(BROWSER), *quiet, profile, "--no-pdf-header-footer", f"--print-to-pdf={out}", file.as_uri()]
    subprocess.run(command, check=True, capture_output=True, timeout=180)
    printed = pypdf.PdfReader(BytesIO(out.read_bytes()))
    text = " ".join(" ".join(side.extract_text().split()) for side in printed.pages)
    assert 5 <= len(printed.pages) <= SIDES
    for told in ("In brief", "Key findings", "Limitations", "Related trials", "Sources"):
        assert told in text  # closed sections print as well
