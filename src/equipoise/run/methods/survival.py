"""The time-to-event method of a plan: Kaplan-Meier by arm, log-rank test, Cox model against the control arm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import polars as pl
from pydantic import Field, model_validator

from equipoise.errors import DataError, EstimationError
from equipoise.run.analysis_context import TEST, TOTAL, Context, in_order
from equipoise.run.analysis_results import Block, Cell, Figure, Row, cell_of, share_of
from equipoise.run.methods.estimates import values_of
from equipoise.run.methods.registry import Entry
from equipoise.run.plan_parts import Section, Where
from equipoise.types import Status

EVENT = "EVENT__"
"""The column that is 1 for an event."""


class SurvivalSection(Section):
    """Kaplan-Meier by arm, log-rank test and Cox model against the control arm; CNSR 0 is an event.

    ``entry``: time of coming under observation, for late entry. ``test``: ``fleming-harrington`` takes the weights
    ``rho`` and ``gamma``, ``max-combo`` the largest of four. ``firth``: penalised hazard ratios, finite where an arm
    has no events. ``robust``: the sandwich variance, by ``cluster``. ``proportional_hazards``: a line with its test.
    ``scale`` of the intervals of the curves, ``unit`` of the times in the figure (that of AVALU where not given).
    """

    ESTIMATES = "survival"

    method: Literal["survival"]
    time: str = "AVAL"
    censor: str = "CNSR"
    entry: str | None = None
    strata: tuple[str, ...] = ()
    covariates: tuple[str, ...] = ()
    level: float = Field(default=0.95, gt=0, lt=1)
    at: tuple[float, ...] = ()
    ties: Literal["efron", "breslow", "exact"] = "efron"
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

    @model_validator(mode="after")
    def _makes_sense(self) -> SurvivalSection:
        if (self.rho or self.gamma) and self.test != "fleming-harrington":
            raise ValueError("rho and gamma are weights of test: fleming-harrington")
        if self.test == "fleming-harrington" and not (self.rho or self.gamma):
            raise ValueError("test: fleming-harrington needs rho or gamma above 0")
        if self.entry is not None and self.test is not None:
            raise ValueError("with late entry (entry:) there is no log-rank test: say test: null")
        return self


def survival(context: Context, section: SurvivalSection) -> Block:
    """Patients, events, median and survival at the times asked for, hazard ratios and the log-rank test.

    The interval of the median is on the log-log scale (as in SAS PROC LIFETEST) unless ``scale`` says otherwise, that
    of the hazard ratio Wald's (with ``firth`` of the profile likelihood).
    """
    from equipoise.estimate.kaplan_meier import kaplan_meier

    data = event_data(context, section.where, section.time, section.censor,
                      (*((section.entry,) if section.entry else ()), *section.strata, *section.covariates,
                       *((section.cluster,) if section.cluster else ())))  # fmt: skip
    curves: dict[str, Any] = {}
    if data.height:
        options: dict[str, Any] = {"time": section.time, "event": EVENT, "entry": section.entry,
                                   "level": section.level, "scale": section.scale}  # fmt: skip
        curves = {str(c.group): c for c in kaplan_meier(data, by=context.treatment, **options)}
        if context.analysis.total:
            curves[TOTAL] = kaplan_meier(data, **options)[0]
    rows = _curve_rows(context, section, curves)
    notes = [section.note] if section.note else []
    said = ""
    if section.test:
        p, note, said = _test(context, section, data)
        first = rows[0]
        rows[0] = Row(first.label, {**first.cells, TEST: p})
        notes += note
    ratios, more = _cox(context, section, data)
    figures: tuple[Figure, ...] = ()
    if section.figure and curves:
        figures = (_figure(context, section, {k: c for k, c in curves.items() if k != TOTAL}, said),)
    return Block(
        section.label or "Time to event",
        "survival",
        context.analysis.dataset,
        section.time,
        (*rows, *ratios),
        description=_description(context, section),
        notes=(*notes, *more),
        details={
            "records": data.height,
            "events": int(data[EVENT].sum()) if data.height else 0,
            "events_by": {a: int(curves[a].events) if a in curves else 0 for a in context.arms},
        },
        figures=figures,
    )


def event_data(
    context: Context, where: Where, time: str, censor: str, more: Sequence[str] = (), *, numeric: bool = True
) -> pl.DataFrame:
    """One complete record a patient: arm in the plan's order, time, censoring, ``more``, and 1 for an event.

    Raises
    ------
    DataError : a variable is not there or no number, or a patient has more than one record.
    """
    frame = context.chosen(where)
    context.need(frame, time, numeric=True)
    context.need(frame, censor, numeric=numeric)
    for name in (*more, "USUBJID"):
        context.need(frame, name)
    doubled = frame.filter(pl.col("USUBJID").is_duplicated())
    if doubled.height:
        raise DataError(
            f"analysis {context.analysis.id}: {doubled['USUBJID'][0]} has more than one record",
            hint="see where: in the plan",
        )
    names = [context.treatment, time, censor, *more]
    data = in_order(context, frame.select(list(dict.fromkeys(names))).drop_nulls())
    return data.with_columns((pl.col(censor) == 0).cast(pl.Int64).alias(EVENT)) if numeric else data


def unit_of(context: Context, given: str | None) -> str:
    """The unit of the times: as given, or as AVALU says, or just times."""
    if given is not None or "AVALU" not in context.records.columns:
        return given or "time"
    found = context.records["AVALU"].drop_nulls().unique().to_list()
    return str(found[0]).lower() if len(found) == 1 else "time"


def _figure(context: Context, section: SurvivalSection, curves: dict[str, Any], note: str) -> Figure:
    labels = context.plan.treatment.labels
    rows, legend = [], {}
    for group, c in curves.items():
        name = labels.get(group, group)
        median, low, high = (_written(v) for v in c.quantile(0.5))
        reached = f"median {median} ({low or 'NE'}; {high or 'NE'})" if median else "median not reached"
        legend[name] = f"{c.events} of {c.n} had the event, {reached}"
        rows += [
            {"group": name, "time": float(t), "survival": float(s), "low": _none(float(lo)), "high": _none(float(hi)),
             "at_risk": int(n), "censored": int(gone)}
            for t, s, lo, hi, n, gone in zip(c.time, c.survival, c.low, c.high, c.at_risk, c.censored_at, strict=True)
        ]  # fmt: skip
    options = {"unit": unit_of(context, section.unit), "legend": legend, "from_percent": section.axis_from}
    return Figure("kaplan_meier", section.label or "Time to event", tuple(rows), {**options, "note": note or None})


def _written(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.4g}"


def _description(context: Context, section: SurvivalSection) -> str:
    parts = [f"Kaplan-Meier estimates with {section.scale} intervals"]
    if section.entry:
        parts.append(f"at risk from {section.entry} on")
    if section.test:
        parts.append(f"p-value: {_named(section)}{_within(section)}")
    ties = "exact" if section.ties == "exact" else f"{section.ties.capitalize()}'s"
    robust = f", robust variance{f' by {section.cluster}' if section.cluster else ''}"
    parts.append(
        f"hazard ratios against {context.plan.treatment.reference}: Cox model with {ties} ties"
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


def _curve_rows(context: Context, section: SurvivalSection, curves: dict[str, Any]) -> list[Row]:
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


def _formula(context: Context, section: SurvivalSection, covariates: bool) -> str:
    terms = [context.treatment, *(section.covariates if covariates else ())]
    strata = [f"strata({name})" for name in section.strata]
    times = f"{section.entry}, {section.time}" if section.entry else section.time
    return f"Surv({times}, {EVENT}) ~ " + " + ".join([*terms, *strata])


def _test(context: Context, section: SurvivalSection, data: pl.DataFrame) -> tuple[Cell, list[str], str]:
    """The p-value, what is to be said of it, and how the figure says it."""
    from equipoise.estimate.survival import log_rank, max_combo

    name = _named(section)[0].upper() + _named(section)[1:]
    if data.height == 0 or data[context.treatment].n_unique() < 2:
        return cell_of("{p:p4}", {}), [f"{name}: not estimable: fewer than two arms have records."], ""
    formula = _formula(context, section, False)
    if section.test == "max-combo":
        if data[context.treatment].n_unique() > 2:
            raise DataError(
                f"analysis {context.analysis.id}: max-combo compares two arms", hint="list two arms, or use log-rank"
            )
        combo = max_combo(formula, data)
        found = {"p": _none(combo.p), "statistic": _none(combo.statistic), "df": None}
        reason = combo.reason
    else:
        test = log_rank(formula, data, rho=section.rho, gamma=section.gamma)
        found = {"p": _none(test.p), "statistic": _none(test.chi_square), "df": float(test.df), "z": _none(test.z)}
        reason = _reason(test.status)
    cell = cell_of("{p:p4}", found)
    if found["p"] is None:
        return cell, [f"{name}: {reason}."], ""
    return cell, [], f"{name}{_within(section)}: p {'' if cell.text.startswith('<') else '= '}{cell.text}"


def _reason(status: Any) -> str:
    from equipoise.types import REASONS

    return REASONS[status]


def _cox(context: Context, section: SurvivalSection, data: pl.DataFrame) -> tuple[list[Row], list[str]]:
    from equipoise.estimate.survival import cox

    control, arm = context.plan.treatment.reference, context.treatment
    if data.height == 0 or data[arm].n_unique() < 2:
        return [], []
    fit = cox(
        _formula(context, section, True), data, ties=section.ties, firth=section.firth, cluster=section.cluster,
        robust=True if section.robust else None,
    )  # fmt: skip
    estimates = {e.name: e for e in fit.estimates(level=section.level)}
    ratio: dict[str, Cell] = {}
    tested: dict[str, Cell] = {}
    notes: list[str] = []
    for one in context.arms:
        found = estimates.get(f"{arm}[T.{one}]")
        if found is None:
            continue
        values = values_of(found)
        ratio[one] = cell_of("{estimate:2} ({low:2}; {high:2})", values)
        tested[one] = cell_of("{p:p4}", values)
        if not found.estimable and found.reason not in notes:
            notes.append(found.reason)
    against = f"against {control}"
    rows = [
        Row(f"Hazard ratio ({100 * section.level:g}% CI)", ratio, against),
        Row("p-value (Cox)", tested, against),
    ]
    said = [f"Hazard ratio: {n}." for n in notes]
    if section.proportional_hazards and fit.status is Status.OK:
        try:
            chi_square, df, p = fit.proportionality().overall
        except EstimationError as error:
            return rows, [*said, f"Proportional hazards: {error.message}."]
        shown = {"p": _none(p), "statistic": _none(chi_square), "df": float(df)}
        column = TEST if section.test else context.arms[-1]
        rows.append(Row("Proportional hazards, p-value", {column: cell_of("{p:p4}", shown)}))
    return rows, said


METHODS = (Entry("survival", SurvivalSection, survival, "Time-to-event analysis", noted=True, by_line=True),)
