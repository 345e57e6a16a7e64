"""The combined assessment of function and survival: one trial from data frames, or a block of trials."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from equipoise.estimate.fit import Fit
from equipoise.estimate.left_out import LeftOut, of_one_arm
from equipoise.estimate.linear.ancova import AncovaFit, ancova
from equipoise.estimate.panel import Panel, read_panel
from equipoise.estimate.ranks.joint_rank_tests import FINKELSTEIN, WITHIN, RankTest, one_armed, run_tests, strata_of
from equipoise.estimate.ranks.kernels import rank as kernel
from equipoise.estimate.ranks.kernels import rank_tests
from equipoise.estimate.ranks.survival_data import survival_of
from equipoise.estimate.ranks.win import of_pairs
from equipoise.estimate.result import Estimate
from equipoise.types import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class RankSum:
    """A sum of ranks over the active arm, with its expectation and variance over all allocations within strata.

    statistic : for the van Elteren test, ranks over stratum size plus one.
    """

    statistic: float
    expectation: float
    variance: float

    @property
    def z(self) -> float:
        """Standardised; NaN without variance."""
        return (self.statistic - self.expectation) / math.sqrt(self.variance) if self.variance > 0.0 else math.nan


@dataclass(frozen=True, eq=False)
class Cafs(Fit):
    """The combined assessment of function and survival, without imputation.

    scores : (subject,) sums of comparisons; ranks : their midranks; pairs : (active, control) comparisons +1, 0, -1.
    ancova, wilcoxon : active minus control in mean rank; quade : rank ANCOVA. stratified_wilcoxon, van_elteren,
    rank_ancova : within ``strata``. finkelstein_schoenfeld : in mean score, with the permutation variance. win_ratio,
    win_odds, net_benefit : of the pairs of one patient from each arm, U-statistic variance. fit : the ANCOVA.
    rank_sums : the sums behind ``wilcoxon``, ``stratified_wilcoxon`` and ``van_elteren``. deaths : control, active.
    strata_left_out : strata with one arm, which take no part in the stratified tests. left_out : rows without a
    visit, then the patients of such strata.
    """

    panel: Panel
    scores: FloatArray
    ranks: FloatArray
    pairs: FloatArray
    ancova: Estimate
    wilcoxon: Estimate
    quade: Estimate
    stratified_wilcoxon: Estimate
    van_elteren: Estimate
    rank_ancova: Estimate
    finkelstein_schoenfeld: Estimate
    win_ratio: Estimate
    win_odds: Estimate
    net_benefit: Estimate
    fit: AncovaFit
    rank_sums: Mapping[str, RankSum]
    deaths: tuple[int, int]
    strata: tuple[str, ...]
    strata_left_out: tuple[str, ...]
    left_out: LeftOut

    @property
    def wins(self) -> int:
        """Pairs of one patient from each arm in which the active patient did better."""
        return int((self.pairs > 0).sum())

    @property
    def losses(self) -> int:
        return int((self.pairs < 0).sum())

    @property
    def ties(self) -> int:
        return int((self.pairs == 0).sum())

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """All comparisons of the arms; the stratified ones only where strata were given."""
        own = (self.stratified_wilcoxon, self.van_elteren) if len(self.strata) > 1 else ()
        return (
            self.ancova,
            self.wilcoxon,
            self.quade,
            *own,
            self.rank_ancova,
            self.finkelstein_schoenfeld,
            self.win_ratio,
            self.win_odds,
            self.net_benefit,
        )

    def patients(self) -> Any:
        """One row a patient, as a frame of the kind that came in: patient, arm, score, rank."""
        arms = [self.panel.arms[int(a)] for a in self.panel.arm]
        return self.panel.native(
            {"USUBJID": self.panel.subjects, "ARM": arms, "SCORE": self.scores.tolist(), "RANK": self.ranks.tolist()}
        )

    def _backend(self) -> Any:
        return self.panel.backend

    def _keys(self) -> Sequence[Mapping[str, Any]]:
        return [{"test": e.estimator.removeprefix("CAFS, "), "scale": e.scale} for e in self.estimates]

    def _title(self) -> str:
        return "Combined assessment of function and survival (CAFS)"

    def _facts(self) -> Iterator[tuple[str, str]]:
        control, active = self.panel.arms
        sizes = [int((self.panel.arm == a).sum()) for a in (0.0, 1.0)]
        for arm, n, dead in zip((control, active), sizes, self.deaths, strict=True):
            yield str(arm), f"{n} patients, {dead} died"
        yield "pairs", f"{active} won {self.wins}, lost {self.losses}, tied {self.ties}"

    def _drawn(self) -> Any:
        """The comparisons that are differences in ranks; ratios of wins have an axis of their own."""
        return tuple(e for e in self.estimates if not e.ratio)


def cafs(
    data: Any,
    survival: Any,
    *,
    up_to: float,
    value: str = "CHG",
    subject: str = "USUBJID",
    visit: str = "AVISITN",
    arm: str = "TRT01P",
    control: Any = None,
    time: str = "AVAL",
    censor: str | None = "CNSR",
    event: str | None = None,
    covariates: Sequence[str] = ("BASE",),
    strata: Sequence[str] = (),
    level: float = 0.95,
) -> Cafs:
    """Score every pair by survival, then by function at the last common visit, up to ``up_to``.

    Two deaths: the later wins. One death: the other wins if followed to that time, otherwise the two are compared on
    function. No death: change from baseline at the last visit observed in both; the smaller loss wins, equal or no
    common visit is a tie. Scores are ranked; arms are compared by ANCOVA on the ranks (strata enter as factors), by
    Quade's rank ANCOVA, by the Wilcoxon test, plain and stratified, by van Elteren's test, by stratified rank ANCOVA,
    and the scores by the Finkelstein-Schoenfeld test.

    Parameters as in :func:`joint_rank`; ``up_to`` in the unit of ``visit``. All pairs
    are scored, across strata too; strata matter to the tests. Berry et al. 2013, Amyotroph Lateral Scler Frontotemporal
    Degener 14:162.

    Raises
    ------
    DataError : a column is absent, not known for everyone or changes within a patient, or a patient has no survival
        time.
    EstimationError : an option means nothing, or there are fewer patients than the ANCOVA has coefficients.

    Examples
    --------
    >>> import polars as pl
    >>> visits = pl.DataFrame({"USUBJID": list("AABBCCDD"), "TRT01P": list("aappaapp"), "AVISITN": [4, 8] * 4,
    ...                        "CHG": [-1, -2, -3, None, 0, -1, -2, -4]})
    >>> deaths = pl.DataFrame({"USUBJID": list("ABCD"), "AVAL": [8, 6, 8, 8], "CNSR": [1, 0, 1, 1]})
    >>> made = cafs(visits, deaths, up_to=8, control="p", covariates=[])
    >>> made.scores.tolist(), made.wins, made.losses, made.ties
    ([1.0, -3.0, 3.0, -1.0], 4, 0, 0)
    """
    panel = read_panel(
        data,
        value=value,
        subject=subject,
        visit=visit,
        arm=arm,
        control=control,
        covariates=tuple(dict.fromkeys([*covariates, *strata])),
        up_to=up_to,
    )
    times, died = survival_of(panel, survival, subject, time, censor, event)
    dead = died & (times <= up_to)
    n = panel.n
    score, pairs = np.zeros(n), np.zeros((n, n))
    kernel.cafs_scores(panel.y, dead, np.minimum(times, up_to), score, pairs)
    active = panel.arm == 1.0
    name = f"{panel.arms[1]} - {panel.arms[0]} to week {up_to:g}"
    columns, _ = panel.columns(covariates)
    code, strata_called = strata_of(panel, strata)
    whole, alone = np.zeros((1, n), np.int64), len(strata_called)
    ranks: FloatArray = rank_tests.midranks(score[None], whole, 1)[0]
    factors = (code[:, None] == np.arange(1, alone)).astype(np.float64)
    design = np.column_stack([columns, factors])[None]
    by_arm = active[None]
    tests = {
        **run_tests(["ancova"], ranks[None], by_arm, whole, 1, design),
        **run_tests(["quade"], score[None], by_arm, whole, 1, columns[None]),
        **run_tests(["wilcoxon", "van-elteren", "rank-ancova"], score[None], by_arm, code[None], alone, columns[None]),
    }
    plain = run_tests(["wilcoxon"], score[None], by_arm, whole, 1, columns[None])["wilcoxon"]
    apart = one_armed(code, strata_called, panel.arm) if strata else {}
    left_out = LeftOut(of_one_arm(apart))
    made = {m: test.estimate(name, m, n - left_out if m in WITHIN else n, "CAFS", level) for m, test in tests.items()}
    table = {"RANK": ranks.tolist(), "ACTIVE": panel.arm.tolist()}
    table |= {f"X{j}": design[0, :, j].tolist() for j in range(design.shape[2])}
    fit = ancova(" + ".join(["RANK ~ ACTIVE", *(f"X{j}" for j in range(design.shape[2]))]), panel.native(table))

    def rank_sum(values: FloatArray, group: IntArray, fractional: bool) -> RankSum:
        total = rank_tests.sums(values, by_arm, group, alone, fractional=fractional)[0]
        return RankSum(float(total[0]), float(total[1]), float(total[2]))

    within = rank_tests.midranks(score[None], code[None], alone)
    fs = _finkelstein_schoenfeld(score, active)
    across = pairs[np.ix_(active, ~active)]
    return Cafs(
        panel,
        score,
        ranks,
        across,
        replace(made["ancova"], estimator="CAFS, ANCOVA on ranks", scale="difference in mean rank"),
        replace(plain.estimate(name, "wilcoxon", n, "CAFS", level), estimator="CAFS, Wilcoxon test"),
        made["quade"],
        made["wilcoxon"],
        made["van-elteren"],
        made["rank-ancova"],
        replace(
            fs.estimate(name, "wilcoxon", n, "CAFS", level),
            estimator="CAFS, Finkelstein-Schoenfeld test",
            scale="difference in mean score",
            references=(FINKELSTEIN,),
        ),
        *of_pairs(across, name=name, estimator="CAFS, pairwise comparison", level=level),
        fit,
        {
            "wilcoxon": rank_sum(ranks[None], whole, False),
            "stratified_wilcoxon": rank_sum(within, code[None], False),
            "van_elteren": rank_sum(within, code[None], True),
            "finkelstein_schoenfeld": rank_sum(score[None], whole, False),
        },
        (int(dead[~active].sum()), int(dead[active].sum())),
        strata_called,
        tuple(apart),
        panel.left_out.and_then(left_out.reasons),
    )


def _finkelstein_schoenfeld(score: FloatArray, active: BoolArray) -> RankTest:
    """Scores over the active arm against their permutation variance, as a difference in mean score."""
    group = np.zeros((1, len(score)), np.int64)
    total = rank_tests.sums(score[None], active[None], group, 1)
    return RankTest(*rank_tests.permutation(total, group, total[:, 3]))


@dataclass(frozen=True, eq=False)
class CafsBatch:
    """CAFS of a block of trials.

    score, rank : (trial, subject), 0 outside the analysis set. wins, losses : (trial, subject, 2) patients of control
    and active that each did better, or worse, than. tests : method -> test; ``finkelstein-schoenfeld`` among them.
    """

    score: FloatArray
    rank: FloatArray
    wins: FloatArray
    losses: FloatArray
    tests: Mapping[str, RankTest]


def cafs_batch(
    change: FloatArray,
    time: FloatArray,
    died: BoolArray,
    active: BoolArray,
    *,
    up_to: float,
    include: BoolArray | None = None,
    covariates: FloatArray | None = None,
    stratum: IntArray | None = None,
    methods: Sequence[str] = ("ancova", "wilcoxon"),
) -> CafsBatch:
    """CAFS of every trial of a block; never raises for a trial, ``status`` of each test says what became of it.

    Parameters
    ----------
    change : (trial, subject, visit) change from baseline at the visits up to ``up_to``, NaN where not seen.
    time, died : (trial, subject) week of death or of the end of follow-up, and whether it was a death.
    active, include, stratum : (trial, subject); covariates : (trial, subject, q).
    methods : of :data:`METHODS`; the Finkelstein-Schoenfeld test always comes with them.

    Raises
    ------
    EstimationError : an unknown method.
    """
    change = np.ascontiguousarray(change, dtype=np.float64)
    shape = change.shape[:2]
    active = np.ascontiguousarray(active, dtype=np.bool_)
    inside = np.ones(shape, np.bool_) if include is None else np.ascontiguousarray(include, dtype=np.bool_)
    end = np.minimum(np.asarray(time, dtype=np.float64), up_to)
    dead = np.asarray(died, dtype=np.bool_) & (np.asarray(time) <= up_to)
    wins, losses = np.empty((*shape, 2)), np.empty((*shape, 2))
    kernel.cafs_counts(change, np.ascontiguousarray(dead), np.ascontiguousarray(end), active, inside, wins, losses)
    score = np.where(inside, wins.sum(axis=2) - losses.sum(axis=2), 0.0)
    whole, _ = rank_tests.groups(shape, None, inside)
    group, n_groups = rank_tests.groups(shape, stratum, inside)
    x = np.zeros((*shape, 0)) if covariates is None else np.asarray(covariates, dtype=np.float64)
    ranks = rank_tests.midranks(score, whole, 1)
    tests: dict[str, RankTest] = {}
    for method in methods:
        columns = x
        if method == "ancova" and n_groups > 1:
            columns = np.concatenate([x, (group[:, :, None] == np.arange(1, n_groups)).astype(np.float64)], axis=2)
        values = ranks if method == "ancova" else score
        tests |= run_tests([method], values, active, group, n_groups, columns)
    total = rank_tests.sums(score, active, whole, 1)
    tests["finkelstein-schoenfeld"] = RankTest(*rank_tests.permutation(total, whole, total[:, 3]))
    return CafsBatch(score, ranks, wins, losses, tests)
