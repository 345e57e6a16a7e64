"""Counts, percentages, totals; means and deviations that whole-number scores cannot have."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from equipoise.numerics.rounding import of_hundred
from equipoise.records.check import decimals, half_unit, number_findings
from equipoise.records.coherence.note import Certainty, Note, NoteKind, name_of, unit_of
from equipoise.records.schema import AdverseEvent, Outcome, Record, Value


def number_notes(record: Record) -> tuple[Note, ...]:
    """Counts and percentages that disagree, parts above their totals, impossible means and deviations."""
    return (*_shares(record), *_means(record), *_totals(record), *_posted(record))


def _note(
    id: str,
    kind: NoteKind,
    what: str,
    why: str,
    refs: tuple[str, ...],
    certainty: Certainty,
    block: str,
    result: str = "",
    explained: str | None = None,
) -> Note:
    return Note(id, kind, what, why, refs, result, certainty=certainty, explained=explained, block=block)


def _rows(record: Record) -> Iterator[tuple[str, str, str, str, Value, int | None]]:
    """(address, block, label, section, value, people in the set or arm) of every value by arm or group."""
    sizes = {s.id: {arm: v.value for arm, v in s.n.items()} for s in record.sets}
    n = {a.id: a.n.value for a in record.arms}
    groups = {g.id: g.n.value if g.n is not None else None for g in record.groups}

    def whole(x: object) -> int | None:
        return x if isinstance(x, int) else None

    for section, rows in (("baseline", record.baseline), ("events", record.events)):
        for row in rows:
            for set_, by_arm in row.values.items():
                for arm, v in by_arm.items():
                    size = whole(sizes.get(set_, {}).get(arm))
                    yield f"{row.id}.{set_}.{arm}", row.id, f"{row.label}, {arm}", section, v, size
            for group, v in row.groups.items():
                yield f"{row.id}.groups.{group}", row.id, f"{row.label}, {group}", section, v, whole(groups.get(group))
    for ae in record.adverse_events:
        for arm, v in ae.arms.items():
            yield f"{ae.id}.{arm}", ae.id, f"{ae.term}, {arm}", "adverse_events", v, whole(n.get(arm))
        for group, v in ae.groups.items():
            yield f"{ae.id}.groups.{group}", ae.id, f"{ae.term}, {group}", "adverse_events", v, whole(groups.get(group))
    for r in record.results:
        label = name_of(record, r, method=False)
        for arm, v in r.arms.items():
            yield f"{r.id}.{arm}", r.id, f"{label}, {arm}", "results", v, whole(sizes.get(r.set, {}).get(arm))
        for group, v in r.groups.items():
            yield f"{r.id}.groups.{group}", r.id, f"{label}, {group}", "results", v, whole(groups.get(group))


# -- counts and percentages -------------------------------------------------------------------------------------------


def _shares(record: Record) -> Iterator[Note]:
    kinds = {row.id: row.statistic for row in record.baseline}
    results = {r.id for r in record.results}
    for address, block, label, section, v, size in _rows(record):
        if not v.usable:
            continue
        result = block if block in results else ""
        if v.total and v.percent is not None and isinstance(v.value, int):
            unit = 10.0 ** -decimals(float(v.percent))
            true = 100.0 * v.value / v.total
            if abs(true - float(v.percent)) > unit + 1e-9:
                near = _other_total(v, size)
                yield _note(
                    f"percent_{address.replace('.', '_')}",
                    "percent_and_count",
                    f"{label}: {v.value} of {v.total} is {of_hundred(v.value, v.total)} %, and {v.percent:g} % is "
                    "printed",
                    "the count, the denominator or the percentage is wrong, or they rest on different people",
                    (address,),
                    "certain",
                    block,
                    result,
                    near,
                )
        elif v.percent is not None and v.value is None and section in ("baseline", "adverse_events"):
            n = v.n or (size if kinds.get(block, "n_percent") == "n_percent" else None)
            if n and not _reachable(float(v.percent), n):
                low = math.floor(float(v.percent) * n / 100.0)
                yield _note(
                    f"percent_{address.replace('.', '_')}",
                    "impossible_percent",
                    f"{label}: no number of {n} people is {v.percent:g} %: {low} are {of_hundred(low, n)} %, "
                    f"{low + 1} are {of_hundred(low + 1, n)} %",
                    "the percentage rests on other people than the arm, or is misprinted",
                    (address,),
                    "possible",
                    block,
                )


def _other_total(v: Value, size: int | None) -> str | None:
    if size and size != v.total and isinstance(v.value, int) and v.percent is not None:
        unit = 10.0 ** -decimals(float(v.percent))
        if abs(100.0 * v.value / size - float(v.percent)) <= unit:
            return f"the percentage is of {size}, the whole set"
    return None


def _reachable(percent: float, n: int) -> bool:
    """Whether some whole number of n people, rounded or cut off, is this percentage as printed."""
    unit = 10.0 ** -decimals(percent)
    return any(
        -0.5 * unit - 1e-9 <= 100.0 * k / n - percent < unit
        for k in (math.floor(percent * n / 100.0), math.ceil(percent * n / 100.0))
    )


# -- means and deviations ---------------------------------------------------------------------------------------------


def _means(record: Record) -> Iterator[Note]:
    outcomes = {o.id: o for o in record.outcomes}
    rows = {row.id: row for row in record.baseline}
    results = {r.id: r for r in record.results}
    for address, block, label, section, v, size in _rows(record):
        if not v.usable or v.value is None:
            continue
        whole, bounds, raw, result = False, None, False, ""
        if section == "baseline":
            row = rows[block]
            outcome: Outcome | None = outcomes.get(row.variable)
            whole = row.whole_numbers or (outcome is not None and outcome.whole_numbers)
            raw = row.statistic in ("mean", "mean_sd", "mean_se")
            bounds = outcome.bounds if outcome is not None else None
        elif section == "results":
            r = results[block]
            result = r.id
            o = outcomes[r.outcome]
            whole, raw = o.whole_numbers, r.measure in ("mean", "mean_change")
            if raw and o.bounds is not None:
                low, high = float(o.bounds[0]), float(o.bounds[1])
                bounds = (low, high) if r.measure == "mean" else (low - high, high - low)
        if not raw:
            continue
        n = v.n if v.n is not None else size
        if whole and n and not _grim(v, n):
            yield _note(
                f"mean_{address.replace('.', '_')}",
                "impossible_mean",
                f"{label}: no {n} whole numbers have the mean {v.value:g}",
                "the mean, the number of people or the rounding is wrong, or some people are missing",
                (address,),
                "likely" if v.n is not None else "possible",
                block,
                result,
                _grim_others(v, n),
            )
        yield from _sd(address, block, label, v, n, bounds, result)


def _grim(v: Value, n: int) -> bool:
    """Whether n whole numbers can have a mean that rounds to the printed one (Brown and Heathers 2017)."""
    mean, half = float(v.value or 0), unit_of(v)
    if n * 2.0 * half >= 1.0:
        return True
    return any(abs(k / n - mean) <= half + 1e-9 for k in (math.floor(mean * n), math.ceil(mean * n)))


def _grim_others(v: Value, n: int) -> str | None:
    fits = [m for m in range(max(2, n - 5), n + 3) if m != n and _grim(v, m) and m * 2.0 * unit_of(v) < 1.0]
    return f"it is possible for {' or '.join(str(m) for m in fits)} people" if fits else None


def _sd(
    address: str,
    block: str,
    label: str,
    v: Value,
    n: int | None,
    bounds: tuple[float | int, float | int] | None,
    result: str,
) -> Iterator[Note]:
    if v.sd is None or not n or n < 2 or v.value is None:
        return
    mean, sd = float(v.value), float(v.sd) - half_unit(float(v.sd))
    scale = n / (n - 1.0)
    limit, why_not = math.inf, ""
    for edges, words in ((bounds, "the scale"), (v.range, "the range printed beside it")):
        if edges is None:
            continue
        low, high = float(edges[0]), float(edges[1])
        if not low <= mean <= high:
            continue
        slack = unit_of(v) * (high - low)
        most = math.sqrt(max((mean - low) * (high - mean) + slack, 0.0) * scale)
        if most < limit:
            limit, why_not = most, f"{words} ({low:g} to {high:g})"
    if sd > limit + 1e-9:
        yield _note(
            f"sd_{address.replace('.', '_')}",
            "impossible_sd",
            f"{label}: a standard deviation of {v.sd:g} around {v.value:g} does not fit into {why_not}; {limit:.2g} is "
            "the most there can be",
            "the deviation is misprinted, or is another measure of spread",
            (address,),
            "certain",
            block,
            result,
        )


# -- totals -----------------------------------------------------------------------------------------------------------


def _totals(record: Record) -> Iterator[Note]:
    yield from _flow(record)
    yield from _categories(record)
    yield from _serious(record)


def _flow(record: Record) -> Iterator[Note]:
    """Completed and not completed add up to started, in each period."""
    periods: dict[str, dict[str, tuple[str, Mapping[str, Value]]]] = {}
    for row in record.events:
        if row.endpoint in ("STARTED", "COMPLETED", "NOT_COMPLETED"):
            period = row.label.rsplit(":", 1)[0]
            merged = {**row.groups, **{k: v for by_arm in row.values.values() for k, v in by_arm.items()}}
            periods.setdefault(period, {}).setdefault(row.endpoint, (row.id, merged))
    for period, rows in periods.items():
        if len(rows) < 3:
            continue
        for who, started in rows["STARTED"][1].items():
            parts = [rows[k][1].get(who) for k in ("COMPLETED", "NOT_COMPLETED")]
            counts = [p.value for p in parts if p is not None and p.usable]
            if len(counts) == 2 and None not in counts and started.value is not None and started.usable:
                total = sum(float(x or 0) for x in counts)
                if total != started.value:
                    yield _note(
                        f"flow_{rows['STARTED'][0]}_{who}",
                        "arm_and_total",
                        f"{period}, {who}: {counts[0]} completed and {counts[1]} did not, but {started.value} started",
                        "someone is counted twice or not at all",
                        tuple(rows[k][0] for k in ("STARTED", "COMPLETED", "NOT_COMPLETED")),
                        "certain",
                        rows["STARTED"][0],
                    )


SEVERAL_ANSWERS = 1.15
"""Categories that hold more people than this many times the arm are answers of which several may be chosen."""


def _categories(record: Record) -> Iterator[Note]:
    """The categories of one baseline variable add up to no more people than there are."""
    if record.origin != "posted":
        return  # in a written record one variable may hold sets of answers that overlap
    found: dict[tuple[str, str, int], list[tuple[str, int]]] = {}
    prefix: dict[str, str] = {}
    for row in record.baseline:
        if row.statistic != "n_percent":
            continue
        stem = row.label.rsplit(":", 1)[0]
        for by_arm in row.values.values():
            for arm, v in by_arm.items():
                if isinstance(v.value, int) and v.total:
                    found.setdefault((f"{row.variable}|{stem}", arm, v.total), []).append((row.id, v.value))
                    prefix[f"{row.variable}|{stem}"] = stem
    for (key, arm, total), parts in found.items():
        count = sum(k for _, k in parts)
        if len(parts) > 1 and total < count <= SEVERAL_ANSWERS * total:
            yield _note(
                f"categories_{parts[0][0]}_{arm}",
                "arm_and_total",
                f"{prefix[key]}, {arm}: the categories hold {count} people, the arm {total}",
                "people are in several categories, or a count is wrong",
                tuple(id for id, _ in parts),
                "possible",
                parts[0][0],
            )


def _serious(record: Record) -> Iterator[Note]:
    """No serious term affects more people than any serious event does."""
    any_serious: AdverseEvent | None = next(
        (e for e in record.adverse_events if e.serious and e.category == "summary" and e.id == "ae_any_serious"), None
    )
    if any_serious is None:
        return
    for event in record.adverse_events:
        if not event.serious or event.category != "term":
            continue
        for arm, v in event.arms.items():
            most = any_serious.arms.get(arm)
            if most is None or most.value is None or v.value is None or v.value <= most.value:
                continue
            yield _note(
                f"serious_{event.id}_{arm}",
                "arm_and_total",
                f"{event.term}, {arm}: {v.value} people, but only {most.value} had any serious event",
                "one of the two counts is wrong",
                (f"{event.id}.{arm}", f"{any_serious.id}.{arm}"),
                "certain",
                event.id,
            )


def _posted(record: Record) -> Iterator[Note]:
    """Contradictions that a written record would be refused for, and a posted one keeps."""
    if record.origin != "posted":
        return
    for finding in number_findings(record):
        path = finding.path
        if path[-2:-1] == ("contrast",) or path[-1] == "percent" or (path[0] == "results" and path[-1] == "method"):
            continue  # said in its own words by another check
        section = str(path[0])
        member = getattr(record, section, None)
        block = ""
        if len(path) > 1 and isinstance(path[1], int) and isinstance(member, tuple):
            block = str(getattr(member[path[1]], "id", ""))
        where = section.replace("_", " ") + (f" {block}" if block else "")
        name = ".".join(str(p) for p in path)
        counts = path[-1] in ("n_actual", "total", "n") or section in ("arms", "sets") or "n" in path
        yield _note(
            "posted_" + name.replace(".", "_"),
            "arm_and_total" if counts else "numbers",
            f"{where}: {finding.found} where {finding.expected} would fit",
            "the entry contradicts itself here; it is kept as posted",
            (block,) if block else ("design.n_actual",) if section == "design" else (),
            "certain",
            block,
        )
