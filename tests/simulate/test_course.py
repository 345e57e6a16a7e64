"""The course of a patient: against an independent ODE solver, and its properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from equipoise.simulate import Scenario, simulate, typical_course
from equipoise.simulate.als import PACKAGE
from equipoise.simulate.als.course import N_LAG, N_TRANSIT
from equipoise.simulate.mechanism import ON_FUNCTION, Mechanism
from equipoise.types import WEEKS_PER_MONTH


def lsoda(scenario: Scenario, mechanism: Mechanism, group: str, arm: str, weeks: np.ndarray) -> dict[str, np.ndarray]:
    """The same equations, written down again and solved by LSODA between doses (loss per 1 point/month)."""
    groups, d, effect = scenario.under(mechanism)
    g = groups[group]
    dosing = scenario.protocol.dosing
    doses = [*dosing.randomised.get(arm, ()), *dosing.extension.get(arm, ())]

    def rates(_: float, y: np.ndarray) -> np.ndarray:
        c, e, s = y[:3]
        transit, nfl, lag = y[3 : 3 + N_TRANSIT], y[3 + N_TRANSIT], y[4 + N_TRANSIT : 4 + N_TRANSIT + N_LAG]
        injury = transit[-1] ** g.injury_exponent
        k, q = N_TRANSIT / g.injury_delay, N_LAG / max(effect.lag, 1e-9)
        multiplier = {
            Mechanism.SLOWING: 1 - effect.weight * (1 - injury),
            Mechanism.LAGGED: 1 - effect.weight * (1 - lag[-1]),
        }.get(mechanism, 1.0)
        behind = q * (np.concatenate([[injury], lag[:-1]]) - lag) if mechanism is Mechanism.LAGGED else 0 * lag
        return np.concatenate(
            [
                [-d.elimination * c, d.ke0 * (c - e), d.kout * (1 - g.emax * e / (d.ec50 + e) - s)],
                k * (np.concatenate([[s], transit[:-1]]) - transit),
                [d.nfl_loss * (injury - nfl)],
                behind,
                [multiplier / WEEKS_PER_MONTH],
            ]
        )

    y = np.concatenate([[0, 0, 1], np.ones(N_TRANSIT), [1], np.ones(N_LAG), [0]])
    out, t = [], 0.0
    stops = sorted({*weeks, *doses})
    for stop in stops:
        if stop > t:
            y = solve_ivp(rates, (t, stop), y, method="LSODA", rtol=1e-10, atol=1e-12).y[:, -1]
            t = stop
        if stop in weeks:
            out.append(y.copy())
        if stop in doses:
            y[0] += dosing.dose * 1000 / d.volume
    path = np.array(out)
    return {"SOD1": path[:, 2], "NFL": path[:, 3 + N_TRANSIT], "LOSS": path[:, -1], "CSF": path[:, 0]}


@pytest.mark.parametrize("mechanism", [Mechanism.NONE, *(m for m in ON_FUNCTION if m in PACKAGE.mechanisms)])
@pytest.mark.parametrize(("group", "arm"), [("F", "tofersen"), ("S", "placebo")])
def test_independent_course_equals_lsoda(valor: Scenario, mechanism: Mechanism, group: str, arm: str) -> None:
    # weeks without a dose, so that "before or after the dose" is no question
    weeks = np.array([1, 3, 6, 10, 14, 18, 22, 26, 29, 34, 42, 52], dtype=float)
    ours = typical_course(valor, group, arm, mechanism=mechanism, weeks=[0.0, *weeks])
    theirs = lsoda(valor, mechanism, group, arm, weeks)
    np.testing.assert_allclose(ours["CSF"][1:], theirs["CSF"], rtol=1e-9)
    np.testing.assert_allclose(ours["SOD1"][1:], theirs["SOD1"], rtol=1e-4)
    np.testing.assert_allclose(ours["NFL"][1:], theirs["NFL"], rtol=5e-4)
    np.testing.assert_allclose(ours["LOSS"][1:], theirs["LOSS"], rtol=5e-4)


def test_property_halving_the_step_changes_nothing_that_matters(valor: Scenario) -> None:
    day = typical_course(valor, "F", "tofersen")
    half = typical_course(valor, "F", "tofersen", steps_per_week=14)
    assert np.abs(day["NFL"] - half["NFL"]).max() < 5e-4
    assert np.abs(day["SOD1"] - half["SOD1"]).max() < 1e-4
    assert np.abs(day["LOSS"] - half["LOSS"]).max() < 1e-3


def test_property_no_drug_is_natural_history(valor: Scenario) -> None:
    undosed = valor.protocol.model_copy(
        update={"dosing": valor.protocol.dosing.model_copy(update={"randomised": {}, "extension": {}})}
    )
    scenario = valor.model_copy(update={"protocol": undosed})
    for mechanism in valor.mechanisms:
        states = typical_course(scenario, "F", "tofersen", mechanism=mechanism, rate=1.3)
        for name in ("SOD1", "INJURY", "NFL", "LAGGED_INJURY"):
            np.testing.assert_array_equal(states[name], 1.0)
        np.testing.assert_allclose(states["LOSS"], 1.3 * states["weeks"] / WEEKS_PER_MONTH, rtol=1e-12)


def test_property_steady_state_and_mass_balance(valor: Scenario) -> None:
    dosing = valor.protocol.dosing
    weeks = tuple(float(w) for w in range(0, 400, 4))
    long = valor.protocol.model_copy(
        update={
            "visits": (0.0, 400.0),
            "period_end": 400.0,
            "extension": None,
            "dosing": dosing.model_copy(update={"randomised": {"tofersen": weeks}, "extension": {}}),
        }
    )
    scenario = valor.model_copy(update={"protocol": long})
    d = scenario.disease
    states = typical_course(scenario, "F", "tofersen", mechanism="slowing")
    jump = dosing.dose * 1000 / d.volume
    decay = np.exp(-4 * d.elimination)
    # the trough before a dose settles at jump * decay / (1 - decay); paths show the value before the dose
    assert states["CSF"][396] == pytest.approx(jump * decay / (1 - decay), rel=1e-9)
    # what goes in comes out: over one interval at steady state, loss = dose
    fine = typical_course(scenario, "F", "tofersen", mechanism="slowing", weeks=[0.0, *(392 + np.arange(1, 28) / 7)])
    area = np.trapezoid(np.concatenate([[jump / (1 - decay)], fine["CSF"][1:], [states["CSF"][396]]]), dx=1 / 7)
    assert d.elimination * area == pytest.approx(jump, rel=1e-3)
    # production and loss balance in each pool
    assert states["SOD1"][399] == pytest.approx(states["SOD1"][395], rel=1e-6)
    assert states["NFL"][396] == pytest.approx(states["INJURY"][396], rel=0.02)


@settings(max_examples=15)
@given(dose=st.floats(5, 400), factor=st.floats(1.05, 4))
def test_property_more_drug_never_less_effect(dose: float, factor: float) -> None:
    from equipoise.simulate import load_scenario

    scenario = load_scenario("valor")

    def at(mg: float) -> dict[str, np.ndarray]:
        dosing = scenario.protocol.dosing.model_copy(update={"dose": mg})
        protocol = scenario.protocol.model_copy(update={"dosing": dosing})
        return typical_course(scenario.model_copy(update={"protocol": protocol}), "F", "tofersen", mechanism="lagged")

    low, high = at(dose), at(dose * factor)
    for name in ("SOD1", "INJURY", "NFL", "LAGGED_INJURY"):
        assert (high[name] <= low[name] + 1e-12).all()
    assert (high["LOSS"] <= low["LOSS"] + 1e-12).all()


def test_property_each_link_follows_the_one_before(valor: Scenario) -> None:
    """While the drug builds up, SOD1 falls first, then injury, then NfL; function follows injury with its lag."""
    days = np.arange(0, 24 * 7 + 1) / 7
    states = typical_course(valor, "F", "tofersen", mechanism="lagged", weeks=days)

    def half_way(state: np.ndarray) -> float:
        return float(days[np.argmax(1 - state >= 0.5 * (1 - state).max())])

    assert half_way(states["SOD1"]) < half_way(states["INJURY"]) < half_way(states["NFL"])
    assert half_way(states["INJURY"]) < half_way(states["LAGGED_INJURY"])
    assert (states["LAGGED_INJURY"] >= states["INJURY"] - 1e-9).all()


def test_property_mechanisms_share_the_biomarker_path(valor: Scenario) -> None:
    paths = [typical_course(valor, "S", "tofersen", mechanism=m)["NFL"] for m in valor.mechanisms]
    for other in paths[1:]:
        np.testing.assert_array_equal(paths[0], other)


def test_property_replicate_does_not_depend_on_its_block(valor: Scenario) -> None:
    whole = simulate(valor, 6, seed=11)
    part = simulate(valor, 2, seed=11, first=3)
    for name, values in whole.outcomes.items():
        np.testing.assert_array_equal(values[3:5], part.outcomes[name])
    np.testing.assert_array_equal(whole.arm[3:5], part.arm)
    for name, event in whole.events.items():
        np.testing.assert_array_equal(event.week[3:5], part.events[name].week)
    for name, happened in whole.adverse_events.items():
        np.testing.assert_array_equal(happened[3:5], part.adverse_events[name])


def test_property_other_seed_other_trial(valor: Scenario) -> None:
    a, b = simulate(valor, 1, seed=1), simulate(valor, 1, seed=2)
    assert not np.array_equal(a.outcomes["ALSFRS"], b.outcomes["ALSFRS"])
