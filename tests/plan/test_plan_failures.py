"""A section that cannot be made says why in its place; data that a plan does not read are none of its business."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import typer
from typer.testing import CliRunner

import equipoise.plan.carry_out as carry_out
from equipoise.cli.analyse import analyse as command
from equipoise.errors import EquipoiseError
from equipoise.plan.analysis_plan import parse_plan, read_plan
from equipoise.plan.carry_out import analyse
from equipoise.plan.results import Results
from equipoise.plan.starter import start_plan
from equipoise.render.tables.tables import to_html, to_text
from equipoise.trial.adam import AdamStudy, from_frame, read_adam, write_adam

N = 24
PLAN = """
study: X1
treatment: {arms: [Placebo, Drug]}
populations: {ITT: {label: All, where: {ITTFL: Y}}}
analyses:
  - id: "1"
    title: Change
    population: ITT
    dataset: ADQS
    parameter: SCORE
    where: {AVISITN: 4}
    sections:
      - {method: summary, label: Score, variable: CHG}
      - {method: ancova, label: Model, formula: CHG ~ TRT01P + BASE}
  - {id: "2", title: Age, population: ITT, sections: [{method: summary, label: Age, variable: AGE}]}
"""


def frames() -> dict[str, pl.DataFrame]:
    g = np.random.default_rng(5)
    ids = [f"S{i:02d}" for i in range(N)]
    arms = ["Drug" if i % 2 else "Placebo" for i in range(N)]
    adsl = pl.DataFrame({"USUBJID": ids, "TRT01P": arms, "ITTFL": "Y", "AGE": g.normal(60, 8, N).round()})
    base = g.normal(40, 5, N).round()
    change = g.normal(-3, 2, N).round() + 2.0 * np.array([a == "Drug" for a in arms])
    adqs = pl.DataFrame(
        {
            "USUBJID": ids,
            "PARAMCD": "SCORE",
            "AVISIT": "Week 4",
            "AVISITN": 4.0,
            "BASE": base,
            "AVAL": base + change,
            "CHG": change,
        }
    )
    adtte = pl.DataFrame(
        {"USUBJID": ids, "PARAMCD": "DEATH", "AVAL": g.exponential(50, N).round() + 1, "CNSR": [0.0, 1.0] * (N // 2)}
    )
    return {"ADSL": adsl, "ADQS": adqs, "ADTTE": adtte}


def study(**changes: pl.DataFrame) -> AdamStudy:
    return AdamStudy({name: from_frame(frame, name) for name, frame in {**frames(), **changes}.items()})


def run(*arguments: str) -> Any:
    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, list(arguments))


def stored(tmp_path: Path, plan: str = PLAN, **changes: pl.DataFrame) -> tuple[Path, Path]:
    write_adam(study(**changes).datasets.values(), tmp_path / "data")
    (tmp_path / "plan.yaml").write_text(plan)
    return tmp_path / "plan.yaml", tmp_path / "data"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("variable: CHG", "variable: CHANGE", "there is no variable CHANGE"),
        ("CHG ~ TRT01P + BASE", "CHG ~ TRT01P + BASELINE", "BASELINE"),
        ("parameter: SCORE", "parameter: SCORES", "no PARAMCD SCORES"),
        ("dataset: ADQS", "dataset: ADXX", "no data set ADXX"),
        ("AVISITN: 4", "VISIT: 4", "there is no variable VISIT"),
    ],
)
def test_a_mistake_of_one_section_is_its_own_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    plan, data = stored(tmp_path, PLAN.replace(old, new, 1))
    done = run(str(plan), "--data", str(data), "--out", str(tmp_path / "out"))
    assert done.exit_code == 2, done.output
    assert "Table 2. Age" in done.stdout
    assert "Not estimable" in done.stdout
    assert said in " ".join(done.stdout.split())
    assert re.search(r"error: \S*plan.yaml, line \d+: analysis 1, section", done.stderr)
    assert "Traceback" not in done.output
    stored_results = json.loads((tmp_path / "out" / "results.json").read_text())
    failures = [b["failure"] for t in stored_results["tables"] for b in t["blocks"]]
    assert failures[-1] is None
    assert "mistake" in failures


def test_a_fault_of_the_program_does_not_end_the_other_sections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(context: Any, section: Any) -> Any:
        raise ValueError("the section broke")

    entry = carry_out.REGISTRY["ancova"]
    monkeypatch.setitem(carry_out.REGISTRY, "ancova", replace(entry, estimates=broken))
    plan, data = stored(tmp_path)
    done = run(str(plan), "--data", str(data))
    assert done.exit_code == 1, done.output
    assert "a fault of the program (ValueError: " in " ".join(done.stdout.split())
    assert "Table 2. Age" in done.stdout
    assert "Mean (SD)" in done.stdout.split("Table 2")[0]
    with pytest.raises(ValueError, match="the section broke"):
        analyse(study(), parse_plan(PLAN), strict=True)


def test_what_the_data_cannot_tell_is_no_mistake(tmp_path: Path) -> None:
    one_arm = frames()["ADQS"].filter(pl.col("USUBJID").is_in([f"S{i:02d}" for i in range(0, N, 2)]))
    plan, data = stored(tmp_path, ADQS=one_arm)
    done = run(str(plan), "--data", str(data))
    assert done.exit_code == 0, done.output
    assert "Table 2. Age" in done.stdout


def test_signs_are_escaped_once() -> None:
    strong = frames()["ADQS"].with_columns(CHG=pl.col("CHG") + 50.0 * pl.int_range(N).mod(2))
    strong = strong.with_columns(AVAL=pl.col("BASE") + pl.col("CHG"))
    made: Results = analyse(study(ADQS=strong), parse_plan(PLAN.replace("title: Change", "title: Change & <more>")))
    page = to_html(made)
    assert "&lt;0.0001" in page
    assert "&amp;lt;" not in page
    assert "Change &amp; &lt;more&gt;" in page
    assert "<0.0001" in to_text(made)


# -- files that the plan does not read ------------------------------------------------------------------------------


def test_data_that_the_plan_does_not_read_do_not_matter(tmp_path: Path) -> None:
    strange = frames()["ADTTE"].with_columns(USUBJID=pl.lit("nobody"), CNSR=pl.lit(-1.0))
    other = frames()["ADQS"].with_columns(PARAMCD=pl.lit("OTHER"), CHG=pl.lit(99.0))
    plan, data = stored(tmp_path, ADTTE=strange, ADQS=pl.concat([frames()["ADQS"], other]))
    (data / "adlb.xpt").write_bytes(b"no transport file")
    (data / "advs.csv").write_bytes(b"")
    (data / "adxx.json").write_text("{")
    done = run(str(plan), "--data", str(data))
    assert done.exit_code == 0, done.output
    assert "error" not in done.stderr
    assert "warning" not in done.stderr
    needed = run(str(plan.rename(tmp_path / "p.yaml")), "--data", str(data))
    assert needed.exit_code == 0
    (tmp_path / "reads.yaml").write_text(PLAN.replace("dataset: ADQS", "dataset: ADLB"))
    refused = run(str(tmp_path / "reads.yaml"), "--data", str(data))
    assert "adlb.xpt" in str(refused.exception)


def test_rows_keep_their_numbers_when_a_part_is_read() -> None:
    other = frames()["ADQS"].with_columns(PARAMCD=pl.lit("OTHER"))
    wrong = frames()["ADQS"].with_columns(CHG=pl.when(pl.col("USUBJID") == "S03").then(77.0).otherwise(pl.col("CHG")))
    with pytest.raises(Exception, match=rf"ADQS row {N + 4}, CHG: 77 is not AVAL - BASE"):
        analyse(study(ADQS=pl.concat([other, wrong])), parse_plan(PLAN))


def test_many_warnings_are_one_line(tmp_path: Path) -> None:
    flags = {f"F{i}FL": pl.lit("maybe") for i in range(15)}
    plan, data = stored(tmp_path, ADSL=frames()["ADSL"].with_columns(**flags))
    done = run(str(plan), "--data", str(data))
    said = [line for line in done.stderr.splitlines() if line.startswith("warning")]
    assert len(said) == 1
    assert "--warnings" in said[0]
    listed = run(str(plan), "--data", str(data), "--warnings")
    assert len([line for line in listed.stderr.splitlines() if "F3FL" in line]) > 0


def test_counts_beside_times_do_not_stop_what_init_wrote(tmp_path: Path) -> None:
    counts = frames()["ADTTE"].with_columns(PARAMCD=pl.lit("NFALLS"), CNSR=pl.lit(None, dtype=pl.Float64))
    both = pl.concat([frames()["ADTTE"], counts, counts])  # several records of a count are no repeated key
    write_adam(study(ADTTE=both).datasets.values(), tmp_path)
    wrote = run("--init", str(tmp_path))
    assert wrote.exit_code == 0, wrote.output
    assert "error" not in wrote.stderr
    done = run(str(tmp_path / "plan.yaml"), "--data", str(tmp_path))
    assert done.exit_code == 0, done.output
    methods = {
        a.parameter: a.sections[0].kind for a in start_plan(read_adam(tmp_path)).analyses if a.dataset == "ADTTE"
    }
    assert methods == {"DEATH": "survival", "NFALLS": "summary"}


@pytest.mark.parametrize("arguments", [("{long}.yaml", "{data}"), ("{plan}", "{long}"), ("{plan}", "{data}", "foo")])
def test_names_and_encodings_that_cannot_be_are_refused(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    plan, data = stored(tmp_path)
    name, folder, *encoding = (a.format(long="a" * 300, plan=plan, data=data) for a in arguments)
    done = run(name, "--data", folder, *(["--encoding", encoding[0]] if encoding else []))
    assert isinstance(done.exception, EquipoiseError)


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("variable: CHG}", "variable: CHGG}", 13, "CHGG"),
        ("formula: CHG ~ TRT01P + BASE", "formula: CHG ~ TRT01P + BASEE", 14, "BASEE"),
        ("parameter: SCORE", "parameter: SCORES", 6, "SCORES"),
        ("arms: [Placebo, Drug]", "arms: [Placebo, Drugg]", 3, "Drugg"),
        ("{arms: [", "{variable: TRT02P, arms: [", 3, "TRT02P"),
        ("dataset: ADQS", "dataset: ADXX", 6, "ADXX"),
        ("where: {AVISITN: 4}", "where: {VISITNUM: 4}", 6, "VISITNUM"),
    ],
)
def test_property_what_the_data_do_not_have_is_told_with_the_line_of_the_plan(
    tmp_path: Path, old: str, new: str, line: int, said: str
) -> None:
    assert old in PLAN
    path, folder = stored(tmp_path, PLAN.replace(old, new))
    found = run(str(path), "--data", str(folder))
    told = found.stderr if found.exception is None or isinstance(found.exception, SystemExit) else str(found.exception)
    errors = [text for text in told.splitlines() if said in text and "hint" not in text]
    assert errors
    assert all(f"{path.name}, line {line}: " in text for text in errors), errors
    with pytest.raises(EquipoiseError, match=f"line {line}: .*{said}"):
        analyse(read_adam(folder), read_plan(path), strict=True)


def test_property_a_visit_that_is_not_there_is_a_mistake_of_the_plan(tmp_path: Path) -> None:
    """Told with its line, and with the visits there are, whatever the method."""
    asks = ("method: delayed_start, period_end: 3, week: 4", "method: mi_ancova, weeks: [9], imputations: 2")
    for section in asks:
        plan = PLAN.replace("method: summary, label: Score, variable: CHG", section)
        path, folder = stored(tmp_path, plan.replace("where: {AVISITN: 4}", "where: {AVISITN: {le: 4}}"))
        done = run(str(path), "--data", str(folder))
        assert done.exit_code == 2, done.output
        assert re.search(r"plan.yaml, line 13: analysis 1, section 1 .*: no visit at week \d", done.stderr), done.stderr
        assert "visits are at weeks 4" in done.stderr


def test_property_one_variable_is_not_two_things(tmp_path: Path) -> None:
    section = "method: joint_rank, week: 4, time: BASE, censor: BASE"
    path, _ = stored(tmp_path, PLAN.replace("method: summary, label: Score, variable: CHG", section))
    with pytest.raises(EquipoiseError, match=r"line 13.*time and censor are the same variable, BASE"):
        read_plan(path)
