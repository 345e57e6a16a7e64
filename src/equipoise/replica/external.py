"""Other trials of the drug, foretold by the mechanisms as fitted: what to compare, and the comparison in words."""

from __future__ import annotations

import math
from collections.abc import Mapping

from equipoise.calibrate.targets import Target, Where
from equipoise.errors import ScenarioError
from equipoise.plan.compiled import TimeToEvent
from equipoise.plan.deciding import deciding
from equipoise.plan.key import Key
from equipoise.records.schema import Record, Value
from equipoise.replica.answers import TEST_NAMES, Asked, met
from equipoise.replica.replica import Answer
from equipoise.simulate.external import ExternalTrial
from equipoise.types import FloatArray


def published(record: Record, other: ExternalTrial) -> Mapping[str, Value]:
    """The second trial's numbers, where this trial's record keeps them."""
    holders = {**{t.id: t.values for t in record.related}, **{i.id: i.values for i in record.items}}
    if other.item in holders:
        return holders[other.item]
    raise ScenarioError(
        f"elsewhere {other.id!r}: the record {record.id!r} has no item or related trial {other.item!r}",
        hint="give the id of one that holds the second trial's numbers",
    )


def elsewhere_targets(record: Record, other: ExternalTrial) -> tuple[Target, ...]:
    """What was published of the second trial, as checks; the comparison of the arms comes first."""
    values = published(record, other)

    def value(key: str) -> Value:
        if key not in values or not values[key].usable:
            raise ScenarioError(f"elsewhere {other.id!r}: {other.item!r} holds no number {key!r} that may be used")
        return values[key]

    out: list[Target] = []
    analysis = other.form
    subject = next((o.label for o in record.outcomes if o.id == analysis.subject), analysis.subject)
    shares: list[tuple[float, float]] = []
    if isinstance(analysis, TimeToEvent):
        for arm, key in other.free_of_event.items():
            sourced = value(key)
            total = int(sourced.total or 0)
            free = float(sourced.value or 0)
            share = 1 - free / total
            se = math.sqrt((free + 0.5) * (total - free + 0.5)) / (total + 1) / math.sqrt(total)
            shares.append((share, se))
            out.append(
                _target(
                    other,
                    sourced,
                    subject,
                    Key("event_share", variable=analysis.event, set=analysis.set, arm=arm, week=analysis.week),
                    "percent",
                    share,
                    se,
                )
            )
        if len(shares) == 2:
            (control, se_control), (active, se_active) = shares
            at = Key(
                "event_share", variable=analysis.event, statistic="difference", set=analysis.set, week=analysis.week
            )
            se = math.hypot(se_control, se_active)
            sourced = value(next(reversed(other.free_of_event.values())))
            what = f"{subject}, difference between the arms in percentage points"
            difference = _target(
                other, sourced, what, at, "percent", active - control, se, derived=True, subject=subject
            )
            out.insert(0, difference)
    if other.contrast is not None:
        sourced = value(other.contrast)
        ln = isinstance(analysis, TimeToEvent)
        number = float(sourced.value or 0)
        week = None if ln else analysis.week
        out.insert(
            0,
            _target(
                other,
                sourced,
                f"{subject}, " + ("hazard ratio" if ln else "difference between the arms"),
                Key("contrast", analysis=analysis.id, week=week),
                "hazard_ratio" if ln else "difference",
                math.log(number) if ln else number,
                sourced.se,
                ln=ln,
                subject=subject,
            ),
        )
    for test, key in other.p.items():
        sourced = value(key)
        p = deciding(other.plan, f"{analysis.id}.{test}").p
        what = f"P value, {TEST_NAMES[test]}"
        out.append(_target(other, sourced, what, p, "p", float(sourced.value or 0), None))
    return tuple(out)


def _target(
    other: ExternalTrial,
    sourced: Value,
    what: str,
    key: Key,
    scale: str,
    value: float,
    se: float | None,
    *,
    ln: bool = False,
    derived: bool = False,
    subject: str = "",
) -> Target:
    confidence = "derived" if derived else str(sourced.confidence or "")
    return Target(
        key=key,
        quantity=f"{other.label[:1].upper()}{other.label[1:]}: {what}",
        subject=subject,
        external=True,
        outcome=other.id,
        method="count" if scale == "percent" else other.test if scale != "p" else key.quantity.removeprefix("p_"),
        unit="share" if scale == "percent" else "",
        scale=scale,
        value=value,
        se=se,
        ln=ln,
        where=Where(sourced.source or "", sourced.place or "", confidence),
        result=other.item,
        use="check",
    )


def elsewhere_measures(record: Record, other: ExternalTrial) -> tuple[Key, ...]:
    """What is read off a replicate of the second trial."""
    decider = deciding(other.plan, other.plan.primary)
    wanted = (*(t.key for t in elsewhere_targets(record, other)), decider.p, decider.estimate)
    return tuple(dict.fromkeys(wanted))


def elsewhere_answer(ask: Asked, other: ExternalTrial, values: Mapping[Key, FloatArray], *, works: bool) -> Answer:
    """How often the second trial would be significant if the drug did there what was fitted here, or did nothing."""
    d = deciding(other.plan, other.plan.primary)
    hits = met(values[d.p], d.favour(values[d.estimate]), other.plan.alpha)
    condition = ask.works if works else f"if the drug {ask.nothing}"
    test = TEST_NAMES[other.test]
    return ask.answer(
        f"external:{other.id}" + ("" if works else ":nothing"),
        "external",
        f"How often would {other.label} be significant in the drug's favour ({test}) {condition}?",
        hits,
        f"{other.label[:1].upper()}{other.label[1:]} would be significant in the drug's favour ({test}) {{times}} "
        f"{condition}.",
    )


def elsewhere_note(other: ExternalTrial) -> str:
    """What the second trial was lent, for a reader to judge the comparison by."""
    return f"{other.label[:1].upper()}{other.label[1:]}: predicted as if it had shared with this one {other.assumed}."
