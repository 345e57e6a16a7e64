"""How a number that was computed may stand in prose."""

from __future__ import annotations

import math

from equipoise.numerics.rounding import rounded


def written(x: float, digits: int) -> set[str]:
    """``x`` to so many decimals: as pages round it, halves away from nought, and as texts of commands format it."""
    shown = {f"{x:.{digits}f}"}
    return shown | {f"{rounded(round(x, 9), digits):f}"} if math.isfinite(x) else shown
