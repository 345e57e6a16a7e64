"""What the numbers say about how the drug works: the stored posterior, for a reader with a minute and for one with ten.

References: Kass RE, Raftery AE 1995, J Am Stat Assoc 90:773 (words for Bayes factors).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from equipoise.appraise import numbers
from equipoise.appraise.context import Context
from equipoise.appraise.phrases import paragraphs
from equipoise.appraise.posterior import LEAST, MOST, Belief, Beliefs, Parameter
from equipoise.appraise.sections.replica.words import MECHANISMS
from equipoise.document.document import Bar, Block, Computed, Fold, Inlines, Listing, Note, Paragraph, Row, Table, Text
from equipoise.document.text import joined, upper

TITLE = "What the numbers say about how it works"
EFFECTS = {
    "effect.gain": ("Lift of function while on the drug", "points", 1.0, 1),
    "effect.weight": ("Share of the loss that the drug can reach", "%", 100.0, 0),
    "effect.lag": ("Lag of function behind the injury", "weeks", 1.0, 0),
    "effect.hazard_ratio": ("Hazard ratio under the drug", "", 1.0, 2),
}
"""What a parameter of the effect is called, its unit, how many of that unit one is, and its decimals."""


def beliefs(ctx: Context, found: Beliefs) -> list[Block]:
    """Weights of the mechanisms and the effect under each, drawn; the sentence for each reader; the command.

    And, apart, what was learnt of each parameter.
    """
    blocks: list[Block] = [Paragraph(_lead(ctx, found))]
    if not found.reached:
        blocks.append(_not_reached(ctx, found))
    blocks.append(_weights(ctx, found))
    effects = _effects(ctx, found)
    if effects is not None:
        blocks.append(effects)
    blocks.append(Listing(tuple(_readers(ctx, found))))
    off = _unmatched(ctx, found)
    if off:
        blocks.append(Paragraph(off))
    blocks.append(Paragraph(ctx.writer.say("To find it again: {c}.", c=ctx.writer.code(found.command))))
    return [Fold("beliefs", ctx.writer.words(TITLE), tuple(blocks)), _parameters(ctx, found)]


def _n(ctx: Context, found: Beliefs, text: str) -> Computed:
    method = (
        f"stored, made by {found.command}; draws of the parameters of each mechanism given the published numbers and "
        "their covariance: see docs/methods/posterior.md"
    )
    command = f"from equipoise.appraise.posterior import printed; print(printed({ctx.record.id!r}))"
    return ctx.writer.by_command(text, f'python -c "{command}"', "posterior of mechanisms and their parameters", method)


def _named(ctx: Context, chosen: Sequence[Belief]) -> Inlines:
    return joined([(ctx.writer.em(ctx.writer.label(m.mechanism)),) for m in chosen])


def _percent(x: float) -> str:
    """A weight; one that rounds to nothing or to all is given as a bound."""
    if x < LEAST:
        return f"< {numbers.percent(LEAST, 0)}"
    return f"> {numbers.percent(MOST, 0)}" if x > MOST else numbers.percent(x, 0)


def _ends(low: float, high: float) -> str:
    """``0.5 to 60``: the ends of a prior, each as short as it can be written."""
    return " to ".join(numbers.number(int(x) if x == int(x) else x) for x in (low, high))


def _lead(ctx: Context, found: Beliefs) -> Inlines:
    writer = ctx.writer
    first = found.mechanisms[0]
    period = "the whole trial" if found.later else _period(ctx)
    return writer.say(
        "A fit gives one best answer and does not say how sure it is. Here each way in which the drug may act was held "
        f"against what was published of {period}, counting how the published numbers hang together: {{n}} of them "
        "share patients and are worth {e} independent ones. {after}",
        n=_n(ctx, found, str(first.statistics)),
        e=_n(ctx, found, numbers.number(first.effective_number["all"], 0)),
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
        name = _what_it_is(ctx, m.mechanism)
        factor = found.against(m, best)
        shown = numbers.number(factor, 2) if factor >= LEAST else f"< {numbers.number(LEAST, 2)}"
        rows.append(
            Row(
                (
                    upper(name),
                    (_n(ctx, found, _percent(m.prior)),),
                    (_n(ctx, found, _percent(m.weight)), Bar(0.0, 1.0, m.prior, m.weight, 0.0, m.weight)),
                    (_n(ctx, found, _percent(m.weight_bridge)),),
                    writer.words("the best") if m is best else (_n(ctx, found, shown),),
                )
            )
        )
    caption = writer.words(
        "How likely each way of acting is, before and after the published numbers. The line in the drawing is the "
        "weight before. The weight was found by two methods; the Bayes factor is that against the best."
    )
    heads = writer.heads("Mechanism", "Before", "After", "After, second method", "Bayes factor")
    return Table("t-beliefs", caption, heads, tuple(rows), (False, True, True, True, True))


def _shown(p: Parameter) -> tuple[str, str, float, int]:
    return EFFECTS.get(p.place, (p.place, "", 1.0, 2))


def _with(unit: str, text: str) -> str:
    return f"{text}{numbers.THIN}%" if unit == "%" else f"{text} {unit}".strip()


def _interval(p: Parameter) -> str:
    _, unit, times, digits = _shown(p)
    middle = numbers.number(times * p.median, digits)
    return _with(unit, f"{middle} ({numbers.span(times * p.low, times * p.high, digits)})")


def _effects(ctx: Context, found: Beliefs) -> Table | None:
    """What is known of the drug's effect, should it act in that way; drawn between the ends of the prior."""
    writer = ctx.writer
    rows = []
    for m in found.mechanisms:
        for p in m.effects:
            name, unit, times, _ = _shown(p)
            prior = _with(unit, _ends(times * p.prior[0], times * p.prior[1]))
            null = 1.0 if p.place.endswith("hazard_ratio") else None if p.place.endswith("lag") else 0.0
            bar = Bar(*p.prior, null, p.median, p.low, p.high)
            label = writer.say("{e}, if {m}", e=writer.label(name), m=m.mechanism)
            value = (_n(ctx, found, _interval(p)), bar)
            rows.append(Row((label, value, (_n(ctx, found, prior),), (_n(ctx, found, _learnt(p)),))))
    if not rows:
        return None
    caption = writer.words(
        "The drug's effect, should it act in that way: median and 95 % interval, drawn "
        "between the ends of what was thought possible before. Learnt: by how much the numbers narrowed it, as a share "
        "of the variance."
    )
    heads = writer.heads("What", "After", "Thought possible before", "Learnt")
    return Table("t-effects", caption, heads, tuple(rows), (False, True, True, True))


