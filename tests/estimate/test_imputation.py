"""The imputation doors: the same numbers as the batched kernel, whatever frame comes in, and Rubin's rules."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import stats

from equipoise.errors import DataError, EstimationError
from equipoise.estimate import delayed_start
from equipoise.estimate.linear.ancova import ancova
from equipoise.estimate.missing import mi_ancova, multiple_imputation, pool
from equipoise.estimate.missing.kernels import mi_ancova as repeated
from equipoise.types import Status

FIXTURES = Path(__file__).parents[1] / "fixtures"
COVARIATES = ("BASE", "ONSETMO", "RILFL")


@pytest.fixture(scope="module")
def visits() -> pl.DataFrame:
    """The project's own trial: 120 patients, visits at weeks 0 to 28; one row at week 0 for everyone."""
    return pl.read_csv(FIXTURES / "trial_visits.csv")


def frames(data: pl.DataFrame):
    return {"polars": data, "pandas": data.to_pandas(), "pyarrow": data.to_arrow()}


def test_property_every_frame_gives_the_same_numbers_in_any_row_order(visits) -> None:
    made = [
        mi_ancova(frame, covariates=COVARIATES, control="Placebo", n_imputations=5, seed=3)
        for frame in frames(visits).values()
    ]
    for other in made[1:]:
        np.testing.assert_array_equal(made[0].visits, other.visits)
    by_week = visits.sort("AVISITN", maintain_order=True)  # same order of patients
    again = mi_ancova(by_week, covariates=COVARIATES, control="Placebo", n_imputations=5, seed=3)
    np.testing.assert_array_equal(made[0].visits, again.visits)
    for kind, frame in frames(visits).items():
        table = mi_ancova(frame, covariates=COVARIATES, n_imputations=2).to_frame()
        assert type(table).__module__.split(".")[0] == kind


def test_independent_door_equals_analysis_of_its_completed_frames(visits) -> None:
    """Completed data sets analysed one by one with the ANCOVA door and pooled by hand give the pooled analysis."""
    options = {"control": "Placebo", "n_imputations": 6, "seed": 5}
    fit = mi_ancova(visits, covariates=COVARIATES, **options)
    imputed = multiple_imputation(visits, impute_with=COVARIATES, **options).to_frame()
    assert imputed.height == 6 * fit.panel.n * len(fit.panel.weeks)
    assert not imputed["CHG"].is_nan().any()
    subjects = visits.unique("USUBJID", maintain_order=True).select("USUBJID", "TRT01P", *COVARIATES)
    subjects = subjects.with_columns(pl.col("TRT01P").cast(pl.Enum(["Placebo", "Active"])))
    for week in (4, 28):
        parts = []
        for number in range(1, 7):
            one = imputed.filter(pl.col("IMPNUM") == number, pl.col("AVISITN") == week).join(subjects, on="USUBJID")
            parts.append(
                ancova("CHG ~ BASE + ONSETMO + RILFL + TRT01P", one).contrasts("TRT01P", against="Placebo").estimates[0]
            )
        pooled = pool([e.estimate for e in parts], [e.se for e in parts], df=parts[0].df)
        made = fit.difference(week)
        for name in ("estimate", "se", "df", "low", "high", "p"):
            assert getattr(made, name) == pytest.approx(getattr(pooled, name), rel=1e-8)
        assert made.name == f"Active - Placebo at week {week}"
        assert made.n == 120


def test_property_observed_values_are_kept_and_marked(visits) -> None:
    imputed = multiple_imputation(visits, n_imputations=3)
    frame = imputed.to_frame().filter(~pl.col("IMPUTED"))
    seen = visits.select("USUBJID", pl.col("AVISITN").cast(pl.Float64), "CHG")
    joined = frame.join(seen, on=["USUBJID", "AVISITN"], suffix="_OBS")
    assert joined.height == frame.height == 3 * np.isfinite(imputed.panel.y).sum()
    assert (joined["CHG"] == joined["CHG_OBS"]).all()


def test_property_complete_data_are_not_touched_by_imputation(visits) -> None:
    wide = visits.filter(pl.col("AVISITN") > 0).pivot(on="AVISITN", index="USUBJID", values="CHG").drop_nulls()
    complete = visits.filter(pl.col("USUBJID").is_in(wide["USUBJID"].to_list()))
    a = mi_ancova(complete, covariates=COVARIATES, n_imputations=2, seed=1)
    b = mi_ancova(complete, covariates=COVARIATES, n_imputations=9, seed=2)
    np.testing.assert_array_equal(a.visits, b.visits)
    assert a.difference(28).df == wide.height - 5


