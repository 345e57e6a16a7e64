"""What the joint rank test and CAFS share: the survival data, strata, and the tests of scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.columns import labels
from equipoise.estimate.linear.ancova import REFERENCES as ANCOVA_REFERENCES
from equipoise.estimate.panel import Panel
from equipoise.estimate.ranks.kernels import rank_tests
from equipoise.estimate.ranks.survival_data import BERRY
from equipoise.estimate.result import Estimate
from equipoise.types import BoolArray, CodeArray, FloatArray, IntArray, Status

FINKELSTEIN = "Finkelstein & Schoenfeld 1999, Stat Med 18:1341"
VAN_ELTEREN = "van Elteren 1960, Bull Int Stat Inst 37:351"
QUADE = "Quade 1967, J Am Stat Assoc 62:1187"
KOCH = "Koch, Tangen, Jung & Amara 1998, Stat Med 17:1863"

METHODS = {
    "ancova": ("ANCOVA on scores", "difference in mean score"),
    "wilcoxon": ("stratified Wilcoxon test", "difference in mean rank"),
    "van-elteren": ("van Elteren test", "probability of a better rank less one half"),
    "quade": ("Quade's rank ANCOVA", "difference in mean residual rank"),
    "rank-ancova": ("stratified rank ANCOVA", "difference in mean residual fractional rank"),
}
"""The tests of scores: what each is called, and what its estimate is."""

WITHIN = ("wilcoxon", "van-elteren", "rank-ancova")
"""The tests within strata, in which a stratum of one arm takes no part."""

SOURCES = {
    "ancova": ANCOVA_REFERENCES["ancova"],
    "wilcoxon": BERRY,
    "van-elteren": VAN_ELTEREN,
    "quade": QUADE,
    "rank-ancova": KOCH,
}
DETAIL = {
    Status.NO_EVENTS: "not estimable: all patients are tied",
    Status.EMPTY_ARM: "not estimable: no stratum has patients of both arms",
    Status.SINGULAR: "not estimable: the covariates determine the arm, or leave no degrees of freedom",
    Status.NO_VARIANCE: "not estimable: arm and covariates determine the scores, which leaves no variance",
}


def strata_of(panel: Panel, names: Sequence[str]) -> tuple[IntArray, tuple[str, ...]]:
    """(subject,) stratum codes from 0, and what each stratum is called."""
    code = np.zeros(panel.n, np.int64)
    called = [""]
    for name in names:
        values, levels = labels(panel.baseline, name)
        if None in values:
            who = panel.subjects[values.index(None)]
            raise DataError(f"{name!r} is missing for patient {who}", hint="every patient needs a stratum")
        index = {level: i for i, level in enumerate(levels)}
        code = code * len(levels) + np.array([index[v] for v in values], np.int64)
        called = [", ".join(filter(None, (c, f"{name} {level}"))) for c in called for level in levels]
    found = np.unique(code)
    return np.searchsorted(found, code).astype(np.int64), tuple(called[int(c)] for c in found)


def one_armed(code: IntArray, called: tuple[str, ...], arm: FloatArray) -> dict[str, int]:
    """The strata with patients of one arm alone, and how many these are."""
    return {name: int((code == g).sum()) for g, name in enumerate(called) if np.unique(arm[code == g]).size < 2}


@dataclass(frozen=True, eq=False)
class RankTest:
    """One test in every trial of a block: difference, se, df and p-value (trial,), NaN where ``status`` is not 0."""

    difference: FloatArray
    se: FloatArray
    df: FloatArray
    status: CodeArray

    @property
    def p(self) -> FloatArray:
        """(trial,) two-sided p-values."""
        return np.asarray(2.0 * special.stdtr(self.df, -np.abs(self.difference / self.se)))

    def estimate(self, name: str, method: str, n: int, what: str, level: float, more: tuple[str, ...] = ()) -> Estimate:
        """The test of the first trial as an :class:`Estimate`."""
        status = Status(int(self.status[0]))
        return Estimate.from_t(
            name,
            f"{what}, {METHODS[method][0]}",
            float(self.difference[0]),
            float(self.se[0]),
            float(self.df[0]),
            n,
            level=level,
            scale=METHODS[method][1],
            status=status,
            detail=DETAIL.get(status),
            references=(BERRY, *({SOURCES[method]} - {BERRY}), *more),
        )


def run_tests(
    methods: Sequence[str],
    values: FloatArray,
    active: BoolArray,
    group: IntArray,
    n_groups: int,
    covariates: FloatArray,
) -> dict[str, RankTest]:
    """The tests asked for, on (trial, subject) scores; ``covariates`` (trial, subject, q)."""
    made: dict[str, RankTest] = {}
    for method in methods:
        if method == "ancova":
            result = rank_tests.ancova(values, active, group, covariates)
        elif method == "wilcoxon":
            result = rank_tests.wilcoxon(values, active, group, n_groups)
        elif method == "van-elteren":
            result = rank_tests.van_elteren(values, active, group, n_groups)
        elif method == "quade":
            result = rank_tests.quade(values, active, group, covariates)
        elif method == "rank-ancova":
            result = rank_tests.stratified_rank_ancova(values, active, group, n_groups, covariates)
        else:
            raise EstimationError(f"unknown test {method!r}", hint="choose one of " + ", ".join(METHODS))
        made[method] = RankTest(*result)
    return made
