"""Degenerate data in repeated measures: what the data hold nothing on is named, what is identified stays."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

from equipoise import mmrm, slope
from equipoise.estimate.linear.mmrm.batch import fit_batch
from equipoise.estimate.linear.mmrm.engine import Rows
from equipoise.estimate.linear.mmrm.fit import MmrmWarning
from equipoise.estimate.linear.mmrm.identified import (
    columns_at,
    least_squares,
    plainly_varies,
    silent_visits,
    unidentified,
)
from equipoise.types import Status

G = np.random.default_rng(1)
LONG = pd.DataFrame(
    [
        (f"S{i:02d}", v, float(k), "ab"[i % 2], u + G.normal())
        for i, u in enumerate(G.normal(0, 1, 40))
        for k, v in enumerate(("VISIT 1", "VISIT 2", "VISIT 3"))
    ],
    columns=["ID", "V", "T", "A", "Y"],
)
WHO = LONG.ID.str[1:].astype(int)
FORMULA = "Y ~ A * V + us(V | ID)"


def fitted(data: pd.DataFrame, formula: str = FORMULA, **options: Any) -> tuple[Any, str]:
    """The fit and what was warned of."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        fit = mmrm(formula, data, **options)
    return fit, " | ".join(str(w.message) for w in said if issubclass(w.category, MmrmWarning))


def t_test(data: pd.DataFrame, visit: str) -> tuple[float, float]:
    """Difference and pooled standard error at a visit, by hand."""
    a, b = (data[(visit == data.V) & (arm == data.A)].Y.to_numpy() for arm in "ab")
    df = len(a) + len(b) - 2
    pooled = (a.var(ddof=1) * (len(a) - 1) + b.var(ddof=1) * (len(b) - 1)) / df
    return b.mean() - a.mean(), math.sqrt(pooled * (1 / len(a) + 1 / len(b)))


@pytest.mark.parametrize("structure", ["us", "cs", "csh", "ar1", "ar1h", "toep", "toeph", "ad", "adh"])
def test_independent_exact_fit_is_not_estimable_whatever_the_structure(structure: str) -> None:
    data = LONG.assign(Y=3.0 + 0.1 * LONG["T"] + 0.7 * (LONG.A == "b"))
    fit, said = fitted(data, f"Y ~ A * V + {structure}(V | ID)")
    assert fit.status is Status.NO_VARIANCE
    assert "fits the outcome exactly" in said
    assert "subjects" not in said
    for found in fit.contrasts("A", by="V").estimates:
        assert found.status is Status.NO_VARIANCE
        assert math.isnan(found.p)


def test_independent_visit_where_nothing_varies_is_named_and_the_others_stay() -> None:
    data = LONG.copy()
    data.loc[data.V == "VISIT 2", "Y"] = 0.0
    fit, said = fitted(data)
    assert "the outcome does not vary at VISIT 2" in said
    assert fit.left_out == 40
    without, _ = fitted(LONG[LONG.V != "VISIT 2"])
    pd.testing.assert_frame_equal(
        fit.contrasts("A", by="V").to_frame(), without.contrasts("A", by="V").to_frame(), rtol=1e-8
    )
    assert "does not vary at VISIT 2" in fit.summary()


def test_independent_two_visits_that_nobody_shares() -> None:
    """Complete pairs (1, 2) in some and (1, 3) in others: each visit is judged as if the other were not there."""
    data = LONG[~((LONG.V == "VISIT 2") & (WHO >= 20)) & ~((LONG.V == "VISIT 3") & (WHO < 20))]
    fit, said = fitted(data)
    assert "no subject was seen at both VISIT 2 and VISIT 3" in said
    assert fit.converged
    assert np.isnan(fit.covariance).sum() == 2
    for gone, left in (("VISIT 3", "VISIT 2"), ("VISIT 2", "VISIT 3")):
        pair, _ = fitted(data[gone != data.V])
        one = next(e for e in pair.contrasts("A", by="V").estimates if left in e.name)
        both = next(e for e in fit.contrasts("A", by="V").estimates if left in e.name)
        assert both.status is Status.OK
        assert both.estimate == pytest.approx(one.estimate, abs=0.5)
        assert both.se == pytest.approx(one.se, rel=0.3)
        assert 5.0 < both.df < 60.0


def test_independent_nobody_seen_twice_leaves_t_tests() -> None:
    data = LONG[(WHO % 3).astype(float) == LONG["T"]]
    fit, said = fitted(data, df="satterthwaite")
    assert "no subject was seen twice" in said
    for found in fit.contrasts("A", by="V").estimates:
        visit = found.name.split(" at ")[1]
        difference, se = t_test(data, visit)
        assert found.estimate == pytest.approx(difference, rel=1e-9)
        assert found.se == pytest.approx(se, rel=1e-6)
        assert found.df == pytest.approx((visit == data.V).sum() - 2, rel=1e-5)
    alike, said = fitted(data, "Y ~ A * V + cs(V | ID)")
    assert alike.status is Status.NOT_IDENTIFIED
    assert "no subject was seen twice" in alike.contrasts("A", by="V").estimates[0].reason


