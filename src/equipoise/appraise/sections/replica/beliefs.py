"""What the numbers say about how the drug works: the stored posterior, for a reader with a minute and for one with ten.

References: Kass RE, Raftery AE 1995, J Am Stat Assoc 90:773 (words for Bayes factors).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from equipoise.appraise import numbers
from equipoise.appraise.context import Context
from equipoise.appraise.phrases import paragraphs
from equipoise.appraise.posterior import LEAST, MOST, Belief, Beliefs
from equipoise.appraise.sections.replica.parameters import effects, ends, learnt, parameters, told, what_it_is
from equipoise.document.document import Bar, Block, Fold, Inlines, Listing, Note, Paragraph, Row, Table, Text
from equipoise.document.text import joined, upper

TITLE = "What the numbers say about how it works"


def beliefs(ctx: Context, found: Beliefs, later: Beliefs | None = None) -> list[Block]:
    """Weights of the mechanisms and the effect under each, drawn; the sentence for each reader; the command.

    And, apart, what was learnt of each parameter. later : the same with the numbers after the randomised period, to
    tell what they add.
    """
    blocks: list[Block] = [Paragraph(_lead(ctx, found))]
    if not found.reached:
        blocks.append(_not_reached(ctx, found))
    blocks.append(_weights(ctx, found))
    blocks.extend(effects(ctx, found))
    blocks.append(Listing(tuple(_readers(ctx, found))))
    if later is not None:
        blocks.extend(_later(ctx, found, later))
    off = _unmatched(ctx, found)
    if off:
        blocks.append(Paragraph(off))
    blocks.append(Paragraph(ctx.writer.say("To find it again: {c}.", c=ctx.writer.code(found.command))))
    return [Fold("beliefs", ctx.writer.words(TITLE), tuple(blocks)), parameters(ctx, found)]


def _named(ctx: Context, chosen: Sequence[Belief]) -> Inlines:
    return joined([(ctx.writer.em(ctx.writer.label(m.mechanism)),) for m in chosen])


def _percent(x: float) -> str:
    """A weight; one that rounds to nothing or to all is given as a bound."""
    if x < LEAST:
        return f"< {numbers.percent(LEAST, 0)}"
    return f"> {numbers.percent(MOST, 0)}" if x > MOST else numbers.percent(x, 0)


def _lead(ctx: Context, found: Beliefs) -> Inlines:
    writer = ctx.writer
    first = found.mechanisms[0]
    period = "the whole trial" if found.later else _period(ctx)
    whole = first.effective_number["all"]
    apart = round(whole) >= first.statistics
    worth = "they do not, and each counts whole" if apart else "they share patients and are worth {e} independent ones"
    return writer.say(
        "A fit gives one best answer and does not say how sure it is. Here each way in which the drug may act was held "
        f"against what was published of {period}, {{n}} numbers, counting how far they hang together: {worth}. "
        "{after}",
        n=told(ctx, found, str(first.statistics)),
        e=told(ctx, found, numbers.number(whole, 0)),
        after=writer.words(
            "Results after the randomised period count too."
            if found.later
            else "Later results were kept out."
            if ctx.record.extension is not None
            else "Nothing else was put in."
        ),
    )


def _period(ctx: Context) -> str:
    return "the trial" if ctx.record.extension is None else "the randomised period alone"


def _not_reached(ctx: Context, found: Beliefs) -> Note:
    writer = ctx.writer
    poor = [m for m in found.mechanisms if not m.reached]
    text = writer.say(
        "The computation did not meet its own checks for {m}: the weights below are not to be relied on. More points "
        "or copies may mend it.",
        m=_named(ctx, poor),
    )
    return Note("caution", writer.words("Not reached"), (Paragraph(text),))


def _weights(ctx: Context, found: Beliefs) -> Table:
    writer = ctx.writer
    best = max(found.mechanisms, key=lambda m: m.log_evidence)
    rows = []
    for m in found.mechanisms:
        name = what_it_is(ctx, found, m.mechanism)
        factor = found.against(m, best)
        shown = numbers.number(factor, 2) if factor >= LEAST else f"< {numbers.number(LEAST, 2)}"
        rows.append(
            Row(
                (
                    upper(name),
                    (told(ctx, found, _percent(m.prior)),),
                    (told(ctx, found, _percent(m.weight)), Bar(0.0, 1.0, m.prior, m.weight, 0.0, m.weight)),
                    (told(ctx, found, _percent(m.weight_bridge)),),
                    writer.words("the best") if m is best else (told(ctx, found, shown),),
                )
            )
        )
    caption = writer.words(
        "How likely each way of acting is, before and after the published numbers. The line in the drawing is the "
        "weight before. The weight was found by two methods; the Bayes factor is that against the best."
    )
    heads = writer.heads("Mechanism", "Before", "After", "After, second method", "Bayes factor")
    return Table("t-beliefs", caption, heads, tuple(rows), (False, True, True, True, True))


def _later(ctx: Context, found: Beliefs, later: Beliefs) -> list[Block]:
    """What the numbers after the randomised period add: the weights without and with them."""
    writer = ctx.writer
    with_them = {m.mechanism: m for m in later.mechanisms}
    rows = []
    for m in found.mechanisms:
        other = with_them.get(m.mechanism)
        if other is None:
            continue
        bar = Bar(0.0, 1.0, m.weight, other.weight, 0.0, other.weight)
        shown = (told(ctx, later, _percent(other.weight)), bar)
        cells = ((told(ctx, found, _percent(m.prior)),), (told(ctx, found, _percent(m.weight)),), shown)
        rows.append(Row((upper(what_it_is(ctx, found, m.mechanism)), *cells)))
    caption = writer.words(
        "What later results add. The line in the drawing is the weight by the randomised period alone. In the later "
        "period everyone was on the drug, so these numbers rest on the model of who started when and who stayed."
    )
    heads = writer.heads("Mechanism", "Before", "Randomised period alone", "With later results")
    table = Table("t-beliefs-later", caption, heads, tuple(rows), (False, True, True, True))
    out: list[Block] = [table]
    if not later.reached:
        return [_not_reached(ctx, later), table]
    near, against, strongly = later.ranks()
    said = writer.say("With later results the numbers fit {m} best.", m=_named(ctx, near))
    for names, how in ((against, "against"), (strongly, "strongly against")):
        if names:
            said = paragraphs(said, writer.say(f"They speak {how} {{m}}.", m=_named(ctx, names)))
    again = writer.say("To find it again: {c}.", c=writer.code(later.command))
    out.append(Paragraph(paragraphs(said, again)))
    return out


def _readers(ctx: Context, found: Beliefs) -> list[Inlines]:
    return [
        (ctx.writer.strong(who), Text(" "), *said)
        for who, said in (
            ("For the clinician.", _verdict(ctx, found)),
            ("For patients and families.", _plainly(ctx, found)),
            ("For whoever plans the next trial.", _planner(ctx, found)),
            ("For the statistician.", _statistician(ctx, found)),
        )
        if said
    ]


def _verdict(ctx: Context, found: Beliefs) -> Inlines:
    """Which mechanisms the numbers tell apart, and the chance that the drug does anything."""
    writer = ctx.writer
    if len(found.mechanisms) < 2 or not found.reached:
        return ()
    near, against, strongly = found.ranks()
    out = writer.say(
        "The published numbers do not tell {m} apart." if len(near) > 1 else "The published numbers favour {m}.",
        m=_named(ctx, near),
    )
    if against:
        out = paragraphs(out, writer.say("They speak against {m}.", m=_named(ctx, against)))
    if strongly:
        out = paragraphs(out, writer.say("They speak strongly against {m}.", m=_named(ctx, strongly)))
    nothing = next((m for m in found.mechanisms if m.mechanism == "none"), None)
    if nothing is None:
        return out
    where = "" if found.of_events else " for function"
    return paragraphs(
        out,
        writer.say(
            f"The chance that the drug does something{where} is {{a}}, from {{b}} before. It is a chance within this "
            "model of one trial, and no measure of how much the drug does.",
            a=told(ctx, found, _percent(1 - nothing.weight)),
            b=told(ctx, found, _percent(1 - nothing.prior)),
        ),
    )


def _plainly(ctx: Context, found: Beliefs) -> Inlines:
    if len(found.mechanisms) < 2 or not found.reached:
        return ()
    near = [m.mechanism for m in found.ranks()[0]]
    if "none" in near and len(near) > 1:
        text = (
            "These results fit a drug that helps, and they fit a drug that does not. They cannot settle it; another "
            "trial may."
        )
    elif near == ["none"]:
        text = (
            "These results are more likely if the drug does not help than if it does. That is no proof that it cannot."
        )
    elif len(near) > 1:
        text = (
            "These results are more likely if the drug helps than if it does not. If it helps, they do not say in "
            "which way, nor what happens later."
        )
    else:
        text = (
            "These results fit a drug that helps, in one way better than in the others. That is no proof that it does."
        )
    return ctx.writer.words(text)


def _planner(ctx: Context, found: Beliefs) -> Inlines:
    writer = ctx.writer
    lag = next((p for m in found.mechanisms for p in m.effects if p.place == "effect.lag" and m.reached), None)
    if lag is None:
        return ()
    after, before = numbers.span(lag.low, lag.high, 0), ends(*lag.prior)
    out = writer.say(
        "If function follows after a lag, the lag is {m} weeks (95 % interval {s}; {p} before), narrowed by "
        "{c} of the variance.",
        m=told(ctx, found, numbers.number(lag.median, 0)),
        s=told(ctx, found, after),
        p=told(ctx, found, before),
        c=told(ctx, found, learnt(lag)),
    )
    text = (
        "That is little: plan for the whole range."
        if lag.contraction < 0.5
        else "Plan for its upper end: a trial that ends before it sees little of the effect."
    )
    out = paragraphs(out, writer.words(text))
    if lag.fit is None or round(lag.fit) == round(lag.median):
        return out
    others, where = ("longer", "higher") if lag.fit < lag.median else ("shorter", "lower")
    return paragraphs(
        out,
        writer.say(
            f"The lag that fits best, and that the replica takes, is {{f}} weeks; {others} ones fit nearly as well, so "
            f"that the middle of them all lies {where}.",
            f=told(ctx, found, numbers.number(lag.fit, 1)),
        ),
    )


def _statistician(ctx: Context, found: Beliefs) -> Inlines:
    writer = ctx.writer
    apart = max(abs(m.log_evidence - m.log_evidence_bridge) for m in found.mechanisms)
    tail = max(m.pareto_k for m in found.mechanisms)
    worst = min(found.mechanisms, key=lambda m: m.effective_draws)
    shape = f"at most {numbers.number(tail, 2)}" if math.isfinite(tail) else "below any that can be measured"
    return writer.say(
        "The two methods differ by at most {a} in log evidence; Pareto k of the importance weights is {k}; the fewest "
        "of the draws are worth {d} independent ones. What no parameter explains is allowed for with {t} of each "
        "number's standard deviation. The blocks fitted before are held at their fit.",
        a=told(ctx, found, numbers.number(apart, 2)),
        k=told(ctx, found, shape) if math.isfinite(tail) else writer.words(shape),
        d=told(ctx, found, numbers.number(worst.effective_draws, 0)),
        t=told(ctx, found, numbers.percent(found.discrepancy, 0)),
    )


def _unmatched(ctx: Context, found: Beliefs) -> Inlines:
    """The published numbers that some or all mechanisms cannot match, by name, and which mechanisms."""
    writer = ctx.writer
    out: Inlines = ()
    for label in dict.fromkeys(s for m in found.mechanisms for s in m.unmatched):
        chosen = [m for m in found.mechanisms if label in m.unmatched]
        z = max((m.unmatched[label] for m in chosen), key=abs)
        said = writer.say(
            "{s} cannot be matched by {m}: the nearest lies {z} standard deviations off. The rest was not bent towards "
            "it.",
            s=writer.code(label),
            m=writer.words("any mechanism") if len(chosen) == len(found.mechanisms) else _named(ctx, chosen),
            z=told(ctx, found, numbers.number(z, 1, plus=True)),
        )
        out = paragraphs(out, said)
    return out
