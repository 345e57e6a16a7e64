"""What the record's results say, beyond the sentences that the rest of the page has."""

from __future__ import annotations

from equipoise.appraise import absolute_risk, numbers, phrases
from equipoise.appraise.context import Context
from equipoise.appraise.estimates import by_pairs, lead
from equipoise.appraise.findings import excludes_null, standard_error, usable
from equipoise.appraise.open_verdict import open_reason
from equipoise.appraise.phrases import paragraphs
from equipoise.appraise.questions.vocabulary.phrase import items, sentence
from equipoise.appraise.sections import certainty, coherence
from equipoise.appraise.sections.replica import main_answers, reading
from equipoise.appraise.strata import interaction_sentence, strata_sentence
from equipoise.appraise.tables import result_label
from equipoise.document.document import Inlines, Text
from equipoise.document.text import joined, lower, upper
from equipoise.records.schema import Contrast, Result, Value
from equipoise.records.values import ALPHA

# -- sentences of the page -----------------------------------------------------------------------------------------


@items()
def hazards(ctx: Context) -> list[Inlines]:
    """Further hazard ratios, death before composites, one for each outcome."""
    f = ctx.findings
    told = {r.id for r in phrases.survival_pair(ctx) if r is not None}
    seen = {ctx.record.result(id).outcome for id in told}
    out: list[Inlines] = []
    for r in sorted(f.survival(), key=lambda r: (r.outcome != "DEATH", len(ctx.record.outcome(r.outcome).label))):
        if r.role != "main" or r.outcome in seen or r.contrast is None:
            continue
        seen.add(r.outcome)
        late = " (early against delayed start)" if r.comparison == "early_delayed" else ""
        out.append((*result_label(ctx, r), *ctx.writer.say(late + ": hazard ratio {d}.", d=ctx.contrast(r.contrast))))
    return out[:4]


# -- the verdict ---------------------------------------------------------------------------------------------------


@sentence()
def verdict(ctx: Context) -> Inlines:
    """Whether the primary endpoint was met, and if that cannot be said, why."""
    writer, f = ctx.writer, ctx.findings
    if f.met is not None:
        word = "met" if f.met else "missed"
        said = writer.say("{t} " + word + " its primary endpoint.", t=ctx.trial)
        if f.worse:
            return paragraphs(said, ctx.say("The difference favours {control}, by more than chance would easily give."))
        return said
    if f.disputed:
        return phrases.disputed_sentence(ctx)
    if margin := phrases.margin_sentence(ctx):
        return margin
    if said := phrases.untested_sentence(ctx):
        return said
    return ctx.say(
        "The record of {trial} does not settle whether its primary endpoint was met: {why}.", why=open_reason(ctx)
    )


@sentence("The record gives no P value for the primary outcome.")
def p_meaning(ctx: Context) -> Inlines:
    """What the primary P value says, and its surprise in coin tosses."""
    f, writer = ctx.findings, ctx.writer
    if f.test is None:
        return ()
    out = writer.say("{p} is a statement about data, given that there is no effect", p=ctx.p(f.test))
    p = f.test
    if p.relation != "=" or p.value is None or not 0 < p.value < 1:
        return (*out, Text("."))
    hundred = writer.compute(
        absolute_risk.in_hundred,
        float(p.value),
        1,
        show=lambda x: numbers.in_hundred(x.people),
        what="the primary P value as trials in a hundred",
        method="the P value times a hundred",
    )
    bits = writer.compute(
        absolute_risk.surprise,
        float(p.value),
        show=lambda x: numbers.number(x, 1 if x >= 1 else 2),
        what="the surprise of the primary P value in bits",
        method="minus the logarithm to base two of the P value",
    )
    return (
        *out,
        *writer.say(
            ": with no effect, a result at least this far from none "
            + ("in that direction " if p.sides == "one" else "")
            + "would come in about {h} such trials. "
            "That is a surprise of {b} bits; a fair coin that lands heads is a surprise of one.",
            h=hundred,
            b=bits,
        ),
    )


