"""The whole report of the CDISC pilot: how many cells are printed as there, and that its page is current."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "cdisc_pilot.py"
DIFFERENT = {
    ("14-1.02", "Death", "Total"),
    ("14-1.02", "Lost to Follow-up", "Total"),
    ("14-5.01", "VOMITING", "p-value Xanomeline High Dose"),
    ("14-5.01", "SALIVARY HYPERSECRETION", "p-value Xanomeline High Dose"),
    ("14-5.01", "APPLICATION SITE ERYTHEMA", "p-value Xanomeline High Dose"),
    ("14-5.01", "SYNCOPE", "p-value Xanomeline Low Dose"),
    ("14-7.03", "End of Treatment: Median", "Xanomeline High Dose"),
}
"""The cells that differ from the report; the page says why."""


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("cdisc_pilot", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["cdisc_pilot"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def made(script: ModuleType) -> list[Any]:
    folder = script.data_folder()
    if not folder.is_dir():
        pytest.skip(f"the shared reference data are not at {folder} (set EQUIPOISE_SHARED)")
    compared: list[Any] = script.compare(folder)
    return compared


def test_reference_every_cell_but_seven_is_as_printed(made: list[Any]) -> None:
    apart = {(c.printed.table, c.printed.row, c.printed.column) for c in made if not c.equal}
    assert apart == DIFFERENT
    assert all(c.ours is not None for c in made)
    assert len(made) == 3123
    assert Counter(c.equal for c in made)[True] == 3116


def test_the_page_of_agreement_is_current(script: ModuleType, made: list[Any]) -> None:
    assert script.PAGE.read_text(encoding="utf-8") == script.page(made)


def test_property_what_counts_as_equal(script: ModuleType) -> None:
    def equal(report: str, ours: str) -> bool:
        printed = script.Printed("t", "1", "s", "r", "c", report)
        return bool(script.Compared(printed, ours).equal)

    assert equal("0 (0%)", "0")
    assert equal("<.0001", "<0.0001")
    assert equal("-0.0 (0.70)", "0.0 (0.70)")
    assert equal("8 (9%)", " 8 (  9%)")
    assert not equal("-0.04", "0.04")
    assert not equal("0.209", "0.208")
    assert not equal("2 (1%)", "2 ( <1%)")
    assert not script.Compared(script.Printed("t", "1", "s", "r", "c", ""), None).equal
