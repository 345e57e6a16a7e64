"""The registry of diseases: the one door from scenarios to the package of a disease.

A disease is a package of ``simulate/`` with these parts:

- the types that a scenario is made of: ``Group``, ``Disease``, ``Effect``, ``Mechanism``, ``Admission``;
- ``CHANNELS`` (what can be measured, and the part of a group that each needs), ``STRATA``, ``ON_FUNCTION`` and
  ``covariates_of(groups, run_in=...)``;
- ``names``: outcomes, covariates, states and events by the names of records and plans;
- ``engine``: ``Simulator.of(scenario, mechanism).block(seed, first, n)``, which gives
  :class:`~equipoise.trial.Trials`, and ``typical_course``.

Nothing outside the package, ``library/`` and the words of ``appraise/`` knows what the disease measures.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from equipoise.simulate.als import (
    CHANNELS,
    ON_FUNCTION,
    STRATA,
    Admission,
    Disease,
    Effect,
    Group,
    Mechanism,
    covariates_of,
)

__all__ = [
    "CHANNELS",
    "ON_FUNCTION",
    "STRATA",
    "Admission",
    "Disease",
    "Effect",
    "Group",
    "Mechanism",
    "covariates_of",
    "engine",
    "schedule_arrays",
]


def engine(name: str) -> Any:
    """A function or class of the engine, compiled code and all; imported when asked for."""
    return getattr(import_module("equipoise.simulate.als.engine"), name)


def schedule_arrays(strata: tuple[str, ...], **parts: Any) -> Any:
    """A schedule as the kernel of the disease takes it."""
    return import_module("equipoise.simulate.als.names").schedule_arrays(strata, **parts)
