"""The slope form of ADAGIO: slopes of each period by random-slope models, the final difference by a mixed model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from equipoise.errors import DataError
from equipoise.estimate.delayed_start.batch import arm_columns, window_slopes
from equipoise.estimate.delayed_start.one_model import (
    SCALES,
    DelayedStartTest,
    by_model,
    followed_up,
    mixed_model,
    questions_of,
)
from equipoise.estimate.delayed_start.questions import ADAGIO, DELTA2, SLOPE1, SLOPE2, Criteria, weights
from equipoise.estimate.panel import Panel, read_panel
from equipoise.estimate.result import Estimate, check_level
from equipoise.types import REASONS, Status


def delayed_start_slopes(
    data: Any,
    *,
    period_end: float,
    at: float,
    margin: float,
    first_window: tuple[float, float] | None = None,
    second_window: tuple[float, float] | None = None,
    value: str = "CHG",
    subject: str = "USUBJID",
    visit: str = "AVISITN",
    arm: str = "TRT01P",
    control: Any = None,
    covariates: Sequence[str] = ("BASE",),
    alpha: float = 0.025,
    alpha_third: float = 0.05,
    structure: str = "us",
    fallback: Sequence[str] = (),
    df: str = "kenward-roger-linear",
    level: float = 0.95,
    estimand: str | None = None,
) -> DelayedStartTest:
    """The three hypotheses of ADAGIO in their order: slopes of period 1, final difference, slopes of period 2.

    Q1: the early start's slope over ``first_window`` is better. Q2: its change from baseline ``at`` the end of period 2
    is. Q3: its slope over ``second_window`` is not worse by ``margin`` or more. Slopes come from a model with a random
    intercept and slope for every patient, one for each window (random intercept alone where slopes do not vary), the
    final difference from the repeated-measures model of all visits of both periods, in which patients who did not enter
    period 2 count as missing at random.

    Parameters
    ----------
    first_window, second_window : first and last week of the visits whose slopes are compared (in ADAGIO weeks 12 to
    36 and 48
        to 72, after the effect on symptoms has set in); default all visits of the period.
    margin : of Q3, in points a unit of ``visit``, 0 or more.
    df : ``kenward-roger``, ``kenward-roger-linear`` or ``satterthwaite``.
    The rest as in :func:`equipoise.estimate.delayed_start.delayed_start`. Higher values are better.

    Raises
    ------
    DataError, EstimationError : as there; fewer than two visits in a window.
    """
    criteria = Criteria(alpha, alpha_third, "slope", margin=margin, first="slope")
    check_level(level)
    panel = read_panel(
        data,
        value=value,
        subject=subject,
        visit=visit,
        arm=arm,
        control=control,
        covariates=tuple(covariates),
        up_to=at,
    )
    last = float(panel.weeks[panel.weeks <= at + 1e-9][-1])
    one = (0.0, period_end) if first_window is None else first_window
    two = (float(np.nextafter(period_end, np.inf)), last) if second_window is None else second_window
    windows = [_checked(panel, window) for window in (one, two)]
    wanted = weights(
        panel.weeks, period_end=period_end, week=at, fraction=1.0, slope_weeks=None, first_slope_weeks=None
    )
    fit = mixed_model(panel, covariates, False, "", structure, fallback, df)
    final = by_model(fit, panel, {DELTA2: wanted[DELTA2]}, False, criteria=criteria, level=level, estimand=estimand)
    estimates = {
        SLOPE1: _slope(panel, covariates, windows[0], SLOPE1, df, level, estimand),
        DELTA2: final[DELTA2],
        SLOPE2: _slope(panel, covariates, windows[1], SLOPE2, df, criteria.level_of(SLOPE2, level), estimand),
    }
    return DelayedStartTest(
        questions_of(estimates, criteria, period_end, at),
        estimates,
        followed_up(panel, period_end, at),
        "missing at random",
        fit,
        panel.backend,
    )


def _checked(panel: Panel, window: tuple[float, float]) -> tuple[float, float]:
    """First and last visit within a window; raises for fewer than two."""
    inside = panel.weeks[(panel.weeks >= window[0] - 1e-9) & (panel.weeks <= window[1] + 1e-9)]
    if len(inside) < 2:
        raise DataError(
            f"{len(inside)} visits between weeks {window[0]:g} and {window[1]:g}",
            hint="a slope needs two: visits are at weeks " + ", ".join(f"{w:g}" for w in panel.weeks),
        )
    return float(inside[0]), float(inside[-1])


def _slope(
    panel: Panel,
    covariates: Sequence[str],
    window: tuple[float, float],
    name: str,
    df: str,
    level: float,
    estimand: str | None,
) -> Estimate:
    """Difference of slopes, early minus delayed, over a window."""
    columns, _ = panel.columns(covariates)
    y, arm = panel.y[None], panel.arm[None]
    x = arm_columns(y, arm, columns[None], None)
    estimate, se, dof, code, plain = window_slopes(y, x, panel.weeks, window, df)
    inside = (panel.weeks >= window[0] - 1e-9) & (panel.weeks <= window[1] + 1e-9)
    seen = (~np.isnan(panel.y[:, inside])).any(axis=1)
    status, detail = Status(int(code[0])), None
    if min((seen & (panel.arm == a)).sum() for a in (0.0, 1.0)) == 0:
        status, detail = Status.EMPTY_ARM, "not estimable: an arm has nobody in the window"
    elif status is not Status.OK:
        detail = f"not estimable: {REASONS[status].removeprefix('not estimable: ')}"
    return Estimate.from_t(
        f"{name}, early - delayed start, weeks {window[0]:g} to {window[1]:g}",
        "random-intercept model" if plain[0] else "random-slope model",
        float(estimate[0]),
        float(se[0]),
        float(dof[0]),
        int(seen.sum()),
        level=level,
        scale=SCALES[name],
        estimand=estimand,
        status=status,
        detail=detail,
        references=(ADAGIO, "Laird & Ware 1982, Biometrics 38:963"),
    )
