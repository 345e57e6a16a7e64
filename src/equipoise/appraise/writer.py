"""The writer: writes inline runs and keeps the register of names, citations and computations.

Sentences are templates (:meth:`Writer.say`); their words are ours, their numbers come from values of the record
(:meth:`Writer.cite`), from functions that a command can repeat (:meth:`Writer.compute`) or from the replica
(:meth:`Writer.simulated`). Texts that a record brings along (:meth:`Writer.quote`) are split so that each number
in them becomes a link to what the text rests on.
"""

from __future__ import annotations

import re
import string
from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

from equipoise.document.document import (
    NUMBER_WORD,
    Citation,
    Cited,
    Code,
    Computation,
    Computed,
    Emphasis,
    Inline,
    Inlines,
    Link,
    Name,
    Source,
    Strong,
    Text,
    UncitedNumberError,
    bare_number,
)
from equipoise.document.text import lower, short
from equipoise.records.schema import Citation as RecordCitation
from equipoise.records.schema import Entry, Record, Sourced, Statement, Value, split_also
from equipoise.records.schema import Source as RecordSource
from equipoise.replica.replica import Replica, ReplicaRow

GLOSSARY = (
    "ICH E9(R1)",
    "CONSORT 2025",
    "RoB 2",
    "95\N{NARROW NO-BREAK SPACE}% interval",
    "95\N{NARROW NO-BREAK SPACE}% intervals",
    "95\N{NARROW NO-BREAK SPACE}% range",
    "80\N{NARROW NO-BREAK SPACE}% power",
)
"""Fixed terms of the templates that hold a digit. Short on purpose: everything else comes from the record."""

_TOKEN = re.compile(r"(?<![\w.])[A-Za-z][A-Za-z/-]*\d[\w/-]*(?:-\w+)*(?:(?:\.\d+){2,})?")
_FIGURE = re.compile(r"[^\s(),;\[\]]*\d(?:[^\s(),;\[\]]|,(?=\d))*(?:\s%| in 100\b)?")
_SHARE = " in 100"
"""``46 in 100`` is one figure, a share rounded to whole people, and its hundred no number of its own."""
_SLUG = re.compile(r"[^A-Za-z0-9]+")
T = TypeVar("T")


