"""Contrasts against their own interval, standard error, label and arms."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator

from equipoise.numerics.rounding import of_hundred
from equipoise.records.check import half_unit
from equipoise.records.coherence.implied import as_ratio, by_ranks
from equipoise.records.coherence.note import Certainty, Note, NoteKind, name_of, normal_quantile, unit_of
from equipoise.records.schema import Contrast, Item, ItemContrast, Record, Result, Value

_MODEL = ("ancova", "mmrm", "cox")
_EXACT = ("adjusted_mean_change", "adjusted_mean", "geometric_mean_ratio", "geometric_mean", "rate_of_change")
_LOOSE = ("mean_change", "mean")
_MEDIANS = ("median", "time_to_event", "rank_only", "other")


def contrast_notes(record: Record) -> tuple[Note, ...]:
    """Contrasts that do not fit their interval, their standard error, their label or their arms."""
    families = {m.id: m.family for m in record.methods}
    labels = {m.id: m.label for m in record.methods}
    out: list[Note] = []
    for result in record.results:
        c = result.contrast
        if c is None or not c.usable:
            continue
        maker = _Maker(record, result)
        modelled = (
            families.get(result.method) in _MODEL
            or c.kind == "hazard_ratio"
            or bool(re.search(r"\bLS\b|least[- ]squares?", f"{c.label or ''} {labels.get(result.method, '')}", re.I))
        )
        out += _interval(maker, c, modelled)
        out += _spread(maker, c, result)
        out += _label(maker, c, result)
        out += _arms(maker, record, result, c)
    for item in record.items:
        for key, contrast in item.contrasts.items():
            if contrast.usable:
                out += _item(record, item, key, contrast)
    return tuple(out)


class _Maker:
    """Makes notes about one result."""

    def __init__(self, record: Record, result: Result) -> None:
        self.record, self.result = record, result

    def __call__(
        self,
        kind: NoteKind,
        what: str,
        why: str,
        certainty: Certainty,
        explained: str | None = None,
        refs: tuple[str, ...] = (),
    ) -> Note:
        r = self.result
        return Note(
            f"{kind}_{r.id}",
            kind,
            f"{name_of(self.record, r, method=False)}: {what}",
            why,
            (f"{r.id}.contrast", *refs),
            r.id,
            primary=r.id == self.record.primary_result,
            certainty=certainty,
            explained=explained,
            block=r.id,
        )


_ONE_LIMIT = re.compile(r"one[- ]sided|not (?:be )?(?:estimable|estimated|reached|calculated)|\bNE\b")


def _shown(c: Contrast) -> str:
    low = f"{c.low:g}" if c.low is not None else "?"
    high = f"{c.high:g}" if c.high is not None else "?"
    return f"{c.value:g} ({low} to {high})"


# -- the interval -----------------------------------------------------------------------------------------------------


def _interval(make: _Maker, c: Contrast, modelled: bool) -> Iterator[Note]:
    if c.value is None:
        return
    if (c.low is None) != (c.high is None):
        if _ONE_LIMIT.search(c.note or ""):
            return  # the source says why there is one limit alone
        yield make(
            "one_sided_interval",
            f"only one limit is printed: {_shown(c)}",
            "a one-sided interval of 95 % is as strict as a two-sided one of 90 %, and says nothing on the other side",
            "certain",
        )
        return
    if c.low is None or c.high is None or c.high <= c.low:
        return
    value, low, high = float(c.value), float(c.low), float(c.high)
    if not low - half_unit(low) <= value <= high + half_unit(high):
        yield make(
            "interval_and_estimate",
            f"the estimate lies outside its own interval: {_shown(c)}",
            "one of the three numbers is misprinted, or they come from different analyses",
            "certain",
        )
        return
    if not modelled or as_ratio(c) is not None:
        return
    linear, log = _skew(value, low, high, False), _skew(value, low, high, True)
    own, other = (linear, log) if c.kind == "difference" else (log, linear)
    limit = 0.10 if c.kind == "difference" else 0.15
    if own is None or own <= limit:
        return
    if other is not None and other <= 0.02 and c.kind != "difference":
        yield make(
            "interval_scale",
            f"the interval of the ratio is even around the ratio itself, not its logarithm: {_shown(c)}",
            "a ratio's interval belongs on the logarithmic scale; made otherwise it can miss its level",
            "likely",
            "the limits are the ratio plus and minus a multiple of a standard error",
        )
        return
    flipped = _flip(value, low, high, c.kind != "difference")
    yield make(
        "interval_and_estimate",
        f"the estimate is not in the middle of its interval, by {of_hundred(own, 1, 0)} % of half its width: "
        f"{_shown(c)}",
        "intervals of such models are even around the estimate: a digit may be wrong, or two analyses mixed",
        "likely" if own > 0.3 else "possible",
        flipped,
    )


def _skew(value: float, low: float, high: float, log: bool) -> float | None:
    """How far the estimate is from the middle, beyond what rounding allows, as a share of half the width."""
    he, hl, hh = half_unit(value), half_unit(low), half_unit(high)
    if log:
        if min(value - he, low - hl) <= 0:
            return None
        slack = (math.log(value + he) - math.log(value - he) + 0.5 * (math.log(low + hl) - math.log(low - hl))) / 2.0
        slack += 0.25 * (math.log(high + hh) - math.log(high - hh))
        value, low, high = math.log(value), math.log(low), math.log(high)
    else:
        slack = he + 0.5 * (hl + hh)
    off = abs(value - 0.5 * (low + high)) - slack
    return max(off, 0.0) / (0.5 * (high - low))


def _flip(value: float, low: float, high: float, log: bool) -> str | None:
    """A sign or a digit whose change would put the estimate in the middle."""
    if not log:
        for words, v, lo, hi in (
            ("the sign of the estimate is wrong", -value, low, high),
            ("the sign of the lower limit is wrong", value, -low, high),
            ("the sign of the upper limit is wrong", value, low, -high),
        ):
            if lo < v < hi and (_skew(v, lo, hi, False) or 0.0) <= 0.05:
                return f"the numbers agree if {words}"
    return None


# -- standard errors --------------------------------------------------------------------------------------------------


def _spread(make: _Maker, c: Contrast, result: Result) -> Iterator[Note]:
    if c.low is None or c.high is None or c.kind != "difference" or c.high <= c.low:
        return
    half = 0.5 * (float(c.high) - float(c.low))
    slack = 0.5 * (half_unit(float(c.low)) + half_unit(float(c.high)))
    z = normal_quantile(0.5 + c.level / 2.0)
    widest = z * 1.32  # a t distribution with about 5 degrees of freedom
    if c.se:
        he = half_unit(float(c.se))
        lowest, highest = (half - slack) / (float(c.se) + he), (half + slack) / max(float(c.se) - he, 1e-12)
        if highest < z * 0.97 or lowest > widest:
            yield make(
                "se_and_interval",
                f"the interval {_shown(c)} reaches {half / float(c.se):.2f} standard errors ({c.se:g}) to each side; "
                f"{100 * c.level:g} % asks for {z:.2f}",
                "interval and standard error come from different analyses, or one of them is mislabelled",
                "likely",
                _level(lowest, highest, c.level),
            )
    elif c.sd:
        ratio = half / float(c.sd)
        if z * 0.93 <= ratio <= widest:
            yield make(
                "sd_or_se",
                f"the standard deviation printed with {_shown(c)} is its standard error ({c.sd:g})",
                "a standard error taken for a standard deviation makes an effect look many times larger",
                "certain",
            )
    yield from _arm_spread(make, result, half / z)


def _level(lowest: float, highest: float, printed: float) -> str | None:
    for level in (0.80, 0.90, 0.95, 0.99):
        if abs(level - printed) > 1e-9 and lowest * 0.985 <= normal_quantile(0.5 + level / 2.0) <= highest * 1.015:
            return f"the numbers agree if the interval is one of {100 * level:g} %"
    return "the numbers agree if the limits lie one standard error each side" if lowest <= 1.0 <= highest else None


def _arm_spread(make: _Maker, result: Result, se: float) -> Iterator[Note]:
    """Arms whose standard deviations act as standard errors, or the other way round, for the contrast's precision."""
    pairs = {k: v for k, v in {**result.arms, **result.groups}.items() if v.usable}
    if len(pairs) != 2 or se <= 0 or result.measure in _MEDIANS:
        return
    values = list(pairs.values())
    refs = tuple(f"{result.id}.{k}" if k in result.arms else f"{result.id}.groups.{k}" for k in pairs)
    n = [v.n for v in values]
    if any(x is None or x < 10 for x in n):
        return
    sizes = [float(x or 1) for x in n]
    for name, other in (("sd", "se"), ("se", "sd")):
        spread = [getattr(v, name) for v in values]
        if any(not x for x in spread):
            continue
        as_se = math.sqrt(sum(float(x) ** 2 for x in spread))
        as_sd = math.sqrt(sum(float(x) ** 2 / k for x, k in zip(spread, sizes, strict=True)))
        said, not_said = (as_sd, as_se) if name == "sd" else (as_se, as_sd)
        if abs(math.log(se / said)) > math.log(2.5) and abs(math.log(se / not_said)) < math.log(1.5):
            long = {"sd": "standard deviation", "se": "standard error"}
            yield make(
                "sd_or_se",
                f"the arms' spreads are called {long[name]}s, but the interval of the contrast fits only if they are "
                f"{long[other]}s",
                "whoever pools or compares the arms will weigh them wrongly",
                "likely",
                refs=refs,
            )


