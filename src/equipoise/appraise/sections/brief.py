"""In brief: the verdict, two numbers, harm, certainty, caveats and what the trial changes, before everything else."""

from __future__ import annotations

import math

from equipoise.appraise import absolute_risk, numbers, phrases
from equipoise.appraise.certainty import rating
from equipoise.appraise.context import Context
from equipoise.appraise.estimates import by_pairs
from equipoise.appraise.phrases import paragraphs, replica_sentence, within_margin
from equipoise.appraise.sections import certainty
from equipoise.appraise.sections.replica import as_fitted, main_answers, reading
from equipoise.appraise.tables import DASH, cell
from equipoise.document.document import Block, Facts, Inlines, Listing, Note, Section, Stat, Stats
from equipoise.document.text import joined, lower, upper
from equipoise.library import shipped_file
from equipoise.records.schema import Contrast, PValue, Result

CAVEATS = 3
"""How many caveats a brief gives."""

_MEANS: dict[rating.Level, str] = {
    "high": "the true effect lies close to the estimate",
    "moderate": "the true effect is probably close to the estimate",
    "low": "the true effect may differ much from the estimate",
    "very low": "the true effect is likely to differ much from the estimate",
}
"""What each level says (H. Balshem et al., GRADE guidelines 3, J Clin Epidemiol 2011;64:401-406), in our words."""


def build(ctx: Context, *, alone: bool = False) -> Section:
    """The key figures, caveats, what it changes; ``alone`` adds the citation that the page has in its heading."""
    writer = ctx.writer
    blocks: list[Block] = [Stats(tuple(_stats(ctx)))]
    if caveats := _caveats(ctx)[:CAVEATS]:
        blocks.append(Note("caution", writer.words("Before relying on it"), (Listing(tuple(caveats), ordered=True),)))
    facts = [(writer.words("What it changes"), _changes(ctx))]
    if (illustration := _illustration(ctx)) is not None:
        facts.append(illustration)
    if alone and ctx.findings.met is None and (said := writer.statements("bottom_line")):
        facts.insert(0, (writer.words("What was found"), said[0]))
    if alone and (rebuilt := _rebuilt(ctx)):
        facts.append((writer.words("The trial rebuilt"), rebuilt))
    if alone or ctx.record.origin != "written":
        facts.append((writer.words("Citation"), citation(ctx)))
    blocks.append(Facts(tuple(facts)))
    return Section("brief", writer.words("In brief"), tuple(blocks))


def _stats(ctx: Context) -> list[Stat]:
    """Verdict and effect, the strongest other effect, the gravest harm and how certain it all is."""
    return [_verdict(ctx), *_primary(ctx), *_second(ctx), _harm(ctx), *_sure(ctx)]


def _verdict(ctx: Context) -> Stat:
    writer, f = ctx.writer, ctx.findings
    if not f.compared:
        why = "one group alone" if len(ctx.record.arms) < 2 else "everyone had the same treatment"
        return Stat(writer.words("Comparison"), writer.words("Nothing compared"), writer.words(why), "open")
    word, tone = {True: ("Met", "good"), False: ("Missed", "bad"), None: ("Not stated", "open")}[f.met]
    remark: Inlines = ()
    inside = within_margin(ctx)
    if f.met is None and inside is not None:
        word, tone = ("Non-inferior", "good") if inside else ("Non-inferiority not shown", "bad")
        remark = writer.words("by the margin that the entry states")
    elif f.disputed:
        word = "Disputed"
        remark = joined([writer.say("{p}, {t}", p=ctx.p(p), t=_test(ctx, p)) for p in f.disputed], "; ")
    elif f.test is not None:
        remark = writer.say("{p}, {t}", p=ctx.p(f.test), t=_test(ctx, f.test))
    elif f.untested:
        word, remark = "Not tested", writer.words(f.untested)
    elif f.met is not None and (f.contrast is None or f.contrast.low is None):
        remark = writer.words("as the source says")
    elif f.primary is None:
        rows = writer.words("posted in several rows, none of which alone is its result")
        remark = rows if f.rows else writer.words("the record holds no result of it")
    return Stat(writer.words("Primary endpoint"), writer.words(word), remark, tone)  # type: ignore[arg-type]


