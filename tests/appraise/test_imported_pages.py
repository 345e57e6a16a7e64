"""A page for every registry entry: what it asked, every primary outcome, any number of arms. Facts, not wordings."""

from __future__ import annotations

import ast
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "records"))

from registry_study import first, outcome, study
from test_facts import runs_of, texts

from equipoise.appraise import appraise
from equipoise.appraise.findings import read, significant
from equipoise.document.document import Cited, Computed, Facts, Question, Table, plain, walk
from equipoise.records.coherence.note import shown_p
from equipoise.records.registry import import_study
from equipoise.records.registry.groups import dose_of
from equipoise.render import to_html


def shaped(kind: str) -> dict[str, Any]:
    """The invented entry with two active arms, one arm, or none."""
    entry = study()
    protocol, results = entry["protocolSection"], entry["resultsSection"]
    if kind == "two active":
        for arm in protocol["armsInterventionsModule"]["armGroups"]:
            arm["type"] = "ACTIVE_COMPARATOR"
        return entry
    protocol["designModule"]["designInfo"]["allocation"] = "NA"
    if kind == "one":
        del results["participantFlowModule"]["groups"][1], outcome(entry)["groups"][1], outcome(entry)["analyses"]
    if kind == "none":
        del entry["resultsSection"], protocol["armsInterventionsModule"]
    return entry


@pytest.mark.parametrize("kind", ["two active", "one", "none"])
def test_every_entry_has_a_page(kind: str) -> None:
    page = appraise(import_study(shaped(kind)).record)
    assert {"bottom-line", "design", "results", "safety"} <= {s.id for s in page.sections}
    assert "<html" in to_html(page)


@pytest.mark.parametrize("kind", ["one", "none"])
def test_one_group_is_described_and_nothing_is_concluded_from_it(kind: str) -> None:
    """No comparison: no difference in risk, no P value, no verdict, and the reader is told what cannot be known."""
    page = appraise(import_study(shaped(kind)).record)
    said = " ".join(texts(page))
    assert "cannot be concluded" in said
    assert not re.search(r"\bP\s[=<]|met its primary|missed its primary|percentage points", said)
    told = [s for s in page.sections if s.id != "made"]
    assert not any(isinstance(node, Computed) for node in walk(tuple(told)))


def test_two_active_arms_are_compared_as_the_entry_compares_them() -> None:
    record = import_study(shaped("two active")).record
    page = appraise(record)
    said = " ".join((*texts(page, "brief"), *texts(page, "bottom-line"), *texts(page, "findings")))
    assert "2.5" in said
    assert "cannot be concluded" not in said


def test_a_second_primary_outcome_stands_in_bottom_line_and_findings() -> None:
    entry = study()
    outcome(entry, 1).update(type="PRIMARY")
    outcome(entry, 1)["analyses"] = [
        {
            "groupIds": ["OG000", "OG001"],
            "pValue": "0.026",
            "statisticalMethod": "Regression, Cox",
            "paramType": "Hazard Ratio (HR)",
            "paramValue": "0.62",
            "ciPctValue": "95",
            "ciNumSides": "TWO_SIDED",
            "ciLowerLimit": "0.41",
            "ciUpperLimit": "0.95",
        }
    ]
    page = appraise(import_study(entry).record)
    for section in ("bottom-line", "findings"):
        said = " ".join(texts(page, section))
        assert "0.62" in said
        assert "0.026" in said


def test_one_rank_test_with_its_estimate_is_not_said_to_be_two_analyses() -> None:
    entry = study()
    first(entry).update(
        statisticalMethod="Wilcoxon (Mann-Whitney)",
        paramType="Median Difference (Final Values)",
        estimateComment="Hodges-Lehmann estimate of the difference",
    )
    said = " ".join(texts(appraise(import_study(entry).record)))
    assert "come from different analyses" not in said


