"""Treatment switching: against brute force, by construction, and by simulation with known psi."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.survival import cox, log_rank
from equipoise.estimate.survival.kernels import switching as kernel
from equipoise.estimate.survival.switching import psi_of_trials, rpsftm, search
from equipoise.types import Status


def crossover(seed: int, n: int = 200, psi: float = -0.4, stop: float = 0.0, shape: float = 1.3) -> pl.DataFrame:
    """A trial in which 60 % of control go on to active at a random time and a share ``stop`` of active stop.

    Untreated lives are Weibull with mean about 20; treatment multiplies the time on it by exp(-psi); entry is
    staggered, the study ends at 40.
    """
    g = np.random.default_rng(seed)
    arm = np.arange(n) % 2
    u = 22.0 * g.weibull(shape, n)
    end = g.uniform(20.0, 40.0, n)
    switch = np.where(g.random(n) < 0.6, g.exponential(12.0, n), np.inf)
    leave = np.where(g.random(n) < stop, g.exponential(12.0, n), np.inf)
    stretch = math.exp(-psi)
    life = np.where(
        arm == 0,
        np.where(u > switch, np.minimum(switch, u) + np.maximum(u - switch, 0.0) * stretch, u),
        np.where(u * stretch > leave, leave + (u - np.minimum(leave, u * stretch) / stretch), u * stretch),
    )
    time = np.minimum(life, end)
    on = np.where(arm == 0, np.maximum(time - switch, 0.0), np.minimum(time, leave))
    return pl.DataFrame(
        {
            "T": time,
            "E": (life <= end).astype(int),
            "ARM": arm,
            "ON": on,
            "END": end,
            "RX": on / time,
            "S": g.integers(0, 2, n),
            "X": g.normal(size=n),
        }
    )


def plain_z(time: np.ndarray, event: np.ndarray, arm: np.ndarray) -> float:
    """Two-arm log-rank statistic from its definition."""
    o = e = v = 0.0
    for t in np.unique(time[event]):
        risk = time >= t
        n, n1 = risk.sum(), (risk & (arm == 1)).sum()
        d = (event & (time == t)).sum()
        o += (event & (time == t) & (arm == 1)).sum()
        e += d * n1 / n
        v += d * (n - d) / max(n - 1, 1) * n1 / n * (1 - n1 / n)
    return (o - e) / math.sqrt(v)


def recensored(data: pl.DataFrame, psi: float, control_only: bool = True) -> tuple[np.ndarray, ...]:
    """Untreated times by their definition; the active arm, always on treatment, is left alone."""
    t, on, end, arm = (data[k].to_numpy() for k in ("T", "ON", "END", "ARM"))
    u = t - on + on * math.exp(psi)
    c = np.minimum(end, end * math.exp(psi))
    if control_only:
        c = np.where(arm == 1, np.inf, c)
    return np.minimum(u, c), data["E"].to_numpy().astype(bool) & (u <= c), arm


def fit(data: Any, **more: Any) -> Any:
    base = {"time": "T", "event": "E", "arm": "ARM", "on": "ON", "censor_time": "END"}
    return rpsftm(data, **{**base, **more})


@pytest.mark.parametrize(("seed", "stop"), [(1, 0.0), (2, 0.0), (3, 0.3)])
def test_independent_root_and_limits_by_brute_force(seed: int, stop: float) -> None:
    """The statistic changes sign at psi, and the limits are where it passes 1.96, by the definition on either side."""
    data = crossover(seed, 120, stop=stop)
    made = fit(data)
    assert made.psi.estimable
    z = lambda psi: plain_z(*recensored(data, psi, control_only=stop == 0.0))  # noqa: E731
    assert made.recensored == (True, stop > 0.0)
    for value in (-1.1, -0.4, 0.0, 0.7):
        got = np.interp(value, made.search.grid, made.search.z) if value in made.search.grid else None
        single = np.empty(1)
        parts = made._parts
        kernel.statistics(
            np.array([value]), parts[2], parts[3], parts[1], *parts[4:], np.zeros(120, np.int64), 0.0, single
        )
        assert single[0] == pytest.approx(z(value), rel=1e-10)
        assert got is None or got == pytest.approx(z(value), rel=1e-9)
    for root in made.search.roots:
        assert z(root - 1e-7) * z(root + 1e-7) <= 0.0
    crossings = sum(z(a) * z(b) < 0.0 for a, b in zip(made.search.grid[:-1], made.search.grid[1:], strict=True))
    assert crossings == len(made.search.roots)
    for limit, sign in ((made.psi.low, 1.0), (made.psi.high, -1.0)):
        inner, outer = (abs(z(limit + s * sign * 1e-7)) for s in (1.0, -1.0))
        assert inner <= 1.959963985 <= outer


def test_independent_without_switching_is_the_accelerated_life_of_the_arm() -> None:
    """All active on treatment, no control ever: psi is the log of the ratio that aligns the arms, no recensoring."""
    g = np.random.default_rng(4)
    u = g.exponential(10.0, 400)
    data = pl.DataFrame({"T": np.concatenate([u, u * 1.5]), "E": 1, "ARM": [0] * 400 + [1] * 400})
    data = data.with_columns(ON=pl.when(pl.col("ARM") == 1).then("T").otherwise(0.0), END=pl.lit(1e6))
    made = fit(data)
    assert made.recensored == (False, False)
    assert made.psi.estimate == pytest.approx(-math.log(1.5), abs=1e-8)
    assert made.time_ratio.estimate == pytest.approx(1.5, abs=1e-7)
    assert (made.switched, made.stopped) == (0, 0)
    # nobody switched: the hazard ratio is that of the arms, and its p-value theirs
    itt = cox("Surv(T, E) ~ ARM", data)
    assert made.hazard_ratio.estimate == pytest.approx(math.exp(itt.beta[0]), rel=1e-8)
    assert made.hazard_ratio.p == pytest.approx(log_rank("Surv(T, E) ~ ARM", data).p, rel=1e-9)


def test_independent_hazard_ratio_is_cox_on_the_counterfactual() -> None:
    """As R's trtswitch has it: control untreated and recensored, active as observed, p-value as randomised."""
    data = crossover(5, 300)
    made = fit(data.to_pandas())
    time, event, arm = recensored(data, made.psi.estimate)
    time = np.where(arm == 1, data["T"].to_numpy(), time)
    event = np.where(arm == 1, data["E"].to_numpy() == 1, event)
    direct = cox("Surv(T, E) ~ ARM", pl.DataFrame({"T": time, "E": event.astype(int), "ARM": arm}))
    test = log_rank("Surv(T, E) ~ ARM", data)
    assert made.hazard_ratio.estimate == pytest.approx(math.exp(direct.beta[0]), rel=1e-8)
    assert made.hazard_ratio.p == pytest.approx(test.p, rel=1e-9)
    assert made.psi.p == made.time_ratio.p == pytest.approx(test.p, rel=1e-9)
    wide = 1.959963985 * abs(direct.beta[0]) / math.sqrt(test.chi_square)
    assert made.hazard_ratio.low == pytest.approx(math.exp(direct.beta[0] - wide), rel=1e-7)
    rejected = made.hazard_ratio.high < 1.0 or made.hazard_ratio.low > 1.0
    assert (made.psi.low > 0.0 or made.psi.high < 0.0) == rejected == (test.p < 0.05)
    frame = made.untreated()
    assert isinstance(frame, pd.DataFrame)
    mine = frame[frame["ARM"] == 0]
    np.testing.assert_allclose(mine["UNTREATED"], recensored(data, made.psi.estimate)[0][mine["ROW"]], rtol=1e-12)


