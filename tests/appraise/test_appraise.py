"""The page as a document: every section, every number with its source, right about the evidence."""

from __future__ import annotations

import contextlib
import io
import re
from dataclasses import replace
from typing import Any

import pytest
from written_numbers import written

from equipoise.appraise import appraise
from equipoise.appraise.certainty import load_judgements
from equipoise.document.document import (
    Cited,
    Code,
    Computed,
    Curves,
    Document,
    Dots,
    Figure,
    Forest,
    Link,
    Name,
    Question,
    Section,
    Table,
    Text,
    bare_number,
    plain,
    walk,
)
from equipoise.document.readers import READERS
from equipoise.errors import RecordError
from equipoise.records import Record, load_record
from equipoise.replica.replica import Replica

SECTIONS = [
    "brief",
    "bottom-line",
    "findings",
    "design",
    "results",
    "safety",
    "replica",
    "limitations",
    "significance",
    "surrogate",
    "next-trial",
    "certainty",
    "questions",
    "context",
    "related",
    "coherence",
    "made",
]


def words(node: Any) -> str:
    """All words below a node, with typographic spaces made plain."""
    text = "".join(n.text for n in walk(node) if isinstance(n, Text | Name | Cited | Computed | Code))
    return re.sub(r"\s", " ", text)


def of(page: Document, section: str) -> str:
    return words(page.section(section))


# -- coverage ------------------------------------------------------------------------------------------------------


def test_every_section_is_there_in_order(page: Document) -> None:
    assert [s.id for s in page.sections] == SECTIONS


def test_every_reader_has_questions_and_something_to_take_away(page: Document) -> None:
    for reader in READERS:
        part = page.section(f"for-{reader}")
        assert part.reader == reader
        questions = [n for n in walk(part) if isinstance(n, Question)]
        assert len(questions) >= 5
        assert all(q.answer for q in questions)
        assert reader == "patient" or "To take away" in words(part)


def test_figures_hold_what_they_should(full_page: Document) -> None:
    figures = {n.id: n for n in walk(full_page) if isinstance(n, Figure)}
    assert set(figures) == {"fig-forest", "fig-curves", "fig-later", "fig-effects", "fig-dots", "fig-next-weeks"}
    forest, curves, dots = (figures[f"fig-{id}"].chart for id in ("forest", "curves", "dots"))
    assert isinstance(forest, Forest)
    shown = {(p.title, i.label): i for p in forest.panels for i in p.intervals}
    assert shown["ALSFRS-R total score", "Faster-progressing, week 28"].tone == "primary"
    assert shown["ALSFRS-R total score", "All randomised, week 52, adj. NfL"].tone == "post_hoc"
    assert shown["ALSFRS-R total score", "All randomised, week 52"].tone == "main"
    assert isinstance(curves, Curves)
    titles = [p.title for p in curves.panels]
    assert len(titles) == 6
    for panel in curves.panels:
        assert {(s.kind, s.arm) for s in panel.series} == {
            (k, a) for k in ("published", "simulated") for a in ("active", "control")
        }
    assert isinstance(dots, Dots)
    assert {d.used_in_fit for p in dots.panels for d in p.dots} == {True, False}


def test_every_figure_has_its_numbers_as_a_table(full_page: Document) -> None:
    for figure in (n for n in walk(full_page) if isinstance(n, Figure)):
        rows = [r for r in figure.table.rows if not r.heading]
        marks = sum(len(getattr(p, "intervals", ())) + len(getattr(p, "dots", ())) for p in figure.chart.panels)
        assert len(rows) >= max(marks, 1)
        assert any(isinstance(n, Cited | Computed) for n in walk(figure.table))


# -- the number walker ---------------------------------------------------------------------------------------------


def test_every_number_is_cited_computed_or_part_of_a_name(full_page: Document) -> None:
    citations = {c.id for c in full_page.citations}
    computations = {c.id for c in full_page.computations}
    cited = computed = 0
    for node in walk((full_page.title, full_page.subtitle, full_page.sections)):
        if isinstance(node, Text):
            assert bare_number(node.text) is None
        elif isinstance(node, Name):
            assert node.text in full_page.names
            assert any(c.isalpha() for c in node.text)
        elif isinstance(node, Cited):
            assert set(node.refs) <= citations
            cited += 1
        elif isinstance(node, Computed):
            assert node.computation in computations
            computed += 1
    assert cited > 500
    assert computed > 100


def test_names_are_no_back_door(page: Document, valor: Record) -> None:
    """What may stand without a source: week labels, a few fixed terms, and the record's own names; never a result."""
    results = {str(abs(v)) for r in valor.results if r.contrast for v in (r.contrast.low, r.contrast.high) if v}
    for name in page.names:
        if re.fullmatch(r"[Ww]eeks? [\d.]+", name) or name.startswith(("95", "ICH")):
            continue
        figures = {f for f in re.findall(r"\d+\.\d+", name) if "doi" not in name}
        assert not figures & results, name


