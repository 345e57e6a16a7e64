"""The deck for a journal club: eight to ten slides with figures and questions, and what to say beside each."""

from __future__ import annotations

from dataclasses import replace
from itertools import zip_longest

from equipoise.appraise import single
from equipoise.appraise.brief import register_cut, standing_alone
from equipoise.appraise.build import draft, finish
from equipoise.appraise.certainty import Judgements
from equipoise.appraise.context import Context
from equipoise.appraise.phrases import (
    biomarker_sentence,
    later_sentence,
    neuro_sentence,
    nominal_sentence,
    paragraphs,
    primary_sentence,
    split_sentence,
)
from equipoise.appraise.questions.asking import applicable
from equipoise.appraise.sections import (
    bottom_line,
    brief,
    design,
    key_findings,
    limitations,
    related,
    replica,
    results,
    safety,
)
from equipoise.document.document import (
    Block,
    Cards,
    Curves,
    Document,
    Facts,
    Figure,
    Forest,
    Inlines,
    Link,
    Listing,
    Note,
    Paragraph,
    Question,
    Section,
    Stats,
    Table,
    Text,
    plain,
    walk,
)
from equipoise.document.readers import READERS, Reader
from equipoise.records import load_record
from equipoise.records.schema import Record
from equipoise.replica.replica import Replica

FEWEST, MOST = 8, 10
"""How many slides a deck has."""
PANELS, ROWS, ASKED, CARDS = 3, 7, 6, 3
"""What one slide has room for: panels of a figure, rows of a table, questions, related trials."""


_APART = ("Citation", "The trial rebuilt")
"""Facts of a brief that have a slide of their own."""


def in_slides(
    record: Record | str, rebuilt: Replica | None = None, *, judgements: Judgements | None = None
) -> Document:
    """The deck of a published trial, a record or its name, for a journal club; every slide has its speaker's notes.

    ``rebuilt`` adds a slide on what the rebuilt trial says; ``judgements`` replaces those that come with the package.
    Raises :class:`RecordError` for a name that is not known, or for a replica of another trial.

    >>> deck = in_slides("valor")
    >>> 8 <= len(deck.sections) <= 10
    True
    """
    ctx = draft(load_record(record) if isinstance(record, str) else record, rebuilt, judgements=judgements)
    slides = standing_alone(_chosen(ctx))
    return register_cut(finish(ctx, slides, kind="slides"))


def _chosen(ctx: Context) -> tuple[Section, ...]:
    """The slides every trial has, and of the others as many as there is room for, in the order of telling."""
    told = brief.build(ctx, alone=True)
    always = ("title", "question", "conduct", "result", "harm", "trust", "discussion")
    made: dict[str, Section | None] = {
        "title": _title(ctx, told),
        "question": _question(ctx),
        "conduct": _conduct(ctx),
        "result": _result(ctx, told),
        "contrasts": _contrasts(ctx),
        "curves": _curves(ctx),
        "harm": _harm(ctx, told),
        "replica": _replica(ctx),
        "trust": _trust(ctx, told),
        "related": _related(ctx),
        "discussion": _discussion(ctx),
    }
    wanted = list(always)
    for name in ("contrasts", "curves", "replica", "related"):
        if made[name] is not None and len(wanted) < MOST:
            wanted.append(name)
    slides = [slide for name, slide in made.items() if name in wanted and slide is not None]
    while len(slides) < FEWEST:  # little is on record: what is missing is worth a slide
        slides.insert(-1, _missing(ctx))
    return tuple(slides)


def _slide(ctx: Context, id: str, title: str, blocks: list[Block], *notes: Inlines | Block) -> Section:
    said = tuple(Paragraph(n) if isinstance(n, tuple) else n for n in notes if n)
    return Section(f"slide-{id}", ctx.writer.words(title), tuple(blocks), notes=said)


