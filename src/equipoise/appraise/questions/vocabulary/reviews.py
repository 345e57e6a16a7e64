"""What reviewers and those who decide ask for: the estimand, the balance, the approval, the adjustment."""

from __future__ import annotations

from equipoise.appraise import absolute_risk, numbers, phrases
from equipoise.appraise.certainty.rating import important_difference
from equipoise.appraise.context import Context
from equipoise.appraise.findings import excludes_null, significant
from equipoise.appraise.phrases import paragraphs
from equipoise.appraise.questions.vocabulary.design import analysed, burden
from equipoise.appraise.questions.vocabulary.harms import serious
from equipoise.appraise.questions.vocabulary.phrase import block, items, sentence
from equipoise.appraise.sections import checklists
from equipoise.appraise.sections.limitations import balance_sentence
from equipoise.document.document import Block, Inlines, Row, Table, Text
from equipoise.document.text import joined, upper


@block
def estimand(ctx: Context) -> list[Block]:
    """The attributes of the estimand as far as the record tells them, gaps shown."""
    return [checklists.estimand_table(ctx, "t-estimand-asked")]


@items()
def estimate_notes(ctx: Context) -> list[Inlines]:
    """What the record says of its estimate, and of scores after death."""
    out = []
    for id in ("stat_estimate", "stat_death_imputation"):
        item = ctx.item(id)
        if item is not None and item.text and item.usable:
            label, text = ctx.writer.quote(item.label, item), ctx.writer.told(item.text, item, stop=".")
            if label and text:
                out.append((ctx.writer.strong((*label, Text(":"))), Text(" "), *upper(text)))
    return out


@items()
def missing_notes(ctx: Context) -> list[Inlines]:
    """What the record says on missing values, by method or item."""
    writer, out = ctx.writer, []
    for method in ctx.record.methods:
        if method.imputation and method.usable and (said := writer.quote(method.imputation, method)):
            label = writer.quote(method.label, method) or writer.label(method.label)
            out.append((writer.strong((*upper(label), Text(":"))), Text(" "), *upper(said), Text(".")))
    for item in ctx.record.items:
        told = item.text is not None and ("missing" in item.text or "forward" in item.text)
        if told and item.section in ("statistics", "extension") and item.usable and item.text:
            name, text = writer.quote(item.label, item), writer.told(item.text, item, *item.values.values(), stop=".")
            if name and text:
                out.append((writer.strong((*name, Text(":"))), Text(" "), *upper(text)))
    return out[:4]


@sentence()
def adjusting(ctx: Context) -> Inlines:
    """What adjusting for the imbalance did, and why planning matters."""
    writer = ctx.writer
    item = ctx.item("surr_adjustment")
    said = writer.told(item.text, item, stop=".") if item is not None and item.text and item.usable else None
    balance = balance_sentence(ctx)
    if not balance or not said:
        return balance
    return paragraphs(
        balance,
        writer.words("Adjusting for a prognostic marker is sound, and gains precision, when it is planned:"),
        upper(said),
        writer.words(
            "Chosen after the data were seen, the same adjustment is one of many that could have been chosen, and the "
            "interval no longer has its stated coverage."
        ),
    )


@items()
def balance_sheet(ctx: Context) -> list[Inlines]:
    """Both sides of the table: outcome, marker, later, survival, harm, burden."""
    writer, f = ctx.writer, ctx.findings
    rows = [
        ("For the primary outcome:", phrases.primary_sentence(ctx)),
        ("For the marker:", phrases.biomarker_sentence(ctx) if f.biomarkers() else ()),
        ("Later:", phrases.later_sentence(ctx)),
        ("For survival:", phrases.survival_sentence(ctx)),
        ("Harm:", phrases.neuro_sentence(ctx) or serious(ctx)),
        ("Burden:", burden(ctx)),
    ]
    return [paragraphs((writer.strong(head),), said) for head, said in rows if said]


@items()
def absolute_effects(ctx: Context) -> list[Inlines]:
    """Effects in absolute terms, as a summary of findings gives them."""
    from equipoise.appraise.questions.vocabulary.harms import deaths
    from equipoise.appraise.questions.vocabulary.results import counts

    writer = ctx.writer
    rows = [
        ("The primary outcome:", paragraphs(phrases.primary_sentence(ctx), counts(ctx))),
        ("Survival:", deaths(ctx) if ctx.findings.deaths() is not None else ()),
        ("Serious harm:", serious(ctx) or phrases.neuro_sentence(ctx)),
    ]
    return [paragraphs((writer.strong(head),), said) for head, said in rows if said]


@sentence()
def precision(ctx: Context) -> Inlines:
    """The interval against no effect, and how many people it rests on."""
    writer, c = ctx.writer, ctx.findings.contrast
    if c is None or excludes_null(c) is None:
        said = phrases.counted_interval(ctx)
        return paragraphs(said, analysed(ctx)) if said else ()
    side = "excludes" if excludes_null(c) else "includes"
    return paragraphs(writer.say("The interval, {d}, " + side + " no effect.", d=ctx.contrast(c)), analysed(ctx))


@sentence()
def not_the_others(ctx: Context) -> Inlines:
    """Whom the trial does not speak about, as its exclusions say."""
    writer = ctx.writer
    texts = [
        (c, c.text.strip().rstrip(".;"))
        for c in ctx.record.eligibility
        if c.usable and c.kind == "exclusion" and not c.text.rstrip().endswith(":")
    ]
    out = [q for c, text in texts if (q := writer.told(text, c))]
    if not out:
        return ()
    return (*writer.words("Left out, among others: "), *joined(out[:3], "; "), Text("."))