@sentence()
def counts(ctx: Context) -> Inlines:
    """A primary result that is a count, as shares and their difference."""
    f, writer = ctx.findings, ctx.writer
    pair = None if f.primary is None else ctx.arms_pair(f.primary)
    if pair is None or f.outcome is None or not (pair[0].total and pair[1].total):
        return ()
    if any(not isinstance(v.value, int) for v in pair):
        return ()
    shares = [ctx.in_hundred(f.outcome.label, v) for v in pair]
    difference, rd = ctx.risk_difference(f.outcome.label, *pair)
    tail = (
        "with an interval that excludes no difference"
        if rd.low > 0 or rd.high < 0
        else "with an interval that includes no difference"
    )
    return writer.say(
        "That is {a} people with {x} and {c} with {y}, a difference of {d} percentage points, " + tail + ".",
        a=shares[0],
        c=shares[1],
        x=ctx.active,
        y=ctx.control,
        d=difference,
    )


# -- sizes ---------------------------------------------------------------------------------------------------------


@sentence("The record gives no smallest change that patients notice, so that a number cannot be called large or small.")
def noticeable(ctx: Context) -> Inlines:
    """The estimate beside the smallest change that patients notice."""
    f, writer = ctx.findings, ctx.writer
    m = ctx.item_value("mcid", "change")
    item = ctx.item("mcid")
    c = f.contrast
    judged = ctx.important_change() if m is None else None
    if judged is not None and c is not None and c.value is not None and f.outcome is not None:
        return writer.say(
            "No smallest change of this score that patients notice is on record. The judgements of this page take a "
            "difference of {m}{u}, {w}; the estimate is {d}{u}.",
            m=judged[0],
            u=writer.label(ctx.unit(f.outcome, f.primary)),
            w=_why(ctx) or writer.words(judged[2]),
            d=ctx.contrast(c),
        )
    if m is None and (held := _threshold_of_judgements(ctx)):
        return held
    if m is None or item is None or c is None or c.value is None or c.kind != "difference" or m.value is None:
        return ()
    over = writer.quote(item.text, item) if item.text else None
    out = writer.say(
        "Patients are reported to notice a change of {m} points{o} in themselves, which is no threshold for a "
        "difference between groups; the estimate is {d}.",
        m=ctx.number(m),
        d=ctx.contrast(c),
        o=(Text(" "), *over) if over else (),
    )
    if c.low is None or c.high is None or f.outcome is None or f.outcome.direction != "higher_better":
        return out
    above = writer.compute(
        absolute_risk.confidence_above,
        float(c.value),
        float(c.low),
        float(c.high),
        float(m.value),
        show=lambda x: numbers.percent(x, 0),
        what="trials that would give the estimate or less, were the true difference the change that patients notice",
        method="normal distribution about the estimate with the width of its interval",
    )
    return paragraphs(
        out,
        writer.say(
            "Were the true difference between the groups that large, an estimate of {e} or less would come in {s} of "
            "such trials.",
            e=writer.cite(numbers.number(c.value, numbers.contrast_digits(c)), c),
            s=above,
        ),
    )


def _why(ctx: Context) -> Inlines:
    """Why the judgements take the difference that they take, with the studies behind it; else empty."""
    f, judged = ctx.findings, ctx.judgements
    if judged is None or f.primary is None:
        return ()
    graded = next((o for o in judged.outcomes if o.estimate == f"{f.primary.id}.contrast" and o.threshold), None)
    if graded is None or graded.threshold is None or graded.threshold.share is None:
        return ()
    certainty.adopt(ctx, judged)
    behind = [judged.values[r] for r in graded.threshold.refs if r in judged.values]
    said = ctx.writer.quote(graded.threshold.reason, *behind) if behind else None
    if not said:
        return ()
    keys = ", ".join(dict.fromkeys(str(value.source) for value in behind))
    return (*said, Text(" ["), ctx.writer.cite(keys, *behind), Text("]"))


