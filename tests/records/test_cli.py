"""`equipoise records` from the outside: what it prints, and the exit codes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def run(*args: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    code = "from equipoise.cli.main import main; main()"
    env = {**os.environ, "COLUMNS": "120", "NO_COLOR": "1"}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code, "records", *args],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=env,
        check=False,
        timeout=1800,
    )


def test_alone_it_lists() -> None:
    done = run()
    assert done.returncode == 0, done.stderr
    assert "valor" in done.stdout
    assert "108" in done.stdout
    assert "built in" in done.stdout


def test_show_prints_all_sections_and_holds_recalled_numbers_back() -> None:
    done = run("show", "valor")
    assert done.returncode == 0, done.stderr
    for word in ("Design", "Baseline", "Results", "Curves", "Safety", "Coherence notes", "0.9689", "-3.19", "PHOENIX"):
        assert word in done.stdout
    assert "5 values are recalled" in done.stdout
    assert "April 2024" not in done.stdout, "a recalled fact"
    assert "25 days" not in done.stdout, "a recalled number"


def test_show_one_section_and_unknown_ones() -> None:
    done = run("show", "valor", "-s", "safety")
    assert done.returncode == 0
    assert "Back pain" in done.stdout
    assert "Baseline" not in done.stdout
    wrong = run("show", "valor", "-s", "sfety")
    assert wrong.returncode == 2
    assert "safety" in wrong.stderr


def test_check_says_ok_in_one_line() -> None:
    done = run("check", "valor")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    assert "OK" in done.stdout


def test_check_names_file_line_path_and_expectation(small: str, tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(small, encoding="utf-8")
    bad = tmp_path / "bad.yaml"
    bad.write_text(small.replace("low: 0.1", "low: 3.1").replace("role: primary", "role: primry"), encoding="utf-8")
    line = small[: small.index("low: 0.1")].count("\n") + 1
    done = run("check", str(tmp_path / "good.yaml"), str(bad))
    assert done.returncode == 2
    assert "good.yaml: OK" in done.stdout
    assert f"bad.yaml:{line}:" in done.stdout
    assert "results[score_w24].contrast.low: found 3.1; expected no more than the estimate, 2.1" in done.stdout
    assert "did you mean 'primary'?" in done.stdout
    assert "2 problems" in done.stdout
    folder = run("check", "--records", str(tmp_path))
    assert folder.returncode == 2
    assert "good.yaml: OK" in folder.stdout


def test_a_folder_of_ones_own(small: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(small, encoding="utf-8")
    (tmp_path / "broken.yaml").write_text("id: [", encoding="utf-8")
    for args in (("--records", str(tmp_path)),):
        done = run(*args)
        assert done.returncode == 0, done.stderr
        assert "mine" in done.stdout
        assert "does not load: 1 problem" in done.stdout
    for args in (("show", "mine", "--records", str(tmp_path)), ("--records", str(tmp_path), "show", "mine")):
        done = run(*args)
        assert done.returncode == 0, done.stderr
        assert "An invented trial" in done.stdout


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (("show", "valro"), "did you mean 'valor'"),
        (("show", "absent.yaml"), "there is no file"),
        (("check",), "no file to check"),
        (("check", "absent.yaml"), "there is no file"),
        (("--records", "absent"), "is not a folder"),
        (("show", "valor", "--records", "absent"), "is not a folder"),
    ],
)
def test_mistakes_end_in_one_message_and_code_2(args: tuple[str, ...], word: str, tmp_path: Path) -> None:
    done = run(*args, cwd=tmp_path)
    assert done.returncode == 2
    assert word in done.stderr
    assert "Traceback" not in done.stderr


def test_control_characters_of_a_file_do_not_reach_the_terminal(small: str, tmp_path: Path) -> None:
    evil = small.replace('text: "The score fell', 'text: "\\e[31mThe score fell').replace(
        'title: "The paper"', 'title: "\\x9b31mThe paper"'
    )
    (tmp_path / "evil.yaml").write_text(evil, encoding="utf-8")
    shown = run("show", str(tmp_path / "evil.yaml"))
    assert shown.returncode == 0, shown.stderr
    assert "\x1b" not in shown.stdout
    assert "\x9b" not in shown.stdout
    (tmp_path / "evil.yaml").write_text(evil.replace("role: primary", '"\\e[31mrole": primary'), encoding="utf-8")
    checked = run("check", str(tmp_path / "evil.yaml"))
    assert checked.returncode == 2
    assert "\x1b" not in checked.stdout