class Writer:
    """Writes prose about one record and keeps the register of what its numbers rest on.

    ``prefix`` goes before every id and source key, so that a page can hold the registers of several writers.
    """

    def __init__(self, record: Record, replica: Replica | None = None, prefix: str = "") -> None:
        self.record = record
        self.prefix = prefix
        self.replica = replica
        self._names: dict[str, None] = dict.fromkeys(GLOSSARY)
        self._weeks: dict[str, None] = {}
        self._patterns: dict[bool, re.Pattern[str]] = {}
        self._citations: dict[tuple[str, str | None, str, str | None], Citation] = {}
        self._computations: dict[str, Computation] = {}
        self._extra_sources: dict[str, Source] = {}
        self._below: dict[str, list[Sourced]] = {}
        self.index = record.index(recall=True)
        """Every sourced value of the record by its address, recalled ones too: ask ``sourced.usable``."""
        self._adopted: dict[str, Entry] = {}
        self.values: Mapping[str, Entry] = ChainMap(self._adopted, self.index)
        """The same with the values that a file of judgements brings along."""
        self.blocks = record.blocks()
        for label in _labels(record):
            self.register(label)
        for text in _tokens(record):
            for token in _TOKEN.findall(text):
                self._names.setdefault(token)
        if replica is not None:
            for row in replica.rows:
                self.register(row.quantity)
                self.register(row.method)
            self.register(replica.scenario)
        for week in _weeks(record, replica):
            for word in ("week", "Week", "weeks"):
                self._weeks[f"{word} {week:g}"] = None

    # -- names ------------------------------------------------------------------------------------------------------

    def register(self, label: str) -> None:
        """Let a label stand as a name, and each word of it that starts with a letter and holds a digit."""
        label = label.replace(" %", "\N{NARROW NO-BREAK SPACE}%")
        if not bare_number(label):
            return
        before = len(self._names)
        if any(c.isalpha() for c in label):
            self._names.setdefault(label)
            self._names.setdefault(lower(label))
            self._names.setdefault(label[:1].upper() + label[1:])
        for token in _TOKEN.findall(label):
            self._names.setdefault(token)
        if len(self._names) > before:
            self._patterns.clear()  # compiling them anew is what costs most here

    @property
    def names(self) -> tuple[str, ...]:
        """All registered names."""
        return (*self._names, *self._weeks)

    def _split(self, text: str, *, weeks: bool) -> list[tuple[bool, str]]:
        """(is a name, piece) in order, longest names first; ``weeks`` says whether ``week 28`` is a name here."""
        text = text.replace(" %", "\N{NARROW NO-BREAK SPACE}%")
        if not bare_number(text):
            return [(False, text)] if text else []  # every name holds a number
        if text in self._names or (weeks and text in self._weeks):
            return [(True, text)]  # the longest name there can be; most labels end here, and no pattern is compiled
        if weeks not in self._patterns:
            names = (*self._names, *self._weeks) if weeks else self._names
            ordered = "|".join(re.escape(n) for n in sorted(names, key=len, reverse=True))
            self._patterns[weeks] = re.compile(f"(?<![\\w.])({ordered})(?![\\w])")
        out, end = [], 0
        for match in self._patterns[weeks].finditer(text):
            if match.start() > end:
                out.append((False, text[end : match.start()]))
            out.append((True, match.group(0)))
            end = match.end()
        if end < len(text):
            out.append((False, text[end:]))
        return out

    def words(self, text: str) -> Inlines:
        """Plain words with their names set apart; raises :class:`UncitedNumberError` on any other number."""
        return tuple(Name(piece) if named else Text(piece) for named, piece in self._split(text, weeks=True) if piece)

    # -- sentences --------------------------------------------------------------------------------------------------

    def say(self, template: str, /, **parts: Inline | Inlines | str) -> Inlines:
        """A sentence from a template of ours; ``{key}`` takes a run, runs, or a label of the record."""
        out: list[Inline] = []
        for literal, key, _, _ in string.Formatter().parse(template):
            if literal:
                out.extend(self.words(literal))
            if key is not None:
                part = parts[key]
                out.extend(self.label(part) if isinstance(part, str) else part if isinstance(part, tuple) else (part,))
        return tuple(out)

    def label(self, text: str) -> Inlines:
        """A label of the record; one that is no registered name (an arm called ``20``) is set as code."""
        try:
            return self.words(text)
        except UncitedNumberError:
            return (Code(text),)

    def heads(self, *titles: str) -> tuple[Inlines, ...]:
        """The heads of columns."""
        return tuple(self.label(title) for title in titles)

    def strong(self, content: Inlines | str) -> Strong:
        """Strong emphasis."""
        return Strong(self.words(content) if isinstance(content, str) else content)

    def em(self, content: Inlines | str) -> Emphasis:
        """Light emphasis."""
        return Emphasis(self.words(content) if isinstance(content, str) else content)

    def to(self, section: str, content: str) -> Link:
        """A link to a section of this page."""
        return Link(self.words(content), f"#{section}")

    def code(self, text: str) -> Code:
        """A command or address."""
        return Code(text)

    # -- citations --------------------------------------------------------------------------------------------------

    def cite(self, text: str, *values: Sourced) -> Cited:
        """``text`` as a link to where the values were read. Raises if one of them is recalled or has no source."""
        refs: dict[str, None] = {}
        for sourced in values:
            if not sourced.usable or sourced.source is None:
                raise UncitedNumberError(f"{text!r} rests on a value that cannot be shown as fact")
            refs.setdefault(self._citation(sourced.source, sourced.place, str(sourced.confidence), sourced.note))
            for more in sourced.also:
                key, place = split_also(more)
                refs.setdefault(self._citation(key, place, str(sourced.confidence), None))
        return Cited(text, tuple(refs))

    def _citation(self, source: str, place: str | None, confidence: str, note: str | None) -> str:
        known = self._citations.get((source, place, confidence, note))
        if known is not None:
            return known.id
        if source not in self.record.sources and source not in self._extra_sources:
            raise UncitedNumberError(f"the source {source!r} is not in the record")
        stem = _SLUG.sub("-", f"c-{self.prefix}{source}-{place or ''}").strip("-")
        taken = {c.id for c in self._citations.values()}
        id, n = stem, 1
        while id in taken:
            n += 1
            id = f"{stem}-{n}"
        self._citations[(source, place, confidence, note)] = Citation(id, self.prefix + source, place, confidence, note)
        return id

    def _refs(self, ref: str) -> tuple[str, ...] | None:
        """Citation ids of one reference of a statement; None if it rests on recall."""
        if ref in self.values:
            sourced: Sourced | None = self.values[ref].sourced
        elif isinstance(block := self.blocks.get(ref), RecordCitation):
            key = block.source
            if key is None:
                key = block.id
                address = f"https://doi.org/{block.doi}" if block.doi else block.url
                self._extra_sources.setdefault(key, Source(key, block.text, address, "publication"))
            return (self._citation(key, None, "seen", None),)
        elif isinstance(block, Sourced):
            sourced = block
        elif ref in self.record.sources or ref in self._extra_sources:
            return (self._citation(ref, None, "seen", None),)
        else:
            sourced = None
        if sourced is not None and sourced.confidence == "recall":
            return None
        if sourced is None or not sourced.usable or sourced.source is None:
            # a block that leaves its provenance to its parts
            parts = self._parts(ref)
            sourced = next((part for part in parts if part.usable and part.source is not None), None)
        return None if sourced is None else self.cite(ref, sourced).refs

    def _parts(self, ref: str) -> list[Sourced]:
        """The values below a block, in the order of the record."""
        if not self._below:
            for address, entry in self.values.items():
                names = address.split(".")
                for i in range(1, len(names)):
                    self._below.setdefault(".".join(names[:i]), []).append(entry.sourced)
        return self._below.get(ref, [])

    def _support(self, ref: Sourced | str, text: str) -> list[tuple[tuple[str, ...], frozenset[float]]] | None:
        """(citation ids, numbers seen there) for what a text rests on; None if it is recalled or unknown."""
        if isinstance(ref, Sourced):
            if not ref.usable or ref.source is None:
                return None
            return [(self.cite(text, ref).refs, _numbers(ref))]
        main = self._refs(ref)
        if main is None:
            return None
        if ref in self.values:
            return [(main, _numbers(self.values[ref].sourced))]
        parts = self._parts(ref)
        found = [
            (self.cite(text, sourced).refs, _numbers(sourced))
            for sourced in parts
            if sourced.usable and sourced.source is not None
        ]
        return [(main, frozenset()), *found]

    def quote(self, text: str, *rests_on: Sourced | str) -> Inlines | None:
        """A text of the record with every number in it tied to what the text rests on (values or references).

        A number that one of the values holds is linked to it, any other is tied to all of them without a link;
        where no number is held, the first one carries the link. None if any of what it rests on is recalled: such a
        text is not shown as fact.
        """
        runs = self._quoted(text, *rests_on)
        if runs is None:
            return None
        return _one_link(runs)

    def _quoted(self, text: str, *rests_on: Sourced | str) -> Inlines | None:
        support: list[tuple[tuple[str, ...], frozenset[float]]] = []
        for each in rests_on:
            found = self._support(each, text)
            if found is None:
                return None
            support.extend(found)
        everything = tuple(dict.fromkeys(ref for refs, _ in support for ref in refs))

        def choose(figure: str) -> tuple[tuple[str, ...], bool]:
            held = _parse(figure)
            exact = tuple(dict.fromkeys(r for refs, numbers in support if _among(held, figure, numbers) for r in refs))
            return exact or everything, not exact

        out: list[Inline] = []
        for named, piece in self._split(text, weeks=False):
            if named:
                out.append(Name(piece))
            else:
                out.extend(_figures(piece, choose))
        return tuple(out)

    def statements(self, section: str) -> tuple[Inlines, ...]:
        """The record's own statements for a section, in order, each number linked; recalled ones left out."""
        quoted = (self.statement(s) for s in self.record.statements if s.section == section)
        return tuple(q for q in quoted if q)

    def statement(self, statement: Statement) -> Inlines | None:
        """One statement of the record, each number linked; its sources follow it."""
        return self.told(statement.text, *statement.refs)

    def told(self, text: str, *rests_on: Sourced | str, stop: str = "") -> Inlines | None:
        """As :meth:`quote`, then ``stop``; a text without sourced numbers is followed by the keys of its sources."""
        runs = self._quoted(text, *rests_on)
        if runs is None:
            return None
        if text.rstrip().endswith("."):
            stop = stop.lstrip(".")
        end: Inlines = (Text(stop),) if stop else ()
        if any(isinstance(run, Cited) and not run.quiet for run in runs):
            return (*runs, *end)
        refs: dict[str, None] = {}
        for each in rests_on:
            for found, _ in self._support(each, text) or ():
                refs.update(dict.fromkeys(found))
        keys = {c.id: c.source for c in self._citations.values()}
        shown = ", ".join(dict.fromkeys(keys[r] for r in refs))
        return (*runs, *end, Text(" ["), Cited(shown, tuple(refs)), Text("]"))

    # -- computations -----------------------------------------------------------------------------------------------

    def compute(
        self, function: Callable[..., T], *arguments: float | None, show: Callable[[T], str], what: str, method: str
    ) -> Computed:
        """Call ``function`` and write its result; the command that repeats the call goes into the register."""
        call = f"{function.__name__}({', '.join(repr(a) for a in arguments)})"
        command = f'python -c "from {function.__module__} import {function.__name__}; print({call})"'
        return Computed(show(function(*arguments)), self._computation(command, what, method))

    def simulated(self, text: str, row: ReplicaRow | None = None) -> Computed:
        """A number of the replica."""
        del row
        if self.replica is None:
            raise UncitedNumberError(f"{text!r} is said to be simulated, but there is no replica")
        return Computed(text, self._computation(self.replica.command, "", ""))

    def by_command(self, text: str, command: str, what: str, method: str = "") -> Computed:
        """A number that a command gives."""
        return Computed(text, self._computation(command, what, method))

    def quote_computed(
        self, text: str, command: str, what: str, method: str = "share or mean over the replicates"
    ) -> Inlines:
        """A sentence written by program, with every figure in it linked to the command behind it."""
        out: list[Inline] = []
        for named, piece in self._split(text, weeks=True):
            if named:
                out.append(Name(piece))
                continue
            for run in _figures(piece, lambda _: (("",), False)):
                if isinstance(run, Cited):
                    # only now: a sentence without figures needs no command
                    run = Computed(run.text, self._computation(command, what, method), run.quiet)
                out.append(run)
        return _one_link(tuple(out))

    def _computation(self, command: str, what: str, method: str) -> str:
        known = self._computations.get(command)
        if known is None:
            if self.replica is not None and command == self.replica.command:
                what = "every simulated quantity, share and answer"
                method = (
                    f"{self.replica.replicates:,} replicates of {self.replica.scenario}, each analysed as the trial was"
                )
            known = Computation(f"k-{self.prefix}{len(self._computations) + 1}", what, method, command)
            self._computations[command] = known
        return known.id

    # -- what a file beside the record brings -----------------------------------------------------------------------

    def adopt(
        self, key: str, title: str, note: str, sources: Mapping[str, RecordSource], values: Mapping[str, Value]
    ) -> None:
        """Let a file of judgements bring sources and values of its own; ``key`` names the file itself.

        Without a key the sources alone are made known, those of another record.
        """
        if key:
            self._extra_sources[key] = Source(key, title, None, "judgements", note)
        for name, source in sources.items():
            self._extra_sources.setdefault(name, Source(name, source.title, source.address, source.what, source.note))
            self.register(name)
        for name, sourced in values.items():
            origin = sources.get(sourced.source or "")
            self._below.clear()
            self._adopted[name] = Entry(name, sourced, origin, sourced.source, sourced.place, sourced.confidence)

    # -- the register -----------------------------------------------------------------------------------------------

    def sources(self) -> tuple[Source, ...]:
        """The sources that are cited, in the order of the record."""
        used = {c.source for c in self._citations.values()}
        own = {key: Source(key, s.title, s.address, s.what, s.note) for key, s in self.record.sources.items()}
        listed = {**own, **self._extra_sources}
        return tuple(replace(s, key=self.prefix + key) for key, s in listed.items() if self.prefix + key in used)

    def citations(self) -> tuple[Citation, ...]:
        """The places cited, grouped by source in the order of the record, then by place."""
        order = {self.prefix + key: i for i, key in enumerate((*self.record.sources, *self._extra_sources))}
        return tuple(sorted(self._citations.values(), key=lambda c: (order[c.source], _natural(c.place or ""))))

    def computations(self) -> tuple[Computation, ...]:
        """The computations, in the order in which they were first used."""
        return tuple(self._computations.values())


