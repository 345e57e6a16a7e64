"""Shared fixtures: where other people's reference data lie, and the shipped scenario."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from equipoise.simulate import Scenario, load_scenario

# No test rests on speed. With CI=true the same cases are drawn every time; elsewhere new ones, so that faults
# are found, and a failure prints what repeats it.
settings.register_profile("equipoise", deadline=None, print_blob=True, derandomize=os.environ.get("CI") == "true")
settings.load_profile("equipoise")

FIXTURES = Path(__file__).parent / "fixtures"


@cache
def _makes_once(file: str) -> bool:
    """Whether a test file makes something once for several of its tests."""
    path = Path(__file__).parents[1] / file
    return path.suffix == ".py" and 'scope="module"' in path.read_text(encoding="utf-8")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With several workers: the tests of a file that makes something once go to one, all others to whoever is free."""
    from xdist.scheduler import LoadScopeScheduling

    class ByWhatIsShared(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return file if _makes_once(file) else nodeid

    return ByWhatIsShared(config, log) if config.getvalue("dist") == "load" else None


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference results and data sets of others; skips where it is absent."""
    folder = Path(os.environ.get("EQUIPOISE_SHARED", Path(__file__).parents[2] / "shared"))
    if not folder.is_dir():
        pytest.skip(f"reference data not found at {folder}; set EQUIPOISE_SHARED to their folder")
    return folder


@pytest.fixture(scope="session")
def valor() -> Scenario:
    """The shipped scenario of VALOR."""
    return load_scenario("valor")
