"""Safety tables of a plan: by visit, beyond limits, listings; groups and pages, arms by analysis, ordered levels."""

from __future__ import annotations

import html
import re
import statistics
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from scipy import stats

from equipoise.errors import DataError, EquipoiseError, OutputError, ScenarioError
from equipoise.plan.analysis_plan import parse_plan
from equipoise.plan.block import estimates
from equipoise.plan.carry_out import analyse
from equipoise.plan.key import Key
from equipoise.plan.results import Results
from equipoise.render.page.pdf import browser
from equipoise.render.tables.ars import to_ars
from equipoise.render.tables.content import lines_of, notes_of, pages_of
from equipoise.render.tables.rtf import to_rtf
from equipoise.render.tables.tables import to_html, to_text, write_results
from equipoise.render.tables.word import to_word
from equipoise.trial.adam import AdamStudy, from_frame

ARMS = ("Placebo", "Low", "High")
PARAMS = (("ALT", "Alanine aminotransferase (U/L)", 2.0), ("NA", "Sodium (mmol/L)", 1.0))


@pytest.fixture(scope="module")
def study() -> AdamStudy:
    g = np.random.default_rng(17)
    people, labs, events = [], [], []
    for i in range(60):
        arm = ARMS[i % 3]
        actual = "High" if i == 1 else arm  # one subject took another dose than planned
        who = f"S{i:02d}"
        people.append({"USUBJID": who, "TRT01P": arm, "TRT01A": actual, "SAFFL": "Y" if i else "N"})
        for code, name, number in PARAMS:
            base = None
            for week in (0.0, 4.0, 8.0):
                if week and g.random() < 0.15:
                    continue
                value = float(np.round(30 + 8 * g.normal() + (week if arm == "High" else 0.0), 1))
                base = value if week == 0 else base
                labs.append(
                    {
                        "USUBJID": who,
                        "PARAMCD": code,
                        "PARAM": name,
                        "PARAMN": number,
                        "AVISIT": "Baseline" if week == 0 else f"Week {week:g}",
                        "AVISITN": week,
                        "AVAL": value,
                        "BASE": base,
                        "CHG": None if week == 0 else value - float(base or 0.0),
                        "ABLFL": "Y" if week == 0 else None,
                        "A1LO": 20.0,
                        "A1HI": 40.0,
                    }
                )
        for k in range(int(g.integers(0, 4))):
            grade = ("SEVERE", "MILD", "MODERATE")[int(g.integers(0, 3))]
            events.append({"USUBJID": who, "AEDECOD": f"Term {k % 2}", "AESEV": grade, "ASTDY": float(10 - k)})
    frames = {"ADSL": people, "ADLB": labs, "ADAE": events}
    return AdamStudy({n: from_frame(pl.DataFrame(rows, infer_schema_length=None), n) for n, rows in frames.items()})


def run(study: AdamStudy, *analyses: dict[str, Any], **more: Any) -> Results:
    plan = {
        "study": "TOY",
        "treatment": {"arms": list(ARMS)},
        "populations": {"SAF": {"label": "Safety", "where": {"SAFFL": "Y"}}},
        "analyses": [{"id": str(k), "population": "SAF", **a} for k, a in enumerate(analyses, start=1)],
    }
    return analyse(study, parse_plan(yaml.safe_dump({**plan, **more}, sort_keys=False)), strict=True)


LABS = {"dataset": "ADLB", "parameters": "all"}


def values(study: AdamStudy, arm: str, name: str, **where: Any) -> list[float]:
    """Values of the safety population by hand."""
    people = study["ADSL"].frame.filter((pl.col("SAFFL") == "Y") & (pl.col("TRT01P") == arm))["USUBJID"].to_list()
    frame = study["ADLB"].frame.filter(pl.col("USUBJID").is_in(people))
    for variable, value in where.items():
        frame = frame.filter(pl.col(variable) == value)
    return frame[name].drop_nulls().to_list()


