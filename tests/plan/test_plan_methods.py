"""The methods of a plan beyond the first six: their numbers are those of the estimators, their figures are drawn."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import numpy as np
import polars as pl
import pytest

from equipoise.errors import DataError, ScenarioError
from equipoise.estimate.diagnostics import PLOTS
from equipoise.plan.analysis_plan import Plan, dump_plan, parse_plan
from equipoise.plan.carry_out import analyse
from equipoise.plan.methods import REGISTRY
from equipoise.plan.results import Block, Results
from equipoise.render.tables.figures import KINDS, drawn
from equipoise.render.tables.tables import to_html, to_text, write_results
from equipoise.trial.adam import AdamStudy, from_frame

WEEKS = (4.0, 8.0, 12.0, 16.0)


def trial(arms: tuple[str, ...] = ("Placebo", "Drug"), n: int = 60, seed: int = 3) -> AdamStudy:
    """A small trial: a score that falls, deaths, withdrawals, a delayed start after week 8, some switching."""
    g = np.random.default_rng(seed)
    subjects, scores, times = [], [], []
    for i in range(n):
        arm, who = arms[i % len(arms)], f"S{i:03d}"
        base, slope = 40.0 + g.normal(0, 4), -0.5 + 0.15 * (i % len(arms)) + g.normal(0, 0.2)
        death = float(g.exponential(45.0))
        left = float(g.exponential(60.0))
        end = min(death, left, 16.0)
        died = death <= min(left, 16.0)
        subjects.append(
            {
                "USUBJID": who,
                "TRT01P": arm,
                "ITTFL": "Y",
                "SEX": "MF"[(i // 2) % 2],
                "AGEGR1": ("<65", ">=65")[i % 3 == 0],
                "LASTWK": float(max([w for w in (0.0, *WEEKS) if w <= end])),
                "ONWK": end if arm != "Placebo" else max(0.0, end - 8.0) * (i % 4 == 0),
                "ENDWK": 20.0,
            }
        )
        times.append(
            {
                "USUBJID": who,
                "PARAMCD": "DEATH",
                "AVAL": end,
                "CNSR": 0.0 if died else 1.0,
                "EVNTDESC": "death" if died else "censored",
                "AVALU": "WEEKS",
            }
        )
        how = ("ventilation", "death")[int(g.random() < 0.5)] if died else "censored"
        times.append(
            {
                "USUBJID": who,
                "PARAMCD": "DTHPV",
                "AVAL": end,
                "CNSR": 0.0 if died else 1.0,
                "EVNTDESC": how,
                "AVALU": "WEEKS",
            }
        )
        for w in WEEKS:
            if (w <= end and g.random() > 0.03) or (w == 4.0 and end >= 4.0):
                change = slope * w + g.normal(0, 1.2)
                scores.append(
                    {
                        "USUBJID": who,
                        "PARAMCD": "TOT",
                        "AVISIT": f"Week {w:g}",
                        "AVISITN": w,
                        "BASE": base,
                        "AVAL": base + change,
                        "CHG": change,
                    }
                )
    frames = {"ADSL": subjects, "ADEFF": scores, "ADTTE": times}
    return AdamStudy({k: from_frame(pl.DataFrame(v), k) for k, v in frames.items()})


@pytest.fixture(scope="module")
def study() -> AdamStudy:
    return trial()


DEATH = "DTHWK: {dataset: ADTTE, parameter: DEATH}, DTHCN: {dataset: ADTTE, parameter: DEATH, variable: CNSR}"
LAST = "LAST: {dataset: ADEFF, parameter: TOT, variable: CHG, where: {AVISITN: 16}}"


def plan(
    section: str,
    *,
    dataset: str = "ADEFF",
    parameter: str | None = "TOT",
    more: str = "",
    estimand: str = "",
    arms: str = "[Placebo, Drug]",
    gather: str = DEATH,
) -> Plan:
    chosen = f"\n    parameter: {parameter}" if parameter else ""
    return parse_plan(f"""
study: T
treatment: {{arms: {arms}, labels: {{Placebo: Placebo arm}}}}
populations: {{ITT: {{label: All, where: {{ITTFL: Y}}}}}}
analyses:
  - id: A1
    title: An analysis
    population: ITT
    dataset: {dataset}{chosen}
    gather: {{{gather}}}
    {more}
    {f"estimand: {estimand}" if estimand else ""}
    sections:
      - {section}
