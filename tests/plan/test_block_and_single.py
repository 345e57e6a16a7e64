"""What a kernel finds on a block of trials is what the method finds on each of them, on the ADaM data of that trial."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from equipoise.estimate.result import Estimate
from equipoise.plan.block import analyse, estimates, study_of
from equipoise.plan.compiled import AnyForm, CarriedForward, DelayedStart, MixedModel, Repeated, Slopes, TimeToEvent
from equipoise.plan.key import Key
from equipoise.plan.read_keys import read
from equipoise.plan.scenario_plan import AnalysisPlan
from equipoise.simulate import Scenario, Simulator
from equipoise.trial import Trials

ACTIVE = "tofersen"
OF: dict[str, Any] = {"id": "a", "set": "ITT", "variable": "ALSFRS", "week": 12.0}
AT: dict[str, Any] = {"arm": ACTIVE, "visit": "Week 12"}


def both(scenario: Scenario, form: AnyForm, keys: dict[Key, tuple[Key, str]], **disease: float) -> list[Any]:
    """(trial, key) of the kernel, and of single trials, for keys of the one and of the other."""
    plan = AnalysisPlan(analyses=(form,))
    calm = scenario.disease.model_copy(update={"event_hazard": 0.01, **disease})
    bare = {m: h.model_copy(update={"disease": {}}) for m, h in scenario.mechanisms.items()}
    own = scenario.model_copy(update={"disease": calm, "mechanisms": bare, "plan": plan})
    trials: Trials = Simulator.of(own).block(11, 0, 3)
    kernel = read(trials, list(keys), plan, analyse(trials, plan))
    single = [estimates(study_of(trials, i), own.whole_plan(), strict=True) for i in range(3)]

    def number(found: dict[Key, Estimate], key: Key, name: str) -> float:
        estimate = found[key]
        value: float = getattr(estimate, name)
        return float(np.log(value)) if estimate.ratio and name == "estimate" else value

    other = np.array([[number(one, key, name) for key, name in keys.values()] for one in single])
    return [kernel, other]


def contrast(p: str, week: float | None = 12.0, quantity: str = "difference", **place: Any) -> dict[Any, Any]:
    single = Key(quantity, analysis="a", **place)
    return {
        Key("contrast", analysis="a", week=week): (single, "estimate"),
        Key("contrast_se", analysis="a", week=week): (single, "se"),
        Key(p, analysis="a", week=week): (single, "p"),
    }


@pytest.mark.parametrize(
    "form",
    [
        CarriedForward(**OF, covariates=("BASE", "RILEDAFL"), observed_to=4.0),
        CarriedForward(**{**OF, "variable": "NFL"}, covariates=("BASE", "ONSETMO"), log=True),
    ],
    ids=["changes", "log"],
)
def test_independent_carried_forward(valor: Scenario, form: CarriedForward) -> None:
    quantity = "ratio" if form.log else "difference"
    kernel, single = both(valor, form, contrast("p_ancova", quantity=quantity, **AT), missed_visit=0.1)
    np.testing.assert_allclose(kernel, single, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize(
    "form",
    [
        MixedModel(**OF, covariates=("BASE", "NFLBL")),
        MixedModel(**{**OF, "variable": "NFL"}, covariates=("BASE",), log=True, structure="ar1h", df="satterthwaite"),
        MixedModel(**OF, constrained=True),
        MixedModel(**OF, constrained=True, covariates=("NFLBL", "PRESLOPE")),
    ],
    ids=["us", "log", "constrained", "constrained, covariates"],
)
def test_independent_mmrm(valor: Scenario, form: MixedModel) -> None:
    """The two find the optimum on their own; with many coefficients what is left between them shows in the p-value."""
    quantity = "ratio" if form.log else "difference"
    kernel, single = both(valor, form, contrast("p_mmrm", quantity=quantity, **AT), missed_visit=0.05)
    rtol = 1e-7 if form.constrained and form.covariates else 1e-8
    np.testing.assert_allclose(kernel, single, rtol=rtol, atol=1e-12)


def test_independent_slope(valor: Scenario) -> None:
    form = Slopes(**{**OF, "week": 28.0}, covariates=("PRESLOPE",))
    one = Key("slope_difference", analysis="a", arm=ACTIVE)
    keys = {
        Key("slope_difference", analysis="a"): (one, "estimate"),
        Key("slope_difference_se", analysis="a"): (one, "se"),
        Key("p_slope", analysis="a"): (one, "p"),
    }
    kernel, single = both(valor, form, keys, missed_visit=0.05)
    np.testing.assert_allclose(kernel, single, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("strata", [("RILEDAFL",), ()], ids=["stratified", "plain"])
def test_independent_tests_of_times(valor: Scenario, strata: tuple[str, ...]) -> None:
    form = TimeToEvent(
        id="a", set="ITT", week=40.0, event="death_or_ventilation", covariates=("PRESLOPE", "ALSFRSBL"), strata=strata
    )
    cox = Key("hazard_ratio", analysis="a", arm=ACTIVE, section=3 if strata else 1)
    keys = {
        Key("p_log_rank", analysis="a"): (Key("log_rank", analysis="a"), "p"),
        Key("p_wilcoxon", analysis="a"): (Key("fleming_harrington", analysis="a", section=2), "p"),
        Key("contrast", analysis="a"): (cox, "estimate"),
        Key("contrast_se", analysis="a"): (cox, "se"),
        Key("p_cox", analysis="a"): (cox, "p"),
    }
    kernel, single = both(valor, form, keys)
    np.testing.assert_allclose(kernel, single, rtol=1e-8, atol=1e-12)


REPEATED: dict[str, Any] = {**OF, "covariates": ("BASE", "RILEDAFL"), "impute_with": ("BASE",), "joint_rank": True}


def _imputed(p: str = "p_ancova") -> dict[Any, Any]:
    rank = Key("rank_difference", analysis="a", arm=ACTIVE, section=2)
    ranks = {Key("rank_difference", analysis="a"): (rank, "estimate"), Key("p_joint_rank", analysis="a"): (rank, "p")}
    return {**contrast(p, **AT), **ranks}


CALM = {"missed_visit": 0.0, "withdrawal_hazard": 0.0, "event_hazard": 0.0, "event_death_share": 0.0}


@pytest.mark.parametrize("log", [False, True], ids=["changes", "log ratios"])
def test_independent_joint_rank_by_itself(valor: Scenario, log: bool) -> None:
    own = {**REPEATED, "variable": "NFL"} if log else REPEATED
    rank = Key("rank_difference", analysis="a", arm=ACTIVE)
    keys = {Key("rank_difference", analysis="a"): (rank, "estimate"), Key("p_joint_rank", analysis="a"): (rank, "p")}
    kernel, single = both(valor, Repeated(**own, ancova=False, log=log), keys, **CALM)
    np.testing.assert_allclose(kernel, single, rtol=1e-8, atol=1e-12)


def test_independent_imputation_where_nothing_is_missing(valor: Scenario) -> None:
    kernel, single = both(valor, Repeated(**REPEATED), _imputed(), **CALM)
    np.testing.assert_allclose(kernel, single, rtol=1e-8, atol=1e-12)


def test_simulation_imputation_agrees_within_its_monte_carlo_error(valor: Scenario) -> None:
    """With 400 imputations, other random numbers: estimates within 0.25 of their standard error, p within 0.05."""
    form = Repeated(**REPEATED, imputations=400)
    kernel, single = both(valor, form, _imputed(), missed_visit=0.1)
    assert np.all(np.abs(kernel[:, 0] - single[:, 0]) < 0.25 * single[:, 1])
    np.testing.assert_allclose(kernel[:, 1], single[:, 1], rtol=0.1)
    np.testing.assert_allclose(kernel[:, [2, 4]], single[:, [2, 4]], atol=0.05)
    assert not np.array_equal(kernel, single)


@pytest.mark.parametrize(
    "how",
    [{}, {"third": "difference", "margin": 1.0, "covariates": (), "df": "satterthwaite", "structure": "toeph"}],
    ids=["preserved", "difference"],
)
def test_independent_delayed_start(valor: Scenario, how: dict[str, Any]) -> None:
    of = {"id": "a", "set": "ITT", "variable": "ALSFRS", "week": 40.0, "period_end": 28.0, "covariates": ("BASE",)}
    plan = AnalysisPlan.model_validate({"analyses": (DelayedStart.model_validate({**of, **how}),)})
    own = valor.model_copy(update={"plan": plan})
    trials: Trials = Simulator.of(own).block(5, 0, 3)
    kernel = analyse(trials, plan)
    single = [estimates(study_of(trials, i), own.whole_plan(), strict=True) for i in range(3)]
    questions = {k for k in kernel if k.quantity == "question"}
    assert {k.visit for k in questions} == {"Q1", "Q2", "Q3"}
    assert {(k.quantity, k.visit) for k in kernel.keys() - questions} == {
        ("difference", "period 1"),
        ("difference", "period 2"),
        ("change_of_difference", None),
        ("difference_preserved", None),
    }
    for key, found in kernel.items():
        for name in ("p",) if key in questions else ("estimate", "se", "df", "p"):
            other = [getattr(one[key], name) for one in single]
            np.testing.assert_allclose(found.number(name), other, rtol=1e-6, err_msg=f"{key.id} {name}")
