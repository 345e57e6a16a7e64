"""The landscape of a field as a document: forest tables on shared scales, survival, neurofilament, a timeline."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import equipoise
from equipoise.appraise import numbers
from equipoise.appraise.findings import Findings, known, read, usable
from equipoise.appraise.landscape.effects import MARKERS, Effect, Missing, effects, monthly, monthly_from_se
from equipoise.appraise.writer import Writer
from equipoise.document.document import (
    Bar,
    Block,
    Code,
    Document,
    Filter,
    Fold,
    Inlines,
    Name,
    Paragraph,
    Row,
    Section,
    Source,
    Table,
    Text,
)
from equipoise.document.text import joined, upper
from equipoise.errors import RecordError
from equipoise.records.blocks import AnalysisSet
from equipoise.records.schema import Record, Result, Value

DASH: Inlines = (Text("–"),)
_CUTS = ("fewer than 200", "200 or more", "before 2020", "since 2020")
_YEAR = re.compile(r"\b(?:19|20)\d{2}\b")


@dataclass(frozen=True)
class Field:
    """A field of trials: its name, and which records belong to it."""

    title: str
    holds: Callable[[Record], bool]


FIELDS: dict[str, Field] = {
    "als": Field("Amyotrophic lateral sclerosis", lambda r: "amyotrophic lateral sclerosis" in r.condition.lower())
}


@dataclass(frozen=True)
class _Trial:
    """One trial with its writer and what it gives to the scales."""

    record: Record
    findings: Findings
    writer: Writer
    effects: tuple[Effect | Missing, ...]
    year: tuple[int, str] | None

    @property
    def name(self) -> str:
        return self.record.acronym or self.record.id

    @property
    def verdict(self) -> str:
        return self.findings.verdict

    @property
    def tone(self) -> Literal["main", "good", "bad"]:
        return "main" if self.findings.met is None else "good" if self.findings.met else "bad"

    @property
    def tags(self) -> tuple[str, ...]:
        size = self.record.design.n_actual.value if self.record.design.n_actual.usable else None
        held = {e.scale for e in self.effects if isinstance(e, Effect)}
        return (
            f"verdict:{self.verdict.replace(' ', '-')}",
            f"size:{'unknown' if size is None else 'large' if size >= 200 else 'small'}",
            f"marker:{'yes' if 'neurofilament' in held else 'no'}",
            f"era:{'unknown' if self.year is None else 'recent' if self.year[0] >= 2020 else 'earlier'}",
        )


def landscape(field: str, records: Iterable[Record]) -> Document:
    """The trials of a field side by side.

    Raises
    ------
    RecordError : an unknown field, or no record of it.
    """
    if field not in FIELDS:
        raise RecordError(f"there is no field {field!r}", hint="fields are: " + ", ".join(FIELDS))
    chosen = [r for r in records if FIELDS[field].holds(r) and len(r.arms) >= 2]
    if not chosen:
        raise RecordError(f"no record is of the field {field!r}", hint="'equipoise records' lists them")
    trials = [_trial(r) for r in chosen]
    trials.sort(key=lambda t: (t.year[0] if t.year else 9999, t.name.lower()))
    sections = (
        _intro(trials),
        _function(trials),
        _survival(trials),
        _neurofilament(trials),
        *_second(field, trials),
        _timeline(trials),
        _gaps(trials),
    )
    return Document(
        title=_words(f"{FIELDS[field].title}: the trials side by side"),
        subtitle=_words("Published effects on shared scales, each with its source."),
        record=field,
        version=equipoise.__version__,
        audience=None,
        sections=sections,
        sources=_sources(trials),
        citations=tuple(c for t in trials for c in t.writer.citations()),
        computations=tuple(c for t in trials for c in t.writer.computations()),
        names=tuple(dict.fromkeys((*_CUTS, *(n for t in trials for n in t.writer.names)))),
        kind="landscape",
    )


def _trial(record: Record) -> _Trial:
    writer = Writer(record, prefix=f"{record.id}.")
    writer.register(record.acronym or record.id)
    return _Trial(record, read(record), writer, tuple(effects(record)), year_of(record))


def year_of(record: Record) -> tuple[int, str] | None:
    """The year that the first publication or announcement prints, else the first source that prints one."""
    for citation in record.citations:
        if (match := _YEAR.search(citation.text)) and (citation.source or "") in record.sources:
            return int(match.group(0)), citation.id
    for key, source in record.sources.items():
        if match := _YEAR.search(source.title):
            return int(match.group(0)), key
    return None


def _words(text: str) -> Inlines:
    """The page's own words; its cut-offs are names."""
    return (Name(text),) if text in _CUTS else (Text(text),)


