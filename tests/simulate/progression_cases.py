"""Scenarios of the progression model for the tests, as a user would write them."""

from __future__ import annotations

import copy
from typing import Any

import yaml

from equipoise.simulate import Scenario
from equipoise.simulate.scenario import parse_scenario

PLAIN: dict[str, Any] = {
    "name": "plain",
    "default_mechanism": "none",
    "protocol": {
        "arms": ["placebo", "drug"],
        "ratio": [1, 1],
        "groups": {"ALL": 100},
        "strata": [],
        "visits": [0, 4, 8, 16, 28],
        "period_end": 28,
        "dosing": {"regimen": "daily", "randomised": ["drug"]},
    },
    "outcomes": {"SCORE": "OUTCOME"},
    "groups": {
        "ALL": {"mean": 40, "sd": 5, "course": {"form": "linear", "rate": 1.0}, "rate_sd": 0.6, "rate_corr": 0.3}
    },
    "disease": {
        "model": "progression",
        "outcome": {"direction": "higher_better"},
        "residual": {"sd": 2.0, "correlation": 0.6, "weeks": 4},
    },
    "mechanisms": {
        "none": {"effect": {"mechanism": "none"}},
        "symptomatic": {"effect": {"mechanism": "symptomatic", "gain": 2.0, "onset": 4}},
        "slowing": {"effect": {"mechanism": "slowing", "slowing": 0.5}},
        "lagged": {"effect": {"mechanism": "lagged", "slowing": 0.5, "lag": 8}},
        "harm": {"effect": {"mechanism": "harm", "worsening": 0.5, "gain": -1.0}},
    },
    "plan": {
        "analyses": [
            {
                "id": "end",
                "population": "ITT",
                "dataset": "ADEFF",
                "parameter": "SCORE",
                "where": {"AVISITN": {"gt": 0, "le": 28}},
                "sections": [
                    {
                        "method": "mmrm",
                        "formula": "CHG ~ TRT01P * AVISIT + BASE * AVISIT",
                        "covariance": ["us"],
                        "df": "kenward-roger-linear",
                    }
                ],
            }
        ],
        "order": ["end.mmrm"],
    },
}


def text(**change: Any) -> str:
    """The plain scenario as YAML, with values at places named ``disease__residual__sd``; None takes a key away."""
    data = copy.deepcopy(PLAIN)
    for path, value in change.items():
        at = data
        *keys, last = path.split("__")
        for key in keys:
            at = at.setdefault(key, {})
        if value is None:
            at.pop(last, None)
        else:
            at[last] = value
    return yaml.safe_dump(data, sort_keys=False)


def plain(**change: Any) -> Scenario:
    """The plain scenario, changed as in :func:`text`."""
    return parse_scenario(text(**change), "plain.yaml")


DELAYED = {
    "protocol__visits": [0, 8, 16, 28, 40, 52],
    "protocol__dosing": {"regimen": "daily", "randomised": ["drug"], "extension": ["placebo", "drug"]},
    "protocol__extension": {"end": 52, "entry": 1.0},
}
"""A delayed start from week 28 on."""
