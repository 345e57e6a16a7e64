"""The day of a statistician, docs/how-to/a-day.md, run command by command; what it shows is what comes out."""

from __future__ import annotations

import csv
import importlib.util
import json
import math
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from equipoise.render.page.pdf import browser

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "how-to" / "a-day.md"
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHOWN = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OPTIONS = {"--pdf": browser() is not None, "--word": importlib.util.find_spec("docx") is not None}
"""Options of commands that need something which need not be installed."""


def commands() -> list[tuple[str, list[str]]]:
    """Each command of the page with the lines that are shown below it."""
    out: list[tuple[str, list[str]]] = []
    for block in CONSOLE.findall(PAGE.read_text(encoding="utf-8")):
        for line in block.splitlines():
            if line.startswith("$ "):
                out.append((line[2:], []))
            elif line.strip():
                out[-1][1].append(" ".join(line.split()))
    return out


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the day, where all commands have been run; what each printed is in a file by its number."""
    root = tmp_path_factory.mktemp("day")
    folder = root / "examples" / "day"
    shutil.copytree(ROOT / "examples" / "day", folder)
    (root / "tests").mkdir()
    (root / "tests" / "fixtures").symlink_to(ROOT / "tests" / "fixtures")
    programs = {"python": [sys.executable], "equipoise": [sys.executable, "-m", "equipoise"]}
    for number, (command, _) in enumerate(commands()):
        name, *rest = shlex.split(command)
        if name not in programs and shutil.which(name) is None:
            continue
        given = [*programs.get(name, [name]), *(word for word in rest if OPTIONS.get(word, True))]
        done = subprocess.run(given, cwd=folder, capture_output=True, text=True)
        (folder / f"{number}.out").write_text(f"{done.returncode}\n{done.stdout}\n{done.stderr}", encoding="utf-8")
    return folder


@pytest.mark.parametrize(("number", "command"), [(k, c) for k, (c, _) in enumerate(commands())])
def test_independent_each_command_gives_what_is_shown(day: Path, number: int, command: str) -> None:
    printed = day / f"{number}.out"
    if not printed.exists():
        pytest.skip(f"{command.split()[0]} is not installed")
    code, _, text = printed.read_text(encoding="utf-8").partition("\n")
    assert int(code) == (2 if "mistaken" in command else 0), text
    said = " ".join(text.split())
    left_out = {
        f"wrote tables/tables.{kind}" for kind, option in (("pdf", "--pdf"), ("docx", "--word")) if not OPTIONS[option]
    }
    for line in commands()[number][1]:
        assert line in left_out or line in said, line


def test_property_what_the_page_shows_of_plans_is_in_the_plan() -> None:
    plan = (ROOT / "examples" / "day" / "plan.yaml").read_text(encoding="utf-8")
    shown = SHOWN.findall(PAGE.read_text(encoding="utf-8"))
    assert len(shown) == 2
    for block in shown:
        assert block in plan


def test_reference_the_day_gives_the_numbers_of_r(day: Path) -> None:
    """The committed numbers of R's lm and survival on this trial: difference, hazard ratio, log-rank."""
    with (day / "tables" / "results.csv").open(encoding="utf-8", newline="") as file:
        found = {row["key"]: row for row in csv.DictReader(file)}
    wanted = json.loads((ROOT / "tests" / "fixtures" / "trial_other.json").read_text(encoding="utf-8"))
    model = dict(zip(*(wanted["ancova_week28"]["beta"][k] for k in ("names", "values")), strict=True))
    difference = found["difference:2:s2:Active"]
    assert float(difference["estimate"]) == pytest.approx(model["TRT01PActive"], rel=1e-10)
    cox = dict(zip(*(wanted["cox_efron"]["coef"][k] for k in ("names", "values")), strict=True))
    assert math.log(float(found["hazard_ratio:4:Active"]["estimate"])) == pytest.approx(cox["TRT01PActive"], rel=1e-8)
    assert float(found["log_rank:4"]["statistic"]) ** 2 == pytest.approx(wanted["logrank"]["chisq"], rel=1e-8)


@pytest.mark.parametrize("name", ["tables.rtf", "tables.html", "tables.txt"])
def test_property_every_table_is_in_every_file(day: Path, name: str) -> None:
    text = (day / "tables" / name).read_text(encoding="utf-8")
    for title in ("Table 1. Baseline", "Table 3. ALSFRS-R", "Table 5. Neurofilament by visit", "EQP-074"):
        assert title in text, title