def _sources(trials: Sequence[_Trial]) -> tuple[Source, ...]:
    return tuple(s for t in trials for s in t.writer.sources())


# -- sections ------------------------------------------------------------------------------------------------------


def _intro(trials: Sequence[_Trial]) -> Section:
    verdicts = [
        v for v in ("met", "missed", "disputed", "not tested", "not stated") if any(t.verdict == v for t in trials)
    ]
    blocks: list[Block] = [
        Paragraph(
            _words(
                "Every trial on record of this field, on scales they share. An effect stands here as its source "
                "prints it, or worked out by a command that the page names; what no scale can hold is listed at the "
                "end with the reason."
            ),
            lead=True,
        ),
        Paragraph(
            _words(
                "Side by side is not pooled: populations, times and analyses differ, and a result that was never "
                "published cannot be seen here."
            )
        ),
        Paragraph(
            (
                *_words(
                    "In the drawings a round green mark is a trial that met its primary endpoint, a square red one a "
                    "trial that missed it, a diamond one for which that is not stated or disputed. The boxes choose "
                    "what is shown; the page of one trial is made by "
                ),
                Code("equipoise appraise NAME"),
                Text("."),
            )
        ),
        Filter("filter-verdict", "verdict", _words("Primary endpoint"), tuple((v, _words(v)) for v in verdicts)),
        Filter(
            "filter-size",
            "size",
            _words("People"),
            (("small", _words("fewer than 200")), ("large", _words("200 or more")), ("unknown", _words("not stated"))),
        ),
        Filter(
            "filter-era",
            "era",
            _words("Reported"),
            (
                ("earlier", _words("before 2020")),
                ("recent", _words("since 2020")),
                ("unknown", _words("year not printed")),
            ),
        ),
        Filter(
            "filter-marker",
            "marker",
            _words("Neurofilament ratio"),
            (("yes", _words("on record")), ("no", _words("not on record"))),
        ),
    ]
    return Section("overview", _words("How to read this page"), tuple(blocks))


@dataclass(frozen=True)
class _Line:
    """A row of a forest table: where its bar lies."""

    trial: _Trial
    effect: Effect
    shown: Inlines
    estimate: float
    low: float | None
    high: float | None


def _function(trials: Sequence[_Trial]) -> Section:
    lines = [_monthly_line(t, e) for t in trials for e in t.effects if isinstance(e, Effect) and e.scale == "function"]
    ratios = [_plain_line(t, e) for t in trials for e in t.effects if isinstance(e, Effect) and e.scale == "rate_ratio"]
    blocks: list[Block] = [
        Paragraph(
            _words(
                "The difference in the loss of ALSFRS-R, active against control, in points a month. Right of the line "
                "favours the active arm. A difference at a visit is divided by the months since baseline."
            )
        ),
        _forest("t-function", "Function: difference in points a month", "Points a month", lines, null=0.0, log=False),
    ]
    if ratios:
        blocks += [
            Paragraph(
                _words(
                    "The platform trials report a rate ratio that joins function and survival; left of the "
                    "line the active arm is slower."
                )
            ),
            *_shared([line.trial for line in ratios], [line.effect for line in ratios]),
            _forest("t-rates", "Rate of disease: ratio, active against control", "Ratio", ratios, null=1.0, log=True),
        ]
    return Section("function", _words("Function"), tuple(blocks))


