"""Sentences that several sections need. Each follows what the record says, and is empty where it says nothing."""

from __future__ import annotations

import re

from equipoise.appraise import absolute_risk, numbers
from equipoise.appraise.context import Context
from equipoise.appraise.estimates import by_pairs, lead
from equipoise.appraise.findings import excludes_null, significant, standard_error, usable
from equipoise.appraise.open_verdict import direction_sentence
from equipoise.document.document import Computed, Inlines, Text
from equipoise.document.text import joined, upper
from equipoise.records.schema import AdverseEvent, Item, PValue, Result, Value

SPACE: Inlines = (Text(" "),)


def paragraphs(*sentences: Inlines) -> Inlines:
    """Sentences set one after the other; empty ones are left out."""
    out: Inlines = ()
    for s in sentences:
        if s:
            out = (*out, *(SPACE if out else ()), *s)
    return out


def verdict(ctx: Context) -> str:
    """The verdict on the primary endpoint in a word or two."""
    return ctx.findings.verdict


def disputed_sentence(ctx: Context) -> Inlines:
    """That the sources differ on whether the primary endpoint was met, each with its test; empty where they agree."""
    each = [ctx.writer.say("{p}{t}", p=ctx.p(p), t=ctx.by_test(p.method)) for p in ctx.findings.disputed]
    if not each:
        return ()
    return ctx.say("Whether {trial} met its primary endpoint depends on the source and its test: {e}.", e=joined(each))


def primary_sentence(ctx: Context) -> Inlines:
    """How the primary outcome changed in each arm, the difference, and the test that decided."""
    f, writer = ctx.findings, ctx.writer
    r, o = f.primary, f.outcome
    if r is None or o is None:
        return rows_sentence(ctx)
    unit = ctx.unit(o, r)
    pair = ctx.arms_pair(r)
    ratio = r.measure == "geometric_mean_ratio"
    change = r.measure in ("mean_change", "adjusted_mean_change", "percent_change") and ctx.record.origin == "written"
    percent = r.measure in ("percent_change", "percent", "responders")
    out: Inlines = ()
    template = ""
    if pair is not None:
        counted = bool(pair[0].total and pair[1].total)
        template = "At {w}, in {s}, {o}{row}: {a}{u} with {active} and {c}{u} with {control}"
        if ratio and ctx.record.origin == "written":
            template = "At {w}, in {s}, {o} stood at {a} of its baseline with {active} and {c} with {control}"
        elif r.measure == "rate_of_change" and ctx.record.origin == "written":
            template = "Up to {w}, in {s}, {o} changed by {a}{u} with {active} and by {c} with {control}"
        elif r.measure == "time_to_event" and counted:
            template = "By {w}, in {s}, {o} had occurred in {a} with {active} and {c} with {control}"
        elif change and not counted:
            template = "At {w}, in {s}, {o} had changed by {a}{u} with {active} and by {c} with {control}"
        if counted:
            unit = ""
        elif percent and not unit:
            unit = f"{numbers.THIN}%"
        out = writer.say(
            template,
            w=ctx.week(f.week),
            s=writer.label(ctx.set_phrase(r.set)),
            o=ctx.outcome(o.id),
            row=(
                *(writer.say(", {r}", r=writer.quote(r.row, r) or ()) if r.row else ()),
                *writer.words(", median" if ctx.median(r) else ""),
            ),
            a=ctx.shown(pair)[0],
            c=ctx.shown(pair)[1],
            u=writer.label(unit),
            active=ctx.active,
            control=ctx.control,
        )
    if f.contrast is not None and f.contrast.value is not None:
        joint = "; " if "}: {" in template else ": "
        out = (
            *out,
            *writer.say(
                (joint if out else "At {w} the record gives ") + lead(ctx, r) + " {d}{u}",
                w=ctx.week(f.week),
                d=ctx.contrast(f.contrast),
                u=writer.label(ctx.gap_unit(o, r)) if f.contrast.kind == "difference" else (),
            ),
        )
    if f.test is not None:
        by = ctx.by_test(f.test.method)
        if out:
            out = (*out, *writer.say(", {p}{t}", p=ctx.p(f.test), t=by))
        else:
            out = ctx.say("For {o} at {week} the record gives {p}{t}", o=ctx.outcome(o.id), p=ctx.p(f.test), t=by)
    return (*out, Text(".")) if out else ()


