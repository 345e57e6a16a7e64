"""Building the document: read the record, write the sections, hand over the register."""

from __future__ import annotations

from typing import Literal

import equipoise
from equipoise.appraise import single, summaries
from equipoise.appraise.certainty import Judgements, load_judgements
from equipoise.appraise.context import Context
from equipoise.appraise.findings import read
from equipoise.appraise.sections import (
    bottom_line,
    brief,
    certainty,
    coherence,
    design,
    history,
    key_findings,
    limitations,
    next_trial,
    provenance,
    questions,
    related,
    replica,
    results,
    safety,
    significance,
    surrogate,
)
from equipoise.appraise.writer import Writer
from equipoise.document.document import Document, Section
from equipoise.document.readers import Reader
from equipoise.document.text import upper
from equipoise.errors import RecordError
from equipoise.records import load_record
from equipoise.records.schema import Record
from equipoise.replica.replica import Replica

_SECTIONS = (
    brief,
    bottom_line,
    key_findings,
    design,
    results,
    safety,
    replica,
    limitations,
    significance,
    surrogate,
    next_trial,
    certainty,
    questions,
    history,
    related,
    coherence,
    provenance,
)
"""In the order of reading: what was found, benefit and harm, how far to trust it, what to do, what is around it."""


def appraise(
    record: Record | str,
    replica: Replica | None = None,
    *,
    role: str | None = None,
    specialty: str | None = None,
    stage: str | None = None,
    level: str | None = None,
    judgements: Judgements | None = None,
) -> Document:
    """The appraisal of a published trial, a record or its name, as an immutable document.

    ``replica`` adds what the rebuilt trial says; ``role`` (one of :data:`~equipoise.document.readers.READERS`) keeps
    that reader's questions and takeaways alone, ``stage`` and ``level`` those of one stage and level, ``specialty``
    puts its own questions first; ``judgements`` replaces those that come with the package. Raises
    :class:`RecordError` for an unknown reader, or for a replica of another trial.
    """
    record = load_record(record) if isinstance(record, str) else record
    ctx = draft(record, replica, Reader(role, specialty, stage, level), judgements)
    if not ctx.findings.compared:
        # nothing to compare: one group described, or several that had the same treatment
        return finish(ctx, summaries.closed(ctx, (brief.build(ctx), *single.sections(ctx))))
    built = [module.build(ctx) for module in _SECTIONS]
    return finish(ctx, summaries.closed(ctx, tuple(s for s in built if s is not None)))


def draft(
    record: Record, replica: Replica | None = None, reader: Reader | None = None, judgements: Judgements | None = None
) -> Context:
    """What the section builders are handed; raises as :func:`appraise` does."""
    if replica is not None and replica.record != record.id:
        raise RecordError(
            f"the replica is of {replica.record!r}, the record of {record.id!r}",
            hint=f"make one with: equipoise replicate {record.id}",
        )
    return Context(
        record,
        read(record),
        Writer(record, replica),
        replica,
        reader or Reader(),
        judgements or load_judgements(record),
        own_judgements=judgements is not None,
    )


def finish(
    ctx: Context, sections: tuple[Section, ...], kind: Literal["appraisal", "brief", "slides"] = "appraisal"
) -> Document:
    """The document of these sections, with title, subtitle and the register of what its numbers rest on.

    The subtitle of a brief leaves out the citation, which has a line of its own.
    """
    record, writer = ctx.record, ctx.writer
    named = record.acronym and not record.title.startswith(record.acronym)
    title = writer.say("{a}: {t}", a=record.acronym or "", t=record.title) if named else writer.label(record.title)
    subtitle = writer.say("{c}.", c=record.condition[:1].upper() + record.condition[1:])
    if phase := ctx.fact(record.design.phase):
        subtitle = (*subtitle, *writer.words(" "), *upper(phase), *writer.words("."))
    if record.origin == "written" and record.citations and kind == "appraisal":
        subtitle = (*subtitle, *writer.words(" "), *writer.label(record.citations[0].text))
    sponsor = ctx.item("reg_sponsor")
    if sponsor is not None and sponsor.text and (said := writer.told(sponsor.text, sponsor, stop=".")):
        subtitle = (*subtitle, *writer.words(" Sponsor: "), *said)
    return Document(
        title=title,
        subtitle=subtitle,
        record=record.id,
        version=equipoise.__version__,
        audience=ctx.audience,
        sections=sections,
        sources=writer.sources(),
        citations=writer.citations(),
        computations=writer.computations(),
        names=writer.names,
        kind=kind,
    )
