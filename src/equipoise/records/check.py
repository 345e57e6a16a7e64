"""Contradictions inside a record: what no single field can show, each with its path in the document.

The shape of a record is checked by the models (:mod:`equipoise.records.schema`); here it is asked whether the facts fit
together: references that lead nowhere, counts above their totals, intervals that miss their estimate, arms that do not
add up, times that do not increase, methods that cannot have given what is credited to them.
"""

from __future__ import annotations

import datetime as dt
import difflib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

from pydantic import BaseModel

from equipoise.records.schema import (
    BaselineRow,
    Contrast,
    Curve,
    DateFact,
    Fact,
    PValue,
    Record,
    Result,
    Sourced,
    Value,
    split_also,
)

Path = tuple[str | int, ...]


class Finding(NamedTuple):
    """One contradiction: the path of the field, what was found, what was expected, how to mend it."""

    path: Path
    found: str
    expected: str
    hint: str | None = None


Check = Callable[[Record, Mapping[str, str]], Iterator[Finding]]


def contradictions(record: Record, *, dropped: Mapping[str, str] | None = None) -> list[Finding]:
    """All contradictions of a record.

    ``dropped`` maps the ids of blocks that could not be read and were left out to their sections: references to them
    are not reported again, nor sums that they would have entered. In a posted record (copied from a registry) numbers
    that contradict each other are the registry's own: they are not among these, see :func:`number_findings`.
    """
    return _run((*_STRUCTURE, *(_NUMBERS if record.origin == "written" else ())), record, dropped or {})


def number_findings(record: Record) -> list[Finding]:
    """What numbers contradict, whatever the origin: refused in a written record, noted in a posted one."""
    return _run(_NUMBERS, record, {})


def _run(checks: tuple[Check, ...], record: Record, dropped: Mapping[str, str]) -> list[Finding]:
    return [finding for check in checks for finding in check(record, dropped)]


# -- walking ----------------------------------------------------------------------------------------------------------


_SCALARS = (str, float, int, bool, type(None))


def _nodes(node: Any, path: Path = ()) -> Iterator[tuple[Path, BaseModel]]:
    inside: Iterable[tuple[str | int, Any]] = ()
    if isinstance(node, BaseModel):
        yield path, node
        inside = ((name, getattr(node, name)) for name in type(node).model_fields)
    elif isinstance(node, Mapping):
        inside = node.items()
    elif isinstance(node, tuple):
        inside = enumerate(node)
    for key, child in inside:
        if type(child) not in _SCALARS:
            yield from _nodes(child, (*path, key))


_REFERENCE = "the id of a block, an address such as 'alsfrs_f_w28.contrast', or the key of a source"


def _unknown(path: Path, kind: str, found: str, known: Collection[str], dropped: Collection[str]) -> Iterator[Finding]:
    if found not in known and found not in dropped:
        close = difflib.get_close_matches(found, list(known), n=1)
        listed = ", ".join(sorted(known)[:20]) + (", ..." if len(known) > 20 else "")
        expected = f"one of: {listed or 'none is declared'}" if kind != "reference" else _REFERENCE
        yield Finding(path, f"the {kind} {found!r}", expected, f"did you mean {close[0]!r}?" if close else None)


# -- identities and provenance ----------------------------------------------------------------------------------------


def _ids(record: Record, dropped: Mapping[str, str]) -> Iterator[Finding]:
    seen: dict[str, Path] = {}
    for path, node in _nodes(record):
        id = getattr(node, "id", None)
        if node is record or not isinstance(id, str):
            continue
        if id in seen:
            first = ".".join(str(p + 1) if isinstance(p, int) else p for p in seen[id])
            yield Finding((*path, "id"), f"the id {id!r} again", "an id of its own", f"first used at {first}")
        seen.setdefault(id, path)


_LEAVES = (Value, Fact, DateFact)
_CARRIERS = {
    "Stratum",
    "VisitPlan",
    "Criterion",
    "Outcome",
    "Method",
    "DataCut",
    "Timepoint",
    "Opinion",
    "Curve",
    "Arm",
    "AnalysisSet",
    "Regulatory",
    "RelatedTrial",
    "Group",
}


