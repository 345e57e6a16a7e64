"""What each mechanism, fitted to the same numbers, predicts for those held back."""

from __future__ import annotations

from equipoise.appraise import numbers
from equipoise.appraise.context import Context
from equipoise.appraise.phrases import paragraphs
from equipoise.appraise.sections.replica.comparison import form, published
from equipoise.appraise.sections.replica.words import about_events, held, known, mechanism_words, period
from equipoise.appraise.tables import result_label
from equipoise.document.document import Block, Inlines, Paragraph, Row, Table, Text
from equipoise.document.text import joined, short, upper
from equipoise.replica.replica import MechanismRow, Replica


def mechanisms(ctx: Context, replica: Replica) -> list[Block]:
    """What each mechanism, fitted to the randomised period alone, predicts for results held back."""
    writer = ctx.writer
    groups: dict[str, list[MechanismRow]] = {}
    for m in replica.mechanisms:
        groups.setdefault(m.id, []).append(m)
    rows: list[Row] = []
    for group in sorted(groups.values(), key=lambda g: not held(ctx, g[0])):
        first = group[0]
        kept = held(ctx, first)
        head = _head(ctx, replica, first)
        head = (
            *head,
            *writer.words(" – kept out of the fit: a check" if kept else " – follows from the fit: no check"),
        )
        rows.append(Row((head,), heading=True))
        for m in group:
            misfit: Inlines = (Text("–"),)
            if m.misfit is not None:
                over = f" over {m.n_targets}" if m.n_targets is not None else ""
                misfit = (writer.simulated(f"{numbers.number(m.misfit, 0)}{over}"),)
            name = writer.say(
                "{m}: {w}", m=m.mechanism, w=writer.words(mechanism_words(replica, m.mechanism) or "as named")
            )
            rows.append(
                Row(
                    (
                        upper(name),
                        misfit,
                        (writer.simulated(form(m, m.mean)),),
                        (writer.simulated(f"{form(m, m.low)} to {form(m, m.high)}"),),
                        (writer.simulated(numbers.percent(m.at_least)),),
                    )
                )
            )
    plain = all(m.scale == "difference" for m in replica.mechanisms)
    columns = writer.heads(
        "Mechanism",
        f"Misfit, {period(ctx)}",
        "Difference simulated" if plain else "Simulated",
        "95 % range of one trial",
        "Trials with at least the published difference" if plain else "Trials at least as favourable",
    )
    alone = "the same published numbers" if ctx.record.extension is None else f"the {period(ctx)} alone"
    caption = writer.words(
        f"Mechanisms of action, each fitted to {alone}, and what they lead to. Misfit: the sum of "
        "squared distances from the published values, in standard errors, and over how many values. The values hang "
        "together from week to week, so that misfits describe and do not test."
    )
    lead = writer.words(
        "The randomised period alone cannot settle how a drug acts on function. So each mechanism was fitted to that "
        "period, and then asked what comes later. Only results after the switch, which no fit has seen, are a check. "
        "Results of the randomised period were fitted in part, and the others follow from those: that a mechanism "
        "comes near them proves nothing more."
        if ctx.record.extension is not None
        else "The numbers that a replica is fitted to cannot settle how a drug acts. So each mechanism was fitted to "
        "them, and then asked what comes later or elsewhere. Only results that no fit has seen are a check."
    )
    table = Table("t-mechanisms", caption, columns, tuple(rows), (False, True, True, True, True))
    return [Paragraph(lead), table, *(Paragraph(p) for p in _verdict(ctx, replica) if p)]


