"""Safety in absolute terms: counts, risk differences with intervals, numbers needed to harm where they make sense."""

from __future__ import annotations

import re

from equipoise.appraise import absolute_risk, numbers
from equipoise.appraise.context import Context
from equipoise.appraise.phrases import neuro_sentence, paragraphs
from equipoise.appraise.tables import DASH, cell
from equipoise.document.document import Block, Facts, Fold, Inlines, Listing, Paragraph, Row, Section, Table, Text
from equipoise.document.text import joined, lower, upper
from equipoise.records.schema import AdverseEvent, Value

_GROUPS = {
    "summary": "Overall",
    "severity": "Severity",
    "neurologic": "Neurologic",
    "procedure": "Of the procedure",
    "symptom": "Symptoms",
    "csf": "Spinal fluid, as adverse events",
    "laboratory": "Laboratory",
    "label": "As grouped on the label",
    "term": "Coded terms of the registry",
}

_FIRST = ("summary", "severity", "neurologic")
"""What is told first: how often harm, how grave, and whether of the nervous system."""
_FEW = 5
"""Fewer further rows than this are not worth a fold."""


def build(ctx: Context) -> Section:
    """What stands out, the table of absolute risks, and what longer exposure showed."""
    writer = ctx.writer
    blocks: list[Block] = []
    said = writer.statements("safety")
    if said:
        blocks.append(Listing(said))
    events = [e for e in ctx.record.adverse_events if any(v.usable for v in e.arms.values())]
    if events:
        if lead := paragraphs(neuro_sentence(ctx), _apart(ctx, events), none_seen_sentence(ctx, events)):
            blocks.append(Paragraph(lead))
        told = [e for e in events if e.category != "term"]
        coded = [e for e in events if e.category == "term"]
        first = [e for e in told if e.category in _FIRST] or told
        rest = [e for e in told if e not in first]
        if len(rest) < _FEW:
            first, rest = told, []
        if first:
            blocks.append(_table(ctx, first))
        if rest:
            more = writer.words("Symptoms, laboratory and other adverse events")
            blocks.append(Fold("harms-more", more, (_table(ctx, rest, "t-safety-more"),)))
        if coded:
            table = _table(ctx, coded, "t-terms")
            blocks.append(Fold("terms", writer.words("Every coded term of the registry entry"), (table,)))
        blocks.append(
            Paragraph(
                writer.words(
                    "A difference whose interval includes zero is compatible with no difference; then no number needed "
                    "to harm is given, since its interval would run through infinity. With this many comparisons some "
                    "intervals exclude zero by chance alone."
                )
            )
        )
    told_so = [
        (writer.label(i.label), upper(quoted))
        for i in ctx.record.items
        if ctx.record.origin == "posted" and i.section == "safety" and i.text and i.usable
        if (quoted := writer.quote(i.text, i))
    ]
    if told_so:
        how = writer.words("What the entry says of its adverse events")
        blocks.append(Fold("harms-told", how, (Facts(tuple(told_so)),)))
    facts = []
    for item in ctx.record.items:
        if item.section == "programme" and item.usable and (line := _programme(ctx, item)):
            facts.append(line)
    if facts:
        blocks.append(Fold("programme", writer.words("Longer exposure: the whole programme"), (Facts(tuple(facts)),)))
    if not blocks:
        blocks.append(Paragraph(writer.words("The record holds no adverse events.")))
    return Section("safety", writer.words("Safety, in absolute risks"), tuple(blocks))


