"""Joint models of function and survival: what they would have found in the rebuilt trial."""

from __future__ import annotations

from equipoise.appraise import numbers
from equipoise.appraise.context import Context
from equipoise.appraise.joint_power import MECHANISMS, TESTS, cell, lines, stored
from equipoise.appraise.questions.vocabulary.phrase import block, sentence
from equipoise.document.document import Block, Inlines, Row, Table
from equipoise.replica.replica import FINE

_COMMAND = "python -c \"from equipoise.appraise.joint_power import printed; print(printed('{trial}'))\""
_METHOD = (
    "stored; made by python -m equipoise.replica.function_and_survival {trial} --replicates {n} --seed {seed}: "
    "see docs/methods/joint-models.md"
)


def _told(ctx: Context, text: str, found: dict[str, object]) -> Inlines:
    trial = ctx.record.id
    method = _METHOD.format(trial=trial, n=found["replicates"], seed=found["seed"])
    return ctx.writer.quote_computed(
        text, _COMMAND.format(trial=trial), "power of a joint model in the rebuilt trial", method
    )


@sentence()
def joint_power_told(ctx: Context) -> Inlines:
    """What the joint model found beside the planned test, at the first and the last week, where the drug works late."""
    found = stored(ctx.record.id)
    if found is None:
        return ()
    own = [one for one in lines(found) if one["mechanism"] == "lagged"] or lines(found)[-2:]
    first, last = own[0], own[-1]
    for one in (first, last):
        ctx.writer.register(f"week {one['week']:g}")

    def share(one: dict[str, dict[str, float]], test: str) -> str:
        return f"{numbers.in_percent(one[test]['significant'], int(one[test]['error'] <= FINE))} %"

    had = f"{numbers.in_percent(first['joint model']['estimable'])} %"
    text = (
        f"In {found['replicates']} trials simulated for this question alone, with {MECHANISMS[first['mechanism']]}, "
        "the planned test is significant, in favour of the drug or against it, in "
        f"{share(first, 'planned')} of trials at week {first['week']:g} and in {share(last, 'planned')} at week "
        f"{last['week']:g}; a joint model tested on slope and hazard together in {share(first, 'joint model')} "
        f"and {share(last, 'joint model')}; one ratio for both in {share(first, 'disease rate ratio')} and "
        f"{share(last, 'disease rate ratio')}. At week {first['week']:g} the joint model can be fitted in {had} of "
        f"trials, with {numbers.number(first['events'], 1)} events in each."
    )
    return _told(ctx, text, found)


@block
def joint_power(ctx: Context) -> list[Block]:
    """The shares of trials in which each test is significant, by mechanism and week, with Monte Carlo errors."""
    found = stored(ctx.record.id)
    if found is None:
        return []
    writer = ctx.writer
    rows = []
    for one in lines(found):
        writer.register(f"week {one['week']:g}")
        label = f"{MECHANISMS[one['mechanism']].capitalize()}, week {one['week']:g}"
        cells = [_told(ctx, cell(one[test]), found) for test in TESTS]
        rows.append(Row((writer.label(label), *cells, _told(ctx, numbers.number(one["events"], 1), found))))
    caption = _told(
        ctx,
        f"Trials in which each test is significant, of {found['replicates']} simulated a line, with the Monte Carlo "
        "standard error in points. A trial in which a test cannot be had counts as not significant.",
        found,
    )
    heads = ("Truth and week", "Planned test", "Joint model", "One ratio for both", "Events a trial")
    return [Table("t-joint-power", caption, writer.heads(*heads), tuple(rows), (False, True, True, True, True))]
