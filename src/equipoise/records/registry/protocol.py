"""The protocol section of a registry entry: what was planned, by whom, for whom and when."""

from __future__ import annotations

import re
from typing import Any

from equipoise.records.keys import Keys, alike
from equipoise.records.registry.groups import Groups
from equipoise.records.registry.reader import Ledger, Node
from equipoise.records.registry.words import direction_of, week_assessed

_PLANNED = re.compile(
    r"sample size|statistical power|\b\d+\s*% power|power of \d|powered to"
    r"|\b\d+,? [\w, -]{0,30}\b(?:participants|patients|subjects)\b[^.]{0,30}\b(?:will|to) be "
    r"(?:randomi[sz]ed|enrolled|recruited)",
    re.I,
)
_PARTS = r"\b\d ?: ?\d(?: ?: ?\d)*\b"
_RATIO = re.compile(
    rf"\b(?:random\w*|allocat\w*|assign\w*|ratio)\b[^.]{{0,60}}{_PARTS}"
    rf"|{_PARTS}[^.]{{0,40}}\b(?:random\w*|allocat\w*|ratio)\b",
    re.I,
)
"""How an entry tells in words the ratio in which people were allotted; it has no field for it."""
_MASKING = {
    "NONE": "open label",
    "SINGLE": "single-blind",
    "DOUBLE": "double-blind",
    "TRIPLE": "triple-blind",
    "QUADRUPLE": "quadruple-blind",
}
_ALLOCATION = {"RANDOMIZED": "randomised", "NON_RANDOMIZED": "not randomised", "NA": "not allocated"}
_MODEL = {
    "PARALLEL": "parallel groups",
    "SINGLE_GROUP": "single group",
    "CROSSOVER": "crossover",
    "FACTORIAL": "factorial",
    "SEQUENTIAL": "sequential groups",
}
_DISCLAIMER = re.compile(
    r"not intended to contain all|not all (of the )?inclusion|other (protocol-defined )?criteria (may )?apply", re.I
)
_MARK = re.compile(r"^([*•·-]|\d+[.)]|[a-z][.)])\s+")
"""The mark of a member of a list."""
_SCALES = (
    ("time_to_event", r"\btime to\b|survival|failure|mortality"),
    ("count", r"number of|proportion|percentage of (participants|patients)"),
)


def words(code: str | None) -> str:
    """``PARTICIPANT`` and the like as words."""
    return (code or "").replace("_", " ").lower()


def identity(entry: Node, ledger: Ledger) -> dict[str, Any]:
    """Id, titles, conditions, summary, registrations, references, the source."""
    protocol = entry["protocolSection"]
    ident = protocol["identificationModule"]
    number = ident.text("nctId") or ""
    id = re.sub(r"[^A-Za-z0-9]", "", number) or "imported"
    if not id[0].isalpha():
        id = f"x{id}"
    title = ident.text("officialTitle") or ident.text("briefTitle") or "untitled study"
    brief = ident.text("briefTitle")
    address = f"https://clinicaltrials.gov/study/{number}" if re.fullmatch(r"NCT\d{8}", number) else None
    conditions = protocol["conditionsModule"].texts("conditions")
    source: dict[str, Any] = {
        "title": f"ClinicalTrials.gov record {number or '(without number)'}",
        "what": "registry record",
    }
    if address:
        source["address"] = address
    dates = protocol["statusModule"]
    if updated := dates["lastUpdatePostDateStruct"].text("date"):
        source["note"] = f"last update posted {updated}"
    registrations: list[dict[str, Any]] = []
    if number:
        registrations.append(
            {"registry": "ClinicalTrials.gov", "number": number, **({"url": address} if address else {}), "of": "main"}
        )
    for other in [ident["orgStudyIdInfo"], *ident.items("secondaryIdInfos")]:
        if number_ := other.text("id"):
            kind = words(other.text("type")) or other.text("domain") or "Sponsor's number"
            kind = {"eudract number": "EudraCT"}.get(kind, kind)
            if {"registry": kind, "number": number_} not in registrations:
                registrations.append({"registry": kind, "number": number_})
    citations = [
        {
            "id": "entry",
            "text": f"{title}. ClinicalTrials.gov {number}.",
            "source": "CTG",
            **({"url": address} if address else {}),
        }
    ]
    for i, ref in enumerate(protocol["referencesModule"].items("references")):
        if text := ref.text("citation"):
            cited: dict[str, Any] = {"id": f"ref_{i + 1}", "text": text}
            if (pmid := ref.text("pmid")) and re.fullmatch(r"\d{1,9}", pmid):
                cited["pmid"] = pmid
            citations.append(cited)
    for i, link in enumerate(protocol["referencesModule"].items("seeAlsoLinks")):
        if text := link.text("label") or link.text("url"):
            shown: dict[str, Any] = {"id": f"link_{i + 1}", "text": text}
            # only an address that a browser may follow; anything else stays in the words
            url = link.text("url")
            if url and re.match(r"https?://[^\s<>\"']+$", url):
                shown["url"] = url
            elif url:
                shown["text"] = f"{text}: {url}"
            citations.append(shown)
    out: dict[str, Any] = {"schema_version": 1, "origin": "posted", "id": id, "title": title}
    if acronym := ident.text("acronym"):
        out["acronym"] = acronym
    out["condition"] = "; ".join(conditions) or "not stated"
    if summary := protocol["descriptionModule"].text("briefSummary"):
        out["summary"] = summary
    out["citations"] = citations
    out["registrations"] = registrations
    out["sources"] = {"CTG": source}
    out["_brief"] = brief
    return out


