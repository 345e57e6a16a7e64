"""Restricted means against R's survRM2 1.0.4, by hand, by perturbation of the curve, and by simulation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import survival_cases
from hypothesis import given, settings
from hypothesis import strategies as st

import parity
from equipoise.errors import DataError, EstimationError
from equipoise.estimate.survival.kernels import rmst as kernel
from equipoise.estimate.survival.rmst import rmst
from equipoise.types import Status


@pytest.mark.parametrize("case", survival_cases.MEANS)
def test_reference_survrm2(case: str) -> None:
    parity.check(survival_cases.compare_means(case), at_least=8)


def test_reference_survrm2_adjusted() -> None:
    """Coefficients, standard errors and limits of the three models, relative 1e-7."""
    parity.check(survival_cases.compare_means(survival_cases.ADJUSTED), at_least=11)
    made = survival_cases.means(survival_cases.ADJUSTED)
    assert made.difference.estimator.startswith("restricted mean survival time adjusted for age, ecog")


def test_independent_by_hand() -> None:
    """Arm p: events at 2 and 5 of 4, up to 8: 2 + 0.75 * 3 + 0.5 * 3; A(2) = 3.75, A(5) = 1.5."""
    frame = pl.DataFrame({"T": [2, 5, 9, 9, 4, 8, 9, 9], "E": [1, 1, 0, 0, 1, 1, 0, 0], "ARM": list("ppppaaaa")})
    made = rmst(frame, time="T", event="E", arm="ARM", control="p", tau=8)
    assert made.arms[0].mean == 5.75
    assert made.arms[0].se == pytest.approx(math.sqrt(3.75**2 / (4 * 3) + 1.5**2 / (3 * 2)))
    assert made.ratio.estimate == pytest.approx(7.0 / 5.75)
    assert made.lost_ratio.estimate == pytest.approx(1.0 / 2.25)
    assert isinstance(made.to_frame(), pl.DataFrame)
    assert made.to_frame()["scale"].to_list()[0] == "difference in restricted mean"


def brute_mean(time: np.ndarray, event: np.ndarray, weight: np.ndarray, tau: float) -> float:
    """Area under the weighted product-limit curve."""
    s, area, before = 1.0, 0.0, 0.0
    for t in np.unique(time[time < tau]):
        area += s * (t - before)
        s *= 1.0 - weight[event & (time == t)].sum() / weight[time >= t].sum()
        before = t
    return area + s * (tau - before)


def test_independent_variance_is_the_infinitesimal_jackknife() -> None:
    """Sum of squared derivatives of the mean by each patient's weight, by central differences, heavy ties."""
    g = np.random.default_rng(4)
    time, event = np.ceil(g.exponential(8.0, 60)), g.random(60) < 0.7
    _, mean, variance, *_ = kernel.curves(time[None], event[None], np.zeros((1, 60), np.int64), tau=9.5, n_groups=1)
    one = np.ones(60)
    assert mean[0, 0] == pytest.approx(brute_mean(time, event, one, 9.5), rel=1e-12)
    slopes = []
    for i in range(60):
        step = np.zeros(60)
        step[i] = 1e-5
        slopes.append((brute_mean(time, event, one + step, 9.5) - brute_mean(time, event, one - step, 9.5)) / 2e-5)
    assert variance[0, 0] == pytest.approx(float(np.square(slopes).sum()), rel=1e-7)