def _learnt(p: Parameter) -> str:
    return numbers.percent(max(p.contraction, 0.0), 0)


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
    events = any(p.place == "effect.hazard_ratio" for m in found.mechanisms for p in m.effects)
    where = "" if events else " for function"
    return paragraphs(
        out,
        writer.say(
            f"The chance that the drug does something{where} is {{a}}, from {{b}} before. It is a chance within this "
            "model of one trial, and no measure of how much the drug does.",
            a=_n(ctx, found, _percent(1 - nothing.weight)),
            b=_n(ctx, found, _percent(1 - nothing.prior)),
        ),
    )


def _plainly(ctx: Context, found: Beliefs) -> Inlines:
    if len(found.mechanisms) < 2 or not found.reached:
        return ()
    near = [m.mechanism for m in found.ranks()[0]]
    if "none" in near and len(near) > 1:
        text = (
            "These results fit a drug that helps, and they fit a drug that does not. They cannot settle it; another "
            "trial can."
        )
    elif near == ["none"]:
        text = "These results fit a drug that does not help better than one that does. That is no proof that it cannot."
    elif len(near) > 1:
        text = (
            "These results fit a drug that helps better than one that does not. In which way it helps, and so what "
            "happens later, they do not say."
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
    after, before = numbers.span(lag.low, lag.high, 0), _ends(*lag.prior)
    out = writer.say(
        "If function follows after a lag, the lag is {m} weeks (95 % interval {s}; {p} before), narrowed by "
        "{c} of the variance.",
        m=_n(ctx, found, numbers.number(lag.median, 0)),
        s=_n(ctx, found, after),
        p=_n(ctx, found, before),
        c=_n(ctx, found, _learnt(lag)),
    )
    text = (
        "That is little: plan for the whole range."
        if lag.contraction < 0.5
        else "Plan for its upper end: a trial that ends before it sees little of the effect."
    )
    return paragraphs(out, writer.words(text))


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
        a=_n(ctx, found, numbers.number(apart, 2)),
        k=_n(ctx, found, shape) if math.isfinite(tail) else writer.words(shape),
        d=_n(ctx, found, numbers.number(worst.effective_draws, 0)),
        t=_n(ctx, found, numbers.percent(found.discrepancy, 0)),
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
            z=_n(ctx, found, numbers.number(z, 1, plus=True)),
        )
        out = paragraphs(out, said)
    return out


def _parameters(ctx: Context, found: Beliefs) -> Fold:
    """Every parameter of every mechanism: what the numbers taught of it."""
    writer = ctx.writer
    rows = []
    for m in found.mechanisms:
        rows.append(Row((upper(_what_it_is(ctx, m.mechanism)),), heading=True))
        for p in m.parameters:
            digits = 2 if max(abs(p.low), abs(p.high)) < 10 else 1
            value = f"{numbers.number(p.median, digits)} ({numbers.span(p.low, p.high, digits)})"
            prior = _ends(*p.prior)
            cells = ((_n(ctx, found, x),) for x in (value, prior, _learnt(p)))
            rows.append(Row(((writer.code(p.place),), *cells)))
    caption = writer.words(
        "Every free parameter under each mechanism: median and 95 % interval, the ends of its uniform prior, and how "
        "much of the prior variance the numbers took away. Where that is near nothing, they say nothing of it."
    )
    heads = writer.heads("Parameter", "After", "Before", "Learnt")
    table = Table("t-parameters", caption, heads, tuple(rows), (False, True, True, True))
    return Fold("beliefs-parameters", writer.words("What was learnt of each parameter"), (table,))


def _what_it_is(ctx: Context, mechanism: str) -> Inlines:
    """A mechanism by its word and what it is; of no effect what it is alone, since its word is "none"."""
    told = MECHANISMS.get(mechanism, "as named")
    if mechanism == "none":
        return ctx.writer.words(told)
    return ctx.writer.say("{m}: {w}", m=mechanism, w=ctx.writer.words(told))
