"""Survival without proportional hazards: restricted means, and survival at chosen times."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from equipoise.estimate.result import Estimate
from equipoise.plan.methods.estimates import P, against, finite, reasons
from equipoise.plan.methods.registry import entry
from equipoise.plan.methods.survival import event_data, left_out
from equipoise.plan.parts import Section
from equipoise.plan.prepared import Context, compared
from equipoise.plan.results import Block, Cell, Row, cell_of


class RmstSection(Section):
    """Restricted mean survival time up to ``tau``, default as far as both arms reach; CNSR 0 is an event."""

    ESTIMATES = "rmst"

    method: Literal["rmst"]
    time: str = "AVAL"
    censor: str = "CNSR"
    tau: float | None = Field(default=None, gt=0)
    covariates: tuple[str, ...] = ()
    level: float = Field(default=0.95, gt=0, lt=1)
    decimals: int = Field(default=2, ge=0, le=6)


class LandmarkSection(Section):
    """Survival of the arms compared at the times ``at``: a difference, or with ``log-log`` a ratio of hazards."""

    ESTIMATES = "landmark"

    method: Literal["landmark"]
    time: str = "AVAL"
    censor: str = "CNSR"
    at: tuple[float, ...] = Field(min_length=1)
    strata: tuple[str, ...] = ()
    weights: Literal["size", "mantel-haenszel", "inverse-variance"] = "size"
    scale: Literal["plain", "log-log"] = "plain"
    level: float = Field(default=0.95, gt=0, lt=1)


def rmst(context: Context, section: RmstSection) -> Block:
    """Restricted means by arm, their difference and ratio against control."""
    from equipoise.estimate.survival.rmst import rmst as estimate

    data = event_data(context, section.where, section.time, section.censor, section.covariates)
    control = context.plan.treatment.reference
    made = compared(
        context,
        data,
        lambda part: estimate(
            part, time=section.time, censor=section.censor, arm=context.treatment, control=control, tau=section.tau,
            covariates=section.covariates, level=section.level,
        ),
    )  # fmt: skip
    digits, percent = section.decimals, f"{100 * section.level:g}%"
    first = next(iter(made.values()))
    arms = {control: first.arms[0], **{arm: m.arms[1] for arm, m in made.items()}}
    rows: list[Row] = [Row("n", {a: cell_of("{n}", {"n": float(m.n)}) for a, m in arms.items()})]
    horizon = f" up to {first.tau:g}" if len({m.tau for m in made.values()}) == 1 else ""
    shown = f"{{estimate:{digits}}} ({{low:{digits}}}; {{high:{digits}}})"
    rows.append(
        Row(f"Restricted mean{horizon} ({percent} CI)", {
            a: cell_of(shown, {"estimate": finite(m.mean), "se": finite(m.se), "low": finite(m.low),
                               "high": finite(m.high)}) for a, m in arms.items()
        })
    )  # fmt: skip
    found: dict[str, dict[str, Estimate]] = {
        "Difference": {a: m.difference for a, m in made.items()},
        "Ratio": {a: m.ratio for a, m in made.items()},
        "Ratio of times lost": {a: m.lost_ratio for a, m in made.items()},
    }
    for label, each in found.items():
        rows.append(against(context, f"{label} ({percent} CI)", each, shown))
        rows.append(against(context, f"p-value ({label.lower()})", each, P))
    adjusted = f", adjusted for {', '.join(section.covariates)}" if section.covariates else ""
    return Block(
        section.label or "Restricted mean survival time",
        "rmst",
        context.analysis.dataset,
        section.time,
        tuple(rows),
        description=f"area under the Kaplan-Meier curve{horizon}{adjusted}; against {control}",
        notes=(
            *((section.note,) if section.note else ()),
            *reasons((label, e) for label, each in found.items() for e in each.values()),
            *left_out(context, section.where, section.time, section.censor, *section.covariates),
        ),
        details={"tau": {a: m.tau for a, m in made.items()}},
    )


def landmark(context: Context, section: LandmarkSection) -> Block:
    """Survival by arm at each time and its comparison with control."""
    from equipoise.estimate.survival.landmark import landmark as estimate

    data = event_data(context, section.where, section.time, section.censor, section.strata)
    control = context.plan.treatment.reference
    made = compared(
        context,
        data,
        lambda part: estimate(
            part, time=section.time, censor=section.censor, at=section.at, arm=context.treatment, control=control,
            strata=section.strata, weights=section.weights, scale=section.scale, level=section.level,
        ),
    )  # fmt: skip
    percent = f"{100 * section.level:g}%"
    plain = section.scale == "plain"
    rows: list[Row] = []
    named: list[tuple[str, Estimate]] = []
    for k, when in enumerate(section.at):
        points = {arm: m.points[k] for arm, m in made.items()}
        arms: dict[str, Any] = {control: next(iter(points.values())).arms[0],
                                **{arm: p.arms[1] for arm, p in points.items()}}  # fmt: skip
        cells: dict[str, Cell] = {
            a: cell_of("{estimate:1} ({low:1}; {high:1})", {
                name: None if (v := finite(x)) is None else 100.0 * v
                for name, x in (("estimate", s.survival), ("se", s.se), ("low", s.low), ("high", s.high))
            }) for a, s in arms.items()
        }  # fmt: skip
        rows.append(Row(f"Event-free at {when:g}, % ({percent} CI)", cells))
        found = {arm: p.comparison for arm, p in points.items()}
        what = "Difference of shares" if plain else "Ratio of cumulative hazards"
        rows.append(against(context, f"{what} at {when:g} ({percent} CI)", found, "{estimate:3} ({low:3}; {high:3})"))
        rows.append(against(context, f"p-value at {when:g}", found, P))
        named += [(f"at {when:g}", e) for e in found.values()]
    strata = f", stratified by {', '.join(section.strata)} ({section.weights} weights)" if section.strata else ""
    return Block(
        section.label or "Survival at chosen times",
        "landmark",
        context.analysis.dataset,
        section.time,
        tuple(rows),
        description=f"Kaplan-Meier survival, {section.scale} scale{strata}; against {control}",
        notes=(
            *((section.note,) if section.note else ()),
            *reasons(named),
            *left_out(context, section.where, section.time, section.censor, *section.strata),
        ),
    )


METHODS = (
    entry("rmst", RmstSection, rmst, "Restricted mean survival time", noted=True, by_line=True),
    entry("landmark", LandmarkSection, landmark, "Survival at chosen times", noted=True, by_line=True),
)