def _provenance(record: Record, dropped: Mapping[str, str]) -> Iterator[Finding]:
    reported: set[tuple[Path, str | None]] = set()
    for path, node in _nodes(record):
        if not isinstance(node, Sourced):
            if (source := getattr(node, "source", None)) is not None:
                yield from _unknown((*path, "source"), "source", source, record.sources, dropped)
            continue
        # an unknown key is inherited: report it where it was written, which is the first block met
        outer = path[:2]
        if node.source is not None and node.source not in record.sources and (outer, node.source) not in reported:
            reported.add((outer, node.source))
            yield from _unknown((*path, "source"), "source", node.source, record.sources, dropped)
        for i, text in enumerate(node.also):
            yield from _unknown((*path, "also", i), "source", split_also(text)[0], record.sources, dropped)
        if not isinstance(node, _LEAVES) and type(node).__name__ not in _CARRIERS:
            continue
        missing = [k for k in ("source", "confidence") if getattr(node, k) is None]
        if missing and (outer, None) not in reported:
            reported.add((outer, None))
            yield Finding(
                path,
                f"no {' and no '.join(missing)}",
                "source and confidence, here or on the block around it",
                "every number says where it was read and how surely",
            )


# -- references -------------------------------------------------------------------------------------------------------


def _references(record: Record, dropped: Mapping[str, str]) -> Iterator[Finding]:
    arms = {a.id for a in record.arms}
    sets = {s.id for s in record.sets}
    outcomes = {o.id for o in record.outcomes}
    methods = {m.id for m in record.methods}
    cuts = {c.id for c in record.cuts}
    groups = {g.id for g in record.groups}

    def by_arm(path: Path, values: Mapping[str, Any]) -> Iterator[Finding]:
        for arm in values:
            yield from _unknown((*path, arm), "arm", arm, arms, dropped)

    def by_group(path: Path, values: Mapping[str, Any], known: Collection[str] = groups) -> Iterator[Finding]:
        for group in values:
            yield from _unknown((*path, group), "group", group, known, dropped)

    def by_set(path: Path, values: Mapping[str, Mapping[str, Any]]) -> Iterator[Finding]:
        for set_, row in values.items():
            yield from _unknown((*path, set_), "analysis set", set_, sets, dropped)
            yield from by_arm((*path, set_), row)

    yield from by_arm(("design", "allocation"), record.design.allocation)
    for i, s in enumerate(record.sets):
        yield from by_arm(("sets", i, "n"), s.n)
        for j, part in enumerate(s.parts):
            yield from _unknown(("sets", i, "parts", j), "analysis set", part, sets, dropped)
    for i, v in enumerate(record.visits):
        for j, outcome in enumerate(v.outcomes):
            yield from _unknown(("visits", i, "outcomes", j), "outcome", outcome, outcomes, dropped)
    for section in ("eligibility", "outcomes", "results", "curves", "items"):
        for i, block in enumerate(getattr(record, section)):
            for name, kind, known in (
                ("set", "analysis set", sets),
                ("arm", "arm", arms),
                ("outcome", "outcome", outcomes),
                ("method", "method", methods),
                ("cut", "data cut", cuts),
            ):
                found = getattr(block, name, None)
                if isinstance(found, str):
                    yield from _unknown((section, i, name), kind, found, known, dropped)
    for i, r in enumerate(record.results):
        yield from by_arm(("results", i, "arms"), r.arms)
        yield from by_group(("results", i, "groups"), r.groups)
        for j, p in enumerate(r.p):
            yield from _unknown(("results", i, "p", j, "method"), "method", p.method, methods, dropped)
    for section in ("baseline", "events"):
        for i, row in enumerate(getattr(record, section)):
            yield from by_set((section, i, "values"), row.values)
            yield from by_group((section, i, "groups"), row.groups)
    for i, e in enumerate(record.events):
        if e.cut is not None:
            yield from _unknown(("events", i, "cut"), "data cut", e.cut, cuts, dropped)
    for i, ae in enumerate(record.adverse_events):
        yield from by_arm(("adverse_events", i, "arms"), ae.arms)
        yield from by_group(("adverse_events", i, "groups"), ae.groups)
        yield from by_group(("adverse_events", i, "events"), ae.events, {*arms, *groups})
    for i, item in enumerate(record.items):
        for name, c in item.contrasts.items():
            for key in ("of", "against"):
                value = getattr(c, key)
                yield from _unknown(("items", i, "contrasts", name, key), "value", value, item.values, dropped)
    if record.extension is not None:
        yield from by_set(("extension", "entrants"), record.extension.entrants)
        yield from by_arm(("extension", "completers"), record.extension.completers)
    if record.primary_result is not None:
        yield from _unknown(
            ("primary_result",), "result", record.primary_result, {r.id for r in record.results}, dropped
        )


