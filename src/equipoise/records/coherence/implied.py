"""The p-value that an estimate and its interval imply, and which test or slip would explain another."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from equipoise.records.check import half_unit
from equipoise.records.coherence.note import logit, normal_quantile, two_sided
from equipoise.records.schema import Contrast, PValue


@dataclass(frozen=True)
class ImpliedP:
    """The two-sided p-value that an estimate and its interval imply, with what rounding of the limits allows."""

    p: float
    low: float
    high: float


def as_ratio(contrast: Contrast) -> Contrast | None:
    """A percent change as the ratio that it was analysed as, where its interval is even around the logarithm of that
    ratio and not around itself; None of any other contrast."""
    c = contrast
    if c.kind != "difference" or c.value is None or c.low is None or c.high is None or not c.high > c.low > -100:
        return None
    if (c.unit or "") != "%" and "percent" not in (c.label or "").lower():
        return None
    value, low, high = (1.0 + float(x) / 100.0 for x in (c.value, c.low, c.high))
    if value <= 0 or high <= low:
        return None
    own = abs(2.0 * float(c.value) - float(c.low) - float(c.high)) / (float(c.high) - float(c.low))
    log = abs(2.0 * math.log(value) - math.log(low) - math.log(high)) / (math.log(high) - math.log(low))
    if log >= own:
        return None
    places = {"value": round(value, 6), "low": round(low, 6), "high": round(high, 6)}
    return c.model_copy(update={"kind": "ratio", "digits": None, **places})


def by_ranks(contrast: Contrast, method: str) -> bool:
    """Whether an estimate comes from inverting a rank test (Hodges and Lehmann 1963): then its interval is a range of
    pair differences, uneven around it, and no normal theory links it to the P value."""
    return bool(_RANKS.search(f"{contrast.label or ''} {method}"))


_RANKS = re.compile(r"hodges|wilcoxon|mann[- ]whitney|rank[- ]sum|median difference", re.IGNORECASE)


def implied_p(contrast: Contrast) -> ImpliedP | None:
    """The p-value implied by a contrast's estimate and interval; None without both.

    Normal theory: z = estimate / se with se = (high - low) / (2 z_level), on the log scale for a ratio (Altman and
    Bland, BMJ 2011;343:d2304). ``low`` and ``high`` bound what rounding of the three printed numbers can do.
    """
    if contrast.value is None or contrast.low is None or contrast.high is None or not contrast.usable:
        return None
    estimate, low, high = float(contrast.value), float(contrast.low), float(contrast.high)
    log = contrast.kind != "difference"
    if high <= low or (log and min(estimate, low, high) <= 0.0):
        return None
    z_level = normal_quantile(0.5 + contrast.level / 2.0)

    def z(value: float, lower: float, upper: float) -> float:
        if log:
            value, lower, upper = math.log(value), math.log(lower), math.log(upper)
        return abs(value) * 2.0 * z_level / (upper - lower) if upper > lower else math.inf

    # the most and the least that rounding of each number allows
    he, hl, hh = half_unit(estimate), half_unit(low), half_unit(high)
    tiny = 1e-12
    zs = [
        z(max(e, tiny) if log else e, max(lo, tiny) if log else lo, hi)
        for e in (estimate - he, estimate, estimate + he)
        for lo, hi in ((low - hl, high + hh), (low, high), (low + hl, high - hh))
    ]
    crosses = (
        (math.log(max(estimate - he, tiny)) if log else estimate - he)
        <= 0.0
        <= (math.log(estimate + he) if log else estimate + he)
    )
    smallest = 0.0 if crosses else min(zs)
    return ImpliedP(two_sided(z(estimate, low, high)), two_sided(max(zs)), two_sided(smallest))


def implied_by_se(contrast: Contrast) -> ImpliedP | None:
    """The p-value implied by an estimate and its standard error, where no interval is printed.

    For a ratio the standard error is taken on the log scale only if it is plausible there, else there is no answer.
    """
    if contrast.value is None or contrast.se is None or not contrast.se or not contrast.usable:
        return None
    if contrast.kind != "difference":
        return None
    estimate, se = float(contrast.value), float(contrast.se)
    he, hs = half_unit(estimate), half_unit(se)
    if se <= hs:
        return None
    smallest = max(abs(estimate) - he, 0.0) / (se + hs)
    return ImpliedP(two_sided(estimate / se), two_sided((abs(estimate) + he) / (se - hs)), two_sided(smallest))


def differs(p: PValue, implied: ImpliedP, *, odds: float = 1.6) -> bool:
    """Whether a published p lies outside what rounding, pooling and few degrees of freedom can explain.

    Allowed is a factor on the odds of p either way, and upwards all that a t distribution with 20 degrees of freedom
    in place of the normal can do, for the interval and the p-value both. A one-sided p is doubled first.
    """
    slack = math.log(odds)
    bottom = logit(implied.low) - slack
    top = max(logit(implied.high) + slack, logit(by_t(implied.high)))
    if p.sides == "one":
        if p.value is None or p.relation != "=":
            return False
        both = min(1.0, 2.0 * min(float(p.value), 1.0 - float(p.value)))
        return logit(both + half_unit(float(p.value))) < bottom or logit(both - half_unit(float(p.value))) > top
    if p.relation == "<" and p.value is not None:
        return logit(float(p.value)) < bottom
    if p.relation == ">" and p.value is not None:
        return logit(float(p.value)) > top
    low = p.value if p.value is not None else p.low
    high = p.value if p.value is not None else p.high
    if low is None or high is None:
        return False
    return logit(float(high) + half_unit(high)) < bottom or logit(float(low) - half_unit(low)) > top


def by_t(p: float, df: float = 20.0) -> float:
    """What a normal two-sided p becomes if interval and test were both made with a t distribution."""
    from scipy.special import stdtr, stdtrit

    z = normal_quantile(1.0 - max(p, 1e-15) / 2.0)
    return float(2.0 * stdtr(df, -z * stdtrit(df, 0.975) / normal_quantile(0.975)))


def explanations(contrast: Contrast, p: PValue) -> tuple[str, ...]:
    """The readings of estimate and interval under which a published p-value would be right; none if it is."""
    implied = implied_p(contrast)
    if implied is None or not differs(p, implied):
        return ()
    if p.value is None or p.relation != "=" or not 0.0 < float(p.value) < 1.0:
        return ()
    value = float(p.value)
    half = half_unit(value)
    out = []
    for words, candidate in _readings(contrast):
        slack = 0.12 + 2.0 * half / max(value * (1.0 - value), 1e-6)
        if 0.0 < candidate < 1.0 and abs(logit(candidate) - logit(value)) <= min(slack, 0.5):
            out.append(words)
    return tuple(out)


def _readings(contrast: Contrast) -> Iterator[tuple[str, float]]:
    if contrast.value is None or contrast.low is None or contrast.high is None:
        return
    estimate, low, high = float(contrast.value), float(contrast.low), float(contrast.high)
    log = contrast.kind != "difference"
    if high <= low or (log and min(estimate, low, high) <= 0):
        return
    e, width = (math.log(estimate), math.log(high / low)) if log else (estimate, high - low)
    z_level = normal_quantile(0.5 + contrast.level / 2.0)
    z = e * 2.0 * z_level / width
    yield "the p-value is one-sided", two_sided(z) / 2.0
    yield "the p-value is one-sided, towards the other side", 1.0 - two_sided(z) / 2.0
    for level in (0.8, 0.9, 0.95, 0.99):
        if abs(level - contrast.level) > 1e-9:
            yield (
                f"the interval is one of {100 * level:g} %, not {100 * contrast.level:g} %",
                two_sided(e * 2.0 * normal_quantile(0.5 + level / 2.0) / width),
            )
    yield "the limits lie one standard error each side", two_sided(e * 2.0 / width)
    if log:
        yield (
            "the test was made on the ratio itself, not on its logarithm",
            two_sided((estimate - 1.0) * 2.0 * z_level / (high - low)),
        )
    elif min(estimate, low, high) > 0:
        yield (
            "the numbers are ratios, tested against 1",
            two_sided(math.log(estimate) * 2.0 * z_level / math.log(high / low)),
        )
    for places, words in ((0.1, "the p-value has a nought too few"), (10.0, "the p-value has a nought too many")):
        yield words, min(two_sided(z) / places, 0.999999)
    for df in (5, 10):
        yield f"a t distribution with about {df} degrees of freedom was used", by_t(two_sided(z), float(df))
