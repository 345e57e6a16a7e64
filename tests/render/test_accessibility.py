"""The pages under axe in headless Chromium: WCAG 2.2 A and AA and axe's best practice, wide, narrow and dark.

Chromium is looked for on the path; axe-core's ``axe.min.js`` under ``EQUIPOISE_AXE`` or ``node_modules/axe-core``
(``npm install --no-save axe-core``). Without them the tests are skipped, with the reason.
"""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from equipoise.appraise import appraise, in_brief, in_slides
from equipoise.appraise.landscape import landscape
from equipoise.records import list_records, load_record
from equipoise.records.registry import read_study
from equipoise.render import render

sys.path.insert(0, str(Path(__file__).parents[1] / "appraise"))

from synthetic_replica import synthetic_replica

BROWSER = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
AXE = Path(os.environ.get("EQUIPOISE_AXE") or Path(__file__).parents[2] / "node_modules/axe-core/axe.min.js")
SHARED = Path(os.environ.get("EQUIPOISE_SHARED", Path(__file__).parents[3] / "shared"))
ENTRY = SHARED / "data" / "ctgov" / "NCT02623699.json"
VIEWS = {"wide": ("1280,900", False), "phone": ("390,844", False), "dark": ("1280,900", True)}
RUN = """
if (OPENED) { document.querySelectorAll("details").forEach(function (d) { d.open = true; }); }
axe.run(document, {runOnly: {type: "tag", values:
  ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}}).then(function (r) {
  var out = document.createElement("pre");
  out.id = "axe-out";
  out.textContent = JSON.stringify(r.violations.map(function (v) {
    return v.id + ": " + v.help + " " + v.nodes.slice(0, 3).map(function (n) { return n.html.slice(0, 160); });
  }));
  document.body.appendChild(out);
});
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium on the path"),
    pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not installed: npm install --no-save axe-core"),
]


def violations(page: str, folder: Path, view: str, *, opened: bool = True) -> list[str]:
    """What axe finds on a page with everything ``opened``, or as it is at first; its own policy is lifted so that axe
    can run inside it."""
    page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    run = RUN.replace("OPENED", str(opened).lower())
    script = f"<script>{AXE.read_text(encoding='utf-8')}</script><script>{run}</script></body>"
    file = folder / "page.html"
    file.write_text(page.replace("</body>", script), encoding="utf-8")
    size, dark = VIEWS[view]
    quiet = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
    theme = ("--blink-settings=preferredColorScheme=0",) if dark else ()
    profile = f"--user-data-dir={folder / 'profile'}"
    wait = ("--disable-component-update", "--virtual-time-budget=60000", "--dump-dom")
    command = [str(BROWSER), *quiet, *wait, *theme, profile, f"--window-size={size}", file.as_uri()]
    out = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False).stdout
    found = re.search(r'<pre id="axe-out">(.*?)</pre>', out, re.DOTALL)
    assert found is not None, "axe gave no result"
    answer: list[str] = json.loads(html.unescape(found[1]))
    return answer


def test_axe_finds_what_is_wrong(tmp_path: Path) -> None:
    body = "<img src='x.png'><p style='color:#ccc'>faint</p>"
    bad = f"<!doctype html><html><head><title>x</title></head><body>{body}</body></html>"
    found = " ".join(violations(bad, tmp_path, "wide"))
    for rule in ("image-alt", "html-has-lang", "color-contrast"):
        assert rule in found


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("name", ["valor", "riluzole1994", "edaravone2017", "centaur"])
def test_appraisals_pass(name: str, view: str, tmp_path: Path) -> None:
    assert violations(render(appraise(load_record(name))), tmp_path, view) == []


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("name", ["valor", "riluzole1994", "edaravone2017", "centaur"])
def test_appraisals_with_a_replica_pass(name: str, view: str, tmp_path: Path) -> None:
    record = load_record(name)
    assert violations(render(appraise(record, synthetic_replica(record))), tmp_path, view) == []


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("name", ["valor", "riluzole1994", "edaravone2017", "centaur"])
def test_a_page_with_its_sections_closed_passes(name: str, view: str, tmp_path: Path) -> None:
    record = load_record(name)
    page = render(appraise(record, synthetic_replica(record)))
    assert violations(page, tmp_path, view, opened=False) == []


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("name", ["valor", "riluzole1994", "edaravone2017", "centaur", "healey_cnmau8"])
def test_briefs_pass(name: str, view: str, tmp_path: Path) -> None:
    assert violations(render(in_brief(name)), tmp_path, view) == []


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("name", ["valor", "riluzole1994", "edaravone2017", "centaur", "healey_cnmau8"])
def test_slides_pass(name: str, view: str, tmp_path: Path) -> None:
    assert violations(render(in_slides(name)), tmp_path, view) == []


@pytest.mark.parametrize("view", VIEWS)
def test_slides_with_a_replica_pass(view: str, tmp_path: Path) -> None:
    record = load_record("valor")
    assert violations(render(in_slides(record, synthetic_replica(record))), tmp_path, view) == []


@pytest.mark.skipif(not ENTRY.is_file(), reason=f"no registry entry {ENTRY}")
@pytest.mark.parametrize("view", VIEWS)
def test_an_imported_entry_passes(view: str, tmp_path: Path) -> None:
    assert violations(render(appraise(read_study(str(ENTRY)).record)), tmp_path, view) == []


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("role", ["patient", "phd"])
def test_the_questions_of_one_reader_pass(role: str, view: str, tmp_path: Path) -> None:
    page = appraise(load_record("valor"), role=role)
    kept = ("questions", "certainty", "coherence", "surrogate")  # and what answers lead to
    alone = replace(page, sections=tuple(s for s in page.sections if s.id in kept))
    assert violations(render(alone), tmp_path, view) == []


@pytest.mark.parametrize("view", VIEWS)
def test_the_landscape_passes(view: str, tmp_path: Path) -> None:
    records = [info.record for info in list_records() if info.record is not None]
    assert violations(render(landscape("als", records)), tmp_path, view) == []
