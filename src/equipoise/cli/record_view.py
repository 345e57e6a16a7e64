"""A record on the terminal: sections of tables and sentences, each number with its source."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from equipoise.records.coherence import coherence_notes
from equipoise.records.schema import Fact, Record, Result, Sourced, Value

MARKS = {"seen": "", "slide": "ˢ", "curve": "~", "derived": "=", "recall": "?"}
LEGEND = (
    "~ read off a curve   ˢ printed on a slide   = derived from other numbers   no mark: read as text in the source"
)
_CONTROL = {c: None for c in (*range(32), *range(127, 160)) if c not in (9, 10)}


def console() -> Console:
    """The console to print on; a pipe gets a fixed, generous width."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else 140)


def clean(text: str) -> str:
    """Text from a file without control characters."""
    return text.translate(_CONTROL)


def number(x: float | int | None) -> str:
    """A number as short as it was printed."""
    if x is None:
        return ""
    return f"{x:g}" if abs(x) < 1e6 else f"{x:,.0f}"


def value(v: Value, *, unit: bool = False) -> str:
    """A value with its spread: ``-6.98 (SE 1.42)``, ``1.2 (-3.19, 5.53)``, ``41/72 (56.9 %)``; a recalled one not."""
    if not v.usable:
        return "held back"
    if v.total is not None:
        share = v.percent if v.percent is not None else 100.0 * (v.value or 0) / v.total if v.total else 0.0
        return f"{number(v.value)}/{v.total} ({round(share, 1):g} %)" + MARKS.get(v.confidence or "", "")
    text = number(v.value)
    if v.value is None and v.percent is not None:
        text = f"{number(v.percent)} %"
    spread = []
    if v.se is not None:
        spread.append(f"SE {number(v.se)}")
    if v.sd is not None:
        spread.append(f"SD {number(v.sd)}")
    if v.low is not None or v.high is not None:
        spread.append(f"{number(v.low) or '?'}, {number(v.high) or '?'}")
    if v.range is not None:
        spread.append(f"{number(v.range[0])} to {number(v.range[1])}")
    if v.iqr is not None:
        spread.append(f"quartiles {number(v.iqr[0])}, {number(v.iqr[1])}")
    if spread:
        text = f"{text} ({'; '.join(spread)})" if text else "; ".join(spread)
    if unit and v.unit:
        text += f" {v.unit}"
    return text + MARKS.get(v.confidence or "", "")


def cited(s: Sourced) -> str:
    """Source and place: ``EMA p.64``."""
    return "; ".join(f"{key} {place}" if place else key for key, place in s.citations)


def _table(*columns: str, right: Iterable[int] = ()) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", show_header=any(columns))
    for i, column in enumerate(columns):
        table.add_column(Text(clean(column)), justify="right" if i in set(right) else "left", overflow="fold")
    return table


def _row(table: Table, *cells: str) -> None:
    table.add_row(*(Text(clean(cell)) for cell in cells))


# -- sections ---------------------------------------------------------------------------------------------------------


def _design(r: Record) -> Iterable[RenderableType]:
    d = r.design
    t = _table("", "", "source")

    def add(label: str, sourced: Any) -> None:
        if sourced is not None:
            text = (
                value(sourced)
                if isinstance(sourced, Value)
                else sourced.text
                if isinstance(sourced, Fact)
                else sourced.date
            )
            note = f" ({sourced.note})" if sourced.note else ""
            _row(t, label, text + note, cited(sourced))

    for name in ("phase", "type", "masking", "setting", "control"):
        add(name, getattr(d, name))
    _row(t, "allocation", " : ".join(f"{share} {arm}" for arm, share in d.allocation.items()), cited(d))
    strata = [s for s in d.strata if s.usable]
    if strata:
        _row(t, "strata", "; ".join(s.label for s in strata), cited(strata[0]))
    for label, name in (
        ("planned at first", "n_planned_first"),
        ("planned", "n_planned"),
        ("randomised", "n_actual"),
        ("screened", "n_screened"),
        ("screen failures", "n_screen_failures"),
        ("sites", "n_sites"),
        ("countries", "n_countries"),
        ("weeks", "duration_weeks"),
        ("first dose", "first_dose"),
        ("last visit", "last_visit"),
        ("database lock", "database_lock"),
        ("protocol", "protocol"),
    ):
        add(label, getattr(d, name))
    if r.dosing is not None:
        x = r.dosing
        add("dose", x.dose)
        add("route", x.route)
        _row(t, "dosing days", ", ".join(str(day) for day in x.days), cited(x))
    for v in r.visits:
        _row(t, "visits", f"{', '.join(v.outcomes)}: weeks {', '.join(number(w) for w in v.weeks)}", cited(v))
    yield t


