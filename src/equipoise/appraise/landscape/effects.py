"""Effects of many trials on scales they share: function in points a month, survival as a hazard ratio, neurofilament
as a ratio of geometric means. What cannot be put on a scale is told with the reason, never left out in silence.

Differences at a visit are divided by the months since baseline: the average difference a month over that time, which is
the difference of slopes only if the arms part along straight lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

from equipoise.appraise.findings import usable
from equipoise.records.schema import Record, Result, Value
from equipoise.types import DAYS_PER_MONTH

Scale = Literal["function", "rate_ratio", "survival", "neurofilament"]
_FUNCTION = ("ALSFRS",)
MARKERS = ("NFL", "CSFNFL", "PNFH", "CSFPNFH")
_CHANGES = ("adjusted_mean_change", "mean_change", "adjusted_mean")


@dataclass(frozen=True, slots=True)
class Monthly:
    """A difference a month, with its interval where there is one."""

    estimate: float
    low: float | None
    high: float | None


def months(weeks: float) -> float:
    """Weeks as months of 30.4375 days."""
    return weeks * 7.0 / DAYS_PER_MONTH


def monthly(difference: float, low: float | None, high: float | None, weeks: float) -> Monthly:
    """A difference at a visit as points a month."""
    m = months(weeks)
    return Monthly(difference / m, None if low is None else low / m, None if high is None else high / m)


def monthly_from_se(difference: float, se: float, weeks: float, level: float = 0.95) -> Monthly:
    """The same where the source prints a standard error: a normal interval."""
    half = NormalDist().inv_cdf(0.5 + level / 2.0) * se
    return monthly(difference, difference - half, difference + half, weeks)


@dataclass(frozen=True)
class Effect:
    """One result that can be put on a scale. ``weeks`` is None where it already is on it."""

    record: Record
    scale: Scale
    sourced: Value
    kind: Literal["difference", "ratio", "hazard_ratio"]
    result: Result | None
    weeks: float | None = None
    late: bool = False
    """Early against delayed start, not active against control."""
    caution: str | None = None


@dataclass(frozen=True)
class Missing:
    """A trial that a scale cannot hold, and why."""

    record: Record
    scale: Scale
    reason: str


def effects(record: Record) -> Iterator[Effect | Missing]:
    """What a record gives to each scale: effects, or the reason why there is none."""
    function = _function(record)
    yield function
    if (ratio := _rate_ratio(record)) is not None:
        yield ratio
    yield from _survival(record)
    found = function.result if isinstance(function, Effect) else None
    yield from _neurofilament(record, None if found is None else found.set)


def measures_marker(record: Record) -> bool:
    """Whether neurofilament is among the outcomes of a record; a registry entry, which has ids of its own, names it."""
    return any(o.id in MARKERS or "neurofilament" in o.label.lower() for o in record.outcomes)


def _main(record: Record, outcomes: tuple[str, ...]) -> list[Result]:
    """Results of some outcomes, the primary result first, then main randomised ones."""
    found = [r for r in record.results if r.outcome in outcomes and r.role != "sensitivity"]
    order = {"randomised": 0, "early_delayed": 1}
    return sorted(
        found, key=lambda r: (r.id != record.primary_result, r.role != "main", order[r.comparison], r.set != "ITT")
    )


def _function(record: Record) -> Effect | Missing:
    results = _main(record, _FUNCTION)
    if not results:
        return Missing(record, "function", "no result on the ALSFRS-R in what was read")
    for r in results:
        c = r.contrast
        if r.role != "main" or r.comparison != "randomised" or c is None or not usable(c) or c.kind != "difference":
            continue
        if r.measure == "rate_of_change":
            return Effect(record, "function", c, "difference", r)
        if r.measure in _CHANGES and r.week:
            return Effect(record, "function", c, "difference", r, float(r.week))
    if any(r.role == "subgroup" and usable(r.contrast) for r in results):
        return Missing(record, "function", "results in subgroups alone")
    if any(usable(r.contrast) for r in results):
        return Missing(record, "function", "early against delayed start alone")
    if any(p.usable for r in results for p in r.p):
        return Missing(record, "function", "a test without an estimate")
    return Missing(record, "function", "words without a difference")


def _rate_ratio(record: Record) -> Effect | None:
    for r in _main(record, ("DRR",)):
        if usable(r.contrast) and r.contrast is not None and r.contrast.kind == "ratio":
            return Effect(record, "rate_ratio", r.contrast, "ratio", r)
    return None


def _survival(record: Record) -> Iterator[Effect | Missing]:
    events = tuple(o.id for o in record.outcomes if o.scale == "time_to_event")
    fatal = tuple(o for o in events if o.startswith(("DEATH", "DTH")) and not o.endswith(("HOSP", "PROG", "FRS", "WD")))
    seen: set[str] = set()
    for r in _main(record, fatal):
        if r.role != "main" or not usable(r.contrast) or r.contrast is None or r.measure != "time_to_event":
            continue
        if r.comparison in seen or (method := _method(record, r)) == "nfl":
            continue
        seen.add(r.comparison)
        kind = r.contrast.kind
        caution = "a relative risk" if kind == "ratio" else None
        if method == "unadjusted":
            caution = "unadjusted"
        yield Effect(record, "survival", r.contrast, kind, r, late=r.comparison == "early_delayed", caution=caution)
    if not seen and any(r.outcome in (*fatal, "ALIVE") for r in record.results):
        yield Missing(record, "survival", "counts, medians or words without a hazard ratio")


def _method(record: Record, r: Result) -> str:
    """Whether an analysis adjusts for the marker that is to be judged, or for nothing."""
    found = next((m for m in record.methods if m.id == r.method), None)
    if found is not None and found.adjusts_nfl:
        return "nfl"
    return "unadjusted" if found is not None and tuple(found.covariates) == ("treatment",) else ""


def _neurofilament(record: Record, population: str | None) -> Iterator[Effect | Missing]:
    """The marker, in the ``population`` of the effect on function where it is told there: both of the same people."""
    told = False
    done: set[str] = set()
    for r in sorted(_main(record, MARKERS), key=lambda r: r.set != population):
        told = True
        c = r.contrast
        if r.role != "main" or c is None or not usable(c) or c.kind != "ratio" or r.outcome in done:
            continue
        if r.comparison != "randomised" or c.low is None:
            continue
        done.add(r.outcome)
        yield Effect(record, "neurofilament", c, "ratio", r)
    if not done:
        for item in record.items:
            ratio = item.values.get("ratio")
            if item.section == "surrogacy" and ratio is not None and ratio.usable and ratio.low is not None:
                yield Effect(record, "neurofilament", ratio, "ratio", None, caution="heavy chain, approximate")
                return
        if told:
            yield Missing(record, "neurofilament", "measured, but reported in words or without a ratio")
