"""Scholarly review: for the PhD methodologist, the journal editor and the guideline committee."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from equipoise.appraise.context import READERS, REVIEWING, Context
from equipoise.appraise.document import Block, Inlines, Paragraph, Question, Row, Section, Table, Text
from equipoise.appraise.findings import excludes_null, significant, usable
from equipoise.appraise.pen import joined, upper
from equipoise.appraise.phrases import (
    detectable_sentence,
    interval_sentence,
    later_sentence,
    nominal_sentence,
    paragraphs,
    split_sentence,
    survival_pair,
)
from equipoise.appraise.sections.discussion import Answer, answer, takeaways
from equipoise.appraise.sections.limitations import _assumptions, _delays
from equipoise.records.schema import Contrast


def build(ctx: Context) -> Section | None:
    """One part per reviewer; with an audience, that reviewer's part alone."""
    readers = [r for r in REVIEWING if ctx.audience in (None, r)]
    if not readers:
        return None
    parts = tuple(_part(ctx, reader) for reader in readers)
    return Section("scholarly", ctx.pen.words("Scholarly review"), (), parts)


def _part(ctx: Context, reader: str) -> Section:
    pen = ctx.pen
    parts: dict[str, Callable[[Context], tuple[list[Block], list[tuple[str, Answer]]]]] = {
        "phd": _phd,
        "editor": _editor,
        "guideline": _guideline,
    }
    blocks, questions = parts[reader](ctx)
    for i, (question, said) in enumerate(questions, start=1):
        if said:
            blocks.append(Question(f"q-{reader}-{i}", pen.say(question), tuple(said)))
    blocks.extend(takeaways(ctx, reader))
    return Section(f"for-{reader}", pen.words(READERS[reader]), tuple(blocks), reader=reader)


# -- methodologist -------------------------------------------------------------------------------------------------


def _phd(ctx: Context) -> tuple[list[Block], list[tuple[str, Answer]]]:
    pen, f = ctx.pen, ctx.findings
    timed = f.primary is not None and f.week is not None and f.primary.measure != "time_to_event"
    endpoint = answer(
        pen.words(
            "An endpoint at a fixed time asks whether the drug has worked by then. If effect follows exposure with a "
            "lag, the visits before it carry noise and no signal, and the power has to be computed over the lag, not "
            "from a slope that bends on the first day."
        ),
        _delays(ctx),
        detectable_sentence(ctx),
        _assumptions(ctx),
    )
    estimand = answer(
        split_sentence(ctx),
        _items(ctx, ("stat_estimand", "stat_estimate", "stat_imputation", "stat_death_imputation")),
    )
    missing = answer(_sensitivity(ctx))
    future = answer(
        pen.words(
            "Several designs attack a lag, each at a price. A longer randomised period pays with time on placebo. "
            "Delayed start pays with assumptions on who stays. A joint model of marker, function and survival pays "
            "with assumptions on form, above all on how the marker acts and on what happens at death."
        ),
        pen.words(
            "Whichever is chosen: fix the covariates, put death into the estimand rather than imputing past it, and "
            "simulate the power under none, symptomatic, slowing and lagged action before the first patient."
        ),
        pen.say(
            "What this trial would have seen under each is under {r}.", r=pen.to("replica", "what the replica says")
        )
        if ctx.replica is not None
        else (),
    )
    return [], [
        ("Was the endpoint placed where the effect could be seen?", endpoint if timed else []),
        ("Which question does the primary analysis answer, and which does the reported estimate?", estimand),
        ("How far does the result lean on its assumptions about missing scores?", missing),
        ("How would you design the next trial?", future),
    ]


def _items(ctx: Context, ids: tuple[str, ...]) -> Inlines:
    out: Inlines = ()
    for id in ids:
        item = ctx.item(id)
        if item is not None and item.text and item.usable:
            label, text = ctx.pen.quote(item.label, item), ctx.pen.told(item.text, item, stop=".")
            if label and text:
                out = paragraphs(out, (*label, Text(": "), *text))
    return out


