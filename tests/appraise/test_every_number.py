"""Every number on every page that ships leads to its source or to the command that prints it.

For each shipped record and registry entry, and for the landscape: a cited figure is held by a value or a text of the
record (or of the judgements) that was read in the source named; a computed figure is printed by its command.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from typer.testing import CliRunner
from written_numbers import written

import equipoise.records
from equipoise.appraise import appraise
from equipoise.appraise.certainty import load_judgements
from equipoise.appraise.landscape import landscape
from equipoise.cli.main import app
from equipoise.document.document import Cited, Computed, Document, Name, Text, bare_number, walk
from equipoise.records import Record, list_records, load_record
from equipoise.records.schema import DateFact, Fact, Sourced, Value
from equipoise.records.schema import walk as values

SHIPPED = tuple(info.name for info in list_records())
SHARED = Path(os.environ.get("EQUIPOISE_SHARED", Path(__file__).parents[3] / "shared")) / "data" / "ctgov"
ENTRIES = tuple(sorted(p.name for p in SHARED.glob("NCT*.json"))) if SHARED.is_dir() else ()
FIGURE = re.compile(r"\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?")
NUMBERS = ("value", "low", "high", "se", "sd", "n", "total", "percent")


def figures(text: str) -> list[str]:
    return [f.replace(",", "").rstrip(".") for f in FIGURE.findall(text)]


def strings(node: Any) -> Iterator[str]:
    """Every string below a node of the record."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, BaseModel):
        for name in type(node).model_fields:
            yield from strings(getattr(node, name))
    elif isinstance(node, Mapping):
        for key, child in node.items():
            yield str(key)
            yield from strings(child)
    elif isinstance(node, tuple | list):
        for child in node:
            yield from strings(child)


def sources_of(sourced: Sourced) -> set[str]:
    return {key for key, _ in sourced.citations}


class Held:
    """What each source of a record holds: numbers of values, and all texts."""

    def __init__(self, record: Record) -> None:
        self.numbers: dict[str, set[float]] = {}
        self._shown: dict[tuple[str, int], set[str]] = {}
        judged = load_judgements(record)
        found: list[Value | Fact | DateFact] = [sourced for _, sourced in values(record)]
        texts = " ".join(strings(record))
        for other in (record, *(load_record(t.record) for t in record.related if t.record)):
            # who entered a related trial, and what was decided on its drug, is told by that trial's own record
            texts += " " + " ".join((*strings(other.regulatory), *strings(other.eligibility)))
            dates = [r.date for r in other.regulatory if r.date]
            texts += " " + " ".join(str(int(part)) for date in dates for part in date.split("-"))
        for outcome in record.outcomes:
            if outcome.bounds is not None:
                for key in sources_of(outcome):
                    self.numbers.setdefault(key, set()).update(abs(float(b)) for b in outcome.bounds)
        if judged is not None:
            found += list(judged.values.values())
            texts += " " + " ".join(strings(judged))
            own = {o.threshold.value for o in judged.outcomes if o.threshold and o.threshold.value is not None}
            self.numbers["JUDGEMENTS"] = {x for t in own for x in (float(t), 100 * float(t))}
        self.texts, self.whole = set(figures(texts)), re.sub(r"\s+", " ", texts)
        self.allocation = {float(n) for n in record.design.allocation.values()}
        for sourced in found:
            held = {float(x) for name in NUMBERS if isinstance(x := getattr(sourced, name, None), int | float)}
            for name in ("range", "iqr"):
                held |= {float(x) for x in getattr(sourced, name, None) or ()}
            if isinstance(sourced, DateFact):
                held |= {float(x) for x in sourced.date.split("-")}
            level = getattr(sourced, "level", None)
            held |= {100 * level} if isinstance(level, float) else set()
            for key in sources_of(sourced):
                self.numbers.setdefault(key, set()).update(abs(x) for x in held)

    def holds(self, figure: str, sources: set[str]) -> bool:
        digits = len(figure.partition(".")[2])
        wanted = f"{float(figure):.{digits}f}"
        return figure in self.texts or any(wanted in self._printed(key, digits) for key in ("", *sources))

    def _printed(self, source: str, digits: int) -> set[str]:
        if (source, digits) not in self._shown:
            numbers = self.numbers.get(source, set()) if source else self.allocation
            self._shown[source, digits] = {w for x in numbers for w in written(abs(x), digits)}
        return self._shown[source, digits]


