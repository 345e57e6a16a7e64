"""The joint rank test of death and function, and the combined assessment of function and survival (CAFS).

:func:`joint_rank` is the test of VALOR: missing visits are imputed, every patient is scored against every other at one
visit, deaths below all survivors in order of time, and an ANCOVA on the scores is pooled over imputations.
:func:`cafs` imputes nothing: survivors are compared at the last visit at which both were seen.

Equations and sources in ``docs/methods/joint-rank.md``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.ancova import REFERENCES as ANCOVA_REFERENCES
from equipoise.estimate.ancova import ancova
from equipoise.estimate.imputation import BURN_IN, REFERENCES, check_options, predictors_of
from equipoise.estimate.panel import Panel, numbers, one_row_a_patient, read_frame, read_panel, require
from equipoise.estimate.result import Estimate
from equipoise.kernels import rank as kernel
from equipoise.kernels import repeated
from equipoise.types import BoolArray, FloatArray, Status

BERRY = "Berry et al. 2013, Amyotroph Lateral Scler Frontotemporal Degener 14:162"
FINKELSTEIN = "Finkelstein & Schoenfeld 1999, Stat Med 18:1341"


def _survival(
    panel: Panel, data: Any, subject: str, time: str, censor: str | None, event: str | None
) -> tuple[FloatArray, BoolArray]:
    """(subject,) times and death indicators of the panel's patients."""
    if (censor is None) == (event is None):
        raise EstimationError(
            "give either censor or event", hint="censor names a column with 0 for a death, event one with 1 for a death"
        )
    indicator = censor or event or ""
    frame = read_frame(data)
    require(frame, [subject, time, indicator])
    rows, subjects, _ = one_row_a_patient(frame, subject, [time, indicator])
    times, flags = numbers(rows, time), numbers(rows, indicator)
    if np.isnan(times).any() or not np.isin(flags, (0.0, 1.0)).all():
        raise DataError(
            f"{time!r} or {indicator!r} is missing or not 0 or 1 for some patients",
            hint="every patient needs a time, of death or of last follow-up, and an indicator",
        )
    index = {s: i for i, s in enumerate(subjects)}
    absent = [str(s) for s in panel.subjects if s not in index]
    if absent:
        raise DataError(
            f"{len(absent)} patients have no survival time (such as {', '.join(absent[:5])})",
            hint="every patient of the analysis needs a row in the survival data",
        )
    order = [index[s] for s in panel.subjects]
    died = flags[order] == (0.0 if censor is not None else 1.0)
    return times[order], died


@dataclass(frozen=True, eq=False)
class JointRank:
    """The joint rank test on multiply imputed data.

    difference : mean score of active minus control, adjusted. means : adjusted mean score of each arm, control first.
    deaths : (control, active) deaths up to ``week``. A score is how many patients one did better than, minus how many
    did better; with n patients it lies between -(n - 1) and n - 1.
    """

    week: float
    difference: Estimate
    means: tuple[Estimate, Estimate]
    deaths: tuple[int, int]


def joint_rank(
    data: Any,
    survival: Any,
    *,
    week: float,
    value: str = "CHG",
    subject: str = "USUBJID",
    visit: str = "AVISITN",
    treatment: str = "TRT01P",
    control: Any = None,
    time: str = "AVAL",
    censor: str | None = "CNSR",
    event: str | None = None,
    covariates: Sequence[str] = ("BASE",),
    impute_with: Sequence[str] | None = None,
    rank_covariates: bool = False,
    n_imputations: int = 20,
    burn_in: int = BURN_IN,
    seed: int = 0,
    level: float = 0.95,
) -> JointRank:
    """Joint rank test at ``week`` with multiple imputation, by ANCOVA on the scores.

    Parameters
    ----------
    data : long frame, one row a patient and visit, every patient at least once; pandas, polars or pyarrow.
    survival : one row a patient: ``time`` in the unit of ``visit``, and ``censor`` (0 for a death, as in ADaM) or
        ``event`` (1 for a death). Deaths up to ``week`` rank below all survivors, the earlier the lower.
    covariates : of the ANCOVA; ``rank_covariates`` replaces numbers by their ranks (Quade 1967).
    impute_with : predictors of imputation besides the arm; default the covariates.

    Raises
    ------
    DataError, EstimationError : as :func:`equipoise.estimate.imputation.mi_ancova`.
    """
    check_options(n_imputations, burn_in, seed)
    helpers = covariates if impute_with is None else impute_with
    panel = read_panel(
        data,
        value=value,
        subject=subject,
        visit=visit,
        treatment=treatment,
        control=control,
        covariates=tuple(dict.fromkeys([*covariates, *helpers])),
        up_to=week,
    )
    at = panel.at(week)
    times, died = _survival(panel, survival, subject, time, censor, event)
    columns, _ = panel.columns(covariates)
    if rank_covariates:
        columns = stats.rankdata(columns, axis=0)
    _, ranks, _, status, _ = repeated.mi_ancova(
        panel.y[None],
        np.ones((1, panel.n), np.bool_),
        predictors_of(panel, helpers),
        np.column_stack([np.ones(panel.n), panel.arm, columns])[None],
        death_week=np.where(died, times, np.inf)[None],
        rank_week=week,
        rank_visit=at,
        n_imputations=n_imputations,
        burn_in=burn_in,
        seed=seed,
    )

    def estimate(position: int, name: str, scale: str) -> Estimate:
        made, se, df = (float(x) for x in ranks[0, 0, position : position + 3])
        return Estimate.from_t(
            f"{name} at week {week:g}",
            f"joint rank test, {n_imputations} imputations",
            made,
            se,
            df,
            panel.n,
            level=level,
            scale=scale,
            status=Status(int(status[0, 0])),
            references=(BERRY, FINKELSTEIN, *REFERENCES),
        )

    first, second = panel.arms
    dead = died & (times <= week)
    return JointRank(
        week,
        estimate(repeated.DIFFERENCE, f"{second} - {first}", "difference in mean joint rank score"),
        (
            estimate(repeated.CONTROL, str(first), "mean joint rank score"),
            estimate(repeated.ACTIVE, str(second), "mean joint rank score"),
        ),
        (int(dead[panel.arm == 0.0].sum()), int(dead[panel.arm == 1.0].sum())),
    )