def test_property_share_units_order_and_labels() -> None:
    data = crossover(6, 160)
    one = fit(data)
    share = rpsftm(data, time="T", event="E", arm="ARM", share="RX", censor_time="END")
    assert share.psi.estimate == pytest.approx(one.psi.estimate, abs=1e-8)
    days = data.with_columns(pl.col("T", "ON", "END") * 7)[::-1]
    assert fit(days).psi.estimate == pytest.approx(one.psi.estimate, abs=1e-8)
    assert fit(days).hazard_ratio.estimate == pytest.approx(one.hazard_ratio.estimate, rel=1e-6)
    block = psi_of_trials(
        *(data[k].to_numpy()[None] for k in ("T", "E", "ARM", "ON")), censor=data["END"].to_numpy()[None]
    )
    assert block.psi[0] == pytest.approx(one.psi.estimate, abs=1e-8)
    assert block.low[0] == pytest.approx(one.psi.low, abs=1e-8)
    doubled = fit(data.with_columns(M=pl.lit(0.5)), modifier="M")
    assert doubled.psi.estimate == pytest.approx(2 * one.psi.estimate, abs=1e-7)
    assert fit(data.with_columns(ON=pl.when(pl.col("ARM") == 0).then(None).otherwise("ON"))).left_out == 80


