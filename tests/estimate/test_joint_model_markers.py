"""Joint models of several markers, of binary and ordinal ones, and Laplace's approximation."""

from __future__ import annotations

from functools import cache
from typing import Any

import joint_model_cases as cases
import numpy as np
import polars as pl
import pytest
from scipy import integrate as scipy_integrate
from scipy import special
from test_joint_model import EVENTS, MARKER, simulated

import parity
from equipoise.errors import DataError, EstimationError
from equipoise.estimate.joint_model import joint_model
from equipoise.estimate.joint_model.fit import JointModelFit
from equipoise.estimate.joint_model.optimise import maximise, start
from equipoise.types import Status


def with_categories(n: int = 60, seed: int = 3) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The simulated patients with a binary and an ordinal marker that follow function."""
    long, people = simulated(n)
    g = np.random.default_rng(seed)
    y = long["y"].to_numpy()
    up = np.where(y + 3.0 * g.normal(size=len(y)) > 32.0, "up", "down")
    stage = np.clip(np.floor((y + 3.0 * g.normal(size=len(y)) - 20.0) / 6.0), 0, 3).astype(int)
    return long.with_columns(able=pl.Series(up, dtype=pl.Enum(["down", "up"])), stage=pl.Series(stage)), people


# --- the approximation and the quadrature ---------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 9])
def test_property_score_of_categories_is_the_derivative(k: int) -> None:
    """Of Laplace's approximation exactly, third derivatives and all; of the quadrature within its error."""
    long, people = with_categories()
    fit = joint_model(
        ["y ~ week * arm + (1 | id)", "able ~ week + (1 | id)", "stage ~ week * arm + (1 | id)"],
        EVENTS, long, people, family=["gaussian", "binary", "ordinal"], knots=2,
    )  # fmt: skip
    model = fit.likelihood
    theta = start(model) + 0.05 * np.random.default_rng(3).normal(size=len(fit.names))
    score = model.evaluate(theta, k)[1].sum(axis=0)
    for j, name in enumerate(fit.names):
        step = np.zeros_like(theta)
        step[j] = 1e-4
        found = (model.value(theta + step, k) - model.value(theta - step, k)) / 2e-4
        assert found == pytest.approx(score[j], abs=1e-4 * max(1.0, abs(score[j]))), name


@pytest.mark.parametrize("penalised", [False, True])
def test_property_the_gradient_is_the_sum_of_the_scores(penalised: bool) -> None:
    long, people = simulated(60)
    late = people.with_columns(
        entry=pl.col("time") * pl.when(pl.int_range(len(people)) % 2 == 0).then(0.5).otherwise(0)
    )
    fit = joint_model(
        MARKER, "Surv(entry, time, event) ~ arm", long, late, knots=2, association="value + slope", penalised=penalised
    )
    theta = fit.theta + 0.1 * fit.se
    np.testing.assert_allclose(
        fit.likelihood.gradient(theta, 9), fit.likelihood.evaluate(theta, 9)[1].sum(axis=0), rtol=1e-8, atol=1e-7
    )


