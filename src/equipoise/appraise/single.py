"""The page of a trial without a comparison: one group, or several of one treatment, and what cannot be concluded."""

from __future__ import annotations

import re

from equipoise.appraise.context import Context
from equipoise.appraise.findings import known
from equipoise.appraise.phrases import paragraphs
from equipoise.appraise.sections import design, provenance
from equipoise.appraise.tables import cell, results_table
from equipoise.document.document import Block, Inlines, Listing, Note, Paragraph, Row, Section, Table, Text
from equipoise.document.text import joined, lower, upper
from equipoise.records.schema import Result, Value


def sections(ctx: Context) -> tuple[Section, ...]:
    """Bottom line, design, results, harms, and how the page was made."""
    return (_bottom(ctx), design.build(ctx), _results(ctx), _safety(ctx), provenance.build(ctx))


def nobody(ctx: Context) -> Inlines:
    """That nothing was compared, in a sentence."""
    if len(ctx.findings.arms) < 2:
        return ctx.writer.words("One group was followed and compared with nobody.")
    return ctx.writer.words("Everyone had the same treatment, and nobody was compared.")


def _values(ctx: Context, r: Result) -> list[tuple[Inlines, Value]]:
    """The values of a result that may be shown, each with the name of its group: arms first, then other groups."""
    label = ctx.writer.label
    arms = [(label(lower(a.label)), r.arms.get(a.id)) for a in ctx.findings.arms]
    others = [(label(lower(ctx.group_label(g))), v) for g, v in r.groups.items()]
    return [(name, v) for name, v in (*arms, *others) if v is not None and v.usable]


_EVERYONE = re.compile(r"\b(?:all|total|overall)\b", re.I)
"""How a registry calls the group of all its people."""


def _together(ctx: Context, r: Result) -> Value | None:
    """The value of all people together, where the entry posts it beside those of its groups."""
    everyone = (v for g, v in r.groups.items() if v.usable and _EVERYONE.search(ctx.group_label(g)))
    return next(everyone, None) if len(ctx.findings.arms) > 1 else None


def _bottom(ctx: Context) -> Section:
    writer, f, d = ctx.writer, ctx.findings, ctx.record.design
    people: Inlines = ()
    if known(d.n_actual):
        people = upper(writer.say("{n} people took part.", n=ctx.randomised))
    lead = ctx.say("{trial} followed one group of people and compared it with nobody.")
    if len(f.arms) > 1:
        groups = joined([writer.label(lower(a.label)) for a in f.arms])
        lead = ctx.say("{trial} gave everyone the same treatment and compared it with nothing.")
        people = (
            *people,
            *writer.say(
                " Its entry tells of {g} apart; chance did not make these groups, and a gap between them says nothing "
                "of the treatment.",
                g=groups,
            ),
        )
    said = writer.statements("bottom_line")
    blocks: list[Block] = [Paragraph(paragraphs((writer.strong(lead),), people, *said), lead=True)]
    if f.outcome is not None:
        asked = writer.say("Its primary outcome: {o}", o=writer.label(f.outcome.label))
        # an entry posts the same values once more beside each analysis of them
        values = [r for r in ctx.record.find_results(f.outcome.id) if _values(ctx, r)]
        measured = list({(r.week, r.row, r.set): r for r in values}.values())
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
            writer.words("What cannot be concluded without a comparison"),
            (Listing(tuple(writer.words(text) for text in limits)),),
        )
    )
    return Section("bottom-line", writer.words("Bottom line"), tuple(blocks))


def _told(ctx: Context, r: Result) -> Inlines:
    writer = ctx.writer
    outcome = ctx.record.outcome(r.outcome)
    when = writer.say(" at {w}", w=ctx.week(r.week)) if r.week is not None else ()
    row = writer.say(", {r}", r=writer.quote(r.row, r) or ()) if r.row else ()
    unit = ctx.unit(outcome, r)
    each = []
    together = _together(ctx, r)
    values = [(writer.words("everyone"), together)] if together is not None else _values(ctx, r)
    for name, value in values:
        shown = ctx.count(value) if value.total and value.value is not None else cell(ctx, value)
        told = (*shown, *(writer.label(unit) if not value.total else ()))
        each.append(told if len(ctx.findings.arms) == 1 and not r.groups else writer.say("{v} ({g})", v=told, g=name))
    return (*writer.words("Found"), *when, *row, Text(": "), *joined(each, "; "), Text("."))


def _results(ctx: Context) -> Section:
    writer = ctx.writer
    shown = [r for r in ctx.record.results if _values(ctx, r) or any(p.usable for p in r.p)]
    if not shown:
        return Section("results", writer.words("Results"), (Paragraph(writer.words("The record holds no results.")),))
    caption = writer.words("Results as published, of one group; there is nothing to set beside them.")
    if len(ctx.findings.arms) > 1:
        caption = writer.words("Results as published, by group; everyone had the same treatment.")
    if any(p.usable for r in shown for p in r.p):
        caption = (*caption, *writer.words(" A P value asks whether people changed, not whether the treatment did it."))
    return Section("results", writer.words("Results"), (results_table(ctx, "t-results", caption, shown),))


def _safety(ctx: Context) -> Section:
    writer, arms = ctx.writer, ctx.findings.arms
    rows = []
    for event in ctx.record.adverse_events:
        values = [event.arms.get(a.id) for a in arms]
        if not any(v is not None and v.usable for v in values):
            continue
        label = writer.quote(event.term, event) or writer.label(event.term)
        grave = writer.words(", serious") if event.category == "term" and event.serious else ()
        rows.append(Row(((*upper(label), *grave), *(_people(ctx, v) for v in values))))
    if not rows:
        said = writer.words("The record holds no adverse events.")
        return Section("safety", writer.words("Safety"), (Paragraph(said),))
    heads = (writer.words("People"),) if len(arms) == 1 else tuple(writer.label(a.label) for a in arms)
    caption = writer.words("Adverse events, people of all who were watched.")
    numeric = (False, *(True for _ in arms))
    table = Table("t-safety", caption, (writer.words("Event"), *heads), tuple(rows), numeric)
    return Section("safety", writer.words("Safety"), (table,))


def _people(ctx: Context, value: Value | None) -> Inlines:
    if value is not None and value.usable and value.total and value.value is not None:
        return ctx.count(value)
    return cell(ctx, value)
