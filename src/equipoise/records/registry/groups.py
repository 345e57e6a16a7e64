"""Who is who: the groups of a registry entry, which name the same people differently in every module.

An entry has groups of the participant flow (FG), of baseline (BG), of each outcome (OG) and of adverse events (EG),
with numbers that mean other people in other modules. They are matched by title. The arms of the record are the groups
of the flow that the first primary outcome compares; every other title is a
:class:`~equipoise.records.schema.Group`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from equipoise.records.keys import Keys, alike, exact, matched, names
from equipoise.records.registry.reader import Ledger, Node
from equipoise.records.registry.words import tokens

_CONTROL = re.compile(
    r"placebo|sham|usual care|standard[- ]of[- ]care|vehicle|\bcontrol\b|no (treatment|intervention)", re.I
)


@dataclass
class Groups:
    """Ids of arms and other groups, and what is known of each.

    Within a table the registry's numbers say who is who: two numbers are never one group, however alike their titles;
    between tables groups are matched by title.
    """

    ledger: Ledger
    arms: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By id: the data of the arm."""
    others: dict[str, dict[str, Any]] = field(default_factory=dict)
    started: dict[str, int] = field(default_factory=dict)
    keys: Keys = field(default_factory=lambda: Keys("group"))

    def label(self, id: str) -> str:
        """The title of an arm or group."""
        return str({**self.others, **self.arms}[id]["label"])

    def resolve(self, node: Node) -> dict[str, str]:
        """The ids of a module's groups: the module's own number (``OG000``) to the id in the record."""
        declared: dict[str, tuple[str, str | None, Node]] = {}
        for group in node.items("groups") or node.items("eventGroups"):
            number, title = group.text("id"), group.text("title")
            if number is None:
                continue
            if number in declared:
                group.drop(f"{title!r} has the number {number} of {declared[number][0]!r}; the first is kept")
                continue
            declared[number] = (title or number, group.text("description"), group)
        known = [*self.arms, *self.others]
        found, near = matched([t for t, _, _ in declared.values()], [self.label(id) for id in known])
        out: dict[str, str] = {}
        for i, (number, (title, description, group)) in enumerate(declared.items()):
            at = found[i]
            out[number] = known[at] if at is not None else self.new(title, description)
            for other in {known[k] for j, k in near if j == i}:
                self.ledger.assume(
                    group.path,
                    f"{number} {title!r} and {self.label(other)!r} are alike and not said to be one: "
                    f"kept apart, as {out[number]} and {other}",
                )
        self._told_twice(declared, out)
        return out

    def _told_twice(self, declared: dict[str, tuple[str, str | None, Node]], out: dict[str, str]) -> None:
        """Say where one table gives one title to two groups: which is which in other tables goes by their order."""
        first: dict[str, str] = {}
        for number, (title, _, group) in declared.items():
            key = exact(title)
            if key in first:
                self.ledger.assume(
                    group.path,
                    f"{first[key]} and {number} have one title, {title!r}: kept apart, as {out[first[key]]} and "
                    f"{out[number]}; in other tables they are told apart by their order",
                )
            first.setdefault(key, number)

    def new(self, title: str, description: str | None = None) -> str:
        """A group of its own."""
        id = self.keys.new(title)
        self.others[id] = {"id": id, "label": title}
        if description and description != title:
            self.others[id]["definition"] = description
        return id

    def is_arm(self, id: str) -> bool:
        """Whether the id is an arm of the comparison."""
        return id in self.arms

    def split(self, values: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Values by id, those of the arms and those of other groups."""
        arms = {k: v for k, v in values.items() if k in self.arms}
        return arms, {k: v for k, v in values.items() if k not in self.arms}


def find_groups(entry: Node, ledger: Ledger) -> Groups:
    """The arms and groups of an entry."""
    groups = Groups(ledger)
    results = entry["resultsSection"]
    flow = results["participantFlowModule"]
    planned = entry["protocolSection"]["armsInterventionsModule"].items("armGroups")
    candidates = [
        (g.text("title"), g.text("description"), g.path, _started(flow, g.text("id"))) for g in flow.items("groups")
    ]
    if not candidates:
        base = results["baselineCharacteristicsModule"]
        candidates = [
            (g.text("title"), g.text("description"), g.path, None)
            for g in base.items("groups")
            if exact(g.text("title") or "") not in ("total", "")
        ]
    if not candidates:
        candidates = [(a.text("label"), a.text("description"), a.path, None) for a in planned]
    wanted = _compared(results["outcomeMeasuresModule"].items("outcomeMeasures"))
    hits, _ = matched(wanted, [c[0] or "" for c in candidates])
    chosen = [candidates[i] for i in sorted(h for h in hits if h is not None) if candidates[i][0]]
    if not chosen:
        chosen = [c for c in candidates if c[0]]
        if wanted:
            ledger.assume(
                flow.path,
                "no group of the flow has the title of one in the first primary outcome: all are taken as arms",
            )
    allocation = entry["protocolSection"]["designModule"]["designInfo"].text("allocation")
    single = allocation != "RANDOMIZED"
    types = _types(planned, [c[0] or "" for c in chosen], ledger)
    roles = ["active"] * len(chosen) if single else _roles([c[0] or "" for c in chosen], types, ledger, flow)
    plans = _plans(planned, [c[0] or "" for c in chosen], ledger)
    for (title, description, _, started), role, own in zip(chosen, roles, plans, strict=True):
        if title is None:
            continue
        id = groups.keys.new(title, "arm")
        arm: dict[str, Any] = {"id": id, "label": title, "role": role, "drug": title}
        arm["n"] = {"value": started} if started is not None else {"note": "not posted"}
        if description and description != title:
            arm["note"] = description
        told = [t for t in (title, description) if t]
        if own is not None:
            if not description and (said := own.text("description")) and said != title:
                arm["note"] = said
            told += _of_plan(own, entry)
        if role == "active" and (dose := next((d for t in told if (d := dose_of(t))), None)):
            often = next((o for t in told if (o := often_of(t))), None)
            arm["dose"] = dose | ({"note": often} if often else {})
        if route := next((r for t in told if (r := route_of(t))), None):
            arm["route"] = route
        if started is not None:
            groups.started[id] = started
        groups.arms[id] = arm
    for candidate in candidates:
        title, description, _, started = candidate
        if title and not any(candidate is c for c in chosen):
            id = groups.new(title, description)
            if started is not None:
                groups.others[id]["n"] = {"value": started}
    if not groups.arms:
        id = "participants"
        groups.arms[id] = {
            "id": id,
            "label": "Participants",
            "role": "active",
            "drug": "not stated",
            "n": {"note": "not posted"},
        }
        ledger.assume(flow.path, "the entry names no arm: one of all participants was made")
    return groups


_DOSE = re.compile(
    r"(?<![\w.])(\d{1,3}(?:,\d{3})+|\d+(?:\.\d+)?)\s*-?"
    r"(mg/kg|mg/m2|mg/m²|mg/day|mg/d|mg|mcg|µg|μg|ug|ng|g|IU|MU|units?|mL|ml)\b(?!/)",
    re.IGNORECASE,
)


_NOT_ONE = re.compile(r"(?:\d\s*(?:to|or|and|-|\N{EN DASH})|up to|at most|maxim\w+(?: of)?|minim\w+(?: of)?)\s*$", re.I)
"""What stands before a number that is an end of a range, or a bound."""


def dose_of(text: str | None) -> dict[str, Any] | None:
    """The one dose a text names, with its unit; None where it names none, several, a range or a bound.

    >>> dose_of("Drug 1.0 mg twice daily"), dose_of("Drug 5 mg, then 10 mg"), dose_of("20 to 200 mg an hour")
    ({'value': 1.0, 'unit': 'mg'}, None, None)
    """
    if any(_NOT_ONE.search((text or "")[: m.start()]) for m in _DOSE.finditer(text or "")):
        return None
    found = {(m.group(1).replace(",", ""), m.group(2)) for m in _DOSE.finditer(text or "")}
    if len(found) != 1:
        return None
    ((number, unit),) = found
    return {"value": float(number) if "." in number else int(number), "unit": unit}


_ROUTES = (
    (
        "by mouth",
        r"\borally\b|\bby mouth\b|\bper (?:os|oral)\b|(?-i:\bPO\b)"
        r"|\boral (?:administration|use|tablets?|capsules?|suspension|solution|doses?|daily|once|twice)\b",
    ),
    ("subcutaneous", r"\bsubcutaneous(?:ly)?\b|(?-i:\bS\.?C\b\.?|\bSQ\b)"),
    (
        "intravenous",
        r"\bintravenous(?:ly)?\b|(?-i:(?<![Cc]lass )(?<![Ss]tage )(?<![Gg]rade )(?<![Pp]hase )(?<![Tt]ype )"
        r"(?<![IVX][-/ ,])\bIV\b(?![A-C-]))",
    ),
    ("intramuscular", r"\bintramuscular(?:ly)?\b|(?-i:\bIM\b)"),
    ("intrathecal", r"\bintrathecal(?:ly)?\b"),
    ("intracoronary", r"\bintracoronary\b|\binto (?:the|each of the)[\w ]{0,20} coronary arter"),
    ("intravitreal", r"\bintravitreal(?:ly)?\b"),
    ("through a tube into the gut", r"\bgastrostomy\b|\bjejun\w+|\bPEG-J\b|\bnasogastric\b|\benteral(?:ly)?\b"),
    ("inhaled", r"\binhal(?:ed|ation|er)\b|\bnebuli[sz]\w+"),
    ("into the nose", r"\bintranasal(?:ly)?\b|\bnasal spray\b"),
    ("on the skin", r"\btopical(?:ly)?\b|\btransdermal(?:ly)?\b"),
    ("under the tongue", r"\bsublingual(?:ly)?\b"),
    ("rectal", r"\brectal(?:ly)?\b"),
)


def route_of(text: str | None) -> str | None:
    """The one route a text names, or two that it joins by "or"; None where it names none, or several.

    >>> route_of("10 mg once daily per oral use"), route_of("subcutaneous or intravenous (IV) injection")
    ('by mouth', 'subcutaneous or intravenous')
    >>> route_of("drug A orally and drug B intravenously"), route_of("NYHA class IV, optimized oral therapy")
    (None, None)
    """
    found = [(m, name) for name, pattern in _ROUTES for m in re.finditer(pattern, text or "", re.I)]
    names_ = list(dict.fromkeys(name for _, name in sorted(found, key=lambda f: f[0].start())))
    if len(names_) == 1:
        return names_[0]
    if len(names_) == 2:
        first, second = ([m for m, name in found if name == n] for n in names_)
        between = {(text or "")[a.end() : b.start()].strip(" ,()").lower() for a in first for b in second}
        if "or" in between:
            return " or ".join(names_)
    return None


_OFTEN = re.compile(
    r"\b(?:once|twice|one time|(?:two|three|four) times|thrice)[ -](?:a |per |every |each )?(?:day|daily|week|weekly"
    r"|month|monthly)\b|\b(?:once )?every (?:\d+|two|three|four|other|second)[ -](?:hours?|days?|weeks?|months?)\b"
    r"|\b(?:daily|weekly|monthly|qd|bid|tid|qw)\b",
    re.I,
)


_SPELT = {"qd": "once daily", "bid": "twice daily", "tid": "three times daily", "qw": "once a week"}


def often_of(text: str | None) -> str | None:
    """How often a dose is taken, in the words of the text; None where it says nothing, or more than one thing.

    >>> often_of("10 mg once daily for 16 weeks"), often_of("5 mg daily, then weekly")
    ('once daily', None)
    """
    found = {_SPELT.get(m.group().lower(), m.group().lower()) for m in _OFTEN.finditer(text or "")}
    return found.pop() if len(found) == 1 else None


def _plans(planned: list[Node], titles: list[str], ledger: Ledger) -> list[Node | None]:
    """The planned arm of each group; where one of each is left over, they are taken as one."""
    found = [_planned_of(planned, t) for t in titles]
    left = [a for a in planned if not any(f is not None and f.path == a.path for f in found)]
    if found.count(None) == 1 and len(left) == 1 and len(titles) > 1:
        at = found.index(None)
        found[at] = left[0]
        ledger.assume(left[0].path, f"is taken as the plan of {titles[at]!r}: the one of each that is left over")
    return found


def _planned_of(planned: list[Node], title: str) -> Node | None:
    """The planned arm of a group of the results: of its title, or the only one that its title names or is named by."""
    same = _called([str(a["label"].value or "") for a in planned], title)
    return planned[same[0]] if len(same) == 1 else None


def _called(labels: list[str], title: str) -> list[int]:
    """Which planned labels are a title of the results: the same, or else one that is part of the other."""
    same = [i for i, label in enumerate(labels) if alike(label) == alike(title)]
    return same or [i for i, label in enumerate(labels) if names(label, title) or names(title, label)]


_DRUGS = ("DRUG", "BIOLOGICAL", "COMBINATION_PRODUCT", "GENETIC", "DIETARY_SUPPLEMENT")


def _of_plan(arm: Node, entry: Node) -> list[str]:
    """What the plan says of an arm of one drug: the arm's own description, then that of the drug; of several, nothing.

    With several drugs a dose or a route in the text need not be that of the one in question.
    """
    label = arm["label"].value
    given = [
        d
        for d in entry["protocolSection"]["armsInterventionsModule"].items("interventions")
        if d["type"].value in _DRUGS and label in [each.value for each in d.items("armGroupLabels")]
    ]
    if len(given) > 1:
        return []
    texts = [arm.text("description"), *(t for d in given for t in (d.text("name"), d.text("description")))]
    return [t for t in texts if t]


def _started(flow: Node, number: str | None) -> int | None:
    """How many started, in the period in which most did."""
    found: list[int] = []
    for period in flow.items("periods"):
        for milestone in period.items("milestones"):
            if milestone["type"].value == "STARTED":
                for a in milestone.items("achievements"):
                    if a["groupId"].value == number and (n := a.count("numSubjects")) is not None:
                        found.append(n)
    return max(found) if found else None


def _compared(outcomes: list[Node]) -> list[str]:
    """The titles of the groups of the first primary outcome, one with analyses if there is one."""
    primary = [o for o in outcomes if o["type"].value == "PRIMARY"]
    for outcome in [o for o in primary if o.items("analyses") and len(o.items("groups")) > 1] or primary:
        return [t for g in outcome.items("groups") if isinstance(t := g["title"].value, str)]
    return []


def _types(planned: list[Node], titles: list[str], ledger: Ledger) -> list[str | None]:
    """The registry's type of each arm, found by its planned label: the same, part of it, or the most words shared."""
    labels = [(a.text("label") or "", a.text("type"), a.path) for a in planned]
    out: list[str | None] = []
    for title in titles:
        same = [labels[i] for i in _called([x[0] for x in labels], title)]
        if len(same) != 1:
            scored = sorted(((len(tokens(title) & tokens(x[0])), x) for x in labels), key=lambda s: -s[0])
            if scored and scored[0][0] > 0 and (len(scored) == 1 or scored[0][0] > scored[1][0]):
                same = [scored[0][1]]
                ledger.assume(same[0][2], f"{title!r} in the results is taken as the planned arm {same[0][0]!r}")
        out.append(same[0][1] if len(same) == 1 else None)
    return out


def _roles(titles: list[str], types: list[str | None], ledger: Ledger, flow: Node) -> list[str]:
    """Active or control for each arm of a randomised trial; at least one of each where there are two."""
    plain = [re.sub(r"\([^)]*\)", "", t) for t in titles]
    by_name = [bool(_CONTROL.search(t)) and not re.search(r"\+|\bplus\b|add-?on", t, re.I) for t in plain]
    by_type = [t in ("PLACEBO_COMPARATOR", "SHAM_COMPARATOR", "NO_INTERVENTION") for t in types]
    control = [a or b for a, b in zip(by_name, by_type, strict=True)]
    if not any(control) and "EXPERIMENTAL" in types:
        control = [t == "ACTIVE_COMPARATOR" for t in types]
    if len(titles) > 1 and (all(control) or not any(control)):
        control = [False] * (len(titles) - 1) + [True]
        ledger.assume(flow.path, f"nothing says which arm is the control: the last, {titles[-1]!r}, is taken")
    if len(titles) == 1:
        control = [False]
    return ["control" if c else "active" for c in control]