def _shared(trials: Sequence[_Trial], effects: Sequence[Effect]) -> list[Block]:
    """Which rows count the same control participants, and so are no independent trials."""
    control: dict[str, Value] = {}
    beside: dict[str, tuple[str, ...]] = {}
    of = {t.record.id: t for t in trials}
    for t, e in zip(trials, effects, strict=True):
        used = next((s for s in t.record.sets if e.result is not None and s.id == e.result.set), None)
        if used is not None and used.shared_with and (n := used.n.get(t.findings.control.id)) is not None and n.usable:
            control[t.record.id], beside[t.record.id] = n, used.shared_with
    out: list[Block] = []
    told: set[str] = set()
    for id, n in control.items():
        group = [id, *(other for other in beside[id] if other in control)]
        if id in told or len(group) < 2:
            continue
        told.update(group)
        first = of[id].writer
        count = first.cite(numbers.number(n.value or 0), n)
        names = joined([_name(of[each]) for each in group])
        out.append(
            Paragraph(
                (
                    *_words("One control group of "),
                    count,
                    *_words(" people stands behind "),
                    *names,
                    *_words(
                        ": the regimens of a platform share their controls. These rows rise and fall together, and "
                        "are not as many separate trials."
                    ),
                )
            )
        )
    return out


def _survival(trials: Sequence[_Trial]) -> Section:
    found = [e for t in trials for e in t.effects if isinstance(e, Effect) and e.scale == "survival"]
    of = {id(e): t for t in trials for e in t.effects}
    now = [_plain_line(of[id(e)], e) for e in found if not e.late]
    late = [_plain_line(of[id(e)], e) for e in found if e.late]
    blocks: list[Block] = [
        Paragraph(
            _words(
                "Death, or death with permanent ventilation or tracheostomy, as each trial defines it. Left of the "
                "line favours the active arm."
            )
        )
    ]
    if now:
        blocks.append(
            _forest("t-survival", "Survival: active against control", "Hazard ratio", now, null=1.0, log=True)
        )
    if late:
        blocks += [
            Paragraph(
                _words(
                    "After the randomised period the arms are those who started early and those who started "
                    "late, in extensions that people could leave."
                )
            ),
            _forest("t-late", "Survival: early against delayed start", "Hazard ratio", late, null=1.0, log=True),
        ]
    return Section("survival", _words("Survival"), tuple(blocks))


def _neurofilament(trials: Sequence[_Trial]) -> Section:
    lines = [
        _plain_line(t, e) for t in trials for e in t.effects if isinstance(e, Effect) and e.scale == "neurofilament"
    ]
    blocks: list[Block] = [
        Paragraph(
            _words(
                "Neurofilament on the active arm over control, as a ratio of geometric means, or of plain means where "
                "a row is called approximate. Most trials that "
                "measured it report it in words alone, so a regression over these few would rest on the ones that "
                "had something to show."
            )
        )
    ]
    if lines:
        blocks.append(_forest("t-nfl", "Neurofilament: ratio, active over control", "Ratio", lines, null=1.0, log=True))
    return Section("neurofilament", _words("Neurofilament"), tuple(blocks))


def _second(field: str, trials: Sequence[_Trial]) -> list[Section]:
    """Second trials, predicted from the first, where predictions of the field are stored."""
    from equipoise.appraise.landscape import predicted
    from equipoise.appraise.landscape.second_trials import stored

    found = stored()
    blocks = predicted.overview({t.record.id: t.writer for t in trials}, found) if found["field"] == field else []
    if not blocks:
        return []
    return [Section("second-trials", _words("Second trials, predicted from the first"), tuple(blocks))]


def _timeline(trials: Sequence[_Trial]) -> Section:
    dated = [t for t in trials if t.year is not None]
    first, last = min(t.year[0] for t in dated if t.year), max(t.year[0] for t in dated if t.year)
    rows = []
    for t in trials:
        year: Inlines = DASH
        if t.year is not None:
            year = (*_cite_year(t), Bar(first - 1, last + 1, None, float(t.year[0]), tone=t.tone))
        rows.append(Row((_name(t), year, _verdict(t), _drug(t), _people(t)), tags=t.tags))
    table = Table(
        "t-timeline",
        _words("Trials by the year of the first publication or announcement of a result that was read."),
        tuple(_words(c) for c in ("Trial", "Year", "Primary endpoint", "Drug", "People randomised")),
        tuple(rows),
    )
    return Section("timeline", _words("Timeline"), (table,))


