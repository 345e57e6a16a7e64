"""Joint ranks against hand computation, the shared R reference, and brute force."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest
import rank_win_cases
from scipy import stats

import parity
from equipoise.errors import DataError, EstimationError
from equipoise.estimate.missing import mi_ancova
from equipoise.estimate.ranks.joint_rank import METHODS, cafs, cafs_batch, joint_rank
from equipoise.estimate.ranks.kernels import rank as kernel
from equipoise.estimate.ranks.kernels import rank_tests
from equipoise.types import Status


@pytest.mark.parametrize("case", rank_win_cases.CAFS)
def test_reference_cafs_equals_r(case: str) -> None:
    """Every value of the reference: scores and ranks exactly, the rest (R's lm, coin, the permutation variance) at
    1e-8.
    """
    parity.check(rank_win_cases.compare_cafs(case), at_least=25)


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
    made = cafs(visits, survival, up_to=12, control="P", covariates=[])
    assert dict(zip(made.panel.subjects, made.scores.tolist(), strict=True)) == {
        "A": -1,
        "B": -3,
        "C": 2,
        "D": 2,
        "E": 5,
        "F": -5,
    }
    assert made.ranks.tolist() == [3, 2, 4.5, 4.5, 6, 1]
    assert (made.wins, made.losses, made.ties) == (7, 1, 1)  # A, C, E against B, D, F
    assert made.deaths == (1, 1)
    assert isinstance(made.patients(), pl.DataFrame)


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
    made = joint_rank(visits, survival, at=12, control="P", covariates=[])
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
    visits = pl.DataFrame(
        {
            "USUBJID": np.arange(n),
            "TRT01P": np.where(arm, "T", "P"),
            "AVISITN": np.full(n, 28.0),
            "CHG": change,
            "BASE": base,
        }
    )
    survival = pl.DataFrame({"USUBJID": np.arange(n), "AVAL": np.full(n, 28.0), "DTH": np.zeros(n)})
    for ranked in (False, True):
        made = joint_rank(visits, survival, at=28, censor=None, event="DTH", rank_covariates=ranked)
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
        joint_rank(visits, survival, at=7, covariates=[])
    with pytest.raises(DataError, match="patients have no survival time \\(such as E, F"):
        joint_rank(visits, survival.head(4), at=12, covariates=[])
    with pytest.raises(EstimationError, match="either event or censor"):
        joint_rank(visits, survival, at=12, event="CNSR")
    with pytest.raises(DataError, match="'DTH'"):
        cafs(visits, survival, up_to=12, censor=None, event="DTH")
    for wrong in (-1.0, 0.5):
        with pytest.raises(DataError, match="'CNSR' is no indicator for patient"):
            cafs(visits, survival.with_columns(pl.lit(wrong).alias("CNSR")), up_to=12)
    with pytest.raises(DataError, match="'CNSR' is no indicator for patient"):
        cafs(visits, survival.with_columns(pl.lit(2).alias("CNSR")), up_to=12, censor=None, event="CNSR")
    with pytest.raises(EstimationError, match="1 imputations"):
        joint_rank(visits, survival, at=12, n_imputations=1)
    with pytest.raises(EstimationError, match="unknown method 'x'"):
        joint_rank(visits, survival, at=12, method="x")
    late = survival.with_columns(pl.when(pl.col("USUBJID") == "C").then(-1).otherwise("AVAL").alias("AVAL"))
    with pytest.raises(DataError, match="negative for patient C"):
        cafs(visits, late, up_to=12)
    site = visits.with_columns(pl.when(pl.col("USUBJID") != "B").then(pl.lit("x")).alias("SITE"))
    with pytest.raises(DataError, match="'SITE' is missing for patient B"):
        cafs(site, survival, up_to=12, strata=["SITE"])


def block(g: np.random.Generator, trials: int, n: int, visits: int, gaps: float):
    """Changes full of ties with dropout and gaps, deaths before and after others' last week, patients outside the
    set.
    """
    y = np.round(np.cumsum(g.normal(size=(trials, n, visits)), axis=2) * 1.5)
    last = np.minimum(g.geometric(0.08, (trials, n)), visits)
    y[np.arange(visits) >= last[..., None]] = np.nan
    y[g.random(y.shape) < gaps] = np.nan
    died = g.random((trials, n)) < 0.15
    time = np.where(died, np.round(g.uniform(0.1, visits, (trials, n)), 1), np.minimum(last + 0.5, visits + 1.0))
    return y, time, died, g.random((trials, n)) < 0.6


@pytest.mark.parametrize(("n", "visits", "gaps"), [(6, 2, 0.3), (40, 5, 0.0), (90, 6, 0.05), (150, 4, 0.5)])
def test_property_counting_by_visit_equals_all_pairs(n: int, visits: int, gaps: float) -> None:
    """Scores, and wins and losses against each arm, bit for bit as from comparing every pair."""
    g = np.random.default_rng(n)
    y, time, died, active = block(g, 12, n, visits, gaps)
    include = g.random(active.shape) < 0.9
    made = cafs_batch(y, time, died, active, up_to=visits, include=include)
    for t in range(12):
        who = np.flatnonzero(include[t])
        score, pairs = np.zeros(len(who)), np.zeros((len(who), len(who)))
        dead = died[t, who] & (time[t, who] <= visits)
        kernel.cafs_scores(y[t, who], dead, np.minimum(time[t, who], visits), score, pairs)
        np.testing.assert_array_equal(made.score[t, who], score)
        np.testing.assert_array_equal(made.rank[t, who], stats.rankdata(score))
        for arm in (0, 1):
            against = pairs[:, active[t, who] == arm]
            np.testing.assert_array_equal(made.wins[t, who, arm], (against > 0).sum(axis=1))
            np.testing.assert_array_equal(made.losses[t, who, arm], (against < 0).sum(axis=1))


def test_property_sorting_is_stable_at_every_length() -> None:
    g = np.random.default_rng(1)
    for n in (0, 1, 2, 15, 16, 17, 33, 64, 65, 100, 257, 1000):
        key = g.integers(0, max(n // 3, 1), n).astype(float)
        order, spare = np.arange(n), np.empty(n, np.int64)
        kernel.sort_order(key, order, n, spare)
        np.testing.assert_array_equal(order, np.argsort(key, kind="stable"))


def as_frames(y, time, died, active, stratum, x):
    """One trial as data frames: every patient has a row at every visit, for the batch to be compared with."""
    n, visits = y.shape
    ids = np.arange(n)
    long = pl.DataFrame(
        {
            "USUBJID": np.repeat(ids, visits),
            "TRT01P": np.repeat(np.where(active, "T", "P"), visits),
            "AVISITN": np.tile(np.arange(1.0, visits + 1), n),
            "CHG": y.ravel(),
            "BASE": np.repeat(x, visits),
            "SITE": np.repeat(stratum, visits),
        }
    )
    return long, pl.DataFrame({"USUBJID": ids, "AVAL": time, "DTH": died.astype(int)})


def test_property_one_trial_and_a_block_agree() -> None:
    """Every test of the data-frame door equals the batch, stratified and with a covariate."""
    g = np.random.default_rng(2)
    y, time, died, active = block(g, 3, 60, 4, 0.05)
    stratum, x = g.integers(0, 3, active.shape), np.round(g.normal(size=active.shape), 1)
    batch = cafs_batch(y, time, died, active, up_to=4, covariates=x[:, :, None], stratum=stratum, methods=list(METHODS))
    for t in range(3):
        long, survival = as_frames(y[t], time[t], died[t], active[t], stratum[t], x[t])
        made = cafs(long, survival, up_to=4, control="P", censor=None, event="DTH", strata=["SITE"])
        for method, estimate in (
            ("ancova", made.ancova),
            ("wilcoxon", made.stratified_wilcoxon),
            ("van-elteren", made.van_elteren),
            ("quade", made.quade),
            ("rank-ancova", made.rank_ancova),
            ("finkelstein-schoenfeld", made.finkelstein_schoenfeld),
        ):
            test = batch.tests[method]
            ours = [test.difference[t], test.se[t], test.p[t]]
            np.testing.assert_allclose(ours, [estimate.estimate, estimate.se, estimate.p], rtol=1e-9)
        np.testing.assert_allclose(made.fit.beta[1], made.ancova.estimate, rtol=1e-9)
        assert len(made.to_frame()) == len(made.estimates) == 10


def test_independent_rank_tests_by_numpy() -> None:
    """Quade's and the stratified rank ANCOVA by lstsq and rankdata, SciPy's F; van Elteren without covariates."""
    g = np.random.default_rng(3)
    n = 80
    score = np.round(g.normal(size=n), 1)
    active, stratum = g.random(n) < 0.5, g.integers(0, 3, n)
    x = np.c_[np.round(g.normal(size=n) + score, 1), g.normal(size=n)]
    group, n_groups = rank_tests.groups((1, n), stratum[None])
    args = (score[None], active[None], group)
    ranked = np.c_[np.ones(n), stats.rankdata(x, axis=0)]
    y = stats.rankdata(score)
    residual = y - ranked @ np.linalg.lstsq(ranked, y, rcond=None)[0]
    expected = stats.f_oneway(residual[active], residual[~active])
    difference, se, df, _ = rank_tests.quade(*args, x[None])
    assert (difference / se)[0] ** 2 == pytest.approx(expected.statistic, rel=1e-9)
    assert 2 * stats.t.sf(abs(difference / se)[0], df[0]) == pytest.approx(expected.pvalue, rel=1e-9)
    total = variance = 0.0
    for s in range(3):
        k = stratum == s
        m = k.sum()
        ranked = np.c_[np.ones(m), stats.rankdata(x[k], axis=0) / (m + 1)]
        y = stats.rankdata(score[k]) / (m + 1)
        e = y - ranked @ np.linalg.lstsq(ranked, y, rcond=None)[0]
        total += e[active[k]].sum()
        variance += active[k].sum() * (~active[k]).sum() / (m * (m - 1)) * (e**2).sum()
    difference, se, *_ = rank_tests.stratified_rank_ancova(*args, n_groups, x[None])
    assert (difference / se)[0] == pytest.approx(total / np.sqrt(variance), rel=1e-9)
    plain = rank_tests.stratified_rank_ancova(*args, n_groups, x[None, :, :0])
    elteren = rank_tests.van_elteren(*args, n_groups)
    assert plain[0][0] / plain[1][0] == pytest.approx(elteren[0][0] / elteren[1][0], rel=1e-9)
    theta = weight = 0.0
    for s in range(3):
        a, c = score[(stratum == s) & active], score[(stratum == s) & ~active]
        w = len(a) * len(c) / (len(a) + len(c) + 1)
        theta += w * (stats.mannwhitneyu(a, c).statistic / (len(a) * len(c)) - 0.5)
        weight += w
    assert elteren[0][0] == pytest.approx(theta / weight, rel=1e-9)


def test_independent_joint_rank_by_other_tests() -> None:
    """Complete data: SciPy's rank-sum test and Quade by rankdata; with missing values, Rubin's rules over what was
    imputed.
    """
    g = np.random.default_rng(4)
    n = 50
    change, base = np.round(g.normal(-5, 4, n)), g.normal(37, 6, n)
    arm = np.arange(n) % 2
    time = np.where(g.random(n) < 0.1, np.round(g.uniform(1, 27, n)), 28.0)
    died = time < 28
    visits = pl.DataFrame(
        {
            "USUBJID": np.arange(n),
            "TRT01P": np.where(arm, "T", "P"),
            "AVISITN": np.full(n, 28.0),
            "CHG": change,
            "BASE": base,
            "SITE": np.arange(n) // 25,
        }
    )
    survival = pl.DataFrame({"USUBJID": np.arange(n), "AVAL": time, "CNSR": 1 - died.astype(int)})
    y = np.where(died, time - 1000, change)
    by = {m: joint_rank(visits, survival, at=28, method=m) for m in METHODS}
    u = stats.mannwhitneyu(y[arm == 1], y[arm == 0], use_continuity=False, method="asymptotic")
    assert by["wilcoxon"].difference.p == pytest.approx(u.pvalue, rel=1e-9)
    assert by["van-elteren"].difference.estimate == pytest.approx(u.statistic / 25 / 25 - 0.5, rel=1e-9)
    assert by["wilcoxon"].means[1].estimate - by["wilcoxon"].means[0].estimate == pytest.approx(
        2 * by["wilcoxon"].difference.estimate, rel=1e-9
    )
    ranked = np.c_[np.ones(n), stats.rankdata(base)]
    r = stats.rankdata(y)
    e = r - ranked @ np.linalg.lstsq(ranked, r, rcond=None)[0]
    assert by["quade"].difference.p == pytest.approx(stats.ttest_ind(e[arm == 1], e[arm == 0]).pvalue, rel=1e-9)
    holes = visits.with_columns(pl.when(pl.col("USUBJID") % 7 == 0).then(None).otherwise("CHG").alias("CHG"))
    for method in METHODS:
        some = joint_rank(holes, survival, at=28, method=method, strata=["SITE"], seed=3)
        assert some.difference.estimable
        assert some.difference.se > 0
        assert "imputations" in some.difference.estimator
    assert not np.isclose(some.difference.estimate, by["rank-ancova"].difference.estimate)


def test_property_what_cannot_be_estimated_says_why() -> None:
    visits, survival = small()
    tied = cafs(visits.with_columns(CHG=pl.lit(0.0)), survival.with_columns(CNSR=pl.lit(1)), up_to=12, covariates=[])
    for estimate in tied.estimates:
        assert not estimate.estimable
        assert "tied" in estimate.reason
        assert np.isnan(estimate.p)
    site = visits.with_columns(SITE=pl.col("USUBJID").is_in(["A", "C", "E"]).cast(int))
    apart = cafs(site, survival, up_to=12, covariates=[], strata=["SITE"])
    assert apart.strata_left_out == ("SITE 0", "SITE 1")
    assert (apart.left_out, apart.van_elteren.n, apart.wilcoxon.n) == (6, 0, 6)
    assert apart.van_elteren.status is Status.EMPTY_ARM
    assert "no stratum has patients of both arms" in apart.rank_ancova.reason
    assert apart.wilcoxon.estimable
    half = visits.with_columns(SITE=pl.when(pl.col("USUBJID").is_in(["A", "C"])).then(1).otherwise(2))
    some = cafs(half, survival, up_to=12, covariates=[], strata=["SITE"])
    assert some.strata_left_out == ("SITE 1",)
    assert (some.left_out, some.van_elteren.n) == (2, 4)
    assert "2 in a stratum of one arm (SITE 1)" in some.summary()
    assert some.van_elteren.estimable
    known = visits.with_columns(CHG=pl.lit(-1.0), ARM=(pl.col("TRT01P") == "T").cast(float))
    same = joint_rank(known, survival.with_columns(CNSR=pl.lit(1)), at=12, covariates=[], method="wilcoxon")
    assert same.difference.status is Status.NO_EVENTS
    determined = cafs(known, survival, up_to=12, covariates=["ARM"])
    assert determined.ancova.status is Status.SINGULAR
    assert "covariates determine the arm" in determined.ancova.reason
    y = np.full((3, 6, 2), -1.0)
    y[1] = np.arange(12).reshape(6, 2)
    active = np.array([[1, 0] * 3, [1] * 6, [1, 0] * 3], bool)
    include = np.array([[1] * 6, [1] * 6, [0] * 6], bool)
    made = cafs_batch(
        y, np.full((3, 6), 3.0), np.zeros((3, 6), bool), active, up_to=2, include=include, methods=METHODS
    )
    for test in made.tests.values():
        assert test.status.tolist() == [Status.NO_EVENTS, Status.EMPTY_ARM, Status.NO_DATA]
        assert np.isnan(test.difference).all()


def null_block(g: np.random.Generator, trials: int, n: int):
    """Trials without effect: 1:1 within strata, dropout, deaths, a prognostic covariate, strata that differ."""
    stratum = np.tile(np.arange(n) % 3, (trials, 1))
    active = np.argsort(np.argsort(g.random((trials, n)), axis=1), axis=1) % 2 == 1
    x = g.normal(size=(trials, n))
    y = np.round(np.cumsum(g.normal(-1.0, 1.5, (trials, n, 4)), axis=2) + x[..., None] - stratum[..., None])
    last = np.minimum(g.geometric(0.06, (trials, n)), 4)
    y[np.arange(4) >= last[..., None]] = np.nan
    died = g.random((trials, n)) < 0.06
    time = np.where(died, g.uniform(0, 4, (trials, n)), last.astype(float))
    return y, time, died, active, stratum, x


def rejections(trials: int, n: int, seed: int) -> dict[str, float]:
    y, time, died, active, stratum, x = null_block(np.random.default_rng(seed), trials, n)
    made = cafs_batch(y, time, died, active, up_to=4, stratum=stratum, covariates=x[..., None], methods=list(METHODS))
    assert all((t.status == 0).all() for t in made.tests.values())
    return {name: float(np.mean(test.p < 0.05)) for name, test in made.tests.items()}


def test_simulation_type_one_error_quickly() -> None:
    """2,000 trials of 60: Monte Carlo error of 5 % is 0.49 %."""
    for name, rate in rejections(2000, 60, 5).items():
        assert abs(rate - 0.05) < 4 * 0.0049, name


@pytest.mark.slow
def test_simulation_type_one_error_of_every_test() -> None:
    """40,000 trials of 108: Monte Carlo error of 5 % is 0.11 %."""
    rates = rejections(40_000, 108, 6)
    print(rates)
    for name, rate in rates.items():
        assert abs(rate - 0.05) < 4 * 0.0011, name


def test_property_rows_without_a_visit_are_counted() -> None:
    visits = pl.DataFrame(
        {
            "USUBJID": list("AABBCCDDA"),
            "TRT01P": list("aappaappa"),
            "AVISITN": [4, 8] * 4 + [None],
            "CHG": [-1.0, -2, -3, None, 0, -1, -2, -4, 5],
            "SITE": list("xxyyxxxxx"),
        }
    )
    deaths = pl.DataFrame({"USUBJID": list("ABCD"), "AVAL": [8, 6, 8, 8], "CNSR": [1, 0, 1, 1]})
    made = cafs(visits, deaths, up_to=8, control="p", covariates=[], strata=["SITE"])
    assert made.left_out.reasons == {"without AVISITN": 1, "in a stratum of one arm (SITE y)": 1}
    test = joint_rank(visits, deaths, at=8, control="p", covariates=[], n_imputations=2, burn_in=2, method="wilcoxon")
    assert test.left_out.reasons == {"without AVISITN": 1}
    assert "1 row left out: 1 without AVISITN" in test.summary()
    assert mi_ancova(visits, control="p", covariates=[], n_imputations=2, burn_in=2).left_out.reasons == {
        "without AVISITN": 1
    }
