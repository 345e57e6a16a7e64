"""The table that `equipoise replicate` prints: whole at every width, one line for each quantity in a file."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import pytest

from equipoise.cli import replicate as door
from equipoise.records import load_record
from equipoise.replica.replica import Replica

sys.path.insert(0, str(Path(__file__).parents[1] / "appraise"))

from synthetic_replica import synthetic_replica


@pytest.fixture(scope="module")
def replica() -> Replica:
    return synthetic_replica(load_record("valor"))


def printed(
    replica: Replica, width: int | None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    if width is None:
        monkeypatch.delenv("COLUMNS", raising=False)
    else:
        monkeypatch.setenv("COLUMNS", str(width))
    door._print(replica, None)
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("width", [80, 120, 200])
def test_no_number_is_broken_and_no_line_is_too_long(
    width: int, replica: Replica, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = printed(replica, width, capsys, monkeypatch)
    assert max(len(line.rstrip()) for line in lines) <= width
    for row in replica.rows:
        simulated = door._cells(row, replica.replicates)[1][1]
        assert any(simulated in line for line in lines), simulated
    assert replica.command in lines[-1]


def test_eighty_columns_give_a_quantity_two_lines(
    replica: Replica, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = printed(replica, 80, capsys, monkeypatch)
    for row in replica.rows:
        name, numbers, use = door._cells(row, replica.replicates)
        if len(name) + len(use) < 76:
            after = [b for a, b in itertools.pairwise(lines) if a == f"{name} – {use}"]
            assert any(numbers[0] in line and numbers[1] in line for line in after), name


def test_a_file_gets_one_line_for_each_quantity(
    replica: Replica, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = printed(replica, None, capsys, monkeypatch)
    for row in replica.rows:
        name, numbers, use = door._cells(row, replica.replicates)
        assert any(name in x and numbers[1] in x and x.rstrip().endswith(use) for x in lines), name


def test_what_could_not_be_estimated_is_said(replica: Replica) -> None:
    from dataclasses import replace

    row = replica.rows[0]
    assert "estimable in 50 %" in door._cells(replace(row, n_estimable=1000), 2000)[0]
    assert door._cells(replace(row, n_estimable=0), 2000)[1][1] == "not estimable"
