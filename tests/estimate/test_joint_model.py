"""Joint models: against the exact likelihood in R, identities and closed forms, and where data tell nothing."""

from __future__ import annotations

import math
from typing import Any

import joint_model_cases as cases
import numpy as np
import polars as pl
import pytest
from scipy import integrate as scipy_integrate
from scipy import optimize

from equipoise.errors import DataError, EstimationError
from equipoise.estimate.fit import COLUMNS
from equipoise.estimate.joint_model import disease_rate_ratio, joint_model
from equipoise.estimate.joint_model.association import read_associations
from equipoise.estimate.joint_model.batch import joint_model_batch, rate_ratio_batch
from equipoise.estimate.joint_model.hazard import Baseline, nodes, with_events
from equipoise.estimate.joint_model.kernels.integral import integrate
from equipoise.estimate.joint_model.lag import lag_profile
from equipoise.estimate.joint_model.likelihood import rule
from equipoise.estimate.joint_model.optimise import maximise, start
from equipoise.estimate.linear.slope import slope
from equipoise.types import FloatArray, Status


def simulated(
    n: int = 150, seed: int = 5, alpha: float = -0.15, gamma: float = 0.0, effect: float = 0.1, censor: float = 52.0
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Patients with visits every 8 weeks, function that falls, and a hazard that depends on its value."""
    g = np.random.default_rng(seed)
    b = g.multivariate_normal([0.0, 0.0], [[16.0, 0.2], [0.2, 0.04]], n)
    arm = np.arange(n) % 2
    level, rate = 38.0 + b[:, 0], -0.3 + effect * arm + b[:, 1]
    target = g.exponential(size=n)
    base = np.exp(math.log(0.02) - alpha * 38.0 + gamma * arm)
    # the time at which the cumulative hazard of a straight course reaches the target
    k = alpha * rate
    inside = 1.0 + k * target / (base * np.exp(alpha * level))
    with np.errstate(invalid="ignore", divide="ignore"):
        time = np.where(inside > 0.0, np.log(np.maximum(inside, 1e-300)) / k, np.inf)
    event = time <= censor
    time = np.minimum(time, censor)
    names = [f"P{i:03d}" for i in range(n)]
    people = pl.DataFrame({"id": names, "time": time, "event": event.astype(int), "arm": ["pd"[a] for a in arm]})
    rows = [
        (names[i], float(w), "pd"[arm[i]], float(level[i] + rate[i] * w + 2.0 * g.normal()))
        for i in range(n)
        for w in range(0, 53, 8)
        if w < time[i] or w == 0
    ]
    return pl.DataFrame(rows, schema=["id", "week", "arm", "y"], orient="row"), people


MARKER, EVENTS = "y ~ week * arm + (week | id)", "Surv(time, event) ~ arm"

# --- against R ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", cases.CASES)
def test_reference_exact_likelihood(case: str) -> None:
    for found in cases.comparisons(case):
        assert found.passed, found
    fit = cases.fitted(case)
    assert fit.status is Status.OK
    assert abs(fit.optimum.quadrature) < 1e-6
    assert fit.optimum.gradient < 1e-3


@pytest.mark.parametrize("case", cases.CASES)
def test_reference_score_at_the_optimum_of_r(case: str) -> None:
    """B4: the score is the derivative of the log-likelihood, and vanishes where R stopped."""
    model, theta = cases.fitted(case).likelihood, np.array(cases.reference(case)["parameters"])
    score = model.evaluate(theta, 31)[1].sum(axis=0)
    se = cases.fitted(case).se
    assert np.abs(score * se).max() < 1e-3
    for j in range(len(theta)):
        step = np.zeros_like(theta)
        step[j] = 1e-3 * se[j]
        slope_ = (model.value(theta + step, 31) - model.value(theta - step, 31)) / (2.0 * step[j])
        assert slope_ * se[j] == pytest.approx(score[j] * se[j], abs=2e-5)


def test_reference_weibull_is_at_least_as_good_as_jm() -> None:
    """JM stops short of the optimum; the exact one is above, at about the same place."""
    wanted = cases.parity.reference("joint_model")["cases"]["aids_weibull_fine"]
    fit = joint_model(cases.MARKER["aids"], cases.EVENTS["aids"], *cases.data("aids"), baseline="weibull")
    assert wanted["logLik"] - 1e-3 < fit.loglik < wanted["logLik"] + 0.02
    assert fit.theta[fit.place("value")] == pytest.approx(wanted["alpha"], abs=0.03 * 0.036)
    assert fit.theta[fit.place("shape - 1")] + 1.0 == pytest.approx(wanted["sigma_t"], abs=2e-3)


def test_reference_bayes_agrees() -> None:
    for name in ("aids", "pbc2"):
        table = cases.parity.reference("joint_model_bayes")["cases"][name]["survival"]
        row = table["values"][-1]
        fit = joint_model(cases.MARKER[name], cases.EVENTS[name], *cases.data(name), baseline="bspline")
        assert abs(fit.theta[fit.place("value")] - row[0]) < 0.25 * row[1]


def test_reference_jmbayes2_article_on_pbc2() -> None:
    """B5 and B6: value, and value with slope of a natural spline, on death or transplantation."""
    long, people = cases.data("pbc2")
    smooth: dict[str, Any] = {"baseline": "bspline"}  # JMbayes2's baseline hazard is a spline too
    one = joint_model("log(serBilir) ~ year * sex + (year | id)", "Surv(years, gone) ~ sex", long, people, **smooth)
    assert abs(one.theta[one.place("value")] - 1.2433) < 0.1 * 0.0847
    female = -one.theta[one.place("hazard: sex[T.male]")]
    assert abs(female - -0.1581) < 0.1 * 0.2717
    # a piecewise constant baseline comes to the same as its intervals grow many
    formulas = "log(serBilir) ~ year * sex + (year | id)", "Surv(years, gone) ~ sex"
    for knots, within in ((6, 0.2), (20, 0.1)):
        steps = joint_model(*formulas, long, people, knots=knots)
        assert abs(steps.theta[steps.place("value")] - 1.2433) < within * 0.0847
        assert abs(steps.theta[steps.place("hazard: sex[T.male]")] - 0.1581) < within * 0.2717
    both = joint_model(
        "log(serBilir) ~ ns(year, 2) * sex + (ns(year, 2) | id)",
        "Surv(years, gone) ~ sex",
        long,
        people,
        association="value + slope",
        **smooth,
    )
    assert both.converged
    assert abs(both.theta[both.place("value")] - 1.2224) < 0.3 * 0.1054
    assert abs(both.theta[both.place("slope")] - 2.9624) < 0.3 * 0.6749


def test_property_value_slope_and_area_differ() -> None:
    """B11: three associations, three answers."""
    found = [
        joint_model(cases.MARKER["pbc2"], cases.EVENTS["pbc2"], *cases.data("pbc2"), association=one)
        for one in ("value", "slope", "area")
    ]
    assert all(fit.converged for fit in found)
    values = [fit.loglik for fit in found]
    assert min(abs(a - b) for i, a in enumerate(values) for b in values[:i]) > 1.0


# --- identities -----------------------------------------------------------------------------------------------------


def test_independent_without_association_two_models_apart() -> None:
    """B3: the mixed model and the piecewise exponential model, to 1e-9."""
    name = "aids"
    long, people = cases.data(name)
    knots = cases.reference("aids_piecewise")["knots"]
    fit = joint_model(cases.MARKER[name], cases.EVENTS[name], long, people, knots=knots, held={"value": 0.0})
    apart = slope(cases.MARKER[name], long, reml=False, df="satterthwaite").loglik
    time, event = people["Time"].to_numpy(), people["death"].to_numpy().astype(float)
    x = (people["drug"] == "ddI").to_numpy().astype(float)
    edges = np.array([0.0, *knots, np.inf])
    risk = np.clip(np.minimum(time[:, None], edges[1:]) - edges[:-1], 0.0, None)
    place = np.searchsorted(knots, time, side="left")

    def negative(theta: FloatArray) -> float:
        log_hazard = theta[place] + theta[-1] * x
        return -float(event @ log_hazard - ((risk @ np.exp(theta[:-1])) * np.exp(theta[-1] * x)).sum())

    best = optimize.minimize(
        negative, np.append(np.full(len(knots) + 1, -2.5), 0.0), method="BFGS", options={"gtol": 1e-7}
    )
    assert fit.loglik == pytest.approx(apart - best.fun, abs=1e-7)


@pytest.mark.parametrize(("d", "k"), [(1, 21), (2, 21), (3, 15)])
def test_independent_integral_and_expectations(d: int, k: int) -> None:
    """Against sums over a fine grid."""
    g = np.random.default_rng(d)
    j = 4
    root = g.normal(size=(d, d))
    a, c = (root @ root.T + np.eye(d))[None], g.normal(size=(1, d))
    e0, ze = g.normal(-1.0, 1.0, j), g.normal(0.0, 0.5, (j, d))
    prior, first = np.eye(d), np.array([0, j])
    out: dict[str, Any] = {
        "mode": np.zeros((1, d)), "ll": np.empty(1), "eb": np.empty((1, d)), "ebb": np.empty((1, d, d)),
        "eh": np.empty(j), "ehb": np.empty((j, d)),
    }  # fmt: skip
    gx, lgw = rule(k)
    assert integrate(np.zeros(1, np.int64), a, c, first, e0, ze, prior, gx, lgw, *out.values()) == 0
    line = np.linspace(-7.0, 7.0, 61 if d == 3 else 281)
    grid = np.stack(np.meshgrid(*[line] * d, indexing="ij"), -1).reshape(-1, d)
    hazard = np.exp(e0 + grid @ ze.T)
    log = grid @ c[0] - 0.5 * np.einsum("pr,rs,ps->p", grid, a[0] + prior, grid) - hazard.sum(axis=1)
    weight = np.exp(log - log.max())
    assert out["ll"][0] == pytest.approx(np.log(weight.sum()) + log.max() + d * np.log(line[1] - line[0]), abs=1e-7)
    weight /= weight.sum()
    np.testing.assert_allclose(out["eb"][0], weight @ grid, atol=1e-6)
    np.testing.assert_allclose(out["ebb"][0], np.einsum("p,pr,ps->rs", weight, grid, grid), atol=1e-6)
    np.testing.assert_allclose(out["eh"], weight @ hazard, atol=1e-6)
    np.testing.assert_allclose(out["ehb"], np.einsum("p,pj,pr->jr", weight, hazard, grid), atol=1e-6)


@pytest.mark.parametrize(
    ("association", "baseline", "marker"),
    [
        ("value * arm", "piecewise", MARKER),
        ("slope", "weibull", "y ~ ns(week, 2) * arm + (week | id)"),
        ("area(20)", "bspline", "y ~ I(week^2) + week * arm + (1 | id)"),
        ("lag(8) + effects", "piecewise", MARKER),
    ],
)
def test_property_score_is_the_derivative(association: str, baseline: str, marker: str) -> None:
    long, people = simulated(60)
    fit = joint_model(marker, EVENTS, long, people, association=association, baseline=baseline, knots=2)
    model = fit.likelihood
    theta = start(model)
    theta += (
        0.05
        * np.random.default_rng(1).normal(size=len(theta))
        / np.sqrt(np.maximum((model.evaluate(theta, 15)[1] ** 2).sum(axis=0), 1e-6))
    )
    score = model.evaluate(theta, 31)[1].sum(axis=0)
    size = 1.0 / np.sqrt(np.maximum((model.evaluate(theta, 31)[1] ** 2).sum(axis=0), 1e-6))
    for j in range(len(theta)):
        step = np.zeros_like(theta)
        step[j] = 1e-3 * size[j]
        found = (model.value(theta + step, 31) - model.value(theta - step, 31)) / (2.0 * step[j])
        assert found * size[j] == pytest.approx(score[j] * size[j], abs=1e-4), fit.names[j]


def test_independent_nodes_by_patient_are_enough() -> None:
    """Each patient's integral has the nodes that it needs: all of them with many say the same."""
    fit = joint_model(MARKER, EVENTS, *simulated(80), knots=2, association="slope")
    model, theta = fit.likelihood, fit.theta
    assert model.value(theta, 63) == pytest.approx(fit.loglik, abs=3e-7)
    own = np.where(np.arange(model.n_patients) % 2, 9, 15)
    mixed, scores = model.evaluate(theta, own)
    for k in (9, 15):
        alike, parts = model.evaluate(theta, k)
        np.testing.assert_allclose(mixed[own == k], alike[own == k], rtol=1e-10)
        np.testing.assert_allclose(scores[own == k], parts[own == k], rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("kind", ["piecewise", "weibull", "bspline"])
def test_independent_cumulative_hazard(kind: str) -> None:
    """Nodes of time against adaptive integration."""
    baseline = Baseline(kind, np.array([2.0, 5.0]) if kind != "weibull" else np.zeros(0), 10.0)
    psi = np.linspace(-1.0, 0.5, baseline.width)
    breaks = np.array([2.0, 5.0, 2.5, 7.5])
    unit, time, weight = nodes(np.array([0.0, 1.0]), np.array([9.0, 4.0]), breaks, 10, kind == "weibull")
    hazard = np.exp(weight + baseline.basis(time) @ psi + 0.2 * time)
    for u, (low, high) in enumerate([(0.0, 9.0), (1.0, 4.0)]):
        wanted = scipy_integrate.quad(
            lambda t: math.exp(float(baseline.basis(np.array([t]))[0] @ psi) + 0.2 * t),
            low, high, points=[2.0, 5.0][: 2 if u == 0 else 1], limit=200,
        )[0]  # fmt: skip
        assert hazard[unit == u].sum() == pytest.approx(wanted, rel=1e-7)


def test_property_late_entry_is_conditional_on_being_there() -> None:
    """Entry at 0 for all is no late entry; of later entry the likelihood of a patient is a ratio of two integrals."""
    long, people = simulated(80)
    plain = joint_model(MARKER, EVENTS, long, people, knots=1)
    zero = joint_model(MARKER, "Surv(entry, time, event) ~ arm", long, people.with_columns(entry=pl.lit(0.0)), knots=1)
    assert zero.loglik == pytest.approx(plain.loglik, abs=1e-9)
    late = people.with_columns(entry=pl.col("time") * 0.5)
    fit = joint_model(MARKER, "Surv(entry, time, event) ~ arm", long, late, knots=1)
    assert fit.converged
    # by hand for one patient: the ratio of two integrals over b
    model, setup = fit.likelihood, fit.setup
    ll = model.evaluate(fit.theta, 31)[0]
    i = 3
    who = setup.patients[i]
    d, theta, lay = fit.random_covariance, fit.theta, setup.layout
    mine = long.filter(pl.col("id") == who)
    (entry, time, event) = late.filter(pl.col("id") == who).select("entry", "time", "event").row(0)
    arm = float(mine["arm"][0] == "p")
    beta = theta[lay.beta(0)]
    line = np.linspace(-6.5, 6.5, 301)
    low = np.linalg.cholesky(d)
    plain = np.stack(np.meshgrid(line, line, indexing="ij"), -1).reshape(-1, 2)
    z = plain @ low.T
    w = np.exp(-0.5 * (plain**2).sum(axis=1)) / (2.0 * np.pi) * (line[1] - line[0]) ** 2
    names = dict(zip(setup.markers[0].names, beta, strict=True))
    a0 = names["(Intercept)"] + names["arm[T.p]"] * arm + z[:, 0]
    a1 = names["week"] + names["week:arm[T.p]"] * arm + z[:, 1]
    s = fit.residual_sd[0]
    week, y = mine["week"].to_numpy(), mine["y"].to_numpy()
    density = np.exp(-0.5 * ((y - a0[:, None] - a1[:, None] * week) / s) ** 2).prod(axis=1) / (
        s * math.sqrt(2.0 * math.pi)
    ) ** len(y)
    alpha, gamma = theta[fit.place("value")], theta[fit.place("hazard: arm[T.p]")] * arm
    baseline = setup.baselines[0]
    psi = theta[lay.psis]

    def survival(t: float) -> FloatArray:
        _, at, weight = nodes(np.zeros(1), np.array([t]), baseline.knots, 20, False)
        h = np.exp(weight + baseline.basis(at) @ psi + gamma + alpha * (a0[:, None] + a1[:, None] * at))
        return np.exp(-h.sum(axis=1))

    hazard = np.exp(float(baseline.basis(np.array([time]))[0] @ psi) + gamma + alpha * (a0 + a1 * time))
    wanted = math.log((w * density * survival(time) * hazard**event).sum()) - math.log((w * survival(entry)).sum())
    assert ll[i] == pytest.approx(wanted, abs=1e-6)


def test_property_rows_an_interval_are_the_whole() -> None:
    """A patient cut into intervals with covariates that do not change is the same patient."""
    long, people = simulated(80)
    whole = joint_model(MARKER, EVENTS, long, people, knots=1)
    cut = pl.concat(
        [
            people.with_columns(start=pl.lit(0.0), stop=pl.col("time") / 3.0, event=pl.lit(0)),
            people.with_columns(start=pl.col("time") / 3.0, stop=pl.col("time"), event=pl.col("event").cast(pl.Int32)),
        ],
        how="vertical_relaxed",
    )
    knots = list(whole.setup.baselines[0].knots)
    fit = joint_model(MARKER, "Surv(start, stop, event) ~ arm", long, cut, knots=knots)
    assert fit.loglik == pytest.approx(whole.loglik, abs=1e-7)
    np.testing.assert_allclose(fit.theta, whole.theta, atol=1e-4)


def test_independent_covariates_that_change_with_time_itself() -> None:
    """Without an association the events are a hazard of their own: its integral in closed form, and rows cut finely.

    exp(psi_k + arm (g0 + g1 t)) integrates to differences of exponentials in every interval; a covariate that walks
    along a line, x(t) = dose + rate t, is the limit of rows that have its value at the middle.
    """
    long, people = simulated(60)
    g = np.random.default_rng(8)
    people = people.with_columns(dose=pl.Series(g.normal(size=60)), rate=pl.Series(0.05 * g.normal(size=60)))
    knots = [15.0, 30.0]
    for line, x0, x1 in (
        ("arm * week", (people["arm"] == "p").to_numpy() * 1.0, None),
        ("I(dose + rate * week)", people["dose"].to_numpy(), people["rate"].to_numpy()),
    ):
        fit = joint_model(MARKER, f"Surv(time, event) ~ {line}", long, people, knots=knots, association=None, arm="arm")
        without = joint_model(MARKER, "Surv(time, event) ~ 1", long, people, knots=knots, association=None, arm="arm")
        theta = fit.theta + 0.02 * g.normal(size=len(fit.theta))
        gammas, psi = theta[fit.setup.layout.gammas], theta[fit.setup.layout.psis]
        where = dict(zip(fit.setup.w_names, gammas, strict=True))
        if x1 is None:
            level = where["arm[T.p]"] * x0
            slope = where["week"] + where["arm[T.p]:week"] * x0
        else:
            level, slope = gammas[0] * x0, gammas[0] * x1
        time, event = people["time"].to_numpy(), people["event"].to_numpy()
        wanted = event * (level + slope * time + psi[np.searchsorted(knots, time)])
        for k, (a, b) in enumerate([(0.0, 15.0), (15.0, 30.0), (30.0, np.inf)]):
            end = np.clip(time, a, b)
            wanted = wanted - np.exp(psi[k] + level) * (np.exp(slope * end) - np.exp(slope * a)) / slope
        quiet = theta.copy()
        quiet[fit.setup.layout.gammas], quiet[fit.setup.layout.psis] = 0.0, -200.0
        alone = fit.likelihood.evaluate(quiet, 5)[0] + 200.0 * event
        assert fit.likelihood.evaluate(theta, 5)[0] == pytest.approx(alone + wanted, abs=1e-9), line
        assert fit.converged
        assert fit.loglik >= without.loglik
    # the same covariate in rows of two, then one week, that have its value at the middle
    found = []
    for step in (4.0, 2.0):
        cut = (
            people.with_columns(start=pl.Series([np.arange(0.0, t, step).tolist() for t in people["time"]]))
            .explode("start")
            .with_columns(stop=pl.min_horizontal(pl.col("start") + step, "time"))
            .with_columns(
                event=pl.when(pl.col("stop") == pl.col("time")).then("event").otherwise(0),
                x=pl.col("dose") + pl.col("rate") * 0.5 * (pl.col("start") + pl.col("stop")),
            )
        )  # fmt: skip
        rows = joint_model(MARKER, "Surv(start, stop, event) ~ x", long, cut, knots=knots, arm="arm")
        found.append(abs(rows.theta[rows.place("hazard: x")]))
    walk = joint_model(MARKER, "Surv(time, event) ~ I(dose + rate * week)", long, people, knots=knots, arm="arm")
    at = walk.theta[walk.place("hazard: I(dose + rate * week)")]
    assert abs(found[1] - abs(at)) < 0.05 * walk.se[walk.place("hazard: I(dose + rate * week)")]


def test_property_a_hazard_ratio_that_changes_is_asked_for_at_a_time() -> None:
    long, people = simulated(120)
    fit = joint_model(MARKER, "Surv(time, event) ~ arm * week", long, people, knots=2)
    assert fit.converged
    with pytest.raises(EstimationError, match="changes with 'week'"):
        fit.direct_effect()
    early, late = (fit.direct_effect(at=t) for t in (2.0, 42.0))
    names = dict(zip(fit.names, fit.theta, strict=True))
    ratio = math.log(late.estimate) - math.log(early.estimate)
    assert abs(ratio) == pytest.approx(40.0 * abs(names["hazard: arm[T.p]:week"]), rel=1e-9)
    assert "likelihood ratio on 3 df" in str(fit.joint_test())
    total = fit.total_effect([26.0])
    assert all(np.isfinite(e.estimate) for e in total.estimates)
    # events rows need no column of time, and what they have in one of that name is not used
    wrong = people.with_columns(week=pl.lit(99.0))
    assert joint_model(MARKER, "Surv(time, event) ~ arm * week", long, wrong, knots=2).loglik == fit.loglik
    # the risk to come is that of a hazard that goes on changing
    one = fit.predict(long, people, landmark=8.0, at=[16.0, 32.0], draws=0)
    assert (np.diff(one.risk, axis=1) > 0.0).all()
    with pytest.raises(EstimationError, match="has no categories in the hazard"):
        joint_model(MARKER, "Surv(time, event) ~ arm + C(week)", long, people, knots=2)


def test_property_strata_and_causes() -> None:
    """Two strata that are the same at random; two causes whose likelihoods are apart where nothing links them."""
    long, people = simulated(160, seed=9)
    g = np.random.default_rng(2)
    how = np.where(people["event"].to_numpy() == 1, np.where(g.random(len(people)) < 0.5, "death", "vent"), "alive")
    people = people.with_columns(how=pl.Series(how), site=pl.Series(["x", "x", "y", "y"] * 40))
    strata = joint_model(MARKER, "Surv(time, event) ~ arm + strata(site)", long, people, knots=1)
    assert strata.converged
    assert sum(name.startswith("log hazard") for name in strata.names) == 4
    as_arm = people.with_columns(site="arm")
    told = joint_model(MARKER, "Surv(time, event) ~ arm + strata(site)", long, as_arm, knots=1)
    assert told.status is Status.SINGULAR
    assert "hazard: arm[T.p]" in told.reason
    both = joint_model(MARKER, "Surv(time, how) ~ arm", long, people, censored="alive", association=None, knots=[20.0])
    single = []
    for one in ("death", "vent"):
        own = people.with_columns(event=(pl.col("how") == one).cast(int))
        single.append(joint_model(MARKER, EVENTS, long, own, association=None, knots=[20.0]).loglik)
    marker = slope(MARKER, long, reml=False, df="satterthwaite").loglik
    assert both.loglik - marker == pytest.approx(single[0] + single[1] - 2.0 * marker, abs=1e-6)
    linked = joint_model(MARKER, "Surv(time, how) ~ arm", long, people, censored="alive", knots=1)
    assert {"death: value", "vent: value"} <= set(linked.names)


# --- what a trial asks ----------------------------------------------------------------------------------------------


def test_independent_total_effect_is_the_mean_over_patients() -> None:
    """Standardised survival against plain Monte Carlo from the model."""
    long, people = simulated(150)
    fit = joint_model(MARKER, EVENTS, long, people)
    made = fit.total_effect([20.0, 40.0])
    g = np.random.default_rng(3)
    b = g.multivariate_normal([0.0, 0.0], fit.random_covariance, 200_000)
    names = dict(zip(fit.names, fit.theta, strict=True))
    knots = fit.setup.baselines[0].knots
    psi = fit.theta[fit.setup.layout.psis]
    for arm, label in ((0.0, "d"), (1.0, "p")):
        a0 = names["(Intercept)"] + names["arm[T.p]"] * arm + b[:, 0]
        a1 = names["week"] + names["week:arm[T.p]"] * arm + b[:, 1]
        k = names["value"] * a1
        for t in (20.0, 40.0):
            edges = np.concatenate([[0.0], knots[knots < t], [t]])
            total = 0.0
            for q in range(len(edges) - 1):
                total = (
                    total
                    + np.exp(psi[q] + names["hazard: arm[T.p]"] * arm + names["value"] * a0)
                    * (np.exp(k * edges[q + 1]) - np.exp(k * edges[q]))
                    / k
                )
            wanted = np.exp(-total).mean()
            found = next(e for e in made.estimates if e.name == f"survival, {label} at {t:g}")
            assert found.estimate == pytest.approx(wanted, abs=2.5e-3)
    by = {(k["time"], k["effect"]): e.estimate for k, e in zip(made.keys, made.estimates, strict=True)}
    assert by[20.0, "total"] == pytest.approx(by[20.0, "direct"] + by[20.0, "through the course"], abs=1e-12)
    assert by[20.0, "total"] == pytest.approx(by[20.0, "active"] - by[20.0, "control"], abs=1e-12)


def test_independent_cumulative_incidences_and_survival_make_one() -> None:
    long, people = simulated(160, seed=9)
    g = np.random.default_rng(2)
    how = np.where(people["event"].to_numpy() == 1, np.where(g.random(len(people)) < 0.5, "death", "vent"), "alive")
    people = people.with_columns(how=pl.Series(how))
    fit = joint_model(MARKER, "Surv(time, how) ~ arm", long, people, censored="alive", knots=1)
    parts = [fit.total_effect(40.0, cause=c).estimates[0].estimate for c in ("death", "vent")]
    parts.append(fit.total_effect(40.0, quantity="survival").estimates[0].estimate)
    assert sum(parts) == pytest.approx(1.0, abs=2e-4)


def test_property_questions_of_a_trial() -> None:
    long, people = simulated(150, effect=0.2)
    fit = joint_model(MARKER, EVENTS, long, people)
    slopes = fit.slope_difference()
    assert slopes.estimate == pytest.approx(-fit.theta[fit.place("week:arm[T.p]")] * -1.0)
    direct = fit.direct_effect()
    assert direct.estimate == pytest.approx(math.exp(fit.theta[fit.place("hazard: arm[T.p]")]))
    test = fit.joint_test()
    null = joint_model(MARKER, EVENTS, long, people, held={"week:arm[T.p]": 0.0, "hazard: arm[T.p]": 0.0})
    assert test.statistic == pytest.approx(2.0 * (fit.loglik - null.loglik), abs=1e-5)
    at = fit.course_difference([0.0001, 24.0])
    assert at.estimates[1].estimate - at.estimates[0].estimate == pytest.approx(slopes.estimate * 23.9999)
    held = fit.sensitivity((0.0, 1.0))
    assert held.estimates[1].estimate == pytest.approx(slopes.estimate, rel=1e-4)
    mar = slope(MARKER, long, reml=False, df="satterthwaite")
    place = mar.names.index("week:arm[T.p]")
    assert held.estimates[0].estimate == pytest.approx(mar.optimum.beta[place], rel=1e-3)


# --- the contract of a result ---------------------------------------------------------------------------------------


def test_property_contract() -> None:
    long, people = simulated(100)
    fit = joint_model(MARKER, EVENTS, long, people, knots=2)
    frame = fit.to_frame()
    assert tuple(frame.columns)[-len(COLUMNS) :] == COLUMNS
    assert "largest score" in str(fit)
    assert "error of the quadrature" in str(fit)
    assert fit._repr_html_().startswith("<table")
    assert fit.plot().description
    assert len(fit.random_effects) == 100
    assert len(fit.parameters()) == len(fit.names)
    robust = joint_model(MARKER, EVENTS, long, people, knots=2, robust=True)
    assert robust.loglik == fit.loglik
    assert 0.5 < (robust.se / fit.se).min() < (robust.se / fit.se).max() < 2.5
    one = long.join(people.select("id", "time", "event"), on="id")
    assert joint_model(MARKER, EVENTS, one, knots=2).loglik == pytest.approx(fit.loglik, abs=1e-9)


@pytest.mark.parametrize(
    ("change", "status", "word"),
    [
        ({"people": lambda p: p.with_columns(event=pl.lit(0))}, Status.NO_EVENTS, "no events"),
        (
            {"people": lambda p: p.with_columns(event=pl.when(pl.int_range(len(p)) == 7).then(1).otherwise(0))},
            Status.NOT_IDENTIFIED,
            "1 event for",
        ),
        (
            {"people": lambda p: p.with_columns(event=pl.when(pl.col("arm") == "p").then("event").otherwise(0))},
            Status.ONE_ARM_EVENTS,
            "all events in one arm",
        ),
        ({"long": lambda x: x.filter(pl.col("week") == 0)}, Status.NOT_IDENTIFIED, "no patient has two values"),
        ({"long": lambda x: x.with_columns(y=40.0 - pl.col("week"))}, Status.NO_VARIANCE, "mean course"),
        (
            {"long": lambda x: x.with_columns(y=40.0 - pl.col("week") + (pl.col("week") % 3.0))},
            None,
            "",
        ),
        ({"people": lambda p: p.with_columns(arm=pl.lit("p")), "long": lambda x: x.with_columns(arm=pl.lit("p"))},
         Status.EMPTY_ARM, "everyone has arm p"),
        ({"long": lambda x: x.with_columns(twice=pl.col("week") * 2.0), "marker": "y ~ week + twice + (week | id)"},
         None, ""),
    ],
    ids=["none", "one event", "one arm", "one visit", "on the line", "one trajectory", "one arm only", "aliased"],
)  # fmt: skip
def test_property_degenerate_data_have_a_reason(change: dict[str, Any], status: Status | None, word: str) -> None:
    long, people = simulated(60)
    long = change.get("long", lambda x: x)(long)
    people = change.get("people", lambda x: x)(people)
    if "marker" in change:
        with pytest.raises((DataError, EstimationError), match="changes within"):
            joint_model(change["marker"], EVENTS, long, people)
        return
    fit = joint_model(MARKER, EVENTS, long, people)
    assert not fit.converged
    if status is not None:
        assert fit.status is status
    assert word in fit.reason
    assert fit.reason in str(fit)
    assert all(math.isnan(one.estimate) and one.reason for one in fit.estimates)
    assert not fit.joint_test().estimable if fit.arm and status is not Status.EMPTY_ARM else True


def test_property_five_patients() -> None:
    long, people = simulated(10)
    few = people["id"].to_list()[:5]
    fit = joint_model(MARKER, EVENTS, long.filter(pl.col("id").is_in(few)), people.filter(pl.col("id").is_in(few)))
    assert fit.converged or fit.reason


def test_property_bad_input_is_named() -> None:
    long, people = simulated(30)
    with pytest.raises(EstimationError, match="unknown association 'speed'"):
        joint_model(MARKER, EVENTS, long, people, association="speed")
    with pytest.raises(EstimationError, match="no random part"):
        joint_model("y ~ week", EVENTS, long, people)
    with pytest.raises(DataError, match="no column 'hmm'"):
        joint_model("y ~ week + hmm + (week | id)", EVENTS, long, people)
    changing = long.with_columns(dose=pl.col("week") * 0.5)
    with pytest.raises(EstimationError, match="which column"):
        joint_model("y ~ dose + week + (1 | id)", EVENTS, changing, people)
    with pytest.raises(DataError, match="'dose' changes within patient"):
        joint_model("y ~ dose + week + (week | id)", EVENTS, changing, people)
    with pytest.raises(DataError, match="several rows"):
        joint_model(MARKER, EVENTS, long, pl.concat([people, people]))
    with pytest.raises(EstimationError, match="baseline hazard 'cox'"):
        joint_model(MARKER, EVENTS, long, people, baseline="cox")
    with pytest.raises(EstimationError, match="no parameter 'alpha'"):
        joint_model(MARKER, EVENTS, long, people, held={"alpha": 0.0})
    with pytest.raises(EstimationError, match="lag without its length"):
        read_associations("lag")


def test_property_boundary_is_told() -> None:
    """No random slope in truth: the covariance is singular, and what is gone is named."""
    g = np.random.default_rng(3)
    long, people = simulated(80)
    own = pl.Series(g.normal(0.0, 3.0, 80))[long["id"].rank("dense").cast(pl.Int64) - 1]
    flat = long.with_columns(y=own + pl.Series(g.normal(size=len(long))))
    fit = joint_model(MARKER, EVENTS, flat, people, association=None)
    assert fit.status is Status.BOUNDARY
    assert "singular" in fit.reason
    assert "; week has next to no variance" in fit.reason


@pytest.mark.slow
def test_independent_standard_errors_of_pbc2() -> None:
    """Second differences of the likelihood by another rule: 25 fixed nodes about the mean of b given the marker."""
    wanted, fit = cases.reference("pbc2_piecewise"), cases.fitted("pbc2_piecewise")
    long, people = cases.data("pbc2")
    who = long["id"].to_numpy()
    labels, inverse = np.unique(who, return_inverse=True)
    rows = people["id"].to_list()
    at = [rows.index(label) for label in labels]
    y, t = np.log(long["serBilir"].to_numpy()), long["year"].to_numpy()
    drug = (long["drug"] == "D-penicil").to_numpy().astype(float)
    time, event = people["years"].to_numpy()[at], people["dead"].to_numpy()[at].astype(float)
    treated = (people["drug"] == "D-penicil").to_numpy()[at].astype(float)
    age, knots = people["age"].to_numpy()[at], np.array(wanted["knots"])
    x = np.column_stack([np.ones(len(t)), t, drug, t * drug])
    n, low, high = len(time), np.append(0.0, knots), np.append(knots, np.inf)
    place = np.searchsorted(knots, time, side="left")
    risk = np.clip(np.minimum(time[:, None], high) - low, 0.0, None)
    points, gw = np.polynomial.hermite_e.hermegauss(25)
    k1, k2 = np.tile(points, 25), np.repeat(points, 25)
    lw = np.log(np.outer(gw, gw).ravel() / gw.sum() ** 2)

    def summed(v: FloatArray) -> FloatArray:
        return np.bincount(inverse, v, minlength=n)

    zz = [[summed(np.ones(len(t))), summed(t)], [summed(t), summed(t * t)]]

    def loglik(par: FloatArray) -> float:
        beta, s2, l11, l21, l22 = par[:4], math.exp(2 * par[4]), math.exp(par[5]), par[6], math.exp(par[7])
        inner = np.linalg.inv(np.array([[l11 * l11, l11 * l21], [l11 * l21, l21**2 + l22**2]]))
        p11, p12, p22 = (zz[i][j] / s2 + inner[i, j] for i, j in ((0, 0), (0, 1), (1, 1)))
        det = p11 * p22 - p12**2
        v11, v12, v22 = p22 / det, -p12 / det, p11 / det
        r = y - x @ beta
        c0, c1 = summed(r) / s2, summed(r * t) / s2
        m0, m1 = v11 * c0 + v12 * c1, v12 * c0 + v22 * c1
        normal = -zz[0][0] / 2 * math.log(2 * math.pi * s2) + 0.5 * np.linalg.slogdet(inner)[1] - 0.5 * np.log(det)
        normal = normal - 0.5 * (summed(r * r) / s2 - (m0 * c0 + m1 * c1))
        e11 = np.sqrt(v11)
        e21 = v12 / e11
        e22 = np.sqrt(np.maximum(v22 - e21**2, 0.0))
        a0 = (beta[0] + beta[2] * treated + m0)[:, None] + e11[:, None] * k1
        a1 = (beta[1] + beta[3] * treated + m1)[:, None] + e21[:, None] * k1 + e22[:, None] * k2
        fixed = (par[8] * treated + par[9] * age)[:, None]
        slope_, total = par[10] * a1, np.zeros_like(a0)
        for q in range(len(low)):
            z = slope_ * risk[:, q][:, None]
            small = np.abs(z) < 1e-8
            total += (
                np.exp(par[11 + q] + fixed + par[10] * a0 + slope_ * low[q])
                * risk[:, q][:, None]
                * np.where(small, 1.0 + z / 2.0, np.expm1(z) / np.where(small, 1.0, z))
            )
        log = event[:, None] * (par[11:][place][:, None] + fixed + par[10] * (a0 + a1 * time[:, None])) - total + lw
        top = log.max(axis=1)
        return float((normal + top + np.log(np.exp(log - top[:, None]).sum(axis=1))).sum())

    par, h = np.array(wanted["parameters"]), 0.004 * np.array(wanted["se"])
    p = len(par)
    assert loglik(par) == pytest.approx(wanted["logLik"], abs=1e-7)
    step = np.eye(p) * h
    centre = loglik(par)
    up, down = ([loglik(par + s * step[i]) for i in range(p)] for s in (1.0, -1.0))
    hessian = np.zeros((p, p))
    for i in range(p):
        hessian[i, i] = (up[i] - 2 * centre + down[i]) / h[i] ** 2
        for j in range(i):
            both = loglik(par + step[i] + step[j]) + loglik(par - step[i] - step[j])
            hessian[i, j] = hessian[j, i] = (both - up[i] - up[j] + 2 * centre - down[i] - down[j]) / (2 * h[i] * h[j])
    np.testing.assert_allclose(fit.se, np.sqrt(np.diag(np.linalg.inv(-hessian))), rtol=3e-4)


def test_property_the_search_starts_anywhere() -> None:
    """From the start and from the optimum the same maximum."""
    long, people = simulated(100)
    fit = joint_model(MARKER, EVENTS, long, people, knots=2)
    again = maximise(fit.likelihood, fit.theta + 0.3 * fit.se)
    assert again.loglik == pytest.approx(fit.loglik, abs=1e-8)


# --- one ratio, and many trials -------------------------------------------------------------------------------------


@pytest.mark.parametrize("rates", ["mean", "patients"])
def test_property_rate_ratio_score_and_parts(rates: str) -> None:
    """The score is the derivative; with a ratio each the likelihood is that of marker and events apart."""
    long, people = simulated(120, alpha=-0.15, effect=0.15)
    fit = disease_rate_ratio("y ~ week + (week | id)", EVENTS, long, people, knots=2, rates=rates)
    assert fit.converged
    model, theta = fit.likelihood, fit.apart.theta + 0.02
    score = model.evaluate(theta, 1)[1].sum(axis=0)
    for j in range(len(theta)):
        step = np.zeros_like(theta)
        step[j] = 1e-5
        found = (model.value(theta + step, 1) - model.value(theta - step, 1)) / 2e-5
        assert found == pytest.approx(score[j], abs=1e-3 * max(1.0, abs(score[j])))
    shared, function, survival = (e.estimate for e in fit.estimates)
    assert min(function, survival) <= shared <= max(function, survival)
    # survival alone: the hazard ratio of a model of hazards that knows nothing of the marker
    apart = joint_model("y ~ week + (week | id)", EVENTS, long, people, knots=2, association=None)
    assert survival == pytest.approx(apart.direct_effect().estimate, rel=1e-5)
    test = fit.homogeneity()
    assert test.statistic == pytest.approx(2.0 * (fit.apart.loglik - fit.loglik))
    assert fit.plot().description
    assert "one ratio for both" in str(fit)
    none = disease_rate_ratio("y ~ week + (week | id)", EVENTS, long, people.with_columns(event=pl.lit(0)))
    assert none.status is Status.NO_EVENTS
    with pytest.raises(EstimationError, match="arm in the formula of the marker"):
        disease_rate_ratio("y ~ week * arm + (week | id)", EVENTS, long, people)


def test_property_a_ratio_that_runs_off_is_none() -> None:
    """All events in one arm: the likelihood rises to where the other arm has no disease at all."""
    long, people = simulated(60)
    lopsided = people.with_columns(event=pl.when(pl.col("arm") == "p").then(1).otherwise(0))
    gone = disease_rate_ratio("y ~ week + (week | id)", EVENTS, long, lopsided)
    assert gone.status is Status.BOUNDARY
    assert gone.optimum.flat is None
    assert "runs off" in gone.reason
    assert math.isnan(gone.ratio.estimate)
    y, weeks, arm, end, _ = blocks(long, lopsided)
    batch = rate_ratio_batch(y, weeks, arm, end, (lopsided["event"] == 1).to_numpy()[None])
    assert batch.status.tolist() == [int(Status.BOUNDARY)]
    assert np.isnan(batch.estimate).all()


def blocks(long: pl.DataFrame, people: pl.DataFrame) -> tuple[FloatArray, FloatArray, Any, FloatArray, Any]:
    """One trial as a block."""
    names, weeks = people["id"].to_list(), np.arange(0.0, 53.0, 8.0)
    y = np.full((1, len(names), len(weeks)), np.nan)
    for who, week, value in long.select("id", "week", "y").iter_rows():
        y[0, names.index(who), int(week) // 8] = value
    arm = (people["arm"] == "p").to_numpy().astype(np.int64)
    return y, weeks, arm, people["time"].to_numpy()[None], (people["event"] == 1).to_numpy()[None]


def test_independent_batch_is_the_door() -> None:
    long, people = simulated(108)
    made = joint_model_batch(*blocks(long, people), intervals=4, points=5, steps=(7, 15, 31), test="likelihood ratio")
    fit = joint_model(MARKER, EVENTS, long, people, knots=3)
    assert made.status.tolist() == [0]
    assert made.loglik[0] == pytest.approx(fit.loglik, abs=1e-7)
    names = ("week:arm[T.p]", "hazard: arm[T.p]", "value")
    np.testing.assert_allclose(made.estimate[0], [fit.theta[fit.place(n)] for n in names], atol=1e-6)
    np.testing.assert_allclose(made.se[0], [fit.se[fit.place(n)] for n in names], rtol=1e-3)
    assert made.joint_p[0] == pytest.approx(fit.joint_test().p, rel=1e-3)
    ratio = rate_ratio_batch(*blocks(long, people), intervals=4, points=5)
    door = disease_rate_ratio("y ~ week + (week | id)", EVENTS, long, people, knots=3)
    assert math.exp(ratio.estimate[0]) == pytest.approx(door.ratio.estimate, rel=1e-6)


def test_property_batch_of_trials_that_tell_nothing() -> None:
    long, people = simulated(40)
    y, weeks, arm, end, event = blocks(long, people)
    both = np.concatenate([y, y, np.full_like(y, np.nan)])
    made = joint_model_batch(both, weeks, arm, np.repeat(end, 3, 0), np.concatenate([event, event & False, event]))
    assert made.status.tolist()[1:] == [int(Status.NO_EVENTS), int(Status.NO_DATA)]
    assert np.isnan(made.estimate[1:]).all()
    with pytest.raises(EstimationError, match="do not fit"):
        joint_model_batch(y, weeks[:2], arm, end, event)


def many(trials: int, n: int, *, effect: float, gamma: float, seed: int) -> tuple[Any, ...]:
    """Trials of a straight course with a hazard of its value, of ``n`` patients and visits every 8 weeks to 56."""
    g = np.random.default_rng(seed)
    weeks, arm = np.arange(0.0, 57.0, 8.0), np.arange(n) % 2
    rate = -0.3 + effect * arm + 0.15 * g.normal(size=(trials, n))
    level = 38.0 + 5.0 * g.normal(size=(trials, n))
    y = level[..., None] + rate[..., None] * weeks + 2.0 * g.normal(size=(trials, n, len(weeks)))
    alpha = -0.12
    base = np.exp(math.log(0.006) - alpha * 38.0 + gamma * arm)
    k = alpha * rate
    inside = 1.0 + k * g.exponential(size=(trials, n)) / (base * np.exp(alpha * level))
    with np.errstate(invalid="ignore", divide="ignore"):
        time = np.where(inside > 0.0, np.log(np.maximum(inside, 1e-300)) / k, np.inf)
    end = np.minimum(time, 56.0)
    return np.where(weeks <= end[..., None], y, np.nan), weeks, arm, end, time < 56.0


@pytest.mark.slow
def test_simulation_bias_and_coverage_of_many_trials() -> None:
    truth = np.array([0.1, -0.3, -0.12])
    made = joint_model_batch(*many(500, 200, effect=0.1, gamma=-0.3, seed=21))
    fine = made.status == 0
    assert fine.mean() > 0.99
    estimate, se = made.estimate[fine], made.se[fine]
    error = estimate.std(axis=0, ddof=1) / math.sqrt(fine.sum())
    assert (np.abs(estimate.mean(axis=0) - truth) < 3.0 * error).all()
    covered = (np.abs(estimate - truth) < 1.959964 * se).mean(axis=0)
    assert ((covered > 0.93) & (covered < 0.97)).all()


@pytest.mark.slow
def test_simulation_size_of_the_joint_test() -> None:
    """2,000 trials without an effect: 5 % within Monte Carlo error, by likelihood ratio and by Wald."""
    data = many(2000, 108, effect=0.0, gamma=0.0, seed=33)
    error = 2.0 * math.sqrt(0.05 * 0.95 / 2000)
    for test in ("wald", "likelihood ratio"):
        made = joint_model_batch(*data, test=test)
        fine = np.isfinite(made.joint_p)
        assert fine.mean() > 0.99
        print(test, (made.joint_p[fine] < 0.05).mean(), fine.mean())
        assert abs((made.joint_p[fine] < 0.05).mean() - 0.05) < error


@pytest.mark.slow
def test_simulation_bias_and_coverage_from_the_optimum_of_aids() -> None:
    """B10: 500 data sets drawn from B1's parameters, on the visits and the censoring of aids."""
    wanted = cases.reference("aids_piecewise")
    _, people = cases.data("aids")
    theta, knots = np.array(wanted["parameters"]), np.array(wanted["knots"])
    drug = (people["drug"] == "ddI").to_numpy().astype(float)
    spent = people.filter(pl.col("death") == 0)["Time"].to_numpy()
    n, visits = len(drug), np.array([0.0, 2.0, 6.0, 12.0, 18.0])
    low = np.array([[math.exp(theta[4]), 0.0], [theta[5], math.exp(theta[6])]])
    edges = np.append(np.insert(knots, 0, 0.0), np.inf)
    names = [f"P{i:03d}" for i in range(n)]
    arms = people["drug"].to_list()
    found = []
    for r in range(500):
        g = np.random.default_rng([77, r])
        b = g.normal(size=(n, 2)) @ low.T
        a0, a1 = theta[0] + b[:, 0], theta[1] + theta[2] * drug + b[:, 1]
        target, time = g.exponential(size=n), np.full(n, np.inf)
        k, spentby = theta[8] * a1, np.zeros(n)
        for q in range(len(edges) - 1):
            rate = np.exp(theta[9 + q] + theta[7] * drug + theta[8] * a0 + k * edges[q])
            need = target - spentby
            with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
                step = np.log(np.maximum(1.0 + k * need / rate, 0.0)) / k
                width = edges[q + 1] - edges[q]
                spentby = spentby + rate * (np.exp(k * width) - 1.0) / k if q < len(edges) - 2 else spentby
            hit = np.isinf(time) & (need > 0.0) & np.isfinite(step) & (step <= width)
            time[hit] = edges[q] + step[hit]
        censor = g.choice(spent, n)
        end, event = np.minimum(time, censor), (time <= censor).astype(int)
        y = a0[:, None] + a1[:, None] * visits + math.exp(theta[3]) * g.normal(size=(n, 5))
        at = np.nonzero((visits <= end[:, None]) | (visits == 0.0))
        long = pl.DataFrame(
            {"patient": np.array(names)[at[0]], "obstime": visits[at[1]], "CD4": y[at], "drug": np.array(arms)[at[0]]}
        )
        died = pl.DataFrame({"patient": names, "Time": end, "death": event, "drug": arms})
        # an interval without an event, as is drawn in one data set of twelve, is joined to its neighbour
        own = list(with_events(knots, end[event == 1]))
        fit = joint_model(cases.MARKER["aids"], cases.EVENTS["aids"], long, died, knots=own)
        nothing = np.full(9, np.nan)
        found.append((fit.theta[:9], fit.se[:9]) if fit.converged else (nothing, nothing))
    estimate, se = (np.array([f[i] for f in found]) for i in (0, 1))
    fine = np.isfinite(estimate[:, 0])
    assert fine.mean() > 0.98
    # the covariance's logarithms lean; the named ones count
    main = [0, 1, 2, 3, 7, 8]
    error = estimate[fine][:, main].std(axis=0, ddof=1) / math.sqrt(fine.sum())
    bias = estimate[fine][:, main].mean(axis=0) - theta[main]
    covered = (np.abs(estimate[fine] - theta[:9]) < 1.959964 * se[fine])[:, main].mean(axis=0)
    print(np.round(bias / error, 2), np.round(covered, 3), fine.mean())
    assert (np.abs(bias) < 2.0 * error).all()
    assert ((covered > 0.93) & (covered < 0.97)).all()


# --- prediction -----------------------------------------------------------------------------------------------------


def test_independent_prediction_is_a_ratio_of_integrals() -> None:
    """Against sums over a grid of random effects, for one patient."""
    long, people = simulated(120)
    fit = joint_model(MARKER, EVENTS, long, people, knots=2)
    who = people.filter(pl.col("time") > 24.0)["id"][4]
    mine = long.filter((pl.col("id") == who) & (pl.col("week") <= 16.0))
    made = fit.predict(
        long.filter(pl.col("id") == who), people.filter(pl.col("id") == who), landmark=20.0, at=[30.0, 50.0], draws=20
    )
    line = np.linspace(-6.5, 6.5, 301)
    plain = np.stack(np.meshgrid(line, line, indexing="ij"), -1).reshape(-1, 2)
    b = plain @ np.linalg.cholesky(fit.random_covariance).T
    w = np.exp(-0.5 * (plain**2).sum(axis=1))
    names = dict(zip(fit.names, fit.theta, strict=True))
    arm = float(mine["arm"][0] == "p")
    a0 = names["(Intercept)"] + names["arm[T.p]"] * arm + b[:, 0]
    a1 = names["week"] + names["week:arm[T.p]"] * arm + b[:, 1]
    residual = mine["y"].to_numpy() - a0[:, None] - a1[:, None] * mine["week"].to_numpy()
    w = w * np.exp(-0.5 * (residual / fit.residual_sd[0]) ** 2).prod(axis=1)
    baseline, psi = fit.setup.baselines[0], fit.theta[fit.setup.layout.psis]

    def alive(t: float) -> FloatArray:
        _, at, weight = nodes(np.zeros(1), np.array([t]), baseline.knots, 20, False)
        log = weight + baseline.basis(at) @ psi + names["hazard: arm[T.p]"] * arm
        return np.exp(-np.exp(log + names["value"] * (a0[:, None] + a1[:, None] * at)).sum(axis=1))

    base = (w * alive(20.0)).sum()
    wanted = [1.0 - (w * alive(t)).sum() / base for t in (30.0, 50.0)]
    np.testing.assert_allclose(made.risk[0], wanted, atol=1e-6)
    posterior = w * alive(20.0) / base
    np.testing.assert_allclose(made.course["y"][0], [posterior @ (a0 + a1 * t) for t in (30.0, 50.0)], atol=1e-4)
    assert ((made.low <= made.risk) & (made.risk <= made.high)).all()
    assert len(made.to_frame()) == 2
    assert "Risk after week 20" in made.plot().description
    with pytest.raises(DataError, match="no value of y up to -1"):
        fit.predict(long, people, landmark=-1.0, at=[1.0])
    with pytest.raises(EstimationError, match="after the landmark"):
        fit.predict(long, people, landmark=20.0, at=[10.0])


def test_reference_accuracy_on_pbc2() -> None:
    """B8's counts of who is at risk; the measures are of one marker, and near those of three."""
    long, people = cases.data("pbc2")
    fit = joint_model("log(serBilir) ~ year * sex + (year | id)", "Surv(years, gone) ~ sex + age", long, people)
    made = fit.accuracy(5.0, 8.0, weights="model", folds=1)
    assert (made.at_risk, made.cases, made.censored) == (202, 40, 58)
    assert 0.78 < made.auc < 0.88
    assert made.brier < made.null_brier
    assert 0.05 < made.integrated_brier < 0.10
    assert made.ici == pytest.approx(0.03, abs=0.03)
    assert made.e50 <= made.e90
    assert made.observed[np.argsort(made.risk)[-20:]].mean() > made.observed[np.argsort(made.risk)[:100]].mean()
    honest = fit.accuracy(5.0, 8.0)
    assert honest.folds == 5
    assert abs(honest.auc - made.auc) < 0.05
    assert "cross-validated" in str(honest)
    with pytest.raises(EstimationError, match="another landmark"):
        fit.accuracy(14.0, 14.1)


def test_property_two_markers() -> None:
    """Two markers with four random effects: the hazard of each, and no association is two models apart."""
    long, people = simulated(120)
    g = np.random.default_rng(8)
    long = long.with_columns(z=pl.Series(2.0 + 0.1 * long["week"].to_numpy() + g.normal(size=len(long))))
    level = {who: float(v) for who, v in zip(people["id"], g.normal(size=len(people)), strict=True)}
    rate = {who: 0.05 * float(v) for who, v in zip(people["id"], g.normal(size=len(people)), strict=True)}
    more = pl.Series([level[w] + rate[w] * t for w, t in long.select("id", "week").iter_rows()])
    long = long.with_columns(z=pl.col("z") + more)
    both = [MARKER, "z ~ week + (week | id)"]
    fit = joint_model(both, EVENTS, long, people, association="value(y) + value(z)", knots=1)
    assert fit.converged
    assert {"value(y)", "value(z)"} <= set(fit.names)
    assert abs(fit.theta[fit.place("value(z)")]) < 3.5 * fit.se[fit.place("value(z)")]
    one = joint_model(MARKER, EVENTS, long, people, knots=1)
    assert fit.theta[fit.place("value(y)")] == pytest.approx(one.theta[one.place("value")], abs=0.05)
    assert fit.slope_difference(marker="y").estimable


# --- the lag --------------------------------------------------------------------------------------------------------


def lagged(n: int, lag: float, seed: int, spread: float) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Patients whose hazard depends on the value ``lag`` earlier, and whose slopes differ by ``spread``."""
    g = np.random.default_rng(seed)
    level, rate = 3.0 * g.normal(size=n), spread * g.normal(size=n)
    step = 0.25
    grid = np.arange(0.0, 78.0, step) + step / 2.0
    before = np.maximum(grid - lag, 0.0)
    hazard = 0.01 * np.exp(0.3 * (level[:, None] + rate[:, None] * before))
    total = np.cumsum(hazard * step, axis=1)
    target = g.exponential(size=n)
    place = (total < target[:, None]).sum(axis=1)
    time = np.where(place < len(grid), (place + 0.5) * step, 78.0)
    names = [f"P{i:04d}" for i in range(n)]
    people = pl.DataFrame({"id": names, "time": time, "event": (place < len(grid)).astype(int)})
    rows = [
        (names[i], w, level[i] + rate[i] * w + g.normal())
        for i in range(n)
        for w in np.arange(0.0, 79.0, 8.0)
        if w <= time[i]
    ]
    return pl.DataFrame(rows, schema=["id", "week", "y"], orient="row"), people


def test_simulation_a_lag_is_found_where_slopes_differ() -> None:
    lags = (0.0, 8.0, 16.0, 26.0, 39.0)
    options: dict[str, Any] = {"lags": lags, "knots": [15.0, 30.0, 50.0]}
    long, people = lagged(900, 16.0, 3, 0.25)
    found = lag_profile("y ~ week + (week | id)", "Surv(time, event) ~ 1", long, people, **options)
    assert found.best == 16.0
    assert found.identified
    assert "best lag" in str(found)
    assert len(found.to_frame()) == len(lags)
    # slopes that hardly differ tell nothing of the lag
    long, people = lagged(150, 16.0, 4, 0.02)
    blind = lag_profile("y ~ week + (1 | id)", "Surv(time, event) ~ 1", long, people, **options)
    assert not blind.identified
    with pytest.raises(EstimationError, match="lags"):
        lag_profile("y ~ week + (week | id)", "Surv(time, event) ~ 1", long, people, lags=[8.0, 0.0])


@pytest.mark.slow
def test_simulation_when_a_lag_can_be_told() -> None:
    """Five data sets a cell: patients many, and slopes that differ, or the ends of the lags are not rejected."""
    share: dict[tuple[int, float], float] = {}
    options: dict[str, Any] = {"lags": (0.0, 16.0, 39.0), "knots": [15.0, 30.0, 50.0]}
    for n, spread in ((150, 0.25), (150, 0.05), (450, 0.05), (150, 0.02), (450, 0.02)):
        told = []
        for r in range(5):
            long, people = lagged(n, 16.0, 100 + r, spread)
            found = lag_profile("y ~ week + (week | id)", "Surv(time, event) ~ 1", long, people, **options)
            told.append(found.identified and found.best == 16.0)
        share[n, spread] = float(np.mean(told))
        print(n, spread, share[n, spread], int(people["event"].sum()), flush=True)
    assert share[150, 0.25] >= 0.8
    assert share[150, 0.02] <= 0.4
    assert share[150, 0.02] <= share[450, 0.05]
