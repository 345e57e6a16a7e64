"""Answers of yes or no, ordered answers, counts, repeated events in a plan: numbers are those of the direct calls."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError
from test_plan_methods import block, trial

from equipoise import (
    cmh,
    count_regression,
    cox,
    gee,
    log_rank,
    logistic,
    proportional_odds,
    proportions,
    rates,
    recurrent,
)
from equipoise.errors import ScenarioError
from equipoise.estimate.result import Estimate
from equipoise.plan.key import Key
from equipoise.plan.results import Block
from equipoise.trial.adam import AdamStudy, from_frame

AT = "where: {AVISITN: 12}"
NO_PARAMETER = {"dataset": "ADAE", "parameter": None, "gather": ""}


def safety(n: int = 60, seed: int = 4) -> AdamStudy:
    """Subjects with a time on treatment, and adverse events with their days, classes and severities."""
    g = np.random.default_rng(seed)
    subjects, events = [], []
    for i in range(n):
        who, arm, days = f"S{i:03d}", ("Placebo", "Drug")[i % 2], float(g.integers(60, 200))
        subjects.append(
            {"USUBJID": who, "TRT01P": arm, "ITTFL": "Y", "TRTDURD": days, "AGE": float(g.integers(40, 80))}
        )
        for _ in range(int(g.poisson(0.8 + 0.7 * (i % 2)))):
            k = int(g.integers(0, 5))
            events.append(
                {
                    "USUBJID": who,
                    "ASTDY": float(g.integers(1, 210)),
                    "AEBODSYS": ("Nervous system", "Skin")[k > 2],
                    "AEDECOD": ("Headache", "Dizziness", "Tremor", "Rash", "Pruritus")[k],
                    "AESEV": ("MILD", "MODERATE", "SEVERE")[int(g.integers(0, 3))],
                    "AEREL": "NY"[int(g.integers(0, 2))],
                }
            )
    return AdamStudy({k: from_frame(pl.DataFrame(v), k) for k, v in {"ADSL": subjects, "ADAE": events}.items()})


@pytest.fixture(scope="module")
def study() -> AdamStudy:
    return trial()


@pytest.fixture(scope="module")
def harms() -> AdamStudy:
    return safety()


def number(found: Block, quantity: str, **place: str) -> Estimate:
    return found.numbers[Key(quantity, analysis="A1", **place)]


def week12(study: AdamStudy) -> pl.DataFrame:
    """One row a subject: arm (control first), sex, change and response at week 12, missing where there is no record."""
    people = study["ADSL"].frame.select("USUBJID", "TRT01P", "SEX")
    seen = study["ADEFF"].frame.filter(pl.col("AVISITN") == 12).select("USUBJID", "CHG", "BASE")
    arms = pl.col("TRT01P").cast(pl.Enum(["Placebo", "Drug"]))
    joined = people.join(seen, on="USUBJID", how="left", maintain_order="left").with_columns(arms)
    return joined.with_columns(R=(pl.col("CHG") >= -4).cast(pl.Float64))


def same(one: Estimate, other: Estimate) -> None:
    for name in ("estimate", "se", "low", "high", "p"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-9), name


def test_independent_responders(study: AdamStudy) -> None:
    found = block(study, f"{{method: binary, response: {{CHG: {{ge: -4}}}}, strata: [SEX], margin: 0.1, {AT}}}")
    direct = proportions("R ~ TRT01P + strata(SEX)", week12(study), margin=0.1)
    same(number(found, "risk_difference", arm="Drug"), direct.difference)
    same(number(found, "odds_ratio", arm="Drug"), direct.odds_ratio)
    assert direct.non_inferiority is not None
    assert number(found, "non_inferiority", arm="Drug").p == direct.non_inferiority.p
    assert any("without an answer" in note for note in found.notes)
    assert found.figures
    filled = block(study, f"{{method: binary, response: {{CHG: {{ge: -4}}}}, missing: no response, {AT}}}")
    assert number(filled, "patients", arm="Drug").estimate == 30
    same(number(filled, "risk_ratio", arm="Drug"), proportions("R ~ TRT01P", week12(study).fill_null(0.0)).ratio)
    for test in ("chi-square", "fisher", "barnard", "boschloo", "cmh"):
        made = block(study, f"{{method: binary, response: {{CHG: {{ge: -4}}}}, compare_by: {test}, {AT}}}")
        assert 0.0 < number(made, test.replace("-", "_"), arm="Drug").p <= 1.0


def test_independent_cmh_over_three_arms() -> None:
    three = trial(("Placebo", "Low", "High"), n=90)
    three_arms = {"dataset": "ADSL", "parameter": None, "arms": "[Placebo, Low, High]"}
    found = block(three, "{method: cmh, variable: AGEGR1, strata: [SEX]}", **three_arms)
    direct = cmh(three["ADSL"].frame, response="AGEGR1", strata="SEX")
    assert number(found, "general_association").p == pytest.approx(direct.general.p)
    assert found.rows[2].cells["All arms"].text
    given = block(
        three,
        "{method: cmh, variable: AGEGR1, strata: [SEX], scores: {'<65': 0, '>=65': 3}, show: [correlation]}",
        **three_arms,
    )
    assert number(given, "row_means").p == pytest.approx(direct.row_means.p)


def test_independent_logistic_with_standardised_effects(study: AdamStudy) -> None:
    how = "covariates: [SEX], marginal: true, variance: ye"
    found = block(study, f"{{method: logistic, response: {{CHG: {{ge: -4}}}}, {how}, {AT}}}")
    fit = logistic("R ~ TRT01P + SEX", week12(study))
    same(number(found, "odds_ratio", arm="Drug"), fit.coefficient("TRT01P"))
    same(number(found, "standardised_difference", arm="Drug"), fit.marginal("TRT01P", variance="ye").differences[0])
    firth = block(study, f"{{method: logistic, response: {{CHG: {{ge: -4}}}}, firth: true, {AT}}}")
    same(number(firth, "odds_ratio", arm="Drug"), logistic("R ~ TRT01P", week12(study), firth=True).estimates[0])


def test_independent_ordered_answers(study: AdamStudy) -> None:
    made = block(
        study,
        "{method: proportional_odds, value: AGEGR1, levels: ['>=65', '<65'], covariates: [SEX]}",
        dataset="ADSL",
        parameter=None,
    )
    frame = study["ADSL"].frame.with_columns(
        pl.col("AGEGR1").cast(pl.Enum([">=65", "<65"])), pl.col("TRT01P").cast(pl.Enum(["Placebo", "Drug"]))
    )
    same(
        number(made, "odds_ratio", arm="Drug"), proportional_odds("AGEGR1 ~ TRT01P + SEX", frame).coefficient("TRT01P")
    )


def test_independent_repeated_answers(study: AdamStudy) -> None:
    how = "covariates: [SEX], vcov: mancl-derouen, df: between, visits: [Week 12]"
    found = block(study, f"{{method: gee, response: {{CHG: {{ge: -4}}}}, {how}, where: {{AVISITN: [8, 12]}}}}")
    frame = (
        study["ADEFF"]
        .frame.filter(pl.col("AVISITN").is_in([8.0, 12.0]))
        .join(study["ADSL"].frame.select("USUBJID", "TRT01P", "SEX"), on="USUBJID")
        .with_columns(
            pl.col("TRT01P").cast(pl.Enum(["Placebo", "Drug"])),
            pl.col("AVISIT").cast(pl.Enum(["Week 8", "Week 12"])),
            R=(pl.col("CHG") >= -4).cast(pl.Float64),
        )
    )
    fit = gee("R ~ AVISIT + AVISIT:TRT01P + SEX", frame, visit="AVISIT", vcov="mancl-derouen", df="between")
    wanted = next(e for e in fit.estimates if e.term == "AVISIT[Week 12]:TRT01P[T.Drug]")
    same(number(found, "odds_ratio", arm="Drug", visit="Week 12"), wanted)
    assert len([row for row in found.rows if "Week" in row.label]) == 2


def counts(harms: AdamStudy) -> pl.DataFrame:
    events = harms["ADAE"].frame.group_by("USUBJID").len("N")
    people = harms["ADSL"].frame.with_columns(pl.col("TRT01P").cast(pl.Enum(["Placebo", "Drug"])))
    return people.join(events, on="USUBJID", how="left", maintain_order="left").with_columns(pl.col("N").fill_null(0))


def test_independent_records_are_counted(harms: AdamStudy) -> None:
    found = block(harms, "{method: count_regression, exposure: TRTDURD, covariates: [AGE]}", **NO_PARAMETER)
    fit = count_regression("N ~ TRT01P + AGE", counts(harms), exposure="TRTDURD")
    same(number(found, "rate_ratio", arm="Drug"), fit.coefficient("TRT01P"))
    same(number(found, "rate_difference", arm="Drug"), fit.marginal("TRT01P").differences[0])
    plain = block(harms, "{method: rates, exposure: TRTDURD, per: 100}", **NO_PARAMETER)
    direct = rates(counts(harms), events="N", exposure="TRTDURD", arm="TRT01P", per=100)
    same(number(plain, "rate_ratio", arm="Drug"), direct.ratio)
    same(number(plain, "rate_difference", arm="Drug"), direct.difference)


def test_independent_first_events_end_the_exposure(harms: AdamStudy) -> None:
    found = block(harms, "{method: rates, exposure: TRTDURD, first: ASTDY, per: 1}", **NO_PARAMETER)
    first = harms["ADAE"].frame.group_by("USUBJID").agg(pl.col("ASTDY").min())
    frame = counts(harms).join(first, on="USUBJID", how="left", maintain_order="left")
    had = pl.col("ASTDY").is_not_null() & (pl.col("ASTDY") <= pl.col("TRTDURD"))
    frame = frame.with_columns(E=had.cast(pl.Int64), T=pl.when(had).then("ASTDY").otherwise("TRTDURD"))
    same(number(found, "rate_ratio", arm="Drug"), rates(frame, events="E", exposure="T", arm="TRT01P").ratio)


def test_independent_repeated_events(harms: AdamStudy) -> None:
    found = block(harms, "{method: recurrent, time: ASTDY, follow_up: TRTDURD, at: [90]}", **NO_PARAMETER)
    rows = []
    for who, arm, end in harms["ADSL"].frame.select("USUBJID", "TRT01P", "TRTDURD").iter_rows():
        own = harms["ADAE"].frame.filter(pl.col("USUBJID") == who)["ASTDY"].unique().sort().to_list()
        start = 0.0
        for t in [t for t in own if t <= end]:
            rows.append((who, arm, start, t, 1))
            start = t
        if start < end:
            rows.append((who, arm, start, end, 0))
    frame = pl.DataFrame(rows, schema=["USUBJID", "TRT01P", "A", "B", "E"], orient="row")
    frame = frame.with_columns(pl.col("TRT01P").cast(pl.Enum(["Placebo", "Drug"])))
    direct = recurrent("Surv(A, B, E) ~ TRT01P", frame, at=90)
    same(number(found, "rate_ratio", arm="Drug"), direct.rate_ratio)
    same(number(found, "rate_ratio_by_model", arm="Drug"), direct.andersen_gill)
    same(number(found, "mean_events_difference", arm="Drug", visit="90"), direct.differences[0])
    assert any("not counted" in note for note in found.notes)


def test_independent_responders_after_imputation(study: AdamStudy) -> None:
    """The share of completed data sets is between those of everyone missing as no and as yes."""
    found = block(study, "{method: mi, imputations: 40, analysis: responder, threshold: -4, weeks: [12]}")
    made = number(found, "risk_difference", arm="Drug", visit="Week 12")
    assert made.estimable
    assert made.scale == "difference in proportions"
    frame = week12(study)
    for arm in ("Placebo", "Drug"):
        own = frame.filter(pl.col("TRT01P") == arm)["R"]
        share = number(found, "share", arm=arm, visit="Week 12").estimate
        assert own.fill_null(0.0).mean() - 0.05 <= share <= own.fill_null(1.0).mean() + 0.05


def test_independent_log_rank_with_late_entry(study: AdamStudy) -> None:
    times = study["ADTTE"].frame.filter(pl.col("PARAMCD") == "DEATH")
    entry = times.select("USUBJID", ENTRY=pl.col("AVAL") * 0.25)
    late = AdamStudy({**study.datasets, "ADSL": from_frame(study["ADSL"].frame.join(entry, on="USUBJID"), "ADSL")})
    found = block(late, "{method: survival, entry: ENTRY}", dataset="ADTTE", parameter="DEATH")
    frame = times.join(study["ADSL"].frame.select("USUBJID", "TRT01P"), on="USUBJID").join(entry, on="USUBJID")
    direct = log_rank(frame, time="AVAL", censor="CNSR", entry="ENTRY")
    assert number(found, "log_rank").p == pytest.approx(direct.p)
    assert direct.p != pytest.approx(log_rank(frame, time="AVAL", censor="CNSR").p, rel=1e-6)


# -- safety ------------------------------------------------------------------------------------------------------------


def test_independent_events_within_classes_by_severity(harms: AdamStudy) -> None:
    """Every cell against a count by hand: subjects, events, the worst severity of each subject."""
    how = "within: AEBODSYS, by: AESEV, levels: [MILD, MODERATE, SEVERE], events: true, at_least: 0"
    found = block(harms, f"{{method: incidence, {how}}}", **NO_PARAMETER)
    frame = harms["ADAE"].frame.join(harms["ADSL"].frame.select("USUBJID", "TRT01P"), on="USUBJID")
    drug = frame.filter(pl.col("TRT01P") == "Drug")
    labels = [(row.label, row.indent) for row in found.rows]
    assert labels[:4] == [("Any adverse event", 0), ("MILD", 1), ("MODERATE", 1), ("SEVERE", 1)]
    assert {label for label, indent in labels if indent == 1} >= {"Nervous system", "Skin"}
    assert {label for label, indent in labels if indent == 2} >= {"Headache", "Rash"}
    skin = drug.filter(pl.col("AEBODSYS") == "Skin")
    made = number(found, "patients", arm="Drug", variable="AEBODSYS", level="Skin")
    assert made.estimate == skin["USUBJID"].n_unique()
    assert number(found, "events", arm="Drug", variable="AEBODSYS", level="Skin").estimate == skin.height
    order = {"MILD": 0, "MODERATE": 1, "SEVERE": 2}
    rash = drug.filter(pl.col("AEDECOD") == "Rash").with_columns(G=pl.col("AESEV").replace_strict(order))
    worst = rash.group_by("USUBJID").agg(pl.col("G").max())
    for name, grade in order.items():
        place = {"arm": "Drug", "variable": "AEDECOD", "level": f"Rash: {name}"}
        assert number(found, "patients", **place).estimate == worst.filter(pl.col("G") == grade).height
        assert number(found, "events", **place).estimate == rash.filter(pl.col("AESEV") == name).height
    whole = next(row for row in found.rows if row.label == "Rash")
    assert whole.cells["Drug"].text.endswith(f"[{rash.height}]")


def test_independent_difference_in_risk_of_events(harms: AdamStudy) -> None:
    found = block(harms, "{method: incidence, difference: newcombe, at_least: 0}", **NO_PARAMETER)
    had = set(harms["ADAE"].frame.filter(pl.col("AEDECOD") == "Rash")["USUBJID"].to_list())
    frame = harms["ADSL"].frame.with_columns(R=pl.col("USUBJID").is_in(had))
    direct = proportions(frame, response="R", control="Placebo", interval="newcombe")
    same(number(found, "risk_difference", arm="Drug", variable="AEDECOD", level="Rash"), direct.difference)
    row = next(row for row in found.rows if row.label == "Rash")
    assert row.cells["d: Drug"].values["low"] == pytest.approx(100 * direct.difference.low)


def test_independent_time_to_first_onset(harms: AdamStudy) -> None:
    found = block(harms, "{method: onset, at: [90], where: {AEBODSYS: Skin}}", **NO_PARAMETER)
    own = harms["ADAE"].frame.filter(pl.col("AEBODSYS") == "Skin").group_by("USUBJID").agg(pl.col("ASTDY").min())
    frame = harms["ADSL"].frame.join(own, on="USUBJID", how="left", maintain_order="left")
    had = pl.col("ASTDY").is_not_null() & (pl.col("ASTDY") <= pl.col("TRTDURD"))
    frame = frame.with_columns(E=had.cast(pl.Int64), T=pl.when(had).then("ASTDY").otherwise("TRTDURD"))
    frame = frame.with_columns(pl.col("TRT01P").cast(pl.Enum(["Placebo", "Drug"])))
    same(number(found, "hazard_ratio", arm="Drug"), cox(frame, time="T", event="E").hazard_ratio("TRT01P"))
    assert number(found, "log_rank").p == pytest.approx(log_rank(frame, time="T", event="E").p)
    assert number(found, "events", arm="Drug").estimate == frame.filter(pl.col("TRT01P") == "Drug")["E"].sum()


def test_independent_a_shift_table_counts_and_tests() -> None:
    g = np.random.default_rng(2)
    kinds = ["LOW", "NORMAL", "HIGH"]
    people = [{"USUBJID": f"S{i}", "TRT01P": ("Placebo", "Drug")[i % 2], "ITTFL": "Y"} for i in range(60)]
    records = [
        {"USUBJID": p["USUBJID"], "PARAMCD": "ALT", "AVISIT": f"Week {w}", "AVISITN": float(w), "BNRIND": kinds[i % 3]}
        | {"ANRIND": kinds[int(g.integers(0, 3))], "AVAL": 1.0}
        for i, p in enumerate(people)
        for w in (4, 8)
    ]
    frames = {"ADSL": people, "ADLB": records}
    study = AdamStudy({k: from_frame(pl.DataFrame(v), k) for k, v in frames.items()})
    section = "{method: shift, visit: AVISIT, levels: [LOW, NORMAL, HIGH], test: cmh}"
    found = block(study, section, dataset="ADLB", parameter="ALT", gather="")
    frame = study["ADLB"].frame.join(study["ADSL"].frame.select("USUBJID", "TRT01P"), on="USUBJID")
    week = frame.filter(pl.col("AVISIT") == "Week 8")
    own = week.filter((pl.col("TRT01P") == "Drug") & (pl.col("BNRIND") == "LOW"))
    place = {"arm": "Drug", "variable": "ANRIND", "visit": "Week 8", "level": "LOW to HIGH"}
    assert number(found, "patients", **place).estimate == own.filter(pl.col("ANRIND") == "HIGH").height
    assert number(found, "patients_share", **place).n == own.height
    direct = cmh(week, response="ANRIND", strata="BNRIND").general
    assert number(found, "cmh", variable="ANRIND", visit="Week 8").p == pytest.approx(direct.p)
    assert [row.label for row in found.rows][:2] == ["Week 4", "Baseline LOW, n"]


@pytest.mark.parametrize(
    "section",
    [
        "{method: binary, response: {}}",
        "{method: binary, response: {CHG: {ge: 0}}, margin: -1}",
        "{method: binary, response: {CHG: {ge: 0}}, interval: exact, strata: [SEX]}",
        "{method: binary, response: {CHG: {ge: 0}}, compare_by: fisher, strata: [SEX]}",
        "{method: logistic, response: {CHG: {ge: 0}}, firth: true, vcov: HC3}",
        "{method: count_regression, value: AVAL, event: {CNSR: 0}}",
        "{method: rates, first: AVAL}",
        "{method: gee, response: {CHG: {ge: 0}}, value: CHG}",
        "{method: mi, analysis: responder}",
        "{method: incidence, within: AEDECOD}",
        "{method: incidence, levels: [MILD]}",
        "{method: mi, analysis: responder, threshold: 0, imputation: conditional mean}",
    ],
)
def test_property_a_section_that_cannot_be_is_refused(study: AdamStudy, section: str) -> None:
    with pytest.raises((ScenarioError, ValidationError)):
        block(study, section)
