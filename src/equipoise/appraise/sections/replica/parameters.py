"""The parameters of a posterior in words: the drug's effect as drawings, and what was learnt of each."""

from __future__ import annotations

from equipoise.appraise import numbers
from equipoise.appraise.context import Context
from equipoise.appraise.posterior import Beliefs, Parameter
from equipoise.appraise.sections.replica.words import MECHANISMS
from equipoise.document.document import (
    Bar,
    Block,
    Computed,
    Densities,
    DensityPanel,
    Figure,
    Fold,
    Inlines,
    Paragraph,
    Row,
    Table,
)
from equipoise.document.text import joined, lower, upper

EFFECTS = {
    "effect.gain": ("Lift of function while on the drug", "points", 1.0, 1),
    "effect.weight": ("Share of the loss that the drug can reach", "%", 100.0, 0),
    "effect.lag": ("Lag of function behind the injury", "weeks", 1.0, 0),
    "effect.hazard_ratio": ("Hazard ratio under the drug", "", 1.0, 2),
}
"""What a parameter of the effect is called, its unit, how many of that unit one is, and its decimals."""

OTHERS = {
    "root_rate_mean": ("Loss of function, middle patient", "square root of points a month"),
    "root_rate_sd": ("Loss of function, how unlike patients are", "SD of that root"),
    "root_rate_nfl": ("Faster loss with more neurofilament at the start", "that root, for each SD of its logarithm"),
    "root_rate_preslope": (
        "Faster loss where it was faster before the trial",
        "that root, for each unit of a logarithm",
    ),
    "root_rate_svc": ("Faster loss with better breathing", "that root, for each tenth of predicted vital capacity"),
    "early_gain": ("Bend of the curve of function, at its height", "points above a straight decline"),
    "early_gain_week": ("When that bend is at its height", "weeks"),
    "function_mean": ("Function at the start", "points"),
    "function_sd": ("Function at the start, how unlike patients are", "SD, points"),
    "function_noise": ("Error of one score of function", "SD, points"),
    "run_in_pace": ("Loss in the run-in", "as a multiple of the loss after it"),
    "withdrawal_hazard": ("Leaving the trial", "share a week"),
    "withdrawal_slope": ("Leaving the trial, how it grows with function lost", "logarithm of the hazard"),
    "event_hazard": ("Deaths and the like", "share a week"),
    "ln_hazard": ("Deaths and the like, against the others", "logarithm of the ratio of hazards"),
}
"""What the other parameters are called, by the last part of their place, and their unit."""


def told(ctx: Context, found: Beliefs, text: str) -> Computed:
    """A figure of a stored posterior: it leads to the command that prints the summary."""
    method = (
        f"stored, made by {found.command}; draws of the parameters of each mechanism given the published numbers and "
        "their covariance: see docs/methods/posterior.md"
    )
    command = f"from equipoise.appraise.posterior import printed; print(printed({ctx.record.id!r}))"
    return ctx.writer.by_command(text, f'python -c "{command}"', "posterior of mechanisms and their parameters", method)


def what_it_is(ctx: Context, found: Beliefs, mechanism: str) -> Inlines:
    """A mechanism by its word and what it is; of no effect what it is alone, since its word is "none"."""
    words = MECHANISMS.get(mechanism, "as named")
    if mechanism == "none":
        return ctx.writer.words("no effect" if found.of_events else words)
    return ctx.writer.say("{m}: {w}", m=mechanism, w=ctx.writer.words(words))


def ends(low: float, high: float) -> str:
    """``0.5 to 60``: the ends of a prior, each as short as it can be written."""
    return " to ".join(numbers.number(int(x) if x == int(x) else x) for x in (low, high))


def learnt(p: Parameter) -> str:
    """The share of the prior variance that the numbers took away."""
    return numbers.percent(max(p.contraction, 0.0), 0)


def name(ctx: Context, place: str) -> tuple[str, str]:
    """What a parameter is called on a page, with its group of patients, and its unit.

    A place that has no words is told as it is written.
    """
    if place in EFFECTS:
        return EFFECTS[place][:2]
    room, *rest = place.split(".")
    if rest and rest[-1] not in OTHERS:
        return place, ""
    called, unit = OTHERS[rest[-1]]
    group = rest[0] if room == "groups" and rest[0] != "*" else ""
    label = next((lower(s.label) for s in ctx.record.sets if s.id == group), group)
    return (f"{called}: {label}" if group else called), unit


def _shown(p: Parameter) -> tuple[str, str, float, int]:
    return EFFECTS.get(p.place, (p.place, "", 1.0, 2))


def _with(unit: str, text: str) -> str:
    return f"{text}{numbers.THIN}%" if unit == "%" else f"{text} {unit}".strip()


