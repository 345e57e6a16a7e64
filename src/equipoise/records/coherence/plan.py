"""What was planned: analyses chosen late, analyses called planned after unblinding, steps after a failed one."""

from __future__ import annotations

from equipoise.records.coherence.note import Note, name_of, shown_p
from equipoise.records.schema import Record


def plan_notes(record: Record) -> tuple[Note, ...]:
    """All notes on pre-specification, then those on the test sequence."""
    return (*_prespecification(record), *_too_late(record), *_gatekeeping(record))


def _prespecification(record: Record) -> tuple[Note, ...]:
    out = []
    for result in record.results:
        pre = result.prespecified
        if pre is None or pre.verdict == "yes":
            continue
        against = ", ".join(o.who for o in pre.by if o.verdict == "no")
        other = ", ".join(o.who for o in pre.by if o.verdict == "yes")
        what = "was not pre-specified" if pre.verdict == "no" else "is disputed as to pre-specification"
        said = f" (according to {against})" if against else ""
        claimed = f"; {other} calls it pre-specified" if other else ""
        refs = [result.id, *(o.source for o in pre.by if o.source is not None)]
        out.append(
            Note(
                f"prespecified_{result.id}",
                "not_prespecified",
                f"{name_of(record, result)} {what}{said}{claimed}",
                "an analysis chosen after the data were seen has no known error rate: read it as a hypothesis",
                tuple(dict.fromkeys(refs)),
                result.id,
                primary=result.id == record.primary_result,
                certainty="certain",
                block=result.id,
            )
        )
    return tuple(out)


def _too_late(record: Record) -> tuple[Note, ...]:
    """Analyses called pre-specified although they were fixed after the data were unblinded (the database lock)."""
    lock = record.design.database_lock
    if lock is None or not lock.usable:
        return ()
    out = []
    for result in record.results:
        pre = result.prespecified
        if pre is None or pre.fixed is None or not pre.fixed.usable:
            continue
        claimed = pre.verdict == "yes" or any(o.verdict == "yes" for o in pre.by)
        width = min(len(lock.date), len(pre.fixed.date))
        if claimed and pre.fixed.date[:width] > lock.date[:width]:
            out.append(
                Note(
                    f"late_{result.id}",
                    "prespecified_after_unblinding",
                    f"{name_of(record, result)} is called pre-specified, but was fixed on {pre.fixed.date}, after the "
                    f"database lock of {lock.date}",
                    "a plan written when the data could be seen protects against nothing",
                    (result.id, "design.database_lock"),
                    result.id,
                    primary=result.id == record.primary_result,
                    certainty="certain",
                    block=result.id,
                )
            )
    return tuple(out)


def _gatekeeping(record: Record) -> tuple[Note, ...]:
    """Results further down the test sequence than a step that failed, and reported with a small p-value."""
    sequence = sorted((o for o in record.outcomes if o.test_order is not None), key=lambda o: o.test_order or 0)
    failed = None
    out = []
    for outcome in sequence:
        tested = [
            r
            for r in record.results
            if r.outcome == outcome.id
            and r.set == outcome.set
            and r.week == outcome.week
            and r.role == "main"
            and r.comparison == "randomised"
        ]
        for result in tested:
            if failed is not None:
                small = [p for p in result.p if p.usable and p.value is not None and p.value < p.held_to]
                if small:
                    p = small[0]
                    out.append(
                        Note(
                            f"gate_{result.id}",
                            "after_failed_gatekeeper",
                            f"{name_of(record, result)}: {shown_p(p)} is nominal, since the sequence stopped at "
                            f"{failed.label}",
                            "the trial's error rate was spent on the failed step: in its own terms this is not "
                            "significant",
                            (f"{result.id}.p.{p.method}",),
                            result.id,
                            certainty="certain",
                            block=result.id,
                        )
                    )
            else:
                formal = [p for p in result.p if p.usable and p.status == "formal" and p.value is not None]
                if formal and all(p.value is not None and p.value >= p.held_to for p in formal):
                    failed = outcome
    return tuple(out)
