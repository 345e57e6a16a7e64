"""Regressions of one answer a patient in a plan: one model of all arms, each other arm against control by ratio."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.formula import quoted
from equipoise.estimate.result import Estimate
from equipoise.plan.methods.estimates import P, against, forest
from equipoise.plan.methods.registry import Place
from equipoise.plan.prepared import Prepared, others
from equipoise.plan.results import Cell, Figure, Row, cell_of

RATIO = "{estimate:2} ({low:2}; {high:2})"


@dataclass(frozen=True)
class Parts:
    """What lines are written from: the fit, counts of each arm, and notes."""

    fit: Any
    patients: Mapping[str, int]
    counts: Mapping[str, float]
    notes: tuple[str, ...]
    more: Any = None


def formula_of(context: Prepared, response: str, covariates: Sequence[str]) -> str:
    """The response on the arm and the covariates."""
    return f"{response} ~ " + " + ".join([quoted(context.treatment), *map(quoted, covariates)])


def fitted(context: Prepared, data: pl.DataFrame, needed: Sequence[str], fit: Callable[[pl.DataFrame], Any]) -> Any:
    """``fit`` of the patients who have everything; raises :class:`EstimationError` for what these data cannot tell."""
    if not others(context):
        raise EstimationError("the plan has one arm: there is nothing to compare it with")
    known = data.drop_nulls([context.treatment, *needed])
    present = set(known[context.treatment].cast(pl.String).unique().to_list())
    if context.plan.treatment.reference not in present or len(present) < 2:
        raise EstimationError("fewer than two arms have patients with a value")
    try:
        return fit(known)
    except DataError as error:
        raise EstimationError(error.message, hint=error.hint) from None


def ratios(context: Prepared, estimates: Sequence[Estimate], quantity: str) -> dict[Place, Estimate]:
    """The estimates under their places: those of the arm by arm, others by variable."""
    arm = context.treatment
    out = {}
    for one in estimates:
        inside = one.term.removeprefix(f"{quoted(arm)}[T.").removesuffix("]")
        place = (
            Place(quantity, inside) if one.term.startswith(f"{quoted(arm)}[T.") else Place(quantity, variable=one.term)
        )
        out[place] = one
    return out


def ratio_lines(
    context: Prepared, numbers: Mapping[Place, Estimate], quantity: str, label: str, level: float
) -> list[Row]:
    """The ratio of each other arm to control and its p-value, then those of the covariates."""
    percent = f"{100 * level:g}%"
    arms = {p.arm: e for p, e in numbers.items() if p.quantity == quantity and p.arm is not None and p.variable is None}
    rows = [against(context, f"{label} ({percent} CI)", arms, RATIO), against(context, "p-value", arms, P)]
    first = next(iter(arms), None)
    for place, one in numbers.items():
        if place.quantity == quantity and place.variable is not None and first is not None:
            cell = cell_of("{estimate:2} ({low:2}; {high:2}), p {p:p4}", _values(one))
            rows.append(Row(f"{place.variable} ({percent} CI)", {first: cell}, "covariate"))
    return rows


def _values(one: Estimate) -> dict[str, float | None]:
    from equipoise.plan.methods.estimates import values_of

    return values_of(one)


def count_row(label: str, counts: Mapping[str, float]) -> Row:
    """A line of numbers by arm."""
    return Row(label, {arm: Cell(f"{n:g}", {"n": float(n)}, {"n": f"{n:g}"}) for arm, n in counts.items()})


def drawn(
    context: Prepared, numbers: Mapping[Place, Estimate], quantity: str, caption: str, higher_better: bool | None
) -> tuple[Figure, ...]:
    """A forest of the arms against control."""
    found = [
        (str(p.arm), e) for p, e in numbers.items() if p.quantity == quantity and p.arm is not None and not p.visit
    ]
    control = context.plan.treatment.reference
    return forest(
        found,
        caption=caption,
        ratio=True,
        axis=caption.lower(),
        higher_better=higher_better,
        names=(control, found[0][0] if len(found) == 1 else "the other arm"),
    )


def by_arm(context: Prepared, data: pl.DataFrame, what: pl.Expr) -> dict[str, float]:
    """A number of each arm of the plan."""
    arm = context.treatment
    return {a: float(data.filter(pl.col(arm) == a).select(what).item() or 0.0) for a in context.arms}
