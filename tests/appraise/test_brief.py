"""The brief: one printed side of every record, the same blocks as the first screen of its page."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from test_every_number import ENTRIES, SHARED, Held, led
from test_every_record import SHIPPED, words
from typer.testing import CliRunner

from equipoise.appraise import appraise, in_brief
from equipoise.appraise.build import draft
from equipoise.appraise.sections import brief
from equipoise.appraise.sections.limitations import build as limitations
from equipoise.cli.main import app
from equipoise.document.document import (
    Cited,
    Computed,
    Document,
    Facts,
    Fold,
    Link,
    Listing,
    Note,
    Stat,
    Stats,
    Table,
    plain,
    walk,
)
from equipoise.records import Record, load_record
from equipoise.render import render
from equipoise.replica.replica import Replica

BROWSER = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)


@cache
def brief_of(name: str) -> Document:
    return in_brief(load_record(name))


def tiles(page: Document) -> dict[str, Stat]:
    stats = next(n for n in walk(page.section("brief")) if isinstance(n, Stats))
    return {plain(s.label): s for s in stats.items}


def visible(page: Document) -> str:
    """All words of the brief, those of its lists and facts included."""
    more = [plain(item) for n in walk(page.sections) if isinstance(n, Listing) for item in n.items]
    for node in walk(page.sections):
        if isinstance(node, Facts):
            more += [plain(run) for pair in node.items for run in pair]
    return "\n".join([words(page), *more])


def whole(record: Record, page: Document) -> None:
    """It holds each of its parts, is short, and opens nothing."""
    assert page.kind == "brief"
    assert [s.id for s in page.sections] == ["brief"]
    assert not any(isinstance(n, Fold | Table) for n in walk(page.sections))
    assert not any(n.target.startswith("#") for n in walk(page.sections) if isinstance(n, Link))
    found = tiles(page)
    assert next(iter(found)) in ("Primary endpoint", "Comparison")
    assert "Certainty of the evidence" in found
    assert any(label.startswith("Harm") for label in found)
    (caveats,) = [n for n in walk(page.sections) if isinstance(n, Listing)]
    assert len(caveats.items) == 3
    facts = {plain(term): plain(said) for n in walk(page.sections) if isinstance(n, Facts) for term, said in n.items}
    assert facts["What it changes"]
    cited = record.citations[0].text if record.citations else record.registrations[0].number
    assert re.sub(r"\s", " ", cited) in re.sub(r"\s", " ", facts["Citation"])
    assert len(visible(page).split()) <= 350
    html = render(page)
    assert '<body class="brief">' in html
    assert '<nav class="contents"' not in html
    assert plain(page.title) in render(page, "md").replace("\\", "")


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_record_has_a_brief(name: str) -> None:
    whole(load_record(name), brief_of(name))


@pytest.mark.skipif(not ENTRIES, reason=f"no registry entries under {SHARED}")
@pytest.mark.parametrize("name", ENTRIES)
def test_every_registry_entry_has_a_brief(name: str) -> None:
    from equipoise.records.registry import read_study

    record = read_study(str(SHARED / name)).record
    whole(record, in_brief(record))


@pytest.mark.parametrize("name", ["valor", "riluzole1994", "edaravone2017", "centaur", "healey_cnmau8"])
def test_every_number_of_a_brief_leads_to_its_source_or_command(name: str) -> None:
    assert led(brief_of(name), {"": Held(load_record(name))}) >= 3


@pytest.mark.parametrize("replicated", [False, True])
def test_the_page_opens_with_the_blocks_of_the_brief(valor: Record, replica: Replica, replicated: bool) -> None:
    page = appraise(valor, replica if replicated else None)
    first, alone = page.sections[0], in_brief(valor).section("brief")
    assert first.id == "brief"
    # the page has the citation in its heading; the links to its sections are words where there are no sections
    assert plain(first.title) == plain(alone.title)
    assert [type(b) for b in first.blocks] == [type(b) for b in alone.blocks]
    ours, theirs = tiles(page), tiles(in_brief(valor))
    assert list(ours) == list(theirs)
    assert [plain(s.value) for s in ours.values()] == [plain(s.value) for s in theirs.values()]
    assert not any(isinstance(n, Stats) for n in walk(page.sections[1:]))


def test_the_second_number_is_the_effect_that_stands_out_most() -> None:
    found = tiles(brief_of("valor"))
    # neurofilament fell by more of its own errors than SOD1 did
    assert "Plasma neurofilament light chain at week 28" in found
    assert not any(label.startswith("CSF") for label in found)
    remark = plain(found["Plasma neurofilament light chain at week 28"].remark)
    assert remark.endswith(", nominal")


def test_the_caveats_are_those_of_the_record_where_it_has_them(valor: Record) -> None:
    ctx = draft(valor)
    own = next(b for b in limitations(ctx).blocks if isinstance(b, Listing)).items
    note = next(b for b in brief.build(ctx).blocks if isinstance(b, Note))
    assert isinstance(note.blocks[0], Listing)
    assert [plain(i) for i in note.blocks[0].items] == [plain(i) for i in own[:3]]


def test_the_register_holds_what_the_brief_cites_and_its_judgements() -> None:
    page = brief_of("valor")
    nodes = list(walk(page.sections)) + list(walk((page.title, page.subtitle)))
    refs = {ref for n in nodes if isinstance(n, Cited) for ref in n.refs}
    assert {c.id for c in page.citations if c.source != "JUDGEMENTS"} == refs
    assert {c.id for c in page.computations} == {n.computation for n in nodes if isinstance(n, Computed)}
    assert "JUDGEMENTS" in {s.key for s in page.sources}


def test_verdicts_are_those_of_the_page() -> None:
    said = {name: plain(tiles(brief_of(name))["Primary endpoint"].value) for name in ("valor", "centaur", "alspire")}
    assert said == {"valor": "Missed", "centaur": "Met", "alspire": "Not stated"}
    assert plain(tiles(brief_of("riluzole1994"))["Primary endpoint"].value) == "Disputed"


def test_a_missed_endpoint_is_no_proof_of_no_effect() -> None:
    text = visible(brief_of("mci186_16"))
    assert "does not show that the treatment has no effect" in text
    assert "no ground to use edaravone" in text


def test_the_command_writes_it(tmp_path: Path) -> None:
    run = CliRunner()
    for name, start in (("b.html", "<!doctype html>"), ("b.md", "# "), ("b.json", "{")):
        out = tmp_path / name
        result = run.invoke(app, ["appraise", "lacomblez1996", "--format", "brief", "--out", str(out)])
        assert result.exit_code == 0, result.output
        assert out.read_text(encoding="utf-8").startswith(start)
    assert "In brief" in (tmp_path / "b.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "option",
    [["--role", "patient"], ["--fit-plan", "fit.yaml"], ["--mechanism", "slowing"], ["--scenario", "valor"]],
    ids=lambda o: o[0],
)
def test_the_command_refuses_what_a_brief_does_not_tell(option: list[str], tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["appraise", "valor", "-f", "brief", *option, "-o", str(tmp_path / "b.html")])
    assert result.exit_code != 0
    assert option[0] == "--role" or option[0] in f"{result.output} {result.exception}"
    assert not (tmp_path / "b.html").exists()


def test_a_brief_tells_what_the_rebuilt_trial_says_or_how_to_have_it_told(valor: Record, replica: Replica) -> None:
    assert "The trial rebuilt" in visible(in_brief(valor, replica))
    assert "--replica FILE" in visible(brief_of("valor"))
    assert "The trial rebuilt" not in visible(brief_of("phoenix"))  # nobody has rebuilt it


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on the path")
@pytest.mark.parametrize("name", ["valor", "riluzole1994"])
def test_a_brief_prints_on_one_side(name: str, tmp_path: Path) -> None:
    pages = []
    ours = brief_of(name)
    long = replace(ours, sections=(replace(ours.sections[0], blocks=ours.sections[0].blocks * 4),))
    for page in (ours, long):  # the second shows that a page too many is counted
        file, out = tmp_path / "b.html", tmp_path / "b.pdf"
        file.write_text(render(page), encoding="utf-8")
        command = [
            str(BROWSER),
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--no-pdf-header-footer",
            f"--print-to-pdf={out}",
            file.as_uri(),
        ]
        subprocess.run(command, check=True, capture_output=True, timeout=600)
        pages.append(len(re.findall(rb"/Type\s*/Page(?!s)", out.read_bytes())))
    assert pages[0] == 1
    assert pages[1] > 1


@pytest.mark.parametrize(("name", "begins"), [("x.md", "# "), ("x.json", "{"), ("x.html", "<!doctype html>")])
def test_a_page_is_written_as_its_name_says(name: str, begins: str, tmp_path: Path) -> None:
    run = CliRunner().invoke(app, ["appraise", "adore", "--no-replica", "-o", str(tmp_path / name)])
    assert run.exit_code == 0, run.output
    assert (tmp_path / name).read_text(encoding="utf-8").startswith(begins)
