"""The design card: how the trial was built, who took part, what was measured and in which order it was tested."""

from __future__ import annotations

import re

from equipoise.appraise.context import Context
from equipoise.appraise.findings import known
from equipoise.appraise.numbers import date_text
from equipoise.appraise.tables import baseline_table
from equipoise.document.document import Block, Facts, Fold, Inlines, Listing, Paragraph, Section, Text
from equipoise.document.text import joined, lower, upper
from equipoise.records.registry.tables import COUNTED
from equipoise.records.schema import AnalysisSet, Criterion, DateFact

_FEW = 4
"""Criteria of a registry entry that the card names; the others are folded away."""
_FORMAL = re.compile(r"^any sex$|informed consent|age of consent|of age inclusive", re.I)
"""Criteria that tell nobody apart, or that the ages have told."""
_LONG = 240
"""A criterion of more letters than this, as a registry posts it, is told among all criteria alone."""


def build(ctx: Context) -> Section:
    """How it was built, population, intervention, comparator and outcome; folded away the rest and the baseline."""
    writer, d, f = ctx.writer, ctx.record.design, ctx.findings
    items: list[tuple[Inlines, Inlines]] = []

    def add(term: str, said: Inlines | None) -> None:
        if said:
            items.append((writer.words(term), said))

    fact = ctx.fact
    kind = fact(d.type)
    phase = fact(d.phase)
    add("Design", upper(joined([p for p in (kind, phase) if p], "; ")))
    add("Masking", upper(fact(d.masking) or ()))
    add("Participants", upper(_participants(ctx)))
    add("Randomisation", _randomisation(ctx))
    add("Setting", upper(fact(d.setting) or ()))
    add("Duration", upper(_duration(ctx)))
    add("Population", _population(ctx))
    if f.compared or len(f.arms) == 1:
        add("Intervention", upper(_intervention(ctx)))
    else:
        add("Groups, all with one treatment", upper(joined([ctx.regimen(a) for a in f.arms], "; ")))
    add("Comparator", upper(fact(d.control) or ctx.regimen(f.control)) if f.compared else writer.words("none"))
    if f.outcome is not None:
        add("Primary outcome", _outcome(ctx))
    core, items = items, []
    add("Analysis sets", _sets(ctx))
    add("Dates", _dates(ctx))
    add("Protocol", upper(fact(d.protocol) or ()))
    registered = []
    for r in ctx.record.registrations:
        writer.register(f"{r.registry} {r.number}")
        registered.append(writer.label(f"{r.registry} {r.number}"))
    add("Registered as", joined(registered, "; ") if registered else None)
    published = [writer.label(c.text) for c in ctx.record.citations]
    add("Published as", joined(published, " ") if published else None)
    blocks: list[Block] = [Facts(tuple(core))]
    ordered = sorted((o for o in ctx.record.outcomes if o.test_order and o.usable), key=lambda o: o.test_order or 0)
    if len(ordered) > 1:
        names = tuple(upper(writer.label(o.label)) for o in ordered)
        blocks.append(
            Paragraph(
                writer.words(
                    "The order in which outcomes were to be tested, each only if the one before had succeeded:"
                )
            )
        )
        blocks.append(Listing(names, ordered=True))
    if items:
        heading = writer.words("Analysis sets, dates, registrations, publications")
        blocks.append(Fold("design-more", heading, (Facts(tuple(items)),)))
    criteria = [q for c in ctx.record.eligibility if c.usable and (q := criterion(ctx, c))]
    if criteria:
        blocks.append(Fold("eligibility", writer.words("Who could take part"), (Listing(tuple(map(upper, criteria))),)))
    table = baseline_table(ctx, ctx.record.baseline)
    if table is not None:
        blocks.append(Fold("baseline", writer.words("Who took part: the baseline by set and arm"), (table,)))
    return Section("design", writer.words("Design"), tuple(blocks))


