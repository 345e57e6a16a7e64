"""Slopes, the constrained model, regression of wins and counting-process data in a plan: the numbers of the doors."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from test_plan_methods import DEATH, LAST, asked, block, events, long, plan, trial, value

from equipoise.errors import DataError, ScenarioError
from equipoise.plan.analysis_plan import dump_plan, parse_plan
from equipoise.plan.carry_out import analyse
from equipoise.trial.adam import AdamStudy, from_frame

BASE = "B: {dataset: ADEFF, parameter: TOT, variable: BASE, where: {AVISITN: 0}}"


@pytest.fixture(scope="module")
def study() -> AdamStudy:
    """The small trial with its baselines as records."""
    made = trial(n=80)
    frame = made["ADEFF"].frame
    first = frame.unique("USUBJID", maintain_order=True).with_columns(
        AVISIT=pl.lit("Baseline"), AVISITN=pl.lit(0.0), AVAL=pl.col("BASE"), CHG=pl.lit(0.0)
    )
    return AdamStudy({**made.datasets, "ADEFF": from_frame(pl.concat([first, frame]), "ADEFF")})


@pytest.fixture(scope="module")
def changing(study: AdamStudy) -> AdamStudy:
    """Times to death with a record from 0 to 6 weeks and one after, and a covariate that changes then."""
    frame = (
        study["ADTTE"]
        .frame.filter(pl.col("PARAMCD") == "DEATH")
        .with_columns(START=pl.lit(0.0), STAGE=pl.lit(1.0), PARAMCD=pl.lit("STAGED"))
    )
    late = pl.col("AVAL") > 6.0
    before = frame.with_columns(
        CNSR=pl.when(late).then(1.0).otherwise(pl.col("CNSR")), AVAL=pl.min_horizontal("AVAL", pl.lit(6.0))
    )
    stage = 1.0 + (pl.int_range(pl.len()) % 3 == 0).cast(pl.Float64)
    after = frame.filter(late).with_columns(START=pl.lit(6.0), STAGE=stage)
    both = pl.concat([before, after.select(before.columns)])
    return AdamStudy({**study.datasets, "ADSTAGE": from_frame(both.drop("EVNTDESC"), "ADSTAGE")})


# -- the numbers are those of the doors ----------------------------------------------------------------------------


def test_independent_slopes(study: AdamStudy) -> None:
    from equipoise.estimate.linear.slope import slope

    found = block(study, "{method: slope, per: 4, unit: month, covariates: [SEX], at: [16], level: 0.9}")
    frame = long(study).with_columns(MONTH=pl.col("AVISITN") / 4)
    fit = slope("AVAL ~ TRT01P * MONTH + SEX + (MONTH | USUBJID)", frame)
    name = "TRT01P[T.Drug]:MONTH"
    mine = fit.contrasts(
        {"difference": {name: 1.0}, "drug": {"MONTH": 1.0, name: 1.0}, "late": {"TRT01P[T.Drug]": 1.0, name: 4.0}},
        level=0.9,
    ).to_frame()
    rows = {r["contrast"]: r for r in mine.iter_rows(named=True)}
    for label, key in (
        ("Difference of slopes a month (90% CI)", "difference"),
        ("Difference at 16", "late"),
        ("Slope a month", "drug"),
    ):
        assert value(found, label) == pytest.approx(rows[key]["estimate"], rel=1e-7)
        assert value(found, label, name="se") == pytest.approx(rows[key]["se"], rel=1e-7)
        assert value(found, label, name="high") == pytest.approx(rows[key]["high"], rel=1e-6)
    assert value(found, "p-value", name="p") == pytest.approx(rows["difference"]["p"], rel=1e-6)
    assert value(found, "Subjects", name="n") == frame.filter(pl.col("TRT01P") == "Drug")["USUBJID"].n_unique()
    shared = block(study, "{method: slope, per: 4, shared_baseline: true, covariates_by_time: [SEX]}")
    fit = slope("AVAL ~ MONTH + TRT01P:MONTH + SEX + SEX:MONTH + (MONTH | USUBJID)", frame)
    table = {r["term"]: r for r in fit.coefficients.iter_rows(named=True)}
    assert value(shared, "Difference of slopes") == pytest.approx(table["MONTH:TRT01P[T.Drug]"]["estimate"], rel=1e-7)
    men = float((frame["SEX"] == "M").mean())  # type: ignore[arg-type]
    sex = next(r["estimate"] for t, r in table.items() if "SEX" in t and "MONTH" in t)
    assert value(shared, "Slope", "Placebo") == pytest.approx(table["MONTH"]["estimate"] + men * sex, rel=1e-6)


def test_independent_constrained_model(study: AdamStudy) -> None:
    from equipoise.estimate.linear.clda import clda

    found = block(study, "{method: clda, formula: AVAL ~ SEX, baseline: Baseline, covariance: [cs]}")
    visits = pl.Enum(["Baseline", *(f"Week {w}" for w in (4, 8, 12, 16))])
    frame = long(study).with_columns(pl.col("AVISIT").cast(visits))
    fit = clda("AVAL ~ SEX + cs(AVISIT | USUBJID)", frame, arm="TRT01P", baseline="Baseline")
    direct = fit.contrasts("TRT01P", by="AVISIT", against="Placebo").to_frame().filter(pl.col("AVISIT") == "Week 16")
    assert [r.label for r in found.rows if not r.cells] == ["Week 4", "Week 8", "Week 12", "Week 16"]
    last = [r for r in found.rows if r.label.startswith("Difference")][-1].cells["Drug"].values
    for name, column in (("estimate", "estimate"), ("se", "se"), ("p", "p"), ("low", "low")):
        assert last[name] == pytest.approx(direct[column][0], rel=1e-8)
    mean = (
        fit.lsmeans("TRT01P", by="AVISIT")
        .to_frame()
        .filter((pl.col("AVISIT") == "Week 4") & (pl.col("TRT01P") == "Drug"))
    )
    assert value(found, "LS mean") == pytest.approx(mean["estimate"][0], rel=1e-9)
    (figure,) = found.figures
    assert {r["visit"] for r in figure.rows} == {"Baseline", "Week 4", "Week 8", "Week 12", "Week 16"}
    assert len({r["estimate"] for r in figure.rows if r["visit"] == "Baseline"}) == 1


def test_independent_regression_of_wins(study: AdamStudy) -> None:
    from equipoise.estimate.ranks.win import Time, Value
    from equipoise.estimate.ranks.win_regression import win_regression

    layers = "[{time: DTHWK, censor: DTHCN, counts: [death]}, {value: LAST, margin: 1}]"
    found = block(
        study,
        f"{{method: win_regression, covariates: [SEX, LB], hierarchy: {layers}}}",
        dataset="ADSL",
        parameter=None,
        gather=f"{DEATH}, {LAST}, {BASE}",
        more="derive: {LB: {log: B}}",
    )
    people = (
        study["ADSL"]
        .frame.join(long(study).filter(pl.col("AVISITN") == 16).select("USUBJID", LAST="CHG"), on="USUBJID", how="left")
        .join(study["ADEFF"].frame.filter(pl.col("AVISITN") == 0).select("USUBJID", B="BASE"), on="USUBJID", how="left")
        .join(events(study, "DEATH").select("USUBJID", DTHWK="AVAL", DTHCN="CNSR"), on="USUBJID")
    )
    people = people.with_columns(pl.col("TRT01P").cast(pl.Enum(["Placebo", "Drug"])), LB=pl.col("B").log())
    direct = win_regression(people, [Time("DTHWK", censor="DTHCN"), Value("LAST", margin=1.0)], ["TRT01P", "SEX", "LB"])
    own = direct["TRT01P[Drug]"]
    assert value(found, "Win ratio (95% CI)") == pytest.approx(own.estimate, rel=1e-12)
    assert value(found, "Win ratio (95% CI)", name="high") == pytest.approx(own.high, rel=1e-12)
    assert value(found, "p-value", name="p") == pytest.approx(own.p, rel=1e-12)
    assert value(found, "Win ratio of LB") == pytest.approx(direct["LB"].estimate, rel=1e-12)
    assert value(found, "Pairs decided", name="n") == direct.decided
    assert value(found, "by LAST", name="n") == direct.layers["LAST"]


def test_independent_counting_process(study: AdamStudy, changing: AdamStudy) -> None:
    from equipoise.estimate.survival import cox, log_rank

    section = "{method: survival, start: START, covariates: [STAGE], cluster: USUBJID, at: [8]}"
    found = block(changing, section, dataset="ADSTAGE", parameter="STAGED")
    frame = (
        changing["ADSTAGE"]
        .frame.join(study["ADSL"].frame, on="USUBJID")
        .with_columns(pl.col("TRT01P").cast(pl.Enum(["Placebo", "Drug"])), EV=(pl.col("CNSR") == 0).cast(pl.Int64))
    )
    direct = cox("Surv(START, AVAL, EV) ~ TRT01P + STAGE", frame, cluster="USUBJID").hazard_ratio("TRT01P")
    assert value(found, "Hazard ratio") == pytest.approx(direct.estimate, rel=1e-10)
    assert value(found, "Hazard ratio", name="low") == pytest.approx(direct.low, rel=1e-10)
    # patients, their curves and the log-rank test are those of one record a patient
    whole = block(study, "{method: survival, at: [8]}", dataset="ADTTE", parameter="DEATH")
    for label, name in (("n", "n"), ("Events", "n"), ("Event-free at 8", "estimate"), ("Event-free at 8", "low")):
        for arm in ("Placebo", "Drug"):
            assert value(found, label, arm, name) == pytest.approx(value(whole, label, arm, name), rel=1e-12)
    test = log_rank("Surv(AVAL, EV) ~ TRT01P", events(study, "DEATH"))
    assert value(found, "n", "All arms", "p") == pytest.approx(test.p, rel=1e-12)
    assert [r["censored"] for r in found.figures[0].rows] == [r["censored"] for r in whole.figures[0].rows]
    both = ({k.arm: e.estimate for k, e in b.numbers.items() if k.quantity == "events"} for b in (found, whole))
    assert next(both) == next(both)


# -- what cannot be done -------------------------------------------------------------------------------------------


def with_rows(changing: AdamStudy, change: Any) -> AdamStudy:
    frame = change(changing["ADSTAGE"].frame)
    return AdamStudy({**changing.datasets, "ADSTAGE": from_frame(frame, "ADSTAGE")})


def test_intervals_that_cannot_be_are_named(changing: AdamStudy) -> None:
    late, begins = pl.col("START") > 0, pl.col("START")
    options = {"dataset": "ADSTAGE", "parameter": "STAGED"}
    section = "{method: survival, start: START}"
    first = pl.col("START") == 0
    cases = (
        (lambda f: f.with_columns(START=pl.when(late).then(5.0).otherwise(begins)), "intervals of .* overlap"),
        (lambda f: f.with_columns(START=pl.when(late).then(pl.col("AVAL")).otherwise(begins)), "START is not before"),
        (lambda f: f.with_columns(CNSR=pl.lit(0.0)), "is followed after an event"),
        (lambda f: f.filter(~first | (pl.col("AVAL") < 6)), "not followed from time 0 on"),
    )
    for change, message in cases:
        with pytest.raises(DataError, match=message):
            block(with_rows(changing, change), section, **options)
    gone = with_rows(changing, cases[-1][0])
    assert block(gone, "{method: survival, start: START, test: null}", **options).rows
    with pytest.raises(DataError, match=r"STAGE of .* changes"):
        block(changing, "{method: survival, start: START, strata: [STAGE]}", **options)
    with pytest.raises(DataError, match="repeats the key"):
        block(changing, "{method: survival}", **options)
    with pytest.raises(ScenarioError, match="give one of them"):
        plan("{method: survival, start: A, entry: B, test: null}")


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("{method: slope, value: SEX}", "SEX is String"),
        ("{method: slope, covariates: [HEIGHT]}", "there is no variable HEIGHT"),
        ("{method: slope, covariates: [TRT01P]}", "time and arm are no covariates"),
        ("{method: clda, formula: AVAL ~ TRT01P, baseline: Baseline}", "TRT01P is in the formula"),
        ("{method: clda, formula: AVAL ~ 1, baseline: Week 0}", "no records at baseline 'Week 0'"),
        ("{method: win_regression, covariates: [SEX], hierarchy: [{value: CHG}]}", "more than one record"),
    ],
)
def test_sections_that_do_not_fit_the_data_are_named(study: AdamStudy, section: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        block(study, section)


def test_what_cannot_be_estimated_is_said_in_its_place(study: AdamStudy) -> None:
    one = from_frame(study["ADEFF"].frame.filter(pl.col("AVISITN") == 4), "ADEFF")
    found = block(AdamStudy({**study.datasets, "ADEFF": one}), "{method: slope}")
    assert found.rows == ()
    assert found.notes[0].startswith("Not estimable:")
    flat = study["ADEFF"].frame.with_columns(AVAL=pl.col("BASE") + (pl.col("AVISITN") / 4) % 2).drop("CHG")
    found = block(AdamStudy({**study.datasets, "ADEFF": from_frame(flat, "ADEFF")}), "{method: slope}")
    assert any("random intercept alone" in n for n in found.notes)


@pytest.mark.parametrize(
    ("section", "estimand", "reason"),
    [
        ("{method: clda, formula: AVAL ~ 1, baseline: Baseline}", asked("{death: composite}"), "clda section"),
        ("{method: slope}", asked("{}", "hazard ratio"), "difference in slopes"),
        (
            "{method: win_regression, covariates: [SEX], hierarchy: [{value: CHG}]}",
            asked("{}", "win odds"),
            "gives a win ratio",
        ),
    ],
)
def test_they_are_held_against_their_estimands(section: str, estimand: str, reason: str) -> None:
    with pytest.raises(ScenarioError, match=reason):
        plan(section, estimand=estimand)


def test_they_are_written_back_as_they_were_read(study: AdamStudy) -> None:
    made = plan(
        "{method: slope, per: 4.348, unit: month}\n"
        "      - {method: clda, formula: AVAL ~ 1, baseline: Baseline, covariance: [cs]}"
    )
    assert parse_plan(dump_plan(made)) == made
    assert all(b.rows for b in analyse(study, made).tables[0].blocks)


# -- the models looked at ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("section", "kinds"),
    [
        ("{method: ancova, formula: CHG ~ TRT01P + BASE, where: {AVISITN: 16}", "residuals qq influence"),
        (
            "{method: mmrm, formula: CHG ~ TRT01P * AVISIT + BASE, where: {AVISITN: {gt: 0}}",
            "ls_means residuals residuals qq influence",
        ),
        ("{method: slope, per: 4", "residuals residuals qq qq qq influence"),
        ("{method: logistic, response: {CHG: {ge: -3}}, where: {AVISITN: 16}", "forest residuals influence"),
        ("{method: survival", "kaplan_meier residuals influence proportional_hazards"),
    ],
)
def test_property_a_section_draws_its_diagnostics(study: AdamStudy, section: str, kinds: str) -> None:
    from equipoise.render.tables.figures import draw

    options = {"dataset": "ADTTE", "parameter": "DEATH", "gather": ""} if "survival" in section else {}
    plain, looked = (block(study, f"{section}{more}}}", **options) for more in ("", ", diagnostics: true"))
    assert [f.kind for f in looked.figures] == kinds.split()
    assert looked.rows == plain.rows
    assert any("Largest Cook's distances" in note for note in looked.notes)
    assert {"USUBJID"} == {next(iter(f.rows[0])) for f in looked.figures if f.kind == "influence"}
    for figure in looked.figures:
        assert draw(figure).svg().startswith("<svg")
