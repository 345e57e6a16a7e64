"""Groups that are never compared: the tests are those of the parts, on the df of the parts."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from equipoise import gray_test, log_rank


def apart(seed: int) -> pl.DataFrame:
    g = np.random.default_rng(seed)
    n = 20
    return pl.DataFrame(
        {
            "T": np.round(g.exponential(10.0, 4 * n) + 0.1, 2),
            "HOW": g.integers(1, 3, 4 * n),
            "E": np.ones(4 * n, np.int64),
            "A": np.repeat(list("abcd"), n),
            "S": np.repeat(list("xxyy"), n),
        }
    )


@pytest.mark.parametrize("seed", range(40))
def test_property_log_rank_of_groups_apart_is_the_sum_of_its_parts(seed: int) -> None:
    data = apart(seed)
    for rho in (0.0, 1.0):
        whole = log_rank("Surv(T, E) ~ A + strata(S)", data, rho=rho)
        parts = [log_rank("Surv(T, E) ~ A", data.filter(S=s), rho=rho) for s in "xy"]
        assert whole.df == 2
        assert whole.chi_square == pytest.approx(sum(p.chi_square for p in parts), rel=1e-9)


@pytest.mark.parametrize("seed", range(10))
def test_property_gray_of_groups_apart_is_the_sum_of_its_parts(seed: int) -> None:
    data = apart(seed)
    named = {"time": "T", "cause": "HOW", "of": 1, "arm": "A"}
    whole = gray_test(data, strata="S", **named)
    parts = [gray_test(data.filter(S=s), **named) for s in "xy"]
    assert whole.df == 2
    assert whole.chi_square == pytest.approx(sum(p.chi_square for p in parts), rel=1e-9)


def test_property_groups_that_never_meet_have_no_test() -> None:
    data = pl.DataFrame({"T": [1.0, 2, 3, 4], "E": [1, 1, 1, 1], "A": list("aabb"), "S": list("xxyy")})
    made = log_rank("Surv(T, E) ~ A + strata(S)", data)
    assert (made.df, np.isnan(made.p)) == (0, True)
    assert "no event while both groups were at risk" in made.reason
    assert made.estimate().status.name == "SINGULAR"
