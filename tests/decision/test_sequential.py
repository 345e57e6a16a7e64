"""Group sequential designs against gsDesign and rpact, against independent integration, and by simulation."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sequential_cases
from scipy import special, stats

import parity
from equipoise.decision import (
    FixedFutility,
    Graph,
    HaybittlePeto,
    HwangShihDeCani,
    InverseNormal,
    OBrienFlemingSpending,
    PocockSpending,
    PowerSpending,
    WangTsiatis,
    conditional_power,
    events_from_information,
    exit_probabilities,
    group_sequential,
    information_from_events,
    information_from_se,
    information_from_visits,
    predictive_power,
    serial_gatekeeping,
    stage_statistics,
    stagewise_estimate,
)
from equipoise.errors import ScenarioError


def test_reference_every_case_is_tested() -> None:
    assert set(sequential_cases.GSDESIGN + sequential_cases.LOOSE + sequential_cases.RPACT) == set(
        sequential_cases.cases()
    )


@pytest.mark.parametrize("name", sequential_cases.GSDESIGN)
def test_reference_gsdesign(name: str) -> None:
    """gsDesign 3.4.0 at its tightest tolerance: everything at relative 1e-8."""
    parity.check(sequential_cases.compare_gsdesign(name), at_least=9)


@pytest.mark.parametrize("name", sequential_cases.LOOSE)
def test_reference_gsdesign_where_its_solver_stops_early(name: str) -> None:
    """Two-sided and futility cases, where gsDesign's solver accepted 1e-8 on probabilities.

    Its own exit probabilities miss its own spending by up to 1e-8 there; ours by less than 1e-12 (`compare_loose`).
    """
    parity.check(sequential_cases.compare_loose(name), at_least=10)
    case = sequential_cases.cases()[name]
    if case["test_type"] != 4:  # exit probabilities without effect are the error spent
        spend = np.array(case["alpha_spent_incremental"])
        miss = np.abs(np.array(case["upper_crossing_prob"]["values"])[:, 0] - spend).max()
        assert 1e-10 < miss < 1e-8


@pytest.mark.parametrize("name", sequential_cases.RPACT)
def test_reference_rpact(name: str) -> None:
    """rpact 3.3.4, relative 1e-6."""
    parity.check(sequential_cases.compare_rpact(name), at_least=7)


def test_reference_published_constants() -> None:
    """Jennison & Turnbull 2000, tables 2.1 and 2.3 (two-sided 5 %): Pocock and O'Brien-Fleming constants."""
    for looks, pocock, obrien in ((2, 2.178, 1.977), (5, 2.413, 2.040)):
        t = np.arange(1, looks + 1) / looks
        kwargs = {"alpha": 0.05, "sided": 2}
        assert group_sequential(t, efficacy=WangTsiatis(0.5), **kwargs).upper[-1] == pytest.approx(pocock, abs=5e-4)
        assert group_sequential(t, efficacy=WangTsiatis(0.0), **kwargs).upper[-1] == pytest.approx(obrien, abs=5e-4)


def simpson_grid(mean: float, low: float, high: float, r: int):
    """Grid points and weights of Jennison & Turnbull 2000, section 19.2.2, on the Z scale."""
    i = np.arange(1, 6 * r)
    x = np.where(i < r, -3 - 4 * np.log(r / i), np.where(i <= 5 * r, -3 + 3 * (i - r) / (2 * r), 0.0))
    tail = i > 5 * r
    x[tail] = 3 + 4 * np.log(r / (6 * r - i[tail]))
    x = x + mean
    x = np.unique(np.concatenate([[max(low, x[0])], x[(x > low) & (x < high)], [min(high, x[-1])]]))
    z = np.sort(np.concatenate([x, 0.5 * (x[1:] + x[:-1])]))
    w = np.zeros(z.size)
    for j in range(0, z.size - 2, 2):
        w[j : j + 3] += np.array([1.0, 4.0, 1.0]) * (z[j + 2] - z[j]) / 6.0
    return z, w