_ROWS = 6
"""As many rows of one outcome are told in a sentence; more stand in the table of results alone."""


def rows_sentence(ctx: Context) -> Inlines:
    """A primary outcome that an entry posts in several rows, none alone its result: every row, or where they stand."""
    f, writer = ctx.findings, ctx.writer
    if not f.rows or f.outcome is None:
        return ()
    head = writer.say(
        "{o} is posted in several rows, and none of them alone is the primary result",
        o=upper(writer.label(ctx.outcome(f.outcome.id))),
    )
    told = []
    for r in f.rows[:_ROWS]:
        pair = ctx.arms_pair(r)
        if pair is not None:
            a, c = ctx.shown(pair)
            told.append(writer.say("{r} {a} and {c}", r=writer.quote(r.row or "", r) or (), a=a, c=c))
    if len(f.rows) > _ROWS or len(told) < len(f.rows):
        return (*head, *writer.words("; they stand under Results."))
    return (*head, *ctx.say(". With {active} and {control}: "), *joined(told, "; "), Text("."))


def _question(ctx: Context) -> tuple[Item | None, Value | None]:
    """The item of the record that states the question of the primary analysis, and its margin, if it has them."""
    if ctx.findings.primary is None:
        return None, None
    stem = f"question_{ctx.findings.primary.id}_"
    item = next((i for i in ctx.record.items if i.id.startswith(stem) and i.usable), None)
    margin = None if item is None else item.values.get("margin")
    return item, margin if margin is not None and margin.usable and margin.value else None


def within_margin(ctx: Context) -> bool | None:
    """Whether the interval of the primary difference stays on the safe side of a stated margin; None without one."""
    c, found = ctx.findings.contrast, _margin(ctx)
    if c is None or found is None:
        return None
    side, margin = found
    low, high = c.low, c.high
    if c.kind == "difference" and c.turned:  # the margin is that of the posted order
        low, high = (None if x is None else -x for x in (c.high, c.low))
    if side == "low":
        return None if low is None else low > margin
    return None if high is None else high < margin


_LIMITS = {
    side: re.compile(
        rf"\b{word} (?:limit|bound|confidence|end|boundary|(?:one|two)-sided)"
        rf"|\b{word}\b[^.;]{{0,25}}\b(?:CI|limit|bound)",
        re.I,
    )
    for side, word in (("low", "lower"), ("high", "upper"))
}
"""How the text on a margin names the limit of the interval that is held against it."""


def _margin(ctx: Context) -> tuple[str, float] | None:
    """The limit that the margin is for, and the margin with its sign; None where the text does not settle both."""
    item, margin = _question(ctx)
    c = ctx.findings.contrast
    if item is None or margin is None or margin.value is None or c is None:
        return None
    text, value = item.text or "", float(margin.value)
    named = [side for side, pattern in _LIMITS.items() if pattern.search(text)]
    if c.kind != "difference":
        expected = "high" if value > 1.0 else "low"
        return (expected, value) if value > 0 and value != 1.0 and named == [expected] else None
    if value < 0:
        return None if named == ["high"] else ("low", value)
    if named == ["low"]:  # "a margin of 10 %, if the lower limit is above -10 %"
        minus = re.search(rf"[-\N{{MINUS SIGN}}\N{{EN DASH}}]\s?{re.escape(f'{value:g}')}(?![\d.])", text)
        return ("low", -value) if minus else None
    return ("high", value) if named == ["high"] else None


def margin_sentence(ctx: Context) -> Inlines:
    """Whether the trial showed that the active arm is not worse by more than the stated margin; empty without one."""
    inside = within_margin(ctx)
    if inside is None or ctx.findings.met is not None:
        return ()
    return ctx.say(
        ("{trial} showed" if inside else "{trial} did not show")
        + " that {active} is not worse than {control} by more than its margin."
    )


