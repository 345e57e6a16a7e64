"""What the record says, as data: which result is the primary one, whether it was met, and what hangs on it.

Nothing here writes prose. The sections ask these questions so that their sentences can follow the answers.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeGuard

from equipoise.appraise.absolute_risk import se_from_interval
from equipoise.records.schema import (
    AdverseEvent,
    Arm,
    Contrast,
    EventRow,
    Method,
    Outcome,
    PValue,
    Record,
    Result,
    Value,
)

_NOT_MET, _MET = re.compile(r"\bnot met\b"), re.compile(r"^met\b")
"""How the note of a result tells that its source calls the primary endpoint missed, where no number does."""

_NO_TEST = re.compile(
    r"\bno (?:planned |pre-?specified )?(?:formal )?(?:statistical |hypothesis |inferential )"
    r"(?:hypothes[ei]s |significance )?(?:test|hypothes|analys[ei]s|comparison)"
    r"|\bnot (?:formally |statistically )+tested|\bno formal (?:hypothes|test)|descriptive(?:ly)? (?:statistics )?only",
    re.I,
)
"""How an entry says that its outcome was described and not tested."""

_DEATHS = re.compile(r"^(?:all )?(?:deaths?|all[- ]cause mortality)\b(?!.*\bor\b)(?!, .*withdrawal for)", re.I)
"""How a row is called that counts deaths, and nothing beside them."""

LEFT_BY_DEATH = "LEFT_DEATH"
"""The row of a flow of participants for those who left by dying: who died after leaving otherwise is not in it."""

DEATHS = ("DEATH", "DTHTR", "DTHPV", "DTHPAV", LEFT_BY_DEATH)
"""Rows that count deaths: death alone, composites, and those that a registry's flow lists as having left by death."""


@dataclass(frozen=True)
class Deaths:
    """How many died in each arm: the row that counts them, its label, its week and analysis set where it has them."""

    row: EventRow | AdverseEvent
    label: str
    week: float | None
    set: str | None
    active: Value
    control: Value

    @property
    def left(self) -> bool:
        """Whether these are those who left the trial by dying, and not all who died."""
        return isinstance(self.row, EventRow) and self.row.endpoint == LEFT_BY_DEATH

    def address(self, arm: str) -> str:
        """The address of an arm's count in the record."""
        return ".".join(part for part in (self.row.id, self.set, arm) if part is not None)


