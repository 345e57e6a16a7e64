"""Numbers that describe arms under their places: counts with their shares, and curves and means with their limits."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from equipoise.estimate.result import Estimate
from equipoise.plan.methods.registry import Place
from equipoise.plan.prepared import TOTAL, Prepared
from equipoise.types import Status


def arm_of(column: str) -> str | None:
    """The arm of a column of counts; None for all arms together."""
    return None if column == TOTAL else column


def sizes(context: Prepared) -> dict[str, int]:
    """Subjects of the population by column."""
    return {c.name: c.n or 0 for c in context.columns if c.n is not None}


def counted(
    quantity: str,
    found: Mapping[str, int],
    of: Mapping[str, int],
    variable: str | None = None,
    level: str | None = None,
) -> dict[Place, Estimate]:
    """Counts by column as numbers, each with its ``share`` (0 to 1) of the patients in ``of``.

    >>> made = counted("events", {"A": 3}, {"A": 12})
    >>> made[Place("events", "A")].estimate, made[Place("events_share", "A")].estimate
    (3.0, 0.25)
    """
    out: dict[Place, Estimate] = {}
    for column, n in found.items():
        place = Place(quantity, arm_of(column), variable=variable, level=level)
        name = f"{quantity}, {column}"
        out[place] = Estimate.of_count(name, n, of[column])
        share = n / of[column] if of[column] else math.nan
        out[place._replace(quantity=f"{quantity}_share")] = described(name, "share", [share], of[column], scale="share")
    return out


def described(
    name: str, estimator: str, numbers: Sequence[float], n: int, *, level: float = 0.95, scale: str = "value"
) -> Estimate:
    """A number that describes the data, with its standard error and limits where ``numbers`` has them; no test.

    >>> described("A", "Kaplan-Meier estimate", (0.8, 0.1, 0.6, 0.9), 20).low
    0.6
    """
    value, se, low, high = (*map(float, numbers), *[math.nan] * (4 - len(numbers)))
    there = math.isfinite(value)
    return Estimate(
        name,
        estimator,
        value,
        se,
        math.inf if there and not math.isnan(se) else math.nan,
        low,
        high,
        math.nan,
        n,
        level=level,
        scale=scale,
        status=Status.OK if there else Status.NO_DATA,
        form="description",
    )
