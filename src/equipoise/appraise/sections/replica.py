"""What the replica says: the rebuilt trial's answers, and how it compares with what was published."""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib.resources import files

from equipoise.appraise import risk, show
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
from equipoise.appraise.pen import joined, lower, short, upper
from equipoise.appraise.phrases import paragraphs, replica_sentence
from equipoise.appraise.replica import Answer, MechanismRow, Replica, ReplicaRow
from equipoise.appraise.tables import result_label
from equipoise.records.schema import Result, Sourced

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
        blocks.extend(Paragraph(p) for p in (reading(ctx), _chance(ctx, replica)) if p)
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
    notes = [
        replica_sentence(ctx, n, replica.command, "a remark of the replica")
        for n in replica.notes
        if "rows used in the fit" not in n  # the tally says that, and more exactly
    ]
    if notes:
        blocks.append(Paragraph(pen.words("How it was fitted:")))
        blocks.append(Listing(tuple(notes)))
    return Section("replica", title, tuple(blocks))


def _without(ctx: Context) -> Inlines:
    scenario = files("equipoise") / "simulate" / "scenarios" / f"{ctx.record.id}.yaml"
    if not scenario.is_file():
        return ctx.pen.words(
            "This page was written without a replica: no scenario of this trial comes with the package, so that it has "
            "not been rebuilt."
        )
    return ctx.pen.say(
        "This page was written without the replica. The replica rebuilds the trial as a virtual one, runs the trial's "
        "own analyses on many repeats of it and holds the results against what was published. To make it: {c}.",
        c=ctx.pen.code(f"equipoise replicate {ctx.record.id}"),
    )


