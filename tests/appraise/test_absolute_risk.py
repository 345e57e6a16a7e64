"""Absolute risks against the published worked examples of their methods."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.appraise import absolute_risk
from equipoise.errors import DataError

# R. G. Newcombe, Statistics in Medicine 1998;17:873-890, table II, method 10
DIFFERENCES = [
    (56, 70, 48, 80, 0.0524, 0.3339),
    (9, 10, 3, 10, 0.1705, 0.8090),
    (6, 7, 2, 7, 0.0582, 0.8062),
    (5, 56, 0, 29, -0.0381, 0.1926),
    (0, 10, 0, 20, -0.1611, 0.2775),
    (0, 10, 0, 10, -0.2775, 0.2775),
    (10, 10, 0, 20, 0.6791, 1.0000),
    (10, 10, 0, 10, 0.6075, 1.0000),
]
# R. G. Newcombe, Statistics in Medicine 1998;17:857-872, table I, method 3
PROPORTIONS = [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)]


@pytest.mark.parametrize(("a", "m", "b", "n", "low", "high"), DIFFERENCES)
def test_reference_risk_difference(a: int, m: int, b: int, n: int, low: float, high: float) -> None:
    rd = absolute_risk.risk_difference(a, m, b, n)
    assert rd.estimate == pytest.approx(a / m - b / n)
    assert (rd.low, rd.high) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(("a", "m", "low", "high"), PROPORTIONS)
def test_reference_wilson(a: int, m: int, low: float, high: float) -> None:
    assert absolute_risk.wilson(a, m) == pytest.approx((low, high), abs=5e-5)


counts = st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(counts, counts)
def test_property_swapping_the_arms_mirrors_the_interval(one: tuple[int, int], two: tuple[int, int]) -> None:
    there, back = absolute_risk.risk_difference(*one, *two), absolute_risk.risk_difference(*two, *one)
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))
    assert -1 <= there.low <= there.estimate <= there.high <= 1


@given(counts, counts)
def test_property_number_needed_only_where_the_interval_leaves_out_zero(
    one: tuple[int, int], two: tuple[int, int]
) -> None:
    rd, nn = absolute_risk.risk_difference(*one, *two), absolute_risk.number_needed(*one, *two)
    assert (nn is None) == (rd.low <= 0)
    if nn is not None:
        assert nn.low <= nn.estimate <= nn.high
        assert nn.estimate == pytest.approx(1 / rd.estimate)


@given(st.floats(0.05, 20), st.floats(0.05, 0.99))
def test_property_detectable_difference_is_where_power_is_reached(se: float, power: float) -> None:
    # the far tail is left out of the detectable difference, so the power there is never below what was asked
    reached = absolute_risk.power_at(absolute_risk.detectable_difference(se, power), se)
    assert reached >= power - 1e-9
    assert power < 0.2 or reached == pytest.approx(power, abs=2e-3)


def test_reference_power_without_effect_is_the_level() -> None:
    assert absolute_risk.power_at(0.0, 3.0) == pytest.approx(0.05, abs=1e-12)


def test_reference_rule_of_three() -> None:
    # J. A. Hanley and A. Lippman-Hand, JAMA 1983;249:1743-1745: about 3 / n, exactly 1 - 0.05 ** (1 / n)
    assert absolute_risk.rule_of_three(36) == pytest.approx(1 - 0.05 ** (1 / 36))
    assert absolute_risk.rule_of_three(1000) == pytest.approx(3 / 1000, rel=0.01)


@pytest.mark.parametrize(("events", "total"), [(-1, 5), (6, 5), (0, 0)])
def test_impossible_counts_are_refused(events: int, total: int) -> None:
    with pytest.raises(DataError, match="no proportion"):
        absolute_risk.wilson(events, total)


def test_se_and_interval_agree() -> None:
    z = 1.959963984540054
    assert absolute_risk.se_from_interval(-z, z) == pytest.approx(1.0)
    assert absolute_risk.sd_from_se(1.5, 16) == pytest.approx(6.0)
    assert absolute_risk.confidence_above(0.0, -z, z, 0.0) == pytest.approx(0.5)
    assert math.isclose(absolute_risk.percent_lower(0.33), 67.0)
