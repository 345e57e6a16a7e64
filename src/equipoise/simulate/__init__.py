"""Scenario to virtual trials, in batches."""

from __future__ import annotations

from equipoise.simulate.engine import Simulator, simulate, typical_course
from equipoise.simulate.scenario import Hypothesis, Scenario, load_scenario, scenario_text, shipped_scenarios

__all__ = [
    "Hypothesis",
    "Scenario",
    "Simulator",
    "load_scenario",
    "scenario_text",
    "shipped_scenarios",
    "simulate",
    "typical_course",
]
