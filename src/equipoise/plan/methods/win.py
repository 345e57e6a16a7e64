"""Win statistics of a plan: win ratio, win odds, net benefit and the test of Finkelstein and Schoenfeld."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import polars as pl
from pydantic import Field, model_validator

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.result import Estimate
from equipoise.files import Frozen
from equipoise.plan import end_points
from equipoise.plan.key import Key
from equipoise.plan.methods.estimates import P, against, cell, counts, forest, reasons
from equipoise.plan.methods.registry import Found, Method, Place, Test
from equipoise.plan.parts import ComparedSection, Section
from equipoise.plan.prepared import Prepared, compared, in_order, others
from equipoise.plan.results import Block, Cell, Figure, Row, share_of
from equipoise.plan.trial_estimates import TrialEstimates
from equipoise.types import BoolArray, FloatArray, Status

if TYPE_CHECKING:
    from equipoise.plan.analysis_plan import Analysis
    from equipoise.trial import Trials


class Layer(Frozen):
    """An outcome of the hierarchy: one of ``time`` (with ``censor``, 0 for an event), ``value``, ``binary``.

    ``lower_better``: the lower value wins, or the one without a binary outcome; ``early_better``: the earlier event.
    ``counts``: the events that a time is to (``[death]``), which are then part of the variable.
    """

    time: str | None = None
    censor: str | None = None
    value: str | None = None
    binary: str | None = None
    margin: float = Field(default=0.0, ge=0)
    lower_better: bool = False
    early_better: bool = False
    counts: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _one(self) -> Layer:
        if sum(v is not None for v in (self.time, self.value, self.binary)) != 1:
            raise ValueError("a layer is one of time, value, binary")
        if (self.time is None) != (self.censor is None):
            raise ValueError("time and censor go together")
        if self.counts and self.time is None:
            raise ValueError(
                "counts: names the events that a time is to, {time: DTHWK, censor: DTHCN, counts: [death]}"
            )
        return self

    @property
    def variables(self) -> tuple[str, ...]:
        return tuple(v for v in (self.time, self.censor, self.value, self.binary) if v is not None)


class _HierarchySection(Section):
    """One record a subject; ``gather`` of the analysis brings outcomes together."""

    hierarchy: tuple[Layer, ...] = Field(min_length=1)
    level: float = Field(default=0.95, gt=0, lt=1)

    def does(self) -> dict[str, str]:
        counted = {event: "ranked" for layer in self.hierarchy for event in layer.counts}
        return {**counted, **super().does()}


class WinSection(_HierarchySection, ComparedSection):
    """Every patient on active compared with every control, on the first outcome of ``hierarchy`` that tells them apart.

    One record a subject; ``gather`` of the analysis brings outcomes together. ``variance``: ``u-statistic`` or
    ``null``; ``weights`` of strata: ``mantel-haenszel``, ``size``, ``pairs`` or ``equal``.
    """

    ESTIMATES = "win"

    method: Literal["win"]
    strata: tuple[str, ...] = ()
    weights: Literal["mantel-haenszel", "size", "pairs", "equal", "inverse-variance"] = "mantel-haenszel"
    variance: Literal["u-statistic", "null"] = "u-statistic"


class WinRegressionSection(_HierarchySection):
    """Win ratios of the arm and of ``covariates``, each with the others held: proportional win fractions.

    All pairs of patients are compared, those of one arm as well, within ``strata`` where there are any. Win ratios of
    covariates are a unit of each.
    """

    ESTIMATES = "win_regression"

    method: Literal["win_regression"]
    covariates: tuple[str, ...] = Field(min_length=1)
    strata: tuple[str, ...] = ()


def _layer(layer: Layer) -> Any:
    from equipoise.estimate.ranks.win import Binary, Time, Value

    if layer.time is not None:
        return Time(layer.time, censor=layer.censor, margin=layer.margin, early_better=layer.early_better)
    if layer.value is not None:
        return Value(layer.value, margin=layer.margin, lower_better=layer.lower_better)
    return Binary(str(layer.binary), yes_better=not layer.lower_better)


_PAIRS = (
    ("Pairs won", "pairs_won", "wins"),
    ("Pairs lost", "pairs_lost", "losses"),
    ("Pairs tied", "pairs_tied", "ties"),
)
_SHOWN = (("Win ratio", "win_ratio"), ("Win odds", "win_odds"), ("Net benefit", "net_benefit"))


def _share(estimate: Estimate) -> Cell:
    return share_of(int(estimate.estimate), estimate.n, 1)


def win(context: Prepared, section: WinSection) -> Found:
    """Pairs won, lost and tied by outcome, and the win statistics with their intervals, against control."""
    from equipoise.estimate.ranks.win import win_statistics

    frame = context.chosen(section.where)
    for name in (*(v for layer in section.hierarchy for v in layer.variables), *section.strata, "USUBJID"):
        context.need(frame, name)
    one_each(context, frame)
    control = context.plan.treatment.reference
    made = compared(
        context,
        frame,
        lambda data: win_statistics(
            data,
            [_layer(x) for x in section.hierarchy],
            arm=context.treatment,
            control=control,
            strata=section.strata,
            weights=section.weights,
            variance=section.variance,
            level=section.level,
        ),
    )
    numbers: dict[Place, Estimate] = {}
    for _, quantity, pick in _PAIRS:
        for arm, m in made.items():
            pairs = m.wins + m.losses + m.ties
            numbers[Place(quantity, arm)] = Estimate.of_count(f"{quantity}, {arm}", getattr(m, pick), pairs)
            for k, layer in enumerate(m.layers if pick != "ties" else ()):
                numbers[Place(quantity, arm, variable=layer.name, level=_nth(m.layers, k))] = Estimate.of_count(
                    f"{quantity}, {arm}, by {layer.name}", getattr(layer, pick), pairs
                )
    for name in (*(name for _, name in _SHOWN), "finkelstein_schoenfeld"):
        numbers |= {Place(name, arm): getattr(m, name) for arm, m in made.items()}
    return Found(numbers, (made, frame.height))


def block(trials: Trials, analysis: Analysis, place: int) -> dict[Key, TrialEstimates] | None:
    """Every pair compared on every trial of a block: times to end points, and outcomes at a visit, in their order."""
    from equipoise.estimate.ranks.kernels import win as kernel

    section: Any = analysis.sections[place - 1]
    layers = [_column(trials, analysis, layer) for layer in section.hierarchy]
    if None in layers or analysis.where or section.where or analysis.dataset.upper() != "ADSL":
        return None
    if (
        section.versus is not None
        or section.weights == "inverse-variance"
        or section.strata
        or analysis.population not in (*trials.sets, "ITT")
    ):
        return None
    read = [layer for layer in layers if layer is not None]
    value = np.stack([layer.value for layer in read], axis=2)
    who = trials.members(analysis.population) & ~np.isnan(value).all(axis=2)
    shares, covariance, null, strata, won, test, status = kernel.win_statistics(
        value,
        trials.arm,
        kinds=[layer.kind for layer in read],
        event=np.stack([layer.event for layer in read], axis=2),
        margins=[layer.margin for layer in section.hierarchy],
        signs=[layer.sign for layer in read],
        include=who,
    )
    values, errors = kernel.ratios(shares, covariance, null if section.variance == "null" else None)
    active = trials.arms[1]
    bad = np.where(np.isnan(values[:, 0]), int(Status.BOUNDARY), int(Status.SINGULAR))
    normal, out = np.full(len(trials), np.inf), {}

    def key(quantity: str, **more: Any) -> Key:
        return Key(quantity, analysis=analysis.id, section=place, arm=active, **more)

    for k, name in enumerate(("win_ratio", "win_odds", "net_benefit")):
        code = np.where((status == 0) & np.isnan(errors[:, k]), bad, status).astype(np.int8)
        estimate, se = (np.where(code == 0, a[:, k], np.nan) for a in (values, errors))
        out[key(name)] = TrialEstimates(estimate, se, normal, code, ratio=k < 2, level=section.level)
    code = np.where((status == 0) | (status == int(Status.BOUNDARY)), 0, status)
    code = np.where((code == 0) & ~(test[:, 1] > 0.0), int(Status.SINGULAR), code).astype(np.int8)
    score, spread = (np.where(code == 0, test[:, j], np.nan) for j in (0, 1))
    out[key("finkelstein_schoenfeld")] = TrialEstimates(score, np.sqrt(spread), normal, code, level=section.level)
    control, people, wins, losses = (strata[:, :, j].sum(axis=1) for j in range(4))
    pairs = {"pairs_won": wins, "pairs_lost": losses, "pairs_tied": control * people - wins - losses}
    out |= {key(quantity): TrialEstimates.of_count(n) for quantity, n in pairs.items()}
    names = [str(layer.time or layer.value) for layer in section.hierarchy]
    for k, called in enumerate(names):
        nth = str(k + 1) if names.count(called) > 1 else None
        for j, quantity in enumerate(("pairs_won", "pairs_lost")):
            out[key(quantity, variable=called, level=nth)] = TrialEstimates.of_count(won[:, k, j])
    return out


class _Column(NamedTuple):
    """One outcome of every patient: (trial, subject) value and whether an event; its kind and sign in the kernel."""

    value: FloatArray
    event: BoolArray
    kind: int
    sign: int


def _column(trials: Trials, analysis: Analysis, layer: Layer) -> _Column | None:
    """A layer read off the trials: a time to an end point, or an outcome at a visit; None where it is neither."""
    from equipoise.estimate.ranks.kernels.win import TIME, VALUE

    of = {name: g.model_dump(exclude_defaults=True) for name, g in analysis.gather.items()}
    if layer.time is not None:
        asked, censor = of.get(layer.time, {}), of.get(str(layer.censor), {})
        event = end_points.name_of(str(asked.get("parameter")))
        if asked != {"dataset": "ADTTE", "parameter": asked.get("parameter")} or event not in trials.events:
            return None
        if censor != {**asked, "variable": "CNSR"}:
            return None
        time, happened = trials.times_to(event)
        return _Column(time, happened, TIME, -1 if layer.early_better else 1)
    asked = of.get(str(layer.value), {})
    week = asked.get("where", {}).get("AVISITN")
    outcome, variable = str(asked.get("parameter")), asked.get("variable", "AVAL")
    if set(asked) - {"variable"} != {"dataset", "parameter", "where"} or asked["dataset"] != "ADEFF":
        return None
    if outcome not in trials.outcomes or set(asked["where"]) != {"AVISITN"} or variable not in ("AVAL", "CHG"):
        return None
    if not isinstance(week, int | float) or week not in trials.weeks:
        return None
    values = trials.outcomes[outcome]
    seen = values[:, :, trials.visit_index(float(week))] - (values[:, :, 0] if variable == "CHG" else 0.0)
    return _Column(seen, np.ones(seen.shape, np.bool_), VALUE, -1 if layer.lower_better else 1)


def _nth(layers: Sequence[Any], k: int) -> str | None:
    """Which outcome of the hierarchy, counted from 1, where its name stands there twice."""
    return str(k + 1) if sum(layer.name == layers[k].name for layer in layers) > 1 else None


def _lines(context: Prepared, section: WinSection, found: Found) -> Block:
    made, records = found.parts
    control, percent = context.plan.treatment.reference, f"{100 * section.level:g}%"
    layers = next(iter(made.values())).layers
    rows: list[Row] = []
    for label, quantity, pick in _PAIRS:
        cells = {arm: _share(e) for arm, e in found.by_arm(quantity).items()}
        rows.append(Row(label, cells, f"against {control}"))
        for k, layer in enumerate(layers if pick != "ties" else ()):
            places = {arm: Place(quantity, arm, variable=layer.name, level=_nth(layers, k)) for arm in made}
            cells = {arm: _share(found.numbers[place]) for arm, place in places.items()}
            rows.append(Row(f"by {layer.name}", cells, f"against {control}", 1))
    for label, name in _SHOWN:
        rows.append(against(context, f"{label} ({percent} CI)", found.by_arm(name)))
        rows.append(against(context, f"p-value ({label.lower()})", found.by_arm(name), P))
    rows.append(against(context, "p-value (Finkelstein-Schoenfeld)", found.by_arm("finkelstein_schoenfeld"), P))
    named = [(label, e) for label, name in _SHOWN for e in found.by_arm(name).values()]
    left_out = [s for m in made.values() for s in m.strata_left_out]
    by = f", stratified by {', '.join(section.strata)} ({section.weights} weights)" if section.strata else ""
    order = ", then ".join(layer.variables[0] for layer in section.hierarchy)
    return Block(
        section.label or "Win statistics",
        "win",
        context.analysis.dataset,
        None,
        tuple(rows),
        description=f"every pair compared on {order}; {section.variance} variance{by}; against {control}",
        notes=(
            *((section.note,) if section.note else ()),
            *reasons(named),
            *((f"Strata with one arm, left out: {', '.join(left_out)}.",) if left_out else ()),
        ),
        details={"records": records},
        figures=_figure(context, section, found),
    )


def win_regression(context: Prepared, section: WinRegressionSection) -> Found:
    """Patients and pairs, the win ratio of each arm against control, and of each covariate.

    Raises
    ------
    DataError : a variable is not there, or a subject has more than one record.
    """
    from equipoise.estimate.ranks.win_regression import win_regression as estimate

    frame = context.chosen(section.where)
    named = (v for layer in section.hierarchy for v in layer.variables)
    for name in (*named, *section.covariates, *section.strata, "USUBJID"):
        context.need(frame, name)
    one_each(context, frame)
    data = in_order(context, frame)
    arm, layers = context.treatment, [_layer(x) for x in section.hierarchy]
    try:
        made = estimate(data, layers, [arm, *section.covariates], strata=section.strata, level=section.level)
    except DataError as error:
        raise EstimationError(error.message, hint=error.hint) from None
    pairs = made.decided + made.tied
    numbers = {
        Place("patients"): Estimate.of_count("patients, all arms", made.n, made.n),
        Place("pairs_decided"): Estimate.of_count("pairs decided", made.decided, pairs),
    }
    for name, n in made.layers.items():
        numbers[Place("pairs_decided", variable=name)] = Estimate.of_count(f"pairs decided by {name}", n, pairs)
    of_arm = {f"{arm}[{one}]": one for one in others(context)}
    for name, found in zip(made.covariates, made.estimates, strict=True):
        if name in of_arm:
            numbers[Place("win_ratio", of_arm[name])] = found
        elif not name.startswith(f"{arm}[") and name != arm:
            numbers[Place("win_ratio", variable=name)] = found
    return Found(numbers, frame.height)


def _regression_lines(context: Prepared, section: WinRegressionSection, found: Found) -> Block:
    control, last = context.plan.treatment.reference, context.arms[-1]
    percent = f"{100 * section.level:g}%"
    of_arm = found.by_arm("win_ratio")
    rows = [counts("Patients, all arms", {last: int(found.numbers[Place("patients")].estimate)})]
    for place, e in found.numbers.items():
        if place.quantity == "pairs_decided":
            by = place.variable is not None
            rows.append(Row(f"by {place.variable}" if by else "Pairs decided", {last: _share(e)}, None, int(by)))
    rows += [against(context, f"Win ratio ({percent} CI)", of_arm), against(context, "p-value", of_arm, P)]
    named = [("Win ratio", e) for e in of_arm.values()]
    for place, e in found.numbers.items():
        if place.quantity == "win_ratio" and place.variable is not None:
            name = place.variable
            rows.append(Row(f"Win ratio of {name} ({percent} CI)", {last: cell(e)}))
            rows.append(Row(f"p-value ({name})", {last: cell(e, P)}))
            named.append((f"Win ratio of {name}", e))
    order = ", then ".join(layer.variables[0] for layer in section.hierarchy)
    return Block(
        section.label or "Regression of wins",
        "win_regression",
        context.analysis.dataset,
        None,
        tuple(rows),
        description=(
            f"proportional win fractions (Mao and Wang), all pairs compared on {order}"
            + (f" within {', '.join(section.strata)}" if section.strata else "")
            + "; covariates "
            f"{', '.join(section.covariates)}; against {control}"
        ),
        notes=(*((section.note,) if section.note else ()), *reasons(named)),
        details={"records": found.parts},
        figures=_regression_figure(context, section, of_arm),
    )


def _regression_figure(
    context: Prepared, section: WinRegressionSection, of_arm: dict[str, Estimate]
) -> tuple[Figure, ...]:
    if not section.figure or not of_arm:
        return ()
    labels, control = context.plan.treatment.labels, context.plan.treatment.reference
    rows = [(f"Win ratio, {labels.get(one, one)}", e) for one, e in of_arm.items()]
    active = "active" if len(of_arm) > 1 else labels.get(next(iter(of_arm)), next(iter(of_arm)))
    return forest(
        rows,
        caption=section.label or "Regression of wins",
        ratio=True,
        axis="win ratio",
        higher_better=True,
        names=(labels.get(control, control), active),
    )


def one_each(context: Prepared, frame: pl.DataFrame) -> None:
    """Raise :class:`DataError` where a subject has more than one record."""
    doubled = frame.filter(pl.col("USUBJID").is_duplicated())
    if doubled.height:
        raise DataError(
            f"analysis {context.analysis.id}: {doubled['USUBJID'][0]} has more than one record",
            hint="see where: in the plan; dataset: ADSL with gather: has one record a subject",
        )


def _figure(context: Prepared, section: WinSection, found: Found) -> tuple[Figure, ...]:
    if not section.figure:
        return ()
    labels = context.plan.treatment.labels
    control = context.plan.treatment.reference
    made = others(context)
    several = len(made) > 1
    rows = [
        (f"{label}, {labels.get(arm, arm)}" if several else label, e)
        for label, name in _SHOWN
        for arm, e in found.by_arm(name).items()
        if name != "net_benefit"
    ]
    active = "active" if several else labels.get(made[0], made[0])
    return forest(
        rows,
        caption=section.label or "Win statistics",
        ratio=True,
        axis="win ratio and win odds",
        higher_better=True,
        names=(labels.get(control, control), active),
    )


_TESTS = (
    Test("win_ratio", "more"),
    Test("win_odds", "more"),
    Test("net_benefit", "more"),
    Test("finkelstein_schoenfeld", "more", effect=False),
)
METHODS = (
    Method("win", WinSection, win, _lines, "Win statistics", noted=True, by_line=True, tests=_TESTS, block=block),
    Method(
        "win_regression",
        WinRegressionSection,
        win_regression,
        _regression_lines,
        "Proportional win-fractions regression",
        noted=True,
        by_line=True,
        tests=(Test("win_ratio", "more"),),
    ),
)
