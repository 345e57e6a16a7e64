"""Philox against NumPy's, the quantile against SciPy's, draws against their distributions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from equipoise.numerics import random as rnd


@pytest.mark.parametrize(
    ("seed", "replicate", "purpose", "unit"), [(0, 0, 0, 0), (7, 3, 2, 1), (2**63 - 1, 99_999, 3, 12)]
)
def test_reference_philox_equals_numpy(seed: int, replicate: int, purpose: int, unit: int) -> None:
    stream = rnd.open_stream(seed, replicate, purpose, unit)
    ours = [int(rnd.next_word(stream)) for _ in range(23)]
    theirs = np.random.Philox(key=[seed, purpose], counter=[0, 0, unit, replicate]).random_raw(23)
    assert ours == [int(w) for w in theirs]


def test_reference_normal_quantile_equals_scipy() -> None:
    p = np.concatenate([np.logspace(-300, -1, 400), np.linspace(0.01, 0.99, 200), 1 - np.logspace(-15, -1, 100)])
    ours = np.array([rnd.normal_quantile(v) for v in p])
    np.testing.assert_allclose(ours, stats.norm.ppf(p), rtol=3e-14, atol=1e-15)


@pytest.mark.parametrize("df", [1.0, 3.5, 40.0])
def test_simulation_chi_square_has_its_distribution(df: float) -> None:
    stream = rnd.open_stream(1, 0, rnd.RESAMPLE, 0)
    draws = np.array([rnd.chi_square(stream, df) for _ in range(4000)])
    assert stats.kstest(draws, stats.chi2(df).cdf).pvalue > 1e-3


def test_property_streams_differ_and_repeat() -> None:
    a = [rnd.uniform(s) for s in [rnd.open_stream(5, 1, 1, 0)] for _ in range(8)]
    b = [rnd.uniform(s) for s in [rnd.open_stream(5, 1, 1, 0)] for _ in range(8)]
    c = [rnd.uniform(s) for s in [rnd.open_stream(5, 1, 1, 1)] for _ in range(8)]
    assert a == b
    assert not set(a) & set(c)
