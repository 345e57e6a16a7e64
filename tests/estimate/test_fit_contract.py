"""One result: what every public estimator hands back prints, tabulates and draws the same way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
from test_comparisons import doses

from equipoise import (
    ancova,
    cox,
    delayed_start,
    imputation_draws,
    mi_analysis,
    mi_ancova,
    mmrm,
    slope,
    tipping_point,
    trimmed_mean,
)
from equipoise.estimate.fit import COLUMNS, Fit
from equipoise.estimate.missing import Bayes
from equipoise.estimate.result import Estimate


def visits() -> pl.DataFrame:
    rows = [
        (f"S{i}", v, "ab"[i % 2], 30.0 + i % 5, 3.0 * (i % 7) + (i * 5 + v * 3) % 4 - v * (1 + i % 2))
        for i in range(40)
        for v in (1, 2, 3)
    ]
    return pl.DataFrame(rows, schema=["ID", "V", "ARM", "BASE", "Y"], orient="row")


LONG: dict[str, Any] = {"subject": "ID", "visit": "V", "arm": "ARM"}
RESULTS: dict[str, Callable[[], Any]] = {
    "ancova": lambda: ancova("Y ~ BASE + ARM", doses()),
    "LS means": lambda: ancova("Y ~ BASE + ARM", doses()).lsmeans("ARM"),
    "contrasts": lambda: ancova("Y ~ BASE + ARM", doses()).contrasts("ARM", adjust="holm"),
    "mmrm": lambda: mmrm("Y ~ BASE + ARM * C(V) + cs(V | ID)", visits()),
    "slope": lambda: slope("Y ~ ARM * V + (1 | ID)", visits()),
    "cox": lambda: cox("Surv(BASE, E) ~ ARM", visits().with_columns(E=1)),
    "mi_ancova": lambda: mi_ancova(visits(), value="Y", n_imputations=3, burn_in=5, **LONG),
    "mi_analysis": lambda: mi_analysis(visits(), value="Y", method=Bayes(n_imputations=3, burn_in=5), **LONG),
    "tipping_point": lambda: tipping_point(
        imputation_draws(visits(), value="Y", method=Bayes(n_imputations=3, burn_in=5), **LONG).impute(),
        deltas=(0.0, -4.0),
    ),
    "delayed_start": lambda: delayed_start(visits(), value="Y", period_end=2, at=3, df="satterthwaite", **LONG),
    "trimmed_mean": lambda: trimmed_mean(visits(), value="Y", at=3, **LONG),
    "an estimate": lambda: ancova("Y ~ BASE + ARM", doses()).contrasts("ARM").estimates[0],
}


@pytest.mark.parametrize("name", list(RESULTS))
def test_property_every_result_keeps_the_contract(name: str) -> None:
    made = RESULTS[name]()
    assert isinstance(made, Fit)
    assert made.estimates
    assert all(isinstance(one, Estimate) for one in made.estimates)
    assert str(made) == made.summary()
    assert 0 < len(str(made)) < 4000
    assert "array(" not in repr(made)
    assert "\n" not in repr(made)
    frame = made.to_frame()
    assert tuple(frame.columns)[-len(COLUMNS) :] == COLUMNS
    assert len(frame) == len(made.estimates)
    narrow, wide = made.at_level(0.5), made.at_level(0.99)
    assert all(w.low < n.low and n.high < w.high for n, w in zip(narrow, wide, strict=True) if n.estimable)
    assert list(made.confint().columns)[-2:] == ["low", "high"]
    assert made._repr_html_().startswith("<table")
    assert made.plot().description


def test_property_rows_left_out_stand_in_the_summary() -> None:
    data = doses().with_columns(Y=pl.when(pl.int_range(46) < 2).then(None).otherwise("Y"))
    assert "2 rows left out: 2 without Y." in str(ancova("Y ~ BASE + ARM", data))