def _arms(r: Record) -> Iterable[RenderableType]:
    t = _table("set", *(a.label for a in r.arms), "definition", "source", right=range(1, len(r.arms) + 1))
    for s in r.sets:
        n = [value(s.n[a.id]) if a.id in s.n else "" for a in r.arms]
        _row(t, f"{s.id} {s.label}", *n, s.definition, cited(s))
    yield t
    for c in (c for c in r.eligibility if c.usable):
        yield Text(clean(f"{c.kind.replace('_', ' ')}{f' ({c.set})' if c.set else ''}: {c.text} [{cited(c)}]"))


def _outcomes(r: Record) -> Iterable[RenderableType]:
    t = _table("order", "outcome", "", "role", "set", "week", "better", "source", right=(0,))
    for o in sorted(r.outcomes, key=lambda o: (o.test_order is None, o.test_order or 0)):
        label = o.label + (f" ({o.unit})" if o.unit else "")
        better = o.direction.split("_")[0]
        order = str(o.test_order or "")
        _row(t, order, o.id, label, o.role, o.set or "", number(o.week), better, cited(o))
    yield t


def _methods(r: Record) -> Iterable[RenderableType]:
    for m in r.methods:
        by = f"; covariates: {', '.join(m.covariates)}" if m.covariates else ""
        imputed = f"; {m.imputation}" if m.imputation else ""
        yield Text.assemble((m.id, "bold"), clean(f"  {m.label}: {m.description}{by}{imputed} [{cited(m)}]"))


def _by_set(r: Record, rows: Sequence[Any], head: str, label: Callable[[Any], str]) -> Table:
    used = [(s.id, a.id) for s in r.sets for a in r.arms if any(a.id in row.values.get(s.id, {}) for row in rows)]
    t = _table(head, *(f"{s} {a}" for s, a in used), "source")
    for row in rows:
        cells = [value(row.values[s][a]) if a in row.values.get(s, {}) else "" for s, a in used]
        _row(t, label(row), *cells, cited(row))
    return t


def _baseline(r: Record) -> Iterable[RenderableType]:
    def label(row: Any) -> str:
        unit = f", {row.unit}" if row.unit else ""
        return f"{row.label}{unit}, {row.statistic.replace('_', ' ')}"

    yield _by_set(r, r.baseline, "variable", label)


def _p_values(result: Result) -> str:
    out = []
    for p in result.p:
        if p.usable:
            shown = f"{p.relation} {number(p.value)}" if p.value is not None else f"{number(p.low)} to {number(p.high)}"
            test = (", one-sided" if p.sides == "one" else "") + ("" if p.method == result.method else f", {p.method}")
            out.append(f"{shown.removeprefix('= ')}{test}{' (formal)' if p.status == 'formal' else ''}")
    return "\n".join(out)


