"""The record of a published trial: immutable models, one leaf type, provenance on every number.

A record is written as YAML (see ``docs/records.md``) and read by :func:`equipoise.records.load_record`. Three habits
run through the models:

* **Every number is a** :class:`Value`, **every short text fact a** :class:`Fact`; both carry ``source`` (a key into
  ``Record.sources``), ``place`` (page, table) and ``confidence``. What a leaf leaves out it inherits from the block
  around it, so that a source is written once per block.
* **Every block has an** ``id``, unique in the record; a leaf's address is ``<block id>.<tail>``, for instance
  ``alsfrs_f_w28.contrast``, ``alsfrs_f_w28.p.joint_rank_mi``, ``bl_alsfrs.F.placebo``, ``curve_nfl_f_tofersen.w28``.
  :meth:`Record.index` lists them all; a page links to them.
* **A recalled number is not evidence**: confidence ``recall`` can be stored, ``usable`` is then False, and the index
  and the helpers leave it out unless asked.

Units: time in weeks from first dose, slopes in points per month; a positive difference favours the active arm.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

from pydantic import AllowInfNan, BaseModel, ConfigDict, Field, Strict, model_validator

from equipoise.errors import RecordError

Confidence = Literal["seen", "slide", "curve", "derived", "recall"]
"""seen: read as text in the source. slide: printed on a slide image. curve: read off a plot. derived: computed here
from numbers of the other kinds. recall: from memory, unverified; never shown as fact, never used to calibrate."""

Verdict = Literal["yes", "no", "disputed"]
Number = Annotated[int, Strict()] | Annotated[float, Strict(), AllowInfNan(False)]
Count = Annotated[int, Strict(), Field(ge=0)]
Id = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]
Date = Annotated[str, Field(pattern=r"^\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?$")]
"""ISO date, to the day, month or year."""
Text = Annotated[str, Field(min_length=1)]

_FRACTION = re.compile(r"^\s*(\d+)\s*/\s*(\d+)\s*$")
_BOUND = re.compile(r"^\s*([<>])\s*([0-9.eE+-]+)\s*$")
_SPAN = re.compile(r"^\s*([0-9.]+)\s*-\s*([0-9.]+)\s*$")
_ALSO = re.compile(r"^\s*(\S+)(?:\s+(.*\S))?\s*$")


class Model(BaseModel):
    """Base of all record models: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class Sourced(Model):
    """Anything with provenance. What is left out is inherited from the enclosing block when the record is built."""

    source: str | None = None
    place: str | None = None
    confidence: Confidence | None = None
    also: tuple[Text, ...] = ()
    """Further sources that say the same, each ``"KEY place"``, for instance ``"EMA p.64"``."""
    note: str | None = None

    @property
    def usable(self) -> bool:
        """Whether this may be shown as fact and calibrated on: it has a confidence, and that is not ``recall``."""
        return self.confidence is not None and self.confidence != "recall"

    @property
    def citations(self) -> tuple[tuple[str, str | None], ...]:
        """(source key, place) of the main source and of every further one."""
        main = ((self.source, self.place),) if self.source is not None else ()
        return main + tuple(split_also(text) for text in self.also)


def split_also(text: str) -> tuple[str, str | None]:
    """Split ``"EMA p.64"`` into the source key and the place."""
    match = _ALSO.match(text)
    return (match.group(1), match.group(2)) if match else (text, None)


