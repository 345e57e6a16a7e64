"""Kaplan-Meier curves against R's survfit (survival 3.5-3), by hand, and by their properties."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl
import pytest
import survival_cases
from hypothesis import given, settings
from hypothesis import strategies as st

import parity
from equipoise.errors import DataError, EstimationError
from equipoise.estimate.survival.kaplan_meier import SCALES, kaplan_meier


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("case", survival_cases.CURVES)
def test_reference_survfit(case: str, scale: str) -> None:
    parity.check(survival_cases.compare_curve(case, scale), at_least=6)


@pytest.mark.parametrize("case", survival_cases.CURVES)
def test_reference_hazards_means_and_medians(case: str) -> None:
    """Nelson-Aalen with its standard error, Fleming and Harrington's curve, restricted means up to the last time of all
    groups, medians with plain limits, survival at five times: relative 1e-10.
    """
    parity.check(survival_cases.compare_hazards(case), at_least=10)


def test_independent_late_entry_by_hand() -> None:
    """Entry 0, 0, 2, 4 and events at 1, 5, 3, censoring at 6: at risk 2, 2, 2, 1 at the times 1, 3, 5, 6."""
    frame = pl.DataFrame({"S": [0.0, 0.0, 2.0, 4.0], "T": [1.0, 5.0, 3.0, 6.0], "E": [1, 1, 1, 0]})
    (curve,) = kaplan_meier(frame, time="T", event="E", entry="S")
    assert curve.at_risk.tolist() == [2, 2, 2, 1]
    np.testing.assert_allclose(curve.survival, [0.5, 0.25, 0.125, 0.125])
    np.testing.assert_allclose(curve.hazard, [0.5, 1.0, 1.5, 1.5])
    assert curve.at(4.0)[4] == 1  # the one entering at 4 is at risk after 4
    assert curve.at(4.5)[4] == 2
    (late,) = kaplan_meier(frame.with_columns(S=pl.lit(0.0)), time="T", event="E", entry="S")
    (plain,) = kaplan_meier(frame, time="T", event="E")
    np.testing.assert_array_equal(late.survival, plain.survival)
    np.testing.assert_array_equal(late.low, plain.low)


def test_property_a_time_that_is_not_reached_says_so() -> None:
    frame = pl.DataFrame({"T": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], "E": [1, 1, 1, 0, 0, 0], "G": ["a"] * 6})
    (curve,) = kaplan_meier(frame, time="T", event="E", arm="G")
    early = curve.time_by(0.25)
    assert early.estimable
    assert (early.estimate, early.low, early.high) == (2.0, 1.0, math.inf)
    late = curve.time_by(0.75)
    assert not late.estimable
    assert late.reason == "not reached: 50 % are without the event at 6"
    (none,) = kaplan_meier(frame.with_columns(E=pl.lit(0)), time="T", event="E")
    assert none.time_by().reason == "not reached: 100 % are without the event at 6"


def test_property_times_equal_up_to_rounding_are_tied() -> None:
    frame = pl.DataFrame({"T": [0.1 + 0.2, 0.3, 1.0], "E": [1, 1, 0]})
    (curve,) = kaplan_meier(frame, time="T", event="E")
    assert curve.events_at.tolist() == [2, 0]


def test_independent_by_hand() -> None:
    """Events at 1, 3, 3, censored at 2 and 5: S is 4/5, then 4/5 * 1/3."""
    frame = pl.DataFrame({"T": [1.0, 2.0, 3.0, 3.0, 5.0], "E": [1, 0, 1, 1, 0]})
    (curve,) = kaplan_meier(frame, time="T", event="E", scale="plain")
    np.testing.assert_allclose(curve.survival, [0.8, 0.8, 0.8 / 3, 0.8 / 3])
    np.testing.assert_allclose(curve.se_log[2], math.sqrt(1 / (5 * 4) + 2 / (3 * 1)))
    assert curve.quantile(0.5)[0] == 3.0
    assert math.isnan(curve.quantile(0.9)[0])
    assert curve.at(0.5)[0] == 1.0
    assert curve.at(4.9)[0] == pytest.approx(0.8 / 3)
    assert math.isnan(curve.at(6.0)[0])
    assert (curve.n, curve.events) == (5, 3)


def test_no_events_and_all_events() -> None:
    none = kaplan_meier(pl.DataFrame({"T": [1.0, 2.0], "E": [0, 0]}), time="T", event="E")[0]
    assert none.survival.tolist() == none.low.tolist() == none.high.tolist() == [1.0, 1.0]
    assert all(math.isnan(v) for v in none.quantile())
    every = kaplan_meier(pl.DataFrame({"T": [1.0, 2.0], "E": [True, True]}), time="T", event="E")[0]
    assert every.survival.tolist() == [0.5, 0.0]
    assert every.at(9.0)[0] == 0.0
    assert every.quantile()[0] == 1.5


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 8), st.booleans(), st.sampled_from("ab")), min_size=1, max_size=40), st.randoms()
)
def test_property_order_of_rows_and_units_do_not_matter(rows: list[tuple[int, bool, str]], order: Any) -> None:
    frame = pl.DataFrame([(float(t), e, g) for t, e, g in rows], schema=["T", "E", "G"], orient="row")
    shuffled = list(range(len(rows)))
    order.shuffle(shuffled)
    first = kaplan_meier(frame, time="T", event="E", arm="G")
    again = kaplan_meier(frame[shuffled].with_columns(pl.col("T") * 7), time="T", event="E", arm="G")
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.survival, other.survival)
        np.testing.assert_array_equal(one.time * 7, other.time)
        assert (np.diff(np.concatenate([[1.0], one.survival])) <= 0).all()
        assert int((one.events_at + one.censored_at).sum()) == one.n
        inner = (one.survival > 0) & (one.survival < 1)
        assert (one.low[inner] <= one.survival[inner]).all()
        assert (one.high[inner] >= one.survival[inner]).all()


def test_levels_keep_the_order_of_a_category() -> None:
    frame = pl.DataFrame({"T": [1.0, 2.0], "E": [1, 1], "G": ["a", "b"]}).with_columns(
        pl.col("G").cast(pl.Enum(["b", "a", "c"]))
    )
    assert [c.group for c in kaplan_meier(frame, time="T", event="E", arm="G")] == ["b", "a"]


def test_mistakes_are_named() -> None:
    frame = pl.DataFrame({"T": [1.0, -2.0], "E": [1, 2], "S": ["x", "y"]})
    with pytest.raises(DataError, match="no column 'X'"):
        kaplan_meier(frame, time="X", event="E")
    with pytest.raises(DataError, match="row 2: 'E' holds values other than 0 and 1"):
        kaplan_meier(frame.with_columns(T=1.0), time="T", event="E")
    with pytest.raises(DataError, match="row 2: 'T' is negative"):
        kaplan_meier(frame.with_columns(E=1), time="T", event="E")
    with pytest.raises(DataError, match="column 'S' is not a number"):
        kaplan_meier(frame, time="S", event="E")
    with pytest.raises(DataError, match="row 1: 'E' is not before 'T'"):
        kaplan_meier(pl.DataFrame({"T": [1.0], "E": [1]}), time="T", event="E", entry="E")
    with pytest.raises(DataError, match="no row has T, E"):
        kaplan_meier(pl.DataFrame({"T": [None], "E": [1]}), time="T", event="E")
    with pytest.raises(EstimationError, match="unknown estimator"):
        kaplan_meier(pl.DataFrame({"T": [1.0], "E": [1]}), time="T", event="E", estimator="breslow")
    with pytest.raises(EstimationError, match="unknown scale"):
        kaplan_meier(frame, time="T", event="E", scale="cubic")
    with pytest.raises(EstimationError, match="level"):
        kaplan_meier(frame, time="T", event="E", level=95)


def test_property_entry_and_time_that_differ_by_rounding_are_refused() -> None:
    frame = pl.DataFrame({"S": [1e-12, 0.0], "T": [2e-12, 1.0], "E": [1, 1]})
    with pytest.raises(DataError, match="differ by rounding alone"):
        kaplan_meier(frame, time="T", event="E", entry="S")
