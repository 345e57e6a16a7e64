"""Pictures of a fit from the side of the data: what they show is what the fit says."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from equipoise import ancova, cox, logistic, plot
from equipoise.errors import DataError, EstimationError


@pytest.fixture(scope="module")
def data() -> pl.DataFrame:
    rng = np.random.default_rng(5)
    x = rng.normal(size=60)
    return pl.DataFrame(
        {
            "USUBJID": [f"S{i:02}" for i in range(60)],
            "ARM": list("ab") * 30,
            "X": x,
            "Y": x + rng.normal(size=60) + np.where(np.arange(60) == 17, 9.0, 0.0),
            "T": rng.exponential(10.0, 60),
            "E": (rng.random(60) < 0.7).astype(int),
        }
    )


def test_independent_pictures_of_a_linear_model(data: pl.DataFrame) -> None:
    fit = ancova("Y ~ ARM + X", data)
    shown = plot.influence(fit, most=1, refit=True)
    assert "largest S17 (" in shown.description
    assert [row["cook"] for row in shown.table] == pytest.approx(fit.influence().cook.tolist())
    assert fit.influence().plot(most=1).description == shown.description
    raw = plot.residuals(fit, kind="response")
    assert "60 response residuals against the fitted mean" in raw.description
    assert [row["y"] for row in raw.table] == pytest.approx(fit.errors.tolist())
    straight = plot.qq(fit)
    assert f"{fit.diagnostics().straightness():.3g}" in straight.description
    assert all(p.svg().startswith("<svg") for p in (shown, raw, straight))
    by_arm = plot.residuals(
        [{"visit": a, "residual": r} for a, r in zip("ababab", range(6), strict=True)], against="visit"
    )
    assert "farthest from 0 at b, 3" in by_arm.description


def test_independent_pictures_of_a_cox_model(data: pl.DataFrame) -> None:
    fit = cox("Surv(T, E) ~ ARM + X", data)
    shown = plot.proportional_hazards(fit, term="X")
    assert f"about a log hazard ratio of {fit.beta[1]:.3g}".replace("-", "\N{MINUS SIGN}") in shown.description
    assert fit.proportionality().to_sentence() in shown.description
    assert "linear predictor" in plot.residuals(fit, kind="martingale").description
    assert fit.diagnostics().plot("influence").description == plot.influence(fit).description
    with pytest.raises(EstimationError, match="no normal distribution"):
        plot.qq(fit)


def test_property_what_cannot_be_drawn_is_refused(data: pl.DataFrame) -> None:
    with pytest.raises(EstimationError, match="no hazards in"):
        plot.proportional_hazards(logistic("E ~ ARM", data))
    with pytest.raises(DataError, match="no column 'visit'"):
        plot.residuals(ancova("Y ~ ARM", data), against="visit")
    with pytest.raises(DataError, match="2 values"):
        plot.qq([{"normal": 0.0, "value": 1.0}] * 2)
    with pytest.raises(DataError, match="no influence in"):
        plot.influence(cox("Surv(T, E) ~ ARM", data, firth=True).diagnostics())