def _what(ctx: Context, replica: Replica) -> Inlines:
    pen = ctx.pen
    return pen.say(
        "The replica is {t} rebuilt on the computer: virtual patients made to match the published baseline, a drug "
        "that "
        "acts on function by the mechanism {m}{w}, the protocol's visits and losses, and the trial's own analyses on "
        "each of {n} simulated trials ({i} imputations each). It cannot show that the drug works; it shows what a "
        "trial "
        "of this shape would see if the drug works as fitted, and what it would see if the drug does nothing for "
        "function.",
        t=ctx.trial,
        w=pen.say(" ({x})", x=_MECHANISMS[replica.mechanism]) if replica.mechanism in _MECHANISMS else (),
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


_ORDER = (
    "primary_if_it_works", "primary_if_nothing", "primary_52_weeks", "primary_52_weeks_if_nothing",
    "primary_as_it_happened",
)  # fmt: skip
"""The questions on the primary endpoint in the order in which one leads to the next."""


def _answers(ctx: Context, replica: Replica) -> Table:
    pen = ctx.pen
    first = [a for id in _ORDER for a in replica.answers if a.id == id]
    null = [a for a in replica.answers if a.id.startswith("null:")]
    rest = [a for a in replica.answers if a not in first and a not in null]
    rows: list[Row] = []
    for heading, group in (
        ("Meeting the primary endpoint", first),
        ("How often a drug that does nothing for function would show it by chance", null),
        ("Further questions", rest),
    ):
        if group and len(group) < len(replica.answers):
            rows.append(Row((pen.words(heading),), heading=True))
        rows.extend(
            Row(
                (
                    upper(replica_sentence(ctx, _shortened(a), a.command, a.question)),
                    (pen.by_command(show.percent(a.probability), a.command, a.question),),
                    (pen.by_command(show.number(100 * a.mc_error, 1), a.command, a.question),),
                )
            )
            for a in group
        )
    columns = (pen.words("Question"), pen.words("Share of trials"), pen.words("Monte Carlo error, percentage points"))
    caption = pen.words("What the rebuilt trial answers, as shares of simulated trials.")
    return Table("t-answers", caption, columns, tuple(rows), (False, True, True))


def _shortened(a: Answer) -> str:
    """A question without what the heading above it has said already."""
    before = "How often would a drug that does nothing for function show "
    if a.id.startswith("null:") and a.question.startswith(before):
        return a.question.removeprefix(before).removesuffix("?")
    return a.question


def _pair(replica: Replica) -> tuple[Answer, Answer] | None:
    """The answers on the primary endpoint if the drug works as fitted and if it does nothing."""
    by_id = {a.id: a for a in replica.answers}
    works, nothing = by_id.get("primary_if_it_works"), by_id.get("primary_if_nothing")
    return None if works is None or nothing is None else (works, nothing)


def _of_hundred(ctx: Context, share: float, a: Answer) -> Inlines:
    """``22 of 100``, as simulated."""
    text = f"{show.number(100 * share, 1 if share < 0.095 or share > 0.905 else 0)} of {100}"
    return (ctx.pen.by_command(text, a.command, a.question),)


def reading(ctx: Context) -> Inlines:
    """What the two chances of success say together about a trial that missed or met its endpoint."""
    pair = None if ctx.replica is None else _pair(ctx.replica)
    if pair is None or ctx.findings.met is None:
        return ()
    pen, (works, nothing) = ctx.pen, pair
    parts = {
        "w": _of_hundred(ctx, works.probability, works),
        "n": _of_hundred(ctx, nothing.probability, nothing),
        "mw": _of_hundred(ctx, 1 - works.probability, works),
        "mn": _of_hundred(ctx, 1 - nothing.probability, nothing),
    }
    if ctx.findings.met:
        return pen.say(
            "Such a trial meets its endpoint in {w} trials if the drug works as fitted and in {n} if it does "
            "nothing, so "
            "that success speaks for the drug as far as the two are apart.",
            **parts,
        )
    if 1 - works.probability >= 0.5 * (1 - nothing.probability):
        return pen.say(
            "In plain words: a trial of this size and length would miss its endpoint in {mw} trials even if the drug "
            "works as fitted, and in {mn} if it does nothing. To miss was the likely end either way, so that the "
            "miss by "
            "itself hardly tells a drug that works from one that does not.",
            **parts,
        )
    return pen.say(
        "In plain words: a trial of this size and length would miss its endpoint in {mw} trials if the drug works as "
        "fitted, and in {mn} if it does nothing. The miss therefore speaks against an effect of the fitted size.",
        **parts,
    )


def _chance(ctx: Context, replica: Replica) -> Inlines:
    """What chance alone gives, and why the chance of success is not a power known beforehand."""
    pair = _pair(replica)
    if pair is None:
        return ()
    pen, (works, nothing) = ctx.pen, pair
    expected = risk.false_alarms_in_favour(_ALPHA)
    level, favour = (
        pen.compute(f, _ALPHA, show=s, what=w, method="half of the two-sided level falls on each side")
        for f, s, w in (
            (risk.false_alarms, lambda x: show.percent(x, 0), "the conventional two-sided level"),
            (risk.false_alarms_in_favour, lambda x: show.percent(x, 1), "false alarms in the drug's favour"),
        )
    )
    apart = nothing.probability - expected
    found = (
        "the share found here is {n}, as it should be" if abs(apart) <= 3 * nothing.mc_error
        else "the share found here, {n}, is lower: as rebuilt, the test errs on the cautious side" if apart < 0
        else "the share found here, {n}, is higher: as rebuilt, the test is too easily passed"
    )  # fmt: skip
    out = pen.say(
        "A two-sided test at the {l} level gives about {f} of trials in favour of a drug that does nothing, by chance "
        "alone; "
        + found
        + ". The fitted effect was estimated from this same trial and is uncertain, so {w} is not the "
        "chance of success against a benefit known beforehand.",
        l=level,
        f=favour,
        n=(pen.by_command(show.percent(nothing.probability), nothing.command, nothing.question),),
        w=(pen.by_command(show.percent(works.probability), works.command, works.question),),
    )
    here = next((a for a in replica.answers if a.id == "primary_as_it_happened"), None)
    if here is None or works.probability - here.probability <= 3 * (works.mc_error + here.mc_error):
        return out
    return paragraphs(
        out,
        pen.say(
            "With the arms as unlike at the start as they happened to be, the chance falls to {h}: the primary "
            "test did not allow for that difference.",
            h=(pen.by_command(show.percent(here.probability), here.command, here.question),),
        ),
    )


_ALPHA = 0.05


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
    for group in sorted(groups.values(), key=lambda g: not _held(ctx, g[0].result)):
        first = group[0]
        known = _known(ctx, first.result)
        head: Inlines = pen.label(first.quantity)
        if known is not None:
            head = (
                *pen.label(short(ctx.record.outcome(known.outcome).label)),
                Text(": "),
                *result_label(ctx, known, outcome=False),
            )
            if known.contrast is not None and known.contrast.usable:
                head = (*head, *pen.say("; published {d}", d=ctx.contrast(known.contrast)))
        held = _held(ctx, first.result)
        head = (*head, *pen.words(" – kept out of the fit: a check" if held else " – follows from the fit: no check"))
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
        pen.words("Difference simulated"),
        pen.words("95 % range of one trial"),
        pen.words("Trials with at least the published difference"),
    )
    caption = pen.words(
        "Mechanisms of action, each fitted to the randomised period alone, and what they lead to. Misfit: the sum of "
        "squared distances from the published values, in standard errors, and over how many values. The values hang "
        "together from week to week, so that misfits describe and do not test."
    )
    lead = pen.words(
        "The randomised period alone cannot settle how a drug acts on function. So each mechanism was fitted to that "
        "period, and then asked what comes later. Only results after the switch, which no fit has seen, are a check. "
        "Results of the randomised period itself were partly fitted, or follow from sets and weeks that were: that a "
        "mechanism comes near them proves nothing more."
    )
    table = Table("t-mechanisms", caption, columns, tuple(rows), (False, True, True, True, True))
    return [Paragraph(lead), table, *(Paragraph(p) for p in _verdict(ctx, replica) if p)]


