"""Certainty of the evidence: summary of findings, GRADE by outcome, risk of bias, decision, yield of testing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from equipoise.appraise import numbers
from equipoise.appraise.certainty import rating, testing
from equipoise.appraise.certainty.judgements import CRITERIA, DOMAINS, Decision, Graded, Judged, Judgements, Threshold
from equipoise.appraise.context import Context
from equipoise.appraise.estimates import LABELS
from equipoise.appraise.findings import excludes_null
from equipoise.appraise.phrases import paragraphs
from equipoise.appraise.sections import checklists
from equipoise.appraise.tables import DASH, data_of, result_label
from equipoise.document.document import (
    Block,
    Computed,
    Fold,
    Inlines,
    Listing,
    Note,
    Paragraph,
    Row,
    Section,
    Strong,
    Table,
    UncitedNumberError,
)
from equipoise.document.text import joined, upper
from equipoise.errors import RecordError
from equipoise.records.schema import Contrast, Value

FILE = "JUDGEMENTS"
"""Key of the judgements' own file among the sources."""
_GRADE = ("risk_of_bias", "inconsistency", "indirectness", "publication_bias")
_NAMES = {
    "risk_of_bias": "risk of bias",
    "inconsistency": "inconsistency",
    "indirectness": "indirectness",
    "publication_bias": "publication bias",
    "imprecision": "imprecision",
}


def build(ctx: Context) -> Section:
    """What was judged, by whom, and what follows; without judgements, what can be computed and the checklists."""
    writer, judged = ctx.writer, ctx.judgements
    blocks: list[Block] = []
    parts: list[Section] = []
    if judged is None:
        blocks.append(_nobody(ctx))
    else:
        rated = _rated(ctx, judged)
        blocks.append(Paragraph(_lead(ctx, judged, rated)))
        if rated:
            parts.append(_summary(ctx, rated))
        if judged.risk_of_bias:
            parts.append(_bias(ctx, judged))
        if judged.decision is not None:
            parts.append(_decision(ctx, judged, rated))
        if judged.testing is not None:
            parts.append(_testing(ctx, judged))
    parts.append(checklists.build(ctx))
    return Section("certainty", writer.words("Certainty and decision"), tuple(blocks), tuple(parts))


def overview(ctx: Context) -> tuple[rating.Level | None, rating.Recommendation | None]:
    """The certainty over the critical outcomes and the recommendation, as the section has them; None where unjudged."""
    judged = ctx.judgements
    if judged is None:
        return None, None
    level = _overall(_rated(ctx, judged))
    if judged.decision is None:
        return level, None
    return level, _recommended(judged.decision, level)


def _rated(ctx: Context, judged: Judgements) -> list[_Rated]:
    """The outcomes with their ratings; what the file of judgements brings is made known to the writer first."""
    adopt(ctx, judged)
    return [_rate(ctx, outcome) for outcome in judged.outcomes]


def adopt(ctx: Context, judged: Judgements) -> None:
    """Make known to the writer the file of judgements, its sources and values, so that they can be cited."""
    ctx.writer.adopt(
        FILE,
        f"Judgements on {ctx.trial}, made by {judged.judged_by}",
        f"to change them: equipoise judgements {ctx.address} --out FILE, then "
        f"equipoise appraise {ctx.address} --judgements FILE",
        judged.sources,
        judged.values,
    )


def _overall(rated: list[_Rated]) -> rating.Level | None:
    """The lowest certainty over the critical outcomes that stand for themselves."""
    critical = [r for r in rated if r.outcome.importance == "critical" and r.outcome.surrogate_for is None]
    return rating.lowest(r.level for r in critical)


def _recommended(decision: Decision, level: rating.Level | None) -> rating.Recommendation:
    return rating.recommendation(level, {key: c.judgement for key, c in decision.criteria.items()})


