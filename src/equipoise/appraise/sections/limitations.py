"""Limitations: what the record's own numbers say against leaning on the result."""

from __future__ import annotations

from equipoise.appraise import absolute_risk
from equipoise.appraise.context import Context
from equipoise.appraise.findings import known
from equipoise.appraise.numbers import THIN, number, percent
from equipoise.appraise.phrases import detectable_sentence, formal_sentence, paragraphs
from equipoise.document.document import Block, Computed, Fold, Inlines, Listing, Paragraph, Section
from equipoise.document.text import joined, upper
from equipoise.records.schema import Value


def build(ctx: Context) -> Section:
    """The record's statements, then what its numbers add: power, assumptions, losses, deviations, selection."""
    writer = ctx.writer
    said = writer.statements("limitations")
    numbers = [
        paragraphs((writer.strong(heading),), body)
        for heading, body in (
            (
                "Size.",
                paragraphs(
                    detectable_sentence(ctx), assumptions_sentence(ctx), planned_spread(ctx), _regulators_sum(ctx)
                ),
            ),
            ("After the primary test.", exploratory_sentence(ctx)),
            ("Time.", delays_sentence(ctx)),
            ("Losses.", losses_sentence(ctx)),
            ("Balance.", balance_sentence(ctx)),
            ("Conduct.", conduct_sentence(ctx)),
            ("The later comparison.", extension_sentence(ctx)),
            ("What could not be read.", gaps_sentence(ctx)),
        )
        if body
    ]
    blocks: list[Block] = []
    if said:
        blocks.append(Listing(said))
    if numbers:
        more = Listing(tuple(numbers))
        blocks.append(Fold("limits-more", writer.words("What the numbers add"), (more,)) if said else more)
    if not blocks:
        blocks.append(Paragraph(writer.words("The record names no limitation.")))
    return Section("limitations", writer.words("Limitations"), tuple(blocks))


def assumptions_sentence(ctx: Context) -> Inlines:
    """What the sample size was built on, beside what was seen."""
    f, writer = ctx.findings, ctx.writer
    expected = ctx.item_value("sample_size", f"decline_{f.control.id}")
    hoped = ctx.item_value("sample_size", f"decline_{f.active.id}")
    if expected is None or hoped is None or f.primary is None:
        return ()
    out = ctx.say(
        "The plan expected a loss of {e} points with {control} and {h} with {active}",
        e=ctx.number(expected),
        h=ctx.number(hoped),
    )
    pair = ctx.arms_pair(f.primary)
    if pair is not None:
        changes = [(writer.cite(number(abs(v.value or 0.0)), v),) for v in (pair[1], pair[0])]
        out = (*out, *writer.say("; the losses seen were {c} and {a}", c=changes[0], a=changes[1]))
    out = (*out, *writer.words("."))
    return paragraphs(out, _share_seen(ctx, expected))


def _share_seen(ctx: Context, expected: Value) -> Inlines:
    """The loss that was seen in the control arm as a share of the one that was planned for."""
    f, writer = ctx.findings, ctx.writer
    pair = None if f.primary is None else ctx.arms_pair(f.primary)
    if pair is None or not expected.value or not pair[1].value:
        return ()
    share = writer.compute(
        absolute_risk.as_share_of,
        abs(float(pair[1].value)),
        abs(float(expected.value)),
        show=lambda x: percent(x, 0),
        what=f"the loss seen in the {f.control.label.lower()} arm as a share of the loss planned for",
        method="one over the other",
    )
    return ctx.say("The {control} arm lost {s} of what the plan expected.", s=share)