def design(entry: Node, groups: Groups, ledger: Ledger) -> dict[str, Any]:
    """The design block."""
    module = entry["protocolSection"]["designModule"]
    info = module["designInfo"]
    masking = info["maskingInfo"]
    phases = [words(p).replace("phase", "phase ").replace("  ", " ") for p in module.texts("phases")]
    allocation = info.text("allocation")
    model = info.text("interventionModel") or info.text("observationalModel")
    study, purpose = words(module.text("studyType")), words(info.text("primaryPurpose"))
    kind = [
        study if study != "interventional" else "",
        _ALLOCATION.get(allocation or "", words(allocation)),
        _MODEL.get(model or "", words(model)),
        f"purpose: {purpose}" if purpose else "",
    ]
    kind += [t for k in ("interventionModelDescription", "timePerspective") if (t := info.text(k))]
    who = [words(w) for w in masking.texts("whoMasked")]
    masked = _MASKING.get(masking.text("masking") or "", "not stated") + (f" ({', '.join(who)})" if who else "")
    if more := masking.text("maskingDescription"):
        masked += f"; {more}"
    told = " ".join(ratio_told(entry))
    equal = set(re.findall(_PARTS, told))
    arms = list(groups.arms)
    even = len(arms) > 1 and {e.replace(" ", "") for e in equal} == {":".join("1" for _ in arms)}
    status = entry["protocolSection"]["statusModule"]
    enrolled = module["enrollmentInfo"].count("count")
    counted = words(module["enrollmentInfo"].text("type"))
    out: dict[str, Any] = {
        "phase": ", ".join(phases) or "not stated",
        "type": ", ".join(k for k in kind if k) or "not stated",
        "masking": masked,
        "randomised": allocation == "RANDOMIZED",
        "n_actual": (
            {"value": enrolled, "note": counted or "as posted"} if enrolled is not None else {"note": "not posted"}
        ),
    }
    if allocation == "RANDOMIZED" and even:
        # shares that differ are not mapped: the words do not say safely which is whose
        out["allocation"] = dict.fromkeys(arms, 1)
        ledger.assume(module.path, f"allotted evenly, read from the words {told[:80]!r}")
    if enrolled is not None and counted == "estimated":
        out["n_planned"] = {"value": enrolled}
    sites = entry["protocolSection"]["contactsLocationsModule"].items("locations")
    if sites:
        countries = {c for s in sites if (c := s.text("country"))}
        out["n_sites"] = {"value": len(sites), "confidence": "derived", "note": "locations in the entry"}
        if countries:
            out["n_countries"] = {
                "value": len(countries),
                "confidence": "derived",
                "note": "countries of the locations",
            }
    for name, key, said in (
        ("first_dose", "startDateStruct", "start of the study"),
        ("last_visit", "primaryCompletionDateStruct", "primary completion"),
    ):
        date, exactly = status[key].text("date"), words(status[key].text("type"))
        if date and re.fullmatch(r"\d{4}(-\d{2}(-\d{2})?)?", date):
            out[name] = {"date": date, "note": f"{said}{f', {exactly}' if exactly else ''}"}
        elif date:
            status[key]["date"].drop(f"not a date: {date[:30]!r}")
    return out | {"source": "CTG", "place": "design", "confidence": "seen"}


