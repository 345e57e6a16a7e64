"""Several hypotheses through several stages: the closed combination test.

Every intersection of hypotheses has its own inverse-normal combination of stage-wise P values; a hypothesis is
rejected at a stage where all intersections that hold it have been rejected by then (Marcus, Peritz & Gabriel 1976;
Bauer & Kieser 1999; Bretz, Schmidli, König, Racine & Maurer 2006). Whatever decided which hypotheses go on, the
family-wise error is at most that of the boundaries. A hypothesis that was dropped takes no part in later stages: the
intersections go on with those that are left.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Literal, get_args

import numpy as np
from scipy import special

from equipoise.decision.combination import InverseNormal
from equipoise.errors import ScenarioError
from equipoise.types import BoolArray, FloatArray, IntArray

REFERENCES = ("Bauer & Kieser 1999, Stat Med 18:1833", "Bretz, Schmidli, König, Racine & Maurer 2006, Biom J 48:623")

Intersection = Literal["dunnett", "bonferroni", "simes"]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(96)
_X = 9.0 * _NODES
_W = 9.0 * _WEIGHTS * np.exp(-0.5 * _X * _X) / np.sqrt(2.0 * np.pi)


def dunnett_p(z: FloatArray, ratio: FloatArray) -> FloatArray:
    """(...) one-sided P value of the largest of several comparisons with one control (Dunnett 1955).

    z : (..., comparison) statistics. ratio : (..., comparison) size of each arm over that of the control; two
    statistics correlate by ``sqrt(r / (1 + r) s / (1 + s))``. Comparisons whose z is minus infinity take no part.

    >>> round(float(dunnett_p(np.array([2.0, 1.0]), np.ones(2))), 5)
    0.04145
    """
    z, ratio = np.asarray(z, dtype=np.float64), np.asarray(ratio, dtype=np.float64)
    out = z == -np.inf
    top = z.max(axis=-1, keepdims=True)
    load = np.sqrt(ratio / (1.0 + ratio))[..., None]
    at = (top[..., None] + load * _X) / np.sqrt(1.0 - load * load)
    with np.errstate(invalid="ignore"):
        below = np.where(out[..., None], 1.0, special.ndtr(at)).prod(axis=-2)
        p = ((1.0 - below) * _W).sum(axis=-1)
    return np.asarray(np.where(np.isnan(z).any(axis=-1), np.nan, np.clip(p, 0.0, 1.0)))


def _bonferroni(p: FloatArray) -> FloatArray:
    return np.asarray(np.minimum(1.0, p.shape[-1] * p.min(axis=-1)))


def _simes(p: FloatArray) -> FloatArray:
    m = p.shape[-1]
    return np.asarray((m / np.arange(1, m + 1) * np.sort(p, axis=-1)).min(axis=-1))


@dataclass(frozen=True, eq=False)
class ClosedCombination:
    """A closed test of several hypotheses, each intersection by one inverse-normal combination test.

    test : weights and boundaries of the stages. hypotheses : how many. intersection : how the P value of several is
    made: ``dunnett`` (comparisons with one control), ``simes`` (nested or independent tests) or ``bonferroni``.

    Examples
    --------
    Two doses; the first is dropped after stage 1:

    >>> test = ClosedCombination(InverseNormal(np.array([0.5, 0.5]), np.array([2.797, 1.977])), 2, "dunnett")
    >>> z = np.array([[0.3, 1.6], [np.nan, 2.0]])
    >>> test.rejected(z, np.array([[True, True], [False, True]]))
    array([0, 2])
    """

    test: InverseNormal
    hypotheses: int
    intersection: Intersection = "dunnett"

    def __post_init__(self) -> None:
        if self.intersection not in get_args(Intersection):
            raise ScenarioError(
                f"intersection {self.intersection!r}", hint=f"choose one of {', '.join(get_args(Intersection))}"
            )
        if not 1 <= self.hypotheses <= 10:
            raise ScenarioError(f"{self.hypotheses} hypotheses", hint="a closed test takes 1 to 10")

    def intersections(self) -> list[tuple[int, ...]]:
        """Every set of hypotheses."""
        every = range(self.hypotheses)
        return [j for size in range(1, self.hypotheses + 1) for j in combinations(every, size)]

    def combined(
        self, z: FloatArray, going: BoolArray, ratio: FloatArray | None = None
    ) -> dict[tuple[int, ...], FloatArray]:
        """Intersection -> (..., stage) combined statistic.

        z : (..., stage, hypothesis) stage-wise statistics, large for an effect. going : (..., stage, hypothesis) which
        hypotheses the stage tests. ratio : as in :func:`dunnett_p`; default equal sizes.
        """
        z, going = np.asarray(z, dtype=np.float64), np.asarray(going, dtype=np.bool_)
        sizes = np.ones_like(z) if ratio is None else np.asarray(ratio, dtype=np.float64)
        out = {}
        for j in self.intersections():
            mine, here = z[..., list(j)], going[..., list(j)]
            p = self._p(mine, here, sizes[..., list(j)])
            out[j] = self.test.combine(np.where(here.any(axis=-1), p, 1.0))
        return out

    def _p(self, z: FloatArray, going: BoolArray, ratio: FloatArray) -> FloatArray:
        if z.shape[-1] == 1:
            return np.asarray(special.ndtr(-z[..., 0]))
        if self.intersection == "dunnett":
            return dunnett_p(np.where(going, z, -np.inf), ratio)
        lost = (np.isnan(z) & going).any(axis=-1)
        several = _bonferroni if self.intersection == "bonferroni" else _simes
        p = np.where(going, special.ndtr(-z), 1.0)
        size = going.sum(axis=-1)
        out = np.full(z.shape[:-1], np.nan)
        for m in range(1, z.shape[-1] + 1):
            # of m that go on the others stand at 1, and leave the m smallest P values
            out = np.where(size == m, several(np.sort(p, axis=-1)[..., :m]), out)
        return np.asarray(np.where(lost, np.nan, out))

    def rejected(self, z: FloatArray, going: BoolArray, ratio: FloatArray | None = None) -> IntArray:
        """(..., hypothesis) the stage (from 1) at which each is rejected, 0 for those that are not.

        Parameters as in :meth:`combined`; the stages may be the first ones only.
        """
        never = self.test.weights.size + 1
        first: dict[tuple[int, ...], IntArray] = {}
        for j, statistic in self.combined(z, going, ratio).items():
            with np.errstate(invalid="ignore"):
                crossed = statistic >= self.test.upper[: statistic.shape[-1]]
            first[j] = np.where(crossed.any(axis=-1), crossed.argmax(axis=-1) + 1, never)
        out = [np.max([when for j, when in first.items() if h in j], axis=0, initial=0) for h in range(self.hypotheses)]
        stage = np.stack(out, axis=-1)
        return np.asarray(np.where(stage == never, 0, stage), dtype=np.int64)