def _nobody(ctx: Context) -> Block:
    """No judgements: say so, and give what needs none."""
    writer, c = ctx.writer, ctx.findings.contrast
    own = excludes_null(c) if c is not None else None
    computed: Inlines = ()
    if own is not None:
        said = "excludes the value of no effect" if own else "includes the value of no effect"
        computed = writer.say(
            "What can be computed without judgement: the interval of the primary estimate, {c}, {said}.",
            c=ctx.contrast(c),  # type: ignore[arg-type]
            said=writer.words(said),
        )
    return Note(
        "info",
        writer.words("Nobody has judged this trial yet"),
        (
            Paragraph(
                paragraphs(
                    writer.words(
                        "Risk of bias, indirectness and what matters to patients are judgements of people, and are "
                        "never inferred here."
                    ),
                    computed,
                    writer.say(
                        "To judge it: {a} writes a file to fill in, {b} shows what follows from it.",
                        a=writer.code(f"equipoise judgements {ctx.address} --out FILE"),
                        b=writer.code(f"equipoise appraise {ctx.address} --judgements FILE"),
                    ),
                )
            ),
        ),
    )


# -- one outcome ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Rated:
    """An outcome with what was computed for it."""

    outcome: Graded
    imprecision: rating.Imprecision
    why: Inlines
    level: rating.Level
    effect: Inlines
    control: Inlines
    active: Inlines
    people: Inlines
    threshold: Inlines
    estimate: float
    """Positive favours the treatment; on the log scale for ratios."""
    smallest: float | None
    """The smallest effect that matters, on the same scale."""

    @property
    def multiple(self) -> float | None:
        """The estimate over the smallest effect that matters."""
        return None if self.smallest is None else rating.times_threshold(self.estimate, self.smallest)


def _rate(ctx: Context, outcome: Graded) -> _Rated:
    writer = ctx.writer
    if outcome.counts is not None:
        estimate, low, high, effect = _counted(ctx, outcome)
        kind = "risk"
    else:
        sourced = _sourced(ctx, outcome.estimate or "", f"outcomes.{outcome.id}.estimate")
        kind = outcome.kind or (sourced.kind if isinstance(sourced, Contrast) else "difference")
        if sourced.value is None or sourced.low is None or sourced.high is None:
            raise RecordError(
                f"judgements on {ctx.record.id}: outcomes.{outcome.id}: {outcome.estimate} has no interval",
                hint="GRADE's imprecision is read off an interval; name a contrast that has one",
            )
        effect = writer.say("{k}{e}", k=writer.words(LABELS[kind]), e=writer.cite(_interval(sourced, kind), sourced))
        estimate, low, high = float(sourced.value), float(sourced.low), float(sourced.high)
    estimate, low, high = _favour(estimate, low, high, kind, outcome.better)
    size, threshold = _threshold(ctx, outcome, kind)
    found = rating.imprecision(estimate, low, high, size)
    arguments = (estimate, low, high) if size is None else (estimate, low, high, size)
    why = _why(ctx, found, arguments, threshold)
    concerns = [getattr(outcome, name).concern for name in _GRADE]
    concerns.append(found.concern if outcome.imprecision is None else outcome.imprecision.concern)
    level = rating.certainty(outcome.start, concerns)
    people = _people(ctx, outcome)
    control = _value(ctx, outcome.control)
    active = _value(ctx, outcome.active)
    if outcome.counts is not None:
        control, active = (_value(ctx, outcome.counts[k]) for k in ("control", "active"))
    elif kind == "hazard_ratio" and outcome.control is not None and outcome.active is None:
        active = _under_ratio(ctx, outcome, sourced)
    return _Rated(outcome, found, why, level, effect, control, active, people, threshold, estimate, size)


def _sourced(ctx: Context, address: str, where: str) -> Value:
    entry = ctx.writer.values.get(address)
    sourced = entry.sourced if entry is not None else None
    if not isinstance(sourced, Value) or not sourced.usable:
        raise RecordError(
            f"judgements on {ctx.record.id}: {where}: {address!r} is no value that may be shown",
            hint="values from recall, and blocks as a whole, cannot carry a rating",
        )
    return sourced


def _counted(ctx: Context, outcome: Graded) -> tuple[float, float, float, Inlines]:
    counts = outcome.counts or {}
    a, c = (_sourced(ctx, counts[k], f"outcomes.{outcome.id}.counts.{k}") for k in ("active", "control"))
    if not (isinstance(a.value, int) and isinstance(c.value, int) and a.total and c.total):
        raise RecordError(f"judgements on {ctx.record.id}: outcomes.{outcome.id}: counts need a number and a total")
    computed, rd = ctx.risk_difference(outcome.label, a, c)
    effect = ctx.writer.say("{d} percentage points", d=computed)
    return rd.estimate, rd.low, rd.high, effect


