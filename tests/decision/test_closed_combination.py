"""The closed combination test: against rpact, against integration, and its error under any selection."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from equipoise.decision import ClosedCombination, InverseNormal, dunnett_p
from equipoise.decision.closed_combination import Intersection
from equipoise.errors import ScenarioError

# rpact 3.3.4: getDesignInverseNormal(kMax = 2, alpha = 0.025, typeOfDesign = "OF"), four groups of 40 a stage with
# means 1.2, 0.4, 0.9, 0 and then 1.1, dropped, 1.0, 0.1, SD 2; getClosedCombinationTestResults with
# normalApproximation = TRUE. Rows are the intersections 123, 12, 13, 23, 1, 2, 3; columns the stages.
UPPER = np.array([2.796509681, 1.977430959])
MEANS = np.array([[1.2, 0.4, 0.9, 0.0], [1.1, np.nan, 1.0, 0.1]])
SETS = [(0, 1, 2), (0, 1), (0, 2), (1, 2), (0,), (1,), (2,)]
RPACT: dict[Intersection, list[tuple[float, float]]] = {
    "dunnett": [
        (2.32462031, 3.0476408),
        (2.45883798, 3.3197998),
        (2.45883798, 3.1425470),
        (1.74741886, 2.6586367),
        (2.68328157, 3.4785054),
        (0.89442719, np.nan),
        (2.01246118, 2.8460499),
    ],
    "bonferroni": [
        (2.29259948, 3.0028386),
        (2.44262904, 3.3083384),
        (2.44262904, 3.1089255),
        (1.70420557, 2.6280803),
        (2.68328157, 3.4785054),
        (0.89442719, np.nan),
        (2.01246118, 2.8460499),
    ],
    "simes": [
        (2.29259948, 3.0441376),
        (2.44262904, 3.3083384),
        (2.44262904, 3.1502245),
        (1.70420557, 2.6280803),
        (2.68328157, 3.4785054),
        (0.89442719, np.nan),
        (2.01246118, 2.8460499),
    ],
}


@pytest.mark.parametrize("intersection", list(RPACT))
def test_reference_combined_statistics_are_those_of_rpact(intersection: Intersection) -> None:
    z = (MEANS[:, :3] - MEANS[:, 3:]) / (2.0 * np.sqrt(2 / 40))
    going = np.isfinite(z)
    test = ClosedCombination(InverseNormal(np.array([0.5, 0.5]), UPPER), 3, intersection)
    found = test.combined(z, going)
    # rpact integrates Dunnett's probability numerically, to a few 1e-6; the rest is exact
    near = 3e-5 if intersection == "dunnett" else 2e-6
    for j, (first, second) in zip(SETS, RPACT[intersection], strict=True):
        assert found[j][0] == pytest.approx(first, abs=near)
        if np.isfinite(second):
            assert found[j][1] == pytest.approx(second, abs=near)
    np.testing.assert_array_equal(test.rejected(z, going), [2, 0, 2])


def test_independent_dunnett_by_the_multivariate_normal() -> None:
    ratio = np.array([0.5, 1.0, 2.0])
    load = np.sqrt(ratio / (1 + ratio))
    cov = np.outer(load, load)
    np.fill_diagonal(cov, 1.0)
    for top in (1.0, 2.2, 3.5):
        z = np.array([top, top - 1.0, -0.3])
        at = {"mean": np.zeros(3), "cov": cov, "abseps": 1e-8, "releps": 1e-8, "maxpts": 10**6}
        inside = stats.multivariate_normal.cdf(np.full(3, top), **at)
        assert dunnett_p(z, ratio) == pytest.approx(1 - inside, abs=1e-6)
    # one comparison is the normal test, and one that takes no part changes nothing
    assert dunnett_p(np.array([2.0]), np.ones(1)) == pytest.approx(stats.norm.sf(2.0), abs=1e-12)
    assert dunnett_p(np.array([2.0, -np.inf]), np.ones(2)) == pytest.approx(stats.norm.sf(2.0), abs=1e-12)
    assert np.isnan(dunnett_p(np.array([2.0, np.nan]), np.ones(2)))


@pytest.mark.parametrize("intersection", list(RPACT))
def test_simulation_the_best_of_three_is_kept_and_the_level_holds(intersection: Intersection) -> None:
    rng, n = np.random.default_rng(20), 40_000
    shared = rng.normal(size=(n, 2, 1))
    z = (rng.normal(size=(n, 2, 3)) - shared) / np.sqrt(2.0)
    going = np.ones((n, 2, 3), np.bool_)
    going[:, 1] = np.arange(3) == z[:, 0].argmax(axis=1)[:, None]
    test = ClosedCombination(InverseNormal(np.array([0.5, 0.5]), UPPER), 3, intersection)
    wrong = (test.rejected(z, going) > 0).any(axis=1).mean()
    assert wrong <= 0.025 + 3 * np.sqrt(0.025 * 0.975 / n)
    # without the closed test the selection doubles the error
    naive = test.test.combine_z(np.take_along_axis(z, z[:, :1].argmax(axis=2)[:, :, None], axis=2)[..., 0])
    assert (naive >= UPPER).any(axis=1).mean() > 0.035


def test_property_one_hypothesis_is_the_inverse_normal_test() -> None:
    z = np.random.default_rng(1).normal(1.0, 1.0, size=(500, 2, 1))
    single = InverseNormal(np.array([0.4, 0.6]), UPPER)
    going = np.ones_like(z, dtype=np.bool_)
    np.testing.assert_array_equal(
        ClosedCombination(single, 1).rejected(z, going)[:, 0], single.rejects(stats.norm.sf(z[..., 0]))
    )


def test_property_what_is_lost_rejects_nothing() -> None:
    test = ClosedCombination(InverseNormal(np.array([0.5, 0.5]), UPPER), 2, "simes")
    z = np.array([[9.0, np.nan], [9.0, 9.0]])
    np.testing.assert_array_equal(test.rejected(z, np.ones((2, 2), np.bool_)), [0, 0])
    with pytest.raises(ScenarioError, match="1 to 10"):
        ClosedCombination(test.test, 0)
    with pytest.raises(ScenarioError, match="dunnett, bonferroni, simes"):
        ClosedCombination(test.test, 2, "other")  # type: ignore[arg-type]
