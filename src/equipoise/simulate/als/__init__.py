"""Dose to exposure to target to injury to biomarker to function to event; the population of virtual patients."""

from __future__ import annotations

from equipoise.simulate.als.model import (
    CHANNELS,
    DISEASE_PARTS,
    GROUP_PARTS,
    ON_FUNCTION,
    ON_HAZARD,
    STRATA,
    Admission,
    Disease,
    Effect,
    Group,
    Mechanism,
    covariates_of,
    disease_arrays,
    population_arrays,
)

__all__ = [
    "CHANNELS",
    "DISEASE_PARTS",
    "GROUP_PARTS",
    "ON_FUNCTION",
    "ON_HAZARD",
    "STRATA",
    "Admission",
    "Disease",
    "Effect",
    "Group",
    "Mechanism",
    "covariates_of",
    "disease_arrays",
    "population_arrays",
]