def grid_probabilities(info, upper, lower, theta, r=128):
    """Exit probabilities by Simpson's rule on the grid of Jennison & Turnbull, on the Z scale."""
    up, down, h, z = [], [], None, None
    for k, now in enumerate(info):
        if k == 0:
            up.append(stats.norm.sf(upper[0] - theta * now**0.5))
            down.append(stats.norm.cdf(lower[0] - theta * now**0.5))
        else:
            gain = now - info[k - 1]
            shift = z * info[k - 1] ** 0.5 + theta * gain
            up.append(h @ stats.norm.sf((upper[k] * now**0.5 - shift) / gain**0.5))
            down.append(h @ stats.norm.cdf((lower[k] * now**0.5 - shift) / gain**0.5))
        new, w = simpson_grid(theta * now**0.5, lower[k], upper[k], r)
        if k == 0:
            h = w * stats.norm.pdf(new - theta * now**0.5)
        else:
            h = w * (h @ stats.norm.pdf((new * now**0.5 - shift[:, None]) / gain**0.5)) * (now / gain) ** 0.5
        z = new
    return np.array(up), np.array(down)


@pytest.mark.parametrize("theta", [0.0, 1.3, -0.7])
def test_independent_exit_probabilities_equal_jennison_and_turnbulls_grid(theta: float) -> None:
    """Four uneven looks, both boundaries: another rule on another grid on another scale."""
    info = np.array([0.7, 1.9, 2.4, 4.0])
    upper, lower = np.array([3.0, 2.6, 2.3, 2.0]), np.array([-1.0, 0.1, -np.inf, 2.0])
    ours = exit_probabilities(info, upper, lower, theta)
    theirs = grid_probabilities(info, upper, np.maximum(lower, -30.0), theta)
    np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=1e-13)
    assert np.sum(ours) == pytest.approx(1.0, abs=1e-13)


def test_independent_exit_probabilities_equal_the_multivariate_normal() -> None:
    info = np.array([1.0, 2.0, 3.5])
    cov = np.sqrt(np.minimum.outer(info, info) / np.maximum.outer(info, info))
    upper = np.array([2.5, 2.2, 2.0])
    inside = stats.multivariate_normal.cdf(
        upper, 0.8 * np.sqrt(info), cov, lower_limit=-upper, maxpts=4_000_000, abseps=1e-9, releps=1e-9
    )
    up, down = exit_probabilities(info, upper, -upper, 0.8)
    assert 1.0 - up.sum() - down.sum() == pytest.approx(inside, abs=1e-7)


def test_property_close_and_early_looks_keep_the_level() -> None:
    for fractions in ([0.02, 0.021, 0.5, 0.505, 1.0], [0.995, 1.0], [0.001, 1.0], np.arange(1, 13) / 12):
        made = group_sequential(fractions, efficacy=PocockSpending())
        assert made.type_one_error() == pytest.approx(0.025, rel=1e-10)
        assert made.rejection_probability(made.drift) == pytest.approx(0.9, rel=1e-10)
    with pytest.raises(ScenarioError, match="too close"):
        group_sequential([0.5, 0.50001, 1.0])


def test_property_designs_have_their_level_and_power() -> None:
    """Whatever the boundaries: level and power are met exactly, and skipped looks spend nothing."""
    t = [0.3, 0.6, 0.8, 1.0]
    fixed = FixedFutility((-0.5, 0.0, 0.5))
    for kwargs in (
        {"efficacy": HaybittlePeto()},
        {"efficacy": HaybittlePeto(3.29), "sided": 2, "alpha": 0.05},
        {"efficacy": WangTsiatis(0.25), "futility": fixed},
        {"efficacy": WangTsiatis(0.25), "futility": fixed, "binding": True},
        {"efficacy": WangTsiatis(0.0), "futility": PowerSpending(2.0)},
        {"futility": HwangShihDeCani(-3.0), "binding": True},
        {"futility": HwangShihDeCani(0.0), "futility_at": [True, False, True, True]},
        {"efficacy": PocockSpending(), "efficacy_at": [False, True, False, True]},
        {"efficacy": WangTsiatis(0.5), "efficacy_at": [False, True, False, True], "sided": 2, "alpha": 0.1},
    ):
        made = group_sequential(t, power=0.8, **kwargs)
        assert made.type_one_error() == pytest.approx(made.alpha, rel=1e-9)
        assert made.rejection_probability(made.drift) == pytest.approx(0.8, rel=1e-9)
        skipped = ~np.array(kwargs.get("efficacy_at", [True] * 4))
        assert np.isinf(made.upper[skipped]).all()
        assert np.isfinite(made.upper[~skipped]).all()
        assert made.to_frame()["upper_z"].to_list() == made.upper.tolist()
        assert "4 looks at 30 %, 60 %, 80 %, 100 %" in made.to_sentence()
        assert made.references
    assert np.isinf(group_sequential(t, futility=HwangShihDeCani(0.0), futility_at=[1, 0, 1, 1]).lower[1])
    ignored = group_sequential(t, futility=HwangShihDeCani(-3.0), binding=True)
    alone = exit_probabilities(t, ignored.upper)[0].sum()
    assert alone > 0.0251  # binding boundaries that are ignored cost the level: that is what binding means


