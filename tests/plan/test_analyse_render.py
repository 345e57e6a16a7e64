"""What people and programs get: the terminal's tables, the page, the results and the ARS reporting event as JSON."""

from __future__ import annotations

import json
import os
import random
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import typer
from typer.testing import CliRunner

from equipoise.cli.analyse import analyse as command
from equipoise.errors import DataError, EquipoiseError, OutputError, ScenarioError
from equipoise.plan.analysis_plan import parse_plan, read_plan
from equipoise.plan.carry_out import analyse
from equipoise.plan.results import Results
from equipoise.plan.starter import start_plan, start_text
from equipoise.render.tables.ars import to_ars
from equipoise.render.tables.tables import to_html, to_text, write_results
from equipoise.trial.adam import AdamStudy, from_frame, write_adam

SHARED = Path(os.environ.get("EQUIPOISE_SHARED", Path(__file__).parents[3] / "shared"))
NASTY = "<script>alert('x')</script> & Büro"

PLAN = f"""
study: SMALL
title: "{NASTY}"
source: A plan
treatment: {{arms: [Placebo, Drug]}}
populations:
  ITT: {{label: Intent-to-treat, where: {{ITTFL: Y}}}}
  OLD: {{label: Older, where: {{ITTFL: Y, AGE: {{ge: 50}}}}}}
analyses:
  - id: T1
    title: "{NASTY}"
    population: ITT
    total: true
    footnotes: ["{NASTY}"]
    sections:
      - {{method: summary, label: Age, variable: AGE, test: anova}}
      - {{method: categories, label: Sex, variable: SEX, test: fisher, show_n: true}}
  - id: T2
    title: Change
    population: OLD
    dataset: ADQS
    parameter: TOT
    where: {{AVISITN: {{gt: 0}}, ANL01FL: Y}}
    purpose: primary
    estimand: treatment policy, mean difference
    sections:
      - {{method: summary, variable: CHG}}
      - {{method: mmrm, formula: "CHG ~ TRT01P * AVISIT + BASE", covariance: [us]}}
  - id: T3
    title: Adverse events
    population: ITT
    dataset: ADAE
    reason: DATA DRIVEN
    purpose: exploratory
    sections:
      - {{method: incidence, at_least: 10}}
"""


def small() -> AdamStudy:
    generator = random.Random(3)
    n = 40
    ids = [f"S{i:02d}" for i in range(n)]
    arms = ["Placebo" if i % 2 else "Drug" for i in range(n)]
    adsl = pl.DataFrame(
        {
            "STUDYID": ["SMALL"] * n,
            "USUBJID": ids,
            "TRT01P": arms,
            "ITTFL": ["Y"] * n,
            "AGE": [float(40 + i) for i in range(n)],
            "SEX": ["M" if i % 3 else "F" for i in range(n)],
        }
    )
    rows = []
    for i, (id, arm) in enumerate(zip(ids, arms, strict=True)):
        base = 30 + generator.gauss(0, 3)
        for week in (0.0, 4.0, 8.0):
            value = base if week == 0 else base - week / 4 * (1 + (arm == "Placebo")) + generator.gauss(0, 1)
            if week == 8 and i % 9 == 0:
                continue
            rows.append((id, arm, "TOT", f"Week {week:g}", week, value, base, value - base, "Y"))
    names = ["USUBJID", "TRTP", "PARAMCD", "AVISIT", "AVISITN", "AVAL", "BASE", "CHG", "ANL01FL"]
    adqs = pl.DataFrame(rows, schema=names, orient="row")
    adae = pl.DataFrame(
        {
            "USUBJID": [ids[0], ids[0], *ids[2:20:2], ids[1]],
            "AESEQ": [1.0, 2.0, *[1.0] * 10],
            "AEDECOD": ["Headache", "Headache", *["Headache"] * 9, "Rare <thing>"],
        }
    )
    frames = {"ADSL": adsl, "ADQS": adqs, "ADAE": adae}
    return AdamStudy({k: from_frame(v, k) for k, v in frames.items()})


@pytest.fixture(scope="module")
def results() -> Results:
    return analyse(small(), parse_plan(PLAN), command="equipoise analyse plan.yaml --data <here>")


def schema() -> dict[str, Any]:
    path = SHARED / "data" / "standards" / "ars_ldm.schema.json"
    if not path.is_file():
        pytest.skip(f"the ARS schema is not at {path} (set EQUIPOISE_SHARED)")
    loaded: dict[str, Any] = json.loads(path.read_text())
    return loaded


def all_ids(value: Any, found: list[str]) -> None:
    if isinstance(value, dict):
        if isinstance(value.get("id"), str):
            found.append(value["id"])
        for inner in value.values():
            all_ids(inner, found)
    elif isinstance(value, list):
        for inner in value:
            all_ids(inner, found)


