"""What analyses after multiple imputation have in common: their records, means over visits, and lines of a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl
from pydantic import Field

from equipoise.errors import DataError
from equipoise.estimate.result import Estimate
from equipoise.plan.methods.estimates import P, against, by_arm, values_of
from equipoise.plan.methods.registry import Found, Place, Test
from equipoise.plan.parts import ComparedSection
from equipoise.plan.prepared import Prepared
from equipoise.plan.results import Figure, Row

TESTS = (Test("difference", "more"), Test("ratio", "more"))


class ImputedSection(ComparedSection):
    """``log``: ratios to ``baseline`` are analysed. ``weeks`` are shown, default the last."""

    value: str = "CHG"
    visit: str = "AVISITN"
    covariates: tuple[str, ...] = ("BASE",)
    weeks: tuple[float, ...] | None = None
    log: bool = False
    baseline: str = "BASE"
    seed: int = Field(default=0, ge=0)
    level: float = Field(default=0.95, gt=0, lt=1)


def records(context: Prepared, section: ImputedSection, more: Sequence[str]) -> pl.DataFrame:
    frame = context.chosen(section.where)
    for name in (section.value, section.visit):
        context.need(frame, name, numeric=True)
    for name in (*section.covariates, *more, "USUBJID"):
        context.need(frame, name)
    return frame


def shown_weeks(context: Prepared, section: ImputedSection, visits: Sequence[float]) -> list[float]:
    wanted = section.weeks or (visits[-1],)
    absent = [w for w in wanted if not any(abs(w - v) < 1e-6 for v in visits)]
    if absent:
        raise DataError(
            f"analysis {context.analysis.id}: no visit at week {absent[0]:g}",
            hint="visits are at weeks " + ", ".join(f"{v:g}" for v in visits),
        )
    return list(wanted)


def seen(panel: Any, arm: str, k: int) -> int:
    y = panel.y[panel.arm == float(list(panel.arms).index(arm)), k]
    return int((y == y).sum())


@dataclass(frozen=True)
class Parts:
    """What lines are written from: records, all visits and those shown, means of an arm at a week, and how many
    patients of an arm were seen at a visit. ``tips``: the search for a tipping point, by arm."""

    frame: pl.DataFrame
    visits: list[float]
    shown: list[float]
    mean: Callable[[str, float], Estimate]
    seen: Callable[[str, int], int]
    label: str = ""
    tips: dict[str, Any] = field(default_factory=dict)


def visit_name(week: float) -> str:
    return f"Week {week:g}"


def quantities(section: ImputedSection) -> tuple[str, str]:
    if getattr(section, "threshold", None) is not None:
        return "share", "risk_difference"
    return ("geometric_mean_ratio", "ratio") if section.log else ("lsmean", "difference")


def numbers_of(
    context: Prepared, section: ImputedSection, parts: Parts, difference: Mapping[str, Callable[[float], Estimate]]
) -> dict[Place, Estimate]:
    mean, comparison = quantities(section)
    out: dict[Place, Estimate] = {}
    for week in parts.shown:
        out |= {Place(mean, one, visit_name(week)): parts.mean(one, week) for one in context.arms}
        out |= {Place(comparison, arm, visit_name(week)): of(week) for arm, of in difference.items()}
    return out


def lines_of(context: Prepared, section: ImputedSection, found: Found) -> tuple[list[Row], list[tuple[str, Estimate]]]:
    percent = f"{100 * section.level:g}%"
    rows: list[Row] = []
    named: list[tuple[str, Estimate]] = []
    shown: list[float] = found.parts.shown
    what = ("Geometric mean ratio", "Ratio") if section.log else ("LS mean", "Difference of LS means")
    shares = quantities(section)[0] == "share"
    what = ("Share of responders", "Difference in proportions") if shares else what
    for week in shown:
        means, differences = (found.by_arm(quantity, visit_name(week)) for quantity in quantities(section))
        if len(shown) > 1:
            rows.append(Row(visit_name(week), {}))
        indent = 1 if len(shown) > 1 else 0
        spread = f"({percent} CI)" if section.log else "(SE)"
        form = "{estimate:2} ({low:2}; {high:2})" if section.log else "{estimate:2} ({se:2})"
        form = "{estimate:3} ({se:3})" if shares else form
        at = "" if len(shown) > 1 else f", week {week:g}"
        made = [
            by_arm(f"{what[0]} {spread}{at}", means, form),
            against(context, f"{what[1]} {spread}", differences, form),
            *(
                []
                if section.log
                else [
                    against(
                        context, f"{percent} CI", differences, "{low:3}; {high:3}" if shares else "{low:2}; {high:2}"
                    )
                ]
            ),
            against(context, "p-value", differences, P),
        ]
        rows += [Row(r.label, r.cells, r.contrast, indent) for r in made]
        named += [(f"{arm} at week {week:g}", e) for arm, e in differences.items()]
    return rows, named


def over_visits(context: Prepared, section: ImputedSection, parts: Parts) -> tuple[Figure, ...]:
    if not section.figure or len(parts.visits) < 2:
        return ()
    labels, log = context.plan.treatment.labels, section.log
    rows = []
    for arm in context.arms:
        for k, week in enumerate(parts.visits):
            numbers = values_of(parts.mean(arm, week))
            rows.append(
                {
                    "arm": labels.get(arm, arm),
                    "visit": week,
                    "n": parts.seen(arm, k),
                    **{n: numbers[n] for n in ("estimate", "low", "high")},
                }
            )
    what = "geometric mean ratio to baseline" if log else f"{section.value}, LS mean"
    change = log or section.value in ("CHG", "PCHG")
    options = {
        "y_title": f"{what} ({100 * section.level:g} % CI)",
        "log": log,
        "null": (1.0 if log else 0.0) if change else None,
        "start": (1.0 if log else 0.0) if change else None,
        "note": "n: observed",
    }
    return (Figure("ls_means", section.label or "Means over visits", tuple(rows), options),)