def test_property_monitoring_at_the_planned_information_is_the_design() -> None:
    for kwargs in (
        {"futility": HwangShihDeCani(-2.0)},
        {"futility": OBrienFlemingSpending(), "binding": True, "efficacy": PocockSpending()},
        {"efficacy": WangTsiatis(0.0), "sided": 2},
        {"efficacy": HaybittlePeto()},
    ):
        made = group_sequential([0.4, 0.75, 1.0], **kwargs)
        whole = made.at([40, 75, 100], 100)
        np.testing.assert_allclose(whole.upper, made.upper, rtol=1e-9)
        np.testing.assert_allclose(whole.lower, made.lower, rtol=1e-7)
        part = made.at([40, 75], 100)
        np.testing.assert_allclose(part.upper, made.upper[:2], rtol=1e-9)
        assert part.information.tolist() == [40, 75]


def test_property_monitoring_keeps_the_level_at_any_information() -> None:
    """Looks moved, added, under- and overrun: the whole of alpha is spent, no more."""
    for kwargs in (
        {"efficacy": OBrienFlemingSpending()},
        {"efficacy": PocockSpending(), "futility": HwangShihDeCani(-2.0)},
        {"efficacy": HaybittlePeto()},
        {"efficacy": WangTsiatis(0.25)},
    ):
        made = group_sequential([0.5, 1.0], **kwargs)
        for info, final in (([31, 60, 88, 104], None), ([55, 83], True), ([20, 99, 130], True), ([97], True)):
            bounds = made.at(info, 100, final=final)
            up, _ = exit_probabilities(info, bounds.upper)
            assert up.sum() == pytest.approx(0.025, rel=1e-9)
            assert bounds.lower[-1] == bounds.upper[-1]
        assert made.at([31, 60], 100).spent[-1] < 0.025
    with pytest.raises(ScenarioError, match="nothing of alpha"):
        group_sequential([0.5, 1.0]).at([50, 101, 120], 100)


def test_independent_power_of_a_design_with_futility_by_simulation_of_its_score() -> None:
    """200,000 Brownian paths: Monte Carlo error of a probability of 0.9 is 0.0007."""
    made = group_sequential([0.4, 0.75, 1.0], futility=HwangShihDeCani(-2.0))
    g = np.random.default_rng(1)
    gain = np.diff(made.fractions, prepend=0.0)
    for drift, expected in ((made.drift, 0.9), (0.0, made.rejection_probability(0.0))):
        z = np.cumsum(g.normal(drift * gain, np.sqrt(gain), (200_000, 3)), axis=1) / np.sqrt(made.fractions)
        going, rejected, used = np.ones(200_000, bool), 0, 0.0
        for k in range(3):
            used += going.mean() * gain[k]
            rejected += int((going & (z[:, k] >= made.upper[k])).sum())
            going &= (z[:, k] < made.upper[k]) & (z[:, k] >= made.lower[k])
        assert rejected / 200_000 == pytest.approx(expected, abs=4 * 0.0007)
        assert used * made.inflation == pytest.approx(made.expected_information(drift), abs=4e-3)


