"""What a page of a registry entry says is in the entry, and what the entry does not state stays unstated.

Facts, not wordings: of an invented entry, and of every entry that is stored.
"""

from __future__ import annotations

import json
import os
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "records"))

from registry_study import first, outcome, study
from test_facts import texts

from equipoise.appraise import appraise
from equipoise.appraise.build import draft
from equipoise.appraise.context import Context
from equipoise.appraise.estimates import summary
from equipoise.appraise.findings import read, significant
from equipoise.appraise.handled import events_told, missing_told
from equipoise.appraise.phrases import within_margin
from equipoise.appraise.questions import conditions
from equipoise.appraise.questions.vocabulary.record import quality_of_life
from equipoise.document.document import Facts, Table, plain, walk
from equipoise.records.registry import import_study
from equipoise.records.registry.groups import often_of, route_of
from equipoise.records.registry.tables import COUNTED, describes_people
from equipoise.records.registry.words import direction_of, level_stated
from equipoise.records.schema import Record

SHARED = Path(os.environ.get("EQUIPOISE_SHARED", Path(__file__).parents[3] / "shared")) / "data" / "ctgov"
STORED = sorted(p.stem for p in SHARED.glob("NCT*.json")) if SHARED.is_dir() else []
needs_stored = pytest.mark.skipif(not STORED, reason="the shared registry entries are not here (EQUIPOISE_SHARED)")


@cache
def posted(number: str) -> dict[str, Any]:
    """A stored entry as it was posted."""
    return json.loads((SHARED / f"{number}.json").read_text())  # type: ignore[no-any-return]


@cache
def stored(number: str) -> Record:
    """A stored entry as a record."""
    return import_study(posted(number)).record


@cache
def page_of(number: str) -> str:
    """Every sentence of a stored entry's page."""
    return " ".join(texts(appraise(stored(number)))).replace("\N{NO-BREAK SPACE}", " ")


def ctx_of(entry: dict[str, Any] | Record) -> Context:
    """The context of an entry's page."""
    return draft(entry if isinstance(entry, Record) else import_study(entry).record, None)


def cells(page: Any, table: str) -> dict[str, tuple[str, str]]:
    """The rows of a table by their first cell."""
    found = next(n for n in walk(page) if isinstance(n, Table) and n.id == table)
    return {plain(r.cells[0]): tuple(plain(c) for c in r.cells[1:]) for r in found.rows if len(r.cells) > 2}  # type: ignore[misc]


# -- names ---------------------------------------------------------------------------------------------------------


@needs_stored
def test_a_label_that_names_its_week_is_not_given_it_again() -> None:
    """NCT03448406: ``Change From Baseline to Week 12 in Exercise Capacity ...`` is read at week 12, said once."""
    ctx = ctx_of(stored("NCT03448406"))
    assert ctx.findings.outcome is not None
    assert ctx.names_its_week(ctx.findings.outcome.label, ctx.findings.week)
    assert not ctx.names_its_week("Change from baseline to week 120", 12.0)
    assert not ctx.names_its_week("Distance walked", 12.0)
    brief = " ".join(texts(appraise(stored("NCT03448406")), "brief"))
    assert "week 12" in brief.lower()
    for said in (*texts(appraise(stored("NCT03448406")), "brief"), page_of("NCT03448406")):
        assert not re.search(r"to week 12 in [^.:]{0,160}(?<!read) at week 12[ .:,]", said, re.IGNORECASE), said[:200]


@needs_stored
@pytest.mark.parametrize("number", STORED)
def test_no_two_outcomes_are_called_the_same(number: str) -> None:
    ctx = ctx_of(stored(number))
    called = [ctx.outcome(o.id).lower() for o in ctx.record.outcomes]
    assert len(set(called)) == len(called)


