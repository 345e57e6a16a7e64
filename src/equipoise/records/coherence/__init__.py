"""Notes on how well a record's published numbers hang together, computed from the record alone.

For any record, hand-written or imported:

* does each p-value agree with the interval, the standard error, the counts or the means beside it, and if not, which
  test, level, scale or slip would explain it?
* is the interval about its estimate, on the scale it is said to be, two-sided, of the level it is said to have?
* does a contrast follow from its own arms? Is a ratio called a difference?
* do counts, percentages, arms, sets and totals agree? Could whole-number scores have this mean, this spread?
* was the analysis fixed before the data were seen, and was it called so too late? Is a p-value nominal because an
  earlier step of the test sequence had failed?

A note is a finding about the record, not an error in it; each says what, why it matters and how sure it is. How often a
note comes where nothing is wrong, and how often a planted slip is found, is measured by ``benchmarks/coherence.py``.
"""

from __future__ import annotations

from dataclasses import replace

from equipoise.records.coherence.contrasts import contrast_notes
from equipoise.records.coherence.facts import Checked, CoherenceFact, checked, coherence_facts
from equipoise.records.coherence.implied import ImpliedP, explanations, implied_by_se, implied_p
from equipoise.records.coherence.note import Certainty, Note, NoteKind, two_sided
from equipoise.records.coherence.numbers import number_notes
from equipoise.records.coherence.plan import plan_notes
from equipoise.records.coherence.pvalues import data_notes, p_notes
from equipoise.records.schema import Record

__all__ = [
    "Certainty",
    "Checked",
    "CoherenceFact",
    "ImpliedP",
    "Note",
    "NoteKind",
    "checked",
    "coherence_facts",
    "coherence_notes",
    "contrast_notes",
    "data_notes",
    "explanations",
    "implied_by_se",
    "implied_p",
    "number_notes",
    "p_notes",
    "plan_notes",
    "two_sided",
]


def coherence_notes(record: Record) -> tuple[Note, ...]:
    """All computed notes on a record.

    P-values against intervals come first, then p-values against counts and means, contrasts against their intervals
    and arms, counts and means, pre-specification, gatekeeping.
    """
    found = (
        *_together(record, p_notes(record)),
        *data_notes(record),
        *contrast_notes(record),
        *number_notes(record),
        *plan_notes(record),
    )
    seen: dict[str, int] = {}
    out = []
    for note in found:
        seen[note.id] = seen.get(note.id, 0) + 1
        out.append(note if seen[note.id] == 1 else replace(note, id=f"{note.id}_{seen[note.id]}"))
    return tuple(out)


SEVERAL = 4
"""So many p-values that only a one-sided test explains are told in one note."""


def _together(record: Record, notes: tuple[Note, ...]) -> tuple[Note, ...]:
    """P-values that would all fit if they were one-sided, as one note in place of many."""
    alike = [n for n in notes if n.explained is not None and "one-sided" in n.explained and not n.primary]
    if len(alike) < SEVERAL:
        return notes
    first = alike[0]
    note = Note(
        "one_sided_p_values",
        "one_sided_p",
        f"{len(alike)} p-values are not those of the two-sided intervals beside them, and would all fit if they were "
        f"one-sided. The first: {first.what}",
        "a one-sided p-value is half the two-sided one, or near 1 where the effect goes the other way: read as "
        "two-sided it makes small effects look significant and harms look like nothing",
        tuple(ref for n in alike for ref in n.refs),
        "",
        changes_verdict=any(n.changes_verdict for n in alike),
        certainty="certain",
        explained="the p-values are one-sided, which the record does not say",
        block=first.block,
    )
    left = {id(n) for n in alike}
    return (note, *(n for n in notes if id(n) not in left))
