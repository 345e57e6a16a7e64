"""Plain words for patients and those who care for them: short sentences, people in place of percentages."""

from __future__ import annotations

import re

from equipoise.appraise import numbers
from equipoise.appraise.context import Context
from equipoise.appraise.findings import excludes_null, known, significant
from equipoise.appraise.open_verdict import no_gap, tested
from equipoise.appraise.phrases import margin_sentence, rows_sentence, test_differs, within_margin
from equipoise.appraise.questions import conditions
from equipoise.appraise.questions.vocabulary.design import people, week
from equipoise.appraise.questions.vocabulary.everyday import everyday
from equipoise.appraise.questions.vocabulary.harms import more_on_active, ranked, shares
from equipoise.appraise.questions.vocabulary.phrase import items, name, sentence
from equipoise.appraise.sections.related import decided
from equipoise.document.document import Inlines, Text, plain
from equipoise.document.text import joined, lower, upper
from equipoise.numerics.rounding import of_hundred
from equipoise.records.schema import AdverseEvent, Contrast, Value


@name
def plain_condition(ctx: Context) -> Inlines:
    """The condition in everyday words."""
    return _name(ctx, ctx.record.condition)


def _name(ctx: Context, label: str) -> Inlines:
    """A name of the record in everyday words; figures in it stay part of the name."""
    plain_words = everyday(label)
    ctx.writer.register(plain_words)
    return ctx.writer.label(plain_words)


def outcome(ctx: Context) -> Inlines:
    """The primary outcome in everyday words."""
    o = ctx.findings.outcome
    label = None if o is None else ctx.outcome(o.id)
    return ctx.writer.words("the main question") if label is None else ctx.writer.label(everyday(label))


@sentence("What we read does not say how many people took part.")
def plain_people(ctx: Context) -> Inlines:
    """How many took part, and how many in each group."""
    writer, d, f = ctx.writer, ctx.record.design, ctx.findings
    n = d.n_actual
    if not known(n):
        return ()
    out = upper(writer.say("{n} people took part.", n=ctx.randomised))
    if d.n_actual_of:
        out = writer.say(
            "What we read tells of {n} people ({w}), not of all who took part.", n=ctx.randomised, w=d.n_actual_of
        )
    pair = [a for a in (f.active, f.control) if known(a.n)]
    if len(pair) == 2:
        shown = [writer.say("{n} with {a}", n=ctx.number(a.n), a=lower(a.label)) for a in pair]
        others = "; the others were in other groups or did not start." if ctx.beyond_the_arms else "."
        out = (*out, *writer.words(" There were "), *joined(shown), *writer.words(others))
    return out


@sentence()
def plain_asked(ctx: Context) -> Inlines:
    """What the trial tried to find out."""
    writer, f = ctx.writer, ctx.findings
    filed = (
        "The registry files the trial under: {c}." if conditions.posted(ctx) else "The trial was for people with {c}."
    )
    who = ctx.say(filed, c=plain_condition(ctx))
    verb = "It compared {a} with {k}." if ctx.record.design.randomised else "It followed people with {a} and with {k}."
    what = writer.say(verb, a=ctx.active, k=ctx.control)
    if f.outcome is None:
        return paragraphs_of(who, what)
    named = ctx.names_its_week(ctx.outcome(f.outcome.id), f.week)
    when = ctx.say(" at {week}") if f.week is not None and not named else ()
    many = "how many people were " if f.outcome.label.lower().startswith("alive") else ""
    return paragraphs_of(
        who, what, ctx.say(f"The main thing it measured was {many}{{o}}{{w}}.", o=outcome(ctx), w=when)
    )


def paragraphs_of(*parts: Inlines) -> Inlines:
    """Sentences one after the other."""
    return joined([p for p in parts if p], " ")