@pytest.mark.parametrize(
    ("titles", "frames"),
    [
        (("Responders (50 %)", "Responders (75 %)"), ("Week 24", "Week 24")),
        (("Score (S)", "Score (S)"), ("Week 12", "Week 24")),
        (("Score", "Score"), ("Week 24", "Week 24")),
    ],
)
def test_outcomes_of_one_name_are_told_apart_by_what_differs(titles: tuple[str, ...], frames: tuple[str, ...]) -> None:
    entry = study()
    extra = json.loads(json.dumps(outcome(entry, 1)))
    entry["resultsSection"]["outcomeMeasuresModule"]["outcomeMeasures"].append(extra)
    for place, title, frame in zip((1, 2), titles, frames, strict=True):
        outcome(entry, place).update(title=title, timeFrame=frame)
    ctx = ctx_of(entry)
    a, b = (ctx.outcome(o.id) for o in ctx.record.outcomes if o.id in ("SEC1", "SEC2"))
    assert a != b


# -- treatment -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "route"),
    [
        ("Increasing dose from 0.6mg, 1.2mg to 1.8mg SQ daily", "subcutaneous"),
        ("prefilled syringes for subcutaneous or intravenous (IV) injection", "subcutaneous or intravenous"),
        ("Given IV or SC", "intravenous or subcutaneous"),
        ("tablets administered orally, once daily", "by mouth"),
        ("patients in NYHA class IV or stage IV on optimized oral therapy", None),
        ("drug A orally; drug B intravenously", None),
        ("gel through a percutaneous endoscopic gastrostomy", "through a tube into the gut"),
    ],
)
def test_a_route_is_read_only_where_one_is_named(text: str, route: str | None) -> None:
    assert route_of(text) == route


def test_how_often_is_read_only_where_one_thing_is_said() -> None:
    assert often_of("300 mg qw") == "once a week"
    assert often_of("5 mg daily for a month, then weekly") is None


@needs_stored
def test_doses_and_routes_of_the_stored_entries_are_those_of_their_descriptions() -> None:
    told = {
        number: (None if (d := read(stored(number)).active.dose) is None else (d.value, d.unit), arm.route)
        for number in STORED
        if (arm := read(stored(number)).active)
    }
    assert told["NCT01800968"] == (None, "subcutaneous")  # 0.6, 1.2 and 1.8 mg: no one dose
    assert told["NCT03448406"] == ((10, "mg"), "by mouth")
    assert told["NCT03877224"] == ((10, "mg"), "by mouth")
    assert told["NCT02210780"] == ((300, "mg"), "subcutaneous")
    assert told["NCT02623699"] == ((100, "mg"), "intrathecal")  # BIIB067 in the results, tofersen in the plan
    assert told["NCT00567567"] == (None, None)  # fifteen treatments an arm
    assert "1.8mg" in page_of("NCT01800968")


def test_a_dose_of_the_plan_is_read_for_an_arm_of_one_drug_alone() -> None:
    entry = study()
    arms = entry["protocolSection"]["armsInterventionsModule"]
    for module in ("participantFlowModule", "baselineCharacteristicsModule", "adverseEventsModule"):
        results = entry["resultsSection"][module]
        for group in [*results.get("groups", ()), *results.get("eventGroups", ())]:
            group["title"] = group["title"].replace(" 10 mg", "")
    for posted_ in entry["resultsSection"]["outcomeMeasuresModule"]["outcomeMeasures"]:
        for group in posted_["groups"]:
            group["title"] = group["title"].replace(" 10 mg", "")
            group.pop("description", None)
    for group in entry["resultsSection"]["participantFlowModule"]["groups"]:
        group.pop("description", None)
    arms["armGroups"][0].update(label="Drug", description="20 mg of D by mouth twice daily")
    arms["interventions"][0]["armGroupLabels"] = ["Drug"]
    arm = import_study(entry).record.arms[0]
    assert arm.dose is not None
    assert (arm.dose.value, arm.dose.note, arm.route) == (20, "twice daily", "by mouth")
    arms["interventions"].append({"type": "DRUG", "name": "E", "armGroupLabels": ["Drug"]})
    arm = import_study(entry).record.arms[0]
    assert (arm.dose, arm.route) == (None, None)