def _verdict(ctx: Context, replica: Replica) -> list[Inlines]:
    """What the results kept out of the fit say of the mechanisms, and what they cannot say."""
    writer = ctx.writer
    kept = [m for m in replica.mechanisms if held(ctx, m)]
    names = list(dict.fromkeys(m.mechanism for m in kept))
    if len(names) < 2:
        return []

    def shares(mechanism: str) -> list[float]:
        return [m.at_least for m in kept if m.mechanism == mechanism]

    missed = [m for m in kept if not m.low <= m.published <= m.high]
    better = [m for m in missed if m.at_least < 0.5]  # than predicted
    worse = [m for m in missed if m.at_least >= 0.5]

    def span_of(chosen: list[str]) -> Inlines:
        each = [s for name in chosen for s in shares(name)]
        low, high = numbers.percent(min(each)), numbers.percent(max(each))
        return (writer.simulated(low if low == high else f"{low} to {high}"),)

    plain = all(m.scale == "difference" for m in kept)
    outside = {m.mechanism for m in missed}
    near = [n for n in names if min(shares(n)) >= 0.1 and n not in outside]
    # a share says little where some rows lie above what was predicted and others below
    over = {m.mechanism for m in worse}
    far = [n for n in names if n not in near and n not in over]

    def listed(chosen: list[str]) -> Inlines:
        return joined([(writer.em(writer.label(n)),) for n in chosen])

    out: Inlines = ()
    if near:
        out = writer.say(
            "What it shows: the results kept out of the fit are in keeping with {m}; {s} of such trials give at "
            "least the published difference."
            if plain
            else "What it shows: the results kept out of the fit are in keeping with {m}; {s} of such trials give "
            "results at least as favourable.",
            m=listed(near),
            s=span_of(near),
        )
    if far:
        first = "With {m} it is {s}." if near else "With {m}, {s} of such trials give results at least as favourable."
        out = paragraphs(out, writer.say(first, m=listed(far), s=span_of(far)))
        inside = [n for n in far if n not in outside]
        if inside:
            out = paragraphs(
                out,
                writer.say(
                    "Less likely, then, but not ruled out: with {m} the published values still lie inside the "
                    "range of single trials.",
                    m=listed(inside),
                ),
            )
    for rows, way in ((better, "more"), (worse, "less")):
        places: dict[tuple[str, ...], list[str]] = {}
        for name in dict.fromkeys(m.mechanism for m in rows):
            places.setdefault(tuple(m.id for m in rows if m.mechanism == name), []).append(name)
        for ids, those in places.items():
            where = [_place(ctx, replica, next(m for m in rows if m.id == id)) for id in ids]
            out = paragraphs(
                out,
                writer.say(
                    f"With {{m}} what was found is {way} favourable than the range of single trials: {{w}}.",
                    m=listed(those),
                    w=joined(where, "; "),
                ),
            )
    if worse:
        out = paragraphs(
            out,
            writer.words(
                "Where less was found than predicted, the effect as fitted is larger than what came later or elsewhere "
                "supports, or the trials differ in more than was rebuilt."
            ),
        )
    elsewhere = any(r.external for r in replica.rows if r.id in {m.id for m in kept})
    one = (
        "Results of one trial hang together, another trial differs in more than its numbers"
        if elsewhere
        else "This is one trial, its later results hang together"
    )
    limits = writer.words(
        f"What it does not show: that the drug {'lengthens life' if about_events(replica) else 'slows the disease'}. "
        f"{one}, and "
        "two mechanisms that predict nearly the same cannot be told apart by them."
    )
    if ctx.item("nfl_imbalance") is not None:
        limits = paragraphs(
            limits,
            writer.words(
                "Nor is it free of the imbalance: the arms began with unequal neurofilament, the replica carries that "
                "into every figure of this table, and how much decline it ties to neurofilament is itself estimated."
            ),
        )
    return [out, limits]


def _place(ctx: Context, replica: Replica, m: MechanismRow) -> Inlines:
    """Which result a row is about: its set and week, or the other trial."""
    found = known(ctx, m.result)
    if found is not None and found.contrast is not None and found.contrast.usable:
        several = len({k.outcome for x in replica.mechanisms if (k := known(ctx, x.result)) is not None}) > 1
        return result_label(ctx, found, outcome=several)
    row = next((r for r in replica.rows if r.id == m.id), None)
    where = () if row is None or row.week is None or row.external else (f", {ctx.record.when(row.week)}",)
    return ctx.writer.label("".join((m.quantity, *where)))


def _head(ctx: Context, replica: Replica, m: MechanismRow) -> Inlines:
    """What a group of rows is about, with the published value."""
    writer = ctx.writer
    found = known(ctx, m.result)
    if found is not None and found.contrast is not None and found.contrast.usable:
        return (
            *writer.label(short(ctx.record.outcome(found.outcome).label)),
            Text(": "),
            *result_label(ctx, found, outcome=False),
            *writer.say("; published {d}", d=ctx.contrast(found.contrast)),
        )
    row = next((r for r in replica.rows if r.id == m.id), None)
    if row is None:
        return writer.label(m.quantity)
    where = [] if row.week is None else [ctx.record.when(row.week)]
    if not ctx.is_all(row.analysis_set):
        where.insert(0, ctx.set_name(row.analysis_set))
    head = upper(writer.label(", ".join([m.quantity, *where])))
    return (*head, *writer.say("; published {d}", d=published(ctx, row)))