# -- the label --------------------------------------------------------------------------------------------------------


def _label(make: _Maker, c: Contrast, result: Result) -> Iterator[Note]:
    called = (c.label or "").lower()
    why = "no effect is 1, not 0: taken for a difference it shows an effect where there is none, or the reverse"
    if c.kind != "difference" and re.search(r"differ|diff\b", called):
        yield make("ratio_called_difference", f"{_shown(c)} is called {c.label!r} and is a ratio", why, "certain")
        return
    if c.kind != "difference" or c.value is None or c.low is None or c.high is None:
        return
    value, low, high = float(c.value), float(c.low), float(c.high)
    arms = [float(v.value) for v in {**result.arms, **result.groups}.values() if v.usable and v.value is not None]
    if min(value, low, high) <= 0 or len(arms) != 2 or min(arms) <= 0:
        return
    ratio, difference = _ratio_fits(arms, value), _difference_fits(arms, value)
    if ratio and not difference and (_skew(value, low, high, True) or 0.0) <= 0.1:
        yield make(
            "ratio_called_difference",
            f"{_shown(c)} is given as a difference, but is the ratio of its arms",
            why,
            "likely",
        )


def _ratio_fits(arms: list[float], value: float) -> bool:
    half = half_unit(value)
    for a, b in (arms, arms[::-1]):
        ha, hb = half_unit(a), half_unit(b)
        if b > hb and (a - ha) / (b + hb) - half <= value <= (a + ha) / (b - hb) + half:
            return True
    return False


