"""The estimators, one kernel with two doors each: data frames and batches of trials."""

from __future__ import annotations

from equipoise.estimate.result import Estimate

__all__ = ["Estimate"]
