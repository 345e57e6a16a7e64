"""Pictures of a joint model: what they show is what the model says."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from test_joint_model import EVENTS, MARKER, simulated

from equipoise import plot
from equipoise.errors import DataError, EstimationError
from equipoise.estimate.joint_model import joint_model


def test_independent_courses_and_residuals_are_those_of_the_model() -> None:
    long, people = simulated(100, effect=0.2)
    fit = joint_model(MARKER, EVENTS, long, people, knots=2)
    told = fit.courses(most=1000)
    assert len(told["ends"]) == 100
    assert sum(row["event"] for row in told["ends"]) == fit.n_events
    # a patient's course by hand, from the expected random effects
    effects = pl.DataFrame(fit.random_effects)
    who = effects["id"][7]
    b0, b1 = effects.filter(pl.col("id") == who).select("(Intercept)", "week").row(0)
    arm = float(people.filter(pl.col("id") == who)["arm"][0] == "p")
    beta = dict(zip(fit.names, fit.theta, strict=True))
    end = next(row for row in told["ends"] if row["patient"] == who)
    level = beta["(Intercept)"] + beta["arm[T.p]"] * arm + b0
    rate = beta["week"] + beta["week:arm[T.p]"] * arm + b1
    assert end["y"] == pytest.approx(level + rate * end["x"], abs=1e-5)
    assert told["means"][0]["arm"] == "d"
    # residuals: their squares are what the residual variance is made of, less what the random effects took up
    residuals = np.array([r for _, r in fit.marker_residuals()[0]])
    assert len(residuals) == len(long)
    assert 0.6 < residuals.std() < 1.0
    mine = long.filter(pl.col("id") == who)
    wanted = (mine["y"].to_numpy() - level - rate * mine["week"].to_numpy()) / fit.residual_sd[0]
    place = [i for i, name in enumerate(long["id"]) if name == who]
    np.testing.assert_allclose(np.sort(residuals[place]), np.sort(wanted), atol=1e-5)
    # at the maximum the expected cumulative hazards add up to the events
    total = sum(np.diff([0.0, *(h for _, h in fit.event_residuals())]))
    assert total > 0.0
    fit.likelihood.evaluate(fit.theta, fit.optimum.points)
    assert fit.likelihood.eh.sum() == pytest.approx(fit.n_events, rel=1e-4)


def test_property_pictures_tell_their_numbers() -> None:
    long, people = simulated(80, effect=0.2)
    fit = joint_model(MARKER, EVENTS, long, people, knots=1)
    drawn = plot.trajectories(fit, most=30)
    assert "30 drawn" not in drawn.description
    assert sum(row["event"] for row in drawn.table) == sum(row["event"] for row in fit.courses(most=30)["ends"])
    assert "<svg" in drawn.svg()
    for kind, word in (("marker", "residual standard deviations"), ("events", "Cox-Snell")):
        made = plot.joint_residuals(fit, kind=kind)
        assert word in made.description
        assert "<svg" in made.svg()
    answer = fit.total_effect([10.0, 20.0])
    parts = plot.effect_parts(answer)
    last = answer.estimates[-3]
    assert f"total {100 * last.estimate:+.1f}".replace("-", "−") in parts.description
    assert "through the course" in parts.description
    with pytest.raises(DataError, match="at 1 times"):
        plot.effect_parts(fit.total_effect(20.0))
    with pytest.raises(DataError, match="unknown kind"):
        plot.joint_residuals(fit, kind="deviance")
    with pytest.raises(EstimationError, match="no marker"):
        plot.trajectories(fit, marker="z")
    nothing = joint_model(MARKER, EVENTS, long, people.with_columns(event=pl.lit(0)))
    with pytest.raises(DataError, match="no events"):
        plot.trajectories(nothing)
