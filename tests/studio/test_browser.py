"""Journeys in a real browser: the system's Chromium, driven by Playwright; nothing but loopback is reached.

Skipped where either is missing. ``EQUIPOISE_SCREENSHOTS`` names a folder in which the main views are left as pictures.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from registry_study import study
from serving import registry, served
from trial_files import write_trial

from equipoise.render.page.pdf import browser as browser_of_pdf

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: pip install playwright")

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
AXE = Path(os.environ.get("EQUIPOISE_AXE") or Path(__file__).parents[2] / "node_modules/axe-core/axe.min.js")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the path")

MAIN = {
    "library": "/",
    "appraisal": "/trial/valor?role=fellow",
    "judgements": "/trial/valor/judgements",
    "what-if": "/what-if/valor?go=1&weeks=52&patients=108&primary=mmrm&mechanism=slowing",
    "design": "/design?go=1&base=valor&mechanism=slowing&mechanism=lagged"
    "&weeks1=28&patients1=108&primary1=mmrm&weeks2=52&patients2=108&primary2=mmrm",
    "analyse": "/analyse",
}
QUICK = "/what-if/valor?go=1&weeks=12&patients=40&primary=mmrm&mechanism=slowing&seed=5"
WAIT = 240_000


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=WAIT)
        yield made
        made.close()


def opened(chromium: Any, address: str, **options: Any) -> Any:
    """A page of a fresh profile; it may reach nothing but the studio, and says so when it tries."""
    context = chromium.new_context(base_url=address, **options)
    context.set_default_timeout(WAIT)
    page = context.new_page()
    page.faults = []
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.on("console", lambda line: page.faults.append(line.text) if line.type == "error" else None)

    def reach(route: Any) -> None:
        if route.request.url.startswith((address, "data:")):
            route.continue_()
        else:
            page.faults.append(f"asked for {route.request.url}")
            route.abort()

    context.route("**/*", reach)
    return page


@pytest.fixture
def page(chromium: Any, address: str) -> Iterator[Any]:
    made = opened(chromium, address)
    yield made
    faults = made.faults
    made.context.close()
    assert not faults


def test_journey_find_a_trial_and_choose_a_reader(page: Any) -> None:
    page.goto("/")
    page.get_by_label("Search").fill("tofersen")
    page.wait_for_url("**q=tofersen**")  # the filter is in the address
    page.wait_for_selector(".trial-card:nth-child(8)", state="detached")
    page.get_by_role("link", name="VALOR", exact=True).click()
    page.wait_for_url("**/trial/valor")
    page.locator("select[name=role]").select_option("patient")
    page.wait_for_url("**/trial/valor?role=patient")
    assert page.locator('[data-reader="patient"]').count() == 1
    assert page.locator('[data-reader="editor"]').count() == 0


def test_journey_test_yourself(page: Any) -> None:
    page.goto("/trial/centaur#questions")
    page.get_by_role("button", name="Self-test, one at a time").click()
    assert page.locator("details.qa:visible").count() == 1
    first = page.locator("details.qa:visible").first.get_attribute("id")
    page.get_by_role("button", name="Next").click()
    assert page.locator("details.qa:visible").first.get_attribute("id") != first


def test_journey_judge_and_see_what_follows(page: Any) -> None:
    page.goto("/trial/centaur/judgements")
    before = page.locator(".follows").inner_text()
    for box in page.locator("select[name$='/concern']").all()[:5]:
        with page.expect_response("**/judgements"):
            box.select_option("none")
        page.wait_for_timeout(300)
    page.wait_for_url("**judgements=*")
    assert page.locator(".follows").inner_text() != before
    with page.expect_download() as kept:
        page.get_by_role("link", name="Keep the file").click()
    assert "judged_by" in Path(kept.value.path()).read_text(encoding="utf-8")


def test_journey_what_if(chromium: Any, address: str, page: Any) -> None:
    page.goto("/what-if/valor")
    page.locator("input[name=mechanism][value=slowing]").check()
    page.wait_for_url("**mechanism=slowing**")
    page.goto(QUICK)
    page.wait_for_selector("table.cells", timeout=WAIT)
    page.get_by_role("button", name="Stop").click()
    page.wait_for_selector("text=Stopped at")
    cells = page.locator("table.cells").inner_html()
    other = opened(chromium, address)
    other.goto(page.url)
    assert other.locator("table.cells").inner_html() == cells, "a copied link in a fresh profile gives the same table"
    other.context.close()
    page.get_by_role("link", name=re.compile("the first virtual trial")).first.click()
    page.wait_for_selector("svg")
    page.get_by_role("link", name="Next").click()
    page.wait_for_url("**/example/*/1?design=0")
    page.go_back()
    page.go_back()
    page.wait_for_selector("text=Stopped at")
    page.get_by_role("button", name="Go on").click()
    page.wait_for_selector("progress")
    page.get_by_role("button", name="Stop").click()
    page.wait_for_selector("text=Stopped at")


def test_journey_design_side_by_side(page: Any) -> None:
    page.goto("/design")
    page.locator("input[name=mechanism][value=slowing]").check()
    for k, weeks in ((1, "12"), (2, "28")):
        group = page.get_by_role("group", name=f"Design {k}")
        group.get_by_label("Weeks randomised").fill(weeks)
        group.locator("input[name^=patients]").fill("40")
        group.get_by_label("Primary analysis").select_option("mmrm")
    page.get_by_role("button", name="Judge them").click()
    page.wait_for_selector("table.differences", timeout=WAIT)
    page.get_by_role("button", name="Stop").click()
    with page.expect_download() as kept:
        page.get_by_role("link", name="Study as YAML").click()
    assert "only" in Path(kept.value.path()).read_text(encoding="utf-8")


def test_journey_bring_an_entry_and_report(page: Any, tmp_path: Path) -> None:
    entry = tmp_path / "entry.json"
    told = study()
    told["protocolSection"]["identificationModule"]["nctId"] = "NCT07654321"
    entry.write_text(json.dumps(told), encoding="utf-8")
    page.goto("/import")
    page.locator("input[type=file]").set_input_files(str(entry))
    page.get_by_role("button", name="Bring it in").click()
    page.get_by_role("link", name="Read its page").click()
    page.wait_for_selector("#brief")
    page.get_by_role("button", name="Open every section").click()
    page.locator("p.add button:visible").first.click()
    page.wait_for_selector(".badge")
    page.goto("/basket")
    with page.expect_download() as kept:
        page.get_by_role("link", name="Report as html").click()
    assert Path(kept.value.path()).read_text(encoding="utf-8").startswith("<!doctype html>")


def test_journey_an_entry_by_its_number(chromium: Any, tmp_path: Path) -> None:
    told = study()
    told["protocolSection"]["identificationModule"]["nctId"] = "NCT07654321"
    with registry({"NCT07654321": told}) as there, served(workspace=tmp_path, registry=there) as address:
        page = opened(chromium, address)
        page.goto("/import")
        page.get_by_label("or its number").fill("NCT07654321")
        page.get_by_role("button", name="Bring it in").click()
        page.wait_for_selector("text=could not be mapped")
        page.get_by_role("link", name="Read its page").click()
        page.wait_for_selector("#brief")
        assert not page.faults
        page.context.close()


def test_journey_analyse_a_trial_and_report_it(chromium: Any, tmp_path: Path) -> None:
    trial = write_trial(tmp_path / "brought")
    with served(workspace=tmp_path / "w") as address:
        page = opened(chromium, address)
        page.goto("/analyse")
        page.locator("input[type=file]").set_input_files([str(p) for p in sorted(trial.iterdir())])
        page.get_by_role("button", name="Bring them").click()
        page.wait_for_selector("text=Nothing is wrong with the data")
        page.get_by_label("Make Populations").uncheck()
        page.locator("summary", has_text="ADEFF.ALSFRS.ANCOVA").click()
        page.locator("input[name='at/analyses/2/sections/2/label']").fill("Change from baseline")
        page.get_by_role("button", name="Carry it out", exact=True).click()
        page.wait_for_url("**/analysis/*")
        page.wait_for_selector("iframe", timeout=WAIT)
        assert "Change from baseline" in page.frame_locator("iframe").locator("body").inner_text()
        with page.expect_download() as kept:
            page.get_by_role("link", name="Keep everything (zip)").click()
        assert "tables.html" in zipfile.ZipFile(kept.value.path()).namelist()
        other = opened(chromium, address)
        other.goto(page.url)
        assert other.locator("iframe").count() == 1, "a copied link in a fresh profile shows the same tables"
        other.context.close()
        for name in ("Figure ADEFF.ALSFRS.MMRM", "Table ADEFF.ALSFRS.ANCOVA"):
            page.get_by_role("button", name=f"Add to report: {name}").click()
            page.wait_for_selector(".badge")
        page.goto("/basket")
        files = kept_as(page, ("html", "docx", *(("pdf",) if browser_of_pdf() else ())))
        assert b"<svg" in files["html"]
        assert any(n.startswith("word/media/") for n in zipfile.ZipFile(io.BytesIO(files["docx"])).namelist())
        assert files.get("pdf", b"%PDF").startswith(b"%PDF")
        assert not page.faults
        page.context.close()


def test_journey_drawings_of_a_study_in_the_report(chromium: Any, page: Any) -> None:
    page.goto(QUICK)
    page.wait_for_selector("table.cells", timeout=WAIT)
    if page.get_by_role("button", name="Stop").count():
        page.get_by_role("button", name="Stop").click()
    page.wait_for_selector("text=Stopped at")
    page.get_by_role("button", name=re.compile("Add to report: Mean change, slowing")).click()
    page.wait_for_selector(".badge")
    page.get_by_role("link", name=re.compile("slowing: the first virtual trial")).click()
    page.get_by_role("button", name="Add to report: this virtual trial").click()
    page.goto("/basket")
    files = kept_as(page, ("html", "docx", *(("pdf",) if browser_of_pdf() else ())))
    assert files["html"].count(b'<svg xmlns="http://www.w3.org/2000/svg"') == 2
    media = [n for n in zipfile.ZipFile(io.BytesIO(files["docx"])).namelist() if n.startswith("word/media/")]
    assert len(media) == 2
    assert files.get("pdf", b"%PDF").startswith(b"%PDF")
    read = chromium.new_page()
    read.set_content(files["html"].decode())
    assert read.locator("svg.chart path").count() > 10
    read.close()
    page.get_by_role("button", name="Empty it").click()
    page.wait_for_selector("text=Nothing yet")


def kept_as(page: Any, kinds: tuple[str, ...]) -> dict[str, bytes]:
    """The report in each format, as the browser keeps it."""
    out = {}
    for kind in kinds:
        with page.expect_download(timeout=WAIT) as kept:
            page.get_by_role("link", name=f"Report as {kind}").click()
        out[kind] = Path(kept.value.path()).read_bytes()
    return out


def test_journey_without_script(chromium: Any, address: str) -> None:
    page = opened(chromium, address, java_script_enabled=False)
    page.goto("/")
    page.locator("#q").fill("tofersen")
    page.get_by_role("button", name="Show").click()
    assert 0 < page.locator(".trial-card").count() < 10
    page.goto("/trial/centaur")
    page.locator("select[name=role]").select_option("editor")
    page.get_by_role("button", name="Show").click()
    assert page.locator('[data-reader="editor"]').count() == 1
    page.goto(QUICK)
    for _ in range(600):
        if page.locator("table.cells").count():
            break
        page.wait_for_timeout(400)
        page.goto(QUICK)
    assert page.locator("table.cells").count() == 1
    page.context.close()


def test_journey_by_keyboard_alone(page: Any) -> None:
    page.goto("/trial/centaur")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.url.endswith("#main")
    page.goto("/")
    seen = set()
    for _ in range(14):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.textContent.trim().slice(0, 20)"))
    assert {"Library", "Landscape", "What if", "Design", "Analyse", "Report"} <= seen
    page.goto("/trial/centaur")
    page.locator("select[name=stage]").focus()
    page.keyboard.press("ArrowDown")
    page.wait_for_url("**stage=*")
    page.wait_for_function("document.activeElement.name === 'stage'")  # and goes on from there


def test_journey_jobs_survive_the_server(chromium: Any, tmp_path: Path) -> None:
    with served(workspace=tmp_path) as first:
        page = opened(chromium, first)
        page.goto(QUICK)
        page.wait_for_selector("table.cells", timeout=WAIT)
        page.context.close()
    with served(workspace=tmp_path) as second:
        page = opened(chromium, second)
        page.goto(QUICK)
        page.wait_for_selector("table.cells", timeout=WAIT)
        assert page.get_by_text("Computing").count() + page.get_by_text("Waiting").count() == 1
        page.get_by_role("button", name="Stop").click()
        page.wait_for_selector("text=Stopped at")
        page.context.close()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("view", MAIN)
def test_property_the_main_views_fit_and_axe_is_content(
    chromium: Any, address: str, view: str, width: int, scheme: str
) -> None:
    page = opened(chromium, address, viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True)
    page.goto(MAIN[view])
    if "go=1" in MAIN[view]:
        page.wait_for_selector("table.cells", timeout=WAIT)
        if page.get_by_role("button", name="Stop").count():
            page.get_by_role("button", name="Stop").click()
        page.wait_for_selector("text=Stopped at")
    if view == "design":
        page.locator("h2").filter(has_text="3.").evaluate("e => e.scrollIntoView()")
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "nothing is cut at the side"
    if folder := os.environ.get("EQUIPOISE_SCREENSHOTS"):
        page.screenshot(path=str(Path(folder) / f"studio-{view}-{width}-{scheme}.png"))
    if AXE.is_file():
        page.add_script_tag(path=str(AXE))
        found = page.evaluate("axe.run(document).then(r => r.violations.map(v => v.id + ': ' + v.nodes[0].html))")
        assert found == []
    assert not page.faults
    page.context.close()
