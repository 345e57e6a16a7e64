"""Competing risks in a plan: cumulative incidence, Gray's test, Fine-Gray and cause-specific models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import polars as pl
from pydantic import Field

from equipoise.errors import DataError
from equipoise.estimate.formula import quoted
from equipoise.estimate.result import Estimate
from equipoise.plan.methods.described import counted, described
from equipoise.plan.methods.estimates import P, against, finite, reasons
from equipoise.plan.methods.event_data import event_data, left_out, unit_of
from equipoise.plan.methods.registry import Found, Method, Place, Test
from equipoise.plan.parts import Section
from equipoise.plan.prepared import TEST, Prepared
from equipoise.plan.results import Block, Figure, Row, cell_of, share_of
from equipoise.types import Status

if TYPE_CHECKING:
    from equipoise.estimate.survival.competing_risks import CumulativeIncidence
    from equipoise.estimate.survival.gray import GrayTest


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


@dataclass(frozen=True)
class _Made:
    """Curves by arm, all causes, Gray's test, and the hazard ratios of both models by arm."""

    curves: Mapping[str, CumulativeIncidence]
    causes: tuple[str, ...]
    test: GrayTest | None
    subdistribution: Mapping[str, Estimate]
    cause_specific: Mapping[str, Estimate]


def estimates(context: Prepared, section: CompetingRisksSection) -> Found:
    """Events by cause, incidence at the times asked for, Gray's test, hazard ratios of both kinds against control."""
    from equipoise.estimate.survival.competing_risks import cumulative_incidence
    from equipoise.estimate.survival.gray import gray_test

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
    curves = {
        str(c.group): c
        for c in cumulative_incidence(
            data, arm=context.treatment, level=section.level, variance=section.variance, **options
        )
    }
    test = None
    if section.test and len(curves) > 1:
        test = gray_test(data, of=section.of, arm=context.treatment, **options)
    made = _Made(curves, tuple(causes), test, *_ratios(context, section, data))
    patients = {a: c.n for a, c in curves.items()}
    out = {Place("patients", a): Estimate.of_count(f"patients, {a}", n, n) for a, n in patients.items()}
    for cause in causes:
        events = {a: _events(c, cause) for a, c in curves.items()}
        out |= counted("events", events, patients, section.cause, cause)
    for when in section.at:
        for arm, c in curves.items():
            *values, _ = c.at(when, section.of)
            out[Place("incidence", arm, f"{when:g}", section.cause, section.of)] = described(
                f"{section.of} by {when:g}, {arm}",
                "Aalen-Johansen estimate",
                values,
                c.n,
                level=section.level,
                scale="share",
            )
    if test is not None:
        out[Place("gray")] = _tested(section, test)
    out |= {Place("subdistribution_hazard_ratio", arm): e for arm, e in made.subdistribution.items()}
    out |= {Place("cause_specific_hazard_ratio", arm): e for arm, e in made.cause_specific.items()}
    return Found(out, made)


def _events(curve: CumulativeIncidence, cause: str) -> int:
    return int(curve.events[list(curve.causes).index(cause)])


def _tested(section: CompetingRisksSection, test: GrayTest) -> Estimate:
    """Events observed less expected for two arms, a p-value alone for more of them."""
    if len(test.groups) == 2:
        return test.estimate(level=section.level)
    return Estimate.of_test(
        "all arms",
        "Gray's test",
        test.p,
        int(test.n.sum()),
        statistic=test.chi_square,
        df=float(test.df),
        detail=None if test.status is Status.OK else test.reason,
    )