@dataclass(frozen=True)
class Findings:
    """The reading of one record.

    ``met`` is None where the record does not say whether the primary endpoint was met, or its sources disagree.
    """

    record: Record
    active: Arm
    control: Arm
    primary: Result | None
    outcome: Outcome | None
    test: PValue | None
    estimate_p: PValue | None
    met: bool | None

    @property
    def verdict(self) -> str:
        """``met``, ``missed``, ``disputed``, ``not tested`` or ``not stated``."""
        if self.met is None and not self.disputed and self.untested:
            return "not tested"
        return "disputed" if self.disputed else {True: "met", False: "missed", None: "not stated"}[self.met]

    @property
    def compared(self) -> bool:
        """Whether anything was compared: several arms, that were not all given the same treatment.

        A registry entry of a single group may post its people in several groups, such as by what they had before.
        """
        alone = self.record.origin == "posted" and "single group" in self.record.design.type.text.lower()
        return len(self.record.arms) > 1 and not alone

    @property
    def week(self) -> float | None:
        """Week of the primary endpoint."""
        if self.primary is not None and self.primary.week is not None:
            return float(self.primary.week)
        return None if self.outcome is None or self.outcome.week is None else float(self.outcome.week)

    @property
    def set(self) -> str | None:
        """The primary analysis set."""
        return self.primary.set if self.primary is not None else (self.outcome.set if self.outcome else None)

    @property
    def contrast(self) -> Contrast | None:
        """The contrast of the primary result, if it may be shown."""
        c = None if self.primary is None else self.primary.contrast
        return c if c is not None and c.usable else None

    @property
    def disputed(self) -> tuple[PValue, ...]:
        """The P values that different sources give as the deciding one, where they differ in their verdict."""
        formal = () if self.primary is None else tuple(p for p in self.primary.p if p.usable and p.status == "formal")
        return formal if {significant(p) for p in formal} >= {True, False} else ()

    @property
    def parted(self) -> bool:
        """Whether an entry tests several primary outcomes, and some differ between the arms and others do not."""
        if self.record.origin == "written" or self.test is None:
            return False
        others = [significant(p) for r in self.co_primary() if self.of_arms(r) for p in r.p if p.usable]
        return {significant(self.test), *others} >= {True, False}

    @property
    def untested(self) -> str | None:
        """Why the primary outcome was described and not tested, in words; None where that is not said.

        A record says so of its outcome, or gives everyone the same treatment; a P value for it says otherwise.
        """
        if self.test is not None or self.outcome is None:
            return None
        told = " ".join(t for t in (self.outcome.definition, None if self.primary is None else self.primary.note) if t)
        if _NO_TEST.search(told):
            return "no test of it was planned"
        return None if self.compared or len(self.record.arms) < 2 else "everyone had the same treatment"

    @property
    def rows(self) -> tuple[Result, ...]:
        """The rows in which an entry posts its primary outcome untested, no one of which is its result; else none."""
        if self.primary is not None or self.outcome is None:
            return ()
        return untested_rows(self.record, self.outcome.id, self.active, self.control)

    @property
    def split(self) -> bool:
        """Whether the primary p-value and the primary estimate come from different analyses."""
        return self.test is not None and self.primary is not None and self.test.method != self.primary.method

    def biomarkers(self) -> tuple[Result, ...]:
        """Main results of laboratory outcomes (log scale) in the primary set and week, in test order.

        Only those of the test sequence, if any of it is.
        """
        found = self._companions(marker)
        if not found and any(s.id == self.set and s.shared_with for s in self.record.sets):
            # the primary outcome borrows controls of the platform, the markers have the regimen's own
            found = self._companions(marker, any_set=True)
        ordered = tuple(r for r in found if self.record.outcome(r.outcome).test_order)
        return ordered or found

    def clinical(self) -> tuple[Result, ...]:
        """Main results of the other outcomes (neither primary nor log scale) in the primary set and week."""
        return self._companions(lambda o, r: not marker(o, r) and (self.outcome is None or o.id != self.outcome.id))

    def _companions(self, keep: Callable[[Outcome, Result], bool], *, any_set: bool = False) -> tuple[Result, ...]:
        if self.set is None:
            return ()
        order = {o.id: (o.test_order or 99, i) for i, o in enumerate(self.record.outcomes)}
        found = [
            r
            for r in self.record.find_results(set=None if any_set else self.set, week=self.week, role="main")
            if r.comparison == "randomised"
            and keep(self.record.outcome(r.outcome), r)
            and self.of_arms(r)
            and r.contrast is not None
            and r.contrast.usable
            and r.contrast.value is not None
        ]
        return tuple(sorted(found, key=lambda r: order[r.outcome]))

    def others(self) -> tuple[Result, ...]:
        """Main randomised results of the primary outcome in other sets at the primary week."""
        if self.primary is None:
            return ()
        return tuple(
            r
            for r in self.record.find_results(self.primary.outcome, week=self.week, role="main")
            if r.id != self.primary.id and r.comparison == "randomised" and usable(r.contrast) and self.of_arms(r)
        )

    def co_primary(self) -> tuple[Result, ...]:
        """Main randomised results of the other primary outcomes, in the order of the record."""
        own = None if self.outcome is None else self.outcome.id
        others = [o.id for o in self.record.outcomes if o.role == "primary" and o.id != own]
        found = [r for id in others for r in self.record.find_results(id, role="main")]
        return tuple(
            r for r in found if r.comparison == "randomised" and (usable(r.contrast) or any(p.usable for p in r.p))
        )

    def later(self) -> tuple[Result, ...]:
        """Results of the primary outcome after the primary week, main ones, by week."""
        if self.primary is None or self.week is None:
            return ()
        week = self.week
        found = [
            r
            for r in self.record.find_results(self.primary.outcome, role="main")
            if r.week is not None and r.week > week and usable(r.contrast) and r.comparison == "early_delayed"
        ]
        return tuple(sorted(found, key=lambda r: float(r.week or 0)))

    def later_pair(self) -> tuple[Result | None, Result | None]:
        """(planned, not planned) results of the first later week that has both; else whatever the first week has."""
        later = self.later()
        by_week: dict[float, list[Result]] = {}
        for r in later:
            by_week.setdefault(float(r.week or 0), []).append(r)
        best: tuple[Result | None, Result | None] = (None, None)
        for week in sorted(by_week):
            wide = sorted(by_week[week], key=lambda r: -self.size(r.set))
            planned = next((r for r in wide if self.planned(r)), None)
            unplanned = next((r for r in wide if self.planned(r) is False), None)
            if planned is not None and unplanned is not None:
                return planned, unplanned
            if best == (None, None):
                best = planned, unplanned
        return best

    def survival(self) -> tuple[Result, ...]:
        """Time-to-event results with a hazard ratio."""
        return tuple(
            r
            for r in self.record.results
            if r.contrast is not None
            and r.measure == "time_to_event"
            and r.contrast.kind == "hazard_ratio"
            and usable(r.contrast)
            and self.of_arms(r)
        )

    def size(self, set: str) -> float:
        """People in an analysis set, all arms; 0 where not stated."""
        for s in self.record.sets:
            if s.id == set:
                return float(sum(v.value or 0 for v in s.n.values()))
        return 0.0

    def method(self, id: str) -> Method | None:
        """The method ``id``, or None."""
        return next((m for m in self.record.methods if m.id == id), None)

    def planned(self, r: Result) -> bool | None:
        """Whether a result's analysis was fixed in advance; None where nobody says."""
        verdict = r.prespecified.verdict if r.prespecified is not None else None
        if verdict is None:
            method = self.method(r.method)
            verdict = None if method is None else method.prespecified
        return {"yes": True, "no": False, "disputed": False}.get(verdict or "")

    def favourable(self, r: Result) -> bool | None:
        """Whether the estimate favours the active arm.

        None where there is no estimate, where it lies on no effect, and where the record does not say which direction
        is the better one.
        """
        if r.contrast is None or r.contrast.value is None:
            return None
        outcome = self.record.outcome(r.outcome)
        if outcome.direction == "not_stated" or float(r.contrast.value) == r.contrast.null:
            return None
        above = float(r.contrast.value) > r.contrast.null
        if r.contrast.kind == "hazard_ratio":
            return not above
        return above if outcome.direction == "higher_better" else not above

    @property
    def worse(self) -> bool:
        """Whether the primary result favours the control by more than chance easily gives."""
        r = self.primary
        if r is None or self.favourable(r) is not False or r.contrast is None:
            return False
        apart = excludes_null(r.contrast)
        return apart if apart is not None else self.test is not None and significant(self.test) is True

    def of_arms(self, r: Result) -> bool:
        """Whether the contrast of a result is known to be that of the two arms and not of other groups.

        A registry posts contrasts and P values of any of its groups, of one alone, or of more than two; a written
        record says in ``subset`` what else it compares.
        """
        both = self.active.id in r.arms and self.control.id in r.arms
        if self.record.origin == "written":
            return both or not r.groups
        tested = r.contrast is not None or bool(r.p)
        return both and not (tested and len({*r.arms, *r.groups}) > 2)

    @property
    def arms(self) -> tuple[Arm, ...]:
        """All arms as the columns of a table: the control, the active arm that is compared, then the others."""
        first = (self.control, self.active) if self.control.id != self.active.id else (self.active,)
        return (*first, *(a for a in self.record.arms if a.id not in (self.control.id, self.active.id)))

    def arm_value(self, r: Result, arm: Arm) -> Value | None:
        """The value of one arm, if it may be shown."""
        value = r.arms.get(arm.id)
        return value if value is not None and value.usable else None

    def own_p(self, r: Result) -> PValue | None:
        """The p-value that belongs to the estimate's own method, else the first."""
        usable_p = [p for p in r.p if p.usable]
        return next((p for p in usable_p if p.method == r.method), usable_p[0] if usable_p else None)

    def deaths(self, *, alone: bool = False) -> Deaths | None:
        """The counts of deaths in both arms: of deaths alone before composites, then nearest to the primary week, then
        of everyone, then of most people. ``alone``: no composite, and none who are listed as having left by death.

        None where they were not counted by arm.
        """
        found: list[tuple[tuple[int, float, bool, int], Deaths]] = []
        everyone = self.analysed_in_all

        def add(d: Deaths, composite: int, away: float, whole: bool) -> None:
            pair = (d.active, d.control)
            if all(known(v) and isinstance(v.value, int) and v.total for v in pair):
                people = sum(int(v.total or 0) for v in pair)
                found.append(((composite, away, not (whole or people == everyone), -people), d))

        for e in self.record.events:
            if e.endpoint not in DEATHS or (alone and e.endpoint != DEATHS[0]):
                continue
            away = abs(float(e.week) - self.week) if self.week is not None and e.week is not None else 1e3
            composite = {DEATHS[0]: 0, DEATHS[-1]: 2}.get(e.endpoint, 1)  # the flow last: it ends at other times
            for set, values in e.values.items():
                if self.active.id in values and self.control.id in values:
                    d = Deaths(e, e.label, e.week, set, values[self.active.id], values[self.control.id])
                    add(d, composite, away, len(self.record.sets) == 1 or set == "ALL")
        for ae in self.record.adverse_events:  # a table of harms is that of the randomised period
            if ae.category == "summary" and _DEATHS.search(ae.term) and {self.active.id, self.control.id} <= {*ae.arms}:
                add(Deaths(ae, ae.term, None, None, ae.arms[self.active.id], ae.arms[self.control.id]), 0, 0.0, False)
        return min(found, key=lambda each: each[0])[1] if found else None

    @property
    def analysed_in_all(self) -> int:
        """Everyone in the two arms that are compared, as randomised; 0 where not stated."""
        return sum(int(a.n.value or 0) for a in (self.active, self.control) if a.n.usable)

    def serious_neurologic(self) -> AdverseEvent | None:
        """The adverse-event row that sums up serious neurologic events, if the record has one."""
        rows = [e for e in self.record.adverse_events if e.category == "neurologic" and self.counts(e)]
        return max(rows, key=lambda e: (e.serious, e.arms[self.active.id].value or 0), default=None)

    def counts(self, event: AdverseEvent) -> tuple[Value, Value] | None:
        """(active, control) counts of an adverse event, if both are counts that may be shown."""
        pair = event.arms.get(self.active.id), event.arms.get(self.control.id)
        if all(v is not None and v.usable and isinstance(v.value, int) and v.total for v in pair):
            return pair  # type: ignore[return-value]
        return None