def test_independent_regression_without_covariates_is_the_weighted_mean() -> None:
    """With the arm alone the two links agree, and the IPCW mean is close to the area under the curve."""
    g = np.random.default_rng(2)
    n = 4000
    arm = (np.arange(n) % 2).astype(float)
    life, lost = g.exponential(10.0 + 5.0 * arm), g.uniform(0, 40, n)
    time, event = np.minimum(life, lost)[None], (life <= lost)[None]
    fits = {
        link: kernel.regression(time, event, arm[None, :, None], arm[None].astype(np.int64), 12.0, link=link)
        for link in kernel.LINKS
    }
    a, b = fits["difference"][0][0], fits["ratio"][0][0]
    assert a[0] == pytest.approx(math.exp(b[0]), rel=1e-9)
    assert a[0] + a[1] == pytest.approx(math.exp(b[0] + b[1]), rel=1e-9)
    assert 12.0 - a[0] == pytest.approx(math.exp(fits["lost-ratio"][0][0, 0]), rel=1e-9)
    _, mean, variance, *_ = kernel.curves(time, event, arm[None].astype(np.int64), tau=12.0)
    assert a[1] == pytest.approx(mean[0, 1] - mean[0, 0], abs=0.01)
    assert fits["difference"][1][0, 1, 1] == pytest.approx(variance[0].sum(), rel=0.02)


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.integers(1, 8), st.booleans(), st.sampled_from("ab")), min_size=4, max_size=40), st.randoms()
)
def test_property_order_units_and_block(rows: list[tuple[int, bool, str]], order: Any) -> None:
    """Order of rows does not matter, units scale the estimate, and a block gives what single trials give."""
    frame = pl.DataFrame([(float(t), e, g) for t, e, g in rows], schema=["T", "E", "ARM"], orient="row")
    if frame["ARM"].n_unique() < 2:
        return
    first = rmst(frame, time="T", event="E", arm="ARM")
    shuffled = list(range(len(rows)))
    order.shuffle(shuffled)
    again = rmst(frame[shuffled].with_columns(pl.col("T") * 7), time="T", event="E", arm="ARM")
    assert first.difference.status is again.difference.status
    if first.difference.estimable:
        assert again.difference.estimate == pytest.approx(7 * first.difference.estimate, abs=1e-9)
        assert 0.0 <= first.difference.p <= 1.0
        assert first.difference.se > 0.0
    time, event = frame["T"].to_numpy()[None], frame["E"].to_numpy()[None]
    group = (frame["ARM"].to_numpy() == "b").astype(np.int64)[None]
    tau, mean, *_ = kernel.curves(*(np.repeat(a, 2, axis=0) for a in (time, event, group)))
    assert mean[1].tolist() == mean[0].tolist()
    assert tau[0] == first.tau


def test_property_not_estimable_is_said_in_words() -> None:
    base = {"T": [5, 6, 7, 8, 9, 9], "E": [0, 0, 0, 0, 0, 0], "ARM": list("pppaaa"), "X": [1, 2, 3, 4, 5, 6]}
    none = rmst(pl.DataFrame(base), time="T", event="E", arm="ARM", control="p")
    assert none.difference.status is Status.NO_EVENTS
    assert none.difference.reason == "not estimable: no events before 7 (events 0/3 p, 0/3 a)"
    assert math.isnan(none.difference.estimate)
    data = pl.DataFrame({**base, "E": [1, 0, 0, 1, 0, 0]})
    late = rmst(data, time="T", event="E", arm="ARM", control="p", tau=8)
    assert late.ratio.reason == "not estimable: follow-up of arm p ends at 7, before tau = 8"
    assert math.isnan(late.arms[0].mean)
    assert late.arms[1].mean > 0
    one = rmst(pl.DataFrame({**base, "E": [1, 0, 0, 0, 0, 0]}), time="T", event="E", arm="ARM", control="p")
    assert one.difference.estimable
    assert "arm a adds nothing to the variance (no events before tau)" in one.difference.reason
    assert one.lost_ratio.reason == "not estimable: an arm has a time lost of 0"
    empty = rmst(
        data.with_columns(T=pl.when(pl.col("ARM") == "a").then(None).otherwise("T")), time="T", event="E", arm="ARM"
    )
    assert empty.difference.status is Status.EMPTY_ARM
    assert empty.difference.reason == "not estimable: no patients in arm a"
    assert empty.left_out == 3
    flat = rmst(data.with_columns(X=pl.lit(1.0)), time="T", event="E", arm="ARM", covariates="X")
    assert "does not vary" in flat.difference.reason
    nobody = rmst(data.with_columns(T=pl.lit(None, pl.Float64)), time="T", event="E", arm="ARM")
    assert nobody.difference.to_sentence().startswith("p against a: not estimable: no patient has a time")
    zero = rmst(data.with_columns(T=pl.lit(0)), time="T", event="E", arm="ARM")
    assert not zero.difference.estimable