def _gaps(trials: Sequence[_Trial]) -> Section:
    titles = {"function": "function", "survival": "survival", "neurofilament": "neurofilament"}
    rows = tuple(
        Row((_name(t), _words(titles.get(e.scale, e.scale)), _words(e.reason)), tags=t.tags)
        for t in trials
        for e in t.effects
        if isinstance(e, Missing)
    )
    table = Table(
        "t-gaps",
        _words(
            "What no scale of this page can hold, and why. An effect that its source gives in words alone is "
            "still an effect."
        ),
        tuple(_words(c) for c in ("Trial", "Scale", "Why")),
        rows,
    )
    return Section("gaps", _words("Not on these scales"), (Fold("f-gaps", _words("Trials and reasons"), (table,)),))


# -- rows ----------------------------------------------------------------------------------------------------------


def _name(t: _Trial) -> Inlines:
    return t.writer.label(t.name)


def _verdict(t: _Trial) -> Inlines:
    """The verdict, and on whose announcement it rests where the record says so."""
    primary = t.findings.primary
    by = None if primary is None else primary.announced_by
    return _words(t.verdict) if by is None else t.writer.say("{v}, as {b} announced", v=t.verdict, b=by)


def _drug(t: _Trial) -> Inlines:
    return t.writer.label(t.findings.active.drug)


def _people(t: _Trial) -> Inlines:
    n = t.record.design.n_actual
    if not known(n):
        return DASH
    shown: Inlines = (t.writer.cite(numbers.number(n.value or 0), n),)
    if t.record.design.n_actual_about:
        shown = (*t.writer.words("about "), *shown)
    part = t.record.design.n_actual_of
    return (*shown, *t.writer.say(" ({p})", p=part)) if part else shown


def _analysed(t: _Trial, e: Effect) -> Inlines:
    """The people behind an effect, active and control: those of the result's set, else of the arms compared."""
    r, arms = e.result or _behind(t.record, e.sourced), (t.findings.active, t.findings.control)
    if r is None:
        return DASH
    counts = [r.arms.get(a.id) for a in arms]
    if all(v is not None and v.usable and v.n for v in counts):
        shown = [t.writer.cite(numbers.number(v.n or 0), v) for v in counts if v is not None]
        return (shown[0], Text(" and "), shown[1])
    chosen = next((s for s in t.record.sets if s.id == r.set), None)
    held = {} if chosen is None else chosen.n
    for pair in ([held.get(a.id) for a in arms], [a.n for a in arms]):
        if all(map(known, pair)):
            shown = [t.writer.cite(numbers.number(v.value or 0), v) for v in pair if v is not None]
            return (shown[0], Text(" and "), shown[1], *_whose(t, chosen, arms[1].id))
    return DASH


def _behind(record: Record, sourced: Value) -> Result | None:
    """The result of the same outcome and place from which a ratio on record was worked out."""
    found = [
        r
        for r in record.results
        if r.outcome in MARKERS and usable(r.contrast) and (r.source, r.place) == (sourced.source, sourced.place)
    ]
    return found[0] if len(found) == 1 else None


def _whose(t: _Trial, chosen: AnalysisSet | None, control: str) -> Inlines:
    """Of a platform, whether the control participants are its own or those of several regimens."""
    own = next((a.n for a in t.record.arms if a.id == control), None)
    shared = {s.id for s in t.record.sets if (s.shared_with or _larger(s.n.get(control), own))}
    if not shared:
        return ()
    return _words(", shared controls" if chosen is not None and chosen.id in shared else ", own placebo group")


def _larger(n: Value | None, own: Value | None) -> bool:
    """Whether a set counts more control participants than its trial gave placebo."""
    return known(n) and known(own) and n is not None and own is not None and (n.value or 0) > (own.value or 0)