def test_independent_categories_against_integration_by_hand() -> None:
    """One random effect: the likelihood of every patient against adaptive integration."""
    long, people = with_categories(12)
    fit = joint_model("stage ~ week + (1 | id)", "Surv(time, event) ~ 1", long, people, family="ordinal", knots=0)
    theta = np.array([2.5, -0.05, -0.4, 0.3, np.log(1.7), -0.2, -4.0])
    assert fit.names == (
        "(Intercept)", "week", "log step to 2", "log step to 3", "log L11", "value", "log hazard (0, inf]",
    )  # fmt: skip
    ll = fit.likelihood.evaluate(theta, 41)[0]
    cuts = np.array([-np.inf, 0.0, *np.cumsum(np.exp(theta[2:4])), np.inf])
    for i, who in enumerate(fit.setup.patients):
        mine = long.filter(pl.col("id") == who)
        time, event = people.filter(pl.col("id") == who).select("time", "event").row(0)
        week, stage = mine["week"].to_numpy(), mine["stage"].to_numpy()

        def whole(b: float, week: Any = week, stage: Any = stage, time: float = time, event: int = event) -> float:
            x = theta[0] + theta[1] * week + b
            share = special.expit(cuts[stage + 1] - x) - special.expit(cuts[stage] - x)
            k = theta[5] * theta[1]
            rate = np.exp(theta[6] + theta[5] * (theta[0] + b))
            hazard = (rate * np.exp(k * time)) ** event * np.exp(-rate * np.expm1(k * time) / k)
            return float(share.prod() * hazard * np.exp(-0.5 * (b / 1.7) ** 2) / (1.7 * np.sqrt(2.0 * np.pi)))

        wanted = scipy_integrate.quad(whole, -12.0, 12.0, epsabs=0.0, epsrel=1e-10, limit=200, points=[0.0])[0]
        assert ll[i] == pytest.approx(np.log(wanted), abs=1e-7)


def test_property_laplace_is_near_the_quadrature_where_visits_are_many() -> None:
    """The measured marker alone is exact; with the hazard the error is what is told."""
    long, people = simulated(100)
    fit = joint_model(MARKER, EVENTS, long, people, knots=2)
    rough = maximise(fit.likelihood, fit.theta, steps=(1,))
    assert rough.status is Status.OK
    assert abs(rough.loglik - fit.loglik) < 0.2
    assert rough.quadrature == pytest.approx(fit.likelihood.value(rough.theta, 3) - rough.loglik, abs=1e-5)
    assert (np.abs(rough.theta - fit.theta) < 0.1 * fit.se).all()
    apart = joint_model(MARKER, EVENTS, long, people, knots=2, association=None)
    assert apart.likelihood.value(apart.theta, 1) == pytest.approx(apart.loglik, abs=1e-9)


GLMER: dict[str, Any] = {
    # lme4 1.1, glmer(ascites == "Yes" ~ year + sex + (1 | id), pbc2, binomial): logLik, coefficients, deviation
    "one": ("ascites ~ year + sex + (1 | id)", 25, -493.244096, (-4.475539, 0.287558, -0.167943), 2.669197),
    "Laplace": ("ascites ~ year + sex + (1 | id)", 1, -489.757659, (-5.057186, 0.314445, -0.153128), 3.167160),
    "slopes": ("ascites ~ year + sex + (year | id)", 1, -471.549801, (-6.679493, -0.377335, -0.329256), 5.522253),
}


@pytest.mark.parametrize("case", list(GLMER))
def test_reference_glmer(case: str) -> None:
    """The marker alone against lme4: its Laplace, and its quadrature of 25 nodes."""
    formula, nodes, loglik, beta, deviation = GLMER[case]
    long, people = cases.data("pbc2")
    kind = pl.Enum(["male", "female"])  # lme4 1.1 was given sexmale: the sign is turned below
    long, people = (frame.with_columns(pl.col("sex").cast(kind)) for frame in (long, people))
    fit = joint_model(formula, "Surv(years, gone) ~ sex", long, people, association=None, family="binary", knots=[5.0])
    found = maximise(fit.likelihood, start(fit.likelihood), steps=(nodes,))
    assert found.status is Status.OK
    quiet = found.theta.copy()
    lay = fit.setup.layout
    quiet[lay.gammas.start :], quiet[lay.psis] = 0.0, -200.0
    hazards = -200.0 * fit.n_events
    assert fit.likelihood.value(quiet, nodes) - hazards == pytest.approx(loglik, abs=2e-3)
    names = dict(zip(fit.names, found.theta, strict=True))
    male = -names["sex[T.female]"]
    assert names["(Intercept)"] - male == pytest.approx(beta[0], abs=5e-3)
    assert names["year"] == pytest.approx(beta[1], abs=1e-3)
    assert male == pytest.approx(beta[2], abs=2e-3)
    assert np.exp(names["log L11"]) == pytest.approx(deviation, abs=5e-3)


