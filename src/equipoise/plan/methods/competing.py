"""Competing risks in a plan: cumulative incidence, Gray's test, Fine-Gray and cause-specific models."""

from __future__ import annotations

from typing import Any, Literal

import polars as pl
from pydantic import Field

from equipoise.errors import DataError
from equipoise.estimate.formula import quoted
from equipoise.plan.methods.estimates import cell, finite, reasons
from equipoise.plan.methods.registry import entry
from equipoise.plan.methods.survival import event_data, left_out, unit_of
from equipoise.plan.parts import Section
from equipoise.plan.prepared import TEST, Context
from equipoise.plan.results import Block, Cell, Figure, Row, cell_of, share_of


class CompetingRisksSection(Section):
    """Incidence of the event ``of`` where another may come first. ``cause`` says how follow-up ended.

    ``censored``: its value for those who had no event. ``at``: times at which incidence is shown. ``test``: Gray's.
    """

    ESTIMATES = "competing_risks"

    method: Literal["competing_risks"]
    time: str = "AVAL"
    cause: str = "EVNTDESC"
    of: str
    censored: str = "censored"
    covariates: tuple[str, ...] = ()
    at: tuple[float, ...] = ()
    variance: Literal["greenwood", "aalen"] = "greenwood"
    test: Literal["gray"] | None = "gray"
    level: float = Field(default=0.95, gt=0, lt=1)
    unit: str | None = None


def competing_risks(context: Context, section: CompetingRisksSection) -> Block:
    """Events by cause, incidence at the times asked for, Gray's test, hazard ratios of both kinds against control."""
    from equipoise.estimate.survival.competing_risks import cumulative_incidence, gray_test

    data = event_data(context, section.where, section.time, section.cause, section.covariates, numeric=False)
    if data.height and data.schema[section.cause].is_numeric():
        data = data.with_columns(pl.col(section.cause).cast(pl.Int64).cast(pl.String))
    causes = [str(c) for c in data[section.cause].unique().sort().to_list() if str(c) != section.censored]
    if section.of not in causes:
        raise DataError(
            f"analysis {context.analysis.id}: nobody's follow-up ended by {section.of!r}",
            hint=f"{section.cause} is one of {', '.join([*causes, section.censored])}",
        )
    options: dict[str, Any] = {"time": section.time, "cause": section.cause, "censored": section.censored}
    curves = {str(c.group): c for c in cumulative_incidence(data, by=context.treatment, level=section.level,
                                                            variance=section.variance, **options)}  # fmt: skip
    percent = f"{100 * section.level:g}%"
    rows = [Row("n", {a: cell_of("{n}", {"n": float(c.n)}) for a, c in curves.items()})]
    for cause in causes:
        rows.append(Row(f"{cause}, n (%)", {
            a: share_of(int(c.events[list(c.causes).index(cause)]), c.n) for a, c in curves.items()
        }))  # fmt: skip
    for when in section.at:
        cells = {}
        for arm, c in curves.items():
            value, se, low, high, _ = c.at(when, section.of)
            found = {"estimate": value, "se": se, "low": low, "high": high}
            percents = {k: None if (v := finite(x)) is None else 100.0 * v for k, x in found.items()}
            cells[arm] = cell_of("{estimate:1} ({low:1}; {high:1})", percents)
        rows.append(Row(f"{section.of} by {when:g}, % ({percent} CI)", cells))
    notes = [section.note] if section.note else []
    said = None
    if section.test and len(curves) > 1:
        test = gray_test(data, of=section.of, by=context.treatment, **options)
        p = cell_of("{p:p4}", {"p": finite(test.p), "statistic": finite(test.chi_square), "df": float(test.df)})
        rows[0] = Row(rows[0].label, {**rows[0].cells, TEST: p})
        if finite(test.p) is None:
            notes.append(f"Gray's test: {test.reason}.")
        else:
            said = f"Gray's test: p {'' if p.text.startswith('<') else '= '}{p.text}"
    more, why = _ratios(context, section, data, percent)
    figures = (_figure(context, section, curves, said),) if section.figure and curves else ()
    with_ = f", covariates {', '.join(section.covariates)}" if section.covariates else ""
    return Block(
        section.label or f"Incidence of {section.of}",
        "competing_risks",
        context.analysis.dataset,
        section.time,
        (*rows, *more),
        description=(
            f"Aalen-Johansen incidence of {section.of}, competing: {', '.join(set(causes) - {section.of}) or 'none'}, "
            f"with log-log intervals ({section.variance} variance)"
            + ("; p-value: Gray's test" if section.test else "")
            + f"; hazard ratios against {context.plan.treatment.reference}: Fine-Gray and cause-specific Cox{with_}"
        ),
        notes=(*notes, *why, *left_out(context, section.where, section.time, section.cause, *section.covariates)),
        figures=figures,
    )


def _ratios(
    context: Context, section: CompetingRisksSection, data: pl.DataFrame, percent: str
) -> tuple[list[Row], tuple[str, ...]]:
    from equipoise.estimate.survival.competing_risks import cause_specific, fine_gray

    arm, control = context.treatment, context.plan.treatment.reference
    if data[arm].n_unique() < 2:
        return [], ()
    formula = f"Surv({quoted(section.time)}, {quoted(section.cause)}) ~ " + " + ".join(
        map(quoted, [arm, *section.covariates])
    )
    rows: list[Row] = []
    named = []
    for label, fit in (("Subdistribution hazard ratio", fine_gray), ("Cause-specific hazard ratio", cause_specific)):
        made = fit(formula, data, of=section.of, censored=section.censored)
        own = {e.name: e for e in made.estimates(level=section.level)}
        found = {one: own[f"{arm}[T.{one}]"] for one in context.arms if f"{arm}[T.{one}]" in own}
        if not found:  # names of a two-level factor differ between models
            found = {
                one: e for one in context.arms for name, e in own.items() if name.endswith((f"[{one}]", f".{one}]"))
            }
        ratio: dict[str, Cell] = {one: cell(e) for one, e in found.items()}
        rows.append(Row(f"{label} ({percent} CI)", ratio, f"against {control}"))
        rows.append(Row(f"p-value ({label.lower()})", {a: cell(e, "{p:p4}") for a, e in found.items()},
                        f"against {control}"))  # fmt: skip
        named += [(label, e) for e in found.values()]
    return rows, reasons(named)


def _figure(context: Context, section: CompetingRisksSection, curves: dict[str, Any], note: str | None) -> Figure:
    labels = context.plan.treatment.labels
    rows, legend = [], {}
    for group, c in curves.items():
        k, name = list(c.causes).index(section.of), labels.get(group, group)
        legend[name] = f"{int(c.events[k])} of {c.n}"
        rows += [
            {"group": name, "time": float(t), "incidence": float(c.incidence[i, k]), "low": finite(c.low[i, k]),
             "high": finite(c.high[i, k]), "at_risk": int(c.at_risk[i])}
            for i, t in enumerate(c.time)
        ]  # fmt: skip
    options = {"unit": unit_of(context, section.unit), "legend": legend, "note": note, "y_title": f"{section.of}, %"}
    return Figure("cumulative_incidence", section.label or f"Incidence of {section.of}", tuple(rows), options)


METHODS = (
    entry("competing_risks", CompetingRisksSection, competing_risks, "Competing risks", noted=True, by_line=True),
)