@sentence()
def plain_draw(ctx: Context) -> Inlines:
    """That chance decided, and who knew."""
    writer = ctx.writer
    from equipoise.appraise.questions.conditions import masked, open_label, participants_masked

    if ctx.some_not_by_chance:
        return writer.words(
            "Chance decided who was in which group for most people, but the record also speaks of some who were not "
            "assigned by chance."
        )
    if ctx.chance_unknown:
        return writer.words("What we read does not say if chance decided who was in which group.")
    if not ctx.record.design.randomised:
        return ctx.say(
            "Chance did not decide who was in which group of {trial}. So the groups may have differed from the "
            "start, and a gap between them proves little."
        )
    out = ctx.say(
        "Chance decided who got {active} and who got {control}, as in a draw of lots. That is the fairest way to "
        "compare."
    )
    fact = ctx.record.design.masking
    if participants_masked(ctx):
        more = writer.words("So hope alone should not sway the result.")
        hidden = writer.told("People did not know which one they got", fact, stop=".") if fact is not None else None
        more = paragraphs_of(hidden or writer.words("People did not know which one they got."), more)
    elif masked(ctx):
        more = writer.say(
            "Some of those involved did not know who got what. In the words of the record: {m}.", m=ctx.fact(fact)
        )
    elif open_label(ctx):
        more = writer.words("Everyone knew which one they got. So hope or worry may have coloured the answers.")
    else:
        more = writer.words(
            "What we read does not say if people knew which one they got. If they did, hope may sway the result."
        )
    return paragraphs_of(out, more)


@sentence()
def plain_balance(ctx: Context) -> Inlines:
    """That chance left the groups unlike in neurofilament at the start, and which way that pulls the result."""
    item, f = ctx.item("nfl_imbalance"), ctx.findings
    apart = None if item is None else ctx.item_value("nfl_imbalance", "relative_to_placebo")
    if item is None or apart is None or not apart.value or not apart.usable:
        return ()
    more = float(apart.value) > 0
    side, ill, look = ("more", "faster", "worse") if more else ("less", "slower", "better")
    size = numbers.number(abs(float(apart.value)), numbers.decimals(apart.value))
    who = "In the people who count for the main question, those" if item.set == f.set and item.set else "Those"
    return ctx.say(
        f"But chance does not always make groups alike. {who} on {{active}} began with {{n}} {side} neurofilament in "
        f"the blood. That is a sign of {ill} illness, and may have made {{active}} look {look} than it is.",
        n=ctx.writer.cite(f"{size}{numbers.THIN}%", apart),
    )


_DECIDED = re.compile(r"approv|withdr|refus|authoris|reject|licen[cs]", re.IGNORECASE)
"""Words of a decision that a patient would ask about; votes of advisers are left to the other readers."""
_APPROVALS = {
    "accelerated approval": "Accelerated approval means yes for now, on a sign that is likely to mean benefit. "
    "The proof is still to come.",
    "exceptional circumstances": "Exceptional circumstances means yes, though full proof cannot be had, for instance "
    "because so few people have the illness.",
    "conditional": "Conditional means yes for now. More data have to follow.",
}
_SEXES = {"MALE": "men", "FEMALE": "women"}
_CHANGES = ("mean_change", "adjusted_mean_change", "rate_of_change")


@sentence("What we read holds no result for the main question.")
def plain_result(ctx: Context) -> Inlines:
    """The primary result in plain words."""
    writer, f = ctx.writer, ctx.findings
    r, o = f.primary, f.outcome
    pair = None if r is None else ctx.arms_pair(r)
    if r is None or o is None:
        return rows_sentence(ctx)
    if pair is None:
        return _without_arms(ctx)
    a, c = pair
    if a.total and c.total:
        row = writer.say(", {r}", r=writer.quote(r.row, r) or ()) if r.row else ()
        return paragraphs_of(
            ctx.say(
                "{o}{row}: {a} people with {active} and {c} people with {control}.",
                o=upper(outcome(ctx)),
                row=row,
                a=ctx.count(a),
                c=ctx.count(c),
            ),
            _hundred(ctx, o.label, a, c),
        )
    percent = r.measure in ("percent_change", "percent", "responders")
    unit = writer.label(ctx.unit(o, r) or f"{numbers.THIN}%") if ctx.unit(o, r) or percent else ()
    values = [float(a.value or 0), float(c.value or 0)]
    if r.measure in _CHANGES and ctx.record.origin == "written" and (max(values) < 0 or min(values) > 0):
        verb = "fell" if max(values) < 0 else "rose"
        digits = max(numbers.decimals(v.value or 0) for v in pair)
        shown = [(writer.cite(numbers.number(abs(float(v.value or 0)), digits), v),) for v in pair]
        return writer.say(
            ("Over the time to" if r.measure == "rate_of_change" else "By")
            + " {w}, {o} "
            + verb
            + " by {a}{u} on average with {x}. With {y} it "
            + verb
            + " by {c}{u}.",
            w=week(ctx),
            o=outcome(ctx),
            a=shown[0],
            c=shown[1],
            u=unit,
            x=ctx.active,
            y=ctx.control,
        )
    named = ctx.names_its_week(plain(outcome(ctx)), ctx.findings.week)
    return writer.say(
        ("{o}" if named else "{o} at {w}")
        + (", the value in the middle" if ctx.median(r) else "")
        + ": {a}{u} with {x}, and {c}{u} with {y}.",
        o=upper(outcome(ctx)),
        w=week(ctx),
        a=ctx.shown(pair)[0],
        c=ctx.shown(pair)[1],
        u=unit,
        x=ctx.active,
        y=ctx.control,
    )