def _title(ctx: Context, told: Section) -> Section:
    writer, record = ctx.writer, ctx.record
    lead = bottom_line.build(ctx).blocks if ctx.findings.compared else ()
    first = next((b for b in lead if isinstance(b, Paragraph) and b.lead), None)
    named = record.acronym and not record.title.startswith(record.acronym)
    title = writer.say("{a}: {t}", a=record.acronym or "", t=record.title) if named else writer.label(record.title)
    blocks: list[Block] = [Paragraph(writer.words("Journal club")), Paragraph(brief.citation(ctx))]
    verdict = _stats(told).items[0]
    said = (*verdict.label, Text(": "), *verdict.value) if ctx.findings.compared else single.nobody(ctx)
    blocks.append(Paragraph((writer.strong(said),), lead=True))
    notes: list[Inlines | Block] = [] if first is None else [first.content]
    registered = [(*writer.label(r.registry), Text(" "), *writer.label(r.number)) for r in record.registrations]
    if registered:
        notes.append(Listing(tuple(registered)))
    command = f"equipoise appraise {ctx.address}"
    notes.append(writer.say("The whole appraisal, with every source: {c}.", c=writer.code(command)))
    return Section("slide-title", title, tuple(blocks), notes=tuple(_blocks(notes)))


def _blocks(notes: list[Inlines | Block]) -> list[Block]:
    return [Paragraph(n) if isinstance(n, tuple) else n for n in notes if n]


def _facts(ctx: Context, *terms: str) -> list[tuple[Inlines, Inlines]]:
    """The facts of the design card under these terms, in this order."""
    found = {
        plain(term): (term, said)
        for block in design.build(ctx).blocks
        for node in walk(block)
        if isinstance(node, Facts)
        for term, said in node.items
    }
    return [found[term] for term in terms if term in found]


def _question(ctx: Context) -> Section:
    facts = _facts(ctx, "Population", "Intervention", "Comparator", "Primary outcome")
    more = Facts(tuple(_facts(ctx, "Analysis sets", "Dates", "Registered as")))
    ask = ctx.writer.words("Before going on: what result would change what you do?")
    return _slide(ctx, "question", "What was asked", [Facts(tuple(facts))], ask, *([more] if more.items else []))


def _conduct(ctx: Context) -> Section:
    writer = ctx.writer
    facts = _facts(ctx, "Design", "Masking", "Participants", "Randomisation", "Setting", "Duration")
    criteria = [q for c in ctx.record.eligibility if c.usable and (q := design.criterion(ctx, c))]
    ordered = sorted((o for o in ctx.record.outcomes if o.test_order and o.usable), key=lambda o: o.test_order or 0)
    notes: list[Inlines | Block] = []
    if len(ordered) > 1:
        notes.append(writer.words("Outcomes were to be tested in this order, each only if the one before succeeded:"))
        notes.append(Listing(tuple(writer.label(o.label) for o in ordered), ordered=True))
    if criteria:
        notes += [writer.words("Who could take part:"), Listing(tuple(criteria[:12]))]
    if not facts:
        facts = [(writer.words("Condition"), writer.label(ctx.record.condition))]
    return _slide(ctx, "conduct", "How the trial was run", [Facts(tuple(facts))], *notes)


def _stats(told: Section) -> Stats:
    return next(b for b in told.blocks if isinstance(b, Stats))


def _harmful(label: str) -> bool:
    return label.startswith("Harm")


def _result(ctx: Context, told: Section) -> Section:
    """The verdict and the numbers, with the key finding in words."""
    writer = ctx.writer
    tiles = tuple(
        s for s in _stats(told).items if not _harmful(plain(s.label)) and not plain(s.label).startswith("Certainty")
    )
    blocks: list[Block] = [Stats(tiles)]
    found = [b for b in key_findings.build(ctx).blocks if isinstance(b, Listing)]
    said = list(writer.statements("key_findings"))[:3] or list(writer.statements("bottom_line"))[:3]
    if said:
        blocks.append(Listing(tuple(said)))
    elif found:
        blocks.append(Listing(found[0].items[:2]))
    notes = [primary_sentence(ctx), split_sentence(ctx), nominal_sentence(ctx)]
    return _slide(ctx, "result", "What was found", blocks, *notes)


