"""P-values against the interval, the standard error, the counts or the means printed beside them."""

from __future__ import annotations

import math
import re

from equipoise.records.check import half_unit
from equipoise.records.coherence.implied import (
    ImpliedP,
    as_ratio,
    by_ranks,
    differs,
    explanations,
    implied_by_se,
    implied_p,
)
from equipoise.records.coherence.note import Note, logit, name_of, rounded_p, shown_p, unit_of
from equipoise.records.schema import Contrast, Method, PValue, Record, Result, Value


def p_notes(record: Record) -> tuple[Note, ...]:
    """P-values that the interval, or failing that the standard error, printed beside them cannot have given."""
    out = []
    labels = {m.id: m.label for m in record.methods}
    for result in record.results:
        if result.contrast is None:
            continue
        implied, by_se = implied_p(result.contrast), False
        if implied is None:
            implied, by_se = implied_by_se(result.contrast), True
        if implied is not None:
            told = as_ratio(result.contrast)
            other = None if told is None else implied_p(told)
            out += [
                _p_note(record, result, result.contrast, p, implied, by_se)
                for p in result.p
                if p.usable
                and differs(p, implied)
                and (other is None or differs(p, other))
                and not (by_ranks(result.contrast, labels.get(p.method, "")) and _agree(p, result.contrast))
            ]
    return tuple(out)


def _agree(p: PValue, c: Contrast) -> bool:
    """Whether a P value and an interval give the same verdict, the one thing that an inverted rank test promises."""
    if p.value is None or c.low is None or c.high is None:
        return False
    outside = c.low > c.null or c.high < c.null
    near = min(abs(c.low - c.null), abs(c.high - c.null)) <= half_unit(float(c.low)) + half_unit(float(c.high))
    return near or outside == (float(p.value) < 1.0 - c.level + 0.005)


def _p_note(record: Record, result: Result, contrast: Contrast, p: PValue, implied: ImpliedP, by_se: bool) -> Note:
    labels = {m.id: m.label for m in record.methods}
    test, model = labels.get(p.method, p.method), labels.get(result.method, result.method)
    interval = f"{contrast.value:g} "
    interval += f"(SE {contrast.se:g})" if by_se else f"({contrast.low:g} to {contrast.high:g})"
    found = explanations(contrast, p) if p.method == result.method else ()
    implies = f"implies about {rounded_p(implied.p)}"
    if p.method == result.method:
        what = f"{shown_p(p)} is credited to the method of {interval}, which {implies}"
        why = "one of the numbers is misprinted, or they come from different analyses"
    else:
        beside = next((q for q in result.p if q.method == result.method and q.value is not None), None)
        own = f" (its own p-value is {beside.value:g})" if beside is not None else ""
        what = f"{shown_p(p)} comes from one analysis ({test}), {interval} from another ({model}), and {implies}{own}"
        why = "read together as one analysis they mislead: the interval does not belong to the test"
    explained = "the numbers agree if " + ", or if ".join(found) if found else None
    if p.method != result.method:
        explained = "they are two analyses, printed side by side"
    number = sum(1 for q in result.p[: result.p.index(p)] if q.method == p.method)
    address = f"{result.id}.p.{p.method}" + (f".{number + 1}" if number else "")
    return Note(
        f"p_{result.id}_{p.method}" + (f"_{number + 1}" if number else ""),
        "p_and_se" if by_se else "p_and_interval",
        f"{name_of(record, result, method=False)}: {what}",
        why,
        (f"{result.id}.contrast", address),
        result.id,
        primary=result.id == record.primary_result,
        changes_verdict=p.value is not None and (float(p.value) < p.held_to) != (implied.p < p.held_to),
        certainty="certain" if p.method != result.method else "likely",
        explained=explained,
        block=result.id,
    )


# -- p-values against counts and means --------------------------------------------------------------------------------


def data_notes(record: Record) -> tuple[Note, ...]:
    """P-values of named simple tests that the counts, or the means and deviations, beside them cannot have given."""
    methods = {m.id: m for m in record.methods}
    out = []
    for result in record.results:
        values = [v for v in (*result.arms.values(), *result.groups.values()) if v.usable]
        for p in result.p:
            if not p.usable or p.value is None:
                continue
            named = _test(methods.get(p.method))
            if named in ("chi", "fisher") and len(values) == 2:
                note = _counts_note(record, result, p, named, values)
            elif named == "t" and len(values) in (1, 2):
                note = _means_note(record, result, p, values)
            else:
                note = None
            if note is not None:
                out.append(note)
    return tuple(out)


def _test(method: Method | None) -> str | None:
    if method is None or re.search(r"stratif|adjust|mantel|mcnemar", f"{method.label} {method.description}", re.I):
        return None
    if re.search(r"fisher", method.label, re.I):
        return "fisher"
    if re.search(r"chi-?squared?|\u03c7", method.label, re.I):
        return "chi"
    return "t" if re.search(r"\bt[- ]test|student", method.label, re.I) else None


def _counts_note(record: Record, result: Result, p: PValue, named: str, values: list[Value]) -> Note | None:
    table = []
    for v in values:
        if not isinstance(v.value, int) or not v.total or not 0 <= v.value <= v.total:
            return None
        table.append((v.value, v.total - v.value))
    tests = _two_by_two(table)
    if not tests:
        return None
    own = {"chi": ("chi-squared", "chi-squared with correction"), "fisher": ("Fisher's exact test",)}[named]
    if any(_near(p, tests[t], 1.25) for t in own if t in tests):
        return None
    fits = [t for t, q in tests.items() if t not in own and _near(p, q, 1.15)]
    counts = " and ".join(f"{v.value}/{v.total}" for v in values)
    given = ", ".join(f"{t} {rounded_p(tests[t])}" for t in own if t in tests)
    return _data_note(record, result, p, "p_and_counts", f"{counts} give {given}", fits)


