"""The constrained longitudinal model: known equalities, and a dense fit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.linear.clda import clda
from equipoise.estimate.linear.mmrm import fit_batch, mmrm


def simulated(n: int = 80, seed: int = 1, dropout: float = 0.0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    arm = rng.permutation(np.arange(n) % 2)
    y = 40 + 4 * rng.normal(size=(n, 1)) + rng.normal(size=(n, 3)).cumsum(axis=1)
    y[:, 1:] += arm[:, None] * np.array([0.5, 1.0])
    seen = rng.uniform(size=(n, 3)) >= dropout
    i, v = np.nonzero(seen)
    return pd.DataFrame(
        {
            "ID": i,
            "VISIT": np.array(["Base", "Week 1", "Week 2"])[v],
            "ARM": np.where(arm[i], "b", "a"),
            "STRATUM": np.where(i % 3 == 0, "x", "y"),
            "Y": y[i, v],
        }
    )


def test_independent_complete_data_give_ancova() -> None:
    """With complete data and ML the effect at each visit is that of ANCOVA on baseline (Liang & Zeger 2000)."""
    d = simulated()
    fit = clda("Y ~ us(VISIT | ID)", d, arm="ARM", baseline="Base", reml=False, df="satterthwaite")
    table = fit.contrasts("ARM", by="VISIT").to_frame().set_index("VISIT")
    wide = d.pivot(index="ID", columns="VISIT", values="Y")
    arm = (d.groupby("ID")["ARM"].first() == "b").to_numpy(float)
    for visit in ("Week 1", "Week 2"):
        x = np.column_stack([np.ones(len(arm)), arm, wide["Base"]])
        beta = np.linalg.lstsq(x, wide[visit].to_numpy(), rcond=None)[0]
        # the constraint removes the chance difference at baseline, as adjusting for it does
        assert table.loc[visit, "estimate"] == pytest.approx(beta[1], rel=1e-7)
    assert table.loc["Base", "estimate"] == pytest.approx(0.0, abs=1e-12)
    assert np.isnan(table.loc["Base", "se"])
    assert table.loc["Base", "status"] == "no_variance"


def test_independent_the_same_model_by_indicator_columns() -> None:
    d = simulated(dropout=0.15, seed=4)
    fit = clda("Y ~ STRATUM + us(VISIT | ID)", d, arm="ARM", baseline="Base")
    by_hand = d.assign(
        W1=((d["VISIT"] == "Week 1") & (d["ARM"] == "b")).astype(float),
        W2=((d["VISIT"] == "Week 2") & (d["ARM"] == "b")).astype(float),
    )
    other = mmrm("Y ~ STRATUM + VISIT + W1 + W2 + us(VISIT | ID)", by_hand)
    assert fit.loglik == pytest.approx(other.loglik, rel=1e-11)
    mine = fit.contrasts("ARM", by="VISIT").to_frame().set_index("VISIT").loc[["Week 1", "Week 2"]]
    theirs = other.coefficients.set_index("term").loc[["W1", "W2"]]
    for column in ("estimate", "se", "df", "p"):
        np.testing.assert_allclose(mine[column], theirs[column], rtol=1e-6)
    assert fit.optimum.data[0]  # the fast form of the design
    assert not other.optimum.data[0]


def test_property_baseline_comes_first_and_numbers_are_visits() -> None:
    d = simulated(dropout=0.1)
    named = clda("Y ~ us(VISIT | ID)", d.assign(VISIT=d["VISIT"].replace({"Base": "Zero"})), arm="ARM", baseline="Zero")
    assert named.visits == ("Zero", "Week 1", "Week 2")
    week = d.assign(WEEK=d["VISIT"].map({"Base": 0, "Week 1": 4, "Week 2": 8}))
    numbered = clda("Y ~ us(WEEK | ID)", week, arm="ARM", baseline=0)
    assert numbered.loglik == pytest.approx(named.loglik, rel=1e-12)
    a = named.contrasts("ARM", by="VISIT").to_frame()["estimate"].to_numpy()
    np.testing.assert_allclose(numbered.contrasts("ARM", by="WEEK").to_frame()["estimate"], a, atol=1e-9)


def test_property_type_three_is_not_defined() -> None:
    fit = clda("Y ~ us(VISIT | ID)", simulated(), arm="ARM", baseline="Base")
    assert fit.test("VISIT:ARM")["num_df"][0] == 2
    with pytest.raises(EstimationError, match="not hierarchical"):
        fit.anova()


def test_property_errors() -> None:
    d = simulated()
    with pytest.raises(DataError, match="no level 'Screening'"):
        clda("Y ~ us(VISIT | ID)", d, arm="ARM", baseline="Screening")
    with pytest.raises(EstimationError, match="ARM is in the formula"):
        clda("Y ~ ARM + us(VISIT | ID)", d, arm="ARM", baseline="Base")


def test_independent_batched() -> None:
    d = simulated(dropout=0.12, seed=9)
    one = (
        clda("Y ~ us(VISIT | ID)", d, arm="ARM", baseline="Base")
        .contrasts("ARM", by="VISIT")
        .to_frame()
        .set_index("VISIT")
    )
    n = int(d["ID"].max()) + 1
    y = np.full((1, n, 3), np.nan)
    y[0, d["ID"], d["VISIT"].map({"Base": 0, "Week 1": 1, "Week 2": 2})] = d["Y"]
    arm = np.zeros(n)
    arm[d["ID"]] = d["ARM"] == "b"
    contrasts = np.zeros((2, 3, 2))
    contrasts[[0, 1], [1, 2], 1] = 1.0
    active = np.array([[True, False], [True, True], [True, True]])
    many = fit_batch(y, np.stack([np.ones(n), arm], axis=1)[None], contrasts, df="kenward-roger-linear", active=active)
    for column, got in (("estimate", many.estimate), ("se", many.se), ("df", many.df)):
        np.testing.assert_allclose(got[0], one.loc[["Week 1", "Week 2"], column], rtol=1e-5)
    assert many.beta[0, 0, 1] == 0.0