@pytest.mark.parametrize(("low", "holds"), [("-0.5", True), ("-1.0", False)])
def test_a_question_of_non_inferiority_is_told_with_its_margin(low: str, holds: bool) -> None:
    entry = study()
    first(entry).update(
        nonInferiorityType="NON_INFERIORITY",
        nonInferiorityComment="Shown where the lower limit is above the margin of -0.75 g/dL.",
        ciLowerLimit=low,
    )
    said = " ".join(texts(appraise(import_study(entry).record), "bottom-line"))
    assert "non-inferiority" in said
    assert "0.75" in said
    assert ("safe side" in said) is holds
    assert ("beyond the margin" in said) is not holds
    assert ("showed that drug 10 mg is not worse than placebo by more than its margin" in said) is holds
    assert "does not say whether" not in said


def grouped() -> dict[str, Any]:
    """An entry of one treatment whose people are told of in two groups and all together."""
    entry = study()
    entry["protocolSection"]["designModule"]["designInfo"] = {
        "allocation": "NA",
        "interventionModel": "SINGLE_GROUP",
        "primaryPurpose": "TREATMENT",
        "maskingInfo": {"masking": "NONE"},
    }
    posted = outcome(entry)
    posted["groups"].append({"id": "OG009", "title": "All Participants"})
    for category in [c for row in posted["classes"] for c in row["categories"]]:
        category["measurements"].append({"groupId": "OG009", "value": "7.7"})
    posted["analyses"] = [{"groupIds": ["OG009"], "pValue": "0.031", "statisticalMethod": "t-test, 2 sided"}]
    return entry


def test_a_serious_event_of_a_single_treatment_is_told_from_one_that_was_not() -> None:
    """An entry counts a term among its serious events and again among the others: two rows, and which is which."""
    entry = grouped()
    module = entry["resultsSection"]["adverseEventsModule"]
    module["seriousEvents"][0]["term"] = "FALL"
    module["otherEvents"] = json.loads(json.dumps(module["seriousEvents"]))
    page = appraise(import_study(entry).record)
    rows = [plain(r.cells[0]) for n in walk(page) if isinstance(n, Table) and n.id == "t-safety" for r in n.rows]
    assert sorted(t for t in rows if t.startswith("Fall")) == ["Fall", "Fall, serious"]


def test_one_treatment_in_several_groups_is_described_and_not_compared() -> None:
    """No difference between the groups, no comparator, no verdict; what all of them did is told, with its own P."""
    page = appraise(import_study(grouped()).record)
    said = " ".join(texts(page))
    assert "cannot be concluded" in said
    assert "everyone had the same treatment" in said
    assert not re.search(r"\b10 mg against|percentage points|met its primary|missed its primary", said)
    assert not any(isinstance(node, Computed) for s in page.sections if s.id != "made" for node in walk(s))
    table = next(n for n in walk(page) if isinstance(n, Table) and n.id == "t-results")
    heads = [plain(c) for c in table.columns]
    assert not any("Contrast" in h for h in heads)
    assert "P within a group, and its test" in heads
    told = [plain(c) for r in table.rows for c in r.cells]
    assert any("All Participants: 7.7" in t for t in told)
    assert any("0.031" in t for t in told)
    assert " ".join(texts(page, "bottom-line")).count("7.7") == 1


@pytest.mark.parametrize("ids", [["OG000"], ["OG000", "OG001", "OG009"]])
def test_an_analysis_of_one_group_or_of_three_is_not_told_as_that_of_the_arms(ids: list[str]) -> None:
    entry = study()
    second = outcome(entry, 1)
    second.update(type="PRIMARY")
    if "OG009" in ids:
        second["groups"].append({"id": "OG009", "title": "Not assigned"})
        for category in [c for row in second["classes"] for c in row["categories"]]:
            category["measurements"].append({"groupId": "OG009", "value": "9.9"})
    second["analyses"] = [{"groupIds": ids, "pValue": "0.0034", "statisticalMethod": "Chi-squared"}]
    record = import_study(entry).record
    result = next(r for r in record.results if any(p.value == 0.0034 for p in r.p))
    assert not read(record).of_arms(result)
    page = appraise(record)
    for section in ("findings", "results"):
        said = " ".join(texts(page, section)).replace("\N{NO-BREAK SPACE}", " ")
        assert "P = 0.003" in said
        assert ("one group alone" in said) is (len(ids) == 1)
        assert ("of other groups than the two arms" in said) is (len(ids) == 3)


