"""Replicates of a scenario with all its analyses: blocks over threads, kept on disk, resumable.

The names are imported when first used: a plan on real data needs none of the simulation.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from equipoise.run.operating import OperatingCharacteristics as OperatingCharacteristics
    from equipoise.run.operating import operating_characteristics as operating_characteristics
    from equipoise.run.study import SimulationStudy as SimulationStudy
    from equipoise.run.study import run_study as run_study
_PLACES = {
    "OperatingCharacteristics": "operating",
    "SimulationStudy": "study",
    "operating_characteristics": "operating",
    "run_study": "study",
}
__all__ = ["OperatingCharacteristics", "SimulationStudy", "operating_characteristics", "run_study"]


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        value = getattr(import_module(f"equipoise.run.{_PLACES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'equipoise.run' has no attribute {name!r}")