def test_independent_values_and_changes_by_visit(study: AdamStudy) -> None:
    made = run(study, {**LABS, "sections": [{"method": "by_visit"}]})
    assert [b.label for b in made.tables[0].blocks] == ["Sodium (mmol/L)", "Alanine aminotransferase (U/L)"]
    checked = 0
    for arm in ARMS:
        for code in ("ALT", "NA"):
            for visit in ("Baseline", "Week 4", "Week 8"):
                for name in ("AVAL", "CHG"):
                    own = values(study, arm, name, PARAMCD=code, AVISIT=visit)
                    wanted = {"n": len(own)}
                    if len(own) > 1:
                        wanted |= {"mean": statistics.fmean(own), "sd": statistics.stdev(own), "max": max(own)}
                        wanted |= {"median": statistics.median(own), "min": min(own)}
                    for statistic, value in wanted.items():
                        key = Key(statistic, analysis="1", arm=arm, visit=visit, variable=f"{code}.{name}")
                        assert made.numbers[key].estimate == pytest.approx(value, rel=1e-12), key.id
                        checked += 1
    assert checked == 3 * 2 * (3 * 6 + 2 * 6 + 1)
    labels = [row.label for row in made.tables[0].blocks[0].rows]
    assert labels.count("Change from baseline: n") == 2  # none at baseline
    cell = made.tables[0].cell("Sodium (mmol/L)", "Change from baseline: n", "High")
    assert cell.text == str(len(values(study, "High", "CHG", PARAMCD="NA", AVISIT="Week 4")))


def test_property_two_records_at_a_visit_and_visits_that_are_not_there_are_told(study: AdamStudy) -> None:
    labs = study["ADLB"].frame
    twice = AdamStudy({**study.datasets, "ADLB": from_frame(pl.concat([labs, labs.tail(1)]), "ADLB")})
    with pytest.raises(DataError, match=r"S59 has more than one record at (Week|Baseline)"):
        run(twice, {**LABS, "sections": [{"method": "by_visit"}]})
    with pytest.raises(DataError, match="no visit 'Week 6'"):
        run(study, {**LABS, "sections": [{"method": "by_visit", "visits": ["Week 6"]}]})
    with pytest.raises(DataError, match="no PARAMCD AST"):
        run(study, {"dataset": "ADLB", "parameters": ["ALT", "AST"], "sections": [{"method": "by_visit"}]})
    with pytest.raises(DataError, match="which parameter of ADLB"):
        run(study, {"dataset": "ADLB", "sections": [{"method": "by_visit"}]})


@pytest.mark.parametrize("emergent", [False, True])
def test_independent_subjects_beyond_a_limit(study: AdamStudy, emergent: bool) -> None:
    rules = [{"label": "high", "above": {"A1HI": 1.0}}, {"label": "half", "where": {"AVAL": {"lt": 25}}}]
    section = {"method": "outliers", "rules": rules, "emergent": emergent, "test": "fisher", "difference": "wald"}
    made = run(study, {**LABS, "sections": [section]})
    meets = {"high": lambda v: v > 40.0, "half": lambda v: v < 25.0}
    people = dict(study["ADSL"].frame.filter(pl.col("SAFFL") == "Y").select("USUBJID", "TRT01P").iter_rows())
    for rule, met in meets.items():
        counts = {}
        for arm in ARMS:
            seen, known = set(), set()
            for who in (w for w, a in people.items() if a == arm):
                own = study["ADLB"].frame.filter((pl.col("USUBJID") == who) & (pl.col("PARAMCD") == "ALT"))
                base = own.filter(pl.col("AVISITN") == 0)["AVAL"].to_list()
                after = own.filter(pl.col("AVISITN") > 0)["AVAL"].to_list()
                if not after or (emergent and met(base[0])):
                    continue
                known.add(who)
                seen |= {who} if any(met(v) for v in after) else set()
            counts[arm] = (len(seen), len(known))
            key = Key("patients", analysis="1", arm=arm, variable="ALT.AVAL", level=rule)
            assert (made.numbers[key].estimate, made.numbers[key].n) == counts[arm]
        for arm in ARMS[1:]:
            (a, n), (b, m) = counts[arm], counts["Placebo"]
            key = Key("fisher", analysis="1", arm=arm, variable="ALT.AVAL", level=rule)
            assert made.numbers[key].p == pytest.approx(stats.fisher_exact([[a, n - a], [b, m - b]])[1], rel=1e-9)
            difference = made.numbers[Key("risk_difference", analysis="1", arm=arm, variable="ALT.AVAL", level=rule)]
            half = 1.959963984540054 * np.sqrt(a / n * (1 - a / n) / n + b / m * (1 - b / m) / m)
            assert difference.estimate == pytest.approx(a / n - b / m)
            assert [difference.low, difference.high] == pytest.approx([a / n - b / m - half, a / n - b / m + half])
    text = made.tables[0].cell("Alanine aminotransferase (U/L)", "half", "High").text
    assert re.fullmatch(r"\d+/\d+( \( *[\d.]+%\))?", text)


