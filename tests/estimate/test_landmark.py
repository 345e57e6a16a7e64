"""Survival at landmarks: by hand, against the curve and R's survfit, and the size of the tests by simulation."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
import survival_cases

import parity
from equipoise.errors import EstimationError
from equipoise.estimate.survival.kaplan_meier import kaplan_meier
from equipoise.estimate.survival.kernels import rmst as kernel
from equipoise.estimate.survival.landmark import landmark
from equipoise.types import Status


def test_reference_survfit_standard_errors() -> None:
    """Differences from the survival and standard errors that R's summary(survfit) gives at four times."""
    parity.check(survival_cases.compare_landmarks(), at_least=5)


def test_independent_by_hand_and_stratified() -> None:
    """Without censoring survival is a share: difference and variance are the binomial's, stratum by stratum."""
    g = np.random.default_rng(1)
    n = 120
    frame = pl.DataFrame({"T": g.exponential(10, n), "ARM": g.choice(["a", "p"], n), "SEX": g.choice(["f", "m"], n)})
    frame = frame.with_columns(E=pl.lit(1))
    plain = landmark(frame, time="T", event="E", arm="ARM", control="p", at=6.0)
    share = {a: float((frame.filter(ARM=a)["T"] > 6).mean()) for a in "ap"}
    size = {a: frame.filter(ARM=a).height for a in "ap"}
    assert plain.estimates[0].estimate == pytest.approx(share["a"] - share["p"], rel=1e-12)
    spread = sum(share[a] * (1 - share[a]) / size[a] for a in "ap")
    assert plain.estimates[0].se == pytest.approx(math.sqrt(spread), rel=1e-12)
    parts = [
        landmark(frame.filter(SEX=s), time="T", event="E", arm="ARM", control="p", at=6.0).estimates[0] for s in "fm"
    ]
    for weights in ("size", "mantel-haenszel", "inverse-variance"):
        made = landmark(frame, time="T", event="E", arm="ARM", control="p", at=6.0, strata="SEX", weights=weights)
        w = []
        for s, part in zip("fm", parts, strict=True):
            own = frame.filter(SEX=s)
            n1 = own.filter(ARM="a").height
            w.append(
                {
                    "size": own.height,
                    "mantel-haenszel": n1 * (own.height - n1) / own.height,
                    "inverse-variance": part.se**-2,
                }[weights]
            )
        w = np.array(w) / np.sum(w)
        assert made.estimates[0].estimate == pytest.approx(sum(w * [p.estimate for p in parts]), rel=1e-12)
        assert made.estimates[0].se == pytest.approx(math.sqrt(sum(w**2 * np.square([p.se for p in parts]))), rel=1e-12)
        assert "stratified by SEX" in made.estimates[0].estimator


def test_independent_kernel_is_the_curve() -> None:
    """Batched survival and Greenwood variance equal the Kaplan-Meier door at every time, asked in any order."""
    g = np.random.default_rng(3)
    time, event = np.ceil(g.exponential(9, (1, 80))), g.random((1, 80)) < 0.6
    group = (np.arange(80) % 2)[None]
    at = [7.5, 3.0, 12.0, 0.5]
    *_, survival, greenwood, _ = kernel.curves(time, event, group, tau=1.0, at=at)
    frame = pl.DataFrame({"T": time[0], "E": event[0], "G": group[0]})
    for k, curve in enumerate(kaplan_meier(frame, time="T", event="E", arm="G")):
        for j, t in enumerate(at):
            s, se, *_ = curve.at(t)
            assert survival[0, k, j] == pytest.approx(s, rel=1e-12)
            assert s * math.sqrt(greenwood[0, k, j]) == pytest.approx(se, rel=1e-10, abs=1e-15)


def test_property_not_estimable_is_said_in_words() -> None:
    data = pl.DataFrame({"T": [5, 6, 7, 8, 9, 9], "E": [0] * 6, "ARM": list("pppaaa"), "C": list("xxxyyy")})

    def at(frame: pl.DataFrame, when: float, **more: object):
        return landmark(frame, time="T", event="E", arm="ARM", control="p", at=when, **more).estimates[0]  # type: ignore[arg-type]

    assert at(data, 6).reason == "not estimable: no events by 6 (events 0/3 p, 0/3 a)"
    assert at(data, 8).reason == "not estimable: follow-up of arm p ends at 7, before 8"
    one = data.with_columns(E=pl.Series([1, 0, 0, 0, 0, 0]))
    assert at(one, 6).estimable
    assert "arm a adds nothing to the variance" in at(one, 6).reason
    assert "no events by 6 in arm a, where log(-log S) is infinite" in at(one, 6, scale="log-log").reason
    apart = landmark(one, time="T", event="E", arm="ARM", control="p", at=6, strata="C")
    assert apart.estimates[0].status is Status.EMPTY_ARM
    assert apart.strata_left_out == ("C=x", "C=y")
    assert apart.left_out == len(one)
    assert math.isnan(apart.estimates[0].estimate)
    with pytest.raises(EstimationError, match="landmarks at"):
        at(data, -1.0)
    with pytest.raises(EstimationError, match="unknown scale"):
        at(data, 6, scale="arcsin")
    with pytest.raises(EstimationError, match="unknown weights"):
        at(data, 6, weights="none")


@pytest.mark.slow
def test_simulation_size_of_both_scales() -> None:
    """Type I error at two-sided 5 %, 2 x 50 patients, 30 % censored by the landmark; 20,000 null trials."""
    g = np.random.default_rng(5)
    trials, n = 20_000, 100
    life, lost = g.exponential(30.0, (trials, n)), g.exponential(60.0, (trials, n))
    group = np.broadcast_to(np.arange(n) % 2, (trials, n))
    *_, s, v, _ = kernel.curves(np.minimum(life, lost), life <= lost, group, tau=1.0, at=[24.0])
    s, v = s[:, :, 0], v[:, :, 0]
    plain = (s[:, 1] - s[:, 0]) / np.sqrt((s * s * v).sum(axis=1))
    log = np.log(s)
    loglog = np.log(log[:, 1] / log[:, 0]) / np.sqrt((v / log**2).sum(axis=1))
    error = math.sqrt(0.05 * 0.95 / trials)
    assert abs(np.mean(np.abs(loglog) > 1.959964) - 0.05) < 4 * error + 0.005
    assert 0.05 - 4 * error < np.mean(np.abs(plain) > 1.959964) < 0.07  # Wald: slightly liberal
