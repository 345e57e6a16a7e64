"""What must hold of any fit, and the kernel against a dense formulation in NumPy."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from equipoise.errors import EquipoiseError
from equipoise.estimate.linear.mmrm import fit_batch, mmrm
from equipoise.estimate.linear.mmrm.fit import MmrmWarning
from equipoise.types import Status

SLOW = settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
STRUCTURES = ["us", "cs", "csh", "ar1", "ar1h", "toep", "toeph", "ad", "adh", "sp_exp"]
seeds = st.integers(0, 10_000)


def simulated(seed: int, n: int = 40, m: int = 4, dropout: float = 0.08) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    base = rng.normal(30, 5, n)
    arm = rng.permutation(np.arange(n) % 2)
    noise = np.sqrt(0.5) * rng.normal(size=(n, 1)) + rng.normal(size=(n, m)) * (1 + 0.2 * np.arange(m))
    noise[:, 1:] += 0.4 * noise[:, :-1]
    y = noise + 0.3 * arm[:, None] * np.arange(1, m + 1) + 0.1 * base[:, None]
    i, v = np.nonzero(rng.uniform(size=(n, m)) > dropout)
    return pd.DataFrame(
        {
            "ID": [f"S{k:03d}" for k in i],
            "VISIT": [f"W{k}" for k in v],
            "WEEK": v * 4.0,
            "ARM": np.where(arm[i] == 1, "b", "a"),
            "BASE": base[i],
            "Y": y[i, v],
        }
    )


def term(structure: str, group: bool = False) -> str:
    by = "ARM / ID" if group else "ID"
    return f"{structure}({'WEEK' if structure == 'sp_exp' else 'VISIT'} | {by})"


def dense(d: pd.DataFrame, fit, reml: bool, sigma: np.ndarray | None = None) -> tuple[float, np.ndarray, np.ndarray]:
    """Log-likelihood, coefficients and Phi from subject-by-subject matrices, at a covariance."""
    x_all, y_all = fit.design.matrix(), d["Y"].to_numpy()
    matrices = sigma if sigma is not None else fit.covariance
    visit = d["VISIT"].str[1:].astype(int).to_numpy()
    gram, rhs, total = 0.0, 0.0, 0.0
    for _, rows in d.groupby("ID").indices.items():
        s = matrices[d["ARM"].iloc[rows[0]]] if isinstance(matrices, dict) else matrices
        v = s[np.ix_(visit[rows], visit[rows])]
        inverse = np.linalg.inv(v)
        gram = gram + x_all[rows].T @ inverse @ x_all[rows]
        rhs = rhs + x_all[rows].T @ inverse @ y_all[rows]
        total += np.linalg.slogdet(v)[1] + y_all[rows] @ inverse @ y_all[rows]
    beta = np.linalg.solve(gram, rhs)
    total -= rhs @ beta
    n, p = x_all.shape
    if reml:
        total += np.linalg.slogdet(gram)[1]
    return -0.5 * (total + (n - (p if reml else 0)) * np.log(2 * np.pi)), beta, np.linalg.inv(gram)


@pytest.mark.parametrize("group", [False, True])
@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("structure", STRUCTURES)
def test_independent_dense_likelihood(structure: str, reml: bool, group: bool) -> None:
    d = simulated(5, n=70)
    fit = mmrm(f"Y ~ BASE * VISIT + ARM * VISIT + {term(structure, group)}", d, reml=reml, df="satterthwaite")
    assert fit.converged
    assert fit.gradient_norm < 1e-5
    loglik, beta, phi = dense(d, fit, reml)
    assert fit.loglik == pytest.approx(loglik, rel=1e-11)
    np.testing.assert_allclose(fit.beta, beta, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(fit.vcov, phi, rtol=1e-7, atol=1e-10)
    # no better likelihood nearby: perturb the covariance within the structure by fitting slightly changed data
    other = mmrm(
        f"Y ~ BASE * VISIT + ARM * VISIT + {term(structure, group)}",
        d.assign(Y=d["Y"] + 1e-3 * np.sin(np.arange(len(d)))),
        reml=reml,
        df="satterthwaite",
    )
    assert dense(d, fit, reml, other.covariance)[0] <= fit.loglik + 1e-10


@pytest.mark.parametrize("structure", STRUCTURES)
def test_independent_satterthwaite_by_differences(structure: str) -> None:
    """Df from numerical second derivatives of the dense likelihood in the elements of an unstructured covariance, or
    in the parameters of the structure."""
    from equipoise.estimate.linear.kernels.mmrm_covariance import covariance
    from equipoise.estimate.linear.mmrm.covariance import CODES

    d = simulated(7, n=60, m=3)
    fit = mmrm(f"Y ~ ARM * VISIT + {term(structure)}", d, df="satterthwaite")
    theta = fit.optimum.theta
    coords = fit.optimum.coords

    def at(t: np.ndarray) -> np.ndarray:
        out, work = np.empty((3, 3)), np.empty((3, 3))
        covariance(CODES[structure], 3, t, coords, out, work)
        return out

    k, h = len(theta), 2e-4
    eye = np.eye(k) * h
    hessian = np.empty((k, k))
    for a in range(k):
        for b in range(k):
            f = [
                dense(d, fit, True, at(theta + s * eye[a] + t * eye[b]))[0]
                for s, t in ((1, 1), (1, -1), (-1, 1), (-1, -1))
            ]
            hessian[a, b] = -(f[0] - f[1] - f[2] + f[3]) / (4 * h * h)
    np.testing.assert_allclose(fit.optimum.information, hessian, rtol=2e-3, atol=2e-3 * np.abs(hessian).max())
    c = np.eye(len(fit.names))[-1]
    plus = [c @ dense(d, fit, True, at(theta + e))[2] @ c for e in eye]
    minus = [c @ dense(d, fit, True, at(theta - e))[2] @ c for e in eye]
    gradient = (np.array(plus) - np.array(minus)) / (2 * h)
    variance = c @ fit.vcov @ c
    df = 2 * variance**2 / (gradient @ np.linalg.solve(fit.optimum.information, gradient))
    assert fit.coefficients["df"].iloc[-1] == pytest.approx(df, rel=1e-5)


@SLOW
@given(seeds, st.sampled_from(["us", "cs", "csh"]))
def test_property_labels_and_rows_do_not_matter(seed: int, structure: str) -> None:
    """Exchangeable structures: renaming (and so reordering) visits and shuffling rows change nothing."""
    d = simulated(seed)
    rng = np.random.default_rng(seed)
    names = dict(zip(sorted(d["VISIT"].unique()), rng.permutation(["p", "q", "r", "s"]), strict=True))
    other = d.assign(VISIT=d["VISIT"].map(names), ID=d["ID"].map(lambda s: s[::-1])).sample(frac=1, random_state=seed)
    formula = f"Y ~ BASE * VISIT + ARM * VISIT + {structure}(VISIT | ID)"
    a, b = mmrm(formula, d, df="kenward-roger-linear"), mmrm(formula, other, df="kenward-roger-linear")
    assert a.loglik == pytest.approx(b.loglik, rel=1e-10)
    mine = (
        a.contrasts("ARM", by="VISIT")
        .to_frame()
        .assign(VISIT=lambda t: t["VISIT"].map(names))
        .set_index("VISIT")
        .sort_index()
    )
    theirs = b.contrasts("ARM", by="VISIT").to_frame().set_index("VISIT").sort_index()
    for column in ("estimate", "se", "df"):
        np.testing.assert_allclose(mine[column], theirs[column], rtol=1e-6, atol=1e-9)


@SLOW
@given(seeds, st.sampled_from(STRUCTURES), st.floats(1e-3, 1e4), st.floats(-100, 100))
def test_property_scale_and_shift_of_the_outcome(seed: int, structure: str, scale: float, shift: float) -> None:
    d = simulated(seed, n=60)
    formula = f"Y ~ BASE + ARM * VISIT + {term(structure)}"
    a, b = mmrm(formula, d), mmrm(formula, d.assign(Y=scale * d["Y"] + shift))
    mine, theirs = a.contrasts("ARM", by="VISIT").to_frame(), b.contrasts("ARM", by="VISIT").to_frame()
    for column in ("estimate", "se"):
        np.testing.assert_allclose(scale * mine[column], theirs[column], rtol=1e-6, atol=1e-8 * scale)
    np.testing.assert_allclose(mine["df"], theirs["df"], rtol=1e-5)


@SLOW
@given(seeds)
def test_property_subject_without_observations_changes_nothing(seed: int) -> None:
    d = simulated(seed)
    extra = d.head(2).assign(ID="ZZZ", Y=np.nan)
    formula = "Y ~ BASE * VISIT + ARM * VISIT + us(VISIT | ID)"
    a, b = mmrm(formula, d), mmrm(formula, pd.concat([d, extra]))
    assert a.n_subjects == b.n_subjects
    np.testing.assert_array_equal(a.beta, b.beta)
    np.testing.assert_array_equal(a.vcov, b.vcov)


@SLOW
@given(seeds)
def test_property_two_codings_give_the_same_means(seed: int) -> None:
    d = simulated(seed)
    a = mmrm("Y ~ BASE * VISIT + ARM * VISIT + us(VISIT | ID)", d)
    b = mmrm("Y ~ 0 + VISIT + VISIT:ARM + VISIT:BASE + us(VISIT | ID)", d)
    relevelled = d.assign(
        ARM=pd.Categorical(d["ARM"], ["b", "a"]), VISIT=pd.Categorical(d["VISIT"], ["W3", "W0", "W2", "W1"])
    )
    c = mmrm("Y ~ BASE * VISIT + ARM * VISIT + us(VISIT | ID)", relevelled)

    def means(fit) -> pd.DataFrame:
        table = fit.lsmeans("ARM", by="VISIT").to_frame()
        return table.astype({"ARM": str, "VISIT": str}).set_index(["ARM", "VISIT"]).sort_index()

    for other in (b, c):
        assert a.loglik == pytest.approx(other.loglik, rel=1e-10)
        left, right = means(a), means(other)
        np.testing.assert_allclose(left["estimate"], right["estimate"], rtol=1e-7)
        # adjusted standard errors depend on the order of visits through mmrm's parametrisation of us
        if other is b:
            np.testing.assert_allclose(left["se"], right["se"], rtol=1e-7)
            np.testing.assert_allclose(left["df"], right["df"], rtol=1e-6)


def test_independent_fast_and_general_path_agree() -> None:
    """Weights of one force the row-by-row form of the design."""
    d = simulated(3, n=60)
    for structure in STRUCTURES:
        formula = f"Y ~ BASE * VISIT + ARM * VISIT + {term(structure)}"
        fast, general = mmrm(formula, d), mmrm(formula, d, weights=np.ones(len(d)))
        assert fast.optimum.data[0]
        assert not general.optimum.data[0]
        assert fast.loglik == pytest.approx(general.loglik, rel=1e-11)
        np.testing.assert_allclose(fast.vcov, general.vcov, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(fast.coefficients["df"], general.coefficients["df"], rtol=1e-6)
        np.testing.assert_allclose(fast.test("ARM:VISIT")["f"], general.test("ARM:VISIT")["f"], rtol=1e-6)


@pytest.mark.parametrize("df", ["satterthwaite", "kenward-roger", "kenward-roger-linear"])
def test_independent_spatial_by_pattern_and_by_subject(df: str, monkeypatch: pytest.MonkeyPatch) -> None:
    d = simulated(4, n=50)
    formula = "Y ~ BASE + ARM * VISIT + sp_exp(WEEK | ID)"
    pattern = mmrm(formula, d, df=df)
    monkeypatch.setattr("equipoise.estimate.linear.mmrm.fit.MAX_COMMON_TIMES", 1)
    subject = mmrm(formula, d, df=df)
    assert subject.optimum.own_times is not None
    assert pattern.loglik == pytest.approx(subject.loglik, rel=1e-11)
    np.testing.assert_allclose(pattern.covariance, subject.covariance, rtol=1e-7)
    for column in ("estimate", "se", "df"):
        np.testing.assert_allclose(pattern.coefficients[column], subject.coefficients[column], rtol=1e-6)
    weighted = mmrm(formula, d, df=df, weights=np.full(len(d), 4.0))
    np.testing.assert_allclose(weighted.covariance, 4.0 * pattern.covariance, rtol=1e-6)
    assert weighted.loglik == pytest.approx(pattern.loglik, rel=1e-9)


@pytest.mark.parametrize("df", ["satterthwaite", "kenward-roger", "kenward-roger-linear"])
@pytest.mark.parametrize("structure", ["us", "toeph", "cs"])
def test_independent_batch_equals_the_single_fits(structure: str, df: str) -> None:
    """The simulation door gives, trial by trial, what the data-frame door gives."""
    rng = np.random.default_rng(11)
    r, n, m = 4, 50, 4
    arm = np.tile(np.arange(n) % 2, (r, 1)).astype(float)
    base = rng.normal(30, 5, (r, n))
    y = (
        rng.normal(size=(r, n, 1))
        + rng.normal(size=(r, n, m))
        + 0.2 * arm[..., None] * np.arange(m)
        + 0.1 * base[..., None]
    )
    y[rng.uniform(size=y.shape) < 0.1] = np.nan
    w = np.stack([np.ones((r, n)), base, arm], axis=-1)
    contrasts = np.zeros((m, m, 3))
    contrasts[np.arange(m), np.arange(m), 2] = 1.0
    many = fit_batch(y, w, contrasts, structure=structure, df=df)
    assert many.converged.all()
    for k in range(r):
        i, v = np.nonzero(~np.isnan(y[k]))
        d = pd.DataFrame(
            {
                "ID": i,
                "VISIT": [f"W{j}" for j in v],
                "ARM": np.where(arm[k, i] > 0, "b", "a"),
                "BASE": base[k, i],
                "Y": y[k, i, v],
            }
        )
        one = (
            mmrm(f"Y ~ BASE * VISIT + ARM * VISIT + {structure}(VISIT | ID)", d, df=df)
            .contrasts("ARM", by="VISIT")
            .to_frame()
        )
        for column, got in (("estimate", many.estimate), ("se", many.se), ("df", many.df), ("p", many.p)):
            np.testing.assert_allclose(got[k], one[column], rtol=1e-5)
        np.testing.assert_allclose(many.estimate[k], one["estimate"], rtol=1e-8)


def test_property_batch_reports_what_cannot_be_fitted() -> None:
    rng = np.random.default_rng(2)
    y = rng.normal(size=(4, 20, 3))
    w = np.ones((4, 20, 1))
    y[1] = np.nan
    y[2] = 1.0
    w[3, :5] = np.nan
    fit = fit_batch(y, w, np.ones((1, 3, 1)) / 3)
    assert fit.status[0] == Status.OK
    assert fit.status[1] == Status.NO_DATA
    assert fit.status[2] == Status.NO_VARIANCE
    assert np.isnan(fit.estimate[1:3]).all()
    assert np.isnan(fit.se[1:3]).all()
    assert fit.status[3] == Status.OK
    assert fit.estimate[3, 0] == pytest.approx(np.mean(y[3, 5:]), rel=1e-9)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@example(0, "us", 6, 1, False, "between-within")
@example(3, "sp_exp", 3, 6, False, "satterthwaite")  # an aliased column is a combination of columns that stay
@example(2185, "cs", 4, 4, False, "satterthwaite")
@given(
    seeds,
    st.sampled_from(STRUCTURES),
    st.integers(3, 20),
    st.integers(1, 6),
    st.booleans(),
    st.sampled_from(["satterthwaite", "kenward-roger", "between-within"]),
)
def test_property_tiny_trials_end_in_a_fit_or_a_reason(
    seed: int, structure: str, n: int, m: int, group: bool, df: str
) -> None:
    """However few the data: an optimum with a vanishing gradient, a failure that says so, or an error."""
    d = simulated(seed, n=n, m=m, dropout=0.3)
    if d.empty:
        return
    d["Y"] *= 10.0 ** (seed % 7 - 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MmrmWarning)
        try:
            fit = mmrm(f"Y ~ BASE + ARM * VISIT + {term(structure, group)}", d, df=df)
        except EquipoiseError:
            return
    table = fit.coefficients
    if fit.converged:
        assert fit.gradient_norm < 0.01
        assert np.isfinite(fit.loglik)
        covariance = fit.covariance
        for matrix in covariance.values() if isinstance(covariance, dict) else [covariance]:
            assert np.linalg.eigvalsh(matrix)[0] > 0
        for e in fit.estimates:  # a single visit leaves nothing within subjects, where "between-within" looks for df
            if np.isnan(e.se) and e.status is not Status.ALIASED and "no degrees of freedom" not in e.reason:
                assert any("adjusted variance" in message for message in fit.messages), e
    else:
        assert table["se"].isna().all()
        assert all(what for _, what in fit.attempts)
        assert any("converged" in m or "no residual variance" in m for m in fit.messages)
    assert fit.summary()