def _refs(record: Record, dropped: Mapping[str, str]) -> Iterator[Finding]:
    index = record.index(recall=True)
    blocks = record.blocks()
    known = {*index, *blocks, *record.sources}
    for section in ("statements", "traps"):
        for i, statement in enumerate(getattr(record, section)):
            for j, ref in enumerate(statement.refs):
                path = (section, i, "refs", j)
                if ref.split(".")[0] in dropped:
                    continue
                yield from _unknown(path, "reference", ref, known, dropped)
                target = index[ref].sourced if ref in index else blocks.get(ref)
                if isinstance(target, Sourced) and target.confidence == "recall":
                    yield Finding(
                        path, f"{ref!r}, which is recalled", "a fact that was read", "a recalled number is no evidence"
                    )


# -- arms, sets, times ------------------------------------------------------------------------------------------------


def _arms(record: Record, dropped: Mapping[str, str]) -> Iterator[Finding]:
    n = {a.id: a.n.value for a in record.arms if a.n.value is not None}
    for role in ("active", "control"):
        wanted = record.design.randomised or role == "active"
        if wanted and not any(a.role == role for a in record.arms) and "arms" not in dropped.values():
            hint = "a trial of one arm says so: design.randomised: false" if role == "control" else None
            yield Finding(("arms",), f"no {role} arm", "at least one active and one control arm", hint)
    for arm in n:
        if record.design.allocation and arm not in record.design.allocation:
            yield Finding(("design", "allocation"), f"no share for the arm {arm!r}", "a share for every arm")
    total = record.design.n_actual.value
    if (
        n
        and not record.groups
        and len(n) == len(record.arms)
        and total is not None
        and sum(n.values()) != total
        and "arms" not in dropped.values()
    ):
        yield Finding(
            ("design", "n_actual"), f"{total}", f"{sum(n.values())}, the sum of the arms", "one of the two is wrong"
        )
    sizes = {s.id: {arm: v.value for arm, v in s.n.items()} for s in record.sets}
    controls = {a.id for a in record.arms if a.role == "control"}
    for i, s in enumerate(record.sets):
        for arm, v in s.n.items():
            shared = bool(s.shared_with) and arm in controls  # a platform counts controls of its other regimens too
            if arm in n and v.value is not None and v.value > n[arm] and not shared:
                yield Finding(("sets", i, "n", arm), f"{v.value}", f"at most {n[arm]}, the size of the arm")
            parts = [sizes[p].get(arm) for p in s.parts if p in sizes]
            known = [x for x in parts if x is not None]
            if s.parts and len(known) == len(s.parts) and v.value is not None and sum(known) != v.value:
                yield Finding(("sets", i, "n", arm), f"{v.value}", f"{sum(known)}, the sum of {', '.join(s.parts)}")


def _increasing(path: Path, times: tuple[Any, ...], what: str) -> Iterator[Finding]:
    for j in range(1, len(times)):
        if times[j] <= times[j - 1]:
            yield Finding((*path, j), f"{times[j]} after {times[j - 1]}", f"{what} in increasing order, none twice")


