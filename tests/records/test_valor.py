"""The record of VALOR against the evidence it was made from, and what the rest of the project relies on."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from equipoise.records import load_record

VALOR = load_record("valor")
SHARED = Path(os.environ.get("EQUIPOISE_SHARED", Path(__file__).parents[3] / "shared"))
EVIDENCE = SHARED / "evidence" / "valor.md"
needs_evidence = pytest.mark.skipif(not EVIDENCE.exists(), reason=f"the evidence sheet is not at {EVIDENCE}")

RESULTS = [
    *(f"{o}_{s}_w28" for o in ("alsfrs", "nfl", "sod1", "svc", "hhd") for s in ("f", "s", "itt")),
    *(f"{o}_itt_w28_nfl" for o in ("alsfrs", "svc", "hhd")),
    *(f"{o}_itt_w52" for o in ("alsfrs", "svc", "nfl", "sod1")),
    *(f"{o}_itt_w52_nfl" for o in ("alsfrs", "svc", "hhd")),
    "alsfrs_f_w52",
    "alsfrs_s_w52",
    "dthpv_f_w28",
    "death_f_w28",
]


@pytest.mark.parametrize("id", RESULTS)
def test_the_results_that_others_rely_on_are_there(id: str) -> None:
    result = VALOR.result(id)
    assert set(result.arms) <= {"placebo", "tofersen"}
    assert result.usable
    assert result.arms or result.contrast is not None


def test_the_primary_result() -> None:
    primary = VALOR.result(VALOR.primary_result or "")
    c = primary.contrast
    assert (c.value, c.low, c.high, c.se) == (1.2, -3.19, 5.53, 2.22)
    assert primary.method == "ancova_mi"
    assert [(p.method, p.value, p.status) for p in primary.p][:2] == [
        ("joint_rank_mi", 0.9689, "formal"),
        ("ancova_mi", 0.5998, "nominal"),
    ]
    assert [o.id for o in sorted(VALOR.outcomes, key=lambda o: o.test_order or 99)][:7] == [
        "ALSFRS",
        "SOD1",
        "NFL",
        "SVC",
        "HHD",
        "DTHPV",
        "DEATH",
    ]
    # one family in the faster set, the primary; another in the slower set, whose first test was the target protein
    assert [r.id for r in VALOR.results for p in r.p if p.status == "formal"] == ["alsfrs_f_w28", "sod1_s_w28"]


def test_doses_and_visits() -> None:
    assert VALOR.dosing is not None
    assert VALOR.dosing.weeks == (0, 2, 4, 8, 12, 16, 20, 24)
    assert VALOR.design.allocation == {"tofersen": 2, "placebo": 1}


def test_the_sections_of_the_narrative_are_all_covered() -> None:
    assert {s.section for s in VALOR.statements} == {
        "bottom_line",
        "key_findings",
        "limitations",
        "clinical_significance",
        "historical_context",
        "safety",
        "medical_student",
        "resident",
        "fellow",
        "attending",
        "phd",
        "editor",
        "guideline",
        "mechanism",
        "answer",
    }
    assert len(VALOR.traps) >= 10


def test_related_trials_tell_what_became_of_them() -> None:
    related = {x.id: x for x in VALOR.related}
    assert {"riluzole1994", "edaravone2017", "centaur2020", "phoenix2024"} <= set(related)
    assert any("PHOENIX" in fact.text and "0.667" in fact.text for fact in related["centaur2020"].after)
    assert all(related[k].after for k in ("riluzole1994", "edaravone2017", "centaur2020"))


def test_recalled_facts_are_few_and_none_is_a_target() -> None:
    recalled = {a for a, e in VALOR.index(recall=True).items() if e.confidence == "recall"}
    assert recalled == {
        "bl_riluzole.ITT.placebo",
        "bl_riluzole.ITT.tofersen",
        "bl_edaravone.ITT.placebo",
        "bl_edaravone.ITT.tofersen",
        "sod1_halflife_human.halflife",
    }


def test_no_statement_repeats_a_number_without_resting_on_it() -> None:
    index = VALOR.index()
    for statement in (*VALOR.statements, *VALOR.traps):
        for ref in statement.refs:
            block = ref.split(".")[0]
            assert ref in VALOR.sources or ref in VALOR.blocks() or any(a.startswith(f"{block}.") for a in index)


# -- against the evidence sheet ---------------------------------------------------------------------------------------


def table(title: str, nth: int = 0) -> list[list[str]]:
    """The rows of the nth table after a heading or sentence of the sheet, without its head."""
    lines = EVIDENCE.read_text(encoding="utf-8").split("\n")
    at = next(i for i, line in enumerate(lines) if title in line)
    tables: list[list[list[str]]] = []
    inside = False
    for line in lines[at + 1 :]:
        if line.startswith("#"):
            break
        if line.startswith("|"):
            if not inside:
                tables.append([])
            inside = True
            tables[-1].append([c.strip().replace("**", "") for c in line.strip("|").split("|")])
        else:
            inside = False
    return tables[nth][2:]


def numbers(cell: str) -> list[float]:
    return [float(x) for x in re.findall(r"[-+]?\d+(?:\.\d+)?", cell.replace("−", "-"))]


@needs_evidence
@pytest.mark.parametrize(
    ("outcome", "title"),
    [("ALSFRS", "ALSFRS-R adjusted mean change (SE)"), ("NFL", "Plasma NfL GMR ["), ("SOD1", "CSF total SOD1 GMR [")],
)
def test_reference_weekly_curves_are_those_of_the_sheet(outcome: str, title: str) -> None:
    rows = table(title)
    assert [int(r[0]) for r in rows] == [2, 4, 8, 12, 16, 20, 24, 28]
    for column, (set_, arm) in enumerate((s, a) for s in ("F", "S") for a in ("tofersen", "placebo")):
        points = VALOR.curve(outcome, set=set_, arm=arm).points()
        for row, point in zip(rows, points, strict=True):
            cell = row[1 + column]
            found = [float(x) for x in re.findall(r"[-+]?\d+\.\d+", cell)]
            spread = [x for x in (point.se, point.low, point.high) if x is not None]
            assert [point.value, *spread] == found, (set_, arm, point.week, cell)


@needs_evidence
def test_reference_adverse_events_are_those_of_the_sheet() -> None:
    ours = {
        (ae.arms["tofersen"].value, ae.arms["tofersen"].total, ae.arms["placebo"].value, ae.arms["placebo"].total)
        for ae in VALOR.adverse_events
        if ae.category != "label"
    }
    seen = 0
    for row in table("### 5.1 VALOR, by arm"):
        label, tofersen, placebo = row[0], row[1], row[2]
        if "label groupings" in label or "Severe / moderate" in label or "Discontinued" in label:
            continue
        n = re.match(r"(\d+)(?:/(\d+))?", tofersen)
        m = re.match(r"(\d+)(?:/(\d+))?", placebo)
        assert n is not None
        assert m is not None
        key = (int(n.group(1)), int(n.group(2) or 72), int(m.group(1)), int(m.group(2) or 36))
        assert key in ours, label
        seen += 1
    assert seen >= 20


@needs_evidence
@pytest.mark.parametrize(
    ("row", "variable", "statistic"),
    [
        ("ALSFRS-R, mean (SD)", "ALSFRS", "mean_sd"),
        ("SVC % predicted, mean (SD)", "SVC", "mean_sd"),
        ("Plasma NfL, mean (SD), pg/mL", "NFL", "mean_sd"),
        ("Plasma NfL, geometric mean", "NFL", "geometric_mean"),
        ("ln-NfL SD if lognormal", "NFL", "log_sd"),
        ("CSF total SOD1, mean, ng/mL", "SOD1", "mean"),
        ("Months since onset, median (range)", "ONSETMO", "median_range"),
        ("Run-in slope, screening to day 15, mean (SD)/mo", "RUNIN", "mean_sd"),
    ],
)
def test_reference_baseline_is_that_of_the_sheet(row: str, variable: str, statistic: str) -> None:
    cells = next(r for r in table("### 2.1 By arm") if r[0] == row)
    for column, (set_, arm) in enumerate((s, a) for s in ("F", "S", "ITT") for a in ("placebo", "tofersen")):
        v = VALOR.baseline_value(variable, set=set_, arm=arm, statistic=statistic)
        ours = [x for x in (v.value, v.sd) if x is not None]
        if statistic == "median_range":
            assert v.range is not None
            ours = [v.value, *v.range]
            found = [float(x) for x in re.findall(r"\d+(?:\.\d+)?", cells[1 + column])]
        else:
            found = numbers(cells[1 + column])
        assert ours == found, (set_, arm, cells[1 + column])


@needs_evidence
def test_reference_every_contrast_of_the_sheet_is_in_the_record() -> None:
    """Estimates with intervals of sections 3.1, 3.2, 3.3, 4.1 and 4.3, found by their three numbers."""
    ours = {
        (r.contrast.value, r.contrast.low, r.contrast.high)
        for r in VALOR.results
        if r.contrast is not None and r.contrast.low is not None
    }
    triple = r"(?<![\d.])([-+]?\d+\.\d+) \(([-+]?\d+\.\d+), ([-+]?\d+\.\d+)\)"
    seen = 0
    for title in ("### 3.1", "### 3.2", "### 3.3", "### 4.1", "### 4.3"):
        for row in table(title):
            cells = " | ".join(row[4:5] if "3.2" in title else row[3:5])
            for value, low, high in re.findall(triple, cells):
                assert (float(value), float(low), float(high)) in ours, (title, row)
                seen += 1
    assert seen >= 50


@needs_evidence
def test_reference_every_p_value_of_the_alsfrs_tables_is_in_the_record() -> None:
    ours = {round(float(p.value), 6) for r in VALOR.results for p in r.p if p.value is not None}
    seen = 0
    for title in ("### 3.1", "### 4.1"):
        for row in table(title):
            for text in re.findall(r"(?<![\d.-])0\.\d+(?![\d-])", row[4]):
                assert float(text) in ours, row
                seen += 1
    assert seen >= 35