# --- the boundary, and covariances ----------------------------------------------------------------------------------


def test_property_penalised_covariances_stay_inside() -> None:
    """No random slope in truth: the plain search ends on the boundary, the penalised one does not."""
    g = np.random.default_rng(3)
    long, people = simulated(80)
    flat = long.with_columns(y=pl.Series(g.normal(size=len(long))))
    assert joint_model(MARKER, EVENTS, flat, people, association=None).status is Status.BOUNDARY
    fit = joint_model(MARKER, EVENTS, flat, people, association=None, penalised=True)
    assert fit.converged
    assert "penalised log-likelihood" in str(fit)
    assert np.linalg.eigvalsh(fit.random_covariance).min() > 0.0
    # where the data say enough it moves nothing by much
    plain, near = (joint_model(MARKER, EVENTS, long, people, knots=2, penalised=p) for p in (False, True))
    assert (np.abs(plain.theta - near.theta)[:8] < 0.5 * plain.se[:8]).all()


def test_property_markers_apart_are_models_apart() -> None:
    """Independent random effects, the hazard of one marker: the other marker's likelihood is a term of its own."""
    long, people = with_categories()
    both = joint_model(
        [MARKER, "able ~ week + (1 | id)"], EVENTS, long, people, family=["gaussian", "binary"], knots=2,
        association="value(y)", correlated=False,
    )  # fmt: skip
    one = joint_model(MARKER, EVENTS, long, people, knots=2)
    other = joint_model("able ~ week + (1 | id)", EVENTS, long, people, family="binary", knots=2, association=None)
    hazard = joint_model(MARKER, EVENTS, long, people, knots=2, association=None)
    assert both.converged
    # the other marker's own part is what is left when its hazard, which knows no marker, is taken away
    events = hazard.loglik - _marker_alone(hazard)
    assert both.loglik == pytest.approx(one.loglik + other.loglik - events, abs=2e-3)


def _marker_alone(fit: JointModelFit) -> float:
    """The log-likelihood of the marker of a fit without association: without a hazard every event costs 200."""
    quiet = fit.theta.copy()
    quiet[fit.setup.layout.gammas.start :], quiet[fit.setup.layout.psis] = 0.0, -200.0
    return fit.likelihood.value(quiet, 9) + 200.0 * fit.n_events


def test_property_independent_effects_of_a_marker_stay_correlated_with_others() -> None:
    """The covariances named are zero, the others free, and the score is the derivative along the free parameters."""
    long, people = with_categories()
    fit = joint_model(
        [MARKER, "stage ~ week + (week | id)"], EVENTS, long, people, family=["gaussian", "ordinal"], knots=2,
        independent=["y", "stage"], penalised=True,
    )  # fmt: skip
    model, lay = fit.likelihood, fit.setup.layout
    g = np.random.default_rng(4)
    theta = start(model) + 0.1 * g.normal(size=len(fit.names))
    low = lay.factor(theta)
    d = low @ low.T
    assert abs(d[1, 0]) + abs(d[3, 2]) < 1e-12 * np.trace(d)
    assert np.abs(d[2:, :2]).min() > 1e-6 * np.trace(d)
    score = model.evaluate(theta, 1)[1].sum(axis=0)
    for j, name in enumerate(fit.names):
        step = np.zeros_like(theta)
        step[j] = 1e-4
        found = (model.value(theta + step, 1) - model.value(theta - step, 1)) / 2e-4
        assert found == pytest.approx(score[j], abs=2e-4 * max(1.0, abs(score[j]))), name
    with pytest.raises(EstimationError, match="no marker 'Y'"):
        joint_model(MARKER, EVENTS, long, people, independent=["Y"])
    # of one marker it is the model of lme4's ||: one parameter less, and no better
    plain, apart = (joint_model(MARKER, EVENTS, long, people, knots=2, independent=i) for i in ((), "y"))
    assert apart.converged
    assert apart.random_covariance[1, 0] == 0.0
    gradient = apart.likelihood.gradient(apart.theta + 0.1, 9)
    np.testing.assert_allclose(gradient, apart.likelihood.evaluate(apart.theta + 0.1, 9)[1].sum(axis=0), rtol=1e-8)
    assert plain.loglik > apart.loglik
    assert apart.loglik == pytest.approx(joint_model(MARKER, EVENTS, long, people, knots=2, held={"L21": 0.0}).loglik)