def _figures(piece: str, choose: Callable[[str], tuple[tuple[str, ...], bool]]) -> Iterable[Inline]:
    """Text with each figure, number words included, turned into a cited run.

    ``choose`` gives a figure's citations, and whether they are set without a link.
    """
    while piece:
        matches = [m for m in (_FIGURE.search(piece), NUMBER_WORD.search(piece)) if m is not None]
        if not matches:
            # digits outside 0 to 9 (superscripts and the like) that the patterns do not know
            yield Cited(piece.strip(), *choose(piece)) if bare_number(piece) else Text(piece)
            return
        start, end = min((m.span() for m in matches), key=lambda span: span[0])
        while piece[end - 1] in ".,:;'\"" and end - 1 > start:
            end -= 1
        if start:
            yield Text(piece[:start])
        shown, refs = piece[start:end], choose(piece[start:end])
        if _OF_TIME.match(piece[end:]) and not _MEASURED.search(shown):
            refs = (refs[0], True)  # the weeks of a trial are words, however many values hold the number
        yield Cited(shown.replace("-", "\N{MINUS SIGN}", 1) if re.match(r"-\d", shown) else shown, *refs)
        piece = piece[end:]


def _one_link(runs: Inlines) -> Inlines:
    """The runs, with their first figure linked where none of them is."""
    figures = [i for i, run in enumerate(runs) if isinstance(run, Cited | Computed)]
    if not figures or any(not runs[i].quiet for i in figures):  # type: ignore[union-attr]
        return runs
    run = runs[figures[0]]
    assert isinstance(run, Cited | Computed)
    return (*runs[: figures[0]], replace(run, quiet=False), *runs[figures[0] + 1 :])