@needs_stored
def test_a_needle_is_that_of_the_drug_and_not_of_its_comparator() -> None:
    """Daprodustat is taken by mouth, darbepoetin is injected; the gel of NCT00360568 goes through a tube."""
    assert not conditions.invasive(ctx_of(stored("NCT03029208")))
    assert conditions.invasive(ctx_of(stored("NCT00360568")))
    assert conditions.invasive(ctx_of(stored("NCT02210780")))


@needs_stored
def test_one_infusion_is_not_told_as_many() -> None:
    """CAP-1002 was given once, into the coronary arteries; no entry's text was read for how often a needle comes."""
    assert not [n for n in STORED if "again and again" in page_of(n)]


# -- estimates -----------------------------------------------------------------------------------------------------


@needs_stored
@pytest.mark.parametrize("number", ["NCT03448406", "NCT03877224"])
def test_a_hodges_lehmann_estimate_is_no_difference_of_means(number: str) -> None:
    ctx = ctx_of(stored(number))
    assert ctx.findings.primary is not None
    assert "Hodges-Lehmann" in (summary(ctx, ctx.findings.primary) or "")
    _, said = cells(appraise(ctx.record), "t-estimand")["Summary over the population"]
    assert not re.search("difference of (means|medians)", said)


@pytest.mark.parametrize(
    ("label", "param", "said"),
    [
        ("Mean Difference (Final Values)", "MEAN", "difference of means"),
        ("Median Difference (Final Values)", "MEDIAN", "difference of medians"),
        ("Median difference (HL-estimate)", "MEDIAN", "Hodges-Lehmann"),
        ("Odds Ratio (OR)", "MEAN", "odds ratio"),
        ("Estimated difference", "NUMBER", None),
    ],
)
def test_the_summary_of_an_estimand_is_what_the_entry_calls_it(label: str, param: str, said: str | None) -> None:
    entry = study()
    outcome(entry)["paramType"] = param
    first(entry).update(paramType=label)
    ctx = ctx_of(entry)
    assert ctx.findings.primary is not None
    found = summary(ctx, ctx.findings.primary)
    assert found is None if said is None else found is not None and said in found


def test_a_rank_test_is_not_told_as_one_of_deaths_and_scores() -> None:
    for test in ("Wilcoxon (Mann-Whitney)", "Rank ANCOVA", "van Elteren test", "Rank score"):
        entry = study()
        first(entry).update(statisticalMethod=test)
        ctx = ctx_of(entry)
        assert conditions.ranks_alone(ctx), test
        assert not conditions.rank_endpoint(ctx), test
        said = " ".join(texts(appraise(ctx.record)))
        assert "lived longer" not in said
        assert "neither means nor medians" in said
    entry = study()
    first(entry).update(statisticalMethod="Joint rank")
    assert conditions.rank_endpoint(ctx_of(entry))


@pytest.mark.parametrize(
    ("unit", "label", "points"),
    [
        ("percentage of participants", "Percentage Difference", True),
        ("percent", "Mean Difference (Final Values)", True),
        ("percent", "Relative reduction", False),
        ("points", "LS Mean Difference", False),
    ],
)
def test_a_gap_between_percentages_is_one_of_percentage_points(unit: str, label: str, points: bool) -> None:
    entry = study()
    outcome(entry).update(paramType="NUMBER", unitOfMeasure=unit)
    first(entry).update(paramType=label)
    said = " ".join(texts(appraise(import_study(entry).record), "bottom-line"))
    assert ("percentage points" in said) is points


@needs_stored
def test_a_proportion_is_not_printed_as_a_percentage() -> None:
    """NCT00567567 posts 0.54 of the participants: that is 54 %, and never 0.54 %."""
    told = page_of("NCT00567567")
    assert "0.54" in told
    assert not re.search(r"0\.54[^.;|]{0,20}%", told)


@needs_stored
def test_nominal_is_said_of_a_p_value_only_where_its_entry_says_it() -> None:
    for number in STORED:
        says = "nominal" in json.dumps(posted(number)["resultsSection"]["outcomeMeasuresModule"]).lower()
        assert says or "nominal" not in page_of(number).lower(), number


