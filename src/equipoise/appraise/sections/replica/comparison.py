"""What was published beside what the rebuilt trial gives: the tally, the plot and the table."""

from __future__ import annotations

import math
from collections.abc import Callable

from equipoise.appraise import absolute_risk, numbers
from equipoise.appraise.context import Context
from equipoise.appraise.phrases import paragraphs
from equipoise.appraise.sections.replica.words import LOG, difference, known, period, title_of, use_of
from equipoise.document.document import Block, Dot, DotPanel, Dots, Figure, Inlines, Paragraph, Row, Table, Text
from equipoise.document.text import joined, lower, short, upper
from equipoise.records.schema import Sourced
from equipoise.replica.replica import MechanismRow, Replica, ReplicaRow


def tally(ctx: Context, replica: Replica) -> Inlines:
    writer = ctx.writer
    fitted = [r for r in replica.rows if r.used_in_fit and r.z is not None]
    held = [r for r in replica.rows if not r.used_in_fit and r.z is not None]
    out: Inlines = ()
    if fitted:
        within = sum(bool(r.within_one_se) for r in fitted)
        out = writer.say(
            "Of the quantities that the replica was fitted to, {k} of {n} lie within one published standard error of "
            "their published value.",
            k=writer.simulated(str(within)),
            n=writer.simulated(str(len(fitted))),
        )
    same = [r for r in held if use_of(ctx, r) == "restated"]
    later = [r for r in held if use_of(ctx, r) == "check"]
    if same:
        out = paragraphs(
            out,
            writer.say(
                "Of others from the same period, {k} of {n} do; they belong to the same people and weeks, and so are "
                "no independent check.",
                k=writer.simulated(str(sum(bool(r.within_one_se) for r in same))),
                n=writer.simulated(str(len(same))),
            ),
        )
    if later:
        placed = [
            r
            for r in replica.rows
            if use_of(ctx, r) == "check" and r.scale not in ("p", "se") and math.isfinite(r.position)
        ]
        expected = writer.compute(
            absolute_risk.within_errors,
            1,
            show=lambda x: numbers.percent(x, 0),
            what="how often an estimate lies within one standard error of the truth",
            method="normal theory",
        )
        out = paragraphs(
            out,
            writer.say(
                "Of those kept out of the fit, the real checks, {k} of {n} do; of a replica that was exactly right, "
                "about {e} would.",
                k=writer.simulated(str(sum(bool(r.within_one_se) for r in later))),
                n=writer.simulated(str(len(later))),
                e=expected,
            ),
            writer.say(
                "Of all values kept out, with or without a standard error, {i} of {n} lie inside the "
                "95 % range of single simulated trials.",
                i=writer.simulated(str(sum(0.025 <= r.position <= 0.975 for r in placed))),
                n=writer.simulated(str(len(placed))),
            ),
        )
    return out or writer.words("None of the quantities was published with a standard error to compare on.")


def weaker(r: ReplicaRow) -> bool:
    """Whether a simulated contrast lies nearer to no effect than the published one, or on the other side of it."""
    published, simulated = (math.log(x) if r.scale in LOG else x for x in (r.published, r.simulated))
    return published != 0 and simulated / published < 1


def held_out_contrasts(ctx: Context, replica: Replica) -> list[ReplicaRow]:
    """Differences between the arms that no fit has seen, later than the fitted period."""
    return [
        r
        for r in replica.rows
        if use_of(ctx, r) == "check"
        and r.arm is None
        and r.scale in ("difference", "ratio", "hazard_ratio")
        and _finite(r)
        and r.published != (1.0 if r.scale in LOG else 0.0)
    ]


