"""The command line as a person meets it: output, exit codes, no tracebacks, nothing half-written."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "equipoise"]


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], cwd=cwd, capture_output=True, text=True, timeout=1800, check=False)


def test_property_no_arguments_says_what_to_try(tmp_path: Path) -> None:
    done = run(cwd=tmp_path)
    assert done.returncode == 0
    assert "equipoise appraise valor" in done.stdout


def test_property_help_lists_every_command(tmp_path: Path) -> None:
    done = run("--help", cwd=tmp_path)
    assert done.returncode == 0
    for command in ("appraise", "questions", "replicate", "simulate", "fit", "records", "analyse"):
        assert command in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("appraise", "nothing"), "nothing"),
        (("replicate", "valor", "--replicates", "0"), "--replicates 0"),
        (("appraise", "valor", "--replicates", "-3"), "--replicates -3"),
        (("replicate", "valor", "--seed", "-1"), "--seed"),
        (("replicate", "valor", "--seed", "99999999999999999999"), "--seed"),
        (("appraise", "valor", "--replica", "bad.yaml", "--no-replica"), "--replica goes without"),
        (("replicate", "valor", "--mechanism", "magic"), "no mechanism 'magic'"),
        (("appraise", "valor", "--no-replica", "--out", "none/valor.html"), "does not exist"),
        (("appraise", "valor", "--no-replica", "--out", "."), "is a folder"),
        (("fit", "valor", "--out", "none/fitted.yaml"), "does not exist"),
        (("replicate", "valor", "--scenario", "bad.yaml"), "bad.yaml"),
        (("appraise", "valor", "--replica", "bad.yaml"), "is no JSON"),
        (("simulate", "nothing", "--adam", "out"), "no scenario called 'nothing'"),
        (("appraise", "valor", "--format", "pdf"), "pdf"),
        (("appraise", "valor", "--role", "astronaut"), "no reader 'astronaut'"),
        (("appraise", "valor", "--audience", "astronaut"), "no reader 'astronaut'"),
        (("questions", "valor", "--specialty", "astrology"), "no specialty 'astrology'"),
        (("questions", "valor", "--stage", "sleep"), "no stage 'sleep'"),
        (("questions", "valor", "--format", "anki", "--self-test"), "--self-test goes with"),
        (("questions", "valor", "--role", "patient", "--level", "advanced"), "fits --role patient --level advanced"),
        (("nonsense",), "nonsense"),
    ],
)
def test_property_mistakes_end_in_one_message(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    (tmp_path / "bad.yaml").write_text("protocol: [")
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.yaml"]


def test_property_impossible_design_names_the_field(tmp_path: Path) -> None:
    from equipoise.simulate import load_scenario, scenario_text

    text = scenario_text(load_scenario("valor")).replace("ratio: [1, 2]", "ratio: [0, 2]")
    (tmp_path / "bad.yaml").write_text(text)
    done = run("replicate", "valor", "--scenario", "bad.yaml", "--replicates", "2", cwd=tmp_path)
    assert done.returncode == 2
    assert "ratio" in done.stderr
    assert "Traceback" not in done.stderr


def test_property_replica_feeds_the_page(tmp_path: Path) -> None:
    one = run("replicate", "valor", "-n", "1", "--quiet", "--json", "one.json", cwd=tmp_path)
    assert one.returncode == 0, one.stderr
    assert "Warning" not in one.stderr
    done = run("replicate", "valor", "-n", "4", "--quiet", "--json", "r.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "published" in done.stdout
    replica = json.loads((tmp_path / "r.json").read_text())
    assert replica["replicates"] == 4
    assert {row["use"] for row in replica["rows"]} == {"fit", "set", "restated", "check"}
    for format in ("html", "md", "json"):
        page = run("appraise", "valor", "--replica", "r.json", "--format", format, cwd=tmp_path)
        assert page.returncode == 0, page.stderr
        assert (tmp_path / f"valor.{format}").stat().st_size > 10_000
    again = run("replicate", "valor", "-n", "4", "--quiet", "--json", "again.json", cwd=tmp_path)
    assert again.returncode == 0
    second = json.loads((tmp_path / "again.json").read_text())
    assert second["rows"] == replica["rows"]
    assert second["answers"] == replica["answers"]


def hear_interrupts() -> None:
    """A command started from a job in the background would inherit that Ctrl-C is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ on Windows")
def test_property_interrupt_leaves_nothing_half_written(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, "appraise", "valor", "--replicates", "100000", "--quiet"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path / "tmp")},
        preexec_fn=hear_interrupts,
    )
    (tmp_path / "tmp").mkdir(exist_ok=True)
    # wait until the study has begun (its first part is there) or the command ended, then press Ctrl-C
    while not any((tmp_path / "tmp").rglob("*.parquet")) and process.poll() is None:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=1800)
    assert process.returncode == 130, errors
    assert "interrupted" in errors
    assert "Traceback" not in errors
    assert not (tmp_path / "valor.html").exists()
    assert list((tmp_path / "tmp").iterdir()) == []


def test_property_simulated_trial_as_adam(tmp_path: Path) -> None:
    done = run("simulate", "valor", "--seed", "7", "--adam", "sim", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    names = {p.name for p in (tmp_path / "sim").iterdir()}
    assert {"adsl.xpt", "adtte.xpt"} <= names