def _table(ctx: Context, events: list[AdverseEvent], id: str = "t-safety") -> Table:
    writer, f = ctx.writer, ctx.findings
    rows: list[Row] = []
    for category, name in _GROUPS.items():
        group = [e for e in events if e.category == category]
        if group:
            rows.append(Row((writer.words(name),), heading=True))
        for event in group:
            label = writer.quote(event.term, event) if event.usable else None
            difference: Inlines = DASH
            needed: Inlines = DASH
            counts = f.counts(event)
            term = event.category == "term"
            if counts is not None:
                computed, rd = ctx.risk_difference(event.term, *counts)
                difference = (computed,)
                if rd.low > 0:
                    needed = _needed(ctx, event, counts)
            rows.append(
                Row(
                    (
                        (
                            *(label or writer.label(event.term)),
                            *(writer.words(", serious") if term and event.serious else ()),
                        ),
                        cell(ctx, event.arms.get(f.active.id)),
                        cell(ctx, event.arms.get(f.control.id)),
                        difference,
                        needed,
                    )
                )
            )
    counted = any(row.cells[-1] != DASH for row in rows if not row.heading)
    heads = ["Event", f.active.label, f.control.label, "Difference in percentage points (95 % interval)"]
    if counted:
        heads.append("Number needed to harm")
    else:  # a column without a number in it would only be promised
        rows = [row if row.heading else Row(row.cells[:-1]) for row in rows]
    what = {"t-safety": "Adverse events", "t-safety-more": "Further adverse events"}.get(id, "Coded adverse events")
    when = " in the randomised period" if ctx.goes_on else ""
    told = (
        "the difference in risk, and how many would have to be treated for one more to have it."
        if counted
        else "and the difference in risk."
    )
    caption = writer.say(
        f"{what} by arm{when}, {{a}} against {{c}}: people with the event of all people, {told}",
        a=ctx.active,
        c=ctx.control,
    )
    return Table(id, caption, writer.heads(*heads), tuple(rows), (False, *(True for _ in heads[1:])))


def _needed(ctx: Context, event: AdverseEvent, counts) -> Inlines:  # type: ignore[no-untyped-def]
    a, c = counts
    return (
        ctx.writer.compute(
            absolute_risk.number_needed,
            int(a.value),
            int(a.total),
            int(c.value),
            int(c.total),
            show=lambda n: (
                f"{numbers.number(n.estimate, 0)} ({numbers.number(n.low, 0)} to {numbers.number(n.high, 0)})"
                if n
                else "–"
            ),
            what=f"{event.term}: number needed to harm",
            method="one over the risk difference, its interval inverted",
        ),
    )


def _apart(ctx: Context, events: list[AdverseEvent]) -> Inlines:
    """Which events differ by more than chance easily gives, in both directions."""
    f, writer = ctx.findings, ctx.writer
    more, fewer = [], []
    for event in events:
        counts = f.counts(event)
        if counts is None or event.category in ("severity", "label"):
            continue
        _, rd = ctx.risk_difference(event.term, *counts)
        label = writer.quote(lower(event.term), event) or writer.label(lower(event.term))
        if rd.low > 0:
            more.append(label)
        elif rd.high < 0:
            fewer.append(label)
    out: Inlines = ()
    if more:
        out = ctx.say("More frequent with {active}, with an interval that excludes zero: {m}.", m=joined(more))
    if fewer:
        out = paragraphs(out, ctx.say("More frequent with {control}: {m}.", m=joined(fewer)))
    died = deaths_apart(ctx)
    if not more and not fewer and any(f.counts(e) is not None for e in events):
        none = "For none of the adverse events below does" if died else "For no event does"
        out = writer.words(none + " the interval of the difference exclude zero.")
    return paragraphs(died, out)


_LONGEST = 600
"""Letters of an entry's text on its deaths that are quoted beside their counts."""


def deaths_apart(ctx: Context) -> Inlines:
    """Deaths by arm of a registry entry, where the interval of their difference excludes zero; else empty."""
    found = ctx.findings.deaths() if ctx.record.origin == "posted" and ctx.findings.compared else None
    if found is None or found.left:
        return ()
    a, c = found.active, found.control
    computed, rd = ctx.risk_difference(found.label, a, c)
    if rd.low <= 0 <= rd.high:
        return ()
    said = ctx.say(
        "{l}: {a} with {active} and {c} with {control}, a difference of {d} percentage points, with an interval that "
        "excludes zero.",
        l=upper(ctx.writer.quote(found.label, found.row) or ctx.writer.words("deaths")),
        a=ctx.count(a),
        c=ctx.count(c),
        d=computed,
    )
    return paragraphs(said, deaths_remark(ctx))


