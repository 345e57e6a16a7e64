"""Type I, II and III tests of the ANCOVA door: against R, and against models fitted again."""

from __future__ import annotations

import json

import narwhals.stable.v2 as nw
import numpy as np
import pytest
from test_ancova import SHARED, load_case, needs_shared, week28

from equipoise.errors import EstimationError
from equipoise.estimate.linear.ancova import AncovaFit, ancova


def rss(fit: AncovaFit) -> float:
    return float((fit.errors**2).sum())


def table(frame: object) -> dict[str, np.ndarray]:
    native = nw.from_native(frame, eager_only=True)  # type: ignore[call-overload]
    return {name: native.get_column(name).to_numpy() for name in native.columns}


@needs_shared
@pytest.mark.parametrize("case", ["antidep_v7", "antidep_v7_strata", "antidep_v4", "fev_v4", "fev_v4_weighted"])
def test_reference_type_one_and_drop_one_equal_r(case: str) -> None:
    """R 4.2.2 anova() and drop1(test = "F"), relative 1e-8; without interactions II, III and drop1 are one test."""
    expected = json.loads((SHARED / "reference" / "ancova.json").read_text())["cases"][case]
    fit = load_case(case)
    first = table(fit.anova(type=1))
    theirs = expected["anova_type1"]
    wanted = np.array([row for name, row in zip(theirs["rows"], theirs["values"], strict=True) if name != "Residuals"])
    np.testing.assert_allclose(first["num_df"], wanted[:, 0])
    np.testing.assert_allclose(first["sum_sq"], wanted[:, 1], rtol=1e-8)
    np.testing.assert_allclose(first["f"], wanted[:, 3], rtol=1e-8)
    np.testing.assert_allclose(first["p"], wanted[:, 4], rtol=1e-8)
    drop = expected["drop1_F"]
    if any(":" in name for name in drop["rows"]):
        return
    wanted = np.array([row for name, row in zip(drop["rows"], drop["values"], strict=True) if name != "<none>"], float)
    for kind in (2, 3):
        ours = table(fit.anova(type=kind))
        np.testing.assert_allclose(ours["f"], wanted[:, 4], rtol=1e-8)
        np.testing.assert_allclose(ours["p"], wanted[:, 5], rtol=1e-8)


def test_independent_types_two_and_three_by_fitting_again() -> None:
    data = week28("polars")
    full = ancova("CHG ~ BASE + RILFL * TRT01P", data)
    two = table(full.anova(type=2))
    # Type II of treatment: beyond BASE and RILFL, without the interaction, over the full model's error
    gain = rss(ancova("CHG ~ BASE + RILFL", data)) - rss(ancova("CHG ~ BASE + RILFL + TRT01P", data))
    where = list(two["terms"]).index("TRT01P")
    assert two["f"][where] == pytest.approx(gain / full.sigma**2, rel=1e-9)
    # Type III of treatment: its effect averaged equally over riluzole use
    three = table(full.anova(type=3))
    contrast = table(full.contrasts("TRT01P", against="Placebo", at={"BASE": 0.0}).to_frame())
    assert three["f"][where] == pytest.approx(contrast["statistic"][0] ** 2, rel=1e-9)
    # the interaction is the same under all three
    one = table(full.anova(type=1))
    assert one["f"][-1] == pytest.approx(two["f"][-1], rel=1e-9)
    assert two["f"][-1] == pytest.approx(three["f"][-1], rel=1e-9)
    named = table(full.test("RILFL:TRT01P"))
    assert named["p"][0] == pytest.approx(three["p"][-1], rel=1e-9)


def test_property_robust_covariance_goes_with_type_three_only() -> None:
    fit = ancova("CHG ~ BASE + TRT01P", week28("polars"), vcov="HC3")
    t = table(fit.coefficients)["statistic"][-1]
    assert table(fit.anova())["f"][-1] == pytest.approx(t**2, rel=1e-9)
    for kind in (1, 2):
        with pytest.raises(EstimationError, match="do not go with HC3"):
            fit.anova(type=kind)
    with pytest.raises(EstimationError, match="type = 4"):
        fit.anova(type=4)
    with pytest.raises(EstimationError, match="no term or coefficient 'SEX'"):
        fit.test("SEX")
