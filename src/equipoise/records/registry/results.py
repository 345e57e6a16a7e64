"""The results section of a registry entry: flow, baseline, outcomes with their analyses, adverse events."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from equipoise.records.registry.analyses import Analyses
from equipoise.records.registry.groups import Groups
from equipoise.records.registry.protocol import outcome as outcome_block
from equipoise.records.registry.protocol import role_of, words
from equipoise.records.registry.reader import Ledger, Node
from equipoise.records.registry.tables import HERE, describes_people
from equipoise.records.registry.words import week_of_row


class RegistryResults(Analyses):
    """Reads the whole section when made; the blocks are its attributes."""

    def __init__(self, entry: Node, groups: Groups, ledger: Ledger) -> None:
        super().__init__(entry, groups, ledger)
        self._flow()
        self._baseline()
        self._outcomes()
        self._harms()

    # -- baseline -----------------------------------------------------------------------------------------------------

    def _baseline(self) -> None:
        module = self.root["baselineCharacteristicsModule"]
        known = self.groups.resolve(module)
        overall, overall_notes = self._denominators(module, known)
        described = self._counted(
            "BASELINE",
            "Everyone described at baseline",
            "the people that the table of baseline characteristics counts",
            {id: n for id, n in overall.items() if self.groups.is_arm(id)},
            "baseline",
        )
        for i, measure in enumerate(module.items("measures")):
            title = measure.text("title") or f"Measure {i + 1}"
            param, spread = (
                measure.text("paramType") or "",
                words(measure.text("dispersionType")).replace("inter ", "inter-"),
            )
            unit = measure.text("unitOfMeasure")
            own, own_notes = self._denominators(measure, known)
            variable = self.variables.new(title)
            note = "; ".join(
                t
                for t in (
                    measure.text("description"),
                    measure.text("populationDescription"),
                    measure.text("calculatePct"),
                )
                if t
            )
            cells = self._cells(measure, known, {**overall, **own}, {**overall_notes, **own_notes}, param, spread, unit)
            for j, (row, values) in enumerate(cells):
                statistic = _statistic(param, values)
                arms, others = self.groups.split(values)
                block: dict[str, Any] = {
                    "id": f"bl_{i + 1}" + (f"_{j + 1}" if len(cells) > 1 else ""),
                    "variable": variable,
                    "label": _measure_label(title, row),
                    "statistic": statistic,
                }
                if unit:
                    block["unit"] = unit
                block["values"] = {described: arms} if arms else {}
                if others:
                    block["groups"] = others
                if note:
                    block["note"] = note
                self.baseline.append(block | {**HERE, "place": "baseline"})

    # -- outcomes -----------------------------------------------------------------------------------------------------

    def _outcomes(self) -> None:
        counts: dict[str, int] = {}
        for node in self.root["outcomeMeasuresModule"].items("outcomeMeasures"):
            kind = node.text("type")
            start = {"PRIMARY": "PRIM", "SECONDARY": "SEC", "POST_HOC": "POST"}.get(kind or "", "OTH")
            counts[start] = counts.get(start, 0) + 1
            id = f"{start}{counts[start]}"
            block = outcome_block(node, id, role_of(kind), self.ledger)
            known = self.groups.resolve(node)
            people, notes = self._denominators(node, known)
            param, spread = node.text("paramType") or "", node.text("dispersionType") or ""
            text = node.text("populationDescription")
            told = text if text and describes_people(text) else None
            set_ = self._population(told, people)
            block["set"] = set_
            status = node.text("reportingStatus")
            extra = [
                f"{words(k)} {t}"
                for k in ("anticipatedPostingDate", "typeUnitsAnalyzed", "denomUnitsSelected", "calculatePct")
                if (t := node.text(k))
            ]
            if text and told is None:
                extra.append(f"beside the people analysed: {text}")
            if status and status != "POSTED":
                extra.append("results not posted")
            if extra:
                block["note"] = "; ".join(extra)
            self.outcomes.append(block)
            cells = self._cells(node, known, people, notes, param, spread, block.get("unit"), counts=True)
            for _, values in cells if told else []:
                counted = {k: v.get("n") or v.get("total") for k, v in values.items()}
                self._population(told, {k: n for k, n in counted.items() if n})
            self._rows(id, block, set_, param, cells, node, known, kind)

    def _rows(
        self,
        id: str,
        block: dict[str, Any],
        set_: str,
        param: str,
        cells: list[tuple[str, dict[str, Any]]],
        node: Node,
        known: dict[str, str],
        kind: str | None,
    ) -> None:
        model = param in ("LEAST_SQUARES_MEAN", "GEOMETRIC_LEAST_SQUARES_MEAN")
        posted = [float(v["value"]) for _, values in cells for v in values.values() if v.get("value") is not None]
        measure = _measure(param, block, posted)
        label = "Least-squares estimate, model as told beside it" if model else f"As posted: {words(param) or 'value'}"
        method = self._method(label, "the values of the arms", ("estimate",), "other" if model else "descriptive")
        analyses = node.items("analyses")
        placed: dict[int, list[int]] = {}
        for a, analysis in enumerate(analyses):
            placed.setdefault(self._place(analysis, cells, known, len(analyses), a), []).append(a)
        for c, (row, values) in enumerate(cells):
            base: dict[str, Any] = {"outcome": id, "set": set_, "measure": measure}
            if row:
                base["row"] = row
            week = week_of_row(row, node["timeFrame"].value) if row else None
            if week is None:
                week = block.get("week")
            if week is not None:
                base["week"] = week
            if kind == "POST_HOC":
                base["prespecified"] = "no"
            arms, others = self.groups.split(values)
            whole = {k: v for k, v in (("arms", arms), ("groups", others)) if v}
            mine = placed.get(c, [])
            name = f"r_{id.lower()}" + (f"_{c + 1}" if len(cells) > 1 else "")
            # the values once; an analysis of the same two arms joins them, others stand beside
            joined = False
            for a in mine:
                made = self._analysis(analyses[a], f"{name}_a{a + 1}", base, values, known, method, model)
                if made is None:
                    continue
                if not joined and {*made.get("arms", {}), *made.get("groups", {})} == set(values):
                    made = {**made, **whole, "id": name}
                    joined = True
                self.results.append(made)
            if not joined:
                self.results.append({"id": name, **base, "method": method, **whole, **HERE, "place": "outcomes"})
        for a in placed.get(-1, []):
            base = {"outcome": id, "set": set_, "measure": measure}
            if block.get("week") is not None:
                base["week"] = block["week"]
            made = self._analysis(analyses[a], f"r_{id.lower()}_a{a + 1}", base, {}, known, method, model)
            if made is not None:
                self.results.append(made)

    # -- adverse events -----------------------------------------------------------------------------------------------

    def _harms(self) -> None:
        module = self.root["adverseEventsModule"]
        known = self.groups.resolve(module)
        summary: dict[str, dict[str, Any]] = {"deaths": {}, "serious": {}, "other": {}}
        for g in module.items("eventGroups"):
            id = known.get(g.text("id") or "")
            for what, values in summary.items():
                k, n = g.count(f"{what}NumAffected"), g.count(f"{what}NumAtRisk")
                if id is not None and k is not None:
                    values[id] = _affected(k, n)
        if not module.items("otherEvents") and not any(v.get("value") for v in summary["other"].values()):
            # none listed above the threshold is not that nobody had any
            summary["other"] = {id: {"note": "no term is listed"} for id in summary["other"]}
        if summary["deaths"]:
            arms, others = self.groups.split(summary["deaths"])
            set_ = self._counted(
                "AT_RISK",
                "Everyone watched for adverse events",
                "the people at risk, as the table of adverse events counts them",
                {k: v["total"] for k, v in arms.items() if v.get("total") is not None},
                "adverse events",
            )
            self.events.append(
                {
                    "id": "deaths_all_causes",
                    "endpoint": "DEATH",
                    "label": "Death from any cause",
                    "values": {set_: arms} if arms else {},
                    **({"groups": others} if others else {}),
                    **HERE,
                    "place": "adverse events",
                }
            )
        elif (died := self._deaths_as_outcome()) is not None:
            self.events.append(died)
        for what, term in (
            ("serious", "Any serious adverse event"),
            ("other", "Any other adverse event above the threshold"),
        ):
            if summary[what]:
                self._harm(f"ae_any_{what}", term, "summary", what == "serious", summary[what], {}, {})
        for key, serious in (("seriousEvents", True), ("otherEvents", False)):
            for i, event in enumerate(module.items(key)):
                values, events = {}, {}
                for s in event.items("stats"):
                    id = known.get(s.text("groupId") or "")
                    if id is None:
                        s.drop("a group that the module does not declare")
                        continue
                    if id in values or id in events:
                        s.drop(f"a second count for {self.groups.label(id)!r}; the first is kept")
                        continue
                    k, n, times = s.count("numAffected"), s.count("numAtRisk"), s.count("numEvents")
                    if k is not None:
                        values[id] = _affected(k, n)
                    elif n is not None:
                        values[id] = {"n": n, "note": "number affected not posted"}
                    if times is not None:
                        events[id] = {"value": times}
                extra = {
                    k: t
                    for k, t in (
                        ("organ_system", event.text("organSystem")),
                        ("vocabulary", event.text("sourceVocabulary")),
                        ("assessment", words(event.text("assessmentType")) or None),
                        ("note", event.text("notes")),
                    )
                    if t
                }
                self._harm(
                    f"{'sae' if serious else 'ae'}_{i + 1}",
                    event.text("term") or f"term {i + 1}",
                    "term",
                    serious,
                    values,
                    events,
                    extra,
                )

    def _counted(self, id: str, label: str, definition: str, people: dict[str, int], place: str) -> str:
        """The set that a table counts its people in: all who started, or else those whom the table counts."""
        if all(self.groups.started.get(arm, n) == n for arm, n in people.items()):
            return "ALL"
        n = {arm: {"value": k} for arm, k in people.items()}
        self.sets.append({"id": id, "label": label, "definition": definition, "n": n, **HERE, "place": place})
        return id

    def _deaths_as_outcome(self) -> dict[str, Any] | None:
        """The people who died by arm, of an entry that counts them as an outcome and not among its adverse events."""
        for block in self.outcomes:
            own = [r for r in self.results if r["outcome"] == block["id"] and r.get("arms")]
            if len(own) != 1 or not _DEATH.search(block["label"]) or _NOT_ALL_DEATHS.search(block["label"]):
                continue
            arms = own[0]["arms"]
            if len(arms) > 1 and all("total" in v for v in arms.values()):
                return {
                    "id": "deaths_as_outcome",
                    "endpoint": "DEATH",
                    "label": "Deaths, counted as an outcome",
                    **({"week": block["week"]} if block.get("week") is not None else {}),
                    "values": {own[0]["set"]: dict(arms)},
                    **HERE,
                    "place": "outcomes",
                }
        return None

    def _harm(
        self,
        id: str,
        term: str,
        category: str,
        serious: bool,
        values: dict[str, Any],
        events: dict[str, Any],
        extra: dict[str, Any],
    ) -> None:
        arms, others = self.groups.split(values)
        row: dict[str, Any] = {
            "id": id,
            "term": _sentence_case(term),
            "category": category,
            **({"serious": True} if serious else {}),
            **extra,
            "arms": arms,
        }
        if others:
            row["groups"] = others
        if events:
            row["events"] = events
        self.harms.append(row | {**HERE, "place": "adverse events"})


_DEATH = re.compile(r"\b(?:deaths?|died|mortality)\b", re.I)
_NOT_ALL_DEATHS = re.compile(
    r"\b(?:or|and|free|time|cardi\w+|CV|related|due|sudden|hospital\w*|survival|alive|without|progress\w+)\b|/", re.I
)
"""What makes the name of an outcome that speaks of death one that counts more, or fewer, than all who died."""


def _affected(k: int, n: int | None) -> dict[str, Any]:
    """People affected of people at risk; where nobody was at risk the event was not collected."""
    if n == 0 and k == 0:
        return {"note": "not collected: posted with nobody at risk"}
    return {"value": k, **({"total": n} if n is not None else {})}


_ROMAN = re.compile(r"^(?:II|III|IV|VI|VII|VIII|IX|XI|XII)[A-C]?$")
"""A stage or grade, whose capitals stay."""
_TITLES = {
    "sex: female, male": "",
    "age, continuous": "Age",
    "age, categorical": "Age",
    "age, customized": "Age",
    "ethnicity (nih/omb)": "Ethnicity",
    "race (nih/omb)": "Race",
    "race/ethnicity, customized": "Race or ethnicity",
    "region of enrollment": "Region",
}
"""The registry's names of its standard measures, in words."""


