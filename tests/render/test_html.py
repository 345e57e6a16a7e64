"""The HTML page: one file, well formed, reachable by keyboard and ear, readable in light and dark."""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
import subprocess
import sys
from pathlib import Path

import pytest
from reading import Page

from equipoise.appraise import appraise
from equipoise.document.document import Document, Table, Text
from equipoise.document.readers import READERS
from equipoise.records import Record
from equipoise.render import to_html
from equipoise.render.page.html import safe_url, stacks


@pytest.fixture(scope="module")
def html(full_page: Document) -> str:
    return to_html(full_page)


@pytest.fixture(scope="module")
def read(html: str) -> Page:
    return Page(html)


# -- self-contained ------------------------------------------------------------------------------------------------


def test_nothing_is_loaded_from_anywhere(read: Page, html: str) -> None:
    for element in read.elements:
        for name in ("src", "srcset", "data", "poster", "background", "action", "formaction", "xlink:href"):
            assert name not in element.attrs, element
        if "href" in element.attrs:
            assert element.tag == "a", element
    assert not read.all("link")
    for tag in ("img", "iframe", "object", "embed", "form", "base", "image", "use"):
        assert not read.all(tag)
    style = " ".join(e.text for e in read.all("style"))
    assert "@import" not in style
    assert "@font-face" not in style
    assert not re.findall(r"url\((?!#)", html)


def test_the_page_forbids_any_script_but_its_own(read: Page) -> None:
    (meta,) = [m for m in read.all("meta") if m.attrs.get("http-equiv") == "Content-Security-Policy"]
    (script,) = read.all("script")
    digest = base64.b64encode(hashlib.sha256(script.text.encode()).digest()).decode()
    policy = meta.attrs["content"]
    assert "default-src 'none'" in policy
    assert f"script-src 'sha256-{digest}'" in policy
    assert "unsafe-eval" not in policy


def test_outgoing_links_are_http_and_tell_nothing(read: Page) -> None:
    outgoing = [a for a in read.all("a") if not a.attrs["href"].startswith("#")]
    assert outgoing
    for a in outgoing:
        assert a.attrs["href"].startswith(("https://", "http://"))
        assert a.attrs["rel"] == "noopener noreferrer"


# -- structure -----------------------------------------------------------------------------------------------------


def test_headings_run_without_gaps(read: Page) -> None:
    levels = [int(e.tag[1]) for e in read.elements if re.fullmatch(r"h[1-6]", e.tag)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))
    titles = [e.text.strip() for e in read.elements if e.tag == "h2"]
    assert titles == [
        "In brief",
        "Bottom line",
        "Key findings",
        "Design",
        "Results",
        "Safety, in absolute risks",
        "What the replica says",
        "Limitations",
        "Clinical significance",
        "Is neurofilament a surrogate here?",
        "How should the next trial be designed?",
        "Certainty and decision",
        "Questions by reader",
        "Historical context",
        "Related trials",
        "Coherence notes",
        "How this page was made",
        "Sources",
        "Computed numbers",
    ]
    readers = [e for e in read.all("h3") if e.parents[-3:] and "data-reader" in e.parents[-3].attrs]
    assert [(e.tag, e.text.strip()) for e in readers] == [("h3", name) for name in READERS.values()]


def test_landmarks_language_and_skip_link(read: Page) -> None:
    assert read.elements[0].tag == "html"
    assert read.elements[0].attrs["lang"] == "en-GB"
    assert [len(read.all(tag)) for tag in ("main", "header", "footer")] == [1, 1, 1]
    assert [nav.attrs["aria-label"] for nav in read.all("nav")] == ["Contents", "Questions by reader"]
    links = read.all("a")
    assert links[0].attrs == {"class": "skip", "href": "#main"}
    assert read.all("main")[0].attrs["id"] == "main"
    assert read.all("title")[0].text.startswith("VALOR")
    (viewport,) = read.all("meta", name="viewport")
    assert viewport.attrs["content"] == "width=device-width, initial-scale=1"
    for section in read.all("section"):
        assert section.attrs["aria-labelledby"] in read.ids


