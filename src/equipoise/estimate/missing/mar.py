"""Multiple imputation of repeated measures under missing at random, and ANCOVA on the completed data.

The data-frame doors to :mod:`kernels.imputation` and :mod:`kernels.mi_ancova`, which hold the
equations; ``docs/methods/imputation.md`` has them with their derivation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.fit import Fit
from equipoise.estimate.left_out import LeftOut
from equipoise.estimate.missing.analyses import arms_asked, least_squares
from equipoise.estimate.missing.kernels import imputation as kernel
from equipoise.estimate.missing.kernels import mi_ancova as repeated
from equipoise.estimate.missing.pooling import BARNARD_RUBIN, RUBIN
from equipoise.estimate.panel import Panel, read_panel
from equipoise.estimate.result import Estimate
from equipoise.types import FloatArray, IntArray, Status

SCHAFER = "Schafer 1997, Analysis of Incomplete Multivariate Data, section 6.5"
REFERENCES = (RUBIN, BARNARD_RUBIN, SCHAFER)

BURN_IN = 100
"""I/P cycles before each imputation of one trial. One trial can afford many; simulations take the kernel's default."""


def check_options(n_imputations: int, burn_in: int, seed: int) -> None:
    """Raise :class:`EstimationError` for options that mean nothing."""
    for name, value in (("n_imputations", n_imputations), ("burn_in", burn_in), ("seed", seed)):
        if not isinstance(value, int | np.integer):
            raise EstimationError(f"{name} = {value!r}", hint="give a whole number")
    if n_imputations < 2:
        raise EstimationError(
            f"{n_imputations} imputations", hint="at least 2 are needed to see how they differ; 20 to 100 is usual"
        )
    if burn_in < 1:
        raise EstimationError(f"burn_in = {burn_in}", hint="give at least 1 cycle; the default is 100")
    if seed < 0:
        raise EstimationError(f"seed = {seed}", hint="a seed is a whole number from 0 on")


def predictors_of(panel: Panel, names: Sequence[str]) -> FloatArray:
    """(1, subject, q) predictors of the imputation model: intercept, arms and covariates."""
    columns, _ = panel.columns(names)
    return np.column_stack([np.ones(panel.n), panel.indicators, columns])[None]


@dataclass(frozen=True, eq=False)
class Imputed:
    """Completed data sets of one trial.

    panel : the data as observed. completed : (imputation, subject, visit). dropped : how many predictors the
    imputation regressions had to do without, over all visits.
    """

    panel: Panel
    completed: FloatArray
    value: str
    subject: str
    visit: str
    dropped: int

    def to_frame(self) -> Any:
        """Long frame of the kind that came in: IMPNUM from 1, patient, visit, value, and whether it was imputed."""
        m, n, v = self.completed.shape
        missing = np.isnan(self.panel.y)
        return self.panel.native(
            {
                "IMPNUM": np.repeat(np.arange(1, m + 1), n * v).tolist(),
                self.subject: [s for _ in range(m) for s in self.panel.subjects for _ in range(v)],
                self.visit: np.tile(self.panel.weeks, m * n).tolist(),
                self.value: self.completed.ravel().tolist(),
                "IMPUTED": np.tile(missing.ravel(), m).tolist(),
            }
        )


def multiple_imputation(
    data: Any,
    *,
    value: str = "CHG",
    subject: str = "USUBJID",
    visit: str = "AVISITN",
    arm: str = "TRT01P",
    control: Any = None,
    impute_with: Sequence[str] = ("BASE",),
    n_imputations: int = 20,
    burn_in: int = BURN_IN,
    seed: int = 0,
) -> Imputed:
    """Impute missing visits of one trial, properly, under multivariate normality given arm and predictors.

    Parameters
    ----------
    data : long frame, one row a patient and visit, with at least one row for every patient to be imputed; pandas,
        polars or pyarrow. Rows with ``visit`` of 0 or below are baseline.
    impute_with : predictors known for everyone, the same in all rows of a patient; the arm is always one.
    burn_in : cycles of monotone data augmentation before each imputation, where there are intermittent gaps.
    seed : with it, the imputations are the same on every machine.

    Raises
    ------
    DataError : a column is absent, changes within a patient, or is not known for everyone; an arm has nobody seen at a
        visit.
    EstimationError : an option means nothing.

    References
    ----------
    Rubin 1987; Schafer 1997, section 6.5.
    """
    check_options(n_imputations, burn_in, seed)
    panel = read_panel(
        data, value=value, subject=subject, visit=visit, arm=arm, control=control, covariates=impute_with, several=True
    )
    gone = [text for v in range(len(panel.weeks)) if (text := panel.unseen(v))]
    if gone:
        raise DataError(gone[0], hint="nothing tells what its patients had: leave that visit out")
    y = panel.y[None]
    imputed = kernel.multiple_imputation(
        y,
        np.ones((1, panel.n), np.bool_),
        predictors_of(panel, impute_with),
        n_imputations=n_imputations,
        burn_in=burn_in,
        seed=seed,
    )
    completed: FloatArray = kernel.complete(y, *imputed)[0]
    return Imputed(panel, completed, value, subject, visit, int(imputed[0][0, kernel.DROPPED]))


