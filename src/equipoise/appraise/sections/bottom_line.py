"""The bottom line: the verdict, the key figures, and what a reader in a hurry has to know."""

from __future__ import annotations

from equipoise.appraise.context import Context
from equipoise.appraise.open_verdict import open_reason
from equipoise.appraise.phrases import (
    co_primary_sentence,
    disputed_sentence,
    interval_sentence,
    margin_sentence,
    paragraphs,
    primary_sentence,
    question_sentence,
    replica_sentence,
    split_sentence,
    untested_sentence,
)
from equipoise.appraise.sections.replica import main_answers, reading
from equipoise.document.document import Block, Link, Note, Paragraph, Section, Text
from equipoise.document.readers import READERS


def build(ctx: Context) -> Section:
    """The verdict and what its interval leaves room for, then what the rebuilt trial adds.

    The primary contrast and how sure one can be stand in the brief above it; the values of each arm, the
    secondary outcomes and the later comparison come with the key findings, and only there.
    """
    writer, f = ctx.writer, ctx.findings
    opening = {
        True: ctx.say("{trial} met its primary endpoint."),
        False: ctx.say("{trial} missed its primary endpoint."),
        None: ctx.say("The record of {trial} gives no verdict on its primary endpoint: {why}.", why=open_reason(ctx))
        if f.outcome is not None and (f.primary is not None or f.rows)
        else ctx.say("The record of {trial} does not say whether its primary endpoint was met."),
    }[f.met]
    if f.disputed:
        opening = disputed_sentence(ctx)
    opening = margin_sentence(ctx) or untested_sentence(ctx) or opening
    said = writer.statements("bottom_line")
    blocks: list[Block] = []
    # statements of the record say it better than that nothing could be read from its numbers
    head = () if f.met is None and said and not f.disputed else (writer.strong(opening),)
    lead = paragraphs(head, *said)
    told = () if f.met is not None or f.disputed or said else primary_sentence(ctx)
    body = [paragraphs(told, interval_sentence(ctx), question_sentence(ctx), co_primary_sentence(ctx))]
    if lead:
        blocks.append(Paragraph(lead, lead=True))
    if split_sentence(ctx):
        more = Link(writer.words("more on this"), "#coherence")
        words = "The P value and the interval of the primary endpoint come from different analyses: "
        body.append((*writer.words(words), more, Text(".")))
    blocks.extend(Paragraph(b) for b in body if b)
    if ctx.replica is not None and ctx.replica.answers:
        answers = [replica_sentence(ctx, a.sentence, a.command, a.question) for a in main_answers(ctx.replica)]
        extra = [Paragraph(r)] if (r := reading(ctx)) else []
        blocks.append(
            Note("info", writer.words("What the rebuilt trial adds"), (Paragraph(paragraphs(*answers)), *extra))
        )
    if ctx.audience is not None and (own := writer.statements(ctx.audience)):
        blocks.append(
            Note("key", writer.words(f"For the {READERS[ctx.audience].lower()}"), tuple(Paragraph(s) for s in own))
        )
    return Section("bottom-line", writer.words("Bottom line"), tuple(blocks))
