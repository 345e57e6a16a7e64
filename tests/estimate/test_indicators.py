"""One reading of who had the event, and one count of the rows left out, in every function that takes either."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

from equipoise import cafs, cox, joint_rank, kaplan_meier, landmark, log_rank, rmst, win_statistics
from equipoise.errors import DataError, EstimationError
from equipoise.estimate.columns import codes_of, labels
from equipoise.estimate.frames import read_frame
from equipoise.estimate.indicators import events_of
from equipoise.estimate.left_out import LeftOut
from equipoise.estimate.ranks.win import Time
from equipoise.estimate.ranks.win_regression import win_regression
from equipoise.estimate.survival import max_combo
from equipoise.estimate.survival.switching import rpsftm

N = 60


def trial() -> pl.DataFrame:
    g = np.random.default_rng(11)
    t, c = np.ceil(g.exponential(200, N)), np.ceil(g.uniform(60, 190, N))
    return pl.DataFrame(
        {
            "ID": np.arange(N),
            "TRT01P": np.where(np.arange(N) % 2, "drug", "pbo"),
            "AVAL": np.minimum(t, c),
            "CNSR": np.where(t <= c, 0, 1),
            "CHG": g.normal(size=N),
            "BASE": g.normal(size=N),
            "AVISITN": np.full(N, 120.0),
            "ON": np.where(np.arange(N) % 2, np.minimum(t, c), 0.0),
        }
    )


BY_NAME = {"time": "AVAL", "censor": "CNSR"}
DOORS: dict[str, Callable[[pl.DataFrame], float]] = {
    "kaplan_meier": lambda d: kaplan_meier(d, **BY_NAME)[0].quantile(0.3)[0],
    "cox": lambda d: cox("Surv(AVAL, 1 - CNSR) ~ TRT01P", d).hazard_ratio("TRT01P").estimate,
    "log_rank": lambda d: log_rank("Surv(AVAL, 1 - CNSR) ~ TRT01P", d).chi_square,
    "max_combo": lambda d: max_combo("Surv(AVAL, 1 - CNSR) ~ TRT01P", d, tolerance=0.01).statistic,
    "rmst": lambda d: rmst(d, **BY_NAME, control="pbo", tau=120).difference.estimate,
    "landmark": lambda d: landmark(d, **BY_NAME, control="pbo", at=60).points[0].comparison.estimate,
    "rpsftm": lambda d: rpsftm(d, **BY_NAME, control="pbo", on="ON", recensor=False, points=21).search.at_zero,
    "win_statistics": lambda d: win_statistics(d, [Time("AVAL", censor="CNSR")], control="pbo").win_ratio.estimate,
    "win_regression": lambda d: win_regression(d, [Time("AVAL", censor="CNSR")], ["TRT01P"]).estimates[0].estimate,
    "joint_rank": lambda d: (
        joint_rank(d, d, at=120, subject="ID", control="pbo", n_imputations=2, burn_in=2).difference.estimate
    ),
    "cafs": lambda d: cafs(d, d, up_to=120, subject="ID", control="pbo").ancova.estimate,
}


@pytest.mark.parametrize("door", DOORS)
def test_property_any_reason_of_censoring_is_censoring(door: str) -> None:
    data = trial()
    reasons = np.random.default_rng(3).integers(1, 5, N)
    coded = data.with_columns(CNSR=np.where(data["CNSR"].to_numpy() == 1, reasons, 0))
    right = DOORS[door](data)
    assert np.isfinite(right)
    assert DOORS[door](coded) == right


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("wrong", [-1.0, 0.5])
def test_property_what_is_no_censoring_flag_is_refused(door: str, wrong: float) -> None:
    data = trial().with_columns(CNSR=pl.when(pl.col("ID") == 3).then(wrong).otherwise(pl.col("CNSR").cast(pl.Float64)))
    with pytest.raises(DataError, match="CNSR"):
        DOORS[door](data)


def test_property_an_event_indicator_is_0_or_1() -> None:
    frame = read_frame(pl.DataFrame({"E": [0, 1, None, 2]}))
    with pytest.raises(DataError, match="row 4: 'E' holds values other than 0 and 1"):
        events_of(frame, "E", None)
    assert events_of(frame, None, "E").tolist()[:2] == [1.0, 0.0]
    assert np.isnan(events_of(frame, None, "E")[2])
    for event, censor in ((None, None), ("E", "E")):
        with pytest.raises(EstimationError, match="either event or censor"):
            events_of(frame, event, censor)


def test_property_left_out_is_a_number_with_reasons() -> None:
    made = LeftOut({"without T": 2, "without A": 0, "without X": 1})
    assert made == 3
    assert dict(made.reasons) == {"without T": 2, "without X": 1}
    assert made.and_then({"without T": 1}).reasons["without T"] == 3
    assert made.to_sentence() == "3 rows left out: 2 without T, 1 without X."
    for again in (pickle.loads(pickle.dumps(made)), copy.deepcopy(made), copy.copy(made)):
        assert (again, again.reasons) == (made, made.reasons)


def test_property_codes_are_those_of_the_labels() -> None:
    import pandas as pd

    columns: list[Any] = [
        pl.Series("C", ["b", None, "a", "b"]),
        pl.Series("C", ["b", None, "a", "b"], dtype=pl.Enum(["c", "b", "a"])),
        pl.Series("C", [2, 1, None, 2]),
        pl.Series("C", [True, None, False, True]),
        pl.Series("C", [1.5, float("nan"), -1.0, 1.5]),
        pd.Series(["b", None, "a", np.nan], name="C"),
        pd.Series(["b", None, "a", "b"], name="C", dtype="string"),
        pd.Series(["b", None, "a", "b"], name="C", dtype=pd.CategoricalDtype(["c", "b", "a"])),
        pd.Series([2, None, 1, 2], name="C", dtype="Int64"),
    ]
    for column in columns:
        frame = read_frame(column.to_frame())
        code, levels = codes_of(frame, "C")
        values, right = labels(frame, "C")
        assert levels == right
        assert [None if c < 0 else levels[c] for c in code] == values
