"""Scenario to virtual trials, in batches; ``equipoise.simulate(scenario, n)`` makes ``n`` of them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from equipoise.simulate.diseases import DEFAULT, DiseasePackage, disease, disease_names, register_disease
from equipoise.simulate.mechanism import Mechanism
from equipoise.simulate.scenario import Hypothesis, Scenario, load_scenario, scenario_text, shipped_scenarios
from equipoise.verb import make_verb

if TYPE_CHECKING:
    from equipoise.simulate.simulator import Simulator as Simulator
    from equipoise.simulate.simulator import simulate as simulate
    from equipoise.simulate.simulator import typical_course as typical_course

__all__ = [
    "DiseasePackage",
    "Hypothesis",
    "Mechanism",
    "Scenario",
    "Simulator",
    "disease",
    "disease_names",
    "load_scenario",
    "register_disease",
    "scenario_text",
    "shipped_scenarios",
    "simulate",
    "typical_course",
]


def __getattr__(name: str) -> Any:
    # a page without a replica reads scenarios, and does not wait for the compiler
    if name in __all__:
        return getattr(import_module("equipoise.simulate.simulator"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


disease(DEFAULT)  # plans name its end points: they are known as soon as scenarios are
make_verb(__name__)
