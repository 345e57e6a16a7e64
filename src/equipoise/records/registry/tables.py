"""The tables of the results section: a measurement, its denominators, the rows; the flow of participants."""

from __future__ import annotations

import re
from typing import Any

from equipoise.records.keys import Keys, exact
from equipoise.records.registry.groups import Groups
from equipoise.records.registry.protocol import words
from equipoise.records.registry.reader import Ledger, Node
from equipoise.records.registry.words import family_of

HERE = {"source": "CTG", "confidence": "seen"}
COUNTED = "Everyone analysed"
"""What people are called of whom an entry tells only how many were counted."""
_PEOPLE = re.compile(r"participant|patient|subject|people|person", re.I)
_PEOPLE_ALONE = re.compile(r"(?:number of )?(?:participants|patients|subjects|people)", re.I)
_OWN_N = re.compile(r"\bn\s*=", re.I)
"""A row that names its own number of people, beside that of the table."""

_HEAD = re.compile(
    r"^(.{2,70}?)(?:\s*[.:;,]|\s+(?:that|who|which|includ\w+|compris\w+|consist\w+|contain\w+|was|were|is|are|defined|"
    r"of all)\b|$)",
    re.I,
)
_NAMED = re.compile(r"\b(?:set|population|cohort|sample|analysis|participants|patients|subjects)$", re.I)
_PERFORMED = re.compile(
    r"^(?:the\s+)?(?:\w+\s+)?analys[ei]s (?:was|were) (?:performed|conducted|done|carried out|based) "
    r"(?:on|in|for|using|upon)\s+(?:the\s+)?",
    re.I,
)
_ANYONE = re.compile(r"\b(?:participants|patients|subjects)$", re.I)
"""A name that is nobody's in particular: a clause behind it says who they were, and cannot be cut off."""
_WITH_DATA = re.compile(r"\bonly\b.{0,40}\b(?:data|available|evaluable|analy[sz]ed|value)", re.I)
_SMALL = {"Analysis", "Set", "Population", "Data", "Dataset", "Safety", "Intent", "To", "Treat", "Response", "Cohort"}


_SETS = re.compile(
    r"\b(?:set|population|cohort|sample|m?ITT|FAS|PPS|PP|safety|evaluable"
    r"|intent(?:ion)?[- ]to[- ]treat|per[- ]protocol)\b",
    re.I,
)
_PERSONS = r"(?:participants?|patients?|subjects?|people|persons|individuals|volunteers|children|women|men|adults)"
_WHO_WERE = re.compile(
    rf"^(?:the\s+)?(?:overall\s+)?(?:number (?:of {_PERSONS} )?analy[sz]ed\b"
    rf"|(?:all|only|every|any|those|eligible|enrolled|randomi[sz]ed|treated|evaluable|evaluated)\b.{{0,80}}\b{_PERSONS}\b|{_PERSONS}\s+(?:who|that|with|in|from|having"
    rf"|randomi[sz]ed|enrolled|treated|evaluated|assigned|receiving|were)\b"
    rf"|aged?\b|all (?:eligible|randomi[sz]ed|enrolled|treated)\b)",
    re.I,
)


def describes_people(text: str) -> bool:
    """Whether a text posted as the population analysed says who they were; entries also put other remarks there.

    >>> describes_people("All randomized subjects."), describes_people("ITT Population.")
    (True, True)
    >>> describes_people("The total score is the sum of the items."), describes_people("Data were not collected.")
    (False, False)
    """
    plain = _PERFORMED.sub("", " ".join(text.split()))
    first = re.split(r"(?<=[.;:])\s", plain)[0]
    return bool(_WHO_WERE.match(plain) or _SETS.search(first))