def test_independent_visit_with_as_many_coefficients_as_subjects_is_named() -> None:
    fit, said = fitted(LONG[(LONG.V != "VISIT 3") | (WHO < 2)])
    assert "2 subjects for 2 coefficients at VISIT 3" in said
    without, _ = fitted(LONG[LONG.V != "VISIT 3"])
    pd.testing.assert_frame_equal(
        fit.contrasts("A", by="V").to_frame(), without.contrasts("A", by="V").to_frame(), rtol=1e-8
    )


def test_independent_aliased_arm_has_a_status() -> None:
    fit, _ = fitted(LONG.assign(B=LONG.A), "Y ~ B + A + V + us(V | ID)")
    found = fit.contrasts("A").estimates[0]
    assert found.status is Status.ALIASED
    assert math.isnan(found.p)


def test_independent_rows_left_out_are_counted_and_printed() -> None:
    data = LONG.assign(BASE=1.0 * WHO)
    data.loc[data.index[:4], "Y"] = np.nan
    data.loc[data.index[10:13], "BASE"] = np.nan
    fit, _ = fitted(data, "Y ~ BASE + A * V + us(V | ID)")
    assert fit.left_out.reasons == {"without Y": 4, "without BASE": 3}
    assert "Left out:    4 rows without Y" in fit.summary()


def test_independent_slopes_without_variance_or_repetition() -> None:
    with pytest.warns(MmrmWarning, match="does not vary"):
        flat = slope("Y ~ T * A + (T | ID)", LONG.assign(Y=0.0))
    assert flat.status is Status.NO_VARIANCE
    assert "does not vary" in flat.summary()
    with pytest.warns(MmrmWarning, match="no subject was seen twice"):
        once = slope("Y ~ A + (1 | ID)", LONG[LONG["T"] == 0.0])
    assert once.status is Status.NOT_IDENTIFIED


def test_independent_block_of_trials_knows_rounding_from_variance() -> None:
    """The batched kernel: a trial that does not vary, one that the model fits, one that is well, in one call."""
    y = np.random.default_rng(5).normal(size=(3, 40, 3))
    arm = np.tile(np.arange(40) % 2, (3, 1)).astype(float)
    y[0] = 7.1
    y[1] = 0.3 + 0.1 * np.arange(3) + 0.7 * arm[1][:, None]
    contrasts = np.zeros((1, 3, 2))
    contrasts[0, 2, 1] = 1.0
    made = fit_batch(y, np.stack([np.ones_like(arm), arm], axis=2), contrasts)
    assert made.status.tolist() == [int(Status.NO_VARIANCE), int(Status.NO_VARIANCE), int(Status.OK)]
    assert np.isnan(made.se[:2]).all()
    assert np.isnan(made.p[:2]).all()
    assert made.se[2, 0] > 0.0


@pytest.mark.parametrize("common", [False, True])
@pytest.mark.parametrize("noise", [1.0, 1e-3, 1e-7, 1e-12, 0.0])
@pytest.mark.parametrize("n", [4, 6, 40])
def test_property_the_quick_question_never_hides_what_the_exact_ones_find(n: int, noise: float, common: bool) -> None:
    g = np.random.default_rng(n)
    visit, subject = np.tile(np.arange(3), n), np.repeat(np.arange(n), 3)
    arm, base = (subject % 2).astype(float), g.normal(50.0, 5.0, n)[subject]
    at = np.eye(3)[visit]
    x = np.column_stack([at, at * arm[:, None], base] if common else [at, at * arm[:, None], at * base[:, None]])
    y = 3.0 + 2.0 * base + arm + g.normal(size=3 * n) * np.where(visit == 1, noise, 1.0)
    keep = ~((visit == 2) & (subject % 3 == 0))
    x, y, visit, subject = x[keep], y[keep], visit[keep], subject[keep]
    rows = Rows(subject, visit, np.zeros(n, np.int64), n, 3, 1, None)
    served = columns_at(x, rows)
    quick, found = plainly_varies(x, y, rows, served), least_squares(x, y)
    silent = silent_visits(x, found, rows, (1, 2, 3), "V")
    if quick:
        assert not found.exact()
        assert not silent
        assert not any(found.exact(visit == v) for v in range(3))
    # 4 subjects leave 2 at the last visit, for 3 coefficients
    assert quick == (n > 4 and noise >= 1e-3)
    np.testing.assert_array_equal(unidentified(x, rows, True, 0, served), unidentified(x, rows, True, 0))


def test_property_a_visit_that_is_exact_is_found_beside_others_that_vary() -> None:
    data = LONG.assign(Y=np.where(LONG.V == "VISIT 2", 1.0, LONG.Y))
    fit, said = fitted(data)
    assert "VISIT 2" in said
    assert fit.converged
