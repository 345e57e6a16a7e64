"""The page's section on the surrogate, and the pairs of effects of the field behind it."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

import equipoise
from equipoise.appraise.landscape.page import FIELDS
from equipoise.appraise.landscape.pairs import pair_of, snapshot, stored
from equipoise.document.document import Cited, Computed, walk
from equipoise.records import list_records, load_record


def test_property_the_stored_field_is_that_of_the_records() -> None:
    records = [i.record for i in list_records() if i.record is not None]
    chosen = sorted(
        (pair_of(r) for r in records if FIELDS["als"].holds(r) and len(r.arms) >= 2), key=lambda p: p.name.lower()
    )
    now = json.loads(json.dumps(snapshot(chosen, None)))
    kept = stored()
    hint = "run: equipoise surrogate als --operating-characteristics --literatures 1000 --store FILE"
    assert now == {k: v for k, v in kept.items() if k != "fooled"}, hint


def test_property_what_cannot_enter_says_why() -> None:
    pair = pair_of(load_record("healey_cnmau8"))
    assert pair.marker is not None
    assert not pair.enters
    assert pair.reasons == ("function: a ratio of rates, without a difference",)
    words = pair_of(load_record("vitality_als"))
    assert words.marker is None
    assert words.measured
    assert not pair_of(load_record("riluzole1994")).measured


def test_property_the_two_effects_of_a_trial_are_of_the_same_people() -> None:
    valor = pair_of(load_record("valor"))
    assert valor.marker is not None
    assert valor.function is not None
    assert (valor.marker.effect.result, valor.function.effect.result) != (None, None)
    assert valor.marker.effect.result.set == valor.function.effect.result.set == "F"  # type: ignore[union-attr]
    assert valor.population == "Faster-progressing (mITT)"
    for info in list_records():
        if info.record is None:
            continue
        pair = pair_of(info.record)
        if pair.enters:
            results = [h.effect.result for h in (pair.marker, pair.function) if h is not None]
            assert len({r.set for r in results if r is not None}) <= 1, pair.name


def test_property_effects_of_different_people_are_no_pair() -> None:
    record = load_record("valor")
    kept = tuple(r for r in record.results if not (r.outcome in ("NFL", "CSFNFL", "PNFH", "CSFPNFH") and r.set == "F"))
    pair = pair_of(record.model_copy(update={"results": kept}))
    assert not pair.enters
    assert pair.reasons == ("neurofilament: told only of other people than function",)


def test_property_the_trials_that_measured_the_marker_are_counted_once() -> None:
    page = equipoise.render(equipoise.appraise("valor"), "md")
    start = page.index("## Is neurofilament a surrogate here?")
    section = page[start : page.index("\n## ", start + 5)]
    rows = len(stored()["rows"])
    assert set(re.findall(r"(\d+)\]?[^ ]* trials (?:that measured neurofilament|whose two arms)", section)) == {
        str(rows)
    }
    assert "The trials that measured the marker" not in section


def test_property_other_trials_numbers_are_cited_to_their_sources() -> None:
    """Every effect of the table links to where it was read, in this record or in that of the trial it is of."""
    document = equipoise.appraise("valor")
    by_id = {c.id: c for c in document.citations}
    titles = {s.key: s.title for s in document.sources}
    table = next(b for b in walk(document.section("surrogate")) if getattr(b, "id", None) == "t-surrogate-field")
    wanted = [(r["name"], half) for r in stored()["rows"] for half in (r["marker"], r["function"]) if half is not None]
    shown = [c for row in table.rows for cell in row.cells[2:4] for c in cell if isinstance(c, Cited | Computed)]
    assert len(shown) == len(wanted) == 5
    for (name, half), cell in zip(wanted, shown, strict=True):
        assert cell.text == half["shown"], name
        if isinstance(cell, Computed):  # over weeks as published, a month here
            assert name == "VALOR"
            assert half["confidence"] == "derived"
            continue
        assert {titles[by_id[ref].source] for ref in cell.refs} == {half["title"]}, name


@pytest.mark.parametrize("role", ["editor", "phd", "guideline"])
def test_property_readers_who_ask_about_the_surrogate_are_led_to_the_section(role: str) -> None:
    page = equipoise.render(equipoise.appraise("valor", role=role), "md")
    at = page.index("What would it take to accept neurofilament as a surrogate?")
    answer = page[at : page.find("**Question.**", at + 10)]
    assert "2 enter a regression of effects" in answer
    assert "(<#surrogate>)" in answer
    assert "per cent of cases" in answer


def test_property_the_section_tells_and_gives_no_verdict() -> None:
    page = equipoise.render(equipoise.appraise("valor"), "md")
    start = page.index("## Is neurofilament a surrogate here?")
    section = page[start : page.index("\n## ", start + 5)]
    assert "it cannot establish one" in section
    assert "Cannot be told from" in section
    assert "multiple sclerosis" in section
    assert "VITALITY-ALS" in section
    assert "reported in words" in section
    assert "Is neurofilament a surrogate here?" not in equipoise.render(equipoise.appraise("riluzole1994"), "md")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "equipoise", *arguments], capture_output=True, text=True, check=False)


def test_property_the_command_tells_what_enters_and_why_not() -> None:
    done = run("surrogate", "als", "--marker", "nfl", "--endpoint", "alsfrs")
    assert done.returncode == 0, done.stderr
    assert "2 of " in done.stdout
    assert "Cannot enter, and why:" in done.stdout
    assert "Cannot be told from 2 trials" in done.stdout


@pytest.mark.parametrize(
    "arguments", [("flu",), ("als", "--marker", "crp"), ("als", "--endpoint", "mood"), ("als", "--out", "x.csv")]
)
def test_property_the_command_refuses_kindly(arguments: tuple[str, ...]) -> None:
    done = run("surrogate", *arguments)
    assert done.returncode == 2
    assert "hint:" in done.stderr
    assert "Traceback" not in done.stderr
