"""What the replica says: the rebuilt trial's answers, and how it compares with what was published."""

from __future__ import annotations

import math

from equipoise.appraise import numbers
from equipoise.appraise.context import Context
from equipoise.appraise.phrases import paragraphs, replica_sentence
from equipoise.appraise.posterior import stored, stored_later
from equipoise.appraise.sections.replica.answers import answers_tables, chance, chance_by_weeks, main_answers, reading
from equipoise.appraise.sections.replica.beliefs import beliefs
from equipoise.appraise.sections.replica.comparison import comparison_table, differences, dots_figure, tally
from equipoise.appraise.sections.replica.mechanisms import mechanisms
from equipoise.appraise.sections.replica.parameters import told as parameter_told
from equipoise.appraise.sections.replica.survival import survival_figure
from equipoise.appraise.sections.replica.words import about_events, mechanism_words, nothing, use_of
from equipoise.document.document import Block, Fold, Inlines, Link, Listing, Paragraph, Section, Text
from equipoise.library import shipped_file
from equipoise.replica.replica import Replica

__all__ = ["as_fitted", "build", "chance_by_weeks", "dots_figure", "main_answers", "reading", "use_of"]


def build(ctx: Context) -> Section:
    """The answers in words, the comparison as a plot and as a table; without a replica, how to get one."""
    writer = ctx.writer
    title = writer.words("What the replica says")
    replica = ctx.replica
    found = stored(ctx.record.id)
    posterior: list[Block] = [] if found is None else beliefs(ctx, found, stored_later(ctx.record.id))
    posterior.extend(_second(ctx))
    if replica is None:
        return Section("replica", title, (Paragraph(_without(ctx)), *posterior))
    blocks: list[Block] = [Paragraph(_what(ctx, replica))]
    if replica.answers:
        blocks.extend(answers_tables(ctx, replica))
        told = chance(ctx, replica)
        if reading(ctx):
            lead = writer.words("What the first two shares say together stands in the ")
            blocks.append(Paragraph((*lead, Link(writer.words("bottom line"), "#bottom-line"), Text("."))))
        if told:
            blocks.append(Paragraph(told))
    if replica.mechanisms:
        ways = writer.words("What each mechanism leads to")
        blocks.append(Fold("mechanisms", ways, tuple(mechanisms(ctx, replica))))
    blocks.extend(posterior)
    survival = survival_figure(ctx, replica)
    if survival is not None:
        blocks.append(survival)
    if replica.rows:
        blocks.append(Paragraph(tally(ctx, replica)))
        blocks.extend(differences(ctx, replica))
        figure = dots_figure(ctx, replica)
        if figure is not None:
            blocks.append(Fold("replica-plot", writer.words("Distance from what was published"), (figure,)))
        blocks.append(Fold("replica-rows", writer.words("Every quantity"), (comparison_table(ctx, replica),)))
    notes = [replica_sentence(ctx, n, replica.command, "a remark of the replica") for n in replica.notes]
    if notes:
        blocks.append(Fold("replica-notes", writer.words("How it was fitted"), (Listing(tuple(notes)),)))
    return Section("replica", title, tuple(blocks))


def _second(ctx: Context) -> list[Block]:
    """The second trial of the drug, predicted from this one, where the library pairs them."""
    from equipoise.appraise.landscape import predicted
    from equipoise.appraise.landscape.second_trials import stored as stored_seconds

    found = stored_seconds()
    blocks: list[Block] = []
    pairs = predicted.of_trial(found, ctx.record.id)
    for pair in pairs:
        blocks.extend(predicted.pair(ctx.writer, found, pair))
    if not blocks:
        return []
    earlier = all(pair["earlier"] for pair in pairs)
    title = ctx.writer.words("An earlier trial, predicted backwards" if earlier else "A second trial, predicted")
    again = ctx.writer.say("To find it again: {c}.", c=ctx.writer.code(found["command"]))
    return [Fold("second-trial", title, (Paragraph(predicted.lead(ctx.writer, pairs)), *blocks, Paragraph(again)))]


def _without(ctx: Context) -> Inlines:
    if shipped_file(ctx.record.id, "scenario") is None:
        return ctx.writer.words(
            "This page was written without a replica: no scenario of this trial comes with the package, so that it has "
            "not been rebuilt."
        )
    return ctx.writer.say(
        "This page was written without the replica. The replica rebuilds the trial as a virtual one, runs analyses "
        "rebuilt from the published ones on many repeats of it and holds the results against what was published. To "
        "make it: {c}.",
        c=ctx.writer.code(f"equipoise replicate {ctx.record.id}"),
    )


def _what(ctx: Context, replica: Replica) -> Inlines:
    writer = ctx.writer
    words = mechanism_words(replica, replica.mechanism)
    on = "" if about_events(replica) else "on function "
    imputed = writer.say(" ({k} imputations where we impute)", k=writer.simulated(str(replica.imputations)))
    said = writer.say(
        "The replica is {t} rebuilt: virtual patients with the published baseline, a drug "
        f"that acts {on}by the mechanism {{m}}{{w}}, visits, losses and analyses as published, or assumed where "
        "nothing was, on each of {n} simulated trials{i}. It cannot show that the drug works; it shows "
        f"what such a trial would see if the drug works as fitted, and if it {nothing(replica)}.",
        t=ctx.trial,
        w=writer.say(" ({x})", x=words) if words else (),
        m=ctx.writer.em(replica.mechanism)
        if not any(c.isdigit() for c in replica.mechanism)
        else ctx.writer.code(replica.mechanism),
        n=ctx.writer.simulated(f"{replica.replicates:,}"),
        i=imputed if replica.imputations else (),
    )
    return paragraphs(said, as_fitted(ctx, replica))


def as_fitted(ctx: Context, replica: Replica, *, shortly: bool = False) -> Inlines:
    """How the drug acts as fitted, where it acts late: what is assumed, what fits best, and what the posterior has."""
    lag = replica.effect.get("lag")
    if lag is None or replica.effect.get("weight") != 1.0:
        return ()
    writer = ctx.writer
    how = "is assumed to follow" if "weight" in replica.assumed else "follows"
    out = writer.say(
        f"As fitted, all loss of function {how} the injury that the drug lessens, {{l}} weeks later: the lag that fits "
        "best.",
        l=writer.simulated(numbers.number(lag, 1)),
    )
    found = None if shortly else stored(ctx.record.id)
    own = next((p for m in found.mechanisms for p in m.effects if p.place == "effect.lag"), None) if found else None
    if found is None or own is None or own.fit is None or not math.isclose(own.fit, lag, rel_tol=1e-3):
        return out
    more = writer.say(
        "Over all lags, weighed by how well they fit, the median is {m} weeks ({s}).",
        m=parameter_told(ctx, found, numbers.number(own.median, 0)),
        s=parameter_told(ctx, found, numbers.span(own.low, own.high, 0)),
    )
    return paragraphs(out, more)