def test_property_decisions_are_the_first_crossing() -> None:
    bounds = group_sequential([0.4, 0.75, 1.0], futility=HwangShihDeCani(-2.0)).boundaries
    z = np.array([[4.0, 0.0, 0.0], [1.0, 0.5, 9.0], [1.0, 2.0, 2.5], [1.0, 2.0, 1.0], [1.0, np.nan, 2.5]])
    look, side = bounds.decide(z)
    assert look.tolist() == [1, 2, 3, 3, 3]
    assert side.tolist() == [1, -1, 1, -1, 1]
    assert [int(v) for v in bounds.decide(np.full(3, np.nan))] == [0, 0]
    with pytest.raises(ScenarioError, match="3 looks"):
        bounds.decide(np.zeros(2))
    test = InverseNormal(np.array([0.5, 0.5]), np.array([2.797, 1.977]))
    p = [[0.001, np.nan], [np.nan, 0.001], [0.03, 0.03], [0.0, 1.0], [1.0, 0.0]]
    assert test.rejects(p).tolist() == [1, 0, 2, 1, 0]


def test_independent_conditional_and_predictive_power_in_closed_form() -> None:
    """One look to come: Lan, Simon & Halperin 1982; Spiegelhalter et al. 1986."""
    for z, now, then, b in ((1.5, 50.0, 100.0, 1.96), (-0.3, 12.0, 90.0, 2.1), (2.4, 80.0, 81.0, 1.9)):
        t = now / then
        for effect in (0.0, 0.25, None):
            theta = z / now**0.5 if effect is None else effect
            mean = z * t**0.5 + theta * (then - now) / then**0.5
            expected = stats.norm.sf((b - mean) / (1 - t) ** 0.5)
            assert conditional_power(z, now, [then], [b], effect=effect) == pytest.approx(expected, rel=1e-12)
        expected = stats.norm.cdf((z - b * t**0.5) / (1 - t) ** 0.5)
        assert predictive_power(z, now, [then], [b]) == pytest.approx(expected, rel=1e-9)
        mean0, sd0 = 0.2, 0.1  # final score given the data: posterior mean and variance of the effect added in
        precision = now + sd0**-2
        centre = (z * now**0.5 + mean0 * sd0**-2) / precision
        score = z * now**0.5 + centre * (then - now)
        spread = (then - now + (then - now) ** 2 / precision) ** 0.5
        expected = stats.norm.sf((b * then**0.5 - score) / spread)
        assert predictive_power(z, now, [then], [b], prior=(mean0, sd0)) == pytest.approx(expected, rel=1e-9)


def test_independent_conditional_power_over_two_looks_is_a_ratio_of_integrals() -> None:
    """Integrated over Z at the first look, conditional power gives the power of the design."""
    made = group_sequential([0.4, 0.75, 1.0], futility=HwangShihDeCani(-2.0))
    x, w = np.polynomial.legendre.leggauss(60)
    a, b = made.lower[0], made.upper[0]
    z = a + (b - a) * (x + 1) / 2
    later = [
        conditional_power(v, 0.4, made.fractions[1:], made.upper[1:], lower=made.lower[1:], effect=made.drift)
        for v in z
    ]
    density = stats.norm.pdf(z - made.drift * 0.4**0.5)
    at_first = stats.norm.sf(b - made.drift * 0.4**0.5)
    assert at_first + (b - a) / 2 * np.sum(w * density * later) == pytest.approx(0.9, rel=1e-10)


def test_property_stagewise_estimate_of_one_look_is_the_plain_one() -> None:
    made = stagewise_estimate([64.0], [1.96], 2.4)
    assert made.estimate == pytest.approx(0.3, rel=1e-9)
    assert made.naive == pytest.approx(0.3, rel=1e-12)
    assert [made.low, made.high] == pytest.approx([0.3 - 1.959964 / 8, 0.3 + 1.959964 / 8], rel=1e-6)
    assert made.p == pytest.approx(stats.norm.sf(2.4), rel=1e-12)
    on_edge = group_sequential([0.5, 1.0])
    last = stagewise_estimate(on_edge.fractions, on_edge.upper, on_edge.upper[1])
    assert last.p == pytest.approx(0.025, rel=1e-9)
    assert last.low == pytest.approx(0.0, abs=1e-9)


