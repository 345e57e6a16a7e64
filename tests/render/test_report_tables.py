"""Tables of a plan as RTF and Word say what the text says, on pages of their own."""

from __future__ import annotations

import re
from io import BytesIO
from pathlib import Path

import polars as pl
import pytest

from equipoise.plan.analysis_plan import parse_plan
from equipoise.plan.carry_out import analyse
from equipoise.plan.results import Block, Cell, Column, Results, Row, Table
from equipoise.render.tables.rtf import escaped, to_rtf
from equipoise.render.tables.tables import to_text, write_results
from equipoise.render.tables.word import to_word
from equipoise.trial.adam import AdamStudy, from_frame

COLUMNS = (Column("p", "Placebo", 40), Column("d", "Drug {5 µg}", 41), Column("p: d", "p-value", None))


def row(label: str, *texts: str, indent: int = 0) -> Row:
    return Row(label, {c.name: Cell(t, {}, {}) for c, t in zip(COLUMNS, texts, strict=False)}, indent=indent)


def table(number: int) -> Table:
    rows = (
        row("Any event", "12 ( 30.0%)", "9 ( 22.0%)", "0.4521"),
        row("Headache – severe", "1", "2", "1.0000", indent=1),
    )
    block = Block("Adverse events", "incidence", "ADAE", "AEDECOD", rows, notes=("Terms ≥ 5% \\ only.",))
    return Table(f"14-{number}", "Events", "SAF", "Safety population", COLUMNS, (block,), ("A footnote.",))


RESULTS = Results("STUDY-1", "", (table(1), table(2)), plan={})


def plain(rtf: str) -> str:
    """The text of RTF: codes of letters read, control words left out."""
    text = re.sub(r"\\u(-?\d+)\?", lambda m: chr(int(m[1]) % 65536), rtf)
    text = re.sub(r"\\([\\{}])", lambda m: f"\x00{ord(m[1])}\x00", text)
    text = re.sub(r"\\[a-z*]+-?\d* ?", " ", text).replace("{", "").replace("}", "")
    return re.sub("\x00(\\d+)\x00", lambda m: chr(int(m[1])), text)


def test_property_rtf_holds_every_cell_and_is_well_formed() -> None:
    made = to_rtf(RESULTS)
    assert made.isascii()
    bare = re.sub(r"\\[\\{}]", "", made)
    assert bare.count("{") == bare.count("}")
    told = plain(made)
    for text in (
        "Table 14-1. Events",
        "Table 14-2. Events",
        "Drug {5 µg}",
        "(N=41)",
        "12 ( 30.0%)",
        "Headache – severe",
    ):
        assert text in told, text
    assert "Terms ≥ 5% \\ only." in told
    assert made.count("\\page\n") == 1
    for line in re.findall(r"\\trowd.*?\\row\n", made, re.DOTALL):
        assert len(re.findall(r"\\cellx", line)) == len(re.findall(r"\\cell(?!x)", line))
        assert "\\trkeep" in line
    assert len(re.findall(r"\\trhdr", made)) == 6
    edges = [int(e) for e in re.findall(r"\\cellx(\d+)", made)]
    assert max(edges) == 15840 - 2 * 1080


def test_property_letters_beyond_the_basic_plane_are_two_codes() -> None:
    assert escaped("\U0001d4d0") == "\\u-10187?\\u-9008?"
    assert escaped("a\nb") == "a\\line b"


def test_property_word_holds_every_cell() -> None:
    docx = pytest.importorskip("docx", reason="python-docx is not installed")
    paper = docx.Document(BytesIO(to_word(RESULTS)))
    assert [p.text for p in paper.paragraphs if p.style.name.startswith("Heading")] == [
        "Table 14-1. Events",
        "Table 14-2. Events",
    ]
    first = paper.tables[0]
    cells = [[c.text for c in r.cells] for r in first.rows]
    assert cells[0][1:] == ["Placebo\n(N=40)", "Drug {5 µg}\n(N=41)", "p-value"]
    assert cells[2] == ["Any event", "12 ( 30.0%)", "9 ( 22.0%)", "0.4521"]
    assert "tblHeader" in first.rows[0]._tr.xml
    assert all("cantSplit" in r._tr.xml for r in first.rows)
    assert 'w:val="decimal"' in first.rows[2].cells[1]._tc.xml
    assert "A footnote." in [p.text for p in paper.paragraphs]
    second = next(p for p in paper.paragraphs if p.text == "Table 14-2. Events")
    assert second.paragraph_format.page_break_before


def test_property_files_are_written_beside_the_others(tmp_path: Path) -> None:
    pytest.importorskip("docx", reason="python-docx is not installed")
    people = [{"USUBJID": f"S{i}", "TRT01P": ("Placebo", "Drug")[i % 2], "AGE": 40.0 + i} for i in range(8)]
    study = AdamStudy({"ADSL": from_frame(pl.DataFrame(people), "ADSL")})
    section = "[{id: t1, title: Ages, population: all, sections: [{method: summary, variable: AGE}]}]"
    head = "study: TOY\ntreatment: {arms: [Placebo, Drug]}\npopulations: {all: {label: Everyone}}\n"
    made = analyse(study, parse_plan(f"{head}analyses: {section}\n"))
    paths = write_results(made, tmp_path, word=True)
    assert {"tables.rtf", "tables.docx"} <= {p.name for p in paths}
    assert all(p.exists() for p in paths)
    told = plain((tmp_path / "tables.rtf").read_text(encoding="utf-8"))
    for line in to_text(made).splitlines():
        for word in line.split():
            assert word in told or set(word) == {"─"}, word
