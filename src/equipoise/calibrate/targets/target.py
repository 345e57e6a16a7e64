"""One published number with its key and standard error, and the arithmetic behind the latter."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

from equipoise.calibrate.plan import FitPlan
from equipoise.errors import RecordError
from equipoise.plan.key import Key
from equipoise.records.schema import CurvePoint, Record, Value
from equipoise.simulate.scenario import Scenario

Z95 = 1.959963984540054  # normal quantile of 0.975

Use = Literal["fit", "set", "restated", "check"]
SET_BLOCKS = ("shares", "adverse events")
"""Blocks whose numbers are copied into the scenario, not fitted."""

SIMULATED_EVENTS = ("procedure", "symptom", "csf", "neurologic")
"""Categories of adverse events that virtual patients have; summaries and laboratory shifts follow from others."""


class Where(NamedTuple):
    """The source key, the place in it, and how the number was obtained from it."""

    source: str
    place: str
    confidence: str


@dataclass(frozen=True, kw_only=True)
class Target:
    """One published number.

    ``value`` and ``se`` are on the scale of the comparison: natural logs for ratios (``ln`` True), shares for
    percentages. ``se`` is the published standard error, or follows from the published interval, SD and n, or count
    by arithmetic; None where nothing published gives one. ``fit_se`` is what the fit divides by. ``subject`` is what
    a comparison of arms is of, ``quantity`` without the comparison. ``external``: it is of another trial of the drug.
    """

    key: Key
    quantity: str
    subject: str = ""
    outcome: str
    method: str
    unit: str
    scale: str
    value: float
    low: float | None = None
    high: float | None = None
    se: float | None = None
    fit_se: float | None = None
    ln: bool = False
    where: Where
    result: str | None
    block: str | None = None
    external: bool = False
    restates: bool = True
    """Whether it says again, in the randomised period, what was fitted; another end point does not."""
    use: Use = "check"
    """``fit``; ``set`` (a count copied into the scenario); ``same period`` (not fitted, but it restates what was);
    ``check`` (after the randomised period, or another end point, never seen by the fit)."""

    @property
    def id(self) -> str:
        return self.key.id

    @property
    def used(self) -> bool:
        """Whether the fit minimises the distance to this number."""
        return self.use == "fit"


def where(sourced: Value | CurvePoint) -> Where:
    """Where a sourced value of the record came from."""
    return Where(sourced.source or "", sourced.place or "", str(sourced.confidence or ""))


def simulated_set(plan: FitPlan, record_set: str) -> str:
    """The set of the simulation that stands for an analysis set of the record."""
    return plan.sets.get(record_set, record_set)


def fit_sets(scenario: Scenario) -> set[str]:
    """The sets whose numbers are fitted: the recruitment groups, or everyone where there is one group."""
    groups = set(scenario.protocol.groups)
    return groups if len(groups) > 1 else {*groups, "ITT"}


def arm_n(record: Record, group: str, arm: str) -> int:
    """Patients of an analysis set in an arm; :class:`RecordError` where the record has no number."""
    value = record.analysis_set(group).n[arm].value
    if value is None:
        raise RecordError(f"{record.id}: set {group}, arm {arm}: the number of patients is missing")
    return int(value)


def point_se(value: float, se: float | None, low: float | None, high: float | None, ln: bool) -> float | None:
    """The standard error as printed, or from a 95 % interval or one of its limits; None where there is neither."""
    if se is not None:
        return se
    f = math.log if ln else float
    if low is not None and high is not None:
        return (f(high) - f(low)) / (2 * Z95)
    if low is not None:
        return (f(value) - f(low)) / Z95
    if high is not None:
        return (f(high) - f(value)) / Z95
    return None


def share(
    key: Key,
    quantity: str,
    outcome: str,
    sourced: Value,
    count: float,
    total: int,
    result: str,
    block: str | None,
    *,
    restates: bool = True,
) -> Target:
    """A proportion; its standard error by Jeffreys' rule, finite where the count is 0."""
    rough = (count + 0.5) / (total + 1)
    se = math.sqrt(rough * (1 - rough) / total)
    return Target(
        key=key,
        quantity=quantity,
        outcome=outcome,
        method="count",
        unit="share",
        scale="percent",
        value=count / total,
        se=se,
        fit_se=se,
        where=where(sourced),
        result=result,
        block=block,
        restates=restates,
    )