@cache
def field() -> tuple[Held, ...]:
    """The trials whose effects other pages tell too, where they ask whether a marker is a surrogate."""
    return tuple(Held(load_record(name)) for name in ("valor", "centaur"))


def printed_by(command: str) -> str:
    """What a command of a page prints."""
    if command.startswith("equipoise "):
        result = CliRunner().invoke(app, shlex.split(command)[1:])
        assert result.exit_code == 0, command
        return result.output
    match = re.fullmatch(r'python -c "(.+)"', command, re.DOTALL)
    assert match is not None, command
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(match[1], {})
    return out.getvalue()


def led(page: Document, held: Mapping[str, Held]) -> int:
    """Walk the page; ``held`` by the prefix of its sources. How many numbers were followed."""
    citations = {c.id: c for c in page.citations}
    commands = {c.id: c.command for c in page.computations}
    outputs: dict[str, list[float]] = {}
    count = 0
    for node in walk((page.title, page.subtitle, page.sections)):
        if isinstance(node, Text):
            assert bare_number(node.text) is None
        elif isinstance(node, Name):
            assert node.text in page.names
        elif isinstance(node, Cited):
            places = [citations[ref] for ref in node.refs]
            assert all(c.confidence != "recall" for c in places)
            prefix = next(p for p in sorted(held, key=len, reverse=True) if places[0].source.startswith(p))
            sources = {c.source.removeprefix(prefix) for c in places}
            sources |= {s.rpartition(": ")[2] for s in sources}  # a source of another trial, by that trial's own key
            if node.text in held[prefix].whole:  # a code of the record, such as a version, split from its words
                count += 1
                continue
            for figure in figures(node.text):
                known = held[prefix].holds(figure, sources) or any(h.holds(figure, sources) for h in field())
                assert known, (node.text, sorted(sources))
                count += 1
        elif isinstance(node, Computed):
            command = commands[node.computation]
            if "--operating-characteristics" in command:  # simulated for minutes, stored, and tested where it is made
                continue
            if command not in outputs:
                found = re.findall(r"(?:(?<!\d)-)?\d+(?:\.\d+)?(?:e[-+]?\d+)?", printed_by(command))
                outputs[command] = [abs(float(x)) for x in found]
            for figure in figures(node.text):
                digits = len(figure.partition(".")[2])
                shown = {w for x in outputs[command] for k in (1, 100) for w in written(x * k, digits)}
                assert f"{float(figure):.{digits}f}" in shown, (command, node.text, outputs[command])
                count += 1
    return count


@pytest.fixture(autouse=True)
def records_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands read their record anew; here once is enough."""
    monkeypatch.setattr(equipoise.records, "load_record", cache(load_record))


@pytest.mark.parametrize("name", SHIPPED)
def test_every_number_of_a_shipped_page_leads_to_its_source_or_command(name: str) -> None:
    record = load_record(name)
    assert led(appraise(record), {"": Held(record)}) > 10


@pytest.mark.skipif(not ENTRIES, reason=f"no registry entries under {SHARED}")
@pytest.mark.parametrize("name", ENTRIES)
def test_every_number_of_an_imported_entry_leads_to_the_registry(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from equipoise.records.registry import read_study, record_yaml

    found = read_study(str(SHARED / name))
    record = found.record
    (tmp_path / f"{record.id.lower()}.yaml").write_text(record_yaml(found.document), encoding="utf-8")
    monkeypatch.chdir(tmp_path)  # the page's commands read the file that the import writes
    assert led(appraise(record), {"": Held(record)}) > 10


def test_every_number_of_the_landscape_leads_to_its_record() -> None:
    records = [info.record for info in list_records() if info.record is not None]
    held = {f"{record.id}.": Held(record) for record in records}
    assert led(landscape("als", records), held) > 60


def test_the_walker_notices_a_wrong_number() -> None:
    record = load_record("centaur")
    held = Held(record)
    assert held.holds("0.42", {"Cen20"})
    assert not held.holds("0.4271", {"Cen20"})
    contrast = record.result("slope_mitt_w24").contrast
    assert contrast is not None
    assert sources_of(contrast) == {"Cen20"}