def test_property_log_outcome_gives_geometric_mean_ratios(visits) -> None:
    data = visits.with_columns(NFL=pl.col("LOGNFL").exp(), NFLBL=pl.col("LOGNFLBL").exp())
    covariates = ("LOGNFLBL", "RILFL")
    ratio = mi_ancova(data, value="NFL", baseline="NFLBL", log=True, covariates=covariates, control="Placebo")
    log = mi_ancova(
        data.with_columns(D=pl.col("LOGNFL") - pl.col("LOGNFLBL")), value="D", covariates=covariates, control="Placebo"
    )
    a, b = ratio.difference(28), log.difference(28)
    assert a.estimate == pytest.approx(np.exp(b.estimate), rel=1e-9)
    assert (a.low, a.high) == pytest.approx((np.exp(b.low), np.exp(b.high)), rel=1e-9)
    assert a.p == pytest.approx(b.p, rel=1e-9)
    assert a.name == "Active / Placebo at week 28"
    assert ratio.mean("Active", 28).scale == "geometric mean ratio to baseline"
    assert ratio.mean("Active", 28).estimate == pytest.approx(np.exp(log.mean("Active", 28).estimate), rel=1e-9)


def test_property_delayed_start_is_the_same_analysis_under_two_models(visits) -> None:
    models = {"planned": ["BASE", "ONSETMO", "RILFL"], "NfL-adjusted": ["BASE", "LOGNFLBL", "RILFL"]}
    made = delayed_start.compare(visits, models, at=28, control="Placebo", seed=4)
    for name, covariates in models.items():
        alone = mi_ancova(visits, covariates=covariates, control="Placebo", seed=4).difference(28)
        assert made.named[name].estimate == alone.estimate
        assert made.named[name].se == alone.se
        assert name in made.named[name].to_sentence()
    assert made.to_frame()["model"].to_list() == list(models)
    with pytest.raises(EstimationError, match="no model"):
        delayed_start.compare(visits, {}, at=28)


def test_reference_pool_by_hand() -> None:
    """M = 5, estimates 1..5 (B = 2.5), W = 2, complete-data df 20: T = 5, gamma = 0.6, df = 4.40714."""
    made = pool([1, 2, 3, 4, 5], [np.sqrt(2)] * 5, df=20, name="x", n=23)
    assert made.estimate == 3.0
    assert made.se == pytest.approx(np.sqrt(5), rel=1e-14)
    assert made.df == pytest.approx(1 / (0.36 / 4 + 23 / 168), rel=1e-14)
    assert made.p == pytest.approx(2 * stats.t.sf(3 / np.sqrt(5), made.df), rel=1e-12)
    assert pool([1.0, 1.0], [2.0, 2.0], df=20).df == 20
    assert pool([1.0, 2.0], [2.0, 2.0]).df == pytest.approx(1 / (1.5 * 0.5 / (4 + 1.5 * 0.5)) ** 2)
    with pytest.raises(EstimationError, match="1 estimates"):
        pool([1.0], [1.0])
    with pytest.raises(EstimationError, match="no estimate"):
        pool([1.0, np.nan], [1.0, 1.0])


def test_property_a_visit_nobody_attended_in_one_arm_has_a_status(visits) -> None:
    few = visits.with_columns(
        CHG=pl.when((pl.col("AVISITN") == 28) & (pl.col("USUBJID") > "EQP-003")).then(None).otherwise(pl.col("CHG"))
    )
    fit = mi_ancova(few, covariates=("BASE",), control="Placebo")
    assert fit.difference(28).status is Status.NO_DATA
    assert "no observed values" in fit.difference(28).to_sentence()
    assert fit.difference(24).estimable