def _favour(estimate: float, low: float, high: float, kind: str, better: str) -> tuple[float, float, float]:
    """On a scale where no effect is 0 and positive favours the treatment."""
    if kind in ("ratio", "hazard_ratio"):
        estimate, low, high = (math.log(x) for x in (estimate, low, high))
    if better == "lower":
        estimate, low, high = -estimate, -high, -low
    return round(estimate, 6), round(low, 6), round(high, 6)


def _threshold(ctx: Context, outcome: Graded, kind: str) -> tuple[float | None, Inlines]:
    """The threshold on that scale, and how it is shown."""
    writer, given = ctx.writer, outcome.threshold
    if given is None:
        return None, writer.words("none was set")
    place = f"outcomes.{outcome.id}.threshold"
    if given.share is not None:
        share = _sourced(ctx, given.share, place)
        control = _sourced(ctx, outcome.control or "", f"outcomes.{outcome.id}.control")
        fraction, change = float(share.value or 0) / 100.0, float(control.value or 0)
        shown = writer.compute(
            rating.important_difference,
            fraction,
            change,
            show=lambda x: numbers.number(x, 2 if x < 1 else 1),
            what=f"{outcome.label}: the smallest difference that matters, as a share of the change in the control arm",
            method="share times the absolute change",
        )
        return rating.important_difference(fraction, change), (shown,)
    value = float(given.value or 0)
    sourced = Value(value=given.value, source=FILE, place=place, confidence="seen")
    if kind in ("ratio", "hazard_ratio"):
        return rating.log_threshold(value), (writer.cite(numbers.number(value), sourced),)
    text = f"{numbers.number(100 * value)} percentage points" if kind == "risk" else numbers.number(value)
    return value, (writer.cite(text, sourced),)


def _why(ctx: Context, found: rating.Imprecision, arguments: tuple[float, ...], threshold: Inlines) -> Inlines:
    """What the interval says, each figure with its command."""
    writer = ctx.writer
    parts = [f"the interval {'includes' if found.includes_null else 'excludes'} the value of no effect"]
    if found.crosses_benefit and found.crosses_harm:
        parts.append("and reaches from an important benefit to an important harm")
    elif found.crosses_benefit:
        parts.append("and holds both an important and an unimportant benefit")
    elif found.crosses_harm:
        parts.append("and reaches an important harm")
    elif found.information is not None:
        parts.append("and lies on one side of the threshold")
    words = " ".join(parts)
    if found.information is None:
        return writer.words(words)
    information = writer.compute(
        rating.imprecision,
        *arguments,
        show=lambda x: numbers.percent(x.information or 0.0, 0),
        what="imprecision: what the interval holds, and the information at hand",
        method="thresholds of Core GRADE; information against a trial with the usual power for the threshold",
    )
    return writer.say(
        "{w}; it carries {i} of the information that a trial powered for the threshold would",
        w=writer.words(words),
        i=information,
    )


def _interval(sourced: Value, kind: str) -> str:
    if isinstance(sourced, Contrast):
        return numbers.contrast(sourced)
    digits = 2 if kind in ("ratio", "hazard_ratio") else None
    return f"{numbers.number(sourced.value or 0, digits)} ({numbers.span(sourced.low or 0, sourced.high or 0, digits)})"


def _people(ctx: Context, outcome: Graded) -> Inlines:
    """How many the estimate rests on: of the two counts, the set of a result, or the number beside a value."""
    writer = ctx.writer
    if outcome.counts is not None:
        a, c = (_sourced(ctx, outcome.counts[k], outcome.id) for k in ("active", "control"))
        return writer.say(
            "{a} and {c}",
            a=writer.cite(numbers.number(a.total or 0), a),
            c=writer.cite(numbers.number(c.total or 0), c),
        )
    address = outcome.estimate or ""
    result = next((r for r in ctx.record.results if address.startswith(f"{r.id}.")), None)
    if result is not None:
        counts = next((s.n for s in ctx.record.sets if s.id == result.set), {})
        shown = [
            counts[arm.id]
            for arm in (ctx.findings.active, ctx.findings.control)
            if arm.id in counts and counts[arm.id].usable
        ]
        if len(shown) == 2 and all(v.value is not None for v in shown):
            return writer.say(
                "{a} and {c}",
                a=writer.cite(numbers.number(shown[0].value or 0), shown[0]),
                c=writer.cite(numbers.number(shown[1].value or 0), shown[1]),
            )
    sourced = _sourced(ctx, address, outcome.id)
    return (writer.cite(numbers.number(sourced.n), sourced),) if sourced.n else writer.words("not stated")