@dataclass(frozen=True, eq=False)
class MiAncova(Fit):
    """ANCOVA at every visit on multiply imputed data.

    visits : (visit, asked, 3) estimate, standard error and df of what
    :func:`equipoise.estimate.missing.analyses.arms_asked` lists: differences, LS means, other pairs.
    status : (visit,) codes of :class:`equipoise.types.Status`. covariates : design columns after intercept and arm.
    dropped : predictors the imputation had to do without, over all visits.
    log : the outcome was analysed as a log ratio to baseline, so that results are ratios.
    """

    picture = "ls_means"

    panel: Panel
    covariates: tuple[str, ...]
    visits: FloatArray
    status: IntArray
    n_imputations: int
    dropped: int
    log: bool

    def _estimate(
        self, week: float, asked: tuple[int, int | None], name: str, level: float, estimand: str | None
    ) -> Estimate:
        v = self.panel.at(week)
        value, se, df = (float(x) for x in self.visits[v, arms_asked(len(self.panel.arms)).index(asked)])
        status, detail = self._state(v)
        mean = asked[1] is None
        if self.log:
            scale = "geometric mean ratio to baseline" if mean else "ratio of geometric means"
        else:
            scale = "mean change" if mean else "difference"
        return Estimate.from_t(
            f"{name} at week {week:g}",
            f"ANCOVA, {self.n_imputations} imputations",
            value,
            se,
            df,
            self.panel.n,
            level=level,
            ratio=self.log,
            scale=scale,
            estimand=estimand,
            status=status,
            detail=detail,
            references=REFERENCES,
        )

    @property
    def left_out(self) -> LeftOut:
        """Rows that take no part, and why; a visit without a value is imputed and not left out."""
        return self.panel.left_out

    def _state(self, v: int) -> tuple[Status, str | None]:
        """What became of visit ``v``, and what stood in the way where the word for the status would not tell."""
        status, why = Status(int(self.status[v])), None
        if status is Status.NO_DATA:
            why = self.panel.unseen(v) or "no observed values, or too few of them"
        elif status is Status.NOT_CONVERGED:
            why = "imputations ran away, as where visits determine each other exactly"
        elif status is Status.SINGULAR:
            why = "the covariates determine the arm"
        elif status is Status.NO_VARIANCE:
            why = "the outcome does not vary, or arm and covariates determine it: no residual variance is left"
        return status, None if why is None else f"not estimable: {why}"

    def difference(
        self, at: float, *, arm: Any = None, versus: Any = None, level: float = 0.95, estimand: str | None = None
    ) -> Estimate:
        """An arm minus another ``at`` a week (ratio of geometric means where ``log``): the only other arm, and control,
        where they are not named."""
        first, second = self.panel.place_of(arm, versus)
        if len(self.panel.arms) == 2 and second == 1:
            raise EstimationError(
                f"{self.panel.arms[first]!r} against {self.panel.arms[second]!r}",
                hint=f"name the arm to compare with as control={self.panel.arms[second]!r}",
            )
        sign = "/" if self.log else "-"
        name = f"{self.panel.arms[first]} {sign} {self.panel.arms[second]}"
        return self._estimate(at, (first, second), name, level, estimand)

    def mean(self, arm: Any, at: float, *, level: float = 0.95) -> Estimate:
        """LS mean of an arm ``at`` a week, covariates at their observed means (geometric mean ratio where ``log``)."""
        if arm not in self.panel.arms:
            raise EstimationError(f"no arm {arm!r}", hint="arms are " + ", ".join(map(str, self.panel.arms)))
        return self._estimate(at, (self.panel.arms.index(arm), None), str(arm), level, None)

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """At every visit the mean of each arm and each difference from control, with 95 % intervals."""
        return self.at_level(0.95)

    def at_level(self, level: float) -> tuple[Estimate, ...]:
        """The estimates with intervals of coverage ``level``."""
        return tuple(
            made
            for week in self.panel.weeks
            for made in (
                *(self.mean(a, week, level=level) for a in self.panel.arms),
                *(self.difference(week, arm=a, level=level) for a in self.panel.arms[1:]),
            )
        )

    def _keys(self) -> Sequence[Mapping[str, Any]]:
        return [{"week": float(week)} for week in self.panel.weeks for _ in range(2 * len(self.panel.arms) - 1)]

    def _backend(self) -> Any:
        return self.panel.backend

    def _drawn(self) -> Any:
        return self


