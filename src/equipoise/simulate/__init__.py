"""Scenario to virtual trials, in batches."""

from __future__ import annotations

from equipoise.simulate.engine import Simulator, simulate, typical_course
from equipoise.simulate.scenario import Hypothesis, Scenario, load_scenario, scenario_text, shipped_scenarios
from equipoise.verb import make_verb

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

make_verb(__name__)
