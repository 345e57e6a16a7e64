"""The page of a trial without a comparison: one group described, and what cannot be concluded from it."""

from __future__ import annotations

from equipoise.appraise import numbers
from equipoise.appraise.context import Context
from equipoise.appraise.findings import known
from equipoise.appraise.phrases import paragraphs
from equipoise.appraise.sections import design, provenance
from equipoise.appraise.tables import cell, results_table
from equipoise.document.document import Block, Inlines, Listing, Note, Paragraph, Row, Section, Table, Text
from equipoise.document.text import upper
from equipoise.records.schema import Result, Value


def sections(ctx: Context) -> tuple[Section, ...]:
    """Bottom line, design, results, harms, and how the page was provenance."""
    return (_bottom(ctx), design.build(ctx), _results(ctx), _safety(ctx), provenance.build(ctx))


def _value(ctx: Context, r: Result) -> Value | None:
    return ctx.findings.arm_value(r, ctx.findings.active)


def _usable(ctx: Context, r: Result) -> bool:
    return _value(ctx, r) is not None or any(v.usable for v in r.groups.values())


def _bottom(ctx: Context) -> Section:
    writer, f, d = ctx.writer, ctx.findings, ctx.record.design
    people: Inlines = ()
    if known(d.n_actual):
        people = writer.say("{n} people took part.", n=ctx.number(d.n_actual))
    lead = ctx.say("{trial} followed one group of people and compared it with nobody.")
    said = writer.statements("bottom_line")
    blocks: list[Block] = [Paragraph(paragraphs((writer.strong(lead),), people, *said), lead=True)]
    if f.outcome is not None:
        asked = writer.say("Its primary outcome: {o}", o=writer.label(f.outcome.label))
        measured = [r for r in ctx.record.find_results(f.outcome.id) if _value(ctx, r) is not None]
        told = [_told(ctx, r) for r in measured[:3]]
        found = told or [writer.words("No result of it was found in what was read.")]
        blocks.append(Paragraph(paragraphs((*asked, Text(".")), *found)))
    else:
        blocks.append(Paragraph(writer.words("The record names no primary outcome.")))
    limits = [
        "Whether the treatment works: people may change by themselves, by other care, by taking part, or because those "
        "who enter when they are at their worst tend to get better.",
        "How large an effect is: there is no difference to measure, and a change from the start is none.",
        "Whether a harm comes from the treatment: nothing says how often it would have come without.",
    ]
    blocks.append(
        Note(
            "caution",
            writer.words("What cannot be concluded from one group"),
            (Listing(tuple(writer.words(text) for text in limits)),),
        )
    )
    return Section("bottom-line", writer.words("Bottom line"), tuple(blocks))


def _told(ctx: Context, r: Result) -> Inlines:
    writer, value = ctx.writer, _value(ctx, r)
    assert value is not None
    outcome = ctx.record.outcome(r.outcome)
    shown = ctx.count(value) if value.total and value.value is not None else cell(ctx, value)
    when = writer.say(" at {w}", w=ctx.week(r.week)) if r.week is not None else ()
    row = writer.say(", {r}", r=writer.quote(r.row, r) or ()) if r.row else ()
    unit = ctx.unit(outcome, r) if not value.total else ""
    return (*writer.words("Found"), *when, *row, Text(": "), *shown, *(writer.label(unit)), Text("."))


def _results(ctx: Context) -> Section:
    writer = ctx.writer
    shown = [r for r in ctx.record.results if _usable(ctx, r)]
    if not shown:
        return Section("results", writer.words("Results"), (Paragraph(writer.words("The record holds no results.")),))
    caption = writer.words("Results as published, of one group; there is nothing to set beside them.")
    return Section("results", writer.words("Results"), (results_table(ctx, "t-results", caption, shown),))


def _safety(ctx: Context) -> Section:
    writer, arm = ctx.writer, ctx.findings.active
    rows = []
    for event in ctx.record.adverse_events:
        value = event.arms.get(arm.id)
        if value is None or not value.usable:
            continue
        label = writer.quote(event.term, event) or writer.label(event.term)
        counted = value.total and value.value is not None
        rows.append(Row((upper(label), ctx.count(value) if counted else (writer.cite(numbers.spread(value), value),))))
    if not rows:
        said = writer.words("The record holds no adverse events.")
        return Section("safety", writer.words("Safety"), (Paragraph(said),))
    columns = (writer.words("Event"), writer.words("People"))
    caption = writer.words("Adverse events, people of all who were watched.")
    return Section("safety", writer.words("Safety"), (Table("t-safety", caption, columns, tuple(rows), (False, True)),))