def _cite_year(t: _Trial) -> Inlines:
    assert t.year is not None
    year, ref = t.year
    return t.writer.quote(str(year), ref) or DASH


def _detail(t: _Trial, e: Effect) -> Inlines:
    """Outcome, set, time and caution of an effect, in small print."""
    writer = t.writer
    parts: list[Inlines] = []
    if e.result is not None:
        r = e.result
        parts.append(writer.label(t.record.outcome(r.outcome).label))
        if r.week is not None:
            when = t.record.when(r.week, detail=True)
            writer.register(when)
            parts.append(writer.words(when))
        chosen = next((s for s in t.record.sets if s.id == r.set), None)
        if chosen is not None and r.set != "ITT":
            parts.append(writer.label(chosen.label[:1].lower() + chosen.label[1:]))
        if r.subset and (subset := writer.quote(r.subset, r)):
            parts.append(subset)
    if e.caution:
        parts.append(writer.words(e.caution))
    out: list[Inlines] = []
    for i, part in enumerate(parts):
        out.append((*((Text(", "),) if i else ()), *part))
    return upper(tuple(run for part in out for run in part))


def _monthly_line(t: _Trial, e: Effect) -> _Line:
    sourced = e.sourced
    value = float(sourced.value or 0)
    low = None if sourced.low is None else float(sourced.low)
    high = None if sourced.high is None else float(sourced.high)
    if e.weeks is None:
        return _Line(t, e, (t.writer.cite(_written(value, low, high), sourced),), value, low, high)
    if low is None and sourced.se is not None:
        found = monthly_from_se(value, float(sourced.se), e.weeks)
        shown = t.writer.compute(
            monthly_from_se,
            value,
            float(sourced.se),
            e.weeks,
            show=lambda m: _written(m.estimate, m.low, m.high),
            what=f"{t.name}: points a month",
            method="difference over months; normal interval from the standard error",
        )
    else:
        found = monthly(value, low, high, e.weeks)
        shown = t.writer.compute(
            monthly,
            value,
            low,
            high,
            e.weeks,
            show=lambda m: _written(m.estimate, m.low, m.high),
            what=f"{t.name}: points a month",
            method="difference over months",
        )
    return _Line(t, e, (shown,), found.estimate, found.low, found.high)


def _plain_line(t: _Trial, e: Effect) -> _Line:
    sourced = e.sourced
    value = float(sourced.value or 0)
    low = None if sourced.low is None else float(sourced.low)
    high = None if sourced.high is None else float(sourced.high)
    return _Line(t, e, (t.writer.cite(_written(value, low, high), sourced),), value, low, high)


def _written(value: float, low: float | None, high: float | None) -> str:
    text = numbers.number(value, 2)
    return text if low is None or high is None else f"{text} ({numbers.number(low, 2)} to {numbers.number(high, 2)})"


def _forest(id: str, caption: str, axis: str, lines: Sequence[_Line], *, null: float, log: bool) -> Table:
    """A table that draws the intervals on one axis; on a phone the first columns fit without scrolling."""
    low_end, high_end = _ends(lines, null, log)
    rows = []
    for line in lines:
        t = line.trial
        bar = Bar(low_end, high_end, null, line.estimate, line.low, line.high, log, t.tone)
        cells = (_name(t), (*line.shown, bar), _drug(t), _detail(t, line.effect), _analysed(t, line.effect))
        rows.append(Row(cells, tags=t.tags))
    heads = ("Trial", axis, "Drug", "What", "People, active and control")
    return Table(id, _words(caption), tuple(_words(h) for h in heads), tuple(rows))


def _ends(lines: Sequence[_Line], null: float, log: bool) -> tuple[float, float]:
    """The ends of the axis: all estimates, and intervals up to three times their reach."""
    values = [x for line in lines for x in (line.estimate, line.low, line.high) if x is not None]
    if log:
        reach = min(max(abs(math.log(v)) for v in values if v > 0), math.log(8.0))
        return math.exp(-reach * 1.05), math.exp(reach * 1.05)
    reach = max(abs(v - null) for v in values) * 1.05
    return null - reach, null + reach