_SLOWINGS = (0.2, 0.33, 0.5)
"""Shares of the loss in the control arm that a drug might save."""


@block
def people_for_power(ctx: Context) -> list[Block]:
    """People for the usual power by size of the slowing, length, lag and delayed start, from the published error."""
    f, writer = ctx.findings, ctx.writer
    c = f.contrast
    pair = None if f.primary is None else ctx.arms_pair(f.primary)
    sizes = ctx.analysed or ()
    people = sum(int(v.value or 0) for v in sizes)
    if (
        c is None
        or c.kind != "difference"
        or c.se is None
        or pair is None
        or len(sizes) < 2
        or not people
        or not f.week
    ):
        return []
    if f.outcome is None or f.outcome.direction != "higher_better" or (pair[1].value or 0) >= 0:
        return []
    weeks, loss, longer = float(f.week), float(pair[1].value or 0), 52.0
    writer.register(f"week {longer:g}")  # a length of our own
    lag = ctx.item_value("delay_nfl", "plateau")
    late = float(lag.value or 0) if lag is not None else 0.0
    switch = None if ctx.record.extension is None else ctx.record.extension.switch_week.value
    designs: list[tuple[Inlines, tuple[float, float, float | None]]] = [
        (writer.say("To {w}, effect from the first day", w=ctx.week(weeks)), (weeks, 0.0, None))
    ]
    if lag is not None and late < weeks:
        after = writer.say("effect from {w} on", w=ctx.week(late))
        designs.append((writer.say("To {w}, {a}", w=ctx.week(weeks), a=after), (weeks, late, None)))
        designs.append((writer.say("To {w}, {a}", w=ctx.week(longer), a=after), (longer, late, None)))
    if switch is not None:
        early = writer.say("Early against delayed start, to {w}", w=ctx.week(longer))
        designs.append((early, (longer, 0.0, float(switch))))
    rows = []
    for share in _SLOWINGS:
        difference = important_difference(share, loss)
        needed = absolute_risk.people_needed(difference, float(c.se), people)
        shown = writer.compute(
            important_difference,
            share,
            loss,
            show=lambda x: numbers.number(x, 1),
            what=f"{f.outcome.label}: a slowing of the loss by {numbers.in_percent(share)} %",
            method="share times the absolute change of the control arm",
        )
        cells = [
            (
                writer.compute(
                    absolute_risk.people_by_design,
                    round(needed, 1),
                    weeks,
                    *design,
                    show=lambda x: numbers.number(x, 0),
                    what="people for the usual power, from the published standard error",
                    method="two-sided test at the conventional level; spread grows with time as slopes make it",
                ),
            )
            for _, design in designs
        ]
        rows.append(Row(((shown,), *cells)))
    caption = writer.say(
        "What it would take: people in both arms for 80 % power, by the size of the slowing (in points at {w}), "
        "worked out from the published standard error with {n} people. Deaths and losses would raise every number.",
        w=ctx.week(weeks),
        n=joined([ctx.number(v) for v in sizes], " and "),
    )
    columns = (writer.words("Points saved"), *(head for head, _ in designs))
    return [Table("t-people", caption, columns, tuple(rows), (True,) * len(columns))]


def stands(ctx: Context) -> bool:
    """Whether the page has the section on the surrogate: a trial of the field that measured neurofilament."""
    from equipoise.appraise.landscape.page import FIELDS  # loads numpy: only when asked

    return FIELDS["als"].holds(ctx.record) and any(r.outcome == "NFL" for r in ctx.findings.biomarkers())


@sentence()
def surrogate_field(ctx: Context) -> Inlines:
    """How many trials of the field enter a regression of effects, how often such a field would be fooled, and where the
    page tells it."""
    if not stands(ctx):
        return ()
    from equipoise.appraise.landscape.pairs import FOOLED, VERDICT, most_fooled, stored

    found, writer = stored(), ctx.writer
    enter = sum(row["marker"] is not None and row["function"] is not None for row in found["rows"])
    said = writer.quote_computed(
        f"Of {len(found['rows'])} trials that measured neurofilament, {enter} enter a regression of effects.",
        VERDICT,
        "the trial level of the field",
        "see docs/methods/surrogacy.md",
    )
    parts: list[Inlines] = [said]
    if "fooled" in found:
        best, worst = (numbers.number(x, 0) for x in most_fooled(found["fooled"]))
        parts.append(
            writer.quote_computed(
                f"Simulated again, such trials show a true surrogate by the most generous criterion in {best} per "
                f"cent of cases, and a false one by the most easily fooled in {worst} per cent.",
                FOOLED,
                "shares of simulated literatures",
                "see docs/methods/surrogacy.md",
            )
        )
    link = writer.to("surrogate", "Is neurofilament a surrogate here?")
    return paragraphs(*parts, writer.say("The whole picture: {s}", s=(link,)))


@block
def surrogacy_table(ctx: Context) -> list[Block]:
    """Prentice's conditions and the trial-level question, answered from the record."""
    writer, f = ctx.writer, ctx.findings
    markers = f.biomarkers()
    if not markers:
        return []
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
    return [Table("t-surrogacy", caption, (writer.words("Condition"), writer.words("In this trial")), table_rows)]


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
    text = ctx.writer.told(item.text, item, stop=".")
    return (*ctx.writer.words("a causal model was offered; its gaps: "), *(text or ()))
