"""Clinical significance: what the numbers mean at the bedside, and what regulators made of them."""

from __future__ import annotations

from equipoise.appraise.context import Context
from equipoise.appraise.phrases import interval_sentence, neuro_sentence, paragraphs
from equipoise.appraise.show import date_text
from equipoise.document.document import Block, Inlines, Listing, Note, Paragraph, Section, Text


def build(ctx: Context) -> Section:
    """Statements of the record, the size of the effect, decisions of regulators, and what a marker can say."""
    pen, f = ctx.pen, ctx.findings
    blocks: list[Block] = [Paragraph(s) for s in pen.statements("clinical_significance")]
    size = paragraphs(interval_sentence(ctx))
    if size and not blocks:
        blocks.append(Paragraph(size))
    decisions = [d for r in ctx.decisions if (d := _decision(ctx, r))]
    if decisions:
        blocks.append(Paragraph(pen.words("What regulators and their advisers decided:")))
        blocks.append(Listing(tuple(decisions)))
    if f.biomarkers():
        blocks.append(Note("info", pen.words("A marker as a stand-in for benefit"), (Paragraph(_marker(ctx)),)))
    harm = neuro_sentence(ctx)
    if harm:
        blocks.append(Paragraph(paragraphs(pen.words("Against it stands the harm."), harm)))
    if not blocks:
        blocks.append(Paragraph(pen.words("The record says nothing on this.")))
    return Section("significance", pen.words("Clinical significance"), tuple(blocks))


def _decision(ctx: Context, r) -> Inlines:  # type: ignore[no-untyped-def]
    pen = ctx.pen
    if not r.usable:
        return ()
    head: Inlines = (pen.strong(pen.label(r.authority)),)
    if r.date is not None:
        head = (*head, *pen.say(", {d}", d=pen.cite(date_text(r.date), r)))
    said = pen.told(r.decision, r, *r.values.values())
    if not said:
        return ()
    out = (*head, Text(": "), *said)
    if r.text and (more := pen.quote(r.text, r, *r.values.values())):
        out = (*out, Text("; "), *more)
    return (*out, Text("."))


def _marker(ctx: Context) -> Inlines:
    f, pen = ctx.findings, ctx.pen
    out = pen.words(
        "That a drug moves a marker shows that it acts. That the marker's level predicts the course makes it "
        "prognostic. Neither shows that moving the marker moves the course: for that, effects on the marker have to "
        "predict effects on the outcome across trials. "
    )
    if f.met is False:
        out = (*out, *pen.say("This trial cannot supply the second half, for its clinical effect was not shown."))
    else:
        out = (*out, *pen.say("One trial gives a single pair of effects."))
    return out
