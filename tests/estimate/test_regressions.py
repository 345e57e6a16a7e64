"""Logistic, ordinal and count regression, rates, GEE and repeated events against R, by hand, and by simulation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl
import pytest
from categorical_cases import data, reference

from equipoise import count_regression, gee, logistic, proportional_odds, rates, recurrent
from equipoise.errors import DataError, EquipoiseError, EstimationError
from equipoise.estimate.categorical import glm, ordinal
from equipoise.estimate.categorical.glm import Problem
from equipoise.types import Status

CLOSE = {"rel": 1e-6}
R = reference("regression")
FULL = "RESP ~ ARM + BASE + SITE"


def errors(covariance: np.ndarray) -> list[float]:
    return np.sqrt(np.diag(covariance)).tolist()


# -- yes or no --------------------


def test_reference_logistic() -> None:
    fit = logistic(FULL, data("patients"))
    assert fit.beta.tolist() == pytest.approx(R["logistic"]["beta"], **CLOSE)
    assert errors(fit.vcov) == pytest.approx(R["logistic"]["se"], **CLOSE)
    assert fit.loglik == pytest.approx(R["logistic"]["loglik"], **CLOSE)
    for vcov in ("HC0", "HC3"):
        assert errors(logistic(FULL, data("patients"), vcov=vcov).vcov) == pytest.approx(R["logistic"][vcov], **CLOSE)


def test_reference_profile_limits() -> None:
    fit = logistic(FULL, data("patients"), interval="profile")
    for k, name in enumerate(("ARM", "BASE")):
        one = fit.coefficient(name)
        found = [math.log(one.low), math.log(one.high), one.p]
        assert found == pytest.approx(R["logistic"]["profile"][k], **CLOSE)


def test_reference_firth() -> None:
    fit = logistic("RARE ~ ARM + BASE", data("patients"), firth=True)
    assert fit.beta.tolist() == pytest.approx(R["firth"]["beta"], **CLOSE)
    assert errors(fit.vcov) == pytest.approx(R["firth"]["se"], **CLOSE)
    for k, name in enumerate(("ARM", "BASE")):
        one = fit.coefficient(name)
        found = [math.log(one.low), math.log(one.high), one.p]
        assert found == pytest.approx(R["firth"]["profile"][k], **CLOSE)


@pytest.mark.parametrize("variance", ["ge", "ye"])
def test_reference_standardised_effects(variance: str) -> None:
    made = logistic(FULL, data("patients")).marginal("ARM", variance=variance)
    wanted = R["marginal"][variance]
    assert [m.estimate for m in made.means] == pytest.approx(R["marginal"]["means"], **CLOSE)
    assert [m.se for m in made.means] == pytest.approx(wanted["means"], **CLOSE)
    found = [made.differences[0].se, made.ratios[0].se, made.odds_ratios[0].se]
    assert found == pytest.approx([wanted["difference"], wanted["ratio"], wanted["odds_ratio"]], **CLOSE)


def test_independent_standardised_without_covariates_are_the_shares() -> None:
    frame = data("patients")
    made = logistic("RESP ~ ARM", frame).marginal("ARM")
    shares = frame.group_by("ARM", maintain_order=True).agg(pl.col("RESP").mean())["RESP"].to_list()
    assert [m.estimate for m in made.means] == pytest.approx(shares)
    assert made.means[0].se == pytest.approx(math.sqrt(shares[0] * (1 - shares[0]) / 80))


def test_independent_two_answers_in_order_are_logistic() -> None:
    one = proportional_odds("RESP ~ ARM + BASE", data("patients"))
    other = logistic("RESP ~ ARM + BASE", data("patients"))
    assert one.beta.tolist() == pytest.approx(other.beta[1:].tolist(), rel=1e-8)
    assert errors(one.vcov) == pytest.approx(errors(other.vcov)[1:], rel=1e-8)
    assert not one.proportional.estimable


def test_property_separation_is_told_and_firth_is_finite() -> None:
    fit = logistic("RARE ~ ARM + BASE", data("patients"))
    assert fit.status is Status.BOUNDARY
    assert "ARM[T.b]" in fit.coefficient("ARM").reason
    assert logistic("RARE ~ ARM + BASE", data("patients"), firth=True).status is Status.OK


# -- ordered answers, counts, rates --------------------


def test_reference_proportional_odds() -> None:
    fit = proportional_odds("GRADE ~ ARM + BASE", data("patients"))
    assert [*fit.beta, *fit.cuts] == pytest.approx(R["polr"]["par"], **CLOSE)
    assert [*errors(fit.vcov), *fit.cuts_se] == pytest.approx(R["polr"]["se"], **CLOSE)
    assert fit.loglik == pytest.approx(R["polr"]["loglik"], **CLOSE)
    assert fit.proportional.statistic == pytest.approx(R["proportional"], **CLOSE)


def test_reference_poisson() -> None:
    fit = count_regression("EVENTS ~ ARM + BASE", data("patients"), model="poisson", exposure="WEEKS")
    wanted = R["poisson"]
    assert fit.beta.tolist() == pytest.approx(wanted["beta"], **CLOSE)
    assert errors(fit.vcov) == pytest.approx(wanted["se"], **CLOSE)
    assert [fit.loglik, fit.dispersion] == pytest.approx([wanted["loglik"], wanted["dispersion"]], **CLOSE)
    assert "2.48 times as much as Poisson's" in str(fit)
    formula = "EVENTS ~ ARM + BASE + offset(log(WEEKS))"
    quasi = count_regression(formula, data("patients"), model="quasi-poisson")
    assert errors(quasi.vcov) == pytest.approx(
        (np.array(wanted["se"]) * math.sqrt(wanted["dispersion"])).tolist(), **CLOSE
    )
    robust = count_regression(formula, data("patients"), model="poisson", vcov="HC0")
    assert errors(robust.vcov) == pytest.approx(wanted["HC0"], **CLOSE)


def test_reference_negative_binomial() -> None:
    fit = count_regression("EVENTS ~ ARM + BASE", data("patients"), exposure="WEEKS")
    wanted = R["negative_binomial"]
    assert fit.beta.tolist() == pytest.approx(wanted["beta"], **CLOSE)
    assert errors(fit.vcov) == pytest.approx(wanted["se"], **CLOSE)
    found = [fit.theta, fit.theta_se, fit.loglik]
    assert found == pytest.approx([wanted["theta"], wanted["theta_se"], wanted["loglik"]], rel=1e-6)


def test_reference_rates() -> None:
    made = rates(data("patients"), events="EVENTS", exposure="WEEKS", arm="ARM")
    one = made.arms[0]
    assert [one.rate, one.low, one.high] == pytest.approx(R["rates"]["a"], **CLOSE)
    found = [made.ratio.estimate, made.ratio.low, made.ratio.high, made.ratio.p]
    assert found == pytest.approx(R["rates"]["ratio"], **CLOSE)
    d = made.difference
    assert [d.estimate, d.low, d.high, d.statistic] == pytest.approx(R["rates"]["difference"], **CLOSE)


def test_property_rates_where_events_are_lacking() -> None:
    frame = pl.DataFrame({"N": [0, 0, 2, 1], "T": [1.0, 2, 1, 2], "ARM": list("aabb")})
    made = rates(frame, events="N", exposure="T", arm="ARM")
    assert made.ratio.status is Status.ONE_ARM_EVENTS
    assert made.difference.low < made.difference.estimate < made.difference.high
    nobody = rates(frame.with_columns(N=0), events="N", exposure="T", arm="ARM")
    assert {e.status for e in nobody.estimates} == {Status.NO_EVENTS}
    assert not count_regression("N ~ ARM", frame, exposure="T").coefficient("ARM").estimable


# -- repeated answers and events --------------------


@pytest.mark.parametrize("correlation", ["independence", "exchangeable", "unstructured"])
@pytest.mark.parametrize(("family", "response"), [("binomial", "YES"), ("poisson", "MANY"), ("gaussian", "VALUE")])
def test_reference_gee(family: str, response: str, correlation: str) -> None:
    frame = data("visits")
    if correlation == "unstructured":
        frame = frame.filter(pl.len().over("ID") == 4)
    formula = f"{response} ~ ARM + X + VISIT"
    fit = gee(formula, frame, subject="ID", visit="VISIT", family=family, correlation=correlation)
    wanted = reference("gee")[family][correlation]
    assert fit.beta.tolist() == pytest.approx(wanted["beta"], **CLOSE)
    assert fit.phi == pytest.approx(wanted["phi"], **CLOSE)
    assert fit.alpha.ravel().tolist() == pytest.approx(np.array(wanted["R"]).ravel().tolist(), **CLOSE)
    for name, covariance in fit.covariances.items():
        assert errors(covariance) == pytest.approx(wanted[name.replace("-", "_")], **CLOSE)


def test_reference_mancl_derouen_is_cr3() -> None:
    fit = gee("YES ~ ARM + X + VISIT", data("visits"), subject="ID", correlation="independence", vcov="mancl-derouen")
    assert errors(fit.vcov) == pytest.approx(reference("gee")["CR3"], **CLOSE)
    assert fit.n_subjects == 30


def test_independent_ar1_is_the_power_of_its_neighbour() -> None:
    fit = gee("VALUE ~ ARM", data("visits"), subject="ID", visit="VISIT", family="gaussian", correlation="ar1")
    assert fit.alpha[0, 3] == pytest.approx(fit.alpha[0, 1] ** 3)
    between = gee("VALUE ~ ARM", data("visits"), subject="ID", family="gaussian", df="between").coefficient("ARM")
    assert between.df == 28.0


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_reference_andersen_gill_and_lwyy(ties: str) -> None:
    made = recurrent("Surv(START, STOP, EVENT) ~ ARM + X", data("recurrences"), subject="ID", ties=ties)
    wanted = reference("recurrent")[ties]
    assert math.log(made.rate_ratio.estimate) == pytest.approx(wanted["beta"][0], **CLOSE)
    assert [made.rate_ratio.se, made.covariates[0].se] == pytest.approx(wanted["robust"], **CLOSE)
    assert made.andersen_gill.se == pytest.approx(wanted["se"][0], **CLOSE)


def test_reference_mean_cumulative_functions() -> None:
    made = recurrent("Surv(START, STOP, EVENT) ~ ARM", data("recurrences"), subject="ID", at=[10, 20, 30])
    for curve in made.arms:
        wanted = reference("recurrent")["mean"][curve.arm]
        assert [curve.at(t)[0] for t in (10, 20, 30)] == pytest.approx(wanted["mean"], **CLOSE)
        assert [curve.at(t)[1] for t in (10, 20, 30)] == pytest.approx(wanted["se"], **CLOSE)
    assert made.differences[1].estimate == pytest.approx(made.arms[1].at(20)[0] - made.arms[0].at(20)[0])
    assert (
        not recurrent("Surv(START, STOP, EVENT) ~ ARM", data("recurrences"), subject="ID", at=99)
        .differences[0]
        .estimable
    )


@pytest.mark.parametrize(
    "call",
    [
        lambda d, v, e: logistic("GRADE ~ ARM", d),
        lambda d, v, e: logistic("RESP ~ ARM + us(BASE | ID)", d),
        lambda d, v, e: logistic("RESP ~ ARM", d, interval="profile", vcov="HC3"),
        lambda d, v, e: logistic("RESP ~ ARM + I(BASE + 0) + BASE", d),
        lambda d, v, e: logistic("RESP ~ ARM", d).marginal("BASE"),
        lambda d, v, e: logistic("RESP ~ ARM", d).marginal("ARM", control="q"),
        lambda d, v, e: count_regression("BASE ~ ARM", d),
        lambda d, v, e: count_regression("EVENTS ~ ARM", d, exposure="BASE"),
        lambda d, v, e: count_regression("EVENTS ~ ARM", d, model="hurdle"),
        lambda d, v, e: rates(d, events="BASE", exposure="WEEKS", arm="ARM"),
        lambda d, v, e: proportional_odds("log(GRADE) ~ ARM", d),
        lambda d, v, e: gee("YES ~ ARM", v, subject="ID", correlation="ar1"),
        lambda d, v, e: gee("MANY ~ ARM", v, subject="ID"),
        lambda d, v, e: gee("YES ~ ARM", pl.concat([v, v]), subject="ID", visit="VISIT"),
        lambda d, v, e: recurrent("Surv(STOP, EVENT) ~ ARM", e, subject="ID"),
        lambda d, v, e: recurrent("Surv(START, STOP, EVENT) ~ ARM", pl.concat([e, e]), subject="ID"),
    ],
)
def test_property_what_cannot_be_done_is_named(call: Any) -> None:
    with pytest.raises((DataError, EstimationError)) as caught:
        call(data("patients"), data("visits"), data("recurrences"))
    assert isinstance(caught.value, EquipoiseError)
    assert caught.value.hint


# -- by simulation --------------------


def test_simulation_logistic_ordinal_and_negative_binomial_hold_their_levels() -> None:
    """Trials of 120 patients, effect 0.6: 95 % limits hold it within four Monte Carlo errors (0.7 and 1.5 points)."""
    g = np.random.default_rng(5)
    n, arm = 120, np.arange(120) % 2
    held: dict[str, list[bool]] = {"logistic": [], "ordinal": [], "counts": []}
    for k in range(1000):
        x = np.column_stack([np.ones(n), arm, g.normal(size=n)])
        latent = x @ np.array([-0.3, 0.6, 0.4]) + g.logistic(size=n)
        made = glm.fit(Problem(x, (latent > 0).astype(float), np.zeros(n), "binomial"))
        held["logistic"].append(abs(made.beta[1] - 0.6) < 1.96 * math.sqrt(made.covariance[1, 1]))
        grade = np.digitize(latent, [-1.0, 0.5, 1.5]).astype(np.int64)
        par, information, _, _ = ordinal.fit(x[:, 1:], grade, 4)
        held["ordinal"].append(abs(par[0] - 0.6) < 1.96 * math.sqrt(np.linalg.inv(information)[0, 0]))
        if k < 200:
            counts = g.poisson(np.exp(0.5 + x @ np.array([0.0, 0.6, 0.4])) * g.gamma(2.0, 0.5, n)).astype(float)
            found = glm.negative_binomial(Problem(x, counts, np.zeros(n), "negative-binomial"))
            held["counts"].append(abs(found.beta[1] - 0.6) < 1.96 * math.sqrt(found.covariance[1, 1]))
    for name, all_ in held.items():
        assert np.mean(all_) == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / len(all_))), name


@pytest.mark.slow
def test_simulation_corrections_hold_the_level_with_few_patients() -> None:
    """16 patients, four visits: the sandwich refuses too often, Mancl and DeRouen's with t does not (error 1.0)."""
    g = np.random.default_rng(8)
    trials, refused = 500, {"robust": 0, "mancl-derouen": 0}
    rows = [(i, v, "ab"[i % 2]) for i in range(16) for v in range(4)]
    frame = pl.DataFrame(rows, schema=["ID", "V", "ARM"], orient="row")
    for _ in range(trials):
        y = np.repeat(g.normal(size=16), 4) + g.normal(size=64)
        for vcov, df in (("robust", "normal"), ("mancl-derouen", "between")):
            fit = gee("Y ~ ARM", frame.with_columns(Y=y), subject="ID", family="gaussian", vcov=vcov, df=df)
            refused[vcov] += fit.coefficient("ARM").p < 0.05
    assert refused["robust"] / trials > 0.06
    assert refused["mancl-derouen"] / trials <= 0.08


def test_property_estimating_equations_that_run_away_say_so() -> None:
    """Answers that are alike within a patient, and an offset that is not: the steps end where nothing can be solved."""
    g = np.random.default_rng(1)
    data = pl.DataFrame(
        {
            "ID": [f"S{i // 3}" for i in range(90)],
            "W": g.normal(size=90),
            "A": ["ab"[(i // 3) % 2] for i in range(90)],
            "E": np.r_[np.ones(60), np.zeros(30)],
        }
    )
    fit = gee("E ~ A + offset(W)", data, subject="ID")
    assert not fit.estimates[0].estimable
    assert "did not converge" in fit.estimates[0].reason
