"""Names, and what the record says of the design and the people."""

from __future__ import annotations

from equipoise.appraise import absolute_risk, numbers, phrases
from equipoise.appraise.context import Context
from equipoise.appraise.findings import known
from equipoise.appraise.open_verdict import direction_sentence
from equipoise.appraise.phrases import paragraphs
from equipoise.appraise.questions.conditions import (
    event_counts,
    grouped_endpoint,
    masking_unknown,
    ranks_tested,
    time_to_event,
)
from equipoise.appraise.questions.vocabulary.phrase import items, name, sentence
from equipoise.appraise.sections import design as card
from equipoise.appraise.sections.limitations import losses_sentence, went_on_sentence
from equipoise.appraise.tables import DASH, cell
from equipoise.document.document import Inlines, Link, Text
from equipoise.document.text import joined, lower, upper
from equipoise.records.schema import EventRow, Value

# -- names ---------------------------------------------------------------------------------------------------------


@name
def trial(ctx: Context) -> Inlines:
    """The trial's name."""
    return ctx.writer.label(ctx.trial)


@name
def active(ctx: Context) -> Inlines:
    """The active arm."""
    return ctx.writer.label(ctx.active)


@name
def control(ctx: Context) -> Inlines:
    """The control arm."""
    return ctx.writer.label(ctx.control)


@name
def condition(ctx: Context) -> Inlines:
    """The condition."""
    return ctx.writer.label(ctx.record.condition)


@name
def outcome(ctx: Context) -> Inlines:
    """The primary outcome."""
    o = ctx.findings.outcome
    return ctx.writer.words("the primary outcome") if o is None else ctx.writer.label(ctx.outcome(o.id))


@name
def week(ctx: Context) -> Inlines:
    """The week of the primary outcome."""
    return ctx.week(ctx.findings.week)


def group(ctx: Context) -> Inlines:
    """The primary analysis set."""
    s = ctx.findings.set
    return ctx.writer.words("the people analysed") if s is None else ctx.writer.label(ctx.set_phrase(s))


@name
def marker(ctx: Context) -> Inlines:
    """The laboratory marker: neurofilament if it is there, else the last one tested."""
    found = ctx.findings.biomarkers()
    if not found:
        return ctx.writer.words("the marker")
    chosen = next((r for r in found if r.outcome == "NFL"), found[-1])
    return ctx.writer.label(ctx.outcome(chosen.outcome))


# -- design --------------------------------------------------------------------------------------------------------


@sentence()
def question_asked(ctx: Context) -> Inlines:
    """Population, intervention, comparator, outcome and time as one question."""
    writer, f = ctx.writer, ctx.findings
    filed = "In people who met the criteria (filed under {condition}): "  # a registry's condition is a filing word
    lead = ctx.say(filed if ctx.record.origin == "posted" else "In people with {condition}: ")
    if f.outcome is None:
        return (
            *lead,
            *ctx.say("how does {active} compare with {control}? Which outcome was to decide is not in the record."),
        )
    when = ctx.say(" by {week}") if f.week is not None else ()
    if not ctx.record.design.randomised:
        asked = "what becomes of this with {a} and with {k}: {o}{w}?"
    elif f.outcome.scale == "linear" and ctx.record.origin == "written":
        asked = "does {a}, compared with {k}, change {o}{w}?"
    else:
        asked = "does {a}, compared with {k}, make a difference to this: {o}{w}?"
    return (*lead, *writer.say(asked, a=ctx.active, k=ctx.control, o=outcome(ctx), w=when))


@sentence("The record does not say how many people took part.")
def taking_part(ctx: Context) -> Inlines:
    """How many took part, by arm."""
    said = card._participants(ctx)
    return (*ctx.writer.words("Taking part: "), *said, Text(".")) if said else ()


@sentence("What was read does not describe how the trial was built.")
def built_as(ctx: Context) -> Inlines:
    """Type and phase."""
    parts = [p for p in (ctx.fact(ctx.record.design.type), ctx.fact(ctx.record.design.phase)) if p]
    return (*ctx.writer.words("Built as: "), *joined(parts, "; "), Text(".")) if parts else ()


@sentence("What was read does not say who was masked.")
def masking(ctx: Context) -> Inlines:
    """Who was masked."""
    said = ctx.fact(ctx.record.design.masking)
    return (*ctx.writer.words("Masking: "), *said, Text(".")) if said and not masking_unknown(ctx) else ()


@sentence("The record does not say how long the comparison lasted.")
def lasted(ctx: Context) -> Inlines:
    """How long."""
    said = card._duration(ctx)
    if said:
        return (*ctx.writer.words("It lasted "), *said, Text("."))
    f = ctx.findings
    if f.week is None or f.outcome is None:
        return ()
    return ctx.say("The primary outcome was read at {week}.")