_OF_TIME = re.compile(r"(?: to \d+)?(?:\s|-)(?:weeks?|months?|years|days|hours|visits?|sites|countries|centres)\b")
_MEASURED = re.compile(r"[.,<>=~\N{MINUS SIGN}%]|^\d{3,}|^-")
"""A number of weeks or months with decimals, a sign or three digits is a measurement and not a length of the trial."""


def _parse(figure: str) -> float | None:
    """The number a figure states, sign left aside; None for words and codes."""
    match = re.fullmatch(r"[-+<>~]?(\d[\d,]*(?:\.\d+)?)\s?%?", figure.removesuffix(_SHARE))
    return float(match.group(1).replace(",", "")) if match else None


def _among(held: float | None, figure: str, numbers: frozenset[float]) -> bool:
    """Whether a figure is one of the numbers, or one of them rounded to its decimals (a share to a whole one)."""
    if figure.endswith(_SHARE):
        return any(round(x) == held for x in numbers)
    places = len(figure.rstrip("%").strip().partition(".")[2])
    return held in numbers or (places > 0 and held is not None and any(round(x, places) == held for x in numbers))


def _numbers(sourced: Sourced) -> frozenset[float]:
    """Every number a sourced value holds, signs left aside."""
    out: set[float] = set()
    for name in ("value", "low", "high", "se", "sd", "n", "events", "total", "percent"):
        number = getattr(sourced, name, None)
        if isinstance(number, int | float):
            out.add(abs(float(number)))
    for name in ("range", "iqr"):
        out.update(abs(float(x)) for x in getattr(sourced, name, None) or ())
    return frozenset(out)


