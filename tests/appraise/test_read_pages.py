"""What a clinical reader found wrong on the pages of other trials than VALOR, each as the fact that was wrong."""

from __future__ import annotations

import os
import re
import sys
from functools import cache
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "records"))

from registry_study import first, outcome, study
from test_facts import runs_of, texts

import equipoise
from equipoise.appraise import appraise, in_brief, numbers, units
from equipoise.appraise.certainty import form
from equipoise.appraise.certainty.judgements import load_judgements
from equipoise.appraise.context import title_words
from equipoise.appraise.findings import read
from equipoise.appraise.landscape import landscape
from equipoise.appraise.landscape.second_trials import stored
from equipoise.appraise.questions.vocabulary.record import SPELT
from equipoise.appraise.sections.replica.answers import share_told
from equipoise.document.charts import Forest
from equipoise.document.document import Document, Fold, Question, Table, plain, walk
from equipoise.numerics.rounding import of_hundred
from equipoise.records import list_records, load_record
from equipoise.records.registry import import_study, read_study
from equipoise.records.registry.tables import population_label
from equipoise.replica.replica import Answer, share_places

SOURCE = Path(equipoise.__file__).parent
SHARED = Path(os.environ.get("EQUIPOISE_SHARED", Path(__file__).parents[3] / "shared")) / "data" / "ctgov"


@cache
def page(name: str) -> Document:
    return appraise(load_record(name))


def said(name: str, *sections: str) -> str:
    return " ".join(texts(page(name), *sections)).replace("\N{NO-BREAK SPACE}", " ")


def answers(document: Document) -> dict[str, str]:
    found = [node for node in walk(document) if isinstance(node, Question)]
    return {plain(q.question): "".join(getattr(n, "text", "") for n in walk(q)) for q in found}


@pytest.mark.parametrize("name", [info.name for info in list_records()])
def test_property_no_key_of_a_record_is_printed_as_words(name: str) -> None:
    """Values of pooled evidence have a key that is a word of the language, or a text that says their number."""
    for item in load_record(name).items:
        if item.section != "evidence" or not item.usable:
            continue
        for key, value in item.values.items():
            figures = map(float, re.findall(r"\d+(?:\.\d+)?", item.text or ""))
            told = value.value is not None and float(value.value) in figures
            assert key in SPELT or told, (item.id, key)


@pytest.mark.parametrize("name", ["riluzole1994", "lacomblez1996", "mirocals"])
def test_a_week_that_is_no_visit_is_told_by_its_name(name: str) -> None:
    """91 weeks of riluzole are the end of a follow-up whose median was 573 days (Bensimon 1994, abstract)."""
    record = load_record(name)
    text = said(name)
    for point in record.timepoints:
        assert record.when(point.week) == point.label
        assert not re.search(rf"\bweek {point.week:g}\b", text), point.week
    assert record.when(record.timepoints[0].week) in text


def test_the_length_of_a_follow_up_that_differed_is_its_longest() -> None:
    assert "up to 91 weeks" in said("riluzole1994", "design").lower()
    assert "up to" not in said("valor", "design").lower().partition("duration")[2][:20]


def test_a_wilcoxon_test_of_survival_is_no_rank_sum() -> None:
    text = said("riluzole1994")
    assert "Rank test (Wilcoxon, van Elteren)" not in text
    assert "weighs early events more than late ones" in text


def test_lacomblez_is_not_called_missed() -> None:
    """Log-rank P = 0.076, adjusted P = 0.002, and no word on which was to decide (Lancet 1996;347:1425, abstract)."""
    record = load_record("lacomblez1996")
    assert read(record).verdict == "not stated"
    formal = record.result("surv_100_w78")
    named = formal.model_copy(update={"p": tuple(p.model_copy(update={"status": "formal"}) for p in formal.p[:1])})
    results = tuple(named if r.id == named.id else r for r in record.results)
    assert read(record.model_copy(update={"results": results})).verdict == "missed"