def _results(r: Record) -> Iterable[RenderableType]:
    for comparison, title in (("randomised", "randomised period"), ("early_delayed", "early against delayed start")):
        found = [x for x in r.results if x.comparison == comparison]
        if not found:
            continue
        yield Text(title, style="italic")
        arms = [a.label if comparison == "randomised" else (a.delayed_label or a.label).split(" (")[0] for a in r.arms]
        t = _table("outcome", "set", "week", *arms, "contrast", "method", "p (test, if another)", "planned", "source")
        for column in (len(arms) + 4, len(arms) + 5):
            t.columns[column].no_wrap = True
        for x in found:
            label = x.outcome + (f": {x.subset}" if x.subset else "")
            values = [value(x.arms[a.id], unit=True) if a.id in x.arms else "" for a in r.arms]
            kind = {"difference": "", "ratio": "ratio ", "hazard_ratio": "HR "}
            contrast = kind[x.contrast.kind] + value(x.contrast) if x.contrast is not None else ""
            when = number(x.week) or x.cut or ""
            planned = x.prespecified.verdict if x.prespecified is not None else ""
            _row(t, label, x.set, when, *values, contrast, x.method, _p_values(x), planned, cited(x))
        yield t


def _curves(r: Record) -> Iterable[RenderableType]:
    for c in r.curves:
        t = _table("", *(f"w{number(w)}" for w in c.weeks), right=range(1, len(c.weeks) + 1))
        points = c.points()
        _row(t, "value", *(number(p.value) + MARKS.get(p.confidence or "", "") for p in points))
        if c.se is not None:
            _row(t, "SE", *(number(p.se) for p in points))
        if c.low is not None:
            _row(t, "low", *(number(p.low) for p in points))
        if c.high is not None:
            _row(t, "high", *(number(p.high) for p in points))
        head = f"{c.outcome}, {c.set}, {r.arm(c.arm).label}, {c.measure.replace('_', ' ')}"
        if c.comparison == "early_delayed":
            head += ", early against delayed start"
        yield Text.assemble((clean(head), "italic"), clean(f" [{cited(c)}]"))
        yield t


def _events(r: Record) -> Iterable[RenderableType]:
    def label(row: Any) -> str:
        when = f", {r.when(row.week)}" if row.week is not None else f", {row.cut}" if row.cut else ""
        return f"{row.label}{when}" + (f" ({row.detail})" if row.detail else "")

    yield _by_set(r, r.events, "event", label)


def _safety(r: Record) -> Iterable[RenderableType]:
    t = _table("adverse event", *(a.label for a in r.arms), "source")
    for ae in r.adverse_events:
        term = ae.term + (", serious" if ae.serious and "erious" not in ae.term else "")
        note = f" ({ae.note})" if ae.note else ""
        _row(t, term + note, *(value(ae.arms[a.id]) if a.id in ae.arms else "" for a in r.arms), cited(ae))
    yield t


def _extension(r: Record) -> Iterable[RenderableType]:
    e = r.extension
    if e is None:
        return
    yield Text(
        clean(f"{e.title}; the control arm switches after week {value(e.switch_week)}; {e.dosing.text} [{cited(e)}]")
    )
    for set_, row in e.entrants.items():
        entered = ", ".join(f"{r.arm(a).delayed_label or a} {value(v)}" for a, v in row.items())
        yield Text(clean(f"entered, {set_}: {entered} [{cited(next(iter(row.values())))}]"))
    if e.completers:
        done = ", ".join(f"{r.arm(a).delayed_label or a} {value(v)}" for a, v in e.completers.items())
        yield Text(clean(f"completed: {done} [{cited(next(iter(e.completers.values())))}]"))


def _items(r: Record) -> Iterable[RenderableType]:
    sections = dict.fromkeys(i.section for i in r.items)
    for section in sections:
        yield Text(section.replace("_", " "), style="italic")
        t = _table("", "", "source")
        for i in r.items:
            if i.section != section:
                continue
            if not i.usable:
                _row(t, i.label, "recalled, held back", cited(i))
                continue
            shown = [f"{k.replace('_', ' ')} {value(v, unit=True)}" for k, v in i.values.items() if v.usable]
            held = len(i.values) - len(shown)
            parts = [i.text or "", "; ".join(shown), f"{held} recalled, held back" if held else ""]
            _row(t, i.label, ". ".join(p for p in parts if p), cited(i))
        yield t


def _regulatory(r: Record) -> Iterable[RenderableType]:
    for x in (x for x in r.regulatory if x.usable):
        text = f": {x.text}" if x.text else ""
        yield Text(clean(f"{x.date or ''} {x.authority}: {x.decision}{text} [{cited(x)}]".strip()))