def _cut(figure: Figure, id: str) -> Figure:
    """A figure of as many panels as a slide has room for, under an id of its own."""
    chart = figure.chart
    assert isinstance(chart, Forest | Curves)
    panels = replace(chart, panels=chart.panels[:PANELS])  # type: ignore[arg-type]
    return replace(figure, id=id, chart=panels, table=replace(figure.table, id=f"t-{id}"))


def _contrasts(ctx: Context) -> Section | None:
    figure = results.forest_figure(ctx)
    if figure is None:
        return None
    left = len(figure.chart.panels) - PANELS if isinstance(figure.chart, Forest) else 0
    more = ctx.writer.words("The page of this appraisal draws the other outcomes too.") if left > 0 else ()
    notes = [paragraphs(figure.description), biomarker_sentence(ctx), later_sentence(ctx), figure.caption, more]
    return _slide(ctx, "contrasts", "The main contrasts", [_cut(figure, "fig-slide-forest")], *notes)


def _curves(ctx: Context) -> Section | None:
    figure = results.curves_figure(ctx, "randomised")
    if figure is None:
        return None
    chart = figure.chart
    assert isinstance(chart, Curves)
    name = ctx.set_name(ctx.findings.set) if ctx.findings.set else ""
    own = [p for p in chart.panels if name and p.title.endswith(name)]
    ordered = (*own, *(p for p in chart.panels if p not in own))
    cut = _cut(replace(figure, chart=replace(chart, panels=ordered)), "fig-slide-curves")
    title = "Over time" if ctx.replica is None else "Over time, over what the rebuilt trial gives"
    return _slide(ctx, "curves", title, [cut], figure.description, figure.caption)


def _harm(ctx: Context, told: Section) -> Section:
    writer = ctx.writer
    made = safety.build(ctx)
    table = next((b for b in made.blocks if isinstance(b, Table)), None)
    blocks: list[Block] = [Stats(tuple(s for s in _stats(told).items if _harmful(plain(s.label))))]
    notes: list[Inlines | Block] = [neuro_sentence(ctx)]
    said = writer.statements("safety")
    if table is None:
        blocks.extend([Listing(said[:3])] if said else [])
    else:
        rows = [row for row in table.rows if not row.heading]
        grave = ctx.findings.serious_neurologic()
        last = [r for r in rows[ROWS:] if grave is not None and plain(r.cells[0]).lower() == grave.term.lower()]
        rows = [*rows[: ROWS - len(last)], *last]  # the gravest harm that was counted is never cut
        blocks = [_without_empty(replace(table, id="t-slide-harm", rows=tuple(rows)))]
        if said:
            notes.append(Listing(said))
    notes.extend(b for b in made.blocks if isinstance(b, Paragraph))
    if table is None and not said:
        notes.append(writer.words("No harm was counted by arm in what was read: ask why."))
    return _slide(ctx, "harm", "What harm it did", blocks, *notes)


def _without_empty(table: Table) -> Table:
    """A table without the columns in which no row says anything."""
    kept = [i for i in range(len(table.columns)) if i == 0 or any(plain(r.cells[i]) != "–" for r in table.rows)]
    return replace(
        table,
        columns=tuple(table.columns[i] for i in kept),
        rows=tuple(replace(r, cells=tuple(r.cells[i] for i in kept)) for r in table.rows),
        numeric=tuple(table.numeric[i] for i in kept) if table.numeric else (),
    )


