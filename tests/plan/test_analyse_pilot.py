"""CDISCPILOT01 from its XPT files: every printed value of the report's tables, SAS's ANCOVA to its digits, the MMRM."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from equipoise.plan.analysis_plan import Plan, parse_plan, read_plan
from equipoise.plan.carry_out import analyse
from equipoise.plan.results import Results, Row, Table
from equipoise.trial.adam import AdamStudy, from_trial, read_adam, to_trial, write_adam

PLAN = Path(__file__).parents[2] / "examples" / "cdiscpilot01.yaml"
ARMS = ("Placebo", "Xanomeline Low Dose", "Xanomeline High Dose")


@pytest.fixture(scope="module")
def pilot() -> Path:
    root = Path(os.environ.get("EQUIPOISE_SHARED", Path(__file__).parents[3] / "shared"))
    if not (root / "data" / "cdiscpilot01").is_dir():
        pytest.skip(f"the shared reference data are not at {root} (set EQUIPOISE_SHARED)")
    return root / "data" / "cdiscpilot01"


@pytest.fixture(scope="module")
def study(pilot: Path) -> AdamStudy:
    return read_adam(pilot / "adam")


@pytest.fixture(scope="module")
def results(study: AdamStudy) -> Results:
    return analyse(study, read_plan(PLAN))


def printed(table: Table) -> dict[tuple[str, str, str, str | None], list[str]]:
    """Every cell of a table by section, row, column and (for comparisons) what is compared, in order."""
    out: dict[tuple[str, str, str, str | None], list[str]] = defaultdict(list)
    for block in table.blocks:
        for row in block.rows:
            for column, cell in row.cells.items():
                label = "p-value" if column == "All arms" else row.label
                out[block.label, label, column, compared(row, column)].append(cell.text)
    return out


def compared(row: Row, column: str) -> str | None:
    if row.contrast is None:
        return None
    _, against, other = row.contrast.partition("against ")
    return f"{column} - {other}" if against else "linear trend in dose (mg as a continuous covariate)"


def test_reference_every_printed_value(pilot: Path, results: Results) -> None:
    published = json.loads((pilot / "published.json").read_text())
    ours = {t: printed(results.table(t)) for t in ("14-1.01", "14-2.01", "14-3.01")}
    wrong, checked, seen = [], 0, defaultdict(int)
    for entry in published["values"]:
        if entry["section"] == "Header":
            continue
        key = (entry["section"], entry["row"], entry["column"], entry.get("contrast"))
        found = ours[entry["table"]].get(key, [])
        place = seen[entry["table"], key]
        seen[entry["table"], key] += 1
        checked += 1
        if place >= len(found) or found[place] != entry["value"]:
            wrong.append((entry["table"], *key, entry["value"], found))
    assert wrong == []
    assert checked == len(published["values"]) - 1 == 301


def test_reference_header_of_the_primary_table(pilot: Path, results: Results) -> None:
    """The one header value transcribed is "N 74" under Placebo; in the report's own rows 74 is the high dose's n."""
    header = [v for v in json.loads((pilot / "published.json").read_text())["values"] if v["section"] == "Header"]
    columns = results.table("14-3.01").columns
    assert [v["value"] for v in header] == ["74"]
    assert [(c.name, c.n) for c in columns] == [("Placebo", 79), (ARMS[1], 81), (ARMS[2], 74)]


def primary(study: AdamStudy, sections: list[dict[str, Any]]) -> Table:
    plan = read_plan(PLAN).model_dump(mode="json", exclude_defaults=True)
    analysis = next(a for a in plan["analyses"] if a["id"] == "14-3.01")
    plan["analyses"] = [{**analysis, "sections": sections}]
    return analyse(study, Plan.model_validate(plan)).tables[0]


def test_reference_primary_analysis_equals_sas_to_its_digits(pilot: Path, study: AdamStudy) -> None:
    sas = json.loads((pilot / "published.json").read_text())["sas_output"][0]["model_treatment_comparison"]
    rows = [{"label": "mean", "show": "{estimate:8}"}]
    rows += [{"label": f"- {arm}", "show": "{estimate:8}", "versus": arm} for arm in ARMS[:2]]
    formula = "CHG ~ TRT01P + SITEGR1 + BASE"
    table = primary(study, [{"method": "ancova", "formula": formula, "weights": "observed", "rows": rows}])
    block = table.blocks[0]
    short = {"High": ARMS[2], "Low": ARMS[1], "Placebo": ARMS[0]}
    for name, expected in sas["estimates"].items():
        one, versus = (short[n] for n in name.split(" - "))
        found = next(r for r in block.rows if r.label == f"- {versus}").cells[one].values
        assert found["estimate"] == pytest.approx(expected["estimate"], abs=1e-8)
        assert found["se"] == pytest.approx(expected["se"], abs=1e-7)
        assert found["df"] == 220
        assert round(float(found["p"] or 0), 4) == expected["p"]
        assert [found["low"], found["high"]] == pytest.approx(expected["ci95"], abs=1e-6)
    for arm in ARMS:
        expected, found = sas["lsmeans_OM"][arm], block.rows[0].cells[arm].values
        assert found["estimate"] == pytest.approx(expected["lsmean"], abs=1e-8)
        assert found["se"] == pytest.approx(expected["se"], abs=1e-8)
        assert [found["low"], found["high"]] == pytest.approx(expected["ci95"], abs=1e-6)


def test_reference_mmrm_of_the_plan_equals_sas(results: Results) -> None:
    """-2 residual log-likelihood 3087.8430 in SAS; 234 patients of the efficacy population, observed data alone."""
    (block,) = results.table("14-3.11").blocks
    assert round(block.details["minus_2_log_likelihood"], 4) == 3087.8430
    assert block.details["converged"]
    assert block.details["covariance"] == "us"
    assert block.details["subjects"] == 234
    assert list(block.rows[0].cells) == list(ARMS)
    differences = next(r for r in block.rows if r.label == "p-value(Xan - Placebo)")
    assert all(float(c.values["p"] or 0) > 0.4 for c in differences.cells.values())


def test_reference_carried_forward_records_would_change_the_mmrm(study: AdamStudy) -> None:
    """The trap: with LOCF records left in, the fit is another one."""
    plan = read_plan(PLAN).model_dump(mode="json", exclude_defaults=True)
    analysis = next(a for a in plan["analyses"] if a["id"] == "14-3.11")
    del analysis["where"]["DTYPE"]
    plan["analyses"] = [analysis]
    details = analyse(study, Plan.model_validate(plan)).tables[0].blocks[0].details
    assert details["records"] > 539
    assert abs(details["minus_2_log_likelihood"] - 3087.8430) > 10


@pytest.mark.parametrize("source", ["datasetjson", "written"])
def test_independent_of_the_kind_of_file(pilot: Path, results: Results, tmp_path: Path, source: str) -> None:
    plan = read_plan(PLAN)
    if source == "datasetjson":
        again = analyse(pilot / "adam" / "datasetjson", plan)
    else:
        study = read_adam(pilot / "adam")
        write_adam([study[n] for n in ("ADSL", "ADADAS", "ADTTE", "ADAE")], tmp_path, format="parquet")
        again = analyse(tmp_path, plan)
    assert [printed(t) for t in again.tables] == [printed(t) for t in results.tables]


def test_property_the_trial_written_by_us_gives_the_same_results(
    study: AdamStudy, results: Results, tmp_path: Path
) -> None:
    """Study -> Trial -> folder -> study: the plan reads ADEFF instead of ADADAS; times come back in weeks."""
    write_adam(from_trial(to_trial(study)), tmp_path, format="dsjc")
    text = PLAN.read_text().replace("dataset: ADADAS", "dataset: ADEFF")
    again = analyse(tmp_path, parse_plan(text))
    for mine, theirs in zip(again.tables, results.tables, strict=True):
        if mine.id != "TTDE":
            assert printed(mine) == printed(theirs)
    (weeks,), (days,) = again.table("TTDE").blocks, results.table("TTDE").blocks
    assert [r.cells for r in weeks.rows[-2:]] == [r.cells for r in days.rows[-2:]]
    for arm in ARMS[1:]:
        in_weeks, in_days = (b.rows[3].cells[arm].values["median"] for b in (weeks, days))
        assert in_weeks == pytest.approx(float(in_days or 0) / 7)


def test_sources_and_problems_are_kept(results: Results) -> None:
    assert len(results.sources["adsl.xpt"]) == 64
    assert {"equipoise", "numpy", "scipy", "polars", "python"} <= set(results.versions)
    assert {p["dataset"] for p in results.problems if p["severity"] != "note"} <= {"ADSL", "ADQSADAS", "ADAE", "ADTTE"}
