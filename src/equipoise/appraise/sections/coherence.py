"""Coherence notes: where the published record does not fit together, or is easily misread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from equipoise.appraise import numbers
from equipoise.appraise.context import Context
from equipoise.appraise.findings import excludes_null, significant
from equipoise.appraise.phrases import nominal_sentence, paragraphs, split_sentence, survival_pair, survival_sentence
from equipoise.appraise.tables import cell, result_label
from equipoise.document.document import Block, Fold, Inlines, Listing, Paragraph, Row, Section, Table, Text
from equipoise.document.text import joined, upper
from equipoise.records.coherence import Note as CoherenceNote
from equipoise.records.coherence import checked, coherence_facts, coherence_notes, implied_p
from equipoise.records.schema import Conflict, Fact, PValue, Result, Value


@dataclass(frozen=True)
class _Found:
    title: str
    body: Inlines
    covers: frozenset[str]


def build(ctx: Context) -> Section | None:
    """What the checks find, then the traps the record itself names, then sources that disagree."""
    writer = ctx.writer
    found = [n for n in (_split(ctx), _nominal(ctx), _unplanned(ctx), _tests_disagree(ctx), _survival(ctx)) if n]
    free = list(found)
    notes = coherence_notes(ctx.record)
    blocks: list[Block] = _facts(ctx, notes)
    blocks += [Fold(f"note-{i}", writer.words(n.title), (Paragraph(n.body),)) for i, n in enumerate(found, 1)]
    table, told = _implied(ctx, notes)
    if table is not None:
        blocks.append(Fold("implied", writer.words("P values compared with the interval beside them"), (table,)))
    rest = [n for n in notes if n.id not in told]
    if rest:
        blocks.append(
            Fold(
                "checks",
                writer.words("What the checks of the record find, and how sure each is"),
                (_checks(ctx, rest),),
            )
        )
    traps: list[Inlines] = []
    for trap in ctx.record.traps:
        first = trap.refs[0].split(".", 1)[0]
        match = next((n for n in free if first in n.covers), None)
        if match is not None:
            # the check has said it already, with the numbers
            free.remove(match)
            continue
        title, text = writer.quote(trap.title, *trap.refs), writer.told(trap.text, *trap.refs, stop=".")
        if title and text:
            traps.append(paragraphs((writer.strong((*title, Text("."))),), upper(text)))
    if traps:
        blocks.append(Fold("traps", writer.words("Other traps for the reader"), (Listing(tuple(traps)),)))
    conflicts = _conflicts(ctx)
    if conflicts:
        blocks.append(Fold("conflicts", writer.words("Where sources disagree"), (Listing(tuple(conflicts)),)))
    if not blocks:
        return None
    return Section("coherence", writer.words("Coherence notes"), tuple(blocks))


def checked_sentence(ctx: Context) -> Inlines:
    """How many numbers could be held against another one; that nothing could be, where that is so."""
    writer, found = ctx.writer, checked(ctx.record)
    if not found.total:
        return writer.words(
            "Nothing could be checked: the record holds no P value beside an interval, no interval and no count beside "
            "a percentage."
        )
    call = f"checked(load_record('{ctx.address}'))"
    imports = "from equipoise.records import load_record; from equipoise.records.coherence import checked"

    def count(n: int, name: str) -> Inlines:
        command = f'python -c "{imports}; print({call}.{name})"'
        return (writer.by_command(numbers.number(n), command, f"numbers checked: {name}", "counted in the record"),)

    def some(n: int, one: str, more: str) -> str:
        return one if n == 1 else more

    return writer.say(
        f"Checked: {{p}} P {some(found.p_values, 'value', 'values')} beside an interval or a standard error, "
        f"{{i}} {some(found.intervals, 'estimate within its interval', 'estimates within their intervals')}, "
        f"{{c}} {some(found.percentages, 'percentage against a count', 'percentages against counts')}.",
        p=count(found.p_values, "p_values"),
        i=count(found.intervals, "intervals"),
        c=count(found.percentages, "percentages"),
    )


def _facts(ctx: Context, notes: Sequence[CoherenceNote]) -> list[Block]:
    """What was checked, and the notes as the few facts that they tell."""
    writer = ctx.writer
    blocks: list[Block] = [Paragraph(checked_sentence(ctx))]
    items: list[Inlines] = []
    imports = (
        "from equipoise.records import coherence_notes, load_record; "
        "from equipoise.records.coherence import coherence_facts"
    )
    for fact in coherence_facts(notes):
        loaded = f"coherence_facts(coherence_notes(load_record('{ctx.address}')))"
        command = f'python -c "{imports}; print(len({loaded}[{len(items)}].notes))"'
        n = (writer.by_command(numbers.number(len(fact.notes)), command, f"notes that tell: {fact.what}", "counted"),)
        why = _own_words(ctx, fact.notes[0], fact.why)
        items.append(
            writer.say("{n} {w} ({c}): {y}.", n=n, w=writer.words(fact.what), c=writer.words(fact.certainty), y=why)
        )
    if items:
        blocks.append(Listing(tuple(items)))
    return blocks


def _split(ctx: Context) -> _Found | None:
    body = split_sentence(ctx)
    f = ctx.findings
    if not body or f.primary is None:
        return None
    found = f.method(f.test.method) if f.test is not None else None
    more = ctx.writer.words(
        " A rank test and a difference of means answer different questions, so reading the one with the interval of "
        "the other makes the trial look either more or less certain than it was."
        if found is not None and found.family == "joint_rank"
        else " Read together they mislead: the interval does not belong to the test."
    )
    return _Found(
        "The P value and the interval come from different analyses", (*body, *more), frozenset({f.primary.id})
    )


def _nominal(ctx: Context) -> _Found | None:
    body = nominal_sentence(ctx)
    if not body:
        return None
    later = [r for r in (*ctx.findings.biomarkers(), *ctx.findings.clinical()) if _below(r)]
    if later:
        names = joined([ctx.writer.label(ctx.outcome(r.outcome)) for r in later])
        body = (*body, *ctx.writer.say(" That holds for the small P values of {n} too.", n=names))
    return _Found("P values after the primary test are nominal", body, frozenset(r.id for r in later))


def _below(r: Result) -> bool:
    return any(p.usable and significant(p) for p in r.p)


def _unplanned(ctx: Context) -> _Found | None:
    """Results that look positive and were not fixed in advance, with who says so."""
    f, writer = ctx.findings, ctx.writer
    chosen = [
        r
        for r in ctx.record.results
        if r.role == "main"
        and f.planned(r) is False
        and r.contrast is not None
        and r.contrast.usable
        and excludes_null(r.contrast)
    ]
    if not chosen:
        return None
    parts = []
    for r in chosen:
        assert r.contrast is not None
        parts.append(
            writer.say(
                "{o} in {s}{w} {d}",
                o=ctx.outcome(r.outcome),
                s=writer.label(ctx.set_phrase(r.set)),
                w=(Text(", "), *ctx.week(r.week), Text(":")) if r.week is not None else (Text(":"),),
                d=ctx.contrast(r.contrast),
            )
        )
    body = writer.say(
        "Not fixed before the data were seen, though each interval excludes the value of no effect: {l}.",
        l=joined(parts, "; "),
    )
    opinions = []
    first = next((r for r in chosen if f.outcome is not None and r.outcome == f.outcome.id), chosen[0])
    for o in first.prespecified.by if first.prespecified is not None else ():
        if o.usable and (who := writer.quote(o.who, o)):
            verdict = {"yes": "pre-specified", "no": "not pre-specified", "disputed": "disputed"}[o.verdict]
            if o.text and verdict in o.text:
                opinions.append((*who, Text(": "), writer.cite(o.text, o)))
                continue
            said = writer.quote(o.text, o) if o.text else None
            opinions.append(
                (*who, Text(": "), writer.cite(verdict, o), *((Text(" ("), *said, Text(")")) if said else ()))
            )
    if opinions:
        where = (Text(" at "), *ctx.week(first.week)) if first.week is not None else ()
        body = paragraphs(
            body,
            writer.say(
                "Who says what of {o}{w}: {l}.", o=ctx.outcome(first.outcome), w=where, l=joined(opinions, "; ")
            ),
        )
    planned, unplanned = f.later_pair()
    if planned is not None and unplanned is not None and planned.contrast is not None:
        body = paragraphs(
            body,
            writer.say(
                "The planned analysis at {w} gives {d}.", w=ctx.week(planned.week), d=ctx.contrast(planned.contrast)
            ),
        )
    return _Found("Positive results that were not pre-specified", body, frozenset(r.id for r in chosen))


def _tests_disagree(ctx: Context) -> _Found | None:
    """One comparison, several tests, on both sides of the conventional level."""
    writer = ctx.writer
    first = ctx.findings.primary.outcome if ctx.findings.primary is not None else None
    for r in sorted(ctx.record.results, key=lambda r: r.outcome != first):
        shown = [p for p in r.p if p.usable]
        sides = {significant(p) for p in shown}
        formal = any(p.status == "formal" for p in shown)
        if r.role == "main" and {True, False} <= sides and not formal:
            parts = [writer.say("{p} by {m}", p=ctx.p(p), m=ctx.test_label(p.method)) for p in shown]
            last = (
                "none of them was part of the sequence" if ctx.sequence else "the record names none that was to decide"
            )
            body = writer.say(
                "{o} in {s} at {w}: {l}. Which test is chosen decides what is called significant; " + last + ".",
                o=upper(writer.label(ctx.outcome(r.outcome))),
                s=writer.label(ctx.set_phrase(r.set)),
                w=ctx.week(r.week),
                l=joined(parts),
            )
            return _Found("One comparison, tests that disagree", body, frozenset({r.id}))
    return None


def _survival(ctx: Context) -> _Found | None:
    body = survival_sentence(ctx)
    unplanned, planned, primary = survival_pair(ctx)
    shown = unplanned or planned
    if not body or shown is None or primary is None:
        return None
    if ctx.findings.favourable(primary) is not False or ctx.findings.favourable(shown) is not True:
        return None
    covers = {r.id for r in (unplanned, planned, primary) if r is not None}
    return _Found("Survival: the estimate in the primary set went the other way", body, frozenset(covers))


def _implied(ctx: Context, notes: Sequence[CoherenceNote]) -> tuple[Table | None, set[str]]:
    """Published P values that the interval printed beside them does not imply, and the ids of the notes told so."""
    writer = ctx.writer
    rows = []
    told: set[str] = set()
    for note in notes:
        if note.kind != "p_and_interval":
            continue
        r = ctx.record.result(note.result)
        p = next(
            (writer.index[ref].sourced for ref in note.refs if ref in writer.index and ref.startswith(f"{r.id}.p.")),
            None,
        )
        implied = None if r.contrast is None else implied_p(r.contrast)
        if implied is None or r.contrast is None or not isinstance(p, PValue) or not p.usable:
            continue
        told.add(note.id)
        call = f"implied_p(load_record('{ctx.address}').result('{r.id}').contrast).p"
        imports = "from equipoise.records import load_record; from equipoise.records.coherence import implied_p"
        own = writer.by_command(
            numbers.number(implied.p, 2 if implied.p >= 0.1 else 3),
            f'python -c "{imports}; print({call})"',
            f"{ctx.record.outcome(r.outcome).label}, {r.id}: the P value that the interval implies",
            "normal theory, on the log scale for ratios",
        )
        rows.append(
            Row(
                (
                    result_label(ctx, r),
                    (*ctx.p(p, exact=True), Text(" "), *ctx.test_label(p.method)),
                    ctx.contrast(r.contrast, exact=True),
                    (own,),
                    writer.words("yes" if note.changes_verdict else "no"),
                    writer.words(note.certainty),
                    _explained(ctx, note),
                )
            )
        )
    if not rows:
        return None, told
    columns = (
        "Analysis",
        "P as published",
        "Contrast beside it",
        "P that the interval implies",
        "Changes the verdict",
        "How sure",
        "What would explain it",
    )
    caption = writer.words(
        "Where a published P value is not the one that the interval printed beside it implies: it came from another "
        "analysis, or one of them is in error. A verdict changes where the two lie on different sides of the "
        "conventional level."
    )
    heads = tuple(writer.words(c) for c in columns)
    return Table("t-implied", caption, heads, tuple(rows), (False, False, True, True, False, False, False)), told


def _own_words(ctx: Context, note: CoherenceNote, text: str) -> Inlines:
    """A sentence of a computed note with its figures linked to the command that prints it."""
    imports = "from equipoise.records import coherence_notes, load_record"
    find = f"n = next(n for n in coherence_notes(load_record('{ctx.address}')) if n.id == '{note.id}')"
    command = f'python -c "{imports}; {find}; print(n.what, n.why, n.explained)"'
    return ctx.writer.quote_computed(text, command, f"the computed note {note.id}", "as its words say")


_STATED: dict[str, str] = {
    "not_prespecified": "the sources say so",
    "prespecified_after_unblinding": "the dates say so",
    "after_failed_gatekeeper": "it follows from the order of the tests",
    "one_sided_interval": "an interval with one limit, as printed",
}
"""What stands in place of an explanation where nothing contradicts anything."""


def _explained(ctx: Context, note: CoherenceNote) -> Inlines:
    if note.explained:
        return _own_words(ctx, note, note.explained)
    return ctx.writer.words(_STATED.get(note.kind, "not known"))


def _checks(ctx: Context, notes: Sequence[CoherenceNote]) -> Table:
    """Every other computed note: what was found, why it matters, how sure it is, what would explain it."""
    writer = ctx.writer
    rows = tuple(
        Row(
            (
                _own_words(ctx, n, n.what),
                upper(_own_words(ctx, n, n.why)),
                writer.words(n.certainty),
                upper(_explained(ctx, n)),
            )
        )
        for n in notes
    )
    caption = writer.words(
        "Found by program in the record's own numbers. Certain: the arithmetic leaves no other reading. Likely: "
        "another reading would be unusual. Possible: an ordinary reason could explain it. "
        "Not known: nothing was found that would."
    )
    heads = tuple(writer.words(c) for c in ("Finding", "Why it matters", "How sure", "What would explain it"))
    return Table("t-checks", caption, heads, rows)


def _conflicts(ctx: Context) -> list[Inlines]:
    writer = ctx.writer
    out = []
    blocks = [(r, r.conflicts) for r in ctx.record.results] + [(i, i.conflicts) for i in ctx.record.items]
    for block, conflicts in blocks:
        for conflict in conflicts:
            line = _conflict(ctx, conflict, block)
            if line:
                out.append(line)
    del writer
    return out


def _conflict(ctx: Context, conflict: Conflict, block) -> Inlines:  # type: ignore[no-untyped-def]
    writer = ctx.writer
    what = writer.quote(conflict.what, block)
    sides = []
    for value in conflict.values:
        if not value.usable or value.source is None:
            return ()
        if isinstance(value, Value):
            shown = cell(ctx, value)
        else:
            assert isinstance(value, Fact)
            shown = writer.quote(value.text, value) or ()
        note = writer.quote(value.note, value) if value.note else None
        where = writer.cite(value.source, value)
        sides.append((*shown, Text(" ("), *((*note, Text(", ")) if note else ()), where, Text(")")))
    if not what or not all(sides):
        return ()
    label = writer.quote(block.label, block) if hasattr(block, "label") else writer.label(ctx.outcome(block.outcome))
    head = writer.strong((*(upper(label) if label else ()), Text("."))) if label else writer.strong(())
    between = " against " if all(isinstance(v, Value) for v in conflict.values) else "; the other: "
    line = paragraphs((head,), (*upper(what), Text(": "), *joined(sides, between), Text(".")))
    if conflict.reading and (reading := writer.quote(conflict.reading, block, *conflict.values)):
        line = paragraphs(line, (*upper(reading), Text(".")))
    return line
