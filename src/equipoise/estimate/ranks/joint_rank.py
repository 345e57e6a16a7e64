"""The joint rank test of death and function, and the combined assessment of function and survival (CAFS).

:func:`joint_rank` is the test of VALOR: missing visits are imputed, every patient is scored against every other at one
visit, deaths below all survivors in order of time, and an ANCOVA on the scores is pooled over imputations.
:func:`cafs` imputes nothing: survivors are compared at the last visit at which both were seen. :func:`cafs_batch`
does so for a block of trials. The scores are compared by ANCOVA, by rank-sum tests plain and stratified, and by rank
analysis of covariance.

Equations and sources in ``docs/methods/joint-rank.md``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from equipoise.errors import EstimationError
from equipoise.estimate.fit import Fit
from equipoise.estimate.left_out import NOBODY, LeftOut, of_one_arm
from equipoise.estimate.missing import BURN_IN, REFERENCES, check_options, predictors_of
from equipoise.estimate.missing.analyses import least_squares
from equipoise.estimate.missing.kernels import imputation as imputing
from equipoise.estimate.missing.kernels import mi_ancova as repeated
from equipoise.estimate.panel import Panel, read_panel
from equipoise.estimate.ranks.joint_rank_cafs import Cafs, CafsBatch, RankSum, cafs, cafs_batch
from equipoise.estimate.ranks.joint_rank_tests import (
    DETAIL,
    FINKELSTEIN,
    METHODS,
    SOURCES,
    WITHIN,
    RankTest,
    one_armed,
    run_tests,
    strata_of,
)
from equipoise.estimate.ranks.kernels import rank_tests
from equipoise.estimate.ranks.survival_data import BERRY, survival_of
from equipoise.estimate.result import Estimate
from equipoise.types import BoolArray, FloatArray, IntArray, Status

_WHY = {Status.NOT_CONVERGED: "not estimable: imputations ran away, as where visits determine each other exactly"}

__all__ = ["METHODS", "Cafs", "CafsBatch", "JointRank", "RankSum", "RankTest", "cafs", "cafs_batch", "joint_rank"]


@dataclass(frozen=True, eq=False)
class JointRank(Fit):
    """The joint rank test on multiply imputed data.

    difference : active minus control, on the scale of the method. means : mean score of each arm, control first
    (adjusted for ANCOVA, raw otherwise). deaths : (control, active) deaths up to ``at``. strata_left_out : strata
    with one arm. left_out : rows without a visit, then their patients,
    where the method compares within strata; the ``n`` of the difference is
    that of the others. A score is how many patients one did better than, minus how many did better; with n patients it
    lies between -(n - 1) and n - 1.
    """

    at: float
    difference: Estimate
    means: tuple[Estimate, Estimate]
    deaths: tuple[int, int]
    strata_left_out: tuple[str, ...] = ()
    left_out: LeftOut = NOBODY
    arms: tuple[Any, Any] = ("control", "active")
    backend: Any = None

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """The difference, then the means of the arms."""
        return (self.difference, *self.means)

    def _keys(self) -> Sequence[dict[str, Any]]:
        return [
            {"visit": self.at, "arm": arm, "scale": e.scale}
            for arm, e in zip(("", *map(str, self.arms)), self.estimates, strict=True)
        ]

    def _facts(self) -> Iterator[tuple[str, str]]:
        for arm, dead in zip(self.arms, self.deaths, strict=True):
            yield str(arm), f"{dead} died to {self.at:g}"

    def _drawn(self) -> Any:
        """The difference; means of scores are on another axis."""
        return (self.difference,)


def joint_rank(
    data: Any,
    survival: Any,
    *,
    at: float,
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
    method: str = "ancova",
    impute_with: Sequence[str] | None = None,
    rank_covariates: bool = False,
    n_imputations: int = 20,
    burn_in: int = BURN_IN,
    seed: int = 0,
    level: float = 0.95,
    active: Any = None,
) -> JointRank:
    """Joint rank test at the visit ``at`` with multiple imputation.

    Parameters
    ----------
    data : long frame, one row a patient and visit, every patient at least once; pandas, polars or pyarrow.
    survival : one row a patient: ``time`` in the unit of ``visit``, and ``censor`` (0 for a death, as in ADaM) or
        ``event`` (1 for a death). Deaths up to ``at`` rank below all survivors, the earlier the lower.
    covariates : of the ANCOVA or rank ANCOVA; ``rank_covariates`` replaces numbers by their ranks (Quade 1967).
    strata : columns of categories. They enter ``ancova`` as factors, ``wilcoxon``, ``van-elteren`` and
    ``rank-ancova`` as
        strata within which ranks are formed; ``quade`` has none.
    method : ``ancova`` on the scores (VALOR), ``wilcoxon``, ``van-elteren``, ``quade`` or ``rank-ancova``.
    impute_with : predictors of imputation besides the arm; default covariates and strata.
    active : the arm compared with control, where there are more than two: all arms are in the imputation model, and
        patients of these two are ranked (:func:`equipoise.pairwise` does so for each arm).

    Raises
    ------
    DataError, EstimationError : as :func:`equipoise.estimate.missing.mi_ancova`.
    """
    check_options(n_imputations, burn_in, seed)
    if method not in METHODS:
        raise EstimationError(f"unknown method {method!r}", hint="choose one of " + ", ".join(METHODS))
    helpers = [*covariates, *strata] if impute_with is None else impute_with
    panel = read_panel(
        data,
        value=value,
        subject=subject,
        visit=visit,
        arm=arm,
        control=control,
        covariates=tuple(dict.fromkeys([*covariates, *strata, *helpers])),
        up_to=at,
        several=True,
    )
    second_arm, _ = panel.place_of(active)
    place = panel.at(at)
    options: dict[str, Any] = {"n_imputations": n_imputations, "burn_in": burn_in, "seed": seed}
    others: tuple[FloatArray, bool] | None = None
    if len(panel.arms) > 2:
        panel, others = _of_two(panel, second_arm, place, predictors_of(panel, helpers), options)
    times, died = survival_of(panel, survival, subject, time, censor, event)
    columns, _ = panel.columns(covariates)
    if rank_covariates:
        from scipy import stats

        columns = stats.rankdata(columns, axis=0)
    code, called = strata_of(panel, strata)
    factors = (code[:, None] == np.arange(1, len(called))).astype(np.float64)
    dead = died & (times <= at)
    first, second = panel.arms
    alive = [panel.arm[~dead] == a for a in (0, 1)]
    untold = any(mine.any() and np.isnan(panel.y[~dead, place][mine]).all() for mine in alive)
    include = np.ones((1, panel.n), np.bool_)
    alone = one_armed(code, called, panel.arm) if strata else {}
    apart = LeftOut(of_one_arm(alone) if method in WITHIN else {})
    names = (f"{second} - {first} at week {at:g}", f"{first} at week {at:g}", f"{second} at week {at:g}")
    references: tuple[str, ...] = (BERRY, FINKELSTEIN, *REFERENCES)
    if method == "ancova" and others is None:
        _, ranks, _, status, _ = repeated.mi_ancova(
            panel.y[None],
            include,
            predictors_of(panel, helpers),
            np.column_stack([np.ones(panel.n), panel.arm, columns, factors])[None],
            death_week=np.where(died, times, np.inf)[None],
            rank_week=at,
            rank_visit=place,
            **options,
        )
        results = ranks[0, 0].reshape(3, 3)[[2, 0, 1]]
        states = [Status(int(status[0, 0]))] * 3
        if states[0] is Status.NO_VARIANCE and _all_alike(panel.y[:, place], dead):
            states = [Status.NO_EVENTS] * 3
    else:
        if others is None:
            imputed = imputing.multiple_imputation(panel.y[None], include, predictors_of(panel, helpers), **options)
            others = imputing.complete(panel.y[None], *imputed)[0, :, :, place], bool(imputed[0][0, imputing.BROKEN])
        completed, broken = others
        x = np.column_stack([columns, factors]) if method == "ancova" else columns
        results, states = _pooled(method, completed, dead, times, at, panel.arm == 1.0, code, x)
        if broken:
            states = [Status.NOT_CONVERGED] * 3
        if untold:
            states = [Status.NO_DATA] * 3
        references = (*references, *({SOURCES[method]} - {BERRY}))
    scales = (
        "difference in mean joint rank score" if method == "ancova" else METHODS[method][1],
        "mean joint rank score",
        "mean joint rank score",
    )
    estimates = [
        Estimate.from_t(
            names[i],
            f"joint rank test, {'' if method == 'ancova' else METHODS[method][0] + ', '}{n_imputations} imputations",
            float(results[i, 0]),
            float(results[i, 1]),
            float(results[i, 2]),
            panel.n - apart if i == 0 else panel.n,
            level=level,
            scale=scales[i],
            status=states[i],
            detail=f"not estimable: {panel.unseen(place)}" if untold else _WHY.get(states[i], DETAIL.get(states[i])),
            references=references,
            term=scales[i],
            contrast=f"{second} - {first}" if i == 0 else "",
        )
        for i in range(3)
    ]
    return JointRank(
        at,
        estimates[0],
        (estimates[1], estimates[2]),
        (int(dead[panel.arm == 0.0].sum()), int(dead[panel.arm == 1.0].sum())),
        tuple(alone),
        panel.left_out.and_then(apart.reasons),
        panel.arms,
        panel.backend,
    )


def _of_two(
    panel: Panel, second: int, place: int, predictors: FloatArray, options: dict[str, int]
) -> tuple[Panel, tuple[FloatArray, bool]]:
    """The panel of control and arm ``second`` alone, their (imputation, subject) outcomes at visit ``place`` imputed
    with all arms, and whether the chain ran away."""
    imputed = imputing.multiple_imputation(panel.y[None], np.ones((1, panel.n), np.bool_), predictors, **options)
    completed = imputing.complete(panel.y[None], *imputed)[0, :, :, place]
    rows = np.flatnonzero((panel.arm == 0.0) | (panel.arm == second))
    two = replace(
        panel,
        subjects=[panel.subjects[int(i)] for i in rows],
        y=panel.y[rows],
        arms=(panel.arms[0], panel.arms[second]),
        arm=(panel.arm[rows] == second).astype(np.float64),
        baseline=panel.baseline[rows.tolist()],
    )
    return two, (completed[:, rows], bool(imputed[0][0, imputing.BROKEN]))


def _all_alike(y: FloatArray, dead: BoolArray) -> bool:
    """Whether everybody is known to be tied: nobody died and all values seen are one."""
    seen = y[~np.isnan(y)]
    return not dead.any() and bool((seen == seen[0]).all())


def _pooled(
    method: str,
    completed: FloatArray,
    dead: BoolArray,
    times: FloatArray,
    week: float,
    active: BoolArray,
    code: IntArray,
    columns: FloatArray,
) -> tuple[FloatArray, list[Status]]:
    """(3, 3) estimate, se and df of the difference and of the arms' mean scores, pooled by Rubin's rules.

    completed : (imputation, subject) outcome at the visit.
    """
    m, n = completed.shape
    results = np.full((3, 3), np.nan)
    known = np.where(dead, 0.0, completed)
    if np.isnan(known).any():
        return results, [Status.NO_DATA] * 3
    lowest = np.where(dead, np.inf, known).min(axis=1, keepdims=True)
    lowest = np.where(np.isinf(lowest), 0.0, lowest)
    key = np.where(dead, lowest - 1.0 - (week - times), known)
    everyone = np.zeros((m, n), np.int64)
    score = 2.0 * rank_tests.midranks(key, everyone, 1) - (n + 1.0)
    arms = np.broadcast_to(active, (m, n))
    group = np.ascontiguousarray(np.broadcast_to(code, (m, n)))
    x = np.broadcast_to(columns, (m, n, columns.shape[1]))
    if method == "ancova":
        return _ancova(score, active, columns)
    test = run_tests([method], score, arms, group, int(code.max()) + 1, x)[method]
    states = []
    for i, who in enumerate((None, ~active, active)):
        if who is None:
            q, s, df = test.difference, test.se, float(test.df[0])
            bad = test.status[test.status != 0]
            states.append(Status(int(bad[0])) if bad.size else Status.OK)
        else:
            count = int(who.sum())
            q = score[:, who].mean(axis=1)
            s = score[:, who].std(axis=1, ddof=1) / math.sqrt(count) if count > 1 else np.full(m, np.nan)
            df = count - 1.0
            states.append(Status.OK if count > 1 else Status.SINGULAR)
        if states[-1] is Status.OK:
            between = ((q - q.mean()) ** 2).sum() if np.ptp(q) > 1e-12 * np.abs(q).max() else 0.0
            se, pooled = repeated.pool(between, (s * s).mean(), float(m), df)
            results[i] = q.mean(), se, pooled
    return results, states


def _ancova(score: FloatArray, active: BoolArray, columns: FloatArray) -> tuple[FloatArray, list[Status]]:
    """:func:`_pooled` of an ANCOVA on (imputation, subject) scores."""
    m, n = score.shape
    rows, member = np.broadcast_to(np.arange(n), (m, n)), np.ones((m, n), np.bool_)
    q, s, df = least_squares(score[:, :, None], active.astype(np.float64), columns, rows, member)
    results = np.full((3, 3), np.nan)
    if np.isnan(q).any():
        return results, [Status.SINGULAR] * 3
    if not np.ptp(score) > 0.0:
        return results, [Status.NO_EVENTS] * 3
    if not (s > 1e-12 * np.ptp(score)).all():
        return results, [Status.NO_VARIANCE] * 3
    between = np.where(np.ptp(q, axis=0) > 1e-12 * np.abs(q).max(axis=0), ((q - q.mean(axis=0)) ** 2).sum(axis=0), 0.0)
    se, pooled = repeated.pool(between, (s * s).mean(axis=0), float(m), df[0])
    return np.stack([q.mean(axis=0), se, pooled], axis=1), [Status.OK] * 3
