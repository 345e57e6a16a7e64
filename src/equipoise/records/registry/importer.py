"""From a registry entry to a record: the parts put together, checked for shape, accounted for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from equipoise import files
from equipoise.errors import RecordError
from equipoise.files import read_bytes
from equipoise.files.reading import shown
from equipoise.records.check import contradictions, number_findings
from equipoise.records.registry.groups import find_groups
from equipoise.records.registry.protocol import design, eligibility, facts, identity, planned_outcomes
from equipoise.records.registry.reader import Ledger, Node, exact
from equipoise.records.registry.report import Assumed, Import, account
from equipoise.records.registry.results import RegistryResults
from equipoise.records.schema import Record

MAX_BYTES = 50_000_000
MAX_ID = 64
MAX_TEXT = 100_000
"""Letters of one text of an entry, at most: the registry's own longest field holds a third of it."""
_ORDER = (
    "schema_version",
    "origin",
    "id",
    "title",
    "acronym",
    "condition",
    "summary",
    "primary_result",
    "citations",
    "registrations",
    "sources",
    "design",
    "arms",
    "groups",
    "sets",
    "eligibility",
    "outcomes",
    "methods",
    "baseline",
    "results",
    "events",
    "adverse_events",
    "items",
)


def import_study(entry: Any) -> Import:
    """Make a record of a ClinicalTrials.gov API v2 study, given as plain data (what ``json.load`` returns).

    The record has the design, arms, populations, baseline, outcomes with their analyses, flow, events and adverse
    events of the entry, as posted; ``unmapped`` lists every part that is not in it, with the reason.

    Raises
    ------
    RecordError : the data are no study record.
    """
    if not isinstance(entry, dict) or not isinstance(entry.get("protocolSection"), dict):
        raise RecordError(
            "this is no study record of ClinicalTrials.gov", hint="expected the JSON of API v2, with protocolSection"
        )
    _check_texts(entry)
    ledger = Ledger()
    root = Node(entry, (), ledger)
    head = identity(root, ledger)
    if len(head["id"]) > MAX_ID:
        raise RecordError(
            f"the number of the entry has {len(head['id']):,} letters", hint=f"a registry number has {MAX_ID} at most"
        )
    brief = head.pop("_brief")
    groups = find_groups(root, ledger)
    results = RegistryResults(root, groups, ledger)
    planned = planned_outcomes(root, results.outcomes, ledger)
    here = {"source": "CTG", "confidence": "seen"}
    made: dict[str, Any] = {
        **head,
        "design": design(root, groups, ledger),
        "arms": [{**_spelt(arm), **here, "place": "participant flow"} for arm in _named(groups.arms, entry)],
        "groups": [{**group, **here, "place": "groups"} for group in groups.others.values()],
        "sets": results.sets,
        "eligibility": eligibility(root),
        "outcomes": [*results.outcomes, *planned],
        "methods": list(results.methods.values()),
        "baseline": results.baseline,
        "results": results.results,
        "events": results.events,
        "adverse_events": results.harms,
        "items": [*facts(root, brief), *results.items],
    }
    first = _primary(made)
    if first is not None:
        made["primary_result"] = first
    document = {key: made[key] for key in _ORDER if key in made and made[key] not in ([], None)}
    for key in ("outcomes", "methods", "arms", "sets", "citations"):
        document.setdefault(key, [])
    try:
        record = Record.model_validate(document)
    except ValidationError as error:
        first_error = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first_error["loc"])
        raise RecordError(
            f"the entry could not be made a record: {where}: {first_error['msg']}", hint="please report the entry"
        ) from None
    broken = contradictions(record)
    if broken:
        raise RecordError(
            f"the entry could not be made a sound record: {exact(broken[0].path)}: found {broken[0].found}",
            hint="please report the entry",
        )
    unmapped, total, mapped = account(entry, ledger)
    changed = tuple(Assumed(exact(path), what) for path, what in ledger.changed)
    assumed = tuple(Assumed(exact(path), what) for path, what in ledger.assumed)
    return Import(record, document, unmapped, assumed, changed, tuple(number_findings(record)), total, mapped)


_CODE = re.compile(r"(?:group|arm|cohort|treatment|regimen)?\s*[A-Z0-9]", re.I)
"""A title of an arm that is a bare code and tells nothing of what was given."""


