"""Missing data: multiple imputation under missing at random, and reference-based imputation."""

from __future__ import annotations

from equipoise.estimate.imputation.mar import (
    BURN_IN,
    REFERENCES,
    Imputed,
    MiAncova,
    check_options,
    mi_ancova,
    multiple_imputation,
    predictors_of,
)
from equipoise.estimate.imputation.pooling import pool, pool_bmlmi, pool_bootstrap, pool_jackknife

__all__ = [
    "BURN_IN",
    "REFERENCES",
    "Imputed",
    "MiAncova",
    "check_options",
    "mi_ancova",
    "multiple_imputation",
    "pool",
    "pool_bmlmi",
    "pool_bootstrap",
    "pool_jackknife",
    "predictors_of",
]
