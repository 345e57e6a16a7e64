"""The answers of the replica: its questions as a table, and what the chances of success say in words."""

from __future__ import annotations

import re

from equipoise.appraise import absolute_risk, numbers
from equipoise.appraise.context import Context
from equipoise.appraise.phrases import paragraphs, replica_sentence
from equipoise.appraise.sections.replica.words import nothing
from equipoise.document.document import Block, Fold, Inlines, Row, Table
from equipoise.document.text import upper
from equipoise.records.values import ALPHA
from equipoise.replica.replica import FINE, Answer, AnswerKind, Replica, share_places

_ORDER: tuple[AnswerKind, ...] = ("works", "nothing", "longer works", "longer nothing", "as it happened")
"""The questions on the primary endpoint in the order in which one leads to the next."""


def _of(replica: Replica, *kinds: AnswerKind) -> tuple[Answer, ...]:
    """The answers of these kinds, in the order of the kinds."""
    return tuple(a for kind in kinds for a in replica.answers if a.kind == kind)


def main_answers(replica: Replica) -> tuple[Answer, ...]:
    """The answers that matter most: met if the drug works, if it does nothing, and had the trial run longer."""
    return _of(replica, *_ORDER[:3]) or replica.answers[:3]


def answers_tables(ctx: Context, replica: Replica) -> list[Block]:
    """Every question with the share of simulated trials that answers it: the primary endpoint first, folded the rest.

    Where no question is about the primary endpoint, nothing is folded.
    """
    writer = ctx.writer
    first, null, elsewhere = _of(replica, *_ORDER), _of(replica, "null"), _of(replica, "external")
    tests = tuple(a for a in replica.answers if a.kind in ("test", "tests differ"))
    rest = _of(replica, "formal")
    groups: list[tuple[Row, ...]] = []
    for heading, group in (
        ("How often such a trial would meet its primary endpoint", first),
        (f"How often a drug that {nothing(replica)} would show it by chance", null),
        ("How often each test would be significant in the drug's favour, if the drug works as fitted", tests),
        ("Another trial of the drug, predicted", elsewhere),
        (
            "How often each test would be formally significant, in favour of the drug or against it, after every test "
            "before it in the plan",
            rest,
        ),
    ):
        if not group:
            continue
        alone = group is not first and len(group) == len(replica.answers)
        head = () if alone else (Row((writer.words(heading),), heading=True),)
        rows = (
            Row(
                (
                    upper(replica_sentence(ctx, _named(ctx, a.short or a.question), a.command, a.question)),
                    (writer.by_command(share_told(a), a.command, a.question),),
                    (writer.by_command(numbers.number(100 * a.mc_error, 1), a.command, a.question),),
                )
            )
            for a in group
        )
        groups.append((*head, *rows))
    columns = writer.heads("Question", "Share of trials", "Monte Carlo error, percentage points")
    caption = writer.words("What the rebuilt trial answers, as shares of simulated trials.")
    apart = 1 if first else len(groups)
    shown, rest_of = (tuple(row for g in part for row in g) for part in (groups[:apart], groups[apart:]))
    blocks: list[Block] = [Table("t-answers", caption, columns, shown, (False, True, True))]
    if rest_of:
        more = Table("t-answers-more", writer.words("The other questions."), columns, rest_of, (False, True, True))
        title = "By chance, test by test, and in other trials: the other questions"
        blocks.append(Fold("answers-more", writer.words(title), (more,)))
    return blocks


def _named(ctx: Context, text: str) -> str:
    """A question with the names of outcomes and sets in place of the ids by which a scenario knows them."""
    for outcome in ctx.record.outcomes:
        text = re.sub(rf"\b{re.escape(outcome.id)}(?= in )", ctx.outcome(outcome.id), text)
    for each in ctx.record.sets:
        text = re.sub(rf"\b(?:the )?set {re.escape(each.id)}\b", ctx.set_phrase(each.id), text)
    return text


def _pair(replica: Replica) -> tuple[Answer, Answer] | None:
    """The answers on the primary endpoint if the drug works as fitted and if it does nothing."""
    works, nothing = _of(replica, "works"), _of(replica, "nothing")
    return (works[0], nothing[0]) if works and nothing else None


def share_told(a: Answer) -> str:
    """``6 %``: an answer with as many decimals as its Monte Carlo error allows, but never nought or all by rounding."""
    coarse = a.mc_error > FINE and 0.005 <= a.probability <= 0.995
    return numbers.percent(a.probability, 0 if coarse else None)


