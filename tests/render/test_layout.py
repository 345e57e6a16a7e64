"""Pages laid out by headless Chromium: nothing spills at any width, and the printed page is whole and of modest size.

Chromium is looked for on the path; without it the tests are skipped.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from equipoise.appraise import appraise, in_brief, in_slides
from equipoise.appraise.landscape import landscape
from equipoise.document.document import Document
from equipoise.records import list_records, load_record
from equipoise.render import render

sys.path.insert(0, str(Path(__file__).parents[1] / "appraise"))

from synthetic_replica import synthetic_replica

BROWSER = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
)
pytestmark = [pytest.mark.slow, pytest.mark.skipif(BROWSER is None, reason="no Chromium on the path")]

MEASURE = """
window.addEventListener("load", function () {
  document.querySelectorAll("details").forEach(function (d) { d.open = true; });
  var over = [], width = document.documentElement.clientWidth;
  document.querySelectorAll("body *").forEach(function (e) {
    var box = e.getBoundingClientRect();
    if (box.width && box.right > width + 1 && !e.closest(".scroll:not(.fits), pre, svg, .skip")) {
      over.push(e.tagName + " " + e.className + " " + e.textContent.slice(0, 40));
    }
  });
  var pre = document.createElement("pre");
  pre.id = "told";
  pre.textContent = JSON.stringify({over: over.slice(0, 5), page: document.documentElement.scrollWidth, width: width});
  document.body.appendChild(pre);
});
"""


def page_of(name: str) -> Document:
    if name == "brief":
        return in_brief("valor")
    if name == "slides":
        return in_slides("valor")
    if name == "landscape":
        return landscape("als", [info.record for info in list_records() if info.record is not None])
    record = load_record(name)
    return appraise(record, synthetic_replica(record))


def laid_out(page: str, folder: Path, width: int) -> dict[str, Any]:
    """What the page says of itself inside a frame of ``width`` pixels (a window cannot be made as narrow)."""
    page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    tell = "parent.document.body.appendChild(parent.document.importNode(pre, true));"
    script = MEASURE.replace("document.body.appendChild(pre);", tell)
    (folder / "page.html").write_text(page.replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
    outer = folder / "outer.html"
    outer.write_text(f'<!doctype html><iframe src="page.html" width="{width}" height="800"></iframe>', encoding="utf-8")
    command = [
        str(BROWSER),
        *QUIET,
        "--allow-file-access-from-files",
        "--virtual-time-budget=20000",
        "--dump-dom",
        f"--user-data-dir={folder / 'profile'}",
        "--window-size=1500,900",
        outer.as_uri(),
    ]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False).stdout
    found = re.search(r'<pre id="told">(.*?)</pre>', dom, re.DOTALL)
    assert found is not None, "the page told nothing"
    told: dict[str, Any] = json.loads(html.unescape(found[1]))
    return told


@pytest.mark.parametrize("width", [360, 390, 768, 1280])
@pytest.mark.parametrize("name", ["valor", "centaur", "landscape", "brief", "slides"])
def test_nothing_spills_at_any_width(name: str, width: int, tmp_path: Path) -> None:
    told = laid_out(render(page_of(name)), tmp_path, width)
    assert told["over"] == []
    assert told["page"] <= told["width"] + 1


def test_what_spills_is_noticed(tmp_path: Path) -> None:
    bad = "<!doctype html><html><head></head><body><p style='width:900px'>wide</p></body></html>"
    assert laid_out(bad, tmp_path, 390)["over"] == ["P  wide"]


@pytest.mark.parametrize("name", ["valor", "riluzole1994"])
def test_the_printed_page_is_of_modest_size(name: str, tmp_path: Path) -> None:
    file, out = tmp_path / "page.html", tmp_path / "page.pdf"
    file.write_text(render(page_of(name)), encoding="utf-8")
    command = [
        str(BROWSER),
        *QUIET,
        f"--user-data-dir={tmp_path / 'profile'}",
        "--no-pdf-header-footer",
        f"--print-to-pdf={out}",
        file.as_uri(),
    ]
    subprocess.run(command, capture_output=True, timeout=600, check=False)
    data = out.read_bytes()
    assert data.startswith(b"%PDF")
    assert len(data) < 3_500_000
    assert len(re.findall(rb"/Type\s*/Page\b", data)) < 60
    assert b"/Subtype /Type3" not in data  # text stays text: no glyph was drawn by its outline


@pytest.mark.parametrize("name", ["valor", "riluzole1994", "edaravone2017", "centaur", "landscape"])
def test_a_page_is_under_two_megabytes(name: str) -> None:
    assert len(render(page_of(name)).encode()) < 2_000_000
