"""The cache of compiled kernels: notices a change in what a kernel calls, and does without a place to write."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import equipoise
from equipoise.numerics import compiler


def _clear() -> None:
    compiler.stamp.cache_clear()
    compiler._source.cache_clear()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of three files, each importing from the next; a fourth that nobody imports."""
    monkeypatch.setattr(compiler, "PACKAGE", tmp_path)
    (tmp_path / "room").mkdir()
    (tmp_path / "top.py").write_text("from equipoise.room import middle\n")
    (tmp_path / "room" / "middle.py").write_text("from equipoise.room.low import (\n    one,\n    two,\n)\n")
    (tmp_path / "room" / "low.py").write_text("one, two = 1, 2\n")
    (tmp_path / "other.py").write_text("")
    _clear()
    yield tmp_path
    _clear()


def test_property_a_change_in_what_is_called_changes_the_stamp(package: Path) -> None:
    first = compiler.stamp(package / "top.py")
    for changed, differs in (("other.py", False), ("room/low.py", True), ("room/middle.py", True), ("top.py", True)):
        before = (package / changed).read_text()
        (package / changed).write_text(before + "three = 3\n")
        _clear()
        assert (compiler.stamp(package / "top.py") != first) is differs, changed
        (package / changed).write_text(before)
        os.utime(package / changed, (1, 1))  # only touched: the same contents, the same stamp
        _clear()
        assert compiler.stamp(package / "top.py") == first


def test_property_the_stamp_of_a_kernel_covers_what_it_calls() -> None:
    """Of a real kernel, across files and rooms."""
    seen = {p.name for p in compiler._source(compiler.PACKAGE / "estimate/linear/kernels/mmrm.py")[1]}
    assert {"mmrm_covariance.py", "mmrm_design.py", "linalg.py"} <= seen


CALL = """
import numpy as np
from equipoise.numerics import compiler
from equipoise.numerics.linalg import cholesky
out = np.zeros((1, 1))
assert cholesky(np.array([[4.0]]), 1, out) and out[0, 0] == 2.0
print(compiler.kept(), sum(cholesky.stats.cache_hits.values()))
"""


def _run(tree: Path, **more: str) -> str:
    env = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"} | {"PYTHONPATH": str(tree), **more}
    done = subprocess.run([sys.executable, "-c", CALL], capture_output=True, text=True, env=env, cwd=tree)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_property_a_place_for_compiled_code_is_used_and_none_is_done_without(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    leave = shutil.ignore_patterns("__pycache__", "*.yaml")
    shutil.copytree(Path(equipoise.__file__).parent, tree / "equipoise", ignore=leave)
    assert _run(tree) == "True 0"
    assert _run(tree) == "True 1"
    # neither beside the sources nor at home: a file stands where the folder would be
    shutil.rmtree(tree / "equipoise" / "numerics" / "__pycache__")
    (tree / "equipoise" / "numerics" / "__pycache__").write_text("")
    (tmp_path / "file").write_text("")
    home = str(tmp_path / "file")
    assert _run(tree, HOME=home, XDG_CACHE_HOME=home, LOCALAPPDATA=home, PYTHONDONTWRITEBYTECODE="1") == "False 0"
