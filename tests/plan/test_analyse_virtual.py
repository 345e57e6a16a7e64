"""A virtual trial written as ADaM goes through the same command, and the time-to-event tables say what they cannot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from equipoise.errors import DataError, ScenarioError
from equipoise.estimate.linear.ancova import ancova
from equipoise.estimate.linear.mmrm import mmrm
from equipoise.estimate.survival import cox, log_rank
from equipoise.estimate.survival.kaplan_meier import kaplan_meier
from equipoise.plan.analysis_plan import Plan, parse_plan
from equipoise.plan.carry_out import analyse
from equipoise.plan.starter import start_plan, start_text
from equipoise.trial import EventTimes, Trial, Trials
from equipoise.trial.adam import AdamStudy, from_frame, from_trial, read_adam, write_adam


def virtual(seed: int = 5, n: int = 80) -> Trial:
    generator = np.random.default_rng(seed)
    shape = (1, n)
    weeks = np.array([0.0, 4.0, 12.0, 28.0])
    arm = (np.arange(n)[None] % 2).astype(np.int8)
    slope = generator.normal(1.0, 0.3, (1, n, 1)) * (1.0 - 0.4 * arm[..., None])
    aval = 38 - slope * weeks / 4 + generator.normal(0, 0.7, (1, n, 4))
    aval[0, 5:15, 3] = np.nan
    event = (generator.random(shape) < 0.3).astype(np.int8) * 2
    trials = Trials(
        arms=("Placebo", "Active"),
        sets=("S", "F"),
        weeks=weeks,
        seed=seed,
        first_replicate=0,
        arm=arm,
        group=generator.integers(0, 2, shape).astype(np.int8),
        covariates={"ONSETMO": generator.gamma(2, 6, shape), "RILFL": generator.integers(0, 2, shape) * 1.0},
        outcomes={"ALSFRSR": aval},
        events={
            "first": EventTimes(np.where(event > 0, generator.uniform(1, 28, shape), 28.0), event > 0, "DTHPV"),
            "death": EventTimes(np.where(event > 0, generator.uniform(1, 28, shape), 28.0), event == 2, "DEATH"),
        },
        last_week=np.full(shape, 28.0),
        entered_extension=np.ones(shape, np.bool_),
        adverse_events={"csf_pleocytosis": generator.random(shape) < 0.2 + 0.5 * arm},
    )
    return trials[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sim")
    write_adam(from_trial(virtual(), study="VALOR"), path)
    return path


def test_property_a_virtual_trial_through_the_started_plan(folder: Path) -> None:
    plan = parse_plan(start_text(read_adam(folder)))
    assert plan.treatment.arms == ("Placebo", "Active")
    ids = {a.id for a in plan.analyses}
    assert ids == {"T1", "T2", "ADEFF.ALSFRSR.ANCOVA", "ADEFF.ALSFRSR.MMRM", "ADTTE.DTHPV", "ADTTE.DEATH", "ADAE"}
    results = analyse(folder, plan)
    assert [p for p in results.problems if p["severity"] != "note"] == []
    for table in results.tables:
        assert all(block.rows for block in table.blocks), table.id
    model = results.table("ADEFF.ALSFRSR.MMRM").blocks[0]
    assert model.details["converged"]
    last = [r for r in model.rows if r.label == "Difference of LS means (SE)"][-1].cells["Active"].values
    assert float(last["low"] or 0) > 0, "the simulated benefit at week 28 is found"
    assert results.table("ADAE").cell("Adverse events", "csf_pleocytosis", "p: Active").values["p"] < 0.05


def test_independent_numbers_are_those_of_the_estimators(folder: Path) -> None:
    """The table's ANCOVA, log-rank, Cox and Kaplan-Meier numbers are those of a direct call on the trial's frames."""
    trial = virtual()
    results = analyse(folder, start_plan(read_adam(folder)))
    visits = trial.visits.filter((pl.col("AVISITN") == 28) & (pl.col("PARAMCD") == "ALSFRSR"))
    arms = pl.Enum(["Placebo", "Active"])
    fit = ancova("CHG ~ TRT01P + BASE", visits.with_columns(pl.col("TRT01P").cast(arms)))
    direct = fit.contrasts("TRT01P", against="Placebo").to_frame().row(0, named=True)
    found = results.table("ADEFF.ALSFRSR.ANCOVA").cell("ANCOVA", "Difference of LS means (SE)", "Active").values
    assert found["estimate"] == pytest.approx(direct["estimate"], rel=1e-12)
    assert found["se"] == pytest.approx(direct["se"], rel=1e-12)

    events = trial.events.filter(pl.col("PARAMCD") == "DEATH")
    events = events.with_columns(pl.col("TRT01P").cast(arms), EVENT=(pl.col("CNSR") == 0).cast(pl.Int64))
    block = results.table("ADTTE.DEATH").blocks[0]
    cells = {r.label: r.cells for r in block.rows}
    test = log_rank("Surv(AVAL, EVENT) ~ TRT01P", events)
    assert cells["n"]["All arms"].values["p"] == pytest.approx(test.p, rel=1e-12)
    ratio = cox("Surv(AVAL, EVENT) ~ TRT01P", events).hazard_ratio("TRT01P")
    assert cells["Hazard ratio (95% CI)"]["Active"].values["estimate"] == pytest.approx(ratio.estimate, rel=1e-12)
    curve = kaplan_meier(events, time="AVAL", event="EVENT", arm="TRT01P")[0]
    assert cells["Events, n (%)"]["Placebo"].values["n"] == curve.events


ADSL = pl.DataFrame(
    {"USUBJID": [f"S{i}" for i in range(12)], "TRT01P": ["Placebo", "Drug"] * 6, "STRAT": ["a", "b", "b"] * 4}
)
PLAN = """
study: S
treatment: {arms: [Placebo, Drug]}
populations: {ALL: {label: All}}
analyses:
  - id: TTE
    title: Time to event
    population: ALL
    dataset: ADTTE
    parameter: OS
    total: true
    sections: [{method: survival, at: [5], strata: [STRAT]}]