def _related(r: Record) -> Iterable[RenderableType]:
    for x in r.related:
        yield Text.assemble(
            (clean(f"{x.name} ({x.drug}, {x.year}, n {value(x.n)})"), "bold"),
            clean(f"  {x.outcome.text}: {x.result.text} [{cited(x)}]"),
        )
        for fact in x.after:
            if fact.usable:
                yield Padding(Text(clean(f"since: {fact.text} [{cited(fact)}]")), (0, 0, 0, 4))


def _statements(r: Record) -> Iterable[RenderableType]:
    for section in dict.fromkeys(s.section for s in r.statements):
        yield Text(section.replace("_", " "), style="italic")
        for s in r.statements:
            if s.section == section:
                yield Padding(Text(clean(f"{s.text} [{', '.join(s.refs)}]")), (0, 0, 0, 2))


def _traps(r: Record) -> Iterable[RenderableType]:
    for trap in r.traps:
        yield Text.assemble((clean(trap.title), "bold"), clean(f": {trap.text} [{', '.join(trap.refs)}]"))


def _coherence(r: Record) -> Iterable[RenderableType]:
    notes = coherence_notes(r)
    if not notes:
        yield Text("no notes: every p-value agrees with the interval beside it, nothing is marked as unplanned")
    for note in notes:
        yield Text.assemble(
            (clean(note.what), "bold" if note.primary else ""), clean(f" - {note.why} [{', '.join(note.refs)}]")
        )


def _sources(r: Record) -> Iterable[RenderableType]:
    for c in r.citations:
        yield Text(clean(c.text + (f" doi:{c.doi}" if c.doi else "")))
    for key, s in r.sources.items():
        what = f", {s.what}" if s.what else ""
        yield Text.assemble((clean(key), "bold"), clean(f"  {s.title}{what}"))
        if s.address:
            yield Text(clean(f"    {s.address}"), style="dim")


_SECTIONS: dict[str, tuple[str, Callable[[Record], Iterable[RenderableType]]]] = {
    "design": ("Design", _design),
    "sets": ("Analysis sets and eligibility", _arms),
    "outcomes": ("Outcomes and test order", _outcomes),
    "methods": ("Methods", _methods),
    "baseline": ("Baseline", _baseline),
    "results": ("Results", _results),
    "curves": ("Curves", _curves),
    "events": ("Events", _events),
    "safety": ("Safety", _safety),
    "extension": ("Extension", _extension),
    "items": ("Further facts", _items),
    "regulatory": ("Regulators", _regulatory),
    "related": ("Related trials", _related),
    "statements": ("Statements", _statements),
    "traps": ("Traps", _traps),
    "coherence": ("Coherence notes (computed)", _coherence),
    "sources": ("Sources", _sources),
}
SECTIONS = tuple(_SECTIONS)
"""The sections of the view, in order."""


def print_record(out: Console, record: Record, sections: Sequence[str] = SECTIONS) -> None:
    """Print the chosen sections of a record."""
    out.print(Text(clean(f"{record.acronym or record.id}: {record.title}"), style="bold"))
    for r in record.registrations:
        out.print(Text(clean(f"{r.registry} {r.number}{f' ({r.of})' if r.of else ''}")), style="dim")
    if record.summary:
        out.print(Text(clean(record.summary)))
    for name in sections:
        title, body = _SECTIONS[name]
        parts = list(body(record))
        if not parts:
            continue
        out.print()
        out.rule(Text(title, style="bold"), align="left", style="dim")
        for part in parts:
            out.print(part, soft_wrap=name == "sources")  # an address in one piece can be copied
    out.print()
    out.print(Text(LEGEND, style="dim"))
    held = sum(1 for entry in record.index(recall=True).values() if entry.confidence == "recall")
    if held:
        told = "value is recalled from memory" if held == 1 else "values are recalled from memory"
        out.print(Text(f"{held} {told}, unverified, and held back here", style="dim"))
