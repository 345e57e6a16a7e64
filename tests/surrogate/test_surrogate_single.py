"""One trial: the reference, the paradox (C9), the causal association (C10, C11), mediation, every kind of endpoint."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
import surrogacy_cases as cases

import equipoise
import parity
from equipoise.errors import DataError, EstimationError
from equipoise.estimate.missing import ApproxBayes, imputation_draws
from equipoise.estimate.ranks.win import Binary, Time
from equipoise.surrogate import (
    Ordinal,
    causal_association,
    causal_correlation,
    completed,
    information_share,
    per_patient,
    surrogacy,
)
from equipoise.surrogate.endpoints import Measured, regress
from equipoise.surrogate.ratios import explained, fieller
from equipoise.types import Status

SCHIZO = {"variances": (544.3285, 550.6597, 180.6831, 180.9433)}


@pytest.mark.parametrize("name", cases.SINGLE)
def test_reference_single_trial(name: str) -> None:
    parity.check(list(cases.compare_single(name)), 10)


def trial(n: int = 2000, seed: int = 1, effect_t: float = -0.5, effect_s: float = 1.0) -> pl.DataFrame:
    """S = a Z + U, T = U + b Z + e, e with standard deviation 0.33."""
    rng = np.random.default_rng(seed)
    z, u = np.tile([0.0, 1.0], n // 2), rng.normal(size=n)
    return pl.DataFrame({"ARM": z, "S": effect_s * z + u, "T": u + effect_t * z + 0.33 * rng.normal(size=n)})


def test_reference_c9_the_paradox_is_not_validated() -> None:
    found = surrogacy(trial(20000), surrogate="S", true="T", arm="ARM", control=0.0)
    tests = [c.test.estimate for c in found.prentice]
    assert tests[0] == pytest.approx(1.0, abs=0.06)
    assert tests[1] == pytest.approx(-0.5, abs=0.06)
    assert tests[3] == pytest.approx(-1.5, abs=0.03)
    assert found.association.estimate**2 == pytest.approx(0.9018, abs=0.01)
    assert found.proportion.estimate == pytest.approx(-2.0, abs=0.25)
    assert "outside 0 to 1" in str(found.proportion.detail)
    assert found.paradox
    assert found.verdict.startswith("Contradicted")
    assert found.prentice[3].outcome == "rejected"


def test_reference_c10_causal_association() -> None:
    rho = float(causal_correlation(0.9597334, 0.9644139, -0.9, -0.9, -0.9, -0.9, SCHIZO["variances"]))
    assert rho == pytest.approx(0.98004258, abs=1e-8)
    assert rho**2 == pytest.approx(0.96048346, abs=1e-8)
    assert [float(information_share(rho, order=q)) for q in (0.1, 1.25, 2.0)] == pytest.approx(
        [0.789605, 0.969151472, 0.998438], abs=1e-6
    )
    assert float(information_share(rho, df=3.0)) == pytest.approx(0.963697, abs=1e-6)


def test_reference_c11_all_completions_of_a_grid() -> None:
    found = causal_association(t0s0=0.9597334, t1s1=0.9644139, **SCHIZO)  # type: ignore[arg-type]
    assert found.completions == 343
    assert (found.values.min(), found.values.max()) == (
        pytest.approx(0.3854, abs=1e-4),
        pytest.approx(0.9873, abs=1e-4),
    )
    assert found.mean == pytest.approx(0.9169, abs=1e-4)
    assert found.low <= found.values.min()
    assert found.high >= found.values.max()


def test_property_monotonicity_narrows_the_range() -> None:
    counts = [[40, 10, 10, 40], [20, 10, 10, 60]]
    free, held = causal_association(binary=counts), causal_association(binary=counts, monotone=True)
    assert 0.0 <= free.low < free.high <= 1.0
    assert held.completions
    impossible = causal_association(binary=[[20, 10, 10, 60], [40, 10, 10, 40]], monotone=True)
    assert impossible.completions == 0
    assert "no completion is possible" in impossible.to_sentence()
    with pytest.raises(EstimationError):
        causal_association(t0s0=1.2, t1s1=0.5)
    with pytest.raises(EstimationError):
        causal_association()


def test_property_a_weak_effect_has_no_proportion() -> None:
    found = surrogacy(trial(200, effect_t=0.05), surrogate="S", true="T", arm="ARM")
    assert found.proportion.status is Status.NOT_IDENTIFIED
    assert "standard errors from none" in found.proportion.reason
    assert found.proportion_fieller is None
    assert "passed" not in found.summary()
    assert found.prentice[3].outcome in ("rejected", "not rejected")


def test_property_full_capture_is_only_not_rejected() -> None:
    rng = np.random.default_rng(5)
    z = np.tile([0.0, 1.0], 500)
    s = z + rng.normal(size=1000)
    found = surrogacy(
        pl.DataFrame({"ARM": z, "S": s, "T": s + 0.2 * rng.normal(size=1000)}), surrogate="S", true="T", arm="ARM"
    )
    assert found.prentice[3].outcome == "not rejected"
    assert found.verdict.startswith("Not contradicted")
    assert "no proof" in found.verdict
    assert found.proportion.low < 1.0 < found.proportion.high
    assert found.mediation is not None
    assert found.mediation.indirect.estimate + found.mediation.direct.estimate == pytest.approx(
        found.mediation.total.estimate
    )
    assert found.mediation.e_value > 2.0
    assert "randomisation does not give that" in found.summary()


@pytest.fixture
def kinds() -> pl.DataFrame:
    rng = np.random.default_rng(8)
    n = 600
    z, u = np.tile([0.0, 1.0], n // 2), rng.normal(size=n)
    s = 0.8 * z + u
    when = rng.exponential(size=n) * np.exp(0.5 * s)
    prog = np.minimum(when, rng.exponential(size=n) * np.exp(0.8 * s))
    return pl.DataFrame(
        {
            "ARM": np.where(z > 0, "b", "a"),
            "S": s,
            "B": (s > 0.4).astype(int),
            "O": np.digitize(s, [-0.5, 0.5, 1.5]),
            "T": s + rng.normal(size=n),
            "R": (s + rng.normal(size=n) > 0.5).astype(int),
            "G": np.digitize(s + rng.normal(size=n), [-1.0, 0.0, 1.0]),
            "TIME": np.minimum(when, 3.0),
            "DEAD": (when < 3.0).astype(int),
            "PTIME": np.minimum(prog, 3.0),
            "PROG": (prog < 3.0).astype(int),
        }
    )


@pytest.mark.parametrize("true", ["T", Binary("R"), Ordinal("G"), Time("TIME", event="DEAD")])
@pytest.mark.parametrize("surrogate", ["S", Binary("B"), Ordinal("O")])
def test_property_every_kind_of_endpoint(kinds: pl.DataFrame, surrogate: object, true: object) -> None:
    found = surrogacy(kinds, surrogate=surrogate, true=true, arm="ARM", least=2.0)
    assert all(c.test.estimable for c in found.prentice)
    assert found.prentice[2].outcome == "shown"
    assert 0.0 < found.reduction.estimate < 1.0
    assert found.reduction.low < found.reduction.estimate < found.reduction.high
    assert found.relative.estimable
    assert found.summary()
    assert found.plot() is not None


def test_property_a_time_as_surrogate_turns_on(kinds: pl.DataFrame) -> None:
    found = surrogacy(
        kinds, surrogate=Time("PTIME", event="PROG"), true=Time("TIME", event="DEAD"), arm="ARM", least=1.0
    )
    assert found.prentice[2].outcome == "shown"
    assert found.association.estimate > 1.0
    with pytest.raises(EstimationError, match="time to an event"):
        surrogacy(kinds, surrogate=Time("PTIME", event="PROG"), true="T", arm="ARM")


def test_independent_regressions_agree_with_the_house(kinds: pl.DataFrame) -> None:
    """Cox by the public function; logistic regression is proportional odds of two categories."""
    z = (kinds["ARM"] == "b").cast(pl.Float64).to_numpy()
    made = regress(
        Measured(Time("TIME", event="DEAD"), kinds["TIME"].to_numpy(), kinds["DEAD"].to_numpy() == 1), z[:, None]
    )
    fit = equipoise.cox("Surv(TIME, DEAD) ~ ARM", kinds)
    assert made.beta[0] == pytest.approx(fit.beta[0], rel=1e-8)
    assert made.influence.T @ made.influence == pytest.approx(
        equipoise.cox("Surv(TIME, DEAD) ~ ARM", kinds, robust=True).vcov, rel=1e-6
    )
    a, b, c, d = (int(((z == i) & (kinds["R"].to_numpy() == j)).sum()) for i, j in ((1, 1), (1, 0), (0, 1), (0, 0)))
    odds = regress(Measured(Binary("R"), kinds["R"].cast(pl.Float64).to_numpy()), z[:, None])
    assert odds.beta[0] == pytest.approx(math.log(a * d / (b * c)), rel=1e-8)
    assert odds.vcov[0, 0] == pytest.approx(1 / a + 1 / b + 1 / c + 1 / d, rel=1e-6)


def test_property_degenerate_trials_say_why(kinds: pl.DataFrame) -> None:
    nobody = surrogacy(kinds.with_columns(pl.lit(None, pl.Float64).alias("S")), surrogate="S", true="T", arm="ARM")
    assert nobody.prentice[0].test.status is Status.NO_DATA
    assert nobody.verdict.startswith("Cannot be told")
    flat = surrogacy(kinds.with_columns(pl.lit(1.0).alias("S")), surrogate="S", true="T", arm="ARM")
    assert flat.prentice[0].outcome == "cannot be said"
    assert flat.summary()
    same = surrogacy(kinds.with_columns(pl.col("S").alias("T")), surrogate="S", true="T", arm="ARM")
    assert same.association.status is Status.BOUNDARY
    one_arm = kinds.with_columns(pl.when(pl.col("ARM") == "b").then(None).otherwise(pl.col("S")).alias("S"))
    assert surrogacy(one_arm, surrogate="S", true="T", arm="ARM").prentice[0].test.status is Status.EMPTY_ARM
    with pytest.raises(DataError):
        surrogacy(kinds, surrogate="Q", true="T", arm="ARM")
    with pytest.raises(EstimationError):
        surrogacy(kinds, surrogate=3, true="T", arm="ARM")


def test_property_fieller_sets() -> None:
    cov = np.eye(2) * 0.01
    found = fieller(1.0, 2.0, cov, 1.96)
    assert found.kind == "inside"
    for end in (found.low, found.high):  # where the contrast is just rejected
        assert abs(1.0 - end * 2.0) / math.sqrt(0.01 * (1 + end * end)) == pytest.approx(1.96)
    assert fieller(1.0, 0.05, cov, 1.96).kind == "outside"
    assert fieller(0.05, 0.05, cov, 1.96).kind == "all"


def test_property_explained_is_an_inversion() -> None:
    from scipy import stats

    value, low, high, p = explained(12.0, 1, 50, 0.95)
    assert value == pytest.approx(1 - math.exp(-12 / 50))
    assert stats.ncx2.cdf(12.0, 1, -50 * math.log(1 - high)) == pytest.approx(0.025)
    assert stats.ncx2.cdf(12.0, 1, -50 * math.log(1 - low)) == pytest.approx(0.975)
    assert p == pytest.approx(stats.chi2.sf(12.0, 1))


def test_property_courses() -> None:
    long = pl.DataFrame(
        {
            "USUBJID": ["a"] * 3 + ["b"] * 2,
            "AVISITN": [0, 4, 12, 0, 4],
            "V": [1.0, 2.0, 4.0, 3.0, None],
            "TRT01P": ["x"] * 3 + ["y"] * 2,
        }
    )
    slopes = per_patient(long, value="V", keep=["TRT01P"])
    assert slopes["V"].to_list() == [0.25, None]
    assert slopes["TRT01P"].to_list() == ["x", "y"]
    assert per_patient(long, value="V", summary="area")["V"][0] == pytest.approx((4 * 1.5 + 8 * 3.0) / 12)
    assert per_patient(long, value="V", summary="value", at=4)["V"].to_list() == [2.0, None]
    with pytest.raises(EstimationError):
        per_patient(long, value="V", summary="value")


def test_property_imputed_values_are_pooled() -> None:
    rng = np.random.default_rng(9)
    n = 80
    z, u = np.tile([0, 1], n // 2), rng.normal(size=n)
    end, rows = u + rng.normal(size=n), []
    for i in range(n):
        for week in (4, 8):
            value = 0.5 * z[i] + u[i] + 0.3 * rng.normal()
            rows.append(
                {
                    "USUBJID": i,
                    "AVISITN": week,
                    "CHG": value if rng.random() > 0.15 else None,
                    "BASE": float(u[i]),
                    "TRT01P": "ab"[z[i]],
                    "END": float(end[i]),
                }
            )
    draws = imputation_draws(pl.DataFrame(rows), method=ApproxBayes(5), covariates=["BASE"], keep=["END"], seed=1)

    def last(frame: pl.DataFrame) -> pl.DataFrame:
        return per_patient(frame, value="CHG", summary="value", at=8, keep=["TRT01P", "END"])

    pooled = draws.impute().analyse(completed(last, surrogate="CHG", true="END", arm="TRT01P"))
    names = [e.name for e in pooled.estimates]
    assert any("CHG" in name for name in names)
    assert any("Fisher" in name for name in names)
    assert all(e.se > 0.0 for e in pooled.estimates)


def test_simulation_intervals_of_one_trial() -> None:
    """Adjusted association and proportion explained (Fieller) hold the truth: 200 trials, 4 Monte Carlo errors of
    0.015."""
    inside = np.zeros(2)
    for seed in range(200):
        rng = np.random.default_rng(seed)
        z = np.tile([0.0, 1.0], 100)
        s = 1.5 * z + rng.normal(size=200)
        t = 0.6 * s + 0.3 * z + 0.8 * rng.normal(size=200)  # PE = 0.9 / 1.2
        found = surrogacy(
            pl.DataFrame({"A": z, "S": s, "T": t}),
            surrogate="S",
            true="T",
            arm="A",
            mediation=False,
            causal=False,
            least=0.0,
        )
        inside[0] += found.association.low <= 0.6 <= found.association.high
        assert found.proportion_fieller is not None
        inside[1] += found.proportion_fieller.low <= 0.75 <= found.proportion_fieller.high
    assert (inside / 200 > 0.95 - 0.062).all()