def test_key_events_of_centaur_hold_permanent_ventilation_and_their_own_set() -> None:
    """87 and 48 people, events with permanent assisted ventilation (PubMed 35577511); table 2 names none."""
    record = load_record("centaur")
    for id in ("key_event_ole", "dthtr_ole", "hosp_ole"):
        assert record.result(id).set == "MITT"
    assert "permanent ventilation" in record.outcome(record.result("dthtr_ole").outcome).label
    assert "ventilation" not in record.outcome(record.result("dthtr_w24").outcome).label


def test_who_stayed_is_told_where_who_left_is_not() -> None:
    text = said("edaravone2017")
    assert "65 of 69 with edaravone and 58 of 68 with placebo went on" in text
    assert "does not say how many left" not in text


def test_the_survey_of_patients_stands_beside_the_threshold() -> None:
    assert "Meyer2026" in answers(page("edaravone2017"))["Is the effect large enough to matter to a patient?"]


def test_pooled_riluzole_is_told_in_sentences_and_to_patients() -> None:
    text = said("riluzole1994")
    assert "first two 0.80" not in text
    assert "three months more" in text
    assert "1,282 people" in text


def test_riluzole_pairs_no_pooled_figure_with_its_own() -> None:
    """Nine more alive in a hundred is the pooled figure; this trial alone counted sixteen."""
    decision = load_record("riluzole1994")
    text = " ".join(texts(page("riluzole1994"), "decision", "certainty"))
    sentence = next(s for s in re.split(r"[;:.] ", text) if "nine more alive" in s)
    assert "pooled" in sentence
    assert "sixteen" in sentence
    assert decision.result("surv_itt_w52").arms["riluzole"].value == 57


def test_counts_can_be_pooled_and_have_an_interval() -> None:
    """38 of 77 and 29 of 78 are an estimate; a page that computes their interval cannot say that there is none."""
    found = answers(page("riluzole1994"))
    pooled = next(a for q, a in found.items() if "meta-analyst use" in q)
    assert "38 of 77" in pooled
    assert "the record holds none" not in pooled
    precise = next(a for q, a in found.items() if "precise enough" in q)
    assert "includes no difference" in precise
    assert "gives no interval" not in precise
    assert "An estimate of the primary difference" not in said("riluzole1994")


def test_what_the_record_tells_is_not_called_unknown() -> None:
    text = said("riluzole1994")
    assert "neither the age nor the sex" not in text
    assert "does not say how many left" not in text
    assert "holds no results" not in said("masitinib_ab10015")


@pytest.mark.parametrize("name", ["centaur", "edaravone2017", "riluzole1994"])
def test_a_drug_tested_again_is_not_said_to_await_a_second_trial(name: str) -> None:
    found = answers(page(name))
    would = next(a for q, a in found.items() if q.startswith("Which evidence would change"))
    assert "A second randomised trial with the same outcome" not in would
    assert "Other trials have been run" in would


def test_an_extension_with_a_delayed_start_is_a_comparison() -> None:
    found = answers(page("centaur"))
    extension = next(a for q, a in found.items() if q.startswith("People in the extension"))
    assert "started early" in extension
    assert "only be compared with that of people outside" not in extension


def test_scores_after_death_are_said_to_be_imputed_only_where_they_were() -> None:
    assert "Scores after death or withdrawal are imputed" not in said("edaravone2017")


def test_centaur_survival_and_units() -> None:
    """Medians of 25.0 and 18.5 months belong to 0.56, not to the 24 weeks; pNfH is a concentration."""
    record = load_record("centaur")
    late = record.result("death_itt_ole")
    assert (late.arms["amx0035"].value, late.arms["placebo"].value, late.contrast.value) == (25.0, 18.5, 0.56)  # type: ignore[union-attr]
    heads = [plain(r.cells[0]) for n in walk(page("centaur")) if hasattr(n, "rows") for r in n.rows if r.heading]
    assert any("neurofilament heavy chain" in h and "pg/mL" in h for h in heads)
    assert any("ATLIS total strength" in h and "% of predicted a month" in h for h in heads)
    key = said("centaur", "findings")
    assert re.search(r"0\.56 \(0\.34 to 0\.92\)", key)


@pytest.mark.parametrize("name", ["phoenix", "mirocals", "masitinib_ab10015"])
def test_a_placebo_is_called_one(name: str) -> None:
    assert read(load_record(name)).control.label == "Placebo"