@pytest.mark.parametrize(("value", "verdict"), [("0.012", True), ("0.031", None), ("0.31", False)])
def test_a_one_sided_p_value_says_so_wherever_it_is_told(value: str, verdict: bool | None) -> None:
    """Also where only the name of the test tells; between half the level and the level it settles nothing."""
    entry = study()
    first(entry).update(statisticalMethod="t-test, 1 sided", pValue=value)
    for key in ("ciLowerLimit", "ciUpperLimit"):
        first(entry).pop(key, None)
    record = import_study(entry).record
    (p,) = [p for r in record.results for p in r.p if p.value == float(value)]
    assert p.sides == "one"
    assert significant(p) is verdict
    said = " ".join(texts(appraise(record))).replace("\N{NO-BREAK SPACE}", " ")
    told = re.findall(rf"(.{{10}})P = {value[:4]}", said)
    assert len(told) > 2
    assert all(t == "one-sided " for t in told)
    assert shown_p(p) == f"one-sided p = {value}"


def test_a_range_or_a_bound_is_no_dose() -> None:
    assert dose_of("infused at 20 to 200 mg of levodopa/hour") is None
    assert dose_of("up to 20 mg daily") is None
    assert dose_of("20 mg daily") == {"value": 20, "unit": "mg"}


def test_who_started_is_not_said_to_have_been_randomised() -> None:
    """The flow of an entry counts who started; those drawn and never started are not in it."""
    page = appraise(import_study(study()).record)
    rows = [row.cells for n in walk(page) if isinstance(n, Table) for row in n.rows]
    flow = next(plain(cells[2]) for cells in rows if "22a" in plain(cells[0]))
    assert flow.startswith("started")
    people = next(d for n in walk(page) if isinstance(n, Facts) for t, d in n.items if plain(t) == "Participants")
    assert "started" in plain(people)
    assert "randomised" not in plain(people)


@pytest.mark.parametrize("more", [0, 7])
def test_people_of_other_groups_are_not_said_to_be_of_the_arms(more: int) -> None:
    """An entry enrols for every part of a study; where its two arms hold fewer, the page says where the rest were."""
    entry = study()
    held = sum(a.n.value for a in import_study(study()).record.arms)
    entry["protocolSection"]["designModule"]["enrollmentInfo"] = {"count": held + more, "type": "ACTUAL"}
    told = [t for t in texts(appraise(import_study(entry).record)) if "people took part. There were" in t]
    assert told
    assert all(("other groups" in t) == bool(more) for t in told)


def test_a_part_of_a_study_without_the_arms_counts_no_event_of_theirs() -> None:
    entry = study()
    flow = entry["resultsSection"]["participantFlowModule"]
    arms = [g["id"] for g in flow["groups"]]
    flow["groups"].append({"id": "FG009", "title": "Another cohort", "description": "a dose that was tried before"})

    def counts(key: str, other: int) -> list[dict[str, str]]:
        return [{"groupId": g, key: "0"} for g in arms] + [{"groupId": "FG009", key: str(other)}]

    earlier = {
        "title": "Earlier part",
        "milestones": [
            {"type": "STARTED", "achievements": counts("numSubjects", 9)},
            {"type": "NOT COMPLETED", "achievements": counts("numSubjects", 1)},
        ],
        "dropWithdraws": [{"type": "Death", "reasons": counts("numSubjects", 0)}],
    }
    flow["periods"].insert(0, earlier)
    record = import_study(entry).record
    assert any("Earlier part" in e.label for e in record.events)  # the record keeps them
    page = appraise(record)
    rows = [plain(r.cells[0]) for n in walk(page) if isinstance(n, Table) and n.id == "t-events" for r in n.rows]
    assert rows
    assert not [t for t in rows if "Earlier part" in t]