@needs_stored
@pytest.mark.parametrize("number", ["NCT03448406", "NCT03877224"])
def test_no_standard_error_is_read_off_the_interval_of_a_rank_test(number: str) -> None:
    said = page_of(number)
    assert "80\N{NARROW NO-BREAK SPACE}% power" not in said
    assert "80 % power" not in said
    assert "implies a standard error" not in said


@needs_stored
def test_a_test_and_an_interval_that_do_not_agree_are_told_as_that() -> None:
    """NCT03877224: rank ANCOVA gives 0.079, the Hodges-Lehmann interval runs from 0.36 to 6.01."""
    assert "do not agree" in page_of("NCT03877224")
    assert "in favour of dapa" not in page_of("NCT03877224")


@needs_stored
@pytest.mark.parametrize("number", STORED)
def test_no_order_of_tests_is_made_up(number: str) -> None:
    assert "can confirm anything" not in page_of(number)


@needs_stored
def test_events_of_which_none_is_listed_are_not_counted_as_none() -> None:
    row = next(e for e in stored("NCT03448406").adverse_events if e.id == "ae_any_other")
    assert all(v.value is None for v in row.arms.values())


# -- gaps ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Baseline was the latest non-missing value before the first dose.", False),
        ("Missing values were imputed by multiple imputation.", True),
        ("Participants without an assessment at week 24 were counted as failures.", True),
        ("The last observation was carried forward.", True),
        ("Teeth that are missing are not scored by the index.", False),
    ],
)
def test_handling_of_missing_values_is_told_only_where_the_entry_tells_it(text: str, told: bool) -> None:
    entry = study()
    outcome(entry)["description"] = f"Change of a score. {text}"
    ctx = ctx_of(entry)
    assert bool(missing_told(ctx)) is told
    page = appraise(ctx.record)
    assert (cells(page, "t-consort")["item 21c: how missing data were handled"][0] == "gap") is not told


def test_missing_values_are_no_intercurrent_event() -> None:
    entry = study()
    outcome(entry)["description"] = "Missing values were imputed by multiple imputation."
    assert not events_told(ctx_of(entry))
    row = cells(appraise(import_study(entry).record), "t-estimand")
    assert row["Intercurrent events and how each is handled"][0] == "gap"
    outcome(entry)["description"] = "Deaths before week 24 were ranked below all other values."
    row = cells(appraise(import_study(entry).record), "t-estimand")
    assert "Deaths before week 24" in row["Intercurrent events and how each is handled"][1]


def test_a_ratio_of_allocation_that_the_entry_does_not_state_is_not_told() -> None:
    page = appraise(import_study(study()).record)
    said = " ".join(texts(page))
    assert not re.search(r"\b\d:\d\b|toss of a coin", said)
    assert cells(page, "t-consort")["item 9: type of design, allocation ratio, framework"][0] == "in part"


@needs_stored
def test_a_ratio_and_a_size_that_the_entry_tells_in_words_are_no_gaps() -> None:
    """NCT02210780, NCT02485938 and NCT06597084 tell 1:1 in their texts, NCT02485938 its planned size; others do not."""
    even = {n for n in STORED if stored(n).design.allocation}
    assert even == {"NCT02210780", "NCT02485938", "NCT06597084"}
    assert all("ratio in which people were allotted" not in page_of(n) for n in even)
    assert "ratio in which people were allotted" in page_of("NCT01800968")
    assert "how many people had been planned for" not in page_of("NCT02485938").lower()
    assert "how many people had been planned for" in page_of("NCT01800968").lower()


@needs_stored
def test_a_number_of_people_is_no_account_of_how_it_came_about() -> None:
    """NCT02485938 says how many were to be randomised, and nothing of power or effect."""
    page = appraise(stored("NCT02485938"))
    held = cells(page, "t-consort")["item 16a: how the sample size came about, with all assumptions"]
    assert held[0] == "in part"


