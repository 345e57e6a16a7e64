"""What VALOR's page must tell, held against its record, its scenario and its stored studies."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from scipy import integrate, stats

from equipoise.appraise import appraise, in_brief, in_slides, joint_power, posterior
from equipoise.calibrate.plan import load_plan
from equipoise.document.document import Cited, Document, Table, plain, walk
from equipoise.records import load_record
from equipoise.records.schema import Record
from equipoise.render import render
from equipoise.replica import rebuild
from equipoise.replica.replica import Replica
from equipoise.simulate import Mechanism, Scenario, load_scenario

sys.path.insert(0, str(Path(__file__).parents[1] / "render"))

from reading import visible

BROWSER = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)


@cache
def replica() -> Replica:
    return rebuild.replicate(load_record("valor"), load_scenario("valor"), replicates=4, seed=3)


@cache
def rebuilt() -> Document:
    return appraise(load_record("valor"), replica())


@pytest.fixture
def scenario() -> Scenario:
    return load_scenario("valor")


def bare(node: Any) -> str:
    return " ".join(plain(node).replace("\N{NARROW NO-BREAK SPACE}", " ").split())


def table(page: Document, id: str) -> Table:
    return next(t for t in walk(page.sections) if isinstance(t, Table) and t.id == id)


def answer(page: Document, ask: str) -> str:
    text = re.sub(r"\]\[[^\]]*\]|[\[\]]", "", render(page, "md")).replace("\N{NARROW NO-BREAK SPACE}", " ")
    start = text.index(f"**Question.** {ask}")
    return text[start : text.index("**Question.**", start + 5)]


# -- works as fitted -----------------------------------------------------------------------------------------------


def test_property_works_as_fitted_says_what_is_assumed_and_what_was_fitted(scenario: Scenario) -> None:
    effect = scenario.mechanisms[Mechanism.LAGGED].effect
    made = replica()
    assert made.effect == {"weight": effect.weight, "lag": effect.lag}
    assert made.assumed == ("weight",)
    assert effect.weight == 1.0
    text = bare(rebuilt().section("replica").blocks[0].content)
    assert f"all loss of function is assumed to follow the injury that the drug lessens, {effect.lag:.1f} weeks" in text
    assert any("is assumed, not fitted" in note for note in made.notes)


def test_property_the_lag_that_fits_best_stands_beside_that_of_the_posterior(scenario: Scenario) -> None:
    found = posterior.stored("valor")
    assert found is not None
    lag = next(p for m in found.mechanisms for p in m.effects if p.place == "effect.lag")
    fitted = scenario.mechanisms[Mechanism.LAGGED].effect.lag
    assert lag.fit == pytest.approx(fitted, rel=1e-3)
    assert lag.low < fitted < lag.median  # not a contradiction: the one lies in the interval of the other
    both = [f"{fitted:.1f} weeks", f"{lag.median:.0f} weeks"]
    lead = bare(rebuilt().section("replica").blocks[0].content)
    text = render(rebuilt(), "md")
    planner = re.sub(r"\]\[[^\]]*\]|[\[\]]", "", text[text.index("For whoever plans the next trial") :][:900])
    for told in (lead, planner):
        assert all(each in told for each in both), told
    assert "best fit 2.38713" in posterior.printed("valor")


def test_property_a_replica_of_another_lag_is_not_told_the_posterior_of_this_one() -> None:
    other = replace(replica(), effect={"weight": 1.0, "lag": 12.0})
    text = bare(appraise(load_record("valor"), other).section("replica").blocks[0].content)
    assert "12.0 weeks later" in text
    assert "the median is" not in text


def test_property_a_saved_replica_keeps_its_effect_and_an_older_one_is_still_read() -> None:
    made = replica()
    data = made.to_dict()
    assert Replica.from_dict(data).effect == made.effect
    older = {k: v for k, v in data.items() if k not in ("effect", "assumed")}
    assert Replica.from_dict(older).effect == {}


def test_property_the_spread_that_was_set_is_what_its_ranges_imply(scenario: Scenario) -> None:
    held = next(h for h in load_plan("valor").held if "time since onset" in h)
    low, high, n, low_2, high_2, n_2 = (
        float(x)
        for x in re.findall(r"([\d.]+) to ([\d.]+)(?: months)? in (\d+)", held)[0]
        + re.findall(r"([\d.]+) to ([\d.]+)(?: months)? in (\d+)", held)[1]
    )
    onset = next(b for b in load_record("valor").baseline if b.variable == "ONSETMO")
    ranges = [v.range or (0, 0) for v in onset.values["S"].values()]
    assert {(low, high), (low_2, high_2)} == {(float(a), float(b)) for a, b in ranges}

    def span(size: float) -> float:
        """The mean range of a standard normal sample (Tippett 1925)."""
        outside = integrate.quad(lambda x: 1 - stats.norm.cdf(x) ** size - stats.norm.sf(x) ** size, -9, 9)
        return float(outside[0])

    assert f"{span(n):.1f} and {span(n_2):.1f} SD" in held
    implied = (n * math.log(high / low) / span(n) + n_2 * math.log(high_2 / low_2) / span(n_2)) / (n + n_2)
    assert implied == pytest.approx(scenario.groups["S"].ln_onset_sd, abs=0.05)
    assert f"set to {scenario.groups['S'].ln_onset_sd:g}" in held


# -- counts with their dates ---------------------------------------------------------------------------------------


def test_property_counts_after_the_randomised_period_have_a_date(valor: Record, page: Document) -> None:
    made = table(page, "t-events")
    dates = {"jul2021": "16 July 2021", "jan2022": "16 January 2022", "feb2023": "28 February 2023"}
    names = [bare(row.cells[0]) for row in made.rows]
    late = [e for e in valor.events if e.week is None]
    assert late
    for event in late:
        named = [n for n in names if n.startswith(event.label + ",")]
        assert any(n.endswith(f"data of {dates[event.cut or '']}") for n in named), event.id
    assert all("to week" in n or "data of" in n for n in names)
    assert "the column Placebo is then the delayed start" in bare(made.caption)


def test_property_deaths_on_study_are_no_more_than_those_after_withdrawal_too(valor: Record) -> None:
    """Two counts of the same date: 6 and 8 deaths on study, 11 and 12 with those after withdrawal."""
    whole = next(e for e in valor.events if e.id == "ev_death_any_jan2022")
    on_study = next(r for r in valor.results if r.outcome == "DEATH" and r.cut == "jan2022" and r.set == "ITT")
    for arm, value in whole.values["ITT"].items():
        own = on_study.arms[arm]
        assert (own.total, own.value) <= (value.total, value.value)
        assert float(own.value or 0) < float(value.value or 0)


def test_property_a_share_of_a_hundred_is_cited_as_a_share(page: Document) -> None:
    """``46 in 100`` had headache: neither number is the dose of 100 mg."""
    shown = [
        n
        for part in walk(page.section("questions"))
        for n in getattr(part, "content", ()) or ()
        if isinstance(n, Cited) and n.text in ("46 in 100", "44 in 100")
    ]
    assert len(shown) >= 3
    places = {c.id: (c.source, c.place) for c in page.citations}
    assert {places[ref] for n in shown for ref in n.refs} == {("FDA", "p.90")}


def test_property_the_events_of_the_survival_sentence_have_their_date(valor: Record, page: Document) -> None:
    published = next(r for r in valor.results if r.id == "dthpv_itt_jan2022_nfl")
    assert published.cut == "jan2022"
    text = re.sub(r"\]\[[^\]]*\]|[\[\]]", "", render(page, "md"))
    assert "In everyone randomised, by 16 January 2022, there were events in 12 of 72 people who started early" in text


def test_property_a_count_of_deaths_in_words_has_its_period(page: Document) -> None:
    """One death in the randomised period, eight by January 2022: without a period the counts contradict each other."""
    text = re.sub(r"\]\[[^\]]*\]|[\[\]]", "", render(page, "md"))
    said = re.findall(r"Death([^:.|\n]*): 1 of 72 with tofersen", text)
    assert said
    assert set(said) == {" in the randomised period"}


# -- the patient ---------------------------------------------------------------------------------------------------


def test_property_the_patient_is_told_the_harms_of_the_puncture(valor: Record, page: Document) -> None:
    text = answer(page, "What harm could it do?")
    for id, name in (
        ("ae_procedural_pain", "Pain from the procedure"),
        ("ae_headache", "Headache"),
        ("ae_post_lp", "Headache and other trouble after a lumbar puncture"),
    ):
        arms = next(e for e in valor.adverse_events if e.id == id).arms
        a, c = arms["tofersen"], arms["placebo"]
        assert f"{name}: {a.value} of {a.total} people with tofersen and {c.value} of {c.total} with placebo" in text
    assert "cannot show how much the procedure itself does" in text
    common = max(
        (e for e in valor.adverse_events if e.category in ("procedure", "symptom") and "tofersen" in e.arms),
        key=lambda e: float(e.arms["tofersen"].value or 0) / float(e.arms["tofersen"].total or 1),
    )
    assert common.id == "ae_procedural_pain"  # the commonest harm of all is among them


def test_property_a_fair_test_names_the_imbalance(valor: Record, page: Document) -> None:
    text = answer(page, "Was it a fair test?")
    item = next(i for i in valor.items if i.id == "nfl_imbalance")
    assert f"began with {item.values['relative_to_placebo'].value} % more neurofilament in the blood" in text
    assert "may have made tofersen look worse than it is" in text
    nfl = next(b for b in valor.baseline if b.variable == "NFL" and b.statistic == "geometric_mean").values["F"]
    ratio = float(nfl["tofersen"].value or 0) / float(nfl["placebo"].value or 1)
    assert round(100 * (ratio - 1)) == item.values["relative_to_placebo"].value
    assert "coin" not in text  # two to one is no toss of a coin


def test_property_other_records_are_told_no_imbalance_and_no_puncture() -> None:
    page = appraise(load_record("centaur"))
    assert "does not always make groups alike" not in answer(page, "Was it a fair test?")
    assert "the procedure itself" not in answer(page, "What harm could it do?")


# -- the surrogate -------------------------------------------------------------------------------------------------


def test_property_the_table_of_the_field_names_each_marker(page: Document) -> None:
    made = table(page, "t-surrogate-field")
    by_name = {bare(row.cells[0]).split(",")[0]: [bare(c) for c in row.cells[1:]] for row in made.rows}
    assert by_name["VALOR"][0] == "Plasma neurofilament light chain"
    assert by_name["CENTAUR"][0] == "Plasma phosphorylated neurofilament heavy chain"
    assert "approximate" in by_name["CENTAUR"][-1]
    assert "light and heavy chain are taken together" in bare(made.caption)
    assert all("neurofilament" in cells[0].lower() for cells in by_name.values())


# -- shares and chances --------------------------------------------------------------------------------------------


def test_property_shares_of_either_side_claim_nothing_of_the_shares_above() -> None:
    made = replica()
    formal = [a for a in made.answers if a.kind == "formal"]
    assert formal
    assert all("on either side" in a.question for a in formal)
    heads = [bare(r.cells[0]) for r in table(rebuilt(), "t-answers-more").rows if r.heading]
    assert any("in favour of the drug or against it" in h for h in heads)
    assert not any("above" in h for h in heads)


def test_property_the_power_of_the_rank_test_says_which_run_it_is_of(page: Document) -> None:
    found = joint_power.stored("valor")
    assert found is not None
    text = answer(page, "Would a joint model of function and survival have found what the planned test missed?")
    assert f"In {found['replicates']} trials simulated for this question alone" in text
    assert "in favour of the drug or against it" in text


def test_property_a_share_of_a_distribution_is_said_as_a_share_of_trials(page: Document) -> None:
    text = answer(page, "What exactly was measured, and would a patient notice it?")
    assert "an estimate of 1.2 or less would come in 18 % of such trials" in text
    se = (5.53 + 3.19) / (2 * stats.norm.ppf(0.975))
    assert round(100 * stats.norm.cdf((1.2 - 3.24) / se)) == 18
    assert "confidence distribution" not in render(page, "md")


def test_property_a_sceptical_reading_speaks_of_luck_and_not_of_absence(page: Document) -> None:
    text = render(page, "md")
    assert "is not there" not in text
    assert "of the estimate for luck" in text


def test_property_a_lean_of_checks_is_not_called_more_than_chance() -> None:
    weak = tuple(replace(r, simulated=0.5 * r.published) if r.scale == "difference" else r for r in replica().rows)
    text = render(appraise(load_record("valor"), replace(replica(), rows=weak)), "md")
    assert "do not miss at random" not in text
    assert "They lean to one side" in text
    assert "or it is chance" in text
    kept = [r for r in replica().rows if r.use == "check" and r.scale == "difference"]
    assert stats.binomtest(7, 9).pvalue > 0.05  # what the page of 500 trials counts
    assert len(kept) >= 7


def test_the_words_in_sight_of_the_rebuilt_page_are_few() -> None:
    """The page as it is made, not one with a made-up replica of fewer rows."""
    assert len(visible(render(rebuilt()), sections=True).split()) <= 6000


# -- the brief and the deck ------------------------------------------------------------------------------------------


def test_property_the_brief_says_what_as_fitted_means(scenario: Scenario) -> None:
    text = render(in_brief(load_record("valor"), replica()), "md")
    lag = scenario.mechanisms[Mechanism.LAGGED].effect.lag
    assert f"is assumed to follow the injury that the drug lessens, {lag:.1f} weeks later" in text


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on the path")
def test_the_brief_of_the_rebuilt_trial_prints_on_one_side(tmp_path: Path) -> None:
    file, out = tmp_path / "b.html", tmp_path / "b.pdf"
    file.write_text(render(in_brief(load_record("valor"), replica())), encoding="utf-8")
    quiet = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--no-pdf-header-footer")
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    command = [str(BROWSER), *quiet, profile, f"--print-to-pdf={out}", file.as_uri()]
    subprocess.run(command, check=True, capture_output=True, timeout=180)
    assert len(re.findall(rb"/Type\s*/Page(?!s)", out.read_bytes())) == 1


def test_property_a_table_of_harms_promises_no_column_that_it_lacks() -> None:
    for page in (rebuilt(), in_slides(load_record("valor"), replica())):
        for made in (t for t in walk(page.sections) if isinstance(t, Table) and "Adverse events" in bare(t.caption)):
            heads = [bare(c) for c in made.columns]
            needed = "Number needed to harm" in heads
            assert ("treated for one more" in bare(made.caption)) == needed
            if needed:
                assert any(bare(row.cells[-1]) != "–" for row in made.rows if not row.heading)
            assert "in the randomised period" in bare(made.caption)


def test_property_the_slide_of_the_rebuilt_trial_says_what_its_shares_are_of() -> None:
    deck = in_slides(load_record("valor"), replica())
    made = next(t for t in walk(deck.sections) if isinstance(t, Table) and t.id == "t-slide-answers")
    assert "meet its primary endpoint" in bare(made.columns[0])  # the head of the column: headings are not drawn
    assert not any(r.heading for r in made.rows)
    assert len(made.rows) >= 5
    assert "stands in the bottom line" not in render(deck, "md")