def _natural(text: str) -> tuple[tuple[int, str], ...]:
    return tuple((int(p), "") if p.isdigit() else (0, p) for p in re.split(r"(\d+)", text) if p)


def _labels(record: Record) -> Iterable[str]:
    """Every string of the record that names something. Texts, and labels that state a quantity, are quoted instead."""
    yield from (record.id, record.title, record.condition)
    if record.acronym:
        yield record.acronym
    for citation in record.citations:
        yield citation.text
    for registration in record.registrations:
        yield from (registration.registry, registration.number)
    for arm in record.arms:
        yield from (arm.id, arm.label, arm.drug)
        if arm.delayed_label:
            yield arm.delayed_label
    for analysis_set in record.sets:
        yield from (analysis_set.id, analysis_set.label, short(analysis_set.label))
    for outcome in record.outcomes:
        yield from (outcome.id, outcome.label, short(outcome.label))
        if outcome.unit:
            yield outcome.unit
    for point in record.timepoints:
        yield from (record.when(point.week), record.when(point.week, detail=True))
    for row in record.baseline:
        yield from (u for u in (row.unit,) if u)
    for regulatory in record.regulatory:
        yield regulatory.authority
    for related in record.related:
        yield from (related.name, related.drug)
        if related.journal:
            yield related.journal
    yield from record.sources


def _tokens(record: Record) -> Iterable[str]:
    """Labels of which only the words that start with a letter and hold a digit are names (``SOD1``, ``ALSAQ-5``)."""
    for blocks in (record.methods, record.cuts, record.events, record.items, record.baseline):
        yield from (block.label for block in blocks)
    for event in record.adverse_events:
        yield event.term
    for stratum in record.design.strata:
        yield stratum.label
    yield from (statement.text for statement in record.statements)
    yield from (trap.text for trap in record.traps)
    for criterion in record.eligibility:
        yield criterion.text


def _weeks(record: Record, replica: Replica | None) -> Iterable[float]:
    weeks: set[float] = set()
    single = [r.week for r in record.results] + [o.week for o in record.outcomes] + [e.week for e in record.events]
    weeks.update(float(w) for w in single if w is not None)
    for several in [v.weeks for v in record.visits] + [c.weeks for c in record.curves]:
        weeks.update(float(w) for w in several)
    if record.dosing:
        weeks.update(record.dosing.weeks)
    if replica is not None:
        weeks.update(float(r.week) for r in replica.rows if r.week is not None)
        for band in replica.bands:
            weeks.update(band.weeks)
    return sorted(weeks)
