"""The blocks of a record: design, arms, sets, schedule, methods, results, curves, events, harms, narrative."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import Field, Strict, model_validator

from equipoise.records.values import (
    Confidence,
    Contrast,
    Date,
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
)


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
    randomised: bool = True
    """Whether the arms were allocated at random; False for a trial of one arm, which needs no control."""
    allocation: Mapping[str, Annotated[int, Strict(), Field(ge=1)]] = Field(default_factory=dict)
    strata: tuple[Stratum, ...] = ()
    n_actual_about: bool = False
    """Whether what was read gives ``n_actual`` roughly."""
    n_planned: Value | None = None
    n_planned_first: Value | None = None
    """Size planned before an amendment."""
    n_actual: Value
    n_actual_of: Text | None = None
    """Of whom ``n_actual`` counts, where what was read does not count everyone randomised: ``those analysed``."""
    n_screened: Value | None = None
    n_screen_failures: Value | None = None
    n_sites: Value | None = None
    n_countries: Value | None = None
    duration_weeks: Value | None = None
    duration_is: Literal["fixed", "longest"] = "fixed"
    """``longest``: people were followed for up to so long, and not all of them."""
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


class Group(Sourced):
    """People that a source reports on and that are not an arm of the comparison: a pool of arms, one dose or
    part of the programme, people not assigned. Blocks hold their values under ``groups``, apart from the arms."""

    id: Id
    label: Text
    definition: str | None = None
    n: Value | None = None


class AnalysisSet(Sourced):
    """One analysis set, named as the trial named it; ``n`` by arm. ``parts`` are disjoint sets that make it up.

    ``shared_with``: ids of the records whose sets count the same control participants, all or some of them, as the
    regimens of a platform trial do.
    """

    id: Id
    label: Text
    definition: Text
    n: Mapping[str, Value]
    parts: tuple[str, ...] = ()
    shared_with: tuple[Id, ...] = ()


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
    direction: Literal["higher_better", "lower_better", "not_stated"]
    bounds: tuple[Number, Number] | None = None
    whole_numbers: bool = False
    """Whether one person's value is always a whole number (a sum of item scores)."""
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


class Timepoint(Sourced):
    """What a week of the record is called where it is no visit, such as the end of a follow-up that was longer for some
    than for others; ``detail`` tells how long it was."""

    id: Id
    week: Annotated[Number, Field(ge=0)]
    label: Text
    detail: str | None = None


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
        "mean_sd",
        "mean",
        "median_range",
        "median",
        "geometric_mean",
        "range",
        "iqr",
        "n_percent",
        "log_sd",
        "mean_se",
        "median_iqr",
        "other",
    ]
    values: Mapping[str, Mapping[str, Value]]
    groups: Mapping[str, Value] = Field(default_factory=dict)
    whole_numbers: bool = False


class Opinion(Sourced):
    """Who says that an analysis was, or was not, pre-specified."""

    verdict: Verdict
    who: Text
    text: str | None = None


class Prespecified(Model):
    """Whether an analysis was fixed before the data were seen, and who says so; in YAML also a bare verdict."""

    verdict: Verdict
    by: tuple[Opinion, ...] = ()
    fixed: DateFact | None = None
    """When the analysis was fixed (the date of the plan that first holds it)."""

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
    row: str | None = None
    """The row of the source's table, where one outcome has several (classes and categories of a registry entry)."""
    cut: str | None = None
    measure: Literal[
        "adjusted_mean_change",
        "mean_change",
        "geometric_mean_ratio",
        "percent_change",
        "responders",
        "time_to_event",
        "rank_only",
        "mean",
        "adjusted_mean",
        "geometric_mean",
        "median",
        "count",
        "percent",
        "rate_of_change",
        "other",
    ]
    arms: Mapping[str, Value] = Field(default_factory=dict)
    contrast: Contrast | None = None
    groups: Mapping[str, Value] = Field(default_factory=dict)
    """Values of groups that are not arms."""
    p: tuple[PValue, ...] = ()
    announced_by: Text | None = None
    """On whose announcement the verdict rests, where no numbers of the comparison were read: ``the sponsor``."""
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
        """The points in order of time, each with its provenance; columns of unequal length are the check's to find."""
        own = {float(e.week): e for e in self.exceptions}
        out = []
        for i, week in enumerate(self.weeks[: len(self.values)]):
            p: Sourced = own.get(float(week), self)
            se, low, high = (None if c is None or i >= len(c) else c[i] for c in (self.se, self.low, self.high))
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
    groups: Mapping[str, Value] = Field(default_factory=dict)
    detail: str | None = None