def _value(ctx: Context, address: str | None) -> Inlines:
    if address is None:
        return DASH
    sourced = _sourced(ctx, address, "value")
    if sourced.total:
        return ctx.count(sourced)
    unit = (
        numbers.THIN + "%" if sourced.unit == "%" else f" {sourced.unit}" if sourced.unit in ("months", "weeks") else ""
    )
    return (ctx.writer.cite(numbers.number(sourced.value or 0) + unit, sourced),)


def _under_ratio(ctx: Context, outcome: Graded, sourced: Value) -> Inlines:
    control = _sourced(ctx, outcome.control or "", outcome.id)
    if control.unit != "%" or control.value is None or sourced.value is None:
        return DASH
    computed = ctx.writer.compute(
        rating.risk_under_hazard_ratio,
        float(control.value) / 100.0,
        float(sourced.value),
        show=lambda x: numbers.percent(x),
        what=f"{outcome.label}: risk with treatment if hazards are proportional",
        method="one minus survival to the power of the hazard ratio",
    )
    return (computed,)


# -- tables --------------------------------------------------------------------------------------------------------


def _lead(ctx: Context, judged: Judgements, rated: list[_Rated]) -> Inlines:
    writer = ctx.writer
    own = writer.say(
        "The judgements here are those of {who}; each has its reason, and the file that holds them can be changed "
        "({cmd}). What can be computed from them is computed.",
        who=writer.label(judged.judged_by),
        cmd=writer.code(f"equipoise judgements {ctx.address}"),
    )
    own = paragraphs(
        own,
        writer.words("They show how a recommendation follows; no guideline body made them.")
        if not ctx.own_judgements
        else (),
    )
    overall = _overall(rated)
    if overall is None:
        return own
    return paragraphs(writer.say("Over the critical outcomes the certainty is {l}.", l=writer.strong(overall)), own)


def _summary(ctx: Context, rated: list[_Rated]) -> Section:
    """Summary of findings, then why each certainty is what it is."""
    writer = ctx.writer
    control, active = upper(writer.label(ctx.control)), upper(writer.label(ctx.active))
    columns = (
        writer.words("Outcome"),
        writer.words("People"),
        control,
        active,
        writer.words("Effect"),
        writer.words("Certainty"),
    )
    rows = tuple(
        Row(
            (
                writer.say("{l} ({i})", l=_dated(ctx, r.outcome), i=r.outcome.importance),
                r.people,
                r.control,
                r.active,
                r.effect,
                (Strong(writer.words(r.level)),),
            )
        )
        for r in rated
    )
    caption = ctx.say(
        "Summary of findings: {active} against {control}. Intervals are at the level printed with the estimate."
    )
    table = Table("t-sof", caption, columns, rows)
    reasons = Table(
        "t-grade",
        writer.words("Why: the domains of GRADE, outcome by outcome. Imprecision is computed, the others are judged."),
        writer.heads("Domain", "Concern", "Reason"),
        tuple(row for r in rated for row in _reasons(ctx, r)),
    )
    return Section(
        "findings-table",
        writer.words("Summary of findings"),
        (
            Fold("f-sof", writer.words("People, effects and certainty, outcome by outcome"), (table,)),
            Fold("f-grade", writer.words("Why each certainty is what it is"), (reasons,)),
        ),
    )


def _dated(ctx: Context, outcome: Graded) -> Inlines:
    """The label of an outcome, and the cut of the data behind its estimate where that is of no week."""
    rests_on = (outcome.estimate or "").partition(".")[0]
    result = next((r for r in ctx.record.results if r.id == rests_on), None)
    dated = data_of(ctx, result.cut) if result is not None and result.week is None else ()
    label = _label(ctx, outcome)
    return ctx.writer.say("{l}, {d}", l=label, d=dated) if dated else label


