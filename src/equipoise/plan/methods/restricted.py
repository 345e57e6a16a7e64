"""Survival without proportional hazards: restricted means, and survival at chosen times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from equipoise.estimate.result import Estimate
from equipoise.plan.methods.described import described
from equipoise.plan.methods.estimates import P, against, finite, reasons
from equipoise.plan.methods.event_data import event_data, left_out
from equipoise.plan.methods.registry import Found, Method, Place, Test
from equipoise.plan.parts import ComparedSection
from equipoise.plan.prepared import Prepared, compared
from equipoise.plan.results import Block, Cell, Row, cell_of

if TYPE_CHECKING:
    from equipoise.estimate.survival.landmark import ArmSurvival, Landmark, Landmarks
    from equipoise.estimate.survival.rmst import ArmMean, RestrictedMeans


class RmstSection(ComparedSection):
    """Restricted mean survival time up to ``tau``, default as far as both arms reach; CNSR 0 is an event."""

    ESTIMATES = "rmst"

    method: Literal["rmst"]
    time: str = "AVAL"
    censor: str = "CNSR"
    tau: float | None = Field(default=None, gt=0)
    covariates: tuple[str, ...] = ()
    level: float = Field(default=0.95, gt=0, lt=1)
    decimals: int = Field(default=2, ge=0, le=6)


class LandmarkSection(ComparedSection):
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


@dataclass(frozen=True)
class _Means:
    """Restricted means by arm, what was fitted to each other arm and control, and the comparisons by their label."""

    arms: Mapping[str, ArmMean]
    made: Mapping[str, RestrictedMeans]
    comparisons: Mapping[str, Mapping[str, Estimate]]


def rmst_estimates(context: Prepared, section: RmstSection) -> Found:
    """Restricted means by arm, their difference and ratio against control, and the ratio of the times lost."""
    from equipoise.estimate.survival.rmst import rmst as estimate

    data = event_data(context, section.where, section.time, section.censor, section.covariates)
    control = context.plan.treatment.reference
    made = compared(
        context,
        data,
        lambda part: estimate(
            part,
            time=section.time,
            censor=section.censor,
            arm=context.treatment,
            control=control,
            tau=section.tau,
            covariates=section.covariates,
            level=section.level,
        ),
    )
    first = next(iter(made.values()))
    arms = {control: first.arms[0], **{arm: m.arms[1] for arm, m in made.items()}}
    comparisons: dict[str, dict[str, Estimate]] = {
        "Difference": {a: m.difference for a, m in made.items()},
        "Ratio": {a: m.ratio for a, m in made.items()},
        "Ratio of times lost": {a: m.lost_ratio for a, m in made.items()},
    }
    numbers = {}
    for arm, m in arms.items():
        numbers[Place("patients", arm)] = Estimate.of_count(f"patients, {arm}", m.n, m.n)
        numbers[Place("events", arm)] = Estimate.of_count(f"events, {arm}", m.events, m.n)
        numbers[Place("rmst", arm)] = described(
            f"restricted mean, {arm}",
            "area under the Kaplan-Meier curve",
            (m.mean, m.se, m.low, m.high),
            m.n,
            level=section.level,
            scale="restricted mean",
        )
    names = ("rmst_difference", "rmst_ratio", "rmst_lost_ratio")
    for name, each in zip(names, comparisons.values(), strict=True):
        numbers |= {Place(name, arm): e for arm, e in each.items()}
    return Found(numbers, _Means(arms, made, comparisons))


def rmst_lines(context: Prepared, section: RmstSection, found: Found) -> Block:
    """Restricted means by arm, their difference and ratio against control."""
    parts: _Means = found.parts
    arms, made, control = parts.arms, parts.made, context.plan.treatment.reference
    digits, percent = section.decimals, f"{100 * section.level:g}%"
    rows: list[Row] = [Row("n", {a: cell_of("{n}", {"n": float(m.n)}) for a, m in arms.items()})]
    same = len({m.tau for m in made.values()}) == 1
    horizon = f" up to {next(iter(made.values())).tau:g}" if same else ""
    shown = f"{{estimate:{digits}}} ({{low:{digits}}}; {{high:{digits}}})"
    rows.append(
        Row(
            f"Restricted mean{horizon} ({percent} CI)",
            {
                a: cell_of(
                    shown,
                    {"estimate": finite(m.mean), "se": finite(m.se), "low": finite(m.low), "high": finite(m.high)},
                )
                for a, m in arms.items()
            },
        )
    )
    for label, each in parts.comparisons.items():
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
            *reasons((label, e) for label, each in parts.comparisons.items() for e in each.values()),
            *left_out(context, section.where, section.time, section.censor, *section.covariates),
        ),
        details={"tau": {a: m.tau for a, m in made.items()}},
    )


def landmark_estimates(context: Prepared, section: LandmarkSection) -> Found:
    """Survival by arm at each time and its comparison with control: a difference, or a ratio of cumulative hazards."""
    from equipoise.estimate.survival.landmark import landmark as estimate

    data = event_data(context, section.where, section.time, section.censor, section.strata)
    control = context.plan.treatment.reference
    made: dict[str, Landmarks] = compared(
        context,
        data,
        lambda part: estimate(
            part,
            time=section.time,
            censor=section.censor,
            at=section.at,
            arm=context.treatment,
            control=control,
            strata=section.strata,
            weights=section.weights,
            scale=section.scale,
            level=section.level,
        ),
    )
    name = "survival_difference" if section.scale == "plain" else "cumulative_hazard_ratio"
    numbers = {}
    for k, when in enumerate(section.at):
        points = {arm: m.points[k] for arm, m in made.items()}
        for arm, s in _arms(control, points).items():
            numbers[Place("survival", arm, f"{when:g}")] = described(
                f"event-free at {when:g}, {arm}",
                "Kaplan-Meier estimate",
                (s.survival, s.se, s.low, s.high),
                s.at_risk,
                level=section.level,
                scale="share",
            )
        numbers |= {Place(name, arm, f"{when:g}"): p.comparison for arm, p in points.items()}
    return Found(numbers, made)


def _arms(control: str, points: Mapping[str, Landmark]) -> dict[str, ArmSurvival]:
    """Survival of control and of each other arm at one time."""
    return {control: next(iter(points.values())).arms[0], **{arm: p.arms[1] for arm, p in points.items()}}


def landmark_lines(context: Prepared, section: LandmarkSection, found: Found) -> Block:
    """Survival by arm at each time and its comparison with control."""
    made: Mapping[str, Landmarks] = found.parts
    control, percent = context.plan.treatment.reference, f"{100 * section.level:g}%"
    plain = section.scale == "plain"
    rows: list[Row] = []
    named: list[tuple[str, Estimate]] = []
    for k, when in enumerate(section.at):
        points = {arm: m.points[k] for arm, m in made.items()}
        cells: dict[str, Cell] = {
            a: cell_of(
                "{estimate:1} ({low:1}; {high:1})",
                {
                    name: None if (v := finite(x)) is None else 100.0 * v
                    for name, x in (("estimate", s.survival), ("se", s.se), ("low", s.low), ("high", s.high))
                },
            )
            for a, s in _arms(control, points).items()
        }
        rows.append(Row(f"Event-free at {when:g}, % ({percent} CI)", cells))
        each = {arm: p.comparison for arm, p in points.items()}
        what = "Difference of shares" if plain else "Ratio of cumulative hazards"
        rows.append(against(context, f"{what} at {when:g} ({percent} CI)", each, "{estimate:3} ({low:3}; {high:3})"))
        rows.append(against(context, f"p-value at {when:g}", each, P))
        named += [(f"at {when:g}", e) for e in each.values()]
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
    Method(
        "rmst",
        RmstSection,
        rmst_estimates,
        rmst_lines,
        "Restricted mean survival time",
        noted=True,
        by_line=True,
        tests=(Test("rmst_difference", "more"), Test("rmst_ratio", "more"), Test("rmst_lost_ratio", "less")),
    ),
    Method(
        "landmark",
        LandmarkSection,
        landmark_estimates,
        landmark_lines,
        "Survival at chosen times",
        noted=True,
        by_line=True,
        tests=(Test("survival_difference", "more"), Test("cumulative_hazard_ratio", "less")),
    ),
)
