"""Every record has a page: those that come with the package, and those made of registry entries."""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path

import pytest

from equipoise.appraise import appraise
from equipoise.appraise.findings import read
from equipoise.document.document import Document, Figure, Forest, plain, walk
from equipoise.records import Record, coherence_notes, list_records, load_record
from equipoise.render import render

SHIPPED = tuple(info.name for info in list_records())
SHARED = Path(os.environ.get("EQUIPOISE_SHARED", Path(__file__).parents[3] / "shared")) / "data" / "ctgov"
ENTRIES = tuple(sorted(p.name for p in SHARED.glob("NCT*.json"))) if SHARED.is_dir() else ()


def words(page: Document) -> str:
    return "\n".join(
        plain(getattr(node, name))
        for node in walk((page.title, page.subtitle, page.sections))
        for name in ("content", "value", "label", "remark", "title", "caption", "description", "question")
        if isinstance(getattr(node, name, None), tuple)
    )


@cache
def imported(name: str) -> Record:
    from equipoise.records.registry import read_study

    return read_study(str(SHARED / name)).record


def sound(record: Record) -> Document:
    page = appraise(record)
    html = render(page)
    assert html.lower().startswith("<!doctype html>")
    assert page.record == record.id
    text = words(page)
    for line in text.splitlines():
        assert not re.match(r"^[,;.]", line), line
        assert not re.search(r"\bby the test\b|\bNone\b(?! in )|\bnan\b", line), line
        # a count is not a change
        assert not re.search(r"changed by \d+ of \d+", line), line
    if record.origin == "posted":
        return page
    # nobody is told of a number that was not found
    assert "not stated to" not in text
    return page


def undirected(record: Record, page: Document) -> None:
    """Where the record does not say which way is better, the page does not either."""
    f = read(record)
    unknown = [r for r in record.results if record.outcome(r.outcome).direction == "not_stated"]
    assert all(f.favourable(r) is None for r in unknown)
    if f.outcome is None or f.outcome.direction != "not_stated":
        return
    text = words(page)
    if f.met is False:
        # a test of superiority that found no difference has missed, whichever way is better
        assert f.primary is not None
        assert f.test is not None
        assert any(i.id.startswith(f"asked_{f.primary.id}") for i in record.items)
        assert float(f.test.value or 0) >= 0.05
    else:
        assert f.met is None
        assert not re.search("missed its primary", text)
        assert "counts as negative" not in text
    assert "met its primary endpoint" not in text.replace("whether its primary endpoint was met", "")
    assert not re.search(r"in favour of|were ahead by|the other way", text)
    for node in walk(page):
        if isinstance(node, Figure) and isinstance(node.chart, Forest):
            assert not any(panel.better_low or panel.better_high for panel in node.chart.panels)
            assert "favours" not in render(page)


def graded(record: Record, page: Document) -> None:
    """Every computed note is told, with how sure it is and what would explain it."""
    notes = coherence_notes(record)
    if not notes:
        return
    rows = [
        row
        for node in walk(page.section("coherence"))
        if getattr(node, "id", None) in ("t-implied", "t-checks")
        for row in node.rows
    ]
    assert len(rows) == len(notes)
    told = [tuple(plain(c) for c in row.cells) for row in rows]
    for note in notes:
        assert any(note.certainty in cells for cells in told), note.id
        if note.explained:
            flat = re.sub(r"\W", "", note.explained.lower())
            assert any(re.sub(r"\W", "", cells[-1].lower()) == flat for cells in told), note.id


@pytest.mark.parametrize("id", SHIPPED)
def test_every_shipped_record_has_a_page(id: str) -> None:
    record = load_record(id)
    page = sound(record)
    undirected(record, page)
    graded(record, page)


def test_all_shipped_records_are_tried() -> None:
    folder = Path(__file__).parents[2] / "src" / "equipoise" / "library"
    assert set(SHIPPED) == {p.parent.name for p in folder.glob("*/record.yaml")}


@pytest.mark.skipif(not ENTRIES, reason="the shared registry entries are not here (EQUIPOISE_SHARED)")
@pytest.mark.parametrize("name", ENTRIES)
def test_every_registry_entry_has_a_page(name: str) -> None:
    record = imported(name)
    page = sound(record)
    undirected(record, page)
    graded(record, page)


@pytest.mark.skipif(not ENTRIES, reason="the shared registry entries are not here (EQUIPOISE_SHARED)")
@pytest.mark.parametrize("name", ENTRIES)
def test_a_contrast_of_other_groups_is_not_drawn_as_one_of_the_arms(name: str) -> None:
    f = read(imported(name))
    ids = {f.active.id, f.control.id}
    for r in (*f.biomarkers(), *f.clinical(), *f.others(), *f.survival()):
        assert ids <= set(r.arms), r.id


def test_a_count_is_told_as_a_count() -> None:
    text = words(appraise(load_record("riluzole1994")))
    assert "alive without tracheostomy: 38 of 77 with riluzole and 29 of 78 with placebo" in text


def test_a_record_that_leads_with_a_subgroup_has_no_verdict() -> None:
    whole = load_record("masitinib_ab10015")
    only = tuple(r for r in whole.results if r.role == "subgroup")
    f = read(whole.model_copy(update={"results": only, "primary_result": only[0].id, "statements": ()}))
    assert f.primary is None
    assert f.met is None
    assert "met its primary endpoint" not in words(appraise(f.record))


def test_a_part_of_the_randomised_is_not_everyone() -> None:
    assert "Modified intention to treat" in {s.label for s in load_record("centaur").sets}
    page = appraise(load_record("centaur"))
    assert "It was tested in everyone randomised" not in words(page)


def test_a_composite_or_win_ratio_is_no_marker() -> None:
    for id in ("courage_als", "healey_verdiperstat"):
        assert read(load_record(id)).biomarkers() == ()
    assert [r.outcome for r in read(load_record("healey_cnmau8")).biomarkers()] == ["NFL"]


def test_an_interval_of_another_level_says_so() -> None:
    if "NCT02210780.json" not in ENTRIES:
        pytest.skip("the shared registry entries are not here (EQUIPOISE_SHARED)")
    page = appraise(imported("NCT02210780.json"))
    assert "90\N{NARROW NO-BREAK SPACE}% interval" in words(page) + render(page)


def test_without_a_scenario_no_command_is_promised() -> None:
    assert "equipoise replicate" not in words(appraise(load_record("adore")))
    assert "has not been rebuilt" in words(appraise(load_record("adore")))