def test_no_page_leads_to_criteria_that_its_entry_does_not_have() -> None:
    bare = study()
    bare["protocolSection"].pop("eligibilityModule", None)
    assert not import_study(bare).record.eligibility
    with_them = study()
    with_them["protocolSection"]["eligibilityModule"] = {"eligibilityCriteria": "Inclusion Criteria:\n\n* A diagnosis"}
    for entry, there in ((bare, False), (with_them, True)):
        said = texts(appraise(import_study(entry).record))
        assert any("Who could take part is under" in t for t in said) is there
        assert any("does not say who could take part" in t for t in said) is not there


def test_shares_that_differ_are_told_in_the_entrys_words() -> None:
    entry = study()
    entry["protocolSection"]["descriptionModule"]["detailedDescription"] = (
        "They were randomised 2:1 to drug or placebo."
    )
    record = import_study(entry).record
    assert not record.design.allocation
    page = appraise(record)
    state, said = cells(page, "t-consort")["item 9: type of design, allocation ratio, framework"]
    assert state == "held"
    assert "2:1" in said
    assert "ratio in which people were allotted" not in " ".join(texts(page))


def test_an_entry_that_does_not_say_who_chose_the_groups_is_not_told_as_either() -> None:
    entry = study()
    del entry["protocolSection"]["designModule"]["designInfo"]["allocation"]
    said = " ".join(texts(appraise(import_study(entry).record)))
    assert not re.search(r"[Cc]hance did not|not made by chance", said)
    entry["protocolSection"]["designModule"]["designInfo"]["allocation"] = "NON_RANDOMIZED"
    assert re.search(r"[Cc]hance did not|not made by chance", " ".join(texts(appraise(import_study(entry).record))))


@needs_stored
@pytest.mark.parametrize("number", STORED)
def test_dates_of_a_registry_are_no_doses_and_healthy_volunteers_no_other_care(number: str) -> None:
    told = page_of(number)
    assert not re.search(r"[Ff]irst dose \d|[Ff]irst dose [A-Z]|last visit", told)
    page = appraise(stored(number))
    if stored(number).design.randomised:
        assert cells(page, "t-consort")["item 24b: other care during the trial"][0] == "gap"


def test_a_question_of_a_questionnaire_is_no_quality_of_life() -> None:
    for title, life in (
        ("Compromised sleep by the Sleep Questionnaire", False),
        ("A promising marker", False),
        ("Change in EQ-5D-5L index", True),
        ("Change in PDQ-39 summary index", True),
        ("Change in SF-36 physical component", True),
        ("Change in health-related quality of life", True),
    ):
        entry = study()
        outcome(entry, 1)["title"] = title
        assert bool(quality_of_life(ctx_of(entry))) is life, title


# -- people --------------------------------------------------------------------------------------------------------


@needs_stored
@pytest.mark.parametrize("number", STORED)
def test_sets_of_people_are_people_each_told_once_and_none_is_cut_or_empty(number: str) -> None:
    record = stored(number)
    told = {
        o.get("populationDescription")
        for o in posted(number)["resultsSection"]["outcomeMeasuresModule"]["outcomeMeasures"]
    }
    for s in record.sets:
        assert s.id in ("ALL", "AT_RISK", "BASELINE") or s.label == COUNTED or describes_people(s.definition), (
            s.definition
        )
    assert any(t and not describes_people(t) for t in told) is (number in ("NCT00567567", "NCT06597084"))
    facts = [pair for n in walk(appraise(record)) if isinstance(n, Facts) for pair in n.items]
    said = next((plain(d) for t, d in facts if plain(t) == "Analysis sets"), "")
    assert "..." not in said
    assert not re.search(r"\(0 |, 0 ", said)
    parts = [p.strip() for p in said.split("; ")]
    assert len(parts) == len(set(parts))


@needs_stored
@pytest.mark.parametrize("number", STORED)
def test_the_population_of_an_estimand_is_a_description_of_people_or_not_stated(number: str) -> None:
    page = appraise(stored(number))
    if not any(isinstance(n, Table) and n.id == "t-estimand" for n in walk(page)):
        return
    state, said = cells(page, "t-estimand")["Population"]
    if state == "held":
        assert describes_people(said)
    else:
        assert "not stated" in said or not said


