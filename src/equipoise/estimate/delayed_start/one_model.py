"""The three questions of one model over both periods, for one trial from a data frame."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
import polars as pl

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.columns import numbers
from equipoise.estimate.delayed_start.questions import (
    CHANGE,
    DELTA1,
    DELTA2,
    LIU_SEIFERT,
    PRESERVED,
    SLOPE1,
    SLOPE2,
    Criteria,
    Question,
    in_order,
    weights,
)
from equipoise.estimate.fit import Fit
from equipoise.estimate.frames import require
from equipoise.estimate.linear.clda import clda
from equipoise.estimate.linear.mmrm import mmrm
from equipoise.estimate.linear.mmrm.result import REFERENCES, MmrmFit
from equipoise.estimate.missing import Bayes, imputation_draws
from equipoise.estimate.missing.analyses import DIFFERENCE, CompletedBlock, CompletedResults, Quantity, least_squares
from equipoise.estimate.missing.events import strategy_named
from equipoise.estimate.missing.methods import Method
from equipoise.estimate.panel import Panel, read_panel
from equipoise.estimate.result import Estimate, check_level
from equipoise.types import FloatArray, Status

SCALES = {
    DELTA1: "difference",
    DELTA2: "difference",
    CHANGE: "change of the difference",
    PRESERVED: "difference kept beyond the fraction",
    SLOPE1: "difference in slope",
    SLOPE2: "difference in slope",
}


@dataclass(frozen=True, eq=False)
class DelayedStartTest(Fit):
    """A delayed-start trial by one model.

    questions : Q1, Q2, Q3 in the order in which they are tested. named : ``delta1``, ``delta2`` (early minus
    delayed at the end of each period), ``change`` (``delta2 - delta1``), ``preserved`` (``delta2 - fraction delta1``)
    and, over visits of a period, ``slope1`` and ``slope2`` (a unit of time); what Q3 is about has the interval of its
    one-sided test.
    followed : name of a stage -> (delayed, early) patients. strategy : how those not seen in period 2 are dealt with.
    fit : the repeated-measures model; None where data were imputed.
    """

    questions: tuple[Question, ...]
    named: Mapping[str, Estimate]
    followed: Mapping[str, tuple[int, int]]
    strategy: str
    fit: MmrmFit | None
    backend: Any

    @property
    def disease_modification(self) -> bool:
        """Whether all three questions are answered yes."""
        return all(q.met for q in self.questions)

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """The quantities, in the order of ``named``."""
        return tuple(self.named.values())

    def _keys(self) -> Sequence[Mapping[str, Any]]:
        return [{"quantity": name} for name in self.named]

    def _title(self) -> str:
        return f"Delayed start, {self.strategy}"

    def _facts(self) -> Iterable[tuple[str, str]]:
        return ((q.key, q.to_sentence()) for q in self.questions)

    def to_sentence(self) -> str:
        """The questions with their answers, and what follows."""
        verdict = (
            "All three are answered yes, as a slowing of the disease predicts."
            if self.disease_modification
            else "The three are not all answered yes: no claim of disease modification."
        )
        return " ".join([*(q.to_sentence() for q in self.questions), verdict])


def questions_of(
    estimates: Mapping[str, Estimate], criteria: Criteria, period_end: float, week: float
) -> tuple[Question, ...]:
    """The questions asked of estimates by name."""
    words = criteria.words(f"week {period_end:g}", f"week {week:g}", "points a week")
    return in_order(
        [
            (f"Q{k + 1}", words[k], estimates[name], criteria.margins[k], criteria.alphas[k])
            for k, name in enumerate(criteria.asked)
        ]
    )


def followed_up(panel: Panel, period_end: float, week: float) -> dict[str, tuple[int, int]]:
    """(delayed, early) patients randomised, and seen in each period and at the end of each."""
    seen = ~np.isnan(panel.y)
    late = panel.weeks > period_end + 1e-9
    stages = {
        "randomised": np.ones(panel.n, np.bool_),
        "seen after baseline": seen.any(axis=1),
        f"seen at week {period_end:g}": seen[:, panel.at(period_end)],
        "seen in period 2": seen[:, late].any(axis=1),
        f"seen at week {week:g}": seen[:, panel.at(week)],
    }
    return {k: (int((v & (panel.arm == 0)).sum()), int((v & (panel.arm == 1)).sum())) for k, v in stages.items()}


@dataclass(frozen=True, eq=False)
class _Functionals:
    """ANCOVA of linear functions of the visits, on completed data: one a quantity."""

    weights: FloatArray
    names: tuple[str, ...]
    covariates: tuple[str, ...]
    label = "ANCOVA of linear functions of the visits"
    references = (LIU_SEIFERT,)

    def quantities(self, panel: Panel) -> list[Quantity]:
        panel.columns(self.covariates)
        made = []
        for name in self.names:
            made.append(Quantity(name, math.nan, DIFFERENCE, SCALES[name]))
            made.extend(Quantity(name, math.nan, "mean", "mean", arm) for arm in panel.arms)
        return made

    def run(self, block: CompletedBlock) -> CompletedResults:
        columns, _ = block.panel.columns(self.covariates)
        return least_squares(block.y @ self.weights.T, block.panel.arm, columns, block.who, block.member)

    def reason(self) -> str:
        return "an arm is empty or there are fewer patients than coefficients"


def delayed_start(
    data: Any,
    *,
    period_end: float,
    at: float,
    value: str = "CHG",
    subject: str = "USUBJID",
    visit: str = "AVISITN",
    arm: str = "TRT01P",
    control: Any = None,
    covariates: Sequence[str] = ("BASE",),
    third: str = "preserved",
    fraction: float = 0.5,
    margin: float | None = None,
    slope_weeks: Sequence[float] | None = None,
    first_slope_weeks: Sequence[float] | None = None,
    alpha: float = 0.025,
    alpha_third: float = 0.05,
    strategy: str = "MAR",
    method: Method | None = None,
    constrained: bool = False,
    baseline: str = "BASE",
    structure: str = "us",
    fallback: Sequence[str] = (),
    df: str = "kenward-roger-linear",
    seed: int = 0,
    level: float = 0.95,
    estimand: str | None = None,
) -> DelayedStartTest:
    """Ask the three questions of one model of all visits of both periods, with every randomised patient.

    Parameters
    ----------
    data : long frame of both periods, one row a patient and visit, every randomised patient at least once; pandas,
    polars or
        pyarrow. Rows with ``visit`` of 0 or below are baseline. Higher values of ``value`` are better: change the
        sign of others.
    period_end, at : the ends of period 1 and of period 2, in the unit of ``visit``.
    arm : as randomised; ``control`` is the delayed start, default the first level.
    covariates : with a coefficient at every visit; known for everyone.
    third, fraction, margin : what Q3 asks. ``preserved``: ``delta2 - fraction delta1 > 0`` (Liu-Seifert et al. 2015).
        ``difference``: ``delta2 - delta1 > -margin``. ``slope``: early minus delayed slope over period 2 above
        ``-margin``.
    slope_weeks, first_slope_weeks : visits of the slopes, default all visits of period 2 and of period 1.
    alpha, alpha_third : one-sided levels of Q1 and Q2, and of Q3.
    strategy : what is assumed of patients not seen in period 2. ``MAR``: what happened to them is as for the others of
        their arm with their history, by the mixed model. ``JR``, ``CR``, ``CIR`` or ``LMCF``: their visits of period
        2 are imputed with the delayed start as the reference
        (:func:`equipoise.estimate.missing.imputation_draws`), and ANCOVA pooled over imputations. Other missing
        visits are always missing at random.
    method : of imputation, default :class:`equipoise.estimate.missing.Bayes` where one is needed; with
    ``strategy='MAR'``
        it asks for imputation in place of the mixed model.
    constrained : take the baseline as a response with one mean for both arms (the constrained longitudinal model), so
    that
        those seen at baseline alone count too; ``baseline`` is its column, known for everyone, and not a covariate.
    structure, fallback, df : of the mixed model, as in :func:`equipoise.estimate.linear.mmrm.mmrm`.

    Returns
    -------
    DelayedStartTest. What cannot be estimated says why.

    Raises
    ------
    DataError, EstimationError : a column is absent, a visit is not there, or an option means nothing.

    Notes
    -----
    Deaths are missing visits like others here: the mixed model, and imputation, describe what would have been seen had
    nobody died. The joint rank test does not.

    Examples
    --------
    >>> import numpy as np, polars as pl
    >>> g = np.random.default_rng(3)
    >>> rows = [(i, w, "early" if i % 2 else "late", 0.06 * min(w, 24) * (i % 2) - 0.2 * w + u + float(g.normal()))
    ...         for i in range(120) for u in [float(g.normal())] for w in (12, 24, 36, 48)]
    >>> data = pl.DataFrame(rows, schema=["USUBJID", "AVISITN", "TRT01P", "CHG"], orient="row")
    >>> made = delayed_start(data, period_end=24, at=48, control="late", covariates=[])
    >>> [q.met for q in made.questions], made.disease_modification
    ([True, True, True], True)
    """
    criteria = Criteria(alpha, alpha_third, third, fraction, margin)
    check_level(level)
    chosen = strategy_named(strategy)
    if chosen.name in ("COMPOSITE", "HYPOTHETICAL"):
        raise EstimationError(
            f"strategy {strategy!r} for patients who did not enter period 2", hint="choose MAR, JR, CR, CIR or LMCF"
        )
    if constrained and baseline in covariates:
        raise EstimationError(f"{baseline!r} is both a covariate and a response", hint="leave it out of the covariates")
    panel = read_panel(
        data,
        value=value,
        subject=subject,
        visit=visit,
        arm=arm,
        control=control,
        covariates=tuple(dict.fromkeys([*covariates, *([baseline] if constrained else [])])),
        up_to=at,
    )
    wanted = weights(
        panel.weeks,
        period_end=period_end,
        week=at,
        fraction=fraction,
        slope_weeks=slope_weeks,
        first_slope_weeks=first_slope_weeks,
    )
    if third == "slope" and SLOPE2 not in wanted:
        raise DataError("a slope over fewer than two visits of period 2", hint="ask third='preserved' or 'difference'")
    imputed = chosen.name != "MAR" or method is not None
    if imputed and constrained:
        raise EstimationError("constrained=True with imputation", hint="the constrained model is for strategy='MAR'")
    options: dict[str, Any] = {"criteria": criteria, "level": level, "estimand": estimand}
    fit: MmrmFit | None = None
    if imputed:
        estimates = _by_imputation(
            data,
            panel,
            wanted,
            chosen.name,
            method or Bayes(),
            period_end,
            tuple(covariates),
            seed,
            names={
                "value": value,
                "subject": subject,
                "visit": visit,
                "arm": arm,
                "control": panel.arms[0],
                "up_to": at,
            },
            **options,
        )
    else:
        fit = mixed_model(panel, covariates, constrained, baseline, structure, fallback, df)
        estimates = by_model(fit, panel, wanted, constrained, **options)
    words = {
        "MAR": "missing at random",
        **{k: f"imputed by {k}, delayed start as the reference" for k in ("JR", "CR", "CIR", "LMCF")},
    }[chosen.name]
    return DelayedStartTest(
        questions_of(estimates, criteria, period_end, at),
        estimates,
        followed_up(panel, period_end, at),
        words,
        fit,
        panel.backend,
    )


def mixed_model(
    panel: Panel,
    covariates: Sequence[str],
    constrained: bool,
    baseline: str,
    structure: str,
    fallback: Sequence[str],
    df: str,
) -> MmrmFit:
    """The repeated-measures model of all visits; the columns of its frame are ID, WEEK, ARM, Y, X0, X1 ..."""
    columns, _ = panel.columns(covariates)
    columns = columns - columns.mean(axis=0)  # about any origin the differences are the same
    y, weeks = panel.y, panel.weeks
    if constrained:
        require(panel.baseline, [baseline])
        base = numbers(panel.baseline, baseline)
        y = np.column_stack([base, y + base[:, None]])
        weeks = np.r_[0.0, weeks]
    n, m = y.shape
    frame = pl.DataFrame(
        {
            "ID": np.repeat(np.arange(n), m),
            "WEEK": np.tile(weeks, n),
            "ARM": pl.Series(
                np.repeat(np.where(panel.arm == 1.0, "early", "delayed"), m), dtype=pl.Enum(["delayed", "early"])
            ),
            "Y": np.where(np.isnan(y), np.nan, y).ravel(),
            **{f"X{j}": np.repeat(columns[:, j], m) for j in range(columns.shape[1])},
        }
    ).with_columns(pl.col("Y").fill_nan(None))
    by_visit = " + ".join(f"X{j} * C(WEEK)" for j in range(columns.shape[1]))
    term = f"{structure}(WEEK | ID)"
    if constrained:
        fixed = " + ".join(f"X{j}" for j in range(columns.shape[1]))
        return clda(
            f"Y ~ {fixed + ' + ' if fixed else ''}{term}", frame, arm="ARM", baseline=0, df=df, fallback=fallback
        )
    formula = f"Y ~ {by_visit + ' + ' if by_visit else ''}ARM * C(WEEK) + {term}"
    return mmrm(formula, frame, df=df, fallback=fallback)


def by_model(
    fit: MmrmFit,
    panel: Panel,
    wanted: Mapping[str, FloatArray],
    constrained: bool,
    *,
    criteria: Criteria,
    level: float,
    estimand: str | None,
) -> dict[str, Estimate]:
    """Contrasts of the differences at the visits."""
    main = "ARM[T.early]"
    named = {frozenset(name.split(":")): name for name in fit.names}
    gone = [v for v in range(len(panel.weeks)) if panel.unseen(v)]
    rows: dict[str, dict[str, float]] = {}
    unseen: set[str] = set()
    for name, w in wanted.items():
        terms = {} if constrained or main not in fit.names else {main: float(w.sum())}
        if (w[gone] != 0.0).any() or not (constrained or terms):
            unseen.add(name)
        for week, weight in zip(panel.weeks, w, strict=True):
            if not constrained and week == fit.visits[0]:
                continue  # the reference visit: the arm's own coefficient is its difference
            called = int(week) if float(week).is_integer() else float(week)
            term = named.get(frozenset({main, f"C(WEEK)[T.{called}]"}))
            if term is not None:
                terms[term] = float(weight)
            elif weight != 0.0:
                unseen.add(name)
        rows[name] = terms or dict.fromkeys(fit.names[:1], 0.0)
    made = {}
    table = nw.from_native(fit.contrasts(rows).to_frame())
    columns = {key: table.get_column(key).to_list() for key in ("estimate", "se", "df")}
    for k, name in enumerate(wanted):
        estimate, se, dof = (float(columns[key][k]) for key in ("estimate", "se", "df"))
        status, detail = fit.status, None
        if not fit.converged:
            detail = "not estimable: " + "; ".join(f"{s}: {w}" for s, w in fit.attempts)
        elif name in unseen or not (math.isfinite(estimate) and math.isfinite(se)):
            status = Status.NO_DATA if gone else Status.SINGULAR
            detail = (
                f"not estimable: an arm has nobody at week {', '.join(f'{panel.weeks[v]:g}' for v in gone)}"
                if gone
                else "not estimable: the covariates determine the arm, or the variance is not positive"
            )
        made[name] = Estimate.from_t(
            f"{name}, early - delayed start",
            f"MMRM over both periods, {fit.structure} covariance{', constrained baseline' if constrained else ''}, "
            f"{fit.df_method}",
            estimate,
            se,
            dof,
            fit.n_subjects,
            level=criteria.level_of(name, level),
            scale=SCALES[name],
            estimand=estimand,
            status=status,
            detail=detail,
            references=(LIU_SEIFERT, REFERENCES["mmrm"], REFERENCES[fit.df_method]),
        )
    return made


def _by_imputation(
    data: Any,
    panel: Panel,
    wanted: Mapping[str, FloatArray],
    strategy: str,
    method: Method,
    period_end: float,
    covariates: tuple[str, ...],
    seed: int,
    *,
    names: Mapping[str, Any],
    criteria: Criteria,
    level: float,
    estimand: str | None,
) -> dict[str, Estimate]:
    """Who was not seen in period 2 is imputed by the strategy from its first visit on, others at random; ANCOVA."""
    late = panel.weeks > period_end + 1e-9
    absent = ~(~np.isnan(panel.y[:, late])).any(axis=1)
    ice = None
    if strategy != "MAR" and absent.any():
        first = float(panel.weeks[late][0])
        who = [panel.subjects[i] for i in np.flatnonzero(absent)]
        ice = nw.from_dict({names["subject"]: who, "FIRST": [first] * len(who)}, backend=panel.backend).to_native()
    draws = imputation_draws(
        data, ice, method=method, covariates=covariates, ice_visit="FIRST", strategy=strategy, seed=seed, **names
    )
    analysis = _Functionals(np.array(list(wanted.values())), tuple(wanted), covariates)
    completed = draws.impute()
    made: dict[str, Estimate] = {}
    for name in wanted:
        result = completed.analyse(analysis, level=criteria.level_of(name, level), estimand=estimand)
        k = next(i for i, q in enumerate(result.quantities) if q.name == name)
        made[name] = result.estimates[k]
    return made
