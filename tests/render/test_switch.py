"""The switch of readers in a browser: what it shows, orders, keeps in the address, and the self-test.

Chromium is looked for on the path; without it the test is skipped. The page's policy is lifted for the test's own
script.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from equipoise.appraise import question_set
from equipoise.document.document import Question, walk
from equipoise.document.readers import Reader
from equipoise.records import load_record
from equipoise.render import to_html

BROWSER = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
pytestmark = [pytest.mark.slow, pytest.mark.skipif(BROWSER is None, reason="no Chromium on the path")]

STEPS = """
var out = {}, bar = document.querySelector(".controls");
function list(root, query) { return Array.prototype.slice.call(root.querySelectorAll(query)); }
function press(text) { list(bar, "button").filter(function (b) { return b.textContent === text; })[0].click(); }
function pick(facet, value) {
  var s = bar.querySelector("select[data-facet=" + facet + "]");
  s.value = value;
  s.dispatchEvent(new Event("change"));
}
function seen() {
  return list(document, "details.qa").filter(function (d) { return !d.hidden && !d.closest("section[hidden]"); });
}
function note(name) {
  out[name] = {
    ids: seen().map(function (d) { return d.id.slice(2); }),
    open: seen().filter(function (d) { return d.open; }).length,
    readers: list(document, "[data-reader]:not([hidden])").map(function (s) { return s.getAttribute("data-reader"); }),
    pressed: list(bar, "[data-role][aria-pressed=true]").map(function (b) { return b.getAttribute("data-role"); }),
    count: bar.querySelector(".count").textContent, hash: location.hash, bar: !bar.hidden,
    focus: document.activeElement && document.activeElement.parentNode.id,
    button: document.activeElement && document.activeElement.getAttribute("data-role")
  };
}
note("start");
press("Resident"); note("resident");
pick("specialty", "genetics"); note("genetics");
pick("stage", "decision"); note("decision");
press("Show all answers"); note("opened");
setTimeout(function () {
  press("Hide all answers"); note("closed");
  press("Self-test, one at a time"); note("test");
  press("Next"); note("next");
  press("Self-test, one at a time"); press("Everyone"); pick("stage", ""); pick("specialty", ""); note("end");
  document.querySelector("nav.readers a[data-role=patient]").click(); note("head");
  location.hash = "#role=phd&level=advanced&stage=<img>";
  setTimeout(function () {
    note("hash");
    var pre = document.createElement("pre");
    pre.id = "out";
    pre.textContent = JSON.stringify(out);
    document.body.appendChild(pre);
  }, 100);
}, 100);
"""


def drive(page: str, folder: Path, fragment: str = "") -> dict[str, Any]:
    """The page after the steps, told by the page itself."""
    page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    file = folder / "page.html"
    file.write_text(page.replace("</body>", f"<script>{STEPS}</script></body>"), encoding="utf-8")
    quiet = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
    wait = ("--disable-component-update", "--virtual-time-budget=20000", "--dump-dom")
    command = [str(BROWSER), *quiet, *wait, f"--user-data-dir={folder / 'profile'}", file.as_uri() + fragment]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False).stdout
    found = re.search(r'<pre id="out">(.*?)</pre>', dom, re.DOTALL)
    assert found is not None, "the steps did not run to their end"
    told: dict[str, Any] = json.loads(html.unescape(found[1]))
    return told


def ids(**choice: str) -> list[str]:
    document = question_set(load_record("valor"), reader=Reader(**choice))
    return [n.id.removeprefix("q-") for n in walk(document.sections) if isinstance(n, Question)]


def test_the_switch_shows_what_the_command_writes(tmp_path: Path) -> None:
    told = drive(to_html(question_set(load_record("valor"))), tmp_path)
    assert told["start"]["bar"]
    assert told["start"]["ids"] == ids()
    assert told["start"]["pressed"] == [""]
    # the same questions in the same order as by --role and --specialty
    assert told["resident"]["ids"] == ids(role="resident")
    assert told["resident"]["readers"] == ["resident"]
    assert told["resident"]["pressed"] == ["resident"]
    assert told["resident"]["hash"] == "#role=resident"
    assert told["genetics"]["ids"] == ids(role="resident", specialty="genetics")
    assert told["decision"]["ids"] == ids(role="resident", specialty="genetics", stage="decision")
    assert told["decision"]["hash"] == "#role=resident&specialty=genetics&stage=decision"
    assert told["opened"]["open"] == len(told["decision"]["ids"])
    assert told["closed"]["open"] == 0
    # the self-test: one at a time, the next one under the keyboard
    assert told["test"]["ids"] == told["decision"]["ids"][:1]
    assert told["test"]["count"] == f"Question 1 of {len(told['decision']['ids'])}"
    assert told["next"]["ids"] == told["decision"]["ids"][1:2]
    assert told["next"]["focus"] == f"q-{told['next']['ids'][0]}"
    assert told["end"]["ids"] == told["start"]["ids"]
    assert told["end"]["hash"] == "#questions"
    # the links in the head choose the reader, and the keyboard goes on from there
    assert told["head"]["ids"] == ids(role="patient")
    assert told["head"]["pressed"] == ["patient"]
    assert told["head"]["button"] == "patient"
    # a choice in the address; what is not offered is ignored
    assert told["hash"]["ids"] == ids(role="phd", level="advanced")


def test_an_address_with_a_choice_opens_with_it(tmp_path: Path) -> None:
    told = drive(to_html(question_set(load_record("valor"))), tmp_path, "#role=patient&stage=decision")
    assert told["start"]["ids"] == ids(role="patient", stage="decision")