def lines(context: Prepared, section: CompetingRisksSection, found: Found) -> Block:
    """Events by cause, incidence at the times asked for, Gray's test, hazard ratios of both kinds against control."""
    made: _Made = found.parts
    curves, causes, percent = made.curves, made.causes, f"{100 * section.level:g}%"
    rows = [Row("n", {a: cell_of("{n}", {"n": float(c.n)}) for a, c in curves.items()})]
    for cause in causes:
        rows.append(Row(f"{cause}, n (%)", {a: share_of(_events(c, cause), c.n) for a, c in curves.items()}))
    for when in section.at:
        cells = {}
        for arm, c in curves.items():
            value, se, low, high, _ = c.at(when, section.of)
            shown = {"estimate": value, "se": se, "low": low, "high": high}
            percents = {k: None if (v := finite(x)) is None else 100.0 * v for k, x in shown.items()}
            cells[arm] = cell_of("{estimate:1} ({low:1}; {high:1})", percents)
        rows.append(Row(f"{section.of} by {when:g}, % ({percent} CI)", cells))
    notes = [section.note] if section.note else []
    said = None
    if made.test is not None:
        test = made.test
        p = cell_of("{p:p4}", {"p": finite(test.p), "statistic": finite(test.chi_square), "df": float(test.df)})
        rows[0] = Row(rows[0].label, {**rows[0].cells, TEST: p})
        if finite(test.p) is None:
            notes.append(f"Gray's test: {test.reason}.")
        else:
            said = f"Gray's test: p {'' if p.text.startswith('<') else '= '}{p.text}"
    named: list[tuple[str, Estimate]] = []
    for label, ratios in (
        ("Subdistribution hazard ratio", made.subdistribution),
        ("Cause-specific hazard ratio", made.cause_specific),
    ):
        if len(curves) > 1:
            rows.append(against(context, f"{label} ({percent} CI)", ratios))
            rows.append(against(context, f"p-value ({label.lower()})", ratios, P))
        named += [(label, e) for e in ratios.values()]
    figures = (_figure(context, section, curves, said),) if section.figure and curves else ()
    others = [cause for cause in causes if cause != section.of]
    with_ = f", covariates {', '.join(section.covariates)}" if section.covariates else ""
    return Block(
        section.label or f"Incidence of {section.of}",
        "competing_risks",
        context.analysis.dataset,
        section.time,
        tuple(rows),
        description=(
            f"Aalen-Johansen incidence of {section.of}, competing: {', '.join(others) or 'none'}, "
            f"with log-log intervals ({section.variance} variance)"
            + ("; p-value: Gray's test" if section.test else "")
            + f"; hazard ratios against {context.plan.treatment.reference}: Fine-Gray and cause-specific Cox{with_}"
        ),
        notes=(
            *notes,
            *reasons(named),
            *left_out(context, section.where, section.time, section.cause, *section.covariates),
        ),
        figures=figures,
    )


def _ratios(
    context: Prepared, section: CompetingRisksSection, data: pl.DataFrame
) -> tuple[dict[str, Estimate], dict[str, Estimate]]:
    """The hazard ratios of each other arm against control: of the subdistribution, and of the cause."""
    from equipoise.estimate.survival.competing_risks import cause_specific
    from equipoise.estimate.survival.fine_gray import fine_gray

    arm = context.treatment
    if data[arm].n_unique() < 2:
        return {}, {}
    formula = f"Surv({quoted(section.time)}, {quoted(section.cause)}) ~ " + " + ".join(
        map(quoted, [arm, *section.covariates])
    )
    out = []
    for fit in (fine_gray, cause_specific):
        made = fit(formula, data, of=section.of, censored=section.censored)
        own = {e.name: e for e in made.at_level(section.level)}
        out.append({one: own[f"{arm}[T.{one}]"] for one in context.arms if f"{arm}[T.{one}]" in own})
    return out[0], out[1]


def _figure(
    context: Prepared, section: CompetingRisksSection, curves: Mapping[str, CumulativeIncidence], note: str | None
) -> Figure:
    labels = context.plan.treatment.labels
    rows, legend = [], {}
    for group, c in curves.items():
        k, name = list(c.causes).index(section.of), labels.get(group, group)
        legend[name] = f"{int(c.events[k])} of {c.n}"
        rows += [
            {
                "group": name,
                "time": float(t),
                "incidence": float(c.incidence[i, k]),
                "low": finite(c.low[i, k]),
                "high": finite(c.high[i, k]),
                "at_risk": int(c.at_risk[i]),
            }
            for i, t in enumerate(c.time)
        ]
    options = {"unit": unit_of(context, section.unit), "legend": legend, "note": note, "y_title": f"{section.of}, %"}
    return Figure("cumulative_incidence", section.label or f"Incidence of {section.of}", tuple(rows), options)


TESTS = (
    Test("gray", "less", effect=False),
    Test("subdistribution_hazard_ratio", "less"),
    Test("cause_specific_hazard_ratio", "less"),
)
METHODS = (
    Method(
        "competing_risks",
        CompetingRisksSection,
        estimates,
        lines,
        "Competing risks",
        noted=True,
        by_line=True,
        tests=TESTS,
    ),
)
