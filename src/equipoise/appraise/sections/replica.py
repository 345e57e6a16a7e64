"""What the replica says: the rebuilt trial's answers, and how it compares with what was published."""

from __future__ import annotations

import math
from collections.abc import Callable

from equipoise.appraise import show
from equipoise.appraise.context import Context
from equipoise.appraise.document import (
    Block,
    Dot,
    DotPanel,
    Dots,
    Figure,
    Fold,
    Inlines,
    Listing,
    Paragraph,
    Row,
    Section,
    Table,
    Text,
)
from equipoise.appraise.pen import lower, short, upper
from equipoise.appraise.phrases import paragraphs, replica_sentence
from equipoise.appraise.replica import Answer, MechanismRow, Replica, ReplicaRow
from equipoise.appraise.tables import result_label
from equipoise.records.schema import Sourced

_LOG = {"ratio", "hazard_ratio", "gmr"}


def build(ctx: Context) -> Section:
    """The answers in words, the comparison as a plot and as a table; without a replica, how to get one."""
    pen = ctx.pen
    title = pen.words("What the replica says")
    replica = ctx.replica
    if replica is None:
        return Section("replica", title, (Paragraph(_without(ctx)),))
    blocks: list[Block] = [Paragraph(_what(ctx, replica))]
    if replica.answers:
        blocks.append(_answers(ctx, replica))
    if replica.mechanisms:
        blocks.extend(_mechanisms(ctx, replica))
    if replica.rows:
        blocks.append(Paragraph(_tally(ctx, replica)))
        figure = dots_figure(ctx, replica)
        if figure is not None:
            blocks.append(figure)
        blocks.append(
            Fold("replica-rows", pen.words("Published and simulated, every quantity"), (_table(ctx, replica),))
        )
    notes = [replica_sentence(ctx, n, replica.command, "a remark of the replica") for n in replica.notes]
    if notes:
        blocks.append(Paragraph(pen.words("Remarks on the replica:")))
        blocks.append(Listing(tuple(notes)))
    return Section("replica", title, tuple(blocks))


def _without(ctx: Context) -> Inlines:
    return ctx.pen.say(
        "This page was written without the replica. The replica rebuilds the trial as a virtual one, runs the trial's "
        "own analyses on many repeats of it and holds the results against what was published. To make it: {c}.",
        c=ctx.pen.code(f"equipoise replicate {ctx.record.id}"),
    )


def _what(ctx: Context, replica: Replica) -> Inlines:
    return ctx.pen.say(
        "The replica is {t} rebuilt as a virtual trial: patients drawn from the published baseline, the drug acting by "
        "the mechanism {m}, the protocol's visits and losses, and the trial's own analyses on each of {n} simulated "
        "trials ({i} imputations each). It cannot show that the drug works; it shows what a trial of this shape would "
        "have seen if it did, and if it did not.",
        t=ctx.trial,
        m=ctx.pen.em(replica.mechanism)
        if not any(c.isdigit() for c in replica.mechanism)
        else ctx.pen.code(replica.mechanism),
        n=ctx.pen.simulated(f"{replica.replicates:,}"),
        i=ctx.pen.simulated(str(replica.imputations)),
    )


def main_answers(replica: Replica) -> tuple[Answer, ...]:
    """The answers that matter most: met if the drug works, if it does nothing, and had the trial run longer."""
    wanted = ("primary_if_it_works", "primary_if_nothing", "primary_52_weeks")
    found = tuple(a for id in wanted for a in replica.answers if a.id == id)
    return found or replica.answers[:3]


def _answers(ctx: Context, replica: Replica) -> Table:
    pen = ctx.pen
    rows = tuple(
        Row(
            (
                upper(replica_sentence(ctx, a.question, a.command, a.question)),
                (pen.by_command(show.percent(a.probability), a.command, a.question),),
                (pen.by_command(show.number(100 * a.mc_error, 1), a.command, a.question),),
            )
        )
        for a in replica.answers
    )
    columns = (pen.words("Question"), pen.words("Share of trials"), pen.words("Monte Carlo error, points"))
    caption = pen.words("What the rebuilt trial answers. Each share is over simulated trials.")
    return Table("t-answers", caption, columns, rows, (False, True, True))


_MECHANISMS = {
    "none": "no effect on function",
    "symptomatic": "a lift that leaves the rate of loss as it was",
    "slowing": "slower loss from the first dose on",
    "lagged": "slower loss, after a delay",
}