def assert_consistent(event: dict[str, Any]) -> None:
    """Every reference in a reporting event leads somewhere, and no id is given twice."""
    ids: list[str] = []
    all_ids(event, ids)
    assert len(ids) == len(set(ids))
    groups = {g["id"]: {x["id"] for x in g.get("groups", [])} for g in event["analysisGroupings"]}
    operations = {m["id"]: {o["id"] for o in m["operations"]} for m in event["methods"]}
    for analysis in event["analyses"]:
        assert analysis["analysisSetId"] in {s["id"] for s in event["analysisSets"]}
        if "dataSubsetId" in analysis:
            assert analysis["dataSubsetId"] in {s["id"] for s in event["dataSubsets"]}
        known = {g["groupingId"] for g in analysis["orderedGroupings"]}
        keys = []
        for result in analysis["results"]:
            assert result["operationId"] in operations[analysis["methodId"]]
            for group in result.get("resultGroups", []):
                assert group["groupingId"] in known & set(groups)
                if "groupId" in group:
                    assert group["groupId"] in groups[group["groupingId"]]
            keys.append(json.dumps([result["operationId"], result.get("resultGroups")]))
        assert len(keys) == len(set(keys)), "two results cannot be told apart"


def test_reference_ars_is_valid_and_consistent(results: Results) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    event = to_ars(results)
    jsonschema.validate(event, schema())
    assert_consistent(event)
    broken = {**event, "analyses": [{"id": "A"}]}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, schema())
    old = next(s for s in event["analysisSets"] if s["id"] == "AS_OLD")
    assert [c["condition"]["comparator"] for c in old["compoundExpression"]["whereClauses"]] == ["EQ", "GE"]


def test_reference_ars_holds_the_tests_in_order(tmp_path: Path) -> None:
    """A plan with an order has one table more than it has analyses."""
    jsonschema = pytest.importorskip("jsonschema")
    made = analyse(small(), parse_plan(PLAN + "order: [T2.mmrm]\n"))
    event = to_ars(made)
    jsonschema.validate(event, schema())
    assert_consistent(event)
    assert [i["outputId"] for i in event["mainListOfContents"]["contentsList"]["listItems"]][-1].endswith("order")
    assert {"ars.json", "results.csv"} <= {p.name for p in write_results(made, tmp_path)}


def test_ars_holds_every_number_of_the_tables(results: Results) -> None:
    event = to_ars(results)
    age = next(a for a in event["analyses"] if a["name"] == "T1: Age")
    means = {
        tuple(g.get("groupId") for g in r.get("resultGroups", [])): (float(r["rawValue"]), r["formattedValue"])
        for r in age["results"]
        if r["operationId"] == "M_SUMMARY_OP_MEAN"
    }
    assert means == {("AG_TRT_1",): (60.0, "60.0"), ("AG_TRT_2",): (59.0, "59.0"), (): (59.5, "59.5")}
    model = next(a for a in event["analyses"] if a["methodId"] == "M_MMRM")
    by = {g["groupingId"] for r in model["results"] for g in r["resultGroups"]}
    assert by == {"AG_TRT", f"{model['id']}_LINE", f"{model['id']}_CONTRAST"}
    blocks = [b for t in results.tables for b in t.blocks]
    assert len(blocks) == len(event["analyses"])
    for block, analysis in zip(blocks, event["analyses"], strict=True):
        shown = {text for row in block.rows for cell in row.cells.values() for text in cell.shown.values()}
        assert shown == {r["formattedValue"] for r in analysis["results"]}