""")


def block(study: AdamStudy, section: str, **options: Any) -> Block:
    made: Block = analyse(study, plan(section, **options), strict=True).tables[0].blocks[0]
    return made


def value(found: Block, label: str, column: str = "Drug", name: str = "estimate") -> float:
    rows = [r for r in found.rows if r.label.startswith(label) and column in r.cells]
    assert rows, (label, [r.label for r in found.rows])
    cell = rows[0].cells[column].values
    return float(cell[name])  # type: ignore[arg-type]


def long(study: AdamStudy) -> pl.DataFrame:
    arms = study["ADSL"].frame.join(
        study["ADTTE"].frame.filter(pl.col("PARAMCD") == "DEATH").select("USUBJID", DTHWK="AVAL", DTHCN="CNSR"),
        on="USUBJID",
    )
    frame = study["ADEFF"].frame.join(arms, on="USUBJID")
    return frame.with_columns(pl.col("TRT01P").cast(pl.Enum(["Placebo", "Drug"])))


def events(study: AdamStudy, parameter: str = "DTHPV") -> pl.DataFrame:
    frame = study["ADTTE"].frame.filter(pl.col("PARAMCD") == parameter).join(study["ADSL"].frame, on="USUBJID")
    return frame.with_columns(
        pl.col("TRT01P").cast(pl.Enum(["Placebo", "Drug"])), EV=(pl.col("CNSR") == 0).cast(pl.Int64)
    )


# -- the numbers are those of the estimators -----------------------------------------------------------------------


def test_independent_imputation_by_strategies(study: AdamStudy) -> None:
    from equipoise.estimate.missing import Ancova, Bayes, Composite, mi_analysis

    found = block(
        study,
        "{method: mi, imputations: 10, seed: 4, composite: {score: 0}, events: ["
        "{event: death, time: DTHWK, where: {DTHCN: 0}, strategy: COMPOSITE},"
        "{event: withdrawal, time: LASTWK, where: {LASTWK: {lt: 16}, DTHCN: 1}, strategy: J2R}],"
        "tipping: {active: [0, -2, -4], control: [0, -2]}}",
    )
    frame = long(study)
    people = frame.unique("USUBJID", maintain_order=True)
    dead = people.filter(pl.col("DTHCN") == 0).select(
        "USUBJID", AVISITN=pl.col("DTHWK") + 1e-6, STRATEGY=pl.lit("COMPOSITE")
    )
    gone = people.filter((pl.col("DTHCN") == 1) & (pl.col("LASTWK") < 16)).select(
        "USUBJID", AVISITN=pl.col("LASTWK") + 1e-6, STRATEGY=pl.lit("J2R")
    )
    assert dead.height > 2
    assert gone.height > 2
    direct = mi_analysis(
        frame,
        pl.concat([dead, gone]),
        method=Bayes(n_imputations=10),
        seed=4,
        composite=Composite(score=0.0),
        analysis=Ancova(),
    )
    expected = direct.difference(16.0)
    assert value(found, "Difference of LS means") == pytest.approx(expected.estimate, rel=1e-12)
    assert value(found, "Difference of LS means", name="se") == pytest.approx(expected.se, rel=1e-12)
    assert value(found, "LS mean", "Placebo") == pytest.approx(direct.mean("Placebo", 16.0).estimate, rel=1e-12)
    numbers = {label: value(found, label, "Drug", "n") for label in ("Observed", "Imputed, jump", "Value put in")}
    own = direct.counts().filter((pl.col("arm") == "Drug") & (pl.col("week") == 16.0)).row(0, named=True)
    assert list(numbers.values()) == [own["observed"], own["imputed_jr"], own["put_in"]]
    assert [f.kind for f in found.figures] == ["ls_means", "tipping_point"]
    assert len(found.figures[1].rows) == 6
    assert found.figures[1].rows[0]["p"] == pytest.approx(expected.p, rel=1e-12)


def test_independent_imputation_at_random(study: AdamStudy) -> None:
    from equipoise.estimate.missing import mi_ancova

    found = block(study, "{method: mi_ancova, imputations: 5, burn_in: 10, seed: 2, weeks: [8, 16]}")
    direct = mi_ancova(long(study), n_imputations=5, burn_in=10, seed=2)
    heads = [r.label for r in found.rows if not r.cells]
    assert heads == ["Week 8", "Week 16"]
    last = [r for r in found.rows if r.label.startswith("Difference")][-1].cells["Drug"].values
    assert last["estimate"] == pytest.approx(direct.difference(16.0).estimate, rel=1e-12)
    assert last["p"] == pytest.approx(direct.difference(16.0).p, rel=1e-12)
    assert [r["n"] for r in found.figures[0].rows][:4] == [
        long(study).filter((pl.col("TRT01P") == "Placebo") & (pl.col("AVISITN") == w)).height for w in WEEKS
    ]


def test_independent_ranks(study: AdamStudy) -> None:
    from equipoise.estimate.ranks.joint_rank import joint_rank
    from equipoise.estimate.ranks.joint_rank_cafs import cafs

    frame = long(study)
    survival = frame.unique("USUBJID").select("USUBJID", AVAL="DTHWK", CNSR="DTHCN")
    found = block(study, "{method: joint_rank, week: 16, time: DTHWK, censor: DTHCN, imputations: 5, burn_in: 10}")
    direct = joint_rank(frame, survival, at=16.0, n_imputations=5, burn_in=10)
    assert value(found, "Difference") == pytest.approx(direct.difference.estimate, rel=1e-12)
    assert (value(found, "Deaths", "Placebo", "n"), value(found, "Deaths", "Drug", "n")) == direct.deaths
    found = block(study, "{method: cafs, week: 16, time: DTHWK, censor: DTHCN, strata: [SEX]}")
    other = cafs(frame, survival, up_to=16.0, strata=["SEX"])
    assert value(found, "Difference in mean rank") == pytest.approx(other.ancova.estimate, rel=1e-12)
    assert value(found, "p-value (van Elteren)", name="p") == pytest.approx(other.van_elteren.p, rel=1e-12)
    assert value(found, "Pairs won", name="n") == other.wins


def test_independent_wins(study: AdamStudy) -> None:
    from equipoise.estimate.ranks.win import Time, Value, win_statistics

    layers = "[{time: DTHWK, censor: DTHCN, counts: [death]}, {value: LAST, margin: 1}]"
    found = block(
        study,
        f"{{method: win, strata: [SEX], hierarchy: {layers}}}",
        dataset="ADSL",
        parameter=None,
        gather=f"{DEATH}, {LAST}",
    )
    people = (
        study["ADSL"]
        .frame.join(long(study).filter(pl.col("AVISITN") == 16).select("USUBJID", LAST="CHG"), on="USUBJID", how="left")
        .join(events(study, "DEATH").select("USUBJID", DTHWK="AVAL", DTHCN="CNSR"), on="USUBJID")
    )
    direct = win_statistics(
        people, [Time("DTHWK", censor="DTHCN"), Value("LAST", margin=1.0)], control="Placebo", strata=["SEX"]
    )
    assert value(found, "Win ratio") == pytest.approx(direct.win_ratio.estimate, rel=1e-12)
    assert value(found, "Win ratio", name="high") == pytest.approx(direct.win_ratio.high, rel=1e-12)
    assert value(found, "Net benefit") == pytest.approx(direct.net_benefit.estimate, rel=1e-12)
    assert value(found, "Pairs won", name="n") == direct.wins
    assert value(found, "by DTHWK", name="n") == direct.layers[0].wins
    assert value(found, "p-value (Finkelstein", name="p") == pytest.approx(direct.finkelstein_schoenfeld.p, rel=1e-12)


def test_independent_delayed_start(study: AdamStudy) -> None:
    from equipoise.estimate.delayed_start import delayed_start, delayed_start_slopes

    found = block(study, "{method: delayed_start, period_end: 8, week: 16, third: difference, margin: 2}")
    direct = delayed_start(long(study), period_end=8.0, at=16.0, third="difference", margin=2.0)
    assert value(found, "Difference at the end of period 2") == pytest.approx(direct.named["delta2"].estimate)
    assert value(found, "Q3", name="p") == pytest.approx(direct.questions[2].p, rel=1e-9)
    assert value(found, "Patients seen at week 16", "Drug", "n") == direct.followed["seen at week 16"][1]
    found = block(study, "{method: delayed_start, form: slopes, margin: 0.2, period_end: 8, week: 16}")
    slopes = delayed_start_slopes(long(study), period_end=8.0, at=16.0, margin=0.2)
    assert value(found, "Difference of slopes, period 1") == pytest.approx(slopes.named["slope1"].estimate)


def test_independent_survival_options(study: AdamStudy) -> None:
    from equipoise.estimate.survival import cox, log_rank, max_combo

    frame = events(study)
    options = {"dataset": "ADTTE", "parameter": "DTHPV"}
    found = block(
        study, "{method: survival, test: fleming-harrington, gamma: 1, strata: [SEX], firth: true}", **options
    )
    test = log_rank("Surv(AVAL, EV) ~ TRT01P + strata(SEX)", frame, gamma=1.0)
    assert value(found, "n", "All arms", "p") == pytest.approx(test.p, rel=1e-12)
    direct = cox("Surv(AVAL, EV) ~ TRT01P + strata(SEX)", frame, firth=True).hazard_ratio("TRT01P")
    assert value(found, "Hazard ratio", name="high") == pytest.approx(direct.high, rel=1e-12)
    found = block(study, "{method: survival, test: max-combo, proportional_hazards: true, robust: true}", **options)
    assert value(found, "n", "All arms", "p") == pytest.approx(max_combo("Surv(AVAL, EV) ~ TRT01P", frame).p, rel=1e-9)
    fit = cox("Surv(AVAL, EV) ~ TRT01P", frame, robust=True)
    assert value(found, "Hazard ratio", name="low") == pytest.approx(fit.hazard_ratio("TRT01P").low, rel=1e-12)
    p = cox("Surv(AVAL, EV) ~ TRT01P", frame).proportionality().overall[2]
    assert value(found, "Proportional hazards", "All arms", "p") == pytest.approx(p, rel=1e-9)
    (figure,) = found.figures
    assert figure.options["unit"] == "weeks"
    assert "Placebo arm" in {r["group"] for r in figure.rows}


def test_independent_restricted_means_and_landmarks(study: AdamStudy) -> None:
    from equipoise.estimate.survival.landmark import landmark
    from equipoise.estimate.survival.rmst import rmst

    options = {"dataset": "ADTTE", "parameter": "DTHPV"}
    found = block(study, "{method: rmst, tau: 14}", **options)
    direct = rmst(events(study), time="AVAL", censor="CNSR", tau=14.0)
    assert value(found, "Difference") == pytest.approx(direct.difference.estimate, rel=1e-12)
    assert value(found, "Restricted mean", "Placebo", "se") == pytest.approx(direct.arms[0].se, rel=1e-12)
    found = block(study, "{method: landmark, at: [8, 14]}", **options)
    points = landmark(events(study), time="AVAL", censor="CNSR", at=[8.0, 14.0]).points
    assert value(found, "Difference of shares at 14") == pytest.approx(points[1].comparison.estimate, rel=1e-12)


def test_independent_competing_risks(study: AdamStudy) -> None:
    from equipoise.estimate.survival.competing_risks import cause_specific, cumulative_incidence
    from equipoise.estimate.survival.fine_gray import fine_gray
    from equipoise.estimate.survival.gray import gray_test

    frame = events(study)
    found = block(study, "{method: competing_risks, of: ventilation, at: [12]}", dataset="ADTTE", parameter="DTHPV")
    options = {"time": "AVAL", "cause": "EVNTDESC", "censored": "censored"}
    test = gray_test(frame, of="ventilation", arm="TRT01P", **options)
    assert value(found, "n", "All arms", "p") == pytest.approx(test.p, rel=1e-12)
    curve = cumulative_incidence(frame, arm="TRT01P", **options)[0]
    assert value(found, "ventilation by 12", "Placebo") == pytest.approx(100 * curve.at(12.0, "ventilation")[0])
    for label, fit in (("Subdistribution", fine_gray), ("Cause-specific", cause_specific)):
        direct = fit("Surv(AVAL, EVNTDESC) ~ TRT01P", frame, of="ventilation", censored="censored")
        assert value(found, label) == pytest.approx(direct.hazard_ratio("TRT01P").estimate, rel=1e-12)
    assert found.figures[0].kind == "cumulative_incidence"


def test_independent_deterioration(study: AdamStudy) -> None:
    from equipoise.estimate.survival import cox, log_rank
    from equipoise.estimate.survival.deterioration import DeteriorationRule, deterioration

    section = "{method: deterioration, threshold: 4, died: {time: DTHWK, where: {DTHCN: 0}}}"
    found = block(study, section)
    frame = long(study).with_columns(pl.when(pl.col("DTHCN") == 0).then(pl.col("DTHWK")).alias("D"))
    made = deterioration(frame, DeteriorationRule(threshold=4.0), death="D").patients
    made = made.with_columns(pl.col("TRT01P").cast(pl.Enum(["Placebo", "Drug"])))
    test = log_rank("Surv(AVAL, 1 - CNSR) ~ TRT01P", made)
    assert value(found, "n", "All arms", "p") == pytest.approx(test.p, rel=1e-12)
    ratio = cox("Surv(AVAL, 1 - CNSR) ~ TRT01P", made).hazard_ratio("TRT01P")
    assert value(found, "Hazard ratio") == pytest.approx(ratio.estimate, rel=1e-12)
    assert (
        value(found, "Deteriorated", name="n")
        == made.filter((pl.col("CAUSE") == 1) & (pl.col("TRT01P") == "Drug")).height
    )
    assert "A fall from baseline of 4 points or more" in found.description
    competing = block(study, section.replace("threshold: 4", "threshold: 4, death: competing"))
    assert any(r.label.startswith("Subdistribution") for r in competing.rows)


def test_independent_switching(study: AdamStudy) -> None:
    from equipoise.estimate.survival.switching import rpsftm

    section = "{method: rpsft, on: ONWK, censor_time: ENDWK}"
    found = block(study, section, dataset="ADTTE", parameter="DEATH")
    direct = rpsftm(events(study, "DEATH"), time="AVAL", censor="CNSR", on="ONWK", censor_time="ENDWK")
    assert value(found, "Control patients ever", "Placebo", "n") == direct.switched
    cell = next(r for r in found.rows if r.label.startswith("Ratio of survival")).cells["Drug"].values
    if direct.time_ratio.estimable:
        assert cell["estimate"] == pytest.approx(direct.time_ratio.estimate, rel=1e-12)
    else:
        assert cell["estimate"] is None
        assert any(direct.time_ratio.reason in note for note in found.notes)


def test_independent_subgroups(study: AdamStudy) -> None:
    from equipoise.estimate.linear.ancova import ancova
    from equipoise.estimate.survival import cox

    found = block(
        study,
        "{method: subgroups, of: difference, by: [SEX, AGEGR1], covariates: [BASE], higher_better: true}",
        more="where: {AVISITN: 16}",
    )
    last = long(study).filter(pl.col("AVISITN") == 16)
    women = ancova("CHG ~ TRT01P + BASE", last.filter(pl.col("SEX") == "F"))
    expected = women.contrasts("TRT01P", against="Placebo").to_frame().row(0, named=True)
    assert value(found, "F") == pytest.approx(expected["estimate"], rel=1e-12)
    assert value(found, "F", name="low") == pytest.approx(expected["low"], rel=1e-10)
    both = ancova("CHG ~ TRT01P * SEX + BASE", last).test("TRT01P:SEX").row(0, named=True)
    assert value(found, "p-value (interaction)", name="p") == pytest.approx(both["p"], rel=1e-12)
    ratios = block(study, "{method: subgroups, of: hazard ratio, by: [SEX]}", dataset="ADTTE", parameter="DTHPV")
    women_only = cox("Surv(AVAL, EV) ~ TRT01P", events(study).filter(pl.col("SEX") == "F")).hazard_ratio("TRT01P")
    assert value(ratios, "F") == pytest.approx(women_only.estimate, rel=1e-12)
    assert any(n.startswith("M: not estimable: all events in one arm") for n in ratios.notes)
    assert [r["kind"] for r in found.figures[0].rows][:2] == ["summary", "heading"]


def test_those_who_left_are_counted_by_the_first_reason(study: AdamStudy) -> None:
    found = block(
        study,
        "{method: disposition, time: LASTWK, reasons: [{label: Died, where: {DTHCN: 0}}, "
        "{label: Withdrew, where: {LASTWK: {lt: 16}}}]}",
        dataset="ADSL",
        parameter=None,
    )
    people = study["ADSL"].frame.join(events(study, "DEATH").select("USUBJID", DTHCN="CNSR"), on="USUBJID")
    died = people.filter((pl.col("DTHCN") == 0) & (pl.col("TRT01P") == "Drug")).height
    left = people.filter(((pl.col("DTHCN") == 0) | (pl.col("LASTWK") < 16)) & (pl.col("TRT01P") == "Drug")).height
    assert (value(found, "Died", name="n"), value(found, "Left", name="n")) == (died, left)
    assert value(found, "Withdrew", name="n") == left - died
    assert [f.kind for f in found.figures] == ["dropout"]


# -- several arms, what cannot be estimated, what does not fit -----------------------------------------------------


def test_each_arm_is_compared_with_control() -> None:
    study = trial(("Placebo", "Low", "High"), n=90)
    options = {"arms": "[Placebo, Low, High]"}
    for section in (
        "{method: mi_ancova, imputations: 3, burn_in: 5}",
        "{method: joint_rank, week: 16, time: DTHWK, censor: DTHCN, imputations: 3, burn_in: 5}",
        "{method: mi, imputations: 3}",
    ):
        found = block(study, section, **options)
        row = next(r for r in found.rows if r.label.startswith("Difference"))
        assert list(row.cells) == ["Low", "High"]
        assert row.contrast == "against Placebo"
    subgroups = block(study, "{method: subgroups, of: difference, by: [SEX]}", more="where: {AVISITN: 16}", **options)
    assert len(subgroups.figures) == 2


def test_what_cannot_be_estimated_says_why_in_its_place(study: AdamStudy) -> None:
    """A section that fails is a block with a reason; the other sections stand."""
    made = plan("{method: mi, covariates: [HEIGHT], imputations: 3}")
    with pytest.raises(DataError, match="there is no variable HEIGHT"):
        analyse(study, made, strict=True)
    told = analyse(study, made)
    assert [(id, n, b.failure) for id, n, b in told.failed] == [("A1", 1, "mistake")]
    text = dump_plan(plan("{method: delayed_start, period_end: 9, week: 16}"))
    found = analyse(study, parse_plan(text)).tables[0].blocks[0]
    assert found.rows == ()
    assert "Not estimable: no visit at week 9" in found.notes[0]
    nobody = study["ADTTE"].frame.with_columns(CNSR=pl.lit(1.0), EVNTDESC=pl.lit("censored"))
    silent = AdamStudy({**study.datasets, "ADTTE": from_frame(nobody, "ADTTE")})
    for section in ("{method: rmst, tau: 10}", "{method: landmark, at: [8]}", "{method: survival}"):
        found = block(silent, section, dataset="ADTTE", parameter="DTHPV")
        assert any("not estimable" in n for n in found.notes), section
    with pytest.raises(DataError, match="nobody's follow-up ended by 'death'"):
        block(silent, "{method: competing_risks, of: death}", dataset="ADTTE", parameter="DTHPV")


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("{method: mi, composite: {score: 0}}", "go together"),
        (
            "{method: mi, events: [{event: x, time: T, strategy: MAR}, {event: x, time: T, strategy: JR}]}",
            "listed twice",
        ),
        ("{method: win, hierarchy: [{time: T}]}", "time and censor go together"),
        ("{method: win, hierarchy: [{value: T, binary: X}]}", "one of time, value, binary"),
        ("{method: delayed_start, period_end: 9, week: 8}", "week lies after period_end"),
        ("{method: delayed_start, period_end: 4, week: 8, form: slopes}", "needs the margin"),
        ("{method: survival, rho: 1}", "weights of test: fleming-harrington"),
        ("{method: survival, entry: ADT, test: max-combo}", "late entry"),
        ("{method: rpsft, on: T}", "censor_time"),
        ("{method: rpsft, censor_time: T}", "give on:"),
        ("{method: deterioration, threshold: 4, death: competing}", "needs died"),
        ("{method: mi, handles: {death: forgotten}}", "no procedure"),
    ],
)
def test_options_that_contradict_each_other_are_named(section: str, message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        plan(section)


def test_gather_takes_one_record_a_subject(study: AdamStudy) -> None:
    text = dump_plan(plan("{method: categories, variable: SEX}", dataset="ADSL", parameter=None))
    for old, new, message in (
        ("parameter: DEATH", "parameter: NONE", "no record of ADTTE is chosen"),
        ("dataset: ADTTE", "dataset: ADEFF", "no record of ADEFF is chosen"),
        ("parameter: DEATH", "where: {CNSR: [0, 1]}", "more than one record"),
        ("variable: CNSR", "variable: NOT", "there is no variable NOT"),
        ("DTHWK:", "SEX:", "ADSL has a variable of that name"),
    ):
        assert old in text
        with pytest.raises(DataError, match=message):
            analyse(study, parse_plan(text.replace(old, new, 1)), strict=True)


# -- estimands -----------------------------------------------------------------------------------------------------

ASKED = (
    "{{treatment: drug against placebo, population: {population}, variable: change at week 16, "
    "intercurrent_events: {events}, summary: {summary}}}"
)
MI = (
    "{method: mi, imputations: 3, composite: {score: 0}, "
    "events: [{event: death, time: DTHWK, where: {DTHCN: 0}, strategy: COMPOSITE}]}"
)


def asked(events: str, summary: str = "difference in means", population: str = "ITT") -> str:
    return ASKED.format(events=events, summary=summary, population=population)


@pytest.mark.parametrize(
    ("section", "estimand", "reason"),
    [
        ("{method: mi_ancova}", asked("{death: composite}"), "imputes the values after it as if it had not happened"),
        ("{method: mmrm, formula: CHG ~ TRT01P * AVISIT}", asked("{death: while alive}"), "says while alive"),
        ("{method: mmrm, formula: CHG ~ TRT01P * AVISIT}", asked("{}", "hazard ratio"), "analyses values of"),
        (
            "{method: ancova, formula: CHG ~ TRT01P, where: {ONTRTFL: Y}}",
            asked("{treatment discontinuation: treatment policy}"),
            "leaves the values after it out",
        ),
        (
            "{method: ancova, formula: CHG ~ TRT01P, handles: {rescue: dropped}}",
            asked("{rescue: treatment policy}"),
            "leaves the values after it out",
        ),
        (MI, asked("{death: hypothetical}"), "gives a fixed value from it on, which is composite"),
        (MI, asked("{}"), "does not say how it is handled"),
        ("{method: mi_ancova}", asked("{}", population="PP"), "about population 'PP', the analysis about 'ITT'"),
        ("{method: survival}", asked("{death: composite}"), "analyses times to an event"),
    ],
)
def test_a_plan_that_contradicts_its_estimand_is_refused(section: str, estimand: str, reason: str) -> None:
    with pytest.raises(ScenarioError, match=reason):
        plan(section, estimand=estimand)


@pytest.mark.parametrize(
    ("section", "estimand"),
    [
        ("{method: mi_ancova}", asked("{death: hypothetical, withdrawal: hypothetical}")),
        (MI, asked("{death: composite}")),
        (
            "{method: mmrm, formula: CHG ~ TRT01P * AVISIT}",
            asked("{death: {strategy: composite, in_data: true, reason: a score of 0 is assigned}}"),
        ),
        ("{method: joint_rank, week: 16, time: T, censor: C}", asked("{death: composite}", "difference in mean ranks")),
        ("{method: summary, variable: CHG}", asked("{death: composite}")),
        ("{method: mi_ancova}", "what would be seen had nobody died"),
    ],
)
def test_a_plan_that_answers_its_estimand_is_read_and_written_back(section: str, estimand: str) -> None:
    made = plan(section, estimand=estimand)
    assert parse_plan(dump_plan(made)) == made


@pytest.mark.parametrize(
    ("events_of", "parameter", "said"),
    [
        ("{death: hypothetical}", "DEATH", "says hypothetical at death, but the data count"),
        ("{ventilation: hypothetical}", "DTHPV", "says hypothetical at ventilation, but the data count"),
        ("{death: composite}", "ALIVE", "says composite at death, but the data censor"),
    ],
)
def test_an_estimand_is_held_against_the_data(study: AdamStudy, events_of: str, parameter: str, said: str) -> None:
    frame = study["ADTTE"].frame
    other = frame.filter(pl.col("PARAMCD") == "DTHPV").with_columns(PARAMCD=pl.lit("ALIVE"), CNSR=pl.lit(1.0))
    both = AdamStudy({**study.datasets, "ADTTE": from_frame(pl.concat([frame, other]), "ADTTE")})
    made = plan(
        "{method: survival, figure: false}",
        dataset="ADTTE",
        parameter=parameter,
        estimand=asked(events_of, "hazard ratio"),
    )
    with pytest.raises(ScenarioError, match=said):
        analyse(both, made, strict=True)
    agreed = plan(
        "{method: survival, figure: false}",
        dataset="ADTTE",
        parameter="DTHPV",
        estimand=asked("{death: composite, ventilation: composite}", "hazard ratio"),
    )
    assert analyse(both, agreed).tables[0].blocks[0].rows


def test_the_estimand_stands_below_the_table(study: AdamStudy) -> None:
    made = analyse(study, plan(MI, estimand=asked("{death: composite}")))
    assert made.tables[0].footnotes[0] == (
        "Estimand: difference in means of change at week 16, drug against placebo, in ITT; death: composite"
    )
    own = dump_plan(plan("{method: mi_ancova, imputations: 3, label: As planned, estimand: had nobody died}"))
    notes = analyse(study, parse_plan(own)).tables[0].blocks[0].notes
    assert "Estimand of As planned: had nobody died" in notes


# -- figures and files ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def every(study: AdamStudy) -> Results:
    sections = (
        MI.replace("imputations: 3", "imputations: 3, tipping: {active: [0, -3], control: [0, -3]}"),
        "{method: mmrm, formula: CHG ~ TRT01P * AVISIT + BASE, covariance: [cs]}",
        "{method: mi_ancova, imputations: 3, burn_in: 5, weeks: [8, 16]}",
        "{method: delayed_start, period_end: 8, week: 16, structure: cs}",
        "{method: deterioration, threshold: 4, death: competing, died: {time: DTHWK, where: {DTHCN: 0}}}",
    )
    first = dump_plan(plan("\n      - ".join(sections)))
    second = dump_plan(
        plan(
            "{method: survival, at: [8]}\n      - {method: rmst}\n      - {method: competing_risks, of: death}\n"
            "      - {method: subgroups, of: hazard ratio, by: [SEX]}",
            dataset="ADTTE",
            parameter="DTHPV",
        )
    )
    third = dump_plan(
        plan(
            "{method: disposition, time: LASTWK, reasons: [{label: Died, where: {DTHCN: 0}}]}",
            dataset="ADSL",
            parameter=None,
        )
    )
    whole = first
    for k, text in enumerate((second, third), start=2):
        whole += text[text.index("- id:") :].replace("id: A1", f"id: A{k}")
    whole += (
        "- {id: A4, title: A look, population: ITT, sections: [{method: group_sequential, of: A1, section: 2, "
        "visit: Week 16, planned: [1, 6], futility: pocock}]}\n"
    )
    return analyse(study, parse_plan(whole))


def test_figures_stand_in_the_page_and_beside_it(every: Results, tmp_path: Path) -> None:
    made = every
    figures = drawn(made)
    assert {f.plot is not None for f in figures} == {True}
    assert {f.kind for t in made.tables for b in t.blocks for f in b.figures} == set(KINDS) - set(
        PLOTS
    )  # of diagnostics, which are drawn where a plan asks for them
    paths = write_results(made, tmp_path)
    names = [p.name for p in paths]
    written = ["tables.txt", "tables.html", "results.json", "ars.json", "results.csv", "tables.rtf"]
    assert names[:6] == written
    assert len(names) == 6 + len(figures)
    for figure in figures:
        assert ElementTree.parse(tmp_path / figure.file).getroot().get("role") == "img"
    page = to_html(made)
    assert page.count("<figure>") == len(figures)
    assert all(f.caption.replace("&", "&amp;") in page for f in figures)
    assert "url(http" not in page
    rows = json.loads((tmp_path / "results.json").read_text())["tables"][1]["blocks"][0]["figures"][0]["rows"]
    assert {"group", "time", "survival", "at_risk"} <= set(rows[0])
    assert "Table A3" in to_text(made)


def test_the_reporting_event_names_the_figures(every: Results, tmp_path: Path) -> None:
    path = Path(__file__).with_name("test_analyse_render.py")
    spec = importlib.util.spec_from_file_location("ars_checks", path)
    assert spec is not None
    assert spec.loader is not None
    checks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(checks)
    made = every
    write_results(made, tmp_path)
    event = json.loads((tmp_path / "ars.json").read_text())
    checks.assert_consistent(event)
    files = [f["name"] for o in event["outputs"] for f in o["fileSpecifications"]]
    assert "figure-A3.svg" in files
    shown = sum(len(c.shown) for t in made.tables for b in t.blocks for r in b.rows for c in r.cells.values())
    assert sum(len(a["results"]) for a in event["analyses"]) == shown
    jsonschema.validate(event, checks.schema())


def test_every_method_is_told_in_the_documentation() -> None:
    text = (Path(__file__).parents[2] / "docs" / "adam.md").read_text()
    assert [name for name in REGISTRY if f"`{name}`" not in text] == []


SURVIVAL_SECTIONS = {
    "{method: survival, covariates: [AGEGR1]}": "AGEGR1",
    "{method: rmst, tau: 12, covariates: [AGEGR1]}": "AGEGR1",
    "{method: landmark, at: [8], strata: [AGEGR1]}": "AGEGR1",
    "{method: competing_risks, of: ventilation, at: [12]}": "EVNTDESC",
    "{method: subgroups, of: hazard ratio, by: [SEX], covariates: [AGEGR1]}": "AGEGR1",
    "{method: rpsft, on: ONWK, recensor: false, strata: [AGEGR1]}": "AGEGR1",
}


@pytest.mark.parametrize("section", SURVIVAL_SECTIONS)
def test_property_records_left_out_are_told_and_reasons_of_censoring_are_one(study: AdamStudy, section: str) -> None:
    name, who = SURVIVAL_SECTIONS[section], ["S003", "S004", "S005"]
    frames = {dataset: study[dataset].frame for dataset in ("ADSL", "ADEFF", "ADTTE")}
    gone = pl.col("USUBJID").is_in(who)

    def made(change: dict[str, pl.DataFrame]) -> Block:
        whole = AdamStudy({k: from_frame(v, k) for k, v in (frames | change).items()})
        return block(whole, section, dataset="ADTTE", parameter="DTHPV")

    home = "ADSL" if name == "AGEGR1" else "ADTTE"
    lost = {home: frames[home].with_columns(pl.when(gone).then(None).otherwise(name).alias(name))}
    coded = {"ADTTE": lost.get("ADTTE", frames["ADTTE"]).with_columns(pl.col("CNSR") * 3)}
    few, right = made(lost | coded), made({"ADTTE": frames["ADTTE"].filter(~gone)})
    assert [note for note in few.notes if "left out" in note] == [f"3 records left out: 3 without {name}."]
    assert not [note for note in right.notes if "left out" in note]
    assert [row.cells for row in few.rows] == [row.cells for row in right.rows]