def _replica(ctx: Context) -> Section | None:
    """The answers of the rebuilt trial, what they say together, and how it errs."""
    made = replica.build(ctx)
    table = next((b for b in made.blocks if isinstance(b, Table) and b.id == "t-answers"), None)
    if ctx.replica is None or table is None:
        return None
    rows = tuple(replace(row, cells=row.cells[:2]) for row in table.rows)
    columns = table.columns[:2]
    if [row.heading for row in rows].index(False) == 1 and sum(row.heading for row in rows) == 1:
        columns, rows = (rows[0].cells[0], columns[1]), rows[1:]  # the one heading says what every share is of
    cut = replace(table, id="t-slide-answers", columns=columns, rows=rows[:ROWS], numeric=table.numeric[:2])
    said = replica.reading(ctx)
    blocks: list[Block] = [cut]
    if said:
        blocks.append(Note("info", ctx.writer.words("What that means"), (Paragraph(said),)))
    leads_off = Link(ctx.writer.words("bottom line"), "#bottom-line")  # the slide itself holds what stands there
    notes: list[Inlines | Block] = [b for b in made.blocks if isinstance(b, Paragraph) and leads_off not in b.content]
    return _slide(ctx, "replica", "What the rebuilt trial says", blocks, *notes)


def _trust(ctx: Context, told: Section) -> Section:
    """Certainty, caveats, and what the trial changes."""
    tiles = tuple(s for s in _stats(told).items if plain(s.label).startswith("Certainty"))
    blocks: list[Block] = [Stats(tiles)] if tiles else []
    blocks.extend(b for b in told.blocks if isinstance(b, Note))
    facts = [(t, s) for b in told.blocks if isinstance(b, Facts) for t, s in b.items if plain(t) not in _APART]
    blocks.append(Facts(tuple(facts)))
    weak = [b for b in limitations.build(ctx).blocks if isinstance(b, Listing)]
    return _slide(ctx, "trust", "How far to trust it, and what it changes", blocks, *weak)


def _related(ctx: Context) -> Section | None:
    made = related.build(ctx)
    cards = None if made is None else next((b for b in made.blocks if isinstance(b, Cards)), None)
    if cards is None:
        return None
    shown = tuple(
        replace(c, facts=tuple(f for f in c.facts if plain(f[0]) in ("Population", "Endpoint", "Result")))
        for c in cards.items[-CARDS:]
    )
    notes: list[Block] = [Facts(c.facts) for c in cards.items[-CARDS:]]
    return _slide(ctx, "related", "What other trials found", [Cards(shown)], *notes)


def _missing(ctx: Context) -> Section:
    """What the record lacks, for a trial of which little was published."""
    writer = ctx.writer
    lacks = [
        text
        for text, there in (
            ("a result of the primary endpoint", ctx.findings.primary is not None or bool(ctx.findings.rows)),
            ("an estimate with its interval", ctx.findings.contrast is not None),
            ("counts of harm by arm", any(ctx.findings.counts(e) for e in ctx.record.adverse_events)),
            ("values over time", bool(ctx.record.curves)),
            ("the criteria of entry", bool(ctx.record.eligibility)),
            ("judgements on risk of bias", ctx.judgements is not None),
        )
        if not there
    ]
    items = tuple(writer.words(text) for text in lacks) or (writer.words("nothing that this deck would show"),)
    lead = writer.words("What was read does not hold:")
    ask = writer.words("What of it would you ask the authors for first?")
    return _slide(ctx, "missing", "What is not on record", [Paragraph(lead), Listing(items)], ask)


def _discussion(ctx: Context) -> Section:
    """Questions to argue about, of several readers in turn; their answers are in the notes."""
    writer = ctx.writer
    found: dict[str, Question] = {}
    for stage in ("journal_club", "critical_reading", "first_look"):
        homes: dict[str, list[Question]] = {role: [] for role in READERS}
        for entry, question in applicable(ctx, Reader(stage=stage)):
            homes[entry.home].append(question)
        turns = zip_longest(*reversed(homes.values()))
        for question in (q for turn in turns for q in turn if q is not None):
            if len(found) < ASKED:
                found.setdefault(question.id, question)
    notes: list[Inlines | Block] = []
    for question in found.values():
        notes.append((writer.strong(question.question),))
        notes.extend(b for b in question.answer if not isinstance(b, Table | Figure))
    listed = tuple(q.question for q in found.values()) or (writer.words("What would you have done differently?"),)
    return _slide(ctx, "discussion", "To discuss", [Listing(listed, ordered=True)], *notes)
