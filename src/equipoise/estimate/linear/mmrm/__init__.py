"""The mixed model for repeated measures: :func:`mmrm` for one trial, :func:`fit_batch` for many."""

from __future__ import annotations

from equipoise.estimate.linear.mmrm.batch import BatchFit, fit_batch
from equipoise.estimate.linear.mmrm.fit import mmrm
from equipoise.estimate.linear.mmrm.result import MmrmFit

__all__ = ["BatchFit", "MmrmFit", "fit_batch", "mmrm"]
