"""Why the verdict on a primary endpoint stays open, told in one way wherever a page says so."""

from __future__ import annotations

import re

from equipoise.appraise.context import Context
from equipoise.appraise.findings import significant, usable
from equipoise.document.document import Inlines

_WAY = re.compile(r"\b(?:wors[et]|better|improve\w*|superior\w*|failures?|favou?rabl[ey])\b", re.IGNORECASE)
"""Words by which the text on an outcome tells which way is better, without saying so in a field of its own."""


def own_words(ctx: Context) -> bool:
    """Whether the text on the primary outcome speaks of better and worse, though no field of the record does."""
    o = ctx.findings.outcome
    return o is not None and o.definition is not None and _WAY.search(f"{o.label} {o.definition}") is not None


def direction_reason(ctx: Context) -> str:
    """That the direction is not on record; a registry entry has no field for it, but its own words may tell."""
    if ctx.record.origin != "posted":
        return "it does not say which way is better"
    tail = ", though the outcome's own text speaks of it" if own_words(ctx) else ""
    return f"no field of the entry says which way is better{tail}"


def direction_sentence(ctx: Context) -> Inlines:
    """The same as a sentence by itself."""
    if ctx.record.origin != "posted":
        return ctx.writer.words("The record does not say which way is better.")
    said = direction_reason(ctx)
    return ctx.writer.words(f"{said[0].upper()}{said[1:]}.")


def no_gap(ctx: Context) -> bool:
    """Whether a test of an outcome without a direction found no difference, whichever way is better."""
    f = ctx.findings
    open_ = f.met is None and f.outcome is not None and f.outcome.direction == "not_stated"
    return open_ and f.test is not None and significant(f.test) is False


def tested(ctx: Context) -> bool:
    """Whether the record holds a P value of the primary outcome, or an estimate of its difference."""
    return ctx.findings.test is not None or usable(ctx.findings.contrast)


def open_reason(ctx: Context) -> Inlines:
    """Why it cannot be said whether the primary endpoint was met, as the end of a sentence without its stop."""
    f, words = ctx.findings, ctx.writer.words
    if f.outcome is None:
        return words("it names no primary outcome")
    if f.rows:
        return words("it posts the primary outcome in several rows, and a test of none of them")
    if f.primary is None:
        return words("it holds no result of the primary outcome")
    if ctx.record.origin == "posted" and not tested(ctx):
        return words("no test of the primary outcome was posted")
    if f.parted:
        return words("it tests several primary outcomes, of which some differ between the arms and some do not")
    if no_gap(ctx) and f.test is not None:
        return ctx.writer.say("with {p} no difference was shown, whichever way is better", p=ctx.p(f.test))
    if f.outcome.direction == "not_stated":
        return words(direction_reason(ctx))
    return words("it gives neither a P value nor an interval for the primary outcome")