def ratio_told(entry: Node) -> list[str]:
    """The sentences in which an entry tells the ratio of its allocation."""
    protocol = entry["protocolSection"]
    flow = entry["resultsSection"]["participantFlowModule"]
    held = (
        protocol["identificationModule"]["officialTitle"],
        protocol["descriptionModule"]["briefSummary"],
        protocol["descriptionModule"]["detailedDescription"],
        protocol["designModule"]["designInfo"]["interventionModelDescription"],
        flow["preAssignmentDetails"],
        flow["recruitmentDetails"],
    )
    sentences = [s for h in held if isinstance(h.value, str) for s in re.split(r"(?<=[.!?])\s+|\n+", h.value)]
    return list(dict.fromkeys(" ".join(s.split()) for s in sentences if _RATIO.search(s)))


def eligibility(entry: Node) -> list[dict[str, Any]]:
    """Criteria: the text split at its list marks, under the heading it stands below."""
    module = entry["protocolSection"]["eligibilityModule"]
    out: list[dict[str, Any]] = []

    def add(kind: str, text: str) -> None:
        out.append(
            {
                "id": f"criterion_{len(out) + 1}",
                "kind": kind,
                "text": text,
                "source": "CTG",
                "place": "eligibility",
                "confidence": "seen",
            }
        )

    if aged := _ages(module.text("minimumAge"), module.text("maximumAge")):
        add("inclusion", aged)
    sex = (module.text("sex") or "").lower()
    if sex:
        add("inclusion", {"all": "any sex", "female": "women only", "male": "men only"}.get(sex, f"sex: {sex}"))
    for key, label in (
        ("genderDescription", "gender"),
        ("studyPopulation", "population"),
        ("samplingMethod", "sampling"),
    ):
        if value := module.text(key):
            add("inclusion", f"{label}: {value}")
    healthy = module.flag("healthyVolunteers")
    if healthy is not None:
        add("background", "healthy volunteers accepted" if healthy else "healthy volunteers not accepted")
    kind = "background"
    current = ""
    for line in [*(module.text("eligibilityCriteria") or "").split("\n"), ""]:
        bare = line.strip()
        heading = re.match(r"^\W*(key |main )?(inclusion|exclusion)\b[^.]{0,40}:?\W*$", bare, re.I)
        if heading or not bare or re.match(r"^([*•·-]|\d+[.)]|[a-z][.)])\s", bare):
            if current:
                add("background" if _DISCLAIMER.search(current) else kind, current)
            current = "" if heading or not bare else _MARK.sub("", bare)
            if heading:
                kind = heading.group(2).lower()
        else:
            current = f"{current} {bare}".strip()
    return out


def _ages(low: str | None, high: str | None) -> str | None:
    """``18 to 64 years``, ``18 years or older``, ``up to 30 years``; None where neither age is posted."""
    low, high = (a.lower() if a else None for a in (low, high))
    if low and high:
        first, _, unit = low.partition(" ")
        return f"{first} to {high}" if unit and high.endswith(unit) else f"{low} to {high}"
    return f"{low} or older" if low else f"up to {high}" if high else None


