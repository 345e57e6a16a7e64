"""Targets: what enters the fit and what is held back; and predictions against whole simulated trials."""

from __future__ import annotations

import math

import numpy as np
import pytest

from equipoise.calibrate import Target, targets
from equipoise.calibrate.cohort import Predictor, cohort
from equipoise.calibrate.fitting import _Fitter, fit_exposure, with_parameters
from equipoise.calibrate.plan import Free
from equipoise.plan.key import Key
from equipoise.records import Record, load_record
from equipoise.run import run_study
from equipoise.simulate import Scenario, Simulator
from equipoise.simulate.mechanism import Mechanism


@pytest.fixture(scope="module")
def record() -> Record:
    return load_record("valor")


@pytest.fixture(scope="module")
def found(record: Record, valor: Scenario) -> tuple[Target, ...]:
    return targets(record, valor)


def test_property_nothing_after_the_randomised_period_is_used(found: tuple[Target, ...], valor: Scenario) -> None:
    end = valor.protocol.period_end
    used = [t for t in found if t.used]
    assert len(used) > 150
    for t in used:
        assert t.key.week is None or t.key.week <= end
        assert t.key.analysis is None or "w52" not in t.key.analysis
        assert t.where.confidence != "recall"
        assert t.where.source
    held = {t.id for t in found if not t.used}
    assert {"contrast:alsfrs_itt_w52:w52", "contrast:alsfrs_itt_w52_nfl:w52", "p_joint_rank:alsfrs_f_w28"} <= held


def test_property_targets_are_unique_and_on_the_right_scale(found: tuple[Target, ...]) -> None:
    assert len({t.id for t in found}) == len(found)
    by_id = {t.id: t for t in found}
    primary = by_id["contrast:alsfrs_f_w28:w28"]
    assert (primary.value, primary.se) == (1.2, 2.22)
    ratio = by_id["contrast:nfl_f_w28:w28"]
    assert ratio.ln
    assert ratio.value == pytest.approx(math.log(0.33))
    assert ratio.se == pytest.approx((math.log(0.45) - math.log(0.25)) / (2 * 1.959964), rel=1e-6)
    event = by_id["event_share:death_or_ventilation:F:placebo:w28"]
    assert event.value == pytest.approx(2 / 21)


def test_property_recalled_numbers_never_enter(record: Record, valor: Scenario) -> None:
    data = record.model_dump(mode="json", exclude_none=True)
    for result in data["results"]:
        result["confidence"] = "recall"
        for sourced in (*result.get("arms", {}).values(), result.get("contrast"), *result.get("p", [])):
            if sourced:
                sourced["confidence"] = "recall"
    recalled = targets(Record.model_validate(data), valor)
    ids = {r["id"] for r in data["results"]}
    assert not [t for t in recalled if t.result in ids]


def test_independent_cohort_equals_whole_trials(valor: Scenario, found: tuple[Target, ...]) -> None:
    """The large-cohort prediction is the expectation of the analysis with imputation: within Monte Carlo error."""
    kinds = ("arm_mean", "contrast")
    wanted = [
        t.key
        for t in found
        if t.key.quantity in kinds and t.key.analysis in ("alsfrs_s_w28", "nfl_s_w28") and t.key.week == 28
    ]
    assert len(wanted) == 6
    big = Predictor(valor, cohort(valor, Mechanism.LAGGED, 150, 5, dropout=False))(wanted)
    simulator = Simulator.of(valor.with_plan(valor.plan.only("alsfrs_s_w28", "nfl_s_w28")), Mechanism.LAGGED)
    with run_study(simulator, wanted, 150, seed=6) as study:
        whole = np.stack([v for _, v in study.columns()], axis=1)
    error = np.sqrt(2) * whole.std(axis=0, ddof=1) / np.sqrt(len(whole))  # both sides have the error of 150 trials
    assert (np.abs(whole.mean(axis=0) - big) < 4 * error).all()


def test_independent_exposure_has_the_published_trough(record: Record, valor: Scenario) -> None:
    d = fit_exposure(record, valor).disease
    rng = np.random.default_rng(1)
    k = d.elimination * np.exp(d.elimination_sd * rng.standard_normal(400_000))
    v = d.volume * np.exp(d.volume_sd * rng.standard_normal(400_000))
    trough = 1e5 / v * np.exp(-4 * k) / -np.expm1(-4 * k)
    assert trough.mean() == pytest.approx(24, abs=4 * 24 / np.sqrt(400_000) + 0.1)
    assert trough.std() == pytest.approx(24, rel=0.03)


def test_property_a_block_recovers_what_made_its_targets(record: Record, valor: Scenario) -> None:
    """Fit a block to numbers the simulation itself made: the parameter comes back."""
    free = [
        Free(place="disease.svc_ratio_sd", start=0.3, low=0.02, high=1.5),
        Free(place="groups.F.svc_per_point", start=1.5, low=0.0, high=8.0),
    ]
    truth = with_parameters(valor, Mechanism.LAGGED, free, [0.5, 2.6])
    fitter = _Fitter(record, valor, 20, 3, None)
    clinical = [t for t in fitter.targets if t.block == "clinical" and t.key.analysis == "svc_f_w28"]
    made = Predictor(truth, cohort(truth, Mechanism.LAGGED, 20, 3, dropout=False))([t.key for t in clinical])
    fitter.targets = tuple(
        t.__class__(**{**t.__dict__, "value": float(v)}) for t, v in zip(clinical, made, strict=True)
    )
    back = fitter.block("clinical", valor, Mechanism.LAGGED, free)
    groups, disease, _ = back.under(Mechanism.LAGGED)
    assert groups["F"].svc_per_point == pytest.approx(2.6, abs=0.05)
    assert disease.svc_ratio_sd == pytest.approx(0.5, abs=0.1)


def test_property_a_pooled_cohort_is_described_as_one_trial(valor: Scenario) -> None:
    """Descriptions of a cohort come from the functions that describe a trial, leavers and all."""
    people = cohort(valor, Mechanism.LAGGED, 12, 3, dropout=True)
    whole = people.pooled()
    assert len(whole) == 1
    assert whole.n_subjects == len(people) * people.n_subjects
    assert np.array_equal(whole.outcomes["ALSFRS"][0, -1], people.outcomes["ALSFRS"][-1, -1], equal_nan=True)
    change = people.outcomes["ALSFRS"][:, :, people.visit_index(28.0)] - people.outcomes["ALSFRS"][:, :, 0]
    seen = (people.arm == 0) & ~np.isnan(change)
    x = np.log(people.outcomes["NFL"][:, :, 0])
    found = Predictor(valor, people)(
        [
            Key("observed_change", variable="ALSFRS", arm=valor.protocol.arms[0], week=28.0),
            Key("correlation", variable="LNNFLBL", statistic="pearson", arm=valor.protocol.arms[0], week=28.0),
        ]
    )
    assert found == pytest.approx([change[seen].mean(), np.corrcoef(x[seen], change[seen])[0, 1]])
