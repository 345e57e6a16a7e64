"""Missing data: multiple imputation under missing at random, and reference-based imputation.

:func:`mi_ancova` imputes under missing at random and analyses by ANCOVA, with the fast sampler of the simulations.
:func:`mi_analysis` imputes by a strategy per patient and intercurrent event and analyses as asked;
:func:`imputation_draws` is its first half, for several strategies, delta adjustments and analyses of the same draws;
:func:`tipping_point` asks how much worse the imputed values must be.
"""

from __future__ import annotations

from equipoise.estimate.missing.analyses import Ancova, JointRank, Mmrm, Own, Responder, WinRatio
from equipoise.estimate.missing.batch import BatchAnalysis, conditional_mean_batch, reference_mi_batch
from equipoise.estimate.missing.completed import Completed, Draws, MiAnalysis
from equipoise.estimate.missing.draws import imputation_draws, mi_analysis
from equipoise.estimate.missing.events import STRATEGIES, Composite
from equipoise.estimate.missing.mar import (
    BURN_IN,
    REFERENCES,
    Imputed,
    MiAncova,
    check_options,
    mi_ancova,
    multiple_imputation,
    predictors_of,
)
from equipoise.estimate.missing.methods import ApproxBayes, Bayes, Bmlmi, ConditionalMean
from equipoise.estimate.missing.pooling import pool, pool_bmlmi, pool_bootstrap, pool_jackknife
from equipoise.estimate.missing.tipping import TippingPoint, tipping_point
from equipoise.estimate.missing.trimmed import trimmed_mean

__all__ = [
    "BURN_IN",
    "REFERENCES",
    "STRATEGIES",
    "Ancova",
    "ApproxBayes",
    "BatchAnalysis",
    "Bayes",
    "Bmlmi",
    "Completed",
    "Composite",
    "ConditionalMean",
    "Draws",
    "Imputed",
    "JointRank",
    "MiAnalysis",
    "MiAncova",
    "Mmrm",
    "Own",
    "Responder",
    "TippingPoint",
    "WinRatio",
    "check_options",
    "conditional_mean_batch",
    "imputation_draws",
    "mi_analysis",
    "mi_ancova",
    "multiple_imputation",
    "pool",
    "pool_bmlmi",
    "pool_bootstrap",
    "pool_jackknife",
    "predictors_of",
    "reference_mi_batch",
    "tipping_point",
    "trimmed_mean",
]