def facts(entry: Node, brief: str | None) -> list[dict[str, Any]]:
    """Everything told in words: description, sponsor, interventions, status, caveats."""
    protocol, results = entry["protocolSection"], entry["resultsSection"]
    out: list[dict[str, Any]] = []
    keys = Keys("fact", longest=40)

    def add(id: str, section: str, label: str, text: str | None, place: str, **more: Any) -> None:
        if text or more.get("values"):
            out.append(
                {
                    "id": keys.new(id),
                    "section": section,
                    "label": label,
                    **({"text": text} if text else {}),
                    **more,
                    "source": "CTG",
                    "place": place,
                    "confidence": "seen",
                }
            )

    add("reg_title", "registry", "Title in short", brief, "identification")
    add(
        "reg_description",
        "design",
        "Description",
        protocol["descriptionModule"].text("detailedDescription"),
        "description",
    )
    planned = protocol["descriptionModule"]["detailedDescription"].value
    about = [s for s in re.split(r"(?<=[.!?])\s+", planned) if _PLANNED.search(s)] if isinstance(planned, str) else []
    add(
        "reg_sample_size",
        "sample_size",
        "Sample size, as the entry tells it",
        " ".join(about)[:2000] or None,
        "description",
    )
    add(
        "reg_allocation",
        "design",
        "Allocation, as the entry tells it",
        " ".join(ratio_told(entry))[:1000] or None,
        "description",
    )
    sponsor = protocol["sponsorCollaboratorsModule"]
    add("reg_sponsor", "registry", "Sponsor", sponsor["leadSponsor"].text("name"), "sponsor")
    helpers = [n for c in sponsor.items("collaborators") if (n := c.text("name"))]
    add("reg_collaborators", "registry", "Collaborators", "; ".join(helpers) or None, "sponsor")
    status = protocol["statusModule"]
    add("reg_status", "registry", "Status", words(status.text("overallStatus")) or None, "status")
    add("reg_stopped", "registry", "Why it was stopped", status.text("whyStopped"), "status")
    dates = []
    for key, label in (
        ("studyFirstPostDateStruct", "first posted"),
        ("resultsFirstPostDateStruct", "results first posted"),
        ("completionDateStruct", "completed"),
    ):
        if date := status[key].text("date"):
            exactly = words(status[key].text("type"))
            dates.append(f"{label} {date}{f' ({exactly})' if exactly else ''}")
    if verified := status.text("statusVerifiedDate"):
        dates.append(f"verified {verified}")
    add("reg_dates", "registry", "Dates", "; ".join(dates) or None, "status")
    add(
        "reg_keywords",
        "registry",
        "Keywords",
        "; ".join(protocol["conditionsModule"].texts("keywords")) or None,
        "conditions",
    )
    for i, arm in enumerate(protocol["armsInterventionsModule"].items("armGroups")):
        given = "; ".join(arm.texts("interventionNames"))
        text = ". ".join(t for t in (words(arm.text("type")), arm.text("description"), given) if t)
        add(f"planned_arm_{i + 1}", "design", f"Planned arm: {arm.text('label') or i + 1}", text, "arms")
    for i, drug in enumerate(protocol["armsInterventionsModule"].items("interventions")):
        names = drug.texts("otherNames")
        text = ". ".join(
            t
            for t in (
                words(drug.text("type")),
                drug.text("description"),
                f"also: {'; '.join(names)}" if names else None,
                f"in: {'; '.join(drug.texts('armGroupLabels'))}",
            )
            if t
        )
        add(f"intervention_{i + 1}", "design", f"Intervention: {drug.text('name') or i + 1}", text, "interventions")
    flow = results["participantFlowModule"]
    add("flow_recruitment", "disposition", "Recruitment", flow.text("recruitmentDetails"), "participant flow")
    add("flow_before", "disposition", "Before assignment", flow.text("preAssignmentDetails"), "participant flow")
    add("flow_units", "disposition", "Units assigned", flow.text("typeUnitsAnalyzed"), "participant flow")
    add(
        "baseline_population",
        "baseline",
        "Who the baseline describes",
        results["baselineCharacteristicsModule"].text("populationDescription"),
        "baseline",
    )
    harms = results["adverseEventsModule"]
    add("ae_how", "safety", "How adverse events were collected", harms.text("description"), "adverse events")
    add("ae_when", "safety", "When adverse events were collected", harms.text("timeFrame"), "adverse events")
    threshold = harms.number("frequencyThreshold")
    if threshold is not None:
        add(
            "ae_threshold",
            "safety",
            "Threshold of the other adverse events",
            None,
            "adverse events",
            values={"threshold": {"value": threshold[0], "unit": "%"}},
        )
    add(
        "limitations",
        "gap",
        "Limitations and caveats, as posted",
        results["moreInfoModule"]["limitationsAndCaveats"].text("description"),
        "more information",
    )
    return out