def planned_spread(ctx: Context) -> Inlines:
    """The standard deviation of the plan in the unit that its power agrees with, beside the one that was seen."""
    f, writer = ctx.findings, ctx.writer
    sd, seen = ctx.item_value("sample_size", "sd"), ctx.item_value("implied_sd", f.control.id)
    slopes = [ctx.item_value("sample_size", f"slope_{arm.id}") for arm in (f.control, f.active)]
    losses = [ctx.item_value("sample_size", f"decline_{arm.id}") for arm in (f.control, f.active)]
    n, power, weeks = ctx.item_value("sample_size", "n"), ctx.item_value("sample_size", "power"), f.week
    shares = [ctx.record.design.allocation.get(arm.id) for arm in (f.control, f.active)]
    values = (sd, seen, n, *slopes, *losses)
    if any(v is None or not v.value for v in values) or weeks is None or not all(shares):
        return ()
    sizes = [float(n.value or 0) * float(s or 0) / sum(float(x or 0) for x in shares) for s in shares]  # type: ignore[union-attr]
    monthly = (sd.unit or "").endswith("/month")  # type: ignore[union-attr]
    if not monthly:
        return ()

    def planned(a: Value | None, c: Value | None, unit: str) -> Computed:
        difference = abs(float(a.value or 0) - float(c.value or 0))  # type: ignore[union-attr]
        return writer.compute(
            absolute_risk.power_of_means,
            round(difference, 4),
            float(sd.value or 0),  # type: ignore[union-attr]
            round(sizes[1], 4),
            round(sizes[0], 4),
            show=lambda x: percent(x, 0),
            what=f"the power of the plan if its standard deviation is read in {unit}",
            method="two-sided normal test of two means at the conventional level",
        )

    over = writer.compute(
        absolute_risk.over_weeks,
        float(sd.value or 0),  # type: ignore[union-attr]
        float(weeks),
        show=lambda x: number(x, 0),
        what="the planned standard deviation over the weeks of the trial",
        method="points a month times the months of the trial",
    )
    out = writer.say(
        "The plan's standard deviation, {sd}, is given as points a month in one place and without a unit in others. As "
        "points over the {w} weeks it would give a power of {p}, as points a month {q}",
        sd=ctx.number(sd),  # type: ignore[arg-type]
        w=ctx.word(ctx.record.design.duration_weeks) if ctx.record.design.duration_weeks else ctx.week(weeks),
        p=planned(losses[0], losses[1], "points over the trial"),
        q=planned(slopes[0], slopes[1], "points a month"),
    )
    if power is not None:
        out = (*out, *writer.say("; {s} is what the plan states", s=ctx.number(power, unit=f"{THIN}%")))
    return (
        *out,
        *ctx.say(
            ". So it more likely stands for about {o} points over the trial, and the {v} that the standard error of "
            "the {control} arm implies is no more than had been planned for.",
            o=over,
            v=ctx.number(seen),  # type: ignore[arg-type]
        ),
    )


def _regulators_sum(ctx: Context) -> Inlines:
    """A regulator's own number of people, held against what the published standard error asks for."""
    f, writer = ctx.findings, ctx.writer
    n = ctx.item_value("sample_size_fda", "n")
    difference = ctx.item_value("sample_size_fda", "difference")
    c, pair = f.contrast, ctx.analysed
    if n is None or difference is None or not difference.value or c is None or c.se is None or pair is None:
        return ()
    needed = writer.compute(
        absolute_risk.people_needed,
        float(difference.value),
        float(c.se),
        float(sum(v.value or 0 for v in pair)),
        show=lambda x: number(x, 0),
        what="people that a trial with the published standard error needs for the difference the regulator names",
        method="the standard error shrinks with the root of the number of people; two-sided test, usual power",
    )
    return writer.say(
        "The regulator's review names about {n} people for {d} points. That does not follow from the published "
        "analysis: by its standard error {m} would do. How the review arrived at it was not found.",
        n=ctx.number(n, 0),
        d=ctx.number(difference),
        m=needed,
    )


def exploratory_sentence(ctx: Context) -> Inlines:
    """Why nothing after a missed primary endpoint confirms anything; empty where it was not missed."""
    f, writer = ctx.findings, ctx.writer
    if f.met is not False or ctx.record.origin == "posted":  # a registry tells no order in which outcomes were tested
        return ()
    secondary = [o for o in ctx.record.outcomes if o.test_order and o.role != "primary"]
    out = writer.words("Nothing tested after the missed primary endpoint can confirm anything")
    if secondary:
        order = writer.words("; by the trial's own rule the formal tests of ")
        out = (
            *out,
            *order,
            *joined([writer.label(ctx.outcome(o.id)) for o in secondary]),
            *writer.words(" never began"),
        )
    return paragraphs((*out, *writer.words(".")), formal_sentence(ctx))


