"""Dose to exposure to target to injury to biomarker to function to event; the population of virtual patients."""

from __future__ import annotations

from equipoise.simulate.als.model import (
    CHANNELS,
    DISEASE_PARTS,
    GROUP_PARTS,
    STRATA,
    Admission,
    Disease,
    Effect,
    Group,
    covariates_of,
    disease_arrays,
    population_arrays,
)
from equipoise.simulate.als.package import PACKAGE

__all__ = [
    "CHANNELS",
    "DISEASE_PARTS",
    "GROUP_PARTS",
    "PACKAGE",
    "STRATA",
    "Admission",
    "Disease",
    "Effect",
    "Group",
    "covariates_of",
    "disease_arrays",
    "population_arrays",
]
