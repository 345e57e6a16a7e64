"""Is a marker a surrogate? The criteria of one trial, the picture over many, and what may be said of it.

One trial: :func:`surrogacy`. Many, from patients: :func:`surrogacy_units`,
of two times to an event :func:`surrogacy_copula`; from summary rows: :func:`surrogacy_trials`.
"""

from __future__ import annotations

from equipoise.estimate.ranks.win import Binary, Time, Value
from equipoise.surrogate.causal import CausalAssociation, causal_association, causal_correlation, information_share
from equipoise.surrogate.copula import CopulaSurrogacy, surrogacy_copula
from equipoise.surrogate.courses import completed, per_patient
from equipoise.surrogate.daniels import Prior
from equipoise.surrogate.endpoints import Ordinal
from equipoise.surrogate.single import Criterion, Surrogacy, surrogacy
from equipoise.surrogate.trials import TrialSurrogacy, surrogacy_trials
from equipoise.surrogate.units import UnitSurrogacy, surrogacy_units
from equipoise.surrogate.verdict import Verdict, correlation_needed, trials_needed

__all__ = [
    "Binary",
    "CausalAssociation",
    "CopulaSurrogacy",
    "Criterion",
    "Ordinal",
    "Prior",
    "Surrogacy",
    "Time",
    "TrialSurrogacy",
    "UnitSurrogacy",
    "Value",
    "Verdict",
    "causal_association",
    "causal_correlation",
    "completed",
    "correlation_needed",
    "information_share",
    "per_patient",
    "surrogacy",
    "surrogacy_copula",
    "surrogacy_trials",
    "surrogacy_units",
    "trials_needed",
]
