"""Related trials, and what became of their findings."""

from __future__ import annotations

from equipoise.appraise.context import Context
from equipoise.appraise.numbers import date_text
from equipoise.document.document import Inlines, Paragraph, Row, Section, Table, Text
from equipoise.document.text import joined, upper
from equipoise.records.blocks import RelatedTrial

_DIRECTION = {"benefit": "benefit", "no_benefit": "no benefit", "mixed": "mixed", "unknown": "not stated"}


def build(ctx: Context) -> Section | None:
    """A table in order of time: question, result, and what came later."""
    writer = ctx.writer
    rows = []
    for t in sorted(ctx.record.related, key=lambda t: t.year):
        if not t.usable or not t.n.usable:
            continue
        values = (t, *(v for v in t.values.values() if v.usable))
        outcome = writer.told(t.outcome.text, t.outcome, t) if t.outcome.usable else None
        result = writer.told(t.result.text, t.result, *values) if t.result.usable else None
        after = [q for fact in t.after if fact.usable and (q := writer.told(fact.text, fact))] + decided(ctx, t)
        name: Inlines = (writer.strong(writer.label(t.name)), *writer.say(", {d}", d=t.drug))
        if t.journal:
            name = (*name, *writer.say(" ({j})", j=t.journal))
        dash: Inlines = (Text("–"),)
        rows.append(
            Row(
                (
                    name,
                    ctx.number(t.n),
                    upper(outcome or dash),
                    upper(result or dash),
                    writer.words(_DIRECTION[t.direction]),
                    upper(joined(after, "; ")) or dash,
                )
            )
        )
    if not rows:
        return None
    columns = tuple(
        writer.words(c) for c in ("Trial", "Participants", "Outcome", "Result", "In a word", "What came later")
    )
    table = Table(
        "t-related", writer.words("In order of time."), columns, tuple(rows), (False, True, False, False, False, False)
    )
    reversed_ = [t for t in ctx.record.related if t.direction == "benefit" and (t.after or t.record)]
    lead = writer.words("First positive trials tend to overstate an effect, so the last column matters most.")
    blocks = (Paragraph(lead), table) if reversed_ else (table,)
    return Section("related", writer.words("Related trials"), blocks)


def decided(ctx: Context, t: RelatedTrial) -> list[Inlines]:
    """What regulators and companies decided on a related trial's drug, each with its date and source."""
    writer, out = ctx.writer, []
    for r in ctx.decisions_on(t):
        said = writer.told(r.decision, r, *r.values.values())
        if said:
            when = writer.say(", {d}", d=writer.cite(date_text(r.date), r)) if r.date is not None else ()
            out.append((*writer.label(r.authority), *when, Text(": "), *said))
    return out