def test_simulation_stagewise_interval_covers_and_its_middle_is_the_median() -> None:
    """4,000 trials stopped by an O'Brien-Fleming design under its alternative; Monte Carlo error of 95 % is 0.35 %."""
    made = group_sequential([0.5, 1.0], efficacy=PocockSpending())
    g = np.random.default_rng(2)
    n = 4000
    z1 = g.normal(made.drift * 0.5**0.5, 1.0, n)
    z2 = 0.5**0.5 * z1 + 0.5**0.5 * g.normal(made.drift * 0.5**0.5, 1.0, n)
    covered = above = naive = 0
    grid = {}
    for a, b in zip(z1, z2, strict=True):
        early = a >= made.upper[0]
        key = (early, round(a if early else b, 2))
        if key not in grid:
            grid[key] = stagewise_estimate(made.fractions[: 1 if early else 2], made.upper[: 1 if early else 2], key[1])
        e = grid[key]
        covered += e.low <= made.drift <= e.high
        above += e.estimate > made.drift
        naive += e.naive > made.drift
    assert abs(covered / n - 0.95) < 4 * 0.0035
    assert abs(above / n - 0.5) < 4 * 0.008
    assert naive / n > 0.5 + 4 * 0.008  # the plain estimate is too high more often than not


def test_independent_information_from_visits_is_generalised_least_squares() -> None:
    """Against least squares on all patients stacked; complete data give the two-sample variance."""
    g = np.random.default_rng(3)
    root = g.normal(size=(4, 4))
    v = root @ root.T + np.eye(4)
    seen = [[3, 0, 5, 7], [2, 4, 0, 6]]
    total = 0.0
    for arm in seen:
        rows = [np.eye(4)[: last + 1] for last, n in enumerate(arm) for _ in range(n)]
        x = np.vstack(rows)
        big = np.zeros((len(x), len(x)))
        at = 0
        for r in rows:
            big[at : at + len(r), at : at + len(r)] = v[: len(r), : len(r)]
            at += len(r)
        total += np.linalg.inv(x.T @ np.linalg.solve(big, x))[-1, -1]
    assert information_from_visits(seen, v) == pytest.approx(1 / total, rel=1e-10)
    complete = information_from_visits([[0, 0, 0, 36], [0, 0, 0, 72]], v)
    assert complete == pytest.approx(1 / (v[-1, -1] * (1 / 36 + 1 / 72)), rel=1e-12)
    more = information_from_visits([[0, 0, 40, 36], [0, 0, 40, 72]], v)
    assert more > complete
    assert information_from_visits([[3, 3, 3, 0], [3, 3, 3, 3]], v) == 0.0


def test_reference_information_from_events() -> None:
    """Schoenfeld 1981: with 1:1 allocation a quarter of the events; 2:1, two ninths."""
    assert information_from_events(380) == 95.0
    assert information_from_events(90, (1, 2)) == pytest.approx(20.0)
    assert events_from_information(95.0) == 380.0
    assert information_from_se(0.5) == 4.0
    needed = group_sequential([1.0], power=0.9).information(math.log(0.7))
    assert float(events_from_information(needed[0])) == pytest.approx(
        4 * (special.ndtri(0.975) + special.ndtri(0.9)) ** 2 / math.log(0.7) ** 2, rel=1e-9
    )


def test_property_combination_of_unchanged_stages_is_the_cumulative_statistic() -> None:
    design = group_sequential([0.3, 0.6, 1.0])
    test = InverseNormal.of_design(design.fractions, design.upper)
    g = np.random.default_rng(4)
    z = g.normal(size=(50, 3))
    own = stage_statistics(z, [30, 60, 100])
    np.testing.assert_allclose(test.combine_z(own), z, rtol=1e-12)
    np.testing.assert_allclose(test.combine(stats.norm.sf(own)), z, rtol=1e-6, atol=1e-9)
    crossed = z >= design.upper
    np.testing.assert_array_equal(test.rejects(stats.norm.sf(own)) > 0, crossed.any(axis=1))


def test_property_reestimated_stage_has_the_power_wanted() -> None:
    design = group_sequential([0.5, 1.0])
    test = InverseNormal.of_design(design.fractions, design.upper)
    made = test.reestimate(1.2, 1, effect=0.3, power=0.8, minimum=5.0)
    assert made.limited == ""
    assert test.conditional_power(1.2, 1, made.stage, 0.3) == pytest.approx(0.8, rel=1e-12)
    unchanged = test.conditional_power(1.2, 1, 50.0, 0.3)  # weights as planned: the ordinary conditional power
    assert unchanged == pytest.approx(conditional_power(1.2, 50.0, [100.0], design.upper[1:], effect=0.3), rel=1e-10)
    held = test.reestimate(1.2, 1, effect=0.3, power=0.99, minimum=5.0, maximum=40.0)
    assert (held.limited, held.stage) == ("maximum", 40.0)
    assert test.reestimate(1.2, 1, effect=-0.1, minimum=10.0).limited == "minimum"
    assert "conditional power 80.0 %" in made.to_sentence()