def _measure_label(title: str, row: str) -> str:
    """A baseline measure and its row: ``Female``, ``Race: Asian``, ``Age``."""
    name = _TITLES.get(title.lower(), title)
    if not row:
        return name or title
    return f"{name}: {row}" if name else row


_SHORT = {"FALL", "RASH", "PAIN", "ACNE", "GOUT", "CYST"}
"""Coded terms as short as an abbreviation that are none."""


def _sentence_case(term: str) -> str:
    """A coded term that is all capitals in sentence case; tokens with a digit stay: ``VITAMIN B6 DECREASED``."""
    term = re.sub(r"^\d{4,}\s*[-:]\s*(?=[A-Za-z])", "", term)  # a number of the coding list before the term
    if not term.isupper() or (len(term) < 5 and term not in _SHORT):
        return term
    words = [w if any(c.isdigit() for c in w) or _ROMAN.match(w) else w.lower() for w in term.split(" ")]
    return words[0][:1].upper() + words[0][1:] + "".join(f" {w}" for w in words[1:])


def _statistic(param: str, values: dict[str, Any]) -> str:
    some: dict[str, Any] = next((v for v in values.values() if v.get("value") is not None), {})
    if not all(v.get("value") is not None for v in values.values()):
        return "other"
    if param == "COUNT_OF_PARTICIPANTS":
        return "n_percent" if all("total" in v for v in values.values()) else "other"
    if param == "MEAN":
        return "mean_sd" if "sd" in some else "mean_se" if "se" in some else "mean"
    if param == "MEDIAN":
        return "median_iqr" if "iqr" in some else "median_range" if "range" in some else "median"
    return "geometric_mean" if param == "GEOMETRIC_MEAN" else "other"


