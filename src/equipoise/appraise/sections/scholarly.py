"""What reviewers work from: the conditions of surrogacy, sensitivity analyses, what is awaited."""

from __future__ import annotations

from typing import cast

from equipoise.appraise.context import Context
from equipoise.appraise.findings import significant, usable
from equipoise.appraise.phrases import paragraphs
from equipoise.document.document import Block, Inlines, Link, Paragraph, Row, Table, Text
from equipoise.document.text import joined, upper
from equipoise.records.schema import Contrast


def tables(ctx: Context, role: str) -> list[Block]:
    """What a reviewer works from: conditions of surrogacy for the editor, certainty by outcome for the committee."""
    makers = {"editor": _surrogates, "guideline": _graded}
    return makers[role](ctx) if role in makers else []


# -- methodologist -------------------------------------------------------------------------------------------------


def sensitivity_sentence(ctx: Context) -> Inlines:
    """How the primary outcome's contrast moves over the sensitivity analyses, by week."""
    f, writer = ctx.findings, ctx.writer
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
        parts.append(writer.say("at {w} from {a} to {b}", w=ctx.week(week), a=ctx.contrast(low), b=ctx.contrast(high)))
    if not parts:
        return ()
    return (
        *writer.say("Over the sensitivity analyses of {o} the difference runs ", o=ctx.outcome(f.primary.outcome)),
        *joined(parts, "; "),
        Text("."),
    )


# -- editor --------------------------------------------------------------------------------------------------------


def _surrogates(ctx: Context) -> list[Block]:
    table = _surrogacy(ctx)
    if table is None:
        return []
    lead = ctx.writer.words("What would make the marker a surrogate, and what this trial can say to each condition:")
    return [Paragraph(lead), table]


def _surrogacy(ctx: Context) -> Table | None:
    """Prentice's conditions and the trial-level question, answered from the record."""
    writer, f = ctx.writer, ctx.findings
    markers = f.biomarkers()
    if not markers:
        return None
    marker = next((r for r in markers if r.outcome == "NFL"), markers[-1])
    name = ctx.outcome(marker.outcome)
    outcome = ctx.outcome(f.outcome.id) if f.outcome is not None else "the outcome"
    shown = "disputed" if f.disputed else {True: "shown", False: "not shown", None: "not stated"}[f.met]
    effect = (
        writer.say("{s}: {d}", s=shown, d=ctx.contrast(f.contrast)) if f.contrast is not None else writer.words(shown)
    )
    on_marker: Inlines = ()
    if marker.contrast is not None:
        word = "seen, though nominal" if f.met is False else "shown"
        if any(p.usable and significant(p) for p in marker.p) is False:
            word = "not shown"
        on_marker = writer.say(word + ": ratio {d}", d=ctx.contrast(marker.contrast))
    link = _prognosis(ctx)
    rows = [
        (writer.say("The drug changes {o}", o=outcome), effect),
        (writer.say("The drug changes {m}", m=name), on_marker or writer.words("not stated")),
        (writer.say("{m} predicts {o}", m=upper(writer.label(name)), o=outcome), link),
        (
            writer.say("Given {m}, treatment no longer matters for {o}", m=name, o=outcome),
            paragraphs(
                writer.words(
                    f"cannot be assessed while the first condition is {'disputed' if f.disputed else 'not met'};"
                ),
                _causal(ctx),
            )
            if f.met is not True
            else writer.words("needs individual data, which the record does not hold"),
        ),
        (
            writer.words("Across trials, effects on the marker predict effects on the outcome"),
            writer.words("needs many trials; this one gives a single point"),
        ),
    ]
    table_rows = tuple(Row((upper(a), upper(b))) for a, b in rows)
    caption = writer.words(
        "Prentice's conditions for a surrogate, and the trial-level one, against the published record."
    )
    return Table("t-surrogacy", caption, (writer.words("Condition"), writer.words("In this trial")), table_rows)


def _prognosis(ctx: Context) -> Inlines:
    r = ctx.item_value("prog_nfl", "spearman")
    if r is None:
        return ctx.writer.words("not stated in the record")
    out = ctx.writer.say("at baseline yes: rank correlation with the later change {r}", r=ctx.number(r))
    change = ctx.item_value("prog_nfl_change", "change")
    if change is not None:
        out = (*out, *ctx.writer.say("; its change during the trial, on placebo, less so: {c}", c=ctx.number(change)))
    return out


def _causal(ctx: Context) -> Inlines:
    item = ctx.item("surr_gaps")
    if item is None or not item.text or not item.usable:
        return ctx.writer.words("the sponsor's or anybody's model can suggest, not show, it.")
    text = ctx.writer.quote(item.text, item)
    return (*ctx.writer.words("a causal model was offered; its gaps: "), *(text or ()), Text("."))


# -- guideline -----------------------------------------------------------------------------------------------------


def _graded(ctx: Context) -> list[Block]:
    """Where certainty by outcome stands."""
    link = Link(ctx.writer.words("certainty of the evidence"), "#certainty")
    return [
        Paragraph(
            (
                *ctx.writer.words("Certainty by outcome, risk of bias and the balance of effects are under "),
                link,
                Text("."),
            )
        )
    ]


def awaited_sentence(ctx: Context) -> Inlines:
    writer = ctx.writer
    waiting = [r for r in ctx.decisions if r.usable and r.date is None]
    parts = []
    for r in waiting:
        said = writer.told(r.decision, r, *r.values.values())
        more = writer.quote(r.text, r, *r.values.values()) if r.text else None
        if said:
            parts.append((*said, *((Text(" ("), *more, Text(")")) if more else ())))
    out: Inlines = (*upper(joined(parts, "; ")), Text(".")) if parts else ()
    return paragraphs(
        out,
        writer.words(
            ("Besides: trials" if out else "Trials")
            + " of the same kind of drug that report the effect on the marker and on function together, and individual "
            "data, on which the surrogate question can be asked properly."
        )
        if ctx.findings.biomarkers()
        else writer.words("A second randomised trial with the same outcome."),
    )