def test_a_remark_that_is_no_population_stays_out_of_the_estimand() -> None:
    entry = study()
    outcome(entry)["populationDescription"] = "The total score is the sum of all items."
    record = import_study(entry).record
    state, said = cells(appraise(record), "t-estimand")["Population"]
    assert state != "held"
    assert "sum of all items" not in said
    assert "sum of all items" in (record.outcome("PRIM1").note or "")


# -- harms ---------------------------------------------------------------------------------------------------------


def test_survival_is_not_said_to_be_missing_where_deaths_are_counted() -> None:
    entry = study()
    outcome(entry, 1)["title"] = "Change in weight"
    said = " ".join(texts(appraise(import_study(entry).record), "questions"))
    assert "Survival: nothing in the record" not in said
    assert re.search(r"Survival: .{0,60}1 of 40", said)


def test_deaths_of_those_at_risk_are_not_those_of_all_who_started() -> None:
    entry = study()
    for group, n in zip(entry["resultsSection"]["adverseEventsModule"]["eventGroups"], (38, 20), strict=True):
        group.update(deathsNumAtRisk=n)
    record = import_study(entry).record
    (row,) = [e for e in record.events if e.endpoint == "DEATH"]
    (held,) = row.values
    counted = next(s for s in record.sets if s.id == held)
    assert sorted(v.value for v in counted.n.values()) == [20, 38]
    assert not re.search(r"all who started: 1 of 38", " ".join(texts(appraise(record))))


def test_other_events_that_were_not_collected_are_not_said_to_have_a_threshold() -> None:
    """FIGHT posts a threshold of 5 % and only serious events, and says why; so does the invented entry."""
    said = " ".join(texts(appraise(import_study(study()).record), "questions"))
    assert "only if more than" not in said
    if STORED:
        assert "only if more than" not in page_of("NCT01800968")
        assert "only if more than" in page_of("NCT02210780")


def test_who_left_by_dying_is_not_told_as_all_deaths() -> None:
    entry = study()
    for group in entry["resultsSection"]["adverseEventsModule"]["eventGroups"]:
        group.pop("deathsNumAffected"), group.pop("deathsNumAtRisk")
    period = entry["resultsSection"]["participantFlowModule"]["periods"][0]
    period["dropWithdraws"] = [
        {
            "type": "Death",
            "reasons": [{"groupId": "FG000", "numSubjects": "1"}, {"groupId": "FG001", "numSubjects": "9"}],
        }
    ]
    page = appraise(import_study(entry).record)
    said = " ".join(texts(page))
    assert "Deaths: " not in said
    assert "not counted here" in said
    assert "1 of 40" not in " ".join(texts(page, "safety"))  # nor does it lead the harms


@needs_stored
def test_what_an_entry_says_of_its_deaths_stands_beside_their_counts() -> None:
    """NCT06597084 counts six deaths on the drug, and says in words that one of them came before randomisation."""
    safety = " ".join(texts(appraise(stored("NCT06597084")), "safety"))
    after = safety.partition("6 of 61")[2]
    assert "before randomisation" in after[:400]


@needs_stored
def test_rows_of_a_primary_outcome_are_told_to_patients_and_daily_life_is_not_missing() -> None:
    said = page_of("NCT06597084")
    assert "holds no result for the main question" not in said
    assert "How people felt, and how they lived" not in said  # the entry posts the Barthel Index and the PHQ-9


@needs_stored
def test_people_who_were_not_assigned_by_chance_are_told_of() -> None:
    """NCT00567567 posts 27 people non-randomly assigned to its control; 210 started it and 179 are compared."""
    told = [n for n in STORED if ctx_of(stored(n)).some_not_by_chance]
    assert told == ["NCT00567567"]
    assert "differ at the start by chance alone" not in page_of("NCT00567567")