def _label(ctx: Context, outcome: Graded) -> Inlines:
    try:
        return ctx.writer.words(outcome.label)
    except UncitedNumberError:
        pass  # a number that is no week of this trial rests on the estimate
    address = outcome.estimate or (outcome.counts or {}).get("active", "")
    sourced = ctx.writer.values.get(address)
    rests = sourced.sourced if sourced is not None else None
    return (ctx.writer.quote(outcome.label, rests) if rests is not None else None) or ctx.writer.label(outcome.label)


def _reasons(ctx: Context, r: _Rated) -> list[Row]:
    writer = ctx.writer
    head = writer.say("{l}: starts {s}, ends {e}", l=_dated(ctx, r.outcome), s=r.outcome.start, e=r.level)
    rows = [Row((head,), heading=True)]
    for name in _GRADE:
        judged = getattr(r.outcome, name)
        rows.append(_judged_row(ctx, _NAMES[name], judged.concern, judged, f"outcomes.{r.outcome.id}.{name}"))
    computed = writer.say(
        "{w} (threshold: {t}; rated as evidence of {g})", w=r.why, t=r.threshold, g=r.imprecision.target
    )
    rows.append(Row((writer.words("imprecision, computed"), writer.words(r.imprecision.concern), upper(computed))))
    if r.outcome.threshold is not None:
        where = f"outcomes.{r.outcome.id}.threshold"
        rows.append(Row((writer.words("threshold"), DASH, _reason(ctx, r.outcome.threshold, where))))
    if r.outcome.imprecision is not None:
        own = r.outcome.imprecision
        rows.append(
            _judged_row(ctx, "imprecision, overruled", own.concern, own, f"outcomes.{r.outcome.id}.imprecision")
        )
    return rows


def _judged_row(ctx: Context, name: str, judgement: str, judged: Judged, where: str) -> Row:
    writer = ctx.writer
    return Row((writer.words(name), writer.words(judgement), _reason(ctx, judged, where)))


def _reason(ctx: Context, judged: Judged, where: str) -> Inlines:
    """A reason with its numbers linked to what it rests on."""
    try:
        if not judged.refs:
            # a threshold may be the judges' own number: it rests on their file
            own = ctx.writer.quote(judged.reason, FILE) if isinstance(judged, Threshold) else None
            return own or ctx.writer.words(judged.reason)
        told = ctx.writer.told(judged.reason, *judged.refs)
    except UncitedNumberError as error:
        raise RecordError(
            f"judgements on {ctx.record.id}: {where}: {error}",
            hint="name under refs: what a number in a reason rests on, or say it in words",
        ) from None
    if told is None:
        raise RecordError(f"judgements on {ctx.record.id}: {where}: rests on something recalled, not read")
    return told


def _bias(ctx: Context, judged: Judgements) -> Section:
    writer = ctx.writer
    rows: list[Row] = []
    for item in judged.risk_of_bias:
        name = result_name(ctx, item.result)
        rows.append(Row((writer.say("{n}: {j}", n=name, j=item.judgement),), heading=True))
        for key, title in DOMAINS.items():
            domain = item.domains[key]
            rows.append(_judged_row(ctx, title, domain.judgement, domain, f"risk_of_bias.{item.result}.{key}"))
        if item.overall is not None:
            rows.append(
                _judged_row(ctx, "Overall", item.judgement, item.overall, f"risk_of_bias.{item.result}.overall")
            )
    caption = writer.words("Risk of bias by domain (RoB 2), judged for single results, not for the trial.")
    table = Table("t-rob", caption, writer.heads("Domain", "Judgement", "Reason"), tuple(rows))
    judged_as = [
        writer.say("{n}: {j}", n=result_name(ctx, item.result), j=writer.words(item.judgement))
        for item in judged.risk_of_bias
    ]
    domains = Fold("f-rob", writer.words("Domain by domain, each with its reason"), (table,))
    return Section("risk-of-bias", writer.words("Risk of bias"), (Listing(tuple(judged_as)), domains))


def result_name(ctx: Context, id: str) -> Inlines:
    """What a page calls a result or a group of results of the record."""
    result = next((r for r in ctx.record.results if r.id == id), None)
    if result is not None:
        return result_label(ctx, result)
    block = ctx.writer.blocks.get(id)
    label = str(getattr(block, "label", id))
    return ctx.writer.quote(label, id) or ctx.writer.label(label)


