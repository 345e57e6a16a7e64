"""Time to event: the doors of log-rank tests and of Cox regression, with R's formulas.

``Surv(AVAL, EVENT) ~ TRT01P + ONSETMO + strata(RILFL)``; for an ADaM censoring flag write ``Surv(AVAL, 1 - CNSR)``, for
late entry and covariates that change ``Surv(START, STOP, EVENT)``. :mod:`equipoise.estimate.survival.cox` and
:mod:`equipoise.estimate.survival.log_rank` hold the code, :mod:`equipoise.estimate.survival.kaplan_meier` the curves.
"""

from equipoise.estimate.survival.cox import cox
from equipoise.estimate.survival.cox_fit import CoxFit, Proportionality
from equipoise.estimate.survival.log_rank import LogRank, MaxCombo, log_rank, max_combo

__all__ = ["CoxFit", "LogRank", "MaxCombo", "Proportionality", "cox", "log_rank", "max_combo"]