def _schedule(record: Record, dropped: Mapping[str, str]) -> Iterator[Finding]:
    for i, v in enumerate(record.visits):
        yield from _increasing(("visits", i, "weeks"), v.weeks, "weeks")
    if record.dosing is not None:
        yield from _increasing(("dosing", "days"), record.dosing.days, "days")
        for j, day in enumerate(record.dosing.loading_days):
            if day not in record.dosing.days:
                yield Finding(("dosing", "loading_days", j), f"day {day}", "one of the dosing days")
    order: dict[int, str] = {}
    for i, o in enumerate(record.outcomes):
        if o.test_order is None:
            continue
        if o.test_order in order:
            yield Finding(
                ("outcomes", i, "test_order"), f"{o.test_order} again", f"its own place ({order[o.test_order]})"
            )
        order.setdefault(o.test_order, o.id)
    if order and "outcomes" not in dropped.values():
        gaps = sorted(set(range(1, max(order) + 1)) - set(order))[:5] if max(order) < 1000 else [2]
        if gaps:
            yield Finding(("outcomes",), f"no outcome with test_order {gaps[0]}", "a sequence 1, 2, 3 without gaps")


def _dates(record: Record, dropped: Mapping[str, str]) -> Iterator[Finding]:
    for path, node in _nodes(record):
        text = getattr(node, "date", None)
        if isinstance(text, str) and len(text) == 10:
            try:
                dt.date.fromisoformat(text)
            except ValueError:
                yield Finding((*path, "date"), f"{text}", "a day that exists")
    d = record.design
    steps = [(k, v.date) for k in ("first_dose", "last_visit", "database_lock") if (v := getattr(d, k)) is not None]
    for (a, first), (b, second) in pairwise(steps):
        width = min(len(first), len(second))
        if second[:width] < first[:width]:
            yield Finding(("design", b), second, f"not before {a.replace('_', ' ')}, {first}")


# -- numbers ----------------------------------------------------------------------------------------------------------


def _ordered(path: Path, pair: tuple[Any, Any], what: str) -> Iterator[Finding]:
    if pair[0] > pair[1]:
        yield Finding(path, f"{pair[0]} to {pair[1]}", f"{what}, the smaller first")


def _leaves(record: Record, dropped: Mapping[str, str]) -> Iterator[Finding]:
    for path, v in _nodes(record):
        if not isinstance(v, Value):
            continue
        if v.low is not None and v.high is not None and v.low > v.high:
            yield Finding((*path, "low"), f"{v.low} to {v.high}", "the lower limit first")
        elif v.value is not None and v.low is not None and v.value < v.low:
            yield Finding((*path, "low"), f"{v.low}", f"no more than the estimate, {v.value}")
        elif v.value is not None and v.high is not None and v.value > v.high:
            yield Finding((*path, "high"), f"{v.high}", f"no less than the estimate, {v.value}")
        if v.range is not None:
            yield from _ordered((*path, "range"), v.range, "minimum and maximum")
            if v.value is not None and v.range[0] <= v.range[1] and not v.range[0] <= v.value <= v.range[1]:
                yield Finding((*path, "range"), f"{v.range[0]} to {v.range[1]}", f"a range that holds {v.value}")
        if v.iqr is not None:
            yield from _ordered((*path, "iqr"), v.iqr, "25th and 75th percentile")
        if isinstance(v, PValue):
            for name in ("value", "low", "high"):
                p = getattr(v, name)
                if p is not None and not 0 <= p <= 1:
                    yield Finding((*path, name), f"{p}", "a probability between 0 and 1")
            if v.value is None and v.low is None:
                yield Finding(path, "no p-value", "value: a number, a bound such as '<0.0001' or a span '0.55-0.57'")
        if isinstance(v, Contrast) and v.kind != "difference":
            for name in ("value", "low", "high"):
                x = getattr(v, name)
                if x is not None and x <= 0:
                    yield Finding((*path, name), f"{x}", "a ratio above 0", "is it on the logarithmic scale?")
        if v.total is not None and v.value is not None:
            if isinstance(v.value, float) and not v.value.is_integer():
                yield Finding((*path, "value"), f"{v.value}", f"a whole number of the {v.total}")
            elif not 0 <= v.value <= v.total:
                yield Finding((*path, "value"), f"{v.value}", f"a count between 0 and the total, {v.total}")
            elif v.percent is not None and v.total and abs(100.0 * v.value / v.total - v.percent) > 0.6:
                yield Finding(
                    (*path, "percent"), f"{v.percent}", f"{100.0 * v.value / v.total:.1f} ({v.value}/{v.total})"
                )
        if v.percent is not None and not 0 <= v.percent <= 100:
            yield Finding((*path, "percent"), f"{v.percent}", "a percentage between 0 and 100")