@pytest.mark.parametrize(("name", "met"), [("mirocals", False), ("masitinib_ab10015", True)])
def test_a_verdict_that_was_published_is_told(name: str, met: bool) -> None:
    assert read(load_record(name)).met is met
    assert "disagree" in said("mirocals") or name != "mirocals"


def test_a_comparison_of_two_schedules_says_nothing_of_the_drug() -> None:
    others = next(a for q, a in answers(page("edaravone2017")).items() if q.startswith("What have other trials"))
    assert "nobody was on placebo" in others
    line = others[others.index("MT-1186-A02") :].split("ADORE")[0]
    assert "did not find a benefit" not in line


def test_the_withdrawal_and_the_approvals_stand_on_every_page_of_the_drug() -> None:
    """One fact, one place: PHOENIX tells what CENTAUR's record holds; each page cites a source for it."""
    for name, words in (
        ("centaur", "Withdrew the drug"),
        ("phoenix", "Withdrew the drug"),
        ("riluzole1994", "December 1995"),
        ("edaravone2017", "5 May 2017"),
    ):
        assert words in said(name, "significance"), name
    assert all(
        r.confidence == "seen" for n in ("centaur", "edaravone2017", "riluzole1994") for r in load_record(n).regulatory
    )


def test_the_survival_threshold_is_one_in_every_trial() -> None:
    from equipoise.appraise.certainty.judgements import load_judgements

    found = set()
    for name in ("centaur", "riluzole1994", "valor"):
        for graded in load_judgements(load_record(name)).outcomes:  # type: ignore[union-attr]
            if graded.threshold is not None and graded.threshold.value and graded.threshold.value > 0.5:
                found.add(graded.threshold.value)
    assert found == {0.9}


@pytest.mark.parametrize("name", ["centaur", "edaravone2017"])
def test_a_page_with_a_threshold_does_not_say_that_size_cannot_be_judged(name: str) -> None:
    text = said(name)
    assert "cannot be called large or small" not in text
    assert "The judgements of this page take a difference of" in text


def test_a_number_of_people_that_was_not_read_is_not_told_as_one() -> None:
    assert "not stated people" not in said("edaravone2017")


# -- registry entries ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "shown"),
    [
        ("Meter (m)", "m"),
        ("Grams per deciliter", "g/dL"),
        ("Scores on a scale", "points"),
        ("Percentage of participants", "%"),
        ("participants", ""),
        ("% of predicted", "% of predicted"),
        ("Percentage 3-year cumulative incidence", ""),
        ("beats per minute", "beats/minute"),
        ("pg/mL", "pg/mL"),
    ],
)
def test_a_posted_unit_is_kept(unit: str, shown: str) -> None:
    assert units.said(unit) == shown


@pytest.mark.parametrize(
    ("weeks", "shown"),
    [(28, "week 28"), (156.5, "3 years"), (52.2, "12 months"), (26.1, "6 months"), (25.7, "day 180")],
)
def test_a_time_is_told_as_it_was_meant(weeks: float, shown: str) -> None:
    assert load_record("valor").when(weeks) == shown


def test_names_keep_their_capitals_in_a_title() -> None:
    said_so = title_words("Change From Baseline in Kansas City Cardiomyopathy Questionnaire Total Symptom Score")
    assert said_so.startswith("change from baseline in Kansas City Cardiomyopathy")


@pytest.mark.parametrize(
    ("text", "label"),
    [
        (
            "The immune response analysis set (IRS) included all randomized participants.",
            "Immune response analysis set",
        ),
        ("Full Analysis Set: All participants that were randomized.", "Full analysis set"),
        ("Intent-to-Treat (ITT) Population comprised all randomized participants.", "Intent-to-treat population"),
        ("ITT Population. Only those participants with data available were analyzed.", "ITT population, with data"),
    ],
)
def test_a_population_is_called_by_its_name(text: str, label: str) -> None:
    assert population_label(text) == label


def untested() -> dict[str, object]:
    entry = study()
    outcome(entry)["description"] = "There was no planned statistical hypothesis testing between the groups."
    del outcome(entry)["analyses"]
    return entry