class AdverseEvent(Sourced):
    """One adverse-event term by arm, each ``"n/total"``."""

    id: Id
    term: Text
    category: Literal["summary", "severity", "procedure", "symptom", "csf", "neurologic", "laboratory", "label", "term"]
    """``term``: one coded term of a registry's table; the others group what a paper or label tells."""
    serious: bool = False
    organ_system: str | None = None
    vocabulary: str | None = None
    assessment: str | None = None
    """How events were looked for, as the registry words it."""
    arms: Mapping[str, Value]
    groups: Mapping[str, Value] = Field(default_factory=dict)
    events: Mapping[str, Value] = Field(default_factory=dict)
    """Number of events by arm or group, where one person can have several."""


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


class ItemContrast(Contrast):
    """A contrast between two values of an item, both named by their keys: ``of`` less (or over) ``against``."""

    of: str
    against: str


class Item(Sourced):
    """A fact of any other kind (pharmacokinetics, assays, prognosis, programme safety, planning): ``text`` in our own
    words, and numbers under ``values`` by a short key."""

    id: Id
    section: Literal[
        "design",
        "eligibility",
        "statistics",
        "sample_size",
        "extension",
        "baseline",
        "natural_history",
        "disposition",
        "safety",
        "programme",
        "pk",
        "exposure_response",
        "dose_response",
        "turnover",
        "assay",
        "prognosis",
        "surrogacy",
        "evidence",
        "registry",
        "calibration",
        "gap",
    ]
    label: Text
    text: str | None = None
    set: str | None = None
    arm: str | None = None
    values: Mapping[str, Value] = Field(default_factory=dict)
    contrasts: Mapping[str, ItemContrast] = Field(default_factory=dict)
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
    direction: Literal["benefit", "no_benefit", "not_conclusive", "mixed", "unknown"] = "unknown"
    plain: Fact | None = None
    """What a patient is told that it found, where the word for ``direction`` would mislead; no number in it."""
    values: Mapping[str, Value] = Field(default_factory=dict)
    after: tuple[Fact, ...] = ()
    record: Id | None = None
    """The record of that trial, if it has one: what regulators decided on its drug is told there, once."""


class Statement(Model):
    """A sentence of narrative in our own words, resting on ``refs``: addresses of the index, block ids, citation ids
    or source keys. One of the section ``answer`` is a paragraph of the answer to ``question``, by its id in the bank
    of questions, and takes the place of the bank's own."""

    id: Id
    section: Literal[
        "bottom_line",
        "key_findings",
        "limitations",
        "clinical_significance",
        "historical_context",
        "safety",
        "medical_student",
        "resident",
        "fellow",
        "attending",
        "phd",
        "editor",
        "guideline",
        "mechanism",
        "answer",
    ]
    question: Id | None = None
    text: Text
    refs: Annotated[tuple[Text, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _asked(self) -> Self:
        if (self.section == "answer") != (self.question is not None):
            raise ValueError("a statement of the section 'answer', and no other, names the question that it answers")
        return self


class Trap(Model):
    """Something a reader of the published record is likely to get wrong."""

    id: Id
    title: Text
    text: Text
    refs: Annotated[tuple[Text, ...], Field(min_length=1)]
