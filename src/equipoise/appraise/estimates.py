"""What an estimate is, in words: a difference of means, of medians, of shares, a Hodges-Lehmann estimate, a ratio."""

from __future__ import annotations

import re

from equipoise.appraise.context import Context
from equipoise.appraise.findings import marker
from equipoise.records.schema import Result

_SHIFT = re.compile(r"\bhodges?\b|\blehman", re.I)
_SHIFT_LABEL = re.compile(r"\bhodges?\b|\blehman|\bHL\b", re.I)
_RATIOS = (("odds", "odds ratio"), ("risk", "risk ratio"), ("incidence", "rate ratio"), ("rate", "rate ratio"))
_SHARES = ("responders", "percent", "count")
_MEANS = ("mean", "adjusted_mean", "mean_change", "adjusted_mean_change")

LABELS = {"difference": "", "ratio": "ratio ", "hazard_ratio": "hazard ratio "}
"""What stands before the number of a contrast in a table; a difference stands alone."""
KINDS = {"difference": "a difference of", "ratio": "a ratio of", "hazard_ratio": "a hazard ratio of"}


def by_pairs(ctx: Context, r: Result) -> bool:
    """Whether the difference of a result is the Hodges-Lehmann estimate: the median of the differences of all pairs of
    a value of one arm and one of the other, which is neither a difference of means nor one of medians."""
    if r.contrast is None or r.contrast.kind != "difference":
        return False
    method = ctx.findings.method(r.method)
    told = f"{'' if method is None else method.label} {r.note or ''}"
    return bool(_SHIFT_LABEL.search(r.contrast.label or "") or _SHIFT.search(told))


def lead(ctx: Context, r: Result) -> str:
    """How a contrast is called before its number in a sentence: ``a difference of``."""
    if r.contrast is None:
        return ""
    return "a Hodges-Lehmann estimate of" if by_pairs(ctx, r) else KINDS[r.contrast.kind]


def summary(ctx: Context, r: Result) -> str | None:
    """The measure by which the estimate of a result sums up the population; None where that is not stated."""
    c = r.contrast
    if c is None:
        return None
    if by_pairs(ctx, r):
        return "Hodges-Lehmann estimate: the median of the differences between pairs of people, one of each arm"
    if c.kind == "hazard_ratio":
        return "hazard ratio"
    label = (c.label or "").lower()
    if r.measure == "rate_of_change":
        return "difference of slopes" if c.kind == "difference" else "ratio of slopes"
    if c.kind == "ratio":
        if marker(ctx.record.outcome(r.outcome), r) or "geometric" in label or r.measure.startswith("geometric"):
            return "ratio of geometric means"
        named = next((name for word, name in _RATIOS if word in label), None)
        return named or ("ratio of means" if ctx.record.origin == "written" or "mean" in label else None)
    if "median" in label or r.measure == "median":
        return "difference of medians"
    if r.measure in _SHARES:
        return "difference of shares of people" if ctx.record.outcome(r.outcome).scale == "count" else None
    if "mean" in label or r.measure in _MEANS or ctx.record.origin == "written":
        return "difference of means"
    return None