def test_property_deviation_is_value_where_the_mean_course_is_flat() -> None:
    """z'b and m(t) differ by a constant where the mean is one: the baseline takes it up."""
    long, people = simulated(80)
    value, deviation = (
        joint_model("y ~ 1 + (week | id)", EVENTS, long, people, knots=2, time="week", association=one)
        for one in ("value", "deviation")
    )
    assert value.loglik == pytest.approx(deviation.loglik, abs=1e-6)
    sloped = [joint_model(MARKER, EVENTS, long, people, knots=2, association=a).loglik for a in ("value", "deviation")]
    assert abs(sloped[0] - sloped[1]) > 1e-3


# --- several markers ------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_reference_competing_risks_of_pbc2() -> None:
    """B7: two markers, death and transplantation, beside JMbayes2's article.

    Its baselines are penalised splines and its estimates posterior means: of death (140 events) ours are within 0.3 of
    its standard deviations, of transplantation (29 events) within one.
    """
    long, people = cases.data("pbc2")
    fit = joint_model(
        ["log(serBilir) ~ poly(year, 2) * drug + (poly(year, 2) | id)", "prothrombin ~ year * drug + (year | id)"],
        "Surv(years, status) ~ age + drug", long, people, censored="alive", baseline="bspline", arm="drug",
    )  # fmt: skip
    assert fit.converged
    wanted = {
        "dead: value(log(serBilir))": (1.4634, 0.1209, 0.3),
        "dead: value(prothrombin)": (0.1524, 0.0459, 0.3),
        "transplanted: value(log(serBilir))": (1.0609, 0.2247, 1.0),
        "transplanted: value(prothrombin)": (-0.0191, 0.1660, 1.0),
    }
    for name, (mean, sd, within) in wanted.items():
        assert abs(fit.theta[fit.place(name)] - mean) < within * sd, name


@cache
def three_markers(independent: tuple[str, ...] = ()) -> Any:
    """The fit of B8."""
    long, people = cases.data("pbc2")
    return joint_model(
        [
            "log(serBilir) ~ ns(year, 3) * sex + (ns(year, 3) | id)",
            "prothrombin ~ ns(year, 2) * sex + (ns(year, 2) | id)",
            "ascites ~ year * sex + (year | id)",
        ],
        "Surv(years, gone) ~ drug + age", long, people,
        family=["gaussian", "gaussian", "binary"], baseline="bspline", arm="drug", penalised=True,
        independent=independent,
    )  # fmt: skip


@pytest.mark.slow
def test_reference_three_markers_of_pbc2() -> None:
    """B8: bilirubin, prothrombin and ascites with nine random effects, predictions at 5 years of the event by 8.

    The covariance of the random effects is on the boundary without a prior, as nlme's too (two splines of prothrombin
    correlated 0.998): JMbayes2's prior keeps it off, ours is half the log-determinant.
    """
    long, people = cases.data("pbc2")
    fit = three_markers()
    assert fit.converged
    made = fit.accuracy(5.0, 8.0, weights="model", folds=1)
    assert (made.at_risk, made.cases, made.censored) == (202, 40, 58)
    assert made.auc == pytest.approx(0.8282, abs=0.015)
    assert made.brier == pytest.approx(0.1242, abs=0.015)
    assert made.integrated_brier == pytest.approx(0.0829, abs=0.015)
    other = fit.accuracy(5.0, 8.0, folds=1)
    assert other.integrated_brier == pytest.approx(0.0841, abs=0.015)
    # what a binary marker's course is: the logit, with no error of measurement
    predicted = fit.predict(long.filter(pl.col("id") == 93), people.filter(pl.col("id") == 93),
                            landmark=5.0, at=[8.0], draws=0)  # fmt: skip
    assert np.isnan(predicted.value_sd["ascites"]).all()
    assert np.isfinite(predicted.course["ascites"]).all()


