"""The estimators, one kernel with two doors each: data frames and batches of trials.

The doors are modules with a function of the same name (``ancova.ancova``, ``mmrm.mmrm`` ...); the package hands on the
one result they share, when it is asked for: to draw a result loads no numerical library. :mod:`equipoise` itself hands
on the functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from equipoise.estimate.result import Estimate

__all__ = ["Estimate"]


def __getattr__(name: str) -> Any:
    if name == "Estimate":
        from equipoise.estimate.result import Estimate

        return Estimate
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