def _threshold_of_judgements(ctx: Context) -> Inlines:
    """The smallest difference that matters for the primary result, where the judgements state it as a number."""
    f, writer = ctx.findings, ctx.writer
    if ctx.judgements is None or f.primary is None:
        return ()
    for outcome in ctx.judgements.outcomes:
        given = outcome.threshold
        rests_on = (outcome.estimate or "", *(outcome.counts or {}).values())
        if given is None or given.value is None or not any(a.startswith(f"{f.primary.id}.") for a in rests_on):
            continue
        place = f"outcomes.{outcome.id}.threshold"
        sourced = Value(value=given.value, source=certainty.FILE, place=place, confidence="seen")
        certainty.adopt(ctx, ctx.judgements)
        points = round(100 * given.value, 6)
        size = numbers.number(given.value)
        if outcome.counts is not None:
            size = f"{numbers.number(points, 0 if points == int(points) else None)} percentage points"
        return writer.say(
            "No smallest change that patients notice is on record. The judgements of this page take {m} as the "
            "smallest effect that matters for {o}.",
            m=writer.cite(size, sourced),
            o=writer.label(lower(outcome.label)),
        )
    return ()


@sentence()
def share_of_loss(ctx: Context) -> Inlines:
    """The difference as a share of what was lost on control."""
    f, writer = ctx.findings, ctx.writer
    c = f.contrast
    pair = None if f.primary is None else ctx.arms_pair(f.primary)
    measures = ("mean_change", "adjusted_mean_change", "rate_of_change")
    if c is None or pair is None or f.primary is None or f.primary.measure not in measures or c.kind != "difference":
        return ()
    lost = pair[1]
    if f.outcome is None or f.outcome.direction != "higher_better" or (lost.value or 0) >= 0 or c.value is None:
        return ()
    figures = [c.value] if c.low is None or c.high is None else [c.value, c.low, c.high]
    shown = [
        writer.compute(
            absolute_risk.as_share_of,
            float(x),
            float(lost.value or 0),
            show=lambda y: numbers.percent(y, 0),
            what=f"{f.outcome.label}: {label} as a share of the change on {f.control.label}",
            method="the difference over the size of the change, the latter taken as known",
        )
        for x, label in zip(figures, ("the difference", "its lower bound", "its upper bound"), strict=False)
    ]
    bounds = writer.say(" ({a} to {b})", a=shown[1], b=shown[2]) if len(shown) > 1 else ()
    return ctx.say(
        "The difference is {s}{b} of what was lost on {control}, taking that loss as known; its own uncertainty "
        "would make the range wider still.",
        s=shown[0],
        b=bounds,
    )


@sentence()
def monthly(ctx: Context) -> Inlines:
    """The difference of changes as a rate per month, to set beside other trials."""
    f, writer = ctx.findings, ctx.writer
    c = f.contrast
    if c is None or c.kind != "difference" or c.value is None or not f.week or f.primary is None:
        return ()
    if f.primary.measure not in ("mean_change", "adjusted_mean_change") or ctx.record.origin == "posted":
        return ()
    rate = writer.compute(
        absolute_risk.per_month,
        float(c.value),
        float(f.week),
        show=lambda x: numbers.number(x, 2),
        what="the primary difference as a rate per month",
        method="the difference over the weeks, if it grew evenly",
    )
    return writer.say(
        "If the difference grew evenly from the first day, it is {r}{u} a month, the scale on which trials of "
        "different length can be set side by side.",
        r=rate,
        u=writer.label(ctx.unit(f.outcome)) if f.outcome is not None and ctx.unit(f.outcome) else (),
    )


@sentence("The record gives no interval from which to tell how large an estimate had to be.")
def threshold(ctx: Context) -> Inlines:
    """The smallest estimate that would have counted as a success."""
    f, writer = ctx.findings, ctx.writer
    c = f.contrast
    if c is None or c.value is None:
        return ()
    if ctx.record.origin == "posted" and f.primary is not None and by_pairs(ctx, f.primary):
        return writer.words("Its interval is that of a Hodges-Lehmann estimate, from which no such line follows.")
    if c.kind == "difference":
        se = standard_error(c)
        if se is None:
            return ()
        least = writer.compute(
            absolute_risk.smallest_significant,
            se,
            show=lambda x: numbers.number(x, 1 if x >= 1 else 2),
            what="the smallest difference that would have been called significant",
            method="two-sided normal test at the conventional level, with the standard error that was published",
        )
    elif c.low is not None and c.high is not None and c.low > 0:
        least = writer.compute(
            absolute_risk.smallest_significant_ratio,
            float(c.low),
            float(c.high),
            show=lambda x: numbers.number(x, 2),
            what="the ratio nearest to one that would have been called significant",
            method="two-sided normal test of the logarithm at the conventional level",
        )
    else:
        return ()
    return writer.say(
        "With its precision the trial could call an estimate significant only at {l}{u} or further from no effect; "
        "the estimate is {d}.",
        l=least,
        u=writer.label(ctx.gap_unit(f.outcome, f.primary)) if f.outcome is not None and c.kind == "difference" else (),
        d=ctx.contrast(c),
    )