def test_property_a_listing_shows_the_records_that_are_asked_for(study: AdamStudy) -> None:
    section = {
        "method": "listing",
        "show": {"USUBJID": "Subject", "TRT01P": "Arm", "AEDECOD": "Term", "ASTDY": "Day"},
        "where": {"AESEV": "SEVERE"},
        "order": ["TRT01P", "-ASTDY", "USUBJID"],
    }
    made = run(study, {"dataset": "ADAE", "sections": [section]})
    (block,) = made.tables[0].blocks
    joined = (
        study["ADAE"]
        .frame.join(study["ADSL"].frame, on="USUBJID")
        .filter((pl.col("AESEV") == "SEVERE") & (pl.col("SAFFL") == "Y"))
    )
    wanted = joined.sort("TRT01P", "ASTDY", "USUBJID", descending=[False, True, False])
    found = [(r.label, *(r.cells[c].text for c in ("TRT01P", "AEDECOD", "ASTDY"))) for r in block.rows]
    assert found == [
        (who, arm, term, f"{day:g}")
        for who, arm, term, day in wanted.select("USUBJID", "TRT01P", "AEDECOD", "ASTDY").iter_rows()
    ]
    assert len(found) > 5
    told = to_text(made)
    assert "Subject" in told
    assert "Term" in told
    assert r"\ql" in to_rtf(made)
    with pytest.raises(DataError, match="no variable AESER"):
        run(study, {"dataset": "ADAE", "sections": [{**section, "show": ["USUBJID", "AESER"]}]})


