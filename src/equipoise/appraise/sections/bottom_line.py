"""The bottom line: the verdict, the key figures, and what a reader in a hurry has to know."""

from __future__ import annotations

from equipoise.appraise import numbers
from equipoise.appraise.certainty import rating
from equipoise.appraise.context import Context
from equipoise.appraise.phrases import (
    co_primary_sentence,
    disputed_sentence,
    interval_sentence,
    paragraphs,
    primary_sentence,
    question_sentence,
    replica_sentence,
    split_sentence,
)
from equipoise.appraise.sections import certainty
from equipoise.appraise.sections.replica import main_answers, reading
from equipoise.document.document import Block, Inlines, Link, Note, Paragraph, Section, Stat, Stats, Text
from equipoise.document.readers import READERS
from equipoise.document.text import joined, short, upper
from equipoise.records.schema import PValue, Result

_MEANS: dict[rating.Level, str] = {
    "high": "the true effect lies close to the estimate",
    "moderate": "the true effect is probably close to the estimate",
    "low": "the true effect may differ much from the estimate",
    "very low": "the true effect is likely to differ much from the estimate",
}
"""What each level says (H. Balshem et al., GRADE guidelines 3, J Clin Epidemiol 2011;64:401-406), in our words."""


def build(ctx: Context) -> Section:
    """The verdict first with its numbers and how sure one can be of them, then what the rebuilt trial adds.

    What the markers did, the other outcomes and the later comparison come with the key findings, and only there.
    """
    writer, f = ctx.writer, ctx.findings
    opening = {
        True: writer.say("{t} met its primary endpoint.", t=ctx.trial),
        False: writer.say("{t} missed its primary endpoint.", t=ctx.trial),
        None: writer.say("The record of {t} does not say whether its primary endpoint was met.", t=ctx.trial),
    }[f.met]
    if f.disputed:
        opening = disputed_sentence(ctx)
    said = writer.statements("bottom_line")
    primary = primary_sentence(ctx)
    blocks: list[Block] = []
    blocks.append(Stats(tuple(_stats(ctx))))
    # statements of the record say it better than that nothing could be read from its numbers
    head = () if f.met is None and said and not f.disputed else (writer.strong(opening),)
    blocks.append(Paragraph(paragraphs(head, *(said or (primary,))), lead=True))
    body = [
        paragraphs(primary if said else (), interval_sentence(ctx), question_sentence(ctx), co_primary_sentence(ctx))
    ]
    if split := split_sentence(ctx):
        body.append((*split, Text(" "), Link(writer.words("More on this"), "#coherence"), Text(".")))
    blocks.extend(Paragraph(b) for b in body if b)
    if ctx.replica is not None and ctx.replica.answers:
        answers = [replica_sentence(ctx, a.sentence, a.command, a.question) for a in main_answers(ctx.replica)]
        extra = [Paragraph(r)] if (r := reading(ctx)) else []
        blocks.append(
            Note("info", writer.words("What the rebuilt trial adds"), (Paragraph(paragraphs(*answers)), *extra))
        )
    if ctx.audience is not None and (own := writer.statements(ctx.audience)):
        blocks.append(
            Note("key", writer.words(f"For the {READERS[ctx.audience].lower()}"), tuple(Paragraph(s) for s in own))
        )
    return Section("bottom-line", writer.words("Bottom line"), tuple(blocks))


