"""The estimators, one kernel with two doors each: data frames and batches of trials.

The doors are modules with a function of the same name (``ancova.ancova``, ``mmrm.mmrm`` ...); the package hands on the
one result they share. :mod:`equipoise` itself hands on the functions.
"""

from __future__ import annotations

from equipoise.estimate.result import Estimate

__all__ = ["Estimate"]