def _primary(ctx: Context) -> list[Stat]:
    """The primary contrast, else the people of each arm, else that there is none; nothing of a single group."""
    f = ctx.findings
    if f.primary is None or not f.compared:
        return []
    if f.contrast is not None and f.contrast.value is not None and f.outcome is not None:
        part = ctx.record.origin == "written" and not ctx.is_all(f.primary.set)
        remark = ctx.writer.say("in {s}", s=ctx.writer.label(ctx.set_phrase(f.primary.set))) if part else ()
        return [_effect(ctx, f.primary, f.contrast, whose=True, remark=remark)]
    if (counted := _counted(ctx, f.primary)) is not None:
        return [counted]
    label = _at(ctx, f.primary.outcome, f.week)
    pair = ctx.arms_pair(f.primary)
    if pair is not None:
        unit = ctx.writer.label(ctx.unit(ctx.record.outcome(f.primary.outcome), f.primary))
        a, c = ctx.shown(pair)
        remark = ctx.say("with {active}; {c}{u} with {control}", c=c, u=unit)
        if (made := phrases.counted(ctx)) is not None:
            told = ctx.writer.say("a difference of {d} percentage points", d=made[0])
            remark = joined([remark, told], "; ")
        return [Stat(label, (*a, *unit), remark)]
    return [Stat(label, ctx.writer.words("No estimate"), ctx.writer.words("the record gives no difference"), "open")]


def _effect(ctx: Context, r: Result, c: Contrast, *, whose: bool = False, remark: Inlines = ()) -> Stat:
    """An estimate with its interval; ``whose`` names the arms."""
    writer = ctx.writer
    digits = numbers.contrast_digits(c)
    value: Inlines = (writer.cite(numbers.number(c.value or 0, digits, plus=c.kind == "difference"), c),)
    unit = ctx.gap_unit(ctx.record.outcome(r.outcome), r)
    if unit and c.kind == "difference":
        value = (*value, *writer.label(unit))
    bounds: Inlines = ()
    if c.low is not None and c.high is not None:
        level = numbers.level(c)
        bounds = writer.say(
            "interval {b}" if level else "95 % interval {b}",
            b=(writer.cite(numbers.span(c.low, c.high, digits) + level, c),),
        )
    kind = {"difference": "", "ratio": ", ratio", "hazard_ratio": ", hazard ratio"}[c.kind]
    if by_pairs(ctx, r):
        kind = ", Hodges-Lehmann estimate"
    week = ctx.findings.week if whose else r.week
    arms = ", {a} against {c}" if whose else ""
    label = writer.say("{o}" + arms + kind, o=_at(ctx, r.outcome, week), a=ctx.active, c=ctx.control)
    return Stat(label, value, joined([x for x in (bounds, remark) if x], ", "))


def _second(ctx: Context) -> list[Stat]:
    """The effect that stands out most beside its error: of the markers, else of the other outcomes, else survival."""
    writer, f = ctx.writer, ctx.findings
    for found in (f.biomarkers(), f.co_primary(), f.clinical(), f.survival()):
        pairs = [
            (strength, r, r.contrast)
            for r in found
            if r.contrast is not None and r.contrast.usable and (strength := _strength(r.contrast)) is not None
        ]
        if not pairs:
            continue
        _, r, c = max(pairs, key=lambda pair: pair[0])
        called = ctx.record.origin == "written" or any(p.status == "nominal" and p.usable for p in r.p)
        nominal = writer.words("nominal") if called and f.met is False and not ctx.formal(r) else ()
        lower = ctx.percent_lower(r) if found == f.biomarkers() else None
        if lower is None:
            if found == f.clinical() and len(pairs) > 1 and not nominal:  # taken from many: that has to be told
                return [_effect(ctx, r, c, remark=writer.words("the clearest of the other outcomes"))]
            return [_effect(ctx, r, c, remark=nominal)]
        ratio = writer.say("ratio {r}", r=ctx.contrast(c))
        label = _at(ctx, r.outcome, r.week)
        return [Stat(label, (lower,), joined([x for x in (ratio, nominal) if x], ", "))]
    return []


def _strength(c: Contrast) -> float | None:
    """How many standard errors, as the interval implies them, an estimate lies from no effect."""
    if c.value is None or c.low is None or c.high is None or not c.low < c.high:
        return None
    if c.kind == "difference":
        return abs(float(c.value) - c.null) / absolute_risk.se_from_interval(float(c.low), float(c.high), c.level)
    if c.value <= 0 or c.low <= 0:
        return None
    return abs(math.log(float(c.value))) / absolute_risk.se_from_ratio(float(c.low), float(c.high), c.level)


