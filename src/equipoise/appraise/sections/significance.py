"""Clinical significance: what the numbers mean at the bedside, and what regulators made of them."""

from __future__ import annotations

from equipoise.appraise.context import Context
from equipoise.appraise.numbers import date_text
from equipoise.appraise.phrases import interval_sentence, paragraphs
from equipoise.document.document import Block, Inlines, Link, Listing, Note, Paragraph, Section, Text


def build(ctx: Context) -> Section:
    """Statements of the record, the size of the effect, decisions of regulators, and what a marker can say."""
    writer, f = ctx.writer, ctx.findings
    blocks: list[Block] = [Paragraph(s) for s in writer.statements("clinical_significance")]
    size = paragraphs(interval_sentence(ctx))
    if size and not blocks:
        blocks.append(Paragraph(size))
    decisions = [d for r in ctx.decisions if (d := decision_sentence(ctx, r))]
    if decisions:
        blocks.append(Paragraph(writer.words("What regulators and their advisers decided:")))
        blocks.append(Listing(tuple(decisions)))
    if f.biomarkers():
        blocks.append(Note("info", writer.words("A marker as a stand-in for benefit"), (Paragraph(_marker(ctx)),)))
    if f.serious_neurologic() is not None:
        harm = writer.words("On the other side is the harm, which is counted under ")
        blocks.append(Paragraph((*harm, Link(writer.words("safety"), "#safety"), Text("."))))
    if not blocks:
        blocks.append(Paragraph(writer.words("The record says nothing on this.")))
    return Section("significance", writer.words("Clinical significance"), tuple(blocks))


def decision_sentence(ctx: Context, r) -> Inlines:  # type: ignore[no-untyped-def]
    writer = ctx.writer
    if not r.usable:
        return ()
    head: Inlines = (writer.strong(writer.label(r.authority)),)
    if r.date is not None:
        head = (*head, *writer.say(", {d}", d=writer.cite(date_text(r.date), r)))
    said = writer.told(r.decision, r, *r.values.values())
    if not said:
        return ()
    out = (*head, Text(": "), *said)
    if r.text and (more := writer.quote(r.text, r, *r.values.values())):
        out = (*out, Text("; "), *more)
    return (*out, Text("."))


def _marker(ctx: Context) -> Inlines:
    f, writer = ctx.findings, ctx.writer
    out = writer.words(
        "That a drug moves a marker shows that it acts. That the marker's level predicts the course makes it "
        "prognostic. Neither shows that moving the marker moves the course: for that, effects on the marker have to "
        "predict effects on the outcome across trials. "
    )
    if f.met is False:
        out = (*out, *writer.say("This trial cannot show that, since its own clinical effect was not shown."))
    else:
        out = (*out, *writer.say("One trial gives a single pair of effects."))
    return out