def test_an_outcome_without_a_planned_test_is_described_not_judged() -> None:
    record = import_study(untested()).record
    assert read(record).untested
    text = " ".join((*texts(appraise(record), "brief"), *texts(appraise(record), "bottom-line")))
    assert "Not tested" in text
    assert "does not say whether its primary endpoint was met" not in text


def test_a_test_of_superiority_that_found_no_difference_has_missed() -> None:
    entry = study()
    posted = outcome(entry)["analyses"][0]
    posted.update(nonInferiorityType="SUPERIORITY", pValue="0.366")
    assert read(import_study(entry).record).met is False
    posted.update(pValue="0.01")  # which way is better is not for us to guess
    assert read(import_study(entry).record).met is None
    posted.update(nonInferiorityType="OTHER", pValue="0.366")
    assert read(import_study(entry).record).met is None


def test_criteria_are_told_without_marks_and_escapes() -> None:
    entry = study()
    first(entry)  # the entry is one that the module knows
    module = entry["protocolSection"]["eligibilityModule"]
    module.update(minimumAge="18 Years", maximumAge="64 Years", sex="ALL")
    module["eligibilityCriteria"] = (
        "Inclusion Criteria:\n\n1. Score \\>= 8\n2. Consent\n\nExclusion Criteria:\n\n* None"
    )
    criteria = [c.text for c in import_study(entry).record.eligibility]
    assert "18 to 64 years" in criteria
    assert "Score >= 8" in criteria
    assert not any(re.match(r"^(\d+[.)]|\*)\s", c) for c in criteria)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared registry entries are not here (EQUIPOISE_SHARED)")
def test_reference_non_inferior_haemoglobin_has_unit_and_direction() -> None:
    """NCT03029208: -0.10 g/dL, margin -0.75 g/dL: lower is worse, and one outcome is no reason to switch."""
    document = appraise(read_study(str(SHARED / "NCT03029208.json")).record)
    text = " ".join((*texts(document, "brief"), *texts(document, "bottom-line")))
    assert re.search(r"\N{MINUS SIGN}0\.10 g/dL", text)
    assert "which way is better" not in text
    assert "Lower values count as worse" in text
    assert "can take the place of" not in text
    strength = next(a for q, a in answers(document).items() if q.startswith("How strong a recommendation"))
    assert "cannot be read" not in strength


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared registry entries are not here (EQUIPOISE_SHARED)")
def test_reference_people_behind_a_posted_percentage_give_a_difference() -> None:
    """NCT02210780: 83.3 % of 90 is 75 people, 83.7 % of 92 is 77; a survival estimate is no count."""
    text = " ".join(texts(appraise(read_study(str(SHARED / "NCT02210780.json")).record), "brief"))
    assert "\N{MINUS SIGN}0.4" in text
    assert "percentage points" in text
    text = " ".join(texts(appraise(read_study(str(SHARED / "NCT00567567.json")).record), "brief"))
    assert "percentage points" not in text
    assert "3 years" in text
    assert "156.5" not in text


@pytest.mark.parametrize(
    ("x", "places", "shown"), [(60.5, 0, "61"), (61.5, 0, "62"), (0.125, 2, "0.13"), (2.675, 2, "2.68")]
)
def test_property_halves_are_rounded_up(x: float, places: int, shown: str) -> None:
    assert numbers.number(x, places) == shown
    assert numbers.number(-x, places) == f"{numbers.MINUS}{shown}"
    assert numbers.percent(0.285) == f"29{numbers.THIN}%"


def test_property_shares_of_a_hundred_have_their_halves_rounded_up_in_notes_too() -> None:
    """23 of 40 are 57.5 %: 58, in prose, in notes of coherence and in stored tables."""
    assert of_hundred(23, 40, 0) == numbers.in_percent(23 / 40) == "58"
    assert of_hundred(49, 400) == numbers.in_percent(49 / 400, 1) == "12.3"


def test_no_share_of_the_page_is_formatted_by_pythons_rounding() -> None:
    """Formats such as ``.0f`` send halves to the even digit; what a page prints goes through one function."""
    page_code = [SOURCE / "appraise", SOURCE / "records" / "coherence"]
    found = [
        f"{path.name}: {line.strip()}"
        for folder in page_code
        for path in folder.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"\{100(?:\.0)? \* [^}]*:\.\d[f%]|:\.\d%\}", line)
    ]
    assert found == []