def test_independent_treatment_by_analysis_and_pooled_arms(study: AdamStudy) -> None:
    count = [{"method": "categories", "label": "n", "levels": [{"label": "all", "where": {"SAFFL": "Y"}}]}]
    beside = {"pool": {"Any dose": ["Low", "High"]}}
    pooled = {"arms": ["Placebo", "Dose"], "pool": {"Dose": ["Low", "High"]}}
    made = run(
        study,
        {"sections": count},
        {"sections": count, "treatment": {"variable": "TRT01A"}},
        {"sections": count, "treatment": beside},
        {"sections": count, "treatment": pooled},
        {"dataset": "ADAE", "sections": [{"method": "incidence", "at_least": 0}], "treatment": pooled},
    )
    sizes = [{c.name: c.n for c in t.columns if c.n is not None} for t in made.tables]
    assert sizes[:4] == [
        {"Placebo": 19, "Low": 20, "High": 20},
        {"Placebo": 19, "Low": 19, "High": 21},
        {"Placebo": 19, "Low": 20, "High": 20, "Any dose": 40},
        {"Placebo": 19, "Dose": 40},
    ]
    for table, wanted in zip(made.tables[:4], sizes[:4], strict=True):
        assert {c: int(x.values["n"] or 0) for c, x in table.blocks[0].rows[0].cells.items()} == wanted
    people = study["ADSL"].frame.filter(pl.col("SAFFL") == "Y")
    events = study["ADAE"].frame.join(people, on="USUBJID")
    own = {
        arm: events.filter(pl.col("TRT01P").is_in(names))["USUBJID"].n_unique()
        for arm, names in {"Placebo": ["Placebo"], "Dose": ["Low", "High"]}.items()
    }
    line = made.table("5").blocks[0].rows[0].cells
    assert {arm: line[arm].values["n"] for arm in own} == own
    table = np.array([[own["Dose"], 40 - own["Dose"]], [own["Placebo"], 19 - own["Placebo"]]])
    assert line["p: Dose"].values["p"] == pytest.approx(stats.fisher_exact(table)[1], rel=1e-9)
    groupings = {g["id"]: g for g in to_ars(made)["analysisGroupings"]}
    values = [g["condition"]["value"] for g in groupings["AG_TRT_5"]["groups"]]
    assert values == [["Placebo"], ["Low", "High"]]
    assert groupings["AG_TRT_2"]["groupingVariable"] == "TRT01A"


@pytest.mark.parametrize(
    ("treatment", "said"),
    [
        ({"pool": {"Dose": ["Low", "Middle"]}}, "'Middle' is not one of the arms"),
        ({"arms": ["Placebo", "Dose", "Low"], "pool": {"Dose": ["Low", "High"]}}, "'Low' is an arm of its own"),
        ({"control": "Sham"}, "control 'Sham' is not one of the arms"),
        ({"pool": {"Dose": []}}, "name several arms of the data"),
    ],
)
def test_property_arms_that_cannot_be_are_refused(study: AdamStudy, treatment: dict[str, Any], said: str) -> None:
    with pytest.raises(ScenarioError, match=said):
        run(study, {"treatment": treatment, "sections": [{"method": "summary", "variable": "AGE"}]})


def test_independent_levels_named_once_order_tables_tests_and_conditions(study: AdamStudy) -> None:
    levels = {"AESEV": ["MILD", "MODERATE", "SEVERE", "FATAL"]}
    section = {"method": "incidence", "by": "AESEV", "at_least": 0, "any_label": None}
    made = run(
        study,
        {"dataset": "ADAE", "sections": [section]},
        {"dataset": "ADAE", "where": {"AESEV": {"ge": "MODERATE"}}, "sections": [{"method": "incidence"}]},
        levels=levels,
    )
    lines = [row.label for row in made.tables[0].blocks[0].rows]
    assert lines[1:5] == levels["AESEV"]
    people = study["ADSL"].frame.filter(pl.col("SAFFL") == "Y")
    events = (
        study["ADAE"]
        .frame.join(people, on="USUBJID")
        .with_columns(G=pl.col("AESEV").replace_strict({v: k for k, v in enumerate(levels["AESEV"])}))
    )
    worst = events.group_by("USUBJID", "AEDECOD", "TRT01P").agg(pl.col("G").max())
    for term in ("Term 0", "Term 1"):
        for grade, name in enumerate(levels["AESEV"]):
            wanted = worst.filter((pl.col("AEDECOD") == term) & (pl.col("TRT01P") == "High") & (pl.col("G") == grade))
            key = Key("patients", analysis="1", arm="High", variable="AEDECOD", level=f"{term}: {name}")
            assert made.numbers[key].estimate == wanted.height
    more = made.table("2").blocks[0].rows[0].cells["High"].values["n"]
    assert more == events.filter((pl.col("TRT01P") == "High") & (pl.col("G") >= 1))["USUBJID"].n_unique()
    with pytest.raises(DataError, match="levels of AESEV lack 'SEVERE'"):
        run(study, {"dataset": "ADAE", "sections": [section]}, levels={"AESEV": ["MILD", "MODERATE"]})
    with pytest.raises(ScenarioError, match="a level is listed twice"):
        run(study, {"sections": [{"method": "summary", "variable": "AGE"}]}, levels={"X": ["A", "A"]})
    with pytest.raises(DataError, match="AESEV has no level 'WORSE'"):
        run(study, {"dataset": "ADAE", "where": {"AESEV": "WORSE"}, "sections": [section]}, levels=levels)


