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
    """(1, subject, q) predictors of the imputation model: intercept, arm and covariates."""
    columns, _ = panel.columns(names)
    return np.column_stack([np.ones(panel.n), panel.arm, columns])[None]


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
        data, value=value, subject=subject, visit=visit, arm=arm, control=control, covariates=impute_with
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

    visits : (visit, N_STATS) LS mean, standard error and df of control and active, and of their difference.
    status : (visit,) codes of :class:`equipoise.types.Status`. covariates : design columns after intercept and arm.
    log : the outcome was analysed as a log ratio to baseline, so that results are ratios.
    dropped : predictors the imputation had to do without, over all visits.
    """

    picture = "ls_means"

    panel: Panel
    covariates: tuple[str, ...]
    visits: FloatArray
    status: IntArray
    n_imputations: int
    log: bool
    dropped: int

    def _estimate(self, week: float, position: int, name: str, level: float, estimand: str | None) -> Estimate:
        v = self.panel.at(week)
        value, se, df = (float(x) for x in self.visits[v, position : position + 3])
        status, detail = self._state(v)
        mean = position != repeated.DIFFERENCE
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

    def difference(self, at: float, *, level: float = 0.95, estimand: str | None = None) -> Estimate:
        """Active minus control ``at`` a week (ratio of geometric means where ``log``)."""
        control, active = self.panel.arms
        sign = "/" if self.log else "-"
        return self._estimate(at, repeated.DIFFERENCE, f"{active} {sign} {control}", level, estimand)

    def mean(self, arm: Any, at: float, *, level: float = 0.95) -> Estimate:
        """LS mean of an arm ``at`` a week, covariates at their observed means (geometric mean ratio where ``log``)."""
        if arm not in self.panel.arms:
            raise EstimationError(f"no arm {arm!r}", hint="arms are " + ", ".join(map(str, self.panel.arms)))
        position = (repeated.CONTROL, repeated.ACTIVE)[self.panel.arms.index(arm)]
        return self._estimate(at, position, str(arm), level, None)

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """At every visit the mean of each arm and the difference, with 95 % intervals."""
        return self.at_level(0.95)

    def at_level(self, level: float) -> tuple[Estimate, ...]:
        """The estimates with intervals of coverage ``level``."""
        return tuple(
            made
            for week in self.panel.weeks
            for made in (
                *(self.mean(a, week, level=level) for a in self.panel.arms),
                self.difference(week, level=level),
            )
        )

    def _keys(self) -> Sequence[Mapping[str, Any]]:
        return [{"week": float(week)} for week in self.panel.weeks for _ in range(3)]

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
    )
    columns, names = panel.columns(covariates)
    visits, _, status, _, dropped = repeated.mi_ancova(
        panel.y[None],
        np.ones((1, panel.n), np.bool_),
        predictors_of(panel, helpers),
        np.column_stack([np.ones(panel.n), panel.arm, columns])[None],
        n_imputations=n_imputations,
        burn_in=burn_in,
        seed=seed,
    )
    return MiAncova(panel, names, visits[0, 0], status[0, 0], n_imputations, log, int(dropped[0]))
