"""Notes on how well a record's published numbers hang together, computed from the record alone.

Three questions, for any record:

* does each p-value agree with the interval printed beside it? An estimate with its interval implies a p-value (normal
  theory; on the log scale for ratios). A published p far from it came from another analysis;
* was the analysis fixed before the data were seen?
* is a p-value nominal because an earlier step of the test sequence had failed?

A note is a finding about the record, not an error in it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from equipoise.records.check import half_unit
from equipoise.records.schema import Contrast, PValue, Record, Result

NoteKind = Literal["p_and_interval", "not_prespecified", "after_failed_gatekeeper"]
ALPHA = 0.05


@dataclass(frozen=True)
class Note:
    """One computed note: what was found, why it matters to a reader, and the addresses it rests on."""

    id: str
    kind: NoteKind
    what: str
    why: str
    refs: tuple[str, ...]
    result: str
    """Id of the result it is about."""
    primary: bool = False
    """Whether that is the result of the primary outcome."""
    changes_verdict: bool = False
    """Whether the two p-values lie on different sides of 0.05."""


@dataclass(frozen=True)
class ImpliedP:
    """The two-sided p-value that an estimate and its interval imply, with what rounding of the limits allows."""

    p: float
    low: float
    high: float


def coherence_notes(record: Record) -> tuple[Note, ...]:
    """All computed notes on a record: p-values against intervals first, then pre-specification, then gatekeeping."""
    return (*p_notes(record), *_prespecification(record), *_gatekeeping(record))


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
    z_level = _normal_quantile(0.5 + contrast.level / 2.0)

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


def p_notes(record: Record) -> tuple[Note, ...]:
    """P-values that the interval printed beside them cannot have given."""
    return tuple(
        _p_note(record, result, result.contrast, p, implied)
        for result in record.results
        if result.contrast is not None and (implied := implied_p(result.contrast)) is not None
        for p in result.p
        if p.usable and _differs(p, implied)
    )


def _differs(p: PValue, implied: ImpliedP) -> bool:
    """Whether a published p lies outside what rounding, pooling and few degrees of freedom can explain.

    Allowed is a factor of 1.6 on the odds of p either way, and upwards all that a t distribution with 20 degrees of
    freedom in place of the normal can do, for the interval and the p-value both.
    """
    slack = math.log(1.6)
    bottom = _logit(implied.low) - slack
    top = max(_logit(implied.high) + slack, _logit(_by_t(implied.high)))
    if p.relation == "<" and p.value is not None:
        return _logit(float(p.value)) < bottom
    if p.relation == ">" and p.value is not None:
        return _logit(float(p.value)) > top
    low = p.value if p.value is not None else p.low
    high = p.value if p.value is not None else p.high
    if low is None or high is None:
        return False
    return _logit(float(high) + half_unit(high)) < bottom or _logit(float(low) - half_unit(low)) > top


def _by_t(p: float, df: float = 20.0) -> float:
    """What a normal two-sided p becomes if interval and test were both made with a t distribution."""
    from scipy.special import stdtr, stdtrit

    z = _normal_quantile(1.0 - max(p, 1e-15) / 2.0)
    return float(2.0 * stdtr(df, -z * stdtrit(df, 0.975) / _normal_quantile(0.975)))


def _p_note(record: Record, result: Result, contrast: Contrast, p: PValue, implied: ImpliedP) -> Note:
    labels = {m.id: m.label for m in record.methods}
    test, model = labels.get(p.method, p.method), labels.get(result.method, result.method)
    interval = f"{contrast.value:g} ({contrast.low:g} to {contrast.high:g})"
    implies = f"implies about {_round(implied.p)}"
    if p.method == result.method:
        what = f"{_shown(p)} is credited to the method of {interval}, which {implies}"
        why = "one of the numbers is misprinted, or they come from different analyses"
    else:
        beside = next((q for q in result.p if q.method == result.method and q.value is not None), None)
        own = f" (its own p-value is {beside.value:g})" if beside is not None else ""
        what = f"{_shown(p)} is from: {test}. {interval} is from: {model}, and {implies}{own}"
        why = "read together as one analysis they mislead: the interval is not the test's, nor the test the interval's"
    number = sum(1 for q in result.p[: result.p.index(p)] if q.method == p.method)
    address = f"{result.id}.p.{p.method}" + (f".{number + 1}" if number else "")
    return Note(
        f"p_{result.id}_{p.method}" + (f"_{number + 1}" if number else ""),
        "p_and_interval",
        f"{_name(record, result, method=False)}: {what}",
        why,
        (f"{result.id}.contrast", address),
        result.id,
        primary=result.id == record.primary_result,
        changes_verdict=p.value is not None and (float(p.value) < ALPHA) != (implied.p < ALPHA),
    )


def _prespecification(record: Record) -> tuple[Note, ...]:
    out = []
    for result in record.results:
        pre = result.prespecified
        if pre is None or pre.verdict == "yes":
            continue
        against = ", ".join(o.who for o in pre.by if o.verdict == "no")
        other = ", ".join(o.who for o in pre.by if o.verdict == "yes")
        what = "was not pre-specified" if pre.verdict == "no" else "is disputed as to pre-specification"
        said = f" (according to {against})" if against else ""
        claimed = f"; {other} calls it pre-specified" if other else ""
        refs = [result.id, *(o.source for o in pre.by if o.source is not None)]
        out.append(
            Note(
                f"prespecified_{result.id}",
                "not_prespecified",
                f"{_name(record, result)} {what}{said}{claimed}",
                "an analysis chosen after the data were seen has no known error rate: read it as a hypothesis",
                tuple(dict.fromkeys(refs)),
                result.id,
                primary=result.id == record.primary_result,
            )
        )
    return tuple(out)


def _gatekeeping(record: Record) -> tuple[Note, ...]:
    """Results further down the test sequence than a step that failed, and reported with a small p-value."""
    sequence = sorted((o for o in record.outcomes if o.test_order is not None), key=lambda o: o.test_order or 0)
    failed = None
    out = []
    for outcome in sequence:
        tested = [
            r
            for r in record.results
            if r.outcome == outcome.id
            and r.set == outcome.set
            and r.week == outcome.week
            and r.role == "main"
            and r.comparison == "randomised"
        ]
        for result in tested:
            if failed is not None:
                small = [p for p in result.p if p.usable and p.value is not None and p.value < ALPHA]
                if small:
                    p = small[0]
                    out.append(
                        Note(
                            f"gate_{result.id}",
                            "after_failed_gatekeeper",
                            f"{_name(record, result)}: {_shown(p)} is nominal, since the sequence stopped at "
                            f"{failed.label}",
                            "the trial's error rate was spent on the failed step: in its own terms this is not "
                            "significant",
                            (f"{result.id}.p.{p.method}",),
                            result.id,
                        )
                    )
            else:
                formal = [p for p in result.p if p.usable and p.status == "formal" and p.value is not None]
                if formal and all(p.value is not None and p.value >= ALPHA for p in formal):
                    failed = outcome
    return tuple(out)


# -- words and numbers ------------------------------------------------------------------------------------------------


def _name(record: Record, result: Result, *, method: bool = True) -> str:
    cut = next((c.label for c in record.cuts if c.id == result.cut), None)
    when = f", week {result.week:g}" if result.week is not None else f", {cut}" if cut else ""
    subset = f", {result.subset}" if result.subset else ""
    by = f" ({next((m.label for m in record.methods if m.id == result.method), result.method)})" if method else ""
    return f"{record.outcome(result.outcome).label}, {result.set}{when}{subset}{by}"


def _shown(p: PValue) -> str:
    if p.value is None:
        return f"p = {p.low:g} to {p.high:g}"
    return f"p {p.relation} {p.value:g}"


def _round(p: float) -> str:
    return "< 0.0001" if p < 1e-4 else f"{p:.2g}"


def two_sided(z: float) -> float:
    """Two-sided p-value of a standard normal deviate."""
    return math.erfc(abs(z) / math.sqrt(2.0))


def _logit(p: float) -> float:
    p = min(max(p, 1e-300), 1.0 - 1e-12)
    return math.log(p) - math.log1p(-p)


def _normal_quantile(p: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf(p)
