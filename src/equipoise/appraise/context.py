"""What every section builder is handed, and the phrases that several of them share."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from equipoise.appraise import absolute_risk, numbers, units
from equipoise.appraise.certainty.judgements import Judgements
from equipoise.appraise.findings import Findings, excludes_null, known, significant
from equipoise.appraise.writer import Writer
from equipoise.document.document import Cited, Computed, Inline, Inlines, Text
from equipoise.document.readers import Reader
from equipoise.document.text import joined, lower, short
from equipoise.errors import RecordError
from equipoise.records.blocks import EventRow, Regulatory, RelatedTrial
from equipoise.records.load import load_record
from equipoise.records.registry.groups import dose_of
from equipoise.records.registry.tables import COUNTED
from equipoise.records.schema import Arm, Contrast, Fact, Item, Method, Outcome, PValue, Record, Result, Value
from equipoise.replica.replica import Replica

_BARE = ("geometric_mean_ratio", "rank_only", "count", "time_to_event")
"""Measures whose values have no unit, or bring their own."""


_SHORT = 450
"""Letters of an arm's description that the card of the design can hold."""


POINTS = "percentage points"


def _gap_of_counts(r: Result, pair: tuple[Value, Value] | None) -> bool:
    """Whether a posted difference between counts of people is one of percentages, and not of fractions of one."""
    if pair is None or not (pair[0].total and pair[1].total) or r.contrast is None or r.contrast.value is None:
        return False
    gap = float(pair[0].value or 0) / pair[0].total - float(pair[1].value or 0) / pair[1].total
    value = float(r.contrast.value)
    return r.contrast.kind == "difference" and abs(value) > 1 and abs(value - 100.0 * gap) <= max(5.0, 0.5 * abs(value))


def set_id(id: str) -> str:
    """An analysis set whose label is a text too long for a sentence; the list of sets tells who they are."""
    del id
    return "those analysed"


def without_covariates(method: Method) -> bool:
    """Whether a method of the family of linear models is named an analysis of variance, which adjusts for nothing."""
    return method.family == "ancova" and re.search(r"\bANOVA\b|analysis of variance", method.label, re.I) is not None


_SMALL_WORDS = (
    "number percentage proportion percent participants patients subjects people with without change from "
    "baseline mean median rate time to weeks months years days week month year day positive negative "
    "response responses increase decrease during period evaluation at by in of on or and the using "
    "measured score scores total distance capacity exercise walk minutes symptom symptoms walked "
    "standardised standardized conditions questionnaire events event first any all least one two assessed "
    "therapy treatment after before until between who experience experiencing incidence survival free "
    "death deaths due complications device adverse serious discontinuations predefined ranking global "
    "hospitalization clinical clinically significant potentially laboratory parameters parameter vital "
    "signs blood pressure heart dose average monthly concentration observed maximum plasma serum as for "
    "induction local recurrence hemoglobin "
)
_GENERIC = re.compile(r"\b(?:" + "|".join(w.capitalize() for w in _SMALL_WORDS.split()) + r")\b")
"""Words of a registry's titles that are no names."""


def _plain(label: str) -> str:
    """A label as :func:`short` leaves it, whatever its case."""
    return " ".join(short(label).casefold().split())


def title_words(label: str) -> str:
    """A title of a registry as it stands in a sentence: words that are no names small.

    >>> title_words("Percentage of Participants With a Positive Response to Tetanus Toxoid")
    'percentage of participants with a positive response to Tetanus Toxoid'
    """
    if len(re.findall(r"(?<=\s)[A-Z][a-z]+", label)) < 2:
        return label
    return _GENERIC.sub(lambda m: m.group().lower(), label)