def test_property_groups_are_the_same_one_trial_at_a_time(study: AdamStudy) -> None:
    plan = parse_plan(
        yaml.safe_dump(
            {
                "study": "TOY",
                "treatment": {"arms": list(ARMS)},
                "populations": {"ALL": {"label": "All"}},
                "analyses": [{"id": "1", "population": "ALL", **LABS, "sections": [{"method": "by_visit"}]}],
            }
        )
    )
    whole, singly = analyse(study, plan).numbers, estimates(study, plan)
    assert {k: repr(e.estimate) for k, e in singly.items()} == {k: repr(e.estimate) for k, e in whole.items()}
    alone = run(study, {"dataset": "ADLB", "parameter": "ALT", "sections": [{"method": "by_visit"}]})
    grouped = run(study, {**LABS, "by": ["AVISIT"], "sections": [{"method": "summary", "variable": "AVAL"}]})
    assert [b.label for b in grouped.tables[0].blocks][:2] == ["Sodium (mmol/L), Baseline", "Sodium (mmol/L), Week 4"]
    one = grouped.numbers[Key("mean", analysis="1", arm="Low", variable="ALT, Week 8.AVAL")]
    assert one.estimate == alone.numbers[Key("mean", analysis="1", arm="Low", visit="Week 8", variable="AVAL")].estimate


def test_property_a_test_of_a_group_cannot_be_taken_up(study: AdamStudy) -> None:
    hypotheses = {"one": {"of": "1"}}
    with pytest.raises(ScenarioError, match="several groups"):
        run(
            study,
            {**LABS, "sections": [{"method": "outliers", "test": "fisher"}]},
            {"sections": [{"method": "multiplicity", "procedure": "holm", "hypotheses": hypotheses}]},
        )


def paged(study: AdamStudy) -> Results:
    return run(study, {**LABS, "title": "Chemistry", "pages": True, "sections": [{"method": "by_visit"}]})


def test_property_each_group_begins_a_page_in_every_kind_of_file(study: AdamStudy) -> None:
    made = paged(study)
    rtf = to_rtf(made)
    assert rtf.count("\\page\n") == 1
    first, second = rtf.split("\\page\n")
    assert "Sodium" in first
    assert "Alanine" not in first
    assert "Alanine" in second
    assert "Sodium" not in second
    assert first.count("Table 1. Chemistry") == second.count("Table 1. Chemistry") == 1
    assert to_text(made).count("Table 1. Chemistry") == 2
    page = to_html(made)
    assert page.count("Table 1. Chemistry") == 2
    anchors = re.findall(r'id="(t1[^"]*)"', page)
    assert len(anchors) == len(set(anchors))
    assert {"t1", "t1-2"} <= set(anchors)
    assert "break-before: page" in page
    flat = run(study, {**LABS, "title": "Chemistry", "sections": [{"method": "by_visit"}]})
    assert to_rtf(flat).count("\\page\n") == 0
    assert [n.estimate for n in flat.numbers.values() if n.estimable] == [
        n.estimate for n in made.numbers.values() if n.estimable
    ]


def test_property_each_group_begins_a_page_in_word(study: AdamStudy) -> None:
    docx = pytest.importorskip("docx", reason="python-docx is not installed")
    paper = docx.Document(BytesIO(to_word(paged(study))))
    heads = [p for p in paper.paragraphs if p.style.name.startswith("Heading")]
    assert [bool(p.paragraph_format.page_break_before) for p in heads] == [False, True]
    assert {"Sodium (mmol/L)", "Alanine aminotransferase (U/L)"} <= {p.text for p in paper.paragraphs}


