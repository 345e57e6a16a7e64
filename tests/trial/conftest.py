"""Where the shared reference data lie, and small data sets made by hand."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

import polars as pl
import pytest

from equipoise.trial.adam import Dataset, Variable


@pytest.fixture(scope="session")
def shared() -> Path:
    root = Path(os.environ.get("EQUIPOISE_SHARED", Path(__file__).parents[3] / "shared"))
    if not (root / "data" / "cdiscpilot01").is_dir():
        pytest.skip(f"the shared reference data are not at {root} (set EQUIPOISE_SHARED)")
    return root


@pytest.fixture(scope="session")
def pilot(shared: Path) -> Path:
    return shared / "data" / "cdiscpilot01"


@pytest.fixture
def mixed() -> Dataset:
    """A data set with every kind of value an XPT file can hold."""
    frame = pl.DataFrame(
        {
            "USUBJID": ["01-001", "01-002", "01-003"],
            "COMMENT": ["plain", None, "Größe µ ≥"],
            "AVAL": [1.0 / 3.0, None, -6.02214076e23],
            "N": [1.0, 2.0, None],
            "ADT": [dt.date(2014, 1, 2), None, dt.date(1959, 12, 31)],
            "ADTM": [dt.datetime(2014, 1, 2, 3, 4, 5), None, dt.datetime(1960, 1, 1)],
            "ATM": [dt.time(23, 59, 59), None, dt.time(0, 0)],
        }
    )
    variables = (
        Variable("USUBJID", "Unique Subject Identifier", "string", 11, None, None, 1),
        Variable("COMMENT", "Comment", "string", 200),
        Variable("AVAL", "Analysis Value", "float", 8, "8.3"),
        Variable("N", "Count", "integer", 3),
        Variable("ADT", "Analysis Date", "date", 8, "DATE9.", "integer"),
        Variable("ADTM", "Analysis Date-Time", "datetime", 8, "DATETIME20.", "integer"),
        Variable("ATM", "Analysis Time", "time", 8, "TIME8.", "integer"),
    )
    return Dataset("ADX", frame, variables, label="One of each")