def _measure(param: str, block: dict[str, Any], values: Sequence[float] = ()) -> str:
    change = bool(re.search(r"\bchange\b", block["label"], re.I))
    told = f"{block['label']} {block.get('unit', '')}"
    if param == "COUNT_OF_PARTICIPANTS":
        return "count"
    if param == "LEAST_SQUARES_MEAN":
        return "adjusted_mean_change" if change else "adjusted_mean"
    if param in ("GEOMETRIC_LEAST_SQUARES_MEAN", "GEOMETRIC_MEAN"):
        return "geometric_mean_ratio" if re.search(r"ratio", told, re.I) else "geometric_mean"
    if param == "MEAN":
        return "mean_change" if change else "mean"
    if param == "MEDIAN":
        return "median"
    unit = str(block.get("unit", ""))
    if re.search(r"percent|%", unit, re.I):
        return "percent"
    if re.search(r"proportion|fraction", unit, re.I) and all(abs(v) <= 1 for v in values):
        return "other"  # 0.54 of the people is not 0.54 %
    if re.search(r"percent|%", told, re.I):
        return "percent"
    if re.search(r"proportion", told, re.I):
        return "percent" if any(abs(v) > 1 for v in values) else "other"
    return (
        "count"
        if param in ("NUMBER", "COUNT_OF_UNITS") and re.search(r"number of|participants", told, re.I)
        else "other"
    )
