"""What an import could not map, had to assume or to change: data, and lines for the terminal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from equipoise.records.check import Finding
from equipoise.records.registry.reader import Ledger, exact, pattern, values
from equipoise.records.schema import Record

_WHY: tuple[tuple[str, str], ...] = (
    ("_excerpt", "a remark of whoever stored the file, not part of the registry entry"),
    ("derivedSection", "computed by the registry (search terms, versions), not stated about the trial"),
    ("documentSection", "names of attached documents, not facts about the trial"),
    ("annotationSection", "the registry's own remarks on its handling of the entry"),
    ("hasResults", "follows from the results that are there"),
    ("protocolSection.contactsLocationsModule.locations", "sites are counted with their countries, not listed"),
    ("protocolSection.contactsLocationsModule", "persons are not part of a record"),
    ("protocolSection.ipdSharingStatementModule", "data sharing has no place in a record"),
    ("protocolSection.oversightModule", "oversight has no place in a record"),
    ("protocolSection.sponsorCollaboratorsModule.responsibleParty", "persons are not part of a record"),
    ("protocolSection.sponsorCollaboratorsModule", "the class of a sponsor has no place in a record"),
    ("protocolSection.identificationModule.organization", "the organisation is named as sponsor"),
    ("protocolSection.identificationModule.secondaryIdInfos", "a detail of a second number"),
    ("protocolSection.statusModule", "a date or flag of the registry's bookkeeping"),
    ("protocolSection.outcomesModule", "worded otherwise than beside the posted results, whose wording is kept"),
    ("protocolSection.armsInterventionsModule", "the link between arms and interventions is kept in words only"),
    ("protocolSection.eligibilityModule.stdAges", "follows from the ages"),
    ("protocolSection.referencesModule", "a detail of a reference"),
    ("resultsSection.moreInfoModule", "agreements and contacts are not part of a record"),
    ("resultsSection.outcomeMeasuresModule.outcomeMeasures[].reportingStatus", "says that the row is posted"),
)
_UNKNOWN = "not known to this importer"


@dataclass(frozen=True)
class Unmapped:
    """A part of the entry that is not in the record: where, how often, why, and the first of its values."""

    path: str
    count: int
    why: str
    example: str


@dataclass(frozen=True)
class Assumed:
    """Something the entry does not say and the record needs: where it arose and what was taken."""

    path: str
    what: str


@dataclass(frozen=True)
class Import:
    """A registry entry as a record, with the account of what was done to it."""

    record: Record
    document: dict[str, Any]
    """The record as plain data, each source written once: what :func:`record_yaml` writes."""
    unmapped: tuple[Unmapped, ...]
    assumed: tuple[Assumed, ...]
    changed: tuple[Assumed, ...]
    contradictions: tuple[Finding, ...]
    """Numbers of the entry that contradict each other; they are kept as posted."""
    values: int
    """Facts in the entry."""
    mapped: int
    """Facts of the entry that the record holds or was made from."""

    def lines(self) -> Iterable[str]:
        """The account, line by line."""
        share = 100.0 * self.mapped / self.values if self.values else 0.0
        yield f"{self.record.id}: {self.mapped:,} of {self.values:,} posted values are in the record ({share:.0f} %)"
        blocks = (
            ("not mapped", [f"{u.path} ({u.count}): {u.why}; first: {u.example}" for u in self.unmapped]),
            ("assumed", [f"{a.path}: {a.what}" for a in self.assumed]),
            ("changed", [f"{a.path}: {a.what}" for a in self.changed]),
            (
                "posted numbers that contradict each other (kept as posted)",
                [f"{exact(f.path)}: {f.found}, expected {f.expected}" for f in self.contradictions],
            ),
        )
        for title, found in blocks:
            if found:
                yield f"{title}: {len(found)}"
                yield from (f"  {line}" for line in found)


def account(entry: Any, ledger: Ledger) -> tuple[tuple[Unmapped, ...], int, int]:
    """What was not taken or not usable, grouped by path; the number of values; the number mapped."""
    groups: dict[tuple[str, str], list[Any]] = {}
    total = mapped = 0
    for path, value in values(entry):
        total += 1
        why = next((ledger.refused[path[:i]] for i in range(len(path), 0, -1) if path[:i] in ledger.refused), None)
        if why is None and path in ledger.taken:
            mapped += 1
            continue
        shown = pattern(path)
        if why is None:
            why = next(
                (w for start, w in _WHY if shown == start or shown.startswith((f"{start}.", f"{start}["))), _UNKNOWN
            )
        groups.setdefault((shown, why), []).append(value)
    found = tuple(Unmapped(path, len(values), why, _excerpt(values[0])) for (path, why), values in groups.items())
    return found, total, mapped


def _excerpt(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 50 else text[:47] + "..."
