"""One result: what every public estimator hands back prints, tabulates and draws the same way."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any, get_type_hints

import numpy as np
import polars as pl
import pytest
from categorical_cases import RESULTS as CATEGORICAL
from test_comparisons import doses
from test_survival_results import RESULTS as OTHER_RESULTS

import equipoise
from equipoise import (
    DeteriorationRule,
    Time,
    ancova,
    clda,
    cox,
    delayed_start,
    delayed_start_slopes,
    deterioration,
    disease_rate_ratio,
    group_sequential,
    imputation_draws,
    joint_model,
    meta_analysis,
    mi_analysis,
    mi_ancova,
    mmrm,
    slope,
    surrogacy,
    surrogacy_copula,
    surrogacy_operating_characteristics,
    surrogacy_trials,
    surrogacy_units,
    tipping_point,
    trimmed_mean,
)
from equipoise.errors import DataError, EstimationError
from equipoise.estimate.compare_fits import compare_fits
from equipoise.estimate.delayed_start import compare
from equipoise.estimate.fit import COLUMNS, Fit
from equipoise.estimate.missing import Bayes
from equipoise.estimate.pairwise import pairwise
from equipoise.estimate.result import Estimate
from equipoise.simulate.als.worlds import TrialDesign, worlds


def visits(last: int = 3) -> pl.DataFrame:
    rows = [
        (f"S{i}", v, "ab"[i % 2], 30.0 + i % 5, 3.0 * (i % 7) + (i * 5 + v * 3) % 4 - v * (1 + i % 2))
        for i in range(40)
        for v in range(1, last + 1)
    ]
    return pl.DataFrame(rows, schema=["ID", "V", "ARM", "BASE", "Y"], orient="row")


def ends() -> pl.DataFrame:
    """A row a patient, whose time is the baseline's, three in four with an event."""
    return visits().filter(pl.col("V") == 1).with_columns(E=(pl.int_range(40) % 4 > 0).cast(int))


def patients() -> pl.DataFrame:
    """Eight units of 40 patients, with values and times that go together."""
    rng = np.random.default_rng(3)
    unit, arm = np.repeat(np.arange(8), 40), np.tile([0.0, 1.0], 160)
    s = arm * rng.normal(1.0, 1.0, 8)[unit] + rng.normal(size=320)
    t = 0.8 * s + 0.6 * rng.normal(size=320)
    return pl.DataFrame({"UNIT": unit, "ARM": arm, "S": s, "T": t, "PFS": np.exp(-s), "OS": np.exp(-t), "E": [1] * 320})


def effects() -> pl.DataFrame:
    """Effects of nine trials, with as much error as spread."""
    rng = np.random.default_rng(2)
    s = rng.normal(-0.3, 0.4, 9)
    return pl.DataFrame({"s": s, "t": 0.5 * s + rng.normal(0.0, 0.25, 9), "e": np.full(9, 0.1)})


