"""Keys made from text and texts matched: two texts never become one in silence."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from registry_study import outcome, study

from equipoise.records.keys import Keys, alike, exact, matched, names
from equipoise.records.registry import import_study

APART = [
    ("Drug 1.0 mg", "Drug 10 mg"),
    ("Drug .5 mg", "Drug 5 mg"),
    ("Drug 1-2 mg", "Drug 12 mg"),
    ("A + B", "A B"),
    ("Age > 65", "Age < 65"),
    ("Age ≥ 65", "Age 65"),
    ("Arm 1 2", "Arm 12"),
    ("10 µg", "10 mg"),
    ("Группа А", "Группа Б"),
    ("1/2 dose", "12 dose"),
    ("5 %", "5"),
    ("Drug 1,5 mg", "Drug 15 mg"),
]
TOGETHER = [
    ("Dapa 10mg", "Dapa 10 mg"),
    ("Part A: Placebo", "part a placebo"),
    ("MK-0941", "MK0941"),
    ("5-10 mg", "5 – 10 mg"),
    ("5,000 IU", "5000 IU"),
    ("Ｄrug", "drug"),
]


@pytest.mark.parametrize(("one", "other"), APART)
def test_signs_that_tell_apart_are_kept(one: str, other: str) -> None:
    assert alike(one) != alike(other)
    keys = Keys()
    assert keys.of(one) != keys.of(other)


@pytest.mark.parametrize(("one", "other"), TOGETHER)
def test_spellings_of_one_title_agree(one: str, other: str) -> None:
    assert alike(one) == alike(other)


@given(st.lists(st.text(max_size=40), max_size=12))
def test_property_no_two_texts_have_one_key(texts: list[str]) -> None:
    keys = Keys("x", longest=6)
    made = {exact(t): keys.of(t) for t in texts}
    assert len(set(made.values())) == len(made)
    assert all(k.isascii() and k.replace("_", "a").isalnum() and k[0].isalpha() for k in made.values())
    assert {t: keys.of(t) for t in texts} == {t: made[exact(t)] for t in texts}


@given(st.lists(st.text("ab1. -", max_size=4), max_size=6), st.lists(st.text("ab1. -", max_size=4), max_size=6))
def test_property_nothing_is_matched_twice(titles: list[str], known: list[str]) -> None:
    found, near = matched(titles, known)
    taken = [k for k in found if k is not None]
    assert len(taken) == len(set(taken))
    assert all(alike(titles[i]) == alike(known[k]) for i, k in enumerate(found) if k is not None)
    assert all(alike(titles[i]) == alike(known[k]) for i, k in near)


def test_a_phrase_is_named_in_whole_words() -> None:
    assert names("LS mean at Week 12.", "Week 12")
    assert not names("LS mean at Week 12.", "Week 1")
    assert not names("Drug 100 mg against placebo", "Drug 10")


# -- the registry -----------------------------------------------------------------------------------------------------


def three_doses(*titles: str) -> dict[str, Any]:
    """The small entry with one more arm, the titles of all three as given, in every table."""
    entry = study()
    results = entry["resultsSection"]
    tables = [results[f"{module}Module"]["groups"] for module in ("participantFlow", "baselineCharacteristics")]
    tables.append(results["adverseEventsModule"]["eventGroups"])
    tables += [o["groups"] for o in results["outcomeMeasuresModule"]["outcomeMeasures"]]
    for groups in tables:
        third = copy.deepcopy(groups[0]) | {"id": groups[0]["id"][:2] + "009"}
        groups.insert(1, third)
        for group, title in zip(groups, titles, strict=False):
            group.update(title=title, description=f"Took {title}")
    cells = outcome(entry)["classes"][0]["categories"][0]["measurements"]
    cells.append({"groupId": "OG009", "value": "-9.9", "spread": "0.7"})
    flow = results["participantFlowModule"]["periods"][0]["milestones"][0]["achievements"]
    flow.append({"groupId": "FG009", "numSubjects": "33"})
    return entry


@pytest.mark.parametrize("titles", [("Drug 1.0 mg", "Drug 10 mg", "Placebo"), ("Drug", "Drug +", "Placebo")])
def test_arms_whose_titles_differ_in_a_sign_stay_two(titles: tuple[str, ...]) -> None:
    record = import_study(three_doses(*titles)).record
    assert [a.label for a in record.arms] == list(titles)
    first, second = record.arms[0].id, record.arms[1].id
    assert (record.arms[0].n.value, record.arms[1].n.value) == (40, 33)
    values = {k: v.value for r in record.find_results("PRIM1") for k, v in r.arms.items()}
    assert (values[first], values[second]) == (-2.0, -9.9)
    assert record.groups[0].label == "Total"


def test_two_groups_of_one_title_stay_two_and_both_are_named() -> None:
    done = import_study(three_doses("Drug 10 mg", "Drug 10 mg", "Placebo"))
    assert [a.id for a in done.record.arms] == ["drug_10_mg", "drug_10_mg_2", "placebo"]
    values = {k: v.value for r in done.record.find_results("PRIM1") for k, v in r.arms.items()}
    assert (values["drug_10_mg"], values["drug_10_mg_2"]) == (-2.0, -9.9)
    assert any("OG000 and OG009 have one title, 'Drug 10 mg': kept apart" in a.what for a in done.assumed)


def test_a_number_or_a_value_given_twice_is_told_and_the_first_is_kept() -> None:
    entry = study()
    outcome(entry)["groups"].append({"id": "OG000", "title": "Another"})
    outcome(entry)["classes"][0]["categories"][0]["measurements"].append({"groupId": "OG000", "value": "-99"})
    done = import_study(entry)
    assert done.record.result("r_prim1").arms["drug_10_mg"].value == -2.0
    why = [u.why for u in done.unmapped]
    assert any("'Another' has the number OG000 of 'Drug 10 mg'" in w for w in why)
    assert any("a second value for 'Drug 10 mg' in one row" in w for w in why)


def test_populations_and_reasons_that_differ_in_a_sign_stay_two() -> None:
    entry = study()
    for i, words in enumerate(("Age > 65", "Age < 65")):
        outcome(entry, i)["populationDescription"] = words
    period = entry["resultsSection"]["participantFlowModule"]["periods"][0]
    period["dropWithdraws"] = [
        {"type": f"QTc {sign} 500", "reasons": [{"groupId": "FG000", "numSubjects": n}]}
        for sign, n in ((">", "1"), ("<", "2"))
    ]
    record = import_study(entry).record
    assert [s.definition for s in record.sets[1:]] == ["Age > 65", "Age < 65"]
    assert [record.event(e, set="ALL", arm="drug_10_mg").value for e in ("LEFT_QTC_500", "LEFT_QTC_500_2")] == [1, 2]


@pytest.mark.parametrize(
    ("title", "frame", "week"),
    [
        ("Overall survival in participants aged 65 years or older", "Week 52", 52),
        ("Overall survival in participants aged 65 years or older", "Through study completion", None),
        ("Change from baseline in 7-day average pain score", "Baseline, Week 12", 12),
        ("Change in migraine days per 28-day period", "Month 6", 26.1),
        ("Change in 10-year cardiovascular risk score", "Until the end of the study", None),
        ("Number and 4-week rate of attacks", "Over 18 months follow-up period", 78.3),
        ("Change in score at Week 28", "Baseline, Weeks 8, 12, 28", 28),
        ("Change in score at Week 30", "Baseline, Weeks 8, 12, 28", None),
        ("Change in score at Week 28", None, 28),
        ("Change in score after 6 months", "Baseline and end of study", 26.1),
        ("Response", "7-day diary before Week 24", 24),
        ("Children (<2 years) with response", None, None),
    ],
)
def test_the_week_is_the_time_frames(title: str, frame: str | None, week: float | None) -> None:
    entry = study()
    outcome(entry).update(title=title)
    if frame is None:
        del outcome(entry)["timeFrame"]
    else:
        outcome(entry)["timeFrame"] = frame
    done = import_study(entry)
    assert done.record.outcome("PRIM1").week == week
    if week is not None:
        said = next(a for a in done.assumed if "outcomeMeasures[0]" in a.path and "read from the words" in a.what)
        words = frame if said.path.endswith("timeFrame") else title
        assert words is not None
        assert said.what == f"week {week:g} read from the words {words[:60]!r}"


def test_an_age_as_a_row_is_no_week() -> None:
    entry = study()
    classes = outcome(entry)["classes"]
    classes[0]["title"] = "65 years or older"
    classes.append(copy.deepcopy(classes[0]) | {"title": "18-64 years"})
    assert {r.week for r in import_study(entry).record.find_results("PRIM1")} == {24}
