"""What reviewers and those who decide ask for: the estimand, the balance, the approval, the adjustment."""

from __future__ import annotations

from equipoise.appraise import phrases
from equipoise.appraise.context import Context
from equipoise.appraise.findings import excludes_null
from equipoise.appraise.phrases import paragraphs
from equipoise.appraise.questions.vocabulary.design import analysed, balance, burden, group, outcome
from equipoise.appraise.questions.vocabulary.harms import death_counts, serious
from equipoise.appraise.questions.vocabulary.phrase import block, items, sentence
from equipoise.document.document import Block, Facts, Inlines, Text
from equipoise.document.text import joined, upper


@block
def estimand(ctx: Context) -> list[Block]:
    """The attributes of the estimand as far as the record tells them, gaps shown."""
    writer, f = ctx.writer, ctx.findings
    unknown = writer.words("Not stated in the record.")
    where = writer.say("{s}, with {c}.", s=upper(group(ctx)), c=ctx.record.condition)
    treatment = writer.say(
        "{a}, against {c}, as assigned at the start.", a=upper(writer.label(ctx.active)), c=ctx.control
    )
    variable: Inlines = unknown
    if f.outcome is not None:
        when = writer.say(" at {w}", w=ctx.week(f.week)) if f.week is not None else ()
        slope = f.primary is not None and f.primary.measure == "rate_of_change"
        variable = (*upper(outcome(ctx)), *when, Text("."))
        if slope:
            variable = writer.say(
                "Rate of change of {o}{w}.", o=outcome(ctx), w=writer.say(", to {w}", w=ctx.week(f.week))
            )
    kinds = {
        "difference": "The difference between the arms",
        "ratio": "The ratio of the arms",
        "hazard_ratio": "The ratio of hazards",
    }
    summary = unknown
    if f.contrast is not None:
        summary = writer.say(kinds[f.contrast.kind] + ": {d}.", d=ctx.contrast(f.contrast))
    elif f.test is not None:
        summary = writer.say("None is given; only a test, {p}.", p=ctx.p(f.test))
    facts = (
        (writer.words("Population"), where),
        (writer.words("Treatments"), treatment),
        (writer.words("Variable"), variable),
        (writer.words("Death"), _item(ctx, "stat_estimand") or unknown),
        (writer.words("Stopping and missing values"), _imputation(ctx) or unknown),
        (writer.words("Summary"), summary),
    )
    return [Facts(facts)]


def _item(ctx: Context, *ids: str) -> Inlines:
    for id in ids:
        item = ctx.item(id)
        if item is not None and item.text and item.usable and (said := ctx.writer.told(item.text, item, stop=".")):
            return upper(said)
    return ()


def _imputation(ctx: Context) -> Inlines:
    f = ctx.findings
    chosen = [f.primary.method] if f.primary is not None else []
    for method in ctx.record.methods:
        if method.imputation and method.usable and (method.id in chosen or not chosen):
            said = ctx.writer.quote(method.imputation, method)
            if said:
                return (*upper(said), Text("."))
    return _item(ctx, "stat_imputation")


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
    if not balance(ctx):
        return ()
    if not said:
        return balance(ctx)
    return paragraphs(
        balance(ctx),
        writer.words("Adjusting for a marker of prognosis is sound, and gains precision, when it is planned:"),
        upper(said),
        writer.words(
            "Chosen after the data are seen, the same adjustment is one of many that could have been chosen, and the "
            "interval no longer keeps its promise."
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
        ("The primary outcome:", counts(ctx) or phrases.primary_sentence(ctx)),
        ("Survival:", deaths(ctx) if death_counts(ctx) is not None else ()),
        ("Serious harm:", serious(ctx) or phrases.neuro_sentence(ctx)),
    ]
    return [paragraphs((writer.strong(head),), said) for head, said in rows if said]


@sentence()
def precision(ctx: Context) -> Inlines:
    """The interval against no effect, and how many people it rests on."""
    writer, c = ctx.writer, ctx.findings.contrast
    if c is None or excludes_null(c) is None:
        return ()
    side = "leaves out" if excludes_null(c) else "includes"
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