def _interval(p: Parameter) -> str:
    _, unit, times, digits = _shown(p)
    middle = numbers.number(times * p.median, digits)
    return _with(unit, f"{middle} ({numbers.span(times * p.low, times * p.high, digits)})")


def effects(ctx: Context, found: Beliefs) -> list[Block]:
    """What is known of the drug's effect, should it act in that way: drawn where draws are kept, and as a table."""
    writer = ctx.writer
    rows, panels = [], []
    for m in found.mechanisms:
        for p in m.effects:
            called, unit, times, _ = _shown(p)
            prior = _with(unit, ends(times * p.prior[0], times * p.prior[1]))
            label = writer.say("{e}, if {m}", e=writer.label(called), m=m.mechanism)
            shown = (told(ctx, found, _interval(p)), Bar(*p.prior, _null(p), p.median, p.low, p.high))
            rows.append(Row((label, shown, (told(ctx, found, prior),), (told(ctx, found, learnt(p)),))))
            if p.density is not None:
                panels.append(_panel(m.mechanism, p))
    if not rows:
        return []
    caption = writer.words(
        "The drug's effect, should it act in that way: median and 95 % interval, drawn between the ends of what was "
        "thought possible before. Learnt: by how much the numbers narrowed it, as a share of the variance."
    )
    heads = writer.heads("What", "After", "Thought possible before", "Learnt")
    table = Table("t-effects", caption, heads, tuple(rows), (False, True, True, True))
    if len(panels) < len(rows):
        return [table]
    return [
        Figure(
            "fig-effects",
            writer.words("How large the effect is, in each way of acting"),
            writer.words(
                "A panel for each way in which the drug may act: how likely each size of its effect is once the "
                "published numbers are known, between the ends of what was thought possible before."
            ),
            Densities(tuple(panels)),
            writer.words(
                "The higher the area, the likelier the size; the darker part is the 95 % interval. Where the area is "
                "as flat as the dashed line the numbers have taught nothing. The dotted line is no effect."
            ),
            table,
        )
    ]


def _null(p: Parameter) -> float | None:
    """The value of no effect; a lag has none."""
    return 1.0 if p.place.endswith("hazard_ratio") else None if p.place.endswith("lag") else 0.0


def _panel(mechanism: str, p: Parameter) -> DensityPanel:
    called, unit, times, _ = _shown(p)
    assert p.density is not None
    return DensityPanel(
        f"{called}, if {mechanism}",
        unit or "ratio",
        _null(p),
        tuple(times * x for x in p.density.at),
        p.density.height,
        1.0,
        times * p.median,
        times * p.low,
        times * p.high,
    )


def parameters(ctx: Context, found: Beliefs) -> Fold:
    """Every parameter of every mechanism: what the numbers taught of it, and where the prior ends its interval."""
    writer = ctx.writer
    rows: list[Row] = []
    cut: dict[str, None] = {}
    for m in found.mechanisms:
        rows.append(Row((upper(what_it_is(ctx, found, m.mechanism)),), heading=True))
        for p in m.parameters:
            called, unit = name(ctx, p.place)
            times = EFFECTS[p.place][2] if p.place in EFFECTS else 1.0
            low, high = times * p.low, times * p.high
            size = max(abs(low), abs(high))
            digits = 1 if size >= 10 else 2 if size >= 0.1 else 4
            value = f"{numbers.number(times * p.median, digits)} ({numbers.span(low, high, digits)})"
            prior = ends(times * p.prior[0], times * p.prior[1])
            cells = ((told(ctx, found, x),) for x in (value, prior, learnt(p)))
            at = [end for end, there in zip(("lower", "upper"), p.at_bound, strict=True) if there]
            if at:
                cut[called] = None
            label = writer.label(f"{called} ({unit})" if unit else called)
            rows.append(Row((label, *cells, writer.words(" and ".join(at) or "–"))))
    caption = writer.words(
        "Every free parameter under each mechanism: median and 95 % interval, the ends of its uniform prior, and how "
        "much of the prior variance the numbers took away. Where that is near nothing, they say nothing of it."
    )
    heads = writer.heads("Parameter", "After", "Before", "Learnt", "Ended by the prior")
    table = Table("t-parameters", caption, heads, tuple(rows), (False, True, True, True, False))
    blocks: list[Block] = [table]
    if cut:
        said = writer.say(
            "Some intervals stop where the prior stops, and would go further if the prior did: {c}. Some of these ends "
            "are natural, such as no loss at all or the whole of it. Beyond the others the numbers do not say where "
            "the interval stops.",
            c=joined([writer.label(called[:1].lower() + called[1:]) for called in cut]),
        )
        blocks.append(Paragraph(said))
    return Fold("beliefs-parameters", writer.words("Each parameter"), tuple(blocks))