def outcome(node: Node, id: str, role: str, ledger: Ledger) -> dict[str, Any]:
    """One outcome, as posted with its results."""
    title = node.text("title") or node.text("measure") or "untitled outcome"
    unit = node.text("unitOfMeasure")
    told = f"{title} {unit or ''}"
    geometric = "GEOMETRIC" in str(node["paramType"].value or "")
    scale = "log" if geometric else next((s for s, pattern in _SCALES if re.search(pattern, told, re.I)), "linear")
    out: dict[str, Any] = {"id": id, "label": title, "scale": scale, "direction": "not_stated", "role": role}
    if (way := direction_of(title, node.text("description"))) is not None:
        out["direction"] = way[0]
        ledger.assume(node.path, f"{way[0].replace('_', ' is ')}, read from the words {way[1]!r}")
    if unit:
        out["unit"] = unit
    frame = node.text("timeFrame")
    week, told_by = week_assessed(title, frame)
    if week is not None:
        out["week"] = week
        part = "timeFrame" if told_by == frame else "title"
        ledger.assume((*node.path, part), f"week {week:g} read from the words {(told_by or '')[:60]!r}")
    defined = [t for t in (node.text("description"), f"time frame: {frame}" if frame else None) if t]
    if defined:
        out["definition"] = "; ".join(defined)
    return out | {"source": "CTG", "place": "outcomes", "confidence": "seen"}


_ROLES = {
    "PRIMARY": "primary",
    "SECONDARY": "secondary",
    "OTHER_PRE_SPECIFIED": "exploratory",
    "POST_HOC": "exploratory",
}


def role_of(kind: str | None) -> str:
    """The role of an outcome of the results section."""
    return _ROLES.get(kind or "", "exploratory")


def planned_outcomes(entry: Node, posted: list[dict[str, Any]], ledger: Ledger) -> list[dict[str, Any]]:
    """Outcomes of the protocol section that the results do not repeat; those repeated word by word are taken."""
    module = entry["protocolSection"]["outcomesModule"]
    sections = (
        ("primaryOutcomes", "primary", "PRIMP"),
        ("secondaryOutcomes", "secondary", "SECP"),
        ("otherOutcomes", "exploratory", "OTHP"),
    )
    plans = [alike(t) for key, _, _ in sections for n in module.items(key) if isinstance(t := n["measure"].value, str)]
    seen: dict[str, list[dict[str, Any]]] = {}
    for block in posted:
        seen.setdefault(alike(block["label"]), []).append(block)
    out = []
    for key, role, start in sections:
        for i, node in enumerate(module.items(key)):
            title, frame = node["measure"].value, node["timeFrame"].value
            key_ = alike(title) if isinstance(title, str) else ""
            twins = seen.get(key_, []) if key_ else []
            if plans.count(key_) > 1 and isinstance(frame, str):
                # several of one title are told apart by when they are assessed
                twins = [t for t in twins if alike(frame) in alike(t.get("definition", ""))]
            if not twins:
                made = outcome(node, f"{start}{i + 1}", role, ledger)
                made["note"] = "planned; not among the posted results under this title"
                out.append(made)
                continue
            node.text("measure")
            for part in ("description", "timeFrame"):
                said = node[part].value
                if isinstance(said, str) and any(alike(said) in alike(t.get("definition", "")) for t in twins):
                    node.text(part)
    return out
