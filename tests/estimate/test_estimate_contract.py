"""The contract of every estimate: OK has numbers, anything else has a reason and no test."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.errors import EstimationError
from equipoise.estimate.result import Estimate
from equipoise.types import REASONS, Status

TEST = ("se", "df", "statistic", "p", "low", "high")


def broken(e: Estimate) -> str | None:
    """What of the contract ``e`` breaks, if anything."""
    if e.status is Status.OK:
        wanted = ("estimate", "se", "statistic", "p", "low", "high")
        if not all(math.isfinite(getattr(e, k)) for k in wanted) or not e.df > 0.0:
            return f"OK with {e}"
        return None if e.se > 0.0 and 0.0 <= e.p <= 1.0 and e.low <= e.high else f"OK with {e}"
    if not e.reason or e.reason == REASONS[Status.OK]:
        return f"{e.status.name} without a reason"
    return None if all(math.isnan(getattr(e, k)) for k in TEST) else f"{e.status.name} with a test"


NUMBERS = st.floats(allow_nan=True, allow_infinity=True)


@given(NUMBERS, NUMBERS, NUMBERS, st.booleans(), st.sampled_from(list(Status)))
def test_property_no_numbers_break_the_contract(
    value: float, se: float, df: float, ratio: bool, status: Status
) -> None:
    made = Estimate.from_t("b - a", "t", value, se, df, 10, ratio=ratio, status=status)
    assert broken(made) is None
    if status is not Status.OK:
        assert made.status is status
    assert "nan" not in made.to_sentence()
    assert broken(replace(made, p=math.nan)) is None


@given(NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, st.sampled_from(list(Status)))
def test_property_nor_do_those_given_one_by_one(
    value: float, se: float, df: float, low: float, high: float, p: float, status: Status
) -> None:
    assert broken(Estimate("b - a", "t", value, se, df, low, high, p, 10, status=status)) is None


def test_independent_the_faulty_number_is_named() -> None:
    nan = math.nan
    assert Estimate.from_t("x", "t", 1.0, 0.0, 5.0, 3).reason == "not estimable: the standard error is 0"
    assert Estimate.from_t("x", "t", nan, 1.0, 5.0, 3).reason == "not estimable: there is no finite estimate"
    assert Estimate.from_t("x", "t", 1.0, nan, 5.0, 3).reason == "not estimable: there is no finite standard error"
    assert Estimate.from_t("x", "t", 1.0, 1.0, nan, 3).reason == "not estimable: there are no degrees of freedom"
    with pytest.raises(EstimationError, match="form"):
        replace(Estimate.from_t("x", "t", 1.0, 1.0, 5.0, 3), form="other")


def test_independent_statistic_of_a_ratio_is_that_of_its_logarithm() -> None:
    made = Estimate.from_t("x", "t", 1.0, 0.5, math.inf, 3, ratio=True)
    assert made.statistic == 2.0
    assert made.estimate == pytest.approx(math.e)
    again = replace(made, statistic=math.nan)
    assert again.statistic == pytest.approx(2.0)
    assert made.to_row()["statistic"] == 2.0


def test_independent_open_intervals_are_told_in_words() -> None:
    nan, inf = math.nan, math.inf
    found = Estimate("median", "KM", 5.0, nan, inf, 3.0, inf, nan, 9, scale="time", form="description")
    assert found.status is Status.OK
    assert found.to_sentence() == "median: time 5 (95 % CI: from 3, no upper limit) (KM, n = 9)."
    assert replace(found, form="test").status is Status.SINGULAR


@given(NUMBERS, NUMBERS, NUMBERS)
def test_property_a_test_without_estimate_has_a_p_value_or_a_reason(p: float, statistic: float, df: float) -> None:
    made = Estimate.of_test("arm by sex", "F test", p, 40, statistic=statistic, df=df)
    if 0.0 <= p <= 1.0:
        assert made.estimable
        assert made.p == p
        assert math.isnan(made.estimate)
        assert "nan" not in made.to_sentence()
    else:
        assert made.reason == "not estimable: there is no p-value"
        assert math.isnan(made.statistic)


def test_independent_counts_sides_and_the_value_of_no_effect() -> None:
    count = Estimate.of_count("deaths", 0, 12)
    assert (count.status, count.estimate, count.n) == (Status.OK, 0.0, 12)
    assert math.isnan(count.p)
    assert Estimate.of_count("mean", math.nan, 0).status is Status.SINGULAR
    assert Estimate.of_test("question", "t", 0.02, 30, sided=1).sided == 1
    assert Estimate.from_t("x", "t", 0.1, 0.5, 9.0, 3, ratio=True).null == 1.0
    assert Estimate.from_t("x", "t", 0.1, 0.5, 9.0, 3, scale="win odds").null == 1.0
    assert Estimate.from_t("x", "t", 0.1, 0.5, 9.0, 3).null == 0.0
