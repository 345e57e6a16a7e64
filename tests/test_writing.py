"""A folder of files is written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from equipoise.errors import OutputError
from equipoise.files import fill_folder


def _write(folder: Path, text: str, *names: str) -> None:
    with fill_folder(folder) as staged:
        for name in names:
            (staged / name).write_text(text)


@pytest.mark.parametrize("links", [True, False])
def test_property_a_set_that_cannot_be_moved_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    if not links:

        def none(*_: object, **__: object) -> None:
            raise PermissionError("no links here")

        monkeypatch.setattr(os, "link", none)
    folder = tmp_path / "set"
    _write(folder, "old", "a", "b", "other")
    (folder / "c").mkdir()  # in the way of the third file
    with pytest.raises(OutputError, match=r"c is a folder|Is a directory"):
        _write(folder, "new", "a", "aa", "b", "c", "d")
    found = {p.name: p.read_text() for p in folder.iterdir() if p.is_file()}
    assert found == {"a": "old", "b": "old", "other": "old"}
    assert sorted(p.name for p in folder.iterdir()) == ["a", "b", "c", "other"]
    (folder / "c").rmdir()
    _write(folder, "new", "a", "aa", "b", "c", "d")
    assert {p.name: p.read_text() for p in folder.iterdir()} == dict.fromkeys(("a", "aa", "b", "c", "d"), "new") | {
        "other": "old"
    }


def test_property_a_full_disk_in_the_middle_of_the_moves_leaves_the_old_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "set"
    _write(folder, "old", "a", "b", "c")
    real, calls = os.replace, []

    def full(source: str | Path, target: str | Path) -> None:
        calls.append(target)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        real(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OutputError, match="the disk is full"):
        _write(folder, "new", "a", "b", "c")
    assert [(folder / name).read_text() for name in "abc"] == ["old"] * 3