@pytest.mark.parametrize(
    ("change", "options", "error", "words"),
    [
        (None, {"covariates": ("BASE", "NOPE")}, DataError, "'NOPE'"),
        (None, {"value": "USUBJID"}, DataError, "not a number"),
        (None, {"covariates": ("AVISITN",)}, DataError, "changes within patient"),
        (None, {"control": "Sham"}, DataError, "'Sham' is not a level"),
        (None, {"arm": "USUBJID"}, DataError, "compares two arms"),
        (None, {"n_imputations": 1}, EstimationError, "1 imputations"),
        (None, {"burn_in": 0}, EstimationError, "burn_in"),
        (None, {"seed": -1}, EstimationError, "seed"),
        (None, {"value": "CHG", "log": True}, DataError, "is not positive"),
        (lambda d: pl.concat([d, d.filter(pl.col("AVISITN") == 8).head(1)]), {}, DataError, "two rows at week 8"),
        (lambda d: d.with_columns(BASE=pl.lit(None, pl.Float64)), {}, DataError, "120 patients have no BASE"),
        (lambda d: d.with_columns(CHG=pl.lit(np.inf)), {}, DataError, "infinite"),
        (lambda d: d.filter(pl.col("AVISITN") <= 0), {}, DataError, "no post-baseline visit"),
    ],
)
def test_property_bad_input_is_named(visits, change, options, error, words) -> None:
    with pytest.raises(error, match=words):
        mi_ancova(visits if change is None else change(visits), **options)


def test_property_not_a_frame() -> None:
    with pytest.raises(DataError, match="not a data frame"):
        mi_ancova({"a": [1]})
    frame = pd.DataFrame(
        {"USUBJID": range(8), "TRT01P": list("aaaabbbb"), "AVISITN": 12.0, "CHG": range(8), "BASE": 1.0}
    )
    fit = mi_ancova(frame)
    with pytest.raises(DataError, match="no visit at week 13"):
        fit.difference(13)


@pytest.mark.slow
def test_simulation_type_i_error_of_mi_ancova_and_joint_rank() -> None:
    """10,000 null trials of 60 (2:1): random slopes, 15 % dropout that depends on the last change seen, 3 % gaps, 5 %
    deaths; 20 imputations, ANCOVA with baseline and a binary covariate. Monte Carlo standard error of 5 %: 0.22 %.

    The imputation model is congenial and the data missing at random, so Rubin's intervals are close to exact; the
    joint rank scores are not normal, and a rank ANCOVA is not exact. Bands: 4 Monte Carlo errors for ANCOVA, and
    0.5 % more for the joint rank test.
    """
    trials, n, n_visits = 10_000, 60, 8
    rejected = np.zeros(2)
    for block in range(20):
        y, one, arm, base, group, death = null_trials(trials // 20, n, n_visits, seed=block)
        designs = np.stack([one, arm, base, group], -1)
        visits, ranks, status, rank_status, _ = repeated.mi_ancova(
            y,
            one > 0,
            designs,
            designs,
            death_week=death,
            rank_week=n_visits,
            rank_visit=n_visits - 1,
            seed=1,
            first_replicate=block * (trials // 20),
        )
        assert not status.any()
        assert not rank_status.any()
        for k, stat in enumerate((visits[:, 0, -1], ranks[:, 0])):
            p = repeated.p_value(*(stat[:, repeated.DIFFERENCE + j] for j in range(3)))
            rejected[k] += (p < 0.05).sum()
    error = rejected / trials
    print("type I error, ANCOVA and joint rank:", error)
    assert abs(error[0] - 0.05) < 4 * 0.0022
    assert abs(error[1] - 0.05) < 4 * 0.0022 + 0.005


def null_trials(trials: int, n: int, n_visits: int, seed: int):
    g = np.random.default_rng(seed)
    shape = (trials, n)
    week = np.arange(1, n_visits + 1)
    arm = np.broadcast_to((np.arange(n) % 3 != 0).astype(float), shape)
    base, group = g.normal(37, 6, shape), (g.random(shape) < 0.6).astype(float)
    y = (
        g.normal(-1, 0.8, shape)[..., None] * week
        + g.normal(0, 1.5, (*shape, n_visits))
        + 0.05 * (base - 37)[..., None]
    )
    gone = np.zeros(shape, bool)
    missing = np.zeros(y.shape, bool)
    for v in range(1, n_visits):
        worse = 1 / (1 + np.exp(0.3 * (y[..., v - 1] + 4)))  # leaves on what was seen: missing at random
        gone |= g.random(shape) < 0.045 * worse
        missing[..., v] = gone
    missing |= g.random(y.shape) < 0.03
    death = np.where(g.random(shape) < 0.05, g.random(shape) * n_visits, np.inf)
    return np.where(missing, np.nan, y), np.ones(shape), arm, base, group, death