def _difference_fits(arms: list[float], value: float) -> bool:
    slack = half_unit(value) + sum(half_unit(a) for a in arms) + 1e-9
    return abs(abs(arms[0] - arms[1]) - abs(value)) <= slack


# -- the arms ---------------------------------------------------------------------------------------------------------


def _arms(make: _Maker, record: Record, result: Result, c: Contrast) -> Iterator[Note]:
    values = {k: v for k, v in {**result.arms, **result.groups}.items() if v.usable and v.value is not None}
    if c.value is None or len(values) != 2:
        return
    keys = list(values)
    roles = {a.id: a.role for a in record.arms}
    ordered = sorted(keys, key=lambda k: roles.get(k) == "control" or bool(re.search("placebo|control", k)))
    known = {roles.get(k) for k in keys} == {"active", "control"}
    a, b = (values[k] for k in ordered)
    share = result.measure in ("count", "responders", "percent")
    method = next((m.label for m in record.methods if m.id == result.method), "")
    if result.measure in _MEDIANS or by_ranks(c, method) or (share and c.kind != "difference"):
        return  # the median of pair differences is not the difference of the means
    exact = result.measure in _EXACT
    if not exact and result.measure not in _LOOSE and not share:
        return
    found = _contradiction(c, a, b, share=share, exact=exact, either=not known)
    if found is None:
        return
    what, explained, certainty = found
    twin = _twin(record, result)
    if twin is not None:
        who = _who(record, {**twin.arms, **twin.groups})
        explained = f"the same numbers are printed for {name_of(record, twin, method=False)}" + (
            f" ({who})" if who else ""
        )
        certainty = "certain" if exact else "likely"
    refs = tuple(f"{result.id}.{k}" if k in result.arms else f"{result.id}.groups.{k}" for k in ordered)
    between = f" ({_who(record, ordered)})" if not known else ""
    yield make(
        "contrast_and_arms",
        f"{_shown(c)} is not what its own arms give{between}: {what}",
        "the contrast is what gets cited: if it belongs to other arms or has the wrong sign, so does the conclusion",
        certainty,
        explained,
        refs,
    )


def _who(record: Record, keys: Iterable[str]) -> str:
    labels = {a.id: a.label for a in record.arms} | {g.id: g.label for g in record.groups}
    return " and ".join(labels.get(k, k) for k in keys)