def _mechanisms(ctx: Context, replica: Replica) -> list[Block]:
    """What each mechanism, fitted to the randomised period alone, foretells for results held back."""
    pen = ctx.pen
    groups: dict[str, list[MechanismRow]] = {}
    for m in replica.mechanisms:
        groups.setdefault(m.id, []).append(m)
    rows: list[Row] = []
    for group in groups.values():
        first = group[0]
        known = next((r for r in ctx.record.results if r.id == first.result), None)
        head: Inlines = pen.label(first.quantity)
        if known is not None:
            head = (
                *pen.label(short(ctx.record.outcome(known.outcome).label)),
                Text(": "),
                *result_label(ctx, known, outcome=False),
            )
            if known.contrast is not None and known.contrast.usable:
                head = (*head, *pen.say("; published {d}", d=ctx.contrast(known.contrast)))
        rows.append(Row((head,), heading=True))
        for m in group:
            misfit: Inlines = (Text("–"),)
            if m.misfit is not None:
                over = f" over {m.n_targets}" if m.n_targets is not None else ""
                misfit = (pen.simulated(f"{show.number(m.misfit, 0)}{over}"),)
            name = pen.say("{m}: {w}", m=m.mechanism, w=pen.words(_MECHANISMS.get(m.mechanism, "as named")))
            rows.append(
                Row(
                    (
                        upper(name),
                        misfit,
                        (pen.simulated(show.number(m.mean, 1)),),
                        (pen.simulated(show.span(m.low, m.high, 1)),),
                        (pen.simulated(show.percent(m.at_least)),),
                    )
                )
            )
    columns = (
        pen.words("Mechanism"),
        pen.words("Misfit, randomised period"),
        pen.words("Difference foretold"),
        pen.words("95 % range of one trial"),
        pen.words("Trials at least as good as published"),
    )
    caption = pen.words(
        "Mechanisms of action, each fitted to the randomised period alone, and what they foretell. Misfit is the sum "
        "of squared distances from the published values in standard errors, and over how many of them."
    )
    lead = pen.words(
        "The randomised period cannot by itself tell how a drug acts on function. So each mechanism was fitted to "
        "it, and then asked for results that were kept out of the fit:"
    )
    table = Table("t-mechanisms", caption, columns, tuple(rows), (False, True, True, True, True))
    return [Paragraph(lead), table]


def _tally(ctx: Context, replica: Replica) -> Inlines:
    pen = ctx.pen
    fitted = [r for r in replica.rows if r.used_in_fit and r.z is not None]
    held = [r for r in replica.rows if not r.used_in_fit and r.z is not None]
    out: Inlines = ()
    if fitted:
        within = sum(bool(r.within_one_se) for r in fitted)
        out = pen.say(
            "Of the quantities that the replica was fitted to, {k} of {n} lie within one published standard error of "
            "their published value.",
            k=pen.simulated(str(within)),
            n=pen.simulated(str(len(fitted))),
        )
    if held:
        within = sum(bool(r.within_one_se) for r in held)
        inside = sum(0.025 <= r.position <= 0.975 for r in held)
        out = paragraphs(
            out,
            pen.say(
                "Of those held back as checks, {k} of {n} do, and {i} of {n2} lie inside the 95 % range of single "
                "simulated trials.",
                k=pen.simulated(str(within)),
                n=pen.simulated(str(len(held))),
                i=pen.simulated(str(inside)),
                n2=pen.simulated(str(len(held))),
            ),
        )
    return out or pen.words("None of the quantities was published with a standard error to compare on.")


def dots_figure(ctx: Context, replica: Replica) -> Figure | None:
    """Simulated against published, in published standard errors; contrasts and arm values that have one."""
    pen = ctx.pen
    scored = [r for r in replica.rows if r.z is not None and r.published_se and _finite(r)]
    chosen = [r for r in scored if r.arm is None and r.scale in ("difference", "ratio", "hazard_ratio")] or scored[:40]
    if not chosen:
        return None
    groups: dict[str, list[ReplicaRow]] = {}
    for r in chosen:
        groups.setdefault(r.outcome, []).append(r)
    labels = {o.id: short(o.label) for o in ctx.record.outcomes}
    panels, rows = [], []
    for outcome, group in groups.items():
        title = labels.get(outcome, outcome)
        panels.append(DotPanel(title, tuple(_dot(ctx, r) for r in group)))
        rows.append(Row((pen.label(title),), heading=True))
        for r in group:
            assert r.z is not None
            rows.append(
                Row(
                    (
                        pen.label(_row_label(ctx, r)),
                        (pen.simulated(show.number(r.z, 2, plus=True)),),
                        pen.words("fit" if r.used_in_fit else "check"),
                    )
                )
            )
    table = Table(
        "t-dots",
        pen.words("Simulated mean minus published value, in published standard errors (ratios on the log scale)."),
        (pen.words("Quantity"), pen.words("Distance"), pen.words("Used as")),
        tuple(rows),
        (False, True, False),
    )
    return Figure(
        "fig-dots",
        pen.words("How far the replica lies from what was published"),
        pen.words(
            "Dot plot by outcome: where the simulated mean lies, in published standard errors from the published "
            "value, with the range of single simulated trials. The table below holds the same distances."
        ),
        Dots(tuple(panels)),
        pen.words(
            "Zero is the published value. The mark is the mean of the simulated trials, the line the 95 % range of a "
            "single one."
        ),
        table,
    )