def test_numbers_in_the_name_of_a_row_are_no_links() -> None:
    entry = study()
    for row in outcome(entry)["classes"]:
        row["title"] = "Sodium <126 mmol/L"
    page = appraise(import_study(entry).record)
    named = [c for n in walk(page) if isinstance(n, Table) for r in n.rows if not r.heading for c in r.cells[:1]]
    links = [run.text for cell in named for run in walk(cell) if isinstance(run, Cited) and not run.quiet]
    assert not [t for t in links if "126" in t]


def test_people_of_an_outcome_are_those_it_counts_and_not_all_who_started() -> None:
    entry = study()
    outcome(entry).pop("populationDescription", None)
    outcome(entry)["denoms"] = [
        {"units": "Participants", "counts": [{"groupId": "OG000", "value": "37"}, {"groupId": "OG001", "value": "19"}]}
    ]
    record = import_study(entry).record
    primary = read(record).primary
    assert primary is not None
    counted = next(s for s in record.sets if s.id == primary.set)
    assert [v.value for v in counted.n.values()] == [37, 19]
    said = " ".join(texts(appraise(record), "findings"))
    assert "37 people" in said
    assert "all who started" not in said


def test_medians_of_the_arms_are_called_medians() -> None:
    entry = study()
    outcome(entry).update(paramType="MEDIAN", dispersionType="INTER_QUARTILE_RANGE")
    said = " ".join(texts(appraise(import_study(entry).record), "findings"))
    assert "median: " in said


def post_events(entry: dict[str, Any], people: tuple[int, int], *events: tuple[str, int, int]) -> None:
    """Post events other than serious ones, each with its people on the drug and on placebo, of ``people``."""
    entry["resultsSection"]["adverseEventsModule"]["otherEvents"] = [
        {
            "term": term,
            "organSystem": "Any",
            "stats": [
                {"groupId": f"EG00{k}", "numAffected": n, "numAtRisk": whole}
                for k, (n, whole) in enumerate(zip((drug, placebo), people, strict=True))
            ],
        }
        for term, drug, placebo in events
    ]


def test_a_harm_told_to_patients_is_more_frequent_on_the_drug() -> None:
    entry = study()
    post_events(entry, (40, 20), ("Rash", 1, 9), ("Itch", 1, 0), ("Cough", 19, 1))
    page = appraise(import_study(entry).record, role="patient")
    asked = [n for n in walk(page) if isinstance(n, Question) and "harm" in plain(n.question)]
    said = " ".join(plain(runs) for runs in runs_of(asked[0]))
    assert "Cough" in said
    assert not re.search("Rash|Itch", said)


def test_what_a_doctor_watches_for_is_more_frequent_on_the_drug() -> None:
    """An event that the drug seems to prevent is no harm of it; one person more of 200 is no harm to tell a patient."""
    entry = study()
    post_events(entry, (199, 200), ("Rash", 1, 60), ("Itch", 2, 2), ("Cough", 19, 1))
    page = appraise(import_study(entry).record)
    questions = {
        plain(n.question): " ".join(plain(r) for r in runs_of(n)) for n in walk(page) if isinstance(n, Question)
    }
    watched = questions["What do you watch for under treatment?"]
    assert "Cough" in watched
    assert "Rash" not in watched
    told = questions["What harm could it do?"]
    assert "Cough" in told
    assert "Itch" not in told


def test_what_an_entry_tells_of_missing_values_is_not_called_missing() -> None:
    entry = study()
    outcome(entry)["description"] = "Change of the score. If no value was available, an imputed value was used."
    said = " ".join(texts(appraise(import_study(entry).record), "questions"))
    assert "ow missing values were handled" not in said
    assert "ow missing values were handled" in " ".join(texts(appraise(import_study(study()).record), "questions"))