def untested_sentence(ctx: Context) -> Inlines:
    """That the primary outcome was described and not tested, and why; empty where that is not said."""
    why = ctx.findings.untested
    if ctx.findings.met is not None or why is None:
        return ()
    return ctx.say("{trial} describes its primary outcome and does not test it: " + why + ".")


def question_sentence(ctx: Context) -> Inlines:
    """The question of the primary analysis, where not superiority: its margin, and where the interval lies."""
    writer = ctx.writer
    item, margin = _question(ctx)
    if item is None:
        return ()
    out = writer.say("The question was one of {q}.", q=item.label.rpartition(": ")[2])
    if margin is None:
        said = writer.told(item.text, item, *item.values.values(), stop=".") if item.text else None
        return paragraphs(out, said or ())
    unit = f" {margin.unit}".replace(" %", f"{numbers.THIN}%") if margin.unit else ""
    out = paragraphs(out, writer.say("Its margin was {m}{u}.", m=ctx.number(margin), u=writer.label(unit)))
    inside = within_margin(ctx)
    if inside is None or ctx.findings.contrast is None:
        return out
    where = "stays on the safe side of the margin" if inside else "reaches beyond the margin"
    found = _margin(ctx)
    low = found is not None and found[0] == "low"
    way = (
        "Lower values count as worse, as the margin tells."
        if low
        else "Higher values count as worse, as the margin tells."
    )
    told = writer.say("The interval, {d}, " + where + ".", d=ctx.contrast(ctx.findings.contrast))
    open_ = ctx.findings.outcome is not None and ctx.findings.outcome.direction == "not_stated"
    return paragraphs(out, told, writer.words(way) if open_ else ())


def co_primary_sentence(ctx: Context) -> Inlines:
    """The other primary outcomes with their results; empty where there is one primary outcome."""
    writer, parts = ctx.writer, []
    for r in ctx.findings.co_primary():
        said = writer.label(ctx.outcome(r.outcome))
        if usable(r.contrast):
            unit = ctx.gap_unit(ctx.record.outcome(r.outcome), r) if r.contrast.kind == "difference" else ""
            shown = writer.say(", " + lead(ctx, r) + " {d}", d=ctx.contrast(r.contrast))
            said = (*said, *shown, *(writer.label(unit)))
        if (p := ctx.findings.own_p(r)) is not None:
            said = (*said, *writer.say(", {p}", p=ctx.p(p)))
        if groups := ctx.of_groups(r):
            said = (*said, *writer.say(" ({g})", g=groups))
        parts.append(said)
    if not parts:
        return ()
    start = "The other primary outcome: " if len(parts) == 1 else "The other primary outcomes: "
    return (*writer.words(start), *joined(parts, "; "), Text("."))


def test_differs(ctx: Context) -> bool:
    """Whether an entry's deciding test finds no difference where the interval of another analysis excludes none."""
    f = ctx.findings
    apart = f.contrast is not None and excludes_null(f.contrast) is True
    posted = ctx.record.origin == "posted" and f.split and f.test is not None
    return posted and apart and f.test is not None and significant(f.test) is False