def criterion(ctx: Context, c: Criterion) -> Inlines | None:
    """A criterion of eligibility; one that holds for a single set says so."""
    said = (ctx.writer.told if ctx.record.origin == "written" else ctx.writer.quote)(c.text, c)
    if said and c.kind == "exclusion":
        return (*ctx.writer.words("excluded: "), *said)
    if said and c.set is not None and c.kind != "set_rule":
        return (*said, *ctx.writer.say(" ({s})", s=ctx.writer.label(ctx.set_phrase(c.set))))
    return said


def _participants(ctx: Context) -> Inlines:
    writer, d, f = ctx.writer, ctx.record.design, ctx.findings
    if not known(d.n_actual):
        return ()
    drawn = d.randomised and ctx.record.origin == "written"
    out = writer.say("{n} randomised" if drawn else "{n} enrolled", n=ctx.randomised)
    if d.n_actual_of:
        out = writer.say("{n} ({w}); how many were randomised was not read", n=ctx.randomised, w=d.n_actual_of)
    arms = [f.active, *(a for a in f.arms if a.role == "active" and a.id not in (f.active.id, f.control.id)), f.control]
    arms = list({a.id: a for a in arms}.values())
    given = "{n} to {a}" if ctx.record.origin == "written" else "{n} started {a}"
    if not f.compared:
        given = "{n} in the group called {a}"
    shown = [writer.say(given, n=ctx.number(a.n), a=lower(a.label)) for a in arms if known(a.n)]
    if len(shown) == len(arms):
        out = (*out, Text(", "), *joined(shown))
        if ctx.beyond_the_arms and len(arms) == 2 and not drawn:
            out = (*out, *writer.words("; the others were in other groups of the entry or did not start"))
    if known(d.n_screened):
        out = (*out, *writer.say(", of {n} screened", n=ctx.number(d.n_screened)))
    if d.n_planned is not None and d.n_planned.usable:
        out = (*out, *writer.say("; planned: {n}", n=ctx.number(d.n_planned)))
        if d.n_planned_first is not None and d.n_planned_first.usable:
            out = (*out, *writer.say(" ({n} at first)", n=ctx.number(d.n_planned_first)))
    return out


def _randomisation(ctx: Context) -> Inlines:
    writer, d, f = ctx.writer, ctx.record.design, ctx.findings
    shares = [d.allocation.get(f.active.id), d.allocation.get(f.control.id)]
    out: Inlines = ()
    if not f.compared:
        return ()
    if d.usable and all(s is not None for s in shares):
        ratio = writer.cite(":".join(str(s) for s in shares), d)
        out = ctx.say("{r}, {active} to {control}", r=ratio)
    strata = [q for s in d.strata if s.usable and (q := writer.quote(lower(s.label), s))]
    if strata:
        out = (*out, *writer.words(". Stratified by " if out else "Stratified by "), *joined(strata))
    return out


def _duration(ctx: Context) -> Inlines:
    writer, d = ctx.writer, ctx.record.design
    if not known(d.duration_weeks):
        return ()
    out = ctx.lasting(ctx.number(d.duration_weeks))
    extension = ctx.record.extension
    if extension is not None:
        out = (
            *out,
            *writer.say(
                ", then {e}", e=writer.quote(lower(extension.title), extension) or writer.words("an extension")
            ),
        )
    return out


def _population(ctx: Context) -> Inlines:
    inclusion = [c for c in ctx.record.eligibility if c.kind == "inclusion" and c.set is None and c.usable]
    short = [
        c
        for c in inclusion
        if len(c.text) <= _LONG and not c.text.rstrip().endswith(":") and not _FORMAL.search(c.text)
    ]
    if ctx.record.origin == "posted":
        short = short[:_FEW]
    quoted = [q for c in short if (q := ctx.writer.quote(c.text.rstrip("."), c))]
    out = upper(joined(quoted, "; ")) if quoted else upper(ctx.writer.label(ctx.record.condition))
    if len(short) == len(inclusion):
        return out
    return (*out, Text(". "), ctx.writer.to("eligibility", "All criteria"))