def parted() -> dict[str, Any]:
    """The invented entry with a primary outcome of three categories of people and no test of any."""
    entry = study()
    own = outcome(entry)
    own.pop("analyses", None)
    own.update(title="Failure by month 6", paramType="COUNT_OF_PARTICIPANTS", unitOfMeasure="Participants")
    own.pop("dispersionType", None)
    rows = {"Failure - relapse": ("2", "7"), "Failure - withdrawn": ("12", "8"), "No failure": ("26", "5")}
    own["classes"] = [
        {
            "title": title,
            "categories": [{"measurements": [{"groupId": f"OG00{i}", "value": v} for i, v in enumerate(values)]}],
        }
        for title, values in rows.items()
    ]
    return entry


def test_one_category_of_an_outcome_is_not_told_as_its_result() -> None:
    """Every row is told; no difference, no power and no pooling comes from one of them."""
    record = import_study(parted()).record
    assert record.primary_result is None
    f = read(record)
    assert f.primary is None
    assert len(f.rows) == 3
    page = appraise(record)
    for section in ("bottom-line", "findings"):
        said = " ".join(texts(page, section))
        assert all(f"Failure - {part}" in said for part in ("relapse", "withdrawn"))
    said = " ".join(texts(page))
    assert "can be pooled from its counts" not in said
    assert "holds no result of the primary outcome" not in said
    assert not any("Failure by month 6" in c.what for c in page.computations)


def test_deaths_that_differ_lead_the_harms() -> None:
    """Where the interval of their difference excludes zero that is said before the coded terms, to patients too."""
    entry = study()
    groups = entry["resultsSection"]["adverseEventsModule"]["eventGroups"]
    for group, died in zip(groups, ("0", "6"), strict=False):
        group.update(deathsNumAffected=died, deathsNumAtRisk="20" if died == "6" else "40")
    record = import_study(entry).record
    page = appraise(record)
    safety = " ".join(texts(page, "safety"))
    assert "6 of 20" in safety
    assert "with an interval that excludes zero" in safety
    said = " ".join(texts(page))
    assert "No event differs between the arms" not in said
    assert "For no event does the interval" not in said
    assert "Deaths: " in said


def test_deaths_counted_as_an_outcome_are_deaths_by_arm() -> None:
    """A number with the unit participants is people of those analysed; one of deaths is not called uncounted."""
    entry = study()
    outcome(entry, 1).clear()
    outcome(entry, 1).update(
        type="SECONDARY",
        title="Component of the primary endpoint - mortality",
        timeFrame="Week 24",
        paramType="NUMBER",
        unitOfMeasure="participants",
        groups=outcome(entry)["groups"],
        denoms=[
            {
                "units": "Participants",
                "counts": [{"groupId": f"OG00{i}", "value": n} for i, n in ((0, "40"), (1, "20"))],
            }
        ],
        classes=[
            {"categories": [{"measurements": [{"groupId": f"OG00{i}", "value": v} for i, v in ((0, "5"), (1, "4"))]}]}
        ],
    )
    for group in entry["resultsSection"]["adverseEventsModule"]["eventGroups"]:
        for key in ("deathsNumAffected", "deathsNumAtRisk"):
            group.pop(key, None)
    record = import_study(entry).record
    said = " ".join(texts(appraise(record)))
    assert "5 of 40" in said
    assert "does not count deaths" not in said
    assert "Whether people lived longer" not in said


def test_what_was_not_collected_is_not_counted_as_none() -> None:
    entry = study()
    module = entry["resultsSection"]["adverseEventsModule"]
    module["frequencyThreshold"] = "0"
    module.pop("otherEvents", None)
    for group in module["eventGroups"]:
        group.update(otherNumAffected="0", otherNumAtRisk="0")
    record = import_study(entry).record
    events = {e.id: e for e in record.adverse_events}
    assert all(v.value is None for v in events["ae_any_other"].arms.values())
    assert "only if more than" not in " ".join(texts(appraise(record)))