def test_simulation_reestimation_keeps_the_level_where_pooling_does_not() -> None:
    """1,000,000 trials without effect whose second stage is sized by the first: Monte Carlo error 0.016 %.

    The second stage, 2.5 % to 400 % of its plan, is chosen to suit the pooled test best (Proschan & Hunsberger 1995).
    Inverse normal: 2.5 % exactly. Pooled as if planned: more.
    """
    design = group_sequential([0.5, 1.0])
    test = InverseNormal.of_design(design.fractions, design.upper)
    g = np.random.default_rng(5)
    n = 1_000_000
    z1, z2 = g.normal(size=n), g.normal(size=n)
    best = 0.5 * (design.upper[1] ** 2 / np.maximum(z1, 1e-3) ** 2 - 1.0)
    stage = np.clip(best, 0.0125, 2.0)
    early = z1 >= design.upper[0]
    combined = test.combine_z(np.column_stack([z1, z2]))[:, 1]
    pooled = (z1 * 0.5**0.5 + z2 * stage**0.5) / (0.5 + stage) ** 0.5
    level = np.mean(early | (combined >= design.upper[1]))
    naive = np.mean(early | (pooled >= design.upper[1]))
    assert abs(level - 0.025) < 4 * 0.00016
    assert naive > 0.025 + 10 * 0.00016


def closed_test(graph: Graph, p: np.ndarray) -> np.ndarray:
    """Adjusted p-values by brute force: every intersection, its weights by removing the others in random order."""
    m = len(graph.names)
    out = np.zeros(m)
    g = np.random.default_rng(0)
    for size in range(1, m + 1):
        for subset in itertools.combinations(range(m), size):
            w, t = graph.weights.copy(), graph.transitions.copy()
            for j in g.permutation([i for i in range(m) if i not in subset]):
                new_w, new_t = w.copy(), np.zeros_like(t)
                for a in range(m):
                    new_w[a] = w[a] + w[j] * t[j, a]
                    for b in range(m):
                        if a != b and a != j and b != j and t[a, j] * t[j, a] < 1:
                            new_t[a, b] = (t[a, b] + t[a, j] * t[j, b]) / (1 - t[a, j] * t[j, a])
                new_w[j] = 0.0
                w, t = new_w, new_t
            local = min([1.0, *(p[i] / w[i] for i in subset if w[i] > 0)])
            out[list(subset)] = np.maximum(out[list(subset)], local)
    return out


def graphs():
    yield Graph.holm("ABCD")
    yield Graph.fixed_sequence("ABC")
    yield Graph.fallback("ABC", [0.5, 0.3, 0.2])
    yield Graph.parallel_gatekeeping(["AB", "CD"])
    yield Graph.parallel_gatekeeping(["A", "BC", "DE"])
    yield Graph.of(
        {"A": 0.5, "B": 0.5, "C": 0.0, "D": 0.0},
        {"A": {"B": 0.5, "C": 0.5}, "B": {"A": 0.5, "D": 0.5}, "C": {"B": 1.0}, "D": {"A": 1.0}},
    )


def test_independent_graphs_equal_the_closed_test() -> None:
    """Adjusted p-values of the shortcut against all intersections, 60 random sets of p-values a graph."""
    g = np.random.default_rng(6)
    for graph in graphs():
        for p in g.random((60, len(graph.names))) ** 3:
            np.testing.assert_allclose(graph.adjusted(p), closed_test(graph, p), rtol=1e-10)


