"""Questions by reader: each reader's takeaways and questions, with the tables that reviewers work from."""

from __future__ import annotations

from equipoise.appraise.context import Context
from equipoise.appraise.questions.asking import by_reader
from equipoise.document.document import Block, Listing, Note, Paragraph, Section
from equipoise.document.readers import READERS


def build(ctx: Context) -> Section | None:
    """One part per reader; with a role, that reader's part alone. None where nothing is left of the choice."""
    writer, reader = ctx.writer, ctx.reader
    asked = by_reader(ctx, reader)
    parts = []
    for role, title in READERS.items():
        if reader.role not in (None, role):
            continue
        blocks: list[Block] = list(asked.get(role, ()))
        if not blocks:
            continue
        blocks.extend(takeaways(ctx, role))
        parts.append(Section(f"for-{role}", writer.words(title), tuple(blocks), reader=role))
    if not parts:
        return None
    intro = Paragraph(
        writer.words(
            "Think first, then open the answer. Each set is written for one reader; choosing a reader adds what the "
            "other sets hold for them."
            if reader.role is None
            else "Think first, then open the answer."
        )
    )
    return Section("questions", writer.words("Questions by reader"), (intro,), tuple(parts))


def takeaways(ctx: Context, role: str) -> list[Block]:
    """The record's statements for a reader, as what to take away."""
    said = ctx.writer.statements(role)
    if not said:
        return []
    body: Block = Listing(said) if len(said) > 1 else Paragraph(said[0])
    return [Note("key", ctx.writer.words("To take away"), (body,))]