def _without_arms(ctx: Context) -> Inlines:
    """A primary result that is told without a number for each group: the gap, or a test alone."""
    writer, f = ctx.writer, ctx.findings
    if f.contrast is not None and f.contrast.value is not None:
        kind = {"difference": "a difference", "ratio": "a ratio", "hazard_ratio": "a ratio of risks"}[f.contrast.kind]
        none = "zero" if f.contrast.kind == "difference" else "one"
        told = f"For {{o}}, what we read gives only the gap between the groups: {kind} of {{d}}."
        side = " It is in favour of {k}." if f.worse else ""
        return writer.say(
            f"{told} With no gap it would be {none}.{side}",
            o=outcome(ctx),
            d=_spread(ctx, f.contrast),
            a=ctx.active,
            k=ctx.control,
        )
    if f.test is None:
        return ()
    size = {
        True: "That is small: chance alone would seldom make a gap like this.",
        False: "That is not small: chance alone could well have made the gap.",
        None: "",
    }[significant(f.test)]
    return writer.say(
        "For {o}, what we read gives no number for each group, only that of a test: {p}. " + size,
        o=outcome(ctx),
        p=ctx.p(f.test),
    )


def _spread(ctx: Context, c: Contrast, unit: Inlines = ()) -> Inlines:
    """An estimate, and the range that the data leave open, without brackets."""
    digits = numbers.contrast_digits(c)
    value = ctx.writer.cite(numbers.number(c.value, digits) if c.value is not None else numbers.spread(c), c)
    if c.value is None or c.low is None or c.high is None:
        return (value, *unit)
    low, high = (ctx.writer.cite(numbers.number(b, digits), c) for b in (c.low, c.high))
    return ctx.writer.say("{d}{u}, and anything from {l} to {h} fits the data", d=value, u=unit, l=low, h=high)


def _hundred(ctx: Context, what: str, a: Value, c: Value) -> Inlines:
    if not isinstance(a.value, int) or not isinstance(c.value, int):
        return ()
    shown = [ctx.in_hundred(what, v) for v in (a, c)]
    return ctx.writer.say("That is about {a} people against {c}.", a=shown[0], c=shown[1])


@sentence()
def plain_verdict(ctx: Context) -> Inlines:
    """What the result does and does not show."""
    writer, f = ctx.writer, ctx.findings
    if f.met is False:
        out = ctx.say("So {trial} did not show that {active} works better than {control} on this.")
        if f.worse:
            return paragraphs_of(
                out,
                ctx.say(
                    "People with {active} did worse than people with {control}. The gap was larger than chance "
                    "alone would easily make."
                ),
            )
        return paragraphs_of(out, writer.words("That is not proof that it does nothing. But no benefit was shown."))
    if f.met is True:
        return ctx.say(
            "The gap was larger than chance alone would easily make. So {trial} counts as a success on this "
            "question. One trial can still mislead, and a gap on average is not a promise to any one person."
        )
    if f.disputed:
        return ctx.say(
            "Was it more than chance? The sources do not agree on {trial}. One test says yes and one says no."
        )
    if ctx.findings.untested:
        return ctx.say("{trial} was not made to give a yes or no on this. It tells what happened in each group.")
    if said := margin_sentence(ctx):
        return said
    if no_gap(ctx):
        return ctx.say(
            "The gap was one that chance alone could well have made. So no difference was shown, whichever way is "
            "better."
        )
    if f.primary is not None and ctx.record.origin == "posted" and not tested(ctx):
        return ctx.say("{trial} is told without a test of the main question. So it gives no yes or no.")
    return ctx.say("What we read does not say whether {trial} met its main goal.")