def interval_sentence(ctx: Context) -> Inlines:
    """What the interval of the primary contrast leaves room for."""
    f, writer = ctx.findings, ctx.writer
    c, o = f.contrast, f.outcome
    if c is None or o is None or c.low is None or c.high is None:
        return ()
    against = f.worse and bool(excludes_null(c))
    if c.kind != "difference":
        if against:
            return ctx.say("The interval excludes the value of no effect, in favour of {control}.")
        if excludes_null(c):
            return writer.say("The interval excludes the value of no effect.")
        if o.direction == "not_stated":
            return writer.say("The interval includes the value of no effect.")
        return writer.say("The interval includes the value of no effect, so neither benefit nor harm can be ruled out.")
    digits = numbers.contrast_digits(c)
    unit = ctx.gap_unit(o, f.primary)
    better, worse = (c.high, c.low) if o.direction == "higher_better" else (c.low, c.high)
    if excludes_null(c) and test_differs(ctx) and f.test is not None:
        return writer.say(
            "The interval, from {low} to {high}{u}, excludes the value of no effect; the test that decides, {p}, comes "
            "from another analysis and does not call it a difference.",
            low=writer.cite(numbers.number(c.low, digits), c),
            high=writer.cite(numbers.number(c.high, digits), c),
            u=writer.label(unit),
            p=ctx.p(f.test),
        )
    if excludes_null(c):
        side = ", all of them in favour of {control}" if against else ""
        return writer.say(
            "The interval excludes the value of no effect: the data are compatible with a difference between "
            "{low} and {high}{u}" + side + ".",
            control=ctx.control,
            low=writer.cite(numbers.number(c.low, digits), c),
            high=writer.cite(numbers.number(c.high, digits), c),
            u=writer.label(unit),
        )
    if o.direction == "not_stated":
        said = writer.say(
            "The interval includes the value of no effect: the data are compatible with a difference between {low} and "
            "{high}{u}.",
            low=writer.cite(numbers.number(c.low, digits), c),
            high=writer.cite(numbers.number(c.high, digits), c),
            u=writer.label(unit),
        )
        return said if within_margin(ctx) is not None else paragraphs(said, direction_sentence(ctx))
    out = ctx.say(
        "The interval reaches from {worse}{u} in favour of {control} to {better}{u} in favour of {active}. "
        "The trial did not show a benefit; nor did it rule one out.",
        worse=writer.cite(numbers.number(abs(worse), digits), c),
        better=writer.cite(numbers.number(abs(better), digits), c),
        u=writer.label(unit),
    )
    matters = ctx.important_change()
    if matters is not None and matters[1] <= abs(better):
        out = (
            *out,
            *writer.say(
                " It also includes a difference of {m}{u}, {w}.",
                m=matters[0],
                u=writer.label(unit),
                w=writer.words(matters[2]),
            ),
        )
    return out


def split_sentence(ctx: Context) -> Inlines:
    """That the P value and the estimate of the primary outcome come from different analyses."""
    f, writer = ctx.findings, ctx.writer
    if not f.split or f.test is None or f.primary is None or f.contrast is None:
        return ()
    estimate = ctx.contrast(f.contrast) if f.contrast is not None else writer.words("the estimate")
    out = writer.say(
        "{p} and {d} come from different analyses: the P value from {t}, the difference from {e}",
        p=ctx.p(f.test),
        d=estimate,
        t=ctx.analysis(f.test.method),
        e=ctx.analysis(f.primary.method),
    )
    if f.estimate_p is not None:
        out = (*out, *writer.say(", whose own P value is {p}", p=_bare_p(ctx, f.estimate_p)))
    return (*out, Text("."))


def _bare_p(ctx: Context, p: PValue) -> Inlines:
    """A P value without its sign of equality: ``0.60``, ``< 0.001``; of a one-sided test ``0.03 (one-sided)``."""
    two_sided = p.model_copy(update={"sides": "two"})
    shown = re.sub(r"^P\s(=\s)?", "", numbers.p_value(two_sided))
    return (ctx.writer.cite(f"{shown} (one-sided)" if p.sides == "one" else shown, p),)


def biomarker_items(ctx: Context) -> list[Inlines]:
    """``plasma NfL 67 % lower (ratio 0.33 (0.25 to 0.45))`` for each laboratory outcome."""
    out = []
    for r in ctx.findings.biomarkers():
        if r.contrast is None:
            continue
        lower = ctx.percent_lower(r)
        said = ctx.writer.say("{o} was ", o=ctx.outcome(r.outcome))
        if lower is not None:
            said = (*said, *ctx.say("{l} with {active} than with {control} (", l=lower))
        else:
            said = ctx.writer.say("for {o} the record gives a ratio (", o=ctx.outcome(r.outcome))
        out.append(
            (
                *said,
                *ctx.writer.say(
                    "{k}{r})",
                    k="ratio " if lower is not None else "",
                    r=(ctx.writer.cite(_semicolon(numbers.contrast(r.contrast)), r.contrast),),
                ),
            )
        )
    return out


def _semicolon(text: str) -> str:
    """``0.33, 0.25 to 0.45``: an interval inside brackets."""
    return text.replace(" (", ", ").replace(")", "")