def test_property_tests_agree_and_strata_and_covariates_work() -> None:
    """Cox, Wilcoxon and stratified tests estimate the same psi, near the truth, on 2,000 patients."""
    data = crossover(7, 2000, psi=-0.5)
    values = [
        fit(data).psi,
        fit(data, test="wilcoxon").psi,
        fit(data, strata="S").psi,
        fit(data, test="cox", points=21).psi,
        fit(data, test="cox", covariates=["X"], points=21).psi,
    ]
    for e in values:
        assert e.estimable
        assert e.low < -0.5 < e.high
    assert np.ptp([e.estimate for e in values]) < 0.12
    plain, by_cox = values[0], values[3]
    assert by_cox.estimate == pytest.approx(plain.estimate, abs=0.01)  # score and Wald tests of one model
    # the statistic jumps where an event is censored anew, so estimates may coincide; their intervals do not all
    assert len({round(e.low, 8) for e in values}) >= 4


def test_property_recensoring_off_is_another_estimate_and_must_be_said() -> None:
    data = crossover(8, 300)
    without = rpsftm(data, time="T", event="E", arm="ARM", on="ON", recensor=False)
    assert without.recensored == (False, False)
    assert without.psi.estimate != fit(data).psi.estimate
    with pytest.raises(EstimationError, match="no censor_time"):
        rpsftm(data, time="T", event="E", arm="ARM", on="ON")
    everyone = fit(data, autoswitch=False)
    assert everyone.recensored == (True, True)


def test_property_no_root_and_several_roots_are_said_in_words() -> None:
    grid = np.linspace(-1, 1, 41)
    none = search(lambda psi: 5.0 - psi, grid)
    assert none.status is Status.BOUNDARY
    assert none.detail == "not estimable: no psi between -1 and 1 balances the arms (the statistic goes from 6 to 4)"
    assert math.isnan(none.psi)
    several = search(lambda psi: -6.0 * (psi + 0.52) * (psi - 0.01) * (psi - 0.63), grid)
    assert several.status is Status.NOT_CONVERGED
    assert several.detail == "not estimable: the statistic is 0 at several psi: -0.52, 0.01, 0.63"
    close = search(lambda psi: -300.0 * (psi + 0.02) * (psi - 0.01) * (psi - 0.035), np.linspace(-1, 1, 401))
    assert close.status is Status.OK
    assert close.psi == pytest.approx(0.0075, abs=1e-8)
    assert "crosses 0 3 times between -0.02 and 0.035" in (close.detail or "")
    wide = search(lambda psi: -1.5 * psi, grid)
    assert (wide.low, wide.high) == (-math.inf, math.inf)
    assert wide.detail == "lower and upper limits not found between -1 and 1"
    half = search(lambda psi: np.where(psi < -0.5, np.nan, -4.0 * (psi - 0.2)), grid)
    assert half.psi == pytest.approx(0.2, abs=1e-9)
    assert half.high == pytest.approx(0.2 + 1.959963985 / 4, abs=1e-8)
    assert "does not exist at some psi" in (half.detail or "")
    gap = search(lambda psi: np.where((psi > 0.3) & (psi < 0.4), -3.0, -2.5 * psi), grid)
    assert "gaps" in (gap.detail or "")
    jump = search(lambda psi: np.where(psi < 0.111, 4.0, -4.0), grid)
    assert jump.low == jump.high == pytest.approx(0.111, abs=1e-9)


