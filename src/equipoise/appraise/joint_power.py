"""What a joint model of function and survival would have found in a rebuilt trial: the stored shares of its trials.

Made by ``python -m equipoise.replica.function_and_survival TRIAL --replicates 400 --store FILE``, and kept in the
library, so that a page need not simulate them again.
"""

from __future__ import annotations

from typing import Any

from equipoise.appraise.numbers import in_percent, number
from equipoise.library import stored_table

STORED = "function_and_survival.json"
MECHANISMS = {
    "none": "no effect",
    "symptomatic": "relief of symptoms",
    "slowing": "slowing",
    "lagged": "slowing after a lag",
}
TESTS = ("planned", "joint model", "disease rate ratio")
"""How the tests begin that are told, in the order of the columns."""


def stored(trial: str) -> dict[str, Any] | None:
    """The stored shares of a trial of the library, None where there are none."""
    return stored_table(trial, STORED)


def cell(row: dict[str, Any]) -> str:
    """``32.5 % (2.3)``: the share in which a test is significant, and its Monte Carlo standard error, in points."""
    return f"{in_percent(row['significant'], 1)} % ({in_percent(row['error'], 1)})"


def lines(found: dict[str, Any]) -> list[dict[str, Any]]:
    """One entry a mechanism and week: ``mechanism``, ``week``, ``events``, and the rows of :data:`TESTS` by name."""
    out: list[dict[str, Any]] = []
    for row in found["rows"]:
        known = [one for one in out if (one["mechanism"], one["week"]) == (row["mechanism"], row["week"])]
        one = known[0] if known else {key: row[key] for key in ("mechanism", "week", "events")}
        if not known:
            out.append(one)
        one |= {test: row for test in TESTS if row["test"].startswith(test)}
    return out


def printed(trial: str) -> str:
    """The stored shares as lines of text; empty where there are none."""
    found = stored(trial)
    if found is None:
        return ""
    told = [f"{found['replicates']} trials a line, seed {found['seed']}"]
    for one in lines(found):
        shares = "; ".join(f"{one[test]['test']} {cell(one[test])}" for test in TESTS)
        had = f"{in_percent(one['joint model']['estimable'])} %"
        told.append(
            f"{MECHANISMS[one['mechanism']]}, week {one['week']:g}: {shares}; "
            f"the joint model can be had in {had}; {number(one['events'], 1)} events a trial"
        )
    return "\n".join(told)