def _finite(r: ReplicaRow) -> bool:
    bounds = (r.published, r.simulated, r.simulated_low, r.simulated_high)
    return all(math.isfinite(x) and (r.scale not in _LOG or x > 0) for x in bounds)


def _dot(ctx: Context, r: ReplicaRow) -> Dot:
    """A row in published standard errors; those of ratios are on the log scale."""
    assert r.z is not None
    assert r.published_se
    to: Callable[[float], float] = math.log if r.scale in _LOG else float
    low, high = ((to(x) - to(r.published)) / r.published_se for x in (r.simulated_low, r.simulated_high))
    return Dot(_row_label(ctx, r), r.z, low, high, r.used_in_fit)


def _row_label(ctx: Context, r: ReplicaRow) -> str:
    arm = next((lower(a.label) for a in ctx.record.arms if a.id == r.arm), r.arm)
    parts = [ctx.set_name(r.analysis_set)]
    if arm:
        parts.append(arm)
    elif r.scale in ("difference", "ratio", "hazard_ratio"):
        parts.append(r.scale.replace("_", " "))
    if r.week is not None:
        parts.append(f"week {r.week:g}")
    method = ctx.findings.method(r.method)
    if method is not None and method.adjusts_nfl:
        parts.append("NfL-adjusted")
    text = ", ".join(parts)
    return text[:1].upper() + text[1:]


def _table(ctx: Context, replica: Replica) -> Table:
    pen = ctx.pen
    labels = {o.id: short(o.label) for o in ctx.record.outcomes}
    rows = []
    group = None
    for r in sorted(
        replica.rows, key=lambda r: (not r.used_in_fit, list(labels).index(r.outcome) if r.outcome in labels else 99)
    ):
        key = (r.used_in_fit, r.outcome)
        if key != group:
            group = key
            use = "used in the fit" if r.used_in_fit else "held back as a check"
            rows.append(Row((pen.say("{o}, " + use, o=labels.get(r.outcome, r.outcome)),), heading=True))
        rows.append(
            Row(
                (
                    (*upper(pen.label(r.quantity)), *pen.label(f", {lower(_row_label(ctx, r))}")),
                    _published(ctx, r),
                    _simulated(ctx, r, r.simulated),
                    _simulated(ctx, r, r.simulated_low, r.simulated_high),
                    _simulated(ctx, r, r.mc_error, more=1),
                    (pen.simulated(show.percent(r.position, 0)),) if math.isfinite(r.position) else (Text("–"),),
                )
            )
        )
    columns = (
        pen.words("Quantity"),
        pen.words("Published"),
        pen.words("Simulated mean"),
        pen.words("95 % range of one trial"),
        pen.words("Monte Carlo error"),
        pen.words("Simulated trials below the published value"),
    )
    caption = pen.words("What was published beside what the rebuilt trial gives.")
    return Table("t-replica", caption, columns, tuple(rows), (False, True, True, True, True, True))


def _form(r: ReplicaRow, x: float, more: int = 0) -> str:
    """A number of a row on its own scale: shares as percentages, small numbers with more decimals."""
    if r.scale == "percent":
        return show.percent(x, 1)
    size = abs(r.published)
    digits = 3 if r.scale == "p" else 2 if r.scale in ("gmr", "hazard_ratio", "correlation") or size < 2 else 1
    return show.number(x, digits + more)


def _simulated(ctx: Context, r: ReplicaRow, *values: float, more: int = 0) -> Inlines:
    if not all(math.isfinite(v) for v in values):
        return (Text("–"),)
    return (ctx.pen.simulated(" to ".join(_form(r, v, more) for v in values)),)


def _published(ctx: Context, r: ReplicaRow) -> Inlines:
    if r.confidence == "recall" or r.source not in ctx.record.sources:
        return (Text("–"),)
    text = _form(r, r.published)
    if r.published_low is not None and r.published_high is not None:
        text += f" ({_form(r, r.published_low)} to {_form(r, r.published_high)})"
    confidence = r.confidence
    known = next((x for x in ctx.record.results if x.id == r.result), None)
    if r.scale == "se" and known is not None and known.contrast is not None and known.contrast.se is None:
        confidence = "derived"  # from the interval
    leaf = Sourced(source=r.source, place=r.place or None, confidence=confidence)  # type: ignore[arg-type]
    return (ctx.pen.cite(text, leaf),)
