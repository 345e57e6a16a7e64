"""Closed testing in a fixed order: what may be claimed, and which p-values are only nominal.

Hypotheses are tested in the order laid down beforehand, each at the full level, as long as all before it were
rejected; the first that is not ends the sequence, and every later p-value is nominal: it describes the data and tests
nothing. The family-wise error is at most ``alpha`` (Maurer, Hothorn & Lehmacher 1995; Westfall & Krishen 2001).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from numbers import Real

import numpy as np

from equipoise.errors import EstimationError
from equipoise.estimate.result import Estimate
from equipoise.types import BoolArray, FloatArray

REFERENCES = (
    "Maurer, Hothorn & Lehmacher 1995, Biometrie in der chemisch-pharmazeutischen Industrie 6:3",
    "Westfall & Krishen 2001, J Stat Plan Inference 99:25",
)


class Verdict(StrEnum):
    """What a step of the sequence allows to be said."""

    SIGNIFICANT = "significant"
    NOT_SIGNIFICANT = "not significant"
    NOMINAL = "nominal"


@dataclass(frozen=True)
class Step:
    """One test of the sequence. ``p`` is NaN where the test could not be done, which ends the sequence too."""

    name: str
    p: float
    verdict: Verdict

    def to_sentence(self) -> str:
        """The step in words."""
        p = "no p-value" if math.isnan(self.p) else "P < 0.0001" if self.p < 1e-4 else f"P = {self.p:.4f}"
        if self.verdict is Verdict.NOMINAL:
            return f"{self.name}: {p}, nominal, since an earlier test in the order was not significant."
        return f"{self.name}: {p}, {self.verdict.value}."


def closed_sequence(tests: Iterable[Estimate | tuple[str, float | None]], alpha: float = 0.05) -> tuple[Step, ...]:
    """Test in the given order at two-sided level ``alpha``; everything after the first failure is nominal.

    ``tests``: estimates, or pairs of a name and a p-value; None or NaN, a test that could not be done, ends the
    sequence as a failure does.

    Raises :class:`EstimationError` for a p-value that is no number between 0 and 1.

    Examples
    --------
    >>> [str(s.verdict) for s in closed_sequence([("primary", 0.97), ("CSF SOD1", 1e-6)])]
    ['not significant', 'nominal']
    """
    if not 0.0 < alpha < 1.0:
        raise EstimationError(f"alpha = {alpha!r}", hint="give a level between 0 and 1, such as 0.05")
    steps: list[Step] = []
    standing = True
    for test in tests:
        name, p = (test.name, test.p) if isinstance(test, Estimate) else test
        if p is None:
            p = math.nan
        if isinstance(p, bool) or not isinstance(p, Real):
            raise EstimationError(f"{name}: p-value {p!r}", hint="give a number between 0 and 1, or None for no test")
        p = float(p)
        if p < 0.0 or p > 1.0:
            raise EstimationError(f"{name}: p-value {p!r}", hint="p-values lie between 0 and 1")
        if not standing:
            verdict = Verdict.NOMINAL
        elif p <= alpha:
            verdict = Verdict.SIGNIFICANT
        else:
            verdict, standing = Verdict.NOT_SIGNIFICANT, False
        steps.append(Step(name, float(p), verdict))
    return tuple(steps)


def closed_sequence_rejections(p: FloatArray, alpha: float = 0.05) -> BoolArray:
    """The same for many trials at once: (trial, test) p-values in order to (trial, test) rejections.

    NaN, a test that could not be done, is not a rejection.
    """
    rejected: BoolArray = np.logical_and.accumulate(np.asarray(p) <= alpha, axis=1)
    return rejected
