"""Shared fixtures: where other people's reference data lie, and the shipped scenario."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from equipoise.simulate import Scenario, load_scenario

# No test rests on speed. With CI=true the same cases are drawn every time; elsewhere new ones, so that faults
# are found, and a failure prints what repeats it.
settings.register_profile("equipoise", deadline=None, print_blob=True, derandomize=os.environ.get("CI") == "true")
settings.load_profile("equipoise")

FIXTURES = Path(__file__).parent / "fixtures"


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