def biomarker_sentence(ctx: Context) -> Inlines:
    """What the laboratory outcomes did, and how much that counts."""
    items = biomarker_items(ctx)
    if not items:
        return ()
    return (*ctx.say("At {week} "), *joined(items), Text("."))


def nominal_sentence(ctx: Context) -> Inlines:
    """Why the P values after a failed primary test are nominal."""
    f = ctx.findings
    if f.met is False and any(o.test_order for o in ctx.record.outcomes if o.role != "primary"):
        return ctx.writer.say(
            "The outcomes were to be tested in order, each only if the one before had succeeded; the first failed, so "
            "every P value after it is nominal: a description, not a confirmation."
        )
    return ()


def formal_sentence(ctx: Context) -> Inlines:
    """The formal tests of other sets, each a family of its own: that the primary one failed does not touch them."""
    f, writer, parts = ctx.findings, ctx.writer, []
    for r in ctx.record.results:
        primary = f.primary is not None and r.outcome == f.primary.outcome and r.set == f.primary.set
        if primary or not ctx.formal(r) or ctx.record.origin != "written":
            continue
        p = next(p for p in r.p if p.status == "formal" and p.usable)
        shown = writer.say(" {d},", d=ctx.contrast(r.contrast)) if r.contrast is not None and r.contrast.usable else ()
        parts.append(
            writer.say(
                "{o} in {s},{d} {p}",
                o=ctx.outcome(r.outcome),
                s=writer.label(ctx.set_phrase(r.set)),
                d=shown,
                p=ctx.p(p),
            )
        )
    if not parts:
        return ()
    return (*writer.words("Tested formally as a question of its own: "), *joined(parts, "; "), Text("."))


def later_sentence(ctx: Context) -> Inlines:
    """The later comparison of early and delayed start, planned beside not planned."""
    f, writer = ctx.findings, ctx.writer
    planned, unplanned = f.later_pair()
    first = unplanned or planned
    if first is None or first.contrast is None or f.outcome is None:
        return ()
    unit = writer.label(ctx.unit(f.outcome))
    out = writer.say(
        "At {w}{after}, those who had started early were ahead by {d}{u}"
        if f.favourable(first)
        else "At {w}{after}, the difference was {d}{u}",
        w=ctx.week(first.week),
        after=_after_switch(ctx),
        d=ctx.contrast(first.contrast),
        u=unit,
    )
    if unplanned is None:
        return (*out, Text("."))
    out = (*out, *writer.say(" by {m} that had not been fixed in advance", m=ctx.analysis(unplanned.method)))
    if planned is not None and planned.contrast is not None:
        out = (*out, *writer.say("; the planned analysis gives {d}{u}", d=ctx.contrast(planned.contrast), u=unit))
        p = f.own_p(planned)
        if p is not None:
            out = (*out, *writer.say(", {p}", p=ctx.p(p)))
    return (*out, Text("."))


def _after_switch(ctx: Context) -> Inlines:
    extension = ctx.record.extension
    if extension is None or extension.switch_week.value is None:
        return ()
    return ctx.say(
        ", after {control} patients had switched to {active} at {w}", w=ctx.week(float(extension.switch_week.value))
    )


def survival_pair(ctx: Context) -> tuple[Result | None, Result | None, Result | None]:
    """(not planned in all, planned in all, planned in the primary set) hazard ratios of one outcome and cut."""
    f = ctx.findings
    results = [r for r in f.survival() if r.role == "main"]
    for r in results:
        if f.planned(r) is False and ctx.is_all(r.set):
            same = [q for q in results if q.outcome == r.outcome and q.cut == r.cut and f.planned(q)]
            planned = next((q for q in same if q.set == r.set), None)
            primary = next((q for q in same if q.set == f.set and q.set != r.set), None)
            if planned is not None or primary is not None:
                return r, planned, primary
    # death before composites that hold more than it, the randomised comparison before what followed it
    first = min(results, key=lambda r: (r.comparison != "randomised", r.outcome.endswith(_WIDER)), default=None)
    return None, first, None


_WIDER = ("HOSP", "PROG", "FRS", "WD")
"""Ends of the names of outcomes that hold more than death and breathing by machine."""