def _harm(ctx: Context) -> Stat:
    """The gravest harm that was counted by arm; else what the record says of harm, else that it says nothing."""
    writer, f = ctx.writer, ctx.findings
    name = writer.words("Harm")
    event = f.serious_neurologic()
    if event is None:
        told = [
            e
            for e in ctx.record.adverse_events
            if e.usable and all(cell(ctx, e.arms.get(arm.id)) != DASH for arm in (f.active, f.control))
        ]
        # those that sum up, serious ones first; a single coded term says little of harm as a whole
        event = min(
            (e for e in told if e.category != "term"),
            key=lambda e: (not e.serious, e.category != "summary"),
            default=None,
        )
    if event is None:
        said = next(iter(writer.statements("safety")), None)
        silent = writer.words("no count of harm by arm was found in what was read")
        return Stat(name, writer.words("Not counted by arm"), said or silent, "open")
    label = writer.quote(event.term, event) or writer.label(event.term)
    if not event.term.endswith("s") and f.counts(event):
        label = (*label, *writer.words("s"))
    counts = f.counts(event)
    label = (*writer.words("Harm: "), *label)
    if not f.compared:
        each = [(cell(ctx, event.arms.get(a.id)), a) for a in f.arms]
        if len(each) == 1:
            return Stat(label, ctx.count(counts[0]) if counts else each[0][0])
        groups = [writer.say("{n} ({a})", n=n, a=lower(a.label)) for n, a in each]
        return Stat(label, joined(groups, "; "), writer.words("by group, as the entry posts them"))
    pair = (
        [ctx.count(v) for v in counts] if counts else [cell(ctx, event.arms.get(a.id)) for a in (f.active, f.control)]
    )
    return Stat(label, pair[0], ctx.say("with {active}; {n} with {control}", n=pair[1]))


def _caveats(ctx: Context) -> list[Inlines]:
    """The record's own limitations, then what follows from how its numbers came about."""
    writer, f, record = ctx.writer, ctx.findings, ctx.record
    out = list(writer.statements("limitations"))
    if not f.compared:
        out.append(writer.words("Nothing was compared: whether the treatment works cannot be concluded."))
    elif f.rows:
        out.append(writer.words("The primary outcome is posted in parts and untested: no part alone says what it was."))
    elif f.primary is None:
        out.append(writer.words("No result of the primary endpoint was found, so nothing can be said on its effect."))
    elif f.disputed:
        out.append(writer.words("The sources do not agree on which test decides."))
    elif f.met is False and not f.worse:
        out.append(writer.words("A missed endpoint does not show that the treatment has no effect."))
    elif f.met is True:
        out.append(writer.words("A met endpoint says that there is an effect, not that it is large enough to matter."))
    elif within_margin(ctx) is not None:
        out.append(writer.words("Not worse by more than a margin is less than as good, and the margin is a judgement."))
    elif f.untested:
        out.append(writer.words(f"The primary outcome was described and not tested: {f.untested}."))
    elif f.met is None:
        out.append(writer.words("What was read does not say whether the primary endpoint was met."))
    if f.split and f.contrast is not None and f.contrast.value is not None:
        out.append(writer.words("The P value and the estimate of the primary endpoint come from different analyses."))
    c = f.contrast
    if f.compared and f.primary is not None and (c is None or c.low is None or c.high is None):
        given = ctx.record.origin == "posted" and phrases.counted(ctx) is not None
        own = "The entry posts no interval; the one here is computed from its counts."
        none = "The record gives no interval, so how large an effect still fits the data is open."
        out.append(writer.words(own if given else none))
    if not record.design.randomised and f.compared:
        unknown = "The entry does not say whether the groups were made by chance."
        out.append(writer.words(unknown if ctx.chance_unknown else "The groups were not made by chance."))
    if ctx.some_not_by_chance:
        out.append(writer.words("The entry also speaks of people who were not assigned by chance."))
    if record.origin != "written":
        out.append(writer.words("It was read from the registry entry alone, which no one has held against a paper."))
    if ctx.judgements is None:
        out.append(writer.words("Nobody has judged its risk of bias here."))
    if not any(f.counts(e) for e in record.adverse_events):
        out.append(writer.words("Harm is not counted by arm, so benefit cannot be weighed against it."))
    out.append(writer.words("A single trial is seldom enough to act on."))
    return out


