"""Estimators of two arms in designs of several: each arm against control, without a fault and with the right level."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from plain_study import study

from equipoise.design import design
from equipoise.run.executors import Threads

THREE: dict[str, Any] = {"label": "two doses", "arms": {"placebo": {}, "low": {"dose": 1}, "high": {"dose": 3}}}
LAST = "{LAST: {dataset: ADEFF, parameter: SCORE, variable: CHG, where: {AVISITN: 12}}}"
ANALYSES = {
    "mi_ancova": {"where": {"AVISITN": {"le": 12}}, "sections": [{"method": "mi_ancova", "imputations": 2}]},
    "mi": {
        "where": {"AVISITN": {"le": 12, "gt": 0}},
        "sections": [{"method": "mi", "imputations": 2, "imputation": "approximate bayes"}],
    },
    "win": {
        "gather": {"LAST": {"dataset": "ADEFF", "parameter": "SCORE", "variable": "CHG", "where": {"AVISITN": 12}}},
        "sections": [{"method": "win", "hierarchy": [{"value": "LAST"}]}],
    },
}


def asked(tmp_path: Path, name: str, **section: Any) -> Any:
    analysis: dict[str, Any] = {"id": "x", "population": "ITT", **ANALYSES[name]}
    analysis["sections"] = [{**analysis["sections"][0], **section}]
    if name != "win":
        analysis |= {"dataset": "ADEFF", "parameter": "SCORE"}
    quantity = "win_ratio" if name == "win" else "difference"
    place = {} if name == "win" else {"visit": "Week 12"}
    test = {"analysis": "x", "quantity": quantity, "arm": "high", "favours": "either", **place}
    return study(
        tmp_path,
        treatments={"three": THREE},
        analyses=[analysis],
        primaries={"one": {"label": "the high dose", "all": [test]}},
        factors={"treatments": ["three"], "primary": ["one"], "patients": [180]},
    )


@pytest.mark.parametrize("name", list(ANALYSES))
def test_simulation_designs_of_three_arms(tmp_path: Path, name: str) -> None:
    n = 400 if name == "win" else 12
    made = {c.world: c for c in design(asked(tmp_path, name), replicates=n, executor=Threads(1)).cells}
    assert made["lifts"].success > made["none"].success or n == 12
    if n > 12:
        assert made["none"].success < 0.05 + 4 * (0.05 * 0.95 / n) ** 0.5
