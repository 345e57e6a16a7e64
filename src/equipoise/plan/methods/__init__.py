"""The methods of a plan, one module each: the section that a plan writes, what carries it out, and how it is called."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from equipoise.plan.methods import (
    carried_forward,
    competing,
    delayed_start,
    descriptive,
    deterioration,
    disposition,
    imputation,
    incidence,
    joint_models,
    models,
    monitoring,
    multiplicity,
    ranks,
    restricted,
    slope,
    subgroups,
    surrogate,
    survival,
    switching,
    win,
)
from equipoise.plan.methods.registry import Method

_MODULES = (
    descriptive,
    incidence,
    disposition,
    models,
    slope,
    carried_forward,
    imputation,
    delayed_start,
    joint_models,
    ranks,
    win,
    survival,
    restricted,
    competing,
    deterioration,
    switching,
    surrogate,
    subgroups,
    monitoring,
    multiplicity,
)

REGISTRY: dict[str, Method] = {entry.name: entry for module in _MODULES for entry in module.METHODS}
"""Every method by its name in a plan: those above in their order, then those of any further module of this folder."""

for _further in sorted(found.name for found in iter_modules(__path__)):
    for _entry in getattr(import_module(f"{__name__}.{_further}"), "METHODS", ()):
        REGISTRY.setdefault(_entry.name, _entry)

__all__ = ["REGISTRY", "Method"]