@sentence()
def plain_range(ctx: Context) -> Inlines:
    """The range of true gaps that the data leave open."""
    writer, f = ctx.writer, ctx.findings
    c, o = f.contrast, f.outcome
    if c is None or o is None or c.low is None or c.high is None or c.kind != "difference":
        return ()
    digits = numbers.contrast_digits(c)
    unit = writer.label(ctx.gap_unit(o, f.primary))
    if test_differs(ctx):
        return writer.say(
            "Counted in another way than by that test, the true gap could lie anywhere from {l} to {h}{u}. The two "
            "ways do not agree.",
            l=writer.cite(numbers.number(c.low, digits), c),
            h=writer.cite(numbers.number(c.high, digits), c),
            u=unit,
        )
    if o.direction == "not_stated" or excludes_null(c):
        good = None if f.primary is None or o.direction == "not_stated" else f.favourable(f.primary)
        bounds = (c.low, c.high) if good is None else sorted((abs(c.low), abs(c.high)))
        low, high = (writer.cite(numbers.number(b, digits), c) for b in bounds)
        side = {True: " in favour of {a}", False: " in favour of {k}", None: ""}[good]
        return writer.say(
            "The true gap could lie anywhere from {l} to {h}{u}" + side + ".",
            l=low,
            h=high,
            u=unit,
            a=ctx.active,
            k=ctx.control,
        )
    better, worse = (c.high, c.low) if o.direction == "higher_better" else (c.low, c.high)
    return ctx.say(
        "The true gap could lie anywhere from {b}{u} better with {active} to {w}{u} worse.",
        b=writer.cite(numbers.number(abs(better), digits), c),
        w=writer.cite(numbers.number(abs(worse), digits), c),
        u=unit,
    )


@sentence()
def plain_marker(ctx: Context) -> Inlines:
    """What happened to the laboratory marker."""
    writer, out = ctx.writer, []
    for r in ctx.findings.biomarkers():
        less = ctx.percent_lower(r)
        if less is not None:
            out.append(
                ctx.say(
                    "{o} was {l} with {active} than with {control}",
                    o=writer.label(everyday(ctx.outcome(r.outcome))),
                    l=less,
                )
            )
    return (*upper(joined(out)), Text(".")) if out else ()


@sentence()
def plain_score(ctx: Context) -> Inlines:
    """What the functional scale of ALS is, where it is the primary outcome."""
    o = ctx.findings.outcome
    if o is None or "ALSFRS" not in o.label:
        return ()
    return ctx.writer.words(
        "The ALSFRS-R is a score of daily life: to speak, to swallow, to use the hands, to walk, to breathe. It falls "
        "as ALS goes on."
    )


@sentence()
def plain_set(ctx: Context) -> Inlines:
    """How many people the primary result rests on, where that is not everyone."""
    f, pair = ctx.findings, ctx.analysed
    whole = (f.active.n, f.control.n)
    if f.primary is None or pair is None or not all(map(known, whole)):
        return ()
    if all(v.value == w.value for v, w in zip(pair, whole, strict=True)):
        return ()
    a, c = map(ctx.number, pair)
    said = "This result comes from {a} people with {active} and {c} with {control}, not from everyone who took part."
    return ctx.say(said, a=a, c=c)


@items("What we read does not count side effects in each group. So it cannot say what the treatment costs you.")
def plain_harms(ctx: Context) -> list[Inlines]:
    """Serious harm first, then the largest gaps, as people of people and in a hundred."""
    return [*_deaths(ctx), *([_harm(ctx, e) for e in _told(ctx)] or [_share(ctx, e) for e in shares(ctx)[:5]])]


def _told(ctx: Context) -> list[AdverseEvent]:
    """The harms that a patient is told first: serious ones, then the largest gaps to the drug's disadvantage."""
    f = ctx.findings
    first = next((e for e in ctx.record.adverse_events if e.category == "summary" and e.serious and f.counts(e)), None)
    neuro = f.serious_neurologic()
    chosen: list[AdverseEvent] = [e for e in (first, neuro) if e is not None]
    return chosen + [e for e in ranked(ctx) if e not in chosen and _more_in_hundred(ctx, e)][: 5 - len(chosen)]


