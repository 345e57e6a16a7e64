"""What a closed section shows: one or two lines, so that nobody has to open it to know what is in it.

The brief, the bottom line and the key findings are open at first; every other section is closed, and so are the parts
for single readers, unless the page was made for one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from equipoise.appraise.context import Context
from equipoise.appraise.findings import excludes_null
from equipoise.appraise.phrases import neuro_sentence, paragraphs
from equipoise.appraise.sections import certainty
from equipoise.appraise.sections.replica.answers import share_told
from equipoise.document.document import (
    Block,
    Cited,
    Computed,
    Fold,
    Inline,
    Inlines,
    Listing,
    Paragraph,
    Question,
    Section,
    Text,
    plain,
    quiet,
    walk,
)
from equipoise.document.readers import READERS
from equipoise.document.text import joined, lower, short, upper

OPEN = ("bottom-line", "findings")
"""Sections that are open at first, after the brief, which cannot be closed."""
LONGEST = 300
"""Letters of the longest summary: about two lines on a wide screen."""


def closed(ctx: Context, sections: tuple[Section, ...]) -> tuple[Section, ...]:
    """The sections with a summary each, the brief apart; those that are not open at first are closed."""
    return tuple(s if s.id == "brief" else _closed(ctx, s) for s in sections)


def _closed(ctx: Context, section: Section) -> Section:
    made = _SUMMARIES.get(section.id)
    told = made(ctx, section) if made is not None else ()
    if not told or len(plain(told)) > LONGEST:
        told = first_sentence(section.blocks) or told
    if not told or len(plain(told)) > LONGEST:
        told = ctx.writer.words("Open to read.")
    alone = ctx.reader.role is not None
    parts = tuple(_part(s, alone) if s.reader is not None else s for s in section.sections)
    own = section.id in OPEN or (alone and section.id == "questions")
    return replace(section, summary=quiet(told), open=own, sections=parts)


def _part(section: Section, alone: bool) -> Section:
    """A reader's part, with its first question as a sample."""
    first = next((n for n in walk(section.blocks) if isinstance(n, Question)), None)
    told = first.question if first is not None else first_sentence(section.blocks)
    return replace(section, summary=quiet(told), open=alone) if told else section


# -- by section ----------------------------------------------------------------------------------------------------


def _design(ctx: Context, section: Section) -> Inlines:
    writer, d, f = ctx.writer, ctx.record.design, ctx.findings
    parts: list[Inlines] = []
    if d.randomised:
        parts.append(writer.words("randomised"))
    if d.masking is not None and (masking := _first_clause(ctx.fact(d.masking))):
        parts.append(masking)
    if d.n_actual.usable and d.n_actual.value is not None:
        people = "{n} people" + (" ({w})" if d.n_actual_of else "")
        parts.append(writer.say(people, n=ctx.randomised, w=d.n_actual_of or ""))
    if ctx.duration:
        parts.append(ctx.duration)
    lead = upper(joined(parts, ", "))
    if f.compared:
        lead = (*lead, *writer.say(": {a} against {c}" if lead else "{a} against {c}", a=ctx.active, c=ctx.control))
    lead = (*lead, Text(".")) if lead else ()
    told = () if f.outcome is None else writer.say("Primary outcome: {o}.", o=writer.label(short(f.outcome.label)))
    return paragraphs(lead, told)


def _results(ctx: Context, section: Section) -> Inlines:
    """For which outcomes the interval leaves out no effect at the primary time, and for which not."""
    writer, f = ctx.writer, ctx.findings
    sure: dict[str, None] = {}
    open_: dict[str, None] = {}
    for r in ctx.record.results:
        here = r.role == "main" and r.comparison == "randomised" and r.set == f.set and r.week == f.week
        if not here or r.contrast is None or not r.contrast.usable or not f.of_arms(r):
            continue
        found = excludes_null(r.contrast)
        if found is not None:
            (sure if found else open_).setdefault(ctx.outcome(r.outcome))
    each = [
        writer.say(lead, n=joined([writer.label(name) for name in names]))
        for lead, names in (("excludes no effect for {n}", sure), ("includes it for {n}", open_))
        if names
    ]
    if not each:
        return writer.words("Every analysis as published, each with its interval and its own test.")
    lead = "The interval " if sure else "The interval of no effect "
    return (*writer.words(lead), *joined(each, "; "), Text("."))


def _safety(ctx: Context, section: Section) -> Inlines:
    return first_sentence((Paragraph(neuro_sentence(ctx)),)) or ctx.writer.words(
        "Every adverse event in absolute numbers, with the difference and its interval."
    )


