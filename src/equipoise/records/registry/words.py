"""Small readings of the registry's words: names, times, kinds of numbers and tests."""

from __future__ import annotations

import re

from equipoise.records.keys import parts

DAYS_PER_MONTH = 30.4375


def tokens(title: str) -> set[str]:
    """The words of a title that tell arms apart."""
    common = {"arm", "group", "the", "of", "and", "with", "mg", "treated", "subjects", "participants", "patients"}
    return {w for w in parts(title) if len(w) > 1 or w.isdigit()} - common


_LIST = r"\d+(?:\.\d+)?(?:\s*(?:,|and|to|or|-|–|&)+\s*\d+(?:\.\d+)?)*"
_TIME = re.compile(
    rf"\b(weeks?|months?|days?|years?)\s*({_LIST})|\b({_LIST})[- ]*(weeks?|months?|days?|years?)\b", re.IGNORECASE
)
_WEEKS = {"week": 1.0, "day": 1.0 / 7.0, "month": DAYS_PER_MONTH / 7.0, "year": 365.25 / 7.0}
_NUMERALS = {"one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "twelve": "12"}


_AGE = re.compile(
    rf"\b(?:aged?|ages|older than|younger than|born)\b[^.;,]{{0,24}}?(?:{_LIST})"
    r"[- ]*(?:years?|yrs?|months?|weeks?|days?)?"
    rf"|(?:[<>≤≥]=?|\bover|\bunder)\s*(?:{_LIST})[- ]*(?:years?|yrs?)\b"
    rf"|(?:{_LIST})[- ]*(?:years?|yrs?|months?|weeks?|days?)[- ](?:old\b|of age\b|and (?:older|over|above|younger)\b"
    rf"|or (?:older|over|above|more|younger)\b)",
    re.IGNORECASE,
)
_AFTER = re.compile(
    rf"(?:\bplus|\band for|\+)\s+(?:an?\s+)?(?:additional\s+|extra\s+)?(?:{_LIST})[- ]*"
    r"(?:weeks?|months?|days?|years?)\b"
    rf"|\b(?:{_LIST})[- ]*(?:weeks?|months?|days?|years?)\s+(?:after|post|following|from)[- ]+(?:the\s+)?"
    r"(?:last|final|end|completion|stopping|discontinuation)\b",
    re.IGNORECASE,
)
"""A time that runs on after the end of treatment, which is not named: "plus 30 days", "30 days after the last dose"."""
_WINDOW = re.compile(
    rf"\b(?:per|every|each|last|past|previous|preceding)\s+(?:{_LIST})[- ]*(?:weeks?|months?|days?|years?)\b"
    rf"|\b(?:{_LIST})[- ](?:week|month|day|year)\b(?![- ]*(?:visit|follow|assessment|time ?point|treatment))",
    re.IGNORECASE,
)
_SAID = re.compile(
    rf"\b(weeks?|months?|days?|years?)\s*({_LIST})"
    rf"|\b(?:at|after|by|to|until|till|through|over|within|during|up to|for)\s+(?:the\s+)?(?:first\s+)?({_LIST})[- ]*"
    rf"(weeks?|months?|days?|years?)\b"
    rf"|^\W*({_LIST})[- ]*(weeks?|months?|days?|years?)\W*$"
    rf"|\b({_LIST})\s*(weeks?|months?|days?|years?)\s+(?:after|post|from|following)\b",
    re.IGNORECASE,
)


def _numerals(text: str) -> str:
    return re.sub(r"\b(" + "|".join(_NUMERALS) + r")\b", lambda m: _NUMERALS[m.group(1).lower()], text, flags=re.I)


def _weeks(text: str, pattern: re.Pattern[str]) -> list[float]:
    """The times a text names, in weeks; "Week 28 (Day 197)" names one time twice, a baseline at day 1 is none."""
    found: list[float] = []
    for match in pattern.finditer(text):
        first, second = [g for g in match.groups() if g is not None]
        unit, numbers = (first, second) if first[0].isalpha() else (second, first)
        for number in re.findall(r"\d+(?:\.\d+)?", numbers):
            weeks = round(float(number) * _WEEKS[unit.lower().rstrip("s")], 1)
            twin = next((i for i, w in enumerate(found) if abs(weeks - w) <= 0.5), None)
            if weeks > 0.2 and twin is None:
                found.append(weeks)
            elif twin is not None and weeks.is_integer():
                found[twin] = weeks
    return found


def _one(found: list[float]) -> float | int | None:
    if len(found) != 1:
        return None
    return int(found[0]) if float(found[0]).is_integer() else found[0]


def week_of(text: str | None) -> float | int | None:
    """The one time a time frame names, in weeks; None where it names none or several.

    Windows ("7-day diary") and ages count only where nothing else is named.
    """
    if not text:
        return None
    text = _AFTER.sub(" ", _numerals(text))
    found = _weeks(_AGE.sub(" ", text), _TIME)
    if len(found) > 1:
        found = _weeks(_WINDOW.sub(" ", _AGE.sub(" ", text)), _TIME) or found
    return _one(found)


def week_assessed(title: str | None, frame: str | None) -> tuple[float | int | None, str | None]:
    """When something was assessed, in weeks, and the words that say so: the time frame before the title.

    The title (of an outcome, or of a row of its table) speaks only where the frame names no time, or several with the
    title's among them; ages, diary windows and horizons in it are no times.

    >>> week_assessed("Survival at age 65 years or older", "Week 52"), week_assessed("Score at Week 12", "Weeks 4, 12")
    ((52, 'Week 52'), (12, 'Score at Week 12'))
    """
    framed = _weeks(_AGE.sub(" ", _AFTER.sub(" ", _numerals(frame))), _TIME) if frame else []
    if (week := week_of(frame)) is not None:
        return week, frame
    said = _weeks(_WINDOW.sub(" ", _AGE.sub(" ", _numerals(title))), _SAID) if title else []
    week = _one(said)
    if week is None or (framed and not any(abs(week - f) <= 0.5 for f in framed)):
        return None, None
    return week, title


def week_of_row(row: str, frame: str | None) -> float | int | None:
    """The time that a row of an outcome's table stands for, in weeks; none is later than the frame's last."""
    week = _one(_weeks(_WINDOW.sub(" ", _AGE.sub(" ", _numerals(row))), _SAID))
    framed = _weeks(_numerals(frame), _TIME) if frame else []
    return None if week is None or (framed and week > max(framed) + 0.5) else week


_FAMILIES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (r"joint[- ]rank|combined assessment of function|\bCAFS\b", "joint_rank", ("p",)),
    (r"rank (?:score|ancova|analysis of covariance)|ranked ancova|non-?parametric ancova", "other", ("p",)),
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


_UP = r"(?:higher|larger|greater|longer|positive|increas(?:ed?|es|ing))"
_DOWN = r"(?:lower|smaller|shorter|negative|decreas(?:ed?|es|ing)|reduc(?:ed|tions?))"
_MEASURED = r"(?:scores?|values?|numbers?|points?|ratings?|changes?|distances?|results?|levels?|differences?)"
_MEANS = r"(?:represent|indicat|reflect|mean|correspond|signif|denot|suggest|show)\w*|=|are|is|being"
_ILL = r"(?:symptom|burden|limitation|disab|impair|pain|disease|sever|depress|anxi|fatigue|dyskinesia)\w*"
_GOOD = (
    r"(?:an? |the )?(?:\w+ ){0,2}?(?:better|best|improv\w+|benefit|(?:less|fewer|lower|reduced|milder|decreased?) "
    rf"(?:\w+ ){{0,3}}?{_ILL})"
)
_BAD = (
    r"(?:an? |the )?(?:\w+ ){0,2}?(?:wors\w+|poorer|deteriorat\w+|disease progression"
    r"|(?:greater|more|higher|increased) "
    rf"(?:\w+ ){{0,3}}?{_ILL})"
)
_WAYS = {"higher_better": ((_UP, _GOOD), (_DOWN, _BAD)), "lower_better": ((_UP, _BAD), (_DOWN, _GOOD))}
_OTHER_WAY = re.compile(
    r"reduction|decrease|declin|\bloss\b|worsen|deteriorat|\btime to\b|percent|proportion|number of|respon[ds]"
    r"|incidence|\brates?\b|ratio|\brank|event|mortality|death|adverse|composite|hierarch|categor",
    re.I,
)
"""What makes an outcome's value something else than the score that its description speaks of."""


def direction_of(title: str, description: str | None) -> tuple[str, str] | None:
    """Which way of an outcome is better, and the words that say so; None where none do, or they do not agree.

    Only a sentence on the outcome's own values counts, in its title or its description.

    >>> direction_of("Change in total score", "Higher scores represent better function.")
    ('higher_better', 'Higher scores represent better')
    >>> direction_of("Pain", "0 to 10"), direction_of("Time to worsening", "Higher scores mean worse pain.")
    (None, None)
    """
    if _OTHER_WAY.search(title):
        return None
    found = {
        way: m.group()
        for way, pairs in _WAYS.items()
        for size, sense in pairs
        if (
            m := re.search(
                rf"\b{size}\s+(?:in\s+)?(?:[\w-]+\s+){{0,3}}?{_MEASURED}\b[^.;,]{{0,40}}?(?:\b(?:{_MEANS})|=)\s*{sense}\b",
                f"{title}. {description or ''}",
                re.I,
            )
        )
    }
    if len(found) != 1:
        return None
    ((way, words),) = found.items()
    return way, " ".join(words.split())


_P = re.compile(r"^\s*(?:p\s*)?(<=|>=|=|<|>|≤|≥)?\s*(0?\.\d+|[01](?:\.\d*)?|\d(?:\.\d+)?[eE]-\d+)\s*$", re.I)


_LEVEL = re.compile(
    r"\b(?:significan(?:ce|t) level|level of significance|alpha(?: level)?)\b"
    r"[\s,:=(]*(?:(?:of|was|is|set|at|to|equal)\s+)*(0?\.\d+)(?!\d)(?!\s*%)",
    re.IGNORECASE,
)


def level_stated(text: str) -> float | None:
    """The level of a test that a text states, as a share: ``significance level 0.0499``; None of none or of several."""
    found = {float(m.group(1)) for m in _LEVEL.finditer(text)}
    return found.pop() if len(found) == 1 and 0.0 < min(found) < 0.5 else None


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