def _two_by_two(table: list[tuple[int, int]]) -> dict[str, float]:
    from scipy.stats import chi2_contingency, fisher_exact

    (a, b), (c, d) = table
    if min(a + c, b + d, a + b, c + d) == 0:
        return {}
    plain = float(chi2_contingency([[a, b], [c, d]], correction=False)[1])
    corrected = float(chi2_contingency([[a, b], [c, d]], correction=True)[1])
    exact = float(fisher_exact([[a, b], [c, d]])[1])
    out = {"chi-squared": plain, "chi-squared with correction": corrected, "Fisher's exact test": exact}
    return out | {"a one-sided chi-squared test": plain / 2.0, "a one-sided exact test": exact / 2.0}


def _means_note(record: Record, result: Result, p: PValue, values: list[Value]) -> Note | None:
    if any(v.value is None or not v.sd or not v.n or v.n < 3 for v in values):
        return None
    given, extreme = _t_tests(values)
    if not given:
        return None
    low, high = extreme
    implied = ImpliedP(next(iter(given.values())), low, high)
    if not differs(p, implied, odds=1.25):
        return None
    fits = [t for t, q in given.items() if t.startswith("a ") and _near(p, q, 1.15)]
    shown = " and ".join(f"{v.value:g} (SD {v.sd:g}, n {v.n})" for v in values)
    main = next(iter(given))
    return _data_note(record, result, p, "p_and_means", f"{shown} give {rounded_p(given[main])} by {main}", fits)


def _t_tests(values: list[Value]) -> tuple[dict[str, float], tuple[float, float]]:
    """P-values of the t tests that means, deviations and numbers allow; and the least and most that rounding allows."""
    from scipy.special import stdtr

    def p_of(means: list[float], sds: list[float]) -> tuple[float, float]:
        n = [float(v.n or 0) for v in values]
        if len(values) == 1:
            return means[0] / (sds[0] / math.sqrt(n[0])), n[0] - 1.0
        pooled = math.sqrt(((n[0] - 1) * sds[0] ** 2 + (n[1] - 1) * sds[1] ** 2) / (n[0] + n[1] - 2))
        return (means[0] - means[1]) / (pooled * math.sqrt(1 / n[0] + 1 / n[1])), n[0] + n[1] - 2.0

    m = [float(v.value or 0) for v in values]
    s = [float(v.sd or 0) for v in values]
    hm, hs = [unit_of(v) for v in values], [half_unit(float(v.sd or 0)) for v in values]
    if any(x - h <= 0 for x, h in zip(s, hs, strict=True)):
        return {}, (0.0, 1.0)
    t, df = p_of(m, s)

    def tail(t: float, df: float) -> float:
        return float(2.0 * stdtr(df, -abs(t)))

    distance = abs(m[0]) if len(m) == 1 else abs(m[0] - m[1])
    slack = sum(hm)
    sign = [1.0, -1.0]
    most = [sign[i] * (distance + slack) / (2.0 if len(m) == 2 else 1.0) for i in range(len(m))]
    least = [sign[i] * max(distance - slack, 0.0) / (2.0 if len(m) == 2 else 1.0) for i in range(len(m))]
    low = tail(p_of(most, [x - h for x, h in zip(s, hs, strict=True)])[0], df)
    high = tail(p_of(least, [x + h for x, h in zip(s, hs, strict=True)])[0], df)
    name = "a t test on one group" if len(m) == 1 else "Student's t test"
    given = {name.removeprefix("a "): tail(t, df), "a one-sided t test": tail(t, df) / 2.0}
    if len(m) == 2:
        n = [float(v.n or 0) for v in values]
        a, b = s[0] ** 2 / n[0], s[1] ** 2 / n[1]
        welch_df = (a + b) ** 2 / (a**2 / (n[0] - 1) + b**2 / (n[1] - 1))
        welch = tail((m[0] - m[1]) / math.sqrt(a + b), welch_df)
        given["a Welch test"] = welch
        low, high = min(low, welch * low / max(tail(t, df), 1e-300)), max(high, welch * high / max(tail(t, df), 1e-300))
    return given, (min(low, 1.0), min(high, 1.0))


def _near(p: PValue, computed: float, odds: float) -> bool:
    value = float(p.value or 0.0)
    if p.relation == "<":
        return computed <= value * odds
    if p.relation == ">":
        return computed >= value / odds
    half = half_unit(value)
    low, high = logit(max(value - half, 1e-300)) - math.log(odds), logit(min(value + half, 1.0)) + math.log(odds)
    return low <= logit(computed) <= high


def _data_note(record: Record, result: Result, p: PValue, kind: str, what: str, fits: list[str]) -> Note:
    label = next((m.label for m in record.methods if m.id == p.method), p.method)
    return Note(
        f"{kind}_{result.id}_{p.method}",
        kind,  # type: ignore[arg-type]
        f"{name_of(record, result, method=False)}: {shown_p(p)} ({label}), but {what}",
        "the p-value comes from another test, other people or other numbers than those printed beside it",
        (result.id, f"{result.id}.p.{p.method}"),
        result.id,
        primary=result.id == record.primary_result,
        certainty="likely",
        explained=f"it is what {' or '.join(fits)} gives" if fits else None,
        block=result.id,
    )
