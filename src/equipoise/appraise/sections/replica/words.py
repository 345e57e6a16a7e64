"""Words that the parts of the section share: what a mechanism is, and what a trial's shape lets be said of it."""

from __future__ import annotations

from equipoise.appraise.context import Context
from equipoise.document.text import short
from equipoise.records.schema import Result
from equipoise.replica.replica import MechanismRow, Replica, ReplicaRow

MECHANISMS = {
    "none": "no effect on function",
    "symptomatic": "a lift that leaves the rate of loss as it was",
    "slowing": "slower loss from the first dose on",
    "lagged": "slower loss, after a delay",
    "survival": "a lower hazard, by the same factor throughout",
    "waning": "a lower hazard, by a factor that fades with time on the drug",
}

LOG = {"ratio", "hazard_ratio", "gmr"}
"""Scales that are compared as logarithms."""


def about_events(replica: Replica) -> bool:
    """Whether the rebuilt trial is about events alone, not about function."""
    return not replica.on_function


def mechanism_words(replica: Replica, name: str) -> str:
    """What a mechanism is, in words."""
    return "no effect" if name == "none" and about_events(replica) else MECHANISMS.get(name, "")


def nothing(replica: Replica) -> str:
    """What a drug does that does not work: one that moves a biomarker may still do nothing for function."""
    return "does nothing" if about_events(replica) else "does nothing for function"


def period(ctx: Context) -> str:
    """What the period is called that a replica is fitted to."""
    return "fitted period" if ctx.record.extension is None else "randomised period"


def known(ctx: Context, id: str | None) -> Result | None:
    """The result of the record by its id, if it is one."""
    return next((r for r in ctx.record.results if r.id == id), None)


def difference(r: ReplicaRow | MechanismRow) -> bool:
    """Whether a row holds the difference of two shares, in percentage points."""
    return r.scale == "percent" and r.key.statistic == "difference"


def after_primary(ctx: Context, result: str | None, week: float | None = None) -> bool:
    """Whether a result comes after the primary end point."""
    found = known(ctx, result)
    if found is not None and found.week is not None:
        week = float(found.week)
    end = ctx.findings.week
    return week is not None and end is not None and week > float(end)


def held(ctx: Context, m: MechanismRow) -> bool:
    """Whether no fit has seen a result: as the replica says, else because it comes after the primary end point."""
    return after_primary(ctx, m.result) if m.held is None else m.held


def use_of(ctx: Context, r: ReplicaRow) -> str:
    """``fit``, ``check`` (after the fitted period), ``same period`` (not fitted, yet no independent check), or ``set``
    (put in as published)."""
    return "fit" if r.used_in_fit else str(r.use)


def title_of(ctx: Context, r: ReplicaRow) -> str | None:
    """What a row's outcome is called; None for one that is no outcome of the record."""
    label = next((short(o.label) for o in ctx.record.outcomes if o.id == r.outcome), None)
    if label is not None:
        return label
    return "Another trial of the drug" if r.external else None
