"""What a page says at a glance, what it folds away, and what its tables call the values of the arms."""

from __future__ import annotations

import re
from functools import cache

import pytest

from equipoise.appraise import appraise
from equipoise.appraise.certainty import rating
from equipoise.appraise.sections import certainty
from equipoise.document.document import (
    Document,
    Facts,
    Figure,
    Fold,
    Link,
    Listing,
    Note,
    Stat,
    Stats,
    Table,
    plain,
    walk,
)
from equipoise.records import Record, load_record
from equipoise.replica.replica import Replica

SEEDS = ("valor", "riluzole1994", "edaravone2017", "centaur")


@cache
def page_of(name: str) -> Document:
    return appraise(load_record(name))


def glance(page: Document) -> dict[str, Stat]:
    stats = next(n for n in walk(page.section("brief")) if isinstance(n, Stats))
    return {plain(s.label): s for s in stats.items}


def heads(page: Document, table: str) -> list[str]:
    found = next(n for n in walk(page) if isinstance(n, Table) and n.id == table)
    return [plain(r.cells[0]) for r in found.rows if r.heading]


@pytest.mark.parametrize("name", SEEDS)
def test_verdict_and_certainty_are_figures_and_the_recommendation_is_none(name: str) -> None:
    """An illustration of one set of judgements is no finding: it stands in words below them, and says what it is."""
    page = page_of(name)
    found = glance(page)
    assert next(iter(found)) == "Primary endpoint"
    assert list(found)[-1] == "Certainty of the evidence"
    assert not any("recommendation" in label for label in found)
    level = found["Certainty of the evidence"].value[0]
    facts = {plain(t): s for n in walk(page.section("brief")) if isinstance(n, Facts) for t, s in n.items}
    illustration = facts["A recommendation, as an illustration"]
    assert "an illustration, no finding" in plain(illustration)
    advice = next(run for run in illustration if isinstance(run, Link))
    assert isinstance(level, Link)
    assert isinstance(advice, Link)
    assert (level.target, advice.target) == ("#certainty", "#decision")
    # the same level and the same strength as the section gives
    text = "".join(plain(b.content) for b in page.section("certainty").blocks if hasattr(b, "content"))
    assert f"the certainty is {plain(level.content).lower()}." in text
    shown = [n for n in walk(page.section("decision")) if isinstance(n, Note)]
    assert {n.tone for n in shown} == {"illustration"}
    notes = [plain(n.title) for n in shown]
    said = plain(advice.content)
    if said == "no recommendation either way":
        assert notes == [f"As an illustration: {said}"]
    else:
        assert notes[0] == f"As an illustration: a {said}"


def test_a_trial_that_nobody_judged_says_so(tiny: Record) -> None:
    value = glance(appraise(tiny))["Certainty of the evidence"].value[0]
    assert isinstance(value, Link)
    assert plain(value.content) == "Not judged"


def test_the_level_is_the_lowest_over_the_critical_outcomes() -> None:
    from equipoise.appraise.build import draft

    for name in SEEDS:
        level, advice = certainty.overview(draft(load_record(name)))
        assert level in rating.LEVELS
        assert advice is not None


def test_counts_stand_in_for_a_contrast_that_the_record_does_not_have() -> None:
    found = glance(page_of("riluzole1994"))
    value = found["Alive without tracheostomy at end of follow-up (median 573 days)"]
    assert plain(value.value) == "38 of 77"
    assert plain(value.remark) == "with riluzole; 29 of 78 with placebo"


def test_medians_are_called_so_with_their_unit() -> None:
    assert any(h.endswith(", median, days") for h in heads(page_of("riluzole1994"), "t-beside"))


def test_values_of_two_kinds_at_one_time_are_told_apart() -> None:
    found = heads(page_of("centaur"), "t-results")
    assert found == [
        "ALSFRS-R total score, week 24, rate of change, points a month",
        "ALSFRS-R total score, week 24, adjusted mean, points",
    ]


def test_one_kind_of_value_needs_no_word() -> None:
    assert heads(page_of("valor"), "t-results")[0] == "ALSFRS-R total score, week 28, points"


def test_the_figures_of_curves_say_what_points_and_bands_are(full_page: Document, replica: Replica) -> None:
    figures = {n.id: n for n in walk(full_page) if isinstance(n, Figure)}
    randomised = plain(figures["fig-curves"].caption)
    assert "points with one standard error" in randomised
    assert f"95 % range of {replica.replicates:,} simulated trials" in re.sub(r"\s", " ", randomised)
    assert plain(figures["fig-curves"].table.caption) == "The values drawn, by week."


def test_what_is_secondary_is_folded(page: Document) -> None:
    inside = {
        f.id: {n.id for n in walk(f.blocks) if isinstance(n, Table | Figure)} for f in walk(page) if isinstance(f, Fold)
    }
    assert {"fig-later", "t-later"} <= inside["after-switch"]
    assert "t-safety-more" in inside["harms-more"]
    assert inside["design-more"] == set()
    assert not any("fig-forest" in held for held in inside.values())
    assert "t-results" in inside["randomised"]  # the forest plot shows it


def test_a_disputed_verdict_is_called_so_wherever_it_is_told() -> None:
    page = page_of("riluzole1994")
    assert plain(glance(page)["Primary endpoint"].value) == "Disputed"
    first = next(n for n in walk(page.section("findings")) if isinstance(n, Listing)).items[0]
    assert plain(first).startswith("The primary endpoint is disputed.")


def test_conditions_of_surrogacy_follow_a_disputed_verdict(valor: Record) -> None:
    data = valor.model_dump(mode="json", exclude_defaults=True)
    primary = next(r for r in data["results"] if r["id"] == valor.primary_result)
    (formal,) = [p for p in primary["p"] if p.get("status") == "formal"]
    primary["p"].append({**formal, "value": 0.01})
    page = appraise(Record.model_validate(data))
    table = next(n for n in walk(page) if isinstance(n, Table) and n.id == "t-surrogacy")
    assert plain(table.rows[0].cells[1]).startswith("Disputed: ")
    assert "while the first condition is disputed" in plain(table.rows[3].cells[1])


def test_captions_of_a_page_are_unlike(page: Document) -> None:
    captions = [plain(n.caption) for n in walk(page) if isinstance(n, Table)]
    assert len(captions) == len(set(captions))


def test_long_criteria_of_a_registry_are_told_among_all_criteria(valor: Record) -> None:
    data = valor.model_dump(mode="json", exclude_defaults=True)
    first = next(c for c in data["eligibility"] if c["kind"] == "inclusion" and not c.get("set"))
    data["eligibility"].append({**first, "text": "walks " * 60})
    design = appraise(Record.model_validate(data)).section("design")
    facts = {plain(term): said for term, said in next(n for n in walk(design) if isinstance(n, Facts)).items}
    assert "walks walks" not in plain(facts["Population"])
    assert plain(facts["Population"]).endswith(". All criteria")
    assert any(isinstance(run, Link) and run.target == "#eligibility" for run in facts["Population"])