def _late(ctx: Context, r: Result) -> Inlines:
    """That a comparison goes on after the randomised period."""
    early = r.comparison == "early_delayed"
    return ctx.writer.words(", early against delayed start,") if early else ()


def survival_sentence(ctx: Context) -> Inlines:
    """Hazard ratios: the one that was published, the planned one, and the one in the primary set."""
    f, writer = ctx.findings, ctx.writer
    unplanned, planned, primary = survival_pair(ctx)
    shown = unplanned or planned
    if shown is None or shown.contrast is None:
        return ()
    method = f.method(shown.method)
    unnamed = method is not None and method.label.lower() == "hazard ratio"
    out = writer.say(
        "For {o}{late} the hazard ratio was {hr}{m}",
        o=ctx.outcome(shown.outcome),
        late=_late(ctx, shown),
        hr=ctx.contrast(shown.contrast),
        m=() if unnamed else writer.say(" by {m}", m=ctx.analysis(shown.method)),
    )
    if shown.comparison == "randomised" and unplanned is None:
        out = (*out, *_extended(ctx, shown))
    if unplanned is not None and planned is not None and planned.contrast is not None:
        out = (*out, *writer.say(" and {hr} by the planned model", hr=ctx.contrast(planned.contrast)))
    if primary is not None and primary.contrast is not None:
        away = f.favourable(primary) is False and f.favourable(shown) is True
        out = (
            *out,
            *writer.say(
                "; in {s} it was {hr}" + (", in the opposite direction" if away else ""),
                s=writer.label(ctx.set_phrase(primary.set)),
                hr=ctx.contrast(primary.contrast),
            ),
        )
    pair = ctx.arms_pair(shown)
    if pair is not None and pair[0].total and pair[1].total:
        counts = {"a": ctx.count(pair[0]), "c": ctx.count(pair[1])}
        if shown.comparison == "early_delayed":  # by then both arms have had the drug
            date = ctx.cut_date(shown.cut) if shown.week is None else ()
            until = writer.say(", by {d},", d=date) if date else ()
            told = "In {s}{u} there were events in {a} people who started early and {c} who started later"
            out = (*out, *writer.say(". " + told, s=writer.label(ctx.set_phrase(shown.set)), u=until, **counts))
        else:
            out = (*out, *ctx.say(". There were events in {a} people with {active} and {c} with {control}", **counts))
    return (*out, Text("."))


def _extended(ctx: Context, shown: Result) -> Inlines:
    """The hazard ratio of death (or of the same events) over the extension, beside that of the randomised weeks."""
    f, writer = ctx.findings, ctx.writer
    when = writer.say(", in the randomised period to {w}", w=ctx.week(shown.week)) if shown.week is not None else ()
    late = [r for r in f.survival() if r.role == "main" and r.comparison == "early_delayed"]
    later = min(late, key=lambda r: (r.outcome != "DEATH", r.outcome != shown.outcome), default=None)
    if later is None or later.contrast is None:
        return when
    return (
        *when,
        *writer.say(
            "; over the extension, early against delayed start, that for {o} was {hr}",
            o=ctx.outcome(later.outcome),
            hr=ctx.contrast(later.contrast),
        ),
    )


def neuro_sentence(ctx: Context) -> Inlines:
    """Serious neurologic events by arm, with the risk difference."""
    event = ctx.findings.serious_neurologic()
    if event is None:
        return ()
    return count_sentence(ctx, event)


def count_sentence(ctx: Context, event: AdverseEvent) -> Inlines:
    """``Serious neurologic event: 4 of 72 with tofersen, 0 of 36 with placebo, difference …``."""
    counts = ctx.findings.counts(event)
    if counts is None:
        return ()
    computed, _ = ctx.risk_difference(event.term, *counts)
    label = ctx.writer.quote(event.term, event) or ctx.writer.label(event.term)
    return ctx.say(
        "{t}: {a} with {active} and {c} with {control}, a difference of {d} percentage points.",
        t=label,
        a=ctx.count(counts[0]),
        c=ctx.count(counts[1]),
        d=computed,
    )