def differences(ctx: Context, replica: Replica) -> list[Block]:
    """Every held-out difference between the arms with equal weight, and whether they err to one side."""
    writer, kept = ctx.writer, held_out_contrasts(ctx, replica)
    if len(kept) < 2:
        return []
    rows = []
    for r in kept:
        title = title_of(ctx, r) or r.quantity
        if r.external:
            title = r.quantity
        elif "observed" in r.quantity:
            title = f"{title}, observed change"
        label = f"{title}, {lower(_row_label(ctx, r))}".replace(", difference between the arms", "")
        name = label.replace(", hazard ratio", "").replace(", difference", "").replace(", ratio", "")
        rows.append(Row((upper(writer.label(name)), published(ctx, r), _simulated(ctx, r, r.simulated))))
    weak = sum(weaker(r) for r in kept)
    table = Table(
        "t-held-out",
        writer.words("Every difference between the arms that was kept out of the fit, with equal weight."),
        (writer.words("Difference"), writer.words("Published"), writer.words("Predicted")),
        tuple(rows),
        (False, True, True),
    )
    out: list[Inlines] = []
    counts = {"k": writer.simulated(str(weak)), "n": writer.simulated(str(len(kept)))}
    if weak > 0.75 * len(kept):
        out.append(
            writer.say(
                "They lean to one side: {k} of {n} are predicted weaker than they were published. The drug of the "
                "replica may be too weak, the later analyses may flatter it, or it is chance, since the results share "
                "patients; the fit cannot tell. So the counts above are no reason to trust it.",
                **counts,
            )
        )
    elif weak < 0.25 * len(kept):
        out.append(
            writer.say(
                "Only {k} of {n} are predicted weaker than published: the drug of the replica is too strong.", **counts
            )
        )
    other = [
        r for r in replica.rows if r.scale == "correlation" and not r.used_in_fit and (r.z is None or abs(r.z) > 2)
    ]
    if other:
        said = [
            writer.say(
                "{q} {p} as published, {s} as simulated",
                q=r.quantity,
                p=published(ctx, r),
                s=_simulated(ctx, r, r.simulated),
            )
            for r in other
        ]
        out.append((*writer.words("It also misses a link between measures. "), *joined(said, "; "), Text(".")))
    return [table, Paragraph(paragraphs(*out))] if out else [table]


def dots_figure(ctx: Context, replica: Replica) -> Figure | None:
    """Simulated against published, in published standard errors; contrasts and arm values that have one."""
    writer = ctx.writer
    scored = [r for r in replica.rows if r.z is not None and r.published_se and _finite(r)]
    chosen = [r for r in scored if r.arm is None and r.scale in ("difference", "ratio", "hazard_ratio")] or scored[:40]
    if not chosen:
        return None
    groups: dict[str, list[ReplicaRow]] = {}
    for r in chosen:
        groups.setdefault(r.outcome, []).append(r)
    panels, rows = [], []
    for outcome, group in groups.items():
        title = title_of(ctx, group[0]) or outcome
        panels.append(DotPanel(title, tuple(_dot(ctx, r) for r in group)))
        rows.append(Row((writer.label(title),), heading=True))
        for r in group:
            assert r.z is not None
            rows.append(
                Row(
                    (
                        writer.label(_row_label(ctx, r)),
                        (writer.simulated(numbers.number(r.z, 2, plus=True)),),
                        writer.words(use_of(ctx, r)),
                    )
                )
            )
    table = Table(
        "t-dots",
        writer.words("Simulated mean minus published value, in published standard errors (ratios on the log scale)."),
        writer.heads("Quantity", "Distance", "Used as"),
        tuple(rows),
        (False, True, False),
    )
    return Figure(
        "fig-dots",
        writer.words("How far the replica lies from what was published"),
        writer.words(
            "Dot plot by outcome: where the simulated mean lies, in published standard errors from the published "
            "value, with the range of single simulated trials. The table below holds the same distances."
        ),
        Dots(tuple(panels)),
        writer.words(
            "Zero is the published value. The mark is the mean of the simulated trials, the line the 95 % range of a "
            f"single one. Of the values that were not used in the fit only those after the {period(ctx)} are an "
            "independent check; the table tells them apart."
        ),
        table,
    )


def _finite(r: ReplicaRow) -> bool:
    bounds = (r.published, r.simulated, r.simulated_low, r.simulated_high)
    return all(math.isfinite(x) and (r.scale not in LOG or x > 0) for x in bounds)


def _dot(ctx: Context, r: ReplicaRow) -> Dot:
    """A row in published standard errors; those of ratios are on the log scale."""
    assert r.z is not None
    assert r.published_se
    to: Callable[[float], float] = math.log if r.scale in LOG else float
    low, high = ((to(x) - to(r.published)) / r.published_se for x in (r.simulated_low, r.simulated_high))
    return Dot(_row_label(ctx, r), r.z, low, high, r.used_in_fit)


def _row_label(ctx: Context, r: ReplicaRow) -> str:
    arm = next((lower(a.label) for a in ctx.record.arms if a.id == r.arm), r.arm)
    # a comparison of those who went on is that of a set of the record, though it is simulated in everyone
    found = None if r.external else known(ctx, r.result)
    parts = [ctx.set_name(r.analysis_set if found is None else found.set)]
    if arm:
        parts.append(arm)
    elif r.scale in ("difference", "ratio", "hazard_ratio"):
        parts.append(r.scale.replace("_", " "))
    elif difference(r):
        parts.append("difference")
    if r.week is not None:
        parts.append(ctx.record.when(r.week))
    method = ctx.findings.method(r.method)
    if method is not None and method.adjusts_nfl:
        parts.append("NfL-adjusted")
    text = ", ".join(parts)
    return text[:1].upper() + text[1:]


