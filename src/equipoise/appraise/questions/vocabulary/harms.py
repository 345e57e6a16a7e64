"""Harm, in absolute numbers."""

from __future__ import annotations

from equipoise.appraise import absolute_risk, numbers, phrases
from equipoise.appraise.context import Context
from equipoise.appraise.questions.conditions import has_harms
from equipoise.appraise.questions.vocabulary.phrase import items, sentence
from equipoise.appraise.sections.safety import deaths_apart, deaths_remark, none_seen_sentence
from equipoise.appraise.tables import cell
from equipoise.document.document import Inlines
from equipoise.document.text import joined, lower, upper
from equipoise.records.schema import AdverseEvent, Value

NONE = "The record holds no adverse events by arm, so harm cannot be weighed."


@sentence(NONE)
def serious(ctx: Context) -> Inlines:
    """People with a serious adverse event, by arm; where other events are told and these are not, that."""
    said = serious_told(ctx)
    if said or not has_harms(ctx):
        return said
    return ctx.writer.words("The record does not count serious adverse events by arm.")


def serious_told(ctx: Context) -> Inlines:
    """People with a serious adverse event, by arm; empty where the record does not tell."""
    f = ctx.findings
    rows = [e for e in ctx.record.adverse_events if e.category == "summary" and f.counts(e)]
    row = next((e for e in rows if e.serious), None) or next((e for e in rows if "serious" in e.term.lower()), None)
    if row is not None:
        return phrases.count_sentence(ctx, row)
    share = next((e for e in shares(ctx) if e.serious or "serious" in e.term.lower()), None)
    return share_sentence(ctx, share) if share is not None else ()


def shares(ctx: Context) -> list[AdverseEvent]:
    """Events that are told as a share of each arm, without counts."""
    f = ctx.findings
    out = []
    for e in ctx.record.adverse_events:
        pair = [e.arms.get(a.id) for a in (f.active, f.control)]
        if f.counts(e) is None and all(v is not None and v.usable and v.percent is not None for v in pair):
            out.append(e)
    return out


def share_sentence(ctx: Context, event: AdverseEvent) -> Inlines:
    """``Serious adverse events: 16 % with edaravone and 24 % with placebo``."""
    writer, f = ctx.writer, ctx.findings
    a, c = (cell(ctx, event.arms.get(arm.id)) for arm in (f.active, f.control))
    label = writer.quote(event.term, event) or writer.label(event.term)
    return ctx.say("{t}: {a} with {active} and {c} with {control}; counts are not given.", t=upper(label), a=a, c=c)


@sentence()
def safety_told(ctx: Context) -> Inlines:
    """What the record's own statements say of harm."""
    said = ctx.writer.statements("safety")
    return joined(list(said), " ") if said else ()


@sentence()
def none_seen(ctx: Context) -> Inlines:
    """What a count of none cannot exclude."""
    return none_seen_sentence(ctx, list(ctx.record.adverse_events))


@sentence("The record does not count deaths by arm.")
def deaths(ctx: Context) -> Inlines:
    """Deaths from any cause, by arm."""
    found = ctx.findings.deaths()
    if found is None:
        return ()
    a, c, held = found.active, found.control, found.set
    computed, _ = ctx.risk_difference(found.label, a, c)
    label = ctx.writer.quote(found.label, found.row) or ctx.writer.words("deaths")
    left = found.left
    if left:
        label = ctx.writer.words("people who left the trial by dying")
    when = ctx.writer.say(" by {w}", w=ctx.week(found.week)) if found.week is not None else ()
    if not when and ctx.goes_on and isinstance(found.row, AdverseEvent):  # adverse events are those of that period
        when = ctx.writer.words(" in the randomised period")
    if held is not None and held in {s.id for s in ctx.record.sets} and not ctx.is_all(held):
        when = (*when, *ctx.writer.say(" in {s}", s=ctx.writer.label(ctx.set_phrase(held))))
    said = ctx.say(
        "{l}{w}: {a} with {active} and {c} with {control}, a difference of {d} percentage points.",
        l=upper(label),
        w=when,
        a=ctx.count(a),
        c=ctx.count(c),
        d=computed,
    )
    more = ctx.writer.words("Whoever died after leaving for another reason is not among them.") if left else ()
    return phrases.paragraphs(said, more, deaths_remark(ctx))


def ranked(ctx: Context) -> list[AdverseEvent]:
    """Events with counts in both arms: first those whose interval leaves out zero, then by the size of the gap."""
    f = ctx.findings
    found: list[tuple[bool, float, AdverseEvent]] = []
    for event in ctx.record.adverse_events:
        pair = f.counts(event)
        if pair is None or event.category in ("severity", "label", "summary"):
            continue
        a, c = pair
        if max(int(a.value or 0), int(c.value or 0)) < 2:
            continue  # one person in one arm stands out by nothing
        rd = absolute_risk.risk_difference(int(a.value or 0), int(a.total or 1), int(c.value or 0), int(c.total or 1))
        found.append((rd.low <= 0 <= rd.high, -abs(rd.estimate), event))
    return [event for _, _, event in sorted(found, key=lambda row: row[:2])]