SHARES = {"share", "power", "false validation"}
ARMS: dict[str, Any] = {"arm": "ARM", "control": 0.0}
LONG: dict[str, Any] = {"subject": "ID", "visit": "V", "arm": "ARM"}
RESULTS: dict[str, Callable[[], Any]] = {
    "ancova": lambda: ancova("Y ~ BASE + ARM", doses()),
    "trends": lambda: ancova("Y ~ BASE * ARM", doses()).trends("ARM", "BASE"),
    "compare_fits": lambda: compare_fits(ancova("Y ~ BASE", doses()), ancova("Y ~ BASE + ARM", doses())),
    "LS means": lambda: ancova("Y ~ BASE + ARM", doses()).lsmeans("ARM"),
    "contrasts": lambda: ancova("Y ~ BASE + ARM", doses()).contrasts("ARM", adjust="holm"),
    "mmrm": lambda: mmrm("Y ~ BASE + ARM * C(V) + cs(V | ID)", visits()),
    "clda": lambda: clda("Y ~ cs(V | ID)", visits().with_columns(pl.col("V").cast(str)), arm="ARM", baseline="1"),
    "slope": lambda: slope("Y ~ ARM * V + (1 | ID)", visits()),
    "cox": lambda: cox("Surv(BASE, E) ~ ARM", visits().with_columns(E=1)),
    "mi_ancova": lambda: mi_ancova(visits(), value="Y", n_imputations=3, burn_in=5, **LONG),
    "mi_analysis": lambda: mi_analysis(visits(), value="Y", method=Bayes(n_imputations=3, burn_in=5), **LONG),
    "tipping_point": lambda: tipping_point(
        imputation_draws(visits(), value="Y", method=Bayes(n_imputations=3, burn_in=5), **LONG).impute(),
        deltas=(0.0, -4.0),
    ),
    "delayed_start": lambda: delayed_start(visits(), value="Y", period_end=2, at=3, df="satterthwaite", **LONG),
    "pairwise": lambda: pairwise(trimmed_mean, visits(), value="Y", at=3, **LONG),
    "trimmed_mean": lambda: trimmed_mean(visits(), value="Y", at=3, **LONG),
    "delayed_start_slopes": lambda: delayed_start_slopes(
        visits(4),
        value="Y",
        period_end=2,
        at=4,
        margin=1.0,
        df="satterthwaite",
        structure="cs",
        **LONG,
        first_window=(1, 2),
        second_window=(3, 4),
    ),
    "deterioration": lambda: deterioration(
        visits(), DeteriorationRule(threshold=3.0), value="Y", subject="ID", visit="V", keep=["ARM"]
    ),
    "deterioration, competing": lambda: deterioration(
        visits().with_columns(D=4.0),
        DeteriorationRule(threshold=3.0, death="competing"),
        value="Y",
        subject="ID",
        visit="V",
        death="D",
        keep=["ARM"],
    ),
    "joint_model": lambda: joint_model("Y ~ V * ARM + (1 | ID)", "Surv(BASE, E) ~ ARM", visits(), ends(), knots=1),
    "disease_rate_ratio": lambda: disease_rate_ratio(
        "Y ~ V + (1 | ID)", "Surv(BASE, E) ~ ARM", visits(), ends(), knots=1
    ),
    "surrogacy": lambda: surrogacy(patients(), surrogate="S", true="T", **ARMS),
    "surrogacy, times": lambda: surrogacy(patients(), surrogate="S", true=Time("OS", event="E"), **ARMS),
    "surrogacy_units": lambda: surrogacy_units(patients(), surrogate="S", true="T", unit="UNIT", **ARMS),
    "surrogacy_copula": lambda: surrogacy_copula(
        patients(), surrogate=Time("PFS", event="E"), true=Time("OS", event="E"), unit="UNIT", **ARMS
    ),
    "surrogacy_trials": lambda: surrogacy_trials(effects(), surrogate="s", surrogate_se="e", true="t", true_se="e"),
    "surrogacy_operating_characteristics": lambda: surrogacy_operating_characteristics(
        [TrialDesign(str(i), 20, 20, 16.0) for i in range(5)], worlds()[:1], literatures=2
    ),
    "meta_analysis": lambda: meta_analysis([0.2, 0.5, -0.1], [0.2, 0.3, 0.2], tau_scale=0.5),
    **CATEGORICAL,
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
    pairs = [(n, w) for n, w in zip(narrow, wide, strict=True) if n.estimable and not math.isnan(n.low)]
    for n, w in pairs:  # a share has an end that no level moves
        assert w.low < n.low or (n.scale in SHARES and w.low == n.low == 0.0), n
        assert n.high < w.high or (n.scale in SHARES and w.high == n.high == 1.0), n
    assert list(made.confint().columns)[-2:] == ["low", "high"]
    assert made._repr_html_().startswith("<table")
    if all(one.form == "p_only" for one in made.estimates):
        with pytest.raises(EstimationError, match="tests alone, nothing to draw"):
            made.plot()
    else:
        assert made.plot().description


def test_property_rows_left_out_stand_in_the_summary() -> None:
    data = doses().with_columns(Y=pl.when(pl.int_range(46) < 2).then(None).otherwise("Y"))
    assert "2 rows left out: 2 without Y." in str(ancova("Y ~ BASE + ARM", data))


ANSWERS = {
    "DesignStudy",
    "Document",
    "Results",
    "Replica",
    "SimulationStudy",
    "Calibration",
    "Posterior",
    "Record",
    "Scenario",
    "Plan",
    "AdamStudy",
    "SecondTrials",
}
"""Classes of the rooms above the estimators: pages, trials, plans and studies, which are read in their own ways."""
ON_THE_WAY = {"Draws", "Power", "Assurance", "ValueOfInformation", "CausalAssociation", "TableTest"}
"""Completed data that no analysis has been made of; a design worked out, its worth; the bounds of an association; a
test alone, of which there is nothing to draw."""
NOT_HELD_YET = {
    "surrogacy",
    "surrogacy_units",
    "surrogacy_copula",
    "surrogacy_trials",
    "surrogacy_operating_characteristics",
    "joint_model",
    "disease_rate_ratio",
}
"""Fits whose examples take long, tried in tests of their own; the contract as a whole is not held over them yet."""


def gives(name: str) -> Any:
    """The class that a public function hands back, as its signature says; None for a class, and for plain values."""
    public = getattr(equipoise, name)
    if inspect.isclass(public):
        return None
    made = get_type_hints(public).get("return")
    return made if inspect.isclass(made) and made.__module__.startswith("equipoise.") else None


@pytest.mark.parametrize("heading", list(equipoise.SURFACE))
def test_property_every_public_result_is_a_fit_and_is_tried(heading: str) -> None:
    """A public function that hands back a class of ours hands back a Fit, and the contract above is held for it."""
    for name in equipoise.SURFACE[heading]:
        made = gives(name)
        if made is None or made.__name__ in ANSWERS | ON_THE_WAY:
            continue
        assert issubclass(made, Fit), f"{name} gives {made.__name__}, which is no Fit"
        held = {*RESULTS, *OTHER_RESULTS, "group_sequential"}
        assert name in held, f"{name}: its result is not tried"


def test_property_a_design_keeps_the_contract_but_for_estimates() -> None:
    made = group_sequential([0.5, 1.0])
    assert isinstance(made, Fit)
    assert str(made) == made.summary()
    assert "\n" not in repr(made)
    assert made.plot().description


@pytest.mark.parametrize(
    "call",
    [
        lambda at: delayed_start(visits(), value="Y", period_end=2, at=at, df="satterthwaite", **LONG),
        lambda at: trimmed_mean(visits(), value="Y", at=at, **LONG),
        lambda at: tipping_point(
            imputation_draws(visits(), value="Y", method=Bayes(n_imputations=2, burn_in=2), **LONG).impute(),
            deltas=(0.0, -4.0),
            at=at,
        ),
        lambda at: compare(visits(), {"planned": ["BASE"]}, value="Y", at=at, n_imputations=2, burn_in=2, **LONG),
        lambda at: mi_ancova(visits(), value="Y", n_imputations=2, burn_in=2, **LONG).difference(at),
    ],
    ids=["delayed_start", "trimmed_mean", "tipping_point", "compare", "difference"],
)
def test_property_at_an_unknown_week_is_refused_with_those_there_are(call: Callable[[float], Any]) -> None:
    with pytest.raises(DataError, match="no visit at week 7") as found:
        call(7.0)
    assert "1, 2, 3" in str(found.value.hint)
