"""Joint ranks against hand computation, the shared R reference, and brute force."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.joint_rank import cafs, joint_rank

SHARED = Path(os.environ.get("EQUIPOISE_SHARED", Path(__file__).parents[3] / "shared"))
needs_shared = pytest.mark.skipif(
    not (SHARED / "reference" / "joint_rank.json").exists(), reason="no shared references"
)


@needs_shared
@pytest.mark.parametrize("case", ["sim_als_week36", "sim_als_week24"])
def test_reference_cafs_equals_r(case: str) -> None:
    """Scores and ranks exactly; R's lm on the ranks, coin's Wilcoxon and the permutation variance at relative 1e-8."""
    expected = json.loads((SHARED / "reference" / "joint_rank.json").read_text())["cases"][case]
    subjects = pd.read_csv(SHARED / "data" / "sim_als_subject.csv")
    visits = pd.read_csv(SHARED / "data" / "sim_als_long.csv")

    names = {"visit": "WEEK", "treatment": "TRT", "time": "TIME_WEEKS", "censor": None, "event": "DEATH"}

    def run(covariates):
        week = expected["horizon_weeks"]
        return cafs(visits, subjects, horizon=week, control="PLACEBO", covariates=covariates, **names)

    made = run(["BASE"])
    order = {s: i for i, s in enumerate(made.panel.subjects)}
    index = [order[s] for s in expected["scores"]["USUBJID"]]
    assert made.scores[index].tolist() == expected["scores"]["score"]
    assert made.ranks[index].tolist() == expected["scores"]["rank"]
    assert sum(made.deaths) == expected["deaths"]
    for fit, key in ((made, "ancova_on_ranks"), (run(["BULBAR", "BASE"]), "ancova_on_ranks_stratified")):
        estimate, se, _, p = expected[key]["coefficients"]["values"][1]
        np.testing.assert_allclose([fit.ancova.estimate, fit.ancova.se, fit.ancova.p], [estimate, se, p], rtol=1e-8)
    wilcoxon, fs = made.wilcoxon, made.finkelstein_schoenfeld
    reference = expected["wilcoxon_on_scores"]
    np.testing.assert_allclose(wilcoxon.estimate / wilcoxon.se, -reference["z"], rtol=1e-8)
    np.testing.assert_allclose(wilcoxon.p, reference["p"], rtol=1e-8)
    reference = expected["finkelstein_schoenfeld"]
    np.testing.assert_allclose([fs.estimate / fs.se, fs.p], [reference["z"], reference["p"]], rtol=1e-8)
    pairs = expected["pairwise"]
    assert (made.wins, made.losses, made.ties) == (pairs["wins"], pairs["losses"], pairs["ties"])


def small():
    """Six patients, three visits; two deaths, one tie in function, one lost to follow-up before the second death."""
    rows = []
    change = {
        "A": [-1, -2, None],  # died week 10
        "B": [-1, None, None],  # died week 6
        "C": [-2, -3, -5],
        "D": [0, -3, -5],
        "E": [-1, -1, None],  # lost at week 9
        "F": [-3, None, None],  # lost at week 5, before both deaths
    }
    for i, (who, values) in enumerate(change.items()):
        for week, value in zip((4, 8, 12), values, strict=True):
            rows.append((who, "P" if i % 2 else "T", week, value, 30 + i))
    visits = pl.DataFrame(rows, schema=["USUBJID", "TRT01P", "AVISITN", "CHG", "BASE"], orient="row")
    survival = pl.DataFrame({"USUBJID": list(change), "AVAL": [10, 6, 12, 12, 9, 5], "CNSR": [0, 0, 1, 1, 1, 1]})
    return visits, survival


def test_reference_cafs_by_hand() -> None:
    """Worked by hand, in the order A B C D E F.

    A-B both died, A later: +. A-C, A-D: C, D followed past week 10: -. A-E: E lost at 9, before A's death: function at
    week 8: -2 < -1: -. A-F: week 4: -1 > -3: +.  => A = 1 - 1 - 1 - 1 + 1 = -1.
    B-C, B-D, B-E: B died at 6, they were followed: -. B-F: F lost at 5: week 4: -1 > -3: +. => B = -1 - 3 + 1 = -3.
    C-D: week 12 tie. C-E: week 8: -3 < -1: -. C-F: week 4: -2 > -3: +. => C = 1 + 1 + 0 - 1 + 1 = 2.
    D-E: week 8: -. D-F: week 4: +. => D = 1 + 1 + 0 - 1 + 1 = 2.  E-F: +. => E = 1 + 1 + 1 + 1 + 1 = 5.
    F = -1 - 1 - 1 - 1 - 1 = -5.
    """
    visits, survival = small()
    made = cafs(visits, survival, horizon=12, control="P", covariates=[])
    assert dict(zip(made.panel.subjects, made.scores.tolist(), strict=True)) == {
        "A": -1, "B": -3, "C": 2, "D": 2, "E": 5, "F": -5,
    }  # fmt: skip
    assert made.ranks.tolist() == [3, 2, 4.5, 4.5, 6, 1]
    assert (made.wins, made.losses, made.ties) == (7, 1, 1)  # A, C, E against B, D, F
    assert made.deaths == (1, 1)
    assert isinstance(made.to_frame(), pl.DataFrame)


def test_reference_joint_rank_by_hand_with_ties_and_deaths() -> None:
    """Complete data, 8 patients: two deaths (weeks 3 and 9; a third after the visit counts as alive), two tied changes.

    Changes at week 12: T -1, -4, -4, (dead 9); P -2, -6, (dead 3), -8. Below minus above:
    -1: +7, -2: +5, -4: +2 each, -6: -1, -8: -3, dead at 9: -5, dead at 3: -7.  Means: T (7 + 2 + 2 - 5) / 4 = 1.5,
    P (5 - 1 - 7 - 3) / 4 = -1.5; difference 3; pooled s^2 = (T: 30.25 + .25 + .25 + 42.25; P: 42.25 + .25 + 30.25 +
    2.25) / 6 = 148 / 6; SE = sqrt(s^2 / 2).
    """
    change = [-1, -4, -4, -3, -2, -6, -1, -8]
    visits = pd.DataFrame(
        {"USUBJID": range(8), "TRT01P": list("TTTTPPPP"), "AVISITN": 12.0, "CHG": np.array(change, float)}
    )
    survival = pd.DataFrame(
        {"USUBJID": range(8), "AVAL": [20, 20, 20, 9, 20, 20, 3, 13], "CNSR": [1, 1, 1, 0, 1, 1, 0, 0]}
    )
    made = joint_rank(visits, survival, week=12, control="P", covariates=[])
    assert made.difference.estimate == pytest.approx(3.0, rel=1e-12)
    assert made.difference.se == pytest.approx(np.sqrt(148 / 6 / 2), rel=1e-12)
    assert made.difference.df == 6
    assert [m.estimate for m in made.means] == pytest.approx([-1.5, 1.5], rel=1e-12)
    assert made.deaths == (1, 1)


def test_independent_joint_rank_without_missing_is_ancova_on_ranks() -> None:
    """score = 2 midrank - (n + 1): the p-value is that of an ANCOVA on the ranks of change, by SciPy and lstsq."""
    g = np.random.default_rng(0)
    n = 40
    base = g.normal(37, 6, n)
    change = np.round(g.normal(-5, 4, n))
    arm = np.arange(n) % 2
    visits = pl.DataFrame({"USUBJID": np.arange(n), "TRT01P": np.where(arm, "T", "P"), "AVISITN": np.full(n, 28.0),
                           "CHG": change, "BASE": base})  # fmt: skip
    survival = pl.DataFrame({"USUBJID": np.arange(n), "AVAL": np.full(n, 28.0), "DTH": np.zeros(n)})
    from scipy import stats

    for ranked in (False, True):
        made = joint_rank(visits, survival, week=28, censor=None, event="DTH", rank_covariates=ranked)
        x = np.c_[np.ones(n), arm, stats.rankdata(base) if ranked else base]
        y = stats.rankdata(change)
        b, rss, *_ = np.linalg.lstsq(x, y, rcond=None)
        se = np.sqrt(rss[0] / (n - 3) * np.linalg.inv(x.T @ x)[1, 1])
        assert made.difference.estimate == pytest.approx(2 * b[1], rel=1e-9)
        assert made.difference.se == pytest.approx(2 * se, rel=1e-9)
        assert made.difference.p == pytest.approx(2 * stats.t.sf(abs(b[1] / se), n - 3), rel=1e-9)


def test_property_bad_input_is_named() -> None:
    visits, survival = small()
    with pytest.raises(DataError, match="no visit at week 7"):
        joint_rank(visits, survival, week=7, covariates=[])
    with pytest.raises(DataError, match="patients have no survival time \\(such as E, F"):
        joint_rank(visits, survival.head(4), week=12, covariates=[])
    with pytest.raises(EstimationError, match="either censor or event"):
        joint_rank(visits, survival, week=12, event="CNSR")
    with pytest.raises(DataError, match="'DTH'"):
        cafs(visits, survival, horizon=12, censor=None, event="DTH")
    with pytest.raises(DataError, match="missing or not 0 or 1"):
        cafs(visits, survival.with_columns(pl.lit(2).alias("CNSR")), horizon=12)
    with pytest.raises(EstimationError, match="1 imputations"):
        joint_rank(visits, survival, week=12, n_imputations=1)