"""


def tte(cnsr: list[float]) -> AdamStudy:
    events = pl.DataFrame(
        {"USUBJID": ADSL["USUBJID"], "PARAMCD": ["OS"] * 12, "AVAL": [float(i + 1) for i in range(12)], "CNSR": cnsr}
    )
    return AdamStudy({"ADSL": from_frame(ADSL, "ADSL"), "ADTTE": from_frame(events, "ADTTE")})


def test_not_estimable_is_a_result_with_a_reason() -> None:
    plan: Plan = parse_plan(PLAN)
    none = analyse(tte([1.0] * 12), plan).tables[0].blocks[0]
    cells = {r.label: r.cells for r in none.rows}
    assert cells["Hazard ratio (95% CI)"]["Drug"].text == "NE (NE; NE)"
    assert cells["n"]["All arms"].text == "NE"
    assert any("no events" in note for note in none.notes)
    assert cells["Event-free at 5, % (95% CI)"]["Total"].text == "100.0 (100.0; 100.0)"
    one = analyse(tte([0.0, 1.0] * 6), plan).tables[0].blocks[0]
    assert any("all events in one arm" in note for note in one.notes)


def test_several_reasons_of_censoring_are_censoring() -> None:
    """CNSR 1, 2, 3 are all censored; 0 alone is an event."""
    plan = parse_plan(PLAN)
    simple = [0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0]
    reasons = [0.0, 2.0, 1.0, 0.0, 0.0, 0.0, 3.0, 0.0, 0.0, 2.0, 0.0, 0.0]
    rows = [analyse(tte(c), plan).tables[0].blocks[0].rows for c in (simple, reasons)]
    assert rows[0] == rows[1]
    total = {r.label: r.cells for r in rows[0]}["Events, n (%)"]["Total"]
    assert total.values["n"] == 8


def test_independent_ratios_are_exponentials_of_differences(folder: Path) -> None:
    """A log model shown as geometric means: exp of the direct estimate and limits; the same p-value and error."""
    text = """
study: VALOR
treatment: {arms: [Placebo, Active]}
populations: {ITT: {label: All, where: {ITTFL: Y}}}
analyses:
  - id: NFL
    title: Ratio to baseline
    population: ITT
    dataset: ADEFF
    parameter: ALSFRSR
    where: {AVISITN: 28}
    derive: {LAVAL: {log: AVAL}, LBASE: {log: BASE}}
    sections:
      - {method: ancova, formula: LAVAL ~ TRT01P + LBASE, exponentiate: true, level: 0.9}
