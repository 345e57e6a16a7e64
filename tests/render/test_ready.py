"""Ready drawings in a document: the same in every format, and nothing in them but shapes and words."""

from __future__ import annotations

import base64
import io
import json
import re
import zipfile

import pytest

from equipoise.document.document import Computation, Document, DocumentError, Figure, Section, Table, Text
from equipoise.document.shapes import beyond_shapes
from equipoise.render.page import from_json, to_docx, to_html, to_json, to_markdown, to_pptx
from equipoise.render.page.ready import MOST, Ready
from equipoise.render.plots import Plot, ls_means, success_curves

CELLS = [
    {"weeks": w, "world": x, "success": w / 100, "mc_error": 0.02} for w in (12.0, 28.0) for x in ("none", "slow <5 %>")
]


@pytest.fixture(scope="module")
def plot() -> Plot:
    return success_curves(CELLS, target=0.8, title="Success by weeks randomised")


def holding(*blocks: Figure | Table, names: list[str]) -> Document:
    section = Section("all", (Text("Everything"),), blocks)
    made = Computation("study", "a study", "virtual trials", "equipoise design next.yaml")
    return Document(
        (Text("Report"),), (Text("of a reader"),), "a study", "0", None, (section,), (), (), (made,), tuple(names)
    )


@pytest.fixture(scope="module")
def document(plot: Plot) -> Document:
    ready = Ready("study")
    figure = ready.figure("weeks", plot.title, plot.description, plot.shapes(), plot.table)
    return holding(figure, names=ready.names)


def test_property_a_ready_drawing_is_in_every_format(document: Document, plot: Plot) -> None:
    page = to_html(document)
    drawn = re.search(r'<svg xmlns="http://www.w3.org/2000/svg".*?</svg>', page, re.S)
    assert drawn is not None
    assert "var(--active" in drawn[0]
    assert "slow &lt;5 %&gt;" in drawn[0]
    assert plot.description.split(".")[0].replace("<", "&lt;").replace(">", "&gt;") in drawn[0]
    assert "#0a000" not in page.lower()
    held = re.search(r"\(data:image/svg\+xml;base64,([^)]+)\)", to_markdown(document))
    assert held is not None
    assert b"<svg" in base64.b64decode(held[1])
    assert from_json(to_json(document)) == document
    for made, folder in ((to_docx(document), "word"), (to_pptx(document), "ppt")):
        names = zipfile.ZipFile(io.BytesIO(made)).namelist()
        assert len([n for n in names if n.startswith(f"{folder}/media/")]) == 1


def test_property_a_document_sets_the_title_and_the_drawing_does_not(plot: Plot) -> None:
    assert plot.title in re.sub(r"<(title|desc)[^>]*>.*?</\1>", "", plot.svg(), flags=re.S)
    assert plot.title not in plot.shapes()
    whole, bare = (float(re.findall(r'height="([\d.]+)"', svg)[0]) for svg in (plot.svg(), plot.shapes()))
    assert 0 < whole - bare < 50


HOSTILE = {
    "script": "<script>alert(1)</script>",
    "handler": '<g onclick="alert(1)"/>',
    "foreign": "<foreignObject><b/></foreignObject>",
    "image": '<image href="http://evil.example/x.png"/>',
    "use": '<use href="#x"/>',
    "link": '<a href="javascript:alert(1)"><path d="M0 0"/></a>',
    "style": "<style>@import url(http://evil.example/)</style>",
    "styled": '<path style="fill:url(http://evil.example/)"/>',
    "paint": '<path fill="url(http://evil.example/x)"/>',
    "animate": '<animate attributeName="href" to="javascript:alert(1)"/>',
    "instruction": "<?xml-stylesheet href='http://evil.example/'?>",
    "entity": "<!DOCTYPE a [<!ENTITY b 'c'>]>",
    "broken": "<g>",
}


@pytest.mark.parametrize("inside", HOSTILE.values(), ids=HOSTILE)
def test_property_a_drawing_holds_shapes_and_words_alone(inside: str, document: Document) -> None:
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9">{inside}</svg>'
    assert beyond_shapes(svg) is not None
    data = json.loads(to_json(document))
    data["sections"][0]["blocks"][0]["chart"]["svg"] = svg
    with pytest.raises(DocumentError, match="a drawing holds"):
        from_json(json.dumps(data))


def test_property_of_very_many_numbers_the_first_are_listed_and_that_is_said() -> None:
    means = ls_means([{"arm": "a", "visit": 4.0, "estimate": 1.0, "low": 0.0, "high": 2.0}], unit="weeks")
    ready = Ready("study")
    rows = [{"visit": k, "estimate": k / 2} for k in range(MOST + 50)]
    figure = ready.figure("many", "Means", "It shows means.", means.shapes(), rows)
    assert len(figure.table.rows) == MOST
    page = to_html(holding(figure, names=ready.names))
    assert f"the first {MOST} of {MOST + 50} are listed" in page


def test_property_numbers_of_a_ready_table_lead_to_the_command() -> None:
    ready = Ready("study")
    table = ready.table("t", "Cells", [{"design": "28 weeks", "success": 0.8123, "note": "two looks", "none": None}])
    page = to_html(holding(table, names=ready.names))
    assert '<a class="k" href="#study"' in page
    assert "0.8123" in page
    assert "28 weeks" in ready.names
