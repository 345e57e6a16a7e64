"""What the command line writes: whole or not at all, to devices and pipes as they are, and its exit codes."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "equipoise"]
LONG = "a" * 300


def run(*arguments: str, cwd: Path, **options: object) -> subprocess.CompletedProcess[str]:
    given: dict[str, object] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.run([*COMMAND, *arguments], cwd=cwd, text=True, timeout=1800, check=False, **given)  # type: ignore[call-overload,no-any-return]


@pytest.mark.parametrize(
    "arguments",
    [
        ("import", "/dev/zero"),
        ("import", f"{LONG}.json"),
        ("judgements", "valor", "-o", f"{LONG}.html"),
        ("appraise", f"{LONG}.yaml", "--no-replica"),
        ("appraise", "valor", "--no-replica", "--judgements", f"{LONG}.yaml"),
        ("appraise", "valor", "--replica", f"{LONG}.json"),
        ("appraise", "valor", "--replica", "replica.json"),
        ("appraise", "valor", "--no-replica", "--judgements", "self.yaml"),
        ("replicate", "valor", "-n", "1", "-q", "--scenario", "deep.yaml"),
        ("replicate", "valor", "-n", "1", "-q", "--fit-plan", "deep.yaml"),
        ("replicate", "valor", "-n", "1", "-q", "--scenario", "pipe.yaml"),
        ("analyse", "deep.yaml", "--data", "."),
        ("analyse", f"{LONG}.yaml", "--data", "x"),
        ("records", "--records", LONG),
    ],
)
def test_property_bad_files_end_in_one_clear_error(arguments: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "deep.yaml").write_text("a: " + "[" * 100_000)
    (tmp_path / "self.yaml").write_text("&a [*a]")
    (tmp_path / "replica.json").write_text(json.dumps({"rows": [{"scale": 3}]}))
    os.mkfifo(tmp_path / "pipe.yaml")
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("error: ")


def test_property_a_pipe_and_standard_output_are_written_to(tmp_path: Path) -> None:
    whole = tmp_path / "whole.yaml"
    assert run("judgements", "valor", "-o", "whole.yaml", cwd=tmp_path).returncode == 0
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["cat", "pipe"], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as reader:
        assert run("judgements", "valor", "-o", "pipe", cwd=tmp_path).returncode == 0
        assert reader.communicate()[0] == whole.read_text()
    assert stat.S_ISFIFO(os.stat(tmp_path / "pipe").st_mode)
    assert run("judgements", "valor", "-o", "/dev/stdout", cwd=tmp_path).stdout.startswith(whole.read_text())
    os.symlink("whole.yaml", tmp_path / "link.yaml")
    assert run("judgements", "centaur", "-o", "link.yaml", cwd=tmp_path).returncode == 0
    assert (tmp_path / "link.yaml").is_symlink()
    assert "centaur" in whole.read_text()


def test_property_a_full_or_closed_standard_output_is_an_error(tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        done = run("records", cwd=tmp_path, stdout=full)
    assert done.returncode == 2
    assert "standard output" in done.stderr
    assert "Traceback" not in done.stderr
    script = f"{sys.executable} -m equipoise records >&-"
    closed = subprocess.run(
        ["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=1800, check=False
    )
    assert closed.returncode == 2
    assert "Traceback" not in closed.stderr
    full_disk = run("judgements", "valor", "-o", "/dev/full", cwd=tmp_path)
    assert full_disk.returncode == 2
    assert "the disk is full" in full_disk.stderr


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_property_a_signal_has_its_exit_code_and_leaves_nothing_half_written(
    sent: signal.Signals, code: int, tmp_path: Path
) -> None:
    command = [*COMMAND, "replicate", "riluzole1994", "-n", "200000", "-q", "--threads", "1"]
    with subprocess.Popen(
        [*command, "--store", "store", "--json", "out.json"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        # a job in the background would hand on that Ctrl-C is ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        # until the study has begun, however slow the machine, or the command ended
        while not list(tmp_path.rglob("*.parquet")) and process.poll() is None:
            time.sleep(0.1)
        process.send_signal(sent)
        _, said = process.communicate(timeout=1800)
    assert process.returncode == code
    assert "Traceback" not in said
    assert list(tmp_path.rglob("*.parquet"))
    assert not list(tmp_path.rglob(".equipoise-*"))
    assert not (tmp_path / "out.json").exists()
