"""Multiple imputation by strategies at intercurrent events, and how far a result holds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import polars as pl
from pydantic import Field, model_validator

from equipoise.errors import DataError
from equipoise.estimate.result import Estimate
from equipoise.files import Frozen
from equipoise.plan.estimand import kind_of
from equipoise.plan.methods.estimates import counts, finite, reasons
from equipoise.plan.methods.imputed import (
    TESTS,
    ImputedSection,
    Parts,
    lines_of,
    numbers_of,
    over_visits,
    records,
    seen,
    shown_weeks,
    visit_name,
)
from equipoise.plan.methods.registry import Found, Method, Place, Test
from equipoise.plan.parts import Where, condition
from equipoise.plan.prepared import Prepared, others, together, without_records
from equipoise.plan.results import Block, Figure, Row, cell_of
from equipoise.types import Status

_DOES = {
    "MAR": "kept",
    "HYPOTHETICAL": "imputed",
    "JR": "reference",
    "CR": "reference",
    "CIR": "reference",
    "LMCF": "last mean",
    "COMPOSITE": "fixed",
}
"""Strategy of imputation -> the procedure of :data:`equipoise.plan.estimand.PROCEDURES` that it is."""


class Ice(Frozen):
    """An intercurrent event: who had it (``where``, on subjects), when (``time``), and how later visits are imputed.

    ``strategy``: MAR (what was measured after it is kept), HYPOTHETICAL (it is dropped and imputed at random), JR or
    J2R (jump to reference), CR (copy reference), CIR (copy increments in reference), LMCF (last mean carried forward)
    or COMPOSITE (a value put in). The first visit after ``time`` is the first affected; with ``inclusive`` a visit at
    that very time is.
    """

    event: str
    time: str
    where: Where = Field(default_factory=dict)
    strategy: Literal["MAR", "HYPOTHETICAL", "JR", "J2R", "CR", "CIR", "LMCF", "COMPOSITE"]
    inclusive: bool = False


class CompositeValue(Frozen):
    """What stands after an event with COMPOSITE: a ``value``, a ``score`` (baseline is taken off) or the ``worst``."""

    value: float | None = None
    score: float | None = None
    worst: bool = False


class Tipping(Frozen):
    """Shifts of imputed values, arm by arm: ``active`` from 0 on, and ``control`` for a grid.

    ``applies``: to all ``missing`` values or those ``after event``. ``shape``: ``constant``, or ``cumulative``.
    """

    active: tuple[float, ...] = Field(min_length=1)
    control: tuple[float, ...] = (0.0,)
    applies: Literal["missing", "after event"] = "missing"
    shape: Literal["constant", "cumulative"] = "constant"
    alpha: float = Field(default=0.05, gt=0, lt=1)
    higher_better: bool = True


class MiSection(ImputedSection):
    """Imputation by a strategy at each intercurrent event, from one repeated-measures model, then an analysis.

    ``imputation``: ``bayes`` (Rubin's rules), ``approximate bayes``, ``conditional mean`` (deterministic, with
    jackknife) or ``bootstrap`` (von Hippel & Bartlett). ``reference``: the arm that JR, CR and CIR copy, default
    control. ``analysis``: ``ancova`` or ``mmrm``, with the covariates ``analyse_with``, default ``covariates``; or
    ``responder``: the share whose completed value is at least ``threshold`` (with ``at_most`` at most).
    Of several events of a patient the first in time counts, at one time the first in the list.
    """

    method: Literal["mi"]
    events: tuple[Ice, ...] = ()
    imputation: Literal["bayes", "approximate bayes", "conditional mean", "bootstrap"] = "bayes"
    imputations: int = Field(default=100, ge=2, le=10_000)
    reference: str | None = None
    analysis: Literal["ancova", "mmrm", "responder"] = "ancova"
    threshold: float | None = None
    at_most: bool = False
    analyse_with: tuple[str, ...] | None = None
    same_covariance: bool = True
    structure: str = "us"
    composite: CompositeValue | None = None
    up_to: float | None = Field(default=None, gt=0)
    tipping: Tipping | None = None

    ESTIMATES = "mi"

    @model_validator(mode="after")
    def _complete(self) -> MiSection:
        if any(e.strategy == "COMPOSITE" for e in self.events) != (self.composite is not None):
            raise ValueError("strategy COMPOSITE and composite: {score: 0} go together")
        names = [e.event for e in self.events]
        if len(set(names)) < len(names):
            raise ValueError("events: an event is listed twice")
        if (self.analysis == "responder") != (self.threshold is not None):
            raise ValueError("analysis: responder and threshold: go together")
        if self.analysis == "responder" and (self.log or self.imputation not in ("bayes", "approximate bayes")):
            raise ValueError("analysis: responder needs imputation: bayes or approximate bayes, and values as they are")
        if self.analysis == "responder" and len(self.weeks or ()) > 1:
            raise ValueError("analysis: responder is of one week: give weeks: [28], say")
        return self

    def does(self) -> dict[str, str]:
        own = {}
        for item in self.events:
            done = _DOES["JR" if item.strategy == "J2R" else item.strategy]
            own[item.event] = "imputed" if done == "kept" and kind_of(item.event) != "other" else done
        return {**own, **super().does()}


def mi(context: Prepared, section: MiSection) -> Found:
    """What was observed and imputed, LS means and differences, and the tipping point where it is asked for."""
    from equipoise.estimate.missing import Ancova, Composite, Mmrm, Responder, imputation_draws

    helpers = _helpers(section)
    frame = records(context, section, (*helpers, *((section.baseline,) if section.log else ())))
    control = context.plan.treatment.reference
    composite = None
    if section.composite is not None:
        given = section.composite
        composite = Composite(value=given.value, score=given.score, worst=given.worst, baseline=section.baseline)

    def fit(data: pl.DataFrame) -> Any:
        return imputation_draws(
            data,
            _ice(context, section, data),
            method=_method(section),
            value=section.value,
            visit=section.visit,
            arm=context.treatment,
            control=control,
            reference=section.reference or context.own_control,
            covariates=section.covariates,
            keep=[h for h in helpers if h not in section.covariates],
            composite=composite,
            same_covariance=section.same_covariance,
            structure=section.structure,
            log=section.log,
            baseline=section.baseline,
            up_to=section.up_to,
            seed=section.seed,
        ).impute()

    completed = together(context, frame, fit)
    every = [float(w) for w in completed.panel.weeks]
    wanted: Any = Ancova(covariates=helpers) if section.analysis == "ancova" else Mmrm(covariates=helpers)
    if section.threshold is not None:
        (week,) = shown_weeks(context, section, every)
        wanted = Responder(week, section.threshold, at_most=section.at_most)
    made = completed.analyse(wanted, level=section.level)
    parts = Parts(
        frame,
        every if section.threshold is None else shown_weeks(context, section, every),
        shown_weeks(context, section, every),
        mean=lambda one, week: made.mean(one, week),
        seen=lambda one, k: seen(completed.panel, one, k),
        label=made.label,
    )
    numbers = _behind(context, completed, parts.shown[-1])
    difference = {a: lambda week, a=a: made.difference(week, arm=a) for a in others(context)}
    numbers |= numbers_of(context, section, parts, difference)
    if section.tipping is not None:
        parts.tips.update(_tipping(section, section.tipping, completed, wanted, parts.shown[-1], others(context)))
        for arm, tip in parts.tips.items():
            numbers[Place("tipping_point", arm)] = _tip(tip, arm, section.tipping.alpha, section.level)
    return Found(numbers, parts)


def _mi_lines(context: Prepared, section: MiSection, found: Found) -> Block:
    parts: Parts = found.parts
    rows = _behind_lines(context, found, parts.shown[-1])
    lines, named = lines_of(context, section, found)
    rows += lines
    figures = over_visits(context, section, parts)
    notes = [*((section.note,) if section.note else ()), *reasons(named), *without_records(context, parts.frame)]
    if section.tipping is not None:
        more, said, maps = _tipping_lines(context, section, section.tipping, found)
        rows, notes, figures = rows + more, notes + said, (*figures, *maps)
    return Block(
        section.label or "Analysis after imputation",
        "mi",
        context.analysis.dataset,
        section.value,
        tuple(rows),
        description=_description(context, section, parts.label, _helpers(section)),
        notes=tuple(notes),
        details={"imputation": section.imputation, "imputations": section.imputations, "seed": section.seed},
        figures=figures,
    )


def _helpers(section: MiSection) -> tuple[str, ...]:
    return section.covariates if section.analyse_with is None else section.analyse_with


def _method(section: MiSection) -> Any:
    from equipoise.estimate.missing import ApproxBayes, Bayes, Bmlmi, ConditionalMean

    return {
        "bayes": lambda: Bayes(n_imputations=section.imputations),
        "approximate bayes": lambda: ApproxBayes(n_imputations=section.imputations),
        "conditional mean": ConditionalMean,
        "bootstrap": lambda: Bmlmi(n_samples=section.imputations),
    }[section.imputation]()


def _ice(context: Prepared, section: MiSection, data: pl.DataFrame) -> pl.DataFrame | None:
    """The first event of each subject of ``data`` that has one: subject, first week affected, strategy."""
    people = context.population.join(data.select("USUBJID").unique(), on="USUBJID", how="semi")
    parts = []
    for order, item in enumerate(section.events):
        what = f"analysis {context.analysis.id}, event {item.event}"
        if item.time not in people.columns or not people.schema[item.time].is_numeric():
            raise DataError(
                f"{what}: subjects have no number {item.time}", hint="see gather: and the variables of ADSL"
            )
        had = people.filter(condition(item.where, people, what) & pl.col(item.time).is_not_null())
        after = 0.0 if item.inclusive else 1e-6
        parts.append(
            had.select(
                "USUBJID",
                (pl.col(item.time) + after).alias(section.visit),
                pl.lit(item.strategy).alias("STRATEGY"),
                pl.lit(order).alias("__order__"),
            )
        )
    if not parts:
        return None
    events = pl.concat(parts).sort(section.visit, "__order__").unique("USUBJID", keep="first", maintain_order=True)
    return events.drop("__order__") if events.height else None


_BEHIND = {
    "observed": "Observed",
    "imputed_mar": "Imputed at random",
    "imputed_hypothetical": "Imputed, event ignored",
    "imputed_jr": "Imputed, jump to reference",
    "imputed_cr": "Imputed, copy reference",
    "imputed_cir": "Imputed, copy increments in reference",
    "imputed_lmcf": "Imputed, last mean carried forward",
    "put_in": "Value put in",
    "dropped": "Measured and dropped",
}


def _behind(context: Prepared, completed: Any, week: float) -> dict[Place, Estimate]:
    """What stands behind the result at a week, by arm: observed, imputed by each strategy, values put in."""
    rows = completed.counts().iter_rows(named=True)
    found: dict[str, dict[str, Any]] = {str(row["arm"]): row for row in rows if row["week"] == week}
    out = {}
    for quantity, label in _BEHIND.items():
        for arm, row in found.items():
            everyone = sum(int(row.get(k, 0)) for k in _BEHIND if k != "dropped")
            out[Place(quantity, arm, visit_name(week))] = Estimate.of_count(
                f"{label.lower()}, {arm} at {visit_name(week).lower()}", int(row.get(quantity, 0)), everyone
            )
    return out


def _behind_lines(context: Prepared, found: Found, week: float) -> list[Row]:
    rows = []
    for quantity, label in _BEHIND.items():
        numbers = {arm: int(e.estimate) for arm, e in found.by_arm(quantity, visit_name(week)).items()}
        if quantity == "observed" or any(numbers.values()):
            rows.append(counts(f"{label}, week {week:g}", numbers))
    return rows


def _tipping(
    section: MiSection, asked: Tipping, completed: Any, wanted: Any, week: float, arms: Sequence[str]
) -> dict[str, Any]:
    from equipoise.estimate.missing import tipping_point

    return {
        arm: tipping_point(
            completed,
            wanted,
            deltas=asked.active,
            control_deltas=asked.control,
            at=week,
            shape=asked.shape,
            applies=asked.applies,
            alpha=asked.alpha,
            level=section.level,
            arm=arm,
        )
        for arm in arms
    }


def _tip(made: Any, arm: str, alpha: float, level: float) -> Estimate:
    """The shift at which p crosses ``alpha``; not there where no shift that was tried does it."""
    delta, nan = finite(made.boundary[0].delta), math.nan
    return Estimate(
        f"shift of {arm} at which p crosses {alpha:g}",
        "tipping point analysis",
        nan if delta is None else delta,
        nan,
        nan,
        nan,
        nan,
        nan,
        0,
        level,
        scale="shift",
        form="description",
        status=Status.OK if delta is not None else Status.BOUNDARY,
        detail=None if delta is not None else "not estimable: p crosses at no shift that was tried",
    )


def _tipping_lines(
    context: Prepared, section: MiSection, asked: Tipping, found: Found
) -> tuple[list[Row], list[str], tuple[Figure, ...]]:
    parts: Parts = found.parts
    labels, control, week = context.plan.treatment.labels, context.plan.treatment.reference, parts.shown[-1]
    cells, said, figures = {}, [], []
    for arm, made in parts.tips.items():
        cells[arm] = cell_of("{delta:2}", {"delta": finite(found.numbers[Place("tipping_point", arm)].estimate)})
        said.append(f"Tipping point, {labels.get(arm, arm)}: {made.to_sentence()}")
        grid = [
            {
                "delta_active": r["delta_active"],
                "delta_control": r["delta_control"],
                "p": finite(r["p"]),
                "estimate": finite(r["estimate"]),
            }
            for r in made.to_frame().iter_rows(named=True)
        ]
        options = {
            "alpha": asked.alpha,
            "higher_better": asked.higher_better,
            "arms": (labels.get(control, control), labels.get(arm, arm)),
        }
        figures.append(Figure("tipping_point", f"Tipping point at week {week:g}", tuple(grid), options))
    row = Row(f"Shift at which p crosses {asked.alpha:g}", cells, f"against {control}")
    return [row], said, tuple(figures) if section.figure else ()


def _description(context: Prepared, section: MiSection, label: str, helpers: Sequence[str]) -> str:
    parts = [
        f"{label}; imputation model: arm by visit and {', '.join(section.covariates) or 'no covariates'} by visit, "
        f"covariance {section.structure}{'' if section.same_covariance else ' for each arm'}, seed {section.seed}"
    ]
    if section.events:
        parts.append("; ".join(f"after {e.event}: {e.strategy}" for e in section.events))
    if any(e.strategy in ("JR", "J2R", "CR", "CIR") for e in section.events):
        parts.append(f"reference {section.reference or context.own_control}")
    if section.composite is not None:
        given = section.composite.model_dump(exclude_defaults=True)
        parts.append(
            "value put in: " + ", ".join("the worst" if k == "worst" else f"{k} {v:g}" for k, v in given.items())
        )
    if section.threshold is not None:
        parts.append(f"share with {section.value} {'at most' if section.at_most else 'at least'} {section.threshold:g}")
    else:
        parts.append(f"analysed with {', '.join(helpers) or 'no covariates'}")
    return "; ".join(parts)


METHODS = (
    Method(
        "mi",
        MiSection,
        mi,
        _mi_lines,
        "Analysis after imputation by strategies at intercurrent events",
        noted=True,
        by_line=True,
        tests=(*TESTS, Test("risk_difference", "more")),
    ),
)