def test_an_arm_whose_title_is_a_bare_code_is_called_by_what_it_was_given() -> None:
    entry = study()
    text = str(entry).replace("'Drug 10 mg'", "'Group A'").replace("'Placebo'", "'Group B'")
    entry = ast.literal_eval(text)
    planned = entry["protocolSection"]["armsInterventionsModule"]["armGroups"]
    planned[0]["interventionNames"], planned[1]["interventionNames"] = ["Drug: D 10 mg"], ["Drug: Placebo"]
    labels = {a.label for a in import_study(entry).record.arms}
    assert labels == {"D 10 mg", "Placebo"}


def as_share(entry: dict[str, Any]) -> dict[str, Any]:
    """The invented entry with a share of people as its primary outcome, described and not tested."""
    posted = outcome(entry)
    posted.update(
        title="Percentage of participants with a response",
        unitOfMeasure="percentage of participants",
        paramType="NUMBER",
    )
    posted.pop("dispersionType", None)
    posted["analyses"] = []
    return entry


def test_a_word_that_a_registry_files_by_is_not_who_took_part() -> None:
    """The condition of an entry says where it is filed; who could take part stands in the criteria."""
    entry = study()
    text = " ".join(texts(appraise(import_study(entry).record)))
    assert not re.search(r"obody else was in|nobody else\. |Anyone without|If that is not your illness", text)
    assert "In people with " not in text
    assert f"under: {entry['protocolSection']['conditionsModule']['conditions'][0]}." in text
    assert "Who could take part is under design" in text


def test_an_outcome_by_which_no_drug_was_judged_is_not_said_to_show_that_one_worked() -> None:
    """No test and no direction: it was found, it did not work; a share of people is no course of one person."""
    page = appraise(import_study(as_share(study())).record)
    asked = [plain(n.question) for n in walk(page) if isinstance(n, Question)]
    text = " ".join(texts(page))
    assert "What did it find?" in asked
    assert "Did it work?" not in asked
    assert "worked by then" not in text
    assert "what will be measured - in" not in text
    assert "standard deviations or more" not in text


def test_a_score_that_was_tested_keeps_its_questions() -> None:
    page = appraise(import_study(study()).record)
    text = " ".join(texts(page))
    assert "standard deviations or more" in text
    first_one = study()
    first(first_one)["statisticalMethod"] = "Wilcoxon (Mann-Whitney)"
    assert "standard deviations or more" not in " ".join(texts(appraise(import_study(first_one).record)))


@pytest.mark.parametrize(
    ("p", "why", "not_so"),
    [
        ("0.31", "no difference was shown, whichever way is better", "no verdict on its primary endpoint: no field"),
        ("0.01", "no field of the entry says which way is better", "no difference was shown"),
        (None, "no test of the primary outcome was posted", "says which way is better, though"),
    ],
)
def test_why_a_verdict_stays_open_is_told_as_it_is(p: str | None, why: str, not_so: str) -> None:
    """A test without a gap, a gap without a direction, and no test at all are three reasons."""
    entry = study()
    first(entry).update(nonInferiorityType="SUPERIORITY_OR_OTHER", pValue=p)
    for gone in ("paramType", "paramValue", "ciPctValue", "ciNumSides", "ciLowerLimit", "ciUpperLimit"):
        first(entry).pop(gone, None)
    if p is None:
        outcome(entry)["analyses"] = []
    page = appraise(import_study(entry).record)
    text = " ".join(texts(page, "bottom-line")).replace("\N{NO-BREAK SPACE}", " ")
    assert why in text
    assert not_so not in text


def test_a_direction_that_the_definition_tells_is_not_denied() -> None:
    entry = study()
    outcome(entry)["description"] = "The patient who died first has the worst rank."
    text = " ".join(texts(appraise(import_study(entry).record)))
    assert "does not say which" not in text
    assert "Which direction of the primary outcome is the better one" not in text
    assert "though the outcome's own text speaks of it" in text
