"""The batched MI + ANCOVA + joint rank kernel against NumPy, SciPy and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from equipoise.estimate.missing.kernels import imputation as imp
from equipoise.estimate.missing.kernels import mi_ancova as rep
from equipoise.types import Status


def make_block(n_trials=4, n=60, n_visits=8, dropout=0.15, gaps=0.03, seed=0, deaths=0.05):
    """A block of trials with a random slope, dropout, gaps and deaths; weeks 1, 2, ... for simplicity."""
    g = np.random.default_rng(seed)
    shape = (n_trials, n)
    arm = np.broadcast_to((np.arange(n) % 3 != 0).astype(float), shape)
    base = g.normal(37, 6, shape)
    onset = g.gamma(2, 10, shape)
    background = (g.random(shape) < 0.62).astype(float)
    week = np.arange(1, n_visits + 1)
    y = g.normal(-1, 1, shape)[..., None] * week + g.normal(0, 1.5, (*shape, n_visits))
    y += 0.05 * (base - 37)[..., None]
    last = np.where(g.random(shape) < dropout, g.integers(0, n_visits, shape), n_visits)
    missing = week > last[..., None]
    missing |= g.random(y.shape) < gaps
    y[missing] = np.nan
    one = np.ones(shape)
    designs = np.stack([one, arm, base, onset, background], -1)
    predictors = np.stack([one, arm, background, base], -1)
    death = np.where(g.random(shape) < deaths, g.random(shape) * n_visits, np.inf)
    return {"y": y, "include": np.ones(shape, bool), "predictors": predictors, "designs": designs, "death": death}


def run(block, **options):
    return rep.mi_ancova(
        block["y"],
        block["include"],
        block["predictors"],
        block["designs"],
        death_week=block["death"],
        **{"rank_week": block["y"].shape[2], "rank_visit": block["y"].shape[2] - 1, **options},
    )


def ols(x, y):
    """LS means of control and active at the covariate means, and their difference: (3, 2) estimates and SEs."""
    mean = x[:, 2:].mean(axis=0)
    rows = np.array([[1, 0, *mean], [1, 1, *mean], [0, 1, *np.zeros_like(mean)]])
    b, _, rank, _ = np.linalg.lstsq(x, y, rcond=None)
    s2 = ((y - x @ b) ** 2).sum() / (len(y) - rank)
    return np.c_[rows @ b, np.sqrt(np.diag(rows @ (s2 * np.linalg.pinv(x.T @ x)) @ rows.T))]


def brute_scores(value, death, week):
    n = len(value)
    score = np.zeros(n)
    for i in range(n):
        for j in range(n):
            di, dj = death[i] <= week, death[j] <= week
            a, b = (death[i], death[j]) if di and dj else (0.0 if di else 1.0, 0.0 if dj else 1.0)
            if not di and not dj:
                a, b = value[i], value[j]
            score[i] += np.sign(a - b)
    return score


def test_independent_complete_data_is_least_squares_at_every_visit() -> None:
    block = make_block(dropout=0.0, gaps=0.0)
    visits, ranks, status, rank_status, _ = run(block)
    assert not status.any()
    assert not rank_status.any()
    for t in range(4):
        x = block["designs"][t]
        for v in range(8):
            expected = ols(x, block["y"][t, :, v])
            got = visits[t, 0, v].reshape(3, 3)
            np.testing.assert_allclose(got[:, :2], expected, rtol=1e-10)
            assert (got[:, 2] == 60 - 5).all()
        score = brute_scores(block["y"][t, :, 7], block["death"][t], 8)
        np.testing.assert_allclose(ranks[t, 0].reshape(3, 3)[:, :2], ols(x, score), rtol=1e-10)


def test_independent_pooling_of_completed_data_by_numpy() -> None:
    block = make_block(seed=3)
    block["include"] = np.random.default_rng(5).random((4, 60)) < 0.8
    block["y"][:, :, 7] = np.round(block["y"][:, :, 7])  # ties
    visits, ranks, *_ = run(block, n_imputations=7, seed=11, first_replicate=2, unit=3)
    imputed = imp.multiple_imputation(
        block["y"], block["include"], block["predictors"], n_imputations=7, seed=11, first_replicate=2, unit=3
    )
    completed = imp.complete(block["y"], *imputed)
    seen = ~np.isnan(block["y"])
    assert (completed[:, 0][seen] == block["y"][seen]).all()
    for t in range(4):
        keep = block["include"][t]
        assert not np.isnan(completed[t][:, keep]).any()
        x = block["designs"][t][keep]
        df = keep.sum() - 5
        for v in range(9):
            y = completed[t][:, keep, min(v, 7)]
            if v == 8:
                y = np.array([brute_scores(row, block["death"][t][keep], 8) for row in y])
            fits = np.array([ols(x, row) for row in y])
            q, w, b = fits[..., 0].mean(0), (fits[..., 1] ** 2).mean(0), fits[..., 0].var(0, ddof=1)
            total = w + (1 + 1 / 7) * b
            g = (1 + 1 / 7) * b / total
            nu = 1 / (g**2 / 6 + 1 / ((df + 1) / (df + 3) * df * (1 - g)))
            got = (ranks[t, 0] if v == 8 else visits[t, 0, v]).reshape(3, 3)
            np.testing.assert_allclose(got, np.c_[q, np.sqrt(total), nu], rtol=1e-9, atol=1e-9)


def test_property_results_do_not_depend_on_the_block() -> None:
    block = make_block(n_trials=6, seed=4)
    whole = run(block, seed=9, first_replicate=10)
    part = {k: v[4:] for k, v in block.items()}
    alone = run(part, seed=9, first_replicate=14)
    for a, b in zip(whole, alone, strict=True):
        np.testing.assert_array_equal(a[4:], b)
    other = run(block, seed=9, first_replicate=10, unit=1)
    assert not np.array_equal(whole[0], other[0])


def test_property_several_designs_share_the_imputed_data() -> None:
    block = make_block(seed=6)
    alone = run(block)
    small = run({**block, "designs": block["designs"][..., :3]})
    both = run({**block, "designs": np.stack([block["designs"]] * 2)}, n_columns=[5, 3])
    np.testing.assert_allclose(both[0][:, 0], alone[0][:, 0], rtol=1e-12)
    np.testing.assert_allclose(both[0][:, 1], small[0][:, 0], rtol=1e-12)
    np.testing.assert_allclose(both[1][:, 1], small[1][:, 0], rtol=1e-12)


def test_property_shift_and_scale_of_outcome_carry_through() -> None:
    block = make_block(seed=8)
    a = run(block)[0].reshape(4, 8, 3, 3)
    b = run({**block, "y": 10 + 2 * block["y"]})[0].reshape(4, 8, 3, 3)
    np.testing.assert_allclose(b[..., :2, 0], 10 + 2 * a[..., :2, 0], rtol=1e-7)
    np.testing.assert_allclose(b[..., 2, 0], 2 * a[..., 2, 0], rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(b[..., 1], 2 * a[..., 1], rtol=1e-7)
    np.testing.assert_allclose(b[..., 2], a[..., 2], rtol=1e-6)


def test_property_an_aliased_covariate_changes_nothing() -> None:
    block = make_block(seed=8)
    a = run(block)
    constant = np.concatenate([block["designs"], np.full((4, 60, 1), 3.0), 2 * block["designs"][..., 2:3] - 1], -1)
    same = np.concatenate([block["predictors"], block["predictors"][..., 1:2]], -1)
    b = run({**block, "designs": constant})
    np.testing.assert_allclose(a[0], b[0], rtol=1e-8)
    c = run({**block, "predictors": same})
    assert not c[2].any()
    assert np.isfinite(c[0]).all()


def test_property_what_cannot_be_estimated_has_a_status() -> None:
    block = make_block(n_trials=5, seed=1)
    block["include"] = block["include"].copy()
    block["designs"] = block["designs"].copy()
    block["predictors"] = block["predictors"].copy()
    block["include"][0] = False
    block["include"][1] = block["designs"][1, :, 1] == 1
    block["y"][2, 3:, 4] = np.nan  # three values at visit 4
    block["designs"][3, 7, 3] = np.nan
    block["predictors"][4, 7, 3] = np.nan
    visits, ranks, status, rank_status, _ = run(block)
    assert (status[0] == Status.NO_DATA).all()
    assert rank_status[0, 0] == Status.NO_DATA
    assert (status[1] == Status.EMPTY_ARM).all()
    assert [int(s) for s in status[2, 0]] == [0, 0, 0, 0, Status.NO_DATA, 0, 0, 0]
    assert np.isfinite(visits[2, 0, [0, 1, 2, 3, 5, 6, 7]]).all()
    assert np.isnan(visits[2, 0, 4]).all()
    assert (status[3] == Status.NO_DATA).all()
    assert (status[4] == Status.NO_DATA).all()
    np.testing.assert_array_equal(np.isnan(visits).all(-1), status != 0)
    np.testing.assert_array_equal(np.isnan(ranks).all(-1), rank_status != 0)


@pytest.mark.parametrize("n", [6, 9, 14])
def test_property_small_trials_fall_back_and_stay_finite(n: int) -> None:
    block = make_block(n_trials=30, n=n, n_visits=10, dropout=0.3, gaps=0.08, seed=n)
    visits, _, status, _, dropped = run(block)
    assert (dropped > 0).all()
    np.testing.assert_array_equal(np.isnan(visits).any(-1), status != 0)
    assert np.isfinite(visits[status == 0]).all()


@pytest.mark.parametrize("kind", ["constant", "two values", "huge"])
def test_property_degenerate_outcomes_stay_finite(kind: str) -> None:
    block = make_block(n_trials=6, dropout=0.2, gaps=0.15, seed=12)
    g = np.random.default_rng(0)
    missing = np.isnan(block["y"])
    y = {
        "constant": np.full(missing.shape, -3.0),
        "two values": g.integers(0, 2, missing.shape).astype(float),
        "huge": 1e12 + 1e9 * g.normal(size=missing.shape),
    }[kind]
    visits, _, status, *_ = run({**block, "y": np.where(missing, np.nan, y)})
    if kind == "constant":  # no residual variance: no number, whatever is left of it by rounding
        assert (status == int(Status.NO_VARIANCE)).all()
        assert np.isnan(visits).all()
        return
    assert not status.any()
    assert np.isfinite(visits).all()


@pytest.mark.parametrize("noise", [0.3, 0.003])
def test_property_gaps_in_nearly_straight_lines_are_filled_on_the_line(noise: float) -> None:
    """Visits correlated up to 1 - 1e-6: gaps are filled within the noise, about 1.3 times its SD around the truth."""
    block = make_block(n_trials=6, dropout=0.2, gaps=0.15, seed=12)
    g = np.random.default_rng(0)
    missing = np.isnan(block["y"])
    truth = g.normal(size=(6, 60, 1)) * np.arange(1, 9) + noise * g.normal(size=missing.shape)
    y = np.where(missing, np.nan, truth)
    imputed = imp.multiple_imputation(y, block["include"], block["predictors"], burn_in=30)
    gap = missing & (np.flip(np.flip(~missing, -1).cumsum(-1), -1) > 0)  # something was seen later
    error = (imp.complete(y, *imputed) - truth[:, None])[np.broadcast_to(gap[:, None], (6, 20, 60, 8))]
    assert 1.2 * noise < np.sqrt((error**2).mean()) < 2.2 * noise


def test_property_a_chain_that_runs_away_has_a_status() -> None:
    """Straight lines without any noise determine each other: the chain has nowhere to settle, and that is said."""
    block = make_block(n_trials=6, dropout=0.2, gaps=0.15, seed=12)
    missing = np.isnan(block["y"])
    y = np.random.default_rng(0).normal(size=(6, 60, 1)) * np.arange(1, 9)
    visits, ranks, status, rank_status, _ = run({**block, "y": np.where(missing, np.nan, y)}, burn_in=200)
    assert (status == Status.NOT_CONVERGED).any()
    np.testing.assert_array_equal(np.isnan(visits).all(-1), status != 0)
    np.testing.assert_array_equal(np.isnan(ranks).all(-1), rank_status != 0)


def test_simulation_monotone_bivariate_normal_against_theory() -> None:
    """Two visits, the second missing for half: Anderson (1957) gives the estimate, Rubin (1987) the variance.

    With many imputations the pooled mean of visit 2 in arm k tends to ``ybar_obs + b (xbar_all - xbar_obs)`` with the
    common slope b of the observed cases, and the between-imputation variance of the arm difference to
    ``s2 (sum_k (1 / n1_k - 1 / n_k) + d^2 / Sxx)``, d the difference of the bracket between arms, up to terms of order
    1 / n^2. Monte Carlo error: sqrt(B / M) of the mean, a share sqrt(2 / M) of the variance B.
    """
    g = np.random.default_rng(2)
    n, draws = 2000, 1000
    arm = np.arange(n) % 2
    x = g.normal(size=n) + 0.3 * arm
    y = 1 + 0.8 * x + 0.6 * g.normal(size=n)
    seen = g.random(n) > 1 / (1 + np.exp(-x))  # the more at visit 1, the likelier to be missing: at random
    one_arm = np.stack([np.ones(n), arm], -1)[None]
    visits, *_ = rep.mi_ancova(
        np.stack([x, np.where(seen, y, np.nan)], -1)[None],
        np.ones((1, n), bool),
        one_arm,
        one_arm,
        n_imputations=draws,
        seed=5,
    )
    fit = np.c_[one_arm[0], x][seen]
    b, rss, *_ = np.linalg.lstsq(fit, y[seen], rcond=None)
    s2 = rss[0] / (seen.sum() - 3)
    expected, shift, lost = np.zeros(2), np.zeros(2), np.zeros(2)
    for k in range(2):
        mine = arm == k
        shift[k] = x[mine].mean() - x[mine & seen].mean()
        expected[k] = y[mine & seen].mean() + b[2] * shift[k]
        lost[k] = 1 / (mine & seen).sum() - 1 / mine.sum()
    inner = sum(((x[seen & (arm == k)] - x[seen & (arm == k)].mean()) ** 2).sum() for k in range(2))
    between = s2 * (lost.sum() + (shift[1] - shift[0]) ** 2 / inner)
    each = s2 * (lost + shift**2 / inner)
    got = visits[0, 0, 1]
    assert abs(got[rep.CONTROL] - expected[0]) < 4 * np.sqrt(each[0] / draws)
    assert abs(got[rep.ACTIVE] - expected[1]) < 4 * np.sqrt(each[1] / draws)
    assert abs(got[rep.DIFFERENCE] - (expected[1] - expected[0])) < 4 * np.sqrt(between / draws)
    # within: the residual variance of the completed data is that of y about its arm mean, b^2 s2_x + s2
    s2_x = sum(((x - x[arm == k].mean())[arm == k] ** 2).sum() for k in range(2)) / (n - 2)
    within = (b[2] ** 2 * s2_x + s2) * 4 / n
    share = between / (between + within)
    np.testing.assert_allclose(
        got[rep.DIFFERENCE_SE] ** 2, within + between, rtol=4 * share * np.sqrt(2 / draws) + 4 / np.sqrt(n) * 0.2
    )
    assert abs(y[seen].mean() - y.mean()) > 0.2  # what was seen alone would mislead


def test_simulation_imputed_cells_have_the_posterior_predictive_distribution() -> None:
    """One visit, intercept only: an imputed value is ybar + s sqrt(1 + 1/n) t_(n-1), exactly."""
    g = np.random.default_rng(3)
    y = np.full((1, 13, 1), np.nan)
    y[0, :12, 0] = g.normal(5, 2, 12)
    one = np.ones((1, 13, 1))
    imputed = imp.multiple_imputation(y, np.ones((1, 13), bool), one, n_imputations=20_000, seed=1)
    draws = imp.complete(y, *imputed)[0, :, 12, 0]
    seen = y[0, :12, 0]
    t = (draws - seen.mean()) / (seen.std(ddof=1) * np.sqrt(1 + 1 / 12))
    assert stats.kstest(t, stats.t(11).cdf).pvalue > 1e-3


def test_simulation_gap_filled_given_both_neighbours() -> None:
    """A gap between two visits is drawn from its regression on all other visits, later ones included.

    With n = 5,000 the posterior of the parameters is narrow, so the draws' mean and SD are those of the least-squares
    regression of visit 2 on visits 1 and 3 within 4 Monte Carlo and sampling errors.
    """
    g = np.random.default_rng(4)
    n, m_imputations = 5000, 2000
    walk = np.cumsum(g.normal(size=(n, 3)), axis=1)
    y = walk.copy()
    y[:5, 1] = np.nan
    one = np.ones((1, n, 1))
    imputed = imp.multiple_imputation(y[None], np.ones((1, n), bool), one, n_imputations=m_imputations, seed=1)
    draws = imp.complete(y[None], *imputed)[0, :, :5, 1]
    x = np.c_[np.ones(n - 5), walk[5:, 0], walk[5:, 2]]
    b, rss, *_ = np.linalg.lstsq(x, walk[5:, 1], rcond=None)
    mean = np.c_[np.ones(5), walk[:5, 0], walk[:5, 2]] @ b
    sd = np.sqrt(rss[0] / (n - 8))
    np.testing.assert_allclose(draws.mean(0), mean, atol=4 * sd / np.sqrt(m_imputations) + 4 * sd * 3 / np.sqrt(n))
    np.testing.assert_allclose(draws.std(0), sd, rtol=4 / np.sqrt(2 * m_imputations) + 0.02)


def test_reference_barnard_rubin_df_by_hand() -> None:
    """M = 5, estimates 1..5 (variance 2.5), W = 2, complete-data df 20: T = 5, gamma = 0.6.

    nu_m = 4 / 0.36 = 11.111..; nu_obs = 21/23 * 20 * 0.4 = 7.30434..; df = 1 / (1/11.11.. + 1/7.304..) = 4.40714..
    """
    se, df = rep.pool(np.array(10.0), np.array(2.0), 5, 20.0)
    assert se == pytest.approx(np.sqrt(5), rel=1e-14)
    assert df == pytest.approx(1 / (0.36 / 4 + 23 / (21 * 20 * 0.4)), rel=1e-14)
    assert rep.pool(np.array(0.0), np.array(2.0), 5, 20.0)[1] == 20.0
    assert rep.pool(np.array(10.0), np.array(2.0), 5, np.inf)[1] == pytest.approx(4 / 0.36)