def test_reference_graphs_by_hand() -> None:
    """Holm: p 0.01, 0.02, 0.03, 0.5 gives 0.04, 0.06, 0.06, 0.5. Fixed sequence: running maximum."""
    np.testing.assert_allclose(Graph.holm("ABCD").adjusted([0.01, 0.02, 0.03, 0.5]), [0.04, 0.06, 0.06, 0.5])
    np.testing.assert_allclose(Graph.fixed_sequence("ABC").adjusted([0.01, 0.2, 0.03]), [0.01, 0.2, 0.2])
    gate = Graph.parallel_gatekeeping([["P1", "P2"], ["S1", "S2"]])
    made = gate.test({"P1": 0.02, "P2": 0.4, "S1": 0.011, "S2": 0.02}, alpha=0.05)
    assert made.rejected == ("P1", "S1", "S2")  # 0.025 passes on; S1 at 0.0125, then S2 at 0.025
    assert made.levels == {"P2": 0.025}
    assert made.to_sentence().startswith("Rejected at a family-wise 5 %: P1 (adjusted P = 0.0400)")
    assert Graph.holm("ABC").without("B").weights.tolist() == [0.5, 0.5]
    serial = serial_gatekeeping([{"A": 0.01, "B": 0.04}, {"C": 0.001}], alpha=0.05)
    assert serial.rejected == ("A", "B", "C")
    shut = serial_gatekeeping([{"A": 0.01, "B": 0.06}, {"C": 0.001}], alpha=0.05)
    assert shut.rejected == ("A",)
    assert shut.adjusted == {"A": 0.02, "B": 0.06, "C": 0.06}


def test_property_rejections_agree_with_adjusted_p_values_and_missing_ones_never_reject() -> None:
    g = np.random.default_rng(7)
    for graph in graphs():
        p = g.random((40, len(graph.names))) ** 4
        p[::7, 0] = np.nan
        many = graph.rejections(p, 0.05)
        for row, flags in zip(p, many, strict=True):
            made = graph.test(dict(zip(graph.names, row, strict=True)), alpha=0.05)
            assert set(made.rejected) == {n for n, f in zip(graph.names, flags, strict=True) if f}
        assert not many[::7, 0].any()


