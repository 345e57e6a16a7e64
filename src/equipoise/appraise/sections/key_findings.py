"""Key findings: what was found on each question, in the order in which it counts."""

from __future__ import annotations

from equipoise.appraise.context import Context
from equipoise.appraise.estimates import LABELS
from equipoise.appraise.findings import excludes_null
from equipoise.appraise.glossary import glossary
from equipoise.appraise.phrases import (
    biomarker_sentence,
    co_primary_sentence,
    formal_sentence,
    later_sentence,
    neuro_sentence,
    nominal_sentence,
    paragraphs,
    primary_sentence,
    split_sentence,
    survival_sentence,
)
from equipoise.appraise.strata import strata_sentence
from equipoise.document.document import Facts, Fold, Inlines, Listing, Paragraph, Section, Text
from equipoise.document.text import joined
from equipoise.records.schema import AdverseEvent, Result, Statement


def build(ctx: Context) -> Section:
    """One numbered item per question the record answers; the record's own statements lead, the numbers follow."""
    writer, f = ctx.writer, ctx.findings
    said: dict[str, list[Inlines]] = {}
    for statement in ctx.record.statements:
        if statement.section == "key_findings" and (runs := writer.statement(statement)):
            said.setdefault(_topic(ctx, statement), []).append(runs)
    headings = {
        "primary": {
            True: "The primary endpoint was met.",
            False: "The primary endpoint was missed.",
            None: "The primary endpoint is disputed." if f.disputed else "The primary endpoint.",
        }[f.met],
        "biomarker": "The markers of target and damage.",
        "clinical": "The other clinical outcomes.",
        "later": "After the switch.",
        "survival": "Survival.",
        "safety": "Harm.",
        "other": "Also.",
    }
    numbers = {
        "primary": paragraphs(
            _sizes(ctx) if primary_sentence(ctx) else (),
            primary_sentence(ctx),
            co_primary_sentence(ctx),
            () if said.get("primary") else split_sentence(ctx),
            strata_sentence(ctx),
        ),
        "biomarker": paragraphs(biomarker_sentence(ctx), nominal_sentence(ctx), formal_sentence(ctx)),
        "clinical": _clinical(ctx),
        "later": later_sentence(ctx),
        "survival": survival_sentence(ctx),
        "safety": neuro_sentence(ctx),
        "other": (),
    }
    items = []
    for topic, heading in headings.items():
        body = paragraphs(*said.get(topic, ()), numbers[topic])
        if body:
            items.append(paragraphs((writer.strong(heading),), body))
    if not items:
        held = any(r.arms or r.contrast is not None or r.p for r in ctx.record.results)
        said_so = (
            "The record holds no result of the primary outcome; what it holds stands under Results."
            if held
            else "The record holds no results."
        )
        return Section("findings", writer.words("Key findings"), (Paragraph(writer.words(said_so)),))
    words = Fold("words", writer.words("Words and abbreviations of this page"), (Facts(glossary(ctx)),))
    return Section("findings", writer.words("Key findings"), (Listing(tuple(items), ordered=True), words))


def _topic(ctx: Context, statement: Statement) -> str:
    """Which question a statement answers, from the first result or adverse event it rests on."""
    f = ctx.findings
    blocks = ctx.writer.blocks
    for ref in statement.refs:
        block = blocks.get(ref.split(".", 1)[0])
        if isinstance(block, AdverseEvent):
            return "safety"
        if isinstance(block, Result):
            outcome = ctx.record.outcome(block.outcome)
            if block.measure == "time_to_event":
                return "survival"
            if f.primary is not None and block.outcome == f.primary.outcome:
                later = block.week is not None and f.week is not None and block.week > f.week
                return "later" if later else "primary"
            return "biomarker" if outcome.scale == "log" else "clinical"
    return "other"


def _sizes(ctx: Context) -> Inlines:
    """How many people the primary set holds."""
    f = ctx.findings
    if ctx.analysed is None:
        return ()
    a, c = map(ctx.number, ctx.analysed)
    verb = "tested" if f.test is not None or f.contrast is not None else "measured"
    where = f"It was {verb} in {{s}}"
    return ctx.say(
        where + ": {a} people on {active}, {c} on {control}.", s=ctx.writer.label(ctx.set_phrase(f.set or "")), a=a, c=c
    )


def _clinical(ctx: Context) -> Inlines:
    f, writer = ctx.findings, ctx.writer
    results = [r for r in f.clinical() if r.contrast is not None]
    if not results:
        return ()
    parts = []
    for r in results:
        assert r.contrast is not None
        unit = ctx.gap_unit(ctx.record.outcome(r.outcome), r)
        kind = LABELS[r.contrast.kind]
        unit = unit if r.contrast.kind == "difference" else ""
        name = (
            writer.say("{o}, {r}", o=ctx.outcome(r.outcome), r=writer.quote(r.row, r) or ())
            if r.row
            else ctx.outcome(r.outcome)
        )
        shown = writer.say("{o} " + kind + "{d}{u}", o=name, d=ctx.contrast(r.contrast), u=writer.label(unit))
        parts.append(shown)
    sure = [r for r in results if r.contrast is not None and excludes_null(r.contrast)]
    bounded = [r for r in results if r.contrast is not None and excludes_null(r.contrast) is not None]
    alike = len(bounded) == len(results)
    tail: Inlines
    if not bounded:
        tail = writer.words("No interval is given")
    elif not sure:
        tail = writer.words(f"Every interval{'' if alike else ' that is given'} includes the value of no effect")
    else:
        names = joined([writer.label(ctx.outcome(r.outcome)) for r in sure])
        tail = writer.say(
            "Only for {n} does the interval exclude the value of no effect"
            if len(sure) < len(results)
            else "Every interval excludes the value of no effect",
            n=names,
        )
        if f.met is False:
            listed = any(ctx.record.outcome(r.outcome).test_order for r in sure)
            why = ", and the sequence of tests had stopped by then" if listed else ", outside the sequence of tests"
            tail = (*tail, *writer.words(why))
    return (*ctx.say("Contrasts at {week} in the same set: "), *joined(parts), *writer.words(". "), *tail, Text("."))
