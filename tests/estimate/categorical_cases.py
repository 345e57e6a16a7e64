"""The reference results of tests/reference: synthetic data, R's numbers, and the scripts that made them."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from equipoise import cmh, count_regression, gee, logistic, mcnemar, proportional_odds, proportions, rates, recurrent

HERE = Path(__file__).parents[1] / "reference"


@cache
def data(name: str) -> pl.DataFrame:
    """``patients``, ``visits`` or ``recurrences``, with the orders of their categories."""
    frame = pl.read_csv(HERE / f"{name}.csv", schema_overrides={"DOSE": pl.String} if name == "patients" else None)
    if name == "patients":
        frame = frame.with_columns(pl.col("DOSE").cast(pl.Enum(["0", "low", "high"])))
    return frame


@cache
def reference(name: str) -> dict[str, Any]:
    """What ``name.R`` wrote."""
    found: dict[str, Any] = json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))
    return found


RESULTS: dict[str, Callable[[], Any]] = {
    "proportions": lambda: proportions("RESP ~ ARM + strata(SITE)", data("patients"), margin=0.1),
    "cmh": lambda: cmh("RESP ~ ARM + strata(SITE)", data("patients")),
    "mcnemar": lambda: mcnemar(data("patients"), "BEFORE", "RESP"),
    "logistic": lambda: logistic("RESP ~ ARM + BASE", data("patients")),
    "logistic, profile": lambda: logistic("RESP ~ ARM + BASE", data("patients"), interval="profile"),
    "standardised": lambda: logistic("RESP ~ ARM + BASE", data("patients")).marginal("ARM"),
    "proportional_odds": lambda: proportional_odds("GRADE ~ ARM + BASE", data("patients")),
    "count_regression": lambda: count_regression("EVENTS ~ ARM + BASE", data("patients"), exposure="WEEKS"),
    "rates": lambda: rates(data("patients"), events="EVENTS", exposure="WEEKS", arm="ARM", per=52),
    "gee": lambda: gee("YES ~ ARM + VISIT", data("visits"), subject="ID", visit="VISIT"),
    "recurrent": lambda: recurrent("Surv(START, STOP, EVENT) ~ ARM", data("recurrences"), subject="ID", at=[20]),
}
"""One of every result of this family, for the contract that all results keep."""
