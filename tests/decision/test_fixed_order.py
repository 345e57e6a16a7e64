"""Fixed-sequence testing: order, ties with the level, what ends the sequence, and its family-wise error."""

from __future__ import annotations

import math

import numpy as np
import pytest

from equipoise.decision.fixed_order import Verdict, closed_sequence, closed_sequence_rejections
from equipoise.errors import EstimationError
from equipoise.estimate.result import Estimate
from equipoise.types import Status

S, N, X = Verdict.SIGNIFICANT, Verdict.NOT_SIGNIFICANT, Verdict.NOMINAL


@pytest.mark.parametrize(
    ("p", "verdicts"),
    [
        ([0.01, 0.05, 0.0500001, 1e-9], [S, S, N, X]),
        ([0.97, 1e-6, 1e-6], [N, X, X]),
        ([1e-6, math.nan, 1e-6], [S, N, X]),
        ([], []),
    ],
)
def test_reference_order_decides(p, verdicts) -> None:
    steps = closed_sequence([(f"t{i}", v) for i, v in enumerate(p)])
    assert [s.verdict for s in steps] == verdicts
    if p:
        many = closed_sequence_rejections(np.array([p]))
        assert many[0].tolist() == [v is S for v in verdicts]


def test_property_estimates_are_taken_as_they_are() -> None:
    primary = Estimate.from_t("primary", "t", 1.0, 1.0, 10.0, 12)
    lost = Estimate.from_t("death", "Cox", 0.0, 1.0, math.inf, 12, status=Status.NO_EVENTS)
    steps = closed_sequence([Estimate.from_t("first", "t", 9.0, 1.0, 10.0, 12), primary, lost])
    assert [s.verdict for s in steps] == [S, N, X]
    assert steps[2].to_sentence().startswith("death: no p-value, nominal")
    assert steps[0].to_sentence() == "first: P < 0.0001, significant."


def test_property_bad_input_is_named() -> None:
    with pytest.raises(EstimationError, match="alpha"):
        closed_sequence([("a", 0.1)], alpha=0)
    with pytest.raises(EstimationError, match=r"a: p-value 1\.5"):
        closed_sequence([("a", 1.5)])


def test_simulation_family_wise_error_is_at_most_alpha() -> None:
    """100,000 families of 5 true nulls after 2 false ones: Monte Carlo error of 5 % is 0.07 %."""
    p = np.random.default_rng(0).random((100_000, 7))
    p[:, :2] *= 1e-4
    rejected = closed_sequence_rejections(p)
    assert abs(rejected[:, 2:].any(axis=1).mean() - 0.05) < 4 * 0.0007
    assert (np.diff(rejected.astype(int), axis=1) <= 0).all()


def test_property_a_test_that_could_not_be_done_ends_the_sequence() -> None:
    steps = closed_sequence([("a", 0.01), ("b", None), ("c", 0.001)])
    assert [str(s.verdict) for s in steps] == ["significant", "not significant", "nominal"]
    assert steps[1].to_sentence() == "b: no p-value, not significant."
    for wrong in ("0.01", True, 2.0, [0.1]):
        with pytest.raises(EstimationError, match="a: p-value"):
            closed_sequence([("a", wrong)])  # type: ignore[list-item]