def more_on_active(ctx: Context, event: AdverseEvent) -> bool:
    """Whether an event is a harm that a trial can show: more frequent on the active arm, in more than one person."""
    a, c = ctx.findings.counts(event) or (Value(), Value())
    risks = [float(v.value or 0) / float(v.total or 1) for v in (a, c)]
    return float(a.value or 0) > 1 and risks[0] > risks[1]


@items(NONE)
def largest(ctx: Context) -> list[Inlines]:
    """The events whose shares differ most between the arms, of those that are more frequent on the active arm."""
    neuro = ctx.findings.serious_neurologic()
    counted = [e for e in ranked(ctx) if neuro is None or e.id != neuro.id]
    chosen = [e for e in counted if more_on_active(ctx, e)][:4]
    if counted and not chosen:
        return [ctx.say("No event counted in both arms was more frequent with {active}.")]
    told = [phrases.count_sentence(ctx, e) for e in chosen] or [
        share_sentence(ctx, e) for e in shares(ctx) if not e.serious
    ][:4]
    if not told and has_harms(ctx):
        return [ctx.writer.words("No single event of two people or more is counted in both arms.")]
    return told


@items("No event differs between the arms by more than chance easily gives.")
def telling(ctx: Context) -> list[Inlines]:
    """Events whose interval leaves out zero: what could have told patients or raters who received what."""
    out: list[Inlines] = []
    for e in ranked(ctx)[:4]:
        a, c = _counts(ctx, e)
        rd = absolute_risk.risk_difference(int(a.value or 0), int(a.total or 1), int(c.value or 0), int(c.total or 1))
        if rd.low > 0 or rd.high < 0:
            out.append(phrases.count_sentence(ctx, e))
    if not out and deaths_apart(ctx):  # a death reveals no treatment
        return [ctx.writer.words("Deaths aside, no event differs between the arms by more than chance easily gives.")]
    return out


@sentence()
def compared(ctx: Context) -> Inlines:
    """How many events were compared, and that some differ by chance."""
    n = len(ranked(ctx))
    if absolute_risk.expected_small(n) < 1:
        return ()
    writer = ctx.writer
    chance = writer.compute(
        absolute_risk.expected_small,
        n,
        show=lambda x: numbers.number(x, 0),
        what="events whose interval leaves out zero by chance",
        method="the number of events compared times the conventional level",
    )
    return writer.say(
        "These are the largest gaps among many events; about {e} would have an interval that excludes zero by "
        "chance alone.",
        e=chance,
    )


@sentence(NONE)
def how_collected(ctx: Context) -> Inlines:
    """How and above which share events are told."""
    writer = ctx.writer
    told_of = [e for e in ctx.record.adverse_events if e.usable and e.category == "term"]
    if ctx.record.origin == "posted" and told_of and all(e.serious for e in told_of):
        how = ctx.item("ae_how")
        said = writer.told(how.text, how, stop=".") if how is not None and how.text else None
        lead = writer.words(
            "The entry posts terms of serious adverse events alone; how often others came cannot be told."
        )
        return (*lead, *writer.say(" In its words: {s}", s=said)) if said else lead
    threshold = ctx.item_value("ae_threshold", "threshold") or ctx.item_value("reg_ae", "threshold")
    if threshold is not None and threshold.value == 0:
        return writer.words("Every adverse event is reported, however rare.")
    if threshold is not None and threshold.value is not None:
        share = writer.cite(f"{numbers.number(threshold.value)}{numbers.THIN}%", threshold)
        return writer.say(
            "Events other than serious ones are told only if more than {t} of an arm had them; rarer ones cannot "
            "be pooled.",
            t=share,
        )
    if not ctx.record.adverse_events:
        return ()
    kinds = [e for e in ctx.record.adverse_events if ctx.findings.counts(e)]
    if not kinds:
        return ctx.writer.words("Shares are told without the counts behind them, so they cannot be pooled.")
    first = kinds[0]
    return writer.say(
        "Events are counted in people by arm, for instance {t}: {a} and {c}.",
        t=writer.quote(lower(first.term), first) or writer.label(first.term),
        a=ctx.count(_counts(ctx, first)[0]),
        c=ctx.count(_counts(ctx, first)[1]),
    )


def _counts(ctx: Context, event: AdverseEvent) -> tuple[Value, Value]:
    pair = ctx.findings.counts(event)
    assert pair is not None
    return pair