@pytest.mark.parametrize("name", ["valor", "riluzole1994", "centaur"])
def test_deaths_are_critical_wherever_they_were_recorded(name: str) -> None:
    judged = load_judgements(load_record(name))
    assert judged is not None
    critical = [o.label for o in judged.outcomes if o.importance == "critical"]
    assert any(re.search("[Dd]eath|[Ss]urviv", label) for label in critical)


def test_a_form_of_judgements_asks_for_deaths_where_they_were_counted() -> None:
    """By the counts of deaths alone: a composite of death and something else is none, nor is who left by dying."""
    record = import_study(study()).record
    found = read(record)
    counts = found.deaths(alone=True)
    assert counts is not None
    text = form(record)
    assert "label: Deaths" in text
    pair = [counts.address(a.id) for a in (found.active, found.control)]
    assert f"counts: {{active: {pair[0]}, control: {pair[1]}}}" in text
    riluzole = read(load_record("riluzole1994"))
    assert riluzole.deaths(alone=True) is None
    assert riluzole.deaths().label == "Death or tracheostomy"


def test_independent_deaths_of_valor_are_those_of_everyone_in_the_randomised_period() -> None:
    """1 of 72 and 0 of 36 by week 28 (FDA p.86), and not those of a part of the patients or of the open period."""
    counts = read(load_record("valor")).deaths()
    assert [(v.value, v.total) for v in (counts.active, counts.control)] == [(1, 72), (0, 36)]


def test_riluzole_tells_the_threshold_of_its_judgements() -> None:
    text = said("riluzole1994")
    assert "cannot be called large or small" not in text
    assert re.search(r"judgements of this page take 5 percentage points as the smallest effect that matters", text)


def test_an_analysis_of_variance_is_called_one() -> None:
    for document in (page("edaravone2017"), in_brief("edaravone2017")):
        words = " ".join(texts(document))
        assert "nalysis of variance" in words
        assert not re.search(r"ANCOVA|nalysis of covariance", words)


def test_an_axis_of_a_forest_plot_has_one_unit() -> None:
    panels = [p for n in walk(page("centaur")) if isinstance(n, Forest) for p in n.panels]
    mine = {p.axis: [i.estimate for i in p.intervals] for p in panels if p.title.startswith("ALSFRS-R total")}
    assert mine == {"difference, points a month": [0.42], "difference, points": [2.32]}
    assert len({p.title for p in panels}) == len(panels)


def test_rows_of_the_landscape_say_whose_controls_they_count() -> None:
    document = landscape("als", [load_record(info.name) for info in list_records()])
    tables = {n.id: n for n in walk(document) if isinstance(n, Table)}

    def people(table: str, trial: str) -> list[str]:
        return [plain(r.cells[-1]) for r in tables[table].rows if trial in plain(r.cells[0]).lower()]

    assert people("t-function", "verdiperstat") == ["126 and 41, own placebo group"]
    assert people("t-rates", "verdiperstat") == ["126 and 164, shared controls"]
    assert people("t-nfl", "centaur") == ["87 and 48"]


def test_digits_of_a_simulated_share_end_at_its_error() -> None:
    assert share_places(0.952, 0.005) == share_places(0.06, 0.005) == 0
    assert share_places(0.014, 0.0026) == 1
    coarse = Answer("a", "works", "How often?", 0.062, 0.005, 2000, "", "")
    assert share_told(coarse) == numbers.percent(0.06, 0)


@pytest.mark.parametrize("name", [info.name for info in list_records()])
def test_costs_are_judged_only_where_a_price_was_read(name: str) -> None:
    judged = load_judgements(load_record(name))
    if judged is None or judged.decision is None:
        pytest.skip("nothing is judged of this trial")
    costs = judged.decision.criteria["resources"]
    assert costs.judgement in ("unknown", "varies") or (costs.refs and "no price" not in costs.reason)


# -- what a second, hostile reading found --------------------------------------------------------------------------


