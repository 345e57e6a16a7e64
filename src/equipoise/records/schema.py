"""The record of a published trial: immutable models, one sourced type, provenance on every number.

A record is written as YAML (see ``docs/records.md``) and read by :func:`equipoise.records.load_record`. Three habits
run through the models:

* **Every number is a** :class:`Value`, **every short text fact a** :class:`Fact`; both carry ``source`` (a key into
  ``Record.sources``), ``place`` (page, table) and ``confidence``. What a value leaves out it inherits from the block
  around it, so that a source is written once per block.
* **Every block has an** ``id``, unique in the record; a sourced's address is ``<block id>.<tail>``, for instance
  ``alsfrs_f_w28.contrast``, ``alsfrs_f_w28.p.joint_rank_mi``, ``bl_alsfrs.F.placebo``, ``curve_nfl_f_tofersen.w28``.
  :meth:`Record.index` lists them all; a page links to them.
* **A recalled number is not evidence**: confidence ``recall`` can be stored, ``usable`` is then False, and the index
  and the helpers leave it out unless asked.

Units: time in weeks from first dose, slopes in points per month. A difference is active minus control (early minus
delayed start), a ratio active over control.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple, TypeVar

from pydantic import BaseModel, model_validator

from equipoise.errors import RecordError
from equipoise.records.blocks import (
    AdverseEvent,
    AnalysisSet,
    Arm,
    BaselineRow,
    Citation,
    Conflict,
    Criterion,
    Curve,
    CurvePoint,
    DataCut,
    Design,
    Dosing,
    EventRow,
    Extension,
    Group,
    Item,
    ItemContrast,
    Method,
    Opinion,
    Outcome,
    PointSource,
    Prespecified,
    Registration,
    Regulatory,
    RelatedTrial,
    Result,
    Source,
    Statement,
    Stratum,
    Timepoint,
    Trap,
    VisitPlan,
)
from equipoise.records.spans import span_words
from equipoise.records.values import (
    Confidence,
    Contrast,
    DateFact,
    Fact,
    Id,
    Model,
    Number,
    PValue,
    Sourced,
    Text,
    Value,
    Verdict,
    split_also,
)

__all__ = [
    "AdverseEvent",
    "AnalysisSet",
    "Arm",
    "BaselineRow",
    "Citation",
    "Confidence",
    "Conflict",
    "Contrast",
    "Criterion",
    "Curve",
    "CurvePoint",
    "DataCut",
    "DateFact",
    "Design",
    "Dosing",
    "Entry",
    "EventRow",
    "Extension",
    "Fact",
    "Group",
    "Item",
    "ItemContrast",
    "Method",
    "Model",
    "Number",
    "Opinion",
    "Outcome",
    "PValue",
    "PointSource",
    "Prespecified",
    "Record",
    "Registration",
    "Regulatory",
    "RelatedTrial",
    "Result",
    "Source",
    "Sourced",
    "Statement",
    "Stratum",
    "Timepoint",
    "Trap",
    "Value",
    "Verdict",
    "VisitPlan",
    "split_also",
    "walk",
]


class Entry(NamedTuple):
    """One addressable fact: the sourced value, the source it resolves to, and where in it."""

    id: str
    sourced: Value | Fact | DateFact
    source: Source | None
    source_key: str | None
    place: str | None
    confidence: Confidence | None


_Block = TypeVar("_Block", bound=BaseModel)


class Record(Model):
    """What was published about one trial, with sources.

    Build one with :func:`equipoise.records.load_record`, which also refuses contradictions; constructing it directly
    checks the shape only.
    """

    schema_version: Literal[1] = 1
    origin: Literal["written", "posted"] = "written"
    """posted: copied by program from a registry. Numbers that contradict each other are then the registry's, and are
    told as coherence notes; in a written record they are refused as slips of the writer."""
    id: Id
    title: Text
    acronym: str | None = None
    condition: Text
    summary: str | None = None
    primary_result: str | None = None
    """Id of the result of the primary outcome."""
    citations: tuple[Citation, ...]
    registrations: tuple[Registration, ...] = ()
    sources: Mapping[str, Source]
    design: Design
    arms: tuple[Arm, ...]
    groups: tuple[Group, ...] = ()
    sets: tuple[AnalysisSet, ...]
    dosing: Dosing | None = None
    visits: tuple[VisitPlan, ...] = ()
    timepoints: tuple[Timepoint, ...] = ()
    """Names of weeks that are no visits."""
    eligibility: tuple[Criterion, ...] = ()
    outcomes: tuple[Outcome, ...]
    methods: tuple[Method, ...]
    cuts: tuple[DataCut, ...] = ()
    baseline: tuple[BaselineRow, ...] = ()
    results: tuple[Result, ...] = ()
    curves: tuple[Curve, ...] = ()
    events: tuple[EventRow, ...] = ()
    adverse_events: tuple[AdverseEvent, ...] = ()
    extension: Extension | None = None
    items: tuple[Item, ...] = ()
    regulatory: tuple[Regulatory, ...] = ()
    related: tuple[RelatedTrial, ...] = ()
    statements: tuple[Statement, ...] = ()
    traps: tuple[Trap, ...] = ()

    @model_validator(mode="after")
    def _inherit(self) -> Record:
        for name in type(self).model_fields:
            _fill(getattr(self, name), Sourced())
        return self

    # -- single blocks ------------------------------------------------------------------------------------------

    def arm(self, id: str) -> Arm:
        """The arm ``id``; :class:`RecordError` if there is none."""
        return _find(self.arms, id, "arm")

    def analysis_set(self, id: str) -> AnalysisSet:
        """The analysis set ``id``; :class:`RecordError` if there is none."""
        return _find(self.sets, id, "analysis set")

    def outcome(self, id: str) -> Outcome:
        """The outcome ``id`` (PARAMCD); :class:`RecordError` if there is none."""
        return _find(self.outcomes, id, "outcome")

    def method(self, id: str) -> Method:
        """The analysis method ``id``; :class:`RecordError` if there is none."""
        return _find(self.methods, id, "method")

    def result(self, id: str) -> Result:
        """The result ``id``, for instance ``alsfrs_f_w28``; :class:`RecordError` if there is none."""
        return _find(self.results, id, "result")

    def item(self, id: str) -> Item:
        """The item ``id``; :class:`RecordError` if there is none."""
        return _find(self.items, id, "item")

    def adverse_event(self, id: str) -> AdverseEvent:
        """The adverse event ``id``; :class:`RecordError` if there is none."""
        return _find(self.adverse_events, id, "adverse event")

    def when(self, week: float, *, detail: bool = False) -> str:
        """How a week is called: ``week 28``, ``3 years``, or by its name where the record gives one.

        ``detail``: with what the record tells of it, in brackets.
        """
        named = next((t for t in self.timepoints if t.week == week and t.usable), None)
        if named is None:
            return span_words(float(week))
        return f"{named.label} ({named.detail})" if detail and named.detail else named.label

    # -- look-ups by content ------------------------------------------------------------------------------------

    def find_results(
        self, outcome: str | None = None, *, set: str | None = None, week: float | None = None, role: str | None = None
    ) -> tuple[Result, ...]:
        """All results that match what is given."""
        return tuple(
            r
            for r in self.results
            if (outcome is None or r.outcome == outcome)
            and (set is None or r.set == set)
            and (week is None or r.week == week)
            and (role is None or r.role == role)
        )

    def baseline_value(
        self, variable: str, *, set: str, arm: str, statistic: str | None = None, recall: bool = False
    ) -> Value:
        """A baseline value; without ``statistic`` the first row of that variable that has one for the set and arm.

        Raises :class:`RecordError` if there is none; a recalled one counts only if ``recall`` is True.
        """
        for row in self.baseline:
            if row.variable == variable and (statistic is None or row.statistic == statistic):
                value = row.values.get(set, {}).get(arm)
                if value is not None and (value.usable or recall):
                    return value
        wanted = variable if statistic is None else f"{variable} ({statistic})"
        raise RecordError(
            f"{self.id}: no baseline value of {wanted} in set {set}, arm {arm}",
            hint="variables are: " + ", ".join(dict.fromkeys(row.variable for row in self.baseline)),
        )

    def curve(
        self, outcome: str, *, set: str, arm: str, comparison: str = "randomised", measure: str | None = None
    ) -> Curve:
        """The curve of an outcome in a set and arm (the first that matches); :class:`RecordError` if there is none."""
        for curve in self.curves:
            key = (curve.outcome, curve.set, curve.arm, curve.comparison)
            if key == (outcome, set, arm, comparison) and measure in (None, curve.measure) and curve.usable:
                return curve
        raise RecordError(
            f"{self.id}: no {comparison} curve of {outcome} in set {set}, arm {arm}",
            hint="curves are: " + ", ".join(curve.id for curve in self.curves),
        )

    def event(self, endpoint: str, *, set: str, arm: str, week: float | None = None, cut: str | None = None) -> Value:
        """The count of an event in a set and arm, ``value`` of ``total``; :class:`RecordError` if there is none."""
        for row in self.events:
            if row.endpoint == endpoint and (week is None or row.week == week) and (cut is None or row.cut == cut):
                value = row.values.get(set, {}).get(arm)
                if value is not None and value.usable:
                    return value
        raise RecordError(
            f"{self.id}: no count of {endpoint} in set {set}, arm {arm}",
            hint="endpoints are: " + ", ".join(dict.fromkeys(row.endpoint for row in self.events)),
        )

    # -- addresses ----------------------------------------------------------------------------------------------

    def index(self, *, recall: bool = False) -> dict[str, Entry]:
        """Every addressable fact by its address, in the order of the record; recalled ones only if asked for."""
        out: dict[str, Entry] = {}
        for address, sourced in walk(self):
            if sourced.usable or recall:
                source = self.sources.get(sourced.source) if sourced.source is not None else None
                out[address] = Entry(address, sourced, source, sourced.source, sourced.place, sourced.confidence)
        return out

    def blocks(self) -> dict[str, BaseModel]:
        """Every block with an id, by id."""
        return {m.id: m for m in _models(self) if m is not self and hasattr(m, "id")}


def walk(record: Record) -> Iterator[tuple[str, Value | Fact | DateFact]]:
    """Yield (address, value) for every sourced value of the record, curve points included, in its order."""
    for name in type(record).model_fields:
        yield from _walk(getattr(record, name), name)


def _walk(node: Any, path: str) -> Iterator[tuple[str, Value | Fact | DateFact]]:
    if isinstance(node, Curve):
        for p in node.points():
            yield (
                f"{node.id}.w{p.week:g}",
                Value(
                    value=p.value,
                    se=p.se,
                    low=p.low,
                    high=p.high,
                    source=p.source,
                    place=p.place,
                    confidence=p.confidence,
                ),
            )
        return
    if isinstance(node, Value | Fact | DateFact):
        yield path, node
        return
    if isinstance(node, BaseModel):
        path = getattr(node, "id", path)
        for name in type(node).model_fields:
            child = getattr(node, name)
            # arms and values are the block's own content: their keys follow the id directly
            yield from _walk(child, path if name in ("arms", "values") else f"{path}.{name}")
    elif isinstance(node, Mapping):
        for key, child in node.items():
            yield from _walk(child, f"{path}.{key}")
    elif isinstance(node, tuple):
        seen: dict[str, int] = {}
        for i, child in enumerate(node):
            tail = child.method if isinstance(child, PValue) else str(i + 1)
            seen[tail] = seen.get(tail, 0) + 1
            yield from _walk(child, f"{path}.{tail}" + (f".{seen[tail]}" if seen[tail] > 1 else ""))


def _models(node: Any) -> Iterator[Any]:
    if isinstance(node, BaseModel):
        yield node
        for name in type(node).model_fields:
            yield from _models(getattr(node, name))
    elif isinstance(node, Mapping):
        for child in node.values():
            yield from _models(child)
    elif isinstance(node, tuple):
        for child in node:
            yield from _models(child)


def _fill(node: Any, outer: Sourced) -> None:
    """Hand source, place and confidence down to every model that leaves them out (once, while the record is built)."""
    if isinstance(node, BaseModel):
        if isinstance(node, Sourced):
            if node.source is None:
                # a block that names its own source does not take the place of another's
                object.__setattr__(node, "source", outer.source)
                if node.place is None:
                    object.__setattr__(node, "place", outer.place)
            if node.confidence is None:
                object.__setattr__(node, "confidence", outer.confidence)
            outer = node
        for name in type(node).model_fields:
            _fill(getattr(node, name), outer)
    elif isinstance(node, Mapping):
        for child in node.values():
            _fill(child, outer)
    elif isinstance(node, tuple):
        for child in node:
            _fill(child, outer)


def _find(blocks: tuple[_Block, ...], id: str, kind: str) -> _Block:
    for block in blocks:
        if getattr(block, "id", None) == id:
            return block
    known = ", ".join(str(getattr(block, "id", "?")) for block in blocks)
    raise RecordError(f"the record has no {kind} {id!r}", hint=f"it has: {known or 'none'}")