def _known(ctx: Context, id: str | None) -> Result | None:
    return next((r for r in ctx.record.results if r.id == id), None)


def _held(ctx: Context, result: str | None, week: float | None = None) -> bool:
    """Whether a result comes after the period that was fitted."""
    known = _known(ctx, result)
    if known is not None and known.week is not None:
        week = float(known.week)
    end = ctx.findings.week
    return week is not None and end is not None and week > float(end)


def use_of(ctx: Context, r: ReplicaRow) -> str:
    """``fit``, ``check`` (after the fitted period), ``same period`` (not fitted, yet no independent check), or ``set``
    (put in as published)."""
    if r.used_in_fit:
        return "fit"
    stated = str(getattr(r, "use", "check"))
    if stated in ("set", "same period"):
        return stated
    return "check" if _held(ctx, r.result, r.week) or ctx.findings.week is None else "same period"


def _verdict(ctx: Context, replica: Replica) -> list[Inlines]:
    """What the results kept out of the fit say of the mechanisms, and what they cannot say."""
    pen = ctx.pen
    held = [m for m in replica.mechanisms if _held(ctx, m.result)]
    names = list(dict.fromkeys(m.mechanism for m in held))
    if len(names) < 2:
        return []

    def shares(mechanism: str) -> list[float]:
        return [m.at_least for m in held if m.mechanism == mechanism]

    def within(mechanism: str) -> bool:
        return all(m.low <= m.published <= m.high for m in held if m.mechanism == mechanism)

    def span_of(chosen: list[str]) -> Inlines:
        each = [s for name in chosen for s in shares(name)]
        low, high = show.percent(min(each)), show.percent(max(each))
        return (pen.simulated(low if low == high else f"{low} to {high}"),)

    near = [n for n in names if min(shares(n)) >= 0.1]
    far = [n for n in names if n not in near]

    def listed(chosen: list[str]) -> Inlines:
        return joined([(pen.em(pen.label(n)),) for n in chosen])

    out: Inlines = ()
    if near:
        out = pen.say(
            "What it shows: the results kept out of the fit are in keeping with {m}; {s} of such trials give at "
            "least the "
            "published difference.",
            m=listed(near),
            s=span_of(near),
        )
    if far:
        out = paragraphs(out, pen.say("With {m} it is {s}.", m=listed(far), s=span_of(far)))
        outside = [n for n in far if not within(n)]
        inside = [n for n in far if within(n)]
        if inside:
            out = paragraphs(
                out,
                pen.say(
                    "Less to be expected, then, but not ruled out: with {m} the published values still lie inside the "
                    "range of single trials.",
                    m=listed(inside),
                ),
            )
        if outside:
            out = paragraphs(
                out, pen.say("With {m} a published value lies outside that range.", m=listed(outside))
            )  # fmt: skip
    limits = pen.words(
        "What it does not show: that the drug slows the disease. This is one trial, its later results hang together, "
        "and "
        "two mechanisms that foretell nearly the same cannot be told apart by them."
    )
    if ctx.item("nfl_imbalance") is not None:
        limits = paragraphs(
            limits,
            pen.words(
                "Nor is it free of the imbalance: the arms began with unequal neurofilament, the replica carries that "
                "into every figure of this table, and how much decline it ties to neurofilament is itself estimated."
            ),
        )
    return [out, limits]


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
    same = [r for r in held if use_of(ctx, r) == "same period"]
    later = [r for r in held if use_of(ctx, r) == "check"]
    if same:
        out = paragraphs(
            out,
            pen.say(
                "Of others from the same period, {k} of {n} do; they belong to the same people and weeks, and so are "
                "no "
                "independent check.",
                k=pen.simulated(str(sum(bool(r.within_one_se) for r in same))),
                n=pen.simulated(str(len(same))),
            ),
        )
    if later:
        placed = [
            r
            for r in replica.rows
            if use_of(ctx, r) == "check" and r.scale not in ("p", "se") and math.isfinite(r.position)
        ]
        expected = pen.compute(
            risk.within_errors,
            1,
            show=lambda x: show.percent(x, 0),
            what="how often an estimate lies within one standard error of the truth",
            method="normal theory",
        )
        out = paragraphs(
            out,
            pen.say(
                "Of those after the fitted period, the real checks, {k} of {n} do; of a replica that was exactly "
                "right, "
                "about {e} would.",
                k=pen.simulated(str(sum(bool(r.within_one_se) for r in later))),
                n=pen.simulated(str(len(later))),
                e=expected,
            ),
            pen.say(
                "Of all values published for that time, with or without a standard error, {i} of {n} lie inside the "
                "95 % "
                "range of single simulated trials.",
                i=pen.simulated(str(sum(0.025 <= r.position <= 0.975 for r in placed))),
                n=pen.simulated(str(len(placed))),
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
                        pen.words(use_of(ctx, r)),
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
            "single one. Of the values that were not used in the fit only those after the randomised period are an "
            "independent check; the table tells them apart."
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
    uses = {"check": "after the fitted period: a check", "same period": "same period, not fitted", "fit": "fitted"}
    rows = []
    group = None
    inputs = [r for r in replica.rows if r.outcome == "AE" or use_of(ctx, r) == "set"]
    for r in sorted(
        (r for r in replica.rows if r not in inputs),
        key=lambda r: (
            list(uses).index(use_of(ctx, r)),
            list(labels).index(r.outcome) if r.outcome in labels else len(labels),
        ),
    ):
        title = labels.get(r.outcome, "The people, and how they went on")
        key = (use_of(ctx, r), title)
        if key != group:
            group = key
            rows.append(Row((pen.say("{o} – {u}", o=title, u=pen.words(uses[key[0]])),), heading=True))
        rows.append(
            Row(
                (
                    _quantity(ctx, r, title),
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
    caption = pen.words(
        "What was published beside what the rebuilt trial gives; first what is a check, last what was fitted."
    )
    if inputs:
        caption = (
            *caption,
            *pen.words(" Rates of adverse events and other counts put in as published are left out here."),
        )
    return Table("t-replica", caption, columns, tuple(rows), (False, True, True, True, True, True))


def _quantity(ctx: Context, r: ReplicaRow, title: str) -> Inlines:
    """What a row holds, without what its heading has said already."""
    quantity = r.quantity
    if quantity.startswith(title):
        quantity = quantity[len(title) :].lstrip(" ,:") or "share"
    where = _row_label(ctx, r).split(", ")
    where = [w for w in where if w.lower() not in ("difference", "ratio", "hazard ratio")]
    if r.scale == "p":
        known = _known(ctx, r.result)
        if r.week is None and known is not None and known.week is not None:
            where.append(f"week {known.week:g}")
        where.append(ctx.test_name(r.method))
    return upper((*ctx.pen.label(quantity), *ctx.pen.label(", " + lower(", ".join(where)))))


def _form(r: ReplicaRow, x: float, more: int = 0) -> str:
    """A number of a row on its own scale: shares as percentages, small numbers with more decimals."""
    if r.scale == "percent":
        return show.percent(x, 1)
    size = abs(r.published)
    if r.scale == "p" and not more and x < 0.001:
        return "< 0.001"
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
