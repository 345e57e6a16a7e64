"""Scenario to virtual trials, in batches; ``equipoise.simulate(scenario, n)`` makes ``n`` of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from equipoise.simulate.diseases import engine
from equipoise.simulate.scenario import Hypothesis, Scenario, load_scenario, scenario_text, shipped_scenarios
from equipoise.verb import make_verb

if TYPE_CHECKING:
    from equipoise.simulate.als.engine import Simulator as Simulator
    from equipoise.simulate.als.engine import simulate as simulate
    from equipoise.simulate.als.engine import typical_course as typical_course

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


def __getattr__(name: str) -> Any:
    # a page without a replica reads scenarios, and does not wait for the compiler
    if name in __all__:
        return engine(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


make_verb(__name__)