def _intervention(ctx: Context) -> Inlines:
    writer, dosing = ctx.writer, ctx.record.dosing
    arm = ctx.findings.active
    if dosing is not None and dosing.route.usable and arm.route and arm.route in dosing.route.text:
        arm = arm.model_copy(update={"route": None})  # the route of dosing says it, and more
    out = ctx.regimen(arm)
    if dosing is None:
        return out
    if dosing.route.usable and (route := writer.quote(dosing.route.text, dosing.route)):
        out = (*out, *writer.words(": "), *route)
    if dosing.usable and dosing.days:
        days = ", ".join(str(day) for day in dosing.days)
        count = writer.cite(str(len(dosing.days)), dosing)
        out = (*out, *writer.say("; {n} doses, on days {d}", n=count, d=writer.cite(days, dosing)))
    return out


def _outcome(ctx: Context) -> Inlines:
    writer, f = ctx.writer, ctx.findings
    assert f.outcome is not None
    out = writer.label(f.outcome.label)
    if f.outcome.definition and f.outcome.usable and (said := writer.quote(f.outcome.definition, f.outcome)):
        out = (*out, Text(": "), *said)
    if f.test is not None:
        out = (*out, *writer.say("; tested{t}", t=ctx.by_test(f.test.method)))
    return out


def _sets(ctx: Context) -> Inlines:
    writer = ctx.writer
    parts = []
    arms = {a.id: a for a in (ctx.findings.active, ctx.findings.control)}.values()
    for s in distinct_sets(ctx):
        counts = [(s.n.get(a.id), a) for a in arms]
        shown = [writer.say("{n} {a}", n=ctx.number(v), a=lower(a.label)) for v, a in counts if known(v)]
        if shown:
            parts.append((*set_title(ctx, s), *writer.words(" ("), *joined(shown, ", "), *writer.words(")")))
    return joined(parts, "; ")


def distinct_sets(ctx: Context) -> list[AnalysisSet]:
    """The analysis sets that may be shown, each once: of a registry, those of one name and size are one to a reader.

    A set without a name, which is only a count, and one without people are left out.
    """
    if ctx.record.origin != "posted":
        return [s for s in ctx.record.sets if s.usable]
    found: dict[tuple[object, ...], AnalysisSet] = {}
    for s in ctx.record.sets:
        if s.label != COUNTED and any(known(v) and v.value for v in s.n.values()):
            found.setdefault((s.label, tuple(sorted((a, v.value) for a, v in s.n.items()))), s)
    return [s for s in found.values() if s.usable]


def set_title(ctx: Context, s: AnalysisSet) -> Inlines:
    """An analysis set by its label; where that is a text cut short, or another's label too, by the whole text."""
    cut = s.label.endswith(("...", "\N{HORIZONTAL ELLIPSIS}"))
    unclear = cut or any(o.id != s.id and o.label == s.label for o in ctx.record.sets)
    whole = ctx.record.origin == "posted" and unclear
    text = " ".join(s.definition.split()).rstrip(".") if whole else s.label
    return ctx.writer.quote(text, s) or ctx.writer.label(s.label)


def date_named(ctx: Context, name: str, date: DateFact) -> Inlines:
    """What a date is; a registry's is the start of the study or its primary completion, done or planned, not a dose."""
    if ctx.record.origin == "written" or not date.note:
        return ctx.writer.label(date.note or name)  # what else the date is, where a written record says so
    said, _, kind = date.note.partition(", ")
    return ctx.writer.words(said if kind in ("", "actual") else f"{said}, planned for")


def _dates(ctx: Context) -> Inlines:
    writer, d = ctx.writer, ctx.record.design
    named: list[tuple[str, DateFact | None]] = [
        ("first dose", d.first_dose),
        ("last visit", d.last_visit),
        ("database lock", d.database_lock),
    ]
    shown = [
        writer.say("{n} {d}", n=date_named(ctx, n, v), d=writer.cite(date_text(v.date), v))
        for n, v in named
        if v is not None and v.usable
    ]
    return upper(joined(shown, ", "))