def _named(arms: dict[str, dict[str, Any]], entry: dict[str, Any]) -> list[dict[str, Any]]:
    """The arms; those with a bare code for a title are called by the one intervention that the entry plans for them."""
    module = entry["protocolSection"].get("armsInterventionsModule")
    planned = module.get("armGroups") if isinstance(module, dict) else None
    given = {}
    for arm in planned if isinstance(planned, list) else ():
        label, all_given = (arm.get("label"), arm.get("interventionNames")) if isinstance(arm, dict) else (None, None)
        one = all_given[0] if isinstance(all_given, list) and len(all_given) == 1 else None
        if isinstance(label, str) and isinstance(one, str) and (name := re.sub(r"^[A-Za-z ]+:\s*", "", one).strip()):
            given[label.strip().lower()] = name
    names = [given.get(a["label"].strip().lower()) for a in arms.values() if _CODE.fullmatch(a["label"].strip())]
    if not names or not all(names) or len(names) != len(set(names)) or len(names) != len(arms):
        return list(arms.values())
    told = []
    for own, called in zip(arms.values(), names, strict=True):
        note = "; ".join(t for t in (f"posted as {own['label']}", own.get("note")) if t)
        told.append({**own, "label": called, "drug": called, "note": note})
    return told


_OFTEN = {"qw": "once a week", "q1w": "once a week", "q2w": "every 2 weeks", "q4w": "every 4 weeks", "qd": "once a day"}
_OFTEN |= {"bid": "twice a day", "tid": "three times a day"}


def _spelt(arm: dict[str, Any]) -> dict[str, Any]:
    """An arm whose label says how often in words: ``300 mg qw`` as ``300 mg once a week``."""

    def words(text: str) -> str:
        return re.sub(r"\b(?:" + "|".join(_OFTEN) + r")\b", lambda m: _OFTEN[m.group().lower()], text, flags=re.I)

    return {key: words(value) if key in ("label", "drug") else value for key, value in arm.items()}


def _check_texts(entry: Any) -> None:
    """Raise :class:`RecordError` for a text, or a name of a part, that is longer than any the registry has."""
    left: list[tuple[tuple[str | int, ...], Any]] = [((), entry)]
    while left:
        path, value = left.pop()
        children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for name, child in children:
            if isinstance(name, str) and len(name) > MAX_ID * 4:
                raise RecordError(
                    f"{exact(path) or 'the entry'}: a part has a name of {len(name):,} letters ({name[:40]}...)",
                    hint="expected the JSON of API v2 as the registry sends it",
                )
            left.append(((*path, name), child))
        if isinstance(value, str) and len(value) > MAX_TEXT:
            raise RecordError(
                f"{exact(path)}: a text of {len(value):,} letters ({value[:40]}...)",
                hint=f"a text of an entry has {MAX_TEXT:,} letters at most: look whether the file is damaged",
            )


def _primary(made: dict[str, Any]) -> str | None:
    """The first result of the first primary outcome: one with a contrast, else with a p-value, else with arms.

    None where the outcome is posted in several rows and none was tested: no one of its parts is its result.
    """
    ids = [o["id"] for o in made["outcomes"] if o["role"] == "primary"]
    for id in ids:
        own = [r for r in made["results"] if r["outcome"] == id]
        for key in ("contrast", "p"):
            if found := next((r for r in own if r.get(key)), None):
                return str(found["id"])
    for id in ids:
        if found := [r for r in made["results"] if r["outcome"] == id and r.get("arms")]:
            return str(found[0]["id"]) if len(found) == 1 else None
    return None


def read_study(path: str | Path) -> Import:
    """Import the study record in a JSON file.

    Raises
    ------
    RecordError : the file cannot be read, is too large, is no JSON or no study record.
    """
    hint = "give a JSON file of API v2, or a number NCT01234567"
    raw = read_bytes(path, max_bytes=MAX_BYTES, error=RecordError, hint=hint, stdin=True)
    return import_study(parse_json(raw, shown(path)))


def parse_json(raw: bytes, what: str) -> Any:
    """JSON from bytes. Raises :class:`RecordError` where it is none, or nested beyond all reason."""
    hint = "expected the JSON of API v2 as the registry sends it, not the web page"
    return files.parse_json(raw, what, error=RecordError, hint=hint)


# -- writing ----------------------------------------------------------------------------------------------------------


class _Writer(yaml.SafeDumper):
    """YAML as the reader of records takes it: text in double quotes unless it is a plain word, no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_WORD = re.compile(r"^[A-Za-z][A-Za-z0-9_]*$")
_TAKEN = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    plain = _WORD.match(text) and text.lower() not in _TAKEN
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if plain else '"')


_Writer.add_representer(str, _text)


def record_yaml(document: dict[str, Any]) -> str:
    """A record's plain data (``Import.document``) as the text of a record file."""
    return yaml.dump(document, Dumper=_Writer, sort_keys=False, allow_unicode=True, width=120, default_flow_style=None)