def _decision(ctx: Context, judged: Judgements, rated: list[_Rated]) -> Section:
    writer, decision = ctx.writer, judged.decision
    assert decision is not None
    level = _overall(rated)
    rows = []
    for key, (question, _) in CRITERIA.items():
        given = decision.criteria[key]
        rows.append(_judged_row(ctx, question, given.judgement, given, f"decision.{key}"))
        if key == "desirable" and (said := _sizes(ctx, rated)):
            rows.append(Row((writer.words("By the rule"), DASH, said)))
        if key == "undesirable" and level is not None:
            text = writer.words("the lowest over the critical outcomes, computed from the ratings above")
            rows.append(Row((writer.words("How certain is the evidence?"), writer.words(level), text)))
    table = Table(
        "t-etd",
        writer.words("From evidence to decision: the criteria of GRADE with the judgement on each."),
        writer.heads("Question", "Judgement", "Reason"),
        tuple(rows),
    )
    found = _recommended(decision, level)
    return Section(
        "decision",
        writer.words("From evidence to decision"),
        (
            Paragraph((Strong(upper(writer.label(decision.question))),)),
            _verdict(ctx, found),
            Fold("f-etd", writer.words("The criteria, each with its judgement and reason"), (table,)),
        ),
    )


def benefits(rated: Sequence[_Rated]) -> list[_Rated]:
    """The critical outcomes with a threshold in which the treatment was meant to help."""
    return [
        r
        for r in rated
        if r.multiple is not None
        and r.outcome.importance == "critical"
        and r.outcome.surrogate_for is None
        and r.outcome.counts is None
    ]


def _sizes(ctx: Context, rated: Sequence[_Rated]) -> Inlines:
    """Each estimate as a multiple of the smallest effect that matters, and the size that the rule gives it."""
    writer, parts = ctx.writer, []
    for r in benefits(rated):
        shown = writer.compute(
            rating.times_threshold,
            r.estimate,
            r.smallest,
            show=lambda x: numbers.number(x, 1),
            what=f"{r.outcome.label}: the estimate over the smallest effect that matters",
            method="the estimate over the threshold, on the log scale for ratios",
        )
        parts.append(
            writer.say("{o} {x} times ({s})", o=_label(ctx, r.outcome), x=shown, s=rating.size(r.multiple or 0.0))
        )
    return (
        (*writer.words("the estimates over the smallest effect that matters: "), *joined(parts, "; ")) if parts else ()
    )


def _verdict(ctx: Context, found: rating.Recommendation) -> Block:
    writer = ctx.writer
    titles = {
        ("strong", "for"): "As an illustration: a strong recommendation for it",
        ("strong", "against"): "As an illustration: a strong recommendation against it",
        ("conditional", "for"): "As an illustration: a conditional recommendation for it",
        ("conditional", "against"): "As an illustration: a conditional recommendation against it",
        ("none", "neither"): "As an illustration: no recommendation either way",
    }
    names = {"certainty": "the certainty of the evidence", "balance": "the balance", "values": "how values vary"}
    held = joined([writer.words(names.get(h, h)) for h in found.held_back])
    why = (
        writer.say("Not strong because of {h}.", h=held)
        if found.strength == "conditional"
        else writer.words("The balance of effects favours neither side, so nothing is suggested.")
        if found.strength == "none"
        else writer.words("Nothing in the judgements holds it back.")
    )
    rule = writer.words(
        "Rules, the same for every trial. Certainty over all is the lowest of the critical outcomes. Whatever the tool "
        "for risk of bias does not call low takes one step; imprecision is computed from the interval and the "
        "threshold; one concern is counted once. Thresholds: for function, slowing the loss of the control arm by the "
        "share named; for survival, the same hazard ratio in every trial. A desirable effect below the "
        "threshold is trivial, up to twice "
        "it small, up to twice that moderate, beyond that large, and it varies where outcomes or trials "
        "disagree. The balance goes to the larger of the "
        "desirable and the undesirable effects; where they are alike or cannot be compared it favours one side at most "
        "probably. The direction is that of the balance; it is strong only where the certainty is moderate or high, "
        "the balance is not hedged, values do not vary in a way that matters, and what is recommended can be accepted "
        "and done. GRADE knows exceptions, such as a strong recommendation on low certainty where life is at stake; "
        "this rule has none. Those who want one can say so in their own judgements."
    )
    rules = Fold("f-rules", writer.words("The rules behind it"), (Paragraph(rule),))
    return Note("illustration", writer.words(titles[found.strength, found.direction]), (Paragraph(why), rules))