def test_property_covariates_that_determine_the_times_leave_no_variance() -> None:
    """Arms meet at site x alone, where nobody has an event before tau: nothing varies there but rounding (-2e-16)."""
    times = [6.0, 2.0, 27.0, 4.0, 8.0, 3.0, 9.0, 0.0]
    data = pl.DataFrame({"T": times, "E": 1, "ARM": list("baabbaba"), "SITE": list("xxyxxyxy")})
    made = rmst(data, time="T", event="E", arm="ARM", tau=2.0, covariates="SITE").difference
    assert made.status is Status.NO_VARIANCE
    assert made.reason == "not estimable: arm and covariates determine the times, which leaves no variance"
    assert math.isnan(made.se)
    assert math.isnan(made.p)
    varies = rmst(data, time="T", event="E", arm="ARM", tau=7.0, covariates="SITE").difference
    assert varies.estimable
    assert varies.se > 0.1


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"tau": -1.0}, EstimationError, "tau = -1"),
        ({"level": 1.5}, EstimationError, "level"),
        ({"time": "NOPE"}, DataError, "NOPE"),
        ({"control": "z"}, DataError, "'z' is not a level"),
        ({"event": None}, EstimationError, "either event or censor"),
        ({"event": "T"}, DataError, "other than 0 and 1"),
        ({"time": "NEG"}, DataError, "'NEG' is negative"),
        ({"arm": "T"}, DataError, "4 levels"),
    ],
)
def test_property_bad_input_is_named(change: dict[str, Any], error: type[Exception], words: str) -> None:
    data = pd.DataFrame({"T": [5, 6, 7, 8], "E": [0, 1, 1, 0], "ARM": list("PPTT"), "NEG": [1, -1, 2, 3]})
    with pytest.raises(error, match=words):
        rmst(data, **{"time": "T", "event": "E", "arm": "ARM", **change})


def test_property_censoring_flag_of_adam() -> None:
    data = pd.DataFrame({"AVAL": [2, 5, 9, 9, 4, 8, 9, 9], "E": [1, 1, 0, 0, 1, 1, 0, 0], "TRT01P": list("ppppaaaa")})
    data["CNSR"] = 1 - data["E"]
    by_event = rmst(data, time="AVAL", event="E", control="p", tau=8)
    by_flag = rmst(data, time="AVAL", censor="CNSR", control="p", tau=8)
    assert by_event.difference == by_flag.difference
    assert isinstance(by_flag.to_frame(), pd.DataFrame)


def draw(seed: int, trials: int, n: int) -> tuple[np.ndarray, ...]:
    """Exponential lifetimes whose rate depends on arm and a covariate, uniform censoring by arm."""
    g = np.random.default_rng(seed)
    arm = np.broadcast_to((np.arange(n) % 2).astype(float), (trials, n))
    x = g.normal(size=(trials, n))
    life = g.exponential(1.0, (trials, n)) * 40.0 * np.exp(0.4 * arm - 0.7 * x)
    lost = g.uniform(20.0, 80.0, (trials, n))
    return np.minimum(life, lost), life <= lost, arm, x


@pytest.mark.slow
def test_simulation_coverage_of_both_differences() -> None:
    """95 % intervals of the plain and the adjusted difference at n = 200: within 3 Monte Carlo errors plus 0.5 %.

    Truth by numerical integration over the covariate.
    """
    tau, trials = 24.0, 4000
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    rate = np.exp(0.7 * nodes) / 40.0
    truth = np.array([(weights * (1 - np.exp(-rate * f * tau)) / (rate * f)).sum() for f in (1.0, math.exp(-0.4))])
    truth /= weights.sum()
    effect = truth[1] - truth[0]
    time, event, arm, x = draw(11, trials, 200)
    group = arm.astype(np.int64)
    tau_used, mean, variance, _, _, horizon = kernel.curves(time, event, group, tau=tau)
    assert (horizon >= tau_used[:, None]).all()
    plain = (mean[:, 1] - mean[:, 0] - effect) / np.sqrt(variance.sum(axis=1))
    beta, covariance, status = kernel.regression(time, event, np.stack([arm, x], -1), group, tau)
    assert (status == Status.OK).all()
    adjusted = (beta[:, 1] - effect) / np.sqrt(covariance[:, 1, 1])
    error = math.sqrt(0.95 * 0.05 / trials)
    for z in (plain, adjusted):
        assert abs(np.mean(np.abs(z) < 1.959964) - 0.95) < 3 * error + 0.005
        assert abs(z.mean()) < 4 / math.sqrt(trials)
    assert covariance[:, 1, 1].mean() < 0.9 * variance.sum(axis=1).mean()  # adjustment pays