def _replica(ctx: Context, section: Section) -> Inlines:
    if ctx.replica is None:
        return ctx.writer.words("This page was written without the rebuilt trial; how to make it.")
    chances = {a.kind: a for a in ctx.replica.answers}
    works, nothing = chances.get("works"), chances.get("nothing")
    if works is None or nothing is None:
        return ()
    shown = [ctx.writer.by_command(share_told(a), a.command, a.question) for a in (works, nothing)]
    return ctx.writer.say(
        "Rebuilt as a virtual trial, it meets its endpoint in {w} of repeats if the drug works as fitted, and in {n} "
        "if it does not. What was published beside what was simulated.",
        w=shown[0],
        n=shown[1],
    )


def _certainty(ctx: Context, section: Section) -> Inlines:
    writer = ctx.writer
    level, _ = certainty.overview(ctx)
    lead = writer.words("Nobody has judged this trial yet.")
    if ctx.judgements is not None:
        lead = () if level is None else writer.say("Over the critical outcomes the certainty is {l}.", l=level)
    names = joined([lower_title(s.title) for s in section.sections])
    return paragraphs(lead, (*upper(names), Text("."))) if names else lead


def _questions(ctx: Context, section: Section) -> Inlines:
    names = [lower(READERS[s.reader]) for s in section.sections if s.reader in READERS]
    if ctx.reader.role is not None or len(names) < 2:
        return ctx.writer.words("Think first, then open the answer; with a self-test.")
    listed = joined([ctx.writer.words(n) for n in names])
    return ctx.writer.say("Each with its answer, by reader, stage and level; with a self-test. For {n}.", n=listed)


def _related(ctx: Context, section: Section) -> Inlines:
    names = list(dict.fromkeys(t.name for t in sorted(ctx.record.related, key=lambda t: t.year)))
    return (*joined([ctx.writer.label(n) for n in names]), *ctx.writer.words(": what each found, and what came later."))


def _coherence(ctx: Context, section: Section) -> Inlines:
    titles = [lower_title(b.title) for b in section.blocks if isinstance(b, Fold) and b.id.startswith("note-")]
    return (*upper(joined(titles, "; ")), Text(".")) if titles else ()


def _made(ctx: Context, section: Section) -> Inlines:
    return ctx.writer.words("The commands and versions behind this page, and what its numbers are.")


_SUMMARIES: dict[str, Callable[[Context, Section], Inlines]] = {
    "design": _design,
    "results": _results,
    "safety": _safety,
    "replica": _replica,
    "certainty": _certainty,
    "questions": _questions,
    "related": _related,
    "coherence": _coherence,
    "made": _made,
}


def _first_clause(runs: Inlines) -> Inlines:
    """What stands before the first semicolon, full stop or bracket, if it is a few words without a number."""
    if not runs or not isinstance(runs[0], Text):
        return ()
    words = re.split(r"[;.(\[]", runs[0].text)[0].strip()
    return (Text(lower(words)),) if 0 < len(words) <= 40 else ()


# -- sentences -----------------------------------------------------------------------------------------------------


def lower_title(title: Inlines) -> Inlines:
    """A title as it stands inside a sentence."""
    if title and isinstance(title[0], Text):
        return (Text(lower(title[0].text)), *title[1:])
    return title


def first_sentence(blocks: tuple[Block, ...]) -> Inlines:
    """The first sentence of the first paragraph, or of the first item of a list; empty where there is none."""
    for block in blocks:
        runs: Inlines = ()
        if isinstance(block, Paragraph):
            runs = block.content
        elif isinstance(block, Listing) and block.items:
            runs = block.items[0]
        if runs and not plain(runs).rstrip().endswith(":"):
            return until_stop(runs)
    return ()


def until_stop(runs: Inlines) -> Inlines:
    """Runs up to the end of their first sentence, with the keys of its sources where they follow it in brackets."""
    out: list[Inline] = []
    for i, run in enumerate(runs):
        if isinstance(run, Text):
            at = run.text.find(". ")
            if at < 0 and run.text.endswith(".") and i + 1 < len(runs) and plain(runs[i + 1 : i + 2]).startswith(" "):
                at = len(run.text) - 1
            if at >= 0 and plain((*out, run)).strip(" .") and at + 1 <= len(run.text):
                out.append(Text(run.text[: at + 1]))
                break
        out.append(run)
    else:
        return tuple(out)
    if any(isinstance(run, Cited | Computed) for run in out):
        return tuple(out)
    for before, key, after in zip(runs, runs[1:], runs[2:], strict=False):
        opens = isinstance(before, Text) and before.text.endswith(" [")
        if opens and isinstance(key, Cited) and isinstance(after, Text) and after.text.startswith("]"):
            return (*out, Text(" ["), key, Text("]"))
    return tuple(out)
