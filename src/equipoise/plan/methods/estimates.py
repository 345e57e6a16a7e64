"""From estimates of an estimator to lines of a table: what every method that compares two arms does alike."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from equipoise.estimate.result import Estimate
from equipoise.plan.prepared import Prepared
from equipoise.plan.results import Cell, Figure, Row, cell_of

DIFFERENCE = "{estimate:2} ({low:2}; {high:2})"
P = "{p:p4}"


def finite(value: float | None) -> float | None:
    """The number, or None where it is not one."""
    return None if value is None or not math.isfinite(value) else float(value)


def values_of(estimate: Estimate) -> dict[str, float | None]:
    """The numbers of an estimate by name, None for those that are not there; ``null`` is the value of no effect."""
    found = {k: finite(getattr(estimate, k)) for k in ("estimate", "se", "df", "low", "high", "p")}
    return {**found, "null": estimate.null, **({"sided": 1.0} if estimate.sided == 1 else {})}


def from_row(
    row: Mapping[str, Any],
    *,
    name: str,
    estimator: str,
    n: int,
    level: float,
    scale: str = "difference",
    ratio: bool = False,
) -> Estimate:
    """A row of a table of a fit (``estimate``, ``se``, ``df``, ``t``, ``p``, ``lower``, ``upper``) as an estimate.

    ratio : the row is of logarithms: estimate and interval are exponentiated, ``se`` stays that of the logarithm.
    """
    value, low, high = (float(row[k]) for k in ("estimate", "low", "high"))
    if ratio:
        value, low, high = (math.exp(v) if not v > 709.0 else math.inf for v in (value, low, high))
    return Estimate(
        name,
        estimator,
        value,
        row["se"],
        row["df"],
        low,
        high,
        row["p"],
        n,
        level,
        scale=scale,
        ratio=ratio,
        statistic=row["statistic"],
    )


def cell(estimate: Estimate, show: str = DIFFERENCE) -> Cell:
    """An estimate as a cell."""
    return cell_of(show, values_of(estimate))


def against(context: Prepared, label: str, found: Mapping[str, Estimate], show: str = DIFFERENCE) -> Row:
    """A line of comparisons with control, each in the column of its arm."""
    cells = {arm: cell(e, show) for arm, e in found.items()}
    return Row(label, cells, f"against {context.plan.treatment.reference}")


def by_arm(label: str, found: Mapping[str, Estimate], show: str = DIFFERENCE) -> Row:
    """A line of one number an arm."""
    return Row(label, {arm: cell(e, show) for arm, e in found.items()})


def counts(label: str, found: Mapping[str, int]) -> Row:
    """A line of counts."""
    return Row(label, {arm: Cell(str(n), {"n": float(n)}, {"n": str(n)}) for arm, n in found.items()})


def reasons(named: Iterable[tuple[str, Estimate]]) -> tuple[str, ...]:
    """Why estimates are not there, or what is to be said of them, each once."""
    said = []
    for name, estimate in named:
        if not estimate.estimable or estimate.detail:
            said.append(f"{name}: {estimate.reason}.")
    return tuple(dict.fromkeys(said))


def short(reason: str) -> str:
    """A reason without the counts in brackets."""
    return reason.split(" (")[0]


def forest(
    rows: Sequence[tuple[str, Estimate]],
    *,
    caption: str,
    ratio: bool,
    axis: str,
    higher_better: bool | None,
    names: tuple[str, str],
    interval: str | None = None,
) -> tuple[Figure, ...]:
    """A forest plot of estimates, ``names`` being control and active; none where nothing is estimable."""
    if not any(e.estimable for _, e in rows):
        return ()
    table: list[dict[str, Any]] = [
        {
            "label": label,
            **{k: v for k, v in values_of(e).items() if k in ("estimate", "low", "high")},
            "reason": "" if e.estimable else short(e.reason),
        }
        for label, e in rows
    ]
    control, active = names
    better = (None, None) if higher_better is None else (control, active) if higher_better else (active, control)
    level = 100 * rows[0][1].level
    options = {
        "interval": interval or f"estimate ({level:g} % CI)",
        "log": ratio,
        "axis": axis,
        "better_low": better[0] and f"favours {better[0]}",
        "better_high": better[1] and f"favours {better[1]}",
    }
    return (Figure("forest", caption, tuple(table), options),)


def percentage(e: Estimate) -> Cell:
    """A difference in percentage points with its limits."""
    if not e.estimable:
        return cell(e, "{estimate:1} ({low:1}; {high:1})")
    return cell_of("{estimate:1} ({low:1}; {high:1})", {k: 100.0 * getattr(e, k) for k in ("estimate", "low", "high")})
