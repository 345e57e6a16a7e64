"""Proportions and tables against R (stats, metafor, limits from their definition), by hand, and by simulation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl
import pytest
from categorical_cases import data, reference

from equipoise import cmh, mcnemar, proportions, table_test
from equipoise.errors import DataError, EquipoiseError, EstimationError
from equipoise.estimate.categorical import two_by_two
from equipoise.estimate.categorical.cmh import statistic
from equipoise.estimate.categorical.two_by_two import MEASURES, Counts
from equipoise.types import Status

CLOSE = {"rel": 1e-6}
R = reference("binary")


def limits(e: Any) -> list[float]:
    return [e.low, e.high]


def test_reference_shares_of_the_arms() -> None:
    made = proportions("RESP ~ ARM", data("patients"))
    exact = proportions("RESP ~ ARM", data("patients"), interval="exact")
    for g in range(2):
        assert limits(made.arms[g]) == pytest.approx(R["shares"]["wilson"][g], **CLOSE)
        assert limits(exact.arms[g]) == pytest.approx(R["shares"]["exact"][g], **CLOSE)


def test_reference_wald_and_newcombe() -> None:
    made = proportions("RESP ~ ARM", data("patients"), interval="wald")
    assert [made.difference.estimate, *limits(made.difference)] == pytest.approx(R["wald"]["difference"], **CLOSE)
    assert [made.ratio.estimate, made.ratio.se] == pytest.approx(R["wald"]["ratio"], **CLOSE)
    assert [made.odds_ratio.estimate, made.odds_ratio.se] == pytest.approx(R["wald"]["odds_ratio"], **CLOSE)
    newcombe = proportions("RESP ~ ARM", data("patients"), interval="newcombe").difference
    assert limits(newcombe) == pytest.approx(R["newcombe"], **CLOSE)
    assert newcombe.p == pytest.approx(R["pearson"], **CLOSE)


@pytest.mark.parametrize("measure", MEASURES)
def test_reference_miettinen_nurminen(measure: str) -> None:
    """Limits from the likelihood maximised under each value; in strata with Mantel-Haenszel weights."""
    made = getattr(proportions("RESP ~ ARM", data("patients")), measure)
    assert limits(made) == pytest.approx(R["mn"][measure], **CLOSE)
    made = getattr(proportions("RESP ~ ARM + strata(SITE)", data("patients")), measure)
    assert limits(made) == pytest.approx(R["strata"]["mn"][measure], **CLOSE)
    assert made.statistic**2 == pytest.approx(R["cmh_2x2"], **CLOSE)


def test_reference_margin() -> None:
    made = proportions("RESP ~ ARM", data("patients"), margin=0.1).non_inferiority
    assert made is not None
    assert made.statistic == pytest.approx(R["mn_z_margin"], **CLOSE)
    assert made.sided == 1


def test_reference_exact() -> None:
    """Fisher's conditional odds ratio; Chan & Zhang's limits by brute force in R."""
    made = proportions("RESP ~ ARM", data("patients"), interval="exact").odds_ratio
    assert [made.p, made.estimate, *limits(made)] == pytest.approx(R["fisher"], **CLOSE)
    small = pl.DataFrame({"RESP": [1] * 9 + [0] * 5 + [1] * 4 + [0] * 11, "ARM": ["b"] * 14 + ["a"] * 15})
    found = proportions("RESP ~ ARM", small, interval="exact").difference
    assert [*limits(found), found.p / 2] == pytest.approx(R["exact"], rel=1e-6)


@pytest.mark.parametrize(("measure", "name"), [("difference", "RD"), ("ratio", "RR"), ("odds_ratio", "OR")])
def test_reference_mantel_haenszel(measure: str, name: str) -> None:
    made = getattr(proportions("RESP ~ ARM + strata(SITE)", data("patients"), interval="wald"), measure)
    value = made.estimate if measure == "difference" else math.log(made.estimate)
    assert [value, made.se] == pytest.approx(R["strata"][name], **CLOSE)


def test_reference_stratified_newcombe_and_weights_by_size() -> None:
    made = proportions("RESP ~ ARM + strata(SITE)", data("patients"), interval="newcombe").difference
    assert limits(made) == pytest.approx(R["strata"]["newcombe"], **CLOSE)
    assert made.statistic**2 == pytest.approx(R["cmh_2x2"], rel=0.02)
    made = proportions("RESP ~ ARM + strata(SITE)", data("patients"), interval="wald", weights="size").difference
    assert [made.estimate, made.se] == pytest.approx(R["strata"]["size"], **CLOSE)


def test_reference_cmh() -> None:
    made = cmh("GRADE ~ DOSE + strata(SITE)", data("patients"))
    assert [made.general.statistic, made.general.df] == pytest.approx(R["cmh"]["general"], **CLOSE)
    assert made.correlation.statistic == pytest.approx(R["cmh"]["correlation"], **CLOSE)
    assert [made.row_means.statistic, made.row_means.df] == pytest.approx([R["cmh"]["means"], 2.0], **CLOSE)
    ridit = cmh("GRADE ~ DOSE + strata(SITE)", data("patients"), scores="modridit")
    assert ridit.row_means.statistic == pytest.approx(R["cmh"]["means_ridit"], **CLOSE)
    assert ridit.correlation.statistic == pytest.approx(R["cmh"]["correlation_ridit"], **CLOSE)
    assert cmh("GRADE ~ DOSE", data("patients"), scores="rank").row_means.statistic == pytest.approx(R["kruskal"])


def test_reference_breslow_day() -> None:
    made = cmh("RESP ~ ARM + strata(SITE)", data("patients"))
    assert made.general.statistic == pytest.approx(R["cmh_2x2"], **CLOSE)
    assert made.breslow_day is not None
    assert made.tarone is not None
    found = [made.breslow_day.statistic, made.breslow_day.p, made.tarone.statistic, made.tarone.p]
    assert found == pytest.approx(R["breslow_day"], **CLOSE)


def test_reference_tables_and_pairs() -> None:
    one_site = data("patients").filter(pl.col("SITE") == "z")
    assert table_test("GRADE ~ DOSE", one_site).p == pytest.approx(R["fisher_rxc"], **CLOSE)
    made = mcnemar(data("patients"), "BEFORE", "RESP")
    assert made.test.statistic == pytest.approx(R["mcnemar"], **CLOSE)
    assert [made.exact.p, *limits(made.odds_ratio)] == pytest.approx(R["mcnemar_exact"], **CLOSE)


def test_independent_limits_of_pairs_are_those_of_newcombes_table() -> None:
    """Newcombe 1998b, Table III: 36, 12, 2, 0 of 50, and 54, 0, 0, 0: his method 10."""

    def of(both: int, lost: int, gained: int, neither: int) -> list[float]:
        first = [1] * (both + lost) + [0] * (gained + neither)
        second = [1] * both + [0] * lost + [1] * gained + [0] * neither
        return limits(mcnemar(pl.DataFrame({"A": second, "B": first}), "A", "B").difference)

    assert of(36, 12, 2, 0) == pytest.approx([0.0569, 0.3404], abs=5e-5)
    assert of(1, 97, 1, 1) == pytest.approx([0.8721, 0.9815], abs=5e-2)


@pytest.mark.parametrize("measure", MEASURES)
def test_property_limits_turn_with_the_arms(measure: str) -> None:
    """Arms the other way round: the difference changes its sign, ratios are inverted."""
    for interval in ("wald", "newcombe", "miettinen-nurminen"):
        one, other = (
            getattr(proportions("RESP ~ ARM", data("patients"), control=c, interval=interval), measure) for c in "ab"
        )
        turned = [-other.high, -other.low] if measure == "difference" else [1 / other.high, 1 / other.low]
        assert limits(one) == pytest.approx(turned, rel=1e-9)
        assert one.p == pytest.approx(other.p, rel=1e-9)


def test_property_a_limit_by_score_is_where_its_test_is_at_the_level() -> None:
    frame = data("patients")
    found = proportions("RESP ~ ARM", frame).difference
    at_low = proportions("RESP ~ ARM", frame, margin=-found.low).non_inferiority
    assert at_low is not None
    assert at_low.p == pytest.approx(0.025, rel=1e-9)


def test_property_nobody_responds() -> None:
    frame = pl.DataFrame({"RESP": [0] * 20, "ARM": ["a", "b"] * 10})
    made = proportions("RESP ~ ARM", frame)
    assert made.difference.status is Status.OK
    assert made.difference.high == pytest.approx(-made.difference.low)
    assert 0.1 < made.difference.high < 0.5
    assert made.ratio.status is Status.NO_EVENTS
    assert "nobody" in made.ratio.reason
    assert not proportions("RESP ~ ARM", frame, interval="wald").difference.estimable
    assert not cmh("RESP ~ ARM", frame).general.estimable
    assert not table_test("RESP ~ ARM", frame).estimate.estimable
    assert mcnemar(frame.with_columns(B=0), "RESP", "B").test.status is Status.NO_EVENTS


def test_property_strata_of_one_arm_take_no_part() -> None:
    frame = data("patients")
    more = frame.with_columns(SITE=pl.when(pl.int_range(len(frame)) < 160).then("SITE"))
    alone = frame.filter(pl.col("ARM") == "a").head(7).with_columns(SITE=pl.lit("w"))
    made = proportions("RESP ~ ARM + strata(SITE)", pl.concat([more, alone]))
    assert made.strata_left_out == ("SITE=w",)
    assert "7 in a stratum of one arm" in str(made)
    same = proportions("RESP ~ ARM + strata(SITE)", frame)
    assert limits(made.difference) == pytest.approx(limits(same.difference), rel=1e-12)


@pytest.mark.parametrize(
    "call",
    [
        lambda d: proportions("RESP ~ ARM", d, interval="fieller"),
        lambda d: proportions("GRADE ~ ARM", d),
        lambda d: proportions("RESP ~ DOSE", d),
        lambda d: proportions("RESP ~ ARM + BASE", d),
        lambda d: proportions("RESP ~ ARM + strata(SITE)", d, interval="exact"),
        lambda d: proportions("RESP ~ ARM", d, margin=-0.1),
        lambda d: proportions("RESP ~ ARM", d, margin=1.25, margin_of="ratio"),
        lambda d: cmh("GRADE ~ DOSE", d, scores={1: 1.0}),
        lambda d: table_test("GRADE ~ DOSE", d, test="barnard"),
        lambda d: mcnemar(d, "GRADE", "RESP"),
        lambda d: mcnemar(d, "RESP", "RESP"),
        lambda d: proportions(d),
    ],
)
def test_property_what_cannot_be_done_is_named(call: Any) -> None:
    with pytest.raises((DataError, EstimationError)) as caught:
        call(data("patients"))
    assert isinstance(caught.value, EquipoiseError)
    assert caught.value.hint


def test_property_columns_and_formula_say_the_same() -> None:
    frame = data("patients")
    one = proportions("RESP ~ ARM + strata(SITE)", frame)
    other = proportions(frame, response="RESP", arm="ARM", strata="SITE")
    assert one.estimates == other.estimates
    assert type(proportions("RESP ~ ARM", frame.to_pandas()).to_frame()).__module__.startswith("pandas")


def drawn(seed: int, p1: float, p0: float, trials: int, size: tuple[int, ...]) -> Counts:
    """Trials of strata of ``size`` an arm; shares vary between strata."""
    g = np.random.default_rng(seed)
    n = np.broadcast_to(np.array(size, float), (trials, len(size)))
    shift = np.linspace(-0.1, 0.1, len(size)) if len(size) > 1 else np.zeros(1)
    x1, x0 = (g.binomial(n.astype(int), p + shift).astype(float) for p in (p1, p0))
    return Counts(x1, n, x0, n)


@pytest.mark.parametrize("size", [(60,), (25, 40, 15)])
@pytest.mark.parametrize("how", ["miettinen-nurminen", "newcombe"])
def test_simulation_coverage_of_the_difference(how: str, size: tuple[int, ...]) -> None:
    """20,000 trials, difference 0.2: 95 % limits hold the truth within 1 percentage point (Monte Carlo error 0.15)."""
    c = drawn(1, 0.6, 0.4, 20_000, size)
    low, high = two_by_two.limits(c, "difference", how, 0.95, c.weights)
    assert np.mean((low <= 0.2) & (high >= 0.2)) == pytest.approx(0.95, abs=0.01)


def test_simulation_level_of_the_margin_and_of_cmh() -> None:
    """The one-sided test at its margin: 2.5 % (Monte Carlo error 0.11); CMH without effect: 5 % (0.5)."""
    c = drawn(2, 0.5, 0.6, 20_000, (80,))
    z = two_by_two.score(c, "difference", -0.1, c.weights)
    assert np.mean(z > 1.959963985) == pytest.approx(0.025, abs=0.004)
    g = np.random.default_rng(3)
    p = [0.3, 0.3, 0.25, 0.15]
    tables = np.stack([g.multinomial(20, p, (2000, 3)) for _ in range(2)], axis=1).astype(float)
    for kind, critical in (("general", 12.5916), ("means", 5.9915)):
        tables = np.stack([g.multinomial(20, p, (2000, 3)) for _ in range(2)], axis=1).astype(float)
        beyond = [statistic(t, kind, np.arange(3.0), np.arange(4.0))[0] > critical for t in tables]
        assert np.mean(beyond) == pytest.approx(0.05, abs=0.016)