def _contradiction(
    c: Contrast, a: Value, b: Value, *, share: bool, exact: bool, either: bool
) -> tuple[str, str | None, Certainty] | None:
    """What the arms give, what would explain the contrast, and how sure; None where they agree."""
    x, y = _number(a, share), _number(b, share)
    if x is None or y is None or c.value is None:
        return None
    value = float(c.value)
    ha, hb, hc = (unit_of(a), unit_of(b), unit_of(c)) if not share else (1.0, 1.0, unit_of(c))
    if c.kind == "difference":
        if share and abs(value) <= 1.0 and max(x, y) > 1.0 and abs(x - y) > 1.5:
            value, hc = value * 100.0, hc * 100.0
        implied, slack = x - y, ha + hb + hc + 1e-9
        shown = f"{x:g} less {y:g} is {implied:.3g}"
        options = [implied, -implied] if either else [implied]
        off = min(abs(value - o) for o in options)
        turned = abs(value + implied) <= slack and abs(implied) > slack
        half = None if c.low is None or c.high is None else 0.5 * (float(c.high) - float(c.low))
        if share and half is not None and abs(float(c.value)) <= 1.0 and value != float(c.value):
            half *= 100.0
    else:
        if min(x, y, value) <= 0 or y <= hb:
            return None
        implied = math.log(x / y)
        slack = (ha / x + hb / y + hc / value) * 1.05 + 1e-9
        shown = f"{x:g} over {y:g} is {x / y:.3g}"
        options = [implied, -implied] if either else [implied]
        off = min(abs(math.log(value) - o) for o in options)
        turned = abs(math.log(value) + implied) <= slack and abs(implied) > slack
        good = c.low is not None and c.high is not None and 0 < c.low < c.high
        half = 0.5 * math.log(float(c.high or 1) / float(c.low or 1)) if good else None
    if off <= slack:
        return None
    if turned:
        return shown, "the numbers agree if the contrast is the other way round", "likely" if exact else "possible"
    if exact:
        if half is not None and off - slack <= 0.12 * half:
            return None  # another covariate or another rounding, not another contrast
        return shown, None, "likely" if half is None or off > 0.5 * half else "possible"
    if half is None or off - slack <= 1.3 * half:
        return None
    return shown, None, "possible"


def _number(v: Value, share: bool) -> float | None:
    if not share:
        return None if v.value is None else float(v.value)
    if v.total:
        return 100.0 * float(v.value or 0) / v.total
    if v.percent is not None:
        return float(v.percent)
    if v.value is not None and isinstance(v.value, float | int) and v.n is not None and not isinstance(v.value, int):
        return float(v.value)
    return (
        float(v.value)
        if v.value is not None and (v.unit or "").strip().startswith(("%", "percent", "Percent"))
        else None
    )


def _twin(record: Record, result: Result) -> Result | None:
    """Another result of the same outcome with the very same contrast, all three numbers."""
    c = result.contrast
    if c is None or c.low is None or c.high is None:
        return None
    for other in record.results:
        o = other.contrast
        same = o is not None and (o.value, o.low, o.high) == (c.value, c.low, c.high)
        if same and other.id != result.id and other.outcome == result.outcome and other.week == result.week:
            return other
    return None


def _pair(c: ItemContrast) -> str:
    """``20 mg against placebo`` of the keys by which an item knows its arms."""
    named = (re.sub(r"^mg(\d+)$", r"\1 mg", key).replace("_", " ") for key in (c.of, c.against))
    return " against ".join(named)


def _item(record: Record, item: Item, key: str, c: ItemContrast) -> Iterator[Note]:
    a, b = item.values.get(c.of), item.values.get(c.against)
    if a is None or b is None or not a.usable or not b.usable:
        return
    found = _contradiction(c, a, b, share=False, exact=True, either=False)
    if found is None:
        return
    what, explained, certainty = found
    for name, other in item.contrasts.items():
        if name != key and (other.value, other.low, other.high) == (c.value, c.low, c.high) and c.low is not None:
            explained, certainty = f"the same numbers are printed for {_pair(other)}", "certain"
    yield Note(
        f"contrast_and_arms_{item.id}_{key}",
        "contrast_and_arms",
        f"{item.label}: {_pair(c)}, {_shown(c)}, is not what its own values give: {what}",
        "the contrast is what gets cited: if it belongs to other arms or has the wrong sign, so does the conclusion",
        (f"{item.id}.contrasts.{key}", f"{item.id}.{c.of}", f"{item.id}.{c.against}"),
        "",
        certainty=certainty,
        explained=explained,
        block=item.id,
    )
