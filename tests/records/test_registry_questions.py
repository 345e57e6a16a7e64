"""What an entry says of question, margin, doses and intervals is read; an estimate has its analysis's name."""

from __future__ import annotations

import pytest
from registry_study import first, outcome, study

from equipoise.records import coherence_notes
from equipoise.records.registry import import_study
from equipoise.records.registry.groups import dose_of


def test_a_hodges_lehmann_estimate_belongs_to_its_rank_test() -> None:
    """The arms are least-squares means; the analysis is one rank test with its estimate."""
    entry = study()
    first(entry).update(
        statisticalMethod="Wilcoxon (Mann-Whitney)",
        paramType="Median Difference (Final Values)",
        estimateComment="Hodges-Lehmann estimate of the difference",
    )
    record = import_study(entry).record
    result = record.result("r_prim1")
    assert result.method == result.p[0].method
    assert record.method(result.method).gives == ("estimate", "p")
    assert "Least-squares" not in record.method(result.method).label


def test_an_odds_ratio_beside_least_squares_means_is_no_least_squares_estimate() -> None:
    entry = study()
    del first(entry)["statisticalMethod"]
    first(entry).update(paramType="Odds Ratio (OR)", paramValue="1.5", ciLowerLimit="1.1", ciUpperLimit="2.0")
    record = import_study(entry).record
    assert record.method(record.result("r_prim1").method).label == "Estimate posted beside: Odds Ratio (OR)"


def test_a_second_primary_outcome_is_kept_with_its_test() -> None:
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
    record = import_study(entry).record
    (second,) = record.find_results("PRIM2")
    assert record.outcome("PRIM2").role == "primary"
    assert (second.contrast.kind, second.contrast.value, second.p[0].value) == ("hazard_ratio", 0.62, 0.026)


def test_two_limits_of_a_one_sided_kind_cover_less_than_each() -> None:
    entry = study()
    first(entry).update(ciNumSides="ONE_SIDED", ciPctValue="97.5", pValueComment="1-sided")
    result = import_study(entry).record.result("r_prim1")
    assert (result.contrast.level, result.p[0].sides) == (0.95, "one")
    assert "one-sided interval; each limit of 97.5 %" in (result.contrast.note or "")
    first(entry).update(pValue="0.0082")
    assert coherence_notes(import_study(entry).record) == ()


@pytest.mark.parametrize(
    ("comment", "margin"),
    [
        ("Shown where the lower limit is above the non-inferiority margin of -0.75 g/dL.", (-0.75, "g/dL")),
        ("The margin was 15%.", (15, "%")),
        ("Margins of 5 and 10 were discussed; margin of 5 mg, margin of 10 mg", None),
        (None, None),
    ],
)
def test_the_question_and_its_margin_are_read(comment: str | None, margin: tuple[float, str] | None) -> None:
    entry = study()
    first(entry).update(nonInferiorityType="NON_INFERIORITY", **({"nonInferiorityComment": comment} if comment else {}))
    item = import_study(entry).record.item("question_r_prim1_a1")
    assert item.label == "Question of PRIM1: non-inferiority"
    found = item.values.get("margin")
    assert (None if found is None else (found.value, found.unit)) == margin


def test_sample_size_and_doses_are_read() -> None:
    entry = study()
    entry["protocolSection"]["descriptionModule"]["detailedDescription"] = (
        "A trial. The sample size of 60 gives 80% power for 2 points. Visits are monthly."
    )
    record = import_study(entry).record
    assert record.item("reg_sample_size").text == "The sample size of 60 gives 80% power for 2 points."
    dose = record.arm("drug_10_mg").dose
    assert (dose.value, dose.unit, dose.source) == (10, "mg", "CTG")
    assert record.arm("placebo").dose is None
    assert dose_of("5 mg or 10 mg") is None
    assert dose_of("Drug 1,000 IU") == {"value": 1000, "unit": "IU"}


@pytest.mark.parametrize("kind", ["two active", "one", "none"])
def test_any_number_of_arms_makes_a_sound_record(kind: str) -> None:
    entry = study()
    protocol, results = entry["protocolSection"], entry["resultsSection"]
    if kind == "two active":
        for arm, label in zip(protocol["armsInterventionsModule"]["armGroups"], ("Drug A", "Drug B"), strict=True):
            arm.update(label=label, type="ACTIVE_COMPARATOR")
    else:
        protocol["designModule"]["designInfo"]["allocation"] = "NA"
    if kind == "one":
        flow = results["participantFlowModule"]["groups"]
        del flow[1], outcome(entry)["groups"][1], outcome(entry)["analyses"]
    if kind == "none":
        del entry["resultsSection"], protocol["armsInterventionsModule"]
    record = import_study(entry).record
    assert len(record.arms) == {"two active": 2, "one": 1, "none": 1}[kind]
    coherence_notes(record)