def _of_hundred(ctx: Context, share: float, a: Answer) -> Inlines:
    """``22 of 100``, as simulated."""
    text = f"{numbers.number(100 * share, share_places(share, a.mc_error))} of {100}"
    if text == "0 of 100" and share > 0:
        text = "fewer than 1 of 100"
    elif text == "100 of 100" and share < 1:
        text = "more than 99 of 100"
    return (ctx.writer.by_command(text, a.command, a.question),)


def reading(ctx: Context) -> Inlines:
    """What the two chances of success say together about a trial that missed or met its endpoint."""
    pair = None if ctx.replica is None else _pair(ctx.replica)
    if pair is None or ctx.replica is None or (ctx.findings.met is None and not ctx.findings.disputed):
        return ()
    writer, (works, nothing) = ctx.writer, pair
    parts = {
        "w": _of_hundred(ctx, works.probability, works),
        "n": _of_hundred(ctx, nothing.probability, nothing),
        "mw": _of_hundred(ctx, 1 - works.probability, works),
        "mn": _of_hundred(ctx, 1 - nothing.probability, nothing),
    }
    if ctx.findings.disputed:
        return writer.say(
            "A trial of this size and length would be called significant, by the test rebuilt as the primary one, in "
            "{w} repeats if the drug works as fitted and in {n} if it does nothing; whether this one was depends on "
            "the test, as the sources tell it.",
            **parts,
        )
    if ctx.findings.met:
        return writer.say(
            "Such a trial meets its endpoint in {w} repeats if the drug works as fitted and in {n} if it does "
            "nothing; the further apart the two are, the more a success tells.",
            **parts,
        )
    if 1 - works.probability >= 0.5 * (1 - nothing.probability):
        return writer.say(
            "In plain words: a trial of this size and length would miss its endpoint in {mw} repeats even if the drug "
            "works as fitted, and in {mn} if it does nothing. Either way a miss was the likely result, so "
            "the miss by itself says little about whether the drug works.",
            **parts,
        )
    return writer.say(
        "In plain words: a trial of this size and length would miss its endpoint in {mw} repeats if the drug works as "
        "fitted, and in {mn} if it does nothing. The miss therefore speaks against an effect of the fitted size.",
        **parts,
    )


def chance_by_weeks(ctx: Context) -> Inlines:
    """``In the rebuilt trial … 19 % at week 28, 33 % had it run longer``; empty without these answers."""
    replica = ctx.replica
    works = () if replica is None else _of(replica, "works", "longer works")
    if replica is None or len(works) < 2:
        return ()
    short, longer = ((ctx.writer.by_command(share_told(a), a.command, a.question),) for a in works[:2])
    return ctx.writer.say(
        "In the rebuilt trial, with the drug working as fitted, the chance of meeting the endpoint is {s} as the trial "
        "was and {l} with a randomised period of a year.",
        s=short,
        l=longer,
    )


def chance(ctx: Context, replica: Replica) -> Inlines:
    """What chance alone gives, and why the chance of success is not a power known beforehand."""
    pair = _pair(replica)
    if pair is None:
        return ()
    writer, (works, nothing) = ctx.writer, pair
    expected = absolute_risk.false_alarms_in_favour(ALPHA)
    level, favour = (
        writer.compute(f, ALPHA, show=s, what=w, method="half of the two-sided level falls on each side")
        for f, s, w in (
            (absolute_risk.false_alarms, lambda x: numbers.percent(x, 0), "the conventional two-sided level"),
            (
                absolute_risk.false_alarms_in_favour,
                lambda x: numbers.percent(x, 1),
                "false alarms in the drug's favour",
            ),
        )
    )
    apart = nothing.probability - expected
    found = (
        "the share found here is {n}, as it should be"
        if abs(apart) <= 3 * nothing.mc_error
        else "the share found here, {n}, is lower: as rebuilt, the test errs on the cautious side"
        if apart < 0
        else "the share found here, {n}, is higher: as rebuilt, the test is too easily passed"
    )
    out = writer.say(
        "A two-sided test at the {l} level gives about {f} of trials in favour of a drug that does nothing, by chance "
        "alone; "
        + found
        + ". The fitted effect was estimated from this same trial and is uncertain, so {w} is not the "
        "chance of success against a benefit known beforehand.",
        l=level,
        f=favour,
        n=(writer.by_command(share_told(nothing), nothing.command, nothing.question),),
        w=(writer.by_command(share_told(works), works.command, works.question),),
    )
    here = next(iter(_of(replica, "as it happened")), None)
    if here is None or works.probability - here.probability <= 3 * (works.mc_error + here.mc_error):
        return out
    return paragraphs(
        out,
        writer.say(
            "With the arms as unlike at the start as they happened to be, the chance falls to {h}: the primary "
            "test did not allow for that difference.",
            h=(writer.by_command(share_told(here), here.command, here.question),),
        ),
    )