@items()
def arms(ctx: Context) -> list[Inlines]:
    """What each arm received."""
    writer, out = ctx.writer, []
    for arm in ctx.findings.arms:
        said = ctx.arm_text(arm)
        same = lower(arm.drug) == lower(arm.label) and len(said) <= 1
        label: Inlines = (writer.strong(writer.label(arm.label)),)
        number = writer.say(", {n} people", n=ctx.number(arm.n)) if known(arm.n) else ()
        out.append((*label, *number, *(() if same else (Text(": "), *said))))
    return out


@sentence("The record names no primary outcome, so that no result can be held against a plan.")
def outcome_told(ctx: Context) -> Inlines:
    """The primary outcome, its definition, and the test."""
    if ctx.findings.outcome is None:
        return ()
    said = card._outcome(ctx)
    end = () if said[-1].text.rstrip().endswith(".") else (Text("."),)  # type: ignore[union-attr]
    return (*ctx.writer.words("The primary outcome: "), *said, *end)


@sentence()
def outcome_scale(ctx: Context) -> Inlines:
    """The range of the scale, and which direction is better."""
    o = ctx.findings.outcome
    if o is None or not o.usable:
        return ()
    writer = ctx.writer
    out: Inlines = ()
    if o.bounds is not None:
        low, high = (writer.cite(f"{b:g}", o) for b in o.bounds)
        out = writer.say("It runs from {l} to {h}.", l=low, h=high)
    inside = phrases.within_margin(ctx)
    if o.direction == "not_stated" and inside is not None:
        return paragraphs(out, phrases.question_sentence(ctx))
    if o.direction == "not_stated":
        return paragraphs(out, direction_sentence(ctx))
    way = {"higher_better": "Higher is better.", "lower_better": "Lower is better."}[o.direction]
    return paragraphs(out, writer.words(way))


@sentence("The record does not say in how many people the primary outcome was analysed.")
def analysed(ctx: Context) -> Inlines:
    """How many people the primary set holds, by arm."""
    if ctx.analysed is None:
        return ()
    a, c = map(ctx.number, ctx.analysed)
    said = "The primary outcome was analysed in {s}: {a} people with {active} and {c} with {control}."
    if ctx.set_phrase(ctx.findings.set or "") in ("those analysed", "those counted"):
        said = "The primary outcome was analysed in {a} people with {active} and {c} with {control}."
    return ctx.say(said, s=group(ctx), a=a, c=c)


# -- people --------------------------------------------------------------------------------------------------------


@items("The record holds no criteria of eligibility.")
def criteria(ctx: Context) -> list[Inlines]:
    """The first criteria of eligibility, and where the others are."""
    usable = [
        c
        for c in ctx.record.eligibility
        if c.usable and c.kind in ("inclusion", "exclusion") and not c.text.rstrip().endswith(":")
    ]
    quoted = [upper(q) for c in usable if (q := card.criterion(ctx, c))]
    if len(quoted) <= 8:
        return quoted
    return [
        *quoted[:7],
        (*ctx.writer.words("More of them under "), Link(ctx.writer.words("design"), "#design"), Text(".")),
    ]


@sentence()
def criteria_lead(ctx: Context) -> Inlines:
    """Words before the criteria, where there are any."""
    return ctx.writer.words("Then whether this person could have joined the trial:") if criteria(ctx) else ()


_PEOPLE = ("AGE", "SEX", "MALE", "FEMALE", "GENDER")


@sentence("The record holds neither the age nor the sex of those who took part.")
def people(ctx: Context) -> Inlines:
    """Age and sex by arm."""
    writer, f = ctx.writer, ctx.findings
    whole = next((s.id for s in ctx.record.sets if ctx.is_all(s.id)), None)
    out: list[Inlines] = []
    seen: set[str] = set()
    for row in ctx.record.baseline:
        kind = "AGE" if row.variable.upper().startswith("AGE") else "SEX"
        if not row.variable.upper().startswith(_PEOPLE) or kind in seen:
            continue
        if kind == "AGE" and row.statistic == "n_percent":
            continue  # classes of age: the first of them says nothing
        values = row.values.get(whole or "") or next(iter(row.values.values()), {})
        shown = [cell(ctx, values.get(arm.id)) for arm in (f.active, f.control)]
        if shown[0] == DASH and shown[1] == DASH:
            continue
        # a registry's "Sex: Female, Male: Female" is the row of the women
        label = writer.quote(row.label.rsplit(": ", 1)[-1], row)
        if not label:
            continue
        seen.add(kind)
        parts = [
            writer.say("{v} with {a}", v=v, a=lower(arm.label))
            for v, arm in zip(shown, (f.active, f.control), strict=True)
            if v != DASH
        ]
        unit = writer.say(" ({u})", u=row.unit) if row.unit and row.statistic != "n_percent" else ()
        out.append((*upper(label), *unit, Text(": "), *joined(parts, ", ")))
    if not out and (item := ctx.item("people_all")) is not None and item.text:
        return (*upper(writer.told(item.text, item, *item.values.values()) or ()), Text(", both groups together."))
    return (*joined(out, "; "), Text(".")) if out else ()