def mi_ancova(
    data: Any,
    *,
    value: str = "CHG",
    subject: str = "USUBJID",
    visit: str = "AVISITN",
    arm: str = "TRT01P",
    control: Any = None,
    covariates: Sequence[str] = ("BASE",),
    impute_with: Sequence[str] | None = None,
    log: bool = False,
    baseline: str = "BASE",
    up_to: float | None = None,
    n_imputations: int = 20,
    burn_in: int = BURN_IN,
    seed: int = 0,
) -> MiAncova:
    """Impute one trial's repeated measures and analyse every visit by ANCOVA, pooled by Rubin's rules.

    Of more than two arms all are in one imputation model and one ANCOVA; each is compared with control, and any with
    another by ``difference(at, arm=..., versus=...)``.

    Parameters
    ----------
    data : long frame, one row a patient and visit, every randomised patient at least once; pandas, polars or pyarrow.
        Rows with ``visit`` of 0 or below are baseline.
    value : the change from baseline; with ``log``, the value in natural units, analysed as ln(value / baseline).
    covariates : of the ANCOVA. Numbers enter as they are, categories as indicators; LS means are at the observed means
        of all of them. With ``log``, give the logarithm of the baseline as a column of its own.
    impute_with : predictors of imputation besides the arm; default the covariates.
    up_to : last visit that takes part.

    Returns
    -------
    MiAncova

    Raises
    ------
    DataError : a column is absent, changes within a patient, or is not known for everyone.
    EstimationError : an option means nothing.
    """
    check_options(n_imputations, burn_in, seed)
    helpers = covariates if impute_with is None else impute_with
    panel = read_panel(
        data,
        value=value,
        subject=subject,
        visit=visit,
        arm=arm,
        control=control,
        covariates=tuple(dict.fromkeys([*covariates, *helpers])),
        baseline_value=baseline,
        log=log,
        up_to=up_to,
        several=True,
    )
    columns, names = panel.columns(covariates)
    if len(panel.arms) > 2:
        options = {"n_imputations": n_imputations, "burn_in": burn_in, "seed": seed}
        return MiAncova(panel, names, *_several(panel, columns, predictors_of(panel, helpers), options), log)
    visits, _, status, _, dropped = repeated.mi_ancova(
        panel.y[None],
        np.ones((1, panel.n), np.bool_),
        predictors_of(panel, helpers),
        np.column_stack([np.ones(panel.n), panel.arm, columns])[None],
        n_imputations=n_imputations,
        burn_in=burn_in,
        seed=seed,
    )
    table = visits[0, 0].reshape(-1, 3, 3)[:, [2, 0, 1]]
    return MiAncova(panel, names, table, status[0, 0], n_imputations, int(dropped[0]), log)


def _several(
    panel: Panel, columns: FloatArray, predictors: FloatArray, options: dict[str, int]
) -> tuple[FloatArray, IntArray, int, int]:
    """More than two arms: (visit, asked, 3) results and (visit,) status; imputations, and predictors left out.

    One imputation model and one ANCOVA of all arms, as the kernel has of two.
    """
    everyone = np.ones((1, panel.n), np.bool_)
    imputed = kernel.multiple_imputation(panel.y[None], everyone, predictors, **options)
    completed = kernel.complete(panel.y[None], *imputed)[0]
    m, n, n_visits = completed.shape
    rows, member = np.broadcast_to(np.arange(n), (m, n)), np.ones((m, n), np.bool_)
    estimate, error, df = least_squares(completed, panel.indicators, columns, rows, member)
    n_asked = estimate.shape[1] // n_visits
    status = np.zeros(n_visits, np.int8)
    spread = [np.fmax.reduce(np.ptp(completed[:, :, v], axis=1)) for v in range(n_visits)]
    for v in range(n_visits):
        mine = slice(v * n_asked, (v + 1) * n_asked)
        if imputed[0][0, kernel.BROKEN]:
            status[v] = int(Status.NOT_CONVERGED)
        elif panel.unseen(v) or np.isnan(completed[:, :, v]).any() or not df[0, 0] > 0.0:
            status[v] = int(Status.NO_DATA)
        elif np.isnan(estimate[:, mine]).any():
            status[v] = int(Status.SINGULAR)
        elif not spread[v] > 0.0 or (error[:, mine] <= 1e-12 * spread[v]).any():
            status[v] = int(Status.NO_VARIANCE)
    centre = estimate.mean(axis=0)
    m2 = ((estimate - centre) ** 2).sum(axis=0)
    m2[np.ptp(estimate, axis=0) <= 1e-12 * np.abs(estimate).max(axis=0)] = 0.0
    se, pooled = repeated.pool(m2, (error**2).mean(axis=0), m, df[0])
    table = np.stack([centre, se, pooled], axis=-1).reshape(n_visits, n_asked, 3)
    table[status != 0] = np.nan
    return table, status, m, int(imputed[0][0, kernel.DROPPED])
