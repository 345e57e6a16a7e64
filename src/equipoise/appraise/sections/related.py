"""Related trials, and what became of their findings."""

from __future__ import annotations

from typing import Literal

from equipoise.appraise.context import Context
from equipoise.appraise.findings import known
from equipoise.appraise.numbers import date_text
from equipoise.document.document import Block, Card, Cards, Inlines, Paragraph, Section, Text
from equipoise.document.text import joined, lower, upper
from equipoise.records.blocks import RelatedTrial
from equipoise.records.schema import Arm, Record

_DIRECTION = {
    "benefit": "Benefit",
    "no_benefit": "No benefit",
    "not_conclusive": "Not conclusive",
    "mixed": "Mixed",
    "unknown": "Not stated",
}
_TONES: dict[str, Literal["plain", "good", "bad", "open"]] = {
    "benefit": "good",
    "no_benefit": "bad",
    "not_conclusive": "open",
    "mixed": "plain",
    "unknown": "open",
}
_LONG = 160
"""A criterion of more letters than this says more than a card has room for."""
_FEW = 3
"""Criteria of entry that a card names."""


def build(ctx: Context) -> Section | None:
    """A card for each trial in order of time: dose, population, comparator, endpoint, result, and what came later."""
    writer = ctx.writer
    cards = tuple(_card(ctx, t) for t in sorted(ctx.record.related, key=lambda t: t.year) if t.usable and t.n.usable)
    if not cards:
        return None
    blocks: list[Block] = [Cards(cards)]
    if any(t.direction == "benefit" and (t.after or t.record) for t in ctx.record.related):
        lead = "First positive trials tend to overstate an effect, so what came later matters most."
        blocks.insert(0, Paragraph(writer.words(lead)))
    return Section("related", writer.words("Related trials"), tuple(blocks))


def _card(ctx: Context, t: RelatedTrial) -> Card:
    writer = ctx.writer
    values = (t, *(v for v in t.values.values() if v.usable))
    outcome = writer.told(t.outcome.text, t.outcome, t) if t.outcome.usable else None
    result = writer.told(t.result.text, t.result, *values) if t.result.usable else None
    after = [q for fact in t.after if fact.usable and (q := writer.told(fact.text, fact))] + decided(ctx, t)
    drug, control, population = _arms(ctx, t)
    said: list[tuple[str, Inlines]] = [
        ("Drug and dose", drug),
        ("Population", _people(ctx, t, population)),
        ("Comparator", control),
        ("Endpoint", outcome or ()),
        ("Result", result or ()),
        ("What came later", joined(after, "; ")),
    ]
    title: Inlines = writer.label(t.name)
    if t.journal:
        title = (*title, *writer.say(" ({j})", j=t.journal))
    else:
        writer.register(f"{t.name} ({t.year})")
        title = writer.label(f"{t.name} ({t.year})")
    facts = tuple((writer.words(term), upper(runs)) for term, runs in said if runs)
    return Card(title, facts, writer.words(_DIRECTION[t.direction]), _TONES[t.direction])


def _people(ctx: Context, t: RelatedTrial, criteria: Inlines) -> Inlines:
    """``206 people: criteria``; the criteria alone where the number was not read."""
    if not known(t.n):
        return criteria[1:] if criteria else ()
    return (*ctx.number(t.n), *ctx.writer.words(" people"), *criteria)


def _arms(ctx: Context, t: RelatedTrial) -> tuple[Inlines, Inlines, Inlines]:
    """(drug and dose, comparator, criteria of entry) as the trial's own record tells them; the drug alone without."""
    other = ctx.record_of(t)
    if other is None:
        return ctx.writer.label(t.drug), (), ()
    active = _first(other, "active")
    control = _first(other, "control")
    drug = ctx.arm_text(active) if active is not None and active.usable else ctx.writer.label(t.drug)
    against: Inlines = ()
    if control is not None:
        against = ctx.fact(other.design.control) or (ctx.arm_text(control) if control.usable else ())
    short = [
        q
        for c in other.eligibility
        if c.kind == "inclusion" and c.set is None and c.usable and len(c.text) <= _LONG
        if (q := ctx.writer.quote(lower(c.text.rstrip(".")), c))
    ]
    criteria = joined(short[:_FEW], "; ")
    return drug, against, (Text(": "), *criteria) if criteria else ()


def _first(record: Record, role: str) -> Arm | None:
    return next((arm for arm in record.arms if arm.role == role), None)


def decided(ctx: Context, t: RelatedTrial) -> list[Inlines]:
    """What regulators and companies decided on a related trial's drug, each with its date and source."""
    writer, out = ctx.writer, []
    for r in ctx.decisions_on(t):
        said = writer.told(r.decision, r, *r.values.values())
        if said:
            when = writer.say(", {d}", d=writer.cite(date_text(r.date), r)) if r.date is not None else ()
            out.append((*writer.label(r.authority), *when, Text(": "), *said))
    return out