def _stats(ctx: Context) -> list[Stat]:
    """At a glance: verdict, effect, certainty and recommendation, then markers and the gravest harm."""
    writer, f = ctx.writer, ctx.findings
    if f.primary is None:
        return _sure(ctx)
    out: list[Stat] = []
    word, tone = {True: ("Met", "good"), False: ("Missed", "bad"), None: ("Not stated", "open")}[f.met]
    remark: Inlines = ()
    if f.disputed:
        word = "Disputed"
        remark = joined([writer.say("{p}, {t}", p=ctx.p(p), t=_test(ctx, p)) for p in f.disputed], "; ")
    elif f.test is not None:
        remark = writer.say("{p}, {t}", p=ctx.p(f.test), t=_test(ctx, f.test))
    if f.met is not None or f.disputed or not writer.statements("bottom_line"):
        out.append(Stat(writer.words("Primary endpoint"), writer.words(word), remark, tone))  # type: ignore[arg-type]
    if f.contrast is not None and f.outcome is not None and f.contrast.value is not None:
        c = f.contrast
        digits = numbers.contrast_digits(c)
        value: Inlines = (writer.cite(numbers.number(c.value or 0, digits, plus=c.kind == "difference"), c),)
        unit = ctx.unit(f.outcome, f.primary)
        if unit and c.kind == "difference":
            value = (*value, *writer.label(unit))
        bounds: Inlines = ()
        if c.low is not None and c.high is not None:
            word = "95 % interval {b}" if not numbers.level(c) else "interval {b}"
            bounds = writer.say(word, b=(writer.cite(numbers.span(c.low, c.high, digits) + numbers.level(c), c),))
        kind = {"difference": "", "ratio": ", ratio", "hazard_ratio": ", hazard ratio"}[c.kind]
        label = writer.say(
            "{o} at {w}, {a} against {c}" + kind,
            o=upper_label(ctx, f.outcome.id),
            w=ctx.week(f.week),
            a=ctx.active,
            c=ctx.control,
        )
        out.append(Stat(label, value, bounds))
    elif f.primary is not None and (counted := _counted(ctx, f.primary)) is not None:
        out.append(counted)
    out.extend(_sure(ctx))
    for r in f.biomarkers()[:2]:
        lower = ctx.percent_lower(r)
        if r.contrast is None:
            continue
        ratio = writer.say(
            "ratio {r}{n}", r=ctx.contrast(r.contrast), n=writer.words(", nominal") if f.met is False else ()
        )
        shown: Inlines = (lower,) if lower is not None else ctx.contrast(r.contrast)
        label = writer.say("{o} at {w}", o=upper_label(ctx, r.outcome), w=ctx.week(r.week))
        out.append(Stat(label, shown, ratio))
    event = f.serious_neurologic()
    if event is not None and (counts := f.counts(event)):
        label = writer.quote(event.term, event) or writer.label(event.term)
        out.append(
            Stat(
                (*label, *writer.words("s")) if not event.term.endswith("s") else label,
                ctx.count(counts[0]),
                writer.say("with {a}; {n} with {c}", a=ctx.active, n=ctx.count(counts[1]), c=ctx.control),
            )
        )
    return out


def _counted(ctx: Context, r: Result) -> Stat | None:
    """The primary result as people of people, where the record has no contrast of it."""
    pair = ctx.arms_pair(r)
    if pair is None or not all(v.total for v in pair):
        return None
    label = ctx.writer.say("{o} at {w}", o=upper_label(ctx, r.outcome), w=ctx.week(r.week))
    remark = ctx.writer.say("with {a}; {n} with {c}", a=ctx.active, n=ctx.count(pair[1]), c=ctx.control)
    return Stat(label, ctx.count(pair[0]), remark)


def _sure(ctx: Context) -> list[Stat]:
    """How certain the evidence is and what is recommended, each leading to where it is argued."""
    writer = ctx.writer
    label = writer.words("Certainty of the evidence")
    if ctx.judgements is None:
        remark = writer.words("risk of bias and certainty are judgements of people, and are never inferred here")
        return [Stat(label, (writer.to("certainty", "Not judged"),), remark, "open")]
    level, found = certainty.overview(ctx)
    out = []
    if level is not None:
        remark = writer.say("over the critical outcomes: {m}", m=_MEANS[level])
        out.append(Stat(label, (writer.to("certainty", level.capitalize()),), remark))
    if found is not None and ctx.judgements.decision is not None:
        said = (
            "Neither for nor against"
            if found.direction == "neither"
            else f"{found.strength.capitalize()} {found.direction}"
        )
        asked = upper(writer.label(ctx.judgements.decision.question))
        out.append(Stat(writer.words("Illustration of a recommendation"), (writer.to("decision", said),), asked))
    return out


def _test(ctx: Context, p: PValue) -> Inlines:
    name = ctx.test_name(p.method)
    return ctx.method(p.method) if name == "test" else ctx.writer.words(name)


def upper_label(ctx: Context, outcome: str) -> Inlines:
    """An outcome's label at the start of a line."""
    return upper(ctx.writer.label(short(ctx.record.outcome(outcome).label)))