def test_the_baseline_is_that_of_those_it_counts() -> None:
    entry = study()
    counts = entry["resultsSection"]["baselineCharacteristicsModule"]["denoms"][0]["counts"]
    counts[0]["value"] = "39"
    record = import_study(entry).record
    (held,) = {s for row in record.baseline for s in row.values}
    counted = next(s for s in record.sets if s.id == held)
    assert sorted(v.value for v in counted.n.values()) == [20, 39]
    assert {s for row in import_study(study()).record.baseline for s in row.values} == {"ALL"}


@needs_stored
def test_a_kept_margin_is_no_open_question_and_a_span_no_end_of_the_trial() -> None:
    """NCT03029208 averages its outcome over weeks 28 to 52, and its interval stays within its margin."""
    said = page_of("NCT03029208")
    assert "does not settle the primary question" not in said
    assert "at the end of the trial" not in said.lower()


@needs_stored
@pytest.mark.parametrize("number", STORED)
def test_harm_that_is_counted_by_arm_is_not_called_uncounted(number: str) -> None:
    counted = conditions.has_harms(ctx_of(stored(number)))
    assert not counted or "holds no adverse events by arm" not in page_of(number)


# -- direction -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("title", "description", "way"),
    [
        ("Change in total score", "Higher scores represent better function.", "higher_better"),
        ("Change in AIMS", "Range 0-40; a negative change indicates improvement.", "lower_better"),
        ("Score", "Higher scores indicate better sleep. Higher scores indicate worse pain.", None),
        ("Time to worsening of the score", "Higher scores represent better function.", None),
        ("Percentage of participants with a better score", "Higher scores represent better function.", None),
        ("Global Ranking of Events", "increases in time-averaged change in NTproBNP indicate a worse result", None),
        ("Concentration", "Better methods give higher precision.", None),
        ("Pain", "A higher dose is not better.", None),
    ],
)
def test_a_direction_is_read_from_the_outcome_itself_or_not_at_all(
    title: str, description: str, way: str | None
) -> None:
    found = direction_of(title, description)
    assert (None if found is None else found[0]) == way


def test_a_direction_in_another_part_of_the_entry_is_not_read() -> None:
    entry = study()
    entry["protocolSection"]["descriptionModule"]["detailedDescription"] = "Higher scores represent better function."
    outcome(entry, 1)["description"] = "Higher scores represent better function."
    assert import_study(entry).record.outcome("PRIM1").direction == "not_stated"


@pytest.mark.parametrize(
    ("comment", "low", "high", "inside"),
    [
        ("The lower limit has to lie above the margin of -0.75.", "-0.5", "1", True),
        ("The upper limit has to lie below the margin of 0.75.", "-1", "0.5", True),
        ("The upper limit has to lie below the margin of 0.75.", "-1", "0.9", False),
        ("The lower limit has to lie above -0.75; a margin of 0.75.", "-0.5", "1", True),
        ("A margin of 0.75 was used.", "-1", "0.5", None),
        ("The lower limit was compared with a margin of 0.75.", "-0.5", "1", None),
    ],
)
def test_a_margin_is_held_against_the_limit_that_its_text_names(comment: str, low: str, high: str, inside: Any) -> None:
    entry = study()
    first(entry).update(
        nonInferiorityType="NON_INFERIORITY",
        nonInferiorityComment=comment,
        paramValue="0.1",
        ciLowerLimit=low,
        ciUpperLimit=high,
    )
    outcome(entry)["classes"][0]["categories"][0]["measurements"] = [
        {"groupId": "OG000", "value": "1.1"},
        {"groupId": "OG001", "value": "1.0"},
    ]
    assert within_margin(ctx_of(entry)) is inside


def test_a_question_of_non_inferiority_is_not_told_as_one_of_superiority() -> None:
    entry = study()
    outcome(entry)["description"] = "Higher scores represent better function."
    first(entry).update(nonInferiorityType="NON_INFERIORITY", nonInferiorityComment="A margin was set.")
    assert read(import_study(entry).record).met is None