def test_ids_are_unique_and_every_inner_link_leads_somewhere(read: Page) -> None:
    assert len(read.ids) == len(set(read.ids))
    ids = set(read.ids)
    for element in read.elements:
        if element.attrs.get("href", "").startswith("#"):
            assert element.attrs["href"][1:] in ids, element.attrs
        for name in ("aria-labelledby", "aria-describedby"):
            assert set(element.attrs.get(name, "").split()) <= ids
    used = set(re.findall(r"url\(#([^)]+)\)", " ".join(v for e in read.elements for v in e.attrs.values())))
    assert used <= ids


def test_every_number_link_says_where_it_is_from(read: Page) -> None:
    numbers = [*read.all("a", class_="n"), *read.all("a", class_="k")]
    inside = [a for a in numbers if a.inside("main")]
    assert len(inside) > 500
    for a in inside:
        assert a.attrs["title"]
        assert a.text.strip()


def test_tables_have_captions_and_scopes(read: Page) -> None:
    tables = read.all("table")
    assert len(tables) > 8
    for table in tables:
        assert table.children[0].tag == "caption"
        assert table.children[0].text.strip()
        region = table.parents[-1]
        assert region.attrs["role"] == "region"
        assert region.attrs["tabindex"] == "0"
        assert region.attrs["aria-labelledby"] == table.children[0].attrs["id"]
    for th in read.all("th"):
        assert th.attrs["scope"] in ("col", "row", "rowgroup")
        if th.attrs["scope"] == "rowgroup":
            assert th.parents[-2].tag == "tbody"
            assert th.parents[-2].children[0] is th.parents[-1]


def test_charts_have_words(read: Page) -> None:
    charts = read.all("svg", class_="chart")
    assert len(charts) > 15
    for chart in charts:
        assert chart.attrs["role"] == "img"
        named = chart.attrs["aria-labelledby"].split()
        tags = [c.tag for c in chart.children[:2]]
        assert tags == ["title", "desc"]
        assert [c.attrs["id"] for c in chart.children[:2]] == named
        assert all(c.text.strip() for c in chart.children[:2])
    for figure in read.all("figure"):
        assert [c.tag for c in figure.children if c.tag in ("figcaption", "details")] == ["figcaption", "details"]


def test_questions_work_without_script(read: Page) -> None:
    questions = read.all("details", class_="qa")
    assert len(questions) >= 20
    for q in questions:
        assert q.children[0].tag == "summary"
        assert "open" not in q.attrs
    for bar in read.all("div", class_="controls"):
        assert "hidden" in bar.attrs
    for section in read.all("section"):
        assert "hidden" not in section.attrs


# -- colour --------------------------------------------------------------------------------------------------------


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(one: str, two: str) -> float:
    low, high = sorted((luminance(one), luminance(two)))
    return (high + 0.05) / (low + 0.05)


def palettes(html: str) -> list[dict[str, str]]:
    blocks = re.findall(r":root \{(.*?)\}", html, re.DOTALL)
    light, dark = (dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block)) for block in blocks)
    return [light, {**light, **dark}]


@pytest.mark.parametrize("scheme", [0, 1])
@pytest.mark.parametrize("words", ["ink", "muted", "link", "computed", "accent"])
@pytest.mark.parametrize("ground", ["paper", "ground", "tint", "warn", "mark"])
def test_reference_text_contrast_is_aa(html: str, scheme: int, words: str, ground: str) -> None:
    """WCAG 2.2, success criterion 1.4.3: at least 4.5 to 1."""
    palette = palettes(html)[scheme]
    assert contrast(palette[words], palette[ground]) >= 4.5


@pytest.mark.parametrize("scheme", [0, 1])
@pytest.mark.parametrize("colour", ["active", "control", "accent", "ink", "muted"])
def test_reference_graphics_contrast_is_aa(html: str, scheme: int, colour: str) -> None:
    """WCAG 2.2, success criterion 1.4.11: at least 3 to 1."""
    palette = palettes(html)[scheme]
    assert contrast(palette[colour], palette["paper"]) >= 3.0