@sentence("The record does not say how many left before the end.")
def losses(ctx: Context) -> Inlines:
    """Who left, by arm; the difference in risk where both arms are counted."""
    said = losses_sentence(ctx)
    pair = _left(ctx)
    if said:
        return said
    if pair is None and (went := went_on_sentence(ctx)):
        return went
    if pair is None:
        item = ctx.item("follow_up")
        told = None if item is None or not item.text else ctx.writer.told(item.text, item, *item.values.values())
        return (*upper(told), *ctx.writer.words("; not given by arm.")) if told else ()
    row, a, c = pair
    computed, _ = ctx.risk_difference(row.label, a, c)
    whole = row.label.startswith("Overall")
    label = ctx.writer.words("did not complete") if whole else ctx.writer.quote(lower(row.label), row) or ()
    return ctx.say(
        "{l}: {a} with {active} and {c} with {control}, a difference of {d} percentage points.",
        l=upper(label),
        a=ctx.count(a),
        c=ctx.count(c),
        d=computed,
    )


def _left(ctx: Context) -> tuple[EventRow, Value, Value] | None:
    f = ctx.findings
    for row in ctx.record.events:
        if row.endpoint not in ("WITHDREW", "NOT_COMPLETED"):
            continue
        for values in row.values.values():
            a, c = values.get(f.active.id), values.get(f.control.id)
            if a is not None and c is not None and a.usable and c.usable and a.total and c.total:
                return row, a, c
    return None


@sentence()
def fairness(ctx: Context) -> Inlines:
    """What chance decided, who was masked, within which strata, and that chance balances on average."""
    writer, d = ctx.writer, ctx.record.design
    shares = [d.allocation.get(a.id) for a in (ctx.findings.active, ctx.findings.control)]
    out: Inlines = ctx.say("Chance decided who received {active} and who {control},")
    if d.usable and all(shares):
        ratio = writer.cite(":".join(str(s) for s in shares), d)
        out = (*out, *writer.say(" {r},", r=ratio))
    out = (*out, *writer.words(" so that the groups differ at the start by chance alone."))
    if ctx.some_not_by_chance:
        out = writer.words(
            "Chance decided who received what, but the entry also speaks of people who were not assigned by chance: "
            "counts by arm that hold them compare more than chance made."
        )
    if said := masking(ctx):
        out = paragraphs(out, said)
    strata = [q for s in d.strata if s.usable and (q := writer.quote(s.label, s))]
    if strata:
        out = paragraphs(
            out,
            writer.say(
                "Randomisation was stratified, so that both arms hold similar shares of each stratum: {s}.",
                s=joined(strata),
            ),
        )
    return out


@sentence("The record gives neither route nor number of doses.")
def burden(ctx: Context) -> Inlines:
    """Doses, route, and how the record describes the dosing."""
    writer, dosing = ctx.writer, ctx.record.dosing
    if dosing is not None and dosing.usable and dosing.route.usable:
        route = writer.quote(dosing.route.text, dosing.route)
        n = writer.cite(str(len(dosing.days)), dosing)
        return writer.say("{n} doses in the trial ({r}), and more for as long as treatment lasts.", n=n, r=route or ())
    cycles = ctx.item("dosing_cycles")
    if cycles is not None and cycles.text and (said := writer.quote(cycles.text, cycles)):
        return (*writer.words("Dosing: "), *said, Text("."))
    arm = ctx.findings.active
    if arm.dose is None and not arm.route:
        return ()
    return (*writer.words("Treatment: "), *ctx.regimen(arm), Text("."))


@sentence()
def resolution(ctx: Context) -> Inlines:
    """The standardised difference that groups of this size detect."""
    f, writer = ctx.findings, ctx.writer
    if time_to_event(ctx) or event_counts(ctx) or grouped_endpoint(ctx):
        return ()  # standard deviations say nothing of events, nor of shares of people
    if ranks_tested(ctx) and ctx.record.origin == "posted":
        return ()  # nor of ranks
    pair = ctx.analysed
    sizes = pair if pair is not None and all(v.value for v in pair) else (f.active.n, f.control.n)
    if not all(v.usable and v.value for v in sizes):
        return ()
    a, c = (int(v.value or 0) for v in sizes)
    computed = writer.compute(
        absolute_risk.detectable_standardised,
        a,
        c,
        show=lambda x: numbers.number(x, 2),
        what=f"the standardised difference that groups of {a} and {c} detect",
        method="two-sided normal test at the conventional level with the conventional power",
    )
    return writer.say(
        "Groups of {a} and {c} have 80 % power only for a true difference of {d} standard deviations or more; "
        "the smaller a true difference is, the more easily it is missed.",
        a=ctx.number(sizes[0]),
        c=ctx.number(sizes[1]),
        d=computed,
    )


@items()
def registrations(ctx: Context) -> list[Inlines]:
    """Registry entries."""
    out = []
    for r in ctx.record.registrations:
        ctx.writer.register(f"{r.registry} {r.number}")
        out.append(ctx.writer.label(f"Registered as {r.registry} {r.number}"))
    return out
