"""The time-to-event method of a plan: Kaplan-Meier by arm, log-rank test, Cox model against the control arm."""

from __future__ import annotations

import math
from typing import Any, Literal

import polars as pl
from pydantic import Field

from equipoise.errors import DataError
from equipoise.run.analysis_context import TEST, TOTAL, Context, in_order
from equipoise.run.analysis_results import Block, Cell, Row, cell_of, share_of
from equipoise.run.methods.registry import Entry
from equipoise.run.plan_parts import Section

_EVENT = "EVENT__"


class SurvivalSection(Section):
    """Kaplan-Meier by arm, log-rank test and Cox model against the control arm; CNSR 0 is an event."""

    ESTIMATES = "survival"

    method: Literal["survival"]
    time: str = "AVAL"
    censor: str = "CNSR"
    strata: tuple[str, ...] = ()
    covariates: tuple[str, ...] = ()
    level: float = Field(default=0.95, gt=0, lt=1)
    at: tuple[float, ...] = ()
    ties: Literal["efron", "breslow"] = "efron"
    test: Literal["log-rank"] | None = "log-rank"
    decimals: int = Field(default=1, ge=0, le=6)


def survival(context: Context, section: SurvivalSection) -> Block:
    """Patients, events, median and survival at the times asked for, hazard ratios and the log-rank test.

    The interval of the median is on the log-log scale (as in SAS PROC LIFETEST), that of the hazard ratio Wald's.
    """
    from equipoise.estimate.kaplan_meier import kaplan_meier

    frame = context.chosen(section.where)
    for name in (section.time, section.censor):
        context.need(frame, name, numeric=True)
    for name in (*section.strata, *section.covariates, "USUBJID"):
        context.need(frame, name)
    names = [context.treatment, section.time, section.censor, *section.strata, *section.covariates]
    doubled = frame.filter(pl.col("USUBJID").is_duplicated())
    if doubled.height:
        raise DataError(
            f"analysis {context.analysis.id}: {doubled['USUBJID'][0]} has more than one record",
            hint="see where: in the plan",
        )
    data = in_order(context, frame.select(list(dict.fromkeys(names))).drop_nulls())
    data = data.with_columns((pl.col(section.censor) == 0).cast(pl.Int64).alias(_EVENT))
    curves: dict[str, Any] = {}
    if data.height:
        made = kaplan_meier(data, time=section.time, event=_EVENT, by=context.treatment, level=section.level)
        curves = {str(c.group): c for c in made}
        if context.analysis.total:
            curves[TOTAL] = kaplan_meier(data, time=section.time, event=_EVENT, level=section.level)[0]
    rows = _curve_rows(context, section, curves)
    notes = [section.note] if section.note else []
    if section.test:
        p, note = _log_rank(context, section, data)
        first = rows[0]
        rows[0] = Row(first.label, {**first.cells, TEST: p})
        notes += note
    ratios, said = _cox(context, section, data)
    return Block(
        section.label or "Time to event",
        "survival",
        context.analysis.dataset,
        section.time,
        (*rows, *ratios),
        description=_description(context, section),
        notes=(*notes, *said),
        details={"records": data.height, "events": int(data[_EVENT].sum()) if data.height else 0},
    )


def _description(context: Context, section: SurvivalSection) -> str:
    parts = ["Kaplan-Meier estimates with log-log intervals"]
    if section.test:
        parts.append(f"p-value: log-rank test{_within(section)}")
    parts.append(
        f"hazard ratios against {context.plan.treatment.reference}: Cox model with {section.ties.capitalize()}'s ties"
        + (f", covariates {', '.join(section.covariates)}" if section.covariates else "")
        + _within(section)
    )
    return "; ".join(parts)


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


def _right(context: Context, section: SurvivalSection, covariates: bool) -> str:
    terms = [context.treatment, *(section.covariates if covariates else ())]
    strata = [f"strata({name})" for name in section.strata]
    return f"Surv({section.time}, {_EVENT}) ~ " + " + ".join([*terms, *strata])


def _log_rank(context: Context, section: SurvivalSection, data: pl.DataFrame) -> tuple[Cell, list[str]]:
    from equipoise.estimate.survival import log_rank

    if data.height == 0 or data[context.treatment].n_unique() < 2:
        return cell_of("{p:p4}", {}), ["Log-rank test: not estimable: fewer than two arms have records."]
    test = log_rank(_right(context, section, False), data)
    found = {"p": _none(test.p), "statistic": _none(test.chi_square), "df": float(test.df)}
    return cell_of("{p:p4}", found), [] if found["p"] is not None else [f"Log-rank test: {_reason(test.status)}."]


def _reason(status: Any) -> str:
    from equipoise.types import REASONS

    return REASONS[status]


def _cox(context: Context, section: SurvivalSection, data: pl.DataFrame) -> tuple[list[Row], list[str]]:
    from equipoise.estimate.survival import cox

    control, arm = context.plan.treatment.reference, context.treatment
    if data.height == 0 or data[arm].n_unique() < 2:
        return [], []
    fit = cox(_right(context, section, True), data, ties=section.ties)
    estimates = {e.name: e for e in fit.estimates(level=section.level)}
    ratio: dict[str, Cell] = {}
    tested: dict[str, Cell] = {}
    notes: list[str] = []
    for one in context.arms:
        found = estimates.get(f"{arm}[T.{one}]")
        if found is None:
            continue
        values = {k: _none(float(getattr(found, k))) for k in ("estimate", "low", "high", "p")}
        ratio[one] = cell_of("{estimate:2} ({low:2}; {high:2})", values)
        tested[one] = cell_of("{p:p4}", values)
        if not found.estimable and found.reason not in notes:
            notes.append(found.reason)
    against = f"against {control}"
    rows = [
        Row(f"Hazard ratio ({100 * section.level:g}% CI)", ratio, against),
        Row("p-value (Cox)", tested, against),
    ]
    return rows, [f"Hazard ratio: {n}." for n in notes]


METHODS = (Entry("survival", SurvivalSection, survival, "Time-to-event analysis", noted=True, by_line=True),)