def test_property_not_estimable_is_said_in_words() -> None:
    data = pl.DataFrame(
        {"T": [5.0, 6, 7, 8, 9, 9], "E": [0] * 6, "ARM": list("pppaaa"), "ON": [0.0, 2, 0, 8, 9, 9], "END": [10.0] * 6}
    )
    none = fit(data, control="p")
    assert none.psi.status is Status.NO_EVENTS
    assert none.psi.reason == "not estimable: no events (events 0/3 p, 0/3 a)"
    assert all(math.isnan(v) for e in none.estimates for v in (e.estimate, e.low, e.high, e.p))
    with pytest.raises(EstimationError, match="psi is not estimable"):
        none.untreated()
    assert none.untreated(0.0)["UNTREATED"].to_list() == data["T"].to_list()
    idle = fit(data.with_columns(ON=pl.lit(0.0), E=pl.lit(1)), control="p")
    assert idle.psi.reason == "not estimable: nobody took active treatment"
    empty = fit(data.with_columns(T=pl.when(pl.col("ARM") == "a").then(None).otherwise("T")), control="p")
    assert empty.psi.reason == "not estimable: no patients in arm a"
    assert empty.to_frame()["status"].to_list() == ["empty_arm"] * 3
    one_sided = fit(data.with_columns(E=pl.Series([1, 1, 1, 0, 0, 0])), control="p")
    assert not one_sided.psi.estimable
    assert "balances the arms" in one_sided.psi.reason


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"on": None}, EstimationError, "either share or on"),
        ({"share": "ON"}, EstimationError, "either share or on"),
        ({"on": None, "share": "ON"}, DataError, "not between 0 and 1"),
        ({"on": "LONG"}, DataError, "longer than the time"),
        ({"censor_time": 6.5}, DataError, "followed beyond their censoring time"),
        ({"test": "sign"}, EstimationError, "unknown test"),
        ({"covariates": "ON"}, EstimationError, "covariates in the log-rank test"),
        ({"psi": (1.0, -1.0)}, EstimationError, "psi searched between"),
        ({"level": 0.0}, EstimationError, "level"),
        ({"on": "NOPE"}, DataError, "NOPE"),
    ],
)
def test_property_bad_input_is_named(change: dict[str, Any], error: type[Exception], words: str) -> None:
    data = pd.DataFrame(
        {"T": [5.0, 6, 7, 8], "E": 1, "ARM": list("ppaa"), "ON": [0.0, 2, 7, 8], "LONG": 9.0, "END": 10.0}
    )
    with pytest.raises(error, match=words):
        fit(data, **change)


def stacked(seed: int, trials: int, n: int, psi: float) -> dict[str, np.ndarray]:
    frames = [crossover(seed * 100_000 + i, n, psi) for i in range(trials)]
    return {k: np.stack([f[k].to_numpy() for f in frames]) for k in ("T", "E", "ARM", "ON", "END")}


@pytest.mark.slow
@pytest.mark.parametrize("psi", [0.0, -0.5])
def test_simulation_psi_is_unbiased_and_covered(psi: float) -> None:
    """1,000 trials of 200: coverage of the 95 % interval within 3 Monte Carlo errors (0.7 %) plus 0.5 %; bias small."""
    trials = 1000
    d = stacked(9 if psi else 10, trials, 200, psi)
    made = psi_of_trials(d["T"], d["E"], d["ARM"], d["ON"], censor=d["END"])
    ok = made.status == Status.OK
    assert ok.mean() > 0.98
    covered = (made.low <= psi) & (psi <= made.high)
    error = 3 * math.sqrt(0.05 * 0.95 / trials) + 0.005
    assert abs(covered[ok].mean() - 0.95) < error
    assert abs(np.median(made.psi[ok]) - psi) < 4 * 1.2533 * made.psi[ok].std() / math.sqrt(trials) + 0.01
    # the comparison as randomised is diluted: its accelerated-life estimate is nearer 0
    if psi:
        as_randomised = psi_of_trials(d["T"], d["E"], d["ARM"], np.where(d["ARM"] == 1, d["T"], 0.0))
        assert np.nanmedian(as_randomised.psi) > psi + 0.1
