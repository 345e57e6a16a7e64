"""The time-to-event method of a plan: Kaplan-Meier by arm, log-rank test, Cox model against the control arm."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl
from pydantic import Field, model_validator

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.formula import quoted
from equipoise.estimate.result import Estimate
from equipoise.plan import end_points
from equipoise.plan.compiled import AnyForm, Lowered, TimeToEvent
from equipoise.plan.key import Key
from equipoise.plan.methods import forms
from equipoise.plan.methods.described import arm_of, counted, described
from equipoise.plan.methods.diagnosed import diagnosed
from equipoise.plan.methods.estimates import P, against
from equipoise.plan.methods.event_data import EVENT, event_data, left_out, unit_of
from equipoise.plan.methods.registry import Found, Kernel, Method, Names, Place, Test
from equipoise.plan.parts import Section
from equipoise.plan.prepared import TEST, TOTAL, Prepared
from equipoise.plan.results import Block, Cell, Figure, Row, cell_of, share_of
from equipoise.plan.trial_estimates import TrialEstimates
from equipoise.types import REASONS, BoolArray, FloatArray, IntArray, Status

if TYPE_CHECKING:
    from equipoise.estimate.survival.cox_fit import CoxFit
    from equipoise.estimate.survival.kaplan_meier import KaplanMeier
    from equipoise.estimate.survival.log_rank import LogRank, MaxCombo
    from equipoise.plan.analysis_plan import Analysis
    from equipoise.trial import Trials


class SurvivalSection(Section):
    """Kaplan-Meier by arm, log-rank test and Cox model against the control arm; CNSR 0 is an event.

    ``entry``: time of coming under observation, for late entry. ``start``: the beginning of each interval (start,
    time] of data with several records a patient, as for covariates that change over time; CNSR is 0 in the one that
    ends by the event, and ``cluster: USUBJID`` gives the variance between patients. ``test``: ``fleming-harrington``
    takes the weights ``rho`` and ``gamma``, ``max-combo`` the largest of four. ``firth``: penalised hazard ratios,
    finite where an arm has no events. ``robust``: the sandwich variance, by ``cluster``. ``proportional_hazards``: a
    line with its test.
    ``diagnostics``: figures of the Cox model: residuals, influence, and coefficients over time.
    ``up_to``: followed to that time at most, who has had no event by then is censored there.
    ``scale`` of the intervals of the curves, ``unit`` of the times in the figure (that of AVALU where not given).
    """

    ESTIMATES = "survival"

    method: Literal["survival"]
    time: str = "AVAL"
    censor: str = "CNSR"
    entry: str | None = None
    start: str | None = None
    strata: tuple[str, ...] = ()
    covariates: tuple[str, ...] = ()
    level: float = Field(default=0.95, gt=0, lt=1)
    at: tuple[float, ...] = ()
    ties: Literal["efron", "breslow", "exact", "marginal"] = "efron"
    test: Literal["log-rank", "fleming-harrington", "max-combo"] | None = "log-rank"
    rho: float = Field(default=0.0, ge=0)
    gamma: float = Field(default=0.0, ge=0)
    robust: bool = False
    cluster: str | None = None
    firth: bool = False
    proportional_hazards: bool = False
    scale: Literal["log-log", "plain", "log", "logit", "arcsin"] = "log-log"
    decimals: int = Field(default=1, ge=0, le=6)
    unit: str | None = None
    axis_from: float = Field(default=0.0, ge=0, lt=100)
    up_to: float | None = Field(default=None, gt=0)
    diagnostics: bool = False

    @model_validator(mode="after")
    def _makes_sense(self) -> SurvivalSection:
        if (self.rho or self.gamma) and self.test != "fleming-harrington":
            raise ValueError("rho and gamma are weights of test: fleming-harrington")
        if self.test == "fleming-harrington" and not (self.rho or self.gamma):
            raise ValueError("test: fleming-harrington needs rho or gamma above 0")
        if self.entry is not None and self.test == "max-combo":
            raise ValueError("with late entry (entry:) there is no max-combo: use log-rank or fleming-harrington")
        if self.entry is not None and self.start is not None:
            raise ValueError("entry: is for one record a patient, start: for several; give one of them")
        return self


@dataclass(frozen=True)
class _Made:
    """What was fitted: records, curves by column, the test over the arms, the Cox model and that of its assumption.

    ratios : the hazard ratio of each other arm. proportional : chi-square, df and p, or why there are none.
    """

    data: pl.DataFrame
    curves: Mapping[str, KaplanMeier]
    test: LogRank | MaxCombo | None
    fit: CoxFit | None
    ratios: Mapping[str, Estimate]
    proportional: tuple[float, int, float] | str | None


def estimates(context: Prepared, section: SurvivalSection) -> Found:
    """Patients, events, median and survival at the times asked for, hazard ratios and the test over the arms.

    The interval of the median is on the log-log scale (as in SAS PROC LIFETEST) unless ``scale`` says otherwise, that
    of the hazard ratio Wald's (with ``firth`` of the profile likelihood).
    """
    from equipoise.estimate.survival.kaplan_meier import kaplan_meier

    data = event_data(context, section.where, section.time, section.censor, _needed(section), start=section.start)
    data = _cut(data, section)
    whole = data if section.start is None else _followed(context, section, data)
    curves: dict[str, KaplanMeier] = {}
    if data.height:
        options: dict[str, Any] = {
            "time": section.time,
            "event": EVENT,
            "entry": section.entry or section.start,
            "level": section.level,
            "scale": section.scale,
        }
        curves = {str(c.group): c for c in kaplan_meier(whole, arm=context.treatment, **options)}
        if context.analysis.total:
            curves[TOTAL] = kaplan_meier(whole, **options)[0]
        if section.start is not None:
            curves = {k: replace(c, n=context.of(data, k)["USUBJID"].n_unique()) for k, c in curves.items()}
    test = _test(context, section, whole) if section.test else None
    fit = _cox(context, section, data)
    own = () if fit is None else fit.at_level(section.level)
    terms = {f"{context.treatment}[T.{one}]": one for one in context.arms}
    ratios = {terms[e.name]: e for e in own if e.name in terms}
    proportional: tuple[float, int, float] | str | None = None
    if section.proportional_hazards and fit is not None and fit.status is Status.OK:
        try:
            proportional = fit.proportionality().overall
        except EstimationError as error:
            proportional = error.message
    made = _Made(data, curves, test, fit, {a: ratios[a] for a in context.arms if a in ratios}, proportional)
    numbers = _numbers(context, section, made)
    numbers |= {Place("hazard_ratio", variable=e.name): e for e in own if e.name not in terms}
    return Found(numbers, made)


def _needed(section: SurvivalSection) -> list[str]:
    return [name for name in (section.entry, *section.strata, *section.covariates, section.cluster) if name]


def _numbers(context: Prepared, section: SurvivalSection, made: _Made) -> dict[Place, Estimate]:
    patients = {c: made.curves[c].n if c in made.curves else 0 for c in context.counted()}
    events = {c: made.curves[c].events if c in made.curves else 0 for c in context.counted()}
    out = {Place("patients", arm_of(c)): Estimate.of_count(f"patients, {c}", n, n) for c, n in patients.items()}
    out |= counted("events", events, patients)
    out |= counted("censored", {c: n - events[c] for c, n in patients.items()}, patients)
    for column, curve in made.curves.items():
        out[Place("median", arm_of(column))] = curve.time_by(0.5)
        for time in section.at:
            *values, _ = curve.at(time)
            out[Place("survival", arm_of(column), f"{time:g}")] = described(
                f"event-free at {time:g}, {column}",
                f"{curve.estimator.title()} estimate, {curve.scale} limits",
                values,
                curve.n,
                level=section.level,
                scale="share",
            )
    if section.test:
        out[Place(section.test.replace("-", "_"))] = _tested(section, made.test)
    out |= {Place("hazard_ratio", arm): e for arm, e in made.ratios.items()}
    if isinstance(made.proportional, tuple):
        chi_square, df, p = made.proportional
        out[Place("proportional_hazards")] = Estimate.of_test(
            "proportional hazards",
            "test of proportional hazards",
            p,
            made.data.height,
            statistic=chi_square,
            df=float(df),
        )
    return out


def _tested(section: SurvivalSection, test: LogRank | MaxCombo | None) -> Estimate:
    """Events observed less expected for two arms; a p-value alone for more of them, and for the max-combo test."""
    from equipoise.estimate.survival.log_rank import LogRank

    if test is None:
        return Estimate.of_test("all arms", _named(section) + _within(section), math.nan, 0)
    if isinstance(test, LogRank) and len(test.groups) == 2:
        made = test.estimate(level=section.level)
        return replace(made, p=test.p) if made.estimable else made  # the table's p to the last digit
    statistic, df = (test.chi_square, float(test.df)) if isinstance(test, LogRank) else (test.statistic, math.nan)
    return Estimate.of_test(
        "all arms",
        _named(section) + _within(section),
        test.p,
        int(test.n.sum()),
        statistic=statistic,
        df=df,
        detail=None if test.status is Status.OK else test.reason,
    )


def lines(context: Prepared, section: SurvivalSection, found: Found) -> Block:
    """Lines of counts, medians, survival, hazard ratios and the p-value of the test; the curves as a figure."""
    made: _Made = found.parts
    rows = _curve_rows(context, section, made.curves)
    notes = [section.note] if section.note else []
    notes += left_out(context, section.where, section.time, section.censor, *_needed(section))
    said = ""
    if section.test:
        p, note, said = _test_cell(section, made.test)
        first = rows[0]
        rows[0] = Row(first.label, {**first.cells, TEST: p})
        notes += note
    ratios, more = _cox_rows(context, section, made)
    figures: tuple[Figure, ...] = ()
    if section.figure and made.curves:
        figures = (_figure(context, section, {k: c for k, c in made.curves.items() if k != TOTAL}, said),)
    block = Block(
        section.label or "Time to event",
        "survival",
        context.analysis.dataset,
        section.time,
        (*rows, *ratios),
        description=_description(context, section),
        notes=(*notes, *more),
        details={"records": made.data.height, "events": int(made.data[EVENT].sum()) if made.data.height else 0},
        figures=figures,
    )
    return diagnosed(block, made.fit, section.diagnostics, unit=unit_of(context, section.unit))


def _cut(data: pl.DataFrame, section: SurvivalSection) -> pl.DataFrame:
    """The data as they were known at ``up_to``."""
    if section.up_to is None:
        return data
    first = section.entry or section.start
    late = pl.lit(False) if first is None else pl.col(first) >= section.up_to
    over = pl.col(section.time) > section.up_to
    return data.filter(~late).with_columns(
        pl.when(over).then(0).otherwise(pl.col(EVENT)).alias(EVENT),
        pl.when(over).then(section.up_to).otherwise(pl.col(section.time)).alias(section.time),
    )


def _followed(context: Prepared, section: SurvivalSection, data: pl.DataFrame) -> pl.DataFrame:
    """One record for each time that a patient was followed without a gap.

    Raises
    ------
    DataError : there is to be a log-rank test, and someone is not followed from time 0 on without a gap, or changes
        stratum.
    """
    start, time = str(section.start), section.time
    ordered = data.sort("USUBJID", start, maintain_order=True)
    gap = (pl.col(start) > pl.col(time).shift(1).over("USUBJID")).fill_null(False).cast(pl.Int64)
    parts = ordered.with_columns(gap.cum_sum().over("USUBJID").alias("__part__"))
    keep = [pl.col(name).first() for name in dict.fromkeys([context.treatment, *section.strata])]
    whole = parts.group_by("USUBJID", "__part__", maintain_order=True).agg(
        *keep, pl.col(start).min(), pl.col(time).max(), pl.col(EVENT).max()
    )
    if section.test:
        late = whole.filter((pl.col(start) > 0) | (pl.col("__part__") > 0))
        if late.height:
            raise DataError(
                f"analysis {context.analysis.id}: {late['USUBJID'][0]} is not followed from time 0 on without a gap",
                hint="there is no log-rank test then: say test: null",
            )
        for name in section.strata:
            moved = data.group_by("USUBJID", maintain_order=True).agg(pl.col(name).n_unique().alias("n"))
            moved = moved.filter(pl.col("n") > 1)
            if moved.height:
                raise DataError(
                    f"analysis {context.analysis.id}: {name} of {moved['USUBJID'][0]} changes",
                    hint="there is no log-rank test within such strata: say test: null",
                )
    return whole


def _figure(context: Prepared, section: SurvivalSection, curves: Mapping[str, KaplanMeier], note: str) -> Figure:
    labels = context.plan.treatment.labels
    rows, legend = [], {}
    for group, c in curves.items():
        name = labels.get(group, group)
        median, low, high = (_written(v) for v in c.quantile(0.5))
        reached = f"median {median} ({low or 'NE'}; {high or 'NE'})" if median else "median not reached"
        legend[name] = f"{c.events} of {c.n} had the event, {reached}"
        rows += [
            {
                "group": name,
                "time": float(t),
                "survival": float(s),
                "low": _none(float(lo)),
                "high": _none(float(hi)),
                "at_risk": int(n),
                "censored": int(gone),
            }
            for t, s, lo, hi, n, gone in zip(c.time, c.survival, c.low, c.high, c.at_risk, c.censored_at, strict=True)
        ]
    options = {"unit": unit_of(context, section.unit), "legend": legend, "from_percent": section.axis_from}
    return Figure("kaplan_meier", section.label or "Time to event", tuple(rows), {**options, "note": note or None})


def _written(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.4g}"


def _description(context: Prepared, section: SurvivalSection) -> str:
    parts = [f"Kaplan-Meier estimates with {section.scale} intervals"]
    if section.up_to is not None:
        parts.append(f"followed to {section.up_to:g} at most")
    if section.entry:
        parts.append(f"at risk from {section.entry} on")
    if section.start:
        parts.append(f"several records a patient, at risk in ({section.start}, {section.time}]")
    if section.test:
        parts.append(f"p-value: {_named(section)}{_within(section)}")
    words = {"exact": "exact ties", "marginal": "ties by all their orders"}
    ties = words.get(section.ties, f"{section.ties.capitalize()}'s ties")
    robust = f", robust variance{f' by {section.cluster}' if section.cluster else ''}"
    parts.append(
        f"hazard ratios against {context.plan.treatment.reference}: Cox model with {ties}"
        + (f", covariates {', '.join(section.covariates)}" if section.covariates else "")
        + _within(section)
        + (", Firth's penalty and profile-likelihood intervals" if section.firth else "")
        + (robust if section.robust or section.cluster else "")
    )
    return "; ".join(parts)


def _named(section: SurvivalSection) -> str:
    if section.test == "fleming-harrington":
        return f"log-rank test with Fleming-Harrington weights ({section.rho:g}, {section.gamma:g})"
    return "max-combo test" if section.test == "max-combo" else "log-rank test"


def _within(section: SurvivalSection) -> str:
    return f" stratified by {', '.join(section.strata)}" if section.strata else ""


def _curve_rows(context: Prepared, section: SurvivalSection, curves: Mapping[str, KaplanMeier]) -> list[Row]:
    digits, percent = section.decimals, f"{100 * section.level:g}%"
    lines: dict[str, dict[str, Cell]] = {
        name: {} for name in ("n", "Events, n (%)", "Censored, n (%)", f"Median ({percent} CI)")
    }
    lines |= {f"Event-free at {t:g}, % ({percent} CI)": {} for t in section.at}
    labels = list(lines)
    for column in context.counted():
        curve = curves.get(column)
        n, events = (curve.n, curve.events) if curve is not None else (0, 0)
        lines[labels[0]][column] = Cell(str(n), {"n": float(n)}, {"n": str(n)})
        lines[labels[1]][column] = share_of(events, n)
        lines[labels[2]][column] = share_of(n - events, n)
        if curve is None:
            continue
        median, low, high = curve.quantile(0.5)
        found = {"median": _none(median), "low": _none(low), "high": _none(high)}
        lines[labels[3]][column] = cell_of(f"{{median:{digits}}} ({{low:{digits}}}; {{high:{digits}}})", found)
        for label, time in zip(labels[4:], section.at, strict=True):
            s, se, low, high, risk = curve.at(time)
            values = {"estimate": s, "se": se, "low": low, "high": high}
            shown = {k: _none(100.0 * v) for k, v in values.items()} | {"n": float(risk)}
            lines[label][column] = cell_of("{estimate:1} ({low:1}; {high:1})", shown)
    return [Row(label, cells) for label, cells in lines.items()]


def _none(value: float) -> float | None:
    return None if math.isnan(value) else value


def _formula(context: Prepared, section: SurvivalSection, covariates: bool) -> str:
    terms = map(quoted, [context.treatment, *(section.covariates if covariates else ())])
    strata = [f"strata({quoted(name)})" for name in section.strata]
    first = (section.entry or section.start) if covariates else section.entry
    times = f"{quoted(first)}, {quoted(section.time)}" if first else quoted(section.time)
    return f"Surv({times}, {EVENT}) ~ " + " + ".join([*terms, *strata])


def _test(context: Prepared, section: SurvivalSection, data: pl.DataFrame) -> LogRank | MaxCombo | None:
    """The test over the arms; None where fewer than two arms have records."""
    from equipoise.estimate.survival import log_rank, max_combo

    if data.height == 0 or data[context.treatment].n_unique() < 2:
        return None
    formula = _formula(context, section, False)
    if section.test != "max-combo":
        return log_rank(formula, data, rho=section.rho, gamma=section.gamma)
    if data[context.treatment].n_unique() > 2:
        raise DataError(
            f"analysis {context.analysis.id}: max-combo compares two arms", hint="list two arms, or use log-rank"
        )
    return max_combo(formula, data)


def _test_cell(section: SurvivalSection, test: LogRank | MaxCombo | None) -> tuple[Cell, list[str], str]:
    """The p-value, what is to be said of it, and how the figure says it."""
    from equipoise.estimate.survival.log_rank import MaxCombo

    name = _named(section)[0].upper() + _named(section)[1:]
    if test is None:
        return cell_of("{p:p4}", {}), [f"{name}: not estimable: fewer than two arms have records."], ""
    if isinstance(test, MaxCombo):
        found = {"p": _none(test.p), "statistic": _none(test.statistic), "df": None}
        reason = test.reason
    else:
        found = {"p": _none(test.p), "statistic": _none(test.chi_square), "df": float(test.df), "z": _none(test.z)}
        reason = REASONS[test.status]
    cell = cell_of("{p:p4}", found)
    if found["p"] is None:
        return cell, [f"{name}: {reason}."], ""
    return cell, [], f"{name}{_within(section)}: p {'' if cell.text.startswith('<') else '= '}{cell.text}"


def _cox(context: Prepared, section: SurvivalSection, data: pl.DataFrame) -> CoxFit | None:
    from equipoise.estimate.survival import cox

    if data.height == 0 or data[context.treatment].n_unique() < 2:
        return None
    return cox(
        _formula(context, section, True),
        data,
        ties=section.ties,
        firth=section.firth,
        cluster=section.cluster,
        robust=True if section.robust else None,
    )


def _cox_rows(context: Prepared, section: SurvivalSection, made: _Made) -> tuple[list[Row], list[str]]:
    if made.fit is None:
        return [], []
    label = f"Hazard ratio ({100 * section.level:g}% CI)"
    rows = [against(context, label, made.ratios), against(context, "p-value (Cox)", made.ratios, P)]
    reasons = dict.fromkeys(e.reason for e in made.ratios.values() if not e.estimable)
    said = [f"Hazard ratio: {n}." for n in reasons]
    if isinstance(made.proportional, str):
        said.append(f"Proportional hazards: {made.proportional}.")
    elif made.proportional is not None:
        chi_square, df, p = made.proportional
        shown = {"p": _none(p), "statistic": _none(chi_square), "df": float(df)}
        column = TEST if section.test else context.arms[-1]
        rows.append(Row("Proportional hazards, p-value", {column: cell_of("{p:p4}", shown)}))
    return rows, said


# --- many trials ----------------------------------------------------------------------------------------------------

WILCOXON_RHO = 1.0
"""The power of the Kaplan-Meier estimate that weighs the events in the Wilcoxon test (Peto & Peto 1972)."""


def kernel_test(section: SurvivalSection) -> str | None:
    """The test of times that a section is in a kernel: log-rank, Peto & Peto's Wilcoxon, or Cox without strata; None
    where it is none of them."""
    if not forms.only(section, "strata", "covariates", "up_to", "test", "rho") or section.up_to is None:
        return None
    if section.test == "log-rank":
        return "log_rank"
    if section.test == "fleming-harrington":
        return "wilcoxon" if (section.rho, section.covariates) == (WILCOXON_RHO, ()) else None
    return "cox" if section.test is None and not section.strata else None


def form(analysis: Analysis, place: int) -> Lowered | None:
    """What the kernels do of the sections of an analysis, all cut at the same time."""
    event = end_points.name_of(analysis.parameter or "")
    if analysis.dataset.upper() != "ADTTE" or event not in end_points.known() or analysis.where:
        return None
    places: dict[str, int] = {}
    for k, one in enumerate(analysis.sections, start=1):
        name = kernel_test(one) if isinstance(one, SurvivalSection) else None
        if name is not None:
            places.setdefault(name, k)
    if "log_rank" not in places:
        return None
    section: dict[str, Any] = {name: analysis.sections[k - 1] for name, k in places.items()}
    first = section["log_rank"]
    if "cox" not in places and not first.strata:
        places["cox"], section["cox"] = places["log_rank"], first
    if "cox" in places and section["cox"] is not first and first.covariates:
        return None
    if any(s.up_to != first.up_to for s in section.values()):
        return None
    if "wilcoxon" in places and section["wilcoxon"].strata != first.strata:
        return None
    how = {
        "week": first.up_to,
        "event": event,
        "strata": first.strata,
        "covariates": section["cox"].covariates if "cox" in places else (),
        "offers": tuple(t for t in TimeToEvent.TESTS if t in places),
    }
    return forms.lowered(analysis, {"kind": "time_to_event", **how}, places)


def times(trials: Trials, asked: TimeToEvent) -> tuple[FloatArray, BoolArray, BoolArray]:
    """(trial, subject) times, event indicators up to the analysis week, and membership of the analysis set."""
    time, happened = trials.times_to(asked.event)
    happened = happened & (time <= asked.week)
    return np.minimum(time, asked.week), happened, trials.members(asked.set)


def _stratum(trials: Trials, names: tuple[str, ...]) -> IntArray | None:
    """(trial, subject) codes of the combinations of ``names``."""
    code: IntArray | None = None
    for name in names:
        levels, own = np.unique(trials.baseline(name), return_inverse=True)
        own = own.reshape(trials.arm.shape).astype(np.int64)
        code = own if code is None else code * len(levels) + own
    return code


def block(trials: Trials, analysis: Analysis, found: Lowered) -> dict[Key, TrialEstimates]:
    """Log-rank and Wilcoxon tests within strata, and Cox regression, on every trial of a block.

    The number of a test of ranks is the (weighted) events observed on active less those expected.
    """
    from scipy import special

    from equipoise.estimate.survival.kernels.cox import cox
    from equipoise.estimate.survival.kernels.log_rank import log_rank

    asked = found.form
    assert isinstance(asked, TimeToEvent)
    time, event, members = times(trials, asked)
    out: dict[Key, TrialEstimates] = {}
    normal = np.full(len(trials), np.inf)

    def add(test: str, made: dict[str, Any], quantity: str, **place: Any) -> None:
        section: Any = analysis.sections[found.places[test] - 1]
        key = Key(quantity, analysis=analysis.id, section=found.places[test], **place)
        out[key] = TrialEstimates(df=normal, level=section.level, **made)

    for test, quantity, rho in (("log_rank", "log_rank", 0.0), ("wilcoxon", "fleming_harrington", WILCOXON_RHO)):
        if test not in found.places:
            continue
        stratum = _stratum(trials, asked.strata)
        observed, expected, variance, status = log_rank(
            time, event, trials.arm, include=members, stratum=stratum, rho=rho
        )
        excess = observed[:, 1] - expected[:, 1]
        with np.errstate(divide="ignore", invalid="ignore"):
            p = special.chdtrc(1.0, excess**2 / variance[:, 1, 1])
            se = np.sqrt(variance[:, 1, 1])
        p = np.where(status == Status.OK, p, np.nan)
        add(test, {"value": excess, "se": se, "p": p, "status": status}, quantity)
    if "cox" in found.places:
        parts = [trials.arm.astype(np.float64)] + [trials.baseline(name) for name in asked.covariates]
        beta, covariance, _, _, _, status = cox(time, event, np.stack(parts, axis=-1), include=members)
        for k, name in enumerate((None, *asked.covariates)):
            with np.errstate(divide="ignore", invalid="ignore"):
                se = np.sqrt(covariance[:, k, k])
                p = special.chdtrc(1.0, (beta[:, k] / se) ** 2)
            made = {"value": beta[:, k], "se": se, "p": p, "status": status, "ratio": True}
            add("cox", made, "hazard_ratio", **({"arm": trials.arms[1]} if name is None else {"variable": name}))
    for place in set(found.places.values()):
        for a, arm in enumerate(trials.arms):
            who = members & (trials.arm == a)
            counts = {"patients": who, "events": who & event, "censored": who & ~event}
            for quantity, these in counts.items():
                key = Key(quantity, analysis=analysis.id, section=place, arm=arm)
                out[key] = TrialEstimates.of_count(these.sum(axis=1))
    return out


def written(asked: AnyForm) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A form as sections."""
    assert isinstance(asked, TimeToEvent)
    strata = {"strata": list(asked.strata)} if asked.strata else {}
    own = {"covariates": list(asked.covariates)} if asked.covariates else {}
    together = "cox" in asked.offers and not asked.strata
    cut = {"up_to": asked.week}
    sections: list[dict[str, Any]] = [{"method": "survival", **cut, **strata, **(own if together else {})}]
    if "wilcoxon" in asked.offers:
        weighted = {"test": "fleming-harrington", "rho": 1, "figure": False}
        sections.append({"method": "survival", **cut, **strata, **weighted})
    if "cox" in asked.offers and not together:
        sections.append({"method": "survival", **cut, **own, "test": None, "figure": False})
    return {}, sections


TESTS = (
    Test("log_rank", "less", effect=False),
    Test("fleming_harrington", "less", effect=False),
    Test("max_combo", None),
    Test("hazard_ratio", "less"),
)
METHODS = (
    Method(
        "survival",
        SurvivalSection,
        estimates,
        lines,
        "Time-to-event analysis",
        noted=True,
        by_line=True,
        tests=TESTS,
        kernel=Kernel(form, block, lambda section: Names("", "hazard_ratio"), written),
    ),
)