@sentence("A meta-analysis needs an estimate with a standard error or an interval; the record holds none.")
def for_meta_analysis(ctx: Context) -> Inlines:
    """Estimate and standard error on the scale on which trials are pooled; counts can be pooled as they are."""
    f, writer = ctx.findings, ctx.writer
    c = f.contrast
    if (made := phrases.counted(ctx)) is not None and f.primary is not None:
        a, k = ctx.shown(ctx.arms_pair(f.primary) or ())  # type: ignore[arg-type]
        told = "It can be pooled from its counts: {a} and {k}, a difference of {d} percentage points."
        if not all(v.total for v in ctx.arms_pair(f.primary) or ()):
            told = "It can be pooled from the counts behind {a} % and {k} %: a difference of {d} percentage points."
        return writer.say(told, a=a, k=k, d=made[0])
    if c is None or c.value is None:
        return ()
    if c.kind == "difference":
        if c.se:
            return writer.say(
                "It can be pooled: the difference is {d}, its standard error, as published, {s}.",
                d=ctx.contrast(c),
                s=(writer.cite(numbers.number(c.se), c),),
            )
        if c.low is None or c.high is None or c.high <= c.low:
            return ()
        if ctx.record.origin == "posted" and f.primary is not None and by_pairs(ctx, f.primary):
            return writer.say(
                "The difference, {d}, is a Hodges-Lehmann estimate: it can be set beside others of its kind, and the "
                "width of its interval gives a standard error by approximation only.",
                d=ctx.contrast(c),
            )
        se = writer.compute(
            absolute_risk.se_from_interval,
            float(c.low),
            float(c.high),
            c.level,
            show=lambda x: numbers.number(x, 2),
            what="the standard error that the interval of the primary contrast implies",
            method="width of a symmetric normal interval",
        )
        return writer.say(
            "It can be pooled: the difference is {d}, and its interval implies a standard error of {s}.",
            d=ctx.contrast(c),
            s=se,
        )
    if c.low is None or c.high is None or c.low <= 0:
        return ()
    se = writer.compute(
        absolute_risk.se_from_ratio,
        float(c.low),
        float(c.high),
        c.level,
        show=lambda x: numbers.number(x, 2),
        what="the standard error of the logarithm of the primary ratio that its interval implies",
        method="width of a symmetric normal interval on the log scale",
    )
    return writer.say(
        "It can be pooled on the log scale: the ratio is {d}, the standard error of its logarithm {s}.",
        d=ctx.contrast(c),
        s=se,
    )


@items()
def ratios(ctx: Context) -> list[Inlines]:
    """Each ratio in plain words."""
    writer, f = ctx.writer, ctx.findings
    out: list[Inlines] = []
    results = [*([f.primary] if f.primary is not None else []), *f.biomarkers()]
    for r in results:
        c = r.contrast
        if c is None or not usable(c) or c.kind == "difference":
            continue
        lower = ctx.percent_lower(r)
        name = upper(writer.label(ctx.outcome(r.outcome)))
        if lower is None:
            out.append(writer.say("{o}: the ratio is {d}; one would mean no difference.", o=name, d=ctx.contrast(c)))
            continue
        way = {True: "", False: " - against {a}", None: ""}[f.favourable(r)]
        out.append(
            writer.say(
                "{o}: a ratio of {d} means {l} with {a} than with {c}" + way + ".",
                o=name,
                d=ctx.contrast(c),
                l=lower,
                a=ctx.active,
                c=ctx.control,
            )
        )
    return out