def _counts(record: Record, dropped: Mapping[str, str]) -> Iterator[Finding]:
    sizes = {s.id: {arm: v.value for arm, v in s.n.items() if v.value is not None} for s in record.sets}
    n = {a.id: a.n.value for a in record.arms if a.n.value is not None}

    def within(path: Path, v: Value, limit: Any, what: str) -> Iterator[Finding]:
        if limit is None:
            return
        for name in ("total", "n"):
            x = getattr(v, name)
            if x is not None and x > limit:
                yield Finding((*path, name), f"{x}", f"at most {limit}, the size of {what}")

    for section in ("baseline", "events"):
        for i, row in enumerate(getattr(record, section)):
            for set_, by_arm in row.values.items():
                for arm, v in by_arm.items():
                    limit = sizes.get(set_, {}).get(arm)
                    yield from within((section, i, "values", set_, arm), v, limit, f"{set_} on {arm}")
    if record.extension is not None:
        for set_, by_arm in record.extension.entrants.items():
            for arm, v in by_arm.items():
                limit = sizes.get(set_, {}).get(arm)
                yield from within(("extension", "entrants", set_, arm), v, limit, f"{set_} on {arm}")
        for arm, v in record.extension.completers.items():
            yield from within(("extension", "completers", arm), v, n.get(arm), f"the arm {arm}")
    for i, ae in enumerate(record.adverse_events):
        for arm, v in ae.arms.items():
            yield from within(("adverse_events", i, "arms", arm), v, n.get(arm), f"the arm {arm}")
    for i, r in enumerate(record.results):
        for arm, v in r.arms.items():
            limit = sizes.get(r.set, {}).get(arm)
            yield from within(("results", i, "arms", arm), v, limit, f"{r.set} on {arm}")


def decimals(x: float) -> int:
    """The number of decimal places a published number shows (trailing zeros are not seen)."""
    text = repr(x)
    if "e" in text or "E" in text:
        return 12
    return len(text.partition(".")[2]) if "." in text and not text.endswith(".0") else 0


def half_unit(x: float) -> float:
    """Half a unit of the last printed place: the most that rounding can have moved a number."""
    return 0.5 * 10.0 ** -decimals(float(x))


def _results(record: Record, dropped: Mapping[str, str]) -> Iterator[Finding]:
    gives = {m.id: m.gives for m in record.methods}
    roles = {a.id: a.role for a in record.arms}
    for i, r in enumerate(record.results):
        has_estimate = r.contrast is not None or any(v.value is not None and v.total is None for v in r.arms.values())
        if has_estimate and "estimate" not in gives.get(r.method, ("estimate",)):
            yield Finding(
                ("results", i, "method"),
                f"{r.method!r}, a method that gives no estimate",
                "the method of the estimate",
                "a rank test gives a p-value only: name it under p, and here the model that gave the difference",
            )
        for j, p in enumerate(r.p):
            if "p" not in gives.get(p.method, ("p",)):
                yield Finding(("results", i, "p", j, "method"), f"{p.method!r}, which gives no p-value", "a test")
        yield from _difference(("results", i, "contrast"), r, roles)


def _difference(path: Path, r: Result, roles: Mapping[str, str]) -> Iterator[Finding]:
    """The contrast is the active arm less (over) the control, up to rounding."""
    c = r.contrast
    if c is None or c.value is None or r.conflicts or len(r.arms) != 2:
        return
    by_role = {roles.get(arm): v.value for arm, v in r.arms.items()}
    a, b = by_role.get("active"), by_role.get("control")
    if a is None or b is None:
        return
    if c.kind == "difference" and r.measure in ("adjusted_mean_change", "mean_change"):
        slack = half_unit(c.value) + half_unit(a) + half_unit(b)
        low = high = a - b
        low, high = low - slack, high + slack
    elif c.kind == "ratio" and r.measure == "geometric_mean_ratio" and min(a, b) > 0:
        ha, hb, hc = half_unit(a), half_unit(b), half_unit(c.value)
        low = (a - ha) / (b + hb) - hc
        high = (a + ha) / (b - hb) + hc if b > hb else float("inf")
    else:
        return
    if not low - 1e-9 <= c.value <= high + 1e-9:
        implied = a - b if c.kind == "difference" else a / b
        yield Finding(
            (*path, "value"),
            f"{c.value}",
            f"{implied:.3g}, which the arms give ({a} and {b})",
            "a sign the wrong way round? if the source really prints this, say so under conflicts",
        )