@dataclass(frozen=True)
class Context:
    """The record, its reading, the replica if there is one, the writer, and the reader asked for."""

    record: Record
    findings: Findings
    writer: Writer
    replica: Replica | None = None
    reader: Reader = field(default_factory=Reader)
    judgements: Judgements | None = None
    own_judgements: bool = False
    """Whether the judgements are a reader's own file and not those that come with the package."""
    coherence: tuple[object, ...] = ()

    @property
    def audience(self) -> str | None:
        """The role of the reader asked for."""
        return self.reader.role

    # -- sentences --------------------------------------------------------------------------------------------------

    def say(self, template: str, /, **parts: Inline | Inlines | str) -> Inlines:
        """As :meth:`Writer.say`, knowing the names that most sentences hold.

        ``{trial}``, ``{active}``, ``{control}``, ``{condition}``, ``{outcome}`` (the primary one) and ``{week}`` (its).
        """
        for key, name in _NAMES.items():
            if f"{{{key}}}" in template:
                parts.setdefault(key, name(self))
        return self.writer.say(template, **parts)

    # -- names ------------------------------------------------------------------------------------------------------

    @property
    def trial(self) -> str:
        """How the trial is called in a sentence."""
        return self.record.acronym or self.record.id

    @property
    def active(self) -> str:
        """The active arm in a sentence."""
        return lower(self.findings.active.label)

    @property
    def control(self) -> str:
        """The control arm in a sentence."""
        return lower(self.findings.control.label)

    def outcome(self, id: str) -> str:
        """An outcome's label inside a sentence."""
        outcome = self.record.outcome(id)
        text = lower(self.called(id))
        if self.record.origin == "posted":
            made = title_words(text.rstrip("."))
            if outcome.week is not None:  # the sentence names the week
                made = re.sub(rf",? (?:at|to|by) (?:the )?week {float(outcome.week):g}$", "", made, flags=re.I)
            if made != text:
                text = made
                self.writer.register(text)
        return text

    def called(self, id: str) -> str:
        """An outcome's label without brackets; where another outcome would then be called the same, with what differs.

        That is what the brackets say, else when it was assessed, else its place among those of its name. The primary
        outcome keeps the short name: its sentences name its time.
        """
        outcome, own = self.record.outcome(id), self.findings.outcome
        twins = [o for o in self.record.outcomes if _plain(o.label) == _plain(outcome.label)]
        if len(twins) < 2 or self.record.origin == "written" or (own is not None and own.id == id):
            return short(outcome.label)
        same = [o for o in twins if o.label.casefold() == outcome.label.casefold()]
        name = short(outcome.label) if len(same) == len(twins) else outcome.label
        if len(same) > 1 and outcome.week is not None and [o.week for o in same].count(outcome.week) == 1:
            name = f"{name}, {self.record.when(outcome.week)}"
        elif len(same) > 1:
            name = f"{name}, {same.index(outcome) + 1} of {len(same)} of this name"
        self.writer.register(name)
        self.writer.register(lower(name))
        return name

    def set_name(self, id: str) -> str:
        """An analysis set in a sentence: its label without brackets."""
        for s in self.record.sets:
            if s.id == id:
                name = short(s.label)
                name = name if name.endswith("...") else name.rstrip(".")
                cut = name.endswith(("...", "…")) or len(name) > 60
                return set_id(id) if cut else lower(name)
        return set_id(id)

    def set_phrase(self, id: str) -> str:
        """``the faster-progressing set``, and for the whole trial ``everyone randomised``."""
        name = self.set_name(id)
        if self.is_all(id):
            return "everyone randomised" if self.record.design.randomised else "everyone enrolled"
        if name == COUNTED.lower():
            return "those counted"
        if name == set_id(id) or name.startswith(("all ", "entered ", "everyone ")):
            return name
        return f"the {name}" if name.endswith(("set", "population", "group")) else f"the {name} set"

    def group_label(self, id: str) -> str:
        """How an arm, or a group that is no arm of the comparison, is called: by its title, else by its key."""
        titles = {g.id: g.label for g in self.record.groups} | {a.id: a.label for a in self.record.arms}
        return titles.get(id, id)

    def of_groups(self, r: Result) -> Inlines:
        """Whom a posted contrast or P value is of, where not of the two arms; empty where it is of them.

        A registry posts analyses of one group alone, of other groups, and of more than two together.
        """
        f, ids = self.findings, (*r.arms, *r.groups)
        tested = r.contrast is not None or bool(r.p)
        if not f.compared or not tested or not ids or self.record.origin == "written" or f.of_arms(r):
            return ()
        names = joined([self.writer.label(lower(self.group_label(g))) for g in ids], "; ")
        if len(ids) == 1:
            return self.writer.say("of one group alone, {g}, as the entry posts it", g=names)
        return self.writer.say("of other groups than the two arms: {g}", g=names)

    @property
    def some_not_by_chance(self) -> bool:
        """Whether the entry of a randomised trial speaks of people of its arms who were not assigned by chance."""
        told = " ".join([*(o.label for o in self.record.outcomes), *(s.definition for s in self.record.sets)])
        posted = self.record.origin == "posted" and self.record.design.randomised
        return posted and re.search(r"\b(?:non|not)[- ]random(?:ly|i[sz]ed)?[- ]assigned", told, re.I) is not None

    @property
    def chance_unknown(self) -> bool:
        """Whether an entry of several groups does not say how people came into them."""
        design = self.record.design
        told = re.search(r"not randomised|not allocated|single group", design.type.text)
        return self.record.origin == "posted" and not design.randomised and self.findings.compared and not told

    def is_all(self, id: str) -> bool:
        """Whether an analysis set is everyone randomised."""
        name = self.set_name(id).lower()
        if "modified" in name or "mitt" in name:
            return False
        return id.upper() == "ITT" or "intention" in name or name == "all randomised"

    @property
    def address(self) -> str:
        """What a command calls the record: its id, or the file that the import of a registry entry writes."""
        return f"{self.record.id.lower()}.yaml" if self.record.origin == "posted" else self.record.id

    def week(self, week: float | None, *, detail: bool = False) -> Inlines:
        """``week 28``, or how the record calls it, ``detail`` with what it tells of it; ``the end`` without a week."""
        if week is None:
            # an entry with a span, or with several times, names no one time
            several = self.record.origin == "posted"
            return self.writer.words("the time that the entry names" if several else "the end of the trial")
        text = self.record.when(float(week), detail=detail)
        self.writer.register(text)
        return self.writer.words(text)

    def names_its_week(self, label: str, week: float | None) -> bool:
        """Whether a label holds its own time, as those of a registry do: ``change from baseline to week 12 in ...``."""
        if week is None:
            return False
        when = re.escape(self.record.when(float(week)).lower())
        return re.search(rf"\b(?:at|to|by|until) {when}\b", label.lower()) is not None

    @property
    def randomised(self) -> Inlines:
        """How many took part, ``about`` so many where that is all that was read; only where it is known."""
        d = self.record.design
        return self.writer.say("about {n}" if d.n_actual_about else "{n}", n=self.number(d.n_actual))

    @property
    def beyond_the_arms(self) -> bool:
        """Whether more people took part than the two arms that are compared hold between them."""
        f, n = self.findings, self.record.design.n_actual
        held = [a.n.value for a in (f.active, f.control) if known(a.n)]
        return known(n) and len(held) == 2 and f.compared and sum(map(float, held)) < float(n.value)  # type: ignore[arg-type]

    @property
    def events(self) -> list[EventRow]:
        """The counted events, without those of a part of a study in which none of the arms took part."""

        def apart(row: EventRow) -> bool:
            own = [v for values in row.values.values() for v in values.values()]
            none = bool(own) and all(v.value == 0 and not v.total for v in own)
            return none and any(bool(v.value) or bool(v.total) for v in row.groups.values())

        return [row for row in self.record.events if not apart(row)]

    @property
    def duration(self) -> Inlines:
        """``28 weeks``, ``up to 91 weeks``; nothing where the record does not tell how long the trial was."""
        d = self.record.design
        if not known(d.duration_weeks):
            return ()
        return self.lasting(self.word(d.duration_weeks))

    def lasting(self, weeks: Inlines) -> Inlines:
        """So many weeks, ``up to`` so many where not everyone was followed for as long."""
        longest = self.record.design.duration_is == "longest"
        return self.writer.say("up to {n} weeks" if longest else "{n} weeks", n=weeks)

    @property
    def goes_on(self) -> bool:
        """Whether the record compares early with delayed start: what is counted by arm then needs its period."""
        return self.record.origin == "written" and any(r.comparison == "early_delayed" for r in self.record.results)

    def cut_date(self, id: str | None) -> Inlines:
        """``16 January 2022``: the date up to which the data of a cut reach; empty where none is on record."""
        cut = next((c for c in self.record.cuts if c.id == id), None)
        return (self.writer.cite(numbers.date_text(cut.date), cut),) if cut is not None and cut.usable else ()

    def fact(self, fact: Fact | None) -> Inlines:
        """A short fact with its source; nothing for one that only says that it was not found."""
        if fact is None or not fact.usable or fact.text.lower().startswith(("not stated", "not found", "not named")):
            return ()
        return self.writer.told(fact.text, fact) or ()

    # -- numbers ----------------------------------------------------------------------------------------------------

    def number(self, value: Value, digits: int | None = None, *, unit: str = "") -> Inlines:
        """A value as published, linked."""
        text = numbers.number(value.value, digits) if value.value is not None else numbers.spread(value)
        return (self.writer.cite(text + unit, value),)

    def word(self, value: Value) -> Inlines:
        """A number that is a word of its sentence, such as the weeks of a trial: traced, and no link."""
        return tuple(replace(run, quiet=True) for run in self.number(value) if isinstance(run, Cited))

    def item(self, id: str) -> Item | None:
        """An item of the record, if it has one that may be shown."""
        found = next((i for i in self.record.items if i.id == id), None)
        return found if found is not None and found.confidence != "recall" else None

    def item_value(self, id: str, key: str) -> Value | None:
        """A value of an item, if it may be shown and has a number."""
        found = self.item(id)
        value = None if found is None else found.values.get(key)
        return value if known(value) else None

    def important_change(self) -> tuple[Inlines, float, str] | None:
        """(as shown, its size, in words) of the smallest difference that matters for the primary outcome.

        That of the judgements, by which certainty is rated too; else what patients are reported to notice.
        """
        f = self.findings
        if self.judgements is not None and f.primary is not None:
            mine = f"{f.primary.id}.contrast"
            graded = next((o for o in self.judgements.outcomes if o.estimate == mine and o.threshold), None)
            pair = self.arms_pair(f.primary)
            share = None if graded is None or graded.threshold is None else graded.threshold.share
            sourced = None if share is None else self.judgements.values.get(share)
            if sourced is not None and sourced.value is not None and pair is not None and pair[1].value:
                from equipoise.appraise.certainty.rating import important_difference

                size = important_difference(float(sourced.value) / 100.0, float(pair[1].value))
                shown = self.writer.compute(
                    important_difference,
                    float(sourced.value) / 100.0,
                    float(pair[1].value),
                    show=lambda x: numbers.number(x, 2 if x < 1 else 1),
                    what=f"{self.record.outcome(f.primary.outcome).label}: the smallest difference that matters",
                    method="share times the absolute change of the control arm",
                )
                return (shown,), size, "which would slow the loss enough to matter (see certainty)"
        mcid = self.item_value("mcid", "change")
        if mcid is None or not mcid.value:
            return None
        return self.number(mcid), abs(float(mcid.value)), "which patients are reported to notice"

    def contrast(self, c: Contrast, *, exact: bool = False) -> Inlines:
        """Estimate and interval, linked."""
        return (self.writer.cite(numbers.contrast(c, exact=exact), c),)

    def p(self, p: PValue, *, exact: bool = False) -> Inlines:
        """A p-value, linked; with a stated level of its test in tables and where the verdict turns on it."""
        out: Inlines = (self.writer.cite(numbers.p_value(p, exact=exact), p),)
        conventional = significant(p.model_copy(update={"alpha": None}))
        if p.alpha is None or not (exact or significant(p) is not conventional):
            return out
        return (*out, *self.writer.say(" (level {a})", a=self.writer.cite(numbers.number(p.alpha), p)))

    def method(self, id: str) -> Inlines:
        """A method's label inside a sentence; figures in it are linked."""
        found = self.findings.method(id)
        if found is None:
            return self.writer.label(id)
        label = lower(found.label)
        if self.record.origin == "posted":
            self.writer.register(label)  # "t-test, 2 sided" is a name
            return self.writer.label(label)
        return self.writer.quote(label, found) or self.writer.label(label)

    def test_name(self, id: str) -> str:
        """The family of a test, in words."""
        found = self.findings.method(id)
        if found is not None and without_covariates(found):
            return "analysis of variance"
        names = {
            "ancova": "analysis of covariance",
            "mmrm": "mixed model for repeated measures",
            "joint_rank": "joint rank test",
            "cox": "Cox regression",
            "log_rank": "log-rank test",
            "kaplan_meier": "Kaplan-Meier estimate",
            "descriptive": "descriptive analysis",
            "reference_based": "reference-based imputation",
        }
        return names.get(found.family, "test") if found is not None else "test"

    def by_test(self, id: str) -> Inlines:
        """`` by the joint rank test``; of a test without a family `` (its label)``."""
        name = self.test_name(id)
        return (
            self.writer.say(" by the {t}", t=name) if name != "test" else self.writer.say(" ({m})", m=self.method(id))
        )

    def analysis(self, id: str, *, article: bool = True) -> Inlines:
        """``an analysis of covariance adjusted for NfL``: the family of a method, and whether NfL entered it."""
        found = self.findings.method(id)
        name = self.test_name(id)
        if name == "test" and found is not None:
            return self.writer.say("the analysis called {m}" if article else "{m}", m=self.method(id))
        if found is not None and found.adjusts_nfl:
            name += " adjusted for NfL"
        return self.writer.words(f"{'an' if name[0] in 'aeiou' else 'a'} {name}" if article else name)

    def test_label(self, id: str) -> Inlines:
        """A test for table cells: ``ANCOVA, NfL``."""
        found = self.findings.method(id)
        if found is None:
            return self.writer.label(id)
        names = {"ancova": "ANCOVA", "mmrm": "MMRM", "joint_rank": "joint rank", "cox": "Cox", "log_rank": "log-rank"}
        name = "ANOVA" if without_covariates(found) else names.get(found.family)
        if name is None:
            return self.method(id)

        def kind(m: Method) -> tuple[str, bool, bool]:
            return f"{m.family}{without_covariates(m)}", m.adjusts_nfl, "alternative" in m.label.lower()

        if next(m for m in self.record.methods if kind(m) == kind(found)).id != id:
            return self.method(id)  # the short name is taken by an earlier one
        name = f"alternative {name}" if kind(found)[2] else name
        return self.writer.words(f"{name}, NfL-adjusted" if found.adjusts_nfl else name)

    def unit(self, outcome: Outcome, r: Result | None = None) -> str:
        """`` points``, ``% of predicted`` with its space, or nothing; of a rate `` points a month``."""
        unit = units.said(outcome.unit, outcome.label)
        if r is not None and r.measure == "rate_of_change":
            if r.contrast is not None and r.contrast.unit:
                unit = r.contrast.unit.replace("/", " a ")
            elif self.record.origin == "written" and unit:
                unit += " a month"
        elif r is not None and r.measure in _BARE:
            return ""
        elif r is not None and r.measure in ("percent_change", "percent", "responders"):
            unit = "%"
        return f"{numbers.THIN}{unit}" if unit.startswith("%") else f" {unit}" if unit else ""

    def gap_unit(self, outcome: Outcome, r: Result | None) -> str:
        """The unit of a difference between the arms: a gap between two percentages is one of percentage points.

        A gap that is called relative, or a reduction in per cent, stays what the record calls it.
        """
        unit = self.unit(outcome, r)
        label = "" if r is None or r.contrast is None else r.contrast.label or ""
        relative = re.search(r"relative|reduction|percent(?:age)? change", label, re.I)
        of_counts = r is not None and _gap_of_counts(r, self.arms_pair(r))
        return f" {POINTS}" if (unit.strip() == "%" or of_counts) and not relative else unit

    @property
    def analysed(self) -> tuple[Value, Value] | None:
        """(active, control) people of the primary analysis set, if both are known."""
        f = self.findings
        sizes = next((s.n for s in self.record.sets if s.id == f.set), {})
        pair = sizes.get(f.active.id), sizes.get(f.control.id)
        return (pair[0], pair[1]) if known(pair[0]) and known(pair[1]) else None

    def in_hundred(self, what: str, value: Value) -> Computed:
        """A count as so many people in a hundred."""
        return self.writer.compute(
            absolute_risk.in_hundred,
            int(value.value or 0),
            int(value.total or 1),
            show=lambda x: numbers.in_hundred(x.people),
            what=f"{what}: people in a hundred",
            method="the count over the number of people, times a hundred",
        )

    def arms_pair(self, r: Result) -> tuple[Value, Value] | None:
        """(active, control) values of a result, if both may be shown and have a number."""
        a, c = self.findings.arm_value(r, self.findings.active), self.findings.arm_value(r, self.findings.control)
        return (a, c) if a is not None and c is not None and a.value is not None and c.value is not None else None

    def shown(self, pair: tuple[Value, Value]) -> list[Inlines]:
        """Both values of a pair: people of people, or numbers with as many decimals in one as in the other."""
        digits = max(numbers.decimals(v.value or 0) for v in pair)
        return [self.count(v) if v.total else self.number(v, digits or None) for v in pair]

    def median(self, r: Result) -> bool:
        """Whether the arms' values are medians and the outcome's name does not say so."""
        return r.measure == "median" and "median" not in self.record.outcome(r.outcome).label.lower()

    def percent_lower(self, r: Result) -> Computed | None:
        """A ratio as ``67 % lower``, computed; None for a ratio of 1 or more."""
        c = r.contrast
        if c is None or not c.usable or c.value is None or c.value >= 1:
            return None
        return self.writer.compute(
            absolute_risk.percent_lower,
            float(c.value),
            show=lambda x: f"{numbers.number(x, 0)}{numbers.THIN}% lower",
            what=f"{self.record.outcome(r.outcome).label}: the ratio {numbers.number(c.value, 2)} as a percentage",
            method="one minus the ratio of geometric means",
        )

    def risk_difference(
        self, what: str, active: Value, control: Value
    ) -> tuple[Computed, absolute_risk.RiskDifference]:
        """Risk difference with Newcombe's interval, in percentage points."""
        a = (int(active.value or 0), int(active.total or 0))
        c = (int(control.value or 0), int(control.total or 0))
        rd = absolute_risk.risk_difference(*a, *c)
        computed = self.writer.compute(
            absolute_risk.risk_difference,
            *a,
            *c,
            show=lambda x: (
                f"{numbers.number(100 * x.estimate, 1, plus=True)} "
                f"({numbers.number(100 * x.low, 1)} to {numbers.number(100 * x.high, 1)})"
            ),
            what=f"{what}: difference in risk, {self.findings.active.label} minus {self.findings.control.label}",
            method="Newcombe's hybrid score interval (method 10, without continuity correction)",
        )
        return computed, rd

    def count(self, value: Value) -> Inlines:
        """``4 of 72``, linked."""
        return (self.writer.cite(f"{numbers.number(value.value or 0)} of {numbers.number(value.total or 0)}", value),)

    # -- other records ----------------------------------------------------------------------------------------------

    def record_of(self, t: RelatedTrial) -> Record | None:
        """The record of a related trial, if it has one; its sources and labels are made known to the writer."""
        if t.record is None:
            return None
        try:
            other = load_record(t.record)
        except RecordError:
            return None  # a folder of records of one's own need not hold it
        self.writer.adopt("", "", "", other.sources, {})
        for arm in other.arms:
            for label in (arm.label, arm.drug, arm.route or ""):
                self.writer.register(label)
        return other

    def decisions_on(self, t: RelatedTrial) -> tuple[Regulatory, ...]:
        """What regulators decided on a related trial's drug, as that trial's own record tells it; its sources are
        made known to the writer."""
        other = self.record_of(t)
        if other is None:
            return ()
        for r in other.regulatory:
            self.writer.register(r.authority)
        return tuple(r for r in other.regulatory if r.usable)

    @property
    def decisions(self) -> tuple[Regulatory, ...]:
        """What regulators decided on this drug: told in this record, or in the one record of the drug that tells it."""
        own = tuple(r for r in self.record.regulatory if r.usable)
        drug = self.findings.active.drug
        return own or tuple(r for t in self.record.related if t.drug == drug for r in self.decisions_on(t))

    # -- judgements -------------------------------------------------------------------------------------------------

    def status(self, r: Result) -> str:
        """How much weight a result was meant to bear, in words."""
        if any(p.status == "formal" and p.usable for p in r.p):
            return "primary test" if r.id == (self.findings.primary.id if self.findings.primary else None) else "formal"
        if r.role == "subgroup":
            return "subgroup"
        planned = self.findings.planned(r)
        words = {True: "planned", False: "not pre-specified", None: "not stated"}[planned]
        if not any(p.usable for p in r.p):
            words = "descriptive" if planned is None else f"{words}, descriptive"
        elif planned is not False and any(p.status == "nominal" for p in r.p if p.usable):
            words = f"{words}, nominal"
        return f"sensitivity, {words}" if r.role == "sensitivity" else words

    def formal(self, r: Result) -> bool:
        """Whether a result has a P value of a test by which the trial could declare success."""
        return any(p.status == "formal" and p.usable for p in r.p)

    def tone(self, r: Result) -> str:
        """The same as a mark in a forest plot."""
        if self.findings.primary is not None and r.id == self.findings.primary.id:
            return "primary"
        return "post_hoc" if self.findings.planned(r) is False else "main"

    def includes_null(self, c: Contrast | None) -> bool:
        """Whether an interval leaves room for no effect."""
        return c is not None and excludes_null(c) is False

    @property
    def sequence(self) -> bool:
        """Whether the record names an order in which outcomes were to be tested."""
        return sum(o.test_order is not None for o in self.record.outcomes) > 1

    def arm_text(self, arm: Arm) -> Inlines:
        """What an arm received."""
        writer = self.writer
        out: Inlines = writer.label(lower(arm.drug))
        given = arm.dose is not None and arm.dose.usable and arm.dose.value is not None
        if given and self.record.origin == "posted":  # its title often says the dose
            given = f"{numbers.number(arm.dose.value or 0)} {arm.dose.unit or ''}".strip() not in arm.drug  # type: ignore[union-attr]
            if not given and arm.dose is not None and arm.dose.note and arm.dose.note.lower() not in arm.drug.lower():
                out = (*out, Text(", "), *(writer.quote(arm.dose.note, arm.dose) or ()))
        if given and arm.dose is not None and arm.dose.value is not None:
            unit = f" {arm.dose.unit}" if arm.dose.unit else ""
            out = (*out, Text(", "), writer.cite(f"{numbers.number(arm.dose.value)}{unit}", arm.dose))
            if arm.dose.note and (more := writer.quote(arm.dose.note, arm.dose)):
                # "3 g of one drug with 1 g of another"; anything else stands in brackets
                of = arm.dose.note.startswith("of ")
                out = (*out, *((Text(" "), *more) if of else (Text(" ("), *more, Text(")"))))
        if arm.route:
            out = (*out, Text(", "), *writer.label(arm.route))
        return out

    def regimen(self, arm: Arm) -> Inlines:
        """What an arm received, with the entry's own words where no one dose could be read from them."""
        out, told = self.arm_text(arm), arm.note if self.record.origin == "posted" else None
        if not told or len(told) > _SHORT or not arm.usable:
            return out
        if arm.dose is not None and not (dose_of(told) is None and re.search(r"\d", told)):
            return out  # one dose, and it is told
        said = self.writer.quote(" ".join(told.split()).rstrip("."), arm)
        return (*out, *self.writer.say(" (as the entry describes it: {s})", s=said)) if said else out


def _outcome(ctx: Context) -> Inlines:
    o = ctx.findings.outcome
    return ctx.writer.words("the primary outcome") if o is None else ctx.writer.label(ctx.outcome(o.id))


_NAMES: dict[str, Callable[[Context], Inlines | str]] = {
    "trial": lambda ctx: ctx.trial,
    "active": lambda ctx: ctx.active,
    "control": lambda ctx: ctx.control,
    "condition": lambda ctx: ctx.record.condition,
    "outcome": _outcome,
    "week": lambda ctx: ctx.week(ctx.findings.week),
}
"""Names that a sentence may hold without being handed them."""