def marker(outcome: Outcome, r: Result) -> bool:
    """Whether a result is that of a laboratory marker: a concentration on the log scale, told as a ratio of means."""
    ratio = r.contrast is not None and r.contrast.kind == "ratio"
    return outcome.scale == "log" and ratio and r.measure in ("geometric_mean_ratio", "geometric_mean")


def known(v: Value | None) -> TypeGuard[Value]:
    """Whether a value is there, may be shown and has a number."""
    return v is not None and v.usable and v.value is not None


def usable(c: Contrast | None) -> TypeGuard[Contrast]:
    """Whether a contrast may be shown and has an estimate."""
    return known(c)


def standard_error(c: Contrast) -> float | None:
    """The standard error of a difference, as printed or as its interval implies."""
    if c.se:
        return float(c.se)
    if c.low is None or c.high is None or c.high <= c.low:
        return None
    return round(se_from_interval(float(c.low), float(c.high), c.level), 4)


def excludes_null(c: Contrast) -> bool | None:
    """Whether the interval leaves out the value of no effect; None without an interval."""
    if c.low is None or c.high is None:
        return None
    return bool(c.low > c.null or c.high < c.null)


def significant(p: PValue) -> bool | None:
    """Whether a p-value lies below the level of its test; None where it is not a single number.

    Where no level is stated it is the conventional one, and a one-sided value between half that level and the level is
    None too: it depends on the level that the trial set.
    """
    level = p.held_to
    if p.value is None:
        return None if p.low is None or p.low < level else False
    if p.alpha is None and p.sides == "one" and p.relation != ">" and level / 2.0 < float(p.value) < level:
        return None
    if p.relation == ">":
        return False if p.value >= level else None
    if p.relation == "<":
        return True if float(p.value) <= level else None
    return float(p.value) < level


