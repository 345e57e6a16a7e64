"""Building the document: read the record, write the sections, hand over the register."""

from __future__ import annotations

import equipoise
from equipoise.appraise.context import READERS, Context
from equipoise.appraise.document import Document, Section
from equipoise.appraise.findings import read
from equipoise.appraise.pen import Pen, upper
from equipoise.appraise.replica import Replica
from equipoise.appraise.sections import (
    bottom_line,
    coherence,
    design,
    discussion,
    history,
    key_findings,
    limitations,
    made,
    related,
    replica,
    results,
    safety,
    scholarly,
    significance,
)
from equipoise.errors import RecordError
from equipoise.records.schema import Record

_SECTIONS = (
    bottom_line, key_findings, design, results, replica, limitations, significance, history, safety, discussion,
    scholarly, related, coherence, made,
)  # fmt: skip


def appraise(record: Record, replica: Replica | None = None, *, audience: str | None = None) -> Document:
    """The appraisal of a published trial as an immutable document.

    ``replica`` adds what the rebuilt trial says; ``audience`` (one of :data:`READERS`) keeps that reader's questions
    and takeaways alone. Raises :class:`RecordError` for an unknown audience, for a replica of another trial, or for a
    record without arms.
    """
    if audience is not None and audience not in READERS:
        raise RecordError(f"there is no reader {audience!r}", hint="readers are: " + ", ".join(READERS))
    if replica is not None and replica.record != record.id:
        raise RecordError(
            f"the replica is of {replica.record!r}, the record of {record.id!r}",
            hint=f"make one with: equipoise replicate {record.id}",
        )
    if len(record.arms) < 2:
        raise RecordError(f"{record.id} has fewer than two arms", hint="an appraisal compares two arms")
    pen = Pen(record, replica)
    ctx = Context(record, read(record), pen, replica, audience)
    built = [module.build(ctx) for module in _SECTIONS]
    sections: tuple[Section, ...] = tuple(s for s in built if s is not None)
    named = record.acronym and not record.title.startswith(record.acronym)
    title = pen.say("{a}: {t}", a=record.acronym or "", t=record.title) if named else pen.label(record.title)
    start = record.design
    subtitle = pen.say("{c}.", c=record.condition[:1].upper() + record.condition[1:])
    if phase := ctx.fact(start.phase):
        subtitle = (*subtitle, *pen.words(" "), *upper(phase), *pen.words("."))
    return Document(
        title=title,
        subtitle=subtitle,
        record=record.id,
        version=equipoise.__version__,
        audience=audience,
        sections=sections,
        sources=pen.sources(),
        citations=pen.citations(),
        computations=pen.computations(),
        names=pen.names,
    )