# -- other results -------------------------------------------------------------------------------------------------


@sentence()
def by_set(ctx: Context) -> Inlines:
    """The primary contrast in other sets, and that no interaction was tested."""
    f, writer = ctx.findings, ctx.writer
    if f.contrast is None or f.primary is None:
        return ()
    own = f.primary
    others = [
        r
        for r in f.others()
        if f.planned(r) is not False and r.set != own.set and r.measure == own.measure and not r.row and not r.subset
    ]
    if not others:
        return ()
    parts = [
        writer.say("{s} {d}", s=writer.label(ctx.set_phrase(r.set)), d=ctx.contrast(r.contrast))
        for r in others
        if r.contrast is not None
    ]
    return (
        *writer.say("In {s} {d}; in ", s=writer.label(ctx.set_phrase(f.primary.set)), d=ctx.contrast(f.contrast)),
        *joined(parts, "; in "),
        *writer.words(
            ". Whether sets differ is a question for a test of interaction, not for a small P value in one and a large "
            "one in the other. "
        ),
        *(_interactions(ctx, own, others) or writer.words("None is in the record.")),
    )


def _interactions(ctx: Context, own: Result, others: list[Result]) -> Inlines:
    return paragraphs(*(interaction_sentence(ctx, own, r) for r in others), strata_sentence(ctx))


@sentence()
def unplanned(ctx: Context) -> Inlines:
    """Main results that leave out no effect and were not fixed in advance, and who says so."""
    found = coherence._unplanned(ctx)
    return () if found is None else found.body


@sentence()
def tests_disagree(ctx: Context) -> Inlines:
    """One comparison on both sides of the conventional level."""
    found = coherence._tests_disagree(ctx)
    return () if found is None else found.body


@items()
def primary_tests(ctx: Context) -> list[Inlines]:
    """Every P value of the primary result with its test."""
    f = ctx.findings
    shown = [] if f.primary is None else [p for p in f.primary.p if p.usable]
    decides = ", which its source takes as the one that decides" if f.disputed else ", the one that decides"
    standing = {"formal": decides, "nominal": ", nominal", "not_stated": ""}
    return (
        [
            (*ctx.p(p, exact=True), Text(" by "), *ctx.test_label(p.method), *ctx.writer.words(standing[p.status]))
            for p in shown
        ]
        if len(shown) > 1
        else []
    )


@sentence()
def multiplicity(ctx: Context) -> Inlines:
    """How many P values the record holds, and how many small ones chance alone would give."""
    writer = ctx.writer
    n = sum(p.usable and p.value is not None for r in ctx.record.results for p in r.p)
    small = sum(p.usable and p.value is not None and p.value < ALPHA for r in ctx.record.results for p in r.p)
    if n < 2:
        return ()
    held = "[p for r in r.results for p in r.p if p.usable and p.value is not None]"
    head = f"from equipoise.records import load_record; r = load_record('{ctx.address}'); p = {held}"
    total = writer.by_command(numbers.number(n), f'python -c "{head}; print(len(p))"', "P values in the record")
    below = writer.by_command(
        numbers.number(small),
        f'python -c "{head}; print(sum(x.value < {ALPHA} for x in p))"',
        "P values in the record below the conventional level",
    )
    chance = writer.compute(
        absolute_risk.expected_small,
        n,
        show=lambda x: numbers.number(x, 1),
        what="P values below the conventional level expected if nothing had an effect",
        method="the number of P values times the level",
    )
    return writer.say(
        "The record holds {n} P values, {b} of them below the conventional level; if nothing had an effect, {e} would "
        "be so on average; in one trial it may be many or none, since tests on the same people are related.",
        n=total,
        b=below,
        e=chance,
    )


@items()
def other_results(ctx: Context) -> list[Inlines]:
    """The first main results beside the primary one."""
    f = ctx.findings
    out: list[Inlines] = []
    for r in ctx.record.results:
        if len(out) == 4:
            break
        own = (f.primary is not None and r.id == f.primary.id) or r in f.rows
        if own or r.role != "main" or not f.of_arms(r) or not (usable(r.contrast) or _pair(ctx, r)):
            continue
        out.append(_told(ctx, r))
    return [o for o in out if o]