def population_label(text: str) -> str:
    """What a set of people is called: the name that its description begins with, else the description, cut.

    >>> population_label("The immune response analysis set (IRS) included all randomized participants who ...")
    'Immune response analysis set'
    >>> population_label("ITT Population. Only those participants with data available were analyzed.")
    'ITT population, with data'
    >>> population_label("Analysis was performed on safety population that included all who were treated on the day.")
    'Safety population'
    >>> population_label("All participants who took the drug and came back.")
    'All participants who took the drug and came back'
    """
    plain = re.sub(r"\s*\([^)]*\)", "", " ".join(text.split()))
    plain = re.sub(r"^(?:the|only)\s+", "", _PERFORMED.sub("", plain), flags=re.I)
    match = _HEAD.match(plain)
    name = match.group(1).strip() if match else ""
    some = _ANYONE.search(name) and re.match(r"\s+(?:that|who|which|with)\b", plain[len(name) :], re.I)
    if not _NAMED.search(name) or len(name.split()) > 8 or some or name.lower() in ("analysis", "population", "set"):
        return text.rstrip(".") if len(text) <= 60 else text[:57].rstrip() + "..."
    words = name.split(" ")
    low = [re.sub(r"[A-Za-z]+", lambda m: m.group().lower() if m.group() in _SMALL else m.group(), w) for w in words]
    label = " ".join(low)
    if not label[1:2].isupper():  # "mITT" stays
        label = label[:1].upper() + label[1:]
    if re.match(
        r"\s+(?:who|that|with)\b[^.]*\b(?:values?|data|assessments?|measurements?)\b", plain[len(name) :], re.I
    ):
        return f"{label}, with data"
    return f"{label}, with data" if _WITH_DATA.search(plain[len(name) :]) else label


def _stage(title: str, what: str) -> str:
    """A milestone of the flow; the one period of a trial that has one is not named."""
    said = {"not completed": "did not complete"}.get(what.lower(), what.lower())
    return said[:1].upper() + said[1:] if title.lower() in ("overall study", "overall") else f"{title}: {said}"