def _changes(ctx: Context) -> Inlines:
    """The record's own word on it; else what the verdict allows one to say, whoever the drug is for."""
    writer, f = ctx.writer, ctx.findings
    said = writer.statements("clinical_significance")
    if said:
        return said[0]
    if not f.compared or f.primary is None:
        return writer.words("By itself nothing: it gives no comparison of the primary endpoint to act on.")
    if f.met is True:
        return ctx.say("It is an argument for {active}, to be weighed against its harm, its cost and the other trials.")
    if f.met is False:
        return ctx.say("By itself it gives no ground to use {active} for what was tested.")
    if within_margin(ctx):
        return ctx.say(
            "On this one outcome it supports {active} beside {control} as a choice; harm, the other outcomes, the "
            "burden and the cost have to be weighed before one takes the place of the other."
        )
    if f.untested:
        return writer.words("By itself nothing: it describes what happened, and was not made to decide.")
    return ctx.say("By itself nothing, until it is clear whether the endpoint was met with {active}.")


def _rebuilt(ctx: Context) -> Inlines:
    """What the rebuilt trial says; without a replica how to have it told, where the trial can be rebuilt."""
    if ctx.replica is not None:
        told = main_answers(ctx.replica)
        said = reading(ctx) or paragraphs(*(replica_sentence(ctx, a.sentence, a.command, a.question) for a in told))
        return paragraphs(said, as_fitted(ctx, ctx.replica, shortly=True))
    if shipped_file(ctx.record.id, "scenario") is None:
        return ()
    command = ctx.writer.code(f"equipoise replicate {ctx.record.id} --json FILE")
    return ctx.writer.say(
        "Not part of this brief; {c} and then {r} add it.", c=command, r=ctx.writer.code("--replica FILE")
    )


def citation(ctx: Context) -> Inlines:
    """How the trial is cited: its paper, else its registration, else its title."""
    writer, record = ctx.writer, ctx.record
    if record.citations:
        return writer.label(record.citations[0].text)
    if record.registrations:
        first = record.registrations[0]
        return writer.say("{r} {n}", r=first.registry, n=first.number)
    return writer.label(record.title)


def _counted(ctx: Context, r: Result) -> Stat | None:
    """The primary result as people of people, where the record has no contrast of it."""
    pair = ctx.arms_pair(r)
    if pair is None or not all(v.total for v in pair):
        return None
    label = _at(ctx, r.outcome, r.week)
    remark = ctx.say("with {active}; {n} with {control}", n=ctx.count(pair[1]))
    return Stat(label, ctx.count(pair[0]), remark)


def _sure(ctx: Context) -> list[Stat]:
    """How certain the evidence is, leading to where it is argued."""
    writer = ctx.writer
    label = writer.words("Certainty of the evidence")
    if ctx.judgements is None:
        remark = writer.words("risk of bias and certainty are judgements of people, and are never inferred here")
        if not ctx.findings.compared:  # its page has no section to lead to
            return [Stat(label, writer.words("Not judged"), remark, "open")]
        return [Stat(label, (writer.to("certainty", "Not judged"),), remark, "open")]
    level, _ = certainty.overview(ctx)
    if level is None:
        return []
    remark = writer.say("over the critical outcomes: {m}", m=_MEANS[level])
    return [Stat(label, (writer.to("certainty", level.capitalize()),), remark)]


def _illustration(ctx: Context) -> tuple[Inlines, Inlines] | None:
    """What one stated set of judgements leads to: no finding of the trial, and not set as one."""
    writer = ctx.writer
    if ctx.judgements is None or ctx.judgements.decision is None:
        return None
    _, found = certainty.overview(ctx)
    if found is None:
        return None
    neither = found.direction == "neither"
    said = "no recommendation either way" if neither else f"{found.strength} recommendation {found.direction} it"
    asked = upper(writer.label(ctx.judgements.decision.question))
    told = writer.say(
        " One stated set of judgements leads to {a}{s}. This is an illustration, no finding, and no guideline body has "
        "endorsed it.",
        a=writer.words("" if neither else "a "),
        s=writer.to("decision", said),
    )
    return writer.words("A recommendation, as an illustration"), (*asked, *told)


def _test(ctx: Context, p: PValue) -> Inlines:
    name = ctx.test_name(p.method)
    return ctx.method(p.method) if name == "test" else ctx.writer.words(name)


def _at(ctx: Context, outcome: str, week: float | None) -> Inlines:
    """An outcome and its week, once: labels of the registry often end in it already."""
    if ctx.names_its_week(ctx.called(outcome), week):
        return upper_label(ctx, outcome)
    return ctx.writer.say("{o} at {w}", o=upper_label(ctx, outcome), w=ctx.week(week, detail=True))


def upper_label(ctx: Context, outcome: str) -> Inlines:
    """An outcome's label at the start of a line."""
    return upper(ctx.writer.label(ctx.called(outcome)))
