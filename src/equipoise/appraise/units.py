"""Units as a sentence says them: ``points``, ``m``, ``g/dL``, ``% of predicted``; nothing for what is no unit."""

from __future__ import annotations

import re

_NONE = re.compile(
    r"^(?:number of )?(?:participants?|patients?|subjects?|people|persons?|events?|ratio|rank|z-score|none|n/a|count)$"
    r"|ratio to|^number\b|^proportion\b",
    re.I,
)
_POINTS = re.compile(
    r"^(?:units?|scores?|points?)(?:\s+on\s+(?:a|the)?\s*.*scale)?$|^(?:scale )?(?:points|score)$", re.I
)
_PERCENT = re.compile(r"^(?:percent|percentage)(?:\s+(?:of|change|probability)\b.*)?$|^%$", re.I)
_SHORT = re.compile(r"^.*\(([A-Za-z\u00b5\u03bc%][^()\s]{0,14})\)$")
_SYMBOLS = {
    "meter": "m",
    "metre": "m",
    "gram": "g",
    "milligram": "mg",
    "microgram": "\u00b5g",
    "nanogram": "ng",
    "picogram": "pg",
    "kilogram": "kg",
    "liter": "L",
    "litre": "L",
    "deciliter": "dL",
    "milliliter": "mL",
    "millimole": "mmol",
    "micromole": "\u00b5mol",
    "second": "s",
    "millisecond": "ms",
    "microliter": "\u00b5L",
}
_LONGEST = 30
"""Letters of a unit that a sentence can carry."""


def said(unit: str | None, label: str = "") -> str:
    """A unit as a sentence says it, without a space before it.

    ``label`` is that of the outcome: what it says already is not said again. Empty for counts, ranks, ratios, and for a
    text too long to follow a number.

    >>> [said(u) for u in ("Meter (m)", "Grams per deciliter", "units on a scale", "Percentage of days", "rank")]
    ['m', 'g/dL', 'points', '%', '']
    """
    text = " ".join((unit or "").split())
    if not text or _NONE.search(text):
        return ""
    if text.startswith("%") and len(text) > 1:
        return text
    if _PERCENT.match(text):
        return "%"
    if _POINTS.match(text):
        return "points"
    if match := _SHORT.match(text):
        return match.group(1)
    if re.fullmatch(r"mill?imet(?:er|re)s? of mercury", text, re.I):
        return "mmHg"
    words = [_symbol(word) for word in text.split(" ")]
    if len(words) == 3 and words[1] == "per":
        return f"{words[0]}/{words[2]}"
    out = " ".join(words)
    if out.lower().startswith(("percent ", "percentage ")):
        out = "% " + out.split(" ", 1)[1]
    if re.search(r"\d", out) and not out.startswith("10^"):
        return ""  # a number of its own: no unit to follow another
    return out if len(out) <= _LONGEST and out.lower() not in label.lower() else ""


def _symbol(word: str) -> str:
    bare = word.lower()
    found = _SYMBOLS.get(bare) or _SYMBOLS.get(bare.rstrip("s"))
    if found:
        return found
    return bare if word[:1].isupper() and word[1:].islower() else word