def _sensitivity(ctx: Context) -> Inlines:
    """How the primary outcome's contrast moves over the sensitivity analyses, by week."""
    f, pen = ctx.findings, ctx.pen
    if f.primary is None:
        return ()
    by_week: dict[float, list[Contrast]] = {}
    for r in ctx.record.results:
        c = r.contrast
        if r.outcome == f.primary.outcome and r.role == "sensitivity" and r.week is not None and usable(c):
            by_week.setdefault(float(r.week), []).append(cast(Contrast, c))
    parts = []
    for week, contrasts in sorted(by_week.items()):
        if len(contrasts) < 2:
            continue
        low = min(contrasts, key=lambda c: float(c.value or 0))
        high = max(contrasts, key=lambda c: float(c.value or 0))
        parts.append(pen.say("at {w} from {a} to {b}", w=ctx.week(week), a=ctx.contrast(low), b=ctx.contrast(high)))
    if not parts:
        return ()
    return (
        *pen.say("Over the sensitivity analyses of {o} the difference runs ", o=ctx.outcome(f.primary.outcome)),
        *joined(parts, "; "),
        Text("."),
    )


# -- editor --------------------------------------------------------------------------------------------------------


def _editor(ctx: Context) -> tuple[list[Block], list[tuple[str, Answer]]]:
    pen, f = ctx.pen, ctx.findings
    blocks: list[Block] = []
    table = _surrogacy(ctx)
    if table is not None:
        blocks.append(
            Paragraph(
                pen.words("What would make the marker a surrogate, and what this trial can say to each condition:")
            )
        )
        blocks.append(table)
    planned, unplanned = f.later_pair()
    both: Inlines = ()
    if planned is not None and unplanned is not None:
        both = paragraphs(
            later_sentence(ctx), pen.words("An abstract that gives one of them without the other is not balanced.")
        )
    abstract = answer(
        pen.words("The primary result first and in full, with its test and an interval from the same analysis.")
        if f.split
        else pen.words("The primary result first and in full."),
        split_sentence(ctx),
        both,
        nominal_sentence(ctx),
    )
    table_question = answer(
        pen.words(
            "A registry entry and both analysis plans with their dates, the full sequence of tests, every "
            "sensitivity analysis including the unkind ones, and counts for every event, so that the next "
            "meta-analysis can use it."
        ),
        pen.words(
            "The effect on the marker beside the effect on the primary outcome in each set." if f.biomarkers() else ""
        ),
        _items(ctx, ("stat_sap_history", "stat_sap_v3", "stat_seen_before")),
    )
    return blocks, [
        ("What must the abstract say?", abstract),
        ("What would you ask the authors to add?", table_question),
    ]


def _surrogacy(ctx: Context) -> Table | None:
    """Prentice's conditions and the trial-level question, answered from the record."""
    pen, f = ctx.pen, ctx.findings
    markers = f.biomarkers()
    if not markers:
        return None
    marker = next((r for r in markers if r.outcome == "NFL"), markers[-1])
    name = ctx.outcome(marker.outcome)
    outcome = ctx.outcome(f.outcome.id) if f.outcome is not None else "the outcome"
    shown = {True: "shown", False: "not shown", None: "not stated"}[f.met]
    effect = pen.say("{s}: {d}", s=shown, d=ctx.contrast(f.contrast)) if f.contrast is not None else pen.words(shown)
    on_marker: Inlines = ()
    if marker.contrast is not None:
        word = "seen, though nominal" if f.met is False else "shown"
        if any(p.usable and significant(p) for p in marker.p) is False:
            word = "not shown"
        on_marker = pen.say(word + ": ratio {d}", d=ctx.contrast(marker.contrast))
    link = _prognosis(ctx)
    rows = [
        (pen.say("The drug changes {o}", o=outcome), effect),
        (pen.say("The drug changes {m}", m=name), on_marker or pen.words("not stated")),
        (pen.say("{m} foretells {o}", m=upper(pen.label(name)), o=outcome), link),
        (
            pen.say("Given {m}, treatment no longer matters for {o}", m=name, o=outcome),
            paragraphs(pen.words("cannot be assessed while the first condition is not met;"), _causal(ctx))
            if f.met is not True
            else pen.words("needs individual data, which the record does not hold"),
        ),
        (
            pen.words("Across trials, effects on the marker predict effects on the outcome"),
            pen.words("needs many trials; this one gives a single point"),
        ),
    ]
    table_rows = tuple(Row((upper(a), upper(b))) for a, b in rows)
    caption = pen.words("Prentice's conditions for a surrogate, and the trial-level one, against the published record.")
    return Table("t-surrogacy", caption, (pen.words("Condition"), pen.words("In this trial")), table_rows)


