"""Whether an effect differs between the two parts of a set: the share each gives, and the test of interaction."""

from __future__ import annotations

from equipoise.appraise import absolute_risk, numbers
from equipoise.appraise.context import Context
from equipoise.appraise.findings import standard_error, usable
from equipoise.appraise.phrases import paragraphs
from equipoise.document.document import Computed, Inlines
from equipoise.records.schema import Result

Counts = tuple[int, int, int, int]


def strata_sentence(ctx: Context) -> Inlines:
    """For each week with counts in two parts of the primary set: what one part gives of the gain, and P."""
    f, writer = ctx.findings, ctx.writer
    parts = next((s.parts for s in ctx.record.sets if s.id == f.set and len(s.parts) == 2), ())
    if not parts or f.primary is None:
        return ()
    weeks = dict.fromkeys(r.week for r in ctx.record.find_results(f.primary.outcome, role="main"))
    said: list[Inlines] = []
    for week in sorted((w for w in weeks if w is not None), key=float):
        pair = [_counts(ctx, set, week) for set in parts]
        if any(c is None for c in pair):
            continue
        one, other = (c for c in pair if c is not None)
        name = ctx.set_name(parts[0])
        what = ctx.record.when(week)
        share = writer.compute(
            absolute_risk.share_of_gain,
            one,  # type: ignore[arg-type]
            other,  # type: ignore[arg-type]
            show=lambda x: numbers.percent(x, 0),
            what=f"{name}, {what}: its share of the gain over the control arm",
            method="people beyond what the control arm's risk would give, in this part over both",
        )
        p = _p(ctx, absolute_risk.interaction_of_risks, one, other, f"the two parts at {what}: do their effects differ")
        said.append(
            writer.say(
                "At {w} {s} gives {x} of the gain; the test of interaction between the parts gives P = {p}",
                w=ctx.week(float(week)),
                s=writer.label(name),
                x=share,
                p=p,
            )
        )
    return paragraphs(*((*s, *writer.words(".")) for s in said))


def interaction_sentence(ctx: Context, one: Result, other: Result) -> Inlines:
    """The test of interaction between two sets that share nobody, from their published estimates; else empty."""
    sets = {s.id: s.parts for s in ctx.record.sets}
    apart = any({one.set, other.set} <= set(parts) for parts in sets.values())
    if not apart or not usable(one.contrast) or not usable(other.contrast):
        return ()
    errors = [standard_error(c) for c in (one.contrast, other.contrast)]
    if None in errors:
        return ()
    if one.contrast.kind != "difference" or other.contrast.kind != "difference":
        return ()
    p = ctx.writer.compute(
        absolute_risk.interaction,
        float(one.contrast.value or 0),
        round(float(errors[0] or 0), 4),
        float(other.contrast.value or 0),
        round(float(errors[1] or 0), 4),
        show=lambda x: numbers.number(x, 2),
        what=f"{ctx.set_name(one.set)} against {ctx.set_name(other.set)}: test of interaction",
        method="difference of two independent estimates over its standard error",
    )
    return ctx.writer.say(
        "The test of interaction between {a} and {b} gives P = {p}, from the published estimates.",
        a=ctx.writer.label(ctx.set_phrase(one.set)),
        b=ctx.writer.label(ctx.set_phrase(other.set)),
        p=p,
    )


def _p(ctx: Context, function: object, one: Counts, other: Counts, what: str) -> Computed:
    return ctx.writer.compute(
        function,  # type: ignore[arg-type]
        one,  # type: ignore[arg-type]
        other,  # type: ignore[arg-type]
        show=lambda x: numbers.number(x, 2),
        what=what,
        method="normal test of the difference of two differences in risk",
    )


def _counts(ctx: Context, set: str, week: float) -> Counts | None:
    f = ctx.findings
    assert f.primary is not None
    for r in ctx.record.find_results(f.primary.outcome, set=set, week=week):
        pair = ctx.arms_pair(r)
        if pair is not None and all(v.total and isinstance(v.value, int) for v in pair):
            a, c = pair
            return int(a.value or 0), int(a.total or 0), int(c.value or 0), int(c.total or 0)
    return None