@dataclass(frozen=True, eq=False)
class Cafs:
    """The combined assessment of function and survival, without imputation.

    scores : (subject,) sums of comparisons; ranks : their midranks; pairs : (active, control) comparisons +1, 0, -1.
    ancova, wilcoxon : active minus control in mean rank; finkelstein_schoenfeld : in mean score, with the permutation
    variance.
    """

    panel: Panel
    scores: FloatArray
    ranks: FloatArray
    pairs: FloatArray
    ancova: Estimate
    wilcoxon: Estimate
    finkelstein_schoenfeld: Estimate
    deaths: tuple[int, int]

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

    def to_frame(self) -> Any:
        """One row a patient, as a frame of the kind that came in: patient, arm, score, rank."""
        arms = [self.panel.arms[int(a)] for a in self.panel.arm]
        return self.panel.native(
            {"USUBJID": self.panel.subjects, "ARM": arms, "SCORE": self.scores.tolist(), "RANK": self.ranks.tolist()}
        )


def _permutation(values: FloatArray, arm: FloatArray, name: str, estimator: str, scale: str, reference: str,
                 level: float) -> Estimate:  # fmt: skip
    """Difference in means with its variance over all allocations of the patients to arms (normal approximation)."""
    n, m = len(values), float(arm.sum())
    difference = float(values[arm == 1.0].mean() - values[arm == 0.0].mean())
    variance = n / (m * (n - m)) * float(((values - values.mean()) ** 2).sum()) / (n - 1)
    return Estimate.from_t(
        name, estimator, difference, math.sqrt(variance), math.inf, n, level=level, scale=scale, references=(reference,)
    )


def cafs(
    data: Any,
    survival: Any,
    *,
    horizon: float,
    value: str = "CHG",
    subject: str = "USUBJID",
    visit: str = "AVISITN",
    treatment: str = "TRT01P",
    control: Any = None,
    time: str = "AVAL",
    censor: str | None = "CNSR",
    event: str | None = None,
    covariates: Sequence[str] = ("BASE",),
    level: float = 0.95,
) -> Cafs:
    """Score every pair by survival, then by function at the last common visit, up to ``horizon``.

    Two deaths: the later wins. One death: the other wins if followed to that time, otherwise the two are compared on
    function. No death: change from baseline at the last visit observed in both; the smaller loss wins, equal or no
    common visit is a tie. Scores are ranked; arms are compared by ANCOVA on the ranks and by the Wilcoxon test, and
    the scores by the Finkelstein-Schoenfeld test.

    Parameters as in :func:`joint_rank`.
    """
    panel = read_panel(
        data,
        value=value,
        subject=subject,
        visit=visit,
        treatment=treatment,
        control=control,
        covariates=covariates,
        up_to=horizon,
    )
    times, died = _survival(panel, survival, subject, time, censor, event)
    dead = died & (times <= horizon)
    n = panel.n
    score, pairs = np.zeros(n), np.zeros((n, n))
    kernel.cafs_scores(panel.y, dead, np.minimum(times, horizon), score, pairs)
    ranks: FloatArray = stats.rankdata(score)
    active = panel.arm == 1.0
    name = f"{panel.arms[1]} - {panel.arms[0]} to week {horizon:g}"
    columns, called = panel.columns(covariates)
    table = {"RANK": ranks.tolist(), "ACTIVE": panel.arm.tolist()}
    table |= {f"X{j}": columns[:, j].tolist() for j in range(len(called))}
    fit = ancova(" + ".join(["RANK ~ ACTIVE", *(f"X{j}" for j in range(len(called)))]), panel.native(table))
    at = fit.linear(np.eye(len(fit.names))[fit.names.index("ACTIVE")])
    adjusted = Estimate.from_t(
        name,
        "CAFS, ANCOVA on ranks",
        at["estimate"][0],
        at["se"][0],
        float(fit.df),
        n,
        level=level,
        scale="difference in mean rank",
        references=(BERRY, ANCOVA_REFERENCES["ancova"]),
    )
    return Cafs(
        panel,
        score,
        ranks,
        pairs[np.ix_(active, ~active)],
        adjusted,
        _permutation(ranks, panel.arm, name, "CAFS, Wilcoxon test", "difference in mean rank", BERRY, level),
        _permutation(
            score,
            panel.arm,
            name,
            "CAFS, Finkelstein-Schoenfeld test",
            "difference in mean score",
            FINKELSTEIN,
            level,
        ),
        (int(dead[~active].sum()), int(dead[active].sum())),
    )