class Value(Sourced):
    """One published number, with the spread printed beside it.

    In YAML a bare number means ``value``; ``[1.2, -3.19, 5.53]`` means value, low, high; ``"41/72"`` means a count of
    41 out of ``total`` 72.
    """

    value: Number | None = None
    unit: str | None = None
    low: Number | None = None
    high: Number | None = None
    level: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """Coverage of (low, high)."""
    se: Annotated[Number, Field(ge=0)] | None = None
    sd: Annotated[Number, Field(ge=0)] | None = None
    range: tuple[Number, Number] | None = None
    """Minimum and maximum observed."""
    iqr: tuple[Number, Number] | None = None
    """25th and 75th percentile."""
    n: Count | None = None
    """Number of people the value rests on."""
    total: Count | None = None
    """Denominator, where ``value`` is a count."""
    percent: Number | None = None
    """Percentage as printed, where ``value`` is a count or is not given."""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, data: Any) -> Any:
        if isinstance(data, int | float) and not isinstance(data, bool):
            return {"value": data}
        if isinstance(data, list | tuple) and len(data) == 3:
            return dict(zip(("value", "low", "high"), data, strict=True))
        if isinstance(data, str) and (match := _FRACTION.match(data)):
            return {"value": int(match.group(1)), "total": int(match.group(2))}
        return data

    @property
    def proportion(self) -> float | None:
        """``value / total`` where both are there, else the printed percentage / 100, else None."""
        if self.value is not None and self.total:
            return float(self.value) / self.total
        return None if self.percent is None else float(self.percent) / 100.0


class Fact(Sourced):
    """A short text fact; in YAML a bare string."""

    text: Text

    @model_validator(mode="before")
    @classmethod
    def _short(cls, data: Any) -> Any:
        return {"text": data} if isinstance(data, str) else data


class DateFact(Sourced):
    """A date (ISO, to the day, month or year); in YAML a bare date."""

    date: Date

    @model_validator(mode="before")
    @classmethod
    def _short(cls, data: Any) -> Any:
        if isinstance(data, str):
            return {"date": data}
        return {"date": str(data)} if isinstance(data, int) and not isinstance(data, bool) else data