def test_reference_ars_of_the_pilot(tmp_path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    plan = Path(__file__).parents[2] / "examples" / "cdiscpilot01.yaml"
    folder = SHARED / "data" / "cdiscpilot01" / "adam"
    if not folder.is_dir():
        pytest.skip(f"the shared reference data are not at {SHARED}")
    done = run(str(plan), "--data", str(folder), "--out", str(tmp_path))
    assert done.exit_code == 0
    event = json.loads((tmp_path / "ars.json").read_text())
    jsonschema.validate(event, schema())
    assert_consistent(event)
    assert "3087.8430" in (tmp_path / "tables.txt").read_text()
    assert "-1.0 (0.84)" in done.stdout
    assert "42.7" in (tmp_path / "tables.html").read_text()
    whole = json.loads((tmp_path / "results.json").read_text())
    assert [t["id"] for t in whole["tables"]][:3] == ["14-1.01", "14-2.01", "14-3.01"]


def test_text_fits_and_says_what_matters(results: Results) -> None:
    text = to_text(results, 100)
    assert max(len(line) for line in text.splitlines()) <= 100
    assert "(N=20)" in text
    assert "Week 4\n" in text
    assert "Estimand: treatment policy, mean difference" in text
    assert "Terms in fewer than 10% of every arm are not shown." in text
    assert "Rare" not in text
    lines = text.splitlines()
    headache = next(line for line in lines if "Headache" in line)
    assert headache.split()[1:] == ["0", "10", "(", "50.0%)", "0.0004"]


class Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not any(name.startswith("on") for name, _ in attrs)
        assert not any((value or "").startswith("http") for name, value in attrs if name in ("src", "href"))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_page_is_self_contained_and_escaped(results: Results) -> None:
    page = to_html(results)
    parser = Text()
    parser.feed(page)
    assert "script" not in parser.tags
    assert parser.text.count(NASTY) >= 3
    assert parser.tags.count("table") == len(results.tables) + 1
    assert "equipoise analyse plan.yaml --data <here>" in parser.text


def test_the_same_data_give_the_same_files(results: Results, tmp_path: Path) -> None:
    again = analyse(small(), parse_plan(PLAN), command=results.command)
    for one, other in zip(write_results(results, tmp_path / "a"), write_results(again, tmp_path / "b"), strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name


def test_results_as_json_keep_every_digit(results: Results, tmp_path: Path) -> None:
    paths = write_results(results, tmp_path / "new" / "folder")
    assert [p.name for p in paths] == [
        "tables.txt",
        "tables.html",
        "results.json",
        "ars.json",
        "results.csv",
        "tables.rtf",
        "figure-T2.svg",
    ]
    whole = json.loads((tmp_path / "new" / "folder" / "results.json").read_text())
    cell = whole["tables"][0]["blocks"][0]["rows"][1]["cells"]["Placebo"]
    assert cell["values"]["mean"] == results.table("T1").cell("Age", "Mean (SD)", "Placebo").values["mean"]
    assert whole["plan"]["study"] == "SMALL"
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="is no folder"):
        write_results(results, tmp_path / "file")


def test_an_analysis_that_cannot_be_done_does_not_hide_the_others() -> None:
    text = PLAN.replace("AVISITN: {{gt: 0}}", "AVISITN: 4").replace("AVISITN: {gt: 0}", "AVISITN: 99")
    done = analyse(small(), parse_plan(text))
    assert done.table("T1").blocks[0].rows
    assert done.table("T2").blocks[1].notes == ("Not estimable: no complete records.",)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("variable: AGE", "variable: AGEE", "analysis T1: there is no variable AGEE in ADSL"),
        ("variable: AGE", "variable: SEX", "analysis T1: SEX is String"),
        ("parameter: TOT", "parameter: XXX", "no PARAMCD XXX in ADQS"),
        ("dataset: ADQS", "dataset: ADXX", "no data set ADXX"),
        ("+ BASE", "+ BASELINE", "there is no variable BASELINE"),
        ("arms: [Placebo, Drug]", "arms: [Placebo, Active]", "no subject is in arm 'Active'"),
        ("AGE: {ge: 50}", "AGE: {ge: 500}", "population OLD has no subjects"),
    ],
)
def test_plans_that_do_not_fit_the_data(old: str, new: str, message: str) -> None:
    assert old in PLAN
    with pytest.raises(DataError) as error:
        analyse(small(), parse_plan(PLAN.replace(old, new)), strict=True)
    assert message in str(error.value)


# --- the command


def run(*arguments: str) -> Any:
    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, list(arguments))


def error_of(*arguments: str) -> EquipoiseError:
    done = run(*arguments)
    assert isinstance(done.exception, EquipoiseError), done.output
    return done.exception


def test_command_init_then_analyse(tmp_path: Path) -> None:
    write_adam(small().datasets.values(), tmp_path / "sim")
    started = run("--init", str(tmp_path / "sim"))
    assert started.exit_code == 0, started.output
    plan = read_plan(tmp_path / "sim" / "plan.yaml")
    assert plan.treatment.arms == ("Placebo", "Drug")
    assert {"T1", "T2", "ADQS.TOT.ANCOVA", "ADQS.TOT.MMRM", "ADAE"} == {a.id for a in plan.analyses}
    done = run(str(tmp_path / "sim" / "plan.yaml"), "--data", str(tmp_path / "sim"), "--out", str(tmp_path / "out"))
    assert done.exit_code == 0, done.output
    assert "Table ADQS.TOT.MMRM" in done.stdout
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "ars.json",
        "figure-ADQS.TOT.MMRM.svg",
        "results.csv",
        "results.json",
        "tables.html",
        "tables.rtf",
        "tables.txt",
    ]
    assert isinstance(error_of("--init", str(tmp_path / "sim")), OutputError)
    assert run("--init", str(tmp_path / "sim"), "--force").exit_code == 0


def test_command_mistakes_end_in_our_errors(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(PLAN)
    assert isinstance(error_of(), ScenarioError)
    assert isinstance(error_of(str(tmp_path / "plan.yaml")), ScenarioError)
    assert isinstance(error_of(str(tmp_path / "none.yaml"), "--data", str(tmp_path)), ScenarioError)
    assert isinstance(error_of(str(tmp_path / "plan.yaml"), "--data", str(tmp_path / "none")), DataError)
    assert isinstance(error_of("--init", str(tmp_path)), DataError)
    study = small()
    adsl = study["ADSL"].frame
    doubled = from_frame(pl.concat([adsl, adsl.head(1)]), "ADSL")
    write_adam([doubled, study["ADQS"], study["ADAE"]], tmp_path / "bad")
    error = error_of(str(tmp_path / "plan.yaml"), "--data", str(tmp_path / "bad"))
    assert "ADSL row 41, USUBJID: repeats the key of row 1 (S00)" in str(error)


def test_started_plans_read_back() -> None:
    study = small()
    assert parse_plan(start_text(study)) == start_plan(study)