def test_every_citation_is_used_and_in_the_record_or_the_judgements(page: Document, valor: Record) -> None:
    used = {ref for n in walk(page.sections) if isinstance(n, Cited) for ref in n.refs}
    judged = load_judgements(valor)
    assert judged is not None
    others = {key for t in valor.related if t.record for key in load_record(t.record).sources}
    for citation in page.citations:
        assert citation.source in {*valor.sources, *judged.sources, *others, "JUDGEMENTS"}
        assert citation.confidence in ("seen", "slide", "curve", "derived")
    assert used <= {c.id for c in page.citations}
    assert {c.source for c in page.citations} == {s.key for s in page.sources}


def test_every_computed_number_is_what_its_command_prints(full_page: Document) -> None:
    shown: dict[str, set[str]] = {}
    for node in walk(full_page.sections):
        if isinstance(node, Computed):
            shown.setdefault(node.computation, set()).add(node.text)
    tried = 0
    for computation in full_page.computations:
        match = re.fullmatch(r'python -c "(.+)"', computation.command)
        if match is None:
            continue
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(match.group(1), {})
        # a hyphen after a figure joins two ("1-2"), it is no sign
        told = out.getvalue().replace("−", "-")
        printed = [float(x) for x in re.findall(r"(?:(?<!\d)-)?\d+(?:\.\d+)?(?:e[-+]?\d+)?", told)]
        for text in shown[computation.id]:
            for figure in re.findall(r"[−+]?\d[\d,]*(?:\.\d+)?", text):
                plain_figure = figure.replace("−", "-").replace(",", "")
                digits = len(plain_figure.partition(".")[2])
                values = {w for v in printed for k in (1, 100) for w in written(v * k, digits)}
                assert f"{float(plain_figure):.{digits}f}" in values, (computation.command, text, out.getvalue())
                tried += 1
    assert tried > 60


def test_recalled_facts_do_not_appear(page: Document, valor: Record) -> None:
    text = words(page)
    assert "withdrawn in April" not in text
    assert "Riluzole at baseline (n)" not in text
    recalled = [e.sourced for e in valor.index(recall=True).values() if e.sourced.confidence == "recall"]
    assert recalled


# -- the evidence --------------------------------------------------------------------------------------------------


def test_the_primary_endpoint_is_missed_and_said_to_be(page: Document) -> None:
    text = of(page, "bottom-line")
    assert "VALOR missed its primary endpoint." in text
    assert "1.2 (−3.2 to 5.5) points, P = 0.97 by the joint rank test" in of(page, "findings")
    assert "The trial did not show a benefit; nor did it rule one out." in text


def test_p_and_interval_are_told_apart(page: Document) -> None:
    text = of(page, "coherence")
    assert "P = 0.97 and 1.2 (−3.2 to 5.5) come from different analyses" in text
    assert "whose own P value is 0.60" in text
    assert "come from different analyses" in of(page, "bottom-line")


def test_biomarkers_are_nominal_and_no_surrogate(page: Document) -> None:
    assert "every P value after it is nominal" in of(page, "findings")
    assert "38 % lower" in of(page, "findings")
    assert "67 % lower" in of(page, "findings")
    editor = of(page, "for-editor")
    assert "Cannot be assessed while the first condition is not met" in editor
    assert "Needs many trials; this one gives a single point" in editor
    assert "reasonably likely" in of(page, "significance")


def test_week_52_was_not_prespecified_and_the_planned_analysis_stands_beside_it(page: Document) -> None:
    for section in ("findings", "coherence"):
        text = of(page, section)
        assert "3.5 (0.4 to 6.7)" in text
        assert "2.7 (−0.9 to 6.2)" in text
    assert "had not been fixed in advance" in of(page, "findings")
    assert "Not fixed before the data were seen" in of(page, "coherence")


def test_survival_in_the_primary_set_went_the_other_way(page: Document) -> None:
    text = of(page, "coherence")
    assert "1.69 (0.53 to 5.40), in the opposite direction" in text
    assert "0.36 (0.14 to 0.94)" in text
    assert "0.70 (0.28 to 1.75) by the planned model" in text


def test_harm_is_absolute(page: Document) -> None:
    text = of(page, "safety")
    assert "4 of 72 with tofersen and 0 of 36 with placebo, a difference of +5.6 (−4.7 to 13.4) percentage" in text
    assert "None in 36 people with placebo does not mean that there is no such risk" in text
    tables = [n for n in walk(page.section("safety")) if isinstance(n, Table) and n.id.startswith("t-safety")]
    assert [t.id for t in tables] == ["t-safety", "t-safety-more"]
    needed = {plain(r.cells[0]): plain(r.cells[4]) for t in tables[1:] for r in t.rows if not r.heading}
    assert len(tables[0].columns) == 4  # no event of the first table has a number needed: no column promises one
    assert needed["Back pain"] == "7 (4 to 209)"
    assert needed["Headache"] == "–"


def test_what_came_later_is_told(page: Document) -> None:
    text = of(page, "related")
    assert "PHOENIX" in text
    assert "0.667" in text
    assert text.index("CENTAUR") < text.index("Not met (p = 0.667)")


