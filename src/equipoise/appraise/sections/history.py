"""Historical context: what stood before the trial."""

from __future__ import annotations

from equipoise.appraise.context import Context
from equipoise.document.document import Block, Link, Paragraph, Section, Text


def build(ctx: Context) -> Section | None:
    """The record's statements, and where the other trials stand."""
    writer = ctx.writer
    blocks: list[Block] = [Paragraph(s) for s in writer.statements("historical_context")]
    if not blocks:
        return None
    if ctx.record.related:
        link = Link(writer.words("Related trials"), "#related")
        blocks.append(Paragraph((*writer.words("The trials before and after it: "), link, Text("."))))
    return Section("context", writer.words("Historical context"), tuple(blocks))
