"""Second trials after good-looking first ones: closed forms against simulation, selection that is ignorable."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import optimize, stats

from equipoise import NormalMixture, assurance
from equipoise.decision.replication import conditional_estimate, readings, selection
from equipoise.errors import ScenarioError

PRIOR = NormalMixture.of([0.6, 0.4], [0.0, 0.15], [0.05, 0.3])
SE, NEXT = 0.2, 0.1
CUT = 1.959964 * SE


def first_trials(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True effects, first and second estimates of a field."""
    rng = np.random.default_rng(seed)
    part = rng.random(n) < 0.4
    effect = np.where(part, rng.normal(0.15, 0.3, n), rng.normal(0.0, 0.05, n))
    return effect, rng.normal(effect, SE), rng.normal(effect, NEXT)


def test_simulation_those_that_looked_good() -> None:
    effect, first, second = first_trials(2_000_000, 3)
    chosen = first > CUT
    made = selection(PRIOR, SE, next_se=NEXT)
    n = int(chosen.sum())
    error = 4 / math.sqrt(n)
    assert made.share == pytest.approx(chosen.mean(), abs=4 * 0.5 / math.sqrt(2e6))
    assert made.estimate == pytest.approx(first[chosen].mean(), abs=error * first[chosen].std())
    assert made.effect == pytest.approx(effect[chosen].mean(), abs=error * effect[chosen].std())
    assert made.works == pytest.approx((effect[chosen] > 0).mean(), abs=error * 0.5)
    assert made.second_success == pytest.approx((second[chosen] > 1.959964 * NEXT).mean(), abs=error * 0.5)
    assert 0.2 < made.removed < 0.8


def test_simulation_the_sceptical_reading_is_calibrated_in_spite_of_selection() -> None:
    """Among those selected, the sceptical reading predicts what happens, at every height; the others predict more."""
    _, first, second = first_trials(3_000_000, 4)
    succeeded = second > 1.959964 * NEXT
    told: dict[str, list[float]] = {}
    seen = []
    for low in (0.40, 0.45, 0.55, 0.7):
        inside = (first > low) & (first < low + 0.02)
        seen.append(float(succeeded[inside].mean()))
        for r in readings(low + 0.01, SE, next_se=NEXT, prior=PRIOR):
            told.setdefault(r.name, []).append(r.success)
        assert told["sceptically"][-1] == pytest.approx(seen[-1], abs=4 * 0.5 / math.sqrt(inside.sum()) + 0.003)
    for name in ("as it stands", "with its error"):
        over = [t - s for t, s in zip(told[name], seen, strict=True)]
        assert min(over) > 0.05
        assert over[0] > 0.25
    whole = selection(PRIOR, SE, next_se=NEXT).second_success
    assert whole == pytest.approx(float(succeeded[first > CUT].mean()), abs=0.005)


def test_independent_readings_are_their_closed_forms() -> None:
    stands, error, selected, sceptical = readings(0.6, SE, next_se=NEXT, prior=NormalMixture.normal(0.1, 0.3))
    assert stands.success == pytest.approx(float(stats.norm.sf(1.959964 - 0.6 / NEXT)))
    assert error.success == pytest.approx(assurance(mean=0.6, sd=SE, se=NEXT).assurance, abs=1e-6)
    precision = 1 / 0.3**2 + 1 / SE**2
    mean = (0.1 / 0.3**2 + 0.6 / SE**2) / precision
    assert (sceptical.effect.mean, sceptical.effect.sd) == pytest.approx((mean, precision**-0.5))
    assert sceptical.success == pytest.approx(assurance(mean=mean, sd=precision**-0.5, se=NEXT).assurance, abs=1e-6)
    assert stands.effect.mean > selected.effect.mean > 0
    low, high = sceptical.second.interval()
    half = 1.959964 * math.hypot(precision**-0.5, NEXT)
    assert (low, high) == pytest.approx((mean - half, mean + half), abs=1e-5)


@pytest.mark.parametrize("y", [2.0, 2.2, 3.0, 5.0])
def test_independent_the_conditional_estimate_is_a_maximum(y: float) -> None:
    def minus_log(m: float) -> float:
        return -float(stats.norm.logpdf(y, m) - stats.norm.logsf(1.96, m))

    best = optimize.minimize_scalar(minus_log, bounds=(-40, y + 1), method="bounded", options={"xatol": 1e-9})
    assert conditional_estimate(y, 1.0, 1.96) == pytest.approx(best.x, abs=1e-5)
    # of a scale: twice the unit, twice the estimate
    assert conditional_estimate(2 * y, 2.0, 3.92) == pytest.approx(2 * conditional_estimate(y, 1.0, 1.96))


def test_property_selection_is_read_only_where_it_happened() -> None:
    names = [r.name for r in readings(0.3, SE, next_se=NEXT, prior=PRIOR)]
    assert "as selected" not in names
    with pytest.raises(ScenarioError, match="not above"):
        conditional_estimate(0.3, SE, CUT)
    assert conditional_estimate(CUT + 1e-12, SE, CUT) < -1.0
    near = next(r for r in readings(CUT + 1e-9, SE, next_se=NEXT, prior=PRIOR) if r.name == "as selected")
    assert near.effect.mean == 0.0
    assert near.success == pytest.approx(0.025)


def test_property_a_sharper_prior_removes_more() -> None:
    found = [
        readings(0.5, SE, next_se=NEXT, prior=NormalMixture.normal(0.0, sd))[-1].success
        for sd in (0.05, 0.1, 0.3, 50.0)
    ]
    assert found == sorted(found)
    assert found[-1] == pytest.approx(readings(0.5, SE, next_se=NEXT, prior=PRIOR)[1].success, abs=1e-3)


@pytest.mark.parametrize(("name", "value"), [("se", 0.0), ("next_se", -1.0), ("alpha", 0.0), ("estimate", math.nan)])
def test_property_numbers_out_of_range_are_refused(name: str, value: float) -> None:
    given = {"estimate": 1.0, "se": 1.0, "next_se": 1.0, "alpha": 0.025, name: value}
    estimate, se = given.pop("estimate"), given.pop("se")
    with pytest.raises(ScenarioError, match=name):
        readings(estimate, se, prior=PRIOR, **given)