def _curves(record: Record, dropped: Mapping[str, str]) -> Iterator[Finding]:
    seen: dict[tuple[Any, ...], str] = {}
    for i, c in enumerate(record.curves):
        path: Path = ("curves", i)
        key = (c.outcome, c.set, c.arm, c.measure, c.comparison, c.cut, c.method)
        if key in seen:
            yield Finding((*path, "id"), f"a second curve like {seen[key]}", "one curve for each outcome, set and arm")
        seen.setdefault(key, c.id)
        yield from _increasing((*path, "weeks"), c.weeks, "weeks")
        yield from _columns(path, c)
        for j, e in enumerate(c.exceptions):
            if e.week not in c.weeks:
                yield Finding((*path, "exceptions", j, "week"), f"week {e.week}", "a week of the curve")


def _columns(path: Path, c: Curve) -> Iterator[Finding]:
    for name in ("values", "se", "low", "high"):
        column = getattr(c, name)
        if column is not None and len(column) != len(c.weeks):
            yield Finding((*path, name), f"{len(column)} entries", f"{len(c.weeks)}, one for each week")
    for name, sign, word in (("low", 1, "no more"), ("high", -1, "no less")):
        for j, (x, v) in enumerate(zip(getattr(c, name) or (), c.values, strict=False)):
            if x is not None and sign * x > sign * v:
                yield Finding((*path, name, j), f"{x}", f"{word} than the value, {v}")
    for j, x in enumerate(c.se or ()):
        if x is not None and x < 0:
            yield Finding((*path, "se", j), f"{x}", "a standard error, 0 or more")
    if c.measure == "survival":
        for j, v in enumerate(c.values):
            if not 0 <= v <= 1:
                yield Finding((*path, "values", j), f"{v}", "a proportion between 0 and 1")
            elif j and v > c.values[j - 1]:
                yield Finding((*path, "values", j), f"{v} after {c.values[j - 1]}", "survival that does not rise")
    elif c.measure == "geometric_mean_ratio":
        for j, v in enumerate(c.values):
            if v <= 0:
                yield Finding((*path, "values", j), f"{v}", "a ratio above 0")


def _baseline(record: Record, dropped: Mapping[str, str]) -> Iterator[Finding]:
    bounds = {o.id: o.bounds for o in record.outcomes if o.bounds is not None}
    for i, row in enumerate(record.baseline):
        for set_, by_arm in row.values.items():
            for arm, v in by_arm.items():
                yield from _statistic(("baseline", i, "values", set_, arm), row, v)
                if row.variable in bounds and row.statistic not in ("n_percent", "log_sd"):
                    low, high = bounds[row.variable]
                    for x in (v.value, *(v.range or ()), *(v.iqr or ())):
                        if x is not None and not low <= x <= high:
                            yield Finding(
                                ("baseline", i, "values", set_, arm), f"{x}", f"a value between {low} and {high}"
                            )


_NEEDS = {"range": "range", "iqr": "iqr"}


def _statistic(path: Path, row: BaselineRow, v: Value) -> Iterator[Finding]:
    if row.statistic == "n_percent":
        if v.total is None and v.percent is None:
            yield Finding(path, f"{v.value} without a total", "a count such as '6/21', or a percent")
    elif row.statistic in _NEEDS:
        if getattr(v, _NEEDS[row.statistic]) is None:
            yield Finding(path, f"no {row.statistic}", f"{_NEEDS[row.statistic]}: [low, high]")
    elif v.value is None:
        yield Finding(path, "no value", f"a number ({row.statistic.replace('_', ' ')})")


_STRUCTURE: tuple[Check, ...] = (_ids, _provenance, _references, _refs)
_NUMBERS: tuple[Check, ...] = (_arms, _schedule, _leaves, _counts, _results, _curves, _baseline, _dates)
