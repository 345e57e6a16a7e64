"""Notes that say one thing many times over, as one fact; and how many numbers there were to check at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from equipoise.records.coherence.implied import implied_by_se, implied_p
from equipoise.records.coherence.note import Certainty, Note, NoteKind
from equipoise.records.schema import Record

FACTS: dict[NoteKind, tuple[str, str]] = {
    "p_and_interval": (
        "P value that is not the one its interval implies",
        "P values that are not the ones their intervals imply",
    ),
    "p_and_se": (
        "P value that is not the one its standard error implies",
        "P values that are not the ones their standard errors imply",
    ),
    "p_and_counts": ("P value that is not the one the counts give", "P values that are not the ones the counts give"),
    "p_and_means": ("P value that is not the one the means give", "P values that are not the ones the means give"),
    "interval_and_estimate": (
        "estimate that does not sit in its interval as it should",
        "estimates that do not sit in their intervals as they should",
    ),
    "interval_scale": ("interval on the wrong scale", "intervals on the wrong scale"),
    "se_and_interval": (
        "standard error that does not fit its interval",
        "standard errors that do not fit their intervals",
    ),
    "sd_or_se": ("standard deviation that may be a standard error", "standard deviations that may be standard errors"),
    "one_sided_interval": ("interval with one limit alone", "intervals with one limit alone"),
    "one_sided_p": ("set of P values that fit only as one-sided", "sets of P values that fit only as one-sided"),
    "ratio_called_difference": ("ratio called a difference", "ratios called differences"),
    "contrast_and_arms": (
        "contrast that does not follow from its arms",
        "contrasts that do not follow from their arms",
    ),
    "percent_and_count": ("percentage that does not fit its count", "percentages that do not fit their counts"),
    "arm_and_total": ("arm or total that does not add up", "arms or totals that do not add up"),
    "impossible_mean": ("mean that whole numbers cannot give", "means that whole numbers cannot give"),
    "impossible_percent": ("percentage that no count can give", "percentages that no count can give"),
    "impossible_sd": (
        "standard deviation that the scale cannot give",
        "standard deviations that the scale cannot give",
    ),
    "not_prespecified": ("result that was not pre-specified", "results that were not pre-specified"),
    "prespecified_after_unblinding": (
        "analysis called pre-specified although fixed after unblinding",
        "analyses called pre-specified although fixed after unblinding",
    ),
    "after_failed_gatekeeper": (
        "P value that is nominal, since the sequence of tests had stopped",
        "P values that are nominal, since the sequence of tests had stopped",
    ),
    "numbers": ("number that does not agree with another", "numbers that do not agree with others"),
}
"""What a kind of note says, of one and of many."""


@dataclass(frozen=True)
class CoherenceFact:
    """One fact that one or many notes tell: same kind, same reason, same certainty, same explanation."""

    kind: NoteKind
    notes: tuple[Note, ...]

    @property
    def what(self) -> str:
        """The fact in words, without its number."""
        return FACTS[self.kind][len(self.notes) > 1]

    @property
    def certainty(self) -> Certainty:
        """How sure it is."""
        return self.notes[0].certainty

    @property
    def why(self) -> str:
        """Why it matters."""
        return self.notes[0].why

    @property
    def explained(self) -> str | None:
        """What would explain it."""
        return self.notes[0].explained


def coherence_facts(notes: Sequence[Note]) -> tuple[CoherenceFact, ...]:
    """The notes grouped by the fact they tell, in order of first appearance."""
    groups: dict[tuple[str, str, str, str | None], list[Note]] = {}
    for note in notes:
        groups.setdefault((note.kind, note.why, note.certainty, note.explained), []).append(note)
    return tuple(CoherenceFact(found[0].kind, tuple(found)) for found in groups.values())


@dataclass(frozen=True)
class Checked:
    """How many numbers of a record could be held against another one."""

    p_values: int
    intervals: int
    percentages: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.p_values + self.intervals + self.percentages


def checked(record: Record) -> Checked:
    """P values beside an interval or a standard error, estimates beside an interval, percentages beside a count."""
    p_values = intervals = percentages = 0
    for r in record.results:
        c = r.contrast
        if c is not None and c.usable:
            intervals += c.value is not None and c.low is not None and c.high is not None
            if implied_p(c) is not None or implied_by_se(c) is not None:
                p_values += sum(p.usable for p in r.p)
    for entry in record.index().values():
        sourced = entry.sourced
        percentages += all(getattr(sourced, k, None) is not None for k in ("value", "total", "percent"))
    return Checked(p_values, intervals, percentages)
