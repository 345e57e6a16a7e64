"""Historical context: what stood before the trial."""

from __future__ import annotations

from equipoise.appraise.context import Context
from equipoise.appraise.phrases import paragraphs
from equipoise.document.document import Block, Link, Listing, Paragraph, Section, Text
from equipoise.document.text import upper


def build(ctx: Context) -> Section | None:
    """The record's statements, and the trials that came before, in order."""
    writer = ctx.writer
    blocks: list[Block] = [Paragraph(s) for s in writer.statements("historical_context")]
    start = ctx.record.design.first_dose
    before = [
        t
        for t in sorted(ctx.record.related, key=lambda t: t.year)
        if start is not None and start.usable and t.year < int(start.date[:4]) and t.usable and t.result.usable
    ]
    items = []
    for t in before:
        said = writer.told(t.result.text, t.result, t, *(v for v in t.values.values() if v.usable))
        if said:
            items.append(
                paragraphs((writer.strong(writer.say("{n} ({d}).", n=t.name, d=t.drug)),), (*upper(said), Text(".")))
            )
    if items:
        blocks.append(Paragraph(writer.words("The trials that stood when this one began:")))
        blocks.append(Listing(tuple(items)))
    if not blocks:
        return None
    if ctx.record.related:
        link = Link(writer.words("Related trials"), "#related")
        blocks.append(Paragraph((*writer.words("What became of each, and what came later: "), link, Text("."))))
    return Section("context", writer.words("Historical context"), tuple(blocks))