def untested_rows(record: Record, outcome: str, active: Arm, control: Arm) -> tuple[Result, ...]:
    """The categories, parts or times in which an entry posts an outcome for both arms, where it tests none of them.

    Empty where there are fewer than two: a single row is the result itself.
    """
    if record.origin == "written" or active.id == control.id:
        return ()
    own = record.find_results(outcome, role="main")
    if any(usable(r.contrast) or any(p.usable for p in r.p) for r in own):
        return ()
    found = tuple(r for r in own if r.row and {active.id, control.id} <= set(r.arms))
    return found if len(found) > 1 else ()


def _split(record: Record, primary: Result) -> bool:
    """Whether main analyses of one comparison stand on both sides of the level, none told as the planned one."""
    same = [
        r
        for r in record.find_results(primary.outcome, set=primary.set, week=primary.week, role="main")
        if r.comparison == primary.comparison and r.subset == primary.subset and r.row == primary.row
    ]
    tests = [p for r in same for p in r.p if p.usable]
    if any(p.status != "not_stated" for p in tests):
        return False
    return {significant(p) for p in tests} >= {True, False}


def read(record: Record) -> Findings:
    """Read a record: find the arms, the primary result, the test that decided it and what it said."""
    active = next((a for a in record.arms if a.role == "active"), record.arms[0])
    control = next((a for a in record.arms if a.role == "control"), record.arms[-1])
    outcome = next((o for o in record.outcomes if o.role == "primary"), None)
    primary = None
    if record.primary_result is not None:
        primary = record.result(record.primary_result)
        if record.outcome(primary.outcome).role != "primary" or primary.role == "subgroup":
            primary = None  # a record that leads with another result has none of its primary endpoint
    elif outcome is not None:
        found = record.find_results(outcome.id, set=outcome.set, week=outcome.week, role="main")
        primary = found[0] if found else None
    if primary is not None and untested_rows(record, primary.outcome, active, control):
        outcome, primary = record.outcome(primary.outcome), None  # one category of several is not the result
    elif primary is None:
        parted = (o for o in record.outcomes if o.role == "primary" and untested_rows(record, o.id, active, control))
        outcome = next(parted, outcome)
    if primary is not None:
        outcome = record.outcome(primary.outcome)
    test = estimate_p = None
    if primary is not None:
        shown = [p for p in primary.p if p.usable]
        formal = [p for p in shown if p.status == "formal"]
        own = [p for p in shown if p.method == primary.method]
        test = formal[0] if formal else own[0] if own else shown[0] if shown else None
        estimate_p = own[0] if own else None
    findings = Findings(record, active, control, primary, outcome, test, estimate_p, None)
    met: bool | None = None
    if outcome is not None and outcome.direction == "not_stated":
        # which way is better, and whether the question was superiority at all, is not for us to guess; a test of
        # superiority that found no difference has missed whichever way is better
        asked = primary is not None and any(i.id.startswith(f"asked_{primary.id}") and i.usable for i in record.items)
        no_gap = asked and test is not None and significant(test) is False and not findings.disputed
        return Findings(record, active, control, primary, outcome, test, estimate_p, False) if no_gap else findings
    if primary is not None and any(i.id.startswith(f"question_{primary.id}_") and i.usable for i in record.items):
        return findings  # of non-inferiority: whether a difference was shown is not what was asked
    if findings.disputed or findings.parted:
        return findings  # the sources do not agree on which test decides: whether it was met depends on that
    if test is not None and test.status == "not_stated" and primary is not None and _split(record, primary):
        met = None  # analyses that disagree, of which none is told to be the one that decides
    elif test is not None:
        below = significant(test)
        met = None if below is None else below and findings.favourable(primary) is not False  # type: ignore[arg-type]
    elif findings.contrast is not None and primary is not None and record.origin == "written":
        apart = excludes_null(findings.contrast)
        met = None if apart is None else apart and findings.favourable(primary) is not False
    if met is None and primary is not None and primary.note is not None and _NOT_MET.search(primary.note):
        met = False  # the source says so in words
    elif met is None and primary is not None and primary.note is not None and _MET.search(primary.note):
        met = True
    return Findings(record, active, control, primary, outcome, test, estimate_p, met)
