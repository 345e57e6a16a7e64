"""Small readings of the registry's words: names, times, kinds of numbers and tests."""

from __future__ import annotations

import re
from collections.abc import Iterable

DAYS_PER_MONTH = 30.4375


def norm(title: str) -> str:
    """A title reduced to its letters and digits: ``Dapa 10mg`` and ``Dapa 10 mg`` are one."""
    return re.sub(r"[^a-z0-9]+", "", title.lower())


def tokens(title: str) -> set[str]:
    """The words of a title that tell arms apart."""
    common = {"arm", "group", "the", "of", "and", "with", "mg", "treated", "subjects", "participants", "patients"}
    return {w for w in re.findall(r"[a-z0-9]+", title.lower()) if len(w) > 1} - common


def slug(title: str, used: Iterable[str], *, start: str = "x", longest: int = 28) -> str:
    """An id made from a title: letters, digits and underscores, begins with a letter, not among ``used``."""
    base = re.sub(r"[^A-Za-z0-9]+", "_", title).strip("_").lower()[:longest].strip("_") or start
    if not base[0].isalpha():
        base = f"{start}_{base}"
    taken = set(used)
    if base not in taken:
        return base
    n = 2
    while f"{base}_{n}" in taken:
        n += 1
    return f"{base}_{n}"


_LIST = r"\d+(?:\.\d+)?(?:\s*(?:,|and|to|or|-|–|&)+\s*\d+(?:\.\d+)?)*"
_TIME = re.compile(
    rf"\b(weeks?|months?|days?|years?)\s*({_LIST})|\b({_LIST})[- ]*(weeks?|months?|days?|years?)\b", re.IGNORECASE
)
_WEEKS = {"week": 1.0, "day": 1.0 / 7.0, "month": DAYS_PER_MONTH / 7.0, "year": 365.25 / 7.0}
_NUMERALS = {"one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "twelve": "12"}


def week_of(text: str | None) -> float | int | None:
    """The one time a text names, in weeks; None where it names none or several."""
    if not text:
        return None
    text = re.sub(r"\b(" + "|".join(_NUMERALS) + r")\b", lambda m: _NUMERALS[m.group(1).lower()], text, flags=re.I)
    found: list[float] = []
    for match in _TIME.finditer(text):
        unit, numbers = (match.group(1), match.group(2)) if match.group(1) else (match.group(4), match.group(3))
        for number in re.findall(r"\d+(?:\.\d+)?", numbers):
            weeks = round(float(number) * _WEEKS[unit.lower().rstrip("s")], 1)
            # "Week 28 (Day 197)" names one time twice; a baseline at day 1 is none
            twin = next((i for i, w in enumerate(found) if abs(weeks - w) <= 0.5), None)
            if weeks > 0.2 and twin is None:
                found.append(weeks)
            elif twin is not None and weeks.is_integer():
                found[twin] = weeks
    if len(found) != 1:
        return None
    return int(found[0]) if float(found[0]).is_integer() else found[0]


_FAMILIES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (r"joint rank|rank score|rank ancova|combined assessment", "joint_rank", ("p",)),
    (r"log[- ]?rank", "log_rank", ("p",)),
    (r"\bcox\b", "cox", ("estimate", "p")),
    (r"mmrm|mixed model|mixed effect", "mmrm", ("estimate", "p")),
    (r"ancova|analysis of covariance", "ancova", ("estimate", "p")),
    (r"kaplan", "kaplan_meier", ("estimate",)),
    (r"wilcoxon|mann|van elteren|kruskal|fisher|chi-?squared?|cochran|gray|mcnemar|sign test", "other", ("p",)),
)


def family_of(method: str) -> tuple[str, tuple[str, ...]]:
    """The family of a named analysis and what it gives."""
    for words, family, gives in _FAMILIES:
        if re.search(words, method, re.I):
            return family, gives
    return "other", ("estimate", "p")


def contrast_kind(label: str | None) -> str | None:
    """What kind of contrast a posted parameter is; None for a test statistic, a probability and the like."""
    if not label:
        return None
    text = label.lower()
    if re.search(r"statistic|probability|percentile|p-?value|survival$|correlation|coefficient", text):
        return None
    if "hazard" in text:
        return "hazard_ratio"
    if re.search(r"ratio|relative risk|fold", text):
        return "ratio"
    if re.search(r"diff|change|reduction|slope|mean|median", text):
        return "difference"
    return None


_P = re.compile(r"^\s*(?:p\s*)?(<=|>=|=|<|>|≤|≥)?\s*(0?\.\d+|[01](?:\.\d*)?|\d(?:\.\d+)?[eE]-\d+)\s*$", re.I)


def parse_p(raw: str) -> tuple[str, float] | None:
    """The relation and value of a posted p-value: ``= 0.9689``, ``< 0.0001``; None where it is no such thing."""
    match = _P.match(raw)
    if not match:
        return None
    value = float(match.group(2))
    if not 0.0 <= value <= 1.0:
        return None
    relation = {"<=": "<", "≤": "<", ">=": ">", "≥": ">"}.get(match.group(1) or "=", match.group(1) or "=")
    return relation, value