def test_the_committee_is_told_certainty_and_yield(page: Document) -> None:
    text = of(page, "for-guideline")
    assert "ALSFRS-R, change to week 28: certainty very low." in text
    assert "about 40 people tested for one carrier" in text
    targets = {n.target for n in walk(page.section("for-guideline")) if isinstance(n, Link)}
    assert "#testing" in targets


# -- other records, other readers ----------------------------------------------------------------------------------


def with_primary(record: Record, **primary: Any) -> Record:
    data = record.model_dump(mode="json", exclude_defaults=True)
    for result in data["results"]:
        if result["id"] == record.primary_result:
            result.update(primary)
    return Record.model_validate(data)


def test_prose_follows_the_record(valor: Record) -> None:
    good = with_primary(
        valor,
        contrast={"kind": "difference", "value": 4.2, "low": 1.1, "high": 7.3},
        p=[{"method": "ancova_mi", "value": 0.008, "status": "formal"}],
    )
    page = appraise(good)
    text = of(page, "bottom-line")
    assert "VALOR met its primary endpoint." in text
    assert "The interval excludes the value of no effect" in text
    assert "come from different analyses: the P value from" not in words(page)
    assert "every P value after it is nominal" not in words(page)
    assert "Missed" not in text


def test_a_record_without_results_yields_a_page(tiny: Record) -> None:
    page = appraise(tiny)
    ids = [s.id for s in page.sections]
    assert ids == [s for s in SECTIONS if s not in ("context", "related", "surrogate", "next-trial")]
    assert "Nothing could be checked" in of(page, "coherence")
    assert "does not say whether its primary endpoint was met" in of(page, "bottom-line")
    assert "20 randomised" in of(page, "design")


def test_a_record_with_one_plain_result(tiny: Record) -> None:
    data = tiny.model_dump(mode="json", exclude_defaults=True)
    data["methods"] = [
        {
            "id": "t",
            "label": "t-test",
            "family": "other",
            "gives": ["estimate", "p"],
            "description": "two means",
            "source": "P",
            "confidence": "seen",
        }
    ]
    data["results"] = [
        {
            "id": "r",
            "outcome": "SCORE",
            "set": "ALL",
            "method": "t",
            "measure": "mean_change",
            "source": "P",
            "confidence": "seen",
            "arms": {"drug": 2.5, "none": 1.0},
            "contrast": {"kind": "difference", "value": 1.5, "low": 0.5, "high": 2.5},
            "p": [{"method": "t", "value": 0.004}],
        }
    ]
    data["primary_result"] = "r"
    page = appraise(Record.model_validate(data))
    assert "tiny met its primary endpoint." in of(page, "bottom-line")
    assert "1.5 (0.5 to 2.5)" in of(page, "findings")


def test_without_a_replica_the_page_says_how_to_make_one(page: Document) -> None:
    assert "equipoise replicate valor" in of(page, "replica")
    assert not any(isinstance(n, Figure) and n.id == "fig-dots" for n in walk(page))


def test_with_a_replica_its_answers_table_and_bands_are_shown(full_page: Document, replica: Replica) -> None:
    text = of(full_page, "replica")
    assert "14 %" in text
    for answer in replica.answers:
        assert answer.question in text
    tables = {n.id: n for n in walk(full_page.section("replica")) if isinstance(n, Table)}
    assert len([r for r in tables["t-replica"].rows if not r.heading]) == len(replica.rows)
    assert "What the rebuilt trial adds" in of(full_page, "bottom-line")


def test_a_row_that_could_not_be_estimated_is_a_dash(valor: Record, replica: Replica) -> None:
    nan = float("nan")
    row = replace(
        replica.rows[0], simulated=nan, simulated_low=nan, simulated_high=nan, mc_error=nan, position=nan, z=None
    )
    page = appraise(valor, replace(replica, rows=(row,)))
    assert "nan" not in of(page, "replica").lower().split()


def test_a_role_keeps_its_own_part_alone(valor: Record) -> None:
    page = appraise(valor, role="resident")
    readers = [n.reader for n in walk(page) if isinstance(n, Section) and n.reader]
    assert readers == ["resident"]
    assert "For the resident" in of(page, "bottom-line")
    assert "--role resident" in of(page, "made")
    assert [n.reader for n in walk(appraise(valor, role="editor")) if isinstance(n, Section) and n.reader] == ["editor"]


def test_an_unknown_reader_or_a_foreign_replica_is_refused(valor: Record, tiny: Record, replica: Replica) -> None:
    with pytest.raises(RecordError, match="no reader"):
        appraise(valor, role="nobody")
    with pytest.raises(RecordError, match="replica is of 'valor'"):
        appraise(tiny, replica)


def test_one_arm_is_described_and_compared_with_nobody(tiny: Record) -> None:
    data = tiny.model_dump(mode="json", exclude_defaults=True)
    data["arms"] = data["arms"][:1]
    page = appraise(Record.model_validate(data))
    assert "What cannot be concluded without a comparison" in of(page, "bottom-line")


def test_the_same_record_yields_the_same_page(valor: Record, page: Document) -> None:
    assert appraise(valor) == page