def counted(ctx: Context) -> tuple[Computed, absolute_risk.RiskDifference] | None:
    """The difference in risk of a primary result that is told as people of people in both arms, without an estimate."""
    f = ctx.findings
    pair = None if f.primary is None or usable(f.contrast) else ctx.arms_pair(f.primary)
    if pair is None or f.primary is None or f.outcome is None:
        return None
    if not (pair[0].total and pair[1].total):
        people = f.primary.measure == "percent" and f.outcome.scale == "count"
        found = [_count_behind(v) if people else None for v in pair]
        if found[0] is None or found[1] is None:
            return None
        return ctx.risk_difference(f.outcome.label, found[0], found[1])
    if any(not isinstance(v.value, int) for v in pair):
        return None
    return ctx.risk_difference(f.outcome.label, *pair)


def _count_behind(v: Value) -> Value | None:
    """The people behind a percentage, where one whole number alone gives it as it was printed."""
    if v.value is None or not v.n:
        return None
    digits = numbers.decimals(v.value) if v.digits is None else v.digits
    fits = [k for k in range(v.n + 1) if abs(100.0 * k / v.n - float(v.value)) <= 0.5 * 10.0**-digits + 1e-9]
    return v.model_copy(update={"value": fits[0], "total": v.n}) if len(fits) == 1 else None


def counted_interval(ctx: Context) -> Inlines:
    """What the interval of a difference between counts leaves open; empty where the result is no pair of counts."""
    made = counted(ctx)
    if made is None:
        return ()
    side = "excludes" if made[1].low > 0 or made[1].high < 0 else "includes"
    return ctx.writer.say(
        "The people behind it give a difference of {d} percentage points, an interval that " + side + " no difference.",
        d=made[0],
    )


def _detectable_risk(ctx: Context) -> Inlines:
    made = counted(ctx)
    if made is None:
        return ()
    se = round(100.0 * absolute_risk.se_from_interval(made[1].low, made[1].high, 0.95), 2)
    found = ctx.writer.compute(
        absolute_risk.detectable_difference,
        se,
        show=lambda x: numbers.number(x, 0),
        what="percentage points: the true difference that the standard error of the counts detects",
        method="two-sided normal test at the conventional level with the conventional power; standard error from "
        "Newcombe's interval",
    )
    return ctx.writer.say(
        "From its counts, the trial had 80 % power only for a true difference of {d} percentage points or more.",
        d=found,
    )


def detectable_sentence(ctx: Context) -> Inlines:
    """What the trial could have found, from the standard error it ended with, or from its counts."""
    f, writer = ctx.findings, ctx.writer
    c = f.contrast
    if c is None:
        return _detectable_risk(ctx)
    if c.kind != "difference" or f.outcome is None:
        return ()
    if ctx.record.origin == "posted" and f.primary is not None and by_pairs(ctx, f.primary):
        return writer.words(
            "Its interval is that of a Hodges-Lehmann estimate, from which no standard error follows: what the trial "
            "could have found is not computed."
        )
    se = standard_error(c)
    if se is None:
        return ()
    found = writer.compute(
        absolute_risk.detectable_difference,
        float(se),
        show=lambda x: numbers.number(x, 1 if x >= 1 else 2),
        what=f"{f.outcome.label}: the true difference that the primary contrast's standard error detects",
        method="two-sided normal test at the conventional level with the conventional power",
    )
    unit = writer.label(ctx.gap_unit(f.outcome, f.primary))
    out = writer.say(
        "Given its standard error, the trial had 80 % power only for a true difference of {d}{u} or more.",
        d=found,
        u=unit,
    )
    matters = ctx.important_change()
    if matters is not None:
        power = writer.compute(
            absolute_risk.power_at,
            round(matters[1], 6),
            float(se),
            show=lambda x: numbers.percent(x, 0),
            what="power at the smallest difference that matters",
            method="two-sided normal test at the conventional level, with the standard error that was published",
        )
        out = (
            *out,
            *writer.say(
                " For {m}{u}, {w}, its power was {p}.", m=matters[0], u=unit, w=writer.words(matters[2]), p=power
            ),
        )
    return out


def replica_sentence(ctx: Context, text: str, command: str, what: str) -> Inlines:
    """A sentence of the replica with its figures linked to the command behind them."""
    return ctx.writer.quote_computed(text, command, what)