# -- the disease ---------------------------------------------------------------------------------------------------

_OF_ALS = (
    "already dying",
    "nerve cells",
    "ALSFRS",
    "neurofilament",
    "cerebrospinal",
    "riluzole",
    "tracheostomy",
    "weakness, numbness or trouble with bladder",
    "cord, root or meninges",
)


@needs_stored
@pytest.mark.parametrize("number", [n for n in STORED if n != "NCT02623699"])
def test_what_is_said_of_als_stays_on_pages_of_als(number: str) -> None:
    own = json.dumps(posted(number)).lower()
    told = page_of(number).lower()
    for words in _OF_ALS:
        assert words.lower() in own or words.lower() not in told, words


@needs_stored
def test_a_gene_is_asked_for_only_where_the_condition_is_one_of_a_gene() -> None:
    asked = [n for n in STORED if conditions.genetic(ctx_of(stored(n)))]
    assert asked == []  # the entry of VALOR files it under ALS alone
    for condition, gene in (
        ("ALS with SOD1 mutation", True),
        ("EGFR-mutated lung cancer", False),
        ("COVID-19 variant", False),
        ("Heart failure", False),
    ):
        entry = study()
        entry["protocolSection"]["conditionsModule"]["conditions"] = [condition]
        entry["protocolSection"]["identificationModule"]["officialTitle"] = "A dose expansion with genetic testing"
        assert conditions.genetic(ctx_of(entry)) is gene, condition


@needs_stored
@pytest.mark.parametrize("number", STORED)
def test_an_active_comparator_is_not_told_as_the_illness_on_its_own(number: str) -> None:
    told = page_of(number)
    untreated = re.search(r"placebo|sham|vehicle|no treatment", read(stored(number)).control.label, re.I)
    assert untreated or "does on its own" not in told


# -- levels --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("tested using the significance level 0.04990 against", 0.0499),
        ("tested at significant level of 0.00005", 0.00005),
        ("a two-sided alpha of .01", 0.01),
        ("alpha = 0.025", 0.025),
        ("alpha 0.04 for one and alpha 0.01 for the other", None),
        ("delta (1 to 3.9 Hz), alpha (8 to 12.9 Hz)", None),
        ("alpha-lipoic acid 0.6 g", None),
        ("no level told; P 0.05", None),
    ],
)
def test_the_level_of_a_test_is_read_where_a_text_states_one(text: str, level: float | None) -> None:
    assert level_stated(text) == level


@pytest.mark.parametrize(("alpha", "met"), [("", True), ("Tested at significance level 0.0001.", False)])
def test_a_verdict_is_by_the_level_that_the_entry_states(alpha: str, met: bool) -> None:
    entry = study()
    analysis = outcome(entry)["analyses"][0]
    analysis |= {"pValue": "0.02", "groupDescription": alpha}
    record = import_study(entry).record
    result = next(r for r in record.results if r.p)
    assert (result.p[0].held_to == 0.05) is met
    assert significant(result.p[0]) is met


@needs_stored
def test_the_levels_of_a_stored_entry_are_its_own() -> None:
    """NCT03877224: KCCQ-TSS was tested at 0.0499, KCCQ-PLS and the distance walked at 0.00005."""
    found = [p.alpha for r in stored("NCT03877224").results for p in r.p]
    assert found[:3] == [0.0499, 0.00005, 0.00005]
    assert "level 0.0499" in page_of("NCT03877224")


def test_a_verdict_that_turns_on_the_stated_level_is_told_with_it() -> None:
    entry = study()
    outcome(entry)["analyses"][0] |= {"pValue": "0.02", "groupDescription": "Tested at significance level 0.001."}
    ctx = ctx_of(entry)
    (p,) = next(r for r in ctx.record.results if r.p).p
    assert plain(ctx.p(p)).endswith("(level 0.001)")
    assert "level" not in plain(ctx.p(p.model_copy(update={"value": 0.2})))
    assert "level" not in plain(ctx.p(p.model_copy(update={"alpha": None}), exact=True))
