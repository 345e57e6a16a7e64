"""Kernels compiled ahead: the list is what the jobs use, and several processes fill one cache."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from numba.core import types
from numba.core.dispatcher import Dispatcher

from equipoise.numerics import first_use

TESTS = Path(__file__).parents[1]
JOBS = ("replicate", "design", "mmrm", "imputation")


def _run(code: str, **env: str) -> list[str]:
    paths = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": paths} | env
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("job", JOBS)
def test_property_the_list_names_kernels_callees_first(job: str) -> None:
    """Where this fails: .ci/first_use renews the list."""
    items = first_use.listed(job)
    for i, item in enumerate(items):
        assert isinstance(first_use.found(item.kernel), Dispatcher)
        assert all(j < i for j in item.needs)
        assert [first_use.encode(first_use.decode(t)) for t in item.types] == item.types


CALLED = """
import json, sys
import first_use_jobs as jobs
from numba.core.dispatcher import Dispatcher
from equipoise.numerics import first_use
jobs.JOBS[sys.argv[1] if len(sys.argv) > 1 else JOB]()
out = []
for name, module in list(sys.modules.items()):
    for own, value in list(vars(module).items()) if name.startswith("equipoise.") else ():
        if isinstance(value, Dispatcher) and value.py_func.__module__ == name:
            out += [[f"{name}:{own}", [first_use.encode(t) for t in types]] for types in value.signatures]
print(json.dumps(out))
"""


@pytest.mark.parametrize("job", JOBS)
def test_property_what_a_job_calls_is_listed(job: str) -> None:
    """Where this fails: .ci/first_use renews the list."""
    called = json.loads(_run(CALLED.replace("JOB]", f"{job!r}]"))[-1])
    listed = [[item.kernel, item.types] for item in first_use.listed(job)]
    assert called
    assert [c for c in called if c not in listed] == []


def test_property_an_old_list_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for gone in ("equipoise.numerics.linalg:gone", "equipoise.gone:cholesky"):
        items = (first_use.Item(gone, ["int64"], [], 1.0),)
        monkeypatch.setattr(first_use, "listed", lambda job, items=items: items)
        assert first_use.compile_ahead("mmrm", processes=2) is False


def test_property_the_longest_way_goes_first() -> None:
    items = [first_use.Item("a", [], [], 1.0), first_use.Item("b", [], [], 5.0), first_use.Item("c", [], [0], 7.0)]
    assert first_use.order(items) == [8.0, 5.0, 7.0]


AHEAD = """
from equipoise.numerics import first_use
items = tuple(i for i in first_use.listed("mmrm") if "linalg:" in i.kernel)
items = tuple(i._replace(needs=[]) for i in items)
first_use.listed = lambda job: items
print(len(items), first_use.missing("mmrm"))
seen = []
print(first_use.compile_ahead("mmrm", lambda done, total: seen.append((done, total)), processes=2))
print(seen == [(k, len(items)) for k in range(len(items) + 1)], first_use.missing("mmrm"))
print(first_use.compile_ahead("mmrm", processes=2))
"""


def test_property_processes_fill_the_cache_once(tmp_path: Path) -> None:
    first, did, seen, again = _run(AHEAD, NUMBA_CACHE_DIR=str(tmp_path))
    assert int(first.split()[0]) >= 2
    assert first.split()[1] == "True"
    assert (did, seen, again) == ("True", "True False", "False")


@pytest.mark.slow
@pytest.mark.parametrize("job", JOBS)
def test_property_after_compiling_ahead_nothing_is_left(job: str, tmp_path: Path) -> None:
    code = (
        "import first_use_jobs as jobs; from equipoise.numerics import first_use;"
        f"print(first_use.compile_ahead({job!r}, processes=2)); print(jobs.recorded(jobs.JOBS[{job!r}]))"
    )
    assert _run(code, NUMBA_CACHE_DIR=str(tmp_path)) == ["True", "[]"]


def test_property_types_of_kernels_only() -> None:
    with pytest.raises(ValueError, match="a kernel takes a"):
        first_use.encode(types.unicode_type)