def second_trial(name: str) -> str:
    fold = next(n for n in walk(page(name)) if isinstance(n, Fold) and n.id == "second-trial")
    return plain(fold.title) + " " + " ".join(" ".join(plain(r) for r in runs_of(b)) for b in fold.blocks)


def test_a_trial_that_came_before_is_not_told_as_one_that_followed() -> None:
    """MCI186-16 was run before MCI186-19: it was not started because MCI186-19 looked good."""
    text = second_trial("edaravone2017")
    assert "earlier trial, predicted backwards" in text
    assert "second trial is usually run" not in text
    assert "second trial is usually run" in second_trial("centaur")
    trials = {t["id"]: t["earlier"] for t in stored()["trials"]}
    assert [name for name, earlier in trials.items() if earlier] == ["mci186_16"]


def test_every_prediction_tells_what_it_assumes() -> None:
    """ATLAS is predicted from death or ventilation in manifest disease, and asks for the onset of disease."""
    field = landscape("als", [i.record for i in list_records() if i.record is not None])
    there = " ".join(texts(field, "second-trials"))
    for t in stored()["trials"]:
        assert t["assumed"] in there
        assert t["assumed"] in second_trial(t["first"]["record"]), t["id"]
    assert "stands for that on manifest disease before symptoms" in there


def test_a_gap_that_chance_could_make_is_not_called_no_benefit() -> None:
    """MCI186-17: 2.79 points, p = 0.072; an estimate without a verdict of its own shows no absence of benefit."""
    related = {t.id: t for t in load_record("edaravone2017").related}
    assert related["rel_17"].direction == "not_conclusive"
    card = said("edaravone2017", "related")
    assert "Not conclusive" in card
    for info in list_records():
        for t in load_record(info.name).related:
            told = t.result.text
            assert t.direction != "no_benefit" or "not met" in told or "no difference" in told, (info.name, t.id)


def test_that_riluzole_fades_is_no_fact() -> None:
    """The posterior leaves the half-life of the effect open: it may fade."""
    text = said("riluzole1994")
    assert "effect fades with time" not in text
    assert "are what non-proportional hazards look like" not in text
    assert "may fade with time; the data do not establish it" in text


def test_centaur_compares_early_with_delayed_start_two_to_one() -> None:
    record, text = load_record("centaur"), said("centaur")
    assert record.design.allocation == {"amx0035": 2, "placebo": 1}
    assert "placebo half" not in text
    assert "of the placebo group later took the drug" in text
    # no plan of the survival analysis was read
    assert "beside the planned analysis" not in text


def test_a_joint_analysis_is_of_trials_with_placebo() -> None:
    """MT-1186-A02 compared two schedules: pooling all trials would add nothing of it."""
    assert "analysis of the placebo-controlled trials together" in said("edaravone2017")
    assert "pooled analysis of all of them" not in said("edaravone2017")


def test_carrying_forward_is_not_said_to_flatter_the_drug() -> None:
    """65 of 69 on edaravone and 58 of 68 on placebo went on: the control arm lost more."""
    text = said("edaravone2017")
    assert "the arm that people leave earlier" not in text
    assert "loses more people, or loses them earlier, be it the drug's or the control" in text


def test_people_who_were_not_all_randomised_are_labelled() -> None:
    """VITALITY-ALS gives its neurofilament subset alone, ORARIALS-01 those analysed."""
    field = landscape("als", [i.record for i in list_records() if i.record is not None])
    rows = next(n for n in walk(field) if isinstance(n, Table) and n.id == "t-timeline").rows
    people = {plain(r.cells[0]): plain(r.cells[-1]) for r in rows}
    assert people["VITALITY-ALS"] == "262 (the neurofilament subset)"
    assert people["ORARIALS-01"] == "239 (those analysed)"
    assert people["HIMALAYA"] == "about 300"
    assert "About 300 people took part" in said("himalaya")
    for name in ("vitality_als", "orarials01"):
        assert "how many were randomised was not read" in said(name)
        assert not any(s.n for s in load_record(name).sets if s.label == "All randomised")
    assert people["CENTAUR"] == "137"
    assert "or of plain means where a row is called approximate" in " ".join(texts(field, "neurofilament"))