@pytest.mark.slow
def test_reference_three_markers_with_independent_effects() -> None:
    """B8's second model: no covariance within bilirubin or prothrombin (``pdDiag``), all others free.

    The article's AUC in the data of the fit; its 5-fold one, 0.8183, is of folds that are not known.
    """
    made = three_markers(("log(serBilir)", "prothrombin")).accuracy(5.0, 8.0, weights="model", folds=1)
    assert made.auc == pytest.approx(0.8175, abs=0.015)


@pytest.mark.slow
@pytest.mark.xfail(strict=True, reason="our ICI is 0.052; what was looked at is in docs/methods/joint-models.md")
def test_reference_calibration_of_three_markers_is_the_articles() -> None:
    """B8's ICI, as the article has it; not reached. By patients drawn again its own standard deviation is 0.020."""
    assert three_markers().accuracy(5.0, 8.0, weights="model", folds=1).ici == pytest.approx(0.0298, abs=0.015)


def test_reference_heart_valves() -> None:
    """B9: joineRML's two markers of heart valves; the hazard depends on deviations from the mean course."""
    path = parity.data_file("heart_valve.csv")
    frame = pl.read_csv(path, null_values="NA").drop_nulls(["log.grad", "log.lvmi"])
    people = frame.unique("num", keep="first", maintain_order=True)
    fit = joint_model(
        ["`log.grad` ~ time + sex + hs + (1 | num)", "`log.lvmi` ~ time + sex + (time | num)"],
        "Surv(fuyrs, status) ~ age", frame, people, association="deviation", baseline="piecewise", time="time",
    )  # fmt: skip
    names = ("hazard: age", "deviation(log.grad)", "deviation(log.lvmi)")
    np.testing.assert_allclose([fit.theta[fit.place(n)] for n in names], [0.1088, 1.5183, 0.7971], rtol=0.05)


# --- bad input and degenerate data ----------------------------------------------------------------------------------


def test_property_categories_that_cannot_be_used_are_named() -> None:
    long, people = with_categories(30)
    with pytest.raises(EstimationError, match="unknown family 'poisson'"):
        joint_model("able ~ week + (1 | id)", EVENTS, long, people, family="poisson")
    with pytest.raises(EstimationError, match="1 families of 2 markers"):
        joint_model(["able ~ week + (1 | id)", MARKER], EVENTS, long, people, family=["binary"])
    with pytest.raises(DataError, match="binary marker 'stage' has 4 values"):
        joint_model("stage ~ week + (1 | id)", EVENTS, long, people, family="binary")
    with pytest.raises(EstimationError, match="function of a marker of categories"):
        joint_model("log(stage) ~ week + (1 | id)", EVENTS, long, people, family="ordinal")
    with pytest.raises(DataError, match=r"has [0-9]+ values"):
        joint_model("y ~ week + (1 | id)", EVENTS, long, people, family="ordinal")
    with pytest.raises(EstimationError, match="baseline hazard of 'vent'"):
        joint_model(MARKER, EVENTS, long, people, baseline={"vent": "weibull"})
    same = long.with_columns(able=pl.lit("up"))
    fit = joint_model("able ~ week + (1 | id)", EVENTS, same, people, family="binary")
    assert fit.status is Status.NO_VARIANCE
    assert "one category" in fit.reason
    new = long.with_columns(able=pl.lit("sideways"))
    known = joint_model("able ~ week + (1 | id)", EVENTS, long, people, family="binary", knots=1)
    with pytest.raises(DataError, match="'able' is 'sideways'"):
        known.predict(new, people, landmark=4.0, at=[20.0])
