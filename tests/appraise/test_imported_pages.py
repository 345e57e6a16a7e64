"""A page for every registry entry: what it asked, every primary outcome, any number of arms. Facts, not wordings."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "records"))

from registry_study import first, outcome, study
from test_facts import texts

from equipoise.appraise import appraise
from equipoise.document.document import Computed, walk
from equipoise.records.registry import import_study
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