@pytest.mark.skipif(browser() is None, reason="no Chromium or Chrome on the path")
def test_property_pdf_has_a_page_a_group(study: AdamStudy, tmp_path: Path) -> None:
    paths = write_results(paged(study), tmp_path, pdf=True)
    content = next(p for p in paths if p.name == "tables.pdf").read_bytes()
    assert content.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", content)) >= 2
    wide = re.findall(rb"/MediaBox\s*\[\s*0\s+0\s+([\d.]+)\s+([\d.]+)", content)
    assert wide
    assert all(float(w) > float(h) for w, h in wide)


def test_property_mistakes_of_sections_are_told(study: AdamStudy) -> None:
    for section, said in (
        ({"method": "outliers", "rules": [{"label": "nothing"}]}, "give where:, above: or below:"),
        ({"method": "outliers", "rules": [{"label": "a", "above": {"A1HI": 2}}] * 2}, "two rules have one label"),
        ({"method": "by_visit", "statistics": [{"label": "x", "show": "{mode}"}]}, "there is no statistic 'mode'"),
        ({"method": "listing", "show": ["USUBJID", "USUBJID"]}, "listed twice"),
        ({"method": "outliers", "rules": [{"label": "a", "above": {"A2HI": 2}}]}, "A2HI is no number of ADLB"),
    ):
        with pytest.raises(EquipoiseError, match=re.escape(said)):
            run(study, {**LABS, "sections": [section]})


@pytest.mark.parametrize("take", ["first", "last", "max", "min"])
def test_independent_one_record_of_each_subject(study: AdamStudy, take: str) -> None:
    by = "AVISITN" if take in ("first", "last") else "AVAL"
    section = {
        "method": "summary",
        "variable": "AVAL",
        "where": {"AVISITN": {"gt": 0}},
        "pick": {"take": take, "by": by},
    }
    made = run(study, {**LABS, "sections": [section]})
    people = study["ADSL"].frame.filter((pl.col("SAFFL") == "Y") & (pl.col("TRT01P") == "High"))["USUBJID"].to_list()
    labs = study["ADLB"].frame.filter((pl.col("PARAMCD") == "ALT") & (pl.col("AVISITN") > 0))
    own = []
    for who in people:
        records = sorted(labs.filter(pl.col("USUBJID") == who).select(pl.col(by).alias("BY"), "AVAL").iter_rows())
        if records:
            own.append(records[-1 if take in ("last", "max") else 0][1])
    key = Key("mean", analysis="1", arm="High", variable="ALT.AVAL")
    assert made.numbers[key].n == len(own)
    assert made.numbers[key].estimate == pytest.approx(statistics.fmean(own), rel=1e-12)
    with pytest.raises(DataError, match="no variable ADY in ADLB"):
        run(study, {**LABS, "sections": [{**section, "pick": {"take": "last", "by": "ADY"}}]})
    many = parse_plan(yaml.safe_dump(made.plan))
    assert {k: repr(e.estimate) for k, e in estimates(study, many).items()} == {
        k: repr(e.estimate) for k, e in made.numbers.items()
    }