def test_charts_take_their_colours_from_the_page(read: Page) -> None:
    marks = {v for e in read.elements if e.inside("svg") for k, v in e.attrs.items() if k in ("fill", "stroke")}
    assert all(v in ("none", "transparent") or v.startswith("url(") for v in marks), marks


# -- other documents -----------------------------------------------------------------------------------------------


def test_a_record_without_results_can_be_read(tiny: Record) -> None:
    page = Page(to_html(appraise(tiny)))
    assert page.all("h1")[0].text == "A tiny trial"
    assert not page.all("figure")


def test_a_single_reader_needs_no_switch(valor: Record) -> None:
    page = Page(to_html(appraise(valor, role="fellow")))
    assert not [b for b in page.all("button") if "data-role" in b.attrs]
    assert [s.attrs["data-reader"] for s in page.all("section") if "data-reader" in s.attrs] == ["fellow"]


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("https://example.org/a?b=c", "https://example.org/a?b=c"),
        ("#here", "#here"),
        ("javascript:alert(1)", None),
        (" JaVaScRiPt:alert(1)", None),
        ("data:text/html,x", None),
        ("//example.org", None),
        ("file:///etc/passwd", None),
        ("http://[broken", None),
        ("", None),
        (None, None),
    ],
)
def test_only_web_addresses_become_links(address: str | None, expected: str | None) -> None:
    assert safe_url(address) == expected


def test_importing_the_room_loads_no_renderer() -> None:
    code = "import sys, equipoise.render, equipoise.appraise; " + (
        "print([m for m in ('altair', 'vl_convert', 'jinja2', 'numba', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_templates_escape_by_default() -> None:
    from equipoise.render.page.html import _environment

    assert _environment().autoescape is True
    folder = Path(__file__).parents[2] / "src" / "equipoise" / "render" / "templates"
    for template in folder.glob("*.j2"):
        text = template.read_text(encoding="utf-8")
        assert "|safe" not in text.replace(" ", "").replace("|safe_url", "")
        assert "autoescape" not in text


def test_rows_that_become_blocks_keep_their_roles_and_name_every_cell(read: Page) -> None:
    stacked = [e for e in read.elements if e.tag == "table" and "stack" in e.attrs.get("class", "")]
    assert "t-results" in {e.attrs.get("id") for e in stacked}
    assert all(e.attrs.get("role") == "table" for e in stacked)
    cells = [e for e in read.elements if e.tag == "td" and e.attrs.get("role") == "cell"]
    assert cells
    assert all(e.attrs.get("data-label") for e in cells)


def test_tables_of_numbers_alone_are_not_broken_into_blocks() -> None:
    def made(*numeric: bool) -> Table:
        return Table("t-x", (Text("x"),), tuple((Text("a"),) for _ in numeric), (), numeric)

    assert not stacks(made(False, True, True))
    assert stacks(made(False, True, False))
    assert not stacks(made(False, False))


def test_the_head_leads_to_every_reader(read: Page) -> None:
    nav = [e for e in read.elements if e.tag == "a" and e.attrs.get("data-role")]
    assert [e.attrs.get("data-role") for e in nav] == list(READERS)
    assert all(e.attrs.get("href") == f"#for-{e.attrs['data-role']}" for e in nav)


def test_a_single_reader_needs_no_choice_in_the_head(valor: Record) -> None:
    assert 'aria-label="Questions by reader"' not in to_html(appraise(valor, role="resident"))


def test_print_opens_every_section_and_draws_no_outlined_text(html: str) -> None:
    rules = html[html.index("@media print") : html.index("</style>")]
    assert "main > section > details.part::details-content { content-visibility: visible; display: block; }" in rules
    assert "svg.chart text { stroke: none; }" in rules
    assert "a.n, a.k { text-decoration: none" in rules


def test_motion_is_only_for_those_who_do_not_mind(html: str) -> None:
    assert html.count("scroll-behavior") == 1
    assert "@media (prefers-reduced-motion: no-preference) { html { scroll-behavior: smooth; } }" in html
