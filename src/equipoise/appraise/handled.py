"""How missing values and events after the start were handled, in the words of the source; empty where it is silent."""

from __future__ import annotations

import re

from equipoise.appraise.context import Context
from equipoise.document.document import Inlines
from equipoise.document.text import joined

_VERBS = (
    r"(?:set|treated|counted|considered|handled|replaced|assumed|assigned|classified|regarded|ranked|scored|imputed)"
)
_DATA = r"(?:values?|data|scores?|assessments?|observations?|measurements?|outcomes?|items?|responses?|results?)"
_MISSING = re.compile(
    r"\bimput(?:ed?|ation|ations|ing)\b|\bcarr(?:y|ied|ying)[^.;]{0,20} forward\b|\b[LB]OCF\b"
    r"|\bmissing (?:not )?at random\b"
    rf"|(?<!non-)(?<!non )\bmissing (?:[\w-]+ ){{0,4}}?{_DATA}\b[^.;]{{0,80}}\b(?:were|was|are|is|be)\b"
    rf"[^.;]{{0,30}}\b{_VERBS}\b"
    rf"|\b{_DATA}\b[^.;]{{0,30}}(?<!non-)(?<!non )\bmissing\b[^.;]{{0,40}}\b{_VERBS}\b"
    rf"|\b(?:without|no) (?:\w+ ){{0,2}}(?:values?|data|assessments?|measurements?)\b[^.;]{{0,80}}\b{_VERBS}\b"
    r"|\bno value was available\b|\bnon-?responder imputation\b",
    re.I,
)
"""A sentence that says what was done where there was no value; that a value was not missing says nothing of it."""
_EVENT = re.compile(
    r"\bintercurrent\b|\btreatment[- ]policy\b|\bwhile[- ]on[- ]treatment strategy\b"
    r"|\bhypothetical (?:strategy|scenario)\b"
    r"|\b(?:regardless|irrespective) of\b[^.;]{0,60}\b(?:discontinu|withdr|rescue|treatment|adherence|compliance)"
    r"|\bon[- ]and[- ]off[- ]treatment\b"
    rf"|\b(?:deaths?|died|discontinu\w+|withdr\w+|rescue)\b[^.;]{{0,120}}\b{_VERBS}\b"
    rf"|\b{_VERBS}\b[^.;]{{0,80}}\b(?:deaths?|died|discontinu\w+|withdr\w+|rescue)\b",
    re.I,
)
"""A sentence that says how an event after the start, such as death or stopping, enters the outcome."""
_FRAME = re.compile(r"(?:^|; )time frame: .*", re.S)
_SENTENCE = re.compile(r"(?<=[.;])\s+(?=[A-Z0-9])|\n+")


def _sentences(ctx: Context, pattern: re.Pattern[str]) -> Inlines:
    f = ctx.findings
    held = [(f.outcome.definition, f.outcome)] if f.outcome is not None else []
    if f.primary is not None:
        held.append((f.primary.note, f.primary))  # type: ignore[arg-type]
    said: dict[str, Inlines] = {}
    for text, sourced in held:
        for sentence in _SENTENCE.split(_FRAME.sub("", text or "")):
            bare = " ".join(sentence.split()).rstrip(".;")
            if bare and pattern.search(bare) and bare not in said and sourced.usable:
                said[bare] = ctx.writer.quote(bare, sourced) or ()
    return joined([s for s in said.values() if s], ". ")


def missing_told(ctx: Context) -> Inlines:
    """How missing values of the primary outcome were handled, as its entry says; empty where it does not."""
    return _sentences(ctx, _MISSING) if ctx.record.origin == "posted" else ()


def events_told(ctx: Context) -> Inlines:
    """How events after the start enter the primary outcome, as its entry says; empty where it does not."""
    return _sentences(ctx, _EVENT) if ctx.record.origin == "posted" else ()