@items()
def plain_procedure(ctx: Context) -> list[Inlines]:
    """Harms of a procedure that every group went through, and the commonest symptom beside them, the commonest first.

    A comparison of the groups cannot show what the procedure costs; the patient bears it all the same.
    """
    left = [e for e in ranked(ctx) if e not in _told(ctx)]
    of_it = [e for e in left if e.category == "procedure"]
    symptoms = [e for e in left if e.category == "symptom"]
    if not of_it:
        return []
    chosen = [*of_it, *sorted(symptoms, key=lambda e: -_share_on_active(ctx, e))[:1]]
    return [_harm(ctx, e) for e in sorted(chosen, key=lambda e: -_share_on_active(ctx, e))]


def _share_on_active(ctx: Context, event: AdverseEvent) -> float:
    a, _ = ctx.findings.counts(event) or (Value(), Value())
    return float(a.value or 0) / float(a.total or 1)


def _deaths(ctx: Context) -> list[Inlines]:
    """The deaths that a registry entry counts in each arm, where there were any."""
    found = ctx.findings.deaths() if ctx.record.origin == "posted" else None
    if found is None or not (found.active.value or found.control.value):
        return []
    said = "Deaths: {a} people with {active} and {c} with {control}."
    if found.left:
        said = (
            "Left the trial because they died: {a} people with {active} and {c} with {control}. Deaths after leaving "
            "for another reason are not counted here."
        )
    return [ctx.say(said, a=ctx.count(found.active), c=ctx.count(found.control))]


def _more_in_hundred(ctx: Context, event: AdverseEvent) -> bool:
    """More frequent on the active arm, by at least one person in a hundred as a patient is told."""
    pair = ctx.findings.counts(event)
    if pair is None or not more_on_active(ctx, event):
        return False
    a, c = (float(of_hundred(v.value or 0, v.total or 1, 0)) for v in pair)
    return a > c


def _harm(ctx: Context, event: AdverseEvent) -> Inlines:
    pair = ctx.findings.counts(event)
    assert pair is not None
    label = _event(ctx, event)
    shares = [ctx.in_hundred(event.term, v) for v in pair]
    return ctx.say(
        "{t}: {a} people with {active} and {c} with {control}. That is about {s} people against {u}.",
        t=upper(label),
        a=ctx.count(pair[0]),
        c=ctx.count(pair[1]),
        s=shares[0],
        u=shares[1],
    )


def _event(ctx: Context, event: AdverseEvent) -> Inlines:
    term = everyday(event.term)
    return ctx.writer.quote(term, event) or ctx.writer.label(term)


def _share(ctx: Context, event: AdverseEvent) -> Inlines:
    f = ctx.findings
    pair = [v for v in (event.arms.get(a.id) for a in (f.active, f.control)) if v is not None]
    shown = [ctx.writer.cite(f"{numbers.number(v.percent or 0.0, 0)} in 100", v) for v in pair]
    return ctx.say(
        "{t}: about {a} people with {active} and {c} with {control}.",
        t=upper(_event(ctx, event)),
        a=shown[0],
        c=shown[1],
    )


@sentence("What we read does not say how old they were, nor how many were women.")
def plain_like(ctx: Context) -> Inlines:
    """Age and sex in sentences, where means and counts are told for both groups; else as the record has them."""
    f, aged = ctx.findings, False
    out: list[Inlines] = []
    whole = next((s.id for s in ctx.record.sets if ctx.is_all(s.id)), None)
    for row in ctx.record.baseline:
        values = row.values.get(whole or "") or next(iter(row.values.values()), {})
        told = [(arm, v) for arm in (f.active, f.control) if known(v := values.get(arm.id))]
        variable = row.variable.upper()
        if variable in ("AGE", "AGE_CONTINUOUS") and row.statistic in ("mean", "mean_sd") and not aged and told:
            shown = [
                ctx.writer.say("{n} with {a}", n=ctx.number(v, 0, unit=" years"), a=lower(arm.label))
                for arm, v in told
                if v is not None
            ]
            out.append(ctx.writer.say("The average age was {s}.", s=joined(shown)))
            aged = True
        elif variable in _SEXES and len(told) == 2 and all(v is not None and v.total for _, v in told):
            a, c = (ctx.count(v) for _, v in told if v is not None)
            out.append(
                ctx.say(f"{{a}} people with {{active}} and {{c}} with {{control}} were {_SEXES[variable]}.", a=a, c=c)
            )
    return joined(out, " ") if out else people(ctx)


