"""One number of a plan in many trials: what a method's block hands back under each key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from equipoise.plan.key import Key
from equipoise.types import CodeArray, FloatArray

if TYPE_CHECKING:
    from equipoise.trial import Trials


@dataclass(frozen=True, eq=False)
class TrialEstimates:
    """The estimates of one key, one a trial, on the scale of the analysis: logarithms where ``ratio``.

    value, se, df : (trial,) NaN where not estimable; infinite ``df`` is the normal distribution. status : (trial,)
    codes of :class:`equipoise.types.Status`. p : (trial,) of a test other than that of value by ``se``. level : of the
    interval. limits : (trial,) low and high, not logarithms, where they are not value and ``se`` alone.
    """

    value: FloatArray
    se: FloatArray
    df: FloatArray
    status: CodeArray
    p: FloatArray | None = None
    ratio: bool = False
    level: float = 0.95
    limits: tuple[FloatArray, FloatArray] | None = None

    def number(self, name: str) -> FloatArray:
        """(trial,) ``value``, or as an :class:`equipoise.estimate.result.Estimate` has it: ``estimate``, ``se``,
        ``df``, ``p``, ``low``, ``high`` or ``status``."""
        from equipoise.estimate.missing.kernels.mi_ancova import half_width, p_value

        with np.errstate(all="ignore"):
            if name == "p":
                return np.asarray(p_value(self.value, self.se, self.df) if self.p is None else self.p, np.float64)
            if name in ("low", "high") and self.limits is not None:
                return np.asarray(self.limits[name == "high"], np.float64)
            if name in ("low", "high"):
                made = self.value + (1.0 if name == "high" else -1.0) * half_width(self.se, self.df, self.level)
            elif name == "estimate":
                made = self.value
            else:
                return np.asarray(getattr(self, name), np.float64)
            return np.asarray(np.exp(made) if self.ratio else made, np.float64)

    @classmethod
    def of_count(cls, n: FloatArray) -> TrialEstimates:
        """Counts, which have no error."""
        none = np.full(len(n), np.nan)
        return cls(np.asarray(n, np.float64), none, none, np.zeros(len(n), np.int8))


def of_arms(
    trials: Trials,
    table: FloatArray,
    status: CodeArray,
    at: Key,
    names: Sequence[str],
    *,
    ratio: bool = False,
    level: float = 0.95,
) -> dict[Key, TrialEstimates]:
    """The mean of each arm and active minus control, from (trial, 9): estimate, se, df of control, active, difference.

    at : the key without quantity and arm. names : the quantities of a mean and of the difference.
    """
    control, active = trials.arms[:2]
    places = ((names[0], control), (names[0], active), (names[1], active))
    out = {}
    for k, (quantity, arm) in enumerate(places):
        value, se, df = (table[:, 3 * k + j] for j in range(3))
        key = replace(at, quantity=quantity, arm=arm)
        out[key] = TrialEstimates(value, se, df, status, ratio=ratio, level=level)
    return out