def _prognosis(ctx: Context) -> Inlines:
    r = ctx.item_value("prog_nfl", "spearman")
    if r is None:
        return ctx.pen.words("not stated in the record")
    out = ctx.pen.say("at baseline yes: rank correlation with the later change {r}", r=ctx.number(r))
    change = ctx.item_value("prog_nfl_change", "change")
    if change is not None:
        out = (*out, *ctx.pen.say("; its change during the trial, on placebo, less so: {c}", c=ctx.number(change)))
    return out


def _causal(ctx: Context) -> Inlines:
    item = ctx.item("surr_gaps")
    if item is None or not item.text or not item.usable:
        return ctx.pen.words("the sponsor's or anybody's model can suggest, not show, it.")
    text = ctx.pen.quote(item.text, item)
    return (*ctx.pen.words("a causal model was offered; its gaps: "), *(text or ()), Text("."))


# -- guideline -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Body:
    question: Inlines
    effect: Inlines
    reasons: tuple[str, ...]


_LEVELS = ("high", "moderate", "low", "very low")


def certainty(reasons: int) -> str:
    """Certainty of a body of evidence that starts high (randomised) and loses one step for each reason."""
    return _LEVELS[min(reasons, len(_LEVELS) - 1)]


def _guideline(ctx: Context) -> tuple[list[Block], list[tuple[str, Answer]]]:
    pen, f = ctx.pen, ctx.findings
    bodies = _bodies(ctx) if ctx.record.design.randomised else []  # the scale starts at randomised evidence
    blocks: list[Block] = []
    if bodies:
        rows = tuple(
            Row(
                (
                    upper(b.question),
                    b.effect,
                    upper(pen.words("; ".join(b.reasons))) if b.reasons else pen.words("none"),
                    (pen.strong(certainty(len(b.reasons))),),
                )
            )
            for b in bodies
        )
        blocks.append(
            Paragraph(
                pen.words(
                    "Certainty by outcome, in the manner of GRADE: randomised evidence starts high and loses a step "
                    "for each reason named. The steps are set by rule from the record; a committee may weigh them "
                    "otherwise."
                )
            )
        )
        columns = ("Question", "Effect", "Reasons to lower", "Certainty")
        blocks.append(
            Table("t-certainty", pen.words("Certainty of the evidence."), tuple(pen.words(c) for c in columns), rows,
                  (False, True, False, False))
        )  # fmt: skip
    strength = answer(
        pen.words(
            "Strong recommendations rest on benefits that clearly outweigh harms for nearly everyone. Where "
            "certainty about what patients feel is low, people with the same disease will choose differently, and "
            "rightly: that is a conditional recommendation, with shared decision, registry follow-up, and a date to "
            "look again."
        )
        if f.met is False
        else pen.words(
            "The strength follows from the balance of benefit, harm, burden and cost, and from how certain each of "
            "them is; a met primary endpoint settles only the first."
        ),
        interval_sentence(ctx),
    )
    awaited = answer(_awaited(ctx))
    return blocks, [
        ("How strong a recommendation does this carry?", strength),
        ("Which evidence would change it?", awaited),
    ]


