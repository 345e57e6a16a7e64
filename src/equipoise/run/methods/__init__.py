"""The methods of a plan, one module each: the section that a plan writes, what carries it out, and how it is called."""

from __future__ import annotations

from equipoise.run.methods import descriptive, models, survival
from equipoise.run.methods.registry import Entry

_MODULES = (descriptive, models, survival)

REGISTRY: dict[str, Entry] = {entry.name: entry for module in _MODULES for entry in module.METHODS}
"""Every method by its name in a plan."""

__all__ = ["REGISTRY", "Entry"]