def test_independent_the_mean_over_visits_of_a_repeated_measures_model(study: AdamStudy) -> None:
    model = {"method": "mmrm", "formula": "CHG ~ TRT01P * AVISIT + BASE", "covariance": ["us"], "figure": False}
    about = {"dataset": "ADLB", "parameter": "ALT", "where": {"AVISITN": {"gt": 0}}}
    made = run(
        study,
        {**about, "sections": [{**model, "average": "Both weeks", "visits": ["Week 4", "Week 8"]}]},
        {**about, "sections": [{**model, "average": "Both weeks"}]},
    )
    for arm in ARMS:
        here = [made.numbers[Key("lsmean", analysis="1", arm=arm, visit=v)].estimate for v in ("Week 4", "Week 8")]
        mean = made.numbers[Key("lsmean", analysis="1", arm=arm, visit="Both weeks")]
        assert mean.estimate == pytest.approx(statistics.fmean(here), rel=1e-9)
    for arm in ARMS[1:]:
        apart = [made.numbers[Key("difference", analysis="1", arm=arm, visit=v)].estimate for v in ("Week 4", "Week 8")]
        mean = made.numbers[Key("difference", analysis="1", arm=arm, visit="Both weeks")]
        assert mean.estimate == pytest.approx(statistics.fmean(apart), rel=1e-8, abs=1e-10)
        assert mean.se < max(
            made.numbers[Key("difference", analysis="1", arm=arm, visit=v)].se for v in ("Week 4", "Week 8")
        )
    assert {key.visit for key in made.numbers if key.analysis == "2"} == {"Both weeks"}
    with pytest.raises(DataError, match="'Week 8' is a visit"):
        run(study, {**about, "sections": [{**model, "average": "Week 8"}]})


def test_property_a_mistake_names_its_section_and_group(study: AdamStudy) -> None:
    plan = {
        "study": "TOY",
        "treatment": {"arms": list(ARMS)},
        "populations": {"ALL": {"label": "All"}},
        "analyses": [
            {"id": "1", "population": "ALL", **LABS, "sections": [{"method": "by_visit"}, {"method": "shift"}]}
        ],
    }
    made = analyse(study, parse_plan(yaml.safe_dump(plan)))
    assert [(id, number, block.group) for id, number, block in made.failed] == [
        ("1", 2, "Sodium (mmol/L)"),
        ("1", 2, "Alanine aminotransferase (U/L)"),
    ]


def test_property_without_a_browser_the_other_files_are_there(
    study: AdamStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OutputError, match="the other files are in"):
        write_results(paged(study), tmp_path / "out", pdf=True)
    there = {p.name for p in (tmp_path / "out").iterdir()}
    assert {"tables.html", "tables.rtf", "tables.txt", "results.json", "ars.json", "results.csv"} <= there
    assert "tables.pdf" not in there


def test_property_the_look_of_tables_is_written_once(study: AdamStudy) -> None:
    page = to_html(paged(study))
    assert page.count('<table class="result"') == 2
    assert page.count("<style>") == 1
    assert page.count(".result tr.title > *") == 1


def test_property_a_table_of_the_page_says_what_the_results_say(study: AdamStudy) -> None:
    """Every cell, label, heading and note in order, each column on its side; one body of rows a block."""
    made = paged(study)
    (table,) = made.tables
    page = to_html(made)
    for name, (_, part) in zip(("t1", "t1-2"), pages_of(table), strict=True):
        held = re.search(
            rf'<table class="result" id="{name}">(.*?)</table><div class="notes">(.*?)</div>', page, re.DOTALL
        )
        assert held is not None
        rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr.*?</tr>", held[1], re.DOTALL)]
        cells = [[html.unescape(cell) for cell in row] for row in rows]
        lines = list(lines_of(part))
        said: list[list[str]] = []
        for previous, (block, row) in zip([None, *lines], lines, strict=False):
            if block and (previous is None or previous[0] != block):
                said.append([block])
            texts = [row.cells[c.name].text if c.name in row.cells else "" for c in part.columns]
            said.append(["\u2003" * row.indent + row.label, *texts])
        assert cells[3:] == said
        assert cells[2][1:] == [c.label + ("" if c.n is None else f"<br>(N={c.n})") for c in part.columns]
        assert [html.unescape(n) for n in re.findall("<p>(.*?)</p>", held[2])] == notes_of(part)
        assert held[1].count('<td class="number"') == sum(not c.text for c in part.columns) * len(lines)