def _bodies(ctx: Context) -> list[_Body]:
    pen, f = ctx.pen, ctx.findings
    out: list[_Body] = []
    if f.primary is not None and f.contrast is not None and f.outcome is not None:
        reasons = []
        if ctx.includes_null(f.contrast):
            reasons.append("the interval includes no effect")
            mcid = ctx.item_value("mcid", "change")
            far = max(abs(float(f.contrast.low or 0)), abs(float(f.contrast.high or 0)))
            if f.contrast.kind == "difference" and mcid is not None and mcid.value is not None and mcid.value <= far:
                reasons.append("it includes an effect that patients would notice as well")
        question = pen.say("{o} at {w}", o=ctx.outcome(f.outcome.id), w=ctx.week(f.week))
        out.append(_Body(question, ctx.contrast(f.contrast), tuple(reasons)))
    planned, unplanned = f.later_pair()
    later = planned or unplanned
    if later is not None and later.contrast is not None:
        reasons = ["people who left are imputed"] if any(m.imputation for m in ctx.record.methods) else []
        if ctx.includes_null(later.contrast):
            reasons.append("the interval includes no effect")
        if unplanned is not None:
            reasons.append("the favourable analysis was chosen after the data were seen")
        question = pen.say("{o} at {w}, early against delayed", o=ctx.outcome(later.outcome), w=ctx.week(later.week))
        out.append(_Body(question, ctx.contrast(later.contrast), tuple(reasons)))
    unplanned_s, planned_s, primary_s = survival_pair(ctx)
    shown = planned_s or unplanned_s
    if shown is not None and shown.contrast is not None:
        reasons = ["few events"]
        if ctx.includes_null(shown.contrast):
            reasons.append("the interval includes no effect")
        if unplanned_s is not None:
            reasons.append("the favourable model was chosen after the data were seen")
        if primary_s is not None and f.favourable(primary_s) is False:
            reasons.append("the estimate turns round in the primary set")
        out.append(_Body(pen.label(ctx.outcome(shown.outcome)), ctx.contrast(shown.contrast), tuple(reasons)))
    for r in f.biomarkers():
        if r.contrast is None:
            continue
        reasons = ["the interval includes no effect"] if not excludes_null(r.contrast) else []
        out.append(
            _Body(pen.say("{o}, as a marker", o=ctx.outcome(r.outcome)), ctx.contrast(r.contrast), tuple(reasons))
        )
    if f.biomarkers() and f.met is not True:
        last = next((r for r in f.biomarkers() if r.outcome == "NFL"), f.biomarkers()[-1])
        if last.contrast is not None:
            out.append(
                _Body(
                    pen.say("{o}, as a sign of benefit", o=ctx.outcome(last.outcome)),
                    ctx.contrast(last.contrast),
                    ("indirect: a marker in place of what patients feel", "not validated as a surrogate"),
                )
            )
    event = f.serious_neurologic()
    counts = None if event is None else f.counts(event)
    if event is not None and counts is not None:
        computed, rd = ctx.risk_difference(event.term, *counts)
        reasons = ["few events"]
        if rd.low <= 0 <= rd.high:
            reasons.append("the interval includes no difference")
        label = pen.quote(event.term, event) or pen.label(event.term)
        out.append(_Body(label, (computed, Text(" points")), tuple(reasons)))
    return out


def _awaited(ctx: Context) -> Inlines:
    pen = ctx.pen
    waiting = [r for r in ctx.record.regulatory if r.usable and r.date is None]
    parts = []
    for r in waiting:
        said = pen.quote(r.decision, r, *r.values.values())
        more = pen.quote(r.text, r, *r.values.values()) if r.text else None
        if said:
            parts.append((*said, *((Text(" ("), *more, Text(")")) if more else ())))
    out: Inlines = (*upper(joined(parts, "; ")), Text(".")) if parts else ()
    return paragraphs(
        out,
        pen.words(
            "Besides: trials of the same kind of drug that report the effect on the marker and on function together, "
            "and individual data, on which the surrogate question can be asked properly."
        )
        if ctx.findings.biomarkers()
        else pen.words("A second randomised trial with the same outcome."),
    )