"""
    block = analyse(folder, parse_plan(text)).tables[0].blocks[0]
    found = next(r for r in block.rows if r.label == "Ratio (90% CI)").cells["Active"].values
    means = next(r for r in block.rows if r.label == "Geometric mean (90% CI)").cells["Active"].values
    visits = (
        virtual()
        .visits.filter(pl.col("AVISITN") == 28)
        .with_columns(
            pl.col("TRT01P").cast(pl.Enum(["Placebo", "Active"])), Y=pl.col("AVAL").log(), X=pl.col("BASE").log()
        )
    )
    fit = ancova("Y ~ TRT01P + X", visits)
    direct = fit.contrasts("TRT01P", against="Placebo", level=0.9).to_frame().row(0, named=True)
    mean = fit.lsmeans("TRT01P").to_frame().filter(pl.col("TRT01P") == "Active").row(0, named=True)
    assert means["estimate"] == pytest.approx(np.exp(mean["estimate"]), rel=1e-10)
    for mine, theirs in (("estimate", "estimate"), ("low", "low"), ("high", "high")):
        assert found[mine] == pytest.approx(np.exp(direct[theirs]), rel=1e-10)
    assert found["se"] == pytest.approx(direct["se"], rel=1e-10)
    assert found["p"] == pytest.approx(direct["p"], rel=1e-8)
    assert "ratios" in block.description
    study = read_adam(folder)
    low = study["ADEFF"].frame.with_columns(AVAL=pl.lit(-1.0), BASE=pl.lit(-1.0), CHG=pl.lit(0.0))
    negative = AdamStudy({**study.datasets, "ADEFF": from_frame(low, "ADEFF")})
    with pytest.raises(DataError, match=r"derive LAVAL: AVAL of .* is -1"):
        analyse(negative, parse_plan(text), strict=True)
    with pytest.raises(ScenarioError, match="one function of one variable is meant"):
        parse_plan(text.replace("{log: AVAL}", "{log: AVAL, sqrt: AVAL}"))


def test_independent_test_of_a_term_and_the_ladder_of_structures(folder: Path) -> None:
    """Rows of one's own: the F test of the interaction as the estimator gives it; the structure used is said."""
    text = """
study: VALOR
treatment: {arms: [Placebo, Active]}
populations: {ITT: {label: All, where: {ITTFL: Y}}}
analyses:
  - id: M
    title: Change
    population: ITT
    dataset: ADEFF
    parameter: ALSFRSR
    where: {AVISITN: {gt: 0}}
    sections:
      - method: mmrm
        formula: CHG ~ TRT01P * AVISIT + BASE
        covariance: [toeph, us]
        df: satterthwaite
        visits: [Week 28]
        rows:
          - {label: Interaction, show: "{f:2}; {p:p4}", term: "TRT01P:AVISIT", arm: Active}
          - {label: Active, show: "{estimate:3}", arm: Active}
          - {label: Difference, show: "{estimate:3} ({df:1})", arm: Active, versus: Placebo}
"""
    (block,) = analyse(folder, parse_plan(text)).tables[0].blocks
    assert block.details["covariance"] == "toeph"
    assert [list(r.cells) for r in block.rows] == [["Active"]] * 3
    visits = (
        virtual()
        .visits.filter(pl.col("AVISITN") > 0)
        .with_columns(
            pl.col("TRT01P").cast(pl.Enum(["Placebo", "Active"])),
            pl.col("AVISIT").cast(pl.Enum(["Week 4", "Week 12", "Week 28"])),
        )
    )
    fit = mmrm("CHG ~ TRT01P * AVISIT + BASE + toeph(AVISIT | USUBJID)", visits, df="satterthwaite")
    whole = fit.test("TRT01P:AVISIT").row(0, named=True)
    found = block.rows[0].cells["Active"].values
    assert found["p"] == pytest.approx(whole["p"], rel=1e-8)
    assert found["f"] == pytest.approx(whole["f"], rel=1e-8)
    last = (
        fit.contrasts("TRT01P", by="AVISIT", against="Placebo")
        .to_frame()
        .filter(pl.col("AVISIT").cast(pl.String) == "Week 28")
    )
    for mine in ("estimate", "se", "df"):
        assert block.rows[2].cells["Active"].values[mine] == pytest.approx(last[mine][0], rel=1e-8)