_OF_DEATHS = re.compile(r"\b(?:deaths?|died)\b", re.I)


def deaths_remark(ctx: Context) -> Inlines:
    """What the text of an entry says of its deaths, beside their counts: it may tell who of them was never treated."""
    item = ctx.item("ae_how") if ctx.record.origin == "posted" else None
    if item is None or not item.text:
        return ()
    held = [
        s.strip()
        for s in re.split(r"(?<=[.])\s+", item.text)
        if _OF_DEATHS.search(s) and re.search(r"\d|\bone\b", s, re.I)
    ]
    said = ctx.writer.quote(" ".join(held)[:_LONGEST].rstrip("."), item) if held else None
    return ctx.writer.say("Of deaths the entry's text says: {s}.", s=said) if said else ()


def none_seen_sentence(ctx: Context, events: list[AdverseEvent]) -> Inlines:
    """What a count of none among the control patients can exclude."""
    f, writer = ctx.findings, ctx.writer
    event = f.serious_neurologic()
    counts = None if event is None else f.counts(event)
    if counts is None or counts[1].value != 0 or not counts[1].total:
        return ()
    bound = writer.compute(
        absolute_risk.rule_of_three,
        int(counts[1].total),
        show=lambda x: numbers.percent(x, 0),
        what="the risk that a group of this size without an event cannot exclude",
        method="exact one-sided upper bound of a proportion with no events",
    )
    del events
    return ctx.say(
        "None in {n} people with {control} does not mean that there is no such risk without {active}: a rate of "
        "up to {b} would still fit.",
        n=(writer.cite(numbers.number(counts[1].total), counts[1]),),
        b=bound,
    )


_NAMES = {
    "n": "people",
    "share": "",
    "person_years": "person-years",
    "weeks_mean": "mean weeks",
    "weeks_median": "median weeks",
    "raised_icp": "raised intracranial pressure",
    "myelitis_radiculitis": "myelitis or radiculitis",
    "serious": "with a serious adverse event",
    "stopped": "stopped for an adverse event",
    "clearance": "change of clearance",
}
"""How the parts of an item are called where their keys do not say it."""
_SMALL = ("none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def _in_words(value: Value, text: str) -> bool:
    """Whether the words beside a value hold its number already, and the value nothing more."""
    if value.total is not None or value.sd is not None or not text:
        return False
    x = value.value if value.value is not None else value.percent
    if x is None:
        return False
    said = re.findall(r"[\w.]+", text.lower())
    return f"{x:g}" in said or (x == int(x) and 0 <= x < len(_SMALL) and _SMALL[int(x)] in said)


def _programme(ctx: Context, item) -> tuple[Inlines, Inlines] | None:  # type: ignore[no-untyped-def]
    writer = ctx.writer
    label = writer.quote(item.label, item)
    said: Inlines = ()
    if item.text:
        said = upper(writer.quote(item.text, item, *(v for v in item.values.values() if v.usable)) or ())
        said = (*said, Text(". ")) if said else ()
    values = []
    for key, value in item.values.items():
        if value.usable and not _in_words(value, item.text or ""):
            name = _NAMES.get(key, key.replace("_", " "))
            unit = f" {value.unit}" if value.unit and value.unit not in name else ""
            shown = cell(ctx, value, unit=unit.replace(" %", f"{numbers.THIN}%"))
            values.append((*writer.label(name), Text(" " if name else ""), *shown))
    body = (*said, *(upper(joined(values, ", ")) if values else ()))
    return (label, body) if label and body else None