def test_simulation_family_wise_error_of_graphs() -> None:
    """20,000 families of correlated tests with two false hypotheses: Monte Carlo error of 2.5 % is 0.11 %."""
    g = np.random.default_rng(8)
    for graph in graphs():
        m = len(graph.names)
        z = 0.6 * g.normal(size=(20_000, 1)) + 0.8 * g.normal(size=(20_000, m))
        z[:, : m // 2] += 3.5
        rejected = graph.rejections(stats.norm.sf(z))
        assert rejected[:, m // 2 :].any(axis=1).mean() < 0.025 + 3 * 0.0011


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: group_sequential([0.5, 0.9]), "last information fraction"),
        (lambda: group_sequential([0.5, 0.5, 1.0]), "grows from look to look"),
        (lambda: group_sequential([]), "information"),
        (lambda: group_sequential(["a", 1.0]), "information"),
        (lambda: InverseNormal(np.ones(2) / 2, np.ones(2) * 2).reestimate(1.0, 1, effect=1.0, minimum=0), "between 0"),
        (lambda: group_sequential([0.5, 1.0], alpha=0.7), "alpha"),
        (lambda: group_sequential([0.5, 1.0], power=0.01), "power"),
        (lambda: group_sequential([0.5, 1.0], sided=3), "sided"),
        (lambda: group_sequential([0.5, 1.0], sided=2, futility=PocockSpending()), "two-sided"),
        (lambda: group_sequential([0.5, 1.0], futility=FixedFutility((0.0, 0.0))), "2 futility boundaries"),
        (lambda: group_sequential([0.5, 1.0], futility=FixedFutility((3.5,))), "above its efficacy boundary"),
        (lambda: group_sequential([0.5, 1.0], binding=True), "binding"),
        (lambda: group_sequential([0.5, 1.0], efficacy_at=[True, False]), "efficacy_at"),
        (lambda: group_sequential([0.5, 1.0], efficacy=HaybittlePeto(1.5)), "nothing of alpha"),
        (lambda: PowerSpending(-1.0), "rho"),
        (lambda: HwangShihDeCani(1000.0), "gamma"),
        (lambda: group_sequential([0.5, 1.0]).at([50], -1.0), "maximum information"),
        (lambda: group_sequential([0.5, 1.0]).information(0.0), "effect"),
        (lambda: exit_probabilities([1, 2], [2.0]), "give one of each"),
        (lambda: exit_probabilities([1], [2.0], [3.0]), "lies above"),
        (lambda: conditional_power(math.nan, 50, [100], [1.96]), "Z = nan"),
        (lambda: conditional_power(1.0, 50, [], []), "no look follows"),
        (lambda: conditional_power(1.0, 50, [40], [1.96]), "grows"),
        (lambda: predictive_power(1.0, 50, [100], [1.96], prior=(0.0, -1.0)), "prior"),
        (lambda: information_from_visits([[1, 2]], np.eye(2)), "shape"),
        (lambda: information_from_visits([[1, 2], [1, 2]], -np.eye(2)), "positive definite"),
        (lambda: information_from_se(0.0), "not positive"),
        (lambda: InverseNormal(np.array([0.5, 0.6]), np.array([2.0, 2.0])), "weights"),
        (lambda: InverseNormal(np.array([0.5, 0.5]), np.array([2.0, 2.0])).combine([0.1, 1.2]), "P values"),
        (
            lambda: InverseNormal(np.array([0.5, 0.5]), np.array([2.0, 2.0])).reestimate(1.0, 2, effect=1.0, minimum=1),
            "stage 2",
        ),
        (lambda: Graph.of({"A": 1.0}, {"A": {"B": 1.0}}), "'B'"),
        (lambda: Graph(("A", "B"), np.array([0.7, 0.7]), np.zeros((2, 2))), "weights"),
        (lambda: Graph(("A", "B"), np.array([0.5, 0.5]), np.ones((2, 2))), "transitions"),
        (lambda: Graph.holm("AB").test({"A": 0.1}), "no P value"),
        (lambda: Graph.holm("AB").adjusted([0.1, 1.7]), "between 0 and 1"),
        (lambda: serial_gatekeeping([{"A": 0.1}, {}]), "empty family"),
    ],
)
def test_property_bad_input_is_named(call, message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        call()


CALENDAR: dict[str, Any] = json.loads((Path(__file__).parent.parent / "reference/calendar.json").read_text())
RULES: dict[str, Any] = {
    "obrien-fleming": OBrienFlemingSpending(),
    "pocock": PocockSpending(),
    "hwang-shih-decani": HwangShihDeCani(-2),
}


@pytest.mark.parametrize("case", CALENDAR["cases"], ids=lambda c: f"{c['rule']}, {len(c['times'])} looks")
def test_reference_spending_on_calendar_time(case: dict[str, Any]) -> None:
    """Boundaries of rpact with the error given that calendar time spends."""
    fractions, times = case["fractions"], case["times"]
    made = group_sequential(fractions, efficacy=RULES[case["rule"]], spending_time=times)
    np.testing.assert_allclose(made.upper, case["boundary"], rtol=0, atol=1e-6)
    assert made.type_one_error() == pytest.approx(0.025, abs=1e-9)
    assert made.rejection_probability(made.drift) == pytest.approx(0.9, abs=1e-8)
    held = made.at(np.array(fractions) * 40, 40, spending_time=times)
    np.testing.assert_allclose(held.upper, made.upper, atol=1e-9)
    early = made.at(np.array(fractions[:1]) * 40, 40, spending_time=[1.0])  # time is over: all that is left is spent
    assert early.spent[-1] == pytest.approx(0.025, abs=1e-9)


def test_property_calendar_time_is_asked_for_where_it_is_spent() -> None:
    made = group_sequential([0.5, 1.0], spending_time=[0.7, 1.0])
    with pytest.raises(ScenarioError, match="spends on calendar time"):
        made.at([20], 40)
    with pytest.raises(ScenarioError, match="spends on information"):
        group_sequential([0.5, 1.0]).at([20], 40, spending_time=[0.7])
    with pytest.raises(ScenarioError, match=r"the last spending_time is 0\.9"):
        group_sequential([0.5, 1.0], spending_time=[0.7, 0.9])
    for wrong in ([0.7], [0.7, 0.7], [-1.0, 1.0]):
        with pytest.raises(ScenarioError, match="for 2 looks"):
            group_sequential([0.5, 1.0], spending_time=wrong)
    with pytest.raises(ScenarioError, match="on calendar time"):
        group_sequential([0.5, 1.0], spending_time=[0.7, 1.0], efficacy=WangTsiatis(0.25))