@sentence()
def plain_later(ctx: Context) -> Inlines:
    """Early against late start, in plain words."""
    writer, f = ctx.writer, ctx.findings
    planned, chosen = f.later_pair()
    first = chosen or planned
    if first is None or first.contrast is None or f.outcome is None or not f.favourable(first):
        return ()
    unit = writer.label(ctx.unit(f.outcome))
    out = writer.say(
        "By {w}, people who had started early were ahead by {d}.",
        w=ctx.week(first.week),
        d=_spread(ctx, first.contrast, unit),
    )
    if chosen is None:
        return out
    doubt = writer.words("But this way of counting was not planned before the trial.")
    c = None if planned is None else planned.contrast
    if c is None or c.value is None or c.kind != "difference" or excludes_null(c) is not False:
        return paragraphs_of(out, doubt)
    gap = writer.cite(numbers.number(abs(c.value), numbers.contrast_digits(c)), c)
    way = "ahead" if planned is not None and f.favourable(planned) else "behind"
    told = f"Counted as planned they were {way} by {{d}}{{u}}, a gap that chance alone could make."
    return paragraphs_of(out, doubt, writer.say(told, d=gap, u=unit))


_IN_A_WORD = {
    "benefit": "it found a benefit",
    "no_benefit": "it did not find a benefit",
    "not_conclusive": "what it found could have been chance",
    "mixed": "its results were mixed",
    "unknown": "its result was not found",
}


@items()
def plain_around(ctx: Context) -> list[Inlines]:
    """Related trials in a word, and what became of the drug; no test, no ratio."""
    writer, out = ctx.writer, []
    for t in sorted(ctx.record.related, key=lambda t: t.year):
        if not t.usable or not t.result.usable:
            continue
        size = writer.say(" in {n} people", n=ctx.number(t.n)) if known(t.n) else ()
        told = writer.say("{n} tested {d}", n=_name(ctx, t.name), d=_name(ctx, t.drug))
        told_so = t.plain.text if t.plain is not None and t.plain.usable else _IN_A_WORD[t.direction]
        found = writer.cite(told_so, t.result)
        after = [(*upper(said), Text(".")) for said in decided(ctx, t)]
        out.append((*told, *size, Text(": "), found, Text("."), *((Text(" "), *joined(after, " ")) if after else ())))
    return out


@sentence()
def plain_approval(ctx: Context) -> Inlines:
    """What regulators decided, as told in the record."""
    writer, out = ctx.writer, []
    for r in ctx.decisions:
        decided = r.usable and r.date is not None and _DECIDED.search(r.decision) is not None
        said = writer.told(r.decision, r, *r.values.values()) if decided else None
        if said:
            out.append((*writer.label(r.authority), Text(": "), *said, Text(".")))
    if not out:
        return ()
    told = " ".join(plain(o) for o in out).lower()
    glosses = [ctx.writer.words(gloss) for kind, gloss in _APPROVALS.items() if kind in told]
    return joined([*out, *glosses], " ")


@items()
def plain_missing(ctx: Context) -> list[Inlines]:
    """What the record lacks, in plain words."""
    from equipoise.appraise.questions.vocabulary.record import asks_people, quality_of_life

    writer, f, out = ctx.writer, ctx.findings, []
    if f.rows:
        out.append("One result of the main question: it is told in parts.")
    elif f.primary is None:
        out.append("The result of the main question.")
    elif f.met is None and within_margin(ctx) is None and not f.untested:
        out.append("A clear answer to the main question.")
    if not conditions.has_harms(ctx):
        out.append("How many people had side effects in each group.")
    told = conditions.survival_result(ctx) or conditions.time_to_event(ctx) or conditions.event_counts(ctx)
    if f.deaths() is None and not told:
        out.append("Whether people lived longer.")
    if not quality_of_life(ctx) and not asks_people(ctx):
        out.append("How people felt, and how they lived from day to day.")
    if not ctx.record.baseline:
        out.append("How old the people were, and how ill, when they began.")
    return [writer.words(o) for o in out]