def _testing(ctx: Context, judged: Judgements) -> Section:
    """The yield of testing everyone, under each set of stated frequencies."""
    writer, plan = ctx.writer, judged.testing
    assert plan is not None
    rows = []
    for s in plan.scenarios:
        values = [_sourced(ctx, a, f"testing.{s.label}") for a in (s.familial_share, s.in_familial, s.in_sporadic)]
        shares = [float(v.value or 0) / 100.0 for v in values]
        cells: list[Inlines] = [writer.label(s.label)]
        cells += [(writer.cite(f"{numbers.number(v.value or 0)}{numbers.THIN}%", v),) for v in values]
        cells += [(c,) for c in _yields(ctx, plan.variant, shares)]
        rows.append(Row(tuple(cells)))
    columns = tuple(
        writer.words(t)
        for t in (
            "Frequencies",
            "Familial disease",
            "Carriers among familial",
            "Carriers among sporadic",
            "Yield of testing everyone",
            "People to test for one carrier",
            "Missed if only families are tested",
        )
    )
    caption = writer.say(
        "Testing everyone for a {v} variant: what stated frequencies give. No trial tested this.", v=plan.variant
    )
    table = Table("t-testing", caption, columns, tuple(rows), (False, *([True] * 6)))
    blocks: list[Block] = [Fold("f-testing", writer.words("What testing everyone would find"), (table,))]
    if plan.guidance is not None:
        blocks.insert(0, Paragraph(_reason(ctx, plan.guidance, "testing.guidance")))
    return Section("testing", writer.say("Testing for {v}", v=plan.variant), tuple(blocks))


def testing_sentence(ctx: Context) -> Inlines:
    """What testing everyone finds under the first set of frequencies; empty where nobody has stated any."""
    judged = ctx.judgements
    if judged is None or judged.testing is None:
        return ()
    _rated(ctx, judged)  # makes its sources known
    first = judged.testing.scenarios[0]
    values = [
        _sourced(ctx, a, f"testing.{first.label}") for a in (first.familial_share, first.in_familial, first.in_sporadic)
    ]
    _, people, missed = _yields(ctx, judged.testing.variant, [float(v.value or 0) / 100.0 for v in values])
    return ctx.writer.say(
        "Yield: about {n} people tested for one carrier; testing only those with affected relatives would miss {m} of "
        "carriers (frequencies and sources under {l}).",
        n=people,
        m=missed,
        l=ctx.writer.to("testing", "testing"),
    )


def levels(ctx: Context) -> list[Inlines]:
    """The certainty of each critical outcome, as judged and computed; nothing where nobody has judged."""
    judged, writer = ctx.judgements, ctx.writer
    if judged is None:
        return []
    rated = [r for r in _rated(ctx, judged) if r.outcome.importance == "critical"]
    return [writer.say("{o}: certainty {l}.", o=_label(ctx, r.outcome), l=r.level) for r in rated]


def _yields(ctx: Context, variant: str, shares: list[float]) -> tuple[Computed, Computed, Computed]:
    writer = ctx.writer
    how = "share of familial disease times carriers among them, plus the same for sporadic disease"
    return (
        writer.compute(
            testing.testing_yield,
            *shares,
            show=lambda x: numbers.percent(x),
            what=f"{variant}: share of all patients who carry a variant",
            method=how,
        ),
        writer.compute(
            testing.number_to_test,
            *shares,
            show=lambda x: numbers.number(x, 0),
            what=f"{variant}: people to test for one carrier",
            method="the inverse of the yield",
        ),
        writer.compute(
            testing.missed_by_family_history,
            *shares,
            show=lambda x: numbers.percent(x),
            what=f"{variant}: carriers missed if only familial disease is tested",
            method=how,
        ),
    )