def _pair(ctx: Context, r: Result) -> bool:
    return ctx.arms_pair(r) is not None


def _told(ctx: Context, r: Result) -> Inlines:
    writer = ctx.writer
    label = result_label(ctx, r)
    if r.contrast is not None and usable(r.contrast):
        unit = ctx.gap_unit(ctx.record.outcome(r.outcome), r) if r.contrast.kind == "difference" else ""
        said = writer.say(lead(ctx, r) + " {d}{u}", d=ctx.contrast(r.contrast), u=writer.label(unit))
    elif (pair := ctx.arms_pair(r)) is not None:
        shown = ctx.shown(pair)
        unit = "" if pair[0].total else ctx.unit(ctx.record.outcome(r.outcome), r)
        said = ctx.say("{a}{u} with {active}, {c}{u} with {control}", a=shown[0], c=shown[1], u=writer.label(unit))
    else:
        return ()
    p = ctx.findings.own_p(r)
    return (*label, Text(": "), *said, *((Text(", "), *ctx.p(p)) if p is not None else ()), Text("."))


@items()
def tempting(ctx: Context) -> list[Inlines]:
    """What a hopeful abstract could quote after a missed primary endpoint, and why not."""
    f, writer = ctx.findings, ctx.writer
    out: list[Inlines] = []
    for r in f.biomarkers():
        if r.contrast is not None and excludes_null(r.contrast):
            out.append(
                writer.say(
                    "{o}, ratio {d}: a marker, and nominal.",
                    o=upper(writer.label(ctx.outcome(r.outcome))),
                    d=ctx.contrast(r.contrast),
                )
            )
    planned, chosen = f.later_pair()
    if chosen is not None and chosen.contrast is not None and excludes_null(chosen.contrast):
        beside = (
            writer.say("; the planned analysis gives {d}", d=ctx.contrast(planned.contrast))
            if planned is not None and planned.contrast is not None
            else ()
        )
        out.append(
            (
                *writer.say(
                    "{o} at {w}, {d}: by an analysis not fixed in advance",
                    o=upper(writer.label(ctx.outcome(chosen.outcome))),
                    w=ctx.week(chosen.week),
                    d=ctx.contrast(chosen.contrast),
                ),
                *beside,
                Text("."),
            )
        )
    taken = {q.id for q in (*f.biomarkers(), planned, chosen, f.primary) if q is not None}
    seen = {r.outcome for r in f.biomarkers()}
    for r in sorted(ctx.record.results, key=lambda r: r.measure != "time_to_event"):
        c = r.contrast
        if len(out) >= 5 or r.id in taken or r.outcome in seen or r.role == "sensitivity" or not f.of_arms(r):
            continue
        if c is not None and usable(c) and excludes_null(c) and f.favourable(r):
            why = "not fixed in advance" if f.planned(r) is False else "outside the test that was to decide"
            seen.add(r.outcome)
            out.append((*result_label(ctx, r), *writer.say(", {d}: " + why + ".", d=ctx.contrast(c))))
    return out


# -- the replica ---------------------------------------------------------------------------------------------------


@items()
def replica_answers(ctx: Context) -> list[Inlines]:
    """What the rebuilt trial answers."""
    if ctx.replica is None:
        return []
    return [phrases.replica_sentence(ctx, a.sentence, a.command, a.question) for a in main_answers(ctx.replica)]


@sentence()
def replica_reading(ctx: Context) -> Inlines:
    """What its chances of success say together."""
    return reading(ctx) if ctx.replica is not None else ()


@sentence()
def sensitivity(ctx: Context) -> Inlines:
    """How the primary outcome's contrast moves over the sensitivity analyses, by week."""
    f, writer = ctx.findings, ctx.writer
    if f.primary is None:
        return ()
    by_week: dict[float, list[Contrast]] = {}
    for r in ctx.record.results:
        c = r.contrast
        if (
            r.outcome == f.primary.outcome
            and r.role == "sensitivity"
            and r.week is not None
            and c is not None
            and usable(c)
        ):
            by_week.setdefault(float(r.week), []).append(c)
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