class Tables:
    """Collects the blocks of the results section, and reads the tables they come from."""

    def __init__(self, entry: Node, groups: Groups, ledger: Ledger) -> None:
        self.root = entry["resultsSection"]
        self.groups = groups
        self.ledger = ledger
        everyone = {id: {"value": n} for id, n in groups.started.items()}
        self.sets: list[dict[str, Any]] = [
            {
                "id": "ALL",
                "label": "All who started",
                "definition": "everyone who started, by the participant flow",
                "n": everyone,
                **HERE,
                "place": "participant flow",
            }
        ]
        self.by_population: dict[str, dict[str, Any]] = {}
        self.outcomes: list[dict[str, Any]] = []
        self.methods: dict[str, dict[str, Any]] = {}
        self.method_keys = Keys("method", longest=40)
        self.endpoints = Keys("EVENT", longest=40, upper=True)
        self.variables = Keys("v", longest=32, upper=True)
        self.results: list[dict[str, Any]] = []
        self.baseline: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.harms: list[dict[str, Any]] = []
        self.items: list[dict[str, Any]] = []

    # -- flow ---------------------------------------------------------------------------------------------------------

    def _flow(self) -> None:
        module = self.root["participantFlowModule"]
        known = self.groups.resolve(module)
        for i, period in enumerate(module.items("periods")):
            title = period.text("title") or f"Period {i + 1}"
            started: dict[str, int] = {}
            for j, milestone in enumerate(period.items("milestones")):
                kind = milestone.text("type") or f"milestone {j + 1}"
                values = self._people(milestone.items("achievements"), known, started if kind != "STARTED" else {})
                if kind == "STARTED":
                    started = {id: int(v["value"]) for id, v in values.items() if isinstance(v.get("value"), int)}
                self._event(f"flow_{i + 1}_{j + 1}", kind, _stage(title, kind), values, milestone.text("comment"))
            for j, reason in enumerate(period.items("dropWithdraws")):
                kind = reason.text("type") or f"reason {j + 1}"
                values = self._people(reason.items("reasons"), known, started)
                self._event(
                    f"left_{i + 1}_{j + 1}",
                    f"LEFT_{kind}",
                    _stage(title, f"left, {kind.lower()}"),
                    values,
                    reason.text("comment"),
                )

    def _people(self, members: list[Node], known: dict[str, str], totals: dict[str, int]) -> dict[str, dict[str, Any]]:
        out: dict[str, dict[str, Any]] = {}
        for m in members:
            id, n = known.get(m.text("groupId") or ""), m.count("numSubjects")
            if id is None or n is None:
                continue
            if id in out:
                m.drop(f"a second number for {self.groups.label(id)!r}, beside {out[id]['value']}")
                continue
            value: dict[str, Any] = {"value": n}
            total = totals.get(id)
            if total is not None and n <= total:
                value["total"] = total
            units = m.text("numUnits")
            if note := "; ".join(t for t in (m.text("comment"), f"{units} units" if units else None) if t):
                value["note"] = note
            out[id] = value
        return out

    def _event(self, id: str, endpoint: str, label: str, values: dict[str, Any], detail: str | None) -> None:
        arms, others = self.groups.split(values)
        name = self.endpoints.of(endpoint)
        row: dict[str, Any] = {"id": id, "endpoint": name, "label": label, "values": {"ALL": arms} if arms else {}}
        if others:
            row["groups"] = others
        if detail:
            row["detail"] = detail
        self.events.append(row | {**HERE, "place": "participant flow"})

    # -- values -------------------------------------------------------------------------------------------------------

    def _value(self, m: Node, param: str, spread: str, unit: str | None, n: int | None) -> dict[str, Any]:
        """One measurement with its spread; what is no number stays in the note, as posted."""
        out: dict[str, Any] = {}
        notes: list[str] = []
        raw = m["value"].value
        found = m.number("value")
        if found is not None:
            out["value"], digits = found
            if isinstance(found[0], float) and (digits != len(repr(found[0]).partition(".")[2]) or digits == 0):
                out["digits"] = digits
        elif isinstance(raw, str) and raw.strip():
            self.ledger.refused.pop((*m.path, "value"), None)
            notes.append(f"posted as {m.text('value')!r}")
        kind = spread.lower()
        level = re.search(r"(\d+(?:\.\d+)?)\s*%?\s*confidence", kind)
        spreads: dict[str, Any] = {}
        for key in ("spread", "lowerLimit", "upperLimit"):
            posted = m[key].value
            number = m.number(key)
            if number is not None:
                spreads[key] = number[0]
            elif isinstance(posted, str) and posted.strip():
                self.ledger.refused.pop((*m.path, key), None)
                notes.append(f"{words(key)} posted as {m.text(key)!r}")
        if "spread" in spreads:
            name = "sd" if "standard deviation" in kind else "se" if "standard error" in kind else None
            if name and spreads["spread"] >= 0:
                out[name] = spreads["spread"]
            else:
                notes.append(f"{spread.lower() or 'spread'} {spreads['spread']}")
        low, high = spreads.get("lowerLimit"), spreads.get("upperLimit")
        if low is not None or high is not None:
            if level:
                out |= {k: v for k, v in (("low", low), ("high", high)) if v is not None}
                if 0 < float(level.group(1)) < 100 and float(level.group(1)) != 95:
                    out["level"] = float(level.group(1)) / 100
            elif low is not None and high is not None and "quartile" in kind:
                out["iqr"] = [low, high]
            elif low is not None and high is not None and "range" in kind:
                out["range"] = [low, high]
            else:
                notes.append(f"{spread.lower() or 'limits'} {low} to {high}")
        if (
            param == "COUNT_OF_PARTICIPANTS"
            and isinstance(out.get("value"), int)
            and n is not None
            and out["value"] <= n
        ):
            out["total"] = n
        elif n is not None:
            out["n"] = n
        if unit and "value" in out and param != "COUNT_OF_PARTICIPANTS":
            out["unit"] = unit
        if comment := m.text("comment"):
            notes.append(comment)
        if notes:
            out["note"] = "; ".join(notes)
        return out

    def _denominators(self, owner: Node, known: dict[str, str]) -> tuple[dict[str, int], dict[str, str]]:
        """People by group, and what was counted where it was not people (eyes, implants)."""
        people: dict[str, int] = {}
        other: dict[str, list[str]] = {}
        for d in owner.items("denoms"):
            units = d.text("units") or ""
            for c in d.items("counts"):
                id, n = known.get(c.text("groupId") or ""), c.count("value")
                if id is None or n is None:
                    continue
                if _PEOPLE.search(units):
                    people[id] = n
                else:
                    other.setdefault(id, []).append(f"{n} {units.lower()}")
        return people, {id: ", ".join(t) for id, t in other.items()}

    def _cells(
        self,
        owner: Node,
        known: dict[str, str],
        people: dict[str, int],
        notes: dict[str, str],
        param: str,
        spread: str,
        unit: str | None,
        *,
        counts: bool = False,
    ) -> list[tuple[str, dict[str, Any]]]:
        """Every row of a table: its name (class and category) and the values by group.

        With ``counts`` numbers whose unit is people are people of those analysed, but where a row names its own number.
        """
        out = []
        people_counted = counts and param == "NUMBER" and _PEOPLE_ALONE.fullmatch((unit or "").strip()) is not None
        for cls in owner.items("classes"):
            own, own_notes = self._denominators(cls, known)
            n, extra = {**people, **own}, {**notes, **own_notes}
            name = cls.text("title")
            for category in cls.items("categories"):
                row = ": ".join(t for t in (name, category.text("title")) if t)
                values = {}
                for m in category.items("measurements"):
                    id = known.get(m.text("groupId") or "")
                    if id is None:
                        m.drop("a group that the table does not declare")
                        continue
                    if id in values:
                        m.drop(f"a second value for {self.groups.label(id)!r} in one row; the first is kept")
                        continue
                    counted = people_counted and not _OWN_N.search(row)
                    value = self._value(m, "COUNT_OF_PARTICIPANTS" if counted else param, spread, unit, n.get(id))
                    if id in extra:
                        value["note"] = "; ".join(t for t in (value.get("note"), extra[id]) if t)
                    values[id] = value
                out.append((row, values))
        return out

    def _population(self, text: str | None, people: dict[str, int]) -> str:
        analysed = {id: n for id, n in people.items() if self.groups.is_arm(id)}
        if not text and all(self.groups.started.get(id, n) == n for id, n in analysed.items()):
            return "ALL"
        # nothing is said of who they are, but that they are not all who started
        text = text or "everyone counted for the outcome: " + ", ".join(map(str, analysed.values()))
        key = exact(text)
        if key not in self.by_population:
            label = COUNTED if text.startswith("everyone counted") else population_label(text)
            made = {
                "id": f"P{len(self.by_population) + 1}",
                "label": label,
                "definition": text,
                "n": {},
                **HERE,
                "place": "outcomes",
            }
            self.by_population[key] = made
            self.sets.append(made)
        found = self.by_population[key]
        for id, n in people.items():
            if self.groups.is_arm(id) and n > found["n"].get(id, {"value": -1})["value"]:
                found["n"][id] = {"value": n}
        return str(found["id"])

    def _method(
        self, name: str, description: str | None = None, gives: tuple[str, ...] | None = None, family: str | None = None
    ) -> str:
        id = self.method_keys.of(name)
        if id in self.methods:
            return id
        found, given = family_of(name)
        self.methods[id] = {
            "id": id,
            "label": name,
            "family": family or found,
            "gives": list(gives or given),
            "description": description or "as named in the registry",
            **HERE,
            "place": "analyses",
        }
        return id
