"""Reference-based imputation: each strategy against the textbook, each analysis against its own door, each rule of
pooling by hand, and what the doors say to bad input.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy import stats

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.linear.ancova import ancova
from equipoise.estimate.linear.mmrm import mmrm
from equipoise.estimate.missing import (
    Ancova,
    ApproxBayes,
    Bayes,
    Bmlmi,
    Composite,
    ConditionalMean,
    JointRank,
    Mmrm,
    Own,
    Responder,
    WinRatio,
    imputation_draws,
    mi_analysis,
    pool,
    pool_bmlmi,
    pool_bootstrap,
    pool_jackknife,
    tipping_point,
    trimmed_mean,
)
from equipoise.estimate.missing import samples as samples_module
from equipoise.estimate.missing.kernels.imputation_posterior import inverse_wishart
from equipoise.estimate.ranks.win import Time, Value, win_statistics
from equipoise.numerics.random import STREAM_WORDS, restart_stream
from equipoise.types import Status

WEEKS = (4, 8, 12, 16)
FEW = Bayes(6, burn_in=30, thin=3)


def make(seed: int = 1, n: int = 60) -> tuple[pl.DataFrame, pl.DataFrame]:
    """A trial of ``n``: arms a (control) and b, a third of both leave (some are seen again at the end), two gaps."""
    g = np.random.default_rng(seed)
    week, pair, arm = np.array(WEEKS), np.arange(n) // 2, np.arange(n) % 2
    base = g.normal(35, 5, n)
    y = g.normal(0, 1, (n, 1)) + g.normal(-0.3, 0.1, (n, 1)) * week + g.normal(0, 1, (n, 4)) + 0.1 * base[:, None]
    y += (arm * 0.15)[:, None] * week
    first = np.where(pair % 3 == 0, 1 + pair // 3 % 3, 4)
    missing = np.arange(4) >= first[:, None]
    missing[(pair % 9 == 3), 3] = False
    missing[8, 1] = missing[9, 2] = True
    rows = [
        (f"S{i:02d}", int(w), "ab"[arm[i]], float(base[i]), ("x", "y", "z")[i % 3], None if missing[i, v] else y[i, v])
        for i in range(n)
        for v, w in enumerate(WEEKS)
    ]
    data = pl.DataFrame(
        rows, schema=["USUBJID", "AVISITN", "TRT01P", "BASE", "SITE", "CHG"], orient="row", infer_schema_length=None
    )
    events = [(f"S{i:02d}", WEEKS[first[i]]) for i in range(n) if first[i] < 4]
    return data, pl.DataFrame(events, schema=["USUBJID", "AVISITN"], orient="row")


@pytest.fixture(scope="module")
def trial() -> tuple[pl.DataFrame, pl.DataFrame]:
    return make()


def oracle(model, beta, sigma, i, strategy):
    """Mean of the missing visits of patient ``i``, by the definitions of Carpenter, Roger & Kenward, in NumPy."""
    t, r = sigma[model.group[i]], sigma[model.ref_group[i]]
    mt, mr = beta @ model.w[i], beta @ model.w_ref[i]
    k, m = int(model.ice[i]), len(mt)
    one, two = np.arange(m) < k, np.arange(m) >= k
    mean, cov = mt.copy(), t
    if k < m and strategy == "CR":
        mean, cov = mr, r
    elif k < m and strategy in ("JR", "CIR"):
        mean[two] = mr[two] if strategy == "JR" else mt[k - 1] + mr[two] - mr[k - 1]
        a = r[np.ix_(two, one)] @ np.linalg.inv(r[np.ix_(one, one)])
        cov = np.empty_like(t)
        cov[np.ix_(one, one)] = t[np.ix_(one, one)]
        cov[np.ix_(two, one)] = a @ t[np.ix_(one, one)]
        cov[np.ix_(one, two)] = cov[np.ix_(two, one)].T
        cov[np.ix_(two, two)] = r[np.ix_(two, two)] - a @ (r[np.ix_(one, one)] - t[np.ix_(one, one)]) @ a.T
    elif k < m and strategy == "LMCF":
        mean[two] = mt[k - 1]
    y = model.y[i]
    gone = np.isnan(y)
    c = cov[np.ix_(gone, ~gone)] @ np.linalg.inv(cov[np.ix_(~gone, ~gone)])
    return mean[gone] + c @ (y - mean)[~gone], cov[np.ix_(gone, gone)] - c @ cov[np.ix_(~gone, gone)]


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("strategy", ["MAR", "JR", "CR", "CIR", "LMCF"])
def test_independent_conditional_means_follow_the_definitions(trial, strategy, same) -> None:
    """One covariance and one an arm; patients seen after their event included."""
    draws = imputation_draws(
        *trial, strategy=strategy, same_covariance=same, method=ConditionalMean("bootstrap", 2), seed=3
    )
    samples = draws.samples
    made = samples.complete(0, 1)[0]
    gone = np.isnan(samples.model.y)
    assert gone.sum() > 20
    assert samples.sigma.shape[1] == (1 if same else 2)
    for i in np.flatnonzero(gone.any(axis=1)):
        expected, _ = oracle(samples.model, samples.beta[0], samples.sigma[0], i, strategy)
        np.testing.assert_allclose(made[i][gone[i]], expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(made[~gone], samples.model.y[~gone])


def test_independent_drawn_values_have_the_conditional_distribution(trial) -> None:
    """4,000 imputations at one parameter value: means and covariances within five Monte Carlo errors."""
    draws = imputation_draws(*trial, strategy="CIR", same_covariance=False, method=Bayes(2, burn_in=5, thin=1))
    samples = draws.samples
    count = 4000
    many = replace(
        samples,
        parameters=np.zeros(count, np.int64),
        who=np.broadcast_to(samples.who[0], (count, samples.model.n)),
        n_rows=np.full(count, samples.model.n),
    )
    made = many.complete(0, count)
    i = next(i for i in range(samples.model.n) if samples.model.ice[i] == 1 and np.isnan(samples.model.y[i]).sum() > 1)
    gone = np.isnan(samples.model.y[i])
    mean, cov = oracle(samples.model, samples.beta[0], samples.sigma[0], i, "CIR")
    drawn = made[:, i][:, gone]
    assert (np.abs(drawn.mean(axis=0) - mean) < 5 * np.sqrt(np.diag(cov) / count)).all()
    error = np.sqrt((np.outer(np.diag(cov), np.diag(cov)) + cov**2) / count)
    assert (np.abs(np.cov(drawn.T) - cov) < 5 * error).all()


def test_independent_posterior_of_complete_data_is_the_closed_form() -> None:
    """No data missing and every covariate at every visit: Sigma is inverse Wishart with nu + n - q degrees of freedom
    and scale S + residual products (beta integrated out), beta has mean least squares. Five Monte Carlo errors.
    """
    data, _ = make(2, 40)
    g = np.random.default_rng(5)
    data = data.with_columns(CHG=pl.Series(g.normal(0, 1, len(data)) + 0.1 * np.tile(WEEKS, 40)))
    count = 4000
    draws = imputation_draws(data, method=Bayes(count, burn_in=20, thin=1))
    fitted = draws.samples.model.fit()[0]
    model, m, q = draws.samples.model, 4, 3
    beta, *_ = np.linalg.lstsq(model.w, model.y, rcond=None)
    rss = (model.y - model.w @ beta).T @ (model.y - model.w @ beta)
    df, scale = m + 2 + model.n - q, fitted.sigma[0] + rss
    sigma = draws.samples.sigma[:, 0]
    np.testing.assert_allclose(sigma.mean(axis=0), scale / (df - m - 1), atol=5 * sigma.std(axis=0).max() / 63)
    k, own = df - m - 1, np.diag(scale)
    variance = ((k + 2) * scale**2 + k * np.outer(own, own)) / ((k + 1) * k**2 * (k - 2))  # Press 1982, section 5.2
    np.testing.assert_allclose(sigma.var(axis=0), variance, rtol=0.15)
    drawn = draws.samples.beta
    assert (np.abs(drawn.mean(axis=0) - beta.T) < 5 * drawn.std(axis=0) / np.sqrt(count)).all()


def test_independent_posterior_by_arm_lies_around_the_fit() -> None:
    """Two covariances that differ ninefold, a covariate with one coefficient, a third gone: 200 patients, 2,000 draws.
    The posterior mean of the coefficients lies within 0.2 posterior SDs of the REML fit, that of the covariances
    (inverse Wishart, n/2 degrees of freedom) within 8 % of REML's scale by arm, and its spread is right.
    """
    data, ice = make(6, 200)
    first = data.group_by("USUBJID", maintain_order=True).first().select("USUBJID", MINE=pl.col("BASE"))
    g = np.random.default_rng(9)
    noise = pl.Series(g.normal(0, 1, len(data)) + np.repeat(g.normal(0, 1, 200), 4))
    scaled = pl.when(pl.col("TRT01P") == "b").then(noise * 3).otherwise(noise)
    data = data.join(first, on="USUBJID").with_columns(
        CHG=pl.when(pl.col("CHG").is_null()).then(None).otherwise(scaled + 0.3 * pl.col("MINE"))
    )
    draws = imputation_draws(
        data, ice, strategy="JR", same_covariance=False, by_visit=False, method=Bayes(2000, thin=2), seed=1
    )
    samples = draws.samples
    fitted, _ = samples.model.fit()
    beta, sigma = samples.model.expand(fitted.beta), fitted.sigma
    assert np.ptp(samples.beta[:, :, 2], axis=1).max() == 0.0
    assert (np.abs(samples.beta.mean(axis=0) - beta) < 0.2 * samples.beta.std(axis=0)).all()
    for arm in range(2):
        scale = np.sqrt(np.outer(np.diag(sigma[arm]), np.diag(sigma[arm])))
        assert (np.abs(samples.sigma[:, arm].mean(axis=0) - sigma[arm]) < 0.08 * scale).all()
        spread = samples.sigma[:, arm, 0, 0].std() / sigma[arm, 0, 0]
        assert spread == pytest.approx(np.sqrt(2 / 100), rel=0.2)
    assert sigma[1, 0, 0] > 6 * sigma[0, 0, 0]


def test_independent_inverse_wishart_mean() -> None:
    """20,000 draws: the mean is scale / (df - m - 1), within five Monte Carlo errors."""
    scale = np.array([[2.0, 0.5, 0.1], [0.5, 1.0, -0.3], [0.1, -0.3, 3.0]])
    stream, out, work = np.zeros(STREAM_WORDS, np.uint64), np.empty((3, 3)), np.empty((3, 3, 3))
    restart_stream(stream, 7, 0, 3, 1)
    made = np.empty((20_000, 3, 3))
    for draw in made:
        assert inverse_wishart(stream, scale, 12.0, 3, work, out)
        draw[:] = out
    assert (np.abs(made.mean(axis=0) - scale / 8.0) < 5 * made.std(axis=0) / np.sqrt(20_000)).all()
    # the same as SciPy's, in distribution: Kolmogorov-Smirnov on the first variance
    assert stats.kstest(made[:, 0, 0], stats.invgamma(a=(12 - 2) / 2, scale=1.0).cdf).pvalue > 1e-3


def test_independent_analyses_equal_their_own_doors(trial) -> None:
    """ANCOVA, MMRM, responders, joint rank and win ratio, data set by data set and pooled."""
    data, ice = trial
    draws = imputation_draws(data, ice, strategy="J2R", method=FEW, keep=("SITE",))
    completed = draws.impute()
    subjects = completed.panel.subjects
    g = np.random.default_rng(3)
    died = g.random(len(subjects)) < 0.2
    survival = pl.DataFrame(
        {
            "USUBJID": subjects,
            "AVAL": np.where(died, g.uniform(2, 16, len(subjects)), 17.0),
            "CNSR": (~died).astype(int),
        }
    )
    frames = [completed.to_frame(k).with_columns(pl.col("TRT01P").cast(pl.Enum(["a", "b"]))) for k in range(1, 7)]
    last = [f.filter(pl.col("AVISITN") == 16) for f in frames]

    made = completed.analyse(Ancova(("BASE", "SITE"))).difference(16)
    doors = [ancova("CHG ~ BASE + SITE + TRT01P", f).contrasts("TRT01P", against="a").estimates[0] for f in last]
    by_hand = pool([e.estimate for e in doors], [e.se for e in doors], doors[0].df)
    assert (made.estimate, made.se, made.df) == pytest.approx((by_hand.estimate, by_hand.se, by_hand.df), rel=1e-9)

    made = completed.analyse(Mmrm(("BASE",)))
    for k, frame in enumerate(frames):
        fit = mmrm("CHG ~ BASE * C(AVISITN) + TRT01P * C(AVISITN) + us(AVISITN | USUBJID)", frame, df="satterthwaite")
        row = fit.contrasts("TRT01P", by="AVISITN").to_frame().row(-1, named=True)
        j = [q.name for q in made.quantities].index("b - a at week 16")
        assert (made.samples[k, j], made.errors[k, j], made.df[k, j]) == pytest.approx(
            (row["estimate"], row["se"], row["df"]), rel=1e-6
        )

    made = completed.analyse(Responder(16, -1.0))
    for k, frame in enumerate(last):
        yes = frame["CHG"].to_numpy() >= -1.0
        active = (frame["TRT01P"] == "b").to_numpy()
        p, n = [yes[~active].mean(), yes[active].mean()], [(~active).sum(), active.sum()]
        se = np.sqrt(sum(p[a] * (1 - p[a]) / n[a] for a in (0, 1)))
        assert (made.samples[k, 0], made.errors[k, 0]) == pytest.approx((p[1] - p[0], se), rel=1e-12)

    made = completed.analyse(JointRank(survival, 16))
    time = survival["AVAL"].to_numpy()
    for k, frame in enumerate(last):
        y = frame["CHG"].to_numpy()
        dead = died & (time <= 16)
        score = np.zeros(len(y))
        for i in range(len(y)):
            for j in range(len(y)):
                if dead[i] and dead[j]:
                    score[i] += np.sign(time[i] - time[j])
                elif dead[i] or dead[j]:
                    score[i] += -1.0 if dead[i] else 1.0
                else:
                    score[i] += np.sign(y[i] - y[j])
        fit = ancova("SCORE ~ BASE + TRT01P", frame.with_columns(SCORE=pl.Series(score)))
        door = fit.contrasts("TRT01P", against="a").estimates[0]
        assert (made.samples[k, 0], made.errors[k, 0]) == pytest.approx((door.estimate, door.se), rel=1e-9)

    made = completed.analyse(WinRatio(16, survival))
    for k, frame in enumerate(last):
        joined = frame.join(survival, on="USUBJID")
        door = win_statistics(joined, [Time("AVAL", censor="CNSR"), Value("CHG")])
        for j, estimate in enumerate((door.win_ratio, door.win_odds, door.net_benefit)):
            value = estimate.estimate if j == 2 else np.log(estimate.estimate)
            assert (made.samples[k, j], made.errors[k, j]) == pytest.approx((value, estimate.se), rel=1e-9)
    assert made.difference().scale == "win ratio"


def test_property_own_function_with_every_method(trial) -> None:
    """A function of the frame gives what the analysis of the package gives, also where patients are drawn twice."""

    def own(frame: pl.DataFrame):
        last = frame.filter(pl.col("AVISITN") == 16)
        assert last["USUBJID"].n_unique() == len(last)
        e = ancova("CHG ~ BASE + TRT01P", last).contrasts("TRT01P", against="a").estimates[0]
        return {"difference": (e.estimate, e.se, e.df)}

    data, ice = trial
    for method in (FEW, ApproxBayes(4), ConditionalMean(), ConditionalMean("bootstrap", 4, "normal"), Bmlmi(8, 2)):
        completed = imputation_draws(data, ice, strategy="CR", method=method).impute()
        mine, theirs = completed.analyse(own).estimates[0], completed.analyse().difference(16)
        for name in ("estimate", "se", "df", "low", "high", "p"):
            assert getattr(mine, name) == pytest.approx(getattr(theirs, name), rel=1e-8), method
    with pytest.raises(EstimationError, match="returned list"):
        completed.analyse(lambda frame: [1.0])
    with pytest.raises(DataError, match="returned 1 numbers"):
        completed.analyse(Own(lambda frame: {"x": (1.0,)}))
    names = iter(["x"] + ["y"] * 20)
    with pytest.raises(EstimationError, match="same names"):
        completed.analyse(lambda frame: {next(names): (1.0, 1.0)})


def test_property_every_frame_block_and_seed(trial, monkeypatch) -> None:
    data, ice = trial
    first = mi_analysis(data, ice, strategy="CIR", method=FEW, seed=4)
    for other in (data.to_pandas(), data.to_arrow()):
        again = mi_analysis(other, ice.to_pandas(), strategy="cir", method=FEW, seed=4)
        np.testing.assert_array_equal(first.samples, again.samples)
        assert type(again.to_frame()).__module__.split(".")[0] == type(other).__module__.split(".")[0]
    monkeypatch.setattr(samples_module, "MAX_CELLS", 300)
    np.testing.assert_array_equal(mi_analysis(data, ice, strategy="CIR", method=FEW, seed=4).samples, first.samples)
    assert (mi_analysis(data, ice, strategy="CIR", method=FEW, seed=5).samples != first.samples).any()
    assert first.monte_carlo_error.max() > 0.0


def test_property_strategies_that_must_agree(trial) -> None:
    data, ice = trial
    # a reference of one's own: copying yourself is missing at random
    settings = {"method": FEW, "seed": 2, "reference": {"a": "a", "b": "b"}}
    plain = imputation_draws(data, ice, strategy="HYPOTHETICAL", **settings).samples
    jump = imputation_draws(data, ice, strategy="JR", **settings).samples
    np.testing.assert_array_equal(plain.beta, jump.beta)
    kept = np.isnan(plain.model.y) & np.isnan(jump.model.y)
    never = ~np.isfinite(trial[0]["CHG"].cast(pl.Float64).fill_null(np.nan).to_numpy().reshape(-1, 4))
    assert (np.isnan(jump.model.y) == never).all()
    only = kept.any(axis=1) & (np.isnan(plain.model.y) == np.isnan(jump.model.y)).all(axis=1)
    # hypothetical drops what was seen after the event, so its draws differ only in those patients' noise
    fixed = ConditionalMean("bootstrap", 2)
    a = imputation_draws(data, ice, strategy="HYPOTHETICAL", **{**settings, "method": fixed}).samples.complete(0, 1)[0]
    b = imputation_draws(data, ice, strategy="JR", **{**settings, "method": fixed}).samples.complete(0, 1)[0]
    np.testing.assert_allclose(a[only], b[only], rtol=1e-10)
    # hypothetical is missing at random on data without what came after
    after = ice.rename({"AVISITN": "FROM"})
    cut = data.join(after, on="USUBJID", how="left").with_columns(
        CHG=pl.when(pl.col("AVISITN") >= pl.col("FROM")).then(None).otherwise("CHG")
    )
    c = imputation_draws(cut, method=fixed, seed=2).samples.complete(0, 1)[0]
    np.testing.assert_allclose(a, c, rtol=1e-10)
    # no event frame, and events under MAR, are the same
    d = imputation_draws(data, ice, strategy="MAR", method=fixed).samples.complete(0, 1)[0]
    e = imputation_draws(data, method=fixed).samples.complete(0, 1)[0]
    np.testing.assert_array_equal(d, e)


def test_property_strategy_per_patient_and_counts(trial) -> None:
    data, ice = trial
    names = ["JR", "CIR", "COMPOSITE", "LMCF", "MAR", "HYPOTHETICAL"]
    events = ice.with_columns(STRATEGY=pl.Series([names[i % 6] for i in range(len(ice))]))
    draws = imputation_draws(data, events, composite=Composite(score=0.0), method=FEW)
    table = draws.impute().counts()
    assert (table["observed"] + table["imputed"] + table["put_in"] == table["n"]).all()
    split = sum(table[c] for c in table.columns if c.startswith("imputed_"))
    assert (split == table["imputed"]).all()
    assert table["put_in"].sum() > 0
    assert table["dropped"].sum() > 0
    frame = (
        draws.impute()
        .to_frame()
        .join(events.rename({"AVISITN": "FROM"}).filter(pl.col("STRATEGY") == "COMPOSITE"), on="USUBJID")
    )
    put = frame.filter(pl.col("AVISITN") >= pl.col("FROM"))
    assert put.height > 0
    assert (put["CHG"] == -put["BASE"]).all()
    assert not frame.filter(pl.col("AVISITN") < pl.col("FROM"))["CHG"].is_nan().any()


def test_property_composite_worst_is_the_lowest_of_the_others(trial) -> None:
    data, ice = trial
    draws = imputation_draws(data, ice, strategy="COMPOSITE", composite=Composite(worst=True), method=FEW)
    made = draws.samples.complete(0, 6)
    fixed = np.isinf(draws.samples.model.fixed)
    assert fixed.any()
    for k in range(6):
        for v in range(4):
            assert (made[k, fixed[:, v], v] == made[k, ~fixed[:, v], v].min()).all()
    value = imputation_draws(data, ice, strategy="COMPOSITE", composite=Composite(value=-20.0), method=FEW)
    assert (value.samples.complete(0, 1)[0][fixed] == -20.0).all()
    with pytest.raises(EstimationError, match="without a value"):
        imputation_draws(data, ice, strategy="COMPOSITE", method=FEW)
    with pytest.raises(EstimationError, match="2 values"):
        Composite(value=1.0, worst=True)


def test_property_complete_data_are_not_touched(trial) -> None:
    """Nothing missing: one ANCOVA, its standard error and degrees of freedom, whatever the strategy."""
    data, _ = trial
    whole = data.filter(~pl.col("CHG").is_null().any().over("USUBJID"))
    ice = pl.DataFrame({"USUBJID": ["S03", "S04"], "AVISITN": [8, 12]})
    door = (
        ancova("CHG ~ BASE + TRT01P", whole.filter(pl.col("AVISITN") == 16))
        .contrasts("TRT01P", against="a")
        .estimates[0]
    )
    made = mi_analysis(whole, ice, strategy="JR", method=FEW).difference(16)
    assert (made.estimate, made.se, made.df, made.p) == pytest.approx(
        (door.estimate, door.se, door.df, door.p), rel=1e-9
    )


def test_property_delta_shifts_what_was_imputed_and_only_that(trial) -> None:
    data, ice = trial
    completed = imputation_draws(data, ice, strategy="JR", method=ConditionalMean("bootstrap", 2)).impute()
    template = completed.delta_template(delta=(1, 2, 3, 4), lag=(1, 1, 1, 1))
    assert template.columns == [
        "USUBJID",
        "AVISITN",
        "TRT01P",
        "is_mar",
        "is_missing",
        "is_post_ice",
        "strategy",
        "delta",
    ]
    assert (template.filter(~pl.col("is_missing"))["delta"] == 0).all()
    assert (template.filter(~pl.col("is_post_ice"))["delta"] == 0).all()
    assert template.filter(pl.col("is_missing") & ~pl.col("is_post_ice"))["strategy"].unique().to_list() == ["MAR"]
    assert template["delta"].max() == 2 + 3 + 4
    everywhere = completed.delta_template(delta=(1, 2, 3, 4), lag=(1, 1, 1, 1), missing_only=False)
    assert everywhere["delta"].sum() > template["delta"].sum()
    plain, shifted = completed.analyse(), completed.analyse(delta=template)
    x = np.column_stack([np.ones(60), completed.panel.arm, completed.panel.columns(("BASE",))[0]])
    effect = np.linalg.lstsq(x, template["delta"].to_numpy().reshape(60, 4), rcond=None)[0][1]
    for v, week in enumerate(WEEKS):
        moved = shifted.difference(week).estimate - plain.difference(week).estimate
        assert moved == pytest.approx(effect[v], abs=1e-10)
    assert "delta-adjusted" in shifted.difference(16).estimator
    for bad, words in (
        (template.head(1).with_columns(USUBJID=pl.lit("nobody")), "not in the data"),
        (pl.concat([template.head(1)] * 2), "two deltas"),
        (template.head(1).with_columns(delta=pl.lit(None, pl.Float64)), "no number"),
    ):
        with pytest.raises(DataError, match=words):
            completed.analyse(delta=bad)
    with pytest.raises(EstimationError, match="shape"):
        completed.analyse(delta=np.zeros(3))
    with pytest.raises(EstimationError, match="3 and lag of 4"):
        completed.delta_template(delta=(1, 2, 3), lag=(1, 1, 1, 1))


def test_property_tipping_point_is_where_p_is_alpha(trial) -> None:
    data, ice = trial
    completed = imputation_draws(data, ice, strategy="MAR", method=Bayes(20, burn_in=50, thin=5)).impute()
    start = completed.analyse(Ancova(weeks=16)).difference()
    assert start.p < 0.05
    made = tipping_point(completed, deltas=np.arange(0, -21, -2.0), control_deltas=(0.0, 2.0))
    assert made.table("p").shape == (2, 11)
    assert made.table("estimate")[0, 0] == pytest.approx(start.estimate, rel=1e-12)
    for tip in made.boundary:
        assert tip.estimate.p == pytest.approx(0.05, abs=1e-6)
        shift = np.where(completed.panel.arm[:, None] == 1.0, tip.delta, tip.control) * completed.missing
        assert completed.analyse(Ancova(weeks=16), delta=shift).difference().p == pytest.approx(0.05, abs=1e-6)
    assert made.boundary[1].delta > made.boundary[0].delta  # better controls: tips earlier
    assert made.to_frame().height == 22
    assert made.boundary_frame()["delta_active"].is_not_null().all()
    assert "turns where" in made.to_sentence()
    never = tipping_point(completed, deltas=(0.0, -0.1))
    assert never.boundary[0].delta is None
    assert "significant at every delta" in never.to_sentence()
    growing = tipping_point(completed, deltas=np.arange(0, -21, -2.0), shape="cumulative", applies="after event")
    assert growing.boundary[0].delta > made.boundary[0].delta  # more is added at the last visit
    for options, words in (
        ({"deltas": (0, 2, 1)}, "not in order"),
        ({"deltas": (0, np.nan)}, "finite"),
        ({"deltas": (0, 1), "shape": "wavy"}, "shape"),
        ({"deltas": (0, 1), "applies": "always"}, "applies"),
        ({"deltas": (0, 1), "alpha": 2.0}, "alpha"),
    ):
        with pytest.raises(EstimationError, match=words):
            tipping_point(completed, **options)


def test_reference_pooling_rules_by_hand() -> None:
    """Jackknife of 1, 2, 6: mean 3, squares 4 + 1 + 9 = 14, V = 2/3 * 14. Bootstrap 1..99: type-6 quantiles of 100."""
    made = pool_jackknife(2.5, [1.0, 2.0, 6.0])
    assert made.se == pytest.approx(np.sqrt(28 / 3), rel=1e-14)
    assert (made.estimate, made.df, made.n) == (2.5, np.inf, 3)
    replicates = np.arange(1.0, 100.0) - 10.0
    made = pool_bootstrap(40.0, replicates)
    assert (made.low, made.high) == pytest.approx((2.5 - 10, 97.5 - 10), abs=1e-12)
    assert made.p == pytest.approx(2 * 10 / 100)  # nine below zero, one more, of 100
    normal = pool_bootstrap(40.0, replicates, interval="normal")
    assert normal.high == pytest.approx(40 + stats.norm.ppf(0.975) * replicates.std(ddof=1), rel=1e-12)
    # two samples of two: 1, 3 and 4, 8: MSW = (2 + 8) / 2 = 5, MSB = 2 * (2^2 + 2^2) = 16
    made = pool_bmlmi([[1.0, 3.0], [4.0, 8.0]])
    variance = 1.5 * (16 - 5) / 2 + 5 / 4
    assert made.se == pytest.approx(np.sqrt(variance), rel=1e-14)
    assert made.df == max(3.0, variance**2 / ((3 / 4) ** 2 * 256 + 25 / 8))
    flat = pool([1.0, 1.0], [2.0, 2.0], df=20, no_missing="formula")
    assert flat.df == pytest.approx(20 * 21 / 23)
    for call in (
        lambda: pool_jackknife(1.0, [1.0]),
        lambda: pool_bootstrap(1.0, [1.0, np.nan]),
        lambda: pool_bootstrap(1.0, [1.0, 2.0], interval="bca"),
        lambda: pool_bmlmi([1.0, 2.0]),
        lambda: pool_bmlmi([[1.0, 9.0], [1.1, 8.9]]),
        lambda: pool([1.0, 2.0], [1.0, 1.0], no_missing="zero"),
    ):
        with pytest.raises(EstimationError):
            call()


def test_property_trimmed_means() -> None:
    """No one lost and nothing trimmed: the difference of means. Lost patients count as worst; by hand otherwise."""
    g = np.random.default_rng(4)
    y = np.concatenate([g.normal(0, 1, 20), g.normal(0.3, 1, 20)])
    frame = pl.DataFrame(
        {"USUBJID": [f"S{i:02d}" for i in range(40)], "AVISITN": 12, "TRT01P": ["a"] * 20 + ["b"] * 20, "CHG": y}
    )
    whole = trimmed_mean(frame, at=12, n_permutations=999, n_samples=999)
    assert whole.estimate == pytest.approx(y[20:].mean() - y[:20].mean(), rel=1e-12)
    assert whole.p == pytest.approx(stats.ttest_ind(y[20:], y[:20]).pvalue, abs=0.06)
    assert whole.se == pytest.approx(np.sqrt(y[20:].var() / 20 + y[:20].var() / 20), rel=0.15)
    ice = pl.DataFrame({"USUBJID": ["S00", "S01", "S25"], "AVISITN": [12, 6, 15]})  # the last after the visit
    made = trimmed_mean(frame, ice, at=12, n_permutations=99, n_samples=99)
    best = (np.sort(y[20:])[2:].mean(), y[2:20].mean())
    assert made.estimate == pytest.approx(best[0] - best[1], rel=1e-12)
    turned = trimmed_mean(
        frame.with_columns(-pl.col("CHG")), ice, at=12, higher_better=False, n_permutations=99, n_samples=99
    )
    assert turned.estimate == pytest.approx(-made.estimate, rel=1e-12)
    few = trimmed_mean(frame, ice, at=12, fraction=0.05)
    assert few.status is Status.NO_DATA
    assert "10 % of a" in few.to_sentence()
    with pytest.raises(EstimationError, match="fraction"):
        trimmed_mean(frame, at=12, fraction=1.0)


def _with(frame, **columns):
    return frame.with_columns(**columns)


@pytest.mark.parametrize(
    ("events", "options", "error", "words"),
    [
        (None, {"strategy": "J3R"}, DataError, "no column 'J3R'"),
        (lambda e: _with(e, STRATEGY=pl.lit("J3R")), {}, DataError, "unknown strategy 'J3R'"),
        (lambda e: _with(e, STRATEGY=pl.lit(None, pl.String)), {}, DataError, "no strategy"),
        (lambda e: _with(e, USUBJID=pl.lit("X")), {"strategy": "JR"}, DataError, r"'X'.*who is not in the data"),
        (lambda e: pl.concat([e, e]), {"strategy": "JR"}, DataError, "two intercurrent events"),
        (lambda e: _with(e, AVISITN=pl.lit(None, pl.Int64)), {"strategy": "JR"}, DataError, "has no 'AVISITN'"),
        (lambda e: _with(e, AVISITN=pl.lit(4)), {"strategy": "LMCF"}, DataError, "before the first visit"),
        (None, {"strategy": "JR", "reference": "Placebo"}, DataError, "reference arm 'Placebo'"),
        (None, {"strategy": "JR", "reference": {"c": "a"}}, DataError, "reference arm 'c'"),
        (None, {"strategy": "JR", "structure": "banana"}, EstimationError, "banana"),
        (None, {"strategy": "JR", "structure": "ar1"}, EstimationError, "unstructured"),
        (None, {"strategy": "JR", "method": "bayes"}, EstimationError, "no method"),
        (None, {"strategy": "JR", "by_visit": ("SITE",)}, EstimationError, "by_visit names 'SITE'"),
        (None, {"strategy": "JR", "seed": -1}, EstimationError, "seed"),
        (None, {"strategy": "JR", "covariates": ("NOPE",)}, DataError, "NOPE"),
    ],
)
def test_property_bad_input_to_imputation_is_named(trial, events, options, error, words) -> None:
    data, ice = trial
    with pytest.raises(error, match=words):
        imputation_draws(data, ice if events is None else events(ice), **options)


@pytest.mark.parametrize(
    "call",
    [
        lambda: Bayes(1),
        lambda: Bayes(10, thin=0),
        lambda: Bayes(prior="flat"),
        lambda: ApproxBayes(10, threshold=1.0),
        lambda: ConditionalMean("leave-two-out"),
        lambda: ConditionalMean(interval="bca"),
        lambda: Bmlmi(10, 1),
    ],
)
def test_property_methods_refuse_what_means_nothing(call) -> None:
    with pytest.raises(EstimationError):
        call()


def test_property_an_arm_without_data_at_a_visit(trial) -> None:
    data, ice = trial
    empty = data.with_columns(
        CHG=pl.when((pl.col("TRT01P") == "b") & (pl.col("AVISITN") == 16)).then(None).otherwise("CHG")
    )
    with pytest.raises(DataError, match="arm 'b' has no data that the imputation model may use at week 16"):
        imputation_draws(empty, ice, strategy="JR")
    assert imputation_draws(empty, ice, strategy="JR", method=FEW, up_to=12).impute().analyse().difference().estimable
    everyone = data.filter(pl.col("TRT01P") == "b").unique("USUBJID").select("USUBJID", AVISITN=pl.lit(16))
    with pytest.raises(DataError, match="at week 16") as caught:
        imputation_draws(data, everyone, strategy="JR")
    assert "after intercurrent events" in caught.value.hint
    one = data.with_columns(SITE=pl.when(pl.col("USUBJID") == "S00").then(pl.lit("lone")).otherwise(pl.lit("x")))
    with pytest.raises(DataError, match=r"cannot be told apart in the .* seen at week 8"):
        imputation_draws(one, ice, strategy="JR", covariates=("SITE",))
    common = imputation_draws(one, ice, strategy="JR", covariates=("BASE", "SITE"), by_visit=("BASE",), method=FEW)
    assert common.impute().analyse().difference().estimable


def test_property_changing_the_strategy_of_draws(trial) -> None:
    data, ice = trial
    draws = imputation_draws(data, ice, strategy="JR", method=FEW)
    direct = mi_analysis(data, ice, strategy="CIR", method=FEW)
    np.testing.assert_array_equal(draws.impute("CIR").analyse().samples, direct.samples)
    one = ice["USUBJID"][0]
    mixed = draws.impute({one: "CR"})
    assert mixed.draws.events.names.count("CR") == 1
    with pytest.raises(DataError, match="would see other data"):
        draws.impute("MAR")
    with pytest.raises(DataError, match="no patient"):
        draws.impute({"nobody": "CR"})
    with pytest.raises(DataError, match="no intercurrent event"):
        draws.impute({"S02": "CR"})


def test_property_what_cannot_be_estimated_says_why(trial) -> None:
    data, ice = trial
    completed = imputation_draws(data, ice, strategy="JR", method=FEW).impute()
    made = completed.analyse(Responder(16, 1000.0)).difference()
    assert made.status is Status.NO_DATA
    assert "everyone or no one responds" in made.to_sentence()
    assert "6 of 6 completed data sets" in made.reason
    # two bootstrap samples that happen to lie closer together than their imputations: no variance, said so
    made = imputation_draws(data, ice, strategy="JR", method=Bmlmi(2, 2), seed=0).impute().analyse()
    values = np.array([[1.0, 9.0, 1.1, 8.9]]).T.repeat(made.samples.shape[1], axis=1)
    lost = replace(made, samples=values).difference()
    assert lost.status is Status.BOUNDARY
    assert "within than between bootstrap samples" in lost.to_sentence()
    with pytest.raises(EstimationError, match="no difference at week 5"):
        completed.analyse().difference(5)
    with pytest.raises(EstimationError, match="no arm 'c'"):
        completed.analyse().mean("c")
    with pytest.raises(EstimationError, match="is no analysis"):
        completed.analyse(3)
    with pytest.raises(EstimationError, match="no data set 7"):
        completed.to_frame(7)
    few = data.filter(pl.col("USUBJID") < "S07")
    with pytest.raises((EstimationError, DataError)):
        mi_analysis(few, method=Bayes(5), covariates=())