def delays_sentence(ctx: Context) -> Inlines:
    """How late the markers moved, as the record tells it, against the length of the trial."""
    writer = ctx.writer
    parts = []
    for item in ctx.record.items:
        if item.section == "turnover" and item.id.startswith("delay_") and item.text and item.usable:
            text = writer.told(item.text, item, *item.values.values(), stop=".")
            label = writer.quote(item.label, item)
            if text and label:
                parts.append(paragraphs((*label, *writer.words(":")), text))
    if not parts:
        return ()
    if ctx.duration:
        parts.append(writer.say("The randomised comparison lasted {n}.", n=ctx.duration))
    return paragraphs(*parts)


def losses_sentence(ctx: Context) -> Inlines:
    """Withdrawals in the primary set and to the primary week."""
    f, writer = ctx.findings, ctx.writer
    for row in ctx.record.events:
        if row.endpoint != "WITHDREW" or (row.week is not None and f.week is not None and row.week > f.week):
            continue
        values = row.values.get(f.set or "", {})
        a, c = values.get(f.active.id), values.get(f.control.id)
        if a is None or c is None or not a.usable or not c.usable or not a.total or not c.total:
            continue
        return ctx.say(
            "{a} with {active} and {c} with {control} left the study in {s}"
            + ("; their later scores are imputed." if any(m.imputation for m in ctx.record.methods) else "."),
            a=ctx.count(a),
            c=ctx.count(c),
            s=writer.label(ctx.set_phrase(f.set or "")),
        )
    return ()


def went_on_sentence(ctx: Context) -> Inlines:
    """How many of each arm went on into an extension, where that alone tells how many stayed; else empty."""
    e, f = ctx.record.extension, ctx.findings
    for set, values in ({} if e is None else e.entrants).items():
        a, c = values.get(f.active.id), values.get(f.control.id)
        if ctx.is_all(set) and a is not None and c is not None and all(known(v) and v.total for v in (a, c)):
            return ctx.say(
                "How many left is not reported as such; {a} with {active} and {c} with {control} went on into the "
                "extension.",
                a=ctx.count(a),
                c=ctx.count(c),
            )
    return ()


def balance_sentence(ctx: Context) -> Inlines:
    """An imbalance at the start that the record points out."""
    item = ctx.item("nfl_imbalance")
    if item is None or not item.text or not item.usable:
        return ()
    text = ctx.writer.told(item.text, item, *item.values.values(), stop=".")
    label = ctx.writer.quote(item.label, item)
    return paragraphs((*label, *ctx.writer.words(":")), text) if text and label else ()


def conduct_sentence(ctx: Context) -> Inlines:
    """Protocol deviations."""
    writer = ctx.writer
    share = ctx.item_value("deviations", "any")
    if share is None or not share.total:
        return ()
    out = writer.say("{n} participants had a major protocol deviation", n=ctx.count(share))
    covid = ctx.item_value("deviations", "covid")
    if covid is not None and covid.total:
        out = (*out, *writer.say(", {n} one tied to the pandemic", n=ctx.count(covid)))
    return (*out, *writer.words("."))


def extension_sentence(ctx: Context) -> Inlines:
    """Who entered the extension, and that its published analysis was not fixed in advance."""
    f, writer, extension = ctx.findings, ctx.writer, ctx.record.extension
    if extension is None:
        return ()
    whole = next((s.id for s in ctx.record.sets if ctx.is_all(s.id)), f.set or "")
    values = extension.entrants.get(whole, {})
    a, c = values.get(f.active.id), values.get(f.control.id)
    out: Inlines = ()
    if a is not None and c is not None and a.usable and c.usable and a.total and c.total:
        out = ctx.say(
            "{a} of the {active} arm and {c} of the {control} arm entered the extension; those who did may "
            "differ from those who did not.",
            a=ctx.count(a),
            c=ctx.count(c),
        )
    _, unplanned = f.later_pair()
    if unplanned is not None:
        out = paragraphs(out, writer.words("Its published analysis was not fixed before the data were seen."))
    return out


def gaps_sentence(ctx: Context) -> Inlines:
    """What the record itself says could not be read."""
    writer = ctx.writer
    gaps = [i for i in ctx.record.items if i.section == "gap" and i.text and i.usable]
    return paragraphs(*(upper(writer.told(i.text, i, stop=".") or ()) for i in gaps if i.text))
