"""Small turns of text and of runs of a line: first letters, short labels, lists."""

from __future__ import annotations

import re
from collections.abc import Iterable

from equipoise.document.document import Inline, Inlines, Name, Text

_TITLE = re.compile(r"(?<=\s)[A-Z][a-z]+")


_PROPER = {"Cox", "Kaplan", "Rubin", "Wilcoxon", "Fisher", "Newcombe"}


def lower(label: str) -> str:
    """A label as it stands inside a sentence: its first letter small, unless it begins with an acronym or a name."""
    head = label.split(" ", 1)[0].split("-", 1)[0]
    keep = len(head) == 1 or head[1:] != head[1:].lower() or head in _PROPER
    # a registry's titles, and labels with parts ("Part C: change"), stay as they are
    keep = keep or ": " in label or len(_TITLE.findall(label)) > 1
    if not keep and all(len(w) > 1 and w.istitle() for w in label.split(" ")):
        return label.lower()  # "Usual Care"
    return label if keep else label[:1].lower() + label[1:]


def upper(runs: Inlines) -> Inlines:
    """Runs with their first letter large, where they begin with words."""
    if runs and isinstance(runs[0], Text) and runs[0].text:
        return (Text(runs[0].text[:1].upper() + runs[0].text[1:]), *runs[1:])
    if runs and isinstance(runs[0], Name) and " " in runs[0].text:  # a label, which is a name since it holds a digit
        return (Name(runs[0].text[:1].upper() + runs[0].text[1:]), *runs[1:])
    return runs


def short(label: str) -> str:
    """A label without what stands in brackets."""
    return re.sub(r"\s*\([^)]*\)", "", label).strip() or label


def joined(parts: Iterable[Inlines], separator: str | None = None) -> Inlines:
    """``a, b and c`` of runs; with a separator, that between all of them."""
    items = list(parts)
    out: list[Inline] = []
    for i, item in enumerate(items):
        if i:
            out.append(Text(separator if separator is not None else " and " if i == len(items) - 1 else ", "))
        out.extend(item)
    return tuple(out)