class PValue(Value):
    """A p-value and the test it came from, which need not be the method of the estimate beside it.

    ``value`` may be written ``"<0.0001"`` (``relation`` becomes ``<``) or ``"0.55-0.57"`` (``low``, ``high``).
    """

    method: Id
    relation: Literal["=", "<", ">"] = "="
    status: Literal["formal", "nominal", "not_stated"] = "nominal"
    """formal: part of the confirmatory test sequence. nominal: outside it, or after a failed step."""

    @model_validator(mode="before")
    @classmethod
    def _relation(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(text := data.get("value"), str):
            try:
                if match := _BOUND.match(text):
                    return {**data, "relation": match.group(1), "value": float(match.group(2))}
                if match := _SPAN.match(text):
                    return {**data, "value": None, "low": float(match.group(1)), "high": float(match.group(2))}
            except ValueError:
                return data
        return data


class Contrast(Value):
    """Active against control: ``value`` (also ``estimate``), its interval and standard error."""

    kind: Literal["difference", "ratio", "hazard_ratio"]

    @property
    def estimate(self) -> Number | None:
        """The point estimate."""
        return self.value

    @property
    def null(self) -> float:
        """The value that means no effect: 0 for a difference, 1 for a ratio."""
        return 0.0 if self.kind == "difference" else 1.0


class Source(Model):
    """Where something was read."""

    title: Text
    address: str | None = None
    what: str | None = None
    """What kind of document: registry entry, regulatory review, paper abstract, slides."""
    note: str | None = None


class Citation(Model):
    """A publication of the trial, in the form a reference list prints."""

    id: Id
    text: Text
    doi: Annotated[str, Field(pattern=r"^10\.\d{4,9}/\S+$")] | None = None
    pmid: str | None = None
    url: str | None = None
    source: str | None = None
    """Key into ``Record.sources`` of what was read of it."""


class Registration(Model):
    """One registry entry."""

    registry: Text
    number: Text
    url: str | None = None
    of: str | None = None
    """Which part: ``main`` or ``extension``."""


class Stratum(Sourced):
    """One stratification factor of the randomisation."""

    id: Id
    label: Text
    levels: tuple[Text, ...] = ()


class Design(Sourced):
    """How the trial was built. ``allocation`` maps arm to its share (2:1 is ``{tofersen: 2, placebo: 1}``)."""

    phase: Fact
    type: Fact
    masking: Fact
    setting: Fact | None = None
    control: Fact | None = None
    allocation: Mapping[str, Annotated[int, Strict(), Field(ge=1)]]
    strata: tuple[Stratum, ...] = ()
    n_planned: Value | None = None
    n_planned_first: Value | None = None
    """Size planned before an amendment."""
    n_actual: Value
    n_screened: Value | None = None
    n_screen_failures: Value | None = None
    n_sites: Value | None = None
    n_countries: Value | None = None
    duration_weeks: Value | None = None
    first_dose: DateFact | None = None
    last_visit: DateFact | None = None
    database_lock: DateFact | None = None
    protocol: Fact | None = None


class Arm(Sourced):
    """One randomised arm."""

    id: Id
    label: Text
    role: Literal["active", "control"]
    n: Value
    drug: str
    dose: Value | None = None
    route: str | None = None
    delayed_label: str | None = None
    """What the arm is called in the extension, for instance ``delayed start``."""


class AnalysisSet(Sourced):
    """One analysis set, named as the trial named it; ``n`` by arm. ``parts`` are disjoint sets that make it up."""

    id: Id
    label: Text
    definition: Text
    n: Mapping[str, Value]
    parts: tuple[str, ...] = ()


class Dosing(Sourced):
    """Dosing of the randomised period. ``days`` count from 1, the day of the first dose."""

    dose: Value
    volume: Value | None = None
    route: Fact
    days: tuple[Annotated[int, Strict(), Field(ge=1)], ...]
    loading_days: tuple[int, ...] = ()

    @property
    def weeks(self) -> tuple[float, ...]:
        """Dose times in weeks from the first dose."""
        return tuple((day - 1) / 7.0 for day in self.days)


class VisitPlan(Sourced):
    """The weeks at which some outcomes were measured."""

    id: Id
    outcomes: tuple[str, ...]
    weeks: tuple[Annotated[Number, Field(ge=0)], ...]


class Criterion(Sourced):
    """One rule of eligibility, or of membership in an analysis set (then ``set`` names it)."""

    id: Id
    kind: Literal["inclusion", "exclusion", "set_rule", "background"]
    text: Text
    set: str | None = None


class Outcome(Sourced):
    """One outcome. ``id`` is the PARAMCD (ALSFRS, SVC, HHD, NFL, SOD1, DTHPV, DEATH, ...)."""

    id: Id
    label: Text
    unit: str | None = None
    scale: Literal["linear", "log", "time_to_event", "count"]
    direction: Literal["higher_better", "lower_better"]
    bounds: tuple[Number, Number] | None = None
    role: Literal["primary", "secondary", "exploratory", "safety"]
    week: Number | None = None
    set: str | None = None
    """The set in which it was to be tested."""
    test_order: Annotated[int, Strict(), Field(ge=1)] | None = None
    """Place in the confirmatory sequence, 1 first; None outside it."""
    definition: str | None = None

    @property
    def paramcd(self) -> str:
        """The ADaM parameter code: the id."""
        return self.id


class Method(Sourced):
    """One analysis as the trial did it; results and p-values name it by ``id``."""

    id: Id
    label: Text
    family: Literal[
        "ancova", "mmrm", "joint_rank", "cox", "log_rank", "kaplan_meier", "descriptive", "reference_based", "other"
    ]
    gives: tuple[Literal["estimate", "p"], ...]
    covariates: tuple[Text, ...] = ()
    imputation: str | None = None
    adjusts_nfl: bool = False
    description: Text
    prespecified: Verdict | None = None


class DataCut(Sourced):
    """A date at which the data were frozen for an analysis."""

    id: Id
    date: Date
    label: Text


class BaselineRow(Sourced):
    """One baseline variable and statistic: ``values`` by analysis set, then arm."""

    id: Id
    variable: Text
    label: Text
    unit: str | None = None
    statistic: Literal[
        "mean_sd", "mean", "median_range", "median", "geometric_mean", "range", "iqr", "n_percent", "log_sd", "mean_se"
    ]
    values: Mapping[str, Mapping[str, Value]]


class Opinion(Sourced):
    """Who says that an analysis was, or was not, pre-specified."""

    verdict: Verdict
    who: Text
    text: str | None = None


class Prespecified(Model):
    """Whether an analysis was fixed before the data were seen, and who says so; in YAML also a bare verdict."""

    verdict: Verdict
    by: tuple[Opinion, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _short(cls, data: Any) -> Any:
        if isinstance(data, bool):
            return {"verdict": "yes" if data else "no"}
        return {"verdict": data} if isinstance(data, str) else data


class Conflict(Model):
    """Sources that disagree, kept side by side."""

    what: Text
    values: Annotated[tuple[Value | Fact, ...], Field(min_length=2)]
    reading: str | None = None
    """Which of them this record uses, and why."""


class Result(Sourced):
    """One analysis of one outcome in one set at one time: per-arm values, contrast, and the p-values with their tests.

    ``method`` is that of the per-arm values and the contrast. ``arms`` maps arm to value; in an ``early_delayed``
    comparison the arms are the randomised ones, followed past the switch.
    """

    id: Id
    outcome: str
    week: Number | None = None
    set: str
    method: str
    comparison: Literal["randomised", "early_delayed"] = "randomised"
    role: Literal["main", "sensitivity", "subgroup"] = "main"
    subset: str | None = None
    """In words, where the result concerns part of the set."""
    cut: str | None = None
    measure: Literal[
        "adjusted_mean_change",
        "mean_change",
        "geometric_mean_ratio",
        "percent_change",
        "responders",
        "time_to_event",
        "rank_only",
    ]
    arms: Mapping[str, Value] = Field(default_factory=dict)
    contrast: Contrast | None = None
    p: tuple[PValue, ...] = ()
    prespecified: Prespecified | None = None
    conflicts: tuple[Conflict, ...] = ()

    def p_value(self, method: str) -> PValue | None:
        """The p-value of one test, or None."""
        return next((p for p in self.p if p.method == method), None)


class CurvePoint(NamedTuple):
    """One point of a curve with its own provenance."""

    week: float
    value: float
    se: float | None
    low: float | None
    high: float | None
    source: str | None
    place: str | None
    confidence: Confidence | None


class PointSource(Sourced):
    """Provenance of one point of a curve, where it differs from the rest (the week-28 values are printed)."""

    week: Number


class Curve(Sourced):
    """Values of one outcome over time in one set and arm. Columns have one entry a week; null where not readable."""

    id: Id
    outcome: str
    set: str
    arm: str
    method: str
    measure: Literal["adjusted_mean_change", "mean_change", "geometric_mean_ratio", "survival"]
    cut: str | None = None
    comparison: Literal["randomised", "early_delayed"] = "randomised"
    weeks: tuple[Annotated[Number, Field(ge=0)], ...]
    values: tuple[Number, ...]
    se: tuple[Number | None, ...] | None = None
    low: tuple[Number | None, ...] | None = None
    high: tuple[Number | None, ...] | None = None
    exceptions: tuple[PointSource, ...] = ()

    def points(self) -> tuple[CurvePoint, ...]:
        """The points in order of time, each with its provenance."""
        own = {float(e.week): e for e in self.exceptions}
        out = []
        for i, week in enumerate(self.weeks):
            p: Sourced = own.get(float(week), self)
            se, low, high = (None if c is None else c[i] for c in (self.se, self.low, self.high))
            out.append(CurvePoint(float(week), float(self.values[i]), se, low, high, p.source, p.place, p.confidence))
        return tuple(out)


class EventRow(Sourced):
    """How many had an event: ``values`` by analysis set, then arm, each ``"n/total"``."""

    id: Id
    endpoint: str
    """An outcome id, or a plain name such as ``WITHDREW``."""
    label: Text
    week: Number | None = None
    cut: str | None = None
    values: Mapping[str, Mapping[str, Value]]
    detail: str | None = None


class AdverseEvent(Sourced):
    """One adverse-event term by arm, each ``"n/total"``."""

    id: Id
    term: Text
    category: Literal["summary", "severity", "procedure", "symptom", "csf", "neurologic", "laboratory", "label"]
    serious: bool = False
    arms: Mapping[str, Value]


class Extension(Sourced):
    """The period after the randomised one: who entered, what they got, when control patients switched."""

    title: Text
    switch_week: Value
    masking: Fact | None = None
    dosing: Fact
    entrants: Mapping[str, Mapping[str, Value]]
    """By analysis set, then arm, each ``"n/total"``."""
    duration_weeks: Value | None = None
    completed: DateFact | None = None
    completers: Mapping[str, Value] = Field(default_factory=dict)


class Item(Sourced):
    """A fact of any other kind (pharmacokinetics, assays, prognosis, programme safety, planning): ``text`` in our own
    words, and numbers under ``values`` by a short key."""

    id: Id
    section: Literal[
        "design", "eligibility", "statistics", "sample_size", "extension", "baseline", "natural_history", "disposition",
        "safety", "programme", "pk", "exposure_response", "dose_response", "turnover", "assay", "prognosis",
        "surrogacy", "registry", "calibration", "gap",
    ]  # fmt: skip
    label: Text
    text: str | None = None
    set: str | None = None
    arm: str | None = None
    values: Mapping[str, Value] = Field(default_factory=dict)
    conflicts: tuple[Conflict, ...] = ()


class Regulatory(Sourced):
    """What a regulator or its advisers decided."""

    id: Id
    authority: Text
    date: Date | None = None
    decision: Text
    text: str | None = None
    values: Mapping[str, Value] = Field(default_factory=dict)


class RelatedTrial(Sourced):
    """Another trial, in short, in our own words. ``after`` tells what became of its finding."""

    id: Id
    name: Text
    year: Annotated[int, Strict(), Field(ge=1900, le=2100)]
    drug: Text
    journal: str | None = None
    doi: str | None = None
    n: Value
    outcome: Fact
    result: Fact
    direction: Literal["benefit", "no_benefit", "mixed", "unknown"] = "unknown"
    values: Mapping[str, Value] = Field(default_factory=dict)
    after: tuple[Fact, ...] = ()


class Statement(Model):
    """A sentence of narrative in our own words, resting on ``refs``: addresses of the index, block ids, citation ids
    or source keys."""

    id: Id
    section: Literal[
        "bottom_line", "key_findings", "limitations", "clinical_significance", "historical_context", "safety",
        "medical_student", "resident", "fellow", "attending", "phd", "editor", "guideline", "mechanism",
    ]  # fmt: skip
    text: Text
    refs: Annotated[tuple[Text, ...], Field(min_length=1)]


class Trap(Model):
    """Something a reader of the published record is likely to get wrong."""

    id: Id
    title: Text
    text: Text
    refs: Annotated[tuple[Text, ...], Field(min_length=1)]


class Entry(NamedTuple):
    """One addressable fact: the leaf, the source it resolves to, and where in it."""

    id: str
    leaf: Value | Fact | DateFact
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
    sets: tuple[AnalysisSet, ...]
    dosing: Dosing | None = None
    visits: tuple[VisitPlan, ...] = ()
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
            if (curve.outcome, curve.set, curve.arm, curve.comparison) == (outcome, set, arm, comparison) and (
                measure is None or curve.measure == measure
            ):
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
        for address, leaf in walk(self):
            if leaf.usable or recall:
                source = self.sources.get(leaf.source) if leaf.source is not None else None
                out[address] = Entry(address, leaf, source, leaf.source, leaf.place, leaf.confidence)
        return out

    def blocks(self) -> dict[str, BaseModel]:
        """Every block with an id, by id."""
        return {m.id: m for m in _models(self) if m is not self and hasattr(m, "id")}


def walk(record: Record) -> Iterator[tuple[str, Value | Fact | DateFact]]:
    """Yield (address, leaf) for every leaf of the record, curve points included, in the order of the record."""
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