def comparison_table(ctx: Context, replica: Replica) -> Table:
    writer = ctx.writer
    labels = {o.id: short(o.label) for o in ctx.record.outcomes}
    uses = {"check": "kept out of the fit: a check", "restated": "same period, not fitted", "fit": "fitted"}
    rows = []
    group = None
    inputs = [r for r in replica.rows if r.outcome == "AE" or use_of(ctx, r) == "set"]
    for r in sorted(
        (r for r in replica.rows if r not in inputs),
        key=lambda r: (
            list(uses).index(use_of(ctx, r)),
            list(labels).index(r.outcome) if r.outcome in labels else len(labels),
        ),
    ):
        title = title_of(ctx, r) or "The people and their course"
        key = (use_of(ctx, r), title)
        if key != group:
            group = key
            rows.append(Row((writer.say("{o} – {u}", o=title, u=writer.words(uses[key[0]])),), heading=True))
        rows.append(
            Row(
                (
                    _quantity(ctx, r, title),
                    published(ctx, r),
                    _simulated(ctx, r, r.simulated),
                    _simulated(ctx, r, r.simulated_low, r.simulated_high),
                    _simulated(ctx, r, r.mc_error, more=1),
                    (writer.simulated(numbers.percent(r.position, 0)),) if math.isfinite(r.position) else (Text("–"),),
                )
            )
        )
    columns = writer.heads(
        "Quantity",
        "Published",
        "Simulated mean",
        "95 % range of one trial",
        "Monte Carlo error",
        "Simulated trials below the published value",
    )
    caption = writer.words(
        "What was published beside what the rebuilt trial gives; first what is a check, last what was fitted."
    )
    if inputs:
        caption = (
            *caption,
            *writer.words(" Rates of adverse events and other counts put in as published are left out here."),
        )
    return Table("t-replica", caption, columns, tuple(rows), (False, True, True, True, True, True))


def _quantity(ctx: Context, r: ReplicaRow, title: str) -> Inlines:
    """What a row holds, without what its heading has said already."""
    quantity = r.quantity
    if quantity.startswith(title):
        quantity = quantity[len(title) :].lstrip(" ,:") or "share"
    where = _row_label(ctx, r).split(", ")
    where = [w for w in where if w.lower() not in ("difference", "ratio", "hazard ratio")]
    method = ctx.findings.method(r.method)
    if r.scale == "p":
        found = known(ctx, r.result)
        if r.week is None and found is not None and found.week is not None:
            where.append(ctx.record.when(found.week))
        name = ctx.test_name(r.method)
        where.append(name if name != "test" or method is None else lower(method.label))
    if r.scale == "median" and r.unit:
        where.append(r.unit)
    return upper((*ctx.writer.label(quantity), *ctx.writer.label(", " + lower(", ".join(where)))))


def form(r: ReplicaRow | MechanismRow, x: float, more: int = 0) -> str:
    """A number of a row on its own scale: shares as percentages, small numbers with more decimals."""
    if isinstance(r, MechanismRow) and r.scale == "difference":
        return numbers.number(x, 1)
    if r.scale == "percent":
        return numbers.number(100 * x, 1) if difference(r) else numbers.percent(x, 1)
    if r.scale == "median":
        places = 0 if r.published == int(r.published) else 1
        return numbers.number(x, places + more) if math.isfinite(x) else "not reached"
    size = abs(r.published)
    if r.scale == "p" and not more and x < 0.001:
        return "< 0.001"
    digits = 3 if r.scale == "p" else 2 if r.scale in ("gmr", "hazard_ratio", "correlation") or size < 2 else 1
    return numbers.number(x, digits + more)


def _simulated(ctx: Context, r: ReplicaRow, *values: float, more: int = 0) -> Inlines:
    if any(math.isnan(v) for v in values) or (r.scale != "median" and not all(math.isfinite(v) for v in values)):
        return (Text("–"),)
    return (ctx.writer.simulated(" to ".join(form(r, v, more) for v in values)),)


def published(ctx: Context, r: ReplicaRow) -> Inlines:
    if r.confidence == "recall" or r.source not in ctx.record.sources:
        return (Text("–"),)
    text = form(r, r.published)
    if r.published_low is not None and r.published_high is not None:
        text += f" ({form(r, r.published_low)} to {form(r, r.published_high)})"
    confidence = r.confidence
    found = known(ctx, r.result)
    if r.scale == "se" and found is not None and found.contrast is not None and found.contrast.se is None:
        confidence = "derived"  # from the interval
    sourced = Sourced(source=r.source, place=r.place or None, confidence=confidence)  # type: ignore[arg-type]
    return (ctx.writer.cite(text, sourced),)
